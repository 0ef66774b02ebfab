"""Size broadening from a distribution of crystallites, without any peak-shape formula.

The intensity profile of a line is the cosine transform of the mean common-volume function A(L) of the
crystallites along the scattering vector [Stokes & Wilson 1942; Bertaut 1949]. A(L) is summed over a lognormal
distribution of sizes at fixed shape and transformed numerically.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from xrdcomp.types import FloatArray

__all__ = ["CrystalliteShape", "add_lines", "mean_column_length", "scherrer_ratio", "size_profile"]

CrystalliteShape = Literal["ellipsoid", "cylinder"]

_X = np.linspace(0.0, 8.0, 801)  # L in units of the mean column length
_Y = np.concatenate(
    [np.linspace(0.0, 10.0, 201), np.geomspace(10.2, 60.0, 100)]
)  # q times mean column length
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(11)


def _common_volume(shape: CrystalliteShape, length: FloatArray, cos_c: float, aspect: float) -> FloatArray:
    """Common-volume function of one crystallite of diameter 1 and height `aspect` along a direction."""
    if shape == "ellipsoid":
        diameter = 1.0 / np.sqrt((1.0 - cos_c**2) + cos_c**2 / aspect**2)
        x = np.minimum(length / diameter, 1.0)
        sphere: FloatArray = 1.0 - 1.5 * x + 0.5 * x**3
        return sphere
    across = np.minimum(length * np.sqrt(max(0.0, 1.0 - cos_c**2)), 1.0)
    along = np.maximum(1.0 - length * cos_c / aspect, 0.0)
    disc = (2.0 / np.pi) * (np.arccos(across) - across * np.sqrt(1.0 - across**2))
    product: FloatArray = disc * along
    return product


@lru_cache(maxsize=1)
def _cosine_transform() -> FloatArray:
    """Matrix that turns A on `_X` into the profile on `_Y` by the trapezoidal rule."""
    weight = np.full(len(_X), _X[1] - _X[0])
    weight[[0, -1]] *= 0.5
    matrix: FloatArray = (2.0 / np.pi) * np.cos(np.outer(_Y, _X)) * weight
    return matrix


@lru_cache(maxsize=4096)
def _unit_column_length(shape: CrystalliteShape, cos_c: float, aspect: float) -> float:
    """Volume-weighted mean column length 2∫A dL of a crystallite of diameter 1."""
    length = np.linspace(0.0, float(np.hypot(1.0, aspect)), 4001)
    values = _common_volume(shape, length, cos_c, aspect)
    return 2.0 * float(values.sum() - 0.5 * (values[0] + values[-1])) * float(length[1])


@lru_cache(maxsize=4096)
def size_profile(
    shape: CrystalliteShape, cos_c: float, aspect: float, sigma_ln: float
) -> tuple[FloatArray, FloatArray]:
    """Cumulative line profile in units of the mean column length.

    Parameters
    ----------
    shape : {"ellipsoid", "cylinder"}
    cos_c : float, cosine between scattering vector and the c axis
    aspect : float, length along c over diameter; > 1 is a needle
    sigma_ln : float
        Width of the lognormal distribution of sizes (by number); larger gives longer tails.

    Returns
    -------
    y, integral : arrays
        y = q · ⟨L⟩ (from 0 upwards) and the share of the line between −y and +y.
    """
    unit = _unit_column_length(shape, cos_c, aspect)
    # lognormal by volume; d is the diameter over its volume-weighted mean
    d = np.exp(sigma_ln * _NODES - 0.5 * sigma_ln**2)
    weight = _WEIGHTS / _WEIGHTS.sum()
    a = sum(w * _common_volume(shape, _X * unit / di, cos_c, aspect) for w, di in zip(weight, d, strict=True))
    density = _cosine_transform() @ a
    integral = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(_Y))])
    # beyond the grid the profile falls as 1/q² and carries what is left of the unit area
    far = np.geomspace(63.0, 60.0 * 400.0, 120)
    tail = 1.0 - (1.0 - integral[-1]) * _Y[-1] / far
    y = np.concatenate([_Y, far])
    total = np.concatenate([integral, tail])
    y.setflags(write=False)
    total.setflags(write=False)
    return y, total


def mean_column_length(shape: CrystalliteShape, cos_c: float, diameter: float, height: float) -> float:
    """Volume-weighted mean column length along a direction for a mean crystallite.

    It is what the integral breadth measures: L = λ / (β cosθ). Unit as that of `diameter`.
    """
    return diameter * _unit_column_length(shape, round(cos_c, 3), height / diameter)


def scherrer_ratio(
    shape: CrystalliteShape, cos_c: float, aspect: float, sigma_ln: float, *, constant: float = 0.9
) -> float:
    """Size that the Scherrer formula gives from the FWHM, over the mean column length.

    A full width at half maximum underrates the tails: for spheres of one size the formula with K = 0.9 gives
    1.08 times the mean column length, more for a broad distribution.
    """
    y, integral = size_profile(shape, cos_c, aspect, sigma_ln)
    density = np.diff(integral) / np.diff(y)
    middle = 0.5 * (y[1:] + y[:-1])
    below = int(np.argmax(density < 0.5 * density[0]))
    half = np.interp(-0.5 * density[0], -density[below - 1 : below + 1], middle[below - 1 : below + 1])
    return constant * np.pi / float(half)


def add_lines(
    edges: FloatArray,
    positions: FloatArray,
    strengths: FloatArray,
    lengths: FloatArray,
    profiles: list[tuple[FloatArray, FloatArray]],
) -> FloatArray:
    """Integrated strength per bin of a uniform axis, every line spread by its size profile.

    Parameters
    ----------
    edges : (n + 1,) array, uniform bin edges in Q (Å⁻¹)
    positions, strengths, lengths : (m,) arrays
        Line positions (Å⁻¹), strengths, mean column lengths (Å).
    profiles : list of m pairs from `size_profile`

    Returns
    -------
    (n,) array
        Sum over the lines of strength times the share that falls into each bin.
    """
    step = edges[1] - edges[0]
    out = np.zeros(len(edges) - 1)
    reach = 700.0 / lengths + 2.0 * step
    low = np.clip(np.floor((positions - reach - edges[0]) / step).astype(int), 0, len(out))
    high = np.clip(np.ceil((positions + reach - edges[0]) / step).astype(int), 0, len(out))
    for i in range(len(positions)):
        if high[i] <= low[i]:
            continue
        offset = (edges[low[i] : high[i] + 1] - positions[i]) * lengths[i]
        y, total = profiles[i]
        cumulative = np.copysign(np.interp(np.abs(offset), y, total), offset)
        out[low[i] : high[i]] += 0.5 * strengths[i] * np.diff(cumulative)
    return out
