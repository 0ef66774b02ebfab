"""Mass fractions from fitted amounts, method by method, each with its equation, source and complete uncertainty.

`XrdAmounts` hold S·(ZMV) of every component on one scale: a ratio of amounts is a ratio of masses in the beam
[Hill & Howard 1987 J. Appl. Cryst. 20, 467]. The functions here differ in what fixes that scale. Their
covariance starts from the amounts' own (counting, misfit, halo and background model, scattering per gram) and
adds, to first order, every constant the method leans on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, Pattern
from xrdcomp.disk import read_toml, write_whole
from xrdcomp.errors import AnalysisError, RecipeError
from xrdcomp.refinement.covariance import residual_inflation
from xrdcomp.results import Estimate, FitResult, XrdAmounts
from xrdcomp.units import FloatArray

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

    `basis` is what they refer to, the ``"crystalline"`` part or the whole ``"specimen"`` without a spike, of which
    ``non_crystalline`` is what is left. `fractions` (n,) with complete first-order `covariance` (n, n); `constants` are
    what the method leans on.
    """

    method: str
    basis: str
    names: tuple[str, ...]
    fractions: FloatArray
    covariance: FloatArray
    constants: Mapping[str, Estimate] = field(default_factory=dict)
    messages: tuple[Diagnostic, ...] = ()

    def estimate(self, name: str) -> Estimate:
        """Fraction of one component with its 95 % interval, cut to 0 … 1 around the value."""
        i = self.names.index(name)
        value, std = float(self.fractions[i]), float(np.sqrt(max(self.covariance[i, i], 0.0)))
        return Estimate.normal(value, std, low=0.0, high=1.0)

    def to_dict(self) -> dict[str, object]:
        """Return plain values for ``result.json``."""
        fractions = {name: self.estimate(name).to_dict() for name in self.names}
        constants = {name: value.to_dict() for name, value in self.constants.items()}
        return {"method": self.method, "basis": self.basis, "fractions": fractions, "constants": constants}


def hill_howard(amounts: XrdAmounts) -> Quantification:
    """Crystalline phases normalised to one.

    w_i = S_i (ZMV)_i / Σ_j S_j (ZMV)_j over crystalline phases   [Hill & Howard 1987]

    Says nothing of amorphous material: fractions refer to the crystalline part.

    Raises AnalysisError: no crystalline phase with a positive amount.
    """
    return _normalised(amounts, np.array(amounts.crystalline), "hill_howard", "crystalline")


