"""Is this a thermogravimetric run? Values that cannot be are refused, those that are odd are told."""

from __future__ import annotations

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.readers.tga_columns import ask_column
from xrdcomp.readers.tga_table import TgaTable, note
from xrdcomp.types import Diagnostic, FloatArray, IntArray, TgaRun

__all__ = ["check_run"]

COLDEST_C, HOTTEST_C = -200.0, 3000.0
"""Range of furnaces: liquid nitrogen to graphite."""
LARGEST = {"mg": 1e6, "ug": 1e9, "g": 1e3, "percent": 1000.0, "fraction": 10.0}
"""A kilogram; ten times the start."""
SMALLEST_START_C = -153.0
"""A run said to be in kelvin that starts below 120 K is one in °C."""


def check_run(
    run: TgaRun, table: TgaTable, places: IntArray, *, kelvin_stated: bool, forced: bool
) -> list[Diagnostic]:
    """Diagnostics of a run that can be used.

    Parameters
    ----------
    run : TgaRun
    table : TgaTable
    places : (n,) integer array
        Line of each point of the run.
    kelvin_stated : bool
        The temperature column is in kelvin.
    forced : bool
        The temperature unit was given by the user.

    Raises
    ------
    ReadError
        Temperatures outside -200 to 3000 °C, masses beyond a kilogram or ten times the start, no mass at
        all, a run in kelvin that starts below 120 K.
    """
    found: list[Diagnostic] = []
    _check_temperature(run, table, places, kelvin_stated=kelvin_stated, forced=forced, found=found)
    _check_mass(run, table, places, found)
    _check_start(run, found)
    _check_rate(run, found)
    _check_segments(run, table, places, found)
    span = max(float(np.ptp(run.mass)), 1e-12)
    series = [("temperature", run.temperature_c, 3.0, "°C"), ("mass", run.mass, 0.005 * span, run.mass_unit)]
    for name, values, floor, unit in series:
        for at in _spikes(values, floor)[:3]:
            text = (
                f"{name} is {values[at]:g} {unit} at point {at} ({table.place_word} "
                f"{int(places[at])}) between "
                f"{values[at - 1]:g} and {values[min(at + 1, len(values) - 1)]:g}: a disturbance "
                "or a damaged value."
            )
            found.append(note("TGA_SPIKE", text, severity="warning", point=int(at), value=float(values[at])))
    return found


def _check_temperature(
    run: TgaRun,
    table: TgaTable,
    places: IntArray,
    *,
    kelvin_stated: bool,
    forced: bool,
    found: list[Diagnostic],
) -> None:
    t = run.temperature_c
    if kelvin_stated and not forced and t[0] < SMALLEST_START_C:
        msg = f"the temperature column says kelvin and starts at {t[0] + 273.15:g}, {t[0]:g} °C"
        hint = (
            'If the numbers are °C, pass temperature_unit="C"; if they are kelvin, "K" (--temperature-unit).'
        )
        raise ReadError(msg, place=f"{table.place_word} {int(places[0])}", hint=hint)
    bad = (t < COLDEST_C) | (t > HOTTEST_C)
    if bad.any():
        at = int(np.argmax(bad))
        msg = f"temperature is {t[at]:g} °C at point {at}"
        expected = f"{COLDEST_C:g} to {HOTTEST_C:g} °C"
        raise ReadError(msg, place=f"{table.place_word} {int(places[at])}", expected=expected)
    if float(np.ptp(t)) == 0.0:
        msg = f"temperature is {t[0]:g} °C at every point"
        raise ReadError(msg, expected="a heating program")
    if not kelvin_stated and not forced and 280.0 < t[0] < 310.0 and t[0] < np.quantile(t, 0.02) + 5.0:
        text = (
            f"temperature is stated in °C and starts at {t[0]:.1f}; a run from room "
            "temperature in kelvin would "
            'look like this. Pass temperature_unit="K" (--temperature-unit K) if so.'
        )
        found.append(note("TGA_TEMPERATURE_LOOKS_KELVIN", text, severity="warning", start_c=float(t[0])))


