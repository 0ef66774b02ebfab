"""Composition with its 95 % intervals, and the uncertainty budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xrdcomp.errors import AnalysisError
from xrdcomp.present.style import (
    BLACK,
    BLUE,
    COMPONENT_COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    figure_style,
    new_figure,
    panel_title,
    specimen_name,
)
from xrdcomp.present.words import (
    BASIS_WORDS,
    NOT_SEPARABLE,
    budget_words,
    component_order,
    component_words,
    interval_text,
    percent,
    words_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xrdcomp.results import Estimate, SampleResult

__all__ = ["draw_composition", "plot_budget", "plot_composition"]

LEAST_SHARE = 1e-3
"""Inputs below it in every component are left out: they would be in the legend and nowhere else."""
BUDGET_COLOURS = (BLUE, ORANGE, SKY, GREEN, PURPLE, VERMILLION, YELLOW, GREY, BLACK)


def plot_composition(result: SampleResult) -> Figure:
    """Figure of the composition: bars with 95 % intervals; what cannot be separated says so.

    Parameters
    ----------
    result : SampleResult

    Returns
    -------
    matplotlib Figure
    """
    with figure_style():
        rows = len(result.composition.components) + len(result.composition.identifiable_sums)
        figure = new_figure(5.2, 0.75 + 0.3 * rows)
        axes = figure.add_subplot()
        draw_composition(axes, result)
        panel_title(axes, f"{specimen_name(result)}: composition, {BASIS_WORDS[result.composition.basis]}")
        return figure


def draw_composition(axes: Axes, result: SampleResult) -> None:
    """Draw one bar per component on `axes` (wt%), sums that can be determined below in grey."""
    composition = result.composition
    truth = result.metadata.get("truth") or {}
    names = component_order(composition.components)
    labels: list[str] = []
    for row, name in enumerate(names):
        _bar(axes, row, composition.components[name], COMPONENT_COLOURS.get(name, GREY))
        labels.append(component_words(name, result))
        if name in truth:
            axes.plot(
                [100 * truth[name]], [row], marker="D", markersize=4.5, markerfacecolor="white",
                markeredgecolor=BLACK, linestyle="none", zorder=5, clip_on=False,
            )  # fmt: skip
    for row, (name, estimate) in enumerate(composition.identifiable_sums.items(), start=len(names)):
        _bar(axes, row, estimate, "#B8B8B8")
        labels.append(f"sum: {words_for(name)}")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    note = "; ◇: truth of the simulation" if truth else ""
    axes.set_xlabel(f"wt% of the specimen {BASIS_WORDS[composition.basis]}; lines: 95 % intervals{note}")


def _bar(axes: Axes, row: int, estimate: Estimate | None, colour: str) -> None:
    beside = axes.get_yaxis_transform()
    if estimate is None:
        axes.barh(row, 100, height=0.62, facecolor="none", edgecolor="#D0D0D0", hatch="////", linewidth=0.0)
        axes.text(50, row, NOT_SEPARABLE, ha="center", va="center", fontsize=7,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # fmt: skip
        return
    axes.barh(row, 100 * estimate.value, height=0.62, color=colour, alpha=0.85)
    text = percent(estimate, unit=False)
    if estimate.interval is not None:
        low, high = estimate.interval
        line: dict[str, Any] = {"color": BLACK, "linewidth": 1.1, "clip_on": False, "solid_capstyle": "butt"}
        axes.plot([100 * low, 100 * high], [row, row], **line)
        for end in (low, high):
            axes.plot([100 * end] * 2, [row - 0.16, row + 0.16], **line)
        text += f"  ({interval_text(estimate)})"
    axes.text(1.025, row, text, ha="left", va="center", fontsize=7, transform=beside)


def plot_budget(result: SampleResult) -> Figure:
    """Figure of the uncertainty budget: which input contributes what share of each component's variance.

    Parameters
    ----------
    result : SampleResult

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    AnalysisError
        The result holds no budget.
    """
    budget = result.composition.budget
    if not budget:
        msg = f"{result.sample_id}: the composition holds no uncertainty budget."
        raise AnalysisError(msg)
    named = dict.fromkeys(name for parts in budget.values() for name in parts)
    inputs = [n for n in named if any(parts.get(n, 0.0) >= LEAST_SHARE for parts in budget.values())]
    rows = component_order(budget)
    with figure_style():
        figure = new_figure(6.4, 0.95 + 0.3 * len(rows) + 0.13 * ((len(inputs) + 2) // 3))
        axes = figure.add_subplot()
        for index, source in enumerate(inputs):
            left = [100 * sum(budget[row].get(earlier, 0.0) for earlier in inputs[:index]) for row in rows]
            axes.barh(
                range(len(rows)), [100 * budget[row].get(source, 0.0) for row in rows], left=left,
                height=0.62, color=BUDGET_COLOURS[index % len(BUDGET_COLOURS)], label=budget_words(source),
                hatch="" if index < len(BUDGET_COLOURS) else "///", edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            _name_wide_segments(
                axes, budget_words(source), left, [100 * budget[row].get(source, 0.0) for row in rows]
            )
        axes.set_yticks(range(len(rows)), [component_words(name, result) for name in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("share of the variance (%)")
        panel_title(axes, f"{specimen_name(result)}: where the uncertainty comes from")
        figure.legend(loc="outside lower center", ncols=3)
        return figure


def _name_wide_segments(axes: Axes, words: str, left: Sequence[float], width: Sequence[float]) -> None:
    """Write the input's name into every segment that has room for it, so that the figure can be read in grey."""
    for row, (start, share) in enumerate(zip(left, width, strict=True)):
        if share > 1.5 * len(words):
            axes.text(
                start + 0.5 * share, row, words, ha="center", va="center", fontsize=6,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
            )  # fmt: skip
