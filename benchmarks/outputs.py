"""Kills and full disks: what was written before is whole afterwards, and nothing of others is lost.

python -m benchmarks.outputs [--kills N] [--only NAME] [--skip NAME,NAME]

Every command that writes runs over an earlier good output with files of others beside it, and is killed (KILL and TERM
by turns) at a random moment of its run; then it runs to its end once. Every writer then runs out of space: on a small
file system of its own where one can be mounted, else under a limit on the size of files, for which the system refuses
the same calls. The table goes to docs/outputs.md.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.report import put_into_page
from xrdcomp.disk import LIST
from xrdcomp.simulate.cohort import load_cohort

PAGE = Path(__file__).resolve().parents[1] / "docs" / "outputs.md"
RUN = "from xrdcomp.cli.start import start; start()"
SEED = 20170118
_DATED = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
OTHERS = {"notes.txt": b"of the user", "raw/scan.xy": b"1 2\n3 4\n", "figures/photo.jpg": bytes(range(256))}
SPACE, FILLER = 64 * 1024, "filler"  # bytes of the small file system, and what fills it


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A command that writes: its arguments, where it writes, and whether that is a folder."""

    name: str
    arguments: tuple[str, ...]
    target: str
    folder: bool = False


def writers(made: Path) -> tuple[Writer, ...]:
    """Every command that writes, on embedded specimens, on results of one in `made`, and on fixtures where they are."""
    entry = next(entry for entry in load_cohort() if entry.specimen_id == "sim01_solid")
    scan, run = str(entry.xrd), str(entry.tga)
    quick = ("--set", "identification.search=false", "--quiet", "--out", "out", "--sample-id", "S1")
    mixture = (f"{scan}:0.3", "--set", "identification.search=false", "--phases", "hydroxyapatite")
    ends = ("xy", "xye", "csv", "cif") + (("nxs",) if find_spec("h5py") else ())
    return (
        Writer(
            name="analyze", arguments=("analyze", scan, "--tga", run, "--report", *quick), target="out/S1", folder=True
        ),
        Writer(name="tga", arguments=("tga", run, *quick), target="out/S1", folder=True),
        Writer(name="demo", arguments=("demo", "--quiet", "--out", "out"), target="out", folder=True),
        Writer(name="simulate", arguments=("simulate", "--quiet", "--out", "out"), target="out", folder=True),
        *(
            Writer(name=f"convert to {end}", arguments=("convert", scan, f"scan.{end}"), target=f"scan.{end}")
            for end in ends
        ),
        Writer(
            name="calibrate-amorphous", arguments=("calibrate-amorphous", *mixture, "-o", "k.toml"), target="k.toml",
        ),
        Writer(name="inspect --figure", arguments=("inspect", scan, "--figure", "scan.png"), target="scan.png"),
        Writer(name="report", arguments=("report", str(made), "--out", "page.html"), target="page.html"),
        Writer(name="figure", arguments=("figure", str(made), "--kind", "tga", "-o", "a.svg"), target="a.svg"),
        *(
            Writer(name=f"export to {end}", arguments=("export", str(made), "-o", f"a.{end}"), target=f"a.{end}")
            for end, needs in {"xlsx": "xlsxwriter", "csv": "csv", "parquet": "pyarrow", "tex": "csv"}.items()
            if find_spec(needs)
        ),
        *_on_fixtures(),
    )  # fmt: skip


def _on_fixtures() -> tuple[Writer, ...]:
    """Writers that need files which are not embedded: a standard's scan, a frame (and pyFAI)."""
    folder = os.environ.get("XRDCOMP_FIXTURES")
    if not folder:
        return ()
    scan, image = Path(folder) / "xrd/pdcif/nist_srm660c_100a.cif", Path(folder) / "xrd/image2d/CeO2_Pilatus1M"
    calibrate = ("calibrate", str(scan), "--standard", "srm660c", "--refine-cell", "-o", "i.toml")
    integrate = ("integrate", f"{image}.tif.bz2", "--poni", f"{image}.poni", "--orientation", "2", "--points", "600")
    return (
        Writer(name="calibrate", arguments=calibrate, target="i.toml"),
        *((Writer(name="integrate", arguments=(*integrate, "-o", "o.xye"), target="o.xye"),)
          if find_spec("pyFAI") else ()),
    )  # fmt: skip


