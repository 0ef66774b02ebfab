"""Joint XRD and TGA model: composition with honest intervals, uncertainty budget, claims, cohorts."""

from __future__ import annotations

from xrdcomp.composition.claims import evaluate_claims
from xrdcomp.composition.compose import compose, compose_evidence
from xrdcomp.composition.evidence import InternalStandard, ThermalEvidence

__all__ = ["InternalStandard", "ThermalEvidence", "compose", "compose_evidence", "evaluate_claims"]
