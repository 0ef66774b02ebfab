"""Commands for many specimens: shells over `xrdcomp.batch`; they compute nothing."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from xrdcomp.cli.options import (
    atmosphere_option,
    build_recipe,
    examples,
    figure_options,
    figures_as_told,
    history_option,
    progress,
    quiet_option,
    recipe_options,
    take_laboratory,
    workers_of,
    xrd_options,
)
from xrdcomp.errors import OutputError

if TYPE_CHECKING:
    from xrdcomp.laboratory import Laboratory

BATCH_OUT = "xrdcomp-batch"


def _page_of(out: Path, sample_id: str) -> str:
    """Page of a specimen, or its result where there is none, as a link from the page of all."""
    name = "report.html" if (out / sample_id / "report.html").is_file() else "result.json"
    return f"{quote(sample_id)}/{name}"


@click.command(
    epilog=examples(
        "xrdcomp batch measurements --out results",
        "xrdcomp batch manifest.csv --out results --workers 4 --figures",
        "xrdcomp batch manifest.csv --out results --fresh --fail-on warning",
    )
)
@click.argument("source", metavar="FOLDER|MANIFEST.csv")
@click.option("--out", default=BATCH_OUT, show_default=True, metavar="DIR", help="Folder for the results.")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N",
    help="Processes [default: XRDCOMP_WORKERS, else the number of processors].",
)  # fmt: skip
@click.option("--resume/--fresh", default=True, show_default=True, help="Keep what an earlier run of the same did.")
@click.option("--overwrite", is_flag=True, help="Replace results in DIR that no batch wrote.")
@click.option("--figures/--no-figures", default=False, show_default=True, help="Write figures of each specimen.")
@figure_options
@click.option("--report/--no-report", default=False, show_default=True, help="Write report.html of each specimen.")
@click.option(
    "--fail-on", type=click.Choice(["error", "warning", "never"]), default="error", show_default=True,
    help="Status of a specimen from which on the exit code is 1.",
)  # fmt: skip
@xrd_options
@atmosphere_option
@history_option
@recipe_options
@quiet_option
def batch(source: str, **options: Any) -> None:
    """Analyse many specimens, given by a manifest or by the names of the files in a folder.

    A manifest is a CSV file with the columns sample_id, xrd, tga, blank, tga_blank, atmosphere and any setting; paths
    are relative to it. Of a folder, a pattern and a run belong together where their names do (S1.xy, S1_tga.csv).

    Writes DIR/results.csv, results.parquet (with the extra batch), index.html and a folder for each specimen. A file
    that cannot be read is a failed row. The same command again goes on where it was broken off.
    """
    from xrdcomp.batch.progress import progress_bar
    from xrdcomp.batch.run import Asked, run_batch
    from xrdcomp.batch.specimens import find_specimens
    from xrdcomp.batch.tables import to_dataframe, write_tables
    from xrdcomp.present.batch_page import MOST_OVERLAID, render_batch_page
    from xrdcomp.present.files import read_result, write_text

    out, quiet = Path(options["out"]), options["quiet"]
    page = out / "index.html"
    if page.is_file() and b"xrdcomp" not in page.read_bytes():
        msg = f"{page} exists and was not written by xrdcomp; nothing was written. Choose another --out folder."
        raise OutputError(msg)
    if Path(source).is_dir() and out.resolve() == Path(source).resolve():
        msg = f"{out}: results among the measurements would be taken for measurements. Choose another --out folder."
        raise OutputError(msg)
    take_laboratory(options, source, blank="blank")
    laboratory: Laboratory | None = options.get("found_laboratory")
    empty_pan = laboratory.blanks.get("tga_blank") if laboratory is not None else None
    recipe, found = build_recipe(options), find_specimens(source).with_blanks(options["blank"], empty_pan)
    workers = workers_of(options["workers"], os.cpu_count() or 1)
    for name, why in found.left_out.items():
        progress(f"left out: {name}: {why}", quiet=quiet)
    total = len(found.specimens)
    progress(f"{total} specimen{'s' * (total != 1)}, {workers} process{'es' * (workers != 1)}", quiet=quiet)
    rows = []
    resumed = 0
    known = [name for option in click.get_current_context().command.params for name in option.opts]
    given = {name: options[name] for name in ("report", "overwrite", "scan", "input_format")}
    given |= {"figures": figures_as_told(options), "laboratory": laboratory}
    asked = Asked(**given, options=tuple(known))
    with progress_bar(total, "analysing", shown=not quiet) as advance:
        for entry in run_batch(found.specimens, out, recipe, workers=workers, resume=options["resume"], asked=asked):
            rows.append(entry.row)
            resumed += entry.resumed
            advance(str(entry.row["sample_id"]))
            if entry.row["error"] and not entry.resumed:
                progress(f"\n{entry.row['sample_id']}: {entry.row['error']}", quiet=quiet)
    written = write_tables(to_dataframe(rows), out)
    whole = [row for row in rows if row["error_kind"] is None]
    links = {row["sample_id"]: _page_of(out, str(row["sample_id"])) for row in whole}
    results = [read_result(out / str(row["sample_id"])) for row in whole[:MOST_OVERLAID]]
    written.append(write_text(page, render_batch_page(rows, results=results, links=links)))
    counts = Counter(str(row["status"]) for row in rows)
    kept = f" ({resumed} of an earlier run kept)" if resumed else ""
    click.echo(
        f"{total} specimens{kept}: " + ", ".join(f"{counts[name]} {name}" for name in ("ok", "warning", "failed"))
    )
    click.echo("written: " + ", ".join(str(path) for path in written))
    bad = counts["failed"] + (counts["warning"] if options["fail_on"] == "warning" else 0)
    if options["fail_on"] != "never" and bad:
        raise click.exceptions.Exit(1)
