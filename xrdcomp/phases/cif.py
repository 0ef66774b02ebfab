"""Crystal structures from CIF files: space groups, atoms of the full cell, carbonate groups, apatites."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt

from xrdcomp.data import Atom, Cell
from xrdcomp.disk import MAX_STRUCTURE_BYTES, read_bytes
from xrdcomp.errors import PhaseError, ReadError
from xrdcomp.units import CO3_MASS, FloatArray, IntArray

if TYPE_CHECKING:
    import gemmi

Number = TypeVar("Number", np.float64, np.int64)

SITE_TOLERANCE = 0.05
"""Ångström: images of an atom closer than this are one atom on a special position."""

LAST_ELEMENT = 92  # uranium: scattering is tabulated so far
EDGES = (1.0, 500.0)  # ångström; no crystal has shorter ones, and longer ones have too many reflections
MAX_SITES = 4000  # of the full cell, atoms times operations before special positions are merged

METRIC_TOLERANCE = 2e-3
"""Relative: how far a cell may be from the symmetry of its space group (a of 4.99 beside b of 5.00)."""

CLASH_DISTANCE = 0.5
"""Ångström: two sites closer than this whose occupancies add to more than one are a duplicate."""


class Symmetry(msgspec.Struct, frozen=True, kw_only=True):
    """A space group in numbers: symbol with setting, crystal system, operations as in `data.Phase`."""

    symbol: str
    crystal_system: str
    rotations: IntArray
    translations: FloatArray
    centring: FloatArray


class FullCell(msgspec.Struct, frozen=True, kw_only=True):
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
        raise PhaseError(f"{where}: {symbol} is on rhombohedral axes, or monoclinic without b as unique axis.")
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
        raise PhaseError(
            f"{where}: the cell {cell.parameters} does not have the symmetry of {space_group.xhm()} "
            f"({space_group.crystal_system_str()}). Check the cell, the symbol and its setting."
        )


def expand_sites(cell: Cell, symmetry: Symmetry, atoms: tuple[Atom, ...], where: str) -> FullCell:
    """Apply every operation to every atom and merge images on special positions.

    Images within `SITE_TOLERANCE` are one site and are put at their mean, which also cleans coordinates such as 0.3333.

    Raises PhaseError: images that merge unevenly (an atom almost, but not quite, on a special position), or
    two atoms on one place with occupancies that add to more than one.
    """
    matrix = orthogonal(cell)
    if (number := len(atoms) * len(symmetry.rotations) * len(symmetry.centring)) > MAX_SITES:
        raise PhaseError(
            f"{where}: {len(atoms)} atoms and the operations of {symmetry.symbol} make up to {number} sites, more than "
            f"the {MAX_SITES} that are calculated. Give one structure, without its repetitions."
        )
    shifts = (symmetry.translations[:, None, :] + symmetry.centring[None, :, :]).reshape(-1, 3)
    rotations = np.repeat(symmetry.rotations, len(symmetry.centring), axis=0)
    sites: list[FloatArray] = []
    for atom in atoms:
        images = rotations @ np.array(atom.xyz) + shifts
        difference = images[:, None, :] - images[None, :, :]
        difference -= np.rint(difference)
        away = difference @ matrix.T
        near = np.einsum("fkx,fkx->fk", away, away) < SITE_TOLERANCE**2
        size = near.sum(axis=1)
        if (size != size[0]).any() or len(images) % size[0]:
            raise PhaseError(
                f"{where}: atom {atom.label} at {atom.xyz} lies almost on a special position (its images "
                f"merge unevenly within {SITE_TOLERANCE} ångström). Give the exact coordinates."
            )
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
    for start in range(0, len(full.xyz), 256):  # so that a large cell needs little memory
        part = slice(start, start + 256)
        difference = full.xyz[part, None, :] - full.xyz[None, :, :]
        difference -= np.rint(difference)
        away = difference @ matrix.T
        distance_sq = np.einsum("fkx,fkx->fk", away, away)
        distance_sq[np.arange(len(distance_sq)), np.arange(len(distance_sq)) + start] = np.inf
        near = distance_sq < CLASH_DISTANCE**2
        clash = near & (full.occupancy[part, None] + full.occupancy[None, :] > 1.0 + 1e-3)
        if clash.any():
            i, j = (int(k) for k in np.argwhere(clash)[0])
            one, two = atoms[int(full.origin[start + i])], atoms[int(full.origin[j])]
            raise PhaseError(
                f"{where}: atoms {one.label} and {two.label} lie {np.sqrt(distance_sq[i, j]):.2f} ångström apart "
                f"with occupancies {one.occupancy:g} and {two.occupancy:g}: listed twice, or the wrong setting."
            )
    return full


# Crystal structures from CIF files; carbonate groups and members of the apatite family, told from atoms.

DEFAULT_B_ISO = 1.0
"""Å²: isotropic displacement taken for an atom whose CIF gives none; typical of minerals."""

_CELL_NAMES = ("a", "b", "c", "alpha", "beta", "gamma")
_CELL_TAGS = tuple(f"_cell_{'length' if len(name) == 1 else 'angle'}_{name}" for name in _CELL_NAMES)
_SYMBOL_TAGS = (
    "_space_group_name_Hall",
    "_symmetry_space_group_name_Hall",
    "_space_group_name_H-M_alt",
    "_symmetry_space_group_name_H-M",
    "_space_group_IT_number",
    "_symmetry_Int_Tables_number",
)
_OPERATION_TAGS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_MAGNETIC_TAGS = ("_space_group_magn", "_space_group_symop_magn", "_atom_site_moment", "_parent_propagation")
_MODULATED_TAGS = ("_cell_modulation_dimension", "_cell_wave_vector", "_space_group_ssg", "_cell_subsystem")
_OLD_ORIGINS = {" S": ":1", " Z": ":2", " HR": ":H", " RS": ":R"}
_ANISO = ("11", "22", "33", "12", "13", "23")


class CifStructure(msgspec.Struct, frozen=True, kw_only=True):
    """Structure of a CIF: names, cell, symmetry, asymmetric unit.

    `b_assumed` lists the labels of atoms that got `DEFAULT_B_ISO` because the file gives no displacement, or zero.
    """

    name: str
    formula: str
    cell: Cell
    symmetry: Symmetry
    atoms: tuple[Atom, ...]
    b_assumed: tuple[str, ...]
    citation: str


def read_cif(path: Path) -> CifStructure:
    """Read the structure of a CIF: of its data blocks, the one with a cell and atoms.

    Displacements are taken from U_iso, B_iso or the anisotropic tensor (then U_eq = trace in the Cartesian
    frame / 3). Symmetry operations, where listed, decide over the symbol. Rhombohedral axes and monoclinic cells whose
    unique axis is not b are turned into the group's reference setting, coordinates and cell alike.

    Raises PhaseError: A file that is not CIF, with several structures, without cell or symmetry, of a
    magnetic or modulated structure, with values that are not numbers, occupancies outside 0 to 1,
    displacements below zero, unknown elements, or a cell without the symmetry of the group.
    """
    import gemmi

    where = path.name
    try:
        data = read_bytes(path, limit=MAX_STRUCTURE_BYTES, expected="a CIF file")
    except ReadError as error:
        raise PhaseError(str(error)) from error
    try:
        document = gemmi.cif.read_string(_decoded(data))
    except (ValueError, RuntimeError) as error:
        place = str(error).removeprefix("string:")
        msg = f"{where}: not a readable CIF file ({place}). Export the structure again, as CIF 1.1 text."
        raise PhaseError(msg) from error
    # The block with a cell and atoms, the first with a cell where none has atoms.
    cells = [block for block in document if block.find_value("_cell_length_a") is not None]
    full = [block for block in cells if len(block.find_values("_atom_site_fract_x"))]
    if len(full) > 1:
        names = ", ".join(f"data_{block.name}" for block in full)
        msg = f"{where}: {len(full)} structures ({names}); which one is meant? Keep one data block per file."
        raise PhaseError(msg)
    if not cells:
        msg = f"{where}: no data block with a unit cell (_cell_length_a …). Export the structure as small-molecule CIF."
        raise PhaseError(msg)
    block = (full or cells)[0]
    # Magnetic and modulated structures have lines that this program does not calculate.
    for item in block:
        pair = cast("tuple[str, str] | None", item.pair)
        tags = (pair[0],) if pair is not None else tuple(item.loop.tags) if item.loop else ()
        for tag in tags:
            name = tag.lower()
            kind = "magnetic" if name.startswith(_MAGNETIC_TAGS) else ""
            if name.startswith(_MODULATED_TAGS) and _text(block, (tag,)) != "0":
                kind = "modulated"
            if kind:
                raise PhaseError(
                    f"{where}: {tag} belongs to a {kind} structure, whose X-ray reflections cannot be calculated here. "
                    "Give the nuclear, three-dimensional average structure."
                )
    values = [_number(block.find_value(tag), tag, where) for tag in _CELL_TAGS]
    if min(values) <= 0 or max(values[3:]) >= 180:
        raise PhaseError(f"{where}: the cell {values} is not a cell: all must be positive, angles below 180 degrees.")
    cosines = np.cos(np.radians(values[3:]))
    if not 1.0 + 2.0 * np.prod(cosines) - float((cosines**2).sum()) > 1e-4:
        raise PhaseError(f"{where}: the angles {values[3:]} enclose no volume. Check the cell.")
    if not EDGES[0] <= min(values[:3]) <= max(values[:3]) <= EDGES[1]:
        raise PhaseError(f"{where}: the edges {values[:3]} are not within {EDGES[0]:g} to {EDGES[1]:g} ångström.")
    cell = Cell(**dict(zip(_CELL_NAMES, values, strict=True)))
    group = _space_group(block, cell, where)
    symmetry = symmetry_of(group, where) if has_cell_rules(group) else None
    check_cell(cell, group, where)
    atoms, assumed = _atoms(block, cell, where)
    if symmetry is None:
        # Into the group's reference setting, cell and coordinates; isotropic displacements do not change.
        unit = gemmi.UnitCell(*cell.parameters).changed_basis_backward(group.basisop, set_images=False)
        change = group.basisop.inverse()
        moved = [[float(x) for x in change.apply_to_xyz(list(atom.xyz))] for atom in atoms]
        atoms = tuple(replace(a, xyz=(x, y, z)) for a, (x, y, z) in zip(atoms, moved, strict=True))
        values = [unit.a, unit.b, unit.c, *(round(angle, 6) for angle in (unit.alpha, unit.beta, unit.gamma))]
        cell = Cell(**dict(zip(_CELL_NAMES, values, strict=True)))
        symmetry = symmetry_of(gemmi.get_spacegroup_reference_setting(group.number), where)
    # Authors, journal, volume, year and page as far as the file names them.
    parts = [", ".join(gemmi.cif.as_string(name) for name in block.find_values("_publ_author_name"))]
    parts += [_text(block, (f"_journal_{tag}",)) for tag in ("name_full", "volume", "year", "page_first")]
    return CifStructure(
        name=_text(block, ("_chemical_name_mineral", "_chemical_name_common", "_chemical_name_systematic")),
        formula=_text(block, ("_chemical_formula_sum", "_chemical_formula_structural")),
        cell=cell,
        symmetry=symmetry,
        atoms=atoms,
        b_assumed=assumed,
        citation=", ".join(part for part in parts if part),
    )


def _decoded(data: bytes) -> str:
    """Text of a file in UTF-16 with its byte-order mark, in UTF-8 with or without one, else in Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _text(block: gemmi.cif.Block, tags: tuple[str, ...]) -> str:
    import gemmi

    for tag in tags:
        value = block.find_value(tag)
        if value is not None and value not in (".", "?"):
            return " ".join(gemmi.cif.as_string(value).split())
    return ""


