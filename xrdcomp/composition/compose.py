"""Composition of one specimen from a diffraction fit, a thermal balance, or both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.composition.evidence import (
    HIDDEN_PER_LIMIT,
    InternalStandard,
    ThermalEvidence,
    reduce_xrd,
    shows_something,
    thermal_evidence,
)
from xrdcomp.composition.messages import (
    CONTRADICTIONS,
    MISFIT_PROBABILITY,
    amorphous_undecided,
    apatite_not_asked,
    birge_message,
    disagreements,
    misfit_probability,
    missing_parts,
    prior_messages,
    redundancy,
)
from xrdcomp.composition.model import (
    AMORPHOUS,
    CARBONATE,
    LATTICE_CARBONATE,
    ORGANIC,
    OTHER,
    WATER,
    H,
    JointModel,
    build_model,
    reported,
    widened,
)
from xrdcomp.composition.sampler import Posterior, average_models, sample_posterior
from xrdcomp.data import Diagnostic, frozen_array
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import CompositionRecipe
from xrdcomp.refinement.result import describes_pattern
from xrdcomp.results import COMPONENTS, Composition, Estimate, FitResult, PhaseResult, TgaResult, XrdAmounts
from xrdcomp.units import FloatArray

# ------------ Mass fractions of the phases that agree with the composition.


def weigh_phases(phases: Sequence[PhaseResult], composition: Composition) -> tuple[PhaseResult, ...]:
    """Give the phases that the composition counts their share of its crystalline part.

    w_j = f_j · C with f_j the fraction of the crystalline part and C the crystalline mass fraction (lattice
    carbonate included) that all instruments together determine; to first order
    σ_w² = C² σ_f² + f² σ_C². The value from the pattern alone stays in the evidence.

    A phase that is undecided is not counted in the composition: it has no weight, and the shares of the others are
    those without it. What the pattern alone would give it stays in the evidence.

    Parameters
    ----------
    phases : sequence of PhaseResult
    composition : Composition
        Without a crystalline sum (one instrument that does not give it) the phases that were found keep the weight that
        the pattern alone gives them.

    Returns
    -------
    tuple of PhaseResult
        In the order given; fractions 0 to 1.
    """
    crystalline = composition.identifiable_sums.get("crystalline")
    if crystalline is not None and crystalline.std is None:
        crystalline = None
    inside = [_counted(phase, weighed=crystalline is not None) for phase in phases]
    undecided = [p.crystalline_weight_fraction for p, own in zip(phases, inside, strict=True) if not own]
    counted = 1.0 - sum(share.value for share in undecided if share is not None)
    out = []
    for phase, own in zip(phases, inside, strict=True):
        if not own:
            out.append(_unweighed(phase))
            continue
        decided = _without_undecided(phase, counted)
        out.append(decided if crystalline is None else _weighed(decided, crystalline))
    return tuple(out)


def _counted(phase: PhaseResult, *, weighed: bool) -> bool:
    """Whether the composition has mass for a phase: what was found, and, where it weighs crystals, apatite in doubt."""
    return phase.decision == "detected" or (weighed and phase.decision == "inconclusive" and phase.is_apatite)


def _without_undecided(phase: PhaseResult, total: float) -> PhaseResult:
    """Share of the crystalline part that is counted."""
    share = phase.crystalline_weight_fraction
    if share is None or not 0.0 < total < 1.0 - 1e-9:
        return phase
    value, std = share.value / total, (share.std or 0.0) / total
    alone = 1.0 - value < 1e-9  # the only phase that counts: its share is one, whatever its amount
    counted = Estimate.normal(1.0, 0.0) if alone else Estimate.normal(value, std, low=0.0, high=1.0)
    return replace(phase, crystalline_weight_fraction=counted)


def _unweighed(phase: PhaseResult) -> PhaseResult:
    if (
        phase.decision != "inconclusive"
        or (phase.weight_fraction or phase.crystalline_weight_fraction) is None
    ):
        return phase
    alone = phase.weight_fraction or phase.pattern_weight_fraction
    return replace(
        phase, weight_fraction=None, crystalline_weight_fraction=None, pattern_weight_fraction=alone
    )


def _weighed(phase: PhaseResult, crystalline: Estimate) -> PhaseResult:
    share = phase.crystalline_weight_fraction
    if share is None or phase.weight_fraction is None:
        return phase
    value = share.value * crystalline.value
    std = float(np.hypot(crystalline.value * (share.std or 0.0), share.value * (crystalline.std or 0.0)))
    weighed = Estimate.normal(value, std, low=0.0, high=1.0)
    if crystalline.ci95 is not None and (share.std or 0.0) < 1e-9:
        low, high = (share.value * end for end in crystalline.ci95)
        weighed = Estimate(value=value, std=std, ci95=(min(low, value), max(high, value)))
    return replace(phase, weight_fraction=weighed, pattern_weight_fraction=phase.weight_fraction)


def without_standard(
    found: tuple[PhaseResult, ...], standard: tuple[str, float] | None
) -> tuple[PhaseResult, ...]:
    """Fractions and limits of the original specimen: what was measured of the spiked powder, over 1 - s.

    Shares of the crystalline part are f/(f+g), g what the other phases of the specimen share; f and g are taken
    as independent. The standard itself keeps its share of the spiked powder and has none of the specimen.

    Parameters
    ----------
    found : tuple of PhaseResult
        Of the spiked powder.
    standard : (phase id, fraction of the spiked mass) or None

    Returns
    -------
    tuple of PhaseResult
        In the order given; unchanged without a standard.
    """
    if standard is None:
        return found
    name, spiked = standard
    own = {
        p.id: p.crystalline_weight_fraction for p in found if p.id != name and p.crystalline_weight_fraction
    }
    total = sum(share.value for share in own.values())
    out = []
    for phase in found:
        if phase.id == name:
            out.append(replace(phase, weight_fraction=None, internal_standard=True))
            continue
        limit, share = phase.detection_limit, own.get(phase.id)
        if share is not None and total > 0.0:
            rest = sum((other.std or 0.0) ** 2 for key, other in own.items() if key != phase.id) ** 0.5
            std = float(np.hypot((total - share.value) * (share.std or 0.0), share.value * rest)) / total**2
            share = Estimate.normal(share.value / total, std, low=0.0, high=1.0)
        whole = phase.weight_fraction
        out.append(
            replace(
                phase,
                detection_limit=None if limit is None else min(1.0, limit / (1.0 - spiked)),
                weight_fraction=whole
                and Estimate.normal(
                    whole.value / (1.0 - spiked), (whole.std or 0.0) / (1.0 - spiked), low=0.0, high=1.0
                ),
                crystalline_weight_fraction=share,
            )
        )
    return tuple(out)


# ------------ From draws to what is reported: central values, intervals, wet and dry, sums.

SUMS: Mapping[str, tuple[int, ...]] = {
    "total_mineral": (H, CARBONATE, AMORPHOUS, OTHER),
    "calcium_phosphate": (H, AMORPHOUS),
    "crystalline": (H, OTHER),
    "non_crystalline": (ORGANIC, WATER, CARBONATE, AMORPHOUS),
    "organic_and_water": (ORGANIC, WATER),
    "volatile": (ORGANIC, WATER),
}
"""Sums of components, by position in ``COMPONENTS``."""

_SPLITS = 21
_ROUNDING = 1e-12
_CONSTANT = 1e-12
_CLEARLY_SHORTER = 0.97
"""Width against the equal-tailed interval's; Monte Carlo noise of 4 000 normal draws stays above."""


