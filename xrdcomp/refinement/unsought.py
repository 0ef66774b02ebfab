"""Amorphous components that a fit did not look for: whether the pattern asks for them, and what they would change.

A fit with fewer components than matter may hold puts what the others scatter into those that it has, and into air. The
same fit with all of them tells: by how much χ² falls, over the misfit that is then left and its correlation, whether
the pattern asks for any; one of them taken away, for which; and how far the amounts move. That far they are uncertain,
as probably as the pattern asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrdcomp.refinement.covariance import Evidence
from xrdcomp.refinement.model import DEFAULT_AMORPHOUS, PatternModel
from xrdcomp.refinement.solver import Solution, solve_linear
from xrdcomp.units import BoolArray, FloatArray

DECISIVE = 6.0  # of χ², odds of 20 between two models
# Of χ², five standard deviations: specimens of one material that was measured by itself, where nothing is left out, ask
# for calculated components by 9 to 14, because these make up for what the crystals lack.
CALLED_FOR = 25.0
_ORGANIC = ("protein", "lipid", "polymer")
# Components that take up what one scatters that is not fitted, nearest first; organic ones stand for each other.
_NEAREST = {"water": (*_ORGANIC, "amorphous_calcium_phosphate"), "amorphous_calcium_phosphate": ("water", *_ORGANIC)}


@dataclass(frozen=True, kw_only=True)
class Unsought:
    """What a fit with all components says of one without some.

    `gain` is by how much they lower χ² together, over the inflation of what is then left. `gains` and `shares` are by
    component: by how much χ² is higher without this one alone, and its share of all amorphous matter. `covariance`
    (k, k) is what they leave open of the amounts of the narrower fit.
    """

    gain: float
    gains: dict[str, float]
    shares: dict[str, float]
    covariance: FloatArray

    @property
    def called_for(self) -> tuple[str, ...]:
        """Components that the pattern asks for; where each may stand for another, those that the wider fit holds."""
        if self.gain <= CALLED_FOR:
            return ()
        alone = tuple(name for name, gain in self.gains.items() if gain > DECISIVE)
        return alone or tuple(name for name, share in self.shares.items() if share > 0.0)


def left_out(sought: Sequence[str]) -> tuple[str, ...]:
    """Components of the default that are not among those sought; none where nothing amorphous was sought."""
    return tuple(name for name in DEFAULT_AMORPHOUS if name not in sought) if sought else ()


def stands_in(name: str, sought: Sequence[str]) -> str:
    """Component that takes up what another one scatters: itself if sought, else the nearest one."""
    return next(k for k in (name, *_NEAREST.get(name, (*_ORGANIC, *_NEAREST))) if k in sought)


def compare(own: Evidence, narrow: Solution, other: Evidence, wide: Solution, model: PatternModel) -> Unsought:
    """Compare a fit (`own`, `narrow`) with the same one of all components (`other`, `wide`, of `model`)."""
    names, more = own.amounts.names, other.amounts.names
    missing = left_out(own.amounts.sought)
    gain = max(narrow.cost - wide.cost, 0.0) / other.inflation
    found = dict(zip(more, other.amounts.amounts.tolist(), strict=True))
    whole = sum(max(found[name], 0.0) for name in other.amounts.sought)
    taken = np.zeros((len(names), len(more)))  # amount of the narrow fit that each of the wide one goes to
    for j, name in enumerate(more):
        taken[names.index(name if name in names else stands_in(name, own.amounts.sought)), j] = 1.0
    move = taken @ other.amounts.amounts - own.amounts.amounts
    asked = 1.0 / (1.0 + np.exp(-0.5 * (gain - CALLED_FOR)))
    return Unsought(
        gain=gain,
        gains={name: rise_without(name, other, wide, model) / other.inflation for name in missing},
        shares={name: max(found[name], 0.0) / whole if whole > 0.0 else 0.0 for name in missing},
        covariance=asked * (np.outer(move, move) + taken @ other.amounts.covariance @ taken.T),
    )


def rise_without(name: str, evidence: Evidence, solution: Solution, model: PatternModel) -> float:
    """By how much the sum of squares is higher without a component or phase, all else that is linear fitted anew."""
    kept = np.array([name not in (column.name, column.parent) for column in model.columns])
    gram = evidence.gram + np.diag(solution.linear_prior + 1e-12)

    def cost(keep: BoolArray) -> float:
        part, right = gram[np.ix_(keep, keep)], evidence.right[keep]
        c = solve_linear(part, right, model.nonnegative[keep])
        return float(c @ part @ c - 2.0 * right @ c)

    return max(cost(kept) - cost(np.ones_like(kept)), 0.0)
