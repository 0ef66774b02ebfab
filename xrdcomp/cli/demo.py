"""xrdcomp demo: the ten embedded specimens, analysed, tabulated and drawn."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xrdcomp.cli.options import examples
from xrdcomp.cli.output import progress
from xrdcomp.errors import OutputError, RecipeError

if TYPE_CHECKING:
    from xrdcomp.results import SampleResult
    from xrdcomp.simulate import CohortEntry

__all__ = ["demo"]

DEFAULT_WORKERS = 2


@click.command(epilog=examples("xrdcomp demo", "xrdcomp demo --out demo-results --quiet"))
@click.option(
    "--out", default="demo-results", show_default=True, metavar="DIR", help="Folder for the results."
)
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw figures and the page.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def demo(out: str, figures: bool, quiet: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Analyse the ten embedded specimens, which are simulated and labelled so.

    Leaves a folder for each specimen, a table on the terminal and DIR/index.html.
    """
    from xrdcomp.present import cohort_table
    from xrdcomp.simulate import load_cohort

    _keep_other_pages(Path(out) / "index.html")
    entries = load_cohort()
    progress(f"{len(entries)} simulated specimens, known truth", quiet=quiet)
    results = []
    for number, result in enumerate(_analysed(entries, out, figures=figures), start=1):
        results.append(result)
        progress(f"[{number:2d}/{len(entries)}] {result.sample_id}: {result.status}", quiet=quiet)
    click.echo("Simulated cohort: hydroxyapatite (HA) and organic in wt% as received, truth beside them;")
    click.echo("verdicts on the published findings with their probability.\n")
    click.echo(cohort_table(results))
    if figures:
        page = _write_page(results, Path(out))
        click.echo(f"\nfigures and details: {page}")


def _analysed(entries: Sequence[CohortEntry], out: str, *, figures: bool) -> Iterator[SampleResult]:
    """Results in the order of `entries`, whatever the number of processes (XRDCOMP_WORKERS)."""
    if (workers := _workers()) == 1:
        yield from (_one(entry, out, figures) for entry in entries)
        return
    from concurrent.futures import ProcessPoolExecutor
    from itertools import repeat

    with ProcessPoolExecutor(workers, initializer=_take_interrupts) as pool:
        yield from pool.map(_one, entries, repeat(out), repeat(figures))


_interrupted = False


def _take_interrupts() -> None:
    """In a worker: Ctrl-C breaks off the specimen at hand, and no further one is begun."""
    import signal

    def stop(*_: object) -> None:
        global _interrupted  # noqa: PLW0603 - a signal handler has no other way to leave word
        _interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)


def _workers() -> int:
    value = os.environ.get("XRDCOMP_WORKERS", str(DEFAULT_WORKERS))
    if not value.isdecimal() or int(value) < 1:
        msg = f"XRDCOMP_WORKERS is {value!r}; expected the number of processes, 1 or more."
        raise RecipeError(msg)
    return int(value)


def _one(entry: CohortEntry, out: str, figures: bool) -> SampleResult:  # noqa: FBT001 - called by pool.map
    if _interrupted:
        raise KeyboardInterrupt
    from xrdcomp.pipeline import analyze_embedded
    from xrdcomp.present import write_result

    result = analyze_embedded(entry)
    write_result(result, out, figures=figures)
    return result


def _keep_other_pages(page: Path) -> None:
    """Refuse a folder whose index.html was made by something else."""
    if page.is_file() and b"xrdcomp" not in page.read_bytes():
        msg = (
            f"{page} exists and was not written by xrdcomp; nothing was written. Choose another --out folder."
        )
        raise OutputError(msg)


def _write_page(results: Sequence[SampleResult], out: Path) -> Path:
    from xrdcomp.present import plot_cohort, render_cohort_page, write_text

    drawn = {
        result.sample_id: {
            path.stem: path.read_bytes()
            for name in ("fit", "tga", "composition")
            if (path := out / result.sample_id / "figures" / f"{name}.png").is_file()
        }
        for result in results
    }
    page = render_cohort_page(results, {"cohort": plot_cohort(results)}, drawn)
    target: Path = write_text(out / "index.html", page)
    return target
