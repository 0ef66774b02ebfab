"""From a thermogravimetric run to one smoothed curve of mass against the progress of heating.

In order: the part of the programme that is heating, and how far it has progressed, holds included; the mass as a
fraction of the start mass on an even grid; blank, buoyancy and drift, which the balance adds to the mass of the
specimen; smoothing that does not move steps, by the noise it has to remove.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import msgspec
import numpy as np
from scipy.linalg import solveh_banded
from scipy.special import ndtr

from xrdcomp.data import Atmosphere, Diagnostic, TgaRun, message_kind
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.units import (
    CELSIUS_ZERO_K,
    GAS_CONSTANT,
    MG_PER_UNIT,
    BoolArray,
    FloatArray,
    IntArray,
    celsius_to_kelvin,
    median,
)

# The 97.5 % quantile of the normal distribution, for every interval of a mass balance. `Estimate.normal` rounds it to
# 1.96 unless told otherwise (component peaks and kinetics leave it so): 2·10⁻⁵ of a half width, below any digit shown.
Z95 = 1.959964
UNIFORM_STD = 3.0**-0.5  # of a quantity anywhere between 0 and 1, about 0
ASSUMED_MG = 10.0  # start mass where none is stated: relative curves are allowed
INERT_GASES = frozenset({"nitrogen", "argon", "helium", "carbon_dioxide"})  # in which organic matter leaves char

COOLING_DROPPED = message_kind("TGA_COOLING_DROPPED", "warning",
    "Points measured while cooling, or while heating again to a temperature already reached, are not used.",
    threshold="1 % of the points; info up to half of them",
)  # fmt: skip
LOSS_BEFORE_START = message_kind("TGA_LOSS_BEFORE_START", "info",
    "The first reading is below the weighed mass of the header; the difference counts as water.",
    threshold="0.5 % of the mass",
)  # fmt: skip
START_MASS = message_kind("TGA_START_MASS", "warning",
    "The header's mass does not fit the curve; the first readings are used as start mass.",
    remedy="Check that the header belongs to this run.",
    threshold="curve starts more than 20 % below or 1 % above the header's mass and does not settle at it",
)  # fmt: skip
NO_START_MASS = message_kind("TGA_NO_START_MASS", "warning",
    "Relative masses without a start mass: the uncertainties of buoyancy and drift are calculated for 10 mg.",
    remedy="Give the start mass.",
)  # fmt: skip
PERCENT_START = message_kind("TGA_PERCENT_START", "warning",
    "A relative curve does not start at 100 %; its scale is kept, so that the first step includes what is missing.",
    threshold="0.5 %",
)  # fmt: skip
GAP = message_kind(
    "TGA_GAP", "warning", "A range without readings; the curve is interpolated there.", threshold="15 °C"
)
NO_BLANK = message_kind(
    "TGA_NO_BLANK", "warning", "No blank run: buoyancy was calculated, removed, and carried as uncertainty.",
    remedy="Give a blank run of the same programme.",
    threshold="info up to an uncertainty of 0.5 wt% at the end",
)  # fmt: skip
JUMP = message_kind("TGA_JUMP", "warning",
    "The mass jumps from one reading to the next: a grain was lost, or the balance was knocked. The jump was taken out "
    "and is no loss of a component; whether what followed is to be scaled is carried as uncertainty.",
    remedy="Repeat the run, with a lid where grains jump.",
    threshold="0.05 %, 8.5 standard uncertainties, ten times the curvature beside it; info below 0.3 %",
)  # fmt: skip
SETTLES = message_kind("TGA_SETTLES", "warning",
    "The mass rises while the heating begins: the balance or the gas had not settled. What it showed before is not "
    "used, and the start mass is unsure by the rise.",
    remedy="Wait for a steady reading before the programme starts, or give the mass weighed in.",
    threshold="0.3 % and six standard deviations within 20 °C of the start, 1 % and 0.1 mg within 80 °C",
)  # fmt: skip
OUTLIERS = message_kind("TGA_OUTLIERS", "info",
    "Single readings, up to three in a row, lie far from those on both sides: a vibration or a damaged value. They are "
    "not used.",
    threshold="0.05 % and 12 robust standard deviations from the median of seven; warning above 1 % of the readings",
)  # fmt: skip
BLANK_RATE = message_kind("TGA_BLANK_RATE", "warning",
    "Blank and specimen were heated at different rates, with which buoyancy and drift differ.",
    remedy="Measure the blank with the same programme.", threshold="5 %",
)  # fmt: skip

# ---- The temperature programme: which part is heating, what is a hold, how fast it went ----

_REFERENCE_RATE = 10.0  # K/min, of the temperatures in the literature
_BURN_FROM_C = 420.0  # char burns from here on
_OVERSHOOT_C, _LONGEST_HOLDS_C, _HEATING_SHARE = 15.0, 800.0, 0.25
_BURNS_LATER, _ENDS = 0.01, 5  # of the start mass, more than buoyancy changes; readings for a level
_STANDING_READINGS, _STANDING_SHARE = 20, 0.03  # readings at one temperature that are a hold, without times


def heating_part(run: TgaRun) -> tuple[IntArray, tuple[Diagnostic, ...]]:
    """Indices of the points at which the specimen is hotter than ever before, holds and overshoots included.

    Cooling parts drop out, and so does a second heating up to the temperature already reached, so that mass is a
    function of the progress of the programme. Temperatures less than 15 °C below the highest one so far count as hold
    or overshoot, and so do later readings above 420 °C where more than 1 % is lost in them.
    """
    temperature = run.temperature_c
    top = int(np.argmax(temperature))
    # a furnace that is still warm from the run before cools first: heating starts near the coldest point before the top
    start = int(np.argmax(temperature[: top + 1] <= temperature[: top + 1].min() + 20.0))
    highest = np.maximum.accumulate(temperature[start:])
    index: IntArray = start + np.flatnonzero(temperature[start:] >= highest - _OVERSHOOT_C)
    # the first degrees of the final cooling lie within that tolerance too; a hold stays near one level, a cooling does
    # not
    kept = temperature[index]
    top = int(np.argmax(kept))
    tail = kept[top:]
    if len(tail) >= 3:
        level = float(np.median(tail))
        holds = float((np.abs(tail - level) <= 1.0).mean()) > 0.5
        lowest = level - 1.0 if holds else float(tail[0]) - 1.0
        index = index[: top + int(np.flatnonzero(tail >= lowest)[-1]) + 1]
    # ash is often weighed below the top: what burns there while hot, after a cooling, goes on as on a hold
    later = index[-1] + 1 + np.flatnonzero(temperature[index[-1] + 1 :] >= _BURN_FROM_C)
    if len(later) > _ENDS:
        first, last, ash = (float(np.median(run.mass[i])) for i in (index[:_ENDS], index[-_ENDS:], later[-_ENDS:]))
        if last - ash > _BURNS_LATER * first:
            index = np.concatenate((index, later))
    dropped = len(run) - len(index)
    if dropped < 0.01 * len(run):
        return index, ()
    note = COOLING_DROPPED(
        f"{dropped} of {len(run)} points were measured while cooling, or while heating again to a temperature already "
        "reached; they are not used.",
        points_dropped=dropped,
    )
    return index, (note if dropped > 0.5 * len(run) else replace(note, severity="info"),)


def minutes_of(run: TgaRun, index: IntArray) -> FloatArray | None:
    """Minutes since the first point used, without those of points left out; AnalysisError where time runs backwards."""
    if run.time_s is None:
        return None
    steps = np.diff(run.time_s[index]) / 60.0
    if (steps < 0).any():
        i = int(index[int(np.argmax(steps < 0)) + 1])
        raise AnalysisError(
            f"time runs backwards at point {i} ({run.time_s[i]:g} s). The file may hold two runs one after "
            "the other; analyse them one by one."
        )
    jumps = np.diff(index) > 1
    if jumps.any():
        steps = np.where(jumps, np.median(steps), steps)
    return np.concatenate(([0.0], np.cumsum(steps)))


def progress_axis(run: TgaRun, index: IntArray) -> tuple[FloatArray, float | None]:
    """Progress of the programme in °C and the heating rate in K/min.

    While heating, progress equals temperature; during a hold it goes on at the heating rate, so that a loss per
    progress is a loss per time everywhere. Holds together count for at most 800 °C. Without times it is the highest
    temperature so far. Raises AnalysisError where time runs backwards.
    """
    temperature, stated = run.temperature_c[index], run.heating_rate_k_min
    clock = minutes_of(run, index)
    if clock is None:
        # without times the order of readings is kept where they stand still: they are taken to be evenly spaced
        highest: FloatArray = np.maximum.accumulate(temperature)
        rises = np.diff(highest)
        moving = rises > 0.2 * (float(np.median(rises[rises > 0])) if (rises > 0).any() else 0.0)
        standing = np.diff(np.flatnonzero(np.concatenate(([True], moving, [True]))))
        if not moving.any() or standing.max() < max(_STANDING_READINGS, _STANDING_SHARE * len(rises)):
            return highest, stated
    minutes: FloatArray = np.arange(len(index), dtype=float) if clock is None else clock
    if clock is None:
        minutes *= float(np.median(rises[moving])) / (stated or _REFERENCE_RATE)
    if minutes[-1] - minutes[0] <= 0:
        return np.maximum.accumulate(temperature), stated
    # speeds between single readings are all noise: they are taken between means of the readings nearest to even nodes
    nodes = np.linspace(minutes[0], minutes[-1], min(max(len(minutes) // 2, 4), 1500))
    bins = np.searchsorted(nodes + 0.5 * (nodes[1] - nodes[0]), minutes).clip(0, len(nodes) - 1)
    at_nodes, means = averages(bins, len(nodes), minutes, temperature)
    rise, passed = np.diff(np.maximum.accumulate(means)), np.diff(at_nodes)
    speeds = rise / passed
    # the rate is the median where the furnace moves at all, so that holds of any length do not lower it
    moving = speeds > max(0.3, 0.1 * float(np.percentile(speeds, 90)))
    rate = float(np.median(speeds[moving])) if moving.any() else None
    nominal = rate or stated or _REFERENCE_RATE
    heating = speeds > _HEATING_SHARE * nominal
    held = nominal * float(passed[~heating].sum())
    # an overnight hold would leave no bins for the heating
    share = min(1.0, _LONGEST_HOLDS_C / held) if held > 0 else 1.0
    increments = np.where(heating, rise, np.maximum(rise, share * nominal * passed))
    reached = means[0] + np.concatenate(([0.0], np.cumsum(increments)))
    # readings before the first mean and after the last one go on at the speed beside them
    lead = increments[0] / passed[0] * (at_nodes[0] - minutes[0])
    tail = increments[-1] / passed[-1] * (minutes[-1] - at_nodes[-1])
    ends = np.concatenate(([minutes[0]], at_nodes, [minutes[-1]]))
    reached = np.concatenate(([reached[0] - lead], reached, [reached[-1] + tail]))
    progress: FloatArray = np.interp(minutes, ends, reached)
    return progress, rate if rate is not None and clock is not None else stated


def shift_with_rate(temperature_c: float, rate_k_min: float | None, activation_energy_kj: float) -> float:
    """Temperature in °C, known at 10 K/min, at another heating rate; None moves nothing.

    ΔT = R T²/E · ln(rate/10), the first order of Kissinger's equation (Anal. Chem. 29 (1957) 1702): a faster run moves
    a step up, a larger E (kJ/mol) moves it less. Limited to ±100 °C.
    """
    if rate_k_min is None or rate_k_min <= 0:
        return temperature_c
    kelvin = temperature_c + CELSIUS_ZERO_K
    shift = GAS_CONSTANT * kelvin**2 / (1e3 * activation_energy_kj) * np.log(rate_k_min / _REFERENCE_RATE)
    return temperature_c + float(np.clip(shift, -100.0, 100.0))


# ---- Smoothing by penalised least squares with third differences ----
# (Whittaker 1923; Eilers, Anal. Chem. 75 (2003) 3631): minimise Σ w (y − z)² + λ Σ (Δ³z)². The operator is symmetric,
# so a symmetric step stays where it is, a local parabola passes unchanged, the ends need no special case, and the work
# is linear in the number of points.

_DIFFERENCE = np.array([-1.0, 3.0, -3.0, 1.0])
_LENGTHS = (0.7, 1.0, 1.5, 2.2, 3.2, 4.7, 6.8, 10.0, 14.5)
_MIN_WEIGHT = 1e-4
_MAX_LENGTH = 30.0  # keeps the banded system well conditioned


def reached_as_at_10(curve: HeatingCurve, temperature_c: float, activation_energy_kj: float) -> float:
    """Progress (°C) at which a programme, holds included, has done what 10 K/min do up to a temperature.

    ∫ exp(−E/RT) dt is the same there: half an hour at 350 °C takes a reaction as far as heating to 400 °C. At another
    constant rate it is `shift_with_rate` within the first order of its equation.
    """
    energy_k = 1e3 * activation_energy_kj / GAS_CONSTANT
    at = float(celsius_to_kelvin(temperature_c))
    rates = np.exp(energy_k / at - energy_k / celsius_to_kelvin(curve.temperature_c))
    done = np.concatenate(([0.0], np.cumsum(0.5 * (rates[1:] + rates[:-1]) * np.diff(curve.minutes))))
    # of a ramp, by the asymptotic series of the temperature integral
    wanted = at**2 / energy_k * (1.0 - 2.0 * at / energy_k) / _REFERENCE_RATE
    return float(np.interp(wanted, done, curve.progress))


def whittaker(values: FloatArray, weights: FloatArray, length: float) -> FloatArray:
    """Smooth one curve (n,) or several (n, k) on an even grid.

    λ = length⁶, with a length of at most 30 nodes: ripples of a wavelength 2π·length are halved, shorter ones removed,
    longer ones kept. Larger values smooth more. A weight of 0 marks a node without data, which is interpolated.
    """
    n = len(values)
    if length <= 0 or n < 5:
        return np.array(values, dtype=float)
    weight = np.maximum(weights, _MIN_WEIGHT)
    # lower bands of DᵀD, D being the matrix of third differences
    bands = np.zeros((4, n))
    for offset in range(4):
        for i in range(4 - offset):
            bands[offset, i : i + n - 3] += _DIFFERENCE[i] * _DIFFERENCE[i + offset]
    bands *= min(length, _MAX_LENGTH) ** 6
    bands[0] += weight
    # curve after curve, as LAPACK solves for them
    right = np.multiply((weight if values.ndim == 1 else weight[:, None]), values, order="F")
    return solveh_banded(bands, right, lower=True, overwrite_ab=True, overwrite_b=True)


def derivative(values: FloatArray, step: float) -> FloatArray:
    """Central first derivative along the first axis of an evenly spaced curve."""
    return np.gradient(values, step, axis=0)


def estimate_noise(values: FloatArray, counts: FloatArray) -> float:
    """Standard deviation of a single reading, from third differences of neighbouring bin means.

    The median absolute deviation is used, so that the few bins inside steps do not count. Noise that is correlated over
    less than one bin is included as far as it survives the averaging.
    """
    if len(values) < 8:
        return 0.0
    third = np.convolve(values, _DIFFERENCE, mode="valid")
    full = np.minimum.reduce([counts[i : len(counts) - 3 + i] for i in range(4)]) > 0
    if full.sum() < 8:
        return 0.0
    inverse = np.convolve(1.0 / np.maximum(counts, 1.0), _DIFFERENCE**2, mode="valid")
    scaled = third[full] / np.sqrt(inverse[full])
    return median(np.abs(scaled - median(scaled))) / 0.6745


def choose_length(values: FloatArray, counts: FloatArray, noise: float, *, shortest: float) -> float:
    """Smoothing length in nodes, at least `shortest`, of least Σ w (y − z)² + 2 σ² tr(S) (Mallows' Cp)."""
    mean_count = max(float(counts[counts > 0].mean()), 1e-12)
    weights = counts / mean_count
    variance = noise**2 / mean_count
    omega = np.pi * (np.arange(len(values)) + 0.5) / len(values)
    best, best_risk = shortest, np.inf
    for length in sorted({max(candidate, shortest) for candidate in _LENGTHS}):
        residual = values - whittaker(values, weights, length)
        # the trace from the smoother's transfer function, as if the grid had no ends
        trace = float((1.0 / (1.0 + (length**2 * (2.0 - 2.0 * np.cos(omega))) ** 3)).sum())
        risk = float((weights * residual**2).sum()) + 2.0 * variance * trace
        if risk < best_risk:
            best, best_risk = length, risk
    return best


def smoothed_std(noise: float, length: float) -> float:
    """Standard deviation inside the smoothed curve for white noise σ per node: σ² (1/π) ∫ dω / (1 + (length·ω)⁶)²."""
    # the integral is 0.278 π / length
    return float(noise * min(1.0, np.sqrt(0.2778 / max(length, 0.1))))


def end_factor(weights: FloatArray, length: float) -> float:
    """Standard deviation of the first smoothed value, for white noise of 1 at nodes of weight 1.

    The first row of the smoother is (W + λ DᵀD)⁻¹ W, so that Σ wᵢ gᵢ² is its variance, g being the first column of the
    symmetric inverse. Where the first nodes hold no data, it grows as extrapolation does. `weights` are readings per
    node relative to their mean.
    """
    unit = np.zeros(len(weights))
    unit[0] = 1.0 / max(float(weights[0]), _MIN_WEIGHT)
    column = whittaker(unit, weights, length)
    return float(np.sqrt((weights * column**2).sum()))


def derivative_std(noise: float, length: float) -> float:
    """Standard deviation of the smoothed slope per node: sqrt(σ² / (12 length³))."""
    return float(noise * min(np.sqrt(0.5), np.sqrt(1.0 / (12.0 * max(length, 0.1) ** 3))))


# ---- From a run as read to one heating curve: units, start mass, heating part, even grid ----

_MIN_POINTS, _MAX_NODES, _RATE_BINS = 20, 2500, 4
# readings that show a slope, and standard deviations; robust ones of so few readings are uncertain by a third
_MIN_TREND, _CLEAR_TREND, _STARTS_WITHIN_C = 5, 5.0, 3.0
_GAP_C, _BURNS_WITHIN_C = 15.0, 30.0  # of progress


@dataclass(frozen=True, kw_only=True)
class MassCurve:
    """Mass as a fraction of the start mass, point by point."""

    mass: FloatArray
    start_mass_mg: float | None  # None where only relative mass is known
    from_header: bool  # the denominator is the weighed mass of the header, not the first points of the curve
    settling: float = 0.0  # rise of the first readings, over the start mass
    messages: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HeatingCurve(MassCurve):
    """The heating part on an even grid of progress: temperature while heating, holds stretched by time; bin means."""

    progress: FloatArray  # °C, middles of the bins
    temperature_c: FloatArray
    minutes: FloatArray  # from the first point kept
    counts: FloatArray  # readings in each bin; where there are none the values are interpolated
    rate: FloatArray  # progress per minute
    noise: float  # standard deviation of one reading as a fraction of the start mass
    gas_from: tuple[float, ...] = ()  # progress from which each later gas flows; infinite for one not reached
    jump_std: FloatArray | None = None  # standard uncertainty of the mass from jumps that were taken out
    heating_rate_k_min: float | None

    @property
    def step(self) -> float:
        """Width of a bin, °C of progress."""
        return float(self.progress[1] - self.progress[0])

    @cached_property
    def mean_count(self) -> float:
        """Mean number of readings over the bins that have any."""
        return float(self.counts[self.counts > 0].mean()) if self.counts.any() else 1.0

    @cached_property
    def weights(self) -> FloatArray:
        """Readings per bin relative to their mean."""
        return self.counts / self.mean_count

    @cached_property
    def bin_noise(self) -> float:
        """Standard deviation of a bin mean with the average number of readings."""
        return self.noise / float(np.sqrt(self.mean_count))

    @property
    def start_std(self) -> float:
        """Relative uncertainty of the start mass: 1 µg of the balance, or noise and settling of the first bins."""
        from_balance = 1e-3 / (self.start_mass_mg or ASSUMED_MG)
        if self.from_header:
            return from_balance
        noise = self.noise / float(np.sqrt(max(self.counts[:3].sum(), 1.0)))
        return float(np.linalg.norm((from_balance, noise, self.settling)))

    def index_at(self, progress: float) -> int:
        """Grid point nearest to a progress in °C."""
        return int(np.argmin(np.abs(self.progress - progress)))


def prepare(run: TgaRun) -> HeatingCurve:
    """Heating curve of a run; AnalysisError for fewer than 20 points, no mass, or time that runs backwards."""
    if len(run) < _MIN_POINTS:
        msg = f"{_name(run)}: {len(run)} points are too few for a mass balance; {_MIN_POINTS} are needed."
        raise AnalysisError(msg)
    settled, rise, unsettled = without_settling(run)
    masses = to_mass_fraction(settled)
    index, dropped = heating_part(run)
    progress, heating_rate = progress_axis(run, index)
    places = [int(np.searchsorted(index, start)) for start in run.gas_starts()]
    gas_from = tuple(float(progress[i]) if i < len(progress) else np.inf for i in places)
    gases = np.array([run.atmosphere, *(change.gas for change in run.gas_changes)])
    under = gases[np.searchsorted(np.array(places), np.arange(len(index)), side="right")]
    hot, told = run.temperature_c[index] >= _BURN_FROM_C, len(places) > 0
    may_burn = hot & (told | np.isin(under, [*INERT_GASES, "unknown"]))
    # what waits for oxygen falls abruptly when it comes
    comes = np.any([(progress[1:] >= at) & (progress[:-1] <= at + _BURNS_WITHIN_C) for at in gas_from], axis=0)
    in_line, outliers = without_outliers(masses.mass[index], progress)
    mended = without_jumps(in_line, progress, run.temperature_c[index], may_burn, (np.diff(index) > 1) | comes)
    # bins of about 1 °C, wider where readings are sparse or the run is so long that smoothing it would be slow
    span = float(progress[-1] - progress[0])
    spacing = float(np.median(np.diff(progress)[np.diff(progress) > 0])) if span > 0 else 1.0
    step = max(1.0 if span > 200 else span / 200, spacing, span / _MAX_NODES, 1e-3)
    n = max(int(np.ceil(span / step)), 8)
    step = span / n if span > 0 else 1.0
    edges = progress[0] + step * np.arange(n + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    bins = np.clip(np.searchsorted(edges, progress, side="right") - 1, 0, n - 1)
    counts = np.bincount(bins, minlength=n).astype(float)
    clock = minutes_of(run, index)
    if clock is None:
        clock = (progress - progress[0]) / (heating_rate or _REFERENCE_RATE)
    temperature, minutes, mass = (
        bin_means(values, progress, bins, centres) for values in (run.temperature_c[index], clock, mended.mass)
    )
    burns = (
        np.interp(
            centres, progress, (may_burn | np.append(np.broadcast_to(comes, len(index) - 1), False)).astype(float)
        )
        > 0.0
    )
    filtered = without_filtered_jumps(mass, centres, temperature, burns, counts, told=told)
    mass = filtered.mass
    jump_std = None if mended.std is None else bin_means(mended.std, progress, bins, centres)
    if filtered.std is not None:
        jump_std = filtered.std if jump_std is None else np.hypot(jump_std, filtered.std)
    # progress per minute over four bins to both sides, at most ten times the heating rate: clocks stand still in places
    after = np.minimum(np.arange(n) + _RATE_BINS, n - 1)
    before = np.maximum(np.arange(n) - _RATE_BINS, 0)
    passed = np.maximum(minutes[after] - minutes[before], 0.0)
    shortest = step * (after - before) / (10.0 * (heating_rate or _REFERENCE_RATE))
    curve = HeatingCurve(
        progress=centres,
        temperature_c=np.maximum.accumulate(temperature),
        minutes=minutes,
        mass=mass,
        counts=counts,
        rate=step * (after - before) / np.maximum(passed, shortest),
        noise=estimate_noise(mass, counts),
        heating_rate_k_min=heating_rate,
        start_mass_mg=masses.start_mass_mg,
        from_header=masses.from_header,
        settling=rise,
        messages=unsettled + masses.messages + dropped + outliers + mended.messages + filtered.messages,
        gas_from=gas_from,
        jump_std=jump_std,
    )
    return replace(curve, messages=curve.messages + _gaps(curve))


# °C above the start, and rises that are the balance's: of the mass, and mg (buoyancy of a whole carrier of 0.28 cm³
# gains 0.07 mg over 80 °C)
_SETTLES_WITHIN, _SETTLING_SIGMAS = ((20.0, 0.003, 0.0), (80.0, 0.01, 0.1)), 6.0


def without_settling(run: TgaRun) -> tuple[TgaRun, float, tuple[Diagnostic, ...]]:
    """Run whose mass does not rise while the heating begins, the rise over the mass, and a message of it.

    No specimen gains mass within 20 °C of where it starts, nor 1 % within 80 °C, and buoyancy changes by less: a
    balance that was just closed, or a gas just turned on, settles. Readings before the highest are set to it.
    """
    half, noise = _MEDIAN_OF // 2, _lasting_noise(run.mass)
    for within_c, least, least_mg in _SETTLES_WITHIN:
        early = run.mass[: int(np.argmax(run.temperature_c > run.temperature_c[0] + within_c))]
        if len(early) < _MEDIAN_OF:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(early, half, mode="edge"), _MEDIAN_OF)
        medians = np.median(windows, axis=1)
        top = int(np.argmax(medians))
        highest = float(medians[top])
        scale = MG_PER_UNIT.get(run.mass_unit) or (run.initial_mass_mg or ASSUMED_MG) / max(highest, 1e-12)
        rise = highest - float(early[0])
        if highest <= 0.0 or rise <= max(least * highest, least_mg / scale, _SETTLING_SIGMAS * noise):
            continue
        mass, share = run.mass.copy(), rise / highest
        mass[:top] = highest
        text = (
            f"The mass rises by {100 * share:.2f} % up to {run.temperature_c[top]:.0f} °C, while the heating begins: "
        )
        text += f"the balance or the gas had not settled. {SETTLES.remedy}"
        return replace(run, mass=mass), share, (SETTLES(text, rise=share),)
    return run, 0.0, ()


# Hampel's filter [Hampel, J. Am. Stat. Assoc. 69 (1974) 383]: readings of a median, which up to three in a row do not
# move; standard deviations off it, far beyond what noise does; last digits; share of readings that deserves a warning
_MEDIAN_OF, _OUTLIER_SIGMAS, _LEAST_OUTLIER, _DIGITS, _MANY_OUTLIERS = 7, 12.0, 5e-4, 3.0, 0.01


def without_outliers(mass: FloatArray, progress: FloatArray) -> tuple[FloatArray, tuple[Diagnostic, ...]]:
    """Mass with readings that leave their neighbours and come back put onto the line between these.

    No specimen gains and loses mass within three readings. The median of seven readings follows any loss that goes one
    way, a jump too, so that only what comes back lies off it.
    """
    half = _MEDIAN_OF // 2
    if len(mass) < 4 * _MEDIAN_OF:
        return mass, ()
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(mass, half, mode="edge"), _MEDIAN_OF)
    off = np.abs(mass - np.median(windows, axis=1))
    steps = np.abs(np.diff(mass))
    last_digit = float(steps[steps > 0].min()) if steps.any() else 0.0  # rounded masses go to and fro by it
    limit = max(_LEAST_OUTLIER, _OUTLIER_SIGMAS * _lasting_noise(mass), _DIGITS * last_digit)
    out = np.zeros(len(mass), dtype=bool)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (off > limit).astype(int), [0]))))
    for begin, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        # off the lines of both sides, and to one side: the first reading after a jump lies on what follows
        if stop - begin <= half <= begin and stop + half <= len(mass):
            inside, beside = np.arange(begin, stop), np.arange(half)
            before = np.polyval(np.polyfit(beside - half, mass[begin - half : begin], 1), inside - begin)
            after = np.polyval(np.polyfit(beside, mass[stop : stop + half], 1), inside - stop)
            apart = np.stack((mass[inside] - before, mass[inside] - after))
            out[inside] = (np.abs(apart) > limit).all() and len(np.unique(np.sign(apart))) == 1
    if not out.any():
        return mass, ()
    mended, kept = mass.copy(), ~out
    mended[out] = np.interp(np.flatnonzero(out), np.flatnonzero(kept), mass[kept])
    first = progress[int(np.argmax(out))]
    text = f"{int(out.sum())} of {len(mass)} readings, the first at {first:.0f} °C of progress, lie "
    text += f"up to {100 * off[out].max():.2f} % off those before and after them: not used."
    note = OUTLIERS(text, readings=int(out.sum()), farthest=float(off[out].max()))
    return mended, (replace(note, severity="warning") if out.mean() > _MANY_OUTLIERS else note,)


