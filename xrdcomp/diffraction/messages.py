"""What a search has to say beside its list of phases."""

from __future__ import annotations

from collections.abc import Sequence

from xrdcomp.diffraction.peaks import UnexplainedPeak
from xrdcomp.results import FitResult, PhaseResult
from xrdcomp.types import Diagnostic

__all__ = ["phases_not_fitted", "search_messages"]


def search_messages(
    reports: Sequence[PhaseResult], peaks: tuple[UnexplainedPeak, ...], *, searched: bool = True
) -> tuple[Diagnostic, ...]:
    """Messages of a search: peaks that no phase explains, phases neither shown nor excluded.

    Parameters
    ----------
    reports : sequence of PhaseResult
    peaks : tuple of UnexplainedPeak
    searched : bool
        Whether the library was searched.
    """
    out = []
    if peaks:
        listed = "; ".join(str(peak) for peak in peaks[:5])
        outside = "a phase outside the library (add its CIF with --phases)"
        phase = (
            outside if searched else "a phase of the library, which was not searched (identification.search)"
        )
        out.append(
            Diagnostic(
                code="XRD_UNEXPLAINED_PEAKS",
                severity="warning",
                text=(
                    f"{len(peaks)} peak(s) belong to no phase of the fit: {listed}. Check for sample-holder lines, "
                    f"a contamination, or {phase}."
                ),
                facts={"count": len(peaks), "strongest_d": peaks[0].d_spacing},
            )
        )
    undecided = [r for r in reports if r.decision == "inconclusive" and not r.is_apatite]
    if undecided:
        names = ", ".join(r.name for r in undecided)
        unseen = "named for the fit, but its lines do not show"
        told = [
            f"{r.name}: {r.evidence.get('reason', unseen)}" for r in undecided if r.evidence.get("fitted")
        ]
        why = (
            "Lines appear where this phase has some, but not all that should show do, or not in its ratio. "
            if len(told) < len(undecided)
            else ""
        )
        why += "".join(f"{text[0].upper()}{text[1:]}. " for text in told if text)
        out.append(
            Diagnostic(
                code="XRD_PHASE_INCONCLUSIVE",
                severity="warning",
                text=f"Neither shown nor excluded: {names}. {why}Count longer or look at the listed lines.",
            )
        )
    return tuple(out)


def phases_not_fitted(found: Sequence[PhaseResult], fit: FitResult) -> tuple[Diagnostic, ...]:
    """Phases that the search found beside those that were named, and which the fit therefore leaves out.

    Parameters
    ----------
    found : sequence of PhaseResult
    fit : FitResult
        Of the phases named.

    Returns
    -------
    tuple of Diagnostic
        ``XRD_PHASES_NOT_FITTED``, or none.
    """
    beside = [phase for phase in found if phase.decision == "detected" and phase.id not in fit.phases]
    if not beside:
        return ()
    shares = {p.id: p.crystalline_weight_fraction.value for p in beside if p.crystalline_weight_fraction}
    listed = ", ".join(f"{p.id} ({100 * shares[p.id]:.1f} %)" if p.id in shares else p.id for p in beside)
    text = (
        f"Found beside the phases that were named: {listed} of the crystalline part when fitted with them. The fit and "
        "the fractions of the phases named leave it out, so that all together exceed one: add it to --phases."
    )
    return (Diagnostic(code="XRD_PHASES_NOT_FITTED", severity="warning", text=text, facts=shares),)
