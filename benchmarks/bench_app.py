"""The bench app's promises of time and size: start to first page, feedback on dropped files, size of the extra.

python -m benchmarks.bench_app

Wall time and, beside it, CPU time, since a busy machine lengthens the former; least of several repeats. Files are those
of XRDCOMP_FIXTURES that are a pattern or a run, each dropped once into a running app.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.fuzz_readers import row, write_rows
from tests.app_client import App

REPEATS = 5
MOST_FILES = 60
START_S, FEEDBACK_S, EXTRA_MB = 1.0, 0.5, 20.0


def cpu_of(pid: int) -> float:
    """CPU time of a process and its threads, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_times(folder: Path) -> tuple[float, float]:
    """Wall and CPU time from the command to the first page, least of the repeats."""
    walls, cpus = [], []
    for number in range(REPEATS):
        began = time.perf_counter()
        app = App(folder / f"start{number}")
        try:
            assert app.ask("GET", "/").status == 200
            walls.append(time.perf_counter() - began)
            cpus.append(cpu_of(app.process.pid))
        finally:
            app.stop()
    return min(walls), min(cpus)


def feedback_times(folder: Path, fixtures: Path) -> list[tuple[float, float, str]]:
    """Wall and CPU time of each dropped file until the app says what it is, and its name."""
    files = [file for kind in ("xrd", "tga") for file in sorted((fixtures / kind).rglob("*"))
             if file.is_file() and file.stat().st_size < 64 * 2**20]  # fmt: skip
    step = max(1, len(files) // MOST_FILES)
    app, found = App(folder / "files"), []
    try:
        app.put("first.xy", b"".join(b"%d 5\n" % n for n in range(10, 90)))  # modules are loaded by the first file
        for number, file in enumerate(files[::step]):
            before, began = cpu_of(app.process.pid), time.perf_counter()
            answer = app.put(f"{number}_{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)}", file.read_bytes())
            wall = time.perf_counter() - began
            assert answer.status == 200, answer.text
            found.append((wall, cpu_of(app.process.pid) - before, file.relative_to(fixtures).as_posix()))
            time.sleep(0.03)
    finally:
        app.stop()
    return sorted(found)


def needed(name: str, found: dict[str, int]) -> dict[str, int]:
    """Bytes of a package and of all that it requires, by name."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return found
    try:
        package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return found
    sizes = [file.locate() for file in package.files or ()]
    found[key] = sum(Path(str(file)).stat().st_size for file in sizes if Path(str(file)).exists())
    for requirement in package.requires or ():
        if "extra ==" not in requirement:
            needed(re.split(r"[\s<>=!~;\[(]", requirement)[0], found)
    return found


def extra_megabytes() -> float:
    """What the extra adds to an installation of the core, MB, compiled files included."""
    project = importlib.metadata.distribution("xrdcomp").requires or ()
    core: dict[str, int] = {}
    own: dict[str, int] = {}
    for requirement in project:
        name = re.split(r"[\s<>=!~;\[(]", requirement)[0]
        if "extra ==" not in requirement:
            needed(name, core)
    for name in ("starlette", "uvicorn"):
        needed(name, own)
    return sum(size for name, size in own.items() if name not in core) / 1e6


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        wall, cpu = start_times(folder)
        rows = [
            row("start to first page", round(wall, 2), "s", START_S),
            row("start to first page, CPU", round(cpu, 2), "s", START_S),
            row("what the extra adds", round(extra_megabytes(), 1), "MB", EXTRA_MB),
        ]
        if fixtures := os.environ.get("XRDCOMP_FIXTURES"):
            found = feedback_times(folder, Path(fixtures))
            walls, cpus = [wall for wall, _, _ in found], [cpu for _, cpu, _ in found]
            for name, times in (("feedback on a file", walls), ("feedback on a file, CPU", sorted(cpus))):
                late = sum(value > FEEDBACK_S for value in times)
                rows += [
                    row(f"{name}, median of {len(times)}", round(statistics.median(times), 3), "s", FEEDBACK_S),
                    row(f"{name}, largest", round(times[-1], 2), "s", FEEDBACK_S),
                    row(f"{name}, later than {FEEDBACK_S} s", late, f"of {len(times)}", 0),
                ]
            print("slowest:", *(f"{wall:.2f} s ({cpu:.2f} s CPU) {name}" for wall, cpu, name in found[-6:]), sep="\n  ")
    write_rows("bench_app", rows, {"repeats": REPEATS})
    return 0 if all(item["holds"] for item in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
