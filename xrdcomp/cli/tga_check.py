"""xrdcomp tga-check: a balance's routine verification against a standard's stoichiometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xrdcomp.cli.options import (
    build_recipe,
    examples,
    read_tga_as_told,
    recipe_options,
    tga_file_options,
    thermal_options,
)
from xrdcomp.cli.output import print_json
from xrdcomp.errors import naming

if TYPE_CHECKING:
    from xrdcomp.thermal import StandardCheck

__all__ = ["tga_check"]

STANDARDS = ("calcium-oxalate-monohydrate", "copper-sulfate-pentahydrate", "portlandite", "calcite")


@click.command(
    "tga-check", epilog=examples("xrdcomp tga-check oxalate.txt --standard calcium-oxalate-monohydrate")
)
@click.argument("file")
@click.option("--standard", type=click.Choice(STANDARDS), required=True, help="What was weighed in.")
@click.option("--blank", metavar="FILE", help="Run of the empty pan with the same program.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="Difference up to which a step holds, as a fraction of the start mass.",
)
@tga_file_options
@thermal_options
@recipe_options
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")
def tga_check(file: str, **options: Any) -> None:
    """Compare the steps of a standard with theory; exit code 1 where one does not hold."""
    from xrdcomp.thermal import tga_check as check_standard

    recipe = build_recipe(options)
    run, blank = read_tga_as_told(file, options["blank"], options)
    with naming(file):
        check = check_standard(
            run, options["standard"], recipe.thermal, blank=blank, tolerance=options["tolerance"]
        )
    if options["output_format"] == "json":
        print_json(_to_dict(check))
    else:
        click.echo(_to_text(check))
    if not check.passed:
        raise click.exceptions.Exit(1)


def _to_dict(check: StandardCheck) -> dict[str, Any]:
    return {
        "standard": check.standard,
        "formula": check.formula,
        "passed": check.passed,
        "steps": [
            {
                "name": step.name,
                "start_C": step.start_c,
                "end_C": step.end_c,
                "theory": step.theory,
                "measured": step.measured.to_dict(),
                "difference": step.difference,
                "tolerance": step.tolerance,
                "holds": step.holds,
            }
            for step in check.steps
        ],
        "lost_before_first_step": check.before.to_dict(),
        "carbonate": None if check.carbonate is None else check.carbonate.to_dict(),
        "messages": [
            {"code": d.code, "severity": d.severity, "text": d.text, "facts": dict(d.facts)}
            for d in check.diagnostics
        ],
    }


def _to_text(check: StandardCheck) -> str:
    from xrdcomp.present.tables import align
    from xrdcomp.present.words import percent

    rows = [("", "start °C", "end °C", "theory wt%", "measured wt%", "difference", "")]
    rows += [
        (
            step.name,
            f"{step.start_c:.0f}",
            f"{step.end_c:.0f}",
            f"{100 * step.theory:.2f}",
            percent(step.measured, unit=False),
            f"{100 * step.difference:+.2f}",
            "holds" if step.holds else f"beyond {100 * step.tolerance:.2f}",
        )
        for step in check.steps
    ]
    lines = [f"{check.standard} ({check.formula}): {'passed' if check.passed else 'NOT passed'}"]
    lines.append(align(rows, right=(1, 2, 3, 4, 5)))
    lines += [f"{d.severity}: {d.code}: {d.text}" for d in check.diagnostics]
    return "\n".join(lines)
