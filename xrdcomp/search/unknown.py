"""Reflections of crystals outside the library: found in the residual, hidden from the fit, and weighed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from xrdcomp.data import EmissionLine
from xrdcomp.physics import elements
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.reflections import bin_means
from xrdcomp.refinement.result import rolling_background
from xrdcomp.results import UnexplainedPeak, UnidentifiedCrystals
from xrdcomp.search import templates
from xrdcomp.search.nuisance import (
    BACKGROUND_STD,
    GRAIN_STD,
    LOW_ANGLES,
    SearchResidual,
    matched_filter,
    separate_peaks,
)
from xrdcomp.search.templates import Candidate
from xrdcomp.units import BoolArray, FloatArray, d_to_two_theta, two_theta_to_d

_CLEAR = 6.0  # standard deviations of a peak in the residual
_FOOT = 0.03  # of a peak's height, at which it ends
_FARTHEST_FOOT = 8.0  # widths to either side, or a degree
_MOST_HIDDEN = 0.6  # of the points: the rest must determine amorphous scattering and background
_CRYSTALS_NM = 80.0  # whose reflections have all their area within the windows that are drawn
COMPARABLE = 0.5  # of a reflection's height, from which on a peak could have been taken for that reflection
_APART = 2.0  # widths between two peaks
_BROAD = 3.0  # widths of the instrument, from which on a reflection is one of small crystals
_NARROWEST, _BROADEST = 0.5, 3.0  # degrees, widths of reflections of a few nanometres; halos are broader
_SMOOTHED = 0.2  # of the narrowest, to either side: sharp reflections stay narrower
_CLIPPED = 5.0  # degrees, half the window of the background beneath them
_FAINTEST = 0.05  # of the highest of them
_FEWEST_BROAD, _FARTHEST_BROAD = 3, 1.5  # of them, and widths to either side
MOST_TESTED = 80  # peaks, and reflections of a phase
_IMAGE = 0.05  # of a reflection's height: residual Kβ and tungsten of a filtered tube stay below
_MOST_IMAGE = 0.4  # of it: bare copper has a fifth
_FEWEST_IMAGES = 2
TOP_REFLECTIONS = 8
WEAKEST = 0.02  # of the strongest reflection: those below have no place in the pattern
WEAKEST_OF_TEXTURED = 3e-3  # of the strongest reflection, and
TEXTURED = 10.0  # times as high texture may make a fitted phase's own reflections
MANY = 5  # reflections of six


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """Peaks of a curve: angles (deg), significance where it was judged, heights."""

    two_theta: FloatArray
    z: FloatArray
    height: FloatArray


def residual_peaks(search: SearchResidual) -> Peaks:
    """Find peaks in the residual beyond six standard deviations of its noise, strongest first.

    The noise is that of counting, or what neighbouring points scatter by where that is more. Peaks below a quarter
    of the fitted reflection they stand on are misfit of its profile, and those where a strong reflection shows again
    with residual Kβ or tungsten Lα are its images. Unlike those of `report.unexplained_peaks`, many of them do not
    hide each other.
    """
    grid = search.grid
    x, fwhm = grid.two_theta, grid.peak_fwhm
    normal = search.residual / search.counting
    # a point less the mean of its neighbours has no peaks in it; its variance is one and a half times a point's
    rough = normal[1:-1] - 0.5 * (normal[:-2] + normal[2:])
    noise = max(1.0, 1.4826 * float(np.median(np.abs(rough))) / np.sqrt(1.5))
    z, height = matched_filter(grid, normal, search.counting)
    near = int(np.ceil(_APART * fwhm / grid.step))
    around = np.pad(np.abs(search.bragg).sum(axis=1), near)
    fitted = np.lib.stride_tricks.sliding_window_view(around, 2 * near + 1).max(axis=1)
    z = np.where(height > GRAIN_STD * fitted, z / noise, 0.0)
    found = separate_peaks(x, np.where(z > _CLEAR, height, 0.0), distance=_APART * fwhm, most=MOST_TESTED)
    # residual Kβ and tungsten lines show fitted reflections again, no higher than a share of them
    wavelength = search.fit.instrument.wavelength
    for index in range(search.bragg.shape[1]):
        own = own_reflections(search, index, most=20)
        for other in elements.residual_wavelengths(wavelength):
            image = d_to_two_theta(two_theta_to_d(own.two_theta, wavelength), other)
            found = [i for i in found if not ((np.abs(x[i] - image) < fwhm) & (height[i] < _IMAGE * own.height)).any()]
    return Peaks(two_theta=x[found], z=z[found], height=height[found])


def own_reflections(
    search: SearchResidual, index: int, *, least: float = WEAKEST, most: int = TOP_REFLECTIONS
) -> Peaks:
    """Find the strongest reflections of a fitted phase, as the matched filter sees them."""
    grid = search.grid
    z, height = matched_filter(grid, search.bragg[:, index] / search.counting, search.counting)
    strong = np.where(height > least * float(height.max()), height, 0.0)
    found = separate_peaks(grid.two_theta, strong, distance=_APART * grid.peak_fwhm, most=most)
    return Peaks(two_theta=grid.two_theta[found], z=z[found], height=strong[found])


class UnknownReflection(msgspec.Struct, frozen=True, kw_only=True):
    """A strong peak that no phase of a fit explains: maximum, ends, width at half height (deg), z and height."""

    two_theta: float
    width: float
    low: float
    high: float
    z: float
    height: float


def unknown_reflections(search: SearchResidual) -> list[UnknownReflection]:
    """Find the strong peaks of the whole residual that are no fitted phase's own, and how far each reaches.

    A phase's own reflections may be many times as high as its structure has them (texture) and are none. A peak
    reaches as far as the residual stays above 3 % of its height and twice the noise.
    """
    fit, per_bin = search.fit, search.grid.per_bin
    n = len(fit.points) // per_bin
    x = fit.points.two_theta[: n * per_bin].reshape(n, per_bin).mean(axis=1)
    grid, solution, k = replace(search.grid, two_theta=x), fit.solution, len(fit.phases)
    whole = replace(
        search,
        grid=grid,
        residual=grid.mean(fit.points.intensity - solution.calculated),
        counting=np.sqrt(grid.mean(fit.points.sigma**2) / per_bin),
        bragg=grid.mean(solution.columns[:, :k] * solution.coefficients[:k]),
    )
    left, fwhm = residual_peaks(whole), grid.peak_fwhm
    own = [own_reflections(whole, i, least=WEAKEST_OF_TEXTURED, most=MOST_TESTED) for i in range(k)]
    places = np.concatenate([*(item.two_theta for item in own), np.array([-np.inf])])
    highest = np.concatenate([*(TEXTURED * item.height for item in own), np.zeros(1)])
    smooth = np.convolve(whole.residual, np.full(3, 1.0 / 3.0), mode="same")
    out = []
    for angle, z, height in zip(left.two_theta, left.z, left.height, strict=True):
        if height <= highest[np.abs(places - angle) <= fwhm].max(initial=0.0):
            continue
        ends = np.flatnonzero(smooth < np.maximum(_FOOT * height, 2.0 * whole.counting))
        i, reach = int(np.searchsorted(x, angle)), max(_FARTHEST_FOOT * fwhm, 1.0)
        low = max(float(x[ends[ends < i].max(initial=0)]), float(angle) - reach)
        high = min(float(x[ends[ends > i].min(initial=n - 1)]), float(angle) + reach)
        half = np.flatnonzero(smooth < 0.5 * height)
        width = float(x[half[half > i].min(initial=n - 1)] - x[half[half < i].max(initial=0)])
        found = UnknownReflection(
            two_theta=float(angle), width=width, low=low, high=high, z=float(z), height=float(height)
        )
        out.append(found)
    return out


def strong_residual_lines(search: SearchResidual, unknown: Sequence[UnknownReflection]) -> tuple[EmissionLine, ...]:
    """Emission lines, with weights to start from, that peaks of no phase ask for: images of its strongest reflections.

    Kβ without a filter, or L of much tungsten on the anode; fainter ones are reckoned with as they are. None where the
    instrument has such lines already.
    """
    instrument, grid = search.fit.instrument, search.grid
    if any(line.label for line in instrument.emission_lines):
        return ()
    peaks, wavelength = peaks_of(unknown, residual_peaks(search)), instrument.wavelength
    own = [own_reflections(search, i) for i in range(len(search.fit.phases))]
    lines: list[EmissionLine] = []
    for label, others in (("kbeta", elements.kbeta_wavelengths(wavelength)), ("w_la", elements.W_L_ALPHA)):
        ratios: list[float] = []
        for each in own if others else ():
            image = d_to_two_theta(two_theta_to_d(each.two_theta, wavelength), others[0])
            near = np.abs(peaks.two_theta[:, None] - image) < grid.peak_fwhm
            ratio = np.where(near, peaks.height[:, None] / each.height, 0.0).max(axis=0, initial=0.0)
            ratios += ratio[(ratio > _IMAGE) & (ratio < _MOST_IMAGE)].tolist()
        if len(ratios) >= _FEWEST_IMAGES:
            weights = np.median(ratios) * np.array([1.0, elements.W_L_RATIO])
            pairs = zip(others, weights, strict=False)
            lines += [EmissionLine(wavelength=x, weight=float(weight), label=label) for x, weight in pairs]
    return tuple(lines)


def broad_reflections(search: SearchResidual) -> list[UnknownReflection]:
    """Find maxima of crystals of a few nanometres in the pattern itself: too broad for peaks, too narrow for halos.

    They stand above what clipping leaves, which amorphous scattering follows. Fewer than three are no crystals.
    """
    grid, points = search.grid, search.fit.points
    n = len(points) // grid.per_bin
    x = points.two_theta[: n * grid.per_bin].reshape(n, grid.per_bin).mean(axis=1)
    half = max(round(_SMOOTHED * _NARROWEST / grid.step), 1)
    smooth = np.convolve(np.pad(bin_means(points.intensity, n), half, mode="edge"), np.ones(2 * half + 1), mode="valid")
    smooth /= 2 * half + 1
    noise = np.sqrt(bin_means(points.own_sigma**2, n) / grid.per_bin / (2 * half + 1))
    above = smooth - rolling_background(smooth, grid.step, _CLIPPED)
    out: list[UnknownReflection] = []
    for i in separate_peaks(x, np.where(above > _CLEAR * noise, above, 0.0), distance=_NARROWEST, most=MOST_TESTED):
        height = float(above[i])
        if any(abs(x[i] - other.two_theta) < other.width for other in out):
            continue  # noise on the same maximum
        below = np.flatnonzero(above < 0.5 * height)
        low_half, high_half = below[below < i].max(initial=0), below[below > i].min(initial=n - 1)
        width = float(x[high_half] - x[low_half])
        if not (_NARROWEST < width < _BROADEST and height > _FAINTEST * float(above.max())):
            continue
        ends = np.flatnonzero(above < np.maximum(_FOOT * height, noise))
        reach = _FARTHEST_BROAD * width
        low = max(float(x[ends[ends < i].max(initial=0)]), float(x[i]) - reach)
        high = min(float(x[ends[ends > i].min(initial=n - 1)]), float(x[i]) + reach)
        z = height / float(noise[i])
        out.append(UnknownReflection(two_theta=float(x[i]), width=width, low=low, high=high, z=z, height=height))
    return out if len(out) >= _FEWEST_BROAD else []


def mostly_broad(search: SearchResidual, unknown: Sequence[UnknownReflection]) -> bool:
    """Tell whether most of the unknown reflections are those of small crystals."""
    return 2 * sum(p.width > _BROAD * search.grid.peak_fwhm for p in unknown) > len(unknown)


def peaks_of(unknown: Sequence[UnknownReflection], more: Peaks | None = None) -> Peaks:
    """Unknown reflections, after `more` peaks."""
    rows = np.array([(p.two_theta, p.z, p.height) for p in unknown]).reshape(-1, 3)
    if more is not None:
        rows = np.concatenate([np.stack([more.two_theta, more.z, more.height], axis=1), rows])
    return Peaks(two_theta=rows[:, 0], z=rows[:, 1], height=rows[:, 2])


def mask_of(fit: Refinement, unknown: Sequence[UnknownReflection]) -> BoolArray:
    """Mark the points of a fit under unknown reflections, highest first, until a good part of the pattern is hidden."""
    x = fit.points.two_theta
    mask = np.zeros(len(x), dtype=bool)
    for item in sorted(unknown, key=lambda peak: -peak.height):
        wider = mask | ((x >= item.low) & (x <= item.high))
        mask = wider if wider.mean() <= _MOST_HIDDEN else mask
    return mask


def unidentified_crystals(
    fit: Refinement, search: SearchResidual, peaks: Sequence[UnexplainedPeak], known: Sequence[Candidate]
) -> UnidentifiedCrystals | None:
    """Measure what the unexplained `peaks` amount to on the scale of the fit's amounts, with the `known` phases' areas.

    Areas under masked points and of what was taken off are those measured, others those of peaks of instrumental width.
    None without peaks.
    """
    usable = [item for item in known if item.phase.quantifiable and len(item.d_spacing)]
    if not peaks or not usable:
        return None
    grid, points = search.grid, fit.points
    inside = points.two_theta <= grid.two_theta[-1]
    excess = np.where(inside, fit.unknown_curve, 0.0)
    hidden = inside & (points.masked | (excess > points.own_sigma))
    weak = [p for p in peaks if not hidden[min(int(np.searchsorted(points.two_theta, p.two_theta)), len(points) - 1)]]
    area = float(excess.sum()) * points.step + sum(p.area for p in weak)
    variance = float((points.own_sigma[hidden] ** 2).sum()) * points.step**2 * fit.evidence.inflation
    variance += sum((p.area / max(p.z, 1.0)) ** 2 for p in weak)
    per_gram = float(np.median(templates.draw_crystals(usable, grid, _CRYSTALS_NM).sum(axis=1))) * grid.step
    if not (area > 0.0 and per_gram > 0.0):
        return None
    std = float(np.sqrt(variance))
    bragg = float(np.abs(search.bragg).sum()) * grid.step
    return UnidentifiedCrystals(
        mass=area / per_gram, std=std / per_gram, z=area / max(std, 1e-300), share=area / (area + bragg),
        peaks=tuple(peaks),
    )  # fmt: skip


def peaks_of_nothing(search: SearchResidual, unknown: Sequence[UnknownReflection]) -> Peaks:
    """Peaks that no phase explains: those left in the residual, and the `unknown` ones that the fit left out.

    At low angles what is no higher than the background's terms are good for is none.
    """
    left, grid = residual_peaks(search), search.grid
    solution = search.fit.solution
    smooth = grid.mean(solution.columns @ solution.coefficients) - search.bragg.sum(axis=1)
    shape = BACKGROUND_STD * np.interp(left.two_theta, grid.two_theta, smooth) * (left.two_theta < LOW_ANGLES)
    kept = np.stack([left.two_theta, left.z, left.height])[:, left.height > shape]
    return peaks_of(unknown, Peaks(two_theta=kept[0], z=kept[1], height=kept[2]))


def overtopped(left: Peaks) -> float:
    """Height that the strongest reflection of a phase must exceed to be believed: see `Suspect.beneath_others`."""
    height = np.sort(left.height)[::-1]
    return max(float(height.max(initial=0.0)), float(height[MANY - 1]) / COMPARABLE if len(height) >= MANY else 0.0)
