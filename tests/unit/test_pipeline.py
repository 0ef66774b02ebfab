"""The straight line: what goes in, what is collected on the way, what is written down about it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import xrdcomp as xc
from tests.builders import phase_result
from tests.helpers import assert_close
from xrdcomp.analysis import _name_of, analyze, analyze_sample
from xrdcomp.composition.compose import without_standard
from xrdcomp.data import Diagnostic, EmissionLine, Instrument, Pattern, Sample, Source, TgaRun
from xrdcomp.errors import AnalysisError, RecipeError
from xrdcomp.instrument.build import read_instrument, write_instrument
from xrdcomp.present.files import safe_sample_id
from xrdcomp.recipe import Recipe
from xrdcomp.results import Estimate, PhaseResult
from xrdcomp.simulate.cohort import simulate_specimen
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, XrdConditions

QUICK = Recipe().with_settings({"identification.search": False})


@cache
def measured() -> tuple[Pattern, TgaRun]:
    """Pattern and run of one simulated specimen without foreign phases."""
    model = SpecimenModel(
        specimen_id="T1", apatite=0.3, carbonate=0.02, protein=0.4, lipid=0.1, water=0.15, amorphous_mineral=0.03
    )  # fmt: skip
    simulated = simulate_specimen(model, xrd=XrdConditions(step=0.04), tga=TgaConditions(points=1500), seed=11)
    return simulated.pattern, simulated.tga


def test_each_stage_alone_gives_what_the_whole_line_gives() -> None:
    pattern, run = measured()
    instrument = xc.build_instrument(pattern, QUICK.instrument)
    fit = xc.fit_pattern(pattern, xc.load_phases(["hydroxyapatite"]), instrument, QUICK.fit)
    thermal = xc.analyze_tga(run, QUICK.thermal)
    alone = xc.compose(fit, (), thermal, QUICK.composition).components["organic"]
    result = xc.analyze(pattern, tga=run, recipe=QUICK)
    whole = result.composition.components["organic"]
    assert alone is not None
    assert whole is not None
    assert_close(alone.value, whole.value, atol=0.01, because="the line adds only which phases were decided on")
    assert "crystalline hydroxyapatite" in str(result)


def test_the_false_alarm_rate_moves_threshold_limits_and_claims_together() -> None:
    pattern, run = measured()
    strict, loose = (
        analyze(pattern, tga=run, recipe=Recipe().with_settings({"identification.false_alarm_rate": rate}))
        for rate in (0.002, 0.2)
    )
    limits = []
    for result in (strict, loose):
        absent = {p.id: p for p in result.phases if p.decision == "not_detected"}
        rule = absent["calcite"].evidence.rule
        assert rule is not None
        limits.append((rule.threshold, absent["calcite"].detection_limit))
    assert limits[1][0] < limits[0][0] - 1.0
    assert limits[1][1] < 0.9 * limits[0][1]
    only = [
        next(c.probability for c in result.claims if c.id == "hydroxyapatite_only_crystalline_phase")
        for result in (strict, loose)
    ]
    assert only[0] is not None
    assert only[1] is not None
    assert abs(only[1] - only[0]) > 1e-4


def test_every_public_name_can_be_had() -> None:
    for name in xc.__all__:
        assert getattr(xc, name) is not None
    with pytest.raises(AttributeError, match="no_such"):
        xc.no_such  # noqa: B018 - the access is the test


def test_measurements_in_memory_give_a_whole_result() -> None:
    pattern, run = measured()
    result = analyze(pattern, tga=run, sample_id="mine", recipe=QUICK)
    assert result.sample_id == "mine"
    assert result.xrd is not None
    assert result.tga is not None
    assert result.composition.method == "xrd+tga"
    assert {claim.id for claim in result.claims} == {
        "hydroxyapatite_present",
        "hydroxyapatite_only_crystalline_phase",
        "hydroxyapatite_minor_component",
        "organic_more_than_half",
    }
    assert result.settings["used"]["phases"] == ["hydroxyapatite"]
    assert result.settings["used"]["emission_lines"][0]["wavelength"] == pytest.approx(1.5406, abs=1e-4)
    assert {"xrdcomp", "python", "numpy", "scipy"} == set(result.software)
    assert result.metadata["simulated"] is True
    assert result.metadata["intensity_unit"] == "counts"
    assert Recipe.from_dict({k: v for k, v in result.settings.items() if k != "used"}).sample_id == "mine"


def test_nothing_and_blanks_alone_are_refused() -> None:
    pattern, run = measured()
    with pytest.raises(AnalysisError, match="nothing to analyse"):
        analyze()
    with pytest.raises(AnalysisError, match="blank belongs"):
        analyze(tga=run, blank=pattern)
    with pytest.raises(AnalysisError, match="blank belongs"):
        analyze(pattern, tga_blank=run)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("B12.xrdml", "B12"),
        ("2.Beechwood-10.xlsx", "2.Beechwood-10"),
        ("scan.xy.gz", "scan"),
        ("Ca(OH)2_roh.csv", "Ca(OH)2_roh"),
        ("a b;c.xy", "a_b_c"),
        ("Größe.xy", "Größe"),
    ],
)
def test_the_specimen_is_named_after_its_file(file: str, name: str) -> None:
    _, run = measured()
    run = replace(run, source=Source(file=file, sha256="0" * 64, format="x"))
    result = analyze(tga=run)
    assert result.sample_id == name
    assert [(item["kind"], item["file"]) for item in result.inputs] == [("tga", file)]
    assert analyze(tga=run, recipe=Recipe(sample_id="R")).sample_id == "R"
    assert analyze(tga=run, sample_id="S", recipe=Recipe(sample_id="R")).sample_id == "S"


def test_messages_of_the_readers_reach_the_result_once() -> None:
    pattern, run = measured()
    odd = Diagnostic(code="READER_ODD", severity="warning", text="odd.")
    result = analyze(replace(pattern, messages=(odd,)), tga=replace(run, messages=(odd,)), recipe=QUICK)
    assert [d.code for d in result.messages].count("READER_ODD") == 1
    assert result.status in {"warning", "failed"}


def test_an_assumed_radiation_is_told_and_a_given_one_is_used() -> None:
    pattern, _ = measured()
    silent = replace(pattern, emission_lines=(), anode="")
    codes = [d.code for d in analyze(silent, recipe=QUICK).messages]
    assert "XRD_RADIATION_ASSUMED" in codes
    given = QUICK.with_settings({"instrument.wavelengths": [1.5406, 1.5444]})
    result = analyze(silent, recipe=given)
    assert "XRD_RADIATION_ASSUMED" not in [d.code for d in result.messages]
    assert [x["wavelength"] for x in result.settings["used"]["emission_lines"]] == [1.5406, 1.5444]


def test_the_internal_standard_is_fitted_beside_the_default_phase() -> None:
    recipe = QUICK.with_settings({"internal_standard": "corundum", "internal_standard_fraction": 0.2})
    spiked = simulate_specimen(
        SpecimenModel(apatite=0.4, protein=0.4, other={"corundum": 0.2}), xrd=XrdConditions(step=0.04), seed=5
    ).pattern
    result = analyze(spiked, recipe=recipe)
    assert set(result.settings["used"]["phases"]) == {"hydroxyapatite", "corundum"}
    assert "internal_standard" in result.composition.method
    phases = {phase.id: phase for phase in result.phases}
    assert phases["corundum"].weight_fraction is None
    assert phases["corundum"].internal_standard
    share = phases["hydroxyapatite"].crystalline_weight_fraction
    assert share is not None
    assert_close(share.value, 1.0, atol=1e-12, because="the only crystalline phase of the original specimen")
    organic = result.composition.components["organic"]
    whole = 0.4 / 0.8
    parts = result.composition.components["crystalline_hydroxyapatite"]
    assert parts is not None
    low, high = parts.ci95
    assert low - 0.03 <= whole <= high + 0.03, "half of the specimen without its spike is apatite"
    assert organic is None or organic.value < 0.7


def test_fractions_are_of_the_specimen_before_it_was_spiked() -> None:
    def phase(name: str, share: float) -> PhaseResult:
        estimate = Estimate(value=share, std=0.01, ci95=(share - 0.02, share + 0.02))
        return phase_result(
            id=name, name=name, formula="", decision="detected", detection_limit=0.008,
            weight_fraction=estimate, crystalline_weight_fraction=estimate,
        )  # fmt: skip

    found = (phase("quartz", 0.2), phase("calcite", 0.6), phase("corundum", 0.2))
    quartz, calcite, corundum = without_standard(found, ("corundum", 0.2))
    assert without_standard(found, None) == found
    assert quartz.weight_fraction is not None
    assert calcite.crystalline_weight_fraction is not None
    assert_close(quartz.weight_fraction.value, 0.25, atol=1e-12, because="0.2 of the powder over 0.8")
    assert_close(calcite.crystalline_weight_fraction.value, 0.75, atol=1e-12, because="0.6 of 0.6 + 0.2")
    std = calcite.crystalline_weight_fraction.std
    assert_close(std, (0.2**2 + 0.6**2) ** 0.5 * 0.01 / 0.64, rtol=1e-12, because="first order of f / (f + g)")
    assert quartz.detection_limit is not None
    assert_close(quartz.detection_limit, 0.01, atol=1e-12, because="0.008 of the powder over 0.8")
    assert corundum.weight_fraction is None


@pytest.mark.parametrize(
    "file", ["a.xy", "(NH4)2HPO4.xy", "-x-.xy", "..a...b.xy", ".xy", "°.xy", "é µ.xy.gz", "a" * 300 + ".xy"]
)
def test_every_file_name_gives_a_name_that_a_folder_can_have(file: str) -> None:
    pattern = replace(measured()[0], source=Source(file=file, sha256="", format="xy"))
    name = _name_of(pattern, None)
    assert safe_sample_id(name) == name


def test_an_instrument_file_replaces_the_generic_instrument(tmp_path) -> None:
    pattern, _ = measured()
    instrument = Instrument(
        emission_lines=(EmissionLine(wavelength=1.5406), EmissionLine(wavelength=1.5444, weight=0.5)),
        caglioti_w=0.004, calibrated=True, name="ours",
    )  # fmt: skip
    path = tmp_path / "instrument.toml"
    write_instrument(instrument, path, provenance={"standard": "srm660c", "rwp": 0.08})
    assert [item.name for item in tmp_path.iterdir()] == ["instrument.toml"]
    assert read_instrument(path) == instrument
    recipe = QUICK.with_settings({"instrument.file": str(path)})
    assert analyze(pattern, recipe=recipe).settings["used"]["instrument"] == "ours"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("caglioti_x = 1.0", "Did you mean caglioti_"),
        ("emission_lines = []", "emission line"),
        ('emission_lines = [{wavelength = "Cu"}]', "wavelength"),
        ("= 3", "not valid TOML"),
    ],
)
def test_a_wrong_instrument_file_is_refused(text: str, words: str, tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_instrument(path)
    assert "mine.toml" in str(caught.value)
    assert words in str(caught.value)


def test_a_sample_with_its_own_instrument_needs_no_recipe_for_it() -> None:
    pattern, run = measured()
    instrument = Instrument(emission_lines=(EmissionLine(wavelength=1.5418),), name="own")
    sample = Sample(sample_id="S", pattern=pattern, tga=run, instrument=instrument)
    result = analyze_sample(sample, QUICK)
    assert result.settings["used"]["instrument"] == "own"
    assert result.xrd.wavelengths == (1.5418,)


def test_the_same_input_gives_the_same_result() -> None:
    pattern, run = measured()
    first, second = (analyze(pattern, tga=run, recipe=QUICK).to_json() for _ in range(2))
    assert first == second
    assert np.isfinite(analyze(pattern, tga=run, recipe=QUICK).xrd.rwp)


def lines_of(phase: str, wavelength: float, x: np.ndarray, *, heights: tuple[float, float], seed: int) -> xc.Pattern:
    """Lines of one phase, without the air's and the holder's scatter: counts between them and of the strongest."""
    from xrdcomp.refinement.reflections import PhaseReflections

    instrument = xc.Instrument(emission_lines=(xc.EmissionLine(wavelength=wavelength),))
    lines, _ = PhaseReflections.freeze(xc.load_phase(phase), instrument, x, {}).pattern({})
    level, height = heights
    counts = np.random.default_rng(seed).poisson(level + height * lines / lines.max()).astype(float)
    return xc.Pattern(two_theta=x, intensity=counts, sigma=np.sqrt(np.maximum(counts, 1)), intensity_unit="counts")


def test_a_named_phase_beneath_unknown_crystals_is_not_proved() -> None:
    """Zincite lines fitted as apatite with the search off: one of them stands beside a reflection of apatite."""
    pattern = lines_of("zincite", 1.5405929, np.arange(20.0, 70.0, 0.03), heights=(20.0, 2e4), seed=3)
    recipe = xc.Recipe().with_settings(
        {"identification.search": False, "phases": ["hydroxyapatite"], "instrument.radiation": "CuKa1"}
    )
    result = xc.analyze(pattern, recipe=recipe)
    assert "XRD_UNEXPLAINED_PEAKS" in {message.code for message in result.messages if message.severity == "warning"}
    phase = result.phases["hydroxyapatite"]
    assert phase.decision == "inconclusive"
    assert "belong to no phase of the library" in phase.evidence.reason
    unidentified = result.composition.components["unidentified_crystalline"]
    assert unidentified is not None
    assert unidentified.high > 0.95  # zincite may be all there is
    claims = {claim.id: claim for claim in result.claims}
    assert {c.verdict for name, c in claims.items() if name.startswith("hydroxyapatite")} == {"inconclusive"}
    assert claims["organic_more_than_half"].verdict != "supported"  # nothing but sharp lines is there
    assert all(claim.probability is None or claim.probability <= 0.5 for claim in result.claims)


def test_the_claim_names_the_amount_that_the_table_of_phases_gives() -> None:
    """Thermogravimetry, here of a poorer aliquot, moves the amount of the pattern alone; the statement follows."""

    def specimen(whewellite: float) -> SpecimenModel:
        return SpecimenModel(
            specimen_id="T2", apatite=0.02, carbonate=0.0, protein=0.9 - whewellite, water=0.08,
            other={"whewellite": whewellite},
        )  # fmt: skip

    pattern = simulate_specimen(specimen(0.05), xrd=XrdConditions(step=0.04), seed=12).pattern
    run = simulate_specimen(specimen(0.035), tga=TgaConditions(points=1500), seed=12).tga
    result = xc.analyze(pattern, tga=run)
    found = next(phase for phase in result.phases if phase.id == "whewellite")
    assert found.weight_fraction is not None
    alone = found.pattern_weight_fraction
    assert alone is not None
    assert f"{100 * alone.value:.2g}" != f"{100 * found.weight_fraction.value:.2g}", "else this shows nothing"
    only = next(claim for claim in result.claims if claim.id == "hydroxyapatite_only_crystalline_phase")
    assert f"{100 * found.weight_fraction.value:.2g} wt% of the specimen" in only.statement


def test_a_scan_taken_for_another_radiation_refutes_no_apatite() -> None:
    """Apatite measured with cobalt, few counts, no wavelength in the file: read as copper its lines fit nothing."""
    pattern = lines_of("hydroxyapatite", 1.789007, np.arange(15.0, 75.0, 0.03), heights=(40.0, 1e3), seed=4)
    result = xc.analyze(pattern)
    found = {message.code for message in result.messages}
    assert {"XRD_RADIATION_ASSUMED", "XRD_UNEXPLAINED_PEAKS"} <= found
    assert result.claims[0].id == "hydroxyapatite_present"
    assert result.claims[0].verdict == "inconclusive", "few counts make no proof of absence"
    assert {phase.decision for phase in result.phases} == {"inconclusive"}
    assert not any(phase.detection_limit for phase in result.phases)
    assert not any(result.composition.components.values())
    doubt = next(message for message in result.messages if message.code == "XRD_OTHER_RADIATION")
    assert doubt.facts["radiation"] == "CoKa"
    stated = xc.analyze(pattern, recipe=xc.Recipe().with_settings({"instrument.radiation": "CoKa1"}))
    assert stated.claims[0].verdict == "supported"
    assert "XRD_OTHER_RADIATION" not in {message.code for message in stated.messages}


@pytest.mark.parametrize("told_by", ["file", "settings"])
def test_a_stated_radiation_that_another_tube_refutes_is_not_believed(told_by: str) -> None:
    """Apatite measured with cobalt where file or settings say copper: neither unknown crystals nor amounts."""
    pattern = lines_of("hydroxyapatite", 1.789007, np.arange(15.0, 75.0, 0.03), heights=(40.0, 1e3), seed=4)
    settings: dict[str, object] = {}
    if told_by == "file":
        pattern = replace(pattern, anode="Cu", emission_lines=(xc.EmissionLine(wavelength=1.5405929),))
    else:
        settings["instrument.radiation"] = "CuKa1"
    result = xc.analyze(pattern, recipe=xc.Recipe().with_settings(settings))
    doubt = next(message for message in result.messages if message.code == "XRD_STATED_RADIATION_WRONG")
    assert doubt.facts["radiation"] == "CoKa"
    assert "hydroxyapatite" in doubt.text
    assert result.status == "failed"
    assert not any(result.composition.components.values())
    assert not any(phase.detection_limit for phase in result.phases)


def test_a_cubic_crystal_of_no_list_is_not_one_of_the_list_with_another_tube() -> None:
    """One edge fits any wavelength: fluorite's lines with cobalt are those of a larger cubic cell with copper."""
    pattern = lines_of("fluorite", 1.789007, np.arange(15.0, 110.0, 0.03), heights=(40.0, 1e3), seed=4)
    result = xc.analyze(replace(pattern, anode="Cu", emission_lines=(xc.EmissionLine(wavelength=1.5405929),)))
    assert "XRD_STATED_RADIATION_WRONG" not in {message.code for message in result.messages}
    assert result.composition.components["unidentified_crystalline"] is not None


