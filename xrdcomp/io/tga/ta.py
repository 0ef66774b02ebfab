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
from dataclasses import replace

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, atmosphere_of, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import (
    agreed,
    classify,
    header_facts,
    heating_rate_of,
    mass_in_mg,
    named_facts,
    number_of,
    split_header,
    unit_of,
)
from xrdcomp.io.registry import TgaOptions, has_all
from xrdcomp.io.runs import ATMOSPHERE_CHANGES, CUT, TgaTable, rows_until_blank, table_notes, tga_reader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import WAS_CUT, Dialect, line_error, numbered, parse_parts, read_table, split_lines

# fmt: off
STEPS_MISSING = message_kind("TGA_STEPS_MISSING", "warning",
    "The procedure lists more steps than the file contains: it was exported in part, or cut.")
# fmt: on

# Universal Analysis

_ROW = re.compile(r"\s*[-+]?[.,]?\d[\d.,]*(?:[eE][-+]?\d+)?\s+[-+]?[.,]?\d")
_METADATA = {"Sample": "sample_name", "Instrument": "instrument", "Operator": "operator", "Date": "date"}


@tga_reader(
    "ta_universal", "TA Instruments Universal Analysis text (StartOfData)", "txt",
    has_all((1.0, ("Sig1", r"^Sig1\t", r"StartOfData|^Nsig\t")), (0.6, ("Sig1", r"^Sig1\t"))),
)  # fmt: skip
def ta_universal(source: SourceFile, _: TgaOptions) -> TgaTable:
    """Table of the rows below ``StartOfData`` that are no marks."""
    lines = split_lines(source.text)
    # StartOfData ends the header; without it, the first row of numbers below the declared signals does
    start = next((i for i, line in enumerate(lines) if line.strip() == "StartOfData"), -1)
    marked = start >= 0
    if not marked:
        declared = next((i for i in range(len(lines) - 1, -1, -1) if re.match(r"Sig\d+\t", lines[i])), len(lines))
        start = next((i for i in range(declared + 1, len(lines)) if _ROW.match(lines[i])), 0) - 1
    if start < 0:
        hint = "The file was cut in its header; copy it again."
        raise line_error(len(lines), "there is no line StartOfData and no row of numbers", hint=hint)
    parted = (line.partition("\t") for line in lines[: start + 1])
    pairs = [(key.strip(), value.strip()) for key, mark, value in parted if mark]
    facts = dict(reversed(pairs))  # the first of equal keys counts
    signals: list[tuple[str, str]] = []
    while f"Sig{len(signals) + 1}" in facts:
        signals.append(split_header(facts[f"Sig{len(signals) + 1}"]))
    stated = number_of(facts.get("Nsig", ""))
    if not signals or (stated is not None and int(stated) != len(signals)):
        msg = f"Nsig states {facts.get('Nsig', 'nothing')!r} and {len(signals)} signals are named"
        raise ReadError(msg, f"lines 1 to {start}", "Sig1 to Sign", "Copy the file again.")
    rows = rows_until_blank(lines, start + 1, len(lines))
    if len(rows) < 2:
        raise line_error(start + 1, f"there are {len(rows)} rows below StartOfData", hint=WAS_CUT)
    separator = "\t" if "\t" in rows[1].strip() else None
    dialect = Dialect(separator=separator, decimal="," if "," in rows[1] and "." not in rows[1] else ".")
    names, units = zip(*signals, strict=True)
    table = parse_parts([(start + 2, rows)], dialect, names, units)
    at_time = next((i for i, pair in enumerate(signals) if classify(pair[0], unit_of(pair[1])[0]) == "time"), -1)
    if at_time < 0:
        msg = f"no signal is the time; they are {', '.join(names)}"
        raise ReadError(msg, expected="a signal Time", hint="Export the run with its time.")
    clock = table.values[:, at_time]
    # a mark has a whole negative number as time and zero in the last signal
    marks = (clock < 0) & (clock == np.round(clock)) & (clock >= -20) & (table.values[:, -1] == 0)
    strange = ~marks & (clock < 0)
    if strange.any():
        at = int(np.argmax(strange))
        msg = f"time is {clock[at]:g} in a row that is no mark of the instrument"
        raise line_error(at + start + 2, msg, "time from 0")
    if len(clock) - marks.sum() < 2:
        raise line_error(start + 2, f"there are {len(clock) - marks.sum()} measured points", hint=WAS_CUT)
    messages: list[Diagnostic] = []
    if not marks[-1] and marked:
        said = "the last row is not the instrument's mark for the end of the data"
        messages.append(CUT(f"{said}; the file may have been cut."))
    messages += [] if marked else table_notes(source.text, table)
    switched = np.flatnonzero(marks & (clock == -3.0)).tolist()  # rows that mark a change of gas
    numbers = [f"{table.values[row, 1]:.0f}" for row in switched]
    before = np.cumsum(~marks) - ~marks  # measured rows before each row
    table = replace(table, values=table.values[~marks], lines=table.lines[~marks])
    comments = [value for key, value in pairs if key in ("Xcomment", "Comment")]
    method = [value for key, value in pairs if key == "OrgMethod"]
    # the gas at the sample is followed through those that the method selects; the balance gas never counts
    channels: dict[str, str] = {}
    for comment in comments:
        channels |= dict(re.findall(r"[Gg]as ?(\d): *([^,;]*?)(?= *(?:[Gg]as ?\d|$|,|;))", comment[:300]))
    selected = re.findall(r"[Ss]elect [Gg]as:? *(?:[Gg]as)? *(\d)", " ".join(method))
    gases = [channels.get(number, "").strip() for number in selected]
    sample = [c for c in comments if re.search(r"sample gas|furnace gas", c, re.IGNORECASE)]
    named = gases[0] if gases and gases[0] else " ".join(sample) if sample else channels.get("1", "")
    # marks follow the selections of the method, and hold the number of the channel where the method is left out
    opened = gases if len(gases) == len(switched) else [channels.get(number, "") for number in numbers]
    gas_rows = [(int(before[row]), atmosphere_of(gas)) for row, gas in zip(switched, opened, strict=True) if channels]
    if len(set(gases)) > 1 and len(gas_rows) < len(gases):
        listed = ", ".join(name or "not stated" for name in dict.fromkeys(gases))
        text = f"the method selects several gases ({listed}) and the file does not mark where they change; state them."
        messages.append(replace(ATMOSPHERE_CHANGES(text, gases=listed), severity="warning"))
        gas_rows = []
    ramps = (step for step in method if re.search(r"\bramp\b", step, re.IGNORECASE))
    mass = mass_in_mg("", facts.get("Size", ""))
    remarks = [comment for comment in comments if "gas" in comment.lower()]
    return TgaTable(
        columns=table.columns, lines=table.lines, segment=numbered(np.cumsum(marks)[~marks]),
        initial_mass_mg=mass if mass is not None and mass > 0 else None,
        atmosphere=atmosphere_of(named), gas_rows=tuple(gas_rows),
        heating_rate_k_min=agreed(map(heating_rate_of, ramps)),
        metadata=named_facts(facts, _METADATA, program=method, gases=remarks), messages=tuple(messages),
    )  # fmt: skip


