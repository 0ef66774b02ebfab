"""What a scan that begins late does not show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrdcomp.phases import list_phases, phase_info
from xrdcomp.results import FitResult, PhaseResult
from xrdcomp.types import Diagnostic

__all__ = ["late_start"]

_LARGEST_SPACING = 4.45
"""Å: 20° of copper Kα, the maximum of the protein's halo. A scan should show larger spacings than this."""
_STRONG = 70.0
"""Height of a line, of the strongest 100, without which a phase is judged by what is left."""


def late_start(fit: FitResult | None, phases: Sequence[PhaseResult]) -> tuple[Diagnostic, ...]:
    """Say which phases have lost their strongest lines, and that the halo is cut, where a fit begins late.

    Parameters
    ----------
    fit : FitResult or None
    phases : sequence of PhaseResult
        Those that the search asked after; only phases of the library are named.

    Returns
    -------
    tuple of Diagnostic
        ``XRD_STARTS_LATE`` where the fitted range begins at 20° of copper Kα or more, or at the same spacing of
        another radiation.
    """
    if fit is None:
        return ()
    begin = float(fit.two_theta[0])
    seen = fit.wavelengths[0] / 2.0 / float(np.sin(np.radians(begin / 2.0)))
    if seen > _LARGEST_SPACING:
        return ()
    library = set(list_phases())
    asked = [phase for phase in phases if phase.decision != "detected" and phase.id in library]
    lost = [phase.name for phase in asked if _strong_line_beyond(phase.id, seen)]
    better = 2.0 * float(np.degrees(np.arcsin(fit.wavelengths[0] / 2.0 / 9.0)))
    named = ""
    if lost:
        named = f" Strong lines are outside of {', '.join(lost)}: what is said of them rests on weaker ones."
    return (
        Diagnostic(
            code="XRD_STARTS_LATE",
            severity="warning",
            text=(
                f"The pattern is used from {begin:.1f}° on (spacings below {seen:.2f} Å): the rise of the organic "
                f"halo is cut off, so that it is told from background and water by its falling side alone.{named} "
                f"Start the scan at {better:.0f}° or below."
            ),
            facts={"from_two_theta": begin, "largest_d": seen, "phases": len(lost)},
        ),
    )


def _strong_line_beyond(name: str, spacing: float) -> bool:
    lines = phase_info(name).strongest_lines
    return any(line.d_spacing > spacing and line.relative_intensity >= _STRONG for line in lines)
