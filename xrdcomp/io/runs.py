"""From a table to a `TgaRun`: which columns, which units, which rows; refused where it would be a guess."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np

from xrdcomp.data import Diagnostic, MassUnit, TgaRun
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import Column, TgaTable, ask_column, note
from xrdcomp.io.registry import TgaOptions
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import Table
from xrdcomp.units import CELSIUS_ZERO_K, FloatArray, IntArray

# ------------ Is this a thermogravimetric run? Values that cannot be are refused, those that are odd are
# told.

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


# ------------ From a table to a `TgaRun`: which columns, which units, which rows; refused where it would be
# a guess.

MG_PER_UNIT = {"mg": 1.0, "ug": 1e-3, "g": 1e3}
SECONDS_PER_UNIT = {"s": 1.0, "min": 60.0, "h": 3600.0}
_TEMPERATURE_ORDER = ("sample_temperature", "temperature", "furnace_temperature", "program_temperature")
_MASS_ORDER = ("mg", "g", "ug", "percent", "fraction", "")
_ASK = {
    "mass": 'Pass mass_unit="mg" (or "ug", "g", "percent", "fraction"; --mass-unit on the command line).',
    "temperature": 'Pass temperature_unit="C" (or "K"; --temperature-unit on the command line).',
    "time": 'Pass time_unit="min" (or "s", "h"; --time-unit on the command line).',
}
_PAN_MG = 100.0
_LOSS = re.compile(r"loss|verlust|perte|decrease|abnahme", re.IGNORECASE)
Dimension = Literal["mass", "temperature", "time"]


@dataclass(kw_only=True)
class _Notes:
    """What is said about the run while it is put together."""

    messages: list[Diagnostic] = field(default_factory=list)
    metadata: dict[str, str | float | int | bool] = field(default_factory=dict)
    missing: list[tuple[Dimension, Column]] = field(default_factory=list)


def build_run(table: TgaTable, options: TgaOptions, source: SourceFile, format_id: str) -> TgaRun:
    """Choose columns and units, drop rows without values, check, and make the run.

    Raises
    ------
    ReadError
        No mass (heat flow only, degree of conversion), no temperature, a unit that is not stated, units
        that the values contradict, values no balance or furnace can give.
    """
    notes = _Notes(messages=list(table.messages), metadata=dict(table.metadata))
    chosen = choose_columns(table, options, notes.messages)
    unit_t = _unit(chosen.temperature, table, options.temperature_unit, "temperature", notes)
    unit_m = cast(MassUnit, _unit(chosen.mass, table, options.mass_unit, "mass", notes))
    unit_s = "" if chosen.time is None else _unit(chosen.time, table, options.time_unit, "time", notes)
    _ask_for_units(notes)
    if unit_t == "F":
        msg = f"column {chosen.temperature.label!r} is in °F"
        raise ReadError(msg, expected="°C or K", hint="Export the temperature in °C or K.")
    temperature = chosen.temperature.values - (CELSIUS_ZERO_K if unit_t == "K" else 0.0)
    time = None if chosen.time is None else chosen.time.values * SECONDS_PER_UNIT[unit_s]
    keep = _rows_with_values(table, chosen, notes)
    initial = _initial_mass(table, chosen, options, notes, keep)
    tared = options.empty_pan and initial is None and unit_m in MG_PER_UNIT
    if tared:
        mass = _pan_mass(chosen.mass, unit_m, notes, keep)
    else:
        mass = _absolute_mass(chosen.mass, unit_m, initial, notes, keep)
    segment = None if table.segment is None else table.segment[keep]
    places = table.places[keep]
    if time is not None:
        time = _running_time(time[keep], segment, table, places, notes)
    if unit_m in ("percent", "fraction") and initial is None:
        text = (
            f"mass is in {unit_m} and the file does not state the mass it refers to; pass "
            "initial_mass_mg if known."
        )
        notes.messages.append(note("TGA_NO_INITIAL_MASS", text))
    run = TgaRun(
        temperature_c=temperature[keep],
        mass=mass,
        mass_unit=unit_m,
        time_s=time,
        initial_mass_mg=initial,
        segment=segment,
        atmosphere=table.atmosphere,
        heating_rate_k_min=table.heating_rate_k_min,
    )
    found = check_run(run, table, places, kelvin_stated=unit_t == "K", forced=bool(options.temperature_unit))
    notes.messages.extend(found)
    return TgaRun(
        temperature_c=run.temperature_c,
        mass=run.mass,
        mass_unit=unit_m,
        time_s=run.time_s,
        initial_mass_mg=initial,
        segment=run.segment,
        atmosphere=table.atmosphere,
        heating_rate_k_min=table.heating_rate_k_min,
        corrected=table.corrected,
        metadata=notes.metadata,
        source=source.record(format_id),
        messages=tuple(notes.messages),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """The columns a run is made of."""

    temperature: Column
    mass: Column
    time: Column | None
    other_mass: Column | None = None
    segment: Column | None = None


def choose_columns(table: TgaTable, options: TgaOptions, messages: list[Diagnostic]) -> Chosen:
    """Choose sample temperature, mass and time; say what was chosen among several."""
    columns = [column for column in table.columns if not np.isnan(column.values).all()]
    named = {
        key: _named(table, options, key) for key in ("temperature", "mass", "time") if key in options.columns
    }
    temperature = named.get("temperature") or _choose_temperature(columns, messages)
    masses = [c for c in columns if c.role in ("mass", "mass_change")]
    if "mass" in named:
        mass = named["mass"]
    elif not masses:
        raise _no_mass(columns)
    else:
        mass = _choose_mass(masses, options.mass_unit, messages)
    if temperature is None:
        listed = ", ".join(repr(c.label) for c in columns) or "none"
        msg = f"no column is recognised as temperature; columns: {listed}"
        hint = ask_column("temperature") + "."
        raise ReadError(msg, expected="a column named temperature with °C or K", hint=hint)
    times = [c for c in columns if c.role == "time"]
    time = named.get("time") or (_choose_same(times, "time", messages) if times else None)
    if time is None:
        messages.append(note("TGA_NO_TIME", "the file has no time column; heating rate cannot be measured."))
    others = [
        c for c in masses if c is not mass and (c.canonical == "percent") != (mass.canonical == "percent")
    ]
    return Chosen(temperature=temperature, mass=mass, time=time, other_mass=others[0] if others else None)


def _named(table: TgaTable, options: TgaOptions, key: str) -> Column:
    wanted = options.columns[key]
    for column in table.columns:
        if wanted in (column.number, column.name, column.label):
            return column
    listed = ", ".join(f"{c.number} {c.label!r}" for c in table.columns)
    msg = f"there is no column {wanted!r} for {key}"
    raise ReadError(msg, hint=f"The file has: {listed}.")


def _no_mass(columns: Sequence[Column]) -> ReadError:
    listed = ", ".join(repr(c.label) for c in columns) or "none"
    if any(c.role == "conversion" for c in columns):
        msg = f"the file holds the degree of conversion, not mass; columns: {listed}"
        hint = (
            "Conversion is scaled to each step's own loss, so mass cannot be recovered; "
            "export the mass itself."
        )
        return ReadError(msg, expected="mass in mg, µg or %", hint=hint)
    if any(c.role == "heat" for c in columns):
        msg = f"the file holds heat flow (DSC or DTA) and no mass; columns: {listed}"
        return ReadError(msg, expected="a thermogravimetric signal", hint="Export the TG signal of the run.")
    msg = f"no column is recognised as mass; columns: {listed}"
    hint = ask_column("mass") + ", or name it in the header."
    return ReadError(msg, expected="a column named mass or weight with mg, µg or %", hint=hint)


def _choose_temperature(columns: Sequence[Column], messages: list[Diagnostic]) -> Column | None:
    for role in _TEMPERATURE_ORDER:
        candidates = [c for c in columns if c.role == role]
        if not candidates:
            continue
        column = _choose_same(candidates, "temperature", messages)
        if role in ("furnace_temperature", "program_temperature"):
            text = (
                f"the only temperature is {column.label!r}, not that of the sample; steps may be shifted by "
                "several kelvin. Export the sample temperature."
            )
            messages.append(
                note("TGA_TEMPERATURE_NOT_OF_SAMPLE", text, severity="warning", column=column.label)
            )
        return column
    return None


def _choose_mass(masses: Sequence[Column], wanted: str, messages: list[Diagnostic]) -> Column:
    if wanted and any(c.canonical == wanted for c in masses):
        masses = [c for c in masses if c.canonical == wanted]
    absolute = [c for c in masses if c.role == "mass"] or list(masses)
    best = min((_MASS_ORDER.index(c.canonical) if c.canonical in _MASS_ORDER else 9) for c in absolute)
    same = [
        c for c in absolute if (_MASS_ORDER.index(c.canonical) if c.canonical in _MASS_ORDER else 9) == best
    ]
    return _choose_same(same, "mass", messages)


def _choose_same(candidates: Sequence[Column], what: str, messages: list[Diagnostic]) -> Column:
    """Choose among columns that claim to be the same: by content, never by position."""
    if len(candidates) == 1:
        return candidates[0]
    living = [c for c in candidates if np.nanmin(c.values) != np.nanmax(c.values)] or list(candidates[:1])
    first = living[0]
    for other in living[1:]:
        if other.canonical != first.canonical and what != "mass":
            continue
        span = float(np.nanmax(first.values) - np.nanmin(first.values))
        if not np.allclose(first.values, other.values, rtol=0, atol=1e-4 * span, equal_nan=True):
            labels = ", ".join(f"{c.number} {c.label!r}" for c in living)
            msg = f"several columns could be the {what} and they differ: {labels}"
            raise ReadError(msg, hint=ask_column(what) + ".")
    dropped = ", ".join(f"{c.number} {c.label!r}" for c in candidates if c is not first)
    text = f"column {first.number} {first.label!r} is used as {what}; equal or empty and not used: {dropped}."
    messages.append(note("TGA_DUPLICATE_COLUMN", text))
    return first


def _unit(column: Column, table: TgaTable, wanted: str, dimension: Dimension, notes: _Notes) -> str:
    """Unit of a column: the user's word, the column's own, the header's; "" and a question where none says."""
    stated = column.canonical if column.dimension == dimension else ""
    origin = "column header"
    if not stated and dimension in table.units:
        stated, origin = table.units[dimension], "file header"
    if wanted and stated and wanted != stated:
        text = f"{dimension} column {column.label!r} states {stated}; it was read as {wanted}, as asked."
        notes.messages.append(
            note("TGA_UNIT_OVERRIDDEN", text, severity="warning", stated=stated, used=wanted)
        )
    if wanted:
        stated, origin = wanted, "given"
    notes.metadata |= {f"{dimension}_column": column.label, f"{dimension}_unit_in_file": stated}
    notes.metadata[f"{dimension}_unit_from"] = origin
    if not stated:
        notes.missing.append((dimension, column))
    return stated


