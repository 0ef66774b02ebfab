"""Where the uncertainty comes from: the variance of every component by input, the prior among them.

The joint model is linearised at the posterior mean. For weighted least squares with independent inputs j of
covariance Σ_j the estimate's covariance is Σ_j G Σ_j Gᵀ with G = (JᵀWJ)⁻¹JᵀW: each input's term is its share.
"""

from __future__ import annotations

import numpy as np

from xrdcomp.composition.model import (
    AMORPHOUS,
    CARBONATE,
    LATTICE_CARBONATE,
    OTHER,
    H,
    JointModel,
    reported,
)
from xrdcomp.results import COMPONENTS
from xrdcomp.types import FloatArray

__all__ = ["variance_shares"]

_FLAT_STD = 0.14
"""Standard deviation of a component under the flat prior on the simplex of six parts: √(5/36/7)."""
_SPLIT = 0.3
"""The same for a part of the mineral, relative to the mineral: no part exceeds the whole."""
_INPUT_OF = {
    "xrd_bias": "xrd_scale",
    "log_scale": "xrd_scale",
    "standard_crystallinity": "xrd_scale",
    "standard_scatter": "xrd_scale",
    "carbonate_in_lattice": "carbonate_site",
    "carbonate_lines": "carbonate_site",
    "amorphous_response": "amorphous_halo",
    "late_water": "bound_water",
    "bound_water": "bound_water",
    "char": "char",
    "salt_evaporated": "salt",
    "xrd_spread": "xrd_model",
}


def variance_shares(
    model: JointModel, composition: FloatArray, constants: FloatArray
) -> dict[str, dict[str, float]]:
    """Split the variance of every component by input.

    Parameters
    ----------
    model : JointModel
    composition : (6,) array
        Point of linearisation, usually the posterior mean.
    constants : (p,) array

    Returns
    -------
    dict
        component -> input -> share; the shares of a component sum to 1. ``prior`` is what rests on fractions
        being positive and taken as equally likely.
    """
    n_free, p, m = len(COMPONENTS) - 1, len(constants), len(model.values)
    prior_rows, prior_stds, prior_inputs = _constant_rows(model, n_free)
    flat_rows = np.zeros((n_free + 1, n_free + p))
    flat_rows[:n_free, :n_free] = np.eye(n_free)
    flat_rows[n_free, :n_free] = -1.0
    flat_stds = _flat_stds(composition)
    flat_names = ["prior"] * len(flat_stds)
    for index in model.absent:
        flat_stds[index] = max(model.xrd.hidden.get(index, 0.0), 1e-6) if model.xrd is not None else 1e-6
        flat_names[index] = "detection_limit"
    rows = np.concatenate([_jacobian(model, composition, constants), prior_rows, flat_rows])
    weight = np.zeros((len(rows), len(rows)))
    weight[:m, :m] = np.linalg.inv(model.covariance)
    tail = np.arange(m, len(rows))
    stds = np.concatenate([prior_stds, flat_stds])
    weight[tail, tail] = 1.0 / stds**2
    normal = rows.T @ weight @ rows + 1e-9 * np.eye(n_free + p)
    to_six = reported(np.concatenate([np.eye(n_free), -np.ones((1, n_free))]).T, model).T
    gain = to_six @ np.linalg.solve(normal, rows.T @ weight)[:n_free]
    variance: dict[str, FloatArray] = {
        name: np.einsum("ij,jk,ik->i", gain[:, :m], part, gain[:, :m]) for name, part in model.parts.items()
    }
    for k, name in enumerate([*prior_inputs, *flat_names]):
        variance[name] = variance.get(name, np.zeros(len(COMPONENTS))) + (gain[:, m + k] * stds[k]) ** 2
    variance = {name: np.maximum(part, 0.0) for name, part in variance.items()}
    total = np.maximum(np.sum(list(variance.values()), axis=0), 1e-300)
    return {
        component: {name: float(part[i] / total[i]) for name, part in variance.items()}
        for i, component in enumerate(COMPONENTS)
    }


def _flat_stds(composition: FloatArray) -> FloatArray:
    mineral = max(float(composition[[H, CARBONATE, AMORPHOUS, OTHER]].sum()), 0.02)
    stds = np.full(len(COMPONENTS), _FLAT_STD)
    stds[[H, CARBONATE, AMORPHOUS, OTHER]] = min(_FLAT_STD, _SPLIT * mineral)
    return stds


def _jacobian(model: JointModel, composition: FloatArray, constants: FloatArray) -> FloatArray:
    """Derivative of the prediction with respect to the first five components and the constants."""
    p = len(constants)
    step = 1e-6
    points = np.vstack([constants, constants + step * np.eye(p), constants - step * np.eye(p)])
    matrix, offset = model.design(points)
    predicted = matrix @ composition + offset
    by_constant = (predicted[1 : p + 1] - predicted[p + 1 :]) / (2 * step)
    free = matrix[0][:, :-1] - matrix[0][:, [-1]]
    return np.concatenate([free, by_constant.T], axis=1)


def _constant_rows(model: JointModel, n_free: int) -> tuple[FloatArray, FloatArray, list[str]]:
    """Priors of the constants as observations: rows, standard deviations, names of the inputs."""
    p = len(model.nuisances)
    known = [i for i, item in enumerate(model.nuisances) if np.isfinite(item.std)]
    rows = np.zeros((len(known), n_free + p))
    rows[np.arange(len(known)), [n_free + i for i in known]] = 1.0
    stds = np.array([model.nuisances[i].std for i in known])
    names = [_INPUT_OF[model.nuisances[i].name] for i in known]
    if model.carbonate_is_assumed and model.xrd is not None:
        share, std = LATTICE_CARBONATE
        row = np.zeros((1, n_free + p))
        row[0, CARBONATE] = 1.0
        row[0, [H, CARBONATE, AMORPHOUS]] -= share
        mineral = max(model.xrd.row("apatite") + model.xrd.row("amorphous_mineral"), 0.02)
        rows = np.concatenate([rows, row])
        stds = np.append(stds, std * mineral)
        names.append("carbonate_assumed")
    return rows, stds, names
