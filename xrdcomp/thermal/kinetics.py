"""Activation energies from runs at several heating rates, and prediction with them.

Conversion curves in, energies with intervals out: the methods that the ICTAC Kinetics Committee recommends (Vyazovkin
et al., Thermochim. Acta 520 (2011) 1), none of which needs a model of f(α). Energies are in kJ/mol, temperatures in
°C, rates in K/min. The isoconversional methods (`friedman`, `kissinger_akahira_sunose`, `flynn_wall_ozawa`,
`vyazovkin`) take curves of one step at three heating rates or more, and the conversions between 0 and 1 at which the
energy is wanted; they raise AnalysisError where fewer than three rates differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import exp1, fdtri, stdtrit

from xrdcomp.errors import AnalysisError
from xrdcomp.results import Estimate, TgaResult
from xrdcomp.thermal.curve import check_inside
from xrdcomp.units import GAS_CONSTANT, FloatArray, celsius_to_kelvin

GAS_CONSTANT_KJ = GAS_CONSTANT / 1e3
_LEVELS = np.linspace(0.1, 0.9, 17)
_ENERGY_BOUNDS = (5.0, 700.0)

# ---- A straight line through few points, with honest small-sample uncertainty ----


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


def fit_line(x: FloatArray, y: FloatArray) -> Line:
    """Ordinary least squares through n >= 3 points with different x."""
    # not scipy.stats.linregress: its standard errors come from 1 − r², of which nothing is left on precise data
    (slope, intercept), covariance = np.polyfit(x, y, 1, cov=True)
    stds = dict(zip(("slope_std", "intercept_std"), np.sqrt(covariance.diagonal()).tolist(), strict=True))
    t95 = float(stdtrit(len(x) - 2, 0.975))
    return Line(x=x, y=y, slope=float(slope), intercept=float(intercept), t95=t95, **stds)


# ---- Conversion of a step ----


@dataclass(frozen=True, kw_only=True)
class ConversionCurve:
    """Conversion of one step against temperature (not decreasing, both), 0 to 1; `rate_per_min` is dα/dt."""

    temperature_c: FloatArray
    minutes: FloatArray
    conversion: FloatArray
    rate_per_min: FloatArray
    heating_rate_k_min: float

    @property
    def kelvin(self) -> FloatArray:
        """Temperature in kelvin."""
        return celsius_to_kelvin(self.temperature_c)

    def at(self, levels: FloatArray) -> ConversionCurve:
        """Temperature, time and rate where the conversion first reaches each level."""
        alpha = np.maximum.accumulate(self.conversion)
        distinct = np.concatenate(([True], np.diff(alpha) > 0))
        names = ("temperature_c", "minutes", "rate_per_min")
        found = {name: np.interp(levels, alpha[distinct], getattr(self, name)[distinct]) for name in names}
        return ConversionCurve(conversion=levels, heating_rate_k_min=self.heating_rate_k_min, **found)


def conversion_curve(result: TgaResult, start_c: float, end_c: float) -> ConversionCurve:
    """Conversion of the loss between two temperatures (°C) of an analysed run.

    α = (m(start) − m) / (m(start) − m(end)). Raises AnalysisError where the run does not cover the range, loses
    nothing in it, or its heating rate is unknown.
    """
    temperature, mass = result.temperature_c, result.mass_fraction
    if result.heating_rate_k_min is None:
        raise AnalysisError("the heating rate of the run is unknown; kinetics need it.")
    check_inside(temperature, start_c, end_c)
    inside = (temperature >= start_c) & (temperature <= end_c)
    loss = float(mass[inside][0] - mass[inside][-1]) if inside.any() else 0.0
    if inside.sum() < 10 or loss <= 0:
        raise AnalysisError(f"nothing is lost between {start_c:g} and {end_c:g} °C; choose the range of a step.")
    return ConversionCurve(
        temperature_c=temperature[inside],
        minutes=(temperature[inside] - temperature[inside][0]) / result.heating_rate_k_min,
        conversion=(mass[inside][0] - mass[inside]) / loss,
        rate_per_min=result.dtg_per_min[inside] / loss,
        heating_rate_k_min=result.heating_rate_k_min,
    )


# ---- Activation energies ----


@dataclass(frozen=True, kw_only=True)
class KissingerResult:
    """Kissinger's line: activation energy in kJ/mol, ln of the frequency factor in 1/min, and the fitted line."""

    energy: Estimate
    ln_prefactor: Estimate
    line: Line


