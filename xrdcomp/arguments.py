"""What public functions take: arrays, tables, files, phase ids and whole recipes, where a record is meant.

Readers, phases and instruments rest on `xrdcomp.data`; they are loaded here when an argument needs them.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from xrdcomp.data import Instrument, Pattern, Phase, TgaRun
from xrdcomp.errors import ArgumentError
from xrdcomp.recipe import InstrumentRecipe, Recipe

if TYPE_CHECKING:
    import pandas as pd

PathLike: TypeAlias = "str | os.PathLike[str]"
PatternLike: TypeAlias = "Pattern | PathLike | pd.DataFrame | tuple[Any, ...]"
"""A pattern, its file, a table of its points, or the arrays of `Pattern.from_xy`."""
RunLike: TypeAlias = "TgaRun | PathLike | pd.DataFrame | tuple[Any, ...]"
"""A run, its file, a table of its points, or the arrays of `TgaRun.from_arrays`."""
PhasesLike: TypeAlias = "PathLike | Phase | Iterable[PathLike | Phase]"
"""One phase or several: loaded ones, ids of the library, CIF files, phase folders."""
InstrumentLike: TypeAlias = "Instrument | InstrumentRecipe | Recipe | PathLike"
"""An instrument, its file, or the settings that say what is known of it."""
Part = TypeVar("Part")


def as_pattern(value: Any, argument: str = "pattern", *, scan: int | None = None) -> Pattern:
    """Pattern of whatever stands for one: see `PatternLike`; `scan` is the number of one in a file of several."""
    if isinstance(value, Pattern):
        return value
    if isinstance(value, str | os.PathLike):
        pattern: Pattern = importlib.import_module("xrdcomp.io.front").read_xrd(value, scan=scan)
        return pattern
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        return Pattern.from_dataframe(value)
    if isinstance(value, tuple | list) and len(value) in (2, 3) and all(map(_is_column, value)):
        return Pattern.from_xy(*value)
    raise ArgumentError(
        argument, value, "a Pattern, a file, a DataFrame, or arrays (two_theta, intensity[, sigma])"
    )


def as_run(value: Any, argument: str = "run", *, empty_pan: bool = False) -> TgaRun:
    """Thermogravimetric run of whatever stands for one: see `RunLike`."""
    if isinstance(value, TgaRun):
        return value
    if isinstance(value, str | os.PathLike):
        front = importlib.import_module("xrdcomp.io.front")
        run: TgaRun = front.read_empty_pan(value) if empty_pan else front.read_tga(value)
        return run
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        return TgaRun.from_dataframe(value)
    if isinstance(value, tuple | list) and len(value) in (2, 3) and all(map(_is_column, value)):
        return TgaRun.from_arrays(*value)
    raise ArgumentError(
        argument, value, "a TgaRun, a file, a DataFrame, or arrays (temperature_c, mass[, time_s])"
    )


def as_phases(value: Any, argument: str = "phases") -> tuple[Phase, ...]:
    """Phases of whatever stands for them: see `PhasesLike`."""
    items = [value] if isinstance(value, str | os.PathLike | Phase) else value
    if not isinstance(items, Iterable) or isinstance(items, Mapping | bytes):
        raise ArgumentError(argument, value, "phase ids, CIF files, phase folders or Phase objects")
    items = list(items)
    files = [item for item in items if isinstance(item, str | os.PathLike)]
    loaded = [item for item in items if isinstance(item, Phase)]
    if wrong := [item for item in items if not isinstance(item, str | os.PathLike | Phase)]:
        raise ArgumentError(argument, wrong[0], "phase ids, CIF files, phase folders or Phase objects")
    if not files:
        return tuple(loaded)
    load_phases = importlib.import_module("xrdcomp.phases.library").load_phases
    if not loaded:
        return tuple(load_phases(files))
    return tuple(p for item in items for p in ([item] if isinstance(item, Phase) else load_phases([item])))


def as_instrument(value: Any, argument: str = "instrument", *, pattern: Pattern | None = None) -> Instrument:
    """Instrument of whatever stands for one: see `InstrumentLike`; what is not said is taken from the `pattern`."""
    if isinstance(value, Instrument):
        return value
    if isinstance(value, str | os.PathLike):
        value = InstrumentRecipe(file=os.fspath(value))
    if value is None or isinstance(value, Recipe | InstrumentRecipe):
        build = importlib.import_module("xrdcomp.instrument.build")
        instrument: Instrument = build.build_instrument(pattern, part_of(value, InstrumentRecipe))
        return instrument
    raise ArgumentError(argument, value, "an Instrument, an instrument file, or a Recipe")


def part_of(recipe: Any, kind: type[Part], argument: str = "recipe") -> Part:
    """Settings of one stage: itself, or its part of a whole recipe; the default ones for None."""
    if isinstance(recipe, kind):
        return recipe
    if recipe is None or isinstance(recipe, Recipe | str | os.PathLike | Mapping):
        name = kind.__name__.removesuffix("Recipe").lower()
        part: Part = getattr(Recipe.of(recipe), name)
        return part
    raise ArgumentError(argument, recipe, f"a {kind.__name__}, a Recipe, its file or a dict")


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping)