def command(writer: Writer, place: Path) -> subprocess.Popen[bytes]:
    """Start a writer in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *writer.arguments], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True, env=os.environ | {"XRDCOMP_WORKERS": "2"},
    )  # fmt: skip


def state(place: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = (path for path in place.rglob("*") if path.is_file() and not path.is_symlink())
    # pages say when they were written, and the list of a folder holds their sums
    read = {path.relative_to(place).as_posix(): _DATED.sub(b"", path.read_bytes()) for path in files}
    return {name: hashlib.sha256(b"" if Path(name).name == LIST else data).hexdigest() for name, data in read.items()}


def own(place: Path, others: dict[str, str]) -> dict[str, str]:
    """State without the files of others, and without what a kill left beside the target."""
    found = {name: digest for name, digest in state(place).items() if name not in others}
    return {
        name: digest
        for name, digest in found.items()
        if not any(part.startswith(".") and ".partial" in part for part in name.split("/"))
    }


def beside(place: Path, writer: Writer) -> dict[str, str]:
    """Put files of others where the writer writes; return them with their SHA-256."""
    root = place / writer.target if writer.folder else place
    if writer.name == "demo":
        root = place / "out" / "sim01_solid"
    for name, content in OTHERS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return {
        (root / name).relative_to(place).as_posix(): hashlib.sha256(data).hexdigest() for name, data in OTHERS.items()
    }


@dataclass(frozen=True, kw_only=True)
class Result:
    """Kills of one writer, and what was wrong after them."""

    name: str
    kills: int
    faults: tuple[str, ...]
    seconds: float


def study(writer: Writer, kills: int, rng: np.random.Generator) -> Result:
    """Kill a writer again and again over its own earlier output."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        start = time.monotonic()
        first = command(writer, place)
        first.communicate()
        seconds = time.monotonic() - start
        if first.returncode not in (0, 1):
            return Result(name=writer.name, kills=0, faults=("does not run",), seconds=seconds)
        others = beside(place, writer)
        good = own(place, others)  # the same input gives the same bytes, so that old and new are one state
        units = {name.split("/")[1] if name.count("/") else name for name in good}
        for turn in range(kills):
            process = command(writer, place)
            # half of the kills fall near the end, where files are exchanged
            low = 0.0 if turn % 4 < 2 else 0.7
            time.sleep(float(rng.uniform(low, 1.02)) * seconds)
            process.send_signal(signal.SIGTERM if turn % 2 else signal.SIGKILL)
            _, told = process.communicate()
            if turn % 2 and process.returncode not in (143, 0, 1, -signal.SIGTERM):
                faults.append(f"SIGTERM ended with {process.returncode}")
            now = state(place)
            faults += [f"lost {name}" for name, digest in others.items() if now.get(name) != digest]
            kept = own(place, others)
            if kept != good:
                faults.append(f"not whole: {sorted(set(kept.items()) ^ set(good.items()))[:2]}")
            if b"Traceback" in told:
                faults.append(f"traceback {told.decode(errors='replace')[-300:]!r}")
            time.sleep(0.5)
            if left := _of_session(process.pid):
                faults.append(f"{len(left)} processes left")
        last = command(writer, place)
        last.communicate()
        if last.returncode not in (0, 1):
            faults.append(f"the next run ended with {last.returncode}")
        faults += [f"left beside: {name}" for name in state(place) if ".partial" in name or ".old" in name]
        if own(place, others) != good or not units:
            faults.append("the next run is another")
    return Result(name=writer.name, kills=kills, faults=tuple(dict.fromkeys(faults)), seconds=seconds)


def _of_session(session: int) -> list[int]:
    """Processes of a session that still run (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(folder.name))
    return found


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system of `SPACE` bytes that is full, None where none may be mounted."""
    with tempfile.TemporaryDirectory() as folder:
        call = ctypes.CDLL(None, use_errno=True)
        mounted = call.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={SPACE}".encode()) == 0
        if mounted:  # to the last byte
            with Path(folder, FILLER).open("wb", buffering=0) as stream, contextlib.suppress(OSError):
                while True:
                    stream.write(bytes(512))
        try:
            yield Path(folder) if mounted else None
        finally:
            if mounted:
                call.umount2(os.fsencode(folder), 2)


def full_disk(writer: Writer) -> str:
    """Let a writer run out of space; "" where it ends with 2, a sentence, and leaves nothing."""
    with small_disk() as disk, tempfile.TemporaryDirectory() as folder:
        place = disk or Path(folder)

        def limit() -> None:
            if disk is None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))

        process = subprocess.run(
            [sys.executable, "-c", RUN, *writer.arguments], cwd=place, capture_output=True, check=False,
            preexec_fn=limit, env=os.environ | {"XRDCOMP_WORKERS": "1"},
        )  # fmt: skip
        told = process.stderr.decode(errors="replace").strip().splitlines()
        if process.returncode != 2 or not told or "cannot be written" not in told[-1]:
            return f"exit {process.returncode}: {told[-1][:120] if told else ''}"
        left = sorted(set(state(place)) - {FILLER})
        return f"left {left[:3]}" if left else ""


def main() -> None:
    """Run the study and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", default="", help="names of writers, separated by commas")
    asked = parser.parse_args()
    rng = np.random.default_rng(SEED)
    head = ("writer", "kills", "faults", "full disk")
    rows, good = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"], True
    with tempfile.TemporaryDirectory() as folder:
        entry = next(entry for entry in load_cohort() if entry.specimen_id == "sim01_solid")
        made = ("tga", str(entry.tga), "--quiet", "--out", folder, "--sample-id", "S1")
        subprocess.run([sys.executable, "-c", RUN, *made], check=False, stdout=subprocess.DEVNULL)
        for writer in writers(Path(folder) / "S1"):
            if asked.only not in writer.name or writer.name in asked.skip.split(","):
                continue
            found, full = study(writer, asked.kills, rng), full_disk(writer)
            good = good and not found.faults and not full
            cells = (writer.name, found.kills, len(found.faults), full or "exit 2, a sentence, nothing left")
            rows.append(f"| {' | '.join(map(str, cells))} |")
            print(rows[-1], f"({found.seconds:.1f} s a run)", *found.faults[:4], flush=True)
    if not asked.only and asked.kills >= 100:
        put_into_page(PAGE, "kills", "\n".join(rows))
    sys.exit(not good)


if __name__ == "__main__":
    main()
