"""Exact posterior of the joint model by importance sampling.

For fixed constants the evidence is linear and Gaussian in the composition, so the composition can be drawn
from a Gaussian truncated to the simplex, one coordinate after the other in an order in which every bound is
known when it is needed: w, c, o, then z, u within what is left, then A; h is the rest. (Sequential truncation:
Geweke 1991; Hajivassiliou, McFadden & Ruud 1996.) The constants are drawn from a Student distribution around
the constrained optimum and adapted once or twice (Cappé et al. 2004). Weights are target over proposal, hence
the sample is exact whatever the proposal; its quality is the effective sample size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_ndtr, ndtri, ndtri_exp

from xrdcomp.composition import priors
from xrdcomp.composition.evidence import AMORPHOUS, CARBONATE, ORGANIC, OTHER, PARTS, UNSEEN, WATER, XRD_ROWS, H
from xrdcomp.composition.model import JointModel
from xrdcomp.units import CO2_PER_CARBONATE, BoolArray, FloatArray

_ORDER = (WATER, CARBONATE, ORGANIC, OTHER, UNSEEN, AMORPHOUS)
"""Order in which coordinates are drawn; h, or the last one that is there, is what is left."""
_ORDER_ASSUMED = (WATER, ORGANIC, OTHER, UNSEEN, CARBONATE, AMORPHOUS)
"""The same where the carbonate is assumed: a share of what is left to it, which is the phosphate."""
_DOF = 7.0
"""Degrees of freedom of the Student distribution of the constants: tails heavier than any target's."""
_RIDGE = 0.05
"""Weight of the weak normal term of the proposal in directions that the evidence leaves open."""
_WIDER = 1.3
"""Standard deviation of an assumed carbonate in the proposal, over that of its prior."""
_NEAR_FLOOR, _CUT_SHARE = 5.0, 0.25
"""How many floors of a sparse prior the draws reach that are cut to where it is high, and how many draws these are."""
_ENOUGH = 0.2
"""Effective draws, over those wanted, with which a batch is content."""
_PILOT = 1500
"""Draws of the two batches from which the proposal learns."""
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


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Draws of the proposal with their importance weights, which sum to one."""

    constants: FloatArray
    composition: FloatArray
    weights: FloatArray
    log_evidence: float

    @property
    def effective_size(self) -> float:
        """Number of independent draws that are worth as much."""
        return float(1.0 / (self.weights**2).sum())


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """Constrained optimum, and the covariance (p, p) of the Gaussian of the constants around it."""

    composition: FloatArray
    constants: FloatArray
    covariance: FloatArray
    chi_square: float

    def at(self, coordinates: _Coordinates) -> FloatArray:
        """Fractions that are drawn, then the constants."""
        return np.concatenate([self.composition[list(coordinates.free)], self.constants])


@dataclass(frozen=True, kw_only=True)
class _Coordinates:
    """Fractions that are drawn, and the one that is the rest; absent ones are zero."""

    free: tuple[int, ...]
    rest: int

    @classmethod
    def of(cls, model: JointModel) -> _Coordinates:
        there = [i for i in range(len(PARTS)) if i not in model.absent]
        rest = next(i for i in (H, AMORPHOUS, ORGANIC, OTHER, UNSEEN) if i in there)
        order = _ORDER_ASSUMED if model.carbonate_is_assumed else _ORDER
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

    Constants: Student around `centre` with scale `spread`. Compositions given them: normal, cut to the simplex;
    `mineral` is the mass fraction of the mineral about which its weak terms are centred.
    """

    model: JointModel
    coordinates: _Coordinates
    mineral: float
    centre: FloatArray
    spread: FloatArray

    def draw(self, n: int, rng: np.random.Generator) -> _Batch:
        """Draw constants, then compositions given them, and weigh both by target over proposal."""
        model, whitening, p = self.model, self.model.whitening, len(self.centre)
        # multivariate Student draws; the normal draws behind them are one per stratum in each coordinate (Latin
        # hypercube, McKay et al. 1979)
        root = np.linalg.cholesky(self.spread + 1e-12 * np.eye(p))
        normal = np.empty((n, p))
        for j in range(p):
            normal[:, j] = ndtri((rng.permutation(n) + np.maximum(rng.random(n), 1e-300)) / n)
        mix = rng.chisquare(_DOF, size=n) / _DOF
        scaled = normal / np.sqrt(mix)[:, None]
        theta = self.centre + scaled @ root.T
        # their log density, up to a constant of the dimension
        log_q = -0.5 * (_DOF + p) * np.log1p((scaled**2).sum(axis=1) / _DOF)
        log_q -= float(np.log(np.diag(root)).sum())
        low, high = (np.array([getattr(item, end) for item in model.priors]) for end in ("low", "high"))
        outside = ((theta < low) | (theta > high)).any(axis=1)
        safe = np.clip(theta, low, high)
        design, offset = model.design(safe)
        factor, log_det = model.precision_factor(safe)
        # draws along the last axis from here on: a few long operations in place of many small matrices
        m, parts = design.shape[1:]
        matrix = (whitening @ np.moveaxis(design, 0, -1).reshape(m, -1)).reshape(m, parts, n) * factor.T[:, None]
        target = (whitening @ (model.values[:, None] - offset.T)) * factor.T
        free = self.coordinates.free
        assumed = free.index(CARBONATE) if model.carbonate_is_assumed and CARBONATE in free else None
        drawn, log_qx = _draw_simplex(*self._conditional(matrix, target), rng, self._sparse(), assumed)
        x = np.maximum(self.coordinates.complete(drawn.T), 0.0)
        misfit = target - np.einsum("ijn,jn->in", matrix, np.ascontiguousarray(x.T))
        log_w = model.log_prior(safe, x) + log_det - 0.5 * (misfit**2).sum(axis=0) - log_q - log_qx
        log_w[outside | ~np.isfinite(log_w)] = -np.inf
        weights = np.exp(log_w - log_w.max())
        total = float(weights.sum())
        return _Batch(
            constants=safe,
            composition=x,
            weights=weights / total,
            # the mean weight is the marginal likelihood
            log_evidence=float(log_w.max()) + float(np.log(total / n)),
        )

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


