"""Simulated measurements as instruments export them, and the embedded cohort of ten specimens.

Each writer takes a pattern in counts or a run in mg and returns the bytes of a file; `write_pattern` and `write_tga`
choose the writer by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

import numpy as np

from xrdcomp.data import Atmosphere, Pattern, TgaRun
from xrdcomp.disk import write_whole
from xrdcomp.errors import AnalysisError
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate.scattering import table_rows
from xrdcomp.simulate.specimens import (
    CALCITE_CO3,
    TUBES,
    SimulatedSpecimen,
    SpecimenModel,
    TgaConditions,
    XrdConditions,
    truth_of,
)
from xrdcomp.simulate.tga import simulate_tga_blank, specimen_pools, weigh
from xrdcomp.simulate.xrd import apatite_sizes, expected_pattern, measure

NOTICE = "SIMULATED by xrdcomp, not a measurement"


def write_pattern(path: Path, pattern: Pattern, export_format: str, *, overwrite: bool = False) -> None:
    """Write a simulated pattern (whole counts on a uniform axis) as an export, one of `XRD_FORMATS`."""
    if export_format not in XRD_FORMATS:
        msg = f"patterns are not exported as {export_format!r}; choose one of {', '.join(XRD_FORMATS)}."
        raise AnalysisError(msg)
    whole = np.array_equal(pattern.intensity, np.rint(pattern.intensity))
    if pattern.intensity_unit != "counts" or not whole:
        raise AnalysisError(f"only whole counts are exported; this pattern is in {pattern.intensity_unit!r}.")
    write_whole(path, XRD_FORMATS[export_format](pattern), overwrite=overwrite)


def write_tga(path: Path, run: TgaRun, export_format: str, *, overwrite: bool = False) -> None:
    """Write a simulated run (mass in mg, with time and initial mass) as an export, one of `TGA_FORMATS`."""
    if export_format not in TGA_FORMATS:
        msg = f"runs are not exported as {export_format!r}; choose one of {', '.join(TGA_FORMATS)}."
        raise AnalysisError(msg)
    if run.time_s is None or run.initial_mass_mg is None or run.mass_unit != "mg":
        msg = "only runs in mg with time and initial mass are exported; simulate one with simulate_tga."
        raise AnalysisError(msg)
    write_whole(path, TGA_FORMATS[export_format](run), overwrite=overwrite)


def _name(measured: Pattern | TgaRun) -> str:
    """Name of the specimen on one line and without quotation marks, which end a value in some formats."""
    name = str(measured.metadata.get("sample_name", "simulated")).replace('"', "'")
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", name).split())


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


def _xrdml(pattern: Pattern) -> bytes:
    """Subset of XRDML 1.x: sample, radiation, one completed Gonio scan with intensities in counts."""
    first, last = float(pattern.two_theta[0]), float(pattern.two_theta[-1])
    lines, name = pattern.emission_lines, escape(_name(pattern))
    second = lines[1] if len(lines) > 1 else None
    counts = " ".join(f"{y:.0f}" for y in pattern.intensity)
    text = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/1.7" status="Completed">
  <comment><entry>{NOTICE}</entry></comment>
  <sample type="To be analyzed">
    <id>{name}</id>
    <name>{name}</name>
  </sample>
  <xrdMeasurement measurementType="Scan" status="Completed" sampleMode="Reflection">
    <usedWavelength intended="{"K-Alpha" if second else "K-Alpha 1"}">
      <kAlpha1 unit="Angstrom">{lines[0].wavelength:.7f}</kAlpha1>
      <kAlpha2 unit="Angstrom">{second.wavelength if second else 0.0:.7f}</kAlpha2>
      <kBeta unit="Angstrom">{TUBES[pattern.anode]["kbeta"].wavelength:.7f}</kBeta>
      <ratioKAlpha2KAlpha1>{second.weight if second else 0.0:.4f}</ratioKAlpha2KAlpha1>
    </usedWavelength>
    <incidentBeamPath>
      <radius unit="mm">{float(pattern.metadata.get("goniometer_radius_mm", 240.0)):.2f}</radius>
      <xRayTube><anodeMaterial>{pattern.anode}</anodeMaterial></xRayTube>
    </incidentBeamPath>
    <scan appendNumber="0" mode="Continuous" scanAxis="Gonio" status="Completed">
      <header><source><instrumentControlSoftware>xrdcomp simulator</instrumentControlSoftware></source></header>
      <dataPoints>
        <positions axis="2Theta" unit="deg">
          <startPosition>{first:.4f}</startPosition><endPosition>{last:.4f}</endPosition>
        </positions>
        <positions axis="Omega" unit="deg">
          <startPosition>{0.5 * first:.4f}</startPosition><endPosition>{0.5 * last:.4f}</endPosition>
        </positions>
        <commonCountingTime unit="seconds">{pattern.counting_time_s or 1.0:.3f}</commonCountingTime>
        <intensities unit="counts">{counts}</intensities>
      </dataPoints>
    </scan>
  </xrdMeasurement>
</xrdMeasurements>
"""
    return text.encode("utf-8")


