"""tga_check on ideal curves that owe nothing to the simulator."""

from __future__ import annotations

import msgspec
import pytest

from tests.helpers import assert_close
from tests.unit.thermal_curves import run_of
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.thermal.curve import smoothed_curve
from xrdcomp.thermal.standards import STANDARDS, tga_check

NO_BUOYANCY = ThermalRecipe(pan_volume_cm3=0.0, sample_density_g_cm3=1e6)
OXALATE = ((0.12329, 165.0, 8.0), (0.19170, 480.0, 7.0), (0.30119, 690.0, 12.0))
# 2 % calcite with 98 % portlandite: 23.83 % water, 0.88 % carbon dioxide
CARBONATED = ((0.98 * 0.24315, 450.0, 9.0), (0.02 * 0.43971, 680.0, 10.0))


def test_calcium_oxalate_holds() -> None:
    check = tga_check(run_of(OXALATE), "calcium-oxalate-monohydrate", NO_BUOYANCY)
    assert check.passed
    assert [s.name for s in check.steps] == ["H2O", "CO", "CO2", "residue CaO"]
    for step in check.steps:
        assert_close(step.measured.value, step.theory, atol=1e-3, because="tails of logistic steps at the cuts")


def test_theory_is_the_stoichiometry() -> None:
    water, monoxide, dioxide = (step.loss for step in STANDARDS["calcium-oxalate-monohydrate"].steps[1:])
    molar = 40.078 + 2 * 12.011 + 5 * 15.999 + 2 * 1.008
    assert_close(water, 18.015 / molar, atol=1e-12, because="IUPAC 2021")
    assert_close(monoxide, 28.010 / molar, atol=1e-12, because="IUPAC 2021")
    assert_close(dioxide, 44.009 / molar, atol=1e-12, because="IUPAC 2021")
    copper = 63.546 + 32.06 + 9 * 15.999 + 10 * 1.008
    total = sum(step.loss for step in STANDARDS["copper-sulfate-pentahydrate"].steps)
    assert_close(total, 5 * 18.015 / copper, atol=1e-12, because="IUPAC 2021")
    assert_close(STANDARDS["portlandite"].steps[1].loss, 18.015 / 74.092, atol=1e-12, because="IUPAC 2021")
    assert_close(STANDARDS["calcite"].steps[1].loss, 44.009 / 100.086, atol=1e-12, because="IUPAC 2021")


def test_a_balance_that_is_two_percent_off_fails() -> None:
    scaled = tuple((0.98 * loss, centre, width) for loss, centre, width in OXALATE)
    check = tga_check(run_of(scaled), "calcium-oxalate-monohydrate", NO_BUOYANCY)
    assert not check.passed
    assert not check.steps[2].holds


def test_carbonated_portlandite_is_judged_by_what_is_hydroxide() -> None:
    check = tga_check(run_of(CARBONATED), "portlandite", NO_BUOYANCY)
    assert check.passed
    assert check.carbonate is not None
    assert_close(check.carbonate.value, 0.02 * 0.43971, atol=5e-4, because="noise and tails")
    assert_close(check.steps[0].theory, 0.98 * 0.24315, atol=5e-4, because="purity from the carbonate found")


def test_smoothing_of_the_recipe_is_honoured() -> None:
    run = run_of(OXALATE)
    chosen = smoothed_curve(run, NO_BUOYANCY, None, shortest_c=1.0)

    def differences(smoothing_c: float | None) -> list[float]:
        recipe = msgspec.structs.replace(NO_BUOYANCY, smoothing_c=smoothing_c)
        return [step.difference for step in tga_check(run, "calcium-oxalate-monohydrate", recipe).steps]

    by_noise = differences(None)
    same = differences(chosen.length * chosen.raw.step)
    assert_close(same, by_noise, atol=1e-12, because="the length that the noise asks for, stated")
    # steps 20 to 30 °C wide are spread over their boundaries by a smoothing as long
    assert max(map(abs, differences(25.0))) > 0.005 > 10.0 * max(map(abs, by_noise))


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(AnalysisError, match="no standard 'chalk'"):
        tga_check(run_of(), "chalk")
    with pytest.raises(AnalysisError, match="the run covers"):
        tga_check(run_of(OXALATE, end_c=400.0), "calcium-oxalate-monohydrate")
