"""Judge the ordinary analysis on worlds that others made.

    python -m benchmarks.worlds.study --world measured --n 24 --seed 1 --workers 1
    python -m benchmarks.worlds.study --world all --n 40 [--dry]

Each specimen is written as files and analysed as a user would, with its gas named and its blank, if it has one. Worlds:
those of `benchmarks.worlds.draw`, and ``home``, the package's own simulator. Printed and stored
(``benchmarks/results/worlds_<world>.json``): coverage of the 95 and 68 % intervals, mean absolute error, mean half
width, interval score [Gneiting & Raftery 2007], split by what a specimen holds; calibration of the claims; states.
Cases are kept in ``build/worlds/`` until the package or the worlds change.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.report import ROOT, Row, between, machine, put_into_page, source_hash, write_rows
from benchmarks.store import append_store, measured_in_turn, read_store
from benchmarks.worlds.draw import WORLDS, write_specimen
from xrdcomp import analyze
from xrdcomp.composition.compose import interval_of
from xrdcomp.errors import XrdcompError
from xrdcomp.results import COMPONENTS, SampleResult

PAGE = ROOT / "docs" / "worlds.md"
JUDGED = ("crystalline_hydroxyapatite", "organic", "water", "carbonate", "amorphous_mineral")
SHORT = dict(zip(JUDGED, ("HA", "organic", "water", "carbonate", "amorphous mineral"), strict=True))
LEVELS = (95, 68)


class Task(NamedTuple):
    """A specimen to be drawn: its world and the seed in it."""

    world: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """One component (or ``claim:…``, or ``other_crystalline``) of one specimen, with what may have made it hard.

    Of a claim `truth` is 0 or 1 and `value` its probability. A refused analysis has the component ``refused``.
    """

    world: str
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
    amorphous: float
    apatite: float
    mass_mg: float
    rate: float
    salts: float
    unlisted: float
    foreign: float
    inert: bool
    overflow: bool
    jump: bool
    buoyancy_cm3: float
    end_c: float
    late_char: float
    main_organic: str
    status: str
    seconds: float

    def covered(self, level: int) -> bool:
        low, high = (self.low95, self.high95) if level == 95 else (self.low68, self.high68)
        return low - 1e-9 <= self.truth <= high + 1e-9

    @property
    def score(self) -> float:
        """Interval score of the 95 % interval: width, and forty times the distance of a truth outside."""
        missed = max(self.low95 - self.truth, self.truth - self.high95, 0.0)
        return self.high95 - self.low95 + 2.0 / 0.05 * missed


GROUPS: dict[str, Callable[[Case], bool]] = {
    "all": lambda _: True,
    "A = 0": lambda c: c.amorphous == 0.0,
    "A > 0": lambda c: c.amorphous > 0.0,
    "mass < 5 mg": lambda c: c.mass_mg < 5.0,
    "salts": lambda c: c.salts > 0.0,
    "other crystals": lambda c: c.foreign > 0.0,
    "unlisted crystals": lambda c: c.unlisted > 0.0,
    "inert gas": lambda c: c.inert,
    "overflow": lambda c: c.overflow,
    "jump": lambda c: c.jump,
    "late char": lambda c: c.late_char > 0.001,
    "plain": lambda c: not (c.overflow or c.jump or c.inert or c.foreign > 0.0 or c.late_char > 0.001),
}
CLAIM_TRUTH: dict[str, Callable[[dict[str, float]], bool]] = {
    "hydroxyapatite_present": lambda t: t["crystalline_hydroxyapatite"] > 0.0,
    "hydroxyapatite_only_crystalline_phase": lambda t: (
        t["crystalline_hydroxyapatite"] > 0.0 and t["other_crystalline"] <= 0.0
    ),
    "hydroxyapatite_minor_component": lambda t: t["crystalline_hydroxyapatite"] < 0.5,
    "organic_more_than_half": lambda t: t["organic"] > 0.5,
}


def facts_of(truth: dict[str, Any]) -> dict[str, Any]:
    """What of a specimen's truth the splits need."""
    tga = truth["tga"]
    kinds: dict[str, float] = truth["organic_kinds"]
    parts: dict[str, float] = truth["components"]
    return {
        "world": truth["world"],
        "seed": truth["seed"],
        "amorphous": parts["amorphous_mineral"],
        "apatite": parts["crystalline_hydroxyapatite"],
        "mass_mg": tga["mass_mg"],
        "rate": tga["rate_k_min"],
        "salts": truth["salts"],
        "unlisted": truth["unlisted"],
        "foreign": float(sum(truth["crystals"].values())),
        "inert": tga["gas"] == "nitrogen",
        "overflow": bool(truth.get("xrd", {}).get("instrument", {}).get("overflow", False)),
        "jump": tga["jump_ug"] != 0.0,
        "buoyancy_cm3": tga["volume_cm3"] - (tga["blank_cm3"] or 0.0),
        "end_c": tga["end_c"],
        "late_char": sum(truth["tga_losses"].get(kind, 0.0) for kind in ("char_late", "char_gasified")),
        "main_organic": max(kinds, key=lambda kind: kinds[kind]) if kinds else "",
    }


