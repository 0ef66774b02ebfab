"""Joint XRD and TGA model: composition with honest intervals, uncertainty budget, claims, cohorts."""

from __future__ import annotations

from xrdcomp.composition.claims import evaluate_claims, undecided_claims, without_poor_fits
from xrdcomp.composition.cohort import CohortSummary, evaluate_cohort
from xrdcomp.composition.compose import compose, compose_evidence
from xrdcomp.composition.evidence import InternalStandard, ThermalEvidence
from xrdcomp.composition.replicates import combine_replicates
from xrdcomp.composition.weights import weigh_phases, without_standard

__all__ = [
    "CohortSummary",
    "InternalStandard",
    "ThermalEvidence",
    "combine_replicates",
    "compose",
    "compose_evidence",
    "evaluate_claims",
    "evaluate_cohort",
    "undecided_claims",
    "weigh_phases",
    "without_poor_fits",
    "without_standard",
]
