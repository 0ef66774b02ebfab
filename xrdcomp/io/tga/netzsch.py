"""NETZSCH: text exports of Proteus, and binary files (``.ngb-ss3``, ``.ngb-ds3``, ``.ngb-bs3``).

Text: ``#KEY:value`` lines, then ``##Temp./°C;Time/min;Mass/%`` and the numbers. Separator and decimal sign are
declared (``#SEPARATOR:``, ``#DECIMAL:``); exports whose keys were stripped are read by looking at the rows.

Binary, opened by the optional package pyngb: the change of mass in mg as the balance gave it. The correction run that
Proteus subtracts on export is not in it; the mass weighed in is added, and a warning says what is missing.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, message_kind
from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.io.columns import (
    Column,
    agreed,
    atmosphere_of,
    column_of,
    columns_of,
    heating_rate_of,
    named_facts,
    number_of,
    split_header,
)
from xrdcomp.io.registry import TgaOptions, begins, has_all
from xrdcomp.io.runs import CUT, TgaTable, numbered, rows_until_blank, stated_segment, tga_reader
from xrdcomp.io.source import MAX_EXPANDED_BYTES, SourceFile
from xrdcomp.io.text_table import (
    MAX_PARTS,
    MAX_TABLE_ROWS,
    Dialect,
    guess_dialect,
    parse_parts,
    split_cells,
    split_lines,
)
from xrdcomp.units import FloatArray, IntArray

STOPPED_EARLY = message_kind(
    "TGA_STOPPED_EARLY", "warning", "The run ends far from the temperature that its program ends at: stopped, or cut.",
    threshold="40 K", origin="judgement",
)  # fmt: skip
NOT_CORRECTED = message_kind(
    "TGA_NOT_CORRECTED", "warning", "Mass is the balance reading before the correction run is subtracted.",
    remedy="Pass a blank run, or export from Proteus with the correction.",
    origin="up to 1.3 % of the sample between binary and text of the same two runs",
)  # fmt: skip
_END_TOLERANCE_K = 40.0

# Text

_SEPARATORS = {
    "SEMICOLON": ";",
    "COMMA": ",",
    "TAB": "\t",
    "TABULATOR": "\t",
    "SPACE": None,
    "BLANK": None,
    "NONE": None,
}
_KEY = re.compile(r"^#(?!#)(?P<key>[^:]{1,60}):(?P<value>.*)$")
_BLANK = " \t;,"
_METADATA = {
    "SAMPLE": "sample_name",
    "IDENTITY": "sample_id",
    "INSTRUMENT": "instrument",
    "DATE/TIME": "date",
    "OPERATOR": "operator",
    "MATERIAL": "material",
    "TYPE OF CRUCIBLE": "crucible",
    "CORR. FILE": "correction_file",
    "CORR. CODE": "correction_code",
    "EXO": "exo_sign",
    "SEGMENT": "segments_exported",
    "MTYPE": "measurement_type",
}


def _parse_text(source: SourceFile, _: TgaOptions) -> TgaTable:
    """Table of a text export, every segment that the file holds; each ``##`` row begins a part."""
    lines = split_lines(source.text)
    heads = [i for i, line in enumerate(lines) if line.startswith("##")]
    if not heads:
        msg = "there is no row of column names"
        raise ReadError(msg, place=f"line {len(lines)}", expected="a line that starts with ##")
    if len(heads) > MAX_PARTS:
        msg = f"there are {len(heads)} rows of column names"
        raise ReadError(msg, expected=f"at most {MAX_PARTS} segments")
    facts, program = _facts(lines[: heads[0]])
    parts: list[tuple[int, Sequence[str]]] = []
    for head, stop in zip(heads, [*heads[1:], len(lines)], strict=True):
        rows = rows_until_blank(lines, head + 1, stop, "#;,")
        if not rows:
            msg = "there are no rows below the column names"
            raise ReadError(msg, place=f"line {head + 1}", hint="The file was cut; copy it again.")
        parts.append((head + 2, rows))
    dialect = _dialect(facts, list(itertools.chain.from_iterable(rows for _, rows in parts)), lines[heads[0]])
    names, units = _names(lines[heads[0]], dialect)
    for head in heads[1:]:
        if _names(lines[head], dialect)[0] != names:
            msg = "two parts of the file have different columns"
            raise ReadError(msg, place=f"line {head + 1}", expected=", ".join(names))
    try:
        table = parse_parts(parts, dialect, len(names))
    except ReadError as problem:
        problem.expected = ", ".join(filter(None, (problem.expected, dialect.words)))
        raise
    columns = columns_of(names, units, table.values)
    segment = stated_segment(columns)
    if segment is None and len(parts) > 1:
        segment = table.part
    mass = number_of(facts.get("SAMPLE MASS /mg", ""))
    gases = {k: v for k, v in facts.items() if re.search(r"ATMOS|GAS|PURGE|PROT|MFC", k, re.IGNORECASE)}
    # the purge gas flows around the sample; the protective gas counts only where no other is named
    purge = " ".join(v for k, v in gases.items() if not re.search(r"PROT", k, re.IGNORECASE)).strip()
    shown = [f"{k}: {v}" for k, v in facts.items() if re.search(r"ATMOS|GAS|PURGE|PROT", k, re.IGNORECASE)]
    steps = program or [facts.get("RANGE", "")]
    return TgaTable(
        columns=columns,
        lines=table.lines,
        segment=segment,
        initial_mass_mg=mass if mass is not None and mass > 0 else None,
        atmosphere=atmosphere_of(purge or " ".join(gases.values())),
        heating_rate_k_min=agreed(_heating_rate(step) for step in steps),
        metadata=named_facts(facts, _METADATA, program=program, gases=shown),
        messages=(*_end_of_file(lines), *_end_of_program(columns, steps[-1])),
    )


