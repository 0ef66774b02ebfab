"""Tables with names and units: any CSV or text, workbooks, JCAMP-DX, Shimadzu, Hitachi, Setaram.

Shimadzu (TA-60WS, LabSolutions TA): sections
in brackets, facts (``Sample Weight:<tab>5.123[mg]``), rows ``rate<tab>hold temperature<tab>hold time`` below
``[Temp Program]``; below ``[Data]`` names (``Time  Temp  TGA  DTA``), units and tab-separated numbers.
Hitachi (SII, EXSTAR, Muse, NEXTA): facts, names, units (``Cel``, ``ug`` or ``mg``); TG may be mass or its change since
the start. Both are written from the published layouts. Setaram (Calisto, Setsoft): one row of names with units,
furnace and sample temperature, TG in mg; where TG is the change of mass since the start, the sample mass comes from
the header or from the user.

Workbooks (.xlsx through openpyxl, .xls through xlrd) become tab-separated text and are read as such. One of TRIOS has a
sheet of details and one sheet per step; any other must hold one run on one sheet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from xrdcomp.data import Diagnostic, message_kind
from xrdcomp.errors import MissingExtraError, ReadError, either
from xrdcomp.io.columns import (
    MASS_WORDS,
    TEMPERATURE_WORDS,
    TIME_WORDS,
    Column,
    agreed,
    ask_column,
    classify,
    column_of,
    header_facts,
    heating_rate_of,
    mass_in_mg,
    named_facts,
    number_of,
    split_header,
    unit_of,
)
from xrdcomp.io.jcamp import jcamp_blocks, jcamp_numbers
from xrdcomp.io.registry import TgaOptions, has_all
from xrdcomp.io.runs import CUT, OTHER_TABLE, TgaTable, declared_rows, gases_of, table_notes, tga_reader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import Dialect, Table, find_blocks, read_table, split_lines
from xrdcomp.io.tga.ta import parse_trios
from xrdcomp.io.workbook import is_workbook, read_sheets
from xrdcomp.units import IntArray

# fmt: off
COLUMNS_ASSUMED = message_kind("TGA_COLUMNS_ASSUMED", "warning",
    "A table without column names was read in the usual order, because its units were given.")
COMMA_DOUBTFUL = message_kind("TGA_COMMA_DOUBTFUL", "warning",
    "Every comma is followed by three digits: it may be a decimal sign (as read) or a thousands separator.",
    remedy="Export with the decimal point.")
# fmt: on
_CERTAIN = 0.72
"""Score of a header with mass, temperature or time, and a unit; below that of the instruments' own layouts."""
_MASS_KEY = re.compile(
    r"(initial|sample|start(ing)?|specimen|proben?)[ _-]*(mass|weight|masse|gewicht|size)|einwaage|prise d'essai"
    r"|(masse|poids|masa|peso|massa)[ _-]*(initiale?|inicial|iniziale|de l'[ée]chantillon|de la muestra|del campione)"
    r"|(試料|初期|试样|样品|初始)(重量|質量|质量)|(начальная|исходная) масса|масса образца"
)
_POINTS_KEY = re.compile(
    r"^(number of |total |n\.? ?)?(data ?)?(points|records)( in run)?$|^npoints$|punkt(e|zahl)|nombre de points"
)
_GAS_KEY = re.compile(r"atmos|gas|purge|spülgas|gaz\b|雰囲気|气氛|ガス|атмосфера")
_SAMPLE_KEYS = (
    "sample name", "sample", "sample id", "sampleid", "specimen", "probe", "probenname", "échantillon", "echantillon",
    "nom de l'échantillon", "muestra", "campione", "amostra", "próbka", "образец", "試料名", "试样名称", "样品名称",
    "title",
)  # fmt: skip


