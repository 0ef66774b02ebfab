"""Rules over a search and a composition: disagreement, missing evidence, assumptions that determine a result.

Every message gives the figure that shows the problem, the likely causes in order, and the next measurement. If several
runs were combined, a message refers to the first run to which it applies.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from xrdcomp.checks.registry import Analysis, Check, check
from xrdcomp.data import Diagnostic, MessageKind, message_kind
from xrdcomp.results import Composition, Consistency, MineralBalance

WITHOUT_APATITE = message_kind(
    "COMPOSITION_WITHOUT_APATITE", "warning",
    "No apatite was fitted or searched for; the composition assumes that there is none.",
    remedy="Add hydroxyapatite to the phases or to identification.library if the specimen may hold it.",
)  # fmt: skip
BIRGE = message_kind(
    "FUSION_BIRGE", "warning",
    "The measurements are not consistent with one composition; their standard uncertainties were multiplied by a "
    "factor.",
    remedy="Look at the fit and at the thermal boundaries; measure both on the same dried and ground powder.",
    threshold="probability of a larger misfit below 1 %; the factor starts at 1 and grows with the misfit",
    origin="a common Student factor, as in Birge 1932, Phys. Rev. 40, 207 with 12.5 additional degrees of freedom",
)  # fmt: skip
TWO_SPECIMENS = message_kind(
    "FUSION_TWO_SPECIMENS", "error", "Pattern and thermogravimetric run cannot come from the same specimen.",
    remedy="Check which files belong together, the gas of the run, and that both measurements used the same specimen.",
    threshold="probability of a larger misfit below one in a million",
    origin="no correct pair of the simulated studies comes close", concerns=("composition", "claims"),
)  # fmt: skip
DOUBTFUL_PAIR = message_kind(
    "FUSION_PAIR_DOUBTFUL", "warning",
    "Pattern and thermogravimetric run differ by more than correct pairs do; they may come from different specimens.",
    remedy="Check that both files belong to one specimen and that both aliquots were dried in the same way.",
    threshold="probability below 1.5 % of equally large differences in mineral, organic matter and lattice carbonate",
    origin="differences of correct simulated pairs: 2.7 (crystals), 4.5 (amorphous mineral), 8 wt% (organic)",
    concerns=("composition", "claims"),
)  # fmt: skip
INCONSISTENT = message_kind(
    "FUSION_INCONSISTENT", "warning", "Diffraction finds more crystals than thermogravimetry leaves as mineral.",
    remedy="Measure the empty holder, run both on the same dried powder, and search for organic crystals.",
    threshold="2.33 standard uncertainties of the difference", origin="one in a hundred faultless specimens",
)  # fmt: skip
MINERAL_UNSEEN = message_kind(
    "FUSION_MINERAL_UNSEEN", "warning",
    "Thermogravimetry leaves more mineral than diffraction accounts for, amorphous mineral included.",
    remedy="Grind the powder finer, scan to 70 degrees or more, burn off in air, rinse out salts.",
    threshold="2 standard uncertainties of the difference without amorphous mineral, 2.6 with it and with the scatter "
    "of correct pairs",
    origin="fewer than one in a hundred faultless specimens",
)  # fmt: skip
AMORPHOUS_EXCESS = message_kind(
    "HUMP_WITHOUT_ACP", "warning",
    "There is more amorphous scattering near 30 degrees than the amorphous mineral of the mass balance explains.",
    remedy="Measure the empty holder.",
    threshold="1.5 standard uncertainties, at least those of correct pairs, above the 97.5 % limit of the amorphous "
    "mineral",
    origin="2 of 120 correct pairs; plastic holders have their maximum at 30.9 degrees",
)  # fmt: skip
SCALE = message_kind(
    "FUSION_SCALE", "warning", "Crystalline intensities would have to be wrong by more than the method allows.",
    remedy="Spike with a weighed standard, or measure the empty holder.",
    threshold="2.58 standard uncertainties, composition.xrd_bias_std and that of the measurements combined",
    origin="one in a hundred correct pairs",
)  # fmt: skip
STANDARD_SHARE = message_kind(
    "FUSION_STANDARD_SHARE", "warning",
    "The share of the internal standard in the pattern is not the stated one, on which every amount is based.",
    remedy="Check the masses that were weighed in, and that the fraction is that of the spiked powder.",
    threshold="3 standard uncertainties of the logarithm, including the scattering per gram of amorphous matter of any "
    "kind",
    origin="three correct spikes in a thousand", concerns=("composition", "claims"),
)  # fmt: skip
CHAR = message_kind(
    "FUSION_CHAR", "info",
    "The run was in an inert gas, or looks like one; part of the organic matter is assumed to remain as char.",
    remedy="Burn the char off in air at the end of the run.",
)  # fmt: skip
SALT = message_kind(
    "FUSION_SALT", "info",
    "A chloride was found; it is counted as other crystalline, and may evaporate above 800 °C.",
    remedy="If the salt comes from saline, rinse with water or ethanol and measure again.",
)  # fmt: skip
HYDROXYL = message_kind(
    "FUSION_HYDROXYL", "info",
    "Part of the loss in the range of the carbonate may be hydroxyl of clay or, if there is only thermogravimetry, gas "
    "from a nitrate or sulfate; the interval of the carbonate is extended downwards by it.",
    remedy='Measure a diffraction pattern, or set specimen.kind = "tissue" if it is tissue without soil.',
    threshold="the loss up to 750 °C at 10 K/min, at most 15 % of the mineral; beside a mineral of tissue 15 % of the "
    "crystals that no phase explains; with thermogravimetry alone, a loss above 6 % of the remaining mass that does "
    "not look like calcite's",
    origin="smectites, illite, kaolinite and serpentine lose 4 to 14 % between 450 and 750 °C",
)  # fmt: skip
AMORPHOUS_UNDECIDED = message_kind(
    "AMORPHOUS_UNDECIDED", "info",
    "It is not decided whether there is any amorphous mineral; its value is the mean over both cases.",
    remedy="Count longer and measure the empty holder.", threshold="probability of none between 5 and 95 %",
)  # fmt: skip
SAMPLING = message_kind(
    "COMPOSITION_SAMPLING", "warning",
    "The posterior rests on few effective draws; the ends of intervals are uncertain.",
    remedy="Raise composition.draws.", threshold="effective draws at most 5 % of the draws",
    origin="the ends of intervals then vary by a few tenths of a standard deviation between seeds",
)  # fmt: skip
NOT_IDENTIFIABLE = message_kind(
    "NOT_IDENTIFIABLE", "info", "These measurements do not distinguish a component from others.",
    remedy="Add the other instrument, a spike, or amorphous components to the fit.",
)  # fmt: skip
OPEN = message_kind(
    "COMPOSITION_OPEN", "warning", "A 95 % interval of the composition includes nearly every value.",
    remedy="Measure a wider range, count longer, or add the other instrument.",
    threshold="wider than 90 wt%", origin="if nothing is known of a fraction, its interval is 95 wt% wide",
)  # fmt: skip
PRIOR_DOMINATED = message_kind(
    "PRIOR_DOMINATED", "info", "The interval of a component is mostly determined by assumptions about compositions.",
    remedy="Add the second instrument or a spike, which replaces the assumption.",
    threshold="more than half of the variance, if the upper end of the interval is above 2 wt%",
)  # fmt: skip
REPLICATES = message_kind(
    "REPLICATES", "info", "Repeated measurements agree within their own uncertainties and were combined.",
)  # fmt: skip
REPLICATE_SCATTER = message_kind(
    "REPLICATE_SCATTER", "warning", "Repeated measurements scatter by more than their own uncertainties.",
    remedy="Grind and dry the specimen, take more aliquots, and set composition.aliquot_std to this figure for single "
    "runs.",
    threshold="probability of the scatter below 5 % divided by the number of components",
    origin="Cochran's Q with Bonferroni's correction",
)  # fmt: skip
NOTHING_KNOWN = 0.9
"""Width of a 95 % interval of a mass fraction above which the measurements leave it open."""
NOTICEABLE_HYDROXYL = 0.001
"""Mass fraction of hydroxyl in the carbonate above which it is reported."""
MISFIT_PROBABILITY = 0.01
"""Probability of a larger misfit below which the measurements are reported as inconsistent with one composition."""
PAIR_PROBABILITY = 0.015
"""Probability of larger differences between the instruments below which a pair is doubted: 0 of 120 correct pairs."""


def _rule(kind: MessageKind) -> Callable[[Callable[[Composition, Consistency], Diagnostic | None]], Check]:
    """Register a rule over a composition of one run and its consistency."""

    def register(rule: Callable[[Composition, Consistency], Diagnostic | None]) -> Check:
        def first(analysis: Analysis) -> Diagnostic | None:
            composition = analysis.composition
            singles = () if composition is None else composition.runs or (composition,)
            found = (rule(item, item.consistency) for item in singles if item.consistency is not None)
            return next((message for message in found if message is not None), None)

        return check(kind, "composition")(first)

    return register


@check(WITHOUT_APATITE, "composition")
def apatite_not_asked_after(analysis: Analysis) -> Diagnostic | None:
    """Report that neither the fit nor the search included apatite."""
    evidence = analysis.composition.consistency if analysis.composition is not None else None
    asked = [phase.is_apatite for phase in analysis.phases]
    if evidence is None or not evidence.xrd or not asked or any(asked):
        return None
    text = "No apatite was fitted or searched for. That there is none is an assumption of the composition."
    return WITHOUT_APATITE(f"{text} {WITHOUT_APATITE.remedy}")


@_rule(TWO_SPECIMENS)
def not_of_one_specimen(_: Composition, found: Consistency) -> Diagnostic | None:
    """Report that no composition whatever is consistent with both measurements."""
    if not found.impossible:
        return None
    text = "No specimen can give both the pattern and the run; the probability of such a large misfit is "
    text += f"{found.misfit_probability:.1g}."
    if (balance := found.mineral_balance) is not None:
        text += f" The pattern shows {100 * balance.crystalline:.0f} wt% crystals, the run leaves "
        text += f"{100 * balance.mineral:.0f} wt% mineral."
    text += f" Do not use any result that combines the two; look at each alone. {TWO_SPECIMENS.remedy}"
    return TWO_SPECIMENS(text, probability=found.misfit_probability)


@_rule(DOUBTFUL_PAIR)
def perhaps_not_of_one_specimen(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare the differences in mineral and organic matter with those of correct pairs."""
    balance = found.mineral_balance
    if balance is None or found.impossible or balance.pair_probability > PAIR_PROBABILITY:
        return None
    carbonate = ""
    if math.isfinite(balance.carbonate_std):
        carbonate = f"; the carbonate of the run differs by {100 * balance.carbonate_difference:+.1f} wt% from that "
        carbonate += "given by the cell of the apatite"
    text = (
        f"The mineral is {100 * balance.with_amorphous:.0f} wt% according to the pattern and "
        f"{100 * balance.mineral:.0f} wt% according to the run. The organic matter of the pattern differs by "
        f"{100 * balance.organic_difference:+.0f} wt% from that of the run{carbonate}. Only "
        f"{100 * balance.pair_probability:.1g} % of correct pairs differ by as much. {DOUBTFUL_PAIR.remedy}"
    )
    return DOUBTFUL_PAIR(text, probability=balance.pair_probability)


