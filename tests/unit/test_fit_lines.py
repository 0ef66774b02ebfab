"""Analytic derivatives of a phase's pattern, every parameter, against central differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fit_cases import INSTRUMENT, VALUES
from tests.helpers import assert_close
from xrdcomp.data import EmissionLine, Instrument
from xrdcomp.phases.library import load_phase
from xrdcomp.physics import elements
from xrdcomp.physics.corrections import polarization
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.parameters import build_parameters
from xrdcomp.refinement.reflections import PhaseReflections
from xrdcomp.units import two_theta_to_q

X = np.arange(20.0, 80.0, 0.05)
ALL = {
    **VALUES,
    "zero_shift": 0.01,
    "kalpha2_ratio": 0.48,
    "caglioti_u": 0.002,
    "caglioti_v": -0.001,
    "instrument_lorentzian_strain": 0.02,
    "hydroxyapatite_microstrain": 0.001,
    "hydroxyapatite_march_dollase": 1.2,
    "hydroxyapatite_harmonic_1": 0.05,
    "hydroxyapatite_harmonic_2": -0.03,
    "hydroxyapatite_harmonic_3": 0.02,
    "hydroxyapatite_harmonic_4": 0.01,
    "hydroxyapatite_harmonic_5": -0.04,
}
LINES = PhaseReflections.freeze(load_phase("hydroxyapatite"), INSTRUMENT, X, ALL)
BASIS, SLOPES = LINES.pattern(ALL, frozenset(ALL))


@pytest.mark.parametrize("name", sorted(ALL))
def test_derivative(name: str) -> None:
    step = 1e-6 * max(1.0, abs(ALL[name]))
    up, down = ({**ALL, name: ALL[name] + sign * step} for sign in (1, -1))
    numeric = (LINES.pattern(up)[0] - LINES.pattern(down)[0]) / (2 * step)
    scale = np.abs(numeric).max()
    assert scale > 0
    assert_close(SLOPES[name], numeric, atol=2e-6 * scale, because="central difference with relative step 1e-6")


def test_lines_sum_to_their_areas() -> None:
    """The windows keep all but a small, bounded share of Lorentzian tails."""
    properties = LINES.at(ALL)
    wide = np.arange(5.0, 100.0, 0.02)
    lines = PhaseReflections.freeze(load_phase("hydroxyapatite"), INSTRUMENT, wide, VALUES)
    properties = lines.at(VALUES)
    inside = (properties.position > 15) & (properties.position < 80)
    basis, _ = lines.pattern(VALUES)
    diffuse = lines.diffuse_at(VALUES)
    area = np.trapezoid((basis - diffuse)[(wide > 15) & (wide < 80)], dx=0.02)
    assert_close(area, properties.intensity[inside].sum(), rtol=0.015, because="tails cut beyond 5-30 widths")


def test_single_wavelength_gives_single_lines() -> None:
    mono = Instrument(emission_lines=(EmissionLine(wavelength=1.5405929),))
    lines = PhaseReflections.freeze(load_phase("silicon"), mono, np.arange(20, 60, 0.02), {})
    assert set(lines.frozen.reflection.tolist()) <= set(range(len(lines.hkl)))
    assert len(lines.frozen.reflection) == len(set(lines.frozen.reflection.tolist()))


@pytest.mark.parametrize(("name", "b", "std"), [("fluorite", 0.60, 0.03), ("zincite", 0.645, 0.03)])
def test_b_of_well_ordered_phases_is_held_near_the_literature(name: str, b: float, std: float) -> None:
    phase = load_phase(name)
    items = {item.name: item for item in build_parameters([phase], INSTRUMENT, FitRecipe()).items}
    extra = items[f"{name}_b_extra"]
    structure = float(np.average(phase.site_b_iso, weights=phase.site_occupancy))
    assert_close(structure + extra.prior_mean, b, atol=1e-9, because="facts of phase.toml")
    assert extra.prior_std == std


def test_b_of_apatite_is_free() -> None:
    items = {
        item.name: item for item in build_parameters([load_phase("hydroxyapatite")], INSTRUMENT, FitRecipe()).items
    }
    assert items["hydroxyapatite_b_extra"].prior_mean == 0.0
    assert items["hydroxyapatite_b_extra"].prior_std >= 0.05


def test_partly_occupied_sites_scatter_between_the_reflections() -> None:
    """Laue's diffuse scattering o (1 − o) |f|² of a site, with f' and f", at no displacement."""
    whole = load_phase("fluorite")
    elements_ = np.array(whole.site_element)
    occupancy = np.where(elements_ == "Ca", 0.5, 1.0)
    still = replace(whole, site_b_iso=np.zeros(len(elements_)), site_occupancy=occupancy)
    diffuse = PhaseReflections.freeze(still, INSTRUMENT, X, {}).diffuse
    q = two_theta_to_q(X, INSTRUMENT.wavelength)
    s, counts = q / (4.0 * np.pi), {"Ca": 4.0, "F": 8.0}
    f1, f2 = elements.anomalous("Ca", INSTRUMENT.wavelength)
    laue = 4.0 * 0.25 * ((elements.form_factor("Ca", s) + f1) ** 2 + f2**2)
    compton = 4.0 * 0.5 * elements.incoherent("Ca", s) + 8.0 * elements.incoherent("F", s)
    mass = 0.5 * counts["Ca"] * elements.atomic_weight("Ca") + counts["F"] * elements.atomic_weight("F")
    expected = 1.5 * polarization(X) * (laue + compton) / mass
    assert_close(diffuse, expected, rtol=1e-9, because="float arithmetic")
