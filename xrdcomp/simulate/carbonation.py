"""Occupancies of an apatite that carries carbonate in its phosphate sites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.crystals import cell_mass, metric_of
from xrdcomp.simulate.elements import atomic_mass
from xrdcomp.types import Phase, frozen_array

__all__ = ["carbonated"]

_PHOSPHATE_BOND = 1.75  # Å, above every P-O bond and below every other P…O distance
BoolArray = npt.NDArray[np.bool_]
_CO3, _PO4 = 60.009, 94.971


def carbonated(phase: Phase, carbonate: float) -> Phase:
    """Return the apatite with CO3 for PO4 (B-type), calcium vacancies for the charge.

    A share x of the phosphorus becomes carbon, of the phosphate oxygens x/4 go, and 0.3 x of the calcium
    (half a vacancy for each carbonate of a cell with six phosphates and ten calciums). The channel stays
    filled. Positions are kept: a model of the intensities, not of the structure.

    Parameters
    ----------
    phase : Phase with Ca, P and O sites
    carbonate : float
        Mass fraction of CO3 in the apatite, up to 0.2.

    Raises
    ------
    AnalysisError
        More carbonate than that, or a phase without phosphorus.
    """
    elements = np.array(phase.site_element)
    phosphorus = elements == "P"
    if not 0.0 <= carbonate <= 0.2 or not phosphorus.any():
        msg = (
            f"{carbonate:g} of CO3 cannot be put into {phase.id!r}: it takes phosphate sites and at most 0.2."
        )
        raise AnalysisError(msg)
    count = float(phase.site_occupancy[phosphorus].sum())
    calcium = float(phase.site_occupancy[elements == "Ca"].sum())
    lighter = count * (_PO4 - _CO3) + 0.3 * calcium * atomic_mass("Ca")  # of the cell, per unit share
    share = carbonate * cell_mass(phase) / (count * _CO3 + carbonate * lighter)
    occupancy = np.array(phase.site_occupancy)
    occupancy[phosphorus] *= 1.0 - share
    occupancy[_phosphate_oxygen(phase, elements)] *= 1.0 - share / 4.0
    occupancy[elements == "Ca"] *= 1.0 - 0.3 * share
    carbon = np.flatnonzero(phosphorus)
    return replace(
        phase,
        site_element=(*phase.site_element, *("C" for _ in carbon)),
        site_xyz=frozen_array(np.concatenate([phase.site_xyz, phase.site_xyz[carbon]])),
        site_occupancy=frozen_array(np.concatenate([occupancy, share * phase.site_occupancy[carbon]])),
        site_b_iso=frozen_array(np.concatenate([phase.site_b_iso, phase.site_b_iso[carbon]])),
    )


def _phosphate_oxygen(phase: Phase, elements: npt.NDArray[np.str_]) -> BoolArray:
    """Sites of oxygen bonded to phosphorus."""
    metric = metric_of(phase.cell)
    oxygen = elements == "O"
    delta = phase.site_xyz[oxygen][:, None, :] - phase.site_xyz[elements == "P"][None, :, :]
    delta -= np.rint(delta)
    distance_sq = np.einsum("opi,ij,opj->op", delta, metric, delta)
    found: BoolArray = np.zeros(len(elements), dtype=bool)
    found[oxygen] = (distance_sq < _PHOSPHATE_BOND**2).any(axis=1)
    return found
