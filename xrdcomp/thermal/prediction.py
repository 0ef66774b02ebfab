"""How far a reaction gets under another programme, from isoconversional energies (no model of f(α))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from xrdcomp.thermal.kinetics import (
    GAS_CONSTANT_KJ,
    ConversionCurve,
    IsoconversionalResult,
    temperature_integral,
)
from xrdcomp.types import FloatArray
from xrdcomp.units import celsius_to_kelvin, kelvin_to_celsius

__all__ = ["Prediction", "predict_heating", "predict_isothermal"]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Predicted course of a reaction.

    conversion : (m,) array
    minutes : (m,) array
        Time to reach each conversion.
    temperature_c : (m,) array
    minutes_interval : (m, 2) array
        From the 95 % limits of the energies.
    """

    conversion: FloatArray
    minutes: FloatArray
    temperature_c: FloatArray
    minutes_interval: FloatArray


def predict_isothermal(
    energies: IsoconversionalResult, curve: ConversionCurve, temperature_c: float
) -> Prediction:
    """Time to each conversion at a constant temperature.

    t(α) = Σ ∫ exp(−E_α/(R T(t))) dt / exp(−E_α/(R T₀)) over the steps of conversion of a measured run
    [Vyazovkin, Int. Rev. Phys. Chem. 19 (2000) 45].

    Parameters
    ----------
    energies : IsoconversionalResult
    curve : ConversionCurve
        One of those that the energies came from.
    temperature_c : float, °C

    Returns
    -------
    Prediction
        Time in min.
    """
    kelvin = float(celsius_to_kelvin(temperature_c))

    def times(energy: FloatArray) -> FloatArray:
        doses = _doses(curve, energies.conversion, energy)
        total: FloatArray = np.cumsum(doses * np.exp(energy / (GAS_CONSTANT_KJ * kelvin)))
        return total

    limits = np.sort(np.column_stack([times(energies.interval[:, i]) for i in (0, 1)]), axis=1)
    return Prediction(
        conversion=energies.conversion,
        minutes=times(energies.energy),
        temperature_c=np.full(len(energies.conversion), temperature_c),
        minutes_interval=limits,
    )


def predict_heating(
    energies: IsoconversionalResult, curve: ConversionCurve, heating_rate_k_min: float
) -> Prediction:
    """Temperature and time of each conversion at another heating rate, counted from the first temperature.

    Parameters
    ----------
    energies : IsoconversionalResult
    curve : ConversionCurve
        One of those that the energies came from.
    heating_rate_k_min : float, K/min

    Returns
    -------
    Prediction
        Temperature in °C, time in min.
    """
    start = float(celsius_to_kelvin(curve.temperature_c[0]))

    def temperatures(energy: FloatArray) -> FloatArray:
        doses = _doses(curve, energies.conversion, energy)
        kelvin, out = start, np.empty(len(doses))
        for k, (dose, e) in enumerate(zip(doses, energy, strict=True)):
            kelvin = _advance(kelvin, float(dose) * heating_rate_k_min, float(e))
            out[k] = kelvin
        return out

    kelvin = temperatures(energies.energy)
    limits = np.sort(np.column_stack([temperatures(energies.interval[:, i]) for i in (0, 1)]), axis=1)
    return Prediction(
        conversion=energies.conversion,
        minutes=(kelvin - start) / heating_rate_k_min,
        temperature_c=kelvin_to_celsius(kelvin),
        minutes_interval=(limits - start) / heating_rate_k_min,
    )


def _doses(curve: ConversionCurve, levels: FloatArray, energy: FloatArray) -> FloatArray:
    """∫ exp(−E/(R T)) dt of the measured run between successive levels, minutes."""
    kelvin, _, _ = curve.at(levels)
    first = float(celsius_to_kelvin(curve.temperature_c[0]))
    low = np.concatenate(([first], kelvin[:-1]))
    doses: FloatArray = (_arrhenius(kelvin, energy) - _arrhenius(low, energy)) / curve.heating_rate_k_min
    return doses


def _arrhenius(kelvin: FloatArray, energy: FloatArray) -> FloatArray:
    """∫₀ᵀ exp(−E/(R T)) dT = (E/R) p(E/(R T)), kelvin."""
    integral: FloatArray = (
        energy / GAS_CONSTANT_KJ * temperature_integral(energy / (GAS_CONSTANT_KJ * kelvin))
    )
    return integral


def _advance(kelvin: float, dose_k: float, energy: float) -> float:
    """Temperature at which ∫ exp(−E/(R T)) dT from `kelvin` has reached the dose."""
    e = np.array([energy])
    begin = float(_arrhenius(np.array([kelvin]), e)[0])

    def missing(candidate: float) -> float:
        return float(_arrhenius(np.array([candidate]), e)[0]) - begin - dose_k

    high = kelvin + 10.0
    while missing(high) < 0 and high < 5000.0:
        high += 50.0
    return float(brentq(missing, kelvin, high))