def _ras(pattern: Pattern) -> bytes:
    """Rigaku RAS text: header of starred keys, then angle, counts and attenuator factor."""
    lines = pattern.emission_lines
    header = {
        "FILE_COMMENT": NOTICE, "FILE_SAMPLE": _name(pattern), "FILE_TYPE": "RAS_RAW",
        "HW_XG_TARGET_NAME": pattern.anode, "HW_XG_WAVE_LENGTH_ALPHA1": f"{lines[0].wavelength:.6f}",
        "HW_XG_WAVE_LENGTH_ALPHA2": f"{lines[1].wavelength if len(lines) > 1 else 0.0:.6f}",
        "HW_XG_WAVE_LENGTH_BETA": f"{TUBES[pattern.anode]['kbeta'].wavelength:.6f}",
        "MEAS_SCAN_AXIS_X": "TwoThetaTheta", "MEAS_SCAN_AXIS_X_INTERNAL": "TwoThetaTheta", "MEAS_SCAN_MODE": "STEP",
        "MEAS_SCAN_SPEED": f"{pattern.counting_time_s or 1.0:.4f}", "MEAS_SCAN_SPEED_UNIT": "sec",
        "MEAS_SCAN_START": f"{pattern.two_theta[0]:.10f}", "MEAS_SCAN_STEP": f"{_step(pattern):.10f}",
        "MEAS_SCAN_STOP": f"{pattern.two_theta[-1]:.10f}", "MEAS_SCAN_UNIT_X": "deg", "MEAS_SCAN_UNIT_Y": "counts",
    }  # fmt: skip
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
        "EXPORTTYPE": "DATA ALL", "FORMAT": "NETZSCH5", "FTYPE": "ANSI", "IDENTITY": _name(run), "DECIMAL": "POINT",
        "SEPARATOR": "SEMICOLON", "MTYPE": "TG", "INSTRUMENT": NOTICE, "SAMPLE": _name(run),
        "SAMPLE MASS /mg": f"{_initial(run):.4f}", "REMARK": NOTICE, "PURGE 2 MFC": _gas(run).upper(),
        "RANGE": programme, "SEGMENT": "S1/1", "SEG. 1": programme,
    }  # fmt: skip
    lines = [f"#{key + ':':<28};{value:<52}" for key, value in keys.items()]
    rows = _rows(run, "{c:9.5f};{t:8.5f};{p:9.5f}")
    text = "\r\n".join([*lines, "", "##Temp./°C;Time/min;Mass/%", *rows, "", ""])  # ends in a blank line
    return text.encode("cp1252", errors="replace")


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


# One simulated specimen, and the embedded cohort: ten specimens of draining calcinosis,
# regenerated from a seed.
# What is published of ten patients is qualitative: hydroxyapatite in all specimens but one and the only
# crystalline phase, minor in most, organic matter above one half in most, more apatite in solid than in fluid
# samples. The compositions below were chosen to have these properties; nothing in them was measured.

_CARBONATE_PHASES = {"calcite": CALCITE_CO3, "aragonite": CALCITE_CO3, "vaterite": CALCITE_CO3}


def simulate_pattern(
    model: SpecimenModel, conditions: XrdConditions | None = None, *, seed: int
) -> tuple[Pattern, Pattern]:
    """Diffraction pattern of a specimen in counts, and the scan of its empty holder.

    The blank holds air scatter, flat background and the holder's humps only, unattenuated. The seed decides counting
    noise and grainy intensities.
    """
    conditions = conditions or XrdConditions()
    rng = np.random.default_rng(seed)
    phases = {name: load_phase(name) for name in (model.apatite_model.phase, *model.other_phases)}
    expected = expected_pattern(model, conditions, phases, rng)
    total = expected.specimen + expected.background
    pattern = measure(expected.two_theta, total, conditions, rng, f"{model.specimen_id} (simulated)")
    blank = measure(expected.two_theta, expected.background, conditions, rng, "empty holder (simulated)")
    return pattern, blank


def simulate_tga(model: SpecimenModel, conditions: TgaConditions | None = None, *, seed: int) -> TgaRun:
    """Thermogravimetric run of a specimen; the seed decides noise and wander."""
    conditions = conditions or TgaConditions()
    pools = specimen_pools(model, inert=conditions.inert)
    return weigh(pools, conditions, seed=seed, name=f"{model.specimen_id} (simulated)")


