"""Search for crystalline phases: fit, add, confirm, drop; and how little of each absent one would be seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, Instrument, Pattern, Phase, Record, one_screen, presenter
from xrdcomp.phases.library import list_phases, load_phase, load_phases
from xrdcomp.physics import elements, reflections
from xrdcomp.recipe import FitRecipe, IdentificationRecipe, Recipe
from xrdcomp.refinement.model import MeasuredAmorphous
from xrdcomp.refinement.refine import PhaseStart, Refinement
from xrdcomp.refinement.reflections import bin_means
from xrdcomp.refinement.result import POOR_FIT_GOF, rolling_background
from xrdcomp.refinement.unsought import rise_without
from xrdcomp.results import FitResult, PhaseList, PhaseResult, UnexplainedPeak, UnidentifiedCrystals
from xrdcomp.search import nuisance, overlaps, report, templates
from xrdcomp.search.detection import INDEPENDENT_CELLS, detection_rule, number_searched
from xrdcomp.search.metals import Metal, metal_among
from xrdcomp.search.nuisance import (
    BACKGROUND_STD,
    GRAIN_STD,
    LOW_ANGLES,
    Score,
    SearchResidual,
    matched_filter,
    separate_peaks,
)
from xrdcomp.search.report import MOST_PEAKS, angle_offset, explain_peak
from xrdcomp.search.room import room_beside, smoothed
from xrdcomp.search.templates import COLD_VARIANTS, STRAINS, Candidate, bragg_share, candidate, library, searched_phases
from xrdcomp.units import BoolArray, FloatArray, two_theta_to_d

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Expected number of phases of the library that meet unexplained peaks by chance, up to which one counts as found.
_MOST_CHANCE = 0.05
_NO_CHANCE = 1e-3  # of them, with which it is certain
_CLEAR = 6.0  # standard deviations of a peak in the residual
_FOOT = 0.03  # of a peak's height, at which it ends
_FARTHEST_FOOT = 8.0  # widths to either side, or a degree
_MOST_HIDDEN = 0.6  # of the points: the rest must determine amorphous scattering and background
_CRYSTALS_NM = 80.0  # whose reflections have all their area within the windows that are drawn
_SURE = 3.0  # standard deviations
_ROUNDS = 2  # of masking: what was hidden below strong peaks may show others
_WEAK = 2.0  # thresholds up to which an accepted phase hardly stands out
_COMPARABLE = 0.5  # of a reflection's height, from which on a peak could have been taken for that reflection
_REACH = 1.5  # widths within which a peak and a reflection are taken for one, both sides together
_APART = 2.0  # widths between two peaks
_WIDER = 1.5  # of a phase's own width, from which on a reflection is of smaller crystals than its own
_BROAD = 3.0  # widths of the instrument, from which on a reflection is one of small crystals
_NARROWEST, _BROADEST = 0.5, 3.0  # degrees, widths of reflections of a few nanometres; halos are broader
_SMOOTHED = 0.2  # of the narrowest, to either side: sharp reflections stay narrower
_CLIPPED = 5.0  # degrees, half the window of the background beneath them
_FAINTEST = 0.05  # of the highest of them
_FEWEST_BROAD, _FARTHEST_BROAD = 3, 1.5  # of them, and widths to either side
_LEAST_MAXIMUM = 0.1  # of the highest, of one that a phase must have
_OWN = 0.1  # of a phase's highest intensity, below which an angle is beside its reflections
_EXPLAINED = 0.3  # of a peak's height: grains make a phase's own reflections three times as high, seldom more
_MOST = 80
_IMAGE = 0.05  # of a reflection's height: residual Kβ and tungsten of a filtered tube stay below
_MOST_IMAGE = 0.4  # of it: bare copper has a fifth
_FEWEST_IMAGES = 2
_EXPLAINED_BY_LINES = 0.5  # of the excess χ²
_TOP_REFLECTIONS = 8
_WEAKEST = 0.02  # of the strongest reflection: those below have no place in the pattern
_WEAKEST_OF_TEXTURED = 3e-3  # of the strongest reflection, and
_TEXTURED = 10.0  # times as high texture may make a fitted phase's own reflections
_ESSENTIAL = 0.02  # of the strongest reflection: a peak of another compound with the same lattice
_SAME_LATTICE = 1e-3  # chance that so many peaks fall on a lattice, below which it is theirs
_FEWEST = 2
_OUT_OF_RATIO = 9.0  # χ² per reflection about the common amount
_MANY = 5  # reflections of six, and
_ABOUT = 0.5  # mean deviation of logarithms of heights
_CLOSE_RATIO = 1.0  # χ² per reflection, with which a phase stands beside whatever is unexplained
_SHARP_NM = 50.0  # crystals whose reflections meet one peak each
_SMALL_NM = 12.0  # crystals whose reflections run together, which raises that χ²
_SMALL_RATIO = 10.0
_NEARLY_ALL = 0.9  # of what a fit lacks without small crystals, where they and no other crystal make it up
_SHORT = 20.0  # degrees, a scan that shows so little of a phase that one reflection may be all
_FAR_ABOVE = 40.0  # standard deviations of an amount with which its second reflection would be seen as well


@dataclass(frozen=True, kw_only=True)
class Peaks:
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
    found = separate_peaks(x, np.where(z > _CLEAR, height, 0.0), distance=_APART * fwhm, most=_MOST)
    # residual Kβ and tungsten lines show fitted reflections again, no higher than a share of them
    wavelength = search.fit.instrument.wavelength
    for index in range(search.bragg.shape[1]):
        own = _own_reflections(search, index, most=20)
        for other in elements.residual_wavelengths(wavelength):
            sine = np.sin(np.radians(own.two_theta / 2.0)) * other / wavelength
            image = np.degrees(2.0 * np.arcsin(np.minimum(sine, 1.0)))
            found = [i for i in found if not ((np.abs(x[i] - image) < fwhm) & (height[i] < _IMAGE * own.height)).any()]
    return Peaks(two_theta=x[found], z=z[found], height=height[found])


def _own_reflections(
    search: SearchResidual, index: int, *, least: float = _WEAKEST, most: int = _TOP_REFLECTIONS
) -> Peaks:
    """Find the strongest reflections of a fitted phase, as the matched filter sees them."""
    grid = search.grid
    z, height = matched_filter(grid, search.bragg[:, index] / search.counting, search.counting)
    strong = np.where(height > least * float(height.max()), height, 0.0)
    found = separate_peaks(grid.two_theta, strong, distance=_APART * grid.peak_fwhm, most=most)
    return Peaks(two_theta=grid.two_theta[found], z=z[found], height=strong[found])


@dataclass(frozen=True, kw_only=True)
class UnknownReflection:
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
    own = [_own_reflections(whole, i, least=_WEAKEST_OF_TEXTURED, most=_MOST) for i in range(k)]
    places = np.concatenate([*(item.two_theta for item in own), np.array([-np.inf])])
    highest = np.concatenate([*(_TEXTURED * item.height for item in own), np.zeros(1)])
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
    peaks, wavelength = _peaks(unknown, residual_peaks(search)), instrument.wavelength
    own = [_own_reflections(search, i) for i in range(len(search.fit.phases))]
    lines: list[EmissionLine] = []
    for label, others in (("kbeta", elements.kbeta_wavelengths(wavelength)), ("w_la", elements.W_L_ALPHA)):
        ratios: list[float] = []
        for each in own if others else ():
            image = np.degrees(2.0 * np.arcsin(np.sin(np.radians(each.two_theta / 2.0)) * others[0] / wavelength))
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
    for i in separate_peaks(x, np.where(above > _CLEAR * noise, above, 0.0), distance=_NARROWEST, most=_MOST):
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


def _mostly_broad(search: SearchResidual, unknown: Sequence[UnknownReflection]) -> bool:
    """Tell whether most of the unknown reflections are those of small crystals."""
    return 2 * sum(p.width > _BROAD * search.grid.peak_fwhm for p in unknown) > len(unknown)


def _peaks(unknown: Sequence[UnknownReflection], more: Peaks | None = None) -> Peaks:
    """Unknown reflections, after `more` peaks."""
    rows = np.array([(p.two_theta, p.z, p.height) for p in unknown]).reshape(-1, 3)
    if more is not None:
        rows = np.concatenate([np.stack([more.two_theta, more.z, more.height], axis=1), rows])
    return Peaks(two_theta=rows[:, 0], z=rows[:, 1], height=rows[:, 2])


def _mask(fit: Refinement, unknown: Sequence[UnknownReflection]) -> BoolArray:
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
    return _peaks(unknown, Peaks(two_theta=kept[0], z=kept[1], height=kept[2]))


def overtopped(left: Peaks) -> float:
    """Height that the strongest reflection of a phase must exceed to be believed: see `_Suspect.beneath_others`."""
    height = np.sort(left.height)[::-1]
    return max(float(height.max(initial=0.0)), float(height[_MANY - 1]) / _COMPARABLE if len(height) >= _MANY else 0.0)


def withdraw_false_phases(
    reports: Sequence[PhaseResult],
    search: SearchResidual,
    named: Collection[str],
    library_size: int,
    left: Peaks,
    *,
    standard: str = "",
    sharp: bool,
) -> list[PhaseResult]:
    """Take back what was detected where reflections of something else explain it as well.

    Such a phase becomes inconclusive, and the reason is stated. `search` is that of the fit that the phases are in,
    `named` the ids of phases that the user named, which are doubted beside higher peaks of something else only,
    `library_size` the number of phases that were searched for, `left` the peaks that no phase explains, `standard` the
    spike, which is known, `sharp` whether those peaks are reflections of large crystals.
    """
    out = []
    for item in reports:
        if item.decision == "detected" and item.id != standard:
            s = _Suspect(search, item.id, left, sharp=sharp)
            if item.id in named:
                reason = s.beneath_others(1)
            else:
                reason = other_cell(search.fit, s.fitted) or s.contradicted()
                reason = reason or s.out_of_ratio(library_size) or s.one_reflection()
                reason = reason or s.beneath_others(library_size) or s.met_by_chance(library_size)
                reason = reason or s.of_another_compound()
            if reason:
                item = replace(item, decision="inconclusive", evidence=replace(item.evidence, reason=reason))
        out.append(item)
    return out


class _Suspect:
    """A detected phase and the peaks that no phase explains; each method gives a reason to doubt it, or none."""

    def __init__(self, search: SearchResidual, phase: str, left: Peaks, *, sharp: bool) -> None:
        index, x = search.fit.model.phase_ids.index(phase), search.grid.two_theta
        self.search, self.phase, self.index, self.sharp = search, phase, index, sharp
        # what stands on its own reflections is misfit of their profile or grains of its own
        own = np.interp(left.two_theta, x, search.bragg[:, index])
        beside = own < _OWN * float(search.bragg[:, index].max())
        self.left = Peaks(two_theta=left.two_theta[beside], z=left.z[beside], height=left.height[beside])
        self.fitted = search.fit.phases[index]
        self.score = search.presence(self.fitted)
        self.reflections = _own_reflections(search, index)
        self.span = float(x[-1] - x[0])

    def contradicted(self) -> str:
        """Doubt a phase of which strong reflections are clearly missing."""
        n = self.score.contradicted
        which = "one of its strong reflections is" if n == 1 else f"{n} of its strong reflections are"
        return f"{which} not there, though the others say that it should show" if n else ""

    def proved(self, library_size: int) -> bool:
        """All of six sharp reflections are seen where chance would not put them; broad ones meet several peaks each.

        Every free parameter of the cell lets the refinement choose among as many cells. Chance puts them on the feet of
        higher peaks as well as on peaks of their own height.
        """
        sharp = self.score.size_nm >= _SHARP_NM
        free, _ = reflections.cell_freedom(self.fitted.crystal_system)
        cells = INDEPENDENT_CELLS ** (len(free) - 1)
        return (
            sharp and self.score.reflections_seen > _MANY and cells * self.chance(library_size, feet=True) < _NO_CHANCE
        )

    def explains_the_rest(self) -> bool:
        """Tell whether broad reflections beside sharp unknown ones make up nearly all that is left without them.

        The share of χ² that the phase takes from the fit without it, beyond one per point, where strong reflections of
        something else are masked. The ratio of broad reflections depends on the size that a template has; reflections
        of another crystal would leave much of their pattern to nothing.
        """
        if not self.sharp or self.score.size_nm >= _SHARP_NM:
            return False
        fit = self.search.fit
        seen = len(fit.points) - int(fit.points.masked.sum())
        rise = rise_without(self.phase, fit.evidence, fit.solution, fit.model)
        left = max(float((fit.solution.residual(fit.points) ** 2).sum()) - seen, 0.0)
        return rise > _NEARLY_ALL * (rise + left)

    def out_of_ratio(self, library_size: int) -> str:
        """Doubt reflections that disagree by more than texture makes, where something else is wrong too.

        Where the fit does not describe the pattern they must agree as well as a candidate's, unless they run together.
        """
        score, described = self.score, self.search.fit.describes_pattern
        complete = described and score.reflections_seen == score.reflections_expected
        agree = score.consistency < _OUT_OF_RATIO
        if not described and score.size_nm > _SMALL_NM:
            agree = score.in_ratio
        if complete or agree or self.proved(library_size):
            return ""
        counts = f"{score.reflections_seen} of {score.reflections_expected} reflections that should show do"
        where = "" if described else ", in a fit that does not describe the pattern"
        return f"{counts}, and not in the ratio of this phase{where}"

    def one_reflection(self) -> str:
        """Doubt a single reflection, in a short scan or of a phase far above its threshold."""
        score = self.score
        if score.reflections_expected > 1 or (score.z < _FAR_ABOVE and self.span > _SHORT):
            return ""
        return "the scan holds one reflection of it only, and one reflection does not tell which phase it belongs to"

    def beneath_others(self, library_size: int) -> str:
        """Doubt what higher unexplained peaks stand beside, unless its own reflections are clear proof.

        They are where most of the six are seen, in close ratio, or all of them where no chance would put them, or where
        they are broad beside sharp ones and explain the rest of the pattern.
        """
        heights, others = self.reflections.height, self.left.height
        # sharp reflections of something else are not taken for broad ones
        small = self.sharp and self.score.size_nm <= _SMALL_NM
        ratio = _SMALL_RATIO if small else _CLOSE_RATIO
        clear = self.score.consistency < ratio or self.proved(library_size) or self.explains_the_rest()
        if (clear and self.score.reflections_seen >= _MANY) or not len(heights) or not len(others):
            return ""
        alike = int((others > _COMPARABLE * heights[0]).sum())
        if others.max() < heights[0] and alike < _MANY:
            return ""
        which = "peaks higher than" if others.max() >= heights[0] else f"{alike} peaks comparable to"
        return (
            f"{which} its strongest reflection belong to nothing in the library, and its own reflections are few or "
            "not quite in its ratio"
        )

    def chance(self, library_size: int, *, feet: bool = False) -> float:
        """Expected number of phases of the library that would meet as many unexplained peaks by chance.

        Π (1 − exp(−ρ w)) over its reflections that are seen, times the trials of the search, with ρ the density of
        peaks at least half as high and w the distance within which reflections count as met; with their `feet` no less
        than the share of the scan in which what no phase explains is half as high.
        """
        seen = self.reflections.height[: max(self.score.reflections_seen, 1)]
        # each of its reflections could have been met by the others that it is said to have
        density = [float((self.left.height > _COMPARABLE * h).sum() + len(seen) - 1) / self.span for h in seen]
        met = [1.0 - np.exp(-d * _REACH * self.search.grid.peak_fwhm) for d in density]
        if feet:
            met = np.maximum(met, self.covered(_COMPARABLE * seen)).tolist()
        return library_size * INDEPENDENT_CELLS * float(np.prod(met)) if len(seen) else 0.0

    def covered(self, heights: FloatArray) -> FloatArray:
        """Shares of the scan within reach of points at which what no phase explains is so high, (heights,)."""
        grid, points = self.search.grid, self.search.fit.points
        near = round(0.5 * _REACH * grid.peak_fwhm / grid.step)
        left = np.pad(smoothed(grid.mean(points.intensity - self.search.fit.solution.calculated)), near)
        highest = np.lib.stride_tricks.sliding_window_view(left, 2 * near + 1).max(axis=1)
        return np.asarray((highest > heights[:, None]).mean(axis=1))

    def met_by_chance(self, library_size: int) -> str:
        """Doubt reflections that are no more than a search among so many peaks must find."""
        if self.chance(library_size) < _MOST_CHANCE:
            return ""
        span, seen = self.span, self.reflections.height[: max(self.score.reflections_seen, 1)]
        n = int((self.left.height > _COMPARABLE * float(seen[-1])).sum())
        if not n:
            lines = "one reflection" if len(seen) == 1 else f"{len(seen)} reflections"
            return f"the scan of {span:.0f}° holds {lines} of it only: some phase would have as many there"
        lines = "one reflection is" if len(seen) == 1 else f"{len(seen)} reflections are"
        peaks = "one peak as high belongs" if n == 1 else f"{n} peaks as high belong"
        others = f"{peaks} to nothing in the library"
        return f"only {lines} seen, and {others}: some phase would meet as many of them by chance"

    def lacks_maxima(self) -> str:
        """Doubt crystals of a few nanometres, in a fit that leaves much, where maxima of their kind are no phase's.

        Broad reflections are no peaks of the residual, and amorphous scattering makes up for those that are missing.
        """
        fit = self.search.fit
        # apatite of bone is as small, and its maxima are judged where it leaves the pattern undescribed
        apatite = self.fitted.is_apatite and fit.describes_pattern
        if apatite or self.score.size_nm > _SMALL_NM or fit.goodness < _SETTLED_GOF:
            return ""
        d = np.concatenate([candidate(phase, fit).d_spacing for phase in fit.phases])
        bare = 2.0 * np.degrees(np.arcsin(np.minimum(fit.instrument.wavelength / (2.0 * d), 1.0)))
        places = bare + angle_offset(fit, bare)
        found = broad_reflections(self.search)
        least = _LEAST_MAXIMUM * max((peak.height for peak in found), default=0.0)
        for peak in found:
            if peak.height > least and np.abs(places - peak.two_theta).min() > 0.5 * peak.width:
                return (
                    f"its crystals would have a few nanometres, and the maximum at {peak.two_theta:.1f}° is not theirs"
                )
        return ""

    def of_another_compound(self) -> str:
        """Doubt a phase where peaks that it cannot explain lie where its lattice has reflections without intensity."""
        from scipy.special import bdtrc

        fit, grid, own = self.search.fit, self.search.grid, self.reflections
        if not len(own.height):
            return ""
        # texture may make its weakest reflections many times as high
        weak = _own_reflections(self.search, self.index, least=_WEAKEST_OF_TEXTURED, most=_MOST)
        near = np.abs(self.left.two_theta[:, None] - weak.two_theta) < grid.peak_fwhm
        textured = _TEXTURED * np.where(near, weak.height, 0.0).max(axis=1, initial=0.0)
        strong = self.left.two_theta[self.left.height > np.maximum(_ESSENTIAL * own.height[0], textured)]
        if len(strong) < _FEWEST:
            return ""
        wavelength, fwhm = fit.instrument.wavelength, grid.peak_fwhm
        d_max, d_min = two_theta_to_d(grid.two_theta[[0, -1]], wavelength)
        for centring in (self.fitted.centring, [np.zeros(3)]):
            lattice = reflections.generate_reflections(
                fit.cell(self.phase), [np.eye(3)], [np.zeros(3)], centring, d_min=float(d_min), d_max=float(d_max)
            )
            bare = 2.0 * np.degrees(np.arcsin(wavelength / (2.0 * np.unique(lattice.d_spacing.round(6)))))
            places = bare + angle_offset(fit, bare)
            free = places[np.abs(places[:, None] - own.two_theta).min(axis=1) > fwhm]
            if not len(free):
                continue
            on = int((np.abs(strong[:, None] - free).min(axis=1) < 0.5 * fwhm).sum())
            covered = (np.abs(grid.two_theta[:, None] - free).min(axis=1) < 0.5 * fwhm).mean()
            if on >= _FEWEST and bdtrc(on - 1, len(strong), covered) <= _SAME_LATTICE:
                return (
                    f"{on} of {len(strong)} strong peaks that it cannot explain lie on its own lattice: probably "
                    "another compound with the same lattice"
                )
        return ""


# Search a pattern for crystalline phases: fit, add, confirm, drop; and how little of each absent one would be seen.

_SMALL_SIZES_NM = (25.0, 12.0, 7.0)  # of apatite that a search from nothing may take for amorphous scattering
_USUAL_APATITE = "hydroxyapatite"
_LIKELY = 0.95  # probability of a member of the family from which it gives the apatite its name
_MAX_FOUND = 6
_MAIN_SHARE = 0.3  # of the Bragg intensity, from which on a phase gets all parameters
_MIN_INTENSITY_SHARE = 5e-4
_CELL_KEPT = 0.008  # mean relative change of spacings by refinement; impossible cells begin there
_SUBSTITUTED = 0.012  # of an axis, beyond the end members: a fifth of carbonate shortens a of hydroxyapatite by as much
_SMALLEST_NM = 6.0  # templates have 20 nm and more; below a third of that, amorphous scattering is followed
_FAR_OUT_OF_RATIO = 20.0  # χ² per reflection: small crystals, whose reflections run together, stay below 10
_SETTLED_GOF = 1.5  # a start from nothing that ends above is held against the start from the phases asked for
# Goodness of fit beyond which a start is left near its minimum until a phase is added: clean powders with high counts
# reach 3 by imperfect profiles; beyond, something is missing.
_PASSING_GOF = 3.0
# The same of a trial: beyond, three quarters of χ² are misfit, and where a trial is refused it needs no minimum.
_PASSING_TRIAL_GOF = 2.0
_RIVAL_SHARE = 0.85  # of the best z; texture and grains change ratios of reflections by as much


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Identification(Record):
    """The fit with every accepted phase, one PhaseResult for every phase asked after, and what no phase explains.

    `phases` is a `PhaseList`, so that ``found.phases["calcite"]`` works; `unexplained` are peaks of no phase,
    `unidentified` the crystals that they amount to. Some of the peaks may be those of a `metal`, as of a holder.
    """

    fit: FitResult
    phases: PhaseList
    unexplained: tuple[UnexplainedPeak, ...]
    messages: tuple[Diagnostic, ...]
    unidentified: UnidentifiedCrystals | None = None
    metal: Metal | None = None

    @property
    def metal_share(self) -> float:
        """Share of the unidentified crystals that may be a metal of the holder."""
        return 0.0 if self.metal is None else self.metal.share

    @property
    def unidentified_mass(self) -> tuple[float, float] | None:
        """Mass of the unidentified crystals and its standard uncertainty on the scale of the fit's amounts."""
        return None if self.unidentified is None else (self.unidentified.mass, self.unidentified.std)

    def to_dataframe(self) -> pd.DataFrame:
        """Phases as a table; see `PhaseList.to_dataframe`."""
        return self.phases.to_dataframe()

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the fit on `ax`, or on axes of a new figure, and return the axes."""
        return self.fit.plot(ax=ax)

    def __str__(self) -> str:
        peaks = "".join(f"\n  unexplained: {peak}" for peak in self.unexplained)
        return f"{presenter('tables').phase_table(self.phases)}{peaks}"

    def __repr__(self) -> str:
        fit = self.fit
        n = len(self.unexplained)
        head = f"Identification: Rwp {100 * fit.rwp:.2f} %, GoF {fit.gof:.2f}, {n} unexplained peaks"
        return one_screen(f"{head}\n{self.phases!r}")

    def _repr_html_(self) -> str:
        return self.phases._repr_html_()


def start_phases(
    recipe: Recipe, standard: tuple[str, float] | None
) -> tuple[tuple[Phase, ...], tuple[str, float] | None]:
    """Phases to fit: those of the recipe, else what the search starts from; the internal standard, by its id, always.

    `standard` is a phase of the recipe or of the library, a CIF file or a phase folder, with its fraction of the spiked
    mass; it is returned with the phase's id.
    """
    default = (_USUAL_APATITE,) if recipe.identification.start == "hydroxyapatite" else ()
    phases = load_phases(recipe.phases or default)
    known = {phase.id for phase in phases}
    if standard is None or standard[0] in known:
        return phases, standard
    spike = load_phase(standard[0])
    return (phases if spike.id in known else (*phases, spike)), (spike.id, standard[1])


def fit_and_search(  # noqa: PLR0913 - what is measured, what is known, what is asked: all by name
    pattern: Pattern,
    phases: Sequence[Phase],
    instrument: Instrument,
    fit: FitRecipe,
    recipe: IdentificationRecipe,
    *,
    blank: Pattern | None = None,
    measured: Sequence[MeasuredAmorphous] = (),
    named: bool = False,
    standard: str = "",
) -> Identification:
    """Fit the phases asked for, drop those that are not there, add the ones that are found.

    Where the search begins with nothing, because nothing was asked for or apatite fits badly, and ends badly while
    what is left over looks like small crystals of apatite, the search from apatite is made as well and the better fit
    taken: from nothing, small crystals beside sharp reflections are not found. A member of the apatite family that fits
    decisively better than the one the search began with is searched with anew.

    A phase is detected where z of its amount exceeds the threshold that keeps the chance of one or more false
    phases in the whole search at the stated rate, where the reflections that should show do show, and where a
    refinement with it confirms the amount.

    With `named`, exactly the phases asked for are fitted, because the user named them; others that are found are then
    reported with the amount they have when refined too, and phases asked for stay in the fit even when they do not
    show. `blank` is a scan of the empty holder, `measured` are amorphous components as measured. The internal
    `standard`, one of the phases by its id, is known to be there: it is neither dropped nor questioned.

    Strong reflections that no phase explains are left out of the refinements that confirm phases, and of the last one:
    amorphous scattering and phases must not make up for them.
    """
    free = recipe.search and not named  # the phases are only where the search begins
    refine = partial(
        Refinement.run, pattern, instrument=instrument, recipe=fit, blank=blank, measured=measured,
        passing_gof=_PASSING_GOF if free else np.inf,
    )  # fmt: skip
    spike = tuple(phase for phase in phases if phase.id == standard)
    first: Refinement | None = None
    if free and phases and all(phase.is_apatite for phase in phases if phase not in spike):
        # a hopeless fit takes long, and what it does to displacement and widths hides the phases that are there:
        # apatite is then searched for like any other phase
        first = start = refine(phases, abandon_gof=1.5 * POOR_FIT_GOF)
        if (len(start.phases) > len(spike) and start.goodness > POOR_FIT_GOF) or len(start.phases) < len(spike):
            start = refine(spike)
    else:
        start = refine(phases)
    search = _Search(start, recipe, named=named, standard=standard)
    found = search.report()
    better = better_member(start, found.phases) if free else None
    if better is not None:
        start, search = better, _Search(better, recipe, standard=standard)
        found = search.report()
    elif free and search.exchange_member(found.phases):
        found = search.report()
    if lines := strong_residual_lines(search.residual, search.unknown):
        with_lines = replace(instrument, emission_lines=(*instrument.emission_lines, *lines))
        again = fit_and_search(
            pattern, phases, with_lines, fit, recipe, blank=blank, measured=measured, named=named, standard=standard
        )
        left, without = again.fit.gof_of_phases**2 - 1.0, found.fit.gof_of_phases**2 - 1.0
        if left < _EXPLAINED_BY_LINES * without:
            return replace(again, messages=(report.residual_lines_message(again.fit), *again.messages))
    # what it is embedded in may not have stood out before the other phases were found
    embedded = search.residual.fit.with_polymer()
    if embedded is not search.residual.fit:
        start, search = embedded, _Search(embedded, recipe, named=named, standard=standard)
        found = search.report()
    if len(start.phases) > len(spike) or not free or found.fit.gof <= _SETTLED_GOF:
        return found
    if not phases and found.fit.quality != "describes":
        return found  # what is left is of something unknown, and nobody asked for apatite
    apatite = [p for p in phases if p.is_apatite] or [p for p in searched_phases(recipe) if p.id == _USUAL_APATITE]
    if any(p.id in search.impossible for p in apatite) or not search.leaves_small_crystals(apatite):
        return found
    known = first is not None and first.phases == (*spike, *apatite)
    again = search_from(first if first is not None and known else refine((*spike, *apatite)), recipe, standard=standard)
    return min(found, again, key=lambda result: result.fit.gof)


def search_from(
    start: Refinement, recipe: IdentificationRecipe, *, named: bool = False, standard: str = ""
) -> Identification:
    """Go on from a finished fit of the phases asked for; `named` and `standard` as in `fit_and_search`."""
    return _Search(start, recipe, named=named, standard=standard).report()


def better_member(start: Refinement, reports: Sequence[PhaseResult]) -> Refinement | None:
    """Exchange the apatite that a search began with for the member of the family that the search found to fit better.

    `reports` are what the search ended with; None where there is nothing to exchange.
    """
    better = [r.id for r in reports if r.evidence.member and r.evidence.member.fits_better]
    return _with_member(start, better)


def _with_member(fit: Refinement, better: Sequence[str]) -> Refinement | None:
    """Put the best of some members of the family in the place of a fit's apatite; None where there is nothing to do."""
    fitted = next((phase for phase in fit.phases if phase.is_apatite and phase.id in list_phases()), None)
    known = [name for name in better if name in list_phases()]
    if fitted is None or not known:
        return None
    fit = fit.settle()
    trials = [fit.substitute(fitted, load_phase(name)) for name in known]
    return min(trials, key=lambda trial: trial.cost).settle()


