"""Small programs for whoever works on the package; not installed with it."""
