"""Bruker/Siemens UXD: ``_KEY=value`` lines and ranges of counts, with or without their angles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, IntensityUnit
from xrdcomp.io.archive import (
    Fields,
    emission_lines,
    is_zip,
    number,
    number_list,
    odd_fractions,
    parse_xml,
    read_members,
)
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import RawScan, note_open_end, note_unusual_end, two_theta_grid
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

# ------------ Siemens/Bruker DIFFRAC RAW, the first three versions: ``RAW``, ``RAW2`` and ``RAW1.01`` (the
# third).
# All are chains of range headers and single-precision counts; the lengths must add up to the file's length.
# Layouts: DIFFRAC-AT manual, appendix B; DIFFRACplus File Exchange and XCH manual (2002), section A.1.

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
                messages=_doubts(x, y, theta, place),
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
    for index in range(ranges):
        place = f"range {index}"
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
                messages=_doubts(x, y, theta, place),
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
    for index in range(ranges):
        place = f"range {index}"
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
                messages=_doubts(x, y, theta, place),
            )
        )
        at += length + supplement + record * n
    _check_end(source, at, ranges)
    return scans


RAW1_TO_3 = (
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


# ------------ Bruker DIFFRAC.SUITE RAW, fourth version (``RAW4.00``): 61 bytes, then a chain of segments
# and ranges.
# A segment is kind, length and content; kind 0 or 160 instead begins a range: a header of 160 bytes with scan
# type, start, step and number of points, drive segments of declared total length, then the records, each led
# by the intensity in single precision.

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
            messages=odd_fractions(y, place),
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


RAW4 = XrdReader(
    id="bruker_raw_v4",
    name="Bruker DIFFRAC.SUITE RAW, fourth version (RAW4.00)",
    extensions=("raw",),
    sniff=lambda source: float(source.data[:7] == b"RAW4.00"),
    read=_read,
)


# ------------ Bruker DIFFRAC.SUITE BRML: a zip of XML, possibly inside a folder; one ``RawData<n>.xml`` per
# measurement.
# Every point is a comma-separated ``Datum``; ``DataViews`` name its columns: counting time, absorber factor,
# scan axes, recorded channels. Recorded counts are already multiplied by the absorber factor. Lowest, highest
# and mean value of each channel are stored beside it and compared.

_RAW_DATA = re.compile(r"(?:.*/)?RawData\d*\.xml\Z", re.IGNORECASE)
_MEASURED = {"count", "countrate"}
_ROUNDED = 2e-3
"""Angles are written with six figures, 0.001 degrees at worst."""


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Places in a datum: scan axes by name, fixed values by name, recorded channels."""

    axes: dict[str, int]
    fixed: dict[str, int]
    channels: list[tuple[int, Element]]
    external: bool


def _sniff(source: SourceFile) -> float:
    if not is_zip(source):
        return 0.0
    return 1.0 if b"RawData" in source.data and b".xml" in source.data else 0.0


def _brml_read(source: SourceFile) -> Sequence[RawScan]:
    members = read_members(source, lambda name: bool(_RAW_DATA.match(name)))
    scans: list[RawScan] = []
    for name, data in members.items():
        root = parse_xml(source, data, name)
        lines, anode, facts = _instrument(root)
        routes = root.findall("DataRoutes/DataRoute")
        for order, route in enumerate(routes):
            place = f"{name}, route {order}" if len(routes) > 1 else name
            last = order == len(routes) - 1
            found = _route_scans(route, source, place, (lines, anode, facts))
            scans += found if last else [replace(scan, default=False) for scan in found]
    if not members:
        raise source.error("the archive holds no RawData", expected="a member RawData0.xml")
    return scans


