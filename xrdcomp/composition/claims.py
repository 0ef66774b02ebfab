"""The published findings as tests on one specimen: P(claim | data), a verdict, the evidence in words.

The findings: hydroxyapatite is present; it is the only crystalline phase; it is the minor component; more
than half of the specimen is organic (Hsu, Emge & Schlesinger 2017, as summarised in clinical guidance).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import msgspec
import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import CompositionRecipe
from xrdcomp.refinement.result import describes_pattern
from xrdcomp.results import (
    COMPONENTS,
    UNLIKELY_MEMBER,
    Claim,
    Composition,
    DetectionRule,
    FitResult,
    PhaseResult,
    Verdict,
    apatite_limit,
)
from xrdcomp.units import FloatArray

PRESENT = "hydroxyapatite_present"
ONLY = "hydroxyapatite_only_crystalline_phase"
MINOR = "hydroxyapatite_minor_component"
ORGANIC = "organic_more_than_half"
CLAIM_IDS = (PRESENT, ONLY, MINOR, ORGANIC)
ALONE_BEFORE = 0.64
"""Probability before measuring that apatite is alone: 9 of 14 subcutaneous calcifications (Franzen et al. 2017
Acta Derm. Venereol. 97, 1178). Another phase is then taken to be any of the searched ones, equally likely."""
_WIDE_SEARCH = 20
"""Phases that a search has to hold to speak for all that calcifications may contain; each one fewer would have
escaped."""
_VISIBLE = 0.01
"""Mass fraction of hydroxyapatite that counts as present where no search decided, or could."""
_APATITE = "crystalline_hydroxyapatite"
_NOT_ASKED = "Hydroxyapatite was neither fitted nor searched for"


def evaluate_claims(
    composition: Composition,
    phases: Sequence[PhaseResult],
    recipe: CompositionRecipe = CompositionRecipe(),  # noqa: B008 - a frozen struct
    *,
    internal_standard: str = "",
    unexplained: int = 0,
) -> tuple[Claim, ...]:
    """Evaluate the four published findings on one specimen, in the order of ``CLAIM_IDS``.

    Arguments are those of `xrdcomp.stages.evaluate_claims`; probabilities are shares of the composition's draws, on its
    basis. Where the measurements do not decide (an instrument missing), the probability is None and the verdict
    inconclusive. AnalysisError for a phase without the rule by which it was decided.
    """
    if composition.consistency is not None and composition.consistency.impossible:
        return undecided_claims("pattern and thermogravimetric run cannot come from the same specimen")
    own = tuple(phase for phase in phases if phase.id != internal_standard)
    specimen = _Specimen(composition=composition, phases=own, recipe=recipe, unexplained=unexplained)
    findings = (specimen.present(), specimen.only(), specimen.minor(), specimen.mostly_organic())
    claims = []
    for name, (probability, statement) in zip(CLAIM_IDS, findings, strict=True):
        verdict: Verdict = "inconclusive"
        if probability is not None:
            probability = float(np.clip(probability, 0.0, 1.0))
            if probability >= recipe.supported_above:
                verdict = "supported"
            elif probability <= recipe.refuted_below:
                verdict = "refuted"
        claims.append(Claim(id=name, verdict=verdict, probability=probability, statement=statement))
    return tuple(claims)


def undecided_claims(reason: str) -> tuple[Claim, ...]:
    """All claims inconclusive and without probability, where nothing is known of the composition."""
    return tuple(
        Claim(id=name, verdict="inconclusive", probability=None, statement=f"Not decided: {reason}.")
        for name in CLAIM_IDS
    )


def without_poor_fits(claims: tuple[Claim, ...], fit: FitResult | None, *, doubtful: bool = False) -> tuple[Claim, ...]:
    """Take away the verdicts where the fit is no evidence: it supports and refutes nothing.

    That is so where it does not describe the pattern, or where another tube or other slits explain the pattern better
    (`doubtful`).
    """
    reason = ""
    if fit is not None and not describes_pattern(fit.gof, fit.rwp):
        figures = f"goodness of fit {fit.gof:.1f}, Rwp {100 * fit.rwp:.0f} %"
        reason = f"The fit does not describe the pattern ({figures})"
    elif fit is not None and doubtful:
        reason = "A radiation or slits other than those assumed explain the pattern"
    if not reason:
        return claims
    reason += ", so no conclusion can be drawn."
    return tuple(
        Claim(id=claim.id, verdict="inconclusive", probability=None, statement=f"{reason} {claim.statement}")
        for claim in claims
    )


# Decisions of the search.


def presence_probability(phases: Sequence[PhaseResult], most: float | None = None) -> float | None:
    """P(apatite present | decision), even prior odds; None where it was not asked after.

    With the search's detection probability p and false-alarm rate f, a detection has the likelihood ratio p : f, or
    better where the amount stands far above its detection limit; a miss has 1 - p : 1 - f for amounts at the detection
    limit. `most` is the upper end of its interval in the composition: an apatite for which nothing speaks and that was
    not tested beside unknown crystals is missed where intensities leave room for hardly any.
    """
    asked = [phase for phase in phases if phase.is_apatite]
    if not asked:
        return None
    rule = _rule(asked)
    if any(phase.decision == "detected" for phase in asked):
        false = min(_false_alarm(phase, rule) for phase in asked if phase.decision == "detected")
        return rule.detection_probability / (rule.detection_probability + false)
    # a member without a limit cannot be told from the others; it does not make their absence doubtful
    open_ones = [phase for phase in asked if phase.decision == "inconclusive"]
    bounded = all(phase.evidence.most is not None and not phase.undecided for phase in open_ones)
    if bounded and most is not None and most < _VISIBLE:
        open_ones = []
    if len(open_ones) == len(asked) or any(phase.detection_limit is not None for phase in open_ones):
        return 0.5
    missed = 1 - rule.detection_probability
    return missed / (missed + 1 - rule.false_alarm_rate)


def _rule(phases: Sequence[PhaseResult]) -> DetectionRule:
    """Return the rule of the search that decided on these phases: all have the same."""
    for rule in (phase.evidence.rule for phase in phases):
        if rule is not None:
            return rule
    msg = (
        f"phases {', '.join(phase.id for phase in phases)}: evidence.rule is not set. Without the false-alarm rate and "
        "the detection probability by which they were decided, nothing follows of presence or absence; pass phases as "
        "identify() gives them."
    )
    raise AnalysisError(msg)


def _false_alarm(phase: PhaseResult, rule: DetectionRule) -> float:
    """Chance of a detection this strong without the phase: normal tail, at most the search's own rate."""
    from scipy.special import ndtr

    score = phase.evidence.z
    if score is None:
        if phase.weight_fraction is None or phase.limit_sigma is None:
            return rule.false_alarm_rate
        score = phase.weight_fraction.value / phase.limit_sigma
    return float(np.clip(ndtr(-score), 1e-12, rule.false_alarm_rate))


