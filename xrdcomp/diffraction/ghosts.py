"""Whether a phase that was fitted stands for itself, or for lines of something that the library does not have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.diffraction.candidates import CandidateLines
from xrdcomp.diffraction.confirm import refined_cell
from xrdcomp.diffraction.peaks import MOST_PEAKS, UnexplainedPeak, explain_peak
from xrdcomp.diffraction.scoring import STRAINS, Score
from xrdcomp.diffraction.screening import GRAIN_STD, Screen, foreign_wavelengths, matched_filter
from xrdcomp.diffraction.templates import template_fwhm
from xrdcomp.fit.summary import describes_pattern, pattern_misfit
from xrdcomp.physics import lattice
from xrdcomp.results import PhaseResult
from xrdcomp.types import FloatArray, Phase
from xrdcomp.units import two_theta_to_d

__all__ = ["Leftover", "leftover_peaks", "peaks_of_poor_fit", "question"]

MOST_CHANCE = 0.05
"""Expected number of phases of the library that meet unexplained peaks by chance, up to which one counts as found."""

_CLEAR = 6.0  # standard deviations of a peak in the residual
_COMPARABLE = 0.5  # of a line's height: a peak from which on it could have been taken for that line
_REACH = 1.5  # line widths within which a peak and a line are taken for one, both sides together
_APART = 2.0  # line widths between two peaks
_MOST = 80
_IMAGE = 0.05  # of a line's height: residual Kβ and tungsten stay below
_TOP_LINES = 8
_NOTHING = 0.02  # of the strongest line: lines below have no place in the pattern
_ESSENTIAL = 0.05  # of the strongest line: a peak of another compound with the same lattice
_SAME_LATTICE = 1e-3  # chance that so many peaks fall on a lattice, below which it is theirs
_FEWEST = 3
_OUT_OF_RATIO = 9.0  # χ² per line about the common amount
_MANY_LINES = 5  # of six, and
_CLOSE_RATIO = 1.0  # χ² per line, with which a phase stands beside whatever is unexplained
_SHORT = 20.0  # degrees, a scan that shows so little of a phase that one line may be all
_FAR_ABOVE = 40.0  # standard deviations of an amount with which its second line would be seen as well


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Peaks that a fit leaves over and that are no misfit of its own lines: angles (deg), significance, heights."""

    two_theta: FloatArray
    z: FloatArray
    height: FloatArray
    span: float
    fwhm: float

    def density(self, height: float) -> float:
        """Peaks per degree that could be taken for a line of a height."""
        return float((self.height > _COMPARABLE * height).sum()) / self.span


def leftover_peaks(screen: Screen) -> Leftover:
    """Peaks in the residual beyond six standard deviations of its noise, strongest first.

    The noise is that of counting, or what neighbouring points scatter by where that is more. Peaks below a quarter
    of the fitted line they stand on are misfit of that line, and those where a strong line shows again with residual
    Kβ or tungsten Lα are its images. Unlike `peaks.unexplained_peaks`, many of them do not
    hide each other.
    """
    grid = screen.grid
    x, fwhm = grid.two_theta, max(template_fwhm(grid.state, 100.0), 3.0 * grid.step)
    normal = screen.residual / screen.counting
    rough = normal[1:-1] - 0.5 * (normal[:-2] + normal[2:])
    noise = max(1.0, 1.4826 * float(np.median(np.abs(rough))) / np.sqrt(1.5))
    z, height = matched_filter(grid, normal, screen.counting)
    near = int(np.ceil(_APART * fwhm / grid.step))
    lines = _widest(np.abs(screen.bragg).sum(axis=1), near)
    z = np.where(height > GRAIN_STD * lines, z / noise, 0.0)
    found = _separate(x, np.where(z > _CLEAR, height, 0.0), _APART * fwhm, _MOST)
    images = _images(screen, fwhm)
    found = [i for i in found if not any(abs(x[i] - at) < fwhm and height[i] < most for at, most in images)]
    return Leftover(two_theta=x[found], z=z[found], height=height[found], span=float(x[-1] - x[0]), fwhm=fwhm)