@dataclass(frozen=True, kw_only=True)
class IsoconversionalResult:
    """Activation energy in kJ/mol at each of m levels of conversion, with standard error (m,) and 95 % limits (m, 2).

    `lines` holds one regression per level (none for ``vyazovkin``), for the usual figure.
    """

    method: str
    conversion: FloatArray
    energy: FloatArray
    std: FloatArray
    ci95: FloatArray
    lines: tuple[Line, ...] = ()

    @property
    def mean(self) -> Estimate:
        """Mean over the levels; its uncertainty is the larger of the levels' typical one and their scatter."""
        std = float(max(np.median(self.std), self.energy.std(ddof=1) if len(self.energy) > 1 else 0.0))
        return Estimate.normal(float(self.energy.mean()), std, unit="kJ/mol")


def kissinger(peak_c: Sequence[float], heating_rates_k_min: Sequence[float]) -> KissingerResult:
    """Activation energy from the shift of a DTG peak (°C) with heating rate (K/min), three different ones or more.

    ln(β/T_p²) = ln(A R/E) − E/(R T_p)   [Kissinger, Anal. Chem. 29 (1957) 1702]. Raises AnalysisError for fewer than
    three rates, unequal lengths, and peaks that do not rise with the rate.
    """
    kelvin = celsius_to_kelvin(np.asarray(peak_c, dtype=float))
    rates = _checked(heating_rates_k_min, len(kelvin))
    line = fit_line(1.0 / kelvin, np.log(rates / kelvin**2)) if np.ptp(kelvin) > 0 else None
    if line is None or line.slope >= 0:
        msg = "the peaks do not move up with the heating rate, so no activation energy follows from them."
        raise AnalysisError(msg)
    energy, std = -line.slope * GAS_CONSTANT_KJ, line.slope_std * GAS_CONSTANT_KJ
    ln_a = float(line.intercept + np.log(energy / GAS_CONSTANT_KJ))
    ln_a_std = float(np.hypot(line.intercept_std, std / energy))
    return KissingerResult(
        energy=Estimate.normal(energy, std, unit="kJ/mol", coverage_factor=line.t95),
        ln_prefactor=Estimate.normal(ln_a, ln_a_std, unit="ln(1/min)", coverage_factor=line.t95),
        line=line,
    )


def friedman(curves: Sequence[ConversionCurve], levels: FloatArray = _LEVELS) -> IsoconversionalResult:
    """Differential isoconversional energies: ln(dα/dt) = ln(A f(α)) − E/(R T).

    [Friedman, J. Polym. Sci. C 6 (1964) 183.] Exact for any temperature programme, but sensitive to noise.
    """
    return _from_lines("friedman", curves, levels, lambda point: np.log(np.maximum(point.rate_per_min, 1e-300)))


def kissinger_akahira_sunose(curves: Sequence[ConversionCurve], levels: FloatArray = _LEVELS) -> IsoconversionalResult:
    """Integral energies: ln(β/T²) = C − E/(R T) [Akahira & Sunose, Res. Rep. Chiba Inst. Technol. 16 (1971) 22]."""
    return _from_lines(
        "kissinger-akahira-sunose", curves, levels, lambda point: np.log(point.heating_rate_k_min / point.kelvin**2)
    )


def flynn_wall_ozawa(curves: Sequence[ConversionCurve], levels: FloatArray = _LEVELS) -> IsoconversionalResult:
    """Integral isoconversional energies from ln β = C − b E/(R T), for constant heating rates.

    [Ozawa, Bull. Chem. Soc. Jpn. 38 (1965) 1881; Flynn & Wall 1966.] Doyle's b = 1.052 is replaced by the slope
    −d ln p/dx of the exact temperature integral at x = E/RT, iterated (Flynn, J. Therm. Anal. 27 (1983) 95).
    """

    def factor(line: Line) -> float:
        b, kelvin = 1.052, float((1.0 / line.x).mean())
        for _ in range(20):
            x = max(-line.slope / b / kelvin, 2.0)
            b = float(np.exp(-x) / (x**2 * temperature_integral(x)))  # −d ln p/dx, from p' = −e⁻ˣ/x²
        return b

    def ordinate(point: ConversionCurve) -> FloatArray:
        return np.full(len(levels), np.log(point.heating_rate_k_min))

    return _from_lines("flynn-wall-ozawa", curves, levels, ordinate, factor)


