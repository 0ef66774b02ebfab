"""Kinetics on exact curves: energies, intervals, prediction, refusals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from tests.helpers import assert_close, binomial_band
from tests.unit.thermal_curves import run_of
from xrdcomp.errors import AnalysisError
from xrdcomp.stages import analyze_tga
from xrdcomp.thermal.kinetics import (
    ConversionCurve,
    IsoconversionalResult,
    conversion_curve,
    fit_line,
    flynn_wall_ozawa,
    friedman,
    kissinger,
    kissinger_akahira_sunose,
    predict_heating,
    predict_isothermal,
    temperature_integral,
    vyazovkin,
)

R_KJ = 8.314462618e-3
RATES = (2.0, 5.0, 10.0, 20.0, 40.0)


def exact(rate: float, energy: float, *, order: float = 1.0, peak_c: float = 400.0) -> ConversionCurve:
    """Integrate dα/dT = A/β exp(−E/RT)(1 − α)ⁿ with an ODE solver."""
    at = peak_c + 273.15
    ln_a = np.log(10.0 * energy / (R_KJ * at**2)) + energy / (R_KJ * at)
    kelvin = np.arange(323.15, 1173.15, 0.5)

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        return np.exp(ln_a - energy / (R_KJ * t)) / rate * np.clip(1.0 - y, 0.0, None) ** order

    solved = solve_ivp(slope, (kelvin[0], kelvin[-1]), [0.0], t_eval=kelvin, rtol=1e-9, atol=1e-12, max_step=2.0)
    alpha = solved.y[0]
    return ConversionCurve(
        temperature_c=kelvin - 273.15,
        minutes=(kelvin - kelvin[0]) / rate,
        conversion=alpha,
        rate_per_min=np.array([slope(t, a) for t, a in zip(kelvin, alpha, strict=True)]) * rate,
        heating_rate_k_min=rate,
    )


@pytest.mark.parametrize("energy", [90.0, 180.0])
@pytest.mark.parametrize(
    ("method", "tolerance", "why"),
    [
        (friedman, 2e-3, "exact method; interpolation at 0.5 K"),
        (vyazovkin, 2e-3, "exact method; interpolation at 0.5 K"),
        (flynn_wall_ozawa, 5e-3, "one slope of ln p for all rates"),
        (kissinger_akahira_sunose, 1.2e-2, "approximate temperature integral, worst at small E/RT"),
    ],
)
def test_isoconversional_energies_of_a_single_step(
    method: Callable[[list[ConversionCurve]], IsoconversionalResult], tolerance: float, why: str, energy: float
) -> None:
    result = method([exact(rate, energy, order=1.3) for rate in RATES])
    assert_close(result.energy, energy, rtol=tolerance, because=why)
    assert result.ci95.shape == (len(result.conversion), 2)
    assert (result.ci95[:, 0] <= result.energy).all()
    assert (result.ci95[:, 1] >= result.energy).all()


def test_kissinger_finds_energy_and_frequency_factor() -> None:
    curves = [exact(rate, 150.0) for rate in RATES]
    peaks = [float(c.temperature_c[np.argmax(c.rate_per_min)]) for c in curves]
    result = kissinger(peaks, RATES)
    assert_close(result.energy.value, 150.0, rtol=0.01, because="peaks on a grid of 0.5 K")
    at = 673.15
    ln_a = np.log(10.0 * 150.0 / (R_KJ * at**2)) + 150.0 / (R_KJ * at)
    assert_close(result.ln_prefactor.value, ln_a, atol=0.4, because="1 % of E/RT = 27")
    assert result.energy.ci95 is not None
    assert result.energy.ci95[0] < 150.0 < result.energy.ci95[1]


def test_kissinger_interval_covers() -> None:
    dice, inside, n = np.random.default_rng(3), 0, 300
    kelvin = np.array([650.0, 668.0, 683.0, 699.0, 715.0])
    inverse = 1.0 / kelvin
    truth = 150.0
    rates = kelvin**2 * np.exp(20.0 - truth / R_KJ * (inverse - inverse.mean()))
    for _ in range(n):
        noisy = rates * np.exp(dice.normal(0.0, 0.03, 5))
        interval = kissinger(kelvin - 273.15, noisy).energy.ci95
        assert interval is not None
        inside += interval[0] <= truth <= interval[1]
    low, high = binomial_band(n, 0.95)
    assert low <= inside / n <= high


def test_prediction_at_another_rate_is_the_curve_at_that_rate() -> None:
    curves = [exact(rate, 150.0) for rate in RATES]
    energies = vyazovkin(curves)
    predicted = predict_heating(energies, curves[1], 40.0)
    measured = curves[4].at(energies.conversion).kelvin
    assert_close(predicted.temperature_c, measured - 273.15, atol=0.6, because="0.2 % of the energy over 60 K")
    assert (predicted.minutes_interval[:, 0] <= predicted.minutes + 1e-6).all()


def test_isothermal_prediction_of_a_first_order_reaction() -> None:
    curves = [exact(rate, 150.0) for rate in RATES]
    energies = vyazovkin(curves)
    predicted = predict_isothermal(energies, curves[2], 350.0)
    at = 673.15
    ln_a = np.log(10.0 * 150.0 / (R_KJ * at**2)) + 150.0 / (R_KJ * at)
    k = np.exp(ln_a - 150.0 / (R_KJ * 623.15))
    expected = -np.log(1.0 - energies.conversion) / k
    assert_close(predicted.minutes, expected, rtol=0.03, because="0.2 % of E/RT = 29, and the first level's E")


def test_conversion_runs_from_zero_to_one() -> None:
    result = analyze_tga(run_of())
    curve = conversion_curve(result, 230.0, 560.0)
    assert_close(curve.conversion[[0, -1]], (0.0, 1.0), atol=1e-12, because="definition")
    assert_close(curve.heating_rate_k_min, 10.0, rtol=1e-3, because="even programme")


def test_what_cannot_be_evaluated_is_refused() -> None:
    result = analyze_tga(run_of())
    with pytest.raises(AnalysisError, match="not inside"):
        conversion_curve(result, 100.0, 3000.0)
    with pytest.raises(AnalysisError, match="three different heating rates"):
        kissinger([400.0, 410.0], [10.0, 10.0])
    with pytest.raises(AnalysisError, match="do not move up"):
        kissinger([420.0, 410.0, 400.0], [5.0, 10.0, 20.0])
    with pytest.raises(AnalysisError, match="do not move up"):
        kissinger([410.0, 410.0, 410.0], [5.0, 10.0, 20.0])
    with pytest.raises(AnalysisError, match="three different"):
        friedman([exact(10.0, 150.0)])


def test_temperature_integral_against_quadrature() -> None:
    from scipy.integrate import quad

    for x in (5.0, 20.0, 60.0):
        expected = quad(lambda u: np.exp(-u) / u**2, x, np.inf, epsabs=0.0, epsrel=1e-10)[0]
        assert_close(
            temperature_integral(np.array([x])), expected, rtol=1e-9, because="cancellation of two digits at x = 60"
        )


def test_line_of_exact_points_has_no_scatter() -> None:
    line = fit_line(np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 9.0]))
    assert_close((line.slope, line.intercept), (2.0, 1.0), atol=1e-12, because="arithmetic")
    assert_close(line.slope_std, 0.0, atol=1e-12, because="no scatter")


@pytest.mark.parametrize("rate", [-5.0, 0.0, float("nan")])
def test_a_heating_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(AnalysisError, match="each must be a number above 0"):
        kissinger([400.0, 410.0, 420.0], [10.0, 20.0, rate])
