"""TA Instruments TRIOS exports: text, CSV and the sheets of a workbook put one below the other.

Facts (``Filename``, ``proceduresegments`` …), then for every step of the procedure ``[step]``, its name, a row of
names, a row of units and the numbers. The first ``[step]`` and the facts may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from xrdcomp.readers.registry import TgaOptions, TgaReader
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.tga_blocks import columns_of, cut_note, join_blocks, mass_in_mg, other_note, read_blocks
from xrdcomp.readers.tga_columns import Column
from xrdcomp.readers.tga_run import build_run
from xrdcomp.readers.tga_table import TgaTable, atmosphere_of, heating_rate_of, note
from xrdcomp.readers.tga_text import split_lines
from xrdcomp.types import Atmosphere, Diagnostic, IntArray, TgaRun

__all__ = ["READER", "parse_trios"]

FORMAT_ID = "ta_trios"
_STEPS = re.compile(r"ramp|isothermal|jump|equilibrate|hold", re.IGNORECASE)


def parse_trios(text: str) -> TgaTable:
    """Table of a TRIOS export, one segment per step.

    Raises
    ------
    ReadError
        No table, damaged rows, steps with different columns.
    """
    lines = split_lines(text)
    blocks = read_blocks(lines)
    values, places, segment = join_blocks(blocks)
    facts = _facts(lines[: blocks[0].header_line - 1])
    names = [_step_name(lines, block.header_line - 1) for block in blocks]
    diagnostics = [*cut_note(text, blocks[-1]), *other_note(blocks[0]), *_missing_steps(facts, len(blocks))]
    program = [name for name in names if name]
    metadata: dict[str, str | float | int | bool] = {"program": " | ".join(program)} if program else {}
    for key, name in (("sample name", "sample_name"), ("instrument name", "instrument"), ("rundate", "date")):
        if facts.get(key):
            metadata[name] = facts[key]
    gases = " ".join(value for key, value in facts.items() if re.match(r"gas ?\d", key))
    if gases or "proceduresegments" in facts:
        metadata["gases"] = (gases or facts["proceduresegments"])[:500]
    columns = columns_of(blocks[0].names, blocks[0].units, values)
    rates = _heating_rates(columns, segment, names)
    return TgaTable(
        columns=columns,
        places=places,
        segment=segment if len(blocks) > 1 else None,
        initial_mass_mg=mass_in_mg("", facts.get("sample mass", "")),
        atmosphere=_atmosphere(facts),
        heating_rate_k_min=rates.pop() if len(rates) == 1 else None,
        metadata=metadata,
        diagnostics=tuple(diagnostics),
    )


def _heating_rates(columns: Sequence[Column], segment: IntArray, names: Sequence[str]) -> set[float]:
    """Rates that the names of the steps state, of those that heat."""
    column = next((c for c in columns if c.role.endswith("temperature")), None)
    rates: set[float] = set()
    for number, name in enumerate(names):
        rate = heating_rate_of(name) if "ramp" in name.lower() else None
        if rate is None or column is None:
            continue
        inside = column.values[segment == number]
        inside = inside[np.isfinite(inside)]
        if len(inside) > 1 and inside[-1] > inside[0]:
            rates.add(rate)
    return rates


def _facts(lines: Sequence[str]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for line in lines:
        key, mark, value = line.partition("\t" if "\t" in line else ",")
        if mark and value.strip():
            facts.setdefault(key.strip().strip('"').lower(), value.strip().strip('"'))
    return facts


def _step_name(lines: Sequence[str], header: int) -> str:
    """Name of a step: the line above its header, below ``[step]``."""
    if header < 1:
        return ""
    name = lines[header - 1].strip().strip(",;\t").strip('"')
    return name if _STEPS.search(name) and "\t" not in name else ""


def _missing_steps(facts: Mapping[str, str], found: int) -> list[Diagnostic]:
    """Say so where the procedure has more recorded steps than the file: cut, or exported in part."""
    procedure = facts.get("proceduresegments", "")
    if not procedure:
        return []
    recorded, recording = 0, True
    for part in procedure.split(";"):
        low = part.strip().lower()
        recording = False if low.startswith("data off") else True if low.startswith("data on") else recording
        recorded += recording and bool(re.match(r"ramp|isothermal", low))
    if recorded <= found:
        return []
    text = (
        f"the procedure records {recorded} steps and the file holds {found}; it was exported in part, or cut."
    )
    return [note("TGA_STEPS_MISSING", text, severity="warning", procedure=recorded, file=found)]


def _atmosphere(facts: Mapping[str, str]) -> Atmosphere:
    """Gas at the sample, where the procedure names one: that of the selected channel, never of a blend."""
    procedure = facts.get("proceduresegments", "")
    selected = set(re.findall(r"select gas:? *(?:gas)? *(\d)", procedure.lower()))
    if len(selected) == 1:
        return atmosphere_of(facts.get(f"gas {selected.pop()}", ""))
    blends = set(re.findall(r"Blend Channel ([AB]) \(([^)]*)\) at 100%", procedure))
    if len(blends) == 1 and len(re.findall(r"Blend|Select Gas", procedure)) == 1:
        return atmosphere_of(blends.pop()[1])
    return "unknown"


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    low = text.lower()
    named = "proceduresegments" in low or "trios version" in low
    if named and re.search(r"^\"?(proceduresegments|trios version)\b", low, re.MULTILINE):
        return 1.0
    if "\n[step]" in f"\n{text}" or b"\n[step]" in source.data:
        return 0.95
    return 0.0


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_trios(source.text), options, source, FORMAT_ID)


READER = TgaReader(
    id=FORMAT_ID,
    name="TA Instruments TRIOS text or CSV export",
    extensions=("txt", "csv"),
    sniff=_sniff,
    read=_read,
)
