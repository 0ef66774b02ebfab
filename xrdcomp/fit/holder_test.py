"""Whether a holder of glass, PMMA or Kapton shows beneath a specimen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xrdcomp.fit.linear import solve_linear
from xrdcomp.physics.holders import HOLDERS, Holder, holder_shape
from xrdcomp.types import Diagnostic, FloatArray

if TYPE_CHECKING:
    from xrdcomp.fit.pattern import FitState

__all__ = ["holder_below"]

_MIN_Z = 4.0
_MIN_HEIGHT = 0.04  # of the median intensity


def holder_below(state: FitState) -> tuple[Diagnostic, ...]:
    """Name the holder whose humps, not negative, improve a fit most.

    One column is added to the linear problem and halos with their deformations, air and lines are fitted again beside
    it; a holder is named where the cost, over the misfit's inflation, falls by 4² and the hump exceeds 4 % of the
    median intensity. Humps where the specimen's own halos lie (glass, Kapton below an organic) mostly pass for
    these: nothing but an empty-holder scan tells them.

    Parameters
    ----------
    state : FitState
        With amorphous components and without an empty-holder scan.

    Returns
    -------
    One Diagnostic ``HOLDER_HUMP``, or none.
    """
    solution = state.solution
    y = state.intensity / state.sigma
    gram = state.evidence.gram + np.diag(solution.linear_prior + 1e-12)
    right = state.evidence.right
    bounded = np.array([c.nonnegative for c in state.model.columns])
    plain = _cost(gram, right, bounded)[0]
    best: tuple[float, Holder, float] | None = None
    for holder in HOLDERS:
        shape = holder_shape(holder, state.two_theta, state.instrument.wavelength)
        if shape is None:
            continue
        column = shape / state.sigma
        cross = solution.columns.T @ (column / state.sigma)
        wider = np.block([[gram, cross[:, None]], [cross[None, :], np.array([[column @ column]])]])
        cost, coefficient = _cost(wider, np.append(right, column @ y), np.append(bounded, True))
        height = coefficient * float(shape.max()) / max(float(np.median(state.intensity)), 1e-300)
        if best is None or plain - cost > best[0]:
            best = (plain - cost, holder, height)
    if best is None:
        return ()
    gain, holder, height = best
    z = float(np.sqrt(max(gain, 0.0) / state.evidence.inflation))
    if z < _MIN_Z or height < _MIN_HEIGHT:
        return ()
    positions = ", ".join(f"{p:.1f}" for p, *_ in holder.humps)
    text = (
        f"The broad maxima of {holder.name} ({positions}° for Cu Kα) show beneath the specimen, {100 * height:.0f} % "
        f"of the median intensity (z = {z:.0f}): {holder.advice}. Pass the empty-holder scan with --blank, or use a "
        "zero-background holder."
    )
    facts: dict[str, str | float] = {"holder": holder.name, "height": height, "z": z}
    return (Diagnostic(code="HOLDER_HUMP", severity="warning", text=text, facts=facts),)


def _cost(gram: FloatArray, right: FloatArray, bounded: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Cost of the linear solution but for a constant, and its last coefficient."""
    c = solve_linear(gram, right, bounded).coefficients
    return float(c @ gram @ c - 2.0 * right @ c), float(c[-1])
