"""Search for crystalline phases: fit, add, confirm, drop; and how little of each absent one would be seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, Record, one_screen, presenter
from xrdcomp.phases.library import list_phases, load_phase, load_phases
from xrdcomp.physics import elements, reflections
from xrdcomp.recipe import FitRecipe, IdentificationRecipe, Recipe
from xrdcomp.refinement.model import MeasuredAmorphous
from xrdcomp.refinement.refine import PhaseStart, Refinement
from xrdcomp.refinement.result import POOR_FIT_GOF, describes_pattern
from xrdcomp.results import FitResult, PhaseList, PhaseResult
from xrdcomp.search import nuisance, report
from xrdcomp.search.detection import INDEPENDENT_CELLS, detection_rule, number_searched
from xrdcomp.search.nuisance import GRAIN_STD, Score, SearchResidual, matched_filter, separate_peaks
from xrdcomp.search.report import MOST_PEAKS, UnexplainedPeak, angle_offset, explain_peak
from xrdcomp.search.templates import COLD_VARIANTS, STRAINS, Candidate, bragg_share, candidate, library, searched_phases
from xrdcomp.units import FloatArray, two_theta_to_d

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

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
    fitted = range(search.bragg.shape[1])
    own = [_own_reflections(search, i, least=_WEAKEST_OF_TEXTURED, most=_MOST).two_theta for i in fitted]
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
    questioned = {item.id for item in reports if item.decision == "detected"} - set(known)
    left, out = residual_peaks(search) if questioned else None, []
    for item in reports:
        if left is not None and item.id in questioned:
            s = _Suspect(search, item.id, left)
            reason = s.out_of_ratio() or s.one_reflection() or s.beneath_others() or s.met_by_chance(library_size)
            if reason := reason or s.of_another_compound():
                item = replace(item, decision="inconclusive", evidence=replace(item.evidence, reason=reason))
        out.append(item)
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
        higher = len(heights) and len(others) and others.max() >= heights[0]
        reason = "peaks higher than its strongest reflection belong to nothing in the library, in a fit that does not "
        reason += "describe the pattern, and its own reflections are few or not quite in its ratio"
        return reason if higher else ""

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
            fit.cell(self.phase), [np.eye(3)], [np.zeros(3)], [np.zeros(3)], d_min=float(d_min), d_max=float(d_max)
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


# Search a pattern for crystalline phases: fit, add, confirm, drop; and how little of each absent one would be seen.

_SMALL_SIZES_NM = (25.0, 12.0, 7.0)  # of apatite that a search from nothing may take for amorphous scattering
_USUAL_APATITE = "hydroxyapatite"
_MAX_FOUND = 6
_MAIN_SHARE = 0.3  # of the Bragg intensity, from which on a phase gets all parameters
_MIN_INTENSITY_SHARE = 5e-4
_CELL_KEPT = 0.008  # mean relative change of spacings by refinement; impossible cells begin there
_SMALLEST_NM = 6.0  # templates have 20 nm and more; below a third of that, amorphous scattering is followed
_FAR_OUT_OF_RATIO = 20.0  # χ² per reflection: small crystals, whose reflections run together, stay below 10
_SETTLED_GOF = 1.5  # a start from nothing that ends above is held against the start from the phases asked for
_RIVAL_SHARE = 0.85  # of the best z; texture and grains change ratios of reflections by as much


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Identification(Record):
    """The fit with every accepted phase, one PhaseResult for every phase asked after, and what no phase explains.

    `phases` is a `PhaseList`, so that ``found.phases["calcite"]`` works; `unexplained` are peaks of no phase.
    """

    fit: FitResult
    phases: PhaseList
    unexplained: tuple[UnexplainedPeak, ...]
    messages: tuple[Diagnostic, ...]

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


def fit_and_search(
    pattern: Pattern,
    phases: Sequence[Phase],
    instrument: Instrument,
    fit: FitRecipe,
    recipe: IdentificationRecipe,
    *,
    blank: Pattern | None = None,
    measured: Sequence[MeasuredAmorphous] = (),
    named: bool = False,
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
    show. `blank` is a scan of the empty holder, `measured` are amorphous components as measured.
    """
    refine = partial(Refinement.run, pattern, instrument=instrument, recipe=fit, blank=blank, measured=measured)
    free = recipe.search and not named  # the phases are only where the search begins
    if free and phases and all(phase.is_apatite for phase in phases):
        # a hopeless fit takes long, and what it does to displacement and widths hides the phases that are there:
        # apatite is then searched for like any other phase
        start = refine(phases, abandon_gof=1.5 * POOR_FIT_GOF)
        if start.phases and start.goodness > POOR_FIT_GOF:
            start = refine(())
    else:
        start = refine(phases)
    search = _Search(start, recipe, named=named)
    found = search.report()
    better = better_member(start, found.phases) if free else None
    if better is not None:
        start, search = better, _Search(better, recipe)
        found = search.report()
    if start.phases or not free or found.fit.gof <= _SETTLED_GOF:
        return found
    if not phases and not describes_pattern(found.fit.gof, found.fit.rwp):
        return found  # what is there is mostly unknown, and nobody asked for apatite
    apatite = phases or [p for p in searched_phases(recipe) if p.id == _USUAL_APATITE]
    if not search.leaves_small_crystals(apatite):
        return found
    again = search_from(refine(apatite), recipe)
    return min(found, again, key=lambda result: result.fit.gof)


