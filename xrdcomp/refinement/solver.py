"""Variable projection: linear coefficients are solved inside, non-linear parameters by Levenberg-Marquardt.

Golub & Pereyra 1973 SIAM J. Numer. Anal. 10, 413, with Kaufman's (1975 BIT 15, 49) approximation of the Jacobian, which
is the Schur complement of the joint normal equations used here. lmfit minimises the same residual as a slow oracle, and
a finished fit can be had as an lmfit result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import lapack

from xrdcomp.refinement.model import ALL_AMORPHOUS, PatternModel, Points
from xrdcomp.refinement.parameters import ParameterTable
from xrdcomp.results import parameter_name
from xrdcomp.units import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import lmfit

    from xrdcomp.results import FitResult

_NEGLIGIBLE = 1e-2  # of the tolerance: a step that promises less is not tried
_LEAST_DAMPING_AFTER_FAILURE = 5e-3  # less hardly changes the step that failed
_KEPT = (
    0.1,
    0.5,
)  # shares of the promised fall of the cost, and what damping is multiplied by below, between and above
_AFTER_PROMISE = (4.0, 1.0, 0.2)
_BROKEN_PROMISE = 10.0
_SURE_OF_PROMISE = 50.0  # a promise is seldom kept to a better share than one in so many
_MORE_THAN_PROMISED = 2.0  # the most that a descent lowers the sum of squares by, of what its first step promises
_LEARNED = 0.1  # cosine between a step and what it missed, above which its curvature is learned
_OVERSHOT = 0.5  # share of its promise that a step brings which was half too long
_LEFT = 0.1  # of the curvature that was expected, below which it is not
# Standard deviations along a step, within which derivatives stay what they are, and how near the fall of the cost must
# come to its promise for the rest of the way to be a third of such a step at most.
_SAME_SLOPES, _AS_PROMISED = 0.1, 0.25
_JITTER = 1e-12  # on the diagonal of products of columns of length one: two that are alike stay apart
_ROUNDING = 1e-13  # of the largest projection, below which a slope at a bound is none
_MODE_FLOOR = 1e-3  # of the largest amount: lets a component's shape move before the component has grown


def solve_linear(gram: FloatArray, right: FloatArray, nonnegative: BoolArray) -> FloatArray:
    """Coefficients c that minimise cᵀ G c − 2 cᵀ r with c_j ≥ 0 for some j.

    G = Φᵀ W Φ with the priors' inverse variances, r = Φᵀ W y. The free ones are eliminated by a Cholesky factor, the
    rest is a non-negative least-squares problem [Lawson & Hanson 1974, ch. 23], so the result is exact, not
    penalised.
    """
    scale, scaled = _scaled_to_one(gram)
    return _solved_cold(scaled, right / scale, nonnegative) / scale


def _scaled_to_one(gram: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lengths of the columns, and their products at length one: they differ by many orders of magnitude, and so scaled
    the jitter is far below any of them.
    """
    scale = np.sqrt(np.maximum(gram.diagonal(), 1e-300))
    inverse = 1.0 / scale
    scaled = gram * inverse[:, None]
    scaled *= inverse
    _diagonal(scaled)[:] += _JITTER
    return scale, scaled


def _diagonal(matrix: FloatArray) -> FloatArray:
    """Diagonal of a matrix whose rows stand one after another, to write to; NumPy's own cannot be written to."""
    return matrix.ravel()[:: len(matrix) + 1]


def _part(matrix: FloatArray, which: IntArray) -> FloatArray:
    """Rows and columns of a symmetric matrix; two `take` cost a quarter of one index by `np.ix_`."""
    return matrix.take(which, axis=0).take(which, axis=1)


def _solved_cold(scaled: FloatArray, target: FloatArray, nonnegative: BoolArray) -> FloatArray:
    """Solve the scaled problem with nothing known of which bounds hold."""
    m = len(target)
    order = np.concatenate([np.flatnonzero(~nonnegative), np.flatnonzero(nonnegative)])
    n_free = m - int(np.count_nonzero(nonnegative))
    upper = _upper_factor(_part(scaled, order))
    projected = _solved(upper, target[order], transposed=True)
    part = np.zeros(m)
    # free ones come first, so that the last rows of the factor hold the bounded ones alone
    if n_free < m:
        part[n_free:] = solve_nonnegative(upper[n_free:, n_free:], projected[n_free:])
    if n_free:
        rest = projected[:n_free] - upper[:n_free, n_free:] @ part[n_free:]
        part[:n_free] = _solved(upper[:n_free, :n_free], rest)
    coefficients = np.empty(m)
    coefficients[order] = part
    return coefficients


