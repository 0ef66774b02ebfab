"""Refinement of a pattern: a fit run from the start, and phases added, dropped or substituted afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from xrdcomp.data import Instrument, Pattern, Phase
from xrdcomp.physics import profiles
from xrdcomp.physics.amorphous import ACRYLIC
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.covariance import residual_inflation
from xrdcomp.refinement.detector import background_subtracted
from xrdcomp.refinement.model import (
    MeasuredAmorphous,
    ModelSetup,
    PatternModel,
    Points,
    StartedModel,
    narrowest_fwhm,
    shoulder_columns,
)
from xrdcomp.refinement.parameters import FitParameter, ParameterTable, build_parameters, minor_parameters
from xrdcomp.refinement.reflections import PhaseReflections, patterns_alike
from xrdcomp.refinement.result import POOR_FIT_GOF, FittedModel
from xrdcomp.refinement.solver import LeastSquares, Solution, minimize, minimize_lmfit, solve_linear
from xrdcomp.refinement.unsought import DECISIVE, Unsought, compare, left_out
from xrdcomp.results import ParameterId, parameter_name
from xrdcomp.units import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import lmfit

# Peaks mode: positions and widths from the cell and the profile, intensities free and non-negative.
# For textured or unknown material relative intensities of the structure may be wrong. Reflections that overlap
# within a third of their width form one group whose intensity is a linear unknown; groups and background are
# solved by non-negative least squares, the non-linear parameters are refined with these intensities, and the two
# alternate [as in Le Bail, Duroy & Fourquet 1988 Mater. Res. Bull. 23, 447, with least squares in place of their
# partition]. The structure's total intensity stays the scale, so that amounts keep their meaning.

_OVERLAP = 0.35  # of the width


@dataclass(frozen=True, kw_only=True)
class GroupedReflections:
    """Bragg pattern of one gram of a phase, reflections that overlap taken together."""

    columns: FloatArray  # (n, groups) all emission lines
    group: IntArray  # (reflections,) group of each reflection
    strongest: FloatArray  # (n,) all reflections in the strongest emission line alone


def group_columns(model: PatternModel, index: int, values: Mapping[str, float]) -> GroupedReflections:
    """Pattern of each group of reflections of a phase that lie within a third of a width of their neighbour."""
    item = model.reflections[index]
    found, frozen = item.at(values, slopes=False), item.frozen
    widths = found.widths
    strongest = frozen.wavelength == model.instrument.wavelength
    # groups are numbered by the strongest emission line, by another where that one is outside the scan
    n_reflections = len(item.hkl)
    centre, width = np.full(n_reflections, 1e9), np.full(n_reflections, 0.1)
    for chosen in (~strongest, strongest):
        centre[frozen.reflection[chosen]] = found.position[chosen]
        width[frozen.reflection[chosen]] = widths.fwhm[chosen]
    order = np.argsort(centre)
    group = np.empty(n_reflections, dtype=np.int64)
    group[order] = np.cumsum(np.diff(centre[order], prepend=-1e9) > _OVERLAP * width[order]) - 1
    pairs, places = item.pairs, item.pairs.places
    reached = np.diff(pairs.indptr)
    shape = profiles.value_of_each(item.spread(found)) * np.repeat(found.intensity, reached)
    n, n_groups = len(places.two_theta), int(group.max(initial=-1)) + 1
    flat = np.repeat(n * group[frozen.reflection], reached) + pairs.point
    sums = np.asarray(np.bincount(flat, shape, minlength=n_groups * n), dtype=float)
    columns = places.on_points(sums.reshape(n_groups, n).T)
    alone = profiles.spread_value(item.spread(found), np.where(strongest, found.intensity, 0.0))
    return GroupedReflections(columns=columns * model.slit[:, None], group=group, strongest=alone * model.slit)


def with_free_intensities(model: PatternModel, solution: Solution, points: Points) -> PatternModel:
    """Solve the intensities of all groups and put them into the model's reflections."""
    n_phases = len(model.reflections)
    parts = [group_columns(model, k, solution.values) for k in range(n_phases)]
    smooth = [(solution.columns[:, k] - part.columns.sum(axis=1))[:, None] for k, part in enumerate(parts)]
    free = np.concatenate([*(part.columns for part in parts), *smooth, model.fixed], axis=1)
    free = free / points.sigma[:, None]
    n_groups = sum(part.columns.shape[1] for part in parts)
    prior = np.concatenate([np.zeros(n_groups + n_phases), solution.linear_prior[n_phases:]])
    nonnegative = np.concatenate([np.ones(n_groups + n_phases, bool), model.nonnegative[n_phases:]])
    gram = free.T @ free
    gram[np.diag_indices_from(gram)] += prior + 1e-10 * np.diag(gram)
    right = free.T @ (points.intensity / points.sigma)
    found = solve_linear(gram, right, nonnegative)[:n_groups]
    reflections = []
    for item, part in zip(model.reflections, parts, strict=True):
        area = part.columns.sum(axis=0)
        values, found = found[: len(area)], found[len(area) :]
        mean = float(values @ area) / max(float(area.sum()), 1e-300)
        if mean > 0.0:
            item = replace(item, multiplier=item.multiplier * (values / mean)[part.group])
        reflections.append(item)
    return replace(model, reflections=tuple(reflections))


