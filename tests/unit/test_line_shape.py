"""The deformation of line profiles: what it leaves alone, and what it repairs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import assert_close
from tests.profile_oracle import pseudo_voigt, pseudo_voigt_shoulder
from xrdcomp.data import EmissionLine, Instrument
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import load_phase, load_phases
from xrdcomp.recipe import FitRecipe, InstrumentRecipe
from xrdcomp.refinement.model import shoulder_columns
from xrdcomp.refinement.reflections import PhaseReflections
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.stages import fit_pattern

INSTRUMENT = Instrument(emission_lines=(EmissionLine(wavelength=1.5406, weight=1.0),), radius_mm=240.0)


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.7, 1.0])
def test_area_height_and_width_stay(eta: float) -> None:
    fwhm = np.array(0.4)
    wide = np.linspace(-2000.0, 2000.0, 2_000_001)
    area = np.trapezoid(pseudo_voigt_shoulder(wide, fwhm, np.array(eta)), wide)
    assert_close(area, 0.0, atol=2e-4, because="tails beyond 5000 widths carry 1e-4 of a Lorentzian")
    fixed = pseudo_voigt_shoulder(np.array([0.0, 0.2, -0.2]), fwhm, np.array(eta))
    assert_close(fixed, 0.0, atol=1e-12, because="the centre and both half heights are fixed by construction")
    beside = pseudo_voigt_shoulder(np.array([0.1, 0.3]), fwhm, np.array(eta))
    assert np.abs(beside).max() > 0.05


def test_it_describes_lognormal_sizes_better_than_any_pseudo_voigt() -> None:
    from scipy.optimize import least_squares

    from xrdcomp.simulate.scattering import size_profile

    t = np.linspace(0.0, 30.0, 1500)
    for sigma, sign in ((0.05, -1.0), (0.4, 1.0)):
        y, integral = size_profile("ellipsoid", 0.0, 1.0, sigma)
        truth = np.interp(t, 0.5 * (y[1:] + y[:-1]), 0.5 * np.diff(integral) / np.diff(y))

        def misfit(p: np.ndarray, truth: np.ndarray = truth) -> np.ndarray:
            fwhm, eta = np.array(p[0]), np.array(p[1])
            shape = pseudo_voigt(t, fwhm, eta)[0] + p[2] * pseudo_voigt_shoulder(t, fwhm, eta)
            return np.asarray(shape - truth)

        plain = least_squares(misfit, [5.0, 0.4, 0.0], bounds=([1.0, 0.0, -1e-9], [9.0, 1.0, 1e-9]))
        full = least_squares(misfit, [5.0, 0.4, 0.0])
        assert full.cost < 0.5 * plain.cost
        assert 0.02 < sign * full.x[2] < 0.3


def test_the_column_keeps_the_area_of_a_phase() -> None:
    two_theta = np.arange(8.0, 90.0, 0.02)
    values = {"corundum_inverse_size_a": 0.05, "corundum_size_mixing": 0.3}
    lines = PhaseReflections.freeze(load_phase("corundum"), INSTRUMENT, two_theta, values)
    column = shoulder_columns([lines], values)[:, 0]
    area = np.trapezoid(column, two_theta) / np.trapezoid(np.abs(column), two_theta)
    assert_close(area, 0.0, atol=0.05, because="windows cut the far tails, which all have one sign")


def test_apatite_of_equal_crystallites_keeps_its_ratio_to_the_standard() -> None:
    """Lines of equal ellipsoids are no pseudo-Voigts: fitted as such, their tails go into the halo, 6 % in all."""
    model = SpecimenModel(
        specimen_id="equal",
        apatite=0.48,
        protein=0.32,
        other={"corundum": 0.2},
        apatite_model=ApatiteModel(sigma_ln=0.05, microstrain=0.0),
    )
    scan = simulate_pattern(model, XrdConditions(peak_counts=50000), seed=3)[0]
    instrument = build_instrument(scan, InstrumentRecipe())
    fit = fit_pattern(scan, load_phases(("hydroxyapatite", "corundum")), instrument, FitRecipe(grain_size_um=0.0))
    values = dict(zip(fit.amounts.names, fit.amounts.amounts.tolist(), strict=True))
    ratio = values["hydroxyapatite"] / values["corundum"] * 0.2 / 0.48
    assert_close(ratio, 1.0, atol=0.03, because="counting allows 1 %; without the column it is 0.94")
