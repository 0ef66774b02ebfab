"""Calibration, crystallite sizes and quantification on real measurements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy_quantification import ROCKS, rock_mixture, rock_references
from tests.fit_cases import convolved
from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.instrument.build import build_instrument
from xrdcomp.instrument.calibrate import calibrate
from xrdcomp.io.front import read_xrd
from xrdcomp.phases.library import load_phase, load_phases
from xrdcomp.quantification.methods import sum_patterns, whole_pattern
from xrdcomp.recipe import FitRecipe, InstrumentRecipe
from xrdcomp.results import Estimate
from xrdcomp.stages import fit_pattern

FAP = InstrumentRecipe(wavelengths=(1.5405, 1.5443))


def test_cell_and_displacement_of_the_certified_lab6_scan(real_files: Path) -> None:
    scan = read_xrd(real_files / "xrd/pdcif/nist_srm660c_100a.cif", scan=0)
    spread = "half of 5e-5 Å: admissible axial models and divergences"
    anonymous = replace(scan, metadata={})
    for pattern, recipe in ((scan, None), (anonymous, InstrumentRecipe(radius_mm=217.5))):
        found = calibrate(pattern, "srm660c", recipe, refine_cell=True)
        a = found.cell["a"]
        assert_close(a.value, 4.156780, atol=3e-5, because=spread)
        assert a.ci95[0] <= 4.156780 <= a.ci95[1]
        assert found.displacement_mm is not None
        assert_close(found.displacement_mm.value, -0.0788, atol=0.0035, because="0.002° at low angles")
    held = calibrate(scan, "srm660c")
    assert_close(held.cell["a"].value, 4.156780, atol=4e-6, because="certificate, and 20.85 °C of the file")
    assert held.cell["a"].std is None
    assert held.displacement_mm is not None
    assert_close(held.displacement_mm.value, -0.0788, atol=0.002, because="0.001° at low angles")


def test_a_plain_analysis_finds_the_cell_of_lab6(real_files: Path) -> None:
    scan = read_xrd(real_files / "xrd/pdcif/nist_srm660c_100a.cif", scan=0)
    fit = fit_pattern(scan, (load_phase("lab6"),), build_instrument(scan, InstrumentRecipe()), FitRecipe())
    a = fit.parameters["lab6_a"]
    assert_close(a.value, 4.156780, atol=3e-5, because="admissible axial models and divergences")
    assert a.ci95[0] <= 4.156780 <= a.ci95[1]


def live(pattern: Pattern) -> Pattern:
    """Leave out the zeros that pad the end of the scan."""
    last = int(np.flatnonzero(pattern.intensity > 0)[-1]) + 1
    return replace(
        pattern, two_theta=pattern.two_theta[:last], intensity=pattern.intensity[:last], sigma=pattern.sigma[:last]
    )


@pytest.fixture(scope="module")
def apatite_instrument(real_files: Path):
    return calibrate(live(read_xrd(real_files / "xrd/gsas/FAP.XRA")), "fluorapatite", FAP).instrument


@pytest.mark.parametrize("length", [50.0, 20.0, 10.0])
def test_size_of_convolved_apatite(real_files: Path, apatite_instrument, length: float) -> None:
    scan = convolved(live(read_xrd(real_files / "xrd/gsas/FAP.XRA")), length)
    fit = fit_pattern(scan, (load_phase("fluorapatite"),), apatite_instrument, FitRecipe())
    a, c = (fit.parameters[f"fluorapatite_inverse_size_{axis}"].value for axis in "ac")
    assert_close((a * a * c) ** (-1.0 / 3.0), length, rtol=0.05, because="5 %, volume mean of the two axes")


def test_measured_references_sum_to_the_mixture(real_files: Path) -> None:
    references, ratios = rock_references(real_files)
    known = {name: Estimate(value=ratios[name], std=0.02 * ratios[name]) for name in ROCKS}
    rng = np.random.default_rng(3)
    for seed in range(4):
        weights = rng.dirichlet(np.ones(5))
        found = sum_patterns(rock_mixture(references, ratios, weights, seed), references, known)
        assert_close(found.quantification.fractions, weights, atol=0.015, because="1.5 wt%")


def test_calculated_references_hold_the_truth_in_their_intervals(real_files: Path) -> None:
    references, ratios = rock_references(real_files)
    weights = np.array([0.2, 0.2, 0.2, 0.2, 0.2])
    scan = rock_mixture(references, ratios, weights, 1)
    instrument = build_instrument(scan, InstrumentRecipe(radiation="CuKa"))
    fit = fit_pattern(scan, load_phases(ROCKS[:4]), instrument, FitRecipe())
    found = whole_pattern(fit.amounts, per_gram_std=0.2)
    for name in ROCKS[:4]:
        low, high = found.estimate(name).ci95
        assert low <= 0.2 <= high, name
    soft = ~np.array(fit.amounts.crystalline)
    organic = float(found.fractions[soft].sum())
    std = float(np.sqrt(found.covariance[np.ix_(soft, soft)].sum()))
    assert abs(organic - 0.2) < 1.96 * std


def test_no_holder_is_seen_where_none_was_reported(real_files: Path) -> None:
    scan = live(read_xrd(real_files / "xrd/gsas/FAP.XRA"))
    fit = fit_pattern(scan, (load_phase("fluorapatite"),), build_instrument(scan, FAP), FitRecipe())
    assert "HOLDER_HUMP" not in {d.code for d in fit.messages}
