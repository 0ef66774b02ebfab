"""From draws to what is reported: central values, intervals, wet and dry, sums."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from xrdcomp.composition.model import AMORPHOUS, CARBONATE, ORGANIC, OTHER, WATER, H
from xrdcomp.results import COMPONENTS, Estimate
from xrdcomp.types import FloatArray

__all__ = [
    "SUMS",
    "component_estimates",
    "estimate_of",
    "interval_from_draws",
    "interval_of",
    "to_dry",
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
_CONSTANT = 1e-12
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


def interval_of(
    draws: FloatArray,
    parts: Sequence[int],
    probability: float = 0.95,
    *,
    held: FloatArray | float = 0.0,
    told_apart: bool = True,
) -> tuple[float, float]:
    """Interval of a component or of a sum of components: one rule for both.

    The interval of the quantity's own draws (`interval_from_draws`), and as far as the split of the mineral allows
    beyond it. Crystals and amorphous mineral are told apart less well than their sum is known, so a quantity that
    holds one of the two is held against the other: where the interval of the part it lacks reaches 0, all of that
    part may belong to it, and the upper end is at least that of the two together; where the interval of the part it
    holds reaches 0, the lower end is at most that of what is left without. A quantity that holds both or neither
    does not depend on the split.

    Parameters
    ----------
    draws : (n, 6) array, in the order of ``COMPONENTS``
    parts : sequence of int
        Positions in ``COMPONENTS`` of what adds up to the quantity.
    probability : float, between 0 and 1
    held : (n,) array or float
        Added to the sum: carbonate that weighs with the crystals, or the negative of it.
    told_apart : bool
        Whether both crystals and amorphous mineral are reported. False leaves the interval of the quantity's own
        draws: the split is then the prior's, which is no evidence that one is absent.

    Returns
    -------
    low, high : float
    """
    total = _total(draws, parts, held)
    low, high = interval_from_draws(total, probability)
    if not told_apart or (H in parts) == (AMORPHOUS in parts):
        return low, high
    own, other = (H, AMORPHOUS) if H in parts else (AMORPHOUS, H)
    if interval_from_draws(draws[:, other], probability)[0] <= 0.0:
        high = max(high, interval_from_draws(_total(draws, (*parts, other), held), probability)[1])
    if interval_from_draws(draws[:, own], probability)[0] <= 0.0:
        without = [part for part in parts if part != own]
        low = min(low, interval_from_draws(_total(draws, without, held), probability)[0])
    return low, high


def estimate_of(
    draws: FloatArray,
    parts: Sequence[int],
    *,
    held: FloatArray | float = 0.0,
    told_apart: bool = True,
) -> Estimate:
    """Mean, standard deviation and 95 % interval of a component or sum; the interval always contains the mean.

    Parameters are those of `interval_of`. A constant has no width.
    """
    total = _total(draws, parts, held)
    mean, std = float(np.clip(total.mean(), 0.0, 1.0)), float(total.std())
    if std < _CONSTANT:
        return Estimate(value=mean, std=0.0, interval=(mean, mean))
    low, high = interval_of(draws, parts, held=held, told_apart=told_apart)
    return Estimate(value=mean, std=std, interval=(min(low, mean), max(high, mean)))


def _total(draws: FloatArray, parts: Sequence[int], held: FloatArray | float) -> FloatArray:
    total: FloatArray = np.clip(draws[:, list(parts)].sum(axis=1) + held, 0.0, 1.0)
    return total


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


def component_estimates(draws: FloatArray, hidden: Collection[str] = ()) -> dict[str, Estimate | None]:
    """Estimate of each component; None for the names in `hidden`.

    Parameters
    ----------
    draws : (n, 6) array, in the order of ``COMPONENTS``
    hidden : collection of str
        Components that the measurements do not determine.
    """
    told_apart = COMPONENTS[H] not in hidden and COMPONENTS[AMORPHOUS] not in hidden
    return {
        name: None if name in hidden else estimate_of(draws, (i,), told_apart=told_apart)
        for i, name in enumerate(COMPONENTS)
    }
