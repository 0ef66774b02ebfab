"""Figures say what they show: units, labels, intervals, what cannot be separated, what is simulated."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.builders import make_result
from xrdcomp.errors import AnalysisError, ArgumentError
from xrdcomp.present import figures
from xrdcomp.present.colours import BUDGET_GROUPS, COMPONENT_COLOURS, UNIDENTIFIED_LINE, budget_group, phase_colours
from xrdcomp.present.drawings import drawing_file, drawings_of
from xrdcomp.present.figures import draw_fit_on, plot_overview
from xrdcomp.present.report import pattern_data
from xrdcomp.present.style import FigureOptions, figure_of, freeze_layout, to_bytes, to_png


def whole(plot):  # type: ignore[no-untyped-def]
    """Return a function that draws the same and gives the figure."""
    return lambda *args, **given: figure_of(plot(*args, **given))


plot_fit, plot_tga, plot_composition, plot_budget, plot_cohort = (
    whole(getattr(figures, f"plot_{kind}")) for kind in ("fit", "tga", "composition", "budget", "cohort")
)
TRUTH = {"crystalline_hydroxyapatite": 0.34, "organic": 0.515}


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(mpl.text.Text) if t.get_text()]


def test_fit_figure_shows_every_curve_with_unit_and_quality() -> None:
    result = make_result(foreign=True, metadata={"intensity_unit": "counts"})
    figure = plot_fit(result)
    main = figure.axes[0]
    labels = [line.get_label() for line in main.lines]
    assert labels[:3] == ["observed", "calculated", "background"]
    assert {"+ protein", "+ water", "hydroxyapatite"} <= set(labels)
    np.testing.assert_array_equal(main.lines[1].get_ydata(), result.xrd.calculated)
    np.testing.assert_array_equal(main.lines[3].get_ydata(), result.xrd.background + result.xrd.amorphous["protein"])
    words = texts(figure)
    assert "intensity (counts)" in words
    assert any("Rwp 3." in word and "GoF" in word for word in words)
    assert "2θ (°); λ = 1.5406 Å" in words


def test_fit_figure_marks_phases_and_strong_lines() -> None:
    words = texts(plot_fit(make_result(foreign=True)))
    assert {"hydroxyapatite", "calcite"} <= set(words)
    assert {"211", "002", "300"} <= set(words), "the strongest lines of apatite carry hkl"
    assert "104" in words, "the strongest line of the foreign phase carries hkl"


def test_lines_at_one_angle_share_the_conventional_name() -> None:
    result = make_result()
    table = result.xrd.reflections["hydroxyapatite"]
    doubled = replace(
        table,
        hkl=np.vstack([table.hkl, [1, 2, 1]]),
        two_theta=np.append(table.two_theta, 31.79),
        intensity=np.append(table.intensity, 90.0),
    )
    fit = replace(result.xrd, reflections={"hydroxyapatite": doubled})
    words = texts(plot_fit(replace(result, xrd=fit)))
    assert "211" in words
    assert "121" not in words


def test_residuals_are_observed_minus_calculated_and_weighted() -> None:
    result = make_result()
    fit = result.xrd
    _, _, difference, weighted = plot_fit(result).axes[:4]
    np.testing.assert_allclose(difference.lines[0].get_ydata(), fit.observed - fit.calculated)
    np.testing.assert_allclose(weighted.lines[0].get_ydata(), (fit.observed - fit.calculated) / fit.sigma)


@pytest.mark.parametrize("scale", ["linear", "sqrt", "log"])
def test_scales_show_the_numbers_and_cut_off_nothing(scale: str) -> None:
    result = make_result()
    assert result.xrd is not None
    sunk = replace(result.xrd, observed=result.xrd.observed - 400.0)  # as after a blank was taken off
    main = plot_fit(replace(result, xrd=sunk), scale=scale).axes[0]
    np.testing.assert_array_equal(main.lines[0].get_ydata(), sunk.observed)
    low, high = main.get_ylim()
    assert low < sunk.observed.min() < 0.0
    assert high > sunk.observed.max()
    transformed = main.transData.transform([[20.0, value] for value in (sunk.observed.min(), 0.0, 1.0, 1e3)])
    assert (np.diff(transformed[:, 1]) > 0).all(), "the order of intensities is kept"


def test_axes_of_spacing_and_q_follow_the_wavelength() -> None:
    result = make_result()
    assert result.xrd is not None
    theta = np.radians(result.xrd.two_theta) / 2.0
    for axis, expected in (("d", 1.540598 / (2 * np.sin(theta))), ("q", 4 * np.pi * np.sin(theta) / 1.540598)):
        figure = plot_fit(result, axis=axis)
        np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), expected, rtol=1e-12)
        assert any("λ = 1.5406 Å" in word for word in texts(figure))
    assert any("λ = 1.5406 Å" in word for word in texts(plot_fit(result)))
    with pytest.raises(AnalysisError, match="no wavelength"):
        plot_fit(replace(result, xrd=replace(result.xrd, wavelengths=())), axis="q")


def test_phases_have_curves_and_peaks_without_one_a_mark() -> None:
    peak = {"two_theta": 44.0, "d_spacing": 2.06, "z": 8.0, "height": 90.0, "candidates": []}
    result = make_result(foreign=True, metadata={"unexplained_peaks": [peak]})
    main = plot_fit(result).axes[0]
    lines = {line.get_label(): line for line in main.lines}
    np.testing.assert_array_equal(lines["calcite"].get_ydata(), result.xrd.phases["calcite"])
    assert lines["unexplained"].get_xdata().tolist() == [44.0]
    assert lines["hydroxyapatite"].get_color() == COMPONENT_COLOURS["crystalline_hydroxyapatite"]


def test_unidentified_crystals_are_drawn_apart_in_the_figure_and_in_both_drawings() -> None:
    """The calculated curve follows them, so nothing else of a figure would tell that no model does."""
    result = make_result(foreign=True)
    fit = result.xrd
    assert fit is not None
    unknown = 50.0 * np.exp(-0.5 * ((fit.two_theta - 44.0) / 0.2) ** 2)
    beside = replace(result, xrd=replace(fit, unidentified=unknown, calculated=fit.calculated + unknown))
    yellow = COMPONENT_COLOURS["unidentified_crystalline"]
    areas = [c for c in plot_fit(beside).axes[0].collections if c.get_label() == "unidentified crystals"]
    assert len(areas) == 1
    assert mpl.colors.same_color(areas[0].get_facecolor()[0], yellow)
    assert areas[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(unknown.max())
    svg = drawings_of(beside)["fit"]
    assert '<polygon class="unidentified"' in svg
    assert f"polygon.unidentified {{ fill: {yellow};" in svg
    assert "unidentified crystals" in svg
    curve = next(c for c in pattern_data(beside)["curves"] if c["label"] == "+ unidentified crystals")
    assert curve["look"] == UNIDENTIFIED_LINE
    assert "unidentified crystals" not in drawings_of(result)["fit"]


ALL = {
    "fit": plot_fit, "tga": plot_tga, "composition": plot_composition, "budget": plot_budget, "overview": plot_overview,
    "cohort": lambda result, **given: plot_cohort([result, replace(result, sample_id="a_longer_name")], **given),
}  # fmt: skip


@pytest.mark.parametrize("width", [85.0, 180.0])
@pytest.mark.parametrize("kind", ALL)
def test_text_is_legible_and_inside_at_the_width_asked_for(kind: str, width: float) -> None:
    result = make_result(foreign=True, sample_id="patient_07_left", metadata={"truth": TRUTH, "simulated": True})
    figure = ALL[kind](result, width_mm=width)
    freeze_layout(figure)
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(width, abs=0.01)
    sizes = [text.get_fontsize() for text in figure.findobj(mpl.text.Text) if text.get_text() and text.get_visible()]
    assert min(sizes) >= 6.0
    drawn = figure.get_tightbbox()
    rounding = 2 / figure.dpi
    assert drawn.x0 >= -rounding
    assert drawn.x1 <= width / 25.4 + rounding


@pytest.mark.parametrize("kind", ["fit", "tga", "composition", "budget"])
def test_a_figure_goes_on_axes_of_the_users(kind: str) -> None:
    own = Figure()
    axes = own.add_subplot(2, 1, 1)
    found = getattr(figures, f"plot_{kind}")(make_result(), ax=axes)
    assert found is axes
    assert axes.has_data()
    assert own.axes[0] is axes
    assert draw_fit_on(make_result().xrd, own.add_subplot(2, 1, 2), scale="log").get_yscale() == "log"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_bytes_are_the_same_whatever_the_users_settings(suffix: str) -> None:
    plain = to_bytes(plot_fit(make_result()), suffix)
    own = {"font.size": 20, "axes.grid": True, "lines.linewidth": 4, "font.family": "serif", "savefig.dpi": 50}
    with mpl.rc_context({**own, "axes.prop_cycle": mpl.cycler(color=["red"])}):
        assert to_bytes(plot_fit(make_result()), suffix) == plain


def test_options_of_figures_are_read_and_refused_by_name() -> None:
    assert FigureOptions.of("pdf, png", "single", 300) == FigureOptions(formats=("pdf", "png"), width_mm=85.0, dpi=300)
    assert FigureOptions.of(width="120").width_mm == 120.0
    with pytest.raises(ArgumentError, match="single"):
        FigureOptions.of(width="wide")
    with pytest.raises(AnalysisError, match="no wavelength"):
        plot_fit(replace(make_result(), xrd=replace(make_result().xrd, wavelengths=())), axis="d")


def luminance(colour: str) -> float:
    r, g, b = (float(part) for part in mpl.colors.to_rgb(colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def deuteranope(colour: str) -> np.ndarray:
    """Colour as without the green receptor [Machado, Oliveira & Fernandes 2009, severity 1], linear RGB."""
    matrix = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]])
    return np.clip(matrix @ np.array(mpl.colors.to_rgb(colour)), 0.0, 1.0)


def test_groups_of_the_budget_are_five_and_told_apart() -> None:
    colours = [colour for colour, _ in BUDGET_GROUPS.values()]
    assert len(colours) == 5
    grey = [luminance(colour) for colour in colours]
    assert (np.diff(grey) > 0.1).all(), "from dark to light, so that they stand apart in grey"
    seen = [deuteranope(colour) for colour in colours]
    assert min(np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]) > 0.1
    assert [budget_group(name) for name in ("xrd_counting", "xrd_scale", "tga_noise", "char", "prior", "aliquot")] == [
        "counting of diffraction", "model of diffraction", "thermogravimetry", "chemistry",
        "assumptions and the rest", "assumptions and the rest",
    ]  # fmt: skip


def test_colours_of_phases_are_theirs_in_every_figure() -> None:
    alone, together = phase_colours(["calcite"]), phase_colours(["hydroxyapatite", "calcite", "quartz"])
    assert alone["calcite"] == together["calcite"]
    assert len(set(together.values())) == 3


def test_tga_figure_labels_steps_with_their_uncertainty() -> None:
    figure = plot_tga(make_result())
    words = texts(figure)
    assert "water\n8.00 ± 0.30 wt%" in words
    assert "onset 285 °C" in words
    assert "residue 38.0 ± 0.4 wt%" in words
    assert "temperature (°C); air, 10 K/min" in words
    assert all(tick <= 105 for tick in figure.axes[0].get_yticks())


def test_labels_of_narrow_steps_do_not_cover_each_other() -> None:
    result = make_result()
    narrow = tuple(
        replace(result.tga.steps[0], name=f"step_{i}", start_c=300 + 12.0 * i, end_c=310 + 12.0 * i) for i in range(5)
    )
    figure = plot_tga(replace(result, tga=replace(result.tga, steps=narrow)))
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text().startswith("step")]
    assert len(boxes) == 5
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_composition_figure_shows_intervals_and_says_what_is_not_separable() -> None:
    words = texts(plot_composition(make_result(tga=False)))
    assert words.count("not separable") == 4
    assert "33.0 ± 1.5  (30.1 – 35.9)" in words
    assert "sum: non-crystalline" in words
    assert any("as received" in word for word in words)


def test_composition_interval_is_drawn_to_scale() -> None:
    axes = plot_composition(make_result()).axes[0]
    low, high = axes.lines[0].get_xdata()
    interval = make_result().composition.components["crystalline_hydroxyapatite"].ci95
    assert (low / 100, high / 100) == pytest.approx(interval, rel=1e-12)


@pytest.mark.parametrize("width_mm", [85.0, 130.0, 150.0, 169.0, 180.0])
def test_the_legend_of_the_budget_lies_within_its_figure(width_mm: float) -> None:
    result = make_result()
    five = dict.fromkeys(("xrd_counting", "xrd_scale", "tga_noise", "char", "prior"), 0.2)
    composition = replace(result.composition, budget=dict.fromkeys(result.composition.budget, five))
    figure = plot_budget(replace(result, composition=composition), width_mm=width_mm)
    figure.draw_without_rendering()
    legend, whole = figure.legends[0].get_window_extent(), figure.bbox
    assert legend.x0 >= whole.x0
    assert legend.x1 <= whole.x1


def test_budget_bars_add_up_to_the_whole() -> None:
    axes = plot_budget(make_result()).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.containers[-1]]
    assert ends == pytest.approx([100.0] * 6, rel=1e-12)
    assert "thermogravimetry" in texts(plot_budget(make_result()))


@pytest.mark.parametrize("plot", [plot_fit, plot_tga, plot_composition, plot_budget, plot_overview])
def test_simulated_specimens_are_labelled(plot) -> None:
    assert any("simulated" in word for word in texts(plot(make_result(metadata={"simulated": True}))))
    assert not any("simulated" in word for word in texts(plot(make_result())))


def test_cohort_figure_shows_all_specimens_truth_and_gaps() -> None:
    results = [
        make_result(sample_id="A", metadata={"simulated": True, "truth": TRUTH}),
        make_result(sample_id="B", tga=False),
    ]
    figure = plot_cohort(results)
    words = texts(figure)
    assert {"A", "B", "simulated cohort", "n.s."} <= set(words)
    assert any("truth of the simulation" in word for word in words)
    diamonds = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert [float(line.get_xdata()[0]) for line in diamonds] == pytest.approx([34.0])


def test_a_cohort_on_two_bases_is_not_drawn() -> None:
    wet = make_result()
    dry = replace(wet, composition=replace(wet.composition, basis="dry"))
    with pytest.raises(AnalysisError, match="one basis"):
        plot_cohort([wet, dry])
    with pytest.raises(AnalysisError):
        plot_cohort([])


def test_missing_parts_are_refused_by_name() -> None:
    with pytest.raises(AnalysisError, match="no fit"):
        plot_fit(make_result(fit=False))
    with pytest.raises(AnalysisError, match="no thermogravimetric curve"):
        plot_tga(make_result(tga=False))


@pytest.mark.parametrize(("fit", "tga"), [(True, True), (True, False), (False, True), (False, False)])
def test_overview_takes_what_there_is(*, fit: bool, tga: bool) -> None:
    figure = make_result(fit=fit, tga=tga).plot()
    assert len(figure.axes) == 4 * fit + 2 * tga + 1
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_figures_leave_the_users_settings_alone() -> None:
    with mpl.rc_context({"font.size": 23.0}):
        to_png(plot_overview(make_result()), dpi=40)
        assert mpl.rcParams["font.size"] == 23.0


@pytest.mark.parametrize("plot", [plot_tga, plot_composition, plot_budget])
def test_no_text_is_cut_at_the_edge(plot) -> None:
    figure = plot(make_result(metadata={"truth": TRUTH}))
    freeze_layout(figure)
    drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    rounding = 2 / figure.dpi  # text extents are rounded outwards by up to a pixel on each side
    assert drawn.x0 >= -rounding
    assert drawn.y0 >= -rounding
    assert drawn.x1 <= width + rounding
    assert drawn.y1 <= height + rounding


@pytest.mark.parametrize("plot", [plot_fit, plot_tga, plot_overview])
def test_labels_of_axes_are_no_longer_than_their_panel(plot) -> None:
    figure = plot(make_result(foreign=True))
    figure.draw_without_rendering()
    for axes in figure.axes:
        panel, label = axes.get_window_extent(), axes.yaxis.label.get_window_extent()
        assert label.height <= panel.height + 6, f"{axes.get_ylabel()!r} runs into the next panel"


@pytest.mark.parametrize("plot", [plot_tga, plot_overview])
def test_labels_of_steps_stay_inside_the_panel(plot) -> None:
    result = make_result()
    narrow = replace(result.tga.steps[0], start_c=25.0, end_c=150.0)
    narrow = replace(narrow, mass_loss=replace(narrow.mass_loss, value=0.2707, std=0.0004))
    result = replace(result, tga=replace(result.tga, steps=(narrow, *result.tga.steps[1:])))
    figure = plot(result)
    figure.draw_without_rendering()
    (axes,) = [axes for axes in figure.axes if axes.get_ylabel() == "mass (wt% of start)"]
    panel = axes.get_window_extent()
    for text in axes.texts:
        box = text.get_window_extent()
        assert panel.x0 - 1 <= box.x0, f"{text.get_text()!r} leaves the panel on the left"
        assert box.x1 <= panel.x1 + 1, f"{text.get_text()!r} leaves the panel on the right"


def test_drawings_are_the_usual_figures_and_legible_at_their_width() -> None:
    result = make_result(foreign=True, metadata={"simulated": True})
    drawn = drawings_of(result)
    assert set(drawn) == {"fit", "tga", "composition", "uncertainty_budget"}
    for name, drawing in drawn.items():
        file = drawing_file(drawing, name, result)
        root = ElementTree.fromstring(file)
        assert root.get("width") == "180mm"
        points = 180.0 / 25.4 * 72.0 / float(root.get("viewBox").split()[2])
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", file)]
        assert min(sizes) * points >= 6.0
        assert "(simulated)" in "".join(root.itertext())
    assert f"stroke:{COMPONENT_COLOURS['crystalline_hydroxyapatite']}" in drawn["fit"]
    assert f'fill="{COMPONENT_COLOURS["organic"]}"' in drawn["composition"]
