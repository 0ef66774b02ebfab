"""Drawings of the pages: inline SVG from the arrays of a result, without fonts, files or scripts.

They stand in the page from the first moment, where scripts do not run, and on paper; `plots.js` puts the interactive
plot of the same curves in their place on a screen. They are the figures that an analysis writes unless it is told a
format, width or resolution, because a drawing costs a twentieth of what Matplotlib takes. Colours and dashes are those
of all figures.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from xrdcomp.errors import printable
from xrdcomp.present.colours import BUDGET_GROUPS, COMPONENT_COLOURS, GREY, PALE, budget_group, phase_colours
from xrdcomp.present.tables import (
    BASIS_LABELS,
    NOT_SEPARABLE,
    component_label,
    component_order,
    interval_text,
    label_of,
    percent,
    specimen_name,
    step_label,
)
from xrdcomp.results import FitResult, SampleResult, TgaResult
from xrdcomp.units import FloatArray

WIDTH, LEFT, RIGHT = 960, 108, 12
STATIC_POINTS = 1600
"""Points of a static curve: two a pixel."""
MAX_HKL = 10
SAME_ANGLE = 0.002  # degrees: reflections of one spacing, such as 211 and 121 of apatite, are named once
Range = tuple[float, float]


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round numbers between `low` and `high`, at most about `most`."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def plain_number(value: float) -> str:
    """Short text of a tick."""
    return f"{value:.6g}".replace("-", "−").replace("e+0", "e")


def thinned(values: FloatArray, most: int) -> Any:
    """Rows to show of a curve: all, or in each of equal parts the lowest and the highest of `values`, in order."""
    n = len(values)
    if n <= most:
        return np.arange(n)
    size = math.ceil(2 * n / most)
    padded = np.pad(values, (0, -n % size), mode="edge").reshape(-1, size)
    starts = np.arange(len(padded)) * size
    rows = np.unique(np.concatenate([starts + padded.argmin(axis=1), starts + padded.argmax(axis=1), [0, n - 1]]))
    return rows[rows < n]


STYLE = """
svg text { font-size: 13px; font-family: "DejaVu Sans", system-ui, sans-serif; fill: #1a1a1a; }
svg text.small { font-size: 11.5px; } svg .axis { fill: none; stroke: #333; stroke-width: 1; }
svg .c { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
svg .observed { stroke: #7F7F7F; stroke-width: 2.2; stroke-linecap: round; } svg .calculated { stroke: #000; }
svg .background { stroke: #767676; stroke-dasharray: 6 4; }
svg .difference { stroke: #5a5a5a; stroke-width: 1; } svg .unexplained { fill: #F0E442; stroke: #000; }
svg .unidentified { stroke: #F0E442; stroke-width: 6; } svg polygon.unidentified { fill: #F0E442; stroke: none; }
svg .mass { stroke: #000; stroke-width: 2; } svg .rate { stroke: #767676; }
svg .construction { stroke: #0072B2; stroke-dasharray: 8 3 2 3; }
svg .phase0 { stroke: #0072B2; } svg .phase1 { stroke: #D55E00; } svg .phase2 { stroke: #009E73; }
svg .phase3 { stroke: #CC79A7; } svg .phase4 { stroke: #E69F00; } svg .phase5 { stroke: #56B4E9; }
svg .phase6 { stroke: #000; } svg .amorphous0 { stroke: #E69F00; stroke-dasharray: 12 3 2 3; }
svg .amorphous1 { stroke: #9C6B00; stroke-dasharray: 2 3; }
svg .amorphous2 { stroke: #56B4E9; stroke-dasharray: 14 4; }
svg .amorphous3 { stroke: #009E73; stroke-dasharray: 8 2 2 2 2 2; }
svg .amorphous4, svg .amorphous5, svg .amorphous6 { stroke: #CC79A7; stroke-dasharray: 4 2; }
svg .step0 { fill: #e3edf6; } svg .step1 { fill: #f6ecdd; }
"""
"""Colours and dashes of the figures, in each drawing: weasyprint does not look into the page for them."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A rectangle of a drawing with its ranges; `top`, `height` and the margin to the `right` in pixels."""

    top: float
    height: float
    x: Range
    y: Range
    right: float = RIGHT

    def px(self, value: Any) -> Any:
        """Pixels from the left."""
        return LEFT + (value - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0) * (WIDTH - LEFT - self.right)

    def py(self, value: Any) -> Any:
        """Pixels from the top, kept within the panel."""
        share = (value - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        return self.top + self.height * (1.0 - np.clip(share, 0.0, 1.0))

    def line(self, x: FloatArray, y: FloatArray, kind: str) -> str:
        """Curve of a class."""
        points = zip(self.px(np.asarray(x)).tolist(), self.py(np.asarray(y)).tolist(), strict=True)
        return f'<polyline class="{kind}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>'

    def area(self, x: FloatArray, y: FloatArray, kind: str) -> str:
        """Area between a curve and zero, of a class."""
        ends = np.asarray(x)[[-1, 0]]
        across = self.px(np.concatenate([np.asarray(x), ends])).tolist()
        up = self.py(np.concatenate([np.asarray(y), np.zeros(2)])).tolist()
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))
        return f'<polygon class="{kind}" points="{points}"/>'

    def dots(self, x: FloatArray, y: FloatArray, kind: str) -> str:
        """Points as one path of short strokes."""
        points = zip(self.px(np.asarray(x)).tolist(), self.py(np.asarray(y)).tolist(), strict=True)
        return f'<path class="{kind}" d="{"".join(f"M{a:.1f} {b:.1f}h0" for a, b in points)}"/>'

    def frame(self, ylabel: str, *, xlabel: str = "", most: int = 6) -> str:
        """Axes with ticks and their labels; without `xlabel` the lower one has no numbers."""
        bottom, right = self.top + self.height, WIDTH - self.right
        parts = [f'<path class="axis" d="M{LEFT} {self.top}V{bottom}H{right}"/>']
        for tick in ticks(*self.y, most):
            y = float(self.py(tick))
            parts.append(f'<path class="axis" d="M{LEFT - 4} {y:.1f}h4"/>')
            parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{plain_number(tick)}</text>')
        for tick in ticks(*self.x, 10):
            x = float(self.px(tick))
            parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v4"/>')
            if xlabel:
                parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{plain_number(tick)}</text>')
        middle = self.top + self.height / 2
        parts.append(f'<text transform="translate(15 {middle}) rotate(-90)" text-anchor="middle">{ylabel}</text>')
        if xlabel:
            parts.append(f'<text x="{(LEFT + right) / 2}" y="{bottom + 36}" text-anchor="middle">{xlabel}</text>')
        return "".join(parts)


def svg(height: float, name: str, description: str, parts: Iterable[str]) -> str:
    """Wrap the parts of a drawing, which says of itself what it shows."""
    told = escape(printable(f"{name}: {description}"), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{told}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>"
    )


def _legend(entries: Sequence[tuple[str, str]], top: float) -> str:
    """Names of curves by class in rows from `top`, at the right."""
    parts, x, y = [], float(LEFT + 8), top
    for kind, label in entries:
        width = 46 + 7.4 * len(label)
        if x + width > WIDTH - RIGHT:
            x, y = float(LEFT + 8), y + 17
        parts.append(f'<path class="{kind}" d="M{x:.0f} {y - 4:.0f}h26"/>')
        parts.append(f'<text x="{x + 31:.0f}" y="{y:.0f}">{escape(printable(label))}</text>')
        x += width
    return "".join(parts)


AMORPHOUS_ORDER = ("protein", "lipid", "water", "amorphous_calcium_phosphate")


def amorphous_index(name: str) -> int:
    """Number of an amorphous part's class."""
    return AMORPHOUS_ORDER.index(name) if name in AMORPHOUS_ORDER else len(AMORPHOUS_ORDER)


UNIT_WORDS = {"counts": "counts", "cps": "counts/s", "arbitrary": "arb. units"}


def pattern_svg(result: SampleResult) -> str:
    """Observed points, calculated curve, background and parts; places of reflections; difference over sigma."""
    fit = result.xrd
    assert fit is not None, "drawn only where a pattern was fitted"
    rows = thinned(fit.observed, STATIC_POINTS)
    smooth = np.unique(np.linspace(0, len(fit.two_theta) - 1, 300).astype(int))
    x: Range = (float(fit.two_theta[0]), float(fit.two_theta[-1]))
    top = float(max(fit.observed.max(), fit.calculated.max()))
    n, legend = max(len(fit.reflections), 1), 40
    main = Panel(top=legend, height=300, x=x, y=(min(0.0, float(fit.observed.min())), 1.12 * top))
    marks = main.top + main.height + 12
    deviation = (fit.observed - fit.calculated) / fit.sigma
    span = max(4.0, float(np.abs(deviation).max()))
    lower = Panel(top=marks + 13 * n + 8, height=90, x=x, y=(-span, span))
    entries = [("c observed", "observed"), ("c calculated", "calculated"), ("c background", "background")]
    parts = [main.dots(fit.two_theta[rows], fit.observed[rows], "c observed")]
    if fit.unidentified is not None and fit.unidentified.any():  # part of the calculated curve, though no model's
        parts.insert(0, main.area(fit.two_theta[rows], fit.unidentified[rows], "unidentified"))
        entries.append(("c unidentified", "unidentified crystals"))
    for name, curve in fit.amorphous.items():
        if curve.any():
            kind = f"c amorphous{amorphous_index(name)}"
            parts.append(main.line(fit.two_theta[smooth], (fit.background + curve)[smooth], kind))
            entries.append((kind, f"+ {label_of(name)}"))
    parts.append(main.line(fit.two_theta[smooth], fit.background[smooth], "c background"))
    parts.append(main.line(fit.two_theta[rows], fit.calculated[rows], "c calculated"))
    colours = phase_colours(fit.reflections)
    for row, (name, table) in enumerate(fit.reflections.items()):
        y, places = marks + 13 * row, main.px(np.asarray(table.two_theta)).tolist()
        path = "".join(f"M{place:.1f} {y:.0f}v9" for place in places)
        parts.append(f'<path class="c" style="stroke:{colours[name]}" d="{path}"/>')
        short = textwrap.shorten(label_of(name), 15, placeholder="…")
        short = short if short != "…" else f"{label_of(name)[:13]}…"
        parts.append(f'<text class="small" x="{LEFT - 4}" y="{y + 8:.0f}" text-anchor="end">{escape(short)}</text>')
    parts += [_hkl_label(main, *label) for label in _strongest(fit)]
    for peak in result.metadata.get("unexplained_peaks") or ():
        if x[0] <= peak["two_theta"] <= x[1]:
            height = np.interp(peak["two_theta"], fit.two_theta, np.maximum(fit.observed, fit.calculated))
            at = f"{main.px(peak['two_theta']):.1f} {float(main.py(height)) - 3:.1f}"
            parts.append(f'<path class="unexplained" d="M{at}l-5 -9h10z"/>')
    parts.append(lower.line(fit.two_theta[rows], deviation[rows], "c difference"))
    parts.append(f'<path class="axis" d="M{LEFT} {float(lower.py(0.0)):.1f}H{WIDTH - RIGHT}"/>')
    unit = UNIT_WORDS.get(result.metadata.get("intensity_unit", "arbitrary"), "arb. units")
    parts += [main.frame(f"intensity ({unit})"), lower.frame("difference / σ", xlabel="2θ (°)", most=4)]
    parts.append(_legend(entries, 14))
    described = (
        f"Measured and fitted pattern from {x[0]:.1f} to {x[1]:.1f}° 2θ, with places of reflections and difference"
    )
    return svg(lower.top + lower.height + 44, result.sample_id, described, parts)


def _strongest(fit: FitResult) -> list[tuple[str, float, float]]:
    """Labels, angles and heights of the strongest reflections that do not stand in each other's way."""
    found: list[tuple[float, str, float]] = []
    for name, table in fit.reflections.items():
        curve = fit.phases.get(name)
        if curve is None or not curve.any():
            continue
        for angle, intensity in zip(table.two_theta, table.intensity, strict=True):
            row = min(int(np.searchsorted(fit.two_theta, angle)), len(curve) - 1)
            if intensity >= 8.0 and curve[row] > 4.0 * fit.sigma[row]:
                same = table.hkl[np.abs(table.two_theta - angle) < SAME_ANGLE]
                name = hkl_text(max(map(tuple, same.tolist())))
                found.append((float(intensity * curve.max()), name, float(angle)))
    room = (fit.two_theta[-1] - fit.two_theta[0]) / 45
    placed: list[tuple[str, float, float]] = []
    for _, text, angle in sorted(found, reverse=True):
        if len(placed) < MAX_HKL and all(abs(angle - other) > room for _, other, _ in placed):
            near = np.abs(fit.two_theta - angle) < room / 2
            if near.any():
                placed.append((text, angle, float(np.maximum(fit.observed, fit.calculated)[near].max())))
    return placed


def hkl_text(hkl: Iterable[float]) -> str:
    """``002``; blanks where an index has two figures or a sign."""
    indices = [int(index) for index in hkl]
    return ("" if all(0 <= index < 10 for index in indices) else " ").join(map(str, indices))


def _hkl_label(panel: Panel, text: str, angle: float, height: float) -> str:
    x, y = panel.px(angle), panel.py(height) - 5
    return f'<text class="small" transform="translate({x + 3:.1f} {y:.1f}) rotate(-90)">{text}</text>'


SLOPE_OVER_C = 3.0
"""Half of the range of temperature over which the slope of a tangent is taken for its drawing."""


@dataclass(frozen=True, kw_only=True)
class Construction:
    """Tangent of a step through its steepest point, from the extrapolated onset to the endset: °C and wt%."""

    x: tuple[float, float]
    y: tuple[float, float]


def construction(tga: TgaResult, onset: float | None, peak: float | None, endset: float | None) -> Construction | None:
    """The line that the onset was read from, drawn through the curve at its steepest point."""
    if onset is None or peak is None:
        return None
    rising = np.maximum.accumulate(tga.temperature_c)  # readings of one temperature, or a furnace that swings
    below, height, above = 100.0 * np.interp(
        [peak - SLOPE_OVER_C, peak, peak + SLOPE_OVER_C], rising, tga.mass_fraction
    )
    at = (above - below) / (2.0 * SLOPE_OVER_C)
    ends = (onset, peak + (peak - onset) if endset is None else endset)
    return Construction(x=ends, y=(height + at * (ends[0] - peak), height + at * (ends[1] - peak)))


def tga_svg(result: SampleResult) -> str:
    """Mass with the constructions of its steps, shaded, and the rate of loss below it."""
    tga = result.tga
    assert tga is not None, "drawn only where a run was measured"
    rows = np.unique(np.linspace(0, len(tga.temperature_c) - 1, 700).astype(int))
    mass, x = 100.0 * tga.mass_fraction, (float(tga.temperature_c.min()), float(tga.temperature_c.max()))
    low, high = float(mass.min()), float(mass.max())
    pad = 0.04 * max(high - low, 1e-3)
    upper = Panel(top=58, height=240, x=x, y=(low - pad, high + pad))
    rate = 100.0 * tga.dtg_per_min
    lower = Panel(top=312, height=110, x=x, y=(min(0.0, float(rate.min())), 1.05 * max(float(rate.max()), 1e-6)))
    parts: list[str] = []
    for index, step in enumerate(tga.steps):
        a, b = float(upper.px(step.start_c)), float(upper.px(step.end_c))
        bottom = lower.top + lower.height
        parts.append(
            f'<rect class="step{index % 2}" x="{a:.1f}" y="{upper.top}" width="{max(b - a, 0.0):.1f}" '
            f'height="{bottom - upper.top}"/>'
        )
        centre, row = (a + b) / 2, 15 + 30 * (index % 2)
        for line, text in enumerate((step_label(step.name), percent(step.mass_loss))):
            parts.append(f'<text x="{centre:.0f}" y="{row + 13 * line}" text-anchor="middle">{escape(text)}</text>')
        if line_of := construction(tga, step.onset_c, step.peak_c, step.endset_c):
            parts.append(upper.line(np.array(line_of.x), np.array(line_of.y), "c construction"))
            parts.append(
                f'<text class="small" x="{upper.px(line_of.x[0]) + 4:.1f}" y="{upper.py(line_of.y[0]) - 4:.1f}">'
                f"{line_of.x[0]:.0f} °C</text>"
            )
    parts.append(upper.line(tga.temperature_c[rows], mass[rows], "c mass"))
    parts.append(lower.line(tga.temperature_c[rows], rate[rows], "c rate"))
    parts += [upper.frame("mass (wt%)"), lower.frame("DTG (wt%/min)", xlabel="temperature (°C)", most=4)]
    described = "Mass and its rate of loss against temperature, steps shaded, tangents at the steepest points"
    return svg(lower.top + lower.height + 44, result.sample_id, described, parts)


NAMES_TO, BARS_TO, ROW = 300, 740, 26
"""Of drawings in rows: where the bars begin and end, and the height of a row, pixels."""


def _rows_svg(result: SampleResult, told: str, rows: Sequence[tuple[str, str]], label: str, legend: str = "") -> str:
    """Rows of a name and what is drawn for it at height 0, over an axis of per cent."""
    scale = (BARS_TO - NAMES_TO) / 100.0
    bottom = 8 + ROW * len(rows)
    parts = []
    for row, (name, drawn) in enumerate(rows):
        y = 6 + ROW * row
        parts.append(f'<text x="{NAMES_TO - 8}" y="{y + 17}" text-anchor="end">{escape(printable(name))}</text>')
        parts.append(f'<g transform="translate(0 {y})">{drawn}</g>')
    parts.append(f'<path class="axis" d="M{NAMES_TO} 2V{bottom}H{BARS_TO}"/>')
    for tick in range(0, 101, 20):
        x = NAMES_TO + scale * tick
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick}</text>')
    parts.append(f'<text x="{NAMES_TO}" y="{bottom + 38}">{escape(label)}</text>{legend}')
    return svg(bottom + (74 if legend else 48), result.sample_id, told, parts)


def composition_svg(result: SampleResult) -> str:
    """A bar for each component and, in grey, each sum that can be told, with 95 % intervals."""
    composition, truth = result.composition, result.metadata.get("truth") or {}
    scale = (BARS_TO - NAMES_TO) / 100.0
    rows = []
    entries = [(component_label(name, result), COMPONENT_COLOURS.get(name, GREY), composition.components[name], name)
               for name in component_order(composition.components)]  # fmt: skip
    entries += [(f"sum: {label_of(name)}", PALE, value, "") for name, value in composition.identifiable_sums.items()]
    for name, colour, estimate, component in entries:
        if estimate is None:
            drawn = f'<text x="{NAMES_TO + 8}" y="17">{NOT_SEPARABLE}</text>'
        else:
            width = 100.0 * scale * min(max(estimate.value, 0.0), 1.0)
            text = percent(estimate, unit=False) + (f" ({interval_text(estimate)})" if estimate.ci95 else "")
            low, high = (NAMES_TO + 100.0 * scale * min(max(end, 0.0), 1.0) for end in (estimate.low, estimate.high))
            drawn = (
                f'<rect x="{NAMES_TO}" y="4" width="{width:.1f}" height="18" fill="{colour}"/>'
                f'<path class="axis" d="M{low:.1f} 13H{high:.1f}M{low:.1f} 8v10M{high:.1f} 8v10"/>'
                f'<text x="{BARS_TO + 12}" y="17">{escape(text)}</text>'
            )
        if component in truth:
            x = NAMES_TO + 100.0 * scale * truth[component]
            drawn += f'<path class="axis" style="fill:#fff" d="M{x:.1f} 8l5 5l-5 5l-5 -5z"/>'
        rows.append((name, drawn))
    note = "; ◇: truth of the simulation" if truth else ""
    label = f"wt% of the specimen {BASIS_LABELS[composition.basis]}; lines: 95 % intervals{note}"
    return _rows_svg(result, "Composition with 95 % intervals", rows, label)


def budget_svg(result: SampleResult) -> str:
    """Shares of the groups of inputs in the variance of each component."""
    scale = (BARS_TO - NAMES_TO) / 100.0
    rows = []
    for name in component_order(result.composition.budget):
        shares = dict.fromkeys(BUDGET_GROUPS, 0.0)
        for source, share in result.composition.budget[name].items():
            shares[budget_group(source)] += 100.0 * share
        x, drawn = float(NAMES_TO), ""
        for group, share in shares.items():
            colour = BUDGET_GROUPS[group][0]
            drawn += (f'<rect x="{x:.1f}" y="4" width="{scale * share:.1f}" height="18" fill="{colour}" stroke="#000" '
                      'stroke-width="0.6"/>')  # fmt: skip
            x += scale * share
        rows.append((component_label(name, result), drawn))
    legend, x, y = "", 8.0, 8 + ROW * len(rows) + 62
    for group, (colour, _) in BUDGET_GROUPS.items():
        legend += f'<rect x="{x:.0f}" y="{y - 11}" width="16" height="12" fill="{colour}" stroke="#000"/>'
        legend += f'<text x="{x + 21:.0f}" y="{y}">{group}</text>'
        x += 42 + 7.4 * len(group)
    return _rows_svg(result, "Groups of inputs in the variance", rows, "share of the variance (%)", legend)


def drawings_of(result: SampleResult) -> dict[str, str]:
    """Drawings that there are by the names of the figures: fit, tga, composition, uncertainty_budget."""
    drawn = {"fit": pattern_svg(result)} if result.xrd is not None else {}
    drawn |= {"tga": tga_svg(result)} if result.tga is not None else {}
    drawn["composition"] = composition_svg(result)
    return drawn | ({"uncertainty_budget": budget_svg(result)} if result.composition.budget else {})


TITLES = {
    "fit": "whole-pattern fit", "tga": "thermogravimetry", "composition": "composition",
    "uncertainty_budget": "where the uncertainty comes from",
}  # fmt: skip


def drawing_file(drawing: str, name: str, result: SampleResult) -> str:
    """Drawing as a file of its own, two columns of a journal wide, under a title."""
    quality = f" (Rwp {100 * result.xrd.rwp:.2f} %, GoF {result.xrd.gof:.2f})" if name == "fit" and result.xrd else ""
    title = escape(printable(f"{specimen_name(result)}: {TITLES[name]}{quality}"))
    height = float(re.search(r'viewBox="0 0 \d+ (\d+)"', drawing)[1])  # type: ignore[index]  # `svg` wrote it
    higher = f'width="180mm" viewBox="0 -28 {WIDTH} {height + 28:.0f}"'
    text = f'</style><text x="8" y="-10" font-weight="bold">{title}</text>'
    told = re.sub(r'viewBox="[^"]*"', higher, drawing, count=1).replace("</style>", text, 1)
    return f"{told}\n"
