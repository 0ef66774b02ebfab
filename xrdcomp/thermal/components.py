"""Overlapping steps separated into component peaks, their number chosen by BIC.

Several separations usually describe a curve equally well, and give different shares: the spread over all
admissible ones is part of the uncertainty of a share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.results import Estimate
from xrdcomp.units import FloatArray, celsius_to_kelvin

# ------------ Shapes of a single DTG peak: Fraser-Suzuki and nth-order kinetics, both of unit area.

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


# ------------ Overlapping steps separated into component peaks, their number chosen by BIC.
# Several separations usually describe a curve equally well, and give different shares: the spread over all
# admissible ones is part of the uncertainty of a share.

Shape = Literal["fraser_suzuki", "nth_order"]
_MAX_POINTS = 120
_ADMISSIBLE_DELTA_BIC = 10.0
_FIELDS: dict[str, tuple[str, ...]] = {
    "fraser_suzuki": ("loss", "center", "fwhm", "asymmetry"),
    "nth_order": ("loss", "center", "energy", "order"),
}


@dataclass(frozen=True, kw_only=True)
class Component:
    """One peak: mass lost in it, its position, and its shape parameters by name.

    Attributes
    ----------
    mass_loss : float
        Fraction of the start mass.
    center_c : float, °C
    parameters : mapping of name to float
    """

    mass_loss: Estimate
    center_c: float
    parameters: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Decomposition:
    """Component peaks of a range of the DTG.

    Parameters
    ----------
    shape : str
    components : tuple of Component
        Of the model with the smallest BIC, in order of temperature; the standard uncertainty of each loss
        holds the fit and the spread over admissible models.
    temperature_c : (n,) array
    dtg_per_c, curves : (n,) array and (k, n) array
        The DTG that was fitted and the components, fraction per °C.
    bic : mapping of "shape:number of components" to BIC
    fit : lmfit.minimizer.MinimizerResult
        Of the chosen model.
    """

    shape: Shape
    components: tuple[Component, ...]
    temperature_c: FloatArray
    dtg_per_c: FloatArray
    curves: FloatArray
    bic: dict[str, float]
    fit: Any

    def crossing(self, boundary_c: float) -> float:
        """Mass that a cut at a temperature puts on the wrong side.

        Positive: what the components below it still lose above, less what those above it lose below.
        """
        step = float(self.temperature_c[1] - self.temperature_c[0])
        above = self.temperature_c > boundary_c
        total = 0.0
        for component, curve in zip(self.components, self.curves, strict=True):
            if component.center_c <= boundary_c:
                total += float(curve[above].sum()) * step
            else:
                total -= float(curve[~above].sum()) * step
        return total


@dataclass(frozen=True, kw_only=True)
class _Model:
    shape: Shape
    n: int
    bic: float
    fit: Any

    @property
    def rows(self) -> list[tuple[float, ...]]:
        """Parameters of each peak, in order of position."""
        return sorted(_rows(self.fit, self.shape, self.n), key=lambda row: row[1])


def separate_peaks(
    temperature_c: FloatArray,
    dtg_per_c: FloatArray,
    *,
    correlation_c: float,
    shapes: tuple[Shape, ...] = ("fraser_suzuki", "nth_order"),
    max_components: int = 4,
) -> Decomposition:
    """Fit one to `max_components` peaks to a range of the DTG and choose among them.

    BIC = n ln(RSS/n) + p ln n with n the number of independent points, range / `correlation_c`. Every model
    within 10 of the smallest BIC is admissible, and so is the best one of the other shape, because no shape is
    right. nth-order peaks start from the Fraser-Suzuki ones.

    Parameters
    ----------
    temperature_c, dtg_per_c : (n,) arrays
        Even grid in °C, −dm/dT as a fraction of the start mass per °C.
    correlation_c : float, °C
        Over which the smoothed curve is correlated; larger values favour fewer components.
    shapes : tuple of {"fraser_suzuki", "nth_order"}
    max_components : int
        Most peaks that are tried.

    Returns
    -------
    Decomposition

    Raises
    ------
    AnalysisError
        Fewer than 12 points, or nothing is lost in the range.
    """
    if len(temperature_c) < 12 or float(dtg_per_c.sum()) <= 0:
        msg = (
            f"nothing to separate between {temperature_c[0]:.0f} and {temperature_c[-1]:.0f} °C: "
            f"{len(temperature_c)} points; choose a range that holds a step."
        )
        raise AnalysisError(msg)
    stride = max(1, len(temperature_c) // _MAX_POINTS)
    axis, data = temperature_c[::stride], dtg_per_c[::stride]
    independent = max(abs(float(axis[-1] - axis[0])) / correlation_c, 8.0)
    models: list[_Model] = []
    for n in range(1, max_components + 1):
        if models and 4 * n > 0.7 * independent:
            break
        rows = _with_one_more(axis, data, models[-1].rows if models else [])
        models.append(_model(axis, data, "fraser_suzuki", rows, independent))
    if "nth_order" in shapes:
        best = min(models, key=lambda model: model.bic)
        start = [_as_kinetics(row) for row in best.rows]
        models.append(_model(axis, data, "nth_order", start, independent))
    if "fraser_suzuki" not in shapes:
        models = [model for model in models if model.shape != "fraser_suzuki"]
    return _decomposition(models, (temperature_c, dtg_per_c))


def _model(
    axis: FloatArray, data: FloatArray, shape: Shape, rows: list[tuple[float, ...]], independent: float
) -> _Model:
    fit = _fit(axis, data, shape, rows)
    variance = max(float((fit.residual**2).mean()), 1e-30)
    bic = float(independent * np.log(variance) + 4 * len(rows) * np.log(independent))
    return _Model(shape=shape, n=len(rows), bic=bic, fit=fit)


def _as_kinetics(row: tuple[float, ...]) -> tuple[float, ...]:
    """Energy and order that give about the width and asymmetry of a Fraser-Suzuki peak."""
    kelvin = row[1] + 273.15
    order = float(np.clip(1.0 + 3.0 * (row[3] + 0.33), 0.5, 2.5))
    energy = float(np.clip(2.45 * order**0.45 * 8.314e-3 * kelvin**2 / row[2], 25.0, 500.0))
    return row[0], row[1], energy, order


def _with_one_more(
    axis: FloatArray, data: FloatArray, rows: list[tuple[float, ...]]
) -> list[tuple[float, ...]]:
    """Start values: the last model and a new peak where it misses most."""
    step = float(axis[1] - axis[0])
    missing = data - sum((_peak(axis, "fraser_suzuki", row) for row in rows), np.zeros(len(axis)))
    width = max(len(axis) // 25, 1)
    smooth = np.convolve(missing, np.ones(2 * width + 1) / (2 * width + 1), mode="same")
    top = int(np.argmax(smooth))
    high = max(float(missing[top]), 0.02 * float(data.max()))
    half = np.abs(missing) > 0.5 * high
    low = top - int(np.argmin(half[: top + 1][::-1])) if not half[: top + 1].all() else 0
    up = top + int(np.argmin(half[top:])) if not half[top:].all() else len(axis) - 1
    fwhm = float(np.clip(axis[up] - axis[low], 4.0 * step, 0.5 * (axis[-1] - axis[0])))
    return [*rows, (1.06 * high * fwhm, float(axis[top]), fwhm, -0.1)]


def _rows(fit: Any, shape: Shape, n: int) -> list[tuple[float, ...]]:
    return [tuple(float(fit.params[f"{f}_{k}"].value) for f in _FIELDS[shape]) for k in range(n)]


def _peak(axis: FloatArray, shape: Shape, row: tuple[float, ...]) -> FloatArray:
    function = fraser_suzuki if shape == "fraser_suzuki" else nth_order
    return row[0] * function(axis, row[1], row[2], row[3])


def _fit(axis: FloatArray, data: FloatArray, shape: Shape, rows: list[tuple[float, ...]]) -> Any:
    import lmfit

    span = float(axis[-1] - axis[0])
    limits = {
        "loss": (0.0, 1.2),
        "center": (float(axis[0]) - 0.1 * span, float(axis[-1]) + 0.1 * span),
        "fwhm": (2.0 * float(axis[1] - axis[0]), span),
        "asymmetry": (-1.2, 1.2),
        "energy": (20.0, 700.0),
        "order": (0.3, 3.0),
    }
    parameters = lmfit.Parameters()
    for k, row in enumerate(rows):
        for name, value in zip(_FIELDS[shape], row, strict=True):
            low, high = limits[name]
            inside = float(np.clip(value, low + 1e-6 * (high - low), high - 1e-6 * (high - low)))
            parameters.add(f"{name}_{k}", value=inside, min=low, max=high)
    scale = max(float(np.abs(data).max()), 1e-12)

    def residual(p: Any) -> FloatArray:
        v = np.array(list(p.valuesdict().values())).reshape(-1, 4)
        model = sum((_peak(axis, shape, tuple(row)) for row in v), np.zeros(len(axis)))
        return (model - data) / scale

    def jacobian(p: Any) -> FloatArray:
        v = np.array(list(p.valuesdict().values())).reshape(-1, 4)
        columns: list[FloatArray] = []
        for loss, center, fwhm, s in v:
            columns.append(fraser_suzuki(axis, center, fwhm, s))
            columns += [loss * g for g in fraser_suzuki_gradient(axis, center, fwhm, s)]
        return np.array(columns) / scale

    options: dict[str, Any] = {"max_nfev": 60 if shape == "fraser_suzuki" else 1500}
    if shape == "fraser_suzuki":
        options |= {"Dfun": jacobian, "col_deriv": 1}
    return lmfit.minimize(residual, parameters, method="leastsq", **options)


def _decomposition(models: list[_Model], data: tuple[FloatArray, FloatArray]) -> Decomposition:
    axis, dtg = data
    best = min(models, key=lambda model: model.bic)
    step = float(axis[1] - axis[0])
    curves = np.array([_peak(axis, best.shape, row) for row in best.rows])
    spread = _spread(models, best, axis)
    order = sorted(range(best.n), key=lambda k: float(best.fit.params[f"center_{k}"].value))
    components = []
    for position, (k, row) in enumerate(zip(order, best.rows, strict=True)):
        error = best.fit.params[f"loss_{k}"].stderr
        std = float(np.hypot(error if error is not None and np.isfinite(error) else 0.0, spread[position]))
        loss = float(curves[position].sum()) * step
        components.append(
            Component(
                mass_loss=Estimate.normal(loss, std),
                center_c=row[1],
                parameters=dict(zip(_FIELDS[best.shape], row, strict=True)),
            )
        )
    return Decomposition(
        shape=best.shape,
        components=tuple(components),
        temperature_c=axis,
        dtg_per_c=dtg,
        curves=curves,
        bic={f"{model.shape}:{model.n}": model.bic for model in models},
        fit=best.fit,
    )


def _spread(models: list[_Model], best: _Model, axis: FloatArray) -> FloatArray:
    """Root mean square deviation of each component's loss over the admissible models.

    Components of another model are assigned to the nearest one of the chosen model by position.
    """
    centres = np.array([row[1] for row in best.rows])
    step = float(axis[1] - axis[0])
    tables = []
    for model in models:
        rival = model is min((m for m in models if m.shape == model.shape), key=lambda m: m.bic)
        if model.bic - best.bic > _ADMISSIBLE_DELTA_BIC and not rival:
            continue
        losses = np.zeros(best.n)
        for row in model.rows:
            losses[int(np.argmin(np.abs(centres - row[1])))] += (
                float(_peak(axis, model.shape, row).sum()) * step
            )
        tables.append(losses)
    table = np.array(tables)
    spread: FloatArray = np.sqrt(((table - table.mean(axis=0)) ** 2).sum(axis=0) / max(len(table) - 1, 1))
    return spread
