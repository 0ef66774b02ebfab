"""Scans as files hold them, and what makes one a `Pattern`: checks, counting statistics, refusals.

Readers give a `RawScan`; `to_pattern` judges it. No value is corrected: what is only odd becomes a message
that reaches the result, what cannot be a powder scan is refused with its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, IntensityUnit, Metadata, Pattern, message_kind
from xrdcomp.errors import ReadError
from xrdcomp.io.source import SourceFile
from xrdcomp.units import KALPHA2_RATIO, FloatArray

MAX_POINTS = 500_000
"""Ten times the longest known scan (11-BM, 49 493 points); arrays beyond are refused before they are made."""
CUT, DAMAGED = "The file is cut or edited.", "The file is damaged or edited."
"""Hints of refusals."""

_NO_POINTS: FloatArray = np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class RawScan:
    """One scan as the file holds it, before it is judged; `replace` adds points to what scans of a file share.

    `two_theta` is the scanned axis in degrees, whatever `axis` calls it (``2theta``, ``omega`` …); `intensity` is in
    `unit` with attenuation factors applied, `attenuation` the factors by which the detector's counts were multiplied;
    `counting_time_s` is one number or one per point. `not_powder` says why this is no powder scan. `default` is False
    for what is read only when asked for by number, such as a calculated pattern beside the measured one. `place`
    (``"scan 2"``) stands in error messages.
    """

    two_theta: FloatArray = field(default_factory=lambda: _NO_POINTS)
    intensity: FloatArray = field(default_factory=lambda: _NO_POINTS)
    unit: IntensityUnit = "arbitrary"
    sigma: FloatArray | None = None
    counting_time_s: float | FloatArray | None = None
    attenuation: FloatArray | None = None
    emission_lines: tuple[EmissionLine, ...] = ()
    anode: str = ""
    axis: str = "2theta"
    not_powder: str = ""
    default: bool = True
    place: str = ""
    metadata: Metadata = field(default_factory=dict)
    messages: tuple[Diagnostic, ...] = ()


# --- Parts of readers ----------------------------------------------------------------------------------


def emission_lines(
    alpha1: float | None, alpha2: float | None = None, ratio: float | None = KALPHA2_RATIO, average: float | None = None
) -> tuple[EmissionLine, ...]:
    """Emission lines from header fields in ångström; fields that are zero or missing give none.

    A wavelength that is stated but cannot be one (NaN for a text that is no number), and a Kα2 without a ratio between
    0 and 1, follow with weight 0 and the label `DOUBTFUL`: `to_pattern` tells them and leaves them out.
    """
    lines = []
    if alpha1 and 0.1 < alpha1 < 5.0:
        lines.append(EmissionLine(wavelength=alpha1))
        if alpha2 and alpha2 != alpha1 and ratio != 0.0:
            legal = 0.98 < alpha2 / alpha1 < 1.02 and ratio is not None and 0.0 < ratio < 1.0
            lines.append(EmissionLine(wavelength=alpha2, weight=ratio or 0.0) if legal else doubtful(alpha2))
        return tuple(lines)
    if average and 0.1 < average < 5.0:
        lines.append(EmissionLine(wavelength=average))
    elif alpha1:
        lines.append(doubtful(alpha1))
    return tuple(lines)


DOUBTFUL = "doubtful"


def doubtful(wavelength: float) -> EmissionLine:
    """Make the line of a wavelength that is stated and cannot be used."""
    return EmissionLine(wavelength=wavelength, weight=0.0, label=DOUBTFUL)


def stated_wavelength(text: str) -> float | None:
    """Wavelength of a header text in ångström: None where there is no text, NaN where it is no number."""
    if not text.strip(" \t'\"?."):
        return None
    try:
        return float(text)
    except ValueError:
        return float("nan")


def two_theta_grid(start: float, step: float, n: int) -> FloatArray:
    """Angles start + step·i for i = 0 … n-1, without the drift of repeated addition."""
    grid: FloatArray = start + step * np.arange(n, dtype=np.float64)
    return grid


def grid_to_end(start: float, step: float, n: int, end: float | None, place: str) -> FloatArray:
    """Angles of n points; refused where the last lies more than 0.6 steps off the header's end."""
    if end is not None and not abs(start + step * (n - 1) - end) <= 0.6 * abs(step):
        msg = f"{n} points from {start:g} in steps of {step:g} do not end at {end:g}"
        raise ReadError(msg, place, "a range that fits its points", CUT)
    return two_theta_grid(start, step, n)


def points_between(start: float, end: float, step: float, place: str, fraction: float = 0.1) -> int:
    """Number of points of a range in degrees; refuses one that misses whole steps by more than `fraction`."""
    if not (np.isfinite([start, end, step]).all() and 0 < step < 10 and start < end <= 180):
        msg = f"the range runs from {start:g} to {end:g} in steps of {step:g}"
        raise ReadError(msg, place, "angles in degrees", DAMAGED)
    exact = (end - start) / step + 1
    n = round(exact)
    if abs(exact - n) > fraction or not 1 < n <= MAX_POINTS:
        msg = f"{start:g} to {end:g}° is no whole number of steps of {step:g}°"
        raise ReadError(msg, place, f"a whole number, {MAX_POINTS} at most", DAMAGED)
    return n


def check_count(held: int, declared: float | None, place: str, what: str = "points") -> None:
    """Refuse another number of points than the header declares, where it declares one."""
    if declared is not None and int(declared) != held:
        msg = f"the header declares {int(declared)} {what}, the file holds {held}"
        raise ReadError(msg, place, f"{int(declared)} {what}", CUT)