def _route_scans(
    route: Element,
    source: SourceFile,
    place: str,
    common: tuple[tuple[EmissionLine, ...], str, dict[str, str | float | int | bool]],
) -> list[RawScan]:
    lines, anode, facts = common
    information = route.find("ScanInformation")
    if information is None:
        return []
    columns = _columns(route)
    axis = information.get("VisibleName") or information.get("ScanName") or "?"
    rows = [(datum.text or "") for datum in route.iterfind("Datum")]
    reason = _not_powder(information, columns, axis)
    if reason:
        empty = np.zeros(0)
        return [
            RawScan(
                two_theta=empty, intensity=empty, axis=axis, not_powder=reason, place=place, metadata=facts
            )
        ]
    table = _table(rows, source, place)
    _check_length(route, information, len(table), source, place)
    if columns.axes["TwoTheta"] >= table.shape[1]:
        raise source.error("the angle's column is missing", place=place, expected="the columns of DataViews")
    x = _angles(table[:, columns.axes["TwoTheta"]], information, source, place)
    fixed = {name: table[:, at] for name, at in columns.fixed.items() if at < table.shape[1]}
    seconds = fixed.get("MeasuredTime")
    factor = fixed.get("AbsorptionFactor")
    if factor is not None and not (np.isfinite(factor).all() and (factor > 0).all()):
        raise source.error(
            "an absorber factor is not positive", place=place, expected="factors from 1 upwards"
        )
    scans = []
    for order, (at, recorded) in enumerate(columns.channels):
        if at >= table.shape[1]:
            raise source.error(
                "a channel's column is missing", place=place, expected="the columns of DataViews"
            )
        y = table[:, at]
        recording = recorded.find("Recording")
        name = recording.get("VisibleName", "") if recording is not None else ""
        _check_statistics(recorded, y, source, f"{place}, {name}")
        scans.append(
            RawScan(
                two_theta=x,
                intensity=y,
                unit=_unit(recording),
                counting_time_s=_seconds(seconds),
                attenuation=None if factor is None or (factor == 1).all() else factor,
                emission_lines=lines,
                anode=anode,
                axis=axis,
                default=order == 0,
                place=place,
                metadata=facts | {"channel": name},
            )
        )
    return scans


def _columns(route: Element) -> _Columns:
    axes: dict[str, int] = {}
    fixed: dict[str, int] = {}
    channels: list[tuple[int, Element]] = []
    external = False
    named = [info.get("AxisId", "") for info in route.iterfind("ScanInformation/ScanAxes/ScanAxisInfo")]
    for view in route.iterfind("DataViews/RawDataView"):
        kind = next((value for key, value in view.attrib.items() if key.endswith("}type")), "")
        start, length = int(view.get("Start", "0")), int(view.get("Length", "1"))
        varying = view.find("Varying")
        recording = view.find("Recording")
        if kind == "FixedRawDataView":
            fixed[view.get("LogicName", "")] = start
        elif varying is not None and varying.get("LogicName") == "ScanAxes":
            axes.update({name: start + i for i, name in enumerate(named[:length])})
        elif kind == "ExternallyRecordedRawDataView":
            external = True
        elif recording is not None and recording.get("Category", "").lower() in _MEASURED and length == 1:
            channels.append((start, view))
    return _Columns(axes=axes, fixed=fixed, channels=channels, external=external)


def _not_powder(information: Element, columns: _Columns, axis: str) -> str:
    if columns.external:
        return (
            "the intensities are two-dimensional frames outside the archive (integrate them, extra `frames`)"
        )
    scanned = [info.get("AxisId", "") for info in information.iterfind("ScanAxes/ScanAxisInfo")]
    if "TwoTheta" not in columns.axes:
        return f"the scan {axis!r} moves {', '.join(scanned) or 'nothing'}, not 2θ"
    if not columns.channels:
        return f"the scan {axis!r} holds no channel of counts"
    return ""


def _table(rows: list[str], source: SourceFile, place: str) -> FloatArray:
    if not rows:
        raise source.error("the scan holds no points", place=place, expected="Datum elements")
    width = rows[0].count(",") + 1
    for i, row in enumerate(rows):
        if row.count(",") + 1 != width:
            msg = f"datum {i} has {row.count(',') + 1} values, the first has {width}"
            raise source.error(msg, place=place, expected=f"{width} values")
    values = number_list(" ".join(rows), source, place, separator=",")
    if len(values) != width * len(rows):
        raise source.error("a datum has an empty value", place=place, expected="numbers between the commas")
    return values.reshape(len(rows), width)


def _check_length(route: Element, information: Element, n: int, source: SourceFile, place: str) -> None:
    declared = number(information.findtext("MeasurementPoints") or "")
    measured = [number(info.get("MeasuredSteps", "")) for info in route.iterfind("SubScans/SubScanInfo")]
    known = [value for value in measured if value is not None]
    expected = sum(known) if known else declared
    if expected is not None and int(expected) != n:
        msg = f"{int(expected)} points were measured, the file holds {n}"
        raise source.error(
            msg, place=place, expected="all measured points", hint="The file is cut or edited."
        )


