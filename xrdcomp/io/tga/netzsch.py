"""NETZSCH: text exports of Proteus, and binary files (``.ngb-ss3``, ``.ngb-ds3``, ``.ngb-bs3``).

Text: ``#KEY:value`` lines, then ``##Temp./°C;Time/min;Mass/%`` and the numbers. Separator and decimal sign are
declared (``#SEPARATOR:``, ``#DECIMAL:``); exports whose keys were stripped are read by looking at the rows.

Binary, opened by the optional package pyngb: the change of mass in mg as the balance gave it. The correction run that
Proteus subtracts on export is not in it; the mass weighed in is added, and a warning says what is missing.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, atmosphere_of, message_kind
from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.io.columns import agreed, column_of, header_facts, heating_rate_of, named_facts, number_of, split_header
from xrdcomp.io.registry import TgaOptions, begins, has_all
from xrdcomp.io.runs import CUT, TgaTable, rows_until_blank, tga_reader
from xrdcomp.io.source import MAX_EXPANDED_BYTES, SourceFile
from xrdcomp.io.text_table import (
    MAX_PARTS,
    MAX_TABLE_ROWS,
    WAS_CUT,
    Dialect,
    Table,
    guess_dialect,
    line_error,
    numbered,
    parse_parts,
    split_cells,
    split_lines,
)

# fmt: off
STOPPED_EARLY = message_kind("TGA_STOPPED_EARLY", "warning",
    "The run ends far from the final temperature of its programme: it was stopped or cut.",
    threshold="40 K", origin="judgement")
NOT_CORRECTED = message_kind("TGA_NOT_CORRECTED", "warning",
    "Mass is the balance reading before the correction run is subtracted.",
    remedy="Pass a blank run, or export from Proteus with the correction.",
    origin="up to 1.3 % of the sample between binary and text of the same two runs")
# fmt: on
_END_TOLERANCE_K = 40.0

# Text

_SEPARATORS: dict[str, str | None] = {
    "SEMICOLON": ";", "COMMA": ",", "TAB": "\t", "TABULATOR": "\t", "SPACE": None, "BLANK": None, "NONE": None,
}  # fmt: skip
_WORDS = {
    "SEMIKOLON": "SEMICOLON", "KOMMA": "COMMA", "PUNKT": "POINT", "LEERZEICHEN": "SPACE", "POINT-VIRGULE": "SEMICOLON",
    "POINT VIRGULE": "SEMICOLON", "VIRGULE": "COMMA", "PUNTO Y COMA": "SEMICOLON", "COMA": "COMMA", "PUNTO": "POINT",
    "PUNTO E VIRGOLA": "SEMICOLON", "VIRGOLA": "COMMA", "PONTO E VÍRGULA": "SEMICOLON", "VÍRGULA": "COMMA",
    "PONTO": "POINT", "ŚREDNIK": "SEMICOLON", "PRZECINEK": "COMMA", "KROPKA": "POINT", "STŘEDNÍK": "SEMICOLON",
    "ČÁRKA": "COMMA", "TEČKA": "POINT", "ТОЧКА С ЗАПЯТОЙ": "SEMICOLON", "ЗАПЯТАЯ": "COMMA", "ТОЧКА": "POINT",
    "分号": "SEMICOLON", "逗号": "COMMA", "点": "POINT", "セミコロン": "SEMICOLON", "カンマ": "COMMA",
    "ピリオド": "POINT", "TABULATION": "TAB", "TABULADOR": "TAB", "TABULATORE": "TAB", "ESPACE": "SPACE",
    "ESPACIO": "SPACE",
}  # fmt: skip
"""Separators and decimal signs as other languages of the program name them."""
_SAMPLE_MASS = re.compile(
    r"(?:SAMPLE MASS|PROBENMASSE|MASS[AE]|MASA|МАССА|样品质量|試料質量|試料重量|시료 ?질량) ?.*/ ?(?:mg|мг)",
    re.IGNORECASE,
)
_FACT = re.compile(r"#(?!#)(?P<key>[^:]{1,60}):[ \t;,]*(?P<value>.*?)[ \t;,]*$")
_METADATA = {
    "SAMPLE": "sample_name", "IDENTITY": "sample_id", "INSTRUMENT": "instrument", "DATE/TIME": "date",
    "OPERATOR": "operator", "MATERIAL": "material", "TYPE OF CRUCIBLE": "crucible", "CORR. FILE": "correction_file",
    "CORR. CODE": "correction_code", "EXO": "exo_sign", "SEGMENT": "segments_exported", "MTYPE": "measurement_type",
}  # fmt: skip


@tga_reader(
    "netzsch_text", "NETZSCH Proteus text export", "csv txt",
    has_all(
        (1.0, (r"\A#", r"^#(EXPORTTYPE|IDENTITY|FORMAT: *[;,\t]? *NETZSCH)")), (0.95, (r"^##.*(Temp|Time|Mass|TG/)",)),
    ),
)  # fmt: skip
def netzsch_text(source: SourceFile, _: TgaOptions) -> TgaTable:
    """Table of a text export, every segment that the file holds; each ``##`` row begins a part."""
    lines = split_lines(source.text)
    heads = [i for i, line in enumerate(lines) if line.startswith("##")]
    if not heads:
        raise line_error(len(lines), "there is no row of column names", "a line that starts with ##", hint="")
    if len(heads) > MAX_PARTS:
        msg = f"there are {len(heads)} rows of column names"
        raise ReadError(msg, expected=f"at most {MAX_PARTS} segments")
    facts = header_facts(lines[: heads[0]], _FACT)
    parts: list[tuple[int, Sequence[str]]] = []
    for head, stop in zip(heads, [*heads[1:], len(lines)], strict=True):
        rows = rows_until_blank(lines, head + 1, stop, "#;,")
        if not rows:
            raise line_error(head + 1, "there are no rows below the column names", hint=WAS_CUT)
        parts.append((head + 2, rows))
    separator, decimal = (
        _WORDS.get(word, word) for word in (facts.get(key, "").upper() for key in ("SEPARATOR", "DECIMAL"))
    )
    declared = _SEPARATORS.get(separator) or ""
    if not separator or declared not in lines[heads[0]]:
        # keys stripped, or saved again by a spreadsheet
        dialect = guess_dialect([row for _, rows in parts for row in rows], lines[heads[0]])
    elif separator not in _SEPARATORS or decimal not in ("POINT", "COMMA", "DOT", ""):
        msg = f"the file declares #SEPARATOR:{separator} and #DECIMAL:{decimal}"
        raise ReadError(msg, expected=f"one of {', '.join(_SEPARATORS)} and POINT or COMMA")
    elif decimal == separator == "COMMA":
        msg = "the file declares the comma both as separator and as decimal sign"
        raise ReadError(msg, hint="Export with semicolons.")
    else:
        dialect = Dialect(separator=declared or None, decimal="," if decimal == "COMMA" else ".")
    headings = [[split_header(cell) for cell in split_cells(lines[at].lstrip("#"), dialect)] for at in heads]
    names = [name for name, _ in headings[0]]
    for head, heading in zip(heads, headings, strict=True):
        if [name for name, _ in heading] != names:
            msg = "two parts of the file have different columns"
            raise line_error(head + 1, msg, ", ".join(names), hint="")
    try:
        table = parse_parts(parts, dialect, names, [unit for _, unit in headings[0]])
    except ReadError as problem:
        problem.expected = ", ".join(filter(None, (problem.expected, str(dialect))))
        raise
    stated = (value for key, value in facts.items() if _SAMPLE_MASS.match(key))
    mass = number_of(next(stated, ""))
    gases = {k: v for k, v in facts.items() if re.search(r"ATMOS|GAS|PURGE|PROT|MFC", k, re.IGNORECASE)}
    # the purge gas flows around the sample; the protective gas counts only where no other is named
    purge = " ".join(v for k, v in gases.items() if not re.search(r"PROT", k, re.IGNORECASE)).strip()
    shown = [f"{k}: {v}" for k, v in gases.items() if re.search(r"ATMOS|GAS|PURGE|PROT", k, re.IGNORECASE)]
    program = [v for k, v in facts.items() if re.fullmatch(r"SEG\.?\s*\d+", k)]
    steps = program or [facts.get("RANGE", "")]
    rates: list[float | None] = []
    for step in steps:  # ``30°C/10.0(K/min)/480°C``
        ends = re.match(r"\s*([-\d.,]+)[^/]*/\s*([-\d.,]+).*/\s*([-\d.,]+)", step[:200])
        start, end = (number_of(ends[1]), number_of(ends[3])) if ends else (None, None)
        rates.append(heating_rate_of(step) if start is not None and end is not None and end > start else None)
    return TgaTable(
        columns=table.columns, lines=table.lines, segment=table.segment(),
        initial_mass_mg=mass if mass is not None and mass > 0 else None,
        atmosphere=atmosphere_of(purge or " ".join(gases.values())), heating_rate_k_min=agreed(rates),
        metadata=named_facts(facts, _METADATA, program=program, gases=shown), messages=_ends(lines, table, steps[-1]),
    )  # fmt: skip


