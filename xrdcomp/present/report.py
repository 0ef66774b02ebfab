"""The pages of results: one self-contained file each, the answer first; from typed fields alone, computes nothing.

A page holds drawings (`xrdcomp.present.drawings`), tables, the curves as base64 of float32, and, once, the script of
Bokeh, which is read from the installed package as text: importing it would take longer than writing the page. Every
number of a result carries ``data-path``, its place in ``result.json``, so that a test can hold them together.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.data import Diagnostic
from xrdcomp.errors import printable
from xrdcomp.present.colours import UNIDENTIFIED_LINE, phase_colours
from xrdcomp.present.drawings import amorphous_index, construction, drawings_of, hkl_text, thinned
from xrdcomp.present.exchange import tables_of
from xrdcomp.present.html import specimen_basics, template_environment
from xrdcomp.present.methods import methods_of
from xrdcomp.present.tables import (
    MESSAGE_HEADS,
    STATUS_WORDS,
    brackets,
    budget_label,
    by_decision,
    decimals,
    label_of,
    microstructure_columns,
    microstructure_of,
    step_label,
)
from xrdcomp.present.toml import to_toml
from xrdcomp.results import Estimate, SampleResult

VALUES_A_PAGE = 110_000
"""Numbers of curves in a page of one specimen: some 600 kB."""
MOST_POINTS = 8000
LEAST_SHARE, MOST_INPUTS = 0.005, 5
MOST_PEAKS = 60


def bokeh_script() -> str:
    """Script of Bokeh as its package has it; "" where the package is not installed, and pages then do without."""
    found = importlib.util.find_spec("bokeh")
    if found is None or not found.submodule_search_locations:
        return ""
    file = Path(next(iter(found.submodule_search_locations))) / "server" / "static" / "js" / "bokeh.min.js"
    return file.read_text(encoding="utf-8").replace("</script", "<\\/script") if file.is_file() else ""


def report_time() -> datetime:
    """Now, or the time that SOURCE_DATE_EPOCH names, for pages that are to be the same from run to run."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(stated), UTC) if stated.isdecimal() else datetime.now(UTC)