def interval_from_draws(draws: FloatArray, probability: float = 0.95) -> tuple[float, float]:
    """Interval of a fraction that holds `probability`.

    Equal-tailed, but the shortest of the intervals with that probability within three standard deviations of 0
    or 1, so that it can reach them, and where it is clearly shorter. The second is the case of crystals beside an
    amorphous mineral that may be absent: without it nearly all mineral is crystalline, a narrow peak at the
    upper end, which an equal tail would cut off although the interval of the amorphous mineral reaches 0.

    Where it is open whether the component is there at all (less than `probability` of the draws are exactly 0),
    the interval is that of the draws with it, and reaches 0 if more than ``1 - probability`` are without it. An
    interval over both cases would be short because of what was assumed about their odds before measuring. The same
    holds for what may be all there is.

    Parameters
    ----------
    draws : (n,) array, within [0, 1]
    probability : float, between 0 and 1
    """
    none, whole = draws <= 0.0, draws >= 1.0 - _ROUNDING
    part = draws[~(none | whole)]
    if not 1.0 - probability < len(part) / len(draws) < 1.0:
        return _interval_of_part(draws, probability)
    low, high = _interval_of_part(part, probability)
    credible = 1.0 - probability
    return 0.0 if none.mean() > credible else low, 1.0 if whole.mean() > credible else high