def blank_case(component: str, *, given: bool, value: float = 0.0, truth: float = 0.0, **facts: Any) -> Case:
    """Case without interval: a claim, or an analysis that was refused."""
    numbers: dict[str, Any] = dict.fromkeys(("std", "low95", "high95", "low68", "high68"), 0.0)
    return Case(component=component, given=given, value=value, truth=truth, **numbers, **facts)


def cases_of(result: SampleResult, truth: dict[str, Any], facts: dict[str, Any], seconds: float) -> list[Case]:
    """Compare a result with the truth, component by component and claim by claim."""
    composition, found = result.composition, []
    facts = facts | {"status": result.status, "seconds": seconds}
    both = ("crystalline_hydroxyapatite", "amorphous_mineral")
    told_apart = all(composition.components[name] is not None for name in both)
    for index, name in enumerate(COMPONENTS):
        estimate = composition.components[name]
        bounds = dict.fromkeys(LEVELS, (0.0, 1.0))
        if estimate is not None and len(composition.draws):
            for level in LEVELS:
                bounds[level] = interval_of(composition.draws, (index,), level / 100, told_apart=told_apart)
            bounds[95] = estimate.ci95 or bounds[95]
        found.append(
            Case(
                component=name,
                given=estimate is not None,
                truth=float(truth["components"][name]),
                value=0.0 if estimate is None else float(estimate.value),
                std=0.0 if estimate is None else float(estimate.std or 0.0),
                low95=bounds[95][0],
                high95=bounds[95][1],
                low68=bounds[68][0],
                high68=bounds[68][1],
                **facts,
            )
        )
    for claim in result.claims:
        if claim.id in CLAIM_TRUTH:
            holds = CLAIM_TRUTH[claim.id](truth["components"])
            values = {"value": 0.5 if claim.probability is None else claim.probability, "truth": float(holds)}
            found.append(blank_case(f"claim:{claim.id}", given=claim.probability is not None, **values, **facts))
    return found


