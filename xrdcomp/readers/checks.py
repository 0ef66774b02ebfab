"""What can be seen in a scan without knowing its format: counting noise, single wild points, uneven steps.

Nothing is changed here; what is found becomes a diagnostic that reaches the result.
"""

from __future__ import annotations

import re

import numpy as np

from xrdcomp.types import Diagnostic, FloatArray

__all__ = [
    "counting_scale",
    "note_ends",
    "note_noise",
    "note_open_end",
    "note_steps",
    "note_unfinished",
    "note_unusual_end",
    "note_wild_points",
]

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
