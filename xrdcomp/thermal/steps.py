"""Steps as a person draws them: peaks of the DTG, valleys between them, extrapolated onset and end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from xrdcomp.results import Estimate
from xrdcomp.thermal.curve import Z95, SmoothedCurve, derivative, derivative_std, smoothed_std, whittaker
from xrdcomp.units import FloatArray

_MIN_LOSS = 0.003
_MIN_NET_LOSS = 0.0015
_MIN_SHARE_OF_TOTAL = 0.004
_MIN_SHARE_OF_HIGHEST = 0.012
_PROMINENCE_SHARE = 0.12
_FOOT_SHARE = 0.04
_FLAT_SHARE = 0.004
_NOISE_FACTOR = 5.0
_NEIGHBOURHOOD_C = 40.0
_MIN_NET_SHARE = 0.15
_RINGING_LENGTHS = 16.0
_RINGING_SHARE = 0.1
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


@dataclass(frozen=True, kw_only=True)
class _Maximum:
    """A maximum of the DTG on the scale (smoothing length in grid points) it was found on."""

    index: int
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
        maxima = [_Maximum(index=i, dtg=dtg, length=wide) for i in _prominent(curve, at_scale, dtg, wide)]
        noise = derivative_std(raw.bin_noise, wide) / raw.step
        fine = []
        for k, top in enumerate(maxima):
            peak = _with_feet(maxima, k, noise)
            loss = peak.loss(at_scale)
            # loss above the level of the higher foot; a foot where the run begins or ends does not count
            feet = [dtg[i] for i in (peak.start, peak.end) if 0 < i < len(dtg) - 1]
            level = max(feet) if feet else 0.0
            net = float(np.clip(dtg[peak.start : peak.end + 1] - level, 0.0, None).sum() * raw.step)
            if loss >= _MIN_LOSS and net >= max(least, _MIN_NET_SHARE * loss):
                fine.append(top)
        found = _refine(found, fine)
    peaks = (_with_feet(found, k, curve.dtg_noise) for k in range(len(found)))
    return tuple(peak for peak in peaks if peak.loss(curve.mass) >= _MIN_LOSS)


def _prominent(curve: SmoothedCurve, mass: FloatArray, dtg: FloatArray, length: float) -> list[int]:
    """Maxima of the DTG on one scale that are neither noise, nor a shoulder's wiggle, nor an echo."""
    from scipy.signal import find_peaks as local_maxima

    raw = curve.raw
    # a loss under way at the start or the end has its maximum there: the DTG is continued at its lowest level
    floor = min(float(dtg.min()), 0.0)
    padded = np.concatenate(([floor], dtg, [floor]))
    highest = max(float(dtg.max()), 1e-12)
    tops, info = local_maxima(padded, prominence=_MIN_SHARE_OF_HIGHEST * highest)
    # noise around each point from the residuals of the smoothing within ±40 °C: vibrations and drafts come and go.
    # White residuals would give `derivative_std`; twice that allows for noise that is correlated over a few bins.
    residual = np.abs(raw.mass - mass) * np.sqrt(raw.weights)
    width = max(int(_NEIGHBOURHOOD_C / raw.step), 5)
    starts = range(0, len(residual), width)
    medians = [float(np.median(residual[max(i - width, 0) : i + width])) for i in starts]
    nodes = np.arange(len(residual), dtype=float)
    scatter: FloatArray = np.interp(nodes, np.array(starts, dtype=float), medians) / 0.6745
    white = derivative_std(raw.bin_noise, length) / raw.step
    noise = np.maximum(2.0 * derivative_std(1.0, length) / raw.step * scatter, white)
    chosen = [
        int(top) - 1
        for top, prominence in zip(tops, info["prominences"], strict=True)
        if prominence > max(_PROMINENCE_SHARE * padded[top], _NOISE_FACTOR * noise[top - 1])
    ]
    # a sharp step rings over some smoothing lengths to both sides
    reach = _RINGING_LENGTHS * max(length, 1.0)
    return [
        top
        for top in chosen
        if not any(
            0 < abs(other - top) < reach and dtg[top] < _RINGING_SHARE * dtg[other] for other in chosen
        )
    ]


def _refine(coarse: list[_Maximum], fine: list[_Maximum]) -> list[_Maximum]:
    """Replace every coarse maximum by the finer ones between its valleys, where there are any."""
    if not coarse:
        return fine
    edges = [0, *(_valley(a, b) for a, b in pairwise(coarse)), len(coarse[0].dtg)]
    out: list[_Maximum] = []
    for k, (low, high) in enumerate(pairwise(edges)):
        out += [top for top in fine if low <= top.index < high] or coarse[k : k + 1]
    return out


def _valley(before: _Maximum, after: _Maximum) -> int:
    """Lowest point between two maxima, on the coarser of their scales."""
    dtg = before.dtg if before.length > after.length else after.dtg
    low, high = sorted((before.index, after.index))
    return low + int(np.argmin(dtg[low : high + 1]))


def _with_feet(found: list[_Maximum], k: int, noise: float) -> Peak:
    """Feet of the k-th maximum, for a standard deviation `noise` of the DTG."""
    top, dtg = found[k].index, found[k].dtg
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


@dataclass(frozen=True, kw_only=True)
class Tangents:
    """Extrapolated onset, DTG peak and extrapolated end of a step, °C."""

    onset_c: float
    peak_c: float
    endset_c: float


def tangents(curve: SmoothedCurve, start: int, end: int) -> Tangents | None:
    """Onset, peak and end of a step between two grid points; None where nothing is lost.

    The tangent at the steepest point meets the lines through the feet, whose slopes are those of the curve there
    (ISO 11358-1).
    """
    if end - start < 3:
        return None
    dtg, mass, axis = curve.dtg, curve.mass, curve.raw.progress
    top = start + int(np.argmax(dtg[start : end + 1]))
    steepest = dtg[top]
    if steepest <= 0:
        return None
    crossings = []
    for foot in (start, end):
        # a foot in a valley between two losses is steep; half the steepest slope keeps the lines apart
        slope = min(dtg[foot], 0.5 * steepest)
        distance = (mass[foot] - mass[top] - slope * (axis[top] - axis[foot])) / (steepest - slope)
        crossings.append(float(np.clip(axis[top] - distance, axis[start], axis[end])))
    temperature = curve.raw.temperature_c
    onset, endset = (float(np.interp(c, axis, temperature)) for c in crossings)
    peak = float(np.interp(_vertex(dtg, top, start, end), np.arange(len(axis)), temperature))
    return Tangents(onset_c=onset, peak_c=peak, endset_c=endset)


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
