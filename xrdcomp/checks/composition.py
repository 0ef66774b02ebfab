"""Rules over a search and a composition: disagreement, missing evidence, assumptions that decide.

Every message has the figure that shows it, the likely causes in order, and what to measure next. Where several runs
were combined, a rule speaks of the first run it applies to.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from xrdcomp.checks.registry import Analysis, Check, check
from xrdcomp.data import Diagnostic, MessageKind, message_kind
from xrdcomp.results import Composition, Consistency, MineralBalance

WITHOUT_APATITE = message_kind(
    "COMPOSITION_WITHOUT_APATITE", "warning",
    "No apatite was fitted or searched for: the composition takes it to be absent.",
    remedy="Add hydroxyapatite to the phases or to identification.library if the specimen may hold it.",
)  # fmt: skip
BIRGE = message_kind(
    "FUSION_BIRGE", "warning",
    "The evidence does not fit one composition; its standard uncertainties were multiplied by a factor.",
    remedy="Look at the fit and at the thermal boundaries; measure both on one dried and ground powder.",
    threshold="probability of a larger misfit below 1 %; the factor grows with the misfit from 1 on",
    origin="Student errors in common, as Birge 1932, Phys. Rev. 40, 207 with 12.5 more degrees of freedom",
)  # fmt: skip
TWO_SPECIMENS = message_kind(
    "FUSION_TWO_SPECIMENS", "error", "Pattern and thermogravimetric run cannot be of one specimen.",
    remedy="Check which files belong together, the gas of the run, and that both were given the same specimen.",
    threshold="probability of a larger misfit below one in a million",
    origin="none of the right pairs of the simulated studies comes near", concerns=("composition", "claims"),
)  # fmt: skip
DOUBTFUL_PAIR = message_kind(
    "FUSION_PAIR_DOUBTFUL", "warning",
    "Pattern and thermogravimetric run differ by more than right pairs do: they may be of different specimens.",
    remedy="Check that both files belong to one specimen and that both were dried alike.",
    threshold="probability below 1.5 % of differences as large in mineral, organic matter and lattice carbonate",
    origin="what right pairs of the simulator differ by: 2.7 (crystals), 4.5 (amorphous mineral), 8 wt% (organic)",
    concerns=("composition", "claims"),
)  # fmt: skip
INCONSISTENT = message_kind(
    "FUSION_INCONSISTENT", "warning", "Diffraction gives more crystals than thermogravimetry leaves mineral.",
    remedy="Measure the empty holder, run both on one dried powder, and search for organic crystals.",
    threshold="2.33 standard uncertainties of the difference", origin="one in a hundred specimens without any fault",
)  # fmt: skip
MINERAL_UNSEEN = message_kind(
    "FUSION_MINERAL_UNSEEN", "warning",
    "Thermogravimetry leaves more mineral than diffraction accounts for, amorphous mineral included.",
    remedy="Grind finer, scan to 70 degrees or more, burn off in air, rinse salts.",
    threshold="2 standard uncertainties of the difference without amorphous mineral, 2.6 with it and with what right "
    "pairs differ by",
    origin="below one in a hundred specimens without any fault",
)  # fmt: skip
AMORPHOUS_EXCESS = message_kind(
    "HUMP_WITHOUT_ACP", "warning",
    "Amorphous scattering near 30 degrees that the mineral balance has no amorphous mineral for.",
    remedy="Measure the empty holder.",
    threshold="1.5 standard uncertainties, at least those of right pairs, above the amorphous mineral's 97.5 % end",
    origin="2 of 120 right pairs; holders of plastic have their maximum at 30.9 degrees",
)  # fmt: skip
SCALE = message_kind(
    "FUSION_SCALE", "warning", "Crystalline intensities would have to be wrong by more than the method is good for.",
    remedy="Spike with a weighed standard, or measure the empty holder.",
    threshold="2.58 standard uncertainties, those of composition.xrd_bias_std and of the evidence together",
    origin="one in a hundred right pairs",
)  # fmt: skip
STANDARD_SHARE = message_kind(
    "FUSION_STANDARD_SHARE", "warning",
    "The pattern shows another share of the internal standard than was stated, against which every amount is weighed.",
    remedy="Check the masses that were weighed in, and that the fraction is that of the spiked powder.",
    threshold="3 standard uncertainties of the logarithm, with what a gram of amorphous matter of any kind scatters",
    origin="three right spikes in a thousand", concerns=("composition", "claims"),
)  # fmt: skip
CHAR = message_kind(
    "FUSION_CHAR", "info", "The run was in an inert gas, or looks so: a share of the organic is taken to stay as char.",
    remedy="Burn off in air at the end of the run to remove it.",
)  # fmt: skip
SALT = message_kind(
    "FUSION_SALT", "info",
    "A chloride was found; it is counted under other crystalline, and may evaporate above 800 °C.",
    remedy="Rinse with water or ethanol and measure again if the salt comes from saline.",
)  # fmt: skip
HYDROXYL = message_kind(
    "FUSION_HYDROXYL", "info",
    "Part of what goes where carbonate does may be hydroxyl of clay, or by thermogravimetry alone gas of a nitrate or "
    "sulfate; the interval of the carbonate reaches down by it.",
    remedy='Measure diffraction, or set specimen.kind = "tissue" where it is tissue without soil.',
    threshold="what goes by 750 °C at 10 K/min, at most 15 % of the mineral; beside a mineral of tissue 15 % of "
    "crystals that no phase explains; by thermogravimetry alone all above 6 % of what is left, unless it goes as "
    "calcite's",
    origin="smectites, illite, kaolinite and serpentine lose 4 to 14 % between 450 and 750 °C",
)  # fmt: skip
AMORPHOUS_UNDECIDED = message_kind(
    "AMORPHOUS_UNDECIDED", "info",
    "It is open whether there is amorphous mineral at all; its value is a mean over both cases.",
    remedy="Count longer and measure the empty holder.", threshold="probability of none between 5 and 95 %",
)  # fmt: skip
SAMPLING = message_kind(
    "COMPOSITION_SAMPLING", "warning", "Few effective draws stand behind the posterior: interval ends are uncertain.",
    remedy="Raise composition.draws.", threshold="effective draws at most 5 % of the draws",
    origin="interval ends then vary by some tenths of a standard deviation from seed to seed",
)  # fmt: skip
NOT_IDENTIFIABLE = message_kind(
    "NOT_IDENTIFIABLE", "info", "These measurements do not separate a component from others.",
    remedy="Add the other instrument, a spike, or amorphous components to the fit.",
)  # fmt: skip
OPEN = message_kind(
    "COMPOSITION_OPEN", "warning", "A 95 % interval of the composition holds nearly every value.",
    remedy="Measure a wider range, count longer, or add the other instrument.",
    threshold="wider than 90 wt%", origin="a fraction of which nothing is known has one of 95 wt%",
)  # fmt: skip
PRIOR_DOMINATED = message_kind(
    "PRIOR_DOMINATED", "info", "The width of a component rests mostly on assumptions about compositions.",
    remedy="A second instrument or a spike replaces it.",
    threshold="more than half of the variance, upper end of the interval above 2 wt%",
)  # fmt: skip
REPLICATES = message_kind(
    "REPLICATES", "info", "Runs of one specimen agree within their own uncertainties and were combined.",
)  # fmt: skip
REPLICATE_SCATTER = message_kind(
    "REPLICATE_SCATTER", "warning", "Runs of one specimen scatter more than their own uncertainties.",
    remedy="Grind and dry it, take more aliquots, and set composition.aliquot_std to this figure for single runs.",
    threshold="probability of the scatter below 5 % over the number of components",
    origin="Cochran's Q with Bonferroni's correction",
)  # fmt: skip
NOTHING_KNOWN = 0.9
"""Width of a 95 % interval of a mass fraction above which the measurements are said to leave it open."""
NOTICEABLE_HYDROXYL = 0.001
"""Mass fraction of hydroxyl among the carbonate above which it is said."""
MISFIT_PROBABILITY = 0.01
"""Probability of a larger misfit below which it is said that the evidence does not fit one composition."""
PAIR_PROBABILITY = 0.015
"""Probability of larger differences between both instruments below which a pair is doubted: none of 120 right pairs."""


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
    """Tell that neither fit nor search held apatite."""
    evidence = analysis.composition.consistency if analysis.composition is not None else None
    asked = [phase.is_apatite for phase in analysis.phases]
    if evidence is None or not evidence.xrd or not asked or any(asked):
        return None
    taken = "the composition takes it to be absent, which is an assumption"
    return WITHOUT_APATITE(f"No apatite was fitted or searched for: {taken}. {WITHOUT_APATITE.remedy}")


@_rule(TWO_SPECIMENS)
def not_of_one_specimen(_: Composition, found: Consistency) -> Diagnostic | None:
    """Tell that no composition whatever gives both measurements."""
    if not found.impossible:
        return None
    text = "No one specimen gives both the pattern and the run: the probability of a misfit this large is "
    text += f"{found.misfit_probability:.1g}"
    if (balance := found.mineral_balance) is not None:
        text += f"; the pattern shows {100 * balance.crystalline:.0f} wt% crystals, the run leaves "
        text += f"{100 * balance.mineral:.0f} wt% mineral"
    text += f". Nothing that joins the two may be used: look at each alone. {TWO_SPECIMENS.remedy}"
    return TWO_SPECIMENS(text, probability=found.misfit_probability)


@_rule(DOUBTFUL_PAIR)
def perhaps_not_of_one_specimen(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare mineral and organic matter by both with how far right pairs differ."""
    balance = found.mineral_balance
    if balance is None or found.impossible or balance.pair_probability > PAIR_PROBABILITY:
        return None
    carbonate = ""
    if math.isfinite(balance.carbonate_std):
        carbonate = f", carbonate of the run {100 * balance.carbonate_difference:+.1f} wt% against the apatite's cell"
    text = (
        f"Mineral is {100 * balance.with_amorphous:.0f} wt% by the pattern and {100 * balance.mineral:.0f} wt% by the "
        f"run, organic matter by the pattern {100 * balance.organic_difference:+.0f} wt% against the run{carbonate}; "
        f"right pairs differ by as much in {100 * balance.pair_probability:.1g} % only. {DOUBTFUL_PAIR.remedy}"
    )
    return DOUBTFUL_PAIR(text, probability=balance.pair_probability)


