"""From a minimum to what it says about amounts: covariance with model error, marginal over a bounded background.

The joint linearised problem in all linear coefficients and non-linear parameters is Gaussian; its data part is
divided by the residual's overdispersion and autocorrelation, so that systematic misfit widens every interval.
Background terms cannot be negative: amounts are marginalised over them with that bound (moments of a truncated
normal distribution). Amounts themselves stay signed; positivity of a composition is imposed where the
composition is formed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from xrdcomp.fit.microabsorption import apply_factors, grain_factors
from xrdcomp.fit.model import PatternModel
from xrdcomp.fit.varpro import Solution
from xrdcomp.results import XrdAmounts
from xrdcomp.types import FloatArray

BoolArray = npt.NDArray[np.bool_]

__all__ = ["Evidence", "collect_evidence", "residual_inflation", "truncated_moments"]


BLANK_STD = 0.2
"""Share of the instrument background that may have the form of a halo when no blank was measured."""

_HALO_RANGE = (10.0, 55.0)  # degrees


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Covariances at the minimum.

    parameter_covariance refers to the free parameters, grain_factors to the amounts, which are divided by them; gram
    and right are Φᵀ W Φ and Φᵀ W y of the columns, no prior in them.
    """

    amounts: XrdAmounts
    parameter_covariance: FloatArray
    inflation: float
    correlation_length: float
    grain_factors: FloatArray
    gram: FloatArray
    right: FloatArray


def residual_inflation(residual: FloatArray, n_parameters: int) -> tuple[float, float]:
    """Factor by which variances grow because of misfit, and the correlation length behind it.

    Variances are multiplied by max(1, χ²_ν) · τ with τ = 1 + 2 Σ ρ_k, the integrated autocorrelation of the
    normalised residual up to its first negative value [after Bérar & Lelann 1991 J. Appl. Cryst. 24, 1, who
    treat serial correlation of profile residuals; τ in the form of Geyer 1992 Stat. Sci. 7, 473].

    Parameters
    ----------
    residual : (n,) array, (observed − calculated) / sigma
    """
    n = len(residual)
    chi_sq = float(residual @ residual) / max(n - n_parameters, 1)
    centred = residual - residual.mean()
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    auto = np.fft.irfft(power)[: min(n, 400)]
    rho = auto[1:] / max(float(auto[0]), 1e-300)
    negative = np.flatnonzero(rho < 2.0 / np.sqrt(n))
    stop = int(negative[0]) if len(negative) else len(rho)
    tau = 1.0 + 2.0 * float(rho[:stop].sum())
    return max(1.0, chi_sq) * tau, tau


