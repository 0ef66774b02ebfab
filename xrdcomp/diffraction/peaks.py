"""Peaks that no phase of the fit explains, and whose they might be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrdcomp.diffraction.screening import CandidateLines, Nuisance, template_fwhm
from xrdcomp.fit.pattern import FitState
from xrdcomp.physics import profile
from xrdcomp.units import two_theta_to_d

__all__ = ["UnexplainedPeak", "unexplained_peaks"]

_MATCH = 4e-3  # relative difference of spacings up to which a library line counts as near
_STRONG = 25.0
_MOST = 20


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
    state: FitState, nuisance: Nuisance, library: Sequence[CandidateLines], false_alarm_rate: float
) -> tuple[UnexplainedPeak, ...]:
    """Matched-filter search of the cleaned residual for peaks of instrumental width.

    Parameters
    ----------
    library : lines of the phases whose strong ones are named as candidates
    false_alarm_rate : float
        Chance of one or more false peaks in the pattern.
    """
    from scipy.special import ndtri

    x = state.two_theta[nuisance.points]
    step = float(np.median(np.diff(x)))
    fwhm = max(template_fwhm(state, 100.0), 3.0 * step)
    n_trials = (x[-1] - x[0]) / fwhm
    threshold = float(-ndtri(false_alarm_rate / n_trials))
    half = int(np.ceil(2.0 * fwhm / step))
    offset = np.asarray(np.arange(-half, half + 1) * step, dtype=np.float64)
    kernel, *_ = profile.pseudo_voigt(offset, np.full_like(offset, fwhm), np.full_like(offset, 0.4))
    kernel = kernel - kernel.mean()
    weight = 1.0 / nuisance.sigma
    signal = np.convolve(nuisance.residual * weight, kernel, mode="same")
    power = np.convolve(weight**2, kernel**2, mode="same")
    free_share = np.maximum(1.0 - (nuisance.half**2).sum(axis=0), 0.05)
    z = signal / np.sqrt(power * free_share * nuisance.inflation)
    z[: half + 1] = z[-half - 1 :] = 0.0
    found: list[UnexplainedPeak] = []
    taken = np.zeros(len(x), bool)
    for i in np.argsort(z)[::-1]:
        if z[i] < threshold or len(found) >= _MOST:
            break
        if taken[i]:
            continue
        taken[np.abs(x - x[i]) < 2.5 * fwhm] = True
        height = float(signal[i] / power[i] * kernel.max())
        found.append(_peak(state, float(x[i]), float(z[i]), height, library))
    return tuple(found)


def _peak(
    state: FitState, two_theta: float, z: float, height: float, library: Sequence[CandidateLines]
) -> UnexplainedPeak:
    values = state.solution.values
    lever = -np.degrees(2.0 * values.get("sample_displacement_mm", 0.0) / state.instrument.radius_mm)
    true = two_theta - values.get("zero_shift", 0.0) - lever * np.cos(np.radians(two_theta / 2.0))
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
    return UnexplainedPeak(two_theta=two_theta, d_spacing=d, z=z, height=height, candidates=names)
