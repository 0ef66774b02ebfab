"""Overlapping steps separated into component peaks, their number chosen by BIC.

Several separations usually describe a curve equally well, and give different shares: the spread over all admissible
ones is part of the uncertainty of a share.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.results import Estimate, TgaResult
from xrdcomp.thermal.curve import check_inside
from xrdcomp.thermal.smoothing import derivative
from xrdcomp.units import CELSIUS_ZERO_K, GAS_CONSTANT, FloatArray, celsius_to_kelvin

# ---- Shapes of a single DTG peak, both of unit area ----

_LN2 = np.log(2.0)


def fraser_suzuki(temperature_c: FloatArray, center: float, fwhm: float, asymmetry: float) -> FloatArray:
    """Asymmetric Gaussian of unit area, 1/°C.

    y = h exp(−(ln 2/s²) [ln(1 + 2 s (T − c)/w)]²), with h = 1 / (w √(π/(4 ln 2)) exp(s²/(4 ln 2))) and the full width
    at half maximum w sinh(s)/s   [Fraser & Suzuki, Anal. Chem. 41 (1969) 37]. `center` c and `fwhm` > 0 are in °C;
    `asymmetry` s draws a tail to high temperatures where positive, 0 is a Gaussian.
    """
    s = _asymmetry(asymmetry)
    w = float(fwhm * s / np.sinh(s))
    argument = 1.0 + 2.0 * s * (temperature_c - center) / w
    inside = argument > 1e-12
    logarithm = np.log(np.where(inside, argument, 1.0)) / s
    height = 1.0 / (w * np.sqrt(np.pi / (4.0 * _LN2)) * np.exp(s**2 / (4.0 * _LN2)))
    return np.where(inside, height * np.exp(-_LN2 * logarithm**2), 0.0)


def fraser_suzuki_gradient(temperature_c: FloatArray, center: float, fwhm: float, asymmetry: float) -> FloatArray:
    """Derivatives (3, n) of `fraser_suzuki` with respect to center, fwhm and asymmetry."""
    s = _asymmetry(asymmetry)
    w = float(fwhm * s / np.sinh(s))
    y = fraser_suzuki(temperature_c, center, fwhm, asymmetry)
    offset = temperature_c - center
    argument = 1.0 + 2.0 * s * offset / w
    safe = np.where(argument > 1e-12, argument, 1.0)
    logarithm = np.log(safe)
    # by the logarithm's argument first, then by what it is made of; w depends on fwhm and on s
    factor = -2.0 * _LN2 * logarithm / (s**2 * safe) * y
    by_center = factor * (-2.0 * s / w)
    by_w = factor * (-2.0 * s * offset / w**2) - y / w
    by_s_at_w = factor * (2.0 * offset / w) + 2.0 * _LN2 * logarithm**2 / s**3 * y - s / (2.0 * _LN2) * y
    w_by_fwhm = s / np.sinh(s)
    w_by_s = fwhm * (np.sinh(s) - s * np.cosh(s)) / np.sinh(s) ** 2
    return np.array([by_center, by_w * w_by_fwhm, by_s_at_w + by_w * w_by_s])


def _asymmetry(s: float) -> float:
    """Asymmetry kept off 0, where the formula divides by it and the Gaussian is its limit."""
    return s if abs(s) > 1e-4 else 1e-4


def nth_order(temperature_c: FloatArray, center: float, energy_kj: float, order: float) -> FloatArray:
    """dα/dT of an nth-order reaction at constant heating rate, unit area, 1/°C.

    dα/dT = (A/β) exp(−E/RT) (1 − α)ⁿ, with A/β chosen such that Kissinger's condition E/(R T_p²) = (A/β) exp(−E/(R
    T_p)) holds at `center` (°C), and the temperature integral after Senum & Yang (J. Therm. Anal. 11 (1977) 445). A
    larger E (kJ/mol) makes the peak narrower, an order above 1 draws a tail to high temperatures.
    """
    kelvin, at = celsius_to_kelvin(temperature_c), float(celsius_to_kelvin(center))
    e = energy_kj / (1e-3 * GAS_CONSTANT)
    rate = e / at**2 * np.exp(np.clip(-e / kelvin + e / at, -300.0, 80.0))
    x = e / kelvin
    fraction = (x**3 + 18 * x**2 + 88 * x + 96) / (x**4 + 20 * x**3 + 120 * x**2 + 240 * x + 120)
    integral = rate * kelvin * fraction
    if abs(order - 1.0) < 1e-4:
        remaining = np.exp(-np.minimum(integral, 700.0))
    else:
        base = np.maximum(1.0 + (order - 1.0) * integral, 1e-12)
        remaining = base ** (1.0 / (1.0 - order))
    return rate * remaining**order


# ---- Separation into a sum of peaks ----
# Peaks are rows of four: mass lost, centre in °C, and the two parameters of the shape.

Shape = Literal["fraser_suzuki", "nth_order"]
_MAX_POINTS = 120
_FEWEST_POINTS = 12
_ADMISSIBLE_DELTA_BIC = 10.0
_FUNCTIONS = {"fraser_suzuki": fraser_suzuki, "nth_order": nth_order}
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "fraser_suzuki": ("loss", "center", "fwhm", "asymmetry"),
    "nth_order": ("loss", "center", "energy", "order"),
}


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One peak: mass lost in it (fraction of the start mass), its centre in °C, and its parameters by name."""

    mass_loss: Estimate
    center_c: float
    parameters: dict[str, float]


