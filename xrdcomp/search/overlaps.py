"""Weigh phases by their free reflections where crystals of no list outweigh them.

Crowded reflections of unknown crystals lie under those of a phase, and everything that bends its intensities makes up
for them: texture, displacement parameters, small sizes. Least squares then gives the phase whatever lies under its
strongest reflections. But what lies there only ever adds. So such a phase keeps one size, what is broader
than its reflections is fitted beside them by maxima that are not negative, each group of its reflections gets an amount
of its own, and the phase has the amount that these agree on with an excess in some of them: a chance and a distribution
of heights that the unknown reflections elsewhere in the pattern tell. The excess is taken off, as they are, and the fit
repeated with what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from xrdcomp.refinement.refine import Refinement, group_columns
from xrdcomp.refinement.reflections import bin_means
from xrdcomp.refinement.solver import solve_nonnegative
from xrdcomp.search.nuisance import separate_peaks
from xrdcomp.units import BoolArray, FloatArray

if TYPE_CHECKING:
    from scipy import sparse

_SMALLEST_NM = 30.0  # of crystals whose reflections are told from broad maxima
_BROAD = 3.0  # widths of the phase's reflections that those maxima have at least
_POINTS = 6.0  # to a reflection's width, which is as many as amounts need
_APART = 0.5  # of their width between two of them
_ROUNDS = 2  # of taking off and refining: widths follow what is left
_WEAKEST = 0.02  # of a phase's highest group of reflections
_MOST = 16  # groups of a phase
_GRAIN_STD = 0.15  # relative, of one group's intensity: texture and grains of minor phases
_REACH = 1.5  # widths about a reflection in which another one is taken for it
_UNDETECTED = 2.0  # as many unknown reflections again escape between the others
_MOST_LIKELY = 0.6  # chance of an overlap in the most crowded pattern
_SEEN = 0.3  # of a group's squared curve, that must not be under masked points
_RANGE = (0.02, 4.0)  # of the fitted amount
_CLEAR = 4.0  # standard deviations of a maximum
_MOST_SHARP = 60
_MOST_BROAD = 400  # maxima, which a wide scan with narrow reflections would have thousands of
_SUPPORT = 3.0  # widths to either side, where 1e-11 of a maximum is left
_RIDGE = 1e-5  # of a column's norm: settles columns that say the same, far above rounding of the normal equations
_ANYWHERE = 3.0**-0.5  # standard deviation of a quantity anywhere between 0 and 1, about 0
_FAINT = 0.2  # of the mean height, of the fainter half of unknown reflections


class _Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of reflections of one phase: curves per gram (n, groups), their places, heights, widths (degrees)."""

    columns: FloatArray
    place: FloatArray
    height: FloatArray
    fwhm: float


def weigh_beside(fit: Refinement, heights: Sequence[float]) -> Refinement:
    """Refine phases that unknown crystals outweigh by their free reflections; the same fit where there are none.

    `heights` are those of the unknown reflections. Fits with broad reflections are left as they are: they are not told
    from crowds of others.
    """
    light = _outweighed(fit) if heights else []
    if not light:
        return fit
    points = fit.points
    out = fit.with_size_alone(light)
    for _ in range(_ROUNDS):
        unknown, _ = _unknown_curve(out, light, np.asarray(heights, dtype=np.float64))
        out = replace(out, points=points.without(unknown)).again()
    weighed = _unknown_curve(out, light, np.asarray(heights, dtype=np.float64))[1]
    # broad maxima take of the feet of a phase that is not weighed apart: its amount is anything from this one to that
    # of the fit without them
    before, after = (f.solution.coefficients for f in (fit, out))
    for k, phase in enumerate(fit.phases):
        if phase.id not in light and after[k] > 0.0:
            weighed[phase.id] = 1.0, float(abs(before[k] / after[k] - 1.0)) * _ANYWHERE
    return replace(out, weighed=weighed)


def _outweighed(fit: Refinement) -> list[str]:
    """Phases with less Bragg area than the unknown crystals, by id; none where one has broad reflections."""
    points, solution = fit.points, fit.solution
    unknown = float(np.where(points.masked, points.intensity - solution.calculated, 0.0).sum())
    out = []
    for k, phase in enumerate(fit.phases):
        sizes = [fit.solution.value("inverse_size", phase.id, axis) for axis in "ac"]
        if max(sizes) * _SMALLEST_NM > 1.0:
            return []
        area = float(solution.columns[:, k].sum() * solution.coefficients[k])
        if 0.0 < area < unknown:
            out.append(phase.id)
    return out


def _groups(fit: Refinement, index: int) -> _Groups:
    """Strongest groups of reflections of a phase; what lies within a width of one belongs to it."""
    x, step = fit.points.two_theta, fit.points.step
    columns = group_columns(fit.model, index, fit.solution.values).columns
    height, place = columns.max(axis=0, initial=0.0), x[columns.argmax(axis=0)]
    left, fwhm = height > 0.0, 0.0
    members: list[BoolArray] = []
    for j in np.argsort(height)[::-1]:
        if not left[j] or height[j] < _WEAKEST * height.max() or len(members) == _MOST:
            continue
        width = max(float((columns[:, j] > 0.5 * height[j]).sum()), 2.0) * step
        fwhm = fwhm or width
        near = left & (np.abs(place - place[j]) < width)
        left &= ~near
        members.append(near)
    sums = np.stack([columns[:, near].sum(axis=1) for near in members], axis=1)
    return _Groups(columns=sums, place=x[sums.argmax(axis=0)], height=sums.max(axis=0), fwhm=fwhm)


