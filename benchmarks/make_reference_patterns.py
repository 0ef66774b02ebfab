"""Write data/reference_patterns/<phase>/ from a folder of structure descriptions in JSON.

    python -m benchmarks.make_reference_patterns JSON_FOLDER data/reference_patterns

Each JSON file holds cell, space group, atoms (label, element, xyz, occ, B_iso in Å²) and literature values;
citations and what is to be said of each phase are in ``reference_sources.toml`` beside this script.
``pattern.csv`` is calculated from the CIF just written, with the package's own physics.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from xrdcomp.data import Phase
from xrdcomp.phases.library import load_phase
from xrdcomp.physics.elements import atomic_weight
from xrdcomp.physics.reflections import cell_volume, generate_reflections, structure_factor_sq
from xrdcomp.units import CO3_MASS, d_to_two_theta

CU_KALPHA1 = 1.5405929
TWO_THETA_MAX = 80.0
TWO_THETA_MAX_CELL_ONLY = 35.0  # beyond it the lines of a large cell overlap everywhere
AVOGADRO_A3 = 0.602214076  # g/mol per Å³ -> g/cm³ is 1/this
KEPT = ("family", "end_member", "salt", "heating")  # of phase.toml: known beside the structure, written by hand
CARBONATES = ("calcite", "aragonite", "vaterite")
MERGE_DEGREES = 0.06
SOURCES = Path(__file__).with_name("reference_sources.toml")


def cif_text(entry: dict[str, Any], source: str) -> str:
    """A CIF with cell, symmetry operations and isotropic atoms."""
    group = gemmi.find_spacegroup_by_name(entry["space_group"])
    cell = entry["cell"]
    lines = [f"data_{entry['key']}", ""]
    lines += [f"_chemical_name_common   {quote(entry['name'])}"]
    lines += [f"_chemical_formula_structural   {quote(entry['formula'])}"]
    lines += ["_publ_section_references", ";", *wrap(source), ";", ""]
    for tag, key in (("length_a", "a"), ("length_b", "b"), ("length_c", "c")):
        lines.append(f"_cell_{tag}   {cell[key]:g}" if cell[key] < 1 else f"_cell_{tag}   {cell[key]}")
    lines += [f"_cell_angle_{key}   {cell[key]}" for key in ("alpha", "beta", "gamma")]
    if entry.get("Z"):
        lines.append(f"_cell_formula_units_Z   {entry['Z']}")
    lines += ["", f"_space_group_name_H-M_alt   '{group.xhm()}'", f"_space_group_IT_number   {group.number}"]
    lines += ["", "loop_", "_space_group_symop_operation_xyz"]
    lines += [f"'{op.triplet()}'" for op in group.operations()]
    if entry["atoms"]:
        names = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy", "B_iso_or_equiv")
        lines += ["", "loop_", *(f"_atom_site_{name}" for name in names)]
        labels: dict[str, int] = {}
        for atom in entry["atoms"]:
            label = atom["label"]
            labels[label] = labels.get(label, 0) + 1
            if labels[label] > 1:
                label = f"{label}_{labels[label]}"
            x, y, z = atom["xyz"]
            lines.append(f"{label} {atom['element']} {x:g} {y:g} {z:g} {atom['occ']:g} {atom['B_iso']:g}")
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    return f"'{text}'" if "'" not in text else f'"{text}"'


def wrap(text: str, width: int = 78) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) + 1 > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [*lines, line]


def cell_mass(phase: Phase) -> float:
    return sum(atomic_weight(e) * float(o) for e, o in zip(phase.site_element, phase.site_occupancy, strict=True))


def powder_lines(phase: Phase) -> dict[str, np.ndarray]:
    """hkl, d, 2θ and intensity m|F|²LP of every line up to TWO_THETA_MAX, no monochromator."""
    limit = TWO_THETA_MAX if phase.quantifiable else TWO_THETA_MAX_CELL_ONLY
    d_min = CU_KALPHA1 / (2.0 * np.sin(np.radians(limit / 2.0)))
    r = generate_reflections(phase.cell.parameters, phase.rotations, phase.translations, phase.centring, d_min)
    two_theta = d_to_two_theta(r.d_spacing, CU_KALPHA1)
    theta = np.radians(two_theta / 2.0)
    lp = (1.0 + np.cos(2.0 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    intensity = np.zeros(len(r))
    if phase.quantifiable:
        f_sq = structure_factor_sq(
            r.hkl, r.d_spacing, phase.site_xyz, phase.site_element, phase.site_occupancy, phase.site_b_iso, CU_KALPHA1
        )
        intensity = r.multiplicity * f_sq * lp
    return {"hkl": r.hkl, "d": r.d_spacing, "two_theta": two_theta, "intensity": intensity}


def merged(lines: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Lines closer than MERGE_DEGREES as one: spacing (of the intensity's centre) and summed intensity."""
    keep = lines["intensity"] > 1e-6 * lines["intensity"].max()
    d, tt, value = lines["d"][keep], lines["two_theta"][keep], lines["intensity"][keep]
    group = np.concatenate([[0], np.cumsum(np.diff(tt) > MERGE_DEGREES)])
    total = np.bincount(group, value)
    return np.bincount(group, value * d) / total, total


