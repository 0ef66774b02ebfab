"""What the user should know about a composition: disagreement, missing evidence, assumptions that decide.

Every message has the figure that shows it, the likely causes in order, and what to measure next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrdcomp.composition.evidence import ThermalEvidence, XrdEvidence
from xrdcomp.composition.model import AMORPHOUS, H, JointModel
from xrdcomp.composition.sampler import Posterior, free_scale
from xrdcomp.data import Diagnostic
from xrdcomp.results import COMPONENTS, PhaseResult
from xrdcomp.units import FloatArray

MISFIT_PROBABILITY = 0.01
"""Probability of a larger misfit below which the evidence is taken not to fit one composition."""
CONTRADICTIONS = frozenset({"FUSION_INCONSISTENT", "FUSION_MINERAL_UNSEEN"})
"""Messages that the mineral balances of the two instruments do not agree."""
_AT_BORDER = 1e-4
_LARGE = 0.02


def disagreements(model: JointModel, posterior: Posterior, *, bias_std: float) -> tuple[Diagnostic, ...]:
    """Where the two instruments contradict each other or the model.

    Parameters
    ----------
    model : JointModel
    posterior : Posterior
    bias_std : float
        Prior standard uncertainty of the diffraction scale.
    """
    found: list[Diagnostic | None] = []
    if model.xrd is not None and model.thermal is not None:
        found.append(_mineral_balance(model.xrd, model.thermal, bias_std))
        found.append(_hump(model.xrd, posterior))
        found.append(_scale(model, bias_std))
    if model.thermal is not None:
        found.append(_char(model.thermal))
        if model.xrd is not None:
            found.append(_salts(model.xrd, model.thermal))
    return tuple(item for item in found if item is not None)


def misfit_probability(model: JointModel, posterior: Posterior) -> float:
    """Probability of a larger χ² at the optimum than found; 1 where nothing is redundant.

    With both instruments diffraction gives up to five rows and thermogravimetry three, against five fractions
    and one scale.
    """
    from scipy.special import gammaincc

    redundant = redundancy(model, posterior)
    return float(gammaincc(redundant / 2, posterior.chi_square / 2)) if redundant > 0 else 1.0


def redundancy(model: JointModel, posterior: Posterior) -> int:
    """Observations minus free fractions and scale; a fraction held at zero by positivity is not free."""
    held = int((posterior.mode_composition < _AT_BORDER).sum())
    free = len(COMPONENTS) - 1 - held + (model.xrd is not None)
    return max(len(model.values) - free, 0)


def birge_message(ratio: float, probability: float, model: JointModel, *, everything: bool) -> Diagnostic:
    """The message that uncertainties were widened by the Birge ratio (Birge 1932)."""
    which = "of all evidence" if everything else "of the diffraction amounts"
    if model.xrd is None:
        what, which = "The losses of the thermal run do", "of these losses"
        advice = (
            "Check the atmosphere and the boundaries of the steps; the specimen may be no calcified tissue."
        )
    elif model.thermal is None:
        what = "The amounts of the pattern do"
        advice = "Look at the fit: a phase or a halo may be missing; measure the empty holder, or add a thermal run."
    else:
        what = "X-ray and thermal evidence do"
        advice = (
            "Look at the fit and at the thermal boundaries before trusting the split; measure both on one dried and "
            "ground powder."
        )
    return Diagnostic(
        code="FUSION_BIRGE",
        severity="warning",
        text=(
            f"{what} not fit one composition: probability of a misfit this large is {probability:.2g}. The standard "
            f"uncertainties {which} were multiplied by {ratio:.2g} (Birge ratio). {advice}"
        ),
        facts={"birge_ratio": ratio, "probability": probability},
    )


def apatite_not_asked(phases: Sequence[PhaseResult]) -> tuple[Diagnostic, ...]:
    """Say that apatite is taken to be absent where neither the fit nor the search held any.

    Parameters
    ----------
    phases : sequence of PhaseResult
        All that were asked after; none where no search was made at all.
    """
    if not phases or any(phase.is_apatite for phase in phases):
        return ()
    return (
        Diagnostic(
            code="COMPOSITION_WITHOUT_APATITE",
            severity="warning",
            text=(
                "No apatite was fitted or searched for: the composition takes it to be absent, which is an assumption. "
                "Add hydroxyapatite to --phases or to identification.library if the specimen may hold it."
            ),
        ),
    )


def amorphous_undecided(probability: float | None, before: float) -> tuple[Diagnostic, ...]:
    """Say that it is open whether there is amorphous mineral at all.

    Parameters
    ----------
    probability : float or None
        That there is none; None where it was not asked.
    before : float
        The same before measuring, the prior probability.
    """
    if probability is None or not 0.05 < probability < 0.95:
        return ()
    return (
        Diagnostic(
            code="AMORPHOUS_UNDECIDED",
            severity="info",
            text=(
                f"Whether there is amorphous mineral at all is open: probability of none {probability:.2f} "
                f"({before:.2f} before measuring). Its value is a mean over both cases. Count longer and measure "
                "the empty holder."
            ),
            facts={"probability_of_none": probability, "before": before},
        ),
    )


def _mineral_balance(xrd: XrdEvidence, thermal: ThermalEvidence, bias_std: float) -> Diagnostic | None:
    """Compare crystalline mineral by diffraction with total mineral by thermogravimetry."""
    if not xrd.sees_amorphous:
        return None
    share, gradient = _share_of_total(xrd, ("apatite", "other"))
    share = min(max(share, 0.0), 1.0)  # amounts are signed: beside a negative halo crystals are more than all
    variance = float(gradient @ xrd.covariance @ gradient) + (share * (1 - share) * bias_std) ** 2
    char = thermal.char_fraction / (1 - thermal.char_fraction) if thermal.inert else 0.0
    mineral = 1.0 - thermal.losses[0] - (1 + char) * thermal.losses[1]
    toward = np.array([-1.0, -(1 + char), 0.0])[: len(thermal.losses)]
    mineral_variance = float(toward @ thermal.loss_covariance @ toward)
    if thermal.inert:
        mineral_variance += (thermal.losses[1] * thermal.char_std / (1 - thermal.char_fraction) ** 2) ** 2
    uncertainty = float(np.sqrt(variance + mineral_variance))
    score = (share - mineral) / uncertainty
    gas = _other_gas(thermal, share - mineral, uncertainty)
    facts = {"crystalline_xrd": share, "mineral_tga": float(mineral), "z": float(score)}
    figures = (
        f"crystalline mineral by X-rays {100 * share:.1f} wt%, total mineral by thermogravimetry "
        f"{100 * mineral:.1f} wt%, difference {score:+.1f} standard uncertainties"
    )
    if score > 2:
        return Diagnostic(
            code="FUSION_INCONSISTENT",
            severity="warning",
            text=(
                f"More crystals than mineral: {figures}. Likely, in this order: one measured dried and the "
                "other wet; different aliquots; background or empty holder taken for crystals, or halo "
                "scattering set too weak; crystals that burn (urate, cholesterol, oxalate, cystine). Measure "
                "the empty holder, run both on one dried powder, and search for organic crystals."
                f"{gas}"
            ),
            facts=facts,
        )
    amorphous = min(_share_of_total(xrd, ("apatite", "other", "amorphous_mineral"))[0], 1.0)
    if score < -2 and (mineral - amorphous) > 2 * uncertainty:
        return Diagnostic(
            code="FUSION_MINERAL_UNSEEN",
            severity="warning",
            text=(
                f"Mineral that diffraction does not account for: {figures}; with the amorphous "
                "mineral's halo "
                f"diffraction reaches {100 * amorphous:.1f} wt%. Likely, in this order: lines so broad that "
                "background took a part of them; coarse or strongly absorbing grains (microabsorption); char "
                "in the residue; salts in the residue; different aliquots. Grind finer, scan to 70 "
                "degrees or "
                f"more, burn off in air, rinse salts.{gas}"
            ),
            facts={**facts, "with_amorphous_xrd": amorphous},
        )
    return None


def _other_gas(thermal: ThermalEvidence, difference: float, uncertainty: float) -> str:
    """Say so where crystals and mineral would agree if the run had been in the other kind of gas.

    Parameters
    ----------
    thermal : ThermalEvidence
    difference : float
        Crystals by diffraction minus mineral by thermogravimetry; in an inert gas the mineral is less by the char.
    uncertainty : float
        Standard uncertainty of the difference.
    """
    char = thermal.char_fraction / (1 - thermal.char_fraction) * float(thermal.losses[1])
    otherwise = difference + (-char if thermal.inert else char)
    if abs(otherwise) > min(uncertainty, abs(difference) / 2):
        return ""
    stated, other = ("an inert gas", "air") if thermal.inert else ("air", "nitrogen")
    return (
        f" Both would agree if the run had been in {other} instead of {stated}: check the gas that is stated."
    )


def _share_of_total(xrd: XrdEvidence, names: tuple[str, ...]) -> tuple[float, FloatArray]:
    inside = np.array([row in names for row in xrd.rows], dtype=float)
    everything = np.array([row != "standard" for row in xrd.rows], dtype=float)
    total = float(everything @ xrd.values)
    share = float(inside @ xrd.values) / total
    gradient: FloatArray = (inside - share * everything) / total
    return share, gradient


def _hump(xrd: XrdEvidence, posterior: Posterior) -> Diagnostic | None:
    """A halo near 30 degrees that the balance has no amorphous mineral for."""
    if "amorphous_mineral" not in xrd.rows or H in xrd.absent:
        return None
    share, gradient = _share_of_total(xrd, ("amorphous_mineral",))
    sigma = float(np.sqrt(gradient @ xrd.covariance @ gradient))
    upper = float(np.quantile(posterior.composition[:, AMORPHOUS], 0.975))
    if share < max(3 * sigma, _LARGE) or upper > share:
        return None
    return Diagnostic(
        code="HUMP_WITHOUT_ACP",
        severity="warning",
        text=(
            f"The halo near 30 degrees corresponds to {100 * share:.1f} ± {100 * sigma:.1f} wt% amorphous "
            f"mineral, but the mass balance allows at most {100 * upper:.1f} wt%. Likely, in this order: a "
            "plastic holder (its hump lies at 30.9 degrees), crystallites below 3 nm, a glass slide. Measure "
            "the empty holder."
        ),
        facts={"hump": share, "hump_std": sigma, "upper": upper},
    )


def _scale(model: JointModel, bias_std: float) -> Diagnostic | None:
    if model.xrd is None or not model.xrd.sees_amorphous:
        return None
    bias, own = free_scale(model)
    if abs(bias) <= 2 * np.hypot(bias_std, own):
        return None
    return Diagnostic(
        code="FUSION_SCALE",
        severity="warning",
        text=(
            f"Crystalline intensities would have to be wrong by {100 * bias:+.0f} % for both instruments to "
            f"agree; {100 * bias_std:.0f} % is what the method is taken to be good for. Likely, in this "
            "order: "
            "instrument background taken as halo or halo as background, microabsorption, preferred "
            "orientation, different aliquots. Spike with a weighed standard, or measure the empty holder."
        ),
        facts={"bias": bias, "bias_std": bias_std, "own_std": own},
    )


def _char(thermal: ThermalEvidence) -> Diagnostic | None:
    if not thermal.inert:
        return None
    return Diagnostic(
        code="FUSION_CHAR",
        severity="info",
        text=(
            f"The run was in an inert gas: {100 * thermal.char_fraction:.0f} ± "
            f"{100 * thermal.char_std:.0f} % "
            "of the organic is taken to stay as char; fat leaves next to none, so that fatty tissue has less organic "
            "than this gives. The organic and the residue carry that assumption. Burn off in air at the end of the "
            "run to remove it."
        ),
        facts={"char_fraction": thermal.char_fraction, "char_std": thermal.char_std},
    )


def _salts(xrd: XrdEvidence, thermal: ThermalEvidence) -> Diagnostic | None:
    salts = xrd.salts
    if not salts:
        return None
    hot = thermal.final_c is not None and thermal.final_c > 800.0
    fate = "may partly have evaporated above 800 °C" if hot else "is in the residue"
    amount = 100 * sum(salts.values())
    return Diagnostic(
        code="FUSION_SALT",
        severity="info",
        text=(
            f"{' and '.join(sorted(salts))}, about {amount:.1f} wt%, {fate}; it is counted under other "
            "crystalline, not under mineral of the tissue. Rinse with water or ethanol and measure again if "
            "the salt comes from saline."
        ),
        facts={"salt": amount / 100, "evaporates": hot},
    )


def missing_parts(hidden: tuple[str, ...], model: JointModel) -> tuple[Diagnostic, ...]:
    """Say which components these measurements cannot separate, and what would."""
    if not hidden:
        return ()
    names = ", ".join(name.replace("_", " ") for name in hidden)
    if model.xrd is not None and not model.weighs_crystals:
        why = "the fit had no amorphous components, so crystals cannot be weighed against the whole specimen"
        next_step = (
            "Fit with fit.background = 'physical' and amorphous components, or spike with a weighed standard"
        )
    elif model.xrd is not None:
        why = "X-rays see them only as overlapping halos or as part of the lattice"
        next_step = "Add a thermogravimetric run"
    else:
        why = "heating does not tell crystalline from amorphous mineral"
        next_step = "Add a diffraction pattern"
    return (
        Diagnostic(
            code="NOT_IDENTIFIABLE",
            severity="info",
            text=(
                f"Not separated by these measurements: {names}; {why}. Sums that can be determined are under "
                f"identifiable sums. {next_step}."
            ),
            facts={"components": ", ".join(hidden)},
        ),
    )


def prior_messages(
    prior_share: dict[str, float], draws: FloatArray, hidden: tuple[str, ...]
) -> tuple[Diagnostic, ...]:
    """Name reported components whose width is set by the prior rather than by measurements."""
    named = {
        name: prior_share[name]
        for i, name in enumerate(COMPONENTS)
        if name not in hidden and prior_share[name] > 0.5 and np.quantile(draws[:, i], 0.975) > _LARGE
    }
    if not named:
        return ()
    listed = ", ".join(f"{name.replace('_', ' ')} {100 * share:.0f} %" for name, share in named.items())
    return (
        Diagnostic(
            code="PRIOR_DOMINATED",
            severity="info",
            text=(
                f"Mostly assumption, not measurement: {listed} of the variance rests on the fractions being "
                "positive and equally likely before measuring. A second instrument or a spike replaces it."
            ),
            facts=named,
        ),
    )
