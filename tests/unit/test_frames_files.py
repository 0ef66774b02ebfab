"""Frames that must be refused, and what is known of a frame before fabio is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests import frame_writers as fw
from tests.helpers import assert_close
from xrdcomp.errors import AnalysisError, MissingExtraError, ReadError
from xrdcomp.frames.integrate import integrate_frames
from xrdcomp.frames.read import BrukerHeader, Sector, load_poni, read_frame, read_mask
from xrdcomp.io.source import open_source

SCENE = fw.Scene(rows=60, columns=50, center_column=24.0, center_row=31.0)


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def contents() -> dict[str, bytes]:
    counts = SCENE.counts()
    return {
        "frame.gfrm": fw.bruker(SCENE, counts),
        "frame.tif": fw.tiff(counts.astype(np.int32)),
        "frame.cbf": fw.cbf(counts, header=fw.dectris_header(SCENE)),
        "frame.edf": fw.edf(counts),
    }


@pytest.mark.parametrize("name", contents())
def test_missing_extra_names_the_command(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("fabio", "fabio.bruker100image", "fabio.tifimage", "fabio.compression", "fabio.edfimage"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r'pip install "xrdcomp\[frames\]"'):
        integrate_frames(written(tmp_path, name, contents()[name]))


@pytest.mark.parametrize("name", contents())
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.93])
def test_frames_cut_short_are_refused_before_they_are_decoded(name: str, share: float, tmp_path: Path) -> None:
    content = contents()[name]
    with pytest.raises(ReadError) as caught:
        read_frame(written(tmp_path, name, content[: int(share * len(content))]))
    assert caught.value.file.endswith(name)


def test_changed_pixels_of_a_cbf_contradict_its_check_sum(tmp_path: Path) -> None:
    content = bytearray(contents()["frame.cbf"])
    content[-400] ^= 1
    with pytest.raises(ReadError, match="Content-MD5"):
        read_frame(written(tmp_path, "frame.cbf", bytes(content)))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scan.xy", "10.0 5\n10.1 6\n10.2 7\n10.3 8\n10.4 9\n10.5 9\n", "no two-dimensional frame"),
        ("c.poni", fw.poni(SCENE), "calibration, not a frame"),
        ("noise.bin", bytes(range(256)) * 4, "no frame format"),
    ],
)
def test_what_is_no_frame_is_named(name: str, content: bytes | str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=words):
        read_frame(written(tmp_path, name, content))


def test_declared_sizes_are_bounded(tmp_path: Path) -> None:
    counts = SCENE.counts()
    for name, content in (
        ("a.edf", fw.edf(counts).replace(b"Dim_1 = 50 ;", b"Dim_1 = 99999999 ;")),
        ("a.cbf", fw.cbf(counts).replace(b"Fastest-Dimension: 50", b"Fastest-Dimension: 5000000000")),
        ("a.gfrm", fw.bruker(SCENE, counts, NROWS="999999 1")),
    ):
        with pytest.raises(ReadError):
            read_frame(written(tmp_path, name, content))


def test_bruker_header_gives_geometry(tmp_path: Path) -> None:
    scene = SCENE.but(swing=-28.0)
    header = BrukerHeader(open_source(written(tmp_path, "f.sfrm", fw.bruker(scene, scene.counts()))))
    geometry = header.geometry()
    assert geometry is not None
    assert geometry.shape == "flat"
    because = "seven decimals of the header"
    assert_close(geometry.distance_mm, scene.distance, atol=1e-9, because=because)
    assert_close(geometry.pixel_row_mm, scene.pixel, rtol=1e-7, because=because)
    assert_close(geometry.swing, scene.swing, atol=1e-9, because=because)
    assert_close(
        [geometry.center_column, geometry.center_row],
        [scene.center_column, scene.center_row],
        atol=1e-9,
        because=because,
    )
    assert [line.wavelength for line in header.emission_lines] == [1.5406, 1.54439]
    assert header.exposure_s == scene.seconds


def test_bruker_distance_is_the_second_where_there_are_two(tmp_path: Path) -> None:
    content = fw.bruker(SCENE, SCENE.counts(), DISTANC="7.713428 8.717428")
    geometry = BrukerHeader(open_source(written(tmp_path, "f.sfrm", content))).geometry()
    assert geometry is not None
    assert_close(geometry.distance_mm, 87.17428, atol=1e-9, because="exact decimal number")


def test_bruker_cylinder_that_contradicts_its_scan_is_refused(tmp_path: Path) -> None:
    scene = SCENE.but(radius_step=0.2, column_start=10.0)
    content = fw.bruker(scene, scene.counts(), ENDING="15.0 0 0 0")
    header = BrukerHeader(open_source(written(tmp_path, "f.gfrm", content)))
    with pytest.raises(ReadError, match="cylinder"):
        header.geometry()


def test_bruker_header_without_pixel_pitch_has_no_geometry(tmp_path: Path) -> None:
    content = fw.bruker(SCENE, SCENE.counts(), DETTYPE="MULTIWIRE")
    assert BrukerHeader(open_source(written(tmp_path, "f.gfrm", content))).geometry() is None


def test_octagon_masks_corners_only(tmp_path: Path) -> None:
    content = fw.bruker(SCENE, SCENE.counts(), OCTMASK="0 10 0 39 49 98 59 49")
    masked = BrukerHeader(open_source(written(tmp_path, "f.gfrm", content))).octagon()
    assert masked[0, 0]
    assert masked[59, 49]
    assert not masked[30, 25]
    assert masked.sum() == 4 * 55  # four triangles with ten pixels along each leg


def test_sector_wraps_and_refuses_nonsense() -> None:
    sector = Sector(start=170.0, stop=190.0)
    inside = sector.contains(np.array([171.0, -175.0, 0.0, 169.0, -169.0]))
    assert inside.tolist() == [True, True, False, False, False]
    for start, stop in ((10.0, 10.0), (20.0, 10.0), (0.0, 361.0)):
        with pytest.raises(AnalysisError, match="sector"):
            Sector(start=start, stop=stop)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("Distance: 0.08", "Distance: 80.0e9", "metres"), ("Poni1", "Foo", "Poni1"), ("Rot2: 0.0", "Rot2: nan", "Rot2")],
)
def test_damaged_calibrations_are_refused(old: str, new: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=words):
        load_poni(written(tmp_path, "c.poni", fw.poni(SCENE).replace(old, new)))


def test_mask_must_fit_and_hold_no_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.eye(5))
    assert read_mask(tmp_path / "m.npy", (5, 5)).sum() == 5
    with pytest.raises(AnalysisError, match="pixels"):
        read_mask(tmp_path / "m.npy", (5, 6))
    np.save(tmp_path / "o.npy", np.array([[{}, 1]], dtype=object), allow_pickle=True)
    with pytest.raises(ReadError, match="decoded"):
        read_mask(tmp_path / "o.npy", (1, 2))
