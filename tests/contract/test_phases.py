"""What every reference phase promises, and what files of the user must and must not do."""

from __future__ import annotations

import csv
import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import gemmi
import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.data import Phase
from xrdcomp.errors import PhaseError
from xrdcomp.phases import library as catalogue
from xrdcomp.phases.library import list_phases, load_phase, load_phases, own_phase_files, phase_info, reference_folder
from xrdcomp.physics.corrections import lp_factor
from xrdcomp.physics.elements import atomic_weight, compound, emission_lines
from xrdcomp.physics.reflections import cell_freedom, cell_volume, generate_reflections, structure_factor_sq
from xrdcomp.units import d_to_two_theta

ALL = list_phases()
WITH_ATOMS = tuple(name for name in ALL if phase_info(name).quantifiable)
CU = emission_lines("CuKa1")[0][0]

CARBONATES = ("calcite", "aragonite", "vaterite")

# phases whose refined cell contents are known to differ from their formula, and why
CONTENTS_DIFFER = {
    "bioapatite_model": "constructed; the formula is a label",
    "calcium_deficient_apatite": "refined occupancies do not add up to the nominal formula",
    "carbonate_apatite": "carbonate carbon is not balanced by oxygen at the source",
    "chlorapatite": "channel holds Cl0.88 F0.12, rounded in the formula",
    "weddellite": "zeolitic water: x of the formula is 0.375 here",
    "whewellite": "hydrogen of the water incomplete",
    "whitlockite": "Fe replaces some Mg, Ca excess, no hydrogen",
}


@pytest.mark.parametrize("name", ALL)
def test_stored_phase_is_that_of_its_files(name: str) -> None:
    folder = reference_folder()
    stored, loaded = catalogue._stored(folder).get(name), catalogue._loaded(folder / name)
    assert stored is not None, "python -m tools.library stores it"
    assert stored.source == catalogue._source(folder / name), "python -m tools.library writes it anew"
    assert stored.phase == loaded
    assert load_phase(name) is load_phase(name)
    for item in fields(Phase):
        old, new = getattr(loaded, item.name), getattr(stored.phase, item.name)
        assert type(old) is type(new)
        if isinstance(old, np.ndarray):
            assert (old.dtype, old.shape, old.flags.writeable) == (new.dtype, new.shape, new.flags.writeable)


def test_a_changed_phase_is_loaded_from_its_files(tmp_path: Path) -> None:
    shutil.copytree(reference_folder() / "quartz", tmp_path / "quartz")
    shutil.copy(reference_folder() / catalogue.STORED, tmp_path)
    assert catalogue._of_library("quartz", tmp_path) is catalogue._stored(tmp_path)["quartz"].phase
    facts = tmp_path / "quartz" / "phase.toml"
    facts.write_text(facts.read_text(encoding="utf-8").replace("cell_tolerance", "# "), encoding="utf-8")
    catalogue._of_library.cache_clear()
    assert catalogue._of_library("quartz", tmp_path).cell_tolerance == {}
    (tmp_path / catalogue.STORED).write_bytes(b"none")
    catalogue._stored.cache_clear()
    assert catalogue._stored(tmp_path) == {}


def contents(phase: Phase) -> Counter[str]:
    counts: Counter[str] = Counter()
    for element, occupancy in zip(phase.site_element, phase.site_occupancy, strict=True):
        counts[element] += float(occupancy)
    return counts


def cell_mass_of(phase: Phase) -> float:
    """Mass of the cell's contents, g/mol."""
    return sum(atomic_weight(element) * n for element, n in contents(phase).items())


def density(phase: Phase) -> float:
    return cell_mass_of(phase) / (0.602214076 * cell_volume(phase.cell.parameters))


def merged_lines(phase: Phase, two_theta_max: float = 80.0) -> tuple[np.ndarray, np.ndarray]:
    """Spacings and intensities of lines, those nearer than 0.06 degrees taken as one."""
    d_min = CU / (2 * math.sin(math.radians(two_theta_max / 2)))
    r = generate_reflections(phase.cell.parameters, phase.rotations, phase.translations, phase.centring, d_min)
    f_sq = structure_factor_sq(
        r.hkl, r.d_spacing, phase.site_xyz, phase.site_element, phase.site_occupancy, phase.site_b_iso, CU
    )
    two_theta = d_to_two_theta(r.d_spacing, CU)
    intensity = r.multiplicity * f_sq * lp_factor(two_theta)
    keep = intensity > 1e-6 * intensity.max()
    group = np.concatenate([[0], np.cumsum(np.diff(two_theta[keep]) > 0.06)])
    total = np.bincount(group, intensity[keep])
    return np.bincount(group, intensity[keep] * r.d_spacing[keep]) / total, total


