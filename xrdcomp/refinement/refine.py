"""One phase of a finished fit exchanged for another of the same structure type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.data import Instrument, Pattern, Phase
from xrdcomp.errors import AnalysisError
from xrdcomp.physics import profiles
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.covariance import Evidence, collect_evidence, residual_inflation
from xrdcomp.refinement.model import (
    ModelChoice,
    PatternModel,
    allowed_bins,
    binned,
    halo_pieces,
    narrowest_line,
    refreeze,
)
from xrdcomp.refinement.parameters import ParameterTable, build_parameters, minor_parameters, phase_of
from xrdcomp.refinement.reflections import PhaseLines, line_properties
from xrdcomp.refinement.result import POOR_FIT_GOF, summarize
from xrdcomp.refinement.solver import LeastSquares, Solution, minimize, minimize_lmfit, solve_linear
from xrdcomp.results import FitResult
from xrdcomp.units import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import lmfit

# ------------ Peaks mode: positions and widths from the cell and the profile, intensities free and non-
# negative.
# For textured or unknown material relative intensities of the structure may be wrong. Reflections that overlap
# within a third of their width form one group whose intensity is a linear unknown; groups and background are
# solved by non-negative least squares, the non-linear parameters are refined with these intensities, and the two
# alternate [as in Le Bail, Duroy & Fourquet 1988 Mater. Res. Bull. 23, 447, with least squares in place of their
# partition]. The structure's total intensity stays the scale, so that amounts keep their meaning.

_OVERLAP = 0.35  # of the width


@dataclass(frozen=True, kw_only=True)
class GroupedLines:
    """Bragg pattern of one gram of a phase, reflections that overlap taken together.

    Attributes
    ----------
    columns : (n, groups) array
        All emission lines.
    group : (reflections,) integer array
        The group of each reflection.
    strongest : (n,) array
        All reflections in the strongest emission line alone.
    """

    columns: FloatArray
    group: IntArray
    strongest: FloatArray


def group_columns(model: PatternModel, index: int, values: dict[str, float]) -> GroupedLines:
    """Pattern of each group of reflections that lie within a third of a width of their neighbour.

    Parameters
    ----------
    index : int
        Which phase of the model.
    """
    lines = model.lines[index]
    properties = line_properties(lines, model.instrument, values, slopes=False)
    widths = profiles.tch_widths(properties.gauss, properties.lorentz)
    strongest = lines.wavelength == model.instrument.wavelength
    group = _groups(lines, strongest, properties.position, widths.fwhm)
    per_line = np.diff(lines.indptr)
    offset = lines.two_theta_points[lines.point] - np.repeat(properties.position, per_line)
    shape = profiles.pseudo_voigt_value(
        offset, np.repeat(widths.fwhm, per_line), np.repeat(widths.eta, per_line)
    )
    shape *= np.repeat(properties.intensity, per_line)
    n_groups = int(group.max(initial=-1)) + 1
    flat = np.repeat(group[lines.reflection], per_line) + n_groups * lines.point.astype(np.int64)
    n = len(model.two_theta)
    columns = np.bincount(flat, shape, minlength=n_groups * n).reshape(n, n_groups)
    alone = np.bincount(lines.point, np.where(np.repeat(strongest, per_line), shape, 0.0), minlength=n)
    return GroupedLines(
        columns=columns * model.slit[:, None], group=group, strongest=np.asarray(alone * model.slit)
    )


def _groups(lines: PhaseLines, strongest: BoolArray, position: FloatArray, fwhm: FloatArray) -> IntArray:
    """Number the groups by the strongest emission line, by another where that one is outside the scan."""
    n = len(lines.hkl)
    centre, width = np.full(n, 1e9), np.full(n, 0.1)
    for chosen in (~strongest, strongest):
        centre[lines.reflection[chosen]] = position[chosen]
        width[lines.reflection[chosen]] = fwhm[chosen]
    order = np.argsort(centre)
    new = np.diff(centre[order], prepend=-1e9) > _OVERLAP * width[order]
    group = np.empty(n, dtype=np.int64)
    group[order] = np.cumsum(new) - 1
    return group


def with_free_intensities(
    model: PatternModel, solution: Solution, intensity: FloatArray, sigma: FloatArray
) -> PatternModel:
    """Solve the intensities of all groups and put them into the model's lines.

    Parameters
    ----------
    intensity, sigma : (n,) arrays on the model's points
    """
    parts = [group_columns(model, k, solution.values) for k in range(len(model.lines))]
    n_phases = len(model.lines)
    smooth = [(solution.columns[:, k] - part.columns.sum(axis=1))[:, None] for k, part in enumerate(parts)]
    free = np.concatenate([*(part.columns for part in parts), *smooth, model.fixed], axis=1) / sigma[:, None]
    n_groups = sum(part.columns.shape[1] for part in parts)
    prior = np.concatenate([np.zeros(n_groups), np.zeros(n_phases), solution.linear_prior[n_phases:]])
    nonnegative = np.array(
        [True] * n_groups + [True] * n_phases + [c.nonnegative for c in model.columns[n_phases:]]
    )
    gram = free.T @ free
    gram[np.diag_indices_from(gram)] += prior + 1e-10 * np.diag(gram)
    found = solve_linear(gram, free.T @ (intensity / sigma), nonnegative).coefficients[:n_groups]
    lines = []
    for item, part in zip(model.lines, parts, strict=True):
        area = part.columns.sum(axis=0)
        values, found = found[: len(area)], found[len(area) :]
        mean = float(values @ area) / max(float(area.sum()), 1e-300)
        if mean > 0.0:
            item = replace(item, multiplier=item.multiplier * (values / mean)[part.group])
        lines.append(item)
    return replace(model, lines=tuple(lines))


# ------------ A constant shift or a displaced specimen: which one the angles show, and what stays open
# between them.

_SYSTEMATIC_COST = 20.0
"""By how much what no model has (aberrations, the skew spectrum behind broad lines) may favour the wrong one of the
two, in units of the cost: up to 33 on simulated apatites of 3 000 to 30 000 counts."""


def zero_or_displacement(
    model: PatternModel,
    table: ParameterTable,
    solution: Solution,
    data: tuple[FloatArray, FloatArray],
    negligible: float,
) -> tuple[ParameterTable, Solution, Mapping[str, float]]:
    """Let the lines' angles decide whether a constant shift explains them better than a displacement.

    The two differ by a factor cosθ only and must not both be free: their difference trades with the cell.

    Parameters
    ----------
    model : PatternModel
    table, solution : ParameterTable, Solution
        With the displacement free.
    data : intensities and standard deviations on the model's points
    negligible : float, degrees
        A smaller shift needs no decision.

    Returns
    -------
    table, solution : of the better one
    doubt : mapping
        Standard deviation of the cells and of the shift from the choice: √p times what the other one changes, with
        p = 1 / (1 + exp(Δ / (2 · 20))), Δ its excess cost over χ²_ν.
    """
    displacement = solution.values["sample_displacement_mm"]
    radius = model.instrument.radius_mm
    shift = -np.degrees(2.0 * displacement / radius) * np.cos(np.radians(model.two_theta.mean() / 2))
    if abs(shift) < negligible:
        return table, solution, {}
    known = model.instrument.zero_shift
    items = []
    for item in table.with_values(solution.values).items:
        if item.name == "sample_displacement_mm":
            std = float(np.degrees(2.0 * item.prior_std / radius))
            start = float(known + shift)
            item = replace(item, name="zero_shift", value=start, low=-2.0, high=2.0, prior_std=std, step=std)
            item = replace(item, prior_mean=known, unit="deg", meaning="observed - true")
        items.append(item)
    other = ParameterTable(tuple(items))
    trial = minimize(model, other, *data, max_iterations=12, tolerance=1e-3)
    doubt = _doubt(table, solution, trial, known)
    return (other, trial, doubt) if trial.cost < solution.cost else (table, solution, doubt)


def _doubt(table: ParameterTable, moved: Solution, shifted: Solution, known: float) -> dict[str, float]:
    """Standard deviations between a displaced (`moved`) and a shifted solution."""
    n = len(moved.columns)
    scatter = max(1.0, min(moved.cost, shifted.cost) / n)
    excess = abs(moved.cost - shifted.cost) / scatter
    share = float(np.sqrt(1.0 / (1.0 + np.exp(min(excess / (2.0 * _SYSTEMATIC_COST), 50.0)))))
    cells = [item.name for item in table.free if item.meaning == "cell"]
    out = {name: share * abs(moved.values[name] - shifted.values[name]) for name in cells}
    out["sample_displacement_mm"] = share * abs(moved.values["sample_displacement_mm"])
    out["zero_shift"] = share * abs(shifted.values["zero_shift"] - known)
    return out


# ------------ fit_pattern: from a pattern, phases and an instrument to a FitResult.

DEFAULT_AMORPHOUS = ("protein", "lipid", "water", "amorphous_calcium_phosphate")
MIN_TWO_THETA = 5.0
"""Below this angle the direct beam and the beam knife decide the counts."""

PHASE_PER_GRAM_STD = 0.03
"""Relative standard uncertainty of a crystal's calculated intensity per gram: structure, B, microabsorption."""

