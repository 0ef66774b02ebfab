"""The bench app: a page on this computer over the analysis, for people who do not program; computes nothing."""