def test_the_library_is_the_frozen_list() -> None:
    assert len(ALL) == 44
    assert len(WITH_ATOMS) == 40
    assert set(ALL) >= {"hydroxyapatite", "fluorapatite", "corundum", "zincite", "fluorite", "lab6"}


@pytest.mark.parametrize("name", ALL)
def test_phase_is_complete_and_read_only(name: str) -> None:
    phase, info = load_phase(name), phase_info(name)
    assert phase.id == info.id == name
    assert phase.name
    assert phase.formula
    assert phase.source
    assert phase.quantifiable == info.quantifiable
    n = len(phase.site_element)
    assert phase.site_xyz.shape == (n, 3)
    assert phase.site_occupancy.shape == phase.site_b_iso.shape == (n,)
    for array in (phase.site_xyz, phase.site_occupancy, phase.rotations, phase.translations, phase.centring):
        assert not array.flags.writeable
    assert (phase.site_xyz >= -1e-8).all()
    assert (phase.site_xyz < 1).all()
    assert ((phase.site_occupancy > 0) & (phase.site_occupancy <= 1)).all()
    assert (phase.site_b_iso >= 0).all()
    assert len(phase.rotations) == len(phase.translations)
    assert phase.centring[0].tolist() == [0, 0, 0]
    assert cell_freedom(phase.crystal_system)
    assert set(phase.metadata) <= {
        "b_assumed",
        "b_assumed_atoms",
        "density",
        "doi",
        "i_over_ic",
        "mineral",
        "notes",
        "source_verified",
    }


@pytest.mark.parametrize("name", ALL)
def test_citation_says_whether_it_was_checked(name: str) -> None:
    info = phase_info(name)
    assert any(c.isdigit() for c in info.source) or "original paper not identified" in info.source
    if not info.source_verified:
        assert info.notes, "an unverified citation says what it rests on"
    if info.doi:
        assert info.doi.startswith("10.")


@pytest.mark.parametrize("name", ALL)
def test_group_keeps_the_cell(name: str) -> None:
    phase = load_phase(name)
    cell = gemmi.UnitCell(*phase.cell.parameters)
    metric = np.array([[cell.calculate_1_d2([1, 0, 0]), 0], [0, cell.calculate_1_d2([0, 0, 1])]])
    assert (metric >= 0).all()
    for rotation in phase.rotations:
        for hkl in ([1, 2, 3], [3, -1, 2]):
            turned = [int(i) for i in np.array(hkl) @ rotation]
            assert_close(
                cell.calculate_1_d2(turned),
                cell.calculate_1_d2(hkl),
                rtol=1e-9,
                because="an operation of the group keeps spacings",
            )
    assert gemmi.find_spacegroup_by_name(phase.space_group) is not None


@pytest.mark.parametrize("name", WITH_ATOMS)
def test_full_cell_equals_gemmis(name: str) -> None:
    phase = load_phase(name)
    structure = gemmi.read_small_structure(str(reference_folder() / name / "structure.cif"))
    theirs: Counter[str] = Counter()
    for site in structure.get_all_unit_cell_sites():
        theirs[site.element.name] += site.occ
    ours = contents(phase)
    assert set(ours) == set(theirs)
    for element, n in ours.items():
        assert_close(n, theirs[element], atol=1e-3, because="occupancies have at most four digits")


@pytest.mark.parametrize("name", WITH_ATOMS)
def test_contents_agree_with_the_formula(name: str) -> None:
    if name in CONTENTS_DIFFER:
        assert phase_info(name).notes, CONTENTS_DIFFER[name]
        return
    phase = load_phase(name)
    counts = contents(phase)
    mass = cell_mass_of(phase)
    expected = compound(phase.formula)
    assert set(expected) == set(counts)
    for element, w in expected.items():
        assert_close(
            atomic_weight(element) * counts[element] / mass,
            w,
            atol=1e-3,
            because="disordered occupancies such as 0.333 are rounded",
        )


@pytest.mark.parametrize("name", WITH_ATOMS)
def test_density(name: str) -> None:
    info = phase_info(name)
    if info.density is None:
        assert name in ("bioapatite_model", "carbonate_apatite"), "only these have no measured density"
        return
    assert info.density_tolerance <= 0.04
    assert_close(
        density(load_phase(name)),
        info.density,
        rtol=info.density_tolerance,
        because="purity of the measured material; where wider than 2 %, phase.toml says why",
    )


