"""Generic tables of a thermogravimetric run: CSV, TXT, with names and units in one row or two."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.readers.registry import TgaOptions, TgaReader
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.tga_blocks import (
    Block,
    columns_of,
    cut_note,
    header_facts,
    join_blocks,
    mass_in_mg,
    other_note,
    read_blocks,
)
from xrdcomp.readers.tga_columns import Column, ask_column, classify, column_of, split_header, unit_of
from xrdcomp.readers.tga_run import build_run
from xrdcomp.readers.tga_table import TgaTable, atmosphere_of, heating_rate_of, note
from xrdcomp.readers.tga_text import split_lines
from xrdcomp.types import Diagnostic, FloatArray, IntArray, TgaRun

__all__ = ["READER", "parse_generic", "score_header"]

FORMAT_ID = "tga_csv"
_CERTAIN = 0.72
"""Score of a header with mass, temperature or time, and a unit; below that of the instruments' own layouts."""


def parse_generic(text: str, options: TgaOptions) -> TgaTable:
    """Table of a text whose columns are named above the numbers.

    A table without names is taken only where the user gives the units: two columns are then temperature and
    mass, three are time, temperature and mass, provided that they behave so; a warning says it.

    Raises
    ------
    ReadError
        No table, a damaged row, no names and no units given.
    """
    lines = split_lines(text)
    blocks = read_blocks(lines)
    values, places, numbers = join_blocks(blocks)
    head = lines[: blocks[0].header_line - 1]
    diagnostics = [*cut_note(text, blocks[-1]), *other_note(blocks[0]), *_comma_note(lines, places)]
    if blocks[0].names:
        columns = columns_of(blocks[0].names, blocks[0].units, values)
    else:
        columns = _nameless(values, blocks[0], options, diagnostics)
    facts = header_facts(head)
    segment = numbers if len(blocks) > 1 else None
    stated = next((c for c in columns if c.role == "segment" and np.isfinite(c.values).all()), None)
    if stated is not None:
        segment = np.unique(stated.values, return_inverse=True)[1].astype(np.int64)
    initial = next((m for k, v in facts.items() if _MASS_KEY.match(k) and (m := mass_in_mg(k, v))), None)
    gas = " ".join(v for k, v in facts.items() if re.search(r"atmos|gas|purge|spülgas", k))
    program = " ".join(v for k, v in facts.items() if re.search(r"rate|method|program|ramp", k))
    return TgaTable(
        columns=columns,
        places=places,
        segment=segment,
        initial_mass_mg=initial,
        atmosphere=atmosphere_of(gas),
        heating_rate_k_min=heating_rate_of(program),
        metadata={"sample_name": name} if (name := _sample_name(facts)) else {},
        diagnostics=tuple(diagnostics),
    )


_MASS_KEY = re.compile(
    r"(initial|sample|start(ing)?|specimen|proben?)[ _-]*(mass|weight|masse|gewicht|size)|einwaage"
)


def _comma_note(lines: Sequence[str], places: IntArray) -> list[Diagnostic]:
    """Say so where a comma that was read as decimal sign could separate thousands: always three digits behind."""
    sample = [lines[int(place) - 1] for place in places[:500]]
    if not any("," in row for row in sample) or any("." in row for row in sample):
        return []
    if not all("\t" in row for row in sample) and not all(";" in row for row in sample):
        return []
    cells = [cell.strip() for row in sample for cell in re.split(r"[\t;]", row) if "," in cell]
    if not all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", cell) for cell in cells):
        return []
    text = (
        f"every comma has three digits behind it ({cells[0]!r}); it was read as the decimal sign and could "
        "separate thousands. Export with the decimal point to be sure."
    )
    return [note("TGA_COMMA_DOUBTFUL", text, severity="warning", example=cells[0])]


def _sample_name(facts: dict[str, str]) -> str:
    return next(
        (facts[k] for k in ("sample name", "sample", "sample id", "sampleid", "probe") if k in facts), ""
    )


