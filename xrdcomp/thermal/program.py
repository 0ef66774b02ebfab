"""The temperature programme: which part is heating, what is a hold, how fast it went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xrdcomp.errors import AnalysisError
from xrdcomp.types import Diagnostic, FloatArray, IntArray, TgaRun

__all__ = ["GAS_CONSTANT", "HeatingPart", "heating_part", "minutes_of", "progress_axis", "shift_with_rate"]

_OVERSHOOT_C = 15.0
_REFERENCE_RATE = 10.0
GAS_CONSTANT = 8.314462618
_HEATING_SHARE = 0.25
_LONGEST_HOLDS_C = 800.0


@dataclass(frozen=True, kw_only=True)
class HeatingPart:
    """Indices of the points that are used, and what was left out."""

    index: IntArray
    diagnostics: tuple[Diagnostic, ...] = ()


def heating_part(run: TgaRun) -> HeatingPart:
    """Points at which the specimen is hotter than ever before, holds and overshoots included.

    Cooling parts drop out, and so does a second heating up to the temperature already reached, so that mass
    is a function of the progress of the programme. Temperatures that fall by less than 15 °C below the
    highest one so far count as hold or overshoot.
    """
    temperature = run.temperature_c
    top = int(np.argmax(temperature))
    start = int(np.argmax(temperature[: top + 1] <= temperature[: top + 1].min() + 20.0))
    highest = np.maximum.accumulate(temperature[start:])
    keep = temperature[start:] >= highest - _OVERSHOOT_C
    index: IntArray = start + np.flatnonzero(keep)
    index = _trim_cooling(temperature, index)
    dropped = len(run) - len(index)
    if dropped < 0.01 * len(run):
        return HeatingPart(index=index)
    note = Diagnostic(
        code="TGA_COOLING_DROPPED",
        severity="warning" if dropped > 0.5 * len(run) else "info",
        text=f"{dropped} of {len(run)} points were measured while cooling, or while heating again to a "
        "temperature already reached; they are not used.",
        facts={"points_dropped": dropped},
    )
    return HeatingPart(index=index, diagnostics=(note,))


def _trim_cooling(temperature: FloatArray, index: IntArray) -> IntArray:
    """Drop the first degrees of the final cooling, which lie within the overshoot tolerance.

    After the highest point a hold stays near one level, and a cooling does not.
    """
    kept = temperature[index]
    top = int(np.argmax(kept))
    tail = kept[top:]
    if len(tail) < 3:
        return index
    level = float(np.median(tail))
    holds = float((np.abs(tail - level) <= 1.0).mean()) > 0.5
    lowest = level - 1.0 if holds else float(tail[0]) - 1.0
    inside = np.flatnonzero(tail >= lowest)
    return index[: top + int(inside[-1]) + 1]


def progress_axis(run: TgaRun, index: IntArray) -> tuple[FloatArray, float | None]:
    """Progress of the programme in °C and the heating rate in K/min.

    While heating, progress equals temperature; during a hold it goes on at the heating rate, so that a loss per
    progress is a loss per time everywhere. Holds together count for at most 800 °C. Without times it is the
    highest temperature so far.

    Raises
    ------
    AnalysisError
        Time runs backwards.
    """
    temperature = run.temperature_c[index]
    if run.time_s is None:
        highest: FloatArray = np.maximum.accumulate(temperature)
        return highest, run.heating_rate_k_min
    minutes = minutes_of(run, index)
    if minutes is None or minutes[-1] - minutes[0] <= 0:
        return np.maximum.accumulate(temperature), run.heating_rate_k_min
    return _stretched(temperature, minutes, run.heating_rate_k_min)


def minutes_of(run: TgaRun, index: IntArray) -> FloatArray | None:
    """Minutes since the first point used; the time of points left out between does not count.

    Raises
    ------
    AnalysisError
        Time runs backwards.
    """
    if run.time_s is None:
        return None
    steps = np.diff(run.time_s[index]) / 60.0
    if (steps < 0).any():
        i = int(index[int(np.argmax(steps < 0)) + 1])
        msg = (
            f"time runs backwards at point {i} ({run.time_s[i]:g} s). The file may hold two runs one after "
            "the other; analyse them one by one."
        )
        raise AnalysisError(msg)
    jumps = np.diff(index) > 1
    if jumps.any():
        steps = np.where(jumps, np.median(steps), steps)
    minutes: FloatArray = np.concatenate(([0.0], np.cumsum(steps)))
    return minutes


def _stretched(
    temperature: FloatArray, minutes: FloatArray, stated: float | None
) -> tuple[FloatArray, float | None]:
    nodes = np.linspace(minutes[0], minutes[-1], min(max(len(minutes) // 2, 4), 1500))
    at_nodes, means = _node_means(temperature, minutes, nodes)
    highest = np.maximum.accumulate(means)
    rise, passed = np.diff(highest), np.diff(at_nodes)
    speeds = rise / passed
    moving = speeds > max(0.3, 0.1 * float(np.percentile(speeds, 90)))
    rate = float(np.median(speeds[moving])) if moving.any() else None
    nominal = rate or stated or _REFERENCE_RATE
    heating = speeds > _HEATING_SHARE * nominal
    held = nominal * float(passed[~heating].sum())
    share = min(1.0, _LONGEST_HOLDS_C / held) if held > 0 else 1.0
    increments = np.where(heating, rise, np.maximum(rise, share * nominal * passed))
    reached = means[0] + np.concatenate(([0.0], np.cumsum(increments)))
    lead = increments[0] / passed[0] * (at_nodes[0] - minutes[0])
    tail = increments[-1] / passed[-1] * (minutes[-1] - at_nodes[-1])
    ends = np.concatenate(([minutes[0]], at_nodes, [minutes[-1]]))
    reached = np.concatenate(([reached[0] - lead], reached, [reached[-1] + tail]))
    progress: FloatArray = np.interp(minutes, ends, reached)
    return progress, rate if rate is not None else stated


def _node_means(values: FloatArray, minutes: FloatArray, nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean time and mean value of the readings nearest to each node that has any."""
    half = 0.5 * (nodes[1] - nodes[0])
    bins: npt.NDArray[np.int64] = np.searchsorted(nodes + half, minutes).clip(0, len(nodes) - 1)
    counts = np.bincount(bins, minlength=len(nodes))
    filled = counts > 0
    time = np.bincount(bins, weights=minutes, minlength=len(nodes))[filled] / counts[filled]
    means = np.bincount(bins, weights=values, minlength=len(nodes))[filled] / counts[filled]
    return time, means


def shift_with_rate(temperature_c: float, rate_k_min: float | None, activation_energy_kj: float) -> float:
    """Move a temperature known at 10 K/min to another heating rate.

    ΔT = R T²/E · ln(rate/10), the first order of Kissinger's equation (Anal. Chem. 29 (1957) 1702); a faster
    run moves a step up. Limited to ±100 °C.

    Parameters
    ----------
    temperature_c : float, °C
    rate_k_min : float or None, K/min; None moves nothing
    activation_energy_kj : float, kJ/mol; larger values move less
    """
    if rate_k_min is None or rate_k_min <= 0:
        return temperature_c
    kelvin = temperature_c + 273.15
    shift = GAS_CONSTANT * kelvin**2 / (1e3 * activation_energy_kj) * np.log(rate_k_min / _REFERENCE_RATE)
    return temperature_c + float(np.clip(shift, -100.0, 100.0))
