"""Frames of area detectors: pixels, what each pixel sees, masks.

fabio decodes the pixels and pyFAI gives the angles; both are asked for in words where they are missing. Before fabio
sees a frame, the sizes that its header declares are compared with the bytes that are there: fabio fills up short EDF
frames, allocates whatever a header declares, and only logs a wrong check sum. Damaged frames are refused.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import math
import os
import re
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, Metadata, Source, message_kind
from xrdcomp.errors import AnalysisError, MissingExtraError, ReadError, either
from xrdcomp.io.registry import call_reader, find_reader, recognise
from xrdcomp.io.source import SourceFile, open_source
from xrdcomp.units import KALPHA2_RATIO, BoolArray, FloatArray

MAX_PIXELS = 2**25  # 33 million; the largest detector known (Eiger2 16M) has 18 million
AGAIN = "Copy the frame again from the instrument."
CALIBRATE = "Calibrate again."
TILTED = message_kind("FRAME_TILT", "warning",
    "The header of a frame states tilts of the detector, which are not applied; rings are smeared.",
    remedy="Calibrate with a standard and pass its PONI file.", threshold="0.5 degrees",
    origin="design note 006: their signs are known for one instrument only; 0.3 degrees smear rings by 0.1 degrees",
)  # fmt: skip
COUNT_SUM_DIFFERS = message_kind("FRAME_COUNT_SUM", "warning",
    "The sum of the pixels of a frame differs from the one stated in its header: some have changed since it was "
    "written.",
    remedy="Use the frame as the instrument wrote it.",
    threshold="one count and 2⁻²³ of the sum, the step of a 32-bit float; above 1 % the frame is refused",
    origin="sums are stored as 32-bit floats in some frames: 138035881 as 138035888",
)  # fmt: skip
NOT_POISSON = message_kind("FRAME_NOT_POISSON", "info",
    "The variance between neighbouring pixels of a frame is not that of counting, so standard deviations are too "
    "small: the image was smoothed or resampled, or one photon gives more than one unit.",
    remedy="Compare the goodness of fit with one.", threshold="variance over mean outside 0.7 to 1.5",
    origin="judgement; 1 is Poisson, and frames as counted stay within",
)  # fmt: skip

# makes the error that names file and format, from a reason, `expected` and `hint`
Refusal = Callable[..., ReadError]


def require(module: str) -> ModuleType:
    """Import a module of fabio, pyFAI, h5py or hdf5plugin, or say how to install it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside these packages are not the user's concern
            return importlib.import_module(module)
    except ImportError as missing:
        package = module.partition(".")[0]
        msg = f'frames of area detectors need {package}, which is not installed: pip install "xrdcomp[frames]"'
        raise MissingExtraError(msg) from missing


# --- what each pixel sees --------------------------------------------------------------------------------

PONI_KEYS = ("Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3")
LARGEST_M = 100.0  # no laboratory or beamline puts a detector further away, in metres; a larger number is damage


@dataclass(frozen=True, kw_only=True)
class FrameGeometry:
    """Position of a detector, as a header states it. A cylinder's axis is the goniometer's."""

    shape: Literal["flat", "cylinder"] = "flat"
    distance_mm: float  # sample to detector along the normal; the radius of a cylinder
    # Foot of that normal in pixels from the outer edge of the first one; for a cylinder the row only.
    center_column: float = 0.0
    center_row: float = 0.0
    pixel_column_mm: float  # pitch along a row, from column to column
    pixel_row_mm: float
    swing: float = 0.0  # degrees about the vertical; positive moves a flat detector towards higher columns
    column_start: float = 0.0  # cylinder: in-plane angle at the outer edge of the first column, degrees
    column_step: float = 0.0  # cylinder: degrees per column
    wavelength: float | None = None  # ångström


@dataclass(frozen=True, kw_only=True)
class PixelMap:
    """View of each pixel; arrays of the frame's shape."""

    two_theta: FloatArray  # degrees
    azimuth: FloatArray  # degrees, −180 to 180: 0 towards higher columns, 90 towards higher rows
    solid_angle: FloatArray  # steradian
    polarization: FloatArray  # factor by which polarisation weakens the scattering; 1 where none was asked for
    pixel_degrees: float  # 2θ that one pixel spans where the detector faces the sample
    wavelength: float | None  # ångström
    masked: BoolArray  # gaps of a detector that pyFAI knows
    orientation: int | None = None  # corner of the first pixel, as pyFAI numbers it


@dataclass(frozen=True, kw_only=True)
class Sector:
    """Range of azimuth in degrees, from `start` towards higher values to `stop`."""

    start: float
    stop: float

    def __post_init__(self) -> None:
        if not 0.0 < self.stop - self.start <= 360.0:
            raise AnalysisError(
                f"the sector from {self.start:g} to {self.stop:g} degrees is empty or wider than a turn. "
                "Expected: start below stop, at most 360 degrees apart, e.g. 80 to 100 or 170 to 190."
            )

    def contains(self, azimuth: FloatArray) -> BoolArray:
        """True where an azimuth lies inside."""
        return np.asarray(np.mod(azimuth - self.start, 360.0) < self.stop - self.start, dtype=np.bool_)


