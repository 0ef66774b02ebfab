"""Control charts: Westgard rules and CUSUM against their definitions, baselines, services, drift."""

from __future__ import annotations

import time

import numpy as np
import pytest
from matplotlib.text import Text

from benchmarks.drift import run_lengths
from tests.helpers import assert_close
from xrdcomp.instrument.control import BASELINE_RUNS, CUSUM_LIMIT, CUSUM_SLACK, control_chart, cusum, westgard
from xrdcomp.present.control_chart import plot_control_chart
from xrdcomp.results import ControlChart

DAY = 86400.0
NAMES = {"instrument": "D8", "standard": "srm660c", "quantity": "cell_a", "unit": "Å"}


def charted(scores: np.ndarray, **options: object) -> ControlChart:
    """Chart of runs a day apart whose baseline has mean 0 and standard deviation 1 exactly."""
    base = np.tile([1.0, -1.0], BASELINE_RUNS // 2) * np.sqrt((BASELINE_RUNS - 1) / BASELINE_RUNS)
    values = np.concatenate([base, np.asarray(scores, dtype=float)])
    return control_chart(DAY * np.arange(len(values)), values, **NAMES, **options)  # type: ignore[arg-type]  # chosen by tests


@pytest.mark.parametrize(
    ("scores", "rule", "at"),
    [
        ([0.0, 2.1, 0.0], "1_2s", [1]),
        ([0.0, -2.1, 2.0], "1_2s", [1]),
        ([0.0, 3.1, -3.0], "1_3s", [1]),
        ([2.1, 2.1, 2.1], "2_2s", [1, 2]),
        ([-2.1, -2.5, 0.0], "2_2s", [1]),
        ([2.1, -2.1], "2_2s", []),
        ([2.1, -2.1, 2.1], "R_4s", [1, 2]),
        ([2.1, -1.9], "R_4s", []),
        ([1.1, 1.1, 1.1, 1.1, 0.9], "4_1s", [3]),
        ([-1.1, -1.1, -1.1, -1.1, -1.1], "4_1s", [3, 4]),
        ([1.1, 1.1, -1.1, 1.1], "4_1s", []),
        ([0.1] * 11, "10_x", [9, 10]),
        ([-0.1] * 9 + [0.1], "10_x", []),
    ],
)
def test_westgard_rules_are_those_of_their_names(scores: list[float], rule: str, at: list[int]) -> None:
    assert westgard(np.array(scores))[rule].tolist() == at


def test_rules_agree_with_a_reading_run_by_run() -> None:
    rng = np.random.default_rng(20260131)
    scores = 1.6 * rng.normal(size=3000)
    found = {name: set(runs.tolist()) for name, runs in westgard(scores).items()}
    naive: dict[str, set[int]] = {name: set() for name in found}
    for i in range(len(scores)):
        for sign in (1, -1):
            s = sign * scores[: i + 1]
            naive["1_2s"] |= {i} if s[-1] > 2 else set()
            naive["1_3s"] |= {i} if s[-1] > 3 else set()
            naive["2_2s"] |= {i} if i >= 1 and (s[-2:] > 2).all() else set()
            naive["R_4s"] |= {i} if i >= 1 and s[-1] > 2 and s[-2] < -2 else set()
            naive["4_1s"] |= {i} if i >= 3 and (s[-4:] > 1).all() else set()
            naive["10_x"] |= {i} if i >= 9 and (s[-10:] > 0).all() else set()
    assert found == naive
    assert all(naive.values()), "each rule was broken somewhere"


def test_the_cusum_is_that_of_the_textbook() -> None:
    """Montgomery, Table 9.2: x of mean 10, standard deviation 1, k = 0.5; C+ reaches 5.28 at the 29th sample."""
    x = [9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08, 9.37, 10.62,
         10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52]  # fmt: skip
    high, low = cusum(np.array(x) - 10.0)
    assert (CUSUM_SLACK, CUSUM_LIMIT) == (0.5, 5.0)
    assert_close(high[[4, 28, 29]], [2.82, 5.28, 5.30], atol=1e-9, because="printed to two places")
    assert_close(low[[0, 1, 2]], [0.05, 1.56, 1.77], atol=1e-9, because="printed to two places")
    assert np.flatnonzero(high > 5.0).tolist() == [28, 29]


def test_runs_of_the_baseline_are_not_judged_and_fix_mean_and_deviation() -> None:
    young = control_chart(DAY * np.arange(19), np.r_[np.zeros(18), 99.0], **NAMES)
    assert (young.state, young.violations) == ("baseline", {})
    assert np.isnan(young.centre).all()
    chart = charted([0.0, 3.1, 0.0])
    assert_close([chart.centre[0], chart.spread[0]], [0.0, 1.0], atol=1e-12, because="made so")
    assert chart.violations == {"1_2s": (21,), "1_3s": (21,)}
    assert chart.state == "in_control"
    assert charted([0.0, 2.1]).state == "attention"
    assert charted([0.0, 3.1]).state == "out_of_control"
    assert charted([0.0, 3.1]).rules_now == ("1_2s", "1_3s")


def test_an_excluded_run_neither_counts_nor_breaks_a_chain() -> None:
    chart = charted([2.1, 9.0, 2.1], excluded={21: "not packed"})
    assert chart.violations["2_2s"] == (22,)
    assert "1_3s" not in chart.violations
    inside = charted([0.0, 0.0], excluded={0: "not packed"})
    assert inside.baseline.sum() == BASELINE_RUNS
    assert not inside.baseline[0]
    assert inside.baseline[20]


def test_a_service_begins_a_new_baseline() -> None:
    rng = np.random.default_rng(3)
    old, new = rng.normal(size=40), 50.0 + 2.0 * rng.normal(size=30)
    values = np.r_[old, new]
    chart = control_chart(DAY * np.arange(70), values, services={39.5 * DAY: "new tube"}, **NAMES)
    assert_close(chart.centre[69], new[:20].mean(), rtol=1e-12, because="the first runs after the service")
    assert_close(chart.spread[0], old[:20].std(ddof=1), rtol=1e-12, because="the first runs")
    assert chart.baseline[40:60].all()
    assert chart.state in ("in_control", "attention")
    again = control_chart(DAY * np.arange(45), values[:45], services={39.5 * DAY: "new tube"}, **NAMES)
    assert again.state == "baseline"


def test_a_drift_is_told_with_its_pace_before_the_limit() -> None:
    """0.6 standard deviations a month in weekly runs, without scatter but that of the baseline."""
    weeks = np.arange(1, 14)
    base = np.tile([1.0, -1.0], 10) * np.sqrt(19 / 20)
    values = np.r_[base, 0.6 * weeks * 7 / 30.4375]
    chart = control_chart(7 * DAY * np.arange(len(values)), values, **NAMES)
    assert chart.state == "drifting"
    assert "1_3s" not in chart.violations
    assert chart.drift_per_month is not None
    assert_close(chart.drift_per_month, 0.6, rtol=1e-6, because="a straight line")
    assert chart.days_to_limit is not None
    assert_close(chart.days_to_limit, (3.0 - values[-1]) / 0.6 * 30.4375, rtol=1e-6, because="a straight line")
    down = control_chart(7 * DAY * np.arange(len(values)), -values, **NAMES)
    assert down.drift_per_month is not None
    assert_close(down.drift_per_month, -0.6, rtol=1e-6, because="mirrored")
    assert down.days_to_limit == pytest.approx(chart.days_to_limit)


def test_repeated_numbers_are_no_baseline() -> None:
    chart = control_chart(DAY * np.arange(30), np.full(30, 4.1568), **NAMES)
    assert chart.state == "baseline"
    assert chart.violations == {}
    assert plot_control_chart(chart).axes
    assert control_chart(np.array([]), np.array([]), **NAMES).state == "baseline"


@pytest.mark.slow
def test_ten_thousand_runs_are_charted_within_a_second() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=10_000)
    scores[6000:] += 0.001 * np.arange(4000)
    plot_control_chart(charted(rng.normal(size=30)))._repr_png_()  # type: ignore[attr-defined]  # fonts are read once
    begin = time.process_time()
    chart = charted(scores)
    figure = plot_control_chart(chart)
    assert len(figure._repr_png_()) > 10_000  # type: ignore[attr-defined]  # a ResultFigure
    assert time.process_time() - begin < 1.0
    assert chart.state in ("drifting", "out_of_control")


