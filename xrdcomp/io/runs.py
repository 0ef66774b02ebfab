"""From a table to a `TgaRun`: which columns, units and rows; refused if that would be a guess.

Formats are declared with `tga_reader`. They return a `TgaTable`, from which a builder makes the run. Values that no
balance or furnace can give are refused; values that are only odd give messages, which reach the result.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import numpy as np

from xrdcomp.data import (
    Atmosphere,
    Diagnostic,
    GasChange,
    MassUnit,
    MessageKind,
    Metadata,
    TgaRun,
    atmosphere_of,
    message_kind,
)
from xrdcomp.errors import ReadError, either
from xrdcomp.io.columns import Column, Role, ask_column
from xrdcomp.io.registry import TgaOptions, TgaReader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import Table, line_error
from xrdcomp.units import CELSIUS_ZERO_K, MG_PER_UNIT, BoolArray, FloatArray, IntArray

# fmt: off
CUT = message_kind("TGA_CUT", "warning",
    "The end mark written by the instrument's software is missing: the file was cut or edited (info if only the blank "
    "line of Proteus is missing).", remedy="Copy or export the file again.")
NO_FINAL_NEWLINE = message_kind("TGA_NO_FINAL_NEWLINE", "info", "The file ends in its last row of numbers.")
OTHER_TABLE = message_kind("TGA_OTHER_TABLE", "warning",
    "The file holds other tables of numbers, which were not read.", threshold="three rows")
ATMOSPHERE_CHANGES = message_kind("TGA_ATMOSPHERE_CHANGES", "info",
    "The file states a change of gas within the run (warning if it does not say where).",
    remedy="If the file does not say where, give the atmosphere, such as nitrogen,air@177min.")
RECORDS_BEYOND = message_kind("TGA_RECORDS_BEYOND", "warning",
    "The file holds more records than it declares, or rows of zeros at its end; they were left out.")
STORED_TWICE = message_kind("TGA_STORED_TWICE", "warning",
    "The file contains the run, or every row of it, twice; one copy was read.", threshold="equal in every figure")
ROWS_MISSING = message_kind("TGA_ROWS_MISSING", "warning",
    "The clock jumps within a segment of readings that are otherwise evenly spaced: rows were left out.",
    remedy="Export the run again.", origin="judgement",
    threshold="2.5 steps of time and 1.5 of temperature, if 95 % of the time steps are even to 20 %; 20 steps of time "
    "alone, in at most three places")
EVERY_NTH = message_kind("TGA_EVERY_NTH_POINT", "info", "The file contains only every n-th point of the measurement.")
NO_TIME = message_kind("TGA_NO_TIME", "info", "The file has no time; the heating rate cannot be measured.")
DUPLICATE_COLUMN = message_kind("TGA_DUPLICATE_COLUMN", "info",
    "Several columns hold the same, or nothing; the text says which one was "
    "used.", threshold="1e-4 of the range of values")
LOOSE_NAME = message_kind("TGA_LOOSE_NAME", "info", "A column named as a loss or change contains the mass itself.")
UNKNOWN_NAME = message_kind("TGA_UNKNOWN_NAME", "warning",
    "A column with an unknown name was identified by its unit, which no other column has.",
    remedy="Name the column, or choose it by number.")
TEMPERATURE_NOT_OF_SAMPLE = message_kind("TGA_TEMPERATURE_NOT_OF_SAMPLE", "warning",
    "Only the furnace or programme temperature is available; steps may be shifted by several kelvin.",
    remedy="Export the sample temperature.")
UNIT_OVERRIDDEN = message_kind("TGA_UNIT_OVERRIDDEN", "warning",
    "The unit given by the user differs from the one in the file; the user's was used.")
ROWS_DROPPED = message_kind("TGA_ROWS_DROPPED", "warning",
    "Rows without temperature, mass or time were left out (info below the threshold).",
    threshold="2 % of the rows, not counting those before the first complete one", origin="judgement")
NO_INITIAL_MASS = message_kind("TGA_NO_INITIAL_MASS", "info",
    "Mass is relative and the file does not state what it refers to.", remedy="Pass initial_mass_mg, if it is known.")
HEADER_MASS_INVALID = message_kind("TGA_HEADER_MASS_INVALID", "warning",
    "The sample mass in the header is impossible; it was not used.", threshold="0 to a kilogram")
INITIAL_MASS_OVERRIDDEN = message_kind("TGA_INITIAL_MASS_OVERRIDDEN", "warning",
    "The mass given by the user differs from that in the header; the user's was used.", threshold="1 %")
COLUMNS_DISAGREE = message_kind("TGA_COLUMNS_DISAGREE", "warning",
    "Two columns of one quantity (mass in mg and per cent, or two temperatures) contradict each other; one is wrong.",
    threshold="0.2 % of the initial mass; 100 K", origin="rounding of two printed columns, with a margin; judgement")
MASS_IS_CHANGE = message_kind("TGA_MASS_IS_CHANGE", "warning",
    "The column contains the change of mass; the initial mass was added to every value (info if the file calls it a "
    "change; warning if only its values, which start at zero, show it).")
TIME_RESTARTS = message_kind("TGA_TIME_RESTARTS", "info", "The time restarts with each segment; it was made "
    "continuous.")
TEMPERATURE_LOOKS_KELVIN = message_kind("TGA_TEMPERATURE_LOOKS_KELVIN", "warning",
    "The temperature is stated to be in °C but starts where a run from room temperature would start in kelvin.",
    remedy='Pass temperature_unit="K" if so.', threshold="start between 280 and 350")
START_NOT_FULL = message_kind("TGA_START_NOT_FULL", "warning",
    "The relative mass does not start near 100 %; the run may have begun before this segment.", threshold="20 %",
    origin="judgement")
MASS_GROWS = message_kind("TGA_MASS_GROWS", "warning",
    "The mass increases several times over; the column may be another "
    "quantity.", threshold="five times", origin="judgement")
NEGATIVE_MASS = message_kind("TGA_NEGATIVE_MASS", "warning",
    "Mass falls below zero: no buoyancy correction, or a drifting balance.", threshold="−2 % of the start",
    origin="buoyancy is about 1 % of a sample")
INITIAL_MASS_DIFFERS = message_kind("TGA_INITIAL_MASS_DIFFERS", "warning",
    "The run does not start at the mass of the header: loss before the first point, a wrong unit or a wrong header.",
    threshold="10 %", origin="judgement")
HEATING_RATE_ODD = message_kind("TGA_HEATING_RATE_ODD", "warning",
    "The heating rate is impossible for a furnace, or far from that in the header; time or temperature may be in "
    "another unit (info if it is only unusually slow).",
    threshold="0.005 to 500 K/min; twentyfold the header's; slow below 0.3 K/min",
    origin="the fastest thermobalances heat by 500 K/min; judgement")
MASS_UNUSUAL = message_kind("TGA_MASS_UNUSUAL", "info",
    "The specimen is larger or smaller than most thermobalances take; mass may be in another unit.",
    remedy="Pass the unit of mass if the file states a wrong one.", threshold="0.1 mg to 1 g", origin="judgement")
SEGMENTS_ODD = message_kind("TGA_SEGMENTS_ODD", "warning",
    "Segment numbers are out of order or stand alone; one of them is damaged.")
SPIKE = message_kind("TGA_SPIKE", "warning",
    "One point, or a short stretch, lies far from the readings before and after it: a disturbance or a damaged value.",
    threshold="30 times the 95 % quantile of steps, at least 3 K or 0.5 % of the range of mass", origin="judgement")
# fmt: on

FASTEST_K_MIN, FARTHEST_K = 500.0, 100.0
"""Fastest heating of a thermobalance; no two thermometers of one furnace differ by more in the middle of a run."""
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
    "mass": either(
        'Pass mass_unit="mg" (or "ug", "g", "percent", "fraction").',
        "Pass --mass-unit mg (or ug, g, percent, fraction).",
    ),
    "temperature": either('Pass temperature_unit="C" (or "K").', "Pass --temperature-unit C (or K)."),
    "time": either('Pass time_unit="min" (or "s", "h").', "Pass --time-unit min (or s, h)."),
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
    quantity (``{"mass": "mg"}``), for formats whose columns carry none; `corrected` is as in `TgaRun`. Later
    gases are `gas_changes`, or in `gas_rows` by the index of their first row; `runs` is the number of tables of which
    `TgaOptions.run` chose this one.
    """

    columns: tuple[Column, ...]
    lines: IntArray
    place_of: Callable[[int], str] = "line {}".format
    segment: IntArray | None = None
    initial_mass_mg: float | None = None
    atmosphere: Atmosphere = "unknown"
    gas_changes: tuple[GasChange, ...] = ()
    gas_rows: tuple[tuple[int, Atmosphere], ...] = ()
    heating_rate_k_min: float | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    corrected: bool = True
    metadata: Metadata = field(default_factory=dict)
    messages: tuple[Diagnostic, ...] = ()
    runs: int = 1


