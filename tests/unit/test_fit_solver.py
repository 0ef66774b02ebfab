"""The linear solver, variable projection against lmfit, and the moments behind the evidence."""

from __future__ import annotations

from dataclasses import replace

import lmfit
import numpy as np
import pytest
from scipy import optimize, stats

from tests.fit_cases import INSTRUMENT, made_pattern
from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.errors import AnalysisError, RecipeError
from xrdcomp.phases.library import load_phase
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.covariance import FOREIGN_LIPID, foreign_share, residual_inflation, truncated_moments
from xrdcomp.refinement.parameters import build_parameters
from xrdcomp.refinement.refine import Refinement, initial_parameters, recall_strayed_cells
from xrdcomp.refinement.reflections import bin_means
from xrdcomp.refinement.solver import (
    LeastSquares,
    LinearSolution,
    _second_order,
    minimizer_result,
    solve_linear,
    solve_nonnegative,
)
from xrdcomp.stages import fit_pattern

HA = load_phase("hydroxyapatite")
PLAIN = FitRecipe(texture="none", amorphous=("protein",), background_terms=2)


def test_bounded_least_squares_agrees_with_scipy() -> None:
    rng = np.random.default_rng(4)
    for trial in range(20):
        a, b = rng.normal(size=(60, 8)), rng.normal(size=60)
        bounded = rng.random(8) < 0.6
        ours = solve_linear(a.T @ a, a.T @ b, bounded)
        low = np.where(bounded, 0.0, -np.inf)
        theirs = optimize.lsq_linear(a, b, bounds=(low, np.inf), tol=1e-14, method="bvls").x
        assert_close(ours, theirs, atol=1e-6, because=f"two exact solvers, trial {trial}, 1e-12 of jitter")


def test_a_guess_of_the_active_ones_changes_no_solution() -> None:
    """Right, wrong or missing: the minimum is one, and so are those that no bound holds."""
    rng = np.random.default_rng(9)
    for trial in range(20):
        a, b = rng.normal(size=(60, 12)), rng.normal(size=60)
        bounded = rng.random(12) < 0.7
        gram, right = a.T @ a, a.T @ b
        cold = LinearSolution.of(gram, right, bounded, None)
        assert_close(cold.coefficients, solve_linear(gram, right, bounded), atol=1e-12, because="the same problem")
        for guess in (cold.active, ~bounded, np.ones(12, bool), ~bounded | (rng.random(12) < 0.5)):
            found = LinearSolution.of(gram, right, bounded, guess)
            assert np.array_equal(found.active, cold.active), f"trial {trial}"
            assert_close(found.coefficients, cold.coefficients, atol=1e-10, because="rounding, and 1e-12 of jitter")
            own = gram[np.ix_(cold.active, cold.active)]
            upper = np.triu(found.upper) * found.scale
            assert_close(upper.T @ upper, own, atol=1e-9, because="factor of the products of the active ones")


def test_fast_solver_reaches_the_minimum_of_lmfit() -> None:
    pattern = made_pattern(seed=1)
    fast = fit_pattern(pattern, [HA], INSTRUMENT, PLAIN)
    slow = fit_pattern(pattern, [HA], INSTRUMENT, FitRecipe(**{**_fields(PLAIN), "solver": "lmfit"}))
    assert fast.rwp <= slow.rwp * (1.0 + 1e-5), "the minimum is at least as deep as that of lmfit"
    assert_close(fast.rwp, slow.rwp, rtol=5e-4, because="lmfit stops up to half a unit of χ² above its minimum")
    for name in ("hydroxyapatite_a", "hydroxyapatite_c", "hydroxyapatite_inverse_size_a"):
        std = fast.parameters[name].std
        assert std is not None
        assert_close(
            fast.parameters[name].value,
            slow.parameters[name].value,
            atol=0.3 * std,
            because="a cost within 1e-4 of its minimum leaves a fraction of a standard deviation",
        )


def test_result_prints_like_lmfit() -> None:
    fit = fit_pattern(made_pattern(seed=2), [HA], INSTRUMENT, PLAIN)
    report = lmfit.fit_report(minimizer_result(fit))
    assert "hydroxyapatite_a" in report
    assert "reduced chi-square" in report


def test_fixing_and_affine_ties_are_respected() -> None:
    params = initial_parameters([HA], INSTRUMENT, PLAIN)
    params["hydroxyapatite_b_extra"].set(value=0.1, vary=False)
    params["hydroxyapatite_inverse_size_c"].set(expr="0.5 * hydroxyapatite_inverse_size_a")
    fit = fit_pattern(made_pattern(seed=3), [HA], INSTRUMENT, PLAIN, params=params)
    assert fit.parameters["hydroxyapatite_b_extra"].std is None
    assert fit.parameters["hydroxyapatite_b_extra"].value == 0.1
    values = {name: estimate.value for name, estimate in fit.parameters.items()}
    assert_close(
        values["hydroxyapatite_inverse_size_c"],
        0.5 * values["hydroxyapatite_inverse_size_a"],
        rtol=1e-9,
        because="an affine tie holds exactly",
    )


