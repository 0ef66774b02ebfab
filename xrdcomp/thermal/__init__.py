"""Thermogravimetry: from a run to steps, a mass balance with its uncertainty, and kinetics."""
