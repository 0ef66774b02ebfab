"""Hitachi (SII, Seiko EXSTAR, NEXTA) TG/DTA text: facts, then names, units (``Cel``, ``ug``) and rows.

Written from the published layout of Muse and NEXTA TA exports; temperatures are in ``Cel``, masses in ``ug`` or
``mg``, and TG may be mass or its change since the start.
"""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrdcomp.data import Diagnostic, TgaRun
from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.io.columns import (
    Column,
    TgaTable,
    ask_column,
    atmosphere_of,
    classify,
    column_of,
    columns_of,
    header_facts,
    heating_rate_of,
    mass_in_mg,
    note,
    number_of,
    split_header,
    unit_of,
)
from xrdcomp.io.registry import TgaOptions, TgaReader
from xrdcomp.io.runs import build_run, table_notes
from xrdcomp.io.source import MAX_EXPANDED_BYTES, SourceFile
from xrdcomp.io.text_table import Table, find_blocks, read_table, split_lines
from xrdcomp.io.tga.ta import parse_trios
from xrdcomp.units import IntArray

# ------------ Generic tables of a thermogravimetric run: CSV, TXT, with names and units in one row or two.

CSV_ID = "tga_csv"
_CERTAIN = 0.72
"""Score of a header with mass, temperature or time, and a unit; below that of the instruments' own layouts."""


def parse_generic(text: str, options: TgaOptions) -> TgaTable:
    """Table of a text whose columns are named above the numbers.

    A table without names is taken only where the user gives the units: two columns are then temperature and
    mass, three are time, temperature and mass, provided that they behave so; a warning says it.

    Raises
    ------
    ReadError
        No table, a damaged row, no names and no units given.
    """
    lines = split_lines(text)
    table = read_table(lines)
    messages = [*table_notes(text, table), *_comma_note(lines, table.lines)]
    columns = (
        columns_of(table.names, table.units, table.values)
        if table.names
        else _nameless(table, options, messages)
    )
    facts = header_facts(lines[: table.header_lines[0] - 1])
    segment = table.part if table.part[-1] > 0 else None
    stated = next((c for c in columns if c.role == "segment" and np.isfinite(c.values).all()), None)
    if stated is not None:
        segment = np.unique(stated.values, return_inverse=True)[1].astype(np.int64)
    initial = next((m for k, v in facts.items() if _MASS_KEY.match(k) and (m := mass_in_mg(k, v))), None)
    gas = " ".join(v for k, v in facts.items() if re.search(r"atmos|gas|purge|spülgas", k))
    program = " ".join(v for k, v in facts.items() if re.search(r"rate|method|program|ramp", k))
    return TgaTable(
        columns=columns,
        places=table.lines,
        segment=segment,
        initial_mass_mg=initial,
        atmosphere=atmosphere_of(gas),
        heating_rate_k_min=heating_rate_of(program),
        metadata={"sample_name": name} if (name := _sample_name(facts)) else {},
        messages=tuple(messages),
    )


_MASS_KEY = re.compile(
    r"(initial|sample|start(ing)?|specimen|proben?)[ _-]*(mass|weight|masse|gewicht|size)|einwaage"
)


def _comma_note(lines: Sequence[str], places: IntArray) -> list[Diagnostic]:
    """Say so where a comma that was read as decimal sign could separate thousands: always three digits behind."""
    sample = [lines[int(place) - 1] for place in places[:500]]
    if not any("," in row for row in sample) or any("." in row for row in sample):
        return []
    if not all("\t" in row for row in sample) and not all(";" in row for row in sample):
        return []
    cells = [cell.strip() for row in sample for cell in re.split(r"[\t;]", row) if "," in cell]
    if not all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", cell) for cell in cells):
        return []
    text = (
        f"every comma has three digits behind it ({cells[0]!r}); it was read as the decimal sign and could "
        "separate thousands. Export with the decimal point to be sure."
    )
    return [note("TGA_COMMA_DOUBTFUL", text, severity="warning", example=cells[0])]


def _sample_name(facts: dict[str, str]) -> str:
    return next(
        (facts[k] for k in ("sample name", "sample", "sample id", "sampleid", "probe") if k in facts), ""
    )


