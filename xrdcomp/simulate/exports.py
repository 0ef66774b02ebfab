"""Simulated measurements written the way instruments export them; every file says that it is simulated.

Each writer takes a pattern in counts or a run in mg and returns the bytes of a file; `write_pattern` and `write_tga`
choose the writer by name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from xrdcomp.data import Pattern, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.specimens import TUBES

NOTICE = "SIMULATED by xrdcomp, not a measurement"


def write_pattern(path: Path, pattern: Pattern, export_format: str) -> None:
    """Write a simulated pattern (whole counts on a uniform axis) as an export, one of `XRD_FORMATS`."""
    if export_format not in XRD_FORMATS:
        msg = f"patterns are not exported as {export_format!r}; choose one of {', '.join(XRD_FORMATS)}."
        raise AnalysisError(msg)
    whole = np.array_equal(pattern.intensity, np.rint(pattern.intensity))
    if pattern.intensity_unit != "counts" or not whole:
        raise AnalysisError(f"only whole counts are exported; this pattern is in {pattern.intensity_unit!r}.")
    path.write_bytes(XRD_FORMATS[export_format](pattern))


def write_tga(path: Path, run: TgaRun, export_format: str) -> None:
    """Write a simulated run (mass in mg, with time and initial mass) as an export, one of `TGA_FORMATS`."""
    if export_format not in TGA_FORMATS:
        msg = f"runs are not exported as {export_format!r}; choose one of {', '.join(TGA_FORMATS)}."
        raise AnalysisError(msg)
    if run.time_s is None or run.initial_mass_mg is None or run.mass_unit != "mg":
        msg = "only runs in mg with time and initial mass are exported; simulate one with simulate_tga."
        raise AnalysisError(msg)
    path.write_bytes(TGA_FORMATS[export_format](run))


def _name(measured: Pattern | TgaRun) -> str:
    return str(measured.metadata.get("sample_name", "simulated"))


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("utf-8")


# --- diffraction -----------------------------------------------------------------------------------------


def _table(pattern: Pattern, heading: str, form: str) -> bytes:
    """Comment lines, the columns' heading, and a row in `form` for x, y and s (2θ, counts, sigma)."""
    rows = zip(pattern.two_theta, pattern.intensity, pattern.sigma, strict=True)
    return _text(
        [
            f"# {NOTICE}",
            f"# Sample: {_name(pattern)}",
            f"# Anode: {pattern.anode}, K-alpha doublet, reflection geometry",
            f"# Time per step (s): {pattern.counting_time_s or 1.0:g}",
            heading,
            *(form.format(x=x, y=y, s=s) for x, y, s in rows),
        ]
    )


def _step(pattern: Pattern) -> float:
    return float(pattern.two_theta[-1] - pattern.two_theta[0]) / (len(pattern) - 1)


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


_XRDML = """\
<?xml version="1.0" encoding="UTF-8"?>
<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/1.7" status="Completed">
  <comment><entry>{notice}</entry></comment>
  <sample type="To be analyzed">
    <id>{name}</id>
    <name>{name}</name>
  </sample>
  <xrdMeasurement measurementType="Scan" status="Completed" sampleMode="Reflection">
    <usedWavelength intended="{intended}">
      <kAlpha1 unit="Angstrom">{kalpha1:.7f}</kAlpha1>
      <kAlpha2 unit="Angstrom">{kalpha2:.7f}</kAlpha2>
      <kBeta unit="Angstrom">{kbeta:.7f}</kBeta>
      <ratioKAlpha2KAlpha1>{ratio:.4f}</ratioKAlpha2KAlpha1>
    </usedWavelength>
    <incidentBeamPath>
      <radius unit="mm">{radius:.2f}</radius>
      <xRayTube><anodeMaterial>{anode}</anodeMaterial></xRayTube>
    </incidentBeamPath>
    <scan appendNumber="0" mode="Continuous" scanAxis="Gonio" status="Completed">
      <header><source><instrumentControlSoftware>xrdcomp simulator</instrumentControlSoftware></source></header>
      <dataPoints>
        <positions axis="2Theta" unit="deg">
          <startPosition>{first:.4f}</startPosition><endPosition>{last:.4f}</endPosition>
        </positions>
        <positions axis="Omega" unit="deg">
          <startPosition>{half_first:.4f}</startPosition><endPosition>{half_last:.4f}</endPosition>
        </positions>
        <commonCountingTime unit="seconds">{seconds:.3f}</commonCountingTime>
        <intensities unit="counts">{counts}</intensities>
      </dataPoints>
    </scan>
  </xrdMeasurement>
</xrdMeasurements>
"""


def _xrdml(pattern: Pattern) -> bytes:
    """Subset of XRDML 1.x: sample, radiation, one completed Gonio scan with intensities in counts."""
    first, last = float(pattern.two_theta[0]), float(pattern.two_theta[-1])
    lines = pattern.emission_lines
    second = lines[1] if len(lines) > 1 else None
    text = _XRDML.format(
        notice=NOTICE,
        name=escape(_name(pattern)),
        intended="K-Alpha" if second else "K-Alpha 1",
        kalpha1=lines[0].wavelength,
        kalpha2=second.wavelength if second else 0.0,
        kbeta=TUBES[pattern.anode]["kbeta"].wavelength,
        ratio=second.weight if second else 0.0,
        radius=float(pattern.metadata.get("goniometer_radius_mm", 240.0)),
        anode=pattern.anode,
        first=first,
        last=last,
        half_first=0.5 * first,
        half_last=0.5 * last,
        seconds=pattern.counting_time_s or 1.0,
        counts=" ".join(f"{y:.0f}" for y in pattern.intensity),
    )
    return text.encode("utf-8")


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
        "HW_XG_WAVE_LENGTH_BETA": f"{TUBES[pattern.anode]['kbeta'].wavelength:.6f}",
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
    keys = [f'*{key} "{value}"' for key, value in header.items()]
    rows = [f"{x:.4f} {y:.4f} 1.0000" for x, y in zip(pattern.two_theta, pattern.intensity, strict=True)]
    head = ["*RAS_DATA_START", "*RAS_HEADER_START", *keys, "*RAS_HEADER_END"]
    return _text([*head, "*RAS_INT_START", *rows, "*RAS_INT_END", "*RAS_DATA_END"])


