"""Tables in text: where the numbers are, how their cells are separated, all of them at once as an array.

Diffraction writes filled tables, every cell a number: `find_table` and `parse_table` take the first block, tabs count
as blanks, and whatever follows the block must be a footer. Thermobalances write tables below names and units, in
parts, with cells left blank: `read_table` takes the longest with all its parts. Both share separators and decimal
signs (`Dialect`), the reading of cells (`parse_rows`) and its refusals; no row that does not fit is ever skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NoReturn

import msgspec
import numpy as np

from xrdcomp.errors import ReadError, either
from xrdcomp.io.columns import Column, Role, classify, column_of, number_of, split_header, unit_of
from xrdcomp.io.scans import MAX_POINTS
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray, IntArray

MAX_ROW = 2000
"""Longest row of a filled table; a row of two columns has some thirty characters."""
LEAST_ROWS = 3
MAX_LINE = 20_000
"""Longest line that is looked at; rows of `MAX_COLUMNS` numbers have 10 000 characters."""
MAX_TABLE_ROWS = 1_000_000
"""More points than any run has (ten a second for a day); larger tables are refused before they are taken apart."""
MAX_COLUMNS = 400
MAX_CELLS = 20_000_000
MAX_PARTS = 2_000
"""More segments than any program has; a file where text and numbers alternate is none of a run."""
MAX_HEADER = 4000
_HEADER_ROWS = 3
_CHUNK = 20_000
_CLOCK = re.compile(
    r"(?:\d{4}-\d\d?-\d\d?[T ]|\d{1,4}[./]\d\d?[./]\d{1,4},? )?"
    r"(\d{1,3}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?(?: ?([AP])M)?(?:Z|[-+]\d\d:?\d\d)?",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d{1,4}[./]\d\d?[./]\d{1,4},?", re.IGNORECASE)
BLANKS = frozenset({"", "-", "--", "---", "nan", "n/a", "#n/a", "na", "null", "none", "#nv", "*", "."})
"""What stands for no value."""
Parts = Sequence[tuple[int, Sequence[str]]]
WAS_CUT = "The file was cut; copy it again."


def line_error(line: int, reason: str, expected: str = "", hint: str = "Copy the file again.") -> ReadError:
    """Make (not raise) the error of a line, counted from 1."""
    return ReadError(reason, f"line {line}", expected, hint)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How the cells of a row are separated (None: runs of blanks) and which sign is the decimal one."""

    separator: str | None = None
    decimal: str = "."

    def __str__(self) -> str:
        names = {None: "blanks", "\t": "tabs", ";": "semicolons", ",": "commas"}
        name = names.get(self.separator, repr(self.separator))
        return f"cells separated by {name}, decimal {'comma' if self.decimal == ',' else 'point'}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Numbers of a table with the lines they stand on.

    `values` has shape (n, k), NaN where a cell is blank; `lines` holds the line of each row, from 1, and `part` the
    number of the part it belongs to, from 0. `names` and `units` have one entry per column, none without header;
    `header_lines` holds the line of each part's header, of its first row where it has none. Other tables of at least
    three rows, which are no part of this one, begin at the lines `others`. Columns of times of day, counted from 0, are
    `clocks`; their values are seconds that run on past midnight. This one was chosen among `tables`.
    """

    values: FloatArray
    lines: IntArray
    dialect: Dialect
    part: IntArray
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    header_lines: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    clocks: tuple[int, ...] = ()
    tables: int = 1

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns, recognised by name and unit; without header their names are empty.

        Of the times of day (`clocks`) the first is the time of a table that has no other.
        """
        blank = ("",) * self.values.shape[1]
        names = zip(self.names or blank, self.units or blank, strict=True)
        found = [column_of(*heading, self.values[:, i], i + 1) for i, heading in enumerate(names)]
        timed = any(c.role == "time" for i, c in enumerate(found) if i not in self.clocks)
        for i in self.clocks:
            role: Role = "other" if timed or i != self.clocks[0] else "time"
            found[i] = replace(found[i], unit="hh:mm:ss", dimension="time", canonical="s", role=role)
        return tuple(found)

    def segment(self) -> IntArray | None:
        """Segment of each point, from a complete column of numbers or from the parts; None where there is one."""
        stated = (c.values for c in self.columns if c.role == "segment" and np.isfinite(c.values).all())
        found = next(stated, None)
        return numbered(found) if found is not None else self.part if self.part[-1] else None


