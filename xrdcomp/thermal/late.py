"""Losses that peak above where carbonates go: evaporating salts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrdcomp.thermal.prepare import HeatingCurve
from xrdcomp.thermal.program import shift_with_rate
from xrdcomp.thermal.steps import Peak
from xrdcomp.types import Atmosphere, Diagnostic, FloatArray

__all__ = ["Windows", "end_carbonate_before_salts"]

_LATEST_CARBONATE_PEAK_C = 885.0
_ENERGY_KJ = 230.0
_CUT_C, _SHARED_C = 815.0, (780.0, 850.0)
_HALF_WIDTH_C = 3.0
_SHARED_STD = 0.5
_END_BINS = 40
_MOST_OF_IT = 0.8
_HYDROXYL_SHARE = 0.021  # 1.793 % of apatite and the tails of what went before


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Literature boundaries in °C and how far to search around each.

    `salt_doubt` is the standard uncertainty of the mass at the last boundary from salts, 0 without them.
    """

    literature_c: FloatArray
    half_width_c: FloatArray
    salt_doubt: float = 0.0
    diagnostics: tuple[Diagnostic, ...] = ()


def end_carbonate_before_salts(
    curve: HeatingCurve, smooth: FloatArray, peaks: tuple[Peak, ...], windows: Windows, atmosphere: Atmosphere
) -> Windows:
    """End the carbonate at 815 °C where a later loss peaks above 885 °C (both at 10 K/min).

    CO2 of apatite and calcite has gone by then in any gas but carbon dioxide itself, while halite and sylvite
    evaporate between 800 and 1000 °C. Between 780 and 850 °C both go: half of what is lost there is the
    standard uncertainty of the cut. What follows stays in the residue, of which the salt was a part.
    Where nearly nothing is left (more than 80 % gone), char burnt and no salt evaporated.
    """
    rate = curve.heating_rate_k_min
    latest = shift_with_rate(_LATEST_CARBONATE_PEAK_C, rate, _ENERGY_KJ)
    late = [p for p in peaks if curve.temperature_c[p.top] > latest and not _hydroxyl(p, smooth)]
    if len(windows.literature_c) < 3 or atmosphere == "carbon_dioxide" or not late:
        return windows
    cut = shift_with_rate(_CUT_C, rate, _ENERGY_KJ)
    low, at, high = (
        float(np.interp(shift_with_rate(t, rate, _ENERGY_KJ), curve.temperature_c, smooth))
        for t in (_SHARED_C[0], _CUT_C, _SHARED_C[1])
    )
    if at - float(smooth[-1]) > _MOST_OF_IT * at:
        return windows
    literature, half = windows.literature_c.copy(), windows.half_width_c.copy()
    literature[2], half[2] = cut, _HALF_WIDTH_C
    top, doubt = float(curve.temperature_c[late[0].top]), _SHARED_STD * max(low - high, 0.0)
    note = Diagnostic(
        code="TGA_LATE_PEAK",
        severity="warning",
        text=f"A loss peaks at {top:.0f} °C, above where carbonates go ({latest:.0f} °C at this heating rate): "
        f"chlorides evaporate there. The carbonate was ended at {cut:.0f} °C, ± {100 * doubt:.2f} wt%, and the "
        f"{100 * (at - float(smooth[-1])):.2f} % that follow count as residue. Look for halite and sylvite in the "
        "diffraction pattern, or wash the specimen.",
        facts={"peak_c": top, "carbonate_end_c": cut, "lost": at - float(smooth[-1]), "doubt": doubt},
    )
    return Windows(literature_c=literature, half_width_c=half, salt_doubt=doubt, diagnostics=(note,))


def _hydroxyl(peak: Peak, smooth: FloatArray) -> bool:
    """Whether a loss may be the hydroxyl of apatite: still rising at the end, and no more than apatite holds."""
    rising = peak.top > len(smooth) - _END_BINS
    return rising and peak.loss(smooth) < _HYDROXYL_SHARE * float(smooth[-1])
