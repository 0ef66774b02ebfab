"""A file on disk as readers see it: its bytes, bounded, unpacked, hashed, and its text, decoded once.

Everything that could hurt is refused here, so that a reader never opens a path itself.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from xrdcomp.data import Source
from xrdcomp.disk import read_bytes
from xrdcomp.errors import ReadError, printable

MAX_FILE_BYTES = 64 * 2**20
"""Largest file that is opened: the largest instrument export known has 5 MB."""
MAX_EXPANDED_BYTES = 64 * 2**20
"""Largest size after unpacking gzip, bzip2 or all members of an archive together."""
MAX_LINES = 1_000_000
"""A bound on memory: a line costs some sixty bytes whatever it holds."""
HEAD_BYTES = 8192
"""Length of the beginning that sniffers look at."""

_CONTROL = bytes((*range(0x09), *range(0x0E, 0x20), 0x7F))
_WORDS = {
    "gb18030": "温度 质量 时间 重量 角度 强度",
    "big5": "溫度 質量 時間 重量 角度 強度",
    "cp949": "온도 질량 시간 무게 각도 강도",
    "euc-jp": "温度 質量 時間 重量 角度 強度",
    "cp1251": "емперат Масса масса Время время Вес Угол угол нтенсивн Темп Маса",
    "koi8-r": "емперат Масса масса Время время Угол угол нтенсивн",
    "cp866": "емперат Масса масса Время время Угол угол нтенсивн",
    "cp1253": "ερμοκρασ Χρόνος",
}
"""Names of columns that tell an encoding in which any bytes are letters."""
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CHUNK = 2**18


def _only_member(stream: IO[bytes]) -> IO[bytes]:
    with zipfile.ZipFile(stream) as archive:
        return archive.open(archive.namelist()[0])


_PACKED: dict[str, tuple[bytes, Callable[[IO[bytes]], Any]]] = {
    "gz": (rb"\x1f\x8b", gzip.open),
    "bz2": (rb"BZh[1-9]1AY&SY", bz2.open),
    "xz": (rb"\xfd7zXZ\x00", lzma.open),
    "zip": (rb"PK\x03\x04", _only_member),
}
"""Compressions that are undone, with how their streams begin and what opens them."""


def members(archive: bytes) -> list[str]:
    """Names of the files in a zip archive; none where it is broken."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return [info.filename for info in opened.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """The content of one file.

    `data` is the content after gzip, bzip2, xz or a zip of one file was undone, `sha256` that of the bytes on disk,
    `packed` is ``"gz"``, ``"bz2"``, ``"xz"``, ``"zip"`` or ``""``; `path` is as the user gave it. Whatever takes a path
    takes this too, and does not open the file again.
    """

    path: Path
    data: bytes = field(repr=False)
    sha256: str = ""
    packed: str = ""

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """File name without folders."""
        return self.path.name

    @property
    def suffix(self) -> str:
        """Lower-case suffix without the dot; of the inner file where it is packed (``a.xy.gz``: ``xy``)."""
        path = self.path.with_suffix("") if self.packed and self.path.suffix else self.path
        return path.suffix.lower().lstrip(".")

    @property
    def head(self) -> bytes:
        """The first `HEAD_BYTES` bytes."""
        return self.data[:HEAD_BYTES]

    @cached_property
    def head_text(self) -> str:
        """The head, decoded, with line feeds as line ends; empty where the content is binary."""
        return decode_text(self.head, cut=True)[0]

    @cached_property
    def text(self) -> str:
        """All of the content, decoded, with line feeds as line ends; binary content is a `ReadError`."""
        if self.data.startswith(_UTF16_MARKS) and len(self.data) % 2:
            msg = f"the text is in UTF-16 and its {len(self.data)} bytes end in half a character"
            raise self.error(msg, expected="two bytes for every character", hint="Copy the file again.")
        text, encoding = decode_text(self.data)
        if not encoding:
            msg = "the content is binary where text was expected"
            raise self.error(msg, expected="text in UTF-8, UTF-16, cp1252 or Shift-JIS")
        return text

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Lines of the text, `MAX_LINES` at most; line n of an error message is ``lines[n - 1]``."""
        count = self.text.count("\n")
        if count > MAX_LINES:
            raise self.error(f"the text has {count} lines", expected=f"up to {MAX_LINES}")
        return tuple(self.text.split("\n"))

    def error(
        self, reason: str, place: str = "", expected: str = "", hint: str = "", *, format_id: str = ""
    ) -> ReadError:
        """Make (not raise) the error that names this file."""
        return ReadError(reason, place, expected, hint, file=str(self.path), format_id=format_id)

    def record(self, format_id: str, sample_name: object = None) -> Source:
        """Provenance that travels with the measurement; `sample_name` is what the file calls its specimen."""
        name = printable(str(sample_name or "")).strip() or None
        return Source(file=printable(self.name), sha256=self.sha256, format=format_id, sample_name=name)


