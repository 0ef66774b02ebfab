"""Blocks of numbers under a header: found, split and joined, for every text format that has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.readers.tga_columns import Column, column_of, split_header, unit_of
from xrdcomp.readers.tga_table import note, number_of
from xrdcomp.readers.tga_text import Dialect, find_blocks, guess_dialect, parse_rows, split_cells
from xrdcomp.types import Diagnostic, FloatArray, IntArray

__all__ = [
    "Block",
    "columns_of",
    "cut_note",
    "header_facts",
    "join_blocks",
    "mass_in_mg",
    "other_note",
    "read_blocks",
]

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
