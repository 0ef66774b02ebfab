"""The published findings as tests on one specimen: P(claim | data), a verdict, the evidence in words.

The findings: hydroxyapatite is present; it is the only crystalline phase; it is the minor component; more
than half of the specimen is organic (Hsu, Emge & Schlesinger 2017, as summarised in clinical guidance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import CompositionRecipe
from xrdcomp.refinement.result import describes_pattern
from xrdcomp.results import (
    COMPONENTS,
    Claim,
    Composition,
    DetectionRule,
    FitResult,
    PhaseResult,
    Verdict,
    apatite_limit,
)
from xrdcomp.units import FloatArray

CLAIM_IDS = (
    "hydroxyapatite_present",
    "hydroxyapatite_only_crystalline_phase",
    "hydroxyapatite_minor_component",
    "organic_more_than_half",
)
ALONE_BEFORE = 0.64
"""Probability before measuring that apatite is alone: 9 of 14 subcutaneous calcifications (Franzen et al. 2017
Acta Derm. Venereol. 97, 1178). Another phase is then taken to be any of the searched ones, equally likely."""
_WIDE_SEARCH = 20
"""Phases that a search has to hold to speak for all that calcifications may contain; each one fewer would have
escaped."""
_NOT_ASKED = "Hydroxyapatite was neither fitted nor searched for"
_VISIBLE = 0.01


def evaluate_claims(
    composition: Composition,
    phases: Sequence[PhaseResult],
    recipe: CompositionRecipe = CompositionRecipe(),  # noqa: B008 - a frozen struct
    *,
    internal_standard: str = "",
    unexplained: int = 0,
) -> tuple[Claim, ...]:
    """Evaluate the four published findings on one specimen.

    Parameters
    ----------
    composition : Composition
        Probabilities are shares of its posterior draws, on its basis.
    phases : sequence of PhaseResult
        Decisions and detection limits of the search; they decide presence and absence. Limits are of the
        specimen: those of a spiked powder must be divided by 1 - its fraction of the standard first.
    recipe : CompositionRecipe
        Thresholds of the verdicts and of the claims.
    internal_standard : str
        Phase id of a spike, which is not a phase of the specimen.
    unexplained : int
        Peaks that belong to no phase: of another one, or of the holder.

    Returns
    -------
    tuple of Claim
        Four, in the order of ``CLAIM_IDS``. Where the measurements do not decide (an instrument missing), the
        probability is None and the verdict inconclusive.
    """
    own = [phase for phase in phases if phase.id != internal_standard]
    return (
        _present(composition, own, recipe),
        _only(own, recipe, unexplained),
        _minor(composition, own, recipe),
        _mostly_organic(composition, recipe),
    )


def undecided_claims(reason: str) -> tuple[Claim, ...]:
    """All claims without a verdict, where nothing is known of the composition.

    Parameters
    ----------
    reason : str
        What the statements say after "Not decided".

    Returns
    -------
    tuple of Claim
        Four, in the order of ``CLAIM_IDS``, inconclusive and without probability.
    """
    return tuple(
        Claim(id=name, verdict="inconclusive", probability=None, statement=f"Not decided: {reason}.")
        for name in CLAIM_IDS
    )


def without_poor_fits(
    claims: tuple[Claim, ...], fit: FitResult | None, *, doubtful: bool = False
) -> tuple[Claim, ...]:
    """Claims without verdicts where the fit does not describe the pattern, or is one of the wrong radiation.

    Such a fit supports and refutes nothing.

    Parameters
    ----------
    claims : tuple of Claim
    fit : FitResult or None
    doubtful : bool
        Whether another tube or other slits explain the pattern better.

    Returns
    -------
    tuple of Claim
        As they are where the fit is evidence.
    """
    if fit is None or (describes_pattern(fit.gof, fit.rwp) and not doubtful):
        return claims
    figures = f"goodness of fit {fit.gof:.1f}, Rwp {100 * fit.rwp:.0f} %"
    told = f"The fit does not describe the pattern ({figures})"
    if describes_pattern(fit.gof, fit.rwp):
        told = "Another radiation or other slits than those assumed explain the pattern"
    reason = f"{told}, so nothing follows. "
    return tuple(
        replace(c, verdict="inconclusive", probability=None, statement=reason + c.statement) for c in claims
    )


def _verdict(probability: float | None, recipe: CompositionRecipe) -> Verdict:
    if probability is None:
        return "inconclusive"
    if probability >= recipe.supported_above:
        return "supported"
    return "refuted" if probability <= recipe.refuted_below else "inconclusive"


def _claim(index: int, probability: float | None, statement: str, recipe: CompositionRecipe) -> Claim:
    if probability is not None:
        probability = float(np.clip(probability, 0.0, 1.0))
    return Claim(
        id=CLAIM_IDS[index],
        verdict=_verdict(probability, recipe),
        probability=probability,
        statement=statement,
    )


def _basis(composition: Composition) -> str:
    return "of the dry mass" if composition.basis == "dry" else "of the specimen as received"


def _draws(composition: Composition, *names: str) -> FloatArray:
    columns = [COMPONENTS.index(name) for name in names]
    total: FloatArray = composition.draws[:, columns].sum(axis=1)
    return total


def _percent(value: float) -> str:
    return f"{100 * value:.2g} wt%" if value < 0.1 else f"{100 * value:.1f} wt%"


def _quantity(composition: Composition, name: str) -> str:
    estimate = composition.components.get(name)
    if estimate is None or estimate.ci95 is None:
        return "not determined"
    low, high = estimate.ci95
    return f"{100 * estimate.value:.1f} wt% {_basis(composition)} (95 %: {100 * low:.1f} to {100 * high:.1f})"


def presence_probability(phases: Sequence[PhaseResult]) -> float | None:
    """P(apatite present | decision), even prior odds; None where it was not asked after.

    With the search's detection probability p and false-alarm rate f, a detection has the likelihood ratio p : f, or
    better where the amount stands far above its detection limit; a miss has 1 - p : 1 - f for amounts at the detection
    limit.
    """
    asked = [phase for phase in phases if phase.is_apatite]
    if not asked:
        return None
    rule = _rule(asked)
    if any(phase.decision == "detected" for phase in asked):
        false = min(_false_alarm(phase, rule) for phase in asked if phase.decision == "detected")
        return rule.detection_probability / (rule.detection_probability + false)
    # a variety without a limit cannot be told from the others; it does not make their absence doubtful
    if any(phase.decision == "inconclusive" and phase.detection_limit is not None for phase in asked):
        return 0.5
    if all(phase.decision == "inconclusive" for phase in asked):
        return 0.5
    return (1 - rule.detection_probability) / (1 - rule.detection_probability + 1 - rule.false_alarm_rate)


def _rule(phases: Sequence[PhaseResult]) -> DetectionRule:
    """Return the rule of the search that decided on these phases: all have the same."""
    rule = next((phase.evidence.rule for phase in phases if phase.evidence.rule is not None), None)
    if rule is None:
        names = ", ".join(phase.id for phase in phases)
        msg = (
            f"phases {names}: evidence.rule is not set. Without the false-alarm rate and the detection probability by "
            "which they were decided, nothing follows of presence or absence; pass phases as identify() gives them."
        )
        raise AnalysisError(msg)
    return rule


def _variety(asked: Sequence[PhaseResult]) -> tuple[str, bool]:
    """What was found, with a place for its amount, and whether it may be hydroxyapatite.

    Varieties whose lines coincide with those of the one that was fitted are named: intensities and cell do not
    decide between them.
    """
    fitted = next(phase for phase in asked if phase.decision == "detected")
    hydroxyl = _is_hydroxyl(fitted)
    others = [phase for phase in asked if phase is not fitted]
    open_ones = [
        phase.name or phase.id
        for phase in others
        if not _ruled_out(phase) and not (hydroxyl and _is_hydroxyl(phase))
    ]
    text = "Crystalline hydroxyapatite was found: {amount}"
    if not hydroxyl:
        text = f"Crystalline apatite was found, fitted as {fitted.name or fitted.id}: {{amount}}"
    if open_ones:
        text += f"; variety not determined, the lines of {', '.join(open_ones)} coincide"
    if hydroxyl or any(_is_hydroxyl(phase) and not _ruled_out(phase) for phase in others):
        return text, True
    if not any(map(_is_hydroxyl, others)):
        return f"{text}; it was not compared with hydroxyapatite", False
    return f"{text}; its cell or its intensities are not those of hydroxyapatite", False


def _is_hydroxyl(phase: PhaseResult) -> bool:
    """Whether an apatite is hydroxyapatite, with vacancies or carbonate; only F and Cl make another mineral."""
    return phase.is_apatite and phase.facts.end_member not in ("fluorapatite", "chlorapatite")


def _ruled_out(phase: PhaseResult) -> bool:
    """Whether cell or intensities of the apatite that was found exclude this variety as the main one."""
    member = phase.evidence.member
    return phase.decision == "not_detected" or (member is not None and member.excluded_as_main)


def _false_alarm(phase: PhaseResult, rule: DetectionRule) -> float:
    """Chance of a detection this strong without the phase: normal tail, at most the search's own rate."""
    from scipy.special import ndtr

    score = phase.evidence.z
    if score is None:
        if phase.weight_fraction is None or phase.limit_sigma is None:
            return rule.false_alarm_rate
        score = phase.weight_fraction.value / phase.limit_sigma
    return float(np.clip(ndtr(-score), 1e-12, rule.false_alarm_rate))


