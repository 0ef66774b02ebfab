"""Bruker frames (GFRM, SFRM): what their header says of size, checks and geometry.

The header is lines of 80 characters, ``KEY    :value``, in blocks of 512 bytes. Facts used here:

- ``DISTANC`` holds the distance to the detector's grid and, second, to its sensitive plane, in cm. Rings of
  CeO2 fit the second.
- ``DETTYPE`` holds the pixels per cm of a frame of 512 rows; the pitch is 512 / (rows × that).
- ``CENTER`` counts columns from the left and rows from the bottom, while the first row stored is the top one;
  ``MAXXY`` (the place of the strongest pixel) tells for each frame.
- The first of ``ANGLES`` is the swing; a positive one moves a flat detector towards lower columns.
- ``CYLINDER`` in ``TYPE``: the frame was put together from a scan of the swing on a cylinder; its columns are
  steps of ``RANGE`` degrees from the first of ``ANGLES`` to the first of ``ENDING``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xrdcomp.frames.geometry import FrameGeometry
from xrdcomp.readers.source import SourceFile
from xrdcomp.types import Diagnostic, EmissionLine, FloatArray

__all__ = ["BrukerHeader", "bruker_mask", "check_counts", "rows_from_top"]

FORMAT_ID = "gfrm"
BLOCK, LINE = 512, 80
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
        self.size = blocks * BLOCK

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
            return (EmissionLine(wavelength=stated[1]), EmissionLine(wavelength=stated[2], weight=0.5))
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
    text = data[: blocks * BLOCK].decode("latin-1")
    values: dict[str, str] = {}
    for start in range(0, len(text) - 8, LINE):
        key, colon, value = text[start : start + 8].partition(":")
        key = key.strip()
        if colon and key:
            value = (value + text[start + 8 : start + LINE]).strip()
            values[key] = f"{values[key]} {value}" if values.get(key) else value
    return values
