"""Simulation-based calibration: do the intervals of the ordinary analysis hold what they promise?

    python -m benchmarks.calibration [--n 1000] [--minutes M] [--fresh]

Draws specimens from a broad population, measures them in varied laboratories, analyses them blind with
`xrdcomp.analysis.analyze_sample` and compares with the truth: with both instruments in air and in nitrogen,
with diffraction alone, with a simulator that is what the analysis assumes, and for bone, dentine and enamel.
Every specimen is kept in ``build/calibration/`` as soon as it is done; a run that was interrupted goes on where it
stopped as long as the package has not changed (``--fresh`` begins anew). Writes
``benchmarks/results/calibration.json`` and the tables of ``docs/calibration-study.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.report import (
    ROOT,
    Row,
    at_least,
    at_most,
    between,
    machine,
    put_into_page,
    sentence,
    shortfalls,
    source_hash,
    table,
    write_rows,
)
from benchmarks.store import append_store, read_store
from xrdcomp.analysis import analyze_sample
from xrdcomp.composition.compose import compose, interval_of
from xrdcomp.data import Sample
from xrdcomp.errors import XrdcompError
from xrdcomp.recipe import Recipe
from xrdcomp.results import COMPONENTS, Composition, SampleResult
from xrdcomp.simulate.cohort import simulate_specimen, simulate_tga
from xrdcomp.simulate.specimens import (
    SpecimenModel,
    TgaConditions,
    XrdConditions,
    draw_specimen,
    tissue,
    vary_character,
    vary_conditions,
)
from xrdcomp.stages import analyze_tga

PAGE = ROOT / "docs" / "calibration-study.md"
JUDGED = tuple(name for name in COMPONENTS if name != "other_crystalline")
TISSUES = ("bone", "dentine", "enamel")
SCENES = {
    "air": "both instruments, run in air",
    "nitrogen": "both instruments, run in nitrogen",
    "xrd": "diffraction alone",
    "assumed": "both in air, simulator as the analysis assumes",
}
APATITE = "crystalline_hydroxyapatite"
MAE_BARS = {("air", APATITE): 1.0, ("nitrogen", APATITE): 1.0, ("air", "organic"): 0.5, ("nitrogen", "organic"): 2.0}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One component of one specimen in one scene, or (`component` empty) an analysis that was refused."""

    scene: str
    seed: int
    component: str
    given: bool
    truth: float
    value: float
    std: float
    low95: float
    high95: float
    low68: float
    high68: float
    false_phases: int
    seconds: float

    @property
    def error(self) -> float:
        return self.value - self.truth

    def covered(self, level: int) -> bool:
        low, high = (self.low95, self.high95) if level == 95 else (self.low68, self.high68)
        return low - 1e-12 <= self.truth <= high + 1e-12


def specimen(seed: int, *, varied: bool) -> tuple[SpecimenModel, XrdConditions, TgaConditions]:
    """Draw a specimen of the broad population and its laboratory.

    Apatite 0–60 %, organic 20–95 %, water 1–70 %, amorphous mineral 0–15 %, carbonate 0–6 %, each uniform before
    closure; one specimen in twelve without apatite. `varied`: halos, crystallites, kinetics, optics and programmes
    other than those the analysis assumes. In any case the lattice's carbonate weakens the reflections of apatite, which
    no lattice can keep and the analysis takes for granted.
    """
    rng = np.random.default_rng([20171017, seed])
    model = draw_specimen(rng, kind="broad", no_amorphous_probability=0.0)
    if not varied:
        apatite = replace(model.apatite_model, substitution=True)
        return replace(model, apatite_model=apatite), XrdConditions(), TgaConditions()
    model = vary_character(model, rng)
    return model, *vary_conditions(rng)


