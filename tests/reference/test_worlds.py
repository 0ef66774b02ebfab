"""The independent simulators, each checked against facts that it was not built from."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import gemmi
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from benchmarks.worlds import atoms, crystals, draw, files, optics, population
from benchmarks.worlds.debye import crystallites, liquids
from benchmarks.worlds.kinetics import balance, reactions, substances
from benchmarks.worlds.measured import apatite, halos
from benchmarks.worlds.measured.pattern import measured_mineral

WORLDS = Path(draw.__file__).parent
Q = np.linspace(0.05, 7.5, 3000)


def test_worlds_share_nothing_with_the_package() -> None:
    files_ = [path for path in WORLDS.rglob("*.py") if path.name not in ("study.py", "sweeps.py", "rotation.py")]
    assert len(files_) > 8
    for path in files_:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "xrdcomp" for name in names), path


# --- atoms and crystals


@pytest.mark.parametrize("symbol", ["C", "O", "P", "Ca"])
def test_form_factors_agree_with_international_tables(symbol: str) -> None:
    """Hubbell's against the fit of International Tables C, which gemmi holds: 1 % of Z."""
    table = gemmi.Element(symbol).it92
    at = np.linspace(0.0, 5.5, 40)
    known = np.array([table.calculate_sf((q / (4 * np.pi)) ** 2) for q in at])
    ours = (atoms.atom(symbol).f(at) - atoms.atom(symbol).dispersion).real
    np.testing.assert_allclose(ours, known, atol=0.01 * gemmi.Element(symbol).atomic_number)


def test_compton_scattering_of_carbon_is_hubbells() -> None:
    assert float(atoms.atom("C").compton(np.array([4 * np.pi * 0.3]))[0]) == pytest.approx(3.64, abs=0.01)


@pytest.mark.parametrize(
    ("name", "density"), [("hydroxyapatite", 3.16), ("calcite", 2.71), ("whewellite", 2.22), ("spinel", 3.58)]
)
def test_densities_are_those_of_the_minerals(name: str, density: float) -> None:
    crystal = crystals.structure(name)
    assert crystal.mass * 1.66054 / crystal.cell.volume == pytest.approx(density, rel=0.01)


@pytest.mark.parametrize("name", ["hydroxyapatite", "calcite", "corundum", "halite", "quartz"])
def test_bragg_area_per_gram_agrees_with_gemmi(name: str) -> None:
    """Structure factors of gemmi (International Tables, Cromer–Liberman f′) over 1–5 Å⁻¹: 2 %, tables differ."""
    crystal = crystals.structure(name)
    small = gemmi.SmallStructure()
    small.cell, small.spacegroup_hm = crystal.cell, "P 1"
    small.determine_and_set_spacegroup("h2")
    for number, (element, xyz) in enumerate(zip(crystal.elements, crystal.xyz, strict=True)):
        site = gemmi.SmallStructure.Site()
        site.label, site.type_symbol, site.element = f"{element}{number}", element, gemmi.Element(element)
        site.fract = gemmi.Fractional(*xyz)
        site.occ, site.u_iso = crystal.occupancy[number], crystal.b_iso[number] / (8 * np.pi**2)
        small.add_site(site)
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    for element in set(crystal.elements):
        f1, _ = gemmi.cromer_liberman(z=gemmi.Element(element).atomic_number, energy=8047.8)
        calculator.addends.set(gemmi.Element(element), f1)
    group = gemmi.SpaceGroup("P 1")
    hkl = gemmi.make_miller_array(small.cell, group, 2 * np.pi / 5.0, 2 * np.pi / 1.0)
    total = 2.0 * sum(abs(calculator.calculate_sf_from_small_structure(small, [int(v) for v in h])) ** 2 for h in hkl)
    known = 2 * np.pi**2 * total / (crystal.cell.volume * crystal.mass)
    lines = crystals.reflections(crystal, q_max=5.0)
    assert float(lines.area[lines.q > 1.0].sum()) == pytest.approx(known, rel=0.02)


