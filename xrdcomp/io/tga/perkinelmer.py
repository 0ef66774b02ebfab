"""PerkinElmer Pyris text: facts, method steps, then ``1) TGA Isothermal`` parts of tab-indented rows.

The columns carry no units. The header states them: mass with ``Sample Weight``, temperature with the initial
conditions and the method, time with the method (``Hold for 20.0 min``, ``°C/min``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.data import atmosphere_of, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import agreed, header_facts, named_facts, number_of, unit_of
from xrdcomp.io.registry import TgaOptions
from xrdcomp.io.runs import TgaTable, declared_rows, tga_reader
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import MAX_PARTS, WAS_CUT, Dialect, Table, line_error, parse_parts, split_lines
from xrdcomp.units import MG_PER_UNIT

# fmt: off
BASELINE_NOT_SUBTRACTED = message_kind("TGA_BASELINE_NOT_SUBTRACTED", "warning",
    "The file carries a baseline that was not subtracted from the weight.")
# fmt: on
_STARTS = frozenset("0123456789-+.")
_STEP = re.compile(r"^\s*(\d+)\) (TGA|DTA|STA|DSC)\b")
_METHOD = re.compile(r"^\s*(\d+)\)\s*(Hold|Heat|Cool)\b(.*)")
_FACT = re.compile(r"(?P<key>[^:]*):(?P<value>.*\S)")
_HEATS = re.compile(r"from\s+([-\d.,]+)\D+?to\s+([-\d.,]+)\D+?at\s+([-\d.,]+)")
_GAS = re.compile(r"Switch the Gas to\s+(.+?)\s+at\b", re.IGNORECASE)
_METADATA = {
    "Sample ID": "sample_name", "Operator ID": "operator", "Data Collected": "date", "Serial Number": "instrument",
    "Comment": "remark",
}  # fmt: skip
_MARKS = ("Sample Weight:", "Method Steps:", "Total Points in Run:", "Pre-Run Actions", "Display Weight:")


def _sniff(source: SourceFile) -> float:
    found = sum(mark in source.head_text for mark in _MARKS)
    return 1.0 if found >= 3 else 0.7 if found == 2 else 0.0


@tga_reader("perkinelmer_pyris", "PerkinElmer Pyris text export", "txt", _sniff)
def perkinelmer_pyris(source: SourceFile, _: TgaOptions) -> TgaTable:
    """Table with one segment per method step."""
    lines = split_lines(source.text)
    steps = [i for i, line in enumerate(lines) if ") " in line and _STEP.match(line)]
    if not steps:
        expected = "a line such as '1) TGA Temperature Scan' with rows below"
        raise line_error(len(lines), "there is no part of data", expected)
    if len(steps) > MAX_PARTS:
        raise ReadError(f"there are {len(steps)} parts of data", expected=f"at most {MAX_PARTS} segments")
    head = lines[: steps[0]]
    facts = header_facts(head, _FACT)
    table = _read_parts(lines, steps)
    total = number_of(next((value for key, value in facts.items() if key.startswith("Total Points")), ""))
    table, messages = declared_rows(table, total, strict=True)
    # steps of the method: rates in K/min of those that heat, and the gas of each by its number
    gas, number = "", ""
    program: list[str] = []
    rates: list[float | None] = []
    gas_of = {"": ""}
    for line in head:
        step = _METHOD.match(line)
        if step:
            program.append(f"{step[2]}{step[3].rstrip()}")
            heats = _HEATS.search(line[:300])
            start, end, rate = (number_of(part) or 0.0 for part in heats.groups()) if heats else (0.0,) * 3
            rates += [rate or None] if end > start and "/min" in line else []
            number = step[1]
        switch = _GAS.search(line)  # it holds from here on, in the step that it belongs to too
        gas = switch[1] if switch else gas
        gas_of[number] = gas
    numbered = {i: match[1] for i in steps if (match := _STEP.match(lines[i]))}
    begins = [int(np.argmax(table.part == k)) for k in range(int(table.part[-1]) + 1)]
    of_part = (numbered[max(i for i in steps if i < int(table.lines[row]))] for row in begins)
    gas_rows = tuple((row, atmosphere_of(gas_of.get(name, gas))) for row, name in zip(begins, of_part, strict=True))
    for column in table.columns:
        if column.name.lower().startswith("baseline") and float(np.nanmax(np.abs(column.values))) > 0:
            text = f"the file carries a baseline ({column.name}) that was not subtracted from the weight."
            messages.append(BASELINE_NOT_SUBTRACTED(text))
    weight = facts.get("Sample Weight", "").split()
    mass = number_of(" ".join(weight))
    mass_unit = unit_of(weight[-1])[1] if len(weight) > 1 and mass is not None else ""
    factor = MG_PER_UNIT.get(mass_unit)
    # units that the method uses throughout
    steps_text = " ".join(program)
    conditions = " ".join([*(line for line in head if line.startswith("Temperature:")), *program])
    scales = {unit_of(found)[1] for found in re.findall(r"\d\s*([^\s\d\w]{0,3}[CKF])\b", conditions)}
    times = re.findall(r"for [\d.,]+ (min|s|sec|h)\b|[CKF]/(min|s|h)\b", steps_text)
    units = {"temperature": scales.pop()} if scales in ({"C"}, {"K"}, {"F"}) else {}
    units |= {"time": "min"} if {a or b for a, b in times} == {"min"} else {}
    units |= {"mass": mass_unit} if factor else {}
    switches = [m[0].strip() for line in head if (m := re.search(r"Switch the Gas to.*", line))]
    return TgaTable(
        columns=table.columns, lines=table.lines, segment=table.part,
        initial_mass_mg=mass * factor if mass is not None and factor and mass > 0 else None,
        atmosphere=gas_rows[0][1], gas_rows=gas_rows, heating_rate_k_min=agreed(rates),
        units=units, metadata=named_facts(facts, _METADATA, program=program, gases=switches), messages=tuple(messages),
    )  # fmt: skip


def _read_parts(lines: Sequence[str], steps: Sequence[int]) -> Table:
    """Columns named in the two rows below the first step, and the rows of each step that has any."""
    if steps[0] + 2 >= len(lines):
        raise line_error(steps[0] + 1, "there are no column names below the first part", hint=WAS_CUT)
    # the leading tab makes an empty first cell
    upper, lower = (line.rstrip().split("\t")[1:] for line in lines[steps[0] + 1 : steps[0] + 3])
    names = [f"{a.strip()} {b.strip()}".strip() for a, b in itertools.zip_longest(upper, lower, fillvalue="")]
    width = len(names)
    if width < 3 or not names[0].lower().startswith("time"):
        msg = f"the column names are {', '.join(names)[:80]!r}"
        raise line_error(steps[0] + 2, msg, "Time, Weight, Temperature … in two rows", hint="")
    parts: list[tuple[int, list[str]]] = []
    for step, stop in zip(steps, [*steps[1:], len(lines)], strict=True):
        # rows of all steps but the first follow at once, or below repeated names
        first = step + 3 if step == steps[0] else step + 1
        if first < len(lines) and re.match(r"^\tTime\b", lines[first]):
            first += 2
        rest = (i for i in range(first, stop) if lines[i][:1] != "\t" or lines[i].lstrip()[:1] not in _STARTS)
        end = next(rest, max(first, stop))
        if step != steps[-1] and any(line.strip() for line in lines[end:stop]):
            raise line_error(end + 1, f"{lines[end].strip()[:40]!r} stands between rows of numbers", "numbers")
        below = lines[end] if end < len(lines) else ""
        cells = below.split("\t")[1:] if below.startswith("\t") and below.count("\t") >= width - 1 else []
        if cells and sum(re.search(r"\d", cell) is not None for cell in cells) >= width // 2:
            bad = next((c.strip() for c in cells if not re.fullmatch(r"\s*[-+.\d].*", c)), cells[0])
            raise line_error(end + 1, f"{bad[:40]!r} is not a number", "numbers")
        if end > first:
            parts.append((first + 1, [line[1:] for line in lines[first:end]]))
    count = sum(len(rows) for _, rows in parts)
    if count < 2:
        raise line_error(steps[0] + 1, f"there are {count} rows of numbers", hint=WAS_CUT)
    dialect = Dialect(separator="\t", decimal="," if "," in parts[0][1][0] else ".")
    return parse_parts(parts, dialect, names)