def _check_mass(run: TgaRun, table: TgaTable, places: IntArray, found: list[Diagnostic]) -> None:
    m, unit = run.mass, run.mass_unit
    if not (m > 0).any():
        msg = f"mass is not above zero at any of the {len(m)} points"
        raise ReadError(msg, expected="the mass of a sample", hint="The column may hold a change of mass.")
    top = float(np.abs(m).max())
    if top > LARGEST[unit]:
        at = int(np.argmax(np.abs(m)))
        msg = f"mass is {m[at]:g} {unit} at point {at}, which no thermobalance weighs"
        raise ReadError(
            msg, place=f"{table.place_word} {int(places[at])}", expected=f"below {LARGEST[unit]:g} {unit}"
        )
    start = float(np.median(m[: min(len(m), 20)]))
    if start <= 0:
        msg = f"mass starts at {start:g} {unit}"
        raise ReadError(msg, place=f"{table.place_word} {int(places[0])}", expected="a mass above zero")
    if unit == "percent" and start < 2.0:
        msg = f"mass is stated in per cent and starts at {start:g}, as a fraction would"
        hint = 'If it is one, pass mass_unit="fraction" (--mass-unit fraction). ' + ask_column("mass") + "."
        raise ReadError(msg, expected="a start near 100 %", hint=hint)
    if unit == "fraction" and start > 20.0:
        msg = f"mass is stated as a fraction and starts at {start:g}, as per cent would"
        raise ReadError(
            msg, expected="a start near 1", hint='Pass mass_unit="percent" (--mass-unit percent) if it is.'
        )
    scale = {"percent": 100.0, "fraction": 1.0}.get(unit)
    if scale and not 0.8 * scale < start < 1.2 * scale:
        text = (
            f"mass starts at {start:g} {unit}, not near {scale:g}; the run may have begun "
            "before this segment."
        )
        found.append(note("TGA_START_NOT_FULL", text, severity="warning", start=start))
    if float(m.max()) > 5 * start:
        text = f"mass grows from {start:g} to {float(m.max()):g} {unit}; the column may be another quantity."
        found.append(note("TGA_MASS_GROWS", text, severity="warning", start=start, top=float(m.max())))
    lowest = float(m.min())
    if lowest < -0.02 * start:
        at = int(np.argmin(m))
        text = (
            f"mass falls to {lowest:g} {unit}, {100 * lowest / start:.1f} % of the start, at point {at} "
            f"({table.place_word} {int(places[at])}): no buoyancy correction, or a drifting balance."
        )
        found.append(note("TGA_NEGATIVE_MASS", text, severity="warning", lowest=lowest, point=at))


def _check_start(run: TgaRun, found: list[Diagnostic]) -> None:
    factor = {"mg": 1.0, "ug": 1e-3, "g": 1e3}.get(run.mass_unit)
    if factor is None or run.initial_mass_mg is None:
        return
    start = float(np.median(run.mass[: min(len(run), 5)])) * factor
    if abs(start - run.initial_mass_mg) > 0.1 * run.initial_mass_mg:
        text = (
            f"the run starts at {start:.4g} mg and the header states "
            f"{run.initial_mass_mg:.4g} mg; loss before the "
            "first point, a wrong unit or a wrong header."
        )
        found.append(
            note(
                "TGA_INITIAL_MASS_DIFFERS",
                text,
                severity="warning",
                start_mg=start,
                header_mg=run.initial_mass_mg,
            )
        )


def _check_rate(run: TgaRun, found: list[Diagnostic]) -> None:
    """Fastest heating over any fiftieth of the run against what furnaces do and what the header says."""
    if run.time_s is None or len(run) < 100:
        return
    stride = len(run) // 50
    dt = run.time_s[stride::stride] - run.time_s[:-stride:stride]
    dk = run.temperature_c[stride::stride] - run.temperature_c[:-stride:stride]
    if not (dt > 0).any():
        text = "time does not advance; its column may be another quantity."
        found.append(note("TGA_HEATING_RATE_ODD", text, severity="warning"))
        return
    rate = float((dk[dt > 0] / dt[dt > 0]).max() * 60.0)
    stated = run.heating_rate_k_min
    if rate > 0 and not 0.005 <= rate <= 2000.0:
        text = f"temperature rises by up to {rate:.3g} K/min; time or temperature may be in another unit."
        found.append(note("TGA_HEATING_RATE_ODD", text, severity="warning", rate_k_min=rate))
    elif stated and rate > 0 and (rate > 20 * stated or rate < stated / 20):
        text = (
            f"temperature rises by up to {rate:.3g} K/min and the header states {stated:g} "
            "K/min; the unit of time "
            "or temperature may be wrong."
        )
        found.append(
            note("TGA_HEATING_RATE_ODD", text, severity="warning", rate_k_min=rate, header_k_min=stated)
        )


def _check_segments(run: TgaRun, table: TgaTable, places: IntArray, found: list[Diagnostic]) -> None:
    """Segment numbers must rise with time, and a segment of one point is a damaged number."""
    if run.segment is None:
        return
    back = np.flatnonzero(np.diff(run.segment) < 0) + 1
    lone = np.flatnonzero(np.bincount(run.segment) == 1)
    if len(back) or len(lone):
        at = int(back[0]) if len(back) else int(np.argmax(run.segment == lone[0]))
        text = (
            f"segment numbers are out of order or stand alone, first at point {at} ({table.place_word} "
            f"{int(places[at])}); one of them is damaged, or the points are not in the order measured."
        )
        found.append(note("TGA_SEGMENTS_ODD", text, severity="warning", point=at))


def _spikes(values: FloatArray, floor: float) -> IntArray:
    """Single points that stand out from both neighbours; the last point from the one before it."""
    if len(values) < 20:
        return np.zeros(0, dtype=np.int64)
    step = np.diff(values)
    limit = max(floor, 30.0 * float(np.quantile(np.abs(step), 0.95)))
    before, after = step[:-1], -step[1:]
    out = np.flatnonzero((before * after > 0) & (np.minimum(np.abs(before), np.abs(after)) > limit)) + 1
    if abs(step[-1]) > limit:
        out = np.append(out, len(values) - 1)
    return out.astype(np.int64)
