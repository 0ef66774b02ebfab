"""What a cut at a DTG minimum puts on the wrong side, where neighbouring losses overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import TgaResult
from xrdcomp.thermal.boundaries import BOUNDARY_ENERGY_KJ, Boundaries
from xrdcomp.thermal.components import Decomposition, Shape, separate_peaks
from xrdcomp.thermal.corrections import UNIFORM
from xrdcomp.thermal.prepare import HeatingCurve
from xrdcomp.thermal.program import GAS_CONSTANT
from xrdcomp.thermal.smooth import derivative
from xrdcomp.types import FloatArray
from xrdcomp.units import celsius_to_kelvin

__all__ = ["crossing_mass", "most_crossing", "overlap_ratio", "separate_steps", "with_overlap"]

_OVERLAP_RATIO = 0.15
_MAX_COMPONENTS = 4
_CORRELATION_LENGTHS = 1.5
_FEWEST_POINTS = 12


def with_overlap(
    boundaries: Boundaries,
    curve: HeatingCurve,
    smooth: FloatArray,
    length: float,
    recipe: ThermalRecipe,
    *,
    salt_doubt: float = 0.0,
    inert: bool = False,
) -> Boundaries:
    """Add the source ``overlap``: the mass that component peaks would put on the other side of a boundary.

    Evaluated where the DTG at a boundary is more than 15 % of the smaller of the two peaks beside it
    (``decompose = "auto"``), at every boundary (``"always"``) or nowhere (``"never"``). It is no more than anything
    up to `most_crossing` would be, because fitted peaks have tails of any length, and only what exceeds the source
    ``placement``, which is the same error seen otherwise. Char goes on losing mass in the carbonate's window, which
    is no tail: with nothing that burns it away (`inert`) the end of the organic has no such bound. The end of the
    carbonate takes `salt_doubt`, the mass that carbonate and evaporating salts share.
    """
    n = len(boundaries.mass)
    wrong = np.zeros(n)
    if recipe.decompose != "never":
        dtg = -derivative(smooth, curve.step)
        edges = [0, *(int(np.argmin(np.abs(curve.progress - p))) for p in boundaries.progress)]
        for k in range(min(n, 2)):
            low, cut = edges[k], edges[k + 1]
            high = edges[k + 2] if k + 2 < len(edges) else len(dtg) - 1
            if high - low >= _FEWEST_POINTS and (
                recipe.decompose == "always" or overlap_ratio(dtg, (low, cut, high)) > _OVERLAP_RATIO
            ):
                wrong[k] = abs(crossing_mass(curve, smooth, length, (low, cut, high)))
                if not (inert and k == 1):
                    most = most_crossing(curve, smooth, cut, BOUNDARY_ENERGY_KJ[k])
                    wrong[k] = min(wrong[k], UNIFORM * most)
    placed = boundaries.covariance["placement"].diagonal()
    wrong = np.sqrt(np.maximum(wrong**2 - placed, 0.0))
    if n > 2:
        wrong[2] = salt_doubt
    return replace(boundaries, covariance={**boundaries.covariance, "overlap": np.diag(wrong**2)})


def most_crossing(curve: HeatingCurve, smooth: FloatArray, cut: int, energy_kj: float) -> float:
    """Largest mass that a cut at a DTG minimum can put on the wrong side.

    Where one tail falls over a length a and the next loss rises over b, the DTG d is lowest where both bend alike,
    and d·|a − b| of mass is on the wrong side; the tails of thermally activated reactions are some RT²/E long.

    Parameters
    ----------
    cut : int, grid point
    energy_kj : float, kJ/mol; larger values allow less
    """
    length_c = GAS_CONSTANT * float(celsius_to_kelvin(curve.temperature_c[cut])) ** 2 / (1e3 * energy_kj)
    half = max(int(0.5 * length_c / curve.step), 1)
    low, high = max(cut - half, 0), min(cut + half, len(smooth) - 1)
    return length_c * max(float(smooth[low] - smooth[high]), 0.0) / (float(high - low) * curve.step)


def overlap_ratio(dtg: FloatArray, cuts: tuple[int, int, int]) -> float:
    """DTG at the middle cut relative to the smaller of the peaks on both sides; 0 where a side is too narrow."""
    low, cut, high = cuts
    if cut - low < 3 or high - cut < 3:
        return 0.0
    smaller = min(float(dtg[low:cut].max()), float(dtg[cut:high].max()))
    return float(dtg[cut]) / max(smaller, 1e-12)


def crossing_mass(
    curve: HeatingCurve,
    smooth: FloatArray,
    length: float,
    cuts: tuple[int, int, int],
    *,
    shapes: tuple[Shape, ...] = ("fraser_suzuki",),
) -> float:
    """Mass on the wrong side of the middle one of three grid points, by component peaks between the outer two.

    Subtracted from the mass at the cut it gives the mass at which the loss before would be complete and the one
    after not begun. 0 where nothing can be fitted.
    """
    low, cut, high = cuts
    dtg = -derivative(smooth, curve.step)
    try:
        parts = separate_peaks(
            curve.progress[low : high + 1],
            dtg[low : high + 1],
            correlation_c=_CORRELATION_LENGTHS * length * curve.step,
            shapes=shapes,
            max_components=_MAX_COMPONENTS,
        )
    except AnalysisError:
        return 0.0
    return parts.crossing(float(curve.progress[cut]))


def separate_steps(
    result: TgaResult,
    start_c: float,
    end_c: float,
    *,
    shapes: tuple[Shape, ...] = ("fraser_suzuki", "nth_order"),
    max_components: int = 4,
) -> Decomposition:
    """Separate the losses between two temperatures of an analysed run into component peaks.

    Parameters
    ----------
    result : TgaResult
    start_c, end_c : float, °C
    shapes, max_components
        See `separate_peaks`.

    Returns
    -------
    Decomposition

    Raises
    ------
    AnalysisError
        The range is outside the run or nothing is lost in it.
    """
    temperature = result.temperature_c
    if not temperature[0] - 1.0 <= start_c < end_c <= temperature[-1] + 1.0:
        msg = (
            f"{start_c:g} to {end_c:g} °C is not inside the run, which covers {temperature[0]:.1f} to "
            f"{temperature[-1]:.1f} °C."
        )
        raise AnalysisError(msg)
    step = max(float(np.median(np.diff(temperature))), 0.5)
    axis = np.arange(max(start_c, temperature[0]), min(end_c, temperature[-1]), step)
    if len(axis) < _FEWEST_POINTS:
        msg = f"{start_c:g} to {end_c:g} °C holds {len(axis)} points of the curve; choose a range that holds a step."
        raise AnalysisError(msg)
    rising = np.concatenate(([True], np.diff(temperature) > 0))
    mass = np.interp(axis, temperature[rising], result.mass_fraction[rising])
    return separate_peaks(
        axis, -derivative(mass, step), correlation_c=10.0, shapes=shapes, max_components=max_components
    )
