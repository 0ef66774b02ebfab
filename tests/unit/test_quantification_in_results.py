"""The chosen method of quantification in the result of an analysis."""

from __future__ import annotations

import pytest

from xrdcomp.errors import AnalysisError
from xrdcomp.pipeline import analyze
from xrdcomp.recipe import Recipe
from xrdcomp.simulate import ApatiteModel, SpecimenModel, XrdConditions, simulate_pattern
from xrdcomp.types import Pattern

PURITY = 0.9902
QUICK = {"identification.search": False, "composition.draws": 400}


@pytest.fixture(scope="module")
def spiked() -> Pattern:
    """60 % apatite and 40 % protein, spiked with 20 % corundum of which 0.98 % is amorphous."""
    model = SpecimenModel(
        specimen_id="spiked",
        apatite=0.8 * 0.6,
        protein=0.8 * 0.4,
        lipid=0.0,
        water=0.0,
        carbonate=0.0,
        amorphous_mineral=0.2 * (1.0 - PURITY),
        other={"corundum": 0.2 * PURITY},
        apatite_model=ApatiteModel(length_c_nm=40.0, length_a_nm=20.0),
    )
    return simulate_pattern(model, XrdConditions(peak_counts=10000), seed=3)[0]


def test_a_spike_is_used_and_the_reason_given(spiked: Pattern) -> None:
    recipe = Recipe(phases=("hydroxyapatite",), internal_standard="corundum", internal_standard_fraction=0.2)
    result = analyze(spiked, recipe=recipe.with_settings(QUICK))
    found = result.metadata["quantification"]
    assert found["method"] == "internal_standard"
    low, high = found["fractions"]["non_crystalline"]["ci95"]
    assert low <= 0.4 <= high
    assert high - low < 0.15, "narrow enough to be of use"
    messages = {d.code: d for d in result.diagnostics}
    assert messages["QUANTIFICATION_METHOD"].facts["method"] == "internal_standard"
    assert "XRD_GENERIC_INSTRUMENT" in messages


def test_without_a_spike_the_absolute_scale_is_wider(spiked: Pattern) -> None:
    recipe = Recipe(phases=("hydroxyapatite", "corundum")).with_settings(QUICK)
    found = analyze(spiked, recipe=recipe).metadata["quantification"]
    assert found["method"] == "absolute"
    low, high = found["fractions"]["hydroxyapatite"]["ci95"]
    assert low <= 0.48 <= high


def test_a_method_without_its_constant_is_refused(spiked: Pattern) -> None:
    recipe = Recipe(phases=("hydroxyapatite", "corundum")).with_settings(
        {**QUICK, "quantification.method": "external_standard"}
    )
    with pytest.raises(AnalysisError, match="external_constant"):
        analyze(spiked, recipe=recipe)


def test_microabsorption_and_crystallinity_from_settings(spiked: Pattern) -> None:
    base = Recipe(phases=("hydroxyapatite", "corundum")).with_settings(QUICK)
    plain = analyze(spiked, recipe=base).metadata["quantification"]["fractions"]["hydroxyapatite"]["value"]
    coarse = base.with_settings({"quantification.particle_size_um": {"hydroxyapatite": 5.0}})
    moved = analyze(spiked, recipe=coarse).metadata["quantification"]["fractions"]["hydroxyapatite"]["value"]
    assert 1.0 < moved / plain < 1.1
    by_area = base.with_settings({"quantification.k": [1.5, 0.3]})
    found = analyze(spiked, recipe=by_area).metadata["quantification"]
    assert found["method"] == "crystallinity"
    assert set(found["fractions"]) == {"crystalline", "non_crystalline"}
