"""Reading fields out of binary files: every access is checked against the length, every text is decoded."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine
from xrdcomp.io.scans import MAX_POINTS
from xrdcomp.io.source import MAX_EXPANDED_BYTES, SourceFile
from xrdcomp.io.text_table import has_other
from xrdcomp.units import FloatArray

# ------------ Zip archives without their dangers: names that leave the folder, members that explode,
# checksums that fail.

MAX_MEMBERS = 5000
MAX_RATIO = 400
"""Largest growth of one member; XML of 20 000 points grows fifteenfold, a bomb more than a thousandfold."""
_RATIO_FREE_BYTES = 2**20


def is_zip(source: SourceFile) -> bool:
    """Whether the content begins like a zip archive."""
    return source.data[:4] == b"PK\x03\x04"


def read_members(source: SourceFile, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Content of the members that `wanted` accepts by name, in the order of the archive.

    Raises
    ------
    ReadError
        Broken archive or checksum, encrypted members, names that are absolute or climb out of the folder,
        too many members or members that grow too far.
    """
    hint = "The file is cut or damaged; copy it again from the instrument."
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            return _read(source, archive, wanted)
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError,
    ) as problem:  # fmt: skip
        msg = f"the archive is broken: {problem}"
        raise source.error(msg, expected="an intact zip archive", hint=hint) from problem