def _facts(lines: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Facts of the header by key, and the steps of the program (``SEG. 1`` …)."""
    facts: dict[str, str] = {}
    program: list[str] = []
    for line in lines:
        match = _KEY.match(line)
        if not match:
            continue
        key, value = match["key"].strip(), match["value"].strip(" \t").strip(";,\t ")
        if re.fullmatch(r"SEG\.?\s*\d+", key):
            program.append(value)
        elif value:
            facts.setdefault(key, value)
    return facts, program


def _names(head: str, dialect: Dialect) -> tuple[list[str], list[str]]:
    """Names and units of the columns in a ``##`` row."""
    pairs = [split_header(cell) for cell in split_cells(head.lstrip("#"), dialect)]
    return [name for name, _ in pairs], [unit for _, unit in pairs]


def _dialect(facts: Mapping[str, str], rows: Sequence[str], head: str) -> Dialect:
    separator, decimal = facts.get("SEPARATOR", "").upper(), facts.get("DECIMAL", "").upper()
    declared = _SEPARATORS.get(separator, "")
    if (not separator and not decimal) or (declared and declared not in head):
        return guess_dialect(rows, head)  # keys stripped, or saved again by a spreadsheet
    if separator not in _SEPARATORS or decimal not in ("POINT", "COMMA", "DOT", ""):
        msg = f"the file declares #SEPARATOR:{separator} and #DECIMAL:{decimal}"
        raise ReadError(msg, expected=f"one of {', '.join(_SEPARATORS)} and POINT or COMMA")
    if decimal == "COMMA" and separator == "COMMA":
        msg = "the file declares the comma both as separator and as decimal sign"
        raise ReadError(msg, hint="Export with semicolons.")
    return Dialect(separator=_SEPARATORS[separator], decimal="," if decimal == "COMMA" else ".")


def _heating_rate(step: str) -> float | None:
    """Rate in K/min of a step ``30°C/10.0(K/min)/480°C``, where it heats."""
    parts = re.match(r"\s*([-\d.,]+)[^/]*/\s*([-\d.,]+).*/\s*([-\d.,]+)", step[:200])
    start, end = (number_of(parts[1]), number_of(parts[3])) if parts else (None, None)
    return heating_rate_of(step) if start is not None and end is not None and end > start else None


def _end_of_file(lines: Sequence[str]) -> list[Diagnostic]:
    """Whether the blank line is there that Proteus writes below the rows."""
    if len(lines) > 2 and not lines[-1].strip(_BLANK) and not lines[-2].strip(_BLANK):
        return []
    said = CUT("the file does not end with the blank line that Proteus writes; it was edited, or cut.")
    return [said if lines[-1].strip() else replace(said, severity="info")]


def _end_of_program(columns: Sequence[Column], step: str) -> list[Diagnostic]:
    """Whether the run ends near the temperature that its last step ends at."""
    end = number_of(step.rpartition("/")[2]) if "/" in step else None
    column = next((c for c in columns if c.role.endswith("temperature") and c.canonical == "C"), None)
    if end is None or column is None:
        return []
    last = column.values[np.isfinite(column.values)][-1:]
    if not len(last) or abs(float(last[0]) - end) <= _END_TOLERANCE_K:
        return []
    text = (
        f"the last point is at {float(last[0]):.1f} °C and the program ends at {end:g} "
        "°C: stopped early, or cut."
    )
    return [STOPPED_EARLY(text, last_c=float(last[0]), program_end_c=end)]


NETZSCH = tga_reader(
    "netzsch_text",
    "NETZSCH Proteus text export",
    "csv txt",
    has_all(
        (1.0, (r"\A#", r"^#(EXPORTTYPE|IDENTITY|FORMAT: *[;,\t]? *NETZSCH)")),
        (0.95, (r"^##.*(Temp|Time|Mass|TG/)",)),
    ),
    _parse_text,
)

# Binary

_SIGNALS = {
    "time": ("Time", "s"),
    "sample_temperature": ("Sample temperature", "°C"),
    "furnace_temperature": ("Furnace temperature", "°C"),
    "mass": ("Mass change", "mg"),
}
_BINARY_METADATA = {
    "instrument": "instrument",
    "date_performed": "date",
    "operator": "operator",
    "material": "material",
    "sample_name": "sample_name",
    "sample_id": "sample_id",
    "crucible_type": "crucible",
}


def _parse_binary(source: SourceFile, _: TgaOptions) -> TgaTable:
    table = _decode(source)
    facts = json.loads((table.schema.metadata or {}).get(b"file_metadata", b"{}"))
    facts = facts if isinstance(facts, dict) else {}
    if table.num_rows > 2 * MAX_TABLE_ROWS:
        msg = f"the file declares {table.num_rows} points"
        raise ReadError(msg, expected="one run")
    columns = tuple(
        column_of(*_SIGNALS[name], np.asarray(table.column(name).to_numpy(), dtype=np.float64), number)
        for number, name in enumerate(table.schema.names, start=1)
        if name in _SIGNALS
    )
    if not any(column.role == "mass_change" for column in columns):
        msg = f"the file holds no mass signal; it has {', '.join(table.schema.names)}"
        raise ReadError(msg, expected="a TG or STA run", hint="Check that the measurement was not DSC only.")
    time = next((c.values for c in columns if c.role == "time"), None)
    program = facts.get("temperature_program", {})
    stages = [program[name] for name in sorted(program, key=lambda name: int("0" + re.sub(r"\D", "", name)))]
    rates = (
        float(stage["heating_rate"])
        for stage, before in zip(stages[1:], stages, strict=False)
        if stage.get("stage_type") == 1
        and float(stage.get("heating_rate", 0.0)) > 0
        and float(stage.get("temperature", 0.0)) > float(before.get("temperature", 0.0))
    )
    mass = facts.get("sample_mass")
    flows = [
        f"{line}: {facts[f'{line}_mfc_gas']}, {facts.get(f'{line}_mfc_flow')} ml/min"
        for line in ("purge_1", "purge_2", "protective")
        if f"{line}_mfc_gas" in facts
    ]
    words = {key: str(value) for key, value in facts.items() if value}
    text = (
        "mass is the balance reading before the correction run is subtracted (buoyancy, "
        "about 1 % of the sample); "
        "pass a blank run, or export from Proteus with the correction."
    )
    return TgaTable(
        columns=columns,
        lines=np.arange(len(columns[0].values), dtype=np.int64),
        place_of="point {}".format,
        segment=None if time is None else _stage_of_time(time, stages),
        initial_mass_mg=float(mass) if isinstance(mass, int | float) and mass > 0 else None,
        atmosphere=_purge_gas(facts, stages),
        heating_rate_k_min=agreed(rates),
        corrected=False,
        metadata=named_facts(words, _BINARY_METADATA, gases=flows),
        messages=(NOT_CORRECTED(text),),
    )


def _decode(source: SourceFile) -> Any:
    """Table that pyngb makes of the archive, bounded before."""
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError) as problem:
        msg = f"the archive is damaged: {problem}"
        hint = "Copy it again from the instrument."
        raise ReadError(msg, expected="a complete NGB file", hint=hint) from problem
    if size > MAX_EXPANDED_BYTES:
        msg = f"the archive unpacks to {size} bytes, more than the {MAX_EXPANDED_BYTES} that are read"
        raise ReadError(msg)
    try:
        import pyngb
    except ImportError as problem:
        msg = (
            "Reading NETZSCH binary files needs pyngb: pip install xrdcomp[ngb] (or export "
            "as text from Proteus)"
        )
        raise MissingExtraError(msg) from problem
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"run.{source.suffix or 'ngb-ss3'}"
        path.write_bytes(source.data)
        try:
            return pyngb.read_ngb(str(path))
        except Exception as problem:
            msg = f"the content cannot be decoded ({type(problem).__name__}: {str(problem)[:120]})"
            hint = "The file is damaged or of another version; export as text from Proteus."
            raise ReadError(msg, hint=hint) from problem


