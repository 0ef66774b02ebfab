"""A few rows of the tables of `benchmarks.diffuse`, so that they keep running and keep holding."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from benchmarks import diffuse
from benchmarks.worlds.files import write_xy
from benchmarks.worlds.optics import Diffractometer

SEED = 5


ROWS = [("form factors", "water"), ("form factors", "lipid"), ("points", "acp"), ("pair distances", "collagen")]


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_apatite_beside_matter_of_other_hands(row: tuple[str, str]) -> None:
    for judged in diffuse.materials(SEED, [row])[0][2]:
        assert judged is not None
        assert judged.inside, row


def test_matter_that_no_component_stands_for_is_covered() -> None:
    """Polycarbonate has its ring at 1.2 Å⁻¹: lipid comes out negative, and what a gram scatters is known to 16 %."""
    for judged in diffuse.materials(13611, [("form factors", "polycarbonate")])[0][2]:
        assert judged is not None
        assert judged.inside


@pytest.mark.parametrize(
    "name",
    ["plate normal to the beam, μt 2", "fixed incidence, 5°", "15 mm under a slit of 1°", "10 mm under a slit of 1°"],
)
def test_geometry_given_is_right_and_not_given_is_said(name: str) -> None:
    _, given, _, said = diffuse.geometries(SEED, [name])[0]
    assert given is not None
    assert given.inside
    assert said


def test_components_left_out_leave_the_rest_right_or_null() -> None:
    for fitted, row in diffuse.subsets(SEED, [("protein", "water")]):
        for specimen, cells in row.items():
            assert not [cell for cell in cells if "missed" in cell], (fitted, specimen, cells)


SINGLE = [("lipid",), ("water",), ("lipid", "amorphous_calcium_phosphate")]


@pytest.mark.parametrize("fitted", SINGLE, ids=" ".join)
def test_a_component_that_is_missing_is_named_and_leaves_amounts_open(fitted: tuple[str, ...]) -> None:
    """Protein is most of what is amorphous in both specimens."""
    for apatite, matter in diffuse.SPECIMENS.values():
        result = diffuse.blind(diffuse.specimen(apatite, matter, "points", SEED), **{"fit.amorphous": list(fitted)})
        assert result.xrd is not None
        named = result.xrd.amounts.called_for
        assert "protein" in named
        told = [m.text for m in result.messages if m.facts.get("components") == ", ".join(named)]
        assert len(told) == 1
        assert 'fit.amorphous = ["' in told[0]
        judged = diffuse.Judged.of(result.composition, diffuse.BARE * apatite)
        assert judged is None or judged.inside, judged


def test_nothing_is_asked_for_where_all_that_is_there_is_fitted() -> None:
    apatite, matter = diffuse.SPECIMENS["dry"]
    result = diffuse.blind(diffuse.specimen(apatite, matter, "points", SEED), **{"fit.amorphous": ["protein"]})
    assert result.xrd is not None
    assert result.xrd.amounts.called_for == ()
    assert not [m for m in result.messages if {"components", "gain"} <= m.facts.keys()]


def test_what_takes_up_a_missing_component_is_what_the_composition_expects() -> None:
    """The fit and the composition must put it into the same row."""
    from xrdcomp.composition.evidence import _AMORPHOUS_ROW, XRD_ROWS, XrdEvidence
    from xrdcomp.refinement.unsought import stands_in

    for sought in diffuse.SUBSETS:
        rows = tuple(row for row in XRD_ROWS if row in {_AMORPHOUS_ROW.get(name, "organic") for name in sought})
        for name in diffuse.DEFAULT_AMORPHOUS:
            own = _AMORPHOUS_ROW.get(name, "organic")
            taken = XrdEvidence.taken_by(SimpleNamespace(rows=rows), own)  # type: ignore[arg-type]
            assert _AMORPHOUS_ROW.get(stands_in(name, sought), "organic") == taken, (name, sought)


def test_a_measured_halo_that_is_all_there_is_asks_for_nothing_more() -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "collagen.xy"
        bare = Diffractometer(peak_counts=10_000.0, air=0.0, flat=0.0)
        write_xy(file, diffuse.specimen(0.0, {"collagen": 1.0}, "points", SEED, optics=bare), "collagen")
        apatite, matter = diffuse.SPECIMENS["dry"]
        settings = {"fit.amorphous": ["protein"], "fit.amorphous_patterns": {"protein": str(file)}}
        result = diffuse.blind(diffuse.specimen(apatite, matter, "points", SEED), **settings)
    assert result.xrd is not None
    assert result.xrd.amounts.called_for == ()
    assert not [m for m in result.messages if {"components", "gain"} <= m.facts.keys()]
    judged = diffuse.Judged.of(result.composition, diffuse.BARE * apatite)
    assert judged is not None
    assert judged.inside
