"""Diffraction by the Debye equation: pair distances of crystallites of real shapes and of molecules.

`crystallites` builds apatite from its cells, `liquids` water, chains, protein and amorphous phosphate from pair
distances and distribution functions, `pattern` the whole specimen.
"""