def _is_hydroxyl(phase: PhaseResult) -> bool:
    """True for hydroxyapatite, with vacancies or carbonate; only F and Cl make another mineral."""
    return phase.is_apatite and phase.facts.end_member not in ("fluorapatite", "chlorapatite")


def _may_be_main(phase: PhaseResult, hydroxyl_share: float) -> bool:
    """Tell whether a member of the family may be the apatite that was found, by its probability where it has one."""
    member = phase.evidence.member
    if member is None or member.probability is None:
        return True
    # the structures of an end member share its probability: a small one of each is none of it
    whole = hydroxyl_share if _is_hydroxyl(phase) else member.probability
    return max(whole, member.probability) >= UNLIKELY_MEMBER


_Finding = tuple[float | None, str]
"""Probability, None where it is open, and the evidence in words."""


class _Specimen(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One specimen as the findings see it: composition, the search's decisions on its own phases, thresholds."""

    composition: Composition
    phases: tuple[PhaseResult, ...]
    recipe: CompositionRecipe
    unexplained: int

    @cached_property
    def asked(self) -> list[PhaseResult]:
        """Members of the apatite family that were fitted or searched for."""
        return [phase for phase in self.phases if phase.is_apatite]

    @property
    def possible(self) -> list[PhaseResult]:
        """Members that the apatite which was found may be, the fitted one first; none where none was found.

        Reflections of the others coincide with those of the fitted one: unless intensities or cell rule them out,
        nothing decides between them.
        """
        fitted = next((phase for phase in self.asked if phase.decision == "detected"), None)
        if fitted is None:
            return []
        likewise = [phase for phase in self.asked if phase is not fitted and not phase.unseen]
        members = [(phase, phase.evidence.member) for phase in likewise]
        return [fitted, *(phase for phase, member in members if member is None or not member.excluded_as_main)]

    @property
    def is_another_member(self) -> bool:
        """True where the apatite that was found cannot be hydroxyapatite."""
        return bool(self.possible) and not any(map(_is_hydroxyl, self.possible))

    @property
    def hydroxyl_share(self) -> float:
        """Probability that the apatite which is there is hydroxyapatite, not fluor- or chlorapatite.

        Likelihood of the best hydroxyl member against the best other one, with even odds: at most 0.5 where another,
        be it one of other elements, describes cell and intensities as well. 1 where the members were not compared, but
        even where what was found cannot be hydroxyapatite.
        """
        groups: dict[bool, dict[str, float]] = {True: {}, False: {}}
        for phase in self.asked:
            member = phase.evidence.member
            if member is not None and member.probability is not None:
                group, name = groups[_is_hydroxyl(phase)], phase.facts.end_member or phase.id
                group[name] = group.get(name, 0.0) + member.probability
        own, other = (max(groups[kind].values(), default=0.0) for kind in (True, False))
        if groups[True] or groups[False]:
            # what the family lacks to one is that of an apatite of other elements
            every = sum(sum(group.values()) for group in groups.values())
            other = max(other, 1.0 - every)
            return own / (own + other)
        return 0.5 if self.is_another_member else 1.0

    @property
    def presence(self) -> float | None:
        """Probability of hydroxyapatite: that an apatite is there, by the search, times that it is this one."""
        probability = presence_probability(self.asked, self.most)
        return None if probability is None else probability * (self.hydroxyl_share if self.possible else 1.0)

    @property
    def most(self) -> float | None:
        """Upper end of the interval of crystalline hydroxyapatite; None where the composition does not give it."""
        estimate = self.composition.components.get(_APATITE)
        return None if estimate is None else estimate.high

    def draws(self, *names: str) -> FloatArray:
        """Draws of the sum of some components, (n,)."""
        total: FloatArray = self.composition.draws[:, [COMPONENTS.index(name) for name in names]].sum(axis=1)
        return total

    def on_basis(self, value: float) -> str:
        basis = "of the dry mass" if self.composition.basis == "dry" else "of the specimen as received"
        return f"{100 * value:.1f} wt% {basis}"

    def quantity(self, name: str) -> str:
        estimate = self.composition.components.get(name)
        if estimate is None or estimate.ci95 is None:
            return "not determined"
        low, high = estimate.ci95
        return f"{self.on_basis(estimate.value)} (95 %: {100 * low:.1f} to {100 * high:.1f})"

    def present(self) -> _Finding:
        """Crystalline hydroxyapatite is there: by the search, else by the draws."""
        probability, amount = self.presence, self.quantity(_APATITE)
        if probability is not None:
            least, power = apatite_limit(self.asked), _rule(self.asked).detection_probability
            limit = "detection limit unknown" if least is None else f"detection limit {_percent(least)}"
            if self.possible:
                apatite = f"An apatite is present (P = {presence_probability(self.asked):.3f})"
                share = f"by cell and intensities it is hydroxyapatite with P = {self.hydroxyl_share:.2g}"
                return probability, f"{self.member(amount)}; {limit}. {apatite}; {share}."
            if probability == 0.5:
                return probability, f"Crystalline hydroxyapatite is neither shown nor excluded; {limit}. Count longer."
            if least is None and self.most is not None:
                text = "No crystalline hydroxyapatite was found; the intensity that no phase explains allows at most"
                return probability, f"{text} {self.on_basis(self.most)}."
            seen = f"the amount that would have been detected with {100 * power:.0f} % probability"
            return probability, f"No crystalline hydroxyapatite was found; {limit} of the specimen, {seen}."
        if self.phases:
            return None, f"{_NOT_ASKED}, so its presence is open."
        if self.composition.components.get(_APATITE) is None:
            return (None, "Without diffraction, crystalline and amorphous mineral cannot be distinguished.")
        text = f"Probability of more than {_percent(_VISIBLE)} hydroxyapatite; found {amount}."
        return float((self.draws(_APATITE) > _VISIBLE).mean()), text

    def member(self, amount: str) -> str:
        """Apatite that was found with its amount, and what is known of its member of the family."""
        fitted, *others = self.possible
        hydroxyl = _is_hydroxyl(fitted)
        what = "hydroxyapatite was found" if hydroxyl else f"apatite was found, fitted as {fitted.name or fitted.id}"
        text = f"Crystalline {what}: {amount}"
        unlike = [
            phase.name or phase.id
            for phase in others
            if not (hydroxyl and _is_hydroxyl(phase)) and _may_be_main(phase, self.hydroxyl_share)
        ]
        if unlike:
            text += "; the member of the apatite family is not determined, because "
            text += f"the reflections of {', '.join(unlike)} coincide"
        if self.is_another_member and any(map(_is_hydroxyl, self.asked)):
            text += "; its cell or its intensities are not those of hydroxyapatite"
        elif self.is_another_member:
            text += "; it was not compared with hydroxyapatite"
        return text

    def only(self) -> _Finding:
        """Apatite is the only crystalline phase: none of the others was found, and none could have escaped."""
        from scipy.special import ndtr

        others = [phase for phase in self.phases if not phase.is_apatite]
        present = self.presence
        if present is None or not others:
            missing = "No search for other crystalline phases was made" if not others else _NOT_ASKED
            return None, f"{missing}, so it is not known whether it is the only one."
        rule = _rule(self.phases)
        found = [phase for phase in others if phase.decision == "detected"]
        if found:
            names = ", ".join(f"{phase.name or phase.id}{_amount(phase)}" for phase in found)
            false = np.array([_false_alarm(phase, rule) for phase in found])
            chance = float(np.prod(false / (false + rule.detection_probability)))
            return present * chance, f"Other crystalline phases were found: {names}."
        # Bayes: alone, against another phase at `level` that escaped, with normal errors around the threshold; one
        # without a limit, or one that was not searched for, would have escaped in any case
        level = self.recipe.foreign_level
        escaped = [
            1.0 if phase.limit_sigma is None else float(ndtr(_rule([phase]).threshold - level / phase.limit_sigma))
            for phase in others
        ]
        not_searched = max(_WIDE_SEARCH - len(others), 0)
        missed = float(np.mean(escaped + [1.0] * not_searched))
        alone, other = ALONE_BEFORE * (1 - rule.false_alarm_rate), (1 - ALONE_BEFORE) * missed
        unsure = [phase for phase in others if phase.undecided]
        unknown = self.composition.draws[:, len(COMPONENTS) :].sum(axis=1) > level  # crystals outside the library
        doubt = min(0.5, 1.0 - float(unknown.mean())) if self.unexplained else 1.0
        none_other = alone / (alone + other) * 0.5 ** len(unsure) * doubt
        # the evidence in words: what was searched for with which limits, and what could have escaped
        text = f"None of {len(others)} other crystalline phases searched for was found"
        if unsure:
            names = ", ".join(phase.name or phase.id for phase in unsure)
            text = f"No other crystalline phase is certain, but undecided: {names}"
        stated = [phase.detection_limit for phase in others if phase.detection_limit is not None]
        if limits := [limit for limit in stated if limit < 1]:
            text += f"; detection limits {_percent(min(limits))} to {_percent(max(limits))} of the specimen "
            text += f"(median {_percent(float(np.median(limits)))}), required level {_percent(level)}"
        blind = [p.name or p.id for p in others if p.detection_limit is None or p.detection_limit > level]
        if blind:
            shown = ", ".join(blind[:5]) + (f" and {len(blind) - 5} more" if len(blind) > 5 else "")
            text += f"; {_percent(level)} of {shown} could have escaped"
        text += "; hydroxyapatite itself was not found either." if present < 0.5 else "."
        if self.is_another_member:
            text += " The apatite that was found is fitted as a member of the family other than hydroxyapatite."
        if self.unexplained:
            text += f" But {self.unexplained} peak(s) belong to none of them, but to another phase or to the holder."
        if not_searched:
            text += " This is a narrow search; other phases could be there."
        return present * none_other, text

    def minor(self) -> _Finding:
        """Hydroxyapatite is the minor component: by its draws, or because all mineral is."""
        limit, asked = self.recipe.minor_below, bool(self.asked) or not self.phases
        if self.presence is not None and (self.presence < 0.5 or (self.presence == 0.5 and not self.possible)):
            what = "none was found" if self.presence < 0.5 else "it is neither shown nor excluded"
            what = "the apatite that was found is another member of its family" if self.possible else what
            return None, f"Hydroxyapatite can be the minor component only if it is present; {what}."
        if asked and self.composition.components.get(_APATITE) is not None:
            probability = float((self.draws(_APATITE) < limit).mean())
            amount = self.quantity(_APATITE)
            if not self.is_another_member:
                return probability, f"Crystalline hydroxyapatite {amount}; the limit is {100 * limit:.0f} wt%."
            text = f"Crystalline apatite, fitted as a member of the family other than hydroxyapatite, {amount}"
            return probability, f"{text}; the limit is {100 * limit:.0f} wt% if it is hydroxyapatite."
        single = self.composition.runs[0] if self.composition.runs else self.composition
        if single.consistency is not None and single.consistency.tga and "total_mineral" in single.identifiable_sums:
            mineral = self.draws(_APATITE, "amorphous_mineral", "other_crystalline")
            at_least = float((mineral < limit).mean())
            text = f"All mineral without carbonate is {self.on_basis(float(mineral.mean()))}"
            if at_least < self.recipe.supported_above:
                return None, f"{text}; how much of it is crystalline needs diffraction."
            below = f"hydroxyapatite is below {100 * limit:.0f} wt%, whatever part of the mineral is crystalline."
            return at_least, f"{text}, so {below}"
        unknown = "These measurements do not determine the amount of hydroxyapatite."
        return None, unknown if asked else f"{_NOT_ASKED}, so its amount is open."

    def mostly_organic(self) -> _Finding:
        """More than half is organic: by its draws, or refuted because all that is not crystalline is less."""
        limit = self.recipe.organic_above
        if self.composition.components.get("organic") is not None:
            text = f"Organic matter {self.quantity('organic')}; the limit is {100 * limit:.0f} wt%."
            return float((self.draws("organic") > limit).mean()), text
        if "non_crystalline" not in self.composition.identifiable_sums:
            return None, "These measurements do not determine the organic matter."
        soft = self.draws("organic", "water", "amorphous_mineral")
        at_most = float((soft > limit).mean())
        rest = self.composition.identifiable_sums["non_crystalline"]
        text = f"Everything not crystalline is {self.on_basis(rest.value)}"
        if at_most <= self.recipe.refuted_below:
            return at_most, f"{text}, so organic matter cannot exceed {100 * limit:.0f} wt%."
        kind = self.composition.consistency.kind if self.composition.consistency is not None else "tissue"
        others = "water" if kind == "tissue" else "water, glass and silica"
        text += f"; X-rays alone do not distinguish organic matter from {others}. Add a thermogravimetric run."
        return None, text


def _amount(phase: PhaseResult) -> str:
    estimate = phase.weight_fraction or phase.crystalline_weight_fraction
    of = "of the specimen" if phase.weight_fraction is not None else "of the crystalline part"
    return "" if estimate is None else f" {_percent(max(estimate.value, 0.0))} {of}"


def _percent(value: float) -> str:
    return f"{100 * value:.2g} wt%" if value < 0.1 else f"{100 * value:.1f} wt%"
