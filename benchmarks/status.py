"""How results end, over all real files and simulated specimens: ok, warning, failed, refused, and why.

    XRDCOMP_FIXTURES=FOLDER python -m benchmarks.status [--seconds 60] [--simulated 20]

Every pattern and every run of the real files is analysed by itself with nothing but the file; the embedded specimens
and those of the calibration study with both instruments. One line for each, then the counts, with the codes that made
a result less than ok. A file that takes longer than `--seconds` of processor time is counted as such.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

from benchmarks.calibration import specimen
from xrdcomp.analysis import analyze, analyze_embedded, analyze_sample
from xrdcomp.data import Sample
from xrdcomp.errors import XrdcompError
from xrdcomp.results import SampleResult
from xrdcomp.simulate.cohort import load_cohort, simulate_specimen

SKIPPED = {"rir.csv"}
Task = tuple[str, str, Callable[[], SampleResult]]


class TooLongError(Exception):
    """The processor time of one file is used up."""


def stop(_: int, __: FrameType | None) -> None:
    """Handle the timer."""
    raise TooLongError


def real_files(folder: Path) -> Iterator[Task]:
    """Patterns and runs of the folder with real files, each by itself."""
    for below, kind in (("xrd", "patterns"), ("standards", "patterns of standards"), ("tga", "runs")):
        for path in sorted((folder / below).rglob("*")):
            if path.is_file() and path.name not in SKIPPED:
                task = partial(analyze, tga=path) if below == "tga" else partial(analyze, path)
                yield kind, str(path.relative_to(folder)), task


def embedded() -> Iterator[Task]:
    """The specimens that come with the package."""
    for entry in load_cohort():
        yield "embedded specimens", entry.specimen_id, partial(analyze_embedded, entry)


def simulated(n: int) -> Iterator[Task]:
    """Specimens of the calibration study by both instruments."""
    for seed in range(7000, 7000 + n):
        yield "simulated, varied laboratories", str(seed), partial(analyze_simulated, seed)


def analyze_simulated(seed: int) -> SampleResult:
    """One specimen of the calibration study."""
    model, xrd, tga = specimen(seed, varied=True)
    found = simulate_specimen(model, xrd=xrd, tga=tga, seed=seed)
    return analyze_sample(Sample(sample_id=str(seed), pattern=found.pattern, tga=found.tga))


def main(seconds: int, n: int) -> None:
    """Print a line for each and the counts."""
    folder = os.environ.get("XRDCOMP_FIXTURES")
    tasks = [*embedded(), *simulated(n), *(real_files(Path(folder)) if folder else ())]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    signal.signal(signal.SIGPROF, stop)
    for kind, name, task in tasks:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        start, why = time.process_time(), ""
        try:
            result = task()
            status = result.status
            codes = sorted({item.code for item in result.messages if item.severity != "info"})
            reasons[status].update(codes)
            why = " ".join(codes)
        except XrdcompError as refusal:
            status, why = "refused", str(refusal).split("\n")[0][:100]
        except TooLongError:
            status = "too long"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        counts[kind][status] += 1
        print(f"{kind} | {name} | {status} | {time.process_time() - start:.1f} s | {why}", flush=True)
    print(f"\n| | {' | '.join(STATUSES)} |\n|{'---|' * (len(STATUSES) + 1)}")
    for kind, found in counts.items():
        print(f"| {kind} | {' | '.join(str(found[status]) for status in STATUSES)} |")
    for status, codes_of in reasons.items():
        print(f"{status}: {', '.join(f'{code} {count}' for code, count in codes_of.most_common(12))}")


STATUSES = ("ok", "warning", "failed", "refused", "too long")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--simulated", type=int, default=20)
    options = parser.parse_args()
    main(options.seconds, options.simulated)
