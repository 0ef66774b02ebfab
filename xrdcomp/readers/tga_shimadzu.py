"""Shimadzu TA-60WS and LabSolutions TA text: sections in brackets, then names, units and rows.

Written from the published layout: ``[Section]`` lines, facts (``Sample Weight:<tab>5.123[mg]``), rows
``rate<tab>hold temperature<tab>hold time`` below ``[Temp Program]``; below ``[Data]`` a row of names
(``Time  Temp  TGA  DTA``), a row of units and tab-separated numbers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from xrdcomp.readers.registry import TgaOptions, TgaReader
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.tga_blocks import header_facts, mass_in_mg
from xrdcomp.readers.tga_csv import parse_generic
from xrdcomp.readers.tga_run import build_run
from xrdcomp.readers.tga_table import TgaTable, atmosphere_of, number_of
from xrdcomp.readers.tga_text import split_lines
from xrdcomp.types import TgaRun

__all__ = ["READER", "parse_shimadzu"]

FORMAT_ID = "shimadzu_text"
_NAMES = re.compile(r"shimadzu|\bTA-?60|\bDTG-?60|\bTGA-?5[01]\b|LabSolutions TA", re.IGNORECASE)


def parse_shimadzu(text: str, options: TgaOptions) -> TgaTable:
    """Table of a Shimadzu text export.

    Raises
    ------
    ReadError
        As for any table with names and units.
    """
    lines = split_lines(text)
    data = next((i for i, line in enumerate(lines) if line.strip() == "[Data]"), -1)
    table = parse_generic("\n".join([""] * (data + 1) + lines[data + 1 :]), options)
    facts = header_facts(lines[: data + 1])
    mass = next((m for k in ("sample weight", "weight") if (m := mass_in_mg(k, facts.get(k, "")))), None)
    metadata = dict(table.metadata)
    for key, name in (("sample name", "sample_name"), ("detector", "instrument"), ("date", "date")):
        if facts.get(key):
            metadata[name] = facts[key]
    rates = _program_rates(lines[: data + 1])
    return dataclasses.replace(
        table,
        initial_mass_mg=table.initial_mass_mg or mass,
        atmosphere=atmosphere_of(facts.get("atmosphere", facts.get("gas", ""))),
        heating_rate_k_min=rates.pop() if len(rates) == 1 else None,
        metadata=metadata,
    )


def _program_rates(lines: Sequence[str]) -> set[float]:
    """First numbers of the rows below ``[Temp Program]``: rate, hold temperature, hold time."""
    rates: set[float] = set()
    inside = False
    for line in lines:
        if line.startswith("["):
            inside = line.strip() == "[Temp Program]"
        cells = line.split("\t")
        if inside and len(cells) > 2 and (rate := number_of(cells[0])) is not None and rate > 0:
            rates.add(rate)
    return rates


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    if "\n[" not in text and not text.startswith("["):
        return 0.0
    sections = re.findall(
        r"^\[(Header|File Info|Sample Info|Temp Program|Data|Measurement)\]", text, re.MULTILINE
    )
    if sections and _NAMES.search(text):
        return 0.95
    return 0.85 if "Data" in sections and re.search(r"^Time\tTemp", text, re.MULTILINE) else 0.0


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_shimadzu(source.text, options), options, source, FORMAT_ID)


READER = TgaReader(
    id=FORMAT_ID,
    name="Shimadzu TA-60WS and LabSolutions TA text export",
    extensions=("txt",),
    sniff=_sniff,
    read=_read,
    verified=False,
)