def load_poni(path: str | os.PathLike[str]) -> Any:
    """Read a PONI file, pyFAI's calibration, as a pyFAI integrator."""
    # pyFAI takes zero for a value that is missing: all are looked for first
    source = open_source(path)
    error = partial(source.error, format_id="poni")
    found: dict[str, float] = {}
    for name in (*PONI_KEYS, "Wavelength"):
        match = re.search(rf"(?m)^{name}\s*:\s*(\S+)", source.text)
        if match is not None:
            with suppress(ValueError):
                found[name] = float(match.group(1))
            if not math.isfinite(found.get(name, math.nan)):
                raise error(f"{name} is {match.group(1)!r}, not a number", hint=CALIBRATE)
        elif name != "Wavelength":
            raise error(f"the calibration has no {name}", expected=", ".join(PONI_KEYS), hint=CALIBRATE)
    if not 0.0 < found["Distance"] < LARGEST_M or not 0.0 < found.get("Wavelength", 1e-10) < 1e-8:
        reason = f"distance {found['Distance']:g} m, wavelength {found.get('Wavelength', 0):g} m"
        raise error(reason, expected="both in metres: about 0.1 and 1e-10")
    if source.packed:
        raise error("the calibration is compressed", hint="Unpack it.")
    pyfai = require("pyFAI")
    try:
        return pyfai.load(os.fspath(path))
    except Exception as problem:
        reason = f"pyFAI refuses the calibration ({type(problem).__name__}: {problem})"
        raise error(reason, hint="Calibrate again with pyFAI-calib2.") from problem


def pixel_map(
    geometry: Any, shape: tuple[int, int], *, polarization: float | None = None, orientation: int | None = None
) -> PixelMap:
    """Angles and solid angles of all pixels, from a `FrameGeometry` or a pyFAI integrator.

    `polarization` is the degree of linear polarisation of the beam, −1 to 1 (0.99 at a synchrotron, 0 for a tube
    without crystal); the intensities are then divided by the factor. Without it nothing is divided, and the factor
    stays in the pattern for the model to apply, as in a pattern of a powder diffractometer.

    `orientation` is the corner of the detector where the first pixel of the frame sits, seen from the sample: 1 top
    left, 2 top right, 3 bottom right (pyFAI's usual), 4 bottom left. It replaces that of the PONI file.
    """
    if polarization is not None and not -1.0 <= polarization <= 1.0:
        raise AnalysisError(f"polarization is {polarization:g}; expected a degree of polarisation between -1 and 1.")
    if orientation not in {None, 1, 2, 3, 4}:
        raise AnalysisError(f"orientation is {orientation}; expected 1, 2, 3 or 4 (the corner of the first pixel).")
    ai = _integrator(geometry, shape) if isinstance(geometry, FrameGeometry) else geometry
    detector = ai.detector
    largest = tuple(detector.max_shape) if getattr(detector, "max_shape", None) else shape
    if largest != shape and detector.force_pixel:
        raise AnalysisError(
            f"the calibration is for a detector of {largest} pixels, the frame has {shape}. "
            "Calibrate with a frame of the same detector and binning."
        )
    detector.shape = shape
    if detector.max_shape is None:
        detector.max_shape = shape
    if orientation is not None:
        detector._orientation = require("pyFAI.detectors.orientation").Orientation(orientation)
        ai.reset()
    factor = np.ones(shape)
    if polarization is not None:
        factor = np.asarray(ai.polarization(shape, factor=polarization, path="numpy"), dtype=np.float64)
    gaps = getattr(detector, "mask", None)
    # pyFAI's solid angles are relative to a pixel that faces the sample at its distance
    facing = float(detector.pixel1) * float(detector.pixel2) / float(ai.dist) ** 2
    return PixelMap(
        two_theta=np.asarray(np.degrees(ai.center_array(shape, unit="2th_rad")), dtype=np.float64),
        azimuth=np.degrees(np.asarray(ai.center_array(shape, unit="chi_rad"), dtype=np.float64)),
        solid_angle=np.asarray(ai.solidAngleArray(shape), dtype=np.float64) * facing,
        polarization=factor,
        pixel_degrees=float(np.degrees(max(detector.pixel1, detector.pixel2) / ai.dist)),
        wavelength=ai.wavelength * 1e10 if ai.wavelength else None,
        masked=np.zeros(shape, dtype=bool) if gaps is None else np.asarray(gaps, dtype=bool),
        orientation=int(getattr(detector, "orientation", 0) or 0) or None,
    )


def _integrator(geometry: FrameGeometry, shape: tuple[int, int]) -> Any:
    """Integrator of pyFAI for a header's geometry [Ashiotis et al. 2015, J. Appl. Cryst. 48, 510]."""
    row, column = geometry.pixel_row_mm * 1e-3, geometry.pixel_column_mm * 1e-3
    distance = geometry.distance_mm * 1e-3
    poni2, rotation = geometry.center_column * column, np.radians(geometry.swing)
    if geometry.shape == "flat":
        detector = require("pyFAI.detectors").Detector(row, column, max_shape=shape)
    else:
        # pyFAI's cylinders have columns of equal width; those of a swept detector are equal steps of angle
        class EqualAngleCylinder(require("pyFAI.detectors._non_flat").CylindricalDetector):  # type: ignore[misc]
            """Columns at equal angles around the vertical axis, rows at equal heights."""

            def _get_compact_pixel_corners(self) -> Sequence[FloatArray]:
                angle = np.radians(geometry.column_start) + np.radians(geometry.column_step) * np.arange(shape[1] + 1)
                height = self.pixel1 * np.arange(shape[0] + 1)
                across, depth = self.radius * np.sin(angle), self.radius * (np.cos(angle) - 1.0)
                return [values.astype(np.float32) for values in (height, across, depth)]

        detector = EqualAngleCylinder(row, column, distance)
        detector.max_shape = detector.shape = shape
        poni2, rotation = 0.0, 0.0
    return require("pyFAI.integrator.azimuthal").AzimuthalIntegrator(
        dist=distance,
        poni1=geometry.center_row * row,
        poni2=poni2,
        rot1=rotation,
        detector=detector,
        wavelength=geometry.wavelength * 1e-10 if geometry.wavelength else None,
    )


# --- one frame from a file -------------------------------------------------------------------------------

