"""Reading files into a `Pattern` or a `TgaRun`; the content determines which reader is used."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np

from xrdcomp.data import Pattern, TgaRun
from xrdcomp.errors import ReadError, XrdcompError, either
from xrdcomp.io.registry import (
    Reader,
    TgaOptions,
    TgaReader,
    XrdReader,
    all_readers,
    call_reader,
    find_reader,
    recognise,
)
from xrdcomp.io.scans import DOUBTFUL, RawScan, to_pattern
from xrdcomp.io.source import SourceFile, members, open_source
from xrdcomp.io.text_table import row_without_numbers
from xrdcomp.units import MG_PER_UNIT, IntArray

PLAUSIBLE = 0.3
SURE = 0.55
"""From this score on a reader has recognised its format; below, it only could read such content."""
_R = TypeVar("_R", XrdReader, TgaReader)


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Words on a kind of file: its formats, what it holds, where it belongs, what is expected, what helps."""

    format: str = ""
    measurement: str
    where: str
    expected: str = ""
    rows: str = ""
    hint: str = ""


_WANTED = {
    "xrd": _Wanted(
        format="one-dimensional diffraction format", measurement="diffraction pattern",
        where=either(
            "Pass it as the pattern, not as TGA: read_xrd(path).", "`xrdcomp analyze FILE` takes it, as the pattern."
        ), expected="a format that `xrdcomp formats` lists", rows="numbers in every row: 2θ in degrees, intensity",
        hint="Export the measurement as text with two columns."
        + either(" If you know what it is, pass format=ID.", " If you know what it is, pass --input-format ID."),
    ),
    "tga": _Wanted(
        format="thermogravimetric format", measurement="thermogravimetric file",
        where=either("Pass it as the TGA file: read_tga(path).", "`xrdcomp tga FILE` analyses it.")
        + either("", " Or pass it with --tga."),
        expected="an export of a thermobalance, or a table with temperature and mass in its header",
        rows="numbers in every row: temperature, mass and time, as the names above them say",
        hint="`xrdcomp formats` lists what can be read; a text export with units in the header always can.",
    ),
    "xrd_frame": _Wanted(
        measurement="two-dimensional frame",
        where="Integrate it first with `xrdcomp integrate`, which needs the extra `frames` (fabio, pyFAI).",
    ),
}  # fmt: skip


# --- Patterns ------------------------------------------------------------------------------------------


class _XrdFile(msgspec.Struct, frozen=True, kw_only=True):
    """A diffraction file with its reader and every scan in it."""

    source: SourceFile
    reader: XrdReader
    scans: Sequence[RawScan]

    def pattern(self, scan: RawScan) -> Pattern:
        return call_reader(self.reader, self.source, lambda: to_pattern(scan, self.source, self.reader.id))


def read_xrd(path: str | os.PathLike[str], *, scan: int | None = None, format: str | None = None) -> Pattern:
    """Read one powder diffraction scan from an instrument's file.

    Parameters
    ----------
    path : path
        The file; gzip, bzip2, xz and a zip of one file are unpacked.
    scan : int, optional
        Number of the scan in the file, from 0. Without it, the file must hold exactly one powder scan.
    format : str, optional
        Id of the format (``xrdcomp formats`` lists them); by default recognised from the content.

    Returns
    -------
    Pattern
        With standard deviations, wavelengths, counting time and other facts of the file, and messages about anything
        odd.

    Raises
    ------
    ReadError
        The file cannot be read, or reading it would require a guess.
    MissingExtraError
        The format needs an optional package.
    """
    file = _open_xrd(path, format)
    scans, refuse = file.scans, partial(file.source.error, format_id=file.reader.id)
    if scan is not None:
        if not 0 <= scan < len(scans):
            raise refuse(f"there is no scan {scan}", expected=f"0 to {len(scans) - 1}")
        return file.pattern(scans[scan])
    powder = [raw for raw in scans if not raw.not_powder and raw.default]
    if len(powder) > 1:
        listed = []
        for i, raw in enumerate(scans[:20]):
            n = len(raw.two_theta)
            span = f"{raw.two_theta[0]:g} to {raw.two_theta[-1]:g}, {n} points" if n else "empty"
            listed.append(f"scan={i}: {raw.axis} {span}{' (no powder scan)' if raw.not_powder else ''}")
        msg = f"the file holds {len(powder)} powder scans ({'; '.join(listed)}{'; …' if len(scans) > 20 else ''})"
        raise refuse(msg, hint=either("Pass scan=N.", "Pass --scan N."))
    return file.pattern(powder[0] if powder else scans[0])


