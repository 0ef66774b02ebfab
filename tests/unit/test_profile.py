"""Line profiles: areas, limits and derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from tests.helpers import assert_close
from tests.profile_oracle import pseudo_voigt, pseudo_voigt_shoulder
from xrdcomp.physics import profiles as profile

RNG = np.random.default_rng(11)
STEP = 1e-6
NUMERIC = "central differences with step 1e-6 of functions of order one"


def test_pseudo_voigt_has_unit_area() -> None:
    def curve(t: float) -> float:
        return float(pseudo_voigt(np.array([t]), np.array([0.3]), np.array([0.4]))[0][0])

    area = 2 * quad(curve, 0.0, 1.0)[0] + 2 * quad(curve, 1.0, np.inf)[0]
    assert_close(area, 1.0, atol=1e-7, because="adaptive quadrature's own tolerance")


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_width_at_half_maximum(eta: float) -> None:
    offsets = np.array([0.0, 0.1])
    value, *_ = pseudo_voigt(offsets, np.full(2, 0.2), np.full(2, eta))
    assert_close(value[1] / value[0], 0.5, rtol=1e-12, because="definition of FWHM, float arithmetic")


def test_pseudo_voigt_derivatives() -> None:
    t, fwhm, eta = RNG.normal(size=60), RNG.uniform(0.2, 1.5, 60), RNG.uniform(0.05, 0.95, 60)
    value, *slopes = pseudo_voigt(t, fwhm, eta)
    for slope, (dt, df, de) in zip(slopes, np.eye(3) * STEP, strict=True):
        up = pseudo_voigt(t + dt, fwhm + df, eta + de)[0]
        down = pseudo_voigt(t - dt, fwhm - df, eta - de)[0]
        assert_close(slope, (up - down) / (2 * STEP), atol=1e-8 * value.max() / STEP**0.15, because=NUMERIC)


def test_blocks_and_values_alone_give_the_same_profile() -> None:
    t, fwhm, eta = RNG.normal(size=20_000), RNG.uniform(0.2, 1.5, 20_000), RNG.uniform(0.0, 1.0, 20_000)
    whole, alone = pseudo_voigt(t, fwhm, eta), profile.pseudo_voigt_value(t, fwhm, eta)
    assert_close(alone, whole[0], rtol=1e-13, because="the same formula, another order of operations")
    shoulder = pseudo_voigt_shoulder(t, fwhm, eta)
    for first in (0, 8190, 19_990):
        part = slice(first, first + 10)
        piece = pseudo_voigt(t[part], fwhm[part], eta[part])
        assert all(np.array_equal(a[part], b) for a, b in zip(whole, piece, strict=True))
        own = pseudo_voigt_shoulder(t[part], fwhm[part], eta[part])
        assert_close(own, shoulder[part], rtol=1e-13, atol=1e-15, because="float arithmetic")


def test_tch_derivatives_and_limits() -> None:
    gauss, lorentz = RNG.uniform(0.05, 1.0, 50), RNG.uniform(0.01, 1.0, 50)
    widths = profile.tch_widths(gauss, lorentz)
    up, down = profile.tch_widths(gauss + STEP, lorentz), profile.tch_widths(gauss - STEP, lorentz)
    assert_close(widths.d_fwhm_gauss, (up.fwhm - down.fwhm) / (2 * STEP), atol=1e-7, because=NUMERIC)
    assert_close(widths.d_eta_gauss, (up.eta - down.eta) / (2 * STEP), atol=1e-6, because=NUMERIC)
    up, down = profile.tch_widths(gauss, lorentz + STEP), profile.tch_widths(gauss, lorentz - STEP)
    assert_close(widths.d_fwhm_lorentz, (up.fwhm - down.fwhm) / (2 * STEP), atol=1e-7, because=NUMERIC)
    assert_close(widths.d_eta_lorentz, (up.eta - down.eta) / (2 * STEP), atol=1e-6, because=NUMERIC)
    only_gauss = profile.tch_widths(np.array([0.3]), np.array([0.0]))
    assert_close(only_gauss.fwhm, 0.3, rtol=1e-12, because="no Lorentzian part")
    assert_close(only_gauss.eta, 0.0, atol=1e-15, because="no Lorentzian part")


def test_tch_stands_for_a_voigt_function() -> None:
    from scipy.optimize import brentq
    from scipy.special import voigt_profile

    for gauss, lorentz in [(0.1, 0.02), (0.1, 0.1), (0.03, 0.2)]:
        sigma, gamma = gauss / profile.FWHM_PER_SIGMA, lorentz / 2
        top = voigt_profile(0.0, sigma, gamma)
        half = brentq(lambda x, s=sigma, g=gamma, h=top: voigt_profile(x, s, g) - h / 2, 0.0, 1.0)
        fwhm = profile.tch_widths(np.array([gauss]), np.array([lorentz])).fwhm[0]
        assert_close(fwhm, 2 * half, rtol=5e-3, because="the polynomial keeps within half a per cent")


def test_size_components_invert_tch() -> None:
    for eta in (0.1, 0.5, 0.9):
        gauss, lorentz, d_gauss, d_lorentz = profile.size_components(eta)
        widths = profile.tch_widths(np.array([gauss]), np.array([lorentz]))
        assert_close(widths.fwhm, 1.0, atol=0.01, because="the inverse polynomials are good to 1 %")
        assert_close(widths.eta, eta, atol=0.02, because="the inverse polynomials are good to 1-2 %")
        up, down = profile.size_components(eta + STEP), profile.size_components(eta - STEP)
        assert_close(d_gauss, (up[0] - down[0]) / (2 * STEP), atol=1e-7, because=NUMERIC)
        assert_close(d_lorentz, (up[1] - down[1]) / (2 * STEP), atol=1e-7, because=NUMERIC)


def test_axial_nodes_integrate_the_divergence() -> None:
    for count in (1, 2, 5, 10):
        nodes, weights = profile.axial_nodes(count)
        assert_close(weights.sum(), 1.0, rtol=1e-12, because="normalised")
        assert (nodes > 0).all()
        assert (nodes < 1).all()
        for power in range(2 * count):
            exact = 2.0 / ((2 * power + 1) * (2 * power + 2))
            found = weights @ nodes ** (2 * power)
            assert_close(found, exact, rtol=1e-10, because="∫ u^2j 2(1−u) du, exact to degree 2n−1 in u²")


def test_axial_shift_signs_and_slope() -> None:
    low, high = profile.axial_shift(np.array([20.0, 150.0]), 0.05)
    assert low < 0 < high
    assert_close(profile.axial_shift(np.array([90.0]), 0.05), 0.0, atol=1e-10, because="symmetric at 90°")
    angles = np.array([15.0, 40.0, 120.0])
    numeric = (profile.axial_shift(angles, 0.04 + STEP) - profile.axial_shift(angles, 0.04 - STEP)) / (2 * STEP)
    assert_close(profile.axial_shift_slope(angles, 0.04), numeric, rtol=1e-6, because=NUMERIC)
