"""Crystals beside glass, silica and polymers by X-rays alone, with nothing said of the specimen."""

from __future__ import annotations

import pytest

from xrdcomp.analysis import analyze
from xrdcomp.simulate import MATERIALS, AmorphousMaterial, HaloShape, SpecimenModel, simulate_pattern

# Areas over free atoms between 0.7 and 4.1 Å⁻¹ as of other network glasses, 0.85 to 0.92, and of acrylic, 1.24.
_SILICA = AmorphousMaterial(
    atoms=(("Si", 1.0), ("O", 2.0)),
    halo=HaloShape(two_theta=21.6, fwhm=7.5, low_q=0.2, area_factor=0.92, dip_two_theta=33.0, dip_depth=0.15),
)
_BIOACTIVE = AmorphousMaterial(  # 45 SiO2, 24.5 Na2O, 24.5 CaO, 6 P2O5 by mass
    atoms=(("Si", 0.749), ("Na", 0.791), ("Ca", 0.437), ("P", 0.085), ("O", 2.541)),
    halo=HaloShape(two_theta=31.2, fwhm=8.0, low_q=0.2, area_factor=0.85, second_two_theta=46.0, second_height=0.2),
)
_ACRYLIC = AmorphousMaterial(
    atoms=(("C", 5.0), ("H", 8.0), ("O", 2.0)),
    halo=HaloShape(two_theta=13.8, fwhm=6.0, low_q=0.3, area_factor=1.24, second_two_theta=30.0, second_height=0.25),
)


@pytest.mark.parametrize("crystal", ["hydroxyapatite", "quartz"])
@pytest.mark.parametrize("share", [0.5, 0.85])
@pytest.mark.parametrize("matter", [_SILICA, _BIOACTIVE, _ACRYLIC], ids=["silica", "bioactive glass", "acrylic"])
def test_what_is_beside_crystals_may_be_of_any_kind(matter: AmorphousMaterial, share: float, crystal: str) -> None:
    """Crystals are covered, nothing is organic for certain, and no claim says so."""
    apatite = crystal == "hydroxyapatite"
    specimen = SpecimenModel(
        specimen_id=crystal,
        apatite=1.0 - share if apatite else 0.0,
        protein=share,
        other={} if apatite else {crystal: 1.0 - share},
        materials={**MATERIALS, "protein": matter},
    )
    result = analyze(simulate_pattern(specimen, seed=3)[0], radiation="CuKa")
    sums, components = result.composition.identifiable_sums, result.composition.components
    assert sums["crystalline"].low <= 1.0 - share <= sums["crystalline"].high
    assert components["organic"] is None or components["organic"].low < 0.01
    assert ("organic_and_water" in sums) == apatite
    assert not apatite or sums["organic_and_water"].low < 0.01
    claim = next(item for item in result.claims if item.id == "organic_more_than_half")
    assert claim.verdict != "supported"
    assert claim.probability is None or claim.probability <= 0.6


@pytest.mark.parametrize("oxide", ["rutile", "zincite"])
def test_broad_maxima_of_small_crystals_are_not_amorphous_for_certain(oxide: str) -> None:
    """Two nanometres: no reflections are told from halos, but amorphous scattering does not describe them."""
    specimen = SpecimenModel(specimen_id=oxide, other={oxide: 1.0}, other_size_nm=2.0)
    result = analyze(simulate_pattern(specimen, seed=3)[0], radiation="CuKa")
    crystalline = result.composition.identifiable_sums.get("crystalline")
    assert crystalline is None or crystalline.high > 0.98
    assert crystalline is None or "XRD_SMALL_CRYSTALS_OR_AMORPHOUS" in {message.code for message in result.messages}


@pytest.mark.parametrize("matter", [_SILICA, _BIOACTIVE, _ACRYLIC], ids=["silica", "bioactive glass", "acrylic"])
def test_a_glass_is_amorphous_all_the_same(matter: AmorphousMaterial) -> None:
    specimen = SpecimenModel(specimen_id="glass", protein=1.0, materials={**MATERIALS, "protein": matter})
    result = analyze(simulate_pattern(specimen, seed=3)[0], radiation="CuKa")
    assert result.composition.identifiable_sums["crystalline"].high < 0.1