def whole_pattern(amounts: XrdAmounts, *, per_gram_std: float = 0.0, amorphous_std: float = 0.0) -> Quantification:
    """All components normalised to one on the absolute per-gram scale, crystalline and amorphous.

    w_i = a_i / Σ_j a_j; a from calculated Bragg and amorphous scattering in electron units per gram, after
    Riello 2004 J. Appl. Cryst. 37, 711 (amorphous fraction from the absolute scale, without a standard).

    `per_gram_std`: relative standard uncertainty of every component's intensity per gram beyond what the
    amounts carry. Calculated and measured reference intensity ratios of coarse powders differ by 0.2 on
    average (extinction, microabsorption); fine ones by a few per cent; `amorphous_std`: the same of all
    amorphous components together: one error of the calculated halo against Bragg scale.
    """
    mass = np.maximum(amounts.amounts, 0.0)
    halo = amorphous_std * np.where(np.array(amounts.crystalline), 0.0, mass)
    extra = np.diag((per_gram_std * mass) ** 2) + np.outer(halo, halo)
    wider = replace(amounts, covariance=amounts.covariance + extra)
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

    `standard`: id of the spike among the amounts; `fraction` and `fraction_std`: mass of the spike over mass
    of the spiked powder, and its standard uncertainty from weighing; `crystallinity` ((value, standard
    uncertainty)): default: corundum SRM 676a; `spread`: relative standard uncertainty of each ratio to the
    spike beyond the fit's (grains, microabsorption). Raises AnalysisError: the standard is not among the
    crystalline phases, has no positive amount, or its fraction is not between 0 and 1.
    """
    s = _standard_index(amounts, standard)
    if not 0.0 < fraction < 1.0 or not amounts.amounts[s] > 0.0:
        raise AnalysisError(
            f"internal standard {standard!r}: fraction {fraction:g} (expected between 0 and 1), fitted amount "
            f"{amounts.amounts[s]:.4g} (expected positive). Check the spike and its fraction of the spiked mass."
        )
    pick = np.array([i for i, c in enumerate(amounts.crystalline) if c and i != s], dtype=int)
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
    return _with_rest("internal_standard", names=names, fractions=fractions, covariance=covariance, constants=constants)


def ponkcs_factor(
    amounts: XrdAmounts, component: str, standard: str, mass_ratio: float, *, mass_ratio_std: float = 0.0
) -> Estimate:
    """Factor of a component whose intensity per gram is measured instead of calculated.

    k = (m_a / m_s) / (a_a / a_s), from a mixture of known masses m; it plays the part of (ZMV) of a phase of no
    known crystal structure   [Scarlett & Madsen 2006 Powder Diffr. 21, 278]

    Raises AnalysisError: one of the two has no positive amount.
    """
    a, s = amounts.names.index(component), _standard_index(amounts, standard)
    if not (amounts.amounts[a] > 0.0 and amounts.amounts[s] > 0.0):
        raise AnalysisError(f"the calibration mixture shows no {component} or no {standard}; both must be seen.")
    value = mass_ratio * float(amounts.amounts[s] / amounts.amounts[a])
    gradient = np.zeros(len(amounts.names))
    gradient[a], gradient[s] = -1.0 / amounts.amounts[a], 1.0 / amounts.amounts[s]
    relative = float(np.sqrt(gradient @ amounts.covariance @ gradient + (mass_ratio_std / mass_ratio) ** 2))
    return Estimate(value=value, std=relative * value)


def ponkcs(amounts: XrdAmounts, factors: Mapping[str, Estimate]) -> Quantification:
    """All components normalised to one, some with calibrated intensity per gram.

    w_a = k_a a_a / Σ_j k_j a_j, k_j = 1 for phases of known structure   [Scarlett & Madsen 2006]

    `factors` (mapping of component to Estimate): from `ponkcs_factor`; they replace the per-gram scale of
    that component. ``non_crystalline`` stands for all amorphous components as one, which trade with each
    other while their sum is well determined; its factor is written by ``xrdcomp calibrate-amorphous``.
    """
    if AMORPHOUS_TOGETHER in factors:
        # Amounts with all amorphous components summed.
        crystals = [i for i, c in enumerate(amounts.crystalline) if c]
        sums = np.zeros((len(crystals) + 1, len(amounts.names)))
        sums[np.arange(len(crystals)), crystals] = 1.0
        sums[-1, [i for i, c in enumerate(amounts.crystalline) if not c]] = 1.0
        amounts = XrdAmounts(
            names=(*(amounts.names[i] for i in crystals), AMORPHOUS_TOGETHER),
            amounts=sums @ amounts.amounts,
            covariance=sums @ amounts.covariance @ sums.T,
            crystalline=(*(True for _ in crystals), False),
        )
    k = np.array([factors[name].value if name in factors else 1.0 for name in amounts.names])
    own = np.array([factors[n].std or 0.0 if n in factors else 0.0 for n in amounts.names])
    covariance = amounts.covariance * np.outer(k, k) + np.diag((own * amounts.amounts) ** 2)
    scaled = replace(amounts, amounts=amounts.amounts * k, covariance=covariance)
    found = _normalised(scaled, np.ones(len(k), bool), "ponkcs", "specimen")
    return replace(found, constants={f"factor_{name}": value for name, value in factors.items()})


def rir(
    areas: Mapping[str, Estimate], ratios: Mapping[str, Estimate], *, standard: tuple[str, float] | None = None
) -> Quantification:
    """Fractions from integrated intensities and reference intensity ratios.

    w_i = (A_i/RIR_i) / Σ_j (A_j/RIR_j), or with a spike w_i = (A_i/A_s)(RIR_s/RIR_i) w_s/(1 − w_s)
    [Chung 1974 J. Appl. Cryst. 7, 519; Hubbard & Snyder 1988 Powder Diffr. 3, 74]

    `areas` (mapping of name to Estimate): area of the line (or whole pattern) that the ratio refers to; `ratios`
    (mapping of name to Estimate): I/Ic; one source for all, because calculated ratios exceed old measured ones by up to
    60 %; `standard`: (name, fraction of the spiked mass). Raises AnalysisError: A name without ratio.
    """
    missing = sorted(set(areas) - set(ratios))
    if missing:
        msg = f"no reference intensity ratio for {', '.join(missing)}; give one for each of {', '.join(areas)}."
        raise AnalysisError(msg)
    names = tuple(areas)
    mass = np.array([areas[n].value / ratios[n].value for n in names])
    std = [np.hypot(areas[n].std or 0.0, areas[n].value * (ratios[n].std or 0.0) / ratios[n].value) for n in names]
    covariance = np.diag((np.array(std) / np.array([ratios[n].value for n in names])) ** 2)
    amounts = XrdAmounts(names=names, amounts=mass, covariance=covariance, crystalline=(True,) * len(names))
    if standard is None:
        found = _normalised(amounts, np.ones(len(names), bool), "rir", "crystalline")
    else:
        found = internal_standard(amounts, *standard, crystallinity=(1.0, 0.0), spread=0.0)
    return replace(found, method="rir", constants={f"rir_{n}": ratios[n] for n in names})


def _standard_index(amounts: XrdAmounts, name: str) -> int:
    """Place of a standard among the amounts; AnalysisError where it is no fitted crystalline phase."""
    if name not in amounts.names or not amounts.crystalline[amounts.names.index(name)]:
        known = ", ".join(n for n, c in zip(amounts.names, amounts.crystalline, strict=True) if c)
        msg = f"the standard {name!r} is not among the fitted crystalline phases ({known}); add it to the phases."
        raise AnalysisError(msg)
    return amounts.names.index(name)


def _normalised(amounts: XrdAmounts, pick: np.typing.NDArray[np.bool_], method: str, basis: str) -> Quantification:
    values = amounts.amounts[pick]
    total = float(values.sum())
    if not total > 0.0:
        msg = f"{method}: the amounts to be normalised sum to {total:.4g}; nothing is there, or the fit failed."
        raise AnalysisError(msg)
    shares = values / total
    jacobian = (np.eye(len(values)) - shares[:, None]) / total
    names = tuple(n for n, p in zip(amounts.names, pick, strict=True) if p)
    covariance = jacobian @ amounts.covariance[np.ix_(pick, pick)] @ jacobian.T
    return Quantification(method=method, basis=basis, names=names, fractions=shares, covariance=covariance)


def _with_rest(method: str, **phases: Any) -> Quantification:
    """Fractions of the specimen's crystalline `phases`, with ``non_crystalline`` = 1 − Σ w."""
    found = Quantification(method=method, basis="specimen", **phases)
    extend = np.concatenate([np.eye(len(found.names)), -np.ones((1, len(found.names)))])
    whole, covariance = extend @ found.fractions, extend @ found.covariance @ extend.T
    whole[-1] += 1.0
    return replace(found, names=(*found.names, "non_crystalline"), fractions=whole, covariance=covariance)


