"""Mask files: any frame format or NumPy's ``.npy``; nonzero pixels are not used."""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import math
import os
import re
import struct
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, Metadata, Source
from xrdcomp.errors import AnalysisError, MissingExtraError, ReadError
from xrdcomp.io.registry import recognise
from xrdcomp.io.source import SourceFile, open_source
from xrdcomp.units import KALPHA2_RATIO, BoolArray, FloatArray

# ------------ The optional packages, asked for in words where they are missing.

INSTALL = 'pip install "xrdcomp[frames]"'


def require(module: str) -> ModuleType:
    """Import a module of fabio, pyFAI, h5py or hdf5plugin.

    Raises
    ------
    MissingExtraError
        It is not installed; the message says how to install it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside these packages are not the user's concern
            return importlib.import_module(module)
    except ImportError as missing:
        package = module.partition(".")[0]
        msg = f"frames of area detectors need {package}, which is not installed: {INSTALL}"
        raise MissingExtraError(msg) from missing


# ------------ Where each pixel looks: scattering angle, azimuth and solid angle, from a header or a PONI
# file.
# The formulae of the detector's position are pyFAI's (Ashiotis et al. 2015, J. Appl. Cryst. 48, 510).

PONI_KEYS = ("Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3")
LARGEST_M = 100.0
"""No laboratory or beamline puts a detector further away, in metres; a larger number is damage."""


@dataclass(frozen=True, kw_only=True)
class FrameGeometry:
    """Position of a detector, as a header states it.

    Parameters
    ----------
    shape : {"flat", "cylinder"}
        A cylinder's axis is the goniometer's; its columns are equal steps of angle.
    distance_mm : float
        Sample to detector along the normal; the radius of a cylinder.
    center_column, center_row : float, pixels
        Foot of that normal, counted from the outer edge of the first pixel; for a cylinder the row only.
    pixel_column_mm, pixel_row_mm : float
        Pixel pitch along a row (from column to column) and along a column.
    swing : float, degrees
        Rotation of a flat detector about the vertical; positive moves it towards higher columns.
    column_start, column_step : float, degrees
        Cylinder only: in-plane angle at the outer edge of the first column, and per column.
    wavelength : float or None
        Ångström, as the header states it.
    """

    shape: Literal["flat", "cylinder"] = "flat"
    distance_mm: float
    center_column: float = 0.0
    center_row: float = 0.0
    pixel_column_mm: float
    pixel_row_mm: float
    swing: float = 0.0
    column_start: float = 0.0
    column_step: float = 0.0
    wavelength: float | None = None


@dataclass(frozen=True, kw_only=True)
class PixelMap:
    """What each pixel sees; arrays of the frame's shape.

    Parameters
    ----------
    two_theta : array, degrees
    azimuth : array, degrees, −180 to 180
        0 towards higher columns, 90 towards higher rows, seen from the direct beam.
    solid_angle : array, steradian
    polarization : array
        Factor by which polarisation weakens the scattering; 1 where none was asked for.
    pixel_degrees : float
        2θ that one pixel spans where the detector faces the sample.
    wavelength : float or None, ångström
    masked : (rows, columns) boolean array
        Pixels the geometry itself rules out (gaps of a detector that pyFAI knows).
    """

    two_theta: FloatArray
    azimuth: FloatArray
    solid_angle: FloatArray
    polarization: FloatArray
    pixel_degrees: float
    wavelength: float | None
    masked: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Sector:
    """Range of azimuth, degrees, from `start` counter-clockwise (towards higher values) to `stop`.

    Raises
    ------
    AnalysisError
        The sector is empty or wider than a turn.
    """

    start: float
    stop: float

    def __post_init__(self) -> None:
        if not 0.0 < self.stop - self.start <= 360.0:
            msg = (
                f"the sector from {self.start:g} to {self.stop:g} degrees is empty or wider than a turn. "
                "Expected: start below stop, at most 360 degrees apart, e.g. 80 to 100 or 170 to 190."
            )
            raise AnalysisError(msg)

    @property
    def width(self) -> float:
        """Opening in degrees."""
        return self.stop - self.start

    def contains(self, azimuth: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Say which azimuths lie inside."""
        inside: np.ndarray[Any, np.dtype[np.bool_]] = np.mod(azimuth - self.start, 360.0) < self.width
        return inside


def load_poni(path: str | os.PathLike[str]) -> Any:
    """Read a PONI file (pyFAI's calibration) as a pyFAI integrator.

    Parameters
    ----------
    path : path

    Returns
    -------
    pyFAI.integrator.azimuthal.AzimuthalIntegrator

    Raises
    ------
    ReadError
        No PONI file, a value is missing or no number, or pyFAI refuses it.
    MissingExtraError
        pyFAI is not installed.
    """
    source = open_source(path)
    found: dict[str, float] = {}
    for name in (*PONI_KEYS, "Wavelength"):
        match = re.search(rf"(?m)^{name}\s*:\s*(\S+)", source.text)
        if match is None:
            if name == "Wavelength":
                continue
            msg = f"the calibration has no {name}"
            raise source.error(msg, format_id="poni", expected=", ".join(PONI_KEYS), hint="Calibrate again.")
        try:
            found[name] = float(match.group(1))
        except ValueError:
            found[name] = np.nan
        if not np.isfinite(found[name]):
            msg = f"{name} is {match.group(1)!r}, not a number"
            raise source.error(msg, format_id="poni", hint="Calibrate again.")
    if not 0.0 < found["Distance"] < LARGEST_M or not 0.0 < found.get("Wavelength", 1e-10) < 1e-8:
        msg = f"distance {found['Distance']:g} m, wavelength {found.get('Wavelength', 0):g} m"
        raise source.error(msg, format_id="poni", expected="both in metres: about 0.1 and 1e-10")
    if source.packed:
        msg = "the calibration is compressed"
        raise source.error(msg, format_id="poni", hint="Unpack it.")
    pyfai = require("pyFAI")
    try:
        return pyfai.load(os.fspath(path))
    except Exception as problem:
        msg = f"pyFAI refuses the calibration ({type(problem).__name__}: {problem})"
        raise source.error(msg, format_id="poni", hint="Calibrate again with pyFAI-calib2.") from problem


