"""Peaks mode: positions and widths from the cell and the profile, intensities free and non-negative.

For textured or unknown material relative intensities of the structure may be wrong. Reflections that overlap
within a third of their width form one group whose intensity is a linear unknown; groups and background are
solved by non-negative least squares, the non-linear parameters are refined with these intensities, and the two
alternate [as in Le Bail, Duroy & Fourquet 1988 Mater. Res. Bull. 23, 447, with least squares in place of their
partition]. The structure's total intensity stays the scale, so that amounts keep their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xrdcomp.fit.linear import solve_linear
from xrdcomp.fit.lines import PhaseLines, line_properties
from xrdcomp.fit.model import PatternModel
from xrdcomp.fit.varpro import Solution
from xrdcomp.physics import profile
from xrdcomp.types import FloatArray, IntArray

__all__ = ["GroupedLines", "group_columns", "with_free_intensities"]

BoolArray = npt.NDArray[np.bool_]

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
    widths = profile.tch_widths(properties.gauss, properties.lorentz)
    strongest = lines.wavelength == model.instrument.wavelength
    group = _groups(lines, strongest, properties.position, widths.fwhm)
    per_line = np.diff(lines.indptr)
    offset = lines.two_theta_points[lines.point] - np.repeat(properties.position, per_line)
    shape = profile.pseudo_voigt_value(
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
