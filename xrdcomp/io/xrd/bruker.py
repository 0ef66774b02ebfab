"""Bruker and Siemens: RAW in four versions (binary), BRML (XML in a zip), UXD (text).

Layouts of RAW 1 to 3: DIFFRAC-AT manual, appendix B; DIFFRACplus File Exchange and XCH manual (2002), section A.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

import numpy as np

from xrdcomp.data import message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.archive import Fields, Header, is_zip, number, number_list, parse_xml, read_members, stated
from xrdcomp.io.registry import begins, has_all, xrd_reader
from xrdcomp.io.scans import (
    CUT,
    DAMAGED,
    SURPLUS_RECORDS,
    RawScan,
    check_count,
    declared_part,
    emission_lines,
    follows_grid,
    note_open_end,
    note_unusual_end,
    stated_wavelength,
    two_theta_grid,
)
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

START_DOUBTFUL = message_kind(
    "XRD_START_DOUBTFUL", "warning", "The header's θ is not half of its 2θ at the start.", threshold="0.01°"
)


def _grid(start: float, step: float, n: int, place: str) -> FloatArray:
    stop = start + step * (n - 1)
    if not (abs(start) <= 360 and 1e-6 < abs(step) < 30 and abs(stop) <= 720):
        msg = f"the range starts at {start:g} in steps of {step:g} for {n} points"
        raise ReadError(msg, place, "angles in degrees", "The file is damaged.")
    return two_theta_grid(start, step, n)


_SCAN_TYPES = {
    0: "locked coupled", 1: "unlocked coupled", 2: "detector scan", 3: "rocking curve", 4: "chi scan",
    5: "phi scan", 6: "x scan", 7: "y scan", 8: "z scan", 129: "fixed position-sensitive detector",
}  # fmt: skip
_POWDER_TYPES = {0, 1, 2}
_MOST_RANGES = 1000
_RANGE_FIELDS = {
    1: (("u32", 0), ("f32", 20), ("f32", 8), ("f32", 24), ("f32", 4)),
    2: (("u16", 2), ("f32", 16), ("f32", 12), ("f32", 20), ("f32", 8)),
    3: (("u32", 4), ("f64", 16), ("f64", 176), ("f64", 8), ("f32", 192)),
}
"""Kind and offset of number of points, start, step, θ and seconds in a range header, by version."""


def _range_scan(fields: Fields, version: int, header: int, data: int, common: RawScan, stride: int = 4) -> RawScan:
    """The range with header and records at these bytes, with signs of damage that the lengths do not show."""
    n, start, step, theta, seconds = (getattr(fields, kind)(header + offset) for kind, offset in _RANGE_FIELDS[version])
    x, y = _grid(start, step, n, common.place), fields.points(data, n, stride, common.place)
    notes = note_unusual_end(x)
    if 1.0 < theta < 180.0 and abs(2.0 * theta - x[0]) > 0.01:
        text = f"{common.place}: 2θ starts at {x[0]:g}° and θ at {theta:g}°, which is not half of it"
        notes.append(START_DOUBTFUL(text))
    time = seconds if 0 < seconds < 1e6 else None
    return replace(common, two_theta=x, intensity=y, unit="counts", counting_time_s=time, messages=tuple(notes))


def _ended(source: SourceFile, end: int, scans: list[RawScan]) -> list[RawScan]:
    """The scans where the file ends behind them; with a note where zeros follow, refused where anything else does."""
    rest = source.data[end:]
    if rest.strip(b"\x00") or end > len(source.data):
        msg = f"{len(scans)} range(s) end at byte {end}, the file has {len(source.data)}"
        hint = "The file is damaged, or was written by a program that appends to it."
        raise ReadError(msg, f"byte {end:#x}", "ranges that fill the file", hint)
    if not rest:
        return scans
    text = f"{len(rest)} zero bytes follow the {len(scans)} range(s) of the file; they were left out"
    return [replace(scan, messages=(*scan.messages, SURPLUS_RECORDS(text))) for scan in scans]


@xrd_reader("bruker_raw_v1", "Siemens DIFFRAC RAW, first version (RAW)", "raw", begins(rb"RAW "))
def raw1(source: SourceFile) -> Sequence[RawScan]:
    """Range header of 152 bytes after the four-letter signature; it says whether another range follows."""
    fields = Fields(source)
    scans: list[RawScan] = []
    at, follows = 4, 1
    while follows:
        place = f"range {len(scans)}"
        fields.need(at, 152, place)
        lines = emission_lines(fields.f32(at + 68), fields.f32(at + 72))
        facts = {"sample_name": fields.text(at + 36, 32)}
        common = RawScan(emission_lines=lines, place=place, metadata=facts)
        scans.append(_range_scan(fields, 1, at, at + 152, common))
        follows = fields.u32(at + 148)
        at += 152 + 4 * len(scans[-1].intensity)
        if follows and fields.data[at : at + 4] == b"RAW ":
            at += 4
        if len(scans) > _MOST_RANGES:
            raise ReadError(f"more than {_MOST_RANGES} ranges", expected="a chain that ends")
    return _ended(source, at, scans)


@xrd_reader("bruker_raw_v2", "Siemens/Bruker DIFFRAC-AT RAW, second version (RAW2)", "raw", begins(rb"RAW2"))
def raw2(source: SourceFile) -> Sequence[RawScan]:
    """File header of 256 bytes; each range header tells its own length and number of steps (16 bits)."""
    fields = Fields(source)
    date = f"{fields.text(168, 10)} {fields.text(178, 5)}".strip()
    common = RawScan(
        emission_lines=emission_lines(fields.f32(190), fields.f32(194), fields.f32(198)),
        anode=fields.text(188, 2).capitalize(), metadata={"sample_name": fields.text(8, 32), "date": date},
    )  # fmt: skip
    scans: list[RawScan] = []
    at = 256
    for index in range(fields.within("u16", 4, 1, _MOST_RANGES, "ranges")):
        place = f"range {index}"
        length = fields.within("u16", at, 24, 0xFFFF, f"bytes of header in {place}")
        scans.append(_range_scan(fields, 2, at, at + length, replace(common, place=place)))
        at += length + 4 * len(scans[-1].intensity)
    return _ended(source, at, scans)


@xrd_reader("bruker_raw_v3", "Bruker DIFFRACplus RAW, third version (RAW1.01)", "raw", begins(rb"RAW1\.01"))
def raw3(source: SourceFile) -> Sequence[RawScan]:
    """File header of 712 bytes; range headers of 304 bytes, a supplement, then records of 4 bytes or more."""
    fields = Fields(source)
    fields.need(0, 712, "the file header")
    average, alpha1, alpha2, _, ratio = (fields.f64(616 + 8 * i) for i in range(5))
    lines, anode = emission_lines(alpha1, alpha2, ratio, average), fields.text(608, 4).capitalize()
    facts: dict[str, str | float | int | bool] = {
        "sample_name": fields.text(326, 60).strip("_"),
        "date": f"{fields.text(16, 10)} {fields.text(26, 10)}",
        "goniometer_radius_mm": fields.f32(564),
    }
    scans: list[RawScan] = []
    at = 712
    for index in range(fields.within("u32", 12, 1, _MOST_RANGES, "ranges")):
        place = f"range {index}"
        length = fields.within("u32", at, 260, 4096, f"bytes of header in {place}")
        kind, varying, stride, supplement = (fields.u32(at + offset) for offset in (196, 248, 252, 256))
        if stride != 4 + 8 * varying.bit_count():
            msg = f"records of {stride} bytes with {varying.bit_count()} varying parameter(s)"
            raise ReadError(msg, place, "4 bytes and 8 for each parameter")
        axis, wavelength = _SCAN_TYPES.get(kind, f"scan type {kind}"), fields.f64(at + 240)
        other = bool(lines) and not abs(wavelength - lines[0].wavelength) < 1e-3
        reason = "" if kind in _POWDER_TYPES else f"the range is a {axis}, no scan over 2θ"
        common = RawScan(
            emission_lines=lines, anode=anode, axis=axis, not_powder=reason, place=place,
            metadata=facts | ({"wavelength_of_range": wavelength} if other else {}),
        )  # fmt: skip
        at += length + supplement
        scans.append(_range_scan(fields, 3, at - length - supplement, at, common, stride))
        at += stride * len(scans[-1].intensity)
    return _ended(source, at, scans)


MAX_SEGMENTS = 100_000
_POWDER = ("locked coupled", "unlocked coupled", "detector scan", "2theta", "twotheta")
_FACTS = {"SAMPLEID": "sample_name", "CREATOR": "written_by", "USER": "user", "SITE": "site"}


@xrd_reader("bruker_raw_v4", "Bruker DIFFRAC.SUITE RAW, fourth version (RAW4.00)", "raw", begins(rb"RAW4\.00"))
def raw4(source: SourceFile) -> Sequence[RawScan]:
    """61 bytes, then a chain of segments and ranges.

    A segment is kind, length and content; kind 0 or 160 instead begins a range: a header of 160 bytes with scan type,
    start, step and number of points, drive segments of declared total length, then the records, each led by the
    intensity in single precision.
    """
    fields = Fields(source)
    fields.need(0, 61, "the file header")
    common = RawScan(metadata={"date": f"{fields.text(12, 12)} {fields.text(24, 10)}"})
    scans: list[RawScan] = []
    at, segments = 61, 0
    while at < len(source.data):
        segments += 1
        if segments > MAX_SEGMENTS:
            raise ReadError(f"more than {MAX_SEGMENTS} segments", expected="a few dozen")
        kind = fields.u32(at) if at + 4 <= len(source.data) else 0
        if kind == 0 and scans and not source.data[at:].strip(b"\x00"):
            return _ended(source, at, scans)
        if kind in {0, 160}:
            scan, at = _range_v4(fields, at, replace(common, place=f"range {len(scans)}"))
            scans.append(scan)
            continue
        length = fields.within("u32", at + 4, 8, len(source.data) - at, "bytes in a segment")
        if kind == 10 and length >= 36:
            name, value = fields.text(at + 12, 24), fields.text(at + 36, length - 36)
            if name in _FACTS and value:
                common = replace(common, metadata={**common.metadata, _FACTS[name]: value})
        elif kind == 30 and length >= 120:
            average, alpha1, alpha2, _, ratio = (fields.f64(at + 72 + 8 * i) for i in range(5))
            lines = emission_lines(alpha1, alpha2, ratio, average)
            common = replace(common, emission_lines=lines, anode=fields.text(at + 116, 4))
        at += length
    return scans


def _range_v4(fields: Fields, at: int, common: RawScan) -> tuple[RawScan, int]:
    """The range whose header begins at a byte, and the byte after its last record."""
    place = common.place
    fields.need(at, 160, f"{place}: header")
    scan_type = fields.text(at + 32, 24)
    start, step, n = fields.f64(at + 72), fields.f64(at + 80), fields.u32(at + 88)
    seconds, stride, drives = fields.f32(at + 92), fields.u32(at + 136), fields.u32(at + 140)
    data = at + 160 + drives
    x = _grid(start, step, n, place)
    fields.need(at + 160, drives, "drive segments")
    begin, drive = None, at + 160
    while drive < data:  # position of 2Theta at the start of the range
        length = fields.within("u32", drive + 4, 8, len(fields.data) - drive, "bytes in a segment")
        if fields.u32(drive) == 50 and length >= 64 and fields.text(drive + 12, 24) == "2Theta":
            begin = fields.f64(drive + 56)
        drive += length
    if drive != data:
        raise ReadError(f"drive segments end here where byte {data} was declared", f"byte {drive:#x}", "both alike")
    y = fields.points(data, n, stride, place)
    reason = ""
    if not scan_type.lower().startswith(_POWDER):
        reason = f"the range is a scan of type {scan_type!r}, not over 2θ"
    elif begin is not None and abs(begin - start) > max(0.05, 2 * abs(step)):
        msg = f"the header starts at {start:g}°, the drive 2Theta stands at {begin:g}°"
        raise ReadError(msg, place, "both alike", "The file is damaged.")
    whole = bool(np.isfinite(y).all() and np.mean(y == np.round(y)) > 0.98)
    scan = replace(
        common, two_theta=x, intensity=y, unit="counts" if whole and (y >= 0).all() else "arbitrary",
        counting_time_s=seconds if 0 < seconds < 1e7 else None, axis=scan_type, not_powder=reason,
    )  # fmt: skip
    return scan, data + stride * n


_RAW_DATA = re.compile(r"(?:.*/)?RawData\d*\.xml\Z", re.IGNORECASE)
_MEASURED = {"count", "countrate"}
_ROUNDED = 2e-3
"""Angles are written with six figures, 0.001 degrees at worst."""


@xrd_reader(
    "brml", "Bruker DIFFRAC.SUITE BRML", "brml",
    lambda source: float(is_zip(source) and b"RawData" in source.data and b".xml" in source.data),
)  # fmt: skip
def brml(source: SourceFile) -> Sequence[RawScan]:
    """XML in a zip, possibly inside a folder; one ``RawData<n>.xml`` per measurement.

    Every point is a comma-separated ``Datum``; ``DataViews`` name its columns: counting time, absorber factor, scan
    axes, recorded channels. Recorded counts are already multiplied by the absorber factor. Lowest, highest and mean
    value of each channel are stored beside it and compared.
    """
    members = read_members(source, lambda name: bool(_RAW_DATA.match(name)))
    scans: list[RawScan] = []
    for name, data in members.items():
        root = parse_xml(data, name)
        samples = [item.get("Value") for item in root.iter("InfoItem") if item.get("Name") == "SampleName"]
        track = root.find("FixedInformation/Instrument/PrimaryTracks/TrackInfoData/Radius")
        facts = stated(
            date=root.findtext("TimeStampStarted"), sample_name=next(filter(None, reversed(samples)), ""),
            goniometer_radius_mm=number(track.get("Value", "")) if track is not None else None,
        )  # fmt: skip
        tube = next(root.iter("Tube"), None)
        common = RawScan(metadata=facts)
        if tube is not None:
            values = {each.tag: stated_wavelength(each.get("Value", "")) for each in tube}
            fields = (values.get(f"WaveLength{each}") for each in ("Alpha1", "Alpha2", "Ratio", "Average"))
            lines = emission_lines(*fields)
            common = replace(common, emission_lines=lines, anode=tube.findtext("TubeMaterial") or "")
        routes = root.findall("DataRoutes/DataRoute")
        for order, route in enumerate(routes):
            place = f"{name}, route {order}" if len(routes) > 1 else name
            last = order == len(routes) - 1
            scans += _route_scans(route, replace(common, place=place, default=last))
    if not members:
        raise ReadError("the archive holds no RawData", expected="a member RawData0.xml")
    return scans


def _route_scans(route: Element, common: RawScan) -> list[RawScan]:  # noqa: C901 - one thought: columns, table, channels
    """One scan per recorded channel; the first is the one that is read without being asked for."""
    information = route.find("ScanInformation")
    if information is None:
        return []
    scanned = [info.get("AxisId", "") for info in information.iterfind("ScanAxes/ScanAxisInfo")]
    axis = information.get("VisibleName") or information.get("ScanName") or "?"
    places: dict[str, int] = {}  # of scan axes and fixed values in a datum
    channels: list[tuple[int, Element]] = []
    reason = ""
    for view in route.iterfind("DataViews/RawDataView"):
        kind = next((value for key, value in view.attrib.items() if key.endswith("}type")), "")
        start, length = int(view.get("Start", "0")), int(view.get("Length", "1"))
        varying, recording = view.find("Varying"), view.find("Recording")
        if kind == "FixedRawDataView":
            places[view.get("LogicName", "")] = start
        elif varying is not None and varying.get("LogicName") == "ScanAxes":
            places.update({name: start + i for i, name in enumerate(scanned[:length])})
        elif kind == "ExternallyRecordedRawDataView":
            reason = "the intensities are two-dimensional frames outside the archive (integrate them, extra `frames`)"
        elif recording is not None and recording.get("Category", "").lower() in _MEASURED and length == 1:
            channels.append((start, view))
    if not reason and "TwoTheta" not in places:
        reason = f"the scan {axis!r} moves {', '.join(scanned) or 'nothing'}, not 2θ"
    if not reason and not channels:
        reason = f"the scan {axis!r} holds no channel of counts"
    if reason:
        return [replace(common, axis=axis, not_powder=reason, emission_lines=(), anode="")]
    place = common.place
    rows = [(datum.text or "") for datum in route.iterfind("Datum")]
    widths = [row.count(",") + 1 for row in rows]
    if not rows:
        raise ReadError("the scan holds no points", place, "Datum elements")
    if odd := next((i for i, n in enumerate(widths) if n != widths[0]), 0):
        raise ReadError(
            f"datum {odd} has {widths[odd]} values, the first has {widths[0]}", place, f"{widths[0]} values"
        )
    table = number_list(" ".join(rows), place, separator=",")
    if len(table) != sum(widths):
        raise ReadError("a datum has an empty value", place, "numbers between the commas")
    table = table.reshape(len(rows), -1)
    measured = [number(info.get("MeasuredSteps", "")) for info in route.iterfind("SubScans/SubScanInfo")]
    known = [steps for steps in measured if steps is not None]
    declared = sum(known) if known else number(information.findtext("MeasurementPoints") or "")
    check_count(len(table), declared, place, "measured points")
    if max(places["TwoTheta"], *(at for at, _ in channels)) >= table.shape[1]:
        raise ReadError("the column of the angle or of a channel is missing", place, "the columns of DataViews")
    columns = {name: table[:, at] for name, at in places.items() if at < table.shape[1]}
    factor, times = columns.get("AbsorptionFactor"), columns.get("MeasuredTime")
    if factor is not None and not (np.isfinite(factor).all() and (factor > 0).all()):
        raise ReadError("an absorber factor is not positive", place, "factors from 1 upwards")
    seconds: float | FloatArray | None = times if times is not None and (times > 0).all() else None
    if isinstance(seconds, np.ndarray) and float(np.ptp(seconds)) <= 1e-3 * float(seconds.max()):
        seconds = float(np.median(seconds))
    common = replace(
        common, axis=axis, two_theta=_angles(columns["TwoTheta"], information, place),
        counting_time_s=seconds, attenuation=None if factor is None or (factor == 1).all() else factor,
    )  # fmt: skip
    scans: list[RawScan] = []
    for at, view in channels:
        recording, y = view.find("Recording"), table[:, at]
        attributes = {} if recording is None else recording.attrib
        name, rate = attributes.get("VisibleName", ""), attributes.get("Category", "").lower() == "countrate"
        _check_statistics(view, y, f"{place}, {name}")
        scan = replace(
            common, intensity=y, unit="cps" if rate else "counts",
            default=common.default and not scans, metadata={**common.metadata, "channel": name},
        )  # fmt: skip
        scans.append(scan)
    return scans


def _angles(listed: FloatArray, information: Element, place: str) -> FloatArray:
    """Angles of the header's range, which has more figures, where the points agree with it."""
    for info in information.iterfind("ScanAxes/ScanAxisInfo[@AxisId='TwoTheta']"):
        start, step = number(info.findtext("Start") or ""), number(info.findtext("Increment") or "")
        if start is not None and step:
            grid = two_theta_grid(start, step, len(listed))
            if follows_grid(listed, grid, _ROUNDED, place):
                return grid
    return listed


