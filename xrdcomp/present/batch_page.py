"""The page of a batch: one row a specimen, sortable and filterable, with links to the single results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from xrdcomp.present.html import template_environment
from xrdcomp.present.tables import label_of, percent
from xrdcomp.results import Estimate

COLUMNS = (
    "crystalline_hydroxyapatite", "organic", "water", "carbonate", "amorphous_mineral", "other_crystalline",
    "unidentified_crystalline",
)  # fmt: skip
"""Components in the order of the table; those that no specimen has are left out."""


def render_batch_page(rows: Sequence[Mapping[str, Any]], *, title: str = "Batch") -> str:
    """One self-contained page of a batch; `rows` are those of `xrdcomp.batch.tables`."""
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    listed = [
        {
            "id": row["sample_id"],
            "status": row["status"],
            "cells": [(_estimate(row, name), row.get(name)) for name in shown],
            "detected": str(row.get("phases_detected") or "").split(),
            "text": row.get("error") or row.get("verdict") or "",
            "has_result": row.get("error_kind") is None,
        }
        for row in rows
    ]
    return (
        template_environment()
        .get_template("batch.html.j2")
        .render(
            rows=listed, heads=[label_of(name) for name in shown], title=title, total=len(rows),
            counts=Counter(str(row["status"]) for row in rows),
            basis=", ".join(sorted({str(row["basis"]).replace("_", " ") for row in rows if row.get("basis")})),
        )
    )  # fmt: skip


def _estimate(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "–"
    return percent(Estimate(value=row[name], std=row.get(f"{name}_std")), unit=False)
