"""Peaks that no phase of the fit explains, and whose they might be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrdcomp.diffraction.candidates import CandidateLines
from xrdcomp.diffraction.screening import Nuisance, matched_filter
from xrdcomp.diffraction.templates import template_fwhm
from xrdcomp.fit.pattern import FitState
from xrdcomp.types import FloatArray
from xrdcomp.units import two_theta_to_d

__all__ = ["MOST_PEAKS", "UnexplainedPeak", "explain_peak", "unexplained_peaks"]

_MATCH = 4e-3  # relative difference of spacings up to which a library line counts as near
_STRONG = 25.0
MOST_PEAKS = 20
"""Unexplained peaks that are listed at most."""

_TRIALS_PER_FWHM = 2.0  # the filter output is correlated over about half a width


@dataclass(frozen=True, kw_only=True)
class UnexplainedPeak:
    """A peak in the residual: angle (deg), spacing (Å), significance (z), nearest strong library lines."""

    two_theta: float
    d_spacing: float
    z: float
    height: float
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        near = f", near {', '.join(self.candidates)}" if self.candidates else ""
        return f"{self.two_theta:.2f}° (d = {self.d_spacing:.3f} Å, z = {self.z:.1f}{near})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "two_theta": self.two_theta,
            "d_spacing": self.d_spacing,
            "z": self.z,
            "height": self.height,
            "candidates": list(self.candidates),
        }


def unexplained_peaks(
    nuisance: Nuisance, library: Sequence[CandidateLines], false_alarm_rate: float
) -> tuple[UnexplainedPeak, ...]:
    """Matched-filter search of the cleaned residual for peaks of instrumental width.

    Parameters
    ----------
    library : lines of the phases whose strong ones are named as candidates
    false_alarm_rate : float
        Chance of one or more false peaks in the pattern.
    """
    from scipy.special import ndtri

    grid = nuisance.grid
    x = grid.two_theta
    fwhm = max(template_fwhm(grid.state, 100.0), 3.0 * grid.step)
    threshold = float(-ndtri(false_alarm_rate / (_TRIALS_PER_FWHM * (x[-1] - x[0]) / fwhm)))
    z, height = matched_filter(grid, nuisance.residual, nuisance.sigma)
    free_share = np.maximum(1.0 - (nuisance.half**2).sum(axis=0), 0.05)
    z = z / np.sqrt(free_share * nuisance.inflation)
    found: list[UnexplainedPeak] = []
    taken = np.zeros(len(x), bool)
    for i in np.argsort(z)[::-1]:
        if z[i] < threshold or len(found) >= MOST_PEAKS:
            break
        if taken[i]:
            continue
        taken[np.abs(x - x[i]) < 2.5 * fwhm] = True
        found.append(
            explain_peak(grid.state, _vertex(x, z, int(i)), (float(z[i]), float(height[i])), library)
        )
    return tuple(found)


def _vertex(x: FloatArray, z: FloatArray, i: int) -> float:
    """Angle of a maximum between bins, from the parabola through three of them."""
    if not 0 < i < len(x) - 1:
        return float(x[i])
    curvature = z[i - 1] - 2.0 * z[i] + z[i + 1]
    part = 0.5 * (z[i - 1] - z[i + 1]) / curvature if curvature < 0.0 else 0.0
    return float(x[i] + np.clip(part, -0.5, 0.5) * (x[i + 1] - x[i]))


def explain_peak(
    state: FitState, two_theta: float, size: tuple[float, float], library: Sequence[CandidateLines]
) -> UnexplainedPeak:
    """Spacing of a peak at an observed angle, and whose strong lines lie there.

    Parameters
    ----------
    two_theta : float
        Degrees, as observed.
    size : (significance, height)
    library : lines of the phases that may be named as candidates
    """
    values = state.solution.values
    lever = -np.degrees(2.0 * values.get("sample_displacement_mm", 0.0) / state.instrument.radius_mm)
    true = (
        two_theta
        - values.get("zero_shift", state.instrument.zero_shift)
        - lever * np.cos(np.radians(two_theta / 2.0))
    )
    d = float(two_theta_to_d(true, state.instrument.wavelength))
    near = []
    for lines in library:
        if not len(lines.d_spacing):
            continue
        intensity = lines.strength * lines.d_spacing**2
        relative = 100.0 * intensity / intensity.max()
        close = np.abs(lines.d_spacing / d - 1.0) < _MATCH
        if (close & (relative > _STRONG)).any():
            near.append((float(relative[close].max()), lines.phase.id))
    near.sort(reverse=True)
    names = tuple(name for _, name in near[:3])
    return UnexplainedPeak(two_theta=two_theta, d_spacing=d, z=size[0], height=size[1], candidates=names)
