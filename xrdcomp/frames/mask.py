"""Mask files: any frame format or NumPy's ``.npy``; nonzero pixels are not used."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.frames.pixel_arrays import MAX_PIXELS, read_cbf, read_edf, read_tiff
from xrdcomp.readers.registry import recognise
from xrdcomp.readers.source import SourceFile, open_source

__all__ = ["read_mask"]

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
