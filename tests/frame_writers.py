"""Simulated frames of area detectors, written from the formats' descriptions; shares no code with the readers.

A `Scene` is a powder in front of a detector; its angles follow from plain trigonometry here, while the package
takes them from pyFAI.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
RINGS = ((14.0, 40.0), (20.0, 90.0), (27.0, 60.0))
RING_WIDTH = 0.25
BACKGROUND = 20.0


@dataclass(frozen=True)
class Scene:
    """Detector (mm, degrees) and powder. Rows are counted from the top, as stored."""

    rows: int = 240
    columns: int = 240
    distance: float = 80.0
    pixel: float = 0.3
    center_column: float = 118.0
    center_row: float = 122.0
    swing: float = 0.0
    radius_step: float = 0.0  # degrees per column of a cylinder; 0: flat
    column_start: float = 0.0
    seconds: float = 10.0
    amplitude: float = 0.0  # second harmonic of the ring at 20 degrees
    direction: float = 0.0
    rate: float = 1.0

    def angles(self) -> tuple[Array, Array, Array]:
        """2θ and azimuth in degrees, solid angle relative to a pixel that faces the specimen."""
        row, column = np.mgrid[: self.rows, : self.columns] + 0.5
        y = (row - self.center_row) * self.pixel
        if self.radius_step:
            angle = np.radians(self.column_start + column * self.radius_step)
            x, z = self.distance * np.sin(angle), self.distance * np.cos(angle)
            solid = (self.distance / np.hypot(self.distance, y)) ** 3
        else:
            across = (column - self.center_column) * self.pixel
            turn = np.radians(self.swing)
            x = across * np.cos(turn) + self.distance * np.sin(turn)
            z = -across * np.sin(turn) + self.distance * np.cos(turn)
            solid = (self.distance**2 / (self.distance**2 + across**2 + y**2)) ** 1.5
        two_theta = np.degrees(np.arctan2(np.hypot(x, y), z))
        return two_theta, np.degrees(np.arctan2(y, x)), solid

    def rate_at(self, two_theta: Array, azimuth: Array | float = 0.0) -> Array:
        """Counts per second of a pixel that faces the specimen."""
        rate = np.full_like(two_theta, BACKGROUND)
        for centre, height in RINGS:
            texture: Array | float = 1.0
            if centre == 20.0:
                texture = 1.0 + self.amplitude * np.cos(2.0 * np.radians(azimuth - self.direction))
            rate = rate + texture * height * np.exp(-0.5 * ((two_theta - centre) / RING_WIDTH) ** 2)
        scaled: Array = self.rate * rate
        return scaled

    def expected(self) -> Array:
        """Mean counts of every pixel."""
        two_theta, azimuth, solid = self.angles()
        mean: Array = self.rate_at(two_theta, azimuth) * solid * self.seconds
        return mean

    def counts(self, seed: int = 3) -> Counts:
        """Poisson counts."""
        return np.random.default_rng(seed).poisson(self.expected())

    def but(self, **changes: float) -> Scene:
        """Copy with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]  # fields are all numbers


def poni(scene: Scene, *, wavelength: float = 1.5406, orientation: int = 3) -> str:
    """PONI file of a flat scene."""
    pixel = scene.pixel * 1e-3
    config = f'{{"pixel1": {pixel}, "pixel2": {pixel}, "max_shape": null, "orientation": {orientation}}}'
    return (
        "poni_version: 2.1\nDetector: Detector\n"
        f"Detector_config: {config}\n"
        f"Distance: {scene.distance * 1e-3}\nPoni1: {scene.center_row * pixel}\n"
        f"Poni2: {scene.center_column * pixel}\nRot1: {np.radians(scene.swing)}\nRot2: 0.0\nRot3: 0.0\n"
        f"Wavelength: {wavelength * 1e-10}\n"
    )


def bruker(scene: Scene, counts: Counts, *, bottom_first: bool = False, **header: str) -> bytes:
    """Bruker frame, format 100, with 1-byte pixels and overflow table."""
    small = np.minimum(counts, 255).astype(np.uint8)
    large = counts[small == 255]
    place = np.unravel_index(int(counts.argmax()), counts.shape)
    y = int(place[0]) if bottom_first else scene.rows - 1 - int(place[0])
    center_y = scene.center_row if bottom_first else scene.rows - scene.center_row
    values = {
        "FORMAT": "100", "VERSION": "18", "HDRBLKS": "15", "TYPE": "STILL FRAME", "SAMPLE": "powder",
        "NCOUNTS": f"{int(counts.sum())} 0", "NOVERFL": f"-1 {len(large)} 0", "MINIMUM": f"{counts.min()}",
        "MAXIMUM": f"{counts.max()}", "MAXXY": f"{float(place[1])} {float(y)}", "ELAPSDA": f"{scene.seconds}",
        "ANGLES": f"{-scene.swing % 360} 0 0 0", "ENDING": f"{-scene.swing % 360} 0 0 0", "RANGE": "0.0",
        "NPIXELB": "1 1", "NROWS": f"{scene.rows} 1", "NCOLS": f"{scene.columns} 1", "TARGET": "Cu",
        "CENTER": f"{scene.center_column} {center_y}", "DISTANC": f"{scene.distance / 10} {scene.distance / 10}",
        "WAVELEN": "1.5418 1.5406 1.54439 1.39222", "LINEAR": "1.0 0.0", "NEXP": "1 0 0 0 0",
        "DETTYPE": f"MULTIWIRE {512 / (scene.rows * scene.pixel / 10):.7f} 0 0",
    } | header  # fmt: skip
    if scene.radius_step:
        end = scene.column_start + scene.columns * scene.radius_step
        values |= {"TYPE": "CYLINDER STILL FRAME", "RANGE": f"{scene.radius_step}"}
        values |= {"ANGLES": f"{scene.column_start} 0 0 0", "ENDING": f"{end} 0 0 0"} | header
    lines = "".join(f"{key:<7}:{value}".ljust(80) for key, value in values.items())
    table: bytes = large.astype("<u2").tobytes()
    table += b"\0" * (-len(table) % 16)
    pixels: bytes = small.tobytes()
    return lines.ljust(15 * 512, ".").encode() + pixels + table


