"""Thermogravimetry: from a run to steps, a mass balance with its uncertainty, and kinetics.

`curve` prepares a run, `losses` reads it, `nature` says what the losses can be of, `char` what stays of organic matter,
`balance` names what was lost; `standards` checks the balance itself. `components` separates overlapping losses,
`kinetics` compares heating rates.
"""
