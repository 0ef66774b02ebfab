"""From a table to a `TgaRun`: which columns, which units, which rows; refused where it would be a guess.

Readers hand over a `TgaTable`; `build_run` makes the run. Values that no balance or furnace can give are refused,
those that are only odd become messages that reach the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, MassUnit, Metadata, Source, TgaRun, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import MG_PER_UNIT, Column, ask_column
from xrdcomp.io.registry import TgaOptions, TgaReader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import Table
from xrdcomp.units import CELSIUS_ZERO_K, FloatArray, IntArray

CUT = message_kind(
    "TGA_CUT", "warning", "The mark that the instrument's software writes at the end is missing: cut, or edited "
    "(info where only the blank line of Proteus is).", remedy="Copy or export the file again.",
)  # fmt: skip
NO_FINAL_NEWLINE = message_kind("TGA_NO_FINAL_NEWLINE", "info", "The file ends in its last row of numbers.")
OTHER_TABLE = message_kind(
    "TGA_OTHER_TABLE", "warning", "The file holds other tables of numbers, which were not read.",
    threshold="three rows",
)  # fmt: skip
ATMOSPHERE_CHANGES = message_kind(
    "TGA_ATMOSPHERE_CHANGES", "warning", "Heating steps run under different gases; the atmosphere is unknown.",
    remedy="Choose segments of one gas, or state the atmosphere.",
)  # fmt: skip
NO_TIME = message_kind("TGA_NO_TIME", "info", "The file has no time; the heating rate cannot be measured.")
DUPLICATE_COLUMN = message_kind(
    "TGA_DUPLICATE_COLUMN", "info", "Which of several columns that hold the same, or nothing, was used.",
    threshold="1e-4 of the range of values",
)  # fmt: skip
LOOSE_NAME = message_kind(
    "TGA_LOOSE_NAME", "info", "A column that is named a loss or change holds mass itself."
)
TEMPERATURE_NOT_OF_SAMPLE = message_kind(
    "TGA_TEMPERATURE_NOT_OF_SAMPLE", "warning", "Only the temperature of furnace or program is there; steps may be "
    "shifted by several kelvin.", remedy="Export the sample temperature.",
)  # fmt: skip
UNIT_OVERRIDDEN = message_kind(
    "TGA_UNIT_OVERRIDDEN",
    "warning",
    "The unit that was asked for is not the one in the file; the former holds.",
)
ROWS_DROPPED = message_kind(
    "TGA_ROWS_DROPPED", "warning", "Rows without temperature, mass or time were left out (info below the threshold).",
    threshold="2 % of the rows, those before the first complete one not counted", origin="judgement",
)  # fmt: skip
NO_INITIAL_MASS = message_kind(
    "TGA_NO_INITIAL_MASS", "info", "Mass is relative and the file does not state what it refers to.",
    remedy="Pass initial_mass_mg, if it is known.",
)  # fmt: skip
HEADER_MASS_INVALID = message_kind(
    "TGA_HEADER_MASS_INVALID", "warning", "The sample mass of the header cannot be; it was not used.",
    threshold="0 to a kilogram",
)  # fmt: skip
INITIAL_MASS_OVERRIDDEN = message_kind(
    "TGA_INITIAL_MASS_OVERRIDDEN", "warning", "The mass that was given differs from that of the header; the former "
    "holds.", threshold="1 %",
)  # fmt: skip
COLUMNS_DISAGREE = message_kind(
    "TGA_COLUMNS_DISAGREE", "warning", "Mass in mg and mass in per cent of one point do not fit each other; one is "
    "wrong.", threshold="0.2 % of the initial mass", origin="rounding of two printed columns, with room",
)  # fmt: skip
MASS_IS_CHANGE = message_kind(
    "TGA_MASS_IS_CHANGE", "warning", "The column holds the change of mass; the start was added to every value (info "
    "where the file calls it a change; warning where only its values, which start at zero, tell).",
)  # fmt: skip
TIME_RESTARTS = message_kind(
    "TGA_TIME_RESTARTS", "info", "The clock restarts with each segment and was run on."
)
TEMPERATURE_LOOKS_KELVIN = message_kind(
    "TGA_TEMPERATURE_LOOKS_KELVIN", "warning", "Temperature is stated in °C and starts where a run from room "
    "temperature in kelvin does.", remedy='Pass temperature_unit="K" if so.', threshold="start between 280 and 310",
)  # fmt: skip
START_NOT_FULL = message_kind(
    "TGA_START_NOT_FULL", "warning", "Relative mass does not start near the whole; the run may have begun before this "
    "segment.", threshold="20 %", origin="judgement",
)  # fmt: skip
MASS_GROWS = message_kind(
    "TGA_MASS_GROWS", "warning", "Mass grows manifold; the column may be another quantity.", threshold="five times",
    origin="judgement",
)  # fmt: skip
NEGATIVE_MASS = message_kind(
    "TGA_NEGATIVE_MASS", "warning", "Mass falls below zero: no buoyancy correction, or a drifting balance.",
    threshold="−2 % of the start", origin="buoyancy is about 1 % of a sample",
)  # fmt: skip
INITIAL_MASS_DIFFERS = message_kind(
    "TGA_INITIAL_MASS_DIFFERS", "warning", "The run does not start at the mass of the header: loss before the first "
    "point, a wrong unit or a wrong header.", threshold="10 %", origin="judgement",
)  # fmt: skip
HEATING_RATE_ODD = message_kind(
    "TGA_HEATING_RATE_ODD", "warning", "A heating rate that no furnace has, or far off the header's; time or "
    "temperature may be in another unit.", threshold="0.005 to 2000 K/min; twentyfold the header's",
)  # fmt: skip
SEGMENTS_ODD = message_kind(
    "TGA_SEGMENTS_ODD", "warning", "Segment numbers are out of order or stand alone; one of them is damaged."
)
SPIKE = message_kind(
    "TGA_SPIKE", "warning", "One point lies far from both neighbours: a disturbance or a damaged value.",
    threshold="30 times the 95 % quantile of steps, at least 3 K or 0.5 % of the range of mass", origin="judgement",
)  # fmt: skip

COLDEST_C, HOTTEST_C = -200.0, 3000.0
"""Range of furnaces: liquid nitrogen to graphite."""
LARGEST = {"mg": 1e6, "ug": 1e9, "g": 1e3, "percent": 1000.0, "fraction": 10.0}
"""A kilogram; ten times the start."""
SMALLEST_START_C = -153.0
"""A run said to be in kelvin that starts below 120 K is one in °C."""
SECONDS_PER_UNIT = {"s": 1.0, "min": 60.0, "h": 3600.0}
_TEMPERATURE_ORDER = ("sample_temperature", "temperature", "furnace_temperature", "program_temperature")
_MASS_ORDER = ("mg", "g", "ug", "percent", "fraction", "")
_ASK = {
    "mass": 'Pass mass_unit="mg" (or "ug", "g", "percent", "fraction"; --mass-unit on the command line).',
    "temperature": 'Pass temperature_unit="C" (or "K"; --temperature-unit on the command line).',
    "time": 'Pass time_unit="min" (or "s", "h"; --time-unit on the command line).',
}
_PAN_MG = 100.0
"""Mass given to an empty pan on a tared balance: only its change counts."""
_LOSS = re.compile(r"loss|verlust|perte|decrease|abnahme", re.IGNORECASE)
Quantity = Literal["mass", "temperature", "time"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TgaTable:
    """A table before it is judged.

    `columns` are in the order of the file; `lines` holds the line (or spreadsheet row) of each point and `place_of`
    puts it in words; `segment` numbers the segments from 0, None where the file knows none. Mass in mg, atmosphere and
    heating rate in K/min are as the header states them; `units` are those that it states for all columns of a
    quantity (``{"mass": "mg"}``), for formats whose columns carry none; `corrected` is as in `TgaRun`.
    """

    columns: tuple[Column, ...]
    lines: IntArray
    place_of: Callable[[int], str] = "line {}".format
    segment: IntArray | None = None
    initial_mass_mg: float | None = None
    atmosphere: Atmosphere = "unknown"
    heating_rate_k_min: float | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    corrected: bool = True
    metadata: Metadata = field(default_factory=dict)
    messages: tuple[Diagnostic, ...] = ()


def tga_reader(
    format_id: str,
    name: str,
    extensions: str,
    sniff: Callable[[SourceFile], float],
    parse: Callable[[SourceFile, TgaOptions], TgaTable],
    *,
    extras: tuple[str, ...] = (),
    verified: bool = True,
) -> TgaReader:
    """Reader of a format that `parse` turns into a table; `extensions` are separated by blanks."""
    return TgaReader(
        id=format_id,
        name=name,
        extensions=tuple(extensions.split()),
        sniff=sniff,
        read=lambda source, options: build_run(parse(source, options), options, source.record(format_id)),
        extras=extras,
        verified=verified,
    )


# Parts of readers


def numbered(values: FloatArray | IntArray) -> IntArray:
    """Numbers from 0 without gaps, in the order of the values."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def stated_segment(columns: Sequence[Column]) -> IntArray | None:
    """Segment of each point from the column that holds it; None without a complete one."""
    stated = (c.values for c in columns if c.role == "segment" and np.isfinite(c.values).all())
    found = next(stated, None)
    return None if found is None else numbered(found)


