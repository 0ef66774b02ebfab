"""What is written is whole or not there, and nothing of anybody else is lost by it."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.builders import make_result
from xrdcomp import disk
from xrdcomp.data import Pattern
from xrdcomp.disk import LIST, read_bytes, read_toml, refuse_inputs, replaced_folder, whole_file, write_whole
from xrdcomp.errors import OutputError, ReadError, RecipeError, printable
from xrdcomp.io.export import WRITERS, write_pattern
from xrdcomp.present.files import write_figure, write_result, write_text

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, devices and signals of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def write_output(folder: Path, content: str, *, files: tuple[str, ...] = ("result.json", "figures/fit.png")) -> None:
    with replaced_folder(folder, marker="result.json") as work:
        for name in files:
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(content)


# Reading


@pytest.mark.parametrize(("kind", "words"), [("folder", "a folder"), ("pipe", "a pipe"), ("device", "a device")])
def test_only_regular_files_are_opened(kind: str, words: str, tmp_path: Path) -> None:
    path = {"folder": tmp_path, "pipe": tmp_path / "pipe", "device": Path("/dev/zero")}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ReadError, match=words):
        read_bytes(path)


def test_a_file_is_bounded_and_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"")
    with pytest.raises(ReadError, match="empty"):
        read_bytes(path)
    path.write_bytes(b"x" * 101)
    with pytest.raises(ReadError, match="101 bytes, more than the 100"):
        read_bytes(path, limit=100)
    assert read_bytes(path, limit=101) == b"x" * 101


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = nan", "a is not a finite number"),
        ("[b]\nc = [1.0, -inf]", "b.c.1 is not a finite number"),
        ("a = ", "not valid TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("a = 1e999", "a is not a finite number"),
    ],
)
def test_settings_are_toml_with_finite_numbers(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=words):
        read_toml(path, "settings")


def test_names_are_escaped_where_they_would_be_obeyed() -> None:
    name = os.fsdecode(b"a\xff\x1b[31m\x9b") + "\u202egnp"
    assert printable(name) == r"a\xff\x1b[31m\x9b\u202egnp"
    assert printable("µ 2θ\ttab\nline") == "µ 2θ\ttab\nline"


# One file


def test_what_the_program_did_not_write_is_not_replaced(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.xy"
    thesis.write_text("years of work")
    with pytest.raises(OutputError, match="was not written by xrdcomp"):
        write_whole(thesis, "# xrdcomp\n")
    assert thesis.read_text() == "years of work"
    write_whole(thesis, "# xrdcomp\n", overwrite=True)
    write_whole(thesis, "# xrdcomp again\n")  # its own file
    assert thesis.read_text() == "# xrdcomp again\n"
    empty = tmp_path / "empty.xy"
    empty.touch()
    assert write_whole(empty, "x").read_text() == "x"


def test_links_are_written_through_and_keep_standing(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, real = tmp_path / "a.toml", tmp_path / "real" / "b.toml"
    real.write_text("# xrdcomp 1")
    link.symlink_to(real)
    write_whole(link, "# xrdcomp 2")
    assert link.is_symlink()
    assert real.read_text() == "# xrdcomp 2"
    assert names(tmp_path) == ["a.toml", "real", "real/b.toml"]


def test_devices_and_pipes_get_the_bytes_and_stay(tmp_path: Path) -> None:
    write_whole(Path(os.devnull), "gone")
    assert Path(os.devnull).is_char_device()
    with pytest.raises(OutputError, match="No space left"):
        write_whole(Path("/dev/full"), "x" * 10_000)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="cannot be written"):  # nobody reads
        write_whole(pipe, "text")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    deadline = time.monotonic() + 10.0
    while not got and time.monotonic() < deadline:
        try:
            write_whole(pipe, "text")
        except OutputError:  # the reader has not opened it yet
            time.sleep(0.01)
            continue
        reader.join(10.0)
    assert got == ["text"]
    assert pipe.is_fifo()


def test_permissions_stay_and_are_heeded(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("# xrdcomp")
    path.chmod(0o640)
    write_whole(path, "# xrdcomp 2")
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(OutputError, match="is a folder"):
        write_whole(tmp_path, "x")


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("# xrdcomp 1")
    writer = whole_file(path)
    writer.__enter__().write_text("half")
    assert not writer.__exit__(ZeroDivisionError, ZeroDivisionError(), None)  # handed on
    assert path.read_text() == "# xrdcomp 1"
    assert names(tmp_path) == ["a.toml"]


def test_an_input_is_no_output(tmp_path: Path) -> None:
    scan = tmp_path / "S1" / "scan.xy"
    scan.parent.mkdir()
    scan.write_text("1 2")
    for target in (scan, tmp_path / "S1"):
        with pytest.raises(OutputError, match="nothing was written"):
            refuse_inputs(target, [None, scan])
    refuse_inputs(tmp_path / "S2", [scan])


# A folder


def test_files_of_others_stay_and_own_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "S1"
    write_output(folder, "old", files=("result.json", "figures/fit.png", "report.html"))
    (folder / "notes.txt").write_text("mine")
    (folder / "figures" / "photo.jpg").write_text("mine")
    (folder / "raw" / "deep").mkdir(parents=True)
    (folder / "raw" / "deep" / "scan.xy").write_text("mine")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("raw/deep/scan.xy")
    (folder / "gone").symlink_to("/nowhere")
    (folder / "away").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    inode = (folder / "notes.txt").stat().st_ino
    write_output(folder, "new")
    assert names(folder) == sorted(
        [LIST, "result.json", "figures", "figures/fit.png", "figures/photo.jpg", "notes.txt", "raw", "raw/deep",
         "raw/deep/scan.xy", "empty", "link", "gone", "away", "pipe"]
    )  # fmt: skip
    assert (folder / "result.json").read_text() == "new"
    assert (folder / "link").read_text() == "mine"
    assert (folder / "notes.txt").stat().st_ino == inode
    assert (folder / "away").is_symlink()
    assert names(tmp_path)[0] == "S1"
    assert [path.name for path in tmp_path.iterdir()] == ["S1"]


def test_the_list_of_a_replaced_output_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill amid the removal the rest must still be known as the program's."""
    folder = tmp_path / "S1"
    write_output(folder, "old", files=("result.json", "figures/fit.png", "report.html"))
    (folder / "notes.txt").write_text("mine")
    remove, left = shutil.rmtree, {}

    def look(path: Path, **how: bool) -> None:
        left[path.name] = names(path)
        remove(path, **how)

    monkeypatch.setattr("xrdcomp.disk.shutil.rmtree", look)
    write_output(folder, "new")
    assert [found for name, found in left.items() if name.endswith(".partial")] == [[LIST]]


