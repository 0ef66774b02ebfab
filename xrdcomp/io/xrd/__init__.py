"""Powder patterns: one module for each vendor or family of formats."""
