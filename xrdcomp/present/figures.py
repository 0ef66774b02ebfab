"""Figures of results: fits, thermogravimetry, compositions, budgets, one specimen, a cohort.

Each ``plot_…`` draws on axes of the user's (`ax`) or on a new figure of `width_mm`, and returns the axes, of several
panels the first; ``style.figure_of`` gives their figure. Text is never smaller than 6 points at the width asked for.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from xrdcomp.errors import AnalysisError, ArgumentError
from xrdcomp.present.colours import (
    AMORPHOUS_COLOURS,
    AMORPHOUS_DASHES,
    BLACK,
    BUDGET_GROUPS,
    COMPONENT_COLOURS,
    GREY,
    PALE,
    STEP_COLOURS,
    VERMILLION,
    YELLOW,
    budget_group,
    phase_colours,
)
from xrdcomp.present.drawings import SAME_ANGLE
from xrdcomp.present.measured import draw_measurement as draw_measurement  # what records call from here
from xrdcomp.present.style import (
    NARROW_MM,
    SMALL,
    USUAL,
    WIDTHS,
    figure_mm,
    figure_of,
    figure_style,
    own_axes,
    panel_title,
)
from xrdcomp.present.tables import (
    BASIS_LABELS,
    NOT_SEPARABLE,
    UNIT_LABELS,
    component_label,
    component_order,
    gas_label,
    interval_text,
    label_of,
    percent,
    specimen_name,
    step_label,
)
from xrdcomp.results import COMPONENTS
from xrdcomp.units import two_theta_to_q

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from xrdcomp.results import Composition, Estimate, FitResult, ReflectionTable, SampleResult, TgaResult

DOUBLE = WIDTHS["double"]
Scale = Literal["linear", "sqrt", "log"]
"""Of intensities: as they are, their square root, their logarithm; the last two keep the sign of negative ones."""
Abscissa = Literal["two_theta", "d", "q"]
Range: TypeAlias = tuple[float, float]  # of 2θ, degrees

# The fit

APATITE_WINDOW = (24.0, 36.0)  # degrees, Cu Kα: the reflections 002 to 202
CU_WAVELENGTH = 1.5406
MAX_LABELS = 9
AMORPHOUS_LABELS = {"amorphous_calcium_phosphate": "amorphous Ca phosphate"}
SPACINGS = (50, 30, 20, 15, 10, 7, 5, 4, 3, 2.5, 2, 1.5, 1.2, 1, 0.8, 0.6, 0.5, 0.4)  # Å, ticks of an axis of d


def plot_fit(
    result: SampleResult, *, ax: Axes | None = None, width_mm: float = DOUBLE, scale: Scale = "linear",
    axis: Abscissa = "two_theta",
) -> Axes:  # fmt: skip
    """Draw the whole-pattern fit: curves of every part, ticks, difference, and a window of apatite's main reflections.

    `scale` sqrt or log makes weak reflections and the background visible; `axis` d or q makes wavelengths comparable.
    On axes of the user's the curves, ticks and difference stand together.
    """
    fit = result.xrd
    if fit is None:
        raise AnalysisError(f"{result.sample_id}: no fit to draw; the analysis had no powder pattern.")
    x = _Across.of(fit, axis)
    peaks = result.metadata.get("unexplained_peaks") or ()
    if ax is not None:
        return draw_fit_on(fit, ax, scale=scale, axis=axis, peaks=peaks, unit=intensity_label(result))
    with figure_style():
        narrow = width_mm < NARROW_MM
        window = None if narrow or axis != "two_theta" else _apatite_window(fit)
        rows = max(len(fit.reflections), 1)
        figure = figure_mm(width_mm, (100.0 if narrow else 112.0) + 3.0 * min(rows, 12))
        grid = figure.add_gridspec(
            4, 2 if window else 1, height_ratios=(5.0, 0.22 * rows + 0.1, 1.0, 1.0),
            width_ratios=(1.75, 1.0) if window else None,
        )  # fmt: skip
        column = [figure.add_subplot(grid[row, 0]) for row in range(4)]
        draw_fit(column, fit, x=x, unit=intensity_label(result), scale=scale, avoid=window, peaks=peaks)
        panel_title(column[0], f"{specimen_name(result)}: whole-pattern fit")
        if window:
            zoom = [figure.add_subplot(grid[row, 1]) for row in range(4)]
            draw_fit(zoom, fit, x=x, unit="", scale=scale, limits=window, peaks=peaks)
            panel_title(zoom[0], "main reflections of apatite")
            for axes in zoom:
                axes.set_ylabel("")
        _legend_below(column[0], 2 if narrow else 5, title=_quality(fit))
        return column[0]


def _legend_below(axes: Axes, columns: int, *, title: str = "") -> None:
    """Legend of one panel below the whole figure, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    below: Any = {"loc": "outside lower center", "ncols": columns, "title_fontsize": SMALL + 0.5}
    figure_of(axes).legend(handles, labels, title=title or None, **below)


