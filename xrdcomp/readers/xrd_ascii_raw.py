"""ASCII RAW with a leading line ``.RAW``: one value per line, wavelengths, start, step and number of points."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xrdcomp.readers.binary import emission_lines
from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile, decode_text
from xrdcomp.readers.xml_tools import number, number_list

__all__ = ["READER"]

_COUNT = re.compile(r"\s*(\d+)\s+\d+\s*")


def _sniff(source: SourceFile) -> float:
    return 1.0 if re.match(rb"\.RAW\s*[\r\n]", source.data) else 0.0


def _read(source: SourceFile) -> Sequence[RawScan]:
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


READER = XrdReader(
    id="ascii_raw", name="ASCII RAW (first line .RAW)", extensions=("raw",), sniff=_sniff, read=_read
)
