"""Choose constants on all worlds but one, judge them on the one left out.

    python -m benchmarks.worlds.rotation --n 40 --seed 14001 --workers 1 [--dry]

The constants (`CONSTANTS`) are those of the composition and of thermogravimetry that no law and no certificate fixes
and that studies chose. Every specimen is searched and fitted once and composed with each value of each constant. Of
each constant the value is taken whose interval scores [Gneiting & Raftery 2007], a proper rule that rewards narrow
intervals and fines misses, are lowest on the other worlds, by the mean over worlds and components, in units of what
the present code has there, if by two standard errors over specimens; the specimens of the world left out are then
composed with all the values taken together. What is printed and stored: the values taken, coverage and score of the
left-out world with the present constants and with those, and the worst. Constants that every rotation leaves where they
are, and a left-out world that is no worse with what others choose, are what is wanted. Cases
are kept in ``build/rotation/`` until package or worlds change.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, Row, at_least, machine, put_into_page, source_hash, write_rows
from benchmarks.store import append_store, measured_in_turn, read_store
from benchmarks.worlds.draw import WORLDS
from benchmarks.worlds.study import JUDGED, PAGE, SHORT, Task, given_and_truth, worlds_hash
from xrdcomp.analysis import fit_and_search, prepare
from xrdcomp.composition import priors
from xrdcomp.composition.compose import compose
from xrdcomp.data import Sample
from xrdcomp.errors import XrdcompError
from xrdcomp.recipe import Recipe, ThermalRecipe
from xrdcomp.results import Estimate, TgaResult
from xrdcomp.search.search import Identification
from xrdcomp.stages import analyze_tga, as_pattern, as_run

CONSTANTS: Mapping[str, tuple[float, ...]] = {
    "composition.xrd_bias_std": (0.015, 0.06, 0.10),
    "HALO_FLATNESS.mean": (0.0, 1.0),
    "NO_AMORPHOUS_PROBABILITY": (0.05, 0.35, 0.5),
    "UNCERTAINTY_SPREAD.std": (0.001, 0.1, 0.4),
    "DISCREPANCY_DOF": (4.0, 10.0, 1e6),
    "BOUND_WATER.mean": (0.08, 0.14),
    "LATE_WATER.mean": (0.55, 0.85),
    "thermal.buoyancy_std": (0.3, 1.2),
    "thermal.char_std": (0.025, 0.1),
}
"""Values that are tried beside the present one: settings by their name, priors by name and field."""
HOME = "home"
PRESENT = ""  # name of the variant that changes nothing


@dataclass(frozen=True, kw_only=True)
class Composed:
    """95 % interval of one component of one specimen, composed with the constants that `variant` changes."""

    world: str
    seed: int
    variant: str
    component: str
    truth: float
    value: float
    low: float
    high: float

    @property
    def covered(self) -> bool:
        return self.low - 1e-9 <= self.truth <= self.high + 1e-9

    @property
    def score(self) -> float:
        """Interval score of the 95 % interval in wt%."""
        return 100.0 * (self.high - self.low + 40.0 * max(self.low - self.truth, self.truth - self.high, 0.0))


Variant = Mapping[str, float]


def name_of(variant: Variant) -> str:
    """Name under which cases of a variant are stored."""
    return "; ".join(f"{key}={value:g}" for key, value in sorted(variant.items()))


def variants() -> list[Variant]:
    """The present constants, and each of `CONSTANTS` changed by itself."""
    return [{}, *({name: value} for name, values in CONSTANTS.items() for value in values)]


@contextmanager
def changed(variant: Variant) -> Iterator[Recipe]:
    """Recipe with a variant's settings, priors changed while it is in use."""
    settings = {key: value for key, value in variant.items() if key[0].islower()}
    before: dict[str, Any] = {}
    try:
        for key, value in variant.items():
            if key in settings:
                continue
            name, _, field = key.partition(".")
            before.setdefault(name, getattr(priors, name))
            setattr(priors, name, replace(getattr(priors, name), **{field: value}) if field else value)
        yield Recipe().with_settings(settings)
    finally:
        for name, own in before.items():
            setattr(priors, name, own)