# --- the measured world


def test_water_scatters_63_electron_units_a_molecule_at_its_first_ring() -> None:
    """Narten & Levy; the curve was drawn through S, the electron units follow with the area."""
    curve = halos.Halo(material=halos.MATERIALS["water"], area=0.785)
    at = np.linspace(1.7, 2.4, 71)
    intensity = halos.electron_units_per_molecule(curve, at)
    assert float(intensity.max()) == pytest.approx(63.0, abs=3.0)
    assert float(at[np.argmax(intensity)]) == pytest.approx(2.0, abs=0.1)
    # I(0) = 100 electrons² times density fluctuation, 0.0628 at 25 °C
    assert float(halos.electron_units_per_molecule(curve, np.array([0.05]))[0]) == pytest.approx(6.4, abs=1.2)


@pytest.mark.parametrize(
    ("name", "ring", "low", "high"),
    [("lipid", 1.38, 3.2, 3.9), ("collagen", 1.42, 1.6, 1.9), ("pmma", 0.98, 2.3, 3.1), ("acp", 2.1, 1.4, 1.8)],
)
def test_first_rings_are_as_high_as_measured(name: str, ring: float, low: float, high: float) -> None:
    curve = halos.Halo(material=halos.MATERIALS[name], area=halos.MATERIALS[name].area)
    at = np.linspace(0.7, 4.0, 331)
    s = curve.structure_factor(at)
    assert float(at[np.argmax(s)]) == pytest.approx(ring, abs=0.06)
    assert low < float(s.max()) < high
    np.testing.assert_allclose(curve.structure_factor(np.array([6.8, 7.2])), 1.0)


def test_areas_of_batches_scatter_by_what_is_known() -> None:
    rng = np.random.default_rng(3)
    grid = np.linspace(*halos.WINDOW, 341)
    weights = atoms.free_atoms(halos.MATERIALS["acp"].formula, grid)
    found = []
    for _ in range(200):
        batch = halos.draw_halo("acp", rng)
        found.append(float((batch.structure_factor(grid) * weights).sum() / weights.sum()))
        # the scale begins to fade at 4.1 Å⁻¹, the end of the window
        assert found[-1] == pytest.approx(batch.area, rel=1e-6)
    assert np.mean(found) == pytest.approx(0.80, abs=0.02)
    assert np.std(found) == pytest.approx(0.07, rel=0.2)


def test_apatite_keeps_its_area_whatever_the_size() -> None:
    rng = np.random.default_rng(5)
    q = np.linspace(0.3, 9.0, 40000)
    for _ in range(3):
        mineral = apatite.draw_mineral(rng, 0.05)
        whole = float(np.trapezoid(mineral.bragg(q) * q**2, q))
        # Q·q in place of q² weighs Lorentzian tails unevenly; 2 % of the area lies beyond the axis
        assert whole == pytest.approx(float(mineral.reflections().area.sum()), rel=0.03)


def test_carbonate_of_the_lattice_is_what_was_asked_for() -> None:
    """Ca10−x/2(PO4)6−x(CO3)x(OH)2: 5.6 wt% CO3 is x = 0.89, and its P sites hold 15 % carbon."""
    mineral = apatite.draw_mineral(np.random.default_rng(1), 0.056)
    share = mineral.substitution()["P"][1]
    x = 6 * share
    mass = 1004.62 - 0.5 * x * 40.078 - x * 94.971 + x * 60.009
    assert x * 60.009 / mass == pytest.approx(0.056, rel=1e-3)


