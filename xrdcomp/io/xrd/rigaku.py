"""Rigaku RAS, RASX and ASCII.

RAS: pairs of ``*RAS_HEADER`` and ``*RAS_INT`` sections, any number of scans; rows of angle, counts and
attenuator factor. RASX: a zip with ``Data<n>/Profile<n>.txt`` of the same rows, the conditions as XML and
MD5 sums of both. ASCII: ``*KEY = value`` lines and counts separated by commas.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.data import Diagnostic, IntensityUnit
from xrdcomp.io.archive import emission_lines, is_zip, number, number_list, parse_xml, read_members
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import RawScan, two_theta_grid
from xrdcomp.io.source import SourceFile, decode_text
from xrdcomp.units import FloatArray

_POWDER_AXES = {
    "twothetatheta", "twotheta", "twothetaomega", "2theta/theta", "2theta", "2theta/omega", "2theta-theta",
    "thetad", "twothetathetawithoutthetas", "theta/2-theta", "2-theta/theta",
}  # fmt: skip
_KEY = re.compile(r'\*(\S+)\s*(?:=\s*)?"?([^"\n]*)"?')


def _powder_reason(axis: str) -> str:
    plain = axis.lower().replace(" ", "").replace("θ", "theta").replace("ω", "omega")
    return "" if plain in _POWDER_AXES else f"the scanned axis is {axis!r}, not 2θ"


def _unit(text: str) -> IntensityUnit:
    return "cps" if text.lower() in {"cps", "counts/s", "counts/sec"} else "counts"


def _seconds(speed: float | None, unit: str, step: float | None) -> float | None:
    if not speed or not step or speed <= 0:
        return None
    if "min" in unit.lower():
        return round(60.0 * abs(step) / speed, 9)
    return speed if unit.lower().startswith("sec") else None


def _columns(text: str, source: SourceFile, place: str) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Angle, counts times attenuator factor, and the factor (None where it is 1 everywhere)."""
    rows = [row for row in text.split("\n") if row.strip()]
    if not rows:
        raise source.error("the scan holds no points", place=place, expected="rows of angle and counts")
    fields = [row.split() for row in rows]
    widths = set(map(len, fields))
    if len(widths) != 1 or not widths <= {2, 3}:
        at = next((i for i, each in enumerate(fields) if len(each) != len(fields[0])), 0)
        msg = f"row {at} of the scan, {rows[at].strip()[:50]!r}, has {len(fields[at])} columns"
        raise source.error(msg, place=place, expected="angle, counts and attenuator factor in every row")
    table = number_list("\n".join(rows), source, place).reshape(len(rows), -1)
    if table.shape[1] == 2:
        return table[:, 0], table[:, 1], None
    factor = table[:, 2]
    if not (np.isfinite(factor).all() and (factor > 0).all()):
        raise source.error(
            "an attenuator factor is not positive", place=place, expected="factors from 1 upwards"
        )
    return table[:, 0], table[:, 1] * factor, None if (factor == 1).all() else factor


def _check_range(
    source: SourceFile, x: FloatArray, declared: tuple[float | None, float | None, float | None], place: str
) -> None:
    """Compare number of points, start and step with the header's, as far as it states them."""
    count, start, step = declared
    if count is not None and int(count) != len(x):
        msg = f"the header declares {int(count)} points, the scan holds {len(x)}"
        raise source.error(
            msg, place=place, expected=f"{int(count)} points", hint="The file is cut or edited."
        )
    if start is None or step is None or step == 0 or len(x) < 2:
        return
    grid = start + step * np.arange(len(x))
    tolerance = max(2e-3, 0.1 * abs(step), 6e-5 * len(x))
    off = np.abs(grid - x)
    if off.max() > tolerance and np.median(off) < tolerance:
        i = int(np.argmax(off))
        msg = f"point {i} stands at {x[i]:g}°, start and step of the header give {grid[i]:g}°"
        raise source.error(msg, place=place, expected="both alike", hint="The file is damaged or edited.")


