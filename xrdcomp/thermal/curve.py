"""Blank subtraction, buoyancy and drift: what the balance adds to the mass of the specimen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.linalg import solveh_banded

from xrdcomp.data import Atmosphere, Diagnostic, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.units import CELSIUS_ZERO_K, GAS_CONSTANT, FloatArray, IntArray, celsius_to_kelvin

# ------------ The temperature programme: which part is heating, what is a hold, how fast it went.

_OVERSHOOT_C = 15.0
_REFERENCE_RATE = 10.0
_HEATING_SHARE = 0.25
_LONGEST_HOLDS_C = 800.0


@dataclass(frozen=True, kw_only=True)
class HeatingPart:
    """Indices of the points that are used, and what was left out."""

    index: IntArray
    messages: tuple[Diagnostic, ...] = ()


def heating_part(run: TgaRun) -> HeatingPart:
    """Points at which the specimen is hotter than ever before, holds and overshoots included.

    Cooling parts drop out, and so does a second heating up to the temperature already reached, so that mass
    is a function of the progress of the programme. Temperatures that fall by less than 15 °C below the
    highest one so far count as hold or overshoot.
    """
    temperature = run.temperature_c
    top = int(np.argmax(temperature))
    start = int(np.argmax(temperature[: top + 1] <= temperature[: top + 1].min() + 20.0))
    highest = np.maximum.accumulate(temperature[start:])
    keep = temperature[start:] >= highest - _OVERSHOOT_C
    index: IntArray = start + np.flatnonzero(keep)
    index = _trim_cooling(temperature, index)
    dropped = len(run) - len(index)
    if dropped < 0.01 * len(run):
        return HeatingPart(index=index)
    note = Diagnostic(
        code="TGA_COOLING_DROPPED",
        severity="warning" if dropped > 0.5 * len(run) else "info",
        text=f"{dropped} of {len(run)} points were measured while cooling, or while heating again to a "
        "temperature already reached; they are not used.",
        facts={"points_dropped": dropped},
    )
    return HeatingPart(index=index, messages=(note,))


def _trim_cooling(temperature: FloatArray, index: IntArray) -> IntArray:
    """Drop the first degrees of the final cooling, which lie within the overshoot tolerance.

    After the highest point a hold stays near one level, and a cooling does not.
    """
    kept = temperature[index]
    top = int(np.argmax(kept))
    tail = kept[top:]
    if len(tail) < 3:
        return index
    level = float(np.median(tail))
    holds = float((np.abs(tail - level) <= 1.0).mean()) > 0.5
    lowest = level - 1.0 if holds else float(tail[0]) - 1.0
    inside = np.flatnonzero(tail >= lowest)
    return index[: top + int(inside[-1]) + 1]


def progress_axis(run: TgaRun, index: IntArray) -> tuple[FloatArray, float | None]:
    """Progress of the programme in °C and the heating rate in K/min.

    While heating, progress equals temperature; during a hold it goes on at the heating rate, so that a loss per
    progress is a loss per time everywhere. Holds together count for at most 800 °C. Without times it is the
    highest temperature so far.

    Raises
    ------
    AnalysisError
        Time runs backwards.
    """
    temperature = run.temperature_c[index]
    if run.time_s is None:
        highest: FloatArray = np.maximum.accumulate(temperature)
        return highest, run.heating_rate_k_min
    minutes = minutes_of(run, index)
    if minutes is None or minutes[-1] - minutes[0] <= 0:
        return np.maximum.accumulate(temperature), run.heating_rate_k_min
    return _stretched(temperature, minutes, run.heating_rate_k_min)


def minutes_of(run: TgaRun, index: IntArray) -> FloatArray | None:
    """Minutes since the first point used; the time of points left out between does not count.

    Raises
    ------
    AnalysisError
        Time runs backwards.
    """
    if run.time_s is None:
        return None
    steps = np.diff(run.time_s[index]) / 60.0
    if (steps < 0).any():
        i = int(index[int(np.argmax(steps < 0)) + 1])
        msg = (
            f"time runs backwards at point {i} ({run.time_s[i]:g} s). The file may hold two runs one after "
            "the other; analyse them one by one."
        )
        raise AnalysisError(msg)
    jumps = np.diff(index) > 1
    if jumps.any():
        steps = np.where(jumps, np.median(steps), steps)
    minutes: FloatArray = np.concatenate(([0.0], np.cumsum(steps)))
    return minutes


def _stretched(
    temperature: FloatArray, minutes: FloatArray, stated: float | None
) -> tuple[FloatArray, float | None]:
    nodes = np.linspace(minutes[0], minutes[-1], min(max(len(minutes) // 2, 4), 1500))
    at_nodes, means = _node_means(temperature, minutes, nodes)
    highest = np.maximum.accumulate(means)
    rise, passed = np.diff(highest), np.diff(at_nodes)
    speeds = rise / passed
    moving = speeds > max(0.3, 0.1 * float(np.percentile(speeds, 90)))
    rate = float(np.median(speeds[moving])) if moving.any() else None
    nominal = rate or stated or _REFERENCE_RATE
    heating = speeds > _HEATING_SHARE * nominal
    held = nominal * float(passed[~heating].sum())
    share = min(1.0, _LONGEST_HOLDS_C / held) if held > 0 else 1.0
    increments = np.where(heating, rise, np.maximum(rise, share * nominal * passed))
    reached = means[0] + np.concatenate(([0.0], np.cumsum(increments)))
    lead = increments[0] / passed[0] * (at_nodes[0] - minutes[0])
    tail = increments[-1] / passed[-1] * (minutes[-1] - at_nodes[-1])
    ends = np.concatenate(([minutes[0]], at_nodes, [minutes[-1]]))
    reached = np.concatenate(([reached[0] - lead], reached, [reached[-1] + tail]))
    progress: FloatArray = np.interp(minutes, ends, reached)
    return progress, rate if rate is not None else stated


def _node_means(values: FloatArray, minutes: FloatArray, nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean time and mean value of the readings nearest to each node that has any."""
    half = 0.5 * (nodes[1] - nodes[0])
    bins: npt.NDArray[np.int64] = np.searchsorted(nodes + half, minutes).clip(0, len(nodes) - 1)
    counts = np.bincount(bins, minlength=len(nodes))
    filled = counts > 0
    time = np.bincount(bins, weights=minutes, minlength=len(nodes))[filled] / counts[filled]
    means = np.bincount(bins, weights=values, minlength=len(nodes))[filled] / counts[filled]
    return time, means


