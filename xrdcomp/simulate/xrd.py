"""The diffraction pattern of a specimen: cross section per dalton, tube, optics, counts.

The tube's spectrum is one convolution on an axis uniform in ln Q, because Q = 4π sinθ / λ. The slits, the axial
divergence and the specimen's transparency are kernels in 2θ, made from rays at a few angles and blended between
them. No formula for a profile is used anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.data import Cell, Pattern, Phase
from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.scattering import (
    PowderReflections,
    amorphous_scattering,
    attenuation_cm2_g,
    carbonated,
    crystal_diffuse,
    element_mass_fractions,
    mean_column_length,
    powder_reflections,
    scherrer_ratio,
    size_profile,
    sum_size_profiles,
)
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.units import FloatArray

_SIGMA_PER_FWHM = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))
_LN_STEP = 6e-5
_MARGIN = 0.13  # in ln Q: room for Kβ on one side and W Lα on the other

# --- tube and goniometer ---------------------------------------------------------------------------------


def emission_kernel(conditions: XrdConditions, step: float, half_width: int) -> FloatArray:
    """Tube spectrum on offsets in ln Q relative to Kα1, from −half_width to +half_width steps.

    Each emission line is a Lorentzian in wavelength, cut where it has fallen below 10⁻⁵ of its maximum; Kα1 and Kα2
    together weigh 1, the residual lines come on top.
    """
    offsets = np.arange(-half_width, half_width + 1) * step
    kernel = np.zeros(len(offsets))
    normal = 1.0 + conditions.kalpha2_ratio
    for line in conditions.tube_lines:
        # an angle labelled with Q of Kα1 shows, in a line of longer wavelength, what scatters at lower Q
        centre = np.log(line.wavelength / conditions.wavelength)
        half = 0.5 * line.fwhm / line.wavelength
        # integrals over the steps, not values at their middles: the lines are narrower than a few steps
        edges = np.concatenate([offsets - 0.5 * step, [offsets[-1] + 0.5 * step]]) - centre
        share = np.diff(np.arctan(edges / half)) / np.pi
        share[np.abs(offsets - centre) > 300.0 * half + step] = 0.0
        kernel += line.weight / normal * share / share.sum()
    return kernel


def axial_offsets(two_theta: float, half_angle_deg: float, rays: int = 25) -> tuple[FloatArray, FloatArray]:
    """Displacements in degrees 2θ, and their weights, that axially inclined rays suffer.

    A ray inclined by α before and β after the specimen shows at 2φ, with
    cos 2θ = cosα cosβ cos 2φ + sinα sinβ  (geometry of two unit vectors). Soller slits pass each inclination
    with a triangular weight up to `half_angle_deg`. A detector as long as the beam sees all combinations.
    """
    angle = np.radians(half_angle_deg) * (2.0 * (np.arange(rays) + 0.5) / rays - 1.0)
    weight = 1.0 - np.abs(angle) / np.radians(half_angle_deg)
    alpha, beta = np.meshgrid(angle, angle)
    cos_seen = (np.cos(np.radians(two_theta)) - np.sin(alpha) * np.sin(beta)) / (np.cos(alpha) * np.cos(beta))
    # rays too inclined to reach the circle at very low or high angles show on the axis itself
    seen = np.degrees(np.arccos(np.clip(cos_seen, -1.0, 1.0)))
    weights = np.outer(weight, weight)
    return (seen - two_theta).ravel(), (weights / weights.sum()).ravel()


def _optics_kernel(conditions: XrdConditions, two_theta: float, step: float, linear_mu: float) -> FloatArray:
    """Kernel of slits, axial divergence and transparency at one angle, on a uniform axis of 2θ offsets."""
    half = int(np.ceil(2.0 / step))

    def widened(kernel: FloatArray, offsets: FloatArray, weights: FloatArray) -> FloatArray:
        """Convolve with rays; a ray falls on the nearest two points of the axis, which keeps area and centroid."""
        position = np.clip(offsets / step + half, 0.0, 2.0 * half - 1e-9)
        low = np.floor(position).astype(int)
        share = position - low
        rays = np.bincount(low, weights * (1.0 - share), minlength=2 * half + 1)
        rays += np.bincount(low + 1, weights * share, minlength=2 * half + 1)[: 2 * half + 1]
        return np.convolve(kernel, rays, mode="same")

    axis = np.asarray(np.arange(-half, half + 1) * step, dtype=np.float64)
    tan = np.tan(np.radians(two_theta / 2.0))
    fwhm_sq = max(conditions.fwhm_u * tan * tan + conditions.fwhm_v * tan + conditions.fwhm_w, 1e-5)
    sigma = np.sqrt(fwhm_sq) * _SIGMA_PER_FWHM
    kernel = np.exp(-0.5 * np.square(axis / max(sigma, 0.6 * step)))  # no narrower than the axis can hold
    kernel /= kernel.sum()
    if conditions.receiving_slit_deg > 0.0:
        rays = np.linspace(-0.5, 0.5, 9) * (8.0 / 9.0) * conditions.receiving_slit_deg
        kernel = widened(kernel, rays, np.full(9, 1.0 / 9.0))
    if conditions.axial_half_angle_deg > 0.0:
        kernel = widened(kernel, *axial_offsets(two_theta, conditions.axial_half_angle_deg))
    if conditions.transparency:
        # path through the specimen is exponential; rays at equal shares of it, each seen at a lower angle by its depth
        mean = np.degrees(np.sin(np.radians(two_theta)) / (2.0 * linear_mu * conditions.radius_mm))
        depth = -np.log(1.0 - (np.arange(60) + 0.5) / 60.0)
        kernel = widened(kernel, -mean * depth, np.full(60, 1.0 / 60.0))
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def convolve_optics(
    two_theta: FloatArray, intensity: FloatArray, conditions: XrdConditions, linear_mu: float
) -> FloatArray:
    """Spread a pattern on a uniform axis by the goniometer's aberrations, which change slowly with angle.

    `linear_mu` is the specimen's absorption in 1/mm; transparency needs it.
    """
    step = float(two_theta[1] - two_theta[0])
    span = two_theta[-1] - two_theta[0]
    count = max(4, int(span / 6.0) + 8)
    # nodes are denser at low angles, where axial divergence changes fastest
    nodes = two_theta[0] + span * np.linspace(0.0, 1.0, count) ** 1.7
    bounds = np.searchsorted(two_theta, nodes)
    bounds[-1] = len(two_theta)
    out = np.zeros_like(intensity)
    for i, node in enumerate(nodes):
        before, after = max(i - 1, 0), min(i + 1, count - 1)
        left, right = bounds[before], bounds[after]
        if right <= left:
            continue
        # between two nodes the pattern is spread by both kernels and blended with weights that add up to one
        tent = (np.arange(before, after + 1) == i).astype(float)
        blend = np.interp(two_theta[left:right], nodes[before : after + 1], tent)
        kernel = _optics_kernel(conditions, float(node), step, linear_mu)
        half = len(kernel) // 2
        low, high = max(left - half, 0), min(right + half, len(intensity))
        padded = np.pad(intensity[low:high], (half - (left - low), half - (high - right)), mode="edge")
        out[left:right] += blend * _convolve(padded, kernel)
    return out


def _convolve(padded: FloatArray, kernel: FloatArray) -> FloatArray:
    """Convolution at the points where the kernel lies wholly within the padded values."""
    size = 1 << int(np.ceil(np.log2(len(padded) + len(kernel))))
    full = np.fft.irfft(np.fft.rfft(padded, size) * np.fft.rfft(kernel, size), size)
    return np.asarray(full[len(kernel) - 1 : len(padded)], dtype=np.float64)


def polarisation(two_theta: FloatArray, monochromator_two_theta: float | None) -> FloatArray:
    """(1 + A cos²2θ) / (1 + A) with A = cos²2θ_M; A = 1 without a monochromator."""
    a = 1.0 if monochromator_two_theta is None else np.cos(np.radians(monochromator_two_theta)) ** 2
    return np.asarray((1.0 + a * np.cos(np.radians(two_theta)) ** 2) / (1.0 + a), dtype=np.float64)


# --- cross section per dalton of specimen ----------------------------------------------------------------


def apatite_cell(model: ApatiteModel, phase: Phase, lattice_carbonate: float) -> Cell:
    """Cell of the apatite with its carbonate (mass fraction of CO3 in the apatite)."""
    if model.cell is not None:
        return model.cell
    a = phase.cell.a + model.a_offset + model.a_per_carbonate * lattice_carbonate
    c = phase.cell.c + model.c_offset + model.c_per_carbonate * lattice_carbonate
    return Cell(a=a, b=a, c=c, gamma=120.0)


def _column_lengths(model: ApatiteModel, cos_c: FloatArray) -> tuple[FloatArray, float]:
    """Mean column length (Å) along each scattering vector, and height over diameter of the crystallites."""
    if model.shape == "ellipsoid":
        a, c = 10.0 * model.length_a_nm, 10.0 * model.length_c_nm
        lengths: FloatArray = 1.0 / np.sqrt((1.0 - cos_c**2) / a**2 + cos_c**2 / c**2)
        return lengths, c / a
    # a cylinder: the mean column along its axis is its height, across it 8/(3π) of its diameter
    height = 10.0 * model.length_c_nm
    diameter = 10.0 * model.length_a_nm * 3.0 * np.pi / 8.0
    table = [diameter * mean_column_length("cylinder", float(c), height / diameter) for c in np.round(cos_c, 2)]
    return np.array(table), height / diameter


def apatite_sizes(model: ApatiteModel) -> dict[str, float]:
    """Sizes of the apatite in nm as integral breadths and as FWHM with K = 0.9 give them, along c and a."""
    aspect = round(_column_lengths(model, np.array([0.0]))[1], 3)
    sizes = {"length_c_nm": model.length_c_nm, "length_a_nm": model.length_a_nm}
    for axis, cosine in (("c", 1.0), ("a", 0.0)):
        ratio = scherrer_ratio(model.shape, cosine, aspect, round(model.sigma_ln, 4))
        sizes[f"scherrer_{axis}_nm"] = ratio * sizes[f"length_{axis}_nm"]
    return sizes


def _bragg(
    reflections: PowderReflections, ln_edges: FloatArray, lengths: FloatArray, aspect: float, model: ApatiteModel
) -> FloatArray:
    """Bragg cross section per dalton on bins of ln Q: Σ strength · profile / (Q q)."""
    # size broadens by the same ΔQ everywhere: the profiles are summed on an axis uniform in Q, fine enough for the
    # narrowest of them, and carried over to ln Q by their cumulative sum, which keeps the area of each bin
    step = min(0.6 / float(lengths.max()), 0.004)
    q_edges = np.exp(ln_edges)
    edges = np.arange(np.exp(ln_edges[0]), np.exp(ln_edges[-1]) + step, step)
    ellipsoid = model.shape == "ellipsoid"  # its profile has one form in all directions
    cosines = np.zeros(len(reflections.q)) if ellipsoid else np.round(reflections.cos_c, 2)
    profiles = [size_profile(model.shape, float(c), round(aspect, 3), round(model.sigma_ln, 4)) for c in cosines]
    weight = sum_size_profiles(edges, reflections.q, reflections.strength / reflections.q, lengths, profiles)
    cumulative = np.concatenate([[0.0], np.cumsum(weight)])
    density = np.diff(np.interp(q_edges, edges, cumulative)) / np.diff(q_edges)
    if model.microstrain > 0.0:
        # strain broadens by the same Δd/d, one Gaussian in ln Q
        sigma = model.microstrain / _LN_STEP
        half = int(np.ceil(6.0 * sigma)) + 1
        kernel = np.exp(-0.5 * np.square(np.arange(-half, half + 1) / max(sigma, 1e-3)))
        density = _convolve(np.pad(density, half, mode="edge"), kernel / kernel.sum())
    centres = np.exp(0.5 * (ln_edges[1:] + ln_edges[:-1]))
    return np.asarray(density / centres, dtype=np.float64)


def _present(fractions: dict[str, float]) -> dict[str, float]:
    return {name: fraction for name, fraction in fractions.items() if fraction > 0.0}


def _amorphous_parts(model: SpecimenModel) -> dict[str, float]:
    """Mass fractions by material; carbonate of amorphous mineral scatters like the mineral it is part of."""
    amorphous = model.amorphous_mineral + (model.carbonate if model.carbonate_site == "amorphous" else 0.0)
    parts = {"protein": model.protein, "lipid": model.lipid, "water": model.water}
    return _present(parts | {"amorphous_calcium_phosphate": amorphous})


def _cross_section(
    model: SpecimenModel,
    phases: dict[str, Phase],
    conditions: XrdConditions,
    two_theta: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Cross section per dalton of specimen seen with the whole tube spectrum, on a 2θ axis."""
    wavelength = conditions.wavelength
    ln_q = np.log(4.0 * np.pi * np.sin(np.radians(two_theta) / 2.0) / wavelength)
    ln_edges = np.arange(ln_q[0] - _MARGIN, ln_q[-1] + _MARGIN, _LN_STEP)
    q, q_max = np.exp(0.5 * (ln_edges[1:] + ln_edges[:-1])), float(np.exp(ln_edges[-1]))
    # crystalline phases: mass fraction, atoms, crystallites, cell where it is not that of the phase, added B
    other = ApatiteModel(microstrain=3e-4, sigma_ln=0.3, graininess=model.other_graininess)
    crystals: list[tuple[float, Phase, ApatiteModel, Cell | None, float]] = []
    if model.apatite > 0.0:
        apatite, co3 = model.apatite_model, model.lattice_carbonate
        phase = phases[apatite.phase]
        if apatite.substitution and co3 > 0.0:
            phase = carbonated(phase, co3, vacancies=apatite.vacancies)
        cell, b_excess = apatite_cell(apatite, phase, co3), apatite.b_excess + apatite.b_per_carbonate * co3
        crystals.append((model.apatite + model.carbonate_in_lattice, phase, apatite, cell, b_excess))
    crystals += [(mass, phases[name], other, None, 0.0) for name, mass in _present(model.other_phases).items()]
    total = np.zeros(len(q))
    coarse = np.linspace(q[0], q[-1], 400)  # diffuse scattering is smooth
    for mass, phase, habit, cell_used, b_added in crystals:
        reflections = powder_reflections(
            phase, q_max=q_max, wavelength=wavelength, cell=cell_used, b_excess=b_added,
            march_dollase=habit.march_dollase,
        )  # fmt: skip
        if habit.graininess > 0.0:
            # few crystallites stand to reflect: each reflection has a lognormal factor of mean one
            draws = rng.standard_normal(len(reflections.q))
            factors = np.exp(habit.graininess * draws - 0.5 * habit.graininess**2)
            reflections = replace(reflections, strength=reflections.strength * factors)
        if habit is other:
            lengths, aspect = np.full(len(reflections.q), 10.0 * model.other_size_nm), 1.0
        else:
            lengths, aspect = _column_lengths(habit, reflections.cos_c)
        total += mass * _bragg(reflections, ln_edges, lengths, aspect, habit)
        diffuse = crystal_diffuse(phase, coarse, wavelength=wavelength, b_excess=b_added)
        total += mass * np.interp(q, coarse, diffuse)
    coarse = np.linspace(q[0], q[-1], 600)
    for name, fraction in _amorphous_parts(model).items():
        curve = amorphous_scattering(model.materials[name], coarse, wavelength)
        total += fraction * np.interp(q, coarse, curve)
    half = int(_MARGIN / _LN_STEP) - 1
    seen = _convolve(np.pad(total, half, mode="edge"), emission_kernel(conditions, _LN_STEP, half))
    return np.asarray(np.interp(ln_q, np.log(q), seen), dtype=np.float64)


