"""Stoichiometry, dry basis, char, oxalate, cross-checks with phases."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import assert_close
from tests.unit.thermal_curves import beside_phases, run_of
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import OXALATE_RATIO
from xrdcomp.simulate.cohort import simulate_tga
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions
from xrdcomp.stages import analyze_tga
from xrdcomp.thermal.balance import quantities
from xrdcomp.units import CO2_PER_CARBONATE, FloatArray

OXALATE = ((0.12329, 165.0, 8.0), (0.19170, 480.0, 7.0), (0.30119, 690.0, 12.0))
VALUES = np.array([0.10, 0.40, 0.03, 0.47])


def covariance(std: float = 0.002) -> FloatArray:
    """Covariance of the losses where each of the three boundaries has a mass of its own."""
    lower = np.array([[-1.0, 0, 0], [1, -1, 0], [0, 1, -1], [0, 0, 1]])
    return lower @ (std**2 * np.eye(3)) @ lower.T


def test_carbonate_and_mineral_follow_from_stoichiometry() -> None:
    found, _ = quantities(VALUES, {"noise": covariance()}, ThermalRecipe(), inert=False)
    assert_close(CO2_PER_CARBONATE, 44.009 / 60.008, atol=1e-12, because="C 12.011, O 15.999")
    assert_close(OXALATE_RATIO, 0.6365, atol=1e-4, because="atomic masses")
    assert_close(found["carbonate_co3"].value, 0.03 * 60.008 / 44.009, atol=1e-12, because="definition")
    assert_close(found["total_mineral"].value, 0.50, atol=1e-12, because="residue with its carbonate")


def test_dry_basis_has_the_variance_of_the_published_formula() -> None:
    found, _ = quantities(VALUES, {"noise": covariance()}, ThermalRecipe(bound_water_fraction=0.0), inert=False)
    total = covariance()
    g = 0.40 / 0.90
    variance = (total[1, 1] + g**2 * total[0, 0] + 2 * g * total[0, 1]) / 0.90**2
    assert_close(found["dry_organic"].value, g, atol=1e-12, because="definition")
    assert_close(found["dry_organic"].std or 0.0, np.sqrt(variance), rtol=1e-4, because="numerical derivative")


def test_char_goes_from_the_residue_to_the_organic() -> None:
    recipe = ThermalRecipe(bound_water_fraction=0.0)
    found, budget = quantities(VALUES, {"noise": covariance()}, recipe, inert=True)
    organic = found["organic"].value
    assert_close(organic, 0.40 / 0.78, rtol=1e-3, because="the prior's cut at no mineral lies six sigma away")
    assert_close(found["residue"].value, 0.47 - 0.22 * organic, atol=1e-3, because="char leaves the residue")
    assert budget["organic"]["char"] > 0.9


def test_bound_water_is_one_sided() -> None:
    found, budget = quantities(VALUES, {"noise": covariance()}, ThermalRecipe(bound_water_fraction=0.02), inert=False)
    interval = found["organic"].ci95
    assert interval is not None
    assert 0.40 - interval[0] > 1.5 * (interval[1] - 0.40)
    assert budget["organic"]["bound_water"] > 0.5
    mineral = found["total_mineral"].ci95
    assert mineral is not None
    assert mineral[1] - 0.50 > 1.5 * (0.50 - mineral[0])


def test_shares_of_variance_sum_to_one() -> None:
    _, budget = quantities(VALUES, {"noise": covariance()}, ThermalRecipe(), inert=True)
    for shares in budget.values():
        assert_close(sum(shares.values()), 1.0, atol=1e-9, because="independent sources")


def test_oxalate_is_recognised_by_its_ratio() -> None:
    result = analyze_tga(run_of(OXALATE))
    found = next(d for d in result.messages if d.code == "TGA_POSSIBLE_OXALATE")
    assert_close(float(found.facts["ratio"]), OXALATE_RATIO, rtol=0.05, because="feet of logistic steps")


def test_tissue_is_no_oxalate() -> None:
    assert "TGA_POSSIBLE_OXALATE" not in {d.code for d in analyze_tga(run_of()).messages}


def test_oxalate_that_diffraction_does_not_see_is_said() -> None:
    result = analyze_tga(run_of(OXALATE))
    assert [d.code for d in beside_phases(result, "hydroxyapatite")] == ["TGA_OXALATE_NOT_IN_PATTERN"]
    assert beside_phases(result) == [], "no diffraction, nothing that it could have missed"
    assert [d.code for d in beside_phases(result, "whewellite")] == ["TGA_OXALATE_PRESENT"]


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        ("weddellite", "TGA_OXALATE_PRESENT"),
        ("halite", "TGA_CHLORIDE"),
        ("sylvite", "TGA_CHLORIDE"),
        ("calcite", "TGA_CARBONATE_PHASE"),
        ("struvite", "TGA_CRYSTAL_WATER"),
        ("portlandite", "TGA_HYDROXIDE"),
        ("uric_acid", "TGA_ORGANIC_CRYSTALS"),
    ],
)
def test_phases_that_change_the_reading_are_named(phase: str, code: str) -> None:
    result = analyze_tga(run_of())
    found = beside_phases(result, "hydroxyapatite", phase)
    assert [d.code for d in found] == [code]
    assert phase in found[0].text


def test_apatite_alone_changes_nothing() -> None:
    assert beside_phases(analyze_tga(run_of()), "hydroxyapatite") == []


def test_chloride_message_holds_what_was_lost_late() -> None:
    rows = ((0.10, 90.0, 12.0), (0.30, 320.0, 16.0), (0.05, 900.0, 10.0))
    (found,) = beside_phases(analyze_tga(run_of(rows)), "halite")
    assert_close(float(found.facts["lost_above_800_c"]), 0.05, atol=3e-3, because="buoyancy estimate")


SALT = ((0.10, 90.0, 12.0), (0.18, 320.0, 16.0), (0.12, 430.0, 16.0), (0.03, 740.0, 14.0), (0.05, 930.0, 12.0))


def test_evaporating_salt_is_not_counted_as_carbonate() -> None:
    result = analyze_tga(run_of(SALT))
    found = next(d for d in result.messages if d.code == "TGA_LATE_PEAK")
    assert_close(float(found.facts["peak_c"]), 930.0, atol=2.0, because="grid step and the cut of the top")
    carbonate = result.quantities["carbonate_co2"]
    assert_close(carbonate.value, 0.03, atol=2e-3, because="tails at the cut and the buoyancy estimate")
    assert (carbonate.std or 0.0) > (analyze_tga(run_of()).quantities["carbonate_co2"].std or 0.0)
    assert result.steps[-1].name == "step_4"


def test_hydroxyl_at_the_end_does_not_end_the_carbonate_early() -> None:
    rows = ((0.10, 90.0, 12.0), (0.15, 320.0, 16.0), (0.10, 430.0, 16.0), (0.04, 770.0, 16.0), (0.010, 990.0, 12.0))
    result = analyze_tga(run_of(rows))
    assert "TGA_LATE_PEAK" not in {d.code for d in result.messages}
    assert_close(result.balance[2], 0.04, atol=2e-3, because="tails at the cut and the buoyancy estimate")


@pytest.mark.parametrize("rate", [2.0, 10.0, 40.0])
def test_hydroxyl_that_has_gone_before_the_end_is_no_salt(rate: float) -> None:
    specimen = SpecimenModel(apatite=0.92, water=0.05, carbonate=0.03)
    hot = TgaConditions(heating_rate_k_min=rate, end_c=1500.0, sample_mass_mg=15.0)
    result = analyze_tga(simulate_tga(specimen, hot, seed=1))
    assert "TGA_LATE_PEAK" not in {d.code for d in result.messages}
    because = "twice the standard uncertainty; cut at 815 °C it was 0.5 wt% low"
    assert_close(result.quantities["carbonate_co2"].value, 0.03 * 44.0095 / 60.009, atol=6e-4, because=because)


def test_salt_below_the_hydroxyl_is_still_seen_in_a_hot_run() -> None:
    specimen = SpecimenModel(apatite=0.9, water=0.04, carbonate=0.03, other={"halite": 0.03})
    hot = TgaConditions(end_c=1400.0, sample_mass_mg=15.0)
    assert "TGA_LATE_PEAK" in {d.code for d in analyze_tga(simulate_tga(specimen, hot, seed=1)).messages}
