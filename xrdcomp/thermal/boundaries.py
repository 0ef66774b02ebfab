"""Where one loss ends and the next begins: DTG minima near the literature windows, with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import Estimate
from xrdcomp.thermal.corrections import Corrected
from xrdcomp.thermal.prepare import HeatingCurve
from xrdcomp.thermal.program import shift_with_rate
from xrdcomp.thermal.smooth import derivative, derivative_std, smoothed_std, whittaker
from xrdcomp.types import FloatArray, IntArray

__all__ = [
    "BOUNDARY_ENERGY_KJ",
    "Boundaries",
    "dtg_noise",
    "loss_between",
    "place_boundaries",
    "windows_covered",
]

_LITERATURE_STD_C = 12.0
BOUNDARY_ENERGY_KJ = (90.0, 200.0, 260.0)
_LENGTH_FACTORS = (0.7, 1.0, 1.5)
_END_MARGIN_C = 6.0
_Z95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Boundaries:
    """Masses at the boundaries.

    Parameters
    ----------
    temperature_c, progress : (b,) arrays
    mass : (b,) array
        Mass fraction at each boundary, heating to cooling end; the first boundary is the water end.
    temperature_std_c : (b,) array
    covariance : mapping from source of uncertainty to (b, b) array
        Sources are independent; the sum is the covariance of `mass`.
    """

    progress: FloatArray
    temperature_c: FloatArray
    temperature_std_c: FloatArray
    mass: FloatArray
    covariance: Mapping[str, FloatArray]

    @property
    def total_covariance(self) -> FloatArray:
        """Sum over all sources."""
        total: FloatArray = np.sum(list(self.covariance.values()), axis=0)
        return total


def windows_covered(curve: HeatingCurve, recipe: ThermalRecipe) -> FloatArray:
    """Literature boundaries in °C, moved to the heating rate, as far as the run reaches them.

    The carbonate boundary also counts as reached where the run ends up to 100 °C below it.
    """
    rate = curve.heating_rate_k_min
    stated = (recipe.water_end_c, recipe.organic_end_c, recipe.carbonate_end_c)
    moved = [shift_with_rate(t, rate, e) for t, e in zip(stated, BOUNDARY_ENERGY_KJ, strict=True)]
    end = float(curve.temperature_c[-1])
    reached = [moved[0]] if end > moved[0] + 30.0 else []
    if reached and end > moved[1] - 10.0:
        reached.append(moved[1])
    if len(reached) == 2 and end > moved[2] - 100.0:
        reached.append(min(moved[2], end))
    return np.array(reached)


def place_boundaries(
    corrected: Corrected,
    literature_c: FloatArray,
    length: float,
    recipe: ThermalRecipe,
    *,
    half_width_c: FloatArray | None = None,
    placement_std_c: FloatArray | None = None,
) -> Boundaries:
    """Place every boundary and propagate what is uncertain about it.

    Sources: ``noise`` (redrawn on the smoothed curve), ``smoothing`` (the smoothed curve again with 0.7 to 1.5
    times the chosen length, so that noise does not count twice),
    ``placement`` (literature window, width searched, and the loss per °C left at the minimum times
    `recipe.placement_std_c`),
    ``buoyancy``, ``weighing``, ``drift``, ``blank`` (with a blank run) and ``start_mass``.
    """
    curve = corrected.curve
    rng = np.random.default_rng(recipe.seed)
    smooth = whittaker(curve.mass, curve.weights, length)
    n = len(literature_c)
    widths = np.full(n, recipe.search_half_width_c) if half_width_c is None else half_width_c
    stds = np.full(n, recipe.placement_std_c) if placement_std_c is None else placement_std_c
    best = _find(curve, smooth[:, None], literature_c, widths[:, None], length)[:, 0]
    mass = smooth[best]
    draws = _Draws(
        curve=curve,
        smooth=smooth,
        literature=literature_c,
        widths=widths,
        stds=stds,
        length=length,
        recipe=recipe,
    )
    covariance = {
        "noise": draws.noise(rng),
        "smoothing": draws.smoothing(),
    }
    covariance["placement"], spread = draws.placement(rng)
    covariance |= corrected.covariances(best)
    start = _start_std(curve)
    covariance["start_mass"] = np.outer(mass * start, mass * start)
    return Boundaries(
        progress=curve.progress[best],
        temperature_c=curve.temperature_c[best],
        temperature_std_c=spread,
        mass=mass,
        covariance=covariance,
    )


@dataclass(frozen=True, kw_only=True)
class _Draws:
    curve: HeatingCurve
    smooth: FloatArray
    literature: FloatArray
    widths: FloatArray
    stds: FloatArray
    length: float
    recipe: ThermalRecipe

    def noise(self, rng: np.random.Generator) -> FloatArray:
        n, k = len(self.smooth), self.recipe.bootstrap
        sigma = self.curve.noise / np.sqrt(np.maximum(self.curve.counts, 1.0))
        data = self.smooth[:, None] + sigma[:, None] * rng.standard_normal((n, k))
        curves = whittaker(data, self.curve.weights, self.length)
        index = _find(self.curve, curves, self.literature, self.widths[:, None], self.length)
        return _covariance(np.take_along_axis(curves, index, axis=0))

    def smoothing(self) -> FloatArray:
        values = []
        for factor in _LENGTH_FACTORS:
            smooth = whittaker(self.smooth, self.curve.weights, factor * self.length)[:, None]
            index = _find(self.curve, smooth, self.literature, self.widths[:, None], factor * self.length)
            values.append(np.take_along_axis(smooth, index, axis=0)[:, 0])
        return _covariance(np.array(values).T)

    def placement(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        k, b = self.recipe.bootstrap, len(self.literature)
        shift = np.minimum(_LITERATURE_STD_C, 0.2 * self.widths)[:, None]
        literature = self.literature[:, None] + shift * rng.standard_normal((b, k))
        half = self.widths[:, None] * rng.uniform(0.9, 1.5, (b, k))
        index = _find(self.curve, self.smooth[:, None], literature, half, self.length)
        jitter = self.stds[:, None] * rng.standard_normal((b, k))
        # a mass that rises at the minimum is noise, drift or buoyancy, which have their own sources
        slope = np.minimum(derivative(self.smooth, self.curve.step), 0.0)
        spread: FloatArray = np.std(self.curve.temperature_c[index] + jitter, axis=1)
        return _covariance(self.smooth[index] + slope[index] * jitter), spread


def _find(
    curve: HeatingCurve,
    curves: FloatArray,
    literature: FloatArray,
    half: FloatArray,
    length: float,
) -> IntArray:
    """Index of the DTG minimum near each literature boundary, for k curves: (b, k).

    The squared distance from the literature value, in units of the noise of the DTG, decides where the DTG is
    flat.
    """
    centres = literature[:, None] if literature.ndim == 1 else literature
    k = max(centres.shape[1], curves.shape[1])
    centres = np.broadcast_to(centres, (len(centres), k))
    widths = np.maximum(
        np.broadcast_to(half, centres.shape), curve.step
    )  # 0: the grid point at the literature value
    flat = max(dtg_noise(curve, length), 1e-7)
    last = float(curve.temperature_c[-1]) - _END_MARGIN_C
    out = np.empty(centres.shape, dtype=np.int64)
    for i, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        low = int(np.searchsorted(curve.temperature_c, (centre - width).min()))
        high = int(
            np.searchsorted(curve.temperature_c, min(float((centre + width).max()), last), side="right")
        )
        low = min(low, max(high - 3, 0))
        rows = slice(low, max(high, low + 3))
        temperature = curve.temperature_c[rows, None]
        distance = (temperature - centre) / width
        cost = -derivative(curves[rows], curve.step) + 2.0 * flat * distance**2
        cost = np.where(np.abs(distance) <= 1.0, cost, np.inf)
        nearest = np.argmin(np.abs(distance), axis=0)
        out[i] = low + np.where(np.isfinite(cost).any(axis=0), np.argmin(cost, axis=0), nearest)
    return out


def loss_between(
    corrected: Corrected, smooth: FloatArray, length: float, feet: tuple[int, int], recipe: ThermalRecipe
) -> Estimate:
    """Mass lost between two grid points, with noise, placement, buoyancy, drift and start mass propagated."""
    curve = corrected.curve
    start, end = feet
    loss = float(smooth[start] - smooth[end])
    dtg = -derivative(smooth, curve.step)
    variance = 2.0 * smoothed_std(curve.bin_noise, length) ** 2
    inner = [i for i in feet if 0 < i < len(smooth) - 1]
    variance += sum((dtg[i] * 0.5 * recipe.placement_std_c) ** 2 for i in inner)
    corrections = corrected.covariances(np.array([start, end])).values()
    variance += sum(float(c[0, 0] + c[1, 1] - c[0, 1] - c[1, 0]) for c in corrections)
    std = float(np.sqrt(variance + (loss * _start_std(curve)) ** 2))
    return Estimate(value=loss, std=std, interval=(loss - _Z95 * std, loss + _Z95 * std))


def dtg_noise(curve: HeatingCurve, length: float) -> float:
    """Standard deviation of the smoothed −dm/du, per °C."""
    return derivative_std(curve.bin_noise, length) / curve.step


def _start_std(curve: HeatingCurve) -> float:
    """Relative uncertainty of the start mass: 1 µg of the balance, or the noise of the first bins."""
    milligrams = curve.start_mass_mg or 10.0
    from_balance = 1e-3 / milligrams
    if curve.from_header:
        return from_balance
    return float(np.hypot(from_balance, curve.noise / np.sqrt(max(curve.counts[:3].sum(), 1.0))))


def _covariance(values: FloatArray) -> FloatArray:
    covariance: FloatArray = np.atleast_2d(np.cov(values))
    return covariance
