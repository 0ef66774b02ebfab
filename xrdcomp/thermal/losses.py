"""Losses in a smoothed curve: peaks of the DTG as a person draws them, and boundaries with their uncertainty.

Boundaries are DTG minima near the literature windows. Three things may put mass on the wrong side of a cut there:
neighbouring losses that overlap, salts that evaporate while carbonate still goes, and hydroxyl of apatite that leaves
before the carbonate's window ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import log_ndtr

from xrdcomp.data import Diagnostic, message_kind
from xrdcomp.errors import AnalysisError
from xrdcomp.results import Estimate, TgaStep
from xrdcomp.thermal.curve import HeatingCurve, SmoothedCurve
from xrdcomp.thermal.programme import shift_with_rate
from xrdcomp.thermal.smoothing import UNIFORM_STD, Z95, derivative, derivative_std, smoothed_std, whittaker
from xrdcomp.units import APATITE_HYDROXYL, GAS_CONSTANT, FloatArray, IntArray, celsius_to_kelvin, median

if TYPE_CHECKING:
    from xrdcomp.thermal.components import Shape

LATE_PEAK = message_kind("TGA_LATE_PEAK", "warning",
    "A loss has its peak above the range of carbonates, where chlorides evaporate. The carbonate was ended before it.",
    remedy="Look for halite and sylvite in the diffraction pattern, or wash the specimen.",
    threshold="peak above 885 °C at 10 K/min that cannot be the hydroxyl of apatite",
    origin="simulated specimens with 0.2 to 8 % halite or sylvite (benchmarks.thermal_study)",
)  # fmt: skip

# ---- Peaks, valleys between them, extrapolated onset and end ----

# a loss that counts, and above its feet: fractions of the start mass; of it, and of all that the run loses
_MIN_LOSS, _MIN_NET_LOSS, _MIN_NET_SHARE, _MIN_SHARE_OF_TOTAL = 0.003, 0.0015, 0.15, 0.004
# prominence of a peak: shares of its own height and of the highest one, and multiple of the noise within ± so many °C
_PROMINENCE_SHARE, _MIN_SHARE_OF_HIGHEST, _NOISE_FACTOR, _NEIGHBOURHOOD_C = 0.12, 0.012, 5.0, 40.0
# DTG at a foot and where a tail ends, as shares of the peak; reach and height of the echoes of the smoothing
_FOOT_SHARE, _FLAT_SHARE, _RINGING_LENGTHS, _RINGING_SHARE = 0.04, 0.004, 16.0, 0.1
_SCALES = (4.0, 2.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Peak:
    """One DTG peak by grid index: foot before, maximum, foot after."""

    start: int
    top: int
    end: int

    def loss(self, mass: FloatArray) -> float:
        """Mass lost between the feet."""
        return float(mass[self.start] - mass[self.end])


class _Maximum(NamedTuple):
    """A maximum of the DTG on the scale (smoothing length in grid points) it was found on."""

    top: int
    dtg: FloatArray
    length: float


def find_peaks(curve: SmoothedCurve) -> tuple[Peak, ...]:
    """Peaks of −dm/du that stand out of the noise and of their neighbours' flanks.

    The DTG is looked at with four, two and one smoothing lengths: broad low peaks show on the coarse scale, and are
    divided or sharpened on the finer ones. On its scale a peak counts where its prominence exceeds five standard
    deviations of the DTG around it, 1.2 % of the highest peak and 12 % of its own height, and where it is no echo of
    the smoothing beside a peak ten times as high. Between its feet at least 0.3 % of the mass must be lost, and 0.15 %
    (and 15 % of that loss and 0.4 % of all that the run loses) above the level of the higher one. The feet are the
    valley to the next peak or the place where the DTG has come down to 4 % of the peak, moved out to where it is flat
    (0.4 %) if that is no further again.
    """
    raw = curve.raw
    least = max(_MIN_NET_LOSS, _MIN_SHARE_OF_TOTAL * float(curve.mass.max() - curve.mass.min()))
    found: list[_Maximum] = []
    for scale in _SCALES:
        wide = scale * curve.length
        at_scale = curve.mass if scale == 1.0 else whittaker(raw.mass, raw.weights, wide)
        dtg = -derivative(at_scale, raw.step)
        maxima = [_Maximum(i, dtg, wide) for i in _prominent(curve, at_scale, dtg, wide)]
        noise = derivative_std(raw.bin_noise, wide) / raw.step
        fine = []
        for k, maximum in enumerate(maxima):
            peak = _with_feet(maxima, k, noise)
            loss = peak.loss(at_scale)
            # loss above the level of the higher foot; a foot where the run begins or ends does not count
            feet = [dtg[i] for i in (peak.start, peak.end) if 0 < i < len(dtg) - 1]
            level = max(feet) if feet else 0.0
            net = float(np.clip(dtg[peak.start : peak.end + 1] - level, 0.0, None).sum() * raw.step)
            if loss >= _MIN_LOSS and net >= max(least, _MIN_NET_SHARE * loss):
                fine.append(maximum)
        # every maximum of the coarser scale gives way to the finer ones between its valleys, where there are any
        edges = [0, *(_valley(a, b) for a, b in pairwise(found)), len(dtg)]
        coarse, found = found, [] if found else fine
        for k, maximum in enumerate(coarse):
            found += [m for m in fine if edges[k] <= m.top < edges[k + 1]] or [maximum]
    peaks = (_with_feet(found, k, derivative_std(raw.bin_noise, curve.length) / raw.step) for k in range(len(found)))
    return tuple(peak for peak in peaks if peak.loss(curve.mass) >= _MIN_LOSS)


def _prominent(curve: SmoothedCurve, mass: FloatArray, dtg: FloatArray, length: float) -> list[int]:
    """Maxima of the DTG on one scale that are neither noise, nor a shoulder's wiggle, nor an echo."""
    raw = curve.raw
    # a loss under way at the start or the end has its maximum there: the DTG is continued at its lowest level
    floor = min(float(dtg.min()), 0.0)
    padded = np.concatenate(([floor], dtg, [floor]))
    highest = max(float(dtg.max()), 1e-12)
    prominences = {top: _prominence(padded, top) for top in _local_maxima(padded)}
    # noise around each point from the residuals of the smoothing within ±40 °C: vibrations and drafts come and go.
    # White residuals would give `derivative_std`; twice that allows for noise that is correlated over a few bins.
    residual = np.abs(raw.mass - mass) * np.sqrt(raw.weights)
    width = max(int(_NEIGHBOURHOOD_C / raw.step), 5)
    starts = range(0, len(residual), width)
    medians = [median(residual[max(i - width, 0) : i + width]) for i in starts]
    nodes = np.arange(len(residual), dtype=float)
    scatter: FloatArray = np.interp(nodes, np.array(starts, dtype=float), medians) / 0.6745
    white = derivative_std(raw.bin_noise, length) / raw.step
    noise = np.maximum(2.0 * derivative_std(1.0, length) / raw.step * scatter, white)
    chosen = [
        top - 1
        for top, prominence in prominences.items()
        if prominence >= _MIN_SHARE_OF_HIGHEST * highest
        and prominence > max(_PROMINENCE_SHARE * padded[top], _NOISE_FACTOR * noise[top - 1])
    ]
    # a sharp step rings over some smoothing lengths to both sides
    reach = _RINGING_LENGTHS * max(length, 1.0)
    return [
        top
        for top in chosen
        if not any(0 < abs(other - top) < reach and dtg[top] < _RINGING_SHARE * dtg[other] for other in chosen)
    ]