@_rule(BIRGE)
def widened_by_misfit(_: Composition, found: Consistency) -> Diagnostic | None:
    """Report which uncertainties were multiplied, and by how much."""
    if found.misfit_probability >= MISFIT_PROBABILITY or found.impossible:
        return None
    what = "Diffraction and thermogravimetry are"
    which = "of all measurements" if found.thermal_share >= 0.5 else "of the diffraction amounts"
    advice = "Look at the fit and at the thermal boundaries before you rely on the result; measure both on the same "
    advice += "dried and ground powder."
    if not found.xrd:
        what, which = "The losses of the thermal run are", "of these losses"
        advice = "Check the atmosphere and the boundaries of the steps; the specimen may not be a calcified tissue."
    elif not found.tga:
        what = "The amounts from the pattern are"
        advice = (
            "Look at the fit, in which a phase or an amorphous component may be missing; measure the empty holder, or "
        )
        advice += "add a thermal run."
    return BIRGE(
        f"{what} not consistent with one composition; the probability of such a large misfit is "
        f"{found.misfit_probability:.2g}. The standard uncertainties {which} were multiplied by "
        f"{found.birge_ratio:.2g}. {advice}",
        birge_ratio=found.birge_ratio, probability=found.misfit_probability,
    )  # fmt: skip


