"""The embedded cohort: regenerated bit for bit, labelled, with the published qualities."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrdcomp.errors import AnalysisError
from xrdcomp.io.front import read_tga, read_xrd
from xrdcomp.simulate.cohort import generate_cohort, load_cohort

EMBEDDED = load_cohort()[0].xrd.parents[1]


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    generate_cohort(folder)
    return folder


def test_cohort_is_regenerated_bit_for_bit(regenerated: Path) -> None:
    embedded = EMBEDDED
    written = sorted(p.relative_to(regenerated) for p in regenerated.rglob("*") if p.is_file())
    shipped = sorted(p.relative_to(embedded) for p in embedded.rglob("*") if p.is_file() and p.name != "README.md")
    assert written == shipped
    differing = [p for p in written if (regenerated / p).read_bytes() != (embedded / p).read_bytes()]
    assert not differing, "a change of the simulator or of hydroxyapatite.cif calls for generate_cohort"


def test_other_seed_writes_other_data(regenerated: Path, tmp_path: Path) -> None:
    other = generate_cohort(tmp_path, seed=1)
    for entry, same in zip(other, load_cohort(regenerated), strict=True):
        assert entry.xrd.name == same.xrd.name
        assert entry.xrd.read_bytes() != same.xrd.read_bytes()
        assert entry.truth["components"] == same.truth["components"]


def test_cohort_has_the_published_qualities() -> None:
    cohort = load_cohort()
    assert len(cohort) == 10
    apatite = {e.specimen_id: e.truth["components"]["crystalline_hydroxyapatite"] for e in cohort}
    organic = [e.truth["components"]["organic"] for e in cohort]
    assert sum(v == 0.0 for v in apatite.values()) == 1
    assert sum(v < 0.5 for v in apatite.values()) >= 8
    assert sum(v > 0.5 for v in organic) >= 8
    solid = [apatite[e.specimen_id] for e in cohort if e.kind == "solid"]
    fluid = [apatite[e.specimen_id] for e in cohort if e.kind == "fluid"]
    assert min(solid) > max(fluid)
    assert all(set(e.truth["phases"]) <= {"hydroxyapatite"} for e in cohort)
    assert all(abs(sum(e.truth["components"].values()) - 1.0) < 1e-9 for e in cohort)


def test_every_file_says_simulated_and_is_read() -> None:
    for entry in load_cohort():
        for path in (entry.xrd, entry.tga):
            raw = path.read_bytes()
            text = raw.decode("utf-16" if raw.startswith(b"\xff\xfe") else "cp1252")
            assert "SIMULATED by xrdcomp" in text, path.name
        assert entry.truth["simulated"] is True
        pattern, run = read_xrd(entry.xrd), read_tga(entry.tga)
        assert pattern.intensity_unit == "counts"
        assert pattern.two_theta[0] == 5.0
        assert len(pattern.emission_lines) in (0, 2), "a doublet, or left to the user: never Kα1 alone"
        assert run.atmosphere == entry.atmosphere
        assert run.initial_mass_mg is not None
        assert len(run) == 3000


def test_several_formats_and_a_small_folder() -> None:
    cohort = load_cohort()
    assert len({e.xrd.suffix for e in cohort}) >= 5
    size = sum(p.stat().st_size for p in EMBEDDED.rglob("*") if p.is_file())
    assert size < 3_000_000


def test_missing_cohort_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"cohort\.json"):
        load_cohort(tmp_path)
