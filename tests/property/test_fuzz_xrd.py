"""Damaged files give a pattern or a `ReadError`, never another exception, and never other angles in silence."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.mutations import KINDS, mutate
from tests import xrd_writers
from tests.xrd_damage import STRUCTURES, judge, restructure
from xrdcomp.errors import ReadError
from xrdcomp.io.front import inspect_file, read_xrd, read_xrd_scans

SCAN = xrd_writers.example(81)
FORMATS = sorted(xrd_writers.WRITERS)
CLEAN = {name: write(SCAN) for name, (_, write) in xrd_writers.WRITERS.items()}
QUIET = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("format_id", FORMATS)
def test_mutated_files(format_id: str, tmp_path: Path) -> None:
    rng = random.Random(format_id)
    path = tmp_path / "input.bin"
    seen = set()
    refusals: list[ReadError] = []
    for number in range(60):
        kind, data = mutate(CLEAN[format_id], rng, CLEAN[FORMATS[number % len(FORMATS)]])
        seen.add(kind)
        path.write_bytes(data)
        for forced in (None, format_id):
            try:
                patterns = read_xrd_scans(path, format=forced)
            except ReadError as refusal:
                refusals.append(refusal)
                continue
            for pattern in patterns:
                assert np.isfinite(pattern.intensity).all()
                assert np.isfinite(pattern.two_theta).all()
                assert (pattern.sigma > 0).all()
                assert np.abs(pattern.intensity).max() < 1e13
    assert seen == set(KINDS)
    assert all(refusal.file == str(path) and refusal.reason for refusal in refusals)


@QUIET
@given(data=st.binary(min_size=1, max_size=400))
def test_random_bytes(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "random.raw"
    path.write_bytes(data)
    outcomes: list[object] = []
    for look in (read_xrd, inspect_file):
        try:
            outcomes.append(look(path))
        except ReadError as refusal:
            outcomes.append(refusal.reason)
    assert all(outcomes), "a pattern, a description, or a reason"


@QUIET
@given(
    head=st.sampled_from([b"RAW ", b"RAW2", b"RAW1.01\x00", b"RAW4.00\x00", b"RAW_1.06Powdat", b"V3RD", b"PK\x03\x04"]),
    tail=st.binary(max_size=1200),
)
def test_random_bytes_behind_a_signature(head: bytes, tail: bytes, tmp_path: Path) -> None:
    path = tmp_path / "random.bin"
    path.write_bytes(head + tail)
    try:
        pattern = read_xrd(path)
    except ReadError:
        return
    assert len(pattern) >= 5


@QUIET
@given(text=st.text(alphabet="0123456789.,;-+eE \t\n#abnif", max_size=300))
def test_random_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "random.txt"
    path.write_text(text)
    try:
        pattern = read_xrd(path)
    except ReadError:
        return
    assert (np.diff(pattern.two_theta) > 0).all()


@QUIET
@given(
    start=st.integers(4, 80),  # what ends below 3.2° is refused: radians, or before any reflection
    steps=st.lists(st.integers(1, 40), min_size=5, max_size=60),
    counts=st.lists(st.integers(0, 10**7), min_size=70, max_size=70),
    separator=st.sampled_from([" ", "\t", ";", ","]),
)
def test_any_honest_table_is_read_exactly(
    start: int, steps: list[int], counts: list[int], separator: str, tmp_path: Path
) -> None:
    x = [start + sum(steps[:i]) / 50 for i in range(len(steps) + 1)]
    y = [*counts[: len(x) - 1], 1 + counts[len(x)]]
    path = tmp_path / "honest.xy"
    rows = "".join(f"{a:.2f}{separator}{b}\n" for a, b in zip(x, y, strict=True))
    path.write_text(f"two_theta{separator}counts\n{rows}")  # uneven steps are a scan only where the axis is named
    pattern = read_xrd(path)
    np.testing.assert_allclose(pattern.two_theta, x, atol=1e-9)
    np.testing.assert_array_equal(pattern.intensity, y)


ALWAYS_SEEN = {
    "rows doubled", "padding with zeros", "a second scan behind", "records left out", "zeros behind",
    "gzip of two members", "bzip2 of two streams", "gzip cut", "member left out", "member cut",
}  # fmt: skip


@pytest.mark.parametrize("kind", STRUCTURES)
def test_files_that_are_wrong_as_a_whole(kind: str, tmp_path: Path) -> None:
    """They end in patterns or a ReadError; of what must be seen every time nothing stays silent."""
    dice = random.Random(STRUCTURES.index(kind))
    outcomes: list[str] = []
    for name, (suffix, write) in sorted(xrd_writers.WRITERS.items()):
        for seed in range(2):
            scan = xrd_writers.example(401, seed=seed)
            path = tmp_path / f"{name}.{suffix}"
            path.write_bytes(write(scan))
            originals = read_xrd_scans(path)
            changed = restructure(write(scan), dice, kind)
            if changed is None:
                continue
            path.write_bytes(changed)
            try:
                outcomes.append(judge(read_xrd_scans(path), originals))
            except ReadError as refusal:
                outcomes.append("refused" if "does not follow the format" not in refusal.reason else "not foreseen")
    assert "not foreseen" not in outcomes
    if kind in ALWAYS_SEEN:
        assert not [outcome for outcome in outcomes if outcome.startswith("silent")]
