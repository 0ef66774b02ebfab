"""Lines of compounds that the library does not have must not be taken for phases that it has."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import xrdcomp as xc
from xrdcomp.composition.claims import undecided_claims
from xrdcomp.composition.compose import compose
from xrdcomp.physics.profiles import pseudo_voigt_value

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


def test_lines_among_many_of_their_height_prove_nothing_and_alone_they_do() -> None:
    others = np.random.default_rng(11).uniform(17.0, 84.0, 40)
    crowd = [(float(angle), 100.0) for angle in others if all(abs(angle - own) > 1.0 for own, _ in PERICLASE)]
    alone, crowded = scan([*PERICLASE], 300.0), scan([*PERICLASE, *crowd], 300.0)
    assert decisions(alone)["periclase"].decision == "detected"
    assert decisions(crowded)["periclase"].decision != "detected"


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
