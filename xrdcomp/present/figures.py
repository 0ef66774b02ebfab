"""Figures of measurements, fits, thermogravimetry, compositions, cohorts and detector frames."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xrdcomp.data import Pattern, TgaRun
from xrdcomp.errors import AnalysisError, printable
from xrdcomp.present.tables import (
    BASIS_LABELS,
    NOT_SEPARABLE,
    budget_label,
    component_label,
    component_order,
    gas_label,
    interval_text,
    label_of,
    percent,
    step_label,
)
from xrdcomp.results import COMPONENTS
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from xrdcomp.results import Composition, Estimate, FitResult, ReflectionTable, SampleResult, TgaResult

# One look for all figures, sizes legible in print. Colours of Okabe & Ito (2008), Color Universal Design, are told
# apart with every common colour-vision deficiency.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#767676"  # 4.5:1 on white
COMPONENT_COLOURS = {
    "crystalline_hydroxyapatite": BLUE,
    "organic": ORANGE,
    "water": SKY,
    "carbonate": PURPLE,
    "amorphous_mineral": GREEN,
    "other_crystalline": VERMILLION,
    "unidentified_crystalline": YELLOW,
}
PHASE_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
AMORPHOUS_COLOURS = {"protein": ORANGE, "lipid": "#9C6B00", "water": SKY, "amorphous_calcium_phosphate": GREEN}
AMORPHOUS_DASHES = {  # told apart in grey as well; the background has plain dashes
    "protein": (0, (6, 1.5, 1, 1.5)),
    "lipid": (0, (1, 1)),
    "water": (0, (7, 2)),
    "amorphous_calcium_phosphate": (0, (4, 1, 1, 1, 1, 1)),
}
STEP_COLOURS = {"water": SKY, "organic": ORANGE, "carbonate": PURPLE}

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 9.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "xrdcomp",
    "text.parse_math": False,  # names of files may hold dollar signs
    "path.simplify": True,
    "figure.dpi": 160,  # as written, because text is a little wider or narrower at another resolution
    "savefig.dpi": 160,
}


class ResultFigure(Figure):
    """A figure that shows itself in a notebook without touching matplotlib's global state."""

    def _repr_png_(self) -> bytes:
        return to_png(self, dpi=110)


def figure_style() -> AbstractContextManager[None]:
    """Apply the package's look inside the block only; the user's own settings are untouched outside."""
    return mpl.rc_context(_STYLE)


def new_figure(width: float, height: float) -> ResultFigure:
    """Return an empty figure, width × height in inch, with an Agg canvas."""
    figure = ResultFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def titled(axes: Axes, text: str) -> Figure:
    """Figure of one panel with its title."""
    with figure_style():
        panel_title(axes, text)
    figure = axes.figure
    assert isinstance(figure, Figure), "own axes lie in no subfigure"
    return figure


def own_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Give the axes that were passed, else those of a new figure of width × height in inch."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def freeze_layout(figure: Figure) -> None:
    """Place everything once, so that writing the figure in several formats does not place it again.

    The engine is taken away, not replaced by matplotlib's placeholder: with any engine `savefig` draws twice.
    Figures without an engine stay as they are.
    """
    with figure_style():
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
        figure.set_layout_engine(None)


def to_png(figure: Figure, *, dpi: int = 160) -> bytes:
    """Return the figure as PNG bytes without date, so that equal results give equal files."""
    buffer = io.BytesIO()
    with figure_style():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": "xrdcomp"})
    return buffer.getvalue()


def specimen_name(result: SampleResult) -> str:
    """Sample id for titles; says "simulated" where the measurements were computed, not measured."""
    return f"{result.sample_id} (simulated)" if result.metadata.get("simulated") else result.sample_id


def panel_title(axes: Axes, text: str) -> None:
    """Left-aligned bold title of one panel, smaller where it is long."""
    text = printable(text)
    size = 9.0 if len(text) < 50 else 7.0
    axes.set_title(text, loc="left", fontweight="bold", fontsize=size)


# The fit

APATITE_WINDOW = (24.0, 36.0)  # degrees, Cu Kα: the reflections 002 to 202
CU_WAVELENGTH = 1.5406
MAX_LABELS = 9
AMORPHOUS_LABELS = {"amorphous_calcium_phosphate": "amorphous Ca phosphate"}
SAME_ANGLE = 0.002  # degrees: closer reflections have the same spacing, such as 211 and 121 of apatite
UNIT_LABELS = {"counts": "counts", "cps": "counts/s", "arbitrary": "arb. units"}
Range: TypeAlias = tuple[float, float]  # of 2θ, degrees


