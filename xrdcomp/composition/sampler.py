"""Exact posterior of the joint model by importance sampling.

For fixed constants the evidence is linear and Gaussian in the composition, so the composition can be drawn
from a Gaussian truncated to the simplex, one coordinate after the other in an order in which every bound is
known when it is needed: w, c, o, then z within what is left, then A; h is the rest. (Sequential truncation:
Geweke 1991; Hajivassiliou, McFadden & Ruud 1996.) The constants are drawn from a Student distribution around
the constrained optimum and adapted once or twice (Cappé et al. 2004). Weights are target over proposal, hence
the sample is exact whatever the proposal; its quality is the effective sample size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares
from scipy.special import log_ndtr, ndtri, ndtri_exp

from xrdcomp.composition.model import (
    AMORPHOUS,
    CARBONATE,
    LATTICE_CARBONATE,
    ORGANIC,
    OTHER,
    WATER,
    H,
    JointModel,
)
from xrdcomp.results import COMPONENTS
from xrdcomp.units import CO2_PER_CARBONATE, FloatArray

_ORDER = (WATER, CARBONATE, ORGANIC, OTHER, AMORPHOUS)
"""Order in which coordinates are drawn; h, or the last one that is there, is what is left."""
_DOF = 7.0
_RIDGE = 0.05
_PILOT = 1500
_TWO_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Equally weighted draws.

    Parameters
    ----------
    composition : (n, 6) array, in the order of ``COMPONENTS``
    constants : (n, p) array, in the order of the model's nuisances
    mode_composition, mode_constants : the constrained optimum
    chi_square : float
        Weighted squared residual at the optimum, priors of the constants included.
    effective_size : float
        Effective number of independent draws before resampling.
    log_evidence : float
        Logarithm of the marginal likelihood, up to a constant that is common to models of the same evidence.
    """

    composition: FloatArray
    constants: FloatArray
    mode_composition: FloatArray
    mode_constants: FloatArray
    chi_square: float
    effective_size: float
    log_evidence: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Batch:
    constants: FloatArray
    composition: FloatArray
    weights: FloatArray
    effective_size: float
    log_evidence: float


@dataclass(frozen=True, kw_only=True)
class _Coordinates:
    """Which fractions are drawn, and which one is the rest; absent ones are zero."""

    free: tuple[int, ...]
    rest: int

    @classmethod
    def of(cls, model: JointModel) -> _Coordinates:
        there = [i for i in range(len(COMPONENTS)) if i not in model.absent]
        rest = next(i for i in (H, AMORPHOUS, ORGANIC) if i in there)
        return cls(free=tuple(i for i in _ORDER if i in there and i != rest), rest=rest)

    def complete(self, drawn: FloatArray) -> FloatArray:
        """Compositions (n, 6) from the drawn coordinates."""
        x = np.zeros((len(drawn), len(COMPONENTS)))
        x[:, self.free] = drawn
        x[:, self.rest] = 1.0 - drawn.sum(axis=1)
        return x

    def at(self, index: int) -> int | None:
        """Position of a component among the drawn ones."""
        return self.free.index(index) if index in self.free else None


