"""Exact posterior of the joint model by importance sampling.

For fixed constants the evidence is linear and Gaussian in the composition, so the composition can be drawn
from a Gaussian truncated to the simplex, one coordinate after the other in an order in which every bound is
known when it is needed: w, c, o, then z, u within what is left, then A; h is the rest. (Sequential truncation:
Geweke 1991; Hajivassiliou, McFadden & Ruud 1996.) The constants are drawn from a Student distribution around
the constrained optimum and adapted once or twice (Cappé et al. 2004). Weights are target over proposal, hence
the sample is exact whatever the proposal; its quality is the effective sample size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares
from scipy.special import log_ndtr, ndtri, ndtri_exp

from xrdcomp.composition import priors
from xrdcomp.composition.evidence import AMORPHOUS, CARBONATE, ORGANIC, OTHER, PARTS, UNSEEN, WATER, XRD_ROWS, H
from xrdcomp.composition.model import JointModel
from xrdcomp.units import CO2_PER_CARBONATE, FloatArray

_ORDER = (WATER, CARBONATE, ORGANIC, OTHER, UNSEEN, AMORPHOUS)
"""Order in which coordinates are drawn; h, or the last one that is there, is what is left."""
_DOF = 7.0
"""Degrees of freedom of the Student distribution of the constants: tails heavier than any target's."""
_RIDGE = 0.05
"""Weight of the weak normal term of the proposal in directions that the evidence leaves open."""
_PILOT = 1500
"""Draws of the two batches from which the proposal learns."""


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
class _Optimum:
    """Constrained optimum, and the covariance (p, p) of the Gaussian of the constants around it."""

    composition: FloatArray
    constants: FloatArray
    covariance: FloatArray
    chi_square: float