_START_SIZES = (0.01, 0.04, 0.1)
_MIN_POINTS = 50
_ROUGH_POINTS = 1500
_Data = tuple[FloatArray, FloatArray, FloatArray]
_PEAK_ROUNDS = 3
_HOPELESS_ITERATIONS = 2  # on all points, where the fit to binned ones does not describe the pattern, and
_HEAVY = 2_000_000  # points under lines, which a broad pattern of many lines on a fine scan has
_STRAY = 0.015  # three standard deviations of a cell's prior
_CLEAR_COUNTS = 20.0  # a Poisson mean at which a zero has a chance of 2e-9


@dataclass(frozen=True, kw_only=True)
class FitState:
    """A finished minimisation with everything needed to go on from it (identification, other phases).

    `shift_std` is what is open of cell and shift because zero and displacement are hard to tell apart.
    """

    pattern: Pattern
    phases: tuple[Phase, ...]
    instrument: Instrument
    recipe: FitRecipe
    blank: Pattern | None
    two_theta: FloatArray
    intensity: FloatArray
    sigma: FloatArray
    table: ParameterTable
    model: PatternModel
    solution: Solution
    evidence: Evidence
    dead_points: int = 0
    shift_std: Mapping[str, float] = field(default_factory=dict)


def select_points(pattern: Pattern, recipe: FitRecipe) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Points of the fit: the recipe's range, else everything above `MIN_TWO_THETA`.

    Raises
    ------
    AnalysisError
        Fewer than 50 points are left, or the intensities are all alike.
    """
    low, high = recipe.two_theta_range or (MIN_TWO_THETA, 180.0)
    inside = (pattern.two_theta >= low - 1e-9) & (pattern.two_theta <= high + 1e-9) & ~dead_points(pattern)
    if inside.sum() < _MIN_POINTS:
        msg = (
            f"only {int(inside.sum())} points lie in {low:g}-{high:g}°; the scan covers {pattern.two_theta[0]:g}-"
            f"{pattern.two_theta[-1]:g}° and a fit needs at least {_MIN_POINTS}. Change --range."
        )
        raise AnalysisError(msg)
    x, y, s = pattern.two_theta[inside], pattern.intensity[inside], pattern.sigma[inside]
    if np.ptp(y) == 0.0:
        msg = f"all {len(y)} intensities in the range are {y[0]:g}: there is nothing to fit."
        raise AnalysisError(msg)
    return x, y, s


def dead_points(pattern: Pattern) -> BoolArray:
    """Zeros that end or begin a scan beside a clearly non-zero level: padding of the file, not counts."""
    dead = np.zeros(len(pattern), dtype=bool)
    live = np.flatnonzero(pattern.intensity > 0.0)
    if len(live) < _MIN_POINTS:
        return dead
    first, last = int(live[0]), int(live[-1])
    if pattern.intensity[first : first + 10].mean() > _CLEAR_COUNTS:
        dead[:first] = True
    if pattern.intensity[last - 9 : last + 1].mean() > _CLEAR_COUNTS:
        dead[last + 1 :] = True
    return dead


def initial_parameters(
    phases: Sequence[Phase], instrument: Instrument, recipe: FitRecipe | None = None
) -> lmfit.Parameters:
    """Return the fit's parameters as lmfit Parameters, to be changed and passed to `fit_pattern`.

    Set ``value``, ``vary``, ``min``, ``max`` or an affine ``expr`` as in lmfit.

    Parameters
    ----------
    phases : sequence of Phase
    instrument : Instrument
    recipe : FitRecipe, optional

    Returns
    -------
    lmfit.Parameters
        Cell in ångström, inverse sizes in 1/nm, angles in degrees, lengths in mm.
    """
    return build_parameters(phases, instrument, recipe or FitRecipe()).to_lmfit()


def fit_pattern(
    pattern: Pattern,
    phases: Sequence[Phase],
    instrument: Instrument,
    recipe: FitRecipe | None = None,
    *,
    blank: Pattern | None = None,
    params: lmfit.Parameters | None = None,
) -> FitResult:
    """Fit a whole pattern with crystalline phases, amorphous components and a background.

    Parameters
    ----------
    pattern : Pattern
    phases : sequence of Phase
        Phases with atoms; their relative intensities follow from the structure.
    instrument : Instrument
    recipe : FitRecipe, optional
    blank : Pattern, optional
        Empty-holder scan, scaled into the background.
    params : lmfit.Parameters, optional
        From `initial_parameters`, changed by the user.

    Returns
    -------
    FitResult
        Angles in degrees, lengths in ångström, sizes in nm, amounts signed on one common scale.

    Raises
    ------
    AnalysisError
        Too few points, a phase without atoms, a blank that does not cover the range.
    """
    return summarize(fit_state(pattern, phases, instrument, recipe, blank=blank, params=params))


def fit_state(
    pattern: Pattern,
    phases: Sequence[Phase],
    instrument: Instrument,
    recipe: FitRecipe | None = None,
    *,
    blank: Pattern | None = None,
    params: lmfit.Parameters | None = None,
    hopeless_gof: float = np.inf,
) -> FitState:
    """Run the minimisation behind `fit_pattern` and keep its internals.

    Parameters
    ----------
    pattern : Pattern
    phases : sequence of Phase
    instrument : Instrument
    recipe : FitRecipe, optional
    blank : Pattern, optional
        Scan of the empty holder.
    params : lmfit.Parameters, optional
        Changed `initial_parameters`.
    hopeless_gof : float
        Goodness of fit after the first rough fit beyond which the phases are given up and none is fitted; smaller
        gives up earlier.

    Returns
    -------
    FitState
    """
    recipe = recipe or FitRecipe()
    columns, table, data = _prepared(pattern, phases, instrument, (recipe, blank, params))
    found = _minimised(columns, table, data, hopeless_gof)
    if found is None:
        return fit_state(pattern, (), instrument, recipe, blank=blank)
    return replace(finished_state(pattern, columns, data, found[:3]), shift_std=found[3])


def trial_gof(
    pattern: Pattern,
    phases: Sequence[Phase],
    instrument: Instrument,
    recipe: FitRecipe,
    *,
    blank: Pattern | None = None,
    hopeless_gof: float = np.inf,
) -> float:
    """Goodness of fit of `fit_state`, infinity where the phases are given up; parameters as there.

    Returns
    -------
    float
    """
    columns, table, data = _prepared(pattern, phases, instrument, (recipe, blank, None))
    if columns.phases:
        rough = binned(data, max(1, len(data[0]) // _ROUGH_POINTS))
        table, cost = _rough_fit(columns, table, rough, columns.build(*rough[:2], table, shoulders=False))
        if cost > hopeless_gof**2 * len(data[0]):
            return np.inf
    fine = columns.build(*data[:2], table, shoulders=False)
    return _run(columns, table, data, fine)[2].goodness(*data[1:])


def _prepared(
    pattern: Pattern,
    phases: Sequence[Phase],
    instrument: Instrument,
    settings: tuple[FitRecipe, Pattern | None, lmfit.Parameters | None],
) -> tuple[ModelChoice, ParameterTable, _Data]:
    """What the model is made of, its parameters, and the points: two_theta, intensity, sigma."""
    recipe, blank, params = settings
    without = [p.id for p in phases if not p.quantifiable]
    if without:
        msg = f"{', '.join(without)}: known by line positions only, without atoms; it cannot be fitted, only searched."
        raise AnalysisError(msg)
    data = select_points(pattern, recipe)
    flexible = recipe.background == "flexible"
    amorphous = recipe.amorphous if recipe.amorphous is not None else (() if flexible else DEFAULT_AMORPHOUS)
    table = build_parameters(phases, instrument, recipe)
    if params is not None:
        table = table.from_lmfit(params)
    halos = halo_pieces(recipe, tuple(amorphous))
    return ModelChoice(phases, instrument, recipe, halos, blank, params is not None), table, data


def _minimised(
    columns: ModelChoice, table: ParameterTable, data: _Data, hopeless_gof: float
) -> tuple[PatternModel, ParameterTable, Solution, Mapping[str, float]] | None:
    """Model, parameters, solution and what shift and displacement leave open; None where the phases are given up."""
    fine = columns.build(*data[:2], table, shoulders=False)
    if columns.phases:
        table, cost = _rough_fit(columns, table, data, fine)
        if cost > hopeless_gof**2 * len(data[0]):
            return None
    return _run(columns, table, data, fine)


def continue_state(
    state: FitState,
    phases: Sequence[Phase],
    *,
    starts: Mapping[str, tuple[float, float]] | None = None,
) -> FitState:
    """Refine again with other phases, starting from where a fit ended.

    Parameters
    ----------
    state : FitState
    phases : sequence of Phase
        Those that `state` has keep their parameters; new ones get a cell and one size.
    starts : mapping
        Phase id → (relative change of spacings, inverse size in 1/nm) of new phases.
    """
    starts = starts or {}
    old = {p.id for p in state.phases}
    gone = old - {p.id for p in phases}
    items = [item for item in state.table.items if phase_of(item.name, old) not in gone]
    for phase in phases:
        if phase.id not in old:
            strain, inverse = starts.get(phase.id, (0.0, 0.0125))
            items += minor_parameters(phase, strain=strain, inverse_size=inverse)
    table = ParameterTable(tuple(items))
    x, y, s = state.two_theta, state.intensity, state.sigma
    amorphous = tuple(c.name for c in state.model.columns if c.kind == "amorphous")
    columns = ModelChoice(phases, state.instrument, state.recipe, amorphous, state.blank)
    fine = columns.build(x, y, table, like=state.model, shoulders=False)
    limit = state.recipe.max_iterations
    coarse = binned((x, y, s), allowed_bins(fine, table, x))
    model = columns.build(*coarse[:2], table, like=fine)
    solution = minimize(model, table, *coarse[1:], max_iterations=limit, tolerance=1e-3)
    table = table.with_values(solution.values)
    model = columns.build(x, y, table, like=fine)
    heavy = sum(len(item.point) for item in model.lines) > _HEAVY
    if heavy and solution.cost > POOR_FIT_GOF**2 * len(x):
        limit = min(limit, _HOPELESS_ITERATIONS)
    solution = minimize(model, table, y, s, max_iterations=limit, tolerance=1e-4)
    table = table.with_values(solution.values)
    done = finished_state(state.pattern, columns, (x, y, s), (model, table, solution))
    return replace(done, shift_std=state.shift_std)


def finished_state(
    pattern: Pattern,
    columns: ModelChoice,
    data: _Data,
    result: tuple[PatternModel, ParameterTable, Solution],
) -> FitState:
    """Bundle a minimisation with what it says about amounts.

    Parameters
    ----------
    pattern : Pattern
    columns : ModelChoice
    data : two_theta, intensity and sigma on all points of the fit
    result : model, parameters and solution on these points

    Returns
    -------
    FitState
    """
    x, y, s = data
    model, table, solution = result
    spread = (PHASE_PER_GRAM_STD, columns.recipe.per_gram_std)
    return FitState(
        pattern=pattern,
        phases=tuple(columns.phases),
        instrument=columns.instrument,
        recipe=columns.recipe,
        blank=columns.blank,
        two_theta=x,
        intensity=y,
        sigma=s,
        table=table,
        model=model,
        solution=solution,
        evidence=collect_evidence(
            model,
            solution,
            y,
            s,
            per_gram_std=spread,
            grain_size_um=columns.recipe.grain_size_um,
            known_grains_um=columns.recipe.grain_sizes_um,
        ),
        dead_points=int(dead_points(pattern).sum()),
    )


def _rough_fit(
    columns: ModelChoice,
    table: ParameterTable,
    data: _Data,
    fine: PatternModel,
) -> tuple[ParameterTable, float]:
    """Find a good start on a thinned pattern: the best of three crystallite sizes, then a first fit; its cost."""
    x, y, s = binned(data, max(1, len(data[0]) // _ROUGH_POINTS))
    best: tuple[float, ParameterTable, PatternModel] | None = None
    base = columns.build(x, y, table, like=fine, shoulders=False)
    problem: LeastSquares | None = None
    for inverse in (None,) if columns.user_parameters else _START_SIZES:
        sizes = {i.name: inverse for i in table.items if inverse and "_inverse_size_" in i.name}
        trial = table.with_values(sizes)
        held = ParameterTable(tuple(replace(item, vary=False) for item in trial.items))
        model = refreeze(base, {item.name: item.value for item in trial.items})
        problem = LeastSquares(model, held, y, s, like=problem)
        cost = problem.start(np.empty(0)).cost
        if best is None or cost < best[0]:
            best = (cost, trial, model)
    assert best is not None
    _, table, model = best
    more = allowed_bins(model, table, x)
    if more > 1:
        x, y, s = binned((x, y, s), more)
        model = columns.build(x, y, table, like=model, shoulders=False)
    limit = columns.recipe.max_iterations
    solution = minimize(model, table, y, s, max_iterations=limit, tolerance=3e-3)
    recalled = None if columns.user_parameters else _without_strays(columns.phases, table, solution)
    if recalled is not None:
        model = refreeze(model, {item.name: item.value for item in recalled.items})
        other = minimize(model, recalled, y, s, max_iterations=limit, tolerance=3e-3)
        solution = other if other.cost < solution.cost else solution
    return table.with_values(solution.values), solution.cost


def _without_strays(
    phases: Sequence[Phase], start: ParameterTable, solution: Solution
) -> ParameterTable | None:
    """Where a fit ended, with phases whose cell ran off at their start again; None where no cell did, or all.

    Before displacement and widths are right, a phase of few or weak lines may stretch its cell to its limits and
    fill gaps of others; from there no descent leads back.
    """
    ids = [phase.id for phase in phases]
    off = {
        phase_of(item.name, ids)
        for item in start.items
        if item.meaning == "cell" and abs(solution.values[item.name] / item.value - 1.0) > _STRAY
    }
    kept = {name: value for name, value in solution.values.items() if phase_of(name, ids) not in off}
    return start.with_values(kept) if off and len(off) < len(ids) else None


def _run(
    columns: ModelChoice,
    table: ParameterTable,
    data: _Data,
    fine: PatternModel,
) -> tuple[PatternModel, ParameterTable, Solution, Mapping[str, float]]:
    """Minimise on points as coarse as the lines allow, then settle on all points.

    Windows and quadrature nodes are frozen within a least-squares run and rebuilt between runs.
    """
    recipe = columns.recipe
    fwhm, step = narrowest_line(fine, table), float(np.median(np.diff(data[0])))
    x, y, s = binned(data, allowed_bins(fine, table, data[0]))
    model = columns.build(x, y, table, like=fine)
    solution = minimize(model, table, y, s, max_iterations=recipe.max_iterations, tolerance=1e-3)
    doubt: Mapping[str, float] = {}
    if recipe.displacement and not recipe.zero_shift and columns.phases and not columns.user_parameters:
        negligible = max(0.25 * step, 0.04 * fwhm)
        table, solution, doubt = zero_or_displacement(model, table, solution, (y, s), negligible)
    table = table.with_values(solution.values)
    if recipe.mode == "peaks":
        for _ in range(_PEAK_ROUNDS):
            model = refreeze(with_free_intensities(model, solution, y, s), solution.values)
            solution = minimize(model, table, y, s, max_iterations=recipe.max_iterations, tolerance=1e-3)
            table = table.with_values(solution.values)
    if not columns.phases and len(y) == len(data[1]) and recipe.solver != "lmfit":
        return model, table, solution, doubt  # nothing moves: a second run would find the same
    x, y, s = data
    pairs = zip(fine.lines, model.lines, strict=True)
    fine = replace(fine, lines=tuple(replace(a, multiplier=b.multiplier) for a, b in pairs))
    model = columns.build(x, y, table, like=fine)
    if recipe.solver == "lmfit":
        solution = minimize_lmfit(model, table, y, s)
    else:
        solution = minimize(model, table, y, s, max_iterations=recipe.max_iterations, tolerance=1e-4)
    return model, table.with_values(solution.values), solution, doubt


# ------------ One phase of a finished fit exchanged for another of the same structure type.


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A fit with another phase in one's place, on points as coarse as the lines allow.

    `cost` is χ² with priors, `inflation` the residual's χ²_ν times its autocorrelation time, both on those points.
    """

    phase: Phase
    phases: tuple[Phase, ...]
    table: ParameterTable
    cost: float
    inflation: float


