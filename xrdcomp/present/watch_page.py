"""The status page of a folder watch: specimens with verdicts, and files that are not finished or cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from xrdcomp.present.batch_page import COLUMNS
from xrdcomp.present.html import template_environment
from xrdcomp.present.tables import label_of, percent
from xrdcomp.results import Estimate

STATES = {
    "growing": "being written",
    "waiting": "waited for",
    "damaged": "cannot be read",
    "left_out": "left out",
    "copy": "known",
}


def render_watch_page(state: Mapping[str, Any], *, updated: str, every_s: int = 10) -> str:
    """One self-contained page that loads itself anew every `every_s` seconds; `state` is that of ``xrdcomp.qc.watch``.

    `updated` says when the state was that.
    """
    rows = state["specimens"]
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    listed = [
        {
            "id": row["sample_id"],
            "status": row["status"],
            "qc": row["qc"],
            "cells": [_amount(row, name) for name in shown],
            "text": row["qc_text"] or row.get("error") or row.get("verdict") or "",
            "has_result": row.get("error_kind") is None,
        }
        for row in rows
    ]
    files = [{**file, "words": STATES[file["state"]]} for file in state["files"]]
    told = {key: state[key] for key in ("folder", "policy", "problem")}
    return template_environment().get_template("watch.html.j2").render(
        **told, rows=listed, heads=[label_of(name) for name in shown], files=files, updated=updated, every_s=every_s,
        counts=Counter(row["qc"] for row in rows), states=Counter(file["state"] for file in files),
    )  # fmt: skip


def _amount(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "–"
    return percent(Estimate(value=row[name], std=row.get(f"{name}_std")), unit=False)
