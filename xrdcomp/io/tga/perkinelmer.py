"""PerkinElmer Pyris text: facts, method steps, then ``1) TGA Isothermal`` parts of tab-indented rows.

The columns carry no units. The header states them: mass with ``Sample Weight``, temperature with the initial
conditions and the method, time with the method (``Hold for 20.0 min``, ``°C/min``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import (
    agreed,
    atmosphere_of,
    columns_of,
    named_facts,
    number_of,
    unit_of,
)
from xrdcomp.io.registry import TgaOptions
from xrdcomp.io.runs import ATMOSPHERE_CHANGES, TgaTable, tga_reader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import MAX_PARTS, Dialect, Table, parse_parts, split_lines
from xrdcomp.units import MG_PER_UNIT

BASELINE_NOT_SUBTRACTED = message_kind(
    "TGA_BASELINE_NOT_SUBTRACTED",
    "warning",
    "The file carries a baseline that was not subtracted from the weight.",
)
_STARTS = frozenset("0123456789-+.")
_STEP = re.compile(r"^\s*(\d+)\) (TGA|DTA|STA|DSC)\b")
_METHOD = re.compile(r"^\s*(\d+)\)\s*(Hold|Heat|Cool)\b(.*)")
_HEATS = re.compile(r"from\s+([-\d.,]+)\D+?to\s+([-\d.,]+)\D+?at\s+([-\d.,]+)")
_GAS = re.compile(r"Switch the Gas to\s+(.+?)\s+at\b", re.IGNORECASE)
_METADATA = {
    "Sample ID": "sample_name",
    "Operator ID": "operator",
    "Data Collected": "date",
    "Serial Number": "instrument",
    "Comment": "remark",
}
_MARKS = ("Sample Weight:", "Method Steps:", "Total Points in Run:", "Pre-Run Actions", "Display Weight:")


def _parse(source: SourceFile, _: TgaOptions) -> TgaTable:
    """Table with one segment per method step."""
    lines = split_lines(source.text)
    steps = [i for i, line in enumerate(lines) if ") " in line and _STEP.match(line)]
    if not steps:
        msg = "there is no part of data"
        expected = "a line such as '1) TGA Temperature Scan' with rows below"
        raise ReadError(msg, place=f"line {len(lines)}", expected=expected, hint="Copy the file again.")
    if len(steps) > MAX_PARTS:
        msg = f"there are {len(steps)} parts of data"
        raise ReadError(msg, expected=f"at most {MAX_PARTS} segments")
    head = lines[: steps[0]]
    facts: dict[str, str] = {}
    for line in head:
        key, colon, value = line.partition(":")
        if colon and value.strip():
            facts.setdefault(key.strip(), value.strip())
    names = _names(lines, steps[0])
    table = _read_parts(lines, steps, len(names))
    total = next(
        (number_of(line.partition(":")[2]) for line in head if line.startswith("Total Points")), None
    )
    if total is not None and int(total) != len(table.values):
        msg = f"the header states {int(total)} points and the file holds {len(table.values)}"
        hint = "The file was cut or edited; export it again."
        raise ReadError(msg, place=f"line {int(table.lines[-1])}", hint=hint)
    columns = columns_of(names, (), table.values)
    messages: list[Diagnostic] = []
    atmosphere = _gas_of_heating(head, messages)
    for column in columns:
        if column.name.lower().startswith("baseline") and float(np.nanmax(np.abs(column.values))) > 0:
            text = f"the file carries a baseline ({column.name}) that was not subtracted from the weight."
            messages.append(BASELINE_NOT_SUBTRACTED(text))
    weight = next((line for line in head if line.startswith("Sample Weight:")), "").partition(":")[2].split()
    mass = number_of(" ".join(weight))
    mass_unit = unit_of(weight[-1])[1] if len(weight) > 1 and mass is not None else ""
    factor = MG_PER_UNIT.get(mass_unit)
    program = [f"{m[2]}{m[3].rstrip()}" for line in head if (m := _METHOD.match(line))]
    gases = [m[0].strip() for line in head if (m := re.search(r"Switch the Gas to.*", line))]
    return TgaTable(
        columns=columns,
        lines=table.lines,
        segment=table.part,
        initial_mass_mg=mass * factor if mass is not None and factor and mass > 0 else None,
        atmosphere=atmosphere,
        heating_rate_k_min=agreed(_heating_rate(line) for line in head),
        units=_stated_units(head) | ({"mass": mass_unit} if factor else {}),
        metadata=named_facts(facts, _METADATA, program=program, gases=gases),
        messages=tuple(messages),
    )


def _names(lines: Sequence[str], step: int) -> list[str]:
    """Column names of the two rows below the first step; the leading tab makes an empty first cell."""
    if step + 2 >= len(lines):
        msg = "there are no column names below the first part"
        raise ReadError(msg, place=f"line {step + 1}", hint="The file was cut; copy it again.")
    upper, lower = (line.rstrip().split("\t")[1:] for line in lines[step + 1 : step + 3])
    width = max(len(upper), len(lower))
    upper, lower = (cells + [""] * (width - len(cells)) for cells in (upper, lower))
    names = [f"{a.strip()} {b.strip()}".strip() for a, b in zip(upper, lower, strict=True)]
    if width < 3 or not names[0].lower().startswith("time"):
        msg = f"the column names are {', '.join(names)[:80]!r}"
        raise ReadError(msg, place=f"line {step + 2}", expected="Time, Weight, Temperature … in two rows")
    return names


def _read_parts(lines: Sequence[str], steps: Sequence[int], width: int) -> Table:
    """Rows of each step that has any; all but the first follow its line, or repeated names, at once."""
    parts: list[tuple[int, list[str]]] = []
    for step, stop in zip(steps, [*steps[1:], len(lines)], strict=True):
        first = step + 3 if step == steps[0] else step + 1
        if first < len(lines) and re.match(r"^\tTime\b", lines[first]):
            first += 2
        rest = (i for i in range(first, stop) if lines[i][:1] != "\t" or lines[i].lstrip()[:1] not in _STARTS)
        end = next(rest, max(first, stop))
        if step != steps[-1] and any(line.strip() for line in lines[end:stop]):
            msg = f"{lines[end].strip()[:40]!r} stands between rows of numbers"
            raise ReadError(msg, place=f"line {end + 1}", expected="numbers", hint="Copy the file again.")
        below = lines[end] if end < len(lines) else ""
        cells = below.split("\t")[1:] if below.startswith("\t") and below.count("\t") >= width - 1 else []
        if cells and sum(re.search(r"\d", cell) is not None for cell in cells) >= width // 2:
            bad = next((c.strip() for c in cells if not re.fullmatch(r"\s*[-+.\d].*", c)), cells[0])
            msg = f"{bad[:40]!r} is not a number"
            raise ReadError(msg, place=f"line {end + 1}", expected="numbers", hint="Copy the file again.")
        if end > first:
            parts.append((first + 1, [line[1:] for line in lines[first:end]]))
    count = sum(len(rows) for _, rows in parts)
    if count < 2:
        msg = f"there are {count} rows of numbers"
        raise ReadError(msg, place=f"line {steps[0] + 1}", hint="The file was cut; copy it again.")
    dialect = Dialect(separator="\t", decimal="," if "," in parts[0][1][0] else ".")
    return parse_parts(parts, dialect, width)


def _stated_units(head: Sequence[str]) -> dict[str, str]:
    """Units of temperature and time that the header uses throughout; left out where it does not, to be asked for."""
    units: dict[str, str] = {}
    conditions = " ".join(line for line in head if line.startswith("Temperature:") or _METHOD.match(line))
    scales = {unit_of(found)[1] for found in re.findall(r"\d\s*([^\s\d\w]{0,3}[CKF])\b", conditions)}
    if scales in ({"C"}, {"K"}, {"F"}):
        units["temperature"] = scales.pop()
    method = " ".join(line for line in head if _METHOD.match(line))
    times = re.findall(r"for [\d.,]+ (min|s|sec|h)\b", method) + re.findall(r"[CKF]/(min|s|h)\b", method)
    if set(times) == {"min"}:
        units["time"] = "min"
    return units


def _heating_rate(line: str) -> float | None:
    """Rate in K/min of a line of the method that heats."""
    heats = _HEATS.search(line[:300]) if "/min" in line and _METHOD.match(line) else None
    start, end, rate = map(number_of, heats.groups()) if heats else (None, None, None)
    return (rate or None) if start is not None and end is not None and end > start else None


def _gas_of_heating(head: Sequence[str], messages: list[Diagnostic]) -> Atmosphere:
    """Gas of the heating steps, followed through the switches of the method; "unknown" where it changes."""
    gas = ""
    heated: list[str] = []
    heating = False
    for line in head:
        step = _METHOD.match(line)
        if step:
            heats = _HEATS.search(line[:300])
            start, end = (number_of(part) or 0.0 for part in heats.groups()[:2]) if heats else (0.0, 0.0)
            heating = step[2] == "Heat" and end > start
            if heating:
                heated.append(gas)
        switch = _GAS.search(line)
        if switch:
            gas = switch[1]
            if heating and heated:
                heated[-1] = gas
    gases = list(dict.fromkeys(heated))
    if len(gases) == 1:
        return atmosphere_of(gases[0])
    if gases:
        listed = ", ".join(name or "not stated" for name in gases)
        text = (
            f"the gas changes between heating steps ({listed}); choose segments of one gas, "
            "or state atmosphere."
        )
        messages.append(ATMOSPHERE_CHANGES(text, gases=listed))
    return "unknown"


def _sniff(source: SourceFile) -> float:
    found = sum(mark in source.head_text for mark in _MARKS)
    return 1.0 if found >= 3 else 0.7 if found == 2 else 0.0


PYRIS = tga_reader("perkinelmer_pyris", "PerkinElmer Pyris text export", "txt", _sniff, _parse)