# --- counts ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ExpectedPattern:
    """A pattern without counting noise.

    `two_theta` in degrees as the goniometer reads, expected counts of `specimen` and `background`, and the specimen's
    `mass_attenuation` in cm²/g.
    """

    two_theta: FloatArray
    specimen: FloatArray
    background: FloatArray
    mass_attenuation: float


def expected_pattern(
    model: SpecimenModel, conditions: XrdConditions, phases: dict[str, Phase], rng: np.random.Generator
) -> ExpectedPattern:
    """Return the pattern before counting; `phases` holds every phase that `model` names.

    Counts = K · [σ(2θ) P(2θ)] ⊗ optics + background, σ the cross section per dalton of specimen with Bragg,
    thermal diffuse, Compton and amorphous parts on one scale. The specimen is thick and flat, so that
    absorption is one factor 1/(2μ) for all components. `rng` is drawn from for grainy intensities only.
    """
    other, apatite = _present(model.other_phases), model.apatite_model.phase
    for name in {apatite, *other} - set(phases):
        raise AnalysisError(f"phase {name!r} is part of the specimen but was not given.")
    crystals = [(model.apatite + model.carbonate_in_lattice, apatite)] if model.apatite > 0.0 else []
    crystals += [(fraction, name) for name, fraction in other.items()]
    parts = [(mass, element_mass_fractions(phases[name])) for mass, name in crystals]
    for name, fraction in _amorphous_parts(model).items():
        parts.append((fraction, model.materials[name].element_mass_fractions()))
    mu = sum(mass * attenuation_cm2_g(elements, conditions.anode) for mass, elements in parts)
    n = round((conditions.two_theta_max - conditions.two_theta_min) / conditions.step) + 1
    read = np.asarray(conditions.two_theta_min + conditions.step * np.arange(n), dtype=np.float64)
    shift = -2.0 * np.degrees(conditions.displacement_mm / conditions.radius_mm) * np.cos(np.radians(read / 2.0))
    true = read - conditions.zero_shift - shift
    # the optics reach beyond both ends of the scan
    low = max(true[0] - 1.0, 0.4 * true[0])
    fine = np.arange(low, true[-1] + 1.0, min(0.25 * conditions.step, 0.005))
    signal = _cross_section(model, phases, conditions, fine, rng) * polarisation(
        fine, conditions.monochromator_two_theta
    )
    signal = convolve_optics(fine, signal, conditions, 0.1 * mu * 1.5)  # at a density of 1.5 g/cm³
    specimen = np.interp(true, fine, signal)
    if conditions.variable_slit:
        specimen = specimen * np.sin(np.radians(read / 2.0))
    background = np.full(len(read), float(conditions.background_constant))
    background += conditions.air_scatter * (10.0 / np.maximum(read, 1.0)) ** conditions.air_exponent
    for hump in conditions.humps:
        offset = (read - hump.two_theta) / hump.fwhm
        background += hump.height * np.exp(-4.0 * np.log(2.0) * np.square(offset))
    background = float(specimen.mean()) * background
    scale = conditions.peak_counts / float((specimen + background).max())
    if conditions.absolute_scale is not None:
        scale = conditions.absolute_scale / (2.0 * mu)
    return ExpectedPattern(
        two_theta=read, specimen=scale * specimen, background=scale * background, mass_attenuation=mu
    )


def measure(
    two_theta: FloatArray, expected: FloatArray, conditions: XrdConditions, rng: np.random.Generator, name: str
) -> Pattern:
    """Poisson counts of an expected pattern, as a reader would return them."""
    counts = rng.poisson(np.maximum(expected, 0.0)).astype(float)
    return Pattern(
        two_theta=two_theta,
        intensity=counts,
        sigma=np.sqrt(np.maximum(counts, 1.0)),
        intensity_unit="counts",
        counting_time_s=conditions.counting_time_s,
        emission_lines=conditions.emission_lines,
        anode=conditions.anode,
        metadata={
            "sample_name": name,
            "simulated": True,
            "instrument": "simulated by xrdcomp",
            "goniometer_radius_mm": conditions.radius_mm,
        },
    )
