"""From draws to what is reported: central values, intervals, wet and dry, sums."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xrdcomp.composition.model import AMORPHOUS, CARBONATE, ORGANIC, OTHER, WATER, H
from xrdcomp.results import COMPONENTS, Estimate
from xrdcomp.types import FloatArray

__all__ = ["SUMS", "estimate_from_draws", "to_dry"]

SUMS: Mapping[str, tuple[int, ...]] = {
    "total_mineral": (H, CARBONATE, AMORPHOUS, OTHER),
    "calcium_phosphate": (H, AMORPHOUS),
    "crystalline": (H, OTHER),
    "non_crystalline": (ORGANIC, WATER, CARBONATE, AMORPHOUS),
    "organic_and_water": (ORGANIC, WATER),
    "volatile": (ORGANIC, WATER),
}
"""Sums of components, by position in ``COMPONENTS``."""

_TAILS = np.arange(0.0, 0.0501, 0.005)


def estimate_from_draws(draws: FloatArray) -> Estimate:
    """Mean, standard deviation and 95 % interval of a fraction.

    The interval is equal-tailed away from 0 and 1. Near a border, where the density does not fall off towards
    it, the shortest of the intervals with 95 % probability is taken, so that it can reach 0 or 1. It always
    contains the mean.

    Parameters
    ----------
    draws : (n,) array, within [0, 1]
    """
    mean, std = float(draws.mean()), float(draws.std())
    if std < 1e-12:
        value = float(np.clip(mean, 0.0, 1.0))
        return Estimate(value=value, std=0.0, interval=(value, value))
    lower = np.quantile(draws, _TAILS)
    upper = np.quantile(draws, 0.95 + _TAILS)
    lower[0], upper[-1] = max(lower[0], 0.0), min(upper[-1], 1.0)
    if mean < 3 * std:
        lower[0] = 0.0
    if 1.0 - mean < 3 * std:
        upper[-1] = 1.0
    near = mean < 3 * std or 1.0 - mean < 3 * std
    chosen = int(np.argmin(upper - lower)) if near else len(_TAILS) // 2
    low, high = float(max(lower[chosen], 0.0)), float(min(upper[chosen], 1.0))
    mean = float(np.clip(mean, 0.0, 1.0))
    return Estimate(value=mean, std=std, interval=(min(low, mean), max(high, mean)))


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
    return found
