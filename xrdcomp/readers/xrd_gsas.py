"""GSAS powder data: a title, comments, then ``BANK`` records with fixed columns.

Angles are in hundredths of a degree. ``CONST`` gives start and step; ``STD`` packs ten values of eight
characters, a counter of two and a value of six; ``ESD`` five pairs of value and deviation; ``FXYE`` and
``FXY`` free columns; ``ALT`` twenty characters each of position, value and deviation. ``RALF``, ``SLOG``
and ``TIME_MAP`` banks are over time of flight (Larson & Von Dreele, GSAS manual LAUR 86-748).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.readers.registry import XrdReader
from xrdcomp.readers.scan import MAX_POINTS, RawScan, two_theta_grid
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.table import floats, parse_table
from xrdcomp.types import Diagnostic, EmissionLine, FloatArray, IntensityUnit

__all__ = ["READER"]

_BANK = re.compile(
    r"^BANK[ ]+(\d+)[ ]+(\d+)[ ]+(\d+)[ ]+([A-Z_\d]+)((?:[ ]+[-+.]*\d[-+.\dEe]*)*)[ ]*([A-Z]*)[ ]*$",
    re.MULTILINE,
)
_BANK_START = re.compile(r"^BANK\s", re.MULTILINE)
_WAVELENGTH = re.compile(r"wavelength\s*=\s*([\d.]+)", re.IGNORECASE)
_TIME = re.compile(r"Time per step \(sec\)\s*=\s*([\d.]+)")
_SAMPLE = re.compile(r"(?:User sample name|Sample Comment)\s*=\s*(\S[^\n]*)")
_FLIGHT = {"RALF", "SLOG", "TIME_MAP", "LOG6", "EDS", "LPSD", "COND"}
_KINDS = ("STD", "ESD", "FXYE", "FXY", "ALT")


@dataclass(frozen=True, kw_only=True)
class _Bank:
    number: int
    n: int
    records: int
    binning: str
    coefficients: tuple[float, ...]
    kind: str
    first: int
    last: int


def _sniff(source: SourceFile) -> float:
    if _BANK.search(source.head_text):
        return 1.0
    return 0.6 if _BANK_START.search(source.head_text) else 0.0


def _read(source: SourceFile) -> Sequence[RawScan]:
    banks = _banks(source)
    header = "\n".join(source.lines[: banks[0].first - 1])
    found = _WAVELENGTH.search(header)
    lines = (EmissionLine(wavelength=float(found[1])),) if found else ()
    facts: dict[str, str | float | int | bool] = {"title": source.lines[0].strip()[:80]}
    sample = _SAMPLE.search(header)
    if sample:
        facts["sample_name"] = sample[1].strip()
    seconds = _TIME.search(header)
    if seconds:
        facts["time_per_step_in_header_s"] = float(seconds[1])
    scans = []
    for bank in banks:
        bank, notes = _without_repeats(source, bank)
        x, y, sigma, unit = _bank_data(source, bank)
        flight = bank.binning in _FLIGHT
        scans.append(
            RawScan(
                two_theta=x,
                intensity=y,
                sigma=sigma,
                unit=unit,
                emission_lines=lines,
                axis="time of flight" if flight else "2theta",
                not_powder=f"bank {bank.number} is over time of flight ({bank.binning}), not 2θ"
                if flight
                else "",
                place=f"bank {bank.number}",
                metadata=facts | {"bank": bank.number, "gsas_type": f"{bank.binning} {bank.kind}"},
                diagnostics=notes,
            )
        )
    return scans


def _banks(source: SourceFile) -> list[_Bank]:
    lines = source.lines
    starts = [i for i, line in enumerate(lines) if line.startswith("BANK")]
    banks: list[_Bank] = []
    for order, i in enumerate(starts):
        found = _BANK.match(lines[i].rstrip())
        place = f"line {i + 1}"
        if not found:
            msg = f"{lines[i].strip()[:60]!r} is no BANK record"
            raise source.error(msg, place=place, expected="BANK number points records type coefficients kind")
        kind = found[6] or "STD"
        n = int(found[2][:9])
        if kind not in _KINDS or not 1 < n <= MAX_POINTS:
            msg = f"{n} points in records of type {kind!r}"
            raise source.error(msg, place=place, expected=f"2 to {MAX_POINTS} points of {', '.join(_KINDS)}")
        last = starts[order + 1] if order + 1 < len(starts) else len(lines)
        while last > i + 1 and lines[last - 1].strip() in {"", "\x1a"}:
            last -= 1
        banks.append(
            _Bank(
                number=int(found[1][:9]),
                n=n,
                records=int(found[3][:9]),
                binning=found[4],
                coefficients=tuple(floats(found[5].split(), source, i + 1)),
                kind=kind,
                first=i + 1,
                last=last,
            )
        )
    if not banks:
        raise source.error("there is no BANK record", expected="a line that begins with BANK")
    return banks


def _without_repeats(source: SourceFile, bank: _Bank) -> tuple[_Bank, tuple[Diagnostic, ...]]:
    """Leave out records beyond the declared number that only repeat the last declared one."""
    end = bank.first + bank.records
    extra = source.lines[end : bank.last]
    if not extra or any(line.rstrip() != source.lines[end - 1].rstrip() for line in extra):
        return bank, ()
    text = (
        f"bank {bank.number} declares {bank.records} records; {len(extra)} more follow that only repeat the "
        "last one and were left out"
    )
    note = Diagnostic(
        code="XRD_REPEATED_RECORD", severity="warning", text=text, facts={"records": len(extra)}
    )
    return replace(bank, last=end), (note,)


def _bank_data(
    source: SourceFile, bank: _Bank
) -> tuple[FloatArray, FloatArray, FloatArray | None, IntensityUnit]:
    place = f"bank {bank.number}"
    rows = bank.last - bank.first
    per_record = {"STD": 10, "ESD": 5, "ALT": 4}.get(bank.kind, 1)
    held = rows * per_record
    if held < bank.n or held - bank.n >= per_record:
        present = f"between {held - per_record + 1} and {held}" if per_record > 1 else f"{held}"
        msg = f"the header declares {bank.n} points, the {rows} records below it hold {present}"
        hint = "The file is cut or edited; the angles of what is left are not certain. Export it again."
        raise source.error(msg, place=place, expected=f"{bank.n} points", hint=hint)
    if bank.kind in {"FXYE", "FXY"}:
        return _free_columns(source, bank, place)
    if bank.kind == "ALT":
        cells = _cells(source, bank, (8, 7, 5))
        x = cells[:, 0] / 32.0
        return x, cells[:, 1], cells[:, 2], "arbitrary"
    if bank.kind == "ESD":
        cells = _cells(source, bank, (8, 8))
        y, sigma, unit = cells[:, 0], cells[:, 1], "arbitrary"
    else:
        cells = _cells(source, bank, (2, 6))
        counters = np.maximum(cells[:, 0], 1.0)
        y, sigma = cells[:, 1], np.sqrt(np.maximum(cells[:, 1], 1.0) / counters)
        unit = "counts" if (counters == 1).all() else "arbitrary"
    x = _grid(source, bank, place)
    return x, y, sigma, "counts" if unit == "counts" else "arbitrary"


def _grid(source: SourceFile, bank: _Bank, place: str) -> FloatArray:
    if bank.binning in _FLIGHT:
        return np.arange(bank.n, dtype=np.float64)
    start, step = _start_step(source, bank, place)
    return two_theta_grid(start, step, bank.n)


def _start_step(source: SourceFile, bank: _Bank, place: str) -> tuple[float, float]:
    if bank.binning not in {"CONST", "CONS"} or len(bank.coefficients) < 2 or bank.coefficients[1] <= 0:
        msg = f"binning {bank.binning} with coefficients {bank.coefficients}"
        raise source.error(msg, place=place, expected="CONST start step in hundredths of a degree")
    return bank.coefficients[0] / 100.0, bank.coefficients[1] / 100.0


def _free_columns(
    source: SourceFile, bank: _Bank, place: str
) -> tuple[FloatArray, FloatArray, FloatArray | None, IntensityUnit]:
    values = parse_table(source, bank.first, bank.last).values
    wanted = 3 if bank.kind == "FXYE" else 2
    if values.shape[1] != wanted:
        msg = f"records of type {bank.kind} have {values.shape[1]} columns"
        raise source.error(msg, place=place, expected=f"{wanted} columns")
    scale = 1.0 if bank.binning in _FLIGHT else 0.01
    x = values[:, 0] * scale
    if bank.binning in {"CONST", "CONS"}:
        start, step = _start_step(source, bank, place)
        declared = start + step * (bank.n - 1)
        if abs(x[0] - start) > 2 * step or abs(x[-1] - declared) > max(2 * step, 0.002 * abs(declared)):
            msg = (
                f"the header declares {start:g} to {declared:g}°, the records run from {x[0]:g} to {x[-1]:g}°"
            )
            raise source.error(msg, place=place, expected="both alike")
    return x, values[:, 1], values[:, 2] if wanted == 3 else None, "arbitrary"


def _cells(source: SourceFile, bank: _Bank, widths: tuple[int, ...]) -> FloatArray:
    """Fixed columns of the records; cells that are blank or zero may only follow the last point."""
    size = sum(widths)
    values: list[str] = []
    for i in range(bank.first, bank.last):
        line = source.lines[i].rstrip()
        if len(line) > 80 or "\t" in line:
            msg = f"the record has {len(line)} characters" + (" and tabs" if "\t" in line else "")
            raise source.error(msg, place=f"line {i + 1}", expected="up to 80 characters in fixed columns")
        for begin in range(0, len(line), size):
            at = begin
            for width in widths:
                values.append(line[at : at + width].strip())
                at += width
    per_point = len(widths)
    found = len(values) // per_point
    value_cells = values[1::2] if per_point == 2 and widths[0] == 2 else values[0::per_point]
    while found > bank.n and value_cells[found - 1] in {"", "0", "0."}:
        found -= 1
    if found != bank.n:
        msg = f"the header declares {bank.n} points, the records hold {found}"
        hint = "The file is cut or edited; export it again."
        raise source.error(msg, place=f"bank {bank.number}", expected=f"{bank.n} points", hint=hint)
    tokens = [token or ("1" if widths[0] == 2 and i % 2 == 0 else "nan") for i, token in enumerate(values)]
    table = floats(tokens[: bank.n * per_point], source).reshape(bank.n, per_point)
    if not np.isfinite(table).all():
        i = int(np.argmin(np.isfinite(table).all(axis=1)))
        raise source.error("a cell is empty", place=f"bank {bank.number}, point {i}", expected="a number")
    return table


READER = XrdReader(
    id="gsas",
    name="GSAS powder data (CONST; STD, ESD, FXYE, FXY, ALT)",
    extensions=("gsas", "gsa", "gda", "raw", "xra", "cwn", "fxye", "gss", "dat"),
    sniff=_sniff,
    read=_read,
)