def _ask_for_units(notes: _Notes) -> None:
    """Raise one error that asks for every unit that is stated nowhere."""
    if not notes.missing:
        return
    listed = [f"{dimension} column {column.label!r} {_range(column)}" for dimension, column in notes.missing]
    msg = f"the file states no unit that is known for the {' and the '.join(listed)}"
    names = " and ".join(dimension for dimension, _ in notes.missing)
    hint = " ".join(_ASK[dimension] for dimension, _ in notes.missing)
    raise ReadError(msg, expected=f"the unit of {names} in the header", hint=hint)


def _range(column: Column) -> str:
    finite = column.values[np.isfinite(column.values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    return f"(values {low:g} to {high:g})"


def _rows_with_values(table: TgaTable, chosen: Chosen, notes: _Notes) -> IntArray:
    blank = np.isnan(chosen.temperature.values) | np.isnan(chosen.mass.values)
    if chosen.time is not None:
        blank |= np.isnan(chosen.time.values)
    keep = np.flatnonzero(~blank)
    if len(keep) < 2:
        msg = f"only {len(keep)} of {len(blank)} rows have temperature, mass and time"
        raise ReadError(msg, place=table.place(0), expected="a table of numbers")
    dropped = int(blank.sum())
    if dropped:
        leading = int(keep[0])
        first = table.place(int(np.argmax(blank)))
        text = (
            f"{dropped} of {len(blank)} rows have no temperature, mass or time and were left out "
            f"({leading} of them before the first complete row; the first is {first})."
        )
        severe = "warning" if dropped - leading > 0.02 * len(blank) else "info"
        notes.messages.append(note("TGA_ROWS_DROPPED", text, severity=severe, rows=dropped, leading=leading))
    return keep


def _initial_mass(
    table: TgaTable, chosen: Chosen, options: TgaOptions, notes: _Notes, keep: IntArray
) -> float | None:
    header, given = table.initial_mass_mg, options.initial_mass_mg
    if given is not None and not (np.isfinite(given) and given > 0):
        msg = f"initial_mass_mg must be positive; it is {given}"
        raise ReadError(msg)
    if header is not None and not 0 < header < 1e6:
        text = f"the header states a sample mass of {header:g} mg, which cannot be; it was not used."
        notes.messages.append(note("TGA_HEADER_MASS_INVALID", text, severity="warning", header_mg=header))
        header = None
    if given is not None:
        if header is not None and abs(given - header) > 0.01 * header:
            text = f"the header states {header:g} mg; {given:g} mg was used, as asked."
            notes.messages.append(
                note("TGA_INITIAL_MASS_OVERRIDDEN", text, severity="warning", header_mg=header, used_mg=given)
            )
        notes.metadata["initial_mass_from"] = "given"
        return given
    if header is not None:
        notes.metadata["initial_mass_from"] = "file header"
        return header
    return _initial_mass_from_ratio(chosen, notes, keep)


def _initial_mass_from_ratio(chosen: Chosen, notes: _Notes, keep: IntArray) -> float | None:
    """Mass that the per cent column refers to, where the file has mass both in mg and in per cent."""
    other, mass = chosen.other_mass, chosen.mass
    if other is None or mass.role != "mass" or other.role != "mass":
        return None
    percent, weighed = (other, mass) if other.canonical == "percent" else (mass, other)
    if percent.canonical != "percent" or weighed.canonical not in MG_PER_UNIT:
        return None
    share, absolute = percent.values[keep], weighed.values[keep] * MG_PER_UNIT[weighed.canonical]
    use = np.isfinite(share) & np.isfinite(absolute) & (share > 5.0)
    if use.sum() < 2:
        return None
    initial = float(np.median(absolute[use] / share[use]) * 100.0)
    notes.metadata["initial_mass_from"] = f"ratio of columns {weighed.label!r} and {percent.label!r}"
    off = np.abs(absolute - share * initial / 100.0)
    worst = int(np.nanargmax(off))
    if off[worst] > 2e-3 * initial:
        text = (
            f"the columns {weighed.label!r} and {percent.label!r} disagree by "
            f"{off[worst]:.4g} mg at point {worst}; "
            "one of the two values is wrong."
        )
        notes.messages.append(note("TGA_COLUMNS_DISAGREE", text, severity="warning", point=worst))
    return initial if initial > 0 else None


def _pan_mass(column: Column, unit: str, notes: _Notes, keep: IntArray) -> FloatArray:
    """Readings of an empty pan; those of a tared balance, about zero, are raised to some pan's mass."""
    values = column.values[keep]
    if _LOSS.search(column.name) and values.max() > -values.min():
        values = -values
    elif values.min() > float(np.ptp(values)):
        return values
    start = _PAN_MG / MG_PER_UNIT[unit]
    text = f"column {column.label!r} holds the change of an empty pan; {start:g} {unit} was added to every value."
    notes.messages.append(note("TGA_MASS_IS_CHANGE", text, severity="info", added=start))
    mass: FloatArray = values + start
    return mass


def _absolute_mass(
    column: Column, unit: str, initial: float | None, notes: _Notes, keep: IntArray
) -> FloatArray:
    """Mass itself, where the column holds the change of mass since the start."""
    values = column.values[keep]
    span = float(np.ptp(values))
    named = column.role == "mass_change"
    near_zero = abs(float(values[0])) < 0.02 * span
    if not named and not (near_zero and values.min() < -0.02 * span):
        return values
    if named and not near_zero and values.min() >= 0 and values[0] > 0.5 * values.max():
        text = f"column {column.label!r} is named a change and starts at {values[0]:g}; it was read as mass."
        notes.messages.append(note("TGA_LOOSE_NAME", text, column=column.label))
        return values
    if named and _LOSS.search(column.name) and values.max() > -values.min():
        values = -values
    start = {"percent": 100.0, "fraction": 1.0}.get(unit)
    if start is None:
        if initial is None:
            msg = f"column {column.label!r} holds the change of mass from {values[0]:g} on, not mass"
            hint = (
                "Pass initial_mass_mg=…, the mass weighed in (--initial-mass on the command line); "
                "a blank run is read with xrdcomp.readers.read_empty_pan (--tga-blank)."
            )
            raise ReadError(msg, expected="a mass, or the initial mass in the header", hint=hint)
        start = initial / MG_PER_UNIT[unit]
    text = f"column {column.label!r} holds the change of mass; {start:g} {unit} was added to every value."
    severity = "info" if named else "warning"
    notes.messages.append(note("TGA_MASS_IS_CHANGE", text, severity=severity, added=start))
    mass: FloatArray = values + start
    return mass


def _running_time(
    time: FloatArray, segment: IntArray | None, table: TgaTable, places: IntArray, notes: _Notes
) -> FloatArray:
    """Time that does not decrease; a clock that restarts with each segment is run on."""
    back = np.flatnonzero(np.diff(time) < 0) + 1
    if not len(back):
        return time
    if segment is not None and (segment[back] != segment[back - 1]).all() and (time[back] <= 60.0).all():
        offset = np.zeros_like(time)
        for jump in back.tolist():
            offset[jump:] += time[jump - 1] - time[jump]
        text = f"time restarts with {len(back)} segments; each was set to begin where the one before ends."
        notes.messages.append(note("TGA_TIME_RESTARTS", text, restarts=len(back)))
        running: FloatArray = time + offset
        return running
    at = int(back[0])
    msg = f"time falls from {time[at - 1]:g} s to {time[at]:g} s"
    hint = "The file may hold two runs one after the other, or the value is damaged; export one run."
    raise ReadError(msg, place=f"{table.place_word} {int(places[at])}", expected="time that rises", hint=hint)


def table_notes(text: str, table: Table) -> list[Diagnostic]:
    """Say so where a file holds tables that were not read, or ends with a row of numbers without an end of line."""
    found: list[Diagnostic] = []
    if not text.endswith("\n") and not (
        text[text.rfind("\n") + 1 :].strip() and int(table.lines[-1]) <= text.count("\n")
    ):
        said = "the file ends in its last row of numbers without an end of line; it may have been cut."
        found.append(note("TGA_NO_FINAL_NEWLINE", said))
    if table.others:
        listed = ", ".join(map(str, table.others[:5]))
        said = f"{len(table.others)} other tables of numbers were not read; they begin at line {listed}."
        found.append(note("TGA_OTHER_TABLE", said, severity="warning", line=table.others[0]))
    return found
