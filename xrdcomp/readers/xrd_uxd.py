"""Bruker/Siemens UXD: ``_KEY=value`` lines and ranges of counts, with or without their angles."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.readers.binary import emission_lines
from xrdcomp.readers.checks import note_open_end, note_unusual_end
from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.xml_tools import number, number_list
from xrdcomp.types import FloatArray

__all__ = ["READER"]

_DATA = re.compile(r"^_(2THETA)?(COUNTS|CPS)\s*=?[ \t]*$", re.MULTILINE)
_KEY = re.compile(r"^_(\w+)[ \t]*=[ \t]*'?([^'\n]*)'?[ \t]*$", re.MULTILINE)
_LISTED_ROUNDING = 0.0055
"""Half of the second decimal, the coarsest that listed angles are rounded to, and a little."""
_POWDER_DRIVES = {"COUPLED", "2THETA", "TTH", "LOCKED COUPLED", ""}


def _sniff(source: SourceFile) -> float:
    head = source.head_text
    return 1.0 if re.search(r"^_FILEVERSION\s*=", head, re.MULTILINE) else 0.7 if _DATA.search(head) else 0.0


def _read(source: SourceFile) -> Sequence[RawScan]:
    text = source.text
    starts = list(_DATA.finditer(text))
    general: dict[str, str] = {}
    scans: list[RawScan] = []
    before = 0
    for order, start in enumerate(starts):
        header = text[before : start.start()]
        end = starts[order + 1].start() if order + 1 < len(starts) else len(text)
        body = text[start.end() : end]
        stop = re.search(r"^[ \t]*[;_]", body, re.MULTILINE)
        before = start.end() + (stop.start() if stop else len(body))
        data = body[: stop.start()] if stop else body
        general |= {found[1]: found[2].strip() for found in _KEY.finditer(header)}
        scans.append(_range(general, start, data, source, f"range {order}"))
    return scans


def _range(keys: dict[str, str], mark: re.Match[str], data: str, source: SourceFile, place: str) -> RawScan:
    start, step = number(keys.get("START", "")), number(keys.get("STEPSIZE", ""))
    values = number_list(data, source, place)
    if mark[1]:
        if len(values) % 2:
            msg = f"{len(values)} numbers where pairs of angle and intensity were announced"
            raise source.error(msg, place=place, expected="pairs", hint="The file is cut or damaged.")
        x, y = _even_angles(values[0::2], start, step, source, place), values[1::2]
    else:
        y = values
        if start is None or not step:
            raise source.error("the range lacks START or STEPSIZE", place=place, expected="both")
        x = two_theta_grid(start, step, len(y))
    declared = number(keys.get("STEPCOUNT", ""))
    if declared is not None and int(declared) != len(y):
        msg = f"the range declares {int(declared)} points and holds {len(y)}"
        raise source.error(msg, place=place, expected="both alike", hint="The file is cut or edited.")
    notes = note_unusual_end(x) + note_open_end(source.data) if declared is None else []
    drive = keys.get("DRIVE", "")
    seconds = number(keys.get("STEPTIME", ""))
    scale = 10.0 if keys.get("WL_UNIT", "A").upper() == "NM" else 1.0
    first, second, ratio = (number(keys.get(name, "")) or 0.0 for name in ("WL1", "WL2", "WLRATIO"))
    facts: dict[str, str | float | int | bool] = {}
    for key, fact in (("SAMPLE", "sample_name"), ("DATEMEASURED", "date"), ("USER", "user")):
        if keys.get(key):
            facts[fact] = keys[key]
    radius = number(keys.get("GONIOMETER_RADIUS", ""))
    if radius:
        facts["goniometer_radius_mm"] = radius
    if keys.get("VARDIVERGENCE"):
        facts["divergence_slit"] = f"variable, {keys['VARDIVERGENCE']}"
        facts["variable_slit"] = True
    return RawScan(
        two_theta=x,
        intensity=y,
        unit="counts" if mark[2] == "COUNTS" else "cps",
        counting_time_s=seconds if seconds and seconds > 0 else None,
        emission_lines=emission_lines(first * scale, second * scale, ratio),
        anode=keys.get("ANODE", "").capitalize(),
        axis=drive.lower() or "2theta",
        not_powder="" if drive.upper() in _POWDER_DRIVES else f"the moved drive is {drive}, not 2θ",
        place=place,
        metadata=facts,
        diagnostics=tuple(notes),
    )


def _even_angles(
    listed: FloatArray, start: float | None, step: float | None, source: SourceFile, place: str
) -> FloatArray:
    """Angles on the even grid that the listed ones are rounded from.

    Listed angles carry two or three decimals, which at a step of 0.0156° shifts points by a third of it; the
    header's step carries six, which drifts over thousands of points. The grid starts at the header's start
    and takes the step that fits all listed angles best, provided that both agree.
    """
    n = len(listed)
    if start is None or not step or n < 2:
        return listed
    index = np.arange(n, dtype=np.float64)
    off = np.abs(start + step * index - listed)
    tolerance = _LISTED_ROUNDING + 1e-6 * n
    if off.max() <= tolerance:
        best = float(index @ (listed - start) / (index @ index))
        return start + best * index
    if np.median(off) <= tolerance:
        i = int(np.argmax(off))
        msg = f"point {i} stands at {listed[i]:g}°, start and step give {start + step * i:g}°"
        raise source.error(msg, place=place, expected="both alike", hint="The file is damaged or edited.")
    return listed


READER = XrdReader(id="uxd", name="Bruker/Siemens UXD", extensions=("uxd",), sniff=_sniff, read=_read)
