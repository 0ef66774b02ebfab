"""Calibrated degree of crystallinity: an area ratio turned into a mass fraction by one measured constant."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xrdcomp.errors import AnalysisError, OutputError, RecipeError
from xrdcomp.results import Estimate, FitResult, XrdAmounts

__all__ = [
    "RANGE_TOLERANCE",
    "AmorphousCalibration",
    "KnownMixture",
    "calibrate_amorphous",
    "crystalline_fraction",
    "prior_constant",
    "read_amorphous",
    "write_amorphous",
]

PRIOR_RELATIVE_STD = 0.20
"""Relative standard uncertainty of a calculated k: independent atoms ignore low-angle interference, and measured
patterns of organic matter beside fluorapatite agree with calculation to 15 %, one composite to 40 %."""

RANGE_TOLERANCE = 1.0
"""Degrees by which ends of ranges may differ that a constant is found on or used for: scans rarely end on one step."""

_KEYS = ("k", "k_std", "n_mixtures", "two_theta_min", "two_theta_max")
_FACTOR_KEYS = ("factor", "factor_std")


@dataclass(frozen=True, kw_only=True)
class KnownMixture:
    """A mixture of known crystalline mass fraction w, the area ratio X that its pattern shows, and fitted amounts."""

    crystallinity: Estimate
    fraction: float
    fraction_std: float = 0.0
    amounts: XrdAmounts | None = None


@dataclass(frozen=True, kw_only=True)
class AmorphousCalibration:
    """Constant k of a laboratory for one pair of materials, over one range of angles.

    `factor` is the amorphous material's mass per fitted amount relative to the crystalline phases', for PONKCS.
    """

    k: Estimate
    n_mixtures: int
    two_theta_range: tuple[float, float]
    factor: Estimate | None = None


def crystalline_fraction(crystallinity: Estimate, k: Estimate) -> Estimate:
    """Mass fraction of the crystalline part from the share X of Bragg in Bragg plus halo area.

    w = X / (X + k (1 − X)), σ_w² = (k σ_X / D²)² + (X (1 − X) σ_k / D²)², D = X + k (1 − X)
    [area ratio with a calibration constant: Alexander 1969, X-ray Diffraction Methods in Polymer Science, ch. 3];
    k is the Bragg area per gram of crystal over the halo area per gram of the amorphous part in the same range.
    A larger k lowers w. The interval is symmetric in the logarithm of w / (1 − w) = X / (k (1 − X)).

    Raises
    ------
    AnalysisError
        X outside 0 … 1, or k not positive.
    """
    x, c = crystallinity.value, k.value
    if not 0.0 <= x <= 1.0 or not c > 0.0:
        msg = f"crystallinity {x:g} must lie in 0-1 and k = {c:g} must be positive."
        raise AnalysisError(msg)
    d = x + c * (1.0 - x)
    value = x / d
    std = float(np.hypot(c * (crystallinity.std or 0.0), x * (1.0 - x) * (k.std or 0.0)) / d**2)
    if not 0.0 < x < 1.0:
        return Estimate(value=value, std=std, interval=(value, value))
    spread = 1.96 * float(np.hypot((crystallinity.std or 0.0) / (x * (1.0 - x)), (k.std or 0.0) / c))
    odds = value / (1.0 - value)
    low, high = odds * float(np.exp(-spread)), odds * float(np.exp(spread))
    return Estimate(value=value, std=std, interval=(low / (1.0 + low), high / (1.0 + high)))


def prior_constant(fit: FitResult) -> Estimate:
    """Calculated k of a fit: Bragg area per amount over halo area per amount, with its prior uncertainty.

    Raises
    ------
    AnalysisError
        The fit has no crystalline or no amorphous part.
    """
    amounts = dict(zip(fit.amounts.names, fit.amounts.amounts, strict=True))
    bragg = sum(max(area, 0.0) for name, area in fit.bragg_area.items() if amounts[name] > 0)
    mass = sum(float(amounts[name]) for name in fit.bragg_area if amounts[name] > 0)
    halo = sum(float(np.trapezoid(np.maximum(curve, 0.0), fit.two_theta)) for curve in fit.amorphous.values())
    soft = sum(float(amounts[name]) for name in fit.amorphous)  # signed: halos trade with each other
    if not (mass > 0 and bragg > 0 and soft > 0 and halo > 0):
        msg = "k cannot be calculated from a fit without a crystalline or without an amorphous part; give k."
        raise AnalysisError(msg)
    value = (bragg / mass) / (halo / soft)
    return Estimate(value=value, std=PRIOR_RELATIVE_STD * value)


def calibrate_amorphous(
    mixtures: Sequence[KnownMixture], two_theta_range: tuple[float, float]
) -> AmorphousCalibration:
    """Determine k from mixtures of known composition.

    Each gives k_i = X_i (1 − w_i) / (w_i (1 − X_i)); the weighted mean of ln k_i is taken, its uncertainty widened by
    the Birge ratio where the mixtures scatter more than their uncertainties allow. Where fitted amounts are given, the
    PONKCS factor f_i = (1 − w_i) Σ_crystalline a / (w_i Σ_amorphous a) is found likewise
    [Scarlett & Madsen 2006 Powder Diffr. 21, 278].

    Parameters
    ----------
    mixtures : one or more, best at fractions from 0.2 to 0.8: k is poorly determined near 0 and 1
    two_theta_range : range over which the areas were taken, degrees

    Raises
    ------
    AnalysisError
        No mixture, or a fraction or area ratio that is not between 0 and 1.
    """
    if not mixtures:
        msg = "calibrating needs at least one mixture of known composition."
        raise AnalysisError(msg)
    logs, variances = [], []
    for k, item in enumerate(mixtures):
        x, w = item.crystallinity.value, item.fraction
        if not (0.0 < x < 1.0 and 0.0 < w < 1.0):
            msg = f"mixture {k + 1}: fraction {w:g} and area ratio {x:g} must lie between 0 and 1, both excluded."
            raise AnalysisError(msg)
        logs.append(np.log(x * (1.0 - w) / (w * (1.0 - x))))
        own = (item.crystallinity.std or 0.0) / (x * (1.0 - x))
        variances.append(max(own**2 + (item.fraction_std / (w * (1.0 - w))) ** 2, 1e-8))
    return AmorphousCalibration(
        k=_mean_of_logs(logs, variances),
        n_mixtures=len(logs),
        two_theta_range=two_theta_range,
        factor=_factor(mixtures),
    )


def _factor(mixtures: Sequence[KnownMixture]) -> Estimate | None:
    """PONKCS factor of all amorphous components together; None where a mixture lacks amounts of one kind."""
    logs, variances = [], []
    for item in mixtures:
        if item.amounts is None:
            return None
        crystals = np.array(item.amounts.crystalline)
        sums = np.stack([crystals, ~crystals]).astype(float)
        mass, covariance = sums @ item.amounts.amounts, sums @ item.amounts.covariance @ sums.T
        if not (mass > 0.0).all():
            return None
        w = item.fraction
        logs.append(float(np.log((1.0 - w) * mass[0] / (w * mass[1]))))
        gradient = np.array([1.0, -1.0]) / mass
        own = float(gradient @ covariance @ gradient)
        variances.append(max(own + (item.fraction_std / (w * (1.0 - w))) ** 2, 1e-8))
    return _mean_of_logs(logs, variances)


def _mean_of_logs(logs: Sequence[float], variances: Sequence[float]) -> Estimate:
    """Weighted mean of logarithms as an estimate of the quantity, widened by the Birge ratio."""
    weight = 1.0 / np.array(variances)
    mean = float(np.average(logs, weights=weight))
    variance = 1.0 / float(weight.sum())
    if len(logs) > 1:
        variance *= max(1.0, float((weight * (np.array(logs) - mean) ** 2).sum()) / (len(logs) - 1))
    value, std = float(np.exp(mean)), float(np.sqrt(variance))
    interval = (value * float(np.exp(-1.96 * std)), value * float(np.exp(1.96 * std)))
    return Estimate(value=value, std=value * std, interval=interval)


def write_amorphous(calibration: AmorphousCalibration, path: str | Path) -> Path:
    """Write a calibration as TOML and return the path."""
    values = (calibration.k.value, calibration.k.std or 0.0, calibration.n_mixtures)
    lines = ["# Constant of the degree of crystallinity, for quantification.amorphous_file.", ""]
    lines += [f"{k} = {v!r}" for k, v in zip(_KEYS, (*values, *calibration.two_theta_range), strict=True)]
    if calibration.factor is not None:
        pair = (calibration.factor.value, calibration.factor.std or 0.0)
        lines += [f"{k} = {v!r}" for k, v in zip(_FACTOR_KEYS, pair, strict=True)]
    target = Path(path)
    temporary = target.with_name(f".{target.name}.part")
    try:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        temporary.replace(target)
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror}). Choose a folder that may be written to."
        raise OutputError(msg) from error
    return target


def read_amorphous(path: str | Path) -> AmorphousCalibration:
    """Read what `write_amorphous` wrote.

    Raises
    ------
    RecipeError
        The file cannot be read, lacks a key or has one that is not a positive number.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: cannot be read as a calibration ({error}). Write one with `xrdcomp calibrate-amorphous`."
        raise RecipeError(msg) from error
    expected = (*_KEYS, *(_FACTOR_KEYS if set(_FACTOR_KEYS) & set(data) else ()))
    bad = [
        k
        for k in expected
        if isinstance(data.get(k), bool) or not isinstance(data.get(k), int | float) or not data[k] > 0
    ]
    if bad or set(data) - set(expected):
        wrong = ", ".join(bad) or "keys that do not belong here"
        msg = f"{path}: expected the keys {', '.join(_KEYS)} with positive numbers; wrong: {wrong}."
        raise RecipeError(msg)
    k, std = float(data["k"]), float(data["k_std"])
    return AmorphousCalibration(
        k=Estimate(value=k, std=std, interval=(k - 1.96 * std, k + 1.96 * std)),
        n_mixtures=int(data["n_mixtures"]),
        two_theta_range=(float(data["two_theta_min"]), float(data["two_theta_max"])),
        factor=Estimate(value=float(data["factor"]), std=float(data["factor_std"]))
        if "factor" in data
        else None,
    )
