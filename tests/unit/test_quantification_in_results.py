"""The chosen method of quantification in the result of an analysis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fit_cases import EMPTY
from tests.helpers import assert_close
from xrdcomp.analysis import analyze
from xrdcomp.data import Pattern
from xrdcomp.errors import AnalysisError, RecipeError
from xrdcomp.phases.library import load_phase
from xrdcomp.quantification.methods import KnownMixture, calibrate_amorphous, external_constant, write_amorphous
from xrdcomp.quantification.select import phase_attenuation, strongest_line_areas
from xrdcomp.recipe import Recipe
from xrdcomp.simulate.cohort import simulate_pattern, write_pattern
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions

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
    messages = {d.code: d for d in result.messages}
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


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("auto", "chosen because amorphous parts were fitted"),
        ("absolute", "as asked for; the scattering per gram"),
        ("hill_howard", "as asked for; they refer to the crystalline part only"),
        ("crystallinity", "as asked for; no constant was given, so k is calculated"),
    ],
)
def test_the_reason_is_true_of_the_specimen(spiked: Pattern, method: str, reason: str) -> None:
    recipe = Recipe(phases=("hydroxyapatite", "corundum")).with_settings({**QUICK, "quantification.method": method})
    told = {d.code: d.text for d in analyze(spiked, recipe=recipe).messages}
    assert reason in told["QUANTIFICATION_METHOD"]


COPPER = {**QUICK, "instrument.radiation": "CuKa", "instrument.radius_mm": 240.0}


def mixture(seed: int, parts: dict[str, float], other: dict[str, float], **conditions: float) -> Pattern:
    model = SpecimenModel(specimen_id="mixture", **{**EMPTY, **parts}, other=other)
    measured = XrdConditions(**{"two_theta_min": 10.0, "peak_counts": 8000.0, **conditions})
    return simulate_pattern(model, measured, seed=seed)[0]


def fractions(scan: Pattern, phases: list[str], settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    recipe = Recipe().with_settings({**COPPER, "phases": phases, **settings})
    found: dict[str, dict[str, Any]] = analyze(scan, recipe=recipe).metadata["quantification"]["fractions"]
    return found


def assert_inside(found: dict[str, dict[str, Any]], truth: dict[str, float]) -> None:
    for name, value in truth.items():
        low, high = found[name]["ci95"]
        assert low <= value <= high, f"{name}: {low:.4f} to {high:.4f}, truth {value}"


def test_reference_intensity_ratios_from_settings() -> None:
    phases = ["corundum", "zincite", "fluorite"]
    ratios = {"corundum": [1.0, 1e-4], "zincite": [5.28, 0.16], "fluorite": [4.03, 0.12]}
    literature = {"zincite": 5.4, "fluorite": 3.9}
    for k, (name, value) in enumerate(literature.items()):
        scan = mixture(70 + k, {}, {"corundum": 0.5, name: 0.5})
        recipe = Recipe().with_settings({**COPPER, "phases": ["corundum", name]})
        fit = analyze(scan, recipe=recipe).xrd
        areas = strongest_line_areas(fit)
        found = areas[name].value / areas["corundum"].value
        assert_close(found, value, rtol=0.06, because="spread of published I/Ic of one phase")
    truth = {"corundum": 0.05, "zincite": 0.15, "fluorite": 0.8}
    settings = {"quantification.method": "rir", "quantification.reference_ratios": ratios}
    assert_inside(fractions(mixture(1, {}, truth), phases, settings), truth)


def test_summation_of_measured_patterns_from_settings(tmp_path: Path) -> None:
    names = ("calcite", "quartz")
    pure = {name: mixture(80 + k, {}, {name: 1.0}, absolute_scale=3e4) for k, name in enumerate(names)}
    truth = {"calcite": 0.3, "quartz": 0.7}
    mean = sum(share * pure[name].intensity for name, share in truth.items())
    counts = np.random.default_rng(3).poisson(mean).astype(float)
    scan = replace(pure["quartz"], intensity=counts, sigma=np.sqrt(counts + 1.0))
    for name in names:
        write_pattern(tmp_path / f"{name}.xy", pure[name], "xy")
    settings = {
        "quantification.method": "summation",
        "quantification.reference_patterns": {name: str(tmp_path / f"{name}.xy") for name in names},
        "quantification.reference_ratios": {name: [1.0, 0.02] for name in names},
    }
    assert_inside(fractions(scan, list(names), settings), truth)
    with pytest.raises(AnalysisError, match="reference_patterns"):
        fractions(scan, list(names), {**settings, "quantification.reference_patterns": {}})


def test_one_constant_serves_sharp_standard_and_broad_specimen() -> None:
    scale = {"absolute_scale": 2e3, "air_scatter": 0.05, "two_theta_max": 80.0}
    standard = mixture(20, {}, {"corundum": 1.0}, **scale)
    recipe = Recipe().with_settings({**COPPER, "phases": ["corundum"], "fit.amorphous": []})
    fit = analyze(standard, recipe=recipe).xrd
    attenuation = phase_attenuation(load_phase("corundum"), fit.wavelengths[0])
    constant = external_constant(fit.amounts, "corundum", attenuation, crystallinity=(1.0, 0.001))
    for seed, organic in ((30, 0.2), (31, 0.6)):
        scan = mixture(seed, {"apatite": 1.0 - organic, "protein": organic}, {}, **scale)
        settings = {
            "quantification.external_constant": [constant.value, constant.std],
            "quantification.rest_attenuation": [8.0, 2.0],
        }
        found = fractions(scan, ["hydroxyapatite"], settings)
        assert_inside(found, {"hydroxyapatite": 1.0 - organic, "non_crystalline": organic})


def test_the_scan_of_a_pure_standard_gives_the_constant(tmp_path: Path) -> None:
    scale = {"absolute_scale": 2e3, "air_scatter": 0.05, "two_theta_max": 80.0}
    write_pattern(tmp_path / "pure.xy", mixture(20, {}, {"corundum": 1.0}, **scale), "xy")
    settings = {
        "quantification.external_scan": str(tmp_path / "pure.xy"),
        "quantification.standard_crystallinity": [1.0, 0.001],
        "quantification.rest_attenuation": [8.0, 2.0],
    }
    scan = mixture(30, {"apatite": 0.8, "protein": 0.2}, {}, **scale)
    found = fractions(scan, ["hydroxyapatite"], settings)
    assert_inside(found, {"hydroxyapatite": 0.8, "non_crystalline": 0.2})
    wrong = {**settings, "quantification.external_phase": "quartz"}
    with pytest.raises(AnalysisError, match="not described by quartz"):
        fractions(scan, ["hydroxyapatite"], wrong)


def test_the_composition_takes_its_scale_from_the_external_standard(tmp_path: Path) -> None:
    scale = {"absolute_scale": 2e3, "air_scatter": 0.05, "two_theta_max": 80.0}
    write_pattern(tmp_path / "pure.xy", mixture(20, {}, {"corundum": 1.0}, **scale), "xy")
    specimen = mixture(31, {"apatite": 0.4, "protein": 0.6}, {}, **scale)
    settings = {
        **COPPER,
        "phases": ["hydroxyapatite"],
        "composition.method": "xrd+external_standard",
        "quantification.standard_crystallinity": [1.0, 0.001],
        "quantification.rest_attenuation": [8.0, 2.0],
    }
    with pytest.raises(AnalysisError, match="external_scan or external_constant"):
        analyze(specimen, recipe=Recipe().with_settings(settings))
    settings["quantification.external_scan"] = str(tmp_path / "pure.xy")
    found = analyze(specimen, recipe=Recipe().with_settings(settings)).composition
    assert found.method == "xrd+external_standard"
    apatite = found.components["crystalline_hydroxyapatite"]
    assert apatite is not None
    assert apatite.ci95 is not None
    low, high = apatite.ci95
    assert low <= 0.4 <= high
    assert high - low < 0.3


@pytest.mark.parametrize(
    "settings",
    [
        {"fit.grain_sizes_um": {"hydroxyapatit": 5.0}},
        {"quantification.particle_size_um": {"hydroxyapatit": 5.0}},
        {"quantification.ponkcs_factors": {"hydroxyapatit": [1.0, 0.1]}},
    ],
)
def test_a_slip_in_a_name_is_refused(settings: dict[str, Any], spiked: Pattern) -> None:
    with pytest.raises(RecipeError, match="Did you mean hydroxyapatite"):
        analyze(spiked, recipe=Recipe(phases=("hydroxyapatite",)).with_settings({**QUICK, **settings}))


def test_one_calibration_file_serves_crystallinity_and_ponkcs(tmp_path: Path) -> None:
    known = []
    for seed, share in ((50, 0.3), (51, 0.7)):
        scan = mixture(seed, {"apatite": share, "protein": 1.0 - share}, {})
        recipe = Recipe().with_settings({**COPPER, "phases": ["hydroxyapatite"]})
        fit = analyze(scan, recipe=recipe).xrd
        assert fit is not None
        assert fit.crystallinity is not None
        known.append(
            KnownMixture(crystallinity=fit.crystallinity, fraction=share, fraction_std=0.005, amounts=fit.amounts)
        )
    ends = (float(fit.two_theta[0]), float(fit.two_theta[-1]))
    file = str(write_amorphous(calibrate_amorphous(known, ends), tmp_path / "amorphous.toml"))
    scan = mixture(52, {"apatite": 0.5, "protein": 0.5}, {})
    settings = {"quantification.amorphous_file": file}
    assert_inside(fractions(scan, ["hydroxyapatite"], settings), {"crystalline": 0.5})
    by_factor = fractions(scan, ["hydroxyapatite"], {**settings, "quantification.method": "ponkcs"})
    assert_inside(by_factor, {"hydroxyapatite": 0.5, "non_crystalline": 0.5})
    with pytest.raises(RecipeError, match=r"same range, 20\.0"):
        fractions(scan, ["hydroxyapatite"], {**settings, "fit.two_theta_range": [20.0, 60.0]})
    two = mixture(53, {"apatite": 0.4, "protein": 0.4}, {"corundum": 0.2})
    recipe = Recipe().with_settings({**COPPER, **settings, "phases": ["hydroxyapatite", "corundum"]})
    told = {d.code: d.text for d in analyze(two, recipe=recipe).messages}
    assert "corundum" in told["QUANTIFICATION_SECOND_PHASE"]


def test_phases_found_beside_the_named_ones_are_told() -> None:
    scan = mixture(54, {}, {"corundum": 0.6, "zincite": 0.4})
    searched = {**COPPER, "identification.search": True, "phases": ["corundum"]}
    result = analyze(scan, recipe=Recipe().with_settings(searched))
    told = {d.code: d for d in result.messages}
    assert "zincite" in told["XRD_PHASES_NOT_FITTED"].facts
    named = analyze(scan, recipe=Recipe().with_settings({**searched, "phases": ["corundum", "zincite"]}))
    assert "XRD_PHASES_NOT_FITTED" not in {d.code for d in named.messages}
    ghost = analyze(scan, recipe=Recipe().with_settings({**searched, "phases": ["corundum", "zincite", "calcite"]}))
    report = next(p for p in ghost.phases if p.id == "calcite")
    assert report.decision == "inconclusive"
    assert report.weight_fraction is None
    text = next(d.text for d in ghost.messages if d.code == "XRD_PHASE_INCONCLUSIVE")
    assert "its reflections do not appear" in text
