"""Every setting moves what depends on it: turned, the result of one specimen changes where it should."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from xrdcomp.analysis import analyze
from xrdcomp.data import Pattern, TgaRun
from xrdcomp.instrument.build import build_instrument, write_instrument
from xrdcomp.phases.library import reference_folder
from xrdcomp.recipe import Recipe
from xrdcomp.results import SampleResult
from xrdcomp.simulate.cohort import simulate_specimen, write_pattern
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, XrdConditions

Settings = Mapping[str, Any]
NOTHING: Settings = {}
NO_SEARCH: Settings = {"identification.search": False}
SPIKE: Settings = {"internal_standard": "calcite", "internal_standard_fraction": 0.1}
SEVERAL: Settings = {"phases": ["hydroxyapatite", "calcite"], **NO_SEARCH}
EXTERNAL: Settings = {
    **SEVERAL, "quantification.method": "external_standard", "quantification.external_constant": [5e11, 2e10],
}  # fmt: skip
PONKCS: Settings = {
    **SEVERAL, "quantification.method": "ponkcs", "quantification.ponkcs_factors": {"protein": [1.0, 0.1]},
}  # fmt: skip
RATIOS: Settings = {
    **SEVERAL, **SPIKE, "quantification.method": "rir",
    "quantification.reference_ratios": {"calcite": [2.0, 0.1], "hydroxyapatite": [1.2, 0.1]},
}  # fmt: skip
HALF: Settings = {"composition.minor_below": 0.3}
INERT: Settings = {"thermal.atmosphere": "nitrogen"}

# setting: value to turn it to, other settings that both runs need, which parts of the result must change
TURNED: dict[str, tuple[Any, Settings, str]] = {
    "sample_id": ("other", NOTHING, "sample_id"),
    "phases": (["calcite"], NO_SEARCH, "xrd composition"),
    "internal_standard": ("hydroxyapatite", SPIKE, "composition"),
    "internal_standard_fraction": (0.12, SPIKE, "composition"),
    "specimen.kind": ("unknown", {"composition.method": "xrd", **NO_SEARCH}, "composition"),
    "instrument.radiation": ("CoKa", NO_SEARCH, "xrd"),
    "instrument.wavelengths": ([1.5406], NO_SEARCH, "xrd"),
    "instrument.intensity_ratio": (0.45, {"instrument.wavelengths": [1.540598, 1.544426], **NO_SEARCH}, "xrd"),
    "instrument.wavelength_weights": ([1.0, 0.4], {"instrument.wavelengths": [1.540598, 1.544426], **NO_SEARCH}, "xrd"),
    "instrument.geometry": ("debye_scherrer", NO_SEARCH, "xrd"),
    "instrument.radius_mm": (300.0, NO_SEARCH, "xrd"),
    "instrument.monochromator_two_theta": (26.6, NO_SEARCH, "xrd composition"),
    "instrument.polarization_fraction": (0.7, NO_SEARCH, "xrd"),
    "instrument.variable_slit": (True, NO_SEARCH, "xrd"),
    "instrument.kbeta_ratio": (0.01, NO_SEARCH, "xrd"),
    "instrument.w_la_ratio": (0.01, NO_SEARCH, "xrd"),
    "instrument.absorption_radius": (0.5, NO_SEARCH, "xrd"),
    "instrument.incidence_angle": (5.0, {"fit.two_theta_range": [10.0, 70.0], **NO_SEARCH}, "xrd"),
    "instrument.specimen_length_mm": (10.0, {"instrument.equatorial_divergence": 1.0, **NO_SEARCH}, "xrd"),
    "instrument.equatorial_divergence": (1.0, NO_SEARCH, "xrd"),
    "instrument.axial_correlation": (0.0, NO_SEARCH, "xrd"),
    "fit.two_theta_range": ([15.0, 60.0], NO_SEARCH, "xrd composition"),
    "fit.mode": ("peaks", NO_SEARCH, "xrd"),
    "fit.background": ("flexible", NO_SEARCH, "xrd"),
    "fit.background_terms": (4, {"fit.background": "flexible", **NO_SEARCH}, "xrd"),
    "fit.amorphous": (["protein"], NO_SEARCH, "xrd"),
    "fit.size": ("isotropic", NO_SEARCH, "xrd"),
    "fit.strain": (False, NO_SEARCH, "xrd"),
    "fit.texture": ("none", NO_SEARCH, "xrd"),
    "fit.grain_size_um": (10.0, SEVERAL, "xrd composition"),
    "fit.grain_sizes_um": ({"calcite": 20.0}, SEVERAL, "xrd composition"),
    "fit.displacement": (False, NO_SEARCH, "xrd"),
    "fit.zero_shift": (True, NO_SEARCH, "xrd"),
    "fit.transparency": (True, NO_SEARCH, "xrd"),
    "fit.cell": (False, NO_SEARCH, "xrd"),
    "fit.b_overall": (False, NO_SEARCH, "xrd"),
    "fit.b_elements": (True, NO_SEARCH, "xrd"),
    "fit.asymmetry": (False, NO_SEARCH, "xrd"),
    "fit.per_gram_std": (0.1, NO_SEARCH, "composition"),
    "fit.solver": ("lmfit", NO_SEARCH, "xrd"),
    "fit.max_iterations": (1, NO_SEARCH, "xrd"),
    "identification.search": (False, NOTHING, "phases"),
    "identification.start": ("nothing", NOTHING, "phases"),
    "identification.library": (["hydroxyapatite", "quartz"], NOTHING, "phases"),
    "identification.false_alarm_rate": (0.2, NOTHING, "phases claims"),
    "identification.detection_probability": (0.5, NOTHING, "phases claims"),
    "thermal.atmosphere": ("nitrogen", NO_SEARCH, "tga composition"),
    "thermal.water_end_c": (150.0, NO_SEARCH, "tga composition"),
    "thermal.organic_end_c": (500.0, {"thermal.search_half_width_c": 10.0, **NO_SEARCH}, "tga"),
    "thermal.carbonate_end_c": (800.0, {"thermal.search_half_width_c": 10.0, **NO_SEARCH}, "tga"),
    "thermal.search_half_width_c": (5.0, NO_SEARCH, "tga"),
    "thermal.char_fraction": (0.1, {**INERT, **NO_SEARCH}, "tga composition"),
    "thermal.char_std": (0.02, {**INERT, **NO_SEARCH}, "tga composition"),
    "thermal.sample_density_g_cm3": (2.5, NO_SEARCH, "tga"),
    "thermal.pan_volume_cm3": (0.1, NO_SEARCH, "tga"),
    "thermal.buoyancy_std": (0.8, NO_SEARCH, "tga"),
    "thermal.drift_std_ug": (20.0, NO_SEARCH, "tga"),
    "thermal.placement_std_c": (40.0, NO_SEARCH, "tga"),
    "thermal.bound_water_fraction": (0.01, NO_SEARCH, "tga"),
    "thermal.smoothing_c": (30.0, NO_SEARCH, "tga"),
    "thermal.assignment": ("none", NO_SEARCH, "tga"),
    "thermal.decompose": ("always", NO_SEARCH, "tga"),
    "thermal.bootstrap": (50, {"thermal.decompose": "always", **NO_SEARCH}, "tga"),
    "thermal.seed": (1, {"thermal.decompose": "always", **NO_SEARCH}, "tga"),
    "quantification.method": ("hill_howard", SEVERAL, "metadata"),
    "quantification.standard_crystallinity": ([0.9, 0.01], SPIKE, "composition"),
    "quantification.external_constant": ([6e11, 2e10], EXTERNAL, "metadata"),
    "quantification.rest_attenuation": ([9.0, 1.0], EXTERNAL, "metadata"),
    "quantification.ponkcs_factors": ({"protein": [1.2, 0.1]}, PONKCS, "metadata"),
    "quantification.k": ([1.1, 0.1], {"quantification.method": "crystallinity", **NO_SEARCH}, "metadata"),
    "quantification.per_gram_std": (0.1, SEVERAL, "metadata"),
    "quantification.amorphous_std": (0.5, SEVERAL, "metadata"),
    "quantification.particle_size_um": ({"calcite": 10.0}, EXTERNAL, "metadata"),
    "quantification.reference_ratios": ({"calcite": [3.0, 0.1], "hydroxyapatite": [1.2, 0.1]}, RATIOS, "metadata"),
    "composition.basis": ("dry", NO_SEARCH, "composition"),
    "composition.method": ("xrd", NO_SEARCH, "composition"),
    "composition.supported_above": (1.0, NOTHING, "claims"),
    "composition.refuted_below": (0.94, HALF, "claims"),
    "composition.minor_below": (0.1, NO_SEARCH, "claims"),
    "composition.organic_above": (0.9, NO_SEARCH, "claims"),
    "composition.foreign_level": (0.0005, NOTHING, "claims"),
    "composition.aliquot_std": (0.05, NO_SEARCH, "composition"),
    "composition.xrd_bias_std": (0.1, NO_SEARCH, "composition"),
    "composition.draws": (1000, NO_SEARCH, "composition"),
    "composition.seed": (1, NO_SEARCH, "composition"),
}  # fmt: skip
BY_FILE = {
    "instrument.file",
    "identification.own_phases",
    "fit.amorphous_patterns",
    "fit.amorphous_formulas",
    "fit.amorphous_control",
    "quantification.external_scan",
    "quantification.external_phase",
    "quantification.amorphous_file",
    "quantification.reference_patterns",
    *("history.file", "history.diffractometer", "history.thermobalance"),
    *("history.interval_days", "history.baseline_runs"),
}
"""Settings that name files, or speak of what they hold: turned below, or in the tests of what they name."""


PURE = {"composition.foreign_level"}
"""Settings that are turned on a specimen without calcite: what was not found depends on them."""


@cache
def specimen(*, pure: bool = False) -> tuple[Pattern, TgaRun]:
    """Pattern and run of apatite in protein, with a tenth of calcite or none; neither states radiation or gas."""
    other = {} if pure else {"calcite": 0.1}
    model = SpecimenModel(apatite=0.3, protein=0.55 if pure else 0.45, water=0.15, other=other)
    found = simulate_specimen(model, xrd=XrdConditions(step=0.05), tga=TgaConditions(points=1200), seed=3)
    return replace(found.pattern, anode="", emission_lines=()), replace(found.tga, atmosphere="unknown")


def analysed(settings: Settings, *, pure: bool = False) -> SampleResult:
    pattern, run = specimen(pure=pure)
    return analyze(pattern, tga=run, recipe=Recipe().with_settings(dict(settings)))


@cache
def part_texts(settings: str, *, pure: bool) -> dict[str, str]:
    """Parts of the result as text, figures to ten digits, by settings as JSON text."""
    result = analysed(json.loads(settings), pure=pure).to_dict()
    return {key: json.dumps(value, sort_keys=True, default=str) for key, value in result.items()}


def parts_of(settings: Settings, *, pure: bool = False) -> dict[str, str]:
    return part_texts(json.dumps(settings, sort_keys=True), pure=pure)


def all_settings() -> set[str]:
    found = set()
    for group, values in msgspec.to_builtins(Recipe()).items():
        found |= {f"{group}.{key}" for key in values} if isinstance(values, dict) else {group}
    return found


def test_every_setting_is_turned() -> None:
    assert set(TURNED) | BY_FILE == all_settings()
    assert not set(TURNED) & BY_FILE


@pytest.mark.parametrize("key", TURNED)
def test_turning_a_setting_changes_what_depends_on_it(key: str) -> None:
    value, others, changes = TURNED[key]
    pure = key in PURE
    before, after = parts_of(others, pure=pure), parts_of({**others, key: value}, pure=pure)
    for part in changes.split():
        assert before[part] != after[part], f"{part} is the same with {key} = {value!r}"


def test_an_instrument_file_decides_the_resolution(tmp_path: Path) -> None:
    pattern, _ = specimen()
    file = tmp_path / "instrument.toml"
    write_instrument(replace(build_instrument(pattern, Recipe().instrument), caglioti_w=0.02, calibrated=True), file)
    assert parts_of(NO_SEARCH)["xrd"] != parts_of({**NO_SEARCH, "instrument.file": str(file)})["xrd"]


def test_own_phases_are_searched_for() -> None:
    own = str(reference_folder() / "quartz" / "structure.cif")
    narrow: Settings = {"identification.library": ["hydroxyapatite"]}
    found = json.loads(parts_of({**narrow, "identification.own_phases": [own]})["phases"])
    assert "structure" in {phase["id"] for phase in found}


def test_a_measured_pattern_of_amorphous_matter_joins_the_fit(tmp_path: Path) -> None:
    halo = simulate_specimen(SpecimenModel(protein=1.0), xrd=XrdConditions(step=0.05), seed=4).pattern
    file = tmp_path / "collagen.xy"
    write_pattern(file, halo, "xy")
    settings = {**NO_SEARCH, "fit.amorphous_patterns": {"protein": str(file)}}
    plain = parts_of(settings)["xrd"]
    assert parts_of(NO_SEARCH)["xrd"] != plain
    water = simulate_specimen(SpecimenModel(water=1.0, protein=0.0, apatite=0.0), xrd=XrdConditions(step=0.05), seed=5)
    write_pattern(tmp_path / "water.xy", water.pattern, "xy")
    assert parts_of({**settings, "fit.amorphous_formulas": {"protein": "C6H10O5"}})["xrd"] != plain
    assert parts_of({**settings, "fit.amorphous_control": {"water": str(tmp_path / "water.xy")}})["xrd"] != plain


def test_result_depends_on_nothing_else() -> None:
    """The same settings give the same bytes: what the tests above see are the settings alone."""
    first, again = analysed(NO_SEARCH).to_dict(), analysed(NO_SEARCH).to_dict()
    assert json.dumps(first, default=str) == json.dumps(again, default=str)
    assert np.isfinite(first["composition"]["components"]["organic"]["value"])
