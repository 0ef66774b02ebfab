"""What stands beside the package agrees with it: version, packaging, workflows, guides."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import xrdcomp
from tools.lowest import COMPANIONS, lowest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
HOOKS = ROOT / ".pre-commit-config.yaml"
GUIDES = ("README.md", "CONTRIBUTING.md", "RELEASING.md", ".github/PULL_REQUEST_TEMPLATE.md")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_version_stands_in_one_place_and_the_citation_agrees() -> None:
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "xrdcomp/__init__.py"
    assert re.findall(r"^version: (\S+)$", text_of("CITATION.cff"), re.MULTILINE) == [xrdcomp.__version__]
    newest = re.search(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == xrdcomp.__version__, "the changelog's first section"


def test_lowest_versions_are_the_stated_bounds() -> None:
    rows = lowest(PYPROJECT["project"], ["test"])
    stated = {*PYPROJECT["project"]["dependencies"], *EXTRAS["test"]}
    companions = {row for group in COMPANIONS.values() for row in group}
    assert {row.replace("==", ">=") for row in rows if row not in companions} == stated
    assert set(COMPANIONS) <= {row.split("==")[0] for row in rows}, "who needs a companion is required"


def test_bounds_that_cannot_be_tested_are_refused() -> None:
    project = {"dependencies": ["numpy>=2.0"], "optional-dependencies": {"a": ["scipy"], "b": ["NumPy>=2.1"]}}
    with pytest.raises(ValueError, match=r"no extra c; pyproject\.toml has a, b"):
        lowest(project, ["c"])
    with pytest.raises(ValueError, match="'scipy' is not of the form"):
        lowest(project, ["a"])
    with pytest.raises(ValueError, match=r"numpy has two lower bounds: numpy==2\.0 and NumPy==2\.1"):
        lowest(project, ["b"])


@pytest.mark.parametrize("path", [*WORKFLOWS, *FORMS, HOOKS, ROOT / "CITATION.cff"], ids=lambda path: path.name)
def test_yaml_is_well_formed(path: Path) -> None:
    assert isinstance(parsed(path), dict)


def test_workflows_ask_for_no_rights_and_pin_their_actions() -> None:
    assert WORKFLOWS
    for path in WORKFLOWS:
        workflow = parsed(path)
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert "permissions" not in job, name
            assert job["timeout-minutes"] <= 90, name
            used = [step["uses"] for step in job["steps"] if "uses" in step]
            assert all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action) for action in used), used
        assert "secrets" not in path.read_text(encoding="utf-8")


def test_the_workflow_runs_every_python_on_every_system() -> None:
    classifiers = PYPROJECT["project"]["classifiers"]
    prefix = "Programming Language :: Python :: 3."
    versions = [row.removeprefix("Programming Language :: Python :: ") for row in classifiers if row.startswith(prefix)]
    workflow = parsed(ROOT / ".github" / "workflows" / "ci.yml")
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == versions
    assert PYPROJECT["project"]["requires-python"] == f">={versions[0]}"
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    tested_alone = {
        step["with"]["python-version"]
        for name, job in workflow["jobs"].items()
        for step in job["steps"]
        if name != "test" and "python-version" in step.get("with", {})
    }
    assert tested_alone == {versions[0]}, "lowest versions, checks and wheel with the oldest Python"
    runs = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    assert "XRDCOMP_FIXTURES" not in str(workflow), "real measurements are not public"
    assert {"make check", "make test-lowest", "make test-frames"} <= set(runs.splitlines())
    assert "xrdcomp demo" in runs


@pytest.mark.parametrize("path", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.name)
def test_forms_can_be_filled_in(path: Path) -> None:
    form = parsed(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert len(names) == len(set(names))
    for field in fields:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]


def test_hooks_call_tools_of_the_extras() -> None:
    extras = " ".join([*EXTRAS["test"], *EXTRAS["check"]])
    for repository in parsed(HOOKS)["repos"]:
        assert repository["repo"] == "local", "nothing is downloaded"
        for hook in repository["hooks"]:
            if hook["language"] == "system":
                words = hook["entry"].split()
                tool = words[2] if words[1:2] == ["-m"] else words[0].removeprefix(".venv/bin/")
                assert f"{tool}>=" in extras, hook["entry"]


@pytest.mark.parametrize(
    ("subject", "accepted"),
    [
        ("thermal: place steps on the second derivative", True),
        ("io, phases: read both settings", True),
        ("a: " + "x" * 69, True),
        ("a: " + "x" * 70, False),
        ("Thermal: place steps", False),
        ("place steps on the second derivative", False),
        ("thermal: place steps.", False),
    ],
)
def test_the_hook_judges_subjects(subject: str, accepted: bool) -> None:
    (hook,) = [hook for hook in parsed(HOOKS)["repos"][0]["hooks"] if hook.get("stages") == ["commit-msg"]]
    for text in (
        subject,
        f"{subject}\n\nWhy, in a line that may be longer than seventy-two characters are.{'.' * 20}\n",
    ):
        found = re.search(hook["entry"], text, re.MULTILINE | re.DOTALL)
        assert (found is not None) is accepted


def test_make_targets_that_guides_name_exist() -> None:
    makefile = text_of("Makefile")
    targets = set(re.findall(r"^([a-z][a-z -]*):", makefile, re.MULTILINE))
    targets = {name for row in targets for name in row.split()}
    named = {
        name
        for guide in (*GUIDES, ".ci/run", ".github/workflows/ci.yml", *map(str, (ROOT / "docs").rglob("*.md")))
        for name in re.findall(
            r"(?:`|^\s*(?:- run: )?)make ([a-z][a-z-]*)(?=`|\s*(?:#|$))", text_of(guide), re.MULTILINE
        )
    }
    assert {"test", "check", "test-lowest", "dist"} <= named, "the search above finds the commands"
    assert named <= targets
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == targets
    explained = re.findall(r"make ([a-z-]+)", "\n".join(re.findall(r'@echo "(.*)"', makefile)))
    assert set(explained) | {"help"} == targets


@pytest.mark.parametrize("guide", GUIDES)
def test_files_that_guides_name_exist(guide: str) -> None:
    for name in re.findall(r"`(\.?[\w-]+(?:/[\w.-]+)*\.(?:md|toml|cff|py|yaml|yml)|\.\w+/[\w/-]+)`", text_of(guide)):
        if name not in {"structure.cif", "phase.toml", "recipe.toml"} and not name.startswith((".venv", "xrdcomp/")):
            assert (ROOT / name).exists(), f"{guide} names {name}"


def test_whatever_is_sought_is_at_most_three_files_away() -> None:
    _, _, section = text_of("CONTRIBUTING.md").partition("### Where is what")
    rows = [row for row in section.partition("\n## ")[0].splitlines() if row.startswith("|")][2:]
    assert len(rows) == 7
    for row in rows:
        files = re.findall(r"`([^`]+)`", row)
        assert files[0] == "xrdcomp/analysis.py"
        assert len(files) <= 3, row
        assert all((ROOT / name).is_file() for name in files), row
