"""One specimen as a TOML file: the settings of a recipe, and its table ``project``, which names the measurements.

The bench app keeps a project as such files; ``xrdcomp analyze --recipe FILE`` repeats one of them.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from xrdcomp.disk import read_toml
from xrdcomp.errors import RecipeError
from xrdcomp.io.front import read_empty_pan, read_tga
from xrdcomp.recipe import PROJECT, Recipe, explain
from xrdcomp.results import SampleResult


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Measurements of one specimen, and facts that their files do not state: the table ``project``.

    Attributes
    ----------
    folder : str
        Folder that file names refer to, also those in settings; relative to the TOML file.
    xrd, tga, blank, tga_blank : str
        Pattern, thermogravimetric run, scan of the empty holder, run of the empty pan; "" if there is none.
    scan : int or None
        Which scan of the pattern's file.
    input_format : str
        Format of the files, if their content does not show it.
    mass_unit, temperature_unit, time_unit, initial_mass_mg
        Facts that the file of the run does not state.
    revision, same_as : int
        Number of the saved state, and of the earlier one whose settings it has again.
    """

    folder: str = ""
    xrd: str = ""
    tga: str = ""
    blank: str = ""
    tga_blank: str = ""
    scan: int | None = None
    input_format: str = ""
    mass_unit: Literal["", "mg", "ug", "g", "percent", "fraction"] = ""
    temperature_unit: Literal["", "C", "K"] = ""
    time_unit: Literal["", "s", "min", "h"] = ""
    initial_mass_mg: float | None = None
    revision: int = 0
    same_as: int = 0

    @property
    def files(self) -> dict[str, str]:
        """Files by kind of measurement."""
        found = {kind: getattr(self, kind) for kind in ("xrd", "tga", "blank", "tga_blank")}
        return {kind: name for kind, name in found.items() if name}


@dataclass(frozen=True, kw_only=True)
class SpecimenFile:
    """A specimen's recipe and measurements; `folder` is what file names in both refer to."""

    recipe: Recipe
    measured: Measured
    folder: Path

    def analyze(self, recipe: Recipe | None = None) -> SampleResult:
        """Analyse the specimen with its recipe, or another one; raises as `xrdcomp.analyze` does."""
        told, item = self.measured, self.measured.files
        units = {
            name: getattr(told, name) for name in ("mass_unit", "temperature_unit", "time_unit") if getattr(told, name)
        }
        from xrdcomp.analysis import analyze  # late: the bench app reads such files and analyses elsewhere

        with contextlib.chdir(self.folder):
            run: Any = item.get("tga")
            pan: Any = item.get("tga_blank")
            if run and (units or told.initial_mass_mg):
                run = read_tga(item["tga"], initial_mass_mg=told.initial_mass_mg, **units)
                pan = read_empty_pan(item["tga_blank"], **units) if pan else None
            return analyze(
                item.get("xrd"), tga=run, blank=item.get("blank"), tga_blank=pan, scan=told.scan,
                input_format=told.input_format or None, recipe=recipe or self.recipe,
            )  # fmt: skip


def read_specimen_file(path: str | os.PathLike[str]) -> SpecimenFile | None:
    """Read a specimen's TOML file; None where it is a recipe that names no measurements.

    Raises RecipeError: no such file, a key that does not exist or a value that is not legal.
    """
    data = read_toml(path, "a specimen of a project, or a recipe")
    if PROJECT not in data:
        return None
    table = data[PROJECT]
    try:
        measured = msgspec.convert(table, Measured)
    except msgspec.ValidationError as error:
        said = explain(str(error), Measured, table if isinstance(table, dict) else {})
        raise RecipeError(f"{os.fspath(path)}: {PROJECT}: {said}") from error
    folder = (Path(path).resolve().parent / measured.folder).resolve()
    return SpecimenFile(recipe=Recipe.of(path), measured=measured, folder=folder)
