"""Angle-dependent corrections: Lorentz, polarisation, absorption, microabsorption, position; texture."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.polynomial.legendre import leggauss

from xrdcomp.units import FloatArray, IntArray


def _theta(two_theta: npt.ArrayLike) -> FloatArray:
    theta: FloatArray = np.radians(np.asarray(two_theta, dtype=float)) / 2.0
    return theta


def polarization(
    two_theta: npt.ArrayLike, monochromator_two_theta: float | None = None, polarization_fraction: float = 0.5
) -> FloatArray:
    """Polarisation factor P = (1 − p) + p cos²2θ_m cos²2θ, divided by (1 − p) + p cos²2θ_m; 1 forward.

    p is the share of the primary beam polarised in the diffraction plane: 0.5 for a tube gives
    (1 + cos²2θ_m cos²2θ)/(1 + cos²2θ_m), 0 for a synchrotron with vertical scattering plane gives 1 (Azároff, Acta
    Cryst. 8 (1955) 701; mosaic monochromator). Angles in degrees: `monochromator_two_theta` is 26.6 for graphite with
    Cu Kα in the primary or the diffracted beam, 0 or None without one; larger values bring P closer to 1 everywhere.
    ValueError: a fraction outside 0 to 1, or a monochromator that extinguishes the whole beam.
    """
    if not 0.0 <= polarization_fraction <= 1.0:
        msg = f"polarization_fraction must lie between 0 and 1; got {polarization_fraction:g}."
        raise ValueError(msg)
    crystal = 1.0
    if monochromator_two_theta is not None:
        crystal = float(np.cos(np.radians(monochromator_two_theta)) ** 2)
    in_plane = polarization_fraction * crystal
    across = 1.0 - polarization_fraction
    if in_plane + across < 1e-12:
        msg = "the monochromator extinguishes the whole beam; check its angle and polarization_fraction."
        raise ValueError(msg)
    factor: FloatArray = across + in_plane * np.cos(2.0 * _theta(two_theta)) ** 2
    return factor / (in_plane + across)


def lorentz(two_theta: npt.ArrayLike) -> FloatArray:
    """Lorentz factor of a powder, 1/(sin²θ cosθ) (Klug & Alexander, X-ray Diffraction Procedures, 1974)."""
    theta = _theta(two_theta)
    factor: FloatArray = 1.0 / (np.sin(theta) ** 2 * np.cos(theta))
    return factor


def lp_factor(
    two_theta: npt.ArrayLike, monochromator_two_theta: float | None = None, polarization_fraction: float = 0.5
) -> FloatArray:
    """Lorentz times polarisation factor; parameters as `polarization`."""
    return lorentz(two_theta) * polarization(two_theta, monochromator_two_theta, polarization_fraction)


def absorption_cylinder(two_theta: npt.ArrayLike, mu_r: float) -> FloatArray:
    """Transmission factor of a fully bathed cylinder (Debye-Scherrer capillary), mean over its section.

    A = (1/πR²) ∫ exp(−μ(l_in + l_out)) dS, by Gauss quadrature in polar coordinates: 1 without absorption, smaller at
    low angles (International Tables C, 2004, section 6.3.3.4). `mu_r`, linear absorption coefficient of the powder as
    packed times radius, 0 to 20 (else ValueError): larger values suppress low angles.
    """
    if not 0.0 <= mu_r <= 20.0:
        msg = f"mu_r must lie between 0 and 20; got {mu_r:g}. Use a thinner capillary or a diluted sample."
        raise ValueError(msg)
    theta = np.atleast_1d(_theta(two_theta)).ravel()
    nodes, weights = leggauss(48)
    # radius substitution r = 1 - u² packs points at the rim, where a strong absorber scatters
    u = 0.5 * (nodes + 1.0)
    radius = 1.0 - u**2
    radial = 0.5 * weights * 2.0 * u * radius
    phi = 2.0 * np.pi * (np.arange(192) + 0.5) / 192
    r, p = np.meshgrid(radius, phi, indexing="ij")
    x, y = r * np.cos(p), r * np.sin(p)
    knots = np.linspace(0.0, np.pi / 2.0, 19)  # A is smooth in θ: interpolated from these
    values = np.empty(len(knots))
    for k, knot in enumerate(knots):
        # the beam travels along +x turned by θ up and leaves turned by θ down
        along_in = x * np.cos(knot) + y * np.sin(knot)
        along_out = x * np.cos(knot) - y * np.sin(knot)
        mean = np.exp(-mu_r * (_chord(-along_in, x, y) + _chord(along_out, x, y))).mean(axis=1) * 2.0 * np.pi
        values[k] = np.sum(radial * mean) / np.pi
    coefficients = np.polynomial.chebyshev.chebfit(knots * 4.0 / np.pi - 1.0, np.log(values), 12)
    log_factor = np.polynomial.chebyshev.chebval(theta * 4.0 / np.pi - 1.0, coefficients)
    factor: FloatArray = np.exp(log_factor).reshape(np.shape(two_theta))
    return factor


def _chord(along: FloatArray, *coordinates: FloatArray) -> FloatArray:
    """Distance of points to the unit circle or sphere in a direction, `along` their own place on that direction."""
    inside = along**2 + 1.0
    for coordinate in coordinates:
        inside = inside - coordinate**2
    length: FloatArray = -along + np.sqrt(np.maximum(inside, 0.0))
    return length


def absorption_flat_transmission(two_theta: npt.ArrayLike, mu_t: float, *, incidence: str = "symmetric") -> FloatArray:
    """Absorption factor of a flat plate or foil measured in transmission, relative to no absorption.

    Symmetric (the plate bisects the angle): A = exp(−μt / cosθ)/cosθ. Plate normal to the primary beam: A = [exp(−μt) −
    exp(−μt/c)] / [μt (1/c − 1)], c = cos2θ, for 2θ < 90 (Klug & Alexander 1974; ITC C 6.3.3.2). 1/cosθ is the gain in
    irradiated volume. `mu_t` is −ln of the measured transmission of the primary beam at normal incidence. ValueError:
    negative mu_t, an incidence other than "symmetric" or "normal", 2θ >= 90 with normal incidence.
    """
    if not mu_t >= 0.0:
        msg = f"mu_t must not be negative; got {mu_t:g}."
        raise ValueError(msg)
    theta = _theta(two_theta)
    if incidence == "symmetric":
        factor: FloatArray = np.exp(-mu_t / np.cos(theta)) / np.cos(theta)
        return factor
    if incidence != "normal":
        msg = f"incidence is 'symmetric' or 'normal'; got {incidence!r}."
        raise ValueError(msg)
    cosine = np.cos(2.0 * theta)
    if np.any(cosine <= 0.0):
        msg = "a plate normal to the beam transmits only below 90 degrees two-theta."
        raise ValueError(msg)
    excess = mu_t * (1.0 / cosine - 1.0)
    small = excess < 1e-8
    safe = np.where(small, 1.0, excess)
    average = np.where(small, 1.0 - excess / 2.0, -np.expm1(-safe) / safe)
    normal: FloatArray = np.exp(-mu_t) * average
    return normal


def absorption_flat_reflection(two_theta: npt.ArrayLike, mu_t: float) -> FloatArray:
    """Share of the intensity of an infinitely thick plate that a plate of thickness t scatters.

    A = 1 − exp(−2μt / sinθ), Bragg-Brentano (Klug & Alexander 1974). Below about 0.99 the pattern loses intensity at
    high angles: organic-rich layers (μ near 10 cm⁻¹) need a millimetre. `mu_t`: coefficient as packed, times thickness;
    ``inf`` gives 1, what is not positive a ValueError.
    """
    if not mu_t > 0.0:
        msg = f"mu_t must be positive; got {mu_t:g}."
        raise ValueError(msg)
    factor: FloatArray = -np.expm1(-2.0 * mu_t / np.sin(_theta(two_theta)))
    return factor


def absorption_fixed_incidence(
    two_theta: npt.ArrayLike, incidence: float, mu_t: float = np.inf, *, transmission: bool = False
) -> FloatArray:
    """Absorption factor of a flat specimen that stands at a fixed angle to the beam, `incidence` α to its surface.

    Reflection, of a layer μt, over a thick one in symmetric reflection, with β = 2θ − α the exit angle:
    A = 2 (1 − exp(−μt (1/sinα + 1/sinβ))) / (1 + sinα / sinβ); thick: 2 / (1 + sinα / sinβ), which is 1 at α = θ.
    Transmission, a plate of μt, over none, entered and left at angles γ₁ = 90° − α and γ₂ = 2θ − γ₁ to its normal:
    A = (exp(−μt / cosγ₁) − exp(−μt / cosγ₂)) / (μt (1/cosγ₂ − 1/cosγ₁) cosγ₁); α = 90° is a plate normal to the beam
    [Klug & Alexander 1974; International Tables C 6.3.3]. ValueError: angles at which the beam does not leave the
    specimen on that side.
    """
    full = 2.0 * _theta(two_theta)
    alpha = np.radians(incidence)
    if not transmission:
        beta = full - alpha
        if not (0.0 < incidence < 90.0) or np.any(beta <= 0.0) or np.any(beta >= np.pi):
            raise ValueError(
                f"fixed incidence of {incidence:g} degrees leaves no reflection below 2θ = {incidence:g} degrees."
            )
        sine_in, sine_out = np.sin(alpha), np.sin(beta)
        reached = -np.expm1(-mu_t * (1.0 / sine_in + 1.0 / sine_out)) if np.isfinite(mu_t) else 1.0
        return np.asarray(2.0 * reached / (1.0 + sine_in / sine_out))
    before = np.pi / 2.0 - alpha
    cos_in, cos_out = np.cos(before), np.cos(full - before)
    if not (mu_t >= 0.0 and np.isfinite(mu_t)) or cos_in <= 0.0 or np.any(cos_out <= 0.0):
        raise ValueError(
            f"a plate at {incidence:g} degrees to the beam lets nothing through at some of these angles; cut the range."
        )
    excess = mu_t * (1.0 / cos_out - 1.0 / cos_in)
    small = np.abs(excess) < 1e-8
    safe = np.where(small, 1.0, excess)
    average = np.where(small, 1.0 - excess / 2.0, -np.expm1(-safe) / safe)
    return np.asarray(np.exp(-mu_t / cos_in) * average / cos_in)


def beam_overflow(two_theta: npt.ArrayLike, divergence: float, radius_mm: float, length_mm: float) -> FloatArray:
    """Share of the beam of a fixed slit that a flat specimen of some length catches, min(1, sinθ / sinθ₀).

    sinθ₀ = divergence (degrees, full angle) · radius / length: below θ₀ the beam is longer than the specimen.
    """
    limit = np.radians(divergence) * radius_mm / length_mm
    return np.asarray(np.minimum(1.0, np.sin(_theta(two_theta)) / limit))


def variable_slit(two_theta: npt.ArrayLike) -> FloatArray:
    """Factor sinθ of automatic slits that keep the illuminated length constant, relative to fixed slits."""
    factor: FloatArray = np.sin(_theta(two_theta))
    return factor


def brindley_factor(mu_grain: npt.ArrayLike, mu_mean: float, diameter: float) -> FloatArray:
    """Microabsorption factor τ of spherical grains: 1 for μ_j = μ̄, below 1 for a phase that absorbs more.

    τ = (1/V) ∫ exp(−(μ_j − μ̄) x) dV, x the path inside the grain (Brindley, Phil. Mag. 36 (1945) 347). The path is
    entrance plus exit, taken at 2θ = 90°: between 0 and 180° τ varies by 0.4 % where |Δμ| times the diameter is 0.2, by
    9 % where it is 1. The first order is 1 − 0.75 (μ_j − μ̄) D. Apparent weights are w τ: divide by τ.

    `mu_grain` and `mu_mean` (1/cm) are those of the phase, pore-free, and of the mixture's solid; `diameter` (µm) is
    the grain's, not the crystallite's. ValueError: a negative diameter, or |μ_j − μ̄|·D above 3, where the correction
    means nothing any more.
    """
    contrast = (np.asarray(mu_grain, dtype=float) - mu_mean) * (diameter * 1e-4)
    if diameter < 0.0 or np.any(np.abs(contrast) > 3.0):
        msg = (
            f"microabsorption: diameter {diameter:g} µm gives |Δμ|·D = {np.abs(contrast).max():.2f}; the "
            "correction holds below about 1 and is refused above 3. Grind the specimen."
        )
        raise ValueError(msg)
    nodes, weights = leggauss(24)
    radius, cosine = 0.5 * (nodes + 1.0), nodes
    n_phi = 24
    phi = 2.0 * np.pi * (np.arange(n_phi) + 0.5) / n_phi
    r, c, p = np.meshgrid(radius, cosine, phi, indexing="ij")
    sine = np.sqrt(1.0 - c**2)
    y, z = r * sine * np.sin(p), r * c
    path = _chord(y, r) + _chord(z, r)
    density = (0.5 * weights * 3.0 * radius**2)[:, None] * (0.5 * weights)[None, :] / n_phi
    exponent = np.exp(-0.5 * np.multiply.outer(contrast, path))
    tau: FloatArray = np.asarray(np.sum(exponent * density[:, :, None], axis=(-3, -2, -1)))
    return tau


def transparency_shift(two_theta: npt.ArrayLike, mu_per_cm: float, radius_mm: float) -> FloatArray:
    """Shift of a reflection's centroid by a thick, weakly absorbing plate, Δ2θ = −sin2θ / (2 μ R), in degrees.

    Add to the true angle (Wilson, Mathematical Theory of X-ray Powder Diffractometry, 1963). Smaller coefficients as
    packed (1/cm) shift further to low angles.
    """
    if not (mu_per_cm > 0.0 and radius_mm > 0.0):
        msg = f"mu_per_cm and radius_mm must be positive; got {mu_per_cm:g} and {radius_mm:g}."
        raise ValueError(msg)
    shift = -np.sin(2.0 * _theta(two_theta)) / (2.0 * mu_per_cm * radius_mm / 10.0)
    return np.degrees(shift)


# Preferred orientation: March-Dollase for one axis and symmetrised spherical harmonics for any
# symmetry.

_PROBE = np.array([(h, k, m) for h in range(-3, 4) for k in range(-3, 4) for m in range(4) if (h, k, m) > (0, 0, 0)])


def march_dollase(ratio: float, cos_sq: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Intensity factor of the March-Dollase model and its derivative by the ratio.

    O = (r² cos²α + sin²α / r)^(−3/2)   [Dollase 1986 J. Appl. Cryst. 19, 267]; the ratio r is 1 for random orientation,
    below 1 for plates (the axis turns towards the scattering vector), above 1 for needles; `cos_sq` is that of the
    angle between the reflection and the texture axis.
    """
    base = ratio * ratio * cos_sq + (1.0 - cos_sq) / ratio
    factor = base**-1.5
    return factor, -1.5 * factor / base * (2.0 * ratio * cos_sq - (1.0 - cos_sq) / ratio**2)


