"""Search a pattern for crystalline phases: fit, add, confirm, drop; and how little of each absent one would be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from xrdcomp.search import nuisance, report
from xrdcomp.search.detection import detection_rule, number_searched
from xrdcomp.search.false_phases import peaks_of_poor_fit, withdraw_false_phases
from xrdcomp.search.nuisance import Score, SearchResidual
from xrdcomp.search.report import UnexplainedPeak
from xrdcomp.search.templates import COLD_VARIANTS, STRAINS, bragg_share, candidate, library, searched_phases

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

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
    refine = partial(
        Refinement.run, pattern, instrument=instrument, recipe=fit, blank=blank, measured=measured
    )
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
    library_ids = list_phases()
    fitted = next((phase for phase in start.phases if phase.is_apatite and phase.id in library_ids), None)
    better = [r.id for r in reports if r.evidence.member and r.evidence.member.fits_better]
    better = [name for name in better if name in library_ids]
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
            left = without.projected()
            score = nuisance.score_phases(
                [candidate(phase, without.fit)], left, sizes=nuisance.PRESENCE_SIZES_NM
            )[phase.id]
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
            name: tuple(i for i in ids if i in scores and scores[i].z < self.threshold)
            for name, ids in rivals.items()
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
            report.fitted_phase(
                start if p.id in asked else fit, p, rule, search.presence(p), self.rivals.get(p.id, ())
            )
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
    usual = next((s for s in able if s.phase.id == _USUAL_APATITE), None)
    if best.phase.is_apatite and usual is not None and usual.z > _RIVAL_SHARE * best.z:
        return usual
    return best


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
