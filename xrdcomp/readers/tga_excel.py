"""Workbooks (.xlsx through openpyxl, .xls through xlrd): sheets become tab-separated text and are read as such.

A TRIOS workbook has a sheet of details and one sheet per step; any other workbook must hold one run on one sheet.
"""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.readers.registry import TgaOptions, TgaReader
from xrdcomp.readers.source import MAX_EXPANDED_BYTES, SourceFile
from xrdcomp.readers.tga_csv import parse_generic, score_header
from xrdcomp.readers.tga_run import build_run
from xrdcomp.readers.tga_table import TgaTable
from xrdcomp.readers.tga_text import find_blocks
from xrdcomp.readers.tga_trios import parse_trios
from xrdcomp.types import TgaRun

__all__ = ["READER"]

FORMAT_ID = "tga_excel"
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


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    sheets = _sheets(source.data)
    if _is_trios(sheets):
        lines, places = _joined(sheets)
        try:
            run = build_run(parse_trios("\n".join(lines) + "\n"), options, source, FORMAT_ID)
            said = tuple(
                dataclasses.replace(
                    d, text=re.sub(r"\bline \d+\b", lambda m: _translate(m[0], places), d.text)
                )
                for d in run.diagnostics
            )
            return dataclasses.replace(run, diagnostics=said)
        except ReadError as problem:
            problem.place = _translate(problem.place, places)
            raise
    sheet = _the_sheet(sheets)
    try:
        table = parse_generic("\n".join(sheet.lines) + "\n", options)
        return build_run(_renamed(table, sheet), options, source, FORMAT_ID)
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


def _sniff(source: SourceFile) -> float:
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


READER = TgaReader(
    id=FORMAT_ID,
    name="workbook (.xlsx, .xls), TRIOS or any table with units in its header",
    extensions=("xlsx", "xls"),
    sniff=_sniff,
    read=_read,
    extras=("excel",),
)
