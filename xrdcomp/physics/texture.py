"""Preferred orientation: March-Dollase for one axis and symmetrised spherical harmonics for any symmetry."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from xrdcomp.units import FloatArray, IntArray

_PROBE = np.array(
    [(h, k, m) for h in range(-3, 4) for k in range(-3, 4) for m in range(4) if (h, k, m) > (0, 0, 0)]
)


def march_dollase(ratio: float, cos_sq: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Intensity factor of the March-Dollase model and its derivative by the ratio.

    O = (r² cos²α + sin²α / r)^(−3/2)   [Dollase 1986 J. Appl. Cryst. 19, 267]

    `ratio`: r > 0; 1 is random, below 1 plates (the axis turns towards the scattering vector), above 1
    needles; `cos_sq` ((n,) array): cos² of the angle between the reflection and the texture axis.
    """
    base = ratio * ratio * cos_sq + (1.0 - cos_sq) / ratio
    factor = base**-1.5
    return factor, -1.5 * factor / base * (2.0 * ratio * cos_sq - (1.0 - cos_sq) / ratio**2)


def harmonic_columns(
    hkl: IntArray | FloatArray, rotations: IntArray, cell6: npt.ArrayLike, order: int
) -> FloatArray:
    """Even spherical harmonics averaged over the Laue equivalents of each reflection.

    The intensity factor of a cylindrically averaged specimen is 1 + Σ_k c_k K_k(hkl) [Järvinen 1993 J. Appl.
    Cryst. 26, 525]. The harmonics of each even degree 2 … order are averaged over the Laue group; a singular
    value decomposition leaves the independent ones (one for degree 2 and 4 each in 6/m, none of degree 2 in a
    cubic crystal). The decomposition and the scale, a root mean square of one, refer to a fixed set of low
    reflections, so that a coefficient means the same whatever reflections a scan covers: the relative change of
    intensities it makes.

    `hkl`: (n, 3) array of whole numbers; `rotations` ((m, 3, 3) integer array): rotations of the space group
    acting on coordinates; `cell6` (the six cell parameters, ångström and degrees): of the reference
    structure: another cell gives another set of functions; `order`: highest degree; larger follows sharper
    textures. Returns (n, k) array.
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
def _independent(
    rotations: bytes, cell6: tuple[float, ...], order: int
) -> tuple[tuple[int, FloatArray], ...]:
    """Degree and matrix that turns averaged harmonics of it into independent ones, on the fixed reflections."""
    laue = np.frombuffer(rotations, dtype=np.int64).reshape(-1, 3, 3)
    directions = _directions(_PROBE, laue, cell6)
    out = []
    for degree in range(2, order + 1, 2):
        mean = _tabulated_harmonics(directions, degree).mean(axis=1)
        _, singular, right = np.linalg.svd(mean, full_matrices=False)
        keep = singular > 1e-6 * np.sqrt(mean.size)
        out.append((degree, np.sqrt(len(mean)) * right[keep].T / singular[keep]))
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