def _read(source: SourceFile, archive: zipfile.ZipFile, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        msg = f"the archive holds {len(infos)} members"
        raise source.error(msg, expected=f"up to {MAX_MEMBERS}")
    content: dict[str, bytes] = {}
    room = MAX_EXPANDED_BYTES
    for info in infos:
        name = info.filename
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if name.startswith(("/", "\\")) or ".." in parts or ":" in name or "\x00" in name:
            msg = f"the member {name[:80]!r} points outside the archive"
            raise source.error(msg, expected="plain relative names", hint="Do not open this file elsewhere.")
        if info.is_dir() or not wanted(name):
            continue
        if info.flag_bits & 1:
            raise source.error("the member is encrypted", place=name, expected="an archive without password")
        grown = info.file_size > MAX_RATIO * max(info.compress_size, 1) and info.file_size > _RATIO_FREE_BYTES
        if info.file_size > room or grown:
            msg = f"the member declares {info.file_size} bytes from {info.compress_size}"
            raise source.error(msg, place=name, expected=f"at most {room} bytes and {MAX_RATIO}-fold growth")
        with archive.open(info) as stream:
            data = stream.read(info.file_size + 1)
        if len(data) != info.file_size:
            msg = f"the member has {len(data)} bytes where the directory declares {info.file_size}"
            raise source.error(msg, place=name, expected="both alike")
        room -= len(data)
        content[name] = data
    return content


# ------------ XML without its dangers: no entities, no external parts, errors with line and column.

_NOT_NUMBERS = re.compile(r"[^-+.\deE\s]")


MAX_ELEMENTS = 1_500_000
MAX_NUMBERS = 3_000_000
"""Bounds on memory: an element costs some hundred bytes, a number seventy-five while it is text."""


def parse_xml(source: SourceFile, data: bytes, member: str = "") -> Element:
    """Parse bytes; `member` names the part of an archive they come from.

    Raises
    ------
    ReadError
        Not well-formed (a cut or damaged file), or with a document type, which no instrument writes.
    """
    elements = data.count(b"<")
    if elements > MAX_ELEMENTS:
        raise source.error(f"{elements} XML tags", place=member, expected=f"up to {MAX_ELEMENTS}")
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except ParseError as problem:
        line, column = problem.position
        place = ", ".join(part for part in (member, f"line {line}, column {column + 1}") if part)
        msg = f"the XML is broken: {str(problem).split(':')[0]}"
        hint = "The file is cut or damaged; copy it again from the instrument."
        raise source.error(msg, place=place, expected="well-formed XML", hint=hint) from problem
    except DefusedXmlException as problem:
        msg = "the XML declares a document type or entities, which no instrument writes"
        raise source.error(msg, place=member, expected="plain XML") from problem
    return root


def local(element: Element) -> str:
    """Tag without its namespace."""
    return str(element.tag).rpartition("}")[2]


def text_of(parent: Element | None, path: str) -> str:
    """Text of the first element at a path, "" where there is none; ``{*}`` is added to every step."""
    if parent is None:
        return ""
    found = parent.find(
        "/".join(f"{{*}}{step}" if step not in {".", ".."} else step for step in path.split("/"))
    )
    return (found.text or "").strip() if found is not None else ""


def children(parent: Element, *names: str) -> Iterator[Element]:
    """Direct children with one of these local names."""
    return (child for child in parent if local(child) in names)


def number(text: str) -> float | None:
    """A number, or None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in text else None


def number_list(text: str, source: SourceFile, place: str, *, separator: str = "") -> FloatArray:
    """Numbers separated by blanks (or `separator`); the first that is none is named.

    Raises
    ------
    ReadError
        Something between the numbers is none.
    """
    body = text.replace(separator, " ") if separator else text
    if body.count(" ") + body.count("\n") + body.count("\t") > MAX_NUMBERS:
        raise source.error("the list of numbers is too long", place=place, expected=f"up to {MAX_NUMBERS}")
    wrong = _NOT_NUMBERS.search(body) if has_other(body) else None
    if wrong is None:
        try:
            return np.array(list(map(float, body.split())), dtype=np.float64)
        except ValueError as problem:
            raise source.error(str(problem), place=place, expected="numbers separated by blanks") from problem
    msg = f"{body[max(0, wrong.start() - 10) : wrong.start() + 10]!r} is not a list of numbers"
    raise source.error(msg, place=place, expected="numbers separated by blanks")


# ------------ Reading fields out of binary files: every access is checked against the length, every text is
# decoded.


class Fields:
    """Little-endian fields of a file by offset."""

    def __init__(self, source: SourceFile) -> None:
        self.source, self.data = source, source.data

    def need(self, offset: int, length: int, what: str) -> None:
        """Refuse a file that ends before ``offset + length``."""
        if offset < 0 or length < 0 or offset + length > len(self.data):
            msg = f"{what} needs bytes {offset} to {offset + length}, the file has {len(self.data)}"
            hint = "The file is cut or its sizes are damaged; copy it again from the instrument."
            raise self.source.error(msg, place=f"byte {offset:#x}", expected="a complete file", hint=hint)

    def u16(self, offset: int) -> int:
        """Unsigned 16-bit integer."""
        self.need(offset, 2, "a number")
        return int(struct.unpack_from("<H", self.data, offset)[0])

    def u32(self, offset: int) -> int:
        """Unsigned 32-bit integer."""
        self.need(offset, 4, "a number")
        return int(struct.unpack_from("<I", self.data, offset)[0])

    def f32(self, offset: int) -> float:
        """Single-precision number as its shortest decimal: 0.02, not 0.0199999996."""
        self.need(offset, 4, "a number")
        return tidy(struct.unpack_from("<f", self.data, offset)[0])

    def f64(self, offset: int) -> float:
        """Double-precision number."""
        self.need(offset, 8, "a number")
        return tidy(struct.unpack_from("<d", self.data, offset)[0])

    def text(self, offset: int, length: int) -> str:
        """Text up to its first zero byte, without blanks around it."""
        self.need(offset, length, "a text")
        raw = self.data[offset : offset + length].split(b"\x00", 1)[0]
        return raw.decode("cp1252", errors="replace").strip()

    def points(self, offset: int, n: int, stride: int, what: str) -> FloatArray:
        """Single-precision numbers at the beginning of `n` records of `stride` bytes."""
        if not 0 < n <= MAX_POINTS or stride < 4:
            msg = f"{what} declares {n} points of {stride} bytes"
            raise self.source.error(msg, expected=f"1 to {MAX_POINTS} points", hint="The file is damaged.")
        self.need(offset, n * stride, what)
        records = np.frombuffer(self.data, dtype=np.uint8, count=n * stride, offset=offset).reshape(n, stride)
        values: FloatArray = np.ascontiguousarray(records[:, :4]).view("<f4")[:, 0].astype(np.float64)
        return values


def tidy(value: float) -> float:
    """Shortest decimal of a number that was stored in single precision."""
    if value != value or abs(value) > 3e38 or float(np.float32(value)) != value:
        return float(value)
    return float(str(np.float32(value)))


def emission_lines(
    alpha1: float, alpha2: float, ratio: float, average: float = 0.0
) -> tuple[EmissionLine, ...]:
    """Lines from header fields; fields that are zero, undefined or absurd give no line."""
    if not 0.1 < alpha1 < 5.0:
        return (EmissionLine(wavelength=average),) if 0.1 < average < 5.0 else ()
    lines = [EmissionLine(wavelength=alpha1)]
    if 0.98 < alpha2 / alpha1 < 1.02 and alpha2 != alpha1 and 0.0 < ratio < 1.0:
        lines.append(EmissionLine(wavelength=alpha2, weight=ratio))
    return tuple(lines)


def odd_fractions(y: FloatArray, place: str) -> tuple[Diagnostic, ...]:
    """Note the few fractional values among whole counts: a flipped bit of a stored number looks like that."""
    if not np.isfinite(y).all() or len(y) < 20:
        return ()
    odd = np.flatnonzero(y != np.round(y))
    if not 0 < len(odd) <= max(3, 0.02 * len(y)):
        return ()
    i = int(odd[0])
    text = (
        f"{place}: {len(odd)} of {len(y)} counts are no whole numbers, the first {y[i]:.9g} at point {i}: "
        "the file may be damaged there; compare with another export"
    )
    return (Diagnostic(code="XRD_ODD_COUNTS", severity="warning", text=text, facts={"points": len(odd)}),)
