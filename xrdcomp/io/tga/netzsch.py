"""NETZSCH binary files (``.ngb-ss3``, ``.ngb-ds3``, ``.ngb-bs3``), opened by the optional package pyngb.

The file holds the change of mass in mg as the balance gave it: the correction run that Proteus subtracts on
export is not in it. The mass weighed in is added, and a warning says what is missing.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, TgaRun
from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.io.columns import (
    Column,
    TgaTable,
    atmosphere_of,
    column_of,
    columns_of,
    heating_rate_of,
    note,
    number_of,
    split_header,
)
from xrdcomp.io.registry import TgaOptions, TgaReader
from xrdcomp.io.runs import build_run
from xrdcomp.io.source import MAX_EXPANDED_BYTES, SourceFile
from xrdcomp.io.text_table import (
    MAX_PARTS,
    Dialect,
    guess_dialect,
    parse_rows,
    split_cells,
    split_lines,
)
from xrdcomp.units import FloatArray, IntArray

# ------------ NETZSCH Proteus text exports: ``#KEY:value`` lines, then ``##Temp./°C;Time/min;Mass/%`` and
# the numbers.
# Separator and decimal sign are declared (``#SEPARATOR:``, ``#DECIMAL:``); exports whose keys were stripped are
# read by looking at the rows.

NETZSCH_ID = "netzsch_text"
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
_END_TOLERANCE_K = 40.0


def parse_netzsch(text: str) -> TgaTable:
    """Table of a NETZSCH text export, every segment that the file holds.

    Raises
    ------
    ReadError
        No ``##`` row, rows that do not follow the declared separator or decimal sign, differing headers.
    """
    lines = split_lines(text)
    heads = [i for i, line in enumerate(lines) if line.startswith("##")]
    if not heads:
        msg = "there is no row of column names"
        raise ReadError(msg, place=f"line {len(lines)}", expected="a line that starts with ##")
    if len(heads) > MAX_PARTS:
        msg = f"there are {len(heads)} rows of column names"
        raise ReadError(msg, expected=f"at most {MAX_PARTS} segments")
    facts, segments = _facts(lines, heads[0])
    parts: list[FloatArray] = []
    places: list[IntArray] = []
    names: list[str] = []
    units: list[str] = []
    for order, head in enumerate(heads):
        stop = heads[order + 1] if order + 1 < len(heads) else len(lines)
        rows = _rows(lines, head + 1, stop)
        dialect = _dialect(facts, rows, lines[head])
        pairs = [split_header(cell) for cell in split_cells(lines[head].lstrip("#"), dialect)]
        if not names:
            names, units = [p[0] for p in pairs], [p[1] for p in pairs]
        elif names != [p[0] for p in pairs]:
            msg = "two parts of the file have different columns"
            raise ReadError(msg, place=f"line {head + 1}", expected=", ".join(names))
        try:
            parts.append(parse_rows(rows, dialect, first_line=head + 2, n_columns=len(names)))
        except ReadError as problem:
            problem.expected = ", ".join(filter(None, (problem.expected, dialect.words)))
            raise
        places.append(np.arange(head + 2, head + 2 + len(rows), dtype=np.int64))
    values = np.concatenate(parts)
    columns = columns_of(names, units, values)
    blocks = np.repeat(np.arange(len(parts)), [len(p) for p in parts]).astype(np.int64)
    segment = _segment(columns, blocks)
    return TgaTable(
        columns=columns,
        places=np.concatenate(places),
        segment=segment,
        initial_mass_mg=_positive(facts.get("SAMPLE MASS /mg", "")),
        atmosphere=_atmosphere(facts),
        heating_rate_k_min=_heating_rate(segments or [facts.get("RANGE", "")]),
        metadata=_metadata(facts, segments),
        messages=(*_cut_note(lines), *_end_note(columns, segments, facts)),
    )


def _facts(lines: Sequence[str], head: int) -> tuple[dict[str, str], list[str]]:
    facts: dict[str, str] = {}
    segments: list[str] = []
    for line in lines[:head]:
        match = _KEY.match(line)
        if not match:
            continue
        key, value = match["key"].strip(), match["value"].strip(" \t").strip(";,\t ")
        if re.fullmatch(r"SEG\.?\s*\d+", key):
            segments.append(value)
        elif value:
            facts.setdefault(key, value)
    return facts, segments


def _rows(lines: Sequence[str], first: int, stop: int) -> list[str]:
    """Rows of numbers below a ``##`` row: up to the first blank line, which must end the part."""
    ends = (i for i in range(first, stop) if lines[i][:1] in "#;," or not lines[i].strip(_BLANK))
    end = next(ends, stop)
    rest = next(
        (i for i in range(end, stop) if lines[i].strip(_BLANK) and not lines[i].startswith("#")), None
    )
    if rest is not None:
        msg = f"there is text after a blank line in the table: {lines[rest].strip()[:40]!r}"
        raise ReadError(
            msg, place=f"line {rest + 1}", expected="rows without gap", hint="Copy the file again."
        )
    if end == first:
        msg = "there are no rows below the column names"
        raise ReadError(msg, place=f"line {first}", hint="The file was cut; copy it again.")
    return list(lines[first:end])


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