def compositions(task: Task, chosen: Sequence[Variant]) -> list[Composed]:
    """Search and fit a specimen once and compose it with each variant; a refused one gives nothing."""
    world, seed = task
    found: list[Composed] = []
    with tempfile.TemporaryDirectory() as folder:
        given, truth = given_and_truth(world, seed, Path(folder))
        gas = {"thermal.atmosphere": given["atmosphere"]} if "atmosphere" in given else {}
        empty = given.get("tga_blank")
        try:
            sample = Sample(
                sample_id=f"{world}-{seed}",
                pattern=None if given["xrd"] is None else as_pattern(given["xrd"], "xrd"),
                tga=(weighed := as_run(given["tga"], "tga")),
                tga_blank=None if empty is None else as_run(empty, "tga_blank", empty_pan=True),
            )
            search = fit_and_search(prepare(sample, Recipe()))
            runs: dict[ThermalRecipe, TgaResult] = {}  # few variants weigh otherwise
            for variant in chosen:
                with changed(variant) as recipe:
                    thermal = recipe.with_settings(gas).thermal
                    if thermal not in runs:
                        runs[thermal] = analyze_tga(weighed, thermal, blank=sample.tga_blank)
                    components = recomposed(search, runs[thermal], recipe)
                found += judgements(world, seed, name_of(variant), components, truth["components"])
        except XrdcompError as error:
            print(f"{world} {seed}: {error}", file=sys.stderr)
            return []
    return found


def recomposed(search: Identification | None, run: TgaResult, recipe: Recipe) -> Mapping[str, Estimate | None]:
    """Components from a search and a mass balance that are there already."""
    unknown = None if search is None else search.unidentified_mass
    fit, phases = (None, ()) if search is None else (search.fit, tuple(search.phases))
    return compose(fit, phases, run, recipe.composition, unidentified=unknown).components


def judgements(
    world: str, seed: int, variant: str, components: Mapping[str, Estimate | None], truth: Mapping[str, float]
) -> list[Composed]:
    """What one composition says of each component that it gives."""
    estimates = {name: components[name] for name in JUDGED}
    return [
        Composed(
            world=world,
            seed=seed,
            variant=variant,
            component=name,
            truth=float(truth[name]),
            value=float(estimate.value),
            low=estimate.low,
            high=estimate.high,
        )
        for name, estimate in estimates.items()
        if estimate is not None and estimate.ci95 is not None
    ]


def run(
    tasks: Sequence[Task], chosen: Sequence[Variant], store: Path | None = None, *, workers: int = 1
) -> list[Composed]:
    """Compose every specimen that `store` does not hold yet with the variants; returns all cases that are there."""
    found: list[Composed] = read_store(store, Composed)
    have = {(case.world, case.seed, case.variant) for case in found}
    names = [name_of(variant) for variant in chosen]
    missing = [task for task in tasks if any((*task, name) not in have for name in names)]
    for cases in measured_in_turn(partial(compositions, chosen=chosen), missing, workers=workers):
        new = [case for case in cases if (case.world, case.seed, case.variant) not in have]
        found.extend(new)
        append_store(store, new)
    wanted = set(tasks)
    return [case for case in found if (case.world, case.seed) in wanted]


def score_change(cases: Iterable[Composed], worlds: Sequence[str], variant: str) -> tuple[float, float]:
    """Mean change of the interval score in some worlds, and its standard error over specimens.

    In units of the mean score of a world and component with the present constants, so that each of them counts alike.
    """
    by: dict[tuple[str, str, str], dict[int, float]] = {}
    for case in cases:
        by.setdefault((case.world, case.component, case.variant), {})[case.seed] = case.score
    changes: list[float] = []
    variances: list[float] = []
    for world in worlds:
        of_specimen: dict[int, list[float]] = {}
        for component in JUDGED:
            own, other = (by.get((world, component, name), {}) for name in (PRESENT, variant))
            unit = float(np.mean(list(own.values()))) if own else 1.0
            for seed in own.keys() & other.keys():
                of_specimen.setdefault(seed, []).append((other[seed] - own[seed]) / unit)
        if of_specimen:
            means = np.array([np.mean(change) for change in of_specimen.values()])
            changes.append(float(means.mean()))
            variances.append(float(means.var(ddof=1)) / len(means) if len(means) > 1 else np.inf)
    return (float(np.mean(changes)), float(np.sum(variances)) ** 0.5 / len(changes)) if changes else (0.0, np.inf)


