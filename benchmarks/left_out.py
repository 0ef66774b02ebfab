"""Crystals that the library does not hold: each of its phases left out in turn, simulated and searched for.

A specimen is one phase, pure or with some protein, of a drawn laboratory; the search has every other phase. A phase
that is detected is false, unless it is of the same family (`SAME`: the others of the apatites and of the whitlockites
diffract alike). Run as ``python -m benchmarks.left_out [RUNS PER PHASE]``: one line for a specimen, then the counts.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

import xrdcomp as xc
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.specimens import SpecimenModel, vary_conditions

SAME = ({"beta_tcp", "beta_tcp_mg", "whitlockite"}, {"cppd_triclinic", "cppd_monoclinic"})
SEED = 44
PROTEIN = (0.0, 0.3)  # of the specimen, one after the other


@dataclass(frozen=True)
class Found:
    """What was said of one specimen: ids of false phases, intervals, components, share of organic as a lower bound."""

    phase: str
    false: tuple[str, ...]
    unidentified: tuple[float, float] | None
    crystalline: tuple[float, float] | None
    organic_from: float
    status: str
    truth: float
    seconds: float


def family(phase: str) -> set[str]:
    """Ids that a pattern cannot tell from this one."""
    apatites = {name for name in list_phases() if load_phase(name).is_apatite}
    return next((group for group in (apatites, *SAME) if phase in group), {phase})


def left_out(phase: str, run: int) -> Found:
    """Simulate one phase and search for all others."""
    rng = np.random.default_rng([SEED, run, *phase.encode()])
    conditions, _ = vary_conditions(rng)
    protein = PROTEIN[run % len(PROTEIN)]
    model = SpecimenModel(protein=protein, other={phase: 1.0 - protein})
    pattern, _ = simulate_pattern(model, conditions, seed=run)
    same = family(phase)
    rest = tuple(name for name in list_phases() if name not in same)
    start = time.process_time()
    settings = {"identification.library": rest, "identification.start": "nothing"}
    result = xc.analyze(pattern, recipe=xc.Recipe().with_settings(settings))
    seconds = time.process_time() - start
    parts, sums = result.composition.components, result.composition.identifiable_sums
    unknown, hard = parts.get("unidentified_crystalline"), sums.get("crystalline")
    organic = parts.get("organic")
    return Found(
        phase=phase,
        false=tuple(item.id for item in result.phases if item.decision == "detected"),
        unidentified=unknown.ci95 if unknown is not None else None,
        crystalline=hard.ci95 if hard is not None else None,
        organic_from=organic.ci95[0] if organic is not None and organic.ci95 is not None else 0.0,
        status=result.status,
        truth=1.0 - protein,
        seconds=seconds,
    )


def covers(interval: tuple[float, float] | None, truth: float) -> bool:
    """Whether an interval holds the truth; none says nothing wrong."""
    return interval is None or interval[0] - 1e-9 <= truth <= interval[1] + 1e-9


def main(runs: int) -> None:
    """Print a line for each specimen and the counts."""
    phases = [name for name in list_phases() if load_phase(name).quantifiable]
    found = []
    for run in range(runs):
        for phase in phases:
            item = left_out(phase, run)
            found.append(item)
            unknown = "none" if item.unidentified is None else "{:.2f} to {:.2f}".format(*item.unidentified)
            hard = "none" if item.crystalline is None else "{:.2f} to {:.2f}".format(*item.crystalline)
            print(
                f"{item.phase:26} true {item.truth:.2f} unidentified {unknown:13} crystalline {hard:13} "
                f"{item.status:8} {item.seconds:4.1f} s  {', '.join(item.false)}",
                flush=True,
            )
    n = len(found)
    print(f"specimens {n}, with a false phase {sum(bool(item.false) for item in found)}")
    print(f"unidentified crystals stated {sum(item.unidentified is not None for item in found)}")
    print(f"their interval holds the truth {sum(covers(item.unidentified, item.truth) for item in found)}")
    print(f"the interval of all crystals holds it {sum(covers(item.crystalline, item.truth) for item in found)}")
    print(f"organic said to be there without any {sum(i.organic_from > 0.02 and i.truth == 1.0 for i in found)}")
    print(f"processor seconds, median {np.median([item.seconds for item in found]):.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