def _unknown_curve(
    fit: Refinement, light: Sequence[str], heights: FloatArray
) -> tuple[FloatArray, dict[str, tuple[float, float]]]:
    """Curve of the unknown crystals beside the phases, (n,), and what phases have of their fitted amounts, with std.

    The curve is 0 where points are masked.
    """
    from scipy import sparse

    points, solution, n_phases = fit.points, fit.solution, len(fit.phases)
    x, sigma, seen = points.two_theta, points.sigma, ~points.masked
    groups = {k: _groups(fit, k) for k, phase in enumerate(fit.phases) if phase.id in light}
    own = np.concatenate([item.columns for item in groups.values()], axis=1)
    # reflections of no group and what crystals scatter between them, and all else that the fit has
    rest = solution.columns.copy()
    for k, item in groups.items():
        rest[:, k] -= item.columns.sum(axis=1)
    signed = np.append(np.zeros(n_phases, dtype=bool), ~fit.model.nonnegative[n_phases:])
    prior = np.concatenate([np.zeros(own.shape[1]), solution.linear_prior, solution.linear_prior[signed]])
    prior[own.shape[1] : own.shape[1] + n_phases] = 0.0
    described = np.concatenate([own, rest, -rest[:, signed]], axis=1)
    fwhm = max(item.fwhm for item in groups.values())
    per_bin = max(1, int(fwhm / (_POINTS * points.step)))
    width = max(_BROAD * fwhm, float(np.ptp(x)) / (_APART * _MOST_BROAD))
    broad = _maxima(x, np.arange(x[0], x[-1], _APART * width), width)
    mean = _FAINT * float(heights.mean())
    solve = partial(_System.of, described, prior, y=points.measured, sigma=sigma, mean=mean, per_bin=per_bin)
    system = solve(broad)
    # sharp reflections of something else that the search's mask left out
    left = np.where(seen, points.measured - system.curve, 0.0)
    more = _sharp(x, left, points.own_sigma, fwhm, np.concatenate([item.place for item in groups.values()]))
    if len(more):
        broad = sparse.hstack([broad, _maxima(x, more, fwhm)], format="csc")
        system = solve(broad)
    n = described.shape[1]
    std = system.std(own.shape[1], seen)
    unknown = broad @ system.values[n:]
    weighed, first = dict[str, tuple[float, float]](), 0
    for k, item in groups.items():
        mine = slice(first, first + len(item.place))
        first += len(item.place)
        c = float(solution.coefficients[k])
        if c <= 0.0:
            continue
        # what is mostly under masked points says nothing
        bare = (item.columns[seen] ** 2).sum(axis=0) > _SEEN * (item.columns**2).sum(axis=0)
        own_std = np.where(bare, std[mine], np.inf) / c
        amount, error, excess = _agreed(item, system.values[mine] / c, own_std, heights / c, float(np.ptp(x)))
        weighed[fit.phases[k].id] = amount, error / amount
        unknown = unknown + item.columns @ (c * excess)
    return np.where(seen, unknown, 0.0), weighed


def _maxima(x: FloatArray, places: FloatArray, fwhm: float) -> sparse.csc_array:
    """Maxima of unit height at some places, (n, places), as far as three widths."""
    from scipy import sparse

    first, last = (np.searchsorted(x, places + side * _SUPPORT * fwhm) for side in (-1.0, 1.0))
    ends = np.concatenate([[0], np.cumsum(last - first)])
    rows = np.arange(ends[-1]) + np.repeat(first - ends[:-1], last - first)
    away = (x[rows] - np.repeat(places, last - first)) / fwhm
    return sparse.csc_array((np.exp(-4.0 * np.log(2.0) * away**2), rows, ends), shape=(len(x), len(places)))


