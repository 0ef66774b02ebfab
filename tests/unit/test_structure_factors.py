"""Structure factors against a plain loop, against gemmi, and on the absolute scale."""

from __future__ import annotations

import cmath
import math

import gemmi
import numpy as np
import pytest

from tests.helpers import assert_close
from tests.profile_oracle import bragg_cross_section
from xrdcomp.data import Phase
from xrdcomp.phases.library import load_phase, reference_folder
from xrdcomp.physics import reflections as structure_factors
from xrdcomp.physics.elements import anomalous, form_factor
from xrdcomp.physics.reflections import Reflections, cell_volume, generate_reflections, structure_factor_sq

WAVELENGTH = 1.5405929


def reflections(phase: Phase, d_min: float, d_max: float = math.inf) -> Reflections:
    return generate_reflections(
        phase.cell.parameters, phase.rotations, phase.translations, phase.centring, d_min, d_max
    )


def f_sq(phase: Phase, r: Reflections, wavelength: float = WAVELENGTH) -> np.ndarray:
    return structure_factor_sq(
        r.hkl, r.d_spacing, phase.site_xyz, phase.site_element, phase.site_occupancy, phase.site_b_iso, wavelength
    )


def slow_f_sq(phase: Phase, hkl: np.ndarray, d: float) -> float:
    """The definition, one site at a time, both Friedel mates."""
    s = 1 / (2 * d)
    total = 0.0
    for sign in (1, -1):
        value = 0j
        for element, xyz, occupancy, b in zip(
            phase.site_element, phase.site_xyz, phase.site_occupancy, phase.site_b_iso, strict=True
        ):
            f1, f2 = anomalous(element, WAVELENGTH)
            f = float(form_factor(element, s)) + f1 + 1j * f2
            angle = 2 * math.pi * sign * float(np.dot(hkl, xyz))
            value += occupancy * f * math.exp(-b * s * s) * cmath.exp(1j * angle)
        total += abs(value) ** 2 / 2
    return total


@pytest.mark.parametrize("name", ["zincite", "hydroxyapatite", "quartz", "vaterite", "brushite"])
def test_agrees_with_the_definition(name: str) -> None:
    phase = load_phase(name)
    r = reflections(phase, 1.5)
    fast = f_sq(phase, r)
    slow = [slow_f_sq(phase, h, d) for h, d in zip(r.hkl, r.d_spacing, strict=True)]
    assert_close(fast, slow, rtol=1e-9, atol=1e-9 * fast.max(), because="float arithmetic")


@pytest.mark.parametrize("name", ["whitlockite", "corundum", "gypsum", "struvite", "uric_acid"])
def test_agrees_with_gemmi(name: str) -> None:
    """gemmi takes no f'', so the same is taken out here by its share of the sum."""
    phase = load_phase(name)
    r = reflections(phase, 1.6)
    structure = gemmi.read_small_structure(str(reference_folder() / name / "structure.cif"))
    structure.change_occupancies_to_crystallographic()
    calculator = gemmi.StructureFactorCalculatorX(structure.cell)
    for element in set(phase.site_element):
        calculator.addends.set(gemmi.Element(element), anomalous(element, WAVELENGTH)[0])
    expected = [abs(calculator.calculate_sf_from_small_structure(structure, [int(i) for i in h])) ** 2 for h in r.hkl]
    ours = f_sq(phase, r) - imaginary_part(phase, r)
    assert_close(
        ours,
        expected,
        rtol=2e-4,
        atol=2e-4 * max(expected),
        because="single-precision atoms in gemmi and coordinates of 1/3 given with six digits",
    )


def imaginary_part(phase: Phase, r: Reflections) -> np.ndarray:
    f2 = np.array([anomalous(e, WAVELENGTH)[1] for e in phase.site_element])
    s_squared = 0.25 / r.d_spacing**2
    weight = f2 * phase.site_occupancy * np.exp(-np.outer(s_squared, phase.site_b_iso))
    phases = np.exp(2j * np.pi * (r.hkl @ phase.site_xyz.T))
    return np.abs((weight * phases).sum(axis=1)) ** 2


def test_halite_by_hand() -> None:
    phase = load_phase("halite")
    a = phase.cell.a
    hkl, d = np.array([[1, 1, 1], [2, 0, 0]]), np.array([a / math.sqrt(3), a / 2])
    ours = f_sq(phase, Reflections(hkl=hkl, multiplicity=np.array([8, 6]), d_spacing=d))
    b = {atom.element: atom.b_iso for atom in phase.atoms}
    for value, spacing, sign in zip(ours, d, (-1, 1), strict=True):
        s = 1 / (2 * spacing)
        f = {e: (float(form_factor(e, s)) + complex(*anomalous(e, WAVELENGTH))) * math.exp(-b[e] * s * s) for e in b}
        assert_close(value, 16 * abs(f["Na"] + sign * f["Cl"]) ** 2, rtol=1e-10, because="float arithmetic")