# Readings beside a jump, through which lines are drawn; times their residuals that the lines lie apart, by the readings
# that the jump takes: a logistic step over 1.5 readings (full width at half maximum of its rate) comes to 9.5, one over
# 2 readings to 18 and over 3 to 21, a loss that begins at once and decays over 2 readings or more to 10, 19 and 37.
_JUMP_BESIDE, _JUMP_CONTRAST = (6, 15), (10.0, 20.0, 40.0)
_JUMP_SPAN_C, _JUMP_SIGMAS, _LEAST_JUMP, _JUMP_SLOPES, _EVEN, _NOTICED = 4.0, 8.5, 5e-4, 1.5, 3.0, 0.003
_MOST_OF_A_SPECIMEN = 0.8  # of the mass before: a larger jump is a disturbance of the balance
_STANDS, _STANDS_C, _BLOCK = 6, 5.0, 6  # readings beside a jump, over which temperature stands as on a hold; a block


@dataclass(frozen=True, kw_only=True)
class Mended:
    """Readings without their jumps; `std` is what stays unsure of each, None where there was no jump."""

    mass: FloatArray
    std: FloatArray | None = None
    messages: tuple[Diagnostic, ...] = ()


def without_jumps(
    mass: FloatArray, progress: FloatArray, temperature_c: FloatArray, may_burn: BoolArray, unlike: BoolArray
) -> Mended:
    """Take out changes of mass over one to three readings that no reaction explains.

    A jump sets two lines through the six (or fifteen) readings before and after it apart, by more than the curvature
    of any reaction, the noise, and the change of slope would. What follows a lost grain belongs to a smaller specimen,
    what follows a knock to the same: the mean of shifting and scaling is taken, anything between as likely. Where char
    may burn (`may_burn`) and the temperature stands, a fall is left to it. Nothing is judged among the first and last
    six readings, where a balance settles, nor beside neighbours that are `unlike`: readings between them were left out,
    or the gas changed.
    """
    found: dict[int, tuple[int, float]] = {}  # last reading before each jump: readings it takes, size
    noise, lines = _lasting_noise(mass), [_Lines.through(mass, beside) for beside in _JUMP_BESIDE]
    for width, contrast in enumerate(_JUMP_CONTRAST, start=1):
        for beside, fitted in zip(_JUMP_BESIDE, lines, strict=True):
            for k, size in _breaks(fitted, progress, width, beside, contrast, noise):
                stop = k + width
                taken = any(k < start + taking and start < stop for start, (taking, _) in found.items())
                around = temperature_c[max(k - _STANDS, 0) : stop + _STANDS + 1]
                burns = may_burn[k] and size < 0 and (around[-1] - around[0] < _STANDS_C or width > 1)
                # the edges of a jump over several readings are parts of it: nothing inside may turn back
                one_way = bool((np.diff(mass[k : stop + 1]) * size > 0).all())
                apart = unlike[max(k - beside, 0) : stop + beside].any()
                # readings of nothing, or of less, are no specimen that lost a grain
                weighed = mass[stop] > 0.0 and abs(size) < _MOST_OF_A_SPECIMEN * mass[k]
                far = progress[stop] - progress[k] > _JUMP_SPAN_C
                if one_way and weighed and not (taken or burns or apart or far):
                    found[k] = width, size
    if not found:
        return Mended(mass=mass)
    out, std, texts = mass.copy(), np.zeros(len(mass)), []
    for start, (width, size) in sorted(found.items()):
        stop = start + width
        shifted, scaled = out[stop:] - size, out[stop:] * (1.0 - size / max(float(out[stop]), 1e-6))
        if size > 0:  # nothing falls into the pan
            scaled = shifted
        std[stop:] += 0.5 * UNIFORM_STD * np.abs(shifted - scaled)
        out[stop:] = 0.5 * (shifted + scaled)
        out[start + 1 : stop] = np.interp(progress[start + 1 : stop], progress[[start, stop]], out[[start, stop]])
        texts.append(f"{100 * size:+.2f} % at {temperature_c[stop]:.0f} °C")
    text = f"The mass jumps by {', '.join(texts)}, from one reading to the next: a grain that was lost, or a knock. "
    note = JUMP(
        text + "Taken out, no component; what followed is unsure by it.",
        jumps=len(found),
        lost=-sum(size for _, size in found.values()),
    )
    small = sum(abs(size) for _, size in found.values()) < _NOTICED
    return Mended(mass=out, std=std, messages=(replace(note, severity="info") if small else note,))


