"""What every diffraction reader promises: the scan comes back, damage is refused, nothing but ReadError leaves."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tests import xrd_writers as writers
from tests.helpers import SCAN_KEYS, assert_close
from xrdcomp.errors import ReadError
from xrdcomp.io.front import inspect_file, list_formats, read_xrd, read_xrd_scans
from xrdcomp.io.registry import XrdReader, all_readers, find_reader

FORMATS = sorted(writers.WRITERS)
SCAN = writers.example()
DECLARES_LENGTH = sorted(set(FORMATS) - {"xrd_text", "xrd_excel", "uxd", "fullprof_dat"})
"""Formats that say how many points there are. The header of FullProf does too, see below."""
KNOWS_COUNTS = {
    "bruker_raw_v1", "bruker_raw_v2", "bruker_raw_v3", "bruker_raw_v4", "uxd", "ras", "rasx", "brml", "xrdml",
    "rigaku_ascii", "philips_udf", "seifert_nja",
}  # fmt: skip


def save(tmp_path: Path, format_id: str, data: bytes | None = None) -> Path:
    suffix, write = writers.WRITERS[format_id]
    path = tmp_path / f"specimen.{suffix}"
    path.write_bytes(write(SCAN) if data is None else data)
    return path


def test_every_registered_scan_format_has_a_writer_and_legal_facts() -> None:
    readers = [reader for reader in all_readers() if isinstance(reader, XrdReader)]
    assert sorted(reader.id for reader in readers) == FORMATS
    for reader in readers:
        assert reader.id == reader.id.lower()
        assert all(suffix == suffix.lower().strip(".") for suffix in reader.extensions)
        assert reader.extensions
        assert reader.name


def test_unverified_formats_are_marked() -> None:
    unverified = {row["id"] for row in list_formats() if row["kind"] == "xrd" and not row["verified"]}
    assert unverified == {"philips_udf", "philips_rd", "sietronics_cpi", "xrd_excel", "jade_mdi", "jcamp_xrd"}


@pytest.mark.parametrize("format_id", FORMATS)
def test_scan_comes_back(format_id: str, tmp_path: Path) -> None:
    pattern = read_xrd(save(tmp_path, format_id))
    assert pattern.source is not None
    assert (pattern.source.format, pattern.source.file[:9]) == (format_id, "specimen.")
    assert_close(pattern.two_theta, SCAN.two_theta, atol=6e-5, because="angles carry four decimals or six figures")
    if format_id == "philips_rd":
        assert_close(
            pattern.intensity, SCAN.counts, atol=0.5 + 0.1 * np.sqrt(SCAN.counts.max()),
            because="counts are stored as ten times their square root, rounded",
        )  # fmt: skip
    else:
        np.testing.assert_array_equal(pattern.intensity, SCAN.counts)
        assert_close(pattern.sigma, np.sqrt(np.maximum(SCAN.counts, 1)), rtol=1e-12, because="sqrt(N) of counts")
    assert pattern.intensity_unit == "counts"
    assert not any(note.severity != "info" for note in pattern.messages)
    if format_id in KNOWS_COUNTS:
        assert pattern.counting_time_s == pytest.approx(SCAN.seconds, rel=1e-6)


@pytest.mark.parametrize("format_id", FORMATS)
def test_content_decides_not_the_suffix(format_id: str, tmp_path: Path) -> None:
    path = save(tmp_path, format_id).rename(tmp_path / "specimen.unknown")
    assert inspect_file(path)["format"] == format_id


@pytest.mark.parametrize("format_id", FORMATS)
def test_packed_files_give_the_same_scan(format_id: str, tmp_path: Path) -> None:
    path = save(tmp_path, format_id)
    plain = read_xrd(path)
    for suffix, pack in (("gz", gzip.compress), ("bz2", bz2.compress)):
        packed = path.with_name(f"{path.name}.{suffix}")
        packed.write_bytes(pack(path.read_bytes()))
        again = read_xrd(packed)
        np.testing.assert_array_equal(again.intensity, plain.intensity)
        assert again.source is not None
        assert plain.source is not None
        assert again.source.sha256 != plain.source.sha256


@pytest.mark.parametrize("format_id", FORMATS)
def test_inspection_is_json_and_agrees_with_reading(format_id: str, tmp_path: Path) -> None:
    path = save(tmp_path, format_id)
    found = json.loads(json.dumps(inspect_file(path)))
    pattern = read_xrd(path)
    assert found["kind"] == "xrd"
    assert set(found) == {"kind", "format", "scans"}
    (scan,) = found["scans"]
    assert set(scan) == SCAN_KEYS
    assert scan["n_points"] == len(pattern)
    assert scan["two_theta_min"] == pattern.two_theta[0]
    assert scan["two_theta_max"] == pattern.two_theta[-1]
    assert scan["intensity_max"] == pattern.intensity.max()
    assert scan["wavelengths"] == [line.wavelength for line in pattern.emission_lines]


@pytest.mark.parametrize("format_id", DECLARES_LENGTH)
def test_a_cut_file_is_refused_wherever_it_is_cut(format_id: str, tmp_path: Path) -> None:
    data = writers.WRITERS[format_id][1](SCAN)
    least = len(data.rstrip(b"\r\n ")) - 1
    rng = np.random.default_rng(3)
    for cut in sorted({1, 4, 100, *rng.integers(1, least - 8, 40).tolist()}):
        path = save(tmp_path, format_id, data[:cut])
        with pytest.raises(ReadError) as caught:
            read_xrd(path)
        assert caught.value.file == str(path)
        assert caught.value.reason


@pytest.mark.parametrize("format_id", FORMATS)
def test_a_cut_inside_the_last_number_is_noticed(format_id: str, tmp_path: Path) -> None:
    """Here the declared number of points is there, but the last count lacks a figure."""
    data = writers.WRITERS[format_id][1](SCAN).rstrip(b"\r\n .")
    try:
        pattern = read_xrd(save(tmp_path, format_id, data[:-1]))
    except ReadError:
        return
    if np.array_equal(pattern.intensity, SCAN.counts):
        return  # the format ends with a mark, and the cut fell into it
    assert "XRD_MAYBE_CUT" in {note.code for note in pattern.messages}


@pytest.mark.parametrize("format_id", ["fullprof_dat", "uxd", "xrd_text"])
def test_a_cut_text_never_gives_other_angles(format_id: str, tmp_path: Path) -> None:
    """Plain columns declare nothing: what is read then is the beginning of the scan, mostly with a warning."""
    data = writers.WRITERS[format_id][1](SCAN)
    warned = refused = 0
    cuts = np.random.default_rng(4).integers(len(data) // 4, len(data) - 3, 60)
    for cut in cuts.tolist():
        try:
            pattern = read_xrd(save(tmp_path, format_id, data[:cut]))
        except ReadError:
            refused += 1
            continue
        n = len(pattern)
        assert format_id != "fullprof_dat", "the header declares the range"
        assert_close(pattern.two_theta[: n - 1], SCAN.two_theta[: n - 1], atol=1e-4, because="rounded listing")
        np.testing.assert_array_equal(pattern.intensity[: n - 1], SCAN.counts[: n - 1])
        warned += any(note.code == "XRD_MAYBE_CUT" for note in pattern.messages)
    if format_id != "fullprof_dat":
        assert refused + warned >= 0.7 * len(cuts)


@pytest.mark.parametrize("format_id", FORMATS)
@pytest.mark.parametrize("junk", [b"\x00" * 50, b"\xff" * 5000, b"a" * 300, b"\n" * 100, b"PK\x03\x04" + b"\x00" * 60])
def test_junk_is_refused_even_when_the_format_is_forced(format_id: str, junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.bin"
    path.write_bytes(junk)
    with pytest.raises(ReadError):
        read_xrd(path, format=format_id)
    score = find_reader(format_id).sniff
    assert callable(score)


@pytest.mark.parametrize("format_id", FORMATS)
def test_order_of_reading_does_not_matter(format_id: str, tmp_path: Path) -> None:
    path = save(tmp_path, format_id)
    first = read_xrd(path)
    (second,) = read_xrd_scans(path)
    np.testing.assert_array_equal(first.two_theta, second.two_theta)
    assert first.messages == second.messages
    assert not first.intensity.flags.writeable