def simulate_specimen(
    model: SpecimenModel, *, xrd: XrdConditions | None = None, tga: TgaConditions | None = None, seed: int
) -> SimulatedSpecimen:
    """Measure a specimen with both instruments.

    One composition goes through two independent forward models: the pattern on the absolute scale of electron
    units per gram, the curve by the kinetics of each component. Nothing here uses the analysis' own physics,
    so that recovering `truth` means something.

    Parameters
    ----------
    model : SpecimenModel
    xrd, tga : conditions, optional
        A laboratory diffractometer with Cu Kα and a run in air at 10 K/min by default.
    seed : int
        The same model, conditions and seed give the same measurement.

    Returns
    -------
    SimulatedSpecimen

    Examples
    --------
    >>> from xrdcomp.simulate import SpecimenModel, simulate_specimen
    >>> bone = SpecimenModel(apatite=0.60, protein=0.25, water=0.10, carbonate=0.05)
    >>> simulated = simulate_specimen(bone, seed=1)
    >>> round(simulated.truth["components"]["organic"], 2)
    0.25
    """
    tga = tga or TgaConditions()
    pattern, blank = simulate_pattern(model, xrd, seed=seed)
    # streams of their own, so that the length of a pattern does not decide the noise of the balance
    run = simulate_tga(model, tga, seed=seed + 1_000_003)
    tga_blank = simulate_tga_blank(tga, seed=seed + 2_000_003)
    truth = truth_of(model, _CARBONATE_PHASES)
    losses: dict[str, float] = {}
    for pool in specimen_pools(model, inert=tga.inert):
        losses[pool.name] = losses.get(pool.name, 0.0) + pool.mass_fraction
    truth |= apatite_sizes(model.apatite_model) if model.apatite > 0.0 else {}
    truth |= {"tga_losses": losses, "tga_atmosphere": tga.atmosphere}
    return SimulatedSpecimen(model=model, pattern=pattern, tga=run, blank=blank, tga_blank=tga_blank, truth=truth)


# --- the embedded cohort ---------------------------------------------------------------------------------

COHORT_SEED = 20171017
Kind = Literal["solid", "fluid"]
_MANIFEST = "cohort.json"
_SUFFIX = {"gsas": "gsa", "netzsch": "txt", "ta": "txt"}  # of a format; the others are their own

# Mass fractions (carbonate: CO3 in the lattice of the apatite), column lengths along c and a
# in nm, formats of the two exports, gas, counts at the highest point, step in degrees.
_COHORT = """
specimen_id apatite carbonate protein lipid water amorphous_mineral    c    a xrd   tga     gas      counts  step
sim01_solid   0.340     0.022   0.400 0.130 0.080             0.028 24.0  9.0 xrdml netzsch air        6000  0.02
sim02_solid   0.270     0.018   0.420 0.180 0.070             0.042 21.0  8.0 xy    csv     air        4000  0.02
sim03_solid   0.560     0.040   0.240 0.060 0.060             0.040 30.0 12.0 ras   ta      air        9000  0.02
sim04_solid   0.210     0.013   0.460 0.210 0.090             0.017 19.0  7.5 gsas  csv     air        6000 0.025
sim05_solid   0.390     0.027   0.370 0.140 0.055             0.018 27.0 10.0 csv   netzsch air        7000  0.02
sim06_solid   0.300     0.020   0.360 0.200 0.100             0.020 22.0  9.0 xye   ta      air        6000  0.03
sim07_fluid   0.090     0.006   0.400 0.140 0.350             0.014 20.0  8.0 xrdml csv     air        5000  0.02
sim08_fluid   0.050     0.003   0.420 0.240 0.280             0.007 18.0  8.0 xy    netzsch nitrogen   6000  0.03
sim09_fluid   0.140     0.009   0.380 0.170 0.280             0.021 23.0  8.5 xrdml ta      air        6000  0.02
sim10_fluid     0.0       0.0   0.450 0.250 0.270             0.030 20.0  8.0 csv   csv     air        6000 0.025
"""


@dataclass(frozen=True, kw_only=True)
class CohortEntry:
    """One embedded specimen: its two exports, and what an analysis should find."""

    specimen_id: str
    kind: Kind
    xrd: Path
    tga: Path
    radiation: str  # of the pattern, for formats that cannot state it
    atmosphere: Atmosphere  # of the thermogravimetric run
    truth: dict[str, Any]  # see `specimens.truth_of`