def test_the_figure_says_what_the_chart_found() -> None:
    rng = np.random.default_rng(8)
    scores = np.r_[rng.normal(size=30), 3.5, rng.normal(size=20) + 0.15 * np.arange(20)]
    chart = charted(scores, services={5.5 * DAY: "aligned"}, excluded={45: "not packed"})
    upper, lower = plot_control_chart(chart).axes
    assert "cell a of D8, srm660c" in upper.get_title(loc="left")
    labels = {text.get_text() for text in upper.get_legend().get_texts()}
    assert {"check run", "run of the baseline", "excluded", "1-3s"} <= labels
    assert "(Å)" in upper.get_ylabel()
    assert "aligned" in {text.get_text() for text in upper.texts}
    assert "CUSUM" in lower.get_ylabel()


@pytest.mark.slow
def test_drifts_are_told_within_the_run_lengths_of_the_page() -> None:
    """The study of the page with 300 charts: theory's 465 runs to a false alarm, a drift of 1 s a month in a month."""
    charts = 300
    stable = run_lengths(0.0, None, charts, 3000, 1)
    assert_close(stable.mean("CUSUM"), 465.0, rtol=3 / np.sqrt(charts), because="exponential lengths, three deviations")
    daily = run_lengths(1.0 / 21.0, 20, charts, 300, 2)
    assert 19 <= daily.quantile("drifts", 0.5) <= 24, "21 runs with 2000 charts; a median of 300 is known to 1"
    assert daily.quantile("drifts", 0.95) <= 42, "33 runs: told before the mean is off by 2"
    assert daily.quantile("drifts", 0.5) < daily.quantile("out of control", 0.5)


@pytest.mark.parametrize("width", [85.0, 180.0])
def test_a_chart_is_legible_at_the_width_of_a_column(width: float) -> None:
    values = np.random.default_rng(7).normal(size=40)
    figure = plot_control_chart(charted(values), width_mm=width)
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] == pytest.approx(width / 25.4)
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 6.0
    box = figure.get_tightbbox()
    assert box.x0 >= -0.02
    assert box.x1 <= width / 25.4 + 0.02
