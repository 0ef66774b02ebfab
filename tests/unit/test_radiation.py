"""Emission lines against independent tables, and the names people write."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.physics import elements as radiation
from xrdcomp.units import wavelength_to_energy_kev


@pytest.mark.parametrize(
    ("name", "energy_kev"),
    [
        ("CrKa1", 5.41472),
        ("CrKb", 5.94671),
        ("FeKa1", 6.40384),
        ("FeKb", 7.05798),
        ("CoKa1", 6.93032),
        ("CoKb", 7.64943),
        ("CuKa1", 8.04778),
        ("CuKa2", 8.02783),
        ("CuKb", 8.90529),
        ("MoKa1", 17.47934),
        ("MoKb", 19.6083),
        ("AgKa1", 22.16292),
        ("AgKb", 24.9424),
        ("WLa", 8.3976),
    ],
)
def test_wavelengths_agree_with_the_x_ray_data_booklet(name: str, energy_kev: float) -> None:
    (wavelength, weight), *_ = radiation.emission_lines(name)
    assert weight == 1.0
    assert_close(
        wavelength_to_energy_kev(wavelength),
        energy_kev,
        rtol=1.0e-4,
        because="the booklet's values are Bearden's scale, up to 30 ppm off, and rounded; Mo, Ag Kβ are means",
    )


@pytest.mark.parametrize("anode", ["Cr", "Fe", "Co", "Cu", "Mo", "Ag"])
def test_doublet_is_two_to_one_and_apart(anode: str) -> None:
    (first, one), (second, half) = radiation.emission_lines(f"{anode}Ka")
    assert (one, half) == (1.0, 0.5)
    assert 0.003 < second - first < 0.005
    assert radiation.emission_lines(f"{anode}Kb")[0][0] < first


@pytest.mark.parametrize("name", ["Cu", "CuKa", "cuka", "Cu Kα", "Cu K-alpha", "CuKα12", "CU_KA"])
def test_names_people_write(name: str) -> None:
    assert radiation.emission_lines(name) == radiation.RADIATIONS["CuKa"]


@pytest.mark.parametrize(
    ("name", "near"), [("CuKx", "CuK"), ("Messing", "unknown"), ("", "unknown"), ("CuKa3", "CuKa")]
)
def test_unknown_names_are_refused_with_a_proposal(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=near) as caught:
        radiation.emission_lines(name)
    assert "Known: " in str(caught.value)


@pytest.mark.parametrize("name", ["hoelzer", "berger"])
def test_fine_profiles_centre_on_the_doublet(name: str) -> None:
    wavelength, width, share = radiation.fine_profile(name).T
    assert_close(share.sum(), 1.0, rtol=1e-12, because="float arithmetic")
    assert share[0] == share.max()
    first = wavelength < 1.5425
    main = first & (wavelength > 1.54)
    assert_close(
        np.sum(wavelength[main] * share[main]) / share[main].sum(),
        1.5406,
        atol=1e-4,
        because="the weak component of Kα1 lies 0.5 mÅ higher",
    )
    assert 0.45 < share[~first].sum() / share[main].sum() < 0.56
    assert ((width > 3e-4) & (width < 4e-3)).all()
    with pytest.raises(ValueError, match="profile"):
        radiation.fine_profile("gauss")


def test_residual_lines_of_a_tube_are_those_of_the_table() -> None:
    copper, kbeta = (dict(radiation.RADIATIONS)[name][0][0] for name in ("CuKa1", "CuKb"))
    assert radiation.residual_wavelengths(copper) == (kbeta, *radiation.W_L_ALPHA)
    assert radiation.residual_wavelengths(0.4137) == radiation.W_L_ALPHA, "a synchrotron has no anode"
