"""JCAMP-DX, the form of runs and patterns alike: ``##LABEL=value`` lines and blocks of plain numbers (AFFN)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.io.columns import number_of
from xrdcomp.io.text_table import WAS_CUT, line_error, split_lines
from xrdcomp.units import FloatArray, IntArray

_LABEL = re.compile(r"##\$?([^=]{1,60})=\s*(.*)")
_AFFN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
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
            if abs(row[0] * scale[0] - (begin + total * step)) > 0.5 * abs(step):
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
