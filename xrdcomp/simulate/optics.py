"""What the tube and the goniometer do to a pattern: numerical convolutions, no peak shape.

The tube's spectrum is one convolution on an axis uniform in ln Q, because Q = 4π sinθ / λ. The slits, the
axial divergence and the specimen's transparency are kernels in 2θ, made from rays at a few angles and blended
between them.
"""

from __future__ import annotations

import numpy as np

from xrdcomp.simulate.conditions import XrdConditions
from xrdcomp.types import FloatArray

__all__ = ["axial_offsets", "convolve_optics", "emission_kernel", "polarisation"]

_SIGMA_PER_FWHM = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))


def emission_kernel(conditions: XrdConditions, step: float, half_width: int) -> FloatArray:
    """Tube spectrum on offsets in ln Q relative to Kα1, from −half_width to +half_width steps.

    Each line is a Lorentzian in wavelength, cut where it has fallen below 10⁻⁵ of its maximum; Kα1 and Kα2
    together weigh 1, the residual lines come on top.
    """
    offsets = np.arange(-half_width, half_width + 1) * step
    kernel = np.zeros(len(offsets))
    lines = conditions.tube_lines
    normal = 1.0 + conditions.kalpha2_ratio
    for line in lines:
        # an angle labelled with Q of Kα1 shows, in a line of longer wavelength, what scatters at lower Q
        centre = np.log(line.wavelength / conditions.wavelength)
        half = 0.5 * line.fwhm / line.wavelength
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
    seen = np.degrees(np.arccos(np.clip(cos_seen, -1.0, 1.0)))
    weights = np.outer(weight, weight)
    return (seen - two_theta).ravel(), (weights / weights.sum()).ravel()


def _spread(offsets: FloatArray, weights: FloatArray, step: float, half: int) -> FloatArray:
    """Put weights on the nearest two points of a uniform axis (keeps area and centroid)."""
    position = np.clip(offsets / step + half, 0.0, 2.0 * half - 1e-9)
    low = np.floor(position).astype(int)
    share = position - low
    kernel = np.zeros(2 * half + 1)
    kernel += np.bincount(low, weights * (1.0 - share), minlength=2 * half + 1)
    kernel += np.bincount(low + 1, weights * share, minlength=2 * half + 1)[: 2 * half + 1]
    return kernel


def _kernel(conditions: XrdConditions, two_theta: float, step: float, linear_mu: float) -> FloatArray:
    """Kernel of slits, axial divergence and transparency at one angle, on a uniform axis of 2θ offsets."""
    half = int(np.ceil(2.0 / step))
    axis = np.asarray(np.arange(-half, half + 1) * step, dtype=np.float64)
    tan = np.tan(np.radians(two_theta / 2.0))
    fwhm_sq = max(conditions.fwhm_u * tan * tan + conditions.fwhm_v * tan + conditions.fwhm_w, 1e-5)
    sigma = np.sqrt(fwhm_sq) * _SIGMA_PER_FWHM
    kernel = np.exp(-0.5 * np.square(axis / max(sigma, 0.6 * step)))
    kernel /= kernel.sum()
    if conditions.receiving_slit_deg > 0.0:
        rays = np.linspace(-0.5, 0.5, 9) * (8.0 / 9.0) * conditions.receiving_slit_deg
        box = _spread(rays, np.full(9, 1.0 / 9.0), step, half)
        kernel = np.convolve(kernel, box, mode="same")
    if conditions.axial_half_angle_deg > 0.0:
        offsets, weights = axial_offsets(two_theta, conditions.axial_half_angle_deg)
        kernel = np.convolve(kernel, _spread(offsets, weights, step, half), mode="same")
    if conditions.transparency:
        mean = np.degrees(np.sin(np.radians(two_theta)) / (2.0 * linear_mu * conditions.radius_mm))
        depth = -np.log(1.0 - (np.arange(60) + 0.5) / 60.0)
        kernel = np.convolve(kernel, _spread(-mean * depth, np.full(60, 1.0 / 60.0), step, half), mode="same")
    normalised: FloatArray = kernel / kernel.sum()
    return normalised


def convolve_optics(
    two_theta: FloatArray, intensity: FloatArray, conditions: XrdConditions, linear_mu: float
) -> FloatArray:
    """Spread a pattern by the goniometer's aberrations, which change slowly with angle.

    Parameters
    ----------
    two_theta : (n,) array, uniform, degrees
    intensity : (n,) array
    linear_mu : float, 1/mm, of the specimen; used for transparency

    Returns
    -------
    (n,) array
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
        left, right = bounds[max(i - 1, 0)], bounds[min(i + 1, count - 1)]
        if right <= left:
            continue
        blend = np.interp(two_theta[left:right], nodes[max(i - 1, 0) : i + 2], _tent(i, count))
        kernel = _kernel(conditions, float(node), step, linear_mu)
        half = len(kernel) // 2
        low, high = max(left - half, 0), min(right + half, len(intensity))
        padded = np.pad(intensity[low:high], (half - (left - low), half - (high - right)), mode="edge")
        out[left:right] += blend * _fft_valid(padded, kernel)
    return out


def _tent(i: int, count: int) -> list[float]:
    tent = [0.0, 1.0, 0.0]
    if i == 0:
        tent = tent[1:]
    if i == count - 1:
        tent = tent[:-1]
    return tent


def _fft_valid(values: FloatArray, kernel: FloatArray) -> FloatArray:
    size = 1 << int(np.ceil(np.log2(len(values) + len(kernel))))
    full = np.fft.irfft(np.fft.rfft(values, size) * np.fft.rfft(kernel, size), size)
    result: FloatArray = full[len(kernel) - 1 : len(values)]
    return result


def polarisation(two_theta: FloatArray, monochromator_two_theta: float | None) -> FloatArray:
    """(1 + A cos²2θ) / (1 + A) with A = cos²2θ_M; A = 1 without a monochromator."""
    a = 1.0 if monochromator_two_theta is None else np.cos(np.radians(monochromator_two_theta)) ** 2
    factor: FloatArray = (1.0 + a * np.cos(np.radians(two_theta)) ** 2) / (1.0 + a)
    return factor
