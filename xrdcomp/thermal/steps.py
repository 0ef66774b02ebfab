"""Steps as a person draws them: peaks of the DTG, valleys between them, extrapolated onset and end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrdcomp.thermal.prepare import HeatingCurve
from xrdcomp.thermal.smooth import derivative
from xrdcomp.types import FloatArray

__all__ = ["Peak", "find_peaks", "peak_between", "tangents"]

_MIN_LOSS = 0.004
_MIN_SHARE_OF_HIGHEST = 0.015
_PROMINENCE_SHARE = 0.12
_FOOT_SHARE = 0.04
_NOISE_FACTOR = 5.0


@dataclass(frozen=True, kw_only=True)
class Peak:
    """One DTG peak by grid index: foot before, maximum, foot after."""

    start: int
    top: int
    end: int

    def loss(self, smooth: FloatArray) -> float:
        """Mass lost between the feet."""
        return float(smooth[self.start] - smooth[self.end])


def find_peaks(curve: HeatingCurve, smooth: FloatArray, dtg_noise: float) -> tuple[Peak, ...]:
    """Peaks of −dm/du that stand out of the noise and of their neighbours' flanks.

    A peak counts where its prominence exceeds five standard deviations of the DTG, 1.5 % of the highest peak
    and 12 % of its own height, and where at least 0.4 % of the mass is lost between its feet. The feet are
    the valley to the next peak or the place where the DTG has come down to 4 % of the peak.
    """
    from scipy.signal import find_peaks as local_maxima

    dtg = -derivative(smooth, curve.step)
    padded = np.concatenate(([min(dtg.min(), 0.0)], dtg, [min(dtg.min(), 0.0)]))
    highest = max(float(dtg.max()), 1e-12)
    tops, info = local_maxima(
        padded, prominence=max(_NOISE_FACTOR * dtg_noise, _MIN_SHARE_OF_HIGHEST * highest)
    )
    chosen = [
        int(top) - 1
        for top, prominence in zip(tops, info["prominences"], strict=True)
        if prominence > _PROMINENCE_SHARE * padded[top]
    ]
    peaks = [_with_feet(dtg, top, chosen, dtg_noise) for top in chosen]
    return tuple(peak for peak in peaks if peak.loss(smooth) >= _MIN_LOSS)


def _with_feet(dtg: FloatArray, top: int, tops: list[int], noise: float) -> Peak:
    before = [t for t in tops if t < top]
    after = [t for t in tops if t > top]
    low = before[-1] + int(np.argmin(dtg[before[-1] : top + 1])) if before else 0
    high = top + int(np.argmin(dtg[top : after[0] + 1])) if after else len(dtg) - 1
    floor = max(_FOOT_SHARE * dtg[top], 2.0 * noise)
    below_left = np.flatnonzero(dtg[low:top] < floor)
    below_right = np.flatnonzero(dtg[top : high + 1] < floor)
    start = low + int(below_left[-1]) if len(below_left) else low
    end = top + int(below_right[0]) if len(below_right) else high
    return Peak(start=start, top=top, end=end)


def peak_between(
    peaks: tuple[Peak, ...], curve: HeatingCurve, low_c: float, high_c: float
) -> tuple[Peak, ...]:
    """Peaks whose top lies between two temperatures."""
    return tuple(p for p in peaks if low_c <= curve.temperature_c[p.top] < high_c)


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
