"""Widths must move, not jump: one specimen, changed a little at a time.

    python -m benchmarks.worlds.sweeps --world debye --sweep counts
    python -m benchmarks.worlds.sweeps --page

Sweeps: organic 0–40 %, amorphous mineral 0–15 %, counts 300–128 000, end of the scan 50–90°, offset between the
instruments 0–10 %, an unlisted crystal 0–20 %, heating rate 2–40 K/min, in the worlds and with the package's simulator
(``home``). Everything else, noise included, stays: the counts of a point are its expected ones plus the same normal
deviate times their root. No interval may change its width by more than a factor of 1.5 in a step that changes the data
by less than their σ. Steps that do are halved until they do not, four times at most: a sixteenth of a step is a tenth
of a per cent of organic or amorphous mineral, two per cent of the counts, an eighth of a degree, below the uncertainty
of what each of them changes. What remains is a jump. More counts, however many more, may widen no interval by more
than 10 %. Stored in ``benchmarks/results/worlds_sweep_<world>_<sweep>.json``; ``--page`` puts what is stored into
``docs/worlds.md``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from benchmarks.report import RESULTS, ROOT, Row, at_most, machine, put_into_page, table, write_rows
from benchmarks.worlds.debye import pattern as debye
from benchmarks.worlds.files import Array, Scan, write_csv, write_xrdml
from benchmarks.worlds.kinetics.balance import Laboratory, weigh
from benchmarks.worlds.measured import pattern as measured
from benchmarks.worlds.optics import Diffractometer, exposed
from benchmarks.worlds.population import Specimen
from xrdcomp import analyze
from xrdcomp.data import Cell
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate.cohort import simulate_tga, write_tga
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, XrdConditions
from xrdcomp.simulate.xrd import expected_pattern

JUDGED = ("crystalline_hydroxyapatite", "organic", "water", "carbonate", "amorphous_mineral")
FLOOR = 0.001  # widths below 0.1 wt% count as that: a ratio of two tiny widths says nothing
FACTOR, HALVINGS = 1.5, 4
WORLDS = ("home", "measured", "debye")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is measured: the specimen as diffracted, the specimen as weighed, and the instruments."""

    diffracted: Specimen
    weighed: Specimen
    optics: Diffractometer
    laboratory: Laboratory


BASE_SPECIMEN = Specimen(
    apatite=0.42, carbonate=0.026, organic={"collagen": 0.28, "lipid": 0.08}, water=0.164, amorphous_mineral=0.03
)
BASE = Setting(
    diffracted=BASE_SPECIMEN,
    weighed=BASE_SPECIMEN,
    optics=Diffractometer(),
    laboratory=Laboratory(
        rate_k_min=10.0, mass_mg=12.0, end_c=1000.0, gas="air", switch_c=None, volume_cm3=0.02, blank_cm3=None,
        noise_ug=1.0, drift_ug=0.0, wander_ug=0.5, jump_ug=0.0, jump_at=0.5, lag_k=1.0, points=2000,
    ),
)  # fmt: skip


def diluted(specimen: Specimen, share: float) -> Specimen:
    """Specimen of which `share` is something else, everything in it less in proportion."""
    left = 1.0 - share
    return replace(
        specimen,
        apatite=left * specimen.apatite,
        carbonate=left * specimen.carbonate,
        organic={name: left * mass for name, mass in specimen.organic.items()},
        water=left * specimen.water,
        amorphous_mineral=left * specimen.amorphous_mineral,
    )


def _specimen(change: Callable[[float], Specimen]) -> Callable[[float], Setting]:
    return lambda x: replace(BASE, diffracted=change(x), weighed=change(x))


def _organic(share: float) -> Specimen:
    rest = diluted(replace(BASE_SPECIMEN, organic={}), 1.0 - (1.0 - share) / 0.64)
    return replace(rest, organic={"collagen": 0.78 * share, "lipid": 0.22 * share})


def _amorphous(share: float) -> Specimen:
    rest = diluted(replace(BASE_SPECIMEN, amorphous_mineral=0.0), 1.0 - (1.0 - share) / 0.97)
    return replace(rest, amorphous_mineral=share)


def _more_apatite(share: float) -> Specimen:
    rest = diluted(replace(BASE_SPECIMEN, apatite=0.0), share / (1.0 - BASE_SPECIMEN.apatite))
    return replace(rest, apatite=BASE_SPECIMEN.apatite + share)


