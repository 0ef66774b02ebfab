"""Small runs of the studies behind the stated rates of the phase search."""

from __future__ import annotations

from pathlib import Path

from benchmarks import accuracy_identification as study
from benchmarks.detection_limits import rows_of, run
from tests.helpers import binomial_band


def test_clean_specimens_have_no_false_phase() -> None:
    rows = study.purity(8)
    assert rows[0]["value"] == 0.0
    assert rows[1]["value"] <= 0.25


def test_phases_are_found_at_their_stated_limits(tmp_path: Path) -> None:
    names = ("calcite", "halite", "weddellite", "brushite", "struvite", "quartz", "beta_tcp", "uric_acid")
    store = tmp_path / "trials.csv"
    found = run(1, names, store)
    hits = [trial.found for trial in found]
    low, _ = binomial_band(len(hits), 0.95)
    assert len(hits) == len(names)
    assert sum(hits) / len(hits) >= low
    assert run(1, names, store) == found
    rows = rows_of(found)
    assert [row["value"] for row in rows[-3:]] == [min(hits), max(hits), sum(hits) / len(hits)]


def test_halite_is_found_beside_nano_apatite() -> None:
    rows = study.halite_beside_apatite(2)
    assert all(row["holds"] for row in rows)


def test_foreign_phases_are_found_with_their_amounts() -> None:
    found, error, false = study.mixtures(4)
    assert found["value"] >= 0.75
    assert error["value"] <= 0.7
    assert false["value"] == 0.0