@pytest.mark.fixtures
@pytest.mark.skipif("XRDCOMP_FIXTURES" not in os.environ, reason="XRDCOMP_FIXTURES is not set")
def test_measured_minerals_come_on_the_scale_of_their_structure() -> None:
    """Calcite 104 at 3.035 Å; its share of the area as calculated within a fifth, grains and texture being real."""
    known = measured_mineral("calcite")
    assert known is not None
    q, y = known
    assert 2 * np.pi / float(q[np.argmax(y)]) == pytest.approx(3.035, abs=0.01)
    near = np.abs(q - 2 * np.pi / 3.035) < 0.03
    lines = crystals.reflections(crystals.structure("calcite"), q_max=4.0)
    main = float(lines.area[np.abs(lines.q - 2 * np.pi / 3.036) < 0.02].sum())
    assert float(np.trapezoid((y * q**2)[near], q[near])) == pytest.approx(main, rel=0.2)


def test_overflow_takes_from_low_angles_only() -> None:
    flat = optics.Diffractometer(covered_from=20.0)
    angle, with_loss = optics.expected(lambda q, _: np.ones_like(q), flat)
    _, without = optics.expected(lambda q, _: np.ones_like(q), optics.Diffractometer())
    ratio = with_loss / without
    assert ratio[angle > 21.0] == pytest.approx(1.0, abs=2e-3)
    at_10 = float(np.interp(10.0, angle, ratio))
    assert at_10 == pytest.approx(np.sin(np.radians(5.0)) / np.sin(np.radians(10.0)), rel=5e-3)


# --- the Debye world


def own_scattering(kind: crystallites.Morphology) -> np.ndarray:
    """What is not Bragg scattering where displacements are independent, e.u. per dalton on the crystallites' q."""
    q, crystal = crystallites.Q, kind.crystal()
    total = 2.0 * np.abs(atoms.atom("H").f(q)) ** 2
    for name in crystallites.TYPES:
        o = crystal.occupancy[[element == name for element in crystal.elements]]
        u2 = crystallites.displacement(crystal, name)
        total = total + np.abs(atoms.atom(name).f(q)) ** 2 * (o.sum() - (o**2).sum() * np.exp(-(q**2) * u2))
    return np.asarray(total / crystal.mass + atoms.compton(crystal.formula, q))


@pytest.mark.parametrize("shape", ["block", "plate", "needle", "ellipsoid"])
def test_debye_sums_have_the_area_of_the_structure_factors(shape: crystallites.Shape) -> None:
    """Pair distances against plain structure factors between 1.4 and 4.6 Å⁻¹, the range of 20–68°: 1 %."""
    kind = crystallites.Morphology(shape=shape, length_c=18.0, length_a=9.0, length_b=6.0, correlation=0.0)
    q = crystallites.Q
    bragg = (crystallites.intensity(kind) - own_scattering(kind)) * q**2
    inside = (q > 1.4) & (q < 4.6)
    lines = crystals.reflections(kind.crystal(), q_max=5.0)
    known = float(lines.area[(lines.q > 1.4) & (lines.q < 4.6)].sum())
    assert float(np.trapezoid(bragg[inside], q[inside])) == pytest.approx(known, rel=0.01)


def test_histogram_of_a_crystallite_is_that_of_its_atoms() -> None:
    """Four by four by five cells, every pair of atoms one by one."""
    kind = crystallites.Morphology(shape="block", length_c=3.4, length_a=3.6, length_b=3.2, correlation=0.0)
    crystal = kind.crystal()
    orth = np.array(crystal.cell.orth.mat)
    cells = np.argwhere(crystallites.cells_of(kind, 1.0, crystallites.grid_of(kind, 1.0)) > 0)
    calcium = crystal.xyz[[element == "Ca" for element in crystal.elements]]
    xyz = (cells[:, None, :] + calcium[None]).reshape(-1, 3) @ orth.T
    r = np.linalg.norm(xyz[:, None] - xyz[None], axis=2)[np.triu_indices(len(xyz), 1)]
    at = crystallites.Q[[375, 763, 964, 1418]]  # 0.9 to 3.4 Å⁻¹
    damped = np.exp(-(at**2) * crystallites.displacement(crystal, "Ca"))
    known = 2.0 * np.array([np.sinc(q * r / np.pi).sum() for q in at]) / len(cells) * damped
    found = crystallites.pair_functions(kind).pairs["Ca", "Ca"][[375, 763, 964, 1418]]
    # distances are rounded to 0.01 Å: few distinct ones here, so that 0.3 % of the peak of 17 remains
    np.testing.assert_allclose(found, known, atol=0.06)