def sample_posterior(model: JointModel, *, draws: int = 4000, seed: int = 0) -> Posterior:
    """Draw from the posterior of composition and constants.

    Parameters
    ----------
    model : JointModel
    draws : int
        Number of draws returned; more narrow the Monte Carlo error of interval ends.
    seed : int
        Same seed, same bytes.
    """
    rng = np.random.default_rng(seed)
    root = np.linalg.inv(np.linalg.cholesky(model.covariance))
    mode, theta, chi_square, centre, spread = _laplace(model, root)
    mineral = max(float(mode[[H, AMORPHOUS, OTHER, CARBONATE]].sum()), 0.02)
    batch = _batch(model, root, (centre, 1.5 * spread, mineral), _PILOT, rng)
    for size in (_PILOT, 5 * draws // 4, 5 * draws // 2, 5 * draws):
        centre, spread = _moments(batch, spread)
        batch = _batch(model, root, (centre, 1.2 * spread, mineral), size, rng)
        if size != _PILOT and batch.effective_size > 0.2 * draws:
            break
    chosen = _resample(batch.weights, draws, rng)
    return Posterior(
        composition=batch.composition[chosen],
        constants=batch.constants[chosen],
        mode_composition=mode,
        mode_constants=theta,
        chi_square=chi_square,
        effective_size=batch.effective_size,
        log_evidence=batch.log_evidence,
    )


def average_models(
    models: Sequence[JointModel], *, prior: Sequence[float], draws: int, seed: int
) -> tuple[Posterior, FloatArray]:
    """Posterior over several models of one evidence, and the probability of each.

    Parameters
    ----------
    models : sequence of JointModel
        They differ in which components are absent. The first is the most general; optimum and χ² are its own.
    prior : sequence of float
        Prior probabilities, sum 1.
    draws, seed : int

    Returns
    -------
    posterior : Posterior
        Draws of each model in proportion to its probability.
    probability : (k,) array
    """
    parts = [sample_posterior(model, draws=draws, seed=seed + i) for i, model in enumerate(models)]
    log_odds = np.array([part.log_evidence for part in parts]) + np.log(prior)
    probability = np.exp(log_odds - log_odds.max())
    probability /= probability.sum()
    ends = np.round(np.cumsum(probability) * draws).astype(int)
    counts = np.diff(np.concatenate([[0], ends]))
    order = np.random.default_rng(seed).permutation(draws)
    chosen = [(part, int(n)) for part, n in zip(parts, counts, strict=True)]
    return replace(
        parts[0],
        composition=np.concatenate([part.composition[:n] for part, n in chosen])[order],
        constants=np.concatenate([part.constants[:n] for part, n in chosen])[order],
        effective_size=min(part.effective_size for part, n in chosen if n > 0.05 * draws),
    ), probability


def free_scale(model: JointModel) -> tuple[float, float]:
    """Bias of crystalline against diffuse intensities that fits best when the prior does not hold it.

    Returns
    -------
    bias, std : float
        At the constrained optimum with a prior of 1 (100 %) on the bias.
    """
    at = model.names.index("xrd_bias")
    loose = replace(
        model,
        nuisances=tuple(
            replace(item, std=1.0) if item.name == "xrd_bias" else item for item in model.nuisances
        ),
    )
    root = np.linalg.inv(np.linalg.cholesky(model.covariance))
    _, theta, _, _, spread = _laplace(loose, root)
    return float(theta[at]), float(np.sqrt(spread[at, at]))


def _laplace(
    model: JointModel, root: FloatArray
) -> tuple[FloatArray, FloatArray, float, FloatArray, FloatArray]:
    """Constrained optimum and the Gaussian of the constants around it."""
    coordinates = _Coordinates.of(model)
    k = len(coordinates.free)
    low = np.array([0.0] * k + [item.low for item in model.nuisances])
    high = np.array([1.0] * k + [item.high for item in model.nuisances])
    start = np.clip(_start(model, coordinates), low + 1e-6, high - 1e-6)

    finite = np.array([np.isfinite(item.std) for item in model.nuisances])
    mean, std = (np.array([getattr(item, name) for item in model.nuisances]) for name in ("mean", "std"))

    def residuals(points: FloatArray) -> FloatArray:
        """Residuals of several points, one in each row."""
        x, theta = coordinates.complete(points[:, :k]), points[:, k:]
        matrix, offset = model.design(theta)
        data = (model.values - np.einsum("nij,nj->ni", matrix, x) - offset) @ root.T
        priors = ((theta - mean) / std)[:, finite]
        beyond = np.minimum(x[:, coordinates.rest], 0.0) / 1e-4
        assumed = _assumed_carbonate(x) if model.carbonate_is_assumed else np.zeros(len(x))
        weak = 0.1 * (points[:, :k] - 1.0 / 6)
        return np.concatenate([data, priors, beyond[:, None], assumed[:, None], weak], axis=1)

    def slopes(point: FloatArray) -> FloatArray:
        """Forward differences, backward where a limit is in the way; all in one call."""
        step = np.sqrt(np.finfo(float).eps) * np.maximum(1.0, np.abs(point))
        step = np.where(point + step > high, -step, step)
        moved = residuals(np.concatenate([point[None], point + np.diag(step)]))
        out: FloatArray = ((moved[1:] - moved[0]) / step[:, None]).T
        return out

    def residual(point: FloatArray) -> FloatArray:
        return np.asarray(residuals(point[None])[0])

    found = least_squares(
        residual,
        start,
        slopes,
        bounds=(low, high),
        x_scale=0.1,
        ftol=1e-6,
        xtol=1e-6,
        gtol=1e-6,
    )
    jacobian = np.asarray(found.jac, dtype=float)
    precision = jacobian.T @ jacobian
    at_bound = found.active_mask != 0
    gradient = jacobian.T @ found.fun
    precision[np.diag_indices(len(low))] += np.where(at_bound, gradient**2, 0.0) + 1e-3
    spread = np.linalg.inv(precision)[k:, k:]
    m = len(model.values)
    n_prior = sum(np.isfinite(item.std) for item in model.nuisances)
    chi_square = float((found.fun[: m + n_prior] ** 2).sum())
    return coordinates.complete(found.x[None, :k])[0], found.x[k:], chi_square, found.x[k:], spread


def _assumed_carbonate(x: FloatArray) -> FloatArray:
    mineral = np.maximum(x[:, H] + x[:, AMORPHOUS] + x[:, CARBONATE], 1e-3)
    return np.asarray((x[:, CARBONATE] / mineral - LATTICE_CARBONATE[0]) / LATTICE_CARBONATE[1])


def _start(model: JointModel, coordinates: _Coordinates) -> FloatArray:
    """A composition read off the evidence, then the constants at their prior means."""
    x = np.full(len(COMPONENTS), 0.01)
    xrd, thermal = model.xrd, model.thermal
    if xrd is not None:
        pairs = {
            "apatite": H,
            "organic": ORGANIC,
            "water": WATER,
            "amorphous_mineral": AMORPHOUS,
            "other": OTHER,
        }
        for row, index in pairs.items():
            x[index] = max(xrd.row(row), 1e-3)
    log_scale = 0.0
    if thermal is not None:
        water, organic = np.clip(thermal.losses[:2], 1e-3, 0.98)
        x[WATER] = water
        if thermal.sees_carbonate:
            x[CARBONATE] = max(float(thermal.losses[2]), 1e-3) / CO2_PER_CARBONATE
        x[ORGANIC] = organic / (1 - thermal.char_fraction) if thermal.inert else organic
        left = max(1.0 - x[[WATER, CARBONATE, ORGANIC]].sum(), 0.01)
        solid = [H, AMORPHOUS, OTHER]
        before = x[solid].sum()
        x[solid] *= left / before
        log_scale = float(np.log(before / left)) if xrd is not None and not xrd.sees_amorphous else 0.0
    x[sorted(model.absent)] = 0.0
    x /= x.sum()
    if xrd is not None and "standard" in xrd.rows and model.standard is not None:
        share = model.standard.fraction / (1 - model.standard.fraction)
        log_scale = float(np.log(max(xrd.row("standard"), 1e-3) / share))
    means = [
        item.mean if item.name != "log_scale" or np.isfinite(item.std) else log_scale
        for item in model.nuisances
    ]
    return np.concatenate([x[list(coordinates.free)], means])


def _batch(
    model: JointModel,
    root: FloatArray,
    proposal: tuple[FloatArray, FloatArray, float],
    n: int,
    rng: np.random.Generator,
) -> _Batch:
    centre, spread, mineral = proposal
    theta, log_q = _draw_constants(centre, spread, n, rng)
    low = np.array([item.low for item in model.nuisances])
    high = np.array([item.high for item in model.nuisances])
    outside = ((theta < low) | (theta > high)).any(axis=1)
    safe = np.clip(theta, low, high)
    matrix, offset = model.design(safe)
    factor, log_det = model.precision_factor(safe)
    matrix = (root @ matrix) * factor[:, :, None]
    target = (model.values @ root.T - offset @ root.T) * factor
    coordinates = _Coordinates.of(model)
    drawn, log_qx = _draw_simplex(*_conditional(model, matrix, target, mineral), rng)
    x = np.maximum(coordinates.complete(drawn), 0.0)
    misfit = target - np.einsum("nij,nj->ni", matrix, x)
    log_w = model.log_prior(safe, x) + log_det - 0.5 * (misfit**2).sum(axis=1) - log_q - log_qx
    log_w[outside | ~np.isfinite(log_w)] = -np.inf
    weights = np.exp(log_w - log_w.max())
    total = float(weights.sum())
    weights /= total
    return _Batch(
        constants=safe,
        composition=x,
        weights=weights,
        effective_size=float(1.0 / (weights**2).sum()),
        log_evidence=float(log_w.max()) + float(np.log(total / n)),
    )


def _draw_constants(
    centre: FloatArray, spread: FloatArray, n: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Multivariate Student draws and their log density up to a constant of the dimension."""
    p = len(centre)
    root = np.linalg.cholesky(spread + 1e-12 * np.eye(p))
    normal = _stratified_normal(n, p, rng)
    mix = rng.chisquare(_DOF, size=n) / _DOF
    scaled = normal / np.sqrt(mix)[:, None]
    log_density = -0.5 * (_DOF + p) * np.log1p((scaled**2).sum(axis=1) / _DOF)
    log_density -= float(np.log(np.diag(root)).sum())
    return centre + scaled @ root.T, log_density


def _stratified_normal(n: int, p: int, rng: np.random.Generator) -> FloatArray:
    """Standard normal draws, each coordinate one per stratum (Latin hypercube, McKay et al. 1979)."""
    out = np.empty((n, p))
    for j in range(p):
        out[:, j] = ndtri((rng.permutation(n) + np.maximum(rng.random(n), 1e-300)) / n)
    return out


def _conditional(
    model: JointModel, matrix: FloatArray, target: FloatArray, mineral: float
) -> tuple[FloatArray, FloatArray]:
    """Mean and reversed Cholesky factor of the precision of the free coordinates, for each draw.

    A weak normal term keeps directions finite which the evidence leaves open; it belongs to the proposal
    only.
    """
    coordinates = _Coordinates.of(model)
    free = matrix[:, :, coordinates.free] - matrix[:, :, [coordinates.rest]]
    rest = target - matrix[:, :, coordinates.rest]
    k = len(coordinates.free)
    carbonate = coordinates.at(CARBONATE)
    if model.carbonate_is_assumed and carbonate is not None:
        # h + A + c = 1 - w - o - z, so the assumed share of carbonate is linear in the free coordinates
        share, std = LATTICE_CARBONATE
        row = np.zeros((len(free), 1, k))
        for index in (WATER, ORGANIC, OTHER):
            at = coordinates.at(index)
            if at is not None:
                row[:, 0, at] = share
        row[:, 0, carbonate] = 1.0
        free = np.concatenate([free, row / (1.3 * std * mineral)], axis=1)
        rest = np.concatenate([rest, np.full((len(rest), 1), share / (1.3 * std * mineral))], axis=1)
    solid = np.array([index in (OTHER, AMORPHOUS) for index in coordinates.free])
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
    """Draw the free coordinates inside the simplex; (n, 5) and the log density of the proposal."""
    n, k = mean.shape
    out = np.empty((n, k))
    left = np.ones(n)
    log_q = np.zeros(n)
    delta = np.zeros((n, k))
    for j in range(k):
        r = k - 1 - j
        sd = 1.0 / reversed_root[:, r, r]
        shift = np.einsum("ni,ni->n", reversed_root[:, r + 1 :, r], delta[:, r + 1 :]) * sd
        centre = mean[:, j] - shift
        uniform = (rng.permutation(n) + rng.random(n)) / n
        z, log_mass = _truncated_normal(-centre / sd, (left - centre) / sd, uniform)
        out[:, j] = np.clip(centre + sd * z, 0.0, left)
        delta[:, r] = out[:, j] - mean[:, j]
        log_q += -0.5 * z**2 - 0.5 * _TWO_PI - np.log(sd) - log_mass
        left = np.maximum(left - out[:, j], 0.0)
    return out, log_q


def _truncated_normal(
    low: FloatArray, high: FloatArray, uniform: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Standard normal between two bounds by inversion, accurate in both tails; also log of the mass
    inside.
    """
    flip = low > 0
    a = np.where(flip, -high, low)
    b = np.where(flip, -low, high)
    b = np.maximum(b, a + 1e-12)
    log_a, log_b = log_ndtr(a), log_ndtr(b)
    ratio = np.exp(log_a - log_b)
    log_mass = log_b + np.log(np.maximum(-np.expm1(log_a - log_b), 1e-300))
    z = np.clip(ndtri_exp(log_b + np.log(ratio + uniform * (1.0 - ratio))), a, b)
    return np.where(flip, -z, z), log_mass


def _moments(batch: _Batch, fallback: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted mean and covariance; flattened weights where few draws carry them."""
    weights = batch.weights
    for _ in range(6):
        if 1.0 / (weights**2).sum() > 60:
            break
        weights = np.sqrt(weights)
        weights /= weights.sum()
    centre = weights @ batch.constants
    away = batch.constants - centre
    spread = (away * weights[:, None]).T @ away
    return centre, 0.95 * spread + 0.05 * np.diag(np.diag(fallback))


def _resample(weights: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """Systematic resampling: indices of `n` equally weighted draws, shuffled."""
    points = (np.arange(n) + rng.random()) / n
    chosen = np.searchsorted(np.cumsum(weights), points).clip(0, len(weights) - 1)
    shuffled: FloatArray = rng.permutation(chosen)
    return shuffled