def _nameless(
    values: FloatArray, block: Block, options: TgaOptions, diagnostics: list[Diagnostic]
) -> tuple[Column, ...]:
    k, place = values.shape[1], f"line {int(block.lines[0])}"
    if options.columns:
        return columns_of((), (), values)
    units = {"temperature": options.temperature_unit, "mass": options.mass_unit}
    order = ("temperature", "mass") if k == 2 else ("time", "temperature", "mass")
    if k == 3:
        units["time"] = options.time_unit
    missing = [name for name in order if not units.get(name)]
    if k not in (2, 3) or missing:
        wanted = " and ".join(f"{name}_unit=… (--{name}-unit)" for name in missing)
        msg = f"the table has {k} columns and no header that names them"
        order_hint = ask_column("temperature", "mass") + " where the order differs."
        hint = f"Pass {wanted}. {order_hint}" if wanted else order_hint
        raise ReadError(msg, place=place, expected="a header with names and units", hint=hint)
    t, m = values[:, k - 2], values[:, k - 1]
    good = np.isfinite(t) & np.isfinite(m)
    if good.sum() < 2 or not (np.diff(t[good]) >= 0).mean() > 0.5 or t[good][-1] <= t[good][0]:
        msg = f"column {k - 1} does not rise as a temperature does, and no header names it"
        raise ReadError(msg, place=place, hint=ask_column("temperature", "mass") + ".")
    names = ", ".join(order)
    text = f"the table has no header; its columns were taken as {names}, since the units were given."
    diagnostics.append(note("TGA_COLUMNS_ASSUMED", text, severity="warning", columns=k))
    return tuple(column_of(name, "", values[:, i], i + 1) for i, name in enumerate(order))


_TELLING = re.compile(
    r"temp|mass|weight|masse|gewicht|poids|peso|residu|°|\btga?\b|\bwt|\bt[sr]\b|\b[tTmM]\b|time|zeit|\bmg\b|%|_t\b",
    re.IGNORECASE,
)


def score_header(lines: Sequence[str]) -> float:
    """Say how sure the header makes that a table is thermogravimetric: 0.7 with mass and temperature."""
    best = 0.0
    for at, line in enumerate(lines[:400]):
        if len(line) > 2000 or line.lstrip()[:1].isdigit() or not _TELLING.search(line):
            continue
        below = lines[at + 1] if at + 1 < len(lines) else ""
        signs: list[str | None] = [sign for sign in ("\t", ";", ",") if sign in line]
        for separator in signs or [None]:
            cells = [
                c for c in (line.split(separator) if separator else re.split(r"\s{2,}|\s", line.strip())) if c
            ]
            if not 2 <= len(cells) <= 60 or max(map(len, cells)) > 60:
                continue
            units = [c for c in (below.split(separator) if separator else below.split()) if c]
            best = max(best, _score_cells(cells, units if len(units) == len(cells) else []))
        if best >= _CERTAIN:
            break
    return best


def _score_cells(cells: Sequence[str], units: Sequence[str]) -> float:
    roles: set[str] = set()
    stated = 0
    for i, cell in enumerate(cells):
        name, unit = split_header(cell)
        dimension = unit_of(unit or (units[i] if units else ""))[0]
        role = classify(name, dimension)
        roles.add(role)
        stated += dimension in ("mass", "temperature", "time") and role != "other"
    warm = any(role.endswith("temperature") for role in roles)
    if roles & {"mass", "mass_change"} and (warm or "time" in roles):
        return _CERTAIN if stated else 0.5
    if warm and roles & {"conversion", "heat"}:
        return 0.55 if stated else 0.35
    return 0.0


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    if not text:
        return 0.0
    lines = text.split("\n")
    score = score_header(lines)
    if score or not any(re.match(r"\s*[-+.]?\d", line) for line in lines):
        return score
    return 0.12  # numbers without names: read when asked for by kind, never preferred


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_generic(source.text, options), options, source, FORMAT_ID)


READER = TgaReader(
    id=FORMAT_ID,
    name="table of temperature and mass (CSV, TXT) with units in its header",
    extensions=("csv", "txt", "dat", "tsv", "asc", "prn"),
    sniff=_sniff,
    read=_read,
)
