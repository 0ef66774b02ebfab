"""The tree's promises: who imports whom, and no circle."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "xrdcomp"
BASE = {"errors", "disk", "units", "data", "results", "recipe"}
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "units": set(),
    "disk": {"errors"},
    "data": {"errors", "units"},
    "recipe": {"errors", "disk", "units", "data"},
    "results": {"errors", "units", "data"},
    "laboratory": {*BASE},
    "physics": {"units"},
    "io": {"errors", "disk", "units", "data"},
    "frames": {"errors", "units", "data", "io"},
    "phases": {"errors", "disk", "units", "data"},
    "refinement": {"physics", *BASE},
    "search": {"refinement", "physics", "phases", *BASE},
    "instrument": {"search", "refinement", "physics", "phases", *BASE},
    "quantification": {"instrument", "search", "refinement", "physics", "phases", *BASE},
    "thermal": {*BASE},
    "composition": {"refinement", "thermal", "physics", *BASE},
    "checks": {*BASE},
    "simulate": {"errors", "disk", "units", "data", "phases"},
    "stages": {*("io", "phases", "refinement", "search", "instrument", "thermal", "composition", "checks", *BASE)},
    "analysis": {
        "stages",
        *("io", "phases", "refinement", "search", "instrument", "quantification", "thermal"),
        *("composition", "checks", "simulate", *BASE),
    },
    "batch": {*("analysis", "io", "laboratory", "stages", "instrument", "phases", "refinement"), *BASE},
    "qc": {*("analysis", "batch", "io", "stages", "instrument", "thermal"), *BASE},
    "present": {"results", "data", "errors", "disk", "units"},
    "app": {*("analysis", "batch", "qc", "present", "io", "phases", "simulate", "instrument"), *BASE},
    "cli": {
        "laboratory",
        "app",
        *("analysis", "batch", "qc", "present", "io", "frames", "phases", "simulate", "instrument"),
        *("quantification", "thermal", *BASE),
    },
}

FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {
    ".".join(("xrdcomp", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in FILES
}


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Modules of the package that a piece of code imports, wherever in it and whatever for."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("xrdcomp")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            module = node.module or ""
            if module == "xrdcomp" or module.startswith("xrdcomp."):
                names = (f"{module}.{alias.name}" for alias in node.names)
                found |= {name if name in MODULES else module for name in names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_drawn_arrows(path: Path) -> None:
    unit = unit_of(path)
    units = {name.split(".")[1] for name in imported(ast.parse(path.read_text(encoding="utf-8"))) if "." in name}
    extra = units - MAY_IMPORT[unit] - {unit}
    assert not extra, f"{unit} may not import {sorted(extra)}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions and under TYPE_CHECKING count as well."""
    imports = {
        name: {other for other in imported(ast.parse(path.read_text(encoding="utf-8"))) if other in MODULES} - {name}
        for name, path in MODULES.items()
    }  # fmt: skip
    graphlib.TopologicalSorter(imports).prepare()