def _from_lines(
    method: str,
    curves: Sequence[ConversionCurve],
    levels: FloatArray,
    ordinate: Callable[[ConversionCurve], FloatArray],
    factor: Callable[[Line], float] | None = None,
) -> IsoconversionalResult:
    """Energies from lines against 1/T of a slope −E/R, or of that times a factor, at each level of conversion."""
    _checked([curve.heating_rate_k_min for curve in curves], len(curves))
    points = [curve.at(levels) for curve in curves]
    inverse, values = ((1.0 / np.array([p.kelvin for p in points])).T, np.array([ordinate(p) for p in points]).T)
    lines = tuple(fit_line(x, y) for x, y in zip(inverse, values, strict=True))
    scale = GAS_CONSTANT_KJ / np.array([1.0 if factor is None else factor(line) for line in lines])
    energy = -scale * np.array([line.slope for line in lines])
    std = scale * np.array([line.slope_std for line in lines])
    half = std * np.array([line.t95 for line in lines])
    ci95 = np.column_stack((energy - half, energy + half))
    return IsoconversionalResult(method=method, conversion=levels, energy=energy, std=std, ci95=ci95, lines=lines)


def vyazovkin(curves: Sequence[ConversionCurve], levels: FloatArray = _LEVELS) -> IsoconversionalResult:
    """Non-linear isoconversional energies, integrated over small steps of conversion.

    E minimises Σ_{i≠j} J_i(E)/J_j(E) with J = ∫ exp(−E/(R T)) dt from the previous level to this one, so that an energy
    that varies with conversion is not averaged [Vyazovkin, J. Comput. Chem. 22 (2001) 178]. The 95 % limits are where
    the variance of J_i/J_j exceeds its minimum by F(0.95; n−1, n−1) [Vyazovkin & Wight, Anal. Chem. 72 (2000) 3171].
    """
    n = len(_checked([curve.heating_rate_k_min for curve in curves], len(curves)))
    limit = float(fdtri(n - 1, n - 1, 0.95))
    previous = np.concatenate(([max(levels[0] - (levels[1] - levels[0]), 0.01)], levels[:-1]))
    steps = zip(previous.tolist(), levels.tolist(), strict=True)
    found = [_energy_between(curves, low, high, limit) for low, high in steps]
    interval = np.array([estimate.ci95 for estimate in found])
    return IsoconversionalResult(
        method="vyazovkin",
        conversion=levels,
        energy=np.array([estimate.value for estimate in found]),
        std=(interval[:, 1] - interval[:, 0]) / (2.0 * 1.96),
        ci95=interval,
    )


def _energy_between(curves: Sequence[ConversionCurve], low: float, high: float, limit: float) -> Estimate:
    """Energy between two levels of conversion; at its limits the variance of the ratios is `limit` times the least."""
    from scipy.optimize import brentq, minimize_scalar

    inverse, weights = np.empty((len(curves), 21)), np.empty((len(curves), 21))
    for k, curve in enumerate(curves):
        start, end = curve.at(np.array([low, high])).minutes
        nodes = np.linspace(start, end, 21)
        inverse[k] = 1.0 / (GAS_CONSTANT_KJ * np.interp(nodes, curve.minutes, curve.kelvin))
        weights[k] = nodes[1] - nodes[0]  # trapezoidal rule
    weights[:, [0, -1]] *= 0.5
    off_diagonal = ~np.eye(len(curves), dtype=bool)
    reference = inverse.mean(axis=1).mean()  # cancels in the ratios, and keeps the exponentials within range

    def ratios(energy: float) -> FloatArray:
        j = (weights * np.exp(-energy * (inverse - reference))).sum(axis=1)
        return np.asarray((j[:, None] / j[None, :])[off_diagonal])

    def variance(energy: float) -> float:
        return float(((ratios(energy) - 1.0) ** 2).mean())

    least = minimize_scalar(lambda e: float(ratios(float(e)).sum()), bounds=_ENERGY_BOUNDS, method="bounded")
    energy = float(least.x)
    level = limit * max(variance(energy), 1e-14)
    below, above = _ENERGY_BOUNDS
    if variance(energy) < level:
        below, above = (
            float(brentq(lambda e: variance(e) - level, energy, bound)) if variance(bound) > level else bound
            for bound in _ENERGY_BOUNDS
        )
    return Estimate(value=energy, ci95=(below, above), unit="kJ/mol")


