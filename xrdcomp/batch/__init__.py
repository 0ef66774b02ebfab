"""Many specimens: which files belong together, analyses on several processes, tables, resuming."""
