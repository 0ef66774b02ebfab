"""Diffraction as it was measured: halos of real materials, apatite by its published reflection widths.

`halos` holds what absolute measurements say of amorphous matter, `apatite` the mineral of bone, enamel and dystrophic
calcification, `pattern` the whole specimen on a real instrument.
"""
