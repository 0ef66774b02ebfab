"""The fit as a figure: observed, calculated, background, amorphous parts, difference, ticks and hkl."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.present.style import (
    AMORPHOUS_COLOURS,
    AMORPHOUS_DASHES,
    BLACK,
    GREY,
    PHASE_COLOURS,
    VERMILLION,
    figure_style,
    new_figure,
    panel_title,
    specimen_name,
)
from xrdcomp.present.words import words_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from xrdcomp.results import FitResult, ReflectionTable, SampleResult
    from xrdcomp.types import FloatArray

__all__ = ["draw_fit", "intensity_label", "plot_fit"]

APATITE_WINDOW = (24.0, 36.0)  # degrees, Cu Kα: the lines 002 to 202
CU_WAVELENGTH = 1.5406
MAX_LABELS = 9
AMORPHOUS_WORDS = {"amorphous_calcium_phosphate": "amorphous Ca phosphate"}
SAME_LINE = 0.002  # degrees: closer lines have the same spacing, such as 211 and 121 of apatite
UNIT_WORDS = {"counts": "counts", "cps": "counts/s", "arbitrary": "arb. units"}


def plot_fit(result: SampleResult, *, square_root: bool = False) -> Figure:
    """Figure of the whole-pattern fit.

    Parameters
    ----------
    result : SampleResult
        With a fit.
    square_root : bool
        Draw the square root of intensity: weak lines and the background become visible.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    AnalysisError
        The result holds no fit.
    """
    fit = result.fit
    if fit is None:
        msg = f"{result.sample_id}: no fit to draw; the analysis had no powder pattern."
        raise AnalysisError(msg)
    with figure_style():
        window = _apatite_window(fit)
        n_phases = max(len(fit.reflections), 1)
        figure = new_figure(7.2, 4.6)
        grid = figure.add_gridspec(
            4, 2 if window else 1,
            height_ratios=(5.0, 0.22 * n_phases + 0.1, 1.0, 1.0),
            width_ratios=(1.75, 1.0) if window else None,
        )  # fmt: skip
        column = [figure.add_subplot(grid[row, 0]) for row in range(4)]
        draw_fit(column, fit, unit=intensity_label(result), square_root=square_root, avoid=window)
        panel_title(column[0], f"{specimen_name(result)}: whole-pattern fit")
        if window:
            zoom = [figure.add_subplot(grid[row, 1]) for row in range(4)]
            draw_fit(zoom, fit, unit="", square_root=square_root, limits=window)
            panel_title(zoom[0], "main lines of apatite")
            for axes in zoom:
                axes.set_ylabel("")
        return figure


def intensity_label(result: SampleResult) -> str:
    """Label of the intensity axis in the unit that the file states."""
    return f"intensity ({UNIT_WORDS[result.metadata.get('intensity_unit', 'arbitrary')]})"


def draw_fit(
    panels: Sequence[Axes],
    fit: FitResult,
    *,
    unit: str,
    square_root: bool = False,
    limits: tuple[float, float] | None = None,
    avoid: tuple[float, float] | None = None,
) -> None:
    """Draw the fit on four axes: curves, ticks, difference, weighted difference.

    unit : label of the intensity axis; limits : part of the range to show,
    degrees, without legend; avoid : part whose hkl labels are left to another panel.
    """
    curves, ticks, difference, weighted = panels
    legend = limits is None
    low, high = limits or (float(fit.two_theta[0]), float(fit.two_theta[-1]))
    shown = (fit.two_theta >= low) & (fit.two_theta <= high)
    x = fit.two_theta[shown]
    top = _draw_curves(curves, fit, shown, square_root=square_root)
    _label_lines(curves, fit, (low, high), avoid, square_root=square_root)
    curves.set_ylim(0.0, 1.22 * top)
    curves.set_ylabel(f"√ {unit}" if square_root else unit)
    if legend:
        note = f"Rwp {100 * fit.rwp:.2f} %, GoF {fit.gof:.2f}, {low:.1f}–{high:.1f}°"
        curves.legend(loc="upper right", title=note, title_fontsize=7, alignment="left")
    _draw_ticks(ticks, fit, (low, high), names=legend)
    residual = (fit.observed - fit.calculated)[shown]
    difference.plot(x, residual, color=GREY, linewidth=0.6)
    weighted.plot(x, residual / fit.sigma[shown], color=GREY, linewidth=0.6)
    difference.set_ylabel("obs\n− calc", fontsize=7)  # two short lines: the panel is lower than one long
    weighted.set_ylabel("diff.\n/ σ", fontsize=7)
    weighted.set_xlabel("2θ (°)")
    for axes in (difference, weighted):
        axes.axhline(0.0, color=BLACK, linewidth=0.5)
        axes.locator_params(axis="y", nbins=3)
    span = max(4.0, float(np.abs(residual / fit.sigma[shown]).max()))
    weighted.set_ylim(-1.1 * span, 1.1 * span)
    for axes in panels:
        axes.set_xlim(low, high)
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)


def _draw_curves(axes: Axes, fit: FitResult, shown: NDArray[np.bool_], *, square_root: bool) -> float:
    """Observed points, sum and parts; returns the top of what was drawn."""

    def scaled(values: FloatArray) -> FloatArray:
        part: FloatArray = values[shown]
        return np.sqrt(np.clip(part, 0.0, None)) if square_root else part

    x = fit.two_theta[shown]
    observed, calculated = scaled(fit.observed), scaled(fit.calculated)
    axes.plot(x, observed, ".", color=BLACK, markersize=1.6, label="observed", rasterized=len(x) > 4000)
    axes.plot(x, calculated, color=VERMILLION, linewidth=0.9, label="calculated")
    axes.plot(x, scaled(fit.background), color=GREY, linewidth=0.9, linestyle="--", label="background")
    for name, curve in fit.amorphous.items():
        if curve.any():
            axes.plot(
                x, scaled(fit.background + curve), linewidth=0.9, linestyle=AMORPHOUS_DASHES.get(name, "-."),
                color=AMORPHOUS_COLOURS.get(name, PHASE_COLOURS[3]),
                label=f"+ {AMORPHOUS_WORDS.get(name, words_for(name))}",
            )  # fmt: skip
    return float(max(observed.max(), calculated.max()))


def _draw_ticks(axes: Axes, fit: FitResult, limits: tuple[float, float], *, names: bool) -> None:
    """One row of ticks per phase, the phase's name beside it."""
    for row, (phase, table) in enumerate(fit.reflections.items()):
        inside = (table.two_theta >= limits[0]) & (table.two_theta <= limits[1])
        colour = PHASE_COLOURS[row % len(PHASE_COLOURS)]
        axes.vlines(table.two_theta[inside], -row - 0.35, -row + 0.35, color=colour, linewidth=0.7)
        if names:
            axes.text(
                -0.01, -row, _short(words_for(phase)), color=colour, fontsize=6.5,
                ha="right", va="center", transform=axes.get_yaxis_transform(),
            )  # fmt: skip
    axes.set_ylim(-max(len(fit.reflections), 1) + 0.5, 0.5)
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(bottom=False)


