"""One frame from a file: counts, mask, what the header says of geometry and exposure; damaged ones refused."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.frames.bruker import BrukerHeader, bruker_mask, check_counts, rows_from_top
from xrdcomp.frames.geometry import FrameGeometry, check_header_geometry
from xrdcomp.frames.pixel_arrays import Content, decode, read_cbf, read_edf, read_tiff
from xrdcomp.readers.registry import recognise
from xrdcomp.readers.source import SourceFile, open_source
from xrdcomp.types import Diagnostic, EmissionLine, FloatArray, Metadata, Source

__all__ = ["BoolArray", "Frame", "describe_frame", "read_frame"]

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]
MAX_COUNTS = 2.0**40
"""No pixel of a counting or integrating detector holds more; beyond is damage."""
NEGATIVE_SHARE = 0.5
BLOCK = 16
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
    diagnostics : tuple of Diagnostic
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
    diagnostics: tuple[Diagnostic, ...] = ()

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
        from xrdcomp.frames.eiger import read_eiger

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
        "warnings": [note.text for note in frame.diagnostics],
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
        diagnostics=(*notes, *(header.notes() if geometry else ())),
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
    notes = list(content.diagnostics)
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
        diagnostics=tuple(notes),
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
    tall, wide = rows // BLOCK, (columns - 2) // BLOCK
    if tall == 0 or wide == 0:
        return None

    def blocks(values: FloatArray) -> FloatArray:
        cut = values[: tall * BLOCK, : wide * BLOCK].reshape(tall, BLOCK, wide, BLOCK)
        total: FloatArray = cut.sum(axis=(1, 3))
        return total

    squares, means = blocks(square), blocks(mean)
    counted = means > 6.0 * DISPERSION_COUNTS * BLOCK**2 / 2
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