def shift_with_rate(temperature_c: float, rate_k_min: float | None, activation_energy_kj: float) -> float:
    """Move a temperature known at 10 K/min to another heating rate.

    ΔT = R T²/E · ln(rate/10), the first order of Kissinger's equation (Anal. Chem. 29 (1957) 1702); a faster
    run moves a step up. Limited to ±100 °C.

    Parameters
    ----------
    temperature_c : float, °C
    rate_k_min : float or None, K/min; None moves nothing
    activation_energy_kj : float, kJ/mol; larger values move less
    """
    if rate_k_min is None or rate_k_min <= 0:
        return temperature_c
    kelvin = temperature_c + CELSIUS_ZERO_K
    shift = GAS_CONSTANT * kelvin**2 / (1e3 * activation_energy_kj) * np.log(rate_k_min / _REFERENCE_RATE)
    return temperature_c + float(np.clip(shift, -100.0, 100.0))


# ------------ Smoothing that does not move steps, and the noise it has to remove.
# Penalised least squares with third differences (Whittaker 1923; Eilers, Anal. Chem. 75 (2003) 3631):
# minimise Σ w (y − z)² + λ Σ (Δ³z)². The operator is symmetric, so a symmetric step stays where it is, a local
# parabola passes unchanged, the ends need no special case, and the work is linear in the number of points.

_DIFFERENCE = np.array([-1.0, 3.0, -3.0, 1.0])
_LENGTHS = (0.7, 1.0, 1.5, 2.2, 3.2, 4.7, 6.8, 10.0, 14.5)
_MIN_WEIGHT = 1e-4
_MAX_LENGTH = 30.0  # keeps the banded system well conditioned