def home_specimen(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Specimen of the package's own simulator, as arguments of `analyze` and truth."""
    from benchmarks.calibration import specimen
    from xrdcomp.simulate.cohort import simulate_specimen

    model, xrd, tga = specimen(seed, varied=True)
    simulated = simulate_specimen(model, xrd=xrd, tga=tga, seed=seed)
    instrument = {"mass_mg": tga.sample_mass_mg, "rate_k_min": tga.heating_rate_k_min, "gas": "air", "jump_ug": 0.0}
    truth = simulated.truth | {
        "world": "home",
        "seed": seed,
        "organic_kinds": {"collagen": model.protein, "lipid": model.lipid},
        "crystals": {},
        "salts": 0.0,
        "unlisted": 0.0,
        "tga": instrument | {"volume_cm3": tga.pan_volume_cm3, "blank_cm3": None, "end_c": tga.end_c},
        "tga_losses": {},
    }
    return {"xrd": simulated.pattern, "tga": simulated.tga}, truth


def given_and_truth(world: str, seed: int, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `analyze` is given of a specimen, written into a folder where its world writes files, and the truth."""
    if world == "home":
        return home_specimen(seed)
    files = write_specimen(world, seed, folder)
    given = {"xrd": files.xrd, "tga": files.tga, "tga_blank": files.tga_blank}
    return given | {"atmosphere": files.truth["tga"]["atmosphere"]}, files.truth


def judge(task: Task) -> list[Case]:
    """Draw a specimen, analyse it blind and compare."""
    world, seed = task
    with tempfile.TemporaryDirectory() as name:
        given, truth = given_and_truth(world, seed, Path(name))
        facts = facts_of(truth)
        began = time.process_time()
        try:
            result = analyze(**given)
        except XrdcompError as error:
            print(f"{world} {seed}: {error}", file=sys.stderr)
            return [blank_case("refused", given=False, status="refused", seconds=0.0, **facts)]
    return cases_of(result, truth, facts, time.process_time() - began)


def worlds_hash() -> str:
    """First digits of a SHA-256 over the code of the worlds: specimens of different code are never mixed."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def run(tasks: Sequence[Task], store: Path | None = None, *, workers: int = 1) -> list[Case]:
    """Judge every specimen that `store` does not hold yet."""
    known: list[Case] = read_store(store, Case)
    done = {(case.world, case.seed) for case in known}
    missing = [task for task in tasks if task not in done]
    found = list(known)
    for new in measured_in_turn(judge, missing, workers=workers):
        found.extend(new)
        append_store(store, new)
    wanted = set(tasks)
    return [case for case in found if (case.world, case.seed) in wanted]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One component of one group: coverage in %, the rest in wt%."""

    n: int
    covered95: float
    covered68: float
    mae: float
    bias: float
    half_width: float
    score: float
    missed_low: int
    missed_high: int


def summarize(cases: Iterable[Case], component: str, group: str = "all") -> Summary | None:
    """Return None where no specimen of the group has an estimate."""
    chosen = [c for c in cases if c.component == component and c.given and GROUPS[group](c)]
    if not chosen:
        return None
    error = 100 * np.array([c.value - c.truth for c in chosen])
    return Summary(
        n=len(chosen),
        covered95=100 * float(np.mean([c.covered(95) for c in chosen])),
        covered68=100 * float(np.mean([c.covered(68) for c in chosen])),
        mae=float(np.abs(error).mean()),
        bias=float(error.mean()),
        half_width=50 * float(np.mean([c.high95 - c.low95 for c in chosen])),
        score=100 * float(np.mean([c.score for c in chosen])),
        missed_low=sum(c.high95 + 1e-9 < c.truth for c in chosen),
        missed_high=sum(c.low95 - 1e-9 > c.truth for c in chosen),
    )


def tables(cases: list[Case], groups: Iterable[str] = GROUPS) -> str:
    """Markdown: components by group, claims, states."""
    lines = [
        "| world | group | component | n | 95 % cover | 68 % cover | MAE | bias | half width | interval score | "
        "truth above / below |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    worlds = list(dict.fromkeys(case.world for case in cases))
    for world in worlds:
        inside = [case for case in cases if case.world == world]
        for group in groups:
            for component in JUDGED:
                s = summarize(inside, component, group)
                if s is not None and not (component == "amorphous_mineral" and group == "inert gas"):
                    lines.append(
                        f"| {world} | {group} | {SHORT[component]} | {s.n} | {s.covered95:.0f} | {s.covered68:.0f} | "
                        f"{s.mae:.2f} | {s.bias:+.2f} | {s.half_width:.2f} | {s.score:.2f} | "
                        f"{s.missed_low} / {s.missed_high} |"
                    )
    lines += [
        "",
        "| world | claim | n | mean probability | share true | Brier score | P < 0.05 yet true | P > 0.95 yet false |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for world in worlds:
        for claim in CLAIM_TRUTH:
            chosen = [c for c in cases if (c.world, c.component) == (world, f"claim:{claim}") and c.given]
            if chosen:
                p, t = np.array([[c.value, c.truth] for c in chosen]).T
                brier = float(((p - t) ** 2).mean())
                lines.append(
                    f"| {world} | {claim} | {len(chosen)} | {p.mean():.2f} | {t.mean():.2f} | {brier:.3f}"
                    f" | {int(np.sum((p < 0.05) & (t == 1)))} | {int(np.sum((p > 0.95) & (t == 0)))} |"
                )
    lines += ["", "| world | ok | warning | failed | refused | median s CPU |", "|---|---|---|---|---|---|"]
    for world in worlds:
        first = {c.seed: c for c in cases if c.world == world}.values()
        counts = [sum(c.status == state for c in first) for state in ("ok", "warning", "failed", "refused")]
        median = float(np.median([c.seconds for c in first]))
        lines.append(f"| {world} | {' | '.join(map(str, counts))} | {median:.2f} |")
    return "\n".join(lines)


def worst(cases: list[Case], number: int = 12) -> str:
    """Misses that are widest of their interval, with what the specimen is like."""
    missed = [c for c in cases if c.component in JUDGED and c.given and not c.covered(95)]
    missed.sort(key=lambda c: -max(c.low95 - c.truth, c.truth - c.high95) / max(c.high95 - c.low95, 0.002))
    lines = ["| specimen | component | truth | value | interval | why it may be hard |", "|---|---|---|---|---|---|"]
    for c in missed[:number]:
        why = [
            f"{c.main_organic}, {c.mass_mg:.1f} mg, {c.rate:.0f} K/min to {c.end_c:.0f} °C, V {c.buoyancy_cm3:.3f} cm³",
            f"A {100 * c.amorphous:.1f}",
            *(["N2"] if c.inert else []),
            *(["jump"] if c.jump else []),
            *([f"late char {100 * c.late_char:.2f}"] if c.late_char > 0.0 else []),
            *(["overflow"] if c.overflow else []),
            *([f"salts {100 * c.salts:.1f}"] if c.salts else []),
            *([f"other crystals {100 * (c.foreign - c.salts):.1f}"] if c.foreign > c.salts else []),
            *([f"unlisted {100 * c.unlisted:.1f}"] if c.unlisted else []),
        ]
        lines.append(
            f"| {c.world} {c.seed} | {SHORT[c.component]} | {100 * c.truth:.2f} | {100 * c.value:.2f} | "
            f"{100 * c.low95:.2f} to {100 * c.high95:.2f} | {'; '.join(why)} |"
        )
    return "\n".join(lines)


def rotation(cases: list[Case]) -> str:
    """Markdown: each world left out in turn, with the widths that the others ask for.

    The constant that is chosen is a factor on the half widths of a component's 95 % intervals, the smallest that
    covers 95 % of the truths of all other worlds. The last column is what the left-out world covers with it; the worst
    stands below. A factor near 1 everywhere, and 95 % with it, is what is wanted.
    """
    lines = ["| left out | component | factor chosen on the others | covers without | covers with it |"]
    lines.append("|---|---|---|---|---|")
    worlds = list(dict.fromkeys(case.world for case in cases))
    judged: list[tuple[float, str]] = []

    def stretch(case: Case) -> float:
        """Factor on the distance from value to the end of the interval that just reaches the truth."""
        end = case.high95 if case.truth > case.value else case.low95
        return abs(case.truth - case.value) / max(abs(end - case.value), 1e-6)

    for world in worlds:
        for component in JUDGED:
            chosen = [c for c in cases if c.component == component and c.given]
            others = [stretch(c) for c in chosen if c.world != world]
            left = [c for c in chosen if c.world == world]
            if not others or not left:
                continue
            factor = max(1.0, float(np.quantile(others, 0.95, method="higher")))
            plain = 100 * float(np.mean([c.covered(95) for c in left]))
            scaled = 100 * float(np.mean([c.covered(95) or stretch(c) <= factor for c in left]))
            judged.append((scaled, f"{world}, {SHORT[component]}"))
            lines.append(f"| {world} | {SHORT[component]} | {factor:.2f} | {plain:.0f} | {scaled:.0f} |")
    if judged:
        lines += ["", f"Worst of all left out: {min(judged)[1]}, {min(judged)[0]:.0f} %."]
    return "\n".join(lines)


def rows_of(cases: list[Case]) -> list[Row]:
    """Figures with their bars: nominal coverage of each component, all and by what makes a specimen hard."""
    rows: list[Row] = []
    for world in dict.fromkeys(case.world for case in cases):
        inside = [case for case in cases if case.world == world]
        for group in GROUPS:
            for component in JUDGED:
                s = summarize(inside, component, group)
                if s is None:
                    continue
                name = f"{world}, {group}: {SHORT[component]}"
                judged = group in ("all", "A = 0", "A > 0", "mass < 5 mg", "salts") and s.n >= 20
                cover95, cover68 = f"{name}, coverage of 95 % intervals", f"{name}, coverage of 68 % intervals"
                rows += [
                    between(cover95, s.covered95, 92.0, 98.0, "%")
                    if judged
                    else Row(name=cover95, value=s.covered95, unit="%"),
                    between(cover68, s.covered68, 60.0, 76.0, "%")
                    if judged
                    else Row(name=cover68, value=s.covered68, unit="%"),
                    Row(name=f"{name}, mean absolute error", value=s.mae, unit="wt%"),
                    Row(name=f"{name}, mean half width", value=s.half_width, unit="wt%"),
                    Row(name=f"{name}, interval score", value=s.score, unit="wt%"),
                    Row(name=f"{name}, specimens", value=s.n),
                ]
    return rows


def main() -> int:
    """Run the study; prints the tables and the worst misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="measured", help=f"{', '.join(WORLDS)}, home, or all")
    parser.add_argument("--n", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1, help="of the first specimen")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--worst", type=int, default=12, help="misses to list")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    parser.add_argument("--dry", action="store_true", help="print only")
    arguments = parser.parse_args()
    chosen = (*WORLDS, "home") if arguments.world == "all" else tuple(arguments.world.split(","))
    store = ROOT / "build" / "worlds" / f"{source_hash()}-{worlds_hash()}.csv"
    if arguments.fresh:
        store.unlink(missing_ok=True)
    tasks = [Task(world, seed) for world in chosen for seed in range(arguments.seed, arguments.seed + arguments.n)]
    cases = run(tasks, store, workers=arguments.workers)
    print(tables(cases))
    print()
    print(worst(cases, arguments.worst))
    if len(chosen) > 1:
        print(f"\n{rotation(cases)}")
    if not arguments.dry:
        for world in chosen:
            inside = [case for case in cases if case.world == world]
            write_rows(f"worlds_{world}", rows_of(inside), machine(specimens=arguments.n))
        if arguments.world == "all":
            shown = tables(cases, ("all", "A = 0", "A > 0", "mass < 5 mg", "salts", "inert gas"))
            made = f"Code `{source_hash()}`; {arguments.n} specimens of each world from seed {arguments.seed}."
            put_into_page(PAGE, "worlds", f"{made}\n\n{shown}\n\n{rotation(cases)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
