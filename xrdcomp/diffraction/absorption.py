"""Quantification through absorption: external standard, attenuation of mixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from xrdcomp.diffraction.quantify import (
    CORUNDUM_CRYSTALLINITY,
    STANDARD_SPREAD,
    Quantification,
    standard_index,
    with_rest,
)
from xrdcomp.errors import AnalysisError
from xrdcomp.results import Estimate, XrdAmounts
from xrdcomp.types import FloatArray

__all__ = ["external_constant", "external_standard"]


def external_constant(
    amounts: XrdAmounts,
    standard: str,
    mass_attenuation: float,
    *,
    crystallinity: tuple[float, float] = CORUNDUM_CRYSTALLINITY,
    spread: float = STANDARD_SPREAD,
) -> Estimate:
    """G of a diffractometer from a scan of a pure standard measured in the same way.

    G = S_s (ZMV)_s μ*_s / w_s   [O'Connor & Raven 1988 Powder Diffr. 3, 2]

    Parameters
    ----------
    amounts : of the fit to the standard's scan
    mass_attenuation : float, cm²/g, of the standard
    spread : float
        Relative standard uncertainty from repacking the standard.
    """
    s = standard_index(amounts, standard)
    value = float(amounts.amounts[s]) * mass_attenuation / crystallinity[0]
    variance = float(amounts.covariance[s, s]) / float(amounts.amounts[s]) ** 2
    relative = float(np.sqrt(variance + (crystallinity[1] / crystallinity[0]) ** 2 + spread**2))
    return Estimate(value=value, std=relative * value)


def external_standard(
    amounts: XrdAmounts,
    constant: Estimate,
    attenuation: Mapping[str, float],
    rest_attenuation: tuple[float, float],
    *,
    mineral: tuple[float, float] | None = None,
) -> Quantification:
    """Absolute fractions from the diffractometer's constant G, equal geometry and infinite thickness.

    w_i = S_i (ZMV)_i μ*_m / G   [O'Connor & Raven 1988], with the specimen's attenuation either
    self-consistent, μ*_m = μ_r + Σ w_i (μ_i − μ_r), which is linear and gives
    μ*_m = μ_r / (1 − Σ q_i (μ_i − μ_r)), q_i = S_i (ZMV)_i / G; or from the mineral fraction m of
    thermogravimetry, μ*_m = μ_r + m (μ̄ − μ_r) with μ̄ the mean of the fitted phases. The first amplifies
    errors by μ*_m/μ_r, the second does not.

    Parameters
    ----------
    constant : Estimate
        G with its standard uncertainty, from `external_constant`.
    attenuation : mapping of crystalline phase id to μ* in cm²/g
    rest_attenuation : (value, standard uncertainty), cm²/g
        Of all that is not crystalline: 6.3 for dry collagen, 10.2 for water.
    mineral : (fraction, standard uncertainty), optional
        Mineral share of the mass from thermogravimetry.

    Raises
    ------
    AnalysisError
        A phase without attenuation, no positive G, or amounts that no composition can have.
    """
    pick = [i for i, c in enumerate(amounts.crystalline) if c]
    names = tuple(amounts.names[i] for i in pick)
    missing = [name for name in names if name not in attenuation]
    if missing or not constant.value > 0.0:
        lacking = ", ".join(missing) or "none"
        msg = f"external standard: no attenuation for {lacking}, G = {constant.value:g}; give both."
        raise AnalysisError(msg)
    mu = np.array([attenuation[name] for name in names])
    mineral_value = None if mineral is None else mineral[0]
    n = len(names)
    start = np.concatenate([amounts.amounts[pick], [constant.value, rest_attenuation[0]]])
    if mineral_value is not None:
        start = np.append(start, mineral_value)
    variance = np.zeros((len(start), len(start)))
    variance[:n, :n] = amounts.covariance[np.ix_(pick, pick)]
    variance[n, n] = (constant.std or 0.0) ** 2
    variance[n + 1, n + 1] = rest_attenuation[1] ** 2
    if mineral is not None:
        variance[n + 2, n + 2] = mineral[1] ** 2

    def solve(x: FloatArray) -> FloatArray:
        q, rest = x[:n] / x[n], x[n + 1]
        if len(x) > n + 2:
            mean = float((q @ mu) / max(q.sum(), 1e-300))
            whole = rest + x[n + 2] * (mean - rest)
        else:
            whole = rest / max(1.0 - float(q @ (mu - rest)), 1e-9)
        return np.asarray(q * whole)

    fractions = solve(start)
    if fractions.sum() > 2.0:
        total = float(fractions.sum())
        msg = (
            f"external standard: the fractions sum to {total:.2f}; G or the geometry does not fit this scan."
        )
        raise AnalysisError(msg)
    jacobian = _numeric_jacobian(solve, start)
    covariance = jacobian @ variance @ jacobian.T
    constants = {
        "external_constant": constant,
        "rest_attenuation": Estimate(value=rest_attenuation[0], std=rest_attenuation[1]),
    }
    return with_rest("external_standard", names, fractions, covariance, constants)


def _numeric_jacobian(function: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """Central differences with steps of 1e-5 of each value."""
    columns = []
    for i, value in enumerate(x):
        step = 1e-5 * max(abs(float(value)), 1e-9)
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        columns.append((function(up) - function(down)) / (2.0 * step))
    return np.stack(columns, axis=1)
