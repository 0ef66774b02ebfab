"""Results made visible: figures, tables, pages and files. Reads results, computes nothing."""