def _quality(fit: FitResult) -> str:
    return f"Rwp {100 * fit.rwp:.2f} %, GoF {fit.gof:.2f}"


def intensity_label(result: SampleResult) -> str:
    """Label of the intensity axis in the unit that the file states."""
    return f"intensity ({UNIT_LABELS[result.metadata.get('intensity_unit', 'arbitrary')]})"


@dataclass(frozen=True, kw_only=True)
class _Across:
    """The abscissa of a pattern: what stands on it for an angle, and its label with the wavelength."""

    kind: Abscissa
    wavelength: float | None

    @classmethod
    def of(cls, fit: FitResult, axis: Abscissa) -> _Across:
        if axis not in get_args(Abscissa):
            raise ArgumentError("axis", axis, "two_theta, d or q")
        wavelength = fit.wavelengths[0] if fit.wavelengths else None
        if wavelength is None and axis != "two_theta":
            raise AnalysisError(f"the fit knows no wavelength, without which there is no {axis}; use axis two_theta.")
        return cls(kind=axis, wavelength=wavelength)

    def __call__(self, two_theta: Any) -> Any:
        if self.kind == "two_theta" or self.wavelength is None:
            return two_theta
        q = two_theta_to_q(np.asarray(two_theta, dtype=float), self.wavelength)
        return q if self.kind == "q" else 2.0 * np.pi / q

    @property
    def label(self) -> str:
        name = {"two_theta": "2θ (°)", "d": "d (Å)", "q": "q = 4π sinθ/λ (1/Å)"}[self.kind]
        return name if self.wavelength is None else f"{name}; λ = {self.wavelength:.5g} Å"

    def limit(self, axes: Axes, low: float, high: float) -> None:
        """Set the range, angles growing to the right; spacings stand on a logarithmic scale."""
        if self.kind == "d":
            axes.set_xscale("log")
            ends = (float(self(low)), float(self(high)))
            inside = [d for d in SPACINGS if min(ends) <= d <= max(ends)]
            axes.set_xticks(inside, [f"{d:g}" for d in inside])
            axes.set_xticks([], minor=True)
        axes.set_xlim(float(self(low)), float(self(high)))


def _scaled(axes: Axes, scale: Scale, low: float, high: float, *, linear_below: float) -> None:
    """Scale and limits of intensities from `low` to `high`; nothing drawn is cut off, negative values neither.

    `linear_below` is the intensity below which a logarithmic scale that needs a zero goes on evenly.
    """
    if scale not in get_args(Scale):
        raise ArgumentError("scale", scale, "linear, sqrt or log")
    span = high - low or 1.0
    if scale == "sqrt":
        forward: Callable[[Any], Any] = lambda y: np.sign(y) * np.sqrt(np.abs(y))  # noqa: E731 - a pair of inverses
        axes.set_yscale("function", functions=(forward, lambda y: np.sign(y) * np.square(y)))
        axes.set_ylim(min(low, 0.0) * 1.2, high * 1.35)
    elif scale == "log":
        if low > 0.0:
            axes.set_yscale("log")
            axes.set_ylim(0.8 * low, high * (high / low) ** 0.16)
        else:
            axes.set_yscale("symlog", linthresh=linear_below)
            axes.set_ylim(1.2 * low, high * (high / linear_below) ** 0.16)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    else:
        axes.set_ylim(min(low, 0.0) - (0.02 * span if low < 0.0 else 0.0), high + 0.22 * span)


