"""Scattering physics: numbers and derivatives, no files and no fitting."""
