"""From a run to a mass balance: steps, water, organic, carbonate and residue, and the substances behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
from scipy.special import ndtr

from xrdcomp.data import Diagnostic, TgaRun, message_kind
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import OXALATE_RATIO, Estimate, OxalateSteps, TgaResult, TgaStep
from xrdcomp.thermal.boundaries import (
    Boundaries,
    end_carbonate_before_salts,
    literature_windows,
    place_boundaries,
    with_late_front,
    with_overlap,
)
from xrdcomp.thermal.curve import Z95, SmoothedCurve, shift_with_rate, smoothed_curve
from xrdcomp.thermal.steps import Peak, Tangents, find_peaks, loss_between, tangents
from xrdcomp.units import CO2_PER_CARBONATE, FloatArray, molar_mass

NOT_ASSIGNED = message_kind("TGA_NOT_ASSIGNED", "warning",
    "The steps are numbered, not read as water, organic and carbonate; the text says why.",
    remedy='Where the specimen is tissue all the same, set thermal.assignment = "tissue".',
    threshold="docs/thermal.md, When the steps are only numbered",
    origin="simulated specimens; measured plastics, hydroxides, oxalates, cements",
)  # fmt: skip
RUN_TOO_SHORT = message_kind("TGA_RUN_TOO_SHORT", "warning",
    "The run ends before the organic has gone; the steps are numbered and no balance is given.",
    remedy="Heat to 950 °C.",
)  # fmt: skip
_SHORTEST_C = 4.0


def mass_balance(
    run: TgaRun, recipe: ThermalRecipe | None = None, *, blank: TgaRun | None = None
) -> TgaResult:
    """Steps, residue and, where the losses can be read as water, organic and carbonate, the balance of a run.

    Its messages are those of the run and of the analysis; `xrdcomp.analyze_tga` adds what the checks say of the result.
    """
    curve = smoothed_curve(run, recipe, blank, shortest_c=_SHORTEST_C)
    raw, recipe = curve.raw, curve.recipe
    peaks = find_peaks(curve)
    windows = end_carbonate_before_salts(curve, peaks, literature_windows(curve))
    # without salts the front of the hydroxyl judges whose the loss left at the end of the carbonate is
    judged = len(windows.literature_c) > 2 and not windows.salts_apart
    if judged:
        windows = replace(windows, placement_std_c=windows.placement_std_c * (1.0, 1.0, 0.0))
    boundaries = with_overlap(place_boundaries(curve, windows), curve, windows.salt_doubt)
    if judged:
        boundaries = with_late_front(boundaries, curve)
    tissue, notes = read_as_tissue(curve, boundaries)
    if tissue:
        notes += windows.messages
    last = len(curve.mass) - 1
    left = loss_between(curve, 0, last).std or 0.0
    steps = build_steps(curve, boundaries, peaks, tissue=tissue)
    result = TgaResult(
        temperature_c=raw.temperature_c,
        mass_fraction=curve.mass,
        dtg_per_min=curve.dtg * raw.rate,
        steps=steps,
        residue=Estimate.normal(float(curve.mass[last]), left, coverage_factor=Z95),
        atmosphere=curve.atmosphere,
        initial_mass_mg=raw.start_mass_mg,
        heating_rate_k_min=raw.heating_rate_k_min,
        boundary_c=boundaries.temperature_c,
        boundary_mass=boundaries.mass,
        salts_apart=tissue and windows.salts_apart,
        oxalate_steps=find_oxalate(steps, raw.heating_rate_k_min),
        noise=raw.bin_noise,
        messages=run.messages + raw.messages + notes,
    )
    if not tissue:
        return result
    # losses are differences of the masses at the boundaries, so that every row of their covariance sums to zero
    n = len(boundaries.mass)
    losses = np.vstack((-np.eye(n), np.zeros(n))) + np.vstack((np.zeros(n), np.eye(n)))
    values = losses @ boundaries.mass
    values[0] += 1.0
    by_source = {name: losses @ c @ losses.T for name, c in boundaries.covariance.items()}
    covariance: FloatArray = np.sum(list(by_source.values()), axis=0)
    char = Estimate.normal(recipe.char_fraction, recipe.char_std, coverage_factor=Z95)
    result = replace(
        result, balance=values, covariance=covariance, char_fraction=char if curve.inert else None
    )
    if n < 3:
        # what is left lies beyond the last boundary, so that the residue stays the mass at the end
        return replace(result, balance_names=("water", "organic", "residue_with_carbonate"))
    estimates, budget = quantities(values, by_source, recipe, inert=curve.inert)
    std = float(np.sqrt(covariance[-1, -1]))
    return replace(
        result,
        balance_names=("water", "organic", "carbonate", "residue"),
        residue=Estimate.normal(float(values[-1]), std, coverage_factor=Z95),
        quantities=estimates,
        budget=budget,
    )


# ---- Which substance a step is: the windows of calcified tissue, or nothing but a number ----

_NAMES = ("water", "organic", "carbonate")
_EARLY_C, _EARLY_ENERGY_KJ = 355.0, 180.0
_EARLY_SHARE = 0.2
# Fat alone in an inert gas: 10 to 20 % have gone by then on simulated specimens; of measured plastics 1 to 5 %, of a
# hydroxide 3 %, of hydrated cement 17 %, which holds no more than 15 % of bound water in all.
_EARLY_SHARE_OF_FAT, _MOST_BOUND_WATER = 0.1, 0.15
_CALCITE_LOSS = molar_mass(C=1, O=2) / molar_mass(Ca=1, C=1, O=3)
_NOTICEABLE = 0.03
_NOTICEABLE_CARBONATE = 0.01
_LATEST_START_C = 120.0
_LEAST_START, _MOST_START = 0.5, 1.05
_GAIN = 0.01
_UNSURE = 0.06


def read_as_tissue(curve: SmoothedCurve, boundaries: Boundaries) -> tuple[bool, tuple[Diagnostic, ...]]:
    """Judge if the losses can be read as water, organic and carbonate, and tell why not."""
    assignment, end_c = curve.recipe.assignment, float(curve.raw.temperature_c[-1])
    if assignment == "none":
        return False, ()
    if len(boundaries.mass) < 2:
        note = RUN_TOO_SHORT(
            f"The run ends at {end_c:.0f} °C, before the organic has gone; the steps are numbered and no "
            "balance is given. Heat to 950 °C.",
            end_c=end_c,
        )
        return False, (note,)
    reasons = [] if assignment == "tissue" else _reasons_against(curve, boundaries)
    if not reasons:
        return True, ()
    text = (
        "The steps are numbered, not read as water, organic and carbonate: " + "; ".join(reasons) + ". "
        'Where the specimen is tissue all the same, set thermal.assignment = "tissue".'
    )
    return False, (NOT_ASSIGNED(text),)


def _reasons_against(curve: SmoothedCurve, boundaries: Boundaries) -> list[str]:
    """Reasons not to read a curve as that of calcified tissue."""
    raw, smooth = curve.raw, curve.mass
    mass, place_c = boundaries.mass, boundaries.temperature_c
    reasons = []
    if raw.temperature_c[0] > _LATEST_START_C:
        reasons.append(f"the run starts at {raw.temperature_c[0]:.0f} °C, above most of the water")
    if not _LEAST_START <= float(smooth[0]) <= _MOST_START:
        reasons.append(
            f"the curve starts at {100 * float(smooth[0]):.3g} % of its start mass, so that unit or start mass are not "
            "what was stated"
        )
    # Organic matter of tissue begins to go by 250 to 300 °C in any gas. Where less than a fifth of a noticeable loss in
    # the organic window has gone by 355 °C (at 10 K/min), it is the single reaction of something else: a hydroxide, an
    # oxalate, a plastic. Where nothing burns fat goes later than protein, and of a loss that bound water cannot explain
    # a tenth is enough.
    total = float(mass[0] - mass[1])
    early_c = shift_with_rate(_EARLY_C, raw.heating_rate_k_min, _EARLY_ENERGY_KJ)
    early = float(mass[0] - float(np.interp(early_c, raw.temperature_c, smooth)))
    share = _EARLY_SHARE_OF_FAT if curve.inert and total > _MOST_BOUND_WATER else _EARLY_SHARE
    if total > _NOTICEABLE and early < share * total:
        reasons.append(
            f"of the {100 * total:.1f} % lost between {place_c[0]:.0f} and {place_c[1]:.0f} °C only "
            f"{100 * early / total:.0f} % had gone by {early_c:.0f} °C, unlike organic tissue"
        )
    unsure = float(np.sqrt(boundaries.covariance["placement"].diagonal()[:2].max()))
    if unsure > _UNSURE:
        reasons.append(
            f"no minimum separates water from organic (the boundary is unsure by {100 * unsure:.0f} %)"
        )
    # Calcium carbonate itself loses 44 %; more cannot be the CO2 of a carbonate. Of a run that ends before the
    # carbonate has gone, all that is lost after the organic counts.
    before, whole = float(mass[1]), len(mass) > 2
    loss = before - float(mass[2] if whole else smooth[-1])
    end_c = float(place_c[2] if whole else raw.temperature_c[-1])
    measured = ("noise", "buoyancy", "drift", "start_mass")
    doubt = 3.0 * float(np.sqrt(sum(boundaries.covariance[name][-1, -1] for name in measured)))
    if loss >= _NOTICEABLE_CARBONATE and loss > _CALCITE_LOSS * before + doubt:
        reasons.append(
            f"the {100 * loss:.1f} % lost between {place_c[1]:.0f} and {end_c:.0f} °C are {100 * loss / before:.0f} % "
            "of what was there, and no calcium carbonate loses more than 44 %"
        )
    gain = float((smooth - np.minimum.accumulate(smooth)).max())
    if gain > _GAIN:
        reasons.append(f"the mass rises by {100 * gain:.1f} % on the way")
    return reasons


def build_steps(
    curve: SmoothedCurve, boundaries: Boundaries, peaks: tuple[Peak, ...], *, tissue: bool
) -> tuple[TgaStep, ...]:
    """Steps by temperature: named windows where the curve is read as tissue, numbered ones elsewhere."""
    raw, mass, covariance = curve.raw, boundaries.mass, boundaries.total_covariance
    steps: list[TgaStep] = []
    taken = 0.0
    if tissue:
        edges = [0, *(raw.index_at(p) for p in boundaries.progress)]
        for i, (start, end) in enumerate(pairwise(edges)):
            before, variance = (1.0, covariance[0, 0]) if i == 0 else (float(mass[i - 1]), covariance[i, i])
            if i > 0:
                variance += covariance[i - 1, i - 1] - 2.0 * covariance[i, i - 1]
            std = float(np.sqrt(max(variance, 0.0)))
            inside = [p for p in peaks if start <= p.top < end]
            parts = tuple(_peak_step(curve, p, f"{_NAMES[i]}_{k + 1}") for k, p in enumerate(inside))
            window = _step(
                curve,
                _NAMES[i],
                (start, end),
                Estimate.normal(before - float(mass[i]), std, coverage_factor=Z95),
                tangents(curve, start, end) if inside else None,
            )
            steps.append(replace(window, parts=parts if len(parts) > 1 else ()))
        taken = float(boundaries.progress[-1])
    for peak in peaks:
        if raw.progress[peak.top] >= taken:
            begin = max(peak.start, int(np.searchsorted(raw.progress, taken)))
            steps.append(_peak_step(curve, replace(peak, start=begin), f"step_{len(steps) + 1}"))
    return tuple(steps)


def _peak_step(curve: SmoothedCurve, peak: Peak, name: str) -> TgaStep:
    """Step of a single peak, which has at least its own place where the tangents give none."""
    shape = tangents(curve, peak.start, peak.end)
    step = _step(curve, name, (peak.start, peak.end), loss_between(curve, peak.start, peak.end), shape)
    return step if shape else replace(step, peak_c=float(curve.raw.temperature_c[peak.top]))


def _step(
    curve: SmoothedCurve, name: str, ends: tuple[int, int], loss: Estimate, shape: Tangents | None
) -> TgaStep:
    start_c, end_c = (float(curve.raw.temperature_c[i]) for i in ends)
    found = {} if shape is None else asdict(shape)
    return TgaStep(name=name, start_c=start_c, end_c=end_c, mass_loss=loss, **found)


_MONOXIDE_C, _MONOXIDE_ENERGY_KJ = (420.0, 540.0), 250.0
_DIOXIDE_C, _DIOXIDE_ENERGY_KJ = (600.0, 790.0), 210.0
_RATIO_TOLERANCE = 0.10
_MIN_STEP = 0.01


def find_oxalate(steps: tuple[TgaStep, ...], rate_k_min: float | None) -> OxalateSteps | None:
    """Calcium oxalate by its two steps: CaC2O4 → CaCO3 + CO (about 480 °C) → CaO + CO2 (about 680 °C).

    Their losses stand as 0.6365, within a tenth or within two standard uncertainties up to 0.15.
    """
    peaks = [part for step in steps for part in (step.parts or (step,))]

    def largest(limits_c: tuple[float, float], energy_kj: float) -> TgaStep | None:
        low, high = (shift_with_rate(t, rate_k_min, energy_kj) for t in limits_c)
        inside = [
            p
            for p in peaks
            if p.peak_c is not None and low <= p.peak_c <= high and p.mass_loss.value > _MIN_STEP
        ]
        return max(inside, key=lambda p: p.mass_loss.value, default=None)

    monoxide, dioxide = largest(_MONOXIDE_C, _MONOXIDE_ENERGY_KJ), largest(_DIOXIDE_C, _DIOXIDE_ENERGY_KJ)
    if monoxide is None or dioxide is None:
        return None
    seen = OxalateSteps(monoxide=monoxide, dioxide=dioxide)
    doubt = 2.0 * seen.ratio * (monoxide.mass_loss.std or 0.0) / monoxide.mass_loss.value
    allowed = max(_RATIO_TOLERANCE * OXALATE_RATIO, min(doubt, 0.15))
    return seen if abs(seen.ratio - OXALATE_RATIO) <= allowed else None


# ---- From losses to substances: stoichiometry, char, bound water, dry basis ----

_STEP = 1e-6


def quantities(
    y: FloatArray, covariance: Mapping[str, FloatArray], recipe: ThermalRecipe, *, inert: bool
) -> tuple[dict[str, Estimate], dict[str, dict[str, float]]]:
    """Substances as received and dry, and the share each source has in their variance.

    `y` are the fractions of the start mass in the order water, organic, carbonate (as CO2), residue, which sum to 1;
    `covariance` maps each source of uncertainty to a (4, 4) array whose rows sum to 0.

    ``organic`` = y_O / (1 − χ) and ``residue`` = y_R − χ·organic with the char fraction χ (0 where not `inert`), whose
    prior ends where no mineral would be left; ``carbonate_co3`` = 1.3636 y_C; ``total_mineral`` = residue +
    carbonate_co2 (mineral with its carbonate). The dry quantities are divided by 1 − water. Bound water and HPO4
    condensation can only lower the organic and raise the mineral, by at most `recipe.bound_water_fraction` of the
    mineral: a one-sided uncertainty.
    """
    chi, chi_std = _char_given_mineral(y, recipe) if inert else (0.0, 0.0)
    base = _derived(y, chi, 0.0)

    def change(y_by: FloatArray | float = 0.0, chi_by: float = 0.0, bound_by: float = 0.0) -> FloatArray:
        moved = _derived(y + y_by, chi + chi_by, bound_by)
        by: FloatArray = (np.array(list(moved.values())) - np.array(list(base.values()))) / _STEP
        return by

    jacobian = np.array([change(y_by=_STEP * e) for e in np.eye(4)]).T
    sources = {
        name: np.maximum(np.einsum("ij,jk,ik->i", jacobian, c, jacobian), 0.0)
        for name, c in covariance.items()
    }
    sources["char"] = (change(chi_by=_STEP) * chi_std) ** 2
    # anything from nothing to the most that can be bound is as likely: variance of a uniform distribution about its end
    toward = change(bound_by=_STEP) * (recipe.bound_water_fraction * max(base["residue"], 0.0))
    symmetric = np.sqrt(sum(sources.values()))
    sources["bound_water"] = toward**2 / 3.0
    total = np.sqrt(symmetric**2 + sources["bound_water"])
    half = Z95 * symmetric
    wide = np.hypot(half, 0.95 * np.abs(toward))  # on the side that bound water can act on
    low, high = np.where(toward < 0, wide, half), np.where(toward < 0, half, wide)
    estimates = {
        name: Estimate(value=value, std=float(total[i]), ci95=(value - float(low[i]), value + float(high[i])))
        for i, (name, value) in enumerate(base.items())
    }
    budget = {
        name: {s: float(v[i] / total[i] ** 2) if total[i] > 0 else 0.0 for s, v in sources.items()}
        for i, name in enumerate(base)
    }
    return estimates, budget


def _char_given_mineral(y: FloatArray, recipe: ThermalRecipe) -> tuple[float, float]:
    """Mean and standard deviation of the char fraction, given that the mineral cannot be negative.

    A normal distribution cut at χ = y_R / (y_R + y_O), where all of the residue would be char, and at 0.
    """
    mean, std = recipe.char_fraction, recipe.char_std
    if std <= 0:
        return mean, 0.0
    residue, organic = max(float(y[3]), 1e-6), max(float(y[1]), 1e-6)
    most = residue / (residue + organic)
    low, high = -mean / std, (most - mean) / std
    inside = float(ndtr(high) - ndtr(low))
    if inside < 1e-6:
        return most, 0.3 * std
    # moments of the truncated normal; scipy.stats.truncnorm gives the same for a second of import
    density_low, density_high = (float(np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)) for z in (low, high))
    shift = (density_low - density_high) / inside
    variance = 1.0 + (low * density_low - high * density_high) / inside - shift**2
    return mean + std * shift, float(std * np.sqrt(max(variance, 1e-4)))


def _derived(y: FloatArray, chi: float, bound: float) -> dict[str, float]:
    """Quantities for a char fraction and an amount of bound water that hides in the organic loss."""
    water, carbonate = float(y[0]), float(y[2])
    organic = float(y[1] - bound) / (1.0 - chi)
    residue = float(y[3]) - chi * organic
    out = {
        "water": water,
        "organic": organic,
        "carbonate_co2": carbonate,
        "carbonate_co3": carbonate / CO2_PER_CARBONATE,
        "residue": residue,
        "total_mineral": residue + carbonate + bound,
    }
    solid = max(1.0 - water, 1e-6)
    return out | {f"dry_{name}": value / solid for name, value in out.items() if name != "water"}