def draw_fit(
    panels: Sequence[Axes], fit: FitResult, *, x: _Across, unit: str, scale: Scale = "linear",
    limits: Range | None = None, avoid: Range | None = None, peaks: Sequence[Mapping[str, Any]] = (),
) -> None:  # fmt: skip
    """Draw the fit on four axes: curves, ticks, difference, weighted difference.

    x : abscissa; unit : label of the intensity axis; limits : part of the range to show, degrees, without names of
    phases; avoid : part whose hkl labels are left to another panel; peaks : what no phase explains.
    """
    curves, ticks, difference, weighted = panels
    low, high = limits or (float(fit.two_theta[0]), float(fit.two_theta[-1]))
    shown = (fit.two_theta >= low) & (fit.two_theta <= high)
    across = x(fit.two_theta[shown])
    bottom, top = _draw_curves(curves, fit, shown, x)
    _label_reflections(curves, fit, (low, high), avoid, x)
    _mark_unexplained(curves, fit, (low, high), peaks, x)
    positive = fit.observed[shown][fit.observed[shown] > 0.0]
    if scale == "log":  # of the parts that go to zero nothing is to be learnt
        bottom = float(positive.min()) if len(positive) and fit.observed[shown].min() > 0.0 else bottom
    noise = float(np.median(fit.sigma[shown]))
    _scaled(curves, scale, bottom, top, linear_below=max(noise, 1e-6 * top))
    curves.set_ylabel(f"{unit}, {'√' if scale == 'sqrt' else 'log'} scale" if unit and scale != "linear" else unit)
    colours = phase_colours(fit.reflections)
    for row, (phase, table) in enumerate(fit.reflections.items()):  # ticks, the phase's name beside them
        inside = (table.two_theta >= low) & (table.two_theta <= high)
        ticks.vlines(x(table.two_theta[inside]), -row - 0.35, -row + 0.35, color=colours[phase], linewidth=0.7)
        if limits is None:
            ticks.text(
                -0.01, -row, textwrap.shorten(label_of(phase), 16, placeholder="…"), color=colours[phase],
                fontsize=SMALL, ha="right", va="center", transform=ticks.get_yaxis_transform(),
            )  # fmt: skip
    ticks.set(ylim=(-max(len(fit.reflections), 1) + 0.5, 0.5), yticks=[])
    ticks.spines[:].set_visible(False)
    residual = (fit.observed - fit.calculated)[shown]
    weights = residual / fit.sigma[shown]
    span = 1.1 * max(4.0, float(np.abs(weights).max()))
    difference.plot(across, residual, color=GREY, linewidth=0.6)
    weighted.plot(across, weights, color=GREY, linewidth=0.6)
    difference.set_ylabel("obs\n− calc", fontsize=SMALL)  # two short lines: the panel is lower than one long
    weighted.set_ylabel("diff.\n/ σ", fontsize=SMALL)
    for axes in (difference, weighted):
        axes.axhline(0.0, color=BLACK, linewidth=0.5)
        axes.locator_params(axis="y", nbins=3)
    weighted.set(xlabel=x.label, ylim=(-span, span))
    for axes in panels:
        x.limit(axes, low, high)
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False, which="both")
    ticks.tick_params(bottom=False, which="both")


def draw_fit_on(
    fit: FitResult, ax: Axes | None = None, *, scale: Scale = "linear", axis: Abscissa = "two_theta",
    peaks: Sequence[Mapping[str, Any]] = (), unit: str = "intensity",
) -> Axes:  # fmt: skip
    """Draw curves, and below them rows of ticks and the difference, on axes of the user's, or of a new figure."""
    with figure_style():
        axes, x = own_axes(ax, DOUBLE, 95.0), _Across.of(fit, axis)
        every = np.ones(len(fit.two_theta), dtype=bool)
        low, top = _draw_curves(axes, fit, every, x)
        limits = (float(fit.two_theta[0]), float(fit.two_theta[-1]))
        _mark_unexplained(axes, fit, limits, peaks, x)
        colours = phase_colours(fit.reflections)
        if scale == "linear":
            for row, (name, table) in enumerate(fit.reflections.items()):
                height = np.full(len(table.two_theta), low - (0.05 + 0.04 * row) * top)
                axes.plot(x(table.two_theta), height, "|", color=colours[name], markersize=5)
            residual = fit.observed - fit.calculated
            shift = low - (0.09 + 0.04 * max(len(fit.reflections), 1)) * top - float(residual.max())
            axes.plot(x(fit.two_theta), residual + shift, color=GREY, linewidth=0.6, label="difference")
        else:
            bottom = min(low, float(fit.observed.min())) if scale == "sqrt" else float(fit.observed.min())
            _scaled(axes, scale, bottom, top, linear_below=float(np.median(fit.sigma)))
        axes.set(xlabel=x.label, ylabel=unit)
        x.limit(axes, *limits)
        axes.legend(loc="upper right", title=_quality(fit), title_fontsize=SMALL, alignment="left")
        return axes


