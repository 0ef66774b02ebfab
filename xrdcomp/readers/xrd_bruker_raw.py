"""Siemens/Bruker DIFFRAC RAW, the first three versions: ``RAW``, ``RAW2`` and ``RAW1.01`` (the third).

All are chains of range headers and single-precision counts; the lengths must add up to the file's length.
Layouts: DIFFRAC-AT manual, appendix B; DIFFRACplus File Exchange and XCH manual (2002), section A.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from xrdcomp.readers.binary import Fields, emission_lines, odd_fractions
from xrdcomp.readers.checks import note_unusual_end
from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile
from xrdcomp.types import Diagnostic, FloatArray

__all__ = ["READERS"]

_SCAN_TYPES = {
    0: "locked coupled", 1: "unlocked coupled", 2: "detector scan", 3: "rocking curve", 4: "chi scan",
    5: "phi scan", 6: "x scan", 7: "y scan", 8: "z scan", 129: "fixed position-sensitive detector",
}  # fmt: skip
_POWDER_TYPES = {0, 1, 2}


def _check_end(source: SourceFile, end: int, ranges: int) -> None:
    if end != len(source.data):
        msg = f"{ranges} range(s) end at byte {end}, the file has {len(source.data)}"
        hint = "The file is damaged, or was written by a program that appends to it."
        raise source.error(msg, place=f"byte {end:#x}", expected="ranges that fill the file", hint=hint)


def _check_grid(source: SourceFile, start: float, step: float, n: int, place: str) -> None:
    stop = start + step * (n - 1)
    if not (abs(start) < 360 and 1e-6 < abs(step) < 30 and abs(stop) <= 720):
        msg = f"the range starts at {start:g} in steps of {step:g} for {n} points"
        raise source.error(msg, place=place, expected="angles in degrees", hint="The file is damaged.")


def _doubts(x: FloatArray, y: FloatArray, theta: float, place: str) -> tuple[Diagnostic, ...]:
    """Signs of damage that the lengths do not show."""
    notes = [*odd_fractions(y, place), *note_unusual_end(x)]
    if 1.0 < theta < 180.0 and abs(2.0 * theta - x[0]) > 0.01:
        text = f"{place}: 2θ starts at {x[0]:g}° and θ at {theta:g}°, which is not half of it"
        notes.append(Diagnostic(code="XRD_START_DOUBTFUL", severity="warning", text=text))
    return tuple(notes)


def _read_v1(source: SourceFile) -> Sequence[RawScan]:
    """Range header of 152 bytes after the four-letter signature: steps, seconds, step, start, sample, lines."""
    fields = Fields(source)
    scans: list[RawScan] = []
    at, follows = 4, 1
    while follows:
        place = f"range {len(scans)}"
        fields.need(at, 152, place)
        n, seconds, step, start = fields.u32(at), fields.f32(at + 4), fields.f32(at + 8), fields.f32(at + 20)
        _check_grid(source, start, step, n, place)
        theta = fields.f32(at + 24)
        x, y = two_theta_grid(start, step, n), fields.points(at + 152, n, 4, place)
        scans.append(
            RawScan(
                two_theta=x,
                intensity=y,
                unit="counts",
                counting_time_s=seconds if 0 < seconds < 1e6 else None,
                emission_lines=emission_lines(fields.f32(at + 68), fields.f32(at + 72), 0.5),
                place=place,
                metadata={"sample_name": fields.text(at + 36, 32)},
                diagnostics=_doubts(x, y, theta, place),
            )
        )
        follows = fields.u32(at + 148)
        at += 152 + 4 * n
        if follows and fields.data[at : at + 4] == b"RAW ":
            at += 4
        if len(scans) > 1000:
            raise source.error("more than 1000 ranges", expected="a chain that ends")
    _check_end(source, at, len(scans))
    return scans


def _read_v2(source: SourceFile) -> Sequence[RawScan]:
    """File header of 256 bytes; each range header tells its own length and number of steps (16 bits)."""
    fields = Fields(source)
    ranges = fields.u16(4)
    if not 0 < ranges <= 1000:
        raise source.error(f"{ranges} ranges", place="byte 0x4", expected="1 to 1000")
    lines = emission_lines(fields.f32(190), fields.f32(194), fields.f32(198))
    facts: dict[str, str | float | int | bool] = {
        "sample_name": fields.text(8, 32),
        "date": f"{fields.text(168, 10)} {fields.text(178, 5)}".strip(),
    }
    scans: list[RawScan] = []
    at = 256
    for number in range(ranges):
        place = f"range {number}"
        length, n = fields.u16(at), fields.u16(at + 2)
        if length < 24:
            raise source.error(f"a header of {length} bytes", place=place, expected="at least 24 bytes")
        seconds, step, start = fields.f32(at + 8), fields.f32(at + 12), fields.f32(at + 16)
        _check_grid(source, start, step, n, place)
        theta = fields.f32(at + 20)
        x, y = two_theta_grid(start, step, n), fields.points(at + length, n, 4, place)
        scans.append(
            RawScan(
                two_theta=x,
                intensity=y,
                unit="counts",
                counting_time_s=seconds if 0 < seconds < 1e6 else None,
                emission_lines=lines,
                anode=fields.text(188, 2).capitalize(),
                place=place,
                metadata=facts,
                diagnostics=_doubts(x, y, theta, place),
            )
        )
        at += length + 4 * n
    _check_end(source, at, ranges)
    return scans


def _read_v3(source: SourceFile) -> Sequence[RawScan]:
    """File header of 712 bytes; range headers of 304 bytes, a supplement, then records of 4 bytes or more."""
    fields = Fields(source)
    ranges = fields.u32(12)
    if not 0 < ranges <= 1000:
        raise source.error(f"{ranges} ranges", place="byte 0xc", expected="1 to 1000")
    fields.need(0, 712, "the file header")
    alpha = [fields.f64(616 + 8 * i) for i in range(5)]
    facts: dict[str, str | float | int | bool] = {
        "sample_name": fields.text(326, 60).strip("_"),
        "date": f"{fields.text(16, 10)} {fields.text(26, 10)}",
        "goniometer_radius_mm": fields.f32(564),
    }
    scans: list[RawScan] = []
    at = 712
    for number in range(ranges):
        place = f"range {number}"
        length, n = fields.u32(at), fields.u32(at + 4)
        if not 260 <= length <= 4096:
            raise source.error(f"a header of {length} bytes", place=place, expected="304 bytes")
        start, step, seconds = fields.f64(at + 16), fields.f64(at + 176), fields.f32(at + 192)
        kind, varying = fields.u32(at + 196), fields.u32(at + 248)
        record, supplement = fields.u32(at + 252), fields.u32(at + 256)
        _check_grid(source, start, step, n, place)
        if record != 4 + 8 * varying.bit_count():
            msg = f"records of {record} bytes with {varying.bit_count()} varying parameter(s)"
            raise source.error(msg, place=place, expected="4 bytes and 8 for each parameter")
        theta = fields.f64(at + 8)
        x, y = two_theta_grid(start, step, n), fields.points(at + length + supplement, n, record, place)
        axis = _SCAN_TYPES.get(kind, f"scan type {kind}")
        wavelength = fields.f64(at + 240)
        lines = emission_lines(alpha[1], alpha[2], alpha[4], alpha[0])
        facts_here = facts if not lines or abs(wavelength - lines[0].wavelength) < 1e-3 else (
            facts | {"wavelength_of_range": wavelength}
        )  # fmt: skip
        scans.append(
            RawScan(
                two_theta=x,
                intensity=y,
                unit="counts",
                counting_time_s=seconds if 0 < seconds < 1e6 else None,
                emission_lines=lines,
                anode=fields.text(608, 4).capitalize(),
                axis=axis,
                not_powder="" if kind in _POWDER_TYPES else f"the range is a {axis}, no scan over 2θ",
                place=place,
                metadata=facts_here,
                diagnostics=_doubts(x, y, theta, place),
            )
        )
        at += length + supplement + record * n
    _check_end(source, at, ranges)
    return scans


READERS = (
    XrdReader(
        id="bruker_raw_v1",
        name="Siemens DIFFRAC RAW, first version (RAW)",
        extensions=("raw",),
        sniff=lambda source: float(source.data[:4] == b"RAW "),
        read=_read_v1,
    ),
    XrdReader(
        id="bruker_raw_v2",
        name="Siemens/Bruker DIFFRAC-AT RAW, second version (RAW2)",
        extensions=("raw",),
        sniff=lambda source: float(source.data[:4] == b"RAW2"),
        read=_read_v2,
    ),
    XrdReader(
        id="bruker_raw_v3",
        name="Bruker DIFFRACplus RAW, third version (RAW1.01)",
        extensions=("raw",),
        sniff=lambda source: float(source.data[:7] == b"RAW1.01"),
        read=_read_v3,
    ),
)