@_rule(BIRGE)
def widened_by_misfit(_: Composition, found: Consistency) -> Diagnostic | None:
    """Tell that uncertainties were multiplied, which ones, and by how much."""
    if found.misfit_probability >= MISFIT_PROBABILITY or found.impossible:
        return None
    what = "X-ray and thermal evidence do"
    which = "of all evidence" if found.thermal_share >= 0.5 else "of the diffraction amounts"
    advice = "Look at the fit and at the thermal boundaries before trusting the split; measure both on one dried and "
    advice += "ground powder."
    if not found.xrd:
        what, which = "The losses of the thermal run do", "of these losses"
        advice = "Check the atmosphere and the boundaries of the steps; the specimen may be no calcified tissue."
    elif not found.tga:
        what = "The amounts of the pattern do"
        advice = (
            "Look at the fit: a phase or an amorphous component may be missing; measure the empty holder, or add a "
        )
        advice += "thermal run."
    return BIRGE(
        f"{what} not fit one composition: probability of a misfit this large is {found.misfit_probability:.2g}. The "
        f"standard uncertainties {which} were multiplied by {found.birge_ratio:.2g}. {advice}",
        birge_ratio=found.birge_ratio, probability=found.misfit_probability,
    )  # fmt: skip


def _against_residue(kind: MessageKind, found: MineralBalance, lead: str, causes: str, **more: float) -> Diagnostic:
    """Message on crystals by diffraction against what heating leaves; {figures} of both stand in `lead`."""
    figures = (
        f"crystalline mineral by X-rays {100 * found.crystalline:.1f} wt%, total mineral by thermogravimetry "
        f"{100 * found.mineral:.1f} wt%, difference {found.z:+.1f} standard uncertainties"
    )
    text = f"{lead.format(figures=figures)}. Likely, in this order: {causes}. {kind.remedy}"
    if found.agrees_in_other_gas:
        stated, other = ("an inert gas", "air") if found.inert else ("air", "nitrogen")
        text += f" Both would agree if the run had been in {other} instead of {stated}: check the gas that is stated."
    return kind(text, crystalline_xrd=found.crystalline, mineral_tga=found.mineral, z=found.z, **more)


