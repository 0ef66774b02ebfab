"""Record golden results anew: ``python -m tests.golden.record [PART OF A NAME ...]``; without names, all.

Says for each case how many figures changed. Cases that cannot be run here keep what is stored.
"""

from __future__ import annotations

import os

# As tests/conftest.py does, and for its reason; before numpy is first loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import time
from itertools import islice
from pathlib import Path

from tests.golden.cases import CASES, chosen_cases, run_case
from tests.golden.facts import DATA, SAME, as_stored, differences, read_facts, write_facts

SHOWN = 5


def main(parts: list[str]) -> None:
    real = Path(value).resolve() if (value := os.environ.get("XRDCOMP_FIXTURES")) else None
    for case in chosen_cases(parts):
        if reason := case.missing(real):
            print(f"{case.name}: left as it is, {reason}")
            continue
        start = time.process_time()
        facts = run_case(case, real)
        seconds = time.process_time() - start
        if (DATA / f"{case.name}.json").is_file():
            changed = list(differences(read_facts(case.name)[1], as_stored(facts), SAME))
            note = f"{len(changed)} differ"
        else:
            changed, note = [], "new"
        print(f"{case.name}: {note} ({seconds:.2f} s)", flush=True)
        for path, old, new in islice(changed, SHOWN):
            print(f"    {path}: {old} -> {new}")
        if changed or note == "new":
            write_facts(case.name, facts)
    for file in DATA.glob("*.json"):
        if file.stem not in CASES:
            print(f"{file.stem}: no such case any more; remove {file.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