def _cohort_model(row: dict[str, Any], rng: np.random.Generator) -> SpecimenModel:
    """Specimen of a row; amorphous maxima (by 0.25°, widths by 4 %, heights by 5 %), disorder and cell are drawn."""
    parts = ("apatite", "carbonate", "protein", "lipid", "water", "amorphous_mineral")
    known: dict[str, Any] = {name: float(row[name]) for name in parts}
    plain = SpecimenModel(specimen_id=row["specimen_id"], char_fraction=0.21, **known)
    materials = {
        name: replace(m, halo=m.halo.jittered(rng, shift=0.25, width=0.04, height=0.05))
        for name, m in plain.materials.items()
    }
    apatite = replace(
        plain.apatite_model, length_c_nm=float(row["c"]), length_a_nm=float(row["a"]),
        sigma_ln=float(rng.uniform(0.2, 0.4)), microstrain=float(rng.uniform(0.0008, 0.002)),
        b_excess=float(rng.uniform(0.0, 0.15)), a_offset=float(rng.normal(0.02, 0.005)), substitution=True,
    )  # fmt: skip
    return replace(plain, materials=materials, apatite_model=apatite)


def generate_cohort(folder: Path, *, seed: int = COHORT_SEED) -> tuple[CohortEntry, ...]:
    """Write the ten specimens: ``<id>/<id>.*``, ``<id>/<id>_tga.*``, ``<id>/truth.json``, ``cohort.json``.

    The same seed writes the same bytes. Files of these names are replaced, others in the folder stay.
    """
    folder = Path(folder)
    rows: list[dict[str, Any]] = [*table_rows(_COHORT)]
    rng = np.random.default_rng(seed)
    models = [_cohort_model(row, rng) for row in rows]
    manifest: list[dict[str, str]] = []
    for number, (row, model) in enumerate(zip(rows, models, strict=True)):
        xrd = XrdConditions(
            step=float(row["step"]), peak_counts=float(row["counts"]), displacement_mm=float(rng.normal(0.0, 0.04)),
            axial_half_angle_deg=float(rng.uniform(1.2, 1.9)), background_constant=float(rng.uniform(0.03, 0.08)),
            air_scatter=float(rng.uniform(0.15, 0.35)),
        )  # fmt: skip
        tga = TgaConditions(
            sample_mass_mg=round(float(rng.uniform(8.0, 18.0)), 3), noise_ug=float(rng.uniform(1.0, 3.0)),
            drift_ug_h=float(rng.normal(0.0, 3.0)), wander_ug=1.0, pan_volume_cm3=float(rng.uniform(0.015, 0.03)),
            atmosphere=row["gas"], points=3000,
        )  # fmt: skip
        simulated = simulate_specimen(model, xrd=xrd, tga=tga, seed=seed + 101 * (number + 1))
        name, kind = model.specimen_id, model.specimen_id.partition("_")[2]
        xrd_file = f"{name}/{name}.{_SUFFIX.get(row['xrd'], row['xrd'])}"
        tga_file = f"{name}/{name}_tga.{_SUFFIX.get(row['tga'], row['tga'])}"
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_pattern(folder / xrd_file, simulated.pattern, row["xrd"], overwrite=True)
        write_tga(folder / tga_file, simulated.tga, row["tga"], overwrite=True)
        truth = simulated.truth | {"kind": kind, "seed": seed}
        # ten decimals, so that 0.1 + 0.2 reads 0.3
        rounded = json.loads(json.dumps(truth), parse_float=lambda text: round(float(text), 10))
        write_whole(folder / name / "truth.json", _json(rounded), overwrite=True)
        entry = {"specimen_id": name, "kind": kind, "xrd": xrd_file, "tga": tga_file}
        manifest.append(entry | {"radiation": "CuKa", "atmosphere": tga.atmosphere})
    text = {"simulated": True, "generator": "xrdcomp.simulate", "seed": seed, "specimens": manifest}
    write_whole(folder / _MANIFEST, _json(text), overwrite=True)
    return load_cohort(folder)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def load_cohort(folder: Path | None = None) -> tuple[CohortEntry, ...]:
    """Return the specimens that come with the package, or those that `generate_cohort` wrote into `folder`."""
    package = Path(__file__).resolve().parents[1]  # installed, or in a source tree
    embedded = (package / "_data" / "specimens", package.parent / "data" / "specimens")
    places = embedded if folder is None else (Path(folder),)
    root = next((place for place in places if (place / _MANIFEST).is_file()), None)
    if root is None:
        msg = f"{folder} holds no {_MANIFEST}; write one with generate_cohort."
        if folder is None:
            msg = f"the embedded specimens are missing: neither {embedded[0]} nor {embedded[1]} exists. Reinstall."
        raise AnalysisError(msg)

    def entry(row: dict[str, Any]) -> CohortEntry:
        truth = json.loads((root / row["specimen_id"] / "truth.json").read_text(encoding="utf-8"))
        return CohortEntry(**row | {"xrd": root / row["xrd"], "tga": root / row["tga"], "truth": truth})

    return tuple(map(entry, json.loads((root / _MANIFEST).read_text(encoding="utf-8"))["specimens"]))
