"""Specimens and scans that no study of tissue has: what is said of them, by simulated patterns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xrdcomp.analysis import analyze
from xrdcomp.data import Pattern, Phase
from xrdcomp.phases.library import load_phase
from xrdcomp.results import UnexplainedPeak
from xrdcomp.search.metals import metal_among
from xrdcomp.simulate import Hump, SpecimenModel, XrdConditions, simulate_pattern
from xrdcomp.simulate.xrd import expected_pattern, measure
from xrdcomp.stages import compose, identify

WAVELENGTH = 1.540598


@pytest.mark.parametrize(("kbeta", "tungsten"), [(0.2, 0.0), (0.15, 0.1)])
def test_lines_of_an_unfiltered_tube_are_no_crystals(kbeta: float, tungsten: float) -> None:
    """Each strong reflection shows again at a fifth of its height: the line is fitted, and its share told."""
    specimen = SpecimenModel(specimen_id="unfiltered", other={"hydroxyapatite": 0.9, "calcite": 0.1})
    conditions = XrdConditions(kbeta_ratio=kbeta, tungsten_ratio=tungsten)
    result = analyze(simulate_pattern(specimen, conditions, seed=3)[0])
    told = next(message for message in result.messages if message.code == "XRD_RESIDUAL_LINES")
    assert told.facts["kbeta_ratio"] == pytest.approx(kbeta, rel=0.15)
    assert ("w_la_ratio" in told.facts) == (tungsten > 0.0)
    assert result.composition.components.get("unidentified_crystalline") is None
    assert result.composition.identifiable_sums["crystalline"].high > 0.99
    assert {phase.id for phase in result.phases if phase.decision == "detected"} == {"hydroxyapatite", "calcite"}


def crystal(folder: Path, group: str, edges: tuple[float, float, float], atoms: str) -> Phase:
    """Orthogonal crystal that no list holds."""
    cell = "".join(f"_cell_length_{axis} {edge}\n" for axis, edge in zip("abc", edges, strict=True))
    cell += "".join(f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma"))
    sites = "_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
    file = folder / "crystal.cif"
    file.write_text(f"data_crystal\n{cell}_space_group_name_H-M_alt '{group}'\nloop_\n{sites}{atoms}\n")
    return replace(load_phase(str(file)), id="unlisted")


def scan_of(phase: Phase, model: SpecimenModel) -> Pattern:
    """Counts of a specimen with an unlisted phase."""
    conditions, rng = XrdConditions(peak_counts=8000.0), np.random.default_rng(2)
    phases = {phase.id: phase, model.apatite_model.phase: load_phase(model.apatite_model.phase)}
    expected = expected_pattern(model, conditions, phases, rng)
    return measure(expected.two_theta, expected.specimen + expected.background, conditions, rng, model.specimen_id)


def with_metal(folder: Path, edge: float, share: float, *, apatite: float) -> Pattern:
    """Scan of apatite and protein with the lines of aluminium, of some cell edge (Å)."""
    metal, rest = crystal(folder, "F m -3 m", (edge, edge, edge), "Al1 Al 0 0 0"), 1.0 - share
    model = SpecimenModel(
        specimen_id="in a holder", apatite=apatite * rest, protein=(1.0 - apatite) * rest, other={metal.id: share}
    )
    return scan_of(metal, model)


@pytest.mark.parametrize("apatite", [0.0, 0.6])
def test_lines_of_a_holder_are_told(tmp_path: Path, apatite: float) -> None:
    """They may be no part of the specimen: the unidentified crystals reach nothing, and the rest all of it."""
    result = analyze(with_metal(tmp_path, 4.0496, 0.15, apatite=apatite))
    told = next(message for message in result.messages if message.code == "XRD_METAL_LINES")
    assert told.facts["metal"] == "aluminium"
    unknown = result.composition.components["unidentified_crystalline"]
    assert unknown is not None
    assert unknown.low < 0.005
    assert unknown.high > 0.15, "metal in the specimen, as it is here, is held as well"
    crystalline = result.composition.identifiable_sums["crystalline"]
    assert crystalline.low <= apatite <= crystalline.high


def test_a_search_is_composed_with_the_metal_of_its_holder(tmp_path: Path) -> None:
    """The stages one by one tell the same of a holder as an analysis."""
    unknown = compose(identify(with_metal(tmp_path, 4.0496, 0.15, apatite=0.6)))["unidentified_crystalline"]
    assert unknown is not None
    assert unknown.low < 0.005


def test_a_cubic_crystal_of_another_cell_is_no_metal(tmp_path: Path) -> None:
    result = analyze(with_metal(tmp_path, 4.16, 0.15, apatite=0.6))
    assert "XRD_METAL_LINES" not in {message.code for message in result.messages}


def test_peaks_that_chance_puts_on_a_metal_name_none() -> None:
    """Of two hundred crowds of forty peaks none holds four reflections at their places for certain."""
    rng, named = np.random.default_rng(4), 0
    for _ in range(200):
        angles = np.sort(rng.uniform(8.0, 88.0, 40))
        d = WAVELENGTH / (2.0 * np.sin(np.radians(angles / 2.0)))
        peaks = [
            UnexplainedPeak(two_theta=float(x), d_spacing=float(y), z=20.0, height=1.0, area=float(a), candidates=())
            for x, y, a in zip(angles, d, rng.lognormal(0.0, 1.0, 40), strict=True)
        ]
        named += metal_among(peaks, WAVELENGTH, (5.0, 90.0), 0.1, np.zeros(0)) is not None
    assert named <= 2


def test_maxima_of_small_crystals_of_no_list_are_no_apatite(tmp_path: Path) -> None:
    """Boehmite of 3 nm: its maxima leave a fit with nano-apatite undescribed, and one is no apatite's."""
    atoms = "Al1 Al 0 0.317 0.25\nO1 O 0 0.213 0.25\nO2 O 0 0.56 0.25"
    boehmite = crystal(tmp_path, "C m c m", (2.868, 12.234, 3.692), atoms)
    model = SpecimenModel(specimen_id="boehmite", other={boehmite.id: 1.0}, other_size_nm=3.0)
    result = analyze(scan_of(boehmite, model))
    assert not any(phase.decision == "detected" for phase in result.phases)
    unknown = result.composition.components.get("unidentified_crystalline")
    assert unknown is None or unknown.high > 0.98


@pytest.mark.parametrize("protein", [0.0, 0.3])
def test_a_holder_that_shows_may_have_all_that_is_amorphous(protein: float) -> None:
    """A pure powder on glass and one beside glass look the same: the interval holds both, and it is told."""
    specimen = SpecimenModel(specimen_id="on glass", protein=protein, other={"quartz": 1.0 - protein})
    conditions = XrdConditions(peak_counts=8000.0, humps=(Hump(two_theta=24.0, fwhm=9.0, height=1.0),))
    result = analyze(simulate_pattern(specimen, conditions, seed=1)[0])
    crystalline = result.composition.identifiable_sums["crystalline"]
    assert crystalline.low <= 1.0 - protein <= crystalline.high
    assert crystalline.high > 0.99
    assert "HOLDER_HUMP" in {message.code for message in result.messages}