# By how much what no model has (aberrations, the skew spectrum behind broad reflections) may favour the wrong one of
# a constant shift and a displaced specimen, in units of the cost: up to 33 on simulated apatites of 3 000 to 30 000
# counts.
_SYSTEMATIC_COST = 20.0

# The strategy: a rough fit of a thinned pattern, a fit of binned points, the minimum on all points.

_START_SIZES = (0.01, 0.04, 0.1)  # 1/nm
_ROUGH_POINTS = 1500
_FAR = 0.1  # damping of the first step from the start
_PEAK_ROUNDS = 3
_HOPELESS_ITERATIONS = 2  # on all points, where the fit to binned ones does not describe the pattern, and
_HEAVY = 800_000  # places under reflections, which a broad pattern of many reflections on a fine scan has
GRAPHITE_D = 3.354  # Å, 002
# Standard deviations along a step. A run ends where a step promises less than the first; windows, nodes and priors of
# modes are frozen anew until a run moves by less than the second, after which the next would move by a tenth of that.
NO_STEP = 0.02
_SETTLED = 0.2
_NEAR_STEP = 0.2  # the same of a run on binned points, whose minimum lies as far from that on all points
_DESCRIBES_GOF = 3.0  # of a first descent: beyond it phases are lacking, and a shift is not worth its minimum
_SETTLED_BEFORE = 0.7  # on all points, after the same on binned ones: what is frozen then belongs to the minimum
_SETTLE_ROUNDS = 6
_PAIR = 4.0  # of the cost, over χ²_ν, by which two minima are as good
_SHOWS = 4.0  # standard deviations, of all points together, that a phase's whole pattern adds
_LARGE_INVERSE = 0.01  # 1/nm, of crystals that broaden their reflections little
_ONE_CELL = 5e-3  # relative, to either side, that compounds of fixed composition may have
_STRAY = 0.015  # three standard deviations of a cell's prior


