"""The library of reference structures: ids, facts, and loading, from the library and from files of the user."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
import numpy as np

from xrdcomp.data import HeatingLosses, Phase, PhaseFacts, ReferenceLine
from xrdcomp.disk import read_toml
from xrdcomp.errors import ArgumentError, PhaseError, RecipeError
from xrdcomp.units import CO2_PER_CARBONATE

if TYPE_CHECKING:
    from xrdcomp.phases.cif import CifStructure

PhasesLike: TypeAlias = "str | os.PathLike[str] | Phase | Iterable[str | os.PathLike[str] | Phase]"
"""One phase or several: loaded ones, ids of the library, CIF files, phase folders."""
_PHASE_FILES = frozenset({"phase.toml", "structure.cif"})


@dataclass(frozen=True, kw_only=True)
class PhaseInfo:
    """Facts of ``phase.toml``, whose keys are these fields and those of `facts`; `load_phase` loads the structure.

    `source_verified` is false where the citation is inferred from cell and composition; `density` in g/cm³, measured
    where such a value exists, and `density_tolerance` the relative difference to the calculated one that the self-test
    allows; `quantifiable` is false for entries without atoms: positions only; `b_assumed`: displacement parameters are
    not from the source; `i_over_ic`: calculated reference intensity ratio to corundum 113, Cu Kα1; `strongest_lines`
    by decreasing intensity: self-test, or all that is known; `cell_tolerance` as in `data.Phase`, one number for both
    directions of all edges, 0 where it is unknown.
    """

    id: str = ""
    name: str = ""
    mineral: str = ""
    formula: str = ""
    source: str = ""
    source_verified: bool = False
    density: float | None = None
    density_tolerance: float = 0.04
    facts: PhaseFacts = field(default_factory=PhaseFacts)
    quantifiable: bool = True
    b_assumed: bool = False
    cell_tolerance: float | dict[str, tuple[float, float]] = 0.0
    i_over_ic: float | None = None
    strongest_lines: tuple[ReferenceLine, ...] = ()
    notes: str = ""
    doi: str = ""


_FACTS = ("family", "end_member", "salt", "carbonate_fraction", "heating", "biomineral", "b_iso")
_KEYS = tuple(item.name for item in fields(PhaseInfo) if item.name != "facts") + _FACTS


def reference_folder() -> Path:
    """Folder of the reference phases: inside the installed package, or beside it in a source tree.

    Raises PhaseError: neither exists: the installation is incomplete.
    """
    return _reference_folder(__file__)


@cache
def _reference_folder(file: str) -> Path:
    package = Path(file).resolve().parents[1]
    candidates = (package / "_data" / "reference_patterns", package.parent / "data" / "reference_patterns")
    for folder in candidates:
        if folder.is_dir():
            return folder
    msg = f"the reference phases are missing: neither {candidates[0]} nor {candidates[1]} exists. Reinstall."
    raise PhaseError(msg)


@cache
def list_phases() -> tuple[str, ...]:
    """Ids of all reference phases, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in reference_folder().glob("*/phase.toml")))


def phase_info(phase: str | Path) -> PhaseInfo:
    """Facts of a phase without its structure.

    `phase`: id of the library, a folder with ``phase.toml``, or a CIF file. Returns spacings in ångström, density in
    g/cm³. Raises PhaseError: unknown id (the nearest is proposed), or a ``phase.toml`` that cannot be used.
    """
    from xrdcomp.phases.cif import read_cif

    path = Path(phase)
    return _cif_info(path, read_cif(path)) if _is_cif(path) else _info(_folder_of(phase))


