"""How far a reaction gets under another programme, from isoconversional energies (no model of f(α))."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import exp1

from xrdcomp.errors import AnalysisError
from xrdcomp.results import Estimate, TgaResult
from xrdcomp.units import FloatArray, celsius_to_kelvin, kelvin_to_celsius

# ------------ A straight line through few points, with honest small-sample uncertainty.


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


# ------------ Activation energies from runs at several heating rates, and prediction with them.
# Plain functions on arrays: conversion curves in, energies with intervals out. The methods are those that the
# ICTAC Kinetics Committee recommends (Vyazovkin et al., Thermochim. Acta 520 (2011) 1). Energies are in kJ/mol,
# temperatures in °C, rates in K/min.

GAS_CONSTANT_KJ = 8.314462618e-3
_LEVELS = np.linspace(0.1, 0.9, 17)
_ENERGY_BOUNDS = (5.0, 700.0)


@dataclass(frozen=True, kw_only=True)
class ConversionCurve:
    """Conversion of one step against temperature.

    Parameters
    ----------
    temperature_c : (n,) array, °C, not decreasing
    minutes : (n,) array
    conversion : (n,) array, 0 to 1, not decreasing
    rate_per_min : (n,) array
        dα/dt.
    heating_rate_k_min : float
    """

    temperature_c: FloatArray
    minutes: FloatArray
    conversion: FloatArray
    rate_per_min: FloatArray
    heating_rate_k_min: float

    def at(self, levels: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Kelvin, minutes and dα/dt where the conversion first reaches each level."""
        alpha = np.maximum.accumulate(self.conversion)
        distinct = np.concatenate(([True], np.diff(alpha) > 0))
        columns = (celsius_to_kelvin(self.temperature_c), self.minutes, self.rate_per_min)
        kelvin, minutes, rate = (np.interp(levels, alpha[distinct], c[distinct]) for c in columns)
        return kelvin, minutes, rate


@dataclass(frozen=True, kw_only=True)
class KissingerResult:
    """Kissinger's line: activation energy, ln of the frequency factor in 1/min, and the fitted line.

    Attributes
    ----------
    energy : Estimate
        kJ/mol.
    ln_prefactor : Estimate
        A in 1/min.
    line : Line
    """

    energy: Estimate
    ln_prefactor: Estimate
    line: Line


@dataclass(frozen=True, kw_only=True)
class IsoconversionalResult:
    """Activation energy at each level of conversion.

    Parameters
    ----------
    method : str
    conversion, energy, std : (m,) arrays, energies in kJ/mol
    ci95 : (m, 2) array
        95 % confidence limits.
    lines : tuple of Line
        One regression per level (empty for ``vyazovkin``), for the usual figure.
    """

    method: str
    conversion: FloatArray
    energy: FloatArray
    std: FloatArray
    ci95: FloatArray
    lines: tuple[Line, ...] = ()

    @property
    def mean(self) -> Estimate:
        """Mean over the levels; its uncertainty is the larger of the levels' typical one and their spread."""
        value = float(self.energy.mean())
        std = float(max(np.median(self.std), self.energy.std(ddof=1) if len(self.energy) > 1 else 0.0))
        return Estimate.normal(value, std, unit="kJ/mol")


def conversion_curve(result: TgaResult, start_c: float, end_c: float) -> ConversionCurve:
    """Conversion of the loss between two temperatures of an analysed run.

    α = (m(start) − m) / (m(start) − m(end)).

    Parameters
    ----------
    result : TgaResult
    start_c, end_c : float, °C

    Returns
    -------
    ConversionCurve
        Temperature in °C, conversion 0 to 1.

    Raises
    ------
    AnalysisError
        The run does not cover the range, loses nothing in it, or its heating rate is unknown.
    """
    temperature, mass = result.temperature_c, result.mass_fraction
    if result.heating_rate_k_min is None:
        msg = "the heating rate of the run is unknown; kinetics need it."
        raise AnalysisError(msg)
    if start_c < temperature[0] - 1.0 or end_c > temperature[-1] + 1.0 or end_c <= start_c:
        msg = (
            f"{start_c:g} to {end_c:g} °C is not inside the run, which covers {temperature[0]:.1f} to "
            f"{temperature[-1]:.1f} °C."
        )
        raise AnalysisError(msg)
    inside = (temperature >= start_c) & (temperature <= end_c)
    loss = float(mass[inside][0] - mass[inside][-1]) if inside.any() else 0.0
    if inside.sum() < 10 or loss <= 0:
        msg = f"nothing is lost between {start_c:g} and {end_c:g} °C; choose the range of a step."
        raise AnalysisError(msg)
    minutes = (temperature[inside] - temperature[inside][0]) / result.heating_rate_k_min
    return ConversionCurve(
        temperature_c=temperature[inside],
        minutes=minutes,
        conversion=(mass[inside][0] - mass[inside]) / loss,
        rate_per_min=result.dtg_per_min[inside] / loss,
        heating_rate_k_min=result.heating_rate_k_min,
    )


