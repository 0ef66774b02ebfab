"""The temperature programme of a run: which part is heating, what is a hold, how fast it went."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xrdcomp.data import Diagnostic, TgaRun, message_kind
from xrdcomp.errors import AnalysisError
from xrdcomp.thermal.smoothing import averages
from xrdcomp.units import CELSIUS_ZERO_K, GAS_CONSTANT, FloatArray, IntArray

INERT_GASES = frozenset({"nitrogen", "argon", "helium", "carbon_dioxide"})  # in which organic matter leaves char
CHARRED_FROM_C = 180.0  # organic matter has not begun to char before
COOLING_DROPPED = message_kind("TGA_COOLING_DROPPED", "warning",
    "Points measured while cooling, or while heating again to a temperature already reached, are not used.",
    threshold="1 % of the points; info up to half of them",
)  # fmt: skip
REFERENCE_RATE = 10.0  # K/min, of the temperatures in the literature
BURN_FROM_C = 420.0  # char burns from here on
_OVERSHOOT_C, _LONGEST_HOLDS_C, _HEATING_SHARE = 15.0, 800.0, 0.25
_BURNS_LATER, _ENDS = 0.01, 5  # of the start mass, more than buoyancy changes; readings for a level
_STANDING_READINGS, _STANDING_SHARE = 20, 0.03  # readings at one temperature that are a hold, without times


def heating_part(run: TgaRun) -> tuple[IntArray, tuple[Diagnostic, ...]]:
    """Indices of the points at which the specimen is hotter than ever before, holds and overshoots included.

    Cooling parts drop out, and so does a second heating up to the temperature already reached, so that mass is a
    function of the progress of the programme. Temperatures less than 15 °C below the highest one so far count as hold
    or overshoot, and so do later readings above 420 °C where more than 1 % is lost in them.
    """
    temperature = run.temperature_c
    top = int(np.argmax(temperature))
    # a furnace that is still warm from the run before cools first: heating starts near the coldest point before the top
    start = int(np.argmax(temperature[: top + 1] <= temperature[: top + 1].min() + 20.0))
    highest = np.maximum.accumulate(temperature[start:])
    index: IntArray = start + np.flatnonzero(temperature[start:] >= highest - _OVERSHOOT_C)
    # the first degrees of the final cooling lie within that tolerance too; a hold stays near one level, a cooling does
    # not
    kept = temperature[index]
    top = int(np.argmax(kept))
    tail = kept[top:]
    if len(tail) >= 3:
        level = float(np.median(tail))
        holds = float((np.abs(tail - level) <= 1.0).mean()) > 0.5
        lowest = level - 1.0 if holds else float(tail[0]) - 1.0
        index = index[: top + int(np.flatnonzero(tail >= lowest)[-1]) + 1]
    # ash is often weighed below the top: what burns there while hot, after a cooling, goes on as on a hold
    later = index[-1] + 1 + np.flatnonzero(temperature[index[-1] + 1 :] >= BURN_FROM_C)
    if len(later) > _ENDS:
        first, last, ash = (float(np.median(run.mass[i])) for i in (index[:_ENDS], index[-_ENDS:], later[-_ENDS:]))
        if last - ash > _BURNS_LATER * first:
            index = np.concatenate((index, later))
    dropped = len(run) - len(index)
    if dropped < 0.01 * len(run):
        return index, ()
    note = COOLING_DROPPED(
        f"{dropped} of {len(run)} points were measured while cooling, or while heating again to a temperature already "
        "reached; they are not used.",
        points_dropped=dropped,
    )
    return index, (note if dropped > 0.5 * len(run) else replace(note, severity="info"),)


def minutes_of(run: TgaRun, index: IntArray) -> FloatArray | None:
    """Minutes since the first point used, without those of points left out; AnalysisError where time runs backwards."""
    if run.time_s is None:
        return None
    steps = np.diff(run.time_s[index]) / 60.0
    if (steps < 0).any():
        i = int(index[int(np.argmax(steps < 0)) + 1])
        raise AnalysisError(
            f"time runs backwards at point {i} ({run.time_s[i]:g} s). The file may hold two runs one after "
            "the other; analyse them one by one."
        )
    jumps = np.diff(index) > 1
    if jumps.any():
        steps = np.where(jumps, np.median(steps), steps)
    return np.concatenate(([0.0], np.cumsum(steps)))


def progress_axis(run: TgaRun, index: IntArray) -> tuple[FloatArray, float | None]:
    """Progress of the programme in °C and the heating rate in K/min.

    While heating, progress equals temperature; during a hold it goes on at the heating rate, so that a loss per
    progress is a loss per time everywhere. Holds together count for at most 800 °C. Without times it is the highest
    temperature so far. Raises AnalysisError where time runs backwards.
    """
    temperature, stated = run.temperature_c[index], run.heating_rate_k_min
    clock = minutes_of(run, index)
    if clock is None:
        # without times the order of readings is kept where they stand still: they are taken to be evenly spaced
        highest: FloatArray = np.maximum.accumulate(temperature)
        rises = np.diff(highest)
        moving = rises > 0.2 * (float(np.median(rises[rises > 0])) if (rises > 0).any() else 0.0)
        standing = np.diff(np.flatnonzero(np.concatenate(([True], moving, [True]))))
        if not moving.any() or standing.max() < max(_STANDING_READINGS, _STANDING_SHARE * len(rises)):
            return highest, stated
    minutes: FloatArray = np.arange(len(index), dtype=float) if clock is None else clock
    if clock is None:
        minutes *= float(np.median(rises[moving])) / (stated or REFERENCE_RATE)
    if minutes[-1] - minutes[0] <= 0:
        return np.maximum.accumulate(temperature), stated
    # speeds between single readings are all noise: they are taken between means of the readings nearest to even nodes
    nodes = np.linspace(minutes[0], minutes[-1], min(max(len(minutes) // 2, 4), 1500))
    bins = np.searchsorted(nodes + 0.5 * (nodes[1] - nodes[0]), minutes).clip(0, len(nodes) - 1)
    at_nodes, means = averages(bins, len(nodes), minutes, temperature)
    rise, passed = np.diff(np.maximum.accumulate(means)), np.diff(at_nodes)
    speeds = rise / passed
    # the rate is the median where the furnace moves at all, so that holds of any length do not lower it
    moving = speeds > max(0.3, 0.1 * float(np.percentile(speeds, 90)))
    rate = float(np.median(speeds[moving])) if moving.any() else None
    nominal = rate or stated or REFERENCE_RATE
    heating = speeds > _HEATING_SHARE * nominal
    held = nominal * float(passed[~heating].sum())
    # an overnight hold would leave no bins for the heating
    share = min(1.0, _LONGEST_HOLDS_C / held) if held > 0 else 1.0
    increments = np.where(heating, rise, np.maximum(rise, share * nominal * passed))
    reached = means[0] + np.concatenate(([0.0], np.cumsum(increments)))
    # readings before the first mean and after the last one go on at the speed beside them
    lead = increments[0] / passed[0] * (at_nodes[0] - minutes[0])
    tail = increments[-1] / passed[-1] * (minutes[-1] - at_nodes[-1])
    ends = np.concatenate(([minutes[0]], at_nodes, [minutes[-1]]))
    reached = np.concatenate(([reached[0] - lead], reached, [reached[-1] + tail]))
    progress: FloatArray = np.interp(minutes, ends, reached)
    return progress, rate if rate is not None and clock is not None else stated


def shift_with_rate(temperature_c: float, rate_k_min: float | None, activation_energy_kj: float) -> float:
    """Temperature in °C, known at 10 K/min, at another heating rate; None moves nothing.

    ΔT = R T²/E · ln(rate/10), the first order of Kissinger's equation (Anal. Chem. 29 (1957) 1702): a faster run moves
    a step up, a larger E (kJ/mol) moves it less. Limited to ±100 °C.
    """
    if rate_k_min is None or rate_k_min <= 0:
        return temperature_c
    kelvin = temperature_c + CELSIUS_ZERO_K
    shift = GAS_CONSTANT * kelvin**2 / (1e3 * activation_energy_kj) * np.log(rate_k_min / REFERENCE_RATE)
    return temperature_c + float(np.clip(shift, -100.0, 100.0))
