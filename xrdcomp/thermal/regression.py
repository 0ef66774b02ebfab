"""A straight line through few points, with honest small-sample uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrdcomp.types import FloatArray

__all__ = ["Line", "fit_line"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """y = intercept + slope·x, standard errors from the scatter, and Student's t for 95 % at n − 2."""

    x: FloatArray
    y: FloatArray
    slope: float
    intercept: float
    slope_std: float
    intercept_std: float
    t95: float

    @property
    def r_squared(self) -> float:
        """Share of the variance of y that the line explains."""
        residual = self.y - self.intercept - self.slope * self.x
        return float(1.0 - residual.var() / max(self.y.var(), 1e-300))


def fit_line(x: FloatArray, y: FloatArray) -> Line:
    """Ordinary least squares through n >= 3 points with different x."""
    from scipy.stats import t as student

    n = len(x)
    centred = x - x.mean()
    spread = float((centred**2).sum())
    slope = float((centred * y).sum() / spread)
    intercept = float(y.mean() - slope * x.mean())
    free = max(n - 2, 1)
    scatter = float(((y - intercept - slope * x) ** 2).sum() / free)
    return Line(
        x=x,
        y=y,
        slope=slope,
        intercept=intercept,
        slope_std=float(np.sqrt(scatter / spread)),
        intercept_std=float(np.sqrt(scatter * (1.0 / n + float(x.mean()) ** 2 / spread))),
        t95=float(student.ppf(0.975, free)),
    )
