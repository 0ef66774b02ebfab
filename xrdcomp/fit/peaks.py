"""Peaks mode: positions and widths from the cell and the profile, intensities free and non-negative.

For textured or unknown material relative intensities of the structure may be wrong. Reflections that overlap
within a third of their width form one group whose intensity is a linear unknown; groups and background are
solved by non-negative least squares, the non-linear parameters are refined with these intensities, and the two
alternate [as in Le Bail, Duroy & Fourquet 1988 Mater. Res. Bull. 23, 447, with least squares in place of their
partition]. The structure's total intensity stays the scale, so that amounts keep their meaning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xrdcomp.fit.linear import solve_linear
from xrdcomp.fit.lines import PhaseLines, line_properties
from xrdcomp.fit.model import PatternModel
from xrdcomp.fit.varpro import Solution
from xrdcomp.physics import profile
from xrdcomp.types import FloatArray, IntArray

__all__ = ["group_columns", "with_free_intensities"]

_OVERLAP = 0.35  # of the width


def group_columns(model: PatternModel, index: int, values: dict[str, float]) -> tuple[FloatArray, IntArray]:
    """Pattern of each group of overlapping reflections of one gram of a phase.

    Parameters
    ----------
    index : int
        Which phase of the model.

    Returns
    -------
    columns : (n, groups) array
    group : (reflections,) integer array, the group of each reflection
    """
    lines = model.lines[index]
    properties = line_properties(lines, model.instrument, values)
    widths = profile.tch_widths(properties.gauss, properties.lorentz)
    group = _groups(lines, properties.position, widths.fwhm, model.instrument.wavelength)
    per_line = np.diff(lines.indptr)
    offset = lines.two_theta_points[lines.point] - np.repeat(properties.position, per_line)
    shape, *_ = profile.pseudo_voigt(
        offset, np.repeat(widths.fwhm, per_line), np.repeat(widths.eta, per_line)
    )
    shape *= np.repeat(properties.intensity, per_line)
    n_groups = int(group.max()) + 1
    flat = np.repeat(group[lines.reflection], per_line) + n_groups * lines.point
    columns = np.bincount(flat, shape, minlength=n_groups * len(model.two_theta)).reshape(-1, n_groups)
    return columns * model.slit[:, None], group


def _groups(lines: PhaseLines, position: FloatArray, fwhm: FloatArray, wavelength: float) -> IntArray:
    """Number the groups of reflections that lie within a third of a width of their neighbour."""
    n = len(lines.hkl)
    strongest = lines.wavelength == wavelength
    centre, width = np.full(n, 1e9), np.full(n, 0.1)
    centre[lines.reflection[strongest]] = position[strongest]
    width[lines.reflection[strongest]] = fwhm[strongest]
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
    smooth = [(solution.columns[:, k] - columns.sum(axis=1))[:, None] for k, (columns, _) in enumerate(parts)]
    free = np.concatenate([*(columns for columns, _ in parts), *smooth, model.fixed], axis=1) / sigma[:, None]
    n_groups = sum(columns.shape[1] for columns, _ in parts)
    prior = np.concatenate([np.zeros(n_groups), np.zeros(n_phases), solution.linear_prior[n_phases:]])
    nonnegative = np.array(
        [True] * n_groups + [True] * n_phases + [c.nonnegative for c in model.columns[n_phases:]]
    )
    gram = free.T @ free
    gram[np.diag_indices_from(gram)] += prior + 1e-10 * np.diag(gram)
    found = solve_linear(gram, free.T @ (intensity / sigma), nonnegative).coefficients[:n_groups]
    lines = []
    for item, (columns, group) in zip(model.lines, parts, strict=True):
        values, found = found[: columns.shape[1]], found[columns.shape[1] :]
        area = columns.sum(axis=0)
        mean = float(values @ area) / max(float(area.sum()), 1e-300)
        if mean > 0.0:
            item = replace(item, multiplier=item.multiplier * (values / mean)[group])
        lines.append(item)
    return replace(model, lines=tuple(lines))