def kissinger(peak_c: Sequence[float], heating_rates_k_min: Sequence[float]) -> KissingerResult:
    """Activation energy from the shift of a DTG peak with heating rate.

    ln(β/T_p²) = ln(A R/E) − E/(R T_p)   [Kissinger, Anal. Chem. 29 (1957) 1702]

    Parameters
    ----------
    peak_c : sequence of m >= 3 peak temperatures, °C
    heating_rates_k_min : sequence of m rates, K/min, at least three different ones

    Returns
    -------
    KissingerResult
        Energy in kJ/mol.

    Raises
    ------
    AnalysisError
        Fewer than three rates, unequal lengths, peaks that do not rise with the rate.
    """
    rates = np.asarray(heating_rates_k_min, dtype=float)
    kelvin = celsius_to_kelvin(np.asarray(peak_c, dtype=float))
    _check_rates(rates, len(kelvin))
    line = fit_line(1.0 / kelvin, np.log(rates / kelvin**2))
    energy, std = -line.slope * GAS_CONSTANT_KJ, line.slope_std * GAS_CONSTANT_KJ
    if energy <= 0:
        msg = "the peaks do not move up with the heating rate, so no activation energy follows from them."
        raise AnalysisError(msg)
    ln_a = line.intercept + np.log(energy / GAS_CONSTANT_KJ)
    ln_a_std = float(np.hypot(line.intercept_std, std / energy))
    return KissingerResult(
        energy=Estimate.normal(energy, std, unit="kJ/mol", coverage_factor=line.t95),
        ln_prefactor=Estimate.normal(float(ln_a), ln_a_std, unit="ln(1/min)", coverage_factor=line.t95),
        line=line,
    )


def friedman(curves: Sequence[ConversionCurve], levels: FloatArray = _LEVELS) -> IsoconversionalResult:
    """Differential isoconversional energies: ln(dα/dt) = ln(A f(α)) − E/(R T).

    [Friedman, J. Polym. Sci. C 6 (1964) 183.] Exact for any temperature programme, but sensitive to noise.

    Parameters
    ----------
    curves : sequence of ConversionCurve
        Of one step at three heating rates or more.
    levels : (n,) array
        Conversions at which the energy is wanted, between 0 and 1.

    Returns
    -------
    IsoconversionalResult
        Energies in kJ/mol with their standard errors.
    """
    points = _points(curves, levels)
    lines = [fit_line(1.0 / p.kelvin, np.log(np.maximum(p.rate, 1e-300))) for p in points]
    return _from_lines("friedman", levels, lines, np.full(len(lines), 1.0))


def kissinger_akahira_sunose(
    curves: Sequence[ConversionCurve], levels: FloatArray = _LEVELS
) -> IsoconversionalResult:
    """Integral isoconversional energies: ln(β/T²) = C − E/(R T), for constant heating rates.

    [Akahira & Sunose, Res. Rep. Chiba Inst. Technol. 16 (1971) 22.]

    Parameters
    ----------
    curves : sequence of ConversionCurve
        Of one step at three heating rates or more.
    levels : (n,) array
        Conversions at which the energy is wanted, between 0 and 1.

    Returns
    -------
    IsoconversionalResult
        Energies in kJ/mol with their standard errors.
    """
    rates = _rates(curves)
    lines = [fit_line(1.0 / p.kelvin, np.log(rates / p.kelvin**2)) for p in _points(curves, levels)]
    return _from_lines("kissinger-akahira-sunose", levels, lines, np.full(len(lines), 1.0))