def parse_table(
    text: str,
    options: TgaOptions,
    *,
    section: str = "",
    program: str = "",
    mass_keys: Sequence[str] = (),
    gas_keys: Sequence[str] = (),
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> TgaTable:
    """Table of a text whose columns are named above the numbers.

    It stands below the line `section`; heating rates are the first numbers of the rows below `program`. The keys of
    header facts, in lower case, come beside those that any header may have; where there are `gas_keys`, the first that
    the header has names the gas, else every key on gases counts.

    A table without names is taken only where the user gives the units: two columns are then temperature and
    mass, three are time, temperature and mass, provided that they behave so; a warning says it.
    """
    lines = split_lines(text)
    above = (i + 1 for i, line in enumerate(lines) if section and line.strip() == section)
    start = next(above, 0)
    table = read_table([""] * start + lines[start:], options.run)
    messages = [*table_notes(text, table), *_doubtful_comma(lines, table.lines)]
    skipped = [first + 1 for first, stop in find_blocks(lines[:start]) if stop - first >= 20]
    if skipped:
        said = f"{len(skipped)} long tables above {section} were not read; they begin at line {skipped[0]}."
        messages.append(OTHER_TABLE(said, line=skipped[0]))
    facts = header_facts(lines[: table.header_lines[0] - 1], fold=True)
    points = next((value for key, value in facts.items() if _POINTS_KEY.search(key)), "")
    table, beyond = declared_rows(table, number_of(points) if points.isdecimal() else None)
    messages += beyond
    columns = table.columns
    if not table.names and not options.columns:
        columns = _assumed_columns(table, options)
        names = ", ".join(column.name for column in columns)
        said = f"the table has no header; its columns were taken as {names}, since the units were given."
        messages.append(COLUMNS_ASSUMED(said, columns=len(columns)))
    head = lines[: table.header_lines[0] - 1]
    masses = [mass_in_mg(key, value) for key, value in facts.items() if _MASS_KEY.match(key)]
    masses += [mass_in_mg(key, facts.get(key, "")) for key in mass_keys]
    gases = [facts[key] for key in gas_keys if key in facts][:1]
    if not gas_keys:
        gases = [value for key, value in facts.items() if _GAS_KEY.search(key)]
    atmosphere, gas_changes = gases_of(" ".join(gases))
    steps = (value for key, value in facts.items() if re.search(r"rate|method|program|ramp", key))
    rate = heating_rate_of(" ".join(steps))
    if program:
        rates: list[float | None] = []
        inside = False
        for line in head:
            inside = line.strip() == program if line.startswith("[") else inside
            first, *others = line.split("\t")
            rates.append(number_of(first) if inside and len(others) > 1 else None)
        rate = agreed(rate for rate in rates if rate and rate > 0)
    sample_key = next((key for key in _SAMPLE_KEYS if key in facts), "")
    return TgaTable(
        columns=columns, lines=table.lines, segment=table.segment(),
        initial_mass_mg=next((mass for mass in masses if mass), None), atmosphere=atmosphere, gas_changes=gas_changes,
        heating_rate_k_min=rate, metadata=named_facts(facts, {sample_key: "sample_name", **metadata}),
        messages=tuple(messages), runs=table.tables,
    )  # fmt: skip


def _doubtful_comma(lines: Sequence[str], places: IntArray) -> list[Diagnostic]:
    """Whether a comma that was read as decimal sign could separate thousands: always three digits behind."""
    sample = [lines[int(place) - 1] for place in places[:500]]
    cells = [cell.strip() for row in sample for cell in re.split(r"[\t;]", row) if "," in cell]
    parted = all("\t" in row for row in sample) or all(";" in row for row in sample)
    if not parted or not cells or any("." in row for row in sample):
        return []
    if not all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", cell) for cell in cells):
        return []
    text = f"every comma has three digits behind it ({cells[0]!r}); it was read as the decimal sign "
    text += "and could separate thousands. Export with the decimal point to be sure."
    return [COMMA_DOUBTFUL(text, example=cells[0])]


def _assumed_columns(table: Table, options: TgaOptions) -> tuple[Column, ...]:
    """Columns without header in the usual order, where the user gives the units."""
    values = table.values
    k, place = values.shape[1], f"line {int(table.lines[0])}"
    units = {"temperature": options.temperature_unit, "mass": options.mass_unit}
    order = ("temperature", "mass") if k == 2 else ("time", "temperature", "mass")
    if k == 3:
        units["time"] = options.time_unit
    missing = [name for name in order if not units.get(name)]
    if k not in (2, 3) or missing:
        units_of = (" and ".join(f"{name}_unit=…" for name in missing), " and ".join(f"--{n}-unit" for n in missing))
        wanted = either(*(f"Pass {asked}." for asked in units_of)) if missing else ""
        msg = f"the table has {k} columns and no header that names them"
        order_hint = ask_column("temperature", "mass", tail=" where the order differs")
        hint = f"{wanted} {order_hint}".strip()
        raise ReadError(msg, place, "a header with names and units", hint)
    t, m = values[:, k - 2], values[:, k - 1]
    good = np.isfinite(t) & np.isfinite(m)
    if good.sum() < 2 or not (np.diff(t[good]) >= 0).mean() > 0.5 or t[good][-1] <= t[good][0]:
        msg = f"column {k - 1} does not rise as a temperature does, and no header names it"
        raise ReadError(msg, place=place, hint=ask_column("temperature", "mass"))
    return tuple(column_of(name, "", values[:, i], i + 1) for i, name in enumerate(order))


# Recognition

_TELLING = re.compile(
    rf"{TEMPERATURE_WORDS}|{MASS_WORDS}|{TIME_WORDS}|residu|°|\btga?\b|\bwt|\bt[sr]\b|\b[tm]\b|\bmg\b|%|_t\b",
    re.IGNORECASE,
)


def score_header(lines: Sequence[str]) -> float:
    """Confidence from 0 to 1 that a header is that of a thermogravimetric table: 0.72 with mass, temperature, units."""
    best = 0.0
    for line, below in zip(lines[:400], [*lines[1:400], ""], strict=False):
        if len(line) > 2000 or line.lstrip()[:1].isdigit() or not _TELLING.search(line):
            continue
        signs: list[str | None] = [sign for sign in ("\t", ";", ",") if sign in line]
        for separator in signs or [None]:
            split = line.split(separator) if separator else re.split(r"\s{2,}|\s", line.strip())
            cells = [cell for cell in split if cell]
            if 2 <= len(cells) <= 60 and max(map(len, cells)) <= 60:
                units = [cell for cell in below.split(separator) if cell]
                units = units if len(units) == len(cells) else [""] * len(cells)
                best = max(best, _score_cells(cells, units))
        if best >= _CERTAIN:
            break
    return best


def _score_cells(cells: Sequence[str], units: Sequence[str]) -> float:
    roles: set[str] = set()
    stated = False
    for cell, below in zip(cells, units, strict=True):
        name, unit = split_header(cell)
        dimension = unit_of(unit or below)[0]
        role = classify(name, dimension)
        roles.add(role)
        stated |= dimension in ("mass", "temperature", "time") and role != "other"
    warm = any(role.endswith("temperature") for role in roles)
    if roles & {"mass", "mass_change"} and (warm or "time" in roles):
        return _CERTAIN if stated else 0.5
    return (0.55 if stated else 0.35) if warm and roles & {"conversion", "heat"} else 0.0


def _sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    # numbers without names are read when asked for by kind, never preferred
    return score_header(lines) or 0.12 * any(re.match(r"\s*[-+.]?\d", line) for line in lines)


CSV = tga_reader(
    "tga_csv", "table of temperature and mass (CSV, TXT) with units in its header", "csv txt dat tsv asc prn", _sniff,
)(lambda source, options: parse_table(source.text, options))  # fmt: skip

# Setaram (Calisto, Setsoft)

_FURNACE = re.compile(r"furnace temperature|température (du )?four|temperature four", re.IGNORECASE)
_SAMPLE = re.compile(r"sample temperature|température (de l')?échantillon", re.IGNORECASE)
_SIGNAL = re.compile(r"\bTG\b|heat ?flow|\bdTG\b", re.IGNORECASE)
_PROGRAMS = re.compile(r"\b(setaram|calisto|setsoft|setsys|labsys)\b")


def _sniff_setaram(source: SourceFile) -> float:
    text = source.head_text.lower()
    lines = source.head_text.split("\n")
    for line in lines if "furnace" in text or "four" in text else ():
        if _FURNACE.search(line) and _SIGNAL.search(line):
            return 0.9 if _SAMPLE.search(line) else 0.8
    return 0.85 if _PROGRAMS.search(text) and score_header(lines) > 0 else 0.0


SETARAM = tga_reader("setaram", "Setaram Calisto and Setsoft text export", "csv txt", _sniff_setaram)(
    lambda source, options: parse_table(source.text, options, mass_keys=("mass (mg)", "masse (mg)", "mass"))
)

# Shimadzu and Hitachi

_SHIMADZU_NAMES = r"(?i:shimadzu|\bTA-?60|\bDTG-?60|\bTGA-?5[01]\b|LabSolutions TA)"
_SHIMADZU_SECTION = r"^\[(Header|File Info|Sample Info|Temp Program|Data|Measurement)\]"
_HITACHI_NAMES = r"hitachi|\bSII\b|EXSTAR|NEXTA|\bSTA7\d00|TG/?DTA ?\d{3,4}|\bMuse\b"

SHIMADZU = tga_reader(
    "shimadzu_text", "Shimadzu TA-60WS and LabSolutions TA text export", "txt",
    has_all(
        (0.95, (r"\[", _SHIMADZU_SECTION, _SHIMADZU_NAMES)), (0.85, (r"\[Data", r"^\[Data\]", r"^Time\tTemp")),
    ),
    verified=False,
)(lambda source, options: parse_table(
    source.text, options, section="[Data]", program="[Temp Program]", mass_keys=("sample weight", "weight"),
    gas_keys=("atmosphere", "gas"),
    metadata={"sample name": "sample_name", "detector": "instrument", "date": "date"},
))  # fmt: skip
HITACHI = tga_reader(
    "hitachi_text", "Hitachi (SII, EXSTAR, NEXTA) TG/DTA text export", "txt csv",
    has_all(
        (0.9, ("TG", r"\bTG\b", _HITACHI_NAMES, r"\bCel\b")), (0.75, ("TG", r"\bTG\b", _HITACHI_NAMES)),
        (0.8, ("TG", r"\bTG\b", r"\bCel\b", r"\bug\b")),
    ),
    verified=False,
)(lambda source, options: parse_table(
    source.text, options, mass_keys=("sample weight", "weight", "sample mass"), gas_keys=("gas", "gas1", "atmosphere"),
    metadata={"module": "instrument", "measurement date": "date", "operator": "operator"},
))  # fmt: skip

# JCAMP-DX

_THERMAL = re.compile(
    r"##DATA ?TYPE=.*(THERMO|\bTGA?\b|\bSTA\b)|##Y(UNITS|LABEL)=.*(mass|weight|mg\b|%)", re.IGNORECASE
)


def _sniff_jcamp(source: SourceFile) -> float:
    if not re.search(r"^##JCAMP-?DX=", source.head_text, re.MULTILINE | re.IGNORECASE):
        return 0.0
    return 0.95 if _THERMAL.search(source.head_text) or "##NTUPLES" in source.head_text else 0.58


@tga_reader("jcamp", "JCAMP-DX of a thermogravimetric run", "jdx dx jcamp", _sniff_jcamp, verified=False)
def jcamp(source: SourceFile, options: TgaOptions) -> TgaTable:
    """Table of the one block with data, or of the block that `run` chooses."""
    lines, blocks = jcamp_blocks(source.text)
    listed = ", ".join(
        f"run {k} from line {first}: {known.get('title', '')!r}" for k, (known, first, _) in enumerate(blocks)
    )
    run = options.run if len(blocks) > 1 else 0
    if run is None or not 0 <= run < len(blocks):
        hint = either("Pass run=N.", "Pass --run N.")
        raise ReadError(
            f"the file holds {len(blocks)} blocks with data ({listed[:300]})", expected="one run", hint=hint
        )
    facts, first, stop = blocks[run]
    values, places = jcamp_numbers(lines, facts, first, stop)
    part = np.zeros(len(values), dtype=np.int64)
    table = Table(values=values, lines=places, dialect=Dialect(), part=part)
    table, messages = declared_rows(table, number_of(facts.get("npoints", "").split(",")[0]), strict=True)
    values, places = table.values, table.lines
    if stop == len(lines):
        messages.append(CUT("the block is not ended by ##END=; the file may have been cut."))
    width = values.shape[1]
    names = [name.strip() for name in facts.get("varname", "").split(",")]
    units = [unit.strip() for unit in facts.get("units", "").split(",")]
    if len(names) < width:
        names, units = ([facts.get(axis + word, "") for axis in "xy"] for word in ("label", "units"))
    pairs = [(name, unit) if name else split_header(unit) for name, unit in zip(names, units, strict=False)]
    pairs = [
        ("", name) if not unit and unit_of(name)[0] not in ("none", "other") else (name, unit) for name, unit in pairs
    ]
    plain = {key: value for key, value in facts.items() if value}
    masses = (mass_in_mg(key, value) for key, value in plain.items() if "mass" in key or "weight" in key)
    atmosphere, gas_changes = gases_of(" ".join(value for key, value in plain.items() if _GAS_KEY.search(key)))
    named = {"title": "sample_name", "owner": "operator", "origin": "instrument", "longdate": "date", "date": "date"}
    return TgaTable(
        columns=tuple(column_of(name, unit, values[:, k], k + 1) for k, (name, unit) in enumerate(pairs[:width])),
        lines=places, initial_mass_mg=next((mass for mass in masses if mass), None), atmosphere=atmosphere,
        gas_changes=gas_changes, metadata=named_facts(plain, named), messages=tuple(messages), runs=len(blocks),
    )  # fmt: skip


# Workbooks


def _sniff_workbook(source: SourceFile) -> float:
    """Sure of a sheet with the header of a run; a table of anything else could be one."""
    if not is_workbook(source):
        return 0.0
    try:
        sheets = read_sheets(source.data).values()
    except (ReadError, MissingExtraError):
        return 0.5
    run = any(score_header(lines) > 0 or "proceduresegments" in "\n".join(lines[:60]) for lines in sheets)
    return 0.7 if run else 0.3


@tga_reader(
    "tga_excel", "workbook (.xlsx, .xls), TRIOS or any table with units in its header", "xlsx xls", _sniff_workbook,
    extras=("excel",),
)  # fmt: skip
def tga_excel(source: SourceFile, options: TgaOptions) -> TgaTable:
    """Table of the run on one sheet, or of all steps of a TRIOS workbook."""
    sheets = read_sheets(source.data)
    first = "\n".join(next(iter(sheets.values()), [])[:60])
    trios = "proceduresegments" in first or "Trios version" in first
    named = [name for name in sheets if trios or score_header(sheets[name]) > 0]
    numeric = (name for name in sheets if any(b - a > 2 for a, b in find_blocks(sheets[name])))
    found = named or list(numeric)
    if not found:
        msg = f"none of the {len(sheets)} sheets holds a table of numbers"
        raise ReadError(msg, expected="temperature and mass below a header")
    if len(found) > 1 and not trios:
        msg = f"{len(found)} sheets could hold the run: {', '.join(map(repr, found))[:200]}"
        raise ReadError(msg, hint="Save the sheet wanted as a workbook or CSV of its own.")
    lines: list[str] = []
    places: list[str] = []
    for name in found:
        above = ["", "[step]"] if lines or places else []
        lines += [*above, *sheets[name]]
        rows = range(1 - len(above), len(sheets[name]) + 1)
        places += [f"sheet {name!r}, row {max(row, 0)}" for row in rows]

    def place(line: int) -> str:
        return places[line - 1] if 0 < line <= len(places) else f"line {line}"

    def translated(text: str) -> str:
        return re.sub(r"\bline (\d+)\b", lambda match: place(int(match[1])), text)

    text = "\n".join(lines) + "\n"
    try:
        table = parse_trios(text) if trios else parse_table(text, options)
    except ReadError as problem:
        problem.place = translated(problem.place)
        raise
    said = tuple(replace(message, text=translated(message.text)) for message in table.messages)
    return replace(table, place_of=place, messages=said)