# Quantification through absorption: external standard, attenuation of mixtures.


def external_constant(
    amounts: XrdAmounts,
    standard: str,
    mass_attenuation: float,
    *,
    crystallinity: tuple[float, float] = CORUNDUM_CRYSTALLINITY,
    spread: float = STANDARD_SPREAD,
) -> Estimate:
    """G of a diffractometer from a scan of a pure standard measured in the same way.

    G = S_s (ZMV)_s μ*_s / w_s   [O'Connor & Raven 1988 Powder Diffr. 3, 2]

    `amounts`: of the fit to the standard's scan; `mass_attenuation`: float, cm²/g, of the standard; `spread`:
    relative standard uncertainty from repacking the standard.
    """
    s = _standard_index(amounts, standard)
    amount, variance = float(amounts.amounts[s]), float(amounts.covariance[s, s])
    value = amount * mass_attenuation / crystallinity[0]
    relative = float(np.sqrt(variance / amount**2 + (crystallinity[1] / crystallinity[0]) ** 2 + spread**2))
    return Estimate(value=value, std=relative * value)


def external_standard(
    amounts: XrdAmounts,
    constant: Estimate,
    attenuation: Mapping[str, float],
    rest_attenuation: tuple[float, float],
    *,
    mineral: tuple[float, float] | None = None,
) -> Quantification:
    """Absolute fractions from the diffractometer's constant G, equal geometry and infinite thickness.

    w_i = S_i (ZMV)_i μ*_m / G   [O'Connor & Raven 1988], with the specimen's attenuation either
    self-consistent, μ*_m = μ_r + Σ w_i (μ_i − μ_r), which is linear and gives
    μ*_m = μ_r / (1 − Σ q_i (μ_i − μ_r)), q_i = S_i (ZMV)_i / G; or from the mineral fraction m of
    thermogravimetry, μ*_m = μ_r + m (μ̄ − μ_r) with μ̄ the mean of the fitted phases. The first amplifies
    errors by μ*_m/μ_r, the second does not.

    `constant`: G with its standard uncertainty, from `external_constant`; `attenuation`: mapping of
    crystalline phase id to μ* in cm²/g; `rest_attenuation` ((value, standard uncertainty), cm²/g): of all
    that is not crystalline: 6.3 for dry collagen, 10.2 for water; `mineral` ((fraction, standard
    uncertainty)): mineral share of the mass from thermogravimetry. Raises AnalysisError: A phase without
    attenuation, no positive G, or amounts that no composition can have.
    """
    pick = [i for i, c in enumerate(amounts.crystalline) if c]
    names = tuple(amounts.names[i] for i in pick)
    missing = [name for name in names if name not in attenuation]
    if missing or not constant.value > 0.0:
        lacking = ", ".join(missing) or "none"
        raise AnalysisError(f"external standard: no attenuation for {lacking}, G = {constant.value:g}; give both.")
    mu = np.array([attenuation[name] for name in names])
    n = len(names)
    # amounts, G, attenuation of the rest, mineral fraction where it is known
    others = [(constant.value, constant.std or 0.0), rest_attenuation, *([] if mineral is None else [mineral])]
    start = np.concatenate([amounts.amounts[pick], [value for value, _ in others]])
    variance = np.diag([0.0] * n + [std**2 for _, std in others])
    variance[:n, :n] = amounts.covariance[np.ix_(pick, pick)]

    def solve(x: FloatArray) -> FloatArray:
        q, rest = x[:n] / x[n], x[n + 1]
        if len(x) > n + 2:
            mean = float((q @ mu) / max(q.sum(), 1e-300))
            whole = rest + x[n + 2] * (mean - rest)
        else:
            whole = rest / max(1.0 - float(q @ (mu - rest)), 1e-9)
        return np.asarray(q * whole)

    fractions = solve(start)
    if fractions.sum() > 2.0:
        total = float(fractions.sum())
        msg = f"external standard: the fractions sum to {total:.2f}; G or the geometry does not fit this scan."
        raise AnalysisError(msg)
    # Central differences with steps of 1e-5 of each value.
    steps = np.diag(1e-5 * np.maximum(np.abs(start), 1e-9))
    columns = [(solve(start + step) - solve(start - step)) / (2.0 * step.sum()) for step in steps]
    jacobian = np.stack(columns, axis=1)
    covariance = jacobian @ variance @ jacobian.T
    constants = {
        "external_constant": constant,
        "rest_attenuation": Estimate(value=rest_attenuation[0], std=rest_attenuation[1]),
    }
    return _with_rest("external_standard", names=names, fractions=fractions, covariance=covariance, constants=constants)