def numbered(values: FloatArray | IntArray) -> IntArray:
    """Numbers from 0 without gaps, in the order of the values."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def split_lines(text: str) -> list[str]:
    """Lines of a text; more than `MAX_TABLE_ROWS`, or one longer than `MAX_LINE`, are refused."""
    count = text.count("\n")
    if count > MAX_TABLE_ROWS + 10_000:
        msg = f"the file has {count} lines, more than the {MAX_TABLE_ROWS} points that are read"
        raise ReadError(msg, expected="one run")
    lines = text.split("\n")
    at = next((i for i, line in enumerate(lines) if len(line) > MAX_LINE), -1)
    if at >= 0:
        msg = f"the line has {len(lines[at])} characters, more than the {MAX_LINE} that a row may have"
        raise line_error(at + 1, msg, "a text export with one point per line", hint="")
    return lines


def split_cells(line: str, dialect: Dialect) -> list[str]:
    """Cells of one line, stripped of blanks and quotes; a quoted cell may hold the separator."""
    if dialect.separator is None:
        return line.split()
    if '"' in line:
        import csv

        cells = next(csv.reader([line], delimiter=dialect.separator, skipinitialspace=True), [])
        return [cell.strip() for cell in cells]
    return [cell.strip() for cell in line.split(dialect.separator)]


def _usual_width(rows: Sequence[str], dialect: Dialect) -> int:
    """Most frequent number of cells of a row."""
    return Counter(len(split_cells(row, dialect)) for row in rows).most_common(1)[0][0]


# Rows of numbers to an array


def _clock_columns(row: str, dialect: Dialect) -> list[int]:
    """Columns of dates and times of day, from 0, as a row has them."""
    if ":" not in row and not re.search(r"\d[-/.]\d+[-/.]\d", row):
        return []
    cells = split_cells(row, dialect)
    return [i for i, cell in enumerate(cells) if _CLOCK.fullmatch(cell) or _DATE.fullmatch(cell)]


def _clocks_to_seconds(rows: Sequence[str], clocks: Sequence[int], dialect: Dialect, first_line: int) -> list[str]:
    """Rows with seconds of the day in place of times of day, and blank cells in place of dates."""
    found: list[str] = []
    for line, row in enumerate(rows, start=first_line):
        cells = split_cells(row, dialect)
        for i in clocks:
            cell = cells[i] if i < len(cells) else ""
            clock = _CLOCK.fullmatch(cell)
            if not clock and not _DATE.fullmatch(cell) and cell.lower() not in BLANKS:
                raise line_error(line, f"{cell[:40]!r} is neither date nor time of day, as the rows above have")
            if clock:
                hours = int(clock[1]) % 12 + 12 * (clock[4] in "pP") if clock[4] else int(clock[1])
                seconds = 3600.0 * hours + 60.0 * int(clock[2]) + float((clock[3] or "0").replace(",", "."))
                cells[i] = f"{seconds:.3f}".replace(".", dialect.decimal)
            elif i < len(cells):
                cells[i] = "-"
        found.append((dialect.separator or " ").join(cells))
    return found


def parse_rows(rows: Sequence[str], dialect: Dialect, *, first_line: int, n_columns: int = 0) -> FloatArray:
    """Turn rows of text, the first of them on `first_line`, into an (n, k) array, NaN where a cell is blank.

    Every row must have `n_columns` cells, or as many as most of the first rows have; one that has not, a cell that is
    no number and an infinite value are refused.
    """
    width = n_columns or _usual_width(rows[:50], dialect)
    if width > MAX_COLUMNS or len(rows) * width > MAX_CELLS:
        msg = f"the table has {len(rows)} rows of {width} columns, more than are read"
        raise line_error(first_line, msg, "one run", hint="")
    if clocks := _clock_columns(rows[0], dialect):
        rows = _clocks_to_seconds(rows, clocks, dialect, first_line)
    chunks = ((first_line + i, rows[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK))
    return np.concatenate([_parse_chunk(chunk, dialect, line, width) for line, chunk in chunks])


def _parse_chunk(rows: Sequence[str], dialect: Dialect, first_line: int, width: int) -> FloatArray:
    text = "\n".join(rows)
    comma = dialect.decimal == ","
    # nearly every table holds nothing but finite numbers and is taken apart at once; all else is looked at in detail
    if '"' not in text and not (comma and "." in text) and rows[0].strip():
        try:
            plain = text.replace(",", ".").split("\n") if comma else rows
            values = np.loadtxt(plain, delimiter=dialect.separator, comments=None, ndmin=2)
        except ValueError:
            pass
        else:
            if values.shape == (len(rows), width) and np.isfinite(values).all():
                return values
    cells: list[str] = []
    for offset, row in enumerate(rows):
        found = split_cells(row, dialect) if '"' in text else row.split(dialect.separator)
        if len(found) == width - 1 and dialect.separator and row.endswith(dialect.separator):
            found = [*found, ""]
        if len(found) < width or any(cell.strip() for cell in found[width:]):
            empty = "" if all(map(str.strip, found)) else " and an empty cell"
            msg = f"the row has {len(found)} columns{empty} where {width} are expected: {row.strip()[:60]!r}"
            hint = "The row is damaged or the file was cut here; copy it again from the instrument."
            raise line_error(first_line + offset, msg, f"{width} columns in every row", hint)
        cells += found[:width]
    if comma:  # a point among decimal commas is marked, so that it is refused
        cells = [cell.replace(",", ".") if "." not in cell else cell + "!" for cell in cells]
    try:
        if "_" in text:
            raise ValueError
        numbers = (cell if cell and not cell.isspace() else "nan" for cell in cells)
        values = np.fromiter(map(float, numbers), dtype=np.float64, count=len(cells))
        if np.isinf(values).any():
            raise ValueError
    except ValueError:
        at = [i // width for i in range(len(cells))]
        values = np.array([_number(cell, rows[i], first_line + i) for cell, i in zip(cells, at, strict=True)])
    return values.reshape(-1, width)


def _number(cell: str, row: str, line: int) -> float:
    """Value of a cell, NaN for one of `BLANKS`; anything else is refused for what is wrong with it."""
    text = cell.strip().rstrip("!")[:40]
    hint = "Export the measurement again from the instrument's software, without opening it in a spreadsheet."
    try:
        value = float(cell if "_" not in cell else "no number")
        if not np.isinf(value):
            return value
        complaint = "it holds an infinite value"
    except ValueError:
        if cell.strip().lower() in BLANKS:
            return np.nan
        complaint = f"{text!r} is not a number"
    if text.count(".") > 1:
        complaint = (
            f"the number {text!r} has {text.count('.')} points: a spreadsheet has taken the decimal point for "
            "a thousands separator, and where the point was cannot be known"
        )
    elif "." in text and cell.endswith("!"):
        complaint = f"the number {text!r} has a point, and others of the table have a decimal comma"
    elif PARTED.search(row):
        complaint, hint = f"{text!r} has separators of thousands", UNPARTED
    elif "," in text and "." in text:
        complaint = f"the number {text!r} has both a comma and a point"
    else:
        hint = f"The row reads {row.strip()[:60]!r}; copy the file again, or correct the row if its value is known."
    raise line_error(line, complaint, "numbers", hint)


def parse_parts(parts: Parts, dialect: Dialect, names: Sequence[str], units: Sequence[str] = ()) -> Table:
    """Rows of several parts, each given with the line of its first row, one below the other."""
    values = [parse_rows(rows, dialect, first_line=line, n_columns=len(names)) for line, rows in parts]
    # times of day with their seconds; a step back by more than half a day is midnight
    first = split_cells(parts[0][1][0], dialect)
    clocks = tuple(i for i in _clock_columns(parts[0][1][0], dialect) if (m := _CLOCK.fullmatch(first[i])) and m[3])
    whole = np.concatenate(values)
    for i in _clock_columns(parts[0][1][0], dialect):
        if i not in clocks and re.search(r"m:ss|min:s", " ".join((names[i], *units[i : i + 1])), re.IGNORECASE):
            whole[:, i] /= 60.0  # minutes and seconds, not hours and minutes
            clocks = (*clocks, i)
    for i in clocks:
        whole[1:, i] += 86400.0 * np.cumsum(np.diff(whole[:, i]) < -43200.0)
        whole[:, i] -= whole[0, i]
    return Table(
        values=whole,
        lines=np.concatenate([np.arange(line, line + len(rows), dtype=np.int64) for line, rows in parts]),
        dialect=dialect,
        part=np.repeat(np.arange(len(parts)), list(map(len, values))).astype(np.int64),
        names=tuple(names),
        units=tuple(units),
        clocks=clocks,
    )


def has_other(text: str) -> bool:
    """Whether a text holds anything but digits, signs, points, exponents and blanks."""
    return bool(text.encode("ascii", "replace").translate(None, b"0123456789+-.eE \t\n"))


# Filled tables: columns of a diffraction pattern

_NUMERIC_ROW = re.compile(r"[\s]*[-+]?[.,]?\d[-+.,;\deE\s]*\Z")
_DROP_NUMERIC = str.maketrans("", "", "0123456789+-.,;eE \t")
PARTED = re.compile(r"(?:^|[;\t\"])\s*\d{1,3}(?:['’\u202f\u00a0 ,]\d{3})+(?:[.,]\d+)?\s*(?:$|[;\t\"])")
UNPARTED = "Export the numbers without separators of thousands."
COMMENTS = "#;!%'*/"
"""What a line of comment begins with."""
_FOOTER = re.compile(r"\s*(?!(?:nan|inf)\b)(?:[#;!%'\"*/$&]|[A-Za-z_]{2,}|\x1a)", re.IGNORECASE)


def numeric_row(line: str) -> bool:
    """Whether a line holds nothing but numbers and separators."""
    return bool(_NUMERIC_ROW.match(line))


def _several_columns(line: str) -> bool:
    return len(re.findall(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", line.replace(",", " "))) >= 2


def find_table(lines: Sequence[str], start: int = 0) -> tuple[int, int]:
    """First and one past the last index of the first block of `LEAST_ROWS` numeric rows or more; -1 without one."""
    n = len(lines)
    i = start
    while i < n:
        line = lines[i]
        if len(line) > MAX_ROW or not (_NUMERIC_ROW.match(line) and _several_columns(line)):
            i += 1
            continue
        end = i
        while end < n and lines[end] and not lines[end].translate(_DROP_NUMERIC):
            end += 1
        if end - i >= LEAST_ROWS:
            return i, end
        i = end + 1
    return -1, -1


def find_broken_row(lines: Sequence[str]) -> int:
    """Index of the first row that interrupts a block too short for `find_table`; -1 where there is none.

    Three rows of numbers or more make a block, and twice as many as what stands between the first and the last.
    """
    good = [i for i, line in enumerate(lines) if numeric_row(line[:MAX_ROW]) and _several_columns(line)]
    if len(good) < LEAST_ROWS:
        return -1
    kept = set(good)
    broken = [i for i in range(good[0], good[-1]) if i not in kept and lines[i].strip()]
    return broken[0] if broken and 2 * len(broken) <= len(good) else -1


def row_without_numbers(lines: Sequence[str]) -> int:
    """Index of the first row with figures that are not numbers throughout; -1 where the text is no table.

    Half the lines or more must have as many cells as that row, one of them of figures; a title, names and units above
    have none.
    """
    held = [i for i, line in enumerate(lines[:400]) if line.strip()]
    for separator in (";", "\t", ",", None):
        cells = {i: lines[i].strip().split(separator) for i in held}
        rows = [i for i in held if 1 < len(cells[i]) <= MAX_COLUMNS and any(map(_mostly_figures, cells[i]))]
        broken = next((i for i in rows if not numeric_row(lines[i][:MAX_ROW])), -1)
        if broken >= 0 and 2 * sum(len(row) == len(cells[broken]) for row in cells.values()) >= len(held):
            return broken
    return -1


def _mostly_figures(cell: str) -> bool:
    """Whether half of a short cell, or more, are figures."""
    return 0 < len(cell) <= 24 and 2 * sum(map(str.isdigit, cell)) >= len(cell.strip())


def parse_table(source: SourceFile, first: int, last: int, lines: Sequence[str] = ()) -> Table:
    """Read rows ``lines[first:last]`` (indices from 0; of the source where none are given) without blank cells.

    Commas that could be either, a row with another number of columns, an empty cell, something that is no number, and
    what follows the block and is neither blank nor a footer are refused.
    """
    lines = lines or source.lines
    for i in range(last, len(lines)):
        line = lines[i].strip()
        mostly_digits = sum(map(str.isdigit, line)) > 0.5 * len(line)
        if PARTED.search(line):
            raise line_error(i + 1, f"{line[:50]!r} has separators of thousands", "plain numbers", UNPARTED)
        if line and (mostly_digits or not _FOOTER.match(line)):
            msg = f"{line[:50]!r} follows the block of numbers"
            hint = "The file may hold two scans, or a value is damaged. Export one scan per file."
            raise line_error(i + 1, msg, "numbers, blanks or a comment", hint)
    block = [line.lstrip() for line in lines[first:last]]
    kept = [i for i, line in enumerate(block, first) if line and line[0] not in COMMENTS]
    rows: Sequence[str] = [lines[i] for i in kept]
    if len(rows) > MAX_POINTS:
        raise source.error(f"{len(rows)} rows of numbers", expected=f"one scan of up to {MAX_POINTS} points")
    if (longest := max(map(len, rows), default=0)) > MAX_ROW:
        raise source.error(f"a row of {longest} characters", expected=f"up to {MAX_ROW}")
    dialect = guess_dialect(rows, tabs=False, place=f"line {first + 1}")
    if dialect.separator:  # one that ends the rows opens no column
        rows = [row.rstrip(f" \t{dialect.separator}") for row in rows]
    width = _usual_width(rows[:50], dialect)
    places = np.array(kept, dtype=np.int64) + 1
    begins = [0, *(np.flatnonzero(np.diff(places) > 1) + 1).tolist(), len(rows)]  # blank lines and comments part rows
    values = np.concatenate(
        [parse_rows(rows[a:b], dialect, first_line=int(places[a]), n_columns=width) for a, b in pairwise(begins)]
    )
    blank = np.isnan(values).any(axis=1)
    if blank.any():
        at = int(places[int(np.argmax(blank))])
        msg = f"{lines[at - 1].strip()[:50]!r} has an empty cell or one that is no number"
        raise line_error(at, msg, "a number in every cell", hint="")
    return Table(values=values, lines=places, dialect=dialect, part=np.zeros(len(rows), dtype=np.int64))


# Tables below names and units: runs of a thermobalance

_PLAIN_ROW = re.compile(r'[\s;,"]*[-+.]?\d[\d\s.,;+\-eE"]*')
"""What nearly every row matches; whether its cells are numbers is seen when they are parsed."""
_CELL = re.compile(
    r"[-+]?(?:\d[\d.,]*|[.,]\d+)(?:[eEdD][-+]?\d+)?|#?[nN]/?[aA][nN]?|#NV|-{1,3}|NULL|null|None"
    r"|\d{4}-\d\d?-\d\d?(?:T[\d:.]+(?:Z|[-+]\d\d:?\d\d)?)?|\d{1,4}[./]\d\d?[./]\d{1,4}|\d{1,3}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:[AaPp][Mm]|[-+]\d\d:?\d\d)?"
)
_DECIMAL_COMMA = re.compile(r"[^,]+|[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_BETWEEN = re.compile(r'[\s;,"]+')
_NUMBER = re.compile(r"[-+]?(\d[\d.,]*|[.,]\d+)([eE][-+]?\d+)?")
_HEADER_CELLS = (r"\S+", r"\S+(?:[^\S\t]\S+)*", r"[^\s(\[][^(\[\s]*(?:\s+[^\s(\[]+)*?\s*[(\[][^)\]]*[)\]]", r"[^;,\t]+")
"""Cells of a header above rows separated by blanks: words, words with single blanks between them, anything with a
unit in brackets behind it, or names with separators of their own."""


def _looks_numeric(line: str) -> bool:
    """Whether a line could be a row of numbers and blank cells."""
    if _PLAIN_ROW.fullmatch(line):
        return True
    cells = [cell for cell in _BETWEEN.split(line) if cell]
    return any(cell[-1].isdigit() for cell in cells) and all(_CELL.fullmatch(cell) for cell in cells)


def find_blocks(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of numeric lines as (first, last + 1), 0-based; blank lines inside a run end it."""
    flags = np.fromiter(map(_looks_numeric, lines), dtype=np.bool_, count=len(lines))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    if len(edges) > 2 * MAX_PARTS:
        raise ReadError(f"text and numbers alternate {len(edges) // 2} times", expected=f"at most {MAX_PARTS} segments")
    return [
        (int(a), int(b))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if b - a > 1 or len(_BETWEEN.split(lines[int(a)].strip())) > 1
    ]


