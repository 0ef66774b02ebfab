"""Smoothing by penalised least squares with third differences, its length chosen by the noise."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from xrdcomp.units import FloatArray, IntArray, median

# The 97.5 % quantile of the normal distribution, for every interval of a mass balance. `Estimate.normal` rounds it to
# 1.96 unless told otherwise (component peaks and kinetics leave it so): 2·10⁻⁵ of a half width, below any digit shown.
Z95 = 1.959964
UNIFORM_STD = 3.0**-0.5  # of a quantity anywhere between 0 and 1, about 0
# The smoother (Whittaker 1923; Eilers, Anal. Chem. 75 (2003) 3631) minimises Σ w (y − z)² + λ Σ (Δ³z)². The operator is
# symmetric, so a symmetric step stays where it is, a local parabola passes unchanged, the ends need no special case,
# and the work is linear in the number of points.
_DIFFERENCE = np.array([-1.0, 3.0, -3.0, 1.0])
_LENGTHS = (0.7, 1.0, 1.5, 2.2, 3.2, 4.7, 6.8, 10.0, 14.5)
_MIN_WEIGHT = 1e-4
_MAX_LENGTH = 30.0  # keeps the banded system well conditioned


def whittaker(values: FloatArray, weights: FloatArray, length: float) -> FloatArray:
    """Smooth one curve (n,) or several (n, k) on an even grid.

    λ = length⁶, with a length of at most 30 nodes: ripples of a wavelength 2π·length are halved, shorter ones removed,
    longer ones kept. Larger values smooth more. A weight of 0 marks a node without data, which is interpolated.
    """
    n = len(values)
    if length <= 0 or n < 5:
        return np.array(values, dtype=float)
    weight = np.maximum(weights, _MIN_WEIGHT)
    # lower bands of DᵀD, D being the matrix of third differences
    bands = np.zeros((4, n))
    for offset in range(4):
        for i in range(4 - offset):
            bands[offset, i : i + n - 3] += _DIFFERENCE[i] * _DIFFERENCE[i + offset]
    bands *= min(length, _MAX_LENGTH) ** 6
    bands[0] += weight
    # curve after curve, as LAPACK solves for them
    right = np.multiply((weight if values.ndim == 1 else weight[:, None]), values, order="F")
    return solveh_banded(bands, right, lower=True, overwrite_ab=True, overwrite_b=True)


def derivative(values: FloatArray, step: float) -> FloatArray:
    """Central first derivative along the first axis of an evenly spaced curve."""
    return np.gradient(values, step, axis=0)


def estimate_noise(values: FloatArray, counts: FloatArray) -> float:
    """Standard deviation of a single reading, from third differences of neighbouring bin means.

    The median absolute deviation is used, so that the few bins inside steps do not count. Noise that is correlated over
    less than one bin is included as far as it survives the averaging.
    """
    if len(values) < 8:
        return 0.0
    third = np.convolve(values, _DIFFERENCE, mode="valid")
    full = np.minimum.reduce([counts[i : len(counts) - 3 + i] for i in range(4)]) > 0
    if full.sum() < 8:
        return 0.0
    inverse = np.convolve(1.0 / np.maximum(counts, 1.0), _DIFFERENCE**2, mode="valid")
    scaled = third[full] / np.sqrt(inverse[full])
    return median(np.abs(scaled - median(scaled))) / 0.6745


def choose_length(values: FloatArray, counts: FloatArray, noise: float, *, shortest: float) -> float:
    """Smoothing length in nodes, at least `shortest`, of least Σ w (y − z)² + 2 σ² tr(S) (Mallows' Cp)."""
    mean_count = max(float(counts[counts > 0].mean()), 1e-12)
    weights = counts / mean_count
    variance = noise**2 / mean_count
    omega = np.pi * (np.arange(len(values)) + 0.5) / len(values)
    best, best_risk = shortest, np.inf
    for length in sorted({max(candidate, shortest) for candidate in _LENGTHS}):
        residual = values - whittaker(values, weights, length)
        # the trace from the smoother's transfer function, as if the grid had no ends
        trace = float((1.0 / (1.0 + (length**2 * (2.0 - 2.0 * np.cos(omega))) ** 3)).sum())
        risk = float((weights * residual**2).sum()) + 2.0 * variance * trace
        if risk < best_risk:
            best, best_risk = length, risk
    return best


def smoothed_std(noise: float, length: float) -> float:
    """Standard deviation inside the smoothed curve for white noise σ per node: σ² (1/π) ∫ dω / (1 + (length·ω)⁶)²."""
    # the integral is 0.278 π / length
    return float(noise * min(1.0, np.sqrt(0.2778 / max(length, 0.1))))


def end_factor(weights: FloatArray, length: float) -> float:
    """Standard deviation of the first smoothed value, for white noise of 1 at nodes of weight 1.

    The first row of the smoother is (W + λ DᵀD)⁻¹ W, so that Σ wᵢ gᵢ² is its variance, g being the first column of the
    symmetric inverse. Where the first nodes hold no data, it grows as extrapolation does. `weights` are readings per
    node relative to their mean.
    """
    unit = np.zeros(len(weights))
    unit[0] = 1.0 / max(float(weights[0]), _MIN_WEIGHT)
    column = whittaker(unit, weights, length)
    return float(np.sqrt((weights * column**2).sum()))


def derivative_std(noise: float, length: float) -> float:
    """Standard deviation of the smoothed slope per node: sqrt(σ² / (12 length³))."""
    return float(noise * min(np.sqrt(0.5), np.sqrt(1.0 / (12.0 * max(length, 0.1) ** 3))))


def averages(bins: IntArray, nodes: int, *values: FloatArray) -> list[FloatArray]:
    """Means of some quantities over the readings of each of `nodes` bins, of those bins that have any."""
    counts = np.bincount(bins, minlength=nodes)
    filled = counts > 0
    return [np.bincount(bins, weights=v, minlength=nodes)[filled] / counts[filled] for v in values]


def bin_means(values: FloatArray, progress: FloatArray, bins: IntArray, centres: FloatArray) -> FloatArray:
    """Means of the readings of each bin, moved from their mean progress to its centre; empty ones are interpolated."""
    where, means = averages(bins, len(centres), progress, values)
    return np.interp(centres, where, means)
