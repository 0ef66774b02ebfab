"""Bruker DIFFRAC.SUITE RAW, fourth version (``RAW4.00``): 61 bytes, then a chain of segments and ranges.

A segment is kind, length and content; kind 0 or 160 instead begins a range: a header of 160 bytes with scan
type, start, step and number of points, drive segments of declared total length, then the records, each led
by the intensity in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrdcomp.readers.binary import Fields, emission_lines, odd_fractions
from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile
from xrdcomp.types import EmissionLine

__all__ = ["READER"]

MAX_SEGMENTS = 100_000
_POWDER = ("locked coupled", "unlocked coupled", "detector scan", "2theta", "twotheta")
_FACTS = {"SAMPLEID": "sample_name", "CREATOR": "written_by", "USER": "user", "SITE": "site"}


def _read(source: SourceFile) -> Sequence[RawScan]:
    fields = Fields(source)
    fields.need(0, 61, "the file header")
    facts: dict[str, str | float | int | bool] = {"date": f"{fields.text(12, 12)} {fields.text(24, 10)}"}
    lines: tuple[EmissionLine, ...] = ()
    anode = ""
    scans: list[RawScan] = []
    at, segments = 61, 0
    while at < len(source.data):
        segments += 1
        if segments > MAX_SEGMENTS:
            raise source.error(f"more than {MAX_SEGMENTS} segments", expected="a few dozen")
        kind = fields.u32(at)
        if kind in {0, 160}:
            scan, at = _range(fields, at, f"range {len(scans)}", (lines, anode, facts))
            scans.append(scan)
            continue
        length = _segment_length(fields, at)
        if kind == 10 and length >= 36:
            name, value = fields.text(at + 12, 24), fields.text(at + 36, length - 36)
            if name in _FACTS and value:
                facts = facts | {_FACTS[name]: value}
        elif kind == 30 and length >= 120:
            average, alpha1, alpha2, _, ratio = (fields.f64(at + 72 + 8 * i) for i in range(5))
            lines, anode = emission_lines(alpha1, alpha2, ratio, average), fields.text(at + 116, 4)
        at += length
    return scans


def _segment_length(fields: Fields, at: int) -> int:
    length = fields.u32(at + 4)
    if length < 8:
        msg = f"a segment of {length} bytes"
        raise fields.source.error(msg, place=f"byte {at:#x}", expected="at least 8 bytes")
    fields.need(at, length, "a segment")
    return length


def _range(
    fields: Fields,
    at: int,
    place: str,
    common: tuple[tuple[EmissionLine, ...], str, dict[str, str | float | int | bool]],
) -> tuple[RawScan, int]:
    source = fields.source
    lines, anode, facts = common
    fields.need(at, 160, f"{place}: header")
    scan_type = fields.text(at + 32, 24)
    start, step, n = fields.f64(at + 72), fields.f64(at + 80), fields.u32(at + 88)
    seconds, record, drives = fields.f32(at + 92), fields.u32(at + 136), fields.u32(at + 140)
    if not (abs(start) <= 360 and 1e-6 < abs(step) < 30 and abs(start + step * n) <= 720):
        msg = f"the range starts at {start:g} in steps of {step:g} for {n} points"
        raise source.error(msg, place=place, expected="angles in degrees", hint="The file is damaged.")
    data = at + 160 + drives
    begin = _drive_position(fields, at + 160, data, "2Theta")
    y = fields.points(data, n, record, place)
    reason = ""
    if not scan_type.lower().startswith(_POWDER):
        reason = f"the range is a scan of type {scan_type!r}, not over 2θ"
    elif begin is not None and abs(begin - start) > max(0.05, 2 * abs(step)):
        msg = f"the header starts at {start:g}°, the drive 2Theta stands at {begin:g}°"
        raise source.error(msg, place=place, expected="both alike", hint="The file is damaged.")
    whole = bool(np.isfinite(y).all() and np.mean(y == np.round(y)) > 0.98)
    return (
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            unit="counts" if whole and (y >= 0).all() else "arbitrary",
            counting_time_s=seconds if 0 < seconds < 1e7 else None,
            emission_lines=lines,
            anode=anode,
            axis=scan_type,
            not_powder=reason,
            place=place,
            metadata=facts,
            diagnostics=odd_fractions(y, place),
        ),
        data + record * n,
    )


def _drive_position(fields: Fields, at: int, end: int, name: str) -> float | None:
    position = None
    fields.need(at, end - at, "drive segments")
    while at < end:
        length = _segment_length(fields, at)
        if fields.u32(at) == 50 and length >= 64 and fields.text(at + 12, 24) == name:
            position = fields.f64(at + 56)
        at += length
    if at != end:
        msg = f"drive segments end at byte {at} where {end} was declared"
        raise fields.source.error(msg, place=f"byte {at:#x}", expected="both alike")
    return position


READER = XrdReader(
    id="bruker_raw_v4",
    name="Bruker DIFFRAC.SUITE RAW, fourth version (RAW4.00)",
    extensions=("raw",),
    sniff=lambda source: float(source.data[:7] == b"RAW4.00"),
    read=_read,
)
