"""From a thermogravimetric run to one smoothed curve of mass against the progress of heating.

In order: the part of the programme that is heating, and how far it has progressed, holds included; the mass as a
fraction of the start mass on an even grid; blank, buoyancy and drift, which the balance adds to the mass of the
specimen; smoothing that does not move steps, by the noise it has to remove.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec
import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, TgaRun, message_kind
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.thermal.artefacts import (
    ASSUMED_MG,
    stairs_of,
    without_filtered_jumps,
    without_jumps,
    without_outliers,
    without_settling,
    without_stairs,
)
from xrdcomp.thermal.programme import (
    BURN_FROM_C,
    CHARRED_FROM_C,
    INERT_GASES,
    REFERENCE_RATE,
    heating_part,
    minutes_of,
    progress_axis,
    shift_with_rate,
)
from xrdcomp.thermal.smoothing import (
    UNIFORM_STD,
    bin_means,
    choose_length,
    derivative,
    derivative_std,
    end_factor,
    estimate_noise,
    smoothed_std,
    whittaker,
)
from xrdcomp.units import GAS_CONSTANT, MG_PER_UNIT, BoolArray, FloatArray, IntArray, celsius_to_kelvin

LOSS_BEFORE_START = message_kind("TGA_LOSS_BEFORE_START", "info",
    "The first reading is below the weighed mass of the header; the difference is counted as water.",
    threshold="0.5 % of the mass",
)  # fmt: skip
START_MASS = message_kind("TGA_START_MASS", "warning",
    "The mass in the header is not consistent with the curve; the first readings are used as start mass.",
    remedy="Check that the header belongs to this run.",
    threshold="the curve starts more than 20 % below or 1 % above the mass in the header and does not settle at it",
)  # fmt: skip
NO_START_MASS = message_kind("TGA_NO_START_MASS", "warning",
    "The masses are relative and there is no start mass; buoyancy and drift are calculated for 10 mg, with a factor of "
    "three either way as uncertainty.",
    remedy="State the start mass.",
)  # fmt: skip
PERCENT_START = message_kind("TGA_PERCENT_START", "warning",
    "A relative curve does not start at 100 %. If it starts below, its scale is kept, so that the first step includes "
    "the missing mass; if it starts above, it is divided by its first reading. The intervals include the alternative.",
    threshold="0.5 %",
)  # fmt: skip
GAP = message_kind(
    "TGA_GAP",
    "warning",
    "There are no readings over a range of temperatures; the curve is interpolated.",
    threshold="15 °C",
)
NO_BLANK = message_kind(
    "TGA_NO_BLANK", "warning",
    "There is no blank run; buoyancy was calculated and removed, and its uncertainty is included.",
    remedy="Give a blank run with the same programme.",
    threshold="info up to an uncertainty of 0.5 wt% at the end",
)  # fmt: skip
BLANK_RATE = message_kind("TGA_BLANK_RATE", "warning",
    "Blank and specimen were heated at different rates, at which buoyancy and drift differ.",
    remedy="Measure the blank with the same programme.", threshold="5 %",
)  # fmt: skip


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
    wanted = at**2 / energy_k * (1.0 - 2.0 * at / energy_k) / REFERENCE_RATE
    return float(np.interp(wanted, done, curve.progress))


# ---- From a run as read to one heating curve: units, start mass, heating part, even grid ----

_MIN_POINTS, _MAX_NODES, _RATE_BINS = 20, 2500, 4
# readings that show a slope, and standard deviations; robust ones of so few readings are uncertain by a third
_MIN_TREND, _CLEAR_TREND, _STARTS_WITHIN_C = 5, 5.0, 3.0
_GAP_C, _BURNS_WITHIN_C = 15.0, 30.0  # of progress
_MOST_OF_SCALE = 1.05  # a relative curve that starts higher is no mass of a specimen
_UNTARED = 1.2  # of the weighed mass: water taken up since, or the balance's zero, are less


@dataclass(frozen=True, kw_only=True)
class MassCurve:
    """Mass as a fraction of the start mass, point by point."""

    mass: FloatArray
    start_mass_mg: float | None  # None where only relative mass is known
    from_header: bool  # the denominator is the weighed mass of the header, not the first points of the curve
    settling: float = 0.0  # rise of the first readings, over the start mass
    scale_std: float = 0.0  # relative, of a relative curve that does not start at the whole
    untared: bool = False  # the curve starts far above the weighed mass
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
            return float(np.hypot(from_balance, self.scale_std))
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
    hot, told = run.temperature_c[index] >= BURN_FROM_C, len(places) > 0
    may_burn = hot & (told | np.isin(under, [*INERT_GASES, "unknown"]))
    # what waits for oxygen falls abruptly when it comes
    comes = np.any([(progress[1:] >= at) & (progress[:-1] <= at + _BURNS_WITHIN_C) for at in gas_from], axis=0)
    in_line, outliers = without_outliers(masses.mass[index], progress)
    stairs = stairs_of(masses.mass[index], run.mass[index])
    in_line = without_stairs(in_line, progress, stairs)
    unlike = (np.diff(index) > 1) | comes
    mended = without_jumps(in_line, progress, run.temperature_c[index], may_burn, unlike, stairs)
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
        clock = (progress - progress[0]) / (heating_rate or REFERENCE_RATE)
    temperature, minutes, mass = (
        bin_means(values, progress, bins, centres) for values in (run.temperature_c[index], clock, mended.mass)
    )
    burns = (
        np.interp(
            centres, progress, (may_burn | np.append(np.broadcast_to(comes, len(index) - 1), False)).astype(float)
        )
        > 0.0
    )
    filtered = without_filtered_jumps(
        mass, centres, temperature, burns, counts, np.interp(centres, progress, stairs), told=told
    )
    mass = filtered.mass
    jump_std = None if mended.std is None else bin_means(mended.std, progress, bins, centres)
    if filtered.std is not None:
        jump_std = filtered.std if jump_std is None else np.hypot(jump_std, filtered.std)
    # progress per minute over four bins to both sides, at most ten times the heating rate: clocks stand still in places
    after = np.minimum(np.arange(n) + _RATE_BINS, n - 1)
    before = np.maximum(np.arange(n) - _RATE_BINS, 0)
    passed = np.maximum(minutes[after] - minutes[before], 0.0)
    shortest = step * (after - before) / (10.0 * (heating_rate or REFERENCE_RATE))
    # between two edges a smooth mass lies within a quarter of a stair of the line from one to the other
    rounding = 0.25 * UNIFORM_STD * float(np.sqrt((stairs**2).mean()))
    curve = HeatingCurve(
        progress=centres,
        temperature_c=np.maximum.accumulate(temperature),
        minutes=minutes,
        mass=mass,
        counts=counts,
        rate=step * (after - before) / np.maximum(passed, shortest),
        # what a last digit hides is the same in neighbouring readings, and no mean of theirs shows it
        noise=max(estimate_noise(mass, counts), rounding * float(np.sqrt(counts[counts > 0].mean()))),
        heating_rate_k_min=heating_rate,
        start_mass_mg=masses.start_mass_mg,
        from_header=masses.from_header,
        settling=rise,
        scale_std=masses.scale_std,
        untared=masses.untared,
        messages=unsettled + masses.messages + dropped + outliers + mended.messages + filtered.messages,
        gas_from=gas_from,
        jump_std=jump_std,
    )
    return replace(curve, messages=curve.messages + _gaps(curve))


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
        whole, scale_std = full, 0.0
        if abs(first / full - 1.0) > 0.005:
            # what is missing was lost before the first reading, or 100 % are another mass's: anything between
            scale_std = abs(full / first - 1.0) * UNIFORM_STD
            text = f"The curve starts at {100 * first / full:.2f} % instead of 100 %. "
            if full < first <= _MOST_OF_SCALE * full:
                whole = first
                text += "A specimen cannot have more than 100 %, so the curve was divided by its first reading."
            else:
                text += "Its scale is kept, so that the first step includes the missing mass; the intervals include "
                text += "the curve divided by its first reading as well."
            found.append(PERCENT_START(text, first_percent=100 * first / full))
        return MassCurve(
            mass=run.mass / whole, start_mass_mg=header, from_header=True, scale_std=scale_std, messages=tuple(found)
        )
    scale = MG_PER_UNIT[run.mass_unit]
    start = first * scale
    if header is None or header <= 0:
        return MassCurve(mass=run.mass / first, start_mass_mg=start, from_header=False)
    # the header fits the first readings, or after a disturbed start the highest lasting ones
    highest, lost = float(np.percentile(run.mass * scale / header, 98.0)), 1.0 - start / header
    if not (0.8 <= start / header <= 1.01 or (start / header < 1.0 and 0.98 <= highest <= 1.06)):
        text = (
            f"The mass in the header is {header:.4g} mg, but the curve starts at {start:.4g} mg. The first readings "
            "are used as start mass; check that the header belongs to this run."
        )
        untared = start > _UNTARED * header
        if untared:
            text += " The balance may have weighed the crucible with the specimen: tare it, or subtract its mass."
        found.append(START_MASS(text, first_mg=start, header_mg=header))
        return MassCurve(
            mass=run.mass / first, start_mass_mg=start, from_header=False, untared=untared, messages=tuple(found)
        )
    if abs(lost) > 0.005:
        text = (
            f"The first reading is {start:.3f} mg, {100 * lost:.2f} % below the weighed {header:.3f} mg of the header. "
            "The difference is counted as water lost before the start."
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
        "The curve is interpolated there; steps within this range cannot be distinguished."
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
_ASSUMED_MG_STD = 0.8  # of 10 mg over a start mass that nobody states: 3 to 30 mg, evenly in its logarithm


class Blank(msgspec.Struct, frozen=True, kw_only=True):
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
_MOST_CHAR, _MEASURED = 5.0, 0.7  # char per loss before it; share of bins with readings


class Burn(msgspec.Struct, frozen=True, kw_only=True):
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
        starts = [int(i) for i in changes if temperature[i] >= BURN_FROM_C]
    else:
        starts = _abrupt_starts(curve, dtg, inert & (temperature >= BURN_FROM_C), noise)
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
    seen = known or (temperature[0] < CHARRED_FROM_C and mass < _MOST_CHAR * charred)
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
            f"The blank was heated at {rate:.2f} K/min and the specimen at {own:.2f} K/min. Buoyancy and drift depend "
            "on the rate; measure the blank with the same programme."
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
    if read.start_mass_mg is None and blank is None:
        recipe = msgspec.structs.replace(recipe, buoyancy_std=float(np.hypot(recipe.buoyancy_std, _ASSUMED_MG_STD)))
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
            f"There is no blank run. An apparent gain of {100 * buoyancy[-1]:.2f} wt% at the end was calculated for "
            f"buoyancy and removed, with a relative uncertainty of {100 * recipe.buoyancy_std:.0f} %. "
            f"{NO_BLANK.remedy}",
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
