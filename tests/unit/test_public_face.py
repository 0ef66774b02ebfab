"""What users of Python meet: arguments of many kinds, equality, reprs of one screen, tables, axes, errors that name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import xrdcomp as xc
from xrdcomp.arguments import as_instrument, as_pattern, as_phases, as_run, part_of
from xrdcomp.errors import ArgumentError, PatternError, ReadError, RecipeError
from xrdcomp.recipe import FitRecipe, Recipe, ThermalRecipe

ANGLES = np.linspace(10.0, 60.0, 501)
COUNTS = (
    np.random.default_rng(5).poisson(200.0 + 900.0 * np.exp(-(((ANGLES - 31.8) / 0.2) ** 2))).astype(float)
)
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
    assert as_pattern((ANGLES, COUNTS)) == as_pattern(
        pd.DataFrame({"two_theta": ANGLES, "intensity": COUNTS})
    )
    assert as_run((TEMPERATURES, MASSES)) == as_run(pd.DataFrame({"T": TEMPERATURES, "m": MASSES}))
    assert [phase.id for phase in as_phases("calcite")] == ["calcite"]
    assert [phase.id for phase in as_phases([xc.load_phase("quartz"), "calcite"])] == ["quartz", "calcite"]
    assert as_instrument(Recipe(), pattern=pattern()).wavelength == 1.5406
    for call, name in [
        (as_pattern, "pattern"),
        (as_run, "run"),
        (as_phases, "phases"),
        (as_instrument, "instrument"),
    ]:
        with pytest.raises(ArgumentError, match=rf"\A{name}: got 5 \(int\)"):
            call(5)


def test_a_recipe_has_many_forms(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('[fit]\nmode = "peaks"\n')
    forms = (
        file,
        str(file),
        {"fit": {"mode": "peaks"}},
        {"fit.mode": "peaks"},
        Recipe(fit=FitRecipe(mode="peaks")),
    )
    assert all(Recipe.of(form) == Recipe.of(None, fit={"mode": "peaks"}) for form in forms)
    assert part_of(file, FitRecipe).mode == "peaks"
    assert part_of(None, ThermalRecipe) == ThermalRecipe()
    for wrong in (3, ["fit"]):
        with pytest.raises(ArgumentError, match=r"\Arecipe: got"):
            Recipe.of(wrong)
    with pytest.raises(RecipeError, match="cannot be read"):
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


def objects() -> dict[str, object]:
    made = pattern()
    return {
        "pattern": made, "run": run(), "phase": xc.load_phase("hydroxyapatite"), "recipe": Recipe(),
        "instrument": xc.build_instrument(made, Recipe().instrument), "message": made.messages[0],
        "sample": xc.Sample(sample_id="S", pattern=made, tga=run()), "line": made.emission_lines[0],
        "changed recipe": Recipe.of(None, phases=["a" * 60] * 40, fit={"mode": "peaks"}),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(objects()))
def test_a_repr_is_one_screen(name: str) -> None:
    check_screen(objects()[name])


def check_screen(item: object) -> None:
    lines = repr(item).splitlines()
    assert 0 < len(lines) <= 24, repr(item)
    assert max(map(len, lines)) <= 110, repr(item)


@pytest.mark.parametrize("item", [pattern(), run()], ids=["pattern", "run"])
def test_plot_returns_axes_and_takes_them(item: xc.Pattern | xc.TgaRun) -> None:
    from matplotlib.figure import Figure

    mine = Figure().add_subplot()
    assert item.plot(ax=mine) is mine
    assert mine.lines
    assert item.plot().figure._repr_png_().startswith(b"\x89PNG")