def _segment(columns: Sequence[Column], blocks: IntArray) -> IntArray | None:
    stated = next((c for c in columns if c.role == "segment" and np.isfinite(c.values).all()), None)
    if stated is not None:
        return np.unique(stated.values, return_inverse=True)[1].astype(np.int64)
    return blocks if blocks[-1] > 0 else None


def _positive(text: str) -> float | None:
    value = number_of(text)
    return value if value is not None and value > 0 else None


def _atmosphere(facts: Mapping[str, str]) -> Atmosphere:
    """Atmosphere around the sample: the purge gas; the protective gas only where no other is named."""
    gases = {k: v for k, v in facts.items() if re.search(r"ATMOS|GAS|PURGE|PROT|MFC", k, re.IGNORECASE)}
    purge = " ".join(v for k, v in gases.items() if not re.search(r"PROT", k, re.IGNORECASE))
    found = atmosphere_of(purge)
    return found if purge.strip() else atmosphere_of(" ".join(gases.values()))


def _heating_rate(segments: Sequence[str]) -> float | None:
    """Rate of the heating segments, where they share one."""
    rates = set()
    for text in segments:
        parts = re.match(r"\s*([-\d.,]+)[^/]*/\s*([-\d.,]+).*/\s*([-\d.,]+)", text[:200])
        if not parts:
            continue
        start, end = number_of(parts[1]), number_of(parts[3])
        rate = heating_rate_of(text)
        if start is not None and end is not None and end > start and rate:
            rates.add(rate)
    return rates.pop() if len(rates) == 1 else None


