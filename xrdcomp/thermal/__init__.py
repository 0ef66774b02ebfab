"""Thermogravimetry: from a run to steps, a mass balance with its uncertainty, and kinetics.

`programme` finds what of a run is heating, `artefacts` takes off what no specimen does, `smoothing` smooths, and
`curve` makes one curve of it. `losses` reads that, `nature` says what the losses can be of, `char` what stays of
organic matter, `balance` names what was lost; `standards` checks the balance itself. `components` separates
overlapping losses, `kinetics` compares heating rates.
"""