def _number(text: str | None, what: str, where: str) -> float:
    import gemmi

    value = math.nan if text is None else float(gemmi.cif.as_number(text))
    if not math.isfinite(value):
        raise PhaseError(f"{where}: {what} is {'missing' if text is None else repr(text)}; expected a number.")
    return value


def _space_group(block: gemmi.cif.Block, cell: Cell, where: str) -> gemmi.SpaceGroup:
    import gemmi

    for tag in _OPERATION_TAGS:
        listed = [gemmi.cif.as_string(value) for value in block.find_values(tag)]
        if not listed:
            continue
        if len(listed) > 192:
            raise PhaseError(f"{where}: {tag} lists {len(listed)} operations; no space group has more than 192.")
        try:
            found = gemmi.find_spacegroup_by_ops(gemmi.GroupOps([gemmi.Op(text) for text in listed]))
        except (ValueError, RuntimeError) as error:
            raise PhaseError(f"{where}: {tag} holds an operation that cannot be read ({error}).") from error
        if not found:  # gemmi gives None where it knows none
            raise PhaseError(
                f"{where}: the {len(listed)} operations of {tag} are not those of any tabulated setting. Write the "
                "structure in a standard setting, or with all atoms of the cell in P 1."
            )
        return found
    tried = []
    for tag in _SYMBOL_TAGS:
        symbol = _text(block, (tag,))
        if not symbol:
            continue
        tried.append(symbol)
        if tag.endswith("Hall"):
            with contextlib.suppress(ValueError, RuntimeError):
                found = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(symbol))
                if found:
                    return found
            continue
        if re.fullmatch("[0-9]{1,3}", symbol):
            found = gemmi.find_spacegroup_by_number(int(symbol))
        else:  # the angles tell R:H from R:R
            old = next((end for end in _OLD_ORIGINS if symbol.endswith(end)), "")
            new = symbol.removesuffix(old) + _OLD_ORIGINS.get(old, "")
            found = gemmi.find_spacegroup_by_name(new, cell.alpha, cell.gamma)
        if not found:  # gemmi gives None where it knows none
            continue
        if found.ext in ("1", "2") and not symbol.endswith((f":{found.ext}", " S", " Z")):
            raise PhaseError(
                f"{where}: {symbol!r} has two choices of origin, and the file lists no operations. List them, "
                f"or write '{found.hm}:1' or '{found.hm}:2'."
            )
        return found
    msg = f"{where}: no space group: neither operations nor a symbol that is known (found: {tried or 'none'})."
    raise PhaseError(msg)


