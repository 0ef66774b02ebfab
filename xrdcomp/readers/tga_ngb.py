"""NETZSCH binary files (``.ngb-ss3``, ``.ngb-ds3``, ``.ngb-bs3``), opened by the optional package pyngb.

The file holds the change of mass in mg as the balance gave it: the correction run that Proteus subtracts on
export is not in it. The mass weighed in is added, and a warning says what is missing.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.readers.registry import TgaOptions, TgaReader
from xrdcomp.readers.source import MAX_EXPANDED_BYTES, SourceFile
from xrdcomp.readers.tga_columns import Column, column_of
from xrdcomp.readers.tga_run import build_run
from xrdcomp.readers.tga_table import TgaTable, atmosphere_of, note
from xrdcomp.types import Atmosphere, FloatArray, IntArray, TgaRun

__all__ = ["READER", "stage_of_time"]

FORMAT_ID = "netzsch_ngb"
_NAMES = {
    "time": ("Time", "s"),
    "sample_temperature": ("Sample temperature", "°C"),
    "furnace_temperature": ("Furnace temperature", "°C"),
    "mass": ("Mass change", "mg"),
}
MAX_POINTS = 2_000_000


def _read(source: SourceFile, options: TgaOptions) -> TgaRun:
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
            atmosphere=_atmosphere(facts, stages),
            heating_rate_k_min=_heating_rate(stages),
            metadata=_metadata(facts),
            diagnostics=(note("TGA_NOT_CORRECTED", text, severity="warning"),),
        ),
        options,
        source,
        FORMAT_ID,
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
        if name in _NAMES:
            values: FloatArray = np.asarray(table.column(name).to_numpy(), dtype=np.float64)
            label, unit = _NAMES[name]
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


def _heating_rate(stages: list[dict[str, Any]]) -> float | None:
    rates = {
        float(stage["heating_rate"])
        for stage, before in zip(stages[1:], stages, strict=False)
        if stage.get("stage_type") == 1
        and float(stage.get("heating_rate", 0.0)) > 0
        and float(stage.get("temperature", 0.0)) > float(before.get("temperature", 0.0))
    }
    return rates.pop() if len(rates) == 1 else None


def _atmosphere(facts: dict[str, Any], stages: list[dict[str, Any]]) -> Atmosphere:
    """Gas of the purge lines that flow while stages are recorded; "unknown" where there are several."""
    gases = {
        str(facts.get(f"purge_{line}_mfc_gas", ""))
        for stage in stages
        for line in (1, 2)
        if stage.get("stage_type") == 1 and float(stage.get(f"purge_{line}_mfc_flow", 0.0)) > 0
    }
    return atmosphere_of(gases.pop()) if len(gases) == 1 else "unknown"


def _metadata(facts: dict[str, Any]) -> dict[str, str | float | int | bool]:
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


def _sniff(source: SourceFile) -> float:
    if not source.data.startswith(b"PK\x03\x04"):
        return 0.0
    return 0.95 if b"Streams/stream_" in source.head else 0.0


READER = TgaReader(
    id=FORMAT_ID,
    name="NETZSCH binary (NGB)",
    extensions=("ngb-ss3", "ngb-ds3", "ngb-bs3", "ngb-st9", "ngb-sd3"),
    sniff=_sniff,
    read=_read,
    extras=("ngb",),
)
