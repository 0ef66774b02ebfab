"""Safe access to zip archives, XML, lists of numbers and binary fields.

Every size is limited before memory is allocated, every offset is checked against the length, and errors are reported
with their place.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Literal
from xml.etree.ElementTree import Element, ParseError

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.io.scans import MAX_POINTS, stated_wavelength
from xrdcomp.io.source import MAX_EXPANDED_BYTES, SourceFile
from xrdcomp.io.text_table import has_other
from xrdcomp.units import FloatArray

MAX_MEMBERS = 5000
MAX_RATIO = 400
"""Largest growth of one member; XML of 20 000 points grows fifteenfold, a bomb more than a thousandfold."""
_RATIO_FREE_BYTES = 2**20
MAX_ELEMENTS = 1_500_000
MAX_NUMBERS = 3_000_000
"""Bounds on memory: an element costs some hundred bytes, a number seventy-five while it is text."""
_COPY_AGAIN = "The file was cut off or is damaged; copy it again from the instrument."


def is_zip(source: SourceFile) -> bool:
    """True where the content begins like a zip archive."""
    return source.data[:4] == b"PK\x03\x04"


def read_members(source: SourceFile, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Content of the members that `wanted` accepts by name, in the order of the archive.

    These are refused: broken archives and checksums, encrypted members, names that are absolute or lead out of the
    folder, too many members, and members that expand too far.
    """
    content: dict[str, bytes] = {}
    room = MAX_EXPANDED_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_MEMBERS:
                raise ReadError(f"the archive holds {len(infos)} members", expected=f"up to {MAX_MEMBERS}")
            for info in infos:
                name, size, packed = info.filename, info.file_size, info.compress_size
                parts = PurePosixPath(name.replace("\\", "/")).parts
                if name.startswith(("/", "\\")) or ".." in parts or ":" in name or "\x00" in name:
                    msg = f"the member {name[:80]!r} points outside the archive"
                    raise ReadError(msg, expected="plain relative names", hint="Do not open this file elsewhere.")
                if info.is_dir() or not wanted(name):
                    continue
                if name in content:
                    hint = "Unpack the archive and keep the measurement that is meant."
                    raise ReadError("the archive holds this member twice", name, "every name once", hint)
                if info.flag_bits & 1:
                    raise ReadError("the member is encrypted", name, "an archive without password")
                if size > room or (size > MAX_RATIO * max(packed, 1) and size > _RATIO_FREE_BYTES):
                    msg = f"the member declares {size} bytes from {packed}"
                    raise ReadError(msg, name, f"at most {room} bytes and {MAX_RATIO}-fold growth")
                with archive.open(info) as stream:
                    data = stream.read(size + 1)
                if len(data) != size:
                    msg = f"the member has {len(data)} bytes where the directory declares {size}"
                    raise ReadError(msg, name, "both alike")
                room -= size
                content[name] = data
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError,
    ) as problem:  # fmt: skip
        msg = f"the archive is broken: {problem}"
        raise ReadError(msg, expected="an intact zip archive", hint=_COPY_AGAIN) from problem
    return content


def parse_xml(data: bytes, member: str = "") -> Element:
    """Parse bytes; `member` names the part of an archive they come from.

    XML that is not well-formed (a cut or damaged file) is refused, and so is a document type, which no instrument
    writes.
    """
    if data[:2] not in (b"\xff\xfe", b"\xfe\xff"):  # what a copy puts before and behind
        data = data.lstrip(b"\r\n\t ").rstrip(b"\x00\x1a\r\n\t ")
    elements = data.count(b"<")
    if elements > MAX_ELEMENTS:
        raise ReadError(f"{elements} XML tags", member, f"up to {MAX_ELEMENTS}")
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except ParseError as problem:
        line, column = problem.position
        place = ", ".join(part for part in (member, f"line {line}, column {column + 1}") if part)
        msg = f"the XML is broken: {str(problem).split(':')[0]}"
        raise ReadError(msg, place=place, expected="well-formed XML", hint=_COPY_AGAIN) from problem
    except DefusedXmlException as problem:
        msg = "the XML declares a document type or entities, which no instrument writes"
        raise ReadError(msg, member, "plain XML") from problem
    return root


def text_of(parent: Element | None, path: str) -> str:
    """Text of the first element at a path in any namespace, "" where there is none."""
    if parent is None:
        return ""
    return (parent.findtext("/".join(f"{{*}}{step}" for step in path.split("/"))) or "").strip()


