"""Faults of a detector at single points, and counts from which a background was subtracted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrdcomp.data import Pattern
from xrdcomp.units import BoolArray, FloatArray

_CLEAR = 8.0  # standard deviations of a point off its neighbours, in a scan of some thousand points
# Of a point's excess over what its neighbours tell, by which these rise above their own: a Gaussian reflection 1.15
# steps broad has as much where its top lies on a point, and broader ones, or those between two points, have more.
_NARROW = 0.15
_RESOLVED = 0.4  # the same of a reflection two steps broad
_MOST = 200  # points for each spike: more spikes are reflections of a scan with too coarse steps
# Degrees: no laboratory diffractometer resolves less than 0.03°, which four thirds of this step tell from one point.
_FINE_STEP, _SHORTEST_WAVELENGTH = 0.0225, 0.5
_FEWEST = 3  # resolved reflections that vouch for the steps of another scan
_RUN, _EQUAL = 3, 5  # neighbouring points, or points in all, at exactly the highest value
_COARSEST = 1.0 / 30.0  # of a standard deviation: counts of 900 and more; coarser values are alike by rounding
_BLOCK, _FEWEST_BLOCKS = 16, 16  # points of which a variance is taken, and how many of them say something
# Variance over mean of the lowest quarter of a scan, over that of its upper half. Counts have the same in both, and
# what reflections leave in fourth differences only lowers the ratio: measured scans have at most 1.7. Where the upper
# half has not about the scatter of counts, the file's values are none.
_MORE_SCATTER, _COUNTS = 2.2, (0.5, 2.0)
_LEAST_LEVEL = 0.01  # of the mean intensity: below it a lowest quarter says that it was taken off
# The same of values on any scale, smoothed or not: variance over mean of the lowest of some groups of blocks, by
# intensity, over the least of any group, in the whole scan and in each of its halves. Counts times a constant have the
# same in all groups, and so have smoothed ones. Of measured scans the least of the three is 2.5 at most, 1.3 without
# those of neutrons; without their background scans of 8000 counts at the top have 5 and more, or 2.5 to 4 where that
# was some tens of counts.
_MORE_ANYWHERE = 3.0
_GROUPS, _GROUPS_OF_HALF = 8, 5
_HIGHEST = (0.06, 0.03)  # shares of the blocks, where reflections are few, that are groups by themselves
_FEWEST_OF_GROUP = 4  # blocks


def background_subtracted(pattern: Pattern) -> bool:
    """Tell whether a background was taken off counts: where little is left they scatter as the many they were.

    Amorphous scattering went with it, as far as whoever did it took it for background.
    """
    y = pattern.intensity
    if len(y) < _FEWEST_BLOCKS * _BLOCK + 4:
        return False
    variance, mean = _scatter(y)
    order = np.argsort(mean)
    low, high = order[: len(order) // 4], order[len(order) // 2 :]
    level = float(mean.mean())
    if level <= 0.0:
        return False
    if mean[high].min() > 0.0:
        upper = float(np.median(variance[high] / mean[high]))
        lower = float(variance[low].mean()) / max(float(mean[low].mean()), _LEAST_LEVEL * level)
        if _COUNTS[0] < upper < _COUNTS[1] and lower > _MORE_SCATTER * upper:
            return True
    half = len(y) // 2
    if len(y) < 2 * _FEWEST_BLOCKS * _BLOCK + 8 or float(np.median(variance[low])) < _granularity(y) ** 2:
        return False  # values as coarse as their scatter are alike where there are few
    halves = (_excess(*_scatter(part), _GROUPS_OF_HALF) for part in (y[:half], y[half:]))
    return min(_excess(variance, mean, _GROUPS), *halves) > _MORE_ANYWHERE


def _granularity(intensity: FloatArray) -> float:
    """Least difference of two values of a scan beyond rounding, infinite where all are alike."""
    apart = np.diff(np.unique(intensity))
    return float(apart[apart > 1e-9 * float(intensity.max())].min(initial=np.inf))


def _scatter(y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Variance by fourth differences, which smooth curves hardly have, and mean of blocks of points, (blocks,)."""
    fourth = (y[:-4] - 4.0 * y[1:-3] + 6.0 * y[2:-2] - 4.0 * y[3:-1] + y[4:]) ** 2 / 70.0
    n = len(fourth) // _BLOCK * _BLOCK
    return fourth[:n].reshape(-1, _BLOCK).mean(axis=1), y[2:-2][:n].reshape(-1, _BLOCK).mean(axis=1)


