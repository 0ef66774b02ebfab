"""Exact posterior of the joint model by importance sampling.

For fixed constants the evidence is linear and Gaussian in the composition, so the composition can be drawn
from a Gaussian truncated to the simplex, one coordinate after the other in an order in which every bound is
known when it is needed: A, w, c, o, z, u; h is the rest. (Sequential truncation:
Geweke 1991; Hajivassiliou, McFadden & Ruud 1996.) The constants are drawn from a Student distribution around
the constrained optimum, cut to their limits alike, which learns from a pilot batch (Cappé et al. 2004). All draws
are those of points of a lattice, shifted at random, which fill the unit cube more evenly than random ones do. Weights
are target over proposal, hence the sample is exact whatever the proposal; its quality is the effective sample size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec
import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

from xrdcomp.composition import priors
from xrdcomp.composition.evidence import AMORPHOUS, CARBONATE, ORGANIC, OTHER, PARTS, UNSEEN, WATER, XRD_ROWS, H
from xrdcomp.composition.model import JointModel
from xrdcomp.units import CO2_PER_CARBONATE, BoolArray, FloatArray

_ORDER = (AMORPHOUS, WATER, CARBONATE, ORGANIC, OTHER, UNSEEN)
"""Order in which coordinates are drawn; h, or the last one that is there, is what is left.

Amorphous mineral comes first: it is bound to be near zero more often than others, and what it has of the losses moves
water and organic matter, which are not near their bounds.
"""
_ORDER_WITHOUT_PATTERN = (WATER, CARBONATE, ORGANIC, OTHER, UNSEEN, AMORPHOUS)
"""The same by thermogravimetry alone, which weighs what leaves and not what stays amorphous."""
_ORDER_ASSUMED = (WATER, ORGANIC, OTHER, UNSEEN, CARBONATE, AMORPHOUS)
"""The same where the carbonate is assumed: a share of what is left to it, which is the phosphate."""
_DOF = 15.0
"""Degrees of freedom of the Student distribution of the constants: tails heavier than any target's."""
_RIDGE = 0.05
"""Weight of the weak normal term of the proposal in directions that the evidence leaves open."""
_WIDER = 1.3
"""Standard deviation of an assumed carbonate in the proposal, over that of its prior."""
_NEAR_FLOOR, _CUT_SHARE = 5.0, 0.25
"""How many floors of a sparse prior the draws reach that are cut to where it is high, and how many draws these are."""
_ENOUGH, _MOST = 0.15, 4
"""Effective draws, over those wanted, with which a batch is content, and draws of the largest batch, over them."""
_PILOT = 512
"""Draws of a batch from which the proposal learns, a power of two."""
_PER_CONSTANT, _SHAPING = 5, 60
"""Effective draws for each constant, below which there is another such batch, and those that moments are taken from."""
_LEAST = 0.25
"""Share of the draws, those with the least amorphous mineral, that a model without any learns its constants from."""
_SPARE, _STEP = 1.5, 400
"""Draws of a model beside another one: so many times its share of all, in steps of so many.

One more or less would change every draw, and the last digits of a share differ between processors.
"""


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Equally weighted draws of composition (n, 7) and constants (n, p), in the order of the model's priors.

    `mode_composition` (7,) is the constrained optimum, `chi_square` the weighted squared residual there, priors of the
    constants included. `effective_size` is the effective number of independent draws before resampling,
    `log_evidence` the logarithm of the marginal likelihood, up to a constant that is common to models of the same
    evidence. `no_amorphous_probability` is that of no amorphous mineral at all (None where it was not asked),
    `no_amorphous_prior` the same before measuring.
    """

    composition: FloatArray
    constants: FloatArray
    mode_composition: FloatArray
    chi_square: float
    effective_size: float
    log_evidence: float = 0.0
    no_amorphous_probability: float | None = None
    no_amorphous_prior: float = 0.0


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Draws of the proposal with their importance weights, which sum to one."""

    constants: FloatArray
    composition: FloatArray
    weights: FloatArray
    log_evidence: float

    @property
    def effective_size(self) -> float:
        """Number of independent draws that are worth as much."""
        return float(1.0 / (self.weights**2).sum())


class Optimum(msgspec.Struct, frozen=True, kw_only=True):
    """Constrained optimum, and the covariance (p, p) of the Gaussian of the constants around it."""

    composition: FloatArray
    constants: FloatArray
    covariance: FloatArray
    chi_square: float

    def at(self, coordinates: _Coordinates) -> FloatArray:
        """Fractions that are drawn, then the constants."""
        return np.concatenate([self.composition[list(coordinates.free)], self.constants])


