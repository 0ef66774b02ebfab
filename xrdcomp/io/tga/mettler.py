"""Mettler Toledo STARe text: curves with title blocks, or bare columns, each with ``[unit]`` below its names.

A titled export holds one table per curve (``Index  t  Ts  Tr  Value``); the one whose value is a mass is the run.
Ts is the sample temperature, Tr that of the program.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.data import atmosphere_of
from xrdcomp.errors import ReadError, either
from xrdcomp.io.columns import agreed, mass_in_mg, unit_of
from xrdcomp.io.registry import TgaOptions, has_all
from xrdcomp.io.runs import ATMOSPHERE_CHANGES, CUT, EVERY_NTH, STORED_TWICE, TgaTable, tga_reader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import MAX_PARTS, Dialect, line_error, parse_parts, split_lines

_HEADER = re.compile(r"^\s*Index\s+\S")
_UNITS = re.compile(r"^\s*(\[[^\]]*\]\s*)+$")
_HEADER_AND_UNITS = r"[^\S\n]*Index[^\S\n]+\S.*\n[^\S\n]*(\[[^\]\n]*\][^\S\n]*)+$"
_NUMBER = re.compile(r"[-+]?[.,]?\d[\d.,]*([eE][-+]?\d+)?")
_STARTS = frozenset("0123456789-+.")
_VALUE_NAMES = ("value", "wert", "valeur", "valor", "valore", "值", "値")
_METADATA = {
    "Method:": "method", "SampleID:": "sample_name", "Sample:": "sample_name", "TA Module:": "instrument",
}  # fmt: skip
_REMARK = re.compile(r"^\]\d+\[(.*)$")
_SAMPLE_MASS = re.compile(r"^\s+(?P<name>.*), (?P<mass>[\d.,]+ (?:mg|g|µg|ug))\s*$")


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """One table: its names and units and the indices of its header and behind its rows."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    header: int
    stop: int