def _nameless(table: Table, options: TgaOptions, messages: list[Diagnostic]) -> tuple[Column, ...]:
    values = table.values
    k, place = values.shape[1], f"line {int(table.lines[0])}"
    if options.columns:
        return columns_of((), (), values)
    units = {"temperature": options.temperature_unit, "mass": options.mass_unit}
    order = ("temperature", "mass") if k == 2 else ("time", "temperature", "mass")
    if k == 3:
        units["time"] = options.time_unit
    missing = [name for name in order if not units.get(name)]
    if k not in (2, 3) or missing:
        wanted = " and ".join(f"{name}_unit=… (--{name}-unit)" for name in missing)
        msg = f"the table has {k} columns and no header that names them"
        order_hint = ask_column("temperature", "mass") + " where the order differs."
        hint = f"Pass {wanted}. {order_hint}" if wanted else order_hint
        raise ReadError(msg, place=place, expected="a header with names and units", hint=hint)
    t, m = values[:, k - 2], values[:, k - 1]
    good = np.isfinite(t) & np.isfinite(m)
    if good.sum() < 2 or not (np.diff(t[good]) >= 0).mean() > 0.5 or t[good][-1] <= t[good][0]:
        msg = f"column {k - 1} does not rise as a temperature does, and no header names it"
        raise ReadError(msg, place=place, hint=ask_column("temperature", "mass") + ".")
    names = ", ".join(order)
    text = f"the table has no header; its columns were taken as {names}, since the units were given."
    messages.append(note("TGA_COLUMNS_ASSUMED", text, severity="warning", columns=k))
    return tuple(column_of(name, "", values[:, i], i + 1) for i, name in enumerate(order))


_TELLING = re.compile(
    r"temp|mass|weight|masse|gewicht|poids|peso|residu|°|\btga?\b|\bwt|\bt[sr]\b|\b[tTmM]\b|time|zeit|\bmg\b|%|_t\b",
    re.IGNORECASE,
)


def score_header(lines: Sequence[str]) -> float:
    """Say how sure the header makes that a table is thermogravimetric: 0.7 with mass and temperature."""
    best = 0.0
    for at, line in enumerate(lines[:400]):
        if len(line) > 2000 or line.lstrip()[:1].isdigit() or not _TELLING.search(line):
            continue
        below = lines[at + 1] if at + 1 < len(lines) else ""
        signs: list[str | None] = [sign for sign in ("\t", ";", ",") if sign in line]
        for separator in signs or [None]:
            cells = [
                c for c in (line.split(separator) if separator else re.split(r"\s{2,}|\s", line.strip())) if c
            ]
            if not 2 <= len(cells) <= 60 or max(map(len, cells)) > 60:
                continue
            units = [c for c in (below.split(separator) if separator else below.split()) if c]
            best = max(best, _score_cells(cells, units if len(units) == len(cells) else []))
        if best >= _CERTAIN:
            break
    return best


def _score_cells(cells: Sequence[str], units: Sequence[str]) -> float:
    roles: set[str] = set()
    stated = 0
    for i, cell in enumerate(cells):
        name, unit = split_header(cell)
        dimension = unit_of(unit or (units[i] if units else ""))[0]
        role = classify(name, dimension)
        roles.add(role)
        stated += dimension in ("mass", "temperature", "time") and role != "other"
    warm = any(role.endswith("temperature") for role in roles)
    if roles & {"mass", "mass_change"} and (warm or "time" in roles):
        return _CERTAIN if stated else 0.5
    if warm and roles & {"conversion", "heat"}:
        return 0.55 if stated else 0.35
    return 0.0


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    if not text:
        return 0.0
    lines = text.split("\n")
    score = score_header(lines)
    if score or not any(re.match(r"\s*[-+.]?\d", line) for line in lines):
        return score
    return 0.12  # numbers without names: read when asked for by kind, never preferred


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_generic(source.text, options), options, source, CSV_ID)


CSV = TgaReader(
    id=CSV_ID,
    name="table of temperature and mass (CSV, TXT) with units in its header",
    extensions=("csv", "txt", "dat", "tsv", "asc", "prn"),
    sniff=_sniff,
    read=_read,
)