def open_source(path: str | os.PathLike[str]) -> SourceFile:
    """Read a regular file into memory, undoing gzip, bzip2, xz and a zip of one file by content.

    A `ReadError` names what is missing, a folder, a device or pipe, empty, unreadable, above
    `MAX_FILE_BYTES`, or a broken or exploding compressed stream. One that is open is given back.
    """
    if isinstance(path, SourceFile):
        return path
    given = Path(path)
    data = read_bytes(given, limit=MAX_FILE_BYTES)
    packed = next((name for name, (mark, _) in _PACKED.items() if re.match(mark, data)), "")
    if packed == "zip" and (len(names := members(data)) != 1 or re.search(r"[/\\:]", names[0])):  # formats have folders
        packed = ""
    content = _expand(data, packed, given) if packed else data
    return SourceFile(path=given, data=content, sha256=hashlib.sha256(data).hexdigest(), packed=packed)


def _expand(data: bytes, packed: str, path: Path) -> bytes:
    """Undo a compression, piece by piece so that a bomb is noticed while it grows."""
    parts: list[bytes] = []
    size = 0
    try:
        with _PACKED[packed][1](io.BytesIO(data)) as stream:
            while chunk := stream.read(_CHUNK):
                parts.append(chunk)
                size += len(chunk)
                if size > MAX_EXPANDED_BYTES:
                    msg = f"the {packed} stream grows beyond {MAX_EXPANDED_BYTES} bytes from {len(data)}"
                    raise ReadError(msg, file=str(path), expected="one compressed scan")
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, ValueError) as broken:
        msg = f"the {packed} stream is damaged: {broken}"
        raise ReadError(msg, file=str(path), hint="Copy the file again from the instrument.") from broken
    if not size:
        raise ReadError("the compressed file holds nothing", file=str(path), hint="Export it again.")
    return b"".join(parts)


def decode_text(data: bytes, *, cut: bool = False) -> tuple[str, str]:
    """Text with line feeds as line ends, and its encoding; both empty where the content is binary.

    UTF-8 and UTF-16 with or without byte-order mark, then Chinese, Korean and Russian code pages where they spell what
    a column is called, Shift-JIS where its lead bytes occur, then cp1252. Numbers are ASCII in all of them; the choice
    matters for units and names only. With `cut` the bytes are the beginning of a longer text, whose last character may
    be incomplete; without it half a character at
    the end becomes U+FFFD. A degree sign as DOS wrote it makes the text cp850.
    """
    encoding = _encoding(data, cut=cut)
    if not encoding:
        return "", ""
    half = not cut and encoding.startswith("utf-16") and len(data) % 2  # a file that ends within a character
    text = data[: len(data) - half].decode(encoding, errors="ignore" if cut else "strict") + "\ufffd" * half
    if "\r" in text:
        text = re.sub("\r+\n", "\n", text) if text.count("\r\r\n") > 0.9 * text.count("\n") else text
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if 2 * (text.count("\n\n") + 2) > text.count("\n") > 40:  # line ends doubled on the way
        text = re.sub(r"(?<=[^\n])\n\n(?=[^\n])", "\n", text)
    if "\x00" in text[-8:] or "\x1a" in text[-8:]:
        text = _PADDING.sub("", text)
    return _plain_numbers(text.removeprefix("\ufeff")), encoding


