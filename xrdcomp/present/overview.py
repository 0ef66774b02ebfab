"""One figure for one specimen: fit, thermogravimetry and composition together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xrdcomp.present.composition_figure import draw_composition
from xrdcomp.present.fit_figure import draw_fit, intensity_label
from xrdcomp.present.style import figure_style, new_figure, panel_title, specimen_name
from xrdcomp.present.tga_figure import LABEL_WIDTH, draw_tga

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xrdcomp.results import SampleResult

__all__ = ["plot_overview"]


def plot_overview(result: SampleResult) -> Figure:
    """Figure of everything there is of one specimen, as `SampleResult.plot` returns it.

    Parameters
    ----------
    result : SampleResult

    Returns
    -------
    matplotlib Figure
    """
    measured = [result.fit is not None, result.tga is not None]
    with figure_style():
        figure = new_figure(9.6 if all(measured) else 6.4, 6.0 if any(measured) else 2.6)
        if not any(measured):
            axes = figure.add_subplot()
            draw_composition(axes, result)
            panel_title(axes, f"{specimen_name(result)}: composition")
            return figure
        outer = figure.add_gridspec(2, 1, height_ratios=(3.2, 1.5))
        upper = outer[0].subgridspec(1, sum(measured), width_ratios=(1.5, 1.0)[: sum(measured)])
        if result.fit is not None:
            ticks = 0.3 * max(len(result.fit.reflections), 1)
            grid = upper[0].subgridspec(4, 1, height_ratios=(5.0, ticks, 1.0, 1.0), hspace=0.05)
            panels = [figure.add_subplot(grid[row]) for row in range(4)]
            draw_fit(panels, result.fit, unit=intensity_label(result))
            panel_title(panels[0], f"{specimen_name(result)}: diffraction")
        if result.tga is not None:
            grid = upper[-1].subgridspec(2, 1, height_ratios=(1.6, 1.0), hspace=0.05)
            panels = [figure.add_subplot(grid[row]) for row in range(2)]
            draw_tga(panels[0], panels[1], result.tga, label_width=0.27 if all(measured) else LABEL_WIDTH)
            panels[1].set_xlim(panels[0].get_xlim())
            name = "" if result.fit is not None else f"{specimen_name(result)}: "
            panel_title(panels[0], f"{name}thermogravimetry")
        axes = figure.add_subplot(outer[1])
        draw_composition(axes, result)
        panel_title(axes, "composition")
        return figure
