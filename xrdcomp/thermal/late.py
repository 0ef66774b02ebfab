"""Losses above where carbonates go: evaporating salts, and hydroxyl that begins to leave before."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_ndtr

from xrdcomp.thermal.boundaries import Boundaries
from xrdcomp.thermal.prepare import HeatingCurve
from xrdcomp.thermal.program import GAS_CONSTANT, shift_with_rate
from xrdcomp.thermal.steps import Peak
from xrdcomp.types import Atmosphere, Diagnostic, FloatArray, IntArray
from xrdcomp.units import celsius_to_kelvin

__all__ = ["Windows", "end_carbonate_before_salts", "with_late_front"]

_LATEST_CARBONATE_PEAK_C = 885.0
_ENERGY_KJ = 230.0
_CUT_C, _SHARED_C = 815.0, (780.0, 850.0)
_HALF_WIDTH_C = 3.0
_SHARED_STD = 0.5
_END_BINS = 40
_MOST_OF_IT = 0.8
_HYDROXYL_SHARE = 0.021  # 1.793 % of apatite and the tails of what went before
_HYDROXYL_ALONE_C = 1020.0  # at 10 K/min; halite's and sylvite's losses peak below 1000 °C
_HYDROXYL = 0.01793
_HYDROXYL_ENERGY_KJ, _ENERGY_FACTOR = 280.0, 1.25
_EARLY_HYDROXYL = 0.05
_FRONT_C = 100.0


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
    Where nearly nothing is left (more than 80 % gone), char burnt and no salt evaporated. A loss no larger than
    apatite's hydroxyl that still rises at the end of the run, or peaks above 1020 °C (at 10 K/min), is no salt.
    """
    rate = curve.heating_rate_k_min
    latest = shift_with_rate(_LATEST_CARBONATE_PEAK_C, rate, _ENERGY_KJ)
    alone = shift_with_rate(_HYDROXYL_ALONE_C, rate, _ENERGY_KJ)
    late = [
        p
        for p in peaks
        if curve.temperature_c[p.top] > latest and not _hydroxyl(p, smooth, curve.temperature_c, alone)
    ]
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


def _hydroxyl(peak: Peak, smooth: FloatArray, temperature_c: FloatArray, alone_c: float) -> bool:
    """Whether a loss may be the hydroxyl of apatite.

    It is no more than apatite holds, and still rises at the end of the run or peaks above `alone_c`, where salts have
    evaporated.
    """
    late = peak.top > len(smooth) - _END_BINS or float(temperature_c[peak.top]) > alone_c
    return late and peak.loss(smooth) < _HYDROXYL_SHARE * float(smooth[-1])


def with_late_front(boundaries: Boundaries, curve: HeatingCurve, placement_std_c: float) -> Boundaries:
    """Give back what had left of the hydroxyl before the carbonate's end, from how the loss goes on after it.

    The first part of a thermally activated reaction has gone as T² exp(−E/RT), so that what follows the end of the
    carbonate tells what came before it: the front fitted to the (at most) 100 °C after the boundary is continued
    below it, as far as the loss per °C around the boundary allows. E of dehydroxylation is 280 kJ/mol, known within a
    factor of 1.25 (its stages differ: Wang, Dorner-Reisel & Müller, J. Eur. Ceram. Soc. 24 (2004) 693). Where the
    noise hides the front, or the run ends at the boundary, the prior decides: no loss below nought, and some 5 % of
    the hydroxyl that the residue may hold. The source ``late_loss`` carries noise and energy, and the loss per °C that
    the front does not explain, times `placement_std_c`: it may be either side's.
    """
    at, residue = float(boundaries.progress[2]), max(float(boundaries.mass[2]), 0.0)
    beside = np.flatnonzero(np.abs(curve.progress - at) <= placement_std_c)
    after = np.flatnonzero((curve.progress >= at) & (curve.progress <= at + _FRONT_C))
    left = _not_negative(_amount(curve.progress[beside], curve, beside), np.inf)
    prior = _EARLY_HYDROXYL * _HYDROXYL * residue
    energies = _HYDROXYL_ENERGY_KJ * np.array([1.0 / _ENERGY_FACTOR, 1.0, _ENERGY_FACTOR])
    (low, _), (front, length_c), (high, _) = (_front(curve, after, e, prior) for e in energies)
    given = min(front.value, length_c * left.value)
    unexplained = left.value - given / length_c
    mass, covariance = boundaries.mass.copy(), np.zeros((3, 3))
    mass[2] += given
    covariance[2, 2] = front.variance + 0.25 * (high.value - low.value) ** 2 + (front.value - given) ** 2
    covariance[2, 2] += (placement_std_c * unexplained) ** 2
    return replace(boundaries, mass=mass, covariance={**boundaries.covariance, "late_loss": covariance})


@dataclass(frozen=True, kw_only=True)
class _Amount:
    value: float
    variance: float


def _front(curve: HeatingCurve, after: IntArray, energy_kj: float, prior: float) -> tuple[_Amount, float]:
    """Mass that a late front took before the first of the grid points `after`, and °C over which it grows e-fold."""
    kelvin = celsius_to_kelvin(curve.temperature_c[after])
    energy = 1e3 * energy_kj / GAS_CONSTANT
    gone = (kelvin / kelvin[0]) ** 2 * np.exp(energy * (1.0 / kelvin[0] - 1.0 / kelvin))
    length_c = 1.0 / float(2.0 / kelvin[0] + energy / kelvin[0] ** 2)
    return _not_negative(_amount(gone, curve, after), prior), length_c


def _amount(shape: FloatArray, curve: HeatingCurve, rows: IntArray) -> _Amount:
    """Amount of a loss of known shape at the grid points `rows` by least squares; variance infinite: not known."""
    weights, mass = curve.weights[rows], curve.mass[rows]
    total = max(float(weights.sum()), 1e-12)
    centred = shape - float((weights * shape).sum()) / total
    power = float((weights * centred**2).sum())
    if power <= 1e-9:
        return _Amount(value=0.0, variance=np.inf)
    value = -float((weights * centred * mass).sum()) / power
    return _Amount(value=value, variance=max(curve.bin_noise, 1e-7) ** 2 / power)


def _not_negative(measured: _Amount, prior: float) -> _Amount:
    """Mean and variance of an amount from a measurement and a half-normal prior (infinite: anything above 0)."""
    precision = 1.0 / measured.variance + (prior**-2 if prior > 0 else np.inf)
    if not 0.0 < precision < np.inf:
        return _Amount(value=0.0, variance=0.0)
    std = precision**-0.5
    z = max(measured.value / measured.variance * std, -6.0)
    hazard = float(np.exp(-0.5 * z * z - log_ndtr(z)) / np.sqrt(2.0 * np.pi))
    return _Amount(value=std * (z + hazard), variance=std**2 * max(1.0 - hazard * (z + hazard), 0.0))
