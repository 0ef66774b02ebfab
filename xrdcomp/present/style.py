"""One look for all figures: colours told apart by colour-blind readers, sizes legible in print."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xrdcomp.results import SampleResult

__all__ = [
    "AMORPHOUS_COLOURS",
    "AMORPHOUS_DASHES",
    "COMPONENT_COLOURS",
    "GREY",
    "PHASE_COLOURS",
    "STEP_COLOURS",
    "ResultFigure",
    "figure_style",
    "freeze_layout",
    "new_figure",
    "panel_title",
    "smaller_png",
    "specimen_name",
    "to_png",
]

# Okabe & Ito (2008), Color Universal Design: told apart with every common colour-vision deficiency.
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
}
PHASE_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
AMORPHOUS_COLOURS = {
    "protein": ORANGE,
    "lipid": "#9C6B00",
    "water": SKY,
    "amorphous_calcium_phosphate": GREEN,
}
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
    "path.simplify": True,
    "figure.dpi": 160,  # as written, because text is a little wider or narrower at another resolution
    "savefig.dpi": 160,
}


class ResultFigure(Figure):
    """A figure that shows itself in a notebook without touching matplotlib's global state."""

    def _repr_png_(self) -> bytes:
        return to_png(self, dpi=110)


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the package's look inside the block only; the user's own settings are untouched outside."""
    with mpl.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> ResultFigure:
    """Return an empty figure, width × height in inch, with an Agg canvas."""
    figure = ResultFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def freeze_layout(figure: Figure) -> None:
    """Place everything once, so that writing the figure in several formats does not place it again.

    The engine is taken away, not replaced by matplotlib's placeholder: with any engine `savefig` draws twice.
    Figures without an engine stay as they are.
    """
    with figure_style():
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
        figure.set_layout_engine(None)


def smaller_png(png: bytes) -> bytes:
    """Return the image with 64 colours, a third of the size, for pages that carry their figures."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        reduced = image.convert("RGB").quantize(64, method=Image.Quantize.FASTOCTREE)
        reduced.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def to_png(figure: Figure, *, dpi: int = 160) -> bytes:
    """Return the figure as PNG bytes without date, so that equal results give equal files."""
    buffer = io.BytesIO()
    with figure_style():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def specimen_name(result: SampleResult) -> str:
    """Sample id for titles; says "simulated" where the measurements were computed, not measured."""
    return f"{result.sample_id} (simulated)" if result.metadata.get("simulated") else result.sample_id


def panel_title(axes: Axes, text: str) -> None:
    """Left-aligned bold title of one panel, smaller where it is long."""
    size = 9.0 if len(text) < 50 else 7.0
    axes.set_title(text, loc="left", fontweight="bold", fontsize=size)
