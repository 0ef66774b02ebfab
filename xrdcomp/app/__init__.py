"""The bench app: a local web interface to the analysis, for people who do not program; computes nothing."""
