"""Draw the pictures of the tutorial and the contact sheets of every figure again, into docs/images.

python -m tools.pictures    (frames need fabio: the extra ``frames``; the page's drawings a Chromium)
"""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

import xrdcomp as xc
from tests import frame_writers
from xrdcomp.analysis import analyze_embedded
from xrdcomp.frames.integrate import azimuthal_profile, integrate_frames, place_frames
from xrdcomp.instrument.calibrate import calibrate, instrument_fwhm
from xrdcomp.instrument.history import CheckRun, InstrumentHistory
from xrdcomp.present import figures, measured, studies
from xrdcomp.present.control_chart import plot_control_chart
from xrdcomp.present.drawings import drawing_file, drawings_of
from xrdcomp.present.files import write_result
from xrdcomp.present.pdf import find_browser
from xrdcomp.present.series_page import plot_series
from xrdcomp.present.style import figure_of, to_png
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.results import ControlChart, Estimate, SampleResult, SeriesView
from xrdcomp.simulate.cohort import load_cohort, simulate_pattern
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions
from xrdcomp.thermal.kinetics import conversion_curve, kissinger, predict_isothermal, vyazovkin

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
        def draw() -> Figure:
            made: Any = plot(*args, width_mm=width_mm, **given)
            return made if isinstance(made, Figure) else figure_of(made)

        return draw

    drawn: dict[str, Callable[[], Figure]] = {
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
    return drawn | {name: of(plot, *made) for name, (plot, made) in studies_drawn().items()}


@cache
def studies_drawn() -> dict[str, tuple[Callable[..., object], tuple[object, ...]]]:
    """Return calibration, kinetics and frames of simulated measurements: what draws each, and of what."""
    model = SpecimenModel(
        specimen_id="lab6", apatite=0.0, carbonate=0.0, protein=0.0, lipid=0.0, water=0.0, amorphous_mineral=0.0,
        other={"lab6": 1.0}, other_size_nm=600.0,
    )  # fmt: skip
    conditions = XrdConditions(peak_counts=20000, two_theta_min=18, two_theta_max=130, step=0.02)
    scan = simulate_pattern(model, conditions, seed=4)[0]
    calibration = calibrate(scan, "lab6", InstrumentRecipe(radiation="CuKa"))
    grid = np.linspace(20.0, 120.0, 400)
    curves = [conversion_curve(xc.analyze_tga(decay(rate)), 300.0, 790.0) for rate in (5.0, 10.0, 20.0)]
    energies = vyazovkin(curves)
    peaks = [float(curve.temperature_c[curve.rate_per_min.argmax()]) for curve in curves]
    line = kissinger(peaks, [curve.heating_rate_k_min for curve in curves])
    scene = frame_writers.Scene(amplitude=0.4, direction=35.0)
    with tempfile.TemporaryDirectory() as folder:
        image, poni = Path(folder) / "f.tif", Path(folder) / "f.poni"
        image.write_bytes(frame_writers.tiff(scene.counts(3).astype(np.int32)))
        poni.write_text(frame_writers.poni(scene))
        placed, pattern = place_frames([image], poni=[poni])[0], integrate_frames([image], poni=[poni])
        spacing = 1.5406 / 2.0 / np.sin(np.radians(10.0))
        ring = azimuthal_profile(image, d_spacing=spacing, half_width=1.0, poni=poni)
    return {
        "calibration": (studies.plot_calibration, (calibration, grid, instrument_fwhm(calibration.instrument, grid))),
        "kissinger": (studies.plot_kissinger, (line,)),
        "energies": (studies.plot_energies, (energies,)),
        "prediction": (studies.plot_prediction, (predict_isothermal(energies, curves[0], 500.0),)),
        "frames": (measured.plot_frames, (placed, pattern, ring)),
        "frame": (measured.plot_frame_image, (placed.frame,)),
        "control chart": (plot_control_chart, (drifting(),)),
        "series": (plot_series, (series(("temperature", "°C", np.linspace(30.0, 900.0, 60))),)),
        "map": (plot_series, (series(("y", "mm", np.linspace(0.0, 2.0, 24)), ("x", "mm", np.linspace(0.0, 3.0, 36))),)),
    }


def drifting() -> ControlChart:
    """Return the chart of a cell that drifts by half an s a month after 40 of 80 weekly check runs."""
    after = np.clip(np.arange(80) - 40, 0, None)
    scores = np.random.default_rng(4).normal(size=80) + 0.12 * after
    begin = datetime(2025, 1, 6, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        history = InstrumentHistory(path=Path(folder) / "lab.sqlite")
        for week, score in enumerate(scores):
            value = Estimate(value=4.1568 + 3e-5 * float(score), std=2e-5, unit="Å")
            at = begin + timedelta(weeks=week)
            history.record(
                CheckRun(kind="xrd", instrument="D8", standard="srm660c", measured_at=at, values={"cell_a": value})
            )
        return history.chart("D8", "srm660c", "cell_a")


def series(*axes: tuple[str, str, npt.NDArray[np.float64]]) -> SeriesView:
    """Return made-up cells and shares along one coordinate, or over a map."""
    shape = tuple(len(values) for _, _, values in axes)
    along = np.linspace(0.0, 1.0, shape[-1]) * np.ones(shape)
    noise = np.random.default_rng(2).normal(size=shape)
    quantities = {
        "crystalline_weight_fraction_hydroxyapatite": 0.9 - 0.4 * along**2 + 0.01 * noise,
        "crystalline_weight_fraction_calcite": 0.1 + 0.4 * along**2 - 0.01 * noise,
        "hydroxyapatite_a": 9.42 + 0.1 * along + 0.002 * noise,
        "rwp": 0.05 + 0.002 * np.abs(noise),
    }
    stds = {name: np.full(shape, 0.01 if "fraction" in name else 0.002) for name in quantities if name != "rwp"}
    units = {name: "Å" if name.endswith("_a") else "1" for name in quantities}
    return SeriesView(axes=axes, quantities=quantities, stds=stds, units=units)


def decay(rate: float) -> xc.TgaRun:
    """Return a first-order loss of 40 %, E = 150 kJ/mol, heated at `rate` K/min, with 0.002 mg of noise."""
    temperature = np.arange(200.0, 800.0, 0.25)
    speed = np.exp(20.0 - 150.0 / (8.314462618e-3 * (temperature + 273.15))) / rate
    dose = np.concatenate([[0.0], np.cumsum(0.125 * (speed[1:] + speed[:-1]))])
    mass = 10.0 * (1.0 - 0.4 * (1.0 - np.exp(-dose))) + np.random.default_rng(1).normal(0.0, 0.002, len(dose))
    return xc.TgaRun.from_arrays(temperature, mass, 60.0 * (temperature - 200.0) / rate, atmosphere="nitrogen")


def page_drawings(result: SampleResult) -> list[Image.Image]:
    """Return the drawings of the page, which an analysis writes as figures, as a browser shows them."""
    shots = []
    for name, drawing in drawings_of(result).items():
        text = drawing_file(drawing, name, result)
        across, down = map(float, re.findall(r'viewBox="0 -28 (\d+) (\d+)"', text)[0])
        width = round(180 / 25.4 * SHEET_DPI)
        size = f"{width},{round(width * down / across)}"
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            page.write_text(f"<body style='margin:0'>{text.replace('180mm', str(width))}</body>", encoding="utf-8")
            shots.append(screenshot(page, size))
    return shots


def screenshot(page: Path, size: str) -> Image.Image:
    """Return a page as a browser shows it in a window of width,height pixels."""
    browser, shot = find_browser(), page.with_name("shot.png")
    assert browser is not None, "a Chromium draws them"
    flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={shot}", f"--window-size={size}"]
    subprocess.run([browser, *flags, page.as_uri()], check=True, capture_output=True)
    return Image.open(shot).convert("RGB")


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
    """Write a picture with 256 colours, half the size."""
    reduced = image.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    reduced.save(FOLDER / name, optimize=True)


def main() -> None:
    """Draw every picture of the documentation again."""
    results = [analyze_embedded(entry) for entry in load_cohort()]
    for name in ("fit", "tga", "composition", "budget"):
        axes = getattr(figures, f"plot_{name}")(results[0], width_mm=150.0)
        save(Image.open(io.BytesIO(to_png(figure_of(axes), dpi=130))), f"tutorial_{name}.png")
    with tempfile.TemporaryDirectory() as folder:
        page = write_result(results[0], folder, figures=False, report=True) / "report.html"
        save(screenshot(page, "1100,1000"), "tutorial_report.png")
    for width, columns in ((85.0, 4), (180.0, 2)):
        drawn = [
            Image.open(io.BytesIO(to_png(draw(), dpi=SHEET_DPI))).convert("RGB")
            for draw in kinds(results, width).values()
        ]
        drawn += page_drawings(results[0]) if width > 100.0 else []
        whole = sheet(drawn, columns)
        save(whole, f"contact_{width:.0f}.png")
        save(whole.convert("L"), f"contact_{width:.0f}_grey.png")
        save(seen_without_green(whole), f"contact_{width:.0f}_deuteranopia.png")


if __name__ == "__main__":
    main()
