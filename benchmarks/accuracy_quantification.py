"""Accuracy of calibration, quantification and microstructure, as rows of one table.

Each function returns rows ``{"name", "value", "unit", "bar", "holds"}``; those that need real measurements take their
folder. ``python -m benchmarks.accuracy_quantification FOLDER`` prints all.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.fit_cases import convolved
from xrdcomp.analysis import analyze
from xrdcomp.data import Instrument, Pattern
from xrdcomp.instrument.build import build_instrument
from xrdcomp.instrument.calibrate import calibrate
from xrdcomp.io.front import read_xrd
from xrdcomp.phases.library import load_phase, load_phases
from xrdcomp.quantification.methods import crystalline_fraction, prior_constant, sum_patterns, whole_pattern
from xrdcomp.quantification.microstructure import apatite_indices
from xrdcomp.recipe import FitRecipe, InstrumentRecipe, Recipe
from xrdcomp.results import Estimate, FitResult, XrdAmounts
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.scattering import MATERIALS, amorphous_scattering
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.simulate.xrd import polarisation
from xrdcomp.stages import fit_pattern
from xrdcomp.units import FloatArray

Row = dict[str, Any]
ORGANIC = (0.0, 0.1, 0.2, 0.4, 0.6, 0.9)
ROCKS = ("calcite", "gypsum", "quartz", "corundum", "organic_matter")
PURITY = 0.9902


def _row(name: str, value: float, unit: str, bar: float, *, at_least: bool = False) -> Row:
    holds = value >= bar if at_least else abs(value) <= bar
    return {"name": name, "value": float(value), "unit": unit, "bar": bar, "holds": bool(holds)}


def calibration_rows(folder: Path) -> list[Row]:
    """Cell and displacement of the certified LaB6 scan."""
    scan = read_xrd(folder / "xrd/pdcif/nist_srm660c_100a.cif", scan=0)
    found = calibrate(scan, "srm660c", refine_cell=True)
    displacement = found.displacement_mm.value if found.displacement_mm is not None else np.nan
    return [
        _row("SRM 660c: a − 4.156780", found.cell["a"].value - 4.156780, "Å", 5e-5),
        _row("SRM 660c: displacement + 0.0788", displacement + 0.0788, "mm", 0.005),
    ]


def rock_references(folder: Path) -> tuple[dict[str, Pattern], dict[str, float]]:
    """Measured reference patterns and their reference intensity ratios."""
    root = folder / "standards/rockjock"
    with (root / "rir.csv").open(encoding="utf-8") as stream:
        ratios = {row["phase"]: float(row["rir_corundum"]) for row in csv.DictReader(stream)}
    return {name: read_xrd(root / f"{name}.xy") for name in ROCKS}, ratios


def rock_mixture(references: dict[str, Pattern], ratios: dict[str, float], weights: FloatArray, seed: int) -> Pattern:
    """Sum of measured patterns at known weights, with counting noise."""
    expected = np.zeros(len(references["calcite"]))
    for weight, name in zip(weights, ROCKS, strict=True):
        expected += weight * ratios[name] * references[name].intensity
    counts = np.random.default_rng(seed).poisson(np.maximum(expected, 0.0)).astype(float)
    return Pattern(
        two_theta=references["calcite"].two_theta,
        intensity=counts,
        sigma=np.sqrt(np.maximum(counts, 1.0)),
        intensity_unit="counts",
    )


def summation_rows(folder: Path, *, trials: int = 20) -> list[Row]:
    """Full-pattern summation with measured references, and the fit with calculated ones."""
    references, ratios = rock_references(folder)
    known = {name: Estimate(value=ratios[name], std=0.02 * ratios[name]) for name in ROCKS}
    rng = np.random.default_rng(20)
    errors, inside = [], []
    for seed in range(trials):
        weights = rng.dirichlet(np.ones(5))
        found = sum_patterns(rock_mixture(references, ratios, weights, seed), references, known)
        error = found.quantification.fractions - weights
        errors.append(np.abs(error).max())
        inside.append(np.abs(error) < 1.96 * np.sqrt(np.diag(found.quantification.covariance)))
    rows = [
        _row("RockJock, measured references: worst error", 100 * max(errors), "wt%", 1.5),
        _row("RockJock, measured references: inside 95 %", float(np.mean(inside)), "", 0.9, at_least=True),
    ]
    held = []
    known_weights = np.array([[0.2, 0.2, 0.2, 0.2, 0.2], [0.4, 0.1, 0.2, 0.2, 0.1], [0.1, 0.1, 0.2, 0.1, 0.5]])
    for seed, weights in enumerate(known_weights):
        held += _calculated(rock_mixture(references, ratios, weights, seed), weights)
    rows.append(_row("RockJock, calculated references: inside 95 %", float(np.mean(held)), "", 1.0, at_least=True))
    return rows


def _calculated(scan: Pattern, weights: FloatArray) -> list[bool]:
    instrument = build_instrument(scan, InstrumentRecipe(radiation="CuKa"))
    fit = fit_pattern(scan, load_phases(ROCKS[:4]), instrument, FitRecipe())
    found = whole_pattern(fit.amounts, per_gram_std=0.2)
    soft = ~np.array(fit.amounts.crystalline)
    values = [found.estimate(name).value for name in ROCKS[:4]] + [float(found.fractions[soft].sum())]
    stds = [found.estimate(name).std or 0.0 for name in ROCKS[:4]]
    stds.append(float(np.sqrt(found.covariance[np.ix_(soft, soft)].sum())))
    return [bool(abs(v - w) < 1.96 * s) for v, w, s in zip(values, weights.tolist(), stds, strict=True)]


def spiked_specimen(organic: float, apatite: ApatiteModel, seed: int) -> Pattern:
    """Apatite and protein with 20 % corundum, of which 99.02 % is crystalline."""
    model = SpecimenModel(
        specimen_id="spiked",
        apatite_model=apatite,
        other={"corundum": 0.2 * PURITY},
        apatite=0.8 * (1.0 - organic),
        protein=0.8 * organic,
        amorphous_mineral=0.2 * (1.0 - PURITY),
    )
    return simulate_pattern(model, XrdConditions(peak_counts=10000), seed=seed)[0]


def internal_standard_rows() -> list[Row]:
    """Amorphous content through the ordinary analysis with a spike, for two kinds of apatite."""
    recipe = Recipe(
        phases=("hydroxyapatite",), internal_standard="corundum", internal_standard_fraction=0.2
    ).with_settings({"identification.search": False})
    rows = []
    kinds = {
        "25 × 9 nm": ApatiteModel(),
        "40 × 20 nm": ApatiteModel(length_c_nm=40.0, length_a_nm=20.0, microstrain=0.001),
    }
    for label, apatite in kinds.items():
        errors, inside = [], []
        for seed, organic in enumerate(ORGANIC):
            result = analyze(spiked_specimen(organic, apatite, seed), recipe=recipe)
            rest = result.metadata["quantification"]["fractions"]["non_crystalline"]
            errors.append(rest["value"] - organic)
            inside.append(abs(rest["value"] - organic) < 1.96 * rest["std"])
        rms = 100 * float(np.sqrt(np.mean(np.square(errors))))
        rows.append(_row(f"internal standard, apatite {label}: RMS", rms, "wt%", 1.0))
        rows.append(
            _row(f"internal standard, apatite {label}: inside 95 %", float(np.mean(inside)), "", 1.0, at_least=True)
        )
    return rows


def wrong_constant_rows() -> list[Row]:
    """Truth inside the interval of the methods that use the scattering constant, when it is off by 20 %."""
    inside = []
    for seed, organic in enumerate((0.2, 0.4, 0.6)):
        model = SpecimenModel(specimen_id="plain", apatite=1.0 - organic, protein=organic)
        scan = simulate_pattern(model, XrdConditions(peak_counts=10000), seed=seed)[0]
        instrument = build_instrument(scan, InstrumentRecipe())
        fit = fit_pattern(scan, load_phases(("hydroxyapatite",)), instrument, FitRecipe())
        for factor in (0.8, 1.2):
            inside += _with_wrong_constant(fit, factor, 1.0 - organic)
    return [_row("scattering constant off by 20 %: truth inside 95 %", float(np.mean(inside)), "", 1.0, at_least=True)]


def _with_wrong_constant(fit: FitResult, factor: float, truth: float) -> list[bool]:
    scale = np.where(np.array(fit.amounts.crystalline), 1.0, factor)
    wrong = XrdAmounts(
        names=fit.amounts.names,
        amounts=fit.amounts.amounts * scale,
        covariance=fit.amounts.covariance * np.outer(scale, scale),
        crystalline=fit.amounts.crystalline,
    )
    absolute = whole_pattern(wrong, amorphous_std=0.2).estimate("hydroxyapatite")
    k = prior_constant(fit)
    x = fit.crystallinity
    assert absolute.std is not None
    assert x is not None
    by_area = crystalline_fraction(x, Estimate(value=k.value * factor, std=(k.std or 0.0) * factor))
    return [
        abs(absolute.value - truth) < 1.96 * absolute.std,
        by_area.ci95 is not None and by_area.ci95[0] <= truth <= by_area.ci95[1],
    ]


def with_hump(pattern: Pattern, seed: int, wavelength: float = 1.5418) -> Pattern:
    """Half of the area above the straight background a protein halo, and everything counted anew."""
    x = pattern.two_theta
    q = 4.0 * np.pi * np.sin(np.radians(x / 2.0)) / wavelength
    halo = amorphous_scattering(MATERIALS["protein"], q, wavelength) * polarisation(x, None)
    base = np.interp(x, x[[0, -1]], [pattern.intensity[:50].mean(), pattern.intensity[-50:].mean()])
    area = float(np.trapezoid(pattern.intensity - base, x))
    expected = pattern.intensity + halo * area / float(np.trapezoid(halo, x))
    counts = np.random.default_rng(seed).poisson(np.maximum(expected, 0.0)).astype(float)
    return replace(pattern, intensity=counts, sigma=np.sqrt(np.maximum(counts, 1.0)))


def _size_of(fit: FitResult, phase: str) -> tuple[float, float]:
    """Mean size (a² c)^(1/3) in nm, and its relative standard uncertainty with both lengths' taken as one."""
    (a, a_std), (c, c_std) = (
        (item.value, item.std or 0.0) for item in (fit.parameters[f"{phase}_inverse_size_{axis}"] for axis in "ac")
    )
    return float((a * a * c) ** (-1.0 / 3.0)), (2.0 * a_std / a + c_std / c) / 3.0


