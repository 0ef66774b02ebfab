"""PANalytical XRDML, versions 1.x and 2.x: one XML file, any number of scans.

Version 1 writes ``intensities``, already multiplied by attenuation and divergence factors; version 2 writes
``counts`` as the detector gave them with ``beamAttenuationFactors`` beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

import numpy as np

from xrdcomp.data import Diagnostic, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.archive import number, number_list, parse_xml, stated, text_of
from xrdcomp.io.registry import xrd_reader
from xrdcomp.io.scans import MAX_POINTS, MAYBE_CUT, RawScan, emission_lines, stated_wavelength
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

NOT_COMPLETED = message_kind(
    "XRD_NOT_COMPLETED", "warning", "The scan's status says that the measurement was not completed."
)

_POWDER_AXES = {"gonio", "2theta", "2theta-omega", "omega-2theta", "2theta-theta", "theta-2theta"}


def _sniff(source: SourceFile) -> float:
    if b"xrdMeasurements" in source.head[:4096] or "<xrdMeasurements" in source.head_text:
        return 1.0
    return 0.7 if b"XRDMeasurement" in source.head[:4096] else 0.0


@xrd_reader("xrdml", "PANalytical XRDML 1.x and 2.x", "xrdml xml", _sniff)
def xrdml(source: SourceFile) -> Sequence[RawScan]:
    """Scans of all measurements, each with the radiation, slits and detector of its measurement."""
    root = parse_xml(source.data)
    sample = text_of(root, "sample/name") or text_of(root, "sample/id")
    scans: list[RawScan] = []
    for measurement in root.iterfind("{*}xrdMeasurement"):
        used = measurement.find("{*}usedWavelength")
        alpha1, alpha2 = (stated_wavelength(text_of(used, name)) for name in ("kAlpha1", "kAlpha2"))
        ratio = number(text_of(used, "ratioKAlpha2KAlpha1"))
        facts = stated(
            sample_name=sample, instrument=text_of(measurement, "scan/header/source/instrumentControlSoftware"),
            goniometer_radius_mm=number(text_of(measurement, "incidentBeamPath/radius")),
        )  # fmt: skip
        slit = measurement.find("{*}incidentBeamPath/{*}divergenceSlit")
        if slit is not None:
            kind = next((value for key, value in slit.attrib.items() if key.endswith("type")), "")
            facts["divergence_slit"] = slit.get("name", kind)
            opens = "programmable" in kind.lower() or "automatic" in kind.lower()
            facts["variable_slit"] = opens and slit.find("{*}angle") is None
        detector = measurement.find("{*}diffractedBeamPath/{*}detector")
        facts |= stated(detector=None if detector is None else detector.get("name"))
        common = RawScan(
            emission_lines=emission_lines(alpha1, alpha2, ratio),
            anode=text_of(measurement, "incidentBeamPath/xRayTube/anodeMaterial"), metadata=facts,
        )  # fmt: skip
        kind = measurement.get("measurementType", "Scan")
        for scan in measurement.iterfind("{*}scan"):
            scans.append(_scan(scan, kind, replace(common, place=f"scan {len(scans)}")))
    return scans


def _scan(scan: Element, kind: str, common: RawScan) -> RawScan:
    axis, place = scan.get("scanAxis", ""), common.place
    points = scan.find("{*}dataPoints")
    if points is None:
        raise ReadError("the scan has no data points", place, "an element dataPoints")
    counts, intensities = points.find("{*}counts"), points.find("{*}intensities")
    given = counts if counts is not None else intensities
    if given is None:
        raise ReadError("the scan has neither counts nor intensities", place, "a list of counts")
    listed = (given.text or "").strip()
    breaks = listed.count("\n")
    if 0 < breaks <= 3 and listed.count(" ") > 100:
        msg = f"the list of counts, which has blanks between them, is broken by {breaks} line end(s)"
        raise ReadError(msg, place, "blanks only", "A count may be cut in two there.")
    y = number_list(listed, f"{place}, counts")
    n = len(y)
    seconds: float | FloatArray | None = number(text_of(points, "commonCountingTime"))
    if seconds is None:
        times = _per_point(points, "countingTimes", n, place, positive=False)
        seconds = float(times[0]) if times is not None and (times == times[0]).all() else times
    attenuation = _per_point(points, "beamAttenuationFactors", n, place)
    single = number(text_of(points, "commonBeamAttenuationFactor")) or 1.0
    if attenuation is None and single > 0 and single != 1.0:
        attenuation = np.full(n, single)
    divergence = _per_point(points, "divergenceCorrections", n, place) if counts is None else None
    factors = [factor for factor in (attenuation, divergence) if factor is not None]
    factor = np.prod(factors, axis=0) if factors else None
    if factor is not None and counts is not None:
        y = y * factor  # "intensities" have the factors applied, "counts" are as measured
    opened = counts is not None if text_of(points, "divergenceCorrections") else None
    facts = stated(variable_slit=opened, date=text_of(scan, "header/startTimeStamp"))
    reason = ""
    if axis.lower() not in _POWDER_AXES:
        reason = f"the scanned axis is {axis!r} (measurement type {kind!r}), not 2θ"
    elif "pole figure" in kind.lower():
        reason = f"the measurement type is {kind!r}"
    status = scan.get("status", "Completed")
    text = f"the scan's status is {status!r}: the measurement was not completed"
    x = _positions(points, "2Theta" if axis.lower() in _POWDER_AXES else axis, n, place)
    notes = [] if status == "Completed" else [NOT_COMPLETED(text)]
    if not reason:
        notes += _note_step(x)
    return replace(
        common, two_theta=x,
        intensity=y,
        unit="cps" if given.get("unit", "").lower() in {"cps", "counts per second"} else "counts",
        counting_time_s=seconds, attenuation=factor, axis=axis, not_powder=reason,
        metadata={**common.metadata, **facts},
        messages=tuple(notes),
    )  # fmt: skip


_ENDS_OFF = 5e-4
"""Rounding of both ends, degrees."""
_STEP_UNITS = (0.0005, 0.00835563, 0.00656514)
"""Degrees of which steps are made: of motors, and of the strips of X'Celerator and PIXcel."""


