"""Blocks of numbers under a header: found, split and joined, for every text format that has them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NoReturn

import numpy as np

from xrdcomp.data import Diagnostic
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import Column, column_of, note, number_of, split_header, unit_of
from xrdcomp.io.scans import MAX_POINTS
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray, IntArray

# ------------ Columns of numbers in text: which separator, which decimal sign, where the block begins, and
# no guess.
# Every number is read; a row that does not fit is an error with its line, never skipped.

_NUMERIC_ROW = re.compile(r"[\s]*[-+]?[.,]?\d[-+.,;\deE\s]*\Z")
_DROP_NUMERIC = str.maketrans("", "", "0123456789+-.,;eE \t")
_NOT_NUMBER = re.compile(r"[^-+.\deE\s]")
MAX_ROW = 2000
LEAST_ROWS = 3
_FOOTER = re.compile(r"\s*(?!(?:nan|inf)\b)(?:[#;!%'\"*/$&]|[A-Za-z_]{2,}|\x1a)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A block of numbers: `values` (rows, columns), with the lines it stands on (from 1)."""

    values: FloatArray
    first_line: int
    last_line: int
    separator: str
    decimal: str
    rows: tuple[str, ...]


def numeric_row(line: str) -> bool:
    """Whether a line holds nothing but numbers and separators."""
    return bool(_NUMERIC_ROW.match(line))


def find_table(lines: Sequence[str], start: int = 0) -> tuple[int, int]:
    """Find the first block of at least three numeric rows with two columns or more.

    Returns
    -------
    first, last : int
        Indices of its first row and one past its last; both -1 where there is none.
    """
    n = len(lines)
    i = start
    while i < n:
        line = lines[i]
        if len(line) > MAX_ROW or not (_NUMERIC_ROW.match(line) and _columns(line) >= 2):
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
    """Find what interrupts a block too short for `find_table`: index of the first such row, -1 where there is none.

    Three rows of numbers or more make a block, and twice as many as what stands between the first and the last.
    """
    good = [i for i, line in enumerate(lines) if numeric_row(line[:MAX_ROW]) and _columns(line) >= 2]
    if len(good) < LEAST_ROWS:
        return -1
    kept = set(good)
    broken = [i for i in range(good[0], good[-1]) if i not in kept and lines[i].strip()]
    return broken[0] if broken and 2 * len(broken) <= len(good) else -1