@pytest.mark.parametrize("name", WITH_ATOMS)
def test_no_atoms_clash(name: str) -> None:
    phase = load_phase(name)
    cell = gemmi.UnitCell(*phase.cell.parameters)
    matrix = np.array(cell.orth.mat.tolist())
    heavy = np.array([e != "H" for e in phase.site_element]) & (phase.site_occupancy > 0.999)
    xyz = phase.site_xyz[heavy]
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
    difference = xyz[:, None, None, :] - xyz[None, :, None, :] + shifts
    distance = np.linalg.norm(difference @ matrix.T, axis=-1)
    shortest = distance[distance > 1e-6].min()
    assert shortest > 1.15, "shorter than a C-O or C-N bond"


@pytest.mark.parametrize("name", WITH_ATOMS)
def test_strongest_lines_are_reproduced(name: str) -> None:
    info = phase_info(name)
    assert len(info.strongest_lines) >= 5 or name in ("lime", "periclase")
    d, total = merged_lines(load_phase(name))
    for line in info.strongest_lines:
        i = int(np.argmin(np.abs(d - line.d_spacing)))
        assert_close(d[i], line.d_spacing, rtol=1e-4, because="four printed decimals")
        assert_close(100 * total[i] / total.max(), line.relative_intensity, atol=0.11, because="one printed decimal")