def pixel_map(
    geometry: Any,
    shape: tuple[int, int],
    *,
    polarization: float | None = None,
    orientation: int | None = None,
) -> PixelMap:
    """Angles and solid angles of all pixels.

    Parameters
    ----------
    geometry : FrameGeometry or pyFAI integrator
    shape : (rows, columns)
    polarization : float, optional
        Degree of linear polarisation of the beam, −1 to 1 (0.99 at a synchrotron, 0 for a tube without
        crystal); the intensities are then divided by the factor. Without it nothing is divided, and the
        factor stays in the pattern for the model to apply, as in a pattern of a powder diffractometer.
    orientation : {1, 2, 3, 4}, optional
        Corner of the detector where the first pixel of the frame sits, seen from the sample: 1 top left,
        2 top right, 3 bottom right (pyFAI's usual), 4 bottom left. Replaces that of the PONI file.

    Returns
    -------
    PixelMap
        Angles in degrees.

    Raises
    ------
    AnalysisError
        The frame's shape does not fit the detector of the PONI file, or a setting is out of range.
    """
    if polarization is not None and not -1.0 <= polarization <= 1.0:
        msg = f"polarization is {polarization:g}; expected a degree of polarisation between -1 and 1."
        raise AnalysisError(msg)
    if orientation not in {None, 1, 2, 3, 4}:
        msg = f"orientation is {orientation}; expected 1, 2, 3 or 4 (the corner of the first pixel)."
        raise AnalysisError(msg)
    header = isinstance(geometry, FrameGeometry)
    ai = _integrator(geometry, shape) if header else geometry
    _fit_detector(ai, shape, orientation)
    two_theta = np.degrees(ai.center_array(shape, unit="2th_rad"))
    detector = ai.detector
    pixel_area = float(detector.pixel1) * float(detector.pixel2) / float(ai.dist) ** 2
    factor = np.ones(shape)
    if polarization is not None:
        factor = np.asarray(ai.polarization(shape, factor=polarization, path="numpy"), dtype=np.float64)
    known = getattr(detector, "mask", None)
    masked = np.zeros(shape, dtype=bool) if known is None else np.asarray(known, dtype=bool)
    wavelength = ai.wavelength * 1e10 if ai.wavelength else None
    return PixelMap(
        two_theta=np.asarray(two_theta, dtype=np.float64),
        azimuth=np.degrees(np.asarray(ai.center_array(shape, unit="chi_rad"), dtype=np.float64)),
        solid_angle=np.asarray(ai.solidAngleArray(shape), dtype=np.float64) * pixel_area,
        polarization=factor,
        pixel_degrees=float(np.degrees(max(detector.pixel1, detector.pixel2) / ai.dist)),
        wavelength=wavelength,
        masked=masked,
    )


def _fit_detector(ai: Any, shape: tuple[int, int], orientation: int | None) -> None:
    detector = ai.detector
    largest = tuple(detector.max_shape) if getattr(detector, "max_shape", None) else shape
    if largest != shape and detector.force_pixel:
        msg = (
            f"the calibration is for a detector of {largest} pixels, the frame has {shape}. "
            "Calibrate with a frame of the same detector and binning."
        )
        raise AnalysisError(msg)
    detector.shape = shape
    if detector.max_shape is None:
        detector.max_shape = shape
    if orientation is not None:
        module = require("pyFAI.detectors.orientation")
        detector._orientation = module.Orientation(orientation)
        ai.reset()


def _integrator(geometry: FrameGeometry, shape: tuple[int, int]) -> Any:
    azimuthal = require("pyFAI.integrator.azimuthal")
    row, column = geometry.pixel_row_mm * 1e-3, geometry.pixel_column_mm * 1e-3
    wavelength = geometry.wavelength * 1e-10 if geometry.wavelength else None
    place = {"dist": geometry.distance_mm * 1e-3, "poni1": geometry.center_row * row}
    if geometry.shape == "cylinder":
        detector = _cylinder_class()(geometry, shape)
        return azimuthal.AzimuthalIntegrator(**place, poni2=0.0, detector=detector, wavelength=wavelength)
    detectors = require("pyFAI.detectors")
    return azimuthal.AzimuthalIntegrator(
        **place,
        poni2=geometry.center_column * column,
        rot1=np.radians(geometry.swing),
        detector=detectors.Detector(row, column, max_shape=shape),
        wavelength=wavelength,
    )


def _cylinder_class() -> Any:
    """Class of a cylindrical detector whose columns are equal steps of angle (pyFAI loads late)."""
    base = require("pyFAI.detectors._non_flat").CylindricalDetector

    class EqualAngleCylinder(base):  # type: ignore[misc,valid-type]  # the base is found at run time
        """Columns at equal angles around the vertical axis, rows at equal heights."""

        def __init__(self, geometry: FrameGeometry, shape: tuple[int, int]) -> None:
            super().__init__(
                geometry.pixel_row_mm * 1e-3, geometry.pixel_column_mm * 1e-3, geometry.distance_mm * 1e-3
            )
            self.max_shape = self.shape = shape
            self._start, self._step = np.radians(geometry.column_start), np.radians(geometry.column_step)

        def _get_compact_pixel_corners(self) -> tuple[FloatArray, FloatArray, FloatArray]:
            rows, columns = self.shape
            angle = self._start + self._step * np.arange(columns + 1)
            height = self.pixel1 * np.arange(rows + 1)
            across, depth = self.radius * np.sin(angle), self.radius * (np.cos(angle) - 1.0)
            return height.astype(np.float32), across.astype(np.float32), depth.astype(np.float32)

    return EqualAngleCylinder


def check_header_geometry(geometry: FrameGeometry, *, file: str, format_id: str) -> None:
    """Refuse positions that no instrument has: a damaged header.

    Raises
    ------
    ReadError
        Distance, pixel or wavelength outside what exists.
    """
    limits = (
        ("distance", geometry.distance_mm, 5.0, 1e3 * LARGEST_M, "mm"),
        ("pixel", geometry.pixel_row_mm, 1e-3, 5.0, "mm"),
        ("pixel", geometry.pixel_column_mm, 1e-3, 5.0, "mm"),
        ("wavelength", geometry.wavelength or 1.0, 0.01, 10.0, "ångström"),
    )
    for name, value, low, high, unit in limits:
        if not low <= value <= high:
            msg = f"the header states a {name} of {value:g} {unit}"
            raise ReadError(
                msg,
                file=file,
                format_id=format_id,
                expected=f"{low:g} to {high:g} {unit}",
                hint="Pass a calibration: poni= (on the command line --poni FILE).",
            )


# ------------ TIFF, CBF and EDF frames: sizes checked before fabio decodes them, facts of their headers.