def bruker86(scene: Scene, counts: Counts, *, factor: str = "1.0") -> bytes:
    """Bruker frame, format 86: 1-byte pixels, overflows as 9 characters of counts and 7 of position."""
    small = np.minimum(counts, 255).astype(np.uint8)
    places = np.flatnonzero(small.ravel() == 255)
    text = bruker(scene, counts, NPIXELB="1", NOVERFL=f"{len(places)}", LINEAR=f"{factor} 0.0", FORMAT="86")
    table = "".join(f"{int(counts.ravel()[place]):9d}{place:7d}" for place in places)
    return text[: 15 * 512] + small.tobytes() + table.encode()


def tiff(counts: npt.NDArray[np.generic], *, order: Literal["<", ">"] = "<") -> bytes:
    """Grey TIFF of one strip, 32-bit."""
    kind = {"i": 2, "u": 1, "f": 3}[counts.dtype.kind]
    pixels = counts.astype(counts.dtype.newbyteorder(order)).tobytes()
    rows, columns = counts.shape
    tags = [
        (256, 4, columns), (257, 4, rows), (258, 3, 8 * counts.dtype.itemsize), (259, 3, 1), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 4, rows), (279, 4, len(pixels)), (339, 3, kind),
    ]  # fmt: skip
    table = struct.pack(order + "H", len(tags))
    for tag, code, value in tags:
        packed = struct.pack(order + ("HH" if code == 3 else "I"), *((value, 0) if code == 3 else (value,)))
        table += struct.pack(order + "HHI", tag, code, 1) + packed
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HI", 42, 8 + len(pixels)) + pixels + table + b"\0\0\0\0"


def cbf(counts: Counts, *, header: str = "# Detector: SIMULATED") -> bytes:
    """CBF with byte-offset compression (1-, 2- and 4-byte steps) and the check sum of its pixels."""
    out = bytearray()
    for step in np.diff(counts.ravel(), prepend=0).tolist():
        if abs(step) < 128:
            out += struct.pack("<b", step)
        elif abs(step) < 32768:
            out += b"\x80" + struct.pack("<h", step)
        else:
            out += b"\x80" + struct.pack("<h", -32768) + struct.pack("<i", step)
    digest = base64.b64encode(hashlib.md5(bytes(out), usedforsecurity=False).digest()).decode()
    rows, columns = counts.shape
    text = (
        '###CBF: VERSION 1.5\r\n\r\ndata_frame\r\n\r\n_array_data.header_convention "PILATUS_1.2"\r\n'
        f"_array_data.header_contents\r\n;\r\n{header}\r\n;\r\n\r\n_array_data.data\r\n;\r\n"
        "--CIF-BINARY-FORMAT-SECTION--\r\nContent-Type: application/octet-stream;\r\n"
        '     conversions="x-CBF_BYTE_OFFSET"\r\nContent-Transfer-Encoding: BINARY\r\n'
        f"X-Binary-Size: {len(out)}\r\nX-Binary-ID: 1\r\n"
        'X-Binary-Element-Type: "signed 32-bit integer"\r\nX-Binary-Element-Byte-Order: LITTLE_ENDIAN\r\n'
        f"Content-MD5: {digest}\r\nX-Binary-Number-of-Elements: {rows * columns}\r\n"
        f"X-Binary-Size-Fastest-Dimension: {columns}\r\nX-Binary-Size-Second-Dimension: {rows}\r\n"
        "X-Binary-Size-Padding: 16\r\n\r\n"
    )
    end = b"\0" * 16 + b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n"
    return text.encode() + b"\x0c\x1a\x04\xd5" + bytes(out) + end


def dectris_header(scene: Scene) -> str:
    """Text header of a Dectris detector, flat and not swung."""
    return "\r\n".join((
        "# Detector: SIMULATED", f"# Pixel_size {scene.pixel * 1e-3:.6e} m x {scene.pixel * 1e-3:.6e} m",
        f"# Exposure_time {scene.seconds:.7f} s", "# Count_cutoff 100000 counts", "# Wavelength 1.5406 A",
        f"# Detector_distance {scene.distance * 1e-3:.6f} m",
        f"# Beam_xy ({scene.center_column:.2f}, {scene.center_row:.2f}) pixels", "# Detector_2theta 0.0000 deg.",
    ))  # fmt: skip


def edf(counts: Counts, *, seconds: float | None = None) -> bytes:
    """EDF with 32-bit whole numbers."""
    rows, columns = counts.shape
    time = "" if seconds is None else f"count_time = {seconds} ;\n"
    head = (
        "{\nHeaderID = EH:000001:000000:000000 ;\nImage = 1 ;\nByteOrder = LowByteFirst ;\n"
        f"DataType = SignedInteger ;\nDim_1 = {columns} ;\nDim_2 = {rows} ;\nSize = {rows * columns * 4} ;\n{time}"
    )
    return (head.ljust(1022) + "}\n").encode() + counts.astype("<i4").tobytes()
