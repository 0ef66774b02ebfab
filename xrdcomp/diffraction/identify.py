"""Which crystalline phases are there, and how little of each absent one would have been seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from xrdcomp.diffraction.peaks import UnexplainedPeak, unexplained_peaks
from xrdcomp.diffraction.report import absent_phase, fitted_phase, undecided_apatite
from xrdcomp.diffraction.screening import (
    CELL_STRAINS,
    TEMPLATE_SIZES_NM,
    CandidateLines,
    Nuisance,
    Score,
    candidate_lines,
    nuisance_space,
    position_lines,
    score_phase,
)
from xrdcomp.fit.pattern import FitState, continue_state, fit_state
from xrdcomp.fit.summary import summarize
from xrdcomp.phases import list_phases, load_phases
from xrdcomp.recipe import FitRecipe, IdentificationRecipe
from xrdcomp.results import Diagnostic, FitResult, PhaseResult
from xrdcomp.types import Instrument, Pattern, Phase

__all__ = ["APATITES", "Identification", "identify", "investigate"]

APATITES = frozenset(
    {
        "hydroxyapatite",
        "hydroxyapatite_sy1969",
        "fluorapatite",
        "chlorapatite",
        "carbonate_apatite",
        "bioapatite_model",
        "calcium_deficient_apatite",
    }
)
"""Varieties of one structure; a pattern tells them apart only as far as the cell and intensities allow."""

PRESENCE_SIZES_NM = (60.0, 25.0, 12.0)
_MAX_FOUND = 6
_SURE_Z = 25.0
_CONSISTENT = 4.0
_MIN_INTENSITY_SHARE = 5e-4


@dataclass(frozen=True, kw_only=True)
class Identification:
    """The fit with every accepted phase, and one PhaseResult for every phase asked after."""

    fit: FitResult
    phases: tuple[PhaseResult, ...]
    unexplained: tuple[UnexplainedPeak, ...]
    diagnostics: tuple[Diagnostic, ...]


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

    A phase is detected where z of its amount exceeds the threshold that keeps the chance of one or more false
    phases in the whole search at the stated rate, where the lines that should show do show, and where a
    refinement with it confirms the amount. Phases that were asked for are tested with templates of fixed size,
    since a free size lets a broad hump pass for crystals.

    Parameters
    ----------
    phases : sequence of Phase
        Asked for; fitted first.
    recipes : (FitRecipe, IdentificationRecipe)
    assumed : bool
        Whether exactly the phases asked for are fitted; others that are found are then reported with the amount
        they have when refined too, and phases asked for stay in the fit even when they do not show.
    """
    fit_recipe, recipe = recipes
    base = fit_state(pattern, phases, instrument, fit_recipe, blank=blank)
    threshold = _threshold(recipe, _library_size(recipe))
    base, missing = _drop_absent(base, threshold, keep=assumed)
    state = base
    rejected: dict[str, Score] = {}
    scores: dict[str, Score] = {}
    if recipe.search:
        state, scores, rejected = _search(base, recipe, threshold)
    nuisance = nuisance_space(state)
    asked = {p.id for p in base.phases} if assumed else set()
    reports = [
        fitted_phase(base if p.id in asked else state, p, threshold, _score(state, nuisance, p))
        for p in state.phases
    ]
    absent = {s.phase.id for s in missing} - {p.id for p in state.phases}
    missing = [s for s in missing if s.phase.id in absent]
    limit_z = threshold + _detection_quantile(recipe.detection_probability)
    reports += [absent_phase(state, score, limit_z, threshold) for score in missing]
    in_fit = {p.id for p in state.phases}
    family = next((p for p in state.phases if p.id in APATITES), None)
    for phase_id, score in scores.items():
        if phase_id in in_fit or phase_id in absent:
            continue
        if family is not None and phase_id in APATITES:
            reports.append(undecided_apatite(state, family, score.phase))
        else:
            reports.append(absent_phase(state, score, limit_z, threshold, rejected=phase_id in rejected))
    known = tuple(_lines(s.phase, state) for s in scores.values())
    peaks = unexplained_peaks(state, nuisance, known, recipe.false_alarm_rate)
    fit = summarize(base if assumed else state)
    found = _messages(reports, peaks)
    return Identification(fit=fit, phases=tuple(reports), unexplained=peaks, diagnostics=found)


def _detection_quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))


def _library_size(recipe: IdentificationRecipe) -> int:
    return len(recipe.library) or len(list_phases())