def refuse_other_axis(x: FloatArray, expected: str, hint: str) -> None:
    """Refuse an axis that no header calls 2θ and that runs as 2θ does not.

    Even steps of 2θ are steps of q, d or sinθ/λ that shrink or grow steadily over the whole scan; a segmented scan has
    few different steps, and a damaged angle changes two of them. An axis that counts is none, and steps that vary
    fourfold are those of a list of reflections.
    """
    steps = np.abs(np.diff(x))
    if len(x) < LEAST_POINTS or not np.isfinite(x).all() or not (steps > 0).all():
        return
    low, high = np.quantile(steps, [0.1, 0.9])
    different = len(np.unique(np.round(steps / np.median(steps), 3)))
    if len(x) >= 30 and (steps == 1.0).all() and x.min() in (0.0, 1.0):
        msg = "the axis counts 0, 1, 2, …: points or channels"
    elif len(x) >= 30 and (seen := _steady_change(x, steps, different)):
        msg = f"towards higher values the steps of the axis {seen} do, and those of 2θ do not"
    elif high > 4.0 * low and different > min(10, len(steps) // 2):
        msg = f"the steps of the axis vary between {low:.3g} and {high:.3g}, as in a list of reflections, not in a scan"
    elif len(x) >= 30 and x.max() < LEAST_END:
        msg = f"the axis runs from {x.min():g} to {x.max():g} only, as q (1/Å), d (Å) or energy (keV) may"
    else:
        return
    raise ReadError(msg, expected=expected, hint=hint)


def _steady_change(x: FloatArray, steps: FloatArray, different: int) -> str:
    """How steps shrink or grow steadily over a whole scan, in words; "" where they do not."""
    low, high = np.quantile(steps, [0.05, 0.95])
    bend = np.abs(np.diff(steps))
    trend = abs(float(np.median(steps[: len(steps) // 4]) / np.median(steps[-len(steps) // 4 :])) - 1.0)
    even_change = float(np.quantile(bend, 0.9)) < 0.1 * float(np.median(steps))
    if not (trend > 0.02 and high > 1.02 * low and even_change and different > 10):
        return ""
    shrinks = bool(steps[0] > steps[-1]) == bool(x[-1] > x[0])
    return "shrink steadily, as those of q = 4π sinθ/λ" if shrinks else "grow steadily, as those of d = λ/(2 sinθ)"


LEAST_ANGLE = 3.2
"""No powder scan ends lower: π in radians is 180°; reflections of 1.8 Å stand at 3.2° even with 0.1 Å."""
LEAST_END = 9.0
"""No powder scan over 2θ that a tube measured ends lower: the (100) of apatite with Cu Kα stands at 10.8°."""


def declared_part(
    y: FloatArray, declared: float | None, place: str, what: str = "points", *, angles: FloatArray | None = None
) -> tuple[int, tuple[Diagnostic, ...]]:
    """Number of points to read where the header declares one, with a note on what follows them.

    Zeros, or rows whose listed `angles` continue the scan, may follow; fewer points or other ones are refused.
    """
    held, n = len(y), int(len(y) if declared is None else declared)
    if held <= n or n < 2:
        check_count(held, declared, place, what)
        return held, ()
    followed = "zeros" if not y[n:].any() else ""
    if not followed and angles is not None:
        steps = np.diff(angles)
        usual = float(np.median(steps[: n - 1]))
        followed = "that continue the scan" if (np.abs(steps[n - 1 :] - usual) < 0.1 * abs(usual)).all() else ""
    if not followed:
        check_count(held, declared, place, what)
    text = f"{place}: the header declares {n} {what}, {held - n} more follow, {followed}; the declared ones were read"
    return n, (SURPLUS_RECORDS(text, declared=n, held=held),)


def follows_grid(listed: FloatArray, grid: FloatArray, tolerance: float, place: str) -> bool:
    """True where listed angles are those of the header's range; refuses them where half are and others not.

    Where most angles lie elsewhere the header describes another range, and the list stands.
    """
    off = np.abs(grid - listed)
    if (off <= tolerance).all():
        return True
    if np.median(off) <= tolerance:
        i = int(np.argmax(off))
        msg = f"point {i} stands at {listed[i]:g}°, start and step of the header give {grid[i]:g}°"
        raise ReadError(msg, place, "both alike", DAMAGED)
    return False


# --- What can be seen in a scan without knowing its format ---------------------------------------------

NOISE = message_kind(
    "XRD_NOISE", "info",
    "Neighbouring points do not scatter as counting statistics alone would make them: the scan is smoothed, summed "
    "from overlapping channels, rescaled or background-corrected, or the source drifted.",
    remedy="Use the scan as measured; standard deviations of single points are too large or too small.",
    threshold="variance ratio below 0.4 or above 2.5", origin="measured counts give 0.9 to 1.4",
)  # fmt: skip
SPIKE = message_kind(
    "XRD_SPIKE", "warning",
    "Single points stand out from smooth surroundings, or far above both neighbours: damaged values or detector "
    "spikes, because no reflection is one step wide.",
    remedy="Compare with another export, or exclude the points.",
    threshold="8 standard deviations beside neighbours within 5, or 25 times both neighbours",
    origin="one false alarm in 200 scans of Poisson noise at most",
)  # fmt: skip
UNEVEN_STEP = message_kind(
    "XRD_UNEVEN_STEP", "warning",
    "A few irregular steps in a regular scan (missing points, segments, a damaged angle), or steps so uneven that this "
    "is a list of reflections, not a scan.",
    remedy="Compare with another export of the measurement.",
    threshold="up to 1 % of the steps off by 2 % of a step; steps that vary fourfold",
    origin="rounding of listed angles and steps that change steadily stay below",
)  # fmt: skip
ZERO_ENDS = message_kind(
    "XRD_ZERO_ENDS", "warning",
    "Zeros at the ends of a scan whose background is well above zero: padding, not measurement.",
    remedy="Fit the range that the message names.", threshold="median above 20",
)  # fmt: skip
MAYBE_CUT = message_kind(
    "XRD_MAYBE_CUT", "warning",
    "A text file that does not state its length ends at an unusual angle, or within a line or a number.",
    remedy="Compare with the range of the measurement.",
)  # fmt: skip
ZERO_RUN = message_kind(
    "XRD_ZERO_RUN", "warning",
    "Several zeros in a row inside the scan, although the points beside them have counts: lost data, not measurement.",
    remedy="Compare with another export, or exclude the range.",
    threshold="3 zeros in a row beside a median above 20, or more if their number times the median is above 100; "
    "one or two beside 50 counts",
    origin="chance of 1e-26 for three of 20 counts, 1e-21 for one of 50",
)  # fmt: skip
ODD_COUNTS = message_kind(
    "XRD_ODD_COUNTS", "warning",
    "Fractional values among the whole counts of a scan: a damaged number, or a point used as thousands separator.",
    remedy="Compare with another export.",
    threshold="up to 30 % of the points of a scan of counts, up to 2 % if the file names no unit",
)  # fmt: skip
SCALE_CHANGES = message_kind(
    "XRD_SCALE_CHANGES", "warning",
    "The intensities jump from one point to the next and their noise changes with them, as if a part of the scan were "
    "multiplied: an absorber, another counting time, or scans joined without a common scale.",
    remedy="Bring the parts to one scale, or fit one of them.",
    threshold="a factor of 1.8, in level, in background and in variance per count alike; of a stretch of two points or "
    "more that goes back, a factor of 3 that no other step of the scan comes near",
    origin="no false alarm in 400 simulated scans and on 60 measured ones; of stretches in 300 and 88",
)  # fmt: skip
WAVELENGTH_DOUBTFUL = message_kind(
    "XRD_WAVELENGTH_DOUBTFUL", "warning",
    "The file states a wavelength that cannot be read or is not between 0.1 and 5 Å, or a Kα2 without a ratio between "
    "0 and 1; it was not used.",
    remedy="Give the wavelength in ångström.",
)  # fmt: skip
KALPHA2_UNUSUAL = message_kind(
    "XRD_KALPHA2_UNUSUAL", "warning",
    "The file states a ratio of Kα2 to Kα1 that no tube emits; it was used.",
    remedy="Pass the ratio (instrument.intensity_ratio) if the file is wrong.",
    threshold="outside 0.4 to 0.6", origin="0.48 to 0.52 for all anodes; less after a monochromator",
)  # fmt: skip
UNIT_DOUBTFUL = message_kind(
    "XRD_UNIT_DOUBTFUL", "warning",
    "The file says counts per second, but the intensities are whole numbers that scatter like counts: they may be "
    "counts, and standard deviations are then wrong by the square root of the counting time.",
    remedy="Compare with the unit that the instrument shows.",
    threshold="variance ratio 0.5 to 1.9 at a counting time below 0.4 s or above 2.5 s",
)  # fmt: skip
SURPLUS_RECORDS = message_kind(
    "XRD_SURPLUS_RECORDS", "warning",
    "After the declared number of points the file contains more, either zeros or points that continue the scan; the "
    "declared number was read.",
    remedy="Compare with the range of the measurement.",
)  # fmt: skip
SCAN_DESCENDING = message_kind("XRD_SCAN_DESCENDING", "info", "The scan ran from high to low angle; it was reversed.")
NEGATIVE_ANGLE = message_kind(
    "XRD_NEGATIVE_ANGLE", "warning", "The scan starts at or below 0°.", remedy="Set a fit range above 0°."
)
NEGATIVE_INTENSITY = message_kind(
    "XRD_NEGATIVE_INTENSITY", "warning", "Some intensities are negative: a background was subtracted before.",
    remedy="Fit the measured pattern instead.",
)  # fmt: skip
VARIABLE_SLIT = message_kind(
    "XRD_VARIABLE_SLIT", "info",
    "The file says that the slits opened during the scan; the analysis multiplies the scattering of the specimen by "
    "sinθ.",
    remedy="Set instrument.variable_slit to false if the intensities were corrected to fixed slits.",
)  # fmt: skip
UNIT_ASSUMED = message_kind(
    "XRD_UNIT_ASSUMED", "info",
    "The file does not state the unit; whole numbers that scatter like counts were taken as counts.",
    threshold="variance ratio 0.5 to 1.9",
    origin="0.9 to 1.4 for measured counts, 0.05 to 0.15 for rescaled ones",
)  # fmt: skip
SIGMA_ASSUMED = message_kind(
    "XRD_SIGMA_ASSUMED", "warning",
    "There is neither a unit nor counting noise (smoothed, integrated or calculated data): standard deviations assume "
    "at least 10 000 counts at the highest point, and errors of parameters are relative.",
    remedy="Use the scan as measured.", threshold="variance ratio below 0.01",
)  # fmt: skip
SIGMA_SCATTER = message_kind(
    "XRD_SIGMA_SCATTER", "info",
    "The file states neither counts nor counting time; standard deviations come from the scatter of neighbouring "
    "points, which is that of counts times a constant.",
)  # fmt: skip
SIGMA_ZERO = message_kind(
    "XRD_SIGMA_ZERO", "warning",
    "Standard deviations in the file that are zero or negative were replaced by the largest of the scan.",
)  # fmt: skip
AXIS_NAME = message_kind(
    "XRD_AXIS_NAME", "warning", "A column with another name was read as 2θ.",
    remedy="Rename the column.",
)  # fmt: skip

_MEDIAN_CHI_SQUARE = 0.4549
"""Median of chi-square with one degree of freedom."""
_LEAST_LEVEL, _LEAST_POINTS = 5.0, 50
_NEIGHBOURS = (-3, -2, -1, 1, 2, 3)
_WILD_SIGMA, _CALM_SIGMA, _WILD_RATIO = 8.0, 5.0, 25.0
_ODD_STEP_SHARE = 0.01
COARSE_STEP = 0.5
"""No scan has uneven steps of half a degree; lists of reflections do."""


def counting_scale(intensity: FloatArray) -> float | None:
    """Variance of a scan in units of its intensity: 1 for counts, c for counts times c, 0 without noise.

    Second differences y[i] - (y[i-1] + y[i+1])/2 of a smooth curve hold noise only, of variance 1.5 k y; the
    median over all points ignores the few that stand on sharp reflections. Smoothed or averaged data give k
    well below 1. None where fewer than 50 points have an intensity to judge by.
    """
    if len(intensity) < _LEAST_POINTS:
        return None
    level = (intensity[:-2] + intensity[1:-1] + intensity[2:]) / 3.0
    least = _LEAST_LEVEL if (level > _LEAST_LEVEL).sum() >= _LEAST_POINTS else 0.0
    return _scatter(intensity, least, _LEAST_POINTS)


def _scatter(intensity: FloatArray, least: float = 0.0, points: int = 6) -> float | None:
    """As `counting_scale`, from points above a level; None where fewer than `points` are."""
    second = intensity[1:-1] - 0.5 * (intensity[:-2] + intensity[2:])
    level = (intensity[:-2] + intensity[1:-1] + intensity[2:]) / 3.0
    used = level > least
    if used.sum() < points:
        return None
    return float(np.median(second[used] ** 2 / (1.5 * level[used])) / _MEDIAN_CHI_SQUARE)


def note_wild_points(two_theta: FloatArray, intensity: FloatArray, sigma: FloatArray) -> list[Diagnostic]:
    """Note single points that leave a calm neighbourhood, or tower above both neighbours."""
    n = len(intensity)
    if n < 10:
        return []
    inner = slice(3, n - 3)
    ordered = np.sort([intensity[3 + shift : n - 3 + shift] for shift in _NEIGHBOURS], axis=0)
    base = 0.5 * (ordered[2] + ordered[3])  # median of the six neighbours
    unit = 0.5 * (sigma[: n - 6] + sigma[6:])  # beside the point: its own value may be the damaged one
    unrest = np.maximum(ordered[5] - base, base - ordered[0])
    height = np.abs(intensity[inner] - base)
    wild = np.zeros(n, dtype=bool)
    wild[inner] = (unrest <= _CALM_SIGMA * unit) & (height > _WILD_SIGMA * unit) & (height > 3.0 * unrest)
    # on the slope of a reflection the neighbourhood is never calm: there only what towers above it counts
    beside = np.maximum(np.abs(intensity[:-2]), np.abs(intensity[2:])) + 3.0 * sigma[1:-1] / _WILD_RATIO
    typical = float(np.median(np.abs(intensity)))
    wild[1:-1] |= np.abs(intensity[1:-1]) > _WILD_RATIO * np.maximum(beside, 0.2 * typical)
    # each of the three points at either end is compared with the straight line through the eleven beside it
    for edge in (np.arange(12), np.arange(n - 12, n)) if n >= 24 else ():
        for point in edge[:3] if edge[0] == 0 else edge[-3:]:
            beside_it = edge[edge != point]
            slope, offset = np.polyfit(beside_it, intensity[beside_it], 1)
            rest = np.abs(intensity[beside_it] - slope * beside_it - offset).max()
            away, noise = abs(intensity[point] - slope * point - offset), float(np.median(sigma[beside_it]))
            wild[point] |= rest <= _CALM_SIGMA * noise and away > 1.5 * _WILD_SIGMA * noise and away > 4.0 * rest
    found = np.flatnonzero(wild)
    if not len(found):
        return []
    i = int(found[np.argmax(np.abs(intensity[found]))])
    text = (
        f"{len(found)} single point(s) leave their neighbours, the largest {intensity[i]:g} at {two_theta[i]:g}°: "
        "a damaged value or a spark of the detector; compare with another export, or exclude it"
    )
    return [SPIKE(text, points=len(found), two_theta=float(two_theta[i]), intensity=float(intensity[i]))]


def note_steps(two_theta: FloatArray) -> list[Diagnostic]:
    """Note few odd steps in an otherwise regular scan: a damaged angle, or points that are missing."""
    steps = np.diff(two_theta)
    low, high = (float(np.quantile(steps, share)) for share in (0.1, 0.9)) if len(two_theta) >= 5 else (1.0, 1.0)
    if high > 4.0 * low or (high > 1.5 * low and high > COARSE_STEP):
        text = (
            f"steps vary between {steps.min():.3g} and {steps.max():.3g}°: this looks like a list of reflections, "
            "not like a scan; intensities between the points are unknown"
        )
        return [UNEVEN_STEP(text, points=len(two_theta))]
    if len(two_theta) < 30:
        return []
    # second differences: rounding of listed angles and the step of a flat detector, which changes steadily,
    # leave them small everywhere
    curvature = np.abs(two_theta[1:-1] - 0.5 * (two_theta[:-2] + two_theta[2:]))
    usual = float(np.quantile(curvature, 1.0 - max(2.0 * _ODD_STEP_SHARE, 5.0 / len(curvature))))
    step = float(np.median(steps))
    odd = np.flatnonzero(curvature > max(2.5 * usual, 0.02 * step))
    if not 0 < len(odd) <= max(4, _ODD_STEP_SHARE * len(two_theta)):
        return []
    i = int(odd[np.argmax(curvature[odd])]) + 1
    text = (
        f"the step of {step:g}° is broken at {len(odd)} place(s), first near {two_theta[int(odd[0]) + 1]:g}° "
        f"(worst near {two_theta[i]:g}°): a segmented scan, missing points or a damaged angle"
    )
    return [UNEVEN_STEP(text, places=len(odd), two_theta=float(two_theta[i]))]


def note_ends(two_theta: FloatArray, intensity: FloatArray) -> list[Diagnostic]:
    """Note zeros at either end beside a background well above zero."""
    nonzero = np.flatnonzero(intensity)
    first, last = int(nonzero[0]), int(nonzero[-1])
    whole = first == 0 and last == len(intensity) - 1
    if whole or min(np.median(intensity[first : first + 20]), np.median(intensity)) <= 20:
        return []
    low, high = float(two_theta[first]), float(two_theta[last])
    text = (
        f"{first} intensities at the beginning and {len(intensity) - 1 - last} at the end are zero beside a "
        f"background of {np.median(intensity):g}: padding; fit between {low:g} and {high:g}°"
    )
    return [ZERO_ENDS(text, two_theta_min=low, two_theta_max=high)]


def note_zero_runs(two_theta: FloatArray, intensity: FloatArray) -> list[Diagnostic]:
    """Note zeros inside a scan where the points beside them have counts: three in a row, fewer beside many counts."""
    padded = np.concatenate(([False], intensity == 0, [False])).astype(np.int8)
    edges = np.flatnonzero(np.diff(padded)).reshape(-1, 2)
    runs = [(int(a), int(b)) for a, b in edges if a > 0 and b < len(intensity)]
    beside = [min(np.median(intensity[max(0, a - 10) : a]), np.median(intensity[b : b + 10])) for a, b in runs]
    few = 50.0 * max(1.0, counting_scale(intensity) or 1.0) if runs else 0.0
    found = [
        (a, b)
        for (a, b), level in zip(runs, beside, strict=True)
        if (level > few if b - a < 3 else level > 20 or (b - a) * level > 100)
    ]
    if not found:
        return []
    first, stop = found[0]
    text = (
        f"{len(found)} run(s) of zeros inside the scan, the first of {stop - first} points from {two_theta[first]:g} "
        f"to {two_theta[stop - 1]:g}°, where the points beside have counts: lost data; compare with another export"
    )
    return [ZERO_RUN(text, runs=len(found), two_theta_min=float(two_theta[first]))]


def note_fractions(scan: RawScan) -> list[Diagnostic]:
    """Note fractions among whole counts, but those of an absorber's factor."""
    x, y = scan.two_theta, scan.intensity
    odd = np.flatnonzero(y != np.round(y))
    share = {"counts": 0.3, "arbitrary": 0.02}.get(scan.unit, 0.0)
    if (
        scan.attenuation is not None
        or len(y) < LEAST_COUNTED
        or not 0 < len(odd) <= max(3 * (share > 0), share * len(y))
    ):
        return []
    i = int(odd[0])
    text = (
        f"{len(odd)} of {len(y)} counts are no whole numbers, the first {y[i]:.9g} at {x[i]:g}°: the file may be "
        "damaged there, or a point separated thousands; compare with another export"
    )
    return [ODD_COUNTS(text, points=len(odd))]


_JUMP_WINDOW, _NOISE_WINDOW, _LEAST_FACTOR = 8, 600, 1.8
_STRETCH_FACTOR, _MOST_EDGES = 3.0, 8


def _step_beside(step: FloatArray, i: int) -> tuple[float, float]:
    """Mean and half range of the steps before and behind one, in logarithms."""
    near = step[[j for j in (i - 1, i + 1) if 0 <= j < len(step)]]
    return float(near.mean()), float(np.ptp(near)) / 2.0 if len(near) > 1 else 0.3


def note_stretch(two_theta: FloatArray, intensity: FloatArray) -> list[Diagnostic]:
    """Note a stretch that jumps by one factor at its first point and back behind its last.

    Both jumps must be larger than every other step of the scan (in logarithms, beyond counting noise), of the same size
    once the slope beside them is taken off, and a stretch of 25 points must scatter as multiplied counts do. A
    reflection climbs and falls over several points, and the others of a scan show how steeply.
    """
    y, scale = intensity, counting_scale(intensity)
    scale = 1.0 if scale is None else scale
    if len(y) < 20 or (y < 0).any() or scale < 1e-9:
        return []
    step = np.log((y[1:] + 0.3 * scale) / (y[:-1] + 0.3 * scale))
    sure = np.abs(np.diff(y)) / np.sqrt(scale * (y[1:] + y[:-1] + scale))
    size = np.where(sure > 4.0, np.abs(step), 0.0)
    edges = np.flatnonzero(size > 0.6 * size.max())
    if size.max() < 0.8 * np.log(_STRETCH_FACTOR) or len(edges) > _MOST_EDGES:
        return []
    rest = size.copy()
    rest[np.clip(edges[:, None] + [-1, 0, 1], 0, len(rest) - 1)] = 0.0
    for up, down in pairwise(edges.tolist()):
        n = down - up
        if n < 2 or step[up] * step[down] >= 0 or not y[up + 1 : down + 1].any():
            continue
        (slope, bend), (slope_down, bend_down) = _step_beside(step, up), _step_beside(step, down)
        if n == 2:  # of two points the one step between stands beside both edges
            slope, slope_down, bend, bend_down = 0.0, 0.0, abs(step[up + 1]) / 2.0, abs(step[up + 1]) / 2.0
        first, second = float(step[up] - slope), float(slope_down - step[down])
        factor, unrest = 0.5 * (first + second), bend + bend_down
        spread = 3.0 * np.sqrt((scale / np.maximum(y[[up, up + 1, down, down + 1]], scale)).sum())
        if abs(factor) < np.log(_STRETCH_FACTOR) or unrest > 0.5 * abs(factor) + spread:
            continue
        if abs(first - second) > spread + unrest + (0.05 if n < 4 else 0.4 * abs(factor)):
            continue
        if min(sure[up], sure[down]) < (15.0 if n < 4 else 8.0):
            continue
        if min(size[up], size[down]) < (3.0 if n < 4 else 2.0 if n < 8 else 1.3) * rest.max():
            continue
        inside = _scatter(y[up + 1 : down + 1]) if n >= 25 else None
        # curves inside raise the scatter of a stretch, so that only too little of it speaks against a large factor
        excess = factor if inside is None else float(np.log(max(inside, 1e-9) / scale))
        doubt = 0.5 + 2.0 / np.sqrt(n)
        if excess < 0.3 * factor - doubt if factor > 0 else excess > 0.3 * factor + doubt:
            continue
        text = (
            f"from {two_theta[up + 1]:g} to {two_theta[down]:g}° the intensities are {np.exp(factor):.3g} times those "
            "beside and go back in one step: a part of the scan was multiplied; compare with another export"
        )
        return [SCALE_CHANGES(text, two_theta=float(two_theta[up + 1]), factor=float(np.exp(factor)))]
    return []


def note_scale(two_theta: FloatArray, intensity: FloatArray) -> list[Diagnostic]:
    """Note a place where level and variance per count change by the same factor from one point to the next."""
    n, w = len(intensity), _JUMP_WINDOW
    if n < 2 * _LEAST_POINTS + 8 * w or (intensity < 0).any():
        return []
    # a scale jumps between two points and stays; a reflection rises over several points and falls again
    steps = np.sort(around := np.lib.stride_tricks.sliding_window_view(np.abs(np.diff(np.sqrt(intensity))), 2 * w - 1))
    at = np.flatnonzero((around[:, w - 1] == steps[:, -1]) & (steps[:, -2] < 0.7 * steps[:, -1])) + w
    at = at[(at >= 4 * w) & (at <= n - 4 * w)]
    beside = intensity[at[:, None] + np.arange(-4 * w, 4 * w)]
    parts = np.split(beside, [3 * w, 4 * w, 5 * w], axis=1)
    # a level of nothing is no level: the logarithms are compared where all four are positive
    levels = np.stack([np.median(part, axis=1) for part in parts])
    far, near, behind, last = np.log(np.where(levels > 0.0, levels, np.nan))
    sizes = behind - near
    calm = np.maximum(np.abs(far - near), np.abs(last - behind)) < 0.35 * np.abs(sizes)
    shown = (np.abs(sizes) >= np.log(_LEAST_FACTOR)) & calm & (levels > 0.0).all(axis=0)
    for i, size in zip(at[shown].tolist(), sizes[shown].tolist(), strict=True):
        # the background on either side, which the low fifth of the points shows, jumps by the same factor
        low, high = (float(np.quantile(part, 0.2)) for part in (intensity[max(0, i - 60) : i], intensity[i : i + 60]))
        if min(low, high) <= 0 or abs(np.log(high / low) - size) > 0.35 * abs(size):
            continue
        left = counting_scale(intensity[max(0, i - _NOISE_WINDOW) : i])
        right = counting_scale(intensity[i : i + _NOISE_WINDOW])
        # counts of one scale, however few and steep, have the same variance per count on both sides
        alike = min(float(np.log(1.5)), 0.5 * abs(size))
        if left and right and left > 0.02 and abs(np.log(right / left) - size) < alike:
            text = (
                f"from {two_theta[i]:g}° on, intensities and the variance per count are {np.exp(size):.3g} times those "
                "before: a part of the scan was multiplied (absorber, counting time, joined scans); bring the parts to "
                "one scale, or fit one of them"
            )
            return [SCALE_CHANGES(text, two_theta=float(two_theta[i]), factor=float(np.exp(size)))]
    return []


def note_open_end(data: bytes) -> list[Diagnostic]:
    """Note a text without a line end after its last row, where the format declares no length."""
    held = data.rstrip(b"\x00")
    end = held[-1:]
    half = end == b"\r" and b"\r\n" in data[:4096]
    if end in {b"\n", b"\r", b"\x1a"} and not half:
        if (filled := len(data) - len(held)) <= 3:  # half a character of UTF-16, and a little
            return []
        said = f"{filled} zero bytes follow the text, as where the end of a file was lost with its disk or stick"
        return [MAYBE_CUT(f"{said}; compare with the range of the measurement", zero_bytes=filled)]
    text = (
        "the last row has no line end, as in a file that was cut, and the format does not say how many points there "
        "should be; compare with the range of the measurement"
    )
    return [MAYBE_CUT(text)]


def note_unusual_end(two_theta: FloatArray) -> list[Diagnostic]:
    """Note a scan that begins at a round angle and ends at none, where the format declares no length."""
    step = float(np.median(np.diff(two_theta))) if len(two_theta) > 2 else 0.0
    begin, end = float(two_theta[0]), float(two_theta[-1])

    def is_round(angle: float) -> bool:  # a half degree, up to one step below it or half a step above
        off = angle - round(angle * 2) / 2
        return -max(1.05 * step, 0.006) <= off <= max(0.55 * step, 0.006)

    if step <= 0 or not (is_round(begin) or is_round(begin - step)) or is_round(end):
        return []
    text = (
        f"the scan begins at {begin:g}° and ends at {end:g}°, which is no usual end, and the format does not say how "
        "many points there should be: the file may be cut; compare with the range of the measurement"
    )
    return [MAYBE_CUT(text, end=end)]


def note_unfinished(data: bytes) -> list[Diagnostic]:
    """Note a text whose last number has no line end and fewer characters than those of the lines before."""
    tail = data.rstrip(b"\x00\x1a")[-400:].replace(b"\x00", b"")
    if not re.fullmatch(rb"[\t\r\n\x20-\x7e]+", tail) or tail[-1:] in b"\r\n":
        return []
    last = [line.split()[-1] for line in tail.splitlines() if line.split()]
    number = len(last) >= 5 and re.fullmatch(rb"[-+.\deE]+", last[-1])
    if not number or len(last[-1]) >= min(map(len, last[-5:-1])):
        return []
    text = (
        f"the last number, {last[-1].decode()!r}, has no line end and is shorter than those of the lines before: the "
        "file may be cut inside it"
    )
    return [MAYBE_CUT(text)]


# --- From a scan to a pattern --------------------------------------------------------------------------

ABSURD_COUNTS = 1e12
"""No detector counts this far: 1e9 per second for an hour would be 4e12, and none is linear beyond 1e8."""
LEAST_POINTS = 5
REFLECTIVITY_START, REFLECTIVITY_END, REFLECTIVITY_FALL = 1.5, 12.0, 200.0
LEAST_COUNTED = 20
COUNTING_BAND = (0.5, 1.9)
"""Variance ratios of whole numbers that are counts: 0.9 to 1.4 on measured ones, 0.05 to 0.15 on rescaled ones."""
NOISE_FREE = 0.01


def to_pattern(scan: RawScan, source: SourceFile, format_id: str) -> Pattern:
    """Judge a scan and make it a `Pattern`.

    Standard deviations follow from counting where the file has none: sqrt(N) for N counts, attenuation
    factor times sqrt(N) behind an absorber, sqrt(rate / time) for a rate. A count of zero gets the standard
    deviation of one count, because an interval of no width at zero would exclude every true mean.

    A `ReadError` names what is not a powder scan, too few or too many points, values that are not finite,
    absurd or negative counts, angles out of order or outside 0 to 180 degrees.
    """
    notes = list(scan.messages)
    try:
        if scan.not_powder:
            hint = "Choose another scan of the file, if it has one."
            raise ReadError(scan.not_powder, expected="a powder scan over 2θ", hint=hint)
        scan = _with_rising_angles(scan, notes)
        y = scan.intensity
        top, low = int(np.argmax(np.abs(y))), int(np.argmin(y))
        if abs(y[top]) > ABSURD_COUNTS:
            hint = "The file is damaged, or the bytes were read as another type than they were written."
            raise ReadError(f"intensity is {y[top]:g}", f"point {top}", f"less than {ABSURD_COUNTS:g}", hint)
        if not y.any():
            raise ReadError("every intensity is zero", expected="a measured pattern")
        if len(y) >= LEAST_COUNTED and float(np.ptp(y - scan.two_theta)) <= 1e-3 * float(np.ptp(scan.two_theta)):
            hint = "The column of intensities may be missing; export it again."
            raise ReadError(
                f"intensities rise as the angles do, from {y[0]:g}", expected="a measured pattern", hint=hint
            )
        sine = np.sin(np.radians(0.5 * np.abs(scan.two_theta))) + 1e-12
        for name, constant in (("d spacings", y * sine), ("q or sinθ/λ", y / sine)):
            if len(y) >= LEAST_COUNTED and y[0] != y[-1] and float(np.ptp(constant)) <= 2e-3 * float(constant.mean()):
                msg = f"the intensities run from {y[0]:g} to {y[-1]:g} as {name} of the angles do"
                raise ReadError(msg, expected="a measured pattern", hint="Name the columns, or export two of them.")
        if y[low] < 0:
            if scan.unit == "counts":
                raise ReadError(f"a count of {y[low]:g}", f"point {low}", "counts from 0 upwards")
            share = float(np.mean(y < 0))
            text = (
                f"{share:.1%} of the intensities are negative (lowest {y[low]:g} at {scan.two_theta[low]:g}°): "
                "a background was subtracted before; fit the measured pattern instead"
            )
            notes.append(NEGATIVE_INTENSITY(text, share=share, lowest=float(y[low])))
        notes += note_steps(scan.two_theta) + note_ends(scan.two_theta, scan.intensity)
        sigma, unit = _standard_deviation(scan, notes)
    except ReadError as refusal:
        refusal.file, refusal.format_id = str(source.path), format_id
        refusal.place = ", ".join(part for part in (scan.place, refusal.place) if part)
        raise
    notes += note_zero_runs(scan.two_theta, scan.intensity) + note_fractions(scan)
    if not isinstance(scan.counting_time_s, np.ndarray):  # behind an absorber counts vary as its factor, levels do not
        told = note_scale(scan.two_theta, scan.intensity) if scan.attenuation is None else []
        notes += told or note_stretch(scan.two_theta, scan.intensity)
    notes += note_wild_points(scan.two_theta, scan.intensity, sigma) + note_unfinished(source.data)
    if doubtful := [line.wavelength for line in scan.emission_lines if line.label == DOUBTFUL]:
        stated = doubtful[0]
        what = "a wavelength that is no number" if stated != stated else f"a wavelength of {stated:g} Å"
        known = [line for line in scan.emission_lines if line.label != DOUBTFUL]
        why = (
            "which is no Kα2 of the first, or has no ratio between 0 and 1"
            if known
            else "which cannot be one between 0.1 and 5 Å"
        )
        text = f"the file states {what}, {why}; it was left out. Give the wavelength in ångström"
        notes.append(WAVELENGTH_DOUBTFUL(text))
        scan = replace(scan, emission_lines=tuple(known))
    second = [line.weight for line in scan.emission_lines[1:2] if line.weight < 1.0]
    if (
        second
        and not 0.4 <= second[0] <= 0.6
        and scan.emission_lines[1].wavelength < 1.02 * scan.emission_lines[0].wavelength
    ):
        text = (
            f"the file states a Kα2 of {second[0]:g} times the Kα1, which no tube emits (0.5); it was used. Set "
            "instrument.intensity_ratio if it is wrong"
        )
        notes.append(KALPHA2_UNUSUAL(text, ratio=second[0]))
    if scan.metadata.get("variable_slit") is True:
        text = (
            "the slits opened during the scan, the file says: analysis puts a factor sinθ on what the specimen "
            "scatters. If the intensities were corrected to fixed slits, set instrument.variable_slit to false"
        )
        notes.append(VARIABLE_SLIT(text))
    seconds = scan.counting_time_s
    return Pattern(
        two_theta=scan.two_theta, intensity=scan.intensity, sigma=sigma, intensity_unit=unit,
        counting_time_s=float(seconds) if isinstance(seconds, (int, float)) else None,
        emission_lines=scan.emission_lines, anode=scan.anode,
        metadata={"scan_axis": scan.axis, **scan.metadata}, messages=tuple(notes),
        source=source.record(format_id, scan.metadata.get("sample_name")),
    )  # fmt: skip


def pattern_of_arrays(two_theta: FloatArray, intensity: FloatArray, *, unit: IntensityUnit, **facts: Any) -> Pattern:
    """Judge arrays as `to_pattern` judges a file; `facts` are fields of `Pattern`."""
    scan = RawScan(
        two_theta=two_theta, intensity=intensity, unit=unit, counting_time_s=facts.get("counting_time_s"),
        emission_lines=facts.get("emission_lines", ()), metadata=facts.get("metadata", {}),
        messages=facts.pop("messages", ()),
    )  # fmt: skip
    judged = to_pattern(scan, SourceFile(path=Path("arrays"), data=b""), "")
    return replace(judged, **{"source": None, "metadata": scan.metadata, **facts})


def _with_rising_angles(scan: RawScan, notes: list[Diagnostic]) -> RawScan:
    """Check the axis point by point, and turn a scan round that ran from high to low angle."""
    x, n = scan.two_theta, len(scan.two_theta)
    if n < LEAST_POINTS:
        raise ReadError(f"the scan holds {n} point(s)", expected=f"at least {LEAST_POINTS} points over 2θ")
    if n > MAX_POINTS or len(scan.intensity) != n:
        reason = f"{n} angles and {len(scan.intensity)} intensities"
        raise ReadError(reason, expected=f"as many of both, up to {MAX_POINTS}")
    for name, values in (("2θ", x), ("intensity", scan.intensity)):
        if not np.isfinite(values).all():
            i = int(np.argmin(np.isfinite(values)))
            raise ReadError(f"{name} is {values[i]}", f"point {i}", "a number")
    if (np.diff(x) < 0).all():
        turned: dict[str, Any] = {name: v[::-1] for name, v in vars(scan).items() if isinstance(v, np.ndarray)}
        scan = replace(scan, **turned)
        x = scan.two_theta
        notes.append(SCAN_DESCENDING("the scan runs from high to low angle; it was turned round"))
    step = np.diff(x)
    if not (step > 0).all():
        i = int(np.argmax(step <= 0)) + 1
        msg = f"2θ does not increase: {x[i]:g} after {x[i - 1]:g} degrees"
        hint = "The file may hold two scans in one column, columns may be swapped, or it is damaged."
        if (step >= 0).all():
            hint = "The angles may have been rounded when they were exported: export them with more decimals."
        raise ReadError(msg, f"point {i}", "angles in order", hint)
    if x[-1] <= 0 or x[-1] > 180 or x[0] < -60:
        msg = f"the axis runs from {x[0]:g} to {x[-1]:g}"
        hint = "This may be azimuth (gamma), energy, channel, time, temperature or wavelength instead of 2θ."
        raise ReadError(msg, expected="2θ between 0 and 180 degrees", hint=hint)
    if x[-1] < LEAST_ANGLE:
        msg = f"the scan ends at {x[-1]:g}°, before any reflection"
        hint = "These may be radians, degrees where hundredths of a degree are due, or a small-angle curve."
        raise ReadError(msg, expected="2θ in degrees", hint=hint)
    # only total reflection falls steeply from below 1.5° and ends before 12°
    y, wavelength = scan.intensity, max((line.wavelength for line in scan.emission_lines), default=1.54)
    if n >= 50 and x[-1] <= REFLECTIVITY_END and x[0] <= REFLECTIVITY_START and wavelength >= 1.0:
        fall = float(y.max()) / max(float(np.median(y[-max(3, n // 4) :])), 1e-12)
        if int(np.argmax(y)) < 0.4 * n and fall > REFLECTIVITY_FALL:
            what = f"the scan falls by a factor of {fall:.3g} from {x[0]:g} to {x[-1]:g}°"
            msg = f"{what}, which is a reflectivity or small-angle curve"
            raise ReadError(msg, expected="a powder scan that reaches reflections")
    if x[0] <= 0:
        text = f"the scan starts at {x[0]:g}°; set a fit range above 0°, where diffraction begins"
        notes.append(NEGATIVE_ANGLE(text, two_theta_min=float(x[0])))
    return scan


def _standard_deviation(scan: RawScan, notes: list[Diagnostic]) -> tuple[FloatArray, IntensityUnit]:
    """Standard deviations from what the file says of its intensities, and their unit."""
    y = scan.intensity
    if scan.sigma is not None:
        sigma = np.array(scan.sigma, float)
        if sigma.shape != scan.intensity.shape or not np.isfinite(sigma).all():
            raise ReadError("the standard deviations are incomplete or not numbers", expected="one per point")
        bad = sigma <= 0
        if bad.all():
            raise ReadError("no standard deviation is above zero", expected="positive standard deviations")
        if bad.any():
            text = (
                f"{int(bad.sum())} standard deviation(s) are zero or negative in the file, which would give "
                "these points infinite weight; they got the largest of the scan"
            )
            notes.append(SIGMA_ZERO(text, points=int(bad.sum())))
            sigma[bad] = sigma[~bad].max()
        return sigma, scan.unit
    factor = np.ones(len(y)) if scan.attenuation is None else np.asarray(scan.attenuation, float)
    if scan.unit == "counts":
        scale = counting_scale(y)
        if scale is not None and scan.attenuation is None and not 0.4 <= scale <= 2.5:
            cause = (
                "the points are smoothed, summed from overlapping channels or rescaled, so that standard deviations "
                "from counting are too large for single points" if scale < 1
                else "an unstable source, a rescaled or a background-corrected scan; standard deviations are too small"
            )  # fmt: skip
            text = f"neighbouring points scatter with {scale:.2g} times the variance of counting: {cause}"
            notes.append(NOISE(text, variance_ratio=scale))
        return factor * np.sqrt(np.maximum(y / factor, 1.0)), "counts"
    if scan.unit == "cps" and scan.counting_time_s is not None:
        time = np.broadcast_to(np.asarray(scan.counting_time_s, float), y.shape)
        if not (time > 0).all():
            i = int(np.argmax(~(time > 0)))
            raise ReadError(f"a counting time of {time[i]:g} s", f"point {i}", "above 0 s")
        usual, ratio = float(np.median(time)), counting_scale(y)
        whole = ratio is not None and bool((y == np.round(y)).all())
        if whole and ratio and COUNTING_BAND[0] <= ratio <= COUNTING_BAND[1] and not 0.4 <= usual <= 2.5:
            text = (
                f"the file says counts per second over {usual:g} s, but all intensities are whole numbers whose "
                f"variance is {ratio:.2f} of them, not {1.0 / usual:.2g}: they may be counts; ask the instrument"
            )
            notes.append(UNIT_DOUBTFUL(text, variance_ratio=ratio, counting_time_s=usual))
        return factor / time * np.sqrt(np.maximum(y * time / factor, 1.0)), "cps"
    return _from_scatter(scan, notes)


def _from_scatter(scan: RawScan, notes: list[Diagnostic]) -> tuple[FloatArray, IntensityUnit]:
    """Standard deviations where the file says neither counts nor time: what neighbouring points show."""
    y = scan.intensity
    scale = counting_scale(y)
    whole = bool((y == np.round(y)).all() and (y >= 0).all() and y.max() >= LEAST_COUNTED)
    like_counts = scale is None or COUNTING_BAND[0] <= scale <= COUNTING_BAND[1]
    if scan.unit == "arbitrary" and whole and like_counts:
        seen = "" if scale is None else f" and scatter like counts (variance ratio {scale:.2f})"
        text = f"the file does not say its unit; all intensities are whole numbers{seen}: taken as counts"
        notes.append(UNIT_ASSUMED(text))
        return np.sqrt(np.maximum(y, 1.0)), "counts"
    if scale is None or scale < NOISE_FREE:
        highest = float(np.abs(y).max())
        scale = min(1.0, highest / 1e4)
        text = (
            "the file states neither counts nor counting time, and neighbouring points show no counting noise "
            "(smoothed, integrated or calculated): standard deviations are those of a pattern whose highest "
            f"point has {highest / scale:.3g} counts; parameter errors are relative"
        )
        notes.append(SIGMA_ASSUMED(text, unit=scan.unit, scale=scale))
    else:
        text = (
            f"the file states neither counts nor counting time; the scatter of neighbouring points is that of "
            f"counts times {scale:.3g}, and standard deviations follow from it"
        )
        notes.append(SIGMA_SCATTER(text, unit=scan.unit, scale=scale))
    return np.sqrt(scale * np.maximum(np.abs(y), scale)), scan.unit
