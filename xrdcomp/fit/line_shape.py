"""A nuisance column for the form of a phase's lines: crystallites are never distributed as a pseudo-Voigt has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from xrdcomp.fit.lines import PhaseLines, line_properties, spread_lines
from xrdcomp.fit.model import Column, PatternModel
from xrdcomp.fit.spread import spread_shoulder
from xrdcomp.types import FloatArray, Instrument

__all__ = ["SHOULDER_STD", "shoulder_column", "with_shoulders"]

SHOULDER_STD = 0.05
"""Standard deviation of the amount of `physics.profile.pseudo_voigt_shoulder` in a phase's lines, in units of their
area: lognormal sizes with standard deviations of ln size between 0.2 and 0.4 span −0.04 to +0.06."""


def shoulder_column(lines: PhaseLines, instrument: Instrument, values: Mapping[str, float]) -> FloatArray:
    """Change of a phase's pattern per gram when all its lines are deformed alike, at fixed widths.

    Every line keeps area, height and width, so that sizes, strain and intensities keep their meaning; without this
    freedom a misfit of tails and shoulders is made up by the scale, B and the halo beneath.

    Parameters
    ----------
    values : mapping
        Parameter values whose widths the column takes; they stay fixed during a least-squares run.

    Returns
    -------
    (n,) array on the lines' points, slits left out
    """
    properties = line_properties(lines, instrument, values, slopes=False)
    return spread_shoulder(spread_lines(lines, properties), properties.intensity)


def with_shoulders(model: PatternModel, values: Mapping[str, float]) -> PatternModel:
    """Add a `shoulder_column` of every phase to a model, as a mode with the prior `SHOULDER_STD`.

    Parameters
    ----------
    values : mapping
        Parameter values; widths far from the lines' own would make the column another shape altogether.
    """
    columns = tuple(
        Column(
            name=f"{phase_id}_shoulder",
            kind="mode",
            nonnegative=False,
            parent=phase_id,
            relative_std=SHOULDER_STD,
        )
        for phase_id in model.phase_ids
    )
    bent = [model.slit * shoulder_column(item, model.instrument, values) for item in model.lines]
    fixed = np.concatenate([model.fixed, *(column[:, None] for column in bent)], axis=1)
    return replace(model, columns=model.columns + columns, fixed=fixed)
