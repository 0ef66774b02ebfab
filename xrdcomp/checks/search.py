"""Rules over what a search found."""

from __future__ import annotations

from xrdcomp.checks.registry import Analysis, check
from xrdcomp.data import Diagnostic, message_kind

PHASES_NOT_FITTED = message_kind(
    "XRD_PHASES_NOT_FITTED",
    "warning",
    "The search found phases beside those that were named; fit and fractions leave them out.",
    remedy="Add them to --phases.",
)


@check(PHASES_NOT_FITTED, "search")
def phases_not_fitted(analysis: Analysis) -> Diagnostic | None:
    """Name detected phases that are not part of a fit of named phases."""
    fit = analysis.xrd
    if fit is None or not analysis.recipe.phases:
        return None
    beside = [p for p in analysis.phases if p.decision == "detected" and p.id not in fit.phases]
    if not beside:
        return None
    shares = {p.id: p.crystalline_weight_fraction.value for p in beside if p.crystalline_weight_fraction}
    listed = ", ".join(f"{p.id} ({100 * shares[p.id]:.1f} %)" if p.id in shares else p.id for p in beside)
    return PHASES_NOT_FITTED(
        f"Found beside the phases that were named: {listed} of the crystalline part when fitted with them. The fit and "
        "the fractions of the phases named leave it out, so that all together exceed one: add it to --phases.",
        **shares,
    )
