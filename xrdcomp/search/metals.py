"""Metals of sample holders, shields and mills: whether peaks that no phase explains are theirs.

An element has one cell, known to four digits, and a holder of rolled sheet any texture: places of its reflections
decide, all those of the range, and not their heights. The holder may lie deeper than the specimen.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from xrdcomp.results import UnexplainedPeak
from xrdcomp.units import FloatArray, d_to_two_theta

_F, _B = (3, 4, 8, 11, 12), (2, 4, 6, 8, 10)
_CUBIC: dict[str, tuple[float, tuple[int, ...]]] = {
    "aluminium": (4.0496, _F), "copper": (3.6149, _F), "nickel": (3.5238, _F), "austenitic steel": (3.594, _F),
    "silver": (4.0862, _F), "gold": (4.0786, _F), "platinum": (3.9236, _F), "lead": (4.9508, _F),
    "alpha brass": (3.684, _F), "iron or ferritic steel": (2.8665, _B), "tungsten": (3.1652, _B),
    "molybdenum": (3.1472, _B),
}  # fmt: skip
_HEXAGONAL = {"titanium": (2.9506, 4.6826), "zinc": (2.6649, 4.9468), "magnesium": (3.2094, 5.2108)}
_HEXAGONAL_HKL = ((1, 0, 0), (0, 0, 2), (1, 0, 1), (1, 0, 2), (1, 1, 0), (1, 0, 3))
"""Cell edges in Å at room temperature [Swanson & Tatge, NBS Circular 539 I; Pearson's Handbook], h² + k² + l² or
indices of the reflections that show; brass and steel as they are mostly alloyed."""
_FEWEST = 2  # reflections in the range
_LARGEST_SHIFT = 0.5  # degrees at 2θ = 0, a holder some 1 mm below or above the specimen
_MISSED = 0.05  # degrees, of a reflection from its place, beside half the width of a peak
_CHANCE = 0.01  # that peaks as dense as these meet all reflections of one of the metals


class Metal(msgspec.Struct, frozen=True, kw_only=True):
    """A metal whose reflections are among the peaks: name, their angles, its share of the area of all peaks."""

    name: str
    two_theta: tuple[float, ...]
    share: float


def spacings(metal: str) -> FloatArray:
    """Spacings of the reflections of a metal, Å, largest first."""
    if metal in _CUBIC:
        a, sums = _CUBIC[metal]
        return np.asarray(a / np.sqrt(sums))
    a, c = _HEXAGONAL[metal]
    inverse = [4.0 / 3.0 * (h * h + h * k + k * k) / a**2 + (k3 / c) ** 2 for h, k, k3 in _HEXAGONAL_HKL]
    return np.sort(1.0 / np.sqrt(inverse))[::-1]


def metal_among(
    peaks: Sequence[UnexplainedPeak],
    wavelength: float,
    two_theta: tuple[float, float],
    width: float,
    fitted: FloatArray,
) -> Metal | None:
    """Name the metal whose reflections, all that lie in the range, are among the peaks; None where chance would do.

    `two_theta` are the ends of the scan and `width` that of a peak, in degrees. `peaks` have spacings that the
    displacement of the specimen is taken out of; another shift in proportion to cosθ, the same for all, is the
    holder's. Reflections beneath those of `fitted` phases, by their spacings, may be missing but for the first two.
    """
    if len(peaks) < _FEWEST:
        return None
    seen = d_to_two_theta([p.d_spacing for p in peaks], wavelength)
    hidden = d_to_two_theta(np.append(fitted[fitted > wavelength / 2.0], np.inf), wavelength)
    area, span = np.array([p.area for p in peaks]), two_theta[1] - two_theta[0]
    tolerance = max(_MISSED, 0.5 * width)
    best: tuple[float, Metal] | None = None
    for name in (*_CUBIC, *_HEXAGONAL):
        d = spacings(name)
        places = d_to_two_theta(d[d > wavelength / 2.0], wavelength)
        margin = _LARGEST_SHIFT + width
        places = places[(places > two_theta[0] + margin) & (places < two_theta[1] - margin)]
        if len(places) < _FEWEST:
            continue
        lever, near = np.cos(np.radians(places / 2.0)), np.abs(seen[:, None] - places)
        for start in (seen - places[0])[near[:, 0] < _LARGEST_SHIFT]:
            shift = start / lever[0]
            which = np.abs(seen[:, None] - places - shift * lever).argmin(axis=0)
            away = seen[which] - places
            first = np.abs(away - shift * lever) < 2.0 * tolerance
            shift = float(away[first] @ lever[first] / (lever[first] @ lever[first]))
            met = np.abs(away - shift * lever) < tolerance
            beneath = np.abs(hidden[:, None] - places - shift * lever).min(axis=0) < width
            needed = ~beneath | (np.arange(len(places)) < _FEWEST)
            which = which[met]
            if (needed & ~met).any() or len(set(which.tolist())) < len(which):
                continue
            density = float((area >= area[which].min()).sum()) / span
            tries = (len(_CUBIC) + len(_HEXAGONAL)) * max(2.0 * _LARGEST_SHIFT / tolerance, 1.0)
            chance = tries * float((1.0 - np.exp(-2.0 * tolerance * density)) ** len(which))
            if chance < _CHANCE and (best is None or abs(shift) < best[0]):
                share = float(area[which].sum() / max(area.sum(), 1e-300))
                angles = tuple(peaks[i].two_theta for i in which)
                best = abs(shift), Metal(name=name, two_theta=angles, share=share)
    return None if best is None else best[1]
