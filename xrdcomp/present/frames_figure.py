"""Frames made visible: image with its rings, integrated pattern, intensity around one ring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from xrdcomp.present.style import BLACK, BLUE, GREY, VERMILLION, figure_style, new_figure, panel_title
from xrdcomp.types import FloatArray, Pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_frame_image", "plot_frames"]

MAX_SIDE = 700
UNITS: Mapping[str, str] = {"cps": "counts/s per pixel", "counts": "counts per pixel"}


class RingLike(Protocol):
    """What is drawn of an azimuthal profile (`xrdcomp.frames.AzimuthalProfile`)."""

    @property
    def azimuth(self) -> FloatArray: ...
    @property
    def intensity(self) -> FloatArray: ...
    @property
    def sigma(self) -> FloatArray: ...
    @property
    def d_spacing(self) -> float: ...
    @property
    def two_theta(self) -> float: ...
    @property
    def half_width(self) -> float: ...
    @property
    def mean(self) -> float: ...
    @property
    def amplitude(self) -> float: ...
    @property
    def amplitude_esd(self) -> float: ...
    @property
    def direction(self) -> float: ...
    @property
    def hermans(self) -> float | None: ...


def plot_frames(placed: Any, pattern: Pattern, profile: RingLike | None = None) -> Figure:
    """Figure of one frame with circles of 2θ, the integrated pattern, and the ring where there is one.

    Parameters
    ----------
    placed : xrdcomp.frames.integrate.Placed
        The (first) frame, with its angles.
    pattern : Pattern
        What the frames gave.
    profile : AzimuthalProfile, optional
        One ring; its windows are marked on the frame and in the pattern.

    Returns
    -------
    matplotlib Figure
    """
    with figure_style():
        figure = new_figure(9.6, 4.6)
        grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.5))
        _draw_image(figure.add_subplot(grid[:, 0]), placed, profile)
        upper = figure.add_subplot(grid[0, 1] if profile is not None else grid[:, 1])
        _draw_pattern(upper, pattern, profile)
        if profile is not None:
            _draw_ring(figure.add_subplot(grid[1, 1]), profile)
        return figure


def plot_frame_image(frame: Any) -> Figure:
    """Figure of one frame (`xrdcomp.frames.Frame`) as it is, with its masked pixels.

    Parameters
    ----------
    frame : frames.Frame

    Returns
    -------
    matplotlib Figure
    """
    with figure_style():
        rows, columns = frame.counts.shape
        figure = new_figure(5.2, float(np.clip(5.2 * rows / columns, 1.0, 6.0)) + 0.7)
        _show(figure.add_subplot(), frame, ~frame.masked)
        return figure


def _draw_image(axes: Axes, placed: Any, profile: RingLike | None) -> None:
    every = _show(axes, placed.frame, placed.usable)
    counts = placed.frame.counts
    angle = placed.pixels.two_theta[::every, ::every]
    column = np.arange(0, counts.shape[1], every) + 0.5
    row = np.arange(0, counts.shape[0], every) + 0.5
    levels = _round_levels(float(angle.min()), float(angle.max()))
    lines = axes.contour(column, row, angle, levels=levels, colors=BLUE, linewidths=0.5, alpha=0.8)
    for label in axes.clabel(lines, fmt=lambda value: f"{value:g}°", fontsize=6, colors=BLACK):
        label.set_bbox({"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.6})
    if profile is not None:
        edges = [profile.two_theta - profile.half_width, profile.two_theta + profile.half_width]
        axes.contour(column, row, angle, levels=edges, colors=VERMILLION, linewidths=0.8)


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
    axes.set_facecolor("#f2dfc4")
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    title = frame.source.file
    panel_title(axes, title if len(title) <= 34 else f"{title[:16]}…{title[-16:]}")
    return every


def _round_levels(low: float, high: float) -> list[float]:
    step = next(s for s in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0) if (high - low) / s <= 7 or s == 50.0)
    return [float(v) for v in np.arange(np.ceil(low / step) * step, high, step) if v > 0] or [
        (low + high) / 2
    ]


def _draw_pattern(axes: Axes, pattern: Pattern, profile: RingLike | None) -> None:
    x, y, e = pattern.two_theta, pattern.intensity, pattern.sigma
    axes.fill_between(x, y - e, y + e, color=GREY, alpha=0.5, linewidth=0, label="± standard deviation")
    axes.plot(x, y, color=BLACK, linewidth=0.7, label="mean over azimuth")
    high = float(np.percentile(y, 99.9))
    axes.set_ylim(min(0.0, float(y.min())), 1.1 * high if high > 0 else None)
    if profile is not None:
        axes.axvspan(
            profile.two_theta - profile.half_width, profile.two_theta + profile.half_width,
            color=VERMILLION, alpha=0.25, linewidth=0, label=f"ring d {profile.d_spacing:g} Å",
        )  # fmt: skip
    axes.set_xlim(float(x[0]), float(x[-1]))
    axes.set_xlabel("2θ (degrees)")
    axes.set_ylabel(f"intensity ({UNITS.get(pattern.intensity_unit, 'arb. units')})")
    axes.legend(loc="upper right")
    count = str(pattern.metadata.get("frames", "")).count(", ") + 1
    panel_title(axes, f"pattern of {count} frame{'s' * (count > 1)}")


def _draw_ring(axes: Axes, profile: RingLike) -> None:
    axes.errorbar(
        profile.azimuth, profile.intensity, yerr=profile.sigma, fmt="o", markersize=2.0, color=BLACK,
        elinewidth=0.5, label="net intensity, counting error",
    )  # fmt: skip
    phi = np.linspace(-180.0, 180.0, 361)
    wave = profile.mean * (1.0 + profile.amplitude * np.cos(2.0 * np.radians(phi - profile.direction)))
    axes.plot(phi, wave, color=VERMILLION, label="second harmonic")
    axes.axhline(0.0, color=GREY, linewidth=0.5)
    axes.set_xlim(-180.0, 180.0)
    axes.set_xticks(np.arange(-180, 181, 60))
    low, high = min(0.0, float(profile.intensity.min())), float(max(profile.intensity.max(), wave.max()))
    axes.set_ylim(low, high + 0.35 * (high - low))
    axes.set_xlabel("azimuth (degrees; 0 towards higher columns, 90 towards higher rows)")
    axes.set_ylabel("net intensity")
    axes.legend(loc="upper right", ncols=2)
    hermans = "" if profile.hermans is None else f", Hermans {profile.hermans:.2f}"
    panel_title(
        axes,
        f"ring d {profile.d_spacing:g} Å: A = {profile.amplitude:.3f} ± {profile.amplitude_esd:.3f} along "
        f"{profile.direction:.0f}°{hermans}",
    )