# A jump that a filter broadened into a Gaussian of standard deviation s changes tenfold over 2.15 s, a reaction over
# 2.30 R T²/E: with more than 600 kJ/mol there is none. Widths tried, over that limit; the misfit of what is taken out,
# and the gain over no jump; half of the windows in limits, and the widest jump found in each.
_FASTEST_KJ, _FILTERED, _MISFIT, _GAIN_OVER_NONE = 600.0, (0.1, 0.15, 0.25, 0.4, 0.63, 1.0, 1.6, 2.5), 0.02, 4.0
_WINDOWS = (5.0, 0.63), (2.5, 0.4)
_FEWEST_BINS, _LEAST_FILTERED, _MOST_JUMPS, _STEPLIKE, _HEATED, _STANDS_OUT = 8, 0.002, 6, 0.4, 0.8, 0.65
_OFFSETS = np.arange(-1.5, 1.51, 0.25)
# char over the loss that left it is 0.14 or more of protein and polysaccharide; of fat and vinyl polymers it is so
# little that the interval of their char holds it, burnt or not
_LEAST_OF_CHARRED = 0.08
_MOST_FILTERED = 0.05  # more is rather a decomposition that heated itself (15 % of a coordination polymer at 360 °C)


def without_filtered_jumps(
    mass: FloatArray,
    progress: FloatArray,
    temperature_c: FloatArray,
    may_burn: BoolArray,
    counts: FloatArray,
    *,
    told: bool = True,
) -> Mended:
    """Take out jumps that smoothing of the export broadened, of even bins of readings.

    Around each place a cubic and a broadened step, symmetric as of most filters or decaying as of a time constant, are
    fitted over a range in which reactions bend little, for widths below and above the limit of what a reaction can be.
    A jump is what a width below that limit describes best, to 2 % of it, and four times as well as the cubic alone.
    A fall where char may burn is left to it; where no change of gas was `told`, only one that may be all the char of
    what went before.
    """
    step = float(progress[1] - progress[0])
    charring = float(np.interp(_CHARRED_FROM_C, np.maximum.accumulate(temperature_c), mass))
    limits = GAS_CONSTANT * celsius_to_kelvin(temperature_c) ** 2 / (1e3 * _FASTEST_KJ)
    noise = estimate_noise(mass, counts) / float(np.sqrt(max(counts[counts > 0].mean(), 1.0)))
    out, std = mass.copy(), np.zeros(len(mass))
    sizes: list[float] = []
    texts: list[str] = []
    # the change of mass within two limits that a rate which changes evenly does not explain, and within four: of a
    # smooth curve it grows with the third power of the range, of a step hardly
    reach = np.maximum((2.0 * limits / step).astype(int), 2)
    near, wide = (_uneven(mass, factor * reach) for factor in (1, 2))
    candidates = np.where(np.abs(near) > np.maximum(0.5 * _LEAST_FILTERED, _STEPLIKE * np.abs(wide)), np.abs(near), 0.0)
    change, taken = derivative(mass, step), np.zeros(len(mass), dtype=bool)
    for near_it in np.argsort(-candidates).tolist():
        if candidates[near_it] <= 0.0 or len(sizes) == _MOST_JUMPS:
            break
        first, last = max(near_it - reach[near_it], 0), min(near_it + reach[near_it], len(mass) - 1)
        # a jump down is where most is lost, one up where the mass rises
        place = first + int(np.argmax(-np.sign(near[near_it]) * change[first : last + 1]))
        if taken[place] or place in (first, last) or change[place] * near[near_it] > 0.0:
            continue
        taken[place] = True
        found, low, high = None, 0, 0
        for window, most in _WINDOWS:
            least = max(int(_WINDOWS[-1][0] * limits[place] / step), _FEWEST_BINS)
            half = min(max(int(window * limits[place] / step), least), place, len(mass) - 1 - place)
            low, high = place - half, place + half + 1
            heated = temperature_c[high - 1] - temperature_c[low] > _HEATED * (high - 1 - low) * step
            # at the ends nothing is judged, nor where readings are missing, or a hold begins or ends
            if half < least or not heated or (counts[low:high] == 0).any():
                continue
            found = _filtered_jump(out[low:high], step, float(limits[place]), most, max(noise, 1e-7))
            if found is not None:
                break
        if found is None:
            continue
        little = not told and -found.size < _LEAST_OF_CHARRED * (charring - float(out[low]))
        if may_burn[place] and found.size < 0 and not little:
            continue
        # it stands out of the rates on both sides, which the sharp end of a reaction does not
        away = max(int(np.ceil(1.1 * found.width_c / step)), 2)
        rates = np.sign(found.size) * change[[place - away, place, place + away]]
        if rates[1] - max(rates[0], rates[2]) < _STANDS_OUT * abs(found.size) * derivative(found.shape, step).max():
            continue
        taken[max(place - 2 * reach[place], 0) : place + 2 * reach[place] + 1] = True
        done = np.concatenate((np.zeros(low), found.shape, np.ones(len(mass) - high)))
        after = float(out[high - 1])
        if after <= 0.0 or abs(found.size) > _MOST_FILTERED:
            continue
        shifted = out - found.size * done
        scaled = shifted if found.size > 0 else out * (1.0 - done * found.size / after)
        std = np.hypot(std, np.hypot(0.5 * UNIFORM_STD * (shifted - scaled), found.std * done))
        out = 0.5 * (shifted + scaled)
        sizes.append(found.size)
        texts.append(f"{100 * found.size:+.2f} % at {temperature_c[place]:.0f} °C, over {found.width_c:.0f} °C")
    if not sizes:
        return Mended(mass=mass)
    text = f"The mass changes by {', '.join(texts)}, faster than any reaction: a jump that smoothing of the export "
    note = JUMP(f"{text}broadened. Taken out, no component; what followed is unsure by it.", jumps=len(sizes),
                lost=-sum(sizes))  # fmt: skip
    return Mended(mass=out, std=std, messages=(note,))