def whittaker(values: FloatArray, weights: FloatArray, length: float) -> FloatArray:
    """Smooth one or several curves on an even grid.

    Parameters
    ----------
    values : (n,) or (n, k) array
    weights : (n,) array, >= 0; 0 marks a node without data, which is interpolated
    length : float, in nodes, >= 0
        λ = length⁶, with at most 30 nodes: ripples of a wavelength 2π·length are halved, shorter ones removed,
        longer ones kept. Larger values smooth more.

    Returns
    -------
    array like `values`
    """
    n = len(values)
    if length <= 0 or n < 5:
        return np.array(values, dtype=float)
    weight = np.maximum(weights, _MIN_WEIGHT)
    bands = min(length, _MAX_LENGTH) ** 6 * _penalty_bands(n)
    bands[0] += weight
    right = weight * values if values.ndim == 1 else weight[:, None] * values
    smooth: FloatArray = solveh_banded(bands, right, lower=True, overwrite_ab=True)
    return smooth


def derivative(values: FloatArray, step: float) -> FloatArray:
    """Central first derivative along the first axis of an evenly spaced curve."""
    slope: FloatArray = np.gradient(values, step, axis=0)
    return slope


def estimate_noise(values: FloatArray, counts: FloatArray) -> float:
    """Standard deviation of a single reading, from third differences of neighbouring bin means.

    The median absolute deviation is used, so that the few bins inside steps do not count. Noise that is
    correlated over less than one bin is included as far as it survives the averaging.
    """
    if len(values) < 8:
        return 0.0
    squares = _DIFFERENCE**2
    third = np.convolve(values, _DIFFERENCE, mode="valid")
    full = np.minimum.reduce([counts[i : len(counts) - 3 + i] for i in range(4)]) > 0
    if full.sum() < 8:
        return 0.0
    inverse = np.convolve(1.0 / np.maximum(counts, 1.0), squares, mode="valid")
    scaled = third[full] / np.sqrt(inverse[full])
    return float(np.median(np.abs(scaled - np.median(scaled))) / 0.6745)


def choose_length(values: FloatArray, counts: FloatArray, noise: float, *, shortest: float) -> float:
    """Smoothing length in nodes with the smallest estimated risk (Mallows' Cp), at least `shortest`.

    The risk is Σ w (y − z)² + 2 σ² tr(S): too short keeps noise, too long flattens steps.
    """
    mean_count = max(float(counts[counts > 0].mean()), 1e-12)
    weights = counts / mean_count
    variance = noise**2 / mean_count
    best, best_risk = shortest, np.inf
    for length in sorted({max(candidate, shortest) for candidate in _LENGTHS}):
        residual = values - whittaker(values, weights, length)
        risk = float((weights * residual**2).sum()) + 2.0 * variance * _trace(len(values), length)
        if risk < best_risk:
            best, best_risk = length, risk
    return best


def smoothed_std(noise: float, length: float) -> float:
    """Standard deviation of a smoothed value for white noise per node, inside the curve.

    Variance = σ² (1/π) ∫ dω / (1 + (length·ω)⁶)² = 0.278 σ² / length.
    """
    return float(noise * min(1.0, np.sqrt(0.2778 / max(length, 0.1))))


def end_factor(weights: FloatArray, length: float) -> float:
    """Standard deviation of the first smoothed value, for white noise of 1 at nodes of weight 1.

    The first row of the smoother is (W + λ DᵀD)⁻¹ W, so that Σ wᵢ gᵢ² is its variance, g being the first column of
    the symmetric inverse. Where the first nodes hold no data, it grows as extrapolation does.

    Parameters
    ----------
    weights : (n,) array
        Readings per node relative to their mean; the variance of a node is 1/weight.
    length : float, in nodes
    """
    unit = np.zeros(len(weights))
    unit[0] = 1.0 / max(float(weights[0]), _MIN_WEIGHT)
    column = whittaker(unit, weights, length)
    return float(np.sqrt((weights * column**2).sum()))


def derivative_std(noise: float, length: float) -> float:
    """Standard deviation of the smoothed slope per node: sqrt(σ² / (12 length³))."""
    return float(noise * min(np.sqrt(0.5), np.sqrt(1.0 / (12.0 * max(length, 0.1) ** 3))))


def _penalty_bands(n: int) -> FloatArray:
    """Lower bands of DᵀD for third differences of n values."""
    bands = np.zeros((4, n))
    for offset in range(4):
        for i in range(4 - offset):
            product = _DIFFERENCE[i] * _DIFFERENCE[i + offset]
            bands[offset, i : i + n - 3] += product
    return bands


