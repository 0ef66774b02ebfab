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

from xrdcomp.data import Diagnostic
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import agreed, columns_of, mass_in_mg, unit_of
from xrdcomp.io.registry import TgaOptions, has_all
from xrdcomp.io.runs import CUT, TgaTable, tga_reader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import MAX_PARTS, Dialect, parse_rows, split_lines

_HEADER = re.compile(r"^\s*Index\s+\S")
_UNITS = re.compile(r"^\s*(\[[^\]]*\]\s*)+$")
_NUMBER = re.compile(r"[-+]?[.,]?\d[\d.,]*([eE][-+]?\d+)?")
_STARTS = frozenset("0123456789-+.")
_VALUE_NAMES = ("value", "wert", "valeur", "valor")
_METADATA = {
    "Method:": "method",
    "SampleID:": "sample_name",
    "Sample:": "sample_name",
    "TA Module:": "instrument",
}
_SAMPLE_MASS = re.compile(r"^\s+(?P<name>.*), (?P<mass>[\d.,]+ (?:mg|g|µg|ug))\s*$")


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """One table: its names and units and the indices of its header and behind its rows."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    header: int
    stop: int


def _parse(source: SourceFile, _: TgaOptions) -> TgaTable:
    lines = split_lines(source.text)
    curves = _find_curves(lines)
    curve = _mass_curve(curves)
    first = curve.header + 2
    rows = lines[first : curve.stop]
    dialect = Dialect(decimal="," if any("," in row for row in rows[:20]) else ".")
    values = parse_rows(rows, dialect, first_line=first + 1, n_columns=len(curve.names))
    index = values[:, 0]
    if not np.array_equal(index, index[0] + np.arange(len(index))):
        at = int(np.argmax(np.diff(index) != 1)) + 1
        msg = f"index {index[at]:g} follows {index[at - 1]:g}: rows are missing or damaged"
        raise ReadError(msg, place=f"line {first + at + 1}", expected=f"{index[at - 1] + 1:g}")
    outside: list[str] = []
    end = 0
    for other in curves:
        outside += lines[end : other.header]
        end = other.stop
    outside += lines[end:]
    titled = curve.header > 2
    masses = (_SAMPLE_MASS.match(line) for line in outside if titled and ", " in line)
    in_mg = (mass_in_mg("", match["mass"]) for match in masses if match)
    return TgaTable(
        columns=columns_of(
            ["Weight" if name.lower() in _VALUE_NAMES else name for name in curve.names], curve.units, values
        ),
        lines=np.arange(first + 1, curve.stop + 1, dtype=np.int64),
        initial_mass_mg=agreed(round(mass, 9) for mass in in_mg if mass is not None),
        metadata=_metadata(outside, len(curves)),
        messages=_end_of_file([line for line in lines[curve.stop :] if line.strip()], titled=titled),
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
        found = (i for i in range(head + 2, len(lines)) if lines[i].lstrip()[:1] not in _STARTS)
        stop = next(found, len(lines))
        for at in range(
            stop, min(stop + 2, len(lines))
        ):  # a title or a blank line ends a curve, no damaged row
            cells = lines[at].split()
            bad = [cell for cell in cells if not _NUMBER.fullmatch(cell)]
            if len(cells) - len(bad) > 1:
                msg = f"{(bad or cells)[0][:40]!r} stands between rows of numbers"
                raise ReadError(msg, place=f"line {at + 1}", expected="numbers", hint="Copy the file again.")
        if stop - head > 3:
            curves.append(_Curve(names=names, units=tuple(units), header=head, stop=stop))
    if not curves:
        msg = "there is no curve with rows below its names and units"
        expected = "Index, t, Ts … with units in brackets below"
        raise ReadError(msg, place=f"line {len(lines)}", expected=expected)
    return curves


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


def _metadata(outside: Sequence[str], curves: int) -> dict[str, str | float | int | bool]:
    """Facts of the lines outside the curves: a key, and its value on the line below."""
    found: dict[str, str | float | int | bool] = {"curves": curves}
    for line, below in itertools.pairwise(outside):
        name = _METADATA.get(line.rstrip())
        if name and below.strip():
            found.setdefault(name, below.strip())
    match = _SAMPLE_MASS.match(f"  {found.get('sample_name', '')}")
    if match:
        found["sample_name"] = match["name"]
    remark = next((m[1] for line in outside if (m := re.match(r"^\]\d+\[(.*)$", line))), "")
    if remark:
        found["remark"] = remark
    return found


def _end_of_file(tail: Sequence[str], *, titled: bool) -> tuple[Diagnostic, ...]:
    """Whether what STARe writes last stands below the rows: its name, or a remark below bare columns."""
    if titled and not any("STARe" in line for line in tail[-3:]):
        return (CUT("the file does not end with the line of the STARe software; it may have been cut."),)
    if not titled and not any(re.match(r"^\]\d+\[", line) for line in tail):
        text = "the file does not end with the remark that STARe writes below bare columns; it may have been cut."
        return (CUT(text),)
    return ()


_HEADER_AND_UNITS = r"[^\S\n]*Index[^\S\n]+\S.*\n[^\S\n]*(\[[^\]\n]*\][^\S\n]*)+$"
STARE = tga_reader(
    "mettler_stare",
    "Mettler Toledo STARe text export",
    "txt",
    has_all(
        (0.95, ("Index", r"^(?=.*\bT[sr]\b)" + _HEADER_AND_UNITS)), (0.75, ("Index", "^" + _HEADER_AND_UNITS))
    ),
    _parse,
)