# ------------ Workbooks (.xlsx through openpyxl, .xls through xlrd): sheets become tab-separated text and
# are read as such.
# A TRIOS workbook has a sheet of details and one sheet per step; any other workbook must hold one run on one sheet.

EXCEL_ID = "tga_excel"
MAX_CELLS = 4_000_000
"""Cells of all sheets together; a run of 65 000 points in 10 columns has 650 000."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_INSTALL = "pip install xrdcomp[excel]"


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """One sheet as lines of tab-separated cells; ``lines[n]`` is row n + 1."""

    name: str
    lines: tuple[str, ...]


def _sheets(data: bytes) -> list[_Sheet]:
    """All sheets of a workbook.

    Raises
    ------
    ReadError
        A damaged workbook, one that unpacks to more than `MAX_EXPANDED_BYTES` or has too many cells.
    MissingExtraError
        The package that opens it is not installed.
    """
    try:
        return _sheets_xls(data) if data.startswith(_OLE) else _sheets_xlsx(data)
    except (ReadError, MissingExtraError):
        raise
    except Exception as problem:
        msg = f"the workbook cannot be opened ({type(problem).__name__}: {str(problem)[:120]})"
        hint = "It is damaged or not a workbook; save it again, or export as CSV."
        raise ReadError(msg, expected="an .xlsx or .xls workbook", hint=hint) from problem


def _sheets_xlsx(data: bytes) -> list[_Sheet]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > MAX_EXPANDED_BYTES:
            msg = f"the workbook unpacks to {size} bytes, more than the {MAX_EXPANDED_BYTES} that are read"
            raise ReadError(msg)
    try:
        import openpyxl
    except ImportError as problem:
        msg = f"Reading .xlsx needs openpyxl: {_INSTALL}"
        raise MissingExtraError(msg) from problem
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # styles and extensions that a table does not need
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        budget = MAX_CELLS
        sheets: list[_Sheet] = []
        for page in book.worksheets:
            lines: list[str] = []
            for row in page.iter_rows(values_only=True):
                budget -= len(row) + 1
                _check_budget(budget)
                lines.append(_line(row))
            sheets.append(_Sheet(name=page.title, lines=tuple(lines)))
        book.close()
    return sheets


def _sheets_xls(data: bytes) -> list[_Sheet]:
    try:
        import xlrd
    except ImportError as problem:
        msg = f"Reading .xls needs xlrd: {_INSTALL}"
        raise MissingExtraError(msg) from problem
    book = xlrd.open_workbook(file_contents=data, logfile=io.StringIO(), on_demand=True)
    budget = MAX_CELLS
    sheets: list[_Sheet] = []
    for name in book.sheet_names():
        page = book.sheet_by_name(name)
        budget -= page.nrows * page.ncols
        _check_budget(budget)
        sheets.append(_Sheet(name=name, lines=tuple(_line(page.row_values(i)) for i in range(page.nrows))))
        book.unload_sheet(name)
    return sheets


def _check_budget(budget: int) -> None:
    if budget < 0:
        msg = f"the workbook has more than {MAX_CELLS} cells"
        raise ReadError(msg, expected="one run")


def _line(row: Sequence[Any]) -> str:
    line = "\t".join([repr(cell) if type(cell) is float else _word(cell) for cell in row])
    return (re.sub(r"[\r\n]+", " ", line) if "\n" in line or "\r" in line else line).rstrip("\t")


def _word(cell: object) -> str:
    return "" if cell is None else str(cell).replace("\t", " ")


def _excel_read(source: SourceFile, options: TgaOptions) -> TgaRun:
    sheets = _sheets(source.data)
    if _is_trios(sheets):
        lines, places = _joined(sheets)
        try:
            run = build_run(parse_trios("\n".join(lines) + "\n"), options, source, EXCEL_ID)
            said = tuple(
                dataclasses.replace(
                    d, text=re.sub(r"\bline \d+\b", lambda m: _translate(m[0], places), d.text)
                )
                for d in run.messages
            )
            return dataclasses.replace(run, messages=said)
        except ReadError as problem:
            problem.place = _translate(problem.place, places)
            raise
    sheet = _the_sheet(sheets)
    try:
        table = parse_generic("\n".join(sheet.lines) + "\n", options)
        return build_run(_renamed(table, sheet), options, source, EXCEL_ID)
    except ReadError as problem:
        problem.place = re.sub(r"^line (\d+)", rf"sheet {sheet.name!r}, row \1", problem.place)
        raise


def _renamed(table: TgaTable, sheet: _Sheet) -> TgaTable:
    return dataclasses.replace(table, place_word=f"sheet {sheet.name!r}, row")


def _is_trios(sheets: Sequence[_Sheet]) -> bool:
    first = "\n".join(sheets[0].lines[:60]) if sheets else ""
    return "proceduresegments" in first or "Trios version" in first


def _joined(sheets: Sequence[_Sheet]) -> tuple[list[str], list[tuple[str, int]]]:
    """Lines of all sheets one below the other, each step under ``[step]``, and where each line came from."""
    lines: list[str] = []
    places: list[tuple[str, int]] = []
    for number, sheet in enumerate(sheets):
        if number:
            lines += ["", "[step]"]
            places += [(sheet.name, 0), (sheet.name, 0)]
        lines += sheet.lines
        places += [(sheet.name, row) for row in range(1, len(sheet.lines) + 1)]
    return lines, places


def _translate(place: str, places: Sequence[tuple[str, int]]) -> str:
    match = re.match(r"^line (\d+)$", place)
    if not match or not 0 < int(match[1]) <= len(places):
        return place
    name, row = places[int(match[1]) - 1]
    return f"sheet {name!r}, row {row}"


def _the_sheet(sheets: Sequence[_Sheet]) -> _Sheet:
    """Return the one sheet that holds a run."""
    named = [sheet for sheet in sheets if score_header(sheet.lines) > 0]
    numeric = [sheet for sheet in sheets if any(b - a > 2 for a, b in find_blocks(sheet.lines))]
    found = named or numeric
    if not found:
        msg = f"none of the {len(sheets)} sheets holds a table of numbers"
        raise ReadError(msg, expected="temperature and mass below a header")
    if len(found) > 1:
        msg = f"{len(found)} sheets could hold the run: {', '.join(repr(s.name) for s in found)[:200]}"
        raise ReadError(msg, hint="Save the sheet wanted as a workbook or CSV of its own.")
    return found[0]


def _excel_sniff(source: SourceFile) -> float:
    if source.data.startswith(_OLE):
        return 0.6
    if not source.data.startswith(b"PK\x03\x04"):
        return 0.0
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        return 0.5 if source.suffix == "xlsx" else 0.0
    return 0.7 if any(name.startswith("xl/") for name in names) else 0.0


EXCEL = TgaReader(
    id=EXCEL_ID,
    name="workbook (.xlsx, .xls), TRIOS or any table with units in its header",
    extensions=("xlsx", "xls"),
    sniff=_excel_sniff,
    read=_excel_read,
    extras=("excel",),
)


# ------------ Shimadzu TA-60WS and LabSolutions TA text: sections in brackets, then names, units and rows.
# Written from the published layout: ``[Section]`` lines, facts (``Sample Weight:<tab>5.123[mg]``), rows
# ``rate<tab>hold temperature<tab>hold time`` below ``[Temp Program]``; below ``[Data]`` a row of names
# (``Time  Temp  TGA  DTA``), a row of units and tab-separated numbers.

SHIMADZU_ID = "shimadzu_text"
_NAMES = re.compile(r"shimadzu|\bTA-?60|\bDTG-?60|\bTGA-?5[01]\b|LabSolutions TA", re.IGNORECASE)


def parse_shimadzu(text: str, options: TgaOptions) -> TgaTable:
    """Table of a Shimadzu text export.

    Raises
    ------
    ReadError
        As for any table with names and units.
    """
    lines = split_lines(text)
    data = next((i for i, line in enumerate(lines) if line.strip() == "[Data]"), -1)
    table = parse_generic("\n".join([""] * (data + 1) + lines[data + 1 :]), options)
    facts = header_facts(lines[: data + 1])
    mass = next((m for k in ("sample weight", "weight") if (m := mass_in_mg(k, facts.get(k, "")))), None)
    metadata = dict(table.metadata)
    for key, name in (("sample name", "sample_name"), ("detector", "instrument"), ("date", "date")):
        if facts.get(key):
            metadata[name] = facts[key]
    rates = _program_rates(lines[: data + 1])
    return dataclasses.replace(
        table,
        initial_mass_mg=table.initial_mass_mg or mass,
        atmosphere=atmosphere_of(facts.get("atmosphere", facts.get("gas", ""))),
        heating_rate_k_min=rates.pop() if len(rates) == 1 else None,
        metadata=metadata,
    )


def _program_rates(lines: Sequence[str]) -> set[float]:
    """First numbers of the rows below ``[Temp Program]``: rate, hold temperature, hold time."""
    rates: set[float] = set()
    inside = False
    for line in lines:
        if line.startswith("["):
            inside = line.strip() == "[Temp Program]"
        cells = line.split("\t")
        if inside and len(cells) > 2 and (rate := number_of(cells[0])) is not None and rate > 0:
            rates.add(rate)
    return rates


def _shimadzu_sniff(source: SourceFile) -> float:
    text = source.head_text
    if "\n[" not in text and not text.startswith("["):
        return 0.0
    sections = re.findall(
        r"^\[(Header|File Info|Sample Info|Temp Program|Data|Measurement)\]", text, re.MULTILINE
    )
    if sections and _NAMES.search(text):
        return 0.95
    return 0.85 if "Data" in sections and re.search(r"^Time\tTemp", text, re.MULTILINE) else 0.0


def _shimadzu_read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_shimadzu(source.text, options), options, source, SHIMADZU_ID)


SHIMADZU = TgaReader(
    id=SHIMADZU_ID,
    name="Shimadzu TA-60WS and LabSolutions TA text export",
    extensions=("txt",),
    sniff=_shimadzu_sniff,
    read=_shimadzu_read,
    verified=False,
)


# ------------ Hitachi (SII, Seiko EXSTAR, NEXTA) TG/DTA text: facts, then names, units (``Cel``, ``ug``)
# and rows.
# Written from the published layout of Muse and NEXTA TA exports; temperatures are in ``Cel``, masses in ``ug`` or
# ``mg``, and TG may be mass or its change since the start.

HITACHI_ID = "hitachi_text"
_HITACHI_NAMES = re.compile(r"hitachi|\bSII\b|EXSTAR|NEXTA|\bSTA7\d00|TG/?DTA ?\d{3,4}|\bMuse\b")


def parse_hitachi(text: str, options: TgaOptions) -> TgaTable:
    """Table of a Hitachi or SII text export.

    Raises
    ------
    ReadError
        As for any table with names and units.
    """
    table = parse_generic(text, options)
    facts = header_facts(text.split("\n")[: int(table.places[0])])
    keys = ("sample weight", "weight", "sample mass")
    mass = next((m for k in keys if (m := mass_in_mg(k, facts.get(k, "")))), None)
    metadata = dict(table.metadata)
    for key, name in (("module", "instrument"), ("measurement date", "date"), ("operator", "operator")):
        if facts.get(key):
            metadata[name] = facts[key]
    gas = facts.get("gas", facts.get("gas1", facts.get("atmosphere", "")))
    return dataclasses.replace(
        table,
        initial_mass_mg=table.initial_mass_mg or mass,
        atmosphere=atmosphere_of(gas),
        metadata=metadata,
    )


def _hitachi_sniff(source: SourceFile) -> float:
    text = source.head_text
    if "TG" not in text:
        return 0.0
    celsius = re.search(r"\bCel\b", text)
    if _HITACHI_NAMES.search(text) and re.search(r"\bTG\b", text):
        return 0.9 if celsius else 0.75
    return 0.8 if celsius and re.search(r"\bTG\b", text) and re.search(r"\bug\b", text) else 0.0


def _hitachi_read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_hitachi(source.text, options), options, source, HITACHI_ID)


HITACHI = TgaReader(
    id=HITACHI_ID,
    name="Hitachi (SII, EXSTAR, NEXTA) TG/DTA text export",
    extensions=("txt", "csv"),
    sniff=_hitachi_sniff,
    read=_hitachi_read,
    verified=False,
)
