"""Intensity around one ring: whether crystallites point in a preferred direction.

In fibrous tissue the c axes of apatite follow the fibres, and the ring 002 shows it. The net intensity per
solid angle around the ring is described by its second harmonic

    I(φ) = a₀ [1 + A cos 2(φ − φ₀)]

A is 0 for a powder, 1 for cos²; φ₀ is the direction of the c axes' projection. A first harmonic is fitted beside
it and left out of A: crystallites have no front and back, but absorption and a beam off centre do. Where most of
the ring is seen, Hermans' factor f = (3⟨cos²φ⟩ − 1) / 2 about φ₀, with weight |sin φ|, is 0 for a powder and 1 for
a perfect fibre (Hermans & Weidinger 1948, J. Appl. Phys. 19, 491).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.frames.image import BoolArray
from xrdcomp.frames.integrate import PathLike, Placed, place_frames
from xrdcomp.types import FloatArray, IntArray

__all__ = ["APATITE_002", "AzimuthalProfile", "azimuthal_profile"]

APATITE_002 = 3.44
"""d of 002 of hydroxyapatite, ångström (c/2 with c = 6.88)."""
SECTORS = 72
"""Per turn: 5 degrees each, narrow beside the 20 to 60 degrees over which fibres of tissue scatter."""
PARTS = 4
"""Parts per side of a pixel when it is shared out to sectors."""
LEAST_SECTORS = 18
"""A quarter of a turn; the harmonics cannot be told apart on less."""
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
        Reduced χ² of the points about the harmonics; far above one means few, large crystallites or
        an orientation sharper than a second harmonic.
    frames : str
        Names of the frames.
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
    def oriented(self) -> bool | None:
        """Whether the amplitude exceeds three standard deviations; None where too little of the ring is seen."""
        return None if self.coverage < LEAST_COVERAGE else self.amplitude > 3.0 * self.amplitude_esd


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

    Returns
    -------
    AzimuthalProfile
        Angles in degrees, intensity as the mean rate of a pixel.

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
            f"sectors; expected at least {LEAST_SECTORS}. Choose a ring of which more lies on the frame, or a larger "
            "half_width."
        )
        raise AnalysisError(msg)
    rate = counts[:, seen] / weight[:, seen]
    background = (rate[0] + rate[2]) / 2.0
    net = rate[1] - background
    sigma = _sigma(np.maximum(counts[:, seen], 1.0) / weight[:, seen], weight[:, seen])
    # Sectors that happen to be weak must not weigh more: the fit takes the mean rate for all of them.
    pooled = counts[:, seen].sum(axis=1, keepdims=True) / weight[:, seen].sum(axis=1, keepdims=True)
    expected = _sigma(np.maximum(pooled, 1e-300), weight[:, seen])
    azimuth = -180.0 + 360.0 / SECTORS * (np.arange(SECTORS, dtype=np.float64) + 0.5)
    points = np.vstack([azimuth[seen], net, sigma, background, expected])
    return _described(points, (d_spacing, two_theta, half_width, placed))


def _sigma(rate: FloatArray, weight: FloatArray) -> FloatArray:
    """Standard deviation of ring minus mean of both sides, for counting."""
    variance = rate / weight
    sigma: FloatArray = np.sqrt(variance[1] + (variance[0] + variance[2]) / 4.0)
    return sigma


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
    """Counts, weights and pixels in (below, ring, above) × sectors.

    Each pixel is shared out in `PARTS` × `PARTS` parts: given whole to one sector, the pixels on a sector's edge
    would make the rates of narrow rings scatter by several per cent.
    """
    flat = np.zeros((3, 3 * SECTORS))
    for one in placed:
        angles, down, right = _near_ring(one, two_theta, 3.0 * half_width)
        near = (angles[2].astype(int), angles[3].astype(int))
        share = PARTS**-2.0
        values = (one.frame.counts[near] * share, one.weight[near] * share, np.full(len(near[0]), share))
        for part in range(PARTS**2):
            row, column = ((np.array(divmod(part, PARTS)) + 0.5) / PARTS - 0.5).tolist()
            angle = angles[0] + row * down[0] + column * right[0]
            azimuth = angles[1] + row * down[1] + column * right[1]
            window = np.floor((angle - two_theta) / (2.0 * half_width) + 1.5).astype(int)
            use = (window >= 0) & (window <= 2)
            sector = np.mod((azimuth[use] + 180.0) * (SECTORS / 360.0), SECTORS).astype(int)
            index = window[use] * SECTORS + np.minimum(sector, SECTORS - 1)
            for total, weights in zip(flat, values, strict=True):
                total += np.bincount(index, weights=weights[use], minlength=3 * SECTORS)
    sums = flat.reshape(3, 3, SECTORS)
    return sums[0], sums[1], sums[2]


def _near_ring(one: Placed, two_theta: float, reach: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """2θ, azimuth, row and column of the usable pixels near a ring; steps of both angles down and to the right."""
    pixels, (rows, columns) = one.pixels, one.frame.shape
    margin = 2.0 * pixels.pixel_degrees
    row, column = np.nonzero(one.usable & (np.abs(pixels.two_theta - two_theta) < reach + margin))

    def steps(before: tuple[IntArray, IntArray], after: tuple[IntArray, IntArray]) -> FloatArray:
        pixels_apart = np.maximum(after[0] - before[0] + after[1] - before[1], 1)
        angle = pixels.two_theta[after] - pixels.two_theta[before]
        turn = np.mod(pixels.azimuth[after] - pixels.azimuth[before] + 180.0, 360.0) - 180.0
        stacked: FloatArray = np.vstack([angle, turn]) / pixels_apart
        return stacked

    up, under = np.maximum(row - 1, 0), np.minimum(row + 1, rows - 1)
    left, beside = np.maximum(column - 1, 0), np.minimum(column + 1, columns - 1)
    here = np.vstack([pixels.two_theta[row, column], pixels.azimuth[row, column], row, column])
    return here, steps((up, column), (under, column)), steps((row, left), (row, beside))


def _described(points: FloatArray, ring: tuple[float, float, float, Sequence[Placed]]) -> AzimuthalProfile:
    d_spacing, two_theta, half_width, placed = ring
    azimuth, net, sigma, background, expected = points
    phi = np.radians(azimuth)
    terms = (np.ones_like(phi), np.cos(2 * phi), np.sin(2 * phi), np.cos(phi), np.sin(phi))
    design = np.column_stack(terms) / expected[:, None]
    covariance = np.linalg.pinv(design.T @ design, rcond=1e-13)
    solution = covariance @ (design.T @ (net / expected))
    residual = (net / expected) - design @ solution
    graininess = float(residual @ residual / max(1, len(net) - len(terms)))
    covariance = max(1.0, graininess) * covariance[:3, :3]
    a0, c, s = solution[:3]
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
    enough = coverage >= LEAST_COVERAGE
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
        hermans=_hermans(phi, net, (float(a0), second / float(a0), direction)) if enough else None,
        coverage=min(coverage, 1.0),
        graininess=graininess,
        frames=", ".join(one.frame.source.file for one in placed),
    )


def _hermans(phi: FloatArray, net: FloatArray, harmonic: tuple[float, float, float]) -> float | None:
    """Hermans' factor on half a turn: opposite sectors are averaged, unseen ones taken from the harmonic."""
    mean, amplitude, direction = harmonic
    half = SECTORS // 2
    middle = np.pi / half * (np.arange(half) + 0.5)
    index = np.floor(np.mod(phi - np.radians(direction), np.pi) / (np.pi / half)).astype(int) % half
    number = np.bincount(index, minlength=half)
    folded = np.bincount(index, weights=net, minlength=half) / np.maximum(number, 1)
    folded = np.where(number > 0, folded, mean * (1.0 + amplitude * np.cos(2.0 * middle)))
    weight = np.sin(middle) * folded
    total = float(weight.sum())
    if total <= 0.0:
        return None
    return float((3.0 * (weight * np.cos(middle) ** 2).sum() / total - 1.0) / 2.0)