def _draw_curves(axes: Axes, fit: FitResult, shown: NDArray[np.bool_], x: _Across) -> Range:
    """Observed points, sum and parts; returns the lowest and the highest of what was drawn."""
    across = x(fit.two_theta[shown])
    many = len(across) > 4000
    axes.plot(across, fit.observed[shown], ".", color="#7F7F7F", markersize=1.6, label="observed", rasterized=many)
    axes.plot(across, fit.calculated[shown], color=BLACK, linewidth=0.8, label="calculated")
    axes.plot(across, fit.background[shown], color=GREY, linewidth=0.9, linestyle="--", label="background")
    lowest = [fit.observed[shown].min(), fit.background[shown].min()]
    for name, curve in fit.amorphous.items():
        if curve.any():
            part = (fit.background + curve)[shown]
            lowest.append(part.min())
            axes.plot(
                across, part, linewidth=0.9, linestyle=AMORPHOUS_DASHES.get(name, "-."),
                color=AMORPHOUS_COLOURS.get(name, GREY), label=f"+ {AMORPHOUS_LABELS.get(name, label_of(name))}",
            )  # fmt: skip
    unknown = fit.unidentified[shown] if fit.unidentified is not None else np.zeros(0)
    if unknown.any():  # part of the calculated curve, though no model's
        axes.fill_between(across, 0.0, unknown, color=YELLOW, linewidth=0.0, zorder=0.5, label="unidentified crystals")
        lowest.append(unknown.min())
    colours = phase_colours(fit.reflections)
    for name, curve in fit.phases.items():
        if curve.any():
            axes.plot(across, curve[shown], linewidth=0.7, color=colours.get(name, GREY), label=label_of(name))
            lowest.append(curve[shown].min())
    return float(min(lowest)), float(max(fit.observed[shown].max(), fit.calculated[shown].max()))


def _mark_unexplained(
    axes: Axes, fit: FitResult, limits: Range, peaks: Sequence[Mapping[str, Any]], x: _Across
) -> None:
    """Mark peaks that no phase explains with a triangle above the pattern."""
    inside = [peak["two_theta"] for peak in peaks if limits[0] <= peak["two_theta"] <= limits[1]]
    if not inside:
        return
    heights = np.interp(inside, fit.two_theta, np.maximum(fit.observed, fit.calculated))
    axes.plot(
        x(np.array(inside)), heights, linestyle="none", marker="v", markersize=4.5, markerfacecolor=YELLOW,
        markeredgecolor=BLACK, markeredgewidth=0.6, label="unexplained", zorder=5,
    )  # fmt: skip


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


def _label_reflections(axes: Axes, fit: FitResult, limits: Range, avoid: Range | None, x: _Across) -> None:
    """Write hkl over the strongest reflections, leaving out those that would overlap a stronger one's label."""
    low, high = float(x(limits[0])), float(x(limits[1]))
    gap = 0.04 * abs(high - low)
    placed: list[float] = []
    for marked in _strong_reflections(fit, limits, avoid):
        if len(placed) == MAX_LABELS:
            break
        near = np.abs(fit.two_theta - marked.two_theta) <= 0.02 * (limits[1] - limits[0])
        place = float(x(marked.two_theta))
        if not near.any() or any(abs(place - other) < gap for other in placed):
            continue
        height = float(np.maximum(fit.observed, fit.calculated)[near].max())
        axes.annotate(
            marked.text, (place, height), xytext=(0, 4), textcoords="offset points",
            ha="center", va="bottom", rotation=90, fontsize=SMALL, color=marked.colour,
        )  # fmt: skip
        placed.append(place)


def _strong_reflections(fit: FitResult, limits: Range, avoid: Range | None) -> list[_Marked]:
    """Reflections within `limits` and not in `avoid` (deg) that stand out of the noise, strongest first."""
    found: list[_Marked] = []
    colours = phase_colours(fit.reflections)
    for phase, table in fit.reflections.items():
        curve = fit.phases.get(phase)
        if curve is None or not (curve > 0).any():
            continue
        for group in _merged(table):
            angle = group.two_theta
            hidden = avoid is not None and avoid[0] <= angle <= avoid[1]
            index = min(int(np.searchsorted(fit.two_theta, angle)), len(curve) - 1)
            seen = group.height >= 5.0 and curve[index] >= 3.0 * fit.sigma[index]
            if limits[0] <= angle <= limits[1] and not hidden and seen:
                height = float(curve.max()) * group.height
                found.append(replace(group, height=height, colour=colours[phase]))
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
LABEL_MM = 22.0  # width of a step's label
FOOT = 0.1  # of the panel, below the curve, for the residue


