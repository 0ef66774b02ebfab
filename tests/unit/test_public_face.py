"""What users of Python meet: arguments of many kinds, equality, reprs of one screen, tables, axes, errors that name."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import xrdcomp as xc
from xrdcomp.errors import ArgumentError, PatternError, ReadError, RecipeError
from xrdcomp.recipe import FitRecipe, Recipe, ThermalRecipe
from xrdcomp.results import Estimate
from xrdcomp.simulate.cohort import simulate_specimen
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, XrdConditions
from xrdcomp.stages import as_instrument, as_pattern, as_run, part_of

ANGLES = np.linspace(10.0, 60.0, 501)
COUNTS = np.random.default_rng(5).poisson(200.0 + 900.0 * np.exp(-(((ANGLES - 31.8) / 0.2) ** 2))).astype(float)
TEMPERATURES, MASSES = np.linspace(25.0, 900.0, 300), np.linspace(10.0, 6.0, 300)


def pattern() -> xc.Pattern:
    return xc.Pattern.from_xy(ANGLES, COUNTS, wavelength=(1.5406, 1.5444))


def run() -> xc.TgaRun:
    return xc.TgaRun.from_arrays(TEMPERATURES, MASSES, 6.0 * TEMPERATURES, atmosphere="air")


def test_arrays_are_judged_as_a_file_is(tmp_path: Path) -> None:
    made = pattern()
    file = tmp_path / "a.xy"
    file.write_text("".join(f"{x:.4f} {y:.0f}\n" for x, y in zip(ANGLES, COUNTS, strict=True)))
    read = xc.read_xrd(file)
    np.testing.assert_array_equal(made.sigma, read.sigma)
    assert made.intensity_unit == read.intensity_unit == "counts"
    assert [line.weight for line in made.emission_lines] == [1.0, 0.5]
    assert made.source is None
    given = xc.Pattern.from_xy(list(ANGLES), list(COUNTS), np.ones(501), wavelength=0.7, anode="Mo")
    assert (given.sigma[0], given.anode, given.intensity_unit) == (1.0, "Mo", "arbitrary")


def test_columns_that_are_no_scan_are_refused_in_words() -> None:
    with pytest.raises(ReadError, match="does not increase"):
        xc.Pattern.from_xy([1, 2, 3, 2, 5, 6], [1, 2, 3, 4, 5, 6])
    with pytest.raises(PatternError, match="increase"):
        xc.Pattern.from_xy([1, 2, 3, 2], [1, 2, 3, 4], [1, 1, 1, 1])
    with pytest.raises(ArgumentError, match=r"intensity: got .*str"):
        xc.Pattern.from_xy(ANGLES, "counts.csv")
    with pytest.raises(ArgumentError, match="mass"):
        xc.TgaRun.from_arrays(TEMPERATURES, {"a": 1})


def test_tables_go_both_ways() -> None:
    made, measured = pattern(), run()
    table = made.to_dataframe()
    assert list(table) == ["two_theta (deg)", "intensity (counts)", "sigma (counts)"]
    again = xc.Pattern.from_dataframe(table, emission_lines=made.emission_lines, messages=made.messages)
    assert again == made
    assert list(measured.to_dataframe()) == ["temperature (°C)", "time (s)", "mass (mg)", "segment"]
    assert xc.TgaRun.from_dataframe(measured.to_dataframe(), atmosphere="air") == measured
    unnamed = xc.Pattern.from_dataframe(pd.DataFrame({"a": ANGLES, "b": COUNTS}))
    np.testing.assert_array_equal(unnamed.intensity, COUNTS)
    with pytest.raises(ArgumentError, match="temperature_c in K"):
        xc.TgaRun.from_dataframe(pd.DataFrame({"temperature (K)": TEMPERATURES, "mass (mg)": MASSES}))
    with pytest.raises(ArgumentError, match="table"):
        xc.Pattern.from_dataframe(pd.DataFrame({"intensity": COUNTS}))


def test_equality_compares_arrays_and_hash_is_by_identity() -> None:
    assert pattern() == pattern()
    assert pattern() != xc.Pattern.from_xy(ANGLES, COUNTS + 1.0)
    assert run() == run()
    assert run() != pattern()
    assert len({pattern(), pattern()}) == 2
    assert xc.load_phase("calcite") == xc.load_phase("calcite")


def test_whatever_stands_for_a_measurement_is_taken() -> None:
    assert as_pattern((ANGLES, COUNTS)) == as_pattern(pd.DataFrame({"two_theta": ANGLES, "intensity": COUNTS}))
    assert as_run((TEMPERATURES, MASSES)) == as_run(pd.DataFrame({"T": TEMPERATURES, "m": MASSES}))
    assert [phase.id for phase in xc.load_phases("calcite")] == ["calcite"]
    assert [phase.id for phase in xc.load_phases([xc.load_phase("quartz"), "calcite"])] == ["quartz", "calcite"]
    assert as_instrument(Recipe(), pattern=pattern()).wavelength == 1.5406
    for call, name in [
        (as_pattern, "pattern"),
        (as_run, "run"),
        (xc.load_phases, "phases"),
        (as_instrument, "instrument"),
    ]:
        with pytest.raises(ArgumentError, match=rf"\A{name}: got 5 \(int\)"):
            call(5)


def test_a_recipe_has_many_forms(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('[fit]\nmode = "peaks"\n')
    forms = (file, str(file), {"fit": {"mode": "peaks"}}, {"fit.mode": "peaks"}, Recipe(fit=FitRecipe(mode="peaks")))
    assert all(Recipe.of(form) == Recipe.of(None, fit={"mode": "peaks"}) for form in forms)
    assert part_of(file, FitRecipe).mode == "peaks"
    assert part_of(None, ThermalRecipe) == ThermalRecipe()
    for wrong in (3, ["fit"]):
        with pytest.raises(ArgumentError, match=r"\Arecipe: got"):
            Recipe.of(wrong)
    with pytest.raises(RecipeError, match="cannot be opened: No such file"):
        Recipe.of(tmp_path / "none.toml")


def test_settings_have_the_names_of_the_command_line() -> None:
    recipe = Recipe.of(
        None, phases="calcite", radiation="CoKa", range=(10, 80), atmosphere="air", basis="dry",
        internal_standard=("corundum", 0.2), instrument=Path("a.toml"), wavelength=None,
    )  # fmt: skip
    assert recipe == Recipe().with_settings(
        {"phases": ["calcite"], "instrument.radiation": "CoKa", "fit.two_theta_range": [10, 80],
         "thermal.atmosphere": "air", "composition.basis": "dry", "internal_standard": "corundum",
         "internal_standard_fraction": 0.2, "instrument.file": "a.toml"}
    )  # fmt: skip
    doublet = Recipe.of(None, wavelength=(1.5406, 1.5444, 0.4)).instrument
    assert (doublet.wavelengths, doublet.intensity_ratio) == ((1.5406, 1.5444), 0.4)
    with pytest.raises(RecipeError, match="Did you mean radiation"):
        Recipe.of(None, radation="CuKa")
    with pytest.raises(ArgumentError, match="internal_standard"):
        Recipe.of(None, internal_standard=("corundum",))


RESULT = xc.read_result(Path(__file__).parents[1] / "data" / "results" / "schema-1.0")


def objects() -> dict[str, object]:
    made = pattern()
    assert RESULT.xrd is not None
    assert RESULT.tga is not None
    return {
        "pattern": made, "run": run(), "phase": xc.load_phase("hydroxyapatite"), "recipe": Recipe(),
        "instrument": xc.build_instrument(made, Recipe().instrument), "message": made.messages[0],
        "sample": xc.Sample(sample_id="S", pattern=made, tga=run()), "line": made.emission_lines[0],
        "changed recipe": Recipe.of(None, phases=["a" * 60] * 40, fit={"mode": "peaks"}),
        "result": RESULT, "fit": RESULT.xrd, "tga": RESULT.tga, "composition": RESULT.composition,
        "phases": RESULT.phases, "found": RESULT.phases[0], "claim": RESULT.claims[0], "step": RESULT.tga.steps[0],
        "estimate": RESULT.composition["organic"], "amounts": RESULT.xrd.amounts, "source": RESULT.sources,
        "evidence": RESULT.phases[0].evidence, "reflections": RESULT.xrd.reflections["hydroxyapatite"],
        "cell": xc.load_phase("hydroxyapatite").cell, "atom": xc.load_phase("hydroxyapatite").atoms[0],
    }  # fmt: skip


OBJECTS = objects()


@pytest.mark.parametrize("name", OBJECTS)
def test_a_repr_is_one_screen(name: str) -> None:
    lines = repr(OBJECTS[name]).splitlines()
    assert 0 < len(lines) <= 24, repr(OBJECTS[name])
    assert max(map(len, lines)) <= 110, repr(OBJECTS[name])


@pytest.mark.parametrize("name", [name for name in OBJECTS if name != "source"])
def test_notebooks_show_html(name: str) -> None:
    assert OBJECTS[name]._repr_html_().lstrip().startswith("<")


@pytest.mark.parametrize(
    ("name", "table", "column"),
    [
        ("composition", (), "value (wt%)"),
        ("result", (), "ci95_low (wt%)"),
        ("phases", (), "weight_fraction (wt%)"),
        ("phases", (), "a (Å)"),
        ("fit", (), "unit"),
        ("fit", ("curves",), "two_theta (deg)"),
        ("fit", ("reflections",), "two_theta (deg)"),
        ("tga", (), "mass_loss (wt%)"),
        ("tga", ("quantities",), "unit"),
        ("tga", ("curves",), "temperature (°C)"),
        ("recipe", (), "setting"),
    ],
)
def test_tables_carry_units_in_their_columns(name: str, table: tuple[str, ...], column: str) -> None:
    frame = OBJECTS[name].to_dataframe(*table)
    assert column in frame
    assert len(frame) > 0


def test_numbers_of_tables_are_those_of_the_objects() -> None:
    organic = RESULT.composition["organic"]
    row = RESULT.composition.to_dataframe().loc["organic"]
    assert row["value (wt%)"] == 100.0 * organic.value
    assert row["ci95_low (wt%)"] == 100.0 * organic.ci95[0]
    phases = RESULT.phases.to_dataframe()
    assert phases.loc["calcite", "detection_limit (wt%)"] == 100.0 * RESULT.phases["calcite"].detection_limit
    with pytest.raises(ArgumentError, match="table"):
        RESULT.tga.to_dataframe("step")


@pytest.mark.parametrize("name", ["pattern", "run", "fit", "tga", "composition"])
def test_plot_returns_axes_and_takes_them(name: str) -> None:
    from matplotlib.figure import Figure

    mine = Figure().add_subplot()
    assert OBJECTS[name].plot(ax=mine) is mine
    assert mine.lines
    assert OBJECTS[name].plot().figure._repr_png_().startswith(b"\x89PNG")


def test_components_and_phases_are_had_by_name() -> None:
    assert RESULT.composition["organic"] is RESULT.composition.components["organic"]
    assert RESULT.composition["total_mineral"] is RESULT.composition.identifiable_sums["total_mineral"]
    assert list(RESULT.composition) == list(RESULT.composition.keys())
    assert RESULT.phases["calcite"].id == "calcite"
    assert "calcite" in RESULT.phases
    assert RESULT.phases[0] in RESULT.phases
    assert [phase.id for phase in RESULT.phases] == list(RESULT.phases.keys())
    assert [phase.id for phase in RESULT.phases.detected] == ["hydroxyapatite"]
    assert len(RESULT.phases[:3]) == 3
    with pytest.raises(KeyError, match="did you mean organic"):
        RESULT.composition["organics"]
    with pytest.raises(KeyError, match="did you mean calcite"):
        RESULT.phases["calcit"]


def test_results_compare_by_value() -> None:
    again = xc.read_result(Path(__file__).parents[1] / "data" / "results" / "schema-1.0")
    assert again == RESULT
    assert again.xrd != again.tga


def test_estimates_print_by_the_rounding_rule_and_work_with_uncertainties() -> None:
    made = Estimate(value=0.533214, std=0.004312, unit="")
    assert str(made) == "0.533 ± 0.004"
    assert f"{made:.1%}" == "(53.3 ± 0.4)%"
    assert f"{made:.3f}" == "0.533 ± 0.004"
    assert f"{made:S}" == "0.533(4)"
    assert str(Estimate(value=9.42031, std=0.00123, unit="Å")) == "(9.4203 ± 0.0012) Å"
    assert str(Estimate(value=0.5)) == "0.5 (fixed)"
    assert str(Estimate(value=1.0, std=0.0)) == "1"
    assert str(Estimate(value=1.0, std=np.inf)) == "1 ± inf"
    assert (made.nominal_value, made.std_dev) == (0.533214, 0.004312)
    twice = 2 * made.ufloat
    assert (twice.nominal_value, twice.std_dev) == (2 * 0.533214, 2 * 0.004312)


QUICK = {"identification.search": False, "composition.draws": 200}


@pytest.fixture(scope="module")
def specimen() -> tuple[xc.Pattern, xc.TgaRun]:
    model = SpecimenModel(
        specimen_id="T1", apatite=0.3, carbonate=0.02, protein=0.4, lipid=0.1, water=0.15, amorphous_mineral=0.03
    )  # fmt: skip
    made = simulate_specimen(model, xrd=XrdConditions(step=0.05), tga=TgaConditions(points=1200), seed=11)
    return made.pattern, made.tga


def test_stages_take_what_stands_for_their_arguments(specimen: tuple[xc.Pattern, xc.TgaRun]) -> None:
    measured, curve = specimen
    recipe = Recipe.of(QUICK, atmosphere="air")
    fit = xc.fit_pattern(measured.to_dataframe(), "hydroxyapatite", recipe=recipe)
    assert fit.phases.keys() == {"hydroxyapatite"}
    assert fit.rwp == xc.fit_pattern(measured, ["hydroxyapatite"], xc.build_instrument(), recipe.fit).rwp
    thermal = xc.analyze_tga(curve.to_dataframe(), recipe)
    assert thermal.atmosphere == "air"
    found = xc.compose(thermal, fit, recipe=recipe)
    assert found.method == "xrd+tga"
    assert found == xc.compose(fit, (), thermal, recipe)
    assert xc.compose(thermal).method == "tga"
    claims = xc.evaluate_claims(found, (), recipe)
    assert len(claims) == 4


def test_compose_alone_gives_the_messages_of_the_rules(specimen: tuple[xc.Pattern, xc.TgaRun]) -> None:
    curve = specimen[1]
    recipe = Recipe.of(QUICK, atmosphere="nitrogen")
    alone = xc.compose(xc.analyze_tga(curve, recipe), recipe)
    assert {"FUSION_CHAR", "NOT_IDENTIFIABLE"} <= {message.code for message in alone.messages}
    whole = xc.analyze(tga=curve, recipe=recipe)
    assert all(message in whole.messages for message in alone.messages), "the line of stages says the same"


def test_arguments_of_another_kind_are_named(specimen: tuple[xc.Pattern, xc.TgaRun]) -> None:
    measured, curve = specimen
    instrument = xc.build_instrument(measured)
    for call, name in (
        (lambda: xc.fit_pattern(5, "calcite", instrument), "pattern"),
        (lambda: xc.fit_pattern(measured, 5, instrument), "phases"),
        (lambda: xc.fit_pattern(measured, "calcite", 5), "instrument"),
        (lambda: xc.fit_pattern(measured, "calcite", instrument, 5), "recipe"),
        (lambda: xc.identify(measured, instrument, blank=5), "blank"),
        (lambda: xc.analyze_tga(measured), "run"),
        (lambda: xc.analyze_tga(curve, 5), "recipe"),
        (lambda: xc.compose(measured), "argument 1 of compose"),
        (lambda: xc.analyze(3), "xrd"),
        (lambda: xc.analyze(measured, tga=3), "tga"),
        (lambda: xc.analyze(measured, recipe=3), "recipe"),
        (lambda: xc.load_phases(3), "phases"),
    ):
        with pytest.raises(ArgumentError) as caught:
            call()
        assert caught.value.argument == name
        assert str(caught.value).startswith(f"{name}: got ")


def test_analyze_takes_settings_by_the_names_of_the_command_line(specimen: tuple[xc.Pattern, xc.TgaRun]) -> None:
    measured, curve = specimen
    result = xc.analyze(
        (measured.two_theta, measured.intensity), tga=curve, sample_id="S", recipe=QUICK, radiation="CuKa",
        range=(12, 70), basis="dry", atmosphere="air",
    )  # fmt: skip
    assert result.composition.basis == "dry"
    assert result.xrd.two_theta[0] >= 12
    assert result.settings["instrument"]["radiation"] == "CuKa"
    assert result.phases["hydroxyapatite"].decision == "detected"
    mine = xc.build_instrument(measured, Recipe.of(None, wavelength=1.5418))
    assert xc.analyze(measured, recipe=QUICK, instrument=mine).xrd.wavelengths == (1.5418,)
    with pytest.raises(RecipeError, match="Did you mean basis"):
        xc.analyze(measured, bases="dry")


def test_the_signature_of_analyze_is_short() -> None:
    assert len(str(inspect.signature(xc.analyze))) < 700
