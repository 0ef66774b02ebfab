"""Weighed mixtures with one phase taken as internal standard: ``python -m benchmarks.spikes FIXTURES``.

Each phase of the round robin's mixtures 1a, 1d and 1g is in turn declared the standard, with its weighed fraction.
Errors are those of the other phases' weight fractions, referred to the powder that was measured (standard included), so
that they compare with those of the same phases without a standard.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.accuracy import ROUND_ROBIN, ROUND_ROBIN_PHASES
from xrdcomp.analysis import analyze
from xrdcomp.recipe import Recipe


def errors(file: Path, weighed: dict[str, float], standard: str | None) -> tuple[dict[str, float], int]:
    """Error (wt% of the measured powder) of every phase that is not the standard, and how many intervals hold."""
    recipe = Recipe().with_settings({"phases": list(weighed)})
    spiked = 0.0 if standard is None else weighed[standard]
    given = None if standard is None else (standard, spiked)
    found = analyze(file, recipe=recipe, internal_standard=given)
    out, held = {}, 0
    for phase in found.phases:
        if phase.id in weighed and phase.id != standard and phase.weight_fraction is not None:
            truth, estimate = weighed[phase.id] / (1.0 - spiked), phase.weight_fraction
            out[phase.id] = 100.0 * (estimate.value - truth) * (1.0 - spiked)
            held += estimate.low <= truth <= estimate.high
    return out, held


def main(fixtures: Path) -> None:
    """Print a line for each mixture and standard, and the errors of all."""
    alone, spiked = [], []
    for name, shares in ROUND_ROBIN.items():
        weighed = {p: w / sum(shares) for p, w in zip(ROUND_ROBIN_PHASES, shares, strict=True)}
        file = fixtures / "standards" / "cpd_round_robin" / f"cpd-{name}.prn"
        without, held = errors(file, weighed, None)
        print(
            f"{name} no standard: {held} of 3 intervals hold; " + ", ".join(f"{p} {e:+.2f}" for p, e in without.items())
        )
        for standard in ROUND_ROBIN_PHASES:
            found, held = errors(file, weighed, standard)
            print(
                f"{name} {standard}: {held} of 2 intervals hold; "
                + ", ".join(f"{p} {e:+.2f}" for p, e in found.items())
            )
            alone += [without[p] for p in found]
            spiked += list(found.values())
    for text, values in (("without a standard", alone), ("with one", spiked)):
        print(f"errors {text}: RMS {np.sqrt(np.mean(np.square(values))):.2f}, mean {np.mean(values):+.2f} wt%")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