def test_errors_of_the_analysis_name_the_file() -> None:
    pattern, run = measured()
    named = replace(pattern, source=Source(file="scan.xy", sha256="0" * 64, format="xrd_text"))
    with pytest.raises(AnalysisError, match=r"\Ascan\.xy: only 0 points lie in 150-160°"):
        analyze(named, recipe=QUICK.with_settings({"fit.two_theta_range": [150, 160]}))
    blank = replace(run, temperature_c=run.temperature_c - 400.0)
    named_run = replace(run, source=Source(file="run.csv", sha256="0" * 64, format="tga_csv"))
    with pytest.raises(AnalysisError, match=r"\Arun\.csv: the blank run covers"):
        analyze(tga=named_run, tga_blank=blank)
    empty = replace(named, intensity=np.zeros(len(named)))
    with pytest.raises(AnalysisError, match=r"\Ascan\.xy: all \d+ intensities"):
        analyze(empty, recipe=QUICK)


@pytest.mark.parametrize("with_pattern", [True, False])
def test_a_run_that_begins_dried_gives_the_dry_composition_alone(with_pattern: bool) -> None:
    """What water had left before the first reading at 110 °C is not known; shares of the dry mass are as without."""
    pattern, run = measured()
    late = run.temperature_c >= 110.0
    time = None if run.time_s is None else run.time_s[late]
    segment = None if run.segment is None else run.segment[late]
    dried = replace(
        run,
        temperature_c=run.temperature_c[late],
        mass=run.mass[late],
        time_s=time,
        segment=segment,
        initial_mass_mg=None,  # a specimen that was weighed tells what it lost before
    )
    of_all, found = (
        analyze(pattern if with_pattern else None, tga=each, recipe=QUICK).composition for each in (run, dried)
    )
    assert of_all.basis == "as_received"
    assert found.basis == "dry"
    assert found.components["water"] is None
    assert all(estimate is None for estimate in found.other_basis.values())
    for name in ("organic", "carbonate", *(["crystalline_hydroxyapatite"] if with_pattern else [])):
        dry, whole = found.components[name], of_all.other_basis[name]
        assert dry is not None
        assert whole is not None
        assert_close(dry.value, whole.value, atol=0.02, because=f"{name} of the dry mass")
        assert dry.low < whole.value < dry.high, name