def _against_residue(kind: MessageKind, found: MineralBalance, lead: str, causes: str, **more: float) -> Diagnostic:
    """Message comparing crystals by diffraction with the mass left on heating; {figures} of both go into `lead`."""
    figures = (
        f"crystalline mineral by X-rays {100 * found.crystalline:.1f} wt%, total mineral by thermogravimetry "
        f"{100 * found.mineral:.1f} wt%, difference {found.z:+.1f} standard uncertainties"
    )
    text = f"{lead.format(figures=figures)}. Likely causes, the most likely first: {causes}. {kind.remedy}"
    if found.agrees_in_other_gas:
        stated, other = ("an inert gas", "air") if found.inert else ("air", "nitrogen")
        text += f" The two would agree if the run had been in {other} instead of {stated}; check the stated gas."
    return kind(text, crystalline_xrd=found.crystalline, mineral_tga=found.mineral, z=found.z, **more)


@_rule(INCONSISTENT)
def more_crystals_than_mineral(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare crystals by diffraction with the mass left on heating."""
    balance = found.mineral_balance
    if balance is None or not balance.too_many_crystals:
        return None
    causes = (
        "one aliquot was dried and the other was not; the aliquots differ; background or empty holder is counted as "
        "crystals, or too little amorphous scattering was fitted; there are crystals that burn (urate, cholesterol, "
        "oxalate, cystine)"
    )
    return _against_residue(INCONSISTENT, balance, "More crystals than mineral: {figures}", causes)


@_rule(MINERAL_UNSEEN)
def mineral_that_diffraction_misses(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare all mineral by diffraction with the mass left on heating."""
    balance = found.mineral_balance
    if balance is None or not balance.mineral_unseen:
        return None
    lead = (
        "Diffraction does not account for all mineral: {figures}; with the amorphous mineral, diffraction reaches "
        f"{100 * balance.with_amorphous:.1f} wt%"
    )
    causes = (
        "very broad reflections, partly fitted as background; coarse or strongly absorbing grains "
        "(microabsorption); char in the residue; salts in the residue; different aliquots"
    )
    return _against_residue(MINERAL_UNSEEN, balance, lead, causes, with_amorphous_xrd=balance.with_amorphous)


@_rule(AMORPHOUS_EXCESS)
def amorphous_scattering_without_mineral(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare the scattering near 30 degrees with the amorphous mineral that the balance allows."""
    excess = found.amorphous_excess
    if excess is None or excess.seen < excess.allowed + 1.5 * excess.std:
        return None
    return AMORPHOUS_EXCESS(
        f"Amorphous scattering near 30 degrees corresponds to {100 * excess.seen:.1f} ± {100 * excess.std:.1f} wt% "
        f"amorphous mineral, but the mass balance allows at most {100 * excess.allowed:.1f} wt%. Likely causes, the "
        "most likely first: a plastic holder (maximum at 30.9 degrees), crystallites below 3 nm, a glass slide. "
        f"{AMORPHOUS_EXCESS.remedy}",
        hump=excess.seen, hump_std=excess.std, upper=excess.allowed,
    )  # fmt: skip


@_rule(SCALE)
def scale_beyond_its_uncertainty(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare the error of crystalline intensities that would reconcile both instruments with the expected one."""
    scale = found.scale
    if scale is None or abs(scale.bias) <= 2.58 * (scale.expected_std**2 + scale.std**2) ** 0.5:
        return None
    return SCALE(
        f"Crystalline intensities would have to be wrong by {100 * scale.bias:+.0f} % for both instruments to "
        f"agree; the method is assumed to be good to {100 * scale.expected_std:.0f} %. Likely causes, the most likely "
        "first: instrument background fitted as amorphous scattering or the reverse, microabsorption, preferred "
        f"orientation, different aliquots. {SCALE.remedy}",
        bias=scale.bias, bias_std=scale.expected_std, own_std=scale.std,
    )  # fmt: skip


@_rule(STANDARD_SHARE)
def standard_of_another_share(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare the stated share of the standard with that in the pattern."""
    share = found.standard
    if share is None or abs(share.z) <= 3.0:
        return None
    without = "much of the specimen would not scatter at all" if share.z > 0.0 else "the amounts would sum to over one"
    text = (
        f"The stated fraction of the internal standard is {100 * share.stated:.1f} wt% of the spiked powder; in the "
        f"pattern it is {100 * share.seen:.0f} wt% of everything that scatters (relative standard uncertainty "
        f"{100 * share.relative_std:.0f} %). If the stated value were right, {without}. Likely causes, the most likely "
        f"first: a wrong fraction, a fraction of another basis, grains of very different sizes. {STANDARD_SHARE.remedy}"
    )
    return STANDARD_SHARE(text, stated=share.stated, seen=share.seen, z=share.z)


@_rule(CHAR)
def char_is_assumed(_: Composition, found: Consistency) -> Diagnostic | None:
    """Report how much of the organic matter is assumed to remain as char."""
    if found.char is None:
        return None
    value, std = found.char.value, found.char.std or 0.0
    text = (
        f"The run was in an inert gas, or looks like one. {100 * value:.0f} ± {100 * std:.0f} % of the organic matter "
        "is assumed to remain as char, and the organic matter and the residue depend on it. Fat leaves almost none, "
        f"so that the organic matter of fatty tissue is overestimated. {CHAR.remedy}"
    )
    return CHAR(text, char_fraction=value, char_std=std)


@_rule(SALT)
def salt_in_the_specimen(_: Composition, found: Consistency) -> Diagnostic | None:
    """Report where chlorides are counted."""
    if not found.salts:
        return None
    fate = "may partly have evaporated above 800 °C" if found.salts_evaporate else "is in the residue"
    amount = 100 * sum(found.salts.values())
    text = (
        f"{' and '.join(sorted(found.salts))}, about {amount:.1f} wt%, {fate}; it is counted as other "
        f"crystalline, not as mineral of the tissue. {SALT.remedy}"
    )
    return SALT(text, salt=amount / 100, evaporates=found.salts_evaporate)


@_rule(HYDROXYL)
def clay_may_have_lost_its_hydroxyl(composition: Composition, found: Consistency) -> Diagnostic | None:
    """Report how much lower the carbonate would be if the early part of its loss came from clay."""
    carbonate = composition.components.get("carbonate")
    if found.silicate_hydroxyl <= NOTICEABLE_HYDROXYL or carbonate is None:
        return None
    text = (
        f"Up to {100 * found.silicate_hydroxyl:.1f} wt% of the loss in the range of the carbonate may be hydroxyl of "
        "clay, or gas from a nitrate or sulfate. The "
        f"interval of the carbonate therefore extends down to {100 * carbonate.low:.1f} wt%. {HYDROXYL.remedy}"
    )
    return HYDROXYL(text, hydroxyl=found.silicate_hydroxyl)


@_rule(AMORPHOUS_UNDECIDED)
def amorphous_mineral_is_open(_: Composition, found: Consistency) -> Diagnostic | None:
    """Report the probability that there is no amorphous mineral at all."""
    probability, before = found.no_amorphous_probability, found.no_amorphous_prior
    if probability is None or not 0.05 < probability < 0.95:
        return None
    text = (
        f"It is not decided whether there is any amorphous mineral; the probability of none is {probability:.2f} "
        f"({before:.2f} before measuring). Its value is the mean over both cases. {AMORPHOUS_UNDECIDED.remedy}"
    )
    return AMORPHOUS_UNDECIDED(text, probability_of_none=probability, before=before)


@_rule(SAMPLING)
def few_effective_draws(composition: Composition, found: Consistency) -> Diagnostic | None:
    """Compare the effective number of draws with the number of draws."""
    if found.effective_size > 0.05 * len(composition.draws):
        return None
    text = (
        f"The posterior rests on only {found.effective_size:.0f} effective draws; the ends of intervals "
        f"are uncertain by a few tenths of a standard deviation. {SAMPLING.remedy}"
    )
    return SAMPLING(text, effective_size=found.effective_size)


@_rule(NOT_IDENTIFIABLE)
def components_not_separated(composition: Composition, found: Consistency) -> Diagnostic | None:
    """Name the components that these measurements cannot distinguish, and the measurement that would."""
    hidden = composition.undetermined
    if not hidden:
        return None
    why, remedy = "Heating does not distinguish crystalline from amorphous mineral", "Add a diffraction pattern"
    if found.xrd and found.weighs_crystals:
        why = "They contribute to the pattern only as overlapping amorphous scattering or as part of the lattice"
        remedy = "Add a thermogravimetric run"
        if found.kind != "tissue":
            why = "Its mineral is the only evidence of tissue"
            why = "No mineral of tissue was found" if found.kind == "unknown" else why
            why += ", and X-rays alone do not distinguish glass, silica, polymer and tissue"
            remedy = "Add a thermogravimetric run, or state that it is tissue (specimen.kind)"
    elif found.xrd:
        why = "The amount of crystals in the whole specimen is not known, because the fit had no amorphous components, "
        why += "or not the apatite that may be there"
        remedy = "Fit with fit.background = 'physical' and amorphous components, name the phases that are there"
        remedy += ", or spike with a weighed standard"
    text = (
        f"Not distinguished by these measurements: {', '.join(hidden).replace('_', ' ')}. {why}. Sums that can be "
        f"determined are listed as identifiable sums. {remedy}."
    )
    return NOT_IDENTIFIABLE(text, components=", ".join(hidden))


@_rule(OPEN)
def nearly_every_value(composition: Composition, _: Consistency) -> Diagnostic | None:
    """Name components and sums whose interval includes nearly every value."""
    reported = {**composition.components, **composition.identifiable_sums}
    known = {name: item for name, item in reported.items() if item is not None}
    wide = {name: item.high - item.low for name, item in known.items() if item.high - item.low > NOTHING_KNOWN}
    if not wide:
        return None
    listed = ", ".join(wide).replace("_", " ")
    text = f"These measurements exclude hardly any value of {listed}; the 95 % intervals are wider than "
    text += f"{100 * NOTHING_KNOWN:.0f} wt%."
    return OPEN(f"{text} {OPEN.remedy}", **{f"width_{name}": width for name, width in wide.items()})


@_rule(PRIOR_DOMINATED)
def assumptions_decide(_: Composition, found: Consistency) -> Diagnostic | None:
    """Name reported components whose interval is determined by the prior rather than by measurements."""
    shares = found.prior_dominated
    if not shares:
        return None
    listed = ", ".join(f"{name.replace('_', ' ')} {100 * share:.0f} %" for name, share in shares.items())
    text = (
        "The following share of the variance comes from the assumption that fractions are positive and equally likely "
        f"before measuring: {listed}. {PRIOR_DOMINATED.remedy}"
    )
    return PRIOR_DOMINATED(text, **shares)


@check(REPLICATES, "composition")
def combined_runs(analysis: Analysis) -> Diagnostic | None:
    """Report that combined runs agree, or name the components that scatter between them."""
    composition = analysis.composition
    if composition is None or not composition.runs:
        return None
    k, scatter = len(composition.runs), composition.scatter
    # more than chance, with Bonferroni's correction
    excess = [name for name, item in scatter.items() if item.homogeneity < 0.05 / max(len(scatter), 1)]
    kind, text = REPLICATES, f"{k} runs agree within their own uncertainties; intervals use Student's t for {k} runs."
    if excess:
        kind = REPLICATE_SCATTER
        listed = ", ".join(f"{x.replace('_', ' ')} {100 * scatter[x].between:.1f} wt%" for x in excess)
        text = (
            f"{k} runs scatter by more than their own uncertainties: {listed} between runs (standard deviation). "
            f"The specimen is probably not homogeneous, or it dried between the runs. {kind.remedy}"
        )
    return kind(text, **{f"between_{name}": item.between for name, item in scatter.items()}, runs=k)


# Rules over the result of a search.

PHASES_NOT_FITTED = message_kind(
    "XRD_PHASES_NOT_FITTED", "warning",
    "The search found phases other than those that were named; the fit and the fractions do not include them.",
    remedy="Add them to the phases.",
)  # fmt: skip


@check(PHASES_NOT_FITTED, "search")
def phases_not_fitted(analysis: Analysis) -> Diagnostic | None:
    """Name detected phases that are not part of a fit of named phases."""
    fit = analysis.xrd
    if fit is None or not analysis.recipe.phases:
        return None
    beside = [p for p in analysis.phases if p.decision == "detected" and p.id not in fit.phases]
    if not beside:
        return None
    shares = {p.id: p.crystalline_weight_fraction.value for p in beside if p.crystalline_weight_fraction}
    listed = ", ".join(f"{p.id} ({100 * shares[p.id]:.1f} %)" if p.id in shares else p.id for p in beside)
    return PHASES_NOT_FITTED(
        f"Found in addition to the named phases: {listed} of the crystalline part when fitted with them. The fit and "
        "the fractions of the named phases do not include it, so that all together exceed one. Add it to the phases.",
        **shares,
    )
