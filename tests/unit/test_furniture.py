"""What stands beside the package agrees with it: version, packaging, workflows, guides."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import xrdcomp

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
