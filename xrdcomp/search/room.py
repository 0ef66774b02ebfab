"""How much of a phase the intensities leave room for where no detection limit can be given.

Beside strong reflections of crystals of no list most phases are not tested: theirs may lie under those, or would not be
believed. But intensities only add. All strong reflections of a phase stand at places that one cell and one displacement
give them, each at most as high as what is left there, point by point, with that of unknown crystals in it: one place
where nothing is left bounds the phase, and so does the flank of a reflection that stands beside its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrdcomp.data import Phase
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search.nuisance import separate_peaks
from xrdcomp.search.templates import COLD_VARIANTS, STRAINS, Candidate, Grid, draw_crystals
from xrdcomp.units import FloatArray

_SIZES_NM = (80.0, 20.0)  # sharp reflections leave least room, those of small crystals more
_STRONGEST, _WEAKEST = 8, 0.1  # reflections of a phase that are asked, and their least height
_APART = 2.0  # widths between two of them
_FLANK = 0.5  # of its height, from which on a reflection is asked: what carries its foot is not known
_SMOOTHED = 3  # bins over which calculated and left intensity are compared, about a width
_BETWEEN = 0.03  # degrees between two displacements that are tried, as between the search's templates
_GRAINS = 0.35  # share by which grains or texture may lower a reflection, as in the search's test of ratios
_SIGMAS = 2.0  # of what is left
_CELL_STD = 0.0005  # relative, that temperature and wavelength leave open of any cell


def room_beside(fit: Refinement, grid: Grid, candidates: Sequence[Candidate]) -> dict[str, float]:
    """Largest amounts, on the scale of the fit's, that what no phase explains leaves room for, by phase id.

    The least over a phase's strong reflections of what is left over what a gram has there, grains allowed for; the
    most over strains of its cell, displacements and sizes of its crystals. Phases without a reflection in range are
    left out.
    """
    usable = [item for item in candidates if item.phase.quantifiable and len(item.d_spacing)]
    if not usable:
        return {}
    x, half = grid.two_theta, max(round(grid.peak_fwhm / grid.step), 1)
    left = smoothed(grid.mean(fit.points.intensity - fit.solution.calculated))
    std = np.sqrt(smoothed(grid.mean(fit.points.own_sigma**2)) / (grid.per_bin * _SMOOTHED))
    limit = np.maximum(left, 0.0) + _SIGMAS * std
    # what moves all reflections alike is better known where a phase has fixed it
    farthest = max(abs(variant.shift) for variant in (STRAINS if fit.phases else COLD_VARIANTS))
    shifts = np.linspace(-farthest, farthest, 2 * round(farthest / _BETWEEN) + 1)
    tangent, cosine = np.tan(np.radians(x / 2.0)), np.cos(np.radians(x / 2.0))
    out: dict[str, float] = {}
    for size in _SIZES_NM:
        for item, curve in zip(usable, draw_crystals(usable, grid, size), strict=True):
            strong = np.where(curve > _WEAKEST * curve.max(initial=0.0), curve, 0.0)
            peaks = separate_peaks(x, strong, distance=_APART * grid.peak_fwhm, most=_STRONGEST)
            if not peaks:
                continue
            own, most = smoothed(curve), 0.0
            near = [np.arange(max(i - half, 0), min(i + half + 1, len(x))) for i in peaks]
            flanks = [bins[own[bins] >= _FLANK * own[i]] for i, bins in zip(peaks, near, strict=True)]
            at, first = np.concatenate(flanks), np.cumsum([0, *map(len, flanks[:-1])])
            for strain in _strains(item.phase):
                for shift in shifts:
                    places = x[at] - 2.0 * np.degrees(tangent[at]) * strain + shift * cosine[at]
                    room = np.minimum.reduceat(np.interp(places, x, limit) / own[at], first)
                    most = max(most, float(room.min()))
            out[item.phase.id] = max(most / (1.0 - _GRAINS), out.get(item.phase.id, 0.0))
    return out


def _strains(phase: Phase) -> list[float]:
    """Relative changes of spacings that a phase may have: an element has one cell, a solid solution a range."""
    ends = list(phase.cell_tolerance.values()) or [(-np.inf, np.inf)]
    low, high = min(end[0] for end in ends) - _CELL_STD, max(end[1] for end in ends) + _CELL_STD
    return sorted({variant.strain for variant in STRAINS if low <= variant.strain <= high})


def smoothed(values: FloatArray) -> FloatArray:
    """Means over neighbouring bins."""
    return np.asarray(np.convolve(values, np.full(_SMOOTHED, 1.0 / _SMOOTHED), mode="same"))
