"""Commands that show and take away what was analysed before: shells over `xrdcomp.present`; they compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from xrdcomp.cli import options as shared
from xrdcomp.errors import ReadError


def find_results(places: Sequence[str]) -> list[Path]:
    """Folders of results among `places`, each a result, its result.json, or a folder of results; ReadError for none."""
    found: list[Path] = []
    for place in map(Path, places):
        below = sorted(path.parent for path in place.glob("*/result.json")) if place.is_dir() else []
        if place.name == "result.json" and place.is_file():
            found.append(place.parent)
        elif (place / "result.json").is_file():
            found.append(place)
        elif below:
            found += below
        else:
            raise ReadError(
                "no result is there", file=str(place), expected="a folder with result.json, or one of such folders",
                hint="xrdcomp analyze and xrdcomp batch write them.",
            )  # fmt: skip
    return list(dict.fromkeys(found))


@click.command(
    epilog=shared.examples(
        "xrdcomp export results/S1 -o S1.xlsx",
        "xrdcomp export results -o cohort.xlsx",
        "xrdcomp export results/S1 --table peaks -o peaks.csv",
        "xrdcomp export results/S1 --table composition --table phases -o tables.tex",
        "xrdcomp export results/S1 -o fit.cif",
    )
)
@click.argument("results", nargs=-1, required=True, metavar="RESULT…")
@click.option("-o", "--out", required=True, metavar="FILE", help=".xlsx, .csv, .txt, .parquet, .tex or .cif.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Which table; several for .xlsx and .tex.")
@shared.overwrite_option
@shared.quiet_option
def export(results: tuple[str, ...], out: str, tables: tuple[str, ...], *, overwrite: bool, quiet: bool) -> None:
    """Write tables of one or several results: folders that analyze or batch wrote, or a folder of them.

    Tables: composition, other_basis, phases, limits, cells, microstructure, peaks, parameters, correlations, fractions,
    steps, mass_balance, budget, tga_budget, claims, messages, measurement, settings, pattern, thermogram; of several
    results also specimens.
    """
    from xrdcomp.present.exchange import export as export_tables
    from xrdcomp.present.files import read_result

    read = [read_result(folder) for folder in find_results(results)]
    target = export_tables(read if len(read) > 1 else read[0], out, tables=tables, overwrite=overwrite)
    shared.progress(f"written: {target}", quiet=quiet)