def outcomes(
    composition: Composition, truth: Mapping[str, float], scene: str, seed: int, facts: tuple[int, float]
) -> Iterator[Outcome]:
    """Compare a composition with its truth, component by component."""
    both = (composition.components[name] for name in (APATITE, "amorphous_mineral"))
    told_apart = all(estimate is not None for estimate in both)
    for index, name in enumerate(COMPONENTS):
        estimate = composition.components[name]
        draws = composition.draws[:, index]
        wide, narrow = (
            interval_of(composition.draws, (index,), level, told_apart=told_apart) for level in (0.95, 0.68)
        )
        if estimate is not None and estimate.ci95:
            wide = estimate.ci95
        yield Outcome(
            scene=scene,
            seed=seed,
            component=name,
            given=estimate is not None,
            truth=float(truth[name]),
            value=float(draws.mean()) if estimate is None else estimate.value,
            std=float(draws.std()) if estimate is None else float(estimate.std or 0.0),
            low95=wide[0],
            high95=wide[1],
            low68=narrow[0],
            high68=narrow[1],
            false_phases=facts[0],
            seconds=facts[1],
        )


def recompose(result: SampleResult, sample: Sample, recipe: Recipe) -> Composition:
    """Composition with another thermogravimetric run, or none, beside the diffraction that is already fitted.

    The fit does not know the run, hence this is what `analyze_sample` gives (a test compares).
    """
    thermal = analyze_tga(sample.tga, recipe.thermal) if sample.tga is not None else None
    return compose(result.xrd, result.phases, thermal, recipe.composition, kind=recipe.specimen.kind)


def measure(seed: int, scene: str) -> Iterator[Outcome]:
    """Simulate and analyse one specimen: ``air`` gives nitrogen and diffraction alone as well."""
    recipe = Recipe()
    model, xrd, tga = specimen(seed, varied=scene != "assumed")
    if scene in TISSUES:
        model = replace(tissue(scene), materials=model.materials, organics=model.organics)  # type: ignore[arg-type]  # checked by tissue
    simulated = simulate_specimen(model, xrd=xrd, tga=tga, seed=seed)
    sample = Sample(sample_id=f"{scene}-{seed}", pattern=simulated.pattern, tga=simulated.tga)
    truth = simulated.truth["components"]
    began = time.process_time()
    result = analyze_sample(sample, recipe)
    seconds = time.process_time() - began
    present = {"hydroxyapatite"} if model.apatite > 0 else set()
    false = sum(phase.decision == "detected" and phase.id not in present for phase in result.phases)
    yield from outcomes(result.composition, truth, scene, seed, (false, seconds))
    if scene != "air":
        return
    inert = simulate_tga(model, replace(tga, atmosphere="nitrogen"), seed=seed + 3_000_003)
    for other, run in (("nitrogen", inert), ("xrd", None)):
        began = time.process_time()
        # nothing but the curve says that it is tissue
        said = recipe.with_settings({"specimen.kind": "tissue"}) if run is None else recipe
        composition = recompose(result, replace(sample, tga=run), said)
        yield from outcomes(composition, truth, other, seed, (false, time.process_time() - began))


def refused(seed: int, scene: str) -> Outcome:
    nothing = dict.fromkeys(("truth", "value", "std", "low95", "high95", "low68", "high68", "seconds"), float("nan"))
    return Outcome(scene=scene, seed=seed, component="", given=False, false_phases=0, **nothing)