class _Search:
    """A search from a finished fit: the fit it has reached with its residual, scores of all others, and what is lost.

    `missing` are scores of phases asked for that do not show, `scores` the last ones of every candidate, `rivals` the
    phases that scored like one that was accepted, by its id; `refused` says why a candidate was not accepted, `unknown`
    are the strong reflections of no phase, which the fit leaves out.
    """

    def __init__(
        self, start: Refinement, recipe: IdentificationRecipe, *, named: bool = False, standard: str = ""
    ) -> None:
        self.recipe, self.named, self.standard, self.rule = recipe, named, standard, detection_rule(recipe)
        self.unknown: list[UnknownReflection] = []
        self.refused: dict[str, str] = {}
        self.impossible: dict[str, str] = {}
        self.threshold = self.rule.threshold
        self.missing: list[Score] = []
        self.scores: dict[str, Score] = {}
        self.rivals: dict[str, tuple[str, ...]] = {}
        self.trials: dict[str, _Trial] = {}  # the last one of each phase, by its id
        self.residual = nuisance.search_residual(start)
        self._drop_absent()
        self.start = self.residual.fit
        if recipe.search:
            self._find()
        usual = [p for p in searched_phases(recipe) if p.id == _USUAL_APATITE] if recipe.search else []
        for turn in range(_ROUNDS):
            found = unknown_reflections(self.residual)
            if not found or (_mostly_broad(self.residual, found) and self.leaves_small_crystals(usual)):
                break
            if self._drop_beneath(found):
                found = unknown_reflections(self.residual)
            # one round without hiding what may be a phase's that the stronger peaks of another kept from being found
            self.unknown += found if turn else self._without_known(found)
            self._mask_unknown()
            before = self.residual.fit.phases
            if recipe.search:
                self._drop_absent()
                self._drop_impossible()
                self._find()
                self._unmask_explained([p for p in self.residual.fit.phases if p not in before])
        self._drop_impossible()
        self._find_broad()
        if self.unknown and named:
            fitted = self.residual.fit
            same = {p.id for p in fitted.phases} == {p.id for p in self.start.phases}
            self.start = fitted if same else self.start.masking(_mask(self.start, self.unknown))
        if named or not recipe.search:
            return
        # phases asked for that do not stand beside what was found are dropped, and the search is made without them
        for phase in [p for p in self.start.phases if p.id != standard and p in self.residual.fit.phases]:
            score = self.residual.presence(phase)
            amounts = self.residual.fit.evidence.amounts
            positive = bool(amounts.amounts[amounts.names.index(phase.id)] > 0.0)
            if (
                score.z < self.threshold
                or not positive
                or bragg_share(self.residual.fit, phase) <= _MIN_INTENSITY_SHARE
            ):
                self.missing.append(replace(score, z=min(score.z, self.threshold)))
                self._drop(phase)
                self._find()

    def _find_broad(self) -> None:
        """Leave out maxima of crystals of a few nanometres where no phase was found and the fit leaves them."""
        fit = self.residual.fit
        own = [phase.id for phase in fit.phases if phase.id != self.standard]
        if self.named or not self.recipe.search or fit.goodness < _SETTLED_GOF:
            return
        left, size = residual_peaks(self.residual), number_searched(self.recipe)
        suspects = [_Suspect(self.residual, name, left, sharp=False) for name in own]
        if fit.quality != "useless" and not all(s.contradicted() or s.out_of_ratio(size) for s in suspects):
            return
        broad = broad_reflections(self.residual)
        if broad and own:
            fit = fit.drop(own)
        sharp = [p for p in self.unknown if all(abs(p.two_theta - q.two_theta) > q.width for q in broad)]
        highest = max((p.height for p in broad), default=0.0)
        if highest <= max((p.height for p in sharp), default=0.0):
            return  # crowds of sharp reflections
        trial = fit.masking(_mask(fit, [*sharp, *broad]))
        if trial.goodness < self.residual.fit.goodness:
            self.unknown = [*sharp, *broad]
            self.residual = nuisance.search_residual(trial)

    def _without_known(self, found: Sequence[UnknownReflection]) -> list[UnknownReflection]:
        """Unknown reflections less those where a phase of the library has its strongest, about in its ratio."""
        fit, fwhm = self.residual.fit, self.residual.grid.peak_fwhm
        angles, heights = np.array([p.two_theta for p in found]), np.array([p.height for p in found])
        fitted, known = {p.id for p in fit.phases}, set[int]()
        for phase in searched_phases(self.recipe) if self.recipe.search else ():
            if phase.id in fitted or not phase.quantifiable or phase.id in self.impossible:
                continue
            item = candidate(phase, fit)
            strongest = np.argsort(item.apparent)[::-1][:_TOP_REFLECTIONS]
            bare = 2.0 * np.degrees(np.arcsin(fit.instrument.wavelength / (2.0 * item.d_spacing[strongest])))
            away = np.abs(angles[:, None] - bare - angle_offset(fit, bare))
            met = np.flatnonzero(away.min(axis=0) < 0.5 * fwhm)
            which = away[:, met].argmin(axis=0)
            ratio = np.log(heights[which] / item.apparent[strongest][met])
            if len(met) >= _MANY - 1 and 0 in met and np.abs(ratio - np.median(ratio)).mean() < _ABOUT:
                known.update(which.tolist())
        return [p for i, p in enumerate(found) if i not in known]

    def _drop_beneath(self, found: Sequence[UnknownReflection]) -> bool:
        """Drop phases that a crowd of higher peaks of nothing stands beside: their reflections are unknown as well.

        A phase that is none of it once those peaks are left out stays: they may have disturbed its cell and widths.
        """
        before, sharp = self.residual, not _mostly_broad(self.residual, found)
        left, alone, size = _peaks(found), None, number_searched(self.recipe)
        for phase in before.fit.phases if self.recipe.search and not self.named else ():
            suspect = _Suspect(self.residual, phase.id, left, sharp=sharp)
            crowd = (suspect.left.height > _COMPARABLE * suspect.reflections.height.max(initial=0.0)).sum() >= _MANY
            if phase.id == self.standard or not crowd or not suspect.beneath_others(size):
                continue
            if alone is None:
                alone = nuisance.search_residual(before.fit.masking(_mask(before.fit, found), roughly=True))
            if reason := _Suspect(alone, phase.id, left, sharp=sharp).beneath_others(size):
                family = searched_phases(self.recipe) if phase.is_apatite else ()
                self.impossible |= {p.id: reason for p in (phase, *family) if p is phase or p.is_apatite}
                self.scores[phase.id] = self.residual.presence(phase)
                self._drop(phase)
        return self.residual is not before

    def _drop_impossible(self) -> None:
        """Drop phases whose cell, refined beside nothing but what is known, is not theirs; their peaks are unknown.

        So are those of a phase of whose lattice the unknown reflections are.
        """
        size = number_searched(self.recipe)
        for phase in self.residual.fit.phases if self.recipe.search and not self.named else ():
            if phase.id == self.standard:
                continue
            suspect = _Suspect(self.residual, phase.id, _peaks(self.unknown, residual_peaks(self.residual)), sharp=True)
            doubt = suspect.contradicted() or suspect.out_of_ratio(size) or suspect.beneath_others(size)
            reason = other_cell(self.residual.fit, phase, doubted=bool(doubt)) or suspect.of_another_compound()
            if reason := reason or suspect.lacks_maxima():
                family = searched_phases(self.recipe) if phase.is_apatite else ()
                self.impossible |= {p.id: reason for p in (phase, *family) if p is phase or p.is_apatite}
                self.refused[phase.id] = reason
                self.scores[phase.id] = self.residual.presence(phase)
                self._drop(phase)
                self.unknown += unknown_reflections(self.residual)
                self._mask_unknown()

    def _mask_unknown(self) -> None:
        """Refine with the unknown reflections left out."""
        fit = self.residual.fit
        self.residual = nuisance.search_residual(fit.masking(_mask(fit, self.unknown)))

    def _unmask_explained(self, new: Sequence[Phase]) -> None:
        """Take reflections that a phase accepted later has as well back into the fit."""
        fit = self.residual.fit
        columns = [fit.model.phase_ids.index(phase.id) for phase in new]
        bragg = fit.solution.columns[:, columns] @ fit.solution.coefficients[columns]
        left = [p for p in self.unknown if np.interp(p.two_theta, fit.points.two_theta, bragg) < _EXPLAINED * p.height]
        if len(left) < len(self.unknown):
            self.unknown = left
            self._mask_unknown()

    def _settle(self) -> bool:
        """Bring a fit to its minimum that was left near it; False where it is there."""
        if self.residual.fit.settled:
            return False
        self.residual = nuisance.search_residual(self.residual.fit.settle())
        return True

    def exchange_member(self, reports: Sequence[PhaseResult]) -> bool:
        """Put the likeliest member of the apatite family in the place of another one beside unknown reflections.

        What those leave of χ² hides how much better one member describes the intensities of another: the members'
        probabilities decide, which reckon with the misfit. False where nothing is exchanged.
        """
        old = next((phase for phase in self.residual.fit.phases if phase.is_apatite), None)
        if old is None or not self.unknown or old.id == self.standard:
            return False
        likely = [
            item.id
            for item in reports
            if item.id != old.id and item.evidence.member and (item.evidence.member.probability or 0.0) >= _LIKELY
        ]
        better = _with_member(self.residual.fit, likely)
        if better is None:
            return False
        trial = nuisance.search_residual(better)
        new = next(phase for phase in trial.fit.phases if phase.is_apatite)
        if trial.presence(new).z < self.threshold or implausible(trial.fit, new):
            return False
        self.scores[old.id] = self.residual.presence(old)
        self.scores.pop(new.id, None)
        self.residual = trial
        return True

    def _drop(self, phase: Phase) -> None:
        self.residual = nuisance.search_residual(self.residual.fit.drop([phase.id]))

    def _drop_absent(self) -> None:
        """Test each fitted phase against the fit without it, with templates of fixed size; named ones are kept.

        The test is first made on the linearised fit; only where that leaves doubt is the fit repeated without the
        phase.
        """
        for phase in self.residual.fit.phases:
            if phase.id == self.standard or self.residual.presence(phase).z > 3.0 * self.threshold:
                continue
            if self._settle() and self.residual.presence(phase).z > 3.0 * self.threshold:
                continue
            without = nuisance.search_residual(self.residual.fit.drop([phase.id]))
            left, own = without.projected(), [candidate(phase, without.fit)]
            score = nuisance.score_phases(own, left, sizes=nuisance.PRESENCE_SIZES_NM)[phase.id]
            if score.z > self.threshold:
                # a doubtful phase must stand out from what any phase of the library gets
                others = [p for p in library(()) if not p.is_apatite and p.quantifiable]
                scores = nuisance.score_phases([candidate(p, without.fit) for p in others], left)
                score = nuisance.widened(score, nuisance.library_scatter(scores.values()))
            if score.z < self.threshold or score.reflections_seen < min(2, score.reflections_expected):
                self.missing.append(score)
                if not self.named:
                    self.residual = without

    def _find(self) -> None:
        """Accept the best-scoring phase, refine with it, score again, until none passes.

        A fit that was left near its minimum is brought there where nothing is accepted beside it.
        """
        asked = {p.id for p in self.residual.fit.phases}
        tried = [candidate(p, self.residual.fit) for p in searched_phases(self.recipe) if p.id not in asked]
        weak: dict[str, Score] = {}
        self.refused = refused = dict(self.impossible)
        rivals: dict[str, tuple[str, ...]] = {}
        scored: SearchResidual | None = None
        ranking: nuisance.Ranking | None = None
        most_scatter = scatter = 1.0
        while True:
            fit, fitted = self.residual.fit, {p.id for p in self.residual.fit.phases}
            if scored is not self.residual:  # a refused candidate changes nothing of what the others score
                scored, left = self.residual, self.residual.projected()
                variants = STRAINS if fitted else COLD_VARIANTS
                rest = [item for item in tried if item.phase.id not in fitted]
                ranking = nuisance.Ranking.of(rest, left, variants=variants) if rest else None
                scores = dict(ranking.scores) if ranking else {}
                absent = (s for s in scores.values() if not s.phase.is_apatite)
                scatter = nuisance.library_scatter(absent) if fitted else 1.0
                scores = {name: nuisance.widened(score, scatter) for name, score in scores.items()}
            judged = {name: score for name, score in weak.items() if name not in fitted}
            scores |= judged
            able = self._able(scores, ranking, judged)
            if not able or len(fitted) >= _MAX_FOUND:
                if self._settle():
                    continue
                break
            best = _best(able)
            name = best.phase.id
            if best.z / nuisance.chance_scatter(candidate(best.phase, fit), left, best) < self.threshold:
                refused[name] = "cells that it cannot have score alike: reflections of something else are met by chance"
                continue
            trial, refined, reason = self._tried(best, left.grid.moved, scatter)
            if (refined.z < self.threshold or reason) and self._settle():
                continue
            if refined.z < self.threshold:
                full = ranking.completed({name: best})[name] if ranking is not None else best
                weak[name] = replace(full, z=refined.z)
            elif reason:
                refused[name] = reason
            else:
                self.residual, self.trials = trial, {}
                if best.z < _WEAK * self.threshold:
                    most_scatter = max(most_scatter, scatter)
                # intensities and positions do not decide between these
                near = (s for s in able if s is not best and s.z > _RIVAL_SHARE * best.z)
                rivals[name] = tuple(s.phase.id for s in near)
        if ranking is not None:
            scores |= ranking.completed({name: score for name, score in scores.items() if name not in judged})
        for name, score in scores.items():
            if score.z > self.threshold:
                chance = nuisance.chance_scatter(candidate(score.phase, fit), left, score)
                scores[name] = replace(score, z=score.z / chance, std=score.std * chance)
        # a phase at its limit would have been judged before those that hardly stand out, beside what they left
        before = max(most_scatter / scatter, 1.0)
        scores = {name: replace(score, nominal_std=score.nominal_std * before) for name, score in scores.items()}
        # rivals that have nothing left to explain fitted the same reflections
        self.rivals = {
            name: tuple(i for i in ids if i in scores and scores[i].z < self.threshold) for name, ids in rivals.items()
        }
        self.scores = scores
        # phases that were accepted early may be explained better by those accepted later
        while True:
            own = [p for p in self.residual.fit.phases if p.id not in asked]
            lost = next((p for p in own if self.residual.presence(p).z < self.threshold), None)
            if lost is None:
                return
            self.scores[lost.id] = self.residual.presence(lost)
            self._drop(lost)

    def _halo_instead(self, trial: SearchResidual, phase: Phase) -> str:
        """Reason to refuse a phase that shows only while amorphous scattering has the shape that the fit gives it.

        It is the top of a halo at low angles. Apatite, of a few nanometres, is judged by its other reflections.
        """
        if phase.is_apatite or trial.presence_beside_any_halo(phase).z >= self.threshold:
            return ""
        return f"broad maxima below {nuisance.LOW_ANGLES:g}° leave nothing of it: a halo of amorphous matter there"

    def _able(self, scores: dict[str, Score], ranking: nuisance.Ranking | None, judged: Collection[str]) -> list[Score]:
        """The best score of a phase that may be accepted, and those near it, in the order of the library.

        Reflections of weaker ones are not looked at; what is seen of the others goes into `scores`, those of phases
        that were `judged` before excepted.
        """
        has_apatite, able, best = any(p.is_apatite for p in self.residual.fit.phases), set[str](), 0.0
        for score in sorted(scores.values(), key=lambda s: -s.z):
            name = score.phase.id
            if score.z <= max(self.threshold, _RIVAL_SHARE * best):
                break
            if not score.phase.quantifiable or name in self.refused or (has_apatite and score.phase.is_apatite):
                continue
            if ranking is not None and name not in judged:
                score = scores[name] = ranking.checked(score)
            if score.reflections_agree:
                able, best = able | {name}, max(best, score.z)
        return [score for name, score in scores.items() if name in able]

    def _tried(self, score: Score, moved: Mapping[str, float], scatter: float) -> tuple[SearchResidual, Score, str]:
        """Refine with one more phase: the residual, the phase's refined score, and why it cannot be it, or nothing.

        The refinement goes no further where the phase is refused already.
        """
        phase, own = score.phase, self.residual.fit.points.masked
        for fit in self._refined_with(score, moved):
            # what was left out of the trial alone counts again in what is judged
            trial = nuisance.search_residual(replace(fit, points=fit.points.masking(own), to_minimum=None))
            refined = nuisance.widened(trial.presence(phase), scatter)
            reason = implausible(trial.fit, phase) if refined.z >= self.threshold else ""
            if refined.z < self.threshold or reason:
                break
        else:
            reason = self._halo_instead(trial, phase)
        return trial, refined, reason

    def _refined_with(self, score: Score, moved: Mapping[str, float]) -> Iterator[Refinement]:
        """Refine with one more phase; reflections of nothing that is fitted, or of this phase, are left out.

        Otherwise cell and width of a weak phase run to stronger reflections of another one beside its own.
        """
        fit, item = self.residual.fit, candidate(score.phase, self.residual.fit)
        own = item.d_spacing[item.apparent > _WEAKEST * item.apparent.max(initial=0.0)] * (1.0 + score.variant.strain)
        own = own[own > 0.5 * fit.instrument.wavelength]
        bare = 2.0 * np.degrees(np.arcsin(fit.instrument.wavelength / (2.0 * own)))
        places = bare + angle_offset(fit, bare) + score.variant.shift * np.cos(np.radians(bare / 2.0))
        small = np.degrees(0.1 * fit.instrument.wavelength / score.size_nm)
        width = float(np.hypot(self.residual.grid.peak_fwhm, small))
        sharp, broad = list[UnknownReflection](), list[UnknownReflection]()
        for p in [*self.unknown, *unknown_reflections(self.residual)]:
            if p.width > _WIDER * width:
                # a reflection at the foot of a broader one of something else does not make that its own
                if (np.abs(places - p.two_theta) > 0.5 * _REACH * width).all():
                    broad.append(p)
            elif not ((places > p.low) & (places < p.high)).any():
                sharp.append(p)
        beside = np.abs(fit.points.two_theta[:, None] - places).min(axis=1, initial=np.inf) > _REACH * width
        masked = replace(fit, points=fit.points.masking(_mask(fit, sharp) | (_mask(fit, [*sharp, *broad]) & beside)))
        # a round that leaves the fit as it was tries again what the round before refused
        trial = self.trials.get(score.phase.id)
        if trial is None or not trial.starts_from(masked, score, moved):
            trial = _Trial(fit=masked, score=score, moved=moved, rest=_refine_with(masked, score, moved))
            self.trials[score.phase.id] = trial
        return trial.refined()

    def leaves_small_crystals(self, phases: Sequence[Phase]) -> bool:
        """Tell whether broad reflections of a phase stand in the residual, about in its ratio."""
        fit = self.residual.fit
        fitted = {p.id for p in fit.phases}
        own = [candidate(p, fit) for p in phases if p.id not in fitted]
        if any(p.is_apatite for p in fit.phases) or not own:
            return False
        left = nuisance.score_phases(own, self.residual.projected(), sizes=_SMALL_SIZES_NM).values()
        clear = (s for s in left if s.z > self.threshold and not s.reflections_refute)
        return any(s.consistency < _FAR_OUT_OF_RATIO for s in clear)

    def report(self) -> Identification:
        """Findings on every phase that was asked after."""
        search, rule = self.residual, self.rule
        # decisions are made with all reflections, amounts come from free ones
        fit = self._weighed(search.fit)
        start = self._weighed(self.start) if self.named and self.start is not search.fit else fit
        asked = {p.id for p in start.phases} if self.named else {self.standard} - {""}
        known = tuple(candidate(p, fit) for p in (*fit.phases, *(s.phase for s in self.scores.values())))
        peaks, x = self._unexplained(known), search.grid.two_theta
        fitted = np.concatenate([np.zeros(0), *(item.d_spacing for item in known[: len(fit.phases)])])
        ends = float(x[0]), float(x[-1])
        metal = metal_among(peaks, fit.instrument.wavelength, ends, search.grid.peak_fwhm, fitted)
        foreign = unidentified_crystals(fit, search, peaks, known)
        shown = start if self.named else fit
        # phases were named, apatite not among them, and it was found: its members are compared where it is
        holds = self.start if self.named and any(p.is_apatite for p in self.start.phases) else search.fit
        members = report.member_comparisons(holds, [p for p in self._members() if p.is_apatite])
        left = peaks_of_nothing(search, self.unknown)
        room = room_beside(search.fit, search.grid, known) if foreign is not None else {}
        told = report.Findings(
            rule=rule, unidentified=foreign, members=members, refused=self.refused, overtopped=overtopped(left),
            room=room,
        )  # fmt: skip
        reports = []
        for p in fit.phases:
            own = start if self.named and p.id in asked else fit
            known_there = p.id == self.standard
            score, rivals = search.presence(p), self.rivals.get(p.id, ())
            reports.append(report.fitted_phase(own, score, told, alternatives=rivals, known=known_there))
        reports = withdraw_false_phases(
            reports, search, asked, number_searched(self.recipe), left, standard=self.standard,
            sharp=not _mostly_broad(search, self.unknown),
        )  # fmt: skip
        in_fit = {p.id for p in fit.phases}
        missing = {s.phase.id: s for s in self.missing if s.phase.id not in in_fit}
        apatite = next((p for p in fit.phases if p.is_apatite), None)
        reports += [report.absent_phase(fit, score, told) for score in missing.values()]
        for score in (s for name, s in self.scores.items() if name not in in_fit and name not in missing):
            if apatite is not None and score.phase.is_apatite:
                reports.append(report.other_member(apatite, score.phase, told))
            else:
                reports.append(report.absent_phase(fit, score, told))
        if shown.quality == "useless":
            # what the search added is reported from a fit of its own, which may describe the pattern
            asked_only = fit.quality == "describes"
            reports = [
                item if asked_only and item.id not in asked else report.without_numbers(item, shown.quality_reason)
                for item in reports
            ]
        return Identification(
            fit=shown.result(),
            phases=PhaseList(reports),
            unexplained=peaks,
            messages=report.search_messages(reports, peaks, searched=self.recipe.search, metal=metal),
            unidentified=foreign if shown.quality != "useless" else None,
            metal=metal if foreign is not None else None,
        )

    def _weighed(self, fit: Refinement) -> Refinement:
        return overlaps.weigh_beside(fit, [item.height for item in self.unknown])

    def _members(self) -> list[Phase]:
        """Phases of the fit and all that were searched for."""
        fitted = list(self.residual.fit.phases)
        return fitted + [s.phase for name, s in self.scores.items() if name not in {p.id for p in fitted}]

    def _unexplained(self, known: Sequence[Candidate]) -> tuple[UnexplainedPeak, ...]:
        """Peaks of no phase, at most 20, most significant first: strong ones that the fit leaves out, and others."""
        search, fit = self.residual, self.residual.fit
        weak = report.unexplained_peaks(search.projected(), known, self.recipe.false_alarm_rate)
        x, left = fit.points.two_theta, np.maximum(fit.points.intensity - fit.solution.calculated, 0.0)
        strong, taken = [], np.zeros(len(x), dtype=bool)
        for item in sorted(self.unknown, key=lambda peak: -peak.height):
            own = (x >= item.low) & (x <= item.high) & ~taken
            taken |= own
            area = float(left[own].sum()) * fit.points.step
            strong.append(explain_peak(fit, item.two_theta, z=item.z, height=item.height, known=known, area=area))
        new = [p for p in weak if all(abs(p.two_theta - q.two_theta) > search.grid.peak_fwhm for q in strong)]
        return tuple(sorted([*strong, *new], key=lambda peak: -peak.z)[:MOST_PEAKS])


