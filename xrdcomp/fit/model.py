"""The pattern as a linear combination of columns that depend on a few non-linear parameters.

y(2θ) = s(2θ) · [ Σ_phases c_p B_p(2θ; θ) + Σ_amorphous c_a (A_a(2θ) + Σ_modes t_am M_am(2θ)) ] + Σ_k d_k K_k(2θ)

B and A are per gram on one absolute scale (electron units); s is slits and absorption; K are
instrument and air background. Scales c_p of phases are signed, amorphous and physical background terms are not
negative, shape modes t have priors of one standard deviation (in units of their component's amount).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from xrdcomp.fit.halo import MeasuredHalo, measured_columns
from xrdcomp.fit.lines import PhaseLines, build_lines, phase_columns, refreeze_lines
from xrdcomp.fit.optics import geometry_factor, polarization
from xrdcomp.fit.parameters import ParameterTable
from xrdcomp.physics import amorphous as amorphous_physics
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
    halo : whether it belongs to the amorphous components, which depend on nothing that is refined
    """

    name: str
    kind: str
    nonnegative: bool
    parent: str = ""
    relative_std: float = 1.0
    prior_std: float = np.inf
    halo: bool = False


@dataclass(frozen=True, kw_only=True)
class PatternModel:
    """Frozen structure of one fit: lines of every phase and the columns that do not move."""

    two_theta: FloatArray
    instrument: Instrument
    lines: tuple[PhaseLines, ...]
    columns: tuple[Column, ...]
    fixed: FloatArray
    slit: FloatArray

    @cached_property
    def plain(self) -> bool:
        """Whether slits and absorption change nothing."""
        return bool((self.slit == 1.0).all())

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
    amorphous: Sequence[str | MeasuredHalo],
    background: tuple[Sequence[Column], FloatArray],
    like: PatternModel | None = None,
) -> PatternModel:
    """Freeze lines and fixed columns.

    Parameters
    ----------
    amorphous : names of amorphous components (keys of ``physics.amorphous.AMORPHOUS``), or measured ones
    background : columns and their (n, k) values
    like : PatternModel, optional
        A model with the same amorphous components, on the same points or on those that were binned to these: its
        reflections, with their intensities, and its halos are taken over.
    """
    columns = [Column(name=p.id, kind="phase", nonnegative=False) for p in phases]
    start = {item.name: item.value for item in table.items}
    if like is None:
        slit = geometry_factor(instrument, two_theta)
        halo_columns, halos = _halo_columns(two_theta, instrument, slit, amorphous)
        known: dict[str, PhaseLines] = {}
    else:
        n_halos = sum(c.halo for c in like.columns)
        halo_columns = [c for c in like.columns if c.halo]
        slit, halos = (_to_bins(a, len(two_theta)) for a in (like.slit, like.fixed[:, :n_halos]))
        known = {item.phase.id: _on_points(item, two_theta) for item in like.lines}
    columns += halo_columns
    values = [halos]
    lines = tuple(
        refreeze_lines(known[p.id], instrument, start)
        if p.id in known
        else build_lines(p, instrument, two_theta, start)
        for p in phases
    )
    window = _inelastic_std(instrument)
    for item in lines:
        name = item.phase.id
        column = Column(
            name=f"{name}_diffuse", kind="mode", nonnegative=False, parent=name, relative_std=window
        )
        columns.append(column)
        values.append((slit * item.diffuse)[:, None])
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


def _inelastic_std(instrument: Instrument) -> float:
    return INELASTIC_STD["filter" if instrument.monochromator_two_theta is None else "monochromator"]


def _halo_columns(
    two_theta: FloatArray,
    instrument: Instrument,
    slit: FloatArray,
    amorphous: Sequence[str | MeasuredHalo],
) -> tuple[list[Column], FloatArray]:
    """Amorphous components and everything whose form is theirs: shape modes, smooth modes, Compton scattering."""
    columns: list[Column] = []
    values: list[FloatArray] = [np.empty((len(two_theta), 0))]
    q = two_theta_to_q(two_theta, instrument.wavelength)
    weight = sum(line.weight for line in instrument.emission_lines)
    factor = weight * slit * polarization(two_theta, instrument)
    calculated = {
        name: amorphous_physics.halo_columns(amorphous_physics.AMORPHOUS[name], q)
        for name in amorphous
        if isinstance(name, str)
    }
    flat = {}
    for item in amorphous:
        if isinstance(item, str):
            name, curve = item, calculated[item].per_gram
        else:
            name = item.name
            curve, flat[name] = measured_columns(item, q)
        columns.append(Column(name=name, kind="amorphous", nonnegative=True, halo=True))
        values.append((factor * curve)[:, None])
    for name, parts in calculated.items():
        columns += [_mode(f"{name}_mode_{k}", name) for k in range(parts.modes.shape[1])]
        values.append(factor[:, None] * parts.modes)
    for name, change in flat.items():
        columns.append(_mode(f"{name}_flat", name))
        values.append((factor * change)[:, None])
    if amorphous:
        smooth = amorphous_physics.smooth_modes(q)
        columns += [_mode(f"smooth_mode_{k}", ALL_AMORPHOUS) for k in range(smooth.shape[1])]
        values.append(factor[:, None] * smooth)
    window = _inelastic_std(instrument)
    for name, parts in calculated.items():
        columns.append(_mode(f"{name}_compton", name, window))
        values.append((factor * parts.incoherent)[:, None])
    return columns, np.concatenate(values, axis=1)


def _mode(name: str, parent: str, relative_std: float = 1.0) -> Column:
    return Column(
        name=name, kind="mode", nonnegative=False, parent=parent, relative_std=relative_std, halo=True
    )


def _to_bins(values: FloatArray, n: int) -> FloatArray:
    """Means of as many neighbours along the first axis as leave n."""
    k = len(values) // n
    if k == 1:
        return values
    out: FloatArray = values[: n * k].reshape(n, k, -1).mean(axis=1)
    return out.reshape(n, *values.shape[1:])


def _on_points(lines: PhaseLines, two_theta: FloatArray) -> PhaseLines:
    """Lines whose smooth scattering stands on other points; their windows are to be frozen again."""
    n = len(two_theta)
    diffuse, by_b = _to_bins(lines.diffuse, n), _to_bins(lines.diffuse_by_b, n)
    own = lines.elements
    own = own and own.on_points(_to_bins(own.diffuse_by_b.T, n).T)
    return replace(lines, two_theta_points=two_theta, diffuse=diffuse, diffuse_by_b=by_b, elements=own)


def refreeze(model: PatternModel, values: Mapping[str, float]) -> PatternModel:
    """Rebuild nodes and windows for new parameter values (between least-squares runs, never within one)."""
    lines = tuple(refreeze_lines(item, model.instrument, values) for item in model.lines)
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
    columns = np.empty((len(model.two_theta), len(model.lines)))
    derivatives = []
    for k, lines in enumerate(model.lines):
        basis, slopes = phase_columns(lines, model.instrument, values, needed)
        columns[:, k] = model.slit * basis
        if not model.plain:
            slopes = {name: model.slit * column for name, column in slopes.items()}
        derivatives.append(slopes)
    return columns, derivatives
