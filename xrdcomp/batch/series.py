"""Series: many patterns of one instrument and grid, fitted with the same phases from one common fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xrdcomp.batch.workers import work_off
from xrdcomp.data import Instrument, Pattern
from xrdcomp.errors import AnalysisError, ArgumentError
from xrdcomp.instrument.build import build_instrument
from xrdcomp.io.stacks import Stack, open_stack
from xrdcomp.phases.library import PhasesLike, load_phases
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.series import FREE, Free, SeriesEngine
from xrdcomp.refinement.threads import single_threaded
from xrdcomp.results import FitResult
from xrdcomp.stages import PathLike, as_instrument, as_pattern
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    import pandas as pd

PROBE = 64
"""Patterns, evenly spaced over a series, of which the common fit is made."""
_CHUNK = 32  # patterns of a unit of work


def coordinate_column(name: str, taken: Container[str]) -> str:
    """Column of a coordinate beside those that are `taken`."""
    return f"{name}_coordinate" if name in taken else name


@dataclass(frozen=True, kw_only=True)
class SeriesResult:
    """Fits of a series of patterns.

    Attributes
    ----------
    values : (patterns, columns) array
        One row per pattern; each quantity is followed by its ``_std``. A pattern that could not be fitted is a row of
        NaN.
    units : mapping of str to str
        Names of the columns in order, with their units.
    common : FitResult
        Fit of the mean of the series.
    free : tuple of str
        Parameters that were refined in every row.
    held : tuple of str
        Parameters that have the values of `common`.
    coordinates : mapping
        Coordinates of each pattern, as stated in the file.
    """

    values: FloatArray
    units: Mapping[str, str]
    common: FitResult
    free: tuple[str, ...]
    held: tuple[str, ...] = field(default=())
    coordinates: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> FloatArray:
        """Return a column, (patterns,)."""
        if name not in self.units:
            raise ArgumentError("name", name, f"one of {', '.join(self.units)}")
        column: FloatArray = self.values[:, list(self.units).index(name)]
        return column

    def to_dataframe(self) -> pd.DataFrame:
        """Table with one row per pattern; ``attrs["units"]`` holds the unit of every column."""
        import pandas as pd

        table = pd.DataFrame(self.values, columns=list(self.units))
        table.index.name = "pattern"
        for place, (name, values) in enumerate(self.coordinates.items()):
            table.insert(place, coordinate_column(name, self.units), values)
        table.attrs["units"] = dict(self.units)
        return table

    def __repr__(self) -> str:
        fitted, alone = np.isfinite(self["gof"]), self["single"] == 1.0
        lines = [
            f"Series of {len(self)} patterns: {int(fitted.sum())} fitted, {int(alone.sum())} of them by themselves; "
            f"median Rwp {100 * float(np.median(self['rwp'][fitted])) if fitted.any() else np.nan:.1f} %",
            f"free in each: {', '.join(self.free)}; held: {', '.join(self.held) or 'nothing'}",
        ]
        for name, unit in self.units.items():
            if f"{name}_std" in self.units and fitted.any():
                own, std = self[name][fitted], self[f"{name}_std"][fitted]
                lines.append(
                    f"  {name} {np.median(own):.6g} ({own.min():.6g} to {own.max():.6g}) ± {np.median(std):.2g} {unit}"
                )
        return "\n".join(lines)


def fit_series(  # noqa: PLR0913 - one keyword for each thing that may be said of a series
    two_theta: npt.ArrayLike | PathLike,
    intensities: npt.ArrayLike | Iterable[npt.ArrayLike] | None = None,
    *,
    phases: PhasesLike,
    wavelength: float | Sequence[float] | None = None,
    instrument: Instrument | PathLike | None = None,
    recipe: Recipe | PathLike | Mapping[str, Any] | None = None,
    workers: int = 1,
    sigmas: npt.ArrayLike | None = None,
    free: Free = FREE,
    **settings: Any,
) -> SeriesResult:
    """Fit many patterns of one grid with the same phases, from one common fit of their mean.

    The common fit, with all parameters free, determines instrument, reflections and windows. Each pattern is then
    fitted from there with its own cells, sizes, displacement, amounts and background; the uncertainty of the held
    parameters is part of every ``_std``. Given the mean, rows do not depend on order, neighbours or workers.

    Parameters
    ----------
    two_theta : (n,) array, degrees, or a path
        A path alone is where the patterns lie, and they are read from there by chunks: ``FILE.h5::path``,
        ``FILE.zarr::path``, a folder, or a file with several scans, as for ``xrdcomp series``.
    intensities : (k, n) array, or an iterable of k patterns
    phases : ids, files or Phase objects
        As in `fit_pattern`.
    wavelength : float or several, ångström, optional
        The strongest first. Default: the instrument's, else copper Kα.
    instrument : Instrument or its file, optional
    recipe : Recipe, path of its TOML file or dict, optional
        Its ``fit`` and ``instrument`` are used.
    workers : int
        Processes. Results do not depend on their number.
    sigmas : (k, n) array, optional
        Standard deviations. Default: counting, or the scatter of neighbouring points where intensities are no counts.
    free : kinds of parameters, or "all"
        What each pattern has of its own: ``cell``, ``inverse_size``, ``size_mixing``, ``microstrain``, ``b_extra``,
        ``harmonic``, ``sample_displacement_mm`` …; the others are held at the common fit.
    **settings
        By the names of the command line, as in `analyze`: ``range``, ``radiation``, ``fit={...}`` …

    Returns
    -------
    SeriesResult

    Raises
    ------
    ArgumentError, AnalysisError, RecipeError, ReadError
        Arrays that do not fit one another, a pattern that cannot be fitted at all, settings that are not legal.

    Examples
    --------
    >>> import xrdcomp as xc
    >>> found = xc.fit_series(two_theta, frames, phases=["fluorapatite"], range=(20, 70))     # doctest: +SKIP
    >>> found.to_dataframe()["fluorapatite_a"]                                                # doctest: +SKIP
    """
    if not isinstance(instrument, Instrument):
        settings["instrument"] = instrument
    chosen = Recipe.of(recipe, wavelength=wavelength, **settings)
    probe, rows_of, work, coordinates = (
        _of_path(two_theta, chosen)
        if isinstance(two_theta, str | os.PathLike) and intensities is None
        else _of_arrays(two_theta, intensities, sigmas)
    )
    engine = start_series(
        probe, phases, chosen, instrument=instrument if isinstance(instrument, Instrument) else None, free=free
    )
    rows = [done.given() for done in work_off(partial(rows_of, engine), work, workers=workers)]
    held = [item.name for item in engine.common.table.free if item.name not in {i.name for i in engine.table.free}]
    return SeriesResult(
        values=np.concatenate(rows),
        units=engine.units,
        common=engine.common.result(),
        free=tuple(item.name for item in engine.table.free),
        held=tuple(held),
        coordinates=coordinates,
    )


Work = tuple[list[Pattern], Callable[[SeriesEngine, Any], FloatArray], Iterable[Any], Mapping[str, Any]]
"""Patterns of the common fit, function of the engine and one unit of work, those units, coordinates of all patterns."""


def _of_arrays(two_theta: Any, intensities: Any, sigmas: Any) -> Work:
    x, y = np.asarray(two_theta, dtype=float), _stack("intensities", intensities)
    own = None if sigmas is None else _stack("sigmas", sigmas)
    for name, values in (("intensities", y), ("sigmas", own)):
        if values is not None and values.shape != (len(y), len(x)):
            expected = f"one row of {len(x)} values for each pattern, as two_theta has"
            raise ArgumentError(name, f"an array of shape {values.shape}", expected)
    # a pattern of zeros or with gaps is a row of NaN, and no part of the common fit
    good = np.flatnonzero(np.isfinite(y).all(axis=1) & (np.ptp(y, axis=1) > 0.0))
    if not len(good):
        raise AnalysisError("no pattern of the series has finite intensities that differ: there is nothing to fit.")
    places = good[probe_of(len(good))].tolist()
    probe = [as_pattern((x, y[i]) if own is None else (x, y[i], own[i]), "intensities") for i in places]
    parts = [slice(i, i + _CHUNK) for i in range(0, len(y), _CHUNK)]
    return probe, rows_of_arrays, [(y[part], None if own is None else own[part]) for part in parts], {}


def _of_path(source: str | os.PathLike[str], recipe: Recipe) -> Work:
    stack = open_series(source, recipe)
    parts = [(i, min(i + _CHUNK, len(stack))) for i in range(0, len(stack), _CHUNK)]
    return probe_patterns(stack), partial(_rows_there, stack), parts, stack.coordinates(0, len(stack))


def open_series(source: str | os.PathLike[str], recipe: Recipe, two_theta: str = "") -> Stack:
    """Stack of the patterns of a series; `two_theta` as for `open_stack`, a wavelength for q from the recipe."""
    known = recipe.instrument
    told = known.wavelengths or known.radiation or known.file
    wavelength = build_instrument(None, known).wavelength if told else None
    return open_stack(source, two_theta=two_theta, wavelength=wavelength)


def probe_patterns(stack: Stack) -> list[Pattern]:
    """Patterns from which the common fit is made; AnalysisError if none of those tried can be fitted."""
    probe = [pattern for place in probe_of(len(stack)) if (pattern := stack.pattern(place)) is not None]
    if not probe:
        msg = f"{stack.source}: none of the {len(probe_of(len(stack)))} patterns looked at can be fitted."
        raise AnalysisError(msg)
    return probe


def _rows_there(stack: Stack, engine: SeriesEngine, place: tuple[int, int]) -> FloatArray:
    block = stack.read(*place)
    return series_rows(engine, block.intensities, block.sigmas)


def probe_of(n: int) -> list[int]:
    """Numbers of the patterns that the common fit of n is made of: all up to `PROBE`, else so many evenly spaced."""
    places: list[int] = np.unique(np.linspace(0, n - 1, min(n, PROBE)).round().astype(int)).tolist()
    return places


@single_threaded
def start_series(
    patterns: Sequence[Pattern],
    phases: PhasesLike,
    recipe: Recipe,
    *,
    instrument: Instrument | None = None,
    blank: Pattern | None = None,
    free: Free = FREE,
) -> SeriesEngine:
    """Engine of a series: the common fit of some of its patterns, from which `series_rows` fits each."""
    optics = build_instrument(patterns[0], recipe.instrument) if instrument is None else as_instrument(instrument)
    return SeriesEngine.of(patterns, load_phases(phases), optics, recipe.fit, blank=blank, free=free)


@single_threaded
def series_rows(engine: SeriesEngine, intensities: FloatArray, sigmas: FloatArray | None = None) -> FloatArray:
    """Rows of some patterns, (k, columns) in the order of ``engine.units``; NaN where a pattern cannot be fitted."""
    return engine.rows(intensities, sigmas)


def rows_of_arrays(engine: SeriesEngine, work: tuple[FloatArray, FloatArray | None]) -> FloatArray:
    """Rows of one unit of work: intensities (k, n) and standard deviations."""
    return series_rows(engine, *work)


def _stack(name: str, values: Any) -> FloatArray:
    try:
        stack = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=float)
    except (TypeError, ValueError) as error:
        raise ArgumentError(name, values, "patterns of equal length, (k, n)") from error
    if stack.ndim != 2 or not len(stack):
        raise ArgumentError(name, f"an array of shape {stack.shape}", "patterns of equal length, (k, n)")
    return stack
