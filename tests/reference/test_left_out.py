"""Crystals that the library does not hold are told as such, on a few of those that `benchmarks.left_out` tries."""

from __future__ import annotations

import pytest

from benchmarks.left_out import covers, left_out


@pytest.mark.parametrize("phase", ["anatase", "fluorite", "calcite"])
def test_a_phase_left_out_of_the_library_is_unidentified_and_nothing_else(phase: str) -> None:
    found = left_out(phase, run=0)
    assert found.false == ()
    assert found.unidentified is not None
    # fluorite: silicon, whose cell is 0.6 % smaller, has room on the flanks of its reflections alone
    assert found.unidentified[0] > 0.5, "the specimen is crystals of no list and nothing else"
    assert found.unidentified[1] > 0.99, "the interval reaches the truth"
    assert found.organic_from <= 0.02, "nothing organic is there"


def test_layers_of_apatite_in_another_crystal_are_no_apatite() -> None:
    """Octacalcium phosphate with protein: four reflections of chlorapatite in a poor ratio, in a fit that is poor."""
    found = left_out("octacalcium_phosphate", run=1)
    assert found.false == ()
    assert covers(found.unidentified, found.truth)
    assert covers(found.crystalline, found.truth)


def test_crystals_in_protein_are_no_less_open_beside_an_apatite_that_may_be_there() -> None:
    """Lime with protein: whether apatite is there stays open, and with it the sum of all crystals."""
    found = left_out("lime", run=1)
    assert covers(found.unidentified, found.truth)
