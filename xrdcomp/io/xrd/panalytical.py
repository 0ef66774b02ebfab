"""PANalytical XRDML, versions 1.x and 2.x: one XML file, any number of scans.

Version 1 writes ``intensities``, already multiplied by attenuation and divergence factors; version 2 writes
``counts`` as the detector gave them with ``beamAttenuationFactors`` beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine
from xrdcomp.io.archive import number, number_list, parse_xml, text_of
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import MAX_POINTS, RawScan
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

_POWDER_AXES = {"gonio", "2theta", "2theta-omega", "omega-2theta", "2theta-theta", "theta-2theta"}


def _sniff(source: SourceFile) -> float:
    if b"xrdMeasurements" in source.head[:4096] or "<xrdMeasurements" in source.head_text:
        return 1.0
    return 0.7 if b"XRDMeasurement" in source.head[:4096] else 0.0


def _read(source: SourceFile) -> Sequence[RawScan]:
    root = parse_xml(source, source.data)
    common = _sample(root)
    scans: list[RawScan] = []
    for measurement in root.iterfind("{*}xrdMeasurement"):
        lines, anode = _radiation(measurement, source)
        facts = common | _instrument(measurement)
        kind = measurement.get("measurementType", "Scan")
        for scan in measurement.iterfind("{*}scan"):
            place = f"scan {len(scans)}"
            scans.append(_scan(scan, source, place, kind, (lines, anode, facts)))
    return scans


def _scan(
    scan: Element,
    source: SourceFile,
    place: str,
    kind: str,
    common: tuple[tuple[EmissionLine, ...], str, dict[str, str | float | int | bool]],
) -> RawScan:
    lines, anode, facts = common
    axis = scan.get("scanAxis", "")
    points = scan.find("{*}dataPoints")
    if points is None:
        raise source.error("the scan has no data points", place=place, expected="an element dataPoints")
    y, unit, factor = _intensities(points, source, place)
    n = len(y)
    moved = "2Theta" if axis.lower() in _POWDER_AXES else axis
    x = _positions(points, moved, n, source, place)
    reason = ""
    if axis.lower() not in _POWDER_AXES:
        reason = f"the scanned axis is {axis!r} (measurement type {kind!r}), not 2θ"
    elif "pole figure" in kind.lower():
        reason = f"the measurement type is {kind!r}"
    notes = []
    if scan.get("status", "Completed") != "Completed":
        text = f"the scan's status is {scan.get('status')!r}: the measurement was not completed"
        notes.append(Diagnostic(code="XRD_NOT_COMPLETED", severity="warning", text=text))
    if text_of(points, "divergenceCorrections"):  # "intensities" have them applied, "counts" are as measured
        facts = facts | {"variable_slit": points.find("{*}counts") is not None}
    stamp = text_of(scan, "header/startTimeStamp")
    if stamp:
        facts = facts | {"date": stamp}
    return RawScan(
        two_theta=x,
        intensity=y if factor is None else y * factor,
        unit="cps" if unit.lower() in {"cps", "counts per second"} else "counts",
        counting_time_s=_times(points, n, source, place),
        attenuation=factor,
        emission_lines=lines,
        anode=anode,
        axis=axis,
        not_powder=reason,
        place=place,
        metadata=facts,
        messages=tuple(notes),
    )


def _intensities(
    points: Element, source: SourceFile, place: str
) -> tuple[FloatArray, str, FloatArray | None]:
    """Detector counts, their unit, and the factors that turn them into intensities (None: all one)."""
    counts = points.find("{*}counts")
    given = counts if counts is not None else points.find("{*}intensities")
    if given is None:
        msg = "the scan has neither counts nor intensities"
        raise source.error(msg, place=place, expected="a list of counts")
    listed = (given.text or "").strip()
    breaks = listed.count("\n")
    if 0 < breaks <= 3 and listed.count(" ") > 100:
        msg = f"the list of counts, which has blanks between them, is broken by {breaks} line end(s)"
        raise source.error(msg, place=place, expected="blanks only", hint="A count may be cut in two there.")
    y = number_list(listed, source, f"{place}, counts")
    factor = _factors(points, "beamAttenuationFactors", len(y), source, place)
    common = number(text_of(points, "commonBeamAttenuationFactor"))
    if factor is None and common is not None and common > 0 and common != 1.0:
        factor = np.full(len(y), common)
    if counts is None:
        divergence = _factors(points, "divergenceCorrections", len(y), source, place)
        if divergence is not None:
            factor = divergence if factor is None else factor * divergence
        if factor is not None:
            y = y / factor
    return y, given.get("unit", "counts"), factor


def _factors(points: Element, name: str, n: int, source: SourceFile, place: str) -> FloatArray | None:
    text = text_of(points, name)
    if not text:
        return None
    factor = number_list(text, source, f"{place}, {name}")
    if len(factor) != n or not (factor > 0).all():
        msg = f"{len(factor)} values of {name} for {n} counts"
        raise source.error(msg, place=place, expected="one positive factor per point")
    return factor


def _positions(points: Element, axis: str, n: int, source: SourceFile, place: str) -> FloatArray:
    for element in points.iterfind("{*}positions"):
        if element.get("axis", "") != axis:
            continue
        unit = element.get("unit", "deg")
        if axis == "2Theta" and unit != "deg":
            raise source.error(f"2Theta is in {unit!r}", place=place, expected="degrees")
        listed = text_of(element, "listPositions")
        if listed:
            x = number_list(listed, source, f"{place}, listPositions")
            if len(x) != n:
                msg = f"{len(x)} positions for {n} counts"
                raise source.error(msg, place=place, expected="as many of both")
            return x
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
    raise source.error(msg, place=place, expected="startPosition and endPosition, or listPositions")


def _times(points: Element, n: int, source: SourceFile, place: str) -> float | FloatArray | None:
    common = number(text_of(points, "commonCountingTime"))
    if common is not None:
        return common
    listed = text_of(points, "countingTimes")
    if not listed:
        return None
    times = number_list(listed, source, f"{place}, countingTimes")
    if len(times) != n:
        raise source.error(
            f"{len(times)} counting times for {n} counts", place=place, expected="as many of both"
        )
    return float(times[0]) if (times == times[0]).all() else times


def _radiation(measurement: Element, source: SourceFile) -> tuple[tuple[EmissionLine, ...], str]:
    used = measurement.find("{*}usedWavelength")
    anode = text_of(measurement, "incidentBeamPath/xRayTube/anodeMaterial")
    first = number(text_of(used, "kAlpha1"))
    if first is None:
        return (), anode
    if not 0.1 < first < 5.0:
        raise source.error(f"a wavelength of {first:g} Å", expected="0.1 to 5 Å", place="usedWavelength")
    lines = [EmissionLine(wavelength=first)]
    second, ratio = number(text_of(used, "kAlpha2")), number(text_of(used, "ratioKAlpha2KAlpha1"))
    if second is not None and ratio is not None and 0 < ratio < 1 and 0.98 < second / first < 1.02:
        lines.append(EmissionLine(wavelength=second, weight=ratio))
    return tuple(lines), anode


def _sample(root: Element) -> dict[str, str | float | int | bool]:
    facts: dict[str, str | float | int | bool] = {}
    name = text_of(root, "sample/name") or text_of(root, "sample/id")
    if name:
        facts["sample_name"] = name
    return facts


def _instrument(measurement: Element) -> dict[str, str | float | int | bool]:
    facts: dict[str, str | float | int | bool] = {}
    control = text_of(measurement, "scan/header/source/instrumentControlSoftware")
    if control:
        facts["instrument"] = control
    radius = number(text_of(measurement, "incidentBeamPath/radius"))
    if radius is not None:
        facts["goniometer_radius_mm"] = radius
    slit = measurement.find("{*}incidentBeamPath/{*}divergenceSlit")
    if slit is not None:
        kind = next((value for key, value in slit.attrib.items() if key.endswith("type")), "")
        facts["divergence_slit"] = slit.get("name", kind)
        opens = "programmable" in kind.lower() or "automatic" in kind.lower()
        facts["variable_slit"] = opens and slit.find("{*}angle") is None
    detector = measurement.find("{*}diffractedBeamPath/{*}detector")
    if detector is not None and detector.get("name"):
        facts["detector"] = str(detector.get("name"))
    return facts


XRDML = XrdReader(
    id="xrdml", name="PANalytical XRDML 1.x and 2.x", extensions=("xrdml", "xml"), sniff=_sniff, read=_read
)