@dataclass(frozen=True, kw_only=True)
class _Filtered:
    """A broadened jump: size and standard uncertainty, what of it has come at each bin, full width at half maximum."""

    size: float
    std: float
    shape: FloatArray
    width_c: float


def _filtered_jump(mass: FloatArray, step: float, limit_c: float, most: float, noise: float) -> _Filtered | None:
    """Broadened jump in the middle of some bins, no wider than `most` of the limit, or None where they show none."""
    half = len(mass) // 2
    u = step * (np.arange(len(mass)) - half)
    basis = _cubics(half)  # without what a cubic describes
    left, flattest = mass - basis @ (basis.T @ mass), ndtr(u / (most * limit_c))
    # of all jumps that may count this one leaves the least; nearly everywhere not even that is left
    if left @ left < _LEAST_FILTERED**2 * (flattest @ flattest - float(((basis.T @ flattest) ** 2).sum())):
        return None
    widths = np.array(_FILTERED) * limit_c
    tried = [(width, offset) for width in widths.tolist() for offset in (max(width, step) * _OFFSETS).tolist()]
    since = (u[:, None] - np.array([offset for _, offset in tried])) / np.array([width for width, _ in tried])
    shapes = np.hstack((ndtr(since), -np.expm1(-np.clip(since, 0.0, None))))
    rest = shapes - basis @ (basis.T @ shapes)
    power = np.maximum((rest**2).sum(axis=0), 1e-9)
    sizes = left @ rest / power
    misfits = np.sqrt(np.clip(left @ left - sizes**2 * power, 0.0, None) / len(mass))
    best = int(np.argmin(misfits))
    width, size, misfit = tried[best % len(tried)][0], float(sizes[best]), float(misfits[best])
    std = max(misfit, noise) / float(np.sqrt(power[best]))
    clear = misfit < max(1.5 * noise, _MISFIT * abs(size)) and float(np.sqrt(left @ left / len(mass))) > (
        _GAIN_OVER_NONE * misfit
    )
    if not clear or width > most * limit_c or abs(size) < max(_LEAST_FILTERED, _JUMP_SIGMAS * std):
        return None
    full = 2.355 if best < len(tried) else float(np.log(2.0))
    return _Filtered(size=size, std=std, shape=shapes[:, best], width_c=full * width)