def rows_until_blank(lines: Sequence[str], first: int, stop: int, ends: str = "") -> Sequence[str]:
    """Rows from `first` to a blank line before `stop`, or to one that begins with a sign of `ends`.

    Behind it nothing may stand but lines that begin with ``#``, where that ends a table.
    """
    found = (i for i in range(first, stop) if lines[i][:1] in ends or not lines[i].strip(" \t;,"))
    end = next(found, stop)
    for i in range(end, stop):
        if lines[i].strip(" \t;,") and not (ends and lines[i].startswith("#")):
            msg = f"there is text after a blank line in the table: {lines[i].strip()[:40]!r}"
            raise ReadError(
                msg, place=f"line {i + 1}", expected="rows without gap", hint="Copy the file again."
            )
    return lines[first:end]


def table_notes(text: str, table: Table) -> list[Diagnostic]:
    """Messages on tables of a text that were not read, and on an end without end of line."""
    found: list[Diagnostic] = []
    last_line = text[text.rfind("\n") + 1 :]
    if last_line and not (last_line.strip() and int(table.lines[-1]) <= text.count("\n")):
        said = "the file ends in its last row of numbers without an end of line; it may have been cut."
        found.append(NO_FINAL_NEWLINE(said))
    if table.others:
        listed = ", ".join(map(str, table.others[:5]))
        said = f"{len(table.others)} other tables of numbers were not read; they begin at line {listed}."
        found.append(OTHER_TABLE(said, line=table.others[0]))
    return found