_NAMES = {
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


def _metadata(facts: Mapping[str, str], segments: Sequence[str]) -> dict[str, str | float | int | bool]:
    found: dict[str, str | float | int | bool] = {
        name: facts[key] for key, name in _NAMES.items() if facts.get(key)
    }
    if segments:
        found["program"] = " | ".join(segments)
    gases = [f"{k}: {v}" for k, v in facts.items() if re.search(r"ATMOS|GAS|PURGE|PROT", k, re.IGNORECASE)]
    if gases:
        found["gases"] = " | ".join(gases)
    return found


def _cut_note(lines: Sequence[str]) -> list[Diagnostic]:
    """Say so where the blank line is missing that Proteus writes below the rows."""
    if len(lines) > 2 and not lines[-1].strip(_BLANK) and not lines[-2].strip(_BLANK):
        return []
    text = "the file does not end with the blank line that Proteus writes; it was edited, or cut."
    return [note("TGA_CUT", text, severity="info" if not lines[-1].strip() else "warning")]


def _end_note(
    columns: Sequence[Column], segments: Sequence[str], facts: Mapping[str, str]
) -> list[Diagnostic]:
    """Say so where the run ends far from the temperature its program ends at: the file may have been cut."""
    program = segments[-1] if segments else facts.get("RANGE", "")
    end = number_of(program.rpartition("/")[2]) if "/" in program else None
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
    return [note("TGA_ENDS_EARLY", text, severity="warning", last_c=float(last[0]), program_end_c=end)]


def _sniff(source: SourceFile) -> float:
    text = source.head_text
    if not text:
        return 0.0
    if text.startswith("#") and re.search(
        r"^#(EXPORTTYPE|IDENTITY|FORMAT: *[;,\t]? *NETZSCH)", text, re.MULTILINE
    ):
        return 1.0
    head = re.search(r"^##.*$", text, re.MULTILINE)
    return 0.95 if head and re.search(r"Temp|Time|Mass|TG/", head[0]) else 0.0


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
    return build_run(parse_netzsch(source.text), options, source, NETZSCH_ID)


NETZSCH = TgaReader(
    id=NETZSCH_ID,
    name="NETZSCH Proteus text export",
    extensions=("csv", "txt"),
    sniff=_sniff,
    read=_read,
)


# ------------ NETZSCH binary files (``.ngb-ss3``, ``.ngb-ds3``, ``.ngb-bs3``), opened by the optional
# package pyngb.
# The file holds the change of mass in mg as the balance gave it: the correction run that Proteus subtracts on
# export is not in it. The mass weighed in is added, and a warning says what is missing.

NGB_ID = "netzsch_ngb"
_NGB_NAMES = {
    "time": ("Time", "s"),
    "sample_temperature": ("Sample temperature", "°C"),
    "furnace_temperature": ("Furnace temperature", "°C"),
    "mass": ("Mass change", "mg"),
}
MAX_POINTS = 2_000_000


def _ngb_read(source: SourceFile, options: TgaOptions) -> TgaRun:
    _check_archive(source.data)
    table, facts = _load(source)
    columns = _columns(table)
    time = next((c.values for c in columns if c.role == "time"), None)
    stages = [stage for _, stage in sorted(facts.get("temperature_program", {}).items(), key=_stage_number)]
    mass = facts.get("sample_mass")
    text = (
        "mass is the balance reading before the correction run is subtracted (buoyancy, "
        "about 1 % of the sample); "
        "pass a blank run, or export from Proteus with the correction."
    )
    return build_run(
        TgaTable(
            columns=columns,
            places=np.arange(len(columns[0].values), dtype=np.int64),
            place_word="point",
            segment=None if time is None else stage_of_time(time, stages),
            initial_mass_mg=float(mass) if isinstance(mass, int | float) and mass > 0 else None,
            atmosphere=_ngb_atmosphere(facts, stages),
            heating_rate_k_min=_ngb_heating_rate(stages),
            corrected=False,
            metadata=_ngb_metadata(facts),
            messages=(note("TGA_NOT_CORRECTED", text, severity="warning"),),
        ),
        options,
        source,
        NGB_ID,
    )


def _check_archive(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError) as problem:
        msg = f"the archive is damaged: {problem}"
        raise ReadError(
            msg, expected="a complete NGB file", hint="Copy it again from the instrument."
        ) from problem
    if size > MAX_EXPANDED_BYTES:
        msg = f"the archive unpacks to {size} bytes, more than the {MAX_EXPANDED_BYTES} that are read"
        raise ReadError(msg)


def _load(source: SourceFile) -> tuple[Any, dict[str, Any]]:
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
            table = pyngb.read_ngb(str(path))
        except Exception as problem:
            msg = f"the content cannot be decoded ({type(problem).__name__}: {str(problem)[:120]})"
            hint = "The file is damaged or of another version; export as text from Proteus."
            raise ReadError(msg, hint=hint) from problem
    raw = (table.schema.metadata or {}).get(b"file_metadata", b"{}")
    facts = json.loads(raw)
    return table, facts if isinstance(facts, dict) else {}


def _columns(table: Any) -> tuple[Column, ...]:
    if table.num_rows > MAX_POINTS:
        msg = f"the file declares {table.num_rows} points"
        raise ReadError(msg, expected="one run")
    found: list[Column] = []
    for number, name in enumerate(table.schema.names, start=1):
        if name in _NGB_NAMES:
            values: FloatArray = np.asarray(table.column(name).to_numpy(), dtype=np.float64)
            label, unit = _NGB_NAMES[name]
            found.append(column_of(label, unit, values, number))
    if not any(column.role == "mass_change" for column in found):
        listed = ", ".join(table.schema.names)
        msg = f"the file holds no mass signal; it has {listed}"
        raise ReadError(msg, expected="a TG or STA run", hint="Check that the measurement was not DSC only.")
    return tuple(found)


def stage_of_time(time: FloatArray, stages: list[dict[str, Any]]) -> IntArray | None:
    """Segment of each point from the durations of the recorded stages (type 1); None without a program."""
    ends = np.cumsum([float(stage.get("time", 0.0)) for stage in stages if stage.get("stage_type") == 1])
    if not len(ends):
        return None
    number = np.minimum(np.searchsorted(ends, time - 1e-6, side="right"), len(ends) - 1)
    return np.unique(number, return_inverse=True)[1].astype(np.int64)


def _stage_number(item: tuple[str, Any]) -> int:
    digits = item[0].rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


def _ngb_heating_rate(stages: list[dict[str, Any]]) -> float | None:
    rates = {
        float(stage["heating_rate"])
        for stage, before in zip(stages[1:], stages, strict=False)
        if stage.get("stage_type") == 1
        and float(stage.get("heating_rate", 0.0)) > 0
        and float(stage.get("temperature", 0.0)) > float(before.get("temperature", 0.0))
    }
    return rates.pop() if len(rates) == 1 else None


def _ngb_atmosphere(facts: dict[str, Any], stages: list[dict[str, Any]]) -> Atmosphere:
    """Gas of the purge lines that flow while stages are recorded; "unknown" where there are several."""
    gases = {
        str(facts.get(f"purge_{line}_mfc_gas", ""))
        for stage in stages
        for line in (1, 2)
        if stage.get("stage_type") == 1 and float(stage.get(f"purge_{line}_mfc_flow", 0.0)) > 0
    }
    return atmosphere_of(gases.pop()) if len(gases) == 1 else "unknown"


def _ngb_metadata(facts: dict[str, Any]) -> dict[str, str | float | int | bool]:
    keys = {
        "instrument": "instrument",
        "date_performed": "date",
        "operator": "operator",
        "material": "material",
    }
    keys |= {"sample_name": "sample_name", "sample_id": "sample_id", "crucible_type": "crucible"}
    found: dict[str, str | float | int | bool] = {
        name: str(facts[key]) for key, name in keys.items() if facts.get(key)
    }
    lines = ("purge_1", "purge_2", "protective")
    flows = [
        f"{n}: {facts[f'{n}_mfc_gas']}, {facts.get(f'{n}_mfc_flow')} ml/min"
        for n in lines
        if f"{n}_mfc_gas" in facts
    ]
    if flows:
        found["gases"] = " | ".join(flows)
    return found


def _ngb_sniff(source: SourceFile) -> float:
    if not source.data.startswith(b"PK\x03\x04"):
        return 0.0
    return 0.95 if b"Streams/stream_" in source.head else 0.0


NGB = TgaReader(
    id=NGB_ID,
    name="NETZSCH binary (NGB)",
    extensions=("ngb-ss3", "ngb-ds3", "ngb-bs3", "ngb-st9", "ngb-sd3"),
    sniff=_ngb_sniff,
    read=_ngb_read,
    extras=("ngb",),
)