def _trace(n: int, length: float) -> float:
    omega = np.pi * (np.arange(n) + 0.5) / n
    gain = 1.0 / (1.0 + (length**2 * (2.0 - 2.0 * np.cos(omega))) ** 3)
    return float(gain.sum())


# ------------ From a run as read to one heating curve: units, start mass, heating part, even grid.

_TO_MG = {"mg": 1.0, "ug": 1e-3, "g": 1e3}
_MIN_POINTS = 20
_MIN_TREND = 5  # readings that show a slope
_CLEAR_TREND = 5.0  # standard deviations; robust ones of so few readings are uncertain by a third
_MAX_NODES = 2500
_GAP_C = 15.0
_RATE_BINS = 4


@dataclass(frozen=True, kw_only=True)
class MassCurve:
    """Mass as a fraction of the start mass, point by point.

    `start_mass_mg` is None where only relative mass is known; `from_header` tells whether the denominator is
    the weighed mass of the header or the first points of the curve.
    """

    mass: FloatArray
    start_mass_mg: float | None
    from_header: bool
    messages: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HeatingCurve:
    """The heating part on an even grid of progress.

    Parameters
    ----------
    progress : (n,) array, °C
        Equal to temperature while heating; holds are stretched by time.
    temperature_c, minutes, mass : (n,) arrays
        Bin means; `mass` is a fraction of the start mass, `minutes` counts from the first point kept.
    counts : (n,) array
        Readings in each bin; 0 where there are none and the values are interpolated.
    rate : (n,) array
        Progress per minute.
    noise : float
        Standard deviation of one reading, fraction of the start mass.
    """

    progress: FloatArray
    temperature_c: FloatArray
    minutes: FloatArray
    mass: FloatArray
    counts: FloatArray
    rate: FloatArray
    noise: float
    heating_rate_k_min: float | None
    start_mass_mg: float | None
    from_header: bool
    messages: tuple[Diagnostic, ...] = ()

    @property
    def step(self) -> float:
        """Width of a bin, °C of progress."""
        return float(self.progress[1] - self.progress[0])

    @property
    def weights(self) -> FloatArray:
        """Readings per bin relative to their mean over the bins that have any."""
        filled = self.counts[self.counts > 0]
        return self.counts / (filled.mean() if len(filled) else 1.0)

    @property
    def bin_noise(self) -> float:
        """Standard deviation of a bin mean with the average number of readings."""
        filled = self.counts[self.counts > 0]
        return self.noise / float(np.sqrt(filled.mean() if len(filled) else 1.0))

    def with_mass(self, mass: FloatArray, *extra: Diagnostic) -> HeatingCurve:
        """Return the same curve with another mass and further messages."""
        return replace(self, mass=mass, messages=self.messages + extra)


def prepare(run: TgaRun) -> HeatingCurve:
    """Bring a run to one heating curve.

    Raises
    ------
    AnalysisError
        Fewer than 20 points, a signal that is not a mass, time that runs backwards.
    """
    if len(run) < _MIN_POINTS:
        msg = f"{_name(run)}: {len(run)} points are too few for a mass balance; {_MIN_POINTS} are needed."
        raise AnalysisError(msg)
    curve = to_mass_fraction(run)
    part = heating_part(run)
    progress, rate_k_min = progress_axis(run, part.index)
    grid = _grid(progress)
    bins = np.clip(np.searchsorted(grid.edges, progress, side="right") - 1, 0, grid.n - 1)
    counts = np.bincount(bins, minlength=grid.n).astype(float)
    minutes = _minutes(run, part.index, progress, rate_k_min)
    mean = {
        name: bin_means(values, progress, bins, grid.centres)
        for name, values in (
            ("temperature", run.temperature_c[part.index]),
            ("minutes", minutes),
            ("mass", curve.mass[part.index]),
        )
    }
    rate = _progress_rate(mean["minutes"], grid.step, rate_k_min or 10.0)
    heating = HeatingCurve(
        progress=grid.centres,
        temperature_c=np.maximum.accumulate(mean["temperature"]),
        minutes=mean["minutes"],
        mass=mean["mass"],
        counts=counts,
        rate=rate,
        noise=estimate_noise(mean["mass"], counts),
        heating_rate_k_min=rate_k_min,
        start_mass_mg=curve.start_mass_mg,
        from_header=curve.from_header,
        messages=curve.messages + part.messages,
    )
    return replace(heating, messages=heating.messages + _gaps(heating))