def read_xrd_scans(path: str | os.PathLike[str], *, format: str | None = None) -> tuple[Pattern, ...]:
    """Every powder scan of a file, in order; other scans are left out unless there are only such."""
    file = _open_xrd(path, format)
    powder = [raw for raw in file.scans if not raw.not_powder] or file.scans[:1]
    return tuple(map(file.pattern, powder))


def why_not_powder(path: str | os.PathLike[str], *, format: str | None = None) -> tuple[str, ...]:
    """For each scan of a file, the reason why it is not a powder scan; "" if it is one."""
    return tuple(raw.not_powder for raw in _open_xrd(path, format).scans)


def list_formats() -> list[dict[str, str | bool | list[str]]]:
    """Formats in the order in which they are tried, with id, name, kind, extensions, extras needed, verified."""
    return [
        {
            "id": reader.id, "name": reader.name, "kind": reader.kind, "extensions": list(reader.extensions),
            "extras": list(reader.extras), "verified": reader.verified,
        }
        for reader in all_readers()
    ]  # fmt: skip


def inspect_file(path: str | os.PathLike[str], *, format: str | None = None, **told: Any) -> dict[str, object]:
    """Format and content of a file, ready for JSON, without judging whether it can be analysed.

    ``kind``, ``format`` and ``scans`` (patterns; empty for frames, which ``xrdcomp.frames`` describes) or
    ``segments`` (thermogravimetry). Angles in degrees, wavelengths in ångström, temperature in °C, mass in mg,
    time in s. The content shows whether a file is a pattern or a run; if it does not, both are tried. `told` holds the
    keywords of `read_tga` for a run: units, mass, columns, run. A `ReadError` is raised for a file that no reader
    recognises, or a damaged one.
    """
    source = open_source(path)
    options = _tga_options(**told)
    found = recognise(source) if format is None else [(SURE, find_reader(format))]
    if not found:
        raise _unknown(source, _WANTED["xrd"])
    best, first = found[0]
    kinds = {reader.kind: reader for _, reader in reversed(found)} if best < SURE else {first.kind: first}
    # a run is the last to be tried, since its refusal asks for what would make it one; the first where it was told
    candidates = sorted(kinds.values(), key=lambda reader: (reader.kind == "tga") == (options == TgaOptions()))
    problems: list[XrdcompError] = []
    for reader in candidates:
        try:
            return {"kind": reader.kind, "format": reader.id} | _described(reader, source, options, sure=best >= SURE)
        except XrdcompError as problem:
            problems.append(problem)
    # who knows none of the names that stand there has nothing to say about them
    raise next(
        (each for each in reversed(problems) if not (isinstance(each, ReadError) and each.unnamed)), problems[-1]
    )


def _described(reader: Reader, source: SourceFile, options: TgaOptions, *, sure: bool) -> dict[str, object]:
    """Segments of a run, or scans; where the format is not `sure`, one of them must be a pattern, or no powder scan."""
    if isinstance(reader, TgaReader):
        run = call_reader(reader, source, lambda: reader.read(source, options))
        return {"segments": describe_run(run)}
    described = []
    scans = _raw_scans(reader, source) if isinstance(reader, XrdReader) else ()
    if not sure and isinstance(reader, XrdReader) and not any(raw.not_powder for raw in scans):
        _XrdFile(source=source, reader=reader, scans=scans).pattern(scans[0])
    for raw in scans:
        x = raw.two_theta
        low, high, top = map(float, (x.min(), x.max(), raw.intensity.max())) if len(x) else (None,) * 3
        wavelengths = [line.wavelength for line in raw.emission_lines if line.label != DOUBTFUL]
        described.append(
            {
                "n_points": len(x), "two_theta_min": low, "two_theta_max": high, "intensity_max": top,
                "intensity_unit": raw.unit, "wavelengths": wavelengths, "axis": raw.axis,
            }
        )  # fmt: skip
    return {"scans": described}


