"""Full-pattern summation: a pattern as a sum of measured (or calculated) patterns of its components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xrdcomp.diffraction.quantify import Quantification, whole_pattern
from xrdcomp.errors import AnalysisError
from xrdcomp.fit.evidence import residual_inflation
from xrdcomp.results import Estimate, XrdAmounts
from xrdcomp.types import FloatArray, Pattern

__all__ = ["Summation", "sum_patterns"]


@dataclass(frozen=True, kw_only=True)
class Summation:
    """Coefficients of the reference patterns, the fractions they mean, and the fit.

    `coefficients` are in the order of `names`; `calculated` is on the pattern's points inside the range.
    """

    names: tuple[str, ...]
    coefficients: FloatArray
    quantification: Quantification
    two_theta: FloatArray
    calculated: FloatArray
    rwp: float


def sum_patterns(
    pattern: Pattern,
    references: Mapping[str, Pattern],
    ratios: Mapping[str, Estimate],
    *,
    two_theta_range: tuple[float, float] | None = None,
    background: bool = True,
) -> Summation:
    """Fit a pattern by a non-negative sum of reference patterns and turn coefficients into mass fractions.

    y = Σ c_j y_j + d, c_j ≥ 0, minimising Σ ((y_o − y)/σ)²; w_i = (c_i/RIR_i) / Σ_j (c_j/RIR_j)
    [Chipera & Bish 2002 J. Appl. Cryst. 35, 744 (FULLPAT); Eberl 2003 USGS Open-File Report 03-78 (RockJock);
    Lawson & Hanson 1974 for the non-negative solution]

    The covariance of c is (Bᵀ W B)⁻¹ times max(1, χ²) and the residual's autocorrelation; noise of the references
    is put into W. RIR uncertainties are added.

    Parameters
    ----------
    references : mapping of name to Pattern
        On one intensity scale, for instance each with maximum 10 000; they must cover the fitted range.
    ratios : mapping of name to Estimate
        Intensity of a reference per mass, relative to a common standard, on the references' scale.
    background : bool
        Whether a constant is added (d ≥ 0), for the instrument's own.

    Raises
    ------
    AnalysisError
        A reference without ratio or that does not cover the range, or nothing fits.
    """
    from scipy import optimize

    missing = sorted(set(references) - set(ratios))
    if missing:
        msg = f"no reference intensity ratio for {', '.join(missing)}; give one for each reference pattern."
        raise AnalysisError(msg)
    low, high = two_theta_range or (float(pattern.two_theta[0]), float(pattern.two_theta[-1]))
    inside = (pattern.two_theta >= low - 1e-9) & (pattern.two_theta <= high + 1e-9)
    x, y = pattern.two_theta[inside], pattern.intensity[inside]
    names = tuple(references)
    columns = np.stack([_on(x, name, references[name]) for name in names], axis=1)
    noise = np.stack([np.interp(x, r.two_theta, r.sigma) for r in references.values()], axis=1)
    full = np.concatenate([columns, np.ones((len(x), 1))], axis=1) if background else columns
    sigma = pattern.sigma[inside]
    scale = np.maximum(full.max(axis=0), 1e-300)
    coefficients = np.zeros(full.shape[1])
    for _ in range(2):  # the references' own noise depends on how much of each is taken
        weight = 1.0 / np.sqrt(sigma**2 + (noise**2) @ coefficients[: len(names)] ** 2)
        solution, _ = optimize.nnls(full * weight[:, None] / scale, y * weight)
        coefficients = solution / scale
    if not coefficients[: len(names)].any():
        msg = (
            "none of the reference patterns is needed to describe this pattern; check that they belong to it."
        )
        raise AnalysisError(msg)
    calculated = full @ coefficients
    residual = (y - calculated) * weight
    weighted = full * weight[:, None] / scale
    inflation, _ = residual_inflation(residual, full.shape[1])
    gram = weighted.T @ weighted + 1e-12 * np.eye(full.shape[1])
    inverse = np.linalg.inv(gram) * inflation / np.outer(scale, scale)
    n = len(names)
    found = _fractions(names, coefficients[:n], inverse[:n, :n], ratios)
    rwp = float(np.sqrt((residual**2).sum() / ((y * weight) ** 2).sum()))
    return Summation(
        names=names,
        coefficients=coefficients[:n],
        quantification=found,
        two_theta=x,
        calculated=calculated,
        rwp=rwp,
    )


def _on(x: FloatArray, name: str, reference: Pattern) -> FloatArray:
    """Interpolate a reference on the points of the pattern."""
    axis = reference.two_theta
    if axis[0] > x[0] + 0.05 or axis[-1] < x[-1] - 0.05:
        msg = (
            f"the reference {name!r} covers {axis[0]:.2f}-{axis[-1]:.2f}°, the pattern {x[0]:.2f}-{x[-1]:.2f}°. "
            "Pass a range that all patterns cover."
        )
        raise AnalysisError(msg)
    values: FloatArray = np.interp(x, axis, reference.intensity)
    return values


def _fractions(
    names: tuple[str, ...], coefficients: FloatArray, covariance: FloatArray, ratios: Mapping[str, Estimate]
) -> Quantification:
    from dataclasses import replace

    value = np.array([ratios[n].value for n in names])
    relative = np.array([(ratios[n].std or 0.0) / ratios[n].value for n in names])
    mass = coefficients / value
    spread = covariance / np.outer(value, value) + np.diag((relative * mass) ** 2)
    amounts = XrdAmounts(names=names, amounts=mass, covariance=spread, crystalline=(True,) * len(names))
    found = whole_pattern(amounts)
    constants = {f"rir_{name}": ratios[name] for name in names}
    return replace(found, method="full_pattern_summation", constants=constants)
