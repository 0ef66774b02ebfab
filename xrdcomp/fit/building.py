"""What a fit's model is made of, and on how coarse points it may stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrdcomp.fit.background import background_columns
from xrdcomp.fit.halo import MeasuredHalo
from xrdcomp.fit.line_shape import with_shoulders
from xrdcomp.fit.lines import line_properties
from xrdcomp.fit.model import PatternModel, build_model
from xrdcomp.fit.parameters import ParameterTable
from xrdcomp.physics.profile import tch_widths
from xrdcomp.recipe import FitRecipe
from xrdcomp.types import FloatArray, Instrument, Pattern, Phase

__all__ = ["ModelChoice", "allowed_bins", "binned", "narrowest_line"]

_POINTS_PER_FWHM = 5.0  # a line sampled so loses nothing that its width and position need
_MAX_BIN = 8
_PROBE = (7.0, 63.0)  # degrees, where the sampling that lines need is judged


@dataclass(frozen=True)
class ModelChoice:
    """What the model is made of, whatever the points.

    `user_parameters` says that the user chose where the parameters start.
    """

    phases: Sequence[Phase]
    instrument: Instrument
    recipe: FitRecipe
    amorphous: tuple[str | MeasuredHalo, ...]
    blank: Pattern | None
    user_parameters: bool = False

    def build(
        self,
        x: FloatArray,
        y: FloatArray,
        table: ParameterTable,
        like: PatternModel | None = None,
        *,
        shoulders: bool = True,
    ) -> PatternModel:
        """Freeze a model on some points, with the reflections and halos of another one.

        `shoulders` frees the form of each phase's lines, which asks for widths that are about right.
        """
        flexible = self.recipe.background == "flexible"
        terms = self.recipe.background_terms
        background = background_columns(x, y, flexible=flexible, terms=terms, blank=self.blank)
        model = build_model(
            x,
            self.phases,
            self.instrument,
            table,
            amorphous=self.amorphous,
            background=background,
            like=like,
        )
        return with_shoulders(model, {i.name: i.value for i in table.items}) if shoulders else model


def narrowest_line(model: PatternModel, table: ParameterTable) -> float:
    """FWHM of the narrowest line at the current values, degrees; outside `_PROBE` only where no line is inside."""
    values = {item.name: item.value for item in table.items}
    inside, outside = [], []
    for lines in model.lines:
        properties = line_properties(lines, model.instrument, values, slopes=False)
        fwhm = tch_widths(properties.gauss, properties.lorentz).fwhm
        near = (properties.position > _PROBE[0]) & (properties.position < _PROBE[1])
        inside.append(float(fwhm[near].min(initial=np.inf)))
        outside.append(float(fwhm.min(initial=np.inf)))
    narrowest = min([*inside, np.inf])
    narrowest = narrowest if np.isfinite(narrowest) else min([*outside, np.inf])
    return narrowest if np.isfinite(narrowest) else 0.0


def allowed_bins(model: PatternModel, table: ParameterTable, two_theta: FloatArray) -> int:
    """How many points may be taken together without a loss to the lines at the current values."""
    step = float(np.median(np.diff(two_theta)))
    return int(np.clip(narrowest_line(model, table) / (_POINTS_PER_FWHM * step), 1, _MAX_BIN))


def binned(
    data: tuple[FloatArray, FloatArray, FloatArray], k: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means of k neighbouring points and their standard deviations."""
    if k <= 1:
        return data
    n = len(data[0]) // k * k
    x, y, s = (a[:n].reshape(-1, k) for a in data)
    return x.mean(axis=1), y.mean(axis=1), np.sqrt((s**2).sum(axis=1)) / k