def _offset(share: float) -> Setting:
    """The specimen that is diffracted holds more apatite, at the expense of the rest."""
    return replace(BASE, diffracted=_more_apatite(share))


def _unlisted(share: float) -> Specimen:
    return replace(diluted(BASE_SPECIMEN, share), crystals={"spinel": share} if share else {})


SWEEPS: dict[str, tuple[tuple[float, ...], Callable[[float], Setting]]] = {
    "organic": (tuple(np.arange(0.0, 0.401, 0.02)), _specimen(_organic)),
    "amorphous": (tuple(np.arange(0.0, 0.151, 0.01)), _specimen(_amorphous)),
    "counts": (
        tuple(300.0 * np.geomspace(1.0, 128_000 / 300, 18)),
        lambda x: replace(BASE, optics=replace(BASE.optics, peak_counts=x)),
    ),
    "range": (tuple(np.arange(50.0, 90.1, 2.0)), lambda x: replace(BASE, optics=replace(BASE.optics, last=x))),
    "offset": (tuple(np.arange(0.0, 0.101, 0.005)), _offset),
    "unlisted": (tuple(np.arange(0.0, 0.201, 0.01)), _specimen(_unlisted)),
    "rate": (
        tuple(np.geomspace(2.0, 40.0, 20)),
        lambda x: replace(BASE, laboratory=replace(BASE.laboratory, rate_k_min=x)),
    ),
}


def _at_home(specimen: Specimen, unlisted: str = "unlisted") -> SpecimenModel:
    """The same for the package's simulator; `unlisted` is the id of the crystal that stands for those of no list."""
    return SpecimenModel(
        apatite=specimen.apatite,
        carbonate=specimen.carbonate,
        protein=specimen.organic.get("collagen", 0.0),
        lipid=specimen.organic.get("lipid", 0.0),
        water=specimen.water,
        amorphous_mineral=specimen.amorphous_mineral,
        other={unlisted: sum(specimen.crystals.values())} if specimen.crystals else {},
    )


def _expected(world: str, setting: Setting, seed: int) -> tuple[Array, Array]:
    """2θ and expected counts."""
    optics = setting.optics
    if world != "home":
        draw = {"measured": measured, "debye": debye}[world].before_counting
        two_theta, signal, *_ = draw(setting.diffracted, seed, optics)
        return two_theta, exposed(two_theta, signal, optics)[0]
    model = _at_home(setting.diffracted)
    conditions = XrdConditions(two_theta_max=optics.last, peak_counts=optics.peak_counts)
    salt = load_phase("halite")
    # salt with a cell of no phase of the library
    side = 0.93 * salt.cell.a
    crystal = replace(salt, id="unlisted", cell=Cell(a=side, b=side, c=side, alpha=90.0, beta=90.0, gamma=90.0))
    apatite = model.apatite_model.phase
    phases = {apatite: load_phase(apatite), "unlisted": crystal}
    found = expected_pattern(model, conditions, phases, np.random.default_rng(seed))
    return np.asarray(found.two_theta), np.asarray(found.specimen + found.background)


def widths(world: str, setting: Setting, seed: int) -> dict[str, tuple[float, float]]:
    """Value and width of each component's 95 % interval; not given counts as everything from 0 to 1."""
    two_theta, expected = _expected(world, setting, seed)
    deviate = np.random.default_rng([17, seed]).standard_normal(20_000)[: len(two_theta)]
    counts = np.maximum(np.rint(expected + np.sqrt(expected) * deviate), 0.0)
    laboratory = setting.laboratory
    with tempfile.TemporaryDirectory() as name:
        xrd, tga = Path(name) / "a.xrdml", Path(name) / "a.csv"
        write_xrdml(xrd, Scan(two_theta=two_theta, counts=counts), "a")
        if world == "home":
            conditions = TgaConditions(heating_rate_k_min=laboratory.rate_k_min, points=laboratory.points)
            run = simulate_tga(_at_home(setting.weighed, unlisted="quartz"), conditions, seed=seed)  # stays on heating
            write_tga(tga, run, "csv")
        else:
            write_csv(tga, weigh(setting.weighed, laboratory, seed).run, "a")
        components = analyze(xrd, tga=tga, atmosphere=laboratory.atmosphere).composition.components
    found = {}
    for component in JUDGED:
        estimate = components[component]
        low, high = (0.0, 1.0) if estimate is None or estimate.ci95 is None else estimate.ci95
        found[component] = (0.5 if estimate is None else estimate.value, high - low)
    return found