CLEAR = 2.0
"""Standard errors by which the score has to fall for another value to be taken."""


def choice(cases: Sequence[Composed], worlds: Sequence[str]) -> Variant:
    """Values of the constants that clearly score best in some worlds, where they are others than the present ones."""
    found = {}
    for name, values in CONSTANTS.items():
        changes = {value: score_change(cases, worlds, name_of({name: value})) for value in values}
        best = min(changes, key=lambda value: changes[value][0])
        change, std = changes[best]
        if change < -CLEAR * std:
            found[name] = best
    return found


def judged(cases: Sequence[Composed], taken: Mapping[str, Variant]) -> tuple[str, list[Row]]:
    """Markdown of what each left-out world says of the constants `taken` on the others, and the rows with bars."""
    lines = ["| left out | component | n | covers, present | covers, chosen on the others | score | score then |"]
    lines.append("|---|---|---|---|---|---|---|")
    rows: list[Row] = []
    worst: list[tuple[float, str]] = []
    for world, variant in taken.items():
        for component in JUDGED:
            own, other = (
                [c for c in cases if (c.world, c.component, c.variant) == (world, component, name)]
                for name in (PRESENT, name_of(variant))
            )
            if not own or not other:
                continue
            cover = [100.0 * float(np.mean([case.covered for case in group])) for group in (own, other)]
            score = [float(np.mean([case.score for case in group])) for group in (own, other)]
            name = f"{world}, {SHORT[component]}"
            worst.append((cover[1], name))
            rows.append(at_least(f"left out {name}: coverage with constants of the others", cover[1], 92.0, "%"))
            rows.append(
                Row(name=f"left out {name}: interval score over that of the present", value=score[1] / score[0])
            )
            cells = f"{len(own)} | {cover[0]:.0f} | {cover[1]:.0f} | {score[0]:.2f} | {score[1]:.2f}"
            lines.append(f"| {world} | {SHORT[component]} | {cells} |")
    text = ["| left out | constants that the others would change |", "|---|---|"]
    text += [f"| {world} | {name_of(variant) or 'none'} |" for world, variant in taken.items()]
    if worst:
        lines += ["", f"Worst of all left out: {min(worst)[1]}, {min(worst)[0]:.0f} %."]
        rows.append(at_least("worst coverage of a left-out world", min(worst)[0], 92.0, "%"))
    return "\n".join([*text, "", *lines]), rows


def options(about: str | None, *, worlds: Sequence[str], n: int, seed: int) -> argparse.Namespace:
    """Arguments of a study that composes fitted specimens anew, from the command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default=",".join(worlds))
    parser.add_argument("--n", type=int, default=n, help="specimens of each world")
    parser.add_argument("--seed", type=int, default=seed, help="of the first specimen")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="print only")
    return parser.parse_args()


def main() -> int:
    """Rotate; prints the tables and stores them."""
    arguments = options(__doc__, worlds=(*WORLDS, HOME), n=40, seed=14001)
    worlds = tuple(arguments.worlds.split(","))
    seeds = range(arguments.seed, arguments.seed + arguments.n)
    store = ROOT / "build" / "rotation" / f"{source_hash()}-{worlds_hash()}.csv"
    cases = run([Task(world, seed) for world in worlds for seed in seeds], variants(), store, workers=arguments.workers)
    taken = {world: choice(cases, [other for other in worlds if other != world]) for world in worlds}
    for world, variant in taken.items():
        cases += [
            case
            for case in run([Task(world, seed) for seed in seeds], [variant], store, workers=arguments.workers)
            if case.variant == name_of(variant) and len(variant) > 1
        ]
    text, rows = judged(cases, taken)
    print(text)
    if not arguments.dry:
        about = machine(specimens=arguments.n, seed=arguments.seed, worlds=worlds_hash())
        write_rows("worlds_rotation", rows, about)
        command = f"`python -m benchmarks.worlds.rotation --n {arguments.n} --seed {arguments.seed}`"
        put_into_page(PAGE, "rotation", f"{command}, code `{about['source']}`.\n\n{text}")
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
