"""Rigaku RAS and RASX, which hold rows of angle, counts and attenuator factor, and ASCII."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xrdcomp.data import IntensityUnit, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.archive import Header, is_zip, number_list, parse_xml, read_members
from xrdcomp.io.registry import begins, has_all, xrd_reader
from xrdcomp.io.scans import (
    AXIS_NAME,
    RawScan,
    check_count,
    declared_part,
    emission_lines,
    follows_grid,
    grid_to_end,
    refuse_other_axis,
    two_theta_grid,
)
from xrdcomp.io.source import SourceFile, decode_text

CHECKSUM = message_kind(
    "XRD_CHECKSUM", "warning",
    "The checksum that the instrument stored is not that of the profile: the file was changed after measurement.",
)  # fmt: skip

MAX_FACTORS = 12
"""More absorbers than an instrument has."""
_POWDER_AXES = {
    "twothetatheta", "twotheta", "twothetaomega", "2theta/theta", "2theta", "2theta/omega", "2theta-theta",
    "thetad", "twothetathetawithoutthetas", "theta/2-theta", "2-theta/theta",
}  # fmt: skip
_RATES = {"cps", "counts/s", "counts/sec"}
_TARGETS = {29: "Cu", 27: "Co", 42: "Mo", 24: "Cr", 26: "Fe", 47: "Ag"}
_RAS_KEY = re.compile(r'\*(\S+)\s*(?:=\s*)?"?([^"\n]*)"?')
_ASCII_KEY = re.compile(r"^\*(\w+)[ \t]*=[ \t]*(.*)$", re.MULTILINE)
_RASX_PATHS = {
    "FILE_SAMPLE": "GeneralInformation/SampleName",
    "HW_GONIOMETER_NAME": "GeneralInformation/SystemName",
    "MEAS_DATA_COUNT": "ScanInformation/DataCount",
    "MEAS_SCAN_AXIS_X": "ScanInformation/AxisName",
    "MEAS_SCAN_MODE": "ScanInformation/Mode",
    "MEAS_SCAN_SPEED": "ScanInformation/Speed",
    "MEAS_SCAN_SPEED_UNIT": "ScanInformation/SpeedUnit",
    "MEAS_SCAN_START": "ScanInformation/Start",
    "MEAS_SCAN_START_TIME": "ScanInformation/StartTime",
    "MEAS_SCAN_STEP": "ScanInformation/Step",
    "MEAS_SCAN_UNIT_Y": "ScanInformation/IntensityUnit",
    "MEAS_COND_XG_WAVE_TYPE": "HWConfigurations/XrayGenerator/WaveType",
    "HW_XG_TARGET_NAME": "HWConfigurations/XrayGenerator/TargetName",
    "HW_XG_WAVE_LENGTH_ALPHA1": "HWConfigurations/XrayGenerator/WavelengthKalpha1",
    "HW_XG_WAVE_LENGTH_ALPHA2": "HWConfigurations/XrayGenerator/WavelengthKalpha2",
}
"""Places in the XML of a RASX by the key under which a RAS states the same."""


def _powder_reason(axis: str) -> str:
    plain = axis.lower().replace(" ", "").replace("θ", "theta").replace("ω", "omega")
    return "" if plain in _POWDER_AXES else f"the scanned axis is {axis!r}, not 2θ"


def _unit(text: str) -> IntensityUnit:
    return "cps" if text.lower() in _RATES else "counts" if text else "arbitrary"


def _seconds(speed: float | None, unit: str, step: float | None) -> float | None:
    """Counting time per point from degrees per minute, or stated in seconds."""
    if not speed or not step or speed <= 0:
        return None
    if "min" in unit.lower():
        return round(60.0 * abs(step) / speed, 9)
    return speed if unit.lower().startswith("sec") else None


def _scan(keys: Header, text: str, place: str) -> RawScan:
    """Scan of RAS keys and rows of angle, counts and attenuator factor."""
    rows = [row for row in text.split("\n") if row.strip()]
    if not rows:
        raise ReadError("the scan holds no points", place, "rows of angle and counts")
    widths = [len(row.split()) for row in rows]
    if set(widths) not in ({2}, {3}):
        at = next((i for i, width in enumerate(widths) if width != widths[0]), 0)
        msg = f"row {at} of the scan, {rows[at].strip()[:50]!r}, has {widths[at]} columns"
        raise ReadError(msg, place, "angle, counts and attenuator factor in every row")
    table = number_list("\n".join(rows), place).reshape(len(rows), -1)
    x, y = table[:, 0], table[:, 1]
    factor = table[:, 2] if table.shape[1] == 3 else np.ones(len(x))
    if len(y) >= 20 and (y == 1.0).all():
        hint = "The column of counts may be missing; export it again."
        raise ReadError("every count is 1, as an attenuator factor is", place, "counts in the second column", hint)
    n, notes = declared_part(y, keys.number("MEAS_DATA_COUNT"), place, angles=x)
    x, y, factor = x[:n], y[:n], factor[:n]
    if not (np.isfinite(factor).all() and (factor > 0).all()):
        raise ReadError("an attenuator factor is not positive", place, "factors from 1 upwards")
    if len(np.unique(factor)) > MAX_FACTORS:
        msg = f"the third column holds {len(np.unique(factor))} different attenuator factors"
        raise ReadError(msg, place, f"{MAX_FACTORS} at most", "Columns may be exchanged; export it again.")
    start, step = keys.number("MEAS_SCAN_START"), keys.number("MEAS_SCAN_STEP")
    if start is not None and step and len(x) > 1:
        tolerance = max(2e-3, 0.1 * abs(step), 6e-5 * len(x))
        follows_grid(x, two_theta_grid(start, step, len(x)), tolerance, place)
    axis = keys["MEAS_SCAN_AXIS_X_INTERNAL"] or keys["MEAS_SCAN_AXIS_X"]
    reason = _powder_reason(axis) if axis else ""
    if not axis:
        refuse_other_axis(x, "2θ in degrees in the first column", "Name the axis, as *MEAS_SCAN_AXIS_X does.")
        text = f"{place}: the file does not name its axis; read as 2θ in degrees"
        notes = (*notes, AXIS_NAME(text, name=""))
    if "POLEFIG" in keys["FILE_DATA_TYPE"] and not reason:
        reason = f"the file's data type is {keys['FILE_DATA_TYPE']}"
    single = keys["MEAS_COND_XG_WAVE_TYPE"].lower() in {"ka1", "k_alpha1"}
    alpha1, alpha2 = map(keys.wavelength, ("HW_XG_WAVE_LENGTH_ALPHA1", "HW_XG_WAVE_LENGTH_ALPHA2"))
    lines = emission_lines(alpha1, None if single else alpha2)
    facts = keys.facts(
        sample_name="FILE_SAMPLE", date="MEAS_SCAN_START_TIME", instrument="HW_GONIOMETER_NAME",
        detector="HW_COUNTER_SELECT_NAME", scan_mode="MEAS_SCAN_MODE",
    )  # fmt: skip
    return RawScan(
        two_theta=x, intensity=y * factor, unit=_unit(keys["MEAS_SCAN_UNIT_Y"]), axis=axis or "2theta",
        counting_time_s=_seconds(keys.number("MEAS_SCAN_SPEED"), keys["MEAS_SCAN_SPEED_UNIT"], step),
        attenuation=None if (factor == 1).all() else factor, emission_lines=lines,
        anode=keys["HW_XG_TARGET_NAME"], not_powder=reason, place=place, metadata=facts, messages=notes,
    )  # fmt: skip


@xrd_reader("ras", "Rigaku RAS", "ras", begins(rb".{0,185}\*RAS_DATA_START"))
def ras(source: SourceFile) -> Sequence[RawScan]:
    """Pairs of ``*RAS_HEADER`` and ``*RAS_INT`` sections, any number of scans."""
    text = source.text
    if "*RAS_DATA_END" not in text[-400:]:
        msg = "the file does not end with *RAS_DATA_END"
        raise ReadError(msg, f"line {len(source.lines)}", "a complete file", "It is cut.")
    scans: list[RawScan] = []
    blocks = re.split(r"\*RAS_HEADER_START" if "*RAS_HEADER_START" in text else r"\*RAS_DATA_START", text)
    for block in blocks[1:]:
        place = f"scan {len(scans)}"
        header, found, rest = block.partition("*RAS_INT_START")
        rows, ended, _ = rest.partition("*RAS_INT_END")
        if not found or not ended:
            raise ReadError("the scan has no end", place, "*RAS_INT_START and *RAS_INT_END")
        matches = filter(None, map(_RAS_KEY.match, header.split("\n")))
        keys = Header({match[1]: match[2].strip() for match in matches})
        scans.append(_scan(keys, rows, place))
    return scans


@xrd_reader(
    "rasx", "Rigaku RASX", "rasx", lambda source: float(is_zip(source) and b"MesurementConditions" in source.data),
)  # fmt: skip
def rasx(source: SourceFile) -> Sequence[RawScan]:
    """A zip with ``Data<n>/Profile<n>.txt``, each with its conditions as XML, and MD5 sums of both."""
    members = read_members(source, lambda name: name.endswith((".xml", ".txt")))
    root = parse_xml(members["root.xml"], "root.xml") if "root.xml" in members else ()
    sums = {
        f"{folder.tag}/{each.get('Name')}": str(each.get("ContentHash", "")).lower()
        for folder in root
        for each in folder.iterfind("ContentHashList")
    }
    scans: list[RawScan] = []
    for name, data in members.items():
        found = re.fullmatch(r"(Data\d+)/Profile(\d+)\.txt", name)
        if not found:
            continue
        conditions = f"{found[1]}/MesurementConditions{found[2]}.xml"
        if conditions not in members:
            raise ReadError("the measurement conditions are missing", name, "their XML")
        text, encoding = decode_text(data)
        if not encoding:
            raise ReadError("the profile is binary", name, "text")
        stated = parse_xml(members[conditions], conditions)
        keys = Header({key: (stated.findtext(path) or "").strip() for key, path in _RASX_PATHS.items()})
        scan = _scan(keys, text, name)
        body = data.removeprefix(b"\xef\xbb\xbf")
        if sums.get(name) and hashlib.md5(body, usedforsecurity=False).hexdigest() != sums[name]:
            note = f"the checksum of {name} is not the one that the instrument stored: the file was changed afterwards"
            scan = replace(scan, messages=(*scan.messages, CHECKSUM(note)))
        scans.append(scan)
    if not scans:
        msg = "the archive holds no profile"
        raise ReadError(msg, expected="Data0/Profile0.txt", hint="Frames need the extra `frames`.")
    return scans


@xrd_reader("rigaku_ascii", "Rigaku ASCII (*TYPE = Raw)", "asc dat txt", has_all((1.0, (r"\*CLASS", r"^\*TYPE\s*="))))
def rigaku_ascii(source: SourceFile) -> Sequence[RawScan]:
    """``*KEY = value`` lines and counts separated by commas, group by group."""
    parts = re.split(r"^\*BEGIN\s*$", source.text, flags=re.MULTILINE)
    general = dict(_ASCII_KEY.findall(parts[0]))
    groups = Header(general)
    if "Polefig" not in groups["CLASS"]:
        check_count(len(parts) - 1, groups.number("GROUP_COUNT"), "*GROUP_COUNT", "group(s)")
    scans: list[RawScan] = []
    for part in parts[1:]:
        place = f"group {len(scans)}"
        stated = general | dict(_ASCII_KEY.findall(part))
        keys = Header({key: value.strip() for key, value in stated.items()})
        body, ended, _ = part.partition("*END")
        if not ended:
            raise ReadError("the group has no *END", place, "a complete file", "It is cut.")
        head, _, data = body.rpartition("*COUNT")
        lines = data.split("\n")[1:]
        y = number_list("\n".join(line for line in lines if line[:1] != "#"), place, separator=",")
        count, start, step, stop = map(keys.number, ("COUNT", "START", "STEP", "STOP"))
        if not head or count is None or start is None or not step:
            raise ReadError("the group lacks COUNT, START or STEP", place, "all three")
        n, notes = declared_part(y, count, place, "values")
        y = y[:n]
        axis = keys["SCAN_AXIS"] or keys["SCAN_MODE"] or "?"
        reason = _powder_reason(axis)
        if "polefig" in keys["CLASS"].lower():
            reason = f"the file's class is {keys['CLASS']} (pole figure), scanned over {axis}"
        scan = RawScan(
            two_theta=grid_to_end(start, step, len(y), stop, place), intensity=y, unit=_unit(keys["YUNIT"]),
            counting_time_s=_seconds(keys.number("SPEED"), keys["SPEED_DIM"], step),
            emission_lines=emission_lines(keys.wavelength("WAVE_LENGTH1"), keys.wavelength("WAVE_LENGTH2")),
            anode=_TARGETS.get(int(keys.number("TARGET") or 0), ""), axis=axis, not_powder=reason, place=place,
            metadata=keys.facts(sample_name="SAMPLE", date="DATE", instrument="GONIO"), messages=notes,
        )  # fmt: skip
        scans.append(scan)
    return scans