def _note_step(x: FloatArray) -> list[Diagnostic]:
    """Note ends and a number of counts that give an odd step, where a few counts more or fewer would give a round one.

    The file states the ends and no step, so that a count that is lost or doubled would move all angles.
    """
    n = len(x)
    if n < 50 or float(np.ptp(np.diff(x))) > 1e-6:
        return []
    span = float(x[-1] - x[0])

    def odd(intervals: int) -> bool:
        step = span / intervals
        off = min(abs(step / unit - round(step / unit)) * unit for unit in _STEP_UNITS)
        return off * intervals > _ENDS_OFF and round(span * 1e8) % intervals != 0  # or of eight decimals

    near = [k for k in sorted(range(-30, 31), key=abs) if k and n + k > 1 and not odd(n + k - 1)]
    if not odd(n - 1) or not near:
        return []
    text = (
        f"{n} counts from {x[0]:g} to {x[-1]:g}° make steps of {span / (n - 1):.6f}°; {n + near[0]} would make steps "
        f"of {span / (n + near[0] - 1):.6g}°: counts may be lost or doubled, which would move every angle"
    )
    return [MAYBE_CUT(text, held=n, expected=n + near[0])]


def _per_point(points: Element, name: str, n: int, place: str, *, positive: bool = True) -> FloatArray | None:
    """A list with one value for each count, or None where there is none."""
    text = text_of(points, name)
    if not text:
        return None
    values = number_list(text, f"{place}, {name}")
    if len(values) != n or (positive and not (values > 0).all()):
        msg = f"{len(values)} values of {name} for {n} counts"
        raise ReadError(msg, place, f"one {'positive ' if positive else ''}value per count")
    return values


def _positions(points: Element, axis: str, n: int, place: str) -> FloatArray:
    for element in points.iterfind("{*}positions"):
        if element.get("axis", "") != axis:
            continue
        unit = element.get("unit", "deg")
        if axis == "2Theta" and unit != "deg":
            raise ReadError(f"2Theta is in {unit!r}", place, "degrees")
        listed = _per_point(element, "listPositions", n, place, positive=False)
        if listed is not None:
            return listed
        start = number(text_of(element, "startPosition"))
        end = number(text_of(element, "endPosition"))
        if start is not None and end is not None and 2 <= n <= MAX_POINTS:
            return np.linspace(start, end, n)
        fixed = number(text_of(element, "commonPosition"))
        if fixed is not None and axis != "2Theta":
            return np.full(n, fixed)
    if axis != "2Theta":
        return np.arange(n, dtype=np.float64)  # no powder scan: refused by its axis, only counted here
    msg = f"the scan gives no positions of {axis!r} for its {n} counts"
    raise ReadError(msg, place, "startPosition and endPosition, or listPositions")
