"""Fit2D CHI: a title, the names of both axes, the number of points, then two columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import RawScan
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.xml_tools import number_list
from xrdcomp.types import Diagnostic

__all__ = ["READER"]

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
            diagnostics=notes,
        )
    ]


READER = XrdReader(id="chi", name="Fit2D CHI", extensions=("chi",), sniff=_sniff, read=_read)
