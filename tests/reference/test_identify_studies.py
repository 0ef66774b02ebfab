"""Small runs of the studies behind the stated rates of the phase search."""

from __future__ import annotations

from benchmarks import accuracy_identification as study
from tests.helpers import binomial_band


def test_clean_specimens_have_no_false_phase() -> None:
    rows = study.purity(8)
    assert rows[0]["value"] == 0.0
    assert rows[1]["value"] <= 0.25


def test_phases_are_found_at_their_stated_limits() -> None:
    names = ("calcite", "halite", "weddellite", "brushite", "struvite", "quartz", "beta_tcp", "uric_acid")
    outcomes = study.limit_trials(names, trials=1)
    hits = [hit for trials in outcomes.values() for _, hit in trials]
    low, _ = binomial_band(len(hits), 0.95)
    assert len(hits) >= 6
    assert sum(hits) / len(hits) >= low


def test_halite_is_found_beside_nano_apatite() -> None:
    rows = study.halite_beside_apatite(2)
    assert all(row["holds"] for row in rows)


def test_foreign_phases_are_found_with_their_amounts() -> None:
    found, error, false = study.mixtures(4)
    assert found["value"] >= 0.75
    assert error["value"] <= 0.7
    assert false["value"] == 0.0