def flynn_wall_ozawa(
    curves: Sequence[ConversionCurve], levels: FloatArray = _LEVELS
) -> IsoconversionalResult:
    """Integral isoconversional energies from ln β = C − b E/(R T), for constant heating rates.

    [Ozawa, Bull. Chem. Soc. Jpn. 38 (1965) 1881; Flynn & Wall 1966.] Doyle's b = 1.052 is replaced by the
    slope −d ln p/dx of the exact temperature integral at x = E/RT, iterated (Flynn, J. Therm. Anal. 27 (1983)
    95).

    Parameters
    ----------
    curves : sequence of ConversionCurve
        Of one step at three heating rates or more.
    levels : (n,) array
        Conversions at which the energy is wanted, between 0 and 1.

    Returns
    -------
    IsoconversionalResult
        Energies in kJ/mol with their standard errors.
    """
    rates = np.log(_rates(curves))
    points = _points(curves, levels)
    lines = [fit_line(1.0 / p.kelvin, rates) for p in points]
    slopes = []
    for line, point in zip(lines, points, strict=True):
        factor = 1.052
        for _ in range(20):
            x = max(-line.slope / factor / float(point.kelvin.mean()), 2.0)
            factor = _doyle_slope(x)
        slopes.append(factor)
    return _from_lines("flynn-wall-ozawa", levels, lines, np.array(slopes))


def vyazovkin(curves: Sequence[ConversionCurve], levels: FloatArray = _LEVELS) -> IsoconversionalResult:
    """Non-linear isoconversional energies, integrated over small steps of conversion.

    E minimises Σ_{i≠j} J_i(E)/J_j(E) with J = ∫ exp(−E/(R T)) dt from the previous level to this one, so that
    an energy that varies with conversion is not averaged [Vyazovkin, J. Comput. Chem. 22 (2001) 178]. The
    95 % limits are where the variance of J_i/J_j exceeds its minimum by F(0.95; n−1, n−1) [Vyazovkin & Wight,
    Anal. Chem. 72 (2000) 3171].

    Parameters
    ----------
    curves : sequence of ConversionCurve
        Of one step at three heating rates or more.
    levels : (n,) array
        Conversions at which the energy is wanted, between 0 and 1.

    Returns
    -------
    IsoconversionalResult
        Energies in kJ/mol with their standard errors.
    """
    from scipy.stats import f as f_distribution

    rates = _rates(curves)
    limit = float(f_distribution.ppf(0.95, len(rates) - 1, len(rates) - 1))
    previous = np.concatenate(([max(levels[0] - (levels[1] - levels[0]), 0.01)], levels[:-1]))
    energy, interval = np.empty(len(levels)), np.empty((len(levels), 2))
    for k, (low, high) in enumerate(zip(previous, levels, strict=True)):
        programmes = [_programme(c, float(low), float(high)) for c in curves]
        energy[k] = _least_variance(programmes)
        interval[k] = _variance_limits(programmes, energy[k], limit)
    std = (interval[:, 1] - interval[:, 0]) / (2.0 * 1.96)
    return IsoconversionalResult(method="vyazovkin", conversion=levels, energy=energy, std=std, ci95=interval)


def temperature_integral(x: FloatArray) -> FloatArray:
    """p(x) = ∫ₓ^∞ e⁻ᵘ/u² du = e⁻ˣ/x − E₁(x), for x = E/(R T) > 0."""
    integral: FloatArray = np.exp(-x) / x - exp1(x)
    return integral


@dataclass(frozen=True, kw_only=True)
class _Level:
    kelvin: FloatArray
    rate: FloatArray


def _points(curves: Sequence[ConversionCurve], levels: FloatArray) -> list[_Level]:
    _rates(curves)
    columns = [c.at(levels) for c in curves]
    kelvin = np.array([c[0] for c in columns])
    rate = np.array([c[2] for c in columns])
    return [_Level(kelvin=kelvin[:, k], rate=rate[:, k]) for k in range(len(levels))]