# The run


@dataclass(kw_only=True)
class _Notes:
    """Said about the run while it is put together: messages, metadata, quantities whose unit is missing."""

    messages: list[Diagnostic]
    metadata: dict[str, str | float | int | bool]
    missing: list[tuple[Quantity, Column]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Chosen:
    """The columns a run is made of."""

    temperature: Column
    mass: Column
    time: Column | None
    other_mass: Column | None


def build_run(table: TgaTable, options: TgaOptions, source: Source) -> TgaRun:
    """Choose columns and units, drop rows without values, check, and make the run.

    Raises
    ------
    ReadError
        No mass (heat flow only, degree of conversion), no temperature, a unit that is not stated, units
        that the values contradict, values no balance or furnace can give.
    """
    notes = _Notes(messages=list(table.messages), metadata=dict(table.metadata))
    chosen = _choose_columns(table, options, notes.messages)
    unit_t = _unit(chosen.temperature, table, options.temperature_unit, "temperature", notes)
    unit_m = cast(MassUnit, _unit(chosen.mass, table, options.mass_unit, "mass", notes))
    unit_s = "" if chosen.time is None else _unit(chosen.time, table, options.time_unit, "time", notes)
    if notes.missing:  # one error asks for every unit that is stated nowhere
        listed = [
            f"{quantity} column {column.label!r} {_range(column)}" for quantity, column in notes.missing
        ]
        msg = f"the file states no unit that is known for the {' and the '.join(listed)}"
        names = " and ".join(quantity for quantity, _ in notes.missing)
        hint = " ".join(_ASK[quantity] for quantity, _ in notes.missing)
        raise ReadError(msg, expected=f"the unit of {names} in the header", hint=hint)
    if unit_t == "F":
        msg = f"column {chosen.temperature.label!r} is in °F"
        raise ReadError(msg, expected="°C or K", hint="Export the temperature in °C or K.")
    keep = _rows_with_values(table, chosen, notes)
    initial = _initial_mass(table, chosen, options, notes, keep)
    if options.empty_pan and initial is None and unit_m in MG_PER_UNIT:
        mass = _pan_mass(chosen.mass, unit_m, notes, keep)
    else:
        mass = _absolute_mass(chosen.mass, unit_m, initial, notes, keep)
    segment = None if table.segment is None else table.segment[keep]
    places = _Places(of=table.place_of, lines=table.lines[keep])
    time = None
    if chosen.time is not None:
        time = _running_time(chosen.time.values[keep] * SECONDS_PER_UNIT[unit_s], segment, places, notes)
    if unit_m in ("percent", "fraction") and initial is None:
        text = (
            f"mass is in {unit_m} and the file does not state the mass it refers to; pass "
            "initial_mass_mg if known."
        )
        notes.messages.append(NO_INITIAL_MASS(text))
    run = TgaRun(
        temperature_c=chosen.temperature.values[keep] - (CELSIUS_ZERO_K if unit_t == "K" else 0.0),
        mass=mass,
        mass_unit=unit_m,
        time_s=time,
        initial_mass_mg=initial,
        segment=segment,
        atmosphere=table.atmosphere,
        heating_rate_k_min=table.heating_rate_k_min,
        corrected=table.corrected,
        metadata=notes.metadata,
        source=source,
    )
    found = _check_temperature(run, places, kelvin=unit_t == "K", forced=bool(options.temperature_unit))
    found += _check_mass(run, places) + _check_rate(run) + _check_points(run, places)
    return replace(run, messages=(*notes.messages, *found))


@dataclass(frozen=True, kw_only=True)
class _Places:
    """Where in the file the points of a run stand."""

    of: Callable[[int], str]
    lines: IntArray

    def __getitem__(self, point: int) -> str:
        return self.of(int(self.lines[point]))


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(repr(column.label) for column in columns) or "none"


def _numbered_labels(columns: Sequence[Column]) -> str:
    return ", ".join(f"{column.number} {column.label!r}" for column in columns)


def _range(column: Column) -> str:
    finite = column.values[np.isfinite(column.values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    return f"(values {low:g} to {high:g})"


def _choose_columns(table: TgaTable, options: TgaOptions, messages: list[Diagnostic]) -> _Chosen:
    """Choose sample temperature, mass and time; say what was chosen among several."""
    columns = [column for column in table.columns if not np.isnan(column.values).all()]
    named: dict[str, Column] = {}
    for quantity in ("temperature", "mass", "time"):
        wanted = options.columns.get(quantity)
        if wanted is None:
            continue
        found = [c for c in table.columns if wanted in (c.number, c.name, c.label)]
        if not found:
            msg = f"there is no column {wanted!r} for {quantity}"
            raise ReadError(msg, hint=f"The file has: {_numbered_labels(table.columns)}.")
        named[quantity] = found[0]
    temperature = named.get("temperature") or _choose_temperature(columns, messages)
    masses = [c for c in columns if c.role in ("mass", "mass_change")]
    if "mass" not in named and not masses:
        raise _no_mass(columns)
    mass = named.get("mass") or _choose_mass(masses, options.mass_unit, messages)
    if temperature is None:
        msg = f"no column is recognised as temperature; columns: {_listed(columns)}"
        hint = ask_column("temperature") + "."
        raise ReadError(msg, expected="a column named temperature with °C or K", hint=hint)
    times = [c for c in columns if c.role == "time"]
    time = named.get("time") or (_choose_same(times, "time", messages) if times else None)
    if time is None:
        messages.append(NO_TIME("the file has no time column; heating rate cannot be measured."))
    relative = mass.canonical == "percent"
    other = next((c for c in masses if c is not mass and (c.canonical == "percent") != relative), None)
    return _Chosen(temperature=temperature, mass=mass, time=time, other_mass=other)


def _no_mass(columns: Sequence[Column]) -> ReadError:
    if any(c.role == "conversion" for c in columns):
        msg = f"the file holds the degree of conversion, not mass; columns: {_listed(columns)}"
        hint = (
            "Conversion is scaled to each step's own loss, so mass cannot be recovered; "
            "export the mass itself."
        )
        return ReadError(msg, expected="mass in mg, µg or %", hint=hint)
    if any(c.role == "heat" for c in columns):
        msg = f"the file holds heat flow (DSC or DTA) and no mass; columns: {_listed(columns)}"
        return ReadError(msg, expected="a thermogravimetric signal", hint="Export the TG signal of the run.")
    msg = f"no column is recognised as mass; columns: {_listed(columns)}"
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
            messages.append(TEMPERATURE_NOT_OF_SAMPLE(text, column=column.label))
        return column
    return None


def _choose_mass(masses: Sequence[Column], wanted: str, messages: list[Diagnostic]) -> Column:
    """Mass in the unit wanted, else mass before its change, and weighed mass before per cent."""
    in_unit = [c for c in masses if wanted and c.canonical == wanted] or masses
    absolute = [c for c in in_unit if c.role == "mass"] or list(in_unit)
    ranks = [_MASS_ORDER.index(c.canonical) if c.canonical in _MASS_ORDER else 9 for c in absolute]
    best = [c for c, rank in zip(absolute, ranks, strict=True) if rank == min(ranks)]
    return _choose_same(best, "mass", messages)


def _choose_same(candidates: Sequence[Column], quantity: Quantity, messages: list[Diagnostic]) -> Column:
    """Choose among columns that claim to be the same: by content, never by position."""
    if len(candidates) == 1:
        return candidates[0]
    living = [c for c in candidates if np.nanmin(c.values) != np.nanmax(c.values)] or list(candidates[:1])
    first = living[0]
    for other in living[1:]:
        if other.canonical != first.canonical and quantity != "mass":
            continue
        span = float(np.nanmax(first.values) - np.nanmin(first.values))
        if not np.allclose(first.values, other.values, rtol=0, atol=1e-4 * span, equal_nan=True):
            msg = f"several columns could be the {quantity} and they differ: {_numbered_labels(living)}"
            raise ReadError(msg, hint=ask_column(quantity) + ".")
    dropped = _numbered_labels([c for c in candidates if c is not first])
    text = f"column {first.number} {first.label!r} is used as {quantity}; equal or empty and not used: {dropped}."
    messages.append(DUPLICATE_COLUMN(text))
    return first


def _unit(column: Column, table: TgaTable, wanted: str, quantity: Quantity, notes: _Notes) -> str:
    """Unit of a column: the user's word, the column's own, the header's; "" where none states it."""
    stated = column.canonical if column.dimension == quantity else ""
    origin = "column header"
    if not stated and quantity in table.units:
        stated, origin = table.units[quantity], "file header"
    if wanted and stated and wanted != stated:
        text = f"{quantity} column {column.label!r} states {stated}; it was read as {wanted}, as asked."
        notes.messages.append(UNIT_OVERRIDDEN(text, stated=stated, used=wanted))
    if wanted:
        stated, origin = wanted, "given"
    notes.metadata |= {f"{quantity}_column": column.label, f"{quantity}_unit_in_file": stated}
    notes.metadata[f"{quantity}_unit_from"] = origin
    if not stated:
        notes.missing.append((quantity, column))
    return stated


def _rows_with_values(table: TgaTable, chosen: _Chosen, notes: _Notes) -> IntArray:
    blank = np.isnan(chosen.temperature.values) | np.isnan(chosen.mass.values)
    if chosen.time is not None:
        blank |= np.isnan(chosen.time.values)
    keep = np.flatnonzero(~blank)
    if len(keep) < 2:
        msg = f"only {len(keep)} of {len(blank)} rows have temperature, mass and time"
        raise ReadError(msg, place=table.place_of(int(table.lines[0])), expected="a table of numbers")
    dropped = int(blank.sum())
    if dropped:
        leading = int(keep[0])
        first = table.place_of(int(table.lines[np.argmax(blank)]))
        text = (
            f"{dropped} of {len(blank)} rows have no temperature, mass or time and were left out "
            f"({leading} of them before the first complete row; the first is {first})."
        )
        said = ROWS_DROPPED(text, rows=dropped, leading=leading)
        few = dropped - leading <= 0.02 * len(blank)
        notes.messages.append(replace(said, severity="info") if few else said)
    return keep


def _initial_mass(
    table: TgaTable, chosen: _Chosen, options: TgaOptions, notes: _Notes, keep: IntArray
) -> float | None:
    header, given = table.initial_mass_mg, options.initial_mass_mg
    if given is not None and not (np.isfinite(given) and given > 0):
        msg = f"initial_mass_mg must be positive; it is {given}"
        raise ReadError(msg)
    if header is not None and not 0 < header < 1e6:
        text = f"the header states a sample mass of {header:g} mg, which cannot be; it was not used."
        notes.messages.append(HEADER_MASS_INVALID(text, header_mg=header))
        header = None
    if given is not None:
        if header is not None and abs(given - header) > 0.01 * header:
            text = f"the header states {header:g} mg; {given:g} mg was used, as asked."
            notes.messages.append(INITIAL_MASS_OVERRIDDEN(text, header_mg=header, used_mg=given))
        notes.metadata["initial_mass_from"] = "given"
        return given
    if header is not None:
        notes.metadata["initial_mass_from"] = "file header"
        return header
    return _initial_mass_from_ratio(chosen, notes, keep)


def _initial_mass_from_ratio(chosen: _Chosen, notes: _Notes, keep: IntArray) -> float | None:
    """Mass in mg that the per cent column refers to, where the file has mass both in mg and in per cent."""
    other, mass = chosen.other_mass, chosen.mass
    if other is None or mass.role != "mass" or other.role != "mass":
        return None
    percent, weighed = (other, mass) if other.canonical == "percent" else (mass, other)
    if percent.canonical != "percent" or weighed.canonical not in MG_PER_UNIT:
        return None
    share, absolute = percent.values[keep], weighed.values[keep] * MG_PER_UNIT[weighed.canonical]
    use = np.isfinite(share) & np.isfinite(absolute) & (share > 5.0)  # below, rounding of per cent dominates
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
        notes.messages.append(COLUMNS_DISAGREE(text, point=worst))
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
    notes.messages.append(replace(MASS_IS_CHANGE(text, added=start), severity="info"))
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
        notes.messages.append(LOOSE_NAME(text, column=column.label))
        return values
    if named and _LOSS.search(column.name) and values.max() > -values.min():
        values = -values
    start = {"percent": 100.0, "fraction": 1.0}.get(unit)
    if start is None:
        if initial is None:
            msg = f"column {column.label!r} holds the change of mass from {values[0]:g} on, not mass"
            hint = (
                "Pass initial_mass_mg=…, the mass weighed in (--initial-mass on the command line); "
                "a blank run is read with xrdcomp.io.front.read_empty_pan (--tga-blank)."
            )
            raise ReadError(msg, expected="a mass, or the initial mass in the header", hint=hint)
        start = initial / MG_PER_UNIT[unit]
    text = f"column {column.label!r} holds the change of mass; {start:g} {unit} was added to every value."
    said = MASS_IS_CHANGE(text, added=start)
    notes.messages.append(replace(said, severity="info") if named else said)
    mass: FloatArray = values + start
    return mass


def _running_time(time: FloatArray, segment: IntArray | None, places: _Places, notes: _Notes) -> FloatArray:
    """Time that does not decrease; a clock that restarts with each segment is run on."""
    back = np.flatnonzero(np.diff(time) < 0) + 1
    if not len(back):
        return time
    if segment is not None and (segment[back] != segment[back - 1]).all() and (time[back] <= 60.0).all():
        offset = np.zeros_like(time)
        for jump in back.tolist():
            offset[jump:] += time[jump - 1] - time[jump]
        text = f"time restarts with {len(back)} segments; each was set to begin where the one before ends."
        notes.messages.append(TIME_RESTARTS(text, restarts=len(back)))
        running: FloatArray = time + offset
        return running
    at = int(back[0])
    msg = f"time falls from {time[at - 1]:g} s to {time[at]:g} s"
    hint = "The file may hold two runs one after the other, or the value is damaged; export one run."
    raise ReadError(msg, place=places[at], expected="time that rises", hint=hint)


# Is this a thermogravimetric run?


def _check_temperature(run: TgaRun, places: _Places, *, kelvin: bool, forced: bool) -> list[Diagnostic]:
    """Refuse what no furnace reaches; `kelvin`: the file is in kelvin; `forced`: the user gave the unit."""
    t = run.temperature_c
    if kelvin and not forced and t[0] < SMALLEST_START_C:
        msg = f"the temperature column says kelvin and starts at {t[0] + CELSIUS_ZERO_K:g}, {t[0]:g} °C"
        hint = (
            'If the numbers are °C, pass temperature_unit="C"; if they are kelvin, "K" (--temperature-unit).'
        )
        raise ReadError(msg, place=places[0], hint=hint)
    bad = (t < COLDEST_C) | (t > HOTTEST_C)
    if bad.any():
        at = int(np.argmax(bad))
        msg = f"temperature is {t[at]:g} °C at point {at}"
        raise ReadError(msg, place=places[at], expected=f"{COLDEST_C:g} to {HOTTEST_C:g} °C")
    if float(np.ptp(t)) == 0.0:
        msg = f"temperature is {t[0]:g} °C at every point"
        raise ReadError(msg, expected="a heating program")
    if kelvin or forced or not 280.0 < t[0] < 310.0 or t[0] >= np.quantile(t, 0.02) + 5.0:
        return []
    text = (
        f"temperature is stated in °C and starts at {t[0]:.1f}; a run from room "
        "temperature in kelvin would "
        'look like this. Pass temperature_unit="K" (--temperature-unit K) if so.'
    )
    return [TEMPERATURE_LOOKS_KELVIN(text, start_c=float(t[0]))]


def _check_mass(run: TgaRun, places: _Places) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    m, unit = run.mass, run.mass_unit
    if not (m > 0).any():
        msg = f"mass is not above zero at any of the {len(m)} points"
        raise ReadError(msg, expected="the mass of a sample", hint="The column may hold a change of mass.")
    at = int(np.argmax(np.abs(m)))
    if abs(m[at]) > LARGEST[unit]:
        msg = f"mass is {m[at]:g} {unit} at point {at}, which no thermobalance weighs"
        raise ReadError(msg, place=places[at], expected=f"below {LARGEST[unit]:g} {unit}")
    start = float(np.median(m[:20]))
    if start <= 0:
        msg = f"mass starts at {start:g} {unit}"
        raise ReadError(msg, place=places[0], expected="a mass above zero")
    if unit == "percent" and start < 2.0:
        msg = f"mass is stated in per cent and starts at {start:g}, as a fraction would"
        hint = 'If it is one, pass mass_unit="fraction" (--mass-unit fraction). ' + ask_column("mass") + "."
        raise ReadError(msg, expected="a start near 100 %", hint=hint)
    if unit == "fraction" and start > 20.0:
        msg = f"mass is stated as a fraction and starts at {start:g}, as per cent would"
        hint = 'Pass mass_unit="percent" (--mass-unit percent) if it is.'
        raise ReadError(msg, expected="a start near 1", hint=hint)
    scale = {"percent": 100.0, "fraction": 1.0}.get(unit)
    if scale and not 0.8 * scale < start < 1.2 * scale:
        text = (
            f"mass starts at {start:g} {unit}, not near {scale:g}; the run may have begun "
            "before this segment."
        )
        found.append(START_NOT_FULL(text, start=start))
    top, lowest = float(m.max()), float(m.min())
    if top > 5 * start:
        text = f"mass grows from {start:g} to {top:g} {unit}; the column may be another quantity."
        found.append(MASS_GROWS(text, start=start, top=top))
    if lowest < -0.02 * start:
        at = int(np.argmin(m))
        text = (
            f"mass falls to {lowest:g} {unit}, {100 * lowest / start:.1f} % of the start, at point {at} "
            f"({places[at]}): no buoyancy correction, or a drifting balance."
        )
        found.append(NEGATIVE_MASS(text, lowest=lowest, point=at))
    header = run.initial_mass_mg
    first = float(np.median(m[:5])) * MG_PER_UNIT.get(unit, np.nan)
    if header is not None and abs(first - header) > 0.1 * header:
        text = (
            f"the run starts at {first:.4g} mg and the header states "
            f"{header:.4g} mg; loss before the "
            "first point, a wrong unit or a wrong header."
        )
        found.append(INITIAL_MASS_DIFFERS(text, start_mg=first, header_mg=header))
    return found


def _check_rate(run: TgaRun) -> list[Diagnostic]:
    """Fastest heating over any fiftieth of the run against what furnaces do and what the header says."""
    if run.time_s is None or len(run) < 100:
        return []
    stride = len(run) // 50
    dt = run.time_s[stride::stride] - run.time_s[:-stride:stride]
    dk = run.temperature_c[stride::stride] - run.temperature_c[:-stride:stride]
    if not (dt > 0).any():
        return [HEATING_RATE_ODD("time does not advance; its column may be another quantity.")]
    rate = float((dk[dt > 0] / dt[dt > 0]).max() * 60.0)
    stated = run.heating_rate_k_min
    if rate > 0 and not 0.005 <= rate <= 2000.0:
        text = f"temperature rises by up to {rate:.3g} K/min; time or temperature may be in another unit."
        return [HEATING_RATE_ODD(text, rate_k_min=rate)]
    if stated and rate > 0 and (rate > 20 * stated or rate < stated / 20):
        text = (
            f"temperature rises by up to {rate:.3g} K/min and the header states {stated:g} "
            "K/min; the unit of time "
            "or temperature may be wrong."
        )
        return [HEATING_RATE_ODD(text, rate_k_min=rate, header_k_min=stated)]
    return []


def _check_points(run: TgaRun, places: _Places) -> list[Diagnostic]:
    """Segment numbers must rise with time and not stand alone; no point may leave both neighbours far behind."""
    found: list[Diagnostic] = []
    if run.segment is not None:
        back = np.flatnonzero(np.diff(run.segment) < 0) + 1
        lone = np.flatnonzero(np.bincount(run.segment) == 1)
        if len(back) or len(lone):
            at = int(back[0]) if len(back) else int(np.argmax(run.segment == lone[0]))
            text = (
                f"segment numbers are out of order or stand alone, first at point {at} ({places[at]}); "
                "one of them is damaged, or the points are not in the order measured."
            )
            found.append(SEGMENTS_ODD(text, point=at))
    if len(run) < 20:
        return found
    span = max(float(np.ptp(run.mass)), 1e-12)
    series = [("temperature", run.temperature_c, 3.0, "°C"), ("mass", run.mass, 0.005 * span, run.mass_unit)]
    for name, values, floor, unit in series:
        step = np.diff(values)
        limit = max(floor, 30.0 * float(np.quantile(np.abs(step), 0.95)))
        before, after = step[:-1], -step[1:]
        out = (before * after > 0) & (np.minimum(np.abs(before), np.abs(after)) > limit)
        spikes = [
            *(np.flatnonzero(out)[:3] + 1).tolist(),
            *([len(values) - 1] if abs(step[-1]) > limit else []),
        ]
        for at in spikes[:3]:
            text = (
                f"{name} is {values[at]:g} {unit} at point {at} ({places[at]}) between "
                f"{values[at - 1]:g} and {values[min(at + 1, len(values) - 1)]:g}: a disturbance "
                "or a damaged value."
            )
            found.append(SPIKE(text, point=at, value=float(values[at])))
    return found