def plot_tga(result: SampleResult, *, ax: Axes | None = None, width_mm: float = 130.0) -> Axes:
    """Draw the TGA curve with its DTG, steps shaded with their mass loss, onsets marked.

    On axes of the user's the DTG stands on a second axis on the right.
    """
    tga = result.tga
    if tga is None:
        raise AnalysisError(f"{result.sample_id}: no thermogravimetric curve to draw; the analysis had none.")
    if ax is not None:
        return draw_tga_on(tga, ax)
    with figure_style():
        figure = figure_mm(width_mm, 95.0)
        grid = figure.add_gridspec(2, 1, height_ratios=(1.7, 1.0))
        upper = figure.add_subplot(grid[0])
        lower = figure.add_subplot(grid[1], sharex=upper)
        draw_tga(upper, lower, tga, width_mm=width_mm - 18.0)
        panel_title(upper, f"{specimen_name(result)}: thermogravimetry")
        return upper


def draw_tga_on(tga: TgaResult, ax: Axes | None = None) -> Axes:
    """Draw mass and, on a second axis, its rate of loss on axes of the user's, or on those of a new figure."""
    with figure_style():
        axes = own_axes(ax, 130.0, 85.0)
        rate = axes.twinx()
        draw_tga(axes, rate, tga, width_mm=85.0)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(rate.get_xlabel())
        rate.spines["right"].set_visible(True)
        low, top = (float(value) for value in rate.get_ylim())
        rate.set(xlabel="", ylim=(min(1.05 * low, -0.02 * top), 3.0 * top))  # the lower third, below the steps' labels
        return axes


