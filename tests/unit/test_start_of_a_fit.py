"""A fit ends at the same minimum from wherever it begins near it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xrdcomp.analysis import prepare
from xrdcomp.data import Sample
from xrdcomp.io.front import read_xrd
from xrdcomp.recipe import Recipe
from xrdcomp.refinement import refine
from xrdcomp.refinement.parameters import ParameterTable
from xrdcomp.refinement.refine import Refinement
from xrdcomp.simulate.cohort import load_cohort


@pytest.mark.parametrize("name", ["sim02_solid", "sim04_solid"])
def test_neither_shift_nor_cell_depends_on_where_a_fit_begins(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with the values found for another specimen instead of those of the rough fit."""
    entries = {entry.specimen_id: entry for entry in load_cohort()}

    def fit_of(specimen: str) -> Refinement:
        recipe = Recipe.of(None, radiation=entries[specimen].radiation)
        setup = prepare(Sample(sample_id=specimen, pattern=read_xrd(entries[specimen].xrd)), recipe)
        assert setup.sample.pattern is not None
        assert setup.instrument is not None
        return Refinement.run(setup.sample.pattern, setup.phases, setup.instrument, setup.fit)

    usual = fit_of(name)
    other = fit_of("sim06_solid").solution.values

    def begin(setup: Any, table: ParameterTable, *_: Any, **__: Any) -> tuple[ParameterTable, float]:
        near = {i.name: float(np.clip(other[i.name], i.low, i.high)) for i in table.free if i.name in other}
        return table.with_values(near), 0.0

    monkeypatch.setattr(refine, "_rough_fit", begin)
    again = fit_of(name)
    assert [item.id.kind for item in again.table.free] == [item.id.kind for item in usual.table.free]
    std = np.sqrt(usual.evidence.parameter_covariance.diagonal())
    assert np.abs((again.solution.free - usual.solution.free) / std).max() < 0.1
