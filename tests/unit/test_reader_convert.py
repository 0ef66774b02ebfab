"""Writing patterns: what is written is read back equal, and nothing half-written stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import xrd_writers
from xrdcomp.errors import MissingExtraError, OutputError, ReadError
from xrdcomp.io.export import WRITERS, convert_file, write_pattern
from xrdcomp.io.front import read_xrd


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.xrdml"
    path.write_bytes(xrd_writers.xrdml(xrd_writers.example()))
    return path


@pytest.mark.parametrize("suffix", [".xy", ".xye", ".csv", ".cif"])
def test_written_patterns_come_back_exactly(suffix: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / f"b{suffix}"
    pattern = convert_file(source, target)
    again = read_xrd(target)
    np.testing.assert_array_equal(again.two_theta, pattern.two_theta)
    np.testing.assert_array_equal(again.intensity, pattern.intensity)
    np.testing.assert_allclose(again.sigma, pattern.sigma, rtol=1e-15)
    assert again.intensity_unit == pattern.intensity_unit
    if suffix != ".csv":
        assert again.emission_lines == pattern.emission_lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.xrdml", target.name]


def test_nexus(source: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `nexus` is not installed")
    pattern = convert_file(source, tmp_path / "b.nxs")
    with h5py.File(tmp_path / "b.nxs") as file:
        data = file[f"{file.attrs['default']}/data"]
        np.testing.assert_array_equal(data[data.attrs["signal"]][()], pattern.intensity)
        np.testing.assert_array_equal(data[data.attrs["axes"]][()], pattern.two_theta)


def test_nexus_without_its_extra_says_what_to_install(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="nexus"):
        convert_file(source, tmp_path / "b.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.xrdml"]


def test_unknown_targets_are_refused_before_reading(tmp_path: Path) -> None:
    with pytest.raises(ReadError) as caught:
        convert_file(tmp_path / "missing.xrdml", tmp_path / "b.pdf")
    assert all(suffix in caught.value.expected for suffix in WRITERS)


def test_a_measurement_is_never_replaced_by_its_conversion(tmp_path: Path) -> None:
    source = tmp_path / "scan.xy"
    source.write_text("\n".join(f"{10 + 0.02 * i:.2f} {100 + i % 7}" for i in range(200)))
    before = source.read_bytes()
    (tmp_path / "link.xy").symlink_to(source)
    for target in (source, tmp_path / "link.xy"):
        with pytest.raises(OutputError, match="is the file that is read"):
            convert_file(source, target)
    assert source.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_written_files_can_be_read_by_whom_the_umask_allows(source: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    convert_file(source, tmp_path / "b.xy")
    assert (tmp_path / "b.xy").stat().st_mode == plain.stat().st_mode


def test_a_failed_write_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = read_xrd(source)

    def fail(*_: object) -> None:
        msg = "disk full"
        raise OSError(msg)

    monkeypatch.setitem(WRITERS, ".xy", fail)
    with pytest.raises(OutputError, match="disk full"):
        write_pattern(pattern, tmp_path / "b.xy")
    assert [path.name for path in tmp_path.iterdir()] == ["a.xrdml"]
    with pytest.raises(OutputError, match="cannot be written"):
        write_pattern(pattern, tmp_path / "no" / "folder.csv")
