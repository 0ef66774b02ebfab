"""Commands that show and export results: shells over `xrdcomp.present`; they compute nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from xrdcomp.cli import options as shared
from xrdcomp.disk import refuse_inputs, write_whole
from xrdcomp.errors import ReadError, RecipeError, naming


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
    """Write tables of one or several results: folders written by analyze or batch, or a folder of them.

    Tables: composition, other_basis, phases, limits, cells, microstructure, peaks, parameters, correlations, fractions,
    steps, mass_balance, budget, tga_budget, claims, messages, measurement, settings, pattern, thermogram; of several
    results also specimens.
    """
    from xrdcomp.present.exchange import export as export_tables
    from xrdcomp.present.files import read_result

    read = [read_result(folder) for folder in find_results(results)]
    target = export_tables(read if len(read) > 1 else read[0], out, tables=tables, overwrite=overwrite)
    shared.progress(f"written: {target}", quiet=quiet)


@click.command(
    epilog=shared.examples(
        "xrdcomp report results/S1",
        "xrdcomp report results --out cohort.html --pdf",
        "xrdcomp report results/S1 results/S2 --out two.html --decimal-comma --pdf",
    )
)
@click.argument("results", nargs=-1, required=True, metavar="RESULT…")
@click.option("--out", default="report.html", show_default=True, metavar="FILE", help="Page to write.")
@click.option("--pdf", is_flag=True, help="Print it as PDF as well, beside the page, by a browser or weasyprint.")
@click.option("--paper", type=click.Choice(["A4", "letter"]), default="A4", show_default=True, help="Of the PDF.")
@click.option("--appendix", is_flag=True, help="Print the whole page of a specimen, not only the answer.")
@click.option("--decimal-comma", is_flag=True, help="Decimal commas in the PDF; on the page a button switches them.")
@click.option("--title", default="Report", show_default=True, metavar="TEXT", help="Title for several results.")
@shared.overwrite_option
@shared.quiet_option
def report(results: tuple[str, ...], **options: Any) -> None:
    """Write the page of one or several results: folders written by analyze or batch, or a folder of them.

    One result gives the page that analyze writes. Several give a table to sort and filter, compositions side by side
    and all curves together, with links to the individual pages.
    """
    from xrdcomp.present.batch_page import page_row, render_batch_page
    from xrdcomp.present.files import read_result, write_text
    from xrdcomp.present.pdf import page_to_pdf
    from xrdcomp.present.report import render_report

    folders, quiet, out = find_results(results), options["quiet"], Path(options["out"])
    read = [read_result(folder) for folder in folders]
    refuse_inputs(out, [folder / "result.json" for folder in folders])
    if len(read) == 1:
        time = datetime.fromtimestamp((folders[0] / "result.json").stat().st_mtime, UTC)
        html = render_report(read[0], analysed=time)
    else:
        if len({result.sample_id for result in read}) < len(read):
            msg = "two of the results have the same sample id. Expected: each specimen once."
            raise RecipeError(msg)
        links = {}
        for folder, result in zip(folders, read, strict=True):
            page = next(folder / name for name in ("report.html", "result.json") if (folder / name).is_file())
            links[result.sample_id] = quote(Path(os.path.relpath(page, out.parent)).as_posix())
        rows = list(map(page_row, read))
        html = render_batch_page(rows, title=options["title"], results=read, links=links, table_link="")
    written = [write_text(out, html, overwrite=options["overwrite"])]
    if options["pdf"]:
        shared.progress("printing", quiet=quiet)
        form = {name: options[name] for name in ("paper", "decimal_comma", "appendix")}
        printed = page_to_pdf(html, landscape=len(read) > 1, **form)
        written.append(write_whole(out.with_suffix(".pdf"), printed, overwrite=options["overwrite"]))
    for file in written:
        shared.progress(f"written: {file}", quiet=quiet)


KINDS = ("overview", "fit", "tga", "composition", "budget", "cohort")


@click.command(
    epilog=shared.examples(
        "xrdcomp figure results/S1 --kind fit --scale sqrt --figure-width single -o fit.pdf",
        "xrdcomp figure results/S1 --kind fit --axis q --scale log -o fit_q.svg",
        "xrdcomp figure results --kind cohort -o cohort.png --dpi 600",
    )
)
@click.argument("results", nargs=-1, required=True, metavar="RESULT…")
@click.option("--kind", type=click.Choice(KINDS), default="overview", show_default=True, help="What to draw.")
@click.option("-o", "--out", required=True, metavar="FILE", help=".png, .svg or .pdf.")
@click.option(
    "--scale", type=click.Choice(["linear", "sqrt", "log"]), default="linear", help="Of intensities [default: linear]."
)
@click.option(
    "--axis", type=click.Choice(["two_theta", "d", "q"]), default="two_theta", help="Of a fit [default: two_theta]."
)
@shared.width_options
@shared.overwrite_option
@shared.quiet_option
def figure(results: tuple[str, ...], **options: Any) -> None:
    """Draw one figure of results written by analyze or batch: at column width, on another scale or axis."""
    from xrdcomp.present import figures
    from xrdcomp.present.files import read_result, write_figure
    from xrdcomp.present.style import figure_of

    style = shared.figure_options_of(options)
    folders, kind, width = find_results(results), options["kind"], style.width_mm
    if kind == "cohort":
        drawn = figure_of(figures.plot_cohort([read_result(folder) for folder in folders], width_mm=width))
    elif len(folders) > 1:
        msg = f"{len(folders)} results, but --kind {kind} is a figure of one. Name one, or draw --kind cohort."
        raise RecipeError(msg)
    else:
        result = read_result(folders[0])
        if kind == "fit":
            axes = figures.plot_fit(result, width_mm=width, scale=options["scale"], axis=options["axis"])
            drawn = figure_of(axes)
        elif kind == "overview":
            drawn = figures.plot_overview(result, width_mm=width)
        else:
            drawn = figure_of(getattr(figures, f"plot_{kind}")(result, width_mm=width))
    target = write_figure(drawn, options["out"], dpi=style.dpi, overwrite=options["overwrite"])
    shared.progress(f"written: {target}", quiet=options["quiet"])


@click.command(
    epilog=shared.examples(
        "xrdcomp kinetics r5.csv r10.csv r20.csv --range 250,600 --out kinetics",
        "xrdcomp kinetics r5.csv r10.csv r20.csv --range 250,600 --predict 300 --figure-format pdf",
    )
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@click.option("--range", "limits", required=True, metavar="MIN,MAX", help="Temperatures of one step, °C.")
@click.option("--predict", type=float, metavar="C", help="Predict conversion over time at a constant temperature, °C.")
@click.option("--out", default="kinetics", show_default=True, metavar="DIR", help="Folder for the figures.")
@shared.tga_options
@shared.figure_options
@shared.format_option
@shared.overwrite_option
@shared.quiet_option
def kinetics(runs: tuple[str, ...], **options: Any) -> None:
    """Activation energy of one step from three runs or more at different heating rates.

    By Kissinger's method from the peaks, and by Vyazovkin's as a function of conversion; each with a figure.
    """
    from xrdcomp import analyze_tga
    from xrdcomp.present import studies
    from xrdcomp.present.files import write_figure
    from xrdcomp.present.style import figure_of
    from xrdcomp.recipe import Recipe
    from xrdcomp.thermal import kinetics as methods

    low, high = shared.parse_numbers(options["limits"], "--range", counts=(2,))
    style = shared.figure_options_of(options)
    named = {"thermal.atmosphere": options["atmosphere"]} if options["atmosphere"] else {}
    recipe = Recipe().with_settings(named).thermal
    curves = []
    for name in runs:
        with naming(name):
            result = analyze_tga(shared.read_tga_as_told(name, None, options)[0], recipe)
            curves.append(methods.conversion_curve(result, low, high))
    peaks = [float(curve.temperature_c[curve.rate_per_min.argmax()]) for curve in curves]
    line = methods.kissinger(peaks, [curve.heating_rate_k_min for curve in curves])
    energies = methods.vyazovkin(curves)
    drawn = {"kissinger": studies.plot_kissinger(line, width_mm=style.width_mm)}
    drawn["energies"] = studies.plot_energies(energies, width_mm=style.width_mm)
    if options["predict"] is not None:
        prediction = methods.predict_isothermal(energies, curves[0], options["predict"])
        drawn["prediction"] = studies.plot_prediction(prediction, width_mm=style.width_mm)
    written = [
        write_figure(figure_of(axes), Path(options["out"]) / f"{name}.{suffix}", dpi=style.dpi,
                     overwrite=options["overwrite"])
        for name, axes in drawn.items()
        for suffix in style.formats
    ]  # fmt: skip
    if options["output_format"] == "json":
        rows = [
            {"conversion": level, "energy": energy, "std": std}
            for level, energy, std in zip(energies.conversion, energies.energy, energies.std, strict=True)
        ]
        told = {"kissinger": line.energy, "vyazovkin": energies.mean, "energies": rows}
        shared.print_json(told | {"figures": [str(file) for file in written]})
        return
    shared.say(f"Kissinger: E = {line.energy}, ln A = {line.ln_prefactor}\nVyazovkin: E = {energies.mean}")
    for file in written:
        shared.progress(f"written: {file}", quiet=options["quiet"])