MAX_PIXELS = 2**25
"""33 million; the largest detector known (Eiger2 16M) has 18 million."""
AGAIN = "Copy the frame again from the instrument."


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds, before it is judged.

    Parameters
    ----------
    counts : (rows, columns) array
    masked : (rows, columns) boolean array or None
    saturation : float or None
        Counts from which on a pixel is full.
    """

    counts: FloatArray
    masked: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    saturation: float | None = None
    exposure_s: float | None = None
    geometry: FrameGeometry | None = None
    emission_lines: tuple[EmissionLine, ...] = ()
    anode: str = ""
    metadata: dict[str, str | float | int | bool] = field(default_factory=dict)
    messages: tuple[Diagnostic, ...] = ()


def decode(source: SourceFile, format_id: str, module: str, name: str) -> FloatArray:
    """Decode the pixels with a class of fabio.

    fabio wants a file: the unpacked bytes go to a temporary one, so that its name decides nothing.

    Raises
    ------
    ReadError
        fabio cannot decode them, or they are no single grey image.
    """
    return _pixels(_load(source, format_id, module, name), source, format_id)


def _load(source: SourceFile, format_id: str, module: str, name: str) -> Any:
    image = getattr(require(module), name)()
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"frame.{format_id}"
            path.write_bytes(source.data)
            loaded = image.read(str(path))
            _ = loaded.data  # decoded while the file is there
            return loaded
    except (MissingExtraError, KeyboardInterrupt):
        raise
    except Exception as problem:
        msg = f"the pixels cannot be decoded ({type(problem).__name__}: {problem})"
        raise source.error(msg, format_id=format_id, hint=AGAIN) from problem


def _pixels(image: Any, source: SourceFile, format_id: str) -> FloatArray:
    data = np.asarray(image.data)
    if data.ndim != 2 or data.dtype.kind not in "iuf" or min(data.shape) < 2:
        msg = f"the image has shape {data.shape} of {data.dtype}"
        raise source.error(msg, format_id=format_id, expected="one image of grey values, at least 2 × 2")
    if int(getattr(image, "nframes", 1) or 1) > 1:
        msg = f"the file holds {image.nframes} images"
        raise source.error(msg, format_id=format_id, expected="one image", hint="Save them one by one.")
    return data.astype(np.float64)


def _bounded(rows: int, columns: int, source: SourceFile, format_id: str) -> None:
    if not (rows >= 2 and columns >= 2 and rows * columns <= MAX_PIXELS):
        msg = f"the header declares {rows} × {columns} pixels"
        raise source.error(msg, format_id=format_id, expected=f"at most {MAX_PIXELS} pixels", hint=AGAIN)


def _short(declared: int, available: int, source: SourceFile, format_id: str) -> None:
    if declared > available:
        msg = f"the frame is cut short: the header declares {declared} bytes of pixels, {available} are there"
        raise source.error(msg, format_id=format_id, hint=AGAIN)


# --- TIFF -----------------------------------------------------------------------------------------

_TIFF_TYPES = {1: "B", 3: "H", 4: "I"}
WIDTH, HEIGHT, BITS, COMPRESSION, DESCRIPTION, OFFSETS, SAMPLES, SIZES, FORMAT = (
    256, 257, 258, 259, 270, 273, 277, 279, 339,
)  # fmt: skip


def read_tiff(source: SourceFile) -> Content:
    """Grey TIFF of one image; geometry must come from a PONI file."""
    tags = _tiff_tags(source)
    rows, columns = int(tags.get(HEIGHT, [0])[0]), int(tags.get(WIDTH, [0])[0])
    _bounded(rows, columns, source, "tiff")
    bits = int(tags.get(BITS, [1])[0])
    if tags.get(SAMPLES, [1])[0] != 1 or bits not in {8, 16, 32, 64}:
        msg = f"the image has {tags.get(SAMPLES, [1])[0]} colours of {bits} bits"
        raise source.error(msg, format_id="tiff", expected="one grey value per pixel, 8 to 64 bits")
    offsets, sizes = tags.get(OFFSETS, ()), tags.get(SIZES, ())
    if tags.get(COMPRESSION, [1])[0] == 1 and offsets:
        _short(rows * columns * bits // 8, sum(sizes) or len(source.data), source, "tiff")
    if offsets and sizes:
        end = max(offset + size for offset, size in zip(offsets, sizes, strict=False))
        _short(end, len(source.data), source, "tiff")
    image = _load(source, "tiff", "fabio.tifimage", "TifImage")
    counts = _pixels(image, source, "tiff")
    if counts.shape != (rows, columns):
        msg = f"{counts.shape} pixels were decoded"
        raise source.error(msg, format_id="tiff", expected=f"({rows}, {columns})", hint=AGAIN)
    kind = int(tags.get(FORMAT, [1])[0])
    text = source.data[:4096].decode("latin-1")
    exposure = re.search(r"# Exposure_time\s+([0-9.eE+-]+)\s*s", text)
    return Content(
        counts=counts,
        saturation=2.0**bits - 1.0 if kind == 1 else 2.0 ** (bits - 1) - 1.0 if kind == 2 else None,
        exposure_s=_positive(exposure.group(1)) if exposure else None,
    )


def _tiff_tags(source: SourceFile) -> dict[int, tuple[int, ...]]:
    data = source.data
    order = "<" if data[:2] == b"II" else ">"
    tags: dict[int, tuple[int, ...]] = {}
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for index in range(count):
            at = start + 2 + 12 * index
            tag, kind, number = struct.unpack_from(order + "HHI", data, at)
            if kind not in _TIFF_TYPES or number > len(data):
                continue
            code = _TIFF_TYPES[kind]
            size = struct.calcsize(code) * number
            where = at + 8 if size <= 4 else struct.unpack_from(order + "I", data, at + 8)[0]
            tags[tag] = struct.unpack_from(f"{order}{number}{code}", data, where)
        (following,) = struct.unpack_from(order + "I", data, start + 2 + 12 * count)
    except struct.error as problem:
        msg = "the frame is cut short: the table of its contents lies beyond its end"
        raise source.error(msg, format_id="tiff", hint=AGAIN) from problem
    if following and following < len(data):
        msg = "the file holds several images"
        raise source.error(msg, format_id="tiff", expected="one image", hint="Save them one by one.")
    return tags


# --- CBF ------------------------------------------------------------------------------------------

BINARY_START = b"\x0c\x1a\x04\xd5"


def read_cbf(source: SourceFile) -> Content:
    """CBF with one binary section; Dectris's text header gives exposure, cut-off and geometry."""
    data = source.data
    start = data.find(BINARY_START)
    if start < 0:
        msg = "there is no binary section"
        raise source.error(
            msg, format_id="cbf", hint="The frame is cut short, or holds no image; copy it again."
        )
    head = data[:start].decode("latin-1")
    columns = _cbf_integer(head, "X-Binary-Size-Fastest-Dimension", source)
    rows = _cbf_integer(head, "X-Binary-Size-Second-Dimension", source)
    _bounded(rows, columns, source, "cbf")
    size = _cbf_integer(head, "X-Binary-Size", source)
    binary = data[start + len(BINARY_START) :][:size]
    _short(size, len(binary), source, "cbf")
    if "x-CBF_BYTE_OFFSET" in head and size < rows * columns:
        _short(rows * columns, size, source, "cbf")
    digest = re.search(r"Content-MD5:\s*(\S+)", head)
    if digest and base64.b64encode(
        hashlib.md5(binary, usedforsecurity=False).digest()
    ).decode() != digest.group(1):
        msg = "the pixels do not have the check sum that the header states (Content-MD5)"
        raise source.error(msg, format_id="cbf", hint=AGAIN)
    if "x-CBF_BYTE_OFFSET" in head:
        counts = _byte_offset(binary, rows, columns, source)
    else:
        counts = decode(source, "cbf", "fabio.cbfimage", "CbfImage")
    if counts.shape != (rows, columns):
        msg = f"{counts.shape} pixels were decoded"
        raise source.error(msg, format_id="cbf", expected=f"({rows}, {columns})", hint=AGAIN)
    cutoff = _dectris(head, "Count_cutoff")
    wavelength = _dectris(head, "Wavelength")
    return Content(
        counts=counts,
        saturation=cutoff[0] if cutoff else None,
        exposure_s=_positive(str((_dectris(head, "Exposure_time") or [0.0])[0])),
        geometry=_dectris_geometry(head),
        emission_lines=(EmissionLine(wavelength=wavelength[0]),) if wavelength and wavelength[0] > 0 else (),
        metadata={"detector": match.group(1).strip()}
        if (match := re.search(r"# Detector: (.+)", head))
        else {},
    )


