"""Mass fractions of the phases that agree with the composition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xrdcomp.results import Composition, Estimate, PhaseResult

__all__ = ["weigh_phases"]


def weigh_phases(phases: Sequence[PhaseResult], composition: Composition) -> tuple[PhaseResult, ...]:
    """Give detected phases their share of the composition's crystalline part.

    w_j = f_j · C with f_j the fraction of the crystalline part and C the crystalline mass fraction (lattice
    carbonate included) that all instruments together determine; to first order
    σ_w² = C² σ_f² + f² σ_C². The value from the pattern alone stays in the evidence.

    Parameters
    ----------
    phases : sequence of PhaseResult
    composition : Composition
        Without a crystalline sum (one instrument that does not give it) the phases are returned unchanged.
    """
    crystalline = composition.identifiable_sums.get("crystalline")
    if crystalline is None or crystalline.std is None:
        return tuple(phases)
    return tuple(_weighed(phase, crystalline) for phase in phases)


def _weighed(phase: PhaseResult, crystalline: Estimate) -> PhaseResult:
    share = phase.crystalline_weight_fraction
    if phase.decision != "detected" or share is None or phase.weight_fraction is None:
        return phase
    value = share.value * crystalline.value
    std = float(np.hypot(crystalline.value * (share.std or 0.0), share.value * (crystalline.std or 0.0)))
    low, high = max(0.0, value - 1.96 * std), min(1.0, value + 1.96 * std)
    if crystalline.interval is not None and (share.std or 0.0) < 1e-9:
        low, high = (share.value * end for end in crystalline.interval)
    evidence = {**phase.evidence, "weight_fraction_from_pattern_alone": phase.weight_fraction.to_dict()}
    weighed = Estimate(value=value, std=std, interval=(min(low, value), max(high, value)))
    return replace(phase, weight_fraction=weighed, evidence=evidence)
