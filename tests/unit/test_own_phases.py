"""Structures from outside the library: found by the search, weighed as what they are, named with their hash."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.analysis import analyze
from xrdcomp.composition.compose import compose_evidence
from xrdcomp.composition.evidence import ThermalEvidence
from xrdcomp.data import Pattern, TgaRun
from xrdcomp.errors import RecipeError
from xrdcomp.phases import library
from xrdcomp.phases.library import reference_folder
from xrdcomp.recipe import Recipe
from xrdcomp.results import Estimate, SampleResult, XrdAmounts
from xrdcomp.simulate.cohort import simulate_specimen, write_pattern
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


def apatite_of(result: SampleResult) -> Estimate:
    apatite = result.composition.components["crystalline_hydroxyapatite"]
    assert apatite is not None
    return apatite


def amount_of(result: SampleResult) -> float:
    return apatite_of(result).value


def test_carbonate_of_an_own_calcite_is_carbonate(tmp_path: Path) -> None:
    pattern, run = with_calcite()
    searched = Recipe().with_settings({"identification.library": ["hydroxyapatite", "calcite", "quartz"]})
    library = analyze(pattern, tga=run, recipe=searched)
    own(tmp_path, "calcite", "from_paper")
    mine = analyze(
        pattern,
        tga=run,
        recipe=Recipe().with_settings(
            {"identification.library": ["hydroxyapatite", "quartz"], "identification.own_phases": [str(tmp_path)]}
        ),
    )
    assert decisions(mine)["from_paper"] == decisions(library)["calcite"] == "detected"
    for name, component in library.composition.components.items():
        same = mine.composition.components[name]
        assert component is not None
        assert same is not None
        why = "the same structure under another name; fits end within 0.05 σ of their minimum"
        assert_close(same.value, component.value, atol=0.05 * component.std + 1e-5, because=why)


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
    pure = {"quantification.standard_crystallinity": [0.9902, 0.0056], "fit.grain_sizes_um": {"our_spike": 0.5}}
    for names in ({"internal_standard": file}, {"phases": ["hydroxyapatite", file], "internal_standard": "our_spike"}):
        mine = analyze(spiked, recipe=Recipe().with_settings({**names, **spike, **pure}))
        std = apatite_of(library).std
        assert std
        apart = (amount_of(mine) - amount_of(library)) / std
        same = "the same structure by another way; fits with other names stop a tenth of a standard uncertainty apart"
        assert_close(apart, 0.0, atol=0.2, because=same)
    impure = {**spike, "internal_standard": "corundum", "quantification.standard_crystallinity": [0.9, 0.0056]}
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


DOLOMITE = """data_dolomite
_chemical_formula_sum 'Ca Mg C2 O6'
_cell_length_a 4.8069
_cell_length_b 4.8069
_cell_length_c 16.0034
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M 'R -3 :H'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_B_iso_or_equiv
Ca Ca 0 0 0 0.6
Mg Mg 0 0 0.5 0.5
C C 0 0 0.2428 0.6
O O 0.2480 -0.0353 0.2440 0.8
"""


def test_a_carbonate_of_the_library_counts_as_the_same_structure_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dolomite, put into a copy of the library or named as a CIF file, loses the same CO2 and weighs the same."""
    file = tmp_path / "from_paper.cif"
    file.write_text(DOLOMITE, encoding="utf-8")
    copy = tmp_path / "reference_patterns"
    shutil.copytree(reference_folder(), copy)
    entry = copy / "dolomite"
    entry.mkdir()
    (entry / "structure.cif").write_text(DOLOMITE, encoding="utf-8")
    (entry / "phase.toml").write_text(
        'id = "dolomite"\nname = "Dolomite"\nformula = "CaMg(CO3)2"\nsource = "as the file"\n', encoding="utf-8"
    )
    monkeypatch.setattr(library, "reference_folder", lambda: copy)
    monkeypatch.setattr(library, "list_phases", lambda: tuple(sorted(path.name for path in copy.iterdir())))
    listed = library.load_phase("dolomite")
    own_file = library.load_phase(file)
    assert replace(listed.facts, own=True) == own_file.facts
    assert_close(listed.facts.heating.carbonate, 2 * 44.009 / 184.399, rtol=1e-4, because="masses to five digits")
    found = []
    for phase in (listed, own_file):
        amounts = XrdAmounts(
            names=(phase.id, "hydroxyapatite", "protein", "water"),
            amounts=np.array([0.2, 0.3, 0.4, 0.1]),
            covariance=1e-4 * np.eye(4),
            crystalline=(True, True, False, False),
            facts={phase.id: phase.facts, "hydroxyapatite": library.load_phase("hydroxyapatite").facts},
        )
        losses = np.array([0.1, 0.4, 0.2 * phase.facts.heating.carbonate])
        balance = ThermalEvidence(
            values=np.append(losses, 1 - losses.sum()), covariance=1e-5 * np.eye(4), inert=False, final_c=950.0
        )
        found.append(compose_evidence(amounts, balance))
    first, second = ({name: e.value for name, e in c.components.items() if e} for c in found)
    assert first == second
    assert first["carbonate"] > 0.08, "of dolomite 65 % are CO3"