def test_unknown_and_non_affine_parameters_are_refused() -> None:
    params = initial_parameters([HA], INSTRUMENT, PLAIN)
    params.add("hydroxyapatite_z", value=1.0)
    with pytest.raises(RecipeError, match="hydroxyapatite_z"):
        fit_pattern(made_pattern(seed=3), [HA], INSTRUMENT, PLAIN, params=params)
    params = initial_parameters([HA], INSTRUMENT, PLAIN)
    params["hydroxyapatite_inverse_size_c"].set(expr="hydroxyapatite_inverse_size_a ** 2")
    with pytest.raises(RecipeError, match="affine"):
        fit_pattern(made_pattern(seed=3), [HA], INSTRUMENT, PLAIN, params=params)


def test_peaks_mode_follows_wrong_intensities() -> None:
    """A textured powder: free intensities fit where the structure's cannot."""
    pattern = made_pattern(seed=5, strengthen=(2, 0.4))
    structure = fit_pattern(pattern, [HA], INSTRUMENT, PLAIN)
    peaks = fit_pattern(pattern, [HA], INSTRUMENT, FitRecipe(**{**_fields(PLAIN), "mode": "peaks"}))
    assert structure.gof > 2.0
    assert peaks.gof < 0.6 * structure.gof


def test_inputs_that_cannot_be_fitted() -> None:
    pattern = made_pattern(seed=1)
    with pytest.raises(AnalysisError, match="points lie in"):
        fit_pattern(pattern, [HA], INSTRUMENT, FitRecipe(two_theta_range=(100.0, 120.0)))
    with pytest.raises(AnalysisError, match="positions only"):
        fit_pattern(pattern, [load_phase("monosodium_urate")], INSTRUMENT)
    flat = Pattern(two_theta=np.arange(10, 40, 0.05), intensity=np.full(600, 7.0), sigma=np.ones(600))
    with pytest.raises(AnalysisError, match="nothing to fit"):
        fit_pattern(flat, [HA], INSTRUMENT)
    short = Pattern(two_theta=pattern.two_theta[:900], intensity=pattern.intensity[:900], sigma=pattern.sigma[:900])
    with pytest.raises(AnalysisError, match="blank covers"):
        fit_pattern(pattern, [HA], INSTRUMENT, blank=short)


def test_fit_is_repeatable_to_the_bit() -> None:
    first = fit_pattern(made_pattern(seed=6), [HA], INSTRUMENT, PLAIN)
    second = fit_pattern(made_pattern(seed=6), [HA], INSTRUMENT, PLAIN)
    assert np.array_equal(first.calculated, second.calculated)
    assert np.array_equal(first.amounts.covariance, second.amounts.covariance)


def test_scaling_the_counts_scales_the_amounts() -> None:
    pattern = made_pattern(seed=7)
    scaled = Pattern(two_theta=pattern.two_theta, intensity=10 * pattern.intensity, sigma=10 * pattern.sigma)
    one, ten = (fit_pattern(p, [HA], INSTRUMENT, PLAIN).amounts.amounts for p in (pattern, scaled))
    assert_close(ten / one, 10.0, rtol=1e-6, because="the problem is linear in the scale of the data")


def test_white_residuals_do_not_inflate() -> None:
    rng = np.random.default_rng(8)
    factor, tau = residual_inflation(rng.normal(size=4000), 20)
    assert_close(factor, 1.0, atol=0.15, because="3 σ of χ²_ν for 4000 points (0.07) and of τ")
    assert_close(tau, 1.0, atol=0.1, because="autocorrelation of white noise, ±2/sqrt(n) per lag")


def test_correlated_residuals_inflate_by_their_length() -> None:
    rng = np.random.default_rng(9)
    noise = rng.normal(size=40000)
    smooth = np.convolve(noise, np.ones(5) / np.sqrt(5), mode="same")
    _, tau = residual_inflation(smooth, 0)
    assert_close(tau, 5.0, rtol=0.1, because="a moving mean of 5 has τ = 5; scatter of τ over 40 000 points")


def test_truncated_moments_of_one_dimension() -> None:
    for mean in (-30.0, -1.0, 0.0, 2.0, 40.0):
        exact = stats.truncnorm(-mean, np.inf, loc=mean)
        value, variance = truncated_moments(np.array([mean]), np.array([[1.0]]))
        assert_close(value, exact.mean(), rtol=0.002, because="8 191 points of a lattice")
        assert_close(variance, exact.var(), rtol=0.01, because="8 191 points of a lattice")