_PADDING = re.compile(r"[\x00\x1a][\x00\x1a\s]*\Z")
"""What fills the last block of a file behind its text."""
_FORTRAN = re.compile(r"(?<!\w)(-?(?:\d+\.\d*|\.\d+))[dD]([-+]\d{2,3})(?![\w.])")
_QUOTED_ROW = re.compile(r'^"([^"\n]*(?:""[^"\n]*)*)"[,;\t]*$', re.MULTILINE)
_TWO_LINES, _NAMES = re.compile(r'(?<![^,;\t\n])"([^"\n]{1,40})\n([^"\n]{1,40})"(?=[,;\t\n])'), 4096
_PAIR_OF_A_PAGE = re.compile(r"^(\s*[-+]?\d+[.,]\d+)\u00a0+([-+.\d,eE]+\s*)$", re.MULTILINE)
_PROTECTED = re.compile(r'(^|[,;\t])="([^"\n]*)"', re.MULTILINE)


def _plain_numbers(text: str) -> str:
    """Numbers as other programs write them, in plain figures: 1.0D+03, a minus of typography, rows and cells quoted."""
    if "D+" in text or "d+" in text or "D-" in text or "d-" in text:
        text = _FORTRAN.sub(r"\1E\2", text)
    text = text.replace("\u2212", "-")
    if any(sign in text[:_NAMES] for sign in "（）％"):  # of Chinese and Japanese keyboards
        text = text.translate({0xFF08: "(", 0xFF09: ")", 0xFF05: "%"})
    if '="' in text:  # cells that a spreadsheet must not touch
        text = _PROTECTED.sub(r'\1"\2"', text)
    if "Â°" in text or "Î¸" in text:  # decoded wrongly once before
        text = text.replace("Â°", "°").replace("Âµ", "µ").replace("Î¸", "θ")
    if "\u00a0" in text:  # a pair copied from a page; behind a fraction it parts no thousands
        text = _PAIR_OF_A_PAGE.sub(r"\1 \2", text)
    if '"' in text[:_NAMES]:  # names of columns in two lines
        text = _TWO_LINES.sub(r'"\1 \2"', text[:_NAMES]) + text[_NAMES:]
    # rows that are one quoted cell were quoted a second time; rows of quoted cells have quotes inside
    if text.count('"\n"') * 10 > 8 * text.count("\n") > 16:
        whole = len(_QUOTED_ROW.findall(text))
        if whole * 10 > 8 * text.count("\n"):
            text = _QUOTED_ROW.sub(lambda row: row[1].replace('""', '"'), text)
    return text


def _encoding(data: bytes, *, cut: bool) -> str:
    body = data[:-4] if cut and len(data) >= HEAD_BYTES else data
    pairs = body[: len(body) // 2 * 2]
    if data.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig" if _decodes(body, "utf-8-sig") else ""
    if data.startswith(_UTF16_MARKS):
        return "utf-16" if _decodes(pairs, "utf-16") else ""
    if len(data) >= 8 and b"\x00" in data[:64]:  # UTF-16 of Latin text: every second byte is zero
        for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            sample = data[offset:512:2]
            if sample.count(0) > 0.7 * len(sample) and 0 not in data[1 - offset : 512 : 2]:
                return name if _decodes(pairs, name) else ""
    plain = data.rstrip(b"\x00\x1a\r\n")
    if len(plain.translate(None, _CONTROL)) != len(plain):  # ten times as quick as a search for them
        return ""
    if _decodes(body, "utf-8"):
        return "utf-8"
    # a degree sign as DOS wrote it
    if b"\xf8" in data and re.search(rb"[\s/\[(\d.,;]\xf8[CKF](?![A-Za-z])", data):
        return "cp850"
    for encoding, words in _WORDS.items():
        if any(word.encode(encoding) in data for word in words.split()) and _decodes(body, encoding):
            return encoding
    if re.search(rb"[\x81-\x9f]", data) and _decodes(body, "cp932"):
        private = re.search("[\ue000-\uf8ff]", body.decode("cp932"))  # characters that no font has: another script
        return "cp850" if private else "cp932"
    return "cp1252" if _decodes(body, "cp1252") else "latin-1"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
