"""Varieties of apatite told apart by what a whole pattern says of their intensities."""

from __future__ import annotations

from collections.abc import Sequence

from xrdcomp.data import Phase
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.refinement.refine import Refinement
from xrdcomp.results import PhaseResult

_DECIDES = 1.2  # χ² of one over that of the other; grains and substitutions in hydroxyapatite make less
_TOLERANCE = 0.01  # of χ², where a fifth decides
_DECIDES_DELTA = (
    40.0  # Δχ² over the better fit's inflation; a hundred specimens of hydroxyapatite gave at most 5
)


def compare_intensities(state: Refinement, family: Phase, other: Phase) -> int:
    """Whether another variety in the place of the fitted one describes the pattern better or worse.

    Both are fitted at the place of the lines that were found, so that only intensities count (the cell is judged by
    itself). The answer is decisive where χ² differs by a factor of 1.2 and by 40 in units of the misfit that is left.

    Parameters
    ----------
    state : Refinement
    family : Phase
        Of the fit.
    other : Phase
        Another variety of the same structure.

    Returns
    -------
    int
        1 better, -1 worse, 0 not decided, or both of the hydroxyl variety.
    """
    # structures of hydroxyapatite with more or less calcium are one member, which preparations differ in
    if family.facts.end_member == other.facts.end_member == "hydroxyapatite":
        return 0
    own, trial = (state.substitute(family, phase, tolerance=_TOLERANCE) for phase in (family, other))
    low, high = sorted((own, trial), key=lambda item: item.cost)
    if high.cost < _DECIDES * low.cost or high.cost - low.cost < _DECIDES_DELTA * low.inflation:
        return 0
    return 1 if low is trial else -1


def better_variety(base: Refinement, reports: Sequence[PhaseResult]) -> Refinement | None:
    """Exchange the apatite that a search began with for the variety that the search found to fit better.

    Parameters
    ----------
    base : Refinement
        Where the search began.
    reports : sequence of PhaseResult
        What it ended with; ``evidence.member`` marks varieties that fit better.

    Returns
    -------
    Refinement or None
        None where there is nothing to exchange.
    """
    family = next((phase for phase in base.phases if phase.is_apatite and phase.id in list_phases()), None)
    better = [
        r.id
        for r in reports
        if r.evidence.member and r.evidence.member.fits_better and r.is_apatite and r.id in list_phases()
    ]
    if family is None or not better:
        return None
    trials = [base.substitute(family, load_phase(name)) for name in better]
    return min(trials, key=lambda trial: trial.cost).settle()
