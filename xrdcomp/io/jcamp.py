"""JCAMP-DX, for runs and patterns alike: ``##LABEL=value`` lines and blocks of numbers.

Ordinates may be plain (AFFN) or compressed (ASDF: packed, squeezed, as differences, duplicates suppressed; McDonald &
Wilks, Appl. Spectrosc. 42 (1988) 151).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.io.columns import number_of
from xrdcomp.io.scans import MAX_POINTS
from xrdcomp.io.text_table import WAS_CUT, line_error, split_lines
from xrdcomp.units import FloatArray, IntArray

_LABEL = re.compile(r"##\$?([^=]{1,60})=\s*(.*)")
_AFFN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_COMPRESSED = re.compile(r"[@%A-DF-Za-df-s]|(?<![\d.])[eE]\d")
_ASDF = re.compile(r"[@%A-Za-s]\d*|[-+]?(?:\d+\.?\d*|\.\d+)")
_SQUEEZED = {letter: f"{k - 9:+d}" for k, letter in enumerate("ihgfedcba")} | {
    letter: f"{k:+d}" for k, letter in enumerate("@ABCDEFGHI")
}
_DIFFERENCE = {letter: f"{k - 9:+d}" for k, letter in enumerate("rqponmlkj")} | {
    letter: f"{k:+d}" for k, letter in enumerate("%JKLMNOPQR")
}
_DUPLICATE = {letter: str(k) for k, letter in enumerate("STUVWXYZs", 1)}
"""First digits of compressed numbers, by letter."""
_TABLES = ("xydata", "xypoints", "peaktable", "datatable")


def jcamp_blocks(text: str) -> tuple[list[str], list[tuple[dict[str, str], int, int]]]:
    """Lines without comments, and each block with its facts and the indices of its first line and the one behind.

    Labels are lower-case and without blanks, hyphens and underscores. A file without a block is refused.
    """
    lines = [line.partition("$$")[0] for line in split_lines(text)]
    blocks: list[tuple[dict[str, str], int, int]] = []
    facts: dict[str, str] = {}
    for i, line in enumerate(lines):
        label = _LABEL.match(line)
        if not label:
            continue
        key = re.sub(r"[\s_-]", "", label[1]).lower()
        facts = {} if key == "title" else facts
        facts.setdefault(key, label[2].strip())
        if key in _TABLES:
            stop = next((j for j in range(i + 1, len(lines)) if lines[j].startswith("##")), len(lines))
            blocks.append((facts, i + 1, stop))
    if not blocks:
        kind = facts.get("datatype", "unknown")
        raise ReadError(f"this is JCAMP-DX of data type {kind!r} without a table of numbers", expected="such a table")
    return lines, blocks


def jcamp_numbers(lines: Sequence[str], facts: Mapping[str, str], first: int, stop: int) -> tuple[FloatArray, IntArray]:
    """Points of a block, one row each, and their lines; X++(Y..Y) is checked against the abscissa of every line."""
    form = next(facts[key] for key in _TABLES if key in facts)
    rows: list[list[float]] = []
    places: list[int] = []
    compressed = "++" in form and any(map(_COMPRESSED.search, lines[first:stop]))
    lines = _expanded(lines, first, stop) if compressed else lines
    for i in range(first, stop):
        found = [float(token) for token in _AFFN.findall(lines[i])]
        if re.search(r"[^-+.\deE\s,;]", lines[i]) or re.search(r"\d[eE](?![-+\d])", lines[i]):
            hint = "Export as AFFN (plain numbers)."
            raise line_error(
                i + 1, f"{lines[i].strip()[:40]!r} is no row of plain numbers", "AFFN, not compressed", hint
            )
        rows += [found] if found else []
        places += [i + 1] if found else []
    if not rows:
        raise line_error(first, "there are no numbers below", hint=WAS_CUT)
    text = "".join(lines[first:stop])
    if "," in text and "." not in text:
        raise line_error(first + 1, "the commas can be decimal signs", "decimal points", "Export with decimal points.")
    scale = [number_of(facts.get(axis + "factor", "")) or 1.0 for axis in "xy"]
    if "++" in form:
        step, start = number_of(facts.get("deltax", "")), number_of(facts.get("firstx", ""))
        last, count = number_of(facts.get("lastx", "")), number_of(facts.get("npoints", ""))
        if step is None and start is not None and last is not None and count is not None and count > 1:
            step = (last - start) / (count - 1)
        if step is None or not step:
            raise ReadError("the block (X++(Y..Y)) states no DELTAX", expected="DELTAX, or FIRSTX, LASTX and NPOINTS")
        begin = rows[0][0] * scale[0] if start is None else start
        total = 0
        for row, place in zip(rows, places, strict=True):
            off = (row[0] * scale[0] - (begin + total * step)) / step
            # below differences a line is named after the point that it repeats
            if abs(off) > 0.5 and not (compressed and abs(off + 1.0) < 0.5):
                msg = f"the line begins at {row[0] * scale[0]:g}, where {begin + total * step:g} follows"
                raise line_error(place, msg, hint="Rows are missing or damaged; export it again.")
            total += len(row) - 1
        y = np.concatenate([row[1:] for row in rows]) * scale[1]
        x = begin + step * np.arange(len(y))
        return np.column_stack((x, y)), np.repeat(np.array(places), [len(row) - 1 for row in rows])
    symbols = re.match(r"\(?\s*([A-Z]+)\s*\.\.", form.upper())
    width = len(symbols[1]) if symbols else 2
    wrong = next((k for k, row in enumerate(rows) if len(row) % width), None)
    if wrong is not None:
        msg = f"the line holds {len(rows[wrong])} numbers, {width} belong to each point"
        raise line_error(places[wrong], msg, hint="The row is damaged, or decimals are commas; export it again.")
    values = np.concatenate([np.reshape(row, (-1, width)) for row in rows])
    return values * np.array([*scale, *(1.0,) * width])[:width], np.repeat(places, [len(row) // width for row in rows])


def _expanded(lines: Sequence[str], first: int, stop: int) -> list[str]:
    """Lines whose compressed ordinates (ASDF) are plain numbers, behind the abscissa of the first of them.

    A line that ends in a difference is followed by one that repeats its last ordinate; any other ordinate is refused.
    """
    found = list(lines)
    last: float | None = None  # what the next line must repeat
    before: list[float] = []
    for i in range(first, stop):
        tokens = _ASDF.findall(lines[i])
        if not lines[i].strip():
            continue
        if len(tokens) < 2 or re.sub(r"[\s,;]", "", lines[i]) != "".join(tokens):
            msg = f"{lines[i].strip()[:40]!r} is neither a row of plain nor of compressed numbers"
            raise line_error(i + 1, msg, "AFFN or ASDF", "Export as AFFN (plain numbers).")
        values: list[float] = []
        difference: float | None = None
        for token in tokens[1:]:
            if token[0] in _DUPLICATE:
                count = int(_DUPLICATE[token[0]] + token[1:])
                if not values or count > MAX_POINTS:
                    raise line_error(i + 1, f"{token!r} repeats {'nothing' if not values else 'too much'}", "ASDF")
                for _ in range(count - 1):
                    values.append(values[-1] + (difference or 0.0))
            elif token[0] in _DIFFERENCE:
                if not values:
                    raise line_error(i + 1, f"{token!r} is a difference from nothing", "ASDF")
                difference = float(_DIFFERENCE[token[0]] + token[1:])
                values.append(values[-1] + difference)
            else:
                difference = None
                values.append(float(_SQUEEZED[token[0]] + token[1:] if token[0] in _SQUEEZED else token))
        if last is not None:
            if values[0] != last:
                msg = f"the line repeats {values[0]:g}, where the line above ends with {last:g}"
                raise line_error(i + 1, msg, hint="Numbers are damaged or missing; export it again.")
            values = values[1:]
        last = (values or before)[-1] if difference is not None else None
        before = values or before
        found[i] = " ".join([tokens[0], *map(repr, values)]) if values else ""
    return found
