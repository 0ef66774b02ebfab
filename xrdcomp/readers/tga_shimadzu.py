"""Shimadzu TA-60WS and LabSolutions TA text: sections in brackets, then names, units and rows.

Written from the published layout: ``[Section]`` lines, ``key<tab>value`` facts (``Weight<tab>5.123[mg]``), in
the data section a row of names (``Time  Temp  TGA  DTA``), a row of units and tab-separated numbers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from xrdcomp.readers.registry import TgaOptions, TgaReader
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.tga_blocks import mass_in_mg
from xrdcomp.readers.tga_csv import parse_generic
from xrdcomp.readers.tga_run import build_run
from xrdcomp.readers.tga_table import TgaTable, atmosphere_of, number_of
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
    table = parse_generic(text, options)
    facts = _facts(text.split("\n")[: int(table.places[0])])
    mass = next((m for k in ("weight", "sample weight") if (m := mass_in_mg(k, facts.get(k, "")))), None)
    rate = number_of(facts.get("temp rate", facts.get("rate", "")))
    metadata = dict(table.metadata)
    for key, name in (("sample name", "sample_name"), ("detector", "instrument"), ("date", "date")):
        if facts.get(key):
            metadata[name] = facts[key]
    return dataclasses.replace(
        table,
        initial_mass_mg=table.initial_mass_mg or mass,
        atmosphere=atmosphere_of(facts.get("atmosphere", facts.get("gas", ""))),
        heating_rate_k_min=table.heating_rate_k_min or (rate if rate and rate > 0 else None),
        metadata=metadata,
    )


def _facts(lines: Sequence[str]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for line in lines:
        key, mark, value = line.partition("\t")
        if mark and value.strip():
            facts.setdefault(key.strip().rstrip(":").lower(), value.strip())
    return facts


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    sections = re.findall(
        r"^\[(Header|File Info|Sample Info|Temp Program|Data|Measurement)\]", text, re.MULTILINE
    )
    if _NAMES.search(text) and sections:
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
