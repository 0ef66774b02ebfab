"""A few rows of the tables of `benchmarks.diffuse`, so that they keep running and keep holding."""

from __future__ import annotations

import pytest

from benchmarks import diffuse

SEED = 5


ROWS = [("form factors", "water"), ("form factors", "lipid"), ("points", "acp"), ("pair distances", "collagen")]


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_apatite_beside_matter_of_other_hands(row: tuple[str, str]) -> None:
    for judged in diffuse.materials(SEED, [row])[0][2]:
        assert judged is not None
        assert judged.inside, row


@pytest.mark.parametrize("name", ["plate normal to the beam, μt 2", "10 mm under a slit of 1°"])
def test_geometry_given_is_right_and_not_given_is_said(name: str) -> None:
    _, given, _, said = diffuse.geometries(SEED, [name])[0]
    assert given is not None
    assert given.inside
    assert said


def test_components_left_out_leave_the_rest_right_or_null() -> None:
    for fitted, row in diffuse.subsets(SEED, [("protein", "water")]):
        for specimen, cells in row.items():
            assert not [cell for cell in cells if "missed" in cell], (fitted, specimen, cells)
