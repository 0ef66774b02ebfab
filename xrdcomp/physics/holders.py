"""Broad maxima of specimen holders: glass, PMMA, Kapton."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["COPPER", "HOLDERS", "Holder", "holder_shape"]

FloatArray = npt.NDArray[np.float64]

COPPER = 1.541838
"""Mean Cu Kα in ångström, for which the angles are given."""


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


def holder_shape(holder: Holder, two_theta: FloatArray, wavelength: float) -> FloatArray | None:
    """Sum of a holder's humps at its own height ratios; None where no maximum of note lies inside the scan.

    Parameters
    ----------
    holder : Holder
    two_theta : (n,) array, degrees
    wavelength : float, ångström; positions are those at constant q

    Returns
    -------
    (n,) array or None
    """
    x = two_theta
    total = np.zeros_like(x)
    seen = False
    for position, fwhm, height in holder.humps:
        sine = np.sin(np.radians(position / 2.0)) * wavelength / COPPER
        if not sine < 1.0:
            continue
        centre = 2.0 * float(np.degrees(np.arcsin(sine)))
        scale = centre / position
        total += height * np.exp(-4.0 * np.log(2.0) * ((x - centre) / (fwhm * scale)) ** 2)
        seen = seen or (x[0] < centre < x[-1] and height >= 0.4)
    return total if seen else None
