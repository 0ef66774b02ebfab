"""Amorphous scattering on the per-gram scale: the sum rule, areas, maxima and minima, against measured curves."""

from __future__ import annotations

import numpy as np
import pytest

from tests import diffuse_sources
from tests.helpers import assert_close
from xrdcomp.physics import elements
from xrdcomp.physics.amorphous import (
    AMORPHOUS,
    FLATTER_PHOSPHATE,
    area_over_free_atoms,
    change_of_form,
    halo_columns,
    smooth_modes,
    structure_factor,
)
from xrdcomp.units import FloatArray, two_theta_to_q

COPPER = 1.5405929
Q = np.linspace(0.4, 12.0, 4000)
WINDOW = (Q >= 0.7) & (Q <= 4.1)


def s_of(name: str, q: float) -> float:
    return float(structure_factor(AMORPHOUS[name], np.array([q]))[0])


@pytest.mark.parametrize("name", sorted(AMORPHOUS))
def test_structure_factor_obeys_the_sum_rule_and_tends_to_one(name: str) -> None:
    component = AMORPHOUS[name]
    q = np.linspace(0.02, 9.0, 2000)
    numbers = np.array(list(component.atoms.values()), dtype=float)
    f = np.stack([elements.form_factor(element, q / (4.0 * np.pi)) for element in component.atoms])
    masses = np.array([elements.atomic_weight(element) for element in component.atoms])
    share = numbers / numbers.sum()
    density = component.density * 0.602214 * numbers.sum() / (numbers @ masses)  # atoms per Å³
    faber_ziman = (share @ f**2) / (share @ f) ** 2 * (structure_factor(component, q) - 1.0)
    # smeared by 0.35 Å no atom has a neighbour at its own place; bonds, 1 Å away, do not reach it
    found = np.trapezoid(q**2 * faber_ziman * np.exp(-(0.35**2) * q**2 / 2.0), q)
    expected = -2.0 * np.pi**2 * density
    assert_close(found, expected, rtol=0.02, because="digits of the last maximum, which was set by it")
    assert_close(structure_factor(component, np.array([12.0])), 1.0, atol=1e-3, because="no structure beyond 9 Å⁻¹")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("water", 0.77, 0.83),  # 0.77 molecular dynamics, 0.80 measured
        ("lipid", 1.21, 1.35),
        ("protein", 0.97, 1.17),
        ("amorphous_calcium_phosphate", 0.69, 0.89),
        ("polymer", 1.20, 1.28),
    ],
)
def test_areas_over_free_atoms_are_those_of_the_sources(name: str, low: float, high: float) -> None:
    assert low <= area_over_free_atoms(AMORPHOUS[name], COPPER) <= high


def test_maxima_and_minima_are_those_of_the_sources() -> None:
    assert 1.3 < s_of("water", 2.05) < 1.5
    assert s_of("water", 3.7) < 0.85
    assert 3.3 < s_of("lipid", 1.43) < 3.7
    assert 0.5 < s_of("lipid", 2.25) < 0.85
    assert 1.6 < s_of("protein", 1.48) < 1.85
    assert s_of("amorphous_calcium_phosphate", 4.0) < 0.8


@pytest.mark.parametrize(
    ("name", "curve", "rms"),
    [
        ("water", lambda q: diffuse_sources.measured("water", q), 0.12),
        ("water", diffuse_sources.water_from_pairs, 0.12),
        ("lipid", diffuse_sources.triglyceride, 0.25),
        ("polymer", lambda q: diffuse_sources.measured("pmma", q), 0.06),
    ],
)
def test_structure_factors_follow_measured_and_computed_ones(name: str, curve: object, rms: float) -> None:
    assert callable(curve)
    q = np.linspace(0.9, 4.5, 300)
    free = elements.coherent_per_gram(elements.mass_fractions_of(AMORPHOUS[name].atoms), q)
    off = curve(q) / free - structure_factor(AMORPHOUS[name], q)
    assert np.sqrt(np.mean(off**2)) < rms, "two sources of one liquid differ by twice that"