def _label_lines(
    axes: Axes,
    fit: FitResult,
    limits: tuple[float, float],
    avoid: tuple[float, float] | None,
    *,
    square_root: bool,
) -> None:
    """Write hkl over the strongest lines, leaving out those that would overlap a stronger one's label."""
    gap = 0.04 * (limits[1] - limits[0])
    lines = _strong_lines(fit, limits, avoid)
    placed: list[float] = []
    for _, position, text, colour in lines:
        if len(placed) == MAX_LABELS:
            break
        if any(abs(position - other) < gap for other in placed):
            continue
        near = np.abs(fit.two_theta - position) <= gap / 2
        if not near.any():
            continue
        height = float(np.maximum(fit.observed, fit.calculated)[near].max())
        height = float(np.sqrt(max(height, 0.0))) if square_root else height
        axes.annotate(
            text, (position, height), xytext=(0, 4), textcoords="offset points",
            ha="center", va="bottom", rotation=90, fontsize=6.5, color=colour,
        )  # fmt: skip
        placed.append(position)


def _strong_lines(
    fit: FitResult, limits: tuple[float, float], avoid: tuple[float, float] | None
) -> list[tuple[float, float, str, str]]:
    """(height, two_theta, hkl, colour) of lines worth a label, strongest first."""
    lines: list[tuple[float, float, str, str]] = []
    for row, (phase, table) in enumerate(fit.reflections.items()):
        curve = fit.phases.get(phase)
        if curve is None or not (curve > 0).any():
            continue
        colour = PHASE_COLOURS[row % len(PHASE_COLOURS)]
        top = float(curve.max())
        for hkl, position, intensity in _merged(table):
            hidden = avoid is not None and avoid[0] <= position <= avoid[1]
            seen = intensity >= 5.0 and _stands_out(fit, curve, position)
            if limits[0] <= position <= limits[1] and not hidden and seen:
                lines.append((top * intensity, position, _hkl_text(hkl), colour))
    return sorted(lines, reverse=True)


def _stands_out(fit: FitResult, curve: FloatArray, position: float) -> bool:
    """Whether the phase's curve at a line is at least three standard deviations of the data."""
    index = min(int(np.searchsorted(fit.two_theta, position)), len(curve) - 1)
    return bool(curve[index] >= 3.0 * fit.sigma[index])


def _merged(table: ReflectionTable) -> list[tuple[tuple[int, ...], float, float]]:
    """(hkl, two_theta, intensity) with lines at one angle added up, named by the largest h, then k, then l."""
    order = np.argsort(table.two_theta)
    groups: list[tuple[tuple[int, ...], float, float]] = []
    for index in order:
        hkl = tuple(int(h) for h in table.hkl[index])
        position, intensity = float(table.two_theta[index]), float(table.intensity[index])
        if groups and position - groups[-1][1] < SAME_LINE:
            earlier, first, total = groups.pop()
            groups.append((max(earlier, hkl), first, total + intensity))
        else:
            groups.append((hkl, position, intensity))
    return groups


def _hkl_text(hkl: Sequence[int]) -> str:
    """``002``; negative indices with a minus, blanks where an index has two figures."""
    parts = [str(h) for h in hkl]
    return ("" if all(len(part) == 1 for part in parts) else " ").join(parts)


def _short(name: str, limit: int = 16) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def _apatite_window(fit: FitResult) -> tuple[float, float] | None:
    """Range of apatite's main lines at this wavelength, None where none is fitted or it is out of range."""
    if not any("apatite" in name for name in fit.reflections) or not fit.wavelengths:
        return None
    s = np.sin(np.radians(np.array(APATITE_WINDOW) / 2)) * fit.wavelengths[0] / CU_WAVELENGTH
    if (s >= 1).any():
        return None
    low, high = np.degrees(2 * np.arcsin(s))
    inside = low >= fit.two_theta[0] - 1 and high <= fit.two_theta[-1] + 1
    wide = fit.two_theta[-1] - fit.two_theta[0] > 1.5 * (high - low)
    return (float(low), float(high)) if inside and wide else None
