"""The registry: other packages' readers, broken ones, wrong ids, and errors that always carry the file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import xrd_writers
from xrdcomp.errors import MissingExtraError, PatternError, ReadError
from xrdcomp.io import registry
from xrdcomp.io.front import list_formats, read_xrd
from xrdcomp.io.registry import Reader, XrdReader, all_readers, call_reader, find_reader, recognise
from xrdcomp.io.scans import RawScan
from xrdcomp.io.source import SourceFile, open_source


class EntryPoint:
    def __init__(self, name: str, loaded: object) -> None:
        self.name, self.loaded = name, loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def lab_reader(format_id: str = "lab_format") -> XrdReader:
    def read(source: SourceFile) -> list[RawScan]:
        values = np.array(source.text.split()[1:], float)
        return [RawScan(two_theta=20 + 0.1 * np.arange(len(values)), intensity=values, unit="counts")]

    return XrdReader(
        id=format_id, name="Our laboratory", extensions=("lab",),
        sniff=lambda source: float(source.data.startswith(b"LABFORMAT")), read=read,
    )  # fmt: skip


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    entries: list[EntryPoint] = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == "xrdcomp.readers" else [])
    registry._of_other_packages.cache_clear()
    all_readers.cache_clear()
    yield entries
    registry._of_other_packages.cache_clear()
    all_readers.cache_clear()


def test_a_reader_of_another_package_is_used(plugins: list[EntryPoint], tmp_path: Path) -> None:
    plugins.append(EntryPoint("lab", lab_reader))
    path = tmp_path / "a.lab"
    path.write_text("LABFORMAT " + " ".join(str(v) for v in (50, 61, 47, 58, 66, 52, 71, 55, 49, 63) * 3))
    pattern = read_xrd(path)
    assert pattern.source is not None
    assert pattern.source.format == "lab_format"
    assert "lab_format" in {row["id"] for row in list_formats()}


@pytest.mark.parametrize("broken", [ImportError("no module"), ValueError("x"), 42, lambda: "text", lambda: 1 / 0])
def test_a_broken_plugin_is_a_warning(plugins: list[EntryPoint], broken: object) -> None:
    plugins.append(EntryPoint("broken", broken))
    with pytest.warns(UserWarning, match="reader plug-in 'broken' could not be loaded"):
        readers = all_readers()
    assert "xrdml" in {reader.id for reader in readers}


def test_a_plugin_cannot_replace_a_reader(plugins: list[EntryPoint]) -> None:
    plugins.append(EntryPoint("taken", lab_reader("xrdml")))
    with pytest.warns(UserWarning, match="the id is taken"):
        assert find_reader("xrdml").name.startswith("PANalytical")


def test_a_plugin_whose_sniffer_fails_recognises_nothing(plugins: list[EntryPoint], tmp_path: Path) -> None:
    failing = XrdReader(id="failing", name="x", extensions=("x",), sniff=lambda _: 1 / 0, read=lambda _: [])
    plugins.append(EntryPoint("failing", failing))
    path = tmp_path / "a.xy"
    path.write_bytes(xrd_writers.xy(xrd_writers.example(61)))
    assert "failing" not in {reader.id for _, reader in recognise(open_source(path))}


def test_unknown_formats_are_answered_with_the_nearest() -> None:
    with pytest.raises(ReadError, match="Did you mean xrdml"):
        find_reader("xrdlm")


def test_a_format_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xy"
    path.write_bytes(xrd_writers.xy(xrd_writers.example(61)))
    other = next(reader.id for reader in all_readers() if reader.kind == "tga")
    with pytest.raises(ReadError, match="not a one-dimensional diffraction format"):
        read_xrd(path, format=other)


@pytest.mark.parametrize(
    "problem",
    [ValueError("v"), KeyError("k"), IndexError("i"), MemoryError(), RecursionError(), UnicodeError("u"),
     OverflowError(), ZeroDivisionError(), AttributeError("a"), AssertionError(), PatternError("p"),
     ReadError("r"), OSError(5, "io")],
)  # fmt: skip
def test_whatever_a_reader_raises_leaves_as_an_error_that_names_the_file(problem: Exception) -> None:
    source = SourceFile(path=Path("folder/a.lab"), data=b"x")

    def fail() -> None:
        raise problem

    with pytest.raises(ReadError) as caught:
        call_reader(lab_reader(), source, fail)
    assert (caught.value.file, caught.value.format_id) == ("folder/a.lab", "lab_format")
    assert "folder/a.lab [lab_format]" in str(caught.value)


def test_a_missing_extra_is_not_the_files_fault() -> None:
    def fail() -> None:
        msg = "needs h5py"
        raise MissingExtraError(msg)

    with pytest.raises(MissingExtraError, match=r"^a \[lab_format\]: needs h5py"):
        call_reader(lab_reader(), SourceFile(path=Path("a"), data=b"x"), fail)


def test_a_reader_without_scans_is_an_error(plugins: list[EntryPoint], tmp_path: Path) -> None:
    empty = XrdReader(id="empty", name="x", extensions=("x",), sniff=lambda _: 1.0, read=lambda _: [])
    plugins.append(EntryPoint("empty", empty))
    path = tmp_path / "a.x"
    path.write_bytes(b"EMPTYFORMAT")
    with pytest.raises(ReadError, match="holds no scan"):
        read_xrd(path)


def test_each_line_of_the_list_is_one_reader_of_this_package() -> None:
    assert len(set(registry.READERS)) == len(registry.READERS)
    assert all(name.startswith("xrdcomp.io.") for name in registry.READERS)
    assert all(isinstance(reader, Reader) for reader in all_readers())
    assert len({reader.id for reader in all_readers()}) == len(all_readers())


@pytest.mark.parametrize("kind", ["xrd", "tga", "xrd_frame"])
def test_readers_of_one_kind_are_those_of_its_folder(kind: registry.Kind) -> None:
    own = [reader for reader in registry._one_by_one(kind) if reader.kind == kind]
    assert own == [reader for reader in all_readers() if reader.kind == kind]


RECOGNISES = """
import sys
from xrdcomp.io.front import open_source
from xrdcomp.io.registry import recognise
print(recognise(open_source(sys.argv[1]))[0][1].id)
print(*sorted(name for name in sys.modules if name == "importlib.metadata" or name.startswith("xrdcomp.io.tga.")))
"""


def test_a_signature_loads_no_readers_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(xrd_writers.raw1(xrd_writers.example(61)))
    done = subprocess.run([sys.executable, "-c", RECOGNISES, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "bruker_raw_v1\n\n"