# --- RAS ---------------------------------------------------------------------------------------------


def _read_ras(source: SourceFile) -> Sequence[RawScan]:
    text = source.text
    if "*RAS_DATA_END" not in text[-400:]:
        msg = "the file does not end with *RAS_DATA_END"
        raise source.error(
            msg, place=f"line {len(source.lines)}", expected="a complete file", hint="It is cut."
        )
    scans: list[RawScan] = []
    for block in text.split("*RAS_HEADER_START")[1:]:
        place = f"scan {len(scans)}"
        header, found, rest = block.partition("*RAS_INT_START")
        rows, ended, _ = rest.partition("*RAS_INT_END")
        if not found or not ended:
            raise source.error("the scan has no end", place=place, expected="*RAS_INT_START and *RAS_INT_END")
        keys = {match[1]: match[2].strip() for match in map(_KEY.match, header.split("\n")) if match}
        scans.append(_ras_scan(keys, rows, source, place))
    return scans


def _ras_scan(keys: dict[str, str], rows: str, source: SourceFile, place: str) -> RawScan:
    x, y, factor = _columns(rows, source, place)
    start, step = number(keys.get("MEAS_SCAN_START", "")), number(keys.get("MEAS_SCAN_STEP", ""))
    _check_range(source, x, (number(keys.get("MEAS_DATA_COUNT", "")), start, step), place)
    axis = keys.get("MEAS_SCAN_AXIS_X_INTERNAL") or keys.get("MEAS_SCAN_AXIS_X", "?")
    reason = _powder_reason(axis)
    if "POLEFIG" in keys.get("FILE_DATA_TYPE", "") and not reason:
        reason = f"the file's data type is {keys['FILE_DATA_TYPE']}"
    single = keys.get("MEAS_COND_XG_WAVE_TYPE", "").lower() in {"ka1", "k_alpha1"}
    facts: dict[str, str | float | int | bool] = {}
    for key, name in (
        ("FILE_SAMPLE", "sample_name"), ("MEAS_SCAN_START_TIME", "date"), ("HW_GONIOMETER_NAME", "instrument"),
        ("HW_COUNTER_SELECT_NAME", "detector"), ("MEAS_SCAN_MODE", "scan_mode"),
    ):  # fmt: skip
        if keys.get(key, "").strip():
            facts[name] = keys[key].strip()
    alpha1, alpha2 = (number(keys.get(f"HW_XG_WAVE_LENGTH_ALPHA{i}", "")) or 0.0 for i in (1, 2))
    speed = number(keys.get("MEAS_SCAN_SPEED", ""))
    return RawScan(
        two_theta=x,
        intensity=y,
        unit=_unit(keys.get("MEAS_SCAN_UNIT_Y", "counts")),
        counting_time_s=_seconds(speed, keys.get("MEAS_SCAN_SPEED_UNIT", ""), step),
        attenuation=factor,
        emission_lines=emission_lines(alpha1, 0.0 if single else alpha2, 0.5),
        anode=keys.get("HW_XG_TARGET_NAME", ""),
        axis=axis,
        not_powder=reason,
        place=place,
        metadata=facts,
    )


# --- RASX --------------------------------------------------------------------------------------------


def _sniff_rasx(source: SourceFile) -> float:
    return 1.0 if is_zip(source) and b"MesurementConditions" in source.data else 0.0


def _read_rasx(source: SourceFile) -> Sequence[RawScan]:
    members = read_members(source, lambda name: name.endswith((".xml", ".txt")))
    hashes = _content_hashes(source, members)
    scans: list[RawScan] = []
    for name, data in members.items():
        found = re.fullmatch(r"(Data\d+)/Profile(\d+)\.txt", name)
        if not found:
            continue
        conditions = members.get(f"{found[1]}/MesurementConditions{found[2]}.xml")
        if conditions is None:
            raise source.error("the measurement conditions are missing", place=name, expected="their XML")
        notes = _check_hash(name, data, hashes)
        scans.append(_rasx_scan(name, data, conditions, source, notes))
    if not scans:
        msg = "the archive holds no profile"
        raise source.error(msg, expected="Data0/Profile0.txt", hint="Frames need the extra `frames`.")
    return scans