@lru_cache(maxsize=64)
def _cubics(half: int) -> FloatArray:
    """Orthonormal basis (2 half + 1, 4) of the cubics on even bins about their middle."""
    basis: FloatArray = np.linalg.qr(np.vander(np.arange(-half, half + 1) / half, 4))[0]
    basis.flags.writeable = False
    return basis


def _lasting_noise(mass: FloatArray) -> float:
    """Noise of a reading where balances that filter or wander have some that lasts a few readings."""
    blocks = mass[: len(mass) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).mean(axis=1)
    lasting = float(np.sqrt(_BLOCK)) * estimate_noise(blocks, np.ones(len(blocks)))
    return max(estimate_noise(mass, np.ones(len(mass))), lasting)


def _uneven(mass: FloatArray, reach: IntArray) -> FloatArray:
    """Loss of mass within `reach` of each bin beyond what the loss within twice as much explains."""
    places, last = np.arange(len(mass)), len(mass) - 1
    change = [mass[(places - k * reach).clip(0)] - mass[(places + k * reach).clip(0, last)] for k in (1, 2)]
    return np.asarray(2.0 * change[0] - change[1])


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """Straight lines through some readings each, one after another: mean, slope a reading, sum of squares beside."""

    mean: FloatArray
    slope: FloatArray
    left_over: FloatArray

    @classmethod
    def through(cls, mass: FloatArray, readings: int) -> _Lines:
        """Lines through every `readings` successive readings; none where there are fewer."""
        if len(mass) < readings:
            return cls(mean=np.empty(0), slope=np.empty(0), left_over=np.empty(0))
        place = np.arange(readings) - 0.5 * (readings - 1)
        power = float((place**2).sum())
        windows = np.lib.stride_tricks.sliding_window_view(mass, readings)
        mean, slope = windows.mean(axis=1), windows @ place / power
        left_over = np.clip((windows**2).sum(axis=1) - readings * mean**2 - power * slope**2, 0.0, None)
        return cls(mean=mean, slope=slope, left_over=left_over)


