"""Time to read a scan of 10 001 points in each diffraction format: CPU time, best of nine, file cache warm.

python benchmarks/speed_readers.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fuzz_readers import row, write_rows
from tests import xrd_writers
from xrdcomp.readers import read_xrd

ZIPPED = {"brml", "rasx"}
BAR_MS, BAR_ZIPPED_MS = 20.0, 60.0


def main() -> int:
    scan = xrd_writers.example(10_001, start=10.0, step=0.01)
    more = {"gsas FXYE": ("fxye", xrd_writers.gsas_fxye), "gsas ESD": ("gsa", xrd_writers.gsas_esd)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, write) in sorted((xrd_writers.WRITERS | more).items()):
            path = Path(folder) / f"scan.{suffix}"
            path.write_bytes(write(scan))
            best = float("inf")
            for _ in range(9):
                start = time.process_time()
                read_xrd(path)
                best = min(best, time.process_time() - start)
            rows.append(
                row(
                    f"read 10 001 points, {name}",
                    round(1e3 * best, 2),
                    "ms",
                    BAR_ZIPPED_MS if name in ZIPPED else BAR_MS,
                )
            )
    write_rows("speed_readers", rows, {"points": scan.n, "clock": "CPU time, best of nine"})
    return 0 if all(each["holds"] for each in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
