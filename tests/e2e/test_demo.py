"""The ten embedded specimens from files to page, against their truth."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.e2e.conftest import Finished, xrdcomp
from xrdcomp.simulate.cohort import load_cohort

SCHEMA = json.loads((Path(__file__).parents[2] / "xrdcomp" / "result.schema.json").read_text(encoding="utf-8"))
LIMIT = 0.03  # mass fraction; the bar of the demo, three times the MAE asked of the composition
COHORT = {entry.specimen_id: entry for entry in load_cohort()}

pytestmark = pytest.mark.slow


def results(demo: Finished) -> dict[str, dict]:
    paths = (demo.folder / "demo-results").glob("*/result.json")
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def test_the_demo_runs_and_leaves_what_it_promises(demo: Finished) -> None:
    assert demo.code == 0, demo.stderr
    out = demo.folder / "demo-results"
    assert {path.name for path in out.iterdir()} == {*COHORT, "index.html"}
    for name in COHORT:
        files = {path.relative_to(out / name).as_posix() for path in (out / name).rglob("*.*")}
        assert {"result.json", "curves.npz", "recipe.toml"} <= files
        assert {"figures/fit.png", "figures/fit.svg", "figures/tga.svg", "figures/composition.svg"} <= files


def test_every_result_keeps_the_contract_and_names_only_figures_that_exist(demo: Finished) -> None:
    found = results(demo)
    assert set(found) == set(COHORT)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for name, result in found.items():
        validator.validate(result)
        assert all((demo.folder / "demo-results" / name / figure).is_file() for figure in result["figures"])
        kinds = {item["kind"]: item for item in result["inputs"]}
        assert set(kinds) == {"xrd", "tga"}
        assert kinds["xrd"]["file"] == COHORT[name].xrd.name


def test_fractions_sum_to_one_and_intervals_hold_their_values(demo: Finished) -> None:
    for result in results(demo).values():
        parts = result["composition"]["components"]
        assert sum(part["value"] for part in parts.values()) == pytest.approx(1.0, abs=1e-9)
        for part in parts.values():
            low, high = part["ci95"]
            assert 0.0 <= low <= part["value"] <= high <= 1.0


@pytest.mark.parametrize("component", ["crystalline_hydroxyapatite", "organic"])
def test_nine_of_ten_are_within_three_per_cent_of_truth(demo: Finished, component: str) -> None:
    errors = {
        name: result["composition"]["components"][component]["value"] - COHORT[name].truth["components"][component]
        for name, result in results(demo).items()
    }
    assert sum(abs(error) <= LIMIT for error in errors.values()) >= 9, errors


def test_hydroxyapatite_is_found_where_it_is_and_nowhere_else(demo: Finished) -> None:
    for name, result in results(demo).items():
        claims = {claim["id"]: claim["verdict"] for claim in result["claims"]}
        truly = COHORT[name].truth["components"]["crystalline_hydroxyapatite"] > 0
        assert claims["hydroxyapatite_present"] == ("supported" if truly else "refuted"), name
        found = {phase["id"] for phase in result["phases"] if phase["decision"] == "detected"}
        assert found == ({"hydroxyapatite"} if truly else set()), name


def test_the_table_shows_estimate_and_truth_of_every_specimen(demo: Finished) -> None:
    for name, entry in COHORT.items():
        line = next(line for line in demo.stdout.splitlines() if line.startswith(name))
        assert f"{100 * entry.truth['components']['organic']:.1f}" in line
    assert "Simulated cohort" in demo.stdout


def test_everything_says_that_it_is_simulated(demo: Finished) -> None:
    out = demo.folder / "demo-results"
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count(">simulated specimen<") == len(COHORT)
    for name, result in results(demo).items():
        assert result["metadata"]["simulated"] is True
        for figure in (out / name / "figures").glob("*.svg"):
            assert "(simulated)" in figure.read_text(encoding="utf-8"), figure


def test_results_do_not_depend_on_the_number_of_processes(demo: Finished, tmp_path: Path) -> None:
    alone = xrdcomp("demo", "--no-figures", "--quiet", folder=tmp_path, XRDCOMP_WORKERS="1")
    assert alone.code == 0, alone.stderr
    assert alone.stderr == ""
    two = results(demo)
    for name, one in results(alone).items():
        assert one["figures"] == []
        assert one | {"figures": []} == two[name] | {"figures": []}
