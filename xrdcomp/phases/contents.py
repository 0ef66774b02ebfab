"""What a structure is, told from its atoms: carbonate groups, apatites."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xrdcomp.phases.symmetry import FullCell, orthogonal
from xrdcomp.types import Cell

__all__ = ["apatite_variety", "carbonate_fraction"]

_CO3_MASS = 60.008

_BOND = 1.45  # Å; carbon to oxygen in a carbonate is 1.28 Å, one side of a disordered group up to 1.4
_NEIGHBOUR = 1.75  # Å; carbon bonded to carbon, nitrogen or sulphur belongs to an organic molecule
_A_RANGE, _C_RANGE = (9.15, 9.80), (6.65, 7.10)  # Å, calcium phosphate apatites of any substitution
_LEAST_CALCIUM, _LEAST_PHOSPHORUS = 5.0, 3.0  # of 10 and 6 in the cell


def carbonate_fraction(cell: Cell, full: FullCell) -> float:
    """Mass fraction of CO3 in carbonate groups: carbon with three oxygen neighbours and no other.

    Carbon of full occupancy needs three oxygen atoms within 1.45 Å (an oxalate has two, a urea group one); disordered
    carbon, whose oxygen atoms overlap, needs any.

    Parameters
    ----------
    cell : Cell
    full : FullCell

    Returns
    -------
    float
        0 to 1.
    """
    import gemmi

    element, occupancy = np.array(full.element), full.occupancy
    matrix = orthogonal(cell)
    found = 0.0
    for i in np.flatnonzero(element == "C"):
        apart = full.xyz - full.xyz[i]
        distance = np.sqrt((((apart - np.round(apart)) @ matrix.T) ** 2).sum(axis=1))
        distance[i] = np.inf
        oxygen = float(occupancy[(element == "O") & (distance < _BOND)].sum())
        if ((element != "O") & (distance < _NEIGHBOUR) & (occupancy + occupancy[i] > 1.0)).any():
            continue
        ordered = occupancy[i] > 0.99
        if (ordered and round(oxygen) == 3) or (not ordered and oxygen > 0.0):
            found += float(occupancy[i])
    mass = sum(gemmi.Element(name).weight * number for name, number in _contents(full).items())
    return _CO3_MASS * found / mass if found else 0.0


def apatite_variety(crystal_system: str, cell: Cell, full: FullCell) -> str:
    """Which apatite of calcium and phosphate a structure is, by cell and contents; "" for another structure.

    Parameters
    ----------
    crystal_system : str
    cell : Cell
    full : FullCell

    Returns
    -------
    str
        ``hydroxyapatite``, ``fluorapatite`` or ``chlorapatite``, by what fills at least half of the channel; carbonate
        apatite counts as hydroxyapatite. Monoclinic apatite, whose cell is doubled, is not recognised.
    """
    number = _contents(full)
    right_cell = (
        crystal_system in ("hexagonal", "trigonal")
        and _A_RANGE[0] < cell.a < _A_RANGE[1]
        and _C_RANGE[0] < cell.c < _C_RANGE[1]
    )
    if not right_cell or number.get("Ca", 0.0) < _LEAST_CALCIUM or number.get("P", 0.0) < _LEAST_PHOSPHORUS:
        return ""
    fluorine, chlorine = number.get("F", 0.0), number.get("Cl", 0.0)
    if max(fluorine, chlorine) < 1.0:
        return "hydroxyapatite"
    return "fluorapatite" if fluorine >= chlorine else "chlorapatite"


def _contents(full: FullCell) -> Mapping[str, float]:
    out: dict[str, float] = {}
    for element, share in zip(full.element, full.occupancy, strict=True):
        out[element] = out.get(element, 0.0) + float(share)
    return out
