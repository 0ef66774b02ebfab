"""Messages that a curve gives rise to: the gas, an early end, losses above 900 °C, gains of mass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import TgaResult, TgaStep
from xrdcomp.thermal.boundaries import Boundaries
from xrdcomp.thermal.chemistry import OXALATE_RATIO, is_inert
from xrdcomp.thermal.curve import HeatingCurve, shift_with_rate, smoothed_std
from xrdcomp.units import FloatArray

# ------------ What phases seen by diffraction, and the curve itself, say against reading the losses as
# tissue.

_OXALATES = {"whewellite": 0.30119, "weddellite": 0.26810}
_CHLORIDES = ("halite", "sylvite")
_CARBONATES = {"calcite": 0.43971, "aragonite": 0.43971, "vaterite": 0.43971}
_HYDRATES = {
    "struvite": 0.5099,
    "newberyite": 0.310,
    "brushite": 0.2094,
    "octacalcium_phosphate": 0.0917,
    "gypsum": 0.2093,
    "cppd_triclinic": 0.1242,
    "cppd_monoclinic": 0.1242,
}
_BURNING = ("uric_acid", "monosodium_urate", "cystine", "cholesterol_monohydrate")
_HYDROXIDES = {"portlandite": 0.2432, "brucite": 0.3089}
_CO_PEAK_C = (420.0, 540.0)
_CO2_PEAK_C = (600.0, 790.0)
_RATIO_TOLERANCE = 0.10
_MIN_STEP = 0.01


@dataclass(frozen=True, kw_only=True)
class _OxalateSteps:
    monoxide: TgaStep
    dioxide: TgaStep
    ratio: float


def find_oxalate(result: TgaResult) -> Diagnostic | None:
    """Recognise calcium oxalate by its two steps.

    CaC2O4 → CaCO3 + CO (about 480 °C) → CaO + CO2 (about 680 °C): mass ratio CO : CO2 = 0.6365.
    """
    seen = _oxalate_steps(result)
    if seen is None:
        return None
    return Diagnostic(
        code="TGA_POSSIBLE_OXALATE",
        severity="warning",
        text=f"The losses at {seen.monoxide.peak_c:.0f} °C ({100 * seen.monoxide.mass_loss.value:.2f} %) and "
        f"{seen.dioxide.peak_c:.0f} °C ({100 * seen.dioxide.mass_loss.value:.2f} %) stand as {seen.ratio:.3f}, "
        f"and calcium oxalate gives CO : CO2 = {OXALATE_RATIO:.4f}. Its CO would be counted as organic, its CO2 as "
        "carbonate. Look for whewellite and weddellite in the diffraction pattern.",
        facts={"ratio": seen.ratio, "co_c": seen.monoxide.peak_c or 0.0, "co2_c": seen.dioxide.peak_c or 0.0},
    )


def cross_check(result: TgaResult, detected_phase_ids: Iterable[str]) -> tuple[Diagnostic, ...]:
    """Messages about phases found by diffraction that change what the losses mean.

    Parameters
    ----------
    result : TgaResult
    detected_phase_ids : iterable of str
        Ids of the crystalline phases that were detected.

    Returns
    -------
    tuple of Diagnostic
    """
    detected = set(detected_phase_ids)
    found = [
        _oxalate(result, detected),
        _chloride(result, detected),
        _carbonate(result, detected),
        _hydrates(detected),
        _hydroxides(detected),
        _burning(detected),
    ]
    return tuple(d for d in found if d is not None)


def _oxalate(result: TgaResult, detected: set[str]) -> Diagnostic | None:
    phases = sorted(detected & set(_OXALATES))
    seen = _oxalate_steps(result)
    if phases:
        dioxide = _balance(result, "carbonate")
        most = dioxide / min(_OXALATES[p] for p in phases)
        return Diagnostic(
            code="TGA_OXALATE_PRESENT",
            severity="warning",
            text=f"{' and '.join(phases)} found by diffraction: the CO of the oxalate is counted as organic and "
            f"its CO2 as carbonate. If all of the {100 * dioxide:.2f} % CO2 were its, the specimen would hold up "
            f"to {100 * most:.1f} % of it and the organic be {100 * OXALATE_RATIO * dioxide:.2f} % too high.",
            facts={
                "co2": dioxide,
                "oxalate_at_most": most,
                "organic_excess_at_most": OXALATE_RATIO * dioxide,
            },
        )
    if seen is not None:
        return Diagnostic(
            code="TGA_OXALATE_NOT_IN_PATTERN",
            severity="warning",
            text=f"Two losses stand as calcium oxalate's (ratio {seen.ratio:.3f}, theory {OXALATE_RATIO:.4f}), but "
            "neither whewellite nor weddellite was detected by diffraction; anhydrous or amorphous oxalate, or "
            "chance.",
            facts={"ratio": seen.ratio},
        )
    return None


def _chloride(result: TgaResult, detected: set[str]) -> Diagnostic | None:
    phases = sorted(detected & set(_CHLORIDES))
    if not phases:
        return None
    end = float(result.temperature_c[-1])
    late = _lost_above(result, 800.0)
    return Diagnostic(
        code="TGA_CHLORIDE",
        severity="warning",
        text=f"{' and '.join(phases)} found by diffraction: chlorides evaporate above 800 °C. Of the "
        f"{100 * late:.2f} % lost from there to {end:.0f} °C a part is salt, not carbonate; below, the salt is "
        "in the residue.",
        facts={"lost_above_800_c": late},
    )


def _carbonate(result: TgaResult, detected: set[str]) -> Diagnostic | None:
    phases = sorted(detected & set(_CARBONATES))
    if not phases or "carbonate" not in result.balance_names:
        return None
    dioxide = _balance(result, "carbonate")
    most = dioxide / _CARBONATES[phases[0]]
    return Diagnostic(
        code="TGA_CARBONATE_PHASE",
        severity="info",
        text=f"{' and '.join(phases)} found by diffraction: the {100 * dioxide:.2f} % CO2 correspond to "
        f"{100 * most:.2f} % CaCO3 if none came from the apatite; more of it would contradict the curve.",
        facts={"co2": dioxide, "calcium_carbonate_at_most": most},
    )


def _hydrates(detected: set[str]) -> Diagnostic | None:
    phases = sorted(detected & set(_HYDRATES))
    if not phases:
        return None
    shares = ", ".join(f"{p} {100 * _HYDRATES[p]:.1f} %" for p in phases)
    return Diagnostic(
        code="TGA_CRYSTAL_WATER",
        severity="warning",
        text=f"Phases with water of crystallisation found by diffraction (volatile share: {shares}): that water "
        "(and the ammonia of struvite) is counted as free water or organic.",
        facts=dict.fromkeys(phases, True),
    )


def _hydroxides(detected: set[str]) -> Diagnostic | None:
    phases = sorted(detected & set(_HYDROXIDES))
    if not phases:
        return None
    shares = ", ".join(f"{p} {100 * _HYDROXIDES[p]:.1f} %" for p in phases)
    return Diagnostic(
        code="TGA_HYDROXIDE",
        severity="warning",
        text=f"Hydroxides found by diffraction ({shares} water): they lose it at 350 to 500 °C, where it is counted "
        "as organic.",
        facts=dict.fromkeys(phases, True),
    )


def _burning(detected: set[str]) -> Diagnostic | None:
    phases = sorted(detected & set(_BURNING))
    if not phases:
        return None
    return Diagnostic(
        code="TGA_ORGANIC_CRYSTALS",
        severity="warning",
        text=f"{', '.join(phases)} found by diffraction: crystalline, but burns with the organic and is no mineral.",
        facts=dict.fromkeys(phases, True),
    )


def _oxalate_steps(result: TgaResult) -> _OxalateSteps | None:
    rate = result.heating_rate_k_min
    monoxide = _largest_between(result, tuple(shift_with_rate(t, rate, 250.0) for t in _CO_PEAK_C))
    dioxide = _largest_between(result, tuple(shift_with_rate(t, rate, 210.0) for t in _CO2_PEAK_C))
    if monoxide is None or dioxide is None:
        return None
    ratio = monoxide.mass_loss.value / dioxide.mass_loss.value
    spread = 2.0 * ratio * (monoxide.mass_loss.std or 0.0) / monoxide.mass_loss.value
    allowed = max(_RATIO_TOLERANCE * OXALATE_RATIO, min(spread, 0.15))
    if abs(ratio - OXALATE_RATIO) > allowed:
        return None
    return _OxalateSteps(monoxide=monoxide, dioxide=dioxide, ratio=ratio)


def _largest_between(result: TgaResult, limits: tuple[float, ...]) -> TgaStep | None:
    peaks = [part for step in result.steps for part in (step.parts or (step,))]
    inside = [
        p
        for p in peaks
        if p.peak_c is not None and limits[0] <= p.peak_c <= limits[1] and p.mass_loss.value > _MIN_STEP
    ]
    return max(inside, key=lambda p: p.mass_loss.value) if inside else None


def _balance(result: TgaResult, name: str) -> float:
    if name not in result.balance_names:
        return 0.0
    return float(result.balance[result.balance_names.index(name)])


def _lost_above(result: TgaResult, temperature_c: float) -> float:
    above = result.temperature_c >= temperature_c
    if not above.any():
        return 0.0
    return float(result.mass_fraction[above][0] - result.mass_fraction[-1])


# ------------ Messages that a curve gives rise to: the gas, an early end, losses above 900 °C, gains of
# mass.

_MIN_GAIN = 0.003
_MIN_LATE_LOSS = 0.001
_BELOW_ZERO = 0.003
_HYDROXYL_SHARE = 0.01793


def curve_notes(curve: HeatingCurve, smooth: FloatArray, boundaries: Boundaries) -> tuple[Diagnostic, ...]:
    """Messages about gains of mass, masses below zero, and losses after the last boundary."""
    notes = []
    lowest = np.minimum.accumulate(smooth)
    top = int(np.argmax(smooth - lowest))
    gain = float(smooth[top] - lowest[top])
    if gain > max(_MIN_GAIN, 6.0 * smoothed_std(curve.bin_noise, 1.0)):
        low = int(np.argmin(smooth[: top + 1]))
        notes.append(
            Diagnostic(
                code="TGA_MASS_GAIN",
                severity="warning",
                text=f"The mass rises by {100 * gain:.2f} % between {curve.temperature_c[low]:.0f} and "
                f"{curve.temperature_c[top]:.0f} °C. Oxidation, uptake of gas, or buoyancy larger than "
                "estimated; losses in this range are too small by it. Measure a blank.",
                facts={"gain": gain, "from_c": float(curve.temperature_c[low])},
            )
        )
    if float(smooth.min()) < -_BELOW_ZERO:
        notes.append(
            Diagnostic(
                code="TGA_BELOW_ZERO",
                severity="warning",
                text=f"The mass falls to {100 * float(smooth.min()):.2f} % of the start: the zero of the balance or of "
                "the export is off by at least that much, or a blank was subtracted that is not this run's.",
                facts={"lowest": float(smooth.min())},
            )
        )
    if len(boundaries.mass) == 3:
        late = float(boundaries.mass[2] - smooth[-1])
        if late > _MIN_LATE_LOSS:
            begin = float(boundaries.temperature_c[2])
            notes.append(
                Diagnostic(
                    code="TGA_LATE_LOSS",
                    severity="info",
                    text=f"{100 * late:.2f} % go between {begin:.0f} and {curve.temperature_c[-1]:.0f} °C, after "
                    f"the carbonate. Apatite loses its hydroxyl there (at most {100 * _HYDROXYL_SHARE:.2f} % of "
                    "it), chlorides evaporate; it is counted as residue.",
                    facts={"loss": late, "from_c": begin},
                )
            )
    return tuple(notes)


def gas_notes(
    curve: HeatingCurve, recipe: ThermalRecipe, atmosphere: Atmosphere, boundaries: Boundaries
) -> tuple[Diagnostic, ...]:
    """Messages about char, an unknown gas and a run that ends early."""
    notes = []
    if is_inert(atmosphere):
        notes.append(
            Diagnostic(
                code="TGA_INERT_CHAR",
                severity="warning",
                text=f"In {atmosphere} part of the organic stays as char and looks like mineral. Organic and "
                f"residue were corrected with a char fraction of {recipe.char_fraction:.2f} ± "
                f"{recipe.char_std:.2f}; `balance` holds the raw losses. Burn the residue off in air to "
                "measure it.",
                facts={"char_fraction": recipe.char_fraction, "char_std": recipe.char_std},
            )
        )
    if atmosphere == "unknown":
        notes.append(
            Diagnostic(
                code="TGA_UNKNOWN_GAS",
                severity="warning",
                text="The file does not name the purge gas; air was assumed. In an inert gas char would be "
                "counted as mineral. Give the atmosphere.",
            )
        )
    end = float(curve.temperature_c[-1])
    if len(boundaries.mass) == 2:
        notes.append(
            Diagnostic(
                code="TGA_ENDS_EARLY",
                severity="warning",
                text=f"The run ends at {end:.0f} °C, before all carbonate has gone; the residue still holds "
                "it. Heat to 950 °C.",
                facts={"end_c": end},
            )
        )
    return tuple(notes)