def _rates(curves: Sequence[ConversionCurve]) -> FloatArray:
    rates = np.array([c.heating_rate_k_min for c in curves])
    _check_rates(rates, len(curves))
    return rates


def _check_rates(rates: FloatArray, expected: int) -> None:
    if len(rates) != expected:
        msg = f"{expected} runs, but {len(rates)} heating rates."
        raise AnalysisError(msg)
    if not (np.isfinite(rates).all() and (rates > 0).all()):
        msg = f"heating rates of {rates.tolist()} K/min: each must be a number above 0."
        raise AnalysisError(msg)
    if len(np.unique(np.round(rates, 3))) < 3:
        msg = (
            f"an activation energy needs at least three different heating rates, not {rates.tolist()} K/min."
        )
        raise AnalysisError(msg)


def _from_lines(
    method: str, levels: FloatArray, lines: list[Line], factors: FloatArray
) -> IsoconversionalResult:
    energy = np.array([-line.slope for line in lines]) * GAS_CONSTANT_KJ / factors
    std = np.array([line.slope_std for line in lines]) * GAS_CONSTANT_KJ / factors
    half = np.array([line.t95 for line in lines]) * std
    return IsoconversionalResult(
        method=method,
        conversion=levels,
        energy=energy,
        std=std,
        ci95=np.column_stack((energy - half, energy + half)),
        lines=tuple(lines),
    )


def _doyle_slope(x: float) -> float:
    """−d ln p / dx at x, from p' = −e⁻ˣ/x²."""
    p = float(temperature_integral(np.array([x]))[0])
    return float(np.exp(-x) / (x**2 * p))


def _programme(curve: ConversionCurve, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """1000/(R T) and quadrature weights in minutes from one level of conversion to the next."""
    _, minutes, _ = curve.at(np.array([low, high]))
    nodes = np.linspace(minutes[0], minutes[1], 21)
    kelvin = np.interp(nodes, curve.minutes, celsius_to_kelvin(curve.temperature_c))
    weights = np.full(21, (nodes[1] - nodes[0]))
    weights[[0, -1]] *= 0.5
    return 1.0 / (GAS_CONSTANT_KJ * kelvin), weights


def _ratios(programmes: list[tuple[FloatArray, FloatArray]], energy: float) -> FloatArray:
    reference = np.mean([inverse.mean() for inverse, _ in programmes])
    j = np.array([(w * np.exp(-energy * (inverse - reference))).sum() for inverse, w in programmes])
    off_diagonal = ~np.eye(len(j), dtype=bool)
    ratios: FloatArray = (j[:, None] / j[None, :])[off_diagonal]
    return ratios


def _variance(programmes: list[tuple[FloatArray, FloatArray]], energy: float) -> float:
    return float(((_ratios(programmes, energy) - 1.0) ** 2).mean())


def _least_variance(programmes: list[tuple[FloatArray, FloatArray]]) -> float:
    found = minimize_scalar(
        lambda e: float(_ratios(programmes, float(e)).sum()), bounds=_ENERGY_BOUNDS, method="bounded"
    )
    return float(found.x)


def _variance_limits(
    programmes: list[tuple[FloatArray, FloatArray]], energy: float, limit: float
) -> tuple[float, float]:
    level = limit * max(_variance(programmes, energy), 1e-14)

    def excess(candidate: float) -> float:
        return _variance(programmes, candidate) - level

    low, high = _ENERGY_BOUNDS
    if excess(energy) >= 0:
        return low, high
    below = brentq(excess, low, energy) if excess(low) > 0 else low
    above = brentq(excess, energy, high) if excess(high) > 0 else high
    return float(below), float(above)


# ------------ How far a reaction gets under another programme, from isoconversional energies (no model of
# f(α)).


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

    limits = np.sort(np.column_stack([times(energies.ci95[:, i]) for i in (0, 1)]), axis=1)
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
    limits = np.sort(np.column_stack([temperatures(energies.ci95[:, i]) for i in (0, 1)]), axis=1)
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