def _atoms(block: gemmi.cif.Block, cell: Cell, where: str) -> tuple[tuple[Atom, ...], tuple[str, ...]]:
    """Atoms of the asymmetric unit, and the labels of those whose displacement is assumed."""
    import gemmi

    tags = ["fract_x", "fract_y", "fract_z", "?label", "?type_symbol", "?occupancy"]
    tags += ["?U_iso_or_equiv", "?B_iso_or_equiv", "?calc_flag"]
    table = block.find("_atom_site_", tags)
    # B_iso of every atom with an anisotropic tensor, by label
    unit, tensors = gemmi.UnitCell(*cell.parameters), dict[str, float]()
    for kind, factor in (("U", 8.0 * math.pi**2), ("B", 1.0)):
        for row in block.find("_atom_site_aniso_", ["label", *(f"{kind}_{ij}" for ij in _ANISO)]):
            if any(gemmi.cif.is_null(row[i]) for i in range(1, 7)):
                continue
            place = f"{where}, atom {row.str(0)}"
            values = [_number(row[1 + i], f"{kind}_{ij}", place) for i, ij in enumerate(_ANISO)]
            tensors[row.str(0)] = factor * unit.calculate_u_eq(gemmi.SMat33d(*values))
    in_formula = frozenset(re.findall(r"[A-Z][a-z]?", _text(block, ("_chemical_formula_sum",))))
    atoms: list[Atom] = []
    assumed: list[str] = []
    for number, row in enumerate(table, start=1):
        label = row.str(3) if _given(row, 3) else f"atom {number}"
        place = f"{where}, atom {label}"
        if _given(row, 8) and row.str(8) == "dum":
            continue  # a place in the structure, not an atom
        xyz = [_number(row[i], f"fract_{axis}", place) for i, axis in enumerate("xyz")]
        if max(map(abs, xyz)) > 100.0:
            raise PhaseError(f"{place}: the coordinates {xyz} are not fractions of the cell.")
        occupancy = _number(row[5], "occupancy", place) if _given(row, 5) else 1.0
        if not 0.0 < occupancy <= 1.0 + 1e-6:
            raise PhaseError(
                f"{place}: occupancy {occupancy:g} is not above 0 and at most 1; remove rows of atoms that are not "
                "there."
            )
        if _given(row, 6):
            b_iso = 8.0 * math.pi**2 * _number(row[6], "U_iso_or_equiv", place)
        else:
            b_iso = _number(row[7], "B_iso_or_equiv", place) if _given(row, 7) else tensors.get(label, 0.0)
        if not 0.0 <= b_iso <= 500.0:
            state = "negative" if b_iso < 0 else "larger than any crystal's"
            raise PhaseError(f"{place}: displacement B = {b_iso:.3f} Å² is {state}.")
        if not b_iso:  # not given; calculated structures write zero
            assumed.append(label)
            b_iso = DEFAULT_B_ISO
        element = _from_type(row.str(4), place) if _given(row, 4) else _from_label(label, in_formula, place)
        if gemmi.Element(element).atomic_number > LAST_ELEMENT:
            raise PhaseError(f"{place}: the scattering of {element} is not tabulated. Elements from H to U are.")
        x, y, z = xyz
        share = min(occupancy, 1.0)
        atoms.append(Atom(label=label, element=element, xyz=(x, y, z), occupancy=share, b_iso=b_iso))
    return tuple(atoms), tuple(assumed)


