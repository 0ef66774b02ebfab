"""xrdcomp calibrate: an instrument file from a scan of a line-profile standard."""

from __future__ import annotations

from typing import Any

import click

from xrdcomp.cli.options import build_recipe, examples
from xrdcomp.cli.output import print_json, progress
from xrdcomp.errors import RecipeError, naming

__all__ = ["calibrate"]

_SETTINGS = {
    "radius": "instrument.radius_mm",
    "monochromator": "instrument.monochromator_two_theta",
    "divergence": "instrument.equatorial_divergence",
}


@click.command(
    epilog=examples(
        "xrdcomp calibrate lab6.xrdml --standard srm660c -o instrument.toml",
        "xrdcomp calibrate si.raw --standard srm640f --radius 217.5 --monochromator 26.6 -o instrument.toml",
        "xrdcomp calibrate lab6.xy --standard srm660c --refine-cell --temperature 20.9 -o check.toml",
    )
)
@click.argument("scan_file", metavar="STANDARD_SCAN")
@click.option("--standard", required=True, metavar="NAME", help="srm660c, srm640f, srm676a … or a phase id.")
@click.option("-o", "--out", default="instrument.toml", show_default=True, metavar="FILE")
@click.option(
    "--temperature", type=float, metavar="C", help="Of the specimen [default: the file's, else 22.5]."
)
@click.option("--refine-cell", is_flag=True, help="Refine the cell: a check of the positions.")
@click.option("--refine-zero", is_flag=True, help="Zero shift instead of displacement.")
@click.option("--radiation", metavar="NAME", help="CuKa, CuKa1, CoKa, MoKa …; overrides the file's.")
@click.option("--wavelength", metavar="L1[,L2[,RATIO]]", help="Wavelengths in ångström.")
@click.option("--range", "two_theta_range", metavar="MIN,MAX", help="Part of the scan to fit, degrees.")
@click.option("--scan", type=click.IntRange(min=0), help="Which scan of the file, from 0.")
@click.option("--radius", type=click.FloatRange(min=1), metavar="MM", help="Goniometer radius.")
@click.option("--monochromator", type=float, metavar="DEG", help="26.6 for graphite with Cu Kα.")
@click.option("--divergence", type=click.FloatRange(min=0), metavar="DEG", help="Equatorial divergence.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting.")
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def calibrate(scan_file: str, **options: Any) -> None:
    """Refine the instrument's resolution on a standard and write it to a file."""
    from xrdcomp.diffraction import calibrate as calibrate_instrument
    from xrdcomp.diffraction import write_instrument
    from xrdcomp.readers import read_xrd

    _refuse_others(options["settings"])
    recipe = build_recipe(options)
    given = {key: options[name] for name, key in _SETTINGS.items() if options[name] is not None}
    recipe = recipe.with_settings(given)
    progress(f"calibrating on {scan_file}", quiet=options["quiet"])
    pattern = read_xrd(scan_file, scan=options["scan"])
    with naming(scan_file):
        result = calibrate_instrument(
            pattern,
            options["standard"],
            recipe.instrument,
            temperature_c=options["temperature"],
            refine_cell=options["refine_cell"],
            refine_zero=options["refine_zero"],
            two_theta_range=recipe.fit.two_theta_range,
        )
    target = write_instrument(result.instrument, options["out"], provenance=result.provenance)
    if options["output_format"] == "json":
        cell = {name: estimate.to_dict() for name, estimate in result.cell.items()}
        messages = [{"code": d.code, "severity": d.severity, "text": d.text} for d in result.diagnostics]
        figures = {**result.provenance, "rexp": result.fit.rexp}
        print_json({"instrument": str(target), "cell": cell, "figures": figures, "messages": messages})
    else:
        for name, value in (*result.fit.parameters.items(), *result.cell.items()):
            click.echo(f"{name:32s} {value}")
        click.echo(f"{'Rwp':32s} {result.fit.rwp:.4f} (expected {result.fit.rexp:.4f})")
        for message in result.diagnostics:
            click.echo(f"{message.severity}: {message.text}", err=True)
    progress(f"written: {target}", quiet=options["quiet"])


def _refuse_others(settings: tuple[str, ...]) -> None:
    """Refuse settings that a calibration does not look at."""
    for item in settings:
        key = item.partition("=")[0].strip()
        if not key.startswith("instrument.") and key != "fit.two_theta_range":
            msg = (
                f"--set {item}: a calibration uses settings of instrument and fit.two_theta_range, no others."
            )
            raise RecipeError(msg)
