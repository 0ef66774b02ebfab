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

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, Pattern, Source
from xrdcomp.errors import AnalysisError
from xrdcomp.frames.read import Frame, PixelMap, Sector, load_poni, pixel_map, read_frame, read_mask
from xrdcomp.units import BoolArray, FloatArray, IntArray

# ------------ Azimuthal integration: counts of all frames summed per step of 2θ, with their counting error.
# In a bin with pixels i of all frames, with counts N_i, solid angle Ω_i, polarisation P_i and exposure t_i
#
#     intensity = k Σ N_i / Σ (Ω_i P_i t_i),     sigma = k sqrt(Σ N_i) / Σ (Ω_i P_i t_i)
#
# the maximum-likelihood rate of Poisson counts with its standard deviation; k is the solid angle of one pixel
# that faces the sample. Every pixel belongs to one bin, so that bins are independent. Overlapping frames merge
# by the same sums, each with the weight of its exposure.
#
# The mean over the ring, not its sum, is what a point detector behind a slit measures on a powder: the Lorentz
# and polarisation factors of a Debye-Scherrer pattern stay in it.

PathLike = str | os.PathLike[str]
LEAST_PIXELS = 8
"""Bins with fewer pixels are dropped: corners of the detector, the innermost ring."""
PIXELS_PER_BIN = 0.5
"""Default width of a bin, in pixels that face the sample; a ring meets the pixels at all phases."""
MAX_BINS = 20_000
SAME_WAVELENGTH = 3e-3
LEAST_OVERLAP = 10
"""Common steps of 2θ from which on two frames are compared."""
SAME_RATE = 0.05
"""Frames whose rates differ by more at the same angles were not measured alike."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A frame with what each of its pixels sees, and the pixels that may be used."""

    frame: Frame
    pixels: PixelMap
    usable: BoolArray

    @property
    def weight(self) -> FloatArray:
        """Solid angle × polarisation × exposure of each pixel (exposure 1 where no frame states one)."""
        seconds = self.frame.exposure_s or 1.0
        weight: FloatArray = self.pixels.solid_angle * self.pixels.polarization * seconds
        return weight


def integrate_frames(
    paths: PathLike | Sequence[PathLike],
    *,
    poni: PathLike | Sequence[PathLike] | None = None,
    mask: PathLike | BoolArray | None = None,
    sector: Sector | tuple[float, float] | None = None,
    n_points: int | None = None,
    polarization: float | None = None,
    orientation: int | None = None,
) -> Pattern:
    """Integrate frames of an area detector to one powder pattern.

    Parameters
    ----------
    paths : path or sequence of paths
        Bruker GFRM or SFRM, TIFF, CBF, EDF, Eiger HDF5. Several are merged: rates, weighted by exposure.
    poni : path or sequence of paths, optional
        Calibration by pyFAI, one for all frames or one for each. Without it the frames' headers are used.
    mask : path or boolean array, optional
        Pixels not to be used (nonzero or True), besides those that the frames rule out themselves.
    sector : Sector or (start, stop), optional
        Azimuth in degrees, 0 towards higher columns, 90 towards higher rows. Without it all azimuths count,
        which is right for oriented tissue: a sector sees some crystallites more than others.
    n_points : int, optional
        Number of steps of 2θ over the range. Without it a step is half a pixel. Fewer give smaller errors per
        point and blunter lines.
    polarization : float, optional
        As in `pixel_map`; leave it out for a laboratory tube.
    orientation : int, optional
        As in `pixel_map`; only with a PONI file.

    Returns
    -------
    Pattern
        Mean rate of a pixel that faces the sample (counts per second, or counts where no frame states its
        exposure), with standard deviations from counting.

    Raises
    ------
    ReadError
        A frame, mask or calibration that cannot be read.
    AnalysisError
        No geometry, frames that do not fit each other, nothing left in the sector or behind the mask.
    MissingExtraError
        fabio or pyFAI is not installed.
    """
    wanted = Sector(start=sector[0], stop=sector[1]) if isinstance(sector, tuple) else sector
    placed = place_frames(paths, poni=poni, mask=mask, polarization=polarization, orientation=orientation)
    low, high, pixel = _range(placed)
    bins = n_points if n_points is not None else math.ceil((high - low) / (PIXELS_PER_BIN * pixel))
    if not 2 <= bins <= MAX_BINS:
        msg = f"n_points is {bins}; expected 2 to {MAX_BINS} steps from {low:.2f} to {high:.2f} degrees."
        raise AnalysisError(msg)
    edges = np.linspace(low, high, bins + 1)
    parts = np.zeros((len(placed), 3, bins))
    for part, one in zip(parts, placed, strict=True):
        use = one.usable if wanted is None else one.usable & wanted.contains(one.pixels.azimuth)
        index = np.clip(((one.pixels.two_theta[use] - low) * (bins / (high - low))).astype(int), 0, bins - 1)
        part[0] = np.bincount(index, weights=one.frame.counts[use], minlength=bins)
        part[1] = np.bincount(index, weights=one.weight[use], minlength=bins)
        part[2] = np.bincount(index, minlength=bins)
    counts, weight, number = parts.sum(axis=0)
    kept = (number >= LEAST_PIXELS) & (weight > 0)
    if kept.sum() < 2 or not (counts[kept] > 0).any():
        where = "" if wanted is None else f" in the sector from {wanted.start:g} to {wanted.stop:g} degrees"
        msg = f"no counts are left{where} behind the mask. Widen the sector or check the mask."
        raise AnalysisError(msg)
    scale = float(placed[0].pixels.solid_angle.max())
    rate = scale * counts[kept] / weight[kept]
    sigma = scale * np.sqrt(np.maximum(counts[kept], 1.0)) / weight[kept]
    notes = (*_geometry_note(placed, poni), *_coverage_note(placed), *_overlap_notes(placed, parts))
    return _pattern(placed, np.vstack([(edges[:-1] + edges[1:])[kept] / 2.0, rate, sigma]), wanted, notes)