def test_truncated_moments_of_terms_that_trade() -> None:
    """Four terms as those of a background are, each anticorrelated with the next: against draws that are rejected."""
    mean = np.array([0.4, 0.5, 0.7, -0.3])
    order = np.arange(4)
    covariance = (-0.9) ** np.abs(order[:, None] - order) * np.outer([1.0, 2.0, 0.5, 1.0], [1.0, 2.0, 0.5, 1.0])
    draws = np.random.default_rng(5).multivariate_normal(mean, covariance, size=2_000_000)
    draws = draws[(draws > 0.0).all(axis=1)]
    value, moments = truncated_moments(mean, covariance)
    std = draws.std(axis=0)
    assert len(draws) > 10_000
    assert_close(value / std, draws.mean(axis=0) / std, atol=0.03, because="3 σ of the draws that are left")
    assert_close(np.sqrt(np.diag(moments)) / std, 1.0, atol=0.04, because="the same")
    assert_close(np.corrcoef(draws.T), moments / np.outer(std, std), atol=0.06, because="the same")
    again = truncated_moments(mean, covariance)
    assert again[0].tobytes() == value.tobytes()


def _fields(recipe: FitRecipe) -> dict[str, object]:
    return {name: getattr(recipe, name) for name in recipe.__struct_fields__}


def test_a_phase_whose_cell_ran_off_starts_again() -> None:
    phases = [HA, load_phase("calcite")]
    start = build_parameters(phases, INSTRUMENT, FitRecipe())
    fit = Refinement.run(made_pattern(seed=1), phases, INSTRUMENT, FitRecipe(max_iterations=1))
    end = {**fit.solution.values, "hydroxyapatite_a": 9.43, "sample_displacement_mm": 0.07}
    wild = replace(fit.solution, values={**end, "calcite_a": 1.02 * 4.99, "calcite_b_extra": 3.0})
    again = recall_strayed_cells(phases, start, wild)
    assert again is not None
    values, first = ({item.name: item.value for item in table.items} for table in (again, start))
    assert values["calcite_a"] == first["calcite_a"]
    assert values["calcite_b_extra"] == first["calcite_b_extra"]
    assert values["hydroxyapatite_a"] == 9.43
    assert values["sample_displacement_mm"] == 0.07
    tame = replace(fit.solution, values={**end, "calcite_a": 1.005 * 4.99, "calcite_c": 17.06})
    assert recall_strayed_cells(phases, start, tame) is None
    lost = replace(fit.solution, values={**wild.values, "hydroxyapatite_a": 9.7})
    assert recall_strayed_cells(phases, start, lost) is None, "a wrong wavelength: nothing to hold on to"


def test_steps_that_are_too_short_are_learned_from() -> None:
    """Of a quadratic whose linearised curvature is three times the true one along one direction, right elsewhere."""
    rng = np.random.default_rng(6)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    true = basis @ np.diag([1.0, 40.0, 7.0, 300.0]) @ basis.T
    assumed = true + 2.0 * np.outer(basis[:, 0], basis[:, 0])
    moved, nothing = basis[:, 0], np.zeros((4, 4))
    learned = _second_order(nothing, assumed, true @ moved, moved)
    assert_close(assumed + learned, true, atol=1e-10, because="the whole error lies along the step")
    more = _second_order(nothing, true, assumed @ moved, moved)
    assert not more.any(), "more curvature would end runs early"
    more = _second_order(nothing, true, assumed @ moved, moved, overshot=True)
    assert_close(true + more, assumed, atol=1e-10, because="a step that was too long says so")
    assert not _second_order(nothing, assumed, 0.01 * assumed @ moved, moved).any(), "none that leaves nothing"


def test_doubt_between_shift_and_displacement_stays_with_a_phase_in_anothers_place() -> None:
    """An apatite that is exchanged for itself is as uncertain as before."""
    pattern = made_pattern(seed=3)
    pattern = replace(pattern, two_theta=pattern.two_theta + 0.04)
    fit = Refinement.run(pattern, [HA], INSTRUMENT, FitRecipe())
    assert fit.shift_std["hydroxyapatite_a"] > 0.0
    assert fit.substitute(HA, HA).settle().shift_std == fit.shift_std
    other = fit.substitute(HA, load_phase("fluorapatite")).settle()
    assert other.shift_std["fluorapatite_a"] == fit.shift_std["hydroxyapatite_a"]
    assert other.shift_std["sample_displacement_mm"] == fit.shift_std["sample_displacement_mm"]
    cell = other.parameter("cell", "fluorapatite", "a")
    assert cell is not None
    assert cell.std is not None
    assert cell.std > fit.shift_std["hydroxyapatite_a"]