FRAME_FORMATS = "Bruker GFRM or SFRM, TIFF, CBF, EDF, Eiger HDF5"
HDF5_START = b"\x89HDF\r\n\x1a\n"
MAX_COUNTS = 2.0**40  # no pixel of a counting or integrating detector holds more; beyond is damage
NEGATIVE_SHARE = 0.5
TILE = 16
DISPERSION_BAND = (0.7, 1.5)  # variance over mean that is taken for counting; 1 is Poisson
DISPERSION_COUNTS = 5.0


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One image of an area detector."""

    counts: FloatArray  # (rows, columns), as stored, times the header's factor where it has one
    # True where a pixel must not be used: negative, saturated, in a gap, outside the active area
    masked: BoolArray = field(default_factory=lambda: np.zeros((), dtype=np.bool_))
    source: Source
    saturation: float | None = None  # counts from which on a pixel is full
    exposure_s: float | None = None
    geometry: FrameGeometry | None = None  # from the header; None where it has none
    emission_lines: tuple[EmissionLine, ...] = ()
    anode: str = ""
    dispersion: float | None = None  # variance of neighbouring pixels over their mean; None: too few counts
    metadata: Metadata = field(default_factory=dict)  # other facts of the header
    messages: tuple[Diagnostic, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.counts.shape[0], self.counts.shape[1]


def read_frame(path: str | os.PathLike[str], *, format: str | None = None) -> Frame:
    """Read one frame: Bruker GFRM or SFRM, TIFF, CBF, EDF, Eiger HDF5; gzip and bzip2 are undone.

    `format` is its id (``xrdcomp formats`` lists them); without it the content decides. A `ReadError` says that it is
    no frame, cut short, all zero, not finite, or at odds with its own header.
    """
    given, start = Path(path), b""
    if given.is_file():
        with suppress(OSError), given.open("rb") as stream:  # `open_source` then says why
            start = stream.read(len(HDF5_START))
    if start == HDF5_START and format in (None, "hdf5"):
        return _judged(read_eiger(given), str(given))
    source = open_source(given)
    error = partial(source.error, expected=FRAME_FORMATS)
    found = recognise(source) if format is None else [(1.0, find_reader(format))]
    if not found:
        raise error(f"no frame format recognises the content (it starts with {source.head[:12]!r})")
    best = found[0][1]
    if best.id == "poni":
        raise error(
            "this is a calibration, not a frame",
            format_id="poni",
            hint=either("Pass it as poni=.", "Pass it as --poni FILE."),
        )
    readers = {"gfrm": read_bruker, **IMAGE_READERS}
    if best.kind != "xrd_frame" or best.id not in readers:
        raise error(f"this is no two-dimensional frame ({best.name})", format_id=best.id)
    read = readers[best.id]
    return _judged(call_reader(best, source, lambda: read(source)), str(given))


def _judged(frame: Frame, file: str) -> Frame:
    """Refuse what no detector gives; mask what must not be used; compare the noise with counting."""
    error = partial(ReadError, file=file, format_id=frame.source.format)
    finite = np.isfinite(frame.counts)
    with np.errstate(invalid="ignore"):
        bad = ~finite | (frame.counts < 0)
        high = finite & (frame.counts > MAX_COUNTS)
    if frame.saturation is not None:
        bad |= finite & (frame.counts >= frame.saturation)
        high &= ~bad
    masked = bad | frame.masked
    if (high & ~masked).any():
        reason = f"a pixel holds {frame.counts[high].max():g} counts"
        raise error(reason, hint=f"No detector counts beyond {MAX_COUNTS:g}; copy the frame again.")
    if bad.mean() > NEGATIVE_SHARE:
        reason = f"{100 * bad.mean():.0f} % of the pixels are negative, saturated or no numbers"
        raise error(reason, hint="Measure again with less exposure, or export counts without subtraction.")
    counts = np.where(finite, frame.counts, 0.0)
    if not (counts[~masked] > 0).any():
        raise error("all pixels are zero", hint="The shutter was closed or the frame was not saved; measure again.")
    # whole rows and columns of zeros: gaps between the modules of a detector, or dead lines
    masked |= (counts == 0).all(axis=1)[:, None] | (counts == 0).all(axis=0)[None, :]
    if (geometry := frame.geometry) is not None:
        for name, value, low, most, unit in (
            ("distance", geometry.distance_mm, 5.0, 1e3 * LARGEST_M, "mm"),
            ("pixel", geometry.pixel_row_mm, 1e-3, 5.0, "mm"),
            ("pixel", geometry.pixel_column_mm, 1e-3, 5.0, "mm"),
            ("wavelength", geometry.wavelength or 1.0, 0.01, 10.0, "ångström"),
        ):
            if not low <= value <= most:
                hint = either("Pass a calibration: poni=.", "Pass a calibration: --poni FILE.")
                reason = f"the header states a {name} of {value:g} {unit}"
                raise error(reason, expected=f"{low:g} to {most:g} {unit}", hint=hint)
    dispersion, notes = _dispersion(counts, masked), list(frame.messages)
    if dispersion is not None and not DISPERSION_BAND[0] <= dispersion <= DISPERSION_BAND[1]:
        text = (
            "The image was smoothed or resampled, or a photon spreads over several pixels: neighbouring points of "
            "the pattern are not independent, and errors of fitted parameters come out too small."
            if dispersion < 1.0
            else "One photon gives more than one unit, or rings are grainy: standard deviations from counting are too "
            f"small by a factor of up to {np.sqrt(dispersion):.2f}. Compare the goodness of fit with one."
        )
        seen = f"neighbouring pixels scatter with {dispersion:.2f} times the variance of counting"
        notes.append(NOT_POISSON(f"{frame.source.file}: {seen}. {text}", variance_over_mean=dispersion))
    counts.setflags(write=False)
    masked.setflags(write=False)
    return replace(frame, counts=counts, masked=masked, dispersion=dispersion, messages=tuple(notes))


def _dispersion(counts: FloatArray, masked: BoolArray) -> float | None:
    """Variance over mean of second differences along rows, median over tiles: smooth slopes cancel."""
    rows, columns = counts.shape
    left, middle, right = counts[:, :-2], counts[:, 1:-1], counts[:, 2:]
    usable = ~(masked[:, :-2] | masked[:, 1:-1] | masked[:, 2:])
    # for Poisson counts the variance of left − 2 middle + right is the mean of left + 4 middle + right
    square = np.where(usable, (left - 2.0 * middle + right) ** 2, 0.0)
    mean = np.where(usable, left + 4.0 * middle + right, 0.0)
    tall, wide = rows // TILE, (columns - 2) // TILE
    if tall == 0 or wide == 0:
        return None
    squares, means = (
        values[: tall * TILE, : wide * TILE].reshape(tall, TILE, wide, TILE).sum(axis=(1, 3))
        for values in (square, mean)
    )
    counted = means > 6.0 * DISPERSION_COUNTS * TILE**2 / 2
    return float(np.median(squares[counted] / means[counted])) if counted.sum() >= 10 else None


def describe_frame(path: str | os.PathLike[str]) -> dict[str, object]:
    """Facts of one frame, ready for JSON: pixels, counts, exposure in s, distance in mm, wavelengths in ångström."""
    frame = read_frame(path)
    usable = frame.counts[~frame.masked]
    geometry = frame.geometry
    return {
        "rows": frame.shape[0],
        "columns": frame.shape[1],
        "counts_sum": float(usable.sum()),
        "counts_max": float(usable.max()),
        "masked_pixels": int(frame.masked.sum()),
        "exposure_s": frame.exposure_s,
        "geometry": None if geometry is None else geometry.shape,
        "distance_mm": None if geometry is None else geometry.distance_mm,
        "wavelengths": [line.wavelength for line in frame.emission_lines],
        "warnings": [note.text for note in frame.messages],
    }


def read_mask(mask: str | os.PathLike[str] | np.ndarray[Any, Any], shape: tuple[int, int]) -> BoolArray:
    """Mask of this shape, True where a pixel is not used: an array, or .npy, TIFF, EDF or CBF that is nonzero there."""
    if isinstance(mask, np.ndarray):
        values, name = mask, "mask"
    else:
        source = open_source(mask)
        name, found = source.name, recognise(source)
        if source.data.startswith(b"\x93NUMPY"):
            try:
                values = np.load(io.BytesIO(source.data), allow_pickle=False)
            except (ValueError, EOFError, OSError) as problem:
                reason, hint = f"the mask cannot be decoded ({problem})", "Save it again with numpy.save."
                raise source.error(reason, hint=hint) from problem
            if values.size > MAX_PIXELS or values.ndim != 2:
                raise source.error(f"the mask has shape {values.shape}", expected="two dimensions")
        elif found and found[0][1].id in IMAGE_READERS:
            values = IMAGE_READERS[found[0][1].id](source).counts
        else:
            expected = "NumPy .npy, TIFF, EDF or CBF, nonzero where pixels are not to be used"
            raise source.error("this is no mask", expected=expected)
    if values.shape != shape:
        msg = f"{name}: the mask has {values.shape} pixels, the frame {shape}. Draw it on a frame of this detector."
        raise AnalysisError(msg)
    return np.asarray(values != 0, dtype=np.bool_)


# --- TIFF, CBF, EDF --------------------------------------------------------------------------------------


def _decoded(
    source: SourceFile, format_id: str, module: str, name: str, shape: tuple[int, int] | None = None
) -> FloatArray:
    """Pixels of the one grey image in a file, decoded by a class of fabio."""
    error = partial(source.error, format_id=format_id)
    image = getattr(require(f"fabio.{module}"), name)()
    try:
        # the unpacked bytes as fabio wants a file, with a name that decides nothing
        loaded = image.read(require("fabio.fabioutils").BytesIO(source.data, fname="frame"))
        data = np.asarray(loaded.data)  # some formats decode only now
    except Exception as problem:
        raise error(f"the pixels cannot be decoded ({type(problem).__name__}: {problem})", hint=AGAIN) from problem
    if data.ndim != 2 or data.dtype.kind not in "iuf" or min(data.shape) < 2:
        reason = f"the image has shape {data.shape} of {data.dtype}"
        raise error(reason, expected="one image of grey values, at least 2 × 2")
    if (number := int(getattr(loaded, "nframes", 1) or 1)) > 1:
        raise error(f"the file holds {number} images", expected="one image", hint="Save them one by one.")
    if shape is not None and data.shape != shape:
        raise error(f"{data.shape} pixels were decoded", expected=f"{shape}", hint=AGAIN)
    return data.astype(np.float64)


def _bounded(rows: int, columns: int, error: Refusal) -> None:
    if not (rows >= 2 and columns >= 2 and rows * columns <= MAX_PIXELS):
        expected = f"at most {MAX_PIXELS} pixels"
        raise error(f"the header declares {rows} × {columns} pixels", expected=expected, hint=AGAIN)


def _long_enough(declared: int, available: int, error: Refusal) -> None:
    if declared > available:
        reason = f"the header declares {declared} bytes of pixels, {available} are there"
        raise error(f"the frame is cut short: {reason}", hint=AGAIN)


def _positive(value: Any) -> float | None:
    """Positive number from the first word of a text or the first value of an array; None where there is none."""
    with suppress(ValueError, IndexError, TypeError):
        number = float((value.split() if isinstance(value, str) else np.ravel(value))[0])
        return number if math.isfinite(number) and number > 0 else None
    return None


def _in_metres(
    distance: float, center: Sequence[float], pixel: Sequence[float], wavelength: float | None
) -> FrameGeometry:
    """Flat detector from a distance and pixels (width, height) in metres and a centre (column, row) in pixels."""
    return FrameGeometry(
        distance_mm=1e3 * distance,
        center_column=center[0],
        center_row=center[1],
        pixel_column_mm=1e3 * pixel[0],
        pixel_row_mm=1e3 * pixel[1],
        wavelength=wavelength,
    )


TIFF_TYPES = {1: "B", 3: "H", 4: "I"}
WIDTH, HEIGHT, BITS, COMPRESSION, OFFSETS, SAMPLES, SIZES, FORMAT = 256, 257, 258, 259, 273, 277, 279, 339


def read_tiff(source: SourceFile) -> Frame:
    """Grey TIFF of one image; geometry must come from a PONI file."""
    error = partial(source.error, format_id="tiff")
    data, order = source.data, "<" if source.data[:2] == b"II" else ">"
    tags: dict[int, tuple[int, ...]] = {}
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", data, at)
            if kind not in TIFF_TYPES or number > len(data):
                continue
            layout = f"{order}{number}{TIFF_TYPES[kind]}"
            # values of up to four bytes stand in the table itself, longer ones where it points
            small = struct.calcsize(layout) <= 4
            tags[tag] = struct.unpack_from(
                layout, data, at + 8 if small else struct.unpack_from(order + "I", data, at + 8)[0]
            )
        (following,) = struct.unpack_from(order + "I", data, start + 2 + 12 * count)
    except struct.error as problem:
        raise error("the frame is cut short: the table of its contents lies beyond its end", hint=AGAIN) from problem
    if following and following < len(data):
        raise error("the file holds several images", expected="one image", hint="Save them one by one.")
    rows, columns = int(tags.get(HEIGHT, (0,))[0]), int(tags.get(WIDTH, (0,))[0])
    _bounded(rows, columns, error)
    samples, bits, kind = tags.get(SAMPLES, (1,))[0], tags.get(BITS, (1,))[0], tags.get(FORMAT, (1,))[0]
    if samples != 1 or bits not in {8, 16, 32, 64}:
        reason = f"the image has {samples} colours of {bits} bits"
        raise error(reason, expected="one grey value per pixel, 8 to 64 bits")
    offsets, sizes = tags.get(OFFSETS, ()), tags.get(SIZES, ())
    if tags.get(COMPRESSION, (1,))[0] == 1 and offsets:
        _long_enough(rows * columns * bits // 8, sum(sizes) or len(data), error)
    if offsets and sizes:
        end = max(offset + size for offset, size in zip(offsets, sizes, strict=False))
        _long_enough(end, len(data), error)
    exposure = re.search(r"# Exposure_time\s+([0-9.eE+-]+)\s*s", data[:4096].decode("latin-1"))
    counts = _decoded(source, "tiff", "tifimage", "TifImage", (rows, columns))
    return Frame(
        counts=counts,
        source=source.record("tiff"),
        saturation=2.0**bits - 1.0 if kind == 1 else 2.0 ** (bits - 1) - 1.0 if kind == 2 else None,
        exposure_s=_positive(exposure.group(1)) if exposure else None,
    )


CBF_START = b"\x0c\x1a\x04\xd5"


def read_cbf(source: SourceFile) -> Frame:
    """CBF with one binary section; Dectris's text header gives exposure, cut-off and geometry.

    fabio's routine decodes byte offsets, the one packing that fabio knows in this format; its reader of the text
    header is left out, which stumbles over unusual lines.
    """
    error = partial(source.error, format_id="cbf")
    start = source.data.find(CBF_START)
    if start < 0:
        raise error("there is no binary section", hint="The frame is cut short, or holds no image; copy it again.")
    head = source.data[:start].decode("latin-1")

    def stated(key: str) -> int:
        match = re.search(rf"{key}:\s*(\d{{1,12}})", head)
        if match is None:
            raise error(f"the binary section has no {key}", hint=AGAIN)
        return int(match.group(1))

    def numbers(key: str) -> list[float]:
        """Numbers behind a keyword of the text header; empty where it is missing."""
        match = re.search(rf"(?m)^#\s*{key}\b(.*)$", head)
        found = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", match.group(1)) if match else []
        return [float(text) for text in found if math.isfinite(float(text))]

    columns, rows = stated("X-Binary-Size-Fastest-Dimension"), stated("X-Binary-Size-Second-Dimension")
    _bounded(rows, columns, error)
    size = stated("X-Binary-Size")
    binary = source.data[start + len(CBF_START) :][:size]
    _long_enough(size, len(binary), error)
    if "x-CBF_BYTE_OFFSET" not in head:
        hint = "Convert the frame with the program of the detector."
        raise error("the pixels are not packed by byte offsets", expected="x-CBF_BYTE_OFFSET", hint=hint)
    _long_enough(rows * columns, size, error)  # no pixel takes less than a byte
    digest = re.search(r"Content-MD5:\s*(\S+)", head)
    found = base64.b64encode(hashlib.md5(binary, usedforsecurity=False).digest()).decode()
    if digest and digest.group(1) != found:
        raise error("the pixels do not have the check sum that the header states (Content-MD5)", hint=AGAIN)
    decoder = require("fabio.compression").decByteOffset
    try:
        values = np.asarray(decoder(binary, size=rows * columns))
    except Exception as problem:
        reason = f"the pixels cannot be decoded ({type(problem).__name__}: {problem})"
        raise error(reason, hint=AGAIN) from problem
    _long_enough(rows * columns, int(values.size), error)
    counts = values[: rows * columns].reshape(rows, columns).astype(np.float64)
    beam, distance, pixel = numbers("Beam_xy"), numbers("Detector_distance"), numbers("Pixel_size")
    wavelength = next((value for value in numbers("Wavelength")[:1] if value > 0), None)
    # of a swung detector the header does not say about which axis
    placed = len(beam) >= 2 and len(pixel) >= 2 and distance and distance[0] > 0
    geometry = None
    if placed and not any(numbers("Detector_2theta")[:1]):
        geometry = _in_metres(distance[0], beam, pixel, wavelength)
    detector = re.search(r"# Detector: (.+)", head)
    return Frame(
        counts=counts,
        source=source.record("cbf"),
        saturation=next(iter(numbers("Count_cutoff")), None),
        exposure_s=next((value for value in numbers("Exposure_time")[:1] if value > 0), None),
        geometry=geometry,
        emission_lines=(EmissionLine(wavelength=wavelength),) if wavelength else (),
        metadata={"detector": detector.group(1).strip()} if detector else {},
    )


EDF_BYTES = {
    "signedbyte": 1, "unsignedbyte": 1, "signedshort": 2, "unsignedshort": 2, "signedinteger": 4,
    "unsignedinteger": 4, "signedlong": 4, "unsignedlong": 4, "signed64": 8, "unsigned64": 8,
    "floatvalue": 4, "float": 4, "real": 4, "doublevalue": 8, "double": 8,
}  # fmt: skip
EDF_EXPOSURE = ("exposuretime", "exposure_time", "count_time", "acq_expo_time", "expotime")


def read_edf(source: SourceFile) -> Frame:
    """ESRF data format with one image; geometry must come from a PONI file."""
    error = partial(source.error, format_id="edf")
    end = source.data.find(b"}\n", 0, 2**20)
    if end < 0:
        raise error("the header does not end", expected="} and a line feed", hint=AGAIN)
    head = source.data[:end].decode("latin-1")
    values = {key.strip().lower(): text.strip() for key, text in re.findall(r"([^={};]+)=([^;]*);", head)}
    for key in ("dim_1", "dim_2"):
        if not re.fullmatch(r"\d{1,9}", values.get(key, "")):
            raise error(f"{key.capitalize()} is {values.get(key, '')!r}", expected="a whole number", hint=AGAIN)
    columns, rows = int(values["dim_1"]), int(values["dim_2"])
    _bounded(rows, columns, error)
    width = EDF_BYTES.get(values.get("datatype", "").lower())
    if width is None:
        raise error(f"the data type is {values.get('datatype')!r}", expected=", ".join(sorted(EDF_BYTES)))
    if values.get("compression", "none").lower() in {"", "none", "nocompression"}:
        _long_enough(rows * columns * width, len(source.data) - end - 2, error)
    counts = _decoded(source, "edf", "edfimage", "EdfImage", (rows, columns))
    unsigned = values["datatype"].lower().startswith("unsigned")
    return Frame(
        counts=counts,
        source=source.record("edf"),
        saturation=2.0 ** (8 * width) - 1.0 if unsigned else None,
        exposure_s=_positive(next((values[key] for key in EDF_EXPOSURE if key in values), "")),
    )


IMAGE_READERS = {"tiff": read_tiff, "cbf": read_cbf, "edf": read_edf}

# --- Bruker (GFRM, SFRM) ---------------------------------------------------------------------------------
# The header is lines of 80 characters, ``KEY    :value``, in blocks of 512 bytes. Facts used here:
#
# - ``DISTANC`` holds the distance to the detector's grid and, second, to its sensitive plane, in cm. Rings of
#   CeO2 fit the second.
# - ``DETTYPE`` holds the pixels per cm of a frame of 512 rows; the pitch is 512 / (rows × that).
# - ``CENTER`` counts columns from the left and rows from the bottom, while the first row stored is the top one;
#   ``MAXXY`` (the place of the strongest pixel) tells for each frame.
# - The first of ``ANGLES`` is the swing; a positive one moves a flat detector towards lower columns.
# - ``CYLINDER`` in ``TYPE``: the frame was put together from a scan of the swing on a cylinder; its columns are
#   steps of ``RANGE`` degrees from the first of ``ANGLES`` to the first of ``ENDING``.

HEADER_BLOCK, LINE, MAX_BLOCKS, MAX_SIDE = 512, 80, 200, 16384
REFERENCE_ROWS = 512
FLOAT32_STEP = 2.0**-23
LARGEST_SUM_ERROR = 0.01
LARGE_TILT = 0.5


class BrukerHeader:
    """The header's values by key, with errors that name the key."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.values: Mapping[str, str] = {}
        # the first five blocks say how many there are
        blocks = 5
        for _ in range(2):
            text = source.data[: blocks * HEADER_BLOCK].decode("latin-1")
            values: dict[str, str] = {}
            for start in range(0, len(text) - 8, LINE):
                key, colon, value = text[start : start + 8].partition(":")
                key, value = key.strip(), (value + text[start + 8 : start + LINE]).strip()
                if colon and key:
                    values[key] = f"{values[key]} {value}" if values.get(key) else value
            self.values = values
            blocks = self.integer("HDRBLKS")
            if not 5 <= blocks <= MAX_BLOCKS:
                raise self.error("HDRBLKS", f"the header has {blocks} blocks", f"5 to {MAX_BLOCKS}")
        self.size = blocks * HEADER_BLOCK

    def error(self, key: str, reason: str, expected: str = "") -> ReadError:
        """Error at one key of the header."""
        hint = "The frame is damaged, or of another version; copy it again from the instrument."
        return self.source.error(reason, format_id="gfrm", place=f"header {key}", expected=expected, hint=hint)

    def numbers(self, key: str) -> list[float]:
        """Leading numbers of a value; empty where there is no such key."""
        found: list[float] = []
        for word in self.values.get(key, "").split():
            try:
                number = float(word)
            except ValueError:
                break
            if not math.isfinite(number):
                raise self.error(key, f"{word!r} is no finite number")
            found.append(number)
        return found

    def integer(self, key: str) -> int:
        """First number of a value, which must be there."""
        found = self.numbers(key)
        if not found:
            raise self.error(key, f"{key} is {self.values.get(key)!r}", "a number")
        return int(found[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        rows, columns = self.integer("NROWS"), self.integer("NCOLS")
        if not (2 <= rows <= MAX_SIDE and 2 <= columns <= MAX_SIDE):
            raise self.error("NROWS", f"the frame has {rows} × {columns} pixels", f"2 to {MAX_SIDE} each")
        return rows, columns

    @property
    def least_bytes(self) -> int:
        """Size that header, pixels and overflow tables take at least (padding of the last one left out)."""
        rows, columns = self.shape
        per_pixel = self.integer("NPIXELB")
        if per_pixel not in {1, 2, 4}:
            raise self.error("NPIXELB", f"{per_pixel} bytes per pixel", "1, 2 or 4")
        size = self.size + rows * columns * per_pixel
        counts = [max(0, int(n)) for n in self.numbers("NOVERFL")]
        if self.values.get("FORMAT", "").strip() != "100":
            return size + 16 * sum(counts[:1])
        # tables of underflows, of pixels above one byte, of pixels above two; each padded to 16 bytes
        under = int([*self.numbers("NPIXELB"), 1, 1][1])
        tables = [n * width for n, width in zip(counts, (under, 2, 4), strict=False) if n * width]
        return size + sum(-(-n // 16) * 16 for n in tables[:-1]) + sum(tables[-1:])

    @property
    def exposure_s(self) -> float | None:
        """Counting time."""
        return next((s for key in ("ELAPSDA", "ELAPSDR", "CUMULAT") for s in self.numbers(key)[:1] if s > 0), None)

    @property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Kα1 and Kα2 where both are stated, else the mean wavelength."""
        stated = [value for value in self.numbers("WAVELEN") if value > 0]
        if len(stated) >= 3 and stated[1] < stated[0] < stated[2]:
            return (EmissionLine(wavelength=stated[1]), EmissionLine(wavelength=stated[2], weight=KALPHA2_RATIO))
        return tuple(EmissionLine(wavelength=value) for value in stated[:1])

    def geometry(self, *, top_first: bool = True) -> FrameGeometry | None:
        """Geometry, None without pixel pitch, distance or centre; `top_first`: the first row stored is the highest."""
        pitch = 0.0
        for word in self.values.get("DETTYPE", "").split()[1:]:
            with suppress(ValueError):
                pitch = float(word)
                break
        distance, center = self.numbers("DISTANC"), self.numbers("CENTER")
        if not (pitch > 0 and distance and distance[0] > 0 and len(center) >= 2):
            return None
        rows, columns = self.shape
        pixel = 10.0 * REFERENCE_ROWS / (rows * pitch)
        swing = (self.numbers("ANGLES") or [0.0])[0]
        flat = FrameGeometry(
            distance_mm=10.0 * (distance[1] if len(distance) > 1 and distance[1] > 0 else distance[0]),
            center_column=center[0],
            center_row=rows - center[1] if top_first else center[1],
            pixel_column_mm=pixel,
            pixel_row_mm=pixel,
            swing=-(swing if swing <= 180.0 else swing - 360.0),
            wavelength=next((value for value in self.numbers("WAVELEN") if value > 0), None),
        )
        if "CYLINDER" not in self.values.get("TYPE", "").upper():
            return flat
        end, step = (self.numbers("ENDING") or [swing])[0], (self.numbers("RANGE") or [0.0])[0]
        if step <= 0 or abs((end - swing) - columns * step) > 0.5 * step:
            reason = (
                f"a cylinder frame of {columns} columns of {step:g} degrees does not fit its scan from "
                f"{swing:g} to {end:g} degrees"
            )
            raise self.error("TYPE", reason, "columns × RANGE = ENDING − ANGLES")
        columns_mm = flat.distance_mm * math.radians(step)
        cylinder = replace(flat, shape="cylinder", center_column=0.0, swing=0.0, pixel_column_mm=columns_mm)
        return replace(cylinder, column_start=swing, column_step=step)

    def octagon(self) -> BoolArray:
        """True outside the active octagon (``OCTMASK``), rows counted as the header does, from the bottom."""
        limits = self.numbers("OCTMASK")
        if len(limits) < 8 or limits[4] <= 0 or limits[6] <= 0:
            return np.zeros(self.shape, dtype=bool)
        y, x = np.indices(self.shape)
        low_x, low_sum, low_y, high_minus, high_x, high_sum, high_y, high_back = limits[:8]
        low = (x < low_x) | (x + y < low_sum) | (y < low_y) | (x - y > high_minus)
        high = (x > high_x) | (x + y > high_sum) | (y > high_y) | (y - x > high_back)
        return np.asarray(low | high, dtype=np.bool_)


def read_bruker(source: SourceFile) -> Frame:
    """Bruker frame of format 86 or 100, checked against maximum, minimum and sum in its header."""
    header = BrukerHeader(source)
    rows, columns = header.shape
    if header.least_bytes > len(source.data):
        raise source.error(
            f"the frame is cut short: {len(source.data)} bytes",
            format_id="gfrm",
            expected=f"at least {header.least_bytes} for {rows} × {columns} pixels and their overflows",
            hint="Copy it again from the instrument.",
        )
    linear = header.numbers("LINEAR") or [1.0, 0.0]
    if linear[0] <= 0 or (len(linear) > 1 and linear[1] != 0):
        raise header.error("LINEAR", f"counts are {linear} × stored number", "a factor and the offset 0")
    if header.values.get("FORMAT", "").strip() == "100":
        counts = _decoded(source, "gfrm", "bruker100image", "Bruker100Image")
    else:
        # fabio has applied the factor of this version already
        counts = np.round(_decoded(source, "gfrm", "brukerimage", "BrukerImage") / linear[0])
    for key, value in (("MAXIMUM", counts.max()), ("MINIMUM", counts.min())):
        stated = header.numbers(key)
        if stated and stated[0] != value and (key == "MAXIMUM" or stated[0] > 0):
            raise header.error(key, f"the header states {stated[0]:g}, the pixels give {value:g}", "equality")
    notes = []
    total, stated = float(counts.sum()), header.numbers("NCOUNTS")
    off = abs(total / stated[0] - 1.0) if stated and stated[0] > 0 else 0.0
    if off > LARGEST_SUM_ERROR:
        reason = f"the header states {stated[0]:.0f} counts, the pixels sum to {total:.0f}"
        raise header.error("NCOUNTS", reason, "equality")
    if off > FLOAT32_STEP and abs(total - stated[0]) > 0.5:
        text = (
            f"the pixels sum to {total:.0f}, the header states {stated[0]:.0f} counts: some pixels changed after the "
            "frame was written. Use the frame as the instrument wrote it."
        )
        notes.append(COUNT_SUM_DIFFERS(text, sum=total, header=stated[0]))
    # The place of the strongest pixel tells whether the first row stored is the top one. Where it does not tell,
    # frames are taken as stored from the top, like all real ones seen.
    place, top_first = [int(value) for value in header.numbers("MAXXY")[:2]], True
    if len(place) == 2 and 0 <= place[0] < columns and 0 <= place[1] < rows:
        from_top, from_bottom = counts[rows - 1 - place[1], place[0]], counts[place[1], place[0]]
        top_first = bool(from_top == counts.max() or from_bottom != counts.max())
    geometry = header.geometry(top_first=top_first)
    tilts = (header.numbers("DETPAR") or [0.0] * 6)[3:]
    if geometry and any(abs(tilt) > LARGE_TILT for tilt in tilts):
        text = (
            f"the header states detector tilts of {', '.join(f'{tilt:g}' for tilt in tilts)} degrees, which are "
            "not applied; rings are smeared. Calibrate with a standard and pass its PONI file."
        )
        notes.append(TILTED(text))
    octagon, full = header.octagon(), header.numbers("CCDPARM")
    keys = {"SAMPLE": "sample_name", "CREATED": "date", "MODEL": "instrument", "DETTYPE": "detector"}
    facts = {name: " ".join(header.values.get(key, "").split()) for key, name in keys.items()}
    return Frame(
        counts=counts * linear[0],
        masked=octagon[::-1] if top_first else octagon,
        source=source.record("gfrm"),
        saturation=full[4] * linear[0] if len(full) > 4 and full[4] > 0 else None,
        exposure_s=header.exposure_s,
        geometry=geometry,
        emission_lines=header.emission_lines,
        anode=header.values.get("TARGET", "").strip(),
        metadata={k: text for k, text in facts.items() if text and text.lower() not in {"unknown", "?"}},
        messages=tuple(notes),
    )


# --- Eiger and other NeXus frames in HDF5 ----------------------------------------------------------------

MAX_BYTES = 4 * 2**30
MAX_IMAGES = 100_000
DETECTOR = "entry/instrument/detector"
TOGETHER = "Keep the master file beside its data files, as the detector wrote them."


def read_eiger(path: Path) -> Frame:
    """Sum of all images of a run, with the geometry of the master file where it has one."""
    require("hdf5plugin")  # registers the compression that the detector uses
    h5py = require("h5py")
    error = partial(ReadError, file=str(path), format_id="hdf5")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise error(f"the file has {size} bytes", expected=f"at most {MAX_BYTES}")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        with h5py.File(path, "r") as file:
            return _summed(file, Source(file=path.name, sha256=digest, format="hdf5"), error)
    except ReadError:
        raise
    except Exception as problem:
        raise error(f"the images cannot be read ({type(problem).__name__}: {problem})", hint=TOGETHER) from problem


def _summed(file: Any, source: Source, error: Refusal) -> Frame:
    total, full, images = None, None, 0
    if (group := file.get("entry/data")) is None:
        raise error("there is no group entry/data", expected="images as NeXus or Eiger store them")
    for name in sorted(name for name in group if name == "data" or name.startswith("data_")):
        if (data := group.get(name)) is None:
            linked = getattr(group.get(name, getlink=True), "filename", "a file")
            raise error(f"{name} is a link to {linked!r}, which is not there", hint=TOGETHER)
        if data.ndim not in {2, 3} or data.dtype.kind not in "iu":
            continue
        number, shape = 1 if data.ndim == 2 else len(data), data.shape[-2:]
        if shape[0] * shape[1] > MAX_PIXELS or images + number > MAX_IMAGES or min(shape) < 2:
            raise error(f"the file declares {number} images of {shape} pixels", expected=f"at most {MAX_PIXELS} pixels")
        if total is None or full is None:
            total, full = np.zeros(shape), np.zeros(shape, dtype=bool)
        elif total.shape != shape:
            raise error(f"images of {total.shape} and of {shape} pixels", expected="one size")
        for index in range(number):  # one by one: a run may not fit into memory
            image = np.asarray(data[()] if data.ndim == 2 else data[index])
            if image.dtype.kind == "u":  # the largest number of the type marks pixels that were not read
                full |= image == np.iinfo(image.dtype).max
            total += image
        images += number
    if total is None or full is None or images == 0:
        raise error("there are no images in entry/data", hint=TOGETHER)
    mask = file.get(f"{DETECTOR}/detectorSpecific/pixel_mask")
    if mask is not None and mask.shape == total.shape:
        full |= np.asarray(mask) != 0
    names = ("detector_distance", "beam_center_x", "beam_center_y", "x_pixel_size", "y_pixel_size", "count_time")
    places = ("entry/instrument/beam/incident_wavelength", *(f"{DETECTOR}/{name}" for name in names))
    items = (file.get(place) for place in places)
    stated = (None if item is None else _positive(item[()]) for item in items)
    wavelength, distance, column, row, wide, tall, seconds = stated
    geometry = None
    if distance and column and row and wide and tall:
        geometry = _in_metres(distance, (column, row), (wide, tall), wavelength)
    return Frame(
        counts=total,
        masked=full,
        source=source,
        exposure_s=images * seconds if seconds else None,
        geometry=geometry,
        emission_lines=(EmissionLine(wavelength=wavelength),) if wavelength else (),
        metadata={"images": images},
    )
