"""Instrument files, residual lines, aberrations, and calibration on a simulated standard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.fit_cases import EMPTY
from tests.helpers import assert_close
from xrdcomp.cli.main import main
from xrdcomp.data import EmissionLine, Instrument, Pattern
from xrdcomp.errors import AnalysisError, OutputError, RecipeError
from xrdcomp.instrument.build import build_instrument, instrument_messages, read_instrument, write_instrument
from xrdcomp.instrument.calibrate import STANDARDS, calibrate, instrument_fwhm
from xrdcomp.phases.library import load_phase
from xrdcomp.physics import profiles as profile
from xrdcomp.quantification.microstructure import column_lengths
from xrdcomp.recipe import FitRecipe, InstrumentRecipe
from xrdcomp.refinement.reflections import FrozenProfiles, PhaseReflections, geometry_factor, refined_ratios
from xrdcomp.simulate.cohort import simulate_pattern, write_pattern
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.stages import fit_pattern

CUKA = (EmissionLine(wavelength=1.5405929), EmissionLine(wavelength=1.5444274, weight=0.5))


def standard_scan(**changes: float) -> Pattern:
    model = SpecimenModel(specimen_id="lab6", other={"lab6": 1.0}, other_size_nm=600.0, **EMPTY)
    conditions = XrdConditions(peak_counts=20000, two_theta_min=18, two_theta_max=130, step=0.02)
    return simulate_pattern(model, replace(conditions, **changes), seed=4)[0]


@pytest.fixture(scope="module")
def calibration():
    return calibrate(standard_scan(displacement_mm=0.06), "lab6", InstrumentRecipe(radiation="CuKa"))


def test_displacement_and_widths_of_a_simulated_standard(calibration) -> None:
    found = calibration.displacement_mm
    assert_close(found.value, 0.06, atol=0.01, because="axial model: 0.005 mm; it must also be inside 2.6 σ")
    assert calibration.instrument.calibrated
    assert calibration.fit.gof < 1.15, "the profile describes the standard to within its noise and 15 %"
    scan = standard_scan(displacement_mm=0.06)
    near = np.abs(scan.two_theta - 87.8) < 0.8
    x, y = scan.two_theta[near], scan.intensity[near]
    top = int(np.argmax(y))
    half = x[top] - float(np.interp(y[top] / 2.0, y[: top + 1], x[: top + 1]))
    width = float(instrument_fwhm(calibration.instrument, np.array([87.8]))[0])
    assert_close(width, 2.0 * half, rtol=0.25, because="read off a scan with steps of a sixth of the width")


def test_an_instrument_file_gives_the_same_instrument(calibration, tmp_path) -> None:
    path = write_instrument(calibration.instrument, tmp_path / "i.toml", provenance=calibration.provenance)
    assert read_instrument(path) == calibration.instrument
    again = build_instrument(None, InstrumentRecipe(file=str(path)))
    assert again == calibration.instrument
    with pytest.raises(OutputError):
        write_instrument(calibration.instrument, tmp_path / "missing" / "i.toml")


def test_a_file_of_another_radiation_is_refused(calibration, tmp_path) -> None:
    path = write_instrument(calibration.instrument, tmp_path / "i.toml")
    with pytest.raises(RecipeError, match="Calibrate for this radiation"):
        build_instrument(None, InstrumentRecipe(file=str(path), radiation="CoKa"))


def test_an_unknown_standard_is_refused() -> None:
    with pytest.raises(RecipeError, match="srm660c"):
        calibrate(standard_scan(), "srm999")


@pytest.mark.parametrize(("standard", "changes"), [("srm640f", {}), ("srm676a", {}), ("srm660c", {"anode": "Co"})])
def test_a_scan_of_something_else_is_refused(standard: str, changes: dict[str, str]) -> None:
    scan = standard_scan(**changes)
    with pytest.raises(AnalysisError, match="Check standard and radiation"):
        calibrate(scan, standard, InstrumentRecipe(radiation="CuKa"))


def test_a_scan_with_too_few_lines_is_refused() -> None:
    with pytest.raises(AnalysisError, match="3 line"):
        calibrate(standard_scan(two_theta_min=24, two_theta_max=48), "srm660c")


def test_a_cell_that_differs_from_the_certificate_is_said() -> None:
    model = SpecimenModel(specimen_id="al2o3", other={"corundum": 1.0}, other_size_nm=600.0, **EMPTY)
    conditions = XrdConditions(peak_counts=20000, two_theta_min=18, two_theta_max=130, step=0.02)
    found = calibrate(simulate_pattern(model, conditions, seed=4)[0], "srm676a")  # simulated with a = 4.7602 Å
    messages = [d for d in found.messages if d.code == "CALIBRATION_CELL_DIFFERS"]
    assert len(messages) == 2
    assert_close(messages[0].facts["refined"], 4.7602, atol=3e-4, because="held zero, free displacement")
    assert not [d for d in calibrate(standard_scan(), "srm660c").messages if "CELL" in d.code]


@pytest.mark.parametrize("anode", ["Cu", "Co", "Mo", "Cr", "Ag"])
def test_sizes_hold_the_truth_with_a_file_and_without_one(anode: str, tmp_path: Path) -> None:
    ends = {"Mo": (8.0, 70.0, 45.0), "Ag": (6.0, 55.0, 35.0), "Cr": (30.0, 150.0, 120.0)}
    low, high, last = ends.get(anode, (18.0, 130.0, 80.0))
    radiation = f"{anode}Ka"
    measured = {"anode": anode, "two_theta_min": low, "two_theta_max": high, "step": 0.01 if high < 80 else 0.02}
    found = calibrate(standard_scan(**measured), "srm660c", InstrumentRecipe(radiation=radiation))
    file = write_instrument(found.instrument, tmp_path / "instrument.toml")
    apatite = ApatiteModel(length_c_nm=60.0, length_a_nm=30.0, microstrain=0.0)
    model = SpecimenModel(specimen_id="ha", apatite_model=apatite, **{**EMPTY, "apatite": 0.7, "protein": 0.3})
    conditions = XrdConditions(anode=anode, peak_counts=8000, two_theta_min=0.6 * low, two_theta_max=last)
    scan = simulate_pattern(model, conditions, seed=9)[0]
    spread = []
    for recipe in (InstrumentRecipe(file=str(file)), InstrumentRecipe(radiation=radiation)):
        fit = fit_pattern(scan, (load_phase("hydroxyapatite"),), build_instrument(scan, recipe))
        lengths = column_lengths(fit, "hydroxyapatite")
        for axis, truth in (("c_axis", 60.0), ("a_axis", 30.0)):
            assert lengths[axis].ci95[0] <= truth <= lengths[axis].ci95[1], (recipe.file, axis)
        spread.append(lengths["a_axis"].std / lengths["a_axis"].value)
    assert spread[0] < 0.1
    assert spread[1] > 1.5 * spread[0], "nobody measured the generic instrument's width"


def test_certified_cells_follow_the_temperature() -> None:
    cold = STANDARDS["srm660c"].cell_at(20.85)["a"]
    assert_close(cold, 4.156780, atol=4e-6, because="the certification data set at 20.85 °C: 4.156780 Å")
    assert STANDARDS["srm676a"].cell_at(22.5) == {"a": 4.759091, "c": 12.991779}


def test_without_a_file_the_message_says_that_sizes_are_relative() -> None:
    pattern = standard_scan()
    codes = [d.code for d in instrument_messages(pattern, InstrumentRecipe())]
    assert "XRD_GENERIC_INSTRUMENT" in codes
    assert not instrument_messages(pattern, InstrumentRecipe(file="any.toml"))


def test_residual_lines_come_from_the_recipe_and_are_refined() -> None:
    instrument = build_instrument(None, InstrumentRecipe(kbeta_ratio=0.02, w_la_ratio=0.01))
    assert len(instrument.emission_lines) == 5
    names = refined_ratios(instrument)
    assert set(names) == {"kalpha2_ratio", "kbeta_ratio", "w_la_ratio"}
    assert names["kbeta_ratio"] == ((1.392234,), 0.02)
    with pytest.raises(RecipeError, match="kbeta_ratio"):
        build_instrument(None, InstrumentRecipe(wavelengths=(1.2,), kbeta_ratio=0.02))


def test_new_positions_and_weights_have_right_derivatives() -> None:
    instrument = build_instrument(None, InstrumentRecipe(kbeta_ratio=0.02, equatorial_divergence=1.0))
    instrument = replace(instrument, axial_correlation=0.3)
    phase = load_phase("lab6")
    x = np.arange(20.0, 120.0, 0.5)
    values = {"transparency_mm": 0.3, "kbeta_ratio": 0.03, "axial_divergence": 0.03}
    lines = PhaseReflections.freeze(phase, instrument, x, values)
    base = lines.at(values)
    for name, attribute in (
        ("transparency_mm", "position"),
        ("axial_divergence", "position"),
        ("kbeta_ratio", "intensity"),
    ):
        h = 1e-5
        up = getattr(lines.at({**values, name: values[name] + h}), attribute)
        down = getattr(lines.at({**values, name: values[name] - h}), attribute)
        slope = dict(getattr(base, f"d_{attribute}"))[name]
        scale = float(np.abs(slope).max())
        assert_close(slope, (up - down) / (2 * h), atol=1e-6 * scale + 1e-9, because="central differences")


def test_flat_specimen_and_transparency_pull_lines_down() -> None:
    phase, x = load_phase("lab6"), np.arange(20.0, 120.0, 0.5)
    plain = Instrument(emission_lines=CUKA)
    flat = replace(plain, equatorial_divergence=1.0)
    lines = PhaseReflections.freeze(phase, plain, x, {})
    reference = lines.at({}).position
    every = len(CUKA) * lines.frozen.reflection + (lines.frozen.wavelength == CUKA[1].wavelength)
    moved = FrozenProfiles.freeze(flat, lines.inverse_d_squared).take(every)
    moved = replace(lines, instrument=flat, frozen=moved).at({}).position - reference
    first = int(np.argmin(reference))
    expected = -np.degrees(np.radians(1.0) ** 2 / 6.0 / np.tan(np.radians(reference[first] / 2.0)))
    assert_close(moved[first], expected, rtol=1e-9, because="−α² cotθ / 6")
    deep = lines.at({"transparency_mm": 1.0}).position - reference
    expected = -np.degrees(np.sin(np.radians(reference)) / (2.0 * plain.radius_mm))
    assert_close(deep, expected, rtol=1e-9, because="−sin2θ t / 2R")


def test_geometry_factors() -> None:
    x = np.linspace(10.0, 100.0, 91)
    assert (geometry_factor(Instrument(emission_lines=CUKA), x) == 1.0).all()
    slit = geometry_factor(Instrument(emission_lines=CUKA, variable_slit=True), x)
    assert_close(slit, np.sin(np.radians(x / 2.0)), rtol=1e-12, because="definition")
    capillary = Instrument(emission_lines=CUKA, geometry="debye_scherrer", absorption_radius=1.0)
    assert (np.diff(geometry_factor(capillary, x)) > 0).all(), "absorption lowers low angles"
    foil = Instrument(emission_lines=CUKA, geometry="transmission", absorption_radius=1.0)
    assert geometry_factor(foil, x)[-1] < geometry_factor(foil, x)[0], "the path in a foil grows with angle"
    thin = Instrument(emission_lines=CUKA, absorption_radius=1e-4)
    layer = geometry_factor(thin, x) * np.sin(np.radians(x / 2.0))
    assert_close(layer / layer[0], 1.0, rtol=2e-3, because="a layer that absorbs nothing loses as 1/sinθ")
    assert_close(geometry_factor(replace(thin, absorption_radius=50.0), x), 1.0, rtol=1e-12, because="thick: no loss")


def test_axial_correlation_from_geometry() -> None:
    free = profile.axial_correlation((12.0, 15.0, 15.0), 180.0, 217.5)
    # uniform lengths: 2 <zs²> / (2 <zs²> + <z0²> + <z1²>) = 2·225/(2·225 + 144 + 225)
    assert_close(free, 450.0 / 819.0, atol=0.02, because="triangular Soller weight is flat to 4 % at 180°")
    assert profile.axial_correlation((12.0, 15.0, 15.0), 2.3, 217.5) < 0.2


def test_the_commands_write_files_that_analyze_takes(tmp_path) -> None:
    scan = tmp_path / "lab6.xy"
    write_pattern(scan, standard_scan(two_theta_max=90.0), "xy")
    target = tmp_path / "instrument.toml"
    arguments = ["calibrate", str(scan), "--standard", "srm660c", "--radiation", "CuKa", "--radius", "240"]
    result = CliRunner().invoke(main, [*arguments, "-o", str(target), "--quiet"])
    assert result.exit_code == 0, result.output
    instrument = read_instrument(target)
    assert instrument.calibrated
    assert instrument.radius_mm == 240.0
    assert len(instrument.emission_lines) == 4
    assert "srm660c" in target.read_text(encoding="utf-8")


def test_known_mixtures_from_the_command_line(tmp_path) -> None:
    parts = {**EMPTY, "apatite": 0.5, "protein": 0.5}
    pattern = simulate_pattern(
        SpecimenModel(specimen_id="m", **parts), XrdConditions(two_theta_min=10, step=0.04), seed=1
    )[0]
    scan = tmp_path / "m.xy"
    write_pattern(scan, pattern, "xy")
    target = tmp_path / "amorphous.toml"
    arguments = ["calibrate-amorphous", f"{scan}:0.5", "--phases", "hydroxyapatite", "--radiation", "CuKa"]
    result = CliRunner().invoke(main, [*arguments, "-o", str(target), "--quiet"])
    assert result.exit_code == 0, result.output
    assert "k = " in result.output
    assert "k_std" in target.read_text(encoding="utf-8")
    short = tmp_path / "short.xy"
    write_pattern(
        short,
        simulate_pattern(SpecimenModel(specimen_id="s", **parts), XrdConditions(two_theta_min=20, step=0.04), seed=1)[
            0
        ],
        "xy",
    )
    result = CliRunner().invoke(main, [*arguments, f"{short}:0.5", "-o", str(target), "--quiet"])
    assert result.exit_code == 2
    assert "k holds for one range" in result.stderr


def test_residual_lines_of_a_simulated_tube_are_found() -> None:
    parts = {**EMPTY, "apatite": 0.7, "protein": 0.3}
    model = SpecimenModel(specimen_id="b", apatite_model=ApatiteModel(length_c_nm=60.0, length_a_nm=40.0), **parts)
    conditions = XrdConditions(peak_counts=10000, kbeta_ratio=0.02, tungsten_ratio=0.01)
    scan = simulate_pattern(model, conditions, seed=2)[0]
    phases = (load_phase("hydroxyapatite"),)
    recipe = InstrumentRecipe(kbeta_ratio=0.005, w_la_ratio=0.005)
    fit = fit_pattern(scan, phases, build_instrument(scan, recipe), FitRecipe())
    plain = fit_pattern(scan, phases, build_instrument(scan, InstrumentRecipe()), FitRecipe())
    assert fit.rwp < 0.95 * plain.rwp
    kbeta, tungsten = fit.parameters["kbeta_ratio"], fit.parameters["w_la_ratio"]
    assert_close(kbeta.value, 0.02, atol=0.003, because="3 standard uncertainties of 0.0009")
    assert_close(tungsten.value, 0.01, atol=0.003, because="3 standard uncertainties of 0.0009")
