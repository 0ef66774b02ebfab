"""The page of many specimens: a table to sort and filter, compositions side by side, patterns and curves together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import numpy as np

from xrdcomp.errors import printable
from xrdcomp.present.drawings import RIGHT, WIDTH, Panel, svg, thinned
from xrdcomp.present.html import specimen_basics
from xrdcomp.present.report import (
    as_script_data,
    bokeh_script,
    messages_of,
    page_environment,
    pattern_data,
    report_time,
    tga_data,
)
from xrdcomp.present.tables import CLAIM_ORDER, label_of, percent
from xrdcomp.results import Estimate, SampleResult

COLUMNS = (
    "crystalline_hydroxyapatite", "organic", "water", "carbonate", "amorphous_mineral", "other_crystalline",
    "unidentified_crystalline",
)  # fmt: skip
"""Components in the order of the table; those that no specimen has are left out."""
CLAIM_HEADS = dict(zip(CLAIM_ORDER, ("HA present", "HA only", "HA minor", "organic > half"), strict=True))
MARKS = {"supported": "yes", "refuted": "no", "inconclusive": "open"}
MOST_OVERLAID, MOST_DETAILED = 60, 20
"""Specimens whose curves are in the page, and up to which each has a section of its own."""
VALUES_OF_CURVES = 200_000
NAMES, LINE, MOST_LETTERS = 150, 13.0, 18
"""Names beside curves that lie over each other: width of their margin, height of a line, pixels; letters."""
AXES = ("organic", "crystalline_hydroxyapatite")


def page_row(result: SampleResult) -> dict[str, Any]:
    """Row of the page's table for one result, with the keys of ``results.csv``."""
    row: dict[str, Any] = {"sample_id": result.sample_id, "status": result.status, "verdict": result.verdict}
    for name, estimate in result.composition.components.items():
        row |= {name: None, f"{name}_std": None} if estimate is None else {
            name: estimate.value, f"{name}_std": estimate.std
        }  # fmt: skip
    row["basis"] = result.composition.basis
    row["phases_detected"] = " ".join(phase.id for phase in result.phases.detected)
    return row


def groups_of(names: Sequence[str]) -> list[str]:
    """Word after the last underscore of each name where it sorts all into two to five groups, else "" for each."""
    words = [name.rpartition("_")[2] if "_" in name else "" for name in names]
    counts = Counter(words)
    told = all(word.isalpha() for word in words) and 2 <= len(counts) <= 5 and min(counts.values()) >= 2
    return words if told else [""] * len(names)


