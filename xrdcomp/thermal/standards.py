"""Stoichiometric standards: the routine check of a thermobalance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xrdcomp.data import Diagnostic, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import Estimate
from xrdcomp.thermal.boundaries import Windows, crossing_mass, overlap_ratio, place_boundaries
from xrdcomp.thermal.curve import Z95, shift_with_rate, smoothed_curve
from xrdcomp.units import molar_mass

_SHORTEST_C = 1.0
_OVERLAP_RATIO = 0.002


class Boundary(NamedTuple):
    """End of a theoretical step: °C at 10 K/min, how far to search, energy (kJ/mol) that moves it with the rate."""

    temperature_c: float
    half_width_c: float
    energy_kj: float


@dataclass(frozen=True, kw_only=True)
class TheoreticalStep:
    """Loss of one substance, as a fraction of the standard's mass, and the end of its step."""

    name: str
    loss: float
    end: Boundary


@dataclass(frozen=True, kw_only=True)
class Standard:
    """A substance whose losses follow from its formula; `residue` is what is left and its fraction, where known."""

    formula: str
    begin: Boundary
    steps: tuple[TheoreticalStep, ...]
    residue: tuple[str, float] | None = None


_H2O, _CO, _CO2, _CAO = (
    molar_mass(H=2, O=1),
    molar_mass(C=1, O=1),
    molar_mass(C=1, O=2),
    molar_mass(Ca=1, O=1),
)
_WHEWELLITE = molar_mass(Ca=1, C=2, O=5, H=2)
_CHALCANTHITE = molar_mass(Cu=1, S=1, O=9, H=10)
_CALCITE = molar_mass(Ca=1, C=1, O=3)

# Step temperatures: Frost & Weier, Thermochim. Acta 409 (2004) 79 for calcium oxalate; the others are the places where
# published curves at 10 K/min are flat.
STANDARDS: dict[str, Standard] = {
    "calcium-oxalate-monohydrate": Standard(
        formula="CaC2O4·H2O",
        begin=Boundary(60.0, 25.0, 100.0),
        steps=(
            TheoreticalStep(name="H2O", loss=_H2O / _WHEWELLITE, end=Boundary(310.0, 70.0, 150.0)),
            TheoreticalStep(name="CO", loss=_CO / _WHEWELLITE, end=Boundary(565.0, 45.0, 230.0)),
            TheoreticalStep(name="CO2", loss=_CO2 / _WHEWELLITE, end=Boundary(840.0, 80.0, 210.0)),
        ),
        residue=("CaO", _CAO / _WHEWELLITE),
    ),
    "copper-sulfate-pentahydrate": Standard(
        formula="CuSO4·5H2O",
        begin=Boundary(32.0, 10.0, 130.0),
        steps=(
            TheoreticalStep(
                name="2 H2O (first)", loss=2.0 * _H2O / _CHALCANTHITE, end=Boundary(90.0, 14.0, 130.0)
            ),
            TheoreticalStep(
                name="2 H2O (second)", loss=2.0 * _H2O / _CHALCANTHITE, end=Boundary(170.0, 35.0, 140.0)
            ),
            TheoreticalStep(name="H2O (last)", loss=_H2O / _CHALCANTHITE, end=Boundary(400.0, 90.0, 150.0)),
        ),
    ),
    "portlandite": Standard(
        formula="Ca(OH)2",
        begin=Boundary(290.0, 50.0, 190.0),
        steps=(TheoreticalStep(name="H2O", loss=_H2O / (_CAO + _H2O), end=Boundary(545.0, 45.0, 190.0)),),
    ),
    "calcite": Standard(
        formula="CaCO3",
        begin=Boundary(450.0, 80.0, 190.0),
        steps=(TheoreticalStep(name="CO2", loss=_CO2 / _CALCITE, end=Boundary(880.0, 60.0, 190.0)),),
        residue=("CaO", _CAO / _CALCITE),
    ),
}
_CARBONATED = Boundary(850.0, 70.0, 190.0)