def test_nothing_is_left_where_there_is_no_room_for_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, files: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    monkeypatch.setattr("xrdcomp.disk._write_list", full)
    with pytest.raises(OutputError):
        write_output(tmp_path / "S1", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_is_the_users(tmp_path: Path) -> None:
    folder = tmp_path / "S1"
    write_output(folder, "old", files=("result.json", "recipe.toml", "report.html"))
    (folder / "report.html").write_text("with my remarks")
    write_output(folder, "new", files=("result.json", "recipe.toml"))
    assert (folder / "report.html").read_text() == "with my remarks"
    (folder / "recipe.toml").write_text("edited")
    with pytest.raises(OutputError, match=r"recipe\.toml was changed since xrdcomp wrote it"):
        write_output(folder, "newer", files=("result.json", "recipe.toml"))
    assert (folder / "result.json").read_text() == "new"
    assert (folder / "recipe.toml").read_text() == "edited"
    with replaced_folder(folder, marker="result.json", overwrite=True) as work:
        (work / "result.json").write_text("newest")
        (work / "recipe.toml").write_text("newest")
    assert (folder / "recipe.toml").read_text() == "newest"
    assert (folder / "report.html").read_text() == "with my remarks"
    assert [path.name for path in tmp_path.iterdir()] == ["S1"]


def test_a_file_that_takes_the_name_of_a_new_one_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "S1"
    write_output(folder, "old", files=("result.json",))
    (folder / "figures").write_text("a file of this name")
    with pytest.raises(OutputError, match="figures"):
        write_output(folder, "new")
    assert (folder / "figures").read_text() == "a file of this name"
    assert (folder / "result.json").read_text() == "old"


def test_a_result_of_other_measurements_is_replaced_when_asked(tmp_path: Path) -> None:
    first = make_result()
    folder = write_result(first, tmp_path, figures=False)
    other = make_result()
    object.__setattr__(other, "inputs", ({"kind": "xrd", "file": "b.xy", "sha256": "1" * 64, "format": "xy"},))
    with pytest.raises(OutputError, match="result of other measurements"):
        write_result(other, tmp_path, figures=False)
    assert json.loads((folder / "result.json").read_text())["inputs"] == json.loads(first.to_json())["inputs"]
    write_result(other, tmp_path, figures=False, overwrite=True)
    assert json.loads((folder / "result.json").read_text())["inputs"][0]["sha256"] == "1" * 64


def test_without_an_exchange_of_folders_the_result_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_exchange", lambda *_: False)
    folder = tmp_path / "S1"
    write_output(folder, "old")
    (folder / "notes.txt").write_text("mine")
    write_output(folder, "new")
    assert names(tmp_path) == sorted(
        ["S1", f"S1/{LIST}", "S1/figures", "S1/figures/fit.png", "S1/notes.txt", "S1/result.json"]
    )
    assert (folder / "result.json").read_text() == "new"


def test_writers_of_one_place_wait_or_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "S1"
    handle = disk._held(tmp_path)
    threading.Timer(0.3, lambda: os.close(handle)).start()
    start = time.monotonic()
    write_output(folder, "waited")
    assert time.monotonic() - start > 0.2
    monkeypatch.setattr(disk, "PATIENCE_S", 0.1)
    handle = disk._held(tmp_path)
    with pytest.raises(OutputError, match="another process has been writing there"):
        write_output(folder, "no")
    os.close(handle)
    assert (folder / "result.json").read_text() == "waited"


def test_two_writers_at_once_leave_one_whole_output(tmp_path: Path) -> None:
    """Both end well, and every file is of the same one of them."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom xrdcomp.disk import replaced_folder\n"
        "for turn in range(20):\n"
        "    with replaced_folder(Path('S1'), marker='result.json') as work:\n"
        "        for n in range(5):\n"
        "            (work / f'{n}.txt').write_text(f'{sys.argv[1]} {turn}')\n"
        "        (work / 'result.json').write_text(f'{sys.argv[1]} {turn}')\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, name], cwd=tmp_path) for name in ("a", "b")]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    found = {path.read_text() for path in (tmp_path / "S1").iterdir() if path.name != LIST}
    assert len(found) == 1
    assert found <= {"a 19", "b 19"}
    assert [path.name for path in tmp_path.iterdir()] == ["S1"]


# Kills and full disks

KILLED = """
import signal, sys
from pathlib import Path
# whatever the process of the tests was started with
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
sys.path[:0] = {path!r}
from tests.unit.test_disk import PATTERN, write_output
from xrdcomp.io.export import write_pattern
print("begun", flush=True)
while True:
    write_output(Path("S1"), sys.argv[1] * 200_000)
    write_pattern(PATTERN, "scan.xye")
"""
PATTERN = Pattern.from_xy(
    np.arange(5.0, 80.0, 0.02), np.round(100.0 + 50.0 * np.sin(np.arange(3750) / 40.0)), sigma=np.full(3750, 10.0)
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_at_any_moment_leaves_the_earlier_or_the_new_output(number: int, tmp_path: Path) -> None:
    """A reduced study; ``benchmarks/outputs.py`` is the whole one."""
    folder = tmp_path / "S1"
    write_output(folder, "0" * 200_000)
    (folder / "notes.txt").write_text("mine")
    (folder / "figures" / "photo.jpg").write_text("mine")
    rng = np.random.default_rng(20170118)
    for turn in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED.format(path=sys.path), str(turn % 10)], cwd=tmp_path, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(rng.uniform(0.0, 0.05)))
        process.send_signal(number)
        process.wait(timeout=60)
        process.stdout.close()
        contents = {(folder / name).read_text() for name in ("result.json", "figures/fit.png")}
        assert len(contents) == 1
        assert len(contents.pop()) == 200_000
        assert (folder / "notes.txt").read_text() == "mine"
        assert (folder / "figures" / "photo.jpg").read_text() == "mine"
    write_output(folder, "end")
    write_pattern(PATTERN, tmp_path / "scan.xye")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S1", "scan.xye"]


WRITES: dict[str, Callable[[Path], object]] = {
    "result": lambda place: write_result(make_result(), place, report=True),
    "page": lambda place: write_text(place / "page.html", "xrdcomp" * 30_000),
    "figure": lambda place: write_figure(_figure(), place / "figure.png"),
    **{suffix: lambda place, end=suffix: write_pattern(PATTERN, place / f"scan{end}") for suffix in WRITERS},
}


def _figure() -> object:
    from xrdcomp.present.files import draw_figures

    return draw_figures(make_result())["fit"]


@pytest.mark.parametrize("writer", WRITES)
def test_a_full_disk_ends_in_words_and_changes_nothing(writer: str, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the system refuses the same calls."""
    if writer in (".h5", ".nxs"):
        pytest.importorskip("h5py")
    WRITES[writer](tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path) if (tmp_path / name).is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    heeded = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot be written \(File too large\)"):
            WRITES[writer](tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, heeded)
    after = {name: (tmp_path / name).read_bytes() for name in names(tmp_path) if (tmp_path / name).is_file()}
    assert after == before
