"""DBWS and Maud data: a title, ``points step start wavelength``, then one count per line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import MAX_POINTS, RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.xml_tools import number_list
from xrdcomp.types import EmissionLine

__all__ = ["READER"]

_HEADER = re.compile(r"\s*(\d{2,7})\s+(\d*\.\d+)\s+(\d+\.?\d*)\s+(\d\.\d+)(?:\s+[\d.]+)*\s*\Z")


def _sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n", 4)
    if len(lines) < 4 or not _HEADER.match(lines[1][:300]):
        return 0.0
    return 0.85 if all(re.fullmatch(r"[-\d.\sEe+]+", line) for line in lines[2:4]) else 0.0


def _read(source: SourceFile) -> Sequence[RawScan]:
    found = _HEADER.match(source.lines[1][:300]) if len(source.lines) > 1 else None
    if not found:
        raise source.error(
            "the second line is no header", place="line 2", expected="points step start wavelength"
        )
    n, step, start, wavelength = int(found[1]), float(found[2]), float(found[3]), float(found[4])
    y = number_list("\n".join(source.lines[2:]), source, "lines from 3")
    if not 1 < n <= MAX_POINTS or len(y) != n:
        msg = f"the header declares {n} points, the file holds {len(y)}"
        raise source.error(msg, place="line 2", expected=f"{n} points", hint="The file is cut or edited.")
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            emission_lines=(EmissionLine(wavelength=wavelength),) if 0.1 < wavelength < 5 else (),
            place="lines from 3",
            metadata={"title": source.lines[0].strip()[:80]},
        )
    ]


READER = XrdReader(
    id="dbws_dat", name="DBWS and Maud data", extensions=("dat", "dbw", "rit"), sniff=_sniff, read=_read
)