def _check_statistics(view: Element, y: FloatArray, place: str) -> None:
    statistics = view.find("Statistics")
    if statistics is None or statistics.get("Status") != "Succeeded":
        return
    for name, value in (("Maximum", y.max()), ("Minimum", y.min()), ("Mean", y.mean())):
        expected = number(statistics.get(name, ""))
        if expected is not None and abs(expected - value) > 1e-5 * abs(expected) + 1e-3:
            msg = f"the {name.lower()} of the points is {value:.9g}, the file states {expected:.9g}"
            raise ReadError(msg, place, "both alike", DAMAGED)


_DATA = re.compile(r"^_(2THETA)?(COUNTS|CPS)(TIME)?\s*=?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_COMMA = re.compile(r"-?\d+,\d+")
_KEY = re.compile(r"^_(\w+)[ \t]*=[ \t]*'?([^'\n]*)'?[ \t]*$", re.MULTILINE)
_LISTED_ROUNDING = 0.0055
"""Half of the second decimal, the coarsest that listed angles are rounded to, and a little."""
_POWDER_DRIVES = {"COUPLED", "2THETA", "TWOTHETA", "TTH", "LOCKED COUPLED", ""}


@xrd_reader(
    "uxd", "Bruker/Siemens UXD", "uxd", has_all((1.0, (r"(?i)^_FILEVERSION\s*=",)), (0.7, (f"(?i){_DATA.pattern}",))),
)  # fmt: skip
def uxd(source: SourceFile) -> Sequence[RawScan]:
    """``_KEY=value`` lines and ranges of counts, with or without their angles before and their times behind them."""
    text = source.text
    marks = list(_DATA.finditer(text))
    keys = Header()
    scans: list[RawScan] = []
    before = 0
    for order, mark in enumerate(marks):
        body = text[mark.end() : marks[order + 1].start() if order + 1 < len(marks) else len(text)]
        stop = re.search(r"^[ \t]*_", body, re.MULTILINE)
        data = body[: stop.start()] if stop else body
        keys.update({found[1].upper(): found[2].strip() for found in _KEY.finditer(text[before : mark.start()])})
        keys.update({key: value.replace(",", ".") for key, value in keys.items() if _COMMA.fullmatch(value)})
        before = mark.end() + len(data)
        data = re.sub(r"^[ \t]*;.*$", "", data, flags=re.MULTILINE)
        if "," in data:
            data = data.replace(",", " " if re.search(r",\s", data) or not _COMMA.search(data) else ".")
        place = f"range {order}"
        start, step, declared = map(keys.number, ("START", "STEPSIZE", "STEPCOUNT"))
        values = number_list(data, place)
        width = 1 + bool(mark[1]) + bool(mark[3])
        if any(len(row.split()) % width for row in data.split("\n")) or len(values) % width:
            msg = f"a row holds another number of values than {width} for each point"
            raise ReadError(msg, place, " and ".join(filter(None, ("angle" * bool(mark[1]), "intensity"))), CUT)
        seconds: float | FloatArray | None = keys.number("STEPTIME")
        if mark[3]:
            times, values = values[width - 1 :: width], np.delete(values, np.s_[width - 1 :: width])
            alike = len(times) > 0 and bool((times == times[0]).all())
            seconds = float(times[0]) if alike else times[: int(declared or len(times))]
        elif seconds is not None and seconds <= 0:
            seconds = None
        if mark[1]:
            x, y = values[0::2], values[1::2]
            n, notes = declared_part(y, declared, place, angles=x)
            x, y = x[:n], y[:n]
            if start is not None and step and len(x) > 1:
                # Listed angles are rounded to two or three decimals, a third of a step of 0.0156°; the header's step
                # has six, which drifts over thousands of points. Where both agree, the best step stands.
                index = np.arange(len(x), dtype=np.float64)
                if follows_grid(x, start + step * index, _LISTED_ROUNDING + 1e-6 * len(x), place):
                    x = two_theta_grid(start, float(index @ (x - start) / (index @ index)), len(x))
        elif start is None or not step:
            raise ReadError("the range lacks START or STEPSIZE", place, "both")
        else:
            n, notes = declared_part(values, declared, place)
            x, y = two_theta_grid(start, step, n), values[:n]
        scale = 10.0 if keys["WL_UNIT"].upper() == "NM" else 1.0
        first, second = ((keys.wavelength(name) or 0.0) * scale for name in ("WL1", "WL2"))
        radius, drive = keys.number("GONIOMETER_RADIUS"), keys["DRIVE"]
        facts = keys.facts(sample_name="SAMPLE", date="DATEMEASURED", user="USER")
        facts |= stated(goniometer_radius_mm=radius or None)
        if keys["VARDIVERGENCE"]:
            facts |= {"divergence_slit": f"variable, {keys['VARDIVERGENCE']}", "variable_slit": True}
        scan = RawScan(
            two_theta=x, intensity=y, unit="counts" if mark[2].upper() == "COUNTS" else "cps",
            counting_time_s=seconds,
            emission_lines=emission_lines(first, second, keys.number("WLRATIO")),
            anode=keys["ANODE"].capitalize(), axis=drive.lower() or "2theta",
            not_powder="" if drive.upper() in _POWDER_DRIVES else f"the moved drive is {drive}, not 2θ",
            place=place, metadata=facts,
            messages=notes if declared is not None else (*note_unusual_end(x), *note_open_end(source.data)),
        )  # fmt: skip
        scans.append(scan)
    return scans