@dataclass(frozen=True, kw_only=True)
class StandardStep:
    """One theoretical step beside the measured one; fractions of the start mass.

    `tolerance` is the difference from theory up to which the step holds.
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
        """Difference within the tolerance."""
        return abs(self.difference) <= self.tolerance


@dataclass(frozen=True, kw_only=True)
class StandardCheck:
    """Outcome of `tga_check`.

    `before` is what was lost before the first step (moisture), `carbonate` the CO2 that a portlandite lost after its
    step; both are None where the run does not show them. `standard` and its `formula` say what was weighed in; `steps`
    are compared one by one, `messages` are those of the run and of its preparation.
    """

    standard: str
    formula: str
    steps: tuple[StandardStep, ...]
    before: Estimate
    carbonate: Estimate | None = None
    messages: tuple[Diagnostic, ...] = ()

    @property
    def passed(self) -> bool:
        """Every step holds."""
        return all(step.holds for step in self.steps)


def tga_check(
    run: TgaRun,
    standard: str,
    recipe: ThermalRecipe | None = None,
    *,
    blank: TgaRun | None = None,
    tolerance: float = 0.005,
) -> StandardCheck:
    """Compare the steps of a standard (a key of `STANDARDS`) with theory, as fractions of the start mass.

    `tolerance` is the difference up to which a step holds. For portlandite, whose powders are always carbonated, theory
    is scaled to the hydroxide that the CO2 found above its step leaves over. `blank` is a run of the empty pan with the
    same programme. Raises AnalysisError for an unknown standard, and for a run that does not cover its steps.
    """
    if standard not in STANDARDS:
        msg = f"there is no standard {standard!r}; choose one of {', '.join(STANDARDS)}."
        raise AnalysisError(msg)
    known = STANDARDS[standard]
    curve = smoothed_curve(run, recipe, blank, shortest_c=_SHORTEST_C)
    raw = curve.raw
    marks = [known.begin, *(step.end for step in known.steps)]
    if standard == "portlandite":
        marks.append(_CARBONATED)
    literature = np.array(
        [shift_with_rate(m.temperature_c, raw.heating_rate_k_min, m.energy_kj) for m in marks]
    )
    begin, end = float(literature[0]), float(literature[len(known.steps)])
    first, last = float(raw.temperature_c[0]), float(raw.temperature_c[-1])
    if first > begin + 40.0 or last < end - 30.0:
        msg = (
            f"the run covers {first:.0f} to {last:.0f} °C; the steps of {standard} need about "
            f"{begin:.0f} to {end:.0f} °C at this heating rate."
        )
        raise AnalysisError(msg)
    windows = Windows(
        literature_c=np.minimum(literature, last),
        half_width_c=np.array([m.half_width_c for m in marks]),
        placement_std_c=np.full(len(marks), curve.recipe.placement_std_c),
    )
    placed = place_boundaries(curve, windows)
    mass, covariance = placed.mass.copy(), placed.total_covariance.copy()
    # masses as if neighbouring steps did not overlap, with half of the change as doubt
    index = [raw.index_at(p) for p in placed.progress]
    for k in range(1, len(index) - 1):
        cuts = index[k - 1 : k + 2]
        if overlap_ratio(curve.dtg, *cuts) >= _OVERLAP_RATIO:
            wrong = crossing_mass(curve, *cuts, shapes=("fraser_suzuki", "nth_order"))
            mass[k] -= wrong
            covariance[k, k] += (0.5 * wrong) ** 2

    def estimate(value: float, variance: float) -> Estimate:
        return Estimate.normal(float(value), float(np.sqrt(max(variance, 0.0))), coverage_factor=Z95)

    losses = [
        estimate(
            mass[k] - mass[k + 1], covariance[k, k] + covariance[k + 1, k + 1] - 2.0 * covariance[k, k + 1]
        )
        for k in range(len(mass) - 1)
    ]
    before, carbonate, purity = estimate(1.0 - mass[0], covariance[0, 0]), None, 1.0
    if standard == "portlandite":
        carbonate = losses[-1]
        purity -= _CALCITE / _CO2 * max(carbonate.value, 0.0) + max(before.value, 0.0)

    def compared(name: str, start_c: float, end_c: float, theory: float, measured: Estimate) -> StandardStep:
        return StandardStep(
            name=name, start_c=start_c, end_c=end_c, theory=theory, measured=measured, tolerance=tolerance
        )

    ends = [float(t) for t in placed.temperature_c]
    steps = [
        compared(step.name, ends[k], ends[k + 1], purity * step.loss, losses[k])
        for k, step in enumerate(known.steps)
    ]
    if known.residue is not None:
        name, theory = known.residue
        steps.append(compared(f"residue {name}", last, last, theory, estimate(mass[-1], covariance[-1, -1])))
    return StandardCheck(
        standard=standard,
        formula=known.formula,
        steps=tuple(steps),
        before=before,
        carbonate=carbonate,
        messages=run.messages + raw.messages,
    )