def plot_fit(result: SampleResult, *, square_root: bool = False) -> Figure:
    """Figure of the whole-pattern fit.

    `square_root` draws the square root of intensity: weak reflections and the background become visible.
    """
    fit = result.xrd
    if fit is None:
        raise AnalysisError(f"{result.sample_id}: no fit to draw; the analysis had no powder pattern.")
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
            panel_title(zoom[0], "main reflections of apatite")
            for axes in zoom:
                axes.set_ylabel("")
        return figure


def intensity_label(result: SampleResult) -> str:
    """Label of the intensity axis in the unit that the file states."""
    return f"intensity ({UNIT_LABELS[result.metadata.get('intensity_unit', 'arbitrary')]})"


def draw_fit(
    panels: Sequence[Axes],
    fit: FitResult,
    *,
    unit: str,
    square_root: bool = False,
    limits: Range | None = None,
    avoid: Range | None = None,
) -> None:
    """Draw the fit on four axes: curves, ticks, difference, weighted difference.

    unit : label of the intensity axis; limits : part of the range to show,
    degrees, without legend; avoid : part whose hkl labels are left to another panel.
    """
    curves, ticks, difference, weighted = panels
    low, high = limits or (float(fit.two_theta[0]), float(fit.two_theta[-1]))
    shown = (fit.two_theta >= low) & (fit.two_theta <= high)
    x = fit.two_theta[shown]
    top = _draw_curves(curves, fit, shown, square_root=square_root)
    _label_reflections(curves, fit, (low, high), avoid, square_root=square_root)
    curves.set(ylim=(0.0, 1.22 * top), ylabel=f"√ {unit}" if square_root else unit)
    if limits is None:
        _legend_of_fit(curves, fit)
    for row, (phase, table) in enumerate(fit.reflections.items()):  # ticks, the phase's name beside them
        inside = (table.two_theta >= low) & (table.two_theta <= high)
        colour = PHASE_COLOURS[row % len(PHASE_COLOURS)]
        ticks.vlines(table.two_theta[inside], -row - 0.35, -row + 0.35, color=colour, linewidth=0.7)
        if limits is None:
            ticks.text(
                -0.01, -row, textwrap.shorten(label_of(phase), 16, placeholder="…"), color=colour, fontsize=6.5,
                ha="right", va="center", transform=ticks.get_yaxis_transform(),
            )  # fmt: skip
    ticks.set(ylim=(-max(len(fit.reflections), 1) + 0.5, 0.5), yticks=[])
    ticks.spines[:].set_visible(False)
    ticks.tick_params(bottom=False)
    residual = (fit.observed - fit.calculated)[shown]
    weights = residual / fit.sigma[shown]
    span = 1.1 * max(4.0, float(np.abs(weights).max()))
    difference.plot(x, residual, color=GREY, linewidth=0.6)
    weighted.plot(x, weights, color=GREY, linewidth=0.6)
    difference.set_ylabel("obs\n− calc", fontsize=7)  # two short lines: the panel is lower than one long
    weighted.set_ylabel("diff.\n/ σ", fontsize=7)
    for axes in (difference, weighted):
        axes.axhline(0.0, color=BLACK, linewidth=0.5)
        axes.locator_params(axis="y", nbins=3)
    weighted.set(xlabel="2θ (°)", ylim=(-span, span))
    for axes in panels:
        axes.set_xlim(low, high)
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)


def draw_fit_on(fit: FitResult, ax: Axes | None = None) -> Axes:
    """Draw curves, and below them rows of ticks and the difference, on axes of the user's, or of a new figure."""
    with figure_style():
        axes = own_axes(ax, 7.2, 3.6)
        top = _draw_curves(axes, fit, np.ones(len(fit.two_theta), dtype=bool), square_root=False)
        for row, (name, table) in enumerate(fit.reflections.items()):
            height = np.full(len(table.two_theta), -(0.05 + 0.04 * row) * top)
            colour, label = PHASE_COLOURS[row % len(PHASE_COLOURS)], label_of(name)
            axes.plot(table.two_theta, height, "|", color=colour, markersize=5, label=label)
        residual = fit.observed - fit.calculated
        shift = -(0.09 + 0.04 * max(len(fit.reflections), 1)) * top - float(residual.max())
        axes.plot(fit.two_theta, residual + shift, color=GREY, linewidth=0.6, label="difference")
        axes.set(xlim=(fit.two_theta[0], fit.two_theta[-1]), xlabel="2θ (°)", ylabel="intensity")
        _legend_of_fit(axes, fit)
        return axes