def truncated_moments(
    mean: FloatArray, covariance: FloatArray, *, seed: int = 7
) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of a normal distribution restricted to the positive orthant, by Gibbs sampling.

    Parameters
    ----------
    mean, covariance : (k,), (k, k) arrays
    seed : int
        The sampler's seed; results are reproducible.
    """
    from scipy.special import ndtr, ndtri

    k = len(mean)
    rng = np.random.default_rng(seed)
    precision = np.linalg.inv(covariance)
    std = 1.0 / np.sqrt(np.diag(precision))
    draws = np.maximum(mean, 0.0)[None, :] + std * np.abs(rng.standard_normal((400, k)))
    uniform = rng.random((60, k, 2, len(draws)))
    weights = precision / np.diag(precision)[:, None] - np.eye(k)
    off = np.ascontiguousarray((draws - mean).T)
    kept = np.empty((40, k, len(draws)))
    for sweep in range(60):
        for j in range(k):
            centre = mean[j] - weights[j] @ off
            low = centre / -std[j]
            lower = ndtr(low)
            u = lower + (1.0 - lower) * uniform[sweep, j, 0]
            np.minimum(np.maximum(u, 1e-300, out=u), 1.0 - 1e-16, out=u)
            drawn = np.maximum(centre + std[j] * ndtri(u), 0.0)
            if lower.max() > 1.0 - 1e-9:
                tail = -np.log(1.0 - uniform[sweep, j, 1]) * std[j] / np.maximum(low, 1.0)
                drawn = np.where(lower > 1.0 - 1e-9, tail, drawn)
            np.subtract(drawn, mean[j], out=off[j])
        if sweep >= 20:
            np.add(off, mean[:, None], out=kept[sweep - 20])
    sample = kept.transpose(0, 2, 1).reshape(-1, k)
    return sample.mean(axis=0), np.atleast_2d(np.cov(sample, rowvar=False))


def collect_evidence(
    model: PatternModel,
    solution: Solution,
    intensity: FloatArray,
    sigma: FloatArray,
    *,
    per_gram_std: tuple[float, float],
    grain_size_um: float = 0.0,
    known_grains_um: Mapping[str, float] | None = None,
) -> Evidence:
    """Amounts of every component with their complete covariance.

    Parameters
    ----------
    per_gram_std : (float, float)
        Relative standard uncertainty of the scattering per gram of crystalline and of amorphous components.
    grain_size_um : float
        Typical grain diameter for microabsorption; 0 for none.
    known_grains_um : mapping, optional
        Phase id → its own grain diameter.
    """
    columns, jacobian = solution.columns / sigma[:, None], solution.jacobian / sigma[:, None]
    joint = np.concatenate([columns, jacobian], axis=1)
    residual = (intensity - solution.columns @ solution.coefficients) / sigma
    n_free = int(solution.active.sum()) + jacobian.shape[1]
    inflation, tau = residual_inflation(residual, n_free)
    gram = joint.T @ joint
    prior = np.concatenate([solution.linear_prior, solution.parameter_prior])
    start = np.concatenate([solution.coefficients, np.zeros(jacobian.shape[1])])
    pull = np.concatenate(
        [-solution.linear_prior * solution.coefficients, -solution.parameter_prior * solution.offset]
    )
    moved, covariance = _unconstrained(gram / inflation, prior, joint.T @ residual / inflation + pull, start)
    _, spread = _unconstrained(gram, prior, joint.T @ residual + pull, start)
    counting = spread @ gram @ spread  # what the priors of halo and line forms leave open is not counting
    m = len(model.columns)
    is_amount = np.array([c.kind in ("phase", "amorphous") for c in model.columns])
    bounded = np.array([c.kind == "background" and c.nonnegative for c in model.columns])
    amounts, amount_cov = _marginal(moved[:m], covariance[:m, :m], is_amount, bounded)
    crystalline = np.array([c.kind == "phase" for c in model.columns])[is_amount]
    relative = np.where(crystalline, per_gram_std[0], per_gram_std[1])
    names = tuple(c.name for c in model.columns if c.kind in ("phase", "amorphous"))
    amount_cov = amount_cov + _hidden_halo(model, solution, names)
    masses = dict(zip(names, amounts.tolist(), strict=True))
    factors = _grain_factors(model, solution, masses, (grain_size_um, known_grains_um))
    measured = np.array([name in (known_grains_um or {}) for name in names])
    amounts, amount_cov = apply_factors(amounts, amount_cov, factors, measured)
    scale = relative * np.maximum(amounts, 0.0)
    return Evidence(
        amounts=XrdAmounts(
            names=names,
            amounts=amounts,
            covariance=amount_cov + np.diag(scale**2),
            crystalline=tuple(bool(v) for v in crystalline),
            counting_covariance=counting[:m, :m][np.ix_(is_amount, is_amount)],
            blank_measured=any(c.name == "background_blank" for c in model.columns),
        ),
        parameter_covariance=covariance[m:, m:],
        inflation=inflation,
        correlation_length=tau,
        grain_factors=factors,
        gram=gram[:m, :m],
        right=columns.T @ (intensity / sigma),
    )


def _hidden_halo(model: PatternModel, solution: Solution, names: tuple[str, ...]) -> FloatArray:
    """Covariance of the organic halo from what air and holder may scatter in its shape.

    Without an empty-holder scan a share of the instrument background (`BLANK_STD`, one standard deviation) may
    have the form of a halo; it is expressed as an amount of protein, whose ring lies where glass and plastic
    holders and air have theirs. A measured blank leaves nothing of it.
    """
    out = np.zeros((len(names), len(names)))
    kinds = np.array([c.kind for c in model.columns])
    if "protein" not in names or any(c.name == "background_blank" for c in model.columns):
        return out
    window = (model.two_theta >= _HALO_RANGE[0]) & (model.two_theta <= _HALO_RANGE[1])
    if not window.any():
        return out
    instrument = np.isin(kinds, ["background", "correction"])
    level = solution.columns[np.ix_(window, instrument)] @ solution.coefficients[instrument]
    column = [c.name for c in model.columns].index("protein")
    per_gram = float(solution.columns[window, column].sum())
    index = names.index("protein")
    out[index, index] = (BLANK_STD * max(float(level.sum()), 0.0) / per_gram) ** 2
    return out


def _grain_factors(
    model: PatternModel,
    solution: Solution,
    amounts: dict[str, float],
    grains_um: tuple[float, Mapping[str, float] | None],
) -> FloatArray:
    """Brindley factor of every component, 1 for amorphous ones."""
    phases = [item.phase for item in model.lines]
    sizes = {}
    for phase in phases:
        inverse = [solution.values.get(f"{phase.id}_inverse_size_{axis}", 0.0) for axis in "ac"]
        sizes[phase.id] = 1.0 / max(*inverse, 1e-6)
    factors = grain_factors(
        phases,
        amounts,
        sizes,
        wavelength=model.instrument.wavelength,
        grain_size_um=grains_um[0],
        known_um=grains_um[1],
    )
    return np.array([factors.get(name, 1.0) for name in amounts])


def _unconstrained(
    gram: FloatArray, prior: FloatArray, gradient: FloatArray, start: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """One Newton step with all bounds lifted, and the covariance there."""
    normal = gram + np.diag(prior)
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    scaled = normal / np.outer(scale, scale)
    scaled[np.diag_indices_from(scaled)] += 1e-11
    inverse = linalg.inv(scaled) / np.outer(scale, scale)
    inverse = 0.5 * (inverse + inverse.T)
    return start + inverse @ gradient, inverse


def _marginal(
    mean: FloatArray, covariance: FloatArray, is_amount: BoolArray, bounded: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Moments of the amounts with the background terms restricted to be non-negative."""
    caa = covariance[np.ix_(is_amount, is_amount)]
    if not bounded.any():
        return mean[is_amount], caa
    cab = covariance[np.ix_(is_amount, bounded)]
    cbb = covariance[np.ix_(bounded, bounded)]
    truncated_mean, truncated_cov = truncated_moments(mean[bounded], cbb)
    gain = np.linalg.solve(cbb, cab.T).T
    moments = mean[is_amount] + gain @ (truncated_mean - mean[bounded])
    spread = caa - gain @ cab.T + gain @ truncated_cov @ gain.T
    return moments, 0.5 * (spread + spread.T)