@dataclass(frozen=True, kw_only=True)
class _Coordinates:
    """Fractions that are drawn, and the one that is the rest; absent ones are zero."""

    free: tuple[int, ...]
    rest: int

    @classmethod
    def of(cls, model: JointModel) -> _Coordinates:
        there = [i for i in range(len(PARTS)) if i not in model.absent]
        rest = next(i for i in (H, AMORPHOUS, ORGANIC, OTHER, UNSEEN) if i in there)
        return cls(free=tuple(i for i in _ORDER if i in there and i != rest), rest=rest)

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
        matrix, offset = model.design(safe)
        factor, log_det = model.precision_factor(safe)
        matrix = (whitening @ matrix) * factor[:, :, None]
        target = (model.values @ whitening.T - offset @ whitening.T) * factor
        drawn, log_qx = _draw_simplex(*self._conditional(matrix, target), rng)
        x = np.maximum(self.coordinates.complete(drawn), 0.0)
        misfit = target - np.einsum("nij,nj->ni", matrix, x)
        log_w = model.log_prior(safe, x) + log_det - 0.5 * (misfit**2).sum(axis=1) - log_q - log_qx
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

    def _conditional(self, matrix: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and reversed Cholesky factor of the precision of the free coordinates, for each draw of the constants.

        A weak normal term keeps directions finite which the evidence leaves open; it belongs to the proposal
        only. Reversed, because coordinate j is drawn given those before it: the conditional precision of the last
        coordinate is then the first pivot.
        """
        coordinates, mineral = self.coordinates, self.mineral
        free = matrix[:, :, coordinates.free] - matrix[:, :, [coordinates.rest]]
        rest = target - matrix[:, :, coordinates.rest]
        k = len(coordinates.free)
        if self.model.carbonate_is_assumed and CARBONATE in coordinates.free:
            # h + A + c = 1 - w - o - z - u, so the assumed share of carbonate is linear in the free coordinates
            share, width = priors.ASSUMED_CARBONATE.mean, 1.3 * priors.ASSUMED_CARBONATE.std * mineral
            row = np.zeros((len(free), 1, k))
            for at, index in enumerate(coordinates.free):
                row[:, 0, at] = 1.0 if index == CARBONATE else share * (index != AMORPHOUS)
            free = np.concatenate([free, row / width], axis=1)
            rest = np.concatenate([rest, np.full((len(rest), 1), share / width)], axis=1)
        solid = np.array([index in (OTHER, UNSEEN, AMORPHOUS) for index in coordinates.free])
        weak = np.where(solid, 1.0 / mineral**2, _RIDGE)
        toward = np.where(solid, mineral / 3, np.array([index != CARBONATE for index in coordinates.free]) / 6)
        precision = np.swapaxes(free, 1, 2) @ free + np.diag(weak)
        largest = np.einsum("nii->n", precision)
        precision[:, range(k), range(k)] += 1e-13 * largest[:, None]
        right = np.einsum("nij,ni->nj", free, rest) + weak * toward
        mean = np.linalg.solve(precision, right[..., None])[..., 0]
        root = np.asarray(np.linalg.cholesky(precision[:, ::-1, ::-1]), dtype=np.float64)
        return np.asarray(mean, dtype=np.float64), root


def _draw_simplex(
    mean: FloatArray, reversed_root: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw the free coordinates inside the simplex; (n, k) and the log density of the proposal.

    Every coordinate is a normal, given those before it, cut to what they leave of one: its bounds are known when it
    is drawn, so no draw is rejected, and the density is the product of the truncated normals.
    """
    n, k = mean.shape
    out, delta = np.empty((n, k)), np.zeros((n, k))
    left, log_q = np.ones(n), np.zeros(n)
    for j in range(k):
        r = k - 1 - j
        sd = 1.0 / reversed_root[:, r, r]
        shift = np.einsum("ni,ni->n", reversed_root[:, r + 1 :, r], delta[:, r + 1 :]) * sd
        centre = mean[:, j] - shift
        uniform = (rng.permutation(n) + rng.random(n)) / n
        # inversion, accurate in both tails: an interval above zero is mirrored, and logarithms of the distribution
        # function are used
        low, high = -centre / sd, (left - centre) / sd
        flip = low > 0
        a, b = np.where(flip, -high, low), np.where(flip, -low, high)
        b = np.maximum(b, a + 1e-12)
        log_a, log_b = log_ndtr(a), log_ndtr(b)
        ratio = np.exp(log_a - log_b)
        log_mass = log_b + np.log(np.maximum(-np.expm1(log_a - log_b), 1e-300))
        z = np.clip(ndtri_exp(log_b + np.log(ratio + uniform * (1.0 - ratio))), a, b)
        z = np.where(flip, -z, z)
        out[:, j] = np.clip(centre + sd * z, 0.0, left)
        delta[:, r] = out[:, j] - mean[:, j]
        log_q += -0.5 * z**2 - 0.5 * float(np.log(2 * np.pi)) - np.log(sd) - log_mass
        left = np.maximum(left - out[:, j], 0.0)
    return out, log_q


def sample_posterior(model: JointModel, *, draws: int = 4000, seed: int = 0) -> Posterior:
    """Draw from the posterior; more `draws` narrow the Monte Carlo error, the same `seed` gives the same bytes."""
    rng = np.random.default_rng(seed)
    optimum = _optimum(model)
    mineral = max(float(optimum.composition[[H, AMORPHOUS, OTHER, UNSEEN, CARBONATE]].sum()), priors.MINERAL_FLOOR)
    # The Gaussian at the optimum may be too narrow where bounds act, hence a wider first batch; a second pilot batch
    # and, where too few draws count, larger ones start from the moments of the batch before.
    spread = optimum.covariance
    proposal = _Proposal(
        model=model, coordinates=_Coordinates.of(model), mineral=mineral, centre=optimum.constants, spread=1.5 * spread
    )
    batch = proposal.draw(_PILOT, rng)
    for size in (_PILOT, 5 * draws // 4, 5 * draws // 2, 5 * draws):
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
        batch = replace(proposal, centre=centre, spread=1.2 * spread).draw(size, rng)
        if size != _PILOT and batch.effective_size > 0.2 * draws:
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


def sample_mixture(model: JointModel, *, draws: int, seed: int) -> Posterior:
    """Draw from the posterior over what may be absent; optimum and χ² are those of the most general model.

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
    parts = [sample_posterior(each, draws=draws, seed=seed + i) for i, each in enumerate(models)]
    log_odds = np.array([part.log_evidence for part in parts]) + np.log(prior)
    probability = np.exp(log_odds - log_odds.max())
    probability /= probability.sum()
    if (crystals := _crystals_only(model)) is not None:
        # the share of what is no crystal is one number: none, or evenly anything up to one. Priors of its parts would
        # count against a mixture once for each of them
        only = sample_posterior(crystals, draws=draws, seed=seed + len(parts))
        width = min(priors.WIDTH_IN_STDS * float(probability @ [_soft(model, part).std() for part in parts]), 1.0)
        odds = priors.ALL_CRYSTALS_ODDS * np.exp(0.5 * (parts[0].chi_square - only.chi_square)) / max(width, 1e-6)
        probability = np.append(probability, odds) / (1.0 + odds)
        parts.append(only)
    if len(parts) == 1:
        return parts[0]
    ends = np.round(np.cumsum(probability) * draws).astype(int)
    chosen = list(zip(parts, np.diff(ends, prepend=0), strict=True))
    order = np.random.default_rng(seed).permutation(draws)
    return replace(
        parts[0],
        composition=np.concatenate([part.composition[:n] for part, n in chosen])[order],
        constants=np.concatenate([part.constants[:n] for part, n in chosen])[order],
        effective_size=min(part.effective_size for part, n in chosen if n > 0.05 * draws),
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


def best_fit(model: JointModel) -> tuple[FloatArray, float]:
    """Composition (7,) that fits the evidence best, and its weighted squared residual, constants included."""
    found = _optimum(model)
    return found.composition, found.chi_square


def free_scale(model: JointModel) -> tuple[float, float]:
    """Bias of crystalline against amorphous scattering that fits best with a prior of 1 (100 %) on it, and its std."""
    at = model.names.index("xrd_bias")
    loose = tuple(replace(item, std=1.0) if item.name == "xrd_bias" else item for item in model.priors)
    found = _optimum(replace(model, priors=loose))
    return float(found.constants[at]), float(np.sqrt(found.covariance[at, at]))


def _optimum(model: JointModel) -> _Optimum:
    """Least squares over composition and constants, all within their bounds."""
    coordinates = _Coordinates.of(model)
    k, whitening = len(coordinates.free), model.whitening
    low = np.array([0.0] * k + [item.low for item in model.priors])
    high = np.array([1.0] * k + [item.high for item in model.priors])
    start = np.clip(coordinates.start(model), low + 1e-6, high - 1e-6)

    finite = np.array([np.isfinite(item.std) for item in model.priors])
    mean, std = (np.array([getattr(item, name) for item in model.priors]) for name in ("mean", "std"))

    def residuals(points: FloatArray) -> FloatArray:
        """Residuals of several points, one in each row: evidence, priors, positivity of the rest, assumed carbonate."""
        x, theta = coordinates.complete(points[:, :k]), points[:, k:]
        matrix, offset = model.design(theta)
        data = (model.values - np.einsum("nij,nj->ni", matrix, x) - offset) @ whitening.T
        constants = ((theta - mean) / std)[:, finite]
        beyond = np.minimum(x[:, coordinates.rest], 0.0) / 1e-4
        assumed = np.zeros(len(x))
        if model.carbonate_is_assumed:
            mineral = np.maximum(x[:, H] + x[:, AMORPHOUS] + x[:, CARBONATE], 1e-3)
            share = x[:, CARBONATE] / mineral
            assumed = (share - priors.ASSUMED_CARBONATE.mean) / priors.ASSUMED_CARBONATE.std
        weak = 0.1 * (points[:, :k] - 1.0 / 6)  # holds what the evidence leaves open
        return np.concatenate([data, constants, beyond[:, None], assumed[:, None], weak], axis=1)

    def residual(point: FloatArray) -> FloatArray:
        return np.asarray(residuals(point[None])[0])

    def slopes(point: FloatArray) -> FloatArray:
        """Forward differences, backward where a limit is in the way; all in one call."""
        step = np.sqrt(np.finfo(float).eps) * np.maximum(1.0, np.abs(point))
        step = np.where(point + step > high, -step, step)
        moved = residuals(np.concatenate([point[None], point + np.diag(step)]))
        out: FloatArray = ((moved[1:] - moved[0]) / step[:, None]).T
        return out

    found = least_squares(residual, start, slopes, bounds=(low, high), x_scale=0.1, ftol=1e-6, xtol=1e-6, gtol=1e-6)
    jacobian = np.asarray(found.jac, dtype=float)
    precision = jacobian.T @ jacobian
    # At a bound the density falls off by its gradient rather than by curvature: an exponential of that scale.
    gradient = jacobian.T @ found.fun
    precision[np.diag_indices(len(low))] += np.where(found.active_mask != 0, gradient**2, 0.0) + 1e-3
    return _Optimum(
        composition=coordinates.complete(found.x[None, :k])[0],
        constants=found.x[k:],
        covariance=np.linalg.inv(precision)[k:, k:],
        chi_square=float((found.fun[: len(model.values) + int(finite.sum())] ** 2).sum()),
    )
