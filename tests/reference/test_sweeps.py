"""Intervals move with the evidence and do not jump: a reduced version of ``benchmarks.worlds.sweeps``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.worlds import sweeps
from tests.unit.composition_evidence import NAMES, STDS, balance, xrd_amounts
from xrdcomp.composition.compose import compose_evidence
from xrdcomp.composition.evidence import ThermalEvidence
from xrdcomp.results import XrdAmounts
from xrdcomp.units import FloatArray

EMBEDDED = np.array([0.42, 0.36, 0.164, 0.026, 0.03, 0.0])
JUDGED = (*sweeps.JUDGED, "crystalline", "non_crystalline", "total_mineral")
BAR = 1.5


def without(part: int, left: float) -> FloatArray:
    """The specimen with a share of one component, the others in proportion."""
    rest: FloatArray = EMBEDDED * (np.arange(6) != part)
    rest *= (1.0 - left) / rest.sum()
    rest[part] = left
    return rest


Evidence = Callable[[float], tuple[XrdAmounts, ThermalEvidence]]


def off(name: str) -> Evidence:
    """One amount by diffraction off by so many of its standard uncertainties."""

    def at(steps: float) -> tuple[XrdAmounts, ThermalEvidence]:
        made = xrd_amounts(EMBEDDED)
        shift = steps * np.sqrt(np.diag(made.covariance)) * (np.array(made.names) == name)
        return replace(made, amounts=made.amounts + shift), balance(EMBEDDED)

    return at


LINES: dict[str, tuple[FloatArray, Evidence]] = {
    "organic": (np.arange(0.0, 0.05, 0.003), lambda x: (xrd_amounts(without(1, x)), balance(without(1, x)))),
    "amorphous": (np.arange(0.0, 0.15, 0.01), lambda x: (xrd_amounts(without(4, x)), balance(without(4, x)))),
    "other": (np.arange(0.0, 0.03, 0.003), lambda x: (xrd_amounts(without(5, x)), balance(without(5, x)))),
    # by a tenth, as the study halves a step that is too long: an end goes to zero over a factor of four in probability
    "precision": (np.geomspace(0.2, 4.0, 29), lambda x: (xrd_amounts(EMBEDDED, stds=STDS * x), balance(EMBEDDED))),
    **{f"{name} off": (np.arange(-4.0, 6.1, 0.8), off(name)) for name in NAMES[:5]},
}


@pytest.mark.parametrize("name", LINES)
def test_no_width_jumps_where_the_evidence_moves_by_less_than_its_uncertainty(name: str) -> None:
    steps, evidence = LINES[name]
    found = []
    for x in steps:
        made = compose_evidence(*evidence(float(x)))
        parts = {**made.components, **made.identifiable_sums}
        given = {key: parts[key] for key in JUDGED}
        found.append({key: max(e.high - e.low, sweeps.FLOOR) for key, e in given.items() if e is not None})
    for key in JUDGED:
        worst = max(max(a[key] / b[key], b[key] / a[key]) for a, b in pairwise(found))
        assert worst < BAR, f"{key} changes its width by {worst:.2f} in a step of {name}"


@pytest.mark.parametrize(
    ("world", "name", "steps"),
    [
        ("home", "amorphous", (0.0, 0.02, 0.04)),
        ("home", "offset", (0.0, 0.02, 0.04)),
        ("home", "counts", (600.0, 5000.0)),
        ("home", "rate", (6.0, 6.5, 7.0)),
        ("home", "rate", (9.0, 9.4, 9.8)),
        ("measured", "range", (80.0, 82.0, 84.0)),
        ("measured", "amorphous", (0.08, 0.09, 0.10)),
        # apatite of 12 nm beside ever higher reflections of spinel, of which it is told by the rest of the pattern
        ("debye", "unlisted", (0.08, 0.11, 0.14)),
    ],
)
def test_no_width_jumps_in_a_sweep(
    world: str, name: str, steps: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sweeps.SWEEPS, name, (steps, sweeps.SWEEPS[name][1]))
    text, rows = sweeps.sweep(world, name)
    assert f"| {steps[-1]:.5g} |" in text
    assert [row.name for row in rows if row.holds is False] == []


def test_more_counts_widen_nothing_where_forms_of_halos_are_not_those_of_the_fit() -> None:
    """Of measured halos the fit misses one per cent of the intensity: 90 000 counts show that, 1 200 do not."""
    _, setting = sweeps.SWEEPS["counts"]
    few, many = (sweeps.widths("measured", setting(counts), 3) for counts in (1200.0, 90_000.0))
    for name in sweeps.JUDGED:
        assert sweeps.factor(few, many, name) < 1.1, name
    # amounts stay: half a wt% is a third of their standard uncertainty
    assert abs(many["crystalline_hydroxyapatite"][0] - few["crystalline_hydroxyapatite"][0]) < 0.005
    assert abs(many["amorphous_mineral"][0] - few["amorphous_mineral"][0]) < 0.005
