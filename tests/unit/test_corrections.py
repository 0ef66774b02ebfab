"""Corrections against limits, published tables and integration by other means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from tests.helpers import assert_close
from xrdcomp.physics import corrections as co

ANGLES = np.array([5.0, 20.0, 45.0, 90.0, 120.0, 160.0])
EXACT = "float arithmetic"


def test_polarization_limits() -> None:
    cosine = np.cos(np.radians(ANGLES))
    assert_close(co.polarization(ANGLES), (1 + cosine**2) / 2, rtol=1e-12, because=EXACT)
    graphite = np.cos(np.radians(26.6)) ** 2
    expected = (1 + graphite * cosine**2) / (1 + graphite)
    assert_close(co.polarization(ANGLES, 26.6), expected, rtol=1e-12, because=EXACT)
    assert_close(co.polarization(ANGLES, None, 0.0), 1.0, rtol=1e-12, because=EXACT)
    assert_close(co.polarization(ANGLES, None, 1.0), cosine**2, rtol=1e-12, because=EXACT)
    assert_close(co.polarization(0.0, 26.6), 1.0, rtol=1e-12, because=EXACT)
    for fraction in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="polarization_fraction"):
            co.polarization(ANGLES, None, fraction)
    with pytest.raises(ValueError, match="extinguishes"):
        co.polarization(ANGLES, 90.0, 1.0)


def test_lorentz_polarisation_at_textbook_angles() -> None:
    # Cullity, Elements of X-ray Diffraction, appendix: (1 + cos²2θ)/(sin²θ cosθ) at θ = 10, 20, 45, 80°
    expected = [63.41, 14.44, 2.828, 11.18]
    ours = 2.0 * co.lp_factor([20.0, 40.0, 90.0, 160.0])
    assert_close(ours, expected, rtol=0.002, because="four printed digits")


@pytest.mark.parametrize(
    ("mu_r", "two_theta", "a_star"),
    [(0.5, 0.0, 2.30), (1.0, 0.0, 5.09), (1.0, 90.0, 4.10), (1.0, 180.0, 3.39), (2.0, 0.0, 21.4), (2.0, 180.0, 6.39)],
)
def test_cylinder_agrees_with_direct_integration(mu_r: float, two_theta: float, a_star: float) -> None:
    theta = np.radians(two_theta / 2)

    def integrand(y: float, x: float) -> float:
        length = 0.0
        for ux, uy in ((-np.cos(theta), -np.sin(theta)), (np.cos(theta), -np.sin(theta))):
            along = x * ux + y * uy
            length += -along + np.sqrt(max(along**2 + 1 - x * x - y * y, 0.0))
        return float(np.exp(-mu_r * length))

    value, _ = integrate.dblquad(
        integrand, -1, 1, lambda x: -np.sqrt(1 - x * x), lambda x: np.sqrt(1 - x * x), epsabs=1e-6
    )
    ours = float(co.absorption_cylinder(two_theta, mu_r))
    assert_close(ours, value / np.pi, rtol=5e-4, because="quadrature errors of both")
    assert_close(1 / ours, a_star, rtol=0.003, because="three printed digits of the transmission factor")


@pytest.mark.parametrize("mu_r", [0.3, 3.0, 10.0, 20.0])
def test_cylinder_forward_by_a_single_integral(mu_r: float) -> None:
    value, _ = integrate.quad(lambda y: np.sqrt(1 - y * y) * np.exp(-2 * mu_r * np.sqrt(1 - y * y)), -1, 1)
    tolerance = 0.002 if mu_r <= 3 else 0.02
    assert_close(
        co.absorption_cylinder(0.0, mu_r),
        2 * value / np.pi,
        rtol=tolerance,
        because="a strong absorber transmits forward only through its rim, where nodes are few",
    )


def test_cylinder_limits_and_shape() -> None:
    assert_close(co.absorption_cylinder(ANGLES, 0.0), 1.0, rtol=1e-10, because=EXACT)
    table = co.absorption_cylinder(ANGLES.reshape(2, 3), 1.5)
    assert table.shape == (2, 3)
    assert (np.diff(table.ravel()) > 0).all(), "absorption falls with angle"
    for bad in (-0.1, 21.0, float("nan")):
        with pytest.raises(ValueError, match="mu_r"):
            co.absorption_cylinder(ANGLES, bad)


def test_flat_transmission() -> None:
    low = ANGLES[:3]
    symmetric = co.absorption_flat_transmission(low, 0.7)
    cosine = np.cos(np.radians(low / 2))
    assert_close(symmetric, np.exp(-0.7 / cosine) / cosine, rtol=1e-12, because=EXACT)
    normal = co.absorption_flat_transmission(low, 0.7, incidence="normal")
    for two_theta, ours in zip(low, normal, strict=True):
        c = np.cos(np.radians(two_theta))
        value, _ = integrate.quad(lambda x, c=c: np.exp(-0.7 * (x + (1 - x) / c)), 0, 1)
        assert_close(ours, value, rtol=1e-9, because="quadrature")
    assert_close(co.absorption_flat_transmission(1e-4, 0.7, incidence="normal"), np.exp(-0.7), rtol=1e-9, because=EXACT)
    with pytest.raises(ValueError, match="below 90"):
        co.absorption_flat_transmission(120.0, 0.7, incidence="normal")
    with pytest.raises(ValueError, match="incidence"):
        co.absorption_flat_transmission(20.0, 0.7, incidence="oblique")
    with pytest.raises(ValueError, match="negative"):
        co.absorption_flat_transmission(20.0, -0.7)


def test_flat_reflection_needs_a_millimetre_of_collagen() -> None:
    # 99 % at 2θ = 30° needs t = −sinθ ln(0.01)/(2μ): 0.70 mm for collagen (8.5 cm⁻¹)
    thickness_cm = -np.sin(np.radians(15.0)) * np.log(0.01) / (2 * 8.5)
    assert_close(thickness_cm, 0.070, atol=0.001, because="rounded")
    assert_close(co.absorption_flat_reflection(30.0, 8.5 * thickness_cm), 0.99, rtol=1e-9, because=EXACT)
    assert_close(co.absorption_flat_reflection(ANGLES, np.inf), 1.0, rtol=1e-12, because=EXACT)
    with pytest.raises(ValueError, match="mu_t"):
        co.absorption_flat_reflection(ANGLES, 0.0)
    assert_close(co.variable_slit(60.0), 0.5, rtol=1e-12, because=EXACT)


def test_brindley_against_random_paths() -> None:
    rng = np.random.default_rng(11)
    points = rng.normal(size=(200_000, 3))
    points *= (rng.random(len(points)) ** (1 / 3) / np.linalg.norm(points, axis=1))[:, None]
    rest = 1 - (points**2).sum(axis=1)
    path = sum(-points[:, i] + np.sqrt(points[:, i] ** 2 + rest) for i in (0, 1))
    for contrast in (-0.5, 0.1, 1.0):  # Δμ·D
        expected = np.exp(-0.5 * contrast * path).mean()
        assert_close(
            co.brindley_factor(contrast * 1e3, 0.0, 10.0),
            expected,
            rtol=0.003,
            because="200 000 random points, three sigma",
        )


def test_brindley_limits() -> None:
    assert_close(co.brindley_factor([100.0, 50.0], 50.0, 5.0)[1], 1.0, rtol=1e-6, because="quadrature of volume")
    small = float(co.brindley_factor(300.0, 60.0, 0.1))
    assert_close(small, 1 - 0.75 * 240 * 1e-5, atol=1e-5, because="first order: mean path 1.5 radii")
    assert co.brindley_factor(60.0, 300.0, 5.0) > 1.0
    with pytest.raises(ValueError, match="microabsorption"):
        co.brindley_factor(2000.0, 10.0, 50.0)
    with pytest.raises(ValueError, match="microabsorption"):
        co.brindley_factor(20.0, 10.0, -1.0)


def test_transparency_moves_reflections_down() -> None:
    shift = co.transparency_shift(90.0, 8.5, 200.0)
    assert_close(shift, -np.degrees(1 / (2 * 8.5 * 20.0)), rtol=1e-12, because=EXACT)
    with pytest.raises(ValueError, match="positive"):
        co.transparency_shift(ANGLES, 0.0, 200.0)


def test_fixed_incidence_in_reflection_and_its_limits() -> None:
    two_theta = np.array([20.0, 40.0, 60.0])
    for angle in (10.0, 15.0):
        expected = 2.0 / (1.0 + np.sin(np.radians(angle)) / np.sin(np.radians(two_theta - angle)))
        assert_close(co.absorption_fixed_incidence(two_theta, angle), expected, rtol=1e-12, because=EXACT)
    assert_close(co.absorption_fixed_incidence([40.0], 20.0), 1.0, rtol=1e-12, because="symmetric at α = θ")
    layer = co.absorption_fixed_incidence([40.0], 20.0, 0.3)
    assert_close(layer, co.absorption_flat_reflection([40.0], 0.3), rtol=1e-12, because="the layer of Bragg-Brentano")
    with pytest.raises(ValueError, match="fixed incidence"):
        co.absorption_fixed_incidence([12.0], 15.0)


def test_fixed_incidence_in_transmission_and_its_limits() -> None:
    two_theta = np.array([10.0, 30.0, 60.0])
    for mu_t in (0.0, 0.5, 2.0):
        normal = co.absorption_fixed_incidence(two_theta, 90.0, mu_t, transmission=True)
        known = co.absorption_flat_transmission(two_theta, mu_t, incidence="normal")
        assert_close(normal, known, rtol=1e-12, because=EXACT)
    # a plate that bisects the angle at 2θ = 40°: α = 90° − θ
    oblique = co.absorption_fixed_incidence([40.0], 70.0, 1.0, transmission=True)
    assert_close(oblique, co.absorption_flat_transmission([40.0], 1.0), rtol=1e-9, because="symmetric there")
    # layers of the plate summed by hand
    depth = (np.arange(4000) + 0.5) / 4000
    inside, out = np.cos(np.radians(20.0)), np.cos(np.radians(30.0 - 20.0))
    by_hand = np.mean(np.exp(-(depth / inside + (1.0 - depth) / out))) / inside
    found = co.absorption_fixed_incidence([30.0], 70.0, 1.0, transmission=True)
    assert_close(found, by_hand, rtol=1e-6, because="midpoints of 4000 layers")


def test_a_beam_longer_than_the_specimen_loses_intensity_at_low_angles() -> None:
    # 1° slit at 200 mm on 15 mm: sinθ₀ = 0.2327, 2θ₀ = 26.9°
    factor = co.beam_overflow([10.0, 26.0, 27.0, 60.0], 1.0, 200.0, 15.0)
    expected = np.minimum(1.0, np.sin(np.radians([5.0, 13.0, 13.5, 30.0])) / 0.232711)
    assert_close(factor, expected, rtol=1e-5, because="digits of sinθ₀")
