"""Text with a header of its own and one scan: counts on the header's range, or two declared columns.

Each format is a header: where it states start, step, number of points and radiation, and where the counts begin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from xrdcomp.data import Diagnostic
from xrdcomp.errors import ReadError
from xrdcomp.io.archive import number, number_list
from xrdcomp.io.jcamp import jcamp_blocks, jcamp_numbers
from xrdcomp.io.registry import begins, has_all, xrd_reader
from xrdcomp.io.scans import (
    AXIS_NAME,
    CUT,
    MAX_POINTS,
    MAYBE_CUT,
    RawScan,
    check_count,
    declared_part,
    emission_lines,
    points_between,
    refuse_other_axis,
    stated_wavelength,
    two_theta_grid,
)
from xrdcomp.io.source import SourceFile, decode_text
from xrdcomp.io.text_table import numeric_row
from xrdcomp.units import FloatArray

_NUMBERS = re.compile(r"[-\d.\sEe+,]+")
_ANGLE = re.compile(r"2[\s-]*th|two[\s-]*theta|2θ", re.IGNORECASE)
_OTHER = re.compile(r"azimuth|\bq\b|radius|radial|pixel|\bd\b|momentum|distance|scattering vector", re.IGNORECASE)


def _sniff_chi(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    if len(lines) < 6 or not re.fullmatch(r"\s*\d+(?:\s+\d+)*\s*", lines[3]):
        return 0.0
    titles = "2-theta" in lines[1].lower() or all(not re.fullmatch(r"[-+\d.\sEe,;]*", line) for line in lines[1:3])
    rows = all(re.fullmatch(r"\s*[-+.\d][-+.\dEe]*[\s,]+[-+.\d][-+.\dEe]*\s*", line) for line in lines[4:6])
    return 0.8 if titles and rows else 0.0


@xrd_reader("chi", "Fit2D CHI", "chi", _sniff_chi)
def chi(source: SourceFile) -> RawScan:
    """Title, names of both axes, number of points, then two columns."""
    lines = source.lines
    n = int(lines[3].split()[0][:9])
    last = 4 + n
    rows = [line for line in lines[4:] if line.strip()]
    if len(rows) < n or any(not line.strip() for line in lines[4:last]):
        raise ReadError(f"the header declares {n} points, {len(rows)} rows follow", "line 4", f"{n} rows", CUT)
    values = number_list("\n".join(rows), "lines from 5", separator=",")
    if len(values) != 2 * len(rows):
        raise ReadError(f"{len(rows)} rows hold {len(values)} numbers", "lines from 5", "two columns")
    n, notes = declared_part(values[1::2], n, "line 4", angles=values[0::2])
    values = values[: 2 * n]
    label = lines[1].strip()
    angle, other = _ANGLE.search(label), _OTHER.search(label)
    if not angle and not other:
        refuse_other_axis(values[0::2], "2θ in degrees", "Name the axis in line 2, or export it over 2θ.")
    text = f"the axis is called {label!r}, which does not say 2θ; read as 2θ in degrees"
    return RawScan(
        two_theta=values[0::2], intensity=values[1::2], axis=label,
        not_powder=f"the axis is {label!r}, not 2θ" if other and not angle else "",
        place=f"lines 5 to {last}", metadata={"title": lines[0].strip()[:80]},
        messages=notes if angle or other else (*notes, AXIS_NAME(text, name=label)),
    )  # fmt: skip


@xrd_reader("sietronics_cpi", "Sietronics CPI", "cpi", has_all((1.0, (r"\ASIETRONICS XRD SCAN",))), verified=False)
def cpi(source: SourceFile) -> RawScan:
    """Title, start, end, step, anode, wavelength, date, speed, comment, ``SCANDATA``, then one count per line."""
    lines = source.lines
    mark = next((i for i, line in enumerate(lines[:40]) if line.strip() == "SCANDATA"), -1)
    if mark < 9:
        raise ReadError("there is no line SCANDATA", "header", "SCANDATA in line 10")
    start, end, step = (number(lines[i].strip()) for i in (1, 2, 3))
    wavelength = stated_wavelength(lines[5])
    if start is None or end is None or step is None:
        raise ReadError(f"the range is {', '.join(map(str.strip, lines[1:4]))!r}", "line 2", "start, end and step in °")
    place = f"lines from {mark + 2}"
    n = points_between(start, end, step, "line 2", fraction=0.5)
    y = number_list("\n".join(lines[mark + 1 :]), place)
    n, notes = declared_part(y, n, place)
    y = y[:n]
    anode = lines[4].strip()
    return RawScan(
        two_theta=two_theta_grid(start, step, n), intensity=y,
        unit="counts" if bool((y == np.round(y)).all()) else "arbitrary",
        emission_lines=emission_lines(wavelength), anode=anode.capitalize() if len(anode) <= 2 else "",
        place=place, metadata={"sample_name": lines[8].strip(), "date": lines[6].strip()}, messages=notes,
    )  # fmt: skip


_COUNT = re.compile(r"\s*(\d+)\s+\d+\s*")


@xrd_reader("ascii_raw", "ASCII RAW (first line .RAW)", "raw", begins(rb"\.RAW\s*[\r\n]"))
def ascii_raw(source: SourceFile) -> RawScan:
    """Wavelengths, start, step and number of points, then one value per line."""
    text, encoding = decode_text(source.data.replace(b"\x00", b" "))
    if not encoding:
        raise ReadError("the content is binary", expected="text, one value per line")
    lines = text.split("\n")
    at = next((i for i, line in enumerate(lines[:60]) if _COUNT.fullmatch(line) and i >= 6), -1)
    if at < 0:
        raise ReadError("no line states the number of points", expected="points and ranges, such as `1701 1`")
    stated = [number(line.strip()) for line in lines[:at]]
    n, ranges = (int(figures[:9]) for figures in lines[at].split())
    alpha1, alpha2, start, step = stated[at - 5], stated[at - 4], stated[at - 2], stated[at - 1]
    if start is None or step is None or not 0 < step < 5 or ranges != 1:
        msg = f"{lines[at - 2].strip()!r} and {lines[at - 1].strip()!r} are no start and step of one range"
        raise ReadError(msg, f"line {at - 1}", "start and step in degrees")
    blank = max((i for i, line in enumerate(lines[at:], at) if not line.strip() and i < at + 40), default=at)
    place = f"lines from {blank + 2}"
    y = number_list("\n".join(lines[blank + 1 :]), place)
    end = start + step * (n - 1)
    notes: tuple[Diagnostic, ...] = ()
    if len(y) > n:
        n, notes = declared_part(y, n, place)
        y = y[:n]
    if len(y) != n or not any(value is not None and abs(value - end) < step for value in stated):
        msg = f"{n} points from {start:g} in steps of {step:g} end at {end:g}°; the file holds {len(y)} values"
        raise ReadError(msg, f"line {at + 1}", f"{n} values and their end in the header")
    tops = [value for value in map(number, map(str.strip, lines[at + 2 : blank])) if value is not None]
    if tops and y.max() not in tops:
        msg = f"the highest count is {y.max():g}, the header states {tops[0]:g}"
        raise ReadError(msg, place, "both alike", "It is damaged.")
    return RawScan(
        two_theta=two_theta_grid(start, step, n), intensity=y, unit="counts",
        emission_lines=emission_lines(alpha1, alpha2), place="range 0", messages=notes,
        metadata={"sample_name": lines[3].strip(), "date": f"{lines[1].strip()} {lines[2].strip()}"},
    )  # fmt: skip


_MDI = re.compile(
    r"\s*(?P<start>-?[\d.]+)\s+(?P<step>[\d.]+)\s+(?P<speed>[\d.]+)\s+(?P<anode>[A-Za-z]{1,2})\s+(?P<wavelength>[\d.]+)"
    r"\s+(?P<end>-?[\d.]+)\s+(?P<n>\d+)\.?\s*"
)


def _sniff_mdi(source: SourceFile) -> float:
    lines = source.head_text.split("\n", 3)
    return 0.9 if len(lines) > 2 and _MDI.fullmatch(lines[1][:300]) and _NUMBERS.fullmatch(lines[2]) else 0.0


@xrd_reader("jade_mdi", "Jade MDI", "mdi txt", _sniff_mdi, verified=False)
def mdi(source: SourceFile) -> RawScan:
    """Title, ``start step speed anode wavelength end points``, then counts."""
    lines = source.lines
    found = _MDI.fullmatch(lines[1][:300]) if len(lines) > 1 else None
    values = {key: number(found[key]) for key in ("start", "step", "end", "wavelength")} if found else {}
    start, step, end = values.get("start"), values.get("step"), values.get("end")
    if found is None or start is None or end is None or not step:
        msg = "the second line is no header"
        raise ReadError(msg, "line 2", "start, step, speed, anode, wavelength, end and number of points")
    n = points_between(start, end, step, "line 2", fraction=0.5)
    check_count(n, number(found["n"]), "line 2")
    y = number_list("\n".join(lines[2:]), "lines from 3")
    n, notes = declared_part(y, n, "line 2")
    return RawScan(
        two_theta=two_theta_grid(start, step, n), intensity=y[:n], emission_lines=emission_lines(values["wavelength"]),
        anode=found["anode"].capitalize(), place="lines from 3", messages=notes,
        metadata={"title": lines[0].strip()[:80]},
    )  # fmt: skip


_DBWS_HEADER = re.compile(r"\s*(\d{2,7})\s+(\d*\.\d+)\s+(\d+\.?\d*)\s+(\d\.\d+)(?:\s+[\d.]+)*\s*\Z")


def _sniff_dbws(source: SourceFile) -> float:
    lines = source.head_text.split("\n", 4)
    found = len(lines) > 3 and _DBWS_HEADER.match(lines[1][:300])
    return 0.85 if found and float(found[2]) < 5.0 and all(map(_NUMBERS.fullmatch, lines[2:4])) else 0.0


@xrd_reader("dbws_dat", "DBWS and Maud data", "dat dbw rit", _sniff_dbws)
def dbws(source: SourceFile) -> RawScan:
    """Title, ``points step start wavelength``, then one count per line."""
    lines = source.lines
    found = _DBWS_HEADER.match(lines[1][:300]) if len(lines) > 1 else None
    if not found or not 1 < int(found[1]) <= MAX_POINTS:
        msg = "the second line is no header"
        raise ReadError(msg, "line 2", f"points (up to {MAX_POINTS}), step, start and wavelength")
    n, step, start, wavelength = int(found[1]), *map(float, found.groups()[1:])
    y = number_list("\n".join(lines[2:]), "lines from 3")
    n, notes = declared_part(y, n, "line 2")
    return RawScan(
        two_theta=two_theta_grid(start, step, n), intensity=y[:n], emission_lines=emission_lines(wavelength),
        place="lines from 3", messages=notes, metadata={"title": lines[0].strip()[:80]},
    )  # fmt: skip


_RANGE = re.compile(r"\s*(-?\d+\.?\d*)[\s,]+(\d*\.\d+|\d+)[\s,]+(\d+\.?\d*)(?=[\s,]|\Z)(.*)\Z")
_WAVELENGTH = re.compile(r"lambda\s*=\s*([\d.]+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class _RangeLine:
    """FullProf's header line, by its index in the file."""

    at: int
    start: float
    step: float
    end: float
    n: int
    title: str