# Full-pattern summation: a pattern as a sum of measured (or calculated) patterns of its components.


class Summation(msgspec.Struct, frozen=True, kw_only=True):
    """Coefficients of the reference patterns by `names`, the fractions they mean, and the fit on its own points."""

    names: tuple[str, ...]
    coefficients: FloatArray
    quantification: Quantification
    two_theta: FloatArray
    calculated: FloatArray
    rwp: float


def sum_patterns(
    pattern: Pattern,
    references: Mapping[str, Pattern],
    ratios: Mapping[str, Estimate],
    *,
    two_theta_range: tuple[float, float] | None = None,
    background: bool = True,
) -> Summation:
    """Fit a pattern by a non-negative sum of reference patterns and turn coefficients into mass fractions.

    y = Σ c_j y_j + d, c_j ≥ 0, minimising Σ ((y_o − y)/σ)²; w_i = (c_i/RIR_i) / Σ_j (c_j/RIR_j)
    [Chipera & Bish 2002 J. Appl. Cryst. 35, 744 (FULLPAT); Eberl 2003 USGS Open-File Report 03-78 (RockJock);
    Lawson & Hanson 1974 for the non-negative solution]

    The covariance of c is (Bᵀ W B)⁻¹ times max(1, χ²) and the residual's autocorrelation; noise of the references
    is put into W. RIR uncertainties are added.

    `references` (mapping of name to Pattern): on one intensity scale, for instance each with maximum 10 000; they must
    cover the fitted range; `ratios` (mapping of name to Estimate): intensity of a reference per mass, relative to a
    common standard, on the references' scale; `background`: whether a constant is added (d ≥ 0), for the instrument's
    own. Raises AnalysisError: A reference without ratio or that does not cover the range, or nothing fits.
    """
    from scipy import optimize

    if missing := sorted(set(references) - set(ratios)):
        msg = f"no reference intensity ratio for {', '.join(missing)}; give one for each reference pattern."
        raise AnalysisError(msg)
    low, high = two_theta_range or (float(pattern.two_theta[0]), float(pattern.two_theta[-1]))
    inside = (pattern.two_theta >= low - 1e-9) & (pattern.two_theta <= high + 1e-9)
    x, y = pattern.two_theta[inside], pattern.intensity[inside]
    names = tuple(references)
    for name, reference in references.items():
        axis = reference.two_theta
        if axis[0] > x[0] + 0.05 or axis[-1] < x[-1] - 0.05:
            raise AnalysisError(
                f"the reference {name!r} covers {axis[0]:.2f}-{axis[-1]:.2f}°, the pattern "
                f"{x[0]:.2f}-{x[-1]:.2f}°. Pass a range that all patterns cover."
            )
    columns = np.stack([np.interp(x, r.two_theta, r.intensity) for r in references.values()], axis=1)
    noise = np.stack([np.interp(x, r.two_theta, r.sigma) for r in references.values()], axis=1)
    full = np.concatenate([columns, np.ones((len(x), 1))], axis=1) if background else columns
    sigma = pattern.sigma[inside]
    scale = np.maximum(full.max(axis=0), 1e-300)
    coefficients = np.zeros(full.shape[1])
    for _ in range(2):  # the references' own noise depends on how much of each is taken
        weight = 1.0 / np.sqrt(sigma**2 + (noise**2) @ coefficients[: len(names)] ** 2)
        solution, _ = optimize.nnls(full * weight[:, None] / scale, y * weight)
        coefficients = solution / scale
    if not coefficients[: len(names)].any():
        msg = "none of the reference patterns is needed to describe this pattern; check that they belong to it."
        raise AnalysisError(msg)
    calculated = full @ coefficients
    residual = (y - calculated) * weight
    weighted = full * weight[:, None] / scale
    inflation, _ = residual_inflation(residual, full.shape[1])
    gram = weighted.T @ weighted + 1e-12 * np.eye(full.shape[1])
    inverse = np.linalg.inv(gram) * inflation / np.outer(scale, scale)
    # Masses from coefficients by the ratios, and their uncertainties.
    n = len(names)
    value, std = np.array([(ratios[name].value, ratios[name].std or 0.0) for name in names]).T
    mass = coefficients[:n] / value
    spread = inverse[:n, :n] / np.outer(value, value) + np.diag((std / value * mass) ** 2)
    amounts = XrdAmounts(names=names, amounts=mass, covariance=spread, crystalline=(True,) * n)
    constants = {f"rir_{name}": ratios[name] for name in names}
    return Summation(
        names=names,
        coefficients=coefficients[:n],
        quantification=replace(whole_pattern(amounts), method="full_pattern_summation", constants=constants),
        two_theta=x,
        calculated=calculated,
        rwp=float(np.sqrt((residual**2).sum() / ((y * weight) ** 2).sum())),
    )