def place_frames(
    paths: PathLike | Sequence[PathLike],
    *,
    poni: PathLike | Sequence[PathLike] | None = None,
    mask: PathLike | BoolArray | None = None,
    polarization: float | None = None,
    orientation: int | None = None,
) -> tuple[Placed, ...]:
    """Read frames and find out what their pixels see; parameters and errors as in `integrate_frames`."""
    files = _listed(paths)
    calibrations = [None] * len(files) if poni is None else _listed(poni)
    if not files or len(calibrations) not in {1, len(files)}:
        msg = (
            f"{len(files)} frames and {len(calibrations)} calibrations; expected one for all or one for each."
        )
        raise AnalysisError(msg)
    calibrations = calibrations * (len(files) // len(calibrations))
    if orientation is not None and poni is None:
        msg = "orientation is known from the header of a frame; pass it only together with poni=."
        raise AnalysisError(msg)
    placed = []
    for path, calibration in zip(files, calibrations, strict=True):
        frame = read_frame(path)
        geometry: Any = frame.geometry if calibration is None else load_poni(calibration)
        if geometry is None:
            msg = (
                f"{path}: the file does not say where the detector stood, so that pixels have no angle. "
                "Calibrate with a standard (pyFAI-calib2) and pass poni= (on the command line --poni FILE)."
            )
            raise AnalysisError(msg)
        pixels = pixel_map(geometry, frame.shape, polarization=polarization, orientation=orientation)
        usable = ~(frame.masked | pixels.masked)
        if mask is not None:
            usable &= ~read_mask(mask, frame.shape)
        if not usable.any():
            msg = f"{path}: the mask leaves no pixel. A mask is nonzero where pixels are not to be used."
            raise AnalysisError(msg)
        placed.append(Placed(frame=frame, pixels=pixels, usable=usable))
    _check_together(placed)
    return tuple(placed)


def _listed(paths: PathLike | Sequence[PathLike]) -> list[Any]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _check_together(placed: Sequence[Placed]) -> None:
    timed = [one.frame.exposure_s is not None for one in placed]
    if any(timed) and not all(timed):
        name = placed[timed.index(False)].frame.source.file
        msg = f"{name} does not state its exposure, other frames do: their rates cannot be merged. Integrate apart."
        raise AnalysisError(msg)
    waves = [one.pixels.wavelength for one in placed if one.pixels.wavelength]
    if waves and max(waves) - min(waves) > SAME_WAVELENGTH * min(waves):
        msg = f"the frames have wavelengths from {min(waves):g} to {max(waves):g} Å. Integrate them apart."
        raise AnalysisError(msg)


def _range(placed: Sequence[Placed]) -> tuple[float, float, float]:
    low = min(float(one.pixels.two_theta[one.usable].min()) for one in placed)
    high = max(float(one.pixels.two_theta[one.usable].max()) for one in placed)
    if not 0.0 <= low < high < 180.0:
        msg = f"the geometry gives 2θ from {low:g} to {high:g} degrees. Check distance and centre."
        raise AnalysisError(msg)
    return low, high, min(one.pixels.pixel_degrees for one in placed)


def _pattern(
    placed: Sequence[Placed], curve: FloatArray, sector: Sector | None, notes: Sequence[Diagnostic]
) -> Pattern:
    first = placed[0].frame
    seconds = sum(one.frame.exposure_s or 0.0 for one in placed)
    names = ", ".join(one.frame.source.file for one in placed)
    facts: dict[str, str | float | int | bool] = {
        **first.metadata,
        "scan_axis": "2theta",
        "frames": names,
        "frame_sha256": ", ".join(one.frame.source.sha256 for one in placed),
        "integration": "mean over azimuth per step of 2θ, solid angle divided out, no pixel splitting",
        "pixels_used": int(sum(one.usable.sum() for one in placed)),
    }
    if sector is not None:
        facts |= {"sector_start": sector.start, "sector_stop": sector.stop}
    frame_notes = [note for one in placed for note in one.frame.messages]
    return Pattern(
        two_theta=curve[0],
        intensity=curve[1],
        sigma=curve[2],
        intensity_unit="cps" if seconds else "counts",
        counting_time_s=None,
        emission_lines=_emission_lines(placed),
        anode=first.anode,
        metadata=facts,
        source=Source(file=first.source.file, sha256=first.source.sha256, format=first.source.format),
        messages=(*frame_notes, *notes),
    )


def _emission_lines(placed: Sequence[Placed]) -> tuple[EmissionLine, ...]:
    """Lines of the header, unless the calibration's wavelength contradicts them."""
    lines, calibrated = placed[0].frame.emission_lines, placed[0].pixels.wavelength
    if calibrated is None:
        return lines
    total = sum(line.weight for line in lines)
    mean = sum(line.wavelength * line.weight for line in lines) / total if lines else 0.0
    if lines and abs(mean - calibrated) < SAME_WAVELENGTH * calibrated:
        return lines
    return (EmissionLine(wavelength=calibrated),)


def _geometry_note(placed: Sequence[Placed], poni: object) -> list[Diagnostic]:
    if poni is not None:
        return []
    text = (
        f"the geometry of {placed[0].frame.source.file} is that of its header. Measured on CeO2, headers gave "
        "spacings 0.3 to 0.6 % too small: 0.1 degrees at 26 degrees. Refine the zero shift, or calibrate with a "
        "standard and pass its PONI file (on the command line --poni FILE)."
    )
    return [Diagnostic(code="FRAME_HEADER_GEOMETRY", severity="info", text=text)]


def _coverage_note(placed: Sequence[Placed]) -> list[Diagnostic]:
    zero = float(np.mean([(one.frame.counts[one.usable] == 0).mean() for one in placed]))
    mean = float(np.mean([one.frame.counts[one.usable].mean() for one in placed]))
    if mean < 5.0 or zero < 10.0 * math.exp(-mean) + 0.02:
        return []
    text = (
        f"{100 * zero:.1f} % of the pixels used hold no count although the mean is {mean:.1f}: dead areas or a "
        "shadow lower the intensity there. Mask them: mask= (on the command line --mask FILE)."
    )
    facts: dict[str, str | float | int | bool] = {"zero_fraction": zero, "mean_counts": mean}
    return [Diagnostic(code="FRAME_DEAD_AREA", severity="warning", text=text, facts=facts)]


def _overlap_notes(placed: Sequence[Placed], parts: FloatArray) -> list[Diagnostic]:
    """Rates of each later frame against the ones before it, where they overlap."""
    notes = []
    for k in range(1, len(placed)):
        before, here = parts[:k].sum(axis=0), parts[k]
        both = (before[2] >= LEAST_PIXELS) & (here[2] >= LEAST_PIXELS)
        if both.sum() < LEAST_OVERLAP:
            continue
        seen = here[0, both].sum()
        predicted = (before[0, both] / before[1, both] * here[1, both]).sum()
        ratio = float(seen / predicted) if predicted > 0 else float("inf")
        if abs(ratio - 1.0) <= SAME_RATE + 3.0 / math.sqrt(max(seen, 1.0)):
            continue
        name = placed[k].frame.source.file
        text = (
            f"{name} counts {ratio:.3g} times what the frames before it count at the same angles. The beam, the "
            "exposure in its header or the specimen changed; the merged pattern has a step. Integrate it apart, "
            "or find out what changed."
        )
        facts: dict[str, str | float | int | bool] = {"frame": name, "ratio": ratio}
        notes.append(Diagnostic(code="FRAME_OVERLAP", severity="warning", text=text, facts=facts))
    return notes


def frame_stem(path: PathLike) -> str:
    """Name of a frame without folders and suffixes, for output files."""
    name = Path(path).name
    for suffix in (".gz", ".bz2"):
        name = name.removesuffix(suffix)
    return Path(name).stem


# ------------ Intensity around one ring: whether crystallites point in a preferred direction.
# In fibrous tissue the c axes of apatite follow the fibres, and the ring 002 shows it. The net intensity per
# solid angle around the ring is described by its second harmonic
#
#     I(φ) = a₀ [1 + A cos 2(φ − φ₀)]
#
# A is 0 for a powder, 1 for cos²; φ₀ is the direction of the c axes' projection. A first harmonic is fitted beside
# it and left out of A: crystallites have no front and back, but absorption and a beam off centre do. Where most of
# the ring is seen, Hermans' factor f = (3⟨cos²φ⟩ − 1) / 2 about φ₀, with weight |sin φ|, is 0 for a powder and 1 for
# a perfect fibre (Hermans & Weidinger 1948, J. Appl. Phys. 19, 491).

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
