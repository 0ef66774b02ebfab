"""The pattern as a linear combination of columns that depend on a few non-linear parameters.

y(2θ) = s(2θ) · [ Σ_phases c_p B_p(2θ; θ) + Σ_amorphous c_a (A_a(2θ) + Σ_modes t_am M_am(2θ)) ] + Σ_k d_k K_k(2θ)

B and A are per gram on one absolute scale (electron units); s is slits and absorption; K are
instrument and air background. Scales c_p of phases are signed, amorphous and physical background terms are not
negative, shape modes t have priors of one standard deviation (in units of their component's amount).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.fit.lines import PhaseLines, build_lines, phase_columns
from xrdcomp.fit.optics import geometry_factor
from xrdcomp.fit.parameters import ParameterTable
from xrdcomp.physics import amorphous as amorphous_physics
from xrdcomp.physics import corrections, scattering
from xrdcomp.types import FloatArray, Instrument, Phase
from xrdcomp.units import two_theta_to_q

ALL_AMORPHOUS = "*"
"""Parent of modes that all amorphous components share; their prior scales with the sum of amounts."""

INELASTIC_STD = {"filter": 0.2, "monochromator": 0.6}
"""Relative uncertainty of inelastic and thermal diffuse scattering that reaches the detector: a crystal in the
diffracted beam takes out most of the Compton scattering at high angles, an energy window some of it."""

__all__ = ["ALL_AMORPHOUS", "INELASTIC_STD", "Column", "PatternModel", "build_model", "evaluate", "refreeze"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One linear term: its kind, whether it must not be negative, and its prior.

    kind : "phase", "amorphous", "mode", "background" or "correction"
    parent : name of the amorphous component whose amount is the prior standard deviation of a mode, or "*"
    relative_std : prior standard deviation of a mode in units of its parent's amount
    prior_std : fixed prior standard deviation of the coefficient (infinity: none)
    """

    name: str
    kind: str
    nonnegative: bool
    parent: str = ""
    relative_std: float = 1.0
    prior_std: float = np.inf


@dataclass(frozen=True, kw_only=True)
class PatternModel:
    """Frozen structure of one fit: lines of every phase and the columns that do not move."""

    two_theta: FloatArray
    instrument: Instrument
    lines: tuple[PhaseLines, ...]
    columns: tuple[Column, ...]
    fixed: FloatArray
    slit: FloatArray

    @property
    def phase_ids(self) -> tuple[str, ...]:
        """Ids of the phases, in the order of the first columns."""
        return tuple(item.phase.id for item in self.lines)


def build_model(
    two_theta: FloatArray,
    phases: Sequence[Phase],
    instrument: Instrument,
    table: ParameterTable,
    *,
    amorphous: Sequence[str],
    background: tuple[Sequence[Column], FloatArray],
    multipliers: Mapping[str, Mapping[tuple[int, int, int], float]] | None = None,
) -> PatternModel:
    """Freeze lines and fixed columns.

    Parameters
    ----------
    amorphous : names of amorphous components (keys of ``physics.amorphous.AMORPHOUS``)
    background : columns and their (n, k) values
    multipliers : phase id → hkl → factor on its intensity (peaks mode)
    """
    factors = multipliers or {}
    slit = geometry_factor(instrument, two_theta)
    columns = [Column(name=p.id, kind="phase", nonnegative=False) for p in phases]
    values: list[FloatArray] = []
    q = two_theta_to_q(two_theta, instrument.wavelength)
    weight = sum(line.weight for line in instrument.emission_lines)
    factor = (
        weight
        * slit
        * corrections.polarization(
            two_theta,
            monochromator_two_theta=instrument.monochromator_two_theta,
            polarization_fraction=instrument.polarization_fraction,
        )
    )
    for name in amorphous:
        component = amorphous_physics.AMORPHOUS[name]
        columns.append(Column(name=name, kind="amorphous", nonnegative=True))
        values.append((factor * amorphous_physics.scattering_per_gram(component, q))[:, None])
    for name in amorphous:
        modes = amorphous_physics.shape_modes(amorphous_physics.AMORPHOUS[name], q)
        columns += [
            Column(name=f"{name}_mode_{k}", kind="mode", nonnegative=False, parent=name)
            for k in range(modes.shape[1])
        ]
        values.append(factor[:, None] * modes)
    if amorphous:
        smooth = amorphous_physics.smooth_modes(q)
        columns += [
            Column(name=f"smooth_mode_{k}", kind="mode", nonnegative=False, parent=ALL_AMORPHOUS)
            for k in range(smooth.shape[1])
        ]
        values.append(factor[:, None] * smooth)
    start = {item.name: item.value for item in table.items}
    lines = tuple(build_lines(p, instrument, two_theta, start, multipliers=factors.get(p.id)) for p in phases)
    window = INELASTIC_STD["filter" if instrument.monochromator_two_theta is None else "monochromator"]
    for item in lines:
        name = item.phase.id
        column = Column(
            name=f"{name}_diffuse", kind="mode", nonnegative=False, parent=name, relative_std=window
        )
        columns.append(column)
        values.append((slit * item.diffuse)[:, None])
    for name in amorphous:
        column = Column(
            name=f"{name}_compton", kind="mode", nonnegative=False, parent=name, relative_std=window
        )
        columns.append(column)
        fractions = amorphous_physics.mass_fractions(amorphous_physics.AMORPHOUS[name].atoms)
        values.append((factor * scattering.incoherent_per_gram(fractions, q))[:, None])
    columns += list(background[0])
    values.append(background[1])
    return PatternModel(
        two_theta=two_theta,
        instrument=instrument,
        lines=lines,
        columns=tuple(columns),
        fixed=np.concatenate(values, axis=1),
        slit=slit,
    )


def refreeze(model: PatternModel, values: Mapping[str, float]) -> PatternModel:
    """Rebuild nodes and windows for new parameter values (between least-squares runs, never within one)."""
    lines = tuple(
        build_lines(
            item.phase, model.instrument, model.two_theta, values, multipliers=item.intensity_factors()
        )
        for item in model.lines
    )
    return replace(model, lines=lines)


def evaluate(
    model: PatternModel, values: Mapping[str, float], needed: frozenset[str]
) -> tuple[FloatArray, list[dict[str, FloatArray]]]:
    """Columns of the phases and the derivatives of each.

    Returns
    -------
    columns : (n, phases) array: the first of ``model.columns``; the others are ``model.fixed``
    derivatives : list of dict name → (n,) array, one dict per phase
    """
    bases, derivatives = [], []
    for lines in model.lines:
        basis, slopes = phase_columns(lines, model.instrument, values, needed)
        bases.append((model.slit * basis)[:, None])
        derivatives.append({name: model.slit * column for name, column in slopes.items()})
    empty = np.empty((len(model.two_theta), 0))
    return np.concatenate([empty, *bases], axis=1), derivatives
