"""Search a pattern for crystalline phases: fit, add, confirm, drop; and how little of each absent one would be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, Record, one_screen, presenter
from xrdcomp.phases.library import list_phases, load_phase, load_phases
from xrdcomp.physics import reflections
from xrdcomp.recipe import FitRecipe, IdentificationRecipe, Recipe
from xrdcomp.refinement.model import MeasuredAmorphous
from xrdcomp.refinement.refine import PhaseStart, Refinement
from xrdcomp.refinement.result import POOR_FIT_GOF, describes_pattern
from xrdcomp.results import FitResult, PhaseList, PhaseResult
from xrdcomp.search.detection import detection_rule, number_searched
from xrdcomp.search.false_phases import peaks_of_poor_fit, withdraw_false_phases
from xrdcomp.search.nuisance import (
    PRESENCE_SIZES_NM,
    SHIFTS,
    ProjectedResidual,
    Score,
    SearchResidual,
    chance_scatter,
    library_scatter,
    score_phases,
    search_residual,
    widened,
)
from xrdcomp.search.report import (
    UnexplainedPeak,
    absent_phase,
    fitted_phase,
    other_member,
    search_messages,
    unexplained_peaks,
)
from xrdcomp.search.templates import (
    COLD_VARIANTS,
    STRAINS,
    bragg_share,
    candidate,
    library,
    searched_phases,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SMALL_SIZES_NM = (25.0, 12.0, 7.0)
"""Sizes of apatite that the search from nothing may take for amorphous scattering."""

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
    return fit_and_search(
        pattern, (), instrument, fit or FitRecipe(), recipe or IdentificationRecipe(), blank=blank
    )


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
    free = recipe.search and not named
    refine = partial(
        Refinement.run, pattern, instrument=instrument, recipe=fit, blank=blank, measured=measured
    )
    start = _first_fit(refine, phases, free=free)
    found, search = _search_and_report(start, recipe, named=named)
    better = better_member(start, found.phases) if free else None
    if better is not None:
        start, (found, search) = better, _search_and_report(better, recipe, named=False)
    if start.phases or not free or found.fit.gof <= _SETTLED_GOF:
        return found
    if not phases and not describes_pattern(found.fit.gof, found.fit.rwp):
        return found  # what is there is mostly unknown, and nobody asked for apatite
    apatite = phases or [p for p in searched_phases(recipe) if p.id == _USUAL_APATITE]
    if not _leaves_small_crystals(search, apatite, detection_rule(recipe).threshold):
        return found
    again = search_from(refine(apatite), recipe)
    return min(found, again, key=lambda result: result.fit.gof)


def search_from(start: Refinement, recipe: IdentificationRecipe, *, named: bool = False) -> Identification:
    """Go on from a finished fit of the phases asked for; `named` as in `fit_and_search`."""
    return _search_and_report(start, recipe, named=named)[0]


def _first_fit(refine: Callable[..., Refinement], phases: Sequence[Phase], *, free: bool) -> Refinement:
    """Fit the phases to begin with; where apatite is far from describing the pattern, begin with nothing.

    A hopeless fit takes long, and what it does to displacement and widths hides the phases that are there. Apatite
    is then searched for like any other phase. `free` says that the phases are only where the search begins.
    """
    doubtful = free and bool(phases) and all(phase.is_apatite for phase in phases)
    if not doubtful:
        return refine(phases)
    fit = refine(phases, abandon_gof=1.5 * POOR_FIT_GOF)
    return refine(()) if fit.phases and fit.goodness > POOR_FIT_GOF else fit


def better_member(start: Refinement, reports: Sequence[PhaseResult]) -> Refinement | None:
    """Exchange the apatite that a search began with for the member of the family that the search found to fit better.

    `reports` are what the search ended with; None where there is nothing to exchange.
    """
    library_ids = list_phases()
    fitted = next((phase for phase in start.phases if phase.is_apatite and phase.id in library_ids), None)
    better = [r.id for r in reports if r.evidence.member and r.evidence.member.fits_better]
    better = [name for name in better if name in library_ids]
    if fitted is None or not better:
        return None
    trials = [start.substitute(fitted, load_phase(name)) for name in better]
    return min(trials, key=lambda trial: trial.cost).settle()


def _leaves_small_crystals(search: SearchResidual, phases: Sequence[Phase], threshold: float) -> bool:
    """Tell whether broad reflections of a phase stand in the residual, about in its ratio."""
    fitted = {p.id for p in search.fit.phases}
    own = [candidate(p, search.fit) for p in phases if p.id not in fitted]
    if any(p.is_apatite for p in search.fit.phases) or not own:
        return False
    left = score_phases(own, search.projected(), sizes=SMALL_SIZES_NM).values()
    return any(
        s.z > threshold and not s.reflections_refute and s.consistency < _FAR_OUT_OF_RATIO for s in left
    )


# ---- the search itself


@dataclass(frozen=True, kw_only=True)
class _SearchState:
    """Stage that a search has reached: the fit, the last score of every candidate, and phases that scored alike."""

    search: SearchResidual
    projected: ProjectedResidual | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _search_and_report(
    start: Refinement, recipe: IdentificationRecipe, *, named: bool
) -> tuple[Identification, SearchResidual]:
    """Search from a finished fit; return what was found and the residual of the fit that the search ended with."""
    rule = detection_rule(recipe)
    search, missing = _drop_absent(search_residual(start), rule.threshold, keep=named)
    start = search.fit
    found = _SearchState(search=search)
    if recipe.search:
        found = _search(search, recipe, rule.threshold)
        if not named:
            found, doubtful = _reconsider(found, start.phases, recipe, rule.threshold)
            missing += doubtful
    search = found.search
    fit = search.fit
    asked = {p.id for p in start.phases} if named else set()
    reports = [fitted_phase(start if p.id in asked else fit, p, rule, search.presence(p)) for p in fit.phases]
    reports = withdraw_false_phases(reports, search, asked, number_searched(recipe))
    reports = [
        replace(r, evidence=replace(r.evidence, alternatives=found.rivals.get(r.id, ()))) for r in reports
    ]
    in_fit = {p.id for p in fit.phases}
    missing = [s for s in missing if s.phase.id not in in_fit]
    reports += [absent_phase(fit, score, rule) for score in missing]
    reported = in_fit | {s.phase.id for s in missing}
    apatite = next((p for p in fit.phases if p.is_apatite), None)
    for phase_id, score in found.scores.items():
        if phase_id in reported:
            continue
        if apatite is not None and score.phase.is_apatite:
            reports.append(other_member(fit, apatite, score.phase, rule))
        else:
            reports.append(absent_phase(fit, score, rule))
    known = tuple(candidate(s.phase, fit) for s in found.scores.values())
    peaks = unexplained_peaks(found.projected or search.projected(), known, recipe.false_alarm_rate)
    peaks = peaks_of_poor_fit(peaks, search, known)
    identification = Identification(
        fit=(start if named else fit).result(),
        phases=PhaseList(reports),
        unexplained=peaks,
        messages=search_messages(reports, peaks, searched=recipe.search),
    )
    return identification, search


def _drop_absent(
    search: SearchResidual, threshold: float, *, keep: bool
) -> tuple[SearchResidual, list[Score]]:
    """Test each fitted phase against the fit without it, with templates of fixed size.

    The test is first made on the linearised fit; only where that leaves doubt is the fit repeated without the
    phase.
    """
    missing: list[Score] = []
    for phase in search.fit.phases:
        if search.presence(phase).z > 3.0 * threshold:
            continue
        without = search_residual(search.fit.drop([phase.id]))
        left = without.projected()
        score = score_phases([candidate(phase, without.fit)], left, sizes=PRESENCE_SIZES_NM)[phase.id]
        if score.z > threshold:
            # a doubtful phase must stand out from what any phase of the library gets
            others = [p for p in library(()) if not p.is_apatite and p.quantifiable]
            scores = score_phases([candidate(p, without.fit) for p in others], left)
            score = widened(score, library_scatter(scores.values()))
        if score.z < threshold or score.reflections_seen < min(2, score.reflections_expected):
            missing.append(score)
            if not keep:
                search = without
    return search, missing


def _search(search: SearchResidual, recipe: IdentificationRecipe, threshold: float) -> _SearchState:
    """Accept the best-scoring phase, refine with it, score again, until none passes."""
    asked = {p.id for p in search.fit.phases}
    candidates = {p.id: candidate(p, search.fit) for p in searched_phases(recipe) if p.id not in asked}
    weak: dict[str, Score] = {}
    refused: set[str] = set()
    rivals: dict[str, tuple[str, ...]] = {}
    scored: SearchResidual | None = None
    while True:
        fitted = {p.id for p in search.fit.phases}
        if scored is not search:  # a candidate that was refused changes nothing of what the others score
            scored, left, cold = search, search.projected(), not search.fit.phases
            variants = COLD_VARIANTS if cold else STRAINS
            rest = [item for name, item in candidates.items() if name not in fitted]
            scores = score_phases(rest, left, variants=variants)
            absent = (s for s in scores.values() if not s.phase.is_apatite)
            scatter = 1.0 if cold else library_scatter(absent)
            scores = {name: widened(score, scatter) for name, score in scores.items()}
        scores |= {name: score for name, score in weak.items() if name not in fitted}
        has_apatite = any(p.is_apatite for p in search.fit.phases)
        able = [
            s
            for name, s in scores.items()
            if s.z > threshold
            and s.phase.quantifiable
            and s.reflections_agree
            and name not in refused
            and not (has_apatite and s.phase.is_apatite)
        ]
        if not able or len(search.fit.phases) >= _MAX_FOUND:
            break
        best = _prefer_hydroxyapatite(max(able, key=lambda s: s.z), able)
        name = best.phase.id
        if best.z / chance_scatter(candidate(best.phase, search.fit), left, best) < threshold:
            refused.add(name)
            continue
        trial = search_residual(_refine_with(search.fit, best, left.grid.moved))
        refined = widened(trial.presence(best.phase), scatter)
        if refined.z < threshold:
            weak[name] = replace(best, z=refined.z)
        elif has_intensity(trial.fit, best.phase) and _keeps_cell(trial.fit, best.phase):
            search = trial
            rivals[name] = tuple(
                s.phase.id for s in able if s is not best and s.z > _RIVAL_SHARE * best.z
            )  # intensities and positions do not decide between them
        else:
            refused.add(name)
    for name, score in scores.items():
        if score.z > threshold:
            chance = chance_scatter(candidate(score.phase, search.fit), left, score)
            scores[name] = replace(score, z=score.z / chance, std=score.std * chance)
    # rivals that have nothing left to explain fitted the same reflections
    alike = {
        name: tuple(i for i in ids if i in scores and scores[i].z < threshold) for name, ids in rivals.items()
    }
    end = _SearchState(search=search, projected=left, scores=scores, rivals=alike)
    # phases that were accepted early may be explained better by those accepted later
    while True:
        own = [p for p in end.search.fit.phases if p.id not in asked]
        lost = next((p for p in own if end.search.presence(p).z < threshold), None)
        if lost is None:
            return end
        scores = {**end.scores, lost.id: end.search.presence(lost)}
        end = _SearchState(
            search=search_residual(end.search.fit.drop([lost.id])), scores=scores, rivals=end.rivals
        )


def _prefer_hydroxyapatite(best: Score, able: Sequence[Score]) -> Score:
    """Take hydroxyapatite for another member of its family that scores no better than texture could make it."""
    usual = next((s for s in able if s.phase.id == _USUAL_APATITE), None)
    if not best.phase.is_apatite or usual is None:
        return best
    return usual if usual.z > _RIVAL_SHARE * best.z else best


def _reconsider(
    found: _SearchState, asked: Sequence[Phase], recipe: IdentificationRecipe, threshold: float
) -> tuple[_SearchState, list[Score]]:
    """Drop asked phases that do not stand beside what the search found, and search again without them."""
    missing: list[Score] = []
    for phase in asked:
        score = found.search.presence(phase)
        if score.z < threshold or not has_intensity(found.search.fit, phase):
            missing.append(replace(score, z=min(score.z, threshold)))
            found = _search(search_residual(found.search.fit.drop([phase.id])), recipe, threshold)
    return found, missing


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
    shifted = fit.starting_from({name: value for name, value in values.items() if name in SHIFTS})
    start = PhaseStart(strain=score.variant.strain, inverse_size=1.0 / score.size_nm)
    trial = shifted.add([phase], {phase.id: start})
    return trial.with_all_parameters(phase) if bragg_share(trial, phase) >= _MAIN_SHARE else trial


def has_intensity(fit: Refinement, phase: Phase) -> bool:
    """Tell whether a refined amount is positive and real intensity stands behind it."""
    amounts = fit.evidence.amounts
    amount = float(amounts.amounts[amounts.names.index(phase.id)])
    return amount > 0.0 and bragg_share(fit, phase) > _MIN_INTENSITY_SHARE


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