def _threshold(recipe: IdentificationRecipe, n_phases: int) -> float:
    """Z beyond which one or more false phases appear with the stated rate (Bonferroni over trials).

    Neighbouring strains of a cell overlap, so every third counts as a trial of its own.
    """
    from scipy.special import ndtri

    trials = n_phases * len(TEMPLATE_SIZES_NM) * max(1, len(CELL_STRAINS) // 3)
    return float(-ndtri(recipe.false_alarm_rate / trials))


@lru_cache(maxsize=4)
def _library(ids: tuple[str, ...]) -> tuple[Phase, ...]:
    return load_phases(ids or list_phases())


def _lines(phase: Phase, state: FitState) -> CandidateLines:
    return candidate_lines(phase, state) if phase.quantifiable else position_lines(phase, state)


def _score(state: FitState, nuisance: Nuisance, phase: Phase) -> Score:
    return score_phase(_lines(phase, state), state, nuisance, TEMPLATE_SIZES_NM)


def _drop_absent(state: FitState, threshold: float, *, keep: bool) -> tuple[FitState, list[Score]]:
    """Test each fitted phase against the fit without it, with templates of fixed size."""
    missing: list[Score] = []
    for phase in state.phases:
        index = state.evidence.amounts.names.index(phase.id)
        amount = float(state.evidence.amounts.amounts[index])
        std = float(np.sqrt(state.evidence.amounts.covariance[index, index]))
        floor = 0.03 * max(amount, 0.0)
        if amount / np.sqrt(max(std**2 - floor**2, (0.01 * amount) ** 2)) > _SURE_Z:
            continue
        without = continue_state(state, [p for p in state.phases if p.id != phase.id])
        nuisance = nuisance_space(without)
        score = score_phase(_lines(phase, without), without, nuisance, PRESENCE_SIZES_NM)
        if score.z < threshold or score.lines_seen < min(2, score.lines_expected):
            missing.append(score)
            if not keep:
                state = without
    return state, missing


def _search(
    state: FitState, recipe: IdentificationRecipe, threshold: float
) -> tuple[FitState, dict[str, Score], dict[str, Score]]:
    """Accept the best-scoring phase, refine with it, score again, until none passes."""
    library = [p for p in _library(recipe.library) if p.id not in {q.id for q in state.phases}]
    rejected: dict[str, Score] = {}
    weak: dict[str, Score] = {}
    while True:
        nuisance = nuisance_space(state)
        has_apatite = any(p.id in APATITES for p in state.phases)
        scores = {p.id: _score(state, nuisance, p) for p in library}
        able = [
            s
            for s in scores.values()
            if s.z > threshold
            and s.phase.quantifiable
            and s.phase.id not in rejected
            and s.phase.id not in weak
            and not (has_apatite and s.phase.id in APATITES)
            and s.phase.id not in {p.id for p in state.phases}
        ]
        able = [s for s in able if _lines_agree(s, rejected)]
        if not able or len(state.phases) >= _MAX_FOUND:
            return state, {**scores, **weak}, rejected
        best = max(able, key=lambda s: s.z)
        start = {best.phase.id: (best.strain, 1.0 / best.size_nm)}
        trial = continue_state(state, [*state.phases, best.phase], starts=start)
        refined = _refined_z(trial, best.phase)
        if refined < threshold:
            weak[best.phase.id] = replace(best, z=refined)
        elif _confirmed(state, trial, best, threshold):
            state = trial
        else:
            rejected[best.phase.id] = best


def _refined_z(state: FitState, phase: Phase) -> float:
    """Amount over its standard deviation from counting and misfit, all else refined with it."""
    amounts = state.evidence.amounts
    index = amounts.names.index(phase.id)
    counting = amounts.counting_covariance
    variance = amounts.covariance[index, index] if counting is None else counting[index, index]
    return float(amounts.amounts[index] / np.sqrt(variance * state.evidence.inflation))


def _lines_agree(score: Score, rejected: dict[str, Score]) -> bool:
    """Whether the lines that should show do, in about the right ratio."""
    need = min(2, score.lines_expected)
    good = score.lines_seen >= need and score.lines_seen >= 0.6 * score.lines_expected
    good = good and score.consistency < _CONSISTENT
    if not good:
        rejected[score.phase.id] = score
    return good


def _confirmed(before: FitState, after: FitState, score: Score, threshold: float) -> bool:
    """Whether the refined amount stands: significant, near the screened one, carried by real intensity."""
    amounts = after.evidence.amounts
    index = amounts.names.index(score.phase.id)
    amount = float(amounts.amounts[index])
    gain = (before.solution.cost - after.solution.cost) / after.evidence.inflation
    if amount <= 0.0 or gain < 0.5 * threshold**2:
        return False
    curve = after.solution.columns[:, index] * after.solution.coefficients[index]
    total = sum(
        float(np.abs(after.solution.columns[:, k] * after.solution.coefficients[k]).sum())
        for k in range(len(after.phases))
    )
    return float(np.abs(curve).sum()) > _MIN_INTENSITY_SHARE * total


def _messages(reports: list[PhaseResult], peaks: tuple[UnexplainedPeak, ...]) -> tuple[Diagnostic, ...]:
    out = []
    if peaks:
        listed = "; ".join(str(peak) for peak in peaks[:5])
        out.append(
            Diagnostic(
                code="XRD_UNEXPLAINED_PEAKS",
                severity="warning",
                text=(
                    f"{len(peaks)} peak(s) belong to no phase of the fit: {listed}. Check for sample-holder lines, "
                    "a contamination, or a phase outside the library (add its CIF with --phases)."
                ),
                facts={"count": len(peaks), "strongest_d": peaks[0].d_spacing},
            )
        )
    undecided = [r for r in reports if r.decision == "inconclusive" and r.id not in APATITES]
    if undecided:
        names = ", ".join(r.name for r in undecided)
        out.append(
            Diagnostic(
                code="XRD_PHASE_INCONCLUSIVE",
                severity="warning",
                text=(
                    f"Neither shown nor excluded: {names}. Lines appear where this phase has some, but not all that "
                    "should show do, or not in its ratio. Count longer or look at the listed lines."
                ),
            )
        )
    return tuple(out)
