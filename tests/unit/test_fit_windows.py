"""What models leave out until it is asked for, and what never is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fit_cases import INSTRUMENT, made_pattern
from xrdcomp.phases.library import load_phase
from xrdcomp.refinement import refine
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.reflections import PhaseReflections, Windows

HA, FA = load_phase("hydroxyapatite"), load_phase("fluorapatite")


def test_windows_are_worked_out_when_a_sum_asks_for_them() -> None:
    x = np.arange(20.0, 60.0, 0.02)
    item = PhaseReflections.freeze(HA, INSTRUMENT, x, {})
    assert "pairs" not in vars(item.windows), "nothing was summed"
    assert len(item.pairs.point) > len(x)
    assert item.pairs is replace(item, phase=FA).pairs, "phases that share windows work them out once"
    assert len(Windows.none(x).pairs.point) == 0


def test_a_phase_that_is_replaced_needs_neither_windows_nor_form() -> None:
    """Its columns are those of any model but for the form of its profiles, which another phase brings."""
    fit = Refinement.run(made_pattern(seed=3), [HA], INSTRUMENT)
    own = fit.setup.build(fit.points, fit.table, like=fit.model)
    bare = fit.setup.build(fit.points, fit.table, like=fit.model, replaced=HA.id)
    assert [column.name for column in bare.columns] == [column.name for column in own.columns]
    form = [column.name for column in bare.columns].index(f"{HA.id}_shoulder") - 1
    assert not bare.fixed[:, form].any()
    assert own.fixed[:, form].any()
    others = np.arange(own.fixed.shape[1]) != form
    assert np.array_equal(bare.fixed[:, others], own.fixed[:, others])


def test_members_are_tried_alike_whatever_the_model_has_in_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Refinement.run(made_pattern(seed=3), [HA], INSTRUMENT)
    trials = fit.substitutes(HA, [HA, FA])
    build = refine.ModelSetup.build

    def whole(self: refine.ModelSetup, *arguments: object, replaced: str = "", **options: object) -> object:
        return build(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(refine.ModelSetup, "build", whole)
    for trial, other in zip(trials, fit.substitutes(HA, [HA, FA]), strict=True):
        assert trial.cost == other.cost
        assert trial.table.start == other.table.start
