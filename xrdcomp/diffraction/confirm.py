"""Refinement with one more phase, and whether the phase is still itself afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from xrdcomp.diffraction.scoring import Score
from xrdcomp.diffraction.screening import SHIFTS
from xrdcomp.fit.parameters import ParameterTable, build_parameters, phase_of
from xrdcomp.fit.pattern import FitState, continue_state
from xrdcomp.physics import lattice
from xrdcomp.types import FloatArray, Phase

__all__ = ["carried_by_intensity", "cell_kept", "refine_with", "refined_cell"]

_MAIN_SHARE = 0.3
_MIN_INTENSITY_SHARE = 5e-4
_CELL_KEPT = 0.008  # mean relative change of spacings by refinement; decoys begin there
_SMALLEST_NM = 6.0  # templates have 20 nm and more; what is refined to less than a third of it follows a halo


def refine_with(state: FitState, score: Score, moved: Mapping[str, float]) -> FitState:
    """Refine with one more phase; one that dominates the pattern then gets all parameters of a main phase."""
    phase = score.phase
    state = replace(state, table=state.table.with_values(_shifted(state, score.variant.shift, moved)))
    start = {phase.id: (score.variant.strain, 1.0 / score.size_nm)}
    trial = continue_state(state, [*state.phases, phase], starts=start)
    if _bragg_share(trial, phase) < _MAIN_SHARE:
        return trial
    values = trial.solution.values
    own = f"{phase.id}_"
    full = build_parameters([phase], state.instrument, state.recipe)
    ids = [p.id for p in trial.phases]
    items = [item for item in trial.table.items if phase_of(item.name, ids) != phase.id]
    known = {item.name: values[item.name] for item in full.items if item.name in values}
    if f"{own}inverse_size_c" in full.names:
        known[f"{own}inverse_size_c"] = values[f"{own}inverse_size_a"]
    items += [item for item in full.with_values(known).items if phase_of(item.name, ids) == phase.id]
    return continue_state(replace(trial, table=ParameterTable(tuple(items))), trial.phases)


def _shifted(state: FitState, shift: float, moved: Mapping[str, float]) -> dict[str, float]:
    """Displacement, or the zero where that is refined instead, by which a template was drawn."""
    start = dict(state.solution.values) | dict(moved)
    free = {item.name for item in state.table.free}
    if "sample_displacement_mm" in free or "zero_shift" not in free:
        mm = -np.radians(shift) * state.instrument.radius_mm / 2.0
        start["sample_displacement_mm"] = start.get("sample_displacement_mm", 0.0) + mm
    else:
        start["zero_shift"] += shift
    return {name: value for name, value in start.items() if name in SHIFTS}


def _bragg_share(state: FitState, phase: Phase) -> float:
    """Share of the phase's curve in the sum of all phases' curves."""
    n = len(state.phases)
    areas = np.abs(state.solution.columns[:, :n] * state.solution.coefficients[:n]).sum(axis=0)
    return float(areas[[p.id for p in state.phases].index(phase.id)] / max(float(areas.sum()), 1e-300))


def carried_by_intensity(state: FitState, phase: Phase) -> bool:
    """Whether a refined amount is positive and real intensity stands behind it."""
    amounts = state.evidence.amounts
    amount = float(amounts.amounts[amounts.names.index(phase.id)])
    return amount > 0.0 and _bragg_share(state, phase) > _MIN_INTENSITY_SHARE


def cell_kept(state: FitState, phase: Phase) -> bool:
    """Whether refinement left cell and crystallites where the phase can be.

    Its lines otherwise ran to those of another, or spread to a halo. Apatites alone have crystals of a few nanometres.
    """
    inverse = max(state.solution.values.get(f"{phase.id}_inverse_size_{axis}", 0.0) for axis in "ac")
    if not phase.is_apatite and inverse * _SMALLEST_NM > 1.0:
        return False
    refined = lattice.cell_volume(refined_cell(phase, state.solution.values))
    nominal = lattice.cell_volume(np.array(phase.cell.parameters))
    return bool(abs(np.cbrt(refined / nominal) - 1.0) < _CELL_KEPT)


def refined_cell(phase: Phase, values: Mapping[str, float]) -> FloatArray:
    """Cell (6,) of a phase with the parameters of a fit."""
    names, freedom = lattice.cell_freedom(phase.crystal_system)
    nominal = np.array(phase.cell.parameters)
    start = np.linalg.lstsq(freedom, nominal, rcond=None)[0]
    own = [values.get(f"{phase.id}_{name}", value) for name, value in zip(names, start, strict=True)]
    cell: FloatArray = nominal + freedom @ (np.array(own) - start)
    return cell