def draw_tga(upper: Axes, lower: Axes, tga: TgaResult, *, width_mm: float = 100.0) -> None:
    """Draw mass (wt%) on `upper` and DTG (%/min) on `lower`, against temperature in °C.

    width_mm : width of the panel, by which labels of steps keep apart.
    """
    every = max(1, len(tga.temperature_c) // MAX_POINTS)
    temperature = tga.temperature_c[::every]
    mass = 100.0 * tga.mass_fraction[::every]
    upper.plot(temperature, mass, color=BLACK)
    lower.plot(temperature, 100.0 * tga.dtg_per_min[::every], color=GREY)
    low, high = float(mass.min()), float(mass.max())
    span = max(high - low, 1e-3)
    start, end = float(temperature.min()), float(temperature.max())
    width = min(LABEL_MM / width_mm, 0.45) * (end - start)
    row_height = 0.125
    levels: list[tuple[float, int]] = []  # centre (°C) and row of labels, so that they do not cover each other
    for index, step in enumerate(tga.steps):
        centre = float(np.clip((step.start_c + step.end_c) / 2, start + width / 2, end - width / 2))
        taken = {level for other, level in levels if abs(other - centre) < width}
        first = index % 2 if len(tga.steps) > 1 else 0
        free = (level for level in (first, 1 - first, *range(2, len(tga.steps) + 2)) if level not in taken)
        levels.append((centre, next(free)))
    rows = max((level for _, level in levels), default=0) + 1
    head = 0.04 + row_height * rows
    whole = span / (1.0 - head - FOOT)
    upper.set_ylim(low - FOOT * whole, low + (1.0 - FOOT) * whole)
    upper.set_yticks([tick for tick in upper.get_yticks() if low - 0.05 * span <= tick <= high + 0.02 * span])
    one_panel = upper.get_position().bounds == lower.get_position().bounds
    shaded = (upper,) if one_panel else (upper, lower)
    for index, (step, (centre, level)) in enumerate(zip(tga.steps, levels, strict=True)):
        colour = STEP_COLOURS.get(step.name, OTHER_STEP_COLOURS[index % 2])
        for axes in shaded:
            axes.axvspan(step.start_c, step.end_c, color=colour, alpha=0.22, linewidth=0)
            axes.axvline(step.end_c, color=GREY, linewidth=0.4, linestyle=(0, (1, 2)))
        upper.text(
            centre, 0.985 - row_height * level, f"{step_label(step.name)}\n{percent(step.mass_loss)}",
            ha="center", va="top", fontsize=SMALL, linespacing=1.1, transform=upper.get_xaxis_transform(),
        )  # fmt: skip
    written: list[float] = []  # onsets whose temperature is written; the others have no room beside them
    for step in tga.steps:
        if step.onset_c is None:
            continue
        height = float(np.interp(step.onset_c, temperature, mass))
        upper.plot([step.onset_c], [height], marker="v", color=BLACK, markersize=3.5)
        if all(abs(step.onset_c - other) > 0.9 * width for other in written):
            upper.annotate(
                f"onset {step.onset_c:.0f} °C", (step.onset_c, height), xytext=(4, 4),
                textcoords="offset points", fontsize=SMALL, color=GREY,
            )  # fmt: skip
            written.append(step.onset_c)
    upper.annotate(
        f"residue {percent(tga.residue)}", (float(temperature[-1]), float(mass[-1])), xytext=(-3, -4),
        textcoords="offset points", ha="right", va="top", fontsize=SMALL,
    )  # fmt: skip
    lower.axhline(0.0, color=BLACK, linewidth=0.5)
    rate = "" if tga.heating_rate_k_min is None else f", {tga.heating_rate_k_min:.3g} K/min"
    lower.set(xlabel=f"temperature (°C); {gas_label(tga.atmosphere)}{rate}", ylabel="mass loss rate\n(% min⁻¹)")
    upper.tick_params(labelbottom=False)
    upper.set(xlim=(start, end), ylabel="mass (wt% of start)")


# Composition and uncertainty budget

LEAST_SHARE = 1e-3
"""Groups below it in every component are left out: they would be in the legend and nowhere else."""
TRUTH: Any = {"marker": "D", "markeredgecolor": BLACK, "linestyle": "none", "clip_on": False}


def plot_composition(result: SampleResult, *, ax: Axes | None = None, width_mm: float = 130.0) -> Axes:
    """Draw the composition: bars with 95 % intervals; what cannot be separated says so."""
    basis = BASIS_LABELS[result.composition.basis]
    axes = draw_composition(result.composition, ax, result=result, width_mm=width_mm)
    if ax is None:
        with figure_style():
            panel_title(axes, f"{specimen_name(result)}: composition, {basis}")
    return axes


def draw_composition(
    composition: Composition, ax: Axes | None = None, *, result: SampleResult | None = None, width_mm: float = 130.0,
) -> Axes:  # fmt: skip
    """Draw one bar per component (wt%), sums that can be determined below in grey.

    `result` tells which apatite was found, and the truth of a simulation. In a narrow figure the words stand above
    their bars.
    """
    truth = (result.metadata.get("truth") if result is not None else None) or {}
    names = component_order(composition.components)
    sums = {f"sum: {label_of(name)}": value for name, value in composition.identifiable_sums.items()}
    labels = [*(component_label(name, result) for name in names), *sums]
    narrow = width_mm < NARROW_MM
    with figure_style():
        axes = own_axes(ax, width_mm, 16.0 + (8.5 if narrow else 7.0) * len(labels))
        for row, name in enumerate(names):
            colour = COMPONENT_COLOURS.get(name, GREY)
            _bar(axes, row, composition.components[name], colour, above=labels[row] if narrow else "")
            if name in truth:
                place = row + 0.14 if narrow else row
                axes.plot([100 * truth[name]], [place], **TRUTH, markersize=4, markerfacecolor="white", zorder=5)
        for row, estimate in enumerate(sums.values(), start=len(names)):
            _bar(axes, row, estimate, PALE, above=labels[row] if narrow else "")
        _rows(axes, [""] * len(labels) if narrow else labels)
        if narrow:
            axes.set_yticks([])
        note = "; ◇: truth of the simulation" if truth else ""
        label = f"wt% of the specimen {BASIS_LABELS[composition.basis]}; lines: 95 % intervals{note}"
        axes.set_xlabel(textwrap.fill(label, 62) if narrow else label)
        return axes


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    """Labelled rows from above, over 0 to 100 %."""
    axes.set(yticks=range(len(labels)), yticklabels=labels, ylim=(len(labels) - 0.4, -0.6), xlim=(0, 100))


def _bar(axes: Axes, row: int, estimate: Estimate | None, colour: str, *, above: str = "") -> None:
    """Draw one bar with its interval and numbers; with a text `above` it, its name, the bar is the lower half."""
    height, place = (0.34, row + 0.14) if above else (0.62, row)
    if estimate is None:
        axes.barh(place, 100, height=height, facecolor="none", edgecolor="#D0D0D0", hatch="////", linewidth=0.0)
        if above:
            axes.text(0, row - 0.08, f"{above}: {NOT_SEPARABLE}", ha="left", va="bottom", fontsize=SMALL + 0.5)
        else:
            axes.text(50, row, NOT_SEPARABLE, ha="center", va="center", fontsize=SMALL + 0.5,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # fmt: skip
        return
    axes.barh(place, 100 * estimate.value, height=height, color=colour, alpha=0.85)
    text = percent(estimate, unit=False)
    if estimate.ci95 is not None:
        low, high = estimate.ci95
        line: dict[str, Any] = {"color": BLACK, "linewidth": 1.1, "clip_on": False, "solid_capstyle": "butt"}
        axes.plot([100 * low, 100 * high], [place, place], **line)
        for end in (low, high):
            axes.plot([100 * end] * 2, [place - 0.26 * height, place + 0.26 * height], **line)
        text += f"  ({interval_text(estimate)})"
    if above:
        axes.text(0, row - 0.08, above, ha="left", va="bottom", fontsize=SMALL + 0.5)
        axes.text(1.0, row - 0.08, text, ha="right", va="bottom", fontsize=SMALL + 0.5,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    else:
        axes.text(1.025, row, text, ha="left", va="center", fontsize=SMALL + 0.5, transform=axes.get_yaxis_transform())


_FIVE_GROUPS_MM = 170.0  # from which on the names of five groups stand in one row


def plot_budget(result: SampleResult, *, ax: Axes | None = None, width_mm: float = DOUBLE) -> Axes:
    """Draw the uncertainty budget in groups of inputs: which contributes what share of each component's variance."""
    budget = result.composition.budget
    if not budget:
        raise AnalysisError(f"{result.sample_id}: the composition holds no uncertainty budget.")
    rows = component_order(budget)
    shares = {group: np.zeros(len(rows)) for group in BUDGET_GROUPS}
    for row, name in enumerate(rows):
        for source, share in budget[name].items():
            shares[budget_group(source)][row] += 100.0 * share
    shares = {group: width for group, width in shares.items() if (width >= 100.0 * LEAST_SHARE).any()}
    narrow = ax is None and width_mm < NARROW_MM
    with figure_style():
        axes = own_axes(ax, width_mm, 24.0 + (8.5 if narrow else 7.0) * len(rows) + 4.0 * narrow)
        left = np.zeros(len(rows))
        for group, width in shares.items():
            places = np.arange(len(rows)) + (0.14 if narrow else 0.0)
            axes.barh(
                places, width, left=left, height=0.4 if narrow else 0.62, color=BUDGET_GROUPS[group][0], label=group,
                edgecolor=BLACK, linewidth=0.4,
            )  # fmt: skip
            left = left + width
        labels = [component_label(name, result) for name in rows]
        _rows(axes, [""] * len(rows) if narrow else labels)
        if narrow:
            axes.set_yticks([])
            for row, label in enumerate(labels):
                axes.text(0, row - 0.1, label, ha="left", va="bottom", fontsize=SMALL + 0.5)
        axes.set_xlabel("share of the variance (%)")
        if ax is None:
            panel_title(axes, f"{specimen_name(result)}: where the uncertainty comes from")
            _legend_below(axes, 2 if narrow else 3 if width_mm < _FIVE_GROUPS_MM else 5)
        else:
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
        return axes


# One specimen, one cohort


def plot_overview(result: SampleResult, *, width_mm: float = DOUBLE) -> Figure:
    """Figure of everything there is of one specimen, as `SampleResult.plot` returns it."""
    measured = sum(part is not None for part in (result.xrd, result.tga))
    stacked = measured == 2 and width_mm < NARROW_MM
    name = f"{specimen_name(result)}: "
    with figure_style():
        foot = 16.0 + (8.5 if width_mm < NARROW_MM else 7.0) * (
            len(result.composition.components) + len(result.composition.identifiable_sums)
        )
        upper_mm = (0.0, 100.0, 195.0 if stacked else 105.0)[measured]
        figure = figure_mm(width_mm, upper_mm + foot + 12.0)
        outer = figure.add_gridspec(2, 1, height_ratios=(upper_mm, foot)) if measured else None
        upper = None
        if outer is not None:
            shape = (measured, 1) if stacked else (1, measured)
            ratios: Any = {} if stacked else {"width_ratios": (1.5, 1.0)[:measured]}
            upper = outer[0].subgridspec(*shape, **ratios)
        panels: list[Axes]
        if upper is not None and result.xrd is not None:
            ticks = 0.3 * max(len(result.xrd.reflections), 1)
            grid = upper[0].subgridspec(4, 1, height_ratios=(5.0, ticks, 1.0, 1.0), hspace=0.05)
            panels = [figure.add_subplot(grid[row]) for row in range(4)]
            peaks = result.metadata.get("unexplained_peaks") or ()
            across = _Across.of(result.xrd, "two_theta")
            draw_fit(panels, result.xrd, x=across, unit=intensity_label(result), peaks=peaks)
            _legend_below(panels[0], 2 if width_mm < NARROW_MM else 5, title=f"diffraction, {_quality(result.xrd)}")
            panel_title(panels[0], f"{name}diffraction")
            name = ""
        if upper is not None and result.tga is not None:
            grid = upper[-1].subgridspec(2, 1, height_ratios=(1.6, 1.0), hspace=0.05)
            panels = [figure.add_subplot(grid[row]) for row in range(2)]
            share = 1.0 if stacked or measured == 1 else 0.4
            draw_tga(panels[0], panels[1], result.tga, width_mm=share * width_mm - 16.0)
            panels[1].set_xlim(panels[0].get_xlim())
            panel_title(panels[0], f"{name}thermogravimetry")
            name = ""
        axes = figure.add_subplot(outer[1]) if outer is not None else figure.add_subplot()
        draw_composition(result.composition, axes, result=result, width_mm=width_mm)
        panel_title(axes, f"{name}composition")
        return figure


def plot_cohort(
    results: Sequence[SampleResult], *, width_mm: float = DOUBLE, components: Sequence[str] = COMPONENTS
) -> Axes:
    """Draw one panel per component: every specimen's estimate with its 95 % interval, wt%; return the first axes.

    Truth, where the specimens are simulated, is an open diamond. Results on different bases are refused: they must not
    stand on one axis.
    """
    bases = {result.composition.basis for result in results}
    if len(bases) != 1:
        raise AnalysisError(f"a cohort figure needs results on one basis; got {sorted(bases) or 'no results'}.")
    columns = len(components) if width_mm >= NARROW_MM else 2
    lines = -(-len(components) // columns)
    with figure_style():
        figure = figure_mm(width_mm, 20.0 + lines * (12.0 + 5.0 * len(results)))
        grid = figure.add_gridspec(lines, columns)
        if any(result.metadata.get("simulated") for result in results):
            figure.suptitle("simulated cohort", fontsize=USUAL + 1.0, fontweight="bold")
        first: Axes | None = None
        for number, component in enumerate(components):
            axes = figure.add_subplot(grid[number // columns, number % columns])
            first = first or axes
            top = 1.0
            for row, result in enumerate(results):
                top = max(top, _draw_estimate(axes, row, result, component))
            _rows(axes, [r.sample_id if number % columns == 0 else "" for r in results])
            axes.set_xlim(0.0, min(105.0, 1.08 * top))
            axes.locator_params(axis="x", nbins=4)
            axes.grid(axis="x", color="#E2E2E2", linewidth=0.5)
            axes.set_axisbelow(True)
            axes.set_title("\n".join(textwrap.wrap(label_of(component), 14 if columns > 2 else 30)), fontsize=USUAL)
        note = f"wt% {BASIS_LABELS[bases.pop()]}; lines: 95 % intervals"
        if any(result.metadata.get("truth") for result in results):
            note += "; open diamonds: truth of the simulation"
        note += f"; n.s.: {NOT_SEPARABLE} from these measurements"
        figure.supxlabel(textwrap.fill(note, int(width_mm / 1.45)), fontsize=USUAL)
        assert first is not None, "there are components"
        return first


def _draw_estimate(axes: Axes, row: int, result: SampleResult, component: str) -> float:
    """Draw one estimate and its truth; returns the largest number drawn, wt%."""
    estimate = result.composition.components.get(component)
    truth = result.metadata.get("truth") or {}
    top = 0.0
    if estimate is None:
        beside = axes.get_yaxis_transform()
        axes.text(0.02, row, "n.s.", transform=beside, va="center", fontsize=SMALL, color=GREY)
    else:
        low, high = estimate.ci95 or (estimate.value, estimate.value)
        colour = COMPONENT_COLOURS.get(component, VERMILLION)
        style: Any = {"linewidth": 1.6, "solid_capstyle": "butt"}
        axes.plot([100 * low, 100 * high], [row, row], color=colour, clip_on=False, **style)
        axes.plot([100 * estimate.value], [row], marker="o", markersize=3.5, color=colour, clip_on=False)
        top = 100 * high
    if component in truth:
        size: Any = {"markersize": 5.0, "markeredgewidth": 0.8}
        axes.plot([100 * truth[component]], [row], **TRUTH, markerfacecolor="none", **size)
        top = max(top, 100 * truth[component])
    return top
