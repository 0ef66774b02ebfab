"""Solid-state kinetics over any temperature programme.

A reaction is known by the temperature at which half has gone at 10 K/min, its activation energy and its model:

- ``distributed``: first order with a normal distribution of activation energies and one frequency factor, the model of
  biomass and coal [Vand 1943; Miura 1995]: 1 − α = ∫ exp(−∫ k dt) f(E) dE;
- ``growth``: nucleation and growth, 1 − α = exp(−Iⁿ) [Avrami 1939; Erofeev 1946], with I = ∫ k dt;
- ``contracting``: a sphere that reacts at its surface, 1 − α = (1 − I)³ [Jacobs & Tompkins 1955].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtri

Array = npt.NDArray[np.float64]
Model = Literal["distributed", "growth", "contracting"]
R_GAS = 8.314462618e-3  # kJ/(mol K)
NODES = 25
# Equal shares of a normal distribution, each at its median.
QUANTILES = np.asarray(ndtri((np.arange(NODES) + 0.5) / NODES), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """`half_c` °C where half is gone at 10 K/min, `energy` and its `spread` in kJ/mol, Avrami `exponent`."""

    model: Model
    half_c: float
    energy: float
    spread: float = 0.0
    exponent: float = 2.0

    def converted(self, integrals: Array) -> Array:
        """Conversion from ∫ k dt, one row for each activation energy of the distribution."""
        if self.model == "distributed":
            return np.asarray(1.0 - np.exp(-integrals).mean(axis=0), dtype=np.float64)
        whole = integrals[0]
        if self.model == "growth":
            return np.asarray(-np.expm1(-(whole**self.exponent)), dtype=np.float64)
        return np.asarray(1.0 - np.maximum(1.0 - whole, 0.0) ** 3, dtype=np.float64)

    @property
    def energies(self) -> Array:
        """Activation energies of equal shares, kJ/mol; one for the models without a distribution."""
        if self.model != "distributed":
            return np.array([self.energy])
        return np.maximum(self.energy + self.spread * QUANTILES, 20.0)


@lru_cache(maxsize=4096)
def log_frequency(reaction: Reaction) -> float:
    """Logarithm of the frequency factor (1/s) for which half has gone at `half_c` when heated at 10 K/min."""
    temperature = np.linspace(280.0, reaction.half_c + 273.15, 400)
    exponent = -reaction.energies[:, None] / (R_GAS * temperature)
    top = exponent[:, -1:]
    seconds = np.trapezoid(np.exp(exponent - top), temperature * 6.0, axis=1)[:, None]

    def excess(log_a: float) -> float:
        integrals = np.exp(np.minimum(log_a + top + np.log(seconds), 50.0))
        return float(reaction.converted(integrals)[0]) - 0.5

    centre = -float(top.mean())
    return float(brentq(excess, centre - 40.0, centre + 40.0, xtol=1e-10))


def conversion(reaction: Reaction, time_s: Array, temperature_c: Array) -> Array:
    """Share of the pool that has reacted at every reading of a programme, gas and holds as they come."""
    kelvin = temperature_c + 273.15
    log_k = log_frequency(reaction) - reaction.energies[:, None] / (R_GAS * kelvin)
    k = np.exp(np.minimum(log_k, 25.0))
    # Simpson with the Arrhenius rate at the middle of each interval: readings may lie 10 K apart
    middle = np.sqrt(k[:, :-1] * k[:, 1:])
    parts = np.diff(time_s) * (k[:, :-1] + 4.0 * middle + k[:, 1:]) / 6.0
    integrals = np.concatenate([np.zeros((len(k), 1)), np.cumsum(parts, axis=1)], axis=1)
    return reaction.converted(integrals)
