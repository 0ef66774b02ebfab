"""The thermogravimetric run as a figure: mass and DTG, steps shaded and labelled."""

from __future__ import annotations

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
from xrdcomp.present.words import percent, words_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xrdcomp.results import SampleResult, TgaResult

__all__ = ["draw_tga", "plot_tga"]

OTHER_STEP_COLOURS = ("#999999", YELLOW)
MAX_POINTS = 3000


def plot_tga(result: SampleResult) -> Figure:
    """Figure of the TGA curve with its DTG, steps shaded with their mass loss, onsets marked.

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
        rate = "" if tga.heating_rate_k_min is None else f", {tga.heating_rate_k_min:.3g} K/min"
        gas = words_for(tga.atmosphere) if tga.atmosphere != "unknown" else "atmosphere unknown"
        panel_title(upper, f"{specimen_name(result)}: thermogravimetry ({gas}{rate})")
        return figure


def draw_tga(upper: Axes, lower: Axes, tga: TgaResult) -> None:
    """Draw mass (wt%) on `upper` and DTG (%/min) on `lower`, against temperature in °C."""
    every = max(1, len(tga.temperature_c) // MAX_POINTS)
    temperature = tga.temperature_c[::every]
    mass = 100.0 * tga.mass_fraction[::every]
    upper.plot(temperature, mass, color=BLACK)
    lower.plot(temperature, 100.0 * tga.dtg_per_min[::every], color=VERMILLION)
    low, high = float(mass.min()), float(mass.max())
    span = max(high - low, 1e-3)
    upper.set_ylim(low - 0.14 * span, high + 0.38 * span)
    upper.set_yticks([tick for tick in upper.get_yticks() if low - 0.1 * span <= tick <= high + 0.02 * span])
    start, end = float(temperature.min()), float(temperature.max())
    margin = 0.11 * (end - start)
    label_limits = (start + margin, end - margin)
    for index, step in enumerate(tga.steps):
        colour = STEP_COLOURS.get(step.name, OTHER_STEP_COLOURS[index % 2])
        for axes in (upper, lower):
            axes.axvspan(step.start_c, step.end_c, color=colour, alpha=0.22, linewidth=0)
        upper.text(
            float(np.clip((step.start_c + step.end_c) / 2, *label_limits)),
            high + (0.33 - 0.11 * (index % 2)) * span,
            f"{words_for(step.name)}\n{percent(step.mass_loss)}",
            ha="center", va="top", fontsize=6.5, linespacing=1.1,
        )  # fmt: skip
        if step.onset_c is not None:
            height = float(np.interp(step.onset_c, temperature, mass))
            upper.plot([step.onset_c], [height], marker="v", color=BLACK, markersize=4)
            upper.annotate(
                f"onset {step.onset_c:.0f} °C", (step.onset_c, height), xytext=(4, 4),
                textcoords="offset points", fontsize=6, color=GREY,
            )  # fmt: skip
    upper.annotate(
        f"residue {percent(tga.residue)}", (float(temperature[-1]), float(mass[-1])), xytext=(-3, -4),
        textcoords="offset points", ha="right", va="top", fontsize=6.5,
    )  # fmt: skip
    lower.axhline(0.0, color=BLACK, linewidth=0.5)
    upper.set_ylabel("mass (wt% of start)")
    lower.set_ylabel("mass loss rate (% min⁻¹)")
    lower.set_xlabel("temperature (°C)")
    upper.tick_params(labelbottom=False)
    upper.set_xlim(start, end)