@pytest.mark.parametrize("name", ALL)
def test_calculated_pattern_file_matches(name: str) -> None:
    phase = load_phase(name)
    with (reference_folder() / name / "pattern.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    hkl = np.array([[int(row[c]) for c in "hkl"] for row in rows])
    d = np.array([float(row["d_spacing"]) for row in rows])
    r = generate_reflections(phase.cell.parameters, phase.rotations, phase.translations, phase.centring, d.min() - 1e-4)
    place = {tuple(h): float(x) for h, x in zip(r.hkl.tolist(), r.d_spacing, strict=True)}
    assert_close([place[tuple(h)] for h in hkl.tolist()], d, atol=1e-5, because="five printed decimals")
    two_theta = np.array([float(row["two_theta_cu_kalpha1"]) for row in rows])
    assert_close(d_to_two_theta(d, CU), two_theta, atol=0.002, because="d is printed with five decimals")
    assert all(bool(row["relative_intensity"]) == phase.quantifiable for row in rows)


def test_entries_without_atoms_hold_positions_only() -> None:
    for name in set(ALL) - set(WITH_ATOMS):
        phase = load_phase(name)
        assert phase.atoms == ()
        assert not phase.quantifiable
        assert "never quantified" in phase_info(name).notes
        lattice_lines = generate_reflections(
            phase.cell.parameters, phase.rotations, phase.translations, phase.centring, 2.5
        ).d_spacing
        for line in phase.reference_lines:
            nearest = np.abs(lattice_lines / line.d_spacing - 1).min()
            assert nearest < 0.02, f"{name}: {line.d_spacing} is no line of the cell"


def test_carbonate_fraction_is_that_of_the_atoms() -> None:
    for name in ALL:
        phase = load_phase(name)
        if not ("apatite" in name or name in CARBONATES) or not phase.quantifiable:
            assert phase.facts.carbonate_fraction == 0
            continue
        counts = contents(phase)
        expected = counts["C"] * 60.009 / cell_mass_of(phase)
        assert_close(phase.facts.carbonate_fraction, expected, atol=1e-4, because="four printed decimals")
    assert load_phase("bioapatite_model").facts.carbonate_fraction > 0.03


def test_unknown_names_get_a_proposal() -> None:
    with pytest.raises(PhaseError, match="Did you mean 'hydroxyapatite'"):
        load_phase("hydroxyapatit")
    with pytest.raises(PhaseError, match="Did you mean 'calcite'"):
        phase_info("Calcit")
    with pytest.raises(PhaseError, match="Known: alpha_tcp"):
        load_phase("zzzz")
    for text, meant in (("HA", "hydroxyapatite"), ("CaCO3", "calcite"), ("hydroxylapatite", "hydroxyapatite")):
        with pytest.raises(PhaseError, match=f"Did you mean .*'{meant}'"):
            load_phase(text)
    with pytest.raises(PhaseError, match="given twice"):
        load_phases(["calcite", "quartz", "calcite"])
    assert [p.id for p in load_phases(("quartz", "calcite"))] == ["quartz", "calcite"]


# ---- files of the user -------------------------------------------------------------------------

GOOD = """data_test
_chemical_name_mineral Halite
_cell_length_a 5.6401(2)
_cell_length_b 5.6401
_cell_length_c 5.6401
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
Na1 0 0 0 1 0.0198
Cl1 0.5 0.5 0.5 1 0.0165(3)
"""


def written(tmp_path: Path, text: str, name: str = "mine.cif") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_user_cif_equals_the_library(tmp_path: Path) -> None:
    phase = load_phase(written(tmp_path, GOOD))
    assert phase.id == "mine"
    assert phase.name == "Halite"
    assert contents(phase) == {"Na": 4.0, "Cl": 4.0}
    assert_close(phase.site_b_iso[0], 8 * math.pi**2 * 0.0198, rtol=1e-9, because="B = 8π²U")
    assert phase.metadata["b_assumed"] is False
    assert_close(density(phase), density(load_phase("halite")), rtol=1e-6, because="same cell and atoms")
    assert load_phase(str(tmp_path / "mine.cif")).cell == phase.cell


@pytest.mark.parametrize(
    ("file", "identifier"),
    [
        ("my phase (2).cif", "my_phase_2"),
        ("9001257.cif", "cif_9001257"),
        ("Straße-1.CIF", "Stra_e_1"),
        ("é.cif", "cif_phase"),
    ],
)
def test_id_of_a_user_file_serves_as_a_parameter_name(tmp_path: Path, file: str, identifier: str) -> None:
    phase = load_phase(written(tmp_path, GOOD, file))
    assert phase.id == identifier
    assert phase.metadata["user_file"] == file


def test_installed_package_holds_its_own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "xrdcomp"
    (package / "phases").mkdir(parents=True)
    monkeypatch.setattr(catalogue, "__file__", str(package / "phases" / "catalogue.py"))
    with pytest.raises(PhaseError, match="reference phases are missing"):
        reference_folder()
    (package / "_data" / "reference_patterns").mkdir(parents=True)
    assert reference_folder() == package / "_data" / "reference_patterns"


def test_displacements_from_tensor_or_default(tmp_path: Path) -> None:
    text = GOOD.replace("0.0198", "?").replace("0.0165(3)", ".")
    text += "loop_\n" + "".join(f"_atom_site_aniso_{t}\n" for t in ("label", "U_11", "U_22", "U_33"))
    text += "".join(f"_atom_site_aniso_{t}\n" for t in ("U_12", "U_13", "U_23")) + "Na1 0.02 0.03 0.04 0 0 0\n"
    phase = load_phase(written(tmp_path, text))
    b = {atom.element: atom.b_iso for atom in phase.atoms}
    assert_close(b["Na"], 8 * math.pi**2 * 0.03, rtol=1e-9, because="mean of the tensor in a cubic cell")
    assert b["Cl"] == 1.0
    assert phase.metadata["b_assumed"] is True
    assert phase.metadata["b_assumed_atoms"] == "Cl1"


def test_displacement_tensor_in_hexagonal_axes() -> None:
    """U_eq = (4 (U11 + U22 - U12)/3 + U33)/3 where gamma is 120 degrees (Fischer & Tillmanns 1988)."""
    cell = gemmi.UnitCell(9.4166, 9.4166, 6.8745, 90, 90, 120)
    u = (0.01375, 0.01375, 0.00790, 0.00687, 0.0, 0.0)
    by_hand = (4 * (u[0] + u[1] - u[3]) / 3 + u[2]) / 3
    assert_close(cell.calculate_u_eq(gemmi.SMat33d(*u)), by_hand, rtol=1e-6, because="float arithmetic")


def test_unreadable_tensor_rows_count_as_missing(tmp_path: Path) -> None:
    text = GOOD.replace("0.0198", "?") + "loop_\n"
    text += "".join(f"_atom_site_aniso_{t}\n" for t in ("label", *(f"U_{ij}" for ij in (11, 22, 33, 12, 13, 23))))
    text += "Na1 ? ? ? ? ? ?\n"
    assert load_phase(written(tmp_path, text)).metadata["b_assumed_atoms"] == "Na1"


@pytest.mark.parametrize(
    ("label", "formula", "element"),
    [
        ("Ca1", "", "Ca"),
        ("CA1", "Ca Cl", "Ca"),
        ("PB1", "P Cl", "P"),
        ("PB1", "", "P"),
        ("OW3", "O Cl", "O"),
        ("O(H)", "O Cl", "O"),
        ("D2", "H2 Cl", "H"),
        ("Cl2", "", "Cl"),
    ],
)
def test_elements_told_from_labels(tmp_path: Path, label: str, formula: str, element: str) -> None:
    head = f"data_test\n_chemical_formula_sum '{formula}'" if formula else "data_test"
    phase = load_phase(written(tmp_path, GOOD.replace("Na1", label).replace("data_test", head)))
    assert phase.atoms[0].element == element


def test_elements_outside_the_formula_are_refused(tmp_path: Path) -> None:
    text = GOOD.replace("Na1", "W1").replace("data_test", "data_test\n_chemical_formula_sum 'O Cl'")
    with pytest.raises(PhaseError, match="_atom_site_type_symbol"):
        load_phase(written(tmp_path, text))


def test_type_symbols_decide(tmp_path: Path) -> None:
    text = GOOD.replace("_atom_site_label\n", "_atom_site_label\n_atom_site_type_symbol\n")
    for symbol, element in (("K1+", "K"), ("CA2+", "Ca"), ("Zn", "Zn"), ("D", "H")):
        changed = text.replace("Na1 ", f"Na1 {symbol} ").replace("Cl1 ", "Cl1 Cl ")
        assert load_phase(written(tmp_path, changed)).atoms[0].element == element
    for symbol in ("Qq", "Wat", "H2O"):
        with pytest.raises(PhaseError, match=f"type symbol '{symbol}'"):
            load_phase(written(tmp_path, text.replace("Na1 ", f"Na1 {symbol} ").replace("Cl1 ", "Cl1 Cl ")))


def test_two_origins_need_a_choice(tmp_path: Path) -> None:
    diamond = GOOD.replace("Cl1 0.5 0.5 0.5 1 0.0165(3)\n", "")
    with pytest.raises(PhaseError, match="two choices of origin"):
        load_phase(written(tmp_path, diamond.replace("F m -3 m", "F d -3 m")))
    assert contents(load_phase(written(tmp_path, diamond.replace("F m -3 m", "F d -3 m:1")))) == {"Na": 8.0}
    assert contents(load_phase(written(tmp_path, diamond.replace("F m -3 m", "F d -3 m:2")))) == {"Na": 16.0}


def test_hall_symbol_and_number(tmp_path: Path) -> None:
    hm = "_symmetry_space_group_name_H-M 'F m -3 m'"
    by_hall = GOOD.replace(hm, "_symmetry_space_group_name_Hall '-F 4 2 3'")
    assert load_phase(written(tmp_path, by_hall)).space_group == "F m -3 m"
    assert load_phase(written(tmp_path, GOOD.replace(hm, "_space_group_IT_number 225"))).space_group == "F m -3 m"
    wrong = GOOD.replace(hm, "_symmetry_space_group_name_Hall 'nonsense'")
    with pytest.raises(PhaseError, match="no space group"):
        load_phase(written(tmp_path, wrong))


def test_citation_of_a_user_file(tmp_path: Path) -> None:
    head = "data_test\n_journal_name_full 'Am. Mineral.'\n_journal_year 1989\n_journal_volume 74\n"
    head += "_journal_page_first 870\nloop_\n_publ_author_name\n'Hughes J M'\n'Cameron M'\n"
    phase = load_phase(written(tmp_path, GOOD.replace("data_test\n", head)))
    assert phase.source == "Hughes J M, Cameron M, Am. Mineral., 74, 1989, 870"
    assert load_phase(written(tmp_path, GOOD, "b.cif")).source == "CIF file b.cif"


def test_operations_decide_over_the_symbol(tmp_path: Path) -> None:
    ops = gemmi.find_spacegroup_by_name("P -1").operations()
    loop = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "".join(f"'{op.triplet()}'\n" for op in ops)
    phase = load_phase(written(tmp_path, GOOD.replace("loop_", loop + "loop_", 1)))
    assert phase.space_group == "P -1"
    assert contents(phase) == {"Na": 1.0, "Cl": 1.0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("data_test", "text without a block", "not a readable CIF"),
        ("_cell_length_a 5.6401(2)\n", "", "no data block with a unit cell"),
        ("_cell_angle_gamma 90", "_cell_angle_gamma ?", "_cell_angle_gamma"),
        ("_cell_length_b 5.6401", "_cell_length_b -5.6", "not a cell"),
        ("_cell_length_b 5.6401", "_cell_length_b 5.7", "does not have the symmetry"),
        ("_cell_angle_gamma 90", "_cell_angle_gamma 120", "does not have the symmetry"),
        ("'F m -3 m'", "'Q m -3 m'", "no space group"),
        ("_symmetry_space_group_name_H-M 'F m -3 m'", "_cell_formula_units_Z 4", "no space group"),
        ("Na1 0 0 0 1 0.0198", "Na1 0 0 ? 1 0.0198", "fract_z"),
        ("Na1 0 0 0 1 0.0198", "Na1 0 0 0 1.4 0.0198", "occupancy 1.4"),
        ("Na1 0 0 0 1 0.0198", "Na1 0 0 0 0 0.0198", "remove rows of atoms"),
        ("Na1 0 0 0 1 0.0198", "Na1 0 0 0 1 -0.0198", "negative"),
        ("Na1 0 0 0 1 0.0198", "Qq1 0 0 0 1 0.0198", "no element"),
        ("Na1 0 0 0 1 0.0198", "Na1 0.005 0 0 1 0.0198", "special position"),
        ("Na1 0 0 0 1 0.0198", "Na1 0 0 0 1 0.0198\nNa2 0 0 0 1 0.02", "listed twice"),
    ],
)
def test_bad_cif_is_refused_with_the_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(PhaseError, match=message) as caught:
        load_phase(written(tmp_path, GOOD.replace(old, new)))
    assert "mine.cif" in str(caught.value)


