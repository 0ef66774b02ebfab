"""Shapes of a single DTG peak: Fraser-Suzuki and nth-order kinetics, both of unit area."""

from __future__ import annotations

import numpy as np

from xrdcomp.types import FloatArray
from xrdcomp.units import celsius_to_kelvin

__all__ = ["fraser_suzuki", "fraser_suzuki_gradient", "nth_order"]

_LN2 = np.log(2.0)
_GAS_CONSTANT_KJ = 8.314462618e-3


def fraser_suzuki(temperature_c: FloatArray, center: float, fwhm: float, asymmetry: float) -> FloatArray:
    """Asymmetric Gaussian of unit area, 1/°C.

    y = h exp(−(ln 2/s²) [ln(1 + 2 s (T − c)/w)]²), with h = 1 / (w √(π/(4 ln 2)) exp(s²/(4 ln 2))) and the
    full width at half maximum w sinh(s)/s   [Fraser & Suzuki, Anal. Chem. 41 (1969) 37]

    Parameters
    ----------
    temperature_c : (n,) array, °C
    center : float, °C
    fwhm : float, °C, > 0; full width at half maximum
    asymmetry : float; s above. Positive draws a tail to high temperatures, 0 is a Gaussian.
    """
    s, w = _bounded(asymmetry), _width(fwhm, asymmetry)
    argument = 1.0 + 2.0 * s * (temperature_c - center) / w
    inside = argument > 1e-12
    logarithm = np.log(np.where(inside, argument, 1.0)) / s
    height = 1.0 / (w * np.sqrt(np.pi / (4.0 * _LN2)) * np.exp(s**2 / (4.0 * _LN2)))
    peak: FloatArray = np.where(inside, height * np.exp(-_LN2 * logarithm**2), 0.0)
    return peak


def fraser_suzuki_gradient(
    temperature_c: FloatArray, center: float, fwhm: float, asymmetry: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Derivatives of `fraser_suzuki` with respect to center, fwhm and asymmetry."""
    s, w = _bounded(asymmetry), _width(fwhm, asymmetry)
    y = fraser_suzuki(temperature_c, center, fwhm, asymmetry)
    offset = temperature_c - center
    argument = 1.0 + 2.0 * s * offset / w
    safe = np.where(argument > 1e-12, argument, 1.0)
    logarithm = np.log(safe)
    factor = -2.0 * _LN2 * logarithm / (s**2 * safe) * y
    by_center = factor * (-2.0 * s / w)
    by_w = factor * (-2.0 * s * offset / w**2) - y / w
    by_s_at_w = factor * (2.0 * offset / w) + 2.0 * _LN2 * logarithm**2 / s**3 * y - s / (2.0 * _LN2) * y
    w_by_fwhm = s / np.sinh(s)
    w_by_s = fwhm * (np.sinh(s) - s * np.cosh(s)) / np.sinh(s) ** 2
    return by_center, by_w * w_by_fwhm, by_s_at_w + by_w * w_by_s


def nth_order(temperature_c: FloatArray, center: float, energy_kj: float, order: float) -> FloatArray:
    """dα/dT of an nth-order reaction at constant heating rate, unit area, 1/°C.

    dα/dT = (A/β) exp(−E/RT) (1 − α)ⁿ, with A/β chosen such that Kissinger's condition
    E/(R T_p²) = (A/β) exp(−E/(R T_p)) holds at `center`, and the temperature integral after Senum & Yang
    (J. Therm. Anal. 11 (1977) 445).

    Parameters
    ----------
    temperature_c : (n,) array, °C
    center : float, °C
    energy_kj : float, kJ/mol; larger makes the peak narrower
    order : float; above 1 draws a tail to high temperatures
    """
    kelvin, at = celsius_to_kelvin(temperature_c), float(celsius_to_kelvin(center))
    e = energy_kj / _GAS_CONSTANT_KJ
    rate = e / at**2 * np.exp(np.clip(-e / kelvin + e / at, -300.0, 80.0))
    x = e / kelvin
    fraction = (x**3 + 18 * x**2 + 88 * x + 96) / (x**4 + 20 * x**3 + 120 * x**2 + 240 * x + 120)
    integral = rate * kelvin * fraction
    if abs(order - 1.0) < 1e-4:
        remaining = np.exp(-np.minimum(integral, 700.0))
    else:
        base = np.maximum(1.0 + (order - 1.0) * integral, 1e-12)
        remaining = base ** (1.0 / (1.0 - order))
    shape: FloatArray = rate * remaining**order
    return shape


def _bounded(asymmetry: float) -> float:
    return asymmetry if abs(asymmetry) > 1e-4 else 1e-4


def _width(fwhm: float, asymmetry: float) -> float:
    s = _bounded(asymmetry)
    return float(fwhm * s / np.sinh(s))
