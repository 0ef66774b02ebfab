"""Azimuthal integration of frames, and the intensity around one ring.

Counts of all frames are summed per step of 2θ. In a bin with pixels i of all frames, with counts N_i, solid angle
Ω_i, polarisation P_i and exposure t_i

    intensity = k Σ N_i / Σ (Ω_i P_i t_i),     sigma = k sqrt(Σ N_i) / Σ (Ω_i P_i t_i)

the maximum-likelihood rate of Poisson counts with its standard deviation; k is the solid angle of one pixel that
faces the sample. Every pixel belongs to one bin, so that bins are independent. Overlapping frames merge by the same
sums, each with the weight of its exposure. The mean over the ring, not its sum, is what a point detector behind a
slit measures on a powder: the Lorentz and polarisation factors of a Debye-Scherrer pattern stay in it.

In fibrous tissue the c axes of apatite follow the fibres, and the ring 002 shows it. The net intensity per solid
angle around the ring is described by its second harmonic

    I(φ) = a₀ [1 + A cos 2(φ − φ₀)]

A is 0 for a powder, 1 for cos²; φ₀ is the direction of the c axes' projection. A first harmonic is fitted beside it
and left out of A: crystallites have no front and back, but absorption and a beam off centre do. Where most of the
ring is seen, Hermans' factor f = (3⟨cos²φ⟩ − 1) / 2 about φ₀, with weight |sin φ|, is 0 for a powder and 1 for a
perfect fibre (Hermans & Weidinger 1948, J. Appl. Phys. 19, 491).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, Pattern, Source, message_kind
from xrdcomp.errors import AnalysisError, either
from xrdcomp.frames.read import Frame, PixelMap, Sector, load_poni, pixel_map, read_frame, read_mask
from xrdcomp.units import BoolArray, FloatArray, IntArray

PathLike = str | os.PathLike[str]
LEAST_PIXELS = 8  # bins with fewer pixels are dropped: corners of the detector, the innermost ring
PIXELS_PER_BIN = 0.5  # default width of a bin, in pixels that face the sample; a ring meets the pixels at all phases
MAX_BINS = 20_000
SAME_WAVELENGTH = 3e-3
_RINGS = 24  # tens of degrees of azimuth beyond which rings close about the beam, as they do in transmission only
LEAST_OVERLAP = 10  # common steps of 2θ from which on two frames are compared
SAME_RATE = 0.05
HEADER_GEOMETRY = message_kind("FRAME_HEADER_GEOMETRY", "info",
    "The geometry of a frame is that of its header, not of a calibration.",
    remedy="Refine the zero shift, or calibrate with a standard and pass its PONI file.",
    origin="measured on CeO2, headers gave spacings 0.3 to 0.6 % too small: 0.1 degrees at 26 degrees",
)  # fmt: skip
DEAD_AREA = message_kind("FRAME_DEAD_AREA", "warning",
    "More pixels have no counts than counting statistics explain: dead areas or a shadow lower the intensity there.",
    remedy="Mask them.",
    threshold="a mean of 5 counts, and ten times the Poisson probability of zero plus 2 % of the pixels",
    origin="judgement",
)  # fmt: skip
ORIENTATION = message_kind("FRAME_ORIENTATION", "warning",
    "If the frame is flipped or rotated, its rings are much sharper with the same calibration: its first pixel is in "
    "another corner than the PONI file says, and the pattern is smeared.",
    remedy="Pass the orientation that the message names, if the calibration is of this detector.",
    threshold="three times the variance of the rings relative to their neighbours, with counting noise subtracted",
    origin="a wrong corner lowers that of CeO2 on a Pilatus to a tenth",
)  # fmt: skip
OVERLAP = message_kind("FRAME_OVERLAP", "warning",
    "Two frames have different count rates at the same angles: the beam, the exposure stated in a header or the "
    "specimen has changed, and the merged pattern has a step.",
    remedy="Integrate the frame separately, or find out what has changed.",
    threshold="5 % and three standard deviations of counting, over at least 10 common steps",
    origin="judgement: tubes are stable to a few per cent",
)  # fmt: skip


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
        return np.asarray(self.pixels.solid_angle * self.pixels.polarization * seconds, dtype=np.float64)


def integrate_frames(
    paths: PathLike | Sequence[PathLike],
    *,
    poni: PathLike | Sequence[PathLike] | None = None,
    mask: PathLike | BoolArray | None = None,
    sector: Sector | tuple[float, float] | None = None,
    n_points: int | None = None,
    polarization: float | None = None,
    orientation: int | None = None,
    format: str | None = None,
) -> Pattern:
    """Integrate frames of an area detector to one powder pattern: the mean rate of a pixel that faces the sample.

    `paths` are Bruker GFRM or SFRM, TIFF, CBF, EDF, Eiger HDF5; several are merged by their rates, weighted by
    exposure. `poni` is pyFAI's calibration, one for all frames or one for each; without it the frames' headers are
    used. `mask` rules out pixels (nonzero or True) besides those that the frames rule out themselves. `sector` is an
    azimuth in degrees, 0 towards higher columns, 90 towards higher rows; without it all azimuths count, which is right
    for oriented tissue: a sector sees some crystallites more than others. `n_points` is the number of steps of 2θ over
    the range, half a pixel each without it; fewer give smaller errors per point and blunter reflections.
    `polarization` and `orientation` are as in `pixel_map`: the first is left out for a laboratory tube, the second goes
    with a PONI file only. `format` is the id of the frames' format where the content does not tell. The intensity is in
    counts per second, or in counts where no frame states its exposure, with standard deviations from counting.
    """
    wanted = Sector(start=sector[0], stop=sector[1]) if isinstance(sector, tuple) else sector
    placed = place_frames(
        paths, poni=poni, mask=mask, polarization=polarization, orientation=orientation, format=format
    )
    low = min(float(one.pixels.two_theta[one.usable].min()) for one in placed)
    high = max(float(one.pixels.two_theta[one.usable].max()) for one in placed)
    if not 0.0 <= low < high < 180.0:
        raise AnalysisError(f"the geometry gives 2θ from {low:g} to {high:g} degrees. Check distance and centre.")
    pixel = min(one.pixels.pixel_degrees for one in placed)
    bins = n_points if n_points is not None else math.ceil((high - low) / (PIXELS_PER_BIN * pixel))
    if not 2 <= bins <= MAX_BINS:
        raise AnalysisError(f"n_points is {bins}; expected 2 to {MAX_BINS} steps from {low:.2f} to {high:.2f} degrees.")
    # counts, weight and number of pixels of each frame in each bin: one histogram for all frames, without the splitting
    # of pixels that would correlate neighbouring points
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
        raise AnalysisError(f"no counts are left{where} behind the mask. Widen the sector or check the mask.")
    edges = np.linspace(low, high, bins + 1)
    scale = float(placed[0].pixels.solid_angle.max())
    frames = [one.frame for one in placed]
    first = frames[0]
    facts: dict[str, str | float | int | bool] = {
        **first.metadata,
        "scan_axis": "2theta",
        "frames": ", ".join(frame.source.file for frame in frames),
        "frame_sha256": ", ".join(frame.source.sha256 for frame in frames),
        "integration": "mean over azimuth per step of 2θ, solid angle divided out, no pixel splitting",
        "pixels_used": int(sum(one.usable.sum() for one in placed)),
    }
    seen = np.unique(np.concatenate([one.pixels.azimuth[one.usable] // 10.0 for one in placed]))
    if len(seen) > _RINGS:
        # the beam goes through the specimen, which usually stands normal to it
        facts |= {"geometry": "transmission", "incidence_angle_deg": 90.0}
    if wanted is not None:
        facts |= {"sector_start": wanted.start, "sector_stop": wanted.stop}
    return Pattern(
        two_theta=(edges[:-1] + edges[1:])[kept] / 2.0,
        intensity=scale * counts[kept] / weight[kept],
        sigma=scale * np.sqrt(np.maximum(counts[kept], 1.0)) / weight[kept],
        intensity_unit="cps" if any(frame.exposure_s for frame in frames) else "counts",
        counting_time_s=None,
        emission_lines=_emission_lines(placed[0]),
        anode=first.anode,
        metadata=facts,
        source=Source(file=first.source.file, sha256=first.source.sha256, format=first.source.format),
        messages=(
            *(note for frame in frames for note in frame.messages),
            *_notes(placed, parts, calibrated=poni is not None),
            *(_note_orientation(placed[0]) if poni is not None else ()),
        ),
    )


def place_frames(
    paths: PathLike | Sequence[PathLike],
    *,
    poni: PathLike | Sequence[PathLike] | None = None,
    mask: PathLike | BoolArray | None = None,
    polarization: float | None = None,
    orientation: int | None = None,
    format: str | None = None,
) -> tuple[Placed, ...]:
    """Read frames and find out what their pixels see; parameters as in `integrate_frames`."""
    files, given = ([one] if isinstance(one, str | os.PathLike) else list(one or ()) for one in (paths, poni))
    calibrations = [None] * len(files) if poni is None else given
    if not files or len(calibrations) not in {1, len(files)}:
        msg = f"{len(files)} frames and {len(calibrations)} calibrations; expected one for all or one for each."
        raise AnalysisError(msg)
    if orientation is not None and poni is None:
        raise AnalysisError("orientation is known from the header of a frame; pass it only together with poni=.")
    placed: list[Placed] = []
    for path, calibration in zip(files, calibrations * (len(files) // len(calibrations)), strict=True):
        frame = read_frame(path, format=format)
        geometry: Any = frame.geometry if calibration is None else load_poni(calibration)
        if geometry is None:
            raise AnalysisError(
                f"{path}: the file does not say where the detector stood, so that pixels have no angle. "
                "Calibrate with a standard (pyFAI-calib2). " + either("Pass it as poni=.", "Pass it as --poni FILE.")
            )
        pixels = pixel_map(geometry, frame.shape, polarization=polarization, orientation=orientation)
        usable = ~(frame.masked | pixels.masked)
        if mask is not None:
            usable &= ~read_mask(mask, frame.shape)
        if not usable.any():
            raise AnalysisError(f"{path}: the mask leaves no pixel. A mask is nonzero where pixels are not to be used.")
        placed.append(Placed(frame=frame, pixels=pixels, usable=usable))
    untimed = [one.frame.source.file for one in placed if one.frame.exposure_s is None]
    if 0 < len(untimed) < len(placed):
        reason = "does not state its exposure, other frames do: their rates cannot be merged. Integrate apart."
        raise AnalysisError(f"{untimed[0]} {reason}")
    waves = [one.pixels.wavelength for one in placed if one.pixels.wavelength]
    if waves and max(waves) - min(waves) > SAME_WAVELENGTH * min(waves):
        msg = f"the frames have wavelengths from {min(waves):g} to {max(waves):g} Å. Integrate them apart."
        raise AnalysisError(msg)
    return tuple(placed)


def _emission_lines(placed: Placed) -> tuple[EmissionLine, ...]:
    """Emission lines of the header, unless the calibration's wavelength contradicts them."""
    lines, calibrated = placed.frame.emission_lines, placed.pixels.wavelength
    if calibrated is None:
        return lines
    total = sum(line.weight for line in lines)
    mean = sum(line.wavelength * line.weight for line in lines) / total if lines else 0.0
    agree = lines and abs(mean - calibrated) < SAME_WAVELENGTH * calibrated
    return lines if agree else (EmissionLine(wavelength=calibrated),)


