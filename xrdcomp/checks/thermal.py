"""Rules over a finished thermal balance, alone and together with the phases found by diffraction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xrdcomp.checks.registry import Analysis, Check, check
from xrdcomp.data import Diagnostic, MessageKind, message_kind
from xrdcomp.results import OXALATE_RATIO, PhaseResult, TgaResult
from xrdcomp.units import APATITE_HYDROXYL

_MIN_GAIN, _GAIN_IN_SIGMAS, _MIN_LATE_LOSS, _BELOW_ZERO = 0.003, 6.0, 0.001, 0.003
_SALTS_FROM_C = 800.0

INERT_CHAR = message_kind("TGA_INERT_CHAR", "warning",
    "In an inert gas part of the organic matter remains as char, which was subtracted from the residue. Carbon that "
    "was in the specimen before remains as well, and is counted as mineral.",
    remedy="Burn the residue off in air to measure it.",
)  # fmt: skip
UNKNOWN_GAS = message_kind("TGA_UNKNOWN_GAS", "warning",
    "The file does not name the purge gas; air was assumed. In an inert gas, char would be counted as mineral.",
    remedy="State the atmosphere.",
)  # fmt: skip
CARBONATE_LEFT = message_kind(
    "TGA_CARBONATE_LEFT", "warning",
    "The run ends before all carbonate has decomposed; the residue still contains some.",
    remedy="Heat further, or hold, until the mass is constant.",
    threshold="100 °C below the end of carbonate decomposition at the run's rate; if the mass is constant, 800 °C, or "
    "715 °C during a hold",
)  # fmt: skip
MASS_GAIN = message_kind("TGA_MASS_GAIN", "warning",
    "The mass increases because of oxidation, uptake of gas, or a buoyancy larger than estimated; losses in this range "
    "are too small.",
    remedy="Measure a blank.", threshold="0.3 % of the start mass, and six standard deviations of the noise",
)  # fmt: skip
BELOW_ZERO = message_kind("TGA_BELOW_ZERO", "warning",
    "The mass falls below zero; the zero of the balance or of the export is wrong, or the blank is of another run.",
    threshold="−0.3 % of the start mass",
)  # fmt: skip
LATE_LOSS = message_kind("TGA_LATE_LOSS", "info",
    "There is a loss after the carbonate, from hydroxyl of apatite or from chlorides; it is counted as residue.",
    threshold="0.1 % of the start mass",
)  # fmt: skip
POSSIBLE_OXALATE = message_kind("TGA_POSSIBLE_OXALATE", "warning",
    "Two losses have the ratio of those of calcium oxalate, whose CO would be counted as organic matter and its CO2 as "
    "carbonate.",
    remedy="Look for whewellite and weddellite in the diffraction pattern.",
    threshold="CO : CO2 = 0.6365 within a tenth, or within two standard uncertainties up to 0.15",
)  # fmt: skip
OXALATE_PRESENT = message_kind("TGA_OXALATE_PRESENT", "warning",
    "Diffraction found an oxalate; its CO is counted as organic matter and its CO2 as carbonate.",
)  # fmt: skip
OXALATE_NOT_IN_PATTERN = message_kind("TGA_OXALATE_NOT_IN_PATTERN", "warning",
    "Two losses have the ratio of those of calcium oxalate, but diffraction did not detect any.",
    threshold="as TGA_POSSIBLE_OXALATE",
)  # fmt: skip
CHLORIDE = message_kind("TGA_CHLORIDE", "warning",
    "Diffraction found salts, which evaporate above 800 °C; part of the loss above that is not carbonate.",
    remedy="Rinse the specimen.",
)  # fmt: skip
CARBONATE_PHASE = message_kind("TGA_CARBONATE_PHASE", "info",
    "Diffraction found a carbonate; the text gives how much of it there would be if no CO2 came from the apatite.",
)  # fmt: skip
CRYSTAL_WATER = message_kind("TGA_CRYSTAL_WATER", "warning",
    "Diffraction found hydrates, whose water (and ammonia) is counted as free water or organic matter.",
)  # fmt: skip
HYDROXIDE = message_kind("TGA_HYDROXIDE", "warning",
    "Diffraction found hydroxides, whose water is lost at 350 to 500 °C and is counted as organic matter.",
)  # fmt: skip
ORGANIC_CRYSTALS = message_kind("TGA_ORGANIC_CRYSTALS", "warning",
    "Diffraction found organic crystals, which burn with the organic matter and are not mineral.",
)  # fmt: skip

DOUBTED = message_kind("TGA_DOUBTED", "warning",
    "The losses are assigned by their temperatures alone, and nothing shows that the specimen is tissue. Gels lose "
    "water at the temperatures of organic matter; clays and other silicates lose hydroxyl, and graphite burns, at "
    "those of carbonate.",
    remedy='If the specimen is tissue, set thermal.assignment = "tissue". If the crucible was weighed with it, all '
    "fractions are too small.",
    threshold="CO2 below 0.6 % of a residue above 30 %, organic matter below 2.5 % (in an inert gas any amount, as "
    "carbon remains) or with a rate that only decreases; no peak of CO2 beside organic matter below 8 %, in an inert "
    "gas, or half of it within 65 °C; in oxygen, organic matter below 35 % that leaves no char; no mineral of tissue "
    "in the pattern and, for CO2 up to 15 % (in oxygen 40 %), no carbonate",
    origin="gels of alumina, titania, magnesia, silica; boehmite, hydromagnesite, clay, serpentine, muscovite, talc, "
    "calcium silicate hydrate and ettringite by published steps",
)  # fmt: skip

# ---- The balance alone ----


def _of_balance(kind: MessageKind) -> Callable[[Callable[[TgaResult], Diagnostic | None]], Check]:
    """Register a rule over the thermal result alone."""

    def register(rule: Callable[[TgaResult], Diagnostic | None]) -> Check:
        return check(kind, "tga")(lambda analysis: None if analysis.tga is None else rule(analysis.tga))

    return register


@_of_balance(INERT_CHAR)
def inert_char(tga: TgaResult) -> Diagnostic | None:
    if tga.char_fraction is None or tga.atmosphere in ("air", "unknown"):  # else TGA_GAS_DOUBTED
        return None
    char, std = tga.char_fraction.value, tga.char_fraction.std or 0.0
    text = (
        f"In {tga.atmosphere} part of the organic matter remains as char. Organic matter and residue were "
        f"corrected with a char fraction of {char:.2f} ± {std:.2f}; `balance` is not corrected. Carbon that the "
        "specimen contained before (charcoal, soot) remains as well, and is counted as mineral. Burn the residue off "
        "in air to measure it."
    )
    return INERT_CHAR(text, char_fraction=char, char_std=std)


@_of_balance(UNKNOWN_GAS)
def unknown_gas(tga: TgaResult) -> Diagnostic | None:
    if not tga.balance_names or tga.atmosphere != "unknown" or tga.char_fraction is not None:
        return None
    return UNKNOWN_GAS(f"{UNKNOWN_GAS.meaning} {UNKNOWN_GAS.remedy}")


@_of_balance(CARBONATE_LEFT)
def carbonate_left(tga: TgaResult) -> Diagnostic | None:
    if "residue_with_carbonate" not in tga.balance_names:
        return None
    end = float(tga.temperature_c[-1])
    text = f"The run ends at {end:.0f} °C, before all carbonate has decomposed; the residue still contains some. "
    return CARBONATE_LEFT(text + CARBONATE_LEFT.remedy, end_c=end)


@_of_balance(MASS_GAIN)
def mass_gain(tga: TgaResult) -> Diagnostic | None:
    above = (mass := tga.mass_fraction) - np.minimum.accumulate(mass)
    gain = float(above[top := int(np.argmax(above))])
    if gain <= max(_MIN_GAIN, _GAIN_IN_SIGMAS * tga.noise):
        return None
    from_c, to_c = (float(tga.temperature_c[i]) for i in (int(np.argmin(mass[: top + 1])), top))
    text = (
        f"The mass increases by {100 * gain:.2f} % between {from_c:.0f} and {to_c:.0f} °C because of oxidation, uptake "
        "of gas, or a buoyancy larger than estimated; losses in this range are too small by that. Measure a blank."
    )
    return MASS_GAIN(text, gain=gain, from_c=from_c)


@_of_balance(BELOW_ZERO)
def below_zero(tga: TgaResult) -> Diagnostic | None:
    if (lowest := float(tga.mass_fraction.min())) >= -_BELOW_ZERO:
        return None
    return BELOW_ZERO(
        f"The mass falls to {100 * lowest:.2f} % of the start mass; the zero of the balance or of "
        "the export is wrong by at least that much, or the subtracted blank belongs to another run.",
        lowest=lowest,
    )


@_of_balance(LATE_LOSS)
def late_loss(tga: TgaResult) -> Diagnostic | None:
    if len(tga.boundary_mass) < 3:
        return None
    loss, begin = float(tga.boundary_mass[2] - tga.mass_fraction[-1]), float(tga.boundary_c[2])
    if loss <= _MIN_LATE_LOSS:
        return None
    text = (
        f"{100 * loss:.2f} % are lost between {begin:.0f} and {tga.temperature_c[-1]:.0f} °C, after "
        f"the carbonate. In this range apatite loses its hydroxyl (at most {100 * APATITE_HYDROXYL:.2f} % of "
        "its mass) and chlorides evaporate; the loss is counted as residue."
    )
    return LATE_LOSS(text, loss=loss, from_c=begin)


@_of_balance(POSSIBLE_OXALATE)
def possible_oxalate(tga: TgaResult) -> Diagnostic | None:
    if (seen := tga.oxalate_steps) is None:
        return None
    return POSSIBLE_OXALATE(
        f"The losses at {seen.monoxide.peak_c:.0f} °C ({100 * seen.monoxide.mass_loss.value:.2f} %) and "
        f"{seen.dioxide.peak_c:.0f} °C ({100 * seen.dioxide.mass_loss.value:.2f} %) have the ratio {seen.ratio:.3f}; "
        f"calcium oxalate gives CO : CO2 = {OXALATE_RATIO:.4f}. Its CO would be counted as organic matter, its CO2 as "
        "carbonate. Look for whewellite and weddellite in the diffraction pattern.",
        ratio=seen.ratio,
        co_c=seen.monoxide.peak_c or 0.0,
        co2_c=seen.dioxide.peak_c or 0.0,
    )


# ---- Together with the phases found by diffraction ----


def _beside(
    kind: MessageKind, wanted: Callable[[PhaseResult], bool]
) -> Callable[[Callable[[TgaResult, list[PhaseResult]], Diagnostic | None]], Check]:
    """Register a rule over the thermal result and the detected phases of one kind, sorted by id, if there are any."""

    def register(rule: Callable[[TgaResult, list[PhaseResult]], Diagnostic | None]) -> Check:
        def run(analysis: Analysis) -> Diagnostic | None:
            phases = [p for p in analysis.phases if p.decision == "detected" and wanted(p)]
            if analysis.tga is None or not phases:
                return None
            return rule(analysis.tga, sorted(phases, key=lambda p: p.id))

        return check(kind, "specimen")(run)

    return register


def _heated_as(kind: str) -> Callable[[PhaseResult], bool]:
    return lambda phase: phase.facts.heating.kind == kind


def _names(phases: list[PhaseResult]) -> str:
    return " and ".join(phase.id for phase in phases)


def _carbon_dioxide(tga: TgaResult) -> float:
    """CO2 of the balance, 0 if there is none."""
    return float(dict(zip(tga.balance_names, tga.balance, strict=False)).get("carbonate", 0.0))


@_beside(OXALATE_PRESENT, _heated_as("oxalate"))
def oxalate_present(tga: TgaResult, phases: list[PhaseResult]) -> Diagnostic:
    dioxide = _carbon_dioxide(tga)
    most = dioxide / min(phase.facts.heating.carbonate for phase in phases)
    return OXALATE_PRESENT(
        f"Diffraction found {_names(phases)}, whose CO is counted as organic matter and its CO2 as carbonate. "
        f"If all of the {100 * dioxide:.2f} % CO2 came from it, the specimen would contain up to "
        f"{100 * most:.1f} % of it and the organic matter would be {100 * OXALATE_RATIO * dioxide:.2f} % too high.",
        co2=dioxide,
        oxalate_at_most=most,
        organic_excess_at_most=OXALATE_RATIO * dioxide,
    )


@check(OXALATE_NOT_IN_PATTERN, "specimen")
def oxalate_not_in_pattern(analysis: Analysis) -> Diagnostic | None:
    seen = None if analysis.tga is None else analysis.tga.oxalate_steps
    crystals = (p for p in analysis.phases if p.decision == "detected" and p.facts.heating.kind == "oxalate")
    if seen is None or not analysis.phases or any(crystals):
        return None  # without phases there was no diffraction that could have missed it
    return OXALATE_NOT_IN_PATTERN(
        f"Two losses have the ratio of those of calcium oxalate ({seen.ratio:.3f}, theory {OXALATE_RATIO:.4f}), but "
        "diffraction detected neither whewellite nor weddellite. The oxalate may be anhydrous or amorphous, or the "
        "ratio a coincidence.",
        ratio=seen.ratio,
    )


@check(DOUBTED, "specimen")
def doubted(analysis: Analysis) -> Diagnostic | None:
    tga = analysis.tga
    if tga is None or not tga.doubted:
        return None
    detected = [phase.facts for phase in analysis.phases if phase.decision == "detected"]
    if any(facts.biomineral for facts in detected):
        return None
    else_organic = "bound water of a gel or hydroxide, or CO2 of a hydrous carbonate"
    if tga.char_fraction is not None:
        else_organic += f", and the residue in {tga.atmosphere} may contain carbon (charcoal, soot)"
    else_dioxide = "hydroxyl of a clay or another silicate"
    if tga.char_fraction is None:
        else_dioxide += ", or carbon that burns (graphite, coke)"
    told = {"organic": ("organic matter", else_organic), "carbonate": ("CO2", else_dioxide)}
    if any(facts.carbonate_fraction > 0.0 for facts in detected):
        del told["carbonate"]
    text = ""
    for name in [name for name in tga.doubted if name in told]:
        quantity = "carbonate_co2" if name == "carbonate" else name
        read = tga.quantities.get(quantity, tga.quantities.get(f"dry_{quantity}"))
        if read is not None:
            text += f"The {100 * read.value:.1f} % of {told[name][0]} may also be {told[name][1]}. "
    if not text:
        return None
    text = f"The losses are assigned as those of tissue by their temperatures alone: {tga.nature_reason}. {text}"
    return DOUBTED(text + DOUBTED.remedy)


@_beside(CHLORIDE, lambda phase: phase.facts.salt)
def chloride(tga: TgaResult, phases: list[PhaseResult]) -> Diagnostic:
    hot = tga.mass_fraction[tga.temperature_c >= _SALTS_FROM_C]
    late = float(hot[0] - hot[-1]) if len(hot) else 0.0
    return CHLORIDE(
        f"Diffraction found {_names(phases)}; chlorides evaporate above 800 °C. Part of the {100 * late:.2f} % lost "
        f"from there to {tga.temperature_c[-1]:.0f} °C is salt, not carbonate; below 800 °C the salt stays in the "
        "residue.",
        lost_above_800_c=late,
    )


@_beside(CARBONATE_PHASE, lambda phase: phase.facts.heating.kind == "carbonate" and not phase.is_apatite)
def carbonate_phase(tga: TgaResult, phases: list[PhaseResult]) -> Diagnostic | None:
    if "carbonate" not in tga.balance_names:
        return None
    dioxide = _carbon_dioxide(tga)
    most = dioxide / phases[0].facts.heating.carbonate
    text = (
        f"Diffraction found {_names(phases)}. The {100 * dioxide:.2f} % CO2 correspond to "
        f"{100 * most:.2f} % {phases[0].formula} if none came from the apatite; the curve excludes a larger amount."
    )
    return CARBONATE_PHASE(text, co2=dioxide, calcium_carbonate_at_most=most)


def _list_phases(kind: MessageKind, sort: str, describe: Callable[[PhaseResult], str], text: str) -> Check:
    """Register a rule that names the phases that behave alike on heating, described in place of the {} of its text."""

    def rule(_: TgaResult, phases: list[PhaseResult]) -> Diagnostic:
        return kind(text.format(", ".join(map(describe, phases))), **dict.fromkeys((p.id for p in phases), True))

    return _beside(kind, _heated_as(sort))(rule)


_list_phases(
    CRYSTAL_WATER, "hydrate", lambda phase: f"{phase.id} {100 * phase.facts.heating.water:.1f} %",
    "Diffraction found phases with water of crystallisation (volatile share: {}). This water (and the ammonia of "
    "struvite) is counted as free water or organic matter.",
)  # fmt: skip
_list_phases(
    HYDROXIDE, "hydroxide", lambda phase: f"{phase.id} {100 * phase.facts.heating.organic:.1f} %",
    "Diffraction found hydroxides ({} water), which lose it at 350 to 500 °C, where it is counted as organic matter.",
)  # fmt: skip
_list_phases(
    ORGANIC_CRYSTALS, "organic_crystal", lambda phase: phase.id,
    "Diffraction found {}, which is crystalline but burns with the organic matter and is not mineral.",
)  # fmt: skip
