"""Figures of measurements before any analysis, and of frames of area detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xrdcomp.data import Pattern, TgaRun
from xrdcomp.present.colours import BLACK, BLUE, GREY, SERIES, VERMILLION
from xrdcomp.present.style import (
    MM_PER_INCH,
    NARROW_MM,
    SMALL,
    WIDTHS,
    figure_mm,
    figure_of,
    figure_style,
    own_axes,
    panel_title,
)
from xrdcomp.present.tables import UNIT_LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOUBLE = WIDTHS["double"]

# Measurements before any analysis

MASS_LABELS = {"mg": "mg", "ug": "µg", "g": "g", "percent": "%", "fraction": "fraction"}


def plot_measurement(measured: Pattern | TgaRun, *, ax: Axes | None = None, width_mm: float = DOUBLE) -> Axes:
    """Draw a measurement, titled with its file; see `draw_measurement`."""
    axes = draw_measurement(measured, ax, width_mm=width_mm)
    with figure_style():
        panel_title(axes, measured.source.file if measured.source is not None else "measurement")
    return axes


def draw_measurement(measured: Pattern | TgaRun, ax: Axes | None = None, *, width_mm: float = DOUBLE) -> Axes:
    """Draw a pattern over its angle, or a thermogravimetric run over temperature, its segments in colours."""
    with figure_style():
        axes = own_axes(ax, width_mm, min(0.45 * width_mm, 80.0) + 10.0)
        if isinstance(measured, Pattern):
            axes.plot(measured.two_theta, measured.intensity, color=BLACK, linewidth=0.7)
            lines = measured.emission_lines
            wavelength = f"; λ = {lines[0].wavelength:.5g} Å" if lines else ""
            axes.set(
                xlabel=f"scattering angle 2θ (°){wavelength}",
                ylabel=f"intensity ({UNIT_LABELS[measured.intensity_unit]})",
            )
            axes.set_ylim(bottom=min(0.0, float(measured.intensity.min())))
            return axes
        segment = measured.segment
        assert segment is not None, "set by TgaRun"
        numbers = list(dict.fromkeys(segment.tolist()))
        for index, number in enumerate(numbers):
            part = segment == number
            label = f"segment {number}" if len(numbers) > 1 else None
            colour = SERIES[index % len(SERIES)]
            axes.plot(measured.temperature_c[part], measured.mass[part], color=colour, label=label)
        if len(numbers) > 1:
            axes.legend()
        axes.set(xlabel="temperature (°C)", ylabel=f"mass ({MASS_LABELS[measured.mass_unit]})")
        return axes


# Frames of area detectors

MAX_SIDE = 700
UNITS: Mapping[str, str] = {"cps": "counts/s per pixel", "counts": "counts per pixel"}


def plot_frames(placed: Any, pattern: Pattern, profile: Any = None, *, width_mm: float = DOUBLE) -> Axes:
    """Draw one frame with circles of 2θ, the integrated pattern, and the ring if there is one; return its axes.

    `placed` is the first frame with its angles, `profile` one ring, marked on the frame and in the pattern; see
    ``xrdcomp.frames.integrate``.
    """
    with figure_style():
        narrow = width_mm < NARROW_MM
        figure = figure_mm(width_mm, 190.0 if narrow else 90.0)
        if narrow:
            grid = figure.add_gridspec(3, 1, height_ratios=(1.6, 1.0, 1.0))
            first, both, second, third = grid[0], grid[1:], grid[1], grid[2]
        else:
            grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.5))
            first, both, second, third = grid[:, 0], grid[:, 1], grid[0, 1], grid[1, 1]
        axes = figure.add_subplot(first)
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
        for label in axes.clabel(circles, fmt=lambda value: f"{value:g}°", fontsize=SMALL, colors=BLACK):
            label.set_bbox({"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.6})
        upper = figure.add_subplot(second if profile is not None else both)
        x, y, e = pattern.two_theta, pattern.intensity, pattern.sigma
        upper.fill_between(x, y - e, y + e, color=GREY, alpha=0.5, linewidth=0, label="± standard deviation")
        upper.plot(x, y, color=BLACK, linewidth=0.7, label="mean over azimuth")
        if profile is not None:
            edges = (profile.two_theta - profile.half_width, profile.two_theta + profile.half_width)
            axes.contour(column, row, angle, levels=edges, colors=VERMILLION, linewidths=0.8)
            ring = f"ring d {profile.d_spacing:.4g} Å"
            upper.axvspan(*edges, color=VERMILLION, alpha=0.25, linewidth=0, label=ring)
            _draw_ring(figure.add_subplot(third), profile)
        high = float(np.percentile(y, 99.9))
        upper.set_ylim(min(0.0, float(y.min())), 1.6 * high if high > 0 else None)
        unit = UNITS.get(pattern.intensity_unit, "arb. units")
        upper.set(xlim=(x[0], x[-1]), xlabel="2θ (degrees)", ylabel=f"intensity ({unit})")
        upper.legend(loc="upper right")
        count = str(pattern.metadata.get("frames", "")).count(", ") + 1
        panel_title(upper, f"pattern of {count} frame{'s' * (count > 1)}")
        return axes


def plot_frame_image(frame: Any, *, ax: Axes | None = None, width_mm: float = 120.0) -> Axes:
    """Draw one frame (`xrdcomp.frames.Frame`) as it is, with its masked pixels."""
    with figure_style():
        rows, columns = frame.counts.shape
        axes = own_axes(ax, width_mm, float(np.clip(width_mm * rows / columns, 25.0, 150.0)) + 18.0)
        _show(axes, frame, ~frame.masked)
        return axes


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
        xlim=(-180.0, 180.0), xticks=np.arange(-180, 181, 60), ylim=(low, high + 0.45 * (high - low)),
        xlabel="azimuth (°; 0 towards higher columns, 90 rows)", ylabel="net intensity",
    )  # fmt: skip
    narrow = figure_of(axes).get_size_inches()[0] < NARROW_MM / MM_PER_INCH
    axes.legend(loc="upper right", ncols=1 if narrow else 2)
    hermans = "" if profile.hermans is None else f", Hermans {profile.hermans:.2f}"
    found = f"A = {profile.amplitude:.3f} ± {profile.amplitude_esd:.3f} along {profile.direction:.0f}°{hermans}"
    panel_title(axes, f"ring d {profile.d_spacing:.4g} Å: {found}")