def size_rows(folder: Path) -> list[Row]:
    """Sizes of the measured fluorapatite after convolution, the plain scan as its own instrument standard.

    Once as it is, once with an organic halo of half the total area.
    """
    scan = read_xrd(folder / "xrd/gsas/FAP.XRA")
    last = int(np.flatnonzero(scan.intensity > 0)[-1]) + 1
    scan = replace(scan, two_theta=scan.two_theta[:last], intensity=scan.intensity[:last], sigma=scan.sigma[:last])
    instrument = calibrate(scan, "fluorapatite", InstrumentRecipe(wavelengths=(1.5405, 1.5443))).instrument
    phases = (load_phase("fluorapatite"),)
    rows = []
    for length in (50.0, 20.0, 10.0):
        name = f"fluorapatite convolved to {length:.0f} nm"
        broad = convolved(scan, length)
        size, _ = _size_of(fit_pattern(broad, phases, instrument, FitRecipe()), "fluorapatite")
        rows.append(_row(f"{name}: size error", 100 * (size / length - 1.0), "%", 5.0))
        mixed = fit_pattern(with_hump(broad, seed=round(length)), phases, instrument, FitRecipe())
        size, std = _size_of(mixed, "fluorapatite")
        rows.append(_row(f"{name}, half the area a halo: size error", 100 * (size / length - 1.0), "%", 10.0))
        rows.append(_row(f"{name}, half the area a halo: std", 100 * std, "%", 10.0))
    return rows