def _present(composition: Composition, phases: Sequence[PhaseResult], recipe: CompositionRecipe) -> Claim:
    asked = [phase for phase in phases if phase.is_apatite]
    probability = presence_probability(phases)
    if probability is not None:
        least = apatite_limit(asked)
        limit = "detection limit unknown" if least is None else f"detection limit {_percent(least)}"
        if any(phase.decision == "detected" for phase in asked):
            amount = _quantity(composition, "crystalline_hydroxyapatite")
            variety, hydroxyl = _variety(asked)
            probability = probability if hydroxyl else 0.5
            text = f"{variety.format(amount=amount)}; {limit}."
        elif probability == 0.5:
            text = f"Crystalline hydroxyapatite is neither shown nor excluded; {limit}. Count longer."
        else:
            text = (
                f"No crystalline hydroxyapatite was found; {limit} of the specimen, the amount that "
                "would have "
                f"been seen with {100 * _rule(asked).detection_probability:.0f} % probability."
            )
        return _claim(0, probability, text, recipe)
    if phases:
        return _claim(0, None, f"{_NOT_ASKED}, so its presence is open.", recipe)
    if composition.components.get("crystalline_hydroxyapatite") is None:
        text = "Without diffraction, crystalline hydroxyapatite cannot be told from amorphous mineral."
        return _claim(0, None, text, recipe)
    probability = float((_draws(composition, "crystalline_hydroxyapatite") > _VISIBLE).mean())
    amount = _quantity(composition, "crystalline_hydroxyapatite")
    return _claim(
        0,
        probability,
        f"Probability of more than {_percent(_VISIBLE)} hydroxyapatite; found {amount}.",
        recipe,
    )