def test_nonnegative_least_squares_agrees_with_scipy() -> None:
    """Half of the problems have two columns that are nearly one, which makes unknowns change sides more than once."""
    rng = np.random.default_rng(3)
    for trial in range(300):
        m = int(rng.integers(2, 15))
        a = rng.normal(size=(40, m)) * 10.0 ** rng.uniform(-2, 2, m)
        if trial % 2:
            a[:, 1] = a[:, 0] + 1e-5 * rng.normal(size=40)
        q, r = np.linalg.qr(a)
        target = q.T @ (rng.normal(size=40) + a @ np.maximum(rng.normal(size=m), 0.0))
        ours, (theirs, norm) = solve_nonnegative(r, target), optimize.nnls(r, target)
        assert (ours >= 0.0).all()
        found = float(np.linalg.norm(r @ ours - target))
        assert found <= norm * (1.0 + 1e-9) + 1e-9, f"trial {trial}: {ours} against {theirs}"


def test_reflections_on_binned_points_are_means_of_those_on_all() -> None:
    """Means over neighbours broaden a reflection; what is left of them is a tenth of what it was without."""
    fit = Refinement.run(made_pattern(seed=5), (HA,), INSTRUMENT, PLAIN)
    fine, values = fit.model.reflections[0], fit.solution.values
    binned = fit.points.binned(2)
    means = bin_means(fine.pattern(values)[0], len(binned))
    off = []
    for points in (binned, replace(binned, smear_sq=0.0)):
        own = fit.setup.build(points, fit.table.with_values(values), like=fit.model).reflections[0]
        off.append(float(np.abs(own.pattern(values)[0] - means).max()))
    assert off[0] < 0.1 * off[1]


def test_amorphous_matter_of_another_kind_comes_in_step_by_step() -> None:
    """None down to the threshold, all one standard deviation below it, none where amorphous matter is not clear."""
    names, crystalline = ("hydroxyapatite", "protein", "lipid"), np.array([True, False, False])
    covariance = np.diag([0.01, 0.05, 0.05]) ** 2

    def share(lipid: float, whole: float = 1.0) -> float:
        return foreign_share(names, crystalline, np.array([1.0, whole - lipid, lipid]), covariance)

    assert [share(lipid) for lipid in (0.3, 0.0, FOREIGN_LIPID + 1e-9)] == [0.0, 0.0, 0.0]
    assert share(FOREIGN_LIPID - 0.025) == pytest.approx(0.5)
    assert share(FOREIGN_LIPID - 0.05) == pytest.approx(1.0)
    assert share(-0.5, whole=0.05) == 0.0
    assert foreign_share(names[:2], crystalline[:2], np.array([1.0, 1.0]), covariance[:2, :2]) == 0.0


def test_products_are_taken_over_from_columns_that_are_the_same() -> None:
    fit = Refinement.run(made_pattern(seed=3), [HA], INSTRUMENT)
    fixed = fit.model.fixed.copy()
    fixed[:, [2, 5]] *= 1.0 + np.linspace(0.0, 0.5, len(fixed))[:, None]
    other = replace(fit.model, fixed=fixed)
    found = LeastSquares(other, fit.table, fit.points, LeastSquares(fit.model, fit.table, fit.points))
    fresh = LeastSquares(other, fit.table, fit.points)
    for name in ("fixed", "fixed_gram", "fixed_right"):
        expected = getattr(fresh, name)
        scale = float(np.abs(expected).max())
        assert_close(getattr(found, name) / scale, expected / scale, atol=1e-13, because="order of sums")


def test_the_last_step_leaves_minimum_and_derivatives_where_they_are() -> None:
    """Derivatives of a run may be those from a tenth of a standard deviation away; the minimum may not."""
    fit = Refinement.run(made_pattern(seed=3), [HA], INSTRUMENT)
    solution, problem = fit.solution, LeastSquares(fit.model, fit.table, fit.points)
    begun = replace(problem.state(solution.free), prior=solution.linear_prior)
    state = problem.state(solution.free, begun)
    hessian, gradient = problem.normal(state, solution.free)
    _, promise = problem.step(hessian, gradient, solution.free, 0.0)
    misfit = max(1.0, solution.cost / len(fit.points))
    assert_close(np.sqrt(max(promise, 0.0) / misfit), 0.0, atol=0.05, because="standard deviations along a step")
    kept, own = solution.jacobian / fit.points.sigma[:, None], state.jacobian
    change = np.linalg.norm(kept - own, axis=0) / np.linalg.norm(own, axis=0)
    assert_close(change, 0.0, atol=0.05, because="derivatives change by about a half over their own width")