class _Coordinates(msgspec.Struct, frozen=True, kw_only=True):
    """Fractions that are drawn, and the one that is the rest; absent ones are zero."""

    free: tuple[int, ...]
    rest: int

    @classmethod
    def of(cls, model: JointModel) -> _Coordinates:
        there = [i for i in range(len(PARTS)) if i not in model.absent]
        rest = next(i for i in (H, AMORPHOUS, ORGANIC, OTHER, UNSEEN) if i in there)
        weighed = _ORDER_WITHOUT_PATTERN if model.xrd is None else _ORDER
        order = _ORDER_ASSUMED if model.carbonate_is_assumed else weighed
        return cls(free=tuple(i for i in order if i in there and i != rest), rest=rest)

    def start(self, model: JointModel) -> FloatArray:
        """A composition read off the evidence, then the constants at their prior means."""
        x = np.full(len(PARTS), 0.01)
        x[UNSEEN] *= UNSEEN not in model.absent
        xrd, thermal = model.xrd, model.thermal
        if xrd is not None:
            # the standard is not in x
            for row, index in zip(XRD_ROWS, (H, ORGANIC, WATER, AMORPHOUS, OTHER, UNSEEN), strict=False):
                x[index] = max(xrd.row(row), 1e-3) if index != UNSEEN or row in xrd.rows else x[UNSEEN]
        log_scale = 0.0
        if thermal is not None:
            water, organic = np.clip(thermal.losses[:2], 1e-3, 0.98)
            x[WATER] = water
            if thermal.sees_carbonate:
                x[CARBONATE] = max(float(thermal.losses[2]), 1e-3) / CO2_PER_CARBONATE
            x[ORGANIC] = organic / (1 - thermal.char_fraction) if thermal.inert else organic
            left, solid = max(1.0 - x[[WATER, CARBONATE, ORGANIC]].sum(), 0.01), [H, AMORPHOUS, OTHER, UNSEEN]
            before = x[solid].sum()
            x[solid] *= left / before
            if xrd is not None and not xrd.sees_amorphous:
                log_scale = float(np.log(before / left))
        x[sorted(model.absent)] = 0.0
        if xrd is not None and "standard" in xrd.rows and model.standard is not None:
            scale = max(xrd.row("standard"), 1e-3) / model.standard.per_specimen
            log_scale = float(np.log(scale))
            if thermal is None:  # what the standard weighs, and the rest unseen
                x /= scale
                x[UNSEEN] = max(x[UNSEEN], 1.0 - x.sum(), 1e-3)
        x /= x.sum()
        means = [item.mean if item.name != "log_scale" or np.isfinite(item.std) else log_scale for item in model.priors]
        return np.concatenate([x[list(self.free)], means])

    def complete(self, drawn: FloatArray) -> FloatArray:
        """Compositions (n, 7) from the drawn coordinates."""
        x = np.zeros((len(drawn), len(PARTS)))
        x[:, self.free] = drawn
        x[:, self.rest] = 1.0 - drawn.sum(axis=1)
        return x