def test_strained_crystallites_scatter_nowhere_less_than_nothing() -> None:
    """Long distances are blurred more: without steps, which ring between the reflections of crystallites 70 nm long."""
    kind = crystallites.Morphology(shape="plate", length_c=30.0, length_a=20.0, length_b=6.0, spread=0.3, strain=2e-3)
    q = crystallites.Q
    inside = (q > 0.7) & (q < 4.6)
    formula = {"Ca": 10, "P": 6, "O": 26, "H": 2}
    coherent = crystallites.intensity(kind) - atoms.compton(formula, q)
    # between 100 and 101 a perfect crystallite leaves its tails and thermal scattering, 0.2 e.u. per dalton
    assert coherent[inside].min() > 0.1
    quiet = inside & (q > 0.95) & (q < 1.08)
    assert coherent[quiet].std() < 0.1


def test_002_is_as_wide_as_a_block_makes_it() -> None:
    """00l of N cells in a row is sin²(N c q / 2) / sin²(c q / 2): FWHM 0.886 · 2π / (N c)."""
    kind = crystallites.Morphology(shape="block", length_c=15.3, length_a=12.0, length_b=12.0, correlation=0.0)
    cells = crystallites.cells_of(kind, 1.0, crystallites.grid_of(kind, 1.0))
    along = len(np.unique(np.argwhere(cells > 0)[:, 2]))
    q, i = crystallites.Q, crystallites.intensity(kind) - own_scattering(kind)
    top = int(np.argmax(np.where(np.abs(q - 4 * np.pi / 6.8745) < 0.04, i, 0.0)))
    half = i > 0.5 * i[top]
    low, high = top, top
    while half[low - 1]:
        low -= 1
    while half[high + 1]:
        high += 1
    # 201 at 1.78 Å⁻¹ lies on one flank; the grid of q is 0.0024 Å⁻¹
    assert q[high] - q[low] == pytest.approx(0.886 * 2 * np.pi / (along * 6.8745), rel=0.12)


def scattering(curve: np.ndarray, formula: dict[str, float], q: np.ndarray) -> np.ndarray:
    """S(q): coherent intensity over that of the free atoms."""
    s = (curve - atoms.compton(formula, liquids.Q)) / atoms.free_atoms(formula, liquids.Q)
    return np.interp(q, liquids.Q, s)


WINDOW = np.linspace(0.7, 4.1, 341)


def area_over_free_atoms(curve: np.ndarray, formula: dict[str, float]) -> float:
    weights = atoms.free_atoms(formula, WINDOW)
    return float((scattering(curve, formula, WINDOW) * weights).sum() / weights.sum())


def test_water_from_its_distribution_function() -> None:
    """63 electron units at 2.0 Å⁻¹, 0.77–0.80 of the free atoms, 6.4 at q = 0, 0.8 at 3.7 Å⁻¹: as measured."""
    formula = {"H": 2.0, "O": 1.0}
    curve = liquids.water()
    units = (curve - atoms.compton(formula, liquids.Q)) * 18.015
    ring = liquids.Q < 2.4
    assert float(units[ring].max()) == pytest.approx(63.0, abs=3.5)
    assert float(liquids.Q[ring][np.argmax(units[ring])]) == pytest.approx(2.0, abs=0.1)
    assert float(units[0]) == pytest.approx(6.4, abs=0.1)
    assert area_over_free_atoms(curve, formula) == pytest.approx(0.785, abs=0.02)
    assert float(scattering(curve, formula, np.array([3.7]))[0]) == pytest.approx(0.8, abs=0.05)