def _content_hashes(source: SourceFile, members: dict[str, bytes]) -> dict[str, str]:
    if "root.xml" not in members:
        return {}
    root = parse_xml(source, members["root.xml"], "root.xml")
    return {
        f"{folder.tag}/{each.get('Name')}": str(each.get("ContentHash", "")).lower()
        for folder in root
        for each in folder.iterfind("ContentHashList")
    }


def _check_hash(name: str, data: bytes, hashes: dict[str, str]) -> tuple[Diagnostic, ...]:
    stated = hashes.get(name, "")
    body = data.removeprefix(b"\xef\xbb\xbf")
    if not stated or hashlib.md5(body, usedforsecurity=False).hexdigest() == stated:
        return ()
    text = (
        f"the checksum of {name} is not the one that the instrument stored: the file was changed afterwards"
    )
    return (Diagnostic(code="XRD_CHECKSUM", severity="warning", text=text),)


def _rasx_scan(
    name: str, data: bytes, conditions: bytes, source: SourceFile, notes: tuple[Diagnostic, ...]
) -> RawScan:
    text, encoding = decode_text(data)
    if not encoding:
        raise source.error("the profile is binary", place=name, expected="text")
    x, y, factor = _columns(text, source, name)
    root = parse_xml(source, conditions, name.replace("Profile", "MesurementConditions"))

    def value(path: str) -> str:
        return (root.findtext(path) or "").strip()

    scan = "ScanInformation/"
    start, step = number(value(f"{scan}Start")), number(value(f"{scan}Step"))
    _check_range(source, x, (number(value(f"{scan}DataCount")), start, step), name)
    tube = "HWConfigurations/XrayGenerator/"
    alpha2 = (
        0.0 if value(f"{tube}WaveType").lower() == "ka1" else number(value(f"{tube}WavelengthKalpha2")) or 0.0
    )
    facts: dict[str, str | float | int | bool] = {}
    for path, fact in (
        ("GeneralInformation/SampleName", "sample_name"), (f"{scan}StartTime", "date"),
        ("GeneralInformation/SystemName", "instrument"), (f"{scan}Mode", "scan_mode"),
    ):  # fmt: skip
        if value(path):
            facts[fact] = value(path)
    axis = value(f"{scan}AxisName") or "?"
    return RawScan(
        two_theta=x,
        intensity=y,
        unit=_unit(value(f"{scan}IntensityUnit")),
        counting_time_s=_seconds(number(value(f"{scan}Speed")), value(f"{scan}SpeedUnit"), step),
        attenuation=factor,
        emission_lines=emission_lines(number(value(f"{tube}WavelengthKalpha1")) or 0.0, alpha2, 0.5),
        anode=value(f"{tube}TargetName"),
        axis=axis,
        not_powder=_powder_reason(axis),
        place=name,
        metadata=facts,
        messages=notes,
    )


# --- ASCII -------------------------------------------------------------------------------------------


def _sniff_ascii(source: SourceFile) -> float:
    head = source.head_text
    return 1.0 if re.search(r"^\*TYPE\s*=", head, re.MULTILINE) and "*CLASS" in head else 0.0


