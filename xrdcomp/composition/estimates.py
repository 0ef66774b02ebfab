"""From draws to what is reported: central values, intervals, wet and dry, sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from xrdcomp.composition.model import AMORPHOUS, CARBONATE, ORGANIC, OTHER, WATER, H
from xrdcomp.results import COMPONENTS, Estimate
from xrdcomp.types import FloatArray

__all__ = [
    "SUMS",
    "component_estimates",
    "component_interval",
    "estimate_from_draws",
    "interval_from_draws",
    "to_dry",
    "with_interval_to",
]

SUMS: Mapping[str, tuple[int, ...]] = {
    "total_mineral": (H, CARBONATE, AMORPHOUS, OTHER),
    "calcium_phosphate": (H, AMORPHOUS),
    "crystalline": (H, OTHER),
    "non_crystalline": (ORGANIC, WATER, CARBONATE, AMORPHOUS),
    "organic_and_water": (ORGANIC, WATER),
    "volatile": (ORGANIC, WATER),
}
"""Sums of components, by position in ``COMPONENTS``."""

_SPLITS = 21
_ROUNDING = 1e-12
_CLEARLY_SHORTER = 0.97
"""Width against the equal-tailed interval's; Monte Carlo noise of 4 000 normal draws stays above."""


def interval_from_draws(draws: FloatArray, probability: float = 0.95) -> tuple[float, float]:
    """Interval of a fraction that holds `probability`.

    Equal-tailed, but the shortest of the intervals with that probability within three standard deviations of 0
    or 1, so that it can reach them, and where it is clearly shorter. The second is the case of crystals beside an
    amorphous mineral that may be absent: without it nearly all mineral is crystalline, a narrow peak at the
    upper end, which an equal tail would cut off although the interval of the amorphous mineral reaches 0.

    Where it is open whether the component is there at all (less than `probability` of the draws are exactly 0),
    the interval is that of the draws with it, and reaches 0 if more than ``1 - probability`` are without it. An
    interval over both cases would be short because of what was assumed about their odds before measuring. The same
    holds for what may be all there is.

    Parameters
    ----------
    draws : (n,) array, within [0, 1]
    probability : float, between 0 and 1
    """
    none, whole = draws <= 0.0, draws >= 1.0 - _ROUNDING
    part = draws[~(none | whole)]
    if not 1.0 - probability < len(part) / len(draws) < 1.0:
        return _interval_of_part(draws, probability)
    low, high = _interval_of_part(part, probability)
    credible = 1.0 - probability
    return 0.0 if none.mean() > credible else low, 1.0 if whole.mean() > credible else high


def _interval_of_part(draws: FloatArray, probability: float) -> tuple[float, float]:
    mean, std = float(draws.mean()), float(draws.std())
    tails = np.linspace(0.0, 1.0 - probability, _SPLITS)
    lower = np.quantile(draws, tails)
    upper = np.quantile(draws, probability + tails)
    at_zero, at_one = mean < 3 * std, 1.0 - mean < 3 * std
    if at_zero:
        lower[0] = 0.0
    if at_one:
        upper[-1] = 1.0
    width = upper - lower
    chosen = int(np.argmin(width))
    if not (at_zero or at_one) and width[chosen] > _CLEARLY_SHORTER * width[_SPLITS // 2]:
        chosen = _SPLITS // 2
    return float(max(lower[chosen], 0.0)), float(min(upper[chosen], 1.0))


def estimate_from_draws(draws: FloatArray) -> Estimate:
    """Mean, standard deviation and 95 % interval of a fraction; the interval always contains the mean.

    Parameters
    ----------
    draws : (n,) array, within [0, 1]
    """
    mean, std = float(np.clip(draws.mean(), 0.0, 1.0)), float(draws.std())
    if std < 1e-12:
        return Estimate(value=mean, std=0.0, interval=(mean, mean))
    low, high = interval_from_draws(draws)
    return Estimate(value=mean, std=std, interval=(min(low, mean), max(high, mean)))


def component_interval(draws: FloatArray, index: int, probability: float = 0.95) -> tuple[float, float]:
    """Interval of one component, in agreement with that of the component it shares the mineral with.

    Crystals and amorphous mineral are told apart less well than their sum. Where the interval of one reaches 0, that
    of the other reaches the upper end of their sum.

    Parameters
    ----------
    draws : (n, 6) array, in the order of ``COMPONENTS``
    index : int
    probability : float, between 0 and 1

    Returns
    -------
    low, high : float
    """
    low, high = interval_from_draws(draws[:, index], probability)
    partner = {H: AMORPHOUS, AMORPHOUS: H}.get(index)
    if partner is not None and interval_from_draws(draws[:, partner], probability)[0] <= 0.0:
        both = draws[:, H] + draws[:, AMORPHOUS]
        high = max(high, interval_from_draws(both, probability)[1])
    return low, high


def with_interval_to(estimate: Estimate, draws: FloatArray) -> Estimate:
    """Estimate whose interval holds the ends of the interval of `draws` as well.

    Parameters
    ----------
    estimate : Estimate
    draws : (n,) array, within [0, 1]
        The same quantity if what may be absent is.

    Returns
    -------
    Estimate
    """
    if estimate.interval is None:
        return estimate
    low, high = interval_from_draws(draws)
    return replace(estimate, interval=(min(low, estimate.interval[0]), max(high, estimate.interval[1])))


def to_dry(draws: FloatArray) -> FloatArray:
    """Fractions of the dry mass: every component over 1 - water, and water 0.

    Parameters
    ----------
    draws : (n, 6) array, in the order of ``COMPONENTS``, as received
    """
    dry = draws / np.maximum(1.0 - draws[:, [WATER]], 1e-9)
    dry[:, WATER] = 0.0
    out: FloatArray = dry / dry.sum(axis=1, keepdims=True)
    return out


def component_estimates(draws: FloatArray, hidden: frozenset[str]) -> dict[str, Estimate | None]:
    """Estimate of each component; None for the names in `hidden`."""
    found: dict[str, Estimate | None] = {}
    for i, name in enumerate(COMPONENTS):
        found[name] = None if name in hidden else estimate_from_draws(draws[:, i])
    pair = COMPONENTS[H], COMPONENTS[AMORPHOUS]
    for name, index in zip(pair, (H, AMORPHOUS), strict=True):
        estimate = found[name]
        if hidden.isdisjoint(pair) and estimate is not None and estimate.std:
            low, high = component_interval(draws, index)
            interval = min(low, estimate.value), max(high, estimate.value)
            found[name] = replace(estimate, interval=interval)
    return found
