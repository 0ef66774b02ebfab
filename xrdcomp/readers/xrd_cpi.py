"""Sietronics CPI: nine header lines, ``SCANDATA``, one count per line. Written from its description.

Lines: ``SIETRONICS XRD SCAN``, start, end, step, anode, wavelength, date, speed, comment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import MAX_POINTS, RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.xml_tools import number, number_list
from xrdcomp.types import EmissionLine

__all__ = ["READER"]


def _read(source: SourceFile) -> Sequence[RawScan]:
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


READER = XrdReader(
    id="sietronics_cpi",
    name="Sietronics CPI",
    extensions=("cpi",),
    sniff=lambda source: float(source.head_text.startswith("SIETRONICS XRD SCAN")),
    read=_read,
    verified=False,
)
