"""Thermogravimetry: from a run to steps, a mass balance with its uncertainty, and kinetics.

`curve` prepares a run, `losses` reads it, `balance` names what was lost and checks the balance itself by standards;
`components` separates overlapping losses, `kinetics` compares heating rates.
"""
