"""How much of the Bragg area a background would take: the one of this fit, a free polynomial, a rolling one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.fit.diffuse import diffuse_now
from xrdcomp.fit.linear import solve_linear
from xrdcomp.types import FloatArray

if TYPE_CHECKING:
    from xrdcomp.fit.pattern import FitState

__all__ = ["ROLLING_HALF_WINDOW", "bragg_area_lost", "rolling_background"]

ROLLING_HALF_WINDOW = 2.0
"""Degrees, half window of the rolling background with which the fit is compared."""

_CORRECTION_STD = 0.01  # of the median intensity, as in `fit.background`


def bragg_area_lost(state: FitState, areas: Mapping[str, float]) -> dict[str, float]:
    """Shares of the crystalline phases' Bragg area that the background takes, or would take.

    Positions, widths and halo forms are held at the minimum and the linear problem is solved twice: with the physical
    background (non-negative falling terms, corrections of one per cent) and with a free polynomial.

    Parameters
    ----------
    state : FitState
    areas : mapping of phase id to its Bragg area in this fit

    Returns
    -------
    mapping
        ``fit``: what the background of this fit takes more than the physical one, 0 for that one itself; negative where
        it takes less. ``free_polynomial``: what a free polynomial would take; the amounts lean on the background by so
        much. ``rolling``: what lies under a rolling background of ± 2° (`rolling_background`) laid under the fitted
        lines, which a fit does not lose and an area ratio does. Empty without Bragg lines.
    """
    total = sum(areas.values())
    if not total > 0.0:
        return {}
    physical, free = (_total(state, areas, free=flag) for flag in (False, True))
    bragg = _bragg_curve(state)
    below = rolling_background(bragg, float(np.median(np.diff(state.two_theta))))
    out = {"rolling": float(below.sum() / bragg.sum())}
    if physical > 0.0:
        out["fit"] = 1.0 - total / physical if state.recipe.background == "flexible" else 0.0
        out["free_polynomial"] = 1.0 - free / physical
    return out


def rolling_background(curve: FloatArray, step: float) -> FloatArray:
    """Background by clipping peaks, y ← min(y, mean of the values w to either side), w falling from 2° to one point.

    [Ryan et al. 1988 Nucl. Instrum. Methods B34, 396, without its logarithms]

    Parameters
    ----------
    curve : (n,) array
    step : float, degrees between points
    """
    out = curve.copy()
    for w in range(max(round(ROLLING_HALF_WINDOW / step), 1), 0, -1):
        if 2 * w < len(out):
            out[w:-w] = np.minimum(out[w:-w], 0.5 * (out[: -2 * w] + out[2 * w :]))
    return out


def _bragg_curve(state: FitState) -> FloatArray:
    total = np.zeros_like(state.two_theta)
    for k, lines in enumerate(state.model.lines):
        diffuse = state.model.slit * diffuse_now(lines, state.solution.values)
        total += state.solution.coefficients[k] * (state.solution.columns[:, k] - diffuse)
    return np.maximum(total, 0.0)


def _total(state: FitState, areas: Mapping[str, float], *, free: bool) -> float:
    """Bragg area of all phases with one of two backgrounds."""
    solution, model = state.solution, state.model
    correction = np.array([c.kind == "correction" for c in model.columns])
    background = np.array([c.kind == "background" for c in model.columns])
    bounded = np.array([c.nonnegative for c in model.columns])
    held = (_CORRECTION_STD * float(np.median(state.intensity)) or 1.0) ** -2
    prior = np.where(correction, 0.0 if free else held, solution.linear_prior)
    bounded = np.where(background, not free, bounded)
    gram = state.evidence.gram + np.diag(prior + 1e-12 * np.diag(state.evidence.gram))
    found = solve_linear(gram, state.evidence.right, bounded).coefficients
    own = solution.coefficients
    pairs = enumerate(model.phase_ids)
    return float(sum(areas[name] * found[k] / own[k] for k, name in pairs if own[k] != 0.0))
