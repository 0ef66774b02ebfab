"""What a search has to say beside its list of phases."""

from __future__ import annotations

from collections.abc import Sequence

from xrdcomp.diffraction.peaks import UnexplainedPeak
from xrdcomp.results import PhaseResult
from xrdcomp.types import APATITES, Diagnostic

__all__ = ["search_messages"]


def search_messages(
    reports: Sequence[PhaseResult], peaks: tuple[UnexplainedPeak, ...]
) -> tuple[Diagnostic, ...]:
    """Messages of a search: peaks that no phase explains, phases neither shown nor excluded.

    Parameters
    ----------
    reports : sequence of PhaseResult
    peaks : tuple of UnexplainedPeak
    """
    out = []
    if peaks:
        listed = "; ".join(str(peak) for peak in peaks[:5])
        out.append(
            Diagnostic(
                code="XRD_UNEXPLAINED_PEAKS",
                severity="warning",
                text=(
                    f"{len(peaks)} peak(s) belong to no phase of the fit: {listed}. Check for sample-holder lines, "
                    "a contamination, or a phase outside the library (add its CIF with --phases)."
                ),
                facts={"count": len(peaks), "strongest_d": peaks[0].d_spacing},
            )
        )
    undecided = [r for r in reports if r.decision == "inconclusive" and r.id not in APATITES]
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