def _only(phases: Sequence[PhaseResult], recipe: CompositionRecipe, unexplained: int) -> Claim:
    others = [phase for phase in phases if not phase.is_apatite]
    present = presence_probability(phases)
    if present is None or not others:
        missing = "No search for other crystalline phases was made" if not others else _NOT_ASKED
        return _claim(1, None, f"{missing}, so nothing can be said of its being the only one.", recipe)
    apatites = [phase for phase in phases if phase.is_apatite]
    seen = any(phase.decision == "detected" for phase in apatites)
    variety = not seen or _variety(apatites)[1]
    present = present if variety else min(present, 0.5)
    found = [phase for phase in others if phase.decision == "detected"]
    rule = _rule(phases)
    if found:
        names = ", ".join(f"{phase.name or phase.id}{_amount(phase)}" for phase in found)
        false = np.array([_false_alarm(phase, rule) for phase in found])
        chance = float(np.prod(false / (false + rule.detection_probability)))
        return _claim(1, present * chance, f"Other crystalline phases were found: {names}.", recipe)
    level = recipe.foreign_level
    unasked = max(_WIDE_SEARCH - len(others), 0)
    missed = float(np.mean([_missed(phase, level) for phase in others] + [1.0] * unasked))
    alone, other = ALONE_BEFORE * (1 - rule.false_alarm_rate), (1 - ALONE_BEFORE) * missed
    none_other = alone / (alone + other)
    unsure = [phase for phase in others if phase.decision == "inconclusive"]
    if unsure:
        none_other *= 0.5 ** len(unsure)
    text = _only_text(others, unsure, present, level)
    if not variety:
        text += " The apatite that was found is fitted as another variety than hydroxyapatite."
    if unexplained:
        none_other *= 0.5
        text += f" But {unexplained} peak(s) belong to none of them: to another phase, or to the holder."
    if unasked:
        text += " That is a narrow search: what was not searched for could be there."
    return _claim(1, present * none_other, text, recipe)


