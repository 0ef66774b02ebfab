"""STOE WinXPOW powder RAW (``RAW_1.0…Powdat``): blocks of 512 bytes, one range, counts of 32 bits.

The header counts all blocks and those of the intensities; the block before these describes the range and
repeats lowest and highest count, which are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrdcomp.readers.binary import Fields, emission_lines
from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile
from xrdcomp.types import FloatArray

__all__ = ["READER"]

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


READER = XrdReader(
    id="stoe_raw",
    name="STOE WinXPOW powder RAW",
    extensions=("raw",),
    sniff=lambda source: 1.0 if source.data[:4] == b"RAW_" and b"Powdat" in source.data[:16] else 0.0,
    read=_read,
)