Parse = Callable[[SourceFile, TgaOptions], TgaTable]


def tga_reader(
    id: str,
    name: str,
    extensions: str,
    sniff: Callable[[SourceFile], float],
    *,
    extras: tuple[str, ...] = (),
    verified: bool = True,
) -> Callable[[Parse], TgaReader]:
    """Declare the decorated function, which returns a table, as a format; `extensions` are separated by blanks."""

    def declare(parse: Parse) -> TgaReader:
        def read(source: SourceFile, options: TgaOptions) -> TgaRun:
            exports = _exports(source) if not extras else [0]
            chosen, twice = source, False
            if len(exports) > 1:
                lines, run = source.text.split("\n"), options.run
                parts = ["\n".join(lines[a:b]).strip() for a, b in itertools.pairwise([*exports, len(lines)])]
                twice = run is None and len(set(parts)) == 1
                run = 0 if twice else run
                if run is None or not 0 <= run < len(exports):
                    listed = ", ".join(f"run {i} from line {at + 1}" for i, at in enumerate(exports[:10]))
                    msg = f"the file holds {len(exports)} exports one after the other ({listed})"
                    raise ReadError(msg, expected="one run", hint=either("Pass run=N.", "Pass --run N."))
                text = "\n" * exports[run] + "\n".join(lines[exports[run] : [*exports, len(lines)][run + 1]])
                text += "\n" * (run + 1 < len(exports))  # the line end between two exports
                chosen, options = replace(source, data=text.encode()), replace(options, run=None)
            found = _Builder(parse(chosen, options), options).build()
            if twice:
                said = STORED_TWICE(f"the export stands in the file {len(exports)} times; one copy was read.")
                found = replace(found, messages=(*found.messages, said))
            return replace(found, source=source.record(id, found.metadata.get("sample_name")))

        suffixes = tuple(extensions.split())
        return TgaReader(
            id=id, name=name, extensions=suffixes, sniff=sniff, read=read, extras=extras, verified=verified
        )

    return declare


# Parts of readers


def _exports(source: SourceFile) -> list[int]:
    """Lines, from 0, at which exports begin that were put one behind the other: the first fact of the file, again.

    A fact is a key with a value, no row of names; each export must hold numbers.
    """
    lines = source.text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    fact = re.match(r"[#\s\"]*[A-Za-zÀ-ÿ][^:=\t;,]{2,40}(?=[:=\t;]\s*\S)|CLOSED\b|\[(?!step)[^\]]+\]$", lines[first])
    if not fact or f"\n{fact[0]}" not in source.text or sum(map(lines[first].count, "\t;,")) > 2:
        return [first]
    starts = [first, *(i for i in range(first + 1, len(lines)) if lines[i].startswith(fact[0]))]
    bounds = itertools.pairwise([*starts, len(lines)])
    rows = [sum(1 for line in lines[a:b] if re.match(r"[\s\"]*[-+.]?\d", line)) for a, b in bounds]
    return starts if len(starts) <= 50 and min(rows) >= 10 else [first]


