"""Intensity around one ring: whether crystallites point in a preferred direction.

In fibrous tissue the c axes of apatite follow the fibres, and the ring 002 shows it. The net intensity per
solid angle around the ring is described by its second harmonic

    I(φ) = a₀ [1 + A cos 2(φ − φ₀)]

A is 0 for a powder, 1 for cos²; φ₀ is the direction of the c axes' projection. Where most of the ring is seen,
Hermans' factor f = (3⟨cos²φ⟩ − 1) / 2 about φ₀, with weight |sin φ|, is 0 for a powder and 1 for a perfect
fibre (Hermans & Weidinger 1948, J. Appl. Phys. 19, 491).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.frames.image import BoolArray
from xrdcomp.frames.integrate import PathLike, Placed, place_frames
from xrdcomp.types import FloatArray

__all__ = ["APATITE_002", "AzimuthalProfile", "azimuthal_profile"]

APATITE_002 = 3.44
"""d of 002 of hydroxyapatite, ångström (c/2 with c = 6.88)."""
SECTORS = 72
"""Per turn: 5 degrees each, narrow beside the 20 to 60 degrees over which fibres of tissue scatter."""
LEAST_SECTORS = 8
LEAST_COVERAGE = 0.7


@dataclass(frozen=True, kw_only=True)
class AzimuthalProfile:
    """Net intensity of one ring against azimuth.

    Parameters
    ----------
    azimuth : (n,) array, degrees
        Middles of the sectors with enough pixels, −180 to 180.
    intensity, sigma : (n,) arrays
        Mean rate of a pixel in the ring above the background, with its standard deviation from counting.
    background : (n,) array
        Mean rate under the ring, from windows on both sides.
    d_spacing, two_theta : float
        Of the ring.
    half_width : float, degrees
        The ring is two_theta ± half_width; background windows of the same width follow on both sides.
    mean, mean_esd : float
        a₀.
    amplitude, amplitude_esd : float
        A, 0 for a powder. Scatter beyond counting (grainy rings) widens the esd.
    direction : float, degrees, −90 to 90
        φ₀; the ring is strongest there and opposite.
    hermans : float or None
        Hermans' factor about `direction`; None where less than 70 % of the turn is covered.
    coverage : float
        Part of the turn that is seen.
    graininess : float
        Reduced χ² of the points about the second harmonic; far above one means few, large crystallites or
        an orientation sharper than a second harmonic.
    """

    azimuth: FloatArray
    intensity: FloatArray
    sigma: FloatArray
    background: FloatArray
    d_spacing: float
    two_theta: float
    half_width: float
    mean: float
    mean_esd: float
    amplitude: float
    amplitude_esd: float
    direction: float
    hermans: float | None
    coverage: float
    graininess: float
    frames: str = ""

    @property
    def oriented(self) -> bool:
        """Whether the amplitude exceeds three standard deviations."""
        return self.amplitude > 3.0 * self.amplitude_esd


def azimuthal_profile(
    paths: PathLike | Sequence[PathLike],
    *,
    d_spacing: float = APATITE_002,
    half_width: float = 0.5,
    poni: PathLike | Sequence[PathLike] | None = None,
    mask: PathLike | BoolArray | None = None,
    polarization: float | None = None,
    orientation: int | None = None,
) -> AzimuthalProfile:
    """Net intensity of one ring against azimuth, with the strength and direction of orientation.

    Parameters
    ----------
    paths, poni, mask, polarization, orientation
        As in `integrate_frames`.
    d_spacing : float, ångström
        The ring; apatite 002 by default.
    half_width : float, degrees of 2θ
        Half the window of the ring. Wider takes in more of broad lines, and of neighbouring ones.

    Raises
    ------
    AnalysisError
        No wavelength, the ring lies outside the frame or is covered by too few sectors, or there is no net
        intensity.
    ReadError, MissingExtraError
        As in `integrate_frames`.
    """
    if not 0.0 < half_width < 10.0 or not d_spacing > 0.0:
        msg = (
            f"half_width is {half_width:g} degrees, d_spacing {d_spacing:g} Å: expected a half width between 0 and "
            "10 degrees and a positive spacing."
        )
        raise AnalysisError(msg)
    placed = place_frames(paths, poni=poni, mask=mask, polarization=polarization, orientation=orientation)
    two_theta = _ring_angle(placed, d_spacing)
    sums = _window_sums(placed, two_theta, half_width)
    scale = float(placed[0].pixels.solid_angle.max())
    counts, weight = sums[0], sums[1] / scale
    seen = (weight > 0).all(axis=0) & (sums[2] >= 4).all(axis=0)
    if seen.sum() < LEAST_SECTORS:
        msg = (
            f"the ring at {two_theta:.2f} degrees (d {d_spacing:g} Å) is seen in {int(seen.sum())} of {SECTORS} "
            f"sectors; expected at least {LEAST_SECTORS}. Choose a ring on the frame or wider sectors."
        )
        raise AnalysisError(msg)
    rate = counts[:, seen] / weight[:, seen]
    variance = np.maximum(counts[:, seen], 1.0) / weight[:, seen] ** 2
    background = (rate[0] + rate[2]) / 2.0
    net = rate[1] - background
    sigma = np.sqrt(variance[1] + (variance[0] + variance[2]) / 4.0)
    azimuth = -180.0 + 360.0 / SECTORS * (np.arange(SECTORS, dtype=np.float64) + 0.5)
    return _described(azimuth[seen], net, sigma, background, (d_spacing, two_theta, half_width, placed))


def _ring_angle(placed: Sequence[Placed], d_spacing: float) -> float:
    wavelength = placed[0].pixels.wavelength
    if wavelength is None:
        msg = "neither frame nor calibration states the wavelength. Put a line `Wavelength:` into the PONI file."
        raise AnalysisError(msg)
    sine = wavelength / (2.0 * d_spacing)
    if sine >= 1.0:
        msg = f"d {d_spacing:g} Å does not diffract at {wavelength:g} Å."
        raise AnalysisError(msg)
    return float(2.0 * np.degrees(np.arcsin(sine)))


def _window_sums(
    placed: Sequence[Placed], two_theta: float, half_width: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Counts, weights and pixels in (below, ring, above) × sectors."""
    sums = np.zeros((3, 3, SECTORS))
    for one in placed:
        window = np.floor((one.pixels.two_theta - two_theta) / (2.0 * half_width) + 1.5).astype(int)
        use = one.usable & (window >= 0) & (window <= 2)
        sector = np.mod((one.pixels.azimuth[use] + 180.0) * (SECTORS / 360.0), SECTORS).astype(int)
        index = window[use] * SECTORS + np.minimum(sector, SECTORS - 1)
        for row, weights in enumerate((one.frame.counts[use], one.weight[use], np.ones(index.size))):
            sums[row] += np.bincount(index, weights=weights, minlength=3 * SECTORS).reshape(3, SECTORS)
    return sums[0], sums[1], sums[2]