def temperature_integral(x: npt.ArrayLike) -> FloatArray:
    """p(x) = ∫ₓ^∞ e⁻ᵘ/u² du = e⁻ˣ/x − E₁(x), for x = E/(R T) > 0."""
    x = np.asarray(x, dtype=float)
    return np.asarray(np.exp(-x) / x - exp1(x))


def _checked(stated: Sequence[float], runs: int) -> FloatArray:
    """Heating rates of a number of runs, three of them different."""
    rates = np.asarray(stated, dtype=float)
    msg = ""
    if len(rates) != runs:
        msg = f"{runs} runs, but {len(rates)} heating rates."
    elif not (np.isfinite(rates).all() and (rates > 0).all()):
        msg = f"heating rates of {rates.tolist()} K/min: each must be a number above 0."
    elif len(np.unique(np.round(rates, 3))) < 3:
        msg = f"an activation energy needs at least three different heating rates, not {rates.tolist()} K/min."
    if msg:
        raise AnalysisError(msg)
    return rates


# ---- How far a reaction gets under another programme ----


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Time and temperature of each of m conversions; the interval (m, 2) is from the 95 % limits of the energies."""

    conversion: FloatArray
    minutes: FloatArray
    temperature_c: FloatArray
    minutes_interval: FloatArray


def predict_isothermal(energies: IsoconversionalResult, curve: ConversionCurve, temperature_c: float) -> Prediction:
    """Time in min to each conversion at a constant temperature, from one of the curves that the energies came from.

    t(α) = Σ ∫ exp(−E_α/(R T(t))) dt / exp(−E_α/(R T₀)) over the steps of conversion of a measured run
    [Vyazovkin, Int. Rev. Phys. Chem. 19 (2000) 45].
    """
    kelvin = float(celsius_to_kelvin(temperature_c))

    def minutes(energy: FloatArray, doses: FloatArray) -> FloatArray:
        return np.cumsum(doses * np.exp(energy / (GAS_CONSTANT_KJ * kelvin)))

    return _predicted(energies, curve, minutes, start_c=temperature_c, rate_k_min=0.0)


def predict_heating(energies: IsoconversionalResult, curve: ConversionCurve, heating_rate_k_min: float) -> Prediction:
    """Time from the first temperature to each conversion at another rate; `curve` is one of those of the energies."""
    from scipy.optimize import brentq

    start = float(curve.kelvin[0])

    def minutes(energy: FloatArray, doses: FloatArray) -> FloatArray:
        # each level is reached where ∫ exp(−E/(R T)) dT from the one before equals what the measured run needed
        kelvin, out = start, []
        for dose, e in zip(doses * heating_rate_k_min, energy, strict=True):
            reached, high = _arrhenius(kelvin, e) + dose, kelvin + 10.0
            while _arrhenius(high, e) < reached and high < 5000.0:
                high += 50.0
            kelvin = float(brentq(lambda t, e=e, reached=reached: _arrhenius(t, e) - reached, kelvin, high))
            out.append(kelvin)
        return (np.array(out) - start) / heating_rate_k_min

    return _predicted(energies, curve, minutes, start_c=float(curve.temperature_c[0]), rate_k_min=heating_rate_k_min)


def _predicted(
    energies: IsoconversionalResult,
    curve: ConversionCurve,
    minutes: Callable[[FloatArray, FloatArray], FloatArray],
    *,
    start_c: float,
    rate_k_min: float,
) -> Prediction:
    """Course by energies and limits; `minutes` takes energies and the run's ∫ exp(−E/(R T)) dt (min) per level."""
    kelvin = curve.at(energies.conversion).kelvin
    before = np.concatenate((curve.kelvin[:1], kelvin[:-1]))

    def course(energy: FloatArray) -> FloatArray:
        passed = _arrhenius(kelvin, energy) - _arrhenius(before, energy)
        return minutes(energy, passed / curve.heating_rate_k_min)

    best, limits = course(energies.energy), [course(limit) for limit in energies.ci95.T]
    return Prediction(
        conversion=energies.conversion,
        minutes=best,
        temperature_c=start_c + rate_k_min * best,
        minutes_interval=np.sort(np.column_stack(limits), axis=1),
    )


def _arrhenius(kelvin: npt.ArrayLike, energy: npt.ArrayLike) -> FloatArray:
    """∫₀ᵀ exp(−E/(R T)) dT = (E/R) p(E/(R T)), kelvin."""
    e = np.asarray(energy) / GAS_CONSTANT_KJ
    return e * temperature_integral(e / np.asarray(kelvin))