def load_phase(phase: str | Path) -> Phase:
    """Load one phase, from the library or from the user's own files.

    Parameters
    ----------
    phase : str or Path
        Id of the library (``"hydroxyapatite"``), a CIF file, or a folder with ``phase.toml`` and
        ``structure.cif`` (``load_phases`` takes folders of these as well).

    Returns
    -------
    Phase
        With the full cell expanded. The id of a CIF file is its name with everything but letters and digits turned into
        underscores. ``metadata`` holds ``density`` (g/cm³, where known), ``b_assumed`` (bool), ``b_assumed_atoms`` (CIF
        files: labels that got the default of 1 Å²), ``mineral``, ``doi``, and of structures outside the library
        ``user_file``, and ``apatite``: the member of that family, where the atoms show one.

    Raises
    ------
    PhaseError
        Unknown id, a file that is not a usable structure, a CIF without atoms.
    """
    if str(phase) in list_phases():
        return _of_library(str(phase), reference_folder())
    return _loaded(phase)


@lru_cache(maxsize=512)
def _of_library(phase: str, folder: Path) -> Phase:
    """Phase of the library, made once: what is drawn of it for one specimen then serves the next."""
    stored = _stored(folder).get(phase)
    return stored.phase if stored and stored.source == _source(folder / phase) else _loaded(folder / phase)


# What was made of the library's files, stored beside them: reading and expanding all structures takes a tenth of a
# command. The files decide: a phase whose files are others than those it was made of is loaded from them.

STORED = "library.msgpack"
Stored = TypeVar("Stored")


class StoredPhase(msgspec.Struct, frozen=True, kw_only=True):
    """A phase, and the hash of the files that it was made of."""

    source: str
    phase: Phase


def _source(folder: Path) -> str:
    files = [path.read_bytes() for name in sorted(_PHASE_FILES) if (path := folder / name).is_file()]
    return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in files)).hexdigest()


def store_library() -> Path:
    """Load every phase of the library from its files and store what was made of them; return the file."""
    folder = reference_folder()
    phases = {name: StoredPhase(source=_source(folder / name), phase=_loaded(name)) for name in list_phases()}
    return write_stored(folder / STORED, phases)


@lru_cache(maxsize=4)
def _stored(folder: Path) -> Mapping[str, StoredPhase]:
    """Phases that `store_library` left in a folder, by id; none where there is no such file, or one of other fields."""
    return read_stored(folder / STORED, dict[str, StoredPhase])


def write_stored(path: Path, items: Mapping[str, Any]) -> Path:
    """Write objects with arrays, by id, in the form that `read_stored` reads."""

    def plain(array: Any) -> dict[str, Any]:
        return {"kind": array.dtype.str, "shape": array.shape, "data": array.tobytes()}

    path.write_bytes(msgspec.msgpack.encode(items, enc_hook=plain))
    return path


def read_stored(path: Path, kind: type[dict[str, Stored]]) -> dict[str, Stored]:
    """Objects that `write_stored` wrote; none where there is no such file, or one of other fields."""

    def array(_: Any, told: Any) -> Any:
        values = np.frombuffer(told["data"], told["kind"]).reshape(told["shape"]).copy()
        values.flags.writeable = False
        return values

    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind, strict=True, dec_hook=array)
    except (OSError, msgspec.DecodeError):
        return {}


