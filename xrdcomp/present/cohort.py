"""All specimens of a cohort side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xrdcomp.errors import AnalysisError
from xrdcomp.present.style import (
    BLACK,
    COMPONENT_COLOURS,
    GREY,
    figure_style,
    new_figure,
)
from xrdcomp.present.words import BASIS_WORDS, NOT_SEPARABLE, words_for
from xrdcomp.results import COMPONENTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xrdcomp.results import SampleResult

__all__ = ["plot_cohort"]


def plot_cohort(results: Sequence[SampleResult]) -> Figure:
    """Figure with one panel per component: every specimen's estimate with its 95 % interval, wt%.

    Truth, where the specimens are simulated, is an open diamond.

    Parameters
    ----------
    results : sequence of SampleResult
        All on one basis.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    AnalysisError
        No results, or results on different bases, which must not stand on one axis.
    """
    bases = {result.composition.basis for result in results}
    if len(bases) != 1:
        msg = f"a cohort figure needs results on one basis; got {sorted(bases) or 'no results'}."
        raise AnalysisError(msg)
    with figure_style():
        figure = new_figure(9.6, 1.1 + 0.24 * len(results))
        grid = figure.add_gridspec(1, len(COMPONENTS), width_ratios=(1.6, 1.6, 1.2, 1.0, 1.0, 1.0))
        if any(result.metadata.get("simulated") for result in results):
            figure.suptitle("simulated cohort", fontsize=9, fontweight="bold")
        for column, component in enumerate(COMPONENTS):
            axes = figure.add_subplot(grid[0, column])
            top = 1.0
            for row, result in enumerate(results):
                top = max(top, _draw_estimate(axes, row, result, component))
            axes.set_ylim(len(results) - 0.4, -0.6)
            axes.set_xlim(0.0, min(105.0, 1.08 * top))
            axes.set_yticks(range(len(results)), [r.sample_id for r in results] if column == 0 else [])
            axes.grid(axis="x", color="#E2E2E2", linewidth=0.5)
            axes.set_axisbelow(True)
            axes.set_title(words_for(component).replace("crystalline ", "crystalline\n", 1), fontsize=8)
        note = f"wt% {BASIS_WORDS[bases.pop()]}; lines: 95 % intervals"
        if any(result.metadata.get("truth") for result in results):
            note += "; open diamonds: truth of the simulation"
        figure.supxlabel(f"{note}; n.s.: {NOT_SEPARABLE} from these measurements", fontsize=8)
        return figure


def _draw_estimate(axes: Axes, row: int, result: SampleResult, component: str) -> float:
    """Draw one estimate and its truth; returns the largest number drawn, wt%."""
    estimate = result.composition.components.get(component)
    truth = result.metadata.get("truth") or {}
    top = 0.0
    if estimate is None:
        axes.text(
            0.02, row, "n.s.", transform=axes.get_yaxis_transform(), va="center", fontsize=6.5, color=GREY
        )
    else:
        low, high = estimate.interval or (estimate.value, estimate.value)
        colour = COMPONENT_COLOURS[component]
        axes.plot(
            [100 * low, 100 * high],
            [row, row],
            color=colour,
            linewidth=1.6,
            solid_capstyle="butt",
            clip_on=False,
        )
        axes.plot([100 * estimate.value], [row], marker="o", markersize=4, color=colour, clip_on=False)
        top = 100 * high
    if component in truth:
        axes.plot(
            [100 * truth[component]], [row], marker="D", markersize=5.5, markerfacecolor="none",
            markeredgecolor=BLACK, markeredgewidth=0.8, clip_on=False,
        )  # fmt: skip
        top = max(top, 100 * truth[component])
    return top
