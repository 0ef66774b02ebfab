"""The tree's promises: who imports whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "xrdcomp"
BASE = {"errors", "units", "types", "results", "recipe"}
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "units": set(),
    "types": {"errors", "units"},
    "settings": set(),
    "recipe": {"errors", "settings", "types"},
    # results calls present only inside SampleResult.plot/write/_repr_html_ (design note 001)
    "results": {"errors", "units", "types", "present"},
    "physics": {"units"},
    "readers": {"errors", "units", "types"},
    "frames": {"errors", "units", "types", "readers"},
    "phases": {"errors", "units", "types"},
    "fit": {"physics", *BASE},
    "diffraction": {"fit", "physics", "phases", *BASE},
    "thermal": {"fit", "physics", *BASE},
    "composition": {"fit", "physics", *BASE},
    "simulate": {"errors", "units", "types", "phases"},
    "pipeline": {"readers", "phases", "fit", "diffraction", "thermal", "composition", "simulate", *BASE},
    "batch": {"pipeline", "results", "types", "errors", "recipe"},
    "qc": {"results", "types", "errors"},
    "present": {"results", "types", "errors", "units"},
    "cli": {
        "pipeline",
        "batch",
        "qc",
        "present",
        "readers",
        "frames",
        "phases",
        "simulate",
        "diffraction",
        "thermal",
        *BASE,
    },
}

FILES = sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            names = [node.module or ""]
            if node.module == "xrdcomp":
                names = [f"xrdcomp.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("xrdcomp.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_drawn_arrows(path: Path) -> None:
    unit = unit_of(path)
    allowed = MAY_IMPORT[unit] | {unit, "__version__", "_data"}
    extra = imports_of(ast.parse(path.read_text(encoding="utf-8"))) - allowed
    assert not extra, f"{unit} may not import {sorted(extra)}"
