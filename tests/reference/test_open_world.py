"""Specimens and scans that no study of tissue has: what is said of them, by simulated patterns."""

from __future__ import annotations

import pytest

from xrdcomp.analysis import analyze
from xrdcomp.simulate import SpecimenModel, XrdConditions, simulate_pattern


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
