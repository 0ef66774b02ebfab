"""The file ``xrdcomp.toml`` of a laboratory: settings that hold for every measurement beside or below it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xrdcomp.data import message_kind
from xrdcomp.disk import read_bytes, read_toml
from xrdcomp.errors import RecipeError
from xrdcomp.recipe import Recipe
from xrdcomp.results import SampleResult, plain

NAME = "xrdcomp.toml"
BLANKS = ("blank", "tga_blank")
"""Keys beside those of a recipe: scan of the empty holder, run of the empty pan."""
_PATHS = (("instrument", "file"), ("quantification", "amorphous_file"), ("quantification", "external_scan"))

TAKEN = message_kind(
    "LABORATORY_SETTINGS",
    "info",
    "Settings were taken from a file xrdcomp.toml in the folder of the measurement or above it.",
    remedy="See that they are meant for this measurement; a recipe of your own goes instead of it.",
)


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """Settings of a laboratory's file: `recipe`, `blanks` by kind, and what the file says (`settings`)."""

    file: Path
    sha256: str
    recipe: Recipe
    blanks: Mapping[str, str]
    settings: Mapping[str, Any]

    def noted(self, result: SampleResult) -> SampleResult:
        """Return the result with what was taken from the file, in metadata, settings and a message."""
        told = {"file": self.file.name, "sha256": self.sha256, "settings": plain(self.settings)}
        used = dict(result.settings.get("used", {}))
        entry = {"setting": NAME, "file": self.file.name, "sha256": self.sha256}
        used["files"] = [*used.get("files", []), entry]
        names = ", ".join(_keys(self.settings)) or "nothing"
        message = TAKEN(f"{names} of {self.file.name} hold for this measurement.", file=self.file.name)
        return replace(
            result, settings={**result.settings, "used": used}, messages=(*result.messages, message),
            metadata={**result.metadata, "laboratory": told},
        )  # fmt: skip


def _keys(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in data.items():
        found += _keys(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
    return found


def find_laboratory(measurement: str | os.PathLike[str]) -> Laboratory | None:
    """Read the nearest ``xrdcomp.toml`` in the folder of a measurement (or in this folder) or above it; None without.

    Names of files in it are relative to it. RecipeError: a setting that does not exist or has no legal value, or a file
    that is not there.
    """
    place = Path(measurement).resolve()
    folders = (place, *place.parents) if place.is_dir() else tuple(place.parents)
    file = next((folder / NAME for folder in folders if (folder / NAME).exists()), None)
    if file is None:
        return None
    data = read_toml(file, "settings of a laboratory, as a recipe has them, and blank, tga_blank")
    blanks = {kind: data.pop(kind) for kind in BLANKS if kind in data}
    for kind, name in blanks.items():
        if not isinstance(name, str) or not (file.parent / name).is_file():
            raise RecipeError(f"{file}: {kind}: {name!r} is no file beside it. Expected: the name of a measurement.")
    settings = {**{kind: Path(name).name for kind, name in blanks.items()}, **data}
    here: dict[str, Any] = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for section, key in _PATHS:
        if isinstance(group := here.get(section), dict) and isinstance(name := group.get(key), str) and name:
            group[key] = str(file.parent / name)
    if isinstance(here.get("phases"), list):
        here["phases"] = [_beside(file, item) for item in here["phases"]]
    try:
        recipe = Recipe.of(here)
    except RecipeError as error:
        raise RecipeError(f"{file}: {error}") from error
    digest = hashlib.sha256(read_bytes(file)).hexdigest()
    paths = {kind: str(file.parent / name) for kind, name in blanks.items()}
    return Laboratory(file=file, sha256=digest, recipe=recipe, blanks=paths, settings=settings)


def _beside(file: Path, name: Any) -> Any:
    return str(file.parent / name) if isinstance(name, str) and (file.parent / name).exists() else name