def _described(
    azimuth: FloatArray,
    net: FloatArray,
    sigma: FloatArray,
    background: FloatArray,
    ring: tuple[float, float, float, Sequence[Placed]],
) -> AzimuthalProfile:
    d_spacing, two_theta, half_width, placed = ring
    phi = np.radians(azimuth)
    design = np.column_stack([np.ones_like(phi), np.cos(2 * phi), np.sin(2 * phi)]) / sigma[:, None]
    covariance = np.linalg.pinv(design.T @ design)
    a0, c, s = covariance @ (design.T @ (net / sigma))
    residual = (net / sigma) - design @ np.array([a0, c, s])
    graininess = float(residual @ residual / max(1, len(net) - 3))
    covariance *= max(1.0, graininess)
    if a0 <= 2.0 * np.sqrt(covariance[0, 0]):
        msg = (
            f"there is no ring at {two_theta:.2f} degrees (d {d_spacing:g} Å): net intensity {a0:.3g} ± "
            f"{np.sqrt(covariance[0, 0]):.2g}. Choose a ring that the pattern shows."
        )
        raise AnalysisError(msg)
    second = float(np.hypot(c, s))
    gradient = np.array([-second / a0, c / max(second, 1e-300), s / max(second, 1e-300)]) / a0
    direction = float(np.degrees(np.arctan2(s, c)) / 2.0)
    coverage = len(net) * float(np.median(np.diff(azimuth))) / 360.0
    return AzimuthalProfile(
        azimuth=azimuth,
        intensity=net,
        sigma=sigma,
        background=background,
        d_spacing=d_spacing,
        two_theta=two_theta,
        half_width=half_width,
        mean=float(a0),
        mean_esd=float(np.sqrt(covariance[0, 0])),
        amplitude=second / float(a0),
        amplitude_esd=float(np.sqrt(gradient @ covariance @ gradient)),
        direction=direction,
        hermans=_hermans(phi, net, direction) if coverage >= LEAST_COVERAGE else None,
        coverage=min(coverage, 1.0),
        graininess=graininess,
        frames=", ".join(one.frame.source.file for one in placed),
    )


def _hermans(phi: FloatArray, net: FloatArray, direction: float) -> float | None:
    angle = phi - np.radians(direction)
    weight = np.abs(np.sin(angle)) * net
    total = float(weight.sum())
    if total <= 0.0:
        return None
    return float((3.0 * (weight * np.cos(angle) ** 2).sum() / total - 1.0) / 2.0)
