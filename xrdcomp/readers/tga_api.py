"""`read_tga`: a thermogravimetric export on disk becomes a `TgaRun`."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.readers.registry import Reader, TgaOptions, TgaReader, call_reader, find_reader, recognise
from xrdcomp.readers.source import SourceFile, open_source
from xrdcomp.types import TgaRun

__all__ = ["describe_run", "read_empty_pan", "read_tga", "select_segments"]

_UNITS = {
    "mass_unit": ("mg", "ug", "g", "percent", "fraction"),
    "temperature_unit": ("C", "K"),
    "time_unit": ("s", "min", "h"),
}
_SURE, _DOUBTFUL = 0.6, 0.3
_COLUMNS = ("temperature", "mass", "time")
_MG_PER_UNIT = {"mg": 1.0, "ug": 1e-3, "g": 1e3}


def read_tga(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    mass_unit: str | None = None,
    temperature_unit: str | None = None,
    time_unit: str | None = None,
    initial_mass_mg: float | None = None,
    columns: Mapping[str, str | int] | None = None,
) -> TgaRun:
    """Read a thermogravimetric run with all its segments, cooling included.

    Units are taken from the file. Where it does not state one, the error names the keyword to pass; values
    are never used to guess a unit, only to contradict one. A unit given here overrides the file, with a
    warning in the run's diagnostics.

    Parameters
    ----------
    path : str or path
    format : str, optional
        Registry id (``netzsch_text`` …); recognised from the content by default.
    mass_unit : {"mg", "ug", "g", "percent", "fraction"}, optional
        Of the mass column; among several mass columns the one in this unit is taken.
    temperature_unit : {"C", "K"}, optional
    time_unit : {"s", "min", "h"}, optional
    initial_mass_mg : float, optional
        Mass weighed in, mg; overrides the header. What per cent and changes of mass refer to.
    columns : mapping, optional
        Name or number (from 1) of the column for ``temperature``, ``mass`` and ``time``.

    Returns
    -------
    TgaRun
        Temperature in °C (of the sample where the file has it; ``metadata["temperature_column"]`` names the
        column), mass in the file's own unit, time in s.

    Raises
    ------
    ReadError
        A file that is none of a run, is damaged, or leaves a unit open.
    MissingExtraError
        The format needs an optional package that is not installed.
    """
    options = TgaOptions(
        mass_unit=_checked("mass_unit", mass_unit),
        temperature_unit=_checked("temperature_unit", temperature_unit),
        time_unit=_checked("time_unit", time_unit),
        initial_mass_mg=_checked_mass(initial_mass_mg),
        columns=_checked_columns(columns),
    )
    return _read(path, format, options)


def read_empty_pan(
    path: str | os.PathLike[str],
    *,
    mass_unit: str | None = None,
    temperature_unit: str | None = None,
    time_unit: str | None = None,
    columns: Mapping[str, str | int] | None = None,
) -> TgaRun:
    """Read the run of an empty pan, whose change alone counts.

    As `read_tga`; readings about zero, of a tared balance, are allowed: 100 mg are added to them.

    Parameters
    ----------
    path, mass_unit, temperature_unit, time_unit, columns
        As in `read_tga`.

    Returns
    -------
    TgaRun

    Raises
    ------
    ReadError, MissingExtraError
        As `read_tga`.
    """
    options = TgaOptions(
        mass_unit=_checked("mass_unit", mass_unit),
        temperature_unit=_checked("temperature_unit", temperature_unit),
        time_unit=_checked("time_unit", time_unit),
        columns=_checked_columns(columns),
        empty_pan=True,
    )
    return _read(path, None, options)


def _read(path: str | os.PathLike[str], format: str | None, options: TgaOptions) -> TgaRun:
    source = open_source(path)
    reader = _reader_for(source, format)
    return call_reader(reader, source, lambda: reader.read(source, options))


def _checked(keyword: str, value: str | None) -> str:
    if value is None or value in _UNITS[keyword]:
        return value or ""
    msg = f"{keyword}={value!r} is not a unit that is known"
    raise ReadError(msg, file=keyword, expected=", ".join(_UNITS[keyword]))


def _checked_mass(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        msg = f"initial_mass_mg={value!r} is not a mass"
        raise ReadError(msg, file="initial_mass_mg", expected="a number above zero, in mg")
    return value


def _checked_columns(columns: Mapping[str, str | int] | None) -> Mapping[str, str | int]:
    unknown = sorted(set(columns or {}) - set(_COLUMNS))
    if unknown:
        msg = f"columns names {', '.join(map(repr, unknown))}"
        raise ReadError(msg, file="columns", expected=f"keys among {', '.join(_COLUMNS)}")
    return dict(columns or {})


def _reader_for(source: SourceFile, format_id: str | None) -> TgaReader:
    if format_id:
        reader: Reader = find_reader(format_id)
    else:
        candidates = recognise(source, "tga")
        if not candidates or candidates[0][0] < _DOUBTFUL:
            others = recognise(source)
            if not candidates or others[0][0] >= _SURE:
                raise _not_recognised(source, others)
        reader = candidates[0][1]
    if not isinstance(reader, TgaReader):
        msg = f"format {reader.id!r} is of kind {reader.kind}, not tga"
        raise source.error(msg, expected="the format of a thermogravimetric run")
    return reader


def _not_recognised(source: SourceFile, others: Sequence[tuple[float, Reader]]) -> ReadError:
    if others and others[0][0] >= _SURE:
        reader = others[0][1]
        msg = f"this is no thermogravimetric run; it looks like {reader.name} ({reader.kind})"
        return source.error(msg, hint="Pass a diffraction pattern as the pattern, not as TGA.")
    return source.error(
        "the content is not recognised as a thermogravimetric run",
        expected="an export of a thermobalance, or a table with temperature and mass in its header",
        hint="`xrdcomp formats` lists what can be read; a text export with units in the header always can.",
    )


def select_segments(run: TgaRun, segments: Sequence[int]) -> TgaRun:
    """Part of a run: the points of some of its segments, in the order measured.

    Parameters
    ----------
    run : TgaRun
    segments : sequence of int
        Numbers as in ``run.segment``, from 0.

    Returns
    -------
    TgaRun

    Raises
    ------
    ReadError
        A number that the run does not have.
    """
    held = np.zeros(len(run), dtype=np.int64) if run.segment is None else run.segment
    known = [int(number) for number in np.unique(held)]
    missing = sorted(set(segments) - set(known))
    if missing or not segments:
        name = run.source.file if run.source else ""
        msg = f"the run has no segment {', '.join(map(str, missing)) or 'of an empty choice'}"
        raise ReadError(msg, file=name, expected=f"numbers among {', '.join(map(str, known))}")
    keep = np.isin(held, list(segments))
    return dataclasses.replace(
        run,
        temperature_c=run.temperature_c[keep],
        mass=run.mass[keep],
        time_s=None if run.time_s is None else run.time_s[keep],
        segment=held[keep],
    )


def describe_run(run: TgaRun) -> list[dict[str, int | float | str | None]]:
    """One record per segment for ``xrdcomp inspect``: points, range, start mass, unit in the file, duration.

    ``mass_start_mg`` is None where the file holds per cent and not the mass it refers to.
    """
    held = np.zeros(len(run), dtype=np.int64) if run.segment is None else run.segment
    factor = _MG_PER_UNIT.get(run.mass_unit)
    if factor is None and run.initial_mass_mg is not None:
        factor = run.initial_mass_mg / (100.0 if run.mass_unit == "percent" else 1.0)
    records: list[dict[str, int | float | str | None]] = []
    for number in np.unique(held):
        part = np.flatnonzero(held == number)
        temperature = run.temperature_c[part]
        duration = None if run.time_s is None else float(run.time_s[part[-1]] - run.time_s[part[0]])
        records.append(
            {
                "n_points": len(part),
                "temperature_min_C": float(temperature.min()),
                "temperature_max_C": float(temperature.max()),
                "mass_start_mg": None if factor is None else float(run.mass[part[0]]) * factor,
                "mass_unit_in_file": str(run.metadata.get("mass_unit_in_file", run.mass_unit)),
                "duration_s": duration,
            }
        )
    return records