def _open_xrd(path: str | os.PathLike[str], format_id: str | None) -> _XrdFile:
    source = open_source(path)
    reader = _reader_for(source, format_id, XrdReader)
    return _XrdFile(source=source, reader=reader, scans=_raw_scans(reader, source))


def _raw_scans(reader: XrdReader, source: SourceFile) -> Sequence[RawScan]:
    found = call_reader(reader, source, lambda: reader.read(source))
    scans = (found,) if isinstance(found, RawScan) else found
    if not scans:
        hint = "The measurement may have been stopped or not saved."
        raise source.error("the file holds no scan", format_id=reader.id, hint=hint)
    return scans


def _reader_for(source: SourceFile, format_id: str | None, kind: type[_R]) -> _R:
    """The reader asked for, else the surest one of the kind, unless another kind of file is recognised for sure."""
    wanted = _WANTED[kind.kind]
    if format_id is not None:
        chosen = find_reader(format_id)
        if isinstance(chosen, kind):
            return chosen
        msg = f"format {format_id!r} ({chosen.name}) is not a {wanted.format}"
        raise source.error(msg, hint="`xrdcomp formats` lists them.")
    own = recognise(source, kind.kind) if kind.kind == "tga" else []
    found = own if own and own[0][0] >= PLAUSIBLE else recognise(source)
    score, best = found[0] if found else (0.0, None)
    fitting = next((reader for _, reader in found if isinstance(reader, kind)), None)
    if fitting is not None and (fitting is best or score < SURE):
        return fitting
    if best is None or score < PLAUSIBLE:
        raise _unknown(source, wanted)
    other = _WANTED[best.kind]
    msg = f"this is a {other.measurement} ({best.name})"
    raise source.error(msg, format_id=best.id, expected=f"a {wanted.measurement}", hint=other.where)


_UNREAD = {
    "raw": "The binary files of Rigaku and Shimadzu are not read: export .ras, .rasx, .asc (Rigaku), text (Shimadzu).",
    "val": "The files of Seifert's Rayflex are not read: export .nja, or columns of angle and counts.",
    "tad": "The files of Shimadzu's TA-60 are not read: export the curve as text.",
    "tri": "The files of TRIOS are not read: export text, CSV or a workbook, with a table for all steps.",
    "001": "The files of Universal Analysis are not read: export the data as text.",
    "tg1d": "The files of Pyris are not read: export the curve as text.",
    "rwx": "The files of Calisto are not read: export the curve as text.",
    "pks": "A list of reflections is no pattern: export the measured scan.",
    "dif": "A list of reflections is no pattern: export the measured scan.",
}
"""What to export, by suffix, where a program's own files are not read: no trustworthy description of them is known."""


_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (rb"PK\x03\x04.{26,60}mimetypeapplication/vnd.oasis", "an OpenDocument file", "Save it as .xlsx or CSV."),
    (rb"7z\xbc\xaf'\x1c|Rar!|.{257}ustar|\x1f\x9d|\x28\xb5\x2f\xfd", "a packed archive", "Unpack it first."),
    (rb"%PDF|\{\\rtf|\xd0\xcf\x11\xe0", "a document", "Export the measurement as text or CSV."),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{12}\x28\x00", "a picture", "Export the measurement itself, not its figure."),
    (rb"\s*(?:<\?xml[^>]*>\s*)?(?:<\?mso[^>]*>\s*)?<(?i:!doctype html|html|table|meta|workbook)\b",
     "a page or a workbook in XML or HTML, whatever its suffix says", "Save it as .xlsx or CSV."),
    (rb"\x93NUMPY|\s*[\[{]\s*[\[{\"\d]", "data of a program (NumPy, JSON)", "Write it as text with columns."),
    (rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff", "text in UTF-32", "Save it in UTF-8."),
)  # fmt: skip
"""What people pass and no reader reads: how it begins, what it is, what to do."""


