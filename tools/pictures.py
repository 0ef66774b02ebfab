"""Draw the pictures of the tutorial and the contact sheets of every figure again, into docs/images.

python -m tools.pictures
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import xrdcomp as xc
from xrdcomp.analysis import analyze_embedded
from xrdcomp.present import figures, measured
from xrdcomp.present.style import figure_of, to_png
from xrdcomp.results import SampleResult
from xrdcomp.simulate.cohort import load_cohort

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
SHEET_DPI, SHEET_GAP = 100, 16
# Seen without the green receptor [Machado, Oliveira & Fernandes 2009 IEEE Trans. Vis. Comput. Graph. 15, 1291]
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)


def kinds(results: list[SampleResult], width_mm: float) -> dict[str, Callable[[], Figure]]:
    """Return what draws each kind of figure at a width."""
    first, entry = results[0], load_cohort()[0]

    def of(plot: Callable[..., object], *args: object, **given: object) -> Callable[[], Figure]:
        return lambda: figure_of(plot(*args, width_mm=width_mm, **given))  # type: ignore[arg-type]  # all give axes

    return {
        "fit": of(figures.plot_fit, first),
        "fit, square root over q": of(figures.plot_fit, first, scale="sqrt", axis="q"),
        "fit, logarithm over d": of(figures.plot_fit, first, scale="log", axis="d"),
        "tga": of(figures.plot_tga, first),
        "composition": of(figures.plot_composition, first),
        "budget": of(figures.plot_budget, first),
        "pattern": of(measured.plot_measurement, xc.read_xrd(entry.xrd)),
        "run": of(measured.plot_measurement, xc.read_tga(entry.tga)),
        "cohort": of(figures.plot_cohort, results),
        "overview": partial(figures.plot_overview, first, width_mm=width_mm),
    }


def sheet(drawn: list[Image.Image], columns: int) -> Image.Image:
    """Pictures in columns, each below the shortest so far."""
    width = max(item.width for item in drawn)
    heights, places = [SHEET_GAP] * columns, []
    for item in drawn:
        column = int(np.argmin(heights))
        places.append((SHEET_GAP + column * (width + SHEET_GAP), heights[column]))
        heights[column] += item.height + SHEET_GAP
    out = Image.new("RGB", (SHEET_GAP + columns * (width + SHEET_GAP), max(heights)), "#DDDDDD")
    for item, place in zip(drawn, places, strict=True):
        out.paste(item, place)
    return out


def seen_without_green(image: Image.Image) -> Image.Image:
    """Return the picture as a deuteranope sees it."""
    linear = (np.asarray(image, dtype=float) / 255.0) ** 2.2
    seen = np.clip(linear @ DEUTERANOPIA.T, 0.0, 1.0) ** (1.0 / 2.2)
    return Image.fromarray((255.0 * seen).round().astype(np.uint8))


def save(image: Image.Image, name: str) -> None:
    """Write a picture with few colours, a third of the size."""
    reduced = image.convert("RGB").quantize(96, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    reduced.save(FOLDER / name, optimize=True)


def main() -> None:
    """Draw every picture of the documentation again."""
    results = [analyze_embedded(entry) for entry in load_cohort()]
    for name in ("fit", "tga", "composition", "budget"):
        axes = getattr(figures, f"plot_{name}")(results[0], width_mm=150.0)
        save(Image.open(io.BytesIO(to_png(figure_of(axes), dpi=130))), f"tutorial_{name}.png")
    for width, columns in ((85.0, 4), (180.0, 2)):
        drawn = [
            Image.open(io.BytesIO(to_png(draw(), dpi=SHEET_DPI))).convert("RGB")
            for draw in kinds(results, width).values()
        ]
        whole = sheet(drawn, columns)
        save(whole, f"contact_{width:.0f}.png")
        save(whole.convert("L"), f"contact_{width:.0f}_grey.png")
        save(seen_without_green(whole), f"contact_{width:.0f}_deuteranopia.png")


if __name__ == "__main__":
    main()
