"""Plain exports: counts as XRDML or two columns, masses as CSV or in the layout of a NETZSCH text export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
NOTICE = "SIMULATED, not a measurement"


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A powder pattern as it was counted: 2θ in degrees on a uniform axis, whole counts."""

    two_theta: Array
    counts: Array
    counting_time_s: float = 1.0
    radius_mm: float = 240.0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A thermogravimetric run as it is exported: s, °C and mg; `initial_mass_mg` is what the balance was told."""

    time_s: Array
    temperature_c: Array
    mass_mg: Array
    initial_mass_mg: float
    gas: str
    rate_k_min: float


def write_xy(path: Path, scan: Scan, name: str) -> None:
    """Two columns below comments; the tube stands in a comment."""
    head = [f"# {NOTICE}", f"# Sample: {name}", "# Anode: Cu, K-alpha doublet, reflection geometry", "# 2theta counts"]
    rows = [f"{x:8.4f} {y:8.0f}" for x, y in zip(scan.two_theta, scan.counts, strict=True)]
    path.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


def write_xrdml(path: Path, scan: Scan, name: str) -> None:
    """One completed Gonio scan with its intensities in counts; nothing is said of monochromator or slits."""
    first, last = float(scan.two_theta[0]), float(scan.two_theta[-1])
    axes = "".join(
        f'<positions axis="{axis}" unit="deg"><startPosition>{a * first:.5f}</startPosition>'
        f"<endPosition>{a * last:.5f}</endPosition></positions>"
        for axis, a in (("2Theta", 1.0), ("Omega", 0.5))
    )
    counts = " ".join(f"{y:.0f}" for y in scan.counts)
    path.write_text(
        f"""<?xml version="1.0" encoding="UTF-8"?>
<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/1.5" status="Completed">
<comment><entry>{NOTICE}</entry></comment>
<sample type="To be analyzed"><id>{name}</id><name>{name}</name></sample>
<xrdMeasurement measurementType="Scan" status="Completed" sampleMode="Reflection">
<usedWavelength intended="K-Alpha"><kAlpha1 unit="Angstrom">1.5405980</kAlpha1>
<kAlpha2 unit="Angstrom">1.5444260</kAlpha2><kBeta unit="Angstrom">1.3922500</kBeta>
<ratioKAlpha2KAlpha1>0.5000</ratioKAlpha2KAlpha1></usedWavelength>
<incidentBeamPath><radius unit="mm">{scan.radius_mm:.2f}</radius>
<xRayTube><anodeMaterial>Cu</anodeMaterial></xRayTube></incidentBeamPath>
<scan appendNumber="0" mode="Continuous" scanAxis="Gonio" status="Completed"><dataPoints>{axes}
<commonCountingTime unit="seconds">{scan.counting_time_s:.3f}</commonCountingTime>
<intensities unit="counts">{counts}</intensities>
</dataPoints></scan></xrdMeasurement></xrdMeasurements>
""",
        encoding="utf-8",
    )


def write_csv(path: Path, curve: Curve, name: str) -> None:
    """Time, temperature and mass in mg below comments."""
    head = [
        f"# {NOTICE}",
        f"# Sample: {name}",
        f"# Initial mass: {curve.initial_mass_mg:.4f} mg",
        f"# Atmosphere: {curve.gas}",
        f"# Heating rate: {curve.rate_k_min:g} K/min",
        "Time (min),Temperature (°C),Mass (mg)",
    ]
    columns = zip(curve.time_s / 60.0, curve.temperature_c, curve.mass_mg, strict=True)
    rows = [f"{t:.4f},{c:.3f},{m:.4f}" for t, c, m in columns]
    path.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


def write_netzsch(path: Path, curve: Curve, name: str) -> None:
    """Padded keys, semicolons, mass in per cent of the sample mass, cp1252."""
    programme = f"{curve.temperature_c[0]:.0f}°C/{curve.rate_k_min:.1f}(K/min)/{curve.temperature_c[-1]:.0f}°C"
    keys = {
        "EXPORTTYPE": "DATA ALL",
        "FORMAT": "NETZSCH5",
        "FTYPE": "ANSI",
        "IDENTITY": name,
        "DECIMAL": "POINT",
        "SEPARATOR": "SEMICOLON",
        "MTYPE": "TG",
        "INSTRUMENT": NOTICE,
        "SAMPLE": name,
        "SAMPLE MASS /mg": f"{curve.initial_mass_mg:.4f}",
        "PURGE 2 MFC": curve.gas.upper(),
        "RANGE": programme,
        "SEGMENT": "S1/1",
        "SEG. 1": programme,
    }
    lines = [f"#{key + ':':<28};{value:<52}" for key, value in keys.items()]
    columns = zip(curve.temperature_c, curve.time_s / 60.0, curve.mass_mg, strict=True)
    rows = [f"{c:9.5f};{t:8.5f};{100 * m / curve.initial_mass_mg:9.5f}" for c, t, m in columns]
    path.write_bytes("\r\n".join([*lines, "", "##Temp./°C;Time/min;Mass/%", *rows, "", ""]).encode("cp1252"))
