"""Stoichiometric standards: the routine check of a thermobalance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrdcomp.data import Atmosphere, Diagnostic, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import Estimate
from xrdcomp.thermal.boundaries import Boundaries, crossing_mass, overlap_ratio, place_boundaries
from xrdcomp.thermal.curve import (
    HeatingCurve,
    choose_length,
    correct_baseline,
    derivative,
    prepare,
    settings_for,
    shift_with_rate,
    whittaker,
)
from xrdcomp.units import FloatArray

_Z95 = 1.959964
_SHORTEST_C = 1.0
_OVERLAP_RATIO = 0.002
_CACO3_PER_CO2 = 100.087 / 44.009


@dataclass(frozen=True, kw_only=True)
class _Boundary:
    """Where one theoretical step ends: °C at 10 K/min, how far to search, energy that moves it with the rate."""

    temperature_c: float
    half_width_c: float
    energy_kj: float


@dataclass(frozen=True, kw_only=True)
class _Standard:
    formula: str
    begin: _Boundary
    steps: tuple[tuple[str, float, _Boundary], ...]
    residue: tuple[str, float] | None


# Losses from IUPAC 2021 atomic masses: Ca 40.078, C 12.011, O 15.999, H 1.008, Cu 63.546, S 32.06.
# Step temperatures: Frost & Weier, Thermochim. Acta 409 (2004) 79 for calcium oxalate; the others are the places
# where published curves at 10 K/min are flat.
STANDARDS: dict[str, _Standard] = {
    "calcium-oxalate-monohydrate": _Standard(
        formula="CaC2O4·H2O",
        begin=_Boundary(temperature_c=60.0, half_width_c=25.0, energy_kj=100.0),
        steps=(
            ("H2O", 0.12329, _Boundary(temperature_c=310.0, half_width_c=70.0, energy_kj=150.0)),
            ("CO", 0.19170, _Boundary(temperature_c=565.0, half_width_c=45.0, energy_kj=230.0)),
            ("CO2", 0.30120, _Boundary(temperature_c=840.0, half_width_c=80.0, energy_kj=210.0)),
        ),
        residue=("CaO", 0.38380),
    ),
    "copper-sulfate-pentahydrate": _Standard(
        formula="CuSO4·5H2O",
        begin=_Boundary(temperature_c=32.0, half_width_c=10.0, energy_kj=130.0),
        steps=(
            ("2 H2O (first)", 0.14431, _Boundary(temperature_c=90.0, half_width_c=14.0, energy_kj=130.0)),
            ("2 H2O (second)", 0.14431, _Boundary(temperature_c=170.0, half_width_c=35.0, energy_kj=140.0)),
            ("H2O (last)", 0.07215, _Boundary(temperature_c=400.0, half_width_c=90.0, energy_kj=150.0)),
        ),
        residue=None,
    ),
    "portlandite": _Standard(
        formula="Ca(OH)2",
        begin=_Boundary(temperature_c=290.0, half_width_c=50.0, energy_kj=190.0),
        steps=(("H2O", 0.24315, _Boundary(temperature_c=545.0, half_width_c=45.0, energy_kj=190.0)),),
        residue=None,
    ),
    "calcite": _Standard(
        formula="CaCO3",
        begin=_Boundary(temperature_c=450.0, half_width_c=80.0, energy_kj=190.0),
        steps=(("CO2", 0.43971, _Boundary(temperature_c=880.0, half_width_c=60.0, energy_kj=190.0)),),
        residue=("CaO", 0.56029),
    ),
}


@dataclass(frozen=True, kw_only=True)
class StandardStep:
    """One theoretical step beside the measured one; fractions of the start mass.

    Attributes
    ----------
    name : str
    start_c, end_c : float, °C
    theory : float
    measured : Estimate
    tolerance : float
        Difference from theory up to which the step holds.
    """

    name: str
    start_c: float
    end_c: float
    theory: float
    measured: Estimate
    tolerance: float

    @property
    def difference(self) -> float:
        """Measured minus theory."""
        return self.measured.value - self.theory

    @property
    def holds(self) -> bool:
        """Whether the difference is within the tolerance."""
        return abs(self.difference) <= self.tolerance


@dataclass(frozen=True, kw_only=True)
class StandardCheck:
    """Outcome of `tga_check`.

    `before` is what was lost before the first step (moisture), `carbonate` the CO2 that a portlandite lost
    after its step; both are None where the run does not show them.

    `standard` and its `formula` say what was weighed in; `steps` are compared one by one, `messages` are the
    messages.
    """

    standard: str
    formula: str
    steps: tuple[StandardStep, ...]
    before: Estimate
    carbonate: Estimate | None = None
    messages: tuple[Diagnostic, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every step holds."""
        return all(step.holds for step in self.steps)


