"""Which crystalline phases are there, and how little of each absent one would have been seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase
from xrdcomp.phases.library import load_phase, load_phases
from xrdcomp.physics import elements, reflections
from xrdcomp.recipe import FitRecipe, IdentificationRecipe, Recipe
from xrdcomp.refinement.refine import PhaseStart, Refinement
from xrdcomp.refinement.result import POOR_FIT_GOF, describes_pattern
from xrdcomp.results import FitResult, PhaseResult, parameter_name
from xrdcomp.search.detection import INDEPENDENT_CELLS, detection_rule, number_searched
from xrdcomp.search.family import better_variety
from xrdcomp.search.nuisance import (
    GRAIN_STD,
    SHIFTS,
    Nuisance,
    Score,
    Screen,
    coincidence,
    make_screen,
    matched_filter,
    misfit,
    score_phases,
    widened,
)
from xrdcomp.search.report import (
    MOST_PEAKS,
    UnexplainedPeak,
    absent_phase,
    explain_peak,
    fitted_phase,
    search_messages,
    undecided_apatite,
    unexplained_peaks,
)
from xrdcomp.search.templates import (
    COLD_VARIANTS,
    STRAINS,
    CandidateLines,
    library,
    phase_lines,
    searched_phases,
    template_fwhm,
)
from xrdcomp.units import FloatArray, two_theta_to_d

# ------------ Refinement with one more phase, and whether the phase is still itself afterwards.

_MAIN_SHARE = 0.3
_MIN_INTENSITY_SHARE = 5e-4
_CELL_KEPT = 0.008  # mean relative change of spacings by refinement; decoys begin there
_SMALLEST_NM = 6.0  # templates have 20 nm and more; what is refined to less than a third of it follows a halo


def refine_with(state: Refinement, score: Score, moved: Mapping[str, float]) -> Refinement:
    """Refine with one more phase; one that dominates the pattern then gets all parameters of a main phase."""
    phase = score.phase
    start = PhaseStart(strain=score.variant.strain, inverse_size=1.0 / score.size_nm)
    shifted = state.starting_from(_shifted(state, score.variant.shift, moved))
    trial = shifted.add([phase], {phase.id: start})
    if _bragg_share(trial, phase) < _MAIN_SHARE:
        return trial
    return trial.with_all_parameters(phase)


def _shifted(state: Refinement, shift: float, moved: Mapping[str, float]) -> dict[str, float]:
    """Displacement, or the zero where that is refined instead, by which a template was drawn."""
    start = dict(state.solution.values) | dict(moved)
    free = {item.name for item in state.table.free}
    if "sample_displacement_mm" in free or "zero_shift" not in free:
        mm = -np.radians(shift) * state.instrument.radius_mm / 2.0
        start["sample_displacement_mm"] = start.get("sample_displacement_mm", 0.0) + mm
    else:
        start["zero_shift"] += shift
    return {name: value for name, value in start.items() if name in SHIFTS}


def _bragg_share(state: Refinement, phase: Phase) -> float:
    """Share of the phase's curve in the sum of all phases' curves."""
    n = len(state.phases)
    areas = np.abs(state.solution.columns[:, :n] * state.solution.coefficients[:n]).sum(axis=0)
    return float(areas[[p.id for p in state.phases].index(phase.id)] / max(float(areas.sum()), 1e-300))


def carried_by_intensity(state: Refinement, phase: Phase) -> bool:
    """Whether a refined amount is positive and real intensity stands behind it."""
    amounts = state.evidence.amounts
    amount = float(amounts.amounts[amounts.names.index(phase.id)])
    return amount > 0.0 and _bragg_share(state, phase) > _MIN_INTENSITY_SHARE


def cell_kept(state: Refinement, phase: Phase) -> bool:
    """Whether refinement left cell and crystallites where the phase can be.

    Its lines otherwise ran to those of another, or spread to a halo. Apatites alone have crystals of a few nanometres.
    """
    inverse = max(state.solution.value("inverse_size", phase.id, axis) for axis in "ac")
    if not phase.is_apatite and inverse * _SMALLEST_NM > 1.0:
        return False
    refined = reflections.cell_volume(refined_cell(phase, state.solution.values))
    nominal = reflections.cell_volume(np.array(phase.cell.parameters))
    return bool(abs(np.cbrt(refined / nominal) - 1.0) < _CELL_KEPT)


def refined_cell(phase: Phase, values: Mapping[str, float]) -> FloatArray:
    """Cell (6,) of a phase with the parameters of a fit."""
    names, freedom = reflections.cell_freedom(phase.crystal_system)
    nominal = np.array(phase.cell.parameters)
    start = np.linalg.lstsq(freedom, nominal, rcond=None)[0]
    own = [
        values.get(parameter_name("cell", phase.id, name), value)
        for name, value in zip(names, start, strict=True)
    ]
    cell: FloatArray = nominal + freedom @ (np.array(own) - start)
    return cell


# ------------ Whether a phase that was fitted stands for itself, or for lines of something that the library
# does not have.

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
    if screen.state.describes_pattern:
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
    left, described = leftover_peaks(screen), screen.state.describes_pattern
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
            evidence = replace(report.evidence, reason=reason)
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
    chance = library_size * INDEPENDENT_CELLS * float(np.prod(met))
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
    simple = reflections.generate_reflections(
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
        for other in elements.residual_wavelengths(wavelength):
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


# ------------ Which crystalline phases are there, and how little of each absent one would have been seen.

PRESENCE_SIZES_NM = (60.0, 80.0, 25.0, 12.0)
"""Sizes with which phases of the fit are tested; the limit of one that is not there holds for the first."""

SMALL_SIZES_NM = (25.0, 12.0, 7.0)
"""Sizes of apatite that the search from nothing may take for halos."""

_FAR_OUT_OF_RATIO = 20.0  # χ² per line: small crystals, whose lines run together, stay below 10
_MAX_FOUND = 6
_USUAL_APATITE = "hydroxyapatite"
_SETTLED_GOF = 1.5  # a start from nothing that ends above is held against the start from the phases asked for
_RIVAL_SHARE = 0.85  # of the best z; texture and grains change ratios of lines by as much
_STANDS_OUT = 30.0  # standard deviations: seven thresholds


@dataclass(frozen=True, kw_only=True)
class Identification:
    """The fit with every accepted phase, and one PhaseResult for every phase asked after.

    Attributes
    ----------
    fit : FitResult
    phases : tuple of PhaseResult
    unexplained : tuple of peaks that no phase explains
    messages : tuple of Diagnostic
    """

    fit: FitResult
    phases: tuple[PhaseResult, ...]
    unexplained: tuple[UnexplainedPeak, ...]
    messages: tuple[Diagnostic, ...]


def start_phases(
    recipe: Recipe, standard: tuple[str, float] | None
) -> tuple[tuple[Phase, ...], tuple[str, float] | None]:
    """Phases to fit: those of the recipe, else what the search starts from; the internal standard, by its id, always.

    Parameters
    ----------
    recipe : Recipe
    standard : (phase, fraction of the spiked mass) or None
        A phase of the recipe or of the library, a CIF file or a phase folder.

    Returns
    -------
    tuple of Phase, (phase id, fraction) or None
    """
    default = (_USUAL_APATITE,) if recipe.identification.start == "hydroxyapatite" else ()
    phases = load_phases(recipe.phases or default)
    if standard is None or standard[0] in {phase.id for phase in phases}:
        return phases, standard
    spike = load_phase(standard[0])
    known = {phase.id for phase in phases}
    return (phases if spike.id in known else (*phases, spike)), (spike.id, standard[1])


def identify(
    pattern: Pattern,
    instrument: Instrument,
    recipe: IdentificationRecipe | None = None,
    *,
    fit: FitRecipe | None = None,
    blank: Pattern | None = None,
) -> Identification:
    """Search a pattern for every crystalline phase of the library, with none assumed.

    Parameters
    ----------
    pattern : Pattern
    instrument : Instrument
    recipe : IdentificationRecipe, optional
        Library, false-alarm rate, detection probability.
    fit : FitRecipe, optional
    blank : Pattern, optional
        Empty-holder scan.

    Returns
    -------
    Identification
    """
    return investigate(
        pattern, (), instrument, (fit or FitRecipe(), recipe or IdentificationRecipe()), blank=blank
    )


def investigate(
    pattern: Pattern,
    phases: Sequence[Phase],
    instrument: Instrument,
    recipes: tuple[FitRecipe, IdentificationRecipe],
    *,
    blank: Pattern | None = None,
    assumed: bool = False,
) -> Identification:
    """Fit the phases asked for, drop those that are not there, add the ones that are found.

    Where the search begins with nothing, because nothing was asked for or apatite fits badly, and ends badly while
    what is left over looks like small crystals of apatite, the search from apatite is made as well and the better fit
    taken: from nothing, small crystals beside sharp lines are not found. A variety of apatite that fits decisively
    better than the one the search began with is searched with anew.

    A phase is detected where z of its amount exceeds the threshold that keeps the chance of one or more false
    phases in the whole search at the stated rate, where the lines that should show do show, and where a
    refinement with it confirms the amount. Phases that were asked for are tested with templates of fixed size,
    since a free size lets a broad hump pass for crystals.

    Parameters
    ----------
    pattern : Pattern
    instrument : Instrument
    blank : Pattern or None
        Scan of the empty holder.
    phases : sequence of Phase
        Asked for; fitted first.
    recipes : (FitRecipe, IdentificationRecipe)
    assumed : bool
        Whether exactly the phases asked for are fitted; others that are found are then reported with the amount
        they have when refined too, and phases asked for stay in the fit even when they do not show.

    Returns
    -------
    Identification
    """
    free = recipes[1].search and not assumed
    base = _first_fit(pattern, phases, instrument, recipes[0], blank, free=free)
    found, screen = _investigated(base, recipes[1], assumed=assumed)
    other = better_variety(base, found.phases) if free else None
    if other is not None:
        base, (found, screen) = other, _investigated(other, recipes[1], assumed=False)
    if base.phases or not free or found.fit.gof <= _SETTLED_GOF:
        return found
    if not phases and not describes_pattern(found.fit.gof, found.fit.rwp):
        return found  # what is there is mostly unknown, and nobody asked for apatite
    start = phases or [p for p in searched_phases(recipes[1]) if p.id == _USUAL_APATITE]
    if not _small_crystals_left(screen, start, detection_rule(recipes[1]).threshold):
        return found
    again = investigate_fit(Refinement.run(pattern, start, instrument, recipes[0], blank=blank), recipes[1])
    return min(found, again, key=lambda result: result.fit.gof)


def investigate_fit(
    base: Refinement, recipe: IdentificationRecipe, *, assumed: bool = False
) -> Identification:
    """Go on from a finished fit of the phases asked for; see `investigate`.

    Parameters
    ----------
    base : Refinement
        Of `Refinement.run`.
    recipe : IdentificationRecipe
    assumed : bool
        Whether the phases were named by the user and stay.

    Returns
    -------
    Identification
    """
    return _investigated(base, recipe, assumed=assumed)[0]


def _investigated(
    base: Refinement, recipe: IdentificationRecipe, *, assumed: bool
) -> tuple[Identification, Screen]:
    """`investigate_fit`, and the screen of the fit that it ended with."""
    rule = detection_rule(recipe)
    threshold = rule.threshold
    screen, missing = _drop_absent(make_screen(base), threshold, keep=assumed)
    base = screen.state
    outcome = _Outcome(base, screen)
    if recipe.search:
        outcome = _search(outcome, recipe, threshold)
        if not assumed:
            outcome, doubtful = _reconsider(outcome, base.phases, recipe, threshold)
            missing += doubtful
    state, screen = outcome.state, outcome.screen
    nuisance = outcome.nuisance or screen.nuisance()
    asked = {p.id for p in base.phases} if assumed else set()
    reports = [
        fitted_phase(base if p.id in asked else state, p, rule, _present(screen, p)) for p in state.phases
    ]
    reports = question(reports, screen, asked, number_searched(recipe))
    reports = [
        replace(r, evidence=replace(r.evidence, alternatives=outcome.rivals[r.id]))
        if outcome.rivals.get(r.id)
        else r
        for r in reports
    ]
    in_fit = {p.id for p in state.phases}
    missing = [s for s in missing if s.phase.id not in in_fit]
    absent = {s.phase.id for s in missing}
    reports += [absent_phase(state, score, rule) for score in missing]
    family = next((p for p in state.phases if p.is_apatite), None)
    for phase_id, score in outcome.scores.items():
        if phase_id in in_fit or phase_id in absent:
            continue
        if family is not None and score.phase.is_apatite:
            reports.append(undecided_apatite(state, family, score.phase, rule))
        else:
            reports.append(absent_phase(state, score, rule))
    known = tuple(phase_lines(s.phase, state) for s in outcome.scores.values())
    peaks = unexplained_peaks(nuisance, known, recipe.false_alarm_rate)
    peaks = peaks_of_poor_fit(peaks, screen, known)
    fit = (base if assumed else state).result()
    found = search_messages(reports, peaks, searched=recipe.search)
    return Identification(fit=fit, phases=tuple(reports), unexplained=peaks, messages=found), screen


def _small_crystals_left(screen: Screen, phases: Sequence[Phase], threshold: float) -> bool:
    """Whether broad lines of a phase stand in the residual, about in its ratio."""
    fitted = {p.id for p in screen.state.phases}
    lines = [phase_lines(p, screen.state) for p in phases if p.id not in fitted]
    if any(p.is_apatite for p in screen.state.phases) or not lines:
        return False
    left = score_phases(lines, screen.nuisance(), sizes=SMALL_SIZES_NM).values()
    return any(s.z > threshold and not s.lines_refute and s.consistency < _FAR_OUT_OF_RATIO for s in left)


def _first_fit(
    pattern: Pattern,
    phases: Sequence[Phase],
    instrument: Instrument,
    recipe: FitRecipe,
    blank: Pattern | None,
    *,
    free: bool,
) -> Refinement:
    """Fit the phases to begin with; where apatite is far from describing the pattern, begin with nothing.

    A hopeless fit takes long, and what it does to displacement and widths hides the phases that are there. Apatite
    is then searched for like any other phase.

    Parameters
    ----------
    free : bool
        Whether the phases are only where the search begins.
    """
    doubtful = free and bool(phases) and all(phase.is_apatite for phase in phases)
    if not doubtful:
        return Refinement.run(pattern, phases, instrument, recipe, blank=blank)
    state = Refinement.run(pattern, phases, instrument, recipe, blank=blank, abandon_gof=1.5 * POOR_FIT_GOF)
    if state.phases and state.goodness > POOR_FIT_GOF:
        state = Refinement.run(pattern, (), instrument, recipe, blank=blank)
    return state


def _present(screen: Screen, phase: Phase) -> Score:
    """Score of a phase of the fit, its own terms left out, with templates of fixed size.

    A phase that is alone has set the displacement itself: where it does not stand out, it is given the freedom that it
    was found with.
    """
    if phase.id not in screen.presence:
        nuisance = screen.nuisance(without=phase.id)
        lines = [phase_lines(phase, screen.state)]
        found = score_phases(lines, nuisance, sizes=PRESENCE_SIZES_NM)[phase.id]
        if len(screen.state.phases) == 1 and found.z < _STANDS_OUT:
            variants = (*STRAINS, *COLD_VARIANTS)
            found = score_phases(lines, nuisance, variants=variants, sizes=PRESENCE_SIZES_NM)[phase.id]
        screen.presence[phase.id] = found
    return screen.presence[phase.id]


def _drop_absent(screen: Screen, threshold: float, *, keep: bool) -> tuple[Screen, list[Score]]:
    """Test each fitted phase against the fit without it, with templates of fixed size.

    The test is first made on the linearised fit; only where that leaves doubt is the fit repeated without the
    phase.
    """
    missing: list[Score] = []
    for phase in screen.state.phases:
        if _present(screen, phase).z > 3.0 * threshold:
            continue
        without = make_screen(screen.state.drop([phase.id]))
        nuisance = without.nuisance()
        lines = phase_lines(phase, without.state)
        score = score_phases([lines], nuisance, sizes=PRESENCE_SIZES_NM)[phase.id]
        if score.z > threshold:
            score = widened(score, _library_misfit(without.state, nuisance))
        if score.z < threshold or score.lines_seen < min(2, score.lines_expected):
            missing.append(score)
            if not keep:
                screen = without
    return screen, missing


def _library_misfit(state: Refinement, nuisance: Nuisance) -> float:
    """How far the scores of the whole library scatter: doubtful phases must stand out from what any phase gets."""
    lines = [phase_lines(p, state) for p in library(()) if not p.is_apatite and p.quantifiable]
    return misfit(score_phases(lines, nuisance).values())


@dataclass(frozen=True)
class _Outcome:
    """Where a search stands: the fit, its screen, and the last score of every candidate."""

    state: Refinement
    screen: Screen
    nuisance: Nuisance | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _search(start: _Outcome, recipe: IdentificationRecipe, threshold: float) -> _Outcome:
    """Accept the best-scoring phase, refine with it, score again, until none passes."""
    state, screen = start.state, start.screen
    phases = [p for p in searched_phases(recipe) if p.id not in {q.id for q in state.phases}]
    lines = [phase_lines(p, state) for p in phases]
    weak: dict[str, Score] = {}
    refused: set[str] = set()
    rivals: dict[str, tuple[str, ...]] = {}
    scored: Refinement | None = None
    while True:
        fitted = {p.id for p in state.phases}
        if scored is not state:  # a candidate that was refused changes nothing of what the others score
            scored, nuisance, cold = state, screen.nuisance(), not state.phases
            scores = score_phases(
                [c for c in lines if c.phase.id not in fitted],
                nuisance,
                variants=COLD_VARIANTS if cold else STRAINS,
            )
            scatter = 1.0 if cold else misfit(s for s in scores.values() if not s.phase.is_apatite)
            scores = {name: widened(score, scatter) for name, score in scores.items()}
        scores |= {name: score for name, score in weak.items() if name not in fitted}
        has_apatite = any(p.is_apatite for p in state.phases)
        able = [
            s
            for name, s in scores.items()
            if s.z > threshold
            and s.phase.quantifiable
            and s.lines_agree
            and name not in refused
            and not (has_apatite and s.phase.is_apatite)
        ]
        if not able or len(state.phases) >= _MAX_FOUND:
            scores = _discounted(scores, nuisance, threshold)
            end = _Outcome(state, screen, nuisance, scores, _still_rivals(rivals, scores, threshold))
            return _without_ghosts(end, start, threshold)
        best = _usual_variety(max(able, key=lambda s: s.z), able)
        chance = coincidence(phase_lines(best.phase, state), nuisance, best)
        if best.z / chance < threshold:
            refused.add(best.phase.id)
            continue
        trial = refine_with(state, best, nuisance.grid.moved)
        trial_screen = make_screen(trial)
        refined = widened(_present(trial_screen, best.phase), scatter)
        if refined.z < threshold:
            weak[best.phase.id] = replace(best, z=refined.z)
        elif carried_by_intensity(trial, best.phase) and cell_kept(trial, best.phase):
            state, screen = trial, trial_screen
            rivals[best.phase.id] = tuple(s.phase.id for s in able if s is not best and _rivals(s, best))
        else:
            refused.add(best.phase.id)


def _usual_variety(best: Score, able: Sequence[Score]) -> Score:
    """Take hydroxyapatite for another variety of apatite that scores no better than texture could make it."""
    usual = next((s for s in able if s.phase.id == _USUAL_APATITE), None)
    if not best.phase.is_apatite or usual is None:
        return best
    return usual if usual.z > _RIVAL_SHARE * best.z else best


def _rivals(score: Score, best: Score) -> bool:
    """Whether a score is so close to the best that intensities and positions do not decide between them."""
    return score.z > _RIVAL_SHARE * best.z


def _still_rivals(
    rivals: Mapping[str, tuple[str, ...]], scores: Mapping[str, Score], threshold: float
) -> dict[str, tuple[str, ...]]:
    """Keep those that have nothing left to explain: they fitted the same lines."""
    return {
        name: tuple(i for i in ids if i in scores and scores[i].z < threshold) for name, ids in rivals.items()
    }


def _discounted(scores: Mapping[str, Score], nuisance: Nuisance, threshold: float) -> dict[str, Score]:
    """Scores with the scatter of coincidences taken out of those that stand out."""
    out = dict(scores)
    for name, score in scores.items():
        if score.z > threshold:
            lines = phase_lines(score.phase, nuisance.grid.state)
            chance = coincidence(lines, nuisance, score)
            out[name] = replace(score, z=score.z / chance, std=score.std * chance)
    return out


def _reconsider(
    outcome: _Outcome, asked: Sequence[Phase], recipe: IdentificationRecipe, threshold: float
) -> tuple[_Outcome, list[Score]]:
    """Drop asked phases that do not stand beside what the search found, and search again without them."""
    missing: list[Score] = []
    for phase in asked:
        score = _present(outcome.screen, phase)
        if score.z < threshold or not carried_by_intensity(outcome.state, phase):
            missing.append(replace(score, z=min(score.z, threshold)))
            state = outcome.state.drop([phase.id])
            outcome = _search(_Outcome(state, make_screen(state)), recipe, threshold)
    return outcome, missing


def _without_ghosts(end: _Outcome, start: _Outcome, threshold: float) -> _Outcome:
    """Drop phases that the search accepted early and that phases accepted later explain better."""
    asked = {p.id for p in start.state.phases}
    for phase in end.state.phases:
        if phase.id in asked:
            continue
        score = _present(end.screen, phase)
        if score.z < threshold:
            state = end.state.drop([phase.id])
            scores = {**end.scores, phase.id: replace(score, z=min(score.z, threshold))}
            return _without_ghosts(
                _Outcome(state, make_screen(state), None, scores, end.rivals), start, threshold
            )
    return end