def intensity_per_weight(phase: Phase, intensity: float) -> float:
    volume = cell_volume(phase.cell.parameters)
    density = cell_mass(phase) / (AVOGADRO_A3 * volume)
    return intensity / (volume**2 * density)


def toml_text(entry: dict[str, Any], facts: dict[str, Any], extra: dict[str, Any]) -> str:
    """The text of phase.toml."""
    rows: list[tuple[str, Any]] = [
        ("id", entry["key"]),
        ("name", facts.get("name", entry["name"])),
        ("mineral", "" if entry.get("mineral", "-") == "-" else entry["mineral"]),
        ("formula", entry["formula"]),
        ("source", facts["source"]),
        ("source_verified", facts.get("verified", False)),
        ("doi", facts.get("doi", "")),
        ("density", facts.get("density", entry.get("density_lit") or entry.get("density_lit_memory"))),
        ("density_tolerance", facts.get("density_tolerance", 0.02)),
        ("carbonate_fraction", extra["carbonate_fraction"]),
        ("quantifiable", bool(entry["atoms"])),
        ("b_assumed", any(a.get("B_assumed", False) for a in entry["atoms"]) or facts.get("b_assumed", False)),
        ("i_over_ic", extra.get("i_over_ic")),
        ("strongest_lines", extra["strongest_lines"]),
        ("notes", facts.get("notes", "")),
    ]
    rows[10:10] = [(key, value) for key, value in extra["kept"].items() if key != "heating"]
    text = "".join(f"{key} = {toml_value(value)}\n" for key, value in rows if value not in ("", None))
    heating = "".join(f"{key} = {toml_value(value)}\n" for key, value in extra["kept"].get("heating", {}).items())
    return f"{text}\n[heating]\n{heating}" if heating else text


def toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, float | int):
        return f"{value:g}" if isinstance(value, int) else repr(value)
    return json.dumps(value, ensure_ascii=False)


def pattern_text(lines: dict[str, np.ndarray], *, calculated: bool) -> str:
    top = merged(lines)[1].max() if calculated else 1.0
    rows = ["h,k,l,d_spacing,two_theta_cu_kalpha1,relative_intensity"]
    for (h, k, l_index), d, tt, value in zip(
        lines["hkl"], lines["d"], lines["two_theta"], lines["intensity"], strict=True
    ):
        relative = 100.0 * value / top
        if calculated and relative < 0.05:
            continue
        rows.append(f"{h},{k},{l_index},{d:.5f},{tt:.4f},{f'{relative:.2f}' if calculated else ''}")
    return "\n".join(rows) + "\n"


def carbonate_fraction(entry: dict[str, Any], phase: Phase) -> float:
    if not ("apatite" in entry["key"] or entry["key"] in CARBONATES) or not phase.quantifiable:
        return 0.0
    carbon = sum(float(o) for e, o in zip(phase.site_element, phase.site_occupancy, strict=True) if e == "C")
    return round(carbon * CO3_MASS / cell_mass(phase), 5)


def write_phase(entry: dict[str, Any], facts: dict[str, Any], folder: Path, corundum: float | None) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    old = folder / "phase.toml"
    known = tomllib.loads(old.read_text(encoding="utf-8")) if old.is_file() else {}
    kept = {key: known[key] for key in KEPT if key in known}
    (folder / "structure.cif").write_text(cif_text(entry, facts["source"]), encoding="utf-8")
    start: dict[str, Any] = {"carbonate_fraction": 0.0, "strongest_lines": [], "kept": kept}
    (folder / "phase.toml").write_text(toml_text(entry, facts, start), encoding="utf-8")
    phase = load_phase(folder)
    lines = powder_lines(phase)
    if phase.quantifiable:
        d, total = merged(lines)
        order = np.argsort(-total)[:10]
        strongest = [[round(float(d[i]), 4), round(100.0 * float(total[i] / total.max()), 1)] for i in order]
        own = intensity_per_weight(phase, float(total.max()))
        if corundum is None:  # this is corundum: refer to 113
            corundum = intensity_per_weight(phase, float(total[np.argmin(np.abs(d - 2.0853))]))
        ratio: float | None = round(own / corundum, 3)
    else:
        strongest = [[float(x["d_A"]), float(x["I_rel"])] for x in entry["strongest_lines"]]
        ratio = None
    extra = {
        "carbonate_fraction": carbonate_fraction(entry, phase),
        "strongest_lines": strongest,
        "i_over_ic": ratio,
        "kept": kept,
    }
    (folder / "phase.toml").write_text(toml_text(entry, facts, extra), encoding="utf-8")
    (folder / "pattern.csv").write_text(pattern_text(lines, calculated=phase.quantifiable), encoding="utf-8")
    return corundum or 0.0


def main(json_folder: Path, out: Path) -> None:
    sources = tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    entries = {path.stem: json.loads(path.read_text()) for path in sorted(json_folder.glob("*.json"))}
    reference = write_phase(entries["corundum"], sources["corundum"], out / "corundum", None)
    for key, entry in entries.items():
        if key != "corundum":
            write_phase(entry, sources[key], out / key, reference)
    print(len(entries), "phases written to", out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
