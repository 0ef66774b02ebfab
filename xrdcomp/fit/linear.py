"""Linear least squares with some coefficients held non-negative and some with Gaussian priors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

from xrdcomp.types import FloatArray

BoolArray = npt.NDArray[np.bool_]

__all__ = ["LinearSolution", "solve_linear"]


@dataclass(frozen=True, kw_only=True)
class LinearSolution:
    """Coefficients and which of them are free (not held at zero)."""

    coefficients: FloatArray
    active: BoolArray


def solve_linear(gram: FloatArray, right: FloatArray, nonnegative: BoolArray) -> LinearSolution:
    """Minimise cᵀ G c − 2 cᵀ r with c_j ≥ 0 for some j.

    The free coefficients are eliminated by a Cholesky factor, the rest is a non-negative least-squares
    problem [Lawson & Hanson 1974, ch. 23], so the result is exact, not penalised.

    Parameters
    ----------
    gram : (m, m) array
        Φᵀ W Φ, priors' inverse variances added on the diagonal.
    right : (m,) array
        Φᵀ W y.
    nonnegative : (m,) boolean array
    """
    m = len(right)
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    order = np.concatenate([np.flatnonzero(~nonnegative), np.flatnonzero(nonnegative)])
    n_free = int((~nonnegative).sum())
    scaled = gram[np.ix_(order, order)] / np.outer(scale[order], scale[order])
    scaled[np.diag_indices(m)] += 1e-12
    upper = linalg.cholesky(scaled, lower=False, overwrite_a=True, check_finite=False)
    target = linalg.solve_triangular(upper, (right / scale)[order], trans="T", check_finite=False)
    part = np.zeros(m)
    if n_free < m:
        part[n_free:], _ = optimize.nnls(upper[n_free:, n_free:], target[n_free:])
    if n_free:
        rest = target[:n_free] - upper[:n_free, n_free:] @ part[n_free:]
        part[:n_free] = linalg.solve_triangular(upper[:n_free, :n_free], rest, check_finite=False)
    coefficients = np.empty(m)
    coefficients[order] = part
    active = np.ones(m, dtype=bool)
    active[nonnegative & (coefficients <= 0.0)] = False
    return LinearSolution(coefficients=coefficients / scale, active=active)
