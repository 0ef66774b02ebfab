"""PerkinElmer Pyris text: facts, method steps, then ``1) TGA Isothermal`` parts of tab-indented rows.

The columns carry no units. The header states them: mass with ``Sample Weight``, temperature with the initial
conditions and the method, time with the method (``Hold for 20.0 min``, ``°C/min``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, TgaRun
from xrdcomp.errors import ReadError
from xrdcomp.io.columns import Column, TgaTable, atmosphere_of, columns_of, note, number_of, unit_of
from xrdcomp.io.registry import TgaOptions, TgaReader
from xrdcomp.io.runs import build_run
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import MAX_PARTS, Dialect, parse_rows, split_lines
from xrdcomp.units import FloatArray, IntArray

PYRIS_ID = "perkinelmer_pyris"
_STARTS = frozenset("0123456789-+.")
_STEP = re.compile(r"^\s*(\d+)\) (TGA|DTA|STA|DSC)\b")
_METHOD = re.compile(r"^\s*(\d+)\)\s*(Hold|Heat|Cool)\b(.*)")
_HEATS = re.compile(r"from\s+([-\d.,]+)\D+?to\s+([-\d.,]+)\D+?at\s+([-\d.,]+)")
_GAS = re.compile(r"Switch the Gas to\s+(.+?)\s+at\b", re.IGNORECASE)


def parse_perkinelmer(text: str) -> TgaTable:
    """Table of a Pyris text export, one segment per method step.

    Raises
    ------
    ReadError
        No data part, a number of points other than ``Total Points in Run``, damaged rows.
    """
    lines = split_lines(text)
    steps = [i for i, line in enumerate(lines) if ") " in line and _STEP.match(line)]
    if not steps:
        msg = "there is no part of data"
        expected = "a line such as '1) TGA Temperature Scan' with rows below"
        raise ReadError(msg, place=f"line {len(lines)}", expected=expected, hint="Copy the file again.")
    if len(steps) > MAX_PARTS:
        msg = f"there are {len(steps)} parts of data"
        raise ReadError(msg, expected=f"at most {MAX_PARTS} segments")
    head = lines[: steps[0]]
    names = _names(lines, steps[0])
    values, places, segment = _rows(lines, steps, len(names))
    total = next(
        (number_of(line.partition(":")[2]) for line in head if line.startswith("Total Points")), None
    )
    if total is not None and int(total) != len(values):
        msg = f"the header states {int(total)} points and the file holds {len(values)}"
        raise ReadError(
            msg, place=f"line {int(places[-1])}", hint="The file was cut or edited; export it again."
        )
    messages: list[Diagnostic] = []
    atmosphere = _atmosphere(head, messages)
    columns = columns_of(names, [""] * len(names), values)
    _baseline_note(columns, messages)
    mass, mass_unit = _sample_mass(head)
    return TgaTable(
        columns=columns,
        places=places,
        segment=segment,
        initial_mass_mg=mass,
        atmosphere=atmosphere,
        heating_rate_k_min=_heating_rate(head),
        units=_units(head, mass_unit),
        metadata=_metadata(head),
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


def _rows(lines: Sequence[str], steps: Sequence[int], width: int) -> tuple[FloatArray, IntArray, IntArray]:
    rows: list[str] = []
    places: list[int] = []
    counts: list[int] = []
    for order, step in enumerate(steps):
        at = step + 3 if order == 0 else step + 1
        if at < len(lines) and re.match(r"^\tTime\b", lines[at]):
            at += 2
        first = at
        last = steps[order + 1] if order + 1 < len(steps) else len(lines)
        rest = (i for i in range(at, last) if lines[i][:1] != "\t" or lines[i].lstrip()[:1] not in _STARTS)
        at = next(rest, max(at, last))
        if order + 1 < len(steps) and at != last and any(line.strip() for line in lines[at:last]):
            msg = f"{lines[at].strip()[:40]!r} stands between rows of numbers"
            raise ReadError(msg, place=f"line {at + 1}", expected="numbers", hint="Copy the file again.")
        _check_end(lines, at, width)
        rows += [line[1:] for line in lines[first:at]]
        places += range(first + 1, at + 1)
        counts.append(at - first)
    if len(rows) < 2:
        msg = f"there are {len(rows)} rows of numbers"
        raise ReadError(msg, place=f"line {steps[0] + 1}", hint="The file was cut; copy it again.")
    dialect = Dialect(separator="\t", decimal="," if "," in rows[0] else ".")
    values = _parse_parts(rows, counts, places, dialect, width)
    segment = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    return (
        values,
        np.array(places, dtype=np.int64),
        np.unique(segment, return_inverse=True)[1].astype(np.int64),
    )


def _parse_parts(
    rows: Sequence[str], counts: Sequence[int], places: Sequence[int], dialect: Dialect, width: int
) -> FloatArray:
    parts: list[FloatArray] = []
    at = 0
    for count in counts:
        if count:
            parts.append(parse_rows(rows[at : at + count], dialect, first_line=places[at], n_columns=width))
        at += count
    return np.concatenate(parts)


def _check_end(lines: Sequence[str], at: int, width: int) -> None:
    """Refuse a damaged row directly below the rows; text ends a part."""
    if at < len(lines) and lines[at].startswith("\t") and lines[at].count("\t") >= width - 1:
        cells = lines[at].split("\t")[1:]
        if sum(re.search(r"\d", cell) is not None for cell in cells) >= width // 2:
            bad = next((c.strip() for c in cells if not re.fullmatch(r"\s*[-+.\d].*", c)), cells[0])
            msg = f"{bad[:40]!r} is not a number"
            raise ReadError(msg, place=f"line {at + 1}", expected="numbers", hint="Copy the file again.")


def _sample_mass(head: Sequence[str]) -> tuple[float | None, str]:
    line = next((line for line in head if line.startswith("Sample Weight:")), "")
    value = line.partition(":")[2].strip()
    number = number_of(value)
    dimension, unit = unit_of(value.split()[-1]) if len(value.split()) > 1 else ("none", "")
    if number is None or dimension != "mass" or unit not in ("mg", "ug", "g"):
        return None, ""
    return (number * {"mg": 1.0, "g": 1e3, "ug": 1e-3}[unit] if number > 0 else None), unit


def _units(head: Sequence[str], mass_unit: str) -> dict[str, str]:
    """Units that the header uses throughout; left out where it does not, so that they are asked for."""
    units = {"mass": mass_unit} if mass_unit else {}
    conditions = " ".join(line for line in head if line.startswith("Temperature:") or _METHOD.match(line))
    scales = {unit_of(found)[1] for found in re.findall(r"\d\s*([^\s\d\w]{0,3}[CKF])\b", conditions)}
    if scales in ({"C"}, {"K"}, {"F"}):
        units["temperature"] = scales.pop()
    method = " ".join(line for line in head if _METHOD.match(line))
    times = set(re.findall(r"for [\d.,]+ (min|s|sec|h)\b", method)) | set(
        re.findall(r"[CKF]/(min|s|h)\b", method)
    )
    if times == {"min"}:
        units["time"] = "min"
    return units


def _heating_rate(head: Sequence[str]) -> float | None:
    rates = set()
    for line in head:
        step, heats = _METHOD.match(line), _HEATS.search(line[:300])
        if step and heats and "/min" in line:
            start, end, rate = (number_of(part) for part in heats.groups())
            if start is not None and end is not None and end > start and rate:
                rates.add(rate)
    return rates.pop() if len(rates) == 1 else None


def _atmosphere(head: Sequence[str], messages: list[Diagnostic]) -> Atmosphere:
    """Gas of the heating steps, followed through the switches of the method; "unknown" where it changes."""
    gas, heated, heating = "", [], False
    for line in head:
        step = _METHOD.match(line)
        if step:
            heats = _HEATS.search(line[:300])
            ends = [number_of(part) for part in heats.groups()[:2]] if heats else []
            heating = step[2] == "Heat" and len(ends) == 2 and (ends[1] or 0.0) > (ends[0] or 0.0)
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
    if len(gases) > 1:
        listed = ", ".join(name or "not stated" for name in gases)
        text = (
            f"the gas changes between heating steps ({listed}); choose segments of one gas, "
            "or state atmosphere."
        )
        messages.append(note("TGA_ATMOSPHERE_CHANGES", text, severity="warning", gases=listed))
    return "unknown"


def _baseline_note(columns: Sequence[Column], messages: list[Diagnostic]) -> None:
    for column in columns:
        if column.name.lower().startswith("baseline") and float(np.nanmax(np.abs(column.values))) > 0:
            text = f"the file carries a baseline ({column.name}) that was not subtracted from the weight."
            messages.append(note("TGA_BASELINE_NOT_SUBTRACTED", text, severity="warning"))


def _metadata(head: Sequence[str]) -> dict[str, str | float | int | bool]:
    keys = {"Sample ID": "sample_name", "Operator ID": "operator", "Data Collected": "date"}
    keys |= {"Serial Number": "instrument", "Comment": "remark"}
    found: dict[str, str | float | int | bool] = {}
    for line in head:
        key, _, value = line.partition(":")
        if key.strip() in keys and value.strip():
            found.setdefault(keys[key.strip()], value.strip())
    program = [f"{m[2]}{m[3].rstrip()}" for line in head if (m := _METHOD.match(line))]
    if program:
        found["program"] = " | ".join(program)
    gases = [m[0].strip() for line in head if (m := re.search(r"Switch the Gas to.*", line))]
    if gases:
        found["gases"] = " | ".join(gases)
    return found


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    marks = ("Sample Weight:", "Method Steps:", "Total Points in Run:", "Pre-Run Actions", "Display Weight:")
    found = sum(mark in text for mark in marks)
    return 1.0 if found >= 3 else 0.7 if found == 2 else 0.0


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_perkinelmer(source.text), options, source, PYRIS_ID)


PYRIS = TgaReader(
    id=PYRIS_ID,
    name="PerkinElmer Pyris text export",
    extensions=("txt",),
    sniff=_sniff,
    read=_read,
)