def exchange_phase(
    state: FitState, old: Phase, new: Phase, *, max_iterations: int = 6, tolerance: float = 1e-3
) -> Exchange:
    """Fit again with `new` in the place of `old`, starting from cell, sizes and texture found for `old`.

    Parameters
    ----------
    state : FitState
    old, new : Phase
        Of one structure type, so that parameters of one serve the other; the same phase twice gives the fit to compare
        with.
    max_iterations : int
        Few suffice: the lines are where they were.
    tolerance : float
        Share of χ² below which an improvement ends the fit; larger is coarser and faster.

    Returns
    -------
    Exchange
    """
    phases = tuple(new if phase.id == old.id else phase for phase in state.phases)
    ids = [phase.id for phase in state.phases]
    found = {f"{new.id}{name[len(old.id) :]}": value for name, value in state.solution.values.items()
             if phase_of(name, ids) == old.id}  # fmt: skip
    own = [item for item in build_parameters(phases, state.instrument, state.recipe).with_values(found).items
           if phase_of(item.name, [p.id for p in phases]) == new.id]  # fmt: skip
    kept = [item for item in state.table.items if phase_of(item.name, ids) != old.id]
    table = ParameterTable((*kept, *own))
    data = (state.two_theta, state.intensity, state.sigma)
    x, y, s = binned(data, allowed_bins(state.model, state.table, data[0]))
    model = _columns(state, phases).build(x, y, table, like=state.model)
    solution = minimize(model, table, y, s, max_iterations=max_iterations, tolerance=tolerance)
    residual = (y - solution.columns @ solution.coefficients) / s
    inflation, _ = residual_inflation(residual, int(solution.active.sum()) + solution.jacobian.shape[1])
    return Exchange(
        phase=new,
        phases=phases,
        table=table.with_values(solution.values),
        cost=solution.cost,
        inflation=inflation,
    )


def finish_exchange(state: FitState, exchange: Exchange) -> FitState:
    """Settle an exchange on all points.

    Parameters
    ----------
    state : FitState
        What `exchange_phase` was given.
    exchange : Exchange

    Returns
    -------
    FitState
    """
    columns, data = _columns(state, exchange.phases), (state.two_theta, state.intensity, state.sigma)
    model = columns.build(*data[:2], exchange.table, like=state.model)
    limit = state.recipe.max_iterations
    solution = minimize(model, exchange.table, *data[1:], max_iterations=limit, tolerance=1e-4)
    table = exchange.table.with_values(solution.values)
    return finished_state(state.pattern, columns, data, (model, table, solution))


def _columns(state: FitState, phases: tuple[Phase, ...]) -> ModelChoice:
    amorphous = tuple(c.name for c in state.model.columns if c.kind == "amorphous")
    return ModelChoice(phases, state.instrument, state.recipe, amorphous, state.blank)
