"""Single values of the physics that anybody can check by hand or in a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.helpers import assert_close
from tests.profile_oracle import bragg_cross_section
from xrdcomp.data import EmissionLine, Instrument
from xrdcomp.physics import corrections, elements, profiles
from xrdcomp.physics import reflections as lattice
from xrdcomp.refinement.reflections import FrozenProfiles

HYDROXYAPATITE = (9.4166, 9.4166, 6.8745, 90, 90, 120)


@pytest.mark.parametrize(
    ("value", "expected", "digits"),
    [
        (lambda: corrections.polarization(90.0), 0.5, 12),
        (lambda: 1 / corrections.absorption_cylinder(0.0, 1.0), 5.09, 2),  # A* of the International Tables at μR = 1
        (lambda: elements.form_factor("Ca", 0.0), 20.0, 1),
        (lambda: elements.anomalous("Ca", 1.5406)[0], 0.36, 2),
        (lambda: elements.anomalous("Ca", 1.5406)[1], 1.29, 2),
        (lambda: elements.incoherent("C", 0.3), 3.64, 2),
        (lambda: elements.mass_fractions_of({"H": 2, "O": 1})["O"], 0.8881, 4),
        (lambda: elements.compound("CaCO3")["O"], 0.48, 3),
        (lambda: elements.kbeta_wavelength(1.5418), 1.392234, 7),
        (lambda: elements.emission_lines("Cu Kα")[0][0], 1.5405929, 8),
        (lambda: elements.emission_lines("Cu Kα")[1][0], 1.5444274, 8),
        (lambda: elements.emission_lines("Cu Kα")[1][1], 0.5, 8),
        (lambda: lattice.cell_volume(HYDROXYAPATITE), 527.91, 2),
        (lambda: lattice.inverse_d_squared([[0, 0, 2]], (5, 5, 8, 90, 90, 90))[0], 0.0625, 12),
        (lambda: bragg_cross_section([8], [100.0], 100.0, [2.0])[0], 39.48, 2),
        (lambda: profiles.axial_correlation((12.0, 15.0, 15.0), 6.776, 217.5), 0.32, 2),
    ],
)
def test_value(value: Callable[[], float], expected: float, digits: int) -> None:
    assert_close(float(value()), expected, atol=0.5 * 10.0**-digits, because="digits that are given")


def test_hexagonal_cells_have_two_free_edges() -> None:
    names, matrix = lattice.cell_freedom("hexagonal")
    assert names == ("a", "c")
    assert matrix[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_a_specimen_set_too_low_gives_reflections_at_too_low_angles() -> None:
    instrument = Instrument(emission_lines=(EmissionLine(wavelength=1.5406, weight=1.0),))
    two_theta = np.array([5.0, 20.0, 45.0, 90.0, 120.0])
    wavelength = instrument.emission_lines[0].wavelength
    frozen = FrozenProfiles.freeze(instrument, (2.0 * np.sin(np.radians(two_theta / 2.0)) / wavelength) ** 2)
    own = frozen.wavelength == wavelength
    # a point s below the axis, seen under θ, leaves the circle by 2 s cosθ
    expected = -np.degrees(2.0 / instrument.radius_mm * np.cos(np.radians(two_theta / 2.0)))
    assert_close(frozen.lever[own], expected, rtol=1e-12, because="float arithmetic")