def _loaded(phase: str | Path) -> Phase:
    # few phases are read from their files, and then most of a command's time goes elsewhere
    from xrdcomp.phases.cif import apatite_member, carbonate_fraction, expand_sites, read_cif

    path = Path(phase)
    metadata: dict[str, str | float | int | bool] = {}
    if _is_cif(path):
        structure, where, user_file = read_cif(path), path.name, path.name
        info = _cif_info(path, structure)
    else:
        folder = _folder_of(phase)
        info, path = _info(folder), folder / "structure.cif"
        if not path.is_file():
            raise PhaseError(f"{folder}: structure.cif is missing.")
        structure, where = read_cif(path), str(path)
        metadata["source_verified"] = info.source_verified
        if info.quantifiable != bool(structure.atoms):
            state = "no atoms" if info.quantifiable else "atoms"
            msg = f"{folder}: phase.toml says quantifiable = {info.quantifiable}, but structure.cif has {state}."
            raise PhaseError(msg)
        own = folder.resolve().parent != reference_folder().resolve()
        user_file = str(Path(folder.name) / path.name) if own else ""
    symmetry, facts = structure.symmetry, info.facts
    full = expand_sites(structure.cell, symmetry, structure.atoms, where)
    if not facts.carbonate_fraction and "C" in full.element:
        facts = replace(facts, carbonate_fraction=carbonate_fraction(structure.cell, full))
    member = ""
    if user_file:
        facts = replace(facts, own=True)
        if member := apatite_member(symmetry.crystal_system, structure.cell, full):
            facts = replace(facts, family="apatite", end_member=member)
        if info.id in list_phases():  # named like a phase of the library, whose properties it would get
            known = re.findall(r"[A-Z][a-z]?", _info(reference_folder() / info.id).formula)
            if lacking := sorted({*known} - {*full.element, "H"}):
                raise PhaseError(
                    f"{where}: is named like {info.id} of the library but holds no {' or '.join(lacking)}. Give it "
                    "another name."
                )
    if facts.heating == HeatingLosses() and facts.carbonate_fraction and not facts.is_apatite:
        # A carbonate whose losses are not stated gives off the CO2 of its carbonate groups.
        dioxide = facts.carbonate_fraction * CO2_PER_CARBONATE
        losses = HeatingLosses(carbonate=dioxide, kind="carbonate", reaction="CO3 -> O + CO2")
        facts = replace(facts, heating=losses)
    tolerance = info.cell_tolerance
    if not isinstance(tolerance, Mapping):
        tolerance = dict.fromkeys("abc", (-tolerance, tolerance)) if tolerance else {}
    stated = {"b_assumed_atoms": " ".join(structure.b_assumed)}
    stated |= {key: getattr(info, key) for key in ("mineral", "doi", "notes", "density", "i_over_ic")}
    stated |= {"user_file": user_file, "apatite": member}
    metadata["b_assumed"] = info.b_assumed or bool(structure.b_assumed)
    metadata |= {key: value for key, value in stated.items() if value not in ("", None)}
    return Phase(
        id=info.id,
        name=info.name,
        formula=info.formula,
        space_group=symmetry.symbol,
        crystal_system=symmetry.crystal_system,
        cell=structure.cell,
        rotations=symmetry.rotations,
        translations=symmetry.translations,
        centring=symmetry.centring,
        atoms=structure.atoms,
        site_element=full.element,
        site_xyz=full.xyz,
        site_occupancy=full.occupancy,
        site_b_iso=full.b_iso,
        reference_lines=() if info.quantifiable else info.strongest_lines,
        source=info.source,
        facts=facts,
        cell_tolerance=tolerance,
        metadata=metadata,
    )


def load_phases(phases: PhasesLike) -> tuple[Phase, ...]:
    """Load phases, in the order given.

    Parameters
    ----------
    phases : id, path, Phase, or several of them
        Ids of the library, CIF files, folders with ``phase.toml`` and ``structure.cif``, or folders that hold any
        number of such folders and CIF files, which are taken in alphabetical order.

    Returns
    -------
    tuple of Phase
        Lengths in ångström, angles in degrees, B in Å².

    Raises
    ------
    PhaseError
        Unknown id (the nearest is proposed), a file that is no usable structure, a phase given twice.
    """
    items: Any = [phases] if isinstance(phases, str | os.PathLike | Phase) else phases
    expected = "phase ids, CIF files, phase folders or Phase objects"
    if not isinstance(items, Iterable) or isinstance(items, Mapping | bytes):
        raise ArgumentError("phases", phases, expected)
    loaded: list[Phase] = []
    for item in items:
        if not isinstance(item, str | os.PathLike | Phase):
            raise ArgumentError("phases", item, expected)
        found = [item] if isinstance(item, Phase) else [load_phase(part) for part in _parts(os.fspath(item))]
        for phase in found:
            if phase.id in {other.id for other in loaded}:
                raise PhaseError(f"phase {phase.id!r} is given twice.")
            loaded.append(phase)
    return tuple(loaded)


