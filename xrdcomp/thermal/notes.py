"""Messages that a curve gives rise to: the gas, an early end, losses above 900 °C, gains of mass."""

from __future__ import annotations

import numpy as np

from xrdcomp.recipe import ThermalRecipe
from xrdcomp.thermal.boundaries import Boundaries
from xrdcomp.thermal.chemistry import is_inert
from xrdcomp.thermal.prepare import HeatingCurve
from xrdcomp.thermal.smooth import smoothed_std
from xrdcomp.types import Atmosphere, Diagnostic, FloatArray

__all__ = ["curve_notes", "gas_notes"]

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