def _legend_of_fit(axes: Axes, fit: FitResult) -> None:
    """Legend with the quality of the fit and its range, degrees."""
    low, high = fit.two_theta[0], fit.two_theta[-1]
    note = f"Rwp {100 * fit.rwp:.2f} %, GoF {fit.gof:.2f}, {low:.1f}–{high:.1f}°"
    axes.legend(loc="upper right", title=note, title_fontsize=7, alignment="left")


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
                label=f"+ {AMORPHOUS_LABELS.get(name, label_of(name))}",
            )  # fmt: skip
    return float(max(observed.max(), calculated.max()))


@dataclass(frozen=True, kw_only=True)
class _Marked:
    """A reflection worth a label: the largest of the indices at its angle, angle (deg), height, colour of its phase."""

    hkl: tuple[int, ...]
    two_theta: float
    height: float
    colour: str = BLACK

    @property
    def text(self) -> str:
        """``002``; blanks where an index has two figures or a sign."""
        return ("" if all(0 <= index < 10 for index in self.hkl) else " ").join(map(str, self.hkl))


def _label_reflections(axes: Axes, fit: FitResult, limits: Range, avoid: Range | None, *, square_root: bool) -> None:
    """Write hkl over the strongest reflections, leaving out those that would overlap a stronger one's label."""
    gap = 0.04 * (limits[1] - limits[0])
    placed: list[float] = []
    for marked in _strong_reflections(fit, limits, avoid):
        if len(placed) == MAX_LABELS:
            break
        near = np.abs(fit.two_theta - marked.two_theta) <= gap / 2
        if not near.any() or any(abs(marked.two_theta - other) < gap for other in placed):
            continue
        height = float(np.maximum(fit.observed, fit.calculated)[near].max())
        height = float(np.sqrt(max(height, 0.0))) if square_root else height
        axes.annotate(
            marked.text, (marked.two_theta, height), xytext=(0, 4), textcoords="offset points",
            ha="center", va="bottom", rotation=90, fontsize=6.5, color=marked.colour,
        )  # fmt: skip
        placed.append(marked.two_theta)


def _strong_reflections(fit: FitResult, limits: Range, avoid: Range | None) -> list[_Marked]:
    """Reflections within `limits` and not in `avoid` (deg) that stand out of the noise, strongest first."""
    found: list[_Marked] = []
    for row, (phase, table) in enumerate(fit.reflections.items()):
        curve = fit.phases.get(phase)
        if curve is None or not (curve > 0).any():
            continue
        for group in _merged(table):
            angle = group.two_theta
            hidden = avoid is not None and avoid[0] <= angle <= avoid[1]
            index = min(int(np.searchsorted(fit.two_theta, angle)), len(curve) - 1)
            seen = group.height >= 5.0 and curve[index] >= 3.0 * fit.sigma[index]
            if limits[0] <= angle <= limits[1] and not hidden and seen:
                height, colour = float(curve.max()) * group.height, PHASE_COLOURS[row % len(PHASE_COLOURS)]
                found.append(replace(group, height=height, colour=colour))
    return sorted(found, key=lambda marked: (marked.height, marked.two_theta), reverse=True)


def _merged(table: ReflectionTable) -> list[_Marked]:
    """Reflections at one angle as one, with the sum of their intensities and the largest h, then k, then l."""
    groups: list[_Marked] = []
    for index in np.argsort(table.two_theta):
        hkl = tuple(int(h) for h in table.hkl[index])
        angle, intensity = float(table.two_theta[index]), float(table.intensity[index])
        if groups and angle - groups[-1].two_theta < SAME_ANGLE:
            last = groups[-1]
            groups[-1] = replace(last, hkl=max(last.hkl, hkl), height=last.height + intensity)
        else:
            groups.append(_Marked(hkl=hkl, two_theta=angle, height=intensity))
    return groups


