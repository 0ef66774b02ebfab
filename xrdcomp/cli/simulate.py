"""xrdcomp simulate: specimens of known composition as instrument exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from xrdcomp.cli.options import ATMOSPHERES, examples
from xrdcomp.cli.output import progress
from xrdcomp.errors import RecipeError

__all__ = ["simulate"]

COMPONENTS = ("apatite", "carbonate", "protein", "lipid", "water", "amorphous_mineral")
EXAMPLE = "apatite=0.3,carbonate=0.02,protein=0.4,lipid=0.1,water=0.15,amorphous_mineral=0.03"


@click.command(
    epilog=examples(
        "xrdcomp simulate --out cohort",
        f"xrdcomp simulate --composition {EXAMPLE} --sample-id T1 --seed 7 --out simulated",
    )
)
@click.option("--out", default="simulated", show_default=True, metavar="DIR", help="Folder to write.")
@click.option("--seed", type=click.IntRange(min=0), help="The same seed writes the same bytes.")
@click.option(
    "--composition",
    metavar="NAME=FRACTION[,…]",
    help=f"One specimen instead of the cohort of ten: {', '.join(COMPONENTS)} or a phase id; fractions sum to 1.",
)
@click.option("--sample-id", default="simulated", show_default=True, metavar="ID")
@click.option("--peak-counts", type=click.FloatRange(min=1), default=5000.0, show_default=True)
@click.option("--atmosphere", type=click.Choice(ATMOSPHERES), default="air", show_default=True)
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def simulate(out: str, seed: int | None, composition: str | None, **options: Any) -> None:
    """Write simulated specimens as instrument exports, with their truth beside them.

    Without --composition, the cohort of ten specimens that `xrdcomp demo` analyses.
    """
    from xrdcomp.simulate import COHORT_SEED

    number = COHORT_SEED if seed is None else seed
    if composition is None:
        _write_cohort(Path(out), number)
    else:
        _write_specimen(Path(out), _fractions(composition), number, options)
    progress(f"written: {out} (simulated, seed {number})", quiet=options["quiet"])


def _write_cohort(target: Path, seed: int) -> None:
    from xrdcomp.present.write import replaced_folder
    from xrdcomp.simulate import generate_cohort

    with replaced_folder(target, marker="cohort.json") as work:
        generate_cohort(work, seed=seed)


def _write_specimen(folder: Path, fractions: dict[str, float], seed: int, options: dict[str, Any]) -> None:
    from xrdcomp.present.write import replaced_folder, safe_sample_id
    from xrdcomp.simulate import (
        SpecimenModel,
        TgaConditions,
        XrdConditions,
        simulate_specimen,
        write_pattern,
        write_tga,
    )

    name = safe_sample_id(options["sample_id"])
    parts: dict[str, Any] = {part: value for part, value in fractions.items() if part in COMPONENTS}
    model = SpecimenModel(
        specimen_id=name,
        other={phase: value for phase, value in fractions.items() if phase not in COMPONENTS},
        **parts,
    )
    simulated = simulate_specimen(
        model,
        xrd=XrdConditions(peak_counts=options["peak_counts"]),
        tga=TgaConditions(atmosphere=options["atmosphere"]),
        seed=seed,
    )
    with replaced_folder(folder / name, marker="truth.json") as work:
        write_pattern(work / f"{name}.xy", simulated.pattern, "xy")
        write_tga(work / f"{name}_tga.csv", simulated.tga, "csv")
        truth = json.dumps({**simulated.truth, "seed": seed}, indent=1, ensure_ascii=False)
        (work / "truth.json").write_text(truth + "\n", encoding="utf-8")


def _fractions(text: str) -> dict[str, float]:
    fractions: dict[str, float] = {}
    for item in text.split(","):
        name, _, number = item.partition("=")
        try:
            fractions[name.strip()] = float(number)
        except ValueError:
            msg = f"--composition {text}: {item!r} is no NAME=FRACTION. Expected e.g. {EXAMPLE}."
            raise RecipeError(msg) from None
    return fractions
