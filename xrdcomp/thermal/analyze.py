"""analyze_tga(): from a run to a mass balance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import Estimate, TgaResult
from xrdcomp.thermal.assign import Reading, build_steps, read_as_tissue
from xrdcomp.thermal.boundaries import (
    Boundaries,
    loss_between,
    place_boundaries,
    windows_covered,
)
from xrdcomp.thermal.chemistry import Balance, char_estimate, is_inert, quantities
from xrdcomp.thermal.corrections import correct_baseline, settings_for
from xrdcomp.thermal.crosscheck import find_oxalate
from xrdcomp.thermal.late import Windows, end_carbonate_before_salts, with_late_front
from xrdcomp.thermal.notes import curve_notes, gas_notes
from xrdcomp.thermal.overlap import with_overlap
from xrdcomp.thermal.prepare import HeatingCurve, prepare
from xrdcomp.thermal.smooth import choose_length, derivative, whittaker
from xrdcomp.thermal.steps import Peak, find_peaks
from xrdcomp.types import Atmosphere, FloatArray, TgaRun

__all__ = ["analyze_tga"]

_Z95 = 1.959964
_SHORTEST_C = 4.0


def analyze_tga(
    run: TgaRun, recipe: ThermalRecipe | None = None, *, blank: TgaRun | None = None
) -> TgaResult:
    """Mass balance of a thermogravimetric run.

    Parameters
    ----------
    run : TgaRun
    recipe : ThermalRecipe, optional
    blank : TgaRun, optional
        Empty pan under the same programme, in mg (or percent with its start mass).

    Returns
    -------
    TgaResult
        Steps, residue and, where the losses can be read as water, organic and carbonate, the balance with its
        covariance, quantities as received and dry, and the variance budget. A run that ends before the
        carbonate has gone gives ``("water", "organic", "residue_with_carbonate")``; its residue is the mass
        at its end.

    Raises
    ------
    AnalysisError
        Too few points, a signal that is not a mass, time that runs backwards, a blank that does not fit.
    """
    recipe = settings_for(run, recipe or ThermalRecipe())
    atmosphere: Atmosphere = recipe.atmosphere or run.atmosphere
    corrected = correct_baseline(prepare(run), recipe, atmosphere, blank)
    curve = corrected.curve
    length = _smoothing_length(curve, recipe)
    smooth = whittaker(curve.mass, curve.weights, length)
    peaks = find_peaks(curve, smooth, length)
    windows = _windows(curve, smooth, peaks, recipe, atmosphere)
    stds = np.full(len(windows.literature_c), recipe.placement_std_c)
    judged = len(stds) > 2 and not windows.diagnostics
    if judged:
        stds[2] = 0.0  # the front below judges whose the loss left at the last boundary is
    boundaries = place_boundaries(
        corrected,
        windows.literature_c,
        length,
        recipe,
        half_width_c=windows.half_width_c,
        placement_std_c=stds,
    )
    inert = is_inert(atmosphere)
    boundaries = with_overlap(
        boundaries, curve, smooth, length, recipe, salt_doubt=windows.salt_doubt, inert=inert
    )
    if judged:
        boundaries = with_late_front(boundaries, curve, recipe.placement_std_c)
    reading = Reading(corrected=corrected, smooth=smooth, length=length, peaks=peaks, recipe=recipe)
    tissue, notes = read_as_tissue(reading, boundaries, inert=inert)
    steps = build_steps(reading, boundaries, tissue=tissue)
    chemistry = _chemistry(boundaries, recipe, atmosphere) if tissue else _Chemistry()
    notes += windows.diagnostics + gas_notes(curve, recipe, atmosphere, boundaries) if tissue else ()
    notes += curve_notes(curve, smooth, boundaries)
    result = TgaResult(
        temperature_c=curve.temperature_c,
        mass_fraction=smooth,
        dtg_per_min=-derivative(smooth, curve.step) * curve.rate,
        steps=steps,
        residue=chemistry.residue or _mass_at_end(reading),
        atmosphere=atmosphere,
        initial_mass_mg=curve.start_mass_mg,
        heating_rate_k_min=curve.heating_rate_k_min,
        balance_names=chemistry.names,
        balance=chemistry.values,
        covariance=chemistry.covariance,
        char_fraction=char_estimate(recipe, atmosphere) if tissue else None,
        quantities=chemistry.quantities,
        budget=chemistry.budget,
        diagnostics=run.diagnostics + curve.diagnostics + notes,
    )
    oxalate = find_oxalate(result)
    return result if oxalate is None else replace(result, diagnostics=(*result.diagnostics, oxalate))


@dataclass(frozen=True, kw_only=True)
class _Chemistry:
    names: tuple[str, ...] = ()
    values: FloatArray = field(default_factory=lambda: np.empty(0))
    covariance: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    quantities: dict[str, Estimate] = field(default_factory=dict)
    budget: dict[str, dict[str, float]] = field(default_factory=dict)
    residue: Estimate | None = None


def _chemistry(boundaries: Boundaries, recipe: ThermalRecipe, atmosphere: Atmosphere) -> _Chemistry:
    """Turn boundary masses into losses; the transformation makes every row of the covariance sum to zero."""
    n = len(boundaries.mass)
    losses = np.vstack((-np.eye(n), np.zeros(n))) + np.vstack((np.zeros(n), np.eye(n)))
    values = losses @ boundaries.mass
    values[0] += 1.0
    by_source = {name: losses @ c @ losses.T for name, c in boundaries.covariance.items()}
    covariance: FloatArray = np.sum(list(by_source.values()), axis=0)
    std = float(np.sqrt(covariance[-1, -1]))
    rest = float(values[-1])
    residue = Estimate(value=rest, std=std, interval=(rest - _Z95 * std, rest + _Z95 * std))
    if n < 3:
        names = ("water", "organic", "residue_with_carbonate")
        return _Chemistry(names=names, values=values, covariance=covariance)  # what is left lies beyond
    balance = Balance(values=values, covariance=by_source)
    estimates, budget = quantities(balance, recipe, atmosphere)
    return _Chemistry(
        names=("water", "organic", "carbonate", "residue"),
        values=values,
        covariance=covariance,
        quantities=estimates,
        budget=budget,
        residue=residue,
    )


def _windows(
    curve: HeatingCurve,
    smooth: FloatArray,
    peaks: tuple[Peak, ...],
    recipe: ThermalRecipe,
    atmosphere: Atmosphere,
) -> Windows:
    literature = windows_covered(curve, recipe)
    stated = Windows(
        literature_c=literature, half_width_c=np.full(len(literature), recipe.search_half_width_c)
    )
    return end_carbonate_before_salts(curve, smooth, peaks, stated, atmosphere)


def _smoothing_length(curve: HeatingCurve, recipe: ThermalRecipe) -> float:
    if recipe.smoothing_c is not None:
        return recipe.smoothing_c / curve.step
    return choose_length(curve.mass, curve.counts, curve.noise, shortest=_SHORTEST_C / curve.step)


def _mass_at_end(reading: Reading) -> Estimate:
    last = len(reading.smooth) - 1
    lost = loss_between(reading.corrected, reading.smooth, reading.length, (0, last), reading.recipe)
    rest, std = float(reading.smooth[last]), lost.std or 0.0
    return Estimate(value=rest, std=std, interval=(rest - _Z95 * std, rest + _Z95 * std))