@dataclass(frozen=True, kw_only=True)
class LinearSolution:
    """Solution of a linear problem: coefficients, those that no bound holds, and the factor of their products.

    `upper` is the Cholesky factor of the products of active columns, each scaled to length one (`scale`).
    """

    coefficients: FloatArray
    active: BoolArray
    scale: FloatArray
    upper: FloatArray

    @classmethod
    def of(cls, gram: FloatArray, right: FloatArray, nonnegative: BoolArray, guess: BoolArray | None) -> LinearSolution:
        """Solve as `solve_linear` does; where the `guess` of the active ones is right, by one factor alone."""
        scale, scaled = _scaled_to_one(gram)
        target = right / scale
        if guess is not None and (found := cls._with_active(scaled, scale, target, nonnegative, guess)) is not None:
            return found
        coefficients = _solved_cold(scaled, target, nonnegative) / scale
        active = ~(nonnegative & (coefficients <= 0.0))
        which = np.flatnonzero(active)
        upper = _upper_factor(_part(scaled, which))
        return cls(coefficients=coefficients, active=active, scale=scale[which], upper=upper)

    @classmethod
    def _with_active(
        cls, scaled: FloatArray, scale: FloatArray, target: FloatArray, nonnegative: BoolArray, active: BoolArray
    ) -> LinearSolution | None:
        """Solution with these active ones, None where it breaks one of the conditions of the minimum."""
        which, held = np.flatnonzero(active), np.flatnonzero(~active)
        if not len(which):
            return None
        upper, part, info = lapack.dposv(_part(scaled, which).T, target[which], lower=0, overwrite_a=1)
        if info != 0 or (part[nonnegative[which]] <= 0.0).any():
            return None
        # what is held at zero must not want to grow
        left = target[held] - scaled.take(held, axis=0).take(which, axis=1) @ part
        if (left > _ROUNDING * float(np.abs(target).max(initial=1e-300))).any():
            return None
        coefficients = np.zeros(len(target))
        coefficients[which] = part / scale[which]
        return cls(coefficients=coefficients, active=active, scale=scale[which], upper=upper)


def _upper_factor(matrix: FloatArray) -> FloatArray:
    """Cholesky factor R, RᵀR = matrix. LAPACK is called directly: SciPy's checks take longer than small factors."""
    if not len(matrix):
        return matrix
    upper, info = lapack.dpotrf(matrix.T, lower=0, clean=1, overwrite_a=1)
    if info != 0:
        raise np.linalg.LinAlgError("the normal matrix is not positive definite")
    return np.asarray(upper)


def _solved(upper: FloatArray, right: FloatArray, *, transposed: bool = False) -> FloatArray:
    """Solution x of R x = right, or of Rᵀ x = right."""
    if not len(right):
        return right
    x, info = lapack.dtrtrs(upper, right, lower=0, trans=int(transposed))
    if info != 0:
        raise np.linalg.LinAlgError("the factor of the normal matrix is singular")
    return np.asarray(x).reshape(right.shape)