def test_forbidden_silicon_222_vanishes() -> None:
    phase = load_phase("silicon")
    d = phase.cell.a / math.sqrt(12)
    r = Reflections(hkl=np.array([[2, 2, 2]]), multiplicity=np.array([8]), d_spacing=np.array([d]))
    assert_close(f_sq(phase, r), 0.0, atol=1e-20, because="spherical atoms: exact cancellation")


def test_origin_and_order_of_sites_do_not_matter() -> None:
    phase = load_phase("quartz")
    r = reflections(phase, 1.2)
    order = np.random.default_rng(5).permutation(len(phase.site_element))
    moved = structure_factor_sq(
        r.hkl,
        r.d_spacing,
        phase.site_xyz[order] + [0.137, -0.42, 1.91],
        tuple(phase.site_element[i] for i in order),
        phase.site_occupancy[order],
        phase.site_b_iso[order],
        WAVELENGTH,
    )
    reference = f_sq(phase, r)
    assert_close(moved, reference, atol=1e-9 * reference.max(), because="float arithmetic")


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    phase = load_phase("hydroxyapatite")
    r = reflections(phase, 1.3)
    whole = f_sq(phase, r)
    monkeypatch.setattr(structure_factors, "CHUNK_BYTES", 8 * 44 * 7)
    assert_close(f_sq(phase, r), whole, rtol=1e-12, because="order of sums in the matrix product")


def test_phases_are_those_of_each_reflection_and_site_by_itself() -> None:
    phase = load_phase("octacalcium_phosphate")
    r = reflections(phase, 1.6)
    angle = 2.0 * np.pi * (r.hkl @ phase.site_xyz.T)
    everyone = np.eye(len(phase.site_xyz))
    found = structure_factors._phase_sums(r.hkl.astype(float).tobytes(), phase.site_xyz.tobytes(), everyone.tobytes())
    assert (r.hkl.min(axis=0) < 0).any()
    assert_close(np.stack(found), np.stack([np.cos(angle).T, np.sin(angle).T]), atol=1e-13, because="float arithmetic")


def test_larger_displacement_lowers_intensity() -> None:
    phase = load_phase("corundum")
    r = reflections(phase, 1.0)
    hot = structure_factor_sq(
        r.hkl, r.d_spacing, phase.site_xyz, phase.site_element, phase.site_occupancy, phase.site_b_iso + 1.0, WAVELENGTH
    )
    expected = f_sq(phase, r) * np.exp(-2.0 * 0.25 / r.d_spacing**2)
    assert_close(hot, expected, rtol=1e-9, because="a common B is one factor exp(-2 B s²)")


@pytest.mark.parametrize(("name", "low", "high"), [("alpha_tcp", 6.0, 7.5), ("octacalcium_phosphate", 6.0, 7.5)])
def test_bragg_scattering_reaches_the_independent_atoms(name: str, low: float, high: float) -> None:
    """Over a wide shell of Q the Bragg area per dQ is Σ f² of the cell's atoms (Wilson 1942)."""
    phase = load_phase(name)
    r = reflections(phase, 2 * np.pi / high, 2 * np.pi / low)
    still = structure_factor_sq(
        r.hkl,
        r.d_spacing,
        phase.site_xyz,
        phase.site_element,
        phase.site_occupancy,
        np.zeros(len(phase.site_element)),
        WAVELENGTH,
    )
    q = 2 * np.pi / r.d_spacing
    area = bragg_cross_section(r.multiplicity, still, cell_volume(phase.cell.parameters), q).sum()
    grid = np.linspace(low, high, 61)
    atoms = np.zeros_like(grid)
    for element, occupancy in zip(phase.site_element, phase.site_occupancy, strict=True):
        f1, f2 = anomalous(element, WAVELENGTH)
        f0 = form_factor(element, grid / (4 * np.pi))
        # a partly filled site scatters occupancy² into Bragg peaks, the rest diffusely
        atoms += occupancy**2 * ((f0 + f1) ** 2 + f2**2)
    independent = float(np.trapezoid(atoms, grid))
    assert_close(
        area / independent,
        1.0,
        atol=3.0 / math.sqrt(len(r) / 2),
        because="intensities scatter exponentially: 1/sqrt(n) with n about half the reflections, three sigma",
    )


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Must agree"):
        structure_factor_sq([[1, 0, 0]], [1.0, 2.0], [[0, 0, 0]], ["Ca"], [1.0], [1.0], WAVELENGTH)
    with pytest.raises(ValueError, match="unknown element"):
        structure_factor_sq([[1, 0, 0]], [1.0], [[0, 0, 0]], ["Xx"], [1.0], [1.0], WAVELENGTH)