def _breaks(
    lines: _Lines, progress: FloatArray, width: int, beside: int, contrast: float, noise: float
) -> list[tuple[int, float]]:
    """Readings after which the mass breaks over `width` readings, and by how much, the largest first.

    `lines` are those through `beside` readings.
    """
    n = len(progress) - 2 * beside - width + 1
    if n < 1:
        return []
    mean, slope, left_over = lines.mean, lines.slope, lines.left_over
    power = (beside**3 - beside) / 12.0  # sum of the squared places about their middle
    before, after = slice(0, n), slice(beside + width - 1, beside + width - 1 + n)
    reach = 0.5 * (beside - 1 + width)
    size = mean[after] - mean[before] - reach * (slope[after] + slope[before])
    # what needs no residuals decides nearly everywhere
    away = np.maximum(_LEAST_JUMP, _JUMP_SLOPES * np.abs(slope[after] - slope[before]))
    k = np.flatnonzero(np.abs(size) > away)
    residual = np.sqrt((left_over[k] + left_over[k + beside + width - 1]) / (2 * beside - 4))
    curved = np.sqrt(np.clip(residual**2 - 1.5 * noise**2, 0.0, None))
    unsure = np.maximum(residual, noise) * np.sqrt(2.0 / beside + 2.0 * reach**2 / power)
    k = k[np.abs(size[k]) > np.maximum(_JUMP_SIGMAS * unsure, contrast * curved)]
    # lines by readings: where those stand closer than the jump is long, in °C of progress, it is a gap
    first, last = k + beside - 1, k + beside - 1 + width
    typical = (progress[first] - progress[k] + progress[last + beside - 1] - progress[last]) / (2.0 * (beside - 1))
    k = k[progress[last] - progress[first] <= _EVEN * width * np.maximum(typical, 1e-9)]
    return sorted(((int(i) + beside - 1, float(size[i])) for i in k), key=lambda found: -abs(found[1]))


