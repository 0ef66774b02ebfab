"""Structure factors and Bragg cross-sections on the absolute electron scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xrdcomp.physics.scattering import anomalous, form_factor

__all__ = ["bragg_cross_section", "structure_factor_sq"]

FloatArray = npt.NDArray[np.float64]

CHUNK_BYTES = 50_000_000  # phase factors held at a time; cosine, sine and product make about four such arrays


def structure_factor_sq(
    hkl: npt.ArrayLike,
    d_spacing: npt.ArrayLike,
    site_xyz: npt.ArrayLike,
    site_element: Sequence[str],
    site_occupancy: npt.ArrayLike,
    site_b_iso: npt.ArrayLike,
    wavelength: float,
) -> FloatArray:
    """Squared structure factor |F|² of the full cell, mean of both Friedel mates.

    F(h) = Σ_j occ_j [f0_j(s) + f'_j + i f''_j] exp(−B_j s²) exp(2πi h·x_j), s = 1/(2d), over every site of
    the cell. With A = Σ (f0 + f') cos, B = Σ (f0 + f') sin, A″ = Σ f'' cos, B″ = Σ f'' sin (each weighted
    with occupancy and Debye-Waller factor) the mean of |F(h)|² and |F(−h)|² is A² + B² + A″² + B″²: a
    powder line holds both mates in equal number (International Tables C, 2004, section 6.1.1).

    Parameters
    ----------
    hkl : (n, 3) array_like
    d_spacing : (n,) array_like, ångström
        Spacings that belong to `hkl`; passed in so that a cell in refinement is not needed here.
    site_xyz : (m, 3) array_like
        Fractional coordinates of every site of the cell, not of the asymmetric unit.
    site_element : sequence of str, length m
    site_occupancy : (m,) array_like
    site_b_iso : (m,) array_like, Å²
        B = 8π²U; a larger value lowers the lines at small spacings.
    wavelength : float, ångström

    Returns
    -------
    (n,) array, electrons² per cell

    Raises
    ------
    ValueError
        Shapes that do not fit, an element or an energy outside the tables.
    """
    indices = np.asarray(hkl, dtype=float).reshape(-1, 3)
    s_squared = 0.25 / np.asarray(d_spacing, dtype=float) ** 2
    xyz = np.asarray(site_xyz, dtype=float).reshape(-1, 3)
    occupancy = np.asarray(site_occupancy, dtype=float)
    b_iso = np.asarray(site_b_iso, dtype=float)
    if not len(xyz) == len(site_element) == len(occupancy) == len(b_iso) or len(indices) != len(s_squared):
        msg = (
            f"sites: {len(xyz)} positions, {len(site_element)} elements, {len(occupancy)} occupancies, "
            f"{len(b_iso)} b_iso; reflections: {len(indices)} hkl, {len(s_squared)} spacings. Must agree."
        )
        raise ValueError(msg)
    group, kinds = _groups(site_element, b_iso)
    membership = np.zeros((len(xyz), len(kinds)))
    membership[np.arange(len(xyz)), group] = occupancy
    normal, imaginary = _site_factors(kinds, s_squared, wavelength)
    result = np.empty(len(indices))
    step = max(1, CHUNK_BYTES // (8 * max(len(xyz), 1)))
    for start in range(0, len(indices), step):
        part = slice(start, start + step)
        angle = (2.0 * np.pi) * (indices[part] @ xyz.T)
        cosine, sine = np.cos(angle) @ membership, np.sin(angle) @ membership
        total = np.einsum("ng,ng->n", normal[part], cosine) ** 2
        total += np.einsum("ng,ng->n", normal[part], sine) ** 2
        total += np.einsum("ng,ng->n", imaginary[part], cosine) ** 2
        total += np.einsum("ng,ng->n", imaginary[part], sine) ** 2
        result[part] = total
    return result


def _groups(
    site_element: Sequence[str], b_iso: FloatArray
) -> tuple[npt.NDArray[np.intp], list[tuple[str, float]]]:
    """Group number of each site, and element and b_iso of each group: equal sites share one factor."""
    kinds: dict[tuple[str, float], int] = {}
    group = [
        kinds.setdefault((element, float(b)), len(kinds))
        for element, b in zip(site_element, b_iso, strict=True)
    ]
    return np.array(group, dtype=np.intp), list(kinds)


def _site_factors(
    kinds: list[tuple[str, float]], s_squared: FloatArray, wavelength: float
) -> tuple[FloatArray, FloatArray]:
    """(f0 + f') and f'' of every group with its Debye-Waller factor, each (n, groups)."""
    s = np.sqrt(s_squared)
    normal, imaginary = np.empty((len(s), len(kinds))), np.empty((len(s), len(kinds)))
    atomic = {element: (form_factor(element, s), anomalous(element, wavelength)) for element, _ in kinds}
    for column, (element, b) in enumerate(kinds):
        f0, (f1, f2) = atomic[element]
        damping = np.exp(-b * s_squared)
        normal[:, column] = (f0 + f1) * damping
        imaginary[:, column] = f2 * damping
    return normal, imaginary


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

    Parameters
    ----------
    multiplicity, f_sq, q : (n,) array_like
        Equivalent reflections; |F|² in electrons² per cell; 2π/d in Å⁻¹.
    cell_volume : float, Å³

    Returns
    -------
    (n,) array, electrons² Å⁻¹ per cell

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