def _only_text(
    others: Sequence[PhaseResult], unsure: Sequence[PhaseResult], present: float, level: float
) -> str:
    limits = {
        p.id: p.detection_limit for p in others if p.detection_limit is not None and p.detection_limit < 1
    }
    blind = [p.name or p.id for p in others if p.detection_limit is None or p.detection_limit > level]
    text = f"None of {len(others)} other crystalline phases searched for was found"
    if unsure:
        names = ", ".join(phase.name or phase.id for phase in unsure)
        text = f"No other crystalline phase is certain, but undecided: {names}"
    if limits:
        text += (
            f"; detection limits {_percent(min(limits.values()))} to {_percent(max(limits.values()))} of the "
            f"specimen (median {_percent(float(np.median(list(limits.values()))))}), level asked "
            f"{_percent(level)}"
        )
    if blind:
        shown = ", ".join(blind[:5]) + (f" and {len(blind) - 5} more" if len(blind) > 5 else "")
        text += f"; {_percent(level)} of {shown} could have escaped"
    if present < 0.5:
        text += "; hydroxyapatite itself was not found either"
    return text + "."


def _amount(phase: PhaseResult) -> str:
    estimate = phase.weight_fraction or phase.crystalline_weight_fraction
    if estimate is None:
        return ""
    of = "of the specimen" if phase.weight_fraction is not None else "of the crystalline part"
    return f" {_percent(max(estimate.value, 0.0))} {of}"


def _missed(phase: PhaseResult, level: float) -> float:
    """Chance that `level` of a phase escapes: normal errors around the threshold; certain where no limit is known."""
    from scipy.special import ndtr

    sigma = phase.limit_sigma
    return 1.0 if sigma is None else float(ndtr(_rule((phase,)).threshold - level / sigma))


def _minor(composition: Composition, phases: Sequence[PhaseResult], recipe: CompositionRecipe) -> Claim:
    limit = recipe.minor_below
    apatites = [phase for phase in phases if phase.is_apatite]
    asked = not phases or bool(apatites)
    if asked and composition.components.get("crystalline_hydroxyapatite") is not None:
        probability = float((_draws(composition, "crystalline_hydroxyapatite") < limit).mean())
        amount = _quantity(composition, "crystalline_hydroxyapatite")
        text = f"Crystalline hydroxyapatite {amount}, against {100 * limit:.0f} wt%."
        if any(p.decision == "detected" for p in apatites) and not _variety(apatites)[1]:
            probability = 0.5 * (1.0 + probability)
            text = f"Crystalline apatite, fitted as another variety than hydroxyapatite, {amount}."
        return _claim(2, probability, text, recipe)
    if "tga" in composition.method:
        mineral = _draws(composition, "crystalline_hydroxyapatite", "amorphous_mineral", "other_crystalline")
        at_least = float((mineral < limit).mean())
        value = f"{100 * mineral.mean():.1f} wt% {_basis(composition)}"
        if at_least >= recipe.supported_above:
            text = (
                f"All mineral without carbonate is {value}, so hydroxyapatite is below {100 * limit:.0f} wt% "
                "whatever part of it is crystalline."
            )
            return _claim(2, at_least, text, recipe)
        text = f"All mineral without carbonate is {value}; how much of it is crystalline needs diffraction."
        return _claim(2, None, text, recipe)
    text = "These measurements do not determine the amount of hydroxyapatite."
    return _claim(2, None, text if asked else f"{_NOT_ASKED}, so its amount is open.", recipe)


def _mostly_organic(composition: Composition, recipe: CompositionRecipe) -> Claim:
    limit = recipe.organic_above
    if composition.components.get("organic") is not None:
        probability = float((_draws(composition, "organic") > limit).mean())
        text = f"Organic {_quantity(composition, 'organic')}, against {100 * limit:.0f} wt%."
        return _claim(3, probability, text, recipe)
    if "non_crystalline" in composition.identifiable_sums:
        soft = _draws(composition, "organic", "water", "amorphous_mineral")
        at_most = float((soft > limit).mean())
        value = f"{100 * soft.mean():.1f} wt% {_basis(composition)}"
        if at_most <= recipe.refuted_below:
            text = f"Everything not crystalline is {value}, so organic cannot exceed {100 * limit:.0f} wt%."
            return _claim(3, at_most, text, recipe)
        text = (
            f"Everything not crystalline is {value}; X-rays alone do not separate organic from water. Add a "
            "thermogravimetric run."
        )
        return _claim(3, None, text, recipe)
    return _claim(3, None, "These measurements do not determine the organic part.", recipe)
