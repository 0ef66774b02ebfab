"""Workbooks (.xlsx through openpyxl, .xls through xlrd) as lines of tab-separated cells, one list for each sheet."""

from __future__ import annotations

import importlib
import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.io.source import MAX_EXPANDED_BYTES, SourceFile

MAX_SHEET_CELLS = 4_000_000
"""Cells of all sheets together; a run of 65 000 points in 10 columns has 650 000."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def is_workbook(source: SourceFile) -> bool:
    """Whether the content is that of a workbook, or a zip that is called one."""
    if source.data.startswith(_OLE):
        return True
    try:
        with zipfile.ZipFile(io.BytesIO(source.data if source.data[:4] == b"PK\x03\x04" else b"")) as archive:
            return any(name.startswith("xl/") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        return source.data[:4] == b"PK\x03\x04" and source.suffix == "xlsx"


@lru_cache(maxsize=1)  # sniffers of both kinds of measurement and the reader look at the same file
def read_sheets(data: bytes) -> dict[str, list[str]]:
    """Sheets as lines of tab-separated cells: row n + 1 is ``lines[n]``.

    A workbook that is damaged or too large is a `ReadError`.
    """
    try:
        return _sheets(data)
    except (ReadError, MissingExtraError):
        raise
    except Exception as problem:
        msg = f"the workbook cannot be opened ({type(problem).__name__}: {str(problem)[:120]})"
        hint = "It is damaged or not a workbook; save it again, or export as CSV."
        raise ReadError(msg, expected="an .xlsx or .xls workbook", hint=hint) from problem


def _sheets(data: bytes) -> dict[str, list[str]]:
    budget = MAX_SHEET_CELLS
    sheets: dict[str, list[str]] = {}
    for name, rows in _pages(data):
        lines = sheets[name] = []
        for row in rows:
            budget -= len(row) + 1
            if budget < 0:
                raise ReadError(f"the workbook has more than {MAX_SHEET_CELLS} cells", expected="one measurement")
            cells = ["" if cell is None else str(cell).replace("\t", " ") for cell in row]
            lines.append(re.sub(r"[\r\n]+", " ", "\t".join(cells)).rstrip("\t"))
    return sheets


def _pages(data: bytes) -> Iterator[tuple[str, Iterable[Sequence[Any]]]]:
    """Names of the sheets with their rows; openpyxl and xlrd are imported when needed."""
    old = data.startswith(_OLE)
    package, suffix = ("xlrd", ".xls") if old else ("openpyxl", ".xlsx")
    if not old:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_EXPANDED_BYTES:
            raise ReadError(f"the workbook unpacks to {size} bytes, more than the {MAX_EXPANDED_BYTES} that are read")
    try:
        opener = importlib.import_module(package)
    except ImportError as problem:
        msg = f"Reading {suffix} needs {package}: pip install xrdcomp[excel]"
        raise MissingExtraError(msg) from problem
    if old:
        book = opener.open_workbook(file_contents=data, logfile=io.StringIO(), on_demand=True)
        for name in book.sheet_names():
            page = book.sheet_by_name(name)
            declared = int(getattr(page, "_dimnrows", page.nrows))  # of the sheet's own record of its size
            if declared != page.nrows:
                msg = f"sheet {name!r} declares {declared} rows and holds {page.nrows}"
                hint = "The file is damaged, or saved by a program that counts otherwise; save it as .xlsx or CSV."
                raise ReadError(msg, expected="both alike", hint=hint)
            yield name, map(page.row_values, range(page.nrows))
            book.unload_sheet(name)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # styles and extensions that a table does not need
        book = opener.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        for page in book.worksheets:
            yield page.title, page.iter_rows(values_only=True)
        book.close()
