"""Gases of a thermogravimetric run: as a user states them, and against what a file states."""

from __future__ import annotations

import numpy as np
import pytest

from xrdcomp.data import Atmosphere, GasChange, TgaRun, atmosphere_of, parse_gases
from xrdcomp.errors import ArgumentError, RecipeError
from xrdcomp.recipe import Recipe


def _run(atmosphere: Atmosphere = "unknown", *changes: GasChange, timed: bool = True) -> TgaRun:
    """25 to 1000 °C at 10 K/min, a reading every six seconds."""
    temperature = np.arange(25.0, 1000.5, 1.0)
    time = 6.0 * np.arange(len(temperature)) + 12.0 if timed else None
    mass = np.linspace(10.0, 6.0, len(temperature))
    return TgaRun(temperature_c=temperature, mass=mass, mass_unit="mg", time_s=time, atmosphere=atmosphere,
                  gas_changes=changes)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "gas"),
    [
        ("N2", "nitrogen"), ("n2", "nitrogen"), ("NITROGEN", "nitrogen"), ("Stickstoff", "nitrogen"),
        ("azote", "nitrogen"), ("窒素", "nitrogen"), ("O2", "oxygen"), ("Sauerstoff", "oxygen"), ("Ar", "argon"),
        ("He", "helium"), ("CO2", "carbon_dioxide"), ("carbon_dioxide", "carbon_dioxide"), ("synthetic air", "air"),
        ("Luft", "air"), ("aire", "air"),
    ],
)  # fmt: skip
def test_words_and_formulae_of_gases(word: str, gas: str) -> None:
    assert parse_gases(word)[0].gas == gas


@pytest.mark.parametrize("text", ["H2", "forming gas", "hair", "N2/O2", "Methane", "none", ""])
def test_no_gas_is_guessed(text: str) -> None:
    assert atmosphere_of(text) == "unknown"


def test_changes_of_gas() -> None:
    first, second, third = parse_gases("N2, air@177min, O2@600 °C")
    assert (first.gas, first.from_min, first.from_c, first.source) == ("nitrogen", None, None, "user")
    assert (second.gas, second.from_min, second.from_c) == ("air", 177.0, None)
    assert (third.gas, third.from_min, third.from_c) == ("oxygen", None, 600.0)
    assert parse_gases("Ar,air@1.5h")[1].from_min == 90.0


@pytest.mark.parametrize(
    "text", ["", "smoke", "nitrogen,air", "nitrogen@3min", "nitrogen,air@", "nitrogen,air@600", "nitrogen,air@soon"]
)
def test_what_is_no_gas_programme(text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_gases(text)
    assert caught.value.argument == "atmosphere"
    with pytest.raises(RecipeError, match=r"thermal\.atmosphere"):
        Recipe().with_settings({"thermal.atmosphere": text})


def test_recipe_keeps_the_gases_in_one_spelling() -> None:
    recipe = Recipe().with_settings({"thermal.atmosphere": "N2, Air @ 177 min"})
    assert recipe.thermal.atmosphere == "nitrogen,air@177min"
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_a_change_begins_at_a_reading() -> None:
    run = _run("nitrogen", GasChange(gas="air", from_min=30.0), GasChange(gas="oxygen", from_c=600.0))
    assert run.gas_starts() == (300, 575)  # a reading every 0.1 min since the first; 600 °C is the 576th
    assert _run("nitrogen", GasChange(gas="air", from_c=1200.0)).gas_starts() == (976,)


def test_minutes_need_a_time() -> None:
    with pytest.raises(ArgumentError, match="has no time"):
        _run(timed=False).under("nitrogen,air@30min")


def test_what_the_user_says_holds_and_contradictions_are_told() -> None:
    said = _run("air").under("nitrogen")
    assert said.atmosphere == "nitrogen"
    (message,) = said.messages
    assert (message.code, message.severity) == ("TGA_ATMOSPHERE_OVERRIDDEN", "warning")
    assert message.facts == {"file": "air", "user": "nitrogen"}
    assert not _run().under("nitrogen").messages
    assert not _run("nitrogen").under("N2,air@600C").messages
    switched = _run("nitrogen", GasChange(gas="air", from_min=57.5))
    assert not switched.under("nitrogen,air@600C").messages  # the same place in other words
    for other in ("nitrogen", "nitrogen,air@700C", "nitrogen,oxygen@600C"):
        assert len(switched.under(other).messages) == 1


def test_helium_is_written_as_the_schema_allows_and_named_beside_it() -> None:
    import json
    from importlib.resources import files

    import jsonschema

    from xrdcomp.analysis import analyze

    result = analyze(tga=_run("helium"))
    tga = json.loads(result.to_json())["tga"]
    assert (tga["atmosphere"], tga["gas"]) == ("unknown", "helium")
    schema = json.loads(files("xrdcomp").joinpath("result.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(result.to_json()))
    assert "gas" not in json.loads(analyze(tga=_run("argon")).to_json())["tga"]
