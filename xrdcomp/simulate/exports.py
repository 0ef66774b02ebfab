"""Simulated thermogravimetric runs written the way thermobalances export them; every file says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from xrdcomp.data import Pattern, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.specimens import anode_lines
from xrdcomp.units import FloatArray

# ------------ Simulated patterns written the way instruments export them; every file says that it is
# simulated.
# Each writer takes a `Pattern` in counts and returns the bytes of a file. `write_pattern` and
# `xrdcomp.simulate.exports.write_tga` choose the writer by name.

NOTICE = "SIMULATED by xrdcomp, not a measurement"


def write_pattern(path: Path, pattern: Pattern, export_format: str) -> None:
    """Write a simulated pattern as an instrument's export.

    Parameters
    ----------
    path : Path
        Written whole, replacing what is there.
    pattern : Pattern, whole counts on a uniform axis
    export_format : str, one of ``XRD_FORMATS``

    Raises
    ------
    AnalysisError
        Unknown format, or intensities that are not whole counts.
    """
    if export_format not in XRD_FORMATS:
        msg = f"patterns are not exported as {export_format!r}; choose one of {', '.join(XRD_FORMATS)}."
        raise AnalysisError(msg)
    if pattern.intensity_unit != "counts" or not np.array_equal(
        pattern.intensity, np.rint(pattern.intensity)
    ):
        msg = f"only whole counts are exported; this pattern is in {pattern.intensity_unit!r}."
        raise AnalysisError(msg)
    path.write_bytes(XRD_FORMATS[export_format](pattern))


def _name(pattern: Pattern) -> str:
    return str(pattern.metadata.get("sample_name", "simulated"))


def _step(pattern: Pattern) -> float:
    return float(pattern.two_theta[-1] - pattern.two_theta[0]) / (len(pattern) - 1)


def _comment_lines(pattern: Pattern) -> list[str]:
    time = pattern.counting_time_s or 1.0
    return [
        f"# {NOTICE}",
        f"# Sample: {_name(pattern)}",
        f"# Anode: {pattern.anode}, K-alpha doublet, reflection geometry",
        f"# Time per step (s): {time:g}",
    ]


def _xy(pattern: Pattern) -> bytes:
    rows = [f"{x:8.4f} {y:8.0f}" for x, y in zip(pattern.two_theta, pattern.intensity, strict=True)]
    return _text([*_comment_lines(pattern), "# 2theta(deg) counts", *rows])


def _xye(pattern: Pattern) -> bytes:
    columns = zip(pattern.two_theta, pattern.intensity, pattern.sigma, strict=True)
    rows = [f"{x:8.4f} {y:8.0f} {s:9.3f}" for x, y, s in columns]
    return _text([*_comment_lines(pattern), "# 2theta(deg) counts sigma", *rows])


def _csv(pattern: Pattern) -> bytes:
    rows = [f"{x:.4f},{y:.0f}" for x, y in zip(pattern.two_theta, pattern.intensity, strict=True)]
    return _text([*_comment_lines(pattern), "2theta (deg),counts", *rows])


def _gsas(pattern: Pattern) -> bytes:
    """GSAS powder data, CONST STD: ten counts of eight columns in each 80-column record, centidegrees."""
    n = len(pattern)
    records = -(-n // 10)
    start, step = 100.0 * pattern.two_theta[0], 100.0 * _step(pattern)
    title = f"{NOTICE}: {_name(pattern)}, {pattern.anode} K-alpha"
    counts = [f"{y:8.0f}" for y in pattern.intensity]
    rows = ["".join(counts[i : i + 10]) for i in range(0, n, 10)]
    bank = f"BANK 1 {n:5d} {records:5d} CONST {start:g} {step:g} 0 0 STD"
    return _text([line[:80].ljust(80) for line in (title, bank, *rows)])


def _xrdml(pattern: Pattern) -> bytes:
    """Subset of XRDML 1.x: sample, radiation, one completed Gonio scan with intensities in counts."""
    first, last = float(pattern.two_theta[0]), float(pattern.two_theta[-1])
    lines = pattern.emission_lines
    second = lines[1] if len(lines) > 1 else None
    kbeta = anode_lines(pattern.anode)["kbeta"][0]
    counts = " ".join(f"{y:.0f}" for y in pattern.intensity)
    radius = float(pattern.metadata.get("goniometer_radius_mm", 240.0))
    schema = "http://www.xrdml.com/XRDMeasurement/1.7"
    return _text(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<xrdMeasurements xmlns="{schema}" status="Completed">',
            f"  <comment><entry>{NOTICE}</entry></comment>",
            '  <sample type="To be analyzed">',
            f"    <id>{_name(pattern)}</id>",
            f"    <name>{_name(pattern)}</name>",
            "  </sample>",
            '  <xrdMeasurement measurementType="Scan" status="Completed" sampleMode="Reflection">',
            f'    <usedWavelength intended="{"K-Alpha" if second else "K-Alpha 1"}">',
            f'      <kAlpha1 unit="Angstrom">{lines[0].wavelength:.7f}</kAlpha1>',
            f'      <kAlpha2 unit="Angstrom">{second.wavelength if second else 0.0:.7f}</kAlpha2>',
            f'      <kBeta unit="Angstrom">{kbeta:.7f}</kBeta>',
            f"      <ratioKAlpha2KAlpha1>{second.weight if second else 0.0:.4f}</ratioKAlpha2KAlpha1>",
            "    </usedWavelength>",
            "    <incidentBeamPath>",
            f'      <radius unit="mm">{radius:.2f}</radius>',
            f"      <xRayTube><anodeMaterial>{pattern.anode}</anodeMaterial></xRayTube>",
            "    </incidentBeamPath>",
            '    <scan appendNumber="0" mode="Continuous" scanAxis="Gonio" status="Completed">',
            "      <header><source><instrumentControlSoftware>xrdcomp simulator"
            "</instrumentControlSoftware></source></header>",
            "      <dataPoints>",
            *_positions("2Theta", first, last),
            *_positions("Omega", 0.5 * first, 0.5 * last),
            f'        <commonCountingTime unit="seconds">{pattern.counting_time_s or 1.0:.3f}'
            "</commonCountingTime>",
            f'        <intensities unit="counts">{counts}</intensities>',
            "      </dataPoints>",
            "    </scan>",
            "  </xrdMeasurement>",
            "</xrdMeasurements>",
        ]
    )


def _positions(axis: str, first: float, last: float) -> list[str]:
    return [
        f'        <positions axis="{axis}" unit="deg">',
        f"          <startPosition>{first:.4f}</startPosition><endPosition>{last:.4f}</endPosition>",
        "        </positions>",
    ]


def _ras(pattern: Pattern) -> bytes:
    """Rigaku RAS text: header of starred keys, then angle, counts and attenuator factor."""
    lines = pattern.emission_lines
    header = {
        "FILE_COMMENT": NOTICE,
        "FILE_SAMPLE": _name(pattern),
        "FILE_TYPE": "RAS_RAW",
        "HW_XG_TARGET_NAME": pattern.anode,
        "HW_XG_WAVE_LENGTH_ALPHA1": f"{lines[0].wavelength:.6f}",
        "HW_XG_WAVE_LENGTH_ALPHA2": f"{lines[1].wavelength if len(lines) > 1 else 0.0:.6f}",
        "HW_XG_WAVE_LENGTH_BETA": f"{anode_lines(pattern.anode)['kbeta'][0]:.6f}",
        "MEAS_SCAN_AXIS_X": "TwoThetaTheta",
        "MEAS_SCAN_AXIS_X_INTERNAL": "TwoThetaTheta",
        "MEAS_SCAN_MODE": "STEP",
        "MEAS_SCAN_SPEED": f"{pattern.counting_time_s or 1.0:.4f}",
        "MEAS_SCAN_SPEED_UNIT": "sec",
        "MEAS_SCAN_START": f"{pattern.two_theta[0]:.10f}",
        "MEAS_SCAN_STEP": f"{_step(pattern):.10f}",
        "MEAS_SCAN_STOP": f"{pattern.two_theta[-1]:.10f}",
        "MEAS_SCAN_UNIT_X": "deg",
        "MEAS_SCAN_UNIT_Y": "counts",
    }
    rows = [f"{x:.4f} {y:.4f} 1.0000" for x, y in zip(pattern.two_theta, pattern.intensity, strict=True)]
    return _text(
        [
            "*RAS_DATA_START",
            "*RAS_HEADER_START",
            *(f'*{key} "{value}"' for key, value in header.items()),
            "*RAS_HEADER_END",
            "*RAS_INT_START",
            *rows,
            "*RAS_INT_END",
            "*RAS_DATA_END",
        ]
    )


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("utf-8")


XRD_FORMATS: dict[str, Callable[[Pattern], bytes]] = {
    "xy": _xy,
    "xye": _xye,
    "csv": _csv,
    "gsas": _gsas,
    "xrdml": _xrdml,
    "ras": _ras,
}


# ------------ Simulated thermogravimetric runs written the way thermobalances export them; every file says
# so.

_GAS_NAMES = {
    "air": "Air",
    "nitrogen": "Nitrogen",
    "oxygen": "Oxygen",
    "argon": "Argon",
    "carbon_dioxide": "Carbon dioxide",
    "unknown": "",
}


def write_tga(path: Path, run: TgaRun, export_format: str) -> None:
    """Write a simulated run as an instrument's export.

    Parameters
    ----------
    path : Path
        Written whole, replacing what is there.
    run : TgaRun, mass in mg, with time and initial mass
    export_format : str, one of ``TGA_FORMATS``

    Raises
    ------
    AnalysisError
        Unknown format, or a run without time or initial mass or with its mass in another unit.
    """
    if export_format not in TGA_FORMATS:
        msg = f"runs are not exported as {export_format!r}; choose one of {', '.join(TGA_FORMATS)}."
        raise AnalysisError(msg)
    if run.time_s is None or run.initial_mass_mg is None or run.mass_unit != "mg":
        msg = "only runs in mg with time and initial mass are exported; simulate one with simulate_tga."
        raise AnalysisError(msg)
    path.write_bytes(TGA_FORMATS[export_format](run))


def _minutes(run: TgaRun) -> FloatArray:
    time = run.time_s if run.time_s is not None else np.zeros(len(run))
    return time / 60.0


def _exports_tga_name(run: TgaRun) -> str:
    return str(run.metadata.get("sample_name", "simulated"))


def _initial(run: TgaRun) -> float:
    return run.initial_mass_mg or float(run.mass[0])


def _rate(run: TgaRun) -> float:
    return run.heating_rate_k_min or 10.0


def _exports_tga_csv(run: TgaRun) -> bytes:
    rows = [
        f"{t:.4f},{c:.3f},{m:.4f}" for t, c, m in zip(_minutes(run), run.temperature_c, run.mass, strict=True)
    ]
    header = [
        f"# {NOTICE}",
        f"# Sample: {_exports_tga_name(run)}",
        f"# Initial mass: {_initial(run):.4f} mg",
        f"# Atmosphere: {_GAS_NAMES[run.atmosphere]}",
        f"# Heating rate: {_rate(run):g} K/min",
        "Time (min),Temperature (°C),Mass (mg)",
    ]
    return ("\n".join([*header, *rows]) + "\n").encode("utf-8")


def _netzsch(run: TgaRun) -> bytes:
    """Proteus text: keys padded to a width, semicolons, mass in per cent of the sample mass, cp1252."""
    first, last = run.temperature_c[0], run.temperature_c[-1]
    programme = f"{first:.0f}°C/{_rate(run):.1f}(K/min)/{last:.0f}°C"
    keys = {
        "EXPORTTYPE": "DATA ALL",
        "FORMAT": "NETZSCH5",
        "FTYPE": "ANSI",
        "IDENTITY": _exports_tga_name(run),
        "DECIMAL": "POINT",
        "SEPARATOR": "SEMICOLON",
        "MTYPE": "TG",
        "INSTRUMENT": f"{NOTICE}",
        "SAMPLE": _exports_tga_name(run),
        "SAMPLE MASS /mg": f"{_initial(run):.4f}",
        "REMARK": NOTICE,
        "PURGE 2 MFC": _GAS_NAMES[run.atmosphere].upper(),
        "RANGE": programme,
        "SEGMENT": "S1/1",
        "SEG. 1": programme,
    }
    lines = [f"#{key + ':':<28};{value:<52}" for key, value in keys.items()]
    percent = 100.0 * run.mass / _initial(run)
    rows = [
        f"{c:9.5f};{t:8.5f};{m:9.5f}"
        for c, t, m in zip(run.temperature_c, _minutes(run), percent, strict=True)
    ]
    text = "\r\n".join([*lines, "", "##Temp./°C;Time/min;Mass/%", *rows, "", ""])  # ends in a blank line
    return text.encode("cp1252")


def _ta(run: TgaRun) -> bytes:
    """Universal Analysis text: header of tabbed keys, signals, rows from StartOfData to the end mark."""
    gas = _GAS_NAMES[run.atmosphere]
    header = [
        "CLOSED",
        "Version\t2.0",
        "Language\tEnglish",
        "Mode\tTGA  1000 °C",
        f"Instrument\tTGA, {NOTICE}",
        "Module\tTGA",
        f"Sample\t{_exports_tga_name(run)}",
        f"Size\t{_initial(run):.4f}\tmg",
        f"Comment\t{NOTICE}",
        f"Xcomment\tSample Gas: {gas} 60.0 ml/min",
        "Nsig\t3",
        "Sig1\tTime (min)",
        "Sig2\tTemperature (°C)",
        "Sig3\tWeight (mg)",
        f"OrgMethod\t1: Ramp {_rate(run):.2f} °C/min to {run.temperature_c[-1]:.2f} °C",
        "StartOfData",
    ]
    rows = [
        f"{t:.6f}\t{c:.5f}\t{m:.6f}"
        for t, c, m in zip(_minutes(run), run.temperature_c, run.mass, strict=True)
    ]
    text = "\r\n".join([*header, *rows, "-2.000000\t0.0000000\t0.0000000"]) + "\r\n"
    return b"\xff\xfe" + text.encode("utf-16-le")


TGA_FORMATS: dict[str, Callable[[TgaRun], bytes]] = {"csv": _exports_tga_csv, "netzsch": _netzsch, "ta": _ta}