def guess_dialect(rows: Sequence[str], header: str = "", *, tabs: bool = True, place: str = "") -> Dialect:
    """Separator and decimal sign from rows of numbers and the header above; refused where the comma could be either.

    Without `tabs` they count as blanks.
    """
    sample = [row for row in rows[:200] if row.strip()]
    text = "\n".join(sample)
    if sample and all(
        re.search(r'"[^"]*\d[^"]*"', row) for row in sample
    ):  # quotes tell decimal sign and separator apart
        bare, quoted = re.sub(r'"[^"\n]*"', "0", text), "".join(re.findall(r'"([^"\n]*)"', text))
        separators = [sign for sign in ("\t", ";", ",") if all(sign in row for row in bare.split("\n"))]
        if separators:
            decimal = "," if "," in quoted and "." not in quoted else "."
            return Dialect(separator=separators[0], decimal=decimal)
    for separator in ("\t", ";") if tabs else (";",):
        if all(separator in row for row in sample):
            return Dialect(separator=separator, decimal="," if any("," in row for row in rows) else ".")
    if "," not in text:
        return Dialect()
    commas = {row.count(",") for row in sample}
    spaced = re.search(r",\s|,[-+]|,,", text)
    if "." in text or (spaced and not re.search(r",\d", text)):
        return Dialect(separator=",")
    tokens = [token for row in sample for token in row.split()]
    if len(tokens) > len(sample) and all(_DECIMAL_COMMA.fullmatch(token) for token in tokens):
        return Dialect(decimal=",")
    if (header.count(",") == max(commas) and len(commas) == 1) or (commas == {1} and not header):
        return Dialect(separator=",")
    msg = f"the commas in {sample[0].strip()[:60]!r} can be decimal signs or separators"
    hint = "Export with semicolons or tabs between the columns, or with the decimal point."
    raise ReadError(msg, place, "one decimal sign and another separator, in rows and header alike", hint)


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """Names and units above a block, none without a header, and the index of the line they stand on."""

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    at: int


