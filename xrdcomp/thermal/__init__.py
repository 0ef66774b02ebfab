"""Thermogravimetry: from a run to steps, a mass balance with its uncertainty, and kinetics.

`curve` prepares a run, `steps` and `boundaries` read it, `balance` names what was lost; `components` separates
overlapping losses, `kinetics` compares heating rates, `standards` checks the balance itself.
"""
