"""A constant shift or a displaced specimen: which one the angles show, and what stays open between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from xrdcomp.fit.model import PatternModel
from xrdcomp.fit.parameters import ParameterTable
from xrdcomp.fit.varpro import Solution, minimize
from xrdcomp.types import FloatArray

__all__ = ["zero_or_displacement"]

_SYSTEMATIC_COST = 20.0
"""By how much what no model has (aberrations, the skew spectrum behind broad lines) may favour the wrong one of the
two, in units of the cost: up to 33 on simulated apatites of 3 000 to 30 000 counts."""


def zero_or_displacement(
    model: PatternModel,
    table: ParameterTable,
    solution: Solution,
    data: tuple[FloatArray, FloatArray],
    negligible: float,
) -> tuple[ParameterTable, Solution, Mapping[str, float]]:
    """Let the lines' angles decide whether a constant shift explains them better than a displacement.

    The two differ by a factor cosθ only and must not both be free: their difference trades with the cell.

    Parameters
    ----------
    model : PatternModel
    table, solution : ParameterTable, Solution
        With the displacement free.
    data : intensities and standard deviations on the model's points
    negligible : float, degrees
        A smaller shift needs no decision.

    Returns
    -------
    table, solution : of the better one
    doubt : mapping
        Standard deviation of the cells and of the shift from the choice: √p times what the other one changes, with
        p = 1 / (1 + exp(Δ / (2 · 20))), Δ its excess cost over χ²_ν.
    """
    displacement = solution.values["sample_displacement_mm"]
    radius = model.instrument.radius_mm
    shift = -np.degrees(2.0 * displacement / radius) * np.cos(np.radians(model.two_theta.mean() / 2))
    if abs(shift) < negligible:
        return table, solution, {}
    known = model.instrument.zero_shift
    items = []
    for item in table.with_values(solution.values).items:
        if item.name == "sample_displacement_mm":
            std = float(np.degrees(2.0 * item.prior_std / radius))
            start = float(known + shift)
            item = replace(item, name="zero_shift", value=start, low=-2.0, high=2.0, prior_std=std, step=std)
            item = replace(item, prior_mean=known, unit="deg", meaning="observed - true")
        items.append(item)
    other = ParameterTable(tuple(items))
    trial = minimize(model, other, *data, max_iterations=12, tolerance=1e-3)
    doubt = _doubt(table, solution, trial, known)
    return (other, trial, doubt) if trial.cost < solution.cost else (table, solution, doubt)


def _doubt(table: ParameterTable, moved: Solution, shifted: Solution, known: float) -> dict[str, float]:
    """Standard deviations between a displaced (`moved`) and a shifted solution."""
    n = len(moved.columns)
    scatter = max(1.0, min(moved.cost, shifted.cost) / n)
    excess = abs(moved.cost - shifted.cost) / scatter
    share = float(np.sqrt(1.0 / (1.0 + np.exp(min(excess / (2.0 * _SYSTEMATIC_COST), 50.0)))))
    cells = [item.name for item in table.free if item.meaning == "cell"]
    out = {name: share * abs(moved.values[name] - shifted.values[name]) for name in cells}
    out["sample_displacement_mm"] = share * abs(moved.values["sample_displacement_mm"])
    out["zero_shift"] = share * abs(shifted.values["zero_shift"] - known)
    return out