def needle_rows() -> list[Row]:
    """Volume-weighted column lengths of a simulated needle, 25 × 8 nm, on a calibrated instrument."""
    model = SpecimenModel(specimen_id="lab6", other={"lab6": 1.0}, other_size_nm=500.0)
    conditions = XrdConditions(peak_counts=20000, two_theta_min=15, two_theta_max=140, step=0.01)
    instrument = calibrate(simulate_pattern(model, conditions, seed=1)[0], "lab6").instrument
    rows = []
    for organic in (0.0, 0.5):
        lengths = _needle(instrument, organic)
        for axis, truth in (("c_axis", 25.0), ("a_axis", 8.0)):
            error = 100 * (lengths[axis]["value"] / truth - 1.0)
            rows.append(_row(f"needle 25 × 8 nm, organic {organic:g}: {axis} error", error, "%", 10.0))
    return rows


def _needle(instrument: Instrument, organic: float) -> dict[str, dict[str, float]]:
    model = SpecimenModel(
        specimen_id="needle",
        apatite_model=ApatiteModel(length_c_nm=25.0, length_a_nm=8.0, shape="cylinder"),
        apatite=1.0 - organic,
        protein=organic,
    )
    scan = simulate_pattern(model, XrdConditions(peak_counts=10000, two_theta_min=8), seed=5)[0]
    fit = fit_pattern(scan, (load_phase("hydroxyapatite"),), instrument, FitRecipe())
    found: dict[str, dict[str, float]] = apatite_indices(fit, "hydroxyapatite")["column_length_nm"]
    return found


def all_rows(folder: Path | None) -> list[Row]:
    """Every row; those that need real measurements only where their folder is given."""
    rows = []
    if folder is not None:
        rows += calibration_rows(folder) + summation_rows(folder) + size_rows(folder)
    return rows + internal_standard_rows() + wrong_constant_rows() + needle_rows()


def main() -> None:
    """Print the rows; the first argument is the folder of real measurements."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for row in all_rows(folder):
        mark = "yes" if row["holds"] else "NO"
        sys.stdout.write(f"{row['name']:58s} {row['value']:12.5g} {row['unit']:4s} bar {row['bar']:<8g} {mark}\n")


if __name__ == "__main__":
    main()