def _ends(lines: Sequence[str], table: Table, step: str) -> tuple[Diagnostic, ...]:
    """Messages on a file without the blank line of Proteus below its rows, and on a run that ends early."""
    found: list[Diagnostic] = []
    if len(lines) <= 2 or lines[-1].strip(" \t;,") or lines[-2].strip(" \t;,"):
        said = CUT("the file does not end with the blank line that Proteus writes; it was edited, or cut.")
        found.append(said if lines[-1].strip() else replace(said, severity="info"))
    end = number_of(step.rpartition("/")[2]) if "/" in step else None
    warmth = [c.values for c in table.columns if c.role.endswith("temperature") and c.canonical == "C"][:1]
    last = [float(t) for values in warmth for t in values[np.isfinite(values)][-1:]]
    if end is not None and last and abs(last[0] - end) > _END_TOLERANCE_K:
        text = f"the last point is at {last[0]:.1f} °C and the program ends at {end:g} °C: stopped early, or cut."
        found.append(STOPPED_EARLY(text, last_c=last[0], program_end_c=end))
    return tuple(found)


# Binary

_SIGNALS = {
    "time": ("Time", "s"),
    "sample_temperature": ("Sample temperature", "°C"),
    "furnace_temperature": ("Furnace temperature", "°C"),
    "mass": ("Mass change", "mg"),
}
_BINARY_METADATA = {
    "instrument": "instrument", "date_performed": "date", "operator": "operator", "material": "material",
    "sample_name": "sample_name", "sample_id": "sample_id", "crucible_type": "crucible",
}  # fmt: skip