def _angles(listed: FloatArray, information: Element, source: SourceFile, place: str) -> FloatArray:
    """Angles of the header's range, which has more figures, where the points agree with it."""
    for info in information.iterfind("ScanAxes/ScanAxisInfo"):
        if info.get("AxisId") != "TwoTheta":
            continue
        start, step = number(info.findtext("Start") or ""), number(info.findtext("Increment") or "")
        if start is None or step is None or step == 0:
            continue
        grid: FloatArray = start + step * np.arange(len(listed), dtype=np.float64)
        off = np.abs(grid - listed)
        if (off < _ROUNDED).all():
            return grid
        if np.mean(off < _ROUNDED) > 0.5:
            i = int(np.argmax(off))
            msg = f"point {i} stands at {listed[i]:g}°, the range says {grid[i]:g}°"
            raise source.error(msg, place=place, expected="both alike", hint="The file is damaged or edited.")
    return listed


def _check_statistics(view: Element, y: FloatArray, source: SourceFile, place: str) -> None:
    stated = view.find("Statistics")
    if stated is None or stated.get("Status") != "Succeeded":
        return
    for name, value in (("Maximum", y.max()), ("Minimum", y.min()), ("Mean", y.mean())):
        expected = number(stated.get(name, ""))
        if expected is not None and abs(expected - value) > 1e-5 * abs(expected) + 1e-3:
            msg = f"the {name.lower()} of the points is {value:.9g}, the file states {expected:.9g}"
            raise source.error(msg, place=place, expected="both alike", hint="The file is damaged or edited.")


def _unit(recording: Element | None) -> IntensityUnit:
    rate = recording is not None and recording.get("Category", "").lower() == "countrate"
    return "cps" if rate else "counts"


def _seconds(seconds: FloatArray | None) -> float | FloatArray | None:
    if seconds is None or not (seconds > 0).all():
        return None
    spread = float(np.ptp(seconds))
    return float(np.median(seconds)) if spread <= 1e-3 * float(seconds.max()) else seconds


def _instrument(root: Element) -> tuple[tuple[EmissionLine, ...], str, dict[str, str | float | int | bool]]:
    facts: dict[str, str | float | int | bool] = {}
    started = root.findtext("TimeStampStarted")
    if started:
        facts["date"] = started
    for item in root.iter("InfoItem"):
        if item.get("Name") == "SampleName" and item.get("Value"):
            facts["sample_name"] = str(item.get("Value"))
    track = root.find("FixedInformation/Instrument/PrimaryTracks/TrackInfoData/Radius")
    radius = number(track.get("Value", "")) if track is not None else None
    if radius is not None:
        facts["goniometer_radius_mm"] = radius
    tube = next(root.iter("Tube"), None)
    if tube is None:
        return (), "", facts

    def value(name: str) -> float:
        element = tube.find(name)
        return (number(element.get("Value", "")) if element is not None else None) or 0.0

    lines = emission_lines(
        value("WaveLengthAlpha1"),
        value("WaveLengthAlpha2"),
        value("WaveLengthRatio"),
        value("WaveLengthAverage"),
    )
    return lines, tube.findtext("TubeMaterial") or "", facts


BRML = XrdReader(
    id="brml", name="Bruker DIFFRAC.SUITE BRML", extensions=("brml",), sniff=_sniff, read=_brml_read
)


# ------------ Bruker/Siemens UXD: ``_KEY=value`` lines and ranges of counts, with or without their angles.

_DATA = re.compile(r"^_(2THETA)?(COUNTS|CPS)\s*=?[ \t]*$", re.MULTILINE)
_KEY = re.compile(r"^_(\w+)[ \t]*=[ \t]*'?([^'\n]*)'?[ \t]*$", re.MULTILINE)
_LISTED_ROUNDING = 0.0055
"""Half of the second decimal, the coarsest that listed angles are rounded to, and a little."""
_POWDER_DRIVES = {"COUPLED", "2THETA", "TTH", "LOCKED COUPLED", ""}


def _uxd_sniff(source: SourceFile) -> float:
    head = source.head_text
    return 1.0 if re.search(r"^_FILEVERSION\s*=", head, re.MULTILINE) else 0.7 if _DATA.search(head) else 0.0


