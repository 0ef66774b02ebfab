"""From a run as read to one heating curve: units, start mass, heating part, even grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.thermal.program import heating_part, minutes_of, progress_axis
from xrdcomp.thermal.smooth import estimate_noise
from xrdcomp.types import Diagnostic, FloatArray, IntArray, TgaRun

__all__ = ["HeatingCurve", "MassCurve", "bin_means", "prepare", "to_mass_fraction"]

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
    diagnostics: tuple[Diagnostic, ...] = ()


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
    diagnostics: tuple[Diagnostic, ...] = ()

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
        return replace(self, mass=mass, diagnostics=self.diagnostics + extra)


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
        diagnostics=curve.diagnostics + part.diagnostics,
    )
    return replace(heating, diagnostics=heating.diagnostics + _gaps(heating))


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
            mass=run.mass * scale / header, start_mass_mg=header, from_header=True, diagnostics=found
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
    return MassCurve(mass=run.mass / first, start_mass_mg=first * scale, from_header=False, diagnostics=found)


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
        mass=run.mass / full, start_mass_mg=run.initial_mass_mg, from_header=True, diagnostics=tuple(found)
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