_FLIPS = {(False, False): (1, 2, 3, 4), (True, False): (4, 3, 2, 1), (False, True): (2, 1, 4, 3),
          (True, True): (3, 4, 1, 2)}  # fmt: skip
"""Turned upside down, left to right, or both: the corner of the first pixel by that of the frame as it is."""
_SAMPLED_PIXELS, _SHARPNESS_BINS, _SHARPER = 300_000, 400, 3.0


def _note_orientation(placed: Placed) -> list[Diagnostic]:
    """Note that the frame turned round has much sharper rings, seen at low resolution."""
    every = max(1, math.ceil(math.sqrt(placed.usable.size / _SAMPLED_PIXELS)))
    two_theta, weight = placed.pixels.two_theta, placed.weight
    usable = placed.usable & (weight > 0)
    low, high = float(two_theta[usable].min()), float(two_theta[usable].max())
    index = np.clip((two_theta - low) * (_SHARPNESS_BINS / max(high - low, 1e-9)), 0, _SHARPNESS_BINS - 1).astype(int)
    sharpness: dict[tuple[bool, bool], tuple[float, float]] = {}
    for turn in _FLIPS:
        axes = tuple(axis for axis, turned in enumerate(turn) if turned)
        counts, good = np.flip(placed.frame.counts, axes), np.flip(placed.usable, axes) & usable
        use = np.zeros_like(good)
        use[::every, ::every] = good[::every, ::every]
        at, values = index[use], counts[use] / weight[use]
        n = np.bincount(at, minlength=_SHARPNESS_BINS)
        total, square = (np.bincount(at, weights=values**k, minlength=_SHARPNESS_BINS) for k in (1, 2))
        mean = total / np.maximum(n, 1)
        noise = np.maximum(square / np.maximum(n, 1) - mean**2, 0.0) / np.maximum(n, 1)
        second = mean[1:-1] - 0.5 * (mean[:-2] + mean[2:])
        expected = noise[1:-1] + 0.25 * (noise[:-2] + noise[2:])
        full = np.minimum(np.minimum(n[:-2], n[2:]), n[1:-1]) >= LEAST_PIXELS
        sharpness[turn] = float((second[full] ** 2 - expected[full]).sum()), float(expected[full].sum())
    as_it_is = sharpness[False, False][0]
    best = max(sharpness, key=lambda turn: sharpness[turn][0])
    value, chance = sharpness[best]
    if best == (False, False) or value < _SHARPER * max(as_it_is, 0.0) or value < chance:
        return []
    corner = _FLIPS[best][(placed.pixels.orientation or 3) - 1]
    times = f"{value / as_it_is:.2g} times as sharp" if as_it_is > 0.01 * value else "rings, and has none as it is"
    text = (
        f"{placed.frame.source.file}: with orientation {corner} the frame has {times} under the same calibration: its "
        f"first pixel sits in another corner than the PONI file says. Compare with orientation "
        f"{corner}."
    )
    return [ORIENTATION(text, orientation=corner)]


