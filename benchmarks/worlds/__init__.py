"""Simulators that are independent of `xrdcomp.simulate`: they share neither code nor constants with the package.

`population` draws what specimens are made of, `kinetics` weighs them while they are heated, `measured` and `debye`
diffract them; `draw` writes the files of a specimen with its truth, `study` judges the analysis on them.
"""
