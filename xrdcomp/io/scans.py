"""From what a file holds to a `Pattern`: counting statistics, checks, refusal of what is no powder scan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, IntensityUnit, Pattern
from xrdcomp.errors import ReadError
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

# ------------ What can be seen in a scan without knowing its format: counting noise, single wild points,
# uneven steps.
# Nothing is changed here; what is found becomes a diagnostic that reaches the result.

_MEDIAN_CHI_SQUARE = 0.4549
"""Median of chi-square with one degree of freedom."""
_LEAST_LEVEL, _LEAST_POINTS = 5.0, 50
_NEIGHBOURS = (-3, -2, -1, 1, 2, 3)
_WILD_SIGMA, _CALM_SIGMA, _WILD_RATIO = 8.0, 5.0, 25.0
_ODD_STEP_SHARE = 0.01


def counting_scale(intensity: FloatArray) -> float | None:
    """Estimate the variance of a scan in units of its intensity: 1 for counts, c for counts times c.

    Second differences y[i] - (y[i-1] + y[i+1])/2 of a smooth curve hold noise only, of variance 1.5 k y; the
    median over all points ignores the few that stand on sharp lines. Smoothed or averaged data give k well
    below 1, noise-free ones 0.

    Returns
    -------
    float or None
        None where fewer than 50 points have an intensity to judge by.
    """
    if len(intensity) < _LEAST_POINTS:
        return None
    second = intensity[1:-1] - 0.5 * (intensity[:-2] + intensity[2:])
    level = (intensity[:-2] + intensity[1:-1] + intensity[2:]) / 3.0
    used = level > _LEAST_LEVEL
    if used.sum() < _LEAST_POINTS:
        used = level > 0
    if used.sum() < _LEAST_POINTS:
        return None
    return float(np.median(second[used] ** 2 / (1.5 * level[used])) / _MEDIAN_CHI_SQUARE)


def note_noise(scale: float | None, attenuated: bool) -> list[Diagnostic]:  # noqa: FBT001 - two facts of a scan
    """Note counts whose scatter is not that of counting: smoothed, averaged, rescaled, or drifting."""
    if scale is None or attenuated or 0.4 <= scale <= 2.5:
        return []
    cause = (
        "the points are smoothed, summed from overlapping channels or rescaled, so that standard deviations "
        "from counting are too large for single points" if scale < 1
        else "an unstable source, a rescaled or a background-corrected scan; standard deviations are too small"
    )  # fmt: skip
    text = f"neighbouring points scatter with {scale:.2g} times the variance of counting: {cause}"
    return [Diagnostic(code="XRD_NOISE", severity="info", text=text, facts={"variance_ratio": scale})]


def note_wild_points(two_theta: FloatArray, intensity: FloatArray, sigma: FloatArray) -> list[Diagnostic]:
    """Note single points that leave a calm neighbourhood, or tower above both neighbours.

    No diffraction line is one step wide: damaged values and detector sparks are.
    """
    n = len(intensity)
    if n < 10:
        return []
    inner = slice(3, n - 3)
    around = np.stack([intensity[3 + shift : n - 3 + shift] for shift in _NEIGHBOURS])
    ordered = np.sort(around, axis=0)
    base = 0.5 * (ordered[2] + ordered[3])
    unit = 0.5 * (sigma[: n - 6] + sigma[6:])
    unrest = np.maximum(ordered[5] - base, base - ordered[0])
    height = np.abs(intensity[inner] - base)
    wild = np.zeros(n, dtype=bool)
    wild[inner] = (unrest <= _CALM_SIGMA * unit) & (height > _WILD_SIGMA * unit) & (height > 3.0 * unrest)
    beside = np.maximum(np.abs(intensity[:-2]), np.abs(intensity[2:])) + 3.0 * sigma[1:-1] / _WILD_RATIO
    typical = float(np.median(np.abs(intensity)))
    wild[1:-1] |= np.abs(intensity[1:-1]) > _WILD_RATIO * np.maximum(beside, 0.2 * typical)
    found = np.flatnonzero(wild)
    if not len(found):
        return []
    i = int(found[np.argmax(np.abs(intensity[found]))])
    text = (
        f"{len(found)} single point(s) leave their neighbours, the largest {intensity[i]:g} at {two_theta[i]:g}°: "
        "a damaged value or a spark of the detector; compare with another export, or exclude it"
    )
    facts = {"points": len(found), "two_theta": float(two_theta[i]), "intensity": float(intensity[i])}
    return [Diagnostic(code="XRD_SPIKE", severity="warning", text=text, facts=facts)]


def note_steps(two_theta: FloatArray) -> list[Diagnostic]:
    """Note few odd steps in an otherwise regular scan: a damaged angle, or points that are missing."""
    steps = np.diff(two_theta)
    if len(two_theta) >= 5 and float(np.quantile(steps, 0.9)) > 4.0 * float(np.quantile(steps, 0.1)):
        text = (
            f"steps vary between {steps.min():.3g} and {steps.max():.3g}°: this looks like a list of lines, not like "
            "a scan; intensities between the points are unknown"
        )
        return [
            Diagnostic(
                code="XRD_UNEVEN_STEP", severity="warning", text=text, facts={"points": len(two_theta)}
            )
        ]
    if len(two_theta) < 30:
        return []
    curvature = np.abs(two_theta[1:-1] - 0.5 * (two_theta[:-2] + two_theta[2:]))
    usual = float(np.quantile(curvature, 1.0 - 2.0 * _ODD_STEP_SHARE))
    step = float(np.median(np.diff(two_theta)))
    odd = np.flatnonzero(curvature > max(2.5 * usual, 0.02 * step))
    if not 0 < len(odd) <= max(4, _ODD_STEP_SHARE * len(two_theta)):
        return []
    i = int(odd[np.argmax(curvature[odd])]) + 1
    text = (
        f"the step of {step:g}° is broken at {len(odd)} place(s), first near {two_theta[int(odd[0]) + 1]:g}° "
        f"(worst near {two_theta[i]:g}°): a segmented scan, missing points or a damaged angle"
    )
    facts = {"places": len(odd), "two_theta": float(two_theta[i])}
    return [Diagnostic(code="XRD_UNEVEN_STEP", severity="warning", text=text, facts=facts)]


def note_ends(two_theta: FloatArray, intensity: FloatArray) -> list[Diagnostic]:
    """Note zeros at either end beside a background well above zero: padding, not measurement."""
    nonzero = np.flatnonzero(intensity)
    first, last = int(nonzero[0]), int(nonzero[-1])
    whole = first == 0 and last == len(intensity) - 1
    if whole or min(np.median(intensity[first : first + 20]), np.median(intensity)) <= 20:
        return []
    text = (
        f"{first} intensities at the beginning and {len(intensity) - 1 - last} at the end are zero beside a "
        f"background of {np.median(intensity):g}: padding; fit between {two_theta[first]:g} and {two_theta[last]:g}°"
    )
    facts = {"two_theta_min": float(two_theta[first]), "two_theta_max": float(two_theta[last])}
    return [Diagnostic(code="XRD_ZERO_ENDS", severity="warning", text=text, facts=facts)]


def note_open_end(data: bytes) -> list[Diagnostic]:
    """Note a text without a line end after its last row, where the format declares no length."""
    end = data[-3:].replace(b"\x00", b"")[-1:]
    half = end == b"\r" and b"\r\n" in data[:4096]
    if end in {b"\n", b"\r", b"\x1a"} and not half:
        return []
    text = (
        "the last row has no line end, as in a file that was cut, and the format does not say how many points there "
        "should be; compare with the range of the measurement"
    )
    return [Diagnostic(code="XRD_MAYBE_CUT", severity="warning", text=text)]


def note_unusual_end(two_theta: FloatArray) -> list[Diagnostic]:
    """Note a scan that begins at a round angle and ends at none, where the format declares no length."""
    step = float(np.median(np.diff(two_theta))) if len(two_theta) > 2 else 0.0
    begin, end = float(two_theta[0]), float(two_theta[-1])
    round_start = _round_angle(begin, step) or _round_angle(begin - step, step)
    if step <= 0 or not round_start or _round_angle(end, step):
        return []
    text = (
        f"the scan begins at {begin:g}° and ends at {end:g}°, which is no usual end, and the format does not say how "
        "many points there should be: the file may be cut; compare with the range of the measurement"
    )
    return [Diagnostic(code="XRD_MAYBE_CUT", severity="warning", text=text, facts={"end": end})]


def _round_angle(angle: float, step: float) -> bool:
    """Whether an angle is a half degree, up to one step below it or half a step above."""
    off = angle - round(angle * 2) / 2
    return -max(1.05 * step, 0.006) <= off <= max(0.55 * step, 0.006)


def note_unfinished(data: bytes) -> list[Diagnostic]:
    """Note a text whose last number has no line end and fewer characters than those of the lines before."""
    tail = data[-400:].replace(b"\x00", b"")
    if not re.fullmatch(rb"[\t\r\n\x20-\x7e]+", tail) or tail[-1:] in b"\r\n":
        return []
    last = [line.split()[-1] for line in tail.splitlines() if line.split()]
    if len(last) < 5 or not re.fullmatch(rb"[-+.\deE]+", last[-1]):
        return []
    if len(last[-1]) >= min(map(len, last[-5:-1])):
        return []
    text = (
        f"the last number, {last[-1].decode()!r}, has no line end and is shorter than those of the lines before: the "
        "file may be cut inside it"
    )
    return [Diagnostic(code="XRD_MAYBE_CUT", severity="warning", text=text)]


# ------------ From what a file holds to a `Pattern`: counting statistics, checks, refusal of what is no
# powder scan.

MAX_POINTS = 500_000
"""Ten times the longest known scan (11-BM, 49 493 points); arrays beyond are refused before they are made."""
ABSURD_COUNTS = 1e12
"""No detector counts this far: 1e9 per second for an hour would be 4e12, and none is linear beyond 1e8."""
LEAST_POINTS = 5
REFLECTIVITY_START, REFLECTIVITY_END, REFLECTIVITY_FALL = 1.5, 12.0, 200.0
LEAST_COUNTED = 20
COUNTING_BAND = (0.5, 1.9)
"""Variance ratios of whole numbers that are counts: 0.9 to 1.4 on measured ones, 0.05 to 0.15 on rescaled ones."""
NOISE_FREE = 0.01

Severity = Literal["info", "warning", "error"]
Facts = Mapping[str, "str | float | int | bool"]


@dataclass(frozen=True, kw_only=True)
class RawScan:
    """One scan as the file holds it, before it is judged.

    Parameters
    ----------
    two_theta : (n,) array
        The scanned axis, in degrees whatever it is called.
    intensity : (n,) array
        With attenuation factors already applied, in `unit`.
    unit : {"counts", "cps", "arbitrary"}
    sigma : (n,) array or None
        Standard deviations where the file has them.
    counting_time_s : float, (n,) array or None
        Seconds per point.
    attenuation : (n,) array or None
        Factors by which the detector's counts were multiplied to give `intensity`.
    axis : str
        ``2theta``, ``2theta-theta``, ``omega``, ``phi``, ``chi``, ``gamma`` … as the file says.
    not_powder : str
        Why this is no powder scan, "" where it is one.
    default : bool
        False for what is read only when asked for by number: a calculated pattern beside the measured one.
    place : str
        ``"scan 2"``, ``"range 1"``.
    """

    two_theta: FloatArray
    intensity: FloatArray
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
    metadata: Facts = field(default_factory=dict)
    messages: tuple[Diagnostic, ...] = ()


def two_theta_grid(start: float, step: float, n: int) -> FloatArray:
    """Angles start + step·i for i = 0 … n-1, without the drift of repeated addition."""
    grid: FloatArray = start + step * np.arange(n, dtype=np.float64)
    return grid


class _Judge:
    """Where a scan stands in its file, to word refusals; and the notes that travel with it."""

    def __init__(self, scan: RawScan, source: SourceFile, format_id: str) -> None:
        self.source, self.format_id, self.place = source, format_id, scan.place
        self.notes = list(scan.messages)

    def refusal(self, reason: str, *, at: str = "", expected: str = "", hint: str = "") -> ReadError:
        where = ", ".join(part for part in (self.place, at) if part)
        return self.source.error(reason, format_id=self.format_id, place=where, expected=expected, hint=hint)

    def note(
        self, code: str, text: str, severity: Severity = "warning", **facts: str | float | int | bool
    ) -> None:
        self.notes.append(Diagnostic(code=code, severity=severity, text=text, facts=facts))


def to_pattern(scan: RawScan, source: SourceFile, format_id: str) -> Pattern:
    """Judge a scan and make it a `Pattern`.

    Standard deviations follow from counting where the file has none: sqrt(N) for N counts, attenuation
    factor times sqrt(N) behind an absorber, sqrt(rate / time) for a rate. A count of zero gets the standard
    deviation of one count, because an interval of no width at zero would exclude every true mean.

    Raises
    ------
    ReadError
        Not a powder scan, too few or too many points, values that are not finite, absurd or negative
        counts, angles out of order or outside 0 to 180 degrees.
    """
    judge = _Judge(scan, source, format_id)
    if scan.not_powder:
        raise judge.refusal(
            scan.not_powder,
            expected="a powder scan over 2θ",
            hint="Choose another scan of the file, if it has one.",
        )
    scan = _checked_axis(scan, judge)
    _check_intensity(scan, judge)
    judge.notes += note_steps(scan.two_theta) + note_ends(scan.two_theta, scan.intensity)
    sigma, unit = _standard_deviation(scan, judge)
    judge.notes += note_wild_points(scan.two_theta, scan.intensity, sigma) + note_unfinished(source.data)
    if scan.metadata.get("variable_slit") is True:
        text = (
            "the slits opened during the scan, the file says: analysis puts a factor sinθ on what the specimen "
            "scatters. If the intensities were corrected to fixed slits, pass --set instrument.variable_slit=false"
        )
        judge.note("XRD_VARIABLE_SLIT", text, "info")
    seconds = scan.counting_time_s
    return Pattern(
        two_theta=scan.two_theta,
        intensity=scan.intensity,
        sigma=sigma,
        intensity_unit=unit,
        counting_time_s=float(seconds) if isinstance(seconds, (int, float)) else None,
        emission_lines=scan.emission_lines,
        anode=scan.anode,
        metadata={"scan_axis": scan.axis, **scan.metadata},
        source=source.record(format_id),
        messages=tuple(judge.notes),
    )


def _checked_axis(scan: RawScan, judge: _Judge) -> RawScan:
    x, n = scan.two_theta, len(scan.two_theta)
    if n < LEAST_POINTS:
        raise judge.refusal(
            f"the scan holds {n} point(s)", expected=f"at least {LEAST_POINTS} points over 2θ"
        )
    if n > MAX_POINTS or len(scan.intensity) != n:
        reason = f"{n} angles and {len(scan.intensity)} intensities"
        raise judge.refusal(reason, expected=f"as many of both, up to {MAX_POINTS}")
    for name, values in (("2θ", x), ("intensity", scan.intensity)):
        if not np.isfinite(values).all():
            i = int(np.argmin(np.isfinite(values)))
            raise judge.refusal(f"{name} is {values[i]}", at=f"point {i}", expected="a number")
    step = np.diff(x)
    if (step < 0).all():
        scan = _turned(scan)
        x, step = scan.two_theta, -step[::-1]
        judge.note("XRD_SCAN_DESCENDING", "the scan runs from high to low angle; it was turned round", "info")
    if not (step > 0).all():
        i = int(np.argmax(step <= 0)) + 1
        raise judge.refusal(
            f"2θ does not increase: {x[i]:g} after {x[i - 1]:g} degrees",
            at=f"point {i}",
            expected="angles in order",
            hint="The file may hold two scans in one column, columns may be swapped, or it is damaged.",
        )
    if x[-1] <= 0 or x[-1] > 180 or x[0] < -60:
        raise judge.refusal(
            f"the axis runs from {x[0]:g} to {x[-1]:g}",
            expected="2θ between 0 and 180 degrees",
            hint="This may be azimuth (gamma), time, temperature or wavelength instead of 2θ.",
        )
    _refuse_reflectivity(scan, judge)
    if x[0] <= 0:
        text = f"the scan starts at {x[0]:g}°; set a fit range above 0°, where diffraction begins"
        judge.note("XRD_NEGATIVE_ANGLE", text, two_theta_min=float(x[0]))
    return scan


def _refuse_reflectivity(scan: RawScan, judge: _Judge) -> None:
    """Refuse what only total reflection looks like: a steep fall from below 1.5° that ends before 12°."""
    x, y = scan.two_theta, scan.intensity
    wavelength = max((line.wavelength for line in scan.emission_lines), default=1.54)
    if len(x) < 50 or x[-1] > REFLECTIVITY_END or x[0] > REFLECTIVITY_START or wavelength < 1.0:
        return
    tail = float(np.median(y[-max(3, len(y) // 4) :]))
    if int(np.argmax(y)) < 0.4 * len(y) and y.max() > REFLECTIVITY_FALL * max(tail, 1e-12):
        raise judge.refusal(
            f"the scan falls by a factor of {y.max() / max(tail, 1e-12):.3g} from {x[0]:g} to {x[-1]:g}°, which is a "
            "reflectivity or small-angle curve",
            expected="a powder scan that reaches diffraction lines",
        )


def _turned(scan: RawScan) -> RawScan:
    def back(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else values[::-1]

    seconds = scan.counting_time_s
    return replace(
        scan,
        two_theta=scan.two_theta[::-1],
        intensity=scan.intensity[::-1],
        sigma=back(scan.sigma),
        attenuation=back(scan.attenuation),
        counting_time_s=seconds[::-1] if isinstance(seconds, np.ndarray) else seconds,
    )


def _check_intensity(scan: RawScan, judge: _Judge) -> None:
    y = scan.intensity
    top = int(np.argmax(np.abs(y)))
    if abs(y[top]) > ABSURD_COUNTS:
        raise judge.refusal(
            f"intensity is {y[top]:g}",
            at=f"point {top}",
            expected=f"less than {ABSURD_COUNTS:g}",
            hint="The file is damaged, or the bytes were read as another type than they were written.",
        )
    if not y.any():
        raise judge.refusal("every intensity is zero", expected="a measured pattern")
    low = int(np.argmin(y))
    if y[low] < 0:
        if scan.unit == "counts":
            raise judge.refusal(f"a count of {y[low]:g}", at=f"point {low}", expected="counts from 0 upwards")
        share = float(np.mean(y < 0))
        text = (
            f"{share:.1%} of the intensities are negative (lowest {y[low]:g} at {scan.two_theta[low]:g}°): "
            "a background was subtracted before; fit the measured pattern instead"
        )
        judge.note("XRD_NEGATIVE_INTENSITY", text, share=share, lowest=float(y[low]))


def _standard_deviation(scan: RawScan, judge: _Judge) -> tuple[FloatArray, IntensityUnit]:
    y = scan.intensity
    if scan.sigma is not None:
        return _given_sigma(scan, judge), scan.unit
    factor = np.ones(len(y)) if scan.attenuation is None else np.asarray(scan.attenuation, float)
    if scan.unit == "counts":
        judge.notes += note_noise(counting_scale(y), scan.attenuation is not None)
        return factor * np.sqrt(np.maximum(y / factor, 1.0)), "counts"
    seconds = scan.counting_time_s
    if scan.unit == "cps" and seconds is not None:
        time = np.broadcast_to(np.asarray(seconds, float), y.shape)
        if not (time > 0).all():
            i = int(np.argmax(~(time > 0)))
            raise judge.refusal(f"a counting time of {time[i]:g} s", at=f"point {i}", expected="above 0 s")
        return factor / time * np.sqrt(np.maximum(y * time / factor, 1.0)), "cps"
    return _from_scatter(scan, judge)


def _from_scatter(scan: RawScan, judge: _Judge) -> tuple[FloatArray, IntensityUnit]:
    """Standard deviations where the file says neither counts nor time: what neighbouring points show."""
    y = scan.intensity
    scale = counting_scale(y)
    whole = bool((y == np.round(y)).all() and (y >= 0).all() and y.max() >= LEAST_COUNTED)
    if (
        scan.unit == "arbitrary"
        and whole
        and (scale is None or COUNTING_BAND[0] <= scale <= COUNTING_BAND[1])
    ):
        seen = "" if scale is None else f" and scatter like counts (variance ratio {scale:.2f})"
        text = f"the file does not say its unit; all intensities are whole numbers{seen}: taken as counts"
        judge.note("XRD_UNIT_ASSUMED", text, "info")
        return np.sqrt(np.maximum(y, 1.0)), "counts"
    quantum = 1.0 if scale is None else scale
    if scale is None or scale < NOISE_FREE:
        positive = np.abs(y[y != 0])
        quantum = min(1.0, float(positive.max()) / 1e4)
        text = (
            "the file states neither counts nor counting time, and neighbouring points show no counting noise "
            "(smoothed, integrated or calculated): standard deviations are those of a pattern whose highest "
            f"point has {positive.max() / quantum:.3g} counts; parameter errors are relative"
        )
        judge.note("XRD_SIGMA_ASSUMED", text, "warning", unit=scan.unit, scale=quantum)
    else:
        text = (
            f"the file states neither counts nor counting time; the scatter of neighbouring points is that of "
            f"counts times {scale:.3g}, and standard deviations follow from it"
        )
        judge.note("XRD_SIGMA_SCATTER", text, "info", unit=scan.unit, scale=scale)
    return np.sqrt(quantum * np.maximum(np.abs(y), quantum)), scan.unit


def _given_sigma(scan: RawScan, judge: _Judge) -> FloatArray:
    sigma = np.array(scan.sigma, float)
    if sigma.shape != scan.intensity.shape or not np.isfinite(sigma).all():
        raise judge.refusal("the standard deviations are incomplete or not numbers", expected="one per point")
    bad = sigma <= 0
    if bad.all():
        raise judge.refusal("no standard deviation is above zero", expected="positive standard deviations")
    if bad.any():
        text = (
            f"{int(bad.sum())} standard deviation(s) are zero or negative in the file, which would give "
            "these points infinite weight; they got the largest of the scan"
        )
        judge.note("XRD_SIGMA_ZERO", text, points=int(bad.sum()))
        sigma[bad] = sigma[~bad].max()
    return sigma
