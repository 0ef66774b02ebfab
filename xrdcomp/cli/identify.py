"""xrdcomp identify: every crystalline phase of the library, found or not, with its detection limit."""

from __future__ import annotations

from typing import Any

import click

from xrdcomp.cli.options import build_recipe, examples, output_options, recipe_options, xrd_options
from xrdcomp.cli.output import deliver, progress

__all__ = ["identify"]


@click.command(
    epilog=examples(
        "xrdcomp identify scan.xrdml --radiation CuKa --format json",
    )
)
@click.argument("file")
@click.option("--blank", metavar="FILE", help="Scan of the empty holder.")
@click.option("--sample-id", metavar="ID", help="Name of the specimen [default: the file's name].")
@xrd_options
@recipe_options
@output_options
def identify(file: str, **options: Any) -> None:
    """Search a pattern for every crystalline phase of the library.

    Each phase is detected, not detected (with the fraction that would have been seen) or inconclusive. Nothing is
    assumed to be there.
    """
    recipe = build_recipe(options).with_settings({"identification.start": "nothing"})
    progress(f"searching {file}", quiet=options["quiet"])
    from xrdcomp.pipeline import analyze
    from xrdcomp.present.tables import phase_table

    result = analyze(file, blank=options["blank"], recipe=recipe, scan=options["scan"])
    deliver(result, options, as_text=phase_table)