def _local_maxima(y: FloatArray) -> list[int]:
    """Points, or middles of level stretches, above what lies on both sides of them.

    This and `_prominence` agree with ``scipy.signal``, whose import takes longer than the analysis of a run.
    """
    changes = np.flatnonzero(np.diff(y))  # a level stretch reaches from the point after a change to the next change
    rises = y[changes + 1] > y[changes]
    tops = np.flatnonzero(rises[:-1] & ~rises[1:])
    return [int(i) for i in (changes[tops] + 1 + changes[tops + 1]) // 2]


def _prominence(y: FloatArray, top: int) -> float:
    """Height above the higher of the lowest points between a maximum and what is higher on either side."""
    higher = np.flatnonzero(y > y[top])
    k = int(np.searchsorted(higher, top))
    left = int(higher[k - 1]) + 1 if k else 0
    right = int(higher[k]) if k < len(higher) else len(y)
    return float(y[top] - max(y[left : top + 1].min(), y[top:right].min()))


def _valley(before: _Maximum, after: _Maximum) -> int:
    """Lowest point between two maxima, on the coarser of their scales."""
    dtg = before.dtg if before.length > after.length else after.dtg
    low, high = sorted((before.top, after.top))
    return low + int(np.argmin(dtg[low : high + 1]))


def _with_feet(found: list[_Maximum], k: int, noise: float) -> Peak:
    """Feet of the k-th maximum, for a standard deviation `noise` of the DTG."""
    top, dtg = found[k].top, found[k].dtg
    low = _valley(found[k - 1], found[k]) if k > 0 else 0
    high = _valley(found[k], found[k + 1]) if k + 1 < len(found) else len(dtg) - 1
    floor = max(_FOOT_SHARE * dtg[top], 2.0 * noise)
    below_left = np.flatnonzero(dtg[low:top] < floor)
    below_right = np.flatnonzero(dtg[top : high + 1] < floor)
    start = low + int(below_left[-1]) if len(below_left) else low
    end = top + int(below_right[0]) if len(below_right) else high
    # tails hold mass too: out to where the DTG is flat, if that is no further again than the foot is from the top
    flat = dtg < max(_FLAT_SHARE * dtg[top], noise)
    before = np.flatnonzero(flat[max(2 * start - top, low) : start + 1])
    after = np.flatnonzero(flat[end : min(2 * end - top, high) + 1])
    start = max(2 * start - top, low) + int(before[-1]) if len(before) else start
    end = end + int(after[0]) if len(after) else end
    return Peak(start=start, top=top, end=end)


def measured_step(curve: SmoothedCurve, name: str, start: int, end: int, loss: Estimate) -> TgaStep:
    """Step between two grid points with its onset, peak and end, which are None where nothing is lost.

    The tangent at the steepest point meets the lines through the feet, whose slopes are those of the curve there
    (ISO 11358-1).
    """
    temperature, dtg, mass, axis = curve.raw.temperature_c, curve.dtg, curve.mass, curve.raw.progress
    step = TgaStep(name=name, start_c=float(temperature[start]), end_c=float(temperature[end]), mass_loss=loss)
    if end - start < 3:
        return step
    # the flank of a neighbour at the edge is no peak of this step; where the run begins or ends there is none
    beside = np.concatenate(([-np.inf], dtg, [-np.inf]))[start : end + 3]
    places = np.arange(start + (start > 0), end + 1 - (end < len(dtg) - 1))
    peaked = places[(dtg[places] >= beside[places - start]) & (dtg[places] >= beside[places - start + 2])]
    top = int(peaked[np.argmax(dtg[peaked])]) if len(peaked) else start + int(np.argmax(dtg[start : end + 1]))
    steepest = dtg[top]
    if steepest <= 0:
        return step
    feet = np.array([start, end])
    # a foot in a valley between two losses is steep; half the steepest slope keeps the lines apart
    slope = np.minimum(dtg[feet], 0.5 * steepest)
    distance = (mass[feet] - mass[top] - slope * (axis[top] - axis[feet])) / (steepest - slope)
    onset, endset = np.interp(np.clip(axis[top] - distance, axis[start], axis[end]), axis, temperature).tolist()
    peak = float(np.interp(np.clip(_vertex(dtg, top, start, end), start, end), np.arange(len(axis)), temperature))
    return replace(step, onset_c=onset, peak_c=peak, endset_c=endset)


def _vertex(dtg: FloatArray, top: int, start: int, end: int) -> float:
    """Position of a peak's maximum, in grid points: the vertex of a cubic through its upper fifth."""
    low = high = top
    while low > start and dtg[low - 1] > 0.8 * dtg[top]:
        low -= 1
    while high < end and dtg[high + 1] > 0.8 * dtg[top]:
        high += 1
    if high - low < 5:
        return float(top)
    half = 0.5 * (high - low)
    offset = (np.arange(low, high + 1) - top) / half
    c3, c2, c1, _ = np.polyfit(offset, dtg[low : high + 1] / dtg[top], 3)
    roots = np.roots([3.0 * c3, 2.0 * c2, c1])
    maxima = [r.real for r in roots if abs(r.imag) < 1e-9 and 6.0 * c3 * r.real + 2.0 * c2 < 0]
    inside = [m for m in maxima if abs(m) <= 1.5]
    return float(top + half * min(inside, key=abs)) if inside else float(top)


def loss_between(curve: SmoothedCurve, start: int, end: int) -> Estimate:
    """Mass lost between two grid points, with noise, placement, buoyancy, drift and start mass propagated."""
    loss = float(curve.mass[start] - curve.mass[end])
    dtg = curve.dtg
    variance = 2.0 * smoothed_std(curve.raw.bin_noise, curve.length) ** 2
    # a foot may be placed otherwise, but not the beginning and the end of the run
    inner = [i for i in (start, end) if 0 < i < len(dtg) - 1]
    variance += sum((dtg[i] * 0.5 * curve.recipe.placement_std_c) ** 2 for i in inner)
    corrections = curve.correction_covariances(np.array([start, end])).values()
    variance += sum(float(c[0, 0] + c[1, 1] - c[0, 1] - c[1, 0]) for c in corrections)
    std = float(np.sqrt(variance + (loss * curve.raw.start_std) ** 2))
    return Estimate.normal(loss, std, coverage_factor=Z95)


# ---- Boundaries at DTG minima ----

# kJ/mol that move the ends of water, organic and carbonate with the heating rate
_ENERGY_KJ = (90.0, 200.0, 260.0)
_LENGTH_FACTORS = (0.7, 1.0, 1.5)
_LITERATURE_STD_C, _END_MARGIN_C = 12.0, 6.0
_WIDTHS = np.array([1.0, 1.0, 0.5])  # of the search; carbonate ends within 30 °C (STATISTICS: it flips beyond hydroxyl)
_IN_DIOXIDE_C = 1000.0  # calcite does not decompose below 895 °C in a bar of CO2, at whatever rate
_STILL_C, _STILL_SHARE, _FINISHED_EARLIER_C, _GONE_HELD_C, _GONE_HEATED_C = 15.0, 0.005, 120.0, 715.0, 800.0
# a hold: temperature rises less than a quarter of the progress, for so long; its loss is a slow reaction's, by gas
_BURNS_C, _GAP_C = 520.0, 15.0
# kJ/mol of CO2 of apatite and calcite; mean and std of its rate before the knee over that after, anything from 1 to 2
_HELD_ENERGY_KJ, _SLOWED = 210.0, (1.5, 0.29)
_HOLD_SLOPE, _HOLD_C, _KNEE, _KNEE_OXIDISING, _KNEE_INERT = 0.25, 20.0, 1.5, 0.85, 0.5


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Literature boundaries in °C, how far to search around each, and the standard uncertainty of its place.

    `salts_apart` where the last one was put before salts that evaporate; `salt_doubt` is then the standard uncertainty
    of the mass there from what carbonate and salts share. `at_end`: the last one is the end of the run, where nothing
    goes any more.
    """

    literature_c: FloatArray
    half_width_c: FloatArray
    placement_std_c: FloatArray
    salts_apart: bool = False
    salt_doubt: float = 0.0
    at_end: bool = False
    messages: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Boundaries:
    """Masses at the b boundaries, from the end of the water on; arrays are (b,).

    `mass` is a fraction of the start mass. `covariance` maps each source of uncertainty to a (b, b) array; sources are
    independent, and their sum is the covariance of `mass`.
    """

    progress: FloatArray
    temperature_c: FloatArray
    mass: FloatArray
    covariance: Mapping[str, FloatArray]

    @property
    def total_covariance(self) -> FloatArray:
        """Sum over all sources."""
        total: FloatArray = np.sum(list(self.covariance.values()), axis=0)
        return total


def goes_at(curve: SmoothedCurve, places: slice) -> bool:
    """Tell if mass still goes, or has begun to go, over a range of grid points: by 0.5 % of the highest DTG."""
    noise = derivative_std(curve.raw.bin_noise, curve.length) / curve.raw.step
    return float(np.median(curve.dtg[places])) > max(_STILL_SHARE * float(curve.dtg.max()), 3.0 * noise)


def literature_windows(curve: SmoothedCurve) -> Windows:
    """Ends of water, organic and carbonate at the run's rate that it reaches, by what still goes at its end.

    Where nothing goes any more, the organic is complete 120 °C before its end in the literature, and the carbonate from
    800 °C on, on a hold from 715 °C (both at 10 K/min); else 10 and 100 °C before.
    """
    recipe, rate, temperature = curve.recipe, curve.raw.heating_rate_k_min, curve.raw.temperature_c
    stated = (recipe.water_end_c, recipe.organic_end_c, recipe.carbonate_end_c)
    water, organic, carbonate = (shift_with_rate(t, rate, e) for t, e in zip(stated, _ENERGY_KJ, strict=True))
    if curve.gases[-1] == "carbon_dioxide":
        carbonate = max(carbonate, _IN_DIOXIDE_C)
    end = float(temperature[-1])
    tail = min(max(int(_STILL_C / curve.raw.step), 3), len(temperature))
    still = goes_at(curve, slice(-tail, None))
    reached = [water] if end > water + 30.0 else []
    if reached and end > organic - (10.0 if still else _FINISHED_EARLIER_C):
        reached.append(min(organic, end))
    # any carbonate shows by 800 °C while heating, and goes on a hold of 720 °C
    held = temperature[-1] - temperature[-tail] < _HOLD_SLOPE * _STILL_C
    gone = shift_with_rate(_GONE_HELD_C if held else _GONE_HEATED_C, rate, _ENERGY_KJ[2])
    if len(reached) == 2 and end > (carbonate - 100.0 if still else min(gone, carbonate - 100.0)):
        reached.append(min(carbonate, end))
    return Windows(
        literature_c=np.array(reached),
        half_width_c=recipe.search_half_width_c * _WIDTHS[: len(reached)],
        placement_std_c=np.full(len(reached), recipe.placement_std_c),
        at_end=len(reached) == 3 and not still and end < carbonate - recipe.search_half_width_c * float(_WIDTHS[2]),
    )


def place_boundaries(curve: SmoothedCurve, windows: Windows) -> Boundaries:
    """Place every boundary and propagate what is uncertain about it.

    Sources: ``noise`` (redrawn on the smoothed curve), ``smoothing`` (the smoothed curve again with 0.7 to 1.5 times
    the chosen length, so that noise does not count twice), ``placement`` (literature window, width searched, and the
    loss per °C left at the minimum times `windows.placement_std_c`), ``buoyancy``, ``weighing``, ``drift``, ``blank``
    (with a blank run) and ``start_mass``.
    """
    raw, smooth, length = curve.raw, curve.mass, curve.length
    centres, widths = windows.literature_c[:, None], windows.half_width_c[:, None]

    def minima(curves: FloatArray, centres: FloatArray, widths: FloatArray, length: float) -> IntArray:
        index = _minima(raw, curves, centres, widths, length)
        if windows.at_end:
            index[-1] = len(smooth) - 1
        return index

    best = minima(smooth[:, None], centres, widths, length)[:, 0]
    mass = smooth[best]
    rng = np.random.default_rng(curve.recipe.seed)
    b, k = len(mass), curve.recipe.bootstrap

    # noise: new readings around the smoothed curve go through smoothing and search as the measured ones did
    sigma = raw.noise / np.sqrt(np.maximum(raw.counts, 1.0))
    redrawn = rng.standard_normal((len(smooth), k))
    redrawn *= sigma[:, None]
    redrawn += smooth[:, None]
    redrawn = whittaker(redrawn, raw.weights, length)
    index = minima(redrawn, centres, widths, length)
    covariance = {"noise": np.atleast_2d(np.cov(np.take_along_axis(redrawn, index, axis=0)))}

    values = []
    for factor in _LENGTH_FACTORS:
        again = whittaker(smooth, raw.weights, factor * length)[:, None]
        index = minima(again, centres, widths, factor * length)
        values.append(np.take_along_axis(again, index, axis=0)[:, 0])
    covariance["smoothing"] = np.atleast_2d(np.cov(np.array(values).T))

    # placement: another author's window and width find other minima, and even a minimum is no sharp mark: around it
    # the boundary is moved along the slope. A mass that rises there is noise, drift or buoyancy, which have their own
    # sources.
    shift = np.minimum(_LITERATURE_STD_C, 0.2 * windows.half_width_c)[:, None]
    moved = centres + shift * rng.standard_normal((b, k))
    searched = widths * rng.uniform(0.9, 1.5, (b, k))
    index = minima(smooth[:, None], moved, searched, length)
    jitter = windows.placement_std_c[:, None] * rng.standard_normal((b, k))
    slope = np.minimum(derivative(smooth, raw.step), 0.0)
    covariance["placement"] = np.atleast_2d(np.cov(smooth[index] + slope[index] * jitter))

    ends = list(zip(best.tolist(), windows.literature_c.tolist(), windows.half_width_c.tolist(), strict=True))
    hold = np.array([_on_hold(curve, i, t, w) for i, t, w in ends]).reshape(-1, 2)
    if windows.at_end:
        hold[-1] = 0.0
    mass = mass + hold[:, 0]
    covariance["hold"] = np.diag(hold[:, 1] ** 2)
    covariance["gap"] = np.diag([_in_gap(curve, i, t, w) ** 2 for i, t, w in ends])
    covariance |= curve.correction_covariances(best)
    covariance["start_mass"] = np.outer(mass * raw.start_std, mass * raw.start_std)
    return Boundaries(
        progress=raw.progress[best], temperature_c=raw.temperature_c[best], mass=mass, covariance=covariance
    )


def _on_hold(curve: SmoothedCurve, best: int, centre: float, width: float) -> FloatArray:
    """Change and standard uncertainty of the mass at a boundary where its window holds a hold.

    At one temperature a reaction only slows down: what is finished when the rate has come down to that of the rest of
    the hold is the earlier component, and the slow loss from there on the later one's. The DTG is lowest at the end all
    the same. Both places are weighed: where oxygen burns char in minutes, 85 : 15 for the earlier, else even. By the
    knee the later one has lost as well, since the hold began and R T²/E before, at the rate of its rest or up to twice
    of it.
    """
    raw = curve.raw
    nothing = np.zeros(2)
    flat = np.gradient(raw.temperature_c, raw.step) < _HOLD_SLOPE
    edges = np.flatnonzero(
        np.diff(np.concatenate(([0], (flat & (np.abs(raw.temperature_c - centre) <= width)).astype(int), [0])))
    )
    lengths = edges[1::2] - edges[::2]
    if not len(lengths) or lengths.max() * raw.step < _HOLD_C:
        return nothing
    begin, end = int(edges[2 * int(np.argmax(lengths))]), int(edges[2 * int(np.argmax(lengths)) + 1]) - 1
    low = int(np.searchsorted(raw.temperature_c, centre - width))
    # rate that goes on through the second half of the hold
    going = max(float(curve.mass[(begin + end) // 2] - curve.mass[end]) / (0.5 * (end - begin) * raw.step), 0.0)
    noise = derivative_std(raw.bin_noise, curve.length) / raw.step
    done = np.flatnonzero(curve.dtg[low : end + 1] <= max(_KNEE * going, 3.0 * noise))
    knee = low + int(done[0]) if len(done) else end
    if curve.mass[knee] - curve.mass[end] <= 3.0 * smoothed_std(raw.bin_noise, curve.length):
        return nothing
    oxidising = curve.gases[end] in ("air", "oxygen") and curve.raw.temperature_c[knee] >= _BURNS_C
    weight = _KNEE_OXIDISING if oxidising or curve.burn is not None else _KNEE_INERT
    since_c = max(knee - begin, 0) * raw.step
    since_c += GAS_CONSTANT * float(celsius_to_kelvin(raw.temperature_c[knee])) ** 2 / (1e3 * _HELD_ENERGY_KJ)
    slowest = going * since_c
    earlier = float(curve.mass[knee]) + _SLOWED[0] * slowest
    mean = weight * earlier + (1.0 - weight) * float(curve.mass[end])
    half = np.sqrt(weight * (1.0 - weight)) * (earlier - float(curve.mass[end]))
    half = np.hypot(half, _SLOWED[1] * weight * slowest)
    return np.array([mean - float(curve.mass[best]), half])


def _in_gap(curve: SmoothedCurve, best: int, centre: float, width: float) -> float:
    """Standard uncertainty of the mass at a boundary from ranges without readings in its window.

    A boundary inside one may be anywhere in it; one beside it might have been found there.
    """
    raw, found = curve.raw, 0.0
    filled = np.flatnonzero(raw.counts > 0)
    for k in np.flatnonzero(np.diff(filled) * raw.step >= _GAP_C).tolist():
        before, after = int(filled[k]), int(filled[k + 1])
        if raw.temperature_c[after] < centre - width or raw.temperature_c[before] > centre + width:
            continue
        inside = before <= best <= after
        most = np.abs(curve.mass[[before, after]] - curve.mass[best]).max() if inside else 0.0
        found = max(found, float(most), 0.5 * abs(float(curve.mass[before] - curve.mass[after])))
    return UNIFORM_STD * found


def _minima(raw: HeatingCurve, curves: FloatArray, centres: FloatArray, widths: FloatArray, length: float) -> IntArray:
    """Index (b, k) of the DTG minimum within `widths` of each literature boundary, in k curves.

    `curves` are (n, k) or (n, 1), `centres` and `widths` (b, k) or (b, 1). The squared distance from the literature
    value, in units of the noise of the DTG, decides where the DTG is flat.
    """
    # a width of 0 means the grid point at the literature value
    widths = np.maximum(widths, raw.step)
    flat = max(derivative_std(raw.bin_noise, length) / raw.step, 1e-7)
    last = float(raw.temperature_c[-1]) - _END_MARGIN_C  # the slope at the end of a run is uncertain
    out = np.empty((len(centres), max(centres.shape[1], curves.shape[1])), dtype=np.int64)
    for i, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        low = int(np.searchsorted(raw.temperature_c, (centre - width).min()))
        highest = min(float((centre + width).max()), last)
        high = int(np.searchsorted(raw.temperature_c, highest, side="right"))
        low = min(low, max(high - 3, 0))
        rows = slice(low, max(high, low + 3))
        distance = (raw.temperature_c[rows, None] - centre) / width
        cost = -derivative(curves[rows], raw.step) + 2.0 * flat * distance**2
        cost = np.where(np.abs(distance) <= 1.0, cost, np.inf)
        nearest = np.argmin(np.abs(distance), axis=0)
        out[i] = low + np.where(np.isfinite(cost).any(axis=0), np.argmin(cost, axis=0), nearest)
    return out


# ---- What a cut at a DTG minimum puts on the wrong side, where neighbouring losses overlap ----

_OVERLAP_RATIO, _FEWEST_POINTS = 0.15, 12
_MAX_COMPONENTS, _CORRELATION_LENGTHS = 4, 1.5


def with_overlap(boundaries: Boundaries, curve: SmoothedCurve, salt_doubt: float) -> Boundaries:
    """Add the source ``overlap``: the mass that component peaks would put on the other side of a boundary.

    Evaluated where the DTG at a boundary is more than 15 % of the smaller of the two peaks beside it (``decompose =
    "auto"``), at every boundary (``"always"``) or nowhere (``"never"``). It is no more than anything up to
    `most_crossing` would be, because fitted peaks have tails of any length, and only what exceeds the source
    ``placement``, which is the same error seen otherwise. Char goes on losing mass in the carbonate's window, which is
    no tail: with nothing that burns it away the end of the organic has no such bound. The end of the carbonate takes
    `salt_doubt`, the mass that carbonate and evaporating salts share.
    """
    n = len(boundaries.mass)
    wrong, placed = np.zeros(n), boundaries.covariance["placement"].diagonal()
    decompose = curve.recipe.decompose
    if decompose != "never":
        edges = [0, *(curve.raw.index_at(p) for p in boundaries.progress)]
        for k in range(min(n, 2)):
            low, cut = edges[k], edges[k + 1]
            high = edges[k + 2] if k + 2 < len(edges) else len(curve.mass) - 1
            if high - low < _FEWEST_POINTS:
                continue
            if decompose == "auto" and overlap_ratio(curve.dtg, low, cut, high) <= _OVERLAP_RATIO:
                continue
            most = np.inf if curve.inert and k == 1 else UNIFORM_STD * most_crossing(curve, cut, _ENERGY_KJ[k])
            if most**2 > placed[k]:  # else nothing is left of it, whatever the peaks say
                wrong[k] = min(abs(crossing_mass(curve, low, cut, high)), most)
    wrong = np.sqrt(np.maximum(wrong**2 - placed, 0.0))
    if n > 2:
        wrong[2] = salt_doubt
    return replace(boundaries, covariance={**boundaries.covariance, "overlap": np.diag(wrong**2)})


def most_crossing(curve: SmoothedCurve, cut: int, energy_kj: float) -> float:
    """Largest mass that a cut at a DTG minimum (a grid point) can put on the wrong side.

    Where one tail falls over a length a and the next loss rises over b, the DTG d is lowest where both bend alike, and
    d·|a − b| of mass is on the wrong side; the tails of thermally activated reactions are some RT²/E long. A larger E
    (kJ/mol) allows less.
    """
    raw = curve.raw
    length_c = GAS_CONSTANT * float(celsius_to_kelvin(raw.temperature_c[cut])) ** 2 / (1e3 * energy_kj)
    half = max(int(0.5 * length_c / raw.step), 1)
    low, high = max(cut - half, 0), min(cut + half, len(curve.mass) - 1)
    return length_c * max(float(curve.mass[low] - curve.mass[high]), 0.0) / (float(high - low) * raw.step)


def overlap_ratio(dtg: FloatArray, low: int, cut: int, high: int) -> float:
    """DTG at a cut relative to the smaller of the peaks on both sides; 0 where a side is too narrow."""
    if cut - low < 3 or high - cut < 3:
        return 0.0
    smaller = min(float(dtg[low:cut].max()), float(dtg[cut:high].max()))
    return float(dtg[cut]) / max(smaller, 1e-12)


def crossing_mass(
    curve: SmoothedCurve, low: int, cut: int, high: int, *, shapes: tuple[Shape, ...] = ("fraser_suzuki",)
) -> float:
    """Mass on the wrong side of the grid point `cut`, by component peaks between `low` and `high`.

    Subtracted from the mass at the cut it gives the mass at which the loss before would be complete and the one after
    not begun. 0 where nothing can be fitted.
    """
    from xrdcomp.thermal.components import separate_peaks

    raw = curve.raw
    try:
        parts = separate_peaks(
            raw.progress[low : high + 1],
            curve.dtg[low : high + 1],
            correlation_c=_CORRELATION_LENGTHS * curve.length * raw.step,
            shapes=shapes,
            max_components=_MAX_COMPONENTS,
        )
    except AnalysisError:
        return 0.0
    return parts.crossing(float(raw.progress[cut]))


# ---- Losses above where carbonates go: salts that evaporate, and hydroxyl that begins to leave before ----

_LATEST_CARBONATE_PEAK_C, _SALT_ENERGY_KJ = 885.0, 230.0
_CUT_C, _SHARED_FROM_C, _SHARED_TO_C, _HALF_WIDTH_C, _SHARED_STD = 815.0, 780.0, 850.0, 3.0, 0.5
_END_BINS, _MOST_OF_IT = 40, 0.8
_MOST_HYDROXYL = 0.021  # that of apatite, and the tails of what went before
_HYDROXYL_ALONE_C = 1020.0  # at 10 K/min; halite's and sylvite's losses peak below 1000 °C
_HYDROXYL_ENERGY_KJ, _ENERGY_FACTOR, _EARLY_HYDROXYL, _FRONT_C = 280.0, 1.25, 0.05, 100.0


def end_carbonate_before_salts(curve: SmoothedCurve, peaks: tuple[Peak, ...], windows: Windows) -> Windows:
    """End the carbonate at 815 °C where a later loss peaks above 885 °C (both at 10 K/min).

    CO2 of apatite and calcite has gone by then in any gas but carbon dioxide itself, while halite and sylvite
    evaporate between 800 and 1000 °C. Between 780 and 850 °C both go: half of what is lost there is the standard
    uncertainty of the cut. What follows stays in the residue, of which the salt was a part. Where nearly nothing is
    left (more than 80 % gone), char burnt and no salt evaporated. A loss no larger than apatite's hydroxyl that still
    rises at the end of the run, or peaks above 1020 °C (at 10 K/min), where salts have gone, is no salt.
    """
    raw, mass, rate = curve.raw, curve.mass, curve.raw.heating_rate_k_min
    latest, alone, cut, shared_from, shared_to = (
        shift_with_rate(t, rate, _SALT_ENERGY_KJ)
        for t in (_LATEST_CARBONATE_PEAK_C, _HYDROXYL_ALONE_C, _CUT_C, _SHARED_FROM_C, _SHARED_TO_C)
    )

    def may_be_hydroxyl(peak: Peak) -> bool:
        late = peak.top > len(mass) - _END_BINS or float(raw.temperature_c[peak.top]) > alone
        return late and peak.loss(mass) < _MOST_HYDROXYL * float(mass[-1])

    late = [p for p in peaks if raw.temperature_c[p.top] > latest and not may_be_hydroxyl(p)]
    if len(windows.literature_c) < 3 or curve.atmosphere == "carbon_dioxide" or not late:
        return windows
    before, at, after = (float(np.interp(t, raw.temperature_c, mass)) for t in (shared_from, cut, shared_to))
    follows = at - float(mass[-1])
    if follows > _MOST_OF_IT * at:
        return windows
    literature, half = windows.literature_c.copy(), windows.half_width_c.copy()
    literature[2], half[2] = cut, _HALF_WIDTH_C
    top, doubt = float(raw.temperature_c[late[0].top]), _SHARED_STD * max(before - after, 0.0)
    note = LATE_PEAK(
        f"A loss has its peak at {top:.0f} °C, above the range of carbonates (up to {latest:.0f} °C at this heating "
        f"rate), where chlorides evaporate. The carbonate was ended at {cut:.0f} °C, ± {100 * doubt:.2f} wt%, and the "
        f"{100 * follows:.2f} % after it are counted as residue. Look for halite and sylvite in the "
        "diffraction pattern, or wash the specimen.",
        peak_c=top,
        carbonate_end_c=cut,
        lost=follows,
        doubt=doubt,
    )
    return replace(
        windows, literature_c=literature, half_width_c=half, salts_apart=True, salt_doubt=doubt, messages=(note,)
    )


def with_late_front(boundaries: Boundaries, curve: SmoothedCurve) -> Boundaries:
    """Give back what had left of the hydroxyl before the carbonate's end, from how the loss goes on after it.

    The first part of a thermally activated reaction has gone as T² exp(−E/RT), so that what follows the end of the
    carbonate tells what came before it: the front fitted to the (at most) 100 °C after the boundary is continued below
    it, as far as the loss per °C around the boundary allows. E of dehydroxylation is 280 kJ/mol, known within a factor
    of 1.25 (its stages differ: Wang, Dorner-Reisel & Müller, J. Eur. Ceram. Soc. 24 (2004) 693). Where the noise hides
    the front, or the run ends at the boundary, the prior decides: no loss below nought, and some 5 % of the hydroxyl
    that the residue may hold. The source ``late_loss`` carries noise and energy, and the loss per °C that the front
    does not explain, times `recipe.placement_std_c`: it may be either side's.
    """
    raw, placement_std_c = curve.raw, curve.recipe.placement_std_c
    at, residue = float(boundaries.progress[2]), max(float(boundaries.mass[2]), 0.0)
    beside = np.flatnonzero(np.abs(raw.progress - at) <= placement_std_c)
    after = np.flatnonzero((raw.progress >= at) & (raw.progress <= at + _FRONT_C))
    left_per_c = _not_negative(_amount(raw.progress[beside], raw, beside), np.inf).value

    # mass that the front took before the boundary is the amount of the shape that is 1 there
    prior = _EARLY_HYDROXYL * APATITE_HYDROXYL * residue
    kelvin = celsius_to_kelvin(raw.temperature_c[after])
    energies = 1e3 * (_HYDROXYL_ENERGY_KJ * np.array([1.0 / _ENERGY_FACTOR, 1.0, _ENERGY_FACTOR])) / GAS_CONSTANT
    shapes = ((kelvin / kelvin[0]) ** 2 * np.exp(e * (1.0 / kelvin[0] - 1.0 / kelvin)) for e in energies)
    low, front, high = (_not_negative(_amount(shape, raw, after), prior) for shape in shapes)

    # °C over which the front grows e-fold: continued below, it has lost this times its loss per °C at the boundary
    length_c = 1.0 / float(2.0 / kelvin[0] + energies[1] / kelvin[0] ** 2)
    given = min(front.value, length_c * left_per_c)
    unexplained = left_per_c - given / length_c
    mass, covariance = boundaries.mass.copy(), np.zeros((3, 3))
    mass[2] += given
    covariance[2, 2] = front.variance + 0.25 * (high.value - low.value) ** 2 + (front.value - given) ** 2
    covariance[2, 2] += (placement_std_c * unexplained) ** 2
    return replace(boundaries, mass=mass, covariance={**boundaries.covariance, "late_loss": covariance})


class _Amount(NamedTuple):
    value: float
    variance: float


def _amount(shape: FloatArray, raw: HeatingCurve, rows: IntArray) -> _Amount:
    """Amount of a loss of known shape at the grid points `rows` by least squares; variance infinite: not known."""
    weights, mass = raw.weights[rows], raw.mass[rows]
    total = max(float(weights.sum()), 1e-12)
    centred = shape - float((weights * shape).sum()) / total
    power = float((weights * centred**2).sum())
    if power <= 1e-9:
        return _Amount(0.0, np.inf)
    return _Amount(-float((weights * centred * mass).sum()) / power, max(raw.bin_noise, 1e-7) ** 2 / power)


def _not_negative(measured: _Amount, prior: float) -> _Amount:
    """Mean and variance of an amount from a measurement and a half-normal prior (infinite: anything above 0)."""
    precision = 1.0 / measured.variance + (prior**-2 if prior > 0 else np.inf)
    if not 0.0 < precision < np.inf:
        return _Amount(0.0, 0.0)
    std = precision**-0.5
    # a normal distribution cut at 0; `hazard` is density over probability of what is left, stable far below 0
    z = max(measured.value / measured.variance * std, -6.0)
    hazard = float(np.exp(-0.5 * z * z - log_ndtr(z)) / np.sqrt(2.0 * np.pi))
    return _Amount(std * (z + hazard), std**2 * max(1.0 - hazard * (z + hazard), 0.0))


def shares_gone(curve: SmoothedCurve, start: int, end: int) -> FloatArray:
    """Grid points, as fractions, at which each of 0, 0.5 to 100 % of the loss between two has gone."""
    part = np.maximum.accumulate(curve.mass[start] - curve.mass[start : end + 1])
    points: FloatArray = np.interp(np.linspace(0.0, 1.0, 201) * float(part[-1]), part, np.arange(len(part)))
    return start + points


def half_width_c(curve: SmoothedCurve, start: int, end: int) -> float:
    """Least progress (°C) within which half of the loss between two grid points goes."""
    reached = shares_gone(curve, start, end)
    return float((reached[100:] - reached[:-100]).min()) * curve.raw.step
