"""Widths must move, not jump: one specimen of a world, changed a little at a time.

    python -m benchmarks.worlds.sweeps --world debye --sweep counts

Sweeps: organic 0–40 %, amorphous mineral 0–15 %, counts 300–128 000, end of the scan 50–90°, offset between the
instruments 0–10 %, an unlisted crystal 0–20 %, heating rate 2–40 K/min. Everything else, noise included, stays. From
one step to the next no interval may change its width by more than a factor of 1.5, and more counts may not widen any
by more than 10 %. Stored in ``benchmarks/results/worlds_sweep_<world>_<sweep>.json``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.report import Row, at_most, machine, table, write_rows
from benchmarks.worlds.draw import DIFFRACTION
from benchmarks.worlds.files import write_csv, write_xrdml
from benchmarks.worlds.kinetics.balance import Laboratory, weigh
from benchmarks.worlds.optics import Diffractometer
from benchmarks.worlds.population import Specimen
from xrdcomp import analyze

JUDGED = ("crystalline_hydroxyapatite", "organic", "water", "carbonate", "amorphous_mineral")
FLOOR = 0.001  # widths below 0.1 wt% count as that: a ratio of two tiny widths says nothing


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


def widths(world: str, setting: Setting, seed: int) -> dict[str, tuple[float, float]]:
    """Value and width of each component's 95 % interval; not given counts as everything from 0 to 1."""
    with tempfile.TemporaryDirectory() as name:
        xrd, tga = Path(name) / "a.xrdml", Path(name) / "a.csv"
        write_xrdml(xrd, DIFFRACTION[world](setting.diffracted, seed, setting.optics)[0], "a")
        write_csv(tga, weigh(setting.weighed, setting.laboratory, seed).run, "a")
        components = analyze(xrd, tga=tga, atmosphere=setting.laboratory.atmosphere).composition.components
    found = {}
    for component in JUDGED:
        estimate = components[component]
        low, high = (0.0, 1.0) if estimate is None or estimate.ci95 is None else estimate.ci95
        found[component] = (0.5 if estimate is None else estimate.value, high - low)
    return found


def sweep(world: str, name: str, *, seed: int = 3, every: int = 1) -> tuple[str, list[Row]]:
    """Markdown table of values and half widths, and the rows with their bars; `every` skips steps."""
    steps, setting = SWEEPS[name]
    steps = steps[::every]
    found = [widths(world, setting(float(x)), seed) for x in steps]
    lines = [f"| {name} | {' | '.join(JUDGED)} |", "|---" * (len(JUDGED) + 1) + "|"]
    for x, at in zip(steps, found, strict=True):
        cells = [f"{100 * at[c][0]:.2f} ± {50 * at[c][1]:.2f}" for c in JUDGED]
        lines.append(f"| {x:.4g} | {' | '.join(cells)} |")
    rows = []
    for component in JUDGED:
        w = [max(at[component][1], FLOOR) for at in found]
        jump = max((max(a / b, b / a) for a, b in pairwise(w)), default=1.0)
        rows.append(at_most(f"{world}, {name}: {component}, largest factor of width in a step", jump, 1.5))
        if name == "counts":
            wider = max((b / a for a, b in pairwise(w)), default=1.0)
            rows.append(at_most(f"{world}, counts: {component}, wider with more counts", wider, 1.1))
    return "\n".join(lines), rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=tuple(DIFFRACTION), default="debye")
    parser.add_argument("--sweep", default="all", help=f"{', '.join(SWEEPS)}, or all")
    parser.add_argument("--every", type=int, default=1, help="take every nth step only")
    parser.add_argument("--dry", action="store_true", help="print only")
    arguments = parser.parse_args()
    chosen = tuple(SWEEPS) if arguments.sweep == "all" else tuple(arguments.sweep.split(","))
    rows = []
    for name in chosen:
        text, judged = sweep(arguments.world, name, every=arguments.every)
        print(f"{text}\n\n{table(judged)}\n", flush=True)
        rows += judged
        if not arguments.dry:
            write_rows(f"worlds_sweep_{arguments.world}_{name}", judged, machine())
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
