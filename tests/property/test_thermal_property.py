"""analyze_tga on anything: a result that keeps its promises, or a refusal in words."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import assert_close
from tests.unit.thermal_curves import beside_phases, sigmoid_losses
from xrdcomp.data import TgaRun
from xrdcomp.errors import XrdcompError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.stages import analyze_tga

QUICK = ThermalRecipe(bootstrap=20)


def temperatures(kind: str, n: int, dice: np.random.Generator) -> np.ndarray:
    return {
        "ramp": np.linspace(25.0, dice.uniform(30.0, 1400.0), n),
        "constant": np.full(n, dice.uniform(20.0, 900.0)),
        "walk": 25.0 + np.cumsum(dice.normal(0.3, 1.0, n)),
        "cycles": 25.0 + 400.0 * np.abs(np.sin(np.linspace(0.0, dice.uniform(1.0, 10.0), n))),
        "rounded": np.round(np.linspace(25.0, 1000.0, n), -1),
        "falling": np.linspace(1000.0, 25.0, n),
        "scattered": dice.uniform(20.0, 1000.0, n),
    }[kind]


def masses(kind: str, temperature: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    n = len(temperature)
    return {
        "constant": np.ones(n),
        "step": 1.0 - 0.5 * (temperature > dice.uniform(50.0, 900.0)),
        "noise": dice.uniform(0.0, 1.0, n),
        "wave": 1.0 + 0.5 * np.sin(temperature / 50.0),
        "fall": np.linspace(1.0, -0.1, n),
        "growth": np.linspace(1.0, 3.0, n),
    }[kind]


@given(
    temperature_kind=st.sampled_from(["ramp", "constant", "walk", "cycles", "rounded", "falling", "scattered"]),
    mass_kind=st.sampled_from(["constant", "step", "noise", "wave", "fall", "growth"]),
    n=st.integers(2, 400),
    scale=st.floats(1e-3, 1e3),
    timed=st.booleans(),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_arrays_give_a_result_or_a_refusal(
    temperature_kind: str, mass_kind: str, n: int, scale: float, *, timed: bool, seed: int
) -> None:
    dice = np.random.default_rng(seed)
    temperature = temperatures(temperature_kind, n, dice)
    run = TgaRun(
        temperature_c=temperature,
        mass=scale * masses(mass_kind, temperature, dice),
        mass_unit="mg",
        time_s=np.arange(n, dtype=float) if timed else None,
    )
    try:
        result = analyze_tga(run, QUICK)
    except XrdcompError as refusal:
        reason: str | None = str(refusal)
    else:
        reason = None
    if reason is not None:
        assert len(reason) > 20
        return
    json.dumps(result.to_dict(), allow_nan=False)
    beside_phases(result, "halite", "whewellite", "calcite")
    assert all((step.mass_loss.std or 0.0) >= 0.0 for step in result.steps)
    if len(result.balance):
        assert_close(result.balance.sum(), 1.0, atol=1e-9, because="closure is built in")


@given(
    water=st.floats(0.01, 0.5), organic=st.floats(0.05, 0.4), carbonate=st.floats(0.0, 0.05), factor=st.floats(0.2, 5.0)
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_balance_in_any_unit_of_mass_is_the_same(
    water: float, organic: float, carbonate: float, factor: float
) -> None:
    temperature = np.arange(25.0, 1000.0, 0.5)
    rows = ((water, 90.0, 12.0), (organic, 330.0, 18.0), (carbonate * (1 - water - organic), 770.0, 16.0))
    mass = sigmoid_losses(temperature, rows)
    run = TgaRun(
        temperature_c=temperature, mass=100.0 * mass, mass_unit="percent", initial_mass_mg=10.0, atmosphere="air"
    )
    heavier = TgaRun(
        temperature_c=temperature, mass=factor * mass, mass_unit="mg", initial_mass_mg=factor, atmosphere="air"
    )
    free = ThermalRecipe(bootstrap=20, pan_volume_cm3=0.0)
    first = analyze_tga(run, free)
    # where there is no carbonate the end of the organic is flat, and rounding moves up to 3e-7 between neighbours
    because = "without a pan every effect scales; a flat boundary moves with rounding"
    assert_close(analyze_tga(heavier, free).balance, first.balance, atol=1e-6, because=because)
