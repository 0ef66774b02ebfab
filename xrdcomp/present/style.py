"""One look for all figures: sizes, colours, and how a figure becomes bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xrdcomp.errors import ArgumentError, OutputError, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MM_PER_INCH = 25.4
WIDTHS = {"single": 85.0, "double": 180.0}
"""Widths of one and of two columns of a journal, mm."""
NARROW_MM = 130.0
"""Below it, figures stand in one column, with their words above what they tell of."""
LEGAL_WIDTHS = (60.0, 400.0)
FORMATS = ("png", "svg", "pdf")
USUAL_FORMATS = ("png", "svg")
USUAL_DPI = 160
SMALL, USUAL = 6.0, 7.0  # points: the smallest text of any figure, and the rest

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": USUAL,
    "axes.labelsize": USUAL,
    "axes.titlesize": USUAL + 0.5,
    "xtick.labelsize": SMALL + 0.5,
    "ytick.labelsize": SMALL + 0.5,
    "legend.fontsize": SMALL + 0.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "xrdcomp",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # names of files may hold dollar signs
    "path.simplify": True,
    "figure.dpi": USUAL_DPI,  # as written, because text is a little wider or narrower at another resolution
    "savefig.dpi": USUAL_DPI,
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.w_pad": 0.04,
}


@lru_cache(maxsize=1)
def _whole_style() -> dict[str, Any]:
    """Every setting of matplotlib as it comes, and the package's on top: nobody's matplotlibrc changes a figure."""
    kept = {"backend", "backend_fallback", "interactive", "toolbar", "timezone", "webagg.port", "webagg.address"}
    return {key: mpl.rcParamsDefault[key] for key in mpl.rcParamsDefault if key not in kept} | _STYLE


def figure_style() -> AbstractContextManager[None]:
    """Apply the package's look inside the block only; the user's own settings are untouched outside."""
    style: Any = _whole_style()  # its keys are listed one by one in matplotlib's types
    return mpl.rc_context(style)


class ResultFigure(Figure):
    """A figure that shows itself in a notebook without touching matplotlib's global state."""

    def _repr_png_(self) -> bytes:
        return to_png(self, dpi=130)


def new_figure(width: float, height: float) -> ResultFigure:
    """Return an empty figure, width × height in inch, with an Agg canvas."""
    figure = ResultFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_mm(width_mm: float, height_mm: float) -> ResultFigure:
    """Return an empty figure of a size in mm."""
    return new_figure(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH)


def own_axes(ax: Axes | None, width_mm: float, height_mm: float) -> Axes:
    """Give the axes that were passed, else those of a new figure of width × height in mm."""
    return figure_mm(width_mm, height_mm).add_subplot() if ax is None else ax


def figure_of(axes: Axes) -> Figure:
    """Whole figure in which axes stand."""
    figure = axes.figure.figure  # a subfigure's is the whole one; get_figure(root=True) came with Matplotlib 3.10
    assert isinstance(figure, Figure), "axes of a figure"
    return figure


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """Formats, width in mm and resolution of the figures that are written."""

    formats: tuple[str, ...] = USUAL_FORMATS
    width_mm: float = WIDTHS["double"]
    dpi: int = USUAL_DPI

    @classmethod
    def of(
        cls, formats: str | Sequence[str] = USUAL_FORMATS, width: str | float = "double", dpi: int = USUAL_DPI
    ) -> FigureOptions:
        """Read options as the command line has them: ``png,svg,pdf``; ``single``, ``double`` or mm; dots per inch."""
        listed = formats.split(",") if isinstance(formats, str) else formats
        chosen = tuple(dict.fromkeys(item.strip().lower().removeprefix(".") for item in listed))
        for item in chosen:
            if item not in FORMATS:
                raise OutputError(f"{item!r} is no format of figures. Expected: {', '.join(FORMATS)}.")
        return cls(formats=chosen, width_mm=width_of(width), dpi=dpi)


def width_of(width: str | float) -> float:
    """Width of a figure in mm, from ``single``, ``double`` or a number of mm."""
    try:
        value = WIDTHS[width] if isinstance(width, str) and width in WIDTHS else float(width)
    except ValueError:
        value = 0.0
    low, high = LEGAL_WIDTHS
    if not low <= value <= high:
        raise ArgumentError("figure width", width, f"single (85 mm), double (180 mm), or {low:g} to {high:g} mm")
    return value


def freeze_layout(figure: Figure) -> None:
    """Place everything once, so that writing the figure in several formats does not place it again.

    The engine is taken away, not replaced by matplotlib's placeholder: with any engine `savefig` draws twice.
    Figures without an engine stay as they are.
    """
    with figure_style():
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
        figure.set_layout_engine(None)


def to_png(figure: Figure, *, dpi: int = USUAL_DPI) -> bytes:
    """Return the figure as PNG bytes without date, so that equal results give equal files."""
    return to_bytes(figure, "png", dpi=dpi)


def to_bytes(figure: Figure, suffix: str, *, dpi: int = USUAL_DPI) -> bytes:
    """Return the figure as PNG, SVG or PDF, without date: the same figure gives the same bytes."""
    every: dict[str, dict[str, Any]] = {
        "png": {"Software": "xrdcomp"},
        "svg": {"Date": None, "Creator": "xrdcomp"},
        "pdf": {"CreationDate": None, "Creator": "xrdcomp", "Producer": None},
    }
    buffer = io.BytesIO()
    with figure_style():
        figure.savefig(buffer, format=suffix, dpi=dpi, metadata=every[suffix])
    return buffer.getvalue()


def panel_title(axes: Axes, text: str) -> None:
    """Left-aligned bold title of one panel, broken into lines where it is longer than the panel is wide."""
    import textwrap

    figure = figure_of(axes)
    share = axes.get_subplotspec()
    width = (figure.get_size_inches()[0] - 0.75) * (1.0 if share is None or share.get_gridspec().ncols == 1 else 0.55)
    columns = max(int(width * 72.0 / (0.66 * (USUAL + 0.5))), 20)
    lines = textwrap.wrap(printable(text), columns, break_on_hyphens=False) or [""]
    axes.set_title("\n".join(lines[:3]), loc="left", fontweight="bold", fontsize=USUAL + 0.5)