def test_packing_of_single_sites_is_that_of_hard_spheres() -> None:
    """S(0) = (1 − η)⁴ / (1 + 2η)² in the Percus–Yevick closure [Wertheim 1963], and g = 0 in the core."""
    for eta in (0.2, 0.4):
        density = 6.0 * eta / np.pi / 3.4**3
        h = liquids.packed(np.ones(len(liquids.Q)), density, 3.4)
        # the core ends on a grid of 0.06 Å
        assert 1.0 + h[0] == pytest.approx((1 - eta) ** 4 / (1 + 2 * eta) ** 2, rel=0.05)


@pytest.mark.parametrize(
    ("name", "area", "ring", "height"),
    [("lipid", (1.18, 1.38), 1.42, (3.0, 4.0)), ("collagen", (0.95, 1.18), 1.5, (1.4, 1.95)),
     ("keratin", (0.95, 1.18), 1.45, (1.4, 1.95)), ("polysaccharide", (0.95, 1.2), 1.4, (1.4, 2.3))],
)  # fmt: skip
def test_molecules_scatter_as_measured(
    name: str, area: tuple[float, float], ring: float, height: tuple[float, float]
) -> None:
    """Nothing was fitted to these: bond geometry, density and van der Waals diameter alone.

    Measured areas: lipid 1.21–1.35, protein 0.97–1.17; rings: lipid 3.4–3.7 at 1.38 Å⁻¹, protein 1.6–1.85 at 1.3–1.5.
    """
    conformer = liquids.MELTS[name][0]
    formula = liquids.averaged([conformer(np.random.default_rng(3)) for _ in range(12)]).formula
    s = scattering(liquids.melt(name), formula, WINDOW)
    low, high = area
    assert low < area_over_free_atoms(liquids.melt(name), formula) < high
    assert float(WINDOW[np.argmax(s)]) == pytest.approx(ring, abs=0.12)
    assert height[0] < float(s.max()) < height[1]


def test_amorphous_phosphate_scatters_less_than_its_atoms() -> None:
    """0.79 ± 0.1 of the free atoms [molecular dynamics], rings at 2.0–2.2 and 3.2–3.5 Å⁻¹ (29–32°, 46–51°)."""
    formula = {"Ca": 9.0, "P": 6.0, "O": 24.0}
    curve = liquids.phosphate()
    assert area_over_free_atoms(curve, formula) == pytest.approx(0.79, abs=0.1)
    s = scattering(curve, formula, WINDOW)
    assert 2.0 < float(WINDOW[np.argmax(np.where(WINDOW < 2.8, s, 0.0))]) < 2.25
    assert 3.2 < float(WINDOW[np.argmax(np.where(WINDOW > 2.8, s, 0.0))]) < 3.5


# --- kinetics


@pytest.mark.parametrize("model", ["distributed", "growth", "contracting"])
def test_half_has_gone_at_the_stated_temperature(model: reactions.Model) -> None:
    reaction = reactions.Reaction(model=model, half_c=420.0, energy=170.0, spread=9.0)
    time = np.linspace(0.0, 5400.0, 4000)
    alpha = reactions.conversion(reaction, time, 26.0 + time / 6.0)
    assert np.all(np.diff(alpha) >= -1e-12)
    assert float(np.interp(0.5, alpha, 26.0 + time / 6.0)) == pytest.approx(420.0, abs=0.5)


