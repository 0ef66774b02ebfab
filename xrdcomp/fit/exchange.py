"""One phase of a finished fit exchanged for another of the same structure type."""

from __future__ import annotations

from dataclasses import dataclass

from xrdcomp.fit.building import ModelChoice, allowed_bins, binned
from xrdcomp.fit.evidence import residual_inflation
from xrdcomp.fit.parameters import ParameterTable, build_parameters, phase_of
from xrdcomp.fit.pattern import FitState, finished_state
from xrdcomp.fit.varpro import minimize
from xrdcomp.types import Phase

__all__ = ["Exchange", "exchange_phase", "finish_exchange"]


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