def _byte_offset(binary: bytes, rows: int, columns: int, source: SourceFile) -> FloatArray:
    """Decode the usual compression directly: fabio's reader of the text header stumbles over unusual lines."""
    compression = require("fabio.compression")
    try:
        values = np.asarray(compression.decByteOffset(binary, size=rows * columns))
    except Exception as problem:
        msg = f"the pixels cannot be decoded ({type(problem).__name__}: {problem})"
        raise source.error(msg, format_id="cbf", hint=AGAIN) from problem
    if values.size != rows * columns:
        _short(rows * columns, int(values.size), source, "cbf")
    counts: FloatArray = values[: rows * columns].reshape(rows, columns).astype(np.float64)
    return counts


def _cbf_integer(head: str, key: str, source: SourceFile) -> int:
    match = re.search(rf"{key}:\s*(\d{{1,12}})", head)
    if match is None:
        msg = f"the binary section has no {key}"
        raise source.error(msg, format_id="cbf", hint=AGAIN)
    return int(match.group(1))


def _dectris(head: str, key: str) -> list[float]:
    """Numbers behind a keyword of the text header; empty where it is missing."""
    match = re.search(rf"(?m)^#\s*{key}\b(.*)$", head)
    if match is None:
        return []
    found = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", match.group(1))
    return [float(text) for text in found if math.isfinite(float(text))]


def _dectris_geometry(head: str) -> FrameGeometry | None:
    beam, distance = _dectris(head, "Beam_xy"), _dectris(head, "Detector_distance")
    pixel, wavelength = _dectris(head, "Pixel_size"), _dectris(head, "Wavelength")
    swing = (_dectris(head, "Detector_2theta") or [0.0])[0]
    if len(beam) < 2 or not distance or distance[0] <= 0 or len(pixel) < 2 or swing != 0.0:
        return None  # a swung detector's header does not say about which axis
    return FrameGeometry(
        distance_mm=1e3 * distance[0],
        center_column=beam[0],
        center_row=beam[1],
        pixel_column_mm=1e3 * pixel[0],
        pixel_row_mm=1e3 * pixel[1],
        wavelength=wavelength[0] if wavelength and wavelength[0] > 0 else None,
    )


# --- EDF ------------------------------------------------------------------------------------------

_EDF_BYTES = {
    "signedbyte": 1, "unsignedbyte": 1, "signedshort": 2, "unsignedshort": 2, "signedinteger": 4,
    "unsignedinteger": 4, "signedlong": 4, "unsignedlong": 4, "signed64": 8, "unsigned64": 8,
    "floatvalue": 4, "float": 4, "real": 4, "doublevalue": 8, "double": 8,
}  # fmt: skip
EDF_EXPOSURE = ("exposuretime", "exposure_time", "count_time", "acq_expo_time", "expotime")


def read_edf(source: SourceFile) -> Content:
    """ESRF data format with one image; geometry must come from a PONI file."""
    end = source.data.find(b"}\n", 0, 2**20)
    if end < 0:
        msg = "the header does not end"
        raise source.error(msg, format_id="edf", expected="} and a line feed", hint=AGAIN)
    head = source.data[:end].decode("latin-1")
    values = {key.strip().lower(): text.strip() for key, text in re.findall(r"([^={};]+)=([^;]*);", head)}
    columns, rows = (_edf_integer(values, key, source) for key in ("dim_1", "dim_2"))
    _bounded(rows, columns, source, "edf")
    width = _EDF_BYTES.get(values.get("datatype", "").lower())
    if width is None:
        msg = f"the data type is {values.get('datatype')!r}"
        raise source.error(msg, format_id="edf", expected=", ".join(sorted(_EDF_BYTES)))
    packed = values.get("compression", "none").lower() not in {"", "none", "nocompression"}
    if not packed:
        _short(rows * columns * width, len(source.data) - end - 2, source, "edf")
    counts = decode(source, "edf", "fabio.edfimage", "EdfImage")
    if counts.shape != (rows, columns):
        msg = f"{counts.shape} pixels were decoded"
        raise source.error(msg, format_id="edf", expected=f"({rows}, {columns})", hint=AGAIN)
    exposure = next((values[key] for key in EDF_EXPOSURE if key in values), "")
    full = 2.0 ** (8 * width) - 1.0 if values["datatype"].lower().startswith("unsigned") else None
    return Content(counts=counts, saturation=full, exposure_s=_positive(exposure))


def _edf_integer(values: dict[str, str], key: str, source: SourceFile) -> int:
    text = values.get(key, "")
    if not re.fullmatch(r"\d{1,9}", text):
        msg = f"{key.capitalize()} is {text!r}"
        raise source.error(msg, format_id="edf", expected="a whole number", hint=AGAIN)
    return int(text)