@tga_reader(
    "netzsch_ngb", "NETZSCH binary (NGB)", "ngb-ss3 ngb-ds3 ngb-bs3 ngb-st9 ngb-sd3",
    begins(rb"PK\x03\x04.*Streams/stream_", 0.95), extras=("ngb",),
)  # fmt: skip
def netzsch_ngb(source: SourceFile, _: TgaOptions) -> TgaTable:
    """Table of a binary file; its segments are the stages that the program records."""
    table = _decode(source)
    facts = json.loads((table.schema.metadata or {}).get(b"file_metadata", b"{}"))
    facts = facts if isinstance(facts, dict) else {}
    if table.num_rows > 2 * MAX_TABLE_ROWS:
        raise ReadError(f"the file declares {table.num_rows} points", expected="one run")
    columns = tuple(
        column_of(*_SIGNALS[name], np.asarray(table.column(name).to_numpy(), dtype=np.float64), number)
        for number, name in enumerate(table.schema.names, start=1)
        if name in _SIGNALS
    )
    if not any(column.role == "mass_change" for column in columns):
        msg = f"the file holds no mass signal; it has {', '.join(table.schema.names)}"
        raise ReadError(msg, expected="a TG or STA run", hint="Check that the measurement was not DSC only.")
    program = facts.get("temperature_program", {})
    stages = [program[name] for name in sorted(program, key=lambda name: int("0" + re.sub(r"\D", "", name)))]
    recorded = [stage for stage in stages if stage.get("stage_type") == 1]

    def of(stage: dict[str, Any], key: str) -> float:
        return float(stage.get(key, 0.0))

    rates = (
        of(stage, "heating_rate")
        for stage, before in zip(stages[1:], stages, strict=False)
        if stage in recorded and of(stage, "heating_rate") > 0 and of(stage, "temperature") > of(before, "temperature")
    )
    time = next((c.values for c in columns if c.role == "time"), None)
    segment = None
    if time is not None and recorded:  # recorded stages follow each other, each as long as it states
        ends = np.cumsum([of(stage, "time") for stage in recorded])
        segment = numbered(np.minimum(np.searchsorted(ends, time - 1e-6, side="right"), len(ends) - 1))
    # the gas of a stage is that of the one purge line that flows
    gas_rows: list[tuple[int, Atmosphere]] = []
    for number, stage in enumerate(recorded):
        open_lines = [line for line in (1, 2) if of(stage, f"purge_{line}_mfc_flow") > 0]
        purges = {str(facts.get(f"purge_{line}_mfc_gas", "")) for line in open_lines}
        row = 0 if segment is None else int(np.searchsorted(segment, number))
        gas_rows += [(row, atmosphere_of(purges.pop()) if len(purges) == 1 else "unknown")] if purges else []
    mass = facts.get("sample_mass")
    flows = [
        f"{line}: {facts[f'{line}_mfc_gas']}, {facts.get(f'{line}_mfc_flow')} ml/min"
        for line in ("purge_1", "purge_2", "protective")
        if f"{line}_mfc_gas" in facts
    ]
    words = {key: str(value) for key, value in facts.items() if value}
    text = "mass is the balance reading before the correction run is subtracted (buoyancy, about 1 % of the sample); "
    text += "pass a blank run, or export from Proteus with the correction."
    return TgaTable(
        columns=columns, lines=np.arange(len(columns[0].values), dtype=np.int64), place_of="point {}".format,
        segment=segment, initial_mass_mg=float(mass) if isinstance(mass, int | float) and mass > 0 else None,
        atmosphere=gas_rows[0][1] if gas_rows else "unknown", gas_rows=tuple(gas_rows),
        heating_rate_k_min=agreed(rates),
        corrected=False, metadata=named_facts(words, _BINARY_METADATA, gases=flows), messages=(NOT_CORRECTED(text),),
    )  # fmt: skip


def _decode(source: SourceFile) -> Any:
    """Table that pyngb makes of the archive, bounded before."""
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError) as problem:
        msg, hint = f"the archive is damaged: {problem}", "Copy it again from the instrument."
        raise ReadError(msg, expected="a complete NGB file", hint=hint) from problem
    if size > MAX_EXPANDED_BYTES:
        raise ReadError(f"the archive unpacks to {size} bytes, more than the {MAX_EXPANDED_BYTES} that are read")
    try:
        import pyngb
    except ImportError as problem:
        msg = "Reading NETZSCH binary files needs pyngb: pip install xrdcomp[ngb] (or export as text from Proteus)"
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
