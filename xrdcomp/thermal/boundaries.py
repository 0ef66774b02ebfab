"""Losses above where carbonates go: evaporating salts, and hydroxyl that begins to leave before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_ndtr

from xrdcomp.data import Atmosphere, Diagnostic
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import Estimate, TgaResult
from xrdcomp.thermal.components import Decomposition, Shape, separate_peaks
from xrdcomp.thermal.curve import (
    UNIFORM,
    Corrected,
    HeatingCurve,
    derivative,
    derivative_std,
    shift_with_rate,
    smoothed_std,
    whittaker,
)
from xrdcomp.thermal.steps import Peak
from xrdcomp.units import GAS_CONSTANT, FloatArray, IntArray, celsius_to_kelvin

# ------------ Where one loss ends and the next begins: DTG minima near the literature windows, with their
# uncertainty.

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
    return Estimate.normal(loss, std, coverage_factor=_Z95)


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


# ------------ What a cut at a DTG minimum puts on the wrong side, where neighbouring losses overlap.

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


# ------------ Losses above where carbonates go: evaporating salts, and hydroxyl that begins to leave
# before.

_LATEST_CARBONATE_PEAK_C = 885.0
_ENERGY_KJ = 230.0
_CUT_C, _SHARED_C = 815.0, (780.0, 850.0)
_HALF_WIDTH_C = 3.0
_SHARED_STD = 0.5
_END_BINS = 40
_MOST_OF_IT = 0.8
_HYDROXYL_SHARE = 0.021  # 1.793 % of apatite and the tails of what went before
_HYDROXYL_ALONE_C = 1020.0  # at 10 K/min; halite's and sylvite's losses peak below 1000 °C
_HYDROXYL = 0.01793
_HYDROXYL_ENERGY_KJ, _ENERGY_FACTOR = 280.0, 1.25
_EARLY_HYDROXYL = 0.05
_FRONT_C = 100.0


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Literature boundaries in °C and how far to search around each.

    `salt_doubt` is the standard uncertainty of the mass at the last boundary from salts, 0 without them.
    """

    literature_c: FloatArray
    half_width_c: FloatArray
    salt_doubt: float = 0.0
    messages: tuple[Diagnostic, ...] = ()


def end_carbonate_before_salts(
    curve: HeatingCurve, smooth: FloatArray, peaks: tuple[Peak, ...], windows: Windows, atmosphere: Atmosphere
) -> Windows:
    """End the carbonate at 815 °C where a later loss peaks above 885 °C (both at 10 K/min).

    CO2 of apatite and calcite has gone by then in any gas but carbon dioxide itself, while halite and sylvite
    evaporate between 800 and 1000 °C. Between 780 and 850 °C both go: half of what is lost there is the
    standard uncertainty of the cut. What follows stays in the residue, of which the salt was a part.
    Where nearly nothing is left (more than 80 % gone), char burnt and no salt evaporated. A loss no larger than
    apatite's hydroxyl that still rises at the end of the run, or peaks above 1020 °C (at 10 K/min), is no salt.
    """
    rate = curve.heating_rate_k_min
    latest = shift_with_rate(_LATEST_CARBONATE_PEAK_C, rate, _ENERGY_KJ)
    alone = shift_with_rate(_HYDROXYL_ALONE_C, rate, _ENERGY_KJ)
    late = [
        p
        for p in peaks
        if curve.temperature_c[p.top] > latest and not _hydroxyl(p, smooth, curve.temperature_c, alone)
    ]
    if len(windows.literature_c) < 3 or atmosphere == "carbon_dioxide" or not late:
        return windows
    cut = shift_with_rate(_CUT_C, rate, _ENERGY_KJ)
    low, at, high = (
        float(np.interp(shift_with_rate(t, rate, _ENERGY_KJ), curve.temperature_c, smooth))
        for t in (_SHARED_C[0], _CUT_C, _SHARED_C[1])
    )
    if at - float(smooth[-1]) > _MOST_OF_IT * at:
        return windows
    literature, half = windows.literature_c.copy(), windows.half_width_c.copy()
    literature[2], half[2] = cut, _HALF_WIDTH_C
    top, doubt = float(curve.temperature_c[late[0].top]), _SHARED_STD * max(low - high, 0.0)
    note = Diagnostic(
        code="TGA_LATE_PEAK",
        severity="warning",
        text=f"A loss peaks at {top:.0f} °C, above where carbonates go ({latest:.0f} °C at this heating rate): "
        f"chlorides evaporate there. The carbonate was ended at {cut:.0f} °C, ± {100 * doubt:.2f} wt%, and the "
        f"{100 * (at - float(smooth[-1])):.2f} % that follow count as residue. Look for halite and sylvite in the "
        "diffraction pattern, or wash the specimen.",
        facts={"peak_c": top, "carbonate_end_c": cut, "lost": at - float(smooth[-1]), "doubt": doubt},
    )
    return Windows(literature_c=literature, half_width_c=half, salt_doubt=doubt, messages=(note,))


