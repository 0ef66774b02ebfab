"""Mass fractions of the phases that agree with the composition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xrdcomp.results import Composition, Estimate, PhaseResult

__all__ = ["weigh_phases", "without_standard"]


def weigh_phases(phases: Sequence[PhaseResult], composition: Composition) -> tuple[PhaseResult, ...]:
    """Give the phases that the composition counts their share of its crystalline part.

    w_j = f_j · C with f_j the fraction of the crystalline part and C the crystalline mass fraction (lattice
    carbonate included) that all instruments together determine; to first order
    σ_w² = C² σ_f² + f² σ_C². The value from the pattern alone stays in the evidence.

    A phase that is undecided is not counted in the composition: it has no weight, and the shares of the others are
    those without it. What the pattern alone would give it stays in the evidence.

    Parameters
    ----------
    phases : sequence of PhaseResult
    composition : Composition
        Without a crystalline sum (one instrument that does not give it) the phases that were found keep the weight that
        the pattern alone gives them.

    Returns
    -------
    tuple of PhaseResult
        In the order given; fractions 0 to 1.
    """
    crystalline = composition.identifiable_sums.get("crystalline")
    if crystalline is not None and crystalline.std is None:
        crystalline = None
    inside = [_counted(phase, weighed=crystalline is not None) for phase in phases]
    undecided = [p.crystalline_weight_fraction for p, own in zip(phases, inside, strict=True) if not own]
    counted = 1.0 - sum(share.value for share in undecided if share is not None)
    out = []
    for phase, own in zip(phases, inside, strict=True):
        if not own:
            out.append(_unweighed(phase))
            continue
        decided = _without_undecided(phase, counted)
        out.append(decided if crystalline is None else _weighed(decided, crystalline))
    return tuple(out)


def _counted(phase: PhaseResult, *, weighed: bool) -> bool:
    """Whether the composition has mass for a phase: what was found, and, where it weighs crystals, apatite in doubt."""
    return phase.decision == "detected" or (weighed and phase.decision == "inconclusive" and phase.is_apatite)


def _without_undecided(phase: PhaseResult, total: float) -> PhaseResult:
    """Share of the crystalline part that is counted."""
    share = phase.crystalline_weight_fraction
    if share is None or not 0.0 < total < 1.0 - 1e-9:
        return phase
    value, std = share.value / total, (share.std or 0.0) / total
    alone = 1.0 - value < 1e-9
    low, high = (1.0, 1.0) if alone else (max(0.0, value - 1.96 * std), min(1.0, value + 1.96 * std))
    counted = Estimate(
        value=min(value, 1.0), std=0.0 if alone else std, interval=(min(low, value), max(high, value))
    )
    return replace(phase, crystalline_weight_fraction=counted)


def _unweighed(phase: PhaseResult) -> PhaseResult:
    if (
        phase.decision != "inconclusive"
        or (phase.weight_fraction or phase.crystalline_weight_fraction) is None
    ):
        return phase
    evidence = dict(phase.evidence)
    if phase.weight_fraction is not None:
        evidence["weight_fraction_from_pattern_alone"] = phase.weight_fraction.to_dict()
    return replace(phase, weight_fraction=None, crystalline_weight_fraction=None, evidence=evidence)


def _weighed(phase: PhaseResult, crystalline: Estimate) -> PhaseResult:
    share = phase.crystalline_weight_fraction
    if share is None or phase.weight_fraction is None:
        return phase
    value = share.value * crystalline.value
    std = float(np.hypot(crystalline.value * (share.std or 0.0), share.value * (crystalline.std or 0.0)))
    low, high = max(0.0, value - 1.96 * std), min(1.0, value + 1.96 * std)
    if crystalline.interval is not None and (share.std or 0.0) < 1e-9:
        low, high = (share.value * end for end in crystalline.interval)
    evidence = {**phase.evidence, "weight_fraction_from_pattern_alone": phase.weight_fraction.to_dict()}
    weighed = Estimate(value=value, std=std, interval=(min(low, value), max(high, value)))
    return replace(phase, weight_fraction=weighed, evidence=evidence)


def without_standard(
    found: tuple[PhaseResult, ...], standard: tuple[str, float] | None
) -> tuple[PhaseResult, ...]:
    """Fractions and limits of the original specimen: what was measured of the spiked powder, over 1 - s.

    Shares of the crystalline part are f/(f+g), g what the other phases of the specimen share; f and g are taken
    as independent. The standard itself keeps its share of the spiked powder and has none of the specimen.

    Parameters
    ----------
    found : tuple of PhaseResult
        Of the spiked powder.
    standard : (phase id, fraction of the spiked mass) or None

    Returns
    -------
    tuple of PhaseResult
        In the order given; unchanged without a standard.
    """
    if standard is None:
        return found
    name, spiked = standard
    own = {
        p.id: p.crystalline_weight_fraction for p in found if p.id != name and p.crystalline_weight_fraction
    }
    total = sum(share.value for share in own.values())
    out = []
    for phase in found:
        if phase.id == name:
            out.append(
                replace(phase, weight_fraction=None, evidence={**phase.evidence, "internal_standard": True})
            )
            continue
        limit, share = phase.detection_limit, own.get(phase.id)
        if share is not None and total > 0.0:
            rest = sum((other.std or 0.0) ** 2 for key, other in own.items() if key != phase.id) ** 0.5
            std = float(np.hypot((total - share.value) * (share.std or 0.0), share.value * rest)) / total**2
            share = _within_one(share.value / total, std)
        whole = phase.weight_fraction
        out.append(
            replace(
                phase,
                detection_limit=None if limit is None else min(1.0, limit / (1.0 - spiked)),
                weight_fraction=whole
                and _within_one(whole.value / (1.0 - spiked), (whole.std or 0.0) / (1.0 - spiked)),
                crystalline_weight_fraction=share,
            )
        )
    return tuple(out)


def _within_one(value: float, std: float) -> Estimate:
    low, high = max(0.0, value - 1.96 * std), min(1.0, value + 1.96 * std)
    return Estimate(value=value, std=std, interval=(min(low, value), max(high, value)))
