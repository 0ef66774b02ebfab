"""Forward model of specimens and instruments, independent of the analysis.

Compositions go in; a diffraction pattern and a thermogravimetric curve with their truth come out. It shares no
physics with `xrdcomp.physics` or `xrdcomp.refinement`, so that recovering a simulated truth is a test.
"""
