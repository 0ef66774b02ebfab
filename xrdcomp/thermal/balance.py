"""analyze_tga(): from a run to a mass balance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, TgaRun
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import Estimate, TgaResult, TgaStep
from xrdcomp.thermal.boundaries import (
    Boundaries,
    Windows,
    end_carbonate_before_salts,
    loss_between,
    place_boundaries,
    windows_covered,
    with_late_front,
    with_overlap,
)
from xrdcomp.thermal.chemistry import Balance, char_estimate, is_inert, quantities
from xrdcomp.thermal.curve import (
    Corrected,
    HeatingCurve,
    choose_length,
    correct_baseline,
    derivative,
    prepare,
    settings_for,
    shift_with_rate,
    whittaker,
)
from xrdcomp.thermal.notes import curve_notes, find_oxalate, gas_notes
from xrdcomp.thermal.steps import Peak, find_peaks, tangents
from xrdcomp.units import FloatArray

# ------------ Which substance a step is: the windows of calcified tissue, or nothing but a number.

_NAMES = ("water", "organic", "carbonate")
_EARLY_C = 355.0
_EARLY_SHARE = 0.2
_EARLY_SHARE_OF_FAT, _MOST_BOUND_WATER = 0.1, 0.15
"""Fat alone in an inert gas: 10 to 20 % have gone by then on simulated specimens; of measured plastics 1 to 5 %, of a
hydroxide 3 %, of hydrated cement 17 %, which holds no more than 15 % of bound water in all."""
_CALCITE_LOSS = 0.4397
_NOTICEABLE = 0.03
_LATEST_START_C = 120.0
_FIRST = (0.5, 1.05)
_GAIN = 0.01
_UNSURE = 0.06


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A smoothed curve with its peaks, ready to be named."""

    corrected: Corrected
    smooth: FloatArray
    length: float
    peaks: tuple[Peak, ...]
    recipe: ThermalRecipe


def read_as_tissue(
    reading: Reading, boundaries: Boundaries, *, inert: bool
) -> tuple[bool, tuple[Diagnostic, ...]]:
    """Whether the losses can be read as water, organic and carbonate, and why not.

    Organic matter of tissue begins to go by 250 to 300 °C in any gas. Where less than a fifth of a noticeable
    loss in the organic window has gone by 355 °C (at 10 K/min), it is the single reaction of something else:
    a hydroxide, an oxalate, a plastic. Where nothing burns (`inert`) fat goes later than protein, and of a loss that
    bound water cannot explain a tenth is enough.
    """
    recipe, curve = reading.recipe, reading.corrected.curve
    if recipe.assignment == "none":
        return False, ()
    if len(boundaries.mass) < 2:
        return False, (_short(float(curve.temperature_c[-1])),)
    if recipe.assignment == "tissue":
        return True, ()
    reasons = _reasons_against(reading, boundaries, inert=inert)
    if not reasons:
        return True, ()
    text = (
        "The steps are numbered, not read as water, organic and carbonate: " + "; ".join(reasons) + ". "
        'Where the specimen is tissue all the same, set thermal.assignment = "tissue".'
    )
    return False, (Diagnostic(code="TGA_NOT_ASSIGNED", severity="warning", text=text),)


def _reasons_against(reading: Reading, boundaries: Boundaries, *, inert: bool) -> list[str]:
    curve, smooth = reading.corrected.curve, reading.smooth
    reasons = []
    if curve.temperature_c[0] > _LATEST_START_C:
        reasons.append(f"the run starts at {curve.temperature_c[0]:.0f} °C, above most of the water")
    if not _FIRST[0] <= float(smooth[0]) <= _FIRST[1]:
        reasons.append(
            f"the curve starts at {100 * float(smooth[0]):.3g} % of its start mass, so that unit or start mass are not "
            "what was stated"
        )
    total = float(boundaries.mass[0] - boundaries.mass[1])
    early_c = shift_with_rate(_EARLY_C, curve.heating_rate_k_min, 180.0)
    at = float(np.interp(early_c, curve.temperature_c, smooth))
    early = float(boundaries.mass[0] - at)
    share = _EARLY_SHARE_OF_FAT if inert and total > _MOST_BOUND_WATER else _EARLY_SHARE
    if total > _NOTICEABLE and early < share * total:
        reasons.append(
            f"of the {100 * total:.1f} % lost between {boundaries.temperature_c[0]:.0f} and "
            f"{boundaries.temperature_c[1]:.0f} °C only {100 * early / total:.0f} % had gone by "
            f"{early_c:.0f} °C, unlike organic tissue"
        )
    unsure = float(np.sqrt(boundaries.covariance["placement"].diagonal()[:2].max()))
    if unsure > _UNSURE:
        reasons.append(
            f"no minimum separates water from organic (the boundary is unsure by {100 * unsure:.0f} %)"
        )
    reasons += _too_much_for_carbonate(reading, boundaries)
    gain = float((smooth - np.minimum.accumulate(smooth)).max())
    if gain > _GAIN:
        reasons.append(f"the mass rises by {100 * gain:.1f} % on the way")
    return reasons


