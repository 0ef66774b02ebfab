"""Feed damaged files to every diffraction reader and count what happens.

    python -m benchmarks.fuzz_readers --inputs 100000           # any exception but ReadError is a defect
    python -m benchmarks.fuzz_readers --damage 2500             # cut and flipped copies of real files: table
    python -m benchmarks.fuzz_readers --structured 20000        # changed as a whole, well-formed: silent by kind

Seeds are the files of the folder that XRDCOMP_FIXTURES names, small ones first, and one file of every
writer in tests/xrd_writers.py. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.mutations import cut, flip_bytes, mutate
from tests import xrd_writers
from tests.xrd_damage import STRUCTURES, restructure
from tests.xrd_damage import judge as judge_structure
from xrdcomp.data import Pattern
from xrdcomp.errors import ReadError, XrdcompError
from xrdcomp.io.front import read_xrd_scans
from xrdcomp.io.registry import XrdReader, all_readers

LARGEST_SEED = 120_000
SLOW_SECONDS = 5.0


@dataclass(frozen=True)
class Seed:
    name: str
    data: bytes
    real: bool


def seeds(largest: int = LARGEST_SEED) -> list[Seed]:
    found = [
        Seed(f"writer.{suffix}", write(xrd_writers.example(121)), real=False)
        for suffix, write in xrd_writers.WRITERS.values()
    ]
    folder = os.environ.get("XRDCOMP_FIXTURES")
    if folder:
        paths = (path for path in sorted((Path(folder) / "xrd").rglob("*")) if path.is_file())
        small = (path for path in paths if path.stat().st_size <= largest)
        found += [Seed(str(path.relative_to(folder)), path.read_bytes(), real=True) for path in small]
    return found


def attempt(path: Path, format_id: str | None) -> str:
    try:
        read_xrd_scans(path, format=format_id)
    except ReadError:
        return "refused"
    except XrdcompError as other:
        return f"DEFECT {type(other).__name__}"
    except BaseException as crash:  # noqa: BLE001 - that is what is being counted
        return f"DEFECT {type(crash).__name__}: {crash}"
    return "read"


def fuzz(inputs: int, seconds: float, seed: int) -> dict[str, object]:
    rng = random.Random(seed)
    pool = seeds()
    formats = [reader.id for reader in all_readers() if isinstance(reader, XrdReader)]
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    defects: list[str] = []
    slowest = 0.0
    began = time.monotonic()
    done = 0
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder) / "defects"
        keep.mkdir()
        while done < inputs or time.monotonic() - began < seconds:
            chosen, other = rng.choice(pool), rng.choice(pool)
            kind, data = mutate(chosen.data, rng, other.data)
            if rng.random() < 0.2:
                again, data = mutate(data, rng, other.data)
                kind = f"{kind}+{again}"
            path = Path(folder) / f"input{Path(chosen.name).suffix}"
            path.write_bytes(data)
            format_id = rng.choice(formats) if rng.random() < 0.15 else None
            start = time.process_time()
            outcome = attempt(path, format_id)
            took = time.process_time() - start
            slowest = max(slowest, took)
            if outcome.startswith("DEFECT") or took > SLOW_SECONDS:
                defects.append(f"{chosen.name} {kind} format={format_id} {took:.1f} s: {outcome}")
                (Path(tempfile.gettempdir()) / f"xrdcomp-defect-{len(defects)}{path.suffix}").write_bytes(data)
            outcomes[outcome if not outcome.startswith("DEFECT") else "defect"] += 1
            kinds[kind.partition("+")[0]] += 1
            done += 1
            if done % 5000 == 0:
                print(f"{done} inputs, {time.monotonic() - began:.0f} s, {dict(outcomes)}", flush=True)
    return {
        "inputs": done,
        "seconds": round(time.monotonic() - began, 1),
        "seeds": len(pool),
        "read": outcomes["read"],
        "refused": outcomes["refused"],
        "defects": defects,
        "slowest_s": round(slowest, 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def same(one: Pattern, other: Pattern) -> bool:
    return np.array_equal(one.two_theta, other.two_theta) and np.array_equal(one.intensity, other.intensity)


def warned(one: Pattern, original: Pattern) -> bool:
    """Whether a warning is there that the undamaged file does not have."""
    before = {(note.code, note.text) for note in original.messages}
    return any(note.severity == "warning" and (note.code, note.text) not in before for note in one.messages)


def judge(path: Path, originals: tuple[Pattern, ...]) -> str:
    """Classify what became of a damaged copy."""
    try:
        patterns = read_xrd_scans(path)
    except ReadError:
        return "refused"
    if len(patterns) != len(originals):
        return "other number of scans"
    pairs = list(zip(patterns, originals, strict=True))
    if all(same(one, original) for one, original in pairs):
        return "equal"
    if any(warned(one, original) for one, original in pairs):
        return "warned"
    for one, original in pairs:
        if len(one) != len(original):
            return "SILENT: fewer points"
        if not np.array_equal(one.two_theta, original.two_theta):
            shift = float(np.abs(one.two_theta - original.two_theta).max())
            changed = int((one.two_theta != original.two_theta).sum())
            step = float(np.median(np.diff(original.two_theta)))
            if changed > 1 or shift > 0.05 * step:
                return "SILENT: other angles"
    changed = sum(int((one.intensity != original.intensity).sum()) for one, original in pairs)
    return "only the flipped value" if changed <= 2 else f"SILENT: {'many' if changed > 9 else 'few'} other intensities"


def damage(copies: int, seed: int) -> dict[str, object]:
    rng = random.Random(seed)
    pool = [each for each in seeds(2_000_000) if each.real]
    readable: list[tuple[Seed, tuple[Pattern, ...]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for each in pool:
            path = Path(folder) / Path(each.name).name
            path.write_bytes(each.data)
            try:
                readable.append((each, read_xrd_scans(path)))
            except ReadError:
                continue
        table: dict[str, Counter[str]] = {}
        silent: list[str] = []
        for number in range(copies):
            each, originals = readable[number % len(readable)]
            kind = "cut" if number % 2 else "flipped"
            data = cut(each.data, rng) if kind == "cut" else flip_bytes(each.data, rng)
            path = Path(folder) / Path(each.name).name
            path.write_bytes(data)
            outcome = judge(path, originals)
            source = originals[0].source
            table.setdefault(f"{source.format if source else '?'} {kind}", Counter())[outcome] += 1
            if outcome.startswith("SILENT") or outcome == "other number of scans":
                at = next((i for i, (a, b) in enumerate(zip(data, each.data, strict=False)) if a != b), len(data))
                silent.append(f"{each.name} {kind} at byte {at} of {len(each.data)}: {outcome}")
    total: Counter[str] = Counter()
    for counts in table.values():
        total += counts
    return {
        "copies": copies,
        "files": len(readable),
        "total": dict(total),
        "table": {key: dict(counts) for key, counts in sorted(table.items())},
        "silent": silent,
    }


def structured(
    copies: int, seconds: float, seed: int, keep: Path | None, report: Callable[[dict[str, object]], object],
    largest: int = LARGEST_SEED,
) -> dict[str, object]:  # fmt: skip
    """Outcomes by kind of copies that are wrong as a whole, of files of up to `largest` bytes.

    `report` is given the counts every 2000 copies and at the end.
    """
    rng = random.Random(seed)
    table: dict[str, Counter[str]] = {kind: Counter() for kind in STRUCTURES}
    silent: list[str] = []
    slowest, done, began = 0.0, 0, time.monotonic()
    readable: list[tuple[Seed, tuple[Pattern, ...]]] = []

    def found() -> dict[str, object]:
        return {
            "copies": done, "files": len(readable), "seconds": round(time.monotonic() - began, 1), "seed": seed,
            "slowest_s": round(slowest, 3), "table": {kind: dict(counts) for kind, counts in table.items()},
            "silent": silent,
        }  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        for each in seeds(largest):
            path = Path(folder) / Path(each.name).name
            path.write_bytes(each.data)
            with suppress(ReadError):
                readable.append((each, read_xrd_scans(path)))
        while done < copies and time.monotonic() - began < seconds:
            kind, (each, originals) = STRUCTURES[done % len(STRUCTURES)], rng.choice(readable)
            data = restructure(each.data, rng, kind)
            if data is None and rng.random() > 0.02:
                continue
            done += 1
            if data is None:
                continue
            path = Path(folder) / f"copy{Path(each.name).suffix}"
            path.write_bytes(data)
            start = time.process_time()
            try:
                outcome = judge_structure(read_xrd_scans(path), originals)
            except ReadError as refusal:
                foreseen = not refusal.reason.startswith("the content does not follow the format")
                outcome = "refused" if foreseen else "not foreseen"
            except BaseException as crash:  # noqa: BLE001 - that is what is being counted
                outcome = f"DEFECT {type(crash).__name__}"
            slowest = max(slowest, time.process_time() - start)
            table[kind][outcome] += 1
            if outcome.startswith(("silent", "DEFECT", "not foreseen", "a check")):
                silent.append(f"{kind}: {outcome}: {each.name}")
                if outcome.startswith(("DEFECT", "a check")):
                    print(f"{done} {silent[-1]}", flush=True)
                if keep is not None:
                    words = f"{seed}-{len(silent):05d} {outcome} {kind} {Path(each.name).name}"
                    (keep / words.replace(":", "")).write_bytes(data)
            if done % 2000 == 0:  # a study that is stopped has its counts
                report(found())
    report(found())
    return found()


def write_rows(name: str, rows: list[dict[str, object]], details: dict[str, object]) -> None:
    """Write the table of figures with their bars, and beside it what they were measured on."""
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    machine = {"machine": platform.platform(), "python": platform.python_version(), "numpy": np.__version__}
    (results / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (results / f"{name}.machine.json").write_text(json.dumps(machine | details, indent=1) + "\n", encoding="utf-8")
    for each in rows:
        print(f"{each['name']:60s} {each['value']} {each['unit']} (bar {each['bar']}: {each['holds']})")


def row(name: str, value: float, unit: str, bar: float) -> dict[str, object]:
    return {"name": name, "value": value, "unit": unit, "bar": f"<= {bar:g}", "holds": value <= bar}


def fuzz_rows(found: dict[str, object]) -> list[dict[str, object]]:
    defects = found["defects"]
    assert isinstance(defects, list)
    return [
        {"name": "xrd fuzz inputs", "value": found["inputs"], "unit": "inputs", "bar": None, "holds": None},
        {"name": "xrd fuzz time", "value": found["seconds"], "unit": "s", "bar": None, "holds": None},
        row("xrd fuzz crashes, hangs, other exceptions", len(defects), "inputs", 0),
        row("xrd fuzz slowest input", float(str(found["slowest_s"])), "s", SLOW_SECONDS),
        row("xrd fuzz peak memory", float(str(found["peak_memory_mb"])), "MB", 500),
    ]


def damage_rows(found: dict[str, object]) -> list[dict[str, object]]:
    total = found["total"]
    silent = found["silent"]
    assert isinstance(total, dict)
    assert isinstance(silent, list)
    unseen = {"name": "xrd damaged copies silent", "value": len(silent), "unit": "files", "bar": None, "holds": None}
    counts = [
        {"name": f"xrd damaged copies: {name}", "value": count, "unit": "files", "bar": None, "holds": None}
        for name, count in sorted(total.items())
    ]
    return [*counts, unseen]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=0.0, help="go on at least this long")
    parser.add_argument("--damage", type=int, default=0, help="judge so many cut and flipped copies of real files")
    parser.add_argument("--structured", type=int, default=0, help="judge so many copies that are wrong as a whole")
    parser.add_argument("--keep", type=Path, default=None, help="folder for copies that differ in silence")
    parser.add_argument("--largest", type=int, default=LARGEST_SEED, help="bytes of a file of which copies are made")
    parser.add_argument("--seed", type=int, default=20261122)
    arguments = parser.parse_args()
    if arguments.damage:
        found = damage(arguments.damage, arguments.seed)
        write_rows("damage_readers", damage_rows(found), found)
        print("\n".join(map(str, found["silent"])) if isinstance(found["silent"], list) else "")
        return 0
    if arguments.structured:
        target = Path(__file__).parent / "results" / f"structured_readers_{arguments.seed}.json"
        target.parent.mkdir(exist_ok=True)
        found = structured(
            arguments.structured, arguments.seconds or 1e9, arguments.seed, arguments.keep,
            lambda counts: target.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8"), arguments.largest,
        )  # fmt: skip
        table = found["table"]
        assert isinstance(table, dict)
        for kind, counts in table.items():
            print(f"{kind:36s}", dict(sorted(counts.items())))
        print(
            f"{found['copies']} copies of {found['files']} files, {found['seconds']} s, slowest {found['slowest_s']} s"
        )
        return 0
    found = fuzz(arguments.inputs, arguments.seconds, arguments.seed)
    write_rows("fuzz_readers", fuzz_rows(found), found)
    return 1 if found["defects"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
