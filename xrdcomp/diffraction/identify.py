"""Which crystalline phases are there, and how little of each absent one would have been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from xrdcomp.diffraction.candidates import library, phase_lines, searched_phases
from xrdcomp.diffraction.confirm import carried_by_intensity, cell_kept, refine_with
from xrdcomp.diffraction.ghosts import peaks_of_poor_fit, question
from xrdcomp.diffraction.messages import search_messages
from xrdcomp.diffraction.peaks import UnexplainedPeak, unexplained_peaks
from xrdcomp.diffraction.report import Test, absent_phase, fitted_phase, undecided_apatite
from xrdcomp.diffraction.scoring import (
    COLD_VARIANTS,
    STRAINS,
    TEMPLATE_SIZES_NM,
    Score,
    coincidence,
    misfit,
    score_phases,
    widened,
)
from xrdcomp.diffraction.screening import Nuisance, Screen, make_screen
from xrdcomp.diffraction.varieties import better_variety
from xrdcomp.fit.pattern import FitState, continue_state, fit_state
from xrdcomp.fit.summary import POOR_FIT_GOF, describes_pattern, goodness_of_fit, summarize
from xrdcomp.phases import list_phases, load_phase, load_phases
from xrdcomp.recipe import FitRecipe, IdentificationRecipe, Recipe
from xrdcomp.results import Diagnostic, FitResult, PhaseResult
from xrdcomp.types import APATITES, Instrument, Pattern, Phase

__all__ = ["APATITES", "Identification", "identify", "investigate", "investigate_fit", "start_phases"]

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
    diagnostics : tuple of Diagnostic
    """

    fit: FitResult
    phases: tuple[PhaseResult, ...]
    unexplained: tuple[UnexplainedPeak, ...]
    diagnostics: tuple[Diagnostic, ...]


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
    if not _small_crystals_left(screen, start, _threshold(recipes[1], _library_size(recipes[1]))):
        return found
    again = investigate_fit(fit_state(pattern, start, instrument, recipes[0], blank=blank), recipes[1])
    return min(found, again, key=lambda result: result.fit.gof)


def investigate_fit(base: FitState, recipe: IdentificationRecipe, *, assumed: bool = False) -> Identification:
    """Go on from a finished fit of the phases asked for; see `investigate`.

    Parameters
    ----------
    base : FitState
        Of `fit_state`.
    recipe : IdentificationRecipe
    assumed : bool
        Whether the phases were named by the user and stay.

    Returns
    -------
    Identification
    """
    return _investigated(base, recipe, assumed=assumed)[0]


def _investigated(
    base: FitState, recipe: IdentificationRecipe, *, assumed: bool
) -> tuple[Identification, Screen]:
    """`investigate_fit`, and the screen of the fit that it ended with."""
    threshold = _threshold(recipe, _library_size(recipe))
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
    test = Test(threshold, _detection_quantile(recipe.detection_probability))
    reports = [
        fitted_phase(base if p.id in asked else state, p, test, _present(screen, p)) for p in state.phases
    ]
    reports = question(reports, screen, asked, _library_size(recipe))
    reports = [
        replace(r, evidence={**r.evidence, "alternatives": list(outcome.rivals[r.id])})
        if outcome.rivals.get(r.id)
        else r
        for r in reports
    ]
    in_fit = {p.id for p in state.phases}
    missing = [s for s in missing if s.phase.id not in in_fit]
    absent = {s.phase.id for s in missing}
    reports += [absent_phase(state, score, test) for score in missing]
    family = next((p for p in state.phases if p.is_apatite), None)
    for phase_id, score in outcome.scores.items():
        if phase_id in in_fit or phase_id in absent:
            continue
        if family is not None and score.phase.is_apatite:
            reports.append(undecided_apatite(state, family, score.phase))
        else:
            reports.append(absent_phase(state, score, test))
    known = tuple(phase_lines(s.phase, state) for s in outcome.scores.values())
    peaks = unexplained_peaks(nuisance, known, recipe.false_alarm_rate)
    peaks = peaks_of_poor_fit(peaks, screen, known)
    fit = summarize(base if assumed else state)
    found = search_messages(reports, peaks, searched=recipe.search)
    return Identification(fit=fit, phases=tuple(reports), unexplained=peaks, diagnostics=found), screen


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
) -> FitState:
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
        return fit_state(pattern, phases, instrument, recipe, blank=blank)
    state = fit_state(pattern, phases, instrument, recipe, blank=blank, hopeless_gof=1.5 * POOR_FIT_GOF)
    if state.phases and goodness_of_fit(state) > POOR_FIT_GOF:
        state = fit_state(pattern, (), instrument, recipe, blank=blank)
    return state


def _detection_quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))


def _library_size(recipe: IdentificationRecipe) -> int:
    if not recipe.own_phases and set(recipe.library) <= set(list_phases()):
        return len(recipe.library) or len(list_phases())
    return len(searched_phases(recipe))


def _threshold(recipe: IdentificationRecipe, n_phases: int) -> float:
    """Z beyond which one or more false phases appear with the stated rate (Bonferroni over trials).

    Neighbouring strains and displacements overlap, so every third counts as a trial of its own.
    """
    from scipy.special import ndtri

    trials = n_phases * len(TEMPLATE_SIZES_NM) * max(1, len(STRAINS) // 3)
    return float(-ndtri(recipe.false_alarm_rate / trials))


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
        without = make_screen(_leave_out(screen.state, phase))
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


def _library_misfit(state: FitState, nuisance: Nuisance) -> float:
    """How far the scores of the whole library scatter: doubtful phases must stand out from what any phase gets."""
    lines = [phase_lines(p, state) for p in library(()) if not p.is_apatite and p.quantifiable]
    return misfit(score_phases(lines, nuisance).values())


def _leave_out(state: FitState, phase: Phase) -> FitState:
    """Fit again without a phase; where none is left, what it did to the instrument is undone."""
    left = [p for p in state.phases if p.id != phase.id]
    if not left:
        start = {item.name: item.prior_mean for item in state.table.items}
        state = replace(state, table=state.table.with_values(start))
    return continue_state(state, left)


@dataclass(frozen=True)
class _Outcome:
    """Where a search stands: the fit, its screen, and the last score of every candidate."""

    state: FitState
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
    scored: FitState | None = None
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
            state = _leave_out(outcome.state, phase)
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
            state = _leave_out(end.state, phase)
            scores = {**end.scores, phase.id: replace(score, z=min(score.z, threshold))}
            return _without_ghosts(
                _Outcome(state, make_screen(state), None, scores, end.rivals), start, threshold
            )
    return end