def _positive(text: str) -> float | None:
    try:
        value = float(text.split()[0]) if text.split() else 0.0
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


# ------------ Bruker frames (GFRM, SFRM): what their header says of size, checks and geometry.
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

FORMAT_ID = "gfrm"
HEADER_BLOCK, LINE = 512, 80
REFERENCE_ROWS = 512
FLOAT32_STEP = 2.0**-23
"""The sum of counts is stored as a 32-bit float in some frames: 138035881 as 138035888."""
LARGEST_SUM_ERROR = 0.01
LARGE_TILT = 0.5
MAX_BLOCKS = 200
MAX_SIDE = 16384


class BrukerHeader:
    """The header's values by key, with errors that name the key."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.values = _lines(source.data, 5)
        blocks = self.integer("HDRBLKS")
        if not 5 <= blocks <= MAX_BLOCKS:
            raise self.error("HDRBLKS", f"the header has {blocks} blocks", f"5 to {MAX_BLOCKS}")
        self.values = _lines(source.data, blocks)
        self.size = blocks * HEADER_BLOCK

    def error(self, key: str, reason: str, expected: str = "") -> Exception:
        """Error at one key of the header."""
        return self.source.error(
            reason,
            format_id=FORMAT_ID,
            place=f"header {key}",
            expected=expected,
            hint="The frame is damaged, or of another version; copy it again from the instrument.",
        )

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
    def expected_bytes(self) -> int:
        """Size that header, pixels and overflow tables take at least (padding of the last one left out)."""
        rows, columns = self.shape
        per_pixel = self.integer("NPIXELB")
        if per_pixel not in {1, 2, 4}:
            raise self.error("NPIXELB", f"{per_pixel} bytes per pixel", "1, 2 or 4")
        size = self.size + rows * columns * per_pixel
        counts = [max(0, int(n)) for n in self.numbers("NOVERFL")]
        if self.values.get("FORMAT", "").strip() == "100":
            under = int([*self.numbers("NPIXELB"), 1, 1][1])
            blocks = [n * width for n, width in zip(counts, (under, 2, 4), strict=False)]
            filled = [block for block in blocks if block]
            return size + sum(-(-n // 16) * 16 for n in filled[:-1]) + (filled[-1] if filled else 0)
        return size + 16 * sum(counts[:1])

    @property
    def exposure_s(self) -> float | None:
        """Counting time."""
        for key in ("ELAPSDA", "ELAPSDR", "CUMULAT"):
            if (value := self.numbers(key)) and value[0] > 0:
                return value[0]
        return None

    @property
    def scale(self) -> float:
        """Factor from stored numbers to counts."""
        linear = self.numbers("LINEAR") or [1.0, 0.0]
        if linear[0] <= 0 or (len(linear) > 1 and linear[1] != 0):
            raise self.error("LINEAR", f"counts are {linear} × stored number", "a factor and the offset 0")
        return linear[0]

    @property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Kα1 and Kα2 where both are stated, else the mean wavelength."""
        stated = [value for value in self.numbers("WAVELEN") if value > 0]
        if len(stated) >= 3 and stated[1] < stated[0] < stated[2]:
            return (
                EmissionLine(wavelength=stated[1]),
                EmissionLine(wavelength=stated[2], weight=KALPHA2_RATIO),
            )
        return tuple(EmissionLine(wavelength=value) for value in stated[:1])

    @property
    def facts(self) -> dict[str, str | float | int | bool]:
        """What else is worth keeping."""
        keys = {"SAMPLE": "sample_name", "CREATED": "date", "MODEL": "instrument", "DETTYPE": "detector"}
        found = {name: " ".join(self.values.get(key, "").split()) for key, name in keys.items()}
        return {name: text for name, text in found.items() if text and text.lower() not in {"unknown", "?"}}

    def geometry(self, *, top_first: bool = True) -> FrameGeometry | None:
        """Geometry, or None where the header has no pixel pitch, distance or centre.

        Parameters
        ----------
        top_first : bool
            The first row stored is the highest in the header's counting of rows (`rows_from_top`).
        """
        pitch = self._pixels_per_cm()
        distance, center = self.numbers("DISTANC"), self.numbers("CENTER")
        if not (pitch and distance and distance[0] > 0 and len(center) >= 2):
            return None
        rows, columns = self.shape
        pixel = 10.0 * REFERENCE_ROWS / (rows * pitch)
        radius = 10.0 * (distance[1] if len(distance) > 1 and distance[1] > 0 else distance[0])
        swing = (self.numbers("ANGLES") or [0.0])[0]
        center_row = rows - center[1] if top_first else center[1]
        mean = [value for value in self.numbers("WAVELEN") if value > 0][:1]
        common = {"distance_mm": radius, "pixel_row_mm": pixel, "wavelength": mean[0] if mean else None}
        if "CYLINDER" in self.values.get("TYPE", "").upper():
            start, step = self._cylinder_columns(columns, swing)
            return FrameGeometry(
                shape="cylinder",
                center_row=center_row,
                pixel_column_mm=radius * math.radians(step),
                column_start=start,
                column_step=step,
                **common,  # type: ignore[arg-type]  # a dictionary of the three fields named above
            )
        return FrameGeometry(
            center_column=center[0],
            center_row=center_row,
            pixel_column_mm=pixel,
            swing=-(swing if swing <= 180.0 else swing - 360.0),
            **common,  # type: ignore[arg-type]  # likewise
        )

    def _pixels_per_cm(self) -> float | None:
        for word in self.values.get("DETTYPE", "").split()[1:]:
            try:
                value = float(word)
            except ValueError:
                continue
            return value if value > 0 else None
        return None

    def _cylinder_columns(self, columns: int, start: float) -> tuple[float, float]:
        end, step = self.numbers("ENDING") or [start], (self.numbers("RANGE") or [0.0])[0]
        if step <= 0 or abs((end[0] - start) - columns * step) > 0.5 * step:
            raise self.error(
                "TYPE",
                f"a cylinder frame of {columns} columns of {step:g} degrees does not fit its scan from "
                f"{start:g} to {end[0]:g} degrees",
                "columns × RANGE = ENDING − ANGLES",
            )
        return start, step

    def notes(self) -> list[Diagnostic]:
        """Say what the geometry of the header leaves out."""
        tilts = (self.numbers("DETPAR") or [0.0] * 6)[3:]
        if not any(abs(tilt) > LARGE_TILT for tilt in tilts):
            return []
        text = (
            f"the header states detector tilts of {', '.join(f'{tilt:g}' for tilt in tilts)} degrees, which are "
            "not applied; rings are smeared. Calibrate with a standard and pass its PONI file."
        )
        return [Diagnostic(code="FRAME_TILT", severity="warning", text=text)]


