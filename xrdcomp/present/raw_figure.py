"""A measurement as it was read, before any analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xrdcomp.present.fit_figure import UNIT_WORDS
from xrdcomp.present.style import BLACK, PHASE_COLOURS, figure_style, new_figure, panel_title
from xrdcomp.types import Pattern, TgaRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_measurement"]

MASS_WORDS = {"mg": "mg", "ug": "µg", "g": "g", "percent": "%", "fraction": "fraction"}


def plot_measurement(measured: Pattern | TgaRun) -> Figure:
    """Figure of a pattern against its angle, or of a thermogravimetric run, its segments in colours.

    Parameters
    ----------
    measured : Pattern or TgaRun

    Returns
    -------
    matplotlib Figure
    """
    name = measured.source.file if measured.source is not None else "measurement"
    with figure_style():
        figure = new_figure(7.2, 3.2)
        axes = figure.add_subplot()
        if isinstance(measured, Pattern):
            axes.plot(measured.two_theta, measured.intensity, color=BLACK, linewidth=0.7)
            axes.set_xlabel("scattering angle 2θ (°)")
            axes.set_ylabel(f"intensity ({UNIT_WORDS[measured.intensity_unit]})")
            axes.set_ylim(bottom=min(0.0, float(measured.intensity.min())))
        else:
            _draw_run(axes, measured)
        panel_title(axes, name)
        return figure


def _draw_run(axes: Axes, run: TgaRun) -> None:
    segment = run.segment
    assert segment is not None, "set by TgaRun"
    numbers = list(dict.fromkeys(segment.tolist()))
    for index, number in enumerate(numbers):
        part = segment == number
        label = f"segment {number}" if len(numbers) > 1 else None
        colour = PHASE_COLOURS[index % len(PHASE_COLOURS)]
        axes.plot(run.temperature_c[part], run.mass[part], color=colour, label=label)
    if len(numbers) > 1:
        axes.legend()
    axes.set_xlabel("temperature (°C)")
    axes.set_ylabel(f"mass ({MASS_WORDS[run.mass_unit]})")