def to_mass_fraction(run: TgaRun) -> MassCurve:
    """Mass as a fraction of the start mass.

    The header's mass is the denominator where the curve starts within 20 % below and 1 % above it, or settles at it
    after a disturbed start: a moist specimen loses water between weighing and the first reading, and that water belongs
    to the balance. Otherwise the first readings are, followed back to the first of them where they fall already.
    Raises AnalysisError where the signal is not a mass: mostly negative, or at or below zero at its start.
    """
    early = run.mass[: max(3, min(len(run) // 200, 15))]
    # where readings are so far apart that the specimen dries between them, the first alone is the start
    if len(early) < _MIN_TREND:
        early = early[run.temperature_c[: len(early)] <= run.temperature_c[0] + _STARTS_WITHIN_C]
    first = _first_mass(early)
    negative = float((run.mass < -0.05 * abs(first)).mean()) if first else 1.0
    if first <= 0 or negative > 0.2:
        raise AnalysisError(
            f"{_name(run)}: the signal is not a mass: it starts at {first:g} {run.mass_unit} and "
            f"{100 * negative:.0f} % of its points are clearly negative. It may be a heat flow (DSC) or an "
            "uncorrected mass change; choose the mass column."
        )
    header = run.initial_mass_mg
    found: list[Diagnostic] = []
    if run.mass_unit in ("percent", "fraction"):
        full = 100.0 if run.mass_unit == "percent" else 1.0
        if header is None:
            found.append(NO_START_MASS(f"{NO_START_MASS.meaning} {NO_START_MASS.remedy}"))
        if abs(first / full - 1.0) > 0.005:
            text = f"The curve starts at {100 * first / full:.2f} % instead of 100 %. Its scale is kept: the first "
            found.append(PERCENT_START(text + "step includes what is missing.", first_percent=100 * first / full))
        return MassCurve(mass=run.mass / full, start_mass_mg=header, from_header=True, messages=tuple(found))
    scale = MG_PER_UNIT[run.mass_unit]
    start = first * scale
    if header is None or header <= 0:
        return MassCurve(mass=run.mass / first, start_mass_mg=start, from_header=False)
    # the header fits the first readings, or after a disturbed start the highest lasting ones
    highest, lost = float(np.percentile(run.mass * scale / header, 98.0)), 1.0 - start / header
    if not (0.8 <= start / header <= 1.01 or (start / header < 1.0 and 0.98 <= highest <= 1.06)):
        text = (
            f"The header says {header:.4g} mg, the curve starts at {start:.4g} mg. The first readings are used as "
            "start mass; check that the header belongs to this run."
        )
        found.append(START_MASS(text, first_mg=start, header_mg=header))
        return MassCurve(mass=run.mass / first, start_mass_mg=start, from_header=False, messages=tuple(found))
    if abs(lost) > 0.005:
        text = (
            f"The first reading is {start:.3f} mg, {100 * lost:.2f} % below the weighed {header:.3f} mg of the header. "
            "The difference counts as water lost before the start."
        )
        found.append(LOSS_BEFORE_START(text, first_mg=start, header_mg=header))
    mass = run.mass * scale / header
    return MassCurve(mass=mass, start_mass_mg=header, from_header=True, messages=tuple(found))


def _first_mass(early: FloatArray) -> float:
    """Mass at the first of a few readings: their median, or where they clearly fall, a robust line through them.

    The slope is the median of those of all pairs (Sen, J. Am. Stat. Assoc. 63 (1968) 1379). A wet specimen that dries
    before the programme starts would otherwise lose the water of half these readings from its balance.
    """
    if len(early) < _MIN_TREND:
        return float(np.median(early))
    place = np.arange(len(early), dtype=float)
    later, earlier = np.triu_indices(len(early), 1)[::-1]
    slope = float(np.median((early[later] - early[earlier]) / (place[later] - place[earlier])))
    middle = float(np.median(early))
    centre = 0.5 * (len(early) - 1)
    scatter = float(np.median(np.abs(early - middle - slope * (place - centre)))) * 1.4826
    std = scatter * np.sqrt(12.0 / len(early) ** 3)
    return middle - slope * centre if -slope > _CLEAR_TREND * std else middle


def averages(bins: IntArray, nodes: int, *values: FloatArray) -> list[FloatArray]:
    """Means of some quantities over the readings of each of `nodes` bins, of those bins that have any."""
    counts = np.bincount(bins, minlength=nodes)
    filled = counts > 0
    return [np.bincount(bins, weights=v, minlength=nodes)[filled] / counts[filled] for v in values]


def bin_means(values: FloatArray, progress: FloatArray, bins: IntArray, centres: FloatArray) -> FloatArray:
    """Means of the readings of each bin, moved from their mean progress to its centre; empty ones are interpolated."""
    where, means = averages(bins, len(centres), progress, values)
    return np.interp(centres, where, means)


def _gaps(curve: HeatingCurve) -> tuple[Diagnostic, ...]:
    """The longest run of empty bins, where it is long enough to hide a step."""
    filled = np.flatnonzero(np.concatenate(([True], curve.counts > 0, [True]))) - 1
    longest = int(np.argmax(np.diff(filled)))
    if float((filled[longest + 1] - filled[longest] - 1) * curve.step) < _GAP_C:
        return ()
    before, after = max(filled[longest], 0), min(filled[longest + 1], len(curve.mass) - 1)
    low, high = float(curve.temperature_c[before]), float(curve.temperature_c[after])
    lost = float(curve.mass[before] - curve.mass[after])
    text = (
        f"There are no readings between {low:.0f} and {high:.0f} °C, where {100 * lost:.2f} % of the mass was lost. "
        "The curve is interpolated there; steps inside it cannot be told apart."
    )
    return (GAP(text, from_c=low, to_c=high, mass_lost=lost),)


def _name(run: TgaRun) -> str:
    return run.source.file if run.source is not None else "TGA run"


# ---- Blank subtraction, buoyancy and drift: what the balance adds to the mass of the specimen ----

# mg/cm³ at 25 °C and 1013 hPa, ideal gas p M / (R T); an unknown gas counts as air
_DENSITY_25C = {
    "air": 1.184, "oxygen": 1.308, "nitrogen": 1.145, "argon": 1.633, "helium": 0.1636, "carbon_dioxide": 1.799,
}  # fmt: skip
_DOUBTFUL = 0.005
_NOT_REPEATED = 0.5  # share of the drift of a run that its blank does not show
_BLANK_LENGTH, _MIN_BLANK_POINTS = 15.0, 20
# raw gains of 0.24 mg by 800 °C are typical of simultaneous thermal analysers
_CARRIER_VOLUME_CM3, _CARRIER_STD = 0.28, 0.6


@dataclass(frozen=True, kw_only=True)
class Blank:
    """Blank on the specimen's grid, as fractions of its start mass."""

    change: FloatArray  # of mass since the run began
    start_std: float  # noise of the smoothed blank at its start, and inside
    inside_std: float
    messages: tuple[Diagnostic, ...] = ()


def gas_density(temperature_c: FloatArray, atmosphere: Atmosphere) -> FloatArray:
    """Density of the purge gas in mg/cm³ (ideal gas at 1013 hPa)."""
    at_25c = _DENSITY_25C.get(atmosphere, _DENSITY_25C["air"])
    return at_25c * 298.15 / celsius_to_kelvin(temperature_c)


# ---- Char that burns when oxygen comes ----

_LEAST_BURN, _ABRUPT_C, _ABRUPT_SHARE, _REACH_C, _ROUNDED_LENGTHS = 0.005, 12.0, 0.1, 15.0, 2.0
_BURNT_SHARE, _BEGUN_SHARE, _ABOVE_BEFORE, _NOTHING_BUT_CHAR_C, _BURN_BINS = 0.01, 0.03, 1.5, 880.0, 4
_STILL_FALLS, _CARBONATE_FROM_C, _UNBURNT_STD, _QUICK_C = ((0.2, 0.8), (0.6, 0.9)), 650.0, 0.015, 60.0
_CHARRED_FROM_C, _MOST_CHAR, _MEASURED = 180.0, 5.0, 0.7  # char per loss before it; share of bins with readings


@dataclass(frozen=True, kw_only=True)
class Burn:
    """Char that burnt between two grid points, as a fraction of the start mass; `std` from what went on beside it."""

    start: int
    end: int
    mass: float
    std: float


def gases_on_grid(curve: HeatingCurve, gases: tuple[Atmosphere, ...]) -> tuple[Atmosphere, ...]:
    """Gas at each grid point, from the first gas and those of the changes."""
    which = np.sum([curve.progress >= start for start in curve.gas_from], axis=0, dtype=int)
    return tuple(gases[i] for i in np.broadcast_to(which, curve.progress.shape))


def find_burn(curve: HeatingCurve, smooth: FloatArray, gases: tuple[Atmosphere, ...], length: float) -> Burn | None:
    """Char that burnt after an inert gas, by the change that was told or by the curve alone.

    Without a change that was told, a rate that rises tenfold within 12 °C is no reaction of the specimen: one with an
    activation energy of 600 kJ/mol would rise fourfold at 450 °C. It is char where the run has seen what left it: from
    below 180 °C on, and at least a fifth of it. What is lost beside the char is taken to go on as
    before or after, whichever is less, give or take half of the difference. From 880 °C on only char is left to go, and
    where the mass stood before and the run gets no hotter.
    """
    dtg, temperature = -derivative(smooth, curve.step), curve.temperature_c
    known = len(set(gases)) > 1
    inert = np.array([gas in INERT_GASES or (gas == "unknown" and not known) for gas in gases])
    changes = np.flatnonzero(inert[:-1] & ~inert[1:]) + 1
    noise = 3.0 * derivative_std(curve.bin_noise, 4.0 / curve.step) / curve.step
    if known:
        starts = [int(i) for i in changes if temperature[i] >= _BURN_FROM_C]
    else:
        starts = _abrupt_starts(curve, dtg, inert & (temperature >= _BURN_FROM_C), noise)
    if not starts:
        return None
    start = starts[0]
    # oxygen takes some time to come; a hold waits for it
    reach = max(int(30.0 / curve.step), int((temperature[start:] <= temperature[start] + _REACH_C).sum()))
    top = start + int(np.argmax(dtg[start : start + reach + 1]))
    quiet = np.flatnonzero(dtg[start:top] < max(_BEGUN_SHARE * dtg[top], noise))
    start += int(quiet[-1]) if len(quiet) else 0
    # rates beside it are read where the smoothing has not rounded its edges
    skip = int(np.ceil(_ROUNDED_LENGTHS * length))

    def rate_before(place: int) -> float:
        return float(np.median(dtg[max(place - skip - 2 * _BURN_BINS, 0) : max(place - skip, 1)]))

    before = max(rate_before(start), 0.0)
    floor = max(_BURNT_SHARE * float(dtg[top]), _ABOVE_BEFORE * before, noise)
    end = _end_of_burning(dtg, top, floor, curve.step)
    told = starts[0]
    stood = rate_before(told) <= max(noise, _BURNT_SHARE * float(dtg[top]))
    if stood and temperature[-1] <= temperature[told] + _REACH_C:  # nothing went before, and it gets no hotter
        start, end = min(start, told) if known else start, len(dtg) - 1
    if temperature[start] >= max(
        _NOTHING_BUT_CHAR_C, shift_with_rate(_NOTHING_BUT_CHAR_C, curve.heating_rate_k_min, 200.0)
    ):
        end = len(dtg) - 1
    # levels from the readings beside it, where no smoothing has rounded the edge
    first = max(start - 1, 1)
    left = float(np.median(curve.mass[max(first - _BURN_BINS, 0) : first]))
    right = float(np.median(curve.mass[end - _BURN_BINS : end + 1]))
    after = max(float(np.median(dtg[end : end + 2 * _BURN_BINS])), 0.0) if end < len(dtg) - 2 * _BURN_BINS else 0.0
    span = float(curve.progress[end] - curve.progress[first])
    # before the carbonate goes it is the organic that still goes on
    least = min(before, after) if temperature[start] >= _CARBONATE_FROM_C else 0.0
    most = max(before, after) if temperature[start] >= _CARBONATE_FROM_C else after
    if end >= len(dtg) - 2 * _BURN_BINS:  # nothing is left to go
        least = most = 0.0
    beside, std = 0.5 * (least + most) * span, UNIFORM_STD * 0.5 * (most - least) * span
    mass = left - right - beside
    # a burning that is slow against the heating hides more of what goes beside it
    heated = float(temperature[end] - temperature[first]) / _QUICK_C
    std = float(np.hypot(std, _UNBURNT_STD * max(1.0, heated) ** 2 * mass))
    noise_std = curve.bin_noise * np.sqrt(2.0 / _BURN_BINS)
    charred = float(smooth[0] - smooth[first])
    seen = known or (temperature[0] < _CHARRED_FROM_C and mass < _MOST_CHAR * charred)
    if mass <= _LEAST_BURN or not seen:
        return None
    return Burn(start=first, end=end, mass=mass, std=float(np.hypot(std, noise_std)))


def _end_of_burning(dtg: FloatArray, top: int, floor: float, step: float) -> int:
    """Where the rate has come down to `floor`, or where it no longer falls, because something else goes.

    It no longer falls where it is below a fifth of its height and falls by less than a fifth in 15 °C, or below three
    fifths and by less than a tenth.
    """
    low = np.flatnonzero(dtg[top:] < floor)
    end = min(top + int(low[0]) + _BURN_BINS, len(dtg) - 1) if len(low) else len(dtg) - 1
    ahead = int(np.ceil(_REACH_C / step))
    now, later = dtg[top : len(dtg) - ahead], dtg[top + ahead :]
    steady = np.flatnonzero(np.any([(now < k * dtg[top]) & (later > falls * now) for k, falls in _STILL_FALLS], axis=0))
    return min(end, top + int(steady[0])) if len(steady) else end


def _abrupt_starts(curve: HeatingCurve, dtg: FloatArray, where: BoolArray, noise: float) -> list[int]:
    """Where the highest maximum of the DTG begins that no temperature explains, of those that lie `where`."""
    beside = np.concatenate(([0.0], dtg, [0.0]))
    tops = np.flatnonzero(where & (_ABRUPT_SHARE * dtg > noise) & (dtg > beside[:-2]) & (dtg >= beside[2:]))
    for top in sorted(tops.tolist(), key=lambda i: -dtg[i]):
        # back to where the rate is a tenth: what is lost quietly before does not grow abruptly by itself
        quiet = np.flatnonzero(dtg[:top] < max(_ABRUPT_SHARE * dtg[top], noise))
        if not len(quiet) or curve.temperature_c[top] - curve.temperature_c[quiet[-1]] > _ABRUPT_C:
            continue
        begin = max(int(quiet[-1]) - _BURN_BINS, 0)
        if (curve.counts[begin : top + 1] > 0).mean() > _MEASURED:  # an interpolated slope begins abruptly too
            return [begin + int(np.argmin(dtg[begin : quiet[-1] + 1]))]
    return []


def without_burn(curve: HeatingCurve, burn: Burn) -> HeatingCurve:
    """Curve as it would be if the char had weighed nothing from the beginning of its burning on."""
    mass = curve.mass.copy()
    mass[burn.end :] += burn.mass
    inside = slice(burn.start, burn.end + 1)
    left = float(np.median(curve.mass[max(burn.start - _BURN_BINS, 0) : burn.start]))
    right = float(np.median(curve.mass[burn.end - _BURN_BINS : burn.end + 1])) + burn.mass
    mass[inside] = np.linspace(left, right, burn.end - burn.start + 1)
    return replace(curve, mass=mass)


def _blank_change(curve: HeatingCurve, blank: TgaRun, start_mg: float) -> Blank:
    """Blank on the curve's grid, smoothed, and what noise is left in it."""
    if blank.mass_unit in ("percent", "fraction"):
        if blank.initial_mass_mg is None:
            msg = "the blank run is in percent without a start mass, so its change in mg is unknown. Export it in mg."
            raise AnalysisError(msg)
        scale = blank.initial_mass_mg / (100.0 if blank.mass_unit == "percent" else 1.0)
    else:
        scale = MG_PER_UNIT[blank.mass_unit]
    index, _ = heating_part(blank)
    progress, rate = progress_axis(blank, index)
    if progress[0] > curve.progress[0] + 20.0 or progress[-1] < curve.progress[-1] - 20.0:
        raise AnalysisError(
            f"the blank run covers {progress[0]:.0f} to {progress[-1]:.0f} °C, the specimen's run "
            f"{curve.progress[0]:.0f} to {curve.progress[-1]:.0f} °C. Measure the blank with the same programme."
        )
    edges = np.concatenate((curve.progress - 0.5 * curve.step, [curve.progress[-1] + 0.5 * curve.step]))
    shared = (progress >= edges[0]) & (progress <= edges[-1])
    index, progress = index[shared], progress[shared]
    if len(index) < _MIN_BLANK_POINTS:
        raise AnalysisError(
            f"the blank run has {len(index)} readings in the range of the specimen's run; {_MIN_BLANK_POINTS} are "
            "needed. Export the blank as measured."
        )
    bins = np.clip(np.searchsorted(edges, progress, side="right") - 1, 0, len(curve.progress) - 1)
    counts = np.bincount(bins, minlength=len(curve.progress)).astype(float)
    means = bin_means(blank.mass[index] * scale, progress, bins, curve.progress)
    # an empty pan has no steps that a long smoothing could flatten
    weights = counts / counts.mean()
    smooth = whittaker(means, weights, _BLANK_LENGTH)
    noise = estimate_noise(means, counts) / np.sqrt(counts.mean())
    found: tuple[Diagnostic, ...] = ()
    own = curve.heating_rate_k_min
    if rate and own and abs(rate / own - 1.0) > 0.05:
        text = (
            f"The blank was heated at {rate:.2f} K/min, the specimen at {own:.2f} K/min. Buoyancy and drift differ "
            "with the rate; measure the blank with the same programme."
        )
        found = (BLANK_RATE(text, blank_k_min=rate, run_k_min=own),)
    return Blank(
        change=(smooth - smooth[0]) / start_mg,
        start_std=noise * end_factor(weights, _BLANK_LENGTH) / start_mg,
        inside_std=smoothed_std(noise, _BLANK_LENGTH) / start_mg,
        messages=found,
    )


# ---- The curve that steps and boundaries are read from ----


def check_inside(temperature_c: FloatArray, start_c: float, end_c: float) -> None:
    """Raise AnalysisError for a range (°C) outside an analysed run."""
    if not temperature_c[0] - 1.0 <= start_c < end_c <= temperature_c[-1] + 1.0:
        covered = f"{temperature_c[0]:.1f} to {temperature_c[-1]:.1f} °C"
        raise AnalysisError(f"{start_c:g} to {end_c:g} °C is not inside the run, which covers {covered}.")


_CLIP_BINS, _CLIP_SIGMAS = 2, 3.0


def smoothed(curve: HeatingCurve, length: float, *, bounded: bool) -> FloatArray:
    """Smoothed mass that stays within three standard deviations of the readings two bins around.

    A smoothing with third differences overshoots beside an abrupt step: a rise before it and a loss after it that no
    reading shows. Not `bounded`, where the recipe states the length.
    """
    mass = whittaker(curve.mass, curve.weights, length)
    if not bounded:
        return mass
    around = np.lib.stride_tricks.sliding_window_view(np.pad(curve.mass, _CLIP_BINS, mode="edge"), 2 * _CLIP_BINS + 1)
    margin = _CLIP_SIGMAS * curve.bin_noise
    return np.clip(mass, around.min(axis=1) - margin, around.max(axis=1) + margin)


@dataclass(frozen=True, kw_only=True)
class SmoothedCurve:
    """A corrected curve (`raw`) with its smoothed mass (fraction of the start mass), and the settings that led there.

    `length` is that of the smoothing, in grid points. `errors` holds by source, as (n,) fractions of the start mass,
    what one standard deviation of it would add to the whole curve: ``buoyancy``, ``drift`` and ``weighing``, which is
    the buoyancy of what has left, in cold gas: whether the start mass holds it depends on how the balance was zeroed,
    which no file tells. `blank` is None without a blank run.
    """

    raw: HeatingCurve
    mass: FloatArray
    length: float
    errors: Mapping[str, FloatArray]
    blank: Blank | None
    recipe: ThermalRecipe
    gases: tuple[Atmosphere, ...]  # at each grid point
    burn: Burn | None = None
    measured: FloatArray | None = None  # smoothed mass as measured, where `mass` leaves a burn out

    @property
    def shown(self) -> FloatArray:
        """Smoothed mass as measured."""
        return self.mass if self.measured is None else self.measured

    @property
    def atmosphere(self) -> Atmosphere:
        """Gas at the start."""
        return self.gases[0]

    @cached_property
    def dtg(self) -> FloatArray:
        """−dm/du, fraction of the start mass per °C of progress."""
        return -derivative(self.mass, self.raw.step)

    @property
    def inert(self) -> bool:
        """True where char of the organic is still there: the gas was inert throughout and nothing has burnt it."""
        return self.burn is None and all(gas in INERT_GASES for gas in self.gases)

    def correction_covariances(self, index: IntArray) -> dict[str, FloatArray]:
        """Covariance of the corrected mass at grid points by source; a blank is noisy there and at its start."""
        found: dict[str, FloatArray] = {name: np.outer(e[index], e[index]) for name, e in self.errors.items()}
        if self.blank is not None:
            found["blank"] = self.blank.inside_std**2 * np.eye(len(index)) + self.blank.start_std**2
        return found


def smoothed_curve(
    run: TgaRun, recipe: ThermalRecipe | None, blank: TgaRun | None, *, shortest_c: float
) -> SmoothedCurve:
    """Prepare, correct and smooth a run, by `recipe.smoothing_c` or else as the noise asks, over at least `shortest_c`.

    With a blank run its change of mass since the specimen's run began is subtracted at equal progress of the programme
    (what the blank holds before and after is not used), and only the specimen's own volume is left to correct. Without
    one, buoyancy is calculated from the volumes of pan and specimen, Δm = V (ρ(T₀) − ρ(T)), subtracted, and carried as
    uncertainty (`recipe.buoyancy_std` of it). Raises AnalysisError as `prepare` does, and for a blank in percent
    without a start mass, one that does not cover the run, or has fewer than 20 readings in it.
    """
    recipe = recipe or ThermalRecipe()
    if not run.corrected:
        # no correction run was subtracted: carrier and crucible displace about 0.28 cm³, give or take 60 %
        volume, std = max(recipe.pan_volume_cm3, _CARRIER_VOLUME_CM3), max(recipe.buoyancy_std, _CARRIER_STD)
        recipe = msgspec.structs.replace(recipe, pan_volume_cm3=volume, buoyancy_std=std)
    read = prepare(run)
    gases = gases_on_grid(read, (run.atmosphere, *(change.gas for change in run.gas_changes)))
    start_mg, density = read.start_mass_mg or ASSUMED_MG, recipe.sample_density_g_cm3
    gas = np.select([np.array(gases) == name for name in set(gases)],
                    [gas_density(read.temperature_c, name) for name in set(gases)])  # fmt: skip
    empty = None if blank is None else _blank_change(read, blank, start_mg)
    mass = read.mass if empty is None else read.mass - empty.change
    pan_volume = recipe.pan_volume_cm3 if empty is None else 0.0
    # the specimen shrinks with its mass at constant density
    specimen_volume = np.clip(mass, 0.0, None) * start_mg * 1e-3 / density
    buoyancy = (pan_volume + specimen_volume) * (gas[0] - gas) / start_mg
    # a drift grows with time; a blank shows the part of it that comes back in every run
    passed = read.minutes / max(float(read.minutes[-1]), 1e-9)
    drift_mg = (1.0 if empty is None else _NOT_REPEATED) * recipe.drift_std_ug * 1e-3
    if empty is None:
        note = NO_BLANK(
            f"No blank run: an apparent gain of {100 * buoyancy[-1]:.2f} wt% at the end was calculated for buoyancy "
            f"and removed, with a relative uncertainty of {100 * recipe.buoyancy_std:.0f} %. Give a blank run of the "
            "same programme.",
            gain=float(buoyancy[-1]),
        )
        certain = recipe.buoyancy_std * float(buoyancy[-1]) <= _DOUBTFUL
        found: tuple[Diagnostic, ...] = (replace(note, severity="info") if certain else note,)
    else:
        found = empty.messages
    curve = replace(read, mass=mass - buoyancy, messages=read.messages + found)
    if recipe.smoothing_c is not None:
        length = recipe.smoothing_c / curve.step
    else:
        length = choose_length(curve.mass, curve.counts, curve.noise, shortest=shortest_c / curve.step)
    bounded = recipe.smoothing_c is None
    measured = smoothed(curve, length, bounded=bounded)
    if (burn := find_burn(curve, measured, gases, length)) is not None:
        curve = without_burn(curve, burn)
    errors = {} if read.jump_std is None else {"jump": read.jump_std}
    return SmoothedCurve(
        raw=curve,
        mass=measured if burn is None else smoothed(curve, length, bounded=bounded),
        length=length,
        burn=burn,
        measured=None if burn is None else measured,
        errors=errors
        | {
            "buoyancy": recipe.buoyancy_std * buoyancy,
            "weighing": UNIFORM_STD * (1.0 - np.clip(mass, 0.0, 1.0)) * gas[0] * 1e-3 / density,
            "drift": drift_mg * passed / start_mg,
        },
        blank=empty,
        recipe=recipe,
        gases=gases,
    )
