"""Print the lowest versions that pyproject.toml allows, as constraints for pip: every ``>=`` becomes ``==``.

    python tools/lowest.py [EXTRA …] > constraints.txt

The core's requirements are always printed, an extra's where it is named, and what holds back packages that only
these require.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
# Packages that only others require: the newest that those others' lowest versions run on without a warning.
COMPANIONS = {
    "matplotlib": ["pyparsing<3.3"]  # later ones warn of the spelling parseString, which matplotlib 3.8 uses
}
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)>=(?P<version>[\d.]+)(?P<marker>\s*;.*)?")


def lowest(project: Mapping[str, Any], extras: Sequence[str]) -> list[str]:
    """Constraint of every requirement; ValueError for one without a lower bound, or with more than one."""
    optional = project["optional-dependencies"]
    unknown = set(extras) - set(optional)
    if unknown:
        raise ValueError(f"no extra {', '.join(sorted(unknown))}; pyproject.toml has {', '.join(sorted(optional))}")
    found: dict[str, str] = {}
    for requirement in [*project["dependencies"], *(row for extra in extras for row in optional[extra])]:
        match = REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise ValueError(f"{requirement!r} is not of the form name>=version")
        name = match["name"].lower()
        constraint = f"{match['name']}=={match['version']}{match['marker'] or ''}"
        if found.setdefault(name, constraint) != constraint:
            raise ValueError(f"{name} has two lower bounds: {found[name]} and {constraint}")
    return [row for name in sorted(found) for row in (found[name], *COMPANIONS.get(name, ()))]


if __name__ == "__main__":
    with PYPROJECT.open("rb") as file:
        print("\n".join(lowest(tomllib.load(file)["project"], sys.argv[1:])))
