"""Phases that could not be tested beside reflections of unknown crystals keep the room that intensities leave them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import xrdcomp as xc
from tests.builders import cif_text
from xrdcomp.composition.compose import compose_evidence
from xrdcomp.phases.library import load_phase, load_phases
from xrdcomp.results import DetectionEvidence, PhaseResult, XrdAmounts
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions
from xrdcomp.simulate.xrd import expected_pattern, measure

ZIRCON = cif_text(
    "zircon", (6.604, 6.604, 5.979, 90, 90, 90), "I 41/a m d:2",
    ["Zr1 Zr 0 0.75 0.125 0.5", "Si1 Si 0 0.25 0.375 0.5", "O1 O 0 0.066 0.1951 0.8"],
)  # fmt: skip
"""ZrSiO4 [Robinson et al. 1971 Am. Mineral. 56, 782]; its 200 hides quartz 101."""


def test_a_phase_hidden_beneath_a_heavy_unknown_is_not_excluded(tmp_path: Path) -> None:
    path = tmp_path / "zircon.cif"
    path.write_text(ZIRCON, encoding="utf-8")
    zircon, truth = replace(load_phases((str(path),))[0], id="zircon"), 0.10
    model, rng = SpecimenModel(other={"zircon": 1.0 - truth, "quartz": truth}), np.random.default_rng(14)
    known = {name: load_phase(name) for name in (model.apatite_model.phase, "quartz")}
    conditions = XrdConditions(fwhm_w=0.006)
    expected = expected_pattern(model, conditions, {**known, "zircon": zircon}, rng)
    pattern = measure(expected.two_theta, expected.specimen + expected.background, conditions, rng, "zircon")
    found = xc.analyze(pattern)
    other, unknown = (found.composition.components[name] for name in ("other_crystalline", "unidentified_crystalline"))
    assert other is not None
    assert unknown is not None
    assert other.low <= truth <= other.high
    assert unknown.low <= 1.0 - truth <= unknown.high
    # one place without intensity bounds a phase: no reflection of halite is hidden whole
    assert found.phases["halite"].evidence.most is not None
    assert found.phases["halite"].evidence.most < 0.02


def test_the_room_of_an_untested_phase_is_part_of_the_composition() -> None:
    amounts = XrdAmounts(
        names=("hydroxyapatite", "protein"), amounts=np.array([0.0, 0.05]), covariance=np.diag([1e-6, 1e-4]),
        crystalline=(True, False),
    )  # fmt: skip

    def other(most: float | None) -> xc.Estimate:
        phase = PhaseResult(
            id="quartz", name="quartz", formula="SiO2", decision="inconclusive", detection_limit=None,
            evidence=DetectionEvidence(z=1.0, fitted=False, tested=False, most=most),
        )  # fmt: skip
        found = compose_evidence(amounts, None, phases=[phase], unidentified=(1.0, 0.01), tissue=False)
        estimate = found.components["other_crystalline"]
        assert estimate is not None
        return estimate

    assert other(None).high < 0.02
    # the room is of all that scatters like a median phase: of heavier unknown crystals it is more
    assert other(0.2).high > 0.15
    assert other(0.2).low == 0.0


def unknown_beside(
    phases: list[PhaseResult], *, apatite: tuple[float, float] | None = None, soft: tuple[float, float] = (0.05, 0.01)
) -> xc.Composition:
    """Composition of unknown crystals beside soft matter, and an apatite of the fit, each with its variance."""
    rows = {"protein": soft} | ({"hydroxyapatite": apatite} if apatite is not None else {})
    amounts = XrdAmounts(
        names=tuple(rows), amounts=np.array([mass for mass, _ in rows.values()]),
        covariance=np.diag([variance for _, variance in rows.values()]),
        crystalline=tuple(name == "hydroxyapatite" for name in rows),
    )  # fmt: skip
    return compose_evidence(amounts, None, phases=phases, unidentified=(1.0, 0.01), tissue=False)


def untested(name: str, most: float) -> PhaseResult:
    evidence = DetectionEvidence(z=1.0, fitted=False, tested=False, most=most)
    return PhaseResult(
        id=name, name=name, formula="X", decision="inconclusive", detection_limit=None, evidence=evidence
    )


def test_one_phase_of_many_with_room_hardly_counts() -> None:
    """That something of the library is hidden is one chance for all of it."""
    crowd = [untested(f"phase{i}", 0.01) for i in range(30)]

    def low(*phases: PhaseResult) -> float:
        estimate = unknown_beside(list(phases)).components["unidentified_crystalline"]
        assert estimate is not None
        return float(estimate.low)

    assert low(untested("one", 0.8)) < 0.5
    assert low(untested("one", 0.8), *crowd) > 0.6
    # unless reflections of it show: then it has the chance for itself
    shown = untested("one", 0.8)
    shown = replace(shown, evidence=replace(shown.evidence, tested=True))
    assert low(shown, *crowd) < 0.5


def test_a_trifling_apatite_in_doubt_does_not_weigh_unknown_crystals() -> None:
    evidence = DetectionEvidence(z=12.0, fitted=True, tested=True)
    apatite = PhaseResult(
        id="hydroxyapatite", name="hydroxyapatite", formula="X", decision="inconclusive", detection_limit=None,
        evidence=evidence, facts=load_phase("hydroxyapatite").facts,
    )  # fmt: skip
    found = unknown_beside([apatite], apatite=(0.0004, 0.0005**2), soft=(0.0, 0.14**2))
    unknown, crystals = found.components["unidentified_crystalline"], found.components["crystalline_hydroxyapatite"]
    assert unknown is not None
    assert crystals is not None
    assert unknown.low > 0.5
    assert crystals.low == 0.0
    # and as much of it may be none of it on either basis
    much = unknown_beside([apatite], apatite=(0.4, 0.02**2), soft=(0.3, 0.05**2))
    for basis in (much.components, much.other_basis):
        estimate = basis["crystalline_hydroxyapatite"]
        assert estimate is not None
        assert estimate.value > 0.2
        assert estimate.low == 0.0


def test_few_crystals_and_much_of_a_hidden_phase_are_not_both_taken() -> None:
    found = unknown_beside([untested("one", 0.4)], soft=(0.1, 0.1**2))
    unknown, other = found.components["unidentified_crystalline"], found.components["other_crystalline"]
    assert unknown is not None
    assert other is not None
    assert unknown.low > found.identifiable_sums["crystalline"].low - other.high + 0.05


def test_a_spike_that_does_not_show_fails() -> None:
    pattern, _ = simulate_pattern(SpecimenModel(other={"quartz": 0.5, "calcite": 0.5}), seed=3)
    recipe = xc.Recipe().with_settings({"internal_standard": "corundum", "internal_standard_fraction": 0.2})
    found = xc.analyze(pattern, recipe=recipe)
    assert found.status == "failed"
    assert "COMPOSITION_STANDARD_UNSEEN" in {message.code for message in found.messages}
    assert found.phases["corundum"].decision != "detected"
    assert found.phases["quartz"].decision == "detected"


def test_broad_maxima_without_a_phase_may_be_crystals() -> None:
    """Cellulose: crystals of a few nanometres, whose maxima amorphous scattering takes as far as its forms allow."""
    x = np.arange(5.0, 80.0, 0.02)
    level = 200.0 + 150.0 * (10.0 / x) ** 1.5 + 800.0 * np.exp(-(((x - 19.0) / 9.0) ** 2))
    for place, fwhm, height in ((14.9, 1.4, 0.3), (16.5, 1.6, 0.28), (22.7, 1.5, 1.0), (34.6, 1.8, 0.1)):
        level += 4000.0 * height / (1.0 + (2.0 * (x - place) / fwhm) ** 2)
    seen = np.random.default_rng(46).poisson(level).astype(float)
    found = xc.analyze(xc.Pattern(two_theta=x, intensity=seen, sigma=np.sqrt(seen), intensity_unit="counts"))
    assert found.xrd is not None
    assert found.xrd.gof > 2.0
    crystals = found.composition.identifiable_sums.get("crystalline")
    assert crystals is None or crystals.high > 0.1


def test_a_pattern_of_unknown_crystals_alone_is_not_called_unquantifiable() -> None:
    base = load_phase("sylvite")
    heavy = tuple({"K": "Na", "Cl": "La"}.get(element, element) for element in base.site_element)
    iodide = replace(base, id="iodide", cell=replace(base.cell, a=6.473, b=6.473, c=6.473), site_element=heavy)
    model, rng = SpecimenModel(other={"iodide": 1.0}), np.random.default_rng(2)
    known = {"iodide": iodide, model.apatite_model.phase: load_phase(model.apatite_model.phase)}
    expected = expected_pattern(model, XrdConditions(two_theta_min=10.0), known, rng)
    mean = expected.specimen + expected.background
    found = xc.analyze(measure(expected.two_theta, mean, XrdConditions(two_theta_min=10.0), rng, "iodide"))
    assert found.composition.components["unidentified_crystalline"] is not None
    assert "QUANTIFICATION_IMPOSSIBLE" not in {message.code for message in found.messages}


BOEHMITE = (
    (14.5, 1.3, 1.0), (28.2, 1.3, 0.43), (38.3, 1.3, 0.33), (49.1, 1.5, 0.4), (55.2, 1.4, 0.1), (64.2, 1.9, 0.13),
    (72.0, 1.6, 0.13),
)  # fmt: skip
CERIA = (
    (28.55, 1.8, 1.0), (33.08, 1.8, 0.28), (47.48, 1.9, 0.51), (56.34, 2.0, 0.41), (59.09, 2.0, 0.08),
    (69.4, 2.1, 0.07), (76.7, 2.2, 0.14), (79.07, 2.2, 0.09),
)  # fmt: skip
"""Place, width (deg) and height of reflections of crystals of some nanometres; silicon lacks the second of ceria."""


@pytest.mark.parametrize("maxima", [BOEHMITE, CERIA], ids=["boehmite", "ceria"])
def test_broad_reflections_of_an_unknown_are_unidentified_crystals(maxima: tuple[tuple[float, ...], ...]) -> None:
    x = np.arange(8.0, 82.0, 0.02)
    level = 40.0 + 100.0 * (10.0 / x) ** 1.5
    for place, fwhm, height in maxima:
        offset = 2.0 * (x - place) / fwhm
        level += 1400.0 * height * (0.4 / (1.0 + offset**2) + 0.6 * np.exp(-np.log(2.0) * offset**2))
    seen = np.random.default_rng(7).poisson(level).astype(float)
    found = xc.analyze(xc.Pattern(two_theta=x, intensity=seen, sigma=np.sqrt(seen), intensity_unit="counts"))
    assert found.status != "failed"
    assert not [phase.id for phase in found.phases if phase.decision == "detected"]
    unknown = found.composition.components["unidentified_crystalline"]
    assert unknown is not None
    assert unknown.high > 0.9


def test_halos_are_no_broad_reflections() -> None:
    """A glass has maxima of six degrees and more."""
    x = np.arange(8.0, 80.0, 0.02)
    q = 4.0 * np.pi * np.sin(np.radians(x / 2.0)) / 1.5418
    level = 300.0 + 3000.0 * (np.exp(-(((q - 1.65) / 0.39) ** 2)) + 0.3 * np.exp(-(((q - 2.9) / 0.66) ** 2)))
    seen = np.random.default_rng(8).poisson(level).astype(float)
    found = xc.analyze(xc.Pattern(two_theta=x, intensity=seen, sigma=np.sqrt(seen), intensity_unit="counts"))
    assert "unidentified_crystalline" not in found.composition.components