def own_phase_files(phases: Iterable[str | Path]) -> tuple[Path, ...]:
    """Files that phases from outside the library are read from, as `load_phases` takes them.

    `phases`: ids of the library, and names that are no file, have none.
    """
    files: list[Path] = []
    for part in (Path(part) for phase in phases for part in _parts(phase)):
        if str(part) not in list_phases():
            files += [part / "phase.toml", part / "structure.cif"] if part.is_dir() else [part]
    return tuple(file for file in files if file.is_file())


def _parts(phase: str | Path) -> tuple[str | Path, ...]:
    """Phases of a folder that is none itself, but holds some; everything else as it is."""
    path = Path(phase)
    if str(phase) in list_phases() or not path.is_dir() or _PHASE_FILES & {p.name for p in path.iterdir()}:
        return (phase,)
    held = (p for p in path.iterdir() if (p.suffix.lower() == ".cif" and p.is_file()) or (p / "phase.toml").is_file())
    return tuple(sorted(held)) or (phase,)


def _folder_of(phase: str | Path) -> Path:
    if str(phase) in list_phases():
        return reference_folder() / str(phase)
    path = Path(phase)
    if (path / "phase.toml").is_file():
        return path
    if path.is_dir():
        raise PhaseError(
            f"{path}: holds no phase: phase.toml is missing. Expected: phase.toml and structure.cif, or, in a list of "
            "phases, any number of such folders and CIF files."
        )

    # Ids that may be meant: by abbreviation, by formula or mineral name, by spelling.
    def plain(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum())

    near = list(_SHORT_NAMES.get(plain(str(phase)), ()))
    if not near and plain(str(phase)):
        known = [_info(reference_folder() / name) for name in list_phases()]
        near = [x.id for x in known if plain(str(phase)) in map(plain, (x.formula, x.mineral, x.name))]
    spelled = str(phase).lower().replace("-", "_")
    near = near or difflib.get_close_matches(spelled, list_phases(), n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    raise PhaseError(
        f"unknown phase {str(phase)!r}.{hint} Known: {', '.join(list_phases())}. A CIF file or a folder with "
        "phase.toml and structure.cif also serves."
    )


_SHORT_NAMES: Mapping[str, tuple[str, ...]] = {
    "apatite": ("hydroxyapatite", "bioapatite_model", "fluorapatite"),
    "ha": ("hydroxyapatite",),
    "hap": ("hydroxyapatite",),
    "fap": ("fluorapatite",),
    "tcp": ("beta_tcp", "alpha_tcp"),
    "ttcp": ("tetracalcium_phosphate",),
    "ocp": ("octacalcium_phosphate",),
    "dcpd": ("brushite",),
    "dcpa": ("monetite",),
    "com": ("whewellite",),
    "cod": ("weddellite",),
    "cppd": ("cppd_triclinic", "cppd_monoclinic"),
    "msu": ("monosodium_urate",),
}


def _info(folder: Path) -> PhaseInfo:  # noqa: C901 - one check of a key after the other
    """Facts of a folder's ``phase.toml``, each key and value checked."""
    where = folder / "phase.toml"
    try:
        data = read_toml(where, "facts of a phase")
    except RecipeError as error:
        raise PhaseError(str(error)) from error
    if unknown := [key for key in data if key not in _KEYS]:
        near = difflib.get_close_matches(unknown[0], _KEYS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise PhaseError(f"{where}: unknown key {unknown[0]!r}.{hint}")
    losses = {item.name for item in fields(HeatingLosses)}
    if unknown := sorted(set(data.get("heating", ())) - losses):
        raise PhaseError(f"{where}: unknown key {unknown[0]!r} under [heating]; expected {', '.join(sorted(losses))}.")
    for row in data.get("strongest_lines", ()):
        good = isinstance(row, list) and len(row) == 2 and all(isinstance(x, int | float) for x in row)
        if not good or row[0] <= 0 or row[1] < 0:
            raise PhaseError(f"{where}: strongest_lines holds {row!r}; expected [d in ångström, relative intensity].")
    nested: dict[str, Any] = {key: value for key, value in data.items() if key not in _FACTS}
    nested["facts"] = {key: data[key] for key in _FACTS if key in data}
    if "strongest_lines" in data:
        rows = data["strongest_lines"]
        nested["strongest_lines"] = [{"d_spacing": d, "relative_intensity": height} for d, height in rows]
    try:
        info = msgspec.convert(nested, PhaseInfo)
    except msgspec.ValidationError as error:
        expected, _, place = str(error).partition(" - at ")
        names = place.strip("`$.").removeprefix("facts.").split(".")
        value: Any = data
        for name in names:
            value = value[name]
        kind = re.sub("`| \\| null|, got.*|Expected ", "", expected)
        raise PhaseError(f"{where}: {'.'.join(names)} is {value!r}; expected {kind}.") from error
    for key in ("id", "name", "formula", "source"):
        if not getattr(info, key):
            raise PhaseError(f"{where}: {key} is missing.")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", info.id):
        raise PhaseError(f"{where}: id {info.id!r} must be letters, digits and underscores, beginning with a letter.")
    if info.id != folder.name:
        raise PhaseError(f"{where}: id {info.id!r} must equal the folder's name {folder.name!r}.")
    edges = info.cell_tolerance if isinstance(info.cell_tolerance, dict) else {}
    if set(edges) - set("abc") or any(not -0.1 < low <= 0.0 <= high < 0.1 for low, high in edges.values()):
        raise PhaseError(
            f"{where}: cell_tolerance holds {edges!r}; expected a, b or c = [low, high], relative, around 0."
        )
    if not 0.0 <= info.facts.carbonate_fraction < 1.0:
        raise PhaseError(f"{where}: carbonate_fraction {info.facts.carbonate_fraction:g} is outside 0 to 1.")
    if info.facts.b_iso is not None and not (info.facts.b_iso[0] > 0.0 and info.facts.b_iso[1] > 0.0):
        raise PhaseError(
            f"{where}: b_iso {info.facts.b_iso}; expected the mean B and its uncertainty, both above 0 Å²."
        )
    heating = info.facts.heating
    shares = {key: getattr(heating, key) for key in ("water", "organic", "carbonate")}
    if not all(0.0 <= x <= 1.0 for x in shares.values()) or sum(shares.values()) > 1.0 + 1e-4:  # five decimals
        msg = f"{where}: [heating] holds {shares!r}; expected mass fractions of the phase, together at most 1."
        raise PhaseError(msg)
    return info


def _is_cif(path: Path) -> bool:
    """Whether a phase is a CIF file; PhaseError where it is named like one and does not exist."""
    if path.suffix.lower() != ".cif":
        return False
    if not path.is_file():
        raise PhaseError(f"{path}: no such file.")
    return True


def _cif_info(path: Path, structure: CifStructure) -> PhaseInfo:
    if not structure.atoms:
        msg = f"{path.name}: no atoms (_atom_site), so no intensities can be calculated. Use a CIF with atoms."
        raise PhaseError(msg)
    # A file's name as a phase id: ids begin names of fit parameters, so letters, digits, underscores only.
    text = re.sub(r"[^A-Za-z0-9]+", "_", path.stem).strip("_")
    identifier = text if text[:1].isalpha() else f"cif_{text or 'phase'}"
    return PhaseInfo(
        id=identifier,
        name=structure.name or path.stem,
        formula=structure.formula or path.stem,
        source=structure.citation or f"CIF file {path.name}",
        density_tolerance=0.0,
        b_assumed=bool(structure.b_assumed),
    )
