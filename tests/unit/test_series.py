"""Many patterns from one common fit: as the single fit has them, whatever their order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import xrdcomp as xc
from tests.fit_cases import INSTRUMENT, VALUES, made_pattern
from xrdcomp.batch.series import SeriesResult, start_series
from xrdcomp.data import Pattern
from xrdcomp.errors import AnalysisError, ArgumentError
from xrdcomp.phases.library import load_phase
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.reflections import PhaseReflections
from xrdcomp.refinement.series import PatternFit, SeriesEngine
from xrdcomp.units import FloatArray

N = 8
RECIPE = Recipe().with_settings({"fit.two_theta_range": (20.0, 60.0)})


def patterns() -> list[Pattern]:
    return [made_pattern(seed=seed) for seed in range(N)]


@pytest.fixture(scope="module")
def stack() -> tuple[FloatArray, FloatArray]:
    every = patterns()
    return every[0].two_theta, np.array([pattern.intensity for pattern in every])


@pytest.fixture(scope="module")
def engine() -> SeriesEngine:
    return start_series(patterns(), "hydroxyapatite", RECIPE, instrument=INSTRUMENT)


@pytest.fixture(scope="module")
def found(stack: tuple[FloatArray, FloatArray]) -> SeriesResult:
    x, y = stack
    return xc.fit_series(x, y, phases="hydroxyapatite", instrument=INSTRUMENT, recipe=RECIPE)


def test_rows_are_those_of_single_fits_within_a_tenth_of_their_sigma(engine: SeriesEngine) -> None:
    names = [item.name for item in engine.table.free]
    for pattern in patterns():
        one, alone = engine.fit(pattern.intensity), engine.single(engine.points(pattern.intensity))
        assert one.settled
        assert not one.single
        counting = np.sqrt(np.diag(alone.evidence.parameter_covariance))
        moved = [one.fit.solution.values[name] - alone.solution.values[name] for name in names]
        assert np.abs(np.array(moved) / counting).max() < 0.1
        amounts, other = one.fit.evidence.amounts, alone.evidence.amounts
        own = np.sqrt(np.diag(other.counting_covariance))
        assert np.abs((amounts.amounts - other.amounts) / own).max() < 0.1
        # uncertainties too: the frozen model has the same slopes
        assert np.sqrt(np.diag(amounts.covariance)) == pytest.approx(np.sqrt(np.diag(other.covariance)), rel=0.05)


def test_rows_depend_on_nothing_but_the_pattern(engine: SeriesEngine, stack: tuple[FloatArray, FloatArray]) -> None:
    _, y = stack
    forward, backward = engine.rows(y), engine.rows(y[::-1])
    assert forward.tobytes() == backward[::-1].copy().tobytes()
    assert forward[3].tobytes() == engine.row(y[3]).tobytes()


def test_workers_give_the_same_bytes(found: SeriesResult, stack: tuple[FloatArray, FloatArray]) -> None:
    x, y = stack
    two = xc.fit_series(x, iter(y), phases="hydroxyapatite", instrument=INSTRUMENT, recipe=RECIPE, workers=2)
    assert two.values.tobytes() == found.values.tobytes()


def test_a_result_is_a_table_with_units_that_prints_on_one_screen(found: SeriesResult) -> None:
    table = found.to_dataframe()
    assert len(table) == len(found) == N
    assert table.attrs["units"]["hydroxyapatite_a"] == "Å"
    assert table.attrs["units"]["hydroxyapatite_size_c_nm_std"] == "nm"
    assert (table["crystalline_weight_fraction_hydroxyapatite"] == 1.0).all()
    assert np.abs(table["hydroxyapatite_a"].mean() - VALUES["hydroxyapatite_a"]) < 0.002
    assert len(repr(found).splitlines()) < 25
    assert "held: caglioti_u" in repr(found)
    with pytest.raises(ArgumentError, match="hydroxyapatite_a"):
        found["nothing"]


def test_what_is_held_is_part_of_the_uncertainty(engine: SeriesEngine) -> None:
    fit = engine.fit(patterns()[0].intensity)
    exact = replace(engine, held_covariance=np.zeros_like(engine.held_covariance))
    with_held, without = engine.row_of(fit), exact.row_of(fit)
    # 64 patterns fix the instrument no better than so: the common fit is of eight only
    assert with_held["hydroxyapatite_a_std"] > 1.02 * without["hydroxyapatite_a_std"]
    assert with_held["hydroxyapatite_a"] == without["hydroxyapatite_a"]


def test_the_sensitivity_to_a_held_parameter_is_that_of_fits_with_it_moved(engine: SeriesEngine) -> None:
    y = patterns()[0].intensity
    name = "hydroxyapatite_size_mixing"
    held = [i.name for i in engine.common.table.free if i.name not in {j.name for j in engine.table.free}]
    step = 0.01
    found = engine.fit(y).fit
    moved = replace(engine, table=engine.table.with_values({name: engine.table.start[name] + step})).fit(y).fit
    predicted = engine._held_sensitivity(found)[:, held.index(name)]
    m = len(found.model.columns)
    std = np.sqrt(np.diag(found.evidence.parameter_covariance))
    seen = (moved.solution.free - found.solution.free) / std
    assert seen == pytest.approx(predicted[m:] * step / std, abs=0.1)
    assert np.abs(seen).max() > 0.2


def test_a_pattern_unlike_the_others_is_fitted_by_itself(engine: SeriesEngine) -> None:
    x = patterns()[0].two_theta
    values = VALUES | {"hydroxyapatite_a": 9.60, "hydroxyapatite_c": 7.0, "hydroxyapatite_inverse_size_a": 0.01}
    lines = PhaseReflections.freeze(load_phase("hydroxyapatite"), INSTRUMENT, x, values)
    counts = np.random.default_rng(1).poisson(60.0 * lines.pattern(values)[0] + 60.0).astype(float)
    one = engine.fit(counts)
    assert one.settled
    assert one.fit.solution.values["hydroxyapatite_a"] == pytest.approx(9.60, abs=0.003)
    alone = engine.single(engine.points(counts))
    assert one.fit.solution.cost <= alone.solution.cost * (1.0 + 1e-6)


def test_points_that_show_the_detector_are_left_out_of_a_row() -> None:
    whole = [made_pattern(seed=seed, step=0.02) for seed in range(3)]
    engine = start_series(whole, "hydroxyapatite", RECIPE, instrument=INSTRUMENT)
    names = list(engine.units)
    amount = names.index("amount_hydroxyapatite")
    clean = engine.row(whole[0].intensity)
    assert clean[names.index("left_out")] == 0.0
    spiked = whole[0].intensity.copy()
    spiked[np.argmin(np.abs(whole[0].two_theta - 31.6))] *= 20.0
    one = engine.row(spiked)
    assert one[names.index("left_out")] == 1.0
    assert one[names.index("single")] == 0.0
    # a point less among two thousand; the standard uncertainty is mostly that of the scale
    assert abs(one[amount] - clean[amount]) < 0.05 * clean[amount + 1]
    ceiling = np.sort(whole[0].intensity)[-25]
    clipped = engine.row(np.minimum(whole[0].intensity, ceiling))
    assert clipped[names.index("left_out")] == 25.0
    assert abs(clipped[amount] - clean[amount]) < 0.1 * clean[amount + 1]


def test_a_ceiling_that_any_pattern_reached_has_no_weight_in_the_common_fit() -> None:
    whole = [made_pattern(seed=seed, step=0.02) for seed in range(3)]
    ceiling = np.sort(whole[0].intensity)[-25]
    cut = [replace(item, intensity=np.minimum(item.intensity, ceiling)) for item in whole]
    common = start_series(cut, "hydroxyapatite", RECIPE, instrument=INSTRUMENT).common.points
    inside = np.isin(whole[0].two_theta, common.two_theta)
    reached = np.array([item.intensity[inside] == ceiling for item in cut]).any(axis=0)
    assert reached.sum() > 25
    # one of three that is uncertain by all of itself leaves a third of that in the mean
    assert (common.sigma[reached] > 0.3 * common.intensity[reached]).all()
    assert np.median(common.sigma / common.intensity) < 0.1


def test_a_series_whose_cell_grows_by_a_percent_has_the_single_fits_all_along() -> None:
    """The mean of such a series has smeared reflections; what is held must not come from it."""
    x, every, truth = made_pattern(seed=0).two_theta, [], []
    for k, share in enumerate(np.linspace(0.0, 1.0, 7).tolist()):
        values = VALUES | {
            f"hydroxyapatite_{axis}": VALUES[f"hydroxyapatite_{axis}"] * (1 + 0.01 * share) for axis in "ac"
        }
        size = 15.0 + 45.0 * share
        values |= {"hydroxyapatite_inverse_size_a": 1 / size, "hydroxyapatite_inverse_size_c": 0.5 / size}
        lines = PhaseReflections.freeze(load_phase("hydroxyapatite"), INSTRUMENT, x, values)
        mean = 60.0 * lines.pattern(values)[0] + 40.0 * x[0] / x + 60.0
        every.append(np.random.default_rng(k).poisson(mean).astype(float))
        truth.append(values["hydroxyapatite_a"])
    probe = [Pattern.from_xy(x, y, intensity_unit="counts") for y in every]
    engine = start_series(probe, "hydroxyapatite", RECIPE, instrument=INSTRUMENT)
    for k in (0, 3, 6):
        one, alone = engine.fit(every[k]), engine.single(engine.points(every[k]))
        std = np.sqrt(np.diag(alone.evidence.parameter_covariance))
        assert one.settled
        assert one.fit.goodness < 1.15  # 1 ± 0.03 for a thousand points, and what is held
        assert np.abs((one.fit.solution.free - alone.solution.free) / std).max() < 0.1
        found = one.fit.parameter("cell", "hydroxyapatite", "a")
        assert found is not None
        assert found.std is not None
        assert abs(found.value - truth[k]) < 4.0 * found.std


def test_a_pattern_of_nothing_is_a_row_of_nan_and_stops_nothing(stack: tuple[FloatArray, FloatArray]) -> None:
    x, y = stack
    y = y.copy()
    y[2] = 0.0
    y[4, 700] = np.nan
    rows = xc.fit_series(x, y, phases="hydroxyapatite", instrument=INSTRUMENT, recipe=RECIPE).values
    assert np.isnan(rows).all(axis=1).tolist() == [k in (2, 4) for k in range(N)]
    with pytest.raises(AnalysisError, match="nothing to fit"):
        xc.fit_series(x, 0.0 * y[:2], phases="hydroxyapatite")


def test_all_parameters_can_be_free(stack: tuple[FloatArray, FloatArray]) -> None:
    every = patterns()
    engine = start_series(every[:4], "hydroxyapatite", RECIPE, instrument=INSTRUMENT, free="all")
    assert not engine.held_covariance.size
    one: PatternFit = engine.fit(every[0].intensity)
    assert one.settled
    assert [i.name for i in engine.table.free] == [i.name for i in engine.common.table.free]


def test_arrays_that_do_not_fit_one_another_are_refused(stack: tuple[FloatArray, FloatArray]) -> None:
    x, y = stack
    with pytest.raises(ArgumentError, match="intensities"):
        xc.fit_series(x[:-1], y, phases="hydroxyapatite")
    with pytest.raises(ArgumentError, match="sigmas"):
        xc.fit_series(x, y, phases="hydroxyapatite", sigmas=y[:3])
    with pytest.raises(AnalysisError, match="grid"):
        start_series([made_pattern(seed=0), Pattern.from_xy(x + 0.01, y[0])], "hydroxyapatite", RECIPE)