def _range_line(lines: Sequence[str]) -> _RangeLine | None:
    """Header line among the first six lines that are no comment, if it is one of a whole number of points."""
    stated = [i for i, line in enumerate(lines[:40]) if line.strip() and line.lstrip()[0] not in "!#"]
    for i in stated[:6]:
        found = _RANGE.match(lines[i][:300]) if i + 1 < len(lines) else None
        start, step, end = map(float, found.groups()[:3]) if found else (0.0, 0.0, 0.0)
        if end < min(step, 5.0) and len(lines[i].split()) < 5:  # some programs write start, end, step
            step, end = end, step
        if "," in lines[i] and any(map(numeric_row, lines[:i])):
            continue  # a row of a table whose decimal sign or separator is the comma
        if not found or not (0 < step < 5 and start < end <= 180):
            continue
        n = (end - start) / step + 1
        # two or three columns are a table of text, whose first row looks alike
        columns = len(lines[i + 1].replace(",", " ").split())
        if abs(n - round(n)) < 0.05 and 10 <= n <= MAX_POINTS and columns not in {2, 3}:
            return _RangeLine(at=i, start=start, step=step, end=end, n=round(n), title=found[4].strip())
    return None


def _sniff_fullprof(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    header = _range_line(lines)
    rows = [line for line in lines[header.at + 1 : header.at + 5] if line.strip()] if header else []
    return 0.8 if rows and all(map(_NUMBERS.fullmatch, rows[:3])) else 0.0


@xrd_reader("fullprof_dat", "FullProf data with a start-step-end header (INSTRM 0, 8)", "dat", _sniff_fullprof)
def fullprof(source: SourceFile) -> RawScan:
    """Start, step and end in a header line, then counts.

    INSTRM 0: optional comment lines, ``start step end title``, counts in free format; RIET7 has up to five title lines
    above them. INSTRM 1: ten pairs of counters and their mean in a line, 10(I2, F6). INSTRM 4: lines of ten counts,
    each above a line of their standard deviations. INSTRM 8 (and 3), the PSI layout: two title lines,
    ``start step end monitor``, as many counts as the range has points, their standard deviations. Data of INSTRM 10
    (angle, intensity, deviation) are read as columns of text.
    """
    lines = source.lines
    header = _range_line(lines)
    if header is None:
        raise ReadError("there is no line of start, step and end", expected="such a line before the counts")
    first, n = header.at + 1, header.n
    last = next((i for i in range(first, len(lines)) if lines[i] and not _NUMBERS.fullmatch(lines[i])), len(lines))
    if any(map(numeric_row, lines[last:])):
        msg = f"{lines[last].strip()[:50]!r} stands between the counts"
        raise ReadError(msg, f"line {last + 1}", "numbers to the end of the data")
    values, counters = _counts(lines[first:last], f"lines {first + 1} to {last}", n)
    psi = header.at >= 2 or counters
    wanted = 2 * n if psi and len(values) >= 2 * n else n
    surplus = values[wanted:]
    if len(values) < wanted or (len(surplus) and (surplus.any() or len(surplus) >= 20)):
        msg = (
            f"{header.start:g} to {header.end:g}° in steps of {header.step:g}° are {n} points, the file holds "
            f"{len(values)} values"
        )
        hint = "The file is cut or edited, or the header is not that of this measurement."
        raise ReadError(msg, f"line {first}", f"{wanted} values", hint)
    found = _WAVELENGTH.search("\n".join((*lines[:first], *lines[last:])))
    return RawScan(
        two_theta=two_theta_grid(header.start, header.step, n), intensity=values[:n],
        sigma=values[n : 2 * n] if wanted == 2 * n else None,
        emission_lines=emission_lines(float(found[1]) if found else None),
        place=f"lines {first + 1} to {len(lines)}",
        metadata={"title": (lines[0].strip() if psi else header.title)[:80]},
    )  # fmt: skip


def _counts(lines: Sequence[str], place: str, n: int) -> tuple[FloatArray, bool]:
    """Counts, and whether their standard deviations follow them: of INSTRM 1 and 4 where the lines are theirs."""
    rows = [line for line in lines if line.strip()]
    values = number_list("\n".join(rows), place, separator=",")
    widths = [len(row.split()) for row in rows]
    if len(values) != 2 * n or len(rows) < 4:
        return values, False
    cells = [[row[at : at + 8] for at in range(0, len(row.rstrip()), 8)] for row in rows]
    if all(re.fullmatch(r" ?\d[ \d.]{5}\d?\.?", cell) and cell[:2].strip() for row in cells for cell in row):
        pairs = np.array([[float(cell[:2]), float(cell[2:])] for row in cells for cell in row])
        if len(pairs) == n and (pairs[:, 0] >= 1).all():
            return np.concatenate([pairs[:, 1], np.sqrt(np.maximum(pairs[:, 1], 1.0) / pairs[:, 0])]), True
    if widths[0::2] == widths[1::2]:
        edges = np.cumsum([0, *widths])
        lists = [values[a:b] for a, b in pairwise(edges)]
        counts, deviations = np.concatenate(lists[0::2]), np.concatenate(lists[1::2])
        ratio = deviations / np.sqrt(np.maximum(counts, 1.0))
        if (deviations > 0).all() and float(np.quantile(ratio, 0.9)) < 3.0 * float(np.quantile(ratio, 0.1)):
            return np.concatenate([counts, deviations]), True
    return values, False


def _sniff_jcamp(source: SourceFile) -> float:
    if not re.search(r"^##JCAMP-?DX=", source.head_text, re.MULTILINE | re.IGNORECASE):
        return 0.0
    named = re.search(r"##DATA ?TYPE=.*(?:DIFFRACT|X-?RAY|\bXRD\b)", source.head_text, re.IGNORECASE)
    return 0.95 if named or re.search(r"##X(?:UNITS|LABEL)=.*2[\s-]*TH", source.head_text, re.IGNORECASE) else 0.0


@xrd_reader("jcamp_xrd", "JCAMP-DX of a diffraction pattern", "jdx dx jcamp", _sniff_jcamp, verified=False)
def jcamp_xrd(source: SourceFile) -> Sequence[RawScan]:
    """Each block with data is a scan: rows of ordinates, plain or compressed, or pairs."""
    lines, blocks = jcamp_blocks(source.text)
    scans = []
    for facts, first, stop in blocks:
        place = f"lines {first + 1} to {stop}"
        if "peaktable" in facts:
            raise ReadError("the block is a table of peaks, not a scan", place, "XYDATA or XYPOINTS over 2θ")
        values, _ = jcamp_numbers(lines, facts, first, stop)
        if values.shape[1] != 2:
            raise ReadError(f"each point has {values.shape[1]} values", place, "2θ and intensity")
        n, notes = declared_part(values[:, 1], number(facts.get("npoints", "")), place, angles=values[:, 0])
        axis, unit = (f"{facts.get(each + 'label', '')} {facts.get(each + 'units', '')}".strip() for each in "xy")
        angle, other = _ANGLE.search(axis), _OTHER.search(axis)
        if not angle and not other:
            refuse_other_axis(values[:, 0], "2θ in degrees", "Name the axis in ##XUNITS=, or export it over 2θ.")
            notes = (*notes, AXIS_NAME(f"{place}: the axis is called {axis!r}; read as 2θ in degrees", name=axis))
        if stop == len(lines):
            notes = (*notes, MAYBE_CUT("the block is not ended by ##END=; the file may have been cut"))
        rate = re.search(r"cps|counts? ?(?:/|per) ?s", unit, re.IGNORECASE)
        scan = RawScan(
            two_theta=values[:n, 0], intensity=values[:n, 1], place=place, messages=notes, axis=axis or "2theta",
            unit="cps" if rate else "counts" if re.search("count", unit, re.IGNORECASE) else "arbitrary",
            not_powder=f"the axis is {axis!r}, not 2θ" if other and not angle else "",
            metadata={"sample_name": facts.get("title", "")[:80]},
        )  # fmt: skip
        scans.append(scan)
    return scans
