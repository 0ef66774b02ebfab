"""FullProf data with start, step and end in a header line: INSTRM 0, and the PSI layout INSTRM 8.

INSTRM 0: optional comment lines, ``start step end title``, then counts in free format. INSTRM 8 (and 3):
two title lines, ``start step end monitor``, as many counts as the range has points, then their standard
deviations. Data of INSTRM 10 (angle, intensity, deviation) are read as columns of text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import MAX_POINTS, RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.table import numeric_row
from xrdcomp.readers.xml_tools import number_list
from xrdcomp.types import EmissionLine, FloatArray

__all__ = ["READER"]

_HEADER = re.compile(r"\s*(-?\d+\.?\d*)[\s,]+(\d*\.\d+|\d+)[\s,]+(\d+\.?\d*)(?=[\s,]|\Z)(.*)\Z")
_WAVELENGTH = re.compile(r"lambda\s*=\s*([\d.]+)", re.IGNORECASE)


def _header(lines: Sequence[str]) -> tuple[int, float, float, float, int, str] | None:
    """Line, start, step, end, number of points and title of the header; None where there is none."""
    skipped = 0
    for i, line in enumerate(lines[:40]):
        if line.lstrip()[:1] in {"!", "#"} or not line.strip():
            continue
        found = _HEADER.match(line[:300])
        if found and i + 1 < len(lines):
            start, step, end = float(found[1]), float(found[2]), float(found[3])
            if 0 < step < 5 and start < end <= 180:
                n = (end - start) / step + 1
                several = len(lines[i + 1].split()) not in {2, 3}
                if abs(n - round(n)) < 0.05 and 10 <= n <= MAX_POINTS and several:
                    return i, start, step, end, round(n), found[4].strip()
        skipped += 1
        if skipped > 2:
            return None
    return None


def _sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    header = _header(lines)
    if header is None:
        return 0.0
    rows = [line for line in lines[header[0] + 1 : header[0] + 5] if line.strip()]
    return 0.8 if rows and all(re.fullmatch(r"[-\d.\sEe+]+", row) for row in rows[:3]) else 0.0


def _read(source: SourceFile) -> Sequence[RawScan]:
    header = _header(source.lines)
    if header is None:
        raise source.error(
            "there is no line of start, step and end", expected="such a line before the counts"
        )
    line, start, step, end, n, title = header
    place = f"line {line + 1}"
    psi = line >= 2
    values, rest = _numbers(source, line + 1)
    wanted = 2 * n if psi and len(values) >= 2 * n else n
    surplus = values[wanted:]
    if len(values) < wanted or (len(surplus) and (surplus.any() or len(surplus) >= 20)):
        msg = (
            f"{start:g} to {end:g}° in steps of {step:g}° are {n} points, the file holds {len(values)} values"
        )
        hint = "The file is cut or edited, or the header is not that of this measurement."
        raise source.error(msg, place=place, expected=f"{wanted} values", hint=hint)
    sigma = values[n : 2 * n] if wanted == 2 * n else None
    text = "\n".join((*source.lines[: line + 1], rest))
    found = _WAVELENGTH.search(text)
    wavelength = float(found[1]) if found else 0.0
    y = values[:n]
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            sigma=sigma,
            unit="arbitrary",
            emission_lines=(EmissionLine(wavelength=wavelength),) if 0.1 < wavelength < 5 else (),
            place=f"lines {line + 2} to {len(source.lines)}",
            metadata={"title": (source.lines[0].strip() if psi else title)[:80]},
        )
    ]


def _numbers(source: SourceFile, first: int) -> tuple[FloatArray, str]:
    """All numbers from a line on, and the text that follows them."""
    lines = source.lines
    end = first
    while end < len(lines) and re.fullmatch(r"[-\d.\sEe+]*", lines[end]):
        end += 1
    rest = "\n".join(lines[end:])
    if any(numeric_row(line) for line in lines[end:]):
        msg = f"{lines[end].strip()[:50]!r} stands between the counts"
        raise source.error(msg, place=f"line {end + 1}", expected="numbers to the end of the data")
    return number_list("\n".join(lines[first:end]), source, f"lines {first + 1} to {end}"), rest


READER = XrdReader(
    id="fullprof_dat",
    name="FullProf data with a start-step-end header (INSTRM 0, 8)",
    extensions=("dat",),
    sniff=_sniff,
    read=_read,
)
