"""From losses to substances: stoichiometry, char, bound water, dry basis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from xrdcomp.data import Atmosphere
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import Estimate
from xrdcomp.units import FloatArray

CO3_PER_CO2 = 60.009 / 44.009
OXALATE_RATIO = 28.010 / 44.009
_Z95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Fractions of the start mass in the order water, organic, carbonate (as CO2), residue; they sum to 1.

    `covariance` maps each source of uncertainty to a (4, 4) array whose rows sum to 0.
    """

    values: FloatArray
    covariance: Mapping[str, FloatArray]

    @property
    def total(self) -> FloatArray:
        """Covariance summed over all sources."""
        total: FloatArray = np.sum(list(self.covariance.values()), axis=0)
        return total


def is_inert(atmosphere: Atmosphere) -> bool:
    """Whether organic matter leaves char in this gas."""
    return atmosphere in ("nitrogen", "argon", "carbon_dioxide")


def char_estimate(recipe: ThermalRecipe, atmosphere: Atmosphere) -> Estimate | None:
    """Share of the organic that stays as char; None in air and where the gas is unknown."""
    if not is_inert(atmosphere):
        return None
    value, std = recipe.char_fraction, recipe.char_std
    return Estimate.normal(value, std, coverage_factor=_Z95)


def quantities(
    balance: Balance, recipe: ThermalRecipe, atmosphere: Atmosphere
) -> tuple[dict[str, Estimate], dict[str, dict[str, float]]]:
    """Substances as received and dry, with the share each source has in their variance.

    ``organic`` = y_O / (1 − χ) and ``residue`` = y_R − χ·organic with the char fraction χ (0 in air), whose prior
    ends where no mineral would be left;
    ``carbonate_co3`` = 1.3636 y_C; ``total_mineral`` = residue + carbonate_co2 (mineral with its carbonate).
    The dry quantities are divided by 1 − water. Bound water and HPO4 condensation can only lower the organic
    and raise the mineral, by at most `recipe.bound_water_fraction` of the mineral: a one-sided uncertainty.

    Returns
    -------
    estimates, shares of variance
    """
    y, h = balance.values, 1e-6
    chi, chi_std = _char(y, recipe) if is_inert(atmosphere) else (0.0, 0.0)
    base = _derived(y, chi, 0.0)
    names = list(base)
    values = np.array([base[n] for n in names])
    bound = recipe.bound_water_fraction * max(base["residue"], 0.0)
    jacobian = np.array([(_vector(y + h * e, chi, 0.0) - values) / h for e in np.eye(4)]).T
    sources = {name: _diagonal(jacobian, c) for name, c in balance.covariance.items()}
    sources["char"] = ((_vector(y, chi + h, 0.0) - values) / h * chi_std) ** 2
    toward_bound = (_vector(y, chi, h) - values) / h * bound
    sources["bound_water"] = toward_bound**2 / 3.0
    symmetric = np.sqrt(sum(v for n, v in sources.items() if n != "bound_water"))
    total = np.sqrt(symmetric**2 + sources["bound_water"])
    estimates = {
        name: Estimate(
            value=float(values[i]),
            std=float(total[i]),
            ci95=_interval(float(values[i]), float(symmetric[i]), float(toward_bound[i])),
        )
        for i, name in enumerate(names)
    }
    budget = {
        name: {s: float(v[i] / total[i] ** 2) if total[i] > 0 else 0.0 for s, v in sources.items()}
        for i, name in enumerate(names)
    }
    return estimates, budget


def _char(y: FloatArray, recipe: ThermalRecipe) -> tuple[float, float]:
    """Mean and standard deviation of the char fraction, given that the mineral cannot be negative.

    A normal distribution cut at χ = y_R / (y_R + y_O), where all of the residue would be char, and at 0.
    """
    mean, std = recipe.char_fraction, recipe.char_std
    residue, organic = max(float(y[3]), 1e-6), max(float(y[1]), 1e-6)
    if std <= 0:
        return mean, 0.0
    low, high = -mean / std, (residue / (residue + organic) - mean) / std
    inside = float(ndtr(high) - ndtr(low))
    if inside < 1e-6:
        return residue / (residue + organic), 0.3 * std
    density_low, density_high = (float(np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)) for z in (low, high))
    shift = (density_low - density_high) / inside
    spread = 1.0 + (low * density_low - high * density_high) / inside - shift**2
    return mean + std * shift, float(std * np.sqrt(max(spread, 1e-4)))


def _derived(y: FloatArray, chi: float, bound: float) -> dict[str, float]:
    """Quantities for a char fraction and an amount of bound water that hides in the organic loss."""
    water = float(y[0])
    organic = float(y[1] - bound) / (1.0 - chi)
    residue = float(y[3]) - chi * organic
    mineral = residue + float(y[2]) + bound
    out = {
        "water": water,
        "organic": organic,
        "carbonate_co2": float(y[2]),
        "carbonate_co3": CO3_PER_CO2 * float(y[2]),
        "residue": residue,
        "total_mineral": mineral,
    }
    solid = max(1.0 - water, 1e-6)
    dry = {f"dry_{n}": v / solid for n, v in out.items() if n != "water"}
    return out | dry


def _vector(y: FloatArray, chi: float, bound: float) -> FloatArray:
    return np.array(list(_derived(y, chi, bound).values()))


def _diagonal(jacobian: FloatArray, covariance: FloatArray) -> FloatArray:
    diagonal: FloatArray = np.einsum("ij,jk,ik->i", jacobian, covariance, jacobian)
    return np.maximum(diagonal, 0.0)


def _interval(value: float, symmetric: float, toward: float) -> tuple[float, float]:
    """95 % interval, widened on the side the bounded effect can act on (uniform on [0, toward])."""
    low = high = _Z95 * symmetric
    one_sided = np.hypot(_Z95 * symmetric, 0.95 * abs(toward))
    if toward < 0:
        low = float(one_sided)
    else:
        high = float(one_sided)
    return value - low, value + high
