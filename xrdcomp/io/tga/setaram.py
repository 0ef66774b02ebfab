"""Setaram text exports (Calisto, Setsoft): one row of names with units, furnace and sample temperature, TG in mg.

TG is often the change of mass since the start; the sample mass then comes from the header or from the user.
"""

from __future__ import annotations

import re

from xrdcomp.io.runs import tga_reader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.tga.table import parse_table, score_header

_FURNACE = re.compile(r"furnace temperature|température (du )?four|temperature four", re.IGNORECASE)
_SAMPLE = re.compile(r"sample temperature|température (de l')?échantillon", re.IGNORECASE)
_SIGNAL = re.compile(r"\bTG\b|heat ?flow|\bdTG\b", re.IGNORECASE)
_PROGRAMS = re.compile(r"\b(setaram|calisto|setsoft|setsys|labsys)\b")


def _sniff(source: SourceFile) -> float:
    text = source.head_text.lower()
    lines = source.head_text.split("\n")
    for line in lines if "furnace" in text or "four" in text else ():
        if _FURNACE.search(line) and _SIGNAL.search(line):
            return 0.9 if _SAMPLE.search(line) else 0.8
    return 0.85 if _PROGRAMS.search(text) and score_header(lines) > 0 else 0.0


SETARAM = tga_reader(
    "setaram",
    "Setaram Calisto and Setsoft text export",
    "csv txt",
    _sniff,
    lambda source, options: parse_table(source.text, options),
)
