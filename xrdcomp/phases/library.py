"""The library of reference structures: which phases there are, what is known of each, loading."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from xrdcomp.data import HeatingLosses, Phase, PhaseFacts, ReferenceLine
from xrdcomp.errors import PhaseError
from xrdcomp.phases.cif import CifStructure, apatite_member, carbonate_fraction, read_cif
from xrdcomp.phases.symmetry import expand_sites
from xrdcomp.units import CO2_PER_CARBONATE

_PHASE_FILES = frozenset({"phase.toml", "structure.cif"})


@dataclass(frozen=True, kw_only=True)
class PhaseInfo:
    """What ``phase.toml`` says of a phase; the structure itself is loaded by `load_phase`.

    `source` and `doi`: citation of the structure; `source_verified`: whether the citation was checked; False
    where it is inferred from cell and composition; `density` (float or None, g/cm³): from the literature,
    measured where such a value exists; None where unknown; `density_tolerance`: relative difference to the
    calculated density that the self-test allows; `facts`: family, losses on heating, carbonate;
    `quantifiable`: false for entries without atoms: positions only; `b_assumed`: whether displacement
    parameters were assumed rather than taken from the source; `i_over_ic`: calculated reference intensity
    ratio to corundum 113, Cu Kα1; `strongest_lines`: the pattern's strongest lines, by decreasing intensity:
    self-test, or all that is known.
    """

    id: str
    name: str
    mineral: str
    formula: str
    source: str
    source_verified: bool
    density: float | None
    density_tolerance: float
    facts: PhaseFacts
    quantifiable: bool
    b_assumed: bool
    i_over_ic: float | None
    strongest_lines: tuple[ReferenceLine, ...]
    notes: str
    doi: str = ""


def reference_folder() -> Path:
    """Folder of the reference phases: inside the installed package, or beside it in a source tree.

    Raises PhaseError: neither exists: the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
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
    """What is known of a phase without loading its structure.

    `phase`: id of the library, a folder with ``phase.toml``, or a CIF file. Returns spacings in ångström,
    density in g/cm³. Raises PhaseError: unknown id (the nearest is proposed), or a ``phase.toml`` that cannot
    be used.
    """
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
        With the full cell expanded. The id of a CIF file is its name with everything but letters and digits
        turned into underscores. ``metadata`` holds ``density`` (g/cm³, where known), ``b_assumed``
        (bool), ``b_assumed_atoms`` (CIF files: labels that got the default of 1 Å²), ``mineral``, ``doi``, and of
        structures outside the library ``user_file``, and ``apatite``: the variety, where the atoms show one.

    Raises
    ------
    PhaseError
        Unknown id, a file that is not a usable structure, a CIF without atoms.
    """
    path = Path(phase)
    if _is_cif(path):
        structure = read_cif(path)
        info = _cif_info(path, structure)
        metadata: dict[str, str | float | int | bool] = {"b_assumed": info.b_assumed, "user_file": path.name}
        if structure.b_assumed:
            metadata["b_assumed_atoms"] = " ".join(structure.b_assumed)
        return _phase(info, structure, metadata, path.name)
    folder = _folder_of(phase)
    return _from_folder(folder)


def load_phases(phases: Iterable[str | Path]) -> tuple[Phase, ...]:
    """Load several phases, in the order given.

    Parameters
    ----------
    phases : iterable of str or path
        Ids of the library, CIF files, folders with ``phase.toml`` and ``structure.cif``, or folders that hold any
        number of such folders and CIF files, which are taken in alphabetical order.

    Returns
    -------
    tuple of Phase
        Lengths in ångström, angles in degrees, B in Å².

    Raises
    ------
    PhaseError
        As `load_phase`, or an id given twice.
    """
    loaded = tuple(load_phase(part) for phase in phases for part in _parts(phase))
    seen: set[str] = set()
    for phase in loaded:
        if phase.id in seen:
            msg = f"phase {phase.id!r} is given twice."
            raise PhaseError(msg)
        seen.add(phase.id)
    return loaded


def own_phase_files(phases: Iterable[str | Path]) -> tuple[Path, ...]:
    """Files that phases from outside the library are read from, as `load_phases` takes them.

    `phases`: ids of the library, and names that are no file, have none.
    """
    files: list[Path] = []
    for part in (Path(part) for phase in phases for part in _parts(phase)):
        if str(part) in list_phases():
            continue
        files += [part / "phase.toml", part / "structure.cif"] if part.is_dir() else [part]
    return tuple(file for file in files if file.is_file())


def _parts(phase: str | Path) -> tuple[str | Path, ...]:
    """Phases of a folder that is none itself, but holds some; everything else as it is."""
    path = Path(phase)
    if str(phase) in list_phases() or not path.is_dir() or _PHASE_FILES & {p.name for p in path.iterdir()}:
        return (phase,)
    found = [item for item in path.iterdir() if item.suffix.lower() == ".cif" and item.is_file()]
    found += [item for item in path.iterdir() if (item / "phase.toml").is_file()]
    return tuple(sorted(found)) or (phase,)


def _folder_of(phase: str | Path) -> Path:
    if str(phase) in list_phases():
        return reference_folder() / str(phase)
    path = Path(phase)
    if path.is_dir():
        if (path / "phase.toml").is_file():
            return path
        msg = (
            f"{path}: holds no phase: phase.toml is missing. Expected: phase.toml and structure.cif, or, in a list of "
            "phases, any number of such folders and CIF files."
        )
        raise PhaseError(msg)
    # Ids that may be meant: by abbreviation, by formula or mineral name, by spelling.
    text = str(phase)
    plain = "".join(c for c in text.lower() if c.isalnum())
    if plain in _SHORT_NAMES:
        near = list(_SHORT_NAMES[plain])
    else:
        named = []
        for proposals_name in list_phases():
            info = _info(reference_folder() / proposals_name)
            words = (info.formula, info.mineral, info.name)
            if plain and plain in {"".join(c for c in word.lower() if c.isalnum()) for word in words}:
                named.append(proposals_name)
        near = named or difflib.get_close_matches(
            text.lower().replace("-", "_"), list_phases(), n=3, cutoff=0.5
        )
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    msg = (
        f"unknown phase {str(phase)!r}.{hint} Known: {', '.join(list_phases())}. A CIF file or a folder with "
        "phase.toml and structure.cif also serves."
    )
    raise PhaseError(msg)


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


def _toml(folder: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads((folder / "phase.toml").read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{folder / 'phase.toml'}: not readable as TOML ({error})."
        raise PhaseError(msg) from error


_KINDS: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "id": (str,),
        "name": (str,),
        "mineral": (str,),
        "formula": (str,),
        "source": (str,),
        "source_verified": (bool,),
        "doi": (str,),
        "density": (int, float),
        "density_tolerance": (int, float),
        "carbonate_fraction": (int, float),
        "family": (str,),
        "end_member": (str,),
        "salt": (bool,),
        "heating": (dict,),
        "quantifiable": (bool,),
        "b_assumed": (bool,),
        "i_over_ic": (int, float),
        "strongest_lines": (list,),
        "notes": (str,),
    }
)


def _info(folder: Path) -> PhaseInfo:
    where = folder / "phase.toml"
    entries = _toml(folder)
    for key, value in entries.items():
        if key not in _KINDS:
            near = difflib.get_close_matches(key, _KINDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            msg = f"{where}: unknown key {key!r}.{hint}"
            raise PhaseError(msg)
        if not isinstance(value, _KINDS[key]):
            msg = f"{where}: {key} is {value!r}; expected {_KINDS[key][-1].__name__}."
            raise PhaseError(msg)
    for key in ("id", "name", "formula", "source"):
        if not entries.get(key):
            msg = f"{where}: {key} is missing."
            raise PhaseError(msg)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", entries["id"]):
        msg = (
            f"{where}: id {entries['id']!r} must be letters, digits and underscores, beginning with a letter."
        )
        raise PhaseError(msg)
    if entries["id"] != folder.name:
        msg = f"{where}: id {entries['id']!r} must equal the folder's name {folder.name!r}."
        raise PhaseError(msg)
    carbonate = float(entries.get("carbonate_fraction", 0.0))
    if not 0.0 <= carbonate < 1.0:
        msg = f"{where}: carbonate_fraction {carbonate:g} is outside 0 to 1."
        raise PhaseError(msg)
    # Losses on heating as phase.toml states them; each share a mass fraction, together at most 1.
    heating_entries = entries.get("heating", {})
    allowed = {field.name for field in fields(HeatingLosses)}
    if unknown := sorted(set(heating_entries) - allowed):
        msg = f"{where}: unknown key {unknown[0]!r} under [heating]; expected {', '.join(sorted(allowed))}."
        raise PhaseError(msg)
    shares = {key: heating_entries.get(key, 0.0) for key in ("water", "organic", "carbonate")}
    numbers = all(isinstance(share, int | float) and 0.0 <= share <= 1.0 for share in shares.values())
    if not numbers or sum(shares.values()) > 1.0 + 1e-4:  # each is rounded to five decimals
        msg = (
            f"{where}: [heating] holds {shares!r}; expected mass fractions of the phase, together at most 1."
        )
        raise PhaseError(msg)
    kind, reaction = str(heating_entries.get("kind", "")), str(heating_entries.get("reaction", ""))
    heating = HeatingLosses(**shares, kind=kind, reaction=reaction)
    return PhaseInfo(
        id=entries["id"],
        name=entries["name"],
        mineral=entries.get("mineral", ""),
        formula=entries["formula"],
        source=entries["source"],
        source_verified=entries.get("source_verified", False),
        doi=entries.get("doi", ""),
        density=float(entries["density"]) if "density" in entries else None,
        density_tolerance=float(entries.get("density_tolerance", 0.04)),
        facts=PhaseFacts(
            family=entries.get("family", ""),
            end_member=entries.get("end_member", ""),
            heating=heating,
            salt=entries.get("salt", False),
            carbonate_fraction=carbonate,
        ),
        quantifiable=entries.get("quantifiable", True),
        b_assumed=entries.get("b_assumed", False),
        i_over_ic=float(entries["i_over_ic"]) if "i_over_ic" in entries else None,
        strongest_lines=_lines(entries.get("strongest_lines", []), where),
        notes=entries.get("notes", ""),
    )


def _lines(rows: list[Any], where: Path) -> tuple[ReferenceLine, ...]:
    lines = []
    for row in rows:
        good = isinstance(row, list) and len(row) == 2 and all(isinstance(x, int | float) for x in row)
        if not good or row[0] <= 0 or row[1] < 0:
            msg = f"{where}: strongest_lines holds {row!r}; expected [d in ångström, relative intensity]."
            raise PhaseError(msg)
        lines.append(ReferenceLine(d_spacing=float(row[0]), relative_intensity=float(row[1])))
    return tuple(lines)


def _from_folder(folder: Path) -> Phase:
    info = _info(folder)
    path = folder / "structure.cif"
    if not path.is_file():
        msg = f"{folder}: structure.cif is missing."
        raise PhaseError(msg)
    structure = read_cif(path)
    if info.quantifiable != bool(structure.atoms):
        state = "no atoms" if info.quantifiable else "atoms"
        msg = f"{folder}: phase.toml says quantifiable = {info.quantifiable}, but structure.cif has {state}."
        raise PhaseError(msg)
    metadata: dict[str, str | float | int | bool] = {
        "b_assumed": info.b_assumed or bool(structure.b_assumed),
        "source_verified": info.source_verified,
    }
    if structure.b_assumed:
        metadata["b_assumed_atoms"] = " ".join(structure.b_assumed)
    texts = {"mineral": info.mineral, "doi": info.doi, "notes": info.notes}
    metadata |= {key: value for key, value in texts.items() if value}
    if info.density is not None:
        metadata["density"] = info.density
    if info.i_over_ic is not None:
        metadata["i_over_ic"] = info.i_over_ic
    if folder.resolve().parent != reference_folder().resolve():
        metadata["user_file"] = str(Path(folder.name) / path.name)
    return _phase(info, structure, metadata, str(path))


def _is_cif(path: Path) -> bool:
    """Whether a phase is a CIF file; PhaseError where it is named like one and does not exist."""
    if path.suffix.lower() != ".cif":
        return False
    if not path.is_file():
        msg = f"{path}: no such file."
        raise PhaseError(msg)
    return True


def _cif_info(path: Path, structure: CifStructure) -> PhaseInfo:
    if not structure.atoms:
        msg = (
            f"{path.name}: no atoms (_atom_site), so no intensities can be calculated. Use a CIF with atoms."
        )
        raise PhaseError(msg)
    # A file's name as a phase id: ids begin names of fit parameters, so letters, digits, underscores
    # only.
    text = re.sub(r"[^A-Za-z0-9]+", "_", path.stem).strip("_")
    identifier = text if text[:1].isalpha() else f"cif_{text or 'phase'}"
    return PhaseInfo(
        id=identifier,
        name=structure.name or path.stem,
        mineral="",
        formula=structure.formula or path.stem,
        source=structure.citation or f"CIF file {path.name}",
        source_verified=False,
        density=None,
        density_tolerance=0.0,
        facts=PhaseFacts(),
        quantifiable=True,
        b_assumed=bool(structure.b_assumed),
        i_over_ic=None,
        strongest_lines=(),
        notes="",
    )


def _phase(
    info: PhaseInfo, structure: CifStructure, metadata: dict[str, str | float | int | bool], where: str
) -> Phase:
    symmetry = structure.symmetry
    full = expand_sites(structure.cell, symmetry, structure.atoms, where)
    facts = info.facts
    if not facts.carbonate_fraction and "C" in full.element:
        facts = replace(facts, carbonate_fraction=carbonate_fraction(structure.cell, full))
    if "user_file" in metadata:
        facts = replace(facts, own=True)
        member = apatite_member(symmetry.crystal_system, structure.cell, full)
        if member:
            metadata = metadata | {"apatite": member}
            facts = replace(facts, family="apatite", end_member=member)
        _refuse_borrowed_name(info.id, set(full.element), where)
    if facts.heating == HeatingLosses() and facts.carbonate_fraction and not facts.is_apatite:
        # A carbonate whose losses are not stated gives off the CO2 of its carbonate groups.
        dioxide = facts.carbonate_fraction * CO2_PER_CARBONATE
        facts = replace(
            facts, heating=HeatingLosses(carbonate=dioxide, kind="carbonate", reaction="CO3 -> O + CO2")
        )
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
        metadata=metadata,
    )


def _refuse_borrowed_name(name: str, elements: set[str], where: str) -> None:
    """Refuse a structure that is named like a phase of the library, whose properties it would get, but is another."""
    if name not in list_phases():
        return
    lacking = set(re.findall(r"[A-Z][a-z]?", _info(reference_folder() / name).formula)) - elements - {"H"}
    if lacking:
        msg = (
            f"{where}: is named like {name} of the library but holds no {' or '.join(sorted(lacking))}. Give it "
            "another name."
        )
        raise PhaseError(msg)
