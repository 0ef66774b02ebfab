"""ASCII RAW with a leading line ``.RAW``: one value per line, wavelengths, start, step and number of points."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine
from xrdcomp.io.archive import number, number_list
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import MAX_POINTS, RawScan, emission_lines, two_theta_grid
from xrdcomp.io.source import SourceFile, decode_text

# ------------ Fit2D CHI: a title, the names of both axes, the number of points, then two columns.

_ANGLE = re.compile(r"2[\s-]*th|two[\s-]*theta|2θ", re.IGNORECASE)
_OTHER = re.compile(
    r"azimuth|\bq\b|radius|radial|pixel|\bd\b|momentum|distance|scattering vector", re.IGNORECASE
)


def _sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    if len(lines) < 6 or not re.fullmatch(r"\s*\d+(?:\s+\d+)*\s*", lines[3]):
        return 0.0
    titles = all(not re.fullmatch(r"[-+\d.\sEe,;]*", line) for line in lines[1:3])
    rows = all(re.fullmatch(r"\s*[-+.\d][-+.\dEe]*[\s,]+[-+.\d][-+.\dEe]*\s*", line) for line in lines[4:6])
    return 0.8 if titles and rows else 0.0


def _read(source: SourceFile) -> Sequence[RawScan]:
    lines = source.lines
    n = int(lines[3].split()[0][:9])
    last = 4 + n
    if any(line.strip() for line in lines[last:]) or len([line for line in lines[4:] if line.strip()]) != n:
        held = len([line for line in lines[4:] if line.strip()])
        msg = f"the header declares {n} points, {held} rows follow"
        raise source.error(msg, place="line 4", expected=f"{n} rows", hint="The file is cut or edited.")
    label = lines[1].strip()
    values = number_list("\n".join(lines[4:]), source, "lines from 5", separator=",")
    if len(values) != 2 * n:
        msg = f"{n} rows hold {len(values)} numbers"
        raise source.error(msg, place="lines from 5", expected="two columns")
    table = values.reshape(n, 2)
    reason = ""
    notes: tuple[Diagnostic, ...] = ()
    if _OTHER.search(label) and not _ANGLE.search(label):
        reason = f"the axis is {label!r}, not 2θ"
    elif not _ANGLE.search(label):
        text = f"the axis is called {label!r}, which does not say 2θ; read as 2θ in degrees"
        notes = (Diagnostic(code="XRD_AXIS_NAME", severity="warning", text=text, facts={"name": label}),)
    return [
        RawScan(
            two_theta=table[:, 0],
            intensity=table[:, 1],
            axis=label,
            not_powder=reason,
            place=f"lines 5 to {last}",
            metadata={"title": lines[0].strip()[:80]},
            messages=notes,
        )
    ]


CHI = XrdReader(id="chi", name="Fit2D CHI", extensions=("chi",), sniff=_sniff, read=_read)


# ------------ Sietronics CPI: nine header lines, ``SCANDATA``, one count per line. Written from its
# description.
# Lines: ``SIETRONICS XRD SCAN``, start, end, step, anode, wavelength, date, speed, comment.


def _cpi_read(source: SourceFile) -> Sequence[RawScan]:
    lines = source.lines
    mark = next((i for i, line in enumerate(lines[:40]) if line.strip() == "SCANDATA"), -1)
    if mark < 9:
        raise source.error("there is no line SCANDATA", place="header", expected="SCANDATA in line 10")
    start, end, step, wavelength = (number(lines[i].strip()) for i in (1, 2, 3, 5))
    if start is None or end is None or step is None or not (0 < step < 10 and start < end <= 180):
        msg = f"the range is {lines[1].strip()!r} to {lines[2].strip()!r} in steps of {lines[3].strip()!r}"
        raise source.error(msg, place="line 2", expected="angles in degrees")
    y = number_list("\n".join(lines[mark + 1 :]), source, f"lines from {mark + 2}")
    n = round((end - start) / step) + 1
    if len(y) != n or n > MAX_POINTS:
        msg = f"the range has {n} points, the file holds {len(y)}"
        raise source.error(
            msg, place=f"lines from {mark + 2}", expected=f"{n} counts", hint="It is cut or edited."
        )
    anode = lines[4].strip()
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            unit="counts" if bool((y == np.round(y)).all()) else "arbitrary",
            emission_lines=(EmissionLine(wavelength=wavelength),)
            if wavelength and 0.1 < wavelength < 5
            else (),
            anode=anode.capitalize() if len(anode) <= 2 else "",
            place=f"lines from {mark + 2}",
            metadata={"sample_name": lines[8].strip(), "date": lines[6].strip()},
        )
    ]


CPI = XrdReader(
    id="sietronics_cpi",
    name="Sietronics CPI",
    extensions=("cpi",),
    sniff=lambda source: float(source.head_text.startswith("SIETRONICS XRD SCAN")),
    read=_cpi_read,
    verified=False,
)


# ------------ ASCII RAW with a leading line ``.RAW``: one value per line, wavelengths, start, step and
# number of points.

_COUNT = re.compile(r"\s*(\d+)\s+\d+\s*")


def _ascii_raw_sniff(source: SourceFile) -> float:
    return 1.0 if re.match(rb"\.RAW\s*[\r\n]", source.data) else 0.0


def _ascii_raw_read(source: SourceFile) -> Sequence[RawScan]:
    text, encoding = decode_text(source.data.replace(b"\x00", b" "))
    if not encoding:
        raise source.error("the content is binary", expected="text, one value per line")
    lines = text.split("\n")
    at = next((i for i, line in enumerate(lines[:60]) if _COUNT.fullmatch(line) and i >= 6), -1)
    if at < 0:
        raise source.error(
            "there is no line with the number of points", expected="points and ranges, such as `1701 1`"
        )
    n = int(lines[at].split()[0][:9])
    start, step = number(lines[at - 2].strip()), number(lines[at - 1].strip())
    waves = [number(line.strip()) for line in lines[at - 6 : at - 2]]
    if start is None or step is None or not 0 < step < 5 or int(lines[at].split()[1][:9]) != 1:
        msg = f"{lines[at - 2].strip()!r} and {lines[at - 1].strip()!r} are no start and step of one range"
        raise source.error(msg, place=f"line {at - 1}", expected="start and step in degrees")
    blank = max((i for i, line in enumerate(lines[at:], at) if not line.strip() and i < at + 40), default=at)
    y = number_list("\n".join(lines[blank + 1 :]), source, f"lines from {blank + 2}")
    end = start + step * (n - 1)
    stated = [number(line.strip()) for line in lines[:at]]
    if len(y) != n or not any(value is not None and abs(value - end) < step for value in stated):
        msg = (
            f"{n} points from {start:g} in steps of {step:g} end at {end:g}°; the file holds {len(y)} values"
        )
        raise source.error(msg, place=f"line {at + 1}", expected=f"{n} values and their end in the header")
    stated_top = [value for value in map(number, map(str.strip, lines[at + 2 : blank])) if value is not None]
    if stated_top and y.max() not in stated_top:
        msg = f"the highest count is {y.max():g}, the header states {stated_top[0]:g}"
        raise source.error(msg, place=f"lines from {blank + 2}", expected="both alike", hint="It is damaged.")
    alpha1, alpha2 = (waves[i] or 0.0 for i in (1, 2))
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            unit="counts",
            emission_lines=emission_lines(alpha1, alpha2, 0.5),
            place="range 0",
            metadata={"sample_name": lines[3].strip(), "date": f"{lines[1].strip()} {lines[2].strip()}"},
        )
    ]


ASCII_RAW = XrdReader(
    id="ascii_raw",
    name="ASCII RAW (first line .RAW)",
    extensions=("raw",),
    sniff=_ascii_raw_sniff,
    read=_ascii_raw_read,
)