def _interval_of_part(draws: FloatArray, probability: float) -> tuple[float, float]:
    mean, std = float(draws.mean()), float(draws.std())
    tails = np.linspace(0.0, 1.0 - probability, _SPLITS)
    lower = np.quantile(draws, tails)
    upper = np.quantile(draws, probability + tails)
    at_zero, at_one = mean < 3 * std, 1.0 - mean < 3 * std
    if at_zero:
        lower[0] = 0.0
    if at_one:
        upper[-1] = 1.0
    width = upper - lower
    chosen = int(np.argmin(width))
    if not (at_zero or at_one) and width[chosen] > _CLEARLY_SHORTER * width[_SPLITS // 2]:
        chosen = _SPLITS // 2
    return float(max(lower[chosen], 0.0)), float(min(upper[chosen], 1.0))


def interval_of(
    draws: FloatArray,
    parts: Sequence[int],
    probability: float = 0.95,
    *,
    held: FloatArray | float = 0.0,
    told_apart: bool = True,
) -> tuple[float, float]:
    """Interval of a component or of a sum of components: one rule for both.

    The interval of the quantity's own draws (`interval_from_draws`), and as far as the split of the mineral allows
    beyond it. Crystals and amorphous mineral are told apart less well than their sum is known, so a quantity that
    holds one of the two is held against the other: where the interval of the part it lacks reaches 0, all of that
    part may belong to it, and the upper end is at least that of the two together; where the interval of the part it
    holds reaches 0, the lower end is at most that of what is left without. A quantity that holds both or neither
    does not depend on the split.

    Parameters
    ----------
    draws : (n, 6) array, in the order of ``COMPONENTS``
    parts : sequence of int
        Positions in ``COMPONENTS`` of what adds up to the quantity.
    probability : float, between 0 and 1
    held : (n,) array or float
        Added to the sum: carbonate that weighs with the crystals, or the negative of it.
    told_apart : bool
        Whether both crystals and amorphous mineral are reported. False leaves the interval of the quantity's own
        draws: the split is then the prior's, which is no evidence that one is absent.

    Returns
    -------
    low, high : float
    """
    total = _total(draws, parts, held)
    low, high = interval_from_draws(total, probability)
    if not told_apart or (H in parts) == (AMORPHOUS in parts):
        return low, high
    own, other = (H, AMORPHOUS) if H in parts else (AMORPHOUS, H)
    if interval_from_draws(draws[:, other], probability)[0] <= 0.0:
        high = max(high, interval_from_draws(_total(draws, (*parts, other), held), probability)[1])
    if interval_from_draws(draws[:, own], probability)[0] <= 0.0:
        without = [part for part in parts if part != own]
        low = min(low, interval_from_draws(_total(draws, without, held), probability)[0])
    return low, high


def estimate_of(
    draws: FloatArray,
    parts: Sequence[int],
    *,
    held: FloatArray | float = 0.0,
    told_apart: bool = True,
) -> Estimate:
    """Mean, standard deviation and 95 % interval of a component or sum; the interval always contains the mean.

    Parameters are those of `interval_of`. A constant has no width.
    """
    total = _total(draws, parts, held)
    mean, std = float(np.clip(total.mean(), 0.0, 1.0)), float(total.std())
    if std < _CONSTANT:
        return Estimate(value=mean, std=0.0, ci95=(mean, mean))
    low, high = interval_of(draws, parts, held=held, told_apart=told_apart)
    return Estimate(value=mean, std=std, ci95=(min(low, mean), max(high, mean)))


def _total(draws: FloatArray, parts: Sequence[int], held: FloatArray | float) -> FloatArray:
    total: FloatArray = np.clip(draws[:, list(parts)].sum(axis=1) + held, 0.0, 1.0)
    return total


def to_dry(draws: FloatArray) -> FloatArray:
    """Fractions of the dry mass: every component over 1 - water, and water 0.

    Parameters
    ----------
    draws : (n, 6) array, in the order of ``COMPONENTS``, as received
    """
    dry = draws / np.maximum(1.0 - draws[:, [WATER]], 1e-9)
    dry[:, WATER] = 0.0
    out: FloatArray = dry / dry.sum(axis=1, keepdims=True)
    return out


def component_estimates(draws: FloatArray, hidden: Collection[str] = ()) -> dict[str, Estimate | None]:
    """Estimate of each component; None for the names in `hidden`.

    Parameters
    ----------
    draws : (n, 6) array, in the order of ``COMPONENTS``
    hidden : collection of str
        Components that the measurements do not determine.
    """
    told_apart = COMPONENTS[H] not in hidden and COMPONENTS[AMORPHOUS] not in hidden
    return {
        name: None if name in hidden else estimate_of(draws, (i,), told_apart=told_apart)
        for i, name in enumerate(COMPONENTS)
    }


# ------------ Where the uncertainty comes from: the variance of every component by input, the prior among
# them.
# The joint model is linearised at the posterior mean. For weighted least squares with independent inputs j of
# covariance Σ_j the estimate's covariance is Σ_j G Σ_j Gᵀ with G = (JᵀWJ)⁻¹JᵀW: each input's term is its share.

_FLAT_STD = 0.14
"""Standard deviation of a component under the flat prior on the simplex of six parts: √(5/36/7)."""
_SPLIT = 0.3
"""The same for a part of the mineral, relative to the mineral: no part exceeds the whole."""
_INPUT_OF = {
    "xrd_bias": "xrd_scale",
    "log_scale": "xrd_scale",
    "standard_crystallinity": "xrd_scale",
    "standard_scatter": "xrd_scale",
    "carbonate_in_lattice": "carbonate_site",
    "carbonate_lines": "carbonate_site",
    "amorphous_response": "amorphous_halo",
    "late_water": "bound_water",
    "bound_water": "bound_water",
    "char": "char",
    "salt_evaporated": "salt",
    "xrd_spread": "xrd_model",
}


def variance_shares(
    model: JointModel, composition: FloatArray, constants: FloatArray
) -> dict[str, dict[str, float]]:
    """Split the variance of every component by input.

    Parameters
    ----------
    model : JointModel
    composition : (6,) array
        Point of linearisation, usually the posterior mean.
    constants : (p,) array

    Returns
    -------
    dict
        component -> input -> share; the shares of a component sum to 1. ``prior`` is what rests on fractions
        being positive and taken as equally likely.
    """
    n_free, p, m = len(COMPONENTS) - 1, len(constants), len(model.values)
    prior_rows, prior_stds, prior_inputs = _constant_rows(model, n_free)
    flat_rows = np.zeros((n_free + 1, n_free + p))
    flat_rows[:n_free, :n_free] = np.eye(n_free)
    flat_rows[n_free, :n_free] = -1.0
    flat_stds = _flat_stds(composition)
    flat_names = ["prior"] * len(flat_stds)
    for index in model.absent:
        flat_stds[index] = max(model.xrd.hidden.get(index, 0.0), 1e-6) if model.xrd is not None else 1e-6
        flat_names[index] = "detection_limit"
    rows = np.concatenate([_jacobian(model, composition, constants), prior_rows, flat_rows])
    weight = np.zeros((len(rows), len(rows)))
    weight[:m, :m] = np.linalg.inv(model.covariance)
    tail = np.arange(m, len(rows))
    stds = np.concatenate([prior_stds, flat_stds])
    weight[tail, tail] = 1.0 / stds**2
    normal = rows.T @ weight @ rows + 1e-9 * np.eye(n_free + p)
    to_six = reported(np.concatenate([np.eye(n_free), -np.ones((1, n_free))]).T, model).T
    gain = to_six @ np.linalg.solve(normal, rows.T @ weight)[:n_free]
    variance: dict[str, FloatArray] = {
        name: np.einsum("ij,jk,ik->i", gain[:, :m], part, gain[:, :m]) for name, part in model.parts.items()
    }
    for k, name in enumerate([*prior_inputs, *flat_names]):
        variance[name] = variance.get(name, np.zeros(len(COMPONENTS))) + (gain[:, m + k] * stds[k]) ** 2
    variance = {name: np.maximum(part, 0.0) for name, part in variance.items()}
    total = np.maximum(np.sum(list(variance.values()), axis=0), 1e-300)
    return {
        component: {name: float(part[i] / total[i]) for name, part in variance.items()}
        for i, component in enumerate(COMPONENTS)
    }


def _flat_stds(composition: FloatArray) -> FloatArray:
    mineral = max(float(composition[[H, CARBONATE, AMORPHOUS, OTHER]].sum()), 0.02)
    stds = np.full(len(COMPONENTS), _FLAT_STD)
    stds[[H, CARBONATE, AMORPHOUS, OTHER]] = min(_FLAT_STD, _SPLIT * mineral)
    return stds


def _jacobian(model: JointModel, composition: FloatArray, constants: FloatArray) -> FloatArray:
    """Derivative of the prediction with respect to the first five components and the constants."""
    p = len(constants)
    step = 1e-6
    points = np.vstack([constants, constants + step * np.eye(p), constants - step * np.eye(p)])
    matrix, offset = model.design(points)
    predicted = matrix @ composition + offset
    by_constant = (predicted[1 : p + 1] - predicted[p + 1 :]) / (2 * step)
    free = matrix[0][:, :-1] - matrix[0][:, [-1]]
    return np.concatenate([free, by_constant.T], axis=1)


def _constant_rows(model: JointModel, n_free: int) -> tuple[FloatArray, FloatArray, list[str]]:
    """Priors of the constants as observations: rows, standard deviations, names of the inputs."""
    p = len(model.nuisances)
    known = [i for i, item in enumerate(model.nuisances) if np.isfinite(item.std)]
    rows = np.zeros((len(known), n_free + p))
    rows[np.arange(len(known)), [n_free + i for i in known]] = 1.0
    stds = np.array([model.nuisances[i].std for i in known])
    names = [_INPUT_OF[model.nuisances[i].name] for i in known]
    if model.carbonate_is_assumed and model.xrd is not None:
        share, std = LATTICE_CARBONATE
        row = np.zeros((1, n_free + p))
        row[0, CARBONATE] = 1.0
        row[0, [H, CARBONATE, AMORPHOUS]] -= share
        mineral = max(model.xrd.row("apatite") + model.xrd.row("amorphous_mineral"), 0.02)
        rows = np.concatenate([rows, row])
        stds = np.append(stds, std * mineral)
        names.append("carbonate_assumed")
    return rows, stds, names


# ------------ Composition of one specimen from a diffraction fit, a thermal balance, or both.

BLANK_GAIN = 0.5
"""Factor on the diffraction scale's uncertainty when the empty holder was measured."""
_REPORTABLE_STD = 0.02
_TRACES = 0.05
"""Standard deviation of a hidden mass fraction up to which it may be of crystals that burn."""
_LARGEST_LIMIT = 0.9
"""Of a phase in a fit that does not describe its pattern; a limit of one says that nothing was asked."""
NO_AMORPHOUS_PROBABILITY = 0.2
"""Probability before measuring that there is no amorphous mineral at all: young deposits have some, sintered or
synthetic apatite has none."""
_PURE_PROBABILITY = 0.1
"""Probability before measuring that a powder is crystals alone: a mineral, enamel, a synthetic one."""
_HIDDEN_PROBABILITY = 0.3
"""Probability that something is there, in a small amount, of what the search did not find."""
_SUMS_OF_XRD = ("crystalline", "non_crystalline", "organic_and_water")
_SUMS_OF_TGA = ("total_mineral", "volatile")
_SUMS_OF_BOTH = ("total_mineral", "calcium_phosphate", "crystalline", "non_crystalline", "organic_and_water")


def compose(
    fit: FitResult | None,
    phases: Sequence[PhaseResult] = (),
    tga: TgaResult | None = None,
    recipe: CompositionRecipe = CompositionRecipe(),  # noqa: B008 - a frozen struct
    *,
    internal_standard: InternalStandard | tuple[str, float] | None = None,
    known_scale: tuple[float, float] | None = None,
) -> Composition:
    """Mass fractions of crystalline hydroxyapatite, organic, water, carbonate, amorphous mineral and the
    rest.

    Parameters
    ----------
    fit : FitResult or None
        Its `amounts` are used.
    phases : sequence of PhaseResult
        The search's decisions; a phase that was not detected adds no mass.
    tga : TgaResult or None
    recipe : CompositionRecipe
    internal_standard : (phase id, fraction of the spiked mass) or InternalStandard, optional
        Fractions are then reported for the original specimen, without the standard.
    known_scale : (amount per mass, relative std), optional
        Scale of the fit's amounts from an external standard measured under the same conditions.

    Returns
    -------
    Composition
        Mass fractions, 0 to 1, on the basis that the recipe names.

    Raises
    ------
    AnalysisError
        Nothing to compose, or the recipe asks for evidence that is missing.
    """
    messages: tuple[Diagnostic, ...] = ()
    thermal = None
    if tga is not None:
        thermal = thermal_evidence(tga)
        if thermal is None:
            messages = (_unassigned(tga),)
    standard = (
        InternalStandard(id=internal_standard[0], fraction=internal_standard[1])
        if isinstance(internal_standard, tuple)
        else internal_standard
    )
    amounts = fit.amounts if fit is not None else None
    if amounts is not None and standard is None and not shows_something(amounts, phases):
        messages, amounts = (*messages, _nothing_seen()), None
    if amounts is not None:
        messages += apatite_not_asked(phases)
    if amounts is None and thermal is None and messages:
        return _undetermined(recipe, "xrd" if fit is not None else "tga", messages)
    return compose_evidence(
        amounts,
        thermal,
        recipe,
        phases=phases if fit is None else _limits_that_hold(phases, fit),
        internal_standard=standard,
        known_scale=known_scale,
        messages=messages,
    )


def _limits_that_hold(phases: Sequence[PhaseResult], fit: FitResult) -> Sequence[PhaseResult]:
    """Detection limits no smaller than what a fit that does not describe its pattern leaves: phases may hide in it.

    What is left, √(Rwp² - Rexp²), stands for one standard deviation of what may be there.
    """
    if describes_pattern(fit.gof, fit.rwp):
        return phases
    left_over = float(np.sqrt(max(fit.rwp**2 - fit.rexp**2, 0.0)))
    least = min(left_over / HIDDEN_PER_LIMIT, _LARGEST_LIMIT)
    return [
        replace(phase, detection_limit=max(phase.detection_limit, least))
        if phase.decision == "not_detected" and phase.detection_limit is not None
        else phase
        for phase in phases
    ]


def compose_evidence(
    xrd: XrdAmounts | None,
    thermal: ThermalEvidence | None,
    recipe: CompositionRecipe = CompositionRecipe(),  # noqa: B008 - a frozen struct
    *,
    phases: Sequence[PhaseResult] = (),
    internal_standard: InternalStandard | None = None,
    known_scale: tuple[float, float] | None = None,
    messages: tuple[Diagnostic, ...] = (),
) -> Composition:
    """Composition from amounts and a mass balance, without a fit; parameters as in `compose`.

    The reported values are posterior means, so that they sum to one; intervals are 95 %. The model is
    described in `xrdcomp.composition.model`, the sampling in `xrdcomp.composition.sampler`.

    Parameters
    ----------
    xrd : XrdAmounts or None
        Masses on one unknown scale.
    thermal : ThermalEvidence or None
        Losses as fractions of the initial mass.
    recipe : CompositionRecipe
    phases : sequence of PhaseResult
    internal_standard : (str, float) or None
        Phase id and its fraction of the spiked mass.
    known_scale : (float, float) or None
        Value and standard uncertainty of the diffraction scale, where an external standard gave it.
    messages : sequence of Diagnostic
        Messages to pass on.

    Returns
    -------
    Composition
        Mass fractions, 0 to 1.
    """
    xrd, thermal = _select(xrd, thermal, recipe, internal_standard, known_scale)
    evidence = None
    if xrd is not None:
        evidence = reduce_xrd(xrd, phases, standard=internal_standard)
    bias = recipe.xrd_bias_std * (BLANK_GAIN if evidence is not None and evidence.blank_measured else 1.0)
    log_scale = None
    if known_scale is not None and xrd is not None and evidence is not None:
        log_scale = (float(np.log(known_scale[0] / evidence.total)), known_scale[1])
    model = build_model(
        evidence,
        thermal,
        standard=internal_standard if evidence is not None else None,
        known_scale=log_scale,
        bias_std=bias,
        aliquot_std=recipe.aliquot_std,
    )
    posterior, model, notes = _sample(model, recipe, bias_std=bias)
    notes = (*messages, *notes, *_sampling(posterior, recipe))
    return _report(_Solved(model=model, posterior=posterior), recipe, notes)


@dataclass(frozen=True, kw_only=True)
class _Solved:
    model: JointModel
    posterior: Posterior

    @property
    def method(self) -> str:
        model = self.model
        names = []
        if model.xrd is not None:
            names.append("xrd")
            if model.standard is not None:
                names.append("internal_standard")
            elif np.isfinite(model.nuisances[0].std):
                names.append("external_standard")
        if model.thermal is not None:
            names.append("tga")
        return "+".join(names)


def _select(
    xrd: XrdAmounts | None,
    thermal: ThermalEvidence | None,
    recipe: CompositionRecipe,
    standard: InternalStandard | None,
    known_scale: tuple[float, float] | None,
) -> tuple[XrdAmounts | None, ThermalEvidence | None]:
    """Keep the evidence which the recipe's method names; refuse where it is missing."""
    method = recipe.method
    wants_xrd, wants_tga = method.startswith("xrd"), method.endswith("tga")
    lacking = []
    if wants_xrd and xrd is None:
        lacking.append("a diffraction fit")
    if wants_tga and thermal is None:
        lacking.append("a thermal balance with assigned steps")
    if method == "xrd+internal_standard" and standard is None:
        lacking.append("an internal standard (id and fraction)")
    if method == "xrd+external_standard" and known_scale is None:
        lacking.append("a scale (quantification.external_scan or external_constant)")
    if lacking:
        msg = (
            f"composition.method = {method!r} needs {' and '.join(lacking)}. Give it, or set method = 'auto'."
        )
        raise AnalysisError(msg)
    if method == "auto":
        return xrd, thermal
    return (xrd if wants_xrd else None), (thermal if wants_tga else None)


def _sample(
    model: JointModel, recipe: CompositionRecipe, *, bias_std: float
) -> tuple[Posterior, JointModel, tuple[Diagnostic, ...]]:
    """Sample; where the evidence contradicts itself, again with uncertainties widened by the Birge ratio.

    The diffraction rows alone are widened while the two mineral balances agree, since their halo model is the
    weaker part; all rows where the balances contradict each other too.
    """
    posterior, none = _posterior(model, recipe)
    notes = disagreements(model, posterior, bias_std=bias_std)
    probability = misfit_probability(model, posterior)
    if probability < MISFIT_PROBABILITY:
        ratio = float(np.sqrt(posterior.chi_square / redundancy(model, posterior)))
        everything = any(item.code in CONTRADICTIONS for item in notes)
        model = widened(model, ratio, everything=everything)
        posterior, none = _posterior(model, recipe)
        notes = (
            birge_message(ratio, probability, model, everything=everything),
            *notes,
        )
    return posterior, model, (*notes, *amorphous_undecided(*none))


def _posterior(model: JointModel, recipe: CompositionRecipe) -> tuple[Posterior, tuple[float | None, float]]:
    """Posterior over what may be absent, and the probability of no amorphous mineral after and before measuring.

    A fifth of the prior probability goes to no amorphous mineral at all, unless diffraction did not look for its
    halo; one tenth, where diffraction stands alone, to a powder of crystals and nothing else, with or without
    carbonate.
    """
    models, prior = [model], [1.0]
    sought = model.xrd is None or "amorphous_mineral" in model.xrd.rows
    if sought:
        none = {AMORPHOUS, CARBONATE} if H in model.absent and model.carbonate_is_assumed else {AMORPHOUS}
        models.append(replace(model, absent=model.absent | none))
        prior = [1.0 - NO_AMORPHOUS_PROBABILITY, NO_AMORPHOUS_PROBABILITY]
    if model.xrd is not None and model.thermal is None and H not in model.absent and model.xrd.sees_amorphous:
        crystals = model.absent | {ORGANIC, WATER, AMORPHOUS}
        models += [replace(model, absent=crystals), replace(model, absent=crystals | {CARBONATE})]
        prior = [p * (1.0 - _PURE_PROBABILITY) for p in prior] + [_PURE_PROBABILITY / 2] * 2
    if len(models) == 1:
        return sample_posterior(model, draws=recipe.draws, seed=recipe.seed), (None, 0.0)
    posterior, probability = average_models(models, prior=prior, draws=recipe.draws, seed=recipe.seed)
    after = float(probability[1:].sum()) if sought and model.xrd is not None else None
    return posterior, (after, sum(prior[1:]))


def _with_hidden(draws: FloatArray, model: JointModel, seed: int) -> FloatArray:
    """Give what was not found a chance to be there below its detection limit, at the expense of other mineral.

    What the mineral cannot give is taken from the organic (crystals that burn), but no more than traces of it where
    thermogravimetry weighs what burns.
    """
    if model.xrd is None:
        return draws
    rng = np.random.default_rng(seed)
    out = draws.copy()
    for index in sorted(model.absent):
        there = rng.random(len(out)) < _HIDDEN_PROBABILITY
        amount = np.abs(rng.normal(0.0, model.xrd.hidden[index], len(out))) * there
        weighed = model.thermal is not None and model.xrd.hidden[index] > _TRACES
        for source in (H, AMORPHOUS) if weighed else (H, AMORPHOUS, ORGANIC):
            if source != index and source not in model.absent:
                taken = np.minimum(amount, out[:, source])
                out[:, source] -= taken
                out[:, index] += taken
                amount = amount - taken
    return out


def _report(solved: _Solved, recipe: CompositionRecipe, notes: tuple[Diagnostic, ...]) -> Composition:
    model, posterior = solved.model, solved.posterior
    wet = reported(_with_hidden(posterior.composition, model, recipe.seed), model)
    centre = posterior.composition.mean(axis=0), posterior.constants.mean(axis=0)
    budget = variance_shares(model, *centre)
    prior_share = _prior_share(budget)
    draws, others = (wet, to_dry(wet)) if recipe.basis == "as_received" else (to_dry(wet), wet)
    hidden = _hidden(model, prior_share, wet)
    components = component_estimates(draws, hidden)
    known = [i for i, name in enumerate(COMPONENTS) if name not in hidden]
    notes += missing_parts(hidden, model)
    notes += prior_messages(prior_share, wet, hidden)
    return Composition(
        basis=recipe.basis,
        method=solved.method,
        components=components,
        identifiable_sums=_sums(solved, draws, wet),
        covariance_names=tuple(COMPONENTS[i] for i in known),
        covariance=frozen_array(np.cov(draws[:, known], rowvar=False).reshape(len(known), len(known))),
        draws=frozen_array(draws),
        budget=budget,
        prior_share=prior_share,
        other_basis=component_estimates(others, hidden),
        messages=notes,
    )


def _sums(solved: _Solved, draws: FloatArray, wet: FloatArray) -> dict[str, Estimate]:
    """Estimates of the sums that are determined; crystals weigh with the carbonate in their lattice."""
    model, found = solved.model, {}
    told_apart = model.xrd is not None and model.thermal is not None
    inside = _carbonate_of_crystals(solved)
    if draws is not wet:
        inside = inside / np.maximum(1.0 - wet[:, WATER], 1e-9)
    held = {"crystalline": inside, "non_crystalline": -inside}
    for name in _sum_names(model):
        found[name] = estimate_of(draws, SUMS[name], held=held.get(name, 0.0), told_apart=told_apart)
    return found


def _carbonate_of_crystals(solved: _Solved) -> FloatArray:
    """CO3 that the components count as carbonate and that is in crystals, (n,), as received."""
    model, composition = solved.model, solved.posterior.composition
    if model.xrd is None:
        return np.zeros(len(composition))
    in_lattice = solved.posterior.constants[:, model.names.index("carbonate_in_lattice")]
    held: FloatArray = in_lattice * composition[:, CARBONATE]
    return held + model.xrd.carbonate_share * composition[:, OTHER]


def _sum_names(model: JointModel) -> tuple[str, ...]:
    if model.xrd is None:
        return _SUMS_OF_TGA
    if not model.weighs_crystals:
        return () if model.thermal is None else _SUMS_OF_TGA
    return _SUMS_OF_XRD if model.thermal is None else _SUMS_OF_BOTH


def _prior_share(budget: dict[str, dict[str, float]]) -> dict[str, float]:
    """Share of the variance that rests on assumptions about compositions instead of measurements."""
    return {
        name: sum(parts.get(key, 0.0) for key in ("prior", "carbonate_assumed"))
        for name, parts in budget.items()
    }


def _hidden(model: JointModel, prior_share: dict[str, float], draws: FloatArray) -> tuple[str, ...]:
    """Components that these measurements do not determine."""
    if model.xrd is None:
        return ("crystalline_hydroxyapatite", "amorphous_mineral", "other_crystalline")
    if model.thermal is not None:
        return () if model.weighs_crystals else ("crystalline_hydroxyapatite", "amorphous_mineral")
    if not model.weighs_crystals:
        return COMPONENTS
    wide = draws.std(axis=0) > _REPORTABLE_STD
    return tuple(
        name
        for i, name in enumerate(COMPONENTS)
        if name == "amorphous_mineral"  # its halo lies between those of water and of broad apatite lines
        or (name in ("organic", "water", "carbonate") and (wide[i] or prior_share[name] > 0.5))
    )


def _undetermined(recipe: CompositionRecipe, method: str, messages: tuple[Diagnostic, ...]) -> Composition:
    """Return a composition of which nothing is known: no step of the run or no part of the pattern is tissue's."""
    return Composition(
        basis=recipe.basis,
        method=method,
        components=dict.fromkeys(COMPONENTS),
        messages=messages,
    )


def _nothing_seen() -> Diagnostic:
    return Diagnostic(
        code="XRD_NOT_USED",
        severity="warning",
        text=(
            "The pattern shows none of the phases that were searched for beyond doubt, and no halo that stands out of "
            "the background: diffraction says nothing of the composition. If this is no empty holder, measure longer, "
            "look at the unexplained peaks, check --radiation, and add the phases that are there with --phases."
        ),
    )


def _unassigned(tga: TgaResult) -> Diagnostic:
    return Diagnostic(
        code="TGA_NOT_USED",
        severity="warning",
        text=(
            f"What the thermal curve loses (steps: {len(tga.steps)}) could not be assigned to water, organic "
            "and carbonate, so it says nothing of the composition. Check the range and the atmosphere of the "
            "run, or set the windows in the recipe."
        ),
        facts={"steps": len(tga.steps)},
    )


def _sampling(posterior: Posterior, recipe: CompositionRecipe) -> tuple[Diagnostic, ...]:
    if posterior.effective_size > 0.05 * recipe.draws:
        return ()
    return (
        Diagnostic(
            code="COMPOSITION_SAMPLING",
            severity="warning",
            text=(
                f"The posterior was sampled with only {posterior.effective_size:.0f} effective draws; "
                "interval "
                "ends are uncertain by some tenths of a standard deviation. Raise composition.draws."
            ),
            facts={"effective_size": posterior.effective_size},
        ),
    )
