"""Levey-Jennings chart of a check standard's quantity, with its CUSUM below."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import dates

from xrdcomp.errors import printable
from xrdcomp.present.colours import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION
from xrdcomp.present.style import NARROW_MM, figure_mm, figure_style, panel_title
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xrdcomp.results import ControlChart

MARKED_RUNS = 300
"""Runs up to which each has a marker and a line; more are dots, and runs beyond 2 s alone are not marked."""
STATE_LABELS = {
    "baseline": "baseline being made",
    "in_control": "in control",
    "attention": "in control, last run beyond 2 s",
    "drifting": "drifting",
    "out_of_control": "out of control",
}
RULE_LABELS = {
    "1_3s": "1-3s", "2_2s": "2-2s", "R_4s": "R-4s", "4_1s": "4-1s", "10_x": "10x", "1_2s": "1-2s", "cusum": "CUSUM",
}  # fmt: skip
_MARKS: dict[str, tuple[str, str]] = {
    "1_2s": ("o", ORANGE), "10_x": ("^", BLUE), "4_1s": ("v", BLUE), "R_4s": ("D", VERMILLION),
    "2_2s": ("s", VERMILLION), "1_3s": ("X", VERMILLION),
}  # fmt: skip


def plot_control_chart(chart: ControlChart, *, width_mm: float = 200.0) -> Figure:
    """Figure of values with mean and 1, 2, 3 standard deviations of their baseline, and of the CUSUM."""
    with figure_style():
        narrow = width_mm < NARROW_MM
        figure = figure_mm(width_mm, 125.0 if narrow else 117.0)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
        days = chart.times / 86400.0
        _draw_values(upper, chart, days)
        _draw_cusum(lower, chart, days)
        for at, reason in chart.services.items():
            for axes in (upper, lower):
                axes.axvline(at / 86400.0, color=BLACK, linewidth=0.8, linestyle=(0, (4, 2)))
            text = reason if len(reason) <= 40 else f"{reason[:39]}…"
            upper.annotate(
                printable(text), (at / 86400.0, 0.0), xycoords=("data", "axes fraction"), xytext=(3, 3),
                textcoords="offset points", fontsize=6.5, rotation=90, va="bottom",
            )  # fmt: skip
        locator = dates.AutoDateLocator(maxticks=9)  # type: ignore[no-untyped-call]  # matplotlib says no types here
        lower.xaxis.set_major_locator(locator)
        formatter = dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]  # nor here
        lower.xaxis.set_major_formatter(formatter)
        lower.set_xlabel("date of the check run (UTC)")
        if narrow:  # what is to be read stands below, not beside
            (handles, labels), (others, names) = (axes.get_legend_handles_labels() for axes in (upper, lower))
            figure.legend([*handles, *others], [*labels, *names], loc="outside lower center", ncols=2)
        else:
            for axes in (upper, lower):
                axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
        where = f"{chart.instrument}, {chart.standard}"
        panel_title(upper, f"{_label(chart.quantity)} of {where}: {STATE_LABELS[chart.state]}{_drift(chart)}")
        return figure


def _label(quantity: str) -> str:
    return quantity.replace("_", " ")


def _drift(chart: ControlChart) -> str:
    """Begin of a drift, its pace, and when it reaches the limit."""
    if chart.drift_since is None:
        return ""
    since = datetime.fromtimestamp(chart.drift_since, UTC).strftime("%Y-%m-%d")
    pace = "" if chart.drift_per_month is None else f", {chart.drift_per_month:+.2g} s a month"
    end = f", 3 s in {chart.days_to_limit:.0f} days" if chart.days_to_limit else ""
    return f" since {since}{pace}{end}" if chart.state == "drifting" else f", drift since {since}{pace}{end}"


def _draw_values(axes: Axes, chart: ControlChart, days: FloatArray) -> None:
    centre, spread = chart.centre, chart.spread
    for factor, alpha in ((3.0, 0.10), (2.0, 0.14), (1.0, 0.18)):
        axes.fill_between(
            days, centre - factor * spread, centre + factor * spread, color=GREEN, alpha=alpha, linewidth=0, step="mid"
        )
    axes.plot(days, centre, color=GREEN, linewidth=0.8, drawstyle="steps-mid", label="mean, ± 1, 2, 3 s")
    few = len(days) <= MARKED_RUNS
    style: dict[str, Any] = {"marker": ".", "markersize": 1.5, "linestyle": "none", "alpha": 0.5}
    if few:
        style = {"marker": "o", "markersize": 2.8, "linewidth": 0.5}
    shown = np.where(chart.counted, chart.values, np.nan)
    axes.plot(days, shown, color=BLACK, label="check run", **style)
    if few:
        base = chart.baseline & chart.counted
        axes.plot(days[base], chart.values[base], "o", color="white", markeredgecolor=BLACK, markersize=3.4,
                  markeredgewidth=0.7, label="run of the baseline")  # fmt: skip
    left_out = ~chart.counted
    if left_out.any():
        axes.plot(days[left_out], chart.values[left_out], "x", color=GREY, markersize=5, label="excluded")
    for rule, (mark, colour) in _MARKS.items():
        if rule in chart.violations and (few or rule != "1_2s"):
            runs = list(chart.violations[rule])
            size = (5.0 if rule != "1_2s" else 4.2) if few else 2.5
            axes.plot(days[runs], chart.values[runs], mark, color="none", markeredgecolor=colour, markersize=size,
                      markeredgewidth=1.0 if few else 0.6, label=RULE_LABELS[rule])  # fmt: skip
    axes.set_ylabel(f"{_label(chart.quantity)} ({chart.unit})" if chart.unit else _label(chart.quantity))
    axes.ticklabel_format(axis="y", useOffset=False)
    if chart.drift_since is not None:
        axes.axvspan(chart.drift_since / 86400.0, days[-1], color=SKY, alpha=0.25, linewidth=0, zorder=0)


def _draw_cusum(axes: Axes, chart: ControlChart, days: FloatArray) -> None:
    limit = 5.0
    axes.plot(days, chart.cusum_high, color=VERMILLION, label="upwards")
    axes.plot(days, -chart.cusum_low, color=BLUE, label="downwards")
    for sign in (1.0, -1.0):
        axes.axhline(sign * limit, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)))
    axes.axhline(0.0, color=BLACK, linewidth=0.5)
    finite = np.concatenate([chart.cusum_high, chart.cusum_low])
    highest = float(np.nanmax(finite)) if np.isfinite(finite).any() else 0.0
    reach = 1.15 * max(limit, min(highest, 4.0 * limit))
    axes.set_ylim(-reach, reach)
    axes.set_ylabel("CUSUM (s)")
