"""Amounts with the geometry that was used, and what is said where it was not stated: calculated specimens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fit_cases import INSTRUMENT, VALUES
from xrdcomp.data import Instrument, Pattern
from xrdcomp.phases.library import load_phase
from xrdcomp.physics.amorphous import AMORPHOUS, halo_columns
from xrdcomp.physics.corrections import polarization
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.reflections import PhaseReflections, geometry_factor
from xrdcomp.units import FloatArray, two_theta_to_q

PHASE = load_phase("hydroxyapatite")
APATITE = 0.6
RECIPE = FitRecipe(amorphous=("protein", "water"), displacement=False)
CASES = {
    "plate normal to the beam": replace(
        INSTRUMENT, geometry="transmission", incidence_angle=90.0, absorption_radius=1.5
    ),
    "oblique plate": replace(INSTRUMENT, geometry="transmission", incidence_angle=75.0, absorption_radius=1.0),
    "fixed incidence": replace(INSTRUMENT, incidence_angle=8.0),
    "thin layer": replace(INSTRUMENT, absorption_radius=0.2),
    "beam longer than the specimen": replace(INSTRUMENT, specimen_length_mm=10.0, equatorial_divergence=1.0),
}


def measured(instrument: Instrument) -> Pattern:
    x = np.arange(12.0, 70.0, 0.04)
    values = {**VALUES, "hydroxyapatite_b_extra": 0.0, "sample_displacement_mm": 0.0}
    apatite, _ = PhaseReflections.freeze(PHASE, instrument, x, values).pattern(values)
    q = two_theta_to_q(x, INSTRUMENT.wavelength)
    protein = 1.5 * polarization(x) * halo_columns(AMORPHOUS["protein"], q, INSTRUMENT.wavelength).per_gram
    y: FloatArray = (APATITE * apatite + (1.0 - APATITE) * protein) * geometry_factor(instrument, x)
    y = 1e4 * y / y.max() + 30.0 * x[0] / x
    counts = np.random.default_rng(5).poisson(y).astype(float)
    return Pattern(two_theta=x, intensity=counts, sigma=np.sqrt(np.maximum(counts, 1.0)), intensity_unit="counts")


def apatite_of(fit: Refinement) -> float:
    amounts = fit.evidence.amounts.amounts
    return float(amounts[0] / amounts.sum())


@pytest.mark.parametrize("case", CASES)
def test_amounts_are_right_with_the_geometry_given(case: str) -> None:
    pattern, instrument = measured(CASES[case]), CASES[case]
    fit = Refinement.run(pattern, (PHASE,), instrument, RECIPE)
    found = apatite_of(fit)
    assert abs(found - APATITE) < 0.03, "1.5 wt% of bias beside some 1 wt% of counting and background"
    assert not {"XRD_APATITE_B_TILTED"} & {m.code for m in fit.result().messages}


@pytest.mark.parametrize("case", ["plate normal to the beam", "beam longer than the specimen", "fixed incidence"])
def test_a_geometry_that_was_not_stated_shows(case: str) -> None:
    fit = Refinement.run(measured(CASES[case]), (PHASE,), INSTRUMENT, RECIPE)
    codes = {m.code for m in fit.result().messages}
    assert "XRD_APATITE_B_TILTED" in codes


@pytest.mark.parametrize("angle", [None, 26.6])
def test_a_monochromator_that_nobody_named_is_taken_where_intensities_ask_for_it(angle: float | None) -> None:
    x = np.arange(15.0, 140.0, 0.03)
    optics, phase = replace(INSTRUMENT, monochromator_two_theta=angle), load_phase("fluorite")
    # 0.05 Å² above the structure's is the literature's B
    own = {"a": phase.cell.a, "inverse_size_a": 0.01, "size_mixing": 0.6, "b_extra": 0.05}
    values = {name: VALUES[name] for name in ("axial_divergence", "caglioti_w")} | {"sample_displacement_mm": 0.0}
    values |= {f"fluorite_{name}": float(value) for name, value in own.items()}
    y, _ = PhaseReflections.freeze(phase, optics, x, values).pattern(values)
    counts = np.random.default_rng(2).poisson(1e4 * y / y.max() + 200.0).astype(float)
    sigma = np.sqrt(np.maximum(counts, 1.0))
    pattern = Pattern(two_theta=x, intensity=counts, sigma=sigma, intensity_unit="counts")
    fit = Refinement.run(pattern, (phase,), replace(INSTRUMENT, polarization_stated=False), RECIPE)
    assert fit.monochromator_gain is not None
    assert (fit.monochromator_gain > 6.0) == (angle is not None)
    taken = fit.instrument.monochromator_two_theta
    assert (taken is None) if angle is None else (taken is not None and abs(taken - angle) < 0.3)
    assert "XRD_MONOCHROMATOR_INFERRED" in {m.code for m in fit.result().messages}
    stated = Refinement.run(pattern, (phase,), INSTRUMENT, RECIPE)
    assert stated.instrument.monochromator_two_theta is None
    assert "XRD_MONOCHROMATOR_INFERRED" not in {m.code for m in stated.result().messages}
