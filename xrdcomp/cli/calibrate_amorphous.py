"""xrdcomp calibrate-amorphous: the constant of the degree of crystallinity from mixtures of known composition."""

from __future__ import annotations

from typing import Any

import click

from xrdcomp.cli.options import build_recipe, examples, parse_fraction, recipe_options, xrd_options
from xrdcomp.cli.output import progress
from xrdcomp.errors import AnalysisError

__all__ = ["calibrate_amorphous"]


@click.command(
    epilog=examples(
        "xrdcomp calibrate-amorphous ha20.xy:0.2 ha50.xy:0.5 ha80.xy:0.8 --phases hydroxyapatite -o amorphous.toml",
        "xrdcomp analyze scan.xy --set quantification.amorphous_file=amorphous.toml",
        "xrdcomp analyze scan.xy --set quantification.amorphous_file=amorphous.toml "
        "--set quantification.method=ponkcs",
    )
)
@click.argument("mixtures", nargs=-1, required=True, metavar="SCAN:FRACTION…")
@click.option("-o", "--out", default="amorphous.toml", show_default=True, metavar="FILE")
@click.option("--blank", metavar="FILE", help="Scan of the empty holder.")
@click.option(
    "--weighing-std",
    type=click.FloatRange(min=0),
    default=0.005,
    show_default=True,
    help="Standard uncertainty of the fractions.",
)
@xrd_options
@recipe_options
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def calibrate_amorphous(mixtures: tuple[str, ...], **options: Any) -> None:
    """Determine k and the PONKCS factor from scans of mixtures whose crystalline mass fraction is known."""
    from xrdcomp.diffraction.crystallinity import RANGE_TOLERANCE, KnownMixture, write_amorphous
    from xrdcomp.diffraction.crystallinity import calibrate_amorphous as calibrate
    from xrdcomp.pipeline import analyze

    recipe = build_recipe(options).with_settings({"identification.search": False})
    known: list[KnownMixture] = []
    window: tuple[float, float] | None = None
    for item in mixtures:
        name, fraction = parse_fraction(item, "mixture", example="ha20.xy:0.2")
        progress(f"analysing {name}", quiet=options["quiet"])
        fit = analyze(name, blank=options["blank"], recipe=recipe, scan=options["scan"]).fit
        if fit is None or fit.crystallinity is None:
            msg = f"{name}: the fit shows neither Bragg lines nor a halo; it cannot calibrate."
            raise AnalysisError(msg)
        known.append(
            KnownMixture(
                crystallinity=fit.crystallinity,
                fraction=fraction,
                fraction_std=options["weighing_std"],
                amounts=fit.amounts,
            )
        )
        own = (float(fit.two_theta[0]), float(fit.two_theta[-1]))
        if window is not None and max(abs(a - b) for a, b in zip(own, window, strict=True)) > RANGE_TOLERANCE:
            msg = (
                f"{name}: covers {own[0]:.1f}-{own[1]:.1f}°, those before it {window[0]:.1f}-{window[1]:.1f}°, and "
                "k holds for one range. Give all the same: --range "
                f"{max(own[0], window[0]):.1f},{min(own[1], window[1]):.1f}."
            )
            raise AnalysisError(msg)
        window = window or own
    window = window or (0.0, 0.0)
    result = calibrate(known, window)
    target = write_amorphous(result, options["out"])
    click.echo(f"k = {result.k} from {result.n_mixtures} mixture(s), {window[0]:.1f}-{window[1]:.1f}°")
    if result.factor is not None:
        click.echo(f"PONKCS factor of the amorphous part = {result.factor}")
    progress(f"written: {target}", quiet=options["quiet"])
