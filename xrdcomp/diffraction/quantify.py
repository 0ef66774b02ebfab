"""Mass fractions from fitted amounts, method by method, each with its equation, source and complete uncertainty.

`XrdAmounts` hold S·(ZMV) of every component on one scale: a ratio of amounts is a ratio of masses in the beam
[Hill & Howard 1987 J. Appl. Cryst. 20, 467]. The functions here differ in what fixes that scale. Their
covariance starts from the amounts' own (counting, misfit, halo and background model, scattering per gram) and
adds, to first order, every constant the method leans on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.results import Estimate, XrdAmounts
from xrdcomp.types import Diagnostic, FloatArray

__all__ = [
    "AMORPHOUS_TOGETHER",
    "CORUNDUM_GRAIN_UM",
    "Quantification",
    "hill_howard",
    "internal_standard",
    "ponkcs",
    "ponkcs_factor",
    "rir",
    "standard_index",
    "whole_pattern",
    "with_amounts",
    "with_rest",
]

CORUNDUM_CRYSTALLINITY = (0.9902, 0.0056)
"""Crystalline share of corundum NIST SRM 676a: 99.02 ± 1.11 %, k = 2 (certificate)."""

CORUNDUM_GRAIN_UM = 0.5
"""Grain diameter of corundum NIST SRM 676a: jet-milled, disaggregated grains below a micrometre (certificate)."""

AMORPHOUS_TOGETHER = "non_crystalline"
"""Name under which all amorphous components count as one whose scattering per gram was measured."""

STANDARD_SPREAD = 0.01
"""Relative standard uncertainty of a ratio of two crystalline phases beyond the fit's own: residual texture,
grains and microabsorption in a well-ground mixture; the scatter of the determinations on weighed mixtures."""


@dataclass(frozen=True, kw_only=True)
class Quantification:
    """Mass fractions of some components by one method.

    Attributes
    ----------
    method : str
    basis : {"crystalline", "specimen"}
        What the fractions refer to: the crystalline part, or the whole specimen (without a spike).
    names : tuple of str
        Components; ``non_crystalline`` is what is left of the specimen.
    fractions : (n,) array, covariance : (n, n) array
        First order, complete.
    constants : mapping of name to Estimate
        What the method leans on.
    diagnostics : tuple of Diagnostic
    """

    method: str
    basis: str
    names: tuple[str, ...]
    fractions: FloatArray
    covariance: FloatArray
    constants: Mapping[str, Estimate] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()

    def estimate(self, name: str) -> Estimate:
        """Fraction of one component with its 95 % interval, cut to 0 … 1 around the value."""
        i = self.names.index(name)
        value, std = float(self.fractions[i]), float(np.sqrt(max(self.covariance[i, i], 0.0)))
        low, high = max(0.0, value - 1.96 * std), min(1.0, value + 1.96 * std)
        return Estimate(value=value, std=std, interval=(min(low, value), max(high, value)))

    def to_dict(self) -> dict[str, object]:
        """Return plain values for ``result.json``."""
        return {
            "method": self.method,
            "basis": self.basis,
            "fractions": {name: self.estimate(name).to_dict() for name in self.names},
            "constants": {name: value.to_dict() for name, value in self.constants.items()},
        }


def hill_howard(amounts: XrdAmounts) -> Quantification:
    """Crystalline phases normalised to one.

    w_i = S_i (ZMV)_i / Σ_j S_j (ZMV)_j over crystalline phases   [Hill & Howard 1987]

    Says nothing of amorphous material: fractions refer to the crystalline part.

    Raises
    ------
    AnalysisError
        No crystalline phase with a positive amount.
    """
    return _normalised(amounts, np.array(amounts.crystalline), "hill_howard", "crystalline")


def whole_pattern(
    amounts: XrdAmounts, *, per_gram_std: float = 0.0, amorphous_std: float = 0.0
) -> Quantification:
    """All components normalised to one on the absolute per-gram scale, crystalline and amorphous.

    w_i = a_i / Σ_j a_j; a from calculated Bragg and amorphous scattering in electron units per gram, after
    Riello 2004 J. Appl. Cryst. 37, 711 (amorphous fraction from the absolute scale, without a standard).

    Parameters
    ----------
    per_gram_std : float
        Relative standard uncertainty of every component's intensity per gram beyond what the amounts
        carry. Calculated and measured reference intensity ratios of coarse powders differ by 0.2 on
        average (extinction, microabsorption); fine ones by a few per cent.
    amorphous_std : float
        The same of all amorphous components together: one error of the calculated halo against Bragg scale.
    """
    mass = np.maximum(amounts.amounts, 0.0)
    halo = amorphous_std * np.where(np.array(amounts.crystalline), 0.0, mass)
    extra = np.diag((per_gram_std * mass) ** 2) + np.outer(halo, halo)
    wider = with_amounts(amounts, amounts.amounts, amounts.covariance + extra)
    return _normalised(wider, np.ones(len(amounts.names), bool), "absolute", "specimen")


def internal_standard(
    amounts: XrdAmounts,
    standard: str,
    fraction: float,
    *,
    fraction_std: float = 0.0,
    crystallinity: tuple[float, float] = CORUNDUM_CRYSTALLINITY,
    spread: float = STANDARD_SPREAD,
) -> Quantification:
    """Absolute fractions of the original specimen from a weighed spike.

    w_i = (a_i / a_s) · w_s x_s / (1 − w_s), non-crystalline = 1 − Σ w_i
    [Klug & Alexander 1974; amorphous share: De La Torre, Bruque & Aranda 2001 J. Appl. Cryst. 34, 196],
    w_s the spike's share of the spiked mass, x_s its own crystalline share. Negative values are kept.

    Parameters
    ----------
    standard : str
        Id of the spike among the amounts.
    fraction, fraction_std : float
        Mass of the spike over mass of the spiked powder, and its standard uncertainty from weighing.
    crystallinity : (value, standard uncertainty)
        Default: corundum SRM 676a.
    spread : float
        Relative standard uncertainty of each ratio to the spike beyond the fit's (grains, microabsorption).

    Raises
    ------
    AnalysisError
        The standard is not among the crystalline phases, has no positive amount, or its fraction is not
        between 0 and 1.
    """
    s = standard_index(amounts, standard)
    if not 0.0 < fraction < 1.0 or not amounts.amounts[s] > 0.0:
        msg = (
            f"internal standard {standard!r}: fraction {fraction:g} (expected between 0 and 1), fitted amount "
            f"{amounts.amounts[s]:.4g} (expected positive). Check the spike and its fraction of the spiked mass."
        )
        raise AnalysisError(msg)
    pick = [i for i, c in enumerate(amounts.crystalline) if c and i != s]
    ratio = fraction * crystallinity[0] / (1.0 - fraction)
    fractions = amounts.amounts[pick] / amounts.amounts[s] * ratio
    jacobian = np.zeros((len(pick), len(amounts.names)))
    jacobian[np.arange(len(pick)), pick] = ratio / amounts.amounts[s]
    jacobian[:, s] = -fractions / amounts.amounts[s]
    covariance = jacobian @ amounts.covariance @ jacobian.T + np.diag((spread * fractions) ** 2)
    shared = np.hypot(crystallinity[1] / crystallinity[0], fraction_std / (fraction * (1.0 - fraction)))
    covariance += np.outer(fractions, fractions) * shared**2
    constants = {
        "standard_fraction": Estimate(value=fraction, std=fraction_std),
        "standard_crystallinity": Estimate(value=crystallinity[0], std=crystallinity[1]),
    }
    names = tuple(amounts.names[i] for i in pick)
    return with_rest("internal_standard", names, fractions, covariance, constants)


def ponkcs_factor(
    amounts: XrdAmounts, component: str, standard: str, mass_ratio: float, *, mass_ratio_std: float = 0.0
) -> Estimate:
    """Factor of a component whose intensity per gram is measured instead of calculated.

    k = (m_a / m_s) / (a_a / a_s), from a mixture of known masses m; it plays the part of (ZMV) of a phase of no
    known crystal structure   [Scarlett & Madsen 2006 Powder Diffr. 21, 278]

    Raises
    ------
    AnalysisError
        One of the two has no positive amount.
    """
    a, s = amounts.names.index(component), standard_index(amounts, standard)
    if not (amounts.amounts[a] > 0.0 and amounts.amounts[s] > 0.0):
        msg = f"the calibration mixture shows no {component} or no {standard}; both must be seen."
        raise AnalysisError(msg)
    value = mass_ratio * float(amounts.amounts[s] / amounts.amounts[a])
    gradient = np.zeros(len(amounts.names))
    gradient[a], gradient[s] = -1.0 / amounts.amounts[a], 1.0 / amounts.amounts[s]
    relative = float(np.sqrt(gradient @ amounts.covariance @ gradient + (mass_ratio_std / mass_ratio) ** 2))
    return Estimate(value=value, std=relative * value)


def ponkcs(amounts: XrdAmounts, factors: Mapping[str, Estimate]) -> Quantification:
    """All components normalised to one, some with calibrated intensity per gram.

    w_a = k_a a_a / Σ_j k_j a_j, k_j = 1 for phases of known structure   [Scarlett & Madsen 2006]

    Parameters
    ----------
    factors : mapping of component to Estimate
        From `ponkcs_factor`; they replace the per-gram scale of that component. ``non_crystalline`` stands for all
        amorphous components as one, which trade with each other while their sum is well determined; its factor is
        written by ``xrdcomp calibrate-amorphous``.
    """
    if AMORPHOUS_TOGETHER in factors:
        amounts = _amorphous_as_one(amounts)
    k = np.array([factors[name].value if name in factors else 1.0 for name in amounts.names])
    own = np.array([factors[n].std or 0.0 if n in factors else 0.0 for n in amounts.names])
    covariance = amounts.covariance * np.outer(k, k) + np.diag((own * amounts.amounts) ** 2)
    scaled = with_amounts(amounts, amounts.amounts * k, covariance)
    found = _normalised(scaled, np.ones(len(k), bool), "ponkcs", "specimen")
    return _with_constants(found, {f"factor_{name}": value for name, value in factors.items()})


def _amorphous_as_one(amounts: XrdAmounts) -> XrdAmounts:
    """Amounts with all amorphous components summed."""
    crystals = [i for i, c in enumerate(amounts.crystalline) if c]
    sums = np.zeros((len(crystals) + 1, len(amounts.names)))
    sums[np.arange(len(crystals)), crystals] = 1.0
    sums[-1, [i for i, c in enumerate(amounts.crystalline) if not c]] = 1.0
    return XrdAmounts(
        names=(*(amounts.names[i] for i in crystals), AMORPHOUS_TOGETHER),
        amounts=sums @ amounts.amounts,
        covariance=sums @ amounts.covariance @ sums.T,
        crystalline=(*(True for _ in crystals), False),
    )


def rir(
    areas: Mapping[str, Estimate],
    ratios: Mapping[str, Estimate],
    *,
    standard: tuple[str, float] | None = None,
) -> Quantification:
    """Fractions from integrated intensities and reference intensity ratios.

    w_i = (A_i/RIR_i) / Σ_j (A_j/RIR_j), or with a spike w_i = (A_i/A_s)(RIR_s/RIR_i) w_s/(1 − w_s)
    [Chung 1974 J. Appl. Cryst. 7, 519; Hubbard & Snyder 1988 Powder Diffr. 3, 74]

    Parameters
    ----------
    areas : mapping of name to Estimate
        Area of the line (or whole pattern) that the ratio refers to.
    ratios : mapping of name to Estimate
        I/Ic; one source for all, because calculated ratios exceed old measured ones by up to 60 %.
    standard : (name, fraction of the spiked mass), optional

    Raises
    ------
    AnalysisError
        A name without ratio.
    """
    missing = sorted(set(areas) - set(ratios))
    if missing:
        msg = (
            f"no reference intensity ratio for {', '.join(missing)}; give one for each of {', '.join(areas)}."
        )
        raise AnalysisError(msg)
    names = tuple(areas)
    mass = np.array([areas[n].value / ratios[n].value for n in names])
    relative = np.array(
        [
            np.hypot((areas[n].std or 0.0) / areas[n].value, (ratios[n].std or 0.0) / ratios[n].value)
            if areas[n].value
            else 0.0
            for n in names
        ]
    )
    amounts = XrdAmounts(
        names=names,
        amounts=mass,
        covariance=np.diag((relative * mass) ** 2),
        crystalline=(True,) * len(names),
    )
    if standard is None:
        found = _normalised(amounts, np.ones(len(names), bool), "rir", "crystalline")
        return _with_constants(found, {f"rir_{n}": ratios[n] for n in names})
    spiked = internal_standard(amounts, standard[0], standard[1], crystallinity=(1.0, 0.0), spread=0.0)
    return Quantification(
        method="rir",
        basis="specimen",
        names=spiked.names,
        fractions=spiked.fractions,
        covariance=spiked.covariance,
        constants={f"rir_{n}": ratios[n] for n in names},
    )


def standard_index(amounts: XrdAmounts, name: str) -> int:
    """Place of a standard among the amounts; AnalysisError where it is no fitted crystalline phase."""
    if name not in amounts.names or not amounts.crystalline[amounts.names.index(name)]:
        known = ", ".join(n for n, c in zip(amounts.names, amounts.crystalline, strict=True) if c)
        msg = (
            f"the standard {name!r} is not among the fitted crystalline phases ({known}); add it to --phases."
        )
        raise AnalysisError(msg)
    return amounts.names.index(name)


def with_amounts(amounts: XrdAmounts, values: FloatArray, covariance: FloatArray) -> XrdAmounts:
    """Return a copy with other values and covariance."""
    return XrdAmounts(
        names=amounts.names,
        amounts=values,
        covariance=covariance,
        crystalline=amounts.crystalline,
        counting_covariance=amounts.counting_covariance,
        blank_measured=amounts.blank_measured,
    )


def _with_constants(found: Quantification, constants: Mapping[str, Estimate]) -> Quantification:
    from dataclasses import replace

    return replace(found, constants={**found.constants, **constants})


def _normalised(
    amounts: XrdAmounts, pick: np.typing.NDArray[np.bool_], method: str, basis: str
) -> Quantification:
    values = amounts.amounts[pick]
    total = float(values.sum())
    if not total > 0.0:
        msg = (
            f"{method}: the amounts to be normalised sum to {total:.4g}; nothing is there, or the fit failed."
        )
        raise AnalysisError(msg)
    shares = values / total
    jacobian = (np.eye(len(values)) - shares[:, None]) / total
    names: Sequence[str] = [n for n, p in zip(amounts.names, pick, strict=True) if p]
    return Quantification(
        method=method,
        basis=basis,
        names=tuple(names),
        fractions=shares,
        covariance=jacobian @ amounts.covariance[np.ix_(pick, pick)] @ jacobian.T,
    )


def with_rest(
    method: str,
    names: tuple[str, ...],
    fractions: FloatArray,
    covariance: FloatArray,
    constants: Mapping[str, Estimate],
) -> Quantification:
    """Add ``non_crystalline`` = 1 − Σ w."""
    n = len(names)
    extend = np.concatenate([np.eye(n), -np.ones((1, n))])
    whole = extend @ fractions
    whole[-1] += 1.0
    return Quantification(
        method=method,
        basis="specimen",
        names=(*names, "non_crystalline"),
        fractions=whole,
        covariance=extend @ covariance @ extend.T,
        constants=dict(constants),
    )