def _excess(variance: FloatArray, mean: FloatArray, groups: int) -> float:
    """Variance over mean of the lowest group of blocks over the least of all groups; 0 where nothing scatters."""
    level = float(mean.mean())
    if level <= 0.0:
        return 0.0
    relative = variance / np.maximum(mean, _LEAST_LEVEL * level)
    order, n = np.argsort(mean), len(mean)
    parts = [*np.array_split(order, groups), *(order[-max(round(share * n), _FEWEST_OF_GROUP) :] for share in _HIGHEST)]
    medians = [float(np.median(relative[part])) for part in parts]
    least = min(medians)
    return medians[0] / least if least > 0.0 else 0.0


@dataclass(frozen=True, kw_only=True)
class PointFaults:
    """Points of a pattern that show the detector instead of the specimen, each (n,), and the detector's ceiling."""

    spikes: BoolArray
    saturated: BoolArray
    ceiling: float

    @classmethod
    def of(cls, pattern: Pattern, wavelength: float) -> PointFaults:
        """Find them; `wavelength` (Å) is that of the strongest line."""
        saturated, ceiling = _saturated(pattern.intensity, pattern.sigma)
        spikes = _spikes(pattern, wavelength) & ~saturated
        return cls(spikes=spikes, saturated=saturated, ceiling=ceiling)

    def mended(self, pattern: Pattern) -> tuple[FloatArray, FloatArray]:
        """Intensity and standard deviation, (n,), with faulty points at their neighbours' mean or without weight.

        What a saturated point hides may be as much as it shows, or more: its flanks tell.
        """
        intensity = pattern.intensity.copy()
        sigma = np.where(self.saturated, np.maximum(intensity, pattern.sigma), pattern.sigma)
        good = np.flatnonzero(~self.spikes)
        for i in np.flatnonzero(self.spikes):
            after = int(np.searchsorted(good, i))
            beside = good[max(after - 1, 0) : after + 1]
            intensity[i] = intensity[beside].mean()
            sigma[i] = sigma[beside].max()
        return intensity, sigma


def _spikes(pattern: Pattern, wavelength: float) -> BoolArray:
    """Mark single points far off their neighbours where reflections of the scan are broader than a point."""
    y, s, n = pattern.intensity, pattern.sigma, len(pattern)
    found = np.zeros(n, dtype=bool)
    if n < 2 * _MOST:
        return found
    # (−1, 4, ·, 4, −1)/6 is what a cubic through the four neighbours has between them
    outer, inner = y[:-4] + y[4:], y[1:-3] + y[3:-1]
    expected = (4.0 * inner - outer) / 6.0
    off, rise = y[2:-2] - expected, 0.5 * (inner - outer)
    beside = np.maximum(np.maximum(s[1:-3], s[3:-1]), np.maximum(s[:-4], s[4:]))
    noise = np.hypot(np.where(off > 0.0, s[2:-2], beside), beside)
    z = off / noise
    z = z / max(1.0, 1.4826 * float(np.median(np.abs(z))))
    low, high = np.minimum(y[1:-3], y[3:-1]), np.maximum(y[1:-3], y[3:-1])
    beyond = np.where(off > 0.0, y[2:-2] - high, low - y[2:-2])  # the kink of a steep flank stands beyond one only
    top = (y[2:-2] > y[1:-3]) & (y[2:-2] >= y[3:-1])
    sharp = (np.abs(z) > _CLEAR) & (beyond > 0.5 * np.abs(off))
    # the neighbours' own noise is no rise of theirs
    single = sharp & (np.abs(rise) < _NARROW * np.abs(off) + beside) & (inner > 0.0)
    resolved = top & (off > _CLEAR * noise) & (rise > _RESOLVED * off)
    fine = float(np.median(np.diff(pattern.two_theta))) <= _FINE_STEP and wavelength > _SHORTEST_WAVELENGTH
    vouched = fine or int(resolved.sum()) >= max(_FEWEST, int(single.sum()))
    if vouched and single.sum() * _MOST <= n:
        found[2:-2] = single
    return found


def _saturated(intensity: FloatArray, sigma: FloatArray) -> tuple[BoolArray, float]:
    """Mark points at exactly the highest value of the scan where counting would not repeat it so often."""
    ceiling = float(intensity.max())
    at = intensity == ceiling
    equal = int(at.sum())
    none = np.zeros(len(intensity), dtype=bool)
    if equal < _RUN or ceiling <= 0.0:
        return none, ceiling
    edges = np.flatnonzero(np.diff(np.concatenate([[0], at.astype(int), [0]])))
    longest = int((edges[1::2] - edges[::2]).max())
    often = longest >= _RUN or equal >= _EQUAL
    return (at, ceiling) if often and _granularity(intensity) < _COARSEST * float(sigma[at].min()) else (none, ceiling)
