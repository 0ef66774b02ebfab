"""Take one doubt at a time out of the composition: how much narrower do intervals become, and do they still hold?

    python -m benchmarks.worlds.contributions --worlds home --n 60 --seed 66001 [--dry]

Every specimen is searched and fitted once and composed with all constants as they are, and with each of `KNOWN` taken
to be known at its mean. Printed, and put into ``docs/worlds.md``, are the mean half widths, the coverage of the 95 %
intervals and the interval score of each component. A doubt without which intervals are narrower and hold as well was
not needed on these specimens; whether it is needed elsewhere its source has to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.report import ROOT, put_into_page, source_hash
from benchmarks.worlds.rotation import HOME, PRESENT, Composed, Variant, name_of, options, run
from benchmarks.worlds.study import JUDGED, PAGE, SHORT, Task, worlds_hash

_NONE = 1e-3  # of a standard deviation: what is sampled needs some
KNOWN: Mapping[str, Variant] = {
    "nothing": {},
    "b, crystals against halos": {"composition.xrd_bias_std": 1e-4},
    "α, area of the mineral's halo": {"AMORPHOUS_AREA.std": _NONE},
    "f, its flatness": {"HALO_FLATNESS.std": _NONE},
    "ε, intensity of carbonate": {"CARBONATE_INTENSITY.std": _NONE},
    "spread of the uncertainties": {"UNCERTAINTY_SPREAD.std": _NONE, "UNCERTAINTY_SPREAD.mean": 0.0},
    "contradiction, ν infinite": {"DISCREPANCY_DOF": 1e6},
    "λ, bound water": {"BOUND_WATER.std": 1e-4},
    "a, its late share": {"LATE_WATER.std": _NONE},
    "p, condensation": {"CONDENSED_WATER.std": 1e-5},
    "buoyancy": {"thermal.buoyancy_std": 0.01},
    "drift of the balance": {"thermal.drift_std_ug": 0.01},
}
"""What is taken to be known, by the settings and priors that say how uncertain it is."""


def table(cases: Sequence[Composed], worlds: Sequence[str]) -> str:
    """Markdown: half width (coverage in %, interval score) of each component, with each doubt taken out."""
    head = ["world", "known", *(SHORT[component] for component in JUDGED)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for world in worlds:
        for label, variant in KNOWN.items():
            cells = []
            for component in JUDGED:
                key = world, component, name_of(variant) if variant else PRESENT
                own = [case for case in cases if (case.world, case.component, case.variant) == key]
                if not own:
                    cells.append("")
                    continue
                half = 50.0 * float(np.mean([case.high - case.low for case in own]))
                cover = 100.0 * float(np.mean([case.covered for case in own]))
                cells.append(f"{half:.2f} ({cover:.0f}, {np.mean([case.score for case in own]):.2f})")
            lines.append(f"| {world} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table and store it."""
    arguments = options(__doc__, worlds=(HOME,), n=60, seed=66001)
    worlds = tuple(arguments.worlds.split(","))
    seeds = range(arguments.seed, arguments.seed + arguments.n)
    store = ROOT / "build" / "contributions" / f"{source_hash()}-{worlds_hash()}.csv"
    tasks = [Task(world, seed) for world in worlds for seed in seeds]
    text = table(run(tasks, list(KNOWN.values()), store, workers=arguments.workers), worlds)
    print(text)
    if not arguments.dry:
        command = f"`python -m benchmarks.worlds.contributions --worlds {arguments.worlds} --n {arguments.n} "
        command += f"--seed {arguments.seed}`, code `{source_hash()}`."
        put_into_page(PAGE, "contributions", f"{command}\n\n{text}")


if __name__ == "__main__":
    main()
