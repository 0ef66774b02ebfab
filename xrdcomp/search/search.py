"""Search for crystalline phases: fit, add, confirm, drop; and how little of each absent one would be seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, Record, one_screen, presenter
from xrdcomp.phases.library import list_phases, load_phase, load_phases
from xrdcomp.recipe import FitRecipe, IdentificationRecipe, Recipe
from xrdcomp.refinement.model import MeasuredAmorphous
from xrdcomp.refinement.refine import PhaseStart, Refinement
from xrdcomp.refinement.result import POOR_FIT_GOF
from xrdcomp.results import FitResult, PhaseList, PhaseResult, UnexplainedPeak, UnidentifiedCrystals
from xrdcomp.search import nuisance, overlaps, report
from xrdcomp.search.detection import detection_rule, number_searched
from xrdcomp.search.doubts import (
    MIN_INTENSITY_SHARE,
    REACH,
    SETTLED_GOF,
    Suspect,
    implausible,
    other_cell,
    withdraw_false_phases,
)
from xrdcomp.search.metals import Metal, metal_among
from xrdcomp.search.nuisance import Score, SearchResidual
from xrdcomp.search.report import MOST_PEAKS, angle_offset, explain_peak
from xrdcomp.search.room import room_beside
from xrdcomp.search.templates import COLD_VARIANTS, STRAINS, Candidate, bragg_share, candidate, library, searched_phases
from xrdcomp.search.unknown import (
    COMPARABLE,
    MANY,
    TOP_REFLECTIONS,
    WEAKEST,
    UnknownReflection,
    broad_reflections,
    mask_of,
    mostly_broad,
    overtopped,
    peaks_of,
    peaks_of_nothing,
    residual_peaks,
    strong_residual_lines,
    unidentified_crystals,
    unknown_reflections,
)
from xrdcomp.units import d_to_two_theta

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_ROUNDS = 2  # of masking: what was hidden below strong peaks may show others
_WEAK = 2.0  # thresholds up to which an accepted phase hardly stands out
_WIDER = 1.5  # of a phase's own width, from which on a reflection is of smaller crystals than its own
_EXPLAINED = 0.3  # of a peak's height: grains make a phase's own reflections three times as high, seldom more
_EXPLAINED_BY_LINES = 0.5  # of the excess χ²
_ABOUT = 0.5  # mean deviation of logarithms of heights
_SMALL_SIZES_NM = (25.0, 12.0, 7.0)  # of apatite that a search from nothing may take for amorphous scattering
_USUAL_APATITE = "hydroxyapatite"
_LIKELY = 0.95  # probability of a member of the family from which it gives the apatite its name
_MAX_FOUND = 6
_MAIN_SHARE = 0.3  # of the Bragg intensity, from which on a phase gets all parameters
_FAR_OUT_OF_RATIO = 20.0  # χ² per reflection: small crystals, whose reflections run together, stay below 10
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
    if len(start.phases) > len(spike) or not free or found.fit.gof <= SETTLED_GOF:
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
            if not found or (mostly_broad(self.residual, found) and self.leaves_small_crystals(usual)):
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
            self.start = fitted if same else self.start.masking(mask_of(self.start, self.unknown))
        if named or not recipe.search:
            return
        # phases asked for that do not stand beside what was found are dropped, and the search is made without them
        for phase in [p for p in self.start.phases if p.id != standard and p in self.residual.fit.phases]:
            score = self.residual.presence(phase)
            amounts = self.residual.fit.evidence.amounts
            positive = bool(amounts.amounts[amounts.names.index(phase.id)] > 0.0)
            if score.z < self.threshold or not positive or bragg_share(self.residual.fit, phase) <= MIN_INTENSITY_SHARE:
                self.missing.append(replace(score, z=min(score.z, self.threshold)))
                self._drop(phase)
                self._find()

    def _find_broad(self) -> None:
        """Leave out maxima of crystals of a few nanometres where no phase was found and the fit leaves them."""
        fit = self.residual.fit
        own = [phase.id for phase in fit.phases if phase.id != self.standard]
        if self.named or not self.recipe.search or fit.goodness < SETTLED_GOF:
            return
        left, size = residual_peaks(self.residual), number_searched(self.recipe)
        suspects = [Suspect(self.residual, name, left, sharp=False) for name in own]
        if fit.quality != "useless" and not all(s.contradicted() or s.out_of_ratio(size) for s in suspects):
            return
        broad = broad_reflections(self.residual)
        if broad and own:
            fit = fit.drop(own)
        sharp = [p for p in self.unknown if all(abs(p.two_theta - q.two_theta) > q.width for q in broad)]
        highest = max((p.height for p in broad), default=0.0)
        if highest <= max((p.height for p in sharp), default=0.0):
            return  # crowds of sharp reflections
        trial = fit.masking(mask_of(fit, [*sharp, *broad]))
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
            strongest = np.argsort(item.apparent)[::-1][:TOP_REFLECTIONS]
            bare = d_to_two_theta(item.d_spacing[strongest], fit.instrument.wavelength)
            away = np.abs(angles[:, None] - bare - angle_offset(fit, bare))
            met = np.flatnonzero(away.min(axis=0) < 0.5 * fwhm)
            which = away[:, met].argmin(axis=0)
            ratio = np.log(heights[which] / item.apparent[strongest][met])
            if len(met) >= MANY - 1 and 0 in met and np.abs(ratio - np.median(ratio)).mean() < _ABOUT:
                known.update(which.tolist())
        return [p for i, p in enumerate(found) if i not in known]

    def _drop_beneath(self, found: Sequence[UnknownReflection]) -> bool:
        """Drop phases that a crowd of higher peaks of nothing stands beside: their reflections are unknown as well.

        A phase that is none of it once those peaks are left out stays: they may have disturbed its cell and widths.
        """
        before, sharp = self.residual, not mostly_broad(self.residual, found)
        left, alone, size = peaks_of(found), None, number_searched(self.recipe)
        for phase in before.fit.phases if self.recipe.search and not self.named else ():
            suspect = Suspect(self.residual, phase.id, left, sharp=sharp)
            crowd = (suspect.left.height > COMPARABLE * suspect.reflections.height.max(initial=0.0)).sum() >= MANY
            if phase.id == self.standard or not crowd or not suspect.beneath_others(size):
                continue
            if alone is None:
                alone = nuisance.search_residual(before.fit.masking(mask_of(before.fit, found), roughly=True))
            if reason := Suspect(alone, phase.id, left, sharp=sharp).beneath_others(size):
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
            suspect = Suspect(
                self.residual, phase.id, peaks_of(self.unknown, residual_peaks(self.residual)), sharp=True
            )
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
        self.residual = nuisance.search_residual(fit.masking(mask_of(fit, self.unknown)))

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
        return f"it disappears if broad maxima below {nuisance.LOW_ANGLES:g}° are allowed, as of an amorphous halo"

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
        own = item.d_spacing[item.apparent > WEAKEST * item.apparent.max(initial=0.0)] * (1.0 + score.variant.strain)
        own = own[own > 0.5 * fit.instrument.wavelength]
        bare = d_to_two_theta(own, fit.instrument.wavelength)
        places = bare + angle_offset(fit, bare) + score.variant.shift * np.cos(np.radians(bare / 2.0))
        small = np.degrees(0.1 * fit.instrument.wavelength / score.size_nm)
        width = float(np.hypot(self.residual.grid.peak_fwhm, small))
        sharp, broad = list[UnknownReflection](), list[UnknownReflection]()
        for p in [*self.unknown, *unknown_reflections(self.residual)]:
            if p.width > _WIDER * width:
                # a reflection at the foot of a broader one of something else does not make that its own
                if (np.abs(places - p.two_theta) > 0.5 * REACH * width).all():
                    broad.append(p)
            elif not ((places > p.low) & (places < p.high)).any():
                sharp.append(p)
        beside = np.abs(fit.points.two_theta[:, None] - places).min(axis=1, initial=np.inf) > REACH * width
        masked = replace(
            fit, points=fit.points.masking(mask_of(fit, sharp) | (mask_of(fit, [*sharp, *broad]) & beside))
        )
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
            sharp=not mostly_broad(search, self.unknown),
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


class _Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What `_refine_with` was given and the last fit that it found so far."""

    fit: Refinement
    score: Score
    moved: Mapping[str, float]
    rest: Iterator[Refinement]
    last: list[Refinement] = msgspec.field(default_factory=list)

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
