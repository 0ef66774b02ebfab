"""Simulated thermogravimetric runs written the way thermobalances export them; every file says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.exports import NOTICE
from xrdcomp.types import FloatArray, TgaRun

__all__ = ["TGA_FORMATS", "write_tga"]

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


def _name(run: TgaRun) -> str:
    return str(run.metadata.get("sample_name", "simulated"))


def _initial(run: TgaRun) -> float:
    return run.initial_mass_mg or float(run.mass[0])


def _rate(run: TgaRun) -> float:
    return run.heating_rate_k_min or 10.0


def _csv(run: TgaRun) -> bytes:
    rows = [
        f"{t:.4f},{c:.3f},{m:.4f}" for t, c, m in zip(_minutes(run), run.temperature_c, run.mass, strict=True)
    ]
    header = [
        f"# {NOTICE}",
        f"# Sample: {_name(run)}",
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
        "IDENTITY": _name(run),
        "DECIMAL": "POINT",
        "SEPARATOR": "SEMICOLON",
        "MTYPE": "TG",
        "INSTRUMENT": f"{NOTICE}",
        "SAMPLE": _name(run),
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
        f"Sample\t{_name(run)}",
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


TGA_FORMATS: dict[str, Callable[[TgaRun], bytes]] = {"csv": _csv, "netzsch": _netzsch, "ta": _ta}