@pytest.mark.parametrize("model", ["growth", "contracting"])
def test_conversion_solves_its_rate_equation(model: reactions.Model) -> None:
    """dα/dt = k f(α) integrated by scipy at 17 K/min, within 1e-3."""
    reaction = reactions.Reaction(model=model, half_c=500.0, energy=200.0, exponent=2.0)
    log_a = reactions.log_frequency(reaction)
    rate = 17.0 / 60.0

    def slope(t: float, y: np.ndarray) -> list[float]:
        k = np.exp(log_a - 200.0 / (reactions.R_GAS * (299.15 + rate * t)))
        left = max(1.0 - y[0], 1e-12)
        grown = 2.0 * left * np.sqrt(max(-np.log(left), 1e-18))
        return [k * (grown if model == "growth" else 3.0 * left ** (2.0 / 3.0))]

    end = 520.0 / rate
    known = solve_ivp(slope, (0.0, end), [0.0], rtol=1e-8, atol=1e-12, max_step=2.0)
    time = np.linspace(0.0, end, 3000)
    alpha = reactions.conversion(reaction, time, 26.0 + rate * time)
    inside = (alpha > 0.05) & (alpha < 0.95)
    np.testing.assert_allclose(alpha[inside], np.interp(time, known.t, known.y[0])[inside], atol=3e-3)


def test_activation_energy_is_what_kissinger_finds() -> None:
    reaction = reactions.Reaction(model="growth", half_c=500.0, energy=200.0, exponent=2.0)
    peaks = []
    for rate in (4.0, 10.0, 25.0):
        time = np.linspace(0.0, 900.0 / rate * 60.0, 20000)
        temperature = 26.0 + rate / 60.0 * time
        alpha = reactions.conversion(reaction, time, temperature)
        peaks.append(273.15 + float(temperature[np.argmax(np.gradient(alpha, time))]))
    x, y = 1.0 / np.array(peaks), np.log(np.array([4.0, 10.0, 25.0]) / np.array(peaks) ** 2)
    assert -np.polyfit(x, y, 1)[0] * reactions.R_GAS == pytest.approx(200.0, rel=0.02)


def test_calcium_oxalate_loses_what_its_formula_says() -> None:
    """12.33, 19.17 and 30.12 % in three steps, in air without anything else."""
    pure = population.Specimen(
        apatite=0.0, carbonate=0.0, organic={}, water=0.0, amorphous_mineral=0.0, crystals={"whewellite": 1.0}
    )
    pools = substances.pools_of(pure, np.random.default_rng(2), inert=False)
    assert [round(100 * pool.mass, 2) for pool in pools] == [12.33, 19.17, 30.12]
    laboratory = balance.draw_laboratory(np.random.default_rng(2))
    time, temperature = balance.programme(laboratory)
    mass = balance.true_mass(pools, laboratory, time, temperature)
    assert float(mass[-1]) == pytest.approx(0.3838, abs=2e-3)
    assert float(np.interp(320.0, temperature, mass)) == pytest.approx(1 - 0.1233, abs=2e-3)


def test_buoyancy_is_that_of_an_ideal_gas() -> None:
    """0.85 mg per cm³ from 25 to 800 °C in air, from the density of air at 1.18 mg/cm³."""
    gain = balance.buoyancy(1.0, np.array([26.0, 800.0]), balance.DRY_AIR)
    assert gain == pytest.approx([0.0, 0.85], abs=0.01)


def test_char_waits_for_oxygen() -> None:
    laboratory = balance.Laboratory(
        rate_k_min=10.0, mass_mg=10.0, end_c=1000.0, gas="nitrogen", switch_c=700.0, volume_cm3=0.0, blank_cm3=None,
        noise_ug=0.0, drift_ug=0.0, wander_ug=0.0, jump_ug=0.0, jump_at=0.5, lag_k=0.0, points=4000,
    )  # fmt: skip
    specimen = population.Specimen(
        apatite=0.0, carbonate=0.0, organic={"collagen": 1.0}, water=0.0, amorphous_mineral=0.0
    )
    pools = substances.pools_of(specimen, np.random.default_rng(4), inert=True)
    assert sum(pool.mass for pool in pools) == pytest.approx(1.0)
    time, temperature = balance.programme(laboratory)
    mass = balance.true_mass(pools, laboratory, time, temperature)
    assert 0.10 < float(np.interp(695.0, temperature, mass)) < 0.35
    assert float(np.interp(760.0, temperature, mass)) < 0.12