XRD_FORMATS: dict[str, Callable[[Pattern], bytes]] = {
    "xy": lambda pattern: _table(pattern, "# 2theta(deg) counts", "{x:8.4f} {y:8.0f}"),
    "xye": lambda pattern: _table(pattern, "# 2theta(deg) counts sigma", "{x:8.4f} {y:8.0f} {s:9.3f}"),
    "csv": lambda pattern: _table(pattern, "2theta (deg),counts", "{x:.4f},{y:.0f}"),
    "gsas": _gsas,
    "xrdml": _xrdml,
    "ras": _ras,
}

# --- thermogravimetry ------------------------------------------------------------------------------------


def _gas(run: TgaRun) -> str:
    return "" if run.atmosphere == "unknown" else run.atmosphere.replace("_", " ").capitalize()


def _initial(run: TgaRun) -> float:
    return run.initial_mass_mg or float(run.mass[0])


def _rate(run: TgaRun) -> float:
    return run.heating_rate_k_min or 10.0


def _rows(run: TgaRun, form: str) -> list[str]:
    """A row in `form` for t, c, m and p of each reading: minutes, °C, mass in mg and in % of the initial mass."""
    minutes = (run.time_s if run.time_s is not None else np.zeros(len(run))) / 60.0
    columns = zip(minutes, run.temperature_c, run.mass, 100.0 * run.mass / _initial(run), strict=True)
    return [form.format(t=t, c=c, m=m, p=p) for t, c, m, p in columns]


def _tga_csv(run: TgaRun) -> bytes:
    return _text(
        [
            f"# {NOTICE}",
            f"# Sample: {_name(run)}",
            f"# Initial mass: {_initial(run):.4f} mg",
            f"# Atmosphere: {_gas(run)}",
            f"# Heating rate: {_rate(run):g} K/min",
            "Time (min),Temperature (°C),Mass (mg)",
            *_rows(run, "{t:.4f},{c:.3f},{m:.4f}"),
        ]
    )


def _netzsch(run: TgaRun) -> bytes:
    """Proteus text: keys padded to a width, semicolons, mass in per cent of the sample mass, cp1252."""
    first, last = run.temperature_c[0], run.temperature_c[-1]
    programme = f"{first:.0f}°C/{_rate(run):.1f}(K/min)/{last:.0f}°C"
    keys = {
        "EXPORTTYPE": "DATA ALL",
        "FORMAT": "NETZSCH5",
        "FTYPE": "ANSI",
        "IDENTITY": _name(run),
        "DECIMAL": "POINT",
        "SEPARATOR": "SEMICOLON",
        "MTYPE": "TG",
        "INSTRUMENT": NOTICE,
        "SAMPLE": _name(run),
        "SAMPLE MASS /mg": f"{_initial(run):.4f}",
        "REMARK": NOTICE,
        "PURGE 2 MFC": _gas(run).upper(),
        "RANGE": programme,
        "SEGMENT": "S1/1",
        "SEG. 1": programme,
    }
    lines = [f"#{key + ':':<28};{value:<52}" for key, value in keys.items()]
    rows = _rows(run, "{c:9.5f};{t:8.5f};{p:9.5f}")
    text = "\r\n".join([*lines, "", "##Temp./°C;Time/min;Mass/%", *rows, "", ""])  # ends in a blank line
    return text.encode("cp1252")


def _ta(run: TgaRun) -> bytes:
    """Universal Analysis text: header of tabbed keys, signals, rows from StartOfData to the end mark."""
    lines = [
        "CLOSED",
        "Version\t2.0",
        "Language\tEnglish",
        "Mode\tTGA  1000 °C",
        f"Instrument\tTGA, {NOTICE}",
        "Module\tTGA",
        f"Sample\t{_name(run)}",
        f"Size\t{_initial(run):.4f}\tmg",
        f"Comment\t{NOTICE}",
        f"Xcomment\tSample Gas: {_gas(run)} 60.0 ml/min",
        "Nsig\t3",
        "Sig1\tTime (min)",
        "Sig2\tTemperature (°C)",
        "Sig3\tWeight (mg)",
        f"OrgMethod\t1: Ramp {_rate(run):.2f} °C/min to {run.temperature_c[-1]:.2f} °C",
        "StartOfData",
        *_rows(run, "{t:.6f}\t{c:.5f}\t{m:.6f}"),
        "-2.000000\t0.0000000\t0.0000000",
    ]
    return b"\xff\xfe" + ("\r\n".join(lines) + "\r\n").encode("utf-16-le")


TGA_FORMATS: dict[str, Callable[[TgaRun], bytes]] = {"csv": _tga_csv, "netzsch": _netzsch, "ta": _ta}