def check_counts(counts: FloatArray, header: BrukerHeader) -> list[Diagnostic]:
    """Check the pixels against maximum, minimum and sum in the header.

    Raises
    ------
    ReadError
        Maximum or minimum differ from the header, or the sum does by more than a hundredth.
    """
    for key, value in (("MAXIMUM", counts.max()), ("MINIMUM", counts.min())):
        stated = header.numbers(key)
        if stated and stated[0] != value and (key == "MAXIMUM" or stated[0] > 0):
            raise header.error(key, f"the header states {stated[0]:g}, the pixels give {value:g}", "equality")
    total, stated = float(counts.sum()), header.numbers("NCOUNTS")
    if not stated or stated[0] <= 0:
        return []
    error = abs(total - stated[0]) / stated[0]
    if error > LARGEST_SUM_ERROR:
        reason = f"the header states {stated[0]:.0f} counts, the pixels sum to {total:.0f}"
        raise header.error("NCOUNTS", reason, "equality")
    if error <= FLOAT32_STEP or abs(total - stated[0]) <= 0.5:
        return []
    text = (
        f"the pixels sum to {total:.0f}, the header states {stated[0]:.0f} counts: some pixels changed after the "
        "frame was written. Use the frame as the instrument wrote it."
    )
    facts: dict[str, str | float | int | bool] = {"sum": total, "header": stated[0]}
    return [Diagnostic(code="FRAME_COUNT_SUM", severity="warning", text=text, facts=facts)]


def rows_from_top(counts: FloatArray, header: BrukerHeader) -> bool:
    """Whether the first row stored is the top one, as the place of the strongest pixel (``MAXXY``) tells.

    Frames where it does not tell are taken as stored from the top, like all real ones seen.
    """
    place = [int(value) for value in header.numbers("MAXXY")[:2]]
    rows, columns = counts.shape
    if len(place) < 2 or not (0 <= place[0] < columns and 0 <= place[1] < rows):
        return True
    strongest = counts.max()
    return bool(counts[rows - 1 - place[1], place[0]] == strongest or counts[place[1], place[0]] != strongest)


