"""What the instrument adds under the pattern: air scatter, a measured empty holder, slow corrections."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev

from xrdcomp.errors import AnalysisError
from xrdcomp.fit.model import Column
from xrdcomp.types import FloatArray, Pattern

__all__ = ["background_columns", "smooth_blank"]

_HALF_WINDOW = 1.5  # degrees: humps of holders are four times as wide, the rise of air scatter is a parabola
_LINE_WIDTH = 0.15  # degrees, over which a line of the holder is looked for
_LINE_Z = 6.0
_LINE_REACH = 0.5  # degrees on either side of a line that are left as measured

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
    halo can hide in them. A measured blank joins them with a scale of its own, freed of its noise (`smooth_blank`):
    noise in a column pulls its coefficient towards zero, to a tenth for a blank counted as long as the scan. Slow
    corrections are
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
        values.append(smooth_blank(blank, two_theta))
    x = 2.0 * (two_theta - two_theta[0]) / (two_theta[-1] - two_theta[0]) - 1.0
    polynomials = chebyshev.chebvander(x, terms)[:, 1:]
    std = np.inf if flexible else correction_std * float(np.median(intensity))
    for k in range(terms):
        columns.append(
            Column(name=f"correction_{k + 1}", kind="correction", nonnegative=False, prior_std=std)
        )
        values.append(polynomials[:, k])
    return columns, np.stack(values, axis=1)


def smooth_blank(blank: Pattern, two_theta: FloatArray) -> FloatArray:
    """Scan of an empty holder on other points, without its noise; lines of the holder are left as measured.

    Parabolas through ± 1.5° [Savitzky & Golay 1964 Anal. Chem. 36, 1627]; where means over 0.15° stand six standard
    deviations from them, half a degree on either side keeps its values.

    Parameters
    ----------
    blank : Pattern
    two_theta : (n,) array, degrees, even steps

    Returns
    -------
    (n,) array
    """
    y = np.interp(two_theta, blank.two_theta, blank.intensity)
    step = float(np.median(np.diff(two_theta)))
    half = round(_HALF_WINDOW / step)
    if half < 2 or 2 * half + 1 > len(y):
        return y
    # interpolation between coarser points makes neighbours alike: noise is that of points, not of interpolated ones
    own = max(float(np.median(np.diff(blank.two_theta))), step)
    sigma = np.interp(two_theta, blank.two_theta, blank.sigma)
    width = max(round(_LINE_WIDTH / step), 1)
    error = np.maximum(sigma, 1e-300) / np.sqrt(max(_LINE_WIDTH / own, 1.0))
    base, line = y, np.zeros(len(y), dtype=bool)
    for _ in range(3):
        smooth = _parabolas(base, half)
        excess = np.convolve(np.pad(y - smooth, width, mode="edge"), np.full(width, 1.0 / width), mode="same")
        found = np.abs(excess[width:-width]) > _LINE_Z * error
        reach = round(_LINE_REACH / step)
        found = np.convolve(found.astype(float), np.ones(2 * reach + 1), mode="same") > 0.5
        if not (found & ~line).any() or found.all():
            break
        line |= found
        base = np.where(line, np.interp(two_theta, two_theta[~line], y[~line]) if not line.all() else y, y)
    return np.where(line, y, smooth)


def _parabolas(y: FloatArray, half: int) -> FloatArray:
    """Value of the least-squares parabola through 2·half + 1 points at each point; end points on the end parabola."""
    t = np.arange(-half, half + 1) / half
    powers = np.stack([np.ones_like(t), t, t**2], axis=1)
    pseudo = np.linalg.pinv(powers)
    out = np.convolve(y, pseudo[0][::-1], mode="same")
    out[:half] = (powers @ (pseudo @ y[: 2 * half + 1]))[:half]
    out[-half:] = (powers @ (pseudo @ y[-2 * half - 1 :]))[-half:]
    return np.asarray(out)
