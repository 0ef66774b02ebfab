"""Settings of the instrument: polarisation, lists of wavelengths, slits from the file, settings beside a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.fit_cases import EMPTY
from tests.helpers import assert_close
from xrdcomp import analyze
from xrdcomp.data import EmissionLine, Instrument, Pattern
from xrdcomp.errors import RecipeError
from xrdcomp.instrument.build import build_instrument, instrument_messages, write_instrument
from xrdcomp.instrument.calibrate import calibrate
from xrdcomp.instrument.radiation_check import other_optics
from xrdcomp.phases.library import load_phase
from xrdcomp.physics import elements as radiation
from xrdcomp.recipe import FitRecipe, InstrumentRecipe, Recipe
from xrdcomp.refinement.reflections import polarization
from xrdcomp.results import PhaseList
from xrdcomp.search.search import fit_and_search
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.stages import fit_pattern

FINE = tuple(
    EmissionLine(wavelength=float(w), weight=float(s), fwhm=float(f)) for w, f, s in radiation.fine_profile("hoelzer")
)
CALIBRATED = Instrument(emission_lines=FINE, calibrated=True, radius_mm=217.5)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write_instrument(CALIBRATED, tmp_path / "instrument.toml"))


def apatite_scan(*, length_nm: float = 60.0, seed: int = 3, **conditions: float) -> Pattern:
    apatite = ApatiteModel(length_c_nm=length_nm, length_a_nm=length_nm / 2.0, microstrain=0.0, a_offset=0.0)
    model = SpecimenModel(specimen_id="ha", apatite_model=apatite, **{**EMPTY, "apatite": 1.0})
    return simulate_pattern(model, XrdConditions(two_theta_min=10, peak_counts=8000, **conditions), seed=seed)[0]


def test_a_synchrotron_keeps_its_intensity_at_a_right_angle() -> None:
    angle = np.array([90.0])
    tube = build_instrument(None, InstrumentRecipe())
    beam = build_instrument(None, InstrumentRecipe(wavelengths=(0.41,), polarization_fraction=0.0))
    assert_close(polarization(angle, tube), 0.5, rtol=1e-12, because="(1 + cos²90°) / 2")
    assert_close(polarization(angle, beam), 1.0, rtol=1e-12, because="the beam is polarised across the plane")


def test_every_wavelength_has_its_weight() -> None:
    recipe = InstrumentRecipe(wavelengths=(0.7, 0.71, 0.63), wavelength_weights=(1.0, 0.5, 0.02))
    lines = build_instrument(None, recipe).emission_lines
    assert [(x.wavelength, x.weight) for x in lines] == [(0.7, 1.0), (0.71, 0.5), (0.63, 0.02)]
    with pytest.raises(RecipeError, match=r"one for each of instrument\.wavelengths"):
        InstrumentRecipe(wavelengths=(0.7, 0.71), wavelength_weights=(1.0,))


def test_slits_are_those_of_the_file_unless_the_user_says_otherwise() -> None:
    scan = apatite_scan(variable_slit=True)
    said = replace(scan, metadata={**scan.metadata, "variable_slit": True})
    assert build_instrument(said, InstrumentRecipe()).variable_slit
    assert not build_instrument(said, InstrumentRecipe(variable_slit=False)).variable_slit
    assert not build_instrument(scan, InstrumentRecipe()).variable_slit
    phase = load_phase("hydroxyapatite")
    right = fit_pattern(said, (phase,), build_instrument(said, InstrumentRecipe()))
    wrong = fit_pattern(scan, (phase,), build_instrument(scan, InstrumentRecipe()))
    assert right.rwp < wrong.rwp
    b = right.parameters["hydroxyapatite_b_extra"]
    assert abs(b.value) < 4.0 * b.std, "intensities fall with angle as the structure has it"


@pytest.mark.parametrize("apatite", [0.3, 0.6])
def test_slits_that_nobody_stated_are_recognised(apatite: float) -> None:
    parts = {**EMPTY, "apatite": apatite, "protein": 1.0 - apatite}
    conditions = XrdConditions(two_theta_min=8, two_theta_max=75, peak_counts=8000, variable_slit=True)
    scan = simulate_pattern(SpecimenModel(specimen_id="v", **parts), conditions, seed=2)[0]
    silent = replace(scan, metadata={})
    recipe = Recipe(phases=("hydroxyapatite",))
    result = analyze(silent, recipe=recipe)
    assert "XRD_OTHER_SLIT" in {d.code for d in result.messages}
    assert {claim.verdict for claim in result.claims} == {"inconclusive"}
    assert result.phases["hydroxyapatite"].decision == "detected"
    assert result.phases["hydroxyapatite"].weight_fraction is None
    assert not result.composition.identifiable_sums, "nothing follows about amounts"
    told = analyze(silent, recipe=recipe.with_settings({"instrument.variable_slit": True}))
    assert "XRD_OTHER_SLIT" not in {d.code for d in told.messages}
    share = told.phases[0].weight_fraction
    assert share.ci95[0] <= apatite <= share.ci95[1]


@pytest.mark.parametrize("share", [-0.01, 0.01])
@pytest.mark.parametrize("wrong", ["wavelength", "step"])
def test_an_axis_of_another_scale_is_said(share: float, wrong: str) -> None:
    """Calcite and quartz would be crystals of no phase, or others."""
    scan = simulate_pattern(
        SpecimenModel(specimen_id="s", **EMPTY | {"other": {"quartz": 0.5, "calcite": 0.5}}), seed=5
    )[0]
    x, sine = scan.two_theta, np.sin(np.radians(scan.two_theta / 2.0))
    seen = x[0] + (x - x[0]) * (1.0 + share) if wrong == "step" else 2.0 * np.degrees(np.arcsin((1.0 + share) * sine))
    result = analyze(replace(scan, two_theta=seen))
    assert [message.code for message in result.messages].count("XRD_AXIS_SCALED") == 1
    facts = {message.code: message.facts for message in result.messages}
    assert abs(facts["XRD_AXIS_SCALED"]["share"] + share) < 0.003
    assert not result.composition.identifiable_sums
    assert not any(phase.decision == "detected" for phase in result.phases)


def test_slits_are_told_from_the_ratios_of_reflections_alone() -> None:
    """Halos of matter that is not in the fit look like any slit."""
    scan = replace(apatite_scan(variable_slit=True), metadata={})
    recipe, phases = Recipe(), (load_phase("hydroxyapatite"),)
    instrument = build_instrument(scan, recipe.instrument)
    found = fit_and_search(scan, phases, instrument, recipe.fit, recipe.identification)
    assert other_optics(found, scan, phases, recipe) is not None
    unseen = PhaseList(replace(phase, decision="inconclusive") for phase in found.phases)
    assert other_optics(replace(found, phases=unseen), scan, phases, recipe) is None


def test_settings_beside_a_file_count(file: str) -> None:
    recipe = InstrumentRecipe(
        file=file, radiation="CuKa", absorption_radius=0.7, monochromator_two_theta=26.6, kbeta_ratio=0.01
    )
    found = build_instrument(None, recipe)
    assert (found.absorption_radius, found.monochromator_two_theta) == (0.7, 26.6)
    assert found.radius_mm == CALIBRATED.radius_mm
    assert found.emission_lines[:4] == FINE, "the name of the tube does not replace the spectrum of its file"
    assert [line.label for line in found.emission_lines[4:]] == ["kbeta"]


@pytest.mark.parametrize("change", [{"geometry": "debye_scherrer"}, {"radiation": "CuKa1"}])
def test_what_contradicts_the_calibration_is_refused(file: str, change: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match=r"leave the file out"):
        build_instrument(None, InstrumentRecipe(file=file, **change))


def standard(*, nm: float = 600.0, quartz: float = 0.0, **conditions: float) -> Pattern:
    parts = {"lab6": 1.0 - quartz, **({"quartz": quartz} if quartz else {})}
    model = SpecimenModel(specimen_id="lab6", other=parts, other_size_nm=nm, **EMPTY)
    scan = {"two_theta_min": 18.0, "two_theta_max": 130.0, "peak_counts": 20000.0, **conditions}
    return simulate_pattern(model, XrdConditions(**scan), seed=4)[0]


@pytest.mark.parametrize(
    ("scan", "code"),
    [
        ({}, ""),
        ({"quartz": 0.05}, "CALIBRATION_FOREIGN_LINES"),
        ({"nm": 60.0}, "CALIBRATION_BROAD"),
        ({"two_theta_max": 62.0}, "CALIBRATION_SHORT_RANGE"),
        ({"peak_counts": 400.0}, "CALIBRATION_LOW_COUNTS"),
    ],
)
def test_a_bad_scan_of_a_standard_is_said(scan: dict[str, float], code: str) -> None:
    messages = calibrate(standard(**scan), "srm660c", InstrumentRecipe(radiation="CuKa")).messages
    assert [d.code for d in messages if d.severity == "warning"] == [code] * bool(code)
    if code == "CALIBRATION_FOREIGN_LINES":
        assert "quartz" in messages[0].text


@pytest.mark.parametrize("conditions", [{"displacement_mm": 0.2}, {"zero_shift": -0.06}])
def test_the_cell_holds_its_truth_though_shift_and_displacement_are_alike(conditions: dict[str, float]) -> None:
    inside, phase = 0, load_phase("hydroxyapatite")  # its cell is the simulator's
    for seed in range(4):
        scan = apatite_scan(length_nm=100.0, seed=seed, **conditions)
        fit = fit_pattern(scan, (phase,), build_instrument(scan, InstrumentRecipe()), FitRecipe())
        for axis, truth in (("a", phase.cell.parameters[0]), ("c", phase.cell.parameters[2])):
            low, high = fit.parameters[f"hydroxyapatite_{axis}"].ci95
            inside += low <= truth <= high
    assert inside >= 6, "six of eight 95 % intervals: fewer have a chance of 0.6 %"


@pytest.mark.parametrize("depth_mm", [0.25, 0.9])
def test_the_depth_of_a_transparent_specimen_is_found(depth_mm: float) -> None:
    phase = load_phase("hydroxyapatite")
    scan = apatite_scan(length_nm=30.0)
    x, y = scan.two_theta, scan.intensity
    # I(z) ~ exp(-z / (depth sinθ / 2)): exponential tails of mean sin2θ depth / 2R towards low angles
    tail = np.degrees(np.sin(np.radians(x)) * depth_mm / (2.0 * 240.0))
    reach = x[:, None] - x[None, :]
    kernel = np.where(reach <= 0.0, np.exp(np.minimum(reach, 0.0) / tail[None, :]), 0.0)
    blurred = (kernel / kernel.sum(axis=0)) @ y
    moved = replace(scan, intensity=blurred, sigma=np.sqrt(np.maximum(blurred, 1.0)))
    recipe = InstrumentRecipe(radius_mm=240.0)
    fit = fit_pattern(moved, (phase,), build_instrument(moved, recipe), FitRecipe(transparency=True))
    found = fit.parameters["transparency_mm"]
    assert found.ci95[0] <= depth_mm <= found.ci95[1]
    assert found.std < 0.25 * depth_mm + 0.05


def test_a_short_specimen_asks_for_the_radius_of_the_goniometer() -> None:
    scan = replace(apatite_scan(length_nm=30.0), metadata={})
    short = InstrumentRecipe(specimen_length_mm=15.0, equatorial_divergence=1.0)
    assert "XRD_RADIUS_ASSUMED" in [m.code for m in instrument_messages(scan, short)]
    for pattern, recipe in (
        (scan, msgspec.structs.replace(short, radius_mm=240.0)),
        (replace(scan, metadata={"goniometer_radius_mm": 240.0}), short),
        (scan, InstrumentRecipe()),
    ):
        assert "XRD_RADIUS_ASSUMED" not in [m.code for m in instrument_messages(pattern, recipe)]
