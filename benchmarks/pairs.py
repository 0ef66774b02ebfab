"""Pattern of one specimen, thermogravimetric run of another: is it noticed, and are right pairs left alone?

    python -m benchmarks.pairs [--specimens 120] [--mixed 300]

Specimens of the calibration study (varied laboratories) are measured once; every right pair is composed, and as many
mixed-up ones as asked for, drawn among those that differ by more than 5 wt% in total mineral. Nothing but the two
measurements is used: no names, no dates. Counted are the rules made for it (`FUSION_TWO_SPECIMENS`,
`FUSION_PAIR_DOUBTFUL`) and any warning or error of the comparison, by the difference in mineral.

At the end stands what comparisons of the same figures can do at best: the Mahalanobis distance of what diffraction and
thermogravimetry differ by, with mean and covariance of the right pairs themselves, at one false alarm in a hundred.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

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
COMPARED = ("mineral", "crystals", "organic", "carbonate")  # water is what mineral and organic matter leave
FALSE_ALARMS = 0.01
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


@dataclass(frozen=True)
class Compared:
    """What is said of a pair, notes left out, and what its two measurements differ by in `COMPARED`.

    Mass fractions; not a number where there is nothing to compare.
    """

    said: set[str]
    differences: tuple[float, ...]


def compare(pattern: Measured, run: Measured) -> Compared:
    """Compose a pattern and a run."""
    composition = compose(
        pattern.fit, pattern.phases, run.tga, CompositionRecipe(draws=500), unidentified=pattern.unidentified
    )
    said = run_checks(Analysis(composition=composition), ["composition"])
    codes = {item.code for item in said if item.severity != "info"} & RULES
    balance = composition.consistency.mineral_balance if composition.consistency else None
    if balance is None:
        return Compared(codes, (np.nan,) * len(COMPARED))
    differences = (
        balance.with_amorphous - balance.mineral,
        balance.crystalline - balance.mineral,
        balance.organic_difference if np.isfinite(balance.organic_std) else np.nan,
        balance.carbonate_difference if np.isfinite(balance.carbonate_std) else np.nan,
    )
    return Compared(codes, tuple(map(float, differences)))


def found_by_distance(right: Any, mixed: Any, places: list[int]) -> float:
    """Share of mixed-up pairs beyond what `FALSE_ALARMS` of the right ones reach, by some of the differences (n, k).

    What a pair cannot compare counts as the mean of the right pairs.
    """
    mean = np.nanmean(right[:, places], axis=0)
    own, others = (np.nan_to_num(np.asarray(each)[:, places] - mean) for each in (right, mixed))
    inverse = np.linalg.inv(np.atleast_2d(np.cov(own, rowvar=False)))
    far, distance = (np.einsum("ij,jk,ik->i", each, inverse, each) for each in (own, others))
    return float(np.mean(distance > np.quantile(far, 1.0 - FALSE_ALARMS)))


def main(specimens: int, mixed: int) -> None:
    """Print the share of pairs that are noticed, right ones first."""
    measured = [item for seed in range(specimens) if (item := measure(FIRST_SEED + seed)) is not None]
    right = [compare(item, item) for item in measured]
    share = [np.mean([bool(pair.said & rules) for pair in right]) for rules in (OWN, RULES)]
    print(f"right pairs {len(right)}: doubted {share[0]:.3f}, any warning {share[1]:.3f}", flush=True)
    rng = np.random.default_rng(FIRST_SEED)
    pairs: list[tuple[float, Compared]] = []
    while len(pairs) < mixed:
        i, j = rng.integers(0, len(measured), 2)
        if (difference := abs(measured[i].mineral - measured[j].mineral)) > LEAST:
            pairs.append((difference, compare(measured[i], measured[j])))
    for low, high in ((LEAST, 1.0), *pairwise(STEPS)):
        inside = [pair.said for difference, pair in pairs if low < difference <= high]
        share = [np.mean([float(bool(said & rules)) for said in inside] or [np.nan]) for rules in (OWN, RULES)]
        print(f"mixed up by {100 * low:3.0f} to {100 * high:3.0f} wt%: {len(inside):3}, {share[0]:.2f}, {share[1]:.2f}")
    own, others = (np.array([pair.differences for pair in each]) for each in (right, [pair for _, pair in pairs]))
    for n in range(1, len(COMPARED) + 1):
        found = found_by_distance(own, others, list(range(n)))
        print(f"by the Mahalanobis distance of {', '.join(COMPARED[:n])}: {found:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=120)
    parser.add_argument("--mixed", type=int, default=300)
    options = parser.parse_args()
    main(options.specimens, options.mixed)
