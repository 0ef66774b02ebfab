"""Reflections of the library's structures, stored beside them: a first search would spend half of its time on them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from xrdcomp.data import Phase
from xrdcomp.phases.library import list_phases, load_phase, read_stored, reference_folder, write_stored
from xrdcomp.physics import reflections as lattice
from xrdcomp.refinement.reflections import MAX_REFLECTIONS_SEARCHED, cell_mass, reflections_of
from xrdcomp.units import FloatArray

STORED = "reflections.msgpack"
LEAST_SPACING = 1.07  # ångström: what a search looks at with copper's Kα and longer wavelengths
_NOTHING = 1e-9  # of the largest sum: imaginary parts of structures with a centre of symmetry are rounding


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredReflections:
    """Reflections of a structure with its own cell: what neither wavelength nor instrument changes.

    structure : hash of cell, symmetry and atoms
    d_spacing : (n,) ångström, decreasing
    real, imaginary : (elements, n) sums over the sites of each element, see `physics.reflections.ElementSums`, times
        the root of multiplicity over volume and mass of the cell; no imaginary ones where there is a centre of symmetry
    """

    structure: str
    d_spacing: FloatArray
    elements: tuple[str, ...]
    real: FloatArray
    imaginary: FloatArray

    def strength(self, wavelength: float) -> FloatArray:
        """Return m |F|² / (V × cell mass), as `refinement.reflections.strength_per_gram` does."""
        imaginary = self.imaginary if self.imaginary.size else np.zeros_like(self.real)
        sums = lattice.ElementSums(self.elements, self.real, imaginary)
        return lattice.squared_structure_factors(sums, 0.5 / self.d_spacing, wavelength)

    def between(self, d_min: float, d_max: float) -> StoredReflections:
        """Reflections between two spacings, both ends included as in `physics.reflections.generate_reflections`."""
        inverse, tolerance = self.d_spacing**-2.0, 1.0 + 1e-12
        inside = (inverse <= tolerance / d_min**2) & (inverse * tolerance >= 1.0 / d_max**2)
        return replace(
            self, d_spacing=self.d_spacing[inside], real=self.real[:, inside],
            imaginary=self.imaginary[:, inside] if self.imaginary.size else self.imaginary,
        )  # fmt: skip


def stored_reflections(phase: Phase, d_min: float, d_max: float) -> StoredReflections | None:
    """Reflections of a phase between two spacings (Å); None where none are stored, or of another structure."""
    stored = _stored(reference_folder()).get(phase.id)
    if stored is None or d_min < LEAST_SPACING or stored.structure != structure_hash(phase):
        return None
    return stored.between(d_min, d_max)


def structure_hash(phase: Phase) -> str:
    """Hash of cell, symmetry and atoms of a phase, everything that its reflections depend on."""
    arrays = (
        np.array(phase.cell.parameters), phase.rotations, phase.translations, phase.centring,
        phase.site_xyz, phase.site_occupancy, phase.site_b_iso,
    )  # fmt: skip
    whole = hashlib.sha256(" ".join(map(str, phase.site_element)).encode())
    for array in arrays:
        whole.update(np.ascontiguousarray(array, dtype=float).tobytes())
    return whole.hexdigest()


@cache
def _stored(folder: Path) -> Mapping[str, StoredReflections]:
    return read_stored(folder / STORED, dict[str, StoredReflections])


def calculated_reflections(phase: Phase) -> StoredReflections:
    """Calculate what is stored of a phase."""
    cell6 = np.array(phase.cell.parameters)
    found = reflections_of(phase, cell6, LEAST_SPACING, np.inf, most=MAX_REFLECTIONS_SEARCHED)
    sums = lattice.element_sums(
        found.hkl.astype(float), 0.25 / found.d_spacing**2, phase.site_xyz, phase.site_element,
        phase.site_occupancy, phase.site_b_iso,
    )  # fmt: skip
    per_gram = np.sqrt(found.multiplicity / (lattice.cell_volume(cell6) * cell_mass(phase)))
    real, imaginary = sums.real * per_gram, sums.imaginary * per_gram
    if np.abs(imaginary).max(initial=0.0) <= _NOTHING * np.abs(real).max(initial=0.0):
        imaginary = np.empty((0, 0))
    return StoredReflections(
        structure=structure_hash(phase), d_spacing=found.d_spacing, elements=sums.elements, real=real,
        imaginary=imaginary,
    )  # fmt: skip


def store_reflections() -> Path:
    """Calculate the reflections of every phase of the library that has atoms and store them; return the file."""
    phases = (load_phase(name) for name in list_phases())
    found = {phase.id: calculated_reflections(phase) for phase in phases if phase.quantifiable}
    return write_stored(reference_folder() / STORED, found)
