"""Philips UDF (text), RD and SD (binary). Written from descriptions; no file of an instrument was at hand."""

from __future__ import annotations

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.io.archive import Fields, Header, number, number_list, stated
from xrdcomp.io.registry import begins, has_all, xrd_reader
from xrdcomp.io.scans import RawScan, check_count, emission_lines, points_between, two_theta_grid
from xrdcomp.io.source import SourceFile

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
    check_count(len(y), n, "RawScan", "counts")
    seconds = first.number("ScanStepTime")
    facts = first.facts(sample_name="SampleIdent", date="FileDateTime", instrument="DiffrType")
    slit = " ".join(keys.get("DivergenceSlit", [])).strip()
    if slit:
        facts |= {"divergence_slit": slit, "variable_slit": "auto" in slit.lower()}
    return RawScan(
        two_theta=two_theta_grid(start, step, n), intensity=y, unit="counts",
        counting_time_s=seconds if seconds and seconds > 0 else None,
        emission_lines=emission_lines(*map(first.number, ("LabdaAlpha1", "LabdaAlpha2", "RatioAlpha21"))),
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
    packed = np.frombuffer(source.data, dtype="<u2", count=n, offset=data_start).astype(np.float64)
    kind, anode = source.data[84], source.data[85]
    instrument = _DIFFRACTOMETERS[kind] if kind < len(_DIFFRACTOMETERS) else ""
    facts = {"sample_name": fields.text(146, 20)} | stated(instrument=instrument)
    return RawScan(
        two_theta=two_theta_grid(start, step, n), intensity=np.round(packed**2 / 100.0), unit="counts",
        emission_lines=emission_lines(fields.f64(94), fields.f64(102), fields.f64(110)),
        anode=_ANODES[anode] if anode < len(_ANODES) else "", place="range 0", metadata=facts,
    )  # fmt: skip
