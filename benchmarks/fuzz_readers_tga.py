"""Damaged thermogravimetric files: what the readers do with cut, flipped and rewritten copies.

python -m benchmarks.fuzz_readers_tga [--inputs 20000] [--seconds 600] [--seed 1] [--damaged 2500] [--structured 5000]

Originals are the real files of the folder named by XRDCOMP_FIXTURES (where set) and files of the writers in
tests/tga_writers.py. Part one: cut and flipped copies are refused, told, harmless, or differ only in the values
that were hit; anything else is silent. Part two: arbitrary mutations must end in a run or a ReadError, in time. Part
three: columns, rows, units, counts, blocks and archives are changed as a whole, in files that stay well-formed; what
differs from the original without a message is counted by kind.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests import tga_writers
from tests.tga_damage import STRUCTURES, LateError, cut, flip, judge, limit, restructure, rewrite, verdict
from xrdcomp.data import TgaRun
from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.io.front import read_tga

SLOWEST_S = 5.0


def originals() -> dict[str, bytes]:
    """Files to damage, by name."""
    curve = tga_writers.make_curve()
    found = {f"{name}.txt": write(curve).encode() for name, write in tga_writers.TEXTS.items()}
    found["netzsch_comma.csv"] = tga_writers.netzsch(curve, decimal=",", segments=3).encode("cp1252")
    found["setaram_utf16.txt"] = tga_writers.setaram(curve, change=True).encode("utf-16")
    found["workbook.xlsx"] = tga_writers.workbook(curve)
    folder = os.environ.get("XRDCOMP_FIXTURES")
    if folder:
        for path in sorted((Path(folder) / "tga").rglob("*")):
            if path.is_file():
                found[path.name] = path.read_bytes()
    return found


def read(data: bytes, name: str, folder: Path) -> TgaRun:
    path = folder / name
    path.write_bytes(data)
    run: TgaRun = read_tga(path)
    return run


def damaged_copies(files: dict[str, bytes], count: int, dice: random.Random, folder: Path) -> Iterator[str]:
    """Verdict on each of `count` cut and flipped copies."""
    good: dict[str, TgaRun] = {}
    for name, data in files.items():
        try:
            good[name] = read(data, name, folder)
        except (ReadError, MissingExtraError):
            continue
    names = sorted(good)
    for number in range(count):
        name = names[number % len(names)]
        way = cut if number % 2 else flip
        data, hits = way(files[name], dice)
        try:
            with limit(SLOWEST_S):
                run = read(data, name, folder)
            result = verdict(run, good[name], hits, at_row_end=data.endswith((b"\n", b"\r")))
        except ReadError:
            result = "refused"
        except LateError:
            (folder / f"hang_{number}_{name}").write_bytes(data)
            result = "hang"
        if result == "silent":
            (folder / f"silent_{number}_{name}").write_bytes(data)
            print(f"silent: {way.__name__} of {name}, kept as silent_{number}_{name}")
        yield f"{way.__name__} {result}"


def structured_copies(
    files: dict[str, bytes], count: int, dice: random.Random, folder: Path
) -> Iterator[tuple[str, str]]:
    """Kind and outcome of each of `count` copies that are wrong as a whole."""
    good: dict[str, TgaRun] = {}
    for name, data in files.items():
        try:
            good[name] = read(data, name, folder)
        except (ReadError, MissingExtraError):
            continue
    names, done = sorted(good), 0
    while done < count:
        kind, name = STRUCTURES[done % len(STRUCTURES)], dice.choice(names)
        copy = restructure(files[name], dice, kind)
        done += copy is not None or dice.random() < 0.05  # a kind that no file allows does not stop the rest
        if copy is None:
            continue
        suffix = {"gz": ".gz", "bz": ".bz2"}.get(kind[:2], "")
        try:
            with limit(SLOWEST_S):
                outcome = judge(read(copy, f"copy_{name}{suffix}", folder), good[name])
        except ReadError as problem:
            unforeseen = problem.reason.startswith("the content does not follow the format")
            outcome = "not foreseen" if unforeseen else "refused"
        except LateError:
            outcome = "hang"
        if outcome in ("hang", "not foreseen"):
            (folder / f"structured_{done}_{name}").write_bytes(copy)
        if outcome in ("silent", "a check could see it"):
            (folder / f"{outcome.replace(' ', '_')}_{kind.replace(' ', '_')}_{name}").write_bytes(copy)
        yield kind, outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--damaged", type=int, default=2_500)
    parser.add_argument("--structured", type=int, default=5_000)
    parser.add_argument(
        "--largest", type=int, default=400_000, help="bytes of a file that is rewritten or restructured"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None, help="folder for inputs that fail")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    files = originals()
    counts = Counter(damaged_copies(files, given.damaged, random.Random(given.seed), folder))
    for name, number in sorted(counts.items()):
        print(f"{name:20s} {number}")
    dice, start, worst, done, bad = random.Random(given.seed + 1), time.monotonic(), 0.0, 0, 0
    outcomes: Counter[str] = Counter()
    small = {name: data for name, data in files.items() if len(data) < given.largest} or files
    while done < given.inputs and time.monotonic() - start < given.seconds:
        name = dice.choice(sorted(small))
        data = rewrite(small[name], dice)
        began = time.process_time()
        try:
            with limit(SLOWEST_S):
                read(data, name, folder)
            outcomes["run"] += 1
        except ReadError as problem:
            unforeseen = problem.reason.startswith("the content does not follow the format")
            outcomes["refused as not foreseen" if unforeseen else "refused"] += 1
            if unforeseen:
                (folder / f"unforeseen_{done}_{name}").write_bytes(data)
                print(f"unforeseen_{done}_{name}: {problem.reason}")
        except LateError:
            bad += 1
            (folder / f"hang_{done}_{name}").write_bytes(data)
            print(f"hang_{done}_{name}")
        except MissingExtraError:
            outcomes["extra missing"] += 1
        except Exception:  # noqa: BLE001 - what is counted here
            bad += 1
            (folder / f"crash_{done}_{name}").write_bytes(data)
            print(f"crash_{done}_{name}")
            traceback.print_exc()
        took = time.process_time() - began
        if took > max(0.5, worst):
            (folder / f"slow_{done}_{name}").write_bytes(data)
            print(f"slow_{done}_{name}: {took:.2f} s")
        worst = max(worst, took)
        done += 1
    target = Path(__file__).parent / "results"
    target.mkdir(exist_ok=True)
    kinds: Counter[tuple[str, str]] = Counter()
    copies = structured_copies(small, given.structured, random.Random(given.seed + 2), folder)
    for number, judged in enumerate(copies, 1):
        kinds[judged] += 1
        if judged[1] in ("hang", "a check could see it"):
            print(*judged, flush=True)
        if number % 1000 == 0 or number == given.structured:  # a study that is stopped has its counts
            listed = {kind: {outcome: n for (of, outcome), n in kinds.items() if of == kind} for kind in STRUCTURES}
            text = json.dumps({"copies": number, "seed": given.seed, "table": listed}, indent=1)
            (target / f"structured_runs_{given.seed}.json").write_text(text + "\n")
    for kind in STRUCTURES:
        print(f"{kind:35s}", {outcome: n for (of, outcome), n in sorted(kinds.items()) if of == kind})
    hangs = sum(n for (_, outcome), n in kinds.items() if outcome == "hang")
    bad += hangs
    print(f"{done} inputs, {dict(outcomes)}, {bad} other exceptions, slowest {worst:.2f} s")
    silent = sum(number for name, number in counts.items() if name.endswith("silent"))
    rows = [
        {"name": "tga damaged copies silent", "value": silent, "unit": "files", "bar": 0, "holds": silent == 0},
        {"name": "tga fuzz other exceptions", "value": bad, "unit": "inputs", "bar": 0, "holds": bad == 0},
        {"name": "tga fuzz slowest", "value": worst, "unit": "s", "bar": SLOWEST_S, "holds": worst <= SLOWEST_S},
        {"name": "tga fuzz inputs", "value": done, "unit": "inputs", "bar": None, "holds": True},
    ]
    rows += [{"name": f"tga {k}", "value": v, "unit": "files", "bar": None, "holds": True} for k, v in counts.items()]
    rows += [
        {"name": f"tga {kind}: {outcome}", "value": n, "unit": "files", "bar": None, "holds": True}
        for (kind, outcome), n in sorted(kinds.items())
    ]
    record = {"machine": platform.platform(), "python": platform.python_version(), "numpy": np.__version__}
    (target / "fuzz_readers_tga.json").write_text(json.dumps(rows, indent=1) + "\n")
    (target / "fuzz_readers_tga.machine.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0 if silent == 0 and bad == 0 and worst <= SLOWEST_S else 1


if __name__ == "__main__":
    sys.exit(main())
