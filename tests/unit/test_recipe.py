"""Recipe: what is refused, what is proposed, and that it survives being written and read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrdcomp.errors import RecipeError
from xrdcomp.present.toml import to_toml
from xrdcomp.recipe import FitRecipe, Recipe, ThermalRecipe


def test_misspelt_key_is_refused_with_the_nearest_legal_one() -> None:
    with pytest.raises(RecipeError, match=r"fit\.mod\b.*Did you mean fit\.mode\?"):
        Recipe.from_toml('[fit]\nmod = "peaks"\n')


def test_misspelt_section_is_refused() -> None:
    with pytest.raises(RecipeError, match="termal"):
        Recipe.from_toml("[termal]\nwater_end_c = 200\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[fit]\nmode = "guess"', "fit.mode"),
        ('[thermal]\nwater_end_c = "warm"', "thermal.water_end_c"),
        ("[fit\n", "not valid TOML"),
        ('[composition]\nbasis = "wet"', "composition.basis"),
    ],
)
def test_illegal_values_name_their_place(text: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_toml(text, file="mine.toml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("mine.toml")


@pytest.mark.parametrize(
    ("key", "value", "legal"),
    [
        ("fit.mode", "peeks", "peaks or structure. Did you mean peaks?"),
        ("fit.texture", "yes", "auto, harmonic, march_dollase or none"),
        ("thermal.atmosphere", "neon", "air, argon, carbon_dioxide, helium, nitrogen, oxygen"),
        ("fit.strain", "perhaps", "true or false"),
        ("fit.background_terms", "0", "a whole number of at least 1"),
        ("fit.two_theta_range", "[70, 15]", "the lower angle first"),
        ("instrument.wavelengths", "[15.4]", "a number below 5.0 as each item"),
        ("identification.false_alarm_rate", "5", "a number below 1.0"),
        ("thermal.organic_end_c", "200", "the ends of water, organic and carbonate in this order"),
        ("composition.refuted_below", "0.97", "refuted and supported"),
        ("fit", "3", "settings fit.…"),
    ],
)
def test_illegal_values_say_what_is_legal(key: str, value: str, legal: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe().with_settings({key: value})
    assert str(caught.value).startswith(f"settings: {key}")
    assert legal in str(caught.value)


def test_settings_built_in_python_are_checked_alike() -> None:
    with pytest.raises(RecipeError, match=r"fit\.mode: 'peeks' is no legal value"):
        FitRecipe(mode="peeks")
    with pytest.raises(RecipeError, match=r"thermal\.organic_end_c: 200 °C is not above"):
        ThermalRecipe(organic_end_c=200)
    assert FitRecipe(two_theta_range=[np.float64(15), 70]).two_theta_range == (15.0, 70.0)


def test_settings_from_the_command_line_are_read_as_toml_where_possible() -> None:
    recipe = Recipe().with_settings(
        {
            "fit.mode": "peaks",
            "fit.strain": "false",
            "fit.two_theta_range": "[15, 70]",
            "thermal.water_end_c": "210",
            "phases": ["calcite"],
        }
    )
    assert recipe.fit.mode == "peaks"
    assert recipe.fit.strain is False
    assert recipe.fit.two_theta_range == (15.0, 70.0)
    assert recipe.thermal.water_end_c == 210.0
    assert recipe.phases == ("calcite",)


@pytest.mark.parametrize("key", ["fit.mod", "fitt.mode", "fit.mode.deeper", "mode"])
def test_unknown_setting_is_refused(key: str) -> None:
    with pytest.raises(RecipeError, match="there is no such setting"):
        Recipe().with_settings({key: "peaks"})


def test_with_settings_leaves_the_original_alone() -> None:
    recipe = Recipe()
    recipe.with_settings({"fit.mode": "peaks"})
    assert recipe == Recipe()


def test_default_recipe_survives_toml() -> None:
    assert Recipe.from_toml(to_toml(Recipe().to_dict())) == Recipe()


@given(
    phases=st.lists(st.text(min_size=1, max_size=12), max_size=3),
    sample_id=st.text(max_size=20),
    water_end=st.floats(0, 599, allow_nan=False),
    limits=st.none() | st.tuples(st.floats(1, 50), st.floats(51, 170)),
    strain=st.booleans(),
    gas=st.sampled_from([None, "air", "nitrogen"]),
)
def test_any_recipe_survives_toml(phases, sample_id, water_end, limits, strain, gas) -> None:
    recipe = Recipe(
        sample_id=sample_id,
        phases=tuple(phases),
        fit=FitRecipe(two_theta_range=limits, strain=strain),
        thermal=ThermalRecipe(water_end_c=water_end, atmosphere=gas),
    )
    assert Recipe.from_toml(to_toml(recipe.to_dict())) == recipe