def test_lipid_lies_between_measured_tissue_and_single_chains() -> None:
    q = np.array([2.2, 2.4])
    ours = structure_factor(AMORPHOUS["lipid"], q)
    tissue = diffuse_sources.triglyceride(q) / elements.coherent_per_gram(elements.compound("C57H104O6"), q)
    chains = diffuse_sources.melted_chain(q) - 0.15  # the first neighbours' minimum
    assert (ours < tissue).all()
    assert (ours > chains).all()


def test_sources_of_water_agree_on_its_area() -> None:
    q = np.linspace(0.7, 4.1, 400)
    free = elements.coherent_per_gram(elements.compound("H2O"), q).sum()
    areas = [diffuse_sources.measured("water", q).sum() / free, diffuse_sources.water_from_pairs(q).sum() / free]
    assert_close(areas, [0.81, 0.83], atol=0.01, because="a grid of 0.0085 Å⁻¹")


@pytest.mark.parametrize("name", sorted(AMORPHOUS))
def test_modes_leave_the_area_alone(name: str) -> None:
    columns = halo_columns(AMORPHOUS[name], Q, COPPER)

    def area(of: FloatArray) -> FloatArray:
        return np.asarray(np.trapezoid(of[WINDOW], Q[WINDOW], axis=0))

    assert np.abs(area(columns.modes)).max() < 2e-3 * area(columns.per_gram)
    assert np.abs(area(smooth_modes(Q, COPPER))).max() < 2e-3 * area(columns.per_gram)


def test_a_flatter_halo_of_the_phosphate_has_the_same_area() -> None:
    own, grid = AMORPHOUS["amorphous_calcium_phosphate"], np.linspace(0.7, 4.1, 400)
    change = change_of_form(own, FLATTER_PHOSPHATE, grid, COPPER)
    because = "the area has an uncertainty of its own"
    assert_close(change.sum() / halo_columns(own, grid, COPPER).per_gram.sum(), 0.0, atol=1e-6, because=because)
    ring = structure_factor(FLATTER_PHOSPHATE, np.array([2.133, 4.013]))
    assert_close(ring, [1.4, 1.03], atol=0.02, because="what molecular dynamics gives")
    assert change[np.argmin(np.abs(grid - 2.133))] < 0.0 < change[np.argmin(np.abs(grid - 4.013))]


def test_halo_maxima_lie_where_measured_ones_do() -> None:
    two_theta = np.linspace(10.0, 60.0, 5001)
    q = two_theta_to_q(two_theta, COPPER)
    polarization = 1 + np.cos(np.radians(two_theta)) ** 2
    for name, low, high in [
        ("protein", 19.5, 22.0),
        ("lipid", 19.0, 20.5),
        ("water", 26.5, 29.0),
        ("amorphous_calcium_phosphate", 29.0, 31.0),
        ("polymer", 12.5, 15.0),
    ]:
        top = two_theta[np.argmax(polarization * halo_columns(AMORPHOUS[name], q, COPPER).per_gram)]
        assert low <= top <= high, name


def test_anomalous_scattering_is_in_the_amorphous_part() -> None:
    def ratio(name: str) -> float:
        w = elements.mass_fractions_of(AMORPHOUS[name].atoms)
        at = np.array([2.0])
        return float((elements.coherent_per_gram(w, at, COPPER) / elements.coherent_per_gram(w, at))[0])

    assert_close(ratio("amorphous_calcium_phosphate"), 1.045, atol=0.006, because="4.5 % of itself")
    assert_close(ratio("water"), 1.015, atol=0.005, because="1.5 %")


def test_water_reaches_its_measured_maximum() -> None:
    q = np.linspace(1.5, 2.6, 500)
    columns = halo_columns(AMORPHOUS["water"], q, COPPER)
    per_molecule = 18.015 * (columns.per_gram - columns.incoherent).max()
    assert_close(per_molecule, 59.0, atol=5.0, because="63 measured, 54 from pair distributions")


def test_smooth_modes_are_ten_per_cent_of_free_atoms() -> None:
    modes = smooth_modes(Q, COPPER)
    free = elements.coherent_per_gram(elements.mass_fractions_of(AMORPHOUS["protein"].atoms), Q, COPPER)
    top = (modes / free[:, None]).max(axis=0)
    assert (top > 0.04).all(), "0.1 in S less its share of the area, most under the main maximum"
    assert (top < 0.1).all()