# Calibrated degree of crystallinity: an area ratio turned into a mass fraction by one measured constant.

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


class AmorphousCalibration(msgspec.Struct, frozen=True, kw_only=True):
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

    Raises AnalysisError: X outside 0 … 1, or k not positive.
    """
    x, c = crystallinity.value, k.value
    if not 0.0 <= x <= 1.0 or not c > 0.0:
        raise AnalysisError(f"crystallinity {x:g} must lie in 0-1 and k = {c:g} must be positive.")
    d = x + c * (1.0 - x)
    value = x / d
    std = float(np.hypot(c * (crystallinity.std or 0.0), x * (1.0 - x) * (k.std or 0.0)) / d**2)
    if not 0.0 < x < 1.0:
        return Estimate(value=value, std=std, ci95=(value, value))
    spread = 1.96 * float(np.hypot((crystallinity.std or 0.0) / (x * (1.0 - x)), (k.std or 0.0) / c))
    odds = value / (1.0 - value)
    low, high = odds * float(np.exp(-spread)), odds * float(np.exp(spread))
    return Estimate(value=value, std=std, ci95=(low / (1.0 + low), high / (1.0 + high)))


def prior_constant(fit: FitResult) -> Estimate:
    """Calculated k of a fit: Bragg area per amount over halo area per amount, with its prior uncertainty.

    Raises AnalysisError: the fit has no crystalline or no amorphous part.
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


