"""Figure and page of a series: every quantity along its coordinate, or as a map."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from xrdcomp.present.colours import BLUE
from xrdcomp.present.html import template_environment
from xrdcomp.present.report import report_time
from xrdcomp.present.style import NARROW_MM, WIDTHS, figure_mm, figure_style, freeze_layout, to_png
from xrdcomp.results import SeriesView

_MOST_PANELS = 12


def label_of_column(name: str, unit: str) -> str:
    """Words and unit of a column."""
    word = {"rwp": "Rwp", "gof": "goodness of fit"}.get(name)
    if word is None:
        word = name.replace("crystalline_weight_fraction_", "crystals: ").replace("amount_", "amount: ")
        word = word.removesuffix("_nm").removesuffix("_mm").removesuffix("_deg").replace("_", " ")
    return f"{word} ({unit})" if unit not in ("1", "", "arbitrary") else word


def shown_quantities(view: SeriesView) -> list[str]:
    """Quantities of the figure: shares of the crystals where there are several, else amounts; cells, sizes, fit."""
    shares = [name for name in view.quantities if name.startswith("crystalline_weight_fraction_")]
    left_out = ("amount_",) if len(shares) > 1 else ("crystalline_weight_fraction_",)
    amounts = [name for name in view.quantities if name.startswith(("crystalline_weight_fraction_", "amount_"))]
    every = amounts + [name for name in view.quantities if name not in amounts]
    found = [name for name in every if not name.startswith(left_out) and np.isfinite(view.quantities[name]).any()]
    return found[:_MOST_PANELS]


def plot_series(view: SeriesView, *, width_mm: float = WIDTHS["double"]) -> Figure:
    """Panels of the quantities: a line with its standard uncertainty along the coordinate, or a map."""
    names = shown_quantities(view)
    is_map = len(view.axes) == 2
    columns = 1 if width_mm < NARROW_MM else min(3 if is_map else 2, max(len(names), 1))
    rows = -(-len(names) // columns)
    with figure_style():
        figure = figure_mm(width_mm, rows * (52.0 if is_map else 38.0) + 4.0)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, name in zip(panels, names, strict=False):
            (_map if is_map else _line)(panel, view, name)
        for panel in panels[len(names) :]:
            panel.set_axis_off()
    freeze_layout(figure)
    return figure


def _line(panel: Any, view: SeriesView, name: str) -> None:
    (axis, unit, x), y, std = view.axes[0], view.quantities[name], view.stds.get(name)
    if std is not None:
        panel.fill_between(x, y - std, y + std, color=BLUE, alpha=0.25, linewidth=0)
    panel.plot(x, y, color=BLUE, linewidth=0.8)
    if std is not None and np.isfinite(y).any():  # a few wild uncertainties must not flatten the rest
        low, high = np.nanmin(y), np.nanmax(y)
        room = max(0.08 * (high - low), 1.5 * float(np.nanmedian(std)))
        panel.set_ylim(low - room, high + room)
    panel.set_xlabel(label_of_column(axis, unit))
    panel.set_title(label_of_column(name, view.units[name]), loc="left")
    panel.ticklabel_format(useOffset=False)


def _map(panel: Any, view: SeriesView, name: str) -> None:
    (row, row_unit, y), (column, column_unit, x) = view.axes
    values = view.quantities[name]
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [1.0, 99.0])
    mesh = panel.pcolormesh(x, y, values, shading="nearest", cmap="viridis", vmin=low, vmax=high, rasterized=True)
    if row_unit == column_unit and 0.4 < np.ptp(y) / max(float(np.ptp(x)), 1e-12) < 2.5:
        panel.set_aspect("equal")
    panel.set_xlabel(label_of_column(column, column_unit))
    panel.set_ylabel(label_of_column(row, row_unit))
    panel.set_title(label_of_column(name, view.units[name]), loc="left")
    bar = panel.figure.colorbar(mesh, ax=panel, extend="both", fraction=0.06, shrink=0.75)
    bar.ax.ticklabel_format(useOffset=False)


def render_series_page(
    view: SeriesView, figure: Figure, *, title: str, facts: Mapping[str, str], links: Mapping[str, str]
) -> str:
    """One self-contained page: what was fitted, the figure, and the range of every quantity."""
    rows = []
    for name in shown_quantities(view):
        values, std = view.quantities[name], view.stds.get(name)
        finite = values[np.isfinite(values)]
        median, low, high = np.percentile(finite, [50.0, 2.5, 97.5])
        usual = None if std is None else float(np.nanmedian(std))
        cells = [f"{value:.6g}" for value in (median, low, high)] + ["–" if usual is None else f"{usual:.2g}"]
        rows.append((label_of_column(name, view.units[name]), cells))
    image = base64.b64encode(to_png(figure)).decode("ascii")
    return template_environment().get_template("series.html.j2").render(
        title=title, facts=facts, rows=rows, image=image, links=links, is_map=len(view.axes) == 2,
        written=report_time().strftime("%Y-%m-%d %H:%M %Z"),
    )  # fmt: skip