def _uxd_read(source: SourceFile) -> Sequence[RawScan]:
    text = source.text
    starts = list(_DATA.finditer(text))
    general: dict[str, str] = {}
    scans: list[RawScan] = []
    before = 0
    for order, start in enumerate(starts):
        header = text[before : start.start()]
        end = starts[order + 1].start() if order + 1 < len(starts) else len(text)
        body = text[start.end() : end]
        stop = re.search(r"^[ \t]*[;_]", body, re.MULTILINE)
        before = start.end() + (stop.start() if stop else len(body))
        data = body[: stop.start()] if stop else body
        general |= {found[1]: found[2].strip() for found in _KEY.finditer(header)}
        scans.append(_uxd_range(general, start, data, source, f"range {order}"))
    return scans


def _uxd_range(
    keys: dict[str, str], mark: re.Match[str], data: str, source: SourceFile, place: str
) -> RawScan:
    start, step = number(keys.get("START", "")), number(keys.get("STEPSIZE", ""))
    values = number_list(data, source, place)
    if mark[1]:
        if len(values) % 2:
            msg = f"{len(values)} numbers where pairs of angle and intensity were announced"
            raise source.error(msg, place=place, expected="pairs", hint="The file is cut or damaged.")
        x, y = _even_angles(values[0::2], start, step, source, place), values[1::2]
    else:
        y = values
        if start is None or not step:
            raise source.error("the range lacks START or STEPSIZE", place=place, expected="both")
        x = two_theta_grid(start, step, len(y))
    declared = number(keys.get("STEPCOUNT", ""))
    if declared is not None and int(declared) != len(y):
        msg = f"the range declares {int(declared)} points and holds {len(y)}"
        raise source.error(msg, place=place, expected="both alike", hint="The file is cut or edited.")
    notes = note_unusual_end(x) + note_open_end(source.data) if declared is None else []
    drive = keys.get("DRIVE", "")
    seconds = number(keys.get("STEPTIME", ""))
    scale = 10.0 if keys.get("WL_UNIT", "A").upper() == "NM" else 1.0
    first, second, ratio = (number(keys.get(name, "")) or 0.0 for name in ("WL1", "WL2", "WLRATIO"))
    facts: dict[str, str | float | int | bool] = {}
    for key, fact in (("SAMPLE", "sample_name"), ("DATEMEASURED", "date"), ("USER", "user")):
        if keys.get(key):
            facts[fact] = keys[key]
    radius = number(keys.get("GONIOMETER_RADIUS", ""))
    if radius:
        facts["goniometer_radius_mm"] = radius
    if keys.get("VARDIVERGENCE"):
        facts["divergence_slit"] = f"variable, {keys['VARDIVERGENCE']}"
        facts["variable_slit"] = True
    return RawScan(
        two_theta=x,
        intensity=y,
        unit="counts" if mark[2] == "COUNTS" else "cps",
        counting_time_s=seconds if seconds and seconds > 0 else None,
        emission_lines=emission_lines(first * scale, second * scale, ratio),
        anode=keys.get("ANODE", "").capitalize(),
        axis=drive.lower() or "2theta",
        not_powder="" if drive.upper() in _POWDER_DRIVES else f"the moved drive is {drive}, not 2θ",
        place=place,
        metadata=facts,
        messages=tuple(notes),
    )


def _even_angles(
    listed: FloatArray, start: float | None, step: float | None, source: SourceFile, place: str
) -> FloatArray:
    """Angles on the even grid that the listed ones are rounded from.

    Listed angles carry two or three decimals, which at a step of 0.0156° shifts points by a third of it; the
    header's step carries six, which drifts over thousands of points. The grid starts at the header's start
    and takes the step that fits all listed angles best, provided that both agree.
    """
    n = len(listed)
    if start is None or not step or n < 2:
        return listed
    index = np.arange(n, dtype=np.float64)
    off = np.abs(start + step * index - listed)
    tolerance = _LISTED_ROUNDING + 1e-6 * n
    if off.max() <= tolerance:
        best = float(index @ (listed - start) / (index @ index))
        return start + best * index
    if np.median(off) <= tolerance:
        i = int(np.argmax(off))
        msg = f"point {i} stands at {listed[i]:g}°, start and step give {start + step * i:g}°"
        raise source.error(msg, place=place, expected="both alike", hint="The file is damaged or edited.")
    return listed


UXD = XrdReader(id="uxd", name="Bruker/Siemens UXD", extensions=("uxd",), sniff=_uxd_sniff, read=_uxd_read)