def read_table(lines: Sequence[str], run: int | None = None) -> Table:
    """Longest table of a text, with all parts that stand under the same header.

    Blank lines inside a part are passed over; anything else between rows must be a repeated header. No block of
    numbers, a damaged row and, unless `run` chooses one from 0, several tables with different headers are refused.
    """
    tables = _headed_tables(lines) if run is not None else []
    if run is not None and len(tables) > 1:
        if not 0 <= run < len(tables):
            raise ReadError(f"there is no run {run} in the file", expected=f"0 to {len(tables) - 1}")
        first, stop = tables[run]
        return replace(_TableReader(["" if not first <= i < stop else line for i, line in enumerate(lines)]).read(),
                       tables=len(tables))  # fmt: skip
    return _TableReader(lines).read()


def _headed_tables(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Lines of each table of three rows or more with names above it, (first, last + 1); equal names are one."""
    found: list[tuple[int, int]] = []
    names = ""
    for first, stop in find_blocks(lines):
        above = next((line for line in reversed(lines[max(first - 3, 0) : first]) if line.strip()), "")
        if stop - first < LEAST_ROWS:
            continue
        if found and above.strip() in ("", names):
            found[-1] = (found[-1][0], stop)
        else:
            found.append((found[-1][1] if found else 0, stop))
            names = above.strip()
    return found


class _TableReader:
    """The table of the longest block of numbers in a text, with its separator and number of columns."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines = [
            (re.sub(r"(:\d\d(?:[.,]\d+)?) ([APap][Mm])\b", r"\1\2", line) if ":" in line else line)
            if line.strip("\t ;,")
            else ""  # a row whose cells are all blank
            for line in lines
        ]
        self.blocks = find_blocks(self.lines)
        if not self.blocks:
            at = row_without_numbers(lines)
            row = f", of which {lines[at].strip()[:50]!r} is no row" if at >= 0 else ""
            expected = "rows of at least two numbers below a header"
            raise ReadError(f"no table of numbers was found{row}", f"line {at + 1}" if row else "", expected)
        self.main = max(self.blocks, key=lambda block: block[1] - block[0])
        first, stop = self.main
        self.dialect = guess_dialect(lines[first:stop], lines[first - 1] if first else "")
        self.width = len(split_cells(lines[first], self.dialect))

    def read(self) -> Table:
        """Find the parts under the header of the longest block, its own or the nearest above, and read their rows."""
        alike = [
            block
            for block in self.blocks
            if block == self.main
            or (
                (block > self.main or block[1] - block[0] > 1)
                and len(split_cells(self.lines[block[0]], self.dialect)) == self.width
            )
        ]
        headers = [self.header_above(first) for first, _ in alike]
        header = next((h for h in headers[alike.index(self.main) :: -1] if h.names), _Header(at=0))
        begun: list[int] = []  # index of the header of each part
        taken: list[tuple[int, int]] = []
        part: list[int] = []  # of each block taken
        for (first, stop), own in zip(alike, headers, strict=True):
            if (own.names, own.units) == (header.names, header.units) and (header.names or not taken):
                begun.append(own.at)
            elif taken and not own.names:
                for at in range(taken[-1][1], first):
                    if self.lines[at].strip():
                        self.refuse_row(at)
            elif taken:
                msg = f"a second table with other columns begins here: {', '.join(own.names)[:80]}"
                hint = either(*(f"Pass {run} to choose a table by its number from 0." for run in ("run=N", "--run N")))
                raise line_error(own.at + 1, msg, ", ".join(header.names)[:80], hint)
            else:
                continue
            taken.append((first, stop))
            part.append(len(begun) - 1)
        for stop in {number: stop for (_, stop), number in zip(taken, part, strict=True)}.values():
            # directly below a part, a line half of numbers is a damaged or cut row; other text is a footer
            cells = split_cells(self.lines[stop], self.dialect) if stop < len(self.lines) else []
            numbers = [c for c in cells if number_of(c) is not None and not re.search(r"[A-Za-z]{2}", c)]
            if numbers and 2 * len(numbers) >= self.width - 1:
                self.refuse_row(stop)
        read = set(taken)
        rows = [(first + 1, self.lines[first:stop]) for first, stop in taken]
        table = parse_parts(rows, self.dialect, header.names or [""] * self.width, header.units)
        return replace(
            table,
            part=np.array(part, dtype=np.int64)[table.part],
            names=header.names,
            header_lines=tuple(at + 1 for at in begun),
            others=tuple(a + 1 for a, b in self.blocks if b - a > 2 and (a, b) not in read),
        )

    def refuse_row(self, at: int) -> NoReturn:
        """Raise what is wrong with a line between rows that is not one of numbers."""
        parse_rows([self.lines[at]], self.dialect, first_line=at + 1, n_columns=self.width)
        raise line_error(at + 1, f"{self.lines[at].strip()[:40]!r} stands between rows of numbers", "numbers")

    def header_above(self, first: int) -> _Header:
        """Header directly above a block: a row of names with units, or names above a row of units."""
        rows: list[tuple[int, list[str]]] = []
        at = first - 1
        while at >= 0 and len(rows) < _HEADER_ROWS and first - at <= _HEADER_ROWS + 2:
            if self.lines[at].strip():
                cells = self.header_cells(self.lines[at])
                if not cells or (
                    (rows or at < first - 1) and _looks_numeric(self.lines[at])
                ):  # rows of the table above
                    break
                if 2 * sum(_NUMBER.fullmatch(cell) is not None for cell in cells) >= self.width:
                    self.refuse_row(at)
                rows.append((at, cells))
            elif rows:
                break
            at -= 1
        if not rows:
            return _Header(at=first)
        while len(rows) > 1 and not _telling(rows[0][1]) and any(_telling(cells) for _, cells in rows[1:]):
            rows.pop(0)  # a row of remarks below names and units
        units = rows.pop(0)[1] if len(rows) > 1 and _is_unit_row(rows[0][1]) else []
        at, cells = rows[0]
        pairs = [split_header(cell) for cell in cells]
        units = units or [unit for _, unit in pairs]
        return _Header(names=tuple(name for name, _ in pairs), units=tuple(units), at=at)

    def header_cells(self, line: str) -> list[str]:
        """Cells of a header line, one for each column; none where no way of splitting gives as many."""
        if len(line) > MAX_HEADER:
            return []
        text = line.lstrip("#%!/ ") if line.lstrip()[:1] in "#%!/" else line
        if self.dialect.separator is not None:
            cells = split_cells(text, self.dialect)
            while len(cells) > self.width and not cells[-1]:
                cells.pop()
            if len(cells) == self.width - 1 > 1 and not split_cells(self.lines[self.main[0]], self.dialect)[-1]:
                cells.append("")  # rows that end in a separator
            return cells if len(cells) == self.width else []
        # date and time of day are two cells among blanks, and may have one name
        pair = re.search(rf"(?:{_DATE.pattern})\s+\d{{1,3}}:\d\d", self.lines[self.main[0]])
        before = len(self.lines[self.main[0]][: pair.start()].split()) if pair else 0
        for pattern in _HEADER_CELLS:
            cells = [cell.strip() for cell in re.findall(pattern, text) if cell.strip()]
            if len(cells) == self.width:
                return cells
            if pair and len(cells) == self.width - 1:
                return [*cells[:before], "", *cells[before:]]
        return []


def _telling(cells: Sequence[str]) -> bool:
    """Whether cells are names or units of which one at least is known."""
    return _is_unit_row(cells) or any(
        classify(name, unit_of(unit)[0]) != "other" for name, unit in map(split_header, cells)
    )


def _is_unit_row(cells: Sequence[str]) -> bool:
    known = 0
    for cell in cells:
        dimension, unit = unit_of(cell)
        bracketed = cell.strip()[:1] in "[(" and cell.strip()[-1:] in "])"
        if (dimension == "other" and not bracketed) or cell.strip().lower() in ("t", "m"):
            return False
        known += dimension not in ("none", "other") or (bracketed and unit != "")
    return known > 0