def _given(row: gemmi.cif.Table.Row, column: int) -> bool:
    import gemmi

    return row.has(column) and not gemmi.cif.is_null(row[column])


def _symbol(text: str) -> str:
    """The text as an element symbol, "" where it is none; deuterium counts as hydrogen."""
    import gemmi

    candidate = text.capitalize()
    if candidate == "D":
        return "H"
    return candidate if candidate and gemmi.Element(candidate).name == candidate != "X" else ""


def _from_type(text: str, place: str) -> str:
    """Element of a type symbol: ``Ca``, ``Ca2+``, ``CA``, ``O2-``, ``OH``; no other group of letters (``Wat``)."""
    letters = re.match(r"[A-Za-z]*", text)
    name = letters.group() if letters else ""
    element = "O" if name.upper() == "OH" else _symbol(name)
    if not element or re.search(r"\d[A-Za-z]", text):
        msg = f"{place}: no element can be told from type symbol {text!r}. Write a symbol, as in Ca or Ca2+."
        raise PhaseError(msg)
    return element


def _from_label(label: str, in_formula: frozenset[str], place: str) -> str:
    """Element of a label where the file has no type symbols: ``Ca1``, ``OW2``, ``O(H)``, ``PB1``.

    The second letter belongs to the symbol where it is small (``Ca``), not where it is large (``PB1`` is
    phosphorus on a site B), unless the formula says otherwise (``CA1`` with Ca and no C in the formula).
    """
    letters = re.match(r"[A-Za-z]*", label)
    name = letters.group() if letters else ""
    name = "O" if name.lower() == "wat" else name  # water, as mineral databases label its oxygen
    two, one = (_symbol(name[:2]) if len(name) > 1 else ""), _symbol(name[:1])
    choices = (two, one) if name[1:2].islower() else (one, two)
    known = {"H" if element == "D" else element for element in in_formula}
    fitting = [element for element in choices if element and (not known or element in known)]
    if not fitting:
        raise PhaseError(
            f"{place}: no element can be told from label {label!r}"
            + (f" that is in the formula ({', '.join(sorted(known))})" if known else "")
            + ". Add the column _atom_site_type_symbol."
        )
    return fitting[0]


