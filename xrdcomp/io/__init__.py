"""Reading files into a `Pattern` or a `TgaRun`: one module for each vendor, one registry."""
