"""Many patterns of one grid with the same phases: everything decided once, from a fit of their mean.

The common fit decides the reflections, the windows, the nodes, the columns that do not move and where every pattern
starts. From there a pattern takes two or three evaluations of its own, and a row depends on the engine and on that
pattern alone: neither on the order nor on neighbours or chunks. A pattern that does not settle where the common fit is,
or whose profiles are so far from it that what was frozen is not its own, is fitted by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from typing import Literal

import msgspec
import numpy as np

from xrdcomp.data import Instrument, Pattern, Phase
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.detector import PointFaults
from xrdcomp.refinement.model import (
    CORRECTION_STD,
    MeasuredAmorphous,
    PatternModel,
    Points,
    StartedModel,
    low_angle_share,
)
from xrdcomp.refinement.parameters import ParameterTable
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.solver import minimize
from xrdcomp.units import FloatArray

FREE = ("cell", "inverse_size", "sample_displacement_mm", "zero_shift")
"""Kinds of parameters that each pattern has of its own; the others are held where the common fit found them."""
Free = Collection[str] | Literal["all"]

_NEAR = 0.03  # standard deviations along a step below which none is made
_ITERATIONS = 12  # a pattern that needs more is far from the common fit
_OTHER_WIDTH = 0.1  # relative change of a profile's width beyond which windows and forms are frozen anew
_OTHER_PLACE = 0.5  # of its width, by which a profile may lie elsewhere
_CLEARLY_BETTER = 0.97  # of the cost of three patterns: less may be the noise of what one pattern holds
_WORSE = 1.3  # times the goodness of the common fit: a pattern that fits worse is tried by itself as well


@dataclass(frozen=True, kw_only=True)
class PatternFit:
    """Fit of one pattern of a series: whether its minimum was reached, and whether it was fitted by itself.

    `left_out` counts the points that show the detector instead of the specimen (`PointFaults`).
    """

    fit: Refinement
    settled: bool
    single: bool = False
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class SeriesEngine:
    """A common fit, and what every pattern of a series takes from it.

    `table` are the parameters of each pattern, the held ones fixed at the values of the common fit; `inside` are the
    points of a pattern that are fitted. The variance of an intensity y is `noise` · max(|y|, noise), 1 for counts.
    """

    common: Refinement
    table: ParameterTable
    inside: slice
    noise: float = 1.0
    held_changes: FloatArray = field(default_factory=lambda: np.empty((0, 0, 0)))  # (phases, n, held), per amount
    held_covariance: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

    @classmethod
    def of(
        cls,
        patterns: Sequence[Pattern],
        phases: Sequence[Phase],
        instrument: Instrument,
        recipe: FitRecipe | None = None,
        *,
        blank: Pattern | None = None,
        measured: Sequence[MeasuredAmorphous] = (),
        free: Free = FREE,
    ) -> SeriesEngine:
        """Fit the mean of some patterns of the series, all parameters free, and freeze what it found.

        Where cells or sizes change along the series, the mean has smeared reflections and what is held would be wrong:
        the pattern in the middle is the common one where the first, it and the last are fitted better from there.

        `free` are the kinds of parameters that each pattern has of its own (see `results.ParameterId`), or ``"all"``.

        Raises AnalysisError for patterns of different grids and what `Refinement.run` refuses.
        """
        x = patterns[0].two_theta
        for number, pattern in enumerate(patterns):
            if not np.array_equal(pattern.two_theta, x):
                msg = f"pattern {number} of the series is on other angles than the first: all must share one grid."
                raise AnalysisError(msg)
        # where only some patterns reach the detector's ceiling their mean does not, so each is mended first
        patterns = [_mended(pattern, instrument.wavelength)[0] for pattern in patterns]
        variance = np.mean([pattern.sigma**2 for pattern in patterns], axis=0) / len(patterns)
        mean = replace(
            patterns[0], intensity=np.mean([pattern.intensity for pattern in patterns], axis=0), sigma=np.sqrt(variance)
        )
        ratios = [np.median(p.sigma**2 / np.maximum(np.abs(p.intensity), 1e-300)) for p in patterns]
        noise = 1.0 if patterns[0].intensity_unit == "counts" else float(np.median(ratios))
        middle = len(patterns) // 2
        commons = [mean, patterns[middle]] if len(patterns) > 2 else [mean]
        fits = [Refinement.run(item, phases, instrument, recipe, blank=blank, measured=measured) for item in commons]
        engines = [cls._frozen(fit, x, noise, free) for fit in fits]
        if len(engines) == 1 or free == "all":
            return engines[0]
        tried = [patterns[k] for k in (0, middle, -1)]
        costs = [sum(engine.fit(p.intensity, p.sigma).fit.solution.cost for p in tried) for engine in engines]
        return engines[1 if costs[1] < _CLEARLY_BETTER * costs[0] else 0]

    @classmethod
    def _frozen(cls, common: Refinement, x: FloatArray, noise: float, free: Free) -> SeriesEngine:
        """Engine of a finished common fit; `x` is the grid."""
        first = int(np.searchsorted(x, common.points.two_theta[0]))
        inside = slice(first, first + len(common.points))
        items = tuple(
            msgspec.structs.replace(i, vary=i.vary and (free == "all" or i.id.kind in free)) for i in common.table.items
        )
        table = ParameterTable(items)
        names = [i.name for i in common.table.free if i.name not in {j.name for j in table.free}]
        _, slopes = common.model.evaluate(common.solution.values, frozenset(names))
        nothing = np.zeros(len(common.points))
        changes = [[own.get(name, nothing) for name in names] for own in slopes]
        place = [k for k, item in enumerate(common.table.free) if item.name in names]
        return cls(
            common=common,
            table=table,
            inside=inside,
            noise=noise,
            held_changes=np.array(changes).transpose(0, 2, 1) if names and changes else np.empty((0, 0, 0)),
            held_covariance=common.evidence.parameter_covariance[np.ix_(place, place)],
        )

    def points(self, intensity: FloatArray, sigma: FloatArray | None = None) -> Points:
        """Points of a pattern on the grid of the series, whole or the fitted part of it, faults of the detector mended.

        Raises AnalysisError for intensities that are not finite or all alike.
        """
        return self._points(intensity, sigma)[0]

    def _points(self, intensity: FloatArray, sigma: FloatArray | None) -> tuple[Points, int]:
        """Points of a pattern, and how many of them were left out."""
        y = np.asarray(intensity, dtype=float)
        y = y[self.inside] if len(y) != len(self.common.points) else y
        if sigma is None:
            sigma = np.sqrt(self.noise * np.maximum(np.abs(y), self.noise))
        elif len(sigma) != len(y):
            sigma = sigma[self.inside]
        if not np.isfinite(y).all() or np.ptp(y) == 0.0:
            raise AnalysisError("the intensities of the pattern are not finite, or all alike: there is nothing to fit.")
        x = self.common.points.two_theta
        pattern, left_out = _mended(Pattern(two_theta=x, intensity=y, sigma=sigma), self.common.instrument.wavelength)
        sigma = np.maximum(pattern.sigma, self._low_angles * pattern.intensity)
        return Points(two_theta=x, intensity=pattern.intensity, sigma=sigma), left_out

    @cached_property
    def _low_angles(self) -> FloatArray:
        common = self.common
        measured = [item for item in common.setup.amorphous if isinstance(item, MeasuredAmorphous)]
        return low_angle_share(common.points.two_theta, common.recipe, common.instrument.wavelength, measured)

    def fit(self, intensity: FloatArray, sigma: FloatArray | None = None) -> PatternFit:
        """Fit one pattern, (n,), from the common fit.

        Raises AnalysisError for intensities that are not finite or all alike.
        """
        points, left_out = self._points(intensity, sigma)
        model, table, common = self._model(points), self.table, self.common
        solution = minimize(
            model,
            table,
            points,
            max_iterations=_ITERATIONS,
            tolerance=1e-4,
            distance=_NEAR,
            damping=1e-8,
            own_priors=True,
        )
        table = table.with_values(solution.values)
        found = replace(common, points=points, model=model, solution=solution, table=table)
        settled = solution.converged
        if settled and self._moved(solution.values):
            found = found._settled(found.setup, table, found.setup.build(points, table, like=model), _ITERATIONS)
            settled = found.solution.converged
        if settled and found.goodness <= _WORSE * self._expected_goodness(points):
            return PatternFit(fit=found, settled=True, left_out=left_out)
        alone = self.single(points)
        if settled and found.solution.cost <= alone.solution.cost:
            return PatternFit(fit=found, settled=True, left_out=left_out)
        return PatternFit(fit=alone, settled=alone.solution.converged, single=True, left_out=left_out)

    def single(self, points: Points) -> Refinement:
        """Fit of one pattern by itself, the same parameters free, from the start that any fit of one pattern has."""
        setup = self.common.setup
        pattern = Pattern(two_theta=points.two_theta, intensity=points.intensity, sigma=points.sigma)
        measured = [item for item in setup.amorphous if isinstance(item, MeasuredAmorphous)]
        start = {item.name: item.prior_mean for item in self.table.free if item.id.kind != "inverse_size"}
        table = self.table.with_values(start)
        return Refinement.run(
            pattern,
            setup.phases,
            replace(setup.instrument, polarization_stated=True),
            setup.recipe,
            blank=setup.blank,
            measured=measured,
            table=table,
        )

    def _model(self, points: Points) -> PatternModel:
        """Model of the common fit with the priors of a pattern's own corrections."""
        model = self._started
        if self.common.recipe.background == "flexible":
            return model
        std = CORRECTION_STD * float(np.median(points.intensity))
        return replace(
            model, columns=tuple(replace(c, prior_std=std) if c.kind == "correction" else c for c in model.columns)
        )

    @cached_property
    def _started(self) -> PatternModel:
        start = self.table.start
        return StartedModel.of(self.common.model, start, self.common.model.evaluate(start, self.table.needed))

    def _moved(self, values: Mapping[str, float]) -> bool:
        """Tell whether profiles are so far from the common fit that windows and forms of its are not the pattern's."""
        for item, (position, fwhm) in zip(self.common.model.reflections, self._profiles, strict=True):
            found = item.at(values, slopes=False)
            if (np.abs(found.widths.fwhm / fwhm - 1.0) > _OTHER_WIDTH).any():
                return True
            if (np.abs(found.position - position) > _OTHER_PLACE * fwhm).any():
                return True
        return False

    @cached_property
    def _profiles(self) -> list[tuple[FloatArray, FloatArray]]:
        """Position and width of every profile of each phase in the common fit."""
        values = self.common.solution.values
        every = [item.at(values, slopes=False) for item in self.common.model.reflections]
        return [(found.position, found.widths.fwhm) for found in every]

    def _expected_goodness(self, points: Points) -> float:
        """Goodness of a pattern that the model describes as well as it does the mean of the series."""
        mean = self.common.points
        share = float(points.intensity.sum() / mean.intensity.sum())
        excess = (self.common.goodness**2 - 1.0) * float(np.median((share * mean.sigma / points.sigma) ** 2))
        return float(np.sqrt(1.0 + max(excess, 0.0)))

    # What a row holds.

    @cached_property
    def units(self) -> dict[str, str]:
        """Unit of every column of a row, in their order; standard uncertainties end in ``_std``."""
        out = {"rwp": "1", "gof": "1", "iterations": "1", "settled": "1", "single": "1", "left_out": "1"}
        for name, unit in self._quantities.items():
            out |= {name: unit, f"{name}_std": unit}
        return out

    @cached_property
    def _quantities(self) -> dict[str, str]:
        out = {item.name: item.unit for item in self.table.free}
        for item in self.table.free:
            if item.id.kind == "inverse_size":
                out[_size_name(item.id.phase, item.id.axis)] = "nm"
        amounts = self.common.evidence.amounts
        out |= {f"amount_{name}": "arbitrary" for name in amounts.names}
        crystals = zip(amounts.names, amounts.crystalline, strict=True)
        return out | {f"crystalline_weight_fraction_{name}": "1" for name, crystal in crystals if crystal}

    def rows(self, intensities: Iterable[FloatArray], sigmas: Iterable[FloatArray] | None = None) -> FloatArray:
        """Rows of some patterns, (k, columns), each (n,); all NaN where a pattern cannot be fitted."""
        own: Iterable[FloatArray | None] = repeat(None) if sigmas is None else sigmas
        return np.array([self.row(y, s) for y, s in zip(intensities, own, strict=sigmas is not None)])

    def row(self, intensity: FloatArray, sigma: FloatArray | None = None) -> FloatArray:
        """Row of one pattern, in the order of `units`."""
        try:
            found = self.fit(intensity, sigma)
            values = self.row_of(found)
        except (AnalysisError, np.linalg.LinAlgError):
            return np.full(len(self.units), np.nan)
        return np.array([values[name] for name in self.units])

    def row_of(self, found: PatternFit) -> dict[str, float]:
        """Quantities of a finished fit by the name of their column."""
        fit = found.fit
        evidence, solution = fit.evidence, fit.solution
        row = {
            "rwp": fit.rwp,
            "gof": fit.goodness,
            "iterations": float(solution.n_iterations),
            "settled": float(found.settled),
            "single": float(found.single),
            "left_out": float(found.left_out),
        }
        by_held = self._held_sensitivity(fit)
        m, free = len(fit.model.columns), fit.table.free
        held = np.einsum("ij,jk,ik->i", by_held, self.held_covariance, by_held)
        for k, item in enumerate(free):
            estimate = fit._estimate(item)
            std = float(np.hypot(estimate.std or 0.0, np.sqrt(held[m + k])))
            row |= {item.name: estimate.value, f"{item.name}_std": std}
            if item.id.kind == "inverse_size":
                size, positive = _size_name(item.id.phase, item.id.axis), estimate.value > 0.0
                row[size] = 1.0 / estimate.value if positive else np.inf
                row[f"{size}_std"] = std / estimate.value**2 if positive else np.inf
        amounts, pick = evidence.amounts, fit.model.of_kind("phase", "amorphous")
        moved = by_held[:m][pick] / evidence.grain_factors[:, None]
        covariance = amounts.covariance + moved @ self.held_covariance @ moved.T
        for k, name in enumerate(amounts.names):
            row |= {f"amount_{name}": float(amounts.amounts[k])}
            row |= {f"amount_{name}_std": float(np.sqrt(max(covariance[k, k], 0.0)))}
        crystalline = np.array(amounts.crystalline)
        own, part = amounts.amounts[crystalline], covariance[np.ix_(crystalline, crystalline)]
        # fractions of the crystalline part as of `quantification.methods.hill_howard`
        total = float(own.sum())
        fractions = own / total if total > 0.0 else np.full(len(own), np.nan)
        slopes = (np.eye(len(own)) - fractions[:, None]) / total if total > 0.0 else np.zeros((len(own), len(own)))
        variance = np.einsum("ij,jk,ik->i", slopes, part, slopes)
        for k, name in enumerate(np.array(amounts.names)[crystalline].tolist()):
            row[f"crystalline_weight_fraction_{name}"] = float(fractions[k])
            row[f"crystalline_weight_fraction_{name}_std"] = float(np.sqrt(max(variance[k], 0.0)))
        return row

    def _held_sensitivity(self, fit: Refinement) -> FloatArray:
        """Change of coefficients and free parameters per change of a held one, (m + p, held).

        The patterns' derivatives by held parameters are those of the common fit, times the amounts of this one.
        """
        size = fit.evidence.covariance.shape[0]
        if not self.held_changes.size:
            return np.zeros((size, len(self.held_covariance)))
        c, sigma = fit.solution.coefficients[: len(self.held_changes)], fit.points.sigma
        change = np.einsum("k,knh->nh", c, self.held_changes) / sigma[:, None] ** 2
        right = np.concatenate([fit.solution.columns.T @ change, fit.solution.jacobian.T @ change])
        out: FloatArray = -fit.evidence.covariance @ right / fit.evidence.inflation
        return out


def _mended(pattern: Pattern, wavelength: float) -> tuple[Pattern, int]:
    """Pattern without the faults of the detector, and how many points have one."""
    faults = PointFaults.of(pattern, wavelength)
    left_out = int((faults.spikes | faults.saturated).sum())
    if not left_out:
        return pattern, 0
    intensity, sigma = faults.mended(pattern)
    return replace(pattern, intensity=intensity, sigma=sigma), left_out


def _size_name(phase: str, axis: str) -> str:
    return f"{phase}_size_{axis}_nm"
