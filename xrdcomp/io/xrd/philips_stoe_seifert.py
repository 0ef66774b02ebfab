"""Philips UDF, RD and SD; STOE WinXPOW powder RAW; Seifert/GE NJA.

The Philips formats are written from descriptions; no file of an instrument was at hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xrdcomp.data import IntensityUnit
from xrdcomp.errors import ReadError
from xrdcomp.io.archive import Fields, Header, number, number_list, stated
from xrdcomp.io.registry import begins, has_all, xrd_reader
from xrdcomp.io.scans import (
    CUT,
    SURPLUS_RECORDS,
    RawScan,
    declared_part,
    emission_lines,
    grid_to_end,
    points_between,
    two_theta_grid,
)
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

_ANODES = ("Cu", "Mo", "Fe", "Cr")
_DIFFRACTOMETERS = ("PW1800", "PW1710", "PW1840", "PW3710", "", "X'Pert MPD")


@xrd_reader(
    "philips_udf", "Philips UDF", "udf", has_all((1.0, ("DataAngleRange", r"^DataAngleRange\s*,"))), verified=False,
)  # fmt: skip
def udf(source: SourceFile) -> RawScan:
    """``Key, value,/`` lines, ``RawScan``, counts separated by commas, a final slash."""
    header, found, body = source.text.partition("\nRawScan")
    if not found:
        raise ReadError("there is no RawScan section", expected="a line RawScan", hint="The file is cut.")
    keys: dict[str, list[str]] = {}
    for line in header.split("\n"):
        plain = line.rstrip().removesuffix("/").rstrip().removesuffix(",")
        key, *values = map(str.strip, plain.split(","))
        keys[key] = values
    first = Header({key: values[0] for key, values in keys.items() if values})
    angles, steps = ([*map(number, keys.get(key, []))] for key in ("DataAngleRange", "ScanStepSize"))
    if len(angles) != 2 or len(steps) != 1 or None in {*angles, *steps}:
        raise ReadError("DataAngleRange or ScanStepSize is missing", "header", "both")
    start, end, step = (value or 0.0 for value in (*angles, *steps))
    n = points_between(start, end, step, "DataAngleRange")
    data, closed, rest = body.partition("/")
    if not closed or rest.strip(" \n\x1a"):
        raise ReadError("the counts do not end with a slash", "RawScan", "/", "It is cut.")
    y = number_list(data.strip().lstrip(",/"), "RawScan", separator=",")
    n, notes = declared_part(y, n, "RawScan", "counts")
    seconds = first.number("ScanStepTime")
    facts = first.facts(sample_name="SampleIdent", date="FileDateTime", instrument="DiffrType")
    slit = " ".join(keys.get("DivergenceSlit", [])).strip()
    if slit:
        facts |= {"divergence_slit": slit, "variable_slit": "auto" in slit.lower()}
    return RawScan(
        two_theta=two_theta_grid(start, step, n), intensity=y[:n], unit="counts", messages=notes,
        counting_time_s=seconds if seconds and seconds > 0 else None,
        emission_lines=emission_lines(*map(first.wavelength, ("LabdaAlpha1", "LabdaAlpha2", "RatioAlpha21"))),
        anode=first["Anode"].capitalize(), place="RawScan", metadata=facts,
    )  # fmt: skip


@xrd_reader("philips_rd", "Philips RD, SD (V3RD, V5RD)", "rd sd", begins(rb"V[35]RD"), verified=False)
def rd(source: SourceFile) -> RawScan:
    """Fixed offsets; counts are stored as ten times their square root in 16 bits.

    A count read back differs from the measured one by up to a tenth of its square root.
    """
    fields = Fields(source)
    data_start = 250 if source.data[:2] == b"V3" else 810
    fields.need(0, data_start, "the header")
    step, start, end = (fields.f64(214 + 8 * i) for i in range(3))
    n = points_between(start, end, step, "byte 0xd6")
    fields.need(data_start, 2 * n, "the counts")
    if len(source.data) - data_start >= 4 * n:
        msg = f"{n} points fill {2 * n} bytes, {len(source.data) - data_start} follow the header"
        raise ReadError(msg, "byte 0xd6", "a range that fits the file")
    rest = len(source.data) - data_start - 2 * n
    text = f"{rest} bytes follow the {n} counts of the file; they were left out"
    packed = np.frombuffer(source.data, dtype="<u2", count=n, offset=data_start).astype(np.float64)
    kind, anode = source.data[84], source.data[85]
    instrument = _DIFFRACTOMETERS[kind] if kind < len(_DIFFRACTOMETERS) else ""
    facts = {"sample_name": fields.text(146, 20)} | stated(instrument=instrument)
    return RawScan(
        two_theta=two_theta_grid(start, step, n), intensity=np.round(packed**2 / 100.0), unit="counts",
        emission_lines=emission_lines(fields.f64(94), fields.f64(102), fields.f64(110)),
        anode=_ANODES[anode] if anode < len(_ANODES) else "", place="range 0", metadata=facts,
        messages=(SURPLUS_RECORDS(text),) if rest else (),
    )  # fmt: skip


# STOE WinXPOW powder RAW (binary) and Seifert/GE NJA (text).

_BLOCK = 512


@xrd_reader("stoe_raw", "STOE WinXPOW powder RAW", "raw", begins(rb"RAW_.{0,6}Powdat"))
def stoe(source: SourceFile) -> RawScan:
    """Blocks of 512 bytes, one range, counts of 32 bits.

    The header counts all blocks and those of the intensities; the block before these describes the range and repeats
    lowest and highest count, which are compared.
    """
    fields = Fields(source)
    blocks, data_blocks = fields.u16(0x1DC), fields.u16(0x1DA)
    rest = source.data[blocks * _BLOCK :]
    if blocks * _BLOCK > len(source.data) or rest.strip(b"\x00") or not 0 < data_blocks < blocks - 1:
        msg = f"the header counts {blocks} blocks, {data_blocks} of them data; the file has {len(source.data)} bytes"
        raise ReadError(msg, "byte 0x1da", f"{_BLOCK} bytes per block")
    at = (blocks - data_blocks) * _BLOCK
    n = fields.u16(at - 0x1DE)
    start, _, end, _, step, _ = (fields.f32(at - 0x1D4 + 4 * i) for i in range(6))
    place = f"byte {at - 0x1DE:#x}"
    if not (0 < step < 10 and n > 0):
        msg = f"{n} points from {start:g} to {end:g} in steps of {step:g}"
        raise ReadError(msg, place, "a range that fits its points")
    x = grid_to_end(start, step, n, end, place)
    fields.need(at, 4 * n, "the intensities")
    y: FloatArray = np.frombuffer(source.data, dtype="<u4", count=n, offset=at).astype(np.float64)
    low, high = fields.u32(at - 0x188), fields.u32(at - 0x184)
    if high and not (low == int(y.min()) and high == int(y.max())):
        msg = f"counts run from {y.min():g} to {y.max():g}, the header says {low} to {high}"
        raise ReadError(msg, f"byte {at - 0x188:#x}", "both alike", "The file is damaged.")
    text = f"{len(rest)} zero bytes follow the {blocks} blocks of the file; they were left out"
    return RawScan(
        two_theta=x, intensity=y, unit="counts", messages=(SURPLUS_RECORDS(text),) if rest else (),
        emission_lines=emission_lines(fields.f32(0x142), fields.f32(0x146)), place="range 0",
        metadata={"sample_name": fields.text(0x20, 0x50), "date": fields.text(0x10, 16)},
    )  # fmt: skip


_PAIR = re.compile(r"&([\w ]+)=([^\t\n&]*)")
_VALUES = re.compile(r"^#(?:Scan)?Values?\b.*$", re.MULTILINE | re.IGNORECASE)


@xrd_reader("seifert_nja", "Seifert NJA (pole figures refused)", "nja", has_all((1.0, ("&", r"^#MeasParameter"))))
def seifert(source: SourceFile) -> Sequence[RawScan]:
    """``#Section`` lines, ``&Key=value`` pairs, then rows of one count, or of angle and count.

    A pole figure (``#TextureParameter``) is recognised and refused.
    """
    parts = _VALUES.split(source.text)
    if len(parts) < 2:
        raise ReadError("there is no section of values", expected="#Values", hint="The file is cut.")
    keys = Header()
    scans: list[RawScan] = []
    for order, part in enumerate(parts):
        keys.update({name.strip(): value.strip() for name, value in _PAIR.findall(part)})
        if not order:
            continue
        place = f"scan {order - 1}"
        rows = [line for line in part.split("\n") if line.strip() and line.lstrip()[0] not in "&#"]
        if not rows:
            raise ReadError("the section holds no values", place, "rows of numbers", CUT)
        width = len(rows[0].split())
        values = number_list("\n".join(rows), place)
        if any(len(row.split()) != width for row in rows):
            raise ReadError("rows have different numbers of columns", place, f"{width} columns")
        columns = values.reshape(len(rows), width).T
        angles = columns[0] if width >= 2 else None
        n, notes = declared_part(columns[min(1, width - 1)], keys.number("NoValues"), place, "values", angles=angles)
        columns = columns[:, :n]
        facts = keys.facts(sample_name="Sample")
        common = RawScan(anode=keys["Anode"], place=place, metadata=facts, messages=notes)
        start, step, end = map(keys.number, ("Start", "Step", "End"))
        if "AlphaStart" in keys or "#TextureParameter" in source.head_text:
            x, y = columns[min(1, width - 1)], columns[min(2, width - 1)]
            reason = f"a pole figure at 2θ = {keys['2Theta'] or '?'}°, scanned over beta"
            scans.append(replace(common, two_theta=x, intensity=y, unit="counts", axis="beta", not_powder=reason))
            continue
        if width >= 2:
            x, y = columns[0], columns[1]
        elif start is not None and step:
            x, y = two_theta_grid(start, step, n), columns[0]
        else:
            raise ReadError("the scan gives neither angles nor Start and Step", place, "either")
        if end is not None and step and abs(x[-1] - end) > abs(step):
            raise ReadError(f"the scan ends at {x[-1]:g}°, the header says {end:g}°", place, "both alike", CUT)
        unit: IntensityUnit = "counts" if bool((y == y.round()).all()) else "arbitrary"
        axis, seconds = keys["ScanAxis"] or "2theta", keys.number("Time")
        scans.append(replace(common, two_theta=x, intensity=y, unit=unit, counting_time_s=seconds, axis=axis))
    return scans