def rows_until_blank(lines: Sequence[str], first: int, stop: int, ends: str = "") -> Sequence[str]:
    """Rows from `first` to a blank line before `stop`, or to one that begins with a sign of `ends`.

    After it, only lines that begin with ``#`` may follow, if that ends a table.
    """
    found = (i for i in range(first, stop) if lines[i][:1] in ends or not lines[i].strip(" \t;,"))
    end = next(found, stop)
    for i in range(end, stop):
        if lines[i].strip(" \t;,") and not (ends and lines[i].startswith("#")):
            msg = f"there is text after a blank line in the table: {lines[i].strip()[:40]!r}"
            raise line_error(i + 1, msg, "rows without gap")
    return lines[first:end]


def declared_rows(table: Table, declared: float | None, *, strict: bool = False) -> tuple[Table, list[Diagnostic]]:
    """As many rows as the file declares; more are reported if they are padding or continue the axis, else refused.

    Fewer rows give a warning that the file was cut; if `strict`, they are refused.
    """
    held = len(table.values)
    if declared is None or int(declared) == held or int(declared) < 2:
        return table, []
    n, text = int(declared), f"the file declares {declared:g} points and holds {held}"
    if n > held:
        if strict:
            raise line_error(int(table.lines[-1]), text, hint="The file was cut or edited; export it again.")
        return table, [CUT(f"{text}; it was cut, or edited.")]
    axis = table.values[n - 2 :, 0]
    if table.values[n:].any() and not (np.diff(axis) >= 0.0).all():
        raise line_error(int(table.lines[n]), f"{text}, and the rest does not continue them", hint="Export it again.")
    kept = replace(table, values=table.values[:n], lines=table.lines[:n], part=table.part[:n])
    return kept, [RECORDS_BEYOND(f"{text}; the first {n} were read.", declared=n, held=held)]


def table_notes(text: str, table: Table) -> list[Diagnostic]:
    """Messages on tables of a text that were not read, and on an end without end of line."""
    found: list[Diagnostic] = []
    lines = text.split("\n")
    at = int(table.lines[-1]) - 1
    if text.endswith("\ufffd"):
        found.append(CUT("the file ends within a character; it was cut."))
    elif lines[-1] and at == len(lines) - 1:
        # a last cell with fewer digits than all others is the place of a cut
        tails = {len(line) - len(line.rstrip("0123456789")) for line in lines[max(at - 200, 0) : at] if line.strip()}
        short = len(lines[at]) - len(lines[at].rstrip("0123456789")) < min(tails, default=0)
        said = "the file ends in its last row of numbers without an end of line"
        found.append(CUT(f"{said}, with fewer digits than every row before; it was cut there.") if short
                     else NO_FINAL_NEWLINE(f"{said}; it may have been cut."))  # fmt: skip
    if table.others:
        listed = ", ".join(map(str, table.others[:5]))
        said = f"{len(table.others)} other tables of numbers were not read; they begin at line {listed}."
        found.append(OTHER_TABLE(said, line=table.others[0]))
    return found


_PLACE = re.compile(
    r"(?:@|\bat|\bfrom|\bab|\bbei|\bafter|\bnach|à|\ba partir de|\bdesde)\s*(\d+(?:[.,]\d+)?)\s*(min|h\b|°?C\b|K\b)",
    re.IGNORECASE,
)
_FLOW = re.compile(r"\d+(?:[.,]\d+)?\s*(?:ml|cc|cm3|cm³|l)\s*/\s*min", re.IGNORECASE)


def gases_of(text: str) -> tuple[Atmosphere, tuple[GasChange, ...]]:
    """Gas at the start and later ones, as a header states them: ``nitrogen, air from 600 °C``, ``N2 -> air at 30 min``.

    Without places several gases are one mixture, or unknown.
    """
    bare = _FLOW.sub("", text)
    places = list(_PLACE.finditer(bare))
    if not places:
        return atmosphere_of(text), ()
    names = [*re.split(r",|;|->|→|\bthen\b|\bdann\b|\bpuis\b|switch(?:ed)? to|changed? to", bare[: places[0].start()])]
    said = [name for name in names if atmosphere_of(name) != "unknown"]
    if len(said) != 2:
        return "unknown", ()
    changes: list[GasChange] = []
    gas = said[1]
    for i, place in enumerate(places):
        value = float(place[1].replace(",", "."))
        unit = place[2].lower()
        minutes = {"min": value, "h": 60.0 * value}.get(unit)
        celsius = None if minutes is not None else value - (CELSIUS_ZERO_K if unit == "k" else 0.0)
        changes.append(GasChange(gas=atmosphere_of(gas), from_min=minutes, from_c=celsius))
        gas = bare[place.end() : places[i + 1].start() if i + 1 < len(places) else None]
    return atmosphere_of(said[0]), tuple(changes)


# The run


def _listed(columns: Sequence[Column], *, numbers: bool = False) -> str:
    labels = (f"{column.number} {column.label!r}" if numbers else repr(column.label) for column in columns)
    return ", ".join(labels) or "none"


def _and_back(values: FloatArray, step: FloatArray, least: float) -> list[int]:
    """First points of stretches that jump and come back to the curve, where the readings around are even.

    A specimen does not regain in one reading what it lost in one; the curve goes on behind as before.
    """
    sizes = np.abs(step)
    around = np.array([np.roll(sizes, shift) for shift in (-3, -2, -1, 1, 2, 3)])
    jumps = np.flatnonzero((sizes > 10.0 * np.sort(around, axis=0)[-2]) & (sizes > 4.0 * least))
    jumps = jumps[(jumps >= 3) & (jumps < len(step) - 3)]
    # however a stretch runs within: its two ends are larger than anything outside
    a, b = sorted(np.argsort(sizes)[-2:].tolist())
    outside = np.concatenate([sizes[:a], sizes[b + 1 :]])
    ends = [a + 1] if len(outside) and step[a] * step[b] < 0 and sizes[[a, b]].min() > 8.0 * outside.max() > 0.0 else []
    return ends + [
        int(a) + 1
        for a, b in itertools.pairwise(jumps)
        if b - a > 1 and step[a] * step[b] < 0 and abs(step[a] + step[b]) < 0.5 * sizes[[a, b]].min()
        and abs(values[b + 1] - values[a]) < 0.5 * sizes[a]
    ]  # fmt: skip