def search_from(start: Refinement, recipe: IdentificationRecipe, *, named: bool = False) -> Identification:
    """Go on from a finished fit of the phases asked for; `named` as in `fit_and_search`."""
    return _Search(start, recipe, named=named).report()


def better_member(start: Refinement, reports: Sequence[PhaseResult]) -> Refinement | None:
    """Exchange the apatite that a search began with for the member of the family that the search found to fit better.

    `reports` are what the search ended with; None where there is nothing to exchange.
    """
    fitted = next((phase for phase in start.phases if phase.is_apatite and phase.id in list_phases()), None)
    better = [r.id for r in reports if r.evidence.member and r.evidence.member.fits_better and r.id in list_phases()]
    if fitted is None or not better:
        return None
    trials = [start.substitute(fitted, load_phase(name)) for name in better]
    return min(trials, key=lambda trial: trial.cost).settle()


class _Search:
    """A search from a finished fit: the fit it has reached with its residual, scores of all others, and what is lost.

    `missing` are scores of phases asked for that do not show, `scores` the last ones of every candidate, `rivals` the
    phases that scored like one that was accepted, by its id.
    """

    def __init__(self, start: Refinement, recipe: IdentificationRecipe, *, named: bool = False) -> None:
        self.recipe, self.named, self.rule = recipe, named, detection_rule(recipe)
        self.threshold = self.rule.threshold
        self.missing: list[Score] = []
        self.scores: dict[str, Score] = {}
        self.rivals: dict[str, tuple[str, ...]] = {}
        self.residual = nuisance.search_residual(start)
        self._drop_absent()
        self.start = self.residual.fit
        if not recipe.search:
            return
        self._find()
        if named:
            return
        # phases asked for that do not stand beside what was found are dropped, and the search is made without them
        for phase in self.start.phases:
            score = self.residual.presence(phase)
            if score.z < self.threshold or not _has_intensity(self.residual.fit, phase):
                self.missing.append(replace(score, z=min(score.z, self.threshold)))
                self._drop(phase)
                self._find()

    def _drop(self, phase: Phase) -> None:
        self.residual = nuisance.search_residual(self.residual.fit.drop([phase.id]))

    def _drop_absent(self) -> None:
        """Test each fitted phase against the fit without it, with templates of fixed size; named ones are kept.

        The test is first made on the linearised fit; only where that leaves doubt is the fit repeated without the
        phase.
        """
        for phase in self.residual.fit.phases:
            if self.residual.presence(phase).z > 3.0 * self.threshold:
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
        """Accept the best-scoring phase, refine with it, score again, until none passes."""
        asked = {p.id for p in self.residual.fit.phases}
        tried = [candidate(p, self.residual.fit) for p in searched_phases(self.recipe) if p.id not in asked]
        weak: dict[str, Score] = {}
        refused: set[str] = set()
        rivals: dict[str, tuple[str, ...]] = {}
        scored: SearchResidual | None = None
        while True:
            fit, fitted = self.residual.fit, {p.id for p in self.residual.fit.phases}
            if scored is not self.residual:  # a refused candidate changes nothing of what the others score
                scored, left = self.residual, self.residual.projected()
                variants = STRAINS if fitted else COLD_VARIANTS
                rest = [item for item in tried if item.phase.id not in fitted]
                scores = nuisance.score_phases(rest, left, variants=variants)
                absent = (s for s in scores.values() if not s.phase.is_apatite)
                scatter = nuisance.library_scatter(absent) if fitted else 1.0
                scores = {name: nuisance.widened(score, scatter) for name, score in scores.items()}
            scores |= {name: score for name, score in weak.items() if name not in fitted}
            has_apatite = any(p.is_apatite for p in fit.phases)
            able = [
                s
                for name, s in scores.items()
                if s.z > self.threshold
                and s.phase.quantifiable
                and s.reflections_agree
                and name not in refused
                and not (has_apatite and s.phase.is_apatite)
            ]
            if not able or len(fitted) >= _MAX_FOUND:
                break
            best = _best(able)
            name = best.phase.id
            if best.z / nuisance.chance_scatter(candidate(best.phase, fit), left, best) < self.threshold:
                refused.add(name)
                continue
            trial = nuisance.search_residual(_refine_with(fit, best, left.grid.moved))
            refined = nuisance.widened(trial.presence(best.phase), scatter)
            if refined.z < self.threshold:
                weak[name] = replace(best, z=refined.z)
            elif _has_intensity(trial.fit, best.phase) and _keeps_cell(trial.fit, best.phase):
                self.residual = trial
                # intensities and positions do not decide between these
                near = (s for s in able if s is not best and s.z > _RIVAL_SHARE * best.z)
                rivals[name] = tuple(s.phase.id for s in near)
            else:
                refused.add(name)
        for name, score in scores.items():
            if score.z > self.threshold:
                chance = nuisance.chance_scatter(candidate(score.phase, fit), left, score)
                scores[name] = replace(score, z=score.z / chance, std=score.std * chance)
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
        search, fit, start, rule = self.residual, self.residual.fit, self.start, self.rule
        asked = {p.id for p in start.phases} if self.named else set()
        reports = [
            report.fitted_phase(start if p.id in asked else fit, p, rule, search.presence(p), self.rivals.get(p.id, ()))
            for p in fit.phases
        ]
        reports = withdraw_false_phases(reports, search, asked, number_searched(self.recipe))
        in_fit = {p.id for p in fit.phases}
        missing = {s.phase.id: s for s in self.missing if s.phase.id not in in_fit}
        apatite = next((p for p in fit.phases if p.is_apatite), None)
        reports += [report.absent_phase(fit, score, rule) for score in missing.values()]
        for score in (s for name, s in self.scores.items() if name not in in_fit and name not in missing):
            if apatite is not None and score.phase.is_apatite:
                reports.append(report.other_member(fit, apatite, score.phase, rule))
            else:
                reports.append(report.absent_phase(fit, score, rule))
        known = tuple(candidate(s.phase, fit) for s in self.scores.values())
        peaks = report.unexplained_peaks(search.projected(), known, self.recipe.false_alarm_rate)
        peaks = peaks_of_poor_fit(peaks, search, known)
        return Identification(
            fit=(start if self.named else fit).result(),
            phases=PhaseList(reports),
            unexplained=peaks,
            messages=report.search_messages(reports, peaks, searched=self.recipe.search),
        )


