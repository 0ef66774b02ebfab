"""Lines of library phases: spacings and strengths per gram, from the atoms or from a list of positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xrdcomp.fit.pattern import FitState
from xrdcomp.phases import list_phases, load_phases
from xrdcomp.physics import lattice, scattering, structure_factors
from xrdcomp.recipe import IdentificationRecipe
from xrdcomp.types import FloatArray, Phase

__all__ = ["MAX_TWO_THETA", "CandidateLines", "library", "phase_lines", "searched_phases"]

MAX_TWO_THETA = 92.0
"""Largest angle that is searched: beyond it lines are many, weak and close."""

_WEAKEST = 2e-3
_TYPICAL_AREA = 0.08  # of the strongest lines of calcium salts: radians × electron² mol / g, Cu Kα


@dataclass(frozen=True)
class CandidateLines:
    """Spacings (Å) and absolute strengths (m |F|² / (V · cell mass), before geometry) of a candidate."""

    phase: Phase
    d_spacing: FloatArray
    strength: FloatArray


def library(ids: tuple[str, ...]) -> tuple[Phase, ...]:
    """Return the named phases, all of the library where none is named; the user's files are read anew each time."""
    return _of_library(ids) if set(ids) <= set(list_phases()) else load_phases(ids)


@lru_cache(maxsize=4)
def _of_library(ids: tuple[str, ...]) -> tuple[Phase, ...]:
    return load_phases(ids or list_phases())


def searched_phases(recipe: IdentificationRecipe) -> tuple[Phase, ...]:
    """Phases that a search tries: those of the recipe's library and the user's own.

    Parameters
    ----------
    recipe : IdentificationRecipe

    Returns
    -------
    tuple of Phase
        A phase of the user goes before one of the library that has the same id.

    Raises
    ------
    PhaseError
        As `load_phases`.
    """
    own = load_phases(recipe.own_phases)
    ids = {phase.id for phase in own}
    return (*(phase for phase in library(recipe.library) if phase.id not in ids), *own)


class _ByIdentity:
    """Lets a phase be an argument of a cached function: equal when it is the same object."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase

    def __hash__(self) -> int:
        return hash((self.phase.id, self.phase.source))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.phase is other.phase


def phase_lines(phase: Phase, state: FitState) -> CandidateLines:
    """Lines of a phase inside the fitted range, up to `MAX_TWO_THETA`.

    Phases without atoms take their listed positions. Their absolute strength is made up: the coherent scattering
    of the listed lines together is set to that of a typical calcium salt, so that limits are right to about a
    factor of two. Such a phase is never quantified.
    """
    wavelength = state.instrument.wavelength
    if not phase.quantifiable:
        return _listed(_ByIdentity(phase), wavelength)
    low, high = state.two_theta[0] - 1.0, min(float(state.two_theta[-1]) + 1.0, MAX_TWO_THETA)
    sine = np.sin(np.radians([max(low, 1.0) / 2.0, high / 2.0]))
    d_max, d_min = wavelength / (2.0 * sine)
    return _from_atoms(_ByIdentity(phase), wavelength, round(float(d_min), 6), round(float(d_max), 6))


@lru_cache(maxsize=256)
def _from_atoms(reference: _ByIdentity, wavelength: float, d_min: float, d_max: float) -> CandidateLines:
    phase = reference.phase
    cell6 = np.array(phase.cell.parameters)
    found = lattice.generate_reflections(
        cell6, phase.rotations, phase.translations, phase.centring, d_min=d_min, d_max=d_max
    )
    f_sq = structure_factors.structure_factor_sq(
        found.hkl,
        found.d_spacing,
        phase.site_xyz,
        phase.site_element,
        phase.site_occupancy,
        phase.site_b_iso,
        wavelength,
    )
    pairs = zip(phase.site_element, phase.site_occupancy, strict=True)
    mass = float(sum(scattering.atomic_weight(e) * o for e, o in pairs))
    strength = found.multiplicity * f_sq / (lattice.cell_volume(cell6) * mass)
    apparent = strength * found.d_spacing**2
    keep = apparent > _WEAKEST * float(apparent.max(initial=0.0))
    return CandidateLines(phase, found.d_spacing[keep], strength[keep])


@lru_cache(maxsize=64)
def _listed(reference: _ByIdentity, wavelength: float) -> CandidateLines:
    phase = reference.phase
    d = np.array([line.d_spacing for line in phase.reference_lines])
    relative = np.array([line.relative_intensity for line in phase.reference_lines])
    sine = wavelength / (2.0 * np.maximum(d, wavelength / 1.9))
    theta = np.arcsin(sine)
    geometry = (
        wavelength**3 * (1.0 + np.cos(2.0 * theta) ** 2) / (32.0 * np.pi * np.sin(theta) ** 2 * np.cos(theta))
    )
    strength = relative / geometry
    return CandidateLines(
        phase, d, strength * _TYPICAL_AREA / max(float((strength * geometry).sum()), 1e-300)
    )