def _rough_fit(
    setup: ModelSetup, table: ParameterTable, points: Points, fine: PatternModel, *, try_sizes: bool = True
) -> tuple[ParameterTable, float]:
    """Find a good start on a thinned pattern: the best of three crystallite sizes, then a first fit; and its cost."""
    rough = points.binned(max(1, len(points) // _ROUGH_POINTS))
    base, starts = setup.build(rough, table, like=fine, shoulders=False), [table]
    sizes = [item.name for item in table.items if item.id.kind == "inverse_size"]
    if try_sizes:
        starts = [table.with_values(dict.fromkeys(sizes, inverse)) for inverse in _START_SIZES]
    models = [base if start.start == table.start else base.refrozen(start.start) for start in starts]
    costs = []
    problem: LeastSquares | None = None
    for start, model in zip(starts, models, strict=True):
        held = ParameterTable(tuple(msgspec.structs.replace(item, vary=False) for item in start.items))
        problem = LeastSquares(model, held, rough, like=problem)
        costs.append(problem.state(np.empty(0)).cost)
    best = int(np.argmin(costs))
    table, model = starts[best], models[best]
    coarse = rough.coarsened(model, table)
    if coarse is not rough:
        model = setup.build(coarse, table, like=model, shoulders=False)
    limit = setup.recipe.max_iterations
    solution = minimize(model, table, coarse, max_iterations=limit, tolerance=3e-3, damping=_FAR, bare=True)
    recalled = recall_strayed_cells(setup.phases, table, solution) if try_sizes else None
    if recalled is not None:
        model = model.refrozen(recalled.start)
        other = minimize(model, recalled, coarse, max_iterations=limit, tolerance=3e-3, damping=_FAR, bare=True)
        solution = other if other.cost < solution.cost else solution
    return table.with_values(solution.values), solution.cost


def recall_strayed_cells(phases: Sequence[Phase], start: ParameterTable, solution: Solution) -> ParameterTable | None:
    """Parameters at the end of a fit, phases whose cell ran off put back to their start; None if none or all did.

    Before displacement and widths are right, a phase of few or weak reflections may stretch its cell to its limits and
    fill gaps of others; from there no descent leads back.
    """
    cells = [item for item in start.items if item.id.kind == "cell"]
    off = {i.id.phase for i in cells if abs(solution.values[i.name] / i.value - 1.0) > _STRAY}
    kept = {i.name: solution.values[i.name] for i in start.items if i.id.phase not in off}
    return start.with_values(kept) if off and len(off) < len(phases) else None


@dataclass(frozen=True, kw_only=True)
class PhaseStart:
    """Start of a phase that is added: relative change of its spacings, inverse crystallite size (1/nm)."""

    strain: float = 0.0
    inverse_size: float = 0.0125


class Refinement(FittedModel):
    """A finished refinement, from which others go on: every method gives a new one."""

    @classmethod
    def run(  # noqa: PLR0913 - one keyword for each thing that may be given
        cls,
        pattern: Pattern,
        phases: Sequence[Phase],
        instrument: Instrument,
        recipe: FitRecipe | None = None,
        *,
        blank: Pattern | None = None,
        measured: Sequence[MeasuredAmorphous] = (),
        params: lmfit.Parameters | None = None,
        table: ParameterTable | None = None,
        abandon_gof: float = np.inf,
        passing_gof: float = np.inf,
    ) -> Refinement:
        """Refine phases from their start; `blank` is an empty holder, `params` are `initial_parameters`, changed.

        A `table` of parameters goes before that of the recipe; other sizes than its own are tried. `measured` amorphous
        components go before those calculated. Where the goodness of the first rough fit is beyond `abandon_gof`, the
        phases are given up and none is fitted; a smaller value gives up earlier. A fit whose goodness stays beyond
        `passing_gof` is left near its minimum, to which `settle` brings it: a search may add phases before anything is
        read off. Raises AnalysisError for too few points, a phase without atoms, a blank that does not cover the range.
        """
        recipe, given = recipe or FitRecipe(), params is not None or table is not None
        if recipe.background == "auto" and blank is None and background_subtracted(pattern):
            recipe = msgspec.structs.replace(recipe, background="flexible")
        setup = ModelSetup.create(phases, instrument, recipe, blank=blank, measured=measured, start_given=given)
        points = Points.select(pattern, recipe, instrument.wavelength, measured=measured)
        table = table or build_parameters(phases, instrument, recipe)
        if params is not None:
            table = table.from_lmfit(params)
        fine = setup.build(points, table, shoulders=False)
        if setup.phases:
            table, cost = _rough_fit(setup, table, points, fine, try_sizes=params is None)
            if cost > abandon_gof**2 * len(points):
                return cls.run(pattern, (), instrument, recipe, blank=blank, measured=measured)
        give_up = POOR_FIT_GOF if np.isfinite(abandon_gof) else np.inf
        fit = cls._minimum(pattern, setup, points, table, fine, give_up=give_up, passing_gof=passing_gof)
        return fit.with_polymer()._with_polarization()

    def with_polymer(self) -> Refinement:
        """Fit an acrylic polymer as well where its broad maxima show and nobody named the amorphous components.

        Its first maximum lies where no other component has one. Without it air takes it up, and what is embedded in
        it seems to hold less organic matter and more amorphous mineral.
        """
        recipe = self.recipe
        if recipe.amorphous is not None or not self.setup.amorphous or recipe.mode == "peaks" or not self.phases:
            return self
        shown = self.holder_shown
        if shown is None or shown.holder.name != ACRYLIC:
            return self
        if not self.settled:
            return self.settle().with_polymer()
        setup = replace(self.setup, amorphous=(*self.setup.amorphous, "polymer"))
        model = setup.build(self.points, self.table)
        other = self._settled(setup, self.table, model, setup.recipe.max_iterations)
        better = (self.solution.cost - other.solution.cost) / self.evidence.inflation > DECISIVE
        return replace(other, polymer_shown=shown) if better else self

    @cached_property
    def unsought(self) -> Unsought | None:
        """Refine with the amorphous components that were left out as well, and compare; None where none were."""
        missing = left_out(self.evidence.amounts.sought)
        if not missing or self.recipe.mode == "peaks" or self.recipe.background == "flexible":
            return None
        setup = replace(self.setup, amorphous=(*self.setup.amorphous, *missing))
        model = setup.build(self.points, self.table)
        wide = self._settled(setup, self.table, model, setup.recipe.max_iterations)
        return compare(self.evidence, self.solution, wide.evidence, wide.solution, wide.model)

    def _with_polarization(self) -> Refinement:
        """Let the intensities decide whether a graphite crystal polarised the beam where nobody said.

        They can where B of a phase is known (`PhaseFacts.b_iso`): the crystal's factor, which tilts intensities as B
        does, is then not free.
        """
        setup, optics = self.setup, self.setup.instrument
        known = any(p.facts.b_iso and self.solution.coefficients[k] > 0.0 for k, p in enumerate(setup.phases))
        if optics.polarization_stated or optics.geometry != "bragg_brentano" or not known or not self.describes_pattern:
            return self
        if not self.settled:
            return self.settle()._with_polarization()
        angle = float(np.degrees(2.0 * np.arcsin(optics.wavelength / (2.0 * GRAPHITE_D))))
        setup = replace(setup, instrument=replace(optics, monochromator_two_theta=angle))
        model = setup.build(self.points, self.table)
        other = self._settled(setup, self.table, model, setup.recipe.max_iterations)
        gain = (self.solution.cost - other.solution.cost) / self.evidence.inflation
        return replace(other if gain > DECISIVE else self, monochromator_gain=gain)

    @classmethod
    def trial_goodness(
        cls,
        pattern: Pattern,
        phases: Sequence[Phase],
        instrument: Instrument,
        recipe: FitRecipe,
        *,
        blank: Pattern | None = None,
        abandon_gof: float = np.inf,
    ) -> float:
        """Goodness of fit of `run` without its rough fit on all points; infinity where the phases are given up."""
        setup = ModelSetup.create(phases, instrument, recipe, blank=blank)
        points, table = (
            Points.select(pattern, recipe, instrument.wavelength),
            build_parameters(phases, instrument, recipe),
        )
        if setup.phases:
            coarse = points.binned(max(1, len(points) // _ROUGH_POINTS))
            rough = setup.build(coarse, table, shoulders=False)
            table, cost = _rough_fit(setup, table, coarse, rough)
            if cost > abandon_gof**2 * len(points):
                return np.inf
        fine = setup.build(points, table, shoulders=False)
        return cls._minimum(pattern, setup, points, table, fine).goodness

    @classmethod
    def _minimum(
        cls,
        pattern: Pattern,
        setup: ModelSetup,
        points: Points,
        table: ParameterTable,
        fine: PatternModel,
        *,
        give_up: float = np.inf,
        passing_gof: float = np.inf,
    ) -> Refinement:
        """Minimise on points as coarse as the reflections allow, then settle on all points.

        Windows and quadrature nodes are frozen within a least-squares run and rebuilt between runs. A fit of many
        points whose goodness stays beyond `give_up` is not settled, one of phases beyond `passing_gof` not yet.
        """
        recipe, limit = setup.recipe, setup.recipe.max_iterations
        coarse = points.coarsened(fine, table)
        model = setup.build(coarse, table, like=fine)
        solution = minimize(model, table, coarse, max_iterations=limit, tolerance=1e-3, bare=True)
        fit = cls(pattern=pattern, setup=setup, points=coarse, table=table, model=model, solution=solution)
        if recipe.displacement and not recipe.zero_shift and setup.phases and not setup.start_given:
            negligible = max(0.25 * points.step, 0.04 * narrowest_fwhm(fine, solution.values))
            describes = solution.cost <= _DESCRIBES_GOF**2 * len(coarse)
            fit = fit._with_shift_or_displacement(negligible, at_minima=describes)
        table, solution = fit.table.with_values(fit.solution.values), fit.solution
        if recipe.mode == "peaks":
            for _ in range(_PEAK_ROUNDS):
                model = with_free_intensities(model, solution, coarse).refrozen(solution.values)
                solution = minimize(model, table, coarse, max_iterations=limit, tolerance=1e-3)
                table = table.with_values(solution.values)
        # without phases nothing moves: a second run on the same points would find the same
        if setup.phases or len(coarse) != len(points) or recipe.solver == "lmfit":
            pairs = zip(fine.reflections, model.reflections, strict=True)
            rough, like = (coarse, model), tuple(replace(a, multiplier=b.multiplier) for a, b in pairs)
            model, poor = replace(fine, reflections=like), solution.cost > give_up**2 * len(coarse)
            if poor or coarse is points or recipe.solver == "lmfit":
                model = setup.build(points, table, like=model)
            if recipe.solver != "lmfit":
                fit = replace(fit, points=points)
                if poor and _is_heavy(model):
                    tried = fit._settled(setup, table, model, min(limit, _HOPELESS_ITERATIONS))
                    if tried.goodness > give_up:
                        return tried
                if setup.phases and solution.cost > passing_gof**2 * len(coarse):
                    near = fit._settled(
                        setup, table, setup.build(points, table, like=model), min(limit, _HOPELESS_ITERATIONS)
                    )
                    if near.goodness > passing_gof:
                        return replace(near, to_minimum=partial(fit._settled, setup, table, model, limit, rough))
                return fit._settled(setup, table, model, limit, rough)
            solution = minimize_lmfit(model, table, points)
            table = table.with_values(solution.values)
        return replace(fit, points=points, table=table, model=model, solution=solution)

    def _with_shift_or_displacement(self, negligible: float, *, at_minima: bool) -> Refinement:
        """Let the reflections' angles decide whether a constant shift explains them better than the displacement found.

        The two differ by a factor cosθ only and must not both be free: their difference trades with the cell. A shift
        below `negligible` degrees needs no decision. Both are brought to their minima, if asked `at_minima`.

        Cells and shift get a standard deviation from the choice: √p times what the other one changes, with
        p = 1 / (1 + exp(Δ / (2 · 20))), Δ its excess cost over χ²_ν.
        """
        # the ends of rough descents tell neither how large the shift is nor which of two such minima is the lower
        distance = _NEAR_STEP if at_minima else 0.0
        end = partial(
            minimize, self.model, points=self.points, max_iterations=12, tolerance=1e-3, distance=distance, bare=True
        )
        solution, known = self.solution, self.instrument.zero_shift
        if at_minima:
            solution = end(table=self.table.with_values(solution.values))
        displacement, radius = solution.values["sample_displacement_mm"], self.instrument.radius_mm
        cosine = np.cos(np.radians(self.model.two_theta.mean() / 2))
        shift = -np.degrees(2.0 * displacement / radius) * cosine
        if abs(shift) < negligible:
            return replace(self, solution=solution)
        items = []
        for item in self.table.with_values(solution.values).items:
            if item.id.kind == "sample_displacement_mm":
                std, start = float(np.degrees(2.0 * item.prior_std / radius)), float(known + shift)
                item = msgspec.structs.replace(
                    item, id=ParameterId(kind="zero_shift"), value=start, low=-2.0, high=2.0, prior_std=std,
                    prior_mean=known, unit="deg", meaning="observed - true",
                )  # fmt: skip
            items.append(item)
        other = ParameterTable(tuple(items))
        trial = end(table=other)
        scatter = max(1.0, min(solution.cost, trial.cost) / len(self.points))
        excess = abs(solution.cost - trial.cost) / scatter
        share = float(np.sqrt(1.0 / (1.0 + np.exp(min(excess / (2.0 * _SYSTEMATIC_COST), 50.0)))))
        cells = [item.name for item in self.table.free if item.id.kind == "cell"]
        doubt = {name: share * abs(solution.values[name] - trial.values[name]) for name in cells}
        doubt["sample_displacement_mm"] = share * abs(displacement)
        doubt["zero_shift"] = share * abs(trial.values["zero_shift"] - known)
        if trial.cost < solution.cost:
            return replace(self, table=other, solution=trial, shift_std=doubt)
        return replace(self, solution=solution, shift_std=doubt)

    def starting_from(self, values: Mapping[str, float]) -> Refinement:
        """Return the same minimum with other values of some parameters for the next refinement to start at."""
        return replace(self, table=self.table.with_values(values))

    def masking(self, mask: BoolArray, *, roughly: bool = False) -> Refinement:
        """Refine again with the marked points, (n,), left out: reflections of something that is not in the fit.

        `roughly` refines on binned points alone, for a fit that is only looked at.
        """
        return replace(self, points=self.points.masking(mask))._refined(self.phases, self.table.items, roughly=roughly)

    def add(
        self, phases: Sequence[Phase], starts: Mapping[str, PhaseStart] | None = None, *, passing_gof: float = np.inf
    ) -> Refinement:
        """Refine again with more phases, which get a cell and one size; the others keep their parameters.

        `starts` holds by phase id where the new ones begin, if elsewhere than at their nominal cell. A fit whose
        goodness is beyond `passing_gof` is left after one run on all points; `settle` goes on from there.
        """
        items = list(self.table.items)
        for phase in phases:
            start = (starts or {}).get(phase.id, PhaseStart())
            items += minor_parameters(phase, strain=start.strain, inverse_size=start.inverse_size)
        return self._refined((*self.phases, *phases), items, passing_gof=passing_gof)

    def drop(self, ids: Collection[str]) -> Refinement:
        """Refine again without some phases; where none is left, what they did to the instrument is undone."""
        left = [phase for phase in self.phases if phase.id not in ids]
        start = self if left else self.starting_from({i.name: i.prior_mean for i in self.table.items})
        return self._refined(left, [i for i in start.table.items if i.id.phase not in ids])

    def with_all_parameters(self, phase: Phase, *, passing_gof: float = np.inf) -> Refinement:
        """Refine again with all parameters of a main phase for one that was added, starting from what was found.

        `passing_gof` is as in `add`.
        """
        values = self.solution.values
        full = build_parameters([phase], self.instrument, self.recipe)
        known = {name: values[name] for name in full.names if name in values}
        size_a, size_c = (parameter_name("inverse_size", phase.id, axis) for axis in "ac")
        known[size_c] = values[size_a]
        items = [item for item in self.table.items if item.id.phase != phase.id]
        items += [item for item in full.with_values(known).items if item.id.phase == phase.id]
        return self._refined(self.phases, items, passing_gof=passing_gof)

    def with_size_alone(self, ids: Collection[str]) -> Refinement:
        """Refine again with one size as the only parameter of some phases.

        What else bends intensities or widths makes up for reflections of something that is not in the fit, and a cell
        runs to them. A cell is held at that of the compound, one of a solid solution where it was found.
        """
        items = [item for item in self.table.items if item.id.phase not in ids]
        for phase in (phase for phase in self.phases if phase.id in ids):
            for item in minor_parameters(phase, strain=0.0, inverse_size=_LARGE_INVERSE):
                if item.id.kind == "cell":
                    allowed = phase.cell_tolerance.get(item.id.axis, (-np.inf, np.inf))
                    one = max(map(abs, allowed)) <= _ONE_CELL
                    value = item.value if one else self.solution.values.get(item.name, item.value)
                    item = msgspec.structs.replace(item, value=value, vary=False)
                items.append(item)
        return self._refined(self.phases, items)

    def again(self) -> Refinement:
        """Refine again from where it ended, because its points have changed."""
        return self._refined(self.phases, self.table.items)

    def _refined(
        self,
        phases: Sequence[Phase],
        items: Iterable[FitParameter],
        *,
        roughly: bool = False,
        passing_gof: float = np.inf,
    ) -> Refinement:
        """Refine these phases with these parameters, starting from this refinement."""
        table, setup = ParameterTable(tuple(items)), replace(self.setup, phases=tuple(phases))
        points, limit = self.points, self.recipe.max_iterations
        fine = setup.build(points, table, like=self.model, shoulders=False)
        coarse = points.coarsened(fine, table)
        model = setup.build(coarse, table, like=fine)
        solution = minimize(model, table, coarse, max_iterations=limit, tolerance=1e-3, bare=True)
        table = table.with_values(solution.values)
        poor = roughly or solution.cost > POOR_FIT_GOF**2 * len(points)
        rough, model = (coarse, model), setup.build(points, table, like=fine) if poor or coarse is points else fine
        if roughly or (poor and _is_heavy(model)):
            limit = min(limit, _HOPELESS_ITERATIONS)
        return self._settled(setup, table, model, limit, rough, passing_gof=passing_gof)

    def _settled(
        self,
        setup: ModelSetup,
        table: ParameterTable,
        model: PatternModel,
        max_iterations: int,
        rough: tuple[Points, PatternModel] | None = None,
        *,
        passing_gof: float = np.inf,
    ) -> Refinement:
        """Minimise on all points, until what was frozen is that of the minimum, and go on from there.

        `rough` are the same points binned as the reflections allow, with a model on them: the minimum is first
        approached on those, and of `model` intensities and amorphous columns are used alone.
        """
        near = rough is not None and rough[0] is not self.points and max_iterations > _HOPELESS_ITERATIONS
        if near:
            assert rough is not None
            (coarse, binned), distance, before = rough, _NEAR_STEP, np.inf
            for _ in range(_SETTLE_ROUNDS):
                binned = binned.refrozen(table.start)
                solution = minimize(binned, table, coarse, max_iterations=max_iterations, distance=distance, bare=True)
                table = table.with_values(solution.values)
                # what is frozen at one minimum may lead to the other of a pair as good, again and again
                scatter, cost = solution.cost / len(coarse), solution.cost
                if solution.lowered <= _SETTLED_BEFORE**2 * scatter or before < cost < before + _PAIR * scatter:
                    break
                before = solution.cost
            model = setup.build(self.points, table, like=model)
            distance = _settling_distance(solution, coarse, len(setup.phases))
        else:
            distance = _NEAR_STEP
        return self._settled_on_all(
            setup, table, model, max_iterations, distance, near=near, first=int(near), passing_gof=passing_gof
        )

    def _settled_on_all(
        self,
        setup: ModelSetup,
        table: ParameterTable,
        model: PatternModel,
        max_iterations: int,
        distance: float,
        *,
        near: bool,
        first: int,
        passing_gof: float = np.inf,
    ) -> Refinement:
        """Run on all points from the `first` run on, `near` after others on binned points, or until `passing_gof`."""
        points, left = self.points, False
        for k in range(first, _SETTLE_ROUNDS):
            model = model.refrozen(table.start) if k > near else model
            solution = minimize(model, table, points, max_iterations=max_iterations, tolerance=1e-4, distance=distance)
            table = table.with_values(solution.values)
            distance = _settling_distance(solution, points, len(setup.phases))
            least = _SETTLED_BEFORE if near and k == 1 else _SETTLED
            settled = k > 0 and solution.lowered <= least**2 * solution.cost / len(points)
            if settled or (not solution.converged and max_iterations <= _HOPELESS_ITERATIONS):
                break
            left = solution.cost > passing_gof**2 * len(points) and k + 1 < _SETTLE_ROUNDS
            if left:
                break
        go_on = partial(self._settled_on_all, setup, table, model, max_iterations, distance, near=near, first=k + 1)
        to_minimum = go_on if left else None
        return replace(self, setup=setup, table=table, model=model, solution=solution, to_minimum=to_minimum)

    @property
    def settled(self) -> bool:
        """False where the fit was left near its minimum (passing_gof of what made it)."""
        return self.to_minimum is None

    def settle(self) -> Refinement:
        """Bring a fit to its minimum that was left near it; the same fit where it is there."""
        if self.to_minimum is None:
            return self
        found = self.to_minimum()
        assert isinstance(found, Refinement)
        return found

    def substitute(self, old: Phase, new: Phase) -> Substitution:
        """Try `new` in the place of `old`, see `substitutes`."""
        return self.substitutes(old, [new])[0]

    def substitutes(
        self, old: Phase, news: Sequence[Phase], *, tolerance: float = 1e-3, per_fwhm: float = 5.0, most: float = np.inf
    ) -> list[Substitution]:
        """Try phases in the place of `old`, each starting from cell, sizes and texture found for it.

        All are of one structure type, so that parameters of one serve the others; `old` itself gives the fit to compare
        with. Few iterations suffice, as the reflections are where they were; `tolerance` is the share of χ² below which
        an improvement ends the fit, larger is coarser and faster; `per_fwhm` the points that are left to the narrowest
        reflection. A fit whose χ² will exceed the first one's by `most` of its inflation is left as it begins. Phases
        of the symmetry of `old` that can have its cell share reflections and the sums over them.
        """
        points = self.points.coarsened(self.model, self.table, per_fwhm)
        base = self.setup.build(points, self.table, like=self.model, replaced=old.id)
        tables = {new.id: self._table_with(old, new) for new in news}
        alike = [new for new in news if _share_reflections(old, new, self.table, tables[new.id])]
        models = dict(self._models_alike(old, alike, tables, points, base))
        shared, out = LeastSquares(base, self.table, points), list[Substitution]()
        for new in news:
            table, setup = tables[new.id], replace(self.setup, phases=_exchanged(self.phases, old, new))
            model = models.get(new.id) or setup.build(points, table, like=base)
            hopeless = out[0].cost + most * out[0].inflation if out else np.inf
            solution = minimize(
                model, table, points, max_iterations=6, tolerance=tolerance, bare=True, hopeless=hopeless,
                like=shared if new.id in models else None,
            )  # fmt: skip
            inflation, _ = residual_inflation(solution.residual(points), solution.n_free)
            # what is open between a constant shift and a displacement is open for any cell in this place
            renamed = _renamed(self.table, old, new)
            shift_std = {renamed.get(name, name): std for name, std in self.shift_std.items()}
            trial = Substitution(
                base=replace(self, shift_std=shift_std),
                setup=setup,
                table=table.with_values(solution.values),
                cost=solution.cost,
                inflation=inflation,
            )
            out.append(trial)
        return out

    def _table_with(self, old: Phase, new: Phase) -> ParameterTable:
        """Parameters with `new` in the place of `old`, with the values found for it."""
        found = {name: self.solution.values[before] for before, name in _renamed(self.table, old, new).items()}
        full = build_parameters(_exchanged(self.phases, old, new), self.instrument, self.recipe).with_values(found)
        kept = (item for item in self.table.items if item.id.phase != old.id)
        return ParameterTable((*kept, *(item for item in full.items if item.id.phase == new.id)))

    def _models_alike(
        self,
        old: Phase,
        news: Sequence[Phase],
        tables: Mapping[str, ParameterTable],
        points: Points,
        base: PatternModel,
    ) -> Iterator[tuple[str, PatternModel]]:
        """Models with each phase in the place of `old`, by its id, that know what they are where their tables start.

        `base` is the model with `old`.
        """
        if not news:
            return
        place, x = base.phase_ids.index(old.id), points.two_theta
        own = self.table.start
        starts = {name: value for new in news for name, value in tables[new.id].start.items()}
        needed = frozenset(name for new in news for name in tables[new.id].needed)
        items = PhaseReflections.freeze_alike(news, self.instrument, x, starts, points.smear_sq)
        shoulders = base.slit[:, None] * shoulder_columns(items, starts)
        patterns = [r.pattern(own, self.table.needed) if r.phase is not old else None for r in base.reflections]
        names, n_phases = [column.name for column in base.columns], len(base.reflections)
        diffuse, shoulder = (names.index(f"{old.id}_{kind}") - n_phases for kind in ("diffuse", "shoulder"))
        found = patterns_alike(items, starts, needed)
        for new, item, form, pattern in zip(news, items, shoulders.T, found, strict=True):
            fixed = base.fixed.copy()
            fixed[:, diffuse], fixed[:, shoulder] = base.slit * item.diffuse, form
            own_names = {old.id: new.id, **{f"{old.id}_{kind}": f"{new.id}_{kind}" for kind in ("diffuse", "shoulder")}}
            columns = (
                replace(c, name=own_names.get(c.name, c.name), parent=own_names.get(c.parent, c.parent))
                if c.name in own_names or c.parent in own_names
                else c
                for c in base.columns
            )
            reflections = (*base.reflections[:place], item, *base.reflections[place + 1 :])
            model = replace(base, reflections=reflections, columns=tuple(columns), fixed=fixed)
            evaluated = model.through_slit([other or pattern for other in patterns])
            yield new.id, StartedModel.of(model, tables[new.id].start, evaluated)


def _exchanged(phases: Sequence[Phase], old: Phase, new: Phase) -> tuple[Phase, ...]:
    return tuple(new if phase.id == old.id else phase for phase in phases)


def _renamed(table: ParameterTable, old: Phase, new: Phase) -> dict[str, str]:
    """Names of the parameters of `new` by those of `old`."""
    return {i.name: replace(i.id, phase=new.id).name for i in table.items if i.id.phase == old.id}


def _share_reflections(old: Phase, new: Phase, table: ParameterTable, other: ParameterTable) -> bool:
    """Tell whether two phases have one symmetry and, with these parameters, one cell."""
    pairs = ((getattr(p, name) for p in (old, new)) for name in ("rotations", "translations", "centring"))
    if old.crystal_system != new.crystal_system or not all(np.array_equal(a, b) for a, b in pairs):
        return False
    values, cells = other.start, [item for item in table.items if item.id.kind == "cell" and item.id.phase == old.id]
    return all(values[replace(item.id, phase=new.id).name] == item.value for item in cells)


def _settling_distance(solution: Solution, points: Points, n_phases: int) -> float:
    """Standard deviations along a step below which a run ends.

    Fewer where all points together know nothing of any phase: its cell and sizes then mean nothing, and a descent
    crawls along directions that only priors tell from each other.
    """
    patterns = solution.columns[:, :n_phases] * solution.coefficients[:n_phases] / points.sigma[:, None]
    shown = n_phases == 0 or bool(((patterns**2).sum(axis=0) > _SHOWS**2).any())
    return NO_STEP if shown else _SETTLED


def _is_heavy(model: PatternModel) -> bool:
    """Tell if a fit is slow to settle."""
    return sum(len(item.pairs.point) for item in model.reflections) > _HEAVY


@dataclass(frozen=True, kw_only=True)
class Substitution:
    """A refinement with another phase in one's place, tried on points as coarse as the reflections allow.

    `cost` is χ² with priors, `inflation` the residual's χ²_ν times its autocorrelation time, both on those points.
    """

    base: Refinement
    setup: ModelSetup
    table: ParameterTable
    cost: float
    inflation: float

    def settle(self) -> Refinement:
        """Refine it on all points."""
        model = self.setup.build(self.base.points, self.table, like=self.base.model)
        return self.base._settled(self.setup, self.table, model, self.setup.recipe.max_iterations)


def initial_parameters(
    phases: Sequence[Phase], instrument: Instrument, recipe: FitRecipe | None = None
) -> lmfit.Parameters:
    """Return the fit's parameters as lmfit Parameters, to be changed and passed to a fit.

    Set ``value``, ``vary``, ``min``, ``max`` or an affine ``expr`` as in lmfit. Cells are in ångström, inverse sizes in
    1/nm, angles in degrees, lengths in mm.
    """
    return build_parameters(phases, instrument, recipe or FitRecipe()).to_lmfit()
