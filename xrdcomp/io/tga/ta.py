"""TA Instruments TRIOS exports: text, CSV and the sheets of a workbook put one below the other.

Facts (``Filename``, ``proceduresegments`` …), then for every step of the procedure ``[step]``, its name, a row of
names, a row of units and the numbers. The first ``[step]`` and the facts may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, TgaRun
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import (
    Column,
    TgaTable,
    atmosphere_of,
    columns_of,
    heating_rate_of,
    mass_in_mg,
    note,
    number_of,
    split_header,
)
from xrdcomp.io.registry import TgaOptions, TgaReader
from xrdcomp.io.runs import build_run, table_notes
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import Dialect, parse_rows, read_table, split_lines
from xrdcomp.units import BoolArray, FloatArray, IntArray

# ------------ TA Instruments Universal Analysis text: header, ``Sig1 … Sign``, ``StartOfData``, rows with
# tabs.
# Rows with a negative time are marks of the instrument, not measurements: ``-3`` a change of gas, ``-2`` and
# ``-1`` the end of a method segment or of the data. They divide the run into segments.

UNIVERSAL_ANALYSIS_ID = "ta_universal"
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
    messages: list[Diagnostic] = []
    if not marks[-1]:
        text = (
            "the last row is not the instrument's mark for the end of the data; the file may have been cut."
        )
        messages.append(note("TGA_CUT", text, severity="warning"))
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
    atmosphere = _atmosphere(comments, method, messages)
    return TgaTable(
        columns=columns_of(names, units, values[keep]),
        places=(keep + start + 2).astype(np.int64),
        segment=segment,
        initial_mass_mg=_size(facts.get("Size", "")),
        atmosphere=atmosphere,
        heating_rate_k_min=_rate(method),
        metadata=_metadata(facts, comments, method),
        messages=tuple(messages),
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


def _atmosphere(comments: Sequence[str], method: Sequence[str], messages: list[Diagnostic]) -> Atmosphere:
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
        messages.append(note("TGA_ATMOSPHERE_CHANGES", said, severity="warning", gases=listed))
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
    return build_run(parse_ta(source.text), options, source, UNIVERSAL_ANALYSIS_ID)


UNIVERSAL_ANALYSIS = TgaReader(
    id=UNIVERSAL_ANALYSIS_ID,
    name="TA Instruments Universal Analysis text (StartOfData)",
    extensions=("txt",),
    sniff=_sniff,
    read=_read,
)


# ------------ TA Instruments TRIOS exports: text, CSV and the sheets of a workbook put one below the other.
# Facts (``Filename``, ``proceduresegments`` …), then for every step of the procedure ``[step]``, its name, a row of
# names, a row of units and the numbers. The first ``[step]`` and the facts may be missing.

TRIOS_ID = "ta_trios"
_STEPS = re.compile(r"ramp|isothermal|jump|equilibrate|hold", re.IGNORECASE)


def parse_trios(text: str) -> TgaTable:
    """Table of a TRIOS export, one segment per step.

    Raises
    ------
    ReadError
        No table, damaged rows, steps with different columns.
    """
    lines = split_lines(text)
    table = read_table(lines)
    facts = _facts(lines[: table.header_lines[0] - 1])
    names = [_step_name(lines, line - 1) for line in table.header_lines]
    messages = [*table_notes(text, table), *_missing_steps(facts, len(names))]
    program = [name for name in names if name]
    metadata: dict[str, str | float | int | bool] = {"program": " | ".join(program)} if program else {}
    for key, name in (("sample name", "sample_name"), ("instrument name", "instrument"), ("rundate", "date")):
        if facts.get(key):
            metadata[name] = facts[key]
    gases = " ".join(value for key, value in facts.items() if re.match(r"gas ?\d", key))
    if gases or "proceduresegments" in facts:
        metadata["gases"] = (gases or facts["proceduresegments"])[:500]
    columns = columns_of(table.names, table.units, table.values)
    rates = _heating_rates(columns, table.part, names)
    return TgaTable(
        columns=columns,
        places=table.lines,
        segment=table.part if len(names) > 1 else None,
        initial_mass_mg=mass_in_mg("", facts.get("sample mass", "")),
        atmosphere=_trios_atmosphere(facts),
        heating_rate_k_min=rates.pop() if len(rates) == 1 else None,
        metadata=metadata,
        messages=tuple(messages),
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


def _trios_atmosphere(facts: Mapping[str, str]) -> Atmosphere:
    """Gas at the sample, where the procedure names one: that of the selected channel, never of a blend."""
    procedure = facts.get("proceduresegments", "")
    selected = set(re.findall(r"select gas:? *(?:gas)? *(\d)", procedure.lower()))
    if len(selected) == 1:
        return atmosphere_of(facts.get(f"gas {selected.pop()}", ""))
    blends = set(re.findall(r"Blend Channel ([AB]) \(([^)]*)\) at 100%", procedure))
    if len(blends) == 1 and len(re.findall(r"Blend|Select Gas", procedure)) == 1:
        return atmosphere_of(blends.pop()[1])
    return "unknown"


def _trios_sniff(source: SourceFile) -> float:
    text = source.head_text
    low = text.lower()
    named = "proceduresegments" in low or "trios version" in low
    if named and re.search(r"^\"?(proceduresegments|trios version)\b", low, re.MULTILINE):
        return 1.0
    if "\n[step]" in f"\n{text}" or b"\n[step]" in source.data:
        return 0.95
    return 0.0


def _trios_read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_trios(source.text), options, source, TRIOS_ID)


TRIOS = TgaReader(
    id=TRIOS_ID,
    name="TA Instruments TRIOS text or CSV export",
    extensions=("txt", "csv"),
    sniff=_trios_sniff,
    read=_trios_read,
)
