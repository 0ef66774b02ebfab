"""A synthetic map through a local Dask cluster of two workers, one of them killed half way, and rates without Dask.

    python -m benchmarks.maps [--rows 250] [--columns 200] [--points 2501] [--rate 400] [--dry]

The map (two phases, amounts and a cell that change from place to place, counting noise) is written as NeXus and fitted
twice: by a cluster that nobody disturbs and by one of whose two workers one is killed when half of the chunks are done.
Both tables must be identical. Memory is the largest resident set of any worker, sampled at every chunk. Rates are CPU
seconds of `--rate` patterns in one process, and wall time with one and two. Writes ``benchmarks/results/maps.json`` and
the table of docs/howto/on-a-cluster.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.report import RESULTS, ROOT, Row, at_least, at_most, machine, put_into_page, sentence, table, write_rows
from benchmarks.series_map import write_map
from xrdcomp.batch.chunks import SeriesRun, chunk_of, start_run
from xrdcomp.batch.cluster import WITHOUT_PROFILES
from xrdcomp.recipe import Recipe

PAGE = ROOT / "docs" / "howto" / "on-a-cluster.md"
PHASES = ("fluorapatite", "calcite")
BAR_MB = 600.0
NAMES = {1: "1 process", 2: "2 processes"}


def start(source: Path, target: Path, **given: Any) -> SeriesRun:
    """Run of the map with the same settings throughout."""
    return start_run(source, target, Recipe.of(phases=PHASES), **given)


def resident_mb() -> float:
    """Resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def through_dask(source: Path, target: Path, *, kill: bool) -> dict[str, float]:
    """Fit the map on two workers; with `kill`, one of them by SIGKILL when half of the chunks are done."""
    distributed: Any = importlib.import_module("distributed")
    config: Any = importlib.import_module("dask.config")
    with (
        config.set(WITHOUT_PROFILES),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        run = start(source, target, scheduler=cluster.scheduler_address)
        begun, largest, first = time.monotonic(), 0.0, 0.0
        for number, _ in enumerate(run.work()):
            if kill and number == run.chunks // 2:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            elif number % 5 == 0:
                now = max(client.run(resident_mb, on_error="ignore").values(), default=0.0)
                largest, first = max(largest, now), now if number == 5 else first
        spent = client.run(time.process_time, on_error="ignore").values()
        return {"wall_s": time.monotonic() - begun, "mb": largest, "mb_early": first, "cpu_s": float(sum(spent)),
                "own_mb": resident_mb()}  # fmt: skip


def rate(source: Path, folder: Path, workers: int) -> tuple[float, float]:
    """CPU and wall seconds of a whole series with so many processes, the common fit left out."""
    run = start(source, folder / f"rate{workers}.parquet", workers=workers)
    cpu, wall = os.times(), time.monotonic()
    for _ in run.work():
        pass
    now = os.times()
    spent = now.user + now.system + now.children_user + now.children_system
    before = cpu.user + cpu.system + cpu.children_user + cpu.children_system
    return spent - before, time.monotonic() - wall


def study(folder: Path, shape: tuple[int, int], points: int, n_rate: int) -> list[Row]:
    """All figures, with their bars."""
    n = shape[0] * shape[1]
    source = write_map(folder / "map.h5", shape, n=points)
    small = write_map(folder / "rate.h5", (n_rate,), n=points)
    rows = [
        Row(name="patterns of the map", value=n),
        Row(name="points of a pattern", value=points),
        Row(name="the map as counts in HDF5", value=source.stat().st_size / 2**20, unit="MB"),
    ]
    seconds = {workers: rate(small, folder, workers) for workers in NAMES}
    rows += [
        Row(name=f"patterns per CPU second, {text}", value=n_rate / seconds[k][0], unit="/s")
        for k, text in NAMES.items()
    ]
    rows += [
        Row(name=f"patterns per second of wall time, {text}", value=n_rate / seconds[k][1], unit="/s")
        for k, text in NAMES.items()
    ]
    rows.append(Row(name="wall time of one process over that of two", value=seconds[1][1] / seconds[2][1]))
    calm = through_dask(source, folder / "calm.parquet", kill=False)
    rows += [
        Row(name="map on two Dask workers: patterns per CPU second of the workers", value=n / calm["cpu_s"], unit="/s"),
        Row(name="map on two Dask workers: patterns per second of wall time", value=n / calm["wall_s"], unit="/s"),
        at_most("largest resident set of a worker", calm["mb"], BAR_MB, "MB"),
        at_most("growth of a worker from the sixth chunk to the largest", calm["mb"] - calm["mb_early"], 50.0, "MB"),
        Row(name="resident set of the process that asks", value=calm["own_mb"], unit="MB"),
    ]
    shaken = through_dask(source, folder / "shaken.parquet", kill=True)
    whole, other = pq.read_table(folder / "calm.parquet"), pq.read_table(folder / "shaken.parquet")
    rows += [
        at_most("largest resident set, one worker killed half way", shaken["mb"], BAR_MB, "MB"),
        at_least("rows, one worker killed half way", float(len(other)), float(n)),
        Row(name="tables with and without the kill are identical", value=float(whole.equals(other)), bar="1",
            holds=whole.equals(other)),
        Row(name="table", value=(folder / "calm.parquet").stat().st_size / n, unit="bytes a pattern"),
    ]  # fmt: skip
    return rows


PRICE = 0.05
"""Of a core for an hour, in euro or dollar: an assumption of the right size for rented machines."""
MAP, CHUNK = 10**8, chunk_of(10**8)


def worked(rows: list[Row]) -> str:
    """Work through a map of 10⁸ patterns from the figures measured."""
    value = {row.name: row.value for row in rows}
    points, cpu = value["points of a pattern"], value["patterns per CPU second, 1 process"]
    hours = MAP / cpu / 3600.0
    resident = value["largest resident set of a worker"] + 2.0 * CHUNK * points * 8.0 / 2**20
    raw, table_gb = MAP * points * 2 / 1e9, MAP * value["table"] / 1e9
    rows_of_table = [
        ("fits", f"10⁸ / ({cpu:.0f} patterns per CPU second, at {points:.0f} points)", f"{hours:.0f} core hours"),
        ("with 2 workers", "if each has a core for itself", f"{hours / 48:.0f} days"),
        ("with 100 workers", "the same", f"{hours / 100:.1f} hours"),
        ("with 1000 workers", "the same", f"{hours / 1000:.2f} hours"),
        ("measurements", f"{points:.0f} × 2 bytes, not compressed", f"{raw:.0f} GB"),
        ("reading them with 1000 workers", "at the rate of the fits", f"{cpu * points * 2e3 / 1e6:.0f} MB/s"),
        ("results", f"{value['table']:.0f} bytes a pattern", f"{table_gb:.0f} GB; twice, put into one file"),
        ("chunks", f"{CHUNK} patterns each", f"{MAP // CHUNK} tasks and partitions of {CHUNK / cpu:.0f} s"),
        ("memory of a worker", "measured, and a chunk twice in double precision", f"{resident:.0f} MB"),
        ("hashing after a kill", "at most all is read once more", f"{raw:.0f} GB by all workers"),
        ("cost", f"{PRICE:g} per core hour (assumed)", f"{hours * PRICE:.0f}"),
    ]
    lines = ["| what | how | how much |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows_of_table)]
    return "\n".join(lines)


def write_page(rows: list[Row], about: dict[str, Any]) -> None:
    """Put the figures, and what follows for a large map, into the page."""
    put_into_page(PAGE, "maps", f"{table(rows)}\n\n{sentence(about)}")
    put_into_page(PAGE, "worked", worked(rows))


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 250), ("columns", 200), ("points", 2501), ("rate", 400)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--again", action="store_true", help="write the page from the stored figures")
    parser.add_argument("--dry", action="store_true", help="print only")
    asked = parser.parse_args()
    if asked.again:
        stored = [Row(**item) for item in json.loads((RESULTS / "maps.json").read_text(encoding="utf-8"))]
        about = json.loads((RESULTS / "maps.machine.json").read_text(encoding="utf-8"))
        write_page(stored, about)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = study(Path(folder), (asked.rows, asked.columns), asked.points, asked.rate)
    about = machine(command=f"python -m benchmarks.maps --rows {asked.rows} --columns {asked.columns} "
                            f"--points {asked.points} --rate {asked.rate}", seed=1)  # fmt: skip
    print(table(rows))
    if not asked.dry:
        write_rows("maps", rows, about)
        write_page(rows, about)
    return int(not all(row.holds in (None, True) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