def _columns(line: str) -> int:
    return len(re.findall(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", line.replace(",", " ")))


def separator_of(rows: Sequence[str], source: SourceFile, first_line: int) -> tuple[str, str]:
    """Tell column separator ("" for blanks) and decimal sign from all rows together.

    Raises
    ------
    ReadError
        Both readings of the commas are possible.
    """
    text = "\n".join(rows[:200])
    comma, dot = "," in text, "." in text
    if ";" in text:
        if comma and dot:
            raise _ambiguous(source, rows, first_line)
        return ";", "," if comma else "."
    if not comma:
        return "", "."
    blanks = all(re.search(r"\S[ \t]+\S", row.strip()) for row in rows[:200])
    separated = all(re.search(r",\s*(?:[-+.\d]|\Z)", row) for row in rows[:200])
    if blanks and not dot:
        fields = [field for row in rows[:200] for field in row.split()]
        if all(re.fullmatch(r"[-+]?\d+(?:,\d+)?(?:[eE][-+]?\d+)?", field) for field in fields):
            return "", ","
        if not any(re.search(r",\S", row.strip()) for row in rows[:200]):
            return ",", "."
        raise _ambiguous(source, rows, first_line)
    if dot and separated:
        return ",", "."
    if not dot and not blanks:
        counts = {row.count(",") for row in rows[:200]}
        if counts == {1}:
            return ",", "."
    raise _ambiguous(source, rows, first_line)


def _ambiguous(source: SourceFile, rows: Sequence[str], first_line: int) -> Exception:
    return source.error(
        f"the commas in {rows[0].strip()[:40]!r} can be decimal signs or separators",
        place=f"line {first_line}",
        expected="one decimal sign and another separator",
        hint="Export with blanks, tabs or semicolons between the columns.",
    )


def parse_table(source: SourceFile, first: int, last: int) -> Table:
    """Read rows ``lines[first:last]`` (indices from 0) into an array.

    Raises
    ------
    ReadError
        A row has another number of columns or something that is no number; what follows the block is
        neither blank nor a footer.
    """
    lines = source.lines
    end = last
    while end > first and not lines[end - 1].strip():
        end -= 1
    rows = lines[first:end]
    _check_rest(source, last)
    if len(rows) > MAX_POINTS:
        msg = f"{len(rows)} rows of numbers"
        raise source.error(msg, expected=f"one scan of up to {MAX_POINTS} points")
    longest = max(map(len, rows), default=0)
    if longest > MAX_ROW:
        raise source.error(f"a row of {longest} characters", expected=f"up to {MAX_ROW}")
    separator, decimal = separator_of(rows, source, first + 1)
    body = "\n".join(rows)
    if decimal == ",":
        body = body.replace(",", ".")
    if separator:
        _check_separators(source, rows, separator, first)
        body = body.replace(separator, " ")
    wrong = _NOT_NUMBER.search(body) if has_other(body) else None
    if wrong:
        at = first + 1 + body.count("\n", 0, wrong.start())
        row = rows[at - first - 1].strip()
        msg = f"{row[:50]!r} is not a row of numbers"
        raise source.error(msg, place=f"line {at}", expected="numbers in every row of the block")
    fields = [row.split() for row in body.split("\n")]
    widths = set(map(len, fields))
    if len(widths) > 1:
        usual = max(widths, key=[len(each) for each in fields].count)
        at = next(i for i, each in enumerate(fields) if len(each) != usual)
        msg = f"{rows[at].strip()[:50]!r} has {len(fields[at])} column(s) where the others have {usual}"
        raise source.error(
            msg,
            place=f"line {first + at + 1}",
            expected=f"{usual} columns in every row",
            hint="A row is damaged or cut off; copy the file again.",
        )
    width = widths.pop()
    values = floats(list(chain.from_iterable(fields)), source, first + 1, width)
    return Table(
        values=values.reshape(-1, width),
        first_line=first + 1,
        last_line=end,
        separator=separator,
        decimal=decimal,
        rows=tuple(rows),
    )


def _check_separators(source: SourceFile, rows: Sequence[str], separator: str, first: int) -> None:
    """Refuse empty cells: two separators in a row would shift the columns behind them."""
    pattern = re.compile(rf"\A\s*{separator}|{separator}\s*{separator}")
    for i, row in enumerate(rows):
        if pattern.search(row):
            msg = f"{row.strip()[:50]!r} has an empty cell"
            raise source.error(msg, place=f"line {first + i + 1}", expected="a number in every cell")


def _check_rest(source: SourceFile, last: int) -> None:
    lines = source.lines
    for i in range(last, len(lines)):
        line = lines[i]
        if not line.strip() or (_FOOTER.match(line) and not _hides_row(line)):
            continue
        msg = f"{line.strip()[:50]!r} follows the block of numbers"
        hint = "The file may hold two scans, or a value is damaged. Export one scan per file."
        raise source.error(msg, place=f"line {i + 1}", expected="numbers, blanks or a comment", hint=hint)


def _hides_row(line: str) -> bool:
    return sum(character.isdigit() for character in line) > 0.5 * len(line.strip())


def has_other(text: str) -> bool:
    """Whether a text holds anything but digits, signs, points, exponents and blanks."""
    return bool(text.encode("ascii", "replace").translate(None, b"0123456789+-.eE \t\n"))


def floats(tokens: Sequence[str], source: SourceFile, first_line: int = 0, width: int = 1) -> FloatArray:
    """Tokens to an array; the first that is no number is named with its line."""
    try:
        return np.array(list(map(float, tokens)), dtype=np.float64)
    except ValueError:
        for i, token in enumerate(tokens):
            try:
                float(token)
            except ValueError:
                place = f"line {first_line + i // width}" if first_line else f"number {i}"
                msg = f"{token[:30]!r} is not a number"
                raise source.error(msg, place=place, expected="a number") from None
        raise


# ------------ Tables in text: where the numbers are, how they are separated, and all of them at once as an
# array.

MAX_TABLE_ROWS = 1_000_000
"""More points than any run has (ten a second for a day); larger tables are refused before they are taken apart."""
MAX_COLUMNS = 400
MAX_CELLS = 20_000_000
MAX_BLOCKS = 2_000
"""More segments than any program has; a file where text and numbers alternate is none of a run."""
_CHUNK = 20_000
BLANKS = frozenset({"", "-", "--", "---", "nan", "n/a", "#n/a", "na", "null", "none", "#nv", "*", "."})
"""What stands for no value."""

MAX_LINE = 20_000
"""Longest line that is looked at; rows of `MAX_COLUMNS` numbers have 10 000 characters."""

_PLAIN_ROW = re.compile(r'[\s;,"]*[-+.]?\d[\d\s.,;+\-eE"]*')
"""What nearly every row matches; whether its cells are numbers is seen when they are parsed."""
_CELL = re.compile(
    r"[-+]?(?:\d[\d.,]*|[.,]\d+)(?:[eEdD][-+]?\d+)?|#?[nN]/?[aA][nN]?|#NV|-{1,3}|NULL|null|None"
)
_BETWEEN = re.compile(r'[\s;,"]+')


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How the cells of a row are separated (None: runs of blanks) and which sign is the decimal one."""

    separator: str | None
    decimal: str = "."

    @property
    def words(self) -> str:
        """For messages."""
        names = {None: "blanks", "\t": "tabs", ";": "semicolons", ",": "commas"}
        name = names.get(self.separator, repr(self.separator))
        return f"cells separated by {name}, decimal {'comma' if self.decimal == ',' else 'point'}"


def split_lines(text: str) -> list[str]:
    """Lines of a text.

    Raises
    ------
    ReadError
        A line longer than `MAX_LINE`, or a text of blanks.
    """
    count = text.count("\n")
    if count > MAX_TABLE_ROWS + 10_000:
        msg = f"the file has {count} lines, more than the {MAX_TABLE_ROWS} points that are read"
        raise ReadError(msg, expected="one run")
    lines = text.split("\n")
    longest = max(map(len, lines))
    if longest > MAX_LINE:
        at = next(i for i, line in enumerate(lines) if len(line) > MAX_LINE)
        msg = f"the line has {len(lines[at])} characters, more than the {MAX_LINE} that a row may have"
        raise ReadError(msg, place=f"line {at + 1}", expected="a text export with one point per line")
    return lines


def looks_numeric(line: str) -> bool:
    """Whether a line could be a row of numbers and blanks."""
    if _PLAIN_ROW.fullmatch(line):
        return True
    cells = [cell for cell in _BETWEEN.split(line) if cell]
    return any(cell[-1].isdigit() for cell in cells) and all(_CELL.fullmatch(cell) for cell in cells)


def find_blocks(lines: Sequence[str], *, start: int = 0) -> list[tuple[int, int]]:
    """Runs of numeric lines as (first, last + 1), 0-based; blank lines inside a run end it."""
    flags = np.fromiter(map(looks_numeric, lines[start:]), dtype=np.bool_)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    if len(edges) > 2 * MAX_BLOCKS:
        msg = f"text and numbers alternate {len(edges) // 2} times"
        raise ReadError(msg, expected=f"at most {MAX_BLOCKS} segments")
    return [
        (int(a) + start, int(b) + start)
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if b - a > 1 or len(_BETWEEN.split(lines[int(a) + start].strip())) > 1
    ]


def guess_dialect(rows: Sequence[str], header: str = "") -> Dialect:
    """Separator and decimal sign from some rows of numbers and the header above them.

    Raises
    ------
    ReadError
        The comma could be either (``1,5,20,3``) and nothing settles it.
    """
    sample = [row for row in rows[:200] if row.strip()]
    joined = "\n".join(sample)
    for separator in ("\t", ";"):
        if all(separator in row for row in sample):
            return Dialect(separator=separator, decimal="," if any("," in row for row in rows) else ".")
    if "," not in joined:
        return Dialect(separator=None)
    commas = {row.count(",") for row in sample}
    if "." in joined or re.search(r",\s|,[-+]|,,", joined):
        return Dialect(separator=",")
    tokens = {len(row.split()) for row in sample}
    if tokens != {1} and all(token.count(",") <= 1 for row in sample for token in row.split()):
        return Dialect(separator=None, decimal=",")
    if header.count(",") == max(commas) and len(commas) == 1:
        return Dialect(separator=",")
    if commas == {1} and not header:
        return Dialect(separator=",")
    msg = f"the comma may separate columns or decimals: {sample[0].strip()[:60]!r}"
    raise ReadError(
        msg,
        expected="a header whose columns are separated as the numbers are",
        hint="Export with semicolons or tabs, or with the decimal point.",
    )


def split_cells(line: str, dialect: Dialect) -> list[str]:
    """Cells of one line, stripped of blanks and quotes; a quoted cell may hold the separator."""
    if dialect.separator is None:
        return line.split()
    if '"' in line:
        import csv

        cells = next(csv.reader([line], delimiter=dialect.separator, skipinitialspace=True), [])
        return [cell.strip() for cell in cells]
    return [cell.strip() for cell in line.split(dialect.separator)]


def parse_rows(rows: Sequence[str], dialect: Dialect, *, first_line: int, n_columns: int = 0) -> FloatArray:
    """Turn rows of text into an (n, k) array, NaN where a cell is blank.

    Parameters
    ----------
    rows : sequence of str
    dialect : Dialect
    first_line : int
        Line number (from 1) of the first row, for messages.
    n_columns : int
        Columns that every row must have; 0 for as many as the first row has.

    Raises
    ------
    ReadError
        A row with more or fewer cells, a cell that is no number, an infinite value.
    """
    width = n_columns or len(split_cells(rows[0], dialect))
    if width > MAX_COLUMNS or len(rows) * width > MAX_CELLS:
        msg = f"the table has {len(rows)} rows of {width} columns, more than are read"
        raise ReadError(msg, place=f"line {first_line}", expected="one run")
    parts = [
        _parse_chunk(rows[at : at + _CHUNK], dialect, first_line + at, width)
        for at in range(0, len(rows), _CHUNK)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _parse_chunk(rows: Sequence[str], dialect: Dialect, first_line: int, width: int) -> FloatArray:
    joined = "\n".join(rows)
    values = _parse_plain(rows, joined, dialect, width)
    if values is not None:
        return values
    if '"' in joined:
        grid = [split_cells(row, dialect) for row in rows]
    elif dialect.separator is None:
        grid = [row.split() for row in rows]
    else:
        grid = [row.split(dialect.separator) for row in rows]
    for offset, cells in enumerate(grid):
        if len(cells) != width:
            grid[offset] = _mend_width(cells, width, offset, first_line, rows)
    flat = [cell for cells in grid for cell in cells]
    if dialect.decimal == ",":
        flat = [cell.replace(",", ".") if "." not in cell else cell + "!" for cell in flat]
    try:
        if "_" in joined:
            raise ValueError
        values = np.fromiter(map(float, flat), dtype=np.float64, count=len(flat))
    except ValueError:
        values = _parse_with_blanks(flat, width, first_line, rows)
    if np.isinf(values).any():
        where = int(np.argmax(np.isinf(values))) // width
        _refuse(rows[where], first_line + where, "it holds an infinite value")
    return values.reshape(-1, width)


def _parse_plain(rows: Sequence[str], joined: str, dialect: Dialect, width: int) -> FloatArray | None:
    """Rows of nothing but finite numbers, taken apart at once; None where there is anything else to judge."""
    comma = dialect.decimal == ","
    if '"' in joined or (comma and "." in joined) or not rows[0].strip():
        return None
    if comma:
        rows = joined.replace(",", ".").split("\n")
    try:
        values = np.loadtxt(rows, delimiter=dialect.separator, comments=None, ndmin=2)
    except ValueError:
        return None
    return values if values.shape == (len(rows), width) and np.isfinite(values).all() else None


def _mend_width(cells: list[str], width: int, offset: int, first_line: int, rows: Sequence[str]) -> list[str]:
    """Accept a row that differs by empty cells at its end only."""
    extra = cells[width:]
    if extra and not any(cell.strip() for cell in extra):
        return cells[:width]
    if len(cells) == width - 1 and rows[offset].rstrip("\n")[-1:] in "\t;,":
        return [*cells, ""]
    msg = f"the row has {len(cells)} columns where {width} are expected: {rows[offset].strip()[:60]!r}"
    hint = "The row is damaged or the file was cut here; copy it again from the instrument."
    raise ReadError(msg, place=f"line {first_line + offset}", hint=hint)


def _parse_with_blanks(flat: list[str], width: int, first_line: int, rows: Sequence[str]) -> FloatArray:
    values = np.empty(len(flat))
    if "_" not in "".join(rows):
        filled = [cell if cell and not cell.isspace() else "nan" for cell in flat]
        with contextlib.suppress(ValueError):
            return np.fromiter(map(float, filled), dtype=np.float64, count=len(flat))
    for i, cell in enumerate(flat):
        try:
            if "_" in cell:
                raise ValueError
            values[i] = float(cell)
        except ValueError:
            if cell.strip().lower() not in BLANKS:
                number = i // width
                _refuse(rows[number], first_line + number, _complaint(cell))
            values[i] = np.nan
    return values


def _complaint(cell: str) -> str:
    text = cell.strip().rstrip("!")[:40]
    if text.count(".") > 1:
        return (
            f"the number {text!r} has {text.count('.')} points: a spreadsheet has taken the decimal point for "
            "a thousands separator, and where the point was cannot be known"
        )
    if "." in text and cell.endswith("!"):
        return f"the number {text!r} has a point, and others of the table have a decimal comma"
    if "," in text and "." in text:
        return f"the number {text!r} has both a comma and a point"
    return f"{text!r} is not a number"


def _refuse(row: str, line: int, complaint: str) -> NoReturn:
    hint = "Export the measurement again from the instrument's software, without opening it in a spreadsheet."
    if "point" not in complaint and "comma" not in complaint:
        hint = (
            f"The row reads {row.strip()[:60]!r}; copy the file again, or correct the row if "
            "its value is known."
        )
    raise ReadError(complaint, place=f"line {line}", expected="numbers", hint=hint)


# ------------ Blocks of numbers under a header: found, split and joined, for every text format that has
# them.

_HEADER_ROWS = 3
_HEADER_LENGTH = 4000
_NUMBER_CELL = re.compile(r"[-+]?(\d[\d.,]*|[.,]\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Rows under one header.

    Parameters
    ----------
    names, units : tuple of str
        One per column; empty where the block has no header.
    values : (n, k) array
    lines : (n,) integer array
        Line number (from 1) of each row.
    header_line : int
        Line number of the first header row; that of the first row of numbers without header.
    skipped : tuple of int
        Lines where other tables of at least three rows begin that are no part of the run.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: FloatArray
    lines: IntArray
    header_line: int
    skipped: tuple[int, ...] = ()


def read_blocks(lines: Sequence[str], *, dialect: Dialect | None = None, start: int = 0) -> list[Block]:
    """All blocks of a text that carry the header of its longest block, or the longest alone.

    Blank lines inside a block are passed over; anything else between rows must be a repeated header.

    Raises
    ------
    ReadError
        No block of numbers, a row that is damaged, several tables with different headers.
    """
    spans = find_blocks(lines, start=start)
    if not spans:
        msg = "no table of numbers was found"
        clock = any(re.search(r"\d:\d\d:\d\d", line[:200]) for line in lines[:50])
        hint = "Times such as 00:01:30 are not read; export the time in s or min." if clock else ""
        raise ReadError(msg, expected="rows of at least two numbers below a header", hint=hint)
    main = max(spans, key=lambda span: span[1] - span[0])
    above = lines[main[0] - 1] if main[0] else ""
    used = dialect or guess_dialect(lines[main[0] : main[1]], above)
    width = len(split_cells(lines[main[0]], used))
    found = spans
    spans = [
        span
        for span in spans
        if span == main
        or (len(split_cells(lines[span[0]], used)) == width and (span > main or span[1] - span[0] > 1))
    ]
    headers = [_header_above(lines, span[0], used, width, start) for span in spans]
    at = spans.index(main)
    none: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    wanted = next((header[:2] for header in headers[at::-1] if header[0]), none)
    groups: list[tuple[int, int, int]] = []
    previous = -1
    for span, header in zip(spans, headers, strict=True):
        if header[0] and header[:2] == wanted:
            groups.append((*span, header[2]))
        elif not header[0] and groups:
            _check_gap(lines, previous, span[0], used, width)
            groups[-1] = (groups[-1][0], span[1], groups[-1][2])
        elif groups:
            msg = f"a second table with other columns begins here: {', '.join(header[0])[:80]}"
            hint = "Export the run alone."
            raise ReadError(msg, place=f"line {header[2] + 1}", expected=", ".join(wanted[0])[:80], hint=hint)
        elif not wanted[0]:
            groups.append((*span, header[2]))
        previous = span[1]
    for _, stop, _ in groups:
        _check_tail(lines, stop, used, width)
    blocks = [_block(lines, group, used, width, wanted) for group in groups]
    other = [a + 1 for a, b in found if b - a > 2 and not any(g[0] <= a < g[1] for g in groups)]
    return [replace(blocks[0], skipped=tuple(other)), *blocks[1:]]


def _block(
    lines: Sequence[str],
    group: tuple[int, int, int],
    dialect: Dialect,
    width: int,
    header: tuple[tuple[str, ...], tuple[str, ...]],
) -> Block:
    first, stop, at = group
    rows, numbers = list(lines[first:stop]), np.arange(first + 1, stop + 1)
    filled = np.ones(len(rows), dtype=np.bool_)
    if not all(map(str.strip, rows)):
        filled = np.fromiter(map(bool, map(str.strip, rows)), dtype=np.bool_, count=len(rows))
    if filled.all():
        values = parse_rows(rows, dialect, first_line=first + 1, n_columns=width)
    else:
        rows = [row if row.strip() else (dialect.separator or " ").join(["nan"] * width) for row in rows]
        values = parse_rows(rows, dialect, first_line=first + 1, n_columns=width)[filled]
    return Block(names=header[0], units=header[1], values=values, lines=numbers[filled], header_line=at + 1)


def _check_gap(lines: Sequence[str], first: int, stop: int, dialect: Dialect, width: int) -> None:
    """Between two runs of numbers of one table only blank lines may stand."""
    for number in range(first, stop):
        if lines[number].strip():
            _refuse_row(lines[number], number, dialect, width)


def _refuse_row(line: str, number: int, dialect: Dialect, width: int) -> NoReturn:
    """Raise what is wrong with a row that is not one of numbers."""
    parse_rows([line], dialect, first_line=number + 1, n_columns=width)
    msg = f"{line.strip()[:40]!r} stands between rows of numbers"
    raise ReadError(msg, place=f"line {number + 1}", expected="numbers", hint="Copy the file again.")


def _check_tail(lines: Sequence[str], stop: int, dialect: Dialect, width: int) -> None:
    """Refuse a damaged or cut row directly after the table; other text below it is a footer."""
    if stop >= len(lines) or not lines[stop].strip():
        return
    cells = split_cells(lines[stop], dialect)
    numbers = sum(number_of(cell) is not None and not re.search(r"[A-Za-z]{2}", cell) for cell in cells)
    if numbers and 2 * numbers >= width - 1:
        _refuse_row(lines[stop], stop, dialect, width)


def _header_above(
    lines: Sequence[str], first: int, dialect: Dialect, width: int, start: int
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Names, units and line index of the header directly above a block."""
    rows: list[tuple[int, list[str]]] = []
    at = first - 1
    while at >= start and len(rows) < _HEADER_ROWS and first - at <= _HEADER_ROWS + 2:
        if lines[at].strip():
            cells = _header_cells(lines[at], dialect, width)
            if cells is None:
                break
            if 2 * sum(_NUMBER_CELL.fullmatch(cell) is not None for cell in cells) >= width:
                _refuse_row(lines[at], at, dialect, width)
            rows.append((at, cells))
        elif rows:
            break
        at -= 1
    if not rows:
        return (), (), first
    units: list[str] = []
    if len(rows) > 1 and _is_unit_row(rows[0][1]):
        units = rows.pop(0)[1]
    index, cells = rows[0]
    pairs = [split_header(cell) for cell in cells]
    if units:
        pairs = [(pair[0], unit) for pair, unit in zip(pairs, units, strict=True)]
    return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs), index


def _header_cells(line: str, dialect: Dialect, width: int) -> list[str] | None:
    if len(line) > _HEADER_LENGTH:
        return None
    text = line.strip("\n").lstrip("#%!/ ") if line.lstrip()[:1] in "#%!/" else line.strip("\n")
    if dialect.separator is not None:
        cells = split_cells(text, dialect)
        while len(cells) > width and not cells[-1]:
            cells.pop()
        cells += [""] * (width - len(cells)) if width - len(cells) == 1 and len(cells) > 1 else []
        return cells if len(cells) == width else None
    for pattern in (r"\s+", r"\s{2,}|\t"):
        cells = [cell for cell in re.split(pattern, text.strip()) if cell]
        if len(cells) == width:
            return cells
    cells = re.findall(r"[^\s(\[][^(\[\s]*(?:\s+[^\s(\[]+)*?\s*[(\[][^)\]]*[)\]]", text)
    if len(cells) == width:
        return [cell.strip() for cell in cells]
    cells = [cell for cell in re.split(r"[;,\t]", text) if cell.strip()]
    return [cell.strip() for cell in cells] if len(cells) == width else None


def _is_unit_row(cells: Sequence[str]) -> bool:
    known = 0
    for cell in cells:
        dimension, unit = unit_of(cell)
        bracketed = cell.strip()[:1] in "[(" and cell.strip()[-1:] in "])"
        if dimension == "other" and not bracketed:
            return False
        if cell.strip().lower() in ("t", "m"):
            return False
        known += dimension not in ("none", "other") or (bracketed and unit != "")
    return known > 0


def columns_of(names: Sequence[str], units: Sequence[str], values: FloatArray) -> tuple[Column, ...]:
    """Columns of a table, recognised by name and unit; a column without header has an empty name."""
    k = values.shape[1]
    names = list(names) or [""] * k
    units = list(units) or [""] * k
    return tuple(column_of(names[i], units[i], values[:, i], i + 1) for i in range(k))


def join_blocks(blocks: Sequence[Block]) -> tuple[FloatArray, IntArray, IntArray]:
    """Values, line numbers and segment numbers of blocks that follow one another."""
    values = np.concatenate([block.values for block in blocks])
    lines = np.concatenate([block.lines for block in blocks])
    segment = np.repeat(np.arange(len(blocks)), [len(block.values) for block in blocks])
    return values, lines.astype(np.int64), segment.astype(np.int64)


_PAIR = re.compile(r"^[\s#%!/\"]*(?P<key>[^:=\t;]{2,60}?)\s*[:=\t;]+\s*(?P<value>.*?)[\s;\"]*$")


def header_facts(lines: Sequence[str]) -> dict[str, str]:
    """``key: value`` lines (also with tab, ``=`` or ``;``) above a table, keys in lower case."""
    facts: dict[str, str] = {}
    for line in lines:
        match = _PAIR.match(line) if len(line) < _HEADER_LENGTH else None
        if match and match["value"]:
            facts.setdefault(match["key"].strip().lower(), match["value"].strip())
    return facts


def mass_in_mg(key: str, value: str) -> float | None:
    """Mass in mg of a header line whose key or value states its unit; None otherwise."""
    number = number_of(value)
    match = re.search(r"(mg|µg|ug|μg|\bg)\b", value) or re.search(r"(mg|µg|ug|μg|\bg)\b", key)
    if number is None or match is None:
        return None
    return number * {"mg": 1.0, "g": 1e3}.get(match[1], 1e-3)


def other_note(block: Block) -> list[Diagnostic]:
    """Say so where the file holds other tables that were not read."""
    if not block.skipped:
        return []
    listed = ", ".join(map(str, block.skipped[:5]))
    text = f"{len(block.skipped)} other tables of numbers were not read; they begin at line {listed}."
    return [note("TGA_OTHER_TABLE", text, severity="warning", line=block.skipped[0])]


def cut_note(text: str, block: Block) -> list[Diagnostic]:
    """Say so where the file ends with its last row of numbers, without an end of line."""
    if text.endswith("\n") or (
        text[text.rfind("\n") + 1 :].strip() and int(block.lines[-1]) <= text.count("\n")
    ):
        return []
    message = "the file ends in its last row of numbers without an end of line; it may have been cut."
    return [note("TGA_NO_FINAL_NEWLINE", message)]
