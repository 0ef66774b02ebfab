"""Single crystalline phases, pure and with protein, from nothing but the radiation: benchmarks/pure_phases, reduced."""

from __future__ import annotations

import pytest

from benchmarks.pure_phases import examine


@pytest.mark.parametrize("name", ["calcite", "whewellite", "brushite"])
@pytest.mark.parametrize("protein", [0.0, 0.2])
def test_a_single_phase_is_found_alone_and_weighed(name: str, protein: float) -> None:
    found = examine(name, protein)
    assert found.detected
    assert found.false_phases == ()
    assert found.covered, found
    assert found.crystalline is not None
    assert found.crystalline[1] - found.crystalline[0] < 0.25, "no wider than halos carry it"
    assert found.status == "ok"
    if protein == 0.0:
        assert found.crystalline[1] == 1.0
        assert found.free_of_organic