# TRIOS

_STEPS = re.compile(r"ramp|isothermal|jump|equilibrate|hold", re.IGNORECASE)
_TRIOS_FACT = re.compile(r'[\s"]*(?P<key>[^\t]*?)"*\s*\t[\s"]*(?P<value>.*?)[\s"]*$')
_TRIOS_METADATA = {"sample name": "sample_name", "instrument name": "instrument", "rundate": "date"}


def parse_trios(text: str) -> TgaTable:
    """Table of a TRIOS export, one segment per step."""
    lines = split_lines(text)
    table = read_table(lines)
    head = lines[: table.header_lines[0] - 1]
    tabbed = (line if "\t" in line else line.replace(",", "\t", 1) for line in head)
    facts = header_facts(tabbed, _TRIOS_FACT, fold=True)
    procedure = facts.get("proceduresegments", "")
    # the name of a step is the line above its header, below ``[step]``
    above = (lines[at - 2].strip().strip(",;\t").strip('"') if at > 1 else "" for at in table.header_lines)
    names = [name if _STEPS.search(name) and "\t" not in name else "" for name in above]
    # the name of a step states a rate; it counts where the temperature of the step rises
    warmth = next((c.values for c in table.columns if c.role.endswith("temperature")), None)
    rates: list[float | None] = []
    for number, name in enumerate(names):
        values = table.values[:0] if warmth is None else warmth[(table.part == number) & np.isfinite(warmth)]
        rises = len(values) > 1 and values[-1] > values[0]
        rates.append(heating_rate_of(name) if "ramp" in name.lower() and rises else None)
    messages = table_notes(text, table)
    # the gas at the sample is that of the channel selected before a recorded step, or of a whole blend
    gas_rows: list[tuple[int, Atmosphere]] = []
    recorded, recording = 0, True
    gas: Atmosphere = "unknown"
    for step in (part.strip() for part in procedure.split(";")):
        low = step.lower()
        recording = low.startswith("data on") or (recording and not low.startswith("data off"))
        if selected := re.search(r"select gas:? *(?:gas)? *(\d)", low):
            gas = atmosphere_of(facts.get(f"gas {selected[1]}", ""))
        elif "blend" in low:
            blend = re.search(r"blend channel [ab] \(([^)]*)\) at 100%", low)
            gas = atmosphere_of(blend[1]) if blend else "unknown"
        elif recording and re.match(r"ramp|isothermal", low):
            gas_rows.append((int(np.searchsorted(table.part, recorded)), gas))
            recorded += 1
    if recorded > len(names):
        said = f"the procedure records {recorded} steps and the file holds {len(names)}; "
        said += "it was exported in part, or cut."
        messages.append(STEPS_MISSING(said, procedure=recorded, file=len(names)))
    elif any(line.strip() == "[step]" for line in lines[int(table.lines[-1]) :]):
        said = "the file announces a further step at its end, and its rows are missing; it may have been cut."
        messages.append(STEPS_MISSING(said, file=len(names)))
    gases = " ".join(value for key, value in facts.items() if re.match(r"gas ?\d", key)) or procedure
    atmosphere = gas_rows[0][1] if gas_rows else gas
    if recorded not in (0, len(names)) and len({name for _, name in gas_rows}) > 1:
        text = f"the procedure changes the gas within {recorded} steps, of which the file holds {len(names)}; "
        messages.append(replace(ATMOSPHERE_CHANGES(f"{text}state the gas."), severity="warning"))
        atmosphere, gas_rows = "unknown", []
    program = [name for name in names if name]
    return TgaTable(
        columns=table.columns, lines=table.lines, segment=table.part if len(names) > 1 else None,
        initial_mass_mg=mass_in_mg("", facts.get("sample mass", "")), atmosphere=atmosphere, gas_rows=tuple(gas_rows),
        heating_rate_k_min=agreed(rates),
        metadata=named_facts(facts, _TRIOS_METADATA, program=program, gases=[gases[:500]] if gases else []),
        messages=tuple(messages),
    )  # fmt: skip


def _sniff_trios(source: SourceFile) -> float:
    if re.search(r"^\"?(proceduresegments|trios version)\b", source.head_text.lower(), re.MULTILINE):
        return 1.0
    return 0.95 if "\n[step]" in f"\n{source.head_text}" or b"\n[step]" in source.data else 0.0


@tga_reader("ta_trios", "TA Instruments TRIOS text or CSV export", "txt csv", _sniff_trios)
def ta_trios(source: SourceFile, _: TgaOptions) -> TgaTable:
    """Table of a text export."""
    return parse_trios(source.text)