def test_cif_without_atoms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match="no atoms"):
        load_phase(written(tmp_path, GOOD[: GOOD.index("loop_")]))
    with pytest.raises(PhaseError, match="no such file"):
        load_phase(tmp_path / "missing.cif")


CALCITE_RHOMBOHEDRAL = """data_calcite
_cell_length_a 6.3752
_cell_length_b 6.3752
_cell_length_c 6.3752
_cell_angle_alpha 46.075
_cell_angle_beta 46.075
_cell_angle_gamma 46.075
_symmetry_space_group_name_H-M 'R -3 c :R'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ca Ca2+ 0 0 0
C C 0.25 0.25 0.25
O O2- 0.5073 -0.0073 0.25
"""


def strong_lines(phase: Phase) -> tuple[np.ndarray, np.ndarray]:
    """Spacings and relative intensities of lines above 5 %."""
    d, total = merged_lines(phase)
    keep = total > 0.05 * total.max()
    return d[keep], total[keep] / total.max()


def test_rhombohedral_axes_give_the_same_lines(tmp_path: Path) -> None:
    turned = load_phase(written(tmp_path, CALCITE_RHOMBOHEDRAL, "rhombohedral.cif"))
    text = CALCITE_RHOMBOHEDRAL.replace(":R", ":H").replace("O O2- 0.5073 -0.0073", "O O2- 0.2573 0")
    text = text.replace("C C 0.25 0.25 0.25", "C C 0 0 0.25")
    for axis in ("a 4.9896", "b 4.9896", "c 17.0610"):
        text = text.replace(f"_cell_length_{axis[0]} 6.3752", f"_cell_length_{axis}")
    for name, angle in (("alpha", 90), ("beta", 90), ("gamma", 120)):
        text = text.replace(f"_cell_angle_{name} 46.075", f"_cell_angle_{name} {angle}")
    direct = load_phase(written(tmp_path, text, "hexagonal.cif"))
    assert turned.space_group == direct.space_group == "R -3 c:H"
    assert contents(turned) == contents(direct) == {"Ca": 6.0, "C": 6.0, "O": 18.0}
    assert_close(turned.cell.parameters, direct.cell.parameters, rtol=1e-4, because="rounded edges and angle")
    (d, found), (expected_d, expected) = strong_lines(turned), strong_lines(direct)
    assert_close(d, expected_d, rtol=2e-4, because="rounded edges and angle")
    assert_close(found, expected, rtol=2e-3, because="the same structure, rounded edges and angle")