@dataclass(frozen=True, kw_only=True)
class _Proposal:
    """Distribution that constants and compositions of one model are drawn from.

    Constants: Student around `centre` with scale `spread`, both of constants as `_of_crystals` has them. Compositions
    given them: normal, cut to the simplex; `mineral` is the mass fraction of the mineral about which its weak terms are
    centred.
    """

    model: JointModel
    coordinates: _Coordinates
    mineral: float
    centre: FloatArray
    spread: FloatArray

    def draw(self, n: int, rng: np.random.Generator) -> _Batch:
        """Draw constants, then compositions given them, and weigh both by target over proposal."""
        model, whitening, p = self.model, self.model.whitening, len(self.centre)
        points = _lattice(n, 1 + p + len(self.coordinates.free), rng)
        theta, log_q = self._constants(points[: 1 + p])
        low, high = (np.array([getattr(item, end) for item in model.priors]) for end in ("low", "high"))
        safe = np.clip(theta.T, low, high)
        design, offset = model.design(safe)
        factor, log_det = model.precision_factor(safe)
        # draws along the last axis from here on: a few long operations in place of many small matrices
        m, parts = design.shape[1:]
        matrix = (whitening @ np.moveaxis(design, 0, -1).reshape(m, -1)).reshape(m, parts, n) * factor.T[:, None]
        target = (whitening @ (model.values[:, None] - offset.T)) * factor.T
        free = self.coordinates.free
        assumed = free.index(CARBONATE) if model.carbonate_is_assumed and CARBONATE in free else None
        drawn, log_qx = _draw_simplex(*self._conditional(matrix, target), points[1 + p :], rng, self._sparse(), assumed)
        x = np.maximum(self.coordinates.complete(drawn.T), 0.0)
        misfit = target - np.einsum("ijn,jn->in", matrix, np.ascontiguousarray(x.T))
        log_w = model.log_prior(safe, x) + log_det - 0.5 * (misfit**2).sum(axis=0) - log_q - log_qx
        log_w[~np.isfinite(log_w)] = -np.inf
        weights = np.exp(log_w - log_w.max())
        total = float(weights.sum())
        return _Batch(
            constants=safe,
            composition=x,
            weights=weights / total,
            # the mean weight is the marginal likelihood
            log_evidence=float(log_w.max()) + float(np.log(total / n)),
        )

    def _constants(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Constants (p, n) within their limits at points (1 + p, n) of the unit cube, and the log of their density.

        Student draws are normal ones of a variance that is drawn before them. Each constant is cut to its limits, given
        those before it; what the cuts leave of the normal distributions counts in the weights, which is exact with the
        variance as one more unknown, whose distribution given the constants is that of uncut draws.
        """
        p, n = len(self.centre), points.shape[1]
        root = np.linalg.cholesky(self.spread + 1e-12 * np.eye(p))
        scale = _student_scales(n)[np.minimum((points[0] * n).astype(np.intp), n - 1)]
        scaled, theta = np.empty((p, n)), np.empty((p, n))
        log_mass, square = np.zeros(n), np.zeros(n)
        for j, item in enumerate(self.model.priors):
            centre = self.centre[j] + root[j, :j] @ scaled[:j]
            width = root[j, j] * scale
            low, high = (item.low - centre) / width, (item.high - centre) / width
            if low.max() < -_FAR_FROM_BOUNDS and high.min() > _FAR_FROM_BOUNDS:
                z = ndtri(points[1 + j])
            else:
                z, mass = _truncated(low, high, points[1 + j])
                log_mass += mass
            scaled[j] = z * scale
            square += scaled[j] ** 2
            theta[j] = centre + root[j, j] * scaled[j]
        log_q = -0.5 * (_DOF + p) * np.log1p(square / _DOF) - float(np.log(np.diag(root)).sum()) - log_mass
        return _of_crystals(self.model, theta.T, -1.0).T, log_q

    def _sparse(self) -> list[tuple[list[int], float]]:
        """Groups of drawn coordinates whose prior gathers near nothing, and up to where it does."""
        drawn, model = list(self.coordinates.free), self.model
        floors: dict[tuple[int, ...], float] = {(ORGANIC, WATER): priors.SOFT_FLOOR} if model.thermal is None else {}
        floors |= {(UNSEEN,): priors.UNSEEN_FLOOR} if UNSEEN not in model.absent else {}
        groups = (([drawn.index(i) for i in parts if i in drawn], _NEAR_FLOOR * low) for parts, low in floors.items())
        return [(places, end) for places, end in groups if places]

    def _conditional(self, matrix: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean (k, n) and reversed Cholesky factor (k, k, n) of the precision of the free coordinates, for each draw.

        A weak normal term keeps directions finite which the evidence leaves open; it belongs to the proposal
        only. Reversed, because coordinate j is drawn given those before it: the conditional precision of the last
        coordinate is then the first pivot.
        """
        coordinates, mineral = self.coordinates, self.mineral
        order = list(coordinates.free[::-1])
        free, rest = matrix[:, order] - matrix[:, [coordinates.rest]], target - matrix[:, coordinates.rest]
        k, n = len(order), matrix.shape[-1]
        solid = np.array([index in (OTHER, UNSEEN, AMORPHOUS) for index in order])
        weak = np.where(solid, 1.0 / mineral**2, _RIDGE)
        toward = np.where(solid, mineral / 3, np.array([index != CARBONATE for index in order]) / 6)
        precision, right = np.empty((k, k, n)), np.einsum("ijn,in->jn", free, rest) + (weak * toward)[:, None]
        for i in range(k):
            for j in range(i + 1):
                precision[i, j] = precision[j, i] = np.einsum("in,in->n", free[:, i], free[:, j])
        precision[range(k), range(k)] += weak[:, None]
        if self.model.carbonate_is_assumed and CARBONATE in order:
            # h + A + c = 1 - w - o - z - u, so the assumed share of carbonate is linear in the free coordinates
            share, width = priors.ASSUMED_CARBONATE.mean, _WIDER * priors.ASSUMED_CARBONATE.std * mineral
            row = np.array([1.0 if index == CARBONATE else share * (index != AMORPHOUS) for index in order]) / width
            precision += np.outer(row, row)[:, :, None]
            right += (row * share / width)[:, None]
        precision[range(k), range(k)] += 1e-13 * np.einsum("iin->n", precision)
        root = _cholesky(precision)
        mean = right
        for i in range(k):
            mean[i] = (right[i] - np.einsum("jn,jn->n", root[i, :i], mean[:i])) / root[i, i]
        for i in range(k - 1, -1, -1):
            mean[i] = (mean[i] - np.einsum("jn,jn->n", root[i + 1 :, i], mean[i + 1 :])) / root[i, i]
        return mean[::-1], root


_GENERATOR = np.array(
    [
        1, 182667, 469891, 498753, 110745, 446247, 250185, 118627, 245333, 283199, 408519, 391023, 246327, 126539,
        399185, 461527, 300343, 69681, 516695, 436179, 106383, 238523, 413283, 70841, 47719, 300129, 113029, 123925,
    ]
)  # fmt: skip
"""Generating vector of a rank-1 lattice for any power of two of points up to 2^20, 28 dimensions of its 250
(Cools, Kuo & Nuyens 2006, SIAM J. Sci. Comput. 28, 2162: weights of order 2)."""


def _lattice(n: int, dimensions: int, rng: np.random.Generator) -> FloatArray:
    """Points (dimensions, n) of a rank-1 lattice in the open unit cube, shifted at random; n is a power of two."""
    points = _unshifted(n, dimensions) + rng.random((dimensions, 1))
    points -= points >= 1.0
    return np.maximum(points, 1e-300)


@lru_cache
def _unshifted(n: int, dimensions: int) -> FloatArray:
    points: FloatArray = np.outer(_GENERATOR[:dimensions], np.arange(n)) % n / n
    points.flags.writeable = False
    return points


@lru_cache
def _student_scales(n: int) -> FloatArray:
    """Factors (n,) on a normal draw that make it one of Student's distribution, at equal steps of probability."""
    from scipy.special import gammaincinv

    scales: FloatArray = np.sqrt(0.5 * _DOF / gammaincinv(0.5 * _DOF, (np.arange(n) + 0.5) / n))
    scales.flags.writeable = False
    return scales


def _cholesky(matrices: FloatArray) -> FloatArray:
    """Lower factors of many small matrices (k, k, n): by columns, every step for all at once."""
    root = np.zeros_like(matrices)
    for j in range(len(root)):
        rest = matrices[j:, j] - np.einsum("ipn,pn->in", root[j:, :j], root[j, :j])
        pivot = np.sqrt(np.maximum(rest[0], 1e-14 * matrices[j, j]))
        root[j, j], root[j + 1 :, j] = pivot, rest[1:] / pivot
    return root


_FAR_FROM_BOUNDS = 6.0
"""Standard deviations, beyond which a bound cuts off less than 1e-9 of a normal distribution."""


def _draw_simplex(
    mean: FloatArray,
    reversed_root: FloatArray,
    points: FloatArray,
    rng: np.random.Generator,
    sparse: Sequence[tuple[Sequence[int], float]] = (),
    assumed: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Draw the free coordinates inside the simplex; (k, n) and the log density of the proposal.

    Every coordinate is a normal, given those before it, cut to what they leave of one: its bounds are known when it
    is drawn, so no draw is rejected, and the density is the product of the truncated normals. Of each group of `sparse`
    coordinates a part of the draws is cut to what lies below the group's end: a prior that is high there alone would
    else rest on the few draws that happen to come so near to nothing. `points` (k, n) of the unit cube are the shares
    of each distribution that lie below the draws. The coordinate `assumed` is a carbonate that is
    assumed of what is left to it, however little that is.
    """
    k, n = mean.shape
    out, delta = np.empty((k, n)), np.zeros((k, n))
    left, log_q = np.ones(n), np.zeros(n)
    group = {j: i for i, (places, _) in enumerate(sparse) for j in places}
    cut = [rng.random(n) < _CUT_SHARE for _ in sparse]
    # log of how much denser the cut draws are than the others, -inf where they do not come
    denser = np.zeros((len(sparse), n))
    for j in range(k):
        r = k - 1 - j
        sd = 1.0 / reversed_root[r, r]
        shift = np.einsum("in,in->n", reversed_root[r + 1 :, r], delta[r + 1 :]) * sd
        centre = mean[j] - shift
        if j == assumed:
            share = priors.ASSUMED_CARBONATE
            centre, sd = share.mean * left, _WIDER * share.std * np.maximum(left, 1e-9)
        uniform = points[j]
        low, high = -centre / sd, (left - centre) / sd
        if j in group:
            i, end = group[j], np.minimum(sparse[group[j]][1], left)
            near = (end - centre) / sd
            z, _ = _truncated(low, np.where(cut[i], near, high), uniform)
            log_mass, log_near = _log_mass(low, high), _log_mass(low, near)
            denser[i] += np.where(centre + sd * z <= end * (1.0 + 1e-9), log_mass - log_near, -np.inf)
        elif (low < -_FAR_FROM_BOUNDS).all() and (high > _FAR_FROM_BOUNDS).all():
            z, log_mass = ndtri(uniform), np.zeros(n)
        else:
            z, log_mass = _truncated(low, high, uniform)
        out[j] = np.clip(centre + sd * z, 0.0, left)
        delta[r] = out[j] - mean[j]
        log_q += -0.5 * z**2 - 0.5 * float(np.log(2 * np.pi)) - np.log(sd) - log_mass
        left = np.maximum(left - out[j], 0.0)
    log_q += np.logaddexp(np.log1p(-_CUT_SHARE), np.log(_CUT_SHARE) + denser).sum(axis=0)
    return out, log_q


_DEEP = 1e-200
"""Mass of a normal distribution between bounds, below which logarithms of its distribution function are taken."""


def _truncated(low: FloatArray, high: FloatArray, uniform: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Standard normal draws between bounds, and the logarithm of the mass that these hold.

    Inversion, accurate in both tails: an interval above zero is mirrored, and logarithms of the distribution function
    are used where it is far out.
    """
    flip, a, b = _mirrored(low, high)
    below = ndtr(a)
    mass = ndtr(b) - below
    z, log_mass = ndtri(below + uniform * mass), np.log(np.maximum(mass, _DEEP))
    if (deep := mass < _DEEP).any():
        log_mass[deep], log_b, ratio = _deep_mass(a[deep], b[deep])
        z[deep] = ndtri_exp(log_b + np.log(ratio + uniform[deep] * (1.0 - ratio)))
    np.clip(z, a, b, out=z)
    np.negative(z, out=z, where=flip)
    return z, log_mass


def _log_mass(low: FloatArray, high: FloatArray) -> FloatArray:
    """Logarithm of the mass of a standard normal distribution between bounds, as `_truncated` gives it with draws."""
    _, a, b = _mirrored(low, high)
    mass = ndtr(b) - ndtr(a)
    out: FloatArray = np.log(np.maximum(mass, _DEEP))
    if (deep := mass < _DEEP).any():
        out[deep], _, _ = _deep_mass(a[deep], b[deep])
    return out


def _mirrored(low: FloatArray, high: FloatArray) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Which intervals were mirrored, since they lie above zero, and their ends."""
    flip = low > 0.0
    if not flip.any():
        return flip, low, high
    return flip, np.where(flip, -high, low), np.where(flip, -low, high)


def _deep_mass(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Far out: logarithms of the mass between a and b and of all of it below b, and the share of that below a."""
    log_a, log_b = log_ndtr(a), log_ndtr(np.maximum(b, a + 1e-12))
    ratio = np.exp(log_a - log_b)
    return log_b + np.log(np.maximum(-np.expm1(log_a - log_b), 1e-300)), log_b, ratio


def sample_posterior(
    model: JointModel,
    *,
    draws: int = 4000,
    seed: int = 0,
    rival: float = -np.inf,
    beside: Posterior | None = None,
    near: Optimum | None = None,
) -> Posterior:
    """Draw from the posterior; more `draws` narrow the Monte Carlo error, the same `seed` gives the same bytes.

    Beside another model the draws are as many as the share of this one asks for, with something to spare: `rival` is
    the logarithm of the other one's marginal likelihood, times the ratio of their prior probabilities. `beside` are
    draws of that model, which has amorphous mineral where this one has none: those with the least of it show where the
    constants are, and optimum and χ² are that model's. `near` is as in `best_fit`.
    """
    rng = np.random.default_rng(seed)
    optimum = best_fit(model, near) if beside is None else _with_least_amorphous(beside)
    mineral = max(float(optimum.composition[[H, AMORPHOUS, OTHER, UNSEEN, CARBONATE]].sum()), priors.MINERAL_FLOOR)
    # The Gaussian at the optimum may be too narrow where bounds act, hence a wider pilot batch; the draws themselves,
    # more of them where too few count, start from the moments of the batch before.
    centre = _of_crystals(model, optimum.constants[None], 1.0)[0]
    step = 1e-6
    slopes = (_of_crystals(model, optimum.constants + step * np.eye(len(centre)), 1.0) - centre) / step
    proposal = _Proposal(
        model=model, coordinates=_Coordinates.of(model), mineral=mineral, centre=centre,
        spread=1.5 * slopes.T @ optimum.covariance @ slopes,
    )  # fmt: skip
    batch = proposal.draw(_PILOT, rng)
    # the pilot batch tells the share well enough
    share = _SPARE / (1.0 + np.exp(np.clip(rival - batch.log_evidence, -50.0, 50.0)))
    draws = min(draws, _STEP * max(1, round(share * draws / _STEP)))
    size, enough = _PILOT, _PER_CONSTANT * len(model.priors)
    while batch.effective_size < _ENOUGH * draws and size < _MOST * _power_of_two(draws):
        # where hardly any count, what is learnt is little: the next batch is there to learn from as well
        few = batch.effective_size < enough
        size = max(2 * size, _PILOT if few else _power_of_two(draws))
        batch = _adapted(proposal, batch).draw(size, rng)
    # Systematic resampling turns weighted draws into equally weighted ones with the least added noise, less where
    # neighbours are alike; shuffled, so that any part of the draws is a sample as well.
    points, order = (np.arange(draws) + rng.random()) / draws, np.argsort(batch.composition[:, H], kind="stable")
    chosen = np.searchsorted(np.cumsum(batch.weights[order]), points).clip(0, len(order) - 1)
    chosen = order[rng.permutation(chosen)]
    return Posterior(
        composition=batch.composition[chosen],
        constants=batch.constants[chosen],
        mode_composition=optimum.composition,
        chi_square=optimum.chi_square,
        effective_size=batch.effective_size,
        log_evidence=batch.log_evidence,
    )


def _adapted(proposal: _Proposal, batch: _Batch) -> _Proposal:
    """Proposal of the constants with the moments of a batch."""
    weights = batch.weights
    for _ in range(6):
        if 1.0 / (weights**2).sum() > _SHAPING:
            break
        # few draws carry the weight: flattened, more of them shape the moments
        weights = np.sqrt(weights)
        weights /= weights.sum()
    drawn = _of_crystals(proposal.model, batch.constants, 1.0)
    centre = weights @ drawn
    away = drawn - centre
    moments = (away * weights[:, None]).T @ away
    # a trace of the variances alone keeps a direction open that a few draws have lost
    spread = 0.95 * moments + 0.05 * np.diag(np.diag(moments))
    return replace(proposal, centre=centre, spread=1.1 * spread)


def _of_crystals(model: JointModel, constants: FloatArray, sign: float) -> FloatArray:
    """Constants (n, p) with the scale of crystals in place of that of amorphous matter, or (`sign` -1) the reverse.

    A pattern of little but crystals fixes K (1 + b), one of unknown crystals K (1 + b) f: of each of these it leaves a
    narrow curved ridge, which no normal distribution follows. Where other matter has more than they have, constants
    stay as they are. The change has a Jacobian of one.
    """
    names, xrd = model.names, model.xrd
    if xrd is None or xrd.share_of_total(*_CRYSTALS)[0] < 0.5:
        return constants
    changed, at = constants.copy(), names.index("log_scale")
    changed[:, at] += sign * np.log1p(constants[:, names.index("xrd_bias")])
    if "unidentified_response" in names and xrd.row("unidentified") > 0.5 * sum(map(xrd.row, _CRYSTALS)):
        changed[:, at] += sign * constants[:, names.index("unidentified_response")]
    return changed


_CRYSTALS = ("apatite", "other", "unidentified")


def _power_of_two(n: int) -> int:
    """Power of two that is n or next above it."""
    return 1 << (n - 1).bit_length()


def _with_least_amorphous(posterior: Posterior) -> Optimum:
    """Where the constants of a model without amorphous mineral are, from draws of the one with it."""
    amorphous = posterior.composition[:, AMORPHOUS]
    least = np.argsort(amorphous, kind="stable")[: max(int(_LEAST * len(amorphous)), 2)]
    near = posterior.constants[least]
    return Optimum(
        composition=posterior.mode_composition,
        constants=near.mean(axis=0),
        covariance=np.atleast_2d(np.cov(near, rowvar=False)),
        chi_square=posterior.chi_square,
    )


def sample_mixture(model: JointModel, *, draws: int, seed: int, near: Optimum | None = None) -> Posterior:
    """Draw from the posterior over what may be absent; optimum and χ² are those of the most general model.

    `near` is as in `best_fit`.

    A fifth of the prior probability goes to no amorphous mineral at all, unless diffraction did not look for its
    scattering. Each of the models contributes draws in proportion to its probability.
    """
    models, prior = [model], [1.0]
    sought = model.xrd is None or "amorphous_mineral" in model.xrd.rows
    if sought:
        # without crystals and amorphous mineral an assumed carbonate has nothing to sit in
        none = {AMORPHOUS, CARBONATE} if H in model.absent and model.carbonate_is_assumed else {AMORPHOUS}
        models.append(replace(model, absent=model.absent | none))
        prior = [1.0 - priors.NO_AMORPHOUS_PROBABILITY, priors.NO_AMORPHOUS_PROBABILITY]
    parts = [sample_posterior(model, draws=draws, seed=seed, near=near)]
    for i in range(1, len(models)):
        rival = parts[0].log_evidence + float(np.log(prior[0] / prior[i]))
        beside = parts[0] if parts[0].effective_size > _ENOUGH * draws else None
        parts.append(sample_posterior(models[i], draws=draws, seed=seed + i, rival=rival, beside=beside))
    log_odds = np.array([part.log_evidence for part in parts]) + np.log(prior)
    probability = np.exp(log_odds - log_odds.max())
    probability /= probability.sum()
    if (crystals := _crystals_only(model)) is not None:
        # the share of what is no crystal is one number: none, or evenly anything up to one. Priors of its parts would
        # count against a mixture once for each of them
        only = sample_posterior(crystals, draws=draws, seed=seed + len(parts))
        width = min(priors.WIDTH_IN_STDS * float(probability @ [_soft(model, part).std() for part in parts]), 1.0)
        worse = only.chi_square - parts[0].chi_square
        if CARBONATE not in crystals.absent:
            # carbonate of the lattice must not make up for what the crystals lack
            worse += float(_assumed(model, only.mode_composition[None])[0] ** 2)
        odds = priors.ALL_CRYSTALS_ODDS * np.exp(-0.5 * worse) / max(width, 1e-6)
        probability = np.append(probability, odds) / (1.0 + odds)
        parts.append(only)
    if len(parts) == 1:
        return parts[0]
    ends = np.round(np.cumsum(probability) * draws).astype(int)
    chosen = list(zip(parts, np.diff(ends, prepend=0).tolist(), strict=True))
    order = np.random.default_rng(seed).permutation(draws)
    return replace(
        parts[0],
        composition=np.concatenate([part.composition[np.arange(n) % len(part.composition)] for part, n in chosen])[
            order
        ],
        constants=np.concatenate([part.constants[np.arange(n) % len(part.constants)] for part, n in chosen])[order],
        effective_size=min(min(part.effective_size * draws / n, draws) for part, n in chosen if n > 0.05 * draws),
        no_amorphous_probability=float(probability[1:].sum()) if sought and model.xrd is not None else None,
        no_amorphous_prior=sum(prior[1:]),
    )


def _crystals_only(model: JointModel) -> JointModel | None:
    """The model without anything but crystals: beside a spike, which is weighed in to learn whether there is more."""
    if model.standard is None or model.thermal is not None or model.xrd is None:
        return None
    soft = {ORGANIC, WATER, AMORPHOUS} | ({CARBONATE} if H in model.absent else set())
    soft |= set() if "unidentified" in model.xrd.rows else {UNSEEN}
    return replace(model, absent=model.absent | soft) if {H, OTHER, UNSEEN} - model.absent - soft else None


def _soft(model: JointModel, part: Posterior) -> FloatArray:
    """Mass fraction (n,) of what is no crystal."""
    assert model.xrd is not None
    crystals = [H, OTHER, UNSEEN] if "unidentified" in model.xrd.rows else [H, OTHER]
    share: FloatArray = 1.0 - part.composition[:, crystals].sum(axis=1)
    return share


def _assumed(model: JointModel, x: FloatArray) -> FloatArray:
    """Deviation (n,) of the carbonate of compositions (n, 7) from what is assumed where nothing measures it."""
    if not model.carbonate_is_assumed:
        return np.zeros(len(x))
    share: FloatArray = x[:, CARBONATE] / np.maximum(x[:, H] + x[:, AMORPHOUS] + x[:, CARBONATE], 1e-3)
    return (share - priors.ASSUMED_CARBONATE.mean) / priors.ASSUMED_CARBONATE.std


def free_scale(model: JointModel, near: Optimum) -> tuple[float, float]:
    """Bias of crystalline against amorphous scattering that fits best with a prior of 1 (100 %) on it, and its std.

    `near` is the model's optimum with the prior that it has.
    """
    at = model.names.index("xrd_bias")
    loose = tuple(replace(item, std=1.0) if item.name == "xrd_bias" else item for item in model.priors)
    found = best_fit(replace(model, priors=loose), near)
    return float(found.constants[at]), float(np.sqrt(found.covariance[at, at]))


def best_fit(model: JointModel, near: Optimum | None = None) -> Optimum:
    """Least squares over composition and constants, all within their bounds.

    It begins at what the evidence says, or at the optimum of a model that differs in widths alone.
    """
    coordinates = _Coordinates.of(model)
    k, whitening = len(coordinates.free), model.whitening
    low = np.array([0.0] * k + [item.low for item in model.priors])
    high = np.array([1.0] * k + [item.high for item in model.priors])
    start = coordinates.start(model) if near is None else near.at(coordinates)
    start = np.clip(start, low + 1e-6, high - 1e-6)

    finite = np.array([np.isfinite(item.std) for item in model.priors])
    mean, std = (np.array([getattr(item, name) for item in model.priors]) for name in ("mean", "std"))

    def residuals(points: FloatArray) -> FloatArray:
        """Residuals of several points, one in each row: evidence, priors, assumed carbonate."""
        x, theta = coordinates.complete(points[:, :k]), points[:, k:]
        matrix, offset = model.design(theta)
        data = (model.values - np.einsum("nij,nj->ni", matrix, x) - offset) @ whitening.T
        constants = ((theta - mean) / std)[:, finite]
        assumed = _assumed(model, x)
        weak = 0.1 * (points[:, :k] - 1.0 / 6)  # holds what the evidence leaves open
        return np.concatenate([data, constants, assumed[:, None], weak], axis=1)

    def with_slopes(point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Residuals and forward differences, backward where a limit is in the way; all in one call."""
        step = np.sqrt(np.finfo(float).eps) * np.maximum(1.0, np.abs(point))
        step = np.where(point + step > high, -step, step)
        moved = residuals(np.concatenate([point[None], point + np.diag(step)]))
        return moved[0], ((moved[1:] - moved[0]) / step[:, None]).T

    point, found, jacobian = _least_squares(with_slopes, start, low, high, k)
    precision, gradient = jacobian.T @ jacobian, jacobian.T @ found
    # At a bound the density falls off by its gradient rather than by curvature: an exponential of that scale.
    bound = (point <= low) | (point >= high)
    inside = ~bound[:k]
    if point[:k].sum() >= 1.0 - _AT_BOUND and inside.any():  # nothing is left for the rest
        slope = float(gradient[:k][inside].mean())
        gradient[:k] -= slope
        precision[:k, :k] += slope**2
    precision[np.diag_indices(len(low))] += np.where(bound, gradient**2, 0.0) + 1e-3
    return Optimum(
        composition=coordinates.complete(point[None, :k])[0],
        constants=point[k:],
        covariance=np.asarray(np.linalg.inv(precision)[k:, k:], dtype=float),
        chi_square=float((found[: len(model.values) + int(finite.sum())] ** 2).sum()),
    )


_AT_BOUND = 1e-12
"""Fraction below which there is nothing: rounding."""


def _least_squares(
    with_slopes: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    point: FloatArray,
    low: FloatArray,
    high: FloatArray,
    fractions: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least squares within limits by Levenberg-Marquardt: the minimum, with residuals and their slopes there.

    The first coordinates are so many `fractions`, whose sum is at most one.
    """
    residual, slopes = with_slopes(point)
    damping = 1e-3
    for _ in range(100):
        gradient, hessian = slopes.T @ residual, slopes.T @ slopes
        damped = hessian + np.diag(damping * np.diag(hessian) + 1e-12)
        step = _limited_step(damped, gradient, point, low, high, fractions)
        cost, promise = float(residual @ residual), -float(2.0 * gradient @ step + step @ hessian @ step)
        if promise < 1e-8 * max(cost, 1.0):
            break
        trial = np.clip(point + step, low, high)
        moved = with_slopes(trial)
        if (gain := cost - float(moved[0] @ moved[0])) > 0.0:
            point, (residual, slopes) = trial, moved
            damping = max(damping * (0.2 if gain > 0.5 * promise else 2.0), 1e-9)
        else:
            damping = max(8.0 * damping, 5e-3)
    return point, residual, slopes


def _limited_step(
    damped: FloatArray, gradient: FloatArray, point: FloatArray, low: FloatArray, high: FloatArray, fractions: int
) -> FloatArray:
    """Step to the minimum of a quadratic form that stays within limits and leaves fractions a sum of at most one.

    What it would carry beyond a limit goes there, and the step of the others is solved anew with it.
    """
    keep = ((point > low) | (gradient <= 0)) & ((point < high) | (gradient >= 0))
    step, whole = np.zeros_like(point), False
    of_sum, room = np.arange(len(point)) < fractions, 1.0 - float(point[:fractions].sum())
    while keep.any():
        n = int(keep.sum())
        matrix, right = damped[np.ix_(keep, keep)], -gradient[keep] - damped[np.ix_(keep, ~keep)] @ step[~keep]
        held = whole and bool((keep & of_sum).any())
        if held:  # the sum is one: a Lagrange multiplier more
            border = of_sum[keep].astype(np.float64)[:, None]
            matrix = np.block([[matrix, border], [border.T, np.zeros((1, 1))]])
            right = np.append(right, room - float(step[of_sum & ~keep].sum()))
        step[keep] = np.linalg.solve(matrix, right)[:n]
        if not whole and float(step[of_sum].sum()) > room:
            whole = True
            continue
        limited = np.clip(point + step, low, high) - point
        beyond = keep & (np.abs(limited - step) > 1e-15)
        if not beyond.any():
            break
        step[beyond], keep = limited[beyond], keep & ~beyond
    added = float(step[of_sum].sum())
    return step * (max(room, 0.0) / added) if added > max(room, 0.0) + _AT_BOUND else step
