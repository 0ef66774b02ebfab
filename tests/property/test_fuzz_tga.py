"""Damaged thermogravimetric files end in a run or a ReadError, soon, and never in another run in silence."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import tga_writers
from tests.tga_damage import STRUCTURES, cut, flip, judge, limit, restructure, rewrite, verdict
from xrdcomp.data import TgaRun
from xrdcomp.errors import ReadError
from xrdcomp.io.front import read_tga

CURVE = tga_writers.make_curve(60)
FILES = {name: write(CURVE).encode() for name, write in tga_writers.TEXTS.items()}
FILES["netzsch_comma"] = tga_writers.netzsch(CURVE, decimal=",", segments=3).encode("cp1252")
FILES["setaram_change"] = tga_writers.setaram(CURVE, change=True).encode("utf-16")
SECONDS = 5.0  # a file that takes longer is a way to stop a batch


def read(data: bytes, folder: Path) -> TgaRun:
    path = folder / "run.txt"
    path.write_bytes(data)
    with limit(SECONDS):
        return read_tga(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("way", [cut, flip], ids=["cut", "flipped"])
def test_damage_is_refused_told_or_harmless(tmp_path: Path, name: str, way: object) -> None:
    original = read(FILES[name], tmp_path)
    dice = random.Random(f"{name} {getattr(way, '__name__', '')}")
    for _ in range(50):
        data, hits = cut(FILES[name], dice) if way is cut else flip(FILES[name], dice)
        try:
            copy = read(data, tmp_path)
        except ReadError:
            continue
        result = verdict(copy, original, hits, at_row_end=data.endswith(b"\n"))
        assert result != "silent", data[-80:]


@pytest.mark.parametrize("name", FILES)
def test_rewritten_files_end_in_a_run_or_a_read_error(tmp_path: Path, name: str) -> None:
    dice = random.Random(name)
    refused = 0
    for _ in range(60):
        try:
            read(rewrite(FILES[name], dice), tmp_path)
        except ReadError:
            refused += 1
    assert refused > 0


MAY_BE_SILENT = {
    "another unit", "exchange columns", "rows left out", "rows exchanged", "zeros in a stretch",
    "another scale in a stretch",
}  # fmt: skip
"""Kinds that numbers alone cannot always show; docs/readers.md lists them."""


@pytest.mark.parametrize("kind", sorted(set(STRUCTURES) - MAY_BE_SILENT))
def test_what_a_check_can_see_is_never_silent(tmp_path: Path, kind: str) -> None:
    dice = random.Random(kind)
    for name, data in FILES.items():
        original = read(data, tmp_path)
        for _ in range(4):
            copy = restructure(data, dice, kind)
            if copy is not None:
                with contextlib.suppress(ReadError):
                    assert judge(read(copy, tmp_path), original) != "silent", name


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_a_read_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ReadError):
        read(data, tmp_path)


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=12),
    st.sampled_from([",", ";", "\t", " "]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_under_a_good_header_are_a_run_or_a_read_error(
    tmp_path: Path, words: list[str], separator: str
) -> None:
    text = f"Temperature (°C){separator}Mass (mg)\n20.0{separator}5.0\n" + separator.join(words) + "\n"
    try:
        run = read(text.encode(), tmp_path)
    except ReadError:
        return
    assert len(run) >= 2


@pytest.mark.parametrize(
    "evil",
    [
        b" " * 500_000,
        b"1" * 500_000,
        b"1," * 250_000,
        b"(" * 100_000,
        b"\n" * 500_000,
        b"a b " * 100_000,
        b"[x]" * 99_999,
    ],
)
def test_long_lines_take_no_time(tmp_path: Path, evil: bytes) -> None:
    for head in (
        b"",
        b"Temperature (C),Mass (mg)\n1,2\n2,3\n",
        b"#EXPORTTYPE:x\n##Temp./K;Mass/mg\n",
        b"Sig1\tTime\nNsig\t1\nStartOfData\n",
    ):
        with contextlib.suppress(ReadError):
            assert len(read(head + evil, tmp_path)) == 2


@given(st.floats(0.01, 500.0), st.floats(-50.0, 50.0))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scaling_the_mass_scales_the_run(tmp_path: Path, factor: float, shift: float) -> None:
    scaled = tga_writers.Curve(
        temperature_c=CURVE.temperature_c + shift,
        mass_mg=CURVE.mass_mg * factor,
        time_s=CURVE.time_s,
        initial_mg=CURVE.initial_mg * factor,
    )
    run = read(tga_writers.table(scaled).encode(), tmp_path)
    assert run.mass == pytest.approx(scaled.mass_mg, abs=6e-7)
    assert run.temperature_c == pytest.approx(scaled.temperature_c, abs=6e-7)
