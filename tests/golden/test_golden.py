"""Every result of the line is what it was when it was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import fixture_folder
from tests.golden.cases import CASES, Case, run_case
from tests.golden.facts import DATA, OTHER_MACHINE, SAME, as_stored, differences, environment, processor, read_facts

SHOWN = 15
HOW_TO_RECORD = "Where this is meant: python -m tests.golden.record"


def on_last_digits(path: str, few_draws: bool) -> bool:
    """Whether a figure may differ on another machine: steps of an iteration; draws, where their message says few."""
    drawn = ("composition", "draws", "claims", "messages", "budget")
    return path.endswith("n_iterations") or (few_draws and any(part in path for part in drawn))


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_result_is_as_recorded(case: Case, request: pytest.FixtureRequest) -> None:
    real = request.getfixturevalue("real_files") if case.real else fixture_folder()
    if reason := case.missing(real):
        pytest.skip(reason)
    recorded_in, stored = read_facts(case.name)
    same_machine = recorded_in == environment()
    found = list(differences(stored, as_stored(run_case(case, real)), SAME if same_machine else OTHER_MACHINE))
    if not same_machine:
        found = [item for item in found if not on_last_digits(item[0], "COMPOSITION_SAMPLING" in str(stored))]
    shown = "\n".join(f"  {path}: {old!r} -> {new!r}" for path, old, new in found[:SHOWN])
    more = f"\n  and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    told = f"{case.name}: {len(found)} figures differ (stored -> fresh)\n{shown}{more}\n{HOW_TO_RECORD} {case.name}"
    assert not found, told


def test_processors_of_equal_instructions_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    lines = ("processor\t: 0", "vendor_id\t: AuthenticAMD", "cpu family\t: 25", "model\t\t: 17", "model name\t: EPYC")
    file.write_text("\n".join(lines))
    assert processor(file) == "AuthenticAMD 25 17"
    assert "processor" in environment()


def test_every_case_is_stored_and_every_file_is_a_case() -> None:
    assert {path.stem for path in DATA.glob("*.json")} == set(CASES)


CURVE = {"points": 40, "moments": [40.0, 41.0, 800.0], "samples": [1.0, 1e-30]}


@pytest.mark.parametrize(
    ("stored", "fresh", "paths"),
    [
        ({"a": 1.0}, {"a": 1.0 + 1e-10}, []),
        ({"a": 1.0}, {"a": 1.0 + 1e-8}, ["a"]),
        ({"a": 1e-17}, {"a": -3e-18}, []),
        ({"a": "detected", "b": True}, {"a": "inconclusive", "b": 1}, ["a", "b"]),
        ({"a": 1.0}, {"b": 1.0}, ["a", "b"]),
        ({"m": [[1.0, 1e-6], [1e-6, 1e-8]]}, {"m": [[1.0, 1.1e-6], [1e-6, 1.1e-8]]}, ["m[0][1]", "m[1][1]"]),
        ({"m": [[1.0, 2.0], [3.0, 4.0]]}, {"m": [[1.0, 2.0], [3.0]]}, ["m[1]"]),
        ({"c": CURVE}, {"c": CURVE | {"samples": [1.0, 1e-12]}}, []),
        ({"c": CURVE}, {"c": CURVE | {"moments": [40.0, 41.0, 800.001]}}, ["c.first_moment"]),
    ],
)
def test_comparison_sees_what_differs(stored: dict, fresh: dict, paths: list[str]) -> None:
    assert [path for path, _, _ in differences(stored, fresh, SAME)] == paths
