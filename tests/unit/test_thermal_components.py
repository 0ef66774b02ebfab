"""Peak shapes, their derivatives, and the separation of overlapping peaks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import assert_close
from tests.unit.thermal_curves import run_of
from xrdcomp.errors import AnalysisError
from xrdcomp.stages import analyze_tga
from xrdcomp.thermal.components import fraser_suzuki, fraser_suzuki_gradient, nth_order, separate_peaks, separate_steps
from xrdcomp.thermal.curve import smoothed_curve
from xrdcomp.thermal.losses import most_crossing

AXIS = np.arange(150.0, 650.0, 1.0)


@pytest.mark.parametrize("asymmetry", [-0.5, 0.0, 0.3])
def test_fraser_suzuki_has_unit_area_and_the_stated_width(asymmetry: float) -> None:
    fine = np.arange(0.0, 900.0, 0.05)
    peak = fraser_suzuki(fine, 400.0, 60.0, asymmetry)
    assert_close(peak.sum() * 0.05, 1.0, atol=1e-3, because="cut of the tail at 900 °C")
    above = fine[peak >= 0.5 * peak.max()]
    assert_close(above[-1] - above[0], 60.0, atol=0.2, because="two grid steps of 0.05 °C and the search")


@pytest.mark.parametrize("asymmetry", [-0.5, 0.05, 0.3])
def test_gradient_is_that_of_the_shape(asymmetry: float) -> None:
    values, step = (300.0, 60.0, asymmetry), 1e-4
    for k, analytic in enumerate(fraser_suzuki_gradient(AXIS, *values)):
        low, high = ([v + sign * step * (i == k) for i, v in enumerate(values)] for sign in (-1, 1))
        numeric = (fraser_suzuki(AXIS, *high) - fraser_suzuki(AXIS, *low)) / (2 * step)
        assert_close(analytic, numeric, atol=1e-6 * np.abs(numeric).max(), because="central difference with step 1e-4")


@pytest.mark.parametrize("order", [0.6, 1.0, 1.8])
def test_nth_order_solves_its_differential_equation(order: float) -> None:
    fine = np.arange(100.0, 1100.0, 0.02)
    rate = nth_order(fine, 400.0, 150.0, order)
    conversion = np.cumsum(rate) * 0.02
    assert_close(conversion[-1], 1.0, atol=3e-3, because="Senum-Yang integral at x = 25 and the missing first 100 °C")
    kelvin = fine + 273.15
    k = 150.0 / (8.314462618e-3 * 673.15**2) * np.exp(-150.0 / 8.314462618e-3 * (1 / kelvin - 1 / 673.15))
    inside = (conversion > 0.05) & (conversion < 0.9)
    expected = k[inside] * (1 - conversion[inside]) ** order
    assert_close(rate[inside], expected, rtol=0.03, because="Senum-Yang error, amplified by 1/(1 - α)")


def three_peaks(noise: float) -> np.ndarray:
    clean = 0.20 * nth_order(AXIS, 320.0, 150.0, 1.4)
    clean += 0.15 * nth_order(AXIS, 390.0, 140.0, 1.1)
    clean += 0.10 * nth_order(AXIS, 500.0, 170.0, 1.0)
    dice = np.random.default_rng(0)
    return clean + noise * np.convolve(dice.standard_normal(len(AXIS)), np.ones(8) / 3.0, "same")


def test_overlapping_reactions_are_separated_within_their_stated_doubt() -> None:
    found = separate_peaks(AXIS, three_peaks(1e-5), correlation_c=10.0)
    assert found.shape == "nth_order"
    losses = np.array([c.mass_loss.value for c in found.components])
    stds = np.array([c.mass_loss.std or 0.0 for c in found.components])
    assert len(losses) == 3
    assert (np.abs(losses - (0.20, 0.15, 0.10)) < 3.0 * stds + 1e-3).all()
    assert stds[0] > 3.0 * stds[2], "the two that overlap are less sure than the one apart"
    assert_close(losses.sum(), 0.45, atol=2e-3, because="the sum is fixed by the curve")


def test_bic_prefers_one_component_for_one_peak() -> None:
    found = separate_peaks(
        AXIS, 0.3 * fraser_suzuki(AXIS, 400.0, 70.0, -0.2), correlation_c=10.0, shapes=("fraser_suzuki",)
    )
    assert len(found.components) == 1 or found.components[0].mass_loss.value > 0.29
    assert_close(sum(c.mass_loss.value for c in found.components), 0.3, atol=1e-4, because="noise-free fit")


def test_crossing_counts_both_tails() -> None:
    left, right = fraser_suzuki(AXIS, 330.0, 60.0, 0.0), fraser_suzuki(AXIS, 420.0, 60.0, 0.0)
    found = separate_peaks(
        AXIS, 0.2 * left + 0.1 * right, correlation_c=10.0, shapes=("fraser_suzuki",), max_components=2
    )
    above = AXIS > 375.0
    expected = 0.2 * left[above].sum() - 0.1 * right[~above].sum()
    assert_close(found.crossing(375.0), expected, atol=2e-4, because="noise-free fit of the same shape")


def test_the_fit_is_an_lmfit_result() -> None:
    found = separate_peaks(AXIS, three_peaks(1e-5), correlation_c=10.0, shapes=("fraser_suzuki",))
    assert set(found.fit.params) >= {"loss_0", "center_0", "fwhm_0", "asymmetry_0"}
    assert found.fit.success
    losses = [found.fit.params[f"loss_{i}"].value for i in range(len(found.components))]
    assert_close(losses, [c.parameters["loss"] for c in found.components], atol=1e-4, because="the same minimum")


def test_a_run_whose_losses_overlap_is_analysed_without_lmfit() -> None:
    code = (
        "import sys; import numpy as np; from xrdcomp.thermal.components import fraser_suzuki, separate_peaks\n"
        "axis = np.arange(200.0, 600.0, 2.0)\n"
        "dtg = 0.2 * fraser_suzuki(axis, 330.0, 60.0, 0.0) + 0.1 * fraser_suzuki(axis, 420.0, 60.0, 0.0)\n"
        "assert len(separate_peaks(axis, dtg, correlation_c=10.0, max_components=2).components) == 2\n"
        "assert not {'lmfit', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_steps_of_a_result_can_be_separated() -> None:
    result = analyze_tga(run_of())
    found = separate_steps(result, 220.0, 600.0)
    below = sum(c.mass_loss.value for c in found.components if c.center_c < 405.0)
    above = sum(c.mass_loss.value for c in found.components if c.center_c >= 405.0)
    assert_close((below, above), (0.25, 0.12), atol=5e-3, because="a logistic step needs two components for its wings")


def test_ranges_that_cannot_be_separated_are_refused() -> None:
    result = analyze_tga(run_of())
    with pytest.raises(AnalysisError, match="not inside"):
        separate_steps(result, 500.0, 5000.0)
    with pytest.raises(AnalysisError, match="holds 1 points of the curve"):
        separate_steps(result, 390.0, 390.5)
    with pytest.raises(AnalysisError, match="nothing to separate"):
        separate_peaks(AXIS, np.zeros(len(AXIS)), correlation_c=10.0)


@pytest.mark.parametrize(("before_c", "after_c"), [(30.0, 12.0), (14.0, 28.0)])
def test_no_more_crosses_a_minimum_than_its_loss_over_one_tail(before_c: float, after_c: float) -> None:
    """Two exponential tails with equal slopes of the DTG at 600 °C: d·|a − b| is on the wrong side."""
    curve = smoothed_curve(run_of(), None, None, shortest_c=4.0)
    cut = int(np.argmin(np.abs(curve.raw.temperature_c - 600.0)))
    away = curve.raw.temperature_c - curve.raw.temperature_c[cut]
    left = 1e-3 * before_c * np.exp(-away / before_c)  # mass of the loss before that is still to go
    gone = 1e-3 * after_c**2 / before_c * np.exp(away / after_c)
    wrong = float(abs(left[cut] - gone[cut]))
    bound = most_crossing(replace(curve, mass=left - gone), cut, 200.0)
    assert wrong < bound < 5.0 * wrong