class Decomposition(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Component peaks of a range of the DTG, of the model with the smallest BIC, in order of temperature.

    The standard uncertainty of each loss holds the fit and the spread over admissible models. `dtg_per_c` (n,) is the
    DTG that was fitted over `temperature_c`, `curves` (k, n) are the components, fraction per °C; `bic` is by
    "shape:number of components".
    """

    shape: Shape
    components: tuple[Component, ...]
    temperature_c: FloatArray
    dtg_per_c: FloatArray
    curves: FloatArray
    bic: dict[str, float]

    @cached_property
    def fit(self) -> Any:
        """Lmfit result of the chosen model, from its peaks on."""
        import lmfit

        stride = max(1, len(self.temperature_c) // _MAX_POINTS)
        axis, data = self.temperature_c[::stride], self.dtg_per_c[::stride]
        bounds = _Bounded.of(axis, self.shape, len(self.components))
        found = np.array([value for part in self.components for value in part.parameters.values()])
        names = [f"{name}_{i}" for i, part in enumerate(self.components) for name in part.parameters]
        parameters = lmfit.Parameters()
        for name, value, low, high in zip(names, bounds.inside(found), bounds.low, bounds.high, strict=True):
            parameters.add(name, value=value, min=low, max=high)

        def residual(p: Any) -> FloatArray:
            return _misfit(axis, data, self.shape, np.array(list(p.valuesdict().values())))

        return lmfit.minimize(residual, parameters, method="leastsq")

    def crossing(self, boundary_c: float) -> float:
        """Mass that components below a cut at a temperature still lose above it, less what those above lose below."""
        step, above = float(self.temperature_c[1] - self.temperature_c[0]), self.temperature_c > boundary_c
        return sum(
            float(curve[above].sum() if part.center_c <= boundary_c else -curve[~above].sum()) * step
            for part, curve in zip(self.components, self.curves, strict=True)
        )


class _Model(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted sum of k peaks: rows (k, 4) in order of position, standard errors (k,) of the losses."""

    shape: Shape
    rows: FloatArray
    loss_std: FloatArray
    bic: float


def separate_peaks(
    temperature_c: FloatArray,
    dtg_per_c: FloatArray,
    *,
    correlation_c: float,
    shapes: tuple[Shape, ...] = ("fraser_suzuki", "nth_order"),
    max_components: int = 4,
) -> Decomposition:
    """Fit one to `max_components` peaks to a range of the DTG and choose among them.

    BIC = n ln(RSS/n) + p ln n with n the number of independent points, range / `correlation_c`: the °C over which the
    smoothed curve is correlated; larger values favour fewer components. Every model within 10 of the smallest BIC is
    admissible, and so is the best one of the other shape, because no shape is right. `temperature_c` is an even grid,
    `dtg_per_c` −dm/dT as a fraction of the start mass per °C. Raises AnalysisError for fewer than 12 points, or where
    nothing is lost.
    """
    if len(temperature_c) < _FEWEST_POINTS or float(dtg_per_c.sum()) <= 0:
        raise AnalysisError(
            f"nothing to separate between {temperature_c[0]:.0f} and {temperature_c[-1]:.0f} °C: "
            f"{len(temperature_c)} points; choose a range that holds a step."
        )
    stride = max(1, len(temperature_c) // _MAX_POINTS)
    axis, data = temperature_c[::stride], dtg_per_c[::stride]
    independent = max(abs(float(axis[-1] - axis[0])) / correlation_c, 8.0)
    models: list[_Model] = []
    for n in range(1, max_components + 1):
        if models and 4 * n > 0.7 * independent:
            break
        # start values: the last model's peaks and a new one where they miss most
        rows = models[-1].rows if models else np.empty((0, 4))
        missing = data - sum((_peak(axis, "fraser_suzuki", row) for row in rows), np.zeros(len(axis)))
        width = max(len(axis) // 25, 1)
        smooth = np.convolve(missing, np.ones(2 * width + 1) / (2 * width + 1), mode="same")
        top = int(np.argmax(smooth))
        high = max(float(missing[top]), 0.02 * float(data.max()))
        half = np.abs(missing) > 0.5 * high
        low = top - int(np.argmin(half[: top + 1][::-1])) if not half[: top + 1].all() else 0
        up = top + int(np.argmin(half[top:])) if not half[top:].all() else len(axis) - 1
        widest = 0.5 * (axis[-1] - axis[0])
        fwhm = float(np.clip(axis[up] - axis[low], 4.0 * float(axis[1] - axis[0]), widest))
        # 1.06: area of a Gaussian over height times width; reactions have their tail to low temperatures
        start = np.vstack((rows, (1.06 * high * fwhm, float(axis[top]), fwhm, -0.1)))
        models.append(_fitted(axis, data, "fraser_suzuki", start, independent))
    if "nth_order" in shapes:
        # kinetic peaks are found only from a good start: energy and order that give about the width and the asymmetry
        # of the best Fraser-Suzuki peaks, FWHM = 2.45 R order^0.45 T²/E with an R that does for a start
        start = min(models, key=lambda model: model.bic).rows.copy()
        for row, (_, center, fwhm, asymmetry) in zip(start, start.tolist(), strict=True):
            order = float(np.clip(1.0 + 3.0 * (asymmetry + 0.33), 0.5, 2.5))
            energy = 2.45 * order**0.45 * 8.314e-3 * (center + CELSIUS_ZERO_K) ** 2 / fwhm
            row[2:] = np.clip(energy, 25.0, 500.0), order
        models.append(_fitted(axis, data, "nth_order", start, independent))
    if "fraser_suzuki" not in shapes:
        models = [model for model in models if model.shape != "fraser_suzuki"]
    best = min(models, key=lambda model: model.bic)
    curves = np.array([_peak(temperature_c, best.shape, row) for row in best.rows])
    # spread of each component's loss over the admissible models, whose own components count for the nearest of its
    step = float(temperature_c[1] - temperature_c[0])
    tables = []
    for model in models:
        rival = model is min((m for m in models if m.shape == model.shape), key=lambda m: m.bic)
        if model.bic - best.bic <= _ADMISSIBLE_DELTA_BIC or rival:
            tables.append(np.zeros(len(best.rows)))
            for row in model.rows:
                nearest = int(np.argmin(np.abs(best.rows[:, 1] - row[1])))
                tables[-1][nearest] += float(_peak(temperature_c, model.shape, row).sum()) * step
    table = np.array(tables)
    spread = np.sqrt(((table - table.mean(axis=0)) ** 2).sum(axis=0) / max(len(table) - 1, 1))
    stds, losses = np.hypot(best.loss_std, spread), curves.sum(axis=1) * step
    components = tuple(
        Component(
            mass_loss=Estimate.normal(float(loss), float(std)),
            center_c=float(row[1]),
            parameters=dict(zip(_PARAMETERS[best.shape], row.tolist(), strict=True)),
        )
        for loss, std, row in zip(losses, stds, best.rows, strict=True)
    )
    return Decomposition(
        shape=best.shape,
        components=components,
        temperature_c=temperature_c,
        dtg_per_c=dtg_per_c,
        curves=curves,
        bic={f"{model.shape}:{len(model.rows)}": model.bic for model in models},
    )


def separate_steps(
    result: TgaResult,
    start_c: float,
    end_c: float,
    *,
    shapes: tuple[Shape, ...] = ("fraser_suzuki", "nth_order"),
    max_components: int = 4,
) -> Decomposition:
    """Separate the losses between two temperatures (°C) of an analysed run into component peaks, as `separate_peaks`.

    Raises AnalysisError where the range is outside the run or nothing is lost in it.
    """
    temperature = result.temperature_c
    check_inside(temperature, start_c, end_c)
    step = max(float(np.median(np.diff(temperature))), 0.5)
    axis = np.arange(max(start_c, temperature[0]), min(end_c, temperature[-1]), step)
    if len(axis) < _FEWEST_POINTS:
        msg = f"{start_c:g} to {end_c:g} °C holds {len(axis)} points of the curve; choose a range that holds a step."
        raise AnalysisError(msg)
    rising = np.concatenate(([True], np.diff(temperature) > 0))
    mass = np.interp(axis, temperature[rising], result.mass_fraction[rising])
    return separate_peaks(
        axis, -derivative(mass, step), correlation_c=10.0, shapes=shapes, max_components=max_components
    )


def _peak(axis: FloatArray, shape: Shape, row: FloatArray) -> FloatArray:
    peak: FloatArray = row[0] * _FUNCTIONS[shape](axis, row[1], row[2], row[3])
    return peak


class _Bounded(msgspec.Struct, frozen=True, kw_only=True):
    """Coordinates without limits of parameters within theirs, as in MINUIT: v = low + (1 + sin x)(high − low)/2."""

    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, axis: FloatArray, shape: Shape, n: int) -> _Bounded:
        """Limits of the parameters of n peaks of a shape."""
        span = float(axis[-1] - axis[0])
        limits = {
            "loss": (0.0, 1.2),
            "center": (float(axis[0]) - 0.1 * span, float(axis[-1]) + 0.1 * span),
            "fwhm": (2.0 * float(axis[1] - axis[0]), span),
            "asymmetry": (-1.2, 1.2),
            "energy": (20.0, 700.0),
            "order": (0.3, 3.0),
        }
        low, high = np.tile(np.array([limits[name] for name in _PARAMETERS[shape]]).T, n)
        return cls(low=low, high=high)

    def inside(self, values: FloatArray) -> FloatArray:
        """Values moved off their limits, where their coordinates have no slope."""
        margin = 1e-6 * (self.high - self.low)
        return np.clip(values, self.low + margin, self.high - margin)

    def free(self, values: FloatArray) -> FloatArray:
        """Coordinates of values."""
        out: FloatArray = np.arcsin(2.0 * (values - self.low) / (self.high - self.low) - 1.0)
        return out

    def values(self, free: FloatArray) -> FloatArray:
        """Values at coordinates."""
        out: FloatArray = self.low + (np.sin(free) + 1.0) * (self.high - self.low) / 2.0
        return out

    def slopes(self, free: FloatArray) -> FloatArray:
        """Derivatives of the values by their coordinates."""
        out: FloatArray = np.cos(free) * (self.high - self.low) / 2.0
        return out


class _Spent(Exception):
    """All evaluations of a fit are spent."""


def _misfit(axis: FloatArray, data: FloatArray, shape: Shape, values: FloatArray) -> FloatArray:
    """Residual (n,) of a sum of peaks, in units of the highest of the data."""
    model = sum((_peak(axis, shape, row) for row in values.reshape(-1, 4)), np.zeros(len(axis)))
    residual: FloatArray = (model - data) / max(float(np.abs(data).max()), 1e-12)
    return residual


def _fitted(axis: FloatArray, data: FloatArray, shape: Shape, start: FloatArray, independent: float) -> _Model:
    """Least-squares fit of a sum of peaks from start values (k, 4), with its BIC.

    MINPACK is called directly: lmfit, which does the same, takes a second to load (it brings pandas and statistics).
    """
    from scipy.optimize import leastsq

    bounds, k = _Bounded.of(axis, shape, len(start)), len(start)
    scale, most = max(float(np.abs(data).max()), 1e-12), 60 if shape == "fraser_suzuki" else 1500
    tried: list[FloatArray] = []

    def residual(free: FloatArray) -> FloatArray:
        tried.append(free.copy())
        if len(tried) > most + 2:
            raise _Spent
        return _misfit(axis, data, shape, bounds.values(free))

    def jacobian(free: FloatArray) -> FloatArray:
        columns: list[FloatArray] = []
        for loss, center, fwhm, asymmetry in bounds.values(free).reshape(-1, 4).tolist():
            columns.append(fraser_suzuki(axis, center, fwhm, asymmetry))
            columns += [loss * g for g in fraser_suzuki_gradient(axis, center, fwhm, asymmetry)]
        return np.array(columns) / scale * bounds.slopes(free)[:, None]

    covariance: FloatArray | None = None
    with np.errstate(all="ignore"):
        try:
            free, covariance, *_ = leastsq(
                residual, bounds.free(bounds.inside(start.ravel())), full_output=True, ftol=1.5e-8, xtol=1.5e-8,
                maxfev=2 * most, epsfcn=1e-10, Dfun=jacobian if shape == "fraser_suzuki" else None, col_deriv=True,
            )  # fmt: skip
        except _Spent:
            free = tried[-1]
        left = _misfit(axis, data, shape, bounds.values(free))
        stds = np.zeros(k)
        if covariance is not None:
            scatter = float((left**2).sum()) / max(len(left) - len(free), 1)
            stds = np.nan_to_num(np.sqrt(np.diag(covariance) * bounds.slopes(free) ** 2 * scatter)[::4], posinf=0.0)
    variance, rows = max(float((left**2).mean()), 1e-30), bounds.values(free).reshape(-1, 4)
    order = np.argsort(rows[:, 1], kind="stable")
    return _Model(
        shape=shape,
        rows=rows[order],
        loss_std=stds[order],
        bic=float(independent * np.log(variance) + 4 * k * np.log(independent)),
    )