def _best(able: Sequence[Score]) -> Score:
    """Best score; hydroxyapatite's for one of another member of its family that texture could make as high."""
    best = max(able, key=lambda s: s.z)
    usual = next((s for s in able if s.phase.id == _USUAL_APATITE), best)
    return usual if best.phase.is_apatite and usual.z > _RIVAL_SHARE * best.z else best


# ---- refinement with one more phase, and whether the phase is still itself afterwards


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """What `_refine_with` was given and the last fit that it found so far."""

    fit: Refinement
    score: Score
    moved: Mapping[str, float]
    rest: Iterator[Refinement]
    last: list[Refinement] = field(default_factory=list)

    def refined(self) -> Iterator[Refinement]:
        """Fits of `_refine_with` from the last one on, each made once."""
        yield from self.last
        for fit in self.rest:
            self.last[:] = [fit]
            yield fit

    def starts_from(self, fit: Refinement, score: Score, moved: Mapping[str, float]) -> bool:
        """Tell whether a trial with these would be this one: all that it starts from is equal, not about equal."""
        own, size = self.score, score.size_nm
        same = own.phase is score.phase and own.variant == score.variant and own.size_nm == size and self.moved == moved
        return same and _go_on_alike(self.fit, fit)


def _go_on_alike(fit: Refinement, other: Refinement) -> bool:
    """Tell whether two fits of one pattern are the same start for what is refined from them."""
    # a phase's frozen reflections are those of its fit: where it was refined anew they differ
    one, two = fit.model.reflections, other.model.reflections
    if len(one) != len(two) or any(a is not b for a, b in zip(one, two, strict=True)):
        return False
    told = [(f.setup, f.table.items, f.solution.values, f.shift_std, f.monochromator_gain) for f in (fit, other)]
    arrays = [(f.points.intensity, f.points.sigma, f.model.fixed) for f in (fit, other)]
    return told[0] == told[1] and all(map(np.array_equal, *arrays))


