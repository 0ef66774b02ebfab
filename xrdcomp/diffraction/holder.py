"""Humps of the specimen holder: glass, PMMA, Kapton, recognised by where they lie."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.results import FitResult
from xrdcomp.types import Diagnostic, FloatArray, Pattern

__all__ = ["HOLDERS", "Holder", "holder_humps", "holder_humps_of_fit"]

_COPPER = 1.541838
_MIN_RELATIVE_HEIGHT = 0.04
_MIN_Z = 6.0
_MIN_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A holder material and its broad maxima: (2θ for Cu Kα, FWHM, relative height) in degrees."""

    name: str
    humps: tuple[tuple[float, float, float], ...]
    advice: str


HOLDERS = (
    Holder(
        name="glass",
        humps=((26.1, 12.0, 1.0),),
        advice="its maximum lies under the water halo and beside 002",
    ),
    Holder(
        name="PMMA",
        humps=((13.8, 5.0, 1.0), (30.9, 6.0, 0.4), (42.3, 6.0, 0.2)),
        advice="its 30.9° maximum lies under the apatite triplet and mimics amorphous calcium phosphate",
    ),
    Holder(
        name="Kapton",
        humps=((5.5, 1.5, 0.6), (20.5, 10.0, 1.0)),
        advice="its broad maximum lies under the organic halo",
    ),
)
"""Glass: maximum 26.1°, half height 19.5-32°; PMMA 13.8, 30.9, 42.3° (measured empty holders); Kapton 5.5° and
15-26°."""


def holder_humps(pattern: Pattern, *, wavelength: float = _COPPER) -> tuple[Diagnostic, ...]:
    """Name the material of an empty holder from its scan.

    Falling air terms and a constant, (2θ0/2θ)^k with k = 0, 1, 2, 4, are fitted with and without each material's humps,
    all non-negative; a material is named where it removes most of what the falling terms leave, its height exceeds 4 %
    of the level and six standard deviations.

    Parameters
    ----------
    pattern : Pattern
        Scan of the empty holder.
    wavelength : float, ångström; positions scale with it at constant q

    Returns
    -------
    One Diagnostic ``HOLDER_HUMP``, or none.
    """
    where = "The empty holder"
    found = _recognise((pattern.two_theta, pattern.intensity, pattern.sigma), wavelength, where)
    return tuple(
        replace(d, severity="info", text=f"{d.text} The scan is scaled into the background.") for d in found
    )


def holder_humps_of_fit(fit: FitResult) -> tuple[Diagnostic, ...]:
    """Look for a holder's humps in what a fit took for background or left unexplained.

    Halos of the specimen that were fitted are subtracted first, so a hump that a halo swallowed is not seen.

    Parameters
    ----------
    fit : FitResult

    Returns
    -------
    tuple of Diagnostic
        One per hump that was named, with its angle in degrees.
    """
    rest = fit.observed - fit.calculated + fit.background
    wavelength = fit.wavelengths[0] if fit.wavelengths else _COPPER
    where = "What the fit calls background or leaves over"
    found = _recognise((fit.two_theta, rest, fit.sigma), wavelength, where)
    advice = "Pass the empty-holder scan with --blank, or use a zero-background holder."
    return tuple(replace(d, text=f"{d.text} {advice}") for d in found)


def _recognise(
    curve: tuple[FloatArray, FloatArray, FloatArray], wavelength: float, where: str
) -> tuple[Diagnostic, ...]:
    from scipy import optimize

    x, y, s = _binned(*curve)
    falling = np.stack([(x[0] / x) ** k for k in (0.0, 1.0, 2.0, 4.0)], axis=1) / s[:, None]
    _, plain = optimize.nnls(falling, y / s)
    best: tuple[float, Holder, float, float, float] | None = None
    for holder in HOLDERS:
        shape = _shape(holder, x, wavelength)
        if shape is None:
            continue
        joined = np.concatenate([falling, (shape / s)[:, None]], axis=1)
        coefficients, with_it = optimize.nnls(joined, y / s)
        gain = plain**2 - with_it**2
        inflation = max(with_it**2 / max(len(x) - 5, 1), 1.0)
        height = float(coefficients[-1]) * float(shape.max())
        if best is None or gain > best[0]:
            best = (
                gain,
                holder,
                height,
                float(np.sqrt(max(gain, 0.0) / inflation)),
                gain / max(plain**2, 1e-12),
            )
    if best is None:
        return ()
    _, holder, height, z, share = best
    level = float(np.median(y))
    if z < _MIN_Z or share < _MIN_SHARE or height < _MIN_RELATIVE_HEIGHT * max(level, 1e-12):
        return ()
    positions = ", ".join(f"{p:.1f}" for p, *_ in holder.humps)
    text = (
        f"{where} shows the broad maxima of {holder.name} ({positions}° for Cu Kα), {height:.3g} high over a level of "
        f"{level:.3g} (z = {z:.0f}): {holder.advice}."
    )
    facts: dict[str, str | float] = {"holder": holder.name, "height": height, "level": level, "z": z}
    return (Diagnostic(code="HOLDER_HUMP", severity="warning", text=text, facts=facts),)


def _binned(
    two_theta: FloatArray, intensity: FloatArray, sigma: FloatArray, width: float = 0.5
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Medians over bins of half a degree, so that sharp lines do not count."""
    edges = np.arange(two_theta[0], two_theta[-1] + width, width)
    group = np.digitize(two_theta, edges)
    rows = []
    for k in np.unique(group):
        pick = group == k
        noise = float(np.median(sigma[pick])) * 1.25 / np.sqrt(pick.sum())
        rows.append((float(two_theta[pick].mean()), float(np.median(intensity[pick])), noise))
    x, y, s = np.array(rows).T
    return x, y, np.maximum(s, 0.005 * np.maximum(np.abs(y), 1e-12))


def _shape(holder: Holder, x: FloatArray, wavelength: float) -> FloatArray | None:
    """Sum of the holder's humps at its own height ratios; None where no maximum lies inside the scan."""
    total = np.zeros_like(x)
    seen = False
    for position, fwhm, height in holder.humps:
        sine = np.sin(np.radians(position / 2.0)) * wavelength / _COPPER
        if not sine < 1.0:
            continue
        centre = 2.0 * float(np.degrees(np.arcsin(sine)))
        scale = centre / position
        total += height * np.exp(-4.0 * np.log(2.0) * ((x - centre) / (fwhm * scale)) ** 2)
        seen = seen or (x[0] < centre < x[-1] and height >= 0.4)
    return total if seen else None
