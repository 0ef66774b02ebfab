"""Rules over a finished thermal balance, alone and beside the phases that diffraction found."""

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
    "In an inert gas part of the organic stays as char and looks like mineral; it was taken off the residue. Carbon "
    "that was there before stays as well, and counts as mineral.",
    remedy="Burn the residue off in air to measure it.",
)  # fmt: skip
UNKNOWN_GAS = message_kind("TGA_UNKNOWN_GAS", "warning",
    "The file does not name the purge gas; air was assumed. In an inert gas char would be counted as mineral.",
    remedy="Give the atmosphere.",
)  # fmt: skip
CARBONATE_LEFT = message_kind(
    "TGA_CARBONATE_LEFT", "warning", "The run ends before all carbonate has gone; the residue still holds it.",
    remedy="Heat on, or hold, until the mass stays.",
    threshold="100 °C before the end of carbonates at the run's rate; where the mass stays 800 °C, on a hold 715 °C",
)  # fmt: skip
MASS_GAIN = message_kind("TGA_MASS_GAIN", "warning",
    "The mass rises: oxidation, uptake of gas, or more buoyancy than estimated; losses there are too small by it.",
    remedy="Measure a blank.", threshold="0.3 % of the start mass, and six standard deviations of the noise",
)  # fmt: skip
BELOW_ZERO = message_kind("TGA_BELOW_ZERO", "warning",
    "The mass falls below nought: the zero of the balance or of the export is off, or the blank is another run's.",
    threshold="−0.3 % of the start mass",
)  # fmt: skip
LATE_LOSS = message_kind("TGA_LATE_LOSS", "info",
    "A loss after the carbonate: hydroxyl of apatite or chlorides; it is counted as residue.",
    threshold="0.1 % of the start mass",
)  # fmt: skip
POSSIBLE_OXALATE = message_kind("TGA_POSSIBLE_OXALATE", "warning",
    "Two losses stand as calcium oxalate's; its CO would be counted as organic, its CO2 as carbonate.",
    remedy="Look for whewellite and weddellite in the diffraction pattern.",
    threshold="CO : CO2 = 0.6365 within a tenth, or within two standard uncertainties up to 0.15",
)  # fmt: skip
OXALATE_PRESENT = message_kind("TGA_OXALATE_PRESENT", "warning",
    "Oxalate found by diffraction: its CO is counted as organic and its CO2 as carbonate.",
)  # fmt: skip
OXALATE_NOT_IN_PATTERN = message_kind("TGA_OXALATE_NOT_IN_PATTERN", "warning",
    "Two losses stand as calcium oxalate's, which was not detected by diffraction.",
    threshold="as TGA_POSSIBLE_OXALATE",
)  # fmt: skip
CHLORIDE = message_kind("TGA_CHLORIDE", "warning",
    "Salts found by diffraction, which evaporate above 800 °C: part of what goes from there on is not carbonate.",
    remedy="Rinse the specimen.",
)  # fmt: skip
CARBONATE_PHASE = message_kind("TGA_CARBONATE_PHASE", "info",
    "Carbonate found by diffraction, and how much of it the CO2 allows if none came from the apatite.",
)  # fmt: skip
CRYSTAL_WATER = message_kind("TGA_CRYSTAL_WATER", "warning",
    "Hydrates found by diffraction, whose water (and ammonia) is counted as free water or organic.",
)  # fmt: skip
HYDROXIDE = message_kind("TGA_HYDROXIDE", "warning",
    "Hydroxides found by diffraction, whose water goes at 350 to 500 °C and is counted as organic.",
)  # fmt: skip
ORGANIC_CRYSTALS = message_kind("TGA_ORGANIC_CRYSTALS", "warning",
    "Crystals found by diffraction that burn with the organic and are no mineral.",
)  # fmt: skip

