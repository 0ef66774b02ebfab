"""Thermogravimetry by other kinetics: distributed energies, nucleation and growth, contracting volumes.

`reactions` says how fast a pool leaves, `substances` what each substance loses, `balance` what the instrument makes of
it and what the laboratory exports.
"""