Widths = Mapping[str, tuple[float, float]]


def factor(one: Widths, other: Widths, component: str) -> float:
    """Width of the second over that of the first."""
    return max(other[component][1], FLOOR) / max(one[component][1], FLOOR)


def refined(steps: tuple[float, ...], at: Callable[[float], Widths]) -> dict[float, Widths]:
    """Widths at the steps, and between those where one changes by more than the factor."""
    found = {x: at(x) for x in steps}
    todo = [(a, b, HALVINGS) for a, b in pairwise(steps)]
    while todo:
        a, b, left = todo.pop()
        changes = [factor(found[a], found[b], component) for component in JUDGED]
        if left and max(*changes, 1.0 / min(changes)) > FACTOR:
            middle = 0.5 * (a + b)
            found[middle] = at(middle)
            todo += [(a, middle, left - 1), (middle, b, left - 1)]
    return dict(sorted(found.items()))


def sweep(world: str, name: str, *, seed: int = 3, every: int = 1) -> tuple[str, list[Row]]:
    """Markdown table of values and half widths, and the rows with their bars; `every` skips steps."""
    steps, setting = SWEEPS[name]
    found = refined(steps[::every], lambda x: widths(world, setting(float(x)), seed))
    lines = [f"| {name} | {' | '.join(JUDGED)} |", "|---" * (len(JUDGED) + 1) + "|"]
    for x, at in found.items():
        cells = [f"{100 * at[c][0]:.2f} ± {50 * at[c][1]:.2f}" for c in JUDGED]
        lines.append(f"| {x:.5g} | {' | '.join(cells)} |")
    rows, widest = [], list(found.values())
    for component in JUDGED:
        changes = [factor(a, b, component) for a, b in pairwise(widest)]
        jump = max((max(change, 1.0 / change) for change in changes), default=1.0)
        rows.append(at_most(f"{world}, {name}: {component}, largest factor of width in a step", jump, FACTOR))
        if name == "counts":
            wider = max((factor(a, b, component) for a, b in combinations(widest, 2)), default=1.0)
            rows.append(at_most(f"{world}, counts: {component}, wider with more counts", wider, 1.1))
    return "\n".join(lines), rows


def page() -> str:
    """What is stored as one table: the largest factor of each component in a step, and with more counts."""
    lines = [f"| world | sweep | {' | '.join(JUDGED)} | code |", "|---" * (len(JUDGED) + 3) + "|"]
    for world in WORLDS:
        for name in SWEEPS:
            path = RESULTS / f"worlds_sweep_{world}_{name}.json"
            if not path.is_file():
                continue
            rows = json.loads(path.read_text(encoding="utf-8"))
            code = json.loads(path.with_suffix(".machine.json").read_text(encoding="utf-8"))["source"]
            for what, last in ((name, "largest factor of width in a step"), ("more counts", "wider with more counts")):
                by = {c: next((r for r in rows if c in r["name"] and r["name"].endswith(last)), None) for c in JUDGED}
                cells = [f"{r['value']:.2f}" if r["holds"] else f"**{r['value']:.2f}**" for r in by.values() if r]
                if cells:
                    lines.append(f"| {world} | {what} | {' | '.join(cells)} | `{code}` |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="debye")
    parser.add_argument("--sweep", default="all", help=f"{', '.join(SWEEPS)}, or all")
    parser.add_argument("--every", type=int, default=1, help="take every nth step only")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print only")
    parser.add_argument("--page", action="store_true", help="put what is stored into docs/worlds.md")
    arguments = parser.parse_args()
    if arguments.page:
        put_into_page(ROOT / "docs" / "worlds.md", "sweeps", page())
        return 0
    chosen = tuple(SWEEPS) if arguments.sweep == "all" else tuple(arguments.sweep.split(","))
    rows = []
    for name in chosen:
        text, judged = sweep(arguments.world, name, every=arguments.every, seed=arguments.seed)
        print(f"{text}\n\n{table(judged)}\n", flush=True)
        rows += judged
        if not arguments.dry:
            write_rows(f"worlds_sweep_{arguments.world}_{name}", judged, machine(seed=arguments.seed))
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
