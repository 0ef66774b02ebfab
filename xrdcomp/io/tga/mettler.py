"""Mettler Toledo STARe text: curves with title blocks, or bare columns, each with ``[unit]`` below its names.

A titled export holds one table per curve (``Index  t  Ts  Tr  Value``); the one whose value is a mass is the run.
Ts is the sample temperature, Tr that of the program.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrdcomp.data import Diagnostic, TgaRun
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import TgaTable, columns_of, note, number_of, unit_of
from xrdcomp.io.registry import TgaOptions, TgaReader
from xrdcomp.io.runs import build_run
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import MAX_PARTS, Dialect, parse_rows, split_lines

STARE_ID = "mettler_stare"
_HEADER = re.compile(r"^\s*Index\s+\S")
_UNITS = re.compile(r"^\s*(\[[^\]]*\]\s*)+$")
_STARTS = frozenset("0123456789-+.")
_VALUE_NAMES = ("value", "wert", "valeur", "valor")


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """One table: its names and units and the lines (0-based) of its header and its rows."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    header: int
    first: int
    stop: int


def parse_mettler(text: str) -> TgaTable:
    """Table of the mass curve of a STARe text export.

    Raises
    ------
    ReadError
        No curve, no mass among the curves, several mass curves, damaged or missing rows.
    """
    lines = split_lines(text)
    curves = _find_curves(lines)
    curve = _mass_curve(curves)
    rows = lines[curve.first : curve.stop]
    decimal = "," if any("," in row for row in rows[:20]) else "."
    values = parse_rows(
        rows, Dialect(separator=None, decimal=decimal), first_line=curve.first + 1, n_columns=len(curve.names)
    )
    places = np.arange(curve.first + 1, curve.stop + 1, dtype=np.int64)
    index = values[:, 0]
    if not np.array_equal(index, index[0] + np.arange(len(index))):
        at = int(np.argmax(np.diff(index) != 1)) + 1
        msg = f"index {index[at]:g} follows {index[at - 1]:g}: rows are missing or damaged"
        raise ReadError(msg, place=f"line {int(places[at])}", expected=f"{index[at - 1] + 1:g}")
    names = ["Weight" if name.lower() in _VALUE_NAMES else name for name in curve.names]
    titled = curve.header > 2
    words = _words(lines, curves)
    mass = _sample_mass(words) if titled else None
    return TgaTable(
        columns=columns_of(names, curve.units, values),
        places=places,
        initial_mass_mg=mass,
        metadata=_metadata(words, len(curves)),
        messages=tuple(_cut_note(lines, curve, titled=titled)),
    )


def _find_curves(lines: Sequence[str]) -> list[_Curve]:
    heads = [i for i, line in enumerate(lines[:-1]) if "Index" in line and _HEADER.match(line)]
    curves: list[_Curve] = []
    for head in heads[:MAX_PARTS]:
        names = tuple(re.split(r"\s{2,}", lines[head].strip()))
        if not _UNITS.match(lines[head + 1]):
            continue
        units = re.findall(r"\[([^\]]*)\]", lines[head + 1])
        if len(units) == len(names) - 1:
            units.insert(0, "")
        if len(units) != len(names):
            msg = f"{len(names)} columns are named and {len(units)} have a unit"
            raise ReadError(msg, place=f"line {head + 2}")
        stop = next(
            (i for i in range(head + 2, len(lines)) if lines[i].lstrip()[:1] not in _STARTS), len(lines)
        )
        _check_end(lines, stop)
        if stop - head > 3:
            curves.append(_Curve(names=names, units=tuple(units), header=head, first=head + 2, stop=stop))
    if not curves:
        msg = "there is no curve with rows below its names and units"
        raise ReadError(
            msg, place=f"line {len(lines)}", expected="Index, t, Ts … with units in brackets below"
        )
    return curves