def _notes(placed: Sequence[Placed], parts: FloatArray, *, calibrated: bool) -> list[Diagnostic]:
    """Geometry from a header, dead areas, and frames that do not fit the ones before them."""
    notes = []
    if not calibrated:
        text = (
            f"the geometry of {placed[0].frame.source.file} is that of its header. Measured on CeO2, headers gave "
            "spacings 0.3 to 0.6 % too small: 0.1 degrees at 26 degrees. Refine the zero shift, or calibrate with a "
            "standard and pass its PONI file (poni)."
        )
        notes.append(HEADER_GEOMETRY(text))
    zero = float(np.mean([(one.frame.counts[one.usable] == 0).mean() for one in placed]))
    mean = float(np.mean([one.frame.counts[one.usable].mean() for one in placed]))
    if mean >= 5.0 and zero >= 10.0 * math.exp(-mean) + 0.02:
        text = (
            f"{100 * zero:.1f} % of the pixels used hold no count although the mean is {mean:.1f}: dead areas or a "
            "shadow lower the intensity there. Mask them."
        )
        notes.append(DEAD_AREA(text, zero_fraction=zero, mean_counts=mean))
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
        notes.append(OVERLAP(text, frame=name, ratio=ratio))
    return notes


def frame_stem(path: PathLike) -> str:
    """Name of a frame without folders and suffixes, for output files."""
    return Path(Path(path).name.removesuffix(".gz").removesuffix(".bz2")).stem


