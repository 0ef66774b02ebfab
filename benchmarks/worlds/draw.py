"""Write specimens of a world: a pattern, a thermogravimetric run and the truth of each.

python -m benchmarks.worlds.draw --world measured --n 10 --seed 1 --out FOLDER
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.worlds import population
from benchmarks.worlds.debye import pattern as debye
from benchmarks.worlds.files import Scan, write_csv, write_netzsch, write_xrdml, write_xy
from benchmarks.worlds.kinetics.balance import draw_laboratory, weigh
from benchmarks.worlds.measured import pattern as measured
from benchmarks.worlds.optics import Diffractometer

Diffraction = Callable[[population.Specimen, int, Diffractometer | None], tuple[Scan, dict[str, Any]]]


DIFFRACTION: dict[str, Diffraction] = {"debye": debye.pattern, "measured": measured.pattern}
# The worlds hold other specimens: the first seed of each.
FIRST_SEED = {"debye": 0, "measured": 100_000, "kinetics": 200_000}
WORLDS = tuple(FIRST_SEED)


@dataclass(frozen=True, kw_only=True)
class Files:
    """What was written of one specimen; `xrd` None in the world of kinetics alone."""

    xrd: Path | None
    tga: Path
    tga_blank: Path | None
    truth: dict[str, Any]


def write_specimen(world: str, seed: int, folder: Path) -> Files:
    """Draw specimen `seed` of a world, measure it with both instruments and write files and ``truth.json``."""
    if world not in WORLDS:
        raise ValueError(f"no world {world!r}; choose one of {', '.join(WORLDS)}.")
    folder.mkdir(parents=True, exist_ok=True)
    offset = FIRST_SEED[world] + seed
    specimen = population.draw(offset, embedded=world != "debye")
    rng = np.random.default_rng([11, offset])
    name = f"{world}_{seed:04d}"
    truth = specimen.truth() | {"world": world, "seed": seed, "sample_id": name}
    xrd = None
    if world in DIFFRACTION:
        scan, facts = DIFFRACTION[world](specimen, offset, None)
        writer = write_xrdml if rng.random() < 0.6 else write_xy
        xrd = folder / f"{name}.{'xrdml' if writer is write_xrdml else 'xy'}"
        writer(xrd, scan, name)
        truth["xrd"] = facts
    laboratory = draw_laboratory(rng)
    weighed = weigh(specimen, laboratory, offset)
    export = write_csv if rng.random() < 0.5 else write_netzsch
    tga = folder / f"{name}_tga.{'csv' if export is write_csv else 'txt'}"
    export(tga, weighed.run, name)
    tga_blank = None
    if weighed.blank is not None:
        tga_blank = folder / f"{name}_empty_pan.csv"
        write_csv(tga_blank, weighed.blank, "empty pan")
    truth |= {"tga": laboratory.facts(), "tga_losses": weighed.losses}
    (folder / f"{name}_truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return Files(xrd=xrd, tga=tga, tga_blank=tga_blank, truth=truth)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="measured")
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the first specimen")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for seed in range(arguments.seed, arguments.seed + arguments.n):
        files = write_specimen(arguments.world, seed, arguments.out)
        print(files.truth["sample_id"], {k: round(v, 4) for k, v in files.truth["components"].items()})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
