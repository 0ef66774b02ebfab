"""TA Instruments Universal Analysis text: header, ``Sig1 … Sign``, ``StartOfData``, rows with tabs.

Rows with a negative time are marks of the instrument, not measurements: ``-3`` a change of gas, ``-2`` and
``-1`` the end of a method segment or of the data. They divide the run into segments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xrdcomp.errors import ReadError
from xrdcomp.readers.registry import TgaOptions, TgaReader
from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.tga_blocks import columns_of
from xrdcomp.readers.tga_columns import split_header
from xrdcomp.readers.tga_run import build_run
from xrdcomp.readers.tga_table import TgaTable, atmosphere_of, heating_rate_of, note, number_of
from xrdcomp.readers.tga_text import Dialect, parse_rows, split_lines
from xrdcomp.types import Atmosphere, Diagnostic, FloatArray, TgaRun

BoolArray = npt.NDArray[np.bool_]

__all__ = ["READER", "parse_ta"]

FORMAT_ID = "ta_universal"
_MASS_FACTORS = {"mg": 1.0, "g": 1e3, "ug": 1e-3, "µg": 1e-3}


def parse_ta(text: str) -> TgaTable:
    """Table of a Universal Analysis text export.

    Raises
    ------
    ReadError
        No ``StartOfData``, a number of signals other than ``Nsig`` states, damaged rows.
    """
    lines = split_lines(text)
    start = next((i for i, line in enumerate(lines) if line.strip() == "StartOfData"), -1)
    if start < 0:
        msg = "there is no line StartOfData"
        raise ReadError(
            msg, place=f"line {len(lines)}", hint="The file was cut in its header; copy it again."
        )
    pairs = [line.split("\t", 1) for line in lines[:start] if "\t" in line]
    facts = {key.strip(): value.strip() for key, value in reversed(pairs)}
    signals = _signals(facts, start)
    end = start + 1
    while end < len(lines) and lines[end].strip():
        end += 1
    if end - start < 3:
        msg = f"there are {end - start - 1} rows below StartOfData"
        raise ReadError(msg, place=f"line {start + 1}", hint="The file was cut; copy it again.")
    rest = next((i for i in range(end, len(lines)) if lines[i].strip()), None)
    if rest is not None:
        msg = f"there is text after a blank line in the table: {lines[rest].strip()[:40]!r}"
        raise ReadError(
            msg, place=f"line {rest + 1}", expected="rows without gap", hint="Copy the file again."
        )
    rows = lines[start + 1 : end]
    dialect = Dialect(separator="\t", decimal="," if "," in rows[1] and "." not in rows[1] else ".")
    values = parse_rows(rows, dialect, first_line=start + 2, n_columns=len(signals))
    names, units = zip(*(split_header(signal) for signal in signals), strict=True)
    comments = [value for key, value in pairs if key.strip() in ("Xcomment", "Comment")]
    method = [value for key, value in pairs if key.strip() == "OrgMethod"]
    return _table(values, names, units, start, facts, comments, method)


def _signals(facts: dict[str, str], start: int) -> list[str]:
    signals: list[str] = []
    while f"Sig{len(signals) + 1}" in facts:
        signals.append(facts[f"Sig{len(signals) + 1}"])
    stated = number_of(facts.get("Nsig", ""))
    if not signals or (stated is not None and int(stated) != len(signals)):
        msg = f"Nsig states {facts.get('Nsig', 'nothing')!r} and {len(signals)} signals are named"
        raise ReadError(
            msg, place=f"lines 1 to {start}", expected="Sig1 to Sign", hint="Copy the file again."
        )
    return signals


def _table(
    values: FloatArray,
    names: Sequence[str],
    units: Sequence[str],
    start: int,
    facts: dict[str, str],
    comments: Sequence[str],
    method: Sequence[str],
) -> TgaTable:
    marks = _marks(values, names)
    diagnostics: list[Diagnostic] = []
    if not marks[-1]:
        text = (
            "the last row is not the instrument's mark for the end of the data; the file may have been cut."
        )
        diagnostics.append(note("TGA_CUT", text, severity="warning"))
    strange = ~marks & (values[:, _time_column(names)] < 0)
    if strange.any():
        at = int(np.argmax(strange))
        msg = f"time is {values[at, _time_column(names)]:g} in a row that is no mark of the instrument"
        raise ReadError(
            msg, place=f"line {at + start + 2}", expected="time from 0", hint="Copy the file again."
        )
    keep = np.flatnonzero(~marks)
    if len(keep) < 2:
        msg = f"there are {len(keep)} measured points"
        raise ReadError(msg, place=f"line {start + 2}", hint="The file was cut; copy it again.")
    passed = np.cumsum(marks)[keep]
    segment = np.unique(passed, return_inverse=True)[1].astype(np.int64)
    atmosphere = _atmosphere(comments, method, diagnostics)
    return TgaTable(
        columns=columns_of(names, units, values[keep]),
        places=(keep + start + 2).astype(np.int64),
        segment=segment,
        initial_mass_mg=_size(facts.get("Size", "")),
        atmosphere=atmosphere,
        heating_rate_k_min=_rate(method),
        metadata=_metadata(facts, comments, method),
        diagnostics=tuple(diagnostics),
    )


def _time_column(names: Sequence[str]) -> int:
    found = [i for i, name in enumerate(names) if name.lower().startswith("time")]
    if not found:
        msg = f"no signal is the time; they are {', '.join(names)}"
        raise ReadError(msg, expected="a signal Time", hint="Export the run with its time.")
    return found[0]


def _marks(values: FloatArray, names: Sequence[str]) -> BoolArray:
    """Rows that are marks: a whole negative number as time, zero in the last signals."""
    clock = values[:, _time_column(names)]
    marks: BoolArray = (clock < 0) & (clock == np.round(clock)) & (clock >= -20) & (values[:, -1] == 0)
    return marks


def _size(text: str) -> float | None:
    value = number_of(text)
    unit = text.split()[-1] if text.split() else ""
    return value * _MASS_FACTORS[unit] if value is not None and value > 0 and unit in _MASS_FACTORS else None


def _atmosphere(comments: Sequence[str], method: Sequence[str], diagnostics: list[Diagnostic]) -> Atmosphere:
    """Gas at the sample, followed through the gases that the method selects; the balance gas never counts."""
    pairs = [
        re.findall(r"[Gg]as ?(\d): *([^,;]*?)(?= *(?:[Gg]as ?\d|$|,|;))", comment[:300])
        for comment in comments
    ]
    numbered: dict[str, str] = dict(pair for found in pairs for pair in found)
    selected = dict.fromkeys(re.findall(r"[Ss]elect [Gg]as:? *(?:[Gg]as)? *(\d)", " ".join(method)))
    names = list(dict.fromkeys(numbered.get(number, "").strip() for number in selected))
    if len(names) > 1:
        listed = ", ".join(name or "not stated" for name in names)
        said = (
            f"the method selects several gases ({listed}); choose segments of one gas, or state atmosphere."
        )
        diagnostics.append(note("TGA_ATMOSPHERE_CHANGES", said, severity="warning", gases=listed))
        return "unknown"
    if names and names[0]:
        return atmosphere_of(names[0])
    sample = [c for c in comments if re.search(r"sample gas|furnace gas", c, re.IGNORECASE)]
    return atmosphere_of(" ".join(sample) if sample else numbered.get("1", ""))


def _rate(method: Sequence[str]) -> float | None:
    rates = {heating_rate_of(step) for step in method if re.search(r"\bramp\b", step, re.IGNORECASE)} - {None}
    return rates.pop() if len(rates) == 1 else None


def _metadata(
    facts: dict[str, str], comments: Sequence[str], method: Sequence[str]
) -> dict[str, str | float | int | bool]:
    keys = {"Sample": "sample_name", "Instrument": "instrument", "Operator": "operator", "Date": "date"}
    found: dict[str, str | float | int | bool] = {
        name: facts[key] for key, name in keys.items() if facts.get(key)
    }
    if method:
        found["program"] = " | ".join(method)
    gases = [comment for comment in comments if "gas" in comment.lower()]
    if gases:
        found["gases"] = " | ".join(gases)
    return found


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    if not re.search(r"^Sig1\t", text, re.MULTILINE):
        return 0.0
    return 1.0 if "StartOfData" in text or re.search(r"^Nsig\t", text, re.MULTILINE) else 0.6


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_ta(source.text), options, source, FORMAT_ID)


READER = TgaReader(
    id=FORMAT_ID,
    name="TA Instruments Universal Analysis text (StartOfData)",
    extensions=("txt",),
    sniff=_sniff,
    read=_read,
)