# --- one ring --------------------------------------------------------------------------------------------

APATITE_002 = 3.44  # d of 002 of hydroxyapatite, ångström (c/2 with c = 6.88)
SECTORS = 72  # per turn: 5 degrees each, narrow beside the 20 to 60 degrees over which fibres of tissue scatter
PARTS = 4  # parts per side of a pixel when it is shared out to sectors
LEAST_SECTORS = 18  # A quarter of a turn; the harmonics cannot be told apart on less
LEAST_COVERAGE = 0.7


@dataclass(frozen=True, kw_only=True)
class AzimuthalProfile:
    """Net intensity of one ring against azimuth; (n,) arrays over the sectors with enough pixels."""

    azimuth: FloatArray  # middles of the sectors, degrees, −180 to 180
    intensity: FloatArray  # mean rate of a pixel in the ring above the background
    sigma: FloatArray  # its standard deviation from counting
    background: FloatArray  # mean rate under the ring, from windows on both sides
    d_spacing: float  # of the ring, ångström
    two_theta: float  # of the ring, degrees
    half_width: float  # degrees: the ring is two_theta ± half_width, the background windows follow on both sides
    mean: float  # a₀
    mean_esd: float
    amplitude: float  # A, 0 for a powder
    amplitude_esd: float  # widened by scatter beyond counting (grainy rings)
    direction: float  # φ₀ in degrees, −90 to 90; the ring is strongest there and opposite
    hermans: float | None  # Hermans' factor about `direction`; None below 70 % of the turn
    coverage: float  # part of the turn that is seen
    # Reduced χ² about the harmonics; far above one means few, large crystallites, or an orientation sharper than a
    # second harmonic.
    graininess: float
    frames: str = ""  # their names

    @property
    def oriented(self) -> bool | None:
        """True where A exceeds three standard deviations; None where too little of the ring is seen."""
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
    format: str | None = None,
) -> AzimuthalProfile:
    """Net intensity of one ring against azimuth, with the strength and direction of orientation.

    `d_spacing` is in ångström, `half_width` in degrees of 2θ: half the window of the ring; wider takes in more of
    broad reflections, and of neighbouring ones. The rest is as in `integrate_frames`.
    """
    if not 0.0 < half_width < 10.0 or not d_spacing > 0.0:
        raise AnalysisError(
            f"half_width is {half_width:g} degrees, d_spacing {d_spacing:g} Å: expected a half width between 0 and "
            "10 degrees and a positive spacing."
        )
    placed = place_frames(
        paths, poni=poni, mask=mask, polarization=polarization, orientation=orientation, format=format
    )
    wavelength = placed[0].pixels.wavelength
    if wavelength is None:
        msg = "neither frame nor calibration states the wavelength. Put a line `Wavelength:` into the PONI file."
        raise AnalysisError(msg)
    sine = wavelength / (2.0 * d_spacing)
    if sine >= 1.0:
        raise AnalysisError(f"d {d_spacing:g} Å does not diffract at {wavelength:g} Å.")
    two_theta = float(2.0 * np.degrees(np.arcsin(sine)))
    sums = np.sum([_window_sums(one, two_theta, half_width) for one in placed], axis=0)
    counts, weight, number = sums[0], sums[1] / float(placed[0].pixels.solid_angle.max()), sums[2]
    seen = (weight > 0).all(axis=0) & (number >= 4).all(axis=0)
    if seen.sum() < LEAST_SECTORS:
        raise AnalysisError(
            f"the ring at {two_theta:.2f} degrees (d {d_spacing:g} Å) is seen in {int(seen.sum())} of {SECTORS} "
            f"sectors; expected at least {LEAST_SECTORS}. Choose a ring of which more lies on the frame, or a larger "
            "half_width."
        )
    counts, weight = counts[:, seen], weight[:, seen]

    def esd(rate: FloatArray) -> FloatArray:
        """Standard deviation of ring minus mean of both sides, for counting at these rates."""
        variance = rate / weight
        return np.asarray(np.sqrt(variance[1] + (variance[0] + variance[2]) / 4.0), dtype=np.float64)

    rate = counts / weight
    background = (rate[0] + rate[2]) / 2.0
    net = rate[1] - background
    # Sectors that happen to be weak must not weigh more: the fit takes the mean rate for all of them.
    pooled = counts.sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    expected = esd(np.maximum(pooled, 1e-300))
    azimuth = (-180.0 + 360.0 / SECTORS * (np.arange(SECTORS, dtype=np.float64) + 0.5))[seen]
    phi = np.radians(azimuth)
    terms = (np.ones_like(phi), np.cos(2 * phi), np.sin(2 * phi), np.cos(phi), np.sin(phi))
    design = np.column_stack(terms) / expected[:, None]
    # the pseudo-inverse: on less than a turn the first harmonic may not be told from the others
    covariance = np.linalg.pinv(design.T @ design, rcond=1e-13)
    solution = covariance @ (design.T @ (net / expected))
    residual = (net / expected) - design @ solution
    graininess = float(residual @ residual / max(1, len(net) - len(terms)))
    covariance = max(1.0, graininess) * covariance[:3, :3]
    a0, c, s = solution[:3]
    mean_esd = float(np.sqrt(covariance[0, 0]))
    if a0 <= 2.0 * mean_esd:
        raise AnalysisError(
            f"there is no ring at {two_theta:.2f} degrees (d {d_spacing:g} Å): net intensity {a0:.3g} ± "
            f"{mean_esd:.2g}. Choose a ring that the pattern shows."
        )
    second = float(np.hypot(c, s))
    gradient = np.array([-second / a0, c / max(second, 1e-300), s / max(second, 1e-300)]) / a0
    amplitude, direction = second / float(a0), float(np.degrees(np.arctan2(s, c)) / 2.0)
    coverage = len(net) * float(np.median(np.diff(azimuth))) / 360.0
    hermans = None
    if coverage >= LEAST_COVERAGE:
        hermans = _hermans(phi, net, mean=float(a0), amplitude=amplitude, direction=direction)
    return AzimuthalProfile(
        azimuth=azimuth,
        intensity=net,
        sigma=esd(np.maximum(counts, 1.0) / weight),
        background=background,
        d_spacing=d_spacing,
        two_theta=two_theta,
        half_width=half_width,
        mean=float(a0),
        mean_esd=mean_esd,
        amplitude=amplitude,
        amplitude_esd=float(np.sqrt(gradient @ covariance @ gradient)),
        direction=direction,
        hermans=hermans,
        coverage=min(coverage, 1.0),
        graininess=graininess,
        frames=", ".join(one.frame.source.file for one in placed),
    )


