"""Stoichiometric standards, and the routine check of a thermobalance by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xrdcomp.data import Diagnostic, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import Estimate, named
from xrdcomp.thermal.curve import smoothed_curve
from xrdcomp.thermal.losses import Windows, crossing_mass, goes_at, overlap_ratio, place_boundaries
from xrdcomp.thermal.programme import shift_with_rate
from xrdcomp.thermal.smoothing import Z95
from xrdcomp.units import molar_mass


class TheoreticalStep(NamedTuple):
    """A step of a standard: its end in °C at 10 K/min, how far to search, the energy (kJ/mol) that moves it with the
    rate, and the substance lost as a fraction of the standard's mass (nothing is lost where the first step begins).
    """

    end_c: float
    half_width_c: float
    energy_kj: float
    name: str = ""
    loss: float = 0.0


class Standard(NamedTuple):
    """A substance whose losses follow from its formula; `residue` is what is left and its fraction, where known.

    The first of the `steps` marks where the others begin.
    """

    formula: str
    steps: tuple[TheoreticalStep, ...]
    residue: tuple[str, float] | None = None


_H2O, _CO = molar_mass(H=2, O=1), molar_mass(C=1, O=1)
_CO2, _CAO = molar_mass(C=1, O=2), molar_mass(Ca=1, O=1)
_WHEWELLITE, _CALCITE = molar_mass(Ca=1, C=2, O=5, H=2), molar_mass(Ca=1, C=1, O=3)
_CHALCANTHITE = molar_mass(Cu=1, S=1, O=9, H=10)

# Step temperatures: Frost & Weier, Thermochim. Acta 409 (2004) 79 for calcium oxalate; the others are the places where
# published curves at 10 K/min are flat.
STANDARDS: dict[str, Standard] = {
    "calcium-oxalate-monohydrate": Standard("CaC2O4·H2O", (
        TheoreticalStep(60.0, 25.0, 100.0),
        TheoreticalStep(310.0, 70.0, 150.0, "H2O", _H2O / _WHEWELLITE),
        TheoreticalStep(565.0, 45.0, 230.0, "CO", _CO / _WHEWELLITE),
        TheoreticalStep(840.0, 80.0, 210.0, "CO2", _CO2 / _WHEWELLITE),
    ), residue=("CaO", _CAO / _WHEWELLITE)),
    "copper-sulfate-pentahydrate": Standard("CuSO4·5H2O", (
        TheoreticalStep(32.0, 10.0, 130.0),
        TheoreticalStep(90.0, 14.0, 130.0, "2 H2O (first)", 2.0 * _H2O / _CHALCANTHITE),
        TheoreticalStep(170.0, 35.0, 140.0, "2 H2O (second)", 2.0 * _H2O / _CHALCANTHITE),
        TheoreticalStep(400.0, 90.0, 150.0, "H2O (last)", _H2O / _CHALCANTHITE),
    )),
    "portlandite": Standard("Ca(OH)2", (
        TheoreticalStep(290.0, 50.0, 190.0),
        TheoreticalStep(545.0, 45.0, 190.0, "H2O", _H2O / (_CAO + _H2O)),
    )),
    "calcite": Standard("CaCO3", (
        TheoreticalStep(450.0, 80.0, 190.0),
        TheoreticalStep(880.0, 60.0, 190.0, "CO2", _CO2 / _CALCITE),
    ), residue=("CaO", _CAO / _CALCITE)),
}  # fmt: skip
_CARBONATED = TheoreticalStep(850.0, 70.0, 190.0)
_QUIET_C, _PEAKED_SHARE = 15.0, 0.1
_MOST_CARBONATED = 0.2  # of a portlandite powder that is still weighed in as a standard


@dataclass(frozen=True, kw_only=True)
class StandardStep:
    """Theoretical beside measured step, fractions of the start mass; it holds up to a difference of `tolerance`."""

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

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as ``xrdcomp tga-check --format json`` prints it."""
        facts = ("name", "theory", "measured", "difference", "tolerance", "holds")
        steps = [{**named(step, *facts), "start_C": step.start_c, "end_C": step.end_c} for step in self.steps]
        found = named(self, "standard", "formula", "passed") | {"lost_before_first_step": self.before.to_dict()}
        return found | named(self, "carbonate", "messages") | {"steps": steps}


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
        raise AnalysisError(f"there is no standard {standard!r}; choose one of {', '.join(STANDARDS)}.")
    known = STANDARDS[standard]
    recipe = recipe or ThermalRecipe()
    run = run if recipe.atmosphere is None else run.under(recipe.atmosphere)
    curve = smoothed_curve(run, recipe, blank, shortest_c=1.0)
    raw = curve.raw
    marks = known.steps + ((_CARBONATED,) if standard == "portlandite" else ())
    literature = np.array([shift_with_rate(m.end_c, raw.heating_rate_k_min, m.energy_kj) for m in marks])
    begin, end = float(literature[0]), float(literature[len(known.steps) - 1])
    first, last = float(raw.temperature_c[0]), float(raw.temperature_c[-1])
    # a run that begins later or ends earlier has seen the steps where nothing goes there, and they lie beyond halfway,
    # or the last of them came and went
    beside = max(int(_QUIET_C / raw.step), 3)
    goes = [goes_at(curve, slice(0, beside)), goes_at(curve, slice(-beside, None))]
    second, last_but_one = float(literature[1]), float(literature[len(known.steps) - 2])
    late = first > begin + 40.0 and (goes[0] or first > 0.5 * (begin + second))
    came = raw.temperature_c > last_but_one
    peaked = bool(came.any()) and float(curve.dtg[came].max()) > _PEAKED_SHARE * float(curve.dtg.max())
    early = last < end - 30.0 and (goes[1] or (last < 0.5 * (last_but_one + end) and not peaked))
    if late or early:
        raise AnalysisError(
            f"the run covers {first:.0f} to {last:.0f} °C; the steps of {standard} need about {begin:.0f} to {end:.0f} "
            f"°C at this heating rate, or until the mass is constant: it "
            f"{'begins too late' if late else 'ends too early'}."
        )
    windows = Windows(
        literature_c=np.minimum(literature, last),
        half_width_c=np.array([m.half_width_c for m in marks]),
        placement_std_c=np.full(len(marks), curve.recipe.placement_std_c),
        at_end=last < end - 30.0 and len(marks) == len(known.steps),
    )
    placed = place_boundaries(curve, windows)
    mass, covariance = placed.mass.copy(), placed.total_covariance.copy()
    # masses as if neighbouring steps did not overlap, with half of the change as doubt
    index = [raw.index_at(p) for p in placed.progress]
    for k in range(1, len(index) - 1):
        cuts = index[k - 1 : k + 2]
        if overlap_ratio(curve.dtg, *cuts) >= 0.002:
            wrong = crossing_mass(curve, *cuts, shapes=("fraser_suzuki", "nth_order"))
            mass[k] -= wrong
            covariance[k, k] += (0.5 * wrong) ** 2

    def estimate(value: float, variance: float) -> Estimate:
        return Estimate.normal(float(value), float(np.sqrt(max(variance, 0.0))), coverage_factor=Z95)

    own, shared = covariance.diagonal(), covariance.diagonal(1)
    losses = list(map(estimate, mass[:-1] - mass[1:], own[:-1] + own[1:] - 2.0 * shared))
    before, carbonate, purity = estimate(1.0 - mass[0], own[0]), None, 1.0
    if standard == "portlandite":
        carbonate = losses[-1]
        purity -= _CALCITE / _CO2 * max(carbonate.value, 0.0) + max(before.value, 0.0)
        water, theory = losses[0].value, known.steps[1].loss
        missing = purity - water / theory
        unseen = last < float(literature[-1]) - _CARBONATED.half_width_c
        if unseen and tolerance < missing * theory and missing < _MOST_CARBONATED:
            raise AnalysisError(
                f"the water of portlandite is {100 * missing:.1f} % too low, as if that much of the powder were "
                f"carbonate, which decomposes up to about {literature[-1]:.0f} °C at this heating rate; the run ends "
                f"at {last:.0f} °C. Heat until the carbonate has decomposed, or take a fresh powder."
            )
    ends = [float(t) for t in placed.temperature_c]
    # name, start and end, theory, measured
    rows = [(step.name, ends[k], ends[k + 1], purity * step.loss, losses[k]) for k, step in enumerate(known.steps[1:])]
    if known.residue is not None:
        name, left = known.residue
        rows.append((f"residue {name}", last, last, left, estimate(mass[-1], own[-1])))
    steps = tuple(
        StandardStep(name=name, start_c=a, end_c=b, theory=theory, measured=loss, tolerance=tolerance)
        for name, a, b, theory, loss in rows
    )
    return StandardCheck(
        standard=standard,
        formula=known.formula,
        steps=steps,
        before=before,
        carbonate=carbonate,
        messages=run.messages + raw.messages,
    )
