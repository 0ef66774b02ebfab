"""Thermogravimetric runs: one module for each vendor or family of formats."""
