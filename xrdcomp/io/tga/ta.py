"""TA Instruments: Universal Analysis text, and TRIOS exports.

Universal Analysis: header, ``Sig1 … Sign``, ``StartOfData``, rows with tabs. Rows with a negative time are marks of the
instrument, not measurements: ``-3`` a change of gas, ``-2`` and ``-1`` the end of a method segment or of the data. They
divide the run into segments.

TRIOS (text, CSV, the sheets of a workbook put one below the other): facts (``Filename``, ``proceduresegments`` …), then
for every step of the procedure ``[step]``, its name, a row of names, a row of units and the numbers. The first
``[step]`` and the facts may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import (
    Column,
    agreed,
    atmosphere_of,
    columns_of,
    heating_rate_of,
    mass_in_mg,
    named_facts,
    number_of,
    split_header,
)
from xrdcomp.io.registry import TgaOptions, has_all
from xrdcomp.io.runs import (
    ATMOSPHERE_CHANGES,
    CUT,
    TgaTable,
    numbered,
    rows_until_blank,
    table_notes,
    tga_reader,
)
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import Dialect, parse_rows, read_table, split_lines
from xrdcomp.units import BoolArray

STEPS_MISSING = message_kind(
    "TGA_STEPS_MISSING",
    "warning",
    "The procedure records more steps than the file holds: exported in part, or cut.",
)

# Universal Analysis

_METADATA = {"Sample": "sample_name", "Instrument": "instrument", "Operator": "operator", "Date": "date"}


def _parse_universal(source: SourceFile, _: TgaOptions) -> TgaTable:
    lines = split_lines(source.text)
    start = next((i for i, line in enumerate(lines) if line.strip() == "StartOfData"), -1)
    if start < 0:
        msg = "there is no line StartOfData"
        hint = "The file was cut in its header; copy it again."
        raise ReadError(msg, place=f"line {len(lines)}", hint=hint)
    pairs = [
        (key.strip(), value.strip())
        for key, mark, value in (x.partition("\t") for x in lines[:start])
        if mark
    ]
    facts = dict(reversed(pairs))  # the first of equal keys counts
    signals: list[str] = []
    while f"Sig{len(signals) + 1}" in facts:
        signals.append(facts[f"Sig{len(signals) + 1}"])
    stated = number_of(facts.get("Nsig", ""))
    if not signals or (stated is not None and int(stated) != len(signals)):
        msg = f"Nsig states {facts.get('Nsig', 'nothing')!r} and {len(signals)} signals are named"
        place = f"lines 1 to {start}"
        raise ReadError(msg, place=place, expected="Sig1 to Sign", hint="Copy the file again.")
    rows = rows_until_blank(lines, start + 1, len(lines))
    if len(rows) < 2:
        msg = f"there are {len(rows)} rows below StartOfData"
        raise ReadError(msg, place=f"line {start + 1}", hint="The file was cut; copy it again.")
    dialect = Dialect(separator="\t", decimal="," if "," in rows[1] and "." not in rows[1] else ".")
    values = parse_rows(rows, dialect, first_line=start + 2, n_columns=len(signals))
    names, units = zip(*(split_header(signal) for signal in signals), strict=True)
    at_time = next((i for i, name in enumerate(names) if name.lower().startswith("time")), -1)
    if at_time < 0:
        msg = f"no signal is the time; they are {', '.join(names)}"
        raise ReadError(msg, expected="a signal Time", hint="Export the run with its time.")
    clock = values[:, at_time]
    # a mark has a whole negative number as time and zero in the last signal
    marks = (clock < 0) & (clock == np.round(clock)) & (clock >= -20) & (values[:, -1] == 0)
    strange = ~marks & (clock < 0)
    if strange.any():
        at = int(np.argmax(strange))
        msg = f"time is {clock[at]:g} in a row that is no mark of the instrument"
        place = f"line {at + start + 2}"
        raise ReadError(msg, place=place, expected="time from 0", hint="Copy the file again.")
    keep = np.flatnonzero(~marks)
    if len(keep) < 2:
        msg = f"there are {len(keep)} measured points"
        raise ReadError(msg, place=f"line {start + 2}", hint="The file was cut; copy it again.")
    messages: list[Diagnostic] = []
    if not marks[-1]:
        text = (
            "the last row is not the instrument's mark for the end of the data; the file may have been cut."
        )
        messages.append(CUT(text))
    comments = [value for key, value in pairs if key in ("Xcomment", "Comment")]
    method = [value for key, value in pairs if key == "OrgMethod"]
    gases = [comment for comment in comments if "gas" in comment.lower()]
    mass = mass_in_mg("", facts.get("Size", ""))
    return TgaTable(
        columns=columns_of(names, units, values[keep]),
        lines=(keep + start + 2).astype(np.int64),
        segment=numbered(np.cumsum(marks)[keep]),
        initial_mass_mg=mass if mass is not None and mass > 0 else None,
        atmosphere=_selected_gas(comments, method, messages),
        heating_rate_k_min=agreed(
            heating_rate_of(step) for step in method if re.search(r"\bramp\b", step, re.IGNORECASE)
        ),
        metadata=named_facts(facts, _METADATA, program=method, gases=gases),
        messages=tuple(messages),
    )


def _selected_gas(comments: Sequence[str], method: Sequence[str], messages: list[Diagnostic]) -> Atmosphere:
    """Gas at the sample, followed through the gases that the method selects; the balance gas never counts."""
    numbered_gases: dict[str, str] = {}
    for comment in comments:
        numbered_gases |= dict(
            re.findall(r"[Gg]as ?(\d): *([^,;]*?)(?= *(?:[Gg]as ?\d|$|,|;))", comment[:300])
        )
    selected = dict.fromkeys(re.findall(r"[Ss]elect [Gg]as:? *(?:[Gg]as)? *(\d)", " ".join(method)))
    names = list(dict.fromkeys(numbered_gases.get(number, "").strip() for number in selected))
    if len(names) > 1:
        listed = ", ".join(name or "not stated" for name in names)
        text = (
            f"the method selects several gases ({listed}); choose segments of one gas, or state atmosphere."
        )
        messages.append(ATMOSPHERE_CHANGES(text, gases=listed))
        return "unknown"
    if names and names[0]:
        return atmosphere_of(names[0])
    sample = [c for c in comments if re.search(r"sample gas|furnace gas", c, re.IGNORECASE)]
    return atmosphere_of(" ".join(sample) if sample else numbered_gases.get("1", ""))


UNIVERSAL_ANALYSIS = tga_reader(
    "ta_universal",
    "TA Instruments Universal Analysis text (StartOfData)",
    "txt",
    has_all((1.0, ("Sig1", r"^Sig1\t", r"StartOfData|^Nsig\t")), (0.6, ("Sig1", r"^Sig1\t"))),
    _parse_universal,
)

# TRIOS

_STEPS = re.compile(r"ramp|isothermal|jump|equilibrate|hold", re.IGNORECASE)
_TRIOS_METADATA = {"sample name": "sample_name", "instrument name": "instrument", "rundate": "date"}


def parse_trios(text: str) -> TgaTable:
    """Table of a TRIOS export, one segment per step.

    Raises
    ------
    ReadError
        No table, damaged rows, steps with different columns.
    """
    lines = split_lines(text)
    table = read_table(lines)
    facts: dict[str, str] = {}
    for line in lines[: table.header_lines[0] - 1]:
        key, mark, value = line.partition("\t" if "\t" in line else ",")
        if mark and value.strip():
            facts.setdefault(key.strip().strip('"').lower(), value.strip().strip('"'))
    procedure = facts.get("proceduresegments", "")
    # the name of a step is the line above its header, below ``[step]``
    above = (
        lines[line - 2].strip().strip(",;\t").strip('"') if line > 1 else "" for line in table.header_lines
    )
    names = [name if _STEPS.search(name) and "\t" not in name else "" for name in above]
    columns = columns_of(table.names, table.units, table.values)
    gases = " ".join(value for key, value in facts.items() if re.match(r"gas ?\d", key)) or procedure
    program = [name for name in names if name]
    missing = _missing_steps(procedure, len(names))
    if not missing and any(line.strip() == "[step]" for line in lines[int(table.lines[-1]) :]):
        said = "the file announces a further step at its end, and its rows are missing; it may have been cut."
        missing = [STEPS_MISSING(said, file=len(names))]
    return TgaTable(
        columns=columns,
        lines=table.lines,
        segment=table.part if len(names) > 1 else None,
        initial_mass_mg=mass_in_mg("", facts.get("sample mass", "")),
        atmosphere=_procedure_gas(facts, procedure),
        heating_rate_k_min=agreed(
            _ramp_rate(columns, table.part == number, name) for number, name in enumerate(names)
        ),
        metadata=named_facts(facts, _TRIOS_METADATA, program=program, gases=[gases[:500]] if gases else []),
        messages=(*table_notes(text, table), *missing),
    )


def _ramp_rate(columns: Sequence[Column], inside: BoolArray, name: str) -> float | None:
    """Rate in K/min that the name of a step states, where its temperature rises."""
    column = next((c for c in columns if c.role.endswith("temperature")), None)
    if column is None or "ramp" not in name.lower():
        return None
    values = column.values[inside]
    values = values[np.isfinite(values)]
    return heating_rate_of(name) if len(values) > 1 and values[-1] > values[0] else None


def _missing_steps(procedure: str, found: int) -> list[Diagnostic]:
    """Whether the procedure has more recorded steps than the file."""
    recorded, recording = 0, True
    for part in procedure.split(";"):
        step = part.strip().lower()
        if step.startswith(("data off", "data on")):
            recording = step.startswith("data on")
        recorded += recording and bool(re.match(r"ramp|isothermal", step))
    if recorded <= found:
        return []
    text = (
        f"the procedure records {recorded} steps and the file holds {found}; it was exported in part, or cut."
    )
    return [STEPS_MISSING(text, procedure=recorded, file=found)]


def _procedure_gas(facts: Mapping[str, str], procedure: str) -> Atmosphere:
    """Gas at the sample, where the procedure names one: that of the selected channel, never of a blend."""
    selected = set(re.findall(r"select gas:? *(?:gas)? *(\d)", procedure.lower()))
    if len(selected) == 1:
        return atmosphere_of(facts.get(f"gas {selected.pop()}", ""))
    blends = set(re.findall(r"Blend Channel ([AB]) \(([^)]*)\) at 100%", procedure))
    if len(blends) == 1 and len(re.findall(r"Blend|Select Gas", procedure)) == 1:
        return atmosphere_of(blends.pop()[1])
    return "unknown"


def _sniff_trios(source: SourceFile) -> float:
    if re.search(r"^\"?(proceduresegments|trios version)\b", source.head_text.lower(), re.MULTILINE):
        return 1.0
    return 0.95 if "\n[step]" in f"\n{source.head_text}" or b"\n[step]" in source.data else 0.0


TRIOS = tga_reader(
    "ta_trios",
    "TA Instruments TRIOS text or CSV export",
    "txt csv",
    _sniff_trios,
    lambda source, _: parse_trios(source.text),
)