def _refine_with(fit: Refinement, score: Score, moved: Mapping[str, float]) -> Iterator[Refinement]:
    """Refine with one more phase, starting where its template was drawn.

    A phase that dominates the pattern then gets all parameters of a main phase, unless it is `implausible` already:
    with more freedom it goes further, which takes longest where the pattern is of something else. The last fit is at
    its minimum; those before it, in a fit that does not describe the pattern, are where a phase may be refused earlier.
    """
    phase, shift = score.phase, score.variant.shift
    values = dict(fit.solution.values) | dict(moved)
    free = {item.name for item in fit.table.free}
    if "sample_displacement_mm" in free or "zero_shift" not in free:
        mm = -np.radians(shift) * fit.instrument.radius_mm / 2.0
        values["sample_displacement_mm"] = values.get("sample_displacement_mm", 0.0) + mm
    else:
        values["zero_shift"] += shift
    shifted = fit.starting_from({name: value for name, value in values.items() if name in nuisance.SHIFTS})
    start = PhaseStart(strain=score.variant.strain, inverse_size=1.0 / score.size_nm)
    trial = shifted.add([phase], {phase.id: start}, passing_gof=_PASSING_TRIAL_GOF)
    if not trial.settled:
        if bragg_share(trial, phase) < _MAIN_SHARE or implausible(trial, phase):
            yield trial
        trial = trial.settle()
    if bragg_share(trial, phase) >= _MAIN_SHARE and not implausible(trial, phase):
        trial = trial.with_all_parameters(phase, passing_gof=_PASSING_TRIAL_GOF)
        if not trial.settled:
            yield trial
            trial = trial.settle()
    yield trial


