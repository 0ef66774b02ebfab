"""Reading fields out of binary files: every access is checked against the length, every text is decoded."""

from __future__ import annotations

import struct

import numpy as np

from xrdcomp.readers.scan import MAX_POINTS
from xrdcomp.readers.source import SourceFile
from xrdcomp.types import Diagnostic, EmissionLine, FloatArray

__all__ = ["Fields", "emission_lines", "odd_fractions", "tidy"]


class Fields:
    """Little-endian fields of a file by offset."""

    def __init__(self, source: SourceFile) -> None:
        self.source, self.data = source, source.data

    def need(self, offset: int, length: int, what: str) -> None:
        """Refuse a file that ends before ``offset + length``."""
        if offset < 0 or length < 0 or offset + length > len(self.data):
            msg = f"{what} needs bytes {offset} to {offset + length}, the file has {len(self.data)}"
            hint = "The file is cut or its sizes are damaged; copy it again from the instrument."
            raise self.source.error(msg, place=f"byte {offset:#x}", expected="a complete file", hint=hint)

    def u16(self, offset: int) -> int:
        """Unsigned 16-bit integer."""
        self.need(offset, 2, "a number")
        return int(struct.unpack_from("<H", self.data, offset)[0])

    def u32(self, offset: int) -> int:
        """Unsigned 32-bit integer."""
        self.need(offset, 4, "a number")
        return int(struct.unpack_from("<I", self.data, offset)[0])

    def f32(self, offset: int) -> float:
        """Single-precision number as its shortest decimal: 0.02, not 0.0199999996."""
        self.need(offset, 4, "a number")
        return tidy(struct.unpack_from("<f", self.data, offset)[0])

    def f64(self, offset: int) -> float:
        """Double-precision number."""
        self.need(offset, 8, "a number")
        return tidy(struct.unpack_from("<d", self.data, offset)[0])

    def text(self, offset: int, length: int) -> str:
        """Text up to its first zero byte, without blanks around it."""
        self.need(offset, length, "a text")
        raw = self.data[offset : offset + length].split(b"\x00", 1)[0]
        return raw.decode("cp1252", errors="replace").strip()

    def points(self, offset: int, n: int, stride: int, what: str) -> FloatArray:
        """Single-precision numbers at the beginning of `n` records of `stride` bytes."""
        if not 0 < n <= MAX_POINTS or stride < 4:
            msg = f"{what} declares {n} points of {stride} bytes"
            raise self.source.error(msg, expected=f"1 to {MAX_POINTS} points", hint="The file is damaged.")
        self.need(offset, n * stride, what)
        records = np.frombuffer(self.data, dtype=np.uint8, count=n * stride, offset=offset).reshape(n, stride)
        values: FloatArray = np.ascontiguousarray(records[:, :4]).view("<f4")[:, 0].astype(np.float64)
        return values


def tidy(value: float) -> float:
    """Shortest decimal of a number that was stored in single precision."""
    if value != value or abs(value) > 3e38 or float(np.float32(value)) != value:
        return float(value)
    return float(str(np.float32(value)))


def emission_lines(
    alpha1: float, alpha2: float, ratio: float, average: float = 0.0
) -> tuple[EmissionLine, ...]:
    """Lines from header fields; fields that are zero, undefined or absurd give no line."""
    if not 0.1 < alpha1 < 5.0:
        return (EmissionLine(wavelength=average),) if 0.1 < average < 5.0 else ()
    lines = [EmissionLine(wavelength=alpha1)]
    if 0.98 < alpha2 / alpha1 < 1.02 and alpha2 != alpha1 and 0.0 < ratio < 1.0:
        lines.append(EmissionLine(wavelength=alpha2, weight=ratio))
    return tuple(lines)


def odd_fractions(y: FloatArray, place: str) -> tuple[Diagnostic, ...]:
    """Note the few fractional values among whole counts: a flipped bit of a stored number looks like that."""
    if not np.isfinite(y).all() or len(y) < 20:
        return ()
    odd = np.flatnonzero(y != np.round(y))
    if not 0 < len(odd) <= max(3, 0.02 * len(y)):
        return ()
    i = int(odd[0])
    text = (
        f"{place}: {len(odd)} of {len(y)} counts are no whole numbers, the first {y[i]:.9g} at point {i}: "
        "the file may be damaged there; compare with another export"
    )
    return (Diagnostic(code="XRD_ODD_COUNTS", severity="warning", text=text, facts={"points": len(odd)}),)
