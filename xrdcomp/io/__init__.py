"""A file on disk becomes a `Pattern` or a `TgaRun`: one file for each vendor, one registry."""