def _check_end(lines: Sequence[str], stop: int) -> None:
    """Refuse a damaged row directly below the rows; a title or a blank line ends a curve."""
    for at in range(stop, min(stop + 2, len(lines))):
        cells = lines[at].split()
        bad = [cell for cell in cells if not re.fullmatch(r"[-+]?[.,]?\d[\d.,]*([eE][-+]?\d+)?", cell)]
        if len(cells) - len(bad) > 1:
            msg = f"{(bad or cells)[0][:40]!r} stands between rows of numbers"
            raise ReadError(msg, place=f"line {at + 1}", expected="numbers", hint="Copy the file again.")


def _mass_curve(curves: Sequence[_Curve]) -> _Curve:
    weighed = [c for c in curves if any(unit_of(unit)[0] == "mass" for unit in c.units)]
    absolute = [
        c for c in weighed if not any(unit_of(unit)[1] in ("percent", "fraction") for unit in c.units)
    ]
    chosen = absolute or weighed
    if not chosen:
        units = ", ".join(f"[{curve.units[-1]}] (line {curve.header + 1})" for curve in curves)
        msg = f"no curve holds a mass; the values are {units}"
        hint = "Export the weight curve of the run."
        raise ReadError(msg, expected="a curve in mg", hint=hint)
    if len(chosen) > 1:
        where = ", ".join(f"line {curve.header + 1}" for curve in chosen)
        msg = f"the file holds {len(chosen)} mass curves, at {where}"
        raise ReadError(msg, hint="Export the curves one by one.")
    return chosen[0]


_SAMPLE_MASS = re.compile(r"^\s+(?P<name>.*), (?P<mass>[\d.,]+) (?P<unit>mg|g|µg|ug)\s*$")


def _sample_mass(lines: Sequence[str]) -> float | None:
    """Mass of the lines ``  NAME, 4.9292 mg`` where all of them agree."""
    found = set()
    for line in lines:
        match = _SAMPLE_MASS.match(line) if ", " in line else None
        if match and (value := number_of(match["mass"])) is not None:
            found.add(round(value * {"mg": 1.0, "g": 1e3}.get(match["unit"], 1e-3), 9))
    return found.pop() if len(found) == 1 else None


def _words(lines: Sequence[str], curves: Sequence[_Curve]) -> list[str]:
    """Lines outside the curves."""
    words: list[str] = []
    at = 0
    for curve in curves:
        words += lines[at : curve.header]
        at = curve.stop
    return [*words, *lines[at:]]


def _metadata(text: Sequence[str], curves: int) -> dict[str, str | float | int | bool]:
    found: dict[str, str | float | int | bool] = {"curves": curves}
    for line, below in itertools.pairwise(text):
        value = below.strip()
        if line.startswith(("Method:", "SampleID:", "Sample:", "TA Module:")) and value:
            key = line.strip().rstrip(":").lower()
            name = {"sampleid": "sample_name", "sample": "sample_name", "ta module": "instrument"}.get(
                key, key
            )
            found.setdefault(name, value)
    match = _SAMPLE_MASS.match("  " + str(found.get("sample_name", "")))
    if match:
        found["sample_name"] = match["name"]
    remark = next((m[1] for line in text if (m := re.match(r"^\]\d+\[(.*)$", line))), "")
    if remark:
        found["remark"] = remark
    return found


def _cut_note(lines: Sequence[str], curve: _Curve, *, titled: bool) -> list[Diagnostic]:
    tail = [line for line in lines[curve.stop :] if line.strip()]
    if titled and not any("STARe" in line for line in tail[-3:]):
        text = "the file does not end with the line of the STARe software; it may have been cut."
        return [note("TGA_CUT", text, severity="warning")]
    if not titled and not any(re.match(r"^\]\d+\[", line) for line in tail):
        text = "the file does not end with the remark that STARe writes below bare columns; it may have been cut."
        return [note("TGA_CUT", text, severity="warning")]
    return []


def _sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    for line, below in itertools.pairwise(lines):
        if _HEADER.match(line) and _UNITS.match(below):
            return 0.95 if re.search(r"\bTs\b|\bTr\b", line) else 0.75
    return 0.0


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_mettler(source.text), options, source, STARE_ID)


STARE = TgaReader(
    id=STARE_ID,
    name="Mettler Toledo STARe text export",
    extensions=("txt",),
    sniff=_sniff,
    read=_read,
)