def peaks_of_poor_fit(
    peaks: Sequence[UnexplainedPeak], screen: Screen, known: Sequence[CandidateLines]
) -> tuple[UnexplainedPeak, ...]:
    """Peaks to list beside those found: where a fit does not describe its pattern, many of them hide each other.

    Parameters
    ----------
    peaks : found by `peaks.unexplained_peaks`, whose noise is that of a residual with few peaks
    known : lines of the library, for the names of candidates

    Returns
    -------
    tuple of UnexplainedPeak
        At most 20, most significant first; `peaks` as they are where the fit describes the pattern.
    """
    if describes_pattern(*pattern_misfit(screen.state)):
        return tuple(peaks)
    left = leftover_peaks(screen)
    own = [_own_lines(screen, i, left.fwhm, 3e-3, _MOST)[0] for i in range(screen.bragg.shape[1])]
    places = np.concatenate([*own, np.array([-np.inf])])
    more = [
        explain_peak(screen.state, float(x), (float(z), float(height)), known)
        for x, z, height in zip(left.two_theta, left.z, left.height, strict=True)
        if np.abs(places - x).min()
        > left.fwhm  # texture makes a fitted phase's own lines several times higher
    ]
    new = [p for p in peaks if all(abs(p.two_theta - q.two_theta) > left.fwhm for q in more)]
    return tuple(sorted([*more, *new], key=lambda peak: -peak.z)[:MOST_PEAKS])


def question(
    reports: Sequence[PhaseResult], screen: Screen, known: Collection[str], library_size: int
) -> list[PhaseResult]:
    """Take back what was detected where lines of something else explain it as well.

    A fitted phase becomes inconclusive, and the reason is stated, where

    - the phase's lines are not in its ratio, and some are missing or the fit does not describe the pattern,
    - higher peaks are unexplained, the fit does not describe the pattern, and its lines are few or out of ratio,
    - one line of it is all that the scan can show: it is short, or others would be seen at this significance,
    - as many peaks of the heights of its lines are left unexplained that some phase of the library would meet as
      many of them by chance: Π (1 − exp(−ρ w)) over its lines that are seen, times the trials of the search, with ρ
      the density of peaks at least half as high and w the distance within which lines count as met,
    - strong peaks that it cannot explain all lie on its own lattice: another compound with the same lattice.

    Parameters
    ----------
    reports : PhaseResult of the fitted phases
    screen : Screen
        Of the fit that they are in, with their scores in ``presence``.
    known : ids of phases that the user named; they are not questioned
    library_size : int
        Phases that were searched for.
    """
    names = screen.state.model.phase_ids
    if all(report.id in known or report.decision != "detected" for report in reports):
        return list(reports)
    left, described = leftover_peaks(screen), describes_pattern(*pattern_misfit(screen.state))
    out = []
    for report in reports:
        reason = ""
        if report.decision == "detected" and report.id in names and report.id not in known:
            index, score = names.index(report.id), screen.presence[report.id]
            reason = _out_of_ratio(score, described) or _one_line(score, left.span)
            reason = reason or ("" if described else _beneath_others(screen, index, score, left))
            reason = reason or _by_chance(screen, index, score, left, library_size)
            reason = reason or _same_lattice(screen, index, score.phase, left)
        if reason:
            evidence = {**report.evidence, "reason": reason}
            out.append(replace(report, decision="inconclusive", evidence=evidence))
        else:
            out.append(report)
    return out


def _out_of_ratio(score: Score, described: bool) -> str:  # noqa: FBT001 -- one caller, two lines above
    """Say so where the lines of a phase disagree by more than texture does, and something else is wrong too."""
    complete = described and score.lines_seen == score.lines_expected
    if complete or score.consistency < _OUT_OF_RATIO:
        return ""
    return (
        f"{score.lines_seen} of {score.lines_expected} lines that should show do, and not in the ratio of this phase"
        + ("" if described else ", in a fit that does not describe the pattern")
    )


def _one_line(score: Score, span: float) -> str:
    """Say so where one line is all that the scan can show: in a short one, or of a phase far above its threshold."""
    if score.lines_expected > 1 or (score.z < _FAR_ABOVE and span > _SHORT):
        return ""
    return "the scan holds one line of it only, and one line does not tell which phase it belongs to"


def _beneath_others(screen: Screen, index: int, score: Score, left: Leftover) -> str:
    """Say so where higher peaks than a phase's strongest are unexplained and its own lines are no clear proof."""
    _, heights = _own_lines(screen, index, left.fwhm)
    clear = score.lines_seen >= _MANY_LINES and score.consistency < _CLOSE_RATIO
    if clear or not len(heights) or not len(left.height) or left.height.max() < heights[0]:
        return ""
    return (
        "peaks higher than its strongest line belong to nothing in the library, in a fit that does not describe the "
        "pattern, and its own lines are few or not quite in its ratio"
    )


