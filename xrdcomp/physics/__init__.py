"""Physics of xrdcomp."""
