"""Form factors, dispersion, incoherent scattering and attenuation against gemmi and published values."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.physics import elements as sc
from xrdcomp.units import HC_KEV_ANGSTROM

CU_KALPHA = HC_KEV_ANGSTROM / 8.0478
MO_KALPHA = HC_KEV_ANGSTROM / 17.4793


@pytest.mark.parametrize("element", sc.ELEMENTS)
def test_forward_limit_of_each_element(element: str) -> None:
    z = sc.ELEMENTS.index(element) + 1
    assert gemmi.Element(element).atomic_number == z
    assert_close(sc.form_factor(element, 0.0), z, atol=0.06, because="International Tables give four Gaussians to this")
    s = np.linspace(0.0, 2.0, 50)
    assert (np.diff(sc.form_factor(element, s)) < 1e-3).all(), "form factors fall"
    incoherent = sc.incoherent(element, np.linspace(0.0, 6.0, 100))
    assert incoherent[0] == 0.0
    assert (np.diff(incoherent) > -1e-3 * z).all(), "incoherent functions rise"
    assert incoherent[-1] <= z
    assert incoherent[-1] > 0.7 * z
    assert sc.atomic_weight(element) > z


@pytest.mark.parametrize("element", ["H", "C", "O", "P", "Ca", "Fe", "Zn", "Ba", "W", "Pb"])
@pytest.mark.parametrize("energy_kev", [5.4147, 6.4038, 8.0478, 17.4793, 22.163, 45.0])
def test_dispersion_agrees_with_gemmi(element: str, energy_kev: float) -> None:
    ours = sc.anomalous(element, HC_KEV_ANGSTROM / energy_kev)
    theirs = gemmi.cromer_liberman(gemmi.Element(element).atomic_number, 1000 * energy_kev)
    assert_close(ours, theirs, atol=0.012, rtol=0.002, because="the table's own refinement limit")


def test_dispersion_jumps_at_the_zinc_edge() -> None:
    below, above = (sc.anomalous("Zn", HC_KEV_ANGSTROM / e)[1] for e in (9.62, 9.70))
    assert below < 0.6
    assert above > 3.5


def test_incoherent_is_tabulated_not_approximated() -> None:
    # Hubbell et al. 1975 for carbon at s = 0.3; Z - f²/Z would be 4.96
    assert_close(sc.incoherent("C", 0.3), 3.64, atol=0.01, because="three published digits")
    f = sc.form_factor("C", 0.3)
    assert 6 - f**2 / 6 > 4.9


@pytest.mark.parametrize(
    ("formula", "copper", "molybdenum"),
    [
        ("Ca5(PO4)3OH", 86.432, 9.644),
        ("C65H102N18O21", 6.292, 0.752),
        ("C57H104O6", 4.760, 0.620),
        ("H2O", 10.189, 1.121),
        ("CaCO3", 74.042, 8.354),
        ("Al2O3", 31.553, 3.263),
        ("ZnO", 48.677, 43.388),
        ("CaF2", 94.858, 10.664),
        ("LaB6", 237.552, 30.572),
        ("TiO2", 124.018, 14.438),
        ("NaCl", 75.801, 8.128),
    ],
)
def test_attenuation_of_compounds(formula: str, copper: float, molybdenum: float) -> None:
    w = sc.compound(formula)
    assert_close(sc.mass_attenuation_of(w, CU_KALPHA), copper, rtol=0.002, because="table refined to 0.2 %")
    assert_close(sc.mass_attenuation_of(w, MO_KALPHA), molybdenum, rtol=0.002, because="table refined to 0.2 %")


def test_water_per_gram_at_both_limits() -> None:
    water = sc.compound("H2O")
    forward = (2 * 1 + 64) / 18.015
    assert_close(sc.coherent_per_gram(water, 0.0), forward, rtol=2e-3, because="f(0) is Z to the tables' accuracy")
    assert sc.incoherent_per_gram(water, 0.0) == 0.0
    far = sc.incoherent_per_gram(water, 60.0)
    assert_close(far, 10 / 18.015, rtol=0.02, because="bound inner electrons still scatter coherently")
    with_dispersion = sc.coherent_per_gram(water, np.array([1.0, 2.0]), CU_KALPHA)
    assert (with_dispersion > sc.coherent_per_gram(water, np.array([1.0, 2.0]))).all()


@pytest.mark.parametrize(
    ("formula", "atoms"),
    [
        ("Ca5(PO4)3OH", {"Ca": 5, "P": 3, "O": 13, "H": 1}),
        ("CaHPO4.2H2O", {"Ca": 1, "P": 1, "O": 6, "H": 5}),
        ("CaSO4·0.5H2O", {"Ca": 1, "S": 1, "O": 4.5, "H": 1}),
        ("Ca4.88(PO4)2.7(CO3)0.3", {"Ca": 4.88, "P": 2.7, "C": 0.3, "O": 11.7}),
        ("Mg[NH4]PO4*6H2O", {"Mg": 1, "N": 1, "H": 16, "P": 1, "O": 10}),
    ],
)
def test_formulas(formula: str, atoms: dict[str, float]) -> None:
    ours, expected = sc.compound(formula), sc.compound(atoms)
    assert set(ours) == set(expected)
    for element, w in expected.items():
        assert_close(ours[element], w, rtol=1e-12, because="float arithmetic")
    assert_close(sum(ours.values()), 1.0, rtol=1e-12, because="float arithmetic")


@pytest.mark.parametrize("formula", ["", "Ca(", "Ca)", "2", "ca", "CaXq", "Ca(2PO4)", "Ca-O"])
def test_bad_formulas_are_refused(formula: str) -> None:
    with pytest.raises(ValueError, match=r"formula|element"):
        sc.compound(formula)


@pytest.mark.parametrize(
    ("element", "wavelength", "f1", "f2"),
    [("Ca", 0.1239842, -0.015976, 0.0084357), ("Cu", 0.1239842, -0.018702, 0.0431237), ("Ca", 1.5405929, 0.341, 1.286)],
)
def test_dispersion_goes_on_to_a_tenth_of_an_angstrom(element: str, wavelength: float, f1: float, f2: float) -> None:
    """100 keV as gemmi computes it, and copper Kα as it was [Cromer & Liberman 1981]."""
    found = sc.anomalous(element, wavelength)
    assert_close(found, (f1, f2), atol=0.025, because="tables hold to 0.01 electrons, f' at Kα after other tables")
    assert sc.mass_attenuation(element, wavelength) > 0.1


def test_refusals_name_the_limit() -> None:
    with pytest.raises(ValueError, match=r"Did you mean 'Ca'"):
        sc.form_factor("ca", 0.1)
    with pytest.raises(ValueError, match="outside the tables"):
        sc.anomalous("Ca", 5.0)
    with pytest.raises(ValueError, match="outside the tables"):
        sc.mass_attenuation("Ca", 0.09)
    with pytest.raises(ValueError, match="positive"):
        sc.mass_attenuation("Ca", -1.0)
    with pytest.raises(ValueError, match="must lie within"):
        sc.incoherent("C", -0.1)
    with pytest.raises(ValueError, match="sum to 1"):
        sc.coherent_per_gram({"Ca": 0.5}, 1.0)
    with pytest.raises(ValueError, match="not negative"):
        sc.mass_fractions_of({"Ca": -1.0})
