"""Every result of the line is what it was when it was recorded."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import fixture_folder
from tests.golden.cases import CASES, Case, run_case
from tests.golden.facts import (
    DATA,
    OTHER_MACHINE,
    SAME,
    Difference,
    as_stored,
    differences,
    environment,
    processor,
    read_facts,
)

SHOWN = 15
HOW_TO_RECORD = "Where this is meant: python -m tests.golden.record"


DRAWN = ("composition", "draws", "claims", "messages", "budget", "weight_fraction", "other_basis", "consistency")
"""Parts of a result that are formed of draws. One that changes places with its neighbour is 3e-4 of a mean of 4000."""
DRAWN_TOLERANCE = 0.05
"""Where a last digit changes how many draws one of two models gives, others are drawn: the standard deviation of 4000,
of which a quarter are independent, then differs by √2/√(2·1000) = 3 %."""
FOLLOWS_LAST_DIGITS = ("calcite_from_nothing", "soil_cobalt_to_be_found", "capillary_synchrotron", "embedded_lmfit")
"""Cases in which a search from nothing, or a solver that ends early, carries last digits up to the second one."""
NUMBER = re.compile(r"\d+(\.\d+)?")


def may_differ(case: str, difference: Difference, *, few_draws: bool) -> bool:
    """Whether a figure may differ on another machine.

    Steps of an iteration may, and figures of draws: by their own scatter, or freely where their message says few. So
    may all numbers of cases that follow last digits, whose decisions and messages are compared all the same.
    """
    path, old, new = difference
    if path.endswith("n_iterations"):
        return True
    if isinstance(old, str) and isinstance(new, str):
        return path.endswith("verdict") and NUMBER.sub("", old) == NUMBER.sub("", new)
    if not all(isinstance(value, float | int) and not isinstance(value, bool) for value in (old, new)):
        return False
    drawn = any(part in path for part in DRAWN)
    close = bool(np.isclose(new, old, rtol=DRAWN_TOLERANCE, atol=1e-4))
    return case in FOLLOWS_LAST_DIGITS or (drawn and (few_draws or close))


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_result_is_as_recorded(case: Case, request: pytest.FixtureRequest) -> None:
    real = request.getfixturevalue("real_files") if case.real else fixture_folder()
    if reason := case.missing(real):
        pytest.skip(reason)
    recorded_in, stored = read_facts(case.name)
    same_machine = recorded_in == environment()
    found = list(differences(stored, as_stored(run_case(case, real)), SAME if same_machine else OTHER_MACHINE))
    if not same_machine:
        few_draws = "COMPOSITION_SAMPLING" in str(stored)
        found = [item for item in found if not may_differ(case.name, item, few_draws=few_draws)]
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
