"""Where each pixel looks: scattering angle, azimuth and solid angle, from a header or a PONI file.

The formulae of the detector's position are pyFAI's (Ashiotis et al. 2015, J. Appl. Cryst. 48, 510).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from xrdcomp.errors import AnalysisError, ReadError
from xrdcomp.frames.extra import require
from xrdcomp.readers.source import open_source
from xrdcomp.types import FloatArray

__all__ = ["FrameGeometry", "PixelMap", "Sector", "load_poni", "pixel_map"]

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