def calibrate_amorphous(mixtures: Sequence[KnownMixture], two_theta_range: tuple[float, float]) -> AmorphousCalibration:
    """Determine k from mixtures of known composition.

    Each gives k_i = X_i (1 − w_i) / (w_i (1 − X_i)); the weighted mean of ln k_i is taken, its uncertainty widened by
    the Birge ratio where the mixtures scatter more than their uncertainties allow. Where fitted amounts are given, the
    PONKCS factor f_i = (1 − w_i) Σ_crystalline a / (w_i Σ_amorphous a) is found likewise
    [Scarlett & Madsen 2006 Powder Diffr. 21, 278].

    `mixtures`: one or more, best at fractions from 0.2 to 0.8: k is poorly determined near 0 and 1;
    `two_theta_range`: range over which the areas were taken, degrees. Raises AnalysisError: no mixture, or a
    fraction or area ratio that is not between 0 and 1.
    """
    if not mixtures:
        raise AnalysisError("calibrating needs at least one mixture of known composition.")
    constants, factors = [], []  # logarithm and variance of each mixture
    for number, item in enumerate(mixtures, start=1):
        x, w, amounts = item.crystallinity.value, item.fraction, item.amounts
        if not (0.0 < x < 1.0 and 0.0 < w < 1.0):
            msg = f"mixture {number}: fraction {w:g} and area ratio {x:g} must lie between 0 and 1, both excluded."
            raise AnalysisError(msg)
        weighing = (item.fraction_std / (w * (1.0 - w))) ** 2
        own = ((item.crystallinity.std or 0.0) / (x * (1.0 - x))) ** 2
        constants.append((float(np.log(x * (1.0 - w) / (w * (1.0 - x)))), max(own + weighing, 1e-8)))
        if amounts is None:
            continue
        crystals = np.array(amounts.crystalline)
        sums = np.stack([crystals, ~crystals]).astype(float)
        mass, covariance = sums @ amounts.amounts, sums @ amounts.covariance @ sums.T
        if (mass > 0.0).all():
            gradient = np.array([1.0, -1.0]) / mass
            log = float(np.log((1.0 - w) * mass[0] / (w * mass[1])))
            factors.append((log, max(float(gradient @ covariance @ gradient) + weighing, 1e-8)))
    return AmorphousCalibration(
        k=_mean_of_logs(constants),
        n_mixtures=len(constants),
        two_theta_range=two_theta_range,
        # None where a mixture lacks amounts of one kind
        factor=_mean_of_logs(factors) if len(factors) == len(mixtures) else None,
    )


