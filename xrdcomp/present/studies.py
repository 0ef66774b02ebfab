"""Figures of a calibration of an instrument, and of kinetics from several heating rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xrdcomp.present.colours import BLACK, BLUE, GREY, VERMILLION
from xrdcomp.present.figures import draw_fit_on
from xrdcomp.present.style import WIDTHS, figure_mm, figure_style, own_axes, panel_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xrdcomp.units import FloatArray

DOUBLE = WIDTHS["double"]


def plot_calibration(
    calibration: Any, two_theta: FloatArray, instrument_fwhm: FloatArray, *, width_mm: float = DOUBLE
) -> Axes:
    """Draw the fit of a standard, and below it the widths of its reflections with the instrument's own; first axes.

    `calibration` is that of ``xrdcomp.instrument.calibrate``, `instrument_fwhm` the instrument's width over
    `two_theta`, both degrees.
    """
    with figure_style():
        figure = figure_mm(width_mm, 150.0)
        grid = figure.add_gridspec(2, 1, height_ratios=(1.6, 1.0))
        upper, lower = (figure.add_subplot(grid[row]) for row in range(2))
        draw_fit_on(calibration.fit, upper, scale="sqrt")
        panel_title(upper, f"calibration on {calibration.standard}")
        lower.plot(two_theta, instrument_fwhm, color=BLACK, label="instrument")
        for table in calibration.fit.reflections.values():
            if table.fwhm is not None:
                strong = table.intensity >= 1.0
                label = "reflections of the fit,\nstandard's own broadening included"
                open_circle: Any = {"color": BLUE, "markersize": 3, "markerfacecolor": "none"}
                lower.plot(table.two_theta[strong], table.fwhm[strong], "o", label=label, **open_circle)
        lower.set(xlabel="2θ (°)", ylabel="full width at half maximum (°)", xlim=upper.get_xlim())
        lower.set_ylim(0.0, 1.35 * lower.get_ylim()[1])  # the legend stands above
        lower.legend(loc="upper left")
        return upper


def plot_kissinger(result: Any, *, ax: Axes | None = None, width_mm: float = 130.0) -> Axes:
    """Draw Kissinger's line, ln(rate / T²) over 1000 / T, with the energy that its slope gives."""
    line = result.line
    with figure_style():
        axes = own_axes(ax, width_mm, 80.0)
        axes.plot(1e3 * line.x, line.y, "o", color=BLACK, markersize=4, label="runs")
        axes.plot(1e3 * line.x, line.intercept + line.slope * line.x, color=VERMILLION, label=f"E = {result.energy}")
        axes.set(xlabel="1000 / peak temperature (1/K)", ylabel="ln(β / T²), β in K/min")
        axes.legend()
        return axes


def plot_energies(result: Any, *, ax: Axes | None = None, width_mm: float = 130.0) -> Axes:
    """Draw the activation energy over conversion with its 95 % limits."""
    with figure_style():
        axes = own_axes(ax, width_mm, 80.0)
        low, high = np.asarray(result.ci95).T
        axes.fill_between(result.conversion, low, high, color=GREY, alpha=0.3, linewidth=0, label="95 % limits")
        axes.plot(result.conversion, result.energy, "o-", color=BLACK, markersize=3, label=result.method)
        axes.set(xlabel="conversion", ylabel="activation energy (kJ/mol)", xlim=(0.0, 1.0))
        axes.legend()
        return axes


def plot_prediction(prediction: Any, *, ax: Axes | None = None, width_mm: float = 130.0) -> Axes:
    """Draw predicted conversion over time with its 95 % limits."""
    with figure_style():
        axes = own_axes(ax, width_mm, 80.0)
        low, high = np.asarray(prediction.minutes_interval).T
        axes.fill_betweenx(prediction.conversion, low, high, color=GREY, alpha=0.3, linewidth=0, label="95 % limits")
        axes.plot(prediction.minutes, prediction.conversion, color=BLACK, label="predicted")
        axes.set(xlabel="time (min)", ylabel="conversion", ylim=(0.0, 1.0))
        axes.legend(loc="lower right")
        return axes
