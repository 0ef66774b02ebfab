"""Eiger and other NeXus frames in HDF5: all images of a run summed, geometry of the master file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.frames.extra import require
from xrdcomp.frames.geometry import FrameGeometry
from xrdcomp.frames.pixel_arrays import MAX_PIXELS, Content
from xrdcomp.types import EmissionLine, Source

__all__ = ["read_eiger"]

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