def test_monoclinic_axes_are_turned_to_b_unique(tmp_path: Path) -> None:
    gypsum = load_phase("gypsum")
    source = gemmi.cif.read(str(reference_folder() / "gypsum" / "structure.cif")).sole_block()
    structure = gemmi.make_small_structure_from_block(source)
    cell = structure.cell  # a b c, beta -> c a b, gamma: b becomes c
    head = (
        f"data_turned\n_cell_length_a {cell.c}\n_cell_length_b {cell.a}\n_cell_length_c {cell.b}\n"
        f"_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma {cell.beta}\nloop_\n"
        "_space_group_symop_operation_xyz\n"
    )
    cyclic = gemmi.Op("z,x,y")  # new coordinates from old ones
    ops = [cyclic * op * cyclic.inverse() for op in gemmi.find_spacegroup_by_name(gypsum.space_group).operations()]
    tags = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "U_iso_or_equiv")
    rows = [f"{a.label} {a.element.name} {a.fract.z} {a.fract.x} {a.fract.y} {a.u_iso}" for a in structure.sites]
    text = head + "\n".join(f"'{op.wrap().triplet()}'" for op in ops) + "\nloop_\n"
    text += "\n".join(f"_atom_site_{tag}" for tag in tags) + "\n" + "\n".join(rows) + "\n"
    turned = load_phase(written(tmp_path, text))
    assert turned.crystal_system == "monoclinic"
    assert contents(turned) == contents(gypsum)
    (d, found), (expected_d, expected) = strong_lines(turned), strong_lines(gypsum)
    assert_close(d, expected_d, rtol=1e-6, because="the same lattice")
    assert_close(found, expected, rtol=1e-6, because="the same structure")


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("data_test", "data_test\n_publ_author_name 'Müller'").encode("cp1252"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("_cell_length", "_Cell_Length").replace("loop_", "LOOP_").encode(),
        lambda text: b"data_global\n_journal_year 1989\n" + text.encode(),
        lambda text: (
            text.replace("_U_iso_or_equiv", "_U_iso_or_equiv\n_atom_site_calc_flag")
            .replace("0.0198", "0.0198 d")
            .replace("0.0165(3)", "0.0165(3) d\nX1 ? ? ? . . dum")
            .encode()
        ),
    ],
    ids=["bom_crlf", "cr", "cp1252", "utf16", "capitals", "text_block_first", "dummy_atom"],
)
def test_files_as_programs_write_them(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    path = tmp_path / "mine.cif"
    path.write_bytes(encode(GOOD))
    assert contents(load_phase(path)) == {"Na": 4.0, "Cl": 4.0}


def test_the_block_with_atoms_is_meant_and_two_are_refused(tmp_path: Path) -> None:
    bare = GOOD[: GOOD.index("loop_")].replace("data_test", "data_cell")
    assert contents(load_phase(written(tmp_path, bare + GOOD))) == {"Na": 4.0, "Cl": 4.0}
    with pytest.raises(PhaseError, match=r"2 structures \(data_test, data_again\)"):
        load_phase(written(tmp_path, GOOD + GOOD.replace("data_test", "data_again")))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("_space_group_magn.number_BNS 225.119", "magnetic"),
        ("_cell_modulation_dimension 1", "modulated"),
        ("loop_\n_cell_wave_vector_seq_id\n_cell_wave_vector_x\n1 0.31", "modulated"),
    ],
)
def test_structures_beyond_three_dimensions_are_refused(tmp_path: Path, line: str, kind: str) -> None:
    with pytest.raises(PhaseError, match=f"belongs to a {kind} structure"):
        load_phase(written(tmp_path, f"{GOOD}{line}\n"))
    plain = GOOD + "_cell_modulation_dimension 0\n"
    assert contents(load_phase(written(tmp_path, plain))) == {"Na": 4.0, "Cl": 4.0}