DOUBTED = message_kind("TGA_DOUBTED", "warning",
    "The losses are read by their temperatures alone, and nothing says tissue: water of gels goes where organic matter "
    "does, hydroxyl of clays and other silicates where carbonate does, and graphite burns there.",
    remedy='Where the specimen is tissue all the same, set thermal.assignment = "tissue". A crucible that was weighed '
    "with it makes all shares too small.",
    threshold="CO2 below 0.6 % of a residue above 30 %, organic below 2.5 % (in an inert gas however little: carbon "
    "stays) or with a rate that only falls; no peak of CO2 beside organic below 8 %, in an inert gas, or half of it "
    "within 65 °C; in oxygen organic below 35 % that leaves no char; no mineral of tissue in the pattern, and for CO2 "
    "up to 15 % (in oxygen 40 %) no carbonate",
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
        f"In {tga.atmosphere} part of the organic stays as char and looks like mineral. Organic and residue were "
        f"corrected with a char fraction of {char:.2f} ± {std:.2f}; `balance` does not hold it. Carbon that the "
        "specimen held before (charcoal, soot) stays too, and counts as mineral. Burn the residue off in air to "
        "measure it."
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
    text = (
        f"The run ends at {end:.0f} °C, before all carbonate has gone; the residue still holds it. Heat on, or hold, "
    )
    text += "until the mass stays."
    return CARBONATE_LEFT(text, end_c=end)


@_of_balance(MASS_GAIN)
def mass_gain(tga: TgaResult) -> Diagnostic | None:
    above = (mass := tga.mass_fraction) - np.minimum.accumulate(mass)
    gain = float(above[top := int(np.argmax(above))])
    if gain <= max(_MIN_GAIN, _GAIN_IN_SIGMAS * tga.noise):
        return None
    from_c, to_c = (float(tga.temperature_c[i]) for i in (int(np.argmin(mass[: top + 1])), top))
    text = (
        f"The mass rises by {100 * gain:.2f} % between {from_c:.0f} and {to_c:.0f} °C. Oxidation, uptake of gas, or "
        "buoyancy larger than estimated; losses in this range are too small by it. Measure a blank."
    )
    return MASS_GAIN(text, gain=gain, from_c=from_c)


@_of_balance(BELOW_ZERO)
def below_zero(tga: TgaResult) -> Diagnostic | None:
    if (lowest := float(tga.mass_fraction.min())) >= -_BELOW_ZERO:
        return None
    return BELOW_ZERO(
        f"The mass falls to {100 * lowest:.2f} % of the start: the zero of the balance or of "
        "the export is off by at least that much, or a blank was subtracted that is not this run's.",
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
        f"{100 * loss:.2f} % go between {begin:.0f} and {tga.temperature_c[-1]:.0f} °C, after "
        f"the carbonate. Apatite loses its hydroxyl there (at most {100 * APATITE_HYDROXYL:.2f} % of "
        "it), chlorides evaporate; it is counted as residue."
    )
    return LATE_LOSS(text, loss=loss, from_c=begin)


@_of_balance(POSSIBLE_OXALATE)
def possible_oxalate(tga: TgaResult) -> Diagnostic | None:
    if (seen := tga.oxalate_steps) is None:
        return None
    return POSSIBLE_OXALATE(
        f"The losses at {seen.monoxide.peak_c:.0f} °C ({100 * seen.monoxide.mass_loss.value:.2f} %) and "
        f"{seen.dioxide.peak_c:.0f} °C ({100 * seen.dioxide.mass_loss.value:.2f} %) stand as {seen.ratio:.3f}, "
        f"and calcium oxalate gives CO : CO2 = {OXALATE_RATIO:.4f}. Its CO would be counted as organic, its CO2 as "
        "carbonate. Look for whewellite and weddellite in the diffraction pattern.",
        ratio=seen.ratio,
        co_c=seen.monoxide.peak_c or 0.0,
        co2_c=seen.dioxide.peak_c or 0.0,
    )


# ---- Beside the phases that diffraction found ----


def _beside(
    kind: MessageKind, wanted: Callable[[PhaseResult], bool]
) -> Callable[[Callable[[TgaResult, list[PhaseResult]], Diagnostic | None]], Check]:
    """Register a rule over the thermal result and the detected phases of one sort by id, where there are any."""

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
    """CO2 of the balance, 0 where there is none."""
    return float(dict(zip(tga.balance_names, tga.balance, strict=False)).get("carbonate", 0.0))


@_beside(OXALATE_PRESENT, _heated_as("oxalate"))
def oxalate_present(tga: TgaResult, phases: list[PhaseResult]) -> Diagnostic:
    dioxide = _carbon_dioxide(tga)
    most = dioxide / min(phase.facts.heating.carbonate for phase in phases)
    return OXALATE_PRESENT(
        f"{_names(phases)} found by diffraction: the CO of the oxalate is counted as organic and "
        f"its CO2 as carbonate. If all of the {100 * dioxide:.2f} % CO2 were its, the specimen would hold up "
        f"to {100 * most:.1f} % of it and the organic be {100 * OXALATE_RATIO * dioxide:.2f} % too high.",
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
        f"Two losses stand as calcium oxalate's (ratio {seen.ratio:.3f}, theory {OXALATE_RATIO:.4f}), but neither "
        "whewellite nor weddellite was detected by diffraction; anhydrous or amorphous oxalate, or chance.",
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
        else_organic += f", and what {tga.atmosphere} leaves may hold carbon (charcoal, soot)"
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
            text += f"The {100 * read.value:.1f} % of {told[name][0]} may as well be {told[name][1]}. "
    if not text:
        return None
    text = f"The losses are read as tissue's by their temperatures alone: {tga.nature_reason}. {text}"
    return DOUBTED(text + DOUBTED.remedy)


@_beside(CHLORIDE, lambda phase: phase.facts.salt)
def chloride(tga: TgaResult, phases: list[PhaseResult]) -> Diagnostic:
    hot = tga.mass_fraction[tga.temperature_c >= _SALTS_FROM_C]
    late = float(hot[0] - hot[-1]) if len(hot) else 0.0
    return CHLORIDE(
        f"{_names(phases)} found by diffraction: chlorides evaporate above 800 °C. Of the {100 * late:.2f} % lost "
        f"from there to {tga.temperature_c[-1]:.0f} °C a part is salt, not carbonate; below, the salt is in the "
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
        f"{_names(phases)} found by diffraction: the {100 * dioxide:.2f} % CO2 correspond to "
        f"{100 * most:.2f} % {phases[0].formula} if none came from the apatite; more of it would contradict the curve."
    )
    return CARBONATE_PHASE(text, co2=dioxide, calcium_carbonate_at_most=most)


def _list_phases(kind: MessageKind, sort: str, describe: Callable[[PhaseResult], str], text: str) -> Check:
    """Register a rule that names the phases of one sort of heating, described in place of the {} of its text."""

    def rule(_: TgaResult, phases: list[PhaseResult]) -> Diagnostic:
        return kind(text.format(", ".join(map(describe, phases))), **dict.fromkeys((p.id for p in phases), True))

    return _beside(kind, _heated_as(sort))(rule)


_list_phases(
    CRYSTAL_WATER, "hydrate", lambda phase: f"{phase.id} {100 * phase.facts.heating.water:.1f} %",
    "Phases with water of crystallisation found by diffraction (volatile share: {}): that water (and the ammonia of "
    "struvite) is counted as free water or organic.",
)  # fmt: skip
_list_phases(
    HYDROXIDE, "hydroxide", lambda phase: f"{phase.id} {100 * phase.facts.heating.organic:.1f} %",
    "Hydroxides found by diffraction ({} water): they lose it at 350 to 500 °C, where it is counted as organic.",
)  # fmt: skip
_list_phases(
    ORGANIC_CRYSTALS, "organic_crystal", lambda phase: phase.id,
    "{} found by diffraction: crystalline, but burns with the organic and is no mineral.",
)  # fmt: skip