@tga_reader(
    "mettler_stare", "Mettler Toledo STARe text export", "txt",
    has_all(
        (0.95, ("Index", r"^(?=.*\bT[sr]\b)" + _HEADER_AND_UNITS)), (0.75, ("Index", "^" + _HEADER_AND_UNITS)),
    ),
)  # fmt: skip
def mettler_stare(source: SourceFile, options: TgaOptions) -> TgaTable:
    """Table of the mass curve; its index must not miss a row."""
    lines = split_lines(source.text)
    curves = _find_curves(lines)
    kinds = [{unit_of(unit) for unit in curve.units} for curve in curves]
    weighed = [i for i, known in enumerate(kinds) if any(dimension == "mass" for dimension, _ in known)]
    absolute = [i for i in weighed if not kinds[i] & {("mass", "percent"), ("mass", "fraction")}]
    chosen = [curves[i] for i in absolute or weighed]
    twice = len(chosen) > 1 and len({tuple(lines[curve.header : curve.stop]) for curve in chosen}) == 1
    chosen = chosen[:1] if twice and options.run is None else chosen
    count = len(chosen)
    if count > 1 and options.run is not None and 0 <= options.run < count:
        chosen = [chosen[options.run]]
    if len(chosen) != 1:
        where = ", ".join(f"line {curve.header + 1}" for curve in chosen)
        msg, hint = (
            f"the file holds {len(chosen)} mass curves, at {where}",
            "Export the curves one by one. " + either("Or pass run=N.", "Or pass --run N."),
        )
        if not chosen:
            where = ", ".join(f"[{curve.units[-1]}] (line {curve.header + 1})" for curve in curves)
            msg, hint = (f"no curve holds a mass; the values are {where}", "Export the weight curve of the run.")
        raise ReadError(msg, expected="" if chosen else "a curve in mg", hint=hint)
    curve = chosen[0]
    first = curve.header + 2
    rows = lines[first : curve.stop]
    dialect = Dialect(decimal="," if any("," in row for row in rows[:20]) else ".")
    names = ["Weight" if name.lower() in _VALUE_NAMES else name for name in curve.names]
    table = parse_parts([(first + 1, rows)], dialect, names, curve.units)
    # an export of every n-th point counts in steps of n; any other step is a gap
    index = table.values[:, 0]
    steps = np.diff(index)
    stride = float(np.median(steps)) if len(steps) else 1.0
    if stride < 1.0 or (steps != stride).any():
        at = int(np.argmax(steps != stride)) + 1
        msg = f"index {index[at]:g} follows {index[at - 1]:g}: rows are missing or damaged"
        raise line_error(first + at + 1, msg, f"{index[at - 1] + max(stride, 1.0):g}", hint="")
    starts, stops = [0, *(c.stop for c in curves)], [*(c.header for c in curves), len(lines)]
    outside = [line for start, stop in zip(starts, stops, strict=True) for line in lines[start:stop]]
    # facts outside the curves: a key, and its value on the line below
    metadata: dict[str, str | float | int | bool] = {"curves": len(curves)}
    for line, below in itertools.pairwise(outside):
        if line.rstrip() in _METADATA and below.strip():
            metadata.setdefault(_METADATA[line.rstrip()], below.strip())
    match = _SAMPLE_MASS.match(f"  {metadata.get('sample_name', '')}")
    if match:
        metadata["sample_name"] = match["name"]
    remark = next((m[1] for line in outside if (m := _REMARK.match(line))), "")
    if remark:
        metadata["remark"] = remark
    titled = curve.header > 2
    masses = (_SAMPLE_MASS.match(line) for line in outside if titled and ", " in line)
    in_mg = (mass_in_mg("", match["mass"]) for match in masses if match)
    # STARe writes its name last, or a remark below bare columns
    tail = [line for line in lines[curve.stop :] if line.strip()]
    said = ""
    if titled and not any("STARe" in line for line in tail[-3:]):
        said = "the file does not end with the line of the STARe software; it may have been cut."
    elif not titled and not any(map(_REMARK.match, tail)):
        said = "the file does not end with the remark that STARe writes below bare columns; it may have been cut."
    messages = [CUT(said)] if said else []
    if twice:
        messages.append(STORED_TWICE("the mass curve stands in the file twice; one copy was read."))
    if stride > 1.0:
        messages.append(EVERY_NTH(f"the file holds one of every {stride:g} points measured.", stride=stride))
    # a method or remark names the gas with its flow: ``Ar 50ml/min``
    flows = re.findall(r"([A-Za-z]\w+)\s*,?\s*\d+(?:[.,]\d+)?\s*ml/min", " ".join(outside))
    gases = {atmosphere_of(word) for word in flows} - {"unknown"}
    if len(gases) > 1:
        listed = ", ".join(sorted(gases))
        text = f"the file names several gases ({listed}) and not where they change; state them: nitrogen,air@600C."
        messages.append(replace(ATMOSPHERE_CHANGES(text, gases=listed), severity="warning"))
    return TgaTable(
        columns=table.columns,
        lines=table.lines,
        atmosphere=gases.pop() if len(gases) == 1 else "unknown",
        initial_mass_mg=agreed(round(mass, 9) for mass in in_mg if mass is not None),
        metadata=metadata,
        messages=tuple(messages),
        runs=count,
    )


def _find_curves(lines: Sequence[str]) -> list[_Curve]:
    heads = [i for i, line in enumerate(lines[:-1]) if "Index" in line and _HEADER.match(line)]
    curves: list[_Curve] = []
    for head in heads[:MAX_PARTS]:
        names = tuple(re.split(r"\s{2,}", lines[head].strip()))
        if not _UNITS.match(lines[head + 1]):
            continue
        units = re.findall(r"\[([^\]]*)\]", lines[head + 1])
        units = [""] * (len(units) == len(names) - 1) + units
        if len(units) != len(names):
            msg = f"{len(names)} columns are named and {len(units)} have a unit"
            raise line_error(head + 2, msg, hint="")
        found = (i for i in range(head + 2, len(lines)) if lines[i].lstrip()[:1] not in _STARTS)
        stop = next(found, len(lines))
        for at in range(stop, min(stop + 2, len(lines))):
            # a title or a blank line ends a curve, no damaged row
            cells = lines[at].split()
            bad = [cell for cell in cells if not _NUMBER.fullmatch(cell)]
            if len(cells) - len(bad) > 1:
                msg = f"{(bad or cells)[0][:40]!r} stands between rows of numbers"
                raise line_error(at + 1, msg, "numbers")
        if stop - head > 3:
            curves.append(_Curve(names=names, units=tuple(units), header=head, stop=stop))
    if not curves:
        msg = "there is no curve with rows below its names and units"
        raise line_error(len(lines), msg, "Index, t, Ts … with units in brackets below", hint="")
    return curves
