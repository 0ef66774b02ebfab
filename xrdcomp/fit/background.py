"""What the instrument adds under the pattern: air scatter, a measured empty holder, slow corrections."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev

from xrdcomp.errors import AnalysisError
from xrdcomp.fit.model import Column
from xrdcomp.types import FloatArray, Pattern

__all__ = ["background_columns"]

_FALLING = ((0.0, "constant"), (1.0, "air_1"), (2.0, "air_2"), (4.0, "air_4"))


def background_columns(
    two_theta: FloatArray,
    intensity: FloatArray,
    *,
    flexible: bool,
    terms: int,
    blank: Pattern | None = None,
    correction_std: float = 0.01,
) -> tuple[list[Column], FloatArray]:
    """Background columns and their values on the points.

    Physical terms are non-negative and fall with angle, (2θ_min / 2θ)^k with k = 0, 1, 2, 4, so that no broad
    halo can hide in them. With a measured blank, its scan replaces the falling terms. Slow corrections are
    Chebyshev polynomials, small (`correction_std` of the median intensity) unless `flexible`.

    Parameters
    ----------
    two_theta, intensity : (n,) arrays
    flexible : bool
        Free polynomial: follows anything that is broad, amorphous halos included.
    terms : int
        Number of Chebyshev terms; more follow shorter undulations.
    blank : Pattern, optional
        Empty-holder scan covering the range.

    Raises
    ------
    AnalysisError
        The blank does not cover the fitted range.
    """
    columns: list[Column] = []
    values: list[FloatArray] = []
    u = two_theta[0] / two_theta
    for power, name in _FALLING:
        columns.append(Column(name=f"background_{name}", kind="background", nonnegative=not flexible))
        values.append(u**power)
    if blank is not None:
        if blank.two_theta[0] > two_theta[0] + 0.05 or blank.two_theta[-1] < two_theta[-1] - 0.05:
            msg = (
                f"the blank covers {blank.two_theta[0]:.2f}-{blank.two_theta[-1]:.2f}°, the fit "
                f"{two_theta[0]:.2f}-{two_theta[-1]:.2f}°. Measure the blank over the whole range or pass --range."
            )
            raise AnalysisError(msg)
        columns.append(Column(name="background_blank", kind="background", nonnegative=True))
        values.append(np.interp(two_theta, blank.two_theta, blank.intensity))
    x = 2.0 * (two_theta - two_theta[0]) / (two_theta[-1] - two_theta[0]) - 1.0
    polynomials = chebyshev.chebvander(x, terms)[:, 1:]
    std = np.inf if flexible else correction_std * float(np.median(intensity))
    for k in range(terms):
        columns.append(
            Column(name=f"correction_{k + 1}", kind="correction", nonnegative=False, prior_std=std)
        )
        values.append(polynomials[:, k])
    return columns, np.stack(values, axis=1)
