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
    overwrite_option,
    progress,
    quiet_option,
    recipe_options,
    series_options,
    take_laboratory,
    workers_of,
    xrd_options,
)
from xrdcomp.disk import refuse_inputs
from xrdcomp.errors import OutputError

if TYPE_CHECKING:
    from xrdcomp.laboratory import Laboratory

BATCH_OUT = "xrdcomp-batch"


def _page_of(out: Path, sample_id: str) -> str:
    """Page of a specimen, or its result where there is none, as a link from the page of all."""
    name = "report.html" if (out / sample_id / "report.html").is_file() else "result.json"
    return f"{quote(sample_id)}/{name}"


scheduler_option = click.option(
    "--scheduler", default="", metavar="local|tcp://HOST:PORT",
    help="Use Dask: local processes, or the workers of a running scheduler (extra cluster).",
)  # fmt: skip


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
    help="Least severe status of a specimen that gives exit code 1.",
)  # fmt: skip
@scheduler_option
@xrd_options
@atmosphere_option
@history_option
@recipe_options
@quiet_option
def batch(source: str, **options: Any) -> None:
    """Analyse many specimens, given by a manifest or by the names of the files in a folder.

    A manifest is a CSV file with the columns sample_id, xrd, tga, blank, tga_blank, atmosphere and any setting; paths
    are relative to it. In a folder, a pattern and a run are paired by their names (S1.xy, S1_tga.csv).

    Writes DIR/results.csv, results.parquet (with the extra batch), index.html and a folder for each specimen. A file
    that cannot be read gives a failed row. If it is interrupted, the same command continues where it stopped.
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
        told = {"workers": workers, "scheduler": options["scheduler"], "resume": options["resume"], "asked": asked}
        for entry in run_batch(found.specimens, out, recipe, **told):
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


FREE_KINDS = ("cell", "inverse_size", "sample_displacement_mm", "zero_shift")


@click.command(
    epilog=examples(
        "xrdcomp series map.h5::entry/data --out map.parquet --phases hydroxyapatite,calcite",
        "xrdcomp series frames --out heating.parquet --phases lime,calcite --range 20,70 --workers 4",
        "xrdcomp series map.zarr::scan/intensity --out map.parquet --scheduler tcp://node1:8786 --partitions",
    )
)
@click.argument("source", metavar="FILE.h5::PATH|FILE.zarr::PATH|FOLDER|FILE")
@click.option("--out", required=True, metavar="FILE.parquet", help="Table of the results; CSV, page, figure beside it.")
@click.option(
    "--two-theta", default="", metavar="PATH", help="Path of the angles in the file, if the file does not name them."
)
@click.option(
    "--free", default=",".join(FREE_KINDS), show_default=True, metavar="KIND[,KIND…]|all",
    help="Parameters that are free in each pattern besides amounts and background; the common fit fixes the rest.",
)  # fmt: skip
@click.option(
    "--chunk", type=click.IntRange(min=1), metavar="N", help="Patterns per unit of work [default: 16 to 256]."
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N",
    help="Processes [default: XRDCOMP_WORKERS, else the number of processors].",
)  # fmt: skip
@scheduler_option
@click.option(
    "--partitions", is_flag=True, help="Keep FILE.parquet as a folder of partitions; nothing is copied at the end."
)
@click.option("--resume/--fresh", default=True, show_default=True, help="Keep what an earlier run of the same did.")
@click.option("--csv/--no-csv", default=None, help="Write FILE.csv too [default: up to a million patterns].")
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw FILE.png and FILE.html.")
@click.option(
    "--fail-on", type=click.Choice(["error", "never"]), default="error", show_default=True,
    help="Whether patterns that could not be fitted give exit code 1.",
)  # fmt: skip
@series_options
@recipe_options
@overwrite_option
@quiet_option
def series(source: str, **options: Any) -> None:
    """Fit many patterns of one instrument and grid with the same phases, chunk by chunk.

    A common fit of some of them determines everything that they share; every pattern is then fitted from there. Writes
    one row per pattern with all amounts, cells, sizes and their standard uncertainties. A pattern that cannot be fitted
    gives a row that says why. If it is interrupted, the same command continues where it stopped.
    """
    from xrdcomp.batch.chunks import MOST_CSV_ROWS, start_run, view_of
    from xrdcomp.batch.progress import progress_bar

    quiet, target = options["quiet"], Path(options["out"])
    place = source.partition("::")[0]
    refuse_inputs(target, [] if "://" in place else [place])
    if "://" not in place:
        take_laboratory(options, place)
    recipe = build_recipe(options)
    workers = workers_of(options["workers"], os.cpu_count() or 1)
    free: Any = tuple(kind.strip() for kind in options["free"].split(","))
    given = {name: options[name] for name in ("two_theta", "chunk", "scheduler", "resume", "overwrite")}
    progress(f"common fit of {source}", quiet=quiet)
    run = start_run(
        source, target, recipe, free="all" if free == ("all",) else free, workers=workers,
        partitioned=options["partitions"], **given,
    )  # fmt: skip
    n = len(run.stack)
    shape = " × ".join(map(str, run.stack.shape))
    progress(f"{n} patterns ({shape}) of {len(run.stack.two_theta)} points, {run.chunks} chunks", quiet=quiet)
    kept = 0
    with progress_bar(n, "fitting", shown=not quiet) as advance:
        for part in run.work():
            kept += part.patterns * part.kept
            advance(f"chunk {part.number + 1}/{run.chunks}", part.patterns)
    failed, written = run.failed(), [target]
    if options["csv"] or (options["csv"] is None and n <= MOST_CSV_ROWS):
        written += run.write_csv()
    if options["figures"]:
        from xrdcomp.present.files import write_figure, write_text
        from xrdcomp.present.series_page import plot_series, render_series_page

        view = view_of(run)
        figure = plot_series(view)
        written.append(write_figure(figure, target.with_suffix(".png"), overwrite=options["overwrite"]))
        held = [item.name for item in run.job.engine().common.table.free if item.name not in run.units]
        facts = {
            "patterns": f"{n} ({shape}) of {len(run.stack.two_theta)} points; {failed} could not be fitted",
            "source": source,
            "phases": ", ".join(recipe.phases or ("hydroxyapatite",)),
            "free in each pattern": ", ".join(free),
            "held at the common fit": ", ".join(held) or "nothing",
        }
        links = {path.name: path.name for path in written}
        page = render_series_page(view, figure, title=f"Series {target.stem}", facts=facts, links=links)
        written.append(write_text(target.with_suffix(".html"), page, overwrite=options["overwrite"]))
    click.echo(f"{n} patterns" + (f" ({kept} of an earlier run kept)" if kept else "") + f": {failed} not fitted")
    click.echo("written: " + ", ".join(str(path) for path in written))
    if failed and options["fail_on"] == "error":
        raise click.exceptions.Exit(1)