def tga_check(
    run: TgaRun,
    standard: str,
    recipe: ThermalRecipe | None = None,
    *,
    blank: TgaRun | None = None,
    tolerance: float = 0.005,
) -> StandardCheck:
    """Compare the steps of a standard with theory.

    Parameters
    ----------
    run : TgaRun
    standard : {"calcium-oxalate-monohydrate", "copper-sulfate-pentahydrate", "portlandite", "calcite"}
    tolerance : float
        Difference of mass fractions up to which a step holds. For portlandite, whose powders are always
        carbonated, theory is scaled to the hydroxide that the CO2 found above its step leaves over.
    recipe : ThermalRecipe, optional
    blank : TgaRun, optional
        Run of the empty pan with the same programme.

    Returns
    -------
    StandardCheck
        Losses as fractions of the start mass, temperatures in °C.

    Raises
    ------
    AnalysisError
        Unknown standard, or a run that does not cover its steps.
    """
    if standard not in STANDARDS:
        msg = f"there is no standard {standard!r}; choose one of {', '.join(STANDARDS)}."
        raise AnalysisError(msg)
    recipe = settings_for(run, recipe or ThermalRecipe())
    known = STANDARDS[standard]
    atmosphere: Atmosphere = recipe.atmosphere or run.atmosphere
    corrected = correct_baseline(prepare(run), recipe, atmosphere, blank)
    curve = corrected.curve
    marks = [known.begin, *(boundary for _, _, boundary in known.steps)]
    if standard == "portlandite":
        marks.append(_Boundary(temperature_c=850.0, half_width_c=70.0, energy_kj=190.0))
    rate = curve.heating_rate_k_min
    literature = np.array([shift_with_rate(m.temperature_c, rate, m.energy_kj) for m in marks])
    _check_cover(curve, literature, len(known.steps), standard)
    literature = np.minimum(literature, curve.temperature_c[-1])
    length = choose_length(curve.mass, curve.counts, curve.noise, shortest=_SHORTEST_C / curve.step)
    half = np.array([m.half_width_c for m in marks])
    placed = place_boundaries(corrected, literature, length, recipe, half_width_c=half)
    mass, covariance = _without_overlap(placed, curve, length)
    losses = [_loss(mass, covariance, k) for k in range(len(mass) - 1)]
    carbonate = losses[-1] if standard == "portlandite" else None
    purity = 1.0
    before = 1.0 - float(mass[0])
    if carbonate is not None:
        purity = 1.0 - _CACO3_PER_CO2 * max(carbonate.value, 0.0) - max(before, 0.0)
    steps = [
        StandardStep(
            name=name,
            start_c=float(placed.temperature_c[k]),
            end_c=float(placed.temperature_c[k + 1]),
            theory=purity * theory,
            measured=losses[k],
            tolerance=tolerance,
        )
        for k, (name, theory, _) in enumerate(known.steps)
    ]
    if known.residue is not None:
        steps.append(_residue(known.residue, float(mass[-1]), float(covariance[-1, -1]), curve, tolerance))
    return StandardCheck(
        standard=standard,
        formula=known.formula,
        steps=tuple(steps),
        before=_estimate(before, float(covariance[0, 0])),
        carbonate=carbonate,
        messages=run.messages + curve.messages,
    )


def _check_cover(curve: HeatingCurve, literature: FloatArray, n: int, standard: str) -> None:
    first, last = float(curve.temperature_c[0]), float(curve.temperature_c[-1])
    if first > literature[0] + 40.0 or last < literature[n] - 30.0:
        msg = (
            f"the run covers {first:.0f} to {last:.0f} °C; the steps of {standard} need about "
            f"{literature[0]:.0f} to {literature[n]:.0f} °C at this heating rate."
        )
        raise AnalysisError(msg)


def _without_overlap(placed: Boundaries, curve: HeatingCurve, length: float) -> tuple[FloatArray, FloatArray]:
    """Masses at the boundaries as if neighbouring steps did not overlap, with half of the change as doubt."""
    smooth = whittaker(curve.mass, curve.weights, length)
    dtg = -derivative(smooth, curve.step)
    index = [int(np.argmin(np.abs(curve.progress - p))) for p in placed.progress]
    mass, covariance = placed.mass.copy(), placed.total_covariance.copy()
    for k in range(1, len(index) - 1):
        cuts = (index[k - 1], index[k], index[k + 1])
        if overlap_ratio(dtg, cuts) < _OVERLAP_RATIO:
            continue
        wrong = crossing_mass(curve, smooth, length, cuts, shapes=("fraser_suzuki", "nth_order"))
        mass[k] -= wrong
        covariance[k, k] += (0.5 * wrong) ** 2
    return mass, covariance


def _loss(mass: FloatArray, covariance: FloatArray, k: int) -> Estimate:
    variance = covariance[k, k] + covariance[k + 1, k + 1] - 2.0 * covariance[k, k + 1]
    return _estimate(float(mass[k] - mass[k + 1]), float(variance))


def _estimate(value: float, variance: float) -> Estimate:
    std = float(np.sqrt(max(variance, 0.0)))
    return Estimate.normal(value, std, coverage_factor=_Z95)


def _residue(
    theory: tuple[str, float], mass: float, variance: float, curve: HeatingCurve, tolerance: float
) -> StandardStep:
    end = float(curve.temperature_c[-1])
    return StandardStep(
        name=f"residue {theory[0]}",
        start_c=end,
        end_c=end,
        theory=theory[1],
        measured=_estimate(mass, variance),
        tolerance=tolerance,
    )
