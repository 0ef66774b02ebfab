"""Reference structures: the library of phases, and structures from the user's CIF files."""
