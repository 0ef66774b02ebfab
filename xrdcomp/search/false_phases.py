"""Fitted phases that may stand for reflections of something that the library does not have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.physics import elements, reflections
from xrdcomp.results import PhaseResult
from xrdcomp.search.detection import INDEPENDENT_CELLS
from xrdcomp.search.nuisance import GRAIN_STD, SearchResidual, matched_filter, separate_peaks
from xrdcomp.search.report import MOST_PEAKS, UnexplainedPeak, angle_offset, explain_peak
from xrdcomp.search.templates import Candidate
from xrdcomp.units import FloatArray, two_theta_to_d

# Expected number of phases of the library that meet unexplained peaks by chance, up to which one counts as found.
_MOST_CHANCE = 0.05
_CLEAR = 6.0  # standard deviations of a peak in the residual
_COMPARABLE = 0.5  # of a reflection's height, from which on a peak could have been taken for that reflection
_REACH = 1.5  # widths within which a peak and a reflection are taken for one, both sides together
_APART = 2.0  # widths between two peaks
_MOST = 80
_IMAGE = 0.05  # of a reflection's height: residual Kβ and tungsten stay below
_TOP_REFLECTIONS = 8
_WEAKEST = 0.02  # of the strongest reflection: those below have no place in the pattern
_WEAKEST_OF_TEXTURED = 3e-3  # texture makes a fitted phase's own reflections several times higher
_ESSENTIAL = 0.05  # of the strongest reflection: a peak of another compound with the same lattice
_SAME_LATTICE = 1e-3  # chance that so many peaks fall on a lattice, below which it is theirs
_FEWEST = 3
_OUT_OF_RATIO = 9.0  # χ² per reflection about the common amount
_MANY = 5  # reflections of six, and
_CLOSE_RATIO = 1.0  # χ² per reflection, with which a phase stands beside whatever is unexplained
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
    from scipy import ndimage

    grid = search.grid
    x, fwhm = grid.two_theta, grid.peak_fwhm
    normal = search.residual / search.counting
    # a point less the mean of its neighbours has no peaks in it; its variance is one and a half times a point's
    rough = normal[1:-1] - 0.5 * (normal[:-2] + normal[2:])
    noise = max(1.0, 1.4826 * float(np.median(np.abs(rough))) / np.sqrt(1.5))
    z, height = matched_filter(grid, normal, search.counting)
    near = 2 * int(np.ceil(_APART * fwhm / grid.step)) + 1
    fitted = ndimage.maximum_filter1d(np.abs(search.bragg).sum(axis=1), near)
    z = np.where(height > GRAIN_STD * fitted, z / noise, 0.0)
    found = separate_peaks(x, np.where(z > _CLEAR, height, 0.0), distance=_APART * fwhm, most=_MOST)
    # residual Kβ and tungsten lines show fitted reflections again, no higher than a share of them
    wavelength = search.fit.instrument.wavelength
    for index in range(search.bragg.shape[1]):
        own = _own_reflections(search, index, most=20)
        for other in elements.residual_wavelengths(wavelength):
            sine = np.sin(np.radians(own.two_theta / 2.0)) * other / wavelength
            image = np.degrees(2.0 * np.arcsin(np.minimum(sine, 1.0)))
            found = [
                i
                for i in found
                if not ((np.abs(x[i] - image) < fwhm) & (height[i] < _IMAGE * own.height)).any()
            ]
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


def peaks_of_poor_fit(
    peaks: Sequence[UnexplainedPeak], search: SearchResidual, known: Sequence[Candidate]
) -> tuple[UnexplainedPeak, ...]:
    """Add peaks that hide each other in a fit that does not describe its pattern: at most 20, most significant first.

    `peaks` are those of `report.unexplained_peaks`, whose noise is that of a residual with few peaks; they are returned
    as they are where the fit describes the pattern. `known` are the phases named beside a peak.
    """
    if search.fit.describes_pattern:
        return tuple(peaks)
    left, fwhm = residual_peaks(search), search.grid.peak_fwhm
    own = [
        _own_reflections(search, i, least=_WEAKEST_OF_TEXTURED, most=_MOST).two_theta
        for i in range(search.bragg.shape[1])
    ]
    places = np.concatenate([*own, np.array([-np.inf])])
    more = [
        explain_peak(search.fit, float(x), z=float(z), height=float(height), known=known)
        for x, z, height in zip(left.two_theta, left.z, left.height, strict=True)
        if np.abs(places - x).min() > fwhm
    ]
    new = [p for p in peaks if all(abs(p.two_theta - q.two_theta) > fwhm for q in more)]
    return tuple(sorted([*more, *new], key=lambda peak: -peak.z)[:MOST_PEAKS])


def withdraw_false_phases(
    reports: Sequence[PhaseResult], search: SearchResidual, known: Collection[str], library_size: int
) -> list[PhaseResult]:
    """Take back what was detected where reflections of something else explain it as well.

    Such a phase becomes inconclusive, and the reason is stated. `search` is that of the fit that the phases are in,
    `known` the ids of phases that the user named, which are not questioned, `library_size` the number of phases that
    were searched for.
    """
    questioned = {report.id for report in reports if report.decision == "detected"} - set(known)
    if not questioned:
        return list(reports)
    left, out = residual_peaks(search), []
    for report in reports:
        if report.id in questioned:
            suspect = _Suspect(search, report.id, left)
            reason = (
                suspect.out_of_ratio()
                or suspect.one_reflection()
                or suspect.beneath_others()
                or suspect.met_by_chance(library_size)
                or suspect.of_another_compound()
            )
            if reason:
                evidence = replace(report.evidence, reason=reason)
                report = replace(report, decision="inconclusive", evidence=evidence)
        out.append(report)
    return out


class _Suspect:
    """A detected phase and the peaks that its fit leaves over; each method gives a reason to doubt it, or none."""

    def __init__(self, search: SearchResidual, phase: str, left: Peaks) -> None:
        index, x = search.fit.model.phase_ids.index(phase), search.grid.two_theta
        self.search, self.phase, self.left = search, phase, left
        self.score = search.presence(search.fit.phases[index])
        self.reflections = _own_reflections(search, index)
        self.span = float(x[-1] - x[0])

    def out_of_ratio(self) -> str:
        """Doubt reflections that disagree by more than texture makes, where something else is wrong too."""
        score, described = self.score, self.search.fit.describes_pattern
        complete = described and score.reflections_seen == score.reflections_expected
        if complete or score.consistency < _OUT_OF_RATIO:
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

    def beneath_others(self) -> str:
        """Doubt what higher unexplained peaks stand beside, unless its own reflections are clear proof."""
        heights, others = self.reflections.height, self.left.height
        clear = self.score.reflections_seen >= _MANY and self.score.consistency < _CLOSE_RATIO
        if self.search.fit.describes_pattern or clear:
            return ""
        if not len(heights) or not len(others) or others.max() < heights[0]:
            return ""
        return (
            "peaks higher than its strongest reflection belong to nothing in the library, in a fit that does not "
            "describe the pattern, and its own reflections are few or not quite in its ratio"
        )

    def met_by_chance(self, library_size: int) -> str:
        """Doubt reflections that are no more than a search among so many peaks must find.

        As many peaks of the heights of its reflections are left unexplained that some phase of the library would meet
        as many of them by chance: Π (1 − exp(−ρ w)) over its reflections that are seen, times the trials of the search,
        with ρ the density of peaks at least half as high and w the distance within which reflections count as met.
        """
        span, fwhm = self.span, self.search.grid.peak_fwhm
        seen = self.reflections.height[: max(self.score.reflections_seen, 1)]
        # each of its reflections could have been met by the others that it is said to have
        density = [float((self.left.height > _COMPARABLE * h).sum() + len(seen) - 1) / span for h in seen]
        met = [1.0 - np.exp(-d * _REACH * fwhm) for d in density]
        chance = library_size * INDEPENDENT_CELLS * float(np.prod(met))
        if not len(seen) or chance < _MOST_CHANCE:
            return ""
        n = int((self.left.height > _COMPARABLE * float(seen[-1])).sum())
        if not n:
            lines = "one reflection" if len(seen) == 1 else f"{len(seen)} reflections"
            return f"the scan of {span:.0f}° holds {lines} of it only: some phase would have as many there"
        lines = "one reflection is" if len(seen) == 1 else f"{len(seen)} reflections are"
        peaks = "one peak as high belongs" if n == 1 else f"{n} peaks as high belong"
        others = f"{peaks} to nothing in the library"
        return f"only {lines} seen, and {others}: some phase would meet as many of them by chance"

    def of_another_compound(self) -> str:
        """Doubt a phase where peaks that it cannot explain lie where its lattice has reflections without intensity."""
        from scipy import stats

        fit, grid, own = self.search.fit, self.search.grid, self.reflections
        if not len(own.height):
            return ""
        strong = self.left.two_theta[self.left.height > _ESSENTIAL * own.height[0]]
        if len(strong) < _FEWEST:
            return ""
        wavelength, fwhm = fit.instrument.wavelength, grid.peak_fwhm
        d_max, d_min = two_theta_to_d(grid.two_theta[[0, -1]], wavelength)
        lattice = reflections.generate_reflections(
            fit.cell(self.phase),
            [np.eye(3)],
            [np.zeros(3)],
            [np.zeros(3)],
            d_min=float(d_min),
            d_max=float(d_max),
        )
        bare = 2.0 * np.degrees(np.arcsin(wavelength / (2.0 * np.unique(lattice.d_spacing.round(6)))))
        places = bare + angle_offset(fit, bare)
        free = places[np.abs(places[:, None] - own.two_theta).min(axis=1) > fwhm]
        if not len(free):
            return ""
        on = int((np.abs(strong[:, None] - free).min(axis=1) < 0.5 * fwhm).sum())
        covered = (np.abs(grid.two_theta[:, None] - free).min(axis=1) < 0.5 * fwhm).mean()
        if on < _FEWEST or stats.binom.sf(on - 1, len(strong), covered) > _SAME_LATTICE:
            return ""
        return (
            f"{on} of {len(strong)} strong peaks that it cannot explain lie on its own lattice: probably another "
            "compound with the same lattice"
        )
