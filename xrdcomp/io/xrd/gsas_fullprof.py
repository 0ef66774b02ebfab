"""DBWS and Maud data: a title, ``points step start wavelength``, then one count per line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, IntensityUnit
from xrdcomp.io.archive import number_list
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import MAX_POINTS, RawScan, two_theta_grid
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import floats, numeric_row, parse_table
from xrdcomp.units import FloatArray

# ------------ GSAS powder data: a title, comments, then ``BANK`` records with fixed columns.
# Angles are in hundredths of a degree. ``CONST`` gives start and step; ``STD`` packs ten values of eight
# characters, a counter of two and a value of six; ``ESD`` five pairs of value and deviation; ``FXYE`` and
# ``FXY`` free columns; ``ALT`` twenty characters each of position, value and deviation. ``RALF``, ``SLOG``
# and ``TIME_MAP`` banks are over time of flight (Larson & Von Dreele, GSAS manual LAUR 86-748).

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
                messages=notes,
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


GSAS = XrdReader(
    id="gsas",
    name="GSAS powder data (CONST; STD, ESD, FXYE, FXY, ALT)",
    extensions=("gsas", "gsa", "gda", "raw", "xra", "cwn", "fxye", "gss", "dat"),
    sniff=_sniff,
    read=_read,
)


# ------------ FullProf data with start, step and end in a header line: INSTRM 0, and the PSI layout INSTRM
# 8.
# INSTRM 0: optional comment lines, ``start step end title``, then counts in free format. INSTRM 8 (and 3):
# two title lines, ``start step end monitor``, as many counts as the range has points, then their standard
# deviations. Data of INSTRM 10 (angle, intensity, deviation) are read as columns of text.

_HEADER = re.compile(r"\s*(-?\d+\.?\d*)[\s,]+(\d*\.\d+|\d+)[\s,]+(\d+\.?\d*)(?=[\s,]|\Z)(.*)\Z")
_FULLPROF_WAVELENGTH = re.compile(r"lambda\s*=\s*([\d.]+)", re.IGNORECASE)


def _header(lines: Sequence[str]) -> tuple[int, float, float, float, int, str] | None:
    """Line, start, step, end, number of points and title of the header; None where there is none."""
    skipped = 0
    for i, line in enumerate(lines[:40]):
        if line.lstrip()[:1] in {"!", "#"} or not line.strip():
            continue
        found = _HEADER.match(line[:300])
        if found and i + 1 < len(lines):
            start, step, end = float(found[1]), float(found[2]), float(found[3])
            if 0 < step < 5 and start < end <= 180:
                n = (end - start) / step + 1
                several = len(lines[i + 1].split()) not in {2, 3}
                if abs(n - round(n)) < 0.05 and 10 <= n <= MAX_POINTS and several:
                    return i, start, step, end, round(n), found[4].strip()
        skipped += 1
        if skipped > 2:
            return None
    return None


def _fullprof_sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    header = _header(lines)
    if header is None:
        return 0.0
    rows = [line for line in lines[header[0] + 1 : header[0] + 5] if line.strip()]
    return 0.8 if rows and all(re.fullmatch(r"[-\d.\sEe+]+", row) for row in rows[:3]) else 0.0


def _fullprof_read(source: SourceFile) -> Sequence[RawScan]:
    header = _header(source.lines)
    if header is None:
        raise source.error(
            "there is no line of start, step and end", expected="such a line before the counts"
        )
    line, start, step, end, n, title = header
    place = f"line {line + 1}"
    psi = line >= 2
    values, rest = _numbers(source, line + 1)
    wanted = 2 * n if psi and len(values) >= 2 * n else n
    surplus = values[wanted:]
    if len(values) < wanted or (len(surplus) and (surplus.any() or len(surplus) >= 20)):
        msg = (
            f"{start:g} to {end:g}° in steps of {step:g}° are {n} points, the file holds {len(values)} values"
        )
        hint = "The file is cut or edited, or the header is not that of this measurement."
        raise source.error(msg, place=place, expected=f"{wanted} values", hint=hint)
    sigma = values[n : 2 * n] if wanted == 2 * n else None
    text = "\n".join((*source.lines[: line + 1], rest))
    found = _FULLPROF_WAVELENGTH.search(text)
    wavelength = float(found[1]) if found else 0.0
    y = values[:n]
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            sigma=sigma,
            unit="arbitrary",
            emission_lines=(EmissionLine(wavelength=wavelength),) if 0.1 < wavelength < 5 else (),
            place=f"lines {line + 2} to {len(source.lines)}",
            metadata={"title": (source.lines[0].strip() if psi else title)[:80]},
        )
    ]


def _numbers(source: SourceFile, first: int) -> tuple[FloatArray, str]:
    """All numbers from a line on, and the text that follows them."""
    lines = source.lines
    end = first
    while end < len(lines) and re.fullmatch(r"[-\d.\sEe+]*", lines[end]):
        end += 1
    rest = "\n".join(lines[end:])
    if any(numeric_row(line) for line in lines[end:]):
        msg = f"{lines[end].strip()[:50]!r} stands between the counts"
        raise source.error(msg, place=f"line {end + 1}", expected="numbers to the end of the data")
    return number_list("\n".join(lines[first:end]), source, f"lines {first + 1} to {end}"), rest


FULLPROF = XrdReader(
    id="fullprof_dat",
    name="FullProf data with a start-step-end header (INSTRM 0, 8)",
    extensions=("dat",),
    sniff=_fullprof_sniff,
    read=_fullprof_read,
)


# ------------ DBWS and Maud data: a title, ``points step start wavelength``, then one count per line.

_DBWS_HEADER = re.compile(r"\s*(\d{2,7})\s+(\d*\.\d+)\s+(\d+\.?\d*)\s+(\d\.\d+)(?:\s+[\d.]+)*\s*\Z")


def _dbws_sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n", 4)
    if len(lines) < 4 or not _DBWS_HEADER.match(lines[1][:300]):
        return 0.0
    return 0.85 if all(re.fullmatch(r"[-\d.\sEe+]+", line) for line in lines[2:4]) else 0.0


def _dbws_read(source: SourceFile) -> Sequence[RawScan]:
    found = _DBWS_HEADER.match(source.lines[1][:300]) if len(source.lines) > 1 else None
    if not found:
        raise source.error(
            "the second line is no header", place="line 2", expected="points step start wavelength"
        )
    n, step, start, wavelength = int(found[1]), float(found[2]), float(found[3]), float(found[4])
    y = number_list("\n".join(source.lines[2:]), source, "lines from 3")
    if not 1 < n <= MAX_POINTS or len(y) != n:
        msg = f"the header declares {n} points, the file holds {len(y)}"
        raise source.error(msg, place="line 2", expected=f"{n} points", hint="The file is cut or edited.")
    return [
        RawScan(
            two_theta=two_theta_grid(start, step, n),
            intensity=y,
            emission_lines=(EmissionLine(wavelength=wavelength),) if 0.1 < wavelength < 5 else (),
            place="lines from 3",
            metadata={"title": source.lines[0].strip()[:80]},
        )
    ]


DBWS = XrdReader(
    id="dbws_dat",
    name="DBWS and Maud data",
    extensions=("dat", "dbw", "rit"),
    sniff=_dbws_sniff,
    read=_dbws_read,
)