def _sharp(x: FloatArray, left: FloatArray, sigma: FloatArray, fwhm: float, taken: FloatArray) -> FloatArray:
    """Places of sharp maxima in what is left, none within a width of places that are taken."""
    shape = _maxima(x, np.array([x[len(x) // 2]]), fwhm).data
    shape = shape[shape > 0.01]
    height = np.convolve(left, shape, mode="same") / float((shape**2).sum())
    clear = height > _CLEAR * np.sqrt(np.convolve(sigma**2, shape**2, mode="same")) / float((shape**2).sum())
    free = (np.abs(x[:, None] - taken) > fwhm).all(axis=1)
    return np.asarray(x[separate_peaks(x, np.where(clear & free, height, 0.0), distance=fwhm, most=_MOST_SHARP)])


class _System(msgspec.Struct, frozen=True, kw_only=True):
    """Non-negative least squares of what is described and of unknown maxima; the latter cost what they are high.

    values : (columns,) coefficients; curve : (n,) their sum; upper : (columns, columns) root of the information, for
    columns scaled by `norm`; misfit : (n,) residual over sigma
    """

    values: FloatArray
    curve: FloatArray
    upper: FloatArray
    norm: FloatArray
    misfit: FloatArray

    @classmethod
    def of(
        cls,
        described: FloatArray,
        prior: FloatArray,
        maxima: sparse.csc_array,
        y: FloatArray,
        sigma: FloatArray,
        mean: float,
        *,
        per_bin: int,
    ) -> _System:
        """Solve it on bins of so many points.

        `prior` are inverse variances of what is described, `mean` that of the heights of maxima.
        """
        from scipy import sparse

        n, m = len(y) // per_bin, described.shape[1]
        error = np.sqrt(bin_means(sigma**2, n) / per_bin)
        columns = bin_means(described, n) / error[:, None]
        # maxima are short: their bins are summed, and multiplied, where they are
        entry = maxima.tocoo()
        row, inside = entry.row // per_bin, entry.row < n * per_bin
        short = sparse.csc_array(
            ((entry.data / error[np.minimum(row, n - 1)] / per_bin)[inside], (row[inside], entry.col[inside])),
            shape=(n, maxima.shape[1]),
        )  # fmt: skip
        beside = short.T @ columns
        gram = np.block([[columns.T @ columns, beside.T], [beside, (short.T @ short).toarray()]])
        norm = np.sqrt(np.diag(gram)) + 1e-30
        norm[norm < 1e-3 * np.median(norm)] = np.inf  # beneath masked points
        ridge = np.append(np.sqrt(prior), np.zeros(maxima.shape[1])) / norm + _RIDGE
        gram /= np.outer(norm, norm)
        gram[np.diag_indices_from(gram)] += ridge**2
        upper: FloatArray = np.asarray(np.linalg.cholesky(gram).T)
        cost = np.append(np.zeros(m), np.full(maxima.shape[1], 1.0 / mean))
        normal = bin_means(y, n) / error
        right = (np.append(columns.T @ normal, np.asarray(short.T @ normal)) - cost) / norm
        found = solve_nonnegative(upper, np.linalg.solve(upper.T, right), gram=gram) / norm
        curve = described @ found[:m] + maxima @ found[m:]
        return cls(values=found, curve=curve, upper=upper, norm=norm, misfit=(y - curve) / sigma)

    def std(self, n: int, seen: BoolArray) -> FloatArray:
        """Standard deviations of the first `n` coefficients, misfit counted in."""
        active = self.values > 0.0
        active[:n] = np.isfinite(self.norm[:n])
        misfit = self.misfit[seen]
        inflation = max(1.0, float(misfit @ misfit) / max(len(misfit) - int(active.sum()), 1))
        out = np.full(len(self.values), np.inf)
        root = self.upper[:, active]
        own = np.diag(np.linalg.pinv(root.T @ root))
        # what rounding leaves of a column without information
        out[active] = np.sqrt(inflation * np.where(own > 0.0, own, np.inf)) / self.norm[active]
        return out[:n]


def _agreed(
    item: _Groups, values: FloatArray, std: FloatArray, heights: FloatArray, span: float
) -> tuple[float, float, FloatArray]:
    """Share of the fitted amount that groups agree on, its standard deviation, and the excess of each, (groups,).

    Each of their `values` (with `std`) is that share, changed by grains, or has an excess as well, distributed
    exponentially with the mean of the unknown reflections' heights, or of the fainter ones that escape.
    """
    from scipy.special import log_ndtr

    chance = 1.0 - np.exp(-len(heights) / span * _REACH * item.fwhm)
    chance = min(_UNDETECTED * chance, _MOST_LIKELY)
    known = np.isfinite(std)
    if not known.any():
        return 1.0, 1.0, np.zeros(len(values))
    height, value, error = item.height[known], values[known], std[known]
    amounts = np.geomspace(*_RANGE, 600)
    scatter = np.hypot(error, _GRAIN_STD * amounts[:, None])
    away = value - amounts[:, None]
    alone = -0.5 * (away / scatter) ** 2 - np.log(scatter) - 0.5 * np.log(2.0 * np.pi)
    above = np.full_like(alone, -np.inf)
    for mean in (float(heights.mean()), _FAINT * float(heights.mean())):
        tau = mean / height
        each = -np.log(tau) + 0.5 * (scatter / tau) ** 2 - away / tau + log_ndtr(away / scatter - scatter / tau)
        above = np.logaddexp(above, each - np.log(2.0))
    both = np.logaddexp(np.log1p(-chance) + alone, np.log(chance) + above)
    log = both.sum(axis=1)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    amount = float(weight @ amounts)
    deviation = float(np.sqrt(weight @ (amounts - amount) ** 2))
    overlapped = weight @ np.exp(np.log(chance) + above - both)
    excess = np.zeros(len(values))
    excess[known] = overlapped * np.maximum(value - amount, 0.0)
    return amount, deviation, excess
