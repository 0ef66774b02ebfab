"""Structures from outside the library: found by the search, weighed as what they are, named with their hash."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.helpers import assert_close
from xrdcomp.analysis import analyze
from xrdcomp.data import Pattern, TgaRun
from xrdcomp.errors import RecipeError
from xrdcomp.phases.library import reference_folder
from xrdcomp.recipe import Recipe
from xrdcomp.results import SampleResult
from xrdcomp.simulate.cohort import simulate_specimen
from xrdcomp.simulate.exports import write_pattern
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, XrdConditions


@cache
def with_calcite() -> tuple[Pattern, TgaRun]:
    """Pattern and run of a simulated specimen that holds a tenth of calcite."""
    model = SpecimenModel(apatite=0.3, protein=0.45, water=0.15, other={"calcite": 0.1})
    found = simulate_specimen(model, xrd=XrdConditions(step=0.04), tga=TgaConditions(points=1500), seed=3)
    return found.pattern, found.tga


def own(folder: Path, library_id: str, name: str) -> str:
    """A CIF of the library under another name, as a user would have it."""
    target = folder / f"{name}.cif"
    shutil.copy(reference_folder() / library_id / "structure.cif", target)
    return str(target)


def decisions(result: SampleResult) -> dict[str, str]:
    return {phase.id: phase.decision for phase in result.phases}


def amount_of(result: SampleResult) -> float:
    apatite = result.composition.components["crystalline_hydroxyapatite"]
    assert apatite is not None
    return apatite.value


def test_carbonate_of_an_own_calcite_is_carbonate(tmp_path: Path) -> None:
    pattern, run = with_calcite()
    searched = Recipe().with_settings({"identification.library": ["hydroxyapatite", "calcite", "quartz"]})
    library = analyze(pattern, tga=run, recipe=searched)
    own(tmp_path, "calcite", "from_paper")
    mine = analyze(
        pattern,
        tga=run,
        recipe=Recipe().with_settings(
            {
                "identification.library": ["hydroxyapatite", "quartz"],
                "identification.own_phases": [str(tmp_path)],
            }
        ),
    )
    assert decisions(mine)["from_paper"] == decisions(library)["calcite"] == "detected"
    for name, component in library.composition.components.items():
        same = mine.composition.components[name]
        assert component is not None
        assert same is not None
        assert_close(same.value, component.value, atol=1e-4, because="the same structure under another name")


def test_an_own_apatite_is_apatite(tmp_path: Path) -> None:
    pattern, run = with_calcite()
    file = own(tmp_path, "hydroxyapatite", "from_paper")
    settings = {"phases": [file, "calcite"], "identification.library": ["hydroxyapatite", "quartz"]}
    result = analyze(pattern, tga=run, recipe=Recipe().with_settings(settings))
    apatite = result.composition.components["crystalline_hydroxyapatite"]
    assert apatite is not None
    assert abs(apatite.value - 0.3) < 2 * (apatite.std or 0.0)
    assert decisions(result) == {
        "from_paper": "detected",
        "calcite": "detected",
        "hydroxyapatite": "inconclusive",
        "quartz": "not_detected",
    }
    claims = {claim.id: claim for claim in result.claims}
    assert claims["hydroxyapatite_present"].verdict == "supported"
    assert "column_length_nm" in result.phases[0].apatite_indices, "crystal sizes belong to every apatite"


def test_a_search_without_apatite_says_so() -> None:
    pattern, _ = with_calcite()
    settings = {"phases": ["calcite"], "identification.search": False}
    result = analyze(pattern, recipe=Recipe().with_settings(settings))
    assert "COMPOSITION_WITHOUT_APATITE" in [message.code for message in result.messages]
    verdicts = {claim.id: claim.verdict for claim in result.claims}
    assert verdicts["hydroxyapatite_present"] == "inconclusive"


def test_a_spike_from_outside_the_library(tmp_path: Path) -> None:
    model = SpecimenModel(apatite=0.4, protein=0.4, other={"corundum": 0.2})
    spiked = simulate_specimen(model, xrd=XrdConditions(step=0.04), seed=5).pattern
    spike = {"internal_standard_fraction": 0.2, "identification.search": False}
    library = analyze(spiked, recipe=Recipe().with_settings({"internal_standard": "corundum", **spike}))
    file = own(tmp_path, "corundum", "our_spike")
    pure = {
        "quantification.standard_crystallinity": [0.9902, 0.0056],
        "fit.grain_sizes_um": {"our_spike": 0.5},
    }
    for names in (
        {"internal_standard": file},
        {"phases": ["hydroxyapatite", file], "internal_standard": "our_spike"},
    ):
        mine = analyze(spiked, recipe=Recipe().with_settings({**names, **spike, **pure}))
        assert_close(
            amount_of(mine), amount_of(library), atol=0.002, because="the same structure by another way"
        )
    impure = {
        **spike,
        "internal_standard": "corundum",
        "quantification.standard_crystallinity": [0.9, 0.0056],
    }
    less = amount_of(analyze(spiked, recipe=Recipe().with_settings(impure)))
    assert less < 0.99 * amount_of(library), "a spike that is partly amorphous stands for less of everything"


def test_files_that_settings_name_stand_in_the_result(tmp_path: Path) -> None:
    pattern, _ = with_calcite()
    file = own(tmp_path, "calcite", "from_paper")
    halo = simulate_specimen(SpecimenModel(protein=1.0), xrd=XrdConditions(step=0.04), seed=2).pattern
    write_pattern(tmp_path / "collagen.xy", halo, "xy")
    settings = {
        "phases": ["hydroxyapatite", file],
        "identification.search": False,
        "instrument.radiation": "CuKa",
        "fit.amorphous_patterns": {"protein": str(tmp_path / "collagen.xy")},
        "fit.two_theta_range": [10.0, 65.0],
    }
    result = analyze(pattern, recipe=Recipe().with_settings(settings))
    (reference,) = [item for item in result.inputs if "setting" in item]
    digest = hashlib.sha256((tmp_path / "collagen.xy").read_bytes()).hexdigest()
    assert (reference["setting"], reference["sha256"]) == ("fit.amorphous_patterns.protein", digest)
    (structure,) = result.settings["used"]["files"]
    assert structure == {
        "setting": "phases",
        "file": "from_paper.cif",
        "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest(),
    }


def test_settings_that_would_do_nothing_are_refused() -> None:
    for settings, words in (
        ({"instrument.intensity_ratio": 0.4}, "Expected: both, or a named radiation"),
        ({"internal_standard_fraction": 0.2}, "internal_standard as well"),
    ):
        with pytest.raises(RecipeError, match=words):
            Recipe().with_settings(settings)