def _stage_of_time(time: FloatArray, stages: list[dict[str, Any]]) -> IntArray | None:
    """Segment of each point from the durations of the recorded stages (type 1); None without a program."""
    ends = np.cumsum([float(stage.get("time", 0.0)) for stage in stages if stage.get("stage_type") == 1])
    if not len(ends):
        return None
    return numbered(np.minimum(np.searchsorted(ends, time - 1e-6, side="right"), len(ends) - 1))


def _purge_gas(facts: dict[str, Any], stages: list[dict[str, Any]]) -> Atmosphere:
    """Gas of the purge lines that flow while stages are recorded; "unknown" where there are several."""
    gases = {
        str(facts.get(f"purge_{line}_mfc_gas", ""))
        for stage in stages
        for line in (1, 2)
        if stage.get("stage_type") == 1 and float(stage.get(f"purge_{line}_mfc_flow", 0.0)) > 0
    }
    return atmosphere_of(gases.pop()) if len(gases) == 1 else "unknown"


NGB = tga_reader(
    "netzsch_ngb",
    "NETZSCH binary (NGB)",
    "ngb-ss3 ngb-ds3 ngb-bs3 ngb-st9 ngb-sd3",
    begins(rb"PK\x03\x04.*Streams/stream_", 0.95),
    _parse_binary,
    extras=("ngb",),
)
