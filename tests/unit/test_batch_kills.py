"""A batch that is killed and started again: a reduced run of the study in benchmarks/batch_kills.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.batch_kills import WAYS, study


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for worker processes where Linux lists them")
def test_results_after_kills_are_those_of_a_batch_that_nobody_disturbed(tmp_path: Path) -> None:
    rows = list(study(tmp_path, kills=len(WAYS), seed=3))
    assert {row["way"] for row in rows} == set(WAYS)
    assert rows[-1]["equal"]
    assert rows[-1]["again"] == 0