def _apatite_window(fit: FitResult) -> Range | None:
    """Range of apatite's main reflections at this wavelength, None where none is fitted or it is out of range."""
    if not any("apatite" in name for name in fit.reflections) or not fit.wavelengths:
        return None
    s = np.sin(np.radians(np.array(APATITE_WINDOW) / 2)) * fit.wavelengths[0] / CU_WAVELENGTH
    if (s >= 1).any():
        return None
    low, high = np.degrees(2 * np.arcsin(s))
    inside = low >= fit.two_theta[0] - 1 and high <= fit.two_theta[-1] + 1
    wide = fit.two_theta[-1] - fit.two_theta[0] > 1.5 * (high - low)
    return (float(low), float(high)) if inside and wide else None


# The thermogravimetric run

OTHER_STEP_COLOURS = ("#999999", YELLOW)
MAX_POINTS = 3000
LABEL_WIDTH = 0.18  # of the temperature range, in a panel 4.6 inch wide
FOOT = 0.1  # of the panel, below the curve, for the residue
ROW_HEIGHT = 0.125  # of the panel, for the two lines of a label


def plot_tga(result: SampleResult) -> Figure:
    """Figure of the TGA curve with its DTG, steps shaded with their mass loss, onsets marked."""
    tga = result.tga
    if tga is None:
        raise AnalysisError(f"{result.sample_id}: no thermogravimetric curve to draw; the analysis had none.")
    with figure_style():
        figure = new_figure(5.2, 4.2)
        grid = figure.add_gridspec(2, 1, height_ratios=(1.6, 1.0))
        upper = figure.add_subplot(grid[0])
        lower = figure.add_subplot(grid[1], sharex=upper)
        draw_tga(upper, lower, tga)
        panel_title(upper, f"{specimen_name(result)}: thermogravimetry")
        return figure


def draw_tga_on(tga: TgaResult, ax: Axes | None = None) -> Axes:
    """Draw mass and, on a second axis, its rate of loss on axes of the user's, or on those of a new figure."""
    with figure_style():
        axes = own_axes(ax, 5.2, 3.4)
        rate = axes.twinx()
        draw_tga(axes, rate, tga, label_width=0.23)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(rate.get_xlabel())
        rate.spines["right"].set_visible(True)
        top = float(rate.get_ylim()[1])
        rate.set(xlabel="", ylim=(-0.02 * top, 3.0 * top))  # the lower third, below the labels of steps
        return axes


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
    width = label_width * (end - start)
    levels: list[tuple[float, int]] = []  # centre (°C) and row of labels, so that they do not cover each other
    for index, step in enumerate(tga.steps):
        centre = float(np.clip((step.start_c + step.end_c) / 2, start + width / 2, end - width / 2))
        taken = {level for other, level in levels if abs(other - centre) < width}
        first = index % 2 if len(tga.steps) > 1 else 0
        free = (level for level in (first, 1 - first, *range(2, len(tga.steps) + 2)) if level not in taken)
        levels.append((centre, next(free)))
    rows = max((level for _, level in levels), default=0) + 1
    head = 0.04 + ROW_HEIGHT * rows
    whole = span / (1.0 - head - FOOT)
    upper.set_ylim(low - FOOT * whole, low + (1.0 - FOOT) * whole)
    upper.set_yticks([tick for tick in upper.get_yticks() if low - 0.05 * span <= tick <= high + 0.02 * span])
    one_panel = upper.get_position().bounds == lower.get_position().bounds
    shaded = (upper,) if one_panel else (upper, lower)
    for index, (step, (centre, level)) in enumerate(zip(tga.steps, levels, strict=True)):
        colour = STEP_COLOURS.get(step.name, OTHER_STEP_COLOURS[index % 2])
        for axes in shaded:
            axes.axvspan(step.start_c, step.end_c, color=colour, alpha=0.22, linewidth=0)
        upper.text(
            centre, 0.985 - ROW_HEIGHT * level,
            f"{step_label(step.name)}\n{percent(step.mass_loss)}",
            ha="center", va="top", fontsize=6.5, linespacing=1.1, transform=upper.get_xaxis_transform(),
        )  # fmt: skip
    written: list[float] = []  # onsets whose temperature is written; the others have no room beside them
    for step in tga.steps:
        if step.onset_c is None:
            continue
        height = float(np.interp(step.onset_c, temperature, mass))
        upper.plot([step.onset_c], [height], marker="v", color=BLACK, markersize=4)
        if all(abs(step.onset_c - other) > 0.6 * width for other in written):
            upper.annotate(
                f"onset {step.onset_c:.0f} °C", (step.onset_c, height), xytext=(4, 4),
                textcoords="offset points", fontsize=6, color=GREY,
            )  # fmt: skip
            written.append(step.onset_c)
    upper.annotate(
        f"residue {percent(tga.residue)}", (float(temperature[-1]), float(mass[-1])), xytext=(-3, -4),
        textcoords="offset points", ha="right", va="top", fontsize=6.5,
    )  # fmt: skip
    lower.axhline(0.0, color=BLACK, linewidth=0.5)
    rate = "" if tga.heating_rate_k_min is None else f", {tga.heating_rate_k_min:.3g} K/min"
    lower.set(xlabel=f"temperature (°C); {gas_label(tga.atmosphere)}{rate}", ylabel="mass loss rate\n(% min⁻¹)")
    upper.tick_params(labelbottom=False)
    upper.set(xlim=(start, end), ylabel="mass (wt% of start)")