def bruker_mask(header: BrukerHeader, shape: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Pixels outside the active octagon (``OCTMASK``), rows counted as the header does, from the bottom."""
    limits = header.numbers("OCTMASK")
    rows, columns = shape
    masked = np.zeros(shape, dtype=bool)
    if len(limits) < 8 or limits[4] <= 0 or limits[6] <= 0:
        return masked
    y, x = np.mgrid[:rows, :columns]
    low_x, low_sum, low_y, high_minus, high_x, high_sum, high_y, high_back = limits[:8]
    masked |= (x < low_x) | (x + y < low_sum) | (y < low_y) | (x - y > high_minus)
    masked |= (x > high_x) | (x + y > high_sum) | (y > high_y) | (y - x > high_back)
    return masked


def _lines(data: bytes, blocks: int) -> dict[str, str]:
    text = data[: blocks * HEADER_BLOCK].decode("latin-1")
    values: dict[str, str] = {}
    for start in range(0, len(text) - 8, LINE):
        key, colon, value = text[start : start + 8].partition(":")
        key = key.strip()
        if colon and key:
            value = (value + text[start + 8 : start + LINE]).strip()
            values[key] = f"{values[key]} {value}" if values.get(key) else value
    return values


# ------------ Eiger and other NeXus frames in HDF5: all images of a run summed, geometry of the master
# file.

MAX_BYTES = 4 * 2**30
MAX_IMAGES = 100_000
DETECTOR, BEAM = "entry/instrument/detector", "entry/instrument/beam/incident_wavelength"
HINT = "Keep the master file beside its data files, as the detector wrote them."


def read_eiger(path: Path) -> tuple[Content, Source]:
    """Sum the images of an HDF5 file and read its geometry where it has one.

    Raises
    ------
    ReadError
        No image data, a linked data file is missing, damaged, or too large.
    MissingExtraError
        h5py or hdf5plugin is not installed.
    """
    require("hdf5plugin")  # registers the compression that the detector uses
    h5py = require("h5py")
    size = path.stat().st_size
    if size > MAX_BYTES:
        msg = f"the file has {size} bytes"
        raise ReadError(msg, file=str(path), format_id="hdf5", expected=f"at most {MAX_BYTES}")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        with h5py.File(path, "r") as file:
            content = _content(file, path)
    except ReadError:
        raise
    except Exception as problem:
        msg = f"the images cannot be read ({type(problem).__name__}: {problem})"
        raise ReadError(msg, file=str(path), format_id="hdf5", hint=HINT) from problem
    return content, Source(file=path.name, sha256=digest, format="hdf5")


def _content(file: Any, path: Path) -> Content:
    total, full, images = None, None, 0
    for data in _datasets(file, path):
        number = 1 if data.ndim == 2 else len(data)
        shape = data.shape[-2:]
        if shape[0] * shape[1] > MAX_PIXELS or images + number > MAX_IMAGES or min(shape) < 2:
            msg = f"the file declares {number} images of {shape} pixels"
            raise ReadError(msg, file=str(path), format_id="hdf5", expected=f"at most {MAX_PIXELS} pixels")
        if total is None:
            total, full = np.zeros(shape), np.zeros(shape, dtype=bool)
        elif total.shape != shape:
            msg = f"images of {total.shape} and of {shape} pixels"
            raise ReadError(msg, file=str(path), format_id="hdf5", expected="one size")
        for index in range(number):
            image = np.asarray(data[()] if data.ndim == 2 else data[index])
            if image.dtype.kind == "u":
                full |= image == np.iinfo(image.dtype).max
            total += image
        images += number
    if total is None or images == 0:
        msg = "there are no images in entry/data"
        raise ReadError(msg, file=str(path), format_id="hdf5", hint=HINT)
    mask = file.get(f"{DETECTOR}/detectorSpecific/pixel_mask")
    if mask is not None and mask.shape == total.shape:
        full |= np.asarray(mask) != 0
    seconds = _number(file, f"{DETECTOR}/count_time")
    wavelength = _number(file, BEAM)
    return Content(
        counts=total,
        masked=full,
        exposure_s=images * seconds if seconds else None,
        geometry=_geometry(file, wavelength),
        emission_lines=(EmissionLine(wavelength=wavelength),) if wavelength else (),
        metadata={"images": images},
    )


def _datasets(file: Any, path: Path) -> list[Any]:
    group = file.get("entry/data")
    if group is None:
        msg = "there is no group entry/data"
        raise ReadError(msg, file=str(path), format_id="hdf5", expected="images as NeXus or Eiger store them")
    found = []
    for name in sorted(group):
        if name != "data" and not name.startswith("data_"):
            continue
        data = group.get(name)
        if data is None:
            link = group.get(name, getlink=True)
            msg = f"{name} is a link to {getattr(link, 'filename', 'a file')!r}, which is not there"
            raise ReadError(msg, file=str(path), format_id="hdf5", hint=HINT)
        if data.ndim in {2, 3} and data.dtype.kind in "iu":
            found.append(data)
    return found


def _number(file: Any, name: str) -> float | None:
    item = file.get(name)
    if item is None:
        return None
    value = float(np.asarray(item[()]).ravel()[0])
    return value if np.isfinite(value) and value > 0 else None


def _geometry(file: Any, wavelength: float | None) -> FrameGeometry | None:
    names = ("detector_distance", "beam_center_x", "beam_center_y", "x_pixel_size", "y_pixel_size")
    values = [_number(file, f"{DETECTOR}/{name}") for name in names]
    if any(value is None for value in values):
        return None
    distance, column, row, wide, tall = (float(value or 0.0) for value in values)
    return FrameGeometry(
        distance_mm=1e3 * distance,
        center_column=column,
        center_row=row,
        pixel_column_mm=1e3 * wide,
        pixel_row_mm=1e3 * tall,
        wavelength=wavelength,
    )


# ------------ One frame from a file: counts, mask, what the header says of geometry and exposure; damaged
# ones refused.

MAX_COUNTS = 2.0**40
"""No pixel of a counting or integrating detector holds more; beyond is damage."""
NEGATIVE_SHARE = 0.5
TILE = 16
DISPERSION_BAND = (0.7, 1.5)
"""Variance over mean that is taken for counting; 1 is Poisson."""
DISPERSION_COUNTS = 5.0
HDF5_START = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One image of an area detector.

    Parameters
    ----------
    counts : (rows, columns) array
        As stored, times the header's factor where it has one.
    masked : (rows, columns) boolean array
        True where a pixel must not be used: negative, saturated, in a gap, outside the active area.
    exposure_s : float or None
    geometry : FrameGeometry or None
        From the header; None where it has none.
    dispersion : float or None
        Variance of neighbouring pixels over their mean; 1 for counting, None where too few counts tell.
    emission_lines : tuple of EmissionLine
    anode : str
    metadata : mapping
        Other facts of the header.
    source : Source or None
    messages : tuple of Diagnostic
    """

    counts: FloatArray
    masked: BoolArray
    exposure_s: float | None = None
    geometry: FrameGeometry | None = None
    emission_lines: tuple[EmissionLine, ...] = ()
    anode: str = ""
    dispersion: float | None = None
    metadata: Metadata = field(default_factory=dict)
    source: Source
    messages: tuple[Diagnostic, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.counts.shape[0], self.counts.shape[1]


def read_frame(path: str | os.PathLike[str]) -> Frame:
    """Read one frame: Bruker GFRM or SFRM, TIFF, CBF, EDF, Eiger HDF5; gzip and bzip2 are undone.

    Parameters
    ----------
    path : path

    Returns
    -------
    Frame
        Counts as stored, exposure in s.

    Raises
    ------
    ReadError
        No frame, cut short, all zero, not finite, or at odds with its own header.
    MissingExtraError
        fabio is not installed.
    """
    given = Path(path)
    if _is_hdf5(given):
        content, source = read_eiger(given)
        return _judged(content, source, str(given))
    opened = open_source(given)
    format_id = _format(opened)
    content = {"gfrm": _read_bruker, "tiff": read_tiff, "cbf": read_cbf, "edf": read_edf}[format_id](opened)
    return _judged(content, opened.record(format_id), str(given))


def describe_frame(path: str | os.PathLike[str]) -> dict[str, object]:
    """Facts of one frame, ready for JSON: size, counts, exposure, geometry of the header, mask.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        Sizes in pixels, exposure in s, distance in mm, wavelengths in ångström.

    Raises
    ------
    ReadError, MissingExtraError
        As `read_frame`.
    """
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


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return path.is_file() and stream.read(len(HDF5_START)) == HDF5_START
    except OSError:
        return False  # `open_source` then says why


def _format(source: SourceFile) -> str:
    found = recognise(source)
    best = found[0][1] if found else None
    if best is not None and best.kind == "xrd_frame" and best.id in {"gfrm", "tiff", "cbf", "edf"}:
        return best.id
    known = "Bruker GFRM or SFRM, TIFF, CBF, EDF, Eiger HDF5"
    if best is None:
        msg = f"no frame format recognises the content (it starts with {source.head[:12]!r})"
        raise source.error(msg, expected=known)
    if best.id == "poni":
        msg = "this is a calibration, not a frame"
        raise source.error(msg, format_id="poni", expected=known, hint="Pass it as poni= (--poni FILE).")
    msg = f"this is no two-dimensional frame ({best.name})"
    raise source.error(msg, format_id=best.id, expected=known)


def _read_bruker(source: SourceFile) -> Content:
    header = BrukerHeader(source)
    rows, columns = header.shape
    if header.expected_bytes > len(source.data):
        msg = f"the frame is cut short: {len(source.data)} bytes"
        raise source.error(
            msg,
            format_id="gfrm",
            expected=f"at least {header.expected_bytes} for {rows} × {columns} pixels and their overflows",
            hint="Copy it again from the instrument.",
        )
    version = header.values.get("FORMAT", "").strip()
    module, name = (
        ("bruker100image", "Bruker100Image") if version == "100" else ("brukerimage", "BrukerImage")
    )
    counts = decode(source, "gfrm", f"fabio.{module}", name)
    if version != "100":
        counts = np.round(counts / header.scale)  # fabio has applied the factor of this version already
    notes = check_counts(counts, header)
    top_first = rows_from_top(counts, header)
    geometry = header.geometry(top_first=top_first)
    octagon = bruker_mask(header, (rows, columns))
    full = header.numbers("CCDPARM")
    return Content(
        counts=counts * header.scale,
        masked=octagon[::-1] if top_first else octagon,
        saturation=full[4] * header.scale if len(full) > 4 and full[4] > 0 else None,
        exposure_s=header.exposure_s,
        geometry=geometry,
        emission_lines=header.emission_lines,
        anode=header.values.get("TARGET", "").strip(),
        metadata=header.facts,
        messages=(*notes, *(header.notes() if geometry else ())),
    )


def _judged(content: Content, source: Source, file: str) -> Frame:
    def refusal(reason: str, hint: str) -> ReadError:
        return ReadError(reason, file=file, format_id=source.format, hint=hint)

    counts = content.counts
    finite = np.isfinite(counts)
    with np.errstate(invalid="ignore"):
        bad = ~finite | (counts < 0)
        high = finite & (counts > MAX_COUNTS)
    if content.saturation is not None:
        bad |= finite & (counts >= content.saturation)
        high &= ~bad
    masked = bad if content.masked is None else bad | content.masked
    if (high & ~masked).any():
        msg = f"a pixel holds {counts[high].max():g} counts"
        raise refusal(msg, f"No detector counts beyond {MAX_COUNTS:g}; copy the frame again.")
    if bad.mean() > NEGATIVE_SHARE:
        msg = f"{100 * bad.mean():.0f} % of the pixels are negative, saturated or no numbers"
        raise refusal(msg, "Measure again with less exposure, or export counts without subtraction.")
    counts = np.where(finite, counts, 0.0)
    if not (counts[~masked] > 0).any():
        msg = "all pixels are zero"
        raise refusal(msg, "The shutter was closed or the frame was not saved; measure again.")
    notes = list(content.messages)
    masked |= _gaps(counts)
    if content.geometry is not None:
        check_header_geometry(content.geometry, file=file, format_id=source.format)
    dispersion = _dispersion(counts, masked)
    notes += _noise_note(dispersion, source.file)
    counts.setflags(write=False)
    masked.setflags(write=False)
    return Frame(
        counts=counts,
        masked=masked,
        exposure_s=content.exposure_s,
        geometry=content.geometry,
        emission_lines=content.emission_lines,
        anode=content.anode,
        dispersion=dispersion,
        metadata=content.metadata,
        source=source,
        messages=tuple(notes),
    )


def _gaps(counts: FloatArray) -> BoolArray:
    """Whole rows and columns of zeros: gaps between the modules of a detector, or dead lines."""
    rows, columns = (counts == 0).all(axis=1), (counts == 0).all(axis=0)
    gaps: BoolArray = rows[:, None] | columns[None, :]
    return gaps


def _dispersion(counts: FloatArray, masked: BoolArray) -> float | None:
    """Variance over mean of second differences along rows, median over blocks: smooth slopes cancel."""
    rows, columns = counts.shape
    left, middle, right = counts[:, :-2], counts[:, 1:-1], counts[:, 2:]
    usable = ~(masked[:, :-2] | masked[:, 1:-1] | masked[:, 2:])
    square = np.where(usable, (left - 2.0 * middle + right) ** 2, 0.0)
    mean = np.where(usable, left + 4.0 * middle + right, 0.0)
    tall, wide = rows // TILE, (columns - 2) // TILE
    if tall == 0 or wide == 0:
        return None

    def blocks(values: FloatArray) -> FloatArray:
        cut = values[: tall * TILE, : wide * TILE].reshape(tall, TILE, wide, TILE)
        total: FloatArray = cut.sum(axis=(1, 3))
        return total

    squares, means = blocks(square), blocks(mean)
    counted = means > 6.0 * DISPERSION_COUNTS * TILE**2 / 2
    if counted.sum() < 10:
        return None
    return float(np.median(squares[counted] / means[counted]))


def _noise_note(dispersion: float | None, name: str) -> list[Diagnostic]:
    if dispersion is None or DISPERSION_BAND[0] <= dispersion <= DISPERSION_BAND[1]:
        return []
    text = f"{name}: neighbouring pixels scatter with {dispersion:.2f} times the variance of counting. "
    if dispersion < 1.0:
        text += (
            "The image was smoothed or resampled, or a photon spreads over several pixels: neighbouring points of "
            "the pattern are not independent, and errors of fitted parameters come out too small."
        )
    else:
        text += (
            "One photon gives more than one unit, or rings are grainy: standard deviations from counting are too "
            f"small by a factor of up to {np.sqrt(dispersion):.2f}. Compare the goodness of fit with one."
        )
    facts: dict[str, str | float | int | bool] = {"variance_over_mean": dispersion}
    return [Diagnostic(code="FRAME_NOT_POISSON", severity="info", text=text, facts=facts)]


# ------------ Mask files: any frame format or NumPy's ``.npy``; nonzero pixels are not used.

NPY_START = b"\x93NUMPY"


def read_mask(
    mask: str | os.PathLike[str] | np.ndarray[Any, Any], shape: tuple[int, int]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Mask as a boolean array, True where a pixel must not be used.

    Parameters
    ----------
    mask : path or array
        ``.npy``, TIFF, EDF or CBF of the frame's shape, nonzero where pixels are not to be used.
    shape : (rows, columns)
        Of the frame.

    Raises
    ------
    ReadError
        The file cannot be read.
    AnalysisError
        It has another shape than the frame.
    """
    if isinstance(mask, np.ndarray):
        values, name = mask, "mask"
    else:
        source = open_source(mask)
        values, name = _values(source), source.name
    if values.shape != shape:
        msg = f"{name}: the mask has {values.shape} pixels, the frame {shape}. Draw it on a frame of this detector."
        raise AnalysisError(msg)
    masked: np.ndarray[Any, np.dtype[np.bool_]] = np.asarray(values) != 0
    return masked


def _values(source: SourceFile) -> np.ndarray[Any, Any]:
    if source.data.startswith(NPY_START):
        try:
            values = np.load(io.BytesIO(source.data), allow_pickle=False)
        except (ValueError, EOFError, OSError) as problem:
            msg = f"the mask cannot be decoded ({problem})"
            raise source.error(msg, hint="Save it again with numpy.save.") from problem
        if values.size > MAX_PIXELS or values.ndim != 2:
            msg = f"the mask has shape {values.shape}"
            raise source.error(msg, expected="two dimensions")
        found: np.ndarray[Any, Any] = values
        return found
    formats = {"tiff": read_tiff, "edf": read_edf, "cbf": read_cbf}
    best = recognise(source)[:1]
    if not best or best[0][1].id not in formats:
        msg = "this is no mask"
        raise source.error(
            msg, expected="NumPy .npy, TIFF, EDF or CBF, nonzero where pixels are not to be used"
        )
    return formats[best[0][1].id](source).counts