class _Builder:
    """A run in the making: the columns used for each quantity, the rows kept, messages and metadata."""

    def __init__(self, table: TgaTable, options: TgaOptions) -> None:
        self.table, self.options = table, options
        self.messages = list(table.messages)
        self.metadata = dict(table.metadata)
        self.used: dict[Quantity, Column] = {}
        self.other_mass: Column | None = None
        self.keep: IntArray = np.zeros(0, dtype=np.int64)

    def say(self, kind: MessageKind, text: str, *, mild: bool = False, **facts: str | float) -> None:
        """Add a message; `mild`: as an info, whatever its kind."""
        said = kind(text, **facts)
        self.messages.append(replace(said, severity="info") if mild else said)

    def place(self, point: int) -> str:
        """Where in the file a point of the run stands."""
        return self.table.place_of(int(self.table.lines[self.keep[point]]))

    def build(self) -> TgaRun:
        """Choose columns and units, drop rows without values, check, and make the run."""
        table, options = self.table, self.options
        self.choose_columns()
        wanted = (options.temperature_unit, options.mass_unit, options.time_unit)
        unit = {quantity: self.unit(quantity, asked) for quantity, asked in zip(self.used, wanted, strict=False)}
        missing = {quantity: self.used[quantity] for quantity in unit if not unit[quantity]}
        if missing:  # one error asks for every unit that is stated nowhere
            listed = " and the ".join(
                f"{quantity} column {column.label!r} "
                f"(values {np.fmin.reduce(column.values):g} to {np.fmax.reduce(column.values):g})"
                for quantity, column in missing.items()
            )
            expected = f"the unit of {' and '.join(missing)} in the header"
            msg = f"the file states no unit that is known for the {listed}"
            raise ReadError(msg, expected=expected, hint=" ".join(_ASK[quantity] for quantity in missing))
        if unit["temperature"] == "F":
            msg = f"column {self.used['temperature'].label!r} is in °F"
            raise ReadError(msg, expected="°C or K", hint="Export the temperature in °C or K.")
        self.keep_rows_with_values()
        self.keep_one_run()
        unit_m, kelvin = cast(MassUnit, unit["mass"]), unit["temperature"] == "K"
        initial = self.initial_mass()
        mass = self.mass(unit_m, initial)
        segment = None if table.segment is None else table.segment[self.keep]
        time = self.running_time(SECONDS_PER_UNIT[unit["time"]], segment) if "time" in unit else None
        if unit_m in ("percent", "fraction") and initial is None:
            text = f"mass is in {unit_m} and the file does not state the mass it refers to"
            self.say(NO_INITIAL_MASS, f"{text}; pass initial_mass_mg if known.")
        run = TgaRun(
            temperature_c=self.used["temperature"].values[self.keep] - (CELSIUS_ZERO_K if kelvin else 0.0), mass=mass,
            mass_unit=unit_m, time_s=time, initial_mass_mg=initial, segment=segment,
            atmosphere=table.atmosphere, gas_changes=self.gas_changes(time),
            heating_rate_k_min=table.heating_rate_k_min, corrected=table.corrected, metadata=self.metadata,
        )  # fmt: skip
        self.check_temperature(run, kelvin=kelvin)
        self.check_mass(run)
        self.check_rate(run)
        self.check_points(run)
        return replace(run, messages=tuple(self.messages))

    def choose_columns(self) -> None:
        """Choose sample temperature, mass and time, as the user names them or as they are recognised."""
        columns = [column for column in self.table.columns if not np.isnan(column.values).all()]
        named: dict[str, Column] = {}
        for quantity, wanted in self.options.columns.items():
            found = [c for c in self.table.columns if wanted in (c.number, c.name, c.label)]
            if not found:
                msg = f"there is no column {wanted!r} for {quantity}"
                raise ReadError(msg, hint=f"The file has: {_listed(self.table.columns, numbers=True)}.")
            named[quantity] = found[0]
        columns = [self.of_unit(column, columns) for column in columns]
        temperature = named.get("temperature")
        for role in _TEMPERATURE_ORDER:  # the sample's before others, those of furnace and program last
            candidates = [c for c in columns if c.role == role]
            if temperature is None and candidates:
                temperature = self.choose_same(candidates, "temperature")
                if role in ("furnace_temperature", "program_temperature"):
                    text = f"the only temperature is {temperature.label!r}, not that of the sample; steps may be "
                    text += "shifted by several kelvin. Export the sample temperature."
                    self.say(TEMPERATURE_NOT_OF_SAMPLE, text, column=temperature.label)
        masses = [c for c in columns if c.role in ("mass", "mass_change")]
        mass = named.get("mass") or self.choose_mass(masses, columns)
        if temperature is None:
            msg = f"no column is recognised as temperature; columns: {_listed(columns)}"
            expected = "a column named temperature with °C or K"
            raise ReadError(msg, expected=expected, hint=ask_column("temperature"), unnamed=True)
        for other in (c for c in columns if c.role in _TEMPERATURE_ORDER and c.canonical == temperature.canonical):
            apart = float(np.nanmedian(np.abs(other.values - temperature.values)))
            if apart > FARTHEST_K:
                text = (
                    f"the columns {temperature.label!r} and {other.label!r} are {apart:.3g} K apart; one of them may "
                )
                self.say(COLUMNS_DISAGREE, text + "hold something else.", difference_k=apart)
        self.used = {"temperature": temperature, "mass": mass}
        times = [c for c in columns if c.role == "time"]
        if "time" in named or times:
            self.used["time"] = named.get("time") or self.choose_same(times, "time")
        else:
            self.say(NO_TIME, "the file has no time column; heating rate cannot be measured.")
        relative = mass.canonical == "percent"
        others = (c for c in masses if c is not mass and (c.canonical == "percent") != relative)
        self.other_mass = next(others, None)

    def of_unit(self, column: Column, columns: Sequence[Column]) -> Column:
        """A column named in a language that is not known, as what its unit says; no other may have that unit."""
        roles: dict[str, Role] = {"mass": "mass", "temperature": "temperature", "time": "time"}
        role = roles.get(column.dimension)
        foreign = column.role == "other" and not column.name.isascii() and column.canonical
        if role is None or not foreign or sum(c.dimension == column.dimension for c in columns) > 1:
            return column
        text = f"the name of the column {column.label!r} is not known; by its unit it was taken for the {role}."
        self.say(UNKNOWN_NAME, text, column=column.label)
        return replace(column, role=role)

    def choose_mass(self, masses: Sequence[Column], columns: Sequence[Column]) -> Column:
        """Mass in the unit asked for, else mass before its change, and weighed mass before per cent."""
        if not masses:
            roles = {c.role for c in columns}
            msg = "no column is recognised as mass"
            expected = "a column named mass or weight with mg, µg or %"
            hint = ask_column("mass", tail=", or name it in the header")
            if "conversion" in roles:
                msg, expected = "the file holds the degree of conversion, not mass", "mass in mg, µg or %"
                hint = "Conversion is scaled to each step's own loss, so mass cannot be recovered; "
                hint += "export the mass itself."
            elif "heat" in roles:
                msg = "the file holds heat flow (DSC or DTA) and no mass"
                expected = "a thermogravimetric signal"
                hint = "Export the TG signal of the run."
            unnamed = not roles & {"conversion", "heat"}
            raise ReadError(f"{msg}; columns: {_listed(columns)}", expected=expected, hint=hint, unnamed=unnamed)
        in_unit = [c for c in masses if c.canonical == self.options.mass_unit != ""] or masses
        absolute = [c for c in in_unit if c.role == "mass"] or list(in_unit)
        rank = min(_MASS_ORDER.index(c.canonical) for c in absolute)
        return self.choose_same([c for c in absolute if c.canonical == _MASS_ORDER[rank]], "mass")

    def choose_same(self, candidates: Sequence[Column], quantity: Quantity) -> Column:
        """Choose among columns that claim to be the same: by content, never by position."""
        if len(candidates) == 1:
            return candidates[0]
        living = [c for c in candidates if np.nanmin(c.values) != np.nanmax(c.values)] or list(candidates[:1])
        first = living[0]
        span = float(np.nanmax(first.values) - np.nanmin(first.values))
        for other in living[1:]:
            if other.canonical != first.canonical and quantity != "mass":
                continue
            if not np.allclose(first.values, other.values, rtol=0, atol=1e-4 * span, equal_nan=True):
                listed = _listed(living, numbers=True)
                msg = f"several columns could be the {quantity} and they differ: {listed}"
                raise ReadError(msg, hint=ask_column(quantity))
        dropped = _listed([c for c in candidates if c is not first], numbers=True)
        used = f"column {first.number} {first.label!r} is used as {quantity}"
        self.say(DUPLICATE_COLUMN, f"{used}; equal or empty and not used: {dropped}.")
        return first

    def unit(self, quantity: Quantity, wanted: str) -> str:
        """Unit of a quantity: the user's word, the column's own, the header's; "" where none states it."""
        column = self.used[quantity]
        stated, origin = column.canonical if column.dimension == quantity else "", "column header"
        if not stated and quantity in self.table.units:
            stated, origin = self.table.units[quantity], "file header"
        if wanted and stated and wanted != stated:
            text = f"{quantity} column {column.label!r} states {stated}; it was read as {wanted}, as asked."
            self.say(UNIT_OVERRIDDEN, text, stated=stated, used=wanted)
        if wanted:
            stated, origin = wanted, "given"
        self.metadata |= {f"{quantity}_column": column.label, f"{quantity}_unit_in_file": stated}
        self.metadata[f"{quantity}_unit_from"] = origin
        return stated

    def keep_rows_with_values(self) -> None:
        blank: BoolArray = np.any([np.isnan(column.values) for column in self.used.values()], axis=0)
        self.keep = np.flatnonzero(~blank)
        if len(self.keep) < 2:
            msg = f"only {len(self.keep)} of {len(blank)} rows have temperature, mass and time"
            place = self.table.place_of(int(self.table.lines[0]))
            raise ReadError(msg, place, "a table of numbers")
        dropped, leading = int(blank.sum()), int(self.keep[0])
        if dropped:
            first = self.table.place_of(int(self.table.lines[np.argmax(blank)]))
            text = f"{dropped} of {len(blank)} rows have no temperature, mass or time and were left out "
            text += f"({leading} of them before the first complete row; the first is {first})."
            few = dropped - leading <= 0.02 * len(blank)
            self.say(ROWS_DROPPED, text, mild=few, rows=dropped, leading=leading)

    def keep_one_run(self) -> None:
        """Keep the one run, the run chosen, or one copy where all is stored twice; else ask for the choice.

        A run begins anew where temperature falls from one row to the next as it never does within a run, to near the
        start, and the clock with it.
        """
        series = np.array([column.values[self.keep] for column in self.used.values()])
        padded = int(np.argmax(series[:, ::-1].any(axis=0)))  # rows of zeros at the end
        if padded and series.shape[1] - padded >= 2:
            self.say(RECORDS_BEYOND, f"{padded} rows of zeros behind the last reading were left out.", rows=padded)
            self.keep, series = self.keep[:-padded], series[:, :-padded]
        half, odd = divmod(series.shape[1], 2)
        if half >= 10 and not odd:
            if np.array_equal(series[:, :half], series[:, half:]):
                self.say(STORED_TWICE, f"the run of {half} points stands in the file twice; one copy was read.")
                self.keep, series = self.keep[:half], series[:, :half]
            elif np.array_equal(series[:, ::2], series[:, 1::2]):
                self.say(STORED_TWICE, f"each of the {half} points stands in the file twice; one copy was read.")
                self.keep, series = self.keep[::2], series[:, ::2]
        chosen, columns = self.options.run, list(self.used)
        t = series[columns.index("temperature")]
        fall, usual = -np.diff(t), float(np.quantile(np.abs(np.diff(t)), 0.95))
        anew = (fall > max(50.0, 20.0 * usual)) & (t[1:] < t[0] + 0.1 * np.ptp(t))
        if "time" in columns:
            time = series[columns.index("time")]
            anew &= (np.diff(time) < 0) & (time[1:] <= time[0] + 0.1 * np.ptp(time))
        bounds = np.array([0, *(np.flatnonzero(anew) + 1), len(t)])
        pieces = [(int(a), int(b)) for a, b in itertools.pairwise(bounds) if b - a >= 10]
        if len(pieces) > 1 and chosen is None:
            listed = "; ".join(
                f"run {i} from {self.place(a)}: {b - a} points, {t[a]:.4g} to {t[b - 1]:.4g}"
                for i, (a, b) in enumerate(pieces[:10])
            )
            msg = f"the file holds {len(pieces)} runs one after the other ({listed})"
            raise ReadError(msg, expected="one run", hint=either("Pass run=N.", "Pass --run N."))
        if chosen is not None and self.table.runs == 1:
            if not 0 <= chosen < len(pieces):
                raise ReadError(f"there is no run {chosen} in the file", expected=f"0 to {max(len(pieces), 1) - 1}")
            first, stop = pieces[chosen]
            self.keep = self.keep[first:stop]

    def gas_changes(self, time: FloatArray | None) -> tuple[GasChange, ...]:
        """Later gases by time since the first reading, or by temperature where there is no time."""
        found = list(self.table.gas_changes)
        before = self.table.atmosphere
        for row, gas in self.table.gas_rows:
            at = int(np.searchsorted(self.keep, row))
            if gas == before or at >= len(self.keep):
                continue
            before = gas
            warmth = float(self.used["temperature"].values[self.keep[at]])
            found.append(
                GasChange(gas=gas, from_c=warmth) if time is None
                else GasChange(gas=gas, from_min=float(time[at] - time[0]) / 60.0)
            )  # fmt: skip
        if found:
            at_c = (f"{c.gas} from {c.from_c:g} °C" for c in found if c.from_c is not None)
            listed = ", ".join(
                [*at_c, *(f"{c.gas} from {c.from_min:.4g} min" for c in found if c.from_min is not None)]
            )
            text = f"the file states {self.table.atmosphere} at the start and then {listed}."
            self.say(ATMOSPHERE_CHANGES, text, gases=", ".join([self.table.atmosphere, *map(str, found)]))
        return tuple(found)

    def initial_mass(self) -> float | None:
        """Mass in mg that was weighed in: the user's word, the header's, or what mg and per cent of one file tell."""
        header, given = self.table.initial_mass_mg, self.options.initial_mass_mg
        if header is not None and not 0 < header < LARGEST["mg"]:
            text = f"the header states a sample mass of {header:g} mg, which cannot be; it was not used."
            self.say(HEADER_MASS_INVALID, text, header_mg=header)
            header = None
        if given is not None and header is not None and abs(given - header) > 0.01 * header:
            text = f"the header states {header:g} mg; {given:g} mg was used, as asked."
            self.say(INITIAL_MASS_OVERRIDDEN, text, header_mg=header, used_mg=given)
        if given is not None or header is not None:
            self.metadata["initial_mass_from"] = "file header" if given is None else "given"
            return header if given is None else given
        other, mass = self.other_mass, self.used["mass"]
        if other is None or mass.role != "mass" or other.role != "mass":
            return None
        percent, weighed = (other, mass) if other.canonical == "percent" else (mass, other)
        if percent.canonical != "percent" or weighed.canonical not in MG_PER_UNIT:
            return None
        share = percent.values[self.keep]
        absolute = weighed.values[self.keep] * MG_PER_UNIT[weighed.canonical]
        use = np.isfinite(share + absolute) & (share > 5.0)  # below, rounding of per cent dominates
        if use.sum() < 2:
            return None
        initial = float(np.median(absolute[use] / share[use]) * 100.0)
        labels = f"{weighed.label!r} and {percent.label!r}"
        self.metadata["initial_mass_from"] = f"ratio of columns {labels}"
        off = np.abs(absolute - share * initial / 100.0)
        worst = int(np.nanargmax(off))
        if off[worst] > 2e-3 * initial:
            text = f"the columns {labels} disagree by {off[worst]:.4g} mg at point {worst}"
            self.say(COLUMNS_DISAGREE, f"{text}; one of the two values is wrong.", point=worst)
        return initial if initial > 0 else None

    def mass(self, unit: MassUnit, initial: float | None) -> FloatArray:
        """Mass itself, also where the column holds the change of mass since the start.

        Of an empty pan only the change counts: readings about zero, of a tared balance, are raised to some pan's mass.
        """
        column = self.used["mass"]
        values = column.values[self.keep]
        span = float(np.ptp(values))
        named = column.role == "mass_change"
        near_zero = abs(float(values[0])) < 0.02 * span
        pan = self.options.empty_pan and unit in MG_PER_UNIT  # whatever mass its header states: often the specimen's
        if not pan and not named and not (near_zero and values.min() < -0.02 * span):
            return values
        if not pan and named and not near_zero and values.min() >= 0 and values[0] > 0.5 * values.max():
            text = f"column {column.label!r} is named a change and starts at {values[0]:g}; it was read as mass."
            self.say(LOOSE_NAME, text, column=column.label)
            return values
        lost = (pan or named) and _LOSS.search(column.name) and values.max() > -values.min()
        if pan and not lost and values.min() > span:
            return values
        if pan or unit in ("percent", "fraction"):
            start = _PAN_MG / MG_PER_UNIT[unit] if pan else 100.0 if unit == "percent" else 1.0
        elif initial is not None:
            start = initial / MG_PER_UNIT[unit]
        else:
            first = -values[0] if lost else values[0]
            msg = f"column {column.label!r} holds the change of mass from {first:g} on, not mass"
            hint = either("Pass initial_mass_mg=…, the mass weighed in.", "Pass --initial-mass, the mass weighed in.")
            hint += either(
                " A blank run is read with xrdcomp.io.front.read_empty_pan.", " A blank run goes to --tga-blank."
            )
            raise ReadError(msg, expected="a mass, or the initial mass in the header", hint=hint)
        change = "change of an empty pan" if pan else "change of mass"
        text = f"column {column.label!r} holds the {change}; {start:g} {unit} was added to every value."
        self.say(MASS_IS_CHANGE, text, mild=bool(pan or named), added=start)
        mass: FloatArray = (-values if lost else values) + start
        return mass

    def running_time(self, seconds: float, segment: IntArray | None) -> FloatArray:
        """Time in s, in units of `seconds`, that does not decrease; a clock that restarts with a segment is run on."""
        time = self.used["time"].values[self.keep] * seconds
        back = np.flatnonzero(np.diff(time) < 0) + 1
        if not len(back):
            return time
        if segment is None or (segment[back] == segment[back - 1]).any() or (time[back] > 60.0).any():
            at = int(back[0])
            msg = f"time falls from {time[at - 1]:g} s to {time[at]:g} s"
            hint = "The file may hold two runs one after the other, or the value is damaged; export one run."
            raise ReadError(msg, self.place(at), "time that rises", hint)
        offset = np.zeros_like(time)
        for jump in back.tolist():
            offset[jump:] += time[jump - 1] - time[jump]
        text = f"time restarts with {len(back)} segments; each was set to begin where the one before ends."
        self.say(TIME_RESTARTS, text, restarts=len(back))
        running: FloatArray = time + offset
        return running

    # Is this a thermogravimetric run?

    def check_temperature(self, run: TgaRun, *, kelvin: bool) -> None:
        """Refuse what no furnace reaches; `kelvin`: the temperature was read as kelvin."""
        t = run.temperature_c
        forced = self.options.temperature_unit != ""
        if kelvin and not forced and t[0] < SMALLEST_START_C:
            msg = f"the temperature column says kelvin and starts at {t[0] + CELSIUS_ZERO_K:g}, {t[0]:g} °C"
            hint = either(
                'If the numbers are °C, pass temperature_unit="C"; if they are kelvin, "K".',
                "If the numbers are °C, pass --temperature-unit C; if they are kelvin, K.",
            )
            raise ReadError(msg, place=self.place(0), hint=hint)
        bad = (t < COLDEST_C) | (t > HOTTEST_C)
        if bad.any():
            at = int(np.argmax(bad))
            msg = f"temperature is {t[at]:g} °C at point {at}"
            raise ReadError(msg, self.place(at), f"{COLDEST_C:g} to {HOTTEST_C:g} °C")
        if float(np.ptp(t)) == 0.0:
            raise ReadError(f"temperature is {t[0]:g} °C at every point", expected="a heating program")
        # a start in the coldest 2 % of a run that begins to heat at once, not in the middle of its range
        if not kelvin and not forced and 280.0 < t[0] < 350.0 and t[0] < np.quantile(t, 0.02) + 5.0:
            text = f"temperature is stated in °C and starts at {t[0]:.1f}; a run from room temperature in kelvin would "
            text += "look like this. If so, give the unit of temperature as K."
            self.say(TEMPERATURE_LOOKS_KELVIN, text, start_c=float(t[0]))

    def check_mass(self, run: TgaRun) -> None:
        """Refuse what is no mass of a sample; tell what is odd about it."""
        m, unit = run.mass, run.mass_unit
        if not (m > 0).any():
            msg = f"mass is not above zero at any of the {len(m)} points"
            raise ReadError(msg, "", "the mass of a sample", "The column may hold a change of mass.")
        at = int(np.argmax(np.abs(m)))
        if abs(m[at]) > LARGEST[unit]:
            msg = f"mass is {m[at]:g} {unit} at point {at}, which no thermobalance weighs"
            raise ReadError(msg, self.place(at), f"below {LARGEST[unit]:g} {unit}")
        start = float(np.median(m[:20]))
        if start <= 0:
            raise ReadError(f"mass starts at {start:g} {unit}", place=self.place(0), expected="a mass above zero")
        if unit == "percent" and start < 2.0:
            msg = f"mass is stated in per cent and starts at {start:g}, as a fraction would"
            hint = either('If it is one, pass mass_unit="fraction".', "If it is one, pass --mass-unit fraction.")
            if m.max() > 3.0:  # no fraction of a mass
                msg = f"mass is stated in per cent and runs from {start:g} to {m.max():g}, as a loss of mass would"
                hint = "If it is one, call the column `Mass loss (%)`."
            hint += f" {ask_column('mass')}"
            raise ReadError(msg, expected="a start near 100 %", hint=hint)
        if unit == "fraction" and start > 20.0:
            msg = f"mass is stated as a fraction and starts at {start:g}, as per cent would"
            hint = either('Pass mass_unit="percent" if it is.', "Pass --mass-unit percent if it is.")
            raise ReadError(msg, expected="a start near 1", hint=hint)
        whole = {"percent": 100.0, "fraction": 1.0}.get(unit, start)
        if not 0.8 * whole < start < 1.2 * whole:
            text = f"mass starts at {start:g} {unit}, not near {whole:g}; the run may have begun before this segment."
            self.say(START_NOT_FULL, text, start=start)
        weighed = start * MG_PER_UNIT.get(unit, np.nan)
        sure = self.options.empty_pan or self.options.mass_unit or run.initial_mass_mg is not None
        if not sure and not 0.1 <= weighed <= 1000.0 and unit in MG_PER_UNIT:
            text = f"the run starts with {start:.4g} {unit}, and most thermobalances take 0.1 mg to 1 g; "
            self.say(MASS_UNUSUAL, text + "look whether that is the unit.", start_mg=weighed)
        elif not sure and unit in MG_PER_UNIT and abs(float(m[0]) - 100.0) < 0.005 and m.max() < 100.5:
            text = f"the run starts with {m[0]:.6g} {unit}, as per cent of the start would; "
            self.say(MASS_UNUSUAL, text + "look whether that is the unit.", start_mg=weighed)
        top, lowest, at = float(m.max()), float(m.min()), int(np.argmin(m))
        if top > 5 * start:
            text = f"mass grows from {start:g} to {top:g} {unit}; the column may be another quantity."
            self.say(MASS_GROWS, text, start=start, top=top)
        if lowest < -0.02 * start:
            text = f"mass falls to {lowest:g} {unit}, {100 * lowest / start:.1f} % of the start, at point {at} "
            text += f"({self.place(at)}): no buoyancy correction, or a drifting balance."
            self.say(NEGATIVE_MASS, text, lowest=lowest, point=at)
        header = run.initial_mass_mg
        first = float(np.median(m[:5])) * MG_PER_UNIT.get(unit, np.nan)
        if header is not None and abs(first - header) > 0.1 * header and not self.options.empty_pan:
            text = f"the run starts at {first:.4g} mg and the header states {header:.4g} mg; loss before the "
            text += "first point, a wrong unit or a wrong header."
            self.say(INITIAL_MASS_DIFFERS, text, start_mg=first, header_mg=header)

    def check_rate(self, run: TgaRun) -> None:
        """Fastest heating over any fiftieth of the run against what furnaces do and what the header says; gaps."""
        if run.time_s is None or len(run) < 50:
            return
        steps = np.diff(run.time_s)
        usual = float(np.median(steps))
        warmed = np.abs(np.diff(run.temperature_c))  # a table at even temperatures has uneven times and lacks nothing
        if (np.abs(steps - usual) <= 0.2 * usual).mean() > 0.95:
            gaps = (steps > 2.5 * usual) & (warmed > 1.5 * np.median(warmed))
        else:
            gaps = (steps > 8.0 * np.quantile(steps, 0.97)) & (warmed > 8.0 * np.quantile(warmed, 0.97))
        if run.segment is not None:  # between segments a program may pause, but then it does not go on heating
            rates = np.diff(run.temperature_c) / np.where(steps > 0, steps, np.inf)
            gaps &= (np.diff(run.segment) == 0) | (np.abs(rates - np.median(rates)) < 0.1 * abs(np.median(rates)))
        # in a hold only the clock tells; readings that were thinned there leave many such steps
        held = steps > 20.0 * np.quantile(steps, 0.97)
        gaps |= held & (held.sum() <= 3) & (run.segment is None or np.diff(run.segment) == 0)
        if usual > 0 and gaps.any():
            at = int(np.argmax(gaps)) + 1
            text = (
                f"time jumps by {steps[at - 1]:.4g} s before point {at} ({self.place(at)}), where readings are mostly "
            )
            text += f"{usual:.4g} s apart: rows were left out{f', in {gaps.sum()} places' if gaps.sum() > 1 else ''}."
            self.say(ROWS_MISSING, text, point=at, places=int(gaps.sum()))
        stride = len(run) // 50
        dt, dk = (np.diff(values[::stride]) for values in (run.time_s, run.temperature_c))
        if not (dt > 0).any():
            self.say(HEATING_RATE_ODD, "time does not advance; its column may be another quantity.")
            return
        rate = float((dk[dt > 0] / dt[dt > 0]).max() * 60.0)
        stated = run.heating_rate_k_min
        text = f"temperature rises by up to {rate:.3g} K/min"
        if rate > 0 and not 0.005 <= rate <= FASTEST_K_MIN:
            text += "; time or temperature may be in another unit."
            self.say(HEATING_RATE_ODD, text, rate_k_min=rate)
        elif stated and rate > 0 and (rate > 20 * stated or rate < stated / 20):
            text += f" and the header states {stated:g} K/min; the unit of time or temperature may be wrong."
            self.say(HEATING_RATE_ODD, text, rate_k_min=rate, header_k_min=stated)
        elif 0 < rate < 0.3 and not stated:
            text = f"{text} only, over {run.time_s[-1] / 86400:.3g} days; look whether that is the unit of time."
            self.say(HEATING_RATE_ODD, text, mild=True, rate_k_min=rate)

    def check_points(self, run: TgaRun) -> None:
        """Segment numbers must rise with time and not stand alone; no point may leave both neighbours far behind."""
        if run.segment is not None:
            back = np.flatnonzero(np.diff(run.segment) < 0) + 1
            lone = np.flatnonzero(np.bincount(run.segment) == 1)
            if len(back) or len(lone):
                at = int(back[0]) if len(back) else int(np.argmax(run.segment == lone[0]))
                text = f"segment numbers are out of order or stand alone, first at point {at} ({self.place(at)}); "
                text += "one of them is damaged, or the points are not in the order measured."
                self.say(SEGMENTS_ODD, text, point=at)
        if len(run) < 20:
            return
        floor = 0.005 * max(float(np.ptp(run.mass)), 1e-12)
        series = [("temperature", run.temperature_c, 3.0, "°C"), ("mass", run.mass, floor, run.mass_unit)]
        for name, values, least, unit in series:
            step = np.diff(values)
            usual = float(np.quantile(np.abs(step), 0.95))  # of temperatures it may itself be damaged
            limit = max(least, min(30.0 * usual, max(FARTHEST_K, 3.0 * usual)) if unit == "°C" else 30.0 * usual)
            before, after = step[:-1], -step[1:]
            out = (before * after > 0) & (np.minimum(np.abs(before), np.abs(after)) > limit)
            spikes = (np.flatnonzero(out)[:3] + 1).tolist()
            # a stretch that leaves and comes back: two opposite jumps
            jumps = np.flatnonzero(np.abs(step) > limit)
            spikes += [int(a) + 1 for a, b in itertools.pairwise(jumps) if b - a > 1 and step[a] * step[b] < 0]
            spikes += _and_back(values, step, least)
            # zeros between readings that are far from it: cells that were blanked
            far = np.abs(values) > 0.05 * np.abs(values).max()
            nought = (values == 0.0) & (np.append(False, far[:-1]) | np.append(far[1:], False))
            nought[0] = False
            spikes += [int(at) for at in np.flatnonzero(nought) if abs(values[at:]).max() > 0.05 * np.abs(values).max()]
            if abs(step[-1]) > limit:  # the last point has one neighbour only
                spikes.append(len(values) - 1)
            for at in sorted(set(spikes))[:3]:
                beside = f"between {values[at - 1]:g} and {values[min(at + 1, len(values) - 1)]:g}"
                text = f"{name} is {values[at]:g} {unit} at point {at} ({self.place(at)}) {beside}: "
                text += "a disturbance or a damaged value."
                self.say(SPIKE, text, point=at, value=float(values[at]))
