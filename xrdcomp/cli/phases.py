"""xrdcomp phases: the reference phases."""

from __future__ import annotations

import dataclasses

import click

from xrdcomp.cli.options import examples
from xrdcomp.cli.output import print_json

__all__ = ["phases"]


@click.command(
    epilog=examples(
        "xrdcomp phases",
        "xrdcomp phases hydroxyapatite",
        "xrdcomp phases --format json",
    )
)
@click.argument("phase", required=False, metavar="[ID|FILE.cif|FOLDER]")
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")
def phases(phase: str | None, output_format: str) -> None:
    """List the reference phases, or tell what is known of one: of the library, a CIF file or a phase folder."""
    from xrdcomp.phases import list_phases, phase_info
    from xrdcomp.present.tables import align

    found = [phase_info(item) for item in ([phase] if phase else list_phases())]
    if output_format == "json":
        data = [dataclasses.asdict(item) for item in found]
        print_json(data[0] if phase else data)
        return
    if phase:
        info = found[0]
        lines = ", ".join(f"{x.d_spacing:.3f} Å ({x.relative_intensity:.0f})" for x in info.strongest_lines)
        rows = [
            ("id", info.id),
            ("name", f"{info.name} ({info.mineral})" if info.mineral else info.name),
            ("formula", info.formula),
            ("density", "unknown" if info.density is None else f"{info.density} g/cm³"),
            ("strongest lines", lines),
            ("use", "fit and search" if info.quantifiable else "positions only, never quantified"),
            ("source", info.source),
            ("notes", info.notes),
        ]
        click.echo(align([row for row in rows if row[1]]))
        return
    table = [("id", "formula", "density g/cm³", "use")]
    table += [
        (
            info.id,
            info.formula,
            "" if info.density is None else f"{info.density:.3f}",
            "fit and search" if info.quantifiable else "positions only",
        )
        for info in found
    ]
    click.echo(align(table, right=(2,)))