def as_script_data(data: Any) -> str:
    """JSON that cannot end its script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _packed(values: Any) -> str:
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode("ascii")


def pattern_data(result: SampleResult, most_values: int = VALUES_A_PAGE, *, parts: bool = True) -> dict[str, Any]:
    """Curves, reflections and unexplained peaks of a fit for `plots.js`; `parts` with background, phases and so on."""
    fit = result.xrd
    assert fit is not None, "asked for only where a pattern was fitted"
    colours = phase_colours(fit.reflections)
    curves: list[tuple[str, str, int | str, Any]] = [
        ("observed", "observed", 0, fit.observed), ("calculated", "calculated", 0, fit.calculated)
    ]  # fmt: skip
    if parts:
        curves.append(("background", "background", 0, fit.background))
        curves += [
            ("amorphous", f"+ {label_of(name)}", amorphous_index(name), fit.background + curve)
            for name, curve in fit.amorphous.items() if curve.any()
        ]  # fmt: skip
        curves += [
            ("phase", f"+ {label_of(name)}", colours[name], fit.background + fit.phases[name])
            for name in fit.reflections if name in fit.phases
        ]  # fmt: skip
        if fit.unidentified is not None and fit.unidentified.any():
            curves.append(("phase", "+ unidentified crystals", UNIDENTIFIED_LINE, fit.background + fit.unidentified))
        curves.append(("difference", "difference / σ", 0, (fit.observed - fit.calculated) / fit.sigma))
    rows = thinned(fit.observed, min(MOST_POINTS, max(200, most_values // (len(curves) + 1))))
    reflections = [
        {
            "phase": label_of(name), "colour": colours[name], "x": np.round(table.two_theta, 4).tolist(),
            "hkl": [hkl_text(hkl) for hkl in table.hkl], "i": np.round(table.intensity, 1).tolist(),
        }
        for name, table in fit.reflections.items()
    ]  # fmt: skip
    return {
        "id": printable(result.sample_id), "wavelength": fit.wavelengths[0] if fit.wavelengths else None,
        "unit": result.metadata.get("intensity_unit", "arbitrary"), "points": len(rows), "all": len(fit.two_theta),
        "x": _packed(fit.two_theta[rows]), "reflections": reflections if parts else [],
        "curves": [
            {"role": role, "label": label, "look": look, "y": _packed(values[rows])}
            for role, label, look, values in curves
        ],
        "unexplained": [
            {"x": peak["two_theta"], "label": ", ".join(peak["candidates"])}
            for peak in result.metadata.get("unexplained_peaks") or () if parts
        ],
    }  # fmt: skip


def tga_data(result: SampleResult, most: int = 3000) -> dict[str, Any]:
    """Curve, rate and steps with their constructions of a run for `plots.js`."""
    tga = result.tga
    assert tga is not None, "asked for only where a run was measured"
    rows = np.unique(np.linspace(0, len(tga.temperature_c) - 1, most).astype(int))
    steps = []
    for step in tga.steps:
        tangent = construction(tga, step.onset_c, step.peak_c, step.endset_c)
        steps.append(
            {
                "label": step_label(step.name), "start": step.start_c, "end": step.end_c, "onset": step.onset_c,
                "tangent": None if tangent is None else {"x": tangent.x, "y": tangent.y},
            }
        )  # fmt: skip
    return {
        "id": printable(result.sample_id), "x": _packed(tga.temperature_c[rows]), "steps": steps,
        "mass": _packed(100.0 * tga.mass_fraction[rows]), "rate": _packed(100.0 * tga.dtg_per_min[rows]),
    }  # fmt: skip


def render_report(
    result: SampleResult, *, command: str = "", analysed: datetime | None = None,
    drawn: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """One self-contained page about one specimen; `command` made it, `analysed` is when, where that is not now.

    `drawn` are the drawings of `drawings_of` where they have been made already.
    """
    data: dict[str, Any] = {"kind": "specimen", "patterns": [], "tga": []}
    if result.xrd is not None:
        data["patterns"].append(pattern_data(result))
    if result.tga is not None:
        data["tga"].append(tga_data(result))
    text: str = (
        page_environment()
        .get_template("report.html.j2")
        .render(
            **specimen_context(result, drawings_of(result) if drawn is None else drawn),
            command=command or _repeating(result), data=as_script_data(data),
            bokeh=bokeh_script() if data["patterns"] or data["tga"] else "", written=report_time(),
            analysed=analysed or report_time(),
        )
    )  # fmt: skip
    return text


def _repeating(result: SampleResult) -> str:
    """Command that repeats the analysis, from the files that it read."""
    files = {item["kind"]: printable(item["file"]) for item in result.inputs if "setting" not in item}
    options = {"tga": "--tga", "xrd_blank": "--blank", "tga_blank": "--tga-blank"}
    parts = [files["xrd"]] if "xrd" in files else []
    parts += [f"{option} {files[kind]}" for kind, option in options.items() if kind in files]
    return f"xrdcomp analyze {' '.join(parts)} --recipe recipe.toml"


def page_environment() -> Any:
    """Environment of the templates, with the filters that write numbers of a result."""
    environment = template_environment()
    environment.filters |= {"brackets": brackets, "decimals": lambda estimate: decimals(100 * (estimate.std or 0.0))}
    environment.globals |= {"budget_label": budget_label, "step_label": step_label, "status_words": STATUS_WORDS}
    return environment


def messages_of(result: SampleResult) -> dict[str, list[Diagnostic]]:
    """Messages by severity."""
    return {kind: [message for message in result.messages if message.severity == kind] for kind in MESSAGE_HEADS}


def specimen_context(result: SampleResult, drawn: Mapping[str, str]) -> dict[str, Any]:
    """What the parts of a specimen's page show, with the places of its numbers in ``result.json``."""
    from markupsafe import Markup

    numbers = {phase.id: i for i, phase in enumerate(result.phases)}
    groups = by_decision(result.phases)
    tables = tables_of(result, curves=False)
    heads = microstructure_columns(groups["found"])
    measured = [
        (phase, [(place, microstructure_of(phase, place)) for place in heads]) for phase in groups["found"]
    ]  # fmt: skip
    budget = {
        name: sorted(((share, source) for source, share in parts.items() if share >= LEAST_SHARE), reverse=True)
        for name, parts in result.composition.budget.items()
    }
    settings = {name: value for name, value in result.settings.items() if name != "used"}
    return specimen_basics(result) | {
        "numbers": numbers, "groups": groups, "messages": messages_of(result), "methods": methods_of(result),
        "microstructure": {
            "heads": list(heads.values()),
            "rows": [(phase, row) for phase, row in measured if any(estimate for _, estimate in row)],
        },
        "pattern_svg": Markup(drawn.get("fit", "")), "tga_svg": Markup(drawn.get("tga", "")),
        "budget": {name: parts[:MOST_INPUTS] for name, parts in budget.items() if parts},
        "measurement": list(tables["measurement"].rows()) if "measurement" in tables else [],
        "parameters": list(result.xrd.parameters.items()) if result.xrd is not None else [],
        "correlations": _strongest_correlations(result), "peaks": _strongest_peaks(tables),
        "recipe": to_toml(settings), "used": result.settings.get("used", {}),
        "heads": MESSAGE_HEADS,
        "balance": _balance(result),
    }  # fmt: skip


