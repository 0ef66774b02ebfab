"""Zip archives without their dangers: names that leave the folder, members that explode, checksums that fail."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath

from xrdcomp.readers.source import MAX_EXPANDED_BYTES, SourceFile

__all__ = ["is_zip", "read_members"]

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