def _too_much_for_carbonate(reading: Reading, boundaries: Boundaries) -> list[str]:
    """Calcium carbonate itself loses 43.97 %; more cannot be the CO2 of a carbonate.

    Of a run that ends before the carbonate has gone, all that is lost after the organic counts.
    """
    before = float(boundaries.mass[1])
    whole = len(boundaries.mass) > 2
    after = float(boundaries.mass[2] if whole else reading.smooth[-1])
    end_c = float(boundaries.temperature_c[2] if whole else reading.corrected.curve.temperature_c[-1])
    loss = before - after
    measured = ("noise", "buoyancy", "drift", "start_mass")
    spread = 3.0 * float(np.sqrt(sum(boundaries.covariance[name][-1, -1] for name in measured)))
    if loss < 0.01 or loss <= _CALCITE_LOSS * before + spread:
        return []
    return [
        f"the {100 * loss:.1f} % lost between {boundaries.temperature_c[1]:.0f} and "
        f"{end_c:.0f} °C are {100 * loss / before:.0f} % of what was there, and no "
        "calcium carbonate loses more than 44 %"
    ]


def _short(end_c: float) -> Diagnostic:
    return Diagnostic(
        code="TGA_RUN_TOO_SHORT",
        severity="warning",
        text=f"The run ends at {end_c:.0f} °C, before the organic has gone; the steps are numbered and no "
        "balance is given. Heat to 950 °C.",
        facts={"end_c": end_c},
    )


def build_steps(reading: Reading, boundaries: Boundaries, *, tissue: bool) -> tuple[TgaStep, ...]:
    """Steps by temperature: named windows where the curve is read as tissue, numbered ones elsewhere."""
    steps: list[TgaStep] = []
    taken = 0.0
    axis = reading.corrected.curve.progress
    if tissue:
        edges = np.concatenate(([reading.corrected.curve.progress[0]], boundaries.progress))
        spans = [(float(low), float(high)) for low, high in pairwise(edges)]
        steps = [_window(reading, boundaries, i, span) for i, span in enumerate(spans)]
        taken = float(edges[-1])
    for peak in reading.peaks:
        if axis[peak.top] >= taken:
            begin = max(peak.start, int(np.searchsorted(axis, taken)))
            steps.append(_numbered(reading, replace(peak, start=begin), f"step_{len(steps) + 1}"))
    return tuple(steps)


def _window(reading: Reading, boundaries: Boundaries, i: int, span: tuple[float, float]) -> TgaStep:
    curve = reading.corrected.curve
    start, end = (int(np.argmin(np.abs(curve.progress - p))) for p in span)
    before = 1.0 if i == 0 else float(boundaries.mass[i - 1])
    covariance = boundaries.total_covariance
    variance = covariance[i, i]
    if i > 0:
        variance += covariance[i - 1, i - 1] - 2.0 * covariance[i, i - 1]
    loss, std = before - float(boundaries.mass[i]), float(np.sqrt(max(variance, 0.0)))
    inside = [p for p in reading.peaks if start <= p.top < end]
    shape = tangents(curve, reading.smooth, start, end) if inside else None
    parts = tuple(_numbered(reading, p, f"{_NAMES[i]}_{k + 1}") for k, p in enumerate(inside))
    return TgaStep(
        name=_NAMES[i],
        start_c=float(curve.temperature_c[start]),
        end_c=float(curve.temperature_c[end]),
        mass_loss=Estimate.normal(loss, std, coverage_factor=_Z95),
        peak_c=shape[1] if shape else None,
        onset_c=shape[0] if shape else None,
        endset_c=shape[2] if shape else None,
        parts=parts if len(parts) > 1 else (),
    )


def _numbered(reading: Reading, peak: Peak, name: str) -> TgaStep:
    curve = reading.corrected.curve
    shape = tangents(curve, reading.smooth, peak.start, peak.end)
    return TgaStep(
        name=name,
        start_c=float(curve.temperature_c[peak.start]),
        end_c=float(curve.temperature_c[peak.end]),
        mass_loss=loss_between(
            reading.corrected, reading.smooth, reading.length, (peak.start, peak.end), reading.recipe
        ),
        peak_c=shape[1] if shape else float(curve.temperature_c[peak.top]),
        onset_c=shape[0] if shape else None,
        endset_c=shape[2] if shape else None,
    )


# ------------ analyze_tga(): from a run to a mass balance.

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
    judged = len(stds) > 2 and not windows.messages
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
    notes += windows.messages + gas_notes(curve, recipe, atmosphere, boundaries) if tissue else ()
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
        boundary_c=boundaries.temperature_c,
        boundary_mass=boundaries.mass,
        salts_apart=tissue and bool(windows.messages),
        noise=curve.bin_noise,
        quantities=chemistry.quantities,
        budget=chemistry.budget,
        messages=run.messages + curve.messages + notes,
    )
    oxalate = find_oxalate(result)
    return result if oxalate is None else replace(result, messages=(*result.messages, oxalate))


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
    residue = Estimate.normal(rest, std, coverage_factor=_Z95)
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
    return Estimate.normal(rest, std, coverage_factor=_Z95)