# Composition and uncertainty budget

LEAST_SHARE = 1e-3
"""Inputs below it in every component are left out: they would be in the legend and nowhere else."""
TRUTH: Any = {"marker": "D", "markeredgecolor": BLACK, "linestyle": "none", "clip_on": False}
BUDGET_COLOURS = (BLUE, ORANGE, SKY, GREEN, PURPLE, VERMILLION, YELLOW, GREY, BLACK)


def plot_composition(result: SampleResult) -> Figure:
    """Figure of the composition: bars with 95 % intervals; what cannot be separated says so."""
    basis = BASIS_LABELS[result.composition.basis]
    axes = draw_composition(result.composition, result=result)
    return titled(axes, f"{specimen_name(result)}: composition, {basis}")


def draw_composition(composition: Composition, ax: Axes | None = None, *, result: SampleResult | None = None) -> Axes:
    """Draw one bar per component (wt%), sums that can be determined below in grey.

    `result` tells which apatite was found, and the truth of a simulation.
    """
    truth = (result.metadata.get("truth") if result is not None else None) or {}
    names = component_order(composition.components)
    sums = {f"sum: {label_of(name)}": value for name, value in composition.identifiable_sums.items()}
    labels = [*(component_label(name, result) for name in names), *sums]
    with figure_style():
        axes = own_axes(ax, 5.2, 0.75 + 0.3 * len(labels))
        for row, name in enumerate(names):
            _bar(axes, row, composition.components[name], COMPONENT_COLOURS.get(name, GREY))
            if name in truth:
                axes.plot([100 * truth[name]], [row], **TRUTH, markersize=4.5, markerfacecolor="white", zorder=5)
        for row, estimate in enumerate(sums.values(), start=len(names)):
            _bar(axes, row, estimate, "#B8B8B8")
        _rows(axes, labels)
        note = "; ◇: truth of the simulation" if truth else ""
        axes.set_xlabel(f"wt% of the specimen {BASIS_LABELS[composition.basis]}; lines: 95 % intervals{note}")
        return axes


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    """Labelled rows from above, over 0 to 100 %."""
    axes.set(yticks=range(len(labels)), yticklabels=labels, ylim=(len(labels) - 0.4, -0.6), xlim=(0, 100))