def solve_nonnegative(upper: FloatArray, target: FloatArray, *, gram: FloatArray | None = None) -> FloatArray:
    """Least squares |R x − t|² with x ≥ 0, R triangular: block principal pivoting [Portugal, Judice & Vicente 1994].

    All unknowns are free at first, as most of them end, and those that break a condition change sides, all at once or,
    where that does not help, the last one alone, until none does. With `gram`, R transposed times R, the free unknowns
    follow from normal equations: a sixth of the work of an orthogonal factor, for many unknowns kept apart by a ridge.
    """
    m, small = len(target), _ROUNDING * float(np.abs(target).max(initial=1e-300))
    free, fewest, chances = np.ones(m, dtype=bool), m + 1, 3
    right = upper.T @ target
    for _ in range(10 * m):
        x = np.zeros(m)
        if free.any():
            if free.all():
                found, info = lapack.dtrtrs(upper, target, lower=0)
            elif gram is not None:
                _, found, info = lapack.dposv(gram[np.ix_(free, free)], right[free])
            else:
                _, found, info = lapack.dgels(upper[:, free], target)
            # columns that say the same, or nothing, leave the factor singular
            x[free] = found[: int(free.sum())] if info == 0 else np.linalg.lstsq(upper[:, free], target)[0]
        left = upper.T @ (target - upper @ x) if gram is None else right - gram @ x
        wrong = np.where(free, x < 0.0, left > small)
        count = int(wrong.sum())
        if count == 0:
            return np.asarray(x)
        if count < fewest:
            fewest, chances = count, 3
        elif chances > 0:
            chances -= 1
        else:
            wrong[: int(np.flatnonzero(wrong)[-1])] = False
        free ^= wrong
    from scipy import optimize  # a tie that rounding keeps open

    return np.asarray(optimize.nnls(upper, target)[0])


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A minimum: values of the free parameters, coefficients of the columns, and what they were found with."""

    free: FloatArray  # (p,)
    values: dict[str, float]  # of all parameters
    coefficients: FloatArray  # (m,)
    active: BoolArray  # (m,) those that no bound holds at zero
    columns: FloatArray  # (n, m)
    jacobian: FloatArray  # (n, p) in units of the intensity
    linear_prior: FloatArray  # (m,) inverse variances
    parameter_prior: FloatArray  # (p,) inverse variances
    offset: FloatArray  # (p,) free parameters minus their prior means
    cost: float
    lowered: float  # by which this minimisation lowered the cost
    n_iterations: int
    converged: bool

    def value(self, kind: str, phase: str = "", axis: str = "") -> float:
        """Value of a parameter by what it is (see `results.ParameterId`); 0 where there is none."""
        return self.values.get(parameter_name(kind, phase, axis), 0.0)

    @cached_property
    def calculated(self) -> FloatArray:
        """The whole pattern, (n,)."""
        out: FloatArray = self.columns @ self.coefficients
        return out

    @property
    def n_free(self) -> int:
        """Number of coefficients that no bound holds and of free parameters."""
        return int(self.active.sum()) + len(self.free)

    def residual(self, points: Points) -> FloatArray:
        """(observed − calculated) / sigma on the points of the minimisation, (n,)."""
        return (points.intensity - self.calculated) / points.sigma


@dataclass(frozen=True, kw_only=True)
class _State:
    """The linear solution at given non-linear parameters."""

    values: dict[str, float]
    moving: FloatArray  # (n, phases) columns over sigma
    gram: FloatArray  # of all columns, without priors
    prior: FloatArray  # inverse variances of the coefficients
    linear: LinearSolution
    residual: FloatArray  # over sigma
    jacobian: FloatArray  # over sigma, (n, p)
    cost: float


class LeastSquares:
    """Model, points and products that stay the same during one minimisation.

    `like` is one with the same points; its products of the fixed columns are taken over where these are the same.
    """

    def __init__(
        self, model: PatternModel, table: ParameterTable, points: Points, like: LeastSquares | None = None
    ) -> None:
        self.model, self.table = model, table
        self.inv_sigma = 1.0 / points.sigma
        self.weighted_y = points.intensity / points.sigma
        if like is None:
            self.fixed: FloatArray = model.fixed * self.inv_sigma[:, None]
            self.fixed_gram: FloatArray = self.fixed.T @ self.fixed
            self.fixed_right: FloatArray = self.fixed.T @ self.weighted_y
        else:
            self.fixed, self.fixed_gram, self.fixed_right = self._taken_over(like)
        columns = model.columns
        self.nonnegative = model.nonnegative
        index = {c.name: i for i, c in enumerate(columns)}
        self.parent = np.array([index.get(c.parent, -1) for c in columns])
        self.relative_std = np.array([c.relative_std for c in columns])
        self.shared = np.array([c.parent == ALL_AMORPHOUS for c in columns])
        self.is_amorphous, self.is_amount = model.of_kind("amorphous"), model.of_kind("phase", "amorphous")
        std = np.array([c.prior_std for c in columns])
        self.own_precision = 1.0 / np.where(std > 0, std, 1.0) ** 2
        self.without_modes = np.flatnonzero((self.parent < 0) & ~self.shared)
        free = table.free
        self.mean = np.array([item.prior_mean for item in free])
        self.precision = np.array([item.prior_std**-2 for item in free])
        self.low, self.high = (np.array([getattr(i, end) for i in free]) for end in ("low", "high"))
        # without ties the slopes of the free parameters are the Jacobian; else those of all, combined
        names = table.names if table.ties is not None else tuple(item.name for item in free)
        self.rows = {name: i for i, name in enumerate(names)}

    def linear_prior(self, coefficients: FloatArray) -> FloatArray:
        """Inverse variances of the linear coefficients' priors.

        The prior of a mode is in units of its parent's amount, which is itself a coefficient: it is taken from a
        solution and then kept, so that the problem stays linear.
        """
        precision = self.own_precision.copy()
        has_parent = self.parent >= 0
        if has_parent.any():
            amounts = np.abs(coefficients)
            floor = _MODE_FLOOR * max(float(amounts[self.is_amount].max()), 1e-30)
            scale = np.maximum(amounts[self.parent[has_parent]], floor) * self.relative_std[has_parent]
            precision[has_parent] = scale**-2
            precision[self.shared] = max(float(amounts[self.is_amorphous].sum()), floor) ** -2
        return precision

    def _taken_over(self, like: LeastSquares) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Fixed columns over sigma and their products from those of other columns, few of which differ."""
        theirs, own = like.model.fixed, self.model.fixed
        if theirs is own:
            return like.fixed, like.fixed_gram, like.fixed_right
        new = np.flatnonzero((theirs != own).any(axis=0))
        fixed, gram, right = like.fixed.copy(order="K"), like.fixed_gram.copy(), like.fixed_right.copy()
        fixed[:, new] = own[:, new] * self.inv_sigma[:, None]
        gram[new] = fixed[:, new].T @ fixed
        gram[:, new] = gram[new].T
        right[new] = fixed[:, new].T @ self.weighted_y
        return fixed, gram, right

    def state(self, free: FloatArray, before: _State | None = None, *, slopes: bool = True) -> _State:
        """Solve the linear part at given non-linear parameters; without slopes the Jacobian stays zero.

        Priors of the coefficients are those of the state `before`. Without one it is solved twice: without modes, then
        with priors in units of the amounts found.
        """
        values = self.table.values(free)
        bases, derivatives = self.model.evaluate(values, self.table.needed if slopes else frozenset())
        moving = bases * self.inv_sigma[:, None]
        k, m = moving.shape[1], len(self.nonnegative)
        gram = np.empty((m, m))
        gram[:k, :k], gram[k:, k:] = moving.T @ moving, self.fixed_gram
        gram[:k, k:] = moving.T @ self.fixed
        gram[k:, :k] = gram[:k, k:].T
        linear, prior, residual = self._linear(moving, gram, before)
        c = linear.coefficients
        # changes of the pattern by the parameters over sigma at fixed coefficients, (p, n)
        changes = np.zeros((len(self.rows), len(self.weighted_y)))
        for amount, own in zip(c, derivatives, strict=False):
            weight = amount * self.inv_sigma
            for name, column in own.items():
                changes[self.rows[name]] += weight * column
        jacobian = changes if self.table.ties is None else np.asarray(self.table.ties.T @ changes)
        return _State(
            values=values,
            moving=moving,
            gram=gram,
            prior=prior,
            linear=linear,
            residual=residual,
            jacobian=jacobian.T,
            cost=self._cost(residual, prior, c, free),
        )

    def _linear(
        self, moving: FloatArray, gram: FloatArray, before: _State | None
    ) -> tuple[LinearSolution, FloatArray, FloatArray]:
        """Linear solution, inverse variances of the coefficients' priors, and residual over sigma."""
        right = np.concatenate([moving.T @ self.weighted_y, self.fixed_right])
        if before is None:
            # modes are in units of amounts: held at zero until those are known
            plain = self.without_modes
            rough = _part(gram, plain)
            _diagonal(rough)[:] += self.own_precision[plain]
            amounts = np.zeros(len(right))
            amounts[plain] = solve_linear(rough, right[plain], self.nonnegative[plain])
            prior, guess = self.linear_prior(amounts), ~(self.nonnegative & (amounts <= 0.0))
        else:
            prior, guess = before.prior, before.linear.active
        normal = gram.copy()
        _diagonal(normal)[:] += prior
        linear = LinearSolution.of(normal, right, self.nonnegative, guess)
        c, n_moving = linear.coefficients, moving.shape[1]
        return linear, prior, self.weighted_y - moving @ c[:n_moving] - self.fixed @ c[n_moving:]

    def _cost(self, residual: FloatArray, prior: FloatArray, c: FloatArray, free: FloatArray) -> float:
        return float(residual @ residual + prior @ c**2 + self.precision @ (free - self.mean) ** 2)

    def with_own_priors(self, state: _State, free: FloatArray) -> _State:
        """Take the priors of modes from the amounts that are found here, instead of those where it began."""
        linear, prior, residual = self._linear(state.moving, state.gram, None)
        cost = self._cost(residual, prior, linear.coefficients, free)
        return replace(state, prior=prior, linear=linear, residual=residual, cost=cost)

    def normal(self, state: _State, free: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gauss-Newton Hessian and gradient of the free parameters, linear coefficients eliminated (Schur complement).

        Coefficients that their bound holds do not answer to the parameters and stay out of the elimination.
        """
        jacobian, linear = state.jacobian, state.linear
        cross = np.concatenate([state.moving.T @ jacobian, self.fixed.T @ jacobian])[linear.active]
        projected = _solved(linear.upper, cross / linear.scale[:, None], transposed=True)
        hessian = jacobian.T @ jacobian - projected.T @ projected
        _diagonal(hessian)[:] += self.precision
        gradient = jacobian.T @ state.residual - self.precision * (free - self.mean)
        return hessian, gradient

    def step(
        self, hessian: FloatArray, gradient: FloatArray, free: FloatArray, damping: float
    ) -> tuple[FloatArray, float]:
        """Free parameters after a Levenberg-Marquardt step, and by how much it would lower the cost.

        Parameters at a limit that the gradient pushes against are frozen. Those that the step would carry beyond a
        limit go there, and the step of the others is solved anew with them, until none is beyond: cutting the step off
        would leave the others where they only made sense with it, and a descent along a limit would crawl.
        """
        keep = ((free > self.low) | (gradient >= 0)) & ((free < self.high) | (gradient <= 0))
        damped = hessian.copy()
        _diagonal(damped)[:] *= 1.0 + damping + 1e-14
        step = np.zeros_like(free)
        while keep.any():
            if keep.all():
                step[:] = np.linalg.solve(damped, gradient)
            else:
                pushed = gradient[keep] - damped[np.ix_(keep, ~keep)] @ step[~keep]
                step[keep] = np.linalg.solve(damped[np.ix_(keep, keep)], pushed)
            moved = free + step
            beyond = keep & ((moved < self.low) | (moved > self.high))
            if not beyond.any():
                break
            step[beyond] = (self._inside(moved) - free)[beyond]
            keep &= ~beyond
        promise = 2.0 * gradient @ step - step @ hessian @ step
        return self._inside(free + step), float(promise)

    def _inside(self, free: FloatArray) -> FloatArray:
        return np.asarray(np.minimum(np.maximum(free, self.low), self.high))

    def solution(
        self, state: _State, free: FloatArray, n_iterations: int, *, converged: bool, lowered: float = 0.0
    ) -> Solution:
        """Bundle a state as the result of a minimisation."""
        return Solution(
            free=free,
            values=state.values,
            coefficients=state.linear.coefficients,
            active=state.linear.active,
            columns=np.concatenate([state.moving / self.inv_sigma[:, None], self.model.fixed], axis=1),
            jacobian=state.jacobian / self.inv_sigma[:, None],
            linear_prior=state.prior,
            parameter_prior=self.precision,
            offset=free - self.mean,
            cost=state.cost,
            lowered=lowered,
            n_iterations=n_iterations,
            converged=converged,
        )


def _second_order(
    missing: FloatArray, hessian: FloatArray, change: FloatArray, moved: FloatArray, *, overshot: bool = False
) -> FloatArray:
    """What the Gauss-Newton Hessian has too much of, or too little, from how a step changed the gradient.

    Near a minimum the linearised problem is wrong by the curvature of the pattern times the residual, along weakly
    determined directions by factors: the same step, a third of what is needed, is then made again and again. The
    symmetric update of rank one [as in Dennis, Gay & Welsch 1981 ACM Trans. Math. Softw. 7, 348] mends the direction
    that was just taken. Less curvature makes steps longer and the end of a run later; none is learned that would leave
    next to nothing. More is learned of a step that `overshot` alone: else the next leads back nearly as far, and so on.
    """
    scale = np.sqrt(np.diag(hessian))
    wrong, step = (change - (hessian + missing) @ moved) / scale, moved * scale
    seen, left = float(wrong @ step), float(change @ moved)
    clear = _LEARNED * float(np.linalg.norm(wrong) * np.linalg.norm(step))
    if (seen < clear if overshot else seen > -clear) or left < _LEFT * (left - seen):
        return missing
    return missing + np.outer(wrong * scale, wrong * scale) / seen


def minimize(  # noqa: PLR0913 - one keyword for each way to end
    model: PatternModel,
    table: ParameterTable,
    points: Points,
    *,
    max_iterations: int = 40,
    tolerance: float = 1e-5,
    distance: float = 0.0,
    damping: float = 1e-3,
    own_priors: bool = False,
    bare: bool = False,
    hopeless: float = np.inf,
    like: LeastSquares | None = None,
) -> Solution:
    """Minimise Σ ((y − Φ(θ)c)/σ)² + priors over c and θ.

    It stops when a step lowers the sum of squares by less than the share `tolerance` of it, or promises a hundredth of
    that; with a `distance` when it promises less than that many standard deviations of the parameters, squared, misfit
    counted in (a share of the sum of squares grows with the number of points, a distance does not). `damping` is that
    of the first step, larger where the start is far away. With `own_priors` those of modes are taken anew at the end,
    from the amounts found. ``converged`` is False where the iteration limit was reached first. A last step of less than
    a tenth of a standard deviation that brings what it promised keeps the derivatives from where it began. `like` is as
    in `LeastSquares`.

    A `bare` solution, from which another minimisation goes on, has no Jacobian of its own: it ends as well where a step
    lowers the sum of squares by what an undamped one promised, to within `tolerance`; as little is then left. A fit
    that would remain above a sum of squares of `hopeless` is left where it is.
    """
    problem = LeastSquares(model, table, points, like)
    free = np.array([item.value for item in table.free])
    state = problem.state(free)
    converged, iteration, rejected, first = False, 0, False, state.cost
    if len(free) == 0:
        return problem.solution(state, free, 0, converged=True)
    hessian, gradient = problem.normal(state, free)
    missing = np.zeros_like(hessian)
    while iteration < max_iterations:
        iteration += 1
        trial_free, promise = problem.step(hessian + missing, gradient, free, damping)
        # the sum of squares lies `promise` above its minimum where the problem is linear: its root is in sigmas
        enough = distance**2 * max(1.0, state.cost / len(points)) if distance else _NEGLIGIBLE * tolerance * state.cost
        if promise < enough or state.cost - _MORE_THAN_PROMISED * promise > hopeless:
            converged = promise < enough
            break
        little = enough if distance else tolerance * max(state.cost, 1e-300)
        # derivatives are half of the work: after a failure the next trial does without, until it is accepted, and where
        # no solution needs them one that may be the last
        last = distance > 0.0 and promise < _SAME_SLOPES**2 * max(1.0, state.cost / len(points))
        without = rejected or last or (bare and promise < _SURE_OF_PROMISE * little)
        trial = problem.state(trial_free, state, slopes=not without)
        if trial.cost < state.cost:
            gain = state.cost - trial.cost
            if bare and abs(problem.step(hessian + missing, gradient, free, 0.0)[1] - gain) < little:
                free, state, converged = trial_free, trial, True
                break
            if last and abs(gain - promise) < _AS_PROMISED * promise:
                free, state, converged = trial_free, replace(trial, jacobian=state.jacobian), True
                break
            if without:
                trial = problem.state(trial_free, state)
            # a step that keeps its promise asks for a bolder one, one that brings a fraction of it for a shorter one
            damping = max(damping * _AFTER_PROMISE[int(np.digitize(gain / promise, _KEPT))], 1e-9)
            moved, free, state, rejected = trial_free - free, trial_free, trial, False
            # a small gain is the end only where no more was promised: else the problem is far from linear here
            if gain < little and promise < _BROKEN_PROMISE * little:
                converged = True
                break
            before = gradient
            hessian, gradient = problem.normal(state, free)
            near = distance > 0.0 and promise < max(1.0, state.cost / len(points))  # within a standard deviation
            overshot = distance > 0.0 and gain < _OVERSHOT * promise
            if near or overshot:
                missing = _second_order(missing, hessian, before - gradient, moved, overshot=overshot)
            else:
                missing = np.zeros_like(hessian)
        else:
            missing = np.zeros_like(hessian)
            damping, rejected = max(damping * 8.0, _LEAST_DAMPING_AFTER_FAILURE), True
    if own_priors:
        state = problem.with_own_priors(state, free)
    return problem.solution(state, free, iteration, converged=converged, lowered=first - state.cost)


def minimize_lmfit(model: PatternModel, table: ParameterTable, points: Points) -> Solution:
    """Minimise as `minimize` does, but by lmfit's Levenberg-Marquardt with numerical derivatives.

    Linear coefficients are solved inside the residual; priors are rows of it. Slow: every derivative costs one
    evaluation of the pattern. It exists to check the fast solver.
    """
    import lmfit

    problem = LeastSquares(model, table, points)
    start = problem.state(np.array([item.value for item in table.free]))
    params = lmfit.Parameters()
    for item in table.free:
        value = float(np.clip(item.value, item.low + 1e-9 * item.prior_std, item.high - 1e-9 * item.prior_std))
        params.add(item.name, value=value, min=item.low, max=item.high)

    def residual(p: Any) -> FloatArray:
        free = np.array([p[item.name].value for item in table.free])
        state = problem.state(free, start)
        rows = np.sqrt(problem.precision) * (free - problem.mean)
        return np.concatenate([state.residual, np.sqrt(start.prior) * state.linear.coefficients, rows])

    result = lmfit.minimize(residual, params, method="leastsq", max_nfev=4000, calc_covar=False)
    free = np.array([result.params[item.name].value for item in table.free])
    state = problem.state(free, start)
    return problem.solution(state, free, int(result.nfev), converged=bool(result.success))


def minimizer_result(fit: FitResult) -> lmfit.minimizer.MinimizerResult:
    """Return a fit as lmfit's MinimizerResult: prints with ``lmfit.fit_report``, knows stderr and correl.

    Standard errors include the inflation by misfit, as those of ``fit.parameters``.
    """
    import lmfit

    params = lmfit.Parameters()
    for name, estimate in fit.parameters.items():
        params.add(name, value=estimate.value, vary=estimate.std is not None)
        params[name].stderr = estimate.std
    std = np.sqrt(np.maximum(np.diag(fit.covariance), 1e-300))
    for name, row in zip(fit.covariance_names, fit.covariance / np.outer(std, std), strict=True):
        others = zip(fit.covariance_names, row.tolist(), strict=True)
        params[name].correl = {other: value for other, value in others if other != name}
    weighted = (fit.observed - fit.calculated) / fit.sigma
    chisqr, n, k = float(weighted @ weighted), len(weighted), fit.n_parameters
    return lmfit.minimizer.MinimizerResult(
        params=params,
        residual=weighted,
        var_names=list(fit.covariance_names),
        covar=np.array(fit.covariance),
        success=fit.converged,
        errorbars=True,
        method="variable projection",
        nfev=fit.n_iterations,
        ndata=n,
        nvarys=len(fit.covariance_names),
        nfree=n - k,
        chisqr=chisqr,
        redchi=chisqr / max(n - k, 1),
        aic=n * np.log(chisqr / n) + 2 * k,
        bic=n * np.log(chisqr / n) + np.log(n) * k,
        init_values={},
        message="",
        ier=1,
        lmdif_message="",
        aborted=False,
    )