def _unknown(source: SourceFile, wanted: _Wanted) -> ReadError:
    lines = source.head_text.split("\n")
    for begins_with, name, hint in _OTHERS:
        if re.match(begins_with, source.head, re.DOTALL):
            return source.error(f"this is {name}, not a measurement", expected=wanted.expected, hint=hint)
    if source.head.startswith(b"PK\x03\x04"):
        held = ", ".join(map(repr, members(source.data)[:5]))
        name, hint = f"a zip archive of {held}", "Unpack it and pass the file that is meant."
        if not held:
            name, hint = "a zip archive that is broken", "Copy the file again."
        return source.error(f"this is {name}, not a measurement", expected=wanted.expected, hint=hint)
    if source.suffix in _UNREAD and not source.head_text:
        msg = f"a binary .{source.suffix} that no reader recognises"
        return source.error(msg, expected=wanted.expected, hint=_UNREAD[source.suffix])
    single = [line for line in lines[:-1] if line.strip()]
    if len(single) > 9 and all(re.fullmatch(r"\s*[-+\d.,eE]+\s*", line) for line in single[len(single) // 4 :]):
        msg = (
            "the rows hold one number each, without their angles" if wanted is _WANTED["xrd"] else "one number in a row"
        )
        return source.error(msg, f"line {len(lines) // 4 + 1}", wanted.rows, hint=wanted.hint)
    if (at := row_without_numbers(lines)) >= 0:
        msg = (
            f"{lines[at].strip()[:50]!r} is no row of numbers; no block of such rows and no other format is recognised"
        )
        return source.error(msg, f"line {at + 1}", wanted.rows, hint=wanted.hint)
    msg = f"no reader recognises the content (it starts with {source.head[:16]!r})"
    return source.error(msg, expected=wanted.expected, hint=wanted.hint)


# --- Runs ----------------------------------------------------------------------------------------------

_UNITS = {
    "mass_unit": ("mg", "ug", "g", "percent", "fraction"),
    "temperature_unit": ("C", "K"),
    "time_unit": ("s", "min", "h"),
}
_COLUMNS = ("temperature", "mass", "time")


def read_tga(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    mass_unit: str | None = None,
    temperature_unit: str | None = None,
    time_unit: str | None = None,
    initial_mass_mg: float | None = None,
    columns: Mapping[str, str | int] | None = None,
    run: int | None = None,
) -> TgaRun:
    """Read a thermogravimetric run with all its segments, cooling included.

    Units are taken from the file. If it does not state one, the error names the keyword to pass; values are never used
    to guess a unit, only to contradict one. A unit given here overrides the file, with a warning in the messages.

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
        Initial sample mass, mg; overrides the header. The reference for per cent and for changes of mass.
    columns : mapping, optional
        Name or number (from 1) of the column for ``temperature``, ``mass`` and ``time``.
    run : int, optional
        Which of several runs of one file, from 0; without it they are listed and the choice is asked for.

    Returns
    -------
    TgaRun
        Temperature in °C (of the sample where the file has it; ``metadata["temperature_column"]`` names the column),
        mass in the file's own unit, time in s.

    Raises
    ------
    ReadError
        A file that is none of a run, is damaged, or leaves a unit open.
    MissingExtraError
        The format needs an optional package that is not installed.
    """
    options = _tga_options(
        mass_unit=mass_unit, temperature_unit=temperature_unit, time_unit=time_unit, initial_mass_mg=initial_mass_mg,
        columns=columns, run=run,
    )  # fmt: skip
    return _read_run(path, format, options)


def read_empty_pan(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    mass_unit: str | None = None,
    temperature_unit: str | None = None,
    time_unit: str | None = None,
    columns: Mapping[str, str | int] | None = None,
) -> TgaRun:
    """Run of an empty pan, of which only the change counts; arguments and errors are those of `read_tga`.

    Readings about zero, from a tared balance, are allowed: 100 mg are added to them.
    """
    options = _tga_options(mass_unit=mass_unit, temperature_unit=temperature_unit, time_unit=time_unit, columns=columns)
    return _read_run(path, format, dataclasses.replace(options, empty_pan=True))


def _tga_options(**told: Any) -> TgaOptions:
    """What the user says of a run, checked."""
    told = {name: value for name, value in told.items() if value is not None}
    for keyword, known in _UNITS.items():
        if (value := told.get(keyword)) and value not in known:
            raise ReadError(f"{keyword}={value!r} is not a unit that is known", expected=", ".join(known), file=keyword)
    mass = told.get("initial_mass_mg")
    if mass is not None and not (math.isfinite(mass) and mass > 0):
        msg = f"initial_mass_mg={mass!r} is not a mass"
        raise ReadError(msg, expected="a number above zero, in mg", file="initial_mass_mg")
    if unknown := sorted(set(told.get("columns", {})) - set(_COLUMNS)):
        msg = f"columns names {', '.join(map(repr, unknown))}"
        raise ReadError(msg, expected=f"keys among {', '.join(_COLUMNS)}", file="columns")
    return TgaOptions(**told)


def _read_run(path: str | os.PathLike[str], format_id: str | None, options: TgaOptions) -> TgaRun:
    source = open_source(path)
    reader = _reader_for(source, format_id, TgaReader)
    return call_reader(reader, source, lambda: reader.read(source, options))


def select_segments(run: TgaRun, segments: Sequence[int]) -> TgaRun:
    """Part of a run: the points of some of its segments (numbers as in ``run.segment``), in measured order.

    A number that the run does not have raises a `ReadError`.
    """
    held = _segment(run)
    known = np.unique(held).tolist()
    missing = sorted(set(segments) - set(known))
    if missing or not segments:
        msg = f"the run has no segment {', '.join(map(str, missing)) or 'of an empty choice'}"
        file = run.source.file if run.source else ""
        raise ReadError(msg, file=file, expected=f"numbers among {', '.join(map(str, known))}")
    keep = np.isin(held, list(segments))
    return dataclasses.replace(
        run, temperature_c=run.temperature_c[keep], mass=run.mass[keep],
        time_s=None if run.time_s is None else run.time_s[keep], segment=held[keep],
    )  # fmt: skip


def _segment(run: TgaRun) -> IntArray:
    return np.zeros(len(run), dtype=np.int64) if run.segment is None else run.segment


def describe_run(run: TgaRun) -> list[dict[str, int | float | str | None]]:
    """One record per segment for ``xrdcomp inspect``: points, range, start mass, unit in the file, duration.

    ``mass_start_mg`` is None if the file holds per cent without the mass they refer to.
    """
    held = _segment(run)
    factor = MG_PER_UNIT.get(run.mass_unit)
    if factor is None and run.initial_mass_mg is not None:
        factor = run.initial_mass_mg / (100.0 if run.mass_unit == "percent" else 1.0)
    records: list[dict[str, int | float | str | None]] = []
    for number in np.unique(held):
        part = np.flatnonzero(held == number)
        temperature, first, last = run.temperature_c[part], part[0], part[-1]
        records.append(
            {
                "n_points": len(part),
                "temperature_min_C": float(temperature.min()), "temperature_max_C": float(temperature.max()),
                "mass_start_mg": None if factor is None else float(run.mass[first]) * factor,
                "mass_unit_in_file": str(run.metadata.get("mass_unit_in_file", run.mass_unit)),
                "duration_s": None if run.time_s is None else float(run.time_s[last] - run.time_s[first]),
            }
        )  # fmt: skip
    return records