def _balance(result: SampleResult) -> list[tuple[str, str, Estimate]]:
    """What each instrument says of crystals and mineral, and the composition: label, place, estimate."""
    rows: list[tuple[str, str, Estimate]] = []
    fractions = (result.metadata.get("quantification") or {}).get("fractions", {})
    for name, item in fractions.items():
        interval = tuple(item["ci95"]) if item.get("ci95") else None
        estimate = Estimate(value=item["value"], std=item.get("std"), ci95=interval)
        label = label_of(name)
        if name == "non_crystalline" and result.composition.components.get("unidentified_crystalline") is not None:
            label += " or unidentified"  # what no phase of the fit is
        rows.append((f"{label}, diffraction alone", f"metadata.quantification.fractions.{name}", estimate))
    if result.tga is not None:
        rows += [
            (f"{label_of(name)}, thermogravimetry alone", f"tga.quantities.{name}", estimate)
            for name, estimate in result.tga.quantities.items() if not estimate.unit
        ]  # fmt: skip
    rows += [
        (f"sum of {label_of(name)}, composition", f"composition.identifiable_sums.{name}", estimate)
        for name, estimate in result.composition.identifiable_sums.items()
    ]
    return rows


def _strongest_correlations(result: SampleResult, most: int = 15, least: float = 0.5) -> list[tuple[str, str, float]]:
    """Pairs of parameters whose correlation is at least `least`, the strongest first."""
    if result.xrd is None or not result.xrd.covariance.size:
        return []
    matrix, names = result.xrd.correlations, result.xrd.covariance_names
    rows, columns = np.triu_indices(len(names), 1)
    values = matrix[rows, columns]
    order = np.argsort(-np.abs(values), kind="stable")[:most]
    return [(names[rows[i]], names[columns[i]], float(values[i])) for i in order if abs(values[i]) >= least]


def _strongest_peaks(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Peak list of the page: unexplained peaks and the strongest reflections, by angle; how many there are."""
    if "peaks" not in tables:
        return {"heads": [], "rows": [], "all": 0}
    table = tables["peaks"]
    heads = list(table.columns)
    rows = [dict(zip(heads, row, strict=True)) for row in table.rows()]
    height = next((head for head in heads if head.startswith("height")), "relative_intensity (%)")
    ranked = sorted(rows, key=lambda row: (row["explained"] == "no", row[height] or 0.0), reverse=True)[:MOST_PEAKS]
    area = next((head for head in heads if head.startswith("area")), "")
    return {
        "all": len(rows), "height": height, "area": area,
        "rows": [
            row | {"hkl": hkl_text(row[i] for i in "hkl") if row.get("h") is not None else ""}
            for row in sorted(ranked, key=lambda row: float(row["two_theta (deg)"]))
        ],
    }  # fmt: skip
