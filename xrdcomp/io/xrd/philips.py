"""Philips UDF (text), RD and SD (binary). Written from descriptions; no file of an instrument was at hand.

UDF: ``Key, value,/`` lines, ``RawScan``, counts separated by commas, a final slash. RD (``V3RD``) and SD
(``V5RD``): fixed offsets; counts are stored as ten times their square root in 16 bits, so that a count read
back differs from the measured one by up to a tenth of its square root.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.io.archive import Fields, number, number_list
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import MAX_POINTS, RawScan, emission_lines, two_theta_grid
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

_ANODES = ("Cu", "Mo", "Fe", "Cr")
_DIFFRACTOMETERS = ("PW1800", "PW1710", "PW1840", "PW3710", "", "X'Pert MPD")


def _points(source: SourceFile, start: float, end: float, step: float, place: str) -> int:
    """Number of points of a range; refuses one that does not fit its step."""
    if not (np.isfinite([start, end, step]).all() and 0 < step < 10 and start < end <= 180):
        msg = f"the range runs from {start:g} to {end:g} in steps of {step:g}"
        raise source.error(msg, place=place, expected="angles in degrees", hint="The file is damaged.")
    exact = (end - start) / step + 1
    n = round(exact)
    if abs(exact - n) > 0.1 or not 1 < n <= MAX_POINTS:
        msg = f"{start:g} to {end:g}° is no whole number of steps of {step:g}°"
        raise source.error(msg, place=place, expected="a whole number of steps", hint="The file is damaged.")
    return n


def _read_udf(source: SourceFile) -> Sequence[RawScan]:
    header, found, body = source.text.partition("\nRawScan")
    if not found:
        raise source.error("there is no RawScan section", expected="a line RawScan", hint="The file is cut.")
    keys: dict[str, list[str]] = {}
    for line in header.split("\n"):
        parts = [
            part.strip() for part in line.rstrip().removesuffix("/").rstrip().removesuffix(",").split(",")
        ]
        keys[parts[0]] = parts[1:]

    def values(key: str) -> list[float | None]:
        return [number(part) for part in keys.get(key, [])]

    angles, steps = values("DataAngleRange"), values("ScanStepSize")
    if len(angles) != 2 or len(steps) != 1 or None in {*angles, *steps}:
        raise source.error("DataAngleRange or ScanStepSize is missing", place="header", expected="both")
    start, end, step = angles[0] or 0.0, angles[1] or 0.0, steps[0] or 0.0
    n = _points(source, start, end, step, "DataAngleRange")
    data, closed, rest = body.partition("/")
    if not closed or rest.strip(" \n\x1a"):
        raise source.error(
            "the counts do not end with a slash", place="RawScan", expected="/", hint="It is cut."
        )
    y = number_list(data.strip().lstrip(",/"), source, "RawScan", separator=",")
    if len(y) != n:
        msg = f"the range has {n} points, the file holds {len(y)}"
        raise source.error(msg, place="RawScan", expected=f"{n} counts", hint="The file is cut or edited.")
    alpha = [(values(key) or [None])[0] or 0.0 for key in ("LabdaAlpha1", "LabdaAlpha2", "RatioAlpha21")]
    seconds = (values("ScanStepTime") or [None])[0]
    slit = " ".join(keys.get("DivergenceSlit", [])).strip()
    facts: dict[str, str | float | int | bool] = {}
    for key, fact in (("SampleIdent", "sample_name"), ("FileDateTime", "date"), ("DiffrType", "instrument")):
        if keys.get(key) and keys[key][0]:
            facts[fact] = keys[key][0]
    if slit:
        facts |= {"divergence_slit": slit, "variable_slit": "auto" in slit.lower()}
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            unit="counts",
            counting_time_s=seconds if seconds and seconds > 0 else None,
            emission_lines=emission_lines(alpha[0], alpha[1], alpha[2]),
            anode=(keys.get("Anode") or [""])[0].capitalize(),
            place="RawScan",
            metadata=facts,
        )
    ]


def _read_rd(source: SourceFile) -> Sequence[RawScan]:
    fields = Fields(source)
    data_start = 250 if source.data[:2] == b"V3" else 810
    fields.need(0, data_start, "the header")
    step, start, end = (fields.f64(214 + 8 * i) for i in range(3))
    n = _points(source, start, end, step, "byte 0xd6")
    fields.need(data_start, 2 * n, "the counts")
    if len(source.data) - data_start - 2 * n >= 2 * n:
        msg = f"{n} points fill {2 * n} bytes, {len(source.data) - data_start} follow the header"
        raise source.error(msg, place="byte 0xd6", expected="a range that fits the file")
    packed = np.frombuffer(source.data, dtype="<u2", count=n, offset=data_start).astype(np.float64)
    y: FloatArray = np.round(packed**2 / 100.0)
    kind, anode = source.data[84], source.data[85]
    facts: dict[str, str | float | int | bool] = {"sample_name": fields.text(146, 20)}
    if kind < len(_DIFFRACTOMETERS) and _DIFFRACTOMETERS[kind]:
        facts["instrument"] = _DIFFRACTOMETERS[kind]
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            unit="counts",
            emission_lines=emission_lines(fields.f64(94), fields.f64(102), fields.f64(110)),
            anode=_ANODES[anode] if anode < len(_ANODES) else "",
            place="range 0",
            metadata=facts,
        )
    ]


def _sniff_udf(source: SourceFile) -> float:
    head = source.head_text
    return 1.0 if re.search(r"^DataAngleRange\s*,", head, re.MULTILINE) else 0.0


PHILIPS = (
    XrdReader(
        id="philips_udf",
        name="Philips UDF",
        extensions=("udf",),
        sniff=_sniff_udf,
        read=_read_udf,
        verified=False,
    ),
    XrdReader(
        id="philips_rd",
        name="Philips RD, SD (V3RD, V5RD)",
        extensions=("rd", "sd"),
        sniff=lambda source: float(source.data[:4] in {b"V3RD", b"V5RD"}),
        read=_read_rd,
        verified=False,
    ),
)