def _mean_of_logs(found: Sequence[tuple[float, float]]) -> Estimate:
    """Weighted mean of (logarithm, variance) as an estimate of the quantity, widened by the Birge ratio."""
    logs, variances = np.array(found).T
    weight = 1.0 / variances
    mean = float(np.average(logs, weights=weight))
    variance = 1.0 / float(weight.sum())
    if len(logs) > 1:
        variance *= max(1.0, float((weight * (logs - mean) ** 2).sum()) / (len(logs) - 1))
    value, std = float(np.exp(mean)), float(np.sqrt(variance))
    interval = (value * float(np.exp(-1.96 * std)), value * float(np.exp(1.96 * std)))
    return Estimate(value=value, std=value * std, ci95=interval)


def write_amorphous(calibration: AmorphousCalibration, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a calibration as TOML and return the path; `overwrite` replaces a file that xrdcomp did not write."""
    values = (calibration.k.value, calibration.k.std or 0.0, calibration.n_mixtures)
    lines = ["# Constant of the degree of crystallinity by xrdcomp, for quantification.amorphous_file.", ""]
    lines += [f"{k} = {v!r}" for k, v in zip(_KEYS, (*values, *calibration.two_theta_range), strict=True)]
    if calibration.factor is not None:
        pair = (calibration.factor.value, calibration.factor.std or 0.0)
        lines += [f"{k} = {v!r}" for k, v in zip(_FACTOR_KEYS, pair, strict=True)]
    return write_whole(Path(path), "\n".join(lines) + "\n", overwrite=overwrite)


def read_amorphous(path: str | Path) -> AmorphousCalibration:
    """Read what `write_amorphous` wrote.

    Raises RecipeError: the file cannot be read, lacks a key or has one that is not a positive number.
    """
    data = read_toml(path, "a calibration as `xrdcomp calibrate-amorphous` writes")
    expected = (*_KEYS, *(_FACTOR_KEYS if set(_FACTOR_KEYS) & set(data) else ()))
    bad = [k for k in expected if type(data.get(k)) not in (int, float) or not data[k] > 0]
    if bad or set(data) - set(expected):
        wrong = ", ".join(bad) or "keys that do not belong here"
        raise RecipeError(f"{path}: expected the keys {', '.join(_KEYS)} with positive numbers; wrong: {wrong}.")
    k, std, number, low, high, *factor = (float(data[key]) for key in expected)
    return AmorphousCalibration(
        k=Estimate.normal(k, std),
        n_mixtures=int(number),
        two_theta_range=(low, high),
        factor=Estimate(value=factor[0], std=factor[1]) if factor else None,
    )
