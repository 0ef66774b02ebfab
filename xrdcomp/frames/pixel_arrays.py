"""TIFF, CBF and EDF frames: sizes checked before fabio decodes them, facts of their headers."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.errors import MissingExtraError
from xrdcomp.frames.extra import require
from xrdcomp.frames.geometry import FrameGeometry
from xrdcomp.readers.source import SourceFile
from xrdcomp.types import Diagnostic, EmissionLine, FloatArray

__all__ = ["MAX_PIXELS", "Content", "decode", "read_cbf", "read_edf", "read_tiff"]

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
    diagnostics: tuple[Diagnostic, ...] = ()


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