def test_displacements_of_zero_are_taken_as_not_given(tmp_path: Path) -> None:
    phase = load_phase(written(tmp_path, GOOD.replace("0.0198", "0").replace("0.0165(3)", "0.0")))
    assert phase.metadata["b_assumed_atoms"] == "Na1 Cl1"
    assert set(phase.site_b_iso.tolist()) == {1.0}


def test_old_names_of_origins_and_axes(tmp_path: Path) -> None:
    diamond = GOOD.replace("Cl1 0.5 0.5 0.5 1 0.0165(3)\n", "")
    for old, atoms in (("F d -3 m S", 8.0), ("F d -3 m Z", 16.0)):
        assert contents(load_phase(written(tmp_path, diamond.replace("F m -3 m", old)))) == {"Na": atoms}
    text = CALCITE_RHOMBOHEDRAL.replace("R -3 c :R", "R -3 c RS")
    assert contents(load_phase(written(tmp_path, text)))["Ca"] == 6.0


def test_rounded_coordinates_are_put_on_their_special_position() -> None:
    phase = load_phase("hydroxyapatite")
    assert phase.atoms[0].xyz[0] == 0.333333
    thirds = phase.site_xyz[:4, :2] * 3
    assert_close(thirds, np.round(thirds), atol=1e-9, because="mean of the images that merge")


