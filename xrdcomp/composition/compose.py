"""Composition of one specimen from a diffraction fit, a thermal balance, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.composition.budget import variance_shares
from xrdcomp.composition.estimates import (
    SUMS,
    component_estimates,
    estimate_of,
    to_dry,
)
from xrdcomp.composition.evidence import (
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
from xrdcomp.errors import AnalysisError
from xrdcomp.fit import describes_pattern
from xrdcomp.recipe import CompositionRecipe
from xrdcomp.results import (
    COMPONENTS,
    Composition,
    Estimate,
    FitResult,
    PhaseResult,
    TgaResult,
    XrdAmounts,
)
from xrdcomp.types import Diagnostic, FloatArray, frozen_array

__all__ = ["compose", "compose_evidence"]

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
        diagnostics=messages,
    )


def _limits_that_hold(phases: Sequence[PhaseResult], fit: FitResult) -> Sequence[PhaseResult]:
    """Detection limits no smaller than what a fit that does not describe its pattern leaves: phases may hide in it.

    What is left, √(Rwp² - Rexp²), stands for one standard deviation of what may be there; half a limit is one.
    """
    if describes_pattern(fit.gof, fit.rwp):
        return phases
    least = min(2.0 * float(np.sqrt(max(fit.rwp**2 - fit.rexp**2, 0.0))), _LARGEST_LIMIT)
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
    diagnostics: tuple[Diagnostic, ...] = (),
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
    diagnostics : sequence of Diagnostic
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
    notes = (*diagnostics, *notes, *_sampling(posterior, recipe))
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
        diagnostics=notes,
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
        diagnostics=messages,
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
