"""Reflections stored with the library are those that would be calculated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.data import Phase
from xrdcomp.phases.library import list_phases, load_phase, reference_folder
from xrdcomp.refinement.reflections import reflections_of, strength_per_gram
from xrdcomp.search import structures
from xrdcomp.search.structures import (
    LEAST_SPACING,
    STORED,
    calculated_reflections,
    store_reflections,
    stored_reflections,
)

WITH_ATOMS = [name for name in list_phases() if load_phase(name).quantifiable]


@pytest.mark.parametrize("name", WITH_ATOMS)
def test_they_are_those_of_the_structure(name: str) -> None:
    stored, phase = structures._stored(reference_folder())[name], load_phase(name)
    now = calculated_reflections(phase)
    assert stored.structure == now.structure, "python -m tools.library writes them anew"
    assert stored.elements == now.elements
    assert_close(stored.d_spacing, now.d_spacing, rtol=1e-12, because="float arithmetic")
    for kept, sums in ((stored.real, now.real), (stored.imaginary, now.imaginary)):
        assert kept.shape == sums.shape
        most = float(np.abs(now.real).max())
        assert_close(kept, sums, atol=1e-12 * most, because="order of sums differs between processors")


@pytest.mark.parametrize("wavelength", [1.5406, 1.78897])
@pytest.mark.parametrize("name", ["quartz", "hydroxyapatite", "octacalcium_phosphate", "whitlockite", "cystine"])
def test_their_strength_is_that_of_structure_factors(name: str, wavelength: float) -> None:
    """Structures with and without a centre of symmetry; cystine and quartz have none."""
    phase, (d_min, d_max) = load_phase(name), (1.2, 9.0)
    stored = stored_reflections(phase, d_min, d_max)
    assert stored is not None
    cell6 = np.array(phase.cell.parameters)
    r = reflections_of(phase, cell6, d_min, d_max)
    direct = strength_per_gram(phase, r.hkl, r.multiplicity, r.d_spacing, cell6, wavelength)
    assert_close(stored.d_spacing, r.d_spacing, rtol=1e-12, because="float arithmetic")
    assert_close(stored.strength(wavelength), direct, atol=1e-12 * direct.max(), because="float arithmetic")


@pytest.mark.parametrize("changed", [{"site_b_iso": "more"}, {"site_occupancy": "more"}, {"cell": "more"}])
def test_another_structure_is_calculated(changed: dict[str, str]) -> None:
    phase = load_phase("quartz")
    (name,) = changed
    value = replace(phase.cell, a=phase.cell.a * 1.001) if name == "cell" else 1.01 * getattr(phase, name)
    other: Phase = replace(phase, **{name: value})
    assert stored_reflections(phase, 1.2, 9.0) is not None
    assert stored_reflections(other, 1.2, 9.0) is None


def test_what_is_not_stored_is_calculated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    phase = load_phase("quartz")
    assert stored_reflections(phase, LEAST_SPACING, np.inf) is not None
    assert stored_reflections(phase, 0.99 * LEAST_SPACING, np.inf) is None
    monkeypatch.setattr(structures, "reference_folder", lambda: tmp_path)
    assert stored_reflections(phase, 1.2, 9.0) is None
    monkeypatch.setattr(structures, "list_phases", lambda: ("quartz",))
    assert store_reflections() == tmp_path / STORED
    structures._stored.cache_clear()
    assert stored_reflections(phase, 1.2, 9.0) is not None