def implausible(fit: Refinement, phase: Phase) -> str:
    """Reason for which a refined phase cannot be what it was taken for, or none.

    Its amount is not positive or without intensity; its crystallites are smaller than any but apatite's; or its cell
    left what the phase can have: its reflections ran to those of another.
    """
    amounts = fit.evidence.amounts
    positive = bool(amounts.amounts[amounts.names.index(phase.id)] > 0.0)
    if not positive or bragg_share(fit, phase) <= _MIN_INTENSITY_SHARE:
        return "nothing of its intensity is left when it is refined"
    inverse = max(fit.solution.value("inverse_size", phase.id, axis) for axis in "ac")
    if not phase.is_apatite and inverse * _SMALLEST_NM > 1.0:
        return f"its reflections would be those of crystals below {_SMALLEST_NM:g} nm, that is, of amorphous matter"
    refined = reflections.cell_volume(fit.cell(phase.id))
    nominal = reflections.cell_volume(np.array(phase.cell.parameters))
    change = float(np.cbrt(refined / nominal) - 1.0)
    if abs(change) >= _CELL_KEPT:
        return f"its spacings would have to be {100 * abs(change):.1f} % {'larger' if change > 0 else 'smaller'}"
    return other_cell(fit, phase)


def other_cell(fit: Refinement, phase: Phase, *, doubted: bool = False) -> str:
    """Reason to doubt a phase whose axes, each by itself, are not those that the compound can have; else none.

    An apatite with another cell is another apatite, and its members are compared with each other. Only where crystals
    have a few nanometres, or its reflections are `doubted` for themselves, is a cell beyond those of all members what
    the fit makes of reflections of something else.
    """
    inverse = min(fit.solution.value("inverse_size", phase.id, axis) for axis in "ac")
    if phase.is_apatite and inverse * _SMALL_NM < 1.0 and not doubted:
        return ""
    optics = 0.0 if fit.instrument.calibrated else report.OPTICS_CELL_STD
    ranges = _family_ranges(phase) if phase.is_apatite else phase.cell_tolerance
    for axis, (low, high) in ranges.items():
        found, nominal = fit.parameter("cell", phase.id, axis), float(getattr(phase.cell, axis))
        if found is None or found.std is None:
            continue
        change, error = found.value / nominal - 1.0, _SURE * float(np.hypot(found.std / nominal, optics))
        if not low - error <= change <= high + error:
            side = "longer" if change > 0 else "shorter"
            return (
                f"{axis} would have to be {found.value:.4f} Å, {100 * abs(change):.2f} % {side} than that of "
                f"{phase.name.lower() if phase.name.istitle() else phase.name}, which allows {100 * low:+.2f} to "
                f"{100 * high:+.2f} %"
            )
    return ""


def _family_ranges(phase: Phase) -> dict[str, tuple[float, float]]:
    """Ranges of a and c relative to an apatite's own, from the smallest to the largest of the library's members."""
    members = [member for member in library(()) if member.is_apatite]
    out = {}
    for axis in ("a", "c"):
        nominal = float(getattr(phase.cell, axis))
        ends = [float(getattr(member.cell, axis)) / nominal - 1.0 for member in members]
        out[axis] = min(ends) - _SUBSTITUTED, max(ends) + _SUBSTITUTED
    return out
