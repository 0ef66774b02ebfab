"""From a run to a mass balance: steps, water, organic, carbonate and residue, and the substances behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from xrdcomp.data import GasChange, TgaRun, message_kind
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import OXALATE_RATIO, Estimate, OxalateSteps, TgaResult, TgaStep
from xrdcomp.thermal.char import cut_normal, late_organic, with_char_of_kind
from xrdcomp.thermal.curve import SmoothedCurve, smoothed_curve
from xrdcomp.thermal.losses import (
    Boundaries,
    Peak,
    end_carbonate_before_salts,
    find_peaks,
    literature_windows,
    loss_between,
    measured_step,
    place_boundaries,
    with_late_front,
    with_overlap,
)
from xrdcomp.thermal.nature import find_open_reading, read_as_tissue
from xrdcomp.thermal.programme import shift_with_rate
from xrdcomp.thermal.smoothing import Z95, derivative
from xrdcomp.units import CO2_PER_CARBONATE, FloatArray

STARTS_WARM = message_kind("TGA_STARTS_WARM", "warning",
    "The run begins warm or with a dried specimen; the loss before the first reading, and so the water as received, is "
    "unknown.",
    remedy="Start below 40 °C, or state the mass weighed before drying.", threshold="40 °C",
)  # fmt: skip
GAS_INFERRED = message_kind("TGA_GAS_INFERRED", "warning",
    "Mass is lost abruptly without a change of temperature; char burnt, so oxygen must have entered, although no "
    "change of gas was stated.",
    remedy="State the gases as atmosphere, such as nitrogen,air@177min.",
    threshold="a tenfold rate within 12 °C, above 420 °C",
    origin="an activation energy of 600 kJ/mol would give a factor of four",
)  # fmt: skip

_NAMES = ("water", "organic", "carbonate")
_COLD_C, _WEIGHED_LOSS = 40.0, 0.005


def mass_balance(run: TgaRun, recipe: ThermalRecipe | None = None, *, blank: TgaRun | None = None) -> TgaResult:
    """Steps, residue and, where the losses can be read as water, organic and carbonate, the balance of a run.

    Its messages are those of the run and of the analysis; `xrdcomp.analyze_tga` adds what the checks say of the result.
    """
    recipe = recipe or ThermalRecipe()
    run = run if recipe.atmosphere is None else run.under(recipe.atmosphere)
    curve = smoothed_curve(run, recipe, blank, shortest_c=4.0)
    raw, recipe = curve.raw, curve.recipe
    burnt = 0.0 if curve.burn is None else curve.burn.mass
    changes = run.gas_changes
    if curve.burn is not None and not changes:
        at, at_c = curve.burn.start, float(raw.temperature_c[curve.burn.start])
        minutes = None if run.time_s is None else float(raw.minutes[at])
        changes = (GasChange(gas="air", from_min=minutes, from_c=at_c if minutes is None else None, source="inferred"),)
        text = f"{100 * burnt:.2f} % are lost abruptly at {at_c:.0f} °C without a change of temperature; char burnt, "
        text += "so oxygen must have entered. A change to air was assumed, so that the char is counted as organic "
        text += "matter and the residue is the final mass."
        run = replace(run, messages=(*run.messages, GAS_INFERRED(text, burnt=burnt, from_c=at_c)))
    peaks = find_peaks(curve)
    windows = end_carbonate_before_salts(curve, peaks, literature_windows(curve))
    # without salts the front of the hydroxyl judges whose the loss left at the end of the carbonate is
    judged = len(windows.literature_c) > 2 and not windows.salts_apart
    if judged:
        windows = replace(windows, placement_std_c=windows.placement_std_c * (1.0, 1.0, 0.0))
    boundaries = with_overlap(place_boundaries(curve, windows), curve, windows.salt_doubt)
    if judged:
        boundaries = with_late_front(boundaries, curve)
    judged_as = read_as_tissue(curve, boundaries)
    tissue, notes = judged_as.read, judged_as.messages
    # what a weighed specimen lost before the first reading is known
    dried = float(raw.temperature_c[0]) > _COLD_C and float(curve.mass[0]) > 1.0 - _WEIGHED_LOSS
    if tissue:
        notes += windows.messages
    if dried:
        text = f"The run begins at {raw.temperature_c[0]:.0f} °C; the loss before is unknown. Fractions refer to the "
        text += "specimen at the first reading; fractions of the dry mass are given, water as received is not."
        notes += (STARTS_WARM(text, started_c=float(raw.temperature_c[0])),)
    last = len(curve.mass) - 1
    left = loss_between(curve, 0, last).std or 0.0
    steps = build_steps(curve, boundaries, peaks, tissue=tissue)
    if dried and tissue:
        steps = (replace(steps[0], name="step_1"), *steps[1:])
    result = TgaResult(
        temperature_c=raw.temperature_c,
        mass_fraction=curve.shown,
        dtg_per_min=-derivative(curve.shown, raw.step) * raw.rate,
        steps=steps,
        residue=Estimate.normal(float(curve.shown[last]), left, coverage_factor=Z95),
        gas_changes=changes,
        atmosphere=curve.atmosphere,
        initial_mass_mg=raw.start_mass_mg,
        heating_rate_k_min=raw.heating_rate_k_min,
        boundary_c=boundaries.temperature_c,
        boundary_mass=boundaries.mass - burnt,
        started_c=float(raw.temperature_c[0]),
        water_unknown=dried,
        nature=judged_as.nature,
        nature_reason=judged_as.reason,
        doubted=judged_as.doubted,
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
    if curve.burn is not None:  # char is organic, and was weighed with what is left until it burnt
        moved = np.zeros(n + 1)
        moved[1], moved[-1] = 1.0, -1.0
        values += burnt * moved
        by_source["burn"] = curve.burn.std**2 * np.outer(moved, moved)
    # a gas that was stated is doubted by the curve alone, in the interval beside no other measurement
    charred = curve.inert or (judged_as.gas_doubted and curve.atmosphere == "unknown")
    if charred:
        recipe = with_char_of_kind(recipe, curve, boundaries, gas_doubted=judged_as.gas_doubted)
    if n == 3:
        late = late_organic(curve, boundaries, recipe)
        values += late.mean
        by_source["late_organic"] = np.outer(late.std, late.std)
    covariance: FloatArray = np.sum(list(by_source.values()), axis=0)
    if charred:
        char = Estimate.normal(recipe.char_fraction, recipe.char_std, coverage_factor=Z95)
        result = replace(result, char_fraction=char)
    result = replace(result, balance=values, covariance=covariance)
    result = replace(result, open_reading=find_open_reading(curve, boundaries, judged_as, values))
    if n < 3:
        # what is left lies beyond the last boundary, so that the residue stays the mass at the end
        return replace(result, balance_names=("water", "organic", "residue_with_carbonate"))
    estimates, budget = quantities(values, by_source, recipe, inert=charred)
    if dried:  # shares of the specimen as received would need the water that left before
        estimates = {name: value for name, value in estimates.items() if name.startswith("dry_")}
    std = float(np.sqrt(covariance[-1, -1]))
    return replace(
        result,
        balance_names=("water", "organic", "carbonate", "residue"),
        residue=Estimate.normal(float(values[-1]), std, coverage_factor=Z95),
        quantities=estimates,
        budget=budget,
    )


def build_steps(
    curve: SmoothedCurve, boundaries: Boundaries, peaks: tuple[Peak, ...], *, tissue: bool
) -> tuple[TgaStep, ...]:
    """Steps by temperature: named windows where the curve is read as tissue, numbered ones elsewhere."""
    raw, mass, covariance = curve.raw, boundaries.mass, boundaries.total_covariance
    steps: list[TgaStep] = []
    taken = 0.0
    burnt: list[TgaStep] = []
    if (burn := curve.burn) is not None:
        dtg = -derivative(curve.shown, raw.step)
        at = (burn.start, burn.start + int(np.argmax(dtg[burn.start : burn.end + 1])), burn.end)
        start_c, peak_c, end_c = (float(raw.temperature_c[i]) for i in at)
        loss = Estimate.normal(burn.mass, burn.std, coverage_factor=Z95)
        burnt = [TgaStep(name="burn", start_c=start_c, end_c=end_c, peak_c=peak_c, mass_loss=loss)]
    if tissue:
        edges = [0, *(raw.index_at(p) for p in boundaries.progress)]
        for i, (start, end) in enumerate(pairwise(edges)):
            before, variance = (1.0, covariance[0, 0]) if i == 0 else (float(mass[i - 1]), covariance[i, i])
            if i > 0:
                variance += covariance[i - 1, i - 1] - 2.0 * covariance[i, i - 1]
            std = float(np.sqrt(max(variance, 0.0)))
            inside = [p for p in peaks if start <= p.top < end]
            parts = tuple(_peak_step(curve, p, f"{_NAMES[i]}_{k + 1}") for k, p in enumerate(inside))
            if i == 1:
                parts += tuple(replace(step, name=f"organic_{len(parts) + 1}") for step in burnt)
            lost = before - float(mass[i])
            if i == 1 and curve.burn is not None:
                lost, std = lost + curve.burn.mass, float(np.hypot(std, curve.burn.std))
            loss = Estimate.normal(lost, std, coverage_factor=Z95)
            window = measured_step(curve, _NAMES[i], start, end, loss)
            if not inside:
                window = replace(window, onset_c=None, peak_c=None, endset_c=None)
            steps.append(replace(window, parts=parts if len(parts) > 1 else ()))
        taken = float(boundaries.progress[-1])
    for peak in peaks:
        if raw.progress[peak.top] >= taken:
            begin = max(peak.start, int(np.searchsorted(raw.progress, taken)))
            steps.append(_peak_step(curve, replace(peak, start=begin), f"step_{len(steps) + 1}"))
    if not tissue:  # in its place among the numbered ones
        steps = sorted([*steps, *burnt], key=lambda step: step.start_c)
        steps = [replace(step, name=f"step_{k + 1}") for k, step in enumerate(steps)]
    return tuple(steps)


def _peak_step(curve: SmoothedCurve, peak: Peak, name: str) -> TgaStep:
    """Step of a single peak, which has at least its own place where the tangents give none."""
    step = measured_step(curve, name, peak.start, peak.end, loss_between(curve, peak.start, peak.end))
    return step if step.peak_c is not None else replace(step, peak_c=float(curve.raw.temperature_c[peak.top]))


_MONOXIDE_C, _MONOXIDE_ENERGY_KJ = (420.0, 540.0), 250.0
_DIOXIDE_C, _DIOXIDE_ENERGY_KJ = (600.0, 790.0), 210.0
_RATIO_TOLERANCE, _MIN_STEP = 0.10, 0.01


def find_oxalate(steps: tuple[TgaStep, ...], rate_k_min: float | None) -> OxalateSteps | None:
    """Calcium oxalate by its two steps: CaC2O4 → CaCO3 + CO (about 480 °C) → CaO + CO2 (about 680 °C).

    Their losses stand as 0.6365, within a tenth or within two standard uncertainties up to 0.15.
    """
    peaks = [part for step in steps for part in (step.parts or (step,))]

    def largest(limits_c: tuple[float, float], energy_kj: float) -> TgaStep | None:
        low, high = (shift_with_rate(t, rate_k_min, energy_kj) for t in limits_c)
        inside = (p for p in peaks if low <= (p.peak_c or 0.0) <= high and p.mass_loss.value > _MIN_STEP)
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
    sources = {name: np.maximum(np.einsum("ij,jk,ik->i", jacobian, c, jacobian), 0.0) for name, c in covariance.items()}
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
    """Mean and standard deviation of the char fraction, a normal cut at 0 and where all residue would be char."""
    mean, std = recipe.char_fraction, recipe.char_std
    if std <= 0:
        return mean, 0.0
    residue, organic = max(float(y[3]), 1e-6), max(float(y[1]), 1e-6)
    return cut_normal(mean, std, residue / (residue + organic))


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
