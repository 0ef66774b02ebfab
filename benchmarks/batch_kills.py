"""A batch that is killed at random moments and started again: its results are those of one that nobody disturbed.

    python -m benchmarks.batch_kills [--kills 100] [--seed 20170118] [--dry]

Small specimens (runs of the embedded cohort, and one pattern) are analysed by `xrdcomp batch` with two processes. In
every round a fresh folder is filled by a batch that is killed in the four ways of `WAYS`, each time when it has done a
random number of specimens more and a random time has passed; then it runs to its end. What the ledger says was done
after a kill must not be done again. The table goes to docs/batch.md.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.outputs import RUN
from benchmarks.report import ROOT, machine, put_into_page, sentence, write_rows
from benchmarks.report import Row as Figure
from xrdcomp.batch.run import LEDGER, ledger_files
from xrdcomp.simulate.cohort import load_cohort

PAGE = ROOT / "docs" / "batch.md"
WAYS = ("KILL of the batch", "KILL of all its processes", "TERM of the batch", "KILL of one worker")


def measurements(folder: Path, specimens: int = 8) -> Path:
    """Folder of small specimens: runs, and the pattern of the first."""
    folder.mkdir()
    entries = load_cohort()
    for number in range(specimens):
        entry = entries[number % len(entries)]
        shutil.copy(str(entry.tga), folder / f"S{number}_tga{Path(str(entry.tga)).suffix}")
    shutil.copy(str(entries[0].xrd), folder / f"S0{Path(str(entries[0].xrd)).suffix}")
    return folder


def batch(source: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start a batch in a session of its own."""
    settings = ["--set", "identification.search=false", "--range", "20,50", "--atmosphere", "air", "--fail-on", "never"]
    command = [
        sys.executable,
        "-c",
        RUN,
        "batch",
        str(source),
        "--out",
        str(out),
        "--workers",
        "2",
        "--quiet",
        *settings,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finished(running: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a batch that nobody kills; RuntimeError where it fails."""
    _, said = running.communicate()
    if running.returncode:
        raise RuntimeError(f"exit code {running.returncode}: {said.decode()}")


def kill(running: subprocess.Popen[bytes], way: str) -> bool:
    """Kill in one of the `WAYS` and wait until no process of the batch is left; False where there was none."""
    struck = running.poll() is None
    if struck and way == "KILL of one worker":
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        struck = bool(children)
        if children:
            os.kill(int(children[0]), signal.SIGKILL)  # the batch goes on by itself
    elif struck and way == "KILL of all its processes":
        os.killpg(running.pid, signal.SIGKILL)
    elif struck:
        running.send_signal(signal.SIGKILL if way == "KILL of the batch" else signal.SIGTERM)
    running.communicate()  # returns when no process holds the pipe any more
    return struck


def state(out: Path) -> dict[str, str]:
    """SHA-256 of all that a batch wrote, without the CPU time in tables, and names of what is half-written."""
    found = {}
    for path in sorted(out.rglob("*")):
        if not path.is_file() or LEDGER in path.parts or path.name in ("index.html", ".xrdcomp-files.json"):
            continue
        data = path.read_bytes()
        if path.name.startswith("results.") and path.suffix in (".csv", ".parquet"):
            table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
            data = table.drop(columns="cpu_s").to_csv().encode()
        if path.name == "result.json":
            told = json.loads(data)
            told.pop("provenance", None)
            data = json.dumps(told, sort_keys=True).encode()
        found[path.relative_to(out).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def ledger(out: Path) -> dict[str, int]:
    """Specimens that are done, with the time of their entry."""
    return {path.name: path.stat().st_mtime_ns for path in ledger_files(out)}


def wait_until(running: subprocess.Popen[bytes], out: Path, more: int, delay_s: float) -> None:
    """Wait until a batch has done so many specimens more, then `delay_s`; no longer than it runs."""
    goal = len(ledger(out)) + more
    while running.poll() is None and len(ledger(out)) < goal:
        time.sleep(0.005)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(delay_s)


def study(folder: Path, kills: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row a kill: how, after how many specimens, and, at the last of a round, whether all is as it should be."""
    source = measurements(folder / "measurements")
    finished(batch(source, folder / "calm"))
    expected, random = state(folder / "calm"), np.random.default_rng(seed)
    for first in range(0, kills, len(WAYS)):
        out, again = folder / f"round{first}", 0
        order = [*random.permutation(len(WAYS) - 1).tolist(), len(WAYS) - 1][: kills - first]
        for number, way in enumerate(order, start=1):
            before, more, delay = ledger(out), int(random.integers(0, 3)), float(random.uniform(0.0, 0.3))
            running = batch(source, out)
            # without a specimen to wait for the moment lies somewhere in the start
            wait_until(running, out, more, delay if more else 5.0 * delay)
            struck, after = kill(running, WAYS[way]), ledger(out)
            again += sum(after.get(name) != when for name, when in before.items())
            row = {"way": WAYS[way], "struck": struck, "done": len(after), "again": 0, "equal": None}
            if number < len(order):
                yield row
        last = ledger(out)
        finished(batch(source, out))
        now = ledger(out)
        again += sum(now.get(name) != when for name, when in last.items())
        yield row | {"again": again, "equal": state(out) == expected}
        shutil.rmtree(out)


def summary(rows: list[dict[str, Any]]) -> str:
    """Table by way of killing."""
    lines = ["| way | kills | while it ran | specimens done by then, of 8 | done twice |", "|---|---|---|---|---|"]
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        done = [row["done"] for row in own]
        if own:
            span = f"{min(done)} to {max(done)}, median {np.median(done):g}"
            lines.append(f"| {way} | {len(own)} | {sum(row['struck'] for row in own)} | {span} | |")
    rounds = [row for row in rows if row["equal"] is not None]
    equal, again = sum(row["equal"] for row in rounds), sum(row["again"] for row in rounds)
    lines.append(f"| all | {len(rows)} | {sum(row['struck'] for row in rows)} | | {again} |")
    lines += ["", f"Identical in the end: {equal} of {len(rounds)} folders, each killed up to {len(WAYS)} times."]
    return "\n".join(lines)


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20170118)
    parser.add_argument("--dry", action="store_true", help="print only")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for row in study(Path(folder), asked.kills, asked.seed):
            rows.append(row)
            print(f"{len(rows)}: {row}", file=sys.stderr, flush=True)
    text = summary(rows)
    print(text)
    rounds = [row for row in rows if row["equal"] is not None]
    unequal, again = sum(not row["equal"] for row in rounds), sum(row["again"] for row in rounds)
    if not asked.dry:
        about = machine(command=f"python -m benchmarks.batch_kills --kills {asked.kills}", seed=asked.seed)
        figures = [Figure(name="kills", value=len(rows)),
                   Figure(name="folders that differ in the end", value=unequal, bar="0", holds=not unequal),
                   Figure(name="specimens done twice", value=again, bar="0", holds=not again)]  # fmt: skip
        write_rows("batch_kills", figures, about)
        put_into_page(PAGE, "batch_kills", f"{text}\n\n{sentence(about)}")
    return int(bool(unequal or again))


if __name__ == "__main__":
    sys.exit(main())
