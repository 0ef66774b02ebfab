"""Powder lines of a crystal structure, in electron units per dalton of the phase.

Everything starts from the sites of the whole cell that a `Phase` carries; symmetry is used only to merge
equivalent reflections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrdcomp.errors import PhaseError
from xrdcomp.simulate.elements import atomic_mass, coherent_amplitude, incoherent_intensity
from xrdcomp.types import Cell, FloatArray, IntArray, Phase

__all__ = [
    "PowderLines",
    "cell_mass",
    "crystal_diffuse",
    "element_mass_fractions",
    "metric_of",
    "powder_lines",
]


@dataclass(frozen=True, kw_only=True)
class PowderLines:
    """The reflections of a phase, equivalents merged.

    Parameters
    ----------
    hkl : (n, 3) integer array, one of the equivalents
    q : (n,) array, 4π sinθ/λ in Å⁻¹
    multiplicity : (n,) array
    strength : (n,) array
        2π² m ⟨|F|²⟩ / (V M) in electron units per dalton and Å³, so that the cross section per dalton is
        ``strength · p(Q − q) / (Q q)`` with p the line's profile of unit area in Q.
    cos_c : (n,) array
        Cosine between the scattering vector and the c axis.
    """

    hkl: IntArray
    q: FloatArray
    multiplicity: FloatArray
    strength: FloatArray
    cos_c: FloatArray


def metric_of(cell: Cell) -> FloatArray:
    """Metric tensor of the direct lattice, Å²."""
    a, b, c, alpha, beta, gamma = cell.parameters
    ca, cb, cg = (np.cos(np.radians(v)) for v in (alpha, beta, gamma))
    return np.array(
        [[a * a, a * b * cg, a * c * cb], [a * b * cg, b * b, b * c * ca], [a * c * cb, b * c * ca, c * c]]
    )


def _all_indices(reciprocal: FloatArray, metric: FloatArray, q_max: float) -> tuple[IntArray, FloatArray]:
    limit = np.floor(q_max * np.sqrt(np.diag(metric)) / (2.0 * np.pi)).astype(int)
    axes = [np.arange(-n, n + 1) for n in limit]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    q2 = np.einsum("ni,ij,nj->n", hkl, reciprocal, hkl)
    keep = (q2 > 0) & (q2 <= q_max * q_max)
    return hkl[keep].astype(np.int64), np.sqrt(q2[keep])


def _merge(hkl: IntArray, rotations: IntArray) -> tuple[IntArray, IntArray]:
    """Index of the first member of each class of equivalents, and the class of every reflection."""
    span = 2 * int(np.abs(hkl).max()) + 1
    weights = np.array([span * span, span, 1])
    best = np.full(len(hkl), np.iinfo(np.int64).min)
    for rotation in rotations:
        code = (hkl @ rotation) @ weights
        np.maximum(best, np.maximum(code, -code), out=best)
    _, first, inverse = np.unique(best, return_index=True, return_inverse=True)
    return first, inverse


def _march_dollase(cos_alpha: FloatArray, ratio: float) -> FloatArray:
    """W(α) = (r² cos²α + sin²α / r)^(−3/2)  [Dollase 1986]; r < 1 turns the axis towards the normal."""
    c2 = np.square(cos_alpha)
    weight: FloatArray = (ratio * ratio * c2 + (1.0 - c2) / ratio) ** -1.5
    return weight


def _structure_factor_sq(
    phase: Phase, hkl: IntArray, s: FloatArray, wavelength: float, b_excess: float
) -> FloatArray:
    """Mean of |F(h)|² and |F(−h)|² over the whole cell, electrons squared."""
    plus = np.zeros(len(hkl), dtype=complex)
    minus = np.zeros(len(hkl), dtype=complex)
    s2 = s * s
    elements = np.array(phase.site_element)
    for element in dict.fromkeys(phase.site_element):
        sites = np.flatnonzero(elements == element)
        phases = 2.0 * np.pi * (hkl @ phase.site_xyz[sites].T)
        damping = phase.site_occupancy[sites] * np.exp(-np.outer(s2, phase.site_b_iso[sites] + b_excess))
        real = np.sum(damping * np.cos(phases), axis=1)
        imag = np.sum(damping * np.sin(phases), axis=1)
        f = coherent_amplitude(element, s, wavelength)
        plus += f * (real + 1j * imag)
        minus += f * (real - 1j * imag)
    mean: FloatArray = 0.5 * (np.abs(plus) ** 2 + np.abs(minus) ** 2)
    return mean


def cell_mass(phase: Phase) -> float:
    """Mass of the cell in dalton, occupancies counted."""
    return float(
        sum(o * atomic_mass(e) for e, o in zip(phase.site_element, phase.site_occupancy, strict=True))
    )


def powder_lines(
    phase: Phase,
    *,
    q_max: float,
    wavelength: float,
    cell: Cell | None = None,
    b_excess: float = 0.0,
    march_dollase: float = 1.0,
) -> PowderLines:
    """Reflections of a phase up to `q_max` with their strength on the absolute scale.

    The cross section of a powder per cell is 2π² m|F|² δ(Q − q) / (V Q²) electron units
    [e.g. Warren, X-ray Diffraction, 1969]; it is divided by the cell's mass here.

    Parameters
    ----------
    phase : Phase, with atoms
    q_max : float, Å⁻¹
    wavelength : float, ångström; decides f′ and f″
    cell : Cell, optional
        Replaces the phase's cell (fractional coordinates stay).
    b_excess : float, Å²
        Added to every atom's B; larger weakens the lines at high angles.
    march_dollase : float
        Texture about c* for a flat plate; 1 is none, < 1 strengthens 00l.

    Raises
    ------
    PhaseError
        The phase has no atoms.
    """
    if not phase.quantifiable:
        msg = (
            f"phase {phase.id!r} is known by its line positions only and cannot be simulated; "
            "take one with atoms."
        )
        raise PhaseError(msg)
    used = cell or phase.cell
    metric = metric_of(used)
    reciprocal = np.asarray((2.0 * np.pi) ** 2 * np.linalg.inv(metric), dtype=np.float64)
    hkl, q = _all_indices(reciprocal, metric, q_max)
    first, inverse = _merge(hkl, phase.rotations)
    multiplicity = np.bincount(inverse).astype(float)
    cos_star = hkl @ reciprocal[:, 2] / (q * np.sqrt(reciprocal[2, 2]))
    texture = np.bincount(inverse, _march_dollase(cos_star, march_dollase)) / multiplicity
    unique, q_unique = hkl[first], q[first]
    f_sq = _structure_factor_sq(phase, unique, q_unique / (4.0 * np.pi), wavelength, b_excess)
    keep = f_sq > 1e-7 * f_sq.max()
    volume = float(np.sqrt(np.linalg.det(metric)))
    strength = 2.0 * np.pi**2 * multiplicity * f_sq * texture / (volume * cell_mass(phase))
    cos_c = 2.0 * np.pi * unique[:, 2] / (q_unique * used.c)
    return PowderLines(
        hkl=unique[keep],
        q=q_unique[keep],
        multiplicity=multiplicity[keep],
        strength=strength[keep],
        cos_c=np.clip(np.abs(cos_c[keep]), 0.0, 1.0),
    )


def crystal_diffuse(phase: Phase, q: FloatArray, *, wavelength: float, b_excess: float = 0.0) -> FloatArray:
    """What a crystal scatters between its lines: thermal and occupational diffuse, and Compton.

    Einstein solid: Σ o|f|² (1 − o exp(−2Bs²)) + Σ o S_inc(s), electron units per dalton.

    Parameters
    ----------
    q : array, Å⁻¹
    """
    s = np.asarray(q, dtype=float) / (4.0 * np.pi)
    s2 = s * s
    total = np.zeros_like(s)
    elements = np.array(phase.site_element)
    for element in dict.fromkeys(phase.site_element):
        sites = elements == element
        occupancy, b_iso = phase.site_occupancy[sites], phase.site_b_iso[sites] + b_excess
        f_sq = np.abs(coherent_amplitude(element, s, wavelength)) ** 2
        bragg_share = np.square(occupancy) @ np.exp(-2.0 * np.outer(b_iso, s2))
        total += f_sq * (occupancy.sum() - bragg_share)
        total += occupancy.sum() * incoherent_intensity(element, s)
    return total / cell_mass(phase)


def element_mass_fractions(phase: Phase) -> dict[str, float]:
    """Mass fraction of each element of a phase."""
    mass = cell_mass(phase)
    fractions: dict[str, float] = {}
    for element, occupancy in zip(phase.site_element, phase.site_occupancy, strict=True):
        fractions[element] = fractions.get(element, 0.0) + float(occupancy) * atomic_mass(element) / mass
    return fractions