def _hydroxyl(peak: Peak, smooth: FloatArray, temperature_c: FloatArray, alone_c: float) -> bool:
    """Whether a loss may be the hydroxyl of apatite.

    It is no more than apatite holds, and still rises at the end of the run or peaks above `alone_c`, where salts have
    evaporated.
    """
    late = peak.top > len(smooth) - _END_BINS or float(temperature_c[peak.top]) > alone_c
    return late and peak.loss(smooth) < _HYDROXYL_SHARE * float(smooth[-1])


def with_late_front(boundaries: Boundaries, curve: HeatingCurve, placement_std_c: float) -> Boundaries:
    """Give back what had left of the hydroxyl before the carbonate's end, from how the loss goes on after it.

    The first part of a thermally activated reaction has gone as T² exp(−E/RT), so that what follows the end of the
    carbonate tells what came before it: the front fitted to the (at most) 100 °C after the boundary is continued
    below it, as far as the loss per °C around the boundary allows. E of dehydroxylation is 280 kJ/mol, known within a
    factor of 1.25 (its stages differ: Wang, Dorner-Reisel & Müller, J. Eur. Ceram. Soc. 24 (2004) 693). Where the
    noise hides the front, or the run ends at the boundary, the prior decides: no loss below nought, and some 5 % of
    the hydroxyl that the residue may hold. The source ``late_loss`` carries noise and energy, and the loss per °C that
    the front does not explain, times `placement_std_c`: it may be either side's.
    """
    at, residue = float(boundaries.progress[2]), max(float(boundaries.mass[2]), 0.0)
    beside = np.flatnonzero(np.abs(curve.progress - at) <= placement_std_c)
    after = np.flatnonzero((curve.progress >= at) & (curve.progress <= at + _FRONT_C))
    left = _not_negative(_amount(curve.progress[beside], curve, beside), np.inf)
    prior = _EARLY_HYDROXYL * _HYDROXYL * residue
    energies = _HYDROXYL_ENERGY_KJ * np.array([1.0 / _ENERGY_FACTOR, 1.0, _ENERGY_FACTOR])
    (low, _), (front, length_c), (high, _) = (_front(curve, after, e, prior) for e in energies)
    given = min(front.value, length_c * left.value)
    unexplained = left.value - given / length_c
    mass, covariance = boundaries.mass.copy(), np.zeros((3, 3))
    mass[2] += given
    covariance[2, 2] = front.variance + 0.25 * (high.value - low.value) ** 2 + (front.value - given) ** 2
    covariance[2, 2] += (placement_std_c * unexplained) ** 2
    return replace(boundaries, mass=mass, covariance={**boundaries.covariance, "late_loss": covariance})


@dataclass(frozen=True, kw_only=True)
class _Amount:
    value: float
    variance: float


def _front(curve: HeatingCurve, after: IntArray, energy_kj: float, prior: float) -> tuple[_Amount, float]:
    """Mass that a late front took before the first of the grid points `after`, and °C over which it grows e-fold."""
    kelvin = celsius_to_kelvin(curve.temperature_c[after])
    energy = 1e3 * energy_kj / GAS_CONSTANT
    gone = (kelvin / kelvin[0]) ** 2 * np.exp(energy * (1.0 / kelvin[0] - 1.0 / kelvin))
    length_c = 1.0 / float(2.0 / kelvin[0] + energy / kelvin[0] ** 2)
    return _not_negative(_amount(gone, curve, after), prior), length_c


def _amount(shape: FloatArray, curve: HeatingCurve, rows: IntArray) -> _Amount:
    """Amount of a loss of known shape at the grid points `rows` by least squares; variance infinite: not known."""
    weights, mass = curve.weights[rows], curve.mass[rows]
    total = max(float(weights.sum()), 1e-12)
    centred = shape - float((weights * shape).sum()) / total
    power = float((weights * centred**2).sum())
    if power <= 1e-9:
        return _Amount(value=0.0, variance=np.inf)
    value = -float((weights * centred * mass).sum()) / power
    return _Amount(value=value, variance=max(curve.bin_noise, 1e-7) ** 2 / power)


def _not_negative(measured: _Amount, prior: float) -> _Amount:
    """Mean and variance of an amount from a measurement and a half-normal prior (infinite: anything above 0)."""
    precision = 1.0 / measured.variance + (prior**-2 if prior > 0 else np.inf)
    if not 0.0 < precision < np.inf:
        return _Amount(value=0.0, variance=0.0)
    std = precision**-0.5
    z = max(measured.value / measured.variance * std, -6.0)
    hazard = float(np.exp(-0.5 * z * z - log_ndtr(z)) / np.sqrt(2.0 * np.pi))
    return _Amount(value=std * (z + hazard), variance=std**2 * max(1.0 - hazard * (z + hazard), 0.0))
