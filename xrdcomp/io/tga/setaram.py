"""Setaram text exports (Calisto, Setsoft): one row of names with units, furnace and sample temperature, TG in mg.

TG is often the change of mass since the start; the sample mass then comes from the header or from the user.
"""

from __future__ import annotations

import re

from xrdcomp.data import TgaRun
from xrdcomp.io.registry import TgaOptions, TgaReader
from xrdcomp.io.runs import build_run
from xrdcomp.io.source import SourceFile
from xrdcomp.io.tga.table import parse_generic, score_header

SETARAM_ID = "setaram"
_FURNACE = re.compile(r"furnace temperature|température (du )?four|temperature four", re.IGNORECASE)
_SAMPLE = re.compile(r"sample temperature|température (de l')?échantillon", re.IGNORECASE)
_SIGNAL = re.compile(r"\bTG\b|heat ?flow|\bdTG\b", re.IGNORECASE)

_NAMES = ("setaram", "calisto", "setsoft", "setsys", "labsys")


def _sniff(source: SourceFile) -> float:
    low = source.head_text.lower()
    if "furnace" in low or "four" in low:
        for line in source.head_text.split("\n"):
            if _FURNACE.search(line) and _SIGNAL.search(line):
                return 0.9 if _SAMPLE.search(line) else 0.8
    if not any(name in low for name in _NAMES):
        return 0.0
    named = re.search(rf"\b({'|'.join(_NAMES)})\b", low)
    return 0.85 if named and score_header(source.head_text.split("\n")) > 0 else 0.0


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_generic(source.text, options), options, source, SETARAM_ID)


SETARAM = TgaReader(
    id=SETARAM_ID,
    name="Setaram Calisto and Setsoft text export",
    extensions=("csv", "txt"),
    sniff=_sniff,
    read=_read,
)
