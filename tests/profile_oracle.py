"""Single profiles and reflections written out plainly, against which the sums of the package are checked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xrdcomp.physics.profiles import FWHM_PER_SIGMA, shoulder_factors
from xrdcomp.units import FloatArray

_LN2 = float(np.log(2.0))
_LORENTZIAN = 2.0 / np.pi
_GAUSSIAN = 2.0 * float(np.sqrt(_LN2 / np.pi))


def pseudo_voigt(
    offset: FloatArray, fwhm: FloatArray, eta: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Unit-area pseudo-Voigt at a distance from its centre and its derivatives by that, by Γ and by eta."""
    inv = 1.0 / fwhm
    u = 2.0 * offset * inv
    reciprocal = 1.0 / (1.0 + u * u)
    lorentz = _LORENTZIAN * inv * reciprocal
    gauss = _GAUSSIAN * inv * np.exp(np.maximum(u * u * -_LN2, -40.0))
    part_l, part_g = eta * lorentz, (1.0 - eta) * gauss
    # d ln L/du = −2u/(1+u²), d ln G/du = −2 ln2 u;  du/dt = 2/Γ, du/dΓ = −u/Γ
    slope = -2.0 * (part_l * reciprocal + _LN2 * part_g) * u
    value = part_l + part_g
    return value, 2.0 * slope * inv, -(u * slope + value) * inv, lorentz - gauss


def pseudo_voigt_shoulder(offset: FloatArray, fwhm: FloatArray, eta: FloatArray) -> FloatArray:
    """The deformation of `xrdcomp.physics.profiles.spread_shoulder` for single profiles, 1/degree."""
    _, _, d_fwhm, d_eta = pseudo_voigt(offset, fwhm, eta)
    u_squared = np.square(offset * (FWHM_PER_SIGMA / fwhm))
    gauss = _GAUSSIAN / fwhm * np.exp(-0.5 * np.minimum(u_squared, 700.0))
    p, q = shoulder_factors(np.asarray(eta))
    deformed = gauss * (np.square(u_squared) - 6.0 * u_squared + 3.0) + p * fwhm * d_fwhm + q * d_eta
    return np.asarray(deformed / np.sqrt(24.0))


def bragg_cross_section(
    multiplicity: npt.ArrayLike, f_sq: npt.ArrayLike, cell_volume: float, q: npt.ArrayLike
) -> FloatArray:
    """Area of a powder line in the scattering per unit cell, 2π² m |F|² / (V Q²).

    The scattering of a crystal per cell is ((2π)³/V) Σ_h |F_h|² δ³(Q − H_h). Averaged over all
    orientations each reflection is spread over a sphere of area 4πQ², so that m equivalent ones give
    (2π)³ m|F|² / (4πQ² V) = 2π² m|F|² / (V Q²), the area under the line in Q. It is on the scale on which
    one free atom scatters f² at every Q, so that Bragg lines, amorphous and incoherent scattering can be
    added (Warren, X-ray Diffraction, 1969, chapters 4 and 10). Polarisation and absorption come on top;
    the geometric factor 1/(sin²θ cosθ) of a scan in 2θ is contained: Q⁻² dQ.

    `multiplicity`, `f_sq`, `q` ((n,) array_like): equivalent reflections; |F|² in electrons² per cell; 2π/d
    in Å⁻¹; `cell_volume`: float, Å³. Returns (n,) array, electrons² Å⁻¹ per cell.

    Notes
    -----
    Divide by the molar mass of the cell (g/mol) for electrons² Å⁻¹ per (g/mol), the scale of
    `scattering.coherent_per_gram`.

    Examples
    --------
    >>> round(float(bragg_cross_section([8], [100.0], 100.0, [2.0])[0]), 2)
    39.48
    """
    momentum = np.asarray(q, dtype=float)
    product = np.asarray(multiplicity, dtype=float) * np.asarray(f_sq, dtype=float)
    area: FloatArray = 2.0 * np.pi**2 * product / (cell_volume * momentum**2)
    return area
