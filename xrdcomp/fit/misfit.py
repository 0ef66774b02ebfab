"""How far amounts hang on single stretches of a pattern that is fitted badly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from xrdcomp.fit.model import PatternModel
from xrdcomp.fit.varpro import Solution
from xrdcomp.types import FloatArray

__all__ = ["GOOD_FIT_GOF", "misfit_covariance"]

GOOD_FIT_GOF = 1.2
"""Goodness of fit up to which misfit is what counting and the stated forms of halos and lines leave: of 400 simulated
specimens whose halos, lines and optics are not those of the model the worst had 1.15."""
_STRETCH = 2.0
"""Degrees; a line with what overlaps it, so that positive and negative residuals of one profile belong together."""
_KEPT = 0.02
"""Weight that a stretch keeps when it is left out, so that a phase with all its lines in one stays finite."""


def misfit_covariance(
    model: PatternModel, solution: Solution, weighted: tuple[FloatArray, FloatArray], inflation: float
) -> FloatArray:
    """Covariance of the amounts from misfit that is not spread evenly over the pattern.

    The fit's own covariance takes the misfit as noise of one size everywhere (`residual_inflation`). Where the
    intensities of lines are wrong (few large grains, texture, a missing phase under one of them) the misfit sits on
    the very points that determine an amount. It shows when stretches of the pattern are left out in turn: the
    amounts then move by more than noise of that size moves them (jackknife over blocks, Künsch 1989 Ann. Stat. 17,
    1217), V = (K - 1)/K Σ d_k d_kᵀ with the linearised change d_k of the amounts without stretch k. What V has beyond
    the noise that the fit assumed is returned, weighted with (g² - g₀²)/(g² - 1), the share of the excess of χ² that
    lies beyond a good fit's; g is the goodness of fit, g₀ = `GOOD_FIT_GOF`. Up to g₀ it is zero.

    Parameters
    ----------
    model : PatternModel
    solution : Solution
    weighted : (n,) array and (n,) array
        Residual over standard deviation, and the standard deviation.
    inflation : float
        Factor by which the fit's covariance allows for misfit.

    Returns
    -------
    (k, k) array
        In the order of the amounts, before corrections for grains; positive semidefinite.
    """
    residual, sigma = weighted
    amounts = np.flatnonzero([column.kind in ("phase", "amorphous") for column in model.columns])
    joint = np.concatenate([solution.columns, solution.jacobian], axis=1) / sigma[:, None]
    free = int(solution.active.sum()) + solution.jacobian.shape[1]
    excess = float(residual @ residual) / max(len(residual) - free, 1)
    none = np.zeros((len(amounts), len(amounts)))
    if excess <= GOOD_FIT_GOF**2:
        return none
    prior = np.concatenate([solution.linear_prior, solution.parameter_prior])
    scale = np.sqrt(np.maximum((joint**2).sum(axis=0) / inflation + prior, 1e-300))
    joint, prior = joint / scale / np.sqrt(inflation), prior / scale**2 + 1e-9
    gram = joint.T @ joint
    right = np.eye(len(gram))[:, amounts]
    found = none.copy()
    parts = _stretches(model.two_theta)
    for part in parts:
        own = joint[part]
        gain = np.linalg.solve(gram + np.diag(prior) - (1.0 - _KEPT) * own.T @ own, right)
        move = gain.T @ (own.T @ residual[part]) / np.sqrt(inflation)
        found += np.outer(move, move)
    gain = np.linalg.solve(gram + np.diag(prior), right)
    beyond = (found * (len(parts) - 1) / len(parts) - gain.T @ gram @ gain) / np.outer(
        scale[amounts], scale[amounts]
    )
    values, vectors = np.linalg.eigh(0.5 * (beyond + beyond.T))
    share = (excess - GOOD_FIT_GOF**2) / (excess - 1.0)
    out: FloatArray = share * (vectors * np.maximum(values, 0.0)) @ vectors.T
    return out


def _stretches(two_theta: FloatArray) -> list[slice]:
    edges = np.arange(two_theta[0], two_theta[-1], _STRETCH)[1:]
    at = [0, *np.searchsorted(two_theta, edges).tolist(), len(two_theta)]
    return [slice(low, high) for low, high in pairwise(at) if high > low]
