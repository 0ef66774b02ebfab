"""Space groups from CIF data blocks and the expansion of an asymmetric unit to the full cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from xrdcomp.data import Atom, Cell
from xrdcomp.errors import PhaseError
from xrdcomp.units import FloatArray, IntArray

if TYPE_CHECKING:
    import gemmi

Number = TypeVar("Number", np.float64, np.int64)

SITE_TOLERANCE = 0.05
"""Ångström: images of an atom closer than this are one atom on a special position."""

METRIC_TOLERANCE = 2e-3
"""Relative: how far a cell may be from the symmetry of its space group (a of 4.99 beside b of 5.00)."""

CLASH_DISTANCE = 0.5
"""Ångström: two sites closer than this whose occupancies add to more than one are a duplicate."""


@dataclass(frozen=True, kw_only=True)
class Symmetry:
    """A space group in numbers: symbol with setting, crystal system, operations as in `data.Phase`."""

    symbol: str
    crystal_system: str
    rotations: IntArray
    translations: FloatArray
    centring: FloatArray


@dataclass(frozen=True, kw_only=True)
class FullCell:
    """Every site of the cell; `origin` is the position in the asymmetric unit each comes from."""

    element: tuple[str, ...]
    xyz: FloatArray
    occupancy: FloatArray
    b_iso: FloatArray
    origin: IntArray


def _frozen(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    array.setflags(write=False)
    return array


def has_cell_rules(space_group: gemmi.SpaceGroup) -> bool:
    """Whether the cell of a setting can be refined: hexagonal axes for R, b unique for monoclinic."""
    if space_group.crystal_system_str() != "monoclinic":
        return space_group.ext != "R"
    about_b = np.diag([-1, 1, -1])
    allowed = (np.eye(3), -np.eye(3), about_b, -about_b)
    rotations = [np.array(op.rot) // 24 for op in space_group.operations().sym_ops]
    return all(any((r == a).all() for a in allowed) for r in rotations)


def symmetry_of(space_group: gemmi.SpaceGroup, where: str) -> Symmetry:
    """Operations of a gemmi space group, split into centring and the rest.

    Raises PhaseError: A setting the numerical code has no cell rules for: rhombohedral axes, or a monoclinic
    cell whose unique axis is not b.
    """
    symbol, operations = space_group.xhm(), space_group.operations()
    if not has_cell_rules(space_group):
        msg = f"{where}: {symbol} is on rhombohedral axes, or monoclinic without b as unique axis."
        raise PhaseError(msg)
    return Symmetry(
        symbol=symbol,
        crystal_system=str(space_group.crystal_system_str()),
        rotations=_frozen(np.array([op.rot for op in operations.sym_ops], dtype=np.int64) // 24),
        translations=_frozen(np.array([op.tran for op in operations.sym_ops], dtype=float) / 24.0),
        centring=_frozen(np.array(list(operations.cen_ops), dtype=float) / 24.0),
    )


def orthogonal(cell: Cell) -> FloatArray:
    """Matrix that turns fractional into Cartesian coordinates in ångström; columns are the axes."""
    import gemmi

    return np.array(gemmi.UnitCell(*cell.parameters).orth.mat.tolist())


def check_cell(cell: Cell, space_group: gemmi.SpaceGroup, where: str) -> None:
    """Refuse a cell that the operations do not map onto itself: wrong symbol, wrong setting, wrong angle.

    Raises PhaseError: the metric changes by more than `METRIC_TOLERANCE` under an operation.
    """
    matrix = orthogonal(cell)
    metric = matrix.T @ matrix
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    rotations = np.array([op.rot for op in space_group.operations().sym_ops], dtype=np.int64) // 24
    turned = np.einsum("mji,jk,mkl->mil", rotations, metric, rotations)
    if np.abs((turned - metric) / scale).max() > METRIC_TOLERANCE:
        msg = (
            f"{where}: the cell {cell.parameters} does not have the symmetry of {space_group.xhm()} "
            f"({space_group.crystal_system_str()}). Check the cell, the symbol and its setting."
        )
        raise PhaseError(msg)


def expand_sites(cell: Cell, symmetry: Symmetry, atoms: tuple[Atom, ...], where: str) -> FullCell:
    """Apply every operation to every atom and merge images on special positions.

    Images within `SITE_TOLERANCE` are one site and are put at their mean, which also cleans coordinates
    such as 0.3333.

    Raises PhaseError: images that merge unevenly (an atom almost, but not quite, on a special position), or
    two atoms on one place with occupancies that add to more than one.
    """
    matrix = orthogonal(cell)
    shifts = (symmetry.translations[:, None, :] + symmetry.centring[None, :, :]).reshape(-1, 3)
    rotations = np.repeat(symmetry.rotations, len(symmetry.centring), axis=0)
    sites: list[FloatArray] = []
    for atom in atoms:
        images = rotations @ np.array(atom.xyz) + shifts
        difference = images[:, None, :] - images[None, :, :]
        difference -= np.round(difference)
        near = np.sum((difference @ matrix.T) ** 2, axis=-1) < SITE_TOLERANCE**2
        size = near.sum(axis=1)
        if (size != size[0]).any() or len(images) % size[0]:
            msg = (
                f"{where}: atom {atom.label} at {atom.xyz} lies almost on a special position (its images "
                f"merge unevenly within {SITE_TOLERANCE} ångström). Give the exact coordinates."
            )
            raise PhaseError(msg)
        first = np.flatnonzero(np.argmax(near, axis=1) == np.arange(len(images)))
        mean = images[first] - np.einsum("fk,fkx->fx", near[first], difference[first]) / size[0]
        sites.append(mean - np.floor(mean + 1e-9))
    counts = [len(s) for s in sites]
    origin = np.repeat(np.arange(len(atoms)), counts).astype(np.int64)
    full = FullCell(
        element=tuple(atoms[i].element for i in origin),
        xyz=_frozen(np.concatenate(sites) if sites else np.zeros((0, 3))),
        occupancy=_frozen(np.array([atoms[i].occupancy for i in origin], dtype=float)),
        b_iso=_frozen(np.array([atoms[i].b_iso for i in origin], dtype=float)),
        origin=_frozen(origin),
    )
    difference = full.xyz[:, None, :] - full.xyz[None, :, :]
    difference -= np.round(difference)
    distance_sq = np.sum((difference @ matrix.T) ** 2, axis=-1)
    np.fill_diagonal(distance_sq, np.inf)
    clash = (distance_sq < CLASH_DISTANCE**2) & (
        full.occupancy[:, None] + full.occupancy[None, :] > 1.0 + 1e-3
    )
    if clash.any():
        i, j = (int(k) for k in np.argwhere(clash)[0])
        one, two = atoms[int(full.origin[i])], atoms[int(full.origin[j])]
        msg = (
            f"{where}: atoms {one.label} and {two.label} lie {np.sqrt(distance_sq[i, j]):.2f} ångström apart "
            f"with occupancies {one.occupancy:g} and {two.occupancy:g}: listed twice, or the wrong setting."
        )
        raise PhaseError(msg)
    return full
