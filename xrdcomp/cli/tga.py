"""xrdcomp tga: the mass balance of a thermogravimetric run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from xrdcomp.cli.options import (
    build_recipe,
    examples,
    output_options,
    read_tga_as_told,
    recipe_options,
    tga_file_options,
    thermal_options,
)
from xrdcomp.cli.output import deliver, progress
from xrdcomp.errors import RecipeError

__all__ = ["tga"]


@click.command(
    epilog=examples(
        "xrdcomp tga run.csv --atmosphere air",
        "xrdcomp tga bare.csv --column temperature=1 --column mass=2 --temperature-unit C --mass-unit mg",
        "xrdcomp tga run.txt --blank empty_pan.txt --windows windows.toml --out results",
    )
)
@click.argument("file")
@click.option("--blank", metavar="FILE", help="Run of the empty pan with the same program.")
@thermal_options
@click.option("--windows", metavar="FILE", help="TOML with water_end_c, organic_end_c, carbonate_end_c …")
@tga_file_options
@click.option("--sample-id", metavar="ID", help="Name of the specimen [default: the file's name].")
@recipe_options
@output_options
def tga(file: str, **options: Any) -> None:
    """Steps and mass balance of a thermogravimetric run: water, organic, carbonate, residue."""
    recipe = build_recipe(options)
    if options["windows"]:
        recipe = recipe.with_settings(_windows(options["windows"]))
    progress(f"analysing {file}", quiet=options["quiet"])
    from xrdcomp.pipeline import analyze
    from xrdcomp.present import result_table

    run, blank = read_tga_as_told(file, options["blank"], options)
    result = analyze(tga=run, tga_blank=blank, recipe=recipe)
    deliver(result, options, as_text=result_table)


def _windows(name: str) -> dict[str, Any]:
    """Return the thermal settings of a windows file as dotted recipe keys."""
    try:
        data = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = (
            f"{name}: cannot be read as windows ({error}). Expected: TOML lines such as organic_end_c = 620."
        )
        raise RecipeError(msg) from error
    return {f"thermal.{key}": value for key, value in data.get("thermal", data).items()}
