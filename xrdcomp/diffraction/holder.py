"""Material of an empty holder, recognised by where its humps lie. Below a specimen: ``fit.holder_test``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xrdcomp.physics.holders import COPPER, HOLDERS, Holder, holder_shape
from xrdcomp.types import Diagnostic, FloatArray, Pattern

__all__ = ["holder_humps"]

_MIN_RELATIVE_HEIGHT = 0.04
_MIN_Z = 6.0
_MIN_SHARE = 0.25


def holder_humps(pattern: Pattern, *, wavelength: float = COPPER) -> tuple[Diagnostic, ...]:
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
    found = _recognise((pattern.two_theta, pattern.intensity, pattern.sigma), wavelength)
    return tuple(
        replace(d, severity="info", text=f"{d.text} The scan is scaled into the background.") for d in found
    )


def _recognise(curve: tuple[FloatArray, FloatArray, FloatArray], wavelength: float) -> tuple[Diagnostic, ...]:
    from scipy import optimize

    x, y, s = _binned(*curve)
    falling = np.stack([(x[0] / x) ** k for k in (0.0, 1.0, 2.0, 4.0)], axis=1) / s[:, None]
    _, plain = optimize.nnls(falling, y / s)
    best: tuple[float, Holder, float, float, float] | None = None
    for holder in HOLDERS:
        shape = holder_shape(holder, x, wavelength)
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
        f"The empty holder shows the broad maxima of {holder.name} ({positions}° for Cu Kα), {height:.3g} high over a "
        f"level of {level:.3g} (z = {z:.0f}): {holder.advice}."
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
