"""Columns of numbers in text: which separator, which decimal sign, where the block begins, and no guess.

Every number is read; a row that does not fit is an error with its line, never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from xrdcomp.readers.scan import MAX_POINTS
from xrdcomp.readers.source import SourceFile
from xrdcomp.types import FloatArray

__all__ = ["Table", "find_broken_row", "find_table", "floats", "has_other", "numeric_row", "parse_table"]

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
