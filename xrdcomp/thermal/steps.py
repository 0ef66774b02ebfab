"""Steps as a person draws them: peaks of the DTG, valleys between them, extrapolated onset and end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from xrdcomp.thermal.curve import HeatingCurve, derivative, derivative_std, whittaker
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

    def loss(self, smooth: FloatArray) -> float:
        """Mass lost between the feet."""
        return float(smooth[self.start] - smooth[self.end])


def find_peaks(curve: HeatingCurve, smooth: FloatArray, length: float) -> tuple[Peak, ...]:
    """Peaks of −dm/du that stand out of the noise and of their neighbours' flanks.

    The DTG is looked at with four, two and one smoothing lengths: broad low peaks show on the coarse scale,
    and are divided or sharpened on the finer ones. On its scale a peak counts where its prominence exceeds
    five standard deviations of the DTG around it, 1.2 % of the highest peak and 12 % of its own height, and
    where it is no echo of the smoothing beside a peak ten times as high. Between its feet at least 0.3 % of
    the mass must be lost, and 0.15 % (and 15 % of that loss and 0.4 % of all that the run loses) above the
    level of the higher one. The feet are the valley to the next peak or the place where the DTG has come down
    to 4 % of the peak, moved out to where it is flat (0.4 %) if that is no further again.
    """
    least = max(_MIN_NET_LOSS, _MIN_SHARE_OF_TOTAL * float(smooth.max() - smooth.min()))
    found: list[_Top] = []
    for scale in _SCALES:
        wide = scale * length
        at_scale = smooth if scale == 1.0 else whittaker(curve.mass, curve.weights, wide)
        dtg = -derivative(at_scale, curve.step)
        tops = [_Top(index=i, dtg=dtg, length=wide) for i in _tops(curve, at_scale, dtg, wide)]
        found = _refine(found, _heavy(tops, at_scale, curve, least))
    noise = derivative_std(curve.bin_noise, length) / curve.step
    peaks = (_with_feet(found, k, noise) for k in range(len(found)))
    return tuple(peak for peak in peaks if peak.loss(smooth) >= _MIN_LOSS)


@dataclass(frozen=True, kw_only=True)
class _Top:
    """A maximum on the scale it was found on."""

    index: int
    dtg: FloatArray
    length: float


def _tops(curve: HeatingCurve, smooth: FloatArray, dtg: FloatArray, length: float) -> list[int]:
    from scipy.signal import find_peaks as local_maxima

    floor = min(float(dtg.min()), 0.0)
    padded = np.concatenate(([floor], dtg, [floor]))
    highest = max(float(dtg.max()), 1e-12)
    tops, info = local_maxima(padded, prominence=_MIN_SHARE_OF_HIGHEST * highest)
    white = derivative_std(curve.bin_noise, length) / curve.step
    local = np.maximum(_local_noise(curve, smooth, length), white)
    chosen = [
        int(top) - 1
        for top, prominence in zip(tops, info["prominences"], strict=True)
        if prominence > max(_PROMINENCE_SHARE * padded[top], _NOISE_FACTOR * local[top - 1])
    ]
    return [top for top in chosen if not _is_echo(dtg, top, chosen, length)]


def _heavy(tops: list[_Top], smooth: FloatArray, curve: HeatingCurve, least: float) -> list[_Top]:
    """Maxima under which enough is lost, in all and above the higher foot."""
    noise = derivative_std(curve.bin_noise, tops[0].length) / curve.step if tops else 0.0
    peaks = [_with_feet(tops, k, noise) for k in range(len(tops))]
    return [
        top
        for top, peak in zip(tops, peaks, strict=True)
        if peak.loss(smooth) >= _MIN_LOSS
        and _net_loss(peak, top.dtg, curve.step) >= max(least, _MIN_NET_SHARE * peak.loss(smooth))
    ]


def _refine(coarse: list[_Top], fine: list[_Top]) -> list[_Top]:
    """Replace every coarse maximum by the finer ones between its valleys, where there are any."""
    if not coarse:
        return fine
    edges = [0, *(_valley(a, b) for a, b in pairwise(coarse)), len(coarse[0].dtg)]
    out: list[_Top] = []
    for k, (low, high) in enumerate(pairwise(edges)):
        out += [top for top in fine if low <= top.index < high] or coarse[k : k + 1]
    return out


def _valley(before: _Top, after: _Top) -> int:
    dtg = before.dtg if before.length > after.length else after.dtg
    low, high = sorted((before.index, after.index))
    return low + int(np.argmin(dtg[low : high + 1]))


def _local_noise(curve: HeatingCurve, smooth: FloatArray, length: float) -> FloatArray:
    """Standard deviation of the DTG from the residuals of the smoothing within ±40 °C of each point.

    White residuals would give `derivative_std`; twice that allows for noise that is correlated over a few bins.
    """
    residual = np.abs(curve.mass - smooth) * np.sqrt(curve.weights)
    width = max(int(_NEIGHBOURHOOD_C / curve.step), 5)
    starts = range(0, len(residual), width)
    medians = [float(np.median(residual[max(i - width, 0) : i + width])) for i in starts]
    nodes = np.arange(len(residual), dtype=float)
    scatter: FloatArray = np.interp(nodes, np.array(starts, dtype=float), medians) / 0.6745
    return 2.0 * derivative_std(1.0, length) / curve.step * scatter


def _is_echo(dtg: FloatArray, top: int, tops: list[int], length: float) -> bool:
    return any(
        0 < abs(other - top) < _RINGING_LENGTHS * max(length, 1.0) and dtg[top] < _RINGING_SHARE * dtg[other]
        for other in tops
    )


def _net_loss(peak: Peak, dtg: FloatArray, step: float) -> float:
    """Loss above the level of the higher foot; a foot where the run begins or ends does not count."""
    feet = [dtg[i] for i in (peak.start, peak.end) if 0 < i < len(dtg) - 1]
    level = max(feet) if feet else 0.0
    inside = dtg[peak.start : peak.end + 1]
    return float(np.clip(inside - level, 0.0, None).sum() * step)


def _with_feet(found: list[_Top], k: int, noise: float) -> Peak:
    top, dtg = found[k].index, found[k].dtg
    low = _valley(found[k - 1], found[k]) if k > 0 else 0
    high = _valley(found[k], found[k + 1]) if k + 1 < len(found) else len(dtg) - 1
    floor = max(_FOOT_SHARE * dtg[top], 2.0 * noise)
    below_left = np.flatnonzero(dtg[low:top] < floor)
    below_right = np.flatnonzero(dtg[top : high + 1] < floor)
    start = low + int(below_left[-1]) if len(below_left) else low
    end = top + int(below_right[0]) if len(below_right) else high
    flat = dtg < max(_FLAT_SHARE * dtg[top], noise)
    before = np.flatnonzero(flat[max(2 * start - top, low) : start + 1])
    after = np.flatnonzero(flat[end : min(2 * end - top, high) + 1])
    start = max(2 * start - top, low) + int(before[-1]) if len(before) else start
    end = end + int(after[0]) if len(after) else end
    return Peak(start=start, top=top, end=end)


def tangents(
    curve: HeatingCurve, smooth: FloatArray, start: int, end: int
) -> tuple[float, float, float] | None:
    """Extrapolated onset, DTG peak and extrapolated end of a step, °C.

    The tangent at the steepest point meets the horizontal-ish lines through the feet, whose slopes are taken
    from the curve at the feet (ISO 11358-1).  None where nothing is lost.
    """
    if end - start < 3:
        return None
    dtg = -derivative(smooth, curve.step)
    top = start + int(np.argmax(dtg[start : end + 1]))
    steepest = dtg[top]
    if steepest <= 0:
        return None
    axis = curve.progress
    crossings = []
    for foot in (start, end):
        foot_slope = min(dtg[foot], 0.5 * steepest)
        distance = (smooth[foot] - smooth[top] - foot_slope * (axis[top] - axis[foot])) / (
            steepest - foot_slope
        )
        crossings.append(float(np.clip(axis[top] - distance, axis[start], axis[end])))
    onset, endset = (float(np.interp(c, axis, curve.temperature_c)) for c in crossings)
    peak = float(np.interp(_vertex(dtg, top, start, end), np.arange(len(axis)), curve.temperature_c))
    return onset, peak, endset


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
