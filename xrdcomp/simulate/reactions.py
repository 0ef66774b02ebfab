"""Reaction kinetics: what leaves the pan, when, at which rate.

A reaction of order n loses its pool as dα/dt = A exp(−E/RT) (1 − α)ⁿ. Its solution needs only the integral
I(t) = ∫ A exp(−E/RT) dt, taken numerically over the actual programme, holds included:
1 − α = exp(−I) for n = 1 and [1 + (n − 1) I]^(1/(1−n)) otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.types import FloatArray
from xrdcomp.units import CELSIUS_ZERO_K

__all__ = [
    "GAS_CONSTANT",
    "LIPID",
    "PROTEIN",
    "OrganicKinetics",
    "Reaction",
    "Step",
    "extent",
    "peak_reaction",
]

GAS_CONSTANT = 8.31446261815324e-3  # kJ/(mol K)
_REFERENCE_RATE_K_MIN = 10.0


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """Kinetics of one step: activation energy kJ/mol, ln of the pre-exponential factor (1/s), order.

    Attributes
    ----------
    activation_energy : float, kJ/mol
    ln_a : float
        A in 1/s.
    order : float
    """

    activation_energy: float
    ln_a: float
    order: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """A share of something that leaves by one reaction."""

    share: float
    reaction: Reaction


@dataclass(frozen=True, kw_only=True)
class OrganicKinetics:
    """How an organic component goes: steps in air (to nothing) and in an inert gas (to char).

    The shares of each list sum to 1; in an inert gas they are of what does not stay as char.
    """

    air: tuple[Step, ...]
    inert: tuple[Step, ...]

    def __post_init__(self) -> None:
        for name, steps in (("air", self.air), ("inert", self.inert)):
            total = sum(step.share for step in steps)
            if abs(total - 1.0) > 1e-9:
                msg = f"the shares of the steps in {name} sum to {total:g}, not 1."
                raise AnalysisError(msg)

    def shifted(self, *, kelvin: float) -> OrganicKinetics:
        """Return a copy whose steps peak `kelvin` higher at the reference rate."""
        return OrganicKinetics(
            air=tuple(_shift(s, kelvin) for s in self.air), inert=tuple(_shift(s, kelvin) for s in self.inert)
        )


def _shift(step: Step, kelvin: float) -> Step:
    r = step.reaction
    peak = _peak_temperature(r)
    return replace(step, reaction=peak_reaction(peak + kelvin - CELSIUS_ZERO_K, r.activation_energy, r.order))


def vary_steps(
    steps: tuple[Step, ...],
    *,
    shifts: tuple[float, ...],
    energy_factors: tuple[float, ...],
    weights: tuple[float, ...],
) -> tuple[Step, ...]:
    """Return steps that peak `shifts` kelvin higher with other energies and shares; the shares still sum to 1.

    Parameters
    ----------
    steps : tuple of Step
    shifts : K at the reference rate, one per step
    energy_factors, weights : factors on activation energy and share, one per step
    """
    total = sum(step.share * w for step, w in zip(steps, weights, strict=True))
    varied = []
    for step, shift, factor, weight in zip(steps, shifts, energy_factors, weights, strict=True):
        r = step.reaction
        peak = _peak_temperature(r) + shift - CELSIUS_ZERO_K
        reaction = peak_reaction(peak, factor * r.activation_energy, r.order)
        varied.append(Step(share=step.share * weight / total, reaction=reaction))
    return tuple(varied)


def _peak_temperature(reaction: Reaction) -> float:
    """Peak at the reference rate in kelvin, from E β / (R T²) = A exp(−E/RT)."""
    t = 600.0
    rate = _REFERENCE_RATE_K_MIN / 60.0
    e = reaction.activation_energy / GAS_CONSTANT
    for _ in range(60):
        t = e / (reaction.ln_a - np.log(e * rate) + 2.0 * np.log(t))
    return float(t)


def peak_reaction(peak_c: float, activation_energy: float, order: float = 1.0) -> Reaction:
    """Return the reaction whose rate peaks at `peak_c` when heated at 10 K/min.

    A = (β E / R T²) exp(E / R T)  [Kissinger 1957; exact for first order, within a few kelvin otherwise].

    Parameters
    ----------
    peak_c : float, °C
    activation_energy : float, kJ/mol; larger makes the step narrower
    order : float; above 1 draws a tail to high temperatures, below 1 ends the step abruptly

    Returns
    -------
    Reaction
    """
    t = peak_c + CELSIUS_ZERO_K
    e = activation_energy / GAS_CONSTANT
    ln_a = np.log(_REFERENCE_RATE_K_MIN / 60.0 * e / (t * t)) + e / t
    return Reaction(activation_energy=activation_energy, ln_a=float(ln_a), order=order)


def extent(reaction: Reaction, time_s: FloatArray, temperature_c: FloatArray) -> FloatArray:
    """Share of the pool that has reacted, 0 at the start, over a temperature programme.

    Parameters
    ----------
    time_s, temperature_c : (n,) arrays

    Returns
    -------
    (n,) array, 0–1
    """
    t = temperature_c + CELSIUS_ZERO_K
    rate = np.exp(np.minimum(reaction.ln_a - reaction.activation_energy / (GAS_CONSTANT * t), 60.0))
    # the rate is nearly exponential between readings: logarithmic mean instead of the trapezoid
    first, second = rate[:-1], rate[1:]
    ratio = np.log(np.maximum(second, 1e-300) / np.maximum(first, 1e-300))
    flat = np.abs(ratio) < 1e-6
    mean = np.where(flat, 0.5 * (first + second), (second - first) / np.where(flat, 1.0, ratio))
    integral = np.concatenate([[0.0], np.cumsum(mean * np.diff(time_s))])
    n = reaction.order
    if abs(n - 1.0) < 1e-9:
        done: FloatArray = -np.expm1(-integral)
        return done
    base = np.maximum(1.0 + (n - 1.0) * integral, 0.0)
    with np.errstate(divide="ignore"):
        left = np.where(base > 0.0, np.power(np.maximum(base, 1e-300), 1.0 / (1.0 - n)), 0.0)
    return 1.0 - np.minimum(left, 1.0)


def _steps(*rows: tuple[float, float, float, float]) -> tuple[Step, ...]:
    """Build steps from rows of (share, peak °C at 10 K/min, E kJ/mol, order)."""
    return tuple(Step(share=w, reaction=peak_reaction(p, e, n)) for w, p, e, n in rows)


# Collagen: main step 320–340 °C, E 120–220 kJ/mol; char burns at 450–550 °C (bone and collagen literature;
# the split into overlapping steps is this module's own).
PROTEIN = OrganicKinetics(
    air=_steps(
        (0.16, 285.0, 130.0, 1.5),
        (0.42, 330.0, 160.0, 1.6),
        (0.17, 420.0, 130.0, 1.4),
        (0.25, 505.0, 170.0, 1.0),
    ),
    inert=_steps((0.14, 280.0, 130.0, 1.5), (0.56, 330.0, 165.0, 1.8), (0.30, 430.0, 110.0, 1.8)),
)
# Triglyceride: several oxidation steps 250–450 °C in air, one at 380–430 °C in nitrogen.
LIPID = OrganicKinetics(
    air=_steps((0.30, 325.0, 110.0, 1.0), (0.45, 385.0, 140.0, 1.0), (0.25, 470.0, 150.0, 1.1)),
    inert=_steps((0.10, 300.0, 110.0, 1.0), (0.90, 405.0, 180.0, 1.0)),
)
