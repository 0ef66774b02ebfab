"""Bruker DIFFRAC.SUITE BRML: a zip of XML, possibly inside a folder; one ``RawData<n>.xml`` per measurement.

Every point is a comma-separated ``Datum``; ``DataViews`` name its columns: counting time, absorber factor,
scan axes, recorded channels. Recorded counts are already multiplied by the absorber factor. Lowest, highest
and mean value of each channel are stored beside it and compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

import numpy as np

from xrdcomp.readers.archive import is_zip, read_members
from xrdcomp.readers.binary import emission_lines
from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import RawScan
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.xml_tools import number, number_list, parse_xml
from xrdcomp.types import EmissionLine, FloatArray, IntensityUnit

__all__ = ["READER"]

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


def _read(source: SourceFile) -> Sequence[RawScan]:
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


READER = XrdReader(
    id="brml", name="Bruker DIFFRAC.SUITE BRML", extensions=("brml",), sniff=_sniff, read=_read
)