def to_mass_fraction(run: TgaRun) -> MassCurve:
    """Express mass as a fraction of the start mass.

    The header's mass is the denominator where the curve starts within 20 % below and 1 % above it, or settles
    at it after a disturbed start: a moist specimen loses water between weighing and the first reading, and that
    water belongs to the balance. Otherwise the first readings are, followed back to the first of them where they
    fall already.

    Raises
    ------
    AnalysisError
        The signal is not a mass: mostly negative, or it starts at or below zero.
    """
    first = _first_mass(run.mass[: max(3, min(len(run) // 200, 15))])
    _refuse_what_is_not_mass(run, first)
    if run.mass_unit in ("percent", "fraction"):
        return _relative(run, first)
    scale = _TO_MG[run.mass_unit]
    header = run.initial_mass_mg
    if header is not None and header > 0 and _belongs(run.mass * scale / header, first * scale / header):
        found: tuple[Diagnostic, ...] = ()
        lost = 1.0 - first * scale / header
        if abs(lost) > 0.005:
            found = (
                Diagnostic(
                    code="TGA_LOSS_BEFORE_START",
                    severity="info",
                    text=f"The first reading is {first * scale:.3f} mg, {100 * lost:.2f} % below the weighed "
                    f"{header:.3f} mg of the header. The difference counts as water lost before the start.",
                    facts={"first_mg": first * scale, "header_mg": header},
                ),
            )
        return MassCurve(
            mass=run.mass * scale / header, start_mass_mg=header, from_header=True, messages=found
        )
    found = ()
    if header is not None and header > 0:
        found = (
            Diagnostic(
                code="TGA_START_MASS",
                severity="warning",
                text=f"The header says {header:.4g} mg, the curve starts at {first * scale:.4g} mg. "
                "The first readings are used as start mass; check that the header belongs to this run.",
                facts={"first_mg": first * scale, "header_mg": header},
            ),
        )
    return MassCurve(mass=run.mass / first, start_mass_mg=first * scale, from_header=False, messages=found)


def _first_mass(early: FloatArray) -> float:
    """Mass at the first of a few readings: their median, or where they clearly fall, a robust line through them.

    The slope is the median of those of all pairs (Sen, J. Am. Stat. Assoc. 63 (1968) 1379). A wet specimen that dries
    before the programme starts would otherwise lose the water of half these readings from its balance.
    """
    place = np.arange(len(early), dtype=float)
    later, earlier = np.triu_indices(len(early), 1)[::-1]
    slope = float(np.median((early[later] - early[earlier]) / (place[later] - place[earlier])))
    middle = float(np.median(early))
    centre = 0.5 * (len(early) - 1)
    scatter = float(np.median(np.abs(early - middle - slope * (place - centre)))) * 1.4826
    std = scatter * np.sqrt(12.0 / len(early) ** 3)
    clear = len(early) >= _MIN_TREND and -slope > _CLEAR_TREND * std
    return middle - slope * centre if clear else middle


def _belongs(mass: FloatArray, first: float) -> bool:
    """Whether a header's start mass fits the curve: at its first readings, or at its highest lasting ones."""
    return 0.8 <= first <= 1.01 or (first < 1.0 and 0.98 <= float(np.percentile(mass, 98.0)) <= 1.06)


def _relative(run: TgaRun, first: float) -> MassCurve:
    full = 100.0 if run.mass_unit == "percent" else 1.0
    found: list[Diagnostic] = []
    if run.initial_mass_mg is None:
        found.append(
            Diagnostic(
                code="TGA_NO_START_MASS",
                severity="warning",
                text="Relative masses without a start mass: buoyancy and drift act on milligrams, and their "
                "uncertainty is calculated for 10 mg. Give the start mass.",
            )
        )
    if abs(first / full - 1.0) > 0.005:
        found.append(
            Diagnostic(
                code="TGA_PERCENT_START",
                severity="warning",
                text=f"The curve starts at {100 * first / full:.2f} % instead of 100 %. Its scale is kept: "
                "the first step includes what is missing at the start.",
                facts={"first_percent": 100 * first / full},
            )
        )
    return MassCurve(
        mass=run.mass / full, start_mass_mg=run.initial_mass_mg, from_header=True, messages=tuple(found)
    )


def _refuse_what_is_not_mass(run: TgaRun, first: float) -> None:
    negative = float((run.mass < -0.05 * abs(first)).mean()) if first else 1.0
    if first <= 0 or negative > 0.2:
        msg = (
            f"{_name(run)}: the signal is not a mass: it starts at {first:g} {run.mass_unit} and "
            f"{100 * negative:.0f} % of its points are clearly negative. It may be a heat flow (DSC) or an "
            "uncorrected mass change; choose the mass column."
        )
        raise AnalysisError(msg)


@dataclass(frozen=True, kw_only=True)
class _Grid:
    edges: FloatArray
    centres: FloatArray
    step: float
    n: int


def _grid(progress: FloatArray) -> _Grid:
    span = float(progress[-1] - progress[0])
    spacing = float(np.median(np.diff(progress)[np.diff(progress) > 0])) if span > 0 else 1.0
    step = max(1.0 if span > 200 else span / 200, spacing, span / _MAX_NODES, 1e-3)
    n = max(int(np.ceil(span / step)), 8)
    step = span / n if span > 0 else 1.0
    edges = progress[0] + step * np.arange(n + 1)
    return _Grid(edges=edges, centres=0.5 * (edges[1:] + edges[:-1]), step=step, n=n)


def bin_means(values: FloatArray, progress: FloatArray, bins: IntArray, centres: FloatArray) -> FloatArray:
    """Means of each bin, moved from the mean progress of its readings to its centre; empty bins are interpolated.

    Parameters
    ----------
    values, progress, bins : (n,) arrays
        Readings, their progress in °C and the bin each falls into.
    centres : (m,) array, °C

    Returns
    -------
    (m,) array
    """
    counts = np.bincount(bins, minlength=len(centres))
    filled = counts > 0
    where = np.bincount(bins, weights=progress, minlength=len(centres))[filled] / counts[filled]
    means = np.bincount(bins, weights=values, minlength=len(centres))[filled] / counts[filled]
    at_centres: FloatArray = np.interp(centres, where, means)
    return at_centres


def _progress_rate(minutes: FloatArray, step: float, nominal: float) -> FloatArray:
    """Progress per minute, over four bins to both sides; at most ten times the heating rate."""
    n = len(minutes)
    after = np.minimum(np.arange(n) + _RATE_BINS, n - 1)
    before = np.maximum(np.arange(n) - _RATE_BINS, 0)
    passed = np.maximum(minutes[after] - minutes[before], 0.0)
    rate: FloatArray = (
        step * (after - before) / np.maximum(passed, step * (after - before) / (10.0 * nominal))
    )
    return rate


def _minutes(run: TgaRun, index: IntArray, progress: FloatArray, rate: float | None) -> FloatArray:
    minutes = minutes_of(run, index)
    if minutes is not None:
        return minutes
    assumed: FloatArray = (progress - progress[0]) / (rate or 10.0)
    return assumed


def _gaps(curve: HeatingCurve) -> tuple[Diagnostic, ...]:
    empty = curve.counts == 0
    if not empty.any():
        return ()
    edges = np.flatnonzero(np.diff(np.concatenate(([0], empty.astype(int), [0]))))
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    width = float((stops - starts)[longest] * curve.step)
    if width < _GAP_C:
        return ()
    low = float(curve.temperature_c[max(starts[longest] - 1, 0)])
    high = float(curve.temperature_c[min(stops[longest], len(empty) - 1)])
    lost = float(curve.mass[max(starts[longest] - 1, 0)] - curve.mass[min(stops[longest], len(empty) - 1)])
    return (
        Diagnostic(
            code="TGA_GAP",
            severity="warning",
            text=f"There are no readings between {low:.0f} and {high:.0f} °C, where {100 * lost:.2f} % of "
            "the mass was lost. The curve is interpolated there; steps inside it cannot be told apart.",
            facts={"from_c": low, "to_c": high, "mass_lost": lost},
        ),
    )


def _name(run: TgaRun) -> str:
    return run.source.file if run.source is not None else "TGA run"


# ------------ Blank subtraction, buoyancy and drift: what the balance adds to the mass of the specimen.

_GAS_DENSITY_25C = {  # mg/cm³ at 25 °C and 1013 hPa, ideal gas p M / (R T)
    "air": 1.184,
    "oxygen": 1.308,
    "nitrogen": 1.145,
    "argon": 1.633,
    "carbon_dioxide": 1.799,
    "unknown": 1.184,
}
_ASSUMED_MG = 10.0
_DOUBTFUL = 0.005
_CARRIER_STD = 0.6
_NOT_REPEATED = 0.5  # share of the drift of a run that its blank does not show
_BLANK_LENGTH = 15.0
_MIN_BLANK_POINTS = 20
UNIFORM = 3.0**-0.5  # standard deviation of a quantity anywhere between 0 and 1, about 0
_CARRIER_VOLUME_CM3 = 0.28  # raw gains of 0.24 mg by 800 °C are typical of simultaneous thermal analysers


@dataclass(frozen=True, kw_only=True)
class BlankNoise:
    """Standard deviation of the smoothed blank at its start and inside, fraction of the specimen's start mass."""

    start: float
    inside: float


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A heating curve after correction, and how the correction may be wrong.

    `buoyancy`, `weighing` and `drift` are (n,) arrays, fraction of the start mass: what one standard deviation
    of each would add to the corrected mass. `weighing` is the buoyancy of what has left, in cold gas: whether
    the start mass holds it depends on how the balance was zeroed, which no file tells. `blank` is None without a
    blank run.
    """

    curve: HeatingCurve
    buoyancy: FloatArray
    weighing: FloatArray
    drift: FloatArray
    blank: BlankNoise | None = None

    def covariances(self, index: IntArray) -> dict[str, FloatArray]:
        """Covariance of the corrected mass at some grid points, by the name each source has in the budget.

        Buoyancy, weighing and drift move the whole curve; the noise of the blank is that of its smoothed readings
        at each point, and at the start, to which its change refers.
        """
        together = {"buoyancy": self.buoyancy, "weighing": self.weighing, "drift": self.drift}
        found: dict[str, FloatArray] = {name: np.outer(d[index], d[index]) for name, d in together.items()}
        if self.blank is not None:
            found["blank"] = self.blank.inside**2 * np.eye(len(index)) + self.blank.start**2
        return found


def gas_density(temperature_c: FloatArray, atmosphere: Atmosphere) -> FloatArray:
    """Density of the purge gas in mg/cm³ (ideal gas at 1013 hPa)."""
    density: FloatArray = _GAS_DENSITY_25C[atmosphere] * 298.15 / celsius_to_kelvin(temperature_c)
    return density


def settings_for(run: TgaRun, recipe: ThermalRecipe) -> ThermalRecipe:
    """Settings with the displaced volume of a whole sample carrier, where a file holds raw balance readings.

    Exports of most instruments hold a mass from which a correction run was subtracted; a run of raw readings is not
    `corrected`, and carrier and crucible displace about 0.28 cm³, give or take 60 %.
    """
    if run.corrected:
        return recipe
    return msgspec.structs.replace(
        recipe,
        pan_volume_cm3=max(recipe.pan_volume_cm3, _CARRIER_VOLUME_CM3),
        buoyancy_std=max(recipe.buoyancy_std, _CARRIER_STD),
    )


def correct_baseline(
    curve: HeatingCurve, recipe: ThermalRecipe, atmosphere: Atmosphere, blank: TgaRun | None
) -> Corrected:
    """Take the apparent mass out of a curve.

    With a blank run its change of mass since the specimen's run began is subtracted at equal progress of the
    programme (what the blank holds before and after is not used), and only the specimen's own volume is left to
    correct. Without one, buoyancy is calculated from the volumes of pan and
    specimen, Δm = V (ρ(T₀) − ρ(T)), subtracted, and carried as uncertainty (`recipe.buoyancy_std` of it).

    Raises
    ------
    AnalysisError
        The blank is in percent without a start mass, does not cover the run, or has fewer than 20 readings in it.
    """
    start_mg = curve.start_mass_mg or _ASSUMED_MG
    noise: BlankNoise | None = None
    gas = gas_density(curve.temperature_c, atmosphere)
    lighter = gas[0] - gas
    mass, found = curve.mass, []
    pan_volume = recipe.pan_volume_cm3
    if blank is not None:
        change, noise, message = _blank_change(curve, blank)
        mass = mass - change / start_mg
        noise = BlankNoise(start=noise.start / start_mg, inside=noise.inside / start_mg)
        pan_volume = 0.0
        if message is not None:
            found.append(message)
    specimen_volume = np.clip(mass, 0.0, None) * start_mg * 1e-3 / recipe.sample_density_g_cm3
    buoyancy = (pan_volume + specimen_volume) * lighter / start_mg
    passed = curve.minutes / max(float(curve.minutes[-1]), 1e-9)
    left = 1.0 if blank is None else _NOT_REPEATED
    drift = left * recipe.drift_std_ug * 1e-3 * passed / start_mg
    if blank is None:
        found.append(
            Diagnostic(
                code="TGA_NO_BLANK",
                severity="warning" if recipe.buoyancy_std * float(buoyancy[-1]) > _DOUBTFUL else "info",
                text=f"No blank run: an apparent gain of {100 * buoyancy[-1]:.2f} wt% at the end was "
                f"calculated for buoyancy and removed, with a relative uncertainty of "
                f"{100 * recipe.buoyancy_std:.0f} %. Give a blank run of the same programme.",
                facts={"gain": float(buoyancy[-1])},
            )
        )
    return Corrected(
        curve=curve.with_mass(mass - buoyancy, *found),
        buoyancy=recipe.buoyancy_std * buoyancy,
        weighing=UNIFORM * (1.0 - np.clip(mass, 0.0, 1.0)) * gas[0] * 1e-3 / recipe.sample_density_g_cm3,
        drift=drift,
        blank=noise,
    )


def _blank_change(curve: HeatingCurve, blank: TgaRun) -> tuple[FloatArray, BlankNoise, Diagnostic | None]:
    """Change of mass of the blank in mg on the curve's grid, smoothed, and what noise is left in it."""
    if blank.mass_unit in ("percent", "fraction"):
        if blank.initial_mass_mg is None:
            msg = (
                "the blank run is in percent without a start mass, so its change in mg is unknown. "
                "Export the blank in mg."
            )
            raise AnalysisError(msg)
        scale = blank.initial_mass_mg / (100.0 if blank.mass_unit == "percent" else 1.0)
    else:
        scale = _TO_MG[blank.mass_unit]
    index = heating_part(blank).index
    progress, rate = progress_axis(blank, index)
    if progress[0] > curve.progress[0] + 20.0 or progress[-1] < curve.progress[-1] - 20.0:
        msg = (
            f"the blank run covers {progress[0]:.0f} to {progress[-1]:.0f} °C, the specimen's run "
            f"{curve.progress[0]:.0f} to {curve.progress[-1]:.0f} °C. Measure the blank with the same "
            "programme."
        )
        raise AnalysisError(msg)
    edges = np.concatenate((curve.progress - 0.5 * curve.step, [curve.progress[-1] + 0.5 * curve.step]))
    shared = (progress >= edges[0]) & (progress <= edges[-1])
    index, progress = index[shared], progress[shared]
    if len(index) < _MIN_BLANK_POINTS:
        msg = (
            f"the blank run has {len(index)} readings in the range of the specimen's run; {_MIN_BLANK_POINTS} are "
            "needed. Export the blank as measured."
        )
        raise AnalysisError(msg)
    bins = np.clip(np.searchsorted(edges, progress, side="right") - 1, 0, len(curve.progress) - 1)
    counts = np.bincount(bins, minlength=len(curve.progress)).astype(float)
    means = bin_means(blank.mass[index] * scale, progress, bins, curve.progress)
    weights = counts / counts.mean()
    smooth = whittaker(means, weights, _BLANK_LENGTH)
    single = estimate_noise(means, counts) / np.sqrt(counts.mean())
    noise = BlankNoise(
        start=single * end_factor(weights, _BLANK_LENGTH), inside=smoothed_std(single, _BLANK_LENGTH)
    )
    message = None
    own = curve.heating_rate_k_min
    if rate and own and abs(rate / own - 1.0) > 0.05:
        message = Diagnostic(
            code="TGA_BLANK_RATE",
            severity="warning",
            text=f"The blank was heated at {rate:.2f} K/min, the specimen at {own:.2f} K/min. Buoyancy and "
            "drift differ with the rate; measure the blank with the same programme.",
            facts={"blank_k_min": rate, "run_k_min": own},
        )
    change: FloatArray = smooth - smooth[0]
    return change, noise, message
