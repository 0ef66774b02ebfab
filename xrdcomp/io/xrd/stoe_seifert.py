"""Seifert/GE NJA: ``#Section`` lines, ``&Key=value`` pairs, then rows of numbers.

A pole figure (``#TextureParameter``) is recognised and refused; scans have one count per row or angle and
count, with ``&Start``, ``&End`` and ``&Step``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.io.archive import Fields, number, number_list
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import RawScan, emission_lines, two_theta_grid
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

# ------------ STOE WinXPOW powder RAW (``RAW_1.0…Powdat``): blocks of 512 bytes, one range, counts of 32
# bits.
# The header counts all blocks and those of the intensities; the block before these describes the range and
# repeats lowest and highest count, which are compared.

_BLOCK = 512


def _read(source: SourceFile) -> Sequence[RawScan]:
    fields = Fields(source)
    blocks, data_blocks = fields.u16(0x1DC), fields.u16(0x1DA)
    if blocks * _BLOCK != len(source.data) or not 0 < data_blocks < blocks - 1:
        msg = f"the header counts {blocks} blocks, {data_blocks} of them data; the file has {len(source.data)} bytes"
        raise source.error(msg, place="byte 0x1da", expected=f"{_BLOCK} bytes per block")
    at = (blocks - data_blocks) * _BLOCK
    n = fields.u16(at - 0x1DE)
    start, _, end, _, step, _ = (fields.f32(at - 0x1D4 + 4 * i) for i in range(6))
    if not (0 < step < 10 and n > 0 and abs(start + step * (n - 1) - end) < 0.6 * step):
        msg = f"{n} points from {start:g} in steps of {step:g} do not end at {end:g}"
        raise source.error(msg, place=f"byte {at - 0x1DE:#x}", expected="a range that fits its points")
    fields.need(at, 4 * n, "the intensities")
    y: FloatArray = np.frombuffer(source.data, dtype="<u4", count=n, offset=at).astype(np.float64)
    low, high = fields.u32(at - 0x188), fields.u32(at - 0x184)
    if high and not (low == int(y.min()) and high == int(y.max())):
        msg = f"counts run from {y.min():g} to {y.max():g}, the header says {low} to {high}"
        raise source.error(
            msg, place=f"byte {at - 0x188:#x}", expected="both alike", hint="The file is damaged."
        )
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            unit="counts",
            emission_lines=emission_lines(fields.f32(0x142), fields.f32(0x146), 0.5),
            place="range 0",
            metadata={"sample_name": fields.text(0x20, 0x50), "date": fields.text(0x10, 16)},
        )
    ]


STOE = XrdReader(
    id="stoe_raw",
    name="STOE WinXPOW powder RAW",
    extensions=("raw",),
    sniff=lambda source: 1.0 if source.data[:4] == b"RAW_" and b"Powdat" in source.data[:16] else 0.0,
    read=_read,
)


# ------------ Seifert/GE NJA: ``#Section`` lines, ``&Key=value`` pairs, then rows of numbers.
# A pole figure (``#TextureParameter``) is recognised and refused; scans have one count per row or angle and
# count, with ``&Start``, ``&End`` and ``&Step``.

_PAIR = re.compile(r"&([\w ]+)=([^\t\n&]*)")
_VALUES = re.compile(r"^#(?:Scan)?Values?\b.*$", re.MULTILINE | re.IGNORECASE)


def _sniff(source: SourceFile) -> float:
    head = source.head_text
    return 1.0 if re.search(r"^#MeasParameter", head, re.MULTILINE) and "&" in head else 0.0


def _seifert_read(source: SourceFile) -> Sequence[RawScan]:
    text = source.text
    starts = list(_VALUES.finditer(text))
    if not starts:
        raise source.error("there is no section of values", expected="#Values", hint="The file is cut.")
    scans: list[RawScan] = []
    keys: dict[str, str] = {}
    before = 0
    for order, start in enumerate(starts):
        end = starts[order + 1].start() if order + 1 < len(starts) else len(text)
        header = text[before : start.start()]
        keys |= {name.strip(): value.strip() for name, value in _PAIR.findall(header)}
        body = text[start.end() : end]
        keys |= {name.strip(): value.strip() for name, value in _PAIR.findall(body)}
        rows = [line for line in body.split("\n") if line.strip() and line.lstrip()[0] not in "&#"]
        scans.append(_scan(keys, rows, source, f"scan {order}"))
        before = end
    return scans


def _scan(keys: dict[str, str], rows: list[str], source: SourceFile, place: str) -> RawScan:
    declared = number(keys.get("NoValues", ""))
    if not rows or (declared is not None and int(declared) != len(rows)):
        stated = "no number" if declared is None else f"{int(declared)}"
        msg = f"the section declares {stated} values and holds {len(rows)}"
        raise source.error(msg, place=place, expected="both alike", hint="The file is cut or edited.")
    width = len(rows[0].split())
    values = number_list("\n".join(rows), source, place)
    if any(len(row.split()) != width for row in rows):
        raise source.error("rows have different numbers of columns", place=place, expected=f"{width} columns")
    table = values.reshape(len(rows), width)
    facts: dict[str, str | float | int | bool] = {}
    if keys.get("Sample"):
        facts["sample_name"] = keys["Sample"]
    anode = keys.get("Anode", "")
    if "AlphaStart" in keys or "#TextureParameter" in source.head_text:
        reason = f"a pole figure at 2θ = {keys.get('2Theta', '?')}°, scanned over beta"
        return RawScan(
            two_theta=table[:, min(1, width - 1)], intensity=table[:, min(2, width - 1)], anode=anode,
            unit="counts", axis="beta", not_powder=reason, place=place, metadata=facts,
        )  # fmt: skip
    start, step, end = (number(keys.get(name, "")) for name in ("Start", "Step", "End"))
    if width >= 2:
        x, y = table[:, 0], table[:, 1]
    elif start is not None and step:
        x, y = two_theta_grid(start, step, len(rows)), table[:, 0]
    else:
        raise source.error("the scan gives neither angles nor Start and Step", place=place, expected="either")
    if end is not None and step and abs(x[-1] - end) > abs(step):
        msg = f"the scan ends at {x[-1]:g}°, the header says {end:g}°"
        raise source.error(msg, place=place, expected="both alike", hint="The file is cut or edited.")
    return RawScan(
        two_theta=x,
        intensity=y,
        unit="counts" if bool((y == y.round()).all()) else "arbitrary",
        counting_time_s=number(keys.get("Time", "")),
        anode=anode,
        axis=keys.get("ScanAxis", "2theta"),
        place=place,
        metadata=facts,
    )


SEIFERT = XrdReader(
    id="seifert_nja",
    name="Seifert NJA (pole figures refused)",
    extensions=("nja",),
    sniff=_sniff,
    read=_seifert_read,
)
