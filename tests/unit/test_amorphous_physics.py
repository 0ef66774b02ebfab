"""Halos on the per-gram scale."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.physics import elements as scattering
from xrdcomp.physics.amorphous import AMORPHOUS, halo_columns, smooth_modes, structure_factor
from xrdcomp.units import two_theta_to_q

Q = np.linspace(0.4, 12.0, 4000)
WINDOW = (Q >= 0.7) & (Q <= 4.1)


@pytest.mark.parametrize("name", sorted(AMORPHOUS))
def test_structure_factor_tends_to_one(name: str) -> None:
    tail = structure_factor(AMORPHOUS[name], np.array([9.0, 12.0]))
    assert_close(tail, 1.0, atol=1e-3, because="no rings beyond 4.5 Å⁻¹")


@pytest.mark.parametrize("name", sorted(AMORPHOUS))
def test_area_obeys_the_sum_rule(name: str) -> None:
    component = AMORPHOUS[name]
    free = scattering.coherent_per_gram(scattering.mass_fractions_of(component.atoms), Q)
    two_theta = np.linspace(10.0, 60.0, 2001)
    q = two_theta_to_q(two_theta, 1.540593)
    free = scattering.coherent_per_gram(scattering.mass_fractions_of(component.atoms), q)
    polarised = free * (1 + np.cos(np.radians(two_theta)) ** 2)
    ratio = (polarised * structure_factor(component, q)).sum() / polarised.sum()
    assert_close(ratio, 1.02, atol=0.04, because="1.00-1.04 by construction, packing ring of protein on top")


@pytest.mark.parametrize("name", sorted(AMORPHOUS))
def test_shape_modes_leave_the_area_alone(name: str) -> None:
    modes = halo_columns(AMORPHOUS[name], Q).modes
    area = np.trapezoid(modes[WINDOW], Q[WINDOW], axis=0)
    curve = np.trapezoid(halo_columns(AMORPHOUS[name], Q).per_gram[WINDOW], Q[WINDOW])
    changing = np.flatnonzero(np.abs(area) > 2e-3 * curve)
    assert list(changing) == [4], "only the height of the main ring changes the scattering per gram"


def test_halo_maxima_lie_where_measured_ones_do() -> None:
    two_theta = np.linspace(10.0, 60.0, 5001)
    q = two_theta_to_q(two_theta, 1.540593)
    polarization = 1 + np.cos(np.radians(two_theta)) ** 2
    for name, low, high in [
        ("protein", 20.0, 22.0),
        ("lipid", 19.0, 20.0),
        ("water", 27.5, 29.0),
        ("amorphous_calcium_phosphate", 29.0, 31.0),
    ]:
        top = two_theta[np.argmax(polarization * halo_columns(AMORPHOUS[name], q).per_gram)]
        assert low <= top <= high, name


def test_water_reaches_its_measured_maximum() -> None:
    q = np.linspace(1.5, 2.6, 500)
    per_molecule = 18.015 * halo_columns(AMORPHOUS["water"], q).per_gram.max()
    assert_close(per_molecule, 90.0, atol=8.0, because="about 90 electron units (Narten & Levy 1971), read off a graph")


def test_smooth_modes_are_ten_per_cent_of_free_atoms() -> None:
    modes = smooth_modes(Q)
    free = scattering.coherent_per_gram(scattering.mass_fractions_of(AMORPHOUS["protein"].atoms), Q)
    assert_close((modes / free[:, None]).max(axis=0), 0.1, atol=1e-4, because="one standard deviation is 0.1 in S")
