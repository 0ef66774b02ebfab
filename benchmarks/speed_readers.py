"""Time to read 10 000 points in each text and binary format: CPU time, best of nine, file cache warm.

python -m benchmarks.speed_readers
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.fuzz_readers import row, write_rows
from tests import tga_writers, xrd_writers
from xrdcomp.io.front import read_tga, read_xrd

ZIPPED = {"brml", "rasx"}
BAR_MS, BAR_ZIPPED_MS = 20.0, 60.0


TGA_WRITERS: dict[str, Callable[..., str]] = {
    "netzsch_text": tga_writers.netzsch,
    "ta_universal": tga_writers.ta_universal,
    "ta_trios": tga_writers.trios,
    "mettler_stare, heat flow beside it": tga_writers.mettler,
    "perkinelmer_pyris": tga_writers.perkinelmer,
    "setaram": tga_writers.setaram,
    "shimadzu_text": tga_writers.shimadzu,
    "hitachi_text": tga_writers.hitachi,
    "tga_csv": tga_writers.table,
}


def best_of_nine(read: Callable[[Path], object], path: Path) -> float:
    """CPU time of the quickest of nine readings, ms."""
    best = float("inf")
    for _ in range(9):
        start = time.process_time()
        read(path)
        best = min(best, time.process_time() - start)
    return round(1e3 * best, 2)


def main() -> int:
    scan = xrd_writers.example(10_001, start=10.0, step=0.01)
    more = {"gsas FXYE": ("fxye", xrd_writers.gsas_fxye), "gsas ESD": ("gsa", xrd_writers.gsas_esd)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, write) in sorted((xrd_writers.WRITERS | more).items()):
            path = Path(folder) / f"scan.{suffix}"
            path.write_bytes(write(scan))
            bar = BAR_ZIPPED_MS if name in ZIPPED else BAR_MS
            rows.append(row(f"read 10 001 points, {name}", best_of_nine(read_xrd, path), "ms", bar))
        curve = tga_writers.make_curve(10_000)
        for name, write_run in TGA_WRITERS.items():
            path = Path(folder) / "run.txt"
            path.write_text(write_run(curve), encoding="utf-16" if name == "setaram" else "utf-8")
            rows.append(row(f"read 10 000 points of a run, {name}", best_of_nine(read_tga, path), "ms", BAR_MS))
    write_rows("speed_readers", rows, {"points": scan.n, "clock": "CPU time, best of nine"})
    return 0 if all(each["holds"] for each in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
