"""What the instrument does to lines besides resolution: tube spectrum, axial height, fixed aberrations, geometry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xrdcomp.physics import corrections
from xrdcomp.types import FloatArray, Instrument

__all__ = [
    "axial_height",
    "depth_and_flatness",
    "geometry_factor",
    "natural_width",
    "polarization",
    "refined_ratios",
]

_DEG = 180.0 / np.pi
_PER_MM = 10.0  # cm⁻¹, a depth of transparency of 1 mm


def axial_height(instrument: Instrument, values: Mapping[str, float]) -> float:
    """Refined axial divergence, else the calibrated one, else none."""
    return values.get("axial_divergence", instrument.axial_divergence if instrument.calibrated else 0.0)


def refined_ratios(instrument: Instrument) -> dict[str, tuple[tuple[float, ...], float]]:
    """Emission lines whose weight a fit may refine: name → (wavelengths, weight at the start).

    ``kalpha2_ratio`` for the lines 0.1 to 1 % longer than the strongest, relative to those beside it;
    ``kbeta_ratio`` and ``w_la_ratio`` for lines of these labels, all lines of a label in the ratio they have.
    """
    top = instrument.wavelength
    plain = [x for x in instrument.emission_lines if not x.label and x.weight > 0 and x.wavelength != top]
    near = [x for x in plain if 0.001 < x.wavelength / top - 1.0 < 0.01]
    out: dict[str, tuple[tuple[float, ...], float]] = {}
    if near:
        own = sum(x.weight for x in instrument.emission_lines if abs(x.wavelength / top - 1.0) <= 0.001)
        out["kalpha2_ratio"] = (tuple(x.wavelength for x in near), sum(x.weight for x in near) / own)
    for label in ("kbeta", "w_la"):
        named = [x for x in instrument.emission_lines if x.label == label and x.weight > 0]
        if named:
            out[f"{label}_ratio"] = (tuple(x.wavelength for x in named), named[0].weight)
    return out


def natural_width(instrument: Instrument, wavelength: FloatArray) -> FloatArray:
    """Lorentzian FWHM, in degrees per tanθ, that each line has from its natural width: 2 Δλ/λ.

    Parameters
    ----------
    wavelength : (l,) array, ångström, each one of the instrument's
    """
    width = np.zeros_like(wavelength)
    for line in instrument.emission_lines:
        if line.fwhm > 0.0:
            width[wavelength == line.wavelength] = 2.0 * _DEG * line.fwhm / line.wavelength
    return width


def depth_and_flatness(instrument: Instrument, two_theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shifts of the lines' centroids by transparency, per mm of 1/μ, and by the flat specimen, degrees.

    −sin2θ / 2R and −α² cotθ / 6   [Wilson 1963, Mathematical Theory of X-ray Powder Diffractometry]

    Returns
    -------
    depth, flat : arrays of the shape of `two_theta`
    """
    depth = corrections.transparency_shift(two_theta, _PER_MM, instrument.radius_mm)
    alpha = np.radians(instrument.equatorial_divergence)
    flat = -_DEG * alpha**2 / 6.0 / np.tan(np.radians(two_theta) / 2.0)
    return depth, np.asarray(flat)


def geometry_factor(instrument: Instrument, two_theta: FloatArray) -> FloatArray:
    """Factor on everything the specimen scatters: variable slits, and absorption outside reflection.

    sinθ for slits that keep the lit length; for a capillary the transmission of its section, for a foil
    exp(−μt / cosθ) / cosθ, for a thin layer in reflection 1 − exp(−2μt / sinθ) (see ``physics.corrections``);
    relative to the middle of the scan's range for these three.

    Parameters
    ----------
    two_theta : (n,) array, degrees
    """
    factor = np.ones_like(two_theta)
    if instrument.variable_slit:
        factor = factor * corrections.variable_slit(two_theta)
    if instrument.absorption_radius > 0.0:
        if instrument.geometry == "debye_scherrer":
            own = corrections.absorption_cylinder(two_theta, instrument.absorption_radius)
        elif instrument.geometry == "bragg_brentano":
            own = corrections.absorption_flat_reflection(two_theta, instrument.absorption_radius)
        else:
            own = corrections.absorption_flat_transmission(two_theta, instrument.absorption_radius)
        factor = factor * own / own[len(own) // 2]
    return factor


def polarization(two_theta: FloatArray, instrument: Instrument) -> FloatArray:
    """Polarisation factor of the instrument, a monochromator's included."""
    return corrections.polarization(
        two_theta,
        monochromator_two_theta=instrument.monochromator_two_theta,
        polarization_fraction=instrument.polarization_fraction,
    )
