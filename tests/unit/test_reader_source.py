"""Opening files: only regular ones, bounded, unpacked with care, decoded without guessing numbers."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest

from tests import xrd_writers
from xrdcomp.errors import ReadError
from xrdcomp.io import archive
from xrdcomp.io import source as source_module
from xrdcomp.io.front import read_xrd
from xrdcomp.io.source import decode_text, open_source

XY = xrd_writers.xy(xrd_writers.example(61))


def reason(path: Path) -> str:
    with pytest.raises(ReadError) as caught:
        read_xrd(path)
    assert caught.value.file == str(path)
    return caught.value.reason


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    assert "folder" in reason(tmp_path)
    assert "device" in reason(Path("/dev/zero"))
    assert "No such file" in reason(tmp_path / "missing.xy")
    empty = tmp_path / "empty.xy"
    empty.touch()
    assert "empty" in reason(empty)
    assert "cannot be opened" in reason(Path("a\x00b"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.xy"
    os.mkfifo(fifo)
    assert "pipe" in reason(fifo)


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.xy", tmp_path / "two.xy"
    one.symlink_to(two)
    two.symlink_to(one)
    assert "cannot be opened" in reason(one)


def test_a_file_of_ten_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.xy"
    with path.open("wb") as stream:
        stream.truncate(10 * 2**30)
    assert "10737418240 bytes" in reason(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_bomb_is_defused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: type[bytes]) -> None:
    monkeypatch.setattr(source_module, "MAX_EXPANDED_BYTES", 2**20)
    path = tmp_path / "bomb.xy.gz"
    path.write_bytes(pack(b" " * 2**22))
    assert "grows beyond" in reason(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_cut_or_flipped_stream_is_refused(tmp_path: Path, pack: type[bytes]) -> None:
    packed = bytes(pack(XY))
    path = tmp_path / "a.xy.gz"
    path.write_bytes(packed[:-12])
    assert "damaged" in reason(path)
    path.write_bytes(packed[:40] + bytes([packed[40] ^ 1]) + packed[41:])
    assert "damaged" in reason(path)


def test_source_keeps_the_hash_of_the_bytes_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.xy.gz"
    path.write_bytes(gzip.compress(XY))
    opened = open_source(path)
    assert opened.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (opened.data, opened.suffix, opened.packed) == (XY, "xy", "gz")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("θ = 2\n".encode(), "utf-8"),
        ("θ = 2\n".encode("utf-8-sig"), "utf-8-sig"),
        ("θ = 2\n".encode("utf-16"), "utf-16"),
        ("\ufeffθ = 2\n".encode("utf-16-be"), "utf-16"),
        ("2theta, counts\n10.0, 5\n".encode("utf-16-le"), "utf-16-le"),
        ("2theta, counts\n10.0, 5\n".encode("utf-16-be"), "utf-16-be"),
        ("2 Temp./°C\n".encode("cp1252"), "cp1252"),
        ("標準 2θ\n".encode("cp932"), "cp932"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", ""),
        (b"RAW1.01\x00\x01\x00", ""),
    ],
)
def test_encodings(data: bytes, encoding: str) -> None:
    text, found = decode_text(data)
    assert found == encoding
    if encoding:
        assert "2" in text
        assert "\ufeff" not in text


def test_utf_16_that_ends_in_half_a_character_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "cut.xy"
    path.write_bytes(XY.decode().encode("utf-16")[:-1])
    assert "UTF-16" in reason(path)
    assert "half a character" in reason(path)


def test_line_ends_of_all_three_systems() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        assert decode_text(b"a" + end + b"b" + end)[0] == "a\nb\n"


def zipped(members: dict[str, bytes], **facts: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in members.items():
            writer.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../RawData0.xml", "/etc/RawData0.xml", "a/../../RawData0.xml", "C:\\RawData0.xml"])
def test_archives_whose_names_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.brml"
    path.write_bytes(zipped({name: b"<RawData/>"}))
    assert "outside the archive" in reason(path)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.brml"
    path.write_bytes(zipped({"Experiment0/RawData0.xml": b"\x20" * (8 * 2**20)}))
    assert "declares 8388608 bytes" in reason(path)


def test_an_archive_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"Experiment0/RawData0.xml": b"<RawData/>" * 20}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    path = tmp_path / "a.brml"
    path.write_bytes(bytes(data))
    reason(path)


def test_an_archive_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    data = bytearray(xrd_writers.brml(xrd_writers.example()))
    data[data.index(b"RawData0.xml") + 60] ^= 1
    path = tmp_path / "a.brml"
    path.write_bytes(bytes(data))
    assert "archive is broken" in reason(path)


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    path = tmp_path / "a.brml"
    path.write_bytes(zipped({f"{i}/RawData0.xml": b"<x/>" for i in range(5)}))
    assert "5 members" in reason(path)


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/1.5">&b;</xrdMeasurements>"""
EXTERNAL = BOMB.replace('<!ENTITY b "&a;&a;&a;">', '<!ENTITY b SYSTEM "file:///etc/passwd">')


@pytest.mark.parametrize("text", [BOMB, EXTERNAL])
def test_xml_entities_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xrdml"
    path.write_text(text)
    assert "entities" in reason(path)


def test_all_streams_of_a_bzip2_file_are_read(tmp_path: Path) -> None:
    """Parallel compressors write one stream after the other."""
    path = tmp_path / "a.xy.bz2"
    half = XY.index(b"\n", len(XY) // 2) + 1
    path.write_bytes(bz2.compress(XY[:half]) + bz2.compress(XY[half:]))
    assert open_source(path).data == XY