def _cholesky(matrices: FloatArray) -> FloatArray:
    """Lower factors of many small matrices (k, k, n): by columns, every step for all at once."""
    root = np.zeros_like(matrices)
    for j in range(len(root)):
        rest = matrices[j:, j] - np.einsum("ipn,pn->in", root[j:, :j], root[j, :j])
        pivot = np.sqrt(np.maximum(rest[0], 1e-14 * matrices[j, j]))
        root[j, j], root[j + 1 :, j] = pivot, rest[1:] / pivot
    return root


_FAR_FROM_BOUNDS = 8.0
"""Standard deviations, beyond which a bound cuts off less than 1e-15 of a normal distribution."""


def _draw_simplex(
    mean: FloatArray,
    reversed_root: FloatArray,
    rng: np.random.Generator,
    sparse: Sequence[tuple[Sequence[int], float]] = (),
    assumed: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Draw the free coordinates inside the simplex; (k, n) and the log density of the proposal.

    Every coordinate is a normal, given those before it, cut to what they leave of one: its bounds are known when it
    is drawn, so no draw is rejected, and the density is the product of the truncated normals. Of each group of `sparse`
    coordinates a part of the draws is cut to what lies below the group's end: a prior that is high there alone would
    else rest on the few draws that happen to come so near to nothing. The coordinate `assumed` is a carbonate that is
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
        uniform = (rng.permutation(n) + rng.random(n)) / n
        low, high = -centre / sd, (left - centre) / sd
        if j in group:
            i, end = group[j], np.minimum(sparse[group[j]][1], left)
            near = (end - centre) / sd
            z, _ = _truncated(low, np.where(cut[i], near, high), uniform)
            log_mass = _log_mass(low, high)
            denser[i] += np.where(centre + sd * z <= end * (1.0 + 1e-9), log_mass - _log_mass(low, near), -np.inf)
        elif (low < -_FAR_FROM_BOUNDS).all() and (high > _FAR_FROM_BOUNDS).all():
            z, log_mass = ndtri(np.maximum(uniform, 1e-300)), np.zeros(n)
        else:
            z, log_mass = _truncated(low, high, uniform)
        out[j] = np.clip(centre + sd * z, 0.0, left)
        delta[r] = out[j] - mean[j]
        log_q += -0.5 * z**2 - 0.5 * float(np.log(2 * np.pi)) - np.log(sd) - log_mass
        left = np.maximum(left - out[j], 0.0)
    log_q += np.logaddexp(np.log1p(-_CUT_SHARE), np.log(_CUT_SHARE) + denser).sum(axis=0)
    return out, log_q


def _mirrored(low: FloatArray, high: FloatArray) -> tuple[BoolArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Which intervals were mirrored, since they lie above zero; their ends, and log distribution functions there."""
    flip = low > 0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    b = np.maximum(b, a + 1e-12)
    return flip, a, b, log_ndtr(a), log_ndtr(b)


def _log_mass(low: FloatArray, high: FloatArray) -> FloatArray:
    """Logarithm of the mass of a standard normal distribution between bounds, accurate in both tails."""
    _, _, _, log_a, log_b = _mirrored(low, high)
    return np.asarray(log_b + np.log(np.maximum(-np.expm1(log_a - log_b), 1e-300)))


def _truncated(low: FloatArray, high: FloatArray, uniform: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Standard normal draws between bounds, and the logarithm of the mass that these hold.

    Inversion, accurate in both tails: an interval above zero is mirrored, and logarithms of the distribution function
    are used.
    """
    flip, a, b, log_a, log_b = _mirrored(low, high)
    ratio = np.exp(log_a - log_b)
    log_mass = log_b + np.log(np.maximum(-np.expm1(log_a - log_b), 1e-300))
    z = np.clip(ndtri_exp(log_b + np.log(ratio + uniform * (1.0 - ratio))), a, b)
    return np.where(flip, -z, z), log_mass


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
    # The Gaussian at the optimum may be too narrow where bounds act, hence a wider first batch; a second pilot batch
    # and, where too few draws count, larger ones start from the moments of the batch before.
    spread = optimum.covariance
    proposal = _Proposal(
        model=model, coordinates=_Coordinates.of(model), mineral=mineral, centre=optimum.constants, spread=1.5 * spread
    )
    batch = proposal.draw(_PILOT, rng)
    for turn in range(1 if beside is not None else 0, 4):
        weights = batch.weights
        for _ in range(6):
            if 1.0 / (weights**2).sum() > 60:
                break
            # few draws carry the weight: flattened, more of them shape the moments
            weights = np.sqrt(weights)
            weights /= weights.sum()
        centre = weights @ batch.constants
        away = batch.constants - centre
        # a trace of the spread before keeps a direction open that a few draws have lost
        moments = (away * weights[:, None]).T @ away
        spread = 0.95 * moments + 0.05 * np.diag(np.diag(spread))
        if turn == 1:  # the second pilot batch tells the share well enough
            share = _SPARE / (1.0 + np.exp(np.clip(rival - batch.log_evidence, -50.0, 50.0)))
            draws = min(draws, _STEP * max(1, round(share * draws / _STEP)))
        size = max(5 * draws // 4 * 2 ** (turn - 1), _PILOT) if turn else _PILOT
        batch = replace(proposal, centre=centre, spread=1.2 * spread).draw(size, rng)
        if turn and batch.effective_size > _ENOUGH * draws:
            break
    # Systematic resampling turns weighted draws into equally weighted ones with the least added noise; shuffled, so
    # that any part of the draws is a sample as well.
    points = (np.arange(draws) + rng.random()) / draws
    chosen = np.searchsorted(np.cumsum(batch.weights), points).clip(0, len(batch.weights) - 1)
    chosen = rng.permutation(chosen)
    return Posterior(
        composition=batch.composition[chosen],
        constants=batch.constants[chosen],
        mode_composition=optimum.composition,
        chi_square=optimum.chi_square,
        effective_size=batch.effective_size,
        log_evidence=batch.log_evidence,
    )


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
