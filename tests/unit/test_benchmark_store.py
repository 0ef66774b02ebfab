"""The store of a long study survives an interruption anywhere in a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.store import append_store, read_store


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    seed: int
    error: float
    held: bool


CASES = [Case(name="air", seed=seed, error=seed + 0.123456, held=seed % 2 == 0) for seed in range(3)]


@pytest.mark.parametrize("lost", range(1, 22))
def test_a_row_that_was_cut_off_is_measured_again(lost: int, tmp_path: Path) -> None:
    store = tmp_path / "deep" / "cases.csv"
    append_store(store, CASES)
    store.write_bytes(store.read_bytes()[:-lost])
    assert read_store(store, Case) == CASES[:2]
    append_store(store, CASES[2:])
    assert read_store(store, Case) == CASES


def test_no_store_keeps_nothing(tmp_path: Path) -> None:
    append_store(None, CASES)
    assert read_store(None, Case) == []
    append_store(tmp_path / "cases.csv", [])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "cases.csv").write_bytes(b"name,se")
    append_store(tmp_path / "cases.csv", CASES)
    assert read_store(tmp_path / "cases.csv", Case) == CASES, "a header that was cut off is written again"
