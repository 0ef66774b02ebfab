"""What stands beside the package agrees with it: version, packaging, workflows, guides."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import xrdcomp
from tools.lowest import COMPANIONS, lowest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_stands_in_one_place_and_the_citation_agrees() -> None:
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "xrdcomp/__init__.py"
    assert re.findall(r"^version: (\S+)$", text_of("CITATION.cff"), re.MULTILINE) == [xrdcomp.__version__]
    newest = re.search(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == xrdcomp.__version__, "the changelog's first section"


def test_lowest_versions_are_the_stated_bounds() -> None:
    rows = lowest(PYPROJECT["project"], ["test"])
    stated = {*PYPROJECT["project"]["dependencies"], *PYPROJECT["project"]["optional-dependencies"]["test"]}
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
