"""lmfit as face and as slow oracle: the same residual through lmfit, and a fit as an lmfit result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xrdcomp.fit.varpro import LeastSquares, Solution

if TYPE_CHECKING:
    import lmfit

    from xrdcomp.fit.model import PatternModel
    from xrdcomp.fit.parameters import ParameterTable
    from xrdcomp.results import FitResult
    from xrdcomp.types import FloatArray

__all__ = ["minimize_lmfit", "minimizer_result"]


def minimize_lmfit(
    model: PatternModel,
    table: ParameterTable,
    intensity: FloatArray,
    sigma: FloatArray,
    *,
    max_nfev: int = 4000,
) -> Solution:
    """Minimise as `fit.varpro.minimize` does, but by lmfit's Levenberg-Marquardt with numerical derivatives.

    Linear coefficients are solved inside the residual; priors are rows of it. Slow: every derivative costs one
    evaluation of the pattern. It exists to check the fast solver.
    """
    import lmfit

    problem = LeastSquares(model, table, intensity, sigma)
    start = np.array([item.value for item in table.free])
    prior = problem.start(start).prior
    params = lmfit.Parameters()
    for item in table.free:
        value = float(np.clip(item.value, item.low + 1e-9 * item.step, item.high - 1e-9 * item.step))
        params.add(item.name, value=value, min=item.low, max=item.high)

    def residual(p: Any) -> FloatArray:
        free = np.array([p[item.name].value for item in table.free])
        state = problem.state(free, prior)
        rows = np.sqrt(problem.precision) * (free - problem.mean)
        return np.concatenate([state.residual, np.sqrt(prior) * state.coefficients, rows])

    result = lmfit.minimize(residual, params, method="leastsq", max_nfev=max_nfev, calc_covar=False)
    free = np.array([result.params[item.name].value for item in table.free])
    return problem.solution(
        problem.state(free, prior), free, int(result.nfev), converged=bool(result.success)
    )


def minimizer_result(fit: FitResult) -> lmfit.minimizer.MinimizerResult:
    """Return a fit as lmfit's MinimizerResult: prints with ``lmfit.fit_report``, knows stderr and correl.

    Standard errors include the inflation by misfit, as in ``fit.parameters``.

    Parameters
    ----------
    fit : FitResult

    Returns
    -------
    lmfit.minimizer.MinimizerResult
    """
    import lmfit

    params = lmfit.Parameters()
    for name, estimate in fit.parameters.items():
        params.add(name, value=estimate.value, vary=estimate.std is not None)
        params[name].stderr = estimate.std
    std = np.sqrt(np.maximum(np.diag(fit.covariance), 1e-300))
    correlation = fit.covariance / np.outer(std, std)
    for i, name in enumerate(fit.covariance_names):
        others = {o: float(correlation[i, j]) for j, o in enumerate(fit.covariance_names) if j != i}
        params[name].correl = others
    weighted = (fit.observed - fit.calculated) / fit.sigma
    chisqr = float(weighted @ weighted)
    nfree = len(weighted) - fit.n_parameters
    return lmfit.minimizer.MinimizerResult(
        params=params,
        residual=weighted,
        var_names=list(fit.covariance_names),
        covar=np.array(fit.covariance),
        success=fit.converged,
        errorbars=True,
        method="variable projection",
        nfev=fit.n_iterations,
        ndata=len(weighted),
        nvarys=len(fit.covariance_names),
        nfree=nfree,
        chisqr=chisqr,
        redchi=chisqr / max(nfree, 1),
        aic=len(weighted) * np.log(chisqr / len(weighted)) + 2 * fit.n_parameters,
        bic=len(weighted) * np.log(chisqr / len(weighted)) + np.log(len(weighted)) * fit.n_parameters,
        init_values={},
        message="",
        ier=1,
        lmdif_message="",
        aborted=False,
    )