class Header(dict[str, str]):
    """Texts of a header by key; empty for a key that is missing."""

    def __missing__(self, key: str) -> str:
        return ""

    def number(self, key: str) -> float | None:
        """The number under a key, or None."""
        return number(self[key])

    def wavelength(self, key: str) -> float | None:
        """Wavelength under a key in the file's unit, None without a text, NaN for a text that is no number."""
        return stated_wavelength(self[key])

    def facts(self, **keys: str) -> dict[str, str | float | int | bool]:
        """Facts by name, each from its key; empty ones are left out."""
        return stated(**{name: self[key] for name, key in keys.items()})


def stated(**facts: str | float | int | bool | None) -> dict[str, str | float | int | bool]:
    """Facts that a file states, without those that are None or an empty text."""
    return {name: fact for name, fact in facts.items() if fact is not None and fact != ""}


def number(text: str) -> float | None:
    """A finite number, or None if the text is not a number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


_NOT_NUMBERS = re.compile(r"[^-+.\deE\s]")


def number_list(text: str, place: str, *, separator: str = "") -> FloatArray:
    """Numbers separated by blanks (or `separator`); the error names the first text that is not a number."""
    body = text.replace(separator, " ") if separator else text
    if sum(map(body.count, " \n\t")) > MAX_NUMBERS:
        raise ReadError("the list of numbers is too long", place, f"up to {MAX_NUMBERS}")
    wrong = _NOT_NUMBERS.search(body) if has_other(body) else None
    try:
        if wrong is None:
            return np.array(list(map(float, body.split())), dtype=np.float64)
        msg = f"{body[max(0, wrong.start() - 10) : wrong.start() + 10]!r} is not a list of numbers"
    except ValueError as problem:
        msg = str(problem)
    raise ReadError(msg, place, "numbers separated by blanks")


class Fields:
    """Little-endian fields of a binary file by offset."""

    def __init__(self, source: SourceFile) -> None:
        self.data = source.data

    def need(self, offset: int, length: int, what: str) -> None:
        """Refuse a file that ends before ``offset + length``."""
        if offset < 0 or length < 0 or offset + length > len(self.data):
            msg = f"{what} needs bytes {offset} to {offset + length}, the file has {len(self.data)}"
            raise ReadError(msg, f"byte {offset:#x}", "a complete file", _COPY_AGAIN)

    def within(self, kind: Literal["u16", "u32"], offset: int, low: int, high: int, what: str) -> int:
        """Unsigned integer that must lie in a range."""
        value: int = getattr(self, kind)(offset)
        if not low <= value <= high:
            raise ReadError(f"{value} {what}", f"byte {offset:#x}", f"{low} to {high}", _COPY_AGAIN)
        return value

    def u16(self, offset: int) -> int:
        """Unsigned 16-bit integer."""
        return int(self._unpack("<H", offset))

    def u32(self, offset: int) -> int:
        """Unsigned 32-bit integer."""
        return int(self._unpack("<I", offset))

    def f32(self, offset: int) -> float:
        """Shortest decimal of a single-precision number: 0.02, not 0.0199999996."""
        return self._unpack("<f", offset)

    def f64(self, offset: int) -> float:
        """Double-precision number, in its shortest decimal where it was in single precision before."""
        return self._unpack("<d", offset)

    def _unpack(self, code: str, offset: int) -> float:
        self.need(offset, struct.calcsize(code), "a number")
        value: float = struct.unpack_from(code, self.data, offset)[0]
        single = np.float32(value) if abs(value) <= 3e38 else np.float32(0)
        return float(str(single)) if isinstance(value, float) and float(single) == value else value

    def text(self, offset: int, length: int) -> str:
        """Text up to its first zero byte, without blanks around it."""
        self.need(offset, length, "a text")
        raw = self.data[offset : offset + length].split(b"\x00", 1)[0]
        return raw.decode("cp1252", errors="replace").strip()

    def points(self, offset: int, n: int, stride: int, what: str) -> FloatArray:
        """Single-precision numbers at the beginning of `n` records of `stride` bytes."""
        if not 0 < n <= MAX_POINTS or stride < 4:
            msg = f"{what} declares {n} points of {stride} bytes"
            raise ReadError(msg, expected=f"1 to {MAX_POINTS} points", hint="The file is damaged.")
        self.need(offset, n * stride, what)
        records = np.frombuffer(self.data, dtype=np.uint8, count=n * stride, offset=offset).reshape(n, stride)
        values: FloatArray = np.ascontiguousarray(records[:, :4]).view("<f4")[:, 0].astype(np.float64)
        return values
