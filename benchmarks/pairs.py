"""Pattern of one specimen, thermogravimetric run of another: is it noticed, and are right pairs left alone?

    python -m benchmarks.pairs [--specimens 120] [--mixed 300]

Specimens of the calibration study (varied laboratories) are measured once; every right pair is composed, and as many
mixed-up ones as asked for, drawn among those that differ by more than 5 wt% in total mineral. Nothing but the two
measurements is used: no names, no dates. Counted are the rules made for it (`FUSION_TWO_SPECIMENS`,
`FUSION_PAIR_DOUBTFUL`) and any warning or error of the comparison, by the difference in mineral.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.calibration import specimen
from xrdcomp.analysis import analyze_curve, fit_and_search, prepare
from xrdcomp.checks.registry import Analysis, run_checks
from xrdcomp.composition.compose import compose
from xrdcomp.data import Sample
from xrdcomp.recipe import CompositionRecipe, Recipe
from xrdcomp.results import FitResult, PhaseResult, TgaResult
from xrdcomp.simulate.cohort import simulate_specimen

FIRST_SEED = 7000
LEAST = 0.05
STEPS = (0.05, 0.07, 0.10, 0.15, 0.20, 0.30, 1.0)
MINERAL = ("crystalline_hydroxyapatite", "carbonate", "amorphous_mineral", "other_crystalline")
OWN = {"FUSION_TWO_SPECIMENS", "FUSION_PAIR_DOUBTFUL"}
RULES = OWN | {"FUSION_INCONSISTENT", "FUSION_MINERAL_UNSEEN", "FUSION_SCALE", "FUSION_BIRGE", "HUMP_WITHOUT_ACP"}


@dataclass(frozen=True)
class Measured:
    """One specimen by both instruments, and its total mineral."""

    fit: FitResult
    phases: tuple[PhaseResult, ...]
    unidentified: tuple[float, float] | None
    tga: TgaResult
    mineral: float


def measure(seed: int) -> Measured | None:
    """Simulate and evaluate each instrument alone; None where the run's steps were not assigned."""
    model, xrd, tga = specimen(seed, varied=True)
    simulated = simulate_specimen(model, xrd=xrd, tga=tga, seed=seed)
    setup = prepare(Sample(sample_id=str(seed), pattern=simulated.pattern, tga=simulated.tga), Recipe())
    found, curve = fit_and_search(setup), analyze_curve(setup)
    if found is None or curve is None:
        return None
    mineral = sum(simulated.truth["components"][name] for name in MINERAL)
    return Measured(found.fit, tuple(found.phases), found.unidentified_mass, curve, mineral)


def codes(pattern: Measured, run: Measured) -> set[str]:
    """Codes of what is said of a pair, notes left out."""
    composition = compose(
        pattern.fit, pattern.phases, run.tga, CompositionRecipe(draws=500), unidentified=pattern.unidentified
    )
    said = run_checks(Analysis(composition=composition), ["composition"])
    return {item.code for item in said if item.severity != "info"} & RULES


def main(specimens: int, mixed: int) -> None:
    """Print the share of pairs that are noticed, right ones first."""
    measured = [item for seed in range(specimens) if (item := measure(FIRST_SEED + seed)) is not None]
    right = [codes(item, item) for item in measured]
    share = [np.mean([bool(said & rules) for said in right]) for rules in (OWN, RULES)]
    print(f"right pairs {len(right)}: doubted {share[0]:.3f}, any warning {share[1]:.3f}", flush=True)
    rng = np.random.default_rng(FIRST_SEED)
    pairs: list[tuple[float, set[str]]] = []
    while len(pairs) < mixed:
        i, j = rng.integers(0, len(measured), 2)
        if (difference := abs(measured[i].mineral - measured[j].mineral)) > LEAST:
            pairs.append((difference, codes(measured[i], measured[j])))
    for low, high in ((LEAST, 1.0), *pairwise(STEPS)):
        inside = [said for difference, said in pairs if low < difference <= high]
        share = [np.mean([float(bool(said & rules)) for said in inside] or [np.nan]) for rules in (OWN, RULES)]
        print(f"mixed up by {100 * low:3.0f} to {100 * high:3.0f} wt%: {len(inside):3}, {share[0]:.2f}, {share[1]:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=120)
    parser.add_argument("--mixed", type=int, default=300)
    options = parser.parse_args()
    main(options.specimens, options.mixed)