@_rule(INCONSISTENT)
def more_crystals_than_mineral(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare crystals by diffraction with what heating leaves."""
    balance = found.mineral_balance
    if balance is None or not balance.too_many_crystals:
        return None
    causes = (
        "one measured dried and the other wet; different aliquots; background or empty holder taken for crystals, or "
        "amorphous scattering set too weak; crystals that burn (urate, cholesterol, oxalate, cystine)"
    )
    return _against_residue(INCONSISTENT, balance, "More crystals than mineral: {figures}", causes)


@_rule(MINERAL_UNSEEN)
def mineral_that_diffraction_misses(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare all mineral by diffraction with what heating leaves."""
    balance = found.mineral_balance
    if balance is None or not balance.mineral_unseen:
        return None
    lead = (
        "Mineral that diffraction does not account for: {figures}; with the amorphous mineral diffraction reaches "
        f"{100 * balance.with_amorphous:.1f} wt%"
    )
    causes = (
        "reflections so broad that background took a part of them; coarse or strongly absorbing grains "
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
        f"amorphous mineral, but the mass balance allows at most {100 * excess.allowed:.1f} wt%. Likely, in this "
        "order: a plastic holder (its maximum lies at 30.9 degrees), crystallites below 3 nm, a glass slide. "
        f"{AMORPHOUS_EXCESS.remedy}",
        hump=excess.seen, hump_std=excess.std, upper=excess.allowed,
    )  # fmt: skip


@_rule(SCALE)
def scale_beyond_its_uncertainty(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare the error of crystalline intensities that both instruments ask for with what is expected."""
    scale = found.scale
    if scale is None or abs(scale.bias) <= 2.58 * (scale.expected_std**2 + scale.std**2) ** 0.5:
        return None
    return SCALE(
        f"Crystalline intensities would have to be wrong by {100 * scale.bias:+.0f} % for both instruments to "
        f"agree; {100 * scale.expected_std:.0f} % is what the method is taken to be good for. Likely, in this "
        "order: instrument background taken as amorphous scattering or the reverse, microabsorption, preferred "
        f"orientation, different aliquots. {SCALE.remedy}",
        bias=scale.bias, bias_std=scale.expected_std, own_std=scale.std,
    )  # fmt: skip


@_rule(STANDARD_SHARE)
def standard_of_another_share(_: Composition, found: Consistency) -> Diagnostic | None:
    """Compare the share of the standard that was stated with the one that the pattern shows."""
    share = found.standard
    if share is None or abs(share.z) <= 3.0:
        return None
    without = "much of the specimen would have to scatter nothing" if share.z > 0.0 else "there would be more than all"
    text = (
        f"The internal standard was stated to be {100 * share.stated:.1f} wt% of the spiked powder; of all that the "
        f"pattern shows it is {100 * share.seen:.0f} wt% (relative standard uncertainty {100 * share.relative_std:.0f} "
        f"%). As stated, {without}. Likely, in this order: a wrong fraction, the fraction of another basis, unlike "
        f"grains. {STANDARD_SHARE.remedy}"
    )
    return STANDARD_SHARE(text, stated=share.stated, seen=share.seen, z=share.z)


@_rule(CHAR)
def char_is_assumed(_: Composition, found: Consistency) -> Diagnostic | None:
    """Tell how much of the organic is taken to stay."""
    if found.char is None:
        return None
    value, std = found.char.value, found.char.std or 0.0
    text = (
        f"The run was in an inert gas, or looks so: {100 * value:.0f} ± {100 * std:.0f} % "
        "of the organic is taken to stay as char; fat leaves next to none, so that fatty tissue has less organic "
        f"than this gives. The organic and the residue carry that assumption. {CHAR.remedy}"
    )
    return CHAR(text, char_fraction=value, char_std=std)


@_rule(SALT)
def salt_in_the_specimen(_: Composition, found: Consistency) -> Diagnostic | None:
    """Tell where chlorides are counted."""
    if not found.salts:
        return None
    fate = "may partly have evaporated above 800 °C" if found.salts_evaporate else "is in the residue"
    amount = 100 * sum(found.salts.values())
    text = (
        f"{' and '.join(sorted(found.salts))}, about {amount:.1f} wt%, {fate}; it is counted under other "
        f"crystalline, not under mineral of the tissue. {SALT.remedy}"
    )
    return SALT(text, salt=amount / 100, evaporates=found.salts_evaporate)


@_rule(HYDROXYL)
def clay_may_have_lost_its_hydroxyl(composition: Composition, found: Consistency) -> Diagnostic | None:
    """Tell how far the carbonate is lower if what goes early was clay's."""
    carbonate = composition.components.get("carbonate")
    if found.silicate_hydroxyl <= NOTICEABLE_HYDROXYL or carbonate is None:
        return None
    text = (
        f"Of what goes where carbonate does up to {100 * found.silicate_hydroxyl:.1f} % may be hydroxyl of clay, or "
        "gas of a nitrate or sulfate: the "
        f"interval of the carbonate reaches down to {100 * carbonate.low:.1f} wt%. {HYDROXYL.remedy}"
    )
    return HYDROXYL(text, hydroxyl=found.silicate_hydroxyl)


@_rule(AMORPHOUS_UNDECIDED)
def amorphous_mineral_is_open(_: Composition, found: Consistency) -> Diagnostic | None:
    """Tell how likely there is no amorphous mineral at all."""
    probability, before = found.no_amorphous_probability, found.no_amorphous_prior
    if probability is None or not 0.05 < probability < 0.95:
        return None
    text = (
        f"Whether there is amorphous mineral at all is open: probability of none {probability:.2f} "
        f"({before:.2f} before measuring). Its value is a mean over both cases. {AMORPHOUS_UNDECIDED.remedy}"
    )
    return AMORPHOUS_UNDECIDED(text, probability_of_none=probability, before=before)


@_rule(SAMPLING)
def few_effective_draws(composition: Composition, found: Consistency) -> Diagnostic | None:
    """Compare the effective number of draws with the number of draws."""
    if found.effective_size > 0.05 * len(composition.draws):
        return None
    text = (
        f"The posterior was sampled with only {found.effective_size:.0f} effective draws; interval "
        f"ends are uncertain by some tenths of a standard deviation. {SAMPLING.remedy}"
    )
    return SAMPLING(text, effective_size=found.effective_size)


@_rule(NOT_IDENTIFIABLE)
def components_not_separated(composition: Composition, found: Consistency) -> Diagnostic | None:
    """Name the components that these measurements cannot separate, and what would."""
    hidden = composition.undetermined
    if not hidden:
        return None
    why, remedy = "heating does not tell crystalline from amorphous mineral", "Add a diffraction pattern"
    if found.xrd and found.weighs_crystals:
        why = "X-rays see them only as overlapping amorphous scattering or as part of the lattice"
        remedy = "Add a thermogravimetric run"
        if found.kind != "tissue":
            why = "only its mineral says that it is tissue"
            why = "no mineral of tissue was found" if found.kind == "unknown" else why
            why += ", and X-rays alone do not tell glass, silica, polymer and tissue apart"
            remedy = "Add a thermogravimetric run, or say that it is tissue (specimen.kind)"
    elif found.xrd:
        why = "crystals cannot be weighed against the whole specimen: the fit had no amorphous components, or not the "
        why += "apatite that may be there"
        remedy = "Fit with fit.background = 'physical' and amorphous components, name the phases that are there"
        remedy += ", or spike with a weighed standard"
    text = (
        f"Not separated by these measurements: {', '.join(hidden).replace('_', ' ')}; {why}. Sums that can be "
        f"determined are under identifiable sums. {remedy}."
    )
    return NOT_IDENTIFIABLE(text, components=", ".join(hidden))


@_rule(OPEN)
def nearly_every_value(composition: Composition, _: Consistency) -> Diagnostic | None:
    """Name components and sums whose interval holds nearly every value."""
    reported = {**composition.components, **composition.identifiable_sums}
    known = {name: item for name, item in reported.items() if item is not None}
    wide = {name: item.high - item.low for name, item in known.items() if item.high - item.low > NOTHING_KNOWN}
    if not wide:
        return None
    listed = ", ".join(wide).replace("_", " ")
    text = f"These measurements leave nearly every value of {listed} open: 95 % intervals wider than "
    text += f"{100 * NOTHING_KNOWN:.0f} wt%."
    return OPEN(f"{text} {OPEN.remedy}", **{f"width_{name}": width for name, width in wide.items()})


@_rule(PRIOR_DOMINATED)
def assumptions_decide(_: Composition, found: Consistency) -> Diagnostic | None:
    """Name reported components whose width is set by the prior rather than by measurements."""
    shares = found.prior_dominated
    if not shares:
        return None
    listed = ", ".join(f"{name.replace('_', ' ')} {100 * share:.0f} %" for name, share in shares.items())
    text = (
        f"Mostly assumption, not measurement: {listed} of the variance rests on the fractions being "
        f"positive and equally likely before measuring. {PRIOR_DOMINATED.remedy}"
    )
    return PRIOR_DOMINATED(text, **shares)


@check(REPLICATES, "composition")
def combined_runs(analysis: Analysis) -> Diagnostic | None:
    """Tell that combined runs agree, or name the components that scatter between them."""
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
            f"{k} runs scatter more than their own uncertainties: {listed} between runs (standard deviation). "
            f"Likely: the specimen is not homogeneous, or drying between runs. {kind.remedy}"
        )
    return kind(text, **{f"between_{name}": item.between for name, item in scatter.items()}, runs=k)


# Rules over what a search found.

PHASES_NOT_FITTED = message_kind(
    "XRD_PHASES_NOT_FITTED", "warning",
    "The search found phases beside those that were named; fit and fractions leave them out.",
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
        f"Found beside the phases that were named: {listed} of the crystalline part when fitted with them. The fit and "
        "the fractions of the phases named leave it out, so that all together exceed one: add it to the phases.",
        **shares,
    )