_BOND = 1.45  # Å; carbon to oxygen in a carbonate is 1.28 Å, one side of a disordered group up to 1.4
_NEIGHBOUR = 1.75  # Å; carbon bonded to carbon, nitrogen or sulphur belongs to an organic molecule
_A_RANGE, _C_RANGE = (9.15, 9.80), (6.65, 7.10)  # Å, calcium phosphate apatites of any substitution
_LEAST_CALCIUM, _LEAST_PHOSPHORUS = 5.0, 3.0  # of 10 and 6 in the cell


def carbonate_fraction(cell: Cell, full: FullCell) -> float:
    """Mass fraction of CO3 in carbonate groups: carbon with three oxygen neighbours and no other.

    Carbon of full occupancy needs three oxygen atoms within 1.45 Å (an oxalate has two, a urea group one); disordered
    carbon, whose oxygen atoms overlap, needs any.

    Returns 0 to 1.
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
    return CO3_MASS * found / mass if found else 0.0


def apatite_member(crystal_system: str, cell: Cell, full: FullCell) -> str:
    """End member of the calcium phosphate apatites that a structure is, by cell and contents; "" for another.

    Returns ``hydroxyapatite``, ``fluorapatite`` or ``chlorapatite``, by what fills at least half of the channel;
    carbonate apatite counts as hydroxyapatite. Monoclinic apatite, whose cell is doubled, is not recognised.
    """
    number = _contents(full)
    sized = _A_RANGE[0] < cell.a < _A_RANGE[1] and _C_RANGE[0] < cell.c < _C_RANGE[1]
    if not sized or crystal_system not in ("hexagonal", "trigonal"):
        return ""
    if number.get("Ca", 0.0) < _LEAST_CALCIUM or number.get("P", 0.0) < _LEAST_PHOSPHORUS:
        return ""
    fluorine, chlorine = number.get("F", 0.0), number.get("Cl", 0.0)
    if max(fluorine, chlorine) < 1.0:
        return "hydroxyapatite"
    return "fluorapatite" if fluorine >= chlorine else "chlorapatite"


def _contents(full: FullCell) -> Mapping[str, float]:
    """Atoms of each element in the cell."""
    return {e: float(full.occupancy[np.array(full.element) == e].sum()) for e in dict.fromkeys(full.element)}
