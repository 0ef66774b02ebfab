"""Smoothing that does not move steps, and the noise it has to remove.

Penalised least squares with third differences (Whittaker 1923; Eilers, Anal. Chem. 75 (2003) 3631):
minimise Σ w (y − z)² + λ Σ (Δ³z)². The operator is symmetric, so a symmetric step stays where it is, a local
parabola passes unchanged, the ends need no special case, and the work is linear in the number of points.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from xrdcomp.types import FloatArray

__all__ = [
    "choose_length",
    "derivative",
    "derivative_std",
    "end_factor",
    "estimate_noise",
    "smoothed_std",
    "whittaker",
]

_DIFFERENCE = np.array([-1.0, 3.0, -3.0, 1.0])
_LENGTHS = (0.7, 1.0, 1.5, 2.2, 3.2, 4.7, 6.8, 10.0, 14.5)
_MIN_WEIGHT = 1e-4
_MAX_LENGTH = 30.0  # keeps the banded system well conditioned


def whittaker(values: FloatArray, weights: FloatArray, length: float) -> FloatArray:
    """Smooth one or several curves on an even grid.

    Parameters
    ----------
    values : (n,) or (n, k) array
    weights : (n,) array, >= 0; 0 marks a node without data, which is interpolated
    length : float, in nodes, >= 0
        λ = length⁶, with at most 30 nodes: ripples of a wavelength 2π·length are halved, shorter ones removed,
        longer ones kept. Larger values smooth more.

    Returns
    -------
    array like `values`
    """
    n = len(values)
    if length <= 0 or n < 5:
        return np.array(values, dtype=float)
    weight = np.maximum(weights, _MIN_WEIGHT)
    bands = min(length, _MAX_LENGTH) ** 6 * _penalty_bands(n)
    bands[0] += weight
    right = weight * values if values.ndim == 1 else weight[:, None] * values
    smooth: FloatArray = solveh_banded(bands, right, lower=True, overwrite_ab=True)
    return smooth


def derivative(values: FloatArray, step: float) -> FloatArray:
    """Central first derivative along the first axis of an evenly spaced curve."""
    slope: FloatArray = np.gradient(values, step, axis=0)
    return slope


def estimate_noise(values: FloatArray, counts: FloatArray) -> float:
    """Standard deviation of a single reading, from third differences of neighbouring bin means.

    The median absolute deviation is used, so that the few bins inside steps do not count. Noise that is
    correlated over less than one bin is included as far as it survives the averaging.
    """
    if len(values) < 8:
        return 0.0
    squares = _DIFFERENCE**2
    third = np.convolve(values, _DIFFERENCE, mode="valid")
    full = np.minimum.reduce([counts[i : len(counts) - 3 + i] for i in range(4)]) > 0
    if full.sum() < 8:
        return 0.0
    inverse = np.convolve(1.0 / np.maximum(counts, 1.0), squares, mode="valid")
    scaled = third[full] / np.sqrt(inverse[full])
    return float(np.median(np.abs(scaled - np.median(scaled))) / 0.6745)


def choose_length(values: FloatArray, counts: FloatArray, noise: float, *, shortest: float) -> float:
    """Smoothing length in nodes with the smallest estimated risk (Mallows' Cp), at least `shortest`.

    The risk is Σ w (y − z)² + 2 σ² tr(S): too short keeps noise, too long flattens steps.
    """
    mean_count = max(float(counts[counts > 0].mean()), 1e-12)
    weights = counts / mean_count
    variance = noise**2 / mean_count
    best, best_risk = shortest, np.inf
    for length in sorted({max(candidate, shortest) for candidate in _LENGTHS}):
        residual = values - whittaker(values, weights, length)
        risk = float((weights * residual**2).sum()) + 2.0 * variance * _trace(len(values), length)
        if risk < best_risk:
            best, best_risk = length, risk
    return best


def smoothed_std(noise: float, length: float) -> float:
    """Standard deviation of a smoothed value for white noise per node, inside the curve.

    Variance = σ² (1/π) ∫ dω / (1 + (length·ω)⁶)² = 0.278 σ² / length.
    """
    return float(noise * min(1.0, np.sqrt(0.2778 / max(length, 0.1))))


def end_factor(weights: FloatArray, length: float) -> float:
    """Standard deviation of the first smoothed value, for white noise of 1 at nodes of weight 1.

    The first row of the smoother is (W + λ DᵀD)⁻¹ W, so that Σ wᵢ gᵢ² is its variance, g being the first column of
    the symmetric inverse. Where the first nodes hold no data, it grows as extrapolation does.

    Parameters
    ----------
    weights : (n,) array
        Readings per node relative to their mean; the variance of a node is 1/weight.
    length : float, in nodes
    """
    unit = np.zeros(len(weights))
    unit[0] = 1.0 / max(float(weights[0]), _MIN_WEIGHT)
    column = whittaker(unit, weights, length)
    return float(np.sqrt((weights * column**2).sum()))


def derivative_std(noise: float, length: float) -> float:
    """Standard deviation of the smoothed slope per node: sqrt(σ² / (12 length³))."""
    return float(noise * min(np.sqrt(0.5), np.sqrt(1.0 / (12.0 * max(length, 0.1) ** 3))))


def _penalty_bands(n: int) -> FloatArray:
    """Lower bands of DᵀD for third differences of n values."""
    bands = np.zeros((4, n))
    for offset in range(4):
        for i in range(4 - offset):
            product = _DIFFERENCE[i] * _DIFFERENCE[i + offset]
            bands[offset, i : i + n - 3] += product
    return bands


def _trace(n: int, length: float) -> float:
    omega = np.pi * (np.arange(n) + 0.5) / n
    gain = 1.0 / (1.0 + (length**2 * (2.0 - 2.0 * np.cos(omega))) ** 3)
    return float(gain.sum())
