"""Rows of a batch, and its table as CSV and Parquet with the units of the columns beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xrdcomp.batch.specimens import MEASUREMENTS, Specimen
from xrdcomp.disk import no_formula, whole_file, write_whole
from xrdcomp.results import Estimate, SampleResult

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ENDS = ("", "_std", "_low", "_high")
_SUMS = ("crystalline", "non_crystalline", "total_mineral", "organic_and_water")
_STEPS = ("water", "organic", "carbonate")
UNITS = {"rwp": "1", "gof": "1", "cpu_s": "s", "initial_mass": "mg", "heating_rate": "K/min"}
"""Units of columns that are not mass fractions (1, of the specimen on its basis) and not text."""
_TEXT = (
    "sample_id", "status", "verdict", "error_kind", "error", *MEASUREMENTS, "basis", "method", "phases_detected",
    "phases_inconclusive", "warnings", "errors",
)  # fmt: skip


def failed_row(specimen: Specimen, kind: str, message: str) -> dict[str, Any]:
    """Row of a specimen that could not be analysed."""
    return {**_about(specimen), "status": "failed", "error_kind": kind, "error": message}


def _about(specimen: Specimen) -> dict[str, Any]:
    files = {kind: Path(file).name for kind, file in specimen.files.items()}
    return {"sample_id": specimen.sample_id, **{kind: files.get(kind) for kind in MEASUREMENTS}}


def row_of(specimen: Specimen, result: SampleResult) -> dict[str, Any]:
    """Row of a specimen that was analysed: fractions with standard uncertainty and the ends of the 95 % interval."""
    composition = result.composition
    row: dict[str, Any] = {
        **_about(specimen),
        "status": result.status,
        "verdict": getattr(result, "verdict", None),
        "error_kind": None,
        "error": None,
        "basis": composition.basis,
        "method": composition.method,
    }
    for name, estimate in composition.components.items():
        row |= _columns(name, estimate)
    for name in _SUMS:
        row |= _columns(name, composition.identifiable_sums.get(name))
    for claim in result.claims:
        row[f"p_{claim.id}"] = claim.probability
    row["phases_detected"] = " ".join(phase.id for phase in result.phases if phase.decision == "detected")
    row["phases_inconclusive"] = " ".join(phase.id for phase in result.phases if phase.undecided)
    if (fit := result.xrd) is not None:
        row |= {"rwp": fit.rwp, "gof": fit.gof}
    if (tga := result.tga) is not None:
        losses = {step.name: step.mass_loss for step in tga.steps}
        for name in _STEPS:
            row |= _columns(f"loss_{name}", losses.get(name))
        row |= _columns("residue", tga.residue)
    for severity in ("warning", "error"):
        row[f"{severity}s"] = " ".join(m.code for m in result.messages if m.severity == severity)
    return row


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None:
        return dict.fromkeys(f"{name}{end}" for end in _ENDS)
    low, high = estimate.ci95 or (None, None)
    return dict(zip((f"{name}{end}" for end in _ENDS), (estimate.value, estimate.std, low, high), strict=True))


def to_dataframe(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Table of a batch, one row a specimen; ``attrs["units"]`` holds the unit of every column."""
    import pandas as pd

    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pd.DataFrame.from_records([{name: row.get(name) for name in names} for row in rows], columns=names)
    for name in names:
        table[name] = table[name].astype("string" if name in _TEXT else "float64")
    table.attrs["units"] = {name: "" if name in _TEXT else UNITS.get(name, "1") for name in names}
    return table


def write_tables(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write results.csv, its description (CSV on the Web), and results.parquet where pyarrow is installed."""
    units: dict[str, str] = table.attrs["units"]
    written = [folder / "results.csv", folder / "results.csv-metadata.json"]
    text = table.map(no_formula).to_csv(index=False, lineterminator="\n")
    write_whole(written[0], text, overwrite=_is_ours(written[0]))
    described = csv_description("results.csv", units, "sample_id")
    write_whole(written[1], described)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return written
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {"creator": "xrdcomp", "units": json.dumps(units)}
    arrow = arrow.cast(arrow_schema(units).with_metadata(metadata))
    target = folder / "results.parquet"
    with whole_file(target) as work:
        pq.write_table(arrow, work, compression="zstd")
    return [*written, target]


def csv_description(name: str, units: Mapping[str, str], key: str) -> str:
    """Describe a table in CSV as CSV on the Web has it: type and unit of every column; a unit "" is text."""
    columns = [
        {"name": column, "titles": column, "datatype": "number" if unit else "string"}
        | ({"schema:unitText": unit} if unit else {})
        for column, unit in units.items()
    ]
    described = {
        "@context": ["http://www.w3.org/ns/csvw", {"schema": "http://schema.org/"}],
        "url": name,
        "dc:creator": "xrdcomp",
        "tableSchema": {"columns": columns, "primaryKey": key},
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def arrow_schema(units: Mapping[str, str], whole: Sequence[str] = ()) -> pa.Schema:
    """Columns of a Parquet table with the unit of each; a unit "" is text, `whole` are counted."""
    import pyarrow as pa

    kinds = {
        name: pa.int64() if name in whole else pa.float64() if unit else pa.string() for name, unit in units.items()
    }
    return pa.schema([pa.field(name, kind, metadata={"unit": units[name]}) for name, kind in kinds.items()])


def _is_ours(file: Path) -> bool:
    """Tell whether a table that stands there has the head of one that was written here."""
    head = ",".join(_TEXT[:1] + MEASUREMENTS).encode()
    try:
        with file.open("rb") as stream:
            return stream.read(len(head)) == head
    except OSError:
        return False
