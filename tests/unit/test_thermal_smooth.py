"""Smoothing, noise, programme and baseline: the ground the balance stands on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from tests.helpers import assert_close
from tests.unit.thermal_curves import run_of
from xrdcomp.data import TgaRun
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.stages import analyze_tga
from xrdcomp.thermal.curve import gas_density, prepare, smoothed_curve
from xrdcomp.thermal.losses import _local_maxima, _prominence
from xrdcomp.thermal.programme import heating_part, progress_axis, shift_with_rate
from xrdcomp.thermal.smoothing import choose_length, derivative, derivative_std, estimate_noise, smoothed_std, whittaker

X = np.arange(400.0)
ONES = np.ones(400)


def test_a_parabola_passes_unchanged() -> None:
    y = 3.0 + 0.1 * X - 2e-4 * X**2
    assert_close(whittaker(y, ONES, 12.0), y, atol=1e-6, because="third differences of a parabola vanish")


def test_a_symmetric_step_stays_where_it_is() -> None:
    step = 1.0 / (1.0 + np.exp((X - 200.0) / 3.0))
    smooth = whittaker(step, ONES, 8.0)
    assert_close(np.interp(-0.5, -smooth[150:250], X[150:250]), 200.0, atol=1e-6, because="symmetric operator")
    assert_close(smooth[[20, 380]], (1.0, 0.0), atol=1e-3, because="ringing has died out")


def test_smoothing_equals_the_dense_solution() -> None:
    rng = np.random.default_rng(0)
    y, weights = rng.standard_normal(60), rng.uniform(0.2, 2.0, 60)
    difference = np.diff(np.eye(60), n=3, axis=0)
    dense = np.linalg.solve(np.diag(weights) + 4.0**6 * difference.T @ difference, weights * y)
    assert_close(whittaker(y, weights, 4.0), dense, atol=1e-8, because="condition of the system times 1e-16")


def test_many_curves_at_once_equal_one_by_one() -> None:
    y = np.random.default_rng(1).standard_normal((400, 3))
    together = whittaker(y, ONES, 5.0)
    apart = np.column_stack([whittaker(y[:, k], ONES, 5.0) for k in range(3)])
    assert_close(together, apart, atol=1e-12, because="the same linear system")


def test_nodes_without_data_are_interpolated() -> None:
    weights = ONES.copy()
    weights[100:140] = 0.0
    y = np.where(weights > 0, 2.0 + 0.01 * X, 99.0)
    y[100:140] = np.interp(X[100:140], X[weights > 0], y[weights > 0])
    assert_close(whittaker(y, weights, 6.0), 2.0 + 0.01 * X, atol=1e-6, because="a line passes unchanged")


def test_noise_is_estimated_beside_a_sharp_step() -> None:
    rng = np.random.default_rng(2)
    y = 1.0 - 0.5 * (X > 200) + 0.01 * rng.standard_normal(400)
    assert_close(estimate_noise(y, ONES), 0.01, rtol=0.15, because="3 sigma of a median absolute deviation, n = 397")


def test_stated_standard_deviations_of_smoothed_value_and_slope() -> None:
    rng = np.random.default_rng(3)
    curves = whittaker(rng.standard_normal((400, 400)), ONES, 6.0)
    inner = slice(60, 340, 20)
    assert_close(curves[inner].std(), smoothed_std(1.0, 6.0), rtol=0.05, because="400 curves, 14 nearly free nodes")
    slopes = derivative(curves, 1.0)[inner]
    assert_close(slopes.std(), derivative_std(1.0, 6.0), rtol=0.06, because="400 curves; central difference")


def test_more_noise_smooths_more() -> None:
    clean = 1.0 / (1.0 + np.exp((X - 200.0) / 6.0))
    rng = np.random.default_rng(4)
    lengths = [choose_length(clean + s * rng.standard_normal(400), ONES, s, shortest=0.7) for s in (1e-4, 1e-2, 1e-1)]
    assert lengths[0] < lengths[1] < lengths[2]


def test_steps_move_up_with_the_rate_as_kissinger_says() -> None:
    assert shift_with_rate(600.0, 10.0, 200.0) == 600.0
    assert shift_with_rate(600.0, None, 200.0) == 600.0
    expected = 8.314e-3 * 873.15**2 / 200.0 * np.log(2.0)
    assert_close(shift_with_rate(600.0, 20.0, 200.0) - 600.0, expected, rtol=1e-3, because="digits of R")


def test_a_second_heating_counts_from_where_the_first_ended() -> None:
    first, cooling, second = np.linspace(25, 150, 500), np.linspace(150, 30, 300), np.linspace(30, 900, 3000)
    temperature = np.concatenate((first, cooling, second))
    run = TgaRun(temperature_c=temperature, mass=np.ones(3800), mass_unit="mg", time_s=np.arange(3800.0))
    index, _ = heating_part(run)
    kept = temperature[index]
    assert kept[0] == 25.0
    assert kept[-1] == 900.0
    assert (np.diff(kept) > -16.0).all()
    assert not ((index > 540) & (index < 1150)).any(), "neither cooling nor the way back up"


def test_progress_is_temperature_on_a_ramp_and_time_on_a_hold() -> None:
    minutes = np.arange(0.0, 60.0, 0.02)
    temperature = np.interp(minutes, [0, 20, 40, 60], [25.0, 225.0, 225.0, 425.0])
    run = TgaRun(temperature_c=temperature, mass=np.ones(3000), mass_unit="mg", time_s=60.0 * minutes)
    progress, rate = progress_axis(run, np.arange(3000))
    assert_close(rate or 0.0, 10.0, rtol=0.01, because="node spacing of 0.04 min")
    assert_close(np.interp(10.0, minutes, progress), 125.0, atol=1.0, because="node spacing")
    assert_close(progress[-1] - progress[0], 600.0, rtol=0.01, because="the hold of 20 min counts like 200 °C")


def test_bins_keep_mass_and_count() -> None:
    run = run_of(noise_ug=0.0)
    curve = prepare(run)
    expected = np.interp(curve.temperature_c, run.temperature_c, run.mass / 20.0)
    assert_close(curve.mass, expected, atol=2e-4, because="curvature within a bin of 1 °C")
    assert curve.counts.sum() == len(run)


@pytest.mark.parametrize("gas", ["air", "nitrogen", "argon"])
def test_gas_density_is_that_of_an_ideal_gas(gas: str) -> None:
    molar = {"air": 28.965, "nitrogen": 28.014, "argon": 39.948}[gas]
    expected = 101325.0 * molar * 1e-3 / (8.314462618 * 1073.15)  # kg/m³ = mg/cm³
    actual = gas_density(np.array([800.0]), gas)  # type: ignore[arg-type]  # parametrised by name
    assert_close(actual, expected, rtol=2e-3, because="four printed digits at 25 °C")


def test_buoyancy_of_the_stated_pan_is_taken_out() -> None:
    run = run_of(start_mg=5.0)
    air = gas_density(np.array(run.temperature_c), "air")
    apparent = 0.03 * (air[0] - air)
    result = analyze_tga(
        replace(run, mass=run.mass + apparent), ThermalRecipe(sample_density_g_cm3=1e6, pan_volume_cm3=0.03)
    )
    assert apparent[-1] / 5.0 > 0.004
    assert_close(result.balance[3], 0.5, atol=1e-3, because="tails of logistic steps and 1 µg of noise on 5 mg")


def test_raw_balance_readings_displace_a_carrier() -> None:
    raw = replace(run_of(), corrected=False)
    assert smoothed_curve(raw, None, None, shortest_c=4.0).recipe.pan_volume_cm3 > 0.2
    assert smoothed_curve(run_of(), None, None, shortest_c=4.0).recipe == ThermalRecipe()


def test_maxima_and_prominences_are_those_of_scipy() -> None:
    # an oracle only: importing scipy.signal takes longer than the analysis of a run
    rng = np.random.default_rng(11)
    for _ in range(300):
        n = int(rng.integers(3, 60))
        y = rng.integers(0, 8, n).astype(float) if rng.random() < 0.6 else rng.normal(size=n)
        tops, info = signal.find_peaks(y, prominence=0.0)
        assert _local_maxima(y) == tops.tolist()
        assert [_prominence(y, top) for top in tops.tolist()] == info["prominences"].tolist()
