"""How much of a phase the intensities leave room for where no detection limit can be given.

Beside strong reflections of crystals of no list most phases are not tested: theirs may lie under those, or would not be
believed. But intensities only add. Each strong reflection of a phase is at most as high as what is left at its place,
with that of unknown crystals in it, so that one place where nothing is left bounds the phase.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrdcomp.data import Phase
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search.nuisance import separate_peaks
from xrdcomp.search.templates import STRAINS, Candidate, Grid, draw_crystals
from xrdcomp.units import FloatArray

_SIZES_NM = (80.0, 20.0)  # sharp reflections leave least room, those of small crystals more
_STRONGEST, _WEAKEST = 8, 0.1  # reflections of a phase that are asked, and their least height
_APART = 2.0  # widths between two of them
_WINDOW = 1.0  # widths to either side, over which calculated and left areas are compared
_TOLERANCE = 0.06  # degrees by which the displacement may be wrong, as that of the search's templates
_GRAINS = 0.35  # share by which grains or texture may lower a reflection, as in the search's test of ratios
_SIGMAS = 2.0  # of what is left
_CELL_STD = 0.0005  # relative, that temperature and wavelength leave open of any cell


def room_beside(fit: Refinement, grid: Grid, candidates: Sequence[Candidate]) -> dict[str, float]:
    """Largest amounts, on the scale of the fit's, that what no phase explains leaves room for, by phase id.

    The least over a phase's strong reflections of what is left over what a gram has there, grains allowed for; the
    most over strains of its cell and sizes of its crystals. Phases without a reflection in range are left out.
    """
    usable = [item for item in candidates if item.phase.quantifiable and len(item.d_spacing)]
    if not usable:
        return {}
    x, half = grid.two_theta, max(round(_WINDOW * grid.peak_fwhm / grid.step), 1)
    near = round(_TOLERANCE / grid.step)
    left = grid.mean(fit.points.intensity - fit.solution.calculated)
    variance = grid.mean(fit.points.own_sigma**2) / grid.per_bin
    area = np.maximum(_windowed(left, half), 0.0) + _SIGMAS * np.sqrt(_windowed(variance, half))
    area = np.lib.stride_tricks.sliding_window_view(np.pad(area, near, mode="edge"), 2 * near + 1).max(axis=1)
    tangent = np.tan(np.radians(x / 2.0))
    out: dict[str, float] = {}
    for size in _SIZES_NM:
        for item, curve in zip(usable, draw_crystals(usable, grid, size), strict=True):
            strong = np.where(curve > _WEAKEST * curve.max(initial=0.0), curve, 0.0)
            at = separate_peaks(x, strong, distance=_APART * grid.peak_fwhm, most=_STRONGEST)
            if not at:
                continue
            own = _windowed(curve, half)[at]
            moved = [x[at] - 2.0 * np.degrees(tangent[at]) * strain for strain in _strains(item.phase)]
            most = max(float((np.interp(places, x, area) / own).min()) for places in moved) / (1.0 - _GRAINS)
            out[item.phase.id] = max(most, out.get(item.phase.id, 0.0))
    return out


def _strains(phase: Phase) -> list[float]:
    """Relative changes of spacings that a phase may have: an element has one cell, a solid solution a range."""
    ends = list(phase.cell_tolerance.values()) or [(-np.inf, np.inf)]
    low, high = min(end[0] for end in ends) - _CELL_STD, max(end[1] for end in ends) + _CELL_STD
    return sorted({variant.strain for variant in STRAINS if low <= variant.strain <= high})


def _windowed(values: FloatArray, half: int) -> FloatArray:
    """Sums over so many bins to either side."""
    return np.asarray(np.convolve(values, np.ones(2 * half + 1), mode="same"))
