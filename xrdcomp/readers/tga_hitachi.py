"""Hitachi (SII, Seiko EXSTAR, NEXTA) TG/DTA text: facts, then names, units (``Cel``, ``ug``) and rows.

Written from the published layout of Muse and NEXTA TA exports; temperatures are in ``Cel``, masses in ``ug`` or
``mg``, and TG may be mass or its change since the start.
"""

from __future__ import annotations

import dataclasses
import re

from xrdcomp.readers.registry import TgaOptions, TgaReader
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.tga_blocks import header_facts, mass_in_mg
from xrdcomp.readers.tga_csv import parse_generic
from xrdcomp.readers.tga_run import build_run
from xrdcomp.readers.tga_table import TgaTable, atmosphere_of
from xrdcomp.types import TgaRun

__all__ = ["READER", "parse_hitachi"]

FORMAT_ID = "hitachi_text"
_NAMES = re.compile(r"hitachi|\bSII\b|EXSTAR|NEXTA|\bSTA7\d00|TG/?DTA ?\d{3,4}|\bMuse\b")


def parse_hitachi(text: str, options: TgaOptions) -> TgaTable:
    """Table of a Hitachi or SII text export.

    Raises
    ------
    ReadError
        As for any table with names and units.
    """
    table = parse_generic(text, options)
    facts = header_facts(text.split("\n")[: int(table.places[0])])
    keys = ("sample weight", "weight", "sample mass")
    mass = next((m for k in keys if (m := mass_in_mg(k, facts.get(k, "")))), None)
    metadata = dict(table.metadata)
    for key, name in (("module", "instrument"), ("measurement date", "date"), ("operator", "operator")):
        if facts.get(key):
            metadata[name] = facts[key]
    gas = facts.get("gas", facts.get("gas1", facts.get("atmosphere", "")))
    return dataclasses.replace(
        table,
        initial_mass_mg=table.initial_mass_mg or mass,
        atmosphere=atmosphere_of(gas),
        metadata=metadata,
    )


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    if "TG" not in text:
        return 0.0
    celsius = re.search(r"\bCel\b", text)
    if _NAMES.search(text) and re.search(r"\bTG\b", text):
        return 0.9 if celsius else 0.75
    return 0.8 if celsius and re.search(r"\bTG\b", text) and re.search(r"\bug\b", text) else 0.0


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_hitachi(source.text, options), options, source, FORMAT_ID)


READER = TgaReader(
    id=FORMAT_ID,
    name="Hitachi (SII, EXSTAR, NEXTA) TG/DTA text export",
    extensions=("txt", "csv"),
    sniff=_sniff,
    read=_read,
    verified=False,
)