def test_split_sites_may_be_close_when_partly_filled(tmp_path: Path) -> None:
    text = GOOD.replace("Na1 0 0 0 1 0.0198", "Na1 0 0 0 0.5 0.0198\nK1 0 0 0 0.5 0.0198")
    assert contents(load_phase(written(tmp_path, text))) == {"Na": 2.0, "K": 2.0, "Cl": 4.0}


def test_contents_are_told_from_the_atoms(tmp_path: Path) -> None:
    """Of a structure outside the library nothing else says that it is a carbonate, or an apatite."""
    varieties = {
        name: "fluorapatite" if name == "fluorapatite" else "hydroxyapatite" for name in WITH_ATOMS if "apatite" in name
    } | {"chlorapatite": "chlorapatite"}
    for name in WITH_ATOMS:
        path = tmp_path / f"own_{name}.cif"
        shutil.copy(reference_folder() / name / "structure.cif", path)
        phase = load_phase(path)
        assert phase.metadata.get("apatite", "") == varieties.get(name, ""), name
        assert phase.is_apatite == load_phase(name).is_apatite == (name in varieties)
        if name != "bioapatite_model":  # its carbon stands on the place of phosphorus, without oxygen of its own
            expected = load_phase(name).facts.carbonate_fraction
            assert_close(phase.facts.carbonate_fraction, expected, atol=1e-4, because="four printed decimals")


def test_a_folder_of_phases_is_all_that_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copytree(reference_folder() / "zincite", folder / "zincite")
    shutil.copy(reference_folder() / "calcite" / "structure.cif", folder / "from_paper.cif")
    (folder / "notes.txt").write_text("of no interest")
    assert [phase.id for phase in load_phases(["quartz", folder])] == ["quartz", "from_paper", "zincite"]
    assert load_phases([folder])[1].metadata["user_file"] == "zincite/structure.cif"
    names = [path.name for path in own_phase_files(["quartz", str(folder), "no_file"])]
    assert names == ["from_paper.cif", "phase.toml", "structure.cif"]
    with pytest.raises(PhaseError, match="given twice"):
        load_phases(["zincite", folder])
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhaseError, match="holds no phase"):
        load_phases([tmp_path / "empty"])
    shutil.copy(folder / "from_paper.cif", tmp_path / "empty" / "structure.cif")  # its phase.toml was forgotten
    with pytest.raises(PhaseError, match=r"phase\.toml is missing"):
        load_phases([tmp_path / "empty"])


def test_a_structure_that_borrows_the_name_of_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calcite.cif"
    shutil.copy(reference_folder() / "quartz" / "structure.cif", path)
    with pytest.raises(PhaseError, match="named like calcite of the library but holds no C or Ca"):
        load_phase(path)
    shutil.copy(reference_folder() / "calcite" / "structure.cif", path)
    assert load_phase(path).id == "calcite"
    assert phase_info(path).formula.replace(" ", "") in ("CaCO3", "CCaO3", "CO3Ca", "calcite")
    with pytest.raises(PhaseError, match="no such file"):
        phase_info(tmp_path / "other.cif")


def test_user_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my_calcite"
    shutil.copytree(reference_folder() / "calcite", folder)
    toml = folder / "phase.toml"
    good = toml.read_text(encoding="utf-8").replace('id = "calcite"', 'id = "my_calcite"')
    toml.write_text(good, encoding="utf-8")
    assert load_phase(folder).id == "my_calcite"
    for old, new, message in (
        ('id = "my_calcite"', 'id = "other"', "must equal the folder"),
        ("density =", "densty =", "Did you mean 'density'"),
        ("quantifiable = true", "quantifiable = false", "has atoms"),
        ("quantifiable = true", 'quantifiable = "yes"', "expected bool"),
        ("strongest_lines = [[", 'strongest_lines = [["a", 1], [', "strongest_lines"),
        ("carbonate_fraction = 0.59956", "carbonate_fraction = 1.5", "outside 0 to 1"),
        ("name =", "name = =", "not valid TOML"),
        ('id = "my_calcite"', 'id = "my calcite"', "letters, digits"),
        ('formula = "CaCO3"', 'formula = ""', "formula is missing"),
    ):
        assert old in good
        toml.write_text(good.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(PhaseError, match=message):
            load_phase(folder)
    toml.write_text(good, encoding="utf-8")
    (folder / "structure.cif").unlink()
    with pytest.raises(PhaseError, match=r"structure\.cif is missing"):
        load_phase(folder)
    toml.unlink()
    with pytest.raises(PhaseError, match=r"phase\.toml is missing"):
        load_phase(folder)
