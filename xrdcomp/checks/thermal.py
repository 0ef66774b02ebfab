"""Rules over a finished thermal balance, alone and beside the phases that diffraction found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xrdcomp.checks.registry import Analysis, check
from xrdcomp.data import Diagnostic, message_kind
from xrdcomp.results import OXALATE_RATIO, PhaseResult, TgaResult
from xrdcomp.units import APATITE_HYDROXYL

_MIN_GAIN = 0.003
_GAIN_IN_SIGMAS = 6.0
_MIN_LATE_LOSS = 0.001
_BELOW_ZERO = 0.003
_SALTS_FROM_C = 800.0

INERT_CHAR = message_kind(
    "TGA_INERT_CHAR", "warning",
    "In an inert gas part of the organic stays as char and looks like mineral; it was taken off the residue.",
    remedy="Burn the residue off in air to measure it.",
)  # fmt: skip
UNKNOWN_GAS = message_kind(
    "TGA_UNKNOWN_GAS", "warning",
    "The file does not name the purge gas; air was assumed. In an inert gas char would be counted as mineral.",
    remedy="Give the atmosphere.",
)  # fmt: skip
CARBONATE_LEFT = message_kind(
    "TGA_CARBONATE_LEFT", "warning", "The run ends before all carbonate has gone; the residue still holds it.",
    remedy="Heat to 950 °C.",
)  # fmt: skip
MASS_GAIN = message_kind(
    "TGA_MASS_GAIN", "warning",
    "The mass rises: oxidation, uptake of gas, or more buoyancy than estimated; losses there are too small by it.",
    remedy="Measure a blank.", threshold="0.3 % of the start mass, and six standard deviations of the noise",
)  # fmt: skip
BELOW_ZERO = message_kind(
    "TGA_BELOW_ZERO", "warning",
    "The mass falls below nought: the zero of the balance or of the export is off, or the blank is another run's.",
    threshold="−0.3 % of the start mass",
)  # fmt: skip
LATE_LOSS = message_kind(
    "TGA_LATE_LOSS", "info",
    "A loss after the carbonate: hydroxyl of apatite or chlorides; it is counted as residue.",
    threshold="0.1 % of the start mass",
)  # fmt: skip
POSSIBLE_OXALATE = message_kind(
    "TGA_POSSIBLE_OXALATE", "warning",
    "Two losses stand as calcium oxalate's; its CO would be counted as organic, its CO2 as carbonate.",
    remedy="Look for whewellite and weddellite in the diffraction pattern.",
    threshold="CO : CO2 = 0.6365 within a tenth, or within two standard uncertainties up to 0.15",
)  # fmt: skip
OXALATE_PRESENT = message_kind(
    "TGA_OXALATE_PRESENT", "warning",
    "Oxalate found by diffraction: its CO is counted as organic and its CO2 as carbonate.",
)  # fmt: skip
OXALATE_NOT_IN_PATTERN = message_kind(
    "TGA_OXALATE_NOT_IN_PATTERN", "warning",
    "Two losses stand as calcium oxalate's, which was not detected by diffraction.",
    threshold="as TGA_POSSIBLE_OXALATE",
)  # fmt: skip
CHLORIDE = message_kind(
    "TGA_CHLORIDE", "warning",
    "Salts found by diffraction, which evaporate above 800 °C: part of what goes from there on is not carbonate.",
    remedy="Rinse the specimen.",
)  # fmt: skip
CARBONATE_PHASE = message_kind(
    "TGA_CARBONATE_PHASE", "info",
    "Carbonate found by diffraction, and how much of it the CO2 allows if none came from the apatite.",
)  # fmt: skip
CRYSTAL_WATER = message_kind(
    "TGA_CRYSTAL_WATER", "warning",
    "Hydrates found by diffraction, whose water (and ammonia) is counted as free water or organic.",
)  # fmt: skip
HYDROXIDE = message_kind(
    "TGA_HYDROXIDE", "warning",
    "Hydroxides found by diffraction, whose water goes at 350 to 500 °C and is counted as organic.",
)  # fmt: skip
ORGANIC_CRYSTALS = message_kind(
    "TGA_ORGANIC_CRYSTALS", "warning",
    "Crystals found by diffraction that burn with the organic and are no mineral.",
)  # fmt: skip

# ---- The balance alone ----


@check(INERT_CHAR, "tga")
def inert_char(analysis: Analysis) -> Diagnostic | None:
    """Char that stays in an inert gas."""
    tga = analysis.tga
    if tga is None or tga.char_fraction is None:
        return None
    char, std = tga.char_fraction.value, tga.char_fraction.std or 0.0
    return INERT_CHAR(
        f"In {tga.atmosphere} part of the organic stays as char and looks like mineral. Organic and residue were "
        f"corrected with a char fraction of {char:.2f} ± {std:.2f}; `balance` holds the raw losses. Burn the residue "
        "off in air to measure it.",
        char_fraction=char,
        char_std=std,
    )


@check(UNKNOWN_GAS, "tga")
def unknown_gas(analysis: Analysis) -> Diagnostic | None:
    """Gas that decides if char is left and that nobody stated."""
    if analysis.tga is None or not analysis.tga.balance_names or analysis.tga.atmosphere != "unknown":
        return None
    return UNKNOWN_GAS(
        "The file does not name the purge gas; air was assumed. In an inert gas char would be "
        "counted as mineral. Give the atmosphere."
    )


@check(CARBONATE_LEFT, "tga")
def carbonate_left(analysis: Analysis) -> Diagnostic | None:
    """Residue that still holds carbonate."""
    if analysis.tga is None or "residue_with_carbonate" not in analysis.tga.balance_names:
        return None
    end = float(analysis.tga.temperature_c[-1])
    return CARBONATE_LEFT(
        f"The run ends at {end:.0f} °C, before all carbonate has gone; the residue still holds it. Heat to 950 °C.",
        end_c=end,
    )


@check(MASS_GAIN, "tga")
def mass_gain(analysis: Analysis) -> Diagnostic | None:
    """Largest rise of the mass above its lowest value so far."""
    tga = analysis.tga
    if tga is None:
        return None
    mass = tga.mass_fraction
    above = mass - np.minimum.accumulate(mass)
    top = int(np.argmax(above))
    gain = float(above[top])
    if gain <= max(_MIN_GAIN, _GAIN_IN_SIGMAS * tga.noise):
        return None
    low = int(np.argmin(mass[: top + 1]))
    return MASS_GAIN(
        f"The mass rises by {100 * gain:.2f} % between {tga.temperature_c[low]:.0f} and "
        f"{tga.temperature_c[top]:.0f} °C. Oxidation, uptake of gas, or buoyancy larger than "
        "estimated; losses in this range are too small by it. Measure a blank.",
        gain=gain,
        from_c=float(tga.temperature_c[low]),
    )


@check(BELOW_ZERO, "tga")
def below_zero(analysis: Analysis) -> Diagnostic | None:
    """Mass clearly below nought."""
    if analysis.tga is None or (lowest := float(analysis.tga.mass_fraction.min())) >= -_BELOW_ZERO:
        return None
    return BELOW_ZERO(
        f"The mass falls to {100 * lowest:.2f} % of the start: the zero of the balance or of "
        "the export is off by at least that much, or a blank was subtracted that is not this run's.",
        lowest=lowest,
    )


@check(LATE_LOSS, "tga")
def late_loss(analysis: Analysis) -> Diagnostic | None:
    """Loss after the end of the carbonate."""
    tga = analysis.tga
    if tga is None or len(tga.boundary_mass) < 3:
        return None
    loss, begin = float(tga.boundary_mass[2] - tga.mass_fraction[-1]), float(tga.boundary_c[2])
    if loss <= _MIN_LATE_LOSS:
        return None
    return LATE_LOSS(
        f"{100 * loss:.2f} % go between {begin:.0f} and {tga.temperature_c[-1]:.0f} °C, after "
        f"the carbonate. Apatite loses its hydroxyl there (at most {100 * APATITE_HYDROXYL:.2f} % of "
        "it), chlorides evaporate; it is counted as residue.",
        loss=loss,
        from_c=begin,
    )


@check(POSSIBLE_OXALATE, "tga")
def possible_oxalate(analysis: Analysis) -> Diagnostic | None:
    """Calcium oxalate by its two steps: CaC2O4 → CaCO3 + CO (about 480 °C) → CaO + CO2 (about 680 °C)."""
    seen = None if analysis.tga is None else analysis.tga.oxalate_steps
    if seen is None:
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


def _found(analysis: Analysis, wanted: Callable[[PhaseResult], bool]) -> list[PhaseResult]:
    """Detected phases of one kind by id, where there is a thermal result that they bear on."""
    if analysis.tga is None:
        return []
    return sorted((p for p in analysis.phases if p.decision == "detected" and wanted(p)), key=lambda p: p.id)


def _of_kind(analysis: Analysis, kind: str) -> list[PhaseResult]:
    return _found(analysis, lambda phase: phase.facts.heating.kind == kind)


def _names(phases: list[PhaseResult], between: str = " and ") -> str:
    return between.join(phase.id for phase in phases)


def _carbon_dioxide(tga: TgaResult) -> float:
    """CO2 of the balance, 0 where there is none."""
    if "carbonate" not in tga.balance_names:
        return 0.0
    return float(tga.balance[tga.balance_names.index("carbonate")])


@check(OXALATE_PRESENT, "specimen")
def oxalate_present(analysis: Analysis) -> Diagnostic | None:
    """Oxalates, and what of organic and carbonate may be theirs."""
    phases = _of_kind(analysis, "oxalate")
    if analysis.tga is None or not phases:
        return None
    dioxide = _carbon_dioxide(analysis.tga)
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
    """Losses of calcium oxalate without the crystals."""
    seen = None if analysis.tga is None else analysis.tga.oxalate_steps
    if seen is None or not analysis.phases or _of_kind(analysis, "oxalate"):
        return None  # without phases there was no diffraction that could have missed it
    return OXALATE_NOT_IN_PATTERN(
        f"Two losses stand as calcium oxalate's (ratio {seen.ratio:.3f}, theory {OXALATE_RATIO:.4f}), but neither "
        "whewellite nor weddellite was detected by diffraction; anhydrous or amorphous oxalate, or chance.",
        ratio=seen.ratio,
    )


@check(CHLORIDE, "specimen")
def chloride(analysis: Analysis) -> Diagnostic | None:
    """Salts that evaporate while carbonate goes, or after it."""
    phases = _found(analysis, lambda phase: phase.facts.salt)
    if analysis.tga is None or not phases:
        return None
    hot = analysis.tga.temperature_c >= _SALTS_FROM_C
    mass = analysis.tga.mass_fraction
    late = float(mass[hot][0] - mass[-1]) if hot.any() else 0.0
    return CHLORIDE(
        f"{_names(phases)} found by diffraction: chlorides evaporate above 800 °C. Of the "
        f"{100 * late:.2f} % lost from there to {analysis.tga.temperature_c[-1]:.0f} °C a part is salt, not carbonate; "
        "below, the salt is in the residue.",
        lost_above_800_c=late,
    )


@check(CARBONATE_PHASE, "specimen")
def carbonate_phase(analysis: Analysis) -> Diagnostic | None:
    """Most of a carbonate that the CO2 of the balance allows."""
    phases = [phase for phase in _of_kind(analysis, "carbonate") if not phase.is_apatite]
    if analysis.tga is None or not phases or "carbonate" not in analysis.tga.balance_names:
        return None
    dioxide = _carbon_dioxide(analysis.tga)
    most = dioxide / phases[0].facts.heating.carbonate
    return CARBONATE_PHASE(
        f"{_names(phases)} found by diffraction: the {100 * dioxide:.2f} % CO2 correspond to "
        f"{100 * most:.2f} % {phases[0].formula} if none came from the apatite; more of it would contradict the curve.",
        co2=dioxide,
        calcium_carbonate_at_most=most,
    )


@check(CRYSTAL_WATER, "specimen")
def crystal_water(analysis: Analysis) -> Diagnostic | None:
    """Water of crystallisation, which the balance takes for free water or organic."""
    phases = _of_kind(analysis, "hydrate")
    if not phases:
        return None
    shares = ", ".join(f"{p.id} {100 * p.facts.heating.water:.1f} %" for p in phases)
    return CRYSTAL_WATER(
        f"Phases with water of crystallisation found by diffraction (volatile share: {shares}): that water "
        "(and the ammonia of struvite) is counted as free water or organic.",
        **dict.fromkeys((p.id for p in phases), True),
    )


@check(HYDROXIDE, "specimen")
def hydroxide(analysis: Analysis) -> Diagnostic | None:
    """Water of hydroxides, which the balance takes for organic."""
    phases = _of_kind(analysis, "hydroxide")
    if not phases:
        return None
    shares = ", ".join(f"{p.id} {100 * p.facts.heating.organic:.1f} %" for p in phases)
    return HYDROXIDE(
        f"Hydroxides found by diffraction ({shares} water): they lose it at 350 to 500 °C, where it is counted "
        "as organic.",
        **dict.fromkeys((p.id for p in phases), True),
    )


@check(ORGANIC_CRYSTALS, "specimen")
def organic_crystals(analysis: Analysis) -> Diagnostic | None:
    """Crystals that burn."""
    phases = _of_kind(analysis, "organic_crystal")
    if not phases:
        return None
    return ORGANIC_CRYSTALS(
        f"{_names(phases, ', ')} found by diffraction: crystalline, but burns with the organic and is no mineral.",
        **dict.fromkeys((p.id for p in phases), True),
    )
