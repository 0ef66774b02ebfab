"""The thermogravimetric run as a figure: mass and DTG, steps shaded and labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.present.style import (
    BLACK,
    GREY,
    STEP_COLOURS,
    VERMILLION,
    YELLOW,
    figure_style,
    new_figure,
    panel_title,
    specimen_name,
)
from xrdcomp.present.words import gas_words, percent, words_for_step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xrdcomp.results import SampleResult, TgaResult, TgaStep
    from xrdcomp.types import FloatArray

__all__ = ["draw_tga", "plot_tga"]

OTHER_STEP_COLOURS = ("#999999", YELLOW)
MAX_POINTS = 3000
LABEL_WIDTH = 0.18  # of the temperature range, in a panel 4.6 inch wide
FOOT = 0.1  # of the panel, below the curve, for the residue
ROW_HEIGHT = 0.125  # of the panel, for the two lines of a label


def plot_tga(result: SampleResult) -> Figure:
    """Figure of the TGA curve with its DTG, steps shaded with their mass loss, onsets marked.

    Parameters
    ----------
    result : SampleResult

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    AnalysisError
        The result holds no thermogravimetry.
    """
    tga = result.tga
    if tga is None:
        msg = f"{result.sample_id}: no thermogravimetric curve to draw; the analysis had none."
        raise AnalysisError(msg)
    with figure_style():
        figure = new_figure(5.2, 4.2)
        grid = figure.add_gridspec(2, 1, height_ratios=(1.6, 1.0))
        upper = figure.add_subplot(grid[0])
        lower = figure.add_subplot(grid[1], sharex=upper)
        draw_tga(upper, lower, tga)
        panel_title(upper, f"{specimen_name(result)}: thermogravimetry")
        return figure


def draw_tga(upper: Axes, lower: Axes, tga: TgaResult, *, label_width: float = LABEL_WIDTH) -> None:
    """Draw mass (wt%) on `upper` and DTG (%/min) on `lower`, against temperature in °C.

    label_width : width of a step's label as a share of the panel; larger in a narrow panel.
    """
    every = max(1, len(tga.temperature_c) // MAX_POINTS)
    temperature = tga.temperature_c[::every]
    mass = 100.0 * tga.mass_fraction[::every]
    upper.plot(temperature, mass, color=BLACK)
    lower.plot(temperature, 100.0 * tga.dtg_per_min[::every], color=VERMILLION)
    low, high = float(mass.min()), float(mass.max())
    span = max(high - low, 1e-3)
    start, end = float(temperature.min()), float(temperature.max())
    levels = _label_levels(tga.steps, start, end, label_width)
    rows = max((level for _, level in levels), default=0) + 1
    head = 0.04 + ROW_HEIGHT * rows
    whole = span / (1.0 - head - FOOT)
    upper.set_ylim(low - FOOT * whole, low + (1.0 - FOOT) * whole)
    upper.set_yticks([tick for tick in upper.get_yticks() if low - 0.05 * span <= tick <= high + 0.02 * span])
    for index, (step, (centre, level)) in enumerate(zip(tga.steps, levels, strict=True)):
        colour = STEP_COLOURS.get(step.name, OTHER_STEP_COLOURS[index % 2])
        for axes in (upper, lower):
            axes.axvspan(step.start_c, step.end_c, color=colour, alpha=0.22, linewidth=0)
        upper.text(
            centre, 0.985 - ROW_HEIGHT * level,
            f"{words_for_step(step.name)}\n{percent(step.mass_loss)}",
            ha="center", va="top", fontsize=6.5, linespacing=1.1, transform=upper.get_xaxis_transform(),
        )  # fmt: skip
    _mark_onsets(upper, tga, temperature, mass, room=0.6 * label_width * (end - start))
    upper.annotate(
        f"residue {percent(tga.residue)}", (float(temperature[-1]), float(mass[-1])), xytext=(-3, -4),
        textcoords="offset points", ha="right", va="top", fontsize=6.5,
    )  # fmt: skip
    lower.axhline(0.0, color=BLACK, linewidth=0.5)
    upper.set_ylabel("mass (wt% of start)")
    lower.set_ylabel("mass loss rate\n(% min⁻¹)")
    lower.set_xlabel(f"temperature (°C); {_conditions(tga)}")
    upper.tick_params(labelbottom=False)
    upper.set_xlim(start, end)


def _label_levels(
    steps: Sequence[TgaStep], start: float, end: float, label_width: float
) -> list[tuple[float, int]]:
    """Centre (°C) and row of each step's label, so that labels of narrow steps do not cover each other."""
    width = label_width * (end - start)
    placed: list[tuple[float, int]] = []
    for index, step in enumerate(steps):
        centre = float(np.clip((step.start_c + step.end_c) / 2, start + width / 2, end - width / 2))
        taken = {level for other, level in placed if abs(other - centre) < width}
        first = index % 2 if len(steps) > 1 else 0
        free = [level for level in (first, 1 - first, *range(2, len(steps) + 2)) if level not in taken]
        placed.append((centre, free[0]))
    return placed


def _mark_onsets(
    axes: Axes, tga: TgaResult, temperature: FloatArray, mass: FloatArray, *, room: float
) -> None:
    """Mark every extrapolated onset on the curve; write its temperature where there is room."""
    written: list[float] = []
    for step in tga.steps:
        if step.onset_c is None:
            continue
        height = float(np.interp(step.onset_c, temperature, mass))
        axes.plot([step.onset_c], [height], marker="v", color=BLACK, markersize=4)
        if all(abs(step.onset_c - other) > room for other in written):
            axes.annotate(
                f"onset {step.onset_c:.0f} °C", (step.onset_c, height), xytext=(4, 4),
                textcoords="offset points", fontsize=6, color=GREY,
            )  # fmt: skip
            written.append(step.onset_c)


def _conditions(tga: TgaResult) -> str:
    gas = gas_words(tga.atmosphere)
    return gas if tga.heating_rate_k_min is None else f"{gas}, {tga.heating_rate_k_min:.3g} K/min"
