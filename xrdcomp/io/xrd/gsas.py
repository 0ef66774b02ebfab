"""GSAS powder data: a title, comments, then ``BANK`` records with fixed columns.

Angles are in hundredths of a degree. ``CONST`` gives start and step; ``STD`` packs ten values of eight
characters, a counter of two and a value of six; ``ESD`` five pairs of value and deviation; ``FXYE`` and
``FXY`` free columns; ``ALT`` twenty characters each of position, value and deviation. ``RALF``, ``SLOG``
and ``TIME_MAP`` banks are over time of flight (Larson & Von Dreele, GSAS manual LAUR 86-748).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from xrdcomp.data import Diagnostic, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.archive import number_list, stated
from xrdcomp.io.registry import has_all, xrd_reader
from xrdcomp.io.scans import (
    CUT,
    MAX_POINTS,
    SURPLUS_RECORDS,
    RawScan,
    check_count,
    emission_lines,
    stated_wavelength,
    two_theta_grid,
)
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import numeric_row, parse_table
from xrdcomp.units import FloatArray

REPEATED_RECORD = message_kind(
    "XRD_REPEATED_RECORD", "warning",
    "GSAS records beyond the declared number only repeat the last one; they were left out.",
)  # fmt: skip

_BANK = re.compile(
    r"^BANK[ ]+(\d+)[ ]+(\d+)[ ]+(\d+)[ ]+([A-Z_\d]+)((?:[ ]+[-+.]*\d[-+.\dEe]*)*)[ ]*([A-Z]*)[ ]*$",
    re.MULTILINE | re.IGNORECASE,
)
_WAVELENGTH = re.compile(r"wavelength\s*=\s*(\S+)", re.IGNORECASE)
_TIME = re.compile(r"Time per step \(sec\)\s*=\s*([\d.]+)")
_SAMPLE = re.compile(r"(?:User sample name|Sample Comment)\s*=\s*(\S[^\n]*)")
_FLIGHT = {"RALF", "SLOG", "TIME_MAP", "LOG6", "EDS", "LPSD", "COND"}
_CELLS: dict[str, tuple[int, ...]] = {"STD": (2, 6), "ESD": (8, 8), "ALT": (8, 7, 5), "FXYE": (), "FXY": ()}
"""Widths of the cells of one point by type of record; free columns have none."""
_RECORD_WIDTH = 80


@dataclass(frozen=True, kw_only=True)
class _Bank:
    """Declarations of a ``BANK`` record; its records stand on lines `first` to `last` - 1, from 0."""

    number: int
    n: int
    records: int
    binning: str
    coefficients: tuple[float, ...]
    kind: str
    first: int
    last: int

    @property
    def place(self) -> str:
        return f"bank {self.number}"


@xrd_reader(
    "gsas", "GSAS powder data (CONST; STD, ESD, FXYE, FXY, ALT)", "gsas gsa gda raw xra cwn fxye gss dat",
    has_all((1.0, (f"(?i){_BANK.pattern}",)), (0.6, (r"^BANK\s",))),
)  # fmt: skip
def gsas(source: SourceFile) -> Sequence[RawScan]:
    """Scans of all banks."""
    banks = _banks(source)
    header = "\n".join(source.lines[: banks[0].first - 1])
    wavelength, sample, seconds = (each.search(header) for each in (_WAVELENGTH, _SAMPLE, _TIME))
    facts = {"title": source.lines[0].strip()[:80]} | stated(
        sample_name=sample[1].strip() if sample else "",
        time_per_step_in_header_s=float(seconds[1]) if seconds else None,
    )
    lines = emission_lines(stated_wavelength(wavelength[1])) if wavelength else ()
    scans = []
    for bank in banks:
        bank, notes = _declared_records(source, bank)
        flight = bank.binning in _FLIGHT
        reason = f"{bank.place} is over time of flight ({bank.binning}), not 2θ" if flight else ""
        scan = replace(
            _bank_scan(source, bank), emission_lines=lines, axis="time of flight" if flight else "2theta",
            not_powder=reason, place=bank.place, messages=notes,
            metadata={**facts, "bank": bank.number, "gsas_type": f"{bank.binning} {bank.kind}"},
        )  # fmt: skip
        scans.append(scan)
    return scans


def _declared_records(source: SourceFile, bank: _Bank) -> tuple[_Bank, tuple[Diagnostic, ...]]:
    """The bank without records beyond the declared ones, and a note on them.

    They repeat the last record, or are zeros; or, where number of points and of records agree and every declared record
    is full, they are more of the scan. Any other surplus stays, and is refused by the number of points.
    """
    end = bank.first + bank.records
    extra = source.lines[end : bank.last]
    per_record = _RECORD_WIDTH // sum(_CELLS[bank.kind]) if _CELLS[bank.kind] else 1
    if not extra or bank.records != -(-bank.n // per_record):
        return bank, ()
    what = f"{bank.place} declares {bank.n} points in {bank.records} records; {len(extra)} more records follow"
    if all(line.rstrip() == source.lines[end - 1].rstrip() for line in extra):
        text = f"{what} that only repeat the last one and were left out"
        return replace(bank, last=end), (REPEATED_RECORD(text, records=len(extra)),)
    if bank.n % per_record == 0 and all(map(numeric_row, extra)):
        text = f"{what}; the declared ones were read"
        return replace(bank, last=end), (SURPLUS_RECORDS(text, declared=bank.records, held=bank.last - bank.first),)
    if not any(line.strip(" 0.\t\r") for line in extra):
        text = f"{what} that hold nothing but zeros and were left out"
        return replace(bank, last=end), (SURPLUS_RECORDS(text, declared=bank.records, held=bank.last - bank.first),)
    return bank, ()


def _banks(source: SourceFile) -> list[_Bank]:
    lines = source.lines
    starts = [i for i, line in enumerate(lines) if line[:4].upper() == "BANK"]
    if not starts:
        raise ReadError("there is no BANK record", expected="a line that begins with BANK")
    banks: list[_Bank] = []
    for i, last in zip(starts, [*starts[1:], len(lines)], strict=True):
        found = _BANK.match(lines[i].rstrip())
        place = f"line {i + 1}"
        if not found:
            msg = f"{lines[i].strip()[:60]!r} is no BANK record"
            raise ReadError(msg, place, "BANK number points records type coefficients kind")
        kind = found[6].upper() or "STD"
        number, n, records = (int(found[k][:9]) for k in (1, 2, 3))
        if kind not in _CELLS or not 1 < n <= MAX_POINTS:
            msg = f"{n} points in records of type {kind!r}"
            raise ReadError(msg, place, f"2 to {MAX_POINTS} points of {', '.join(_CELLS)}")
        while last > i + 1 and lines[last - 1].strip() in {"", "\x1a"}:
            last -= 1
        coefficients = tuple(number_list(found[5], place))
        bank = _Bank(
            number=number, n=n, records=records, binning=found[4].upper(), coefficients=coefficients, kind=kind,
            first=i + 1, last=last,
        )  # fmt: skip
        banks.append(bank)
    return banks


def _bank_scan(source: SourceFile, bank: _Bank) -> RawScan:
    rows = bank.last - bank.first
    widths = _CELLS[bank.kind]
    per_record = _RECORD_WIDTH // sum(widths) if widths else 1
    held = rows * per_record
    if held < bank.n or held - bank.n >= per_record:
        present = f"between {held - per_record + 1} and {held}" if per_record > 1 else f"{held}"
        msg = f"the header declares {bank.n} points, the {rows} records below it hold {present}"
        raise ReadError(msg, bank.place, f"{bank.n} points", f"{CUT} The angles of what is left are not certain.")
    if not widths:
        values = parse_table(source, bank.first, bank.last, source.lines[: bank.last]).values
        wanted = 3 if bank.kind == "FXYE" else 2
        check_count(values.shape[1], wanted, bank.place, f"columns in records of type {bank.kind}")
        x: FloatArray = values[:, 0] * (1.0 if bank.binning in _FLIGHT else 0.01)
        if bank.binning in {"CONST", "CONS"}:
            start, step = _start_and_step(bank)
            end = start + step * (bank.n - 1)
            if abs(x[0] - start) > 2 * step or abs(x[-1] - end) > max(2 * step, 0.002 * abs(end)):
                msg = f"the header declares {start:g} to {end:g}°, the records run from {x[0]:g} to {x[-1]:g}°"
                raise ReadError(msg, bank.place, "both alike")
        return RawScan(two_theta=x, intensity=values[:, 1], sigma=values[:, 2] if wanted == 3 else None)
    cells = _cells(source, bank, widths)
    if bank.kind == "ALT":  # positions in thirty-seconds of a microsecond
        return RawScan(two_theta=cells[:, 0] / 32.0, intensity=cells[:, 1], sigma=cells[:, 2])
    if bank.binning in _FLIGHT:
        x = np.arange(bank.n, dtype=np.float64)
    else:
        x = two_theta_grid(*_start_and_step(bank), bank.n)
    if bank.kind == "ESD":
        return RawScan(two_theta=x, intensity=cells[:, 0], sigma=cells[:, 1])
    counters, y = np.maximum(cells[:, 0], 1.0), cells[:, 1]  # each value is the mean of so many counters
    sigma = np.sqrt(np.maximum(y, 1.0) / counters)
    single = bool((counters == 1).all())
    return RawScan(two_theta=x, intensity=y, sigma=sigma, unit="counts" if single else "arbitrary")


def _start_and_step(bank: _Bank) -> tuple[float, float]:
    """Start and step in degrees."""
    if bank.binning not in {"CONST", "CONS"} or len(bank.coefficients) < 2 or bank.coefficients[1] <= 0:
        msg = f"binning {bank.binning} with coefficients {bank.coefficients}"
        raise ReadError(msg, bank.place, "CONST start step in hundredths of a degree")
    return bank.coefficients[0] / 100.0, bank.coefficients[1] / 100.0


def _cells(source: SourceFile, bank: _Bank, widths: tuple[int, ...]) -> FloatArray:
    """Fixed columns of the records, one row per point; empty or zero cells may only follow the last point."""
    size, per_point = sum(widths), len(widths)
    edges = list(accumulate(widths, initial=0))
    cells = [slice(at + low, at + high) for at in range(0, _RECORD_WIDTH, size) for low, high in pairwise(edges)]
    values: list[str] = []
    for i in range(bank.first, bank.last):
        line = source.lines[i].rstrip()
        if len(line) > _RECORD_WIDTH or "\t" in line:
            msg = f"the record has {len(line)} characters" + (" and tabs" if "\t" in line else "")
            raise ReadError(msg, f"line {i + 1}", f"up to {_RECORD_WIDTH} characters in fixed columns")
        values += [line[cell].strip() for cell in cells[: math.ceil(len(line) / size) * per_point]]
    counted = bank.kind == "STD"
    found = len(values) // per_point
    while found > bank.n and values[(found - 1) * per_point + counted] in {"", "0", "0."}:
        found -= 1
    check_count(found, bank.n, bank.place)
    # an empty counter means one; any other empty cell is refused
    tokens = [token or ("1" if counted and i % 2 == 0 else "") for i, token in enumerate(values[: bank.n * per_point])]
    if "" in tokens:
        raise ReadError("a cell is empty", f"{bank.place}, point {tokens.index('') // per_point}", "a number")
    numbers = number_list("\n".join(tokens), bank.place)
    if len(numbers) != len(tokens):
        at = next(i for i, token in enumerate(tokens) if len(token.split()) > 1)
        place = f"{bank.place}, point {at // per_point}"
        raise ReadError(f"a cell holds {tokens[at]!r}", place, "one number in every fixed column", CUT)
    return numbers.reshape(bank.n, per_point)