def harmonic_columns(hkl: IntArray | FloatArray, rotations: IntArray, cell6: npt.ArrayLike, order: int) -> FloatArray:
    """Even spherical harmonics averaged over the Laue equivalents of each reflection, (n, k).

    The intensity factor of a cylindrically averaged specimen is 1 + Σ_k c_k K_k(hkl) [Järvinen 1993 J. Appl. Cryst. 26,
    525]. The harmonics of each even degree 2 … order are averaged over the Laue group; a singular value decomposition
    leaves the independent ones (one for degree 2 and 4 each in 6/m, none of degree 2 in a cubic crystal). The
    decomposition and the scale, a root mean square of one, refer to a fixed set of low reflections, so that a
    coefficient means the same whatever reflections a scan covers: the relative change of intensities it makes.

    `hkl` (n, 3); `rotations` (m, 3, 3) act on coordinates; `cell6` is that of the reference structure: another cell
    gives another set of functions; a larger `order` follows sharper textures.
    """
    rotations = np.asarray(rotations, dtype=np.int64)
    cell = tuple(float(value) for value in np.asarray(cell6, dtype=float))
    directions = _directions(hkl, rotations, cell)
    columns = [
        _real_harmonics(directions, degree).mean(axis=1) @ transform
        for degree, transform in _independent(rotations.tobytes(), cell, order)
    ]
    return np.concatenate([np.empty((len(directions), 0)), *columns], axis=1)