def _bar(axes: Axes, row: int, estimate: Estimate | None, colour: str) -> None:
    if estimate is None:
        axes.barh(row, 100, height=0.62, facecolor="none", edgecolor="#D0D0D0", hatch="////", linewidth=0.0)
        axes.text(50, row, NOT_SEPARABLE, ha="center", va="center", fontsize=7,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # fmt: skip
        return
    axes.barh(row, 100 * estimate.value, height=0.62, color=colour, alpha=0.85)
    text = percent(estimate, unit=False)
    if estimate.ci95 is not None:
        low, high = estimate.ci95
        line: dict[str, Any] = {"color": BLACK, "linewidth": 1.1, "clip_on": False, "solid_capstyle": "butt"}
        axes.plot([100 * low, 100 * high], [row, row], **line)
        for end in (low, high):
            axes.plot([100 * end] * 2, [row - 0.16, row + 0.16], **line)
        text += f"  ({interval_text(estimate)})"
    axes.text(1.025, row, text, ha="left", va="center", fontsize=7, transform=axes.get_yaxis_transform())


def plot_budget(result: SampleResult) -> Figure:
    """Figure of the uncertainty budget: which input contributes what share of each component's variance."""
    budget = result.composition.budget
    if not budget:
        raise AnalysisError(f"{result.sample_id}: the composition holds no uncertainty budget.")
    named = dict.fromkeys(name for parts in budget.values() for name in parts)
    inputs = [n for n in named if any(parts.get(n, 0.0) >= LEAST_SHARE for parts in budget.values())]
    rows = component_order(budget)
    with figure_style():
        figure = new_figure(6.4, 0.95 + 0.3 * len(rows) + 0.13 * ((len(inputs) + 2) // 3))
        axes = figure.add_subplot()
        left = np.zeros(len(rows))
        for index, source in enumerate(inputs):
            width = np.array([100 * budget[row].get(source, 0.0) for row in rows])
            label = budget_label(source)
            axes.barh(
                range(len(rows)), width, left=left,
                height=0.62, color=BUDGET_COLOURS[index % len(BUDGET_COLOURS)], label=label,
                hatch="" if index < len(BUDGET_COLOURS) else "///", edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            for row in np.flatnonzero(width > 1.5 * len(label)).tolist():  # room for the name, to be read in grey
                axes.text(
                    left[row] + 0.5 * width[row], row, label, ha="center", va="center", fontsize=6,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
                )  # fmt: skip
            left = left + width
        _rows(axes, [component_label(name, result) for name in rows])
        axes.set_xlabel("share of the variance (%)")
        panel_title(axes, f"{specimen_name(result)}: where the uncertainty comes from")
        figure.legend(loc="outside lower center", ncols=3)
        return figure


# Measurements before any analysis

MASS_LABELS = {"mg": "mg", "ug": "µg", "g": "g", "percent": "%", "fraction": "fraction"}


def plot_measurement(measured: Pattern | TgaRun) -> Figure:
    """Figure of a measurement, titled with its file; see `draw_measurement`."""
    name = measured.source.file if measured.source is not None else "measurement"
    return titled(draw_measurement(measured), name)


def draw_measurement(measured: Pattern | TgaRun, ax: Axes | None = None) -> Axes:
    """Draw a pattern over its angle, or a thermogravimetric run over temperature, its segments in colours."""
    with figure_style():
        axes = own_axes(ax, 7.2, 3.2)
        if isinstance(measured, Pattern):
            axes.plot(measured.two_theta, measured.intensity, color=BLACK, linewidth=0.7)
            axes.set(xlabel="scattering angle 2θ (°)", ylabel=f"intensity ({UNIT_LABELS[measured.intensity_unit]})")
            axes.set_ylim(bottom=min(0.0, float(measured.intensity.min())))
            return axes
        segment = measured.segment
        assert segment is not None, "set by TgaRun"
        numbers = list(dict.fromkeys(segment.tolist()))
        for index, number in enumerate(numbers):
            part = segment == number
            label = f"segment {number}" if len(numbers) > 1 else None
            colour = PHASE_COLOURS[index % len(PHASE_COLOURS)]
            axes.plot(measured.temperature_c[part], measured.mass[part], color=colour, label=label)
        if len(numbers) > 1:
            axes.legend()
        axes.set(xlabel="temperature (°C)", ylabel=f"mass ({MASS_LABELS[measured.mass_unit]})")
        return axes


# Frames of area detectors

MAX_SIDE = 700
UNITS: Mapping[str, str] = {"cps": "counts/s per pixel", "counts": "counts per pixel"}


def plot_frames(placed: Any, pattern: Pattern, profile: Any = None) -> Figure:
    """Figure of one frame with circles of 2θ, the integrated pattern, and the ring where there is one.

    `placed` is the first frame with its angles, `profile` one ring, marked on the frame and in the pattern; see
    ``xrdcomp.frames.integrate``.
    """
    with figure_style():
        figure = new_figure(9.6, 4.6)
        grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.5))
        axes = figure.add_subplot(grid[:, 0])
        every = _show(axes, placed.frame, placed.usable)
        angle = placed.pixels.two_theta[::every, ::every]
        row, column = (np.arange(0, side, every) + 0.5 for side in placed.frame.counts.shape)
        lowest, highest = float(angle.min()), float(angle.max())
        steps = (1.0, 2.0, 5.0, 10.0, 20.0)
        step = next((step for step in steps if (highest - lowest) / step <= 7), 50.0)
        levels = [v for v in np.arange(np.ceil(lowest / step) * step, highest, step) if v > 0]
        circles = axes.contour(
            column, row, angle, levels=levels or [(lowest + highest) / 2], colors=BLUE, linewidths=0.5, alpha=0.8
        )  # fmt: skip
        for label in axes.clabel(circles, fmt=lambda value: f"{value:g}°", fontsize=6, colors=BLACK):
            label.set_bbox({"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.6})
        upper = figure.add_subplot(grid[0, 1] if profile is not None else grid[:, 1])
        x, y, e = pattern.two_theta, pattern.intensity, pattern.sigma
        upper.fill_between(x, y - e, y + e, color=GREY, alpha=0.5, linewidth=0, label="± standard deviation")
        upper.plot(x, y, color=BLACK, linewidth=0.7, label="mean over azimuth")
        if profile is not None:
            edges = (profile.two_theta - profile.half_width, profile.two_theta + profile.half_width)
            axes.contour(column, row, angle, levels=edges, colors=VERMILLION, linewidths=0.8)
            ring = f"ring d {profile.d_spacing:g} Å"
            upper.axvspan(*edges, color=VERMILLION, alpha=0.25, linewidth=0, label=ring)
            _draw_ring(figure.add_subplot(grid[1, 1]), profile)
        high = float(np.percentile(y, 99.9))
        upper.set_ylim(min(0.0, float(y.min())), 1.1 * high if high > 0 else None)
        unit = UNITS.get(pattern.intensity_unit, "arb. units")
        upper.set(xlim=(x[0], x[-1]), xlabel="2θ (degrees)", ylabel=f"intensity ({unit})")
        upper.legend(loc="upper right")
        count = str(pattern.metadata.get("frames", "")).count(", ") + 1
        panel_title(upper, f"pattern of {count} frame{'s' * (count > 1)}")
        return figure


def plot_frame_image(frame: Any) -> Figure:
    """Figure of one frame (`xrdcomp.frames.Frame`) as it is, with its masked pixels."""
    with figure_style():
        rows, columns = frame.counts.shape
        figure = new_figure(5.2, float(np.clip(5.2 * rows / columns, 1.0, 6.0)) + 0.7)
        _show(figure.add_subplot(), frame, ~frame.masked)
        return figure


def _show(axes: Axes, frame: Any, usable: Any) -> int:
    """Draw the counts on a square-root scale; returns the step in pixels that was drawn."""
    counts = frame.counts
    every = max(1, -(-int(max(counts.shape)) // MAX_SIDE))
    shown = np.where(usable, counts, np.nan)[::every, ::every]
    low, high = np.nanpercentile(shown, (2.0, 99.7))
    axes.imshow(
        np.sqrt(np.clip(shown, 0.0, None)), cmap="gray_r", extent=(0, counts.shape[1], counts.shape[0], 0),
        interpolation="nearest", vmin=np.sqrt(max(low, 0.0)), vmax=np.sqrt(max(high, low + 1.0)),
    )  # fmt: skip
    axes.set(facecolor="#f2dfc4", xlabel="column", ylabel="row")
    title = frame.source.file
    panel_title(axes, title if len(title) <= 34 else f"{title[:16]}…{title[-16:]}")
    return every


def _draw_ring(axes: Axes, profile: Any) -> None:
    axes.errorbar(
        profile.azimuth, profile.intensity, yerr=profile.sigma, fmt="o", markersize=2.0, color=BLACK,
        elinewidth=0.5, label="net intensity, counting error",
    )  # fmt: skip
    phi = np.linspace(-180.0, 180.0, 361)
    wave = profile.mean * (1.0 + profile.amplitude * np.cos(2.0 * np.radians(phi - profile.direction)))
    axes.plot(phi, wave, color=VERMILLION, label="second harmonic")
    axes.axhline(0.0, color=GREY, linewidth=0.5)
    low, high = min(0.0, float(profile.intensity.min())), float(max(profile.intensity.max(), wave.max()))
    axes.set(
        xlim=(-180.0, 180.0), xticks=np.arange(-180, 181, 60), ylim=(low, high + 0.35 * (high - low)),
        xlabel="azimuth (degrees; 0 towards higher columns, 90 towards higher rows)", ylabel="net intensity",
    )  # fmt: skip
    axes.legend(loc="upper right", ncols=2)
    hermans = "" if profile.hermans is None else f", Hermans {profile.hermans:.2f}"
    found = f"A = {profile.amplitude:.3f} ± {profile.amplitude_esd:.3f} along {profile.direction:.0f}°{hermans}"
    panel_title(axes, f"ring d {profile.d_spacing:g} Å: {found}")


# One specimen, one cohort


def plot_overview(result: SampleResult) -> Figure:
    """Figure of everything there is of one specimen, as `SampleResult.plot` returns it."""
    measured = sum(part is not None for part in (result.xrd, result.tga))
    name = f"{specimen_name(result)}: "
    with figure_style():
        figure = new_figure((6.4, 6.4, 9.6)[measured], 6.0 if measured else 2.6)
        outer = figure.add_gridspec(2, 1, height_ratios=(3.2, 1.5)) if measured else None
        upper = None
        if outer is not None:
            upper = outer[0].subgridspec(1, measured, width_ratios=(1.5, 1.0)[:measured])
        if upper is not None and result.xrd is not None:
            ticks = 0.3 * max(len(result.xrd.reflections), 1)
            grid = upper[0].subgridspec(4, 1, height_ratios=(5.0, ticks, 1.0, 1.0), hspace=0.05)
            panels = [figure.add_subplot(grid[row]) for row in range(4)]
            draw_fit(panels, result.xrd, unit=intensity_label(result))
            panel_title(panels[0], f"{name}diffraction")
            name = ""
        if upper is not None and result.tga is not None:
            grid = upper[-1].subgridspec(2, 1, height_ratios=(1.6, 1.0), hspace=0.05)
            panels = [figure.add_subplot(grid[row]) for row in range(2)]
            draw_tga(panels[0], panels[1], result.tga, label_width=0.27 if measured == 2 else LABEL_WIDTH)
            panels[1].set_xlim(panels[0].get_xlim())
            panel_title(panels[0], f"{name}thermogravimetry")
            name = ""
        axes = figure.add_subplot(outer[1]) if outer is not None else figure.add_subplot()
        draw_composition(result.composition, axes, result=result)
        panel_title(axes, f"{name}composition")
        return figure


def plot_cohort(results: Sequence[SampleResult]) -> Figure:
    """Figure with one panel per component: every specimen's estimate with its 95 % interval, wt%.

    Truth, where the specimens are simulated, is an open diamond. Results on different bases are refused: they must not
    stand on one axis.
    """
    bases = {result.composition.basis for result in results}
    if len(bases) != 1:
        raise AnalysisError(f"a cohort figure needs results on one basis; got {sorted(bases) or 'no results'}.")
    with figure_style():
        figure = new_figure(9.6, 1.1 + 0.24 * len(results))
        grid = figure.add_gridspec(1, len(COMPONENTS), width_ratios=(1.6, 1.6, 1.2, *[1.0] * (len(COMPONENTS) - 3)))
        if any(result.metadata.get("simulated") for result in results):
            figure.suptitle("simulated cohort", fontsize=9, fontweight="bold")
        for column, component in enumerate(COMPONENTS):
            axes = figure.add_subplot(grid[0, column])
            top = 1.0
            for row, result in enumerate(results):
                top = max(top, _draw_estimate(axes, row, result, component))
            _rows(axes, [r.sample_id if column == 0 else "" for r in results])
            axes.set_xlim(0.0, min(105.0, 1.08 * top))
            axes.grid(axis="x", color="#E2E2E2", linewidth=0.5)
            axes.set_axisbelow(True)
            axes.set_title(label_of(component).replace("crystalline ", "crystalline\n", 1), fontsize=8)
        note = f"wt% {BASIS_LABELS[bases.pop()]}; lines: 95 % intervals"
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
        beside = axes.get_yaxis_transform()
        axes.text(0.02, row, "n.s.", transform=beside, va="center", fontsize=6.5, color=GREY)
    else:
        low, high = estimate.ci95 or (estimate.value, estimate.value)
        colour = COMPONENT_COLOURS[component]
        style: Any = {"linewidth": 1.6, "solid_capstyle": "butt"}
        axes.plot([100 * low, 100 * high], [row, row], color=colour, clip_on=False, **style)
        axes.plot([100 * estimate.value], [row], marker="o", markersize=4, color=colour, clip_on=False)
        top = 100 * high
    if component in truth:
        size: Any = {"markersize": 5.5, "markeredgewidth": 0.8}
        axes.plot([100 * truth[component]], [row], **TRUTH, markerfacecolor="none", **size)
        top = max(top, 100 * truth[component])
    return top