def run(tasks: Iterable[tuple[str, int]], store: Path | None = None, *, minutes: float = float("inf")) -> list[Outcome]:
    """Analyse every (scene, seed) that `store` does not hold yet; each is stored as soon as it is done.

    After `minutes` no further one is begun, and what there is comes back.
    """
    known = read_store(store, Outcome)
    done = {(item.scene, item.seed) for item in known}
    tasks = list(tasks)
    missing = [task for task in tasks if task not in done]
    found = list(known)
    began = time.monotonic()
    for number, (scene, seed) in enumerate(missing, start=1):
        if time.monotonic() - began > 60 * minutes:
            break
        try:
            new = list(measure(seed, scene))
        except XrdcompError as error:
            print(f"{scene} {seed}: {error}", file=sys.stderr)
            new = [refused(seed, scene)]
        found += new
        append_store(store, new)
        if number % 10 == 0 or number == len(missing):
            pace = (time.monotonic() - began) / number
            left = pace * (len(missing) - number) / 60
            print(f"{number} of {len(missing)}, {left:.0f} min left", file=sys.stderr)
    wanted = set(tasks)
    scene_of = {"nitrogen": "air", "xrd": "air"}
    return [item for item in found if (scene_of.get(item.scene, item.scene), item.seed) in wanted]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How one component came out in one scene; errors and widths in wt%, coverage in %."""

    n: int
    covered95: float
    covered68: float
    mae: float
    rms: float
    bias: float
    largest: float
    half_width: float


def summarize(found: Iterable[Outcome], scene: str, component: str) -> Summary | None:
    """Return None where the component was never given."""
    chosen = [item for item in found if (item.scene, item.component) == (scene, component) and item.given]
    if not chosen:
        return None
    error = 100 * np.array([item.error for item in chosen])
    return Summary(
        n=len(chosen),
        covered95=100 * float(np.mean([item.covered(95) for item in chosen])),
        covered68=100 * float(np.mean([item.covered(68) for item in chosen])),
        mae=float(np.abs(error).mean()),
        rms=float(np.sqrt((error**2).mean())),
        bias=float(error.mean()),
        largest=float(np.abs(error).max()),
        half_width=50 * float(np.mean([item.high95 - item.low95 for item in chosen])),
    )


def band(n: int, share: float) -> float:
    """Half width, in %, of the band of two standard deviations that a true share of `share` % keeps in n trials."""
    p = share / 100
    return 200 * float(np.sqrt(p * (1 - p) / n))


def judged(found: list[Outcome]) -> list[Row]:
    """Every figure with its bar."""
    rows: list[Row] = []
    for scene in SCENES:
        for component in JUDGED:
            summary = summarize(found, scene, component)
            if summary is not None:
                rows += component_rows(scene, component, summary)
        rows += scene_rows(found, scene)
    for kind in TISSUES:
        rows += tissue_rows(found, kind)
    return rows


def component_rows(scene: str, component: str, summary: Summary) -> list[Row]:
    name = f"{SCENES[scene]}: {component}"
    mae_bar = MAE_BARS.get((scene, component))
    if scene == "xrd":
        cover = [
            at_least(f"{name}, coverage of 95 % intervals", summary.covered95, 90.0, "%")
            if component == APATITE
            else Row(name=f"{name}, coverage of 95 % intervals", value=summary.covered95, unit="%"),
            Row(name=f"{name}, coverage of 68 % intervals", value=summary.covered68, unit="%"),
        ]
    elif scene == "assumed":
        cover = [
            Row(name=f"{name}, coverage of {level} % intervals", value=value, unit="%")
            for level, value in ((95, summary.covered95), (68, summary.covered68))
        ]
    else:
        cover = [
            between(f"{name}, coverage of 95 % intervals", summary.covered95, 92.0, 98.0, "%"),
            between(f"{name}, coverage of 68 % intervals", summary.covered68, 62.0, 74.0, "%"),
        ]
    mae = f"{name}, mean absolute error"
    return [
        *cover,
        at_most(mae, summary.mae, mae_bar, "wt%") if mae_bar else Row(name=mae, value=summary.mae, unit="wt%"),
        Row(name=f"{name}, RMS error", value=summary.rms, unit="wt%"),
        Row(name=f"{name}, bias", value=summary.bias, unit="wt%"),
        Row(name=f"{name}, largest error", value=summary.largest, unit="wt%"),
        Row(name=f"{name}, mean half width of 95 % intervals", value=summary.half_width, unit="wt%"),
        Row(name=f"{name}, specimens", value=summary.n, unit=""),
    ]


def scene_rows(found: list[Outcome], scene: str) -> list[Row]:
    """Refusals, false phases and time of a scene."""
    first = [item for item in found if item.scene == scene and item.component in ("", COMPONENTS[0])]
    if not first:
        return []
    good = [item for item in first if item.component]
    name = SCENES[scene]
    rows = [Row(name=f"{name}: refused", value=len(first) - len(good), unit="specimens")]
    if scene in ("air", "assumed") and good:
        false = float(np.mean([item.false_phases > 0 for item in good]))
        rows.append(Row(name=f"{name}: specimens with a phase that is not there", value=100 * false, unit="%"))
        rows.append(
            Row(
                name=f"{name}: median time of one analysis",
                value=float(np.median([item.seconds for item in good])),
                unit="s CPU",
            )
        )
    return rows


def tissue_rows(found: list[Outcome], kind: str) -> list[Row]:
    """Bone, dentine and enamel: how many of their components lie inside the 95 % intervals, and the apatite."""
    chosen = [item for item in found if item.scene == kind and item.component in JUDGED and item.given]
    if not chosen:
        return []
    inside = 100 * float(np.mean([item.covered(95) for item in chosen]))
    rows = [at_least(f"{kind}: components inside their 95 % intervals", inside, 90.0, "%")]
    for component in JUDGED:
        summary = summarize(found, kind, component)
        if summary is not None:
            rows.append(Row(name=f"{kind}: {component}, mean absolute error", value=summary.mae, unit="wt%"))
    return [*rows, Row(name=f"{kind}: specimens", value=len(chosen) // len(JUDGED), unit="")]


def study_table(found: list[Outcome]) -> str:
    """Markdown table: one line per scene and component, with the band that n specimens allow."""
    head = (
        "| measured with | component | n | 95 % intervals cover | 68 % intervals cover | MAE | RMS | bias | "
        "largest | half width |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for scene, title in (*SCENES.items(), *((kind, kind) for kind in TISSUES)):
        for component in JUDGED:
            s = summarize(found, scene, component)
            if s is None:
                continue
            lines.append(
                f"| {title} | {component} | {s.n} | {s.covered95:.1f} (95 ± {band(s.n, 95):.1f}) | "
                f"{s.covered68:.1f} (68 ± {band(s.n, 68):.1f}) | {s.mae:.2f} | {s.rms:.2f} | {s.bias:+.2f} | "
                f"{s.largest:.2f} | {s.half_width:.2f} |"
            )
    return "\n".join(lines)


def tasks(n: int) -> list[tuple[str, int]]:
    """Scenes and seeds of a study of n specimens: a quarter as many un-varied, eight of each tissue at most.

    They are mixed, so that an interrupted run has some of each.
    """
    each = max(2, min(8, n // 20))
    every = [
        *(("air", seed) for seed in range(n)),
        *(("assumed", seed) for seed in range(max(1, n // 4))),
        *((kind, seed) for kind in TISSUES for seed in range(each)),
    ]
    size = {"air": n, "assumed": max(1, n // 4)}
    return sorted(every, key=lambda task: (task[1] + 0.5) / size.get(task[0], each))


def main() -> int:
    """Run the study; the exit code says whether every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="specimens with both instruments")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop then and report what there is")
    parser.add_argument("--scene", help="measure specimens of this scene alone and print only")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    parser.add_argument("--dry", action="store_true", help="print only, leave results and page as they are")
    arguments = parser.parse_args()
    store = ROOT / "build" / "calibration" / f"{source_hash()}.csv"
    if arguments.fresh:
        store.unlink(missing_ok=True)
    chosen = [task for task in tasks(arguments.n) if arguments.scene in (None, task[0])]
    found = run(chosen, store, minutes=arguments.minutes)
    rows = judged(found)
    print(study_table(found))
    print()
    print(table(row for row in rows if row.bar))
    if not arguments.dry and arguments.scene is None:
        about = machine(specimens=len({item.seed for item in found if item.scene == "air"}))
        write_rows("calibration", rows, about)
        text = f"{study_table(found)}\n\n{table(row for row in rows if row.bar)}\n\n{sentence(about)}"
        put_into_page(PAGE, "calibration", text)
    return 1 if shortfalls(rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