def _window_sums(one: Placed, two_theta: float, half_width: float) -> FloatArray:
    """Array of (counts, weights, pixels) × (below, ring, above) × sectors of one frame.

    Each pixel is shared out in `PARTS` × `PARTS` parts: given whole to one sector, the pixels on a sector's edge
    would make the rates of narrow rings scatter by several per cent.
    """
    pixels, (rows, columns) = one.pixels, one.frame.shape
    reach = 3.0 * half_width + 2.0 * pixels.pixel_degrees
    row, column = np.nonzero(one.usable & (np.abs(pixels.two_theta - two_theta) < reach))

    def slopes(before: tuple[IntArray, IntArray], after: tuple[IntArray, IntArray]) -> tuple[FloatArray, FloatArray]:
        """Change of both angles per pixel, across one pixel on each side where the frame has them."""
        apart = np.maximum(after[0] - before[0] + after[1] - before[1], 1)
        turn = np.mod(pixels.azimuth[after] - pixels.azimuth[before] + 180.0, 360.0) - 180.0
        return (pixels.two_theta[after] - pixels.two_theta[before]) / apart, turn / apart

    angle_down, turn_down = slopes((np.maximum(row - 1, 0), column), (np.minimum(row + 1, rows - 1), column))
    angle_right, turn_right = slopes((row, np.maximum(column - 1, 0)), (row, np.minimum(column + 1, columns - 1)))
    here = (row, column)
    share = PARTS**-2.0
    values = (one.frame.counts[here] * share, one.weight[here] * share, np.full(len(row), share))
    sums = np.zeros((3, 3 * SECTORS))
    for part in range(PARTS**2):
        down, right = ((np.array(divmod(part, PARTS)) + 0.5) / PARTS - 0.5).tolist()
        angle = pixels.two_theta[here] + down * angle_down + right * angle_right
        azimuth = pixels.azimuth[here] + down * turn_down + right * turn_right
        window = np.floor((angle - two_theta) / (2.0 * half_width) + 1.5).astype(int)
        use = (window >= 0) & (window <= 2)
        sector = np.mod((azimuth[use] + 180.0) * (SECTORS / 360.0), SECTORS).astype(int)
        index = window[use] * SECTORS + np.minimum(sector, SECTORS - 1)
        for total, weights in zip(sums, values, strict=True):
            total += np.bincount(index, weights=weights[use], minlength=3 * SECTORS)
    return sums.reshape(3, 3, SECTORS)


def _hermans(phi: FloatArray, net: FloatArray, *, mean: float, amplitude: float, direction: float) -> float | None:
    """Hermans' factor on half a turn: opposite sectors are averaged, unseen ones taken from the harmonic."""
    half = SECTORS // 2
    middle = np.pi / half * (np.arange(half) + 0.5)
    index = np.floor(np.mod(phi - np.radians(direction), np.pi) / (np.pi / half)).astype(int) % half
    number = np.bincount(index, minlength=half)
    folded = np.bincount(index, weights=net, minlength=half) / np.maximum(number, 1)
    folded = np.where(number > 0, folded, mean * (1.0 + amplitude * np.cos(2.0 * middle)))
    weight = np.sin(middle) * folded
    total = float(weight.sum())
    return float((3.0 * (weight * np.cos(middle) ** 2).sum() / total - 1.0) / 2.0) if total > 0.0 else None