def _by_chance(screen: Screen, index: int, score: Score, left: Leftover, library_size: int) -> str:
    """Say so where lines of a phase are no more than a search among so many peaks must find."""
    _, heights = _own_lines(screen, index, left.fwhm)
    seen = heights[: max(score.lines_seen, 1)]
    others = (
        len(seen) - 1
    ) / left.span  # each of its lines could have been met by the others that it is said to have
    met = [1.0 - np.exp(-(left.density(float(h)) + others) * _REACH * left.fwhm) for h in seen]
    chance = library_size * max(1, len(STRAINS) // 3) * float(np.prod(met))
    if not len(seen) or chance < MOST_CHANCE:
        return ""
    n = int((left.height > _COMPARABLE * float(seen[-1])).sum())
    if not n:
        lines = "one line" if len(seen) == 1 else f"{len(seen)} lines"
        return f"the scan of {left.span:.0f}° holds {lines} of it only: some phase would have as many there"
    lines = "one line is" if len(seen) == 1 else f"{len(seen)} lines are"
    peaks = "one peak as high belongs" if n == 1 else f"{n} peaks as high belong"
    return f"only {lines} seen, and {peaks} to nothing in the library: some phase would meet as many of them by chance"


def _same_lattice(screen: Screen, index: int, phase: Phase, left: Leftover) -> str:
    """Say so where peaks that a phase cannot explain lie where its lattice has lines without intensity."""
    from scipy import stats

    state = screen.state
    places, heights = _own_lines(screen, index, left.fwhm)
    if not len(heights):
        return ""
    strong = left.two_theta[left.height > _ESSENTIAL * heights[0]]
    if len(strong) < _FEWEST:
        return ""
    values, wavelength = state.solution.values, state.instrument.wavelength
    cell = refined_cell(phase, values)
    ends = np.array([screen.grid.two_theta[0], screen.grid.two_theta[-1]])
    d_max, d_min = two_theta_to_d(ends, wavelength)
    simple = lattice.generate_reflections(
        cell, [np.eye(3)], [np.zeros(3)], [np.zeros(3)], d_min=float(d_min), d_max=float(d_max)
    )
    bare = 2.0 * np.degrees(np.arcsin(wavelength / (2.0 * np.unique(simple.d_spacing.round(6)))))
    lever = -np.degrees(2.0 * values.get("sample_displacement_mm", 0.0) / state.instrument.radius_mm)
    bare = (
        bare + values.get("zero_shift", state.instrument.zero_shift) + lever * np.cos(np.radians(bare / 2.0))
    )
    half = 0.5 * left.fwhm
    free = bare[np.abs(bare[:, None] - places).min(axis=1) > left.fwhm]
    if not len(free):
        return ""
    on = int((np.abs(strong[:, None] - free).min(axis=1) < half).sum())
    covered = (np.abs(screen.grid.two_theta[:, None] - free).min(axis=1) < half).mean()
    if on < _FEWEST or stats.binom.sf(on - 1, len(strong), covered) > _SAME_LATTICE:
        return ""
    return (
        f"{on} of {len(strong)} strong peaks that it cannot explain lie on its own lattice: probably another compound "
        "with the same lattice"
    )


def _own_lines(
    screen: Screen, index: int, fwhm: float, least: float = _NOTHING, most: int = _TOP_LINES
) -> tuple[FloatArray, FloatArray]:
    """Angles and heights, as the matched filter sees them, of the strongest lines of a fitted phase."""
    grid = screen.grid
    curve = screen.bragg[:, index]
    _, height = matched_filter(grid, curve / screen.counting, screen.counting)
    height = np.where(height > least * float(height.max()), height, 0.0)
    found = _separate(grid.two_theta, height, _APART * fwhm, most)
    return grid.two_theta[found], height[found]


def _images(screen: Screen, fwhm: float) -> list[tuple[float, float]]:
    """Where residual Kβ and tungsten lines show the fitted lines again, and how high they may be there."""
    wavelength = screen.state.instrument.wavelength
    out = []
    for index in range(screen.bragg.shape[1]):
        places, heights = _own_lines(screen, index, fwhm, most=20)
        for other in foreign_wavelengths(wavelength):
            sine = np.sin(np.radians(places / 2.0)) * other / wavelength
            at = np.degrees(2.0 * np.arcsin(np.minimum(sine, 1.0)))
            out += list(zip(at.tolist(), (_IMAGE * heights).tolist(), strict=True))
    return out


def _separate(x: FloatArray, height: FloatArray, distance: float, most: int) -> list[int]:
    """Places of the highest values that are at least a distance apart."""
    taken, found = height <= 0.0, []
    for i in np.argsort(height)[::-1]:
        if taken[i]:
            continue
        taken |= np.abs(x - x[i]) < distance
        found.append(int(i))
        if len(found) == most:
            break
    return found


def _widest(values: FloatArray, near: int) -> FloatArray:
    """Largest value within so many bins on either side."""
    from scipy import ndimage

    out: FloatArray = ndimage.maximum_filter1d(values, 2 * near + 1)
    return out