def render_batch_page(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str = "Batch",
    results: Sequence[SampleResult] = (),
    links: Mapping[str, str] | None = None,
    table_link: str = "results.csv",
) -> str:
    """One self-contained page of many specimens.

    `rows` are those of `xrdcomp.batch.tables` or of `page_row`. The curves of `results` are shown together; `links`
    are the pages of single specimens, by sample id (else the folders of a batch), `table_link` the table beside it.
    """
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    by_id = {result.sample_id: result for result in results}
    names = [str(row["sample_id"]) for row in rows]
    groups = dict(zip(names, groups_of(names), strict=True))
    listed = [
        {
            "id": row["sample_id"], "status": row["status"], "group": groups[str(row["sample_id"])],
            "cells": [_cell(row, name, by_id.get(str(row["sample_id"]))) for name in shown],
            "claims": _claims(by_id.get(str(row["sample_id"]))),
            "detected": str(row.get("phases_detected") or "").split(),
            "text": row.get("error") or row.get("verdict") or "",
            "href": _link(row, links), "shares": _shares(row, shown),
        }
        for row in rows
    ]  # fmt: skip
    overlaid = list(results)[:MOST_OVERLAID]
    values = VALUES_OF_CURVES // max(len(overlaid), 1)
    data: dict[str, Any] = {
        "kind": "cohort",
        "patterns": [pattern_data(r, min(values, 9000), parts=False) for r in overlaid if r.xrd is not None],
        "tga": [tga_data(r, max(200, min(values // 3, 1500))) for r in overlaid if r.tga is not None],
    }
    for pattern in data["patterns"]:
        del pattern["curves"][1:]  # measured points are enough where patterns are compared
    detailed = results if len(results) <= MOST_DETAILED else ()
    text: str = (
        page_environment()
        .get_template("batch.html.j2")
        .render(
            rows=listed, shown=shown, heads=[label_of(name) for name in shown], title=title, total=len(rows),
            counts=Counter(str(row["status"]) for row in rows),
            claim_heads=list(CLAIM_HEADS.values()) if results else [],
            basis=", ".join(sorted({str(row["basis"]).replace("_", " ") for row in rows if row.get("basis")})),
            simulated=any(result.metadata.get("simulated") for result in results),
            has_truth=any(result.metadata.get("truth") for result in results),
            ellipses=ellipses_svg(results), lanes=lanes_svg(results, groups), grouped=any(groups.values()),
            patterns_svg=overlay_svg(overlaid, "xrd"), curves_svg=overlay_svg(overlaid, "tga"), table_link=table_link,
            specimens=[
                specimen_basics(result)
                | {"messages": messages_of(result), "href": _link({"sample_id": result.sample_id}, links)}
                for result in detailed
            ],
            overlaid=len(overlaid), data=as_script_data(data), written=report_time(),
            bokeh=bokeh_script() if data["patterns"] or data["tga"] else "",
        )
    )  # fmt: skip
    return text


def _link(row: Mapping[str, Any], links: Mapping[str, str] | None) -> str:
    if row.get("error_kind") is not None:
        return ""
    name = str(row["sample_id"])
    return links.get(name, "") if links is not None else f"{quote(name)}/result.json"


def _cell(row: Mapping[str, Any], name: str, result: SampleResult | None) -> dict[str, Any]:
    """One number of the table: text, value to sort by, its place in result.json, truth of a simulation."""
    value = row.get(name)
    text = "–" if value is None else percent(Estimate(value=value, std=row.get(f"{name}_std")), unit=False)
    truth = (result.metadata.get("truth") or {}).get(name) if result is not None else None
    return {"text": text, "value": value, "path": f"composition.components.{name}", "truth": truth}


def _claims(result: SampleResult | None) -> list[dict[str, Any]]:
    known = {claim.id: (i, claim) for i, claim in enumerate(result.claims)} if result is not None else {}
    found = []
    for name in CLAIM_ORDER:
        number, claim = known.get(name, (0, None))
        found.append(
            {"verdict": "" if claim is None else MARKS[claim.verdict], "path": f"claims.{number}.probability",
             "probability": None if claim is None else claim.probability}
        )  # fmt: skip
    return found


def _shares(row: Mapping[str, Any], shown: Sequence[str]) -> list[tuple[str, float]]:
    """Parts of the stacked bar: name and width in per cent; what is not determined stays open."""
    return [(name, max(0.0, 100.0 * row[name])) for name in shown if row.get(name) is not None]


def ellipses_svg(results: Sequence[SampleResult]) -> Any:
    """Hydroxyapatite against organic, each with the ellipse that holds 95 %; "" where fewer than two have both."""
    from markupsafe import Markup

    known = [r for r in results if all(r.composition.components.get(name) is not None for name in AXES)]
    if len(known) < 2:
        return ""
    drawn, ends = [], []
    turn = np.linspace(0.0, 2.0 * np.pi, 73)
    for result in known:
        part = [result.composition.components[name] for name in AXES]
        centre = np.array([estimate.value for estimate in part if estimate is not None])
        names = list(result.composition.covariance_names)
        if all(name in names for name in AXES):
            matrix = result.composition.covariance[np.ix_(*[[names.index(name) for name in AXES]] * 2)]
        else:
            matrix = np.diag([(estimate.std or 0.0) ** 2 for estimate in part if estimate is not None])
        variances, vectors = np.linalg.eigh(matrix)
        radii = np.sqrt(5.991 * np.clip(variances, 0.0, None))  # χ² of two numbers, 95 %
        outline = centre + (np.column_stack([np.cos(turn), np.sin(turn)]) * radii) @ vectors.T
        drawn.append((result.sample_id, 100.0 * centre, 100.0 * outline))
        ends.append(100.0 * outline)
    every = np.vstack(ends)
    low, high = np.clip(every.min(axis=0) - 2.0, 0.0, None), every.max(axis=0) + 3.0
    panel = Panel(top=12, height=380, x=(float(low[0]), float(high[0])), y=(float(low[1]), float(high[1])))
    parts = []
    for i, (name, centre, outline) in enumerate(drawn):
        x, y = float(panel.px(centre[0])), float(panel.py(centre[1]))
        anchor = "end" if x > WIDTH - 140 else "start"
        text = escape(printable(name))
        parts.append(panel.line(outline[:, 0], outline[:, 1], f"c phase{i % 7}"))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{text}</title></circle>')
        parts.append(f'<text class="small" x="{x + (6 if anchor == "start" else -6):.1f}" y="{y - 5:.1f}" '
                     f'text-anchor="{anchor}">{text}</text>')  # fmt: skip
    parts.append(panel.frame("crystalline hydroxyapatite (wt%)", xlabel="organic (wt%)"))
    told = "Hydroxyapatite against organic of every specimen with the ellipse that holds 95 %"
    return Markup(svg(440, "Cohort", told, parts))


def lanes_svg(results: Sequence[SampleResult], groups: Mapping[str, str]) -> Any:
    """Each component over all specimens, a lane for each group, with 95 % intervals."""
    from markupsafe import Markup

    names = [n for n in COLUMNS if any(r.composition.components.get(n) is not None for r in results)]
    if len(results) < 2 or not names:
        return ""
    kinds = list(dict.fromkeys(groups.get(r.sample_id, "") for r in results))
    most = max(sum(groups.get(r.sample_id, "") == kind for r in results) for kind in kinds)
    step = max(2.0, min(7.0, 60.0 / most))
    lane = most * step + 12
    parts, y = [], 10.0
    panel = Panel(top=10, height=lane * len(names) * len(kinds), x=(0.0, 100.0), y=(0.0, 1.0))
    left = 190
    width = WIDTH - RIGHT - left

    def place(value: float) -> float:
        return left + width * min(max(value, 0.0), 1.0)

    for i, name in enumerate(names):
        if i:
            parts.append(f'<path class="axis" stroke-opacity="0.3" d="M8 {y:.1f}H{WIDTH - RIGHT}"/>')
        for number, kind in enumerate(kinds):
            label = label_of(name).replace("crystalline hydroxyapatite", "hydroxyapatite")
            told = label if not number else ""
            parts.append(f'<text x="8" y="{y + 14:.1f}">{escape(told)}</text>')
            parts.append(f'<text class="small" x="{left - 8}" y="{y + 14:.1f}" text-anchor="end">{escape(kind)}</text>')
            at = y + 8
            for result in results:
                if groups.get(result.sample_id, "") != kind:
                    continue
                if (estimate := result.composition.components.get(name)) is not None:
                    a, b, x = place(estimate.low), place(estimate.high), place(estimate.value)
                    text = escape(printable(f"{result.sample_id}: {percent(estimate)}"))
                    disc = f"M{x - 2.6:.1f} {at:.1f}a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0z"
                    diamond = f"M{x:.1f} {at - 3.4:.1f}l3.4 3.4l-3.4 3.4l-3.4 -3.4z"
                    parts.append(f'<path class="c phase{number % 7}" d="M{a:.1f} {at:.1f}H{b:.1f}"/>')
                    parts.append(f'<path d="{diamond if number % 2 else disc}"><title>{text}</title></path>')
                at += step
            y += lane
    bottom = panel.top + panel.height
    for tick in range(0, 101, 10):
        x = place(tick / 100)
        parts.append(f'<path class="axis" stroke-opacity="0.15" d="M{x:.1f} 10V{bottom:.1f}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{tick}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{bottom + 34:.1f}" text-anchor="middle">wt%</text>')
    told = "Every component over all specimens by group, with 95 % intervals"
    return Markup(svg(bottom + 42, "Cohort", told, parts))


def overlay_svg(results: Sequence[SampleResult], kind: str) -> Any:
    """Patterns (relative to their highest point) or mass curves of many specimens above each other."""
    from markupsafe import Markup

    curves = []
    for result in results:
        if kind == "xrd" and result.xrd is not None:
            rows = thinned(result.xrd.observed, 700)
            top = float(result.xrd.observed.max()) or 1.0
            curves.append((result.sample_id, result.xrd.two_theta[rows], 100.0 * result.xrd.observed[rows] / top))
        elif kind == "tga" and result.tga is not None:
            rows = np.unique(np.linspace(0, len(result.tga.temperature_c) - 1, 200).astype(int))
            curves.append((result.sample_id, result.tga.temperature_c[rows], 100.0 * result.tga.mass_fraction[rows]))
    if not curves:
        return ""
    offset = 30.0 if kind == "xrd" else 0.0
    shifted = [(name, x, y + offset * i) for i, (name, x, y) in enumerate(curves)]
    ends = [(float(x.min()), float(x.max()), float(y.min()), float(y.max())) for _, x, y in shifted]
    low, high = min(e[2] for e in ends), max(e[3] for e in ends)
    height = max(340.0 if kind == "tga" else min(640.0, 200 + 40.0 * len(curves)), LINE * len(curves))
    span = (min(e[0] for e in ends), max(e[1] for e in ends))
    panel = Panel(top=10, height=height, x=span, y=(low - 0.02 * (high - low), high), right=NAMES)
    parts = [panel.line(x, y, f"c phase{i % 7}") for i, (_, x, y) in enumerate(shifted)]
    # names at the ends of the curves, moved up and down as far as they need room
    last = np.array([float(panel.py(y[-1])) for _, _, y in shifted])
    order = np.argsort(last, kind="stable")
    places = last[order]
    steps = LINE * np.arange(len(order))
    places = np.maximum.accumulate(places - steps) + steps
    places = np.minimum(places, panel.top + height - steps[::-1])
    right = WIDTH - NAMES
    for at, i in zip(places.tolist(), order.tolist(), strict=True):
        name, x, _ = shifted[i]
        text, end = printable(name), float(panel.px(x[-1]))
        text = f"{text[: MOST_LETTERS - 1]}…" if len(text) > MOST_LETTERS else text
        lead = f"M{end:.1f} {last[i]:.1f}L{right + 14} {at:.1f}"
        parts.append(f'<path class="c phase{i % 7}" style="stroke-width:1" d="{lead}"/>')
        parts.append(f'<text class="small" x="{right + 18}" y="{at + 4:.1f}">{escape(text)}</text>')
    labels = (
        ("intensity (% of the highest), shifted", "2θ (°)") if kind == "xrd" else ("mass (wt%)", "temperature (°C)")
    )
    parts.append(panel.frame(labels[0], xlabel=labels[1]))
    return Markup(svg(panel.top + panel.height + 44, "Cohort", f"{len(curves)} specimens: {labels[0]}", parts))