def _read_ascii(source: SourceFile) -> Sequence[RawScan]:
    parts = re.split(r"^\*BEGIN\s*$", source.text, flags=re.MULTILINE)
    general = _ascii_keys(parts[0])
    declared = number(general.get("GROUP_COUNT", "")) if "Polefig" not in general.get("CLASS", "") else None
    if declared is not None and int(declared) != len(parts) - 1:
        msg = f"the header declares {int(declared)} group(s), the file holds {len(parts) - 1}"
        raise source.error(
            msg, place="*GROUP_COUNT", expected="both alike", hint="The file is cut or edited."
        )
    return [_ascii_scan(general, part, source, f"group {i}") for i, part in enumerate(parts[1:])]


def _ascii_keys(text: str) -> dict[str, str]:
    return {
        found[1]: found[2].strip() for found in re.finditer(r"^\*(\w+)[ \t]*=[ \t]*(.*)$", text, re.MULTILINE)
    }


def _ascii_scan(general: dict[str, str], part: str, source: SourceFile, place: str) -> RawScan:
    keys = general | _ascii_keys(part)
    body, ended, _ = part.partition("*END")
    if not ended:
        raise source.error(
            "the group has no *END", place=place, expected="a complete file", hint="It is cut."
        )
    head, _, data = body.rpartition("*COUNT")
    numbers = data.partition("\n")[2]
    y = number_list(
        "\n".join(line for line in numbers.split("\n") if line[:1] != "#"), source, place, separator=","
    )
    count, start, step, stop = (number(keys.get(name, "")) for name in ("COUNT", "START", "STEP", "STOP"))
    if not head or count is None or start is None or not step:
        raise source.error("the group lacks COUNT, START or STEP", place=place, expected="all three")
    if int(count) != len(y):
        msg = f"the group declares {int(count)} values and holds {len(y)}"
        raise source.error(
            msg, place=place, expected=f"{int(count)} values", hint="The file is cut or edited."
        )
    if stop is not None and abs(start + step * (len(y) - 1) - stop) > 0.6 * abs(step):
        msg = f"{len(y)} values from {start:g} in steps of {step:g} do not end at {stop:g}"
        raise source.error(msg, place=place, expected="a range that fits its points")
    axis = keys.get("SCAN_AXIS") or keys.get("SCAN_MODE", "?")
    unit = _unit(keys.get("YUNIT", "counts"))
    speed = number(keys.get("SPEED", ""))
    alpha1, alpha2 = (number(keys.get(f"WAVE_LENGTH{i}", "")) or 0.0 for i in (1, 2))
    target = number(keys.get("TARGET", ""))
    facts: dict[str, str | float | int | bool] = {}
    for key, fact in (("SAMPLE", "sample_name"), ("DATE", "date"), ("GONIO", "instrument")):
        if keys.get(key):
            facts[fact] = keys[key]
    reason = _powder_reason(axis)
    if "polefig" in keys.get("CLASS", "").lower():
        reason = f"the file's class is {keys['CLASS']} (pole figure), scanned over {axis}"
    return RawScan(
        two_theta=two_theta_grid(start, step, len(y)),
        intensity=y,
        unit=unit,
        counting_time_s=_seconds(speed, keys.get("SPEED_DIM", ""), step),
        emission_lines=emission_lines(alpha1, alpha2, 0.5),
        anode={29: "Cu", 27: "Co", 42: "Mo", 24: "Cr", 26: "Fe", 47: "Ag"}.get(int(target or 0), ""),
        axis=axis,
        not_powder=reason,
        place=place,
        metadata=facts,
    )


RIGAKU = (
    XrdReader(
        id="ras",
        name="Rigaku RAS",
        extensions=("ras",),
        sniff=lambda source: 1.0 if b"*RAS_DATA_START" in source.data[:200] else 0.0,
        read=_read_ras,
    ),
    XrdReader(id="rasx", name="Rigaku RASX", extensions=("rasx",), sniff=_sniff_rasx, read=_read_rasx),
    XrdReader(
        id="rigaku_ascii",
        name="Rigaku ASCII (*TYPE = Raw)",
        extensions=("asc", "dat", "txt"),
        sniff=_sniff_ascii,
        read=_read_ascii,
    ),
)