# --- population and files


def test_half_the_specimens_hold_no_amorphous_mineral() -> None:
    drawn = [population.draw(seed) for seed in range(400)]
    for specimen in drawn:
        assert sum(specimen.components().values()) == pytest.approx(1.0)
    # two standard deviations of 400 draws
    assert np.mean([s.amorphous_mineral == 0.0 for s in drawn]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([s.truth()["salts"] > 0.0 for s in drawn]) == pytest.approx(0.25, abs=0.045)
    assert np.mean([s.apatite == 0.0 for s in drawn]) == pytest.approx(1 / 12, abs=0.03)


@pytest.mark.parametrize("world", draw.WORLDS)
def test_a_specimen_is_the_same_whenever_it_is_drawn(world: str, tmp_path: Path) -> None:
    first, second = (draw.write_specimen(world, 7, tmp_path / name) for name in ("a", "b"))
    assert first.tga.read_bytes() == second.tga.read_bytes()
    assert first.truth == second.truth
    assert (first.xrd is None) == (world == "kinetics")
    if first.xrd is not None and second.xrd is not None:
        assert first.xrd.read_bytes() == second.xrd.read_bytes()
        assert draw.write_specimen(world, 8, tmp_path / "c").xrd != first.xrd


def test_exports_are_read_as_they_were_written(tmp_path: Path) -> None:
    from xrdcomp import read_tga, read_xrd

    scan = files.Scan(two_theta=10.0 + 0.02 * np.arange(50), counts=np.arange(50.0) + 100.0)
    temperature = np.linspace(26.0, 1000.0, 60)
    curve = files.Curve(
        time_s=6.0 * (temperature - 26.0), temperature_c=temperature, mass_mg=np.linspace(10.0, 6.0, 60),
        initial_mass_mg=10.0, gas="Air", rate_k_min=10.0,
    )  # fmt: skip
    for name, write in (("a.xrdml", files.write_xrdml), ("a.xy", files.write_xy)):
        write(tmp_path / name, scan, "a")
        np.testing.assert_array_equal(read_xrd(tmp_path / name).intensity, scan.counts)
    for name, write_run in (("a.csv", files.write_csv), ("a.txt", files.write_netzsch)):
        write_run(tmp_path / name, curve, "a")
        run = read_tga(tmp_path / name)
        assert run.initial_mass_mg == pytest.approx(10.0)
        share = np.asarray(run.mass) / run.mass[0]
        np.testing.assert_allclose(share, curve.mass_mg / 10.0, atol=2e-5)


def test_sweeps_keep_the_specimen_whole() -> None:
    from benchmarks.worlds import sweeps

    for steps, setting in sweeps.SWEEPS.values():
        for x in steps[::5]:
            for specimen in (setting(float(x)).diffracted, setting(float(x)).weighed):
                assert sum(specimen.components().values()) == pytest.approx(1.0)


def test_a_study_compares_with_the_truth_and_scores_it() -> None:
    """Interval score: the width alone inside, forty times the distance more outside; 12 components and claims."""
    from benchmarks.worlds import study

    cases = study.judge(("kinetics", 2))
    (water,) = [case for case in cases if case.component == "water"]
    assert water.truth == pytest.approx(population.draw(200_000 + 2).water)
    inside = study.Case(**{**water.__dict__, "truth": 0.20, "low95": 0.18, "high95": 0.22})
    missed = study.Case(**{**water.__dict__, "truth": 0.25, "low95": 0.18, "high95": 0.22})
    assert inside.score == pytest.approx(0.04)
    assert inside.covered(95)
    assert missed.score == pytest.approx(0.04 + 40 * 0.03)
    assert not missed.covered(95)
    text = study.tables([inside, missed])
    assert "| kinetics | all | water | 2 | 50 |" in text
