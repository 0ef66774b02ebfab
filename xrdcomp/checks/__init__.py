"""Rules over finished results: one registered function for each rule and message."""
