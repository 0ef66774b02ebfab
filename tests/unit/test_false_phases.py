"""Lines of compounds that the library does not have must not be taken for phases that it has."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import xrdcomp as xc
from tests.builders import cif_text
from xrdcomp.composition.claims import undecided_claims
from xrdcomp.composition.compose import compose
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import load_phase
from xrdcomp.physics.profiles import pseudo_voigt_value
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search.doubts import other_cell
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions, vary_conditions
from xrdcomp.simulate.xrd import expected_pattern, measure

FROM_NOTHING = xc.Recipe().with_settings({"identification.start": "nothing", "instrument.radiation": "CuKa1"})
COPPER = 1.5405929
CERIA = ((3, 100.0), (4, 28.0), (8, 51.0), (11, 41.0), (12, 8.0), (16, 7.0), (19, 14.0), (20, 9.0))
"""h² + k² + l² and relative height of the lines of CeO2, a = 5.411 Å; silicon has neither 4, 12 nor 20."""
PERICLASE = ((36.94, 10.0), (42.92, 100.0), (62.31, 52.0))


def scan(lines: list[tuple[float, float]], counts: float, high: float = 85.0) -> xc.Pattern:
    """Poisson counts of sharp lines (angle, relative height) over a level of 100."""
    x = np.arange(15.0, high, 0.02)
    mean = np.full_like(x, 100.0)
    width, mixing = np.full_like(x, 0.12), np.full_like(x, 0.5)
    for angle, height in lines:
        shape = pseudo_voigt_value(x - angle, width, mixing)
        mean += 0.01 * counts * height * shape / shape.max()
    seen = np.random.default_rng(3).poisson(mean).astype(float)
    return xc.Pattern(two_theta=x, intensity=seen, sigma=np.sqrt(np.maximum(seen, 1.0)), intensity_unit="counts")


def decisions(pattern: xc.Pattern) -> dict[str, xc.PhaseResult]:
    return {phase.id: phase for phase in xc.analyze(pattern, recipe=FROM_NOTHING).phases}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [(5.411, "5.41.* shorter than that of silicon"), (5.431, "lattice")],
    ids=["its own cell", "silicon's cell"],
)
def test_another_compound_on_the_same_lattice_is_no_silicon(cell: float, reason: str) -> None:
    bragg = [(2.0 * float(np.degrees(np.arcsin(COPPER * np.sqrt(n) / (2.0 * cell)))), height) for n, height in CERIA]
    found = decisions(scan(bragg, 8000.0))
    assert found["silicon"].decision != "detected"
    assert "detected" not in {phase.decision for phase in found.values()}
    assert re.search(reason, found["silicon"].evidence.reason)


SPINEL = ((19.0, 60.0), (31.3, 40.0), (36.9, 100.0), (44.8, 65.0), (59.4, 60.0), (65.2, 65.0))


def test_sharp_lines_of_an_unknown_do_not_take_broad_apatite_away() -> None:
    conditions = XrdConditions(two_theta_min=10.0, two_theta_max=70.0, peak_counts=3000.0)
    plain, _ = simulate_pattern(SpecimenModel(apatite=0.3, protein=0.7), conditions, seed=4)
    x = plain.two_theta
    lines = np.zeros_like(x)
    for angle, height in SPINEL:
        shape = pseudo_voigt_value(x - angle, np.full_like(x, 0.15), np.full_like(x, 0.5))
        lines += 20.0 * height * shape / shape.max()
    seen = plain.intensity + np.random.default_rng(5).poisson(lines)
    both = replace(plain, intensity=seen, sigma=np.sqrt(np.maximum(seen, 1.0)))
    found = xc.analyze(both)
    assert found.phases["hydroxyapatite"].decision == "detected"
    assert found.composition.components["unidentified_crystalline"] is not None
    truth = found.composition.components["crystalline_hydroxyapatite"]
    assert truth is not None
    assert truth.low < 0.3


def simulated(parts: dict[str, float], phases: dict[str, xc.Phase], seed: int) -> xc.Pattern:
    """Counts of crystals that the library need not have."""
    model, conditions, rng = SpecimenModel(other=parts), XrdConditions(two_theta_min=10.0), np.random.default_rng(seed)
    name = model.apatite_model.phase
    known = {name: load_phase(name), **{part: phases.get(part) or load_phase(part) for part in parts}}
    expected = expected_pattern(model, conditions, known, rng)
    return measure(expected.two_theta, expected.specimen + expected.background, conditions, rng, "simulated")


def test_a_cell_of_no_member_is_an_apatite_of_other_elements() -> None:
    base = load_phase("fluorapatite")
    silicate = tuple("Si" if element == "P" else element for element in base.site_element)
    foreign = replace(base, id="britholite", cell=replace(base.cell, a=9.61, b=9.61, c=7.03), site_element=silicate)
    found = xc.analyze(simulated({"britholite": 1.0}, {"britholite": foreign}, 1))
    claim = {item.id: item.probability for item in found.claims}["hydroxyapatite_present"]
    assert claim is not None
    assert claim <= 0.5


def test_an_apatite_in_doubt_with_the_cell_of_none_is_reflections_of_something_else() -> None:
    base = load_phase("fluorapatite")
    foreign = replace(base, id="britholite", cell=replace(base.cell, a=9.61, b=9.61, c=7.03))
    scan = simulated({"britholite": 1.0}, {"britholite": foreign}, 1)
    instrument = build_instrument(scan, FROM_NOTHING.instrument)
    fit = Refinement.run(scan, [replace(foreign, id="fluorapatite")], instrument)
    assert other_cell(fit, base) == "", "its reflections prove an apatite of other elements"
    assert other_cell(fit, base, doubted=True).startswith("c would have to be 7.0")


GOETHITE = cif_text(
    "goethite", (4.608, 9.956, 3.0215, 90, 90, 90), "P b n m",
    ["Fe1 Fe 0.0489 0.8537 0.25 0.5", "O1 O 0.706 0.2 0.25 0.6", "O2 O 0.196 0.053 0.25 0.6"],
)  # fmt: skip
"""About goethite, which the library lacks: reflections of fine crystals of it reach under those of quartz."""


def test_a_phase_at_the_feet_of_broad_reflections_is_found(tmp_path: Path) -> None:
    """Fine goethite reaches under the reflections of quartz at 20.9 and 36.5 degrees, which are not its own."""
    file = tmp_path / "goethite.cif"
    file.write_text(GOETHITE)
    goethite = load_phase(str(file))
    known = {part: load_phase(part) for part in ("hydroxyapatite", "quartz", "zincite")} | {goethite.id: goethite}
    conditions = XrdConditions(peak_counts=5000.0, background_constant=0.05, two_theta_min=5.0, two_theta_max=70.0)
    rng, weaker = np.random.default_rng(4), replace(conditions, peak_counts=3500.0)
    sharp, broad = (
        expected_pattern(model, setting, known, rng)
        for model, setting in (
            (SpecimenModel(other={"quartz": 0.6, "zincite": 0.4}), conditions),
            (SpecimenModel(other={goethite.id: 1.0}, other_size_nm=30.0), weaker),
        )
    )
    mean = sharp.specimen + broad.specimen + sharp.background + broad.background
    found = xc.analyze(measure(sharp.two_theta, mean, conditions, rng, "soil"), internal_standard=("zincite", 0.2))
    assert {phase.id for phase in found.phases if phase.decision == "detected"} == {"quartz", "zincite"}


def test_a_phase_beside_higher_lines_of_an_unknown_is_found() -> None:
    base = load_phase("sylvite")
    heavy = tuple({"K": "Na", "Cl": "La"}.get(element, element) for element in base.site_element)
    iodide = replace(base, id="iodide", cell=replace(base.cell, a=6.473, b=6.473, c=6.473), site_element=heavy)
    found = xc.analyze(simulated({"iodide": 0.5, "quartz": 0.5}, {"iodide": iodide}, 2))
    assert [phase.id for phase in found.phases if phase.decision == "detected"] == ["quartz"]


def test_lines_among_many_of_their_height_prove_nothing_and_alone_they_do() -> None:
    others = np.random.default_rng(11).uniform(17.0, 84.0, 40)
    crowd = [(float(angle), 100.0) for angle in others if all(abs(angle - own) > 1.0 for own, _ in PERICLASE)]
    alone, crowded = scan([*PERICLASE], 300.0), scan([*PERICLASE, *crowd], 300.0)
    assert decisions(alone)["periclase"].decision == "detected"
    assert decisions(crowded)["periclase"].decision != "detected"


def test_feet_of_higher_peaks_prove_no_phase() -> None:
    """A barium apatite with the cell of pyromorphite: six weak reflections of LaB6 would lie on feet of its peaks."""
    base = load_phase("chlorapatite")
    cell = replace(base.cell, a=9.977, b=9.977, c=7.351)
    elements = tuple("Ba" if element == "Ca" else element for element in base.site_element)
    apatite = replace(base, id="barium_apatite", cell=cell, site_element=elements)

    def decided(run: int, share: float) -> str:
        conditions, _ = vary_conditions(np.random.default_rng([77, run]))
        model, rng = SpecimenModel(other={apatite.id: 1.0 - share, "lab6": share}), np.random.default_rng(run)
        known = {name: load_phase(name) for name in (model.apatite_model.phase, "lab6")}
        expected = expected_pattern(model, conditions, {**known, apatite.id: apatite}, rng)
        pattern = measure(expected.two_theta, expected.specimen + expected.background, conditions, rng, "simulated")
        library = ("lab6", "corundum", "quartz")
        recipe = xc.Recipe().with_settings({"identification.library": library, "identification.start": "nothing"})
        return xc.analyze(pattern, recipe=recipe).phases["lab6"].decision

    assert decided(0, 0.0) != "detected"
    assert decided(3, 0.2) == "detected"


def test_one_line_of_a_short_scan_names_no_phase() -> None:
    pattern = scan([(29.41, 100.0)], 20000.0, high=34.0)
    found = [phase.id for phase in decisions(pattern).values() if phase.decision == "detected"]
    assert found == []


def test_a_pattern_that_shows_nothing_has_a_composition_of_unknowns() -> None:
    fit = xc.analyze(scan([(29.41, 100.0)], 500.0, high=40.0), recipe=FROM_NOTHING).xrd
    assert fit is not None
    negative = replace(fit, amounts=replace(fit.amounts, amounts=-np.abs(fit.amounts.amounts)))
    composition = compose(negative)
    assert set(composition.components.values()) == {None}
    assert composition.method == "xrd"
    assert [message.code for message in composition.messages] == ["XRD_NOT_USED"]
    assert {claim.verdict for claim in undecided_claims("nothing shows")} == {"inconclusive"}


@pytest.mark.parametrize("seed", [0, 1])
def test_another_oxide_of_less_than_two_nanometres_is_surely_no_apatite(seed: int) -> None:
    """Maxima of an iron oxide of the corundum type, 5 to 10 degrees wide, which apatite of any cell could imitate."""
    base, rng = load_phase("corundum"), np.random.default_rng([91, seed])
    cell = replace(base.cell, a=1.06 * base.cell.a, b=1.06 * base.cell.b, c=1.08 * base.cell.c)
    iron = tuple("Fe" if element == "Al" else element for element in base.site_element)
    oxide = replace(base, id="iron_oxide", cell=cell, site_element=iron)
    conditions, _ = vary_conditions(np.random.default_rng([92, seed]))
    model = SpecimenModel(other={oxide.id: 1.0}, other_size_nm=1.6)
    phases = {oxide.id: oxide, "hydroxyapatite": load_phase("hydroxyapatite")}
    found = expected_pattern(model, conditions, phases, rng)
    result = xc.analyze(measure(found.two_theta, found.specimen + found.background, conditions, rng, "oxide"))
    assert "detected" not in {phase.decision for phase in result.phases}
    apatite = result.composition.components["crystalline_hydroxyapatite"]
    assert apatite is None or apatite.low == 0.0