@lru_cache(maxsize=256)
def _independent(rotations: bytes, cell6: tuple[float, ...], order: int) -> tuple[tuple[int, FloatArray], ...]:
    """Degree and matrix that turns averaged harmonics of it into independent ones, on the fixed reflections."""
    laue = np.frombuffer(rotations, dtype=np.int64).reshape(-1, 3, 3)
    directions = _directions(_PROBE, laue, cell6)
    out = []
    for degree in range(2, order + 1, 2):
        mean = _tabulated_harmonics(directions, degree).mean(axis=1)
        _, singular, right = np.linalg.svd(mean, full_matrices=False)
        keep = singular > 1e-6 * np.sqrt(mean.size)
        transform = np.sqrt(len(mean)) * right[keep].T / singular[keep]
        # a decomposition leaves signs open: the first reflection that clearly has intensity gains
        size = np.abs(columns := mean @ transform)
        first = (size > 0.5 * size.max(axis=0, initial=0.0)).argmax(axis=0)
        out.append((degree, transform * np.sign(columns[first, np.arange(len(first))])))
    return tuple(out)


def _directions(hkl: IntArray | FloatArray, rotations: IntArray, cell6: npt.ArrayLike) -> FloatArray:
    """Unit vectors of all Laue equivalents of each reflection: (n, m, 3)."""
    a, b, c, alpha, beta, gamma = np.asarray(cell6, dtype=float)
    ca, cb, cg = np.cos(np.radians([alpha, beta, gamma]))
    sg = np.sin(np.radians(gamma))
    cx = c * cb
    cy = c * (ca - cb * cg) / sg
    direct = np.array([[a, 0, 0], [b * cg, b * sg, 0], [cx, cy, np.sqrt(c * c - cx * cx - cy * cy)]])
    reciprocal = np.linalg.inv(direct)  # columns are a*, b*, c*
    equivalents = np.einsum("ni,mij->nmj", hkl.astype(float), rotations.astype(float))
    vectors = equivalents @ reciprocal.T
    directions: FloatArray = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    return directions


