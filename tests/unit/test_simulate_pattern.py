"""The simulated diffraction pattern: counts, positions, widths, halos, radiation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import trapezoid

from tests.helpers import assert_close, binomial_band
from xrdcomp.errors import AnalysisError, PatternError, PhaseError
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.scattering import (
    MATERIALS,
    AmorphousMaterial,
    HaloShape,
    amorphous_scattering,
    mean_column_length,
    scherrer_ratio,
    size_profile,
    structure_factor,
)
from xrdcomp.simulate.specimens import ApatiteModel, Hump, SpecimenModel, XrdConditions
from xrdcomp.simulate.xrd import (
    ExpectedPattern,
    apatite_cell,
    axial_offsets,
    emission_kernel,
    expected_pattern,
    polarisation,
)
from xrdcomp.units import d_to_two_theta, two_theta_to_q

BONE = SpecimenModel(apatite=0.60, protein=0.25, water=0.10, carbonate=0.05)
CU_KA1 = 1.540598
NO_BACKGROUND = XrdConditions(background_constant=0.0, air_scatter=0.0)
SHARP = replace(
    NO_BACKGROUND, kalpha2_ratio=0.0, axial_half_angle_deg=0.0, receiving_slit_deg=0.0, fwhm_u=0.0, fwhm_v=0.0
)
"""One wavelength, and optics that widen no line."""


def expected(model: SpecimenModel, conditions: XrdConditions) -> ExpectedPattern:
    named = {"hydroxyapatite", *model.other}
    phases = {name: load_phase(name) for name in named}
    return expected_pattern(model, conditions, phases, np.random.default_rng(0))


def silicon_line(two_theta_max: float = 30.5, **changes: float) -> ExpectedPattern:
    """Silicon 111 with Kα1 and almost no optics, unless changed."""
    plain = {
        "kalpha2_ratio": 0.0,
        "axial_half_angle_deg": 0.0,
        "receiving_slit_deg": 0.0,
        "fwhm_u": 0.0,
        "fwhm_v": 0.0,
        "fwhm_w": 1e-4,
    }
    conditions = replace(
        NO_BACKGROUND, two_theta_min=26.0, two_theta_max=two_theta_max, step=0.005, **(plain | changes)
    )
    return expected(SpecimenModel(other={"silicon": 1.0}, other_size_nm=200.0), conditions)


def centroid(pattern: ExpectedPattern, low: float, high: float) -> float:
    keep = (pattern.two_theta > low) & (pattern.two_theta < high)
    y = pattern.specimen[keep] - pattern.specimen[keep].min()
    return float((y * pattern.two_theta[keep]).sum() / y.sum())


def test_same_seed_same_counts_other_seed_other_counts() -> None:
    first, _ = simulate_pattern(BONE, seed=3)
    again, _ = simulate_pattern(BONE, seed=3)
    other, _ = simulate_pattern(BONE, seed=4)
    assert np.array_equal(first.intensity, again.intensity)
    assert not np.array_equal(first.intensity, other.intensity)


def test_counts_are_poisson() -> None:
    pattern, _ = simulate_pattern(BONE, XrdConditions(peak_counts=3000.0), seed=5)
    mean = expected(BONE, XrdConditions(peak_counts=3000.0))
    z = (pattern.intensity - mean.specimen - mean.background) / np.sqrt(mean.specimen + mean.background)
    low, high = binomial_band(len(z), 0.6827)
    assert low < np.mean(np.abs(z) < 1.0) < high
    assert_close(np.mean(z**2), 1.0, atol=4.0 * np.sqrt(2.0 / len(z)), because="4σ of a mean of n χ²(1)")
    assert np.array_equal(pattern.intensity, np.rint(pattern.intensity))


def test_peak_counts_is_the_highest_expected_point() -> None:
    pattern = expected(BONE, XrdConditions(peak_counts=1234.0))
    total = pattern.specimen + pattern.background
    assert_close(total.max(), 1234.0, rtol=1e-12, because="float arithmetic")


def test_line_stands_where_bragg_puts_it() -> None:
    phase = load_phase("silicon")
    bragg = float(d_to_two_theta(phase.cell.a / np.sqrt(3.0), CU_KA1))
    assert_close(centroid(silicon_line(), 27.5, 29.5), bragg, atol=0.003, because="a few fine-grid steps of 0.00125°")


def test_displacement_and_zero_move_lines_as_stated() -> None:
    still = centroid(silicon_line(), 27.5, 29.5)
    zero = centroid(silicon_line(zero_shift=0.03), 27.5, 29.6)
    moved = centroid(silicon_line(displacement_mm=0.2, radius_mm=200.0), 27.3, 29.4)
    because = "0.005° grid, cut of the line's tails"
    assert_close(zero - still, 0.03, atol=0.002, because=because)
    shift = -2.0 * np.degrees(0.2 / 200.0) * np.cos(np.radians(still / 2.0))
    assert_close(moved - still, shift, atol=0.002, because=because)


def test_integral_breadth_gives_back_the_column_length() -> None:
    conditions = replace(SHARP, two_theta_min=18.0, two_theta_max=39.0, step=0.01, fwhm_w=1e-5)
    pattern = expected(SpecimenModel(other={"silicon": 1.0}, other_size_nm=20.0), conditions)
    y = pattern.specimen - np.linspace(pattern.specimen[0], pattern.specimen[-1], len(pattern.specimen))
    top = int(np.argmax(y))
    breadth = trapezoid(y, np.radians(pattern.two_theta)) / y[top]
    length_nm = 0.1 * CU_KA1 / (breadth * np.cos(np.radians(pattern.two_theta[top] / 2.0)))
    assert_close(length_nm, 20.0, rtol=0.04, because="3 % of the area lies in tails under the straight line")


@pytest.mark.parametrize("shape", ["ellipsoid", "cylinder"])
@pytest.mark.parametrize("cos_c", [0.0, 0.6, 1.0])
def test_size_profile_has_unit_area_and_rises(shape: str, cos_c: float) -> None:
    y, total = size_profile(shape, cos_c, 2.5, 0.3)
    assert (np.diff(total) >= -1e-4).all()
    assert_close(total[-1], 1.0, atol=1e-3, because="what the tabulated tail leaves beyond 400 widths")
    assert y[0] == total[0] == 0.0


def test_column_lengths_of_simple_bodies() -> None:
    because = "trapezoid over 4000 points"
    assert_close(10.0 * mean_column_length("ellipsoid", 0.3, 1.0), 7.5, rtol=1e-4, because=because)
    assert_close(8.0 * mean_column_length("cylinder", 1.0, 25.0 / 8.0), 25.0, rtol=2e-3, because=because)
    disc = 8.0 * 8.0 / (3.0 * np.pi)
    assert_close(8.0 * mean_column_length("cylinder", 0.0, 25.0 / 8.0), disc, rtol=1e-3, because=because)


def test_scherrer_size_of_a_sphere() -> None:
    # FWHM of a sphere: 1.1067 λ / (D cosθ), from its profile in closed form; the mean column is 3/4 D
    expected_ratio = 0.9 / 1.10665 / 0.75
    found = scherrer_ratio("ellipsoid", 0.0, 1.0, 0.0)
    assert_close(found, expected_ratio, rtol=1e-3, because="0.05 steps of the tabulated profile")
    assert scherrer_ratio("ellipsoid", 0.0, 1.0, 0.4) > found


def test_smaller_crystallites_give_broader_lines_of_the_same_area() -> None:
    areas, heights = [], []
    for length in (30.0, 120.0):
        model = SpecimenModel(other={"periclase": 1.0}, other_size_nm=length)
        conditions = replace(NO_BACKGROUND, two_theta_min=30.0, two_theta_max=56.0, absolute_scale=1e4)
        pattern = expected(model, conditions)
        areas.append(pattern.specimen.sum())
        heights.append(pattern.specimen.max())
    assert_close(areas[0] / areas[1], 1.0, rtol=0.01, because="tails that leave the window")
    assert heights[1] > 1.8 * heights[0]


def halo_maximum(material: AmorphousMaterial) -> float:
    """Angle (10-60°, Cu Kα1) at which the polarised scattering has its main maximum."""
    two_theta = np.linspace(10.0, 60.0, 5001)
    curve = amorphous_scattering(material, two_theta_to_q(two_theta, 1.540598), 1.540598)
    return float(two_theta[int(np.argmax(curve * (1.0 + np.cos(np.radians(two_theta)) ** 2)))])


@pytest.mark.parametrize("family", ["gaussian", "lorentzian", "hard_sphere"])
@pytest.mark.parametrize("name", list(MATERIALS))
def test_halo_stands_where_asked_and_s_tends_to_one(name: str, family: str) -> None:
    material = MATERIALS[name]
    material = replace(material, halo=replace(material.halo, family=family))
    assert_close(
        halo_maximum(material), material.halo.two_theta, atol=0.1, because="twice the 0.05° grid of the search"
    )
    s = structure_factor(material, np.array([0.2, 30.0]))
    assert s[0] < 0.5  # dry protein is no liquid
    assert_close(s[1], 1.0, atol=0.02, because="S has no structure left at 30 Å⁻¹")


def test_halo_jitter_moves_the_halo() -> None:
    protein = MATERIALS["protein"]
    halo = protein.halo
    halo = replace(halo, two_theta=halo.two_theta - 1.0, fwhm=1.1 * halo.fwhm, height=0.9 * halo.height)
    moved = replace(protein, halo=halo)
    assert_close(halo_maximum(protein) - halo_maximum(moved), 1.0, atol=0.15, because="0.05° search grid")
    assert isinstance(moved.halo, HaloShape)


def test_tube_spectrum_has_its_lines_and_weights() -> None:
    conditions = XrdConditions(kbeta_ratio=0.02, tungsten_ratio=0.01)
    step, half = 6e-5, 2100
    kernel = emission_kernel(conditions, step, half)
    assert_close(kernel.sum(), 1.0 + 0.03 / 1.5, rtol=1e-12, because="each line keeps its weight")
    offset = np.arange(-half, half + 1) * step
    beta = kernel[offset < -0.09].sum()
    assert_close(beta, 0.02 / 1.5, rtol=0.01, because="tails of the other lines")


def test_kalpha2_shows_beside_kalpha1() -> None:
    two = silicon_line(kalpha2_ratio=0.5, two_theta_max=30.5)
    tail = np.interp(28.514, two.two_theta, two.specimen)
    one = silicon_line(kalpha2_ratio=0.0, two_theta_max=30.5)
    assert tail > 3.0 * np.interp(28.514, one.two_theta, one.specimen)


def test_axial_divergence_pulls_low_lines_down_and_high_ones_up() -> None:
    for two_theta, sign in ((10.0, -1.0), (150.0, 1.0)):
        offsets, weights = axial_offsets(two_theta, 2.0)
        assert sign * float(offsets @ weights) > 0.0
    low, low_weight = axial_offsets(10.0, 2.0)
    wide, wide_weight = axial_offsets(10.0, 4.0)
    assert_close((wide @ wide_weight) / (low @ low_weight), 4.0, rtol=0.05, because="second order in the angle")


def test_polarisation_limits() -> None:
    assert_close(polarisation(np.array([0.0, 90.0]), None), [1.0, 0.5], atol=1e-12, because="(1 + cos²2θ)/2")
    a = np.cos(np.radians(26.6)) ** 2
    expected_value = 1.0 / (1.0 + a)
    assert_close(polarisation(np.array([90.0]), 26.6), [expected_value], atol=1e-12, because="cos 90° = 0")


def test_carbonate_shortens_a_and_lengthens_c() -> None:
    phase = load_phase("hydroxyapatite")
    model = ApatiteModel(a_offset=0.0)
    cell = apatite_cell(model, phase, 0.05)
    assert_close(cell.a - phase.cell.a, -0.03, atol=1e-12, because="0.006 Å per wt%")
    assert cell.c > phase.cell.c


def test_microstrain_broadens_by_four_epsilon_tan_theta() -> None:
    conditions = replace(SHARP, two_theta_min=24.5, two_theta_max=27.2, step=0.005, fwhm_w=1e-4)
    strained = ApatiteModel(length_a_nm=300.0, length_c_nm=300.0, microstrain=0.004)
    pattern = expected(SpecimenModel(apatite=1.0, apatite_model=strained), conditions)
    y = pattern.specimen - pattern.specimen.min()
    inside = pattern.two_theta[y > 0.5 * y.max()]
    theta = np.radians(inside.mean() / 2.0)
    gauss = 2.0 * np.sqrt(2.0 * np.log(2.0)) * np.degrees(2.0 * 0.004 * np.tan(theta))
    because = "size (0.03°) and optics (0.01°) beside a strain width of 0.25°"
    assert_close(inside[-1] - inside[0], gauss, rtol=0.08, because=because)


def test_texture_and_grains_change_relative_intensities() -> None:
    model = SpecimenModel(
        apatite=1.0, apatite_model=ApatiteModel(length_a_nm=60.0, length_c_nm=60.0, march_dollase=0.6)
    )
    plain = replace(model, apatite_model=replace(model.apatite_model, march_dollase=1.0))
    grainy = replace(plain, apatite_model=replace(plain.apatite_model, graininess=0.5))
    ratio = []
    for m in (model, plain, grainy):
        pattern = expected(m, NO_BACKGROUND)
        y = np.interp([25.86, 32.85], pattern.two_theta, pattern.specimen)
        ratio.append(y[0] / y[1])
    assert ratio[0] > 1.5 * ratio[1]
    assert abs(ratio[2] / ratio[1] - 1.0) > 0.02


def test_absolute_scale_goes_with_the_inverse_of_absorption() -> None:
    conditions = replace(NO_BACKGROUND, absolute_scale=1e5)
    protein = expected(SpecimenModel(protein=1.0), conditions)
    water = expected(SpecimenModel(water=1.0), conditions)
    assert_close(protein.mass_attenuation, 6.29, rtol=0.01, because="collagen, published table")
    assert_close(water.mass_attenuation, 10.19, rtol=0.01, because="water, published table")
    double = expected(SpecimenModel(water=1.0), replace(conditions, absolute_scale=2e5))
    assert_close(double.specimen, 2.0 * water.specimen, rtol=1e-12, because="linear")


def test_blank_holds_background_and_holder_only() -> None:
    conditions = XrdConditions(humps=(Hump(two_theta=30.9, fwhm=8.0, height=0.3),), peak_counts=1e5)
    pattern, blank = simulate_pattern(BONE, conditions, seed=1)
    assert blank.intensity.mean() < 0.6 * pattern.intensity.mean()
    at_hump = np.interp(30.9, blank.two_theta, blank.intensity)
    assert at_hump > 1.5 * np.interp(60.0, blank.two_theta, blank.intensity)


@pytest.mark.parametrize("anode", ["Co", "Mo", "Cr", "Ag", "Fe"])
def test_other_radiations_put_the_line_at_its_q(anode: str) -> None:
    conditions = XrdConditions(anode=anode, two_theta_min=4.0, two_theta_max=70.0)
    pattern = expected(SpecimenModel(apatite=1.0), conditions)
    q = two_theta_to_q(pattern.two_theta, conditions.wavelength)
    assert 2.18 < q[int(np.argmax(pattern.specimen))] < 2.30, "211 and 112 of apatite"


def test_transparency_and_variable_slit_act() -> None:
    plain = silicon_line()
    model = SpecimenModel(other={"silicon": 1.0}, other_size_nm=200.0)
    conditions = replace(NO_BACKGROUND, two_theta_min=26.0, two_theta_max=30.5, step=0.005)
    deep = expected(replace(model, other={"silicon": 0.02}, protein=0.98), replace(conditions, transparency=True))
    flat = expected(replace(model, other={"silicon": 0.02}, protein=0.98), conditions)
    assert centroid(deep, 27.9, 28.9) < centroid(flat, 27.9, 28.9)
    assert plain.specimen.max() > 0.0
    fixed = expected(SpecimenModel(water=1.0), NO_BACKGROUND)
    slit = expected(SpecimenModel(water=1.0), replace(NO_BACKGROUND, variable_slit=True))
    ratio = slit.specimen / fixed.specimen
    sine = np.sin(np.radians(fixed.two_theta / 2.0))
    assert_close(ratio / ratio[1000], sine / sine[1000], rtol=1e-9, because="the same curve times the sine")


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(PatternError, match="anode"):
        XrdConditions(anode="Xx")
    with pytest.raises(PatternError, match="not one"):
        XrdConditions(two_theta_min=50.0, two_theta_max=20.0)
    with pytest.raises(PhaseError, match="reflection positions"):
        simulate_pattern(SpecimenModel(other={"monosodium_urate": 1.0}), seed=1)
    with pytest.raises(AnalysisError, match="not given"):
        expected_pattern(BONE, XrdConditions(), {}, np.random.default_rng(0))
