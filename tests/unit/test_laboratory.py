"""Settings of a laboratory's file: found beside or above, said, and never stronger than what was asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from xrdcomp.cli.main import main
from xrdcomp.errors import RecipeError
from xrdcomp.laboratory import find_laboratory
from xrdcomp.simulate.cohort import load_cohort

FILE = 'tga_blank = "pan.csv"\n[thermal]\natmosphere = "nitrogen"\n[composition]\nbasis = "dry"\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Folder of a measurement, two below the laboratory's file."""
    folder = tmp_path / "lab" / "project" / "day"
    folder.mkdir(parents=True)
    shutil.copy(load_cohort()[0].tga, folder / "run.txt")
    (tmp_path / "lab" / "xrdcomp.toml").write_text('[composition]\nbasis = "dry"\n', encoding="utf-8")
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--format", "json"])


def test_settings_above_the_measurement_hold_and_are_noted(place: Path) -> None:
    done = run("tga", str(place / "run.txt"), "--atmosphere", "air")
    assert done.exit_code == 0, done.output
    assert "settings of the laboratory" in done.stderr
    result = json.loads(done.stdout)
    assert result["composition"]["basis"] == "dry"
    assert result["metadata"]["laboratory"]["settings"] == {"composition": {"basis": "dry"}}
    (entry,) = [item for item in result["settings"]["used"]["files"] if item["setting"] == "xrdcomp.toml"]
    assert len(entry["sha256"]) == 64
    assert "LABORATORY_SETTINGS" in [message["code"] for message in result["messages"]]


def test_options_go_before_it_and_a_recipe_or_a_wish_instead_of_it(place: Path, tmp_path: Path) -> None:
    file = str(place / "run.txt")
    asked = json.loads(run("tga", file, "--atmosphere", "air", "--set", "composition.basis=as_received").stdout)
    assert asked["composition"]["basis"] == "as_received"
    (tmp_path / "own.toml").write_text("[fit]\n", encoding="utf-8")
    for words in (("--recipe", str(tmp_path / "own.toml")), ("--no-laboratory",)):
        other = json.loads(run("tga", file, "--atmosphere", "air", *words).stdout)
        assert other["composition"]["basis"] == "as_received"
        assert "laboratory" not in other["metadata"]


def test_the_nearest_file_counts_and_its_blank_is_taken(place: Path) -> None:
    (place.parent / "xrdcomp.toml").write_text(FILE, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"tga_blank: 'pan\.csv' is no file"):
        find_laboratory(place / "run.txt")
    (place.parent / "pan.csv").write_text("not empty", encoding="utf-8")
    found = find_laboratory(place / "run.txt")
    assert found is not None
    assert found.blanks == {"tga_blank": str(place.parent / "pan.csv")}
    assert found.recipe.thermal.atmosphere == "nitrogen"


def test_a_setting_that_does_not_exist_is_refused_with_the_file(place: Path) -> None:
    (place / "xrdcomp.toml").write_text("[fit]\nmod = 1\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["tga", str(place / "run.txt")])
    assert done.exit_code == 2
    assert "xrdcomp.toml" in done.output
    assert "fit.mod" in done.output


def test_without_a_file_nothing_is_said(tmp_path: Path) -> None:
    assert find_laboratory(tmp_path / "scan.xy") is None


def test_a_batch_takes_its_blanks_and_says_so_in_each_result(place: Path, tmp_path: Path) -> None:
    shutil.move(place / "run.txt", place / "S1_tga.txt")
    shutil.copy(place / "S1_tga.txt", place / "S2_tga.txt")
    rows = "".join(f"{minute},{20 + 10 * minute},{5.0 + 1e-5 * minute}\n" for minute in range(100))
    (place.parent / "pan.csv").write_text(f"time (min),temperature (C),mass (mg)\n{rows}", encoding="utf-8")
    (place.parent / "xrdcomp.toml").write_text(FILE.replace("nitrogen", "air"), encoding="utf-8")
    words = ["batch", str(place), "--out", str(tmp_path / "out"), "--workers", "1"]
    done = CliRunner().invoke(main, [*words, "--figures", "--figure-format", "pdf", "--figure-width", "single"])
    assert done.exit_code == 0, done.output
    for name in ("S1", "S2"):
        result = json.loads((tmp_path / "out" / name / "result.json").read_text(encoding="utf-8"))
        assert "LABORATORY_SETTINGS" in [message["code"] for message in result["messages"]]
        assert [item["kind"] for item in result["inputs"]] == ["tga", "tga_blank"]
        assert result["composition"]["basis"] == "dry"
        assert result["figures"] == ["figures/tga.pdf", "figures/composition.pdf", "figures/uncertainty_budget.pdf"]