def _tabulated_harmonics(directions: FloatArray, degree: int) -> FloatArray:
    """`_real_harmonics` by scipy, five times as slow; the signs of what `_independent` finds hang on its rounding."""
    from scipy.special import sph_harm_y

    theta = np.arccos(np.clip(directions[..., 2], -1.0, 1.0))
    phi = np.arctan2(directions[..., 1], directions[..., 0])
    out = []
    for m in range(degree + 1):
        value = sph_harm_y(degree, m, theta, phi)
        out.append(value.real)
        if m:
            out.append(value.imag)
    return np.stack(out, axis=-1)


def _real_harmonics(directions: FloatArray, degree: int) -> FloatArray:
    """Real spherical harmonics of one degree, real and imaginary parts: (n, m, 2·degree + 1).

    Y_lm = N_lm(z) (x + iy)^m with the recurrences of normalised Legendre functions upwards in l, from
    N_mm = (−1)^m sqrt((2m + 1)/4π Π (2k − 1)/2k), k = 1 … m [Holmes & Featherstone 2002 J. Geod. 76, 279].
    """
    x, y, z = (np.ascontiguousarray(directions[..., axis]) for axis in range(3))
    real, imaginary = np.ones_like(x), np.zeros_like(x)
    first = np.sqrt(0.25 / np.pi)
    out = []
    for m in range(degree + 1):
        if m:
            real, imaginary = real * x - imaginary * y, real * y + imaginary * x
            first *= -np.sqrt((2.0 * m + 1.0) / (2.0 * m))
        below, factor = np.zeros_like(z), np.full_like(z, first)
        for n in range(m + 1, degree + 1):
            back = np.sqrt(((n - 1.0) ** 2 - m**2) / (4.0 * (n - 1.0) ** 2 - 1.0))
            scale = np.sqrt((4.0 * n**2 - 1.0) / (n**2 - m**2))
            below, factor = factor, scale * (z * factor - back * below)
        out.append(factor * real)
        if m:
            out.append(factor * imaginary)
    return np.stack(out, axis=-1)
