"""xrdcomp analyze: one specimen, from instrument exports to composition."""

from __future__ import annotations

from typing import Any

import click

from xrdcomp.cli.options import (
    build_recipe,
    examples,
    output_options,
    read_tga_as_told,
    recipe_options,
    tells_of_tga,
    tga_file_options,
    thermal_options,
    xrd_options,
)
from xrdcomp.cli.output import deliver, progress
from xrdcomp.errors import RecipeError

__all__ = ["analyze"]


@click.command(
    epilog=examples(
        "xrdcomp analyze scan.xrdml --tga run.csv --atmosphere air --out results",
        "xrdcomp analyze scan.xy --radiation CuKa --blank holder.xy",
        "xrdcomp analyze FAP.XRA --phases fluorapatite --wavelength 1.5405,1.5443",
        "xrdcomp analyze scan.xrdml --recipe results/S1/recipe.toml --format json --quiet",
    )
)
@click.argument("xrd", metavar="[XRD_FILE]", required=False)
@click.option("--tga", metavar="FILE", help="Thermogravimetric run of the same specimen.")
@click.option("--blank", metavar="FILE", help="Scan of the empty holder.")
@click.option("--tga-blank", metavar="FILE", help="Run of the empty pan with the same program.")
@click.option("--sample-id", metavar="ID", help="Name of the specimen [default: the file's name].")
@xrd_options
@tga_file_options
@thermal_options
@click.option(
    "--internal-standard", metavar="ID:FRACTION", help="Spike: phase id and its fraction of the spiked mass."
)
@click.option("--basis", type=click.Choice(["as_received", "dry"]), help="Basis of the composition.")
@recipe_options
@output_options
def analyze(xrd: str | None, **options: Any) -> None:
    """Composition of one specimen from a powder pattern, a TGA curve, or both.

    Writes DIR/<sample id>/ with result.json, curves.npz, recipe.toml and figures.
    """
    if options["tga"] is None and tells_of_tga(options):
        msg = "units, mass and columns were given for a TGA file, but no file. Expected: --tga FILE as well."
        raise RecipeError(msg)
    recipe = build_recipe(options)
    names = ", ".join(name for name in (xrd, options["tga"]) if name)
    progress(f"analysing {names}", quiet=options["quiet"] or not names)
    from xrdcomp.pipeline import analyze as analyze_specimen
    from xrdcomp.present import result_table

    tga, tga_blank = options["tga"], options["tga_blank"]
    if tga is not None and tells_of_tga(options):
        tga, tga_blank = read_tga_as_told(tga, tga_blank, options)
    result = analyze_specimen(
        xrd,
        tga=tga,
        blank=options["blank"],
        tga_blank=tga_blank,
        recipe=recipe,
        scan=options["scan"],
    )
    deliver(result, options, as_text=result_table)