def _best(able: Sequence[Score]) -> Score:
    """Best score; hydroxyapatite's for one of another member of its family that texture could make as high."""
    best = max(able, key=lambda s: s.z)
    usual = next((s for s in able if s.phase.id == _USUAL_APATITE), best)
    return usual if best.phase.is_apatite and usual.z > _RIVAL_SHARE * best.z else best


# ---- refinement with one more phase, and whether the phase is still itself afterwards


def _refine_with(fit: Refinement, score: Score, moved: Mapping[str, float]) -> Refinement:
    """Refine with one more phase, starting where its template was drawn.

    A phase that dominates the pattern then gets all parameters of a main phase.
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
    trial = shifted.add([phase], {phase.id: start})
    return trial.with_all_parameters(phase) if bragg_share(trial, phase) >= _MAIN_SHARE else trial


def _has_intensity(fit: Refinement, phase: Phase) -> bool:
    """Tell whether a refined amount is positive and real intensity stands behind it."""
    amounts = fit.evidence.amounts
    positive = bool(amounts.amounts[amounts.names.index(phase.id)] > 0.0)
    return positive and bragg_share(fit, phase) > _MIN_INTENSITY_SHARE


def _keeps_cell(fit: Refinement, phase: Phase) -> bool:
    """Tell whether refinement left cell and crystallites where the phase can be.

    Its reflections otherwise ran to those of another, or spread to amorphous scattering. Apatites alone have crystals
    of a few nanometres.
    """
    inverse = max(fit.solution.value("inverse_size", phase.id, axis) for axis in "ac")
    if not phase.is_apatite and inverse * _SMALLEST_NM > 1.0:
        return False
    refined = reflections.cell_volume(fit.cell(phase.id))
    nominal = reflections.cell_volume(np.array(phase.cell.parameters))
    return bool(abs(np.cbrt(refined / nominal) - 1.0) < _CELL_KEPT)
