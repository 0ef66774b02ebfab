"""Microabsorption of the phases whose grains are coarse enough to matter, at a stated typical grain size.

Grains of a phase that absorbs more than the mean of the powder hide part of their own scattering [Brindley 1945
Phil. Mag. 36, 347]. Its size is rarely measured; ground powders have grains of a few micrometres. Correcting for
a typical size and carrying the whole correction's uncertainty is nearer the truth than no correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from xrdcomp.errors import AnalysisError
from xrdcomp.physics import amorphous as amorphous_physics
from xrdcomp.physics import corrections, lattice, scattering
from xrdcomp.types import FloatArray, Phase

__all__ = ["COARSE_NM", "GRAIN_LOG_STD", "KNOWN_LOG_STD", "apply_factors", "grain_factors"]

GRAIN_LOG_STD = 0.7
"""Standard deviation of ln(grain size): a factor of two either way."""

KNOWN_LOG_STD = 0.35
"""The same of a grain size that was measured: one diameter for grains of many sizes and shapes."""

COARSE_NM = 60.0
"""Crystallites below this size belong to aggregates of nano-crystals in a matrix, which absorb like it."""

_CONTRAST_MAX = 2.9  # |Δμ|·D; beyond 3 Brindley's factor means nothing
_DENSITY = {"protein": 1.35, "lipid": 0.91, "water": 1.0, "amorphous_calcium_phosphate": 2.3}  # g/cm³
_DALTON_PER_CUBIC_ANGSTROM = 1.66053907


def grain_factors(
    phases: Sequence[Phase],
    amounts: Mapping[str, float],
    sizes_nm: Mapping[str, float],
    *,
    wavelength: float,
    grain_size_um: float,
    known_um: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Brindley factors τ by which apparent amounts are to be divided.

    Parameters
    ----------
    amounts : mapping
        Apparent masses of phases and amorphous components, any common unit.
    sizes_nm : mapping
        Crystallite size of each phase; phases below 60 nm get τ = 1.
    wavelength : float, ångström
    grain_size_um : float
        Typical grain diameter; 0 turns the correction off, larger makes it stronger.
    known_um : mapping, optional
        Phase id → its own grain diameter, whatever the size of its crystallites.

    Returns
    -------
    dict, phase id → τ

    Raises
    ------
    AnalysisError
        A known diameter gives a factor beyond 2 either way, where the theory ends.
    """
    known = known_um or {}
    linear: dict[str, float] = {}
    volume: dict[str, float] = {}
    for phase in phases:
        atoms: dict[str, float] = {}
        for element, occupancy in zip(phase.site_element, phase.site_occupancy, strict=True):
            atoms[element] = atoms.get(element, 0.0) + float(occupancy)
        mass = sum(scattering.atomic_weight(e) * n for e, n in atoms.items())
        density = mass * _DALTON_PER_CUBIC_ANGSTROM / lattice.cell_volume(phase.cell.parameters)
        attenuation = scattering.mass_attenuation_of(scattering.mass_fractions_of(atoms), wavelength)
        linear[phase.id] = density * attenuation
        volume[phase.id] = max(amounts.get(phase.id, 0.0), 0.0) / density
    for name, density in _DENSITY.items():
        if name in amounts:
            fractions = amorphous_physics.mass_fractions(amorphous_physics.AMORPHOUS[name].atoms)
            linear[name] = density * scattering.mass_attenuation_of(fractions, wavelength)
            volume[name] = max(amounts[name], 0.0) / density
    total = sum(volume.values())
    if total <= 0.0 or (grain_size_um <= 0.0 and not known):
        return {phase.id: 1.0 for phase in phases}
    mean = sum(volume[name] * linear[name] for name in volume) / total
    out = {}
    for phase in phases:
        size = known.get(phase.id, grain_size_um if sizes_nm.get(phase.id, 0.0) >= COARSE_NM else 0.0)
        contrast = abs(linear[phase.id] - mean) * 1e-4
        inside = min(size, _CONTRAST_MAX / max(contrast, 1e-12))
        out[phase.id] = float(corrections.brindley_factor(linear[phase.id], mean, inside)) if inside else 1.0
        if phase.id in known and (inside < size or not 0.5 < out[phase.id] < 2.0):
            msg = (
                f"grains of {size:g} µm give {phase.id} a microabsorption factor of {out[phase.id]:.2f}, beyond "
                "what the correction can do. Grind finer, below 10 µm."
            )
            raise AnalysisError(msg)
    return out


def apply_factors(
    amounts: FloatArray, covariance: FloatArray, factors: FloatArray, known: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Divide amounts by their factors; the uncertainty of the typical grain size is common to all that have it.

    ln τ is proportional to the grain size to first order, so that its standard deviation is |ln τ| times that
    of ln(size): 0.7 for the typical size, 0.35, independently, for each size that was measured.

    Parameters
    ----------
    amounts, covariance, factors : (n,), (n, n), (n,) arrays
    known : (n,) array of bool
        Whose grains were measured.
    """
    corrected = amounts / factors
    scaled = covariance / np.outer(factors, factors)
    moved = corrected * np.log(factors)
    common = np.where(known, 0.0, GRAIN_LOG_STD * moved)
    own = np.where(known, KNOWN_LOG_STD * moved, 0.0)
    return corrected, scaled + np.outer(common, common) + np.diag(own**2)
