"""Made-up evidence for the tests of the composition: what perfect instruments would say, with noise on
top."""

from __future__ import annotations

import numpy as np

from tests.builders import amounts_of, phase_result
from xrdcomp.checks.registry import Analysis, run_checks
from xrdcomp.composition.evidence import ThermalEvidence
from xrdcomp.data import Diagnostic
from xrdcomp.results import Composition, DetectionEvidence, DetectionRule, Estimate, PhaseResult, TgaResult, XrdAmounts
from xrdcomp.units import FloatArray

# order of COMPONENTS: crystalline hydroxyapatite, organic, water, carbonate, amorphous mineral, other
TYPICAL = np.array([0.30, 0.45, 0.15, 0.02, 0.06, 0.02])
NO_APATITE = np.array([0.0, 0.60, 0.35, 0.0, 0.05, 0.0])
WET = np.array([0.05, 0.10, 0.83, 0.01, 0.01, 0.0])
NAMES = ("hydroxyapatite", "protein", "lipid", "water", "amorphous_calcium_phosphate", "calcite")
STDS = np.array([0.010, 0.040, 0.040, 0.030, 0.015, 0.004])
COUNTING = 0.2
CO2 = 44.009 / 60.008
LATE, BOUND, CONDENSED, CHAR = 0.7, 0.11, 0.001, 0.22


def xrd_amounts(  # noqa: PLR0913 - a builder, all by name
    x: FloatArray,
    *,
    scale: float = 7.0,
    bias: float = 0.0,
    rng: np.random.Generator | None = None,
    stds: FloatArray = STDS,
    blank: bool = False,
    counting_only: bool = False,
    lines: float = 1.0,
    flat: float = 0.0,
) -> XrdAmounts:
    h, o, w, c, a, z = x
    lattice = h / max(h + 0.25 * a, 1e-12)
    halo = a + (1 - lattice) * c
    masses = np.array(
        [
            (1 + bias) * (h + lines * lattice * c),
            0.8 * (o + 0.20 * flat * halo),
            0.2 * (o + 0.20 * flat * halo),
            w + 0.07 * flat * halo,
            (1 - 0.43 * flat) * halo,
            (1 + bias) * z,
        ]
    )
    covariance = np.diag((scale * stds) ** 2)
    noise = 0.0 if rng is None else rng.normal(0.0, scale * stds) * (COUNTING**0.5 if counting_only else 1.0)
    return amounts_of(
        names=NAMES,
        amounts=scale * masses + noise,
        covariance=covariance,
        crystalline=(True, False, False, False, False, True),
        counting_covariance=COUNTING * covariance,
        blank_measured=blank,
    )


def reported(x: FloatArray) -> FloatArray:
    """Truth in the terms of a result: calcite's CO3 counts as carbonate."""
    moved = x.copy()
    moved[3] += 60.008 / 100.086 * x[5]
    moved[5] -= 60.008 / 100.086 * x[5]
    return moved


def balance(
    x: FloatArray,
    *,
    inert: bool = False,
    rng: np.random.Generator | None = None,
    stds: tuple[float, float, float] = (0.002, 0.003, 0.002),
    calcite: bool = True,
) -> ThermalEvidence:
    h, o, w, c, a, z = x
    losses = np.array([w + (1 - LATE) * BOUND * a, o + LATE * BOUND * a + CONDENSED * h, CO2 * c])
    losses[2] += 0.4397 * z if calcite else 0.0
    if inert:
        losses[1] -= CHAR * o
    if rng is not None:
        losses = losses + rng.normal(0.0, stds)
    to_four = np.vstack([np.eye(3), -np.ones(3)])
    return ThermalEvidence(
        values=np.append(losses, 1 - losses.sum()),
        covariance=to_four @ np.diag(np.square(stds)) @ to_four.T,
        inert=inert,
        final_c=950.0,
    )


RULE = DetectionRule(false_alarm_rate=0.002, detection_probability=0.95, threshold=4.39, quantile=1.645)


def phase(name: str, decision: str = "not_detected", limit: float | None = 0.005) -> PhaseResult:
    return phase_result(
        id=name, name=name, formula="", decision=decision, detection_limit=limit, evidence=DetectionEvidence(rule=RULE)
    )


FULL = ("water", "organic", "carbonate", "residue")


def thermal_result(names: tuple[str, ...], values: list[float], **more: object) -> TgaResult:
    n = len(values)
    to_all = np.vstack([np.eye(n - 1), -np.ones(n - 1)]) if n else np.empty((0, 0))
    covariance = 4e-6 * to_all @ to_all.T if n else np.empty((0, 0))
    return TgaResult(
        temperature_c=np.linspace(25.0, 950.0, 5),
        mass_fraction=np.linspace(1.0, 0.4, 5),
        dtg_per_min=np.zeros(5),
        steps=(),
        residue=Estimate(value=0.4, std=0.002),
        initial_mass_mg=10.0,
        heating_rate_k_min=10.0,
        balance_names=names,
        balance=np.array(values),
        covariance=covariance,
        **{"atmosphere": "air", **more},  # type: ignore[arg-type]  # keywords of the dataclass
    )


def messages_of(composition: Composition) -> tuple[Diagnostic, ...]:
    """What arose while composing, and what the rules over compositions say."""
    return composition.messages + run_checks(Analysis(composition=composition), ["composition"])
