"""The commands: shells over analysis, io, phases, instrument, simulate and present; they compute nothing."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import click

from xrdcomp.cli import options as shared
from xrdcomp.cli.start import load_scipy
from xrdcomp.disk import read_toml, refuse_foreign, refuse_inputs
from xrdcomp.errors import AnalysisError, MissingExtraError, RecipeError, naming

if TYPE_CHECKING:
    from xrdcomp.results import SampleResult
    from xrdcomp.simulate.cohort import CohortEntry


@click.command(
    epilog=shared.examples(
        "xrdcomp analyze scan.xrdml --tga run.csv --atmosphere air --out results",
        "xrdcomp analyze scan.xy --radiation CuKa --blank holder.xy",
        "xrdcomp analyze FAP.XRA --phases fluorapatite --wavelength 1.5405,1.5443",
        "xrdcomp analyze scan.xrdml --recipe results/S1/recipe.toml --format json --quiet",
        "xrdcomp analyze --recipe project/specimens/S1.toml --out again",
    )
)
@click.argument("xrd", metavar="[XRD_FILE]", required=False)
@click.option("--tga", metavar="FILE", help="Thermogravimetric run of the same specimen.")
@click.option("--tga-blank", metavar="FILE", help="Run of the empty pan with the same program.")
@shared.xrd_options
@shared.tga_options
@click.option("--internal-standard", metavar="ID:FRACTION", help="Spike: phase id and its fraction of the spiked mass.")
@click.option("--basis", type=click.Choice(["as_received", "dry"]), help="Basis of the composition.")
@click.option(
    "--specimen-kind", type=click.Choice(["auto", "tissue", "unknown"]),
    help="Whether amorphous matter is that of mineralised tissue or may be of any kind [default: auto].",
)  # fmt: skip
@shared.history_option
@shared.output_options
def analyze(xrd: str | None, **options: Any) -> None:
    """Composition of one specimen from a powder pattern, a TGA curve, or both.

    Writes DIR/<sample id>/ with report.html, result.json, curves.npz, recipe.toml, tables and figures.
    """
    tga, tga_blank = options["tga"], options["tga_blank"]
    if xrd is None and tga is None and options["recipe"] and _analyze_named(options):
        return
    if tga is None and shared.tells_of_tga(options):
        msg = "units, mass and columns were given for a TGA file, but no file. Expected: --tga FILE as well."
        raise RecipeError(msg)
    kinds = {"blank": "blank" if xrd else None, "tga_blank": "tga_blank" if tga else None}
    shared.take_laboratory(options, xrd or tga, **kinds)
    tga_blank = options["tga_blank"]
    recipe = shared.build_recipe(options)
    names = ", ".join(name for name in (xrd, tga) if name)
    shared.progress(f"analysing {names}", quiet=options["quiet"] or not names)
    load_scipy()
    from xrdcomp.analysis import analyze as analyze_specimen
    from xrdcomp.present.tables import result_table

    given = {name: options[name] for name in ("blank", "scan", "input_format")}
    if tga is not None and shared.tells_of_tga(options):
        tga, tga_blank = shared.read_tga_as_told(tga, tga_blank, options)
    result = analyze_specimen(xrd, tga=tga, tga_blank=tga_blank, recipe=recipe, **given)
    shared.deliver(result, options | {"xrd": xrd}, as_text=result_table)


def _analyze_named(options: dict[str, Any]) -> bool:
    """Analyse the measurements that the recipe file names itself, as one of a project does; False if it names none."""
    from xrdcomp.batch.specimen_file import read_specimen_file
    from xrdcomp.present.tables import result_table

    named = read_specimen_file(options["recipe"])
    if named is None:
        return False
    given = [f"--{name.replace('_', '-')}" for name in ("blank", "tga_blank", "scan", "input_format")
             if options[name] is not None]  # fmt: skip
    if given or shared.tells_of_tga(options):
        what = given[0] if given else "what is told of a TGA file"
        raise RecipeError(f"{what}: the recipe names the measurements. Expected: all of them here, or none.")
    recipe = shared.build_recipe(options)
    files = {kind: str(named.folder / file) for kind, file in named.measured.files.items()}
    shared.progress(f"analysing {', '.join(files.values())}", quiet=options["quiet"])
    shared.deliver(named.analyze(recipe), options | {"xrd": None} | files, as_text=result_table)
    return True


DEFAULT_WORKERS = 2


@click.command(epilog=shared.examples("xrdcomp demo", "xrdcomp demo --out demo-results --quiet"))
@click.option("--out", default="demo-results", show_default=True, metavar="DIR", help="Folder for the results.")
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw figures and the page.")
@shared.overwrite_option
@shared.quiet_option
def demo(out: str, figures: bool, overwrite: bool, quiet: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Analyse the ten embedded specimens, which are simulated and labelled as such.

    Writes a folder for each specimen and DIR/index.html, and prints a table.
    """
    from xrdcomp.batch.workers import work_off
    from xrdcomp.present.tables import cohort_table
    from xrdcomp.simulate.cohort import load_cohort

    page = Path(out) / "index.html"
    if page.exists():
        refuse_foreign(page, overwrite=overwrite)  # before the work, not after it
    workers = shared.workers_of(None, DEFAULT_WORKERS)
    entries = load_cohort()
    shared.progress(f"{len(entries)} simulated specimens, known truth", quiet=quiet)
    analyse = partial(_analyse_embedded, out=out, figures=figures, overwrite=overwrite)
    results = []
    for number, done in enumerate(work_off(analyse, entries, workers=workers), start=1):
        result = done.given()
        results.append(result)
        shared.progress(f"[{number:2d}/{len(entries)}] {result.sample_id}: {result.status}", quiet=quiet)
    shared.say("Simulated cohort: hydroxyapatite (HA) and organic in wt% as received, truth beside them;")
    shared.say("verdicts on the published findings with their probability.\n")
    shared.say(cohort_table(results))
    if figures:
        from xrdcomp.present.batch_page import page_row, render_batch_page
        from xrdcomp.present.files import write_text

        links = {result.sample_id: f"{quote(result.sample_id)}/report.html" for result in results}
        html = render_batch_page(
            list(map(page_row, results)), title="Simulated cohort", results=results, links=links, table_link=""
        )
        target = write_text(page, html, overwrite=overwrite)
        shared.say(f"\nfigures and details: {target}")
    if any(result.status == "failed" for result in results):
        raise click.exceptions.Exit(1)


def _analyse_embedded(entry: CohortEntry, *, out: str, figures: bool, overwrite: bool) -> SampleResult:
    """Analyse one embedded specimen and write its folder."""
    from xrdcomp.analysis import analyze_embedded
    from xrdcomp.present.files import write_result
    from xrdcomp.present.style import FigureOptions

    result = analyze_embedded(entry)
    write_result(result, out, figures=figures and FigureOptions(), report=figures, overwrite=overwrite)
    return result


@click.command(epilog=shared.examples("xrdcomp identify scan.xrdml --radiation CuKa --format json"))
@click.argument("file")
@shared.xrd_options
@shared.output_options
def identify(file: str, **options: Any) -> None:
    """Search a pattern for every crystalline phase in the library.

    Each phase is detected, not detected (with the fraction that would have been seen) or inconclusive. No phase is
    assumed to be present.
    """
    shared.take_laboratory(options, file, blank="blank")
    recipe = shared.build_recipe(options).with_settings({"identification.start": "nothing"})
    shared.progress(f"searching {file}", quiet=options["quiet"])
    load_scipy()
    from xrdcomp.analysis import analyze
    from xrdcomp.present.tables import phase_block

    given = {name: options[name] for name in ("blank", "scan", "input_format")}
    result = analyze(file, recipe=recipe, **given)
    shared.deliver(result, options | {"file": file}, as_text=phase_block)


@click.command(
    epilog=shared.examples(
        "xrdcomp tga run.csv --atmosphere air",
        "xrdcomp tga bare.csv --column temperature=1 --column mass=2 --temperature-unit C --mass-unit mg",
        "xrdcomp tga run.txt --blank empty_pan.txt --windows windows.toml --out results",
    )
)
@click.argument("file")
@click.option("--blank", metavar="FILE", help="Run of the empty pan with the same program.")
@click.option("--windows", metavar="FILE", help="TOML with water_end_c, organic_end_c, carbonate_end_c …")
@shared.tga_options
@shared.input_format_option
@shared.output_options
def tga(file: str, **options: Any) -> None:
    """Steps and mass balance of a thermogravimetric run: water, organic, carbonate, residue."""
    shared.take_laboratory(options, file, tga_blank="blank")
    recipe = shared.build_recipe(options)
    if name := options["windows"]:
        data = read_toml(name, "lines such as organic_end_c = 620")
        windows = data.get("thermal", data)
        if not isinstance(windows, dict):
            raise RecipeError(f"{name}: thermal is no section. Expected: lines such as organic_end_c = 620.")
        recipe = recipe.with_settings({f"thermal.{key}": value for key, value in windows.items()})
    shared.progress(f"analysing {file}", quiet=options["quiet"])
    load_scipy()
    from xrdcomp.analysis import analyze
    from xrdcomp.present.tables import result_table

    run, blank = shared.read_tga_as_told(file, options["blank"], options)
    result = analyze(tga=run, tga_blank=blank, recipe=recipe)
    shared.deliver(result, options | {"file": file}, as_text=result_table)


STANDARDS = ("calcium-oxalate-monohydrate", "copper-sulfate-pentahydrate", "portlandite", "calcite")


@click.command(
    "tga-check", epilog=shared.examples("xrdcomp tga-check oxalate.txt --standard calcium-oxalate-monohydrate")
)
@click.argument("file")
@click.option("--standard", type=click.Choice(STANDARDS), required=True, help="The standard that was measured.")
@click.option("--blank", metavar="FILE", help="Run of the empty pan with the same program.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="Difference up to which a step passes, as a fraction of the start mass.",
)
@shared.tga_options
@shared.input_format_option
@shared.recipe_options
@shared.format_option
def tga_check(file: str, **options: Any) -> None:
    """Compare the steps of a standard with theory; the exit code is 1 if one of them is wrong."""
    from xrdcomp.thermal.standards import tga_check as check_standard

    recipe = shared.build_recipe(options)
    run, blank = shared.read_tga_as_told(file, options["blank"], options)
    with naming(file):
        check = check_standard(run, options["standard"], recipe.thermal, blank=blank, tolerance=options["tolerance"])
    if options["output_format"] == "json":
        shared.print_json(check.to_dict())
    else:
        from xrdcomp.present.tables import align, percent

        rows = [("", "start °C", "end °C", "theory wt%", "measured wt%", "difference", "")]
        for step in check.steps:
            places = (step.name, f"{step.start_c:.0f}", f"{step.end_c:.0f}", f"{100 * step.theory:.2f}")
            verdict = "holds" if step.holds else f"beyond {100 * step.tolerance:.2f}"
            rows.append((*places, percent(step.measured, unit=False), f"{100 * step.difference:+.2f}", verdict))
        lines = [f"{check.standard} ({check.formula}): {'passed' if check.passed else 'NOT passed'}"]
        lines.append(align(rows, right=(1, 2, 3, 4, 5)))
        shared.say("\n".join([*lines, *map(str, check.messages)]))
    if not check.passed:
        raise click.exceptions.Exit(1)


_SETTINGS = {
    "radius": "instrument.radius_mm",
    "monochromator": "instrument.monochromator_two_theta",
    "divergence": "instrument.equatorial_divergence",
}


@click.command(
    epilog=shared.examples(
        "xrdcomp calibrate lab6.xrdml --standard srm660c -o instrument.toml",
        "xrdcomp calibrate si.raw --standard srm640f --radius 217.5 --monochromator 26.6 -o instrument.toml",
        "xrdcomp calibrate lab6.xy --standard srm660c --refine-cell --temperature 20.9 -o check.toml",
    )
)
@click.argument("scan_file", metavar="STANDARD_SCAN")
@click.option("--standard", required=True, metavar="NAME", help="srm660c, srm640f, srm676a … or a phase id.")
@click.option("-o", "--out", default="instrument.toml", show_default=True, metavar="FILE")
@click.option("--temperature", type=float, metavar="C", help="Of the specimen [default: the file's, else 22.5].")
@click.option("--refine-cell", is_flag=True, help="Refine the cell: a check of the positions.")
@click.option("--refine-zero", is_flag=True, help="Zero shift instead of displacement.")
@click.option("--figure", metavar="FILE", help="Draw fit and widths over angle as .png, .svg or .pdf.")
@shared.width_options
@shared.scan_options
@click.option("--radius", type=click.FloatRange(min=1), metavar="MM", help="Goniometer radius.")
@click.option("--monochromator", type=float, metavar="DEG", help="26.6 for graphite with Cu Kα.")
@click.option("--divergence", type=click.FloatRange(min=0), metavar="DEG", help="Equatorial divergence.")
@shared.set_option
@shared.format_option
@shared.overwrite_option
@shared.quiet_option
def calibrate(scan_file: str, **options: Any) -> None:
    """Refine the instrument's resolution with a scan of a standard and write it to a file."""
    from xrdcomp.instrument.build import write_instrument
    from xrdcomp.instrument.calibrate import calibrate as calibrate_instrument
    from xrdcomp.io.front import read_xrd
    from xrdcomp.results import named

    for item in options["settings"]:
        key = item.partition("=")[0].strip()
        if not key.startswith("instrument.") and key != "fit.two_theta_range":
            msg = f"--set {item}: a calibration uses settings of instrument and fit.two_theta_range, no others."
            raise RecipeError(msg)
    recipe = shared.build_recipe(options)
    given = {key: options[name] for name, key in _SETTINGS.items() if options[name] is not None}
    recipe = recipe.with_settings(given)
    refuse_inputs(Path(options["out"]), [scan_file])
    shared.progress(f"calibrating on {scan_file}", quiet=options["quiet"])
    pattern = read_xrd(scan_file, scan=options["scan"], format=options["input_format"])
    with naming(scan_file):
        result = calibrate_instrument(
            pattern,
            options["standard"],
            recipe.instrument,
            temperature_c=options["temperature"],
            two_theta_range=recipe.fit.two_theta_range,
            **{name: options[name] for name in ("refine_cell", "refine_zero")},
        )
    told = {"provenance": result.provenance, "overwrite": options["overwrite"]}
    target = write_instrument(result.instrument, options["out"], **told)
    if options["figure"]:
        import numpy as np

        from xrdcomp.instrument.calibrate import instrument_fwhm
        from xrdcomp.present.files import write_figure
        from xrdcomp.present.studies import plot_calibration
        from xrdcomp.present.style import figure_of

        refuse_inputs(Path(options["figure"]), [scan_file])
        grid = np.linspace(result.fit.two_theta[0], result.fit.two_theta[-1], 400)
        style = shared.figure_options_of(options)
        axes = plot_calibration(result, grid, instrument_fwhm(result.instrument, grid), width_mm=style.width_mm)
        write_figure(figure_of(axes), options["figure"], dpi=style.dpi, overwrite=options["overwrite"])
    if options["output_format"] == "json":
        cell = {name: estimate.to_dict() for name, estimate in result.cell.items()}
        messages = [named(message, "code", "severity", "text") for message in result.messages]
        figures = {**result.provenance, "rexp": result.fit.rexp}
        shared.print_json({"instrument": str(target), "cell": cell, "figures": figures, "messages": messages})
    else:
        for name, value in (*result.fit.parameters.items(), *result.cell.items()):
            shared.say(f"{name:32s} {value}")
        shared.say(f"{'Rwp':32s} {result.fit.rwp:.4f} (expected {result.fit.rexp:.4f})")
        for message in result.messages:
            shared.say(f"{message.severity}: {message.text}", err=True)
    shared.progress(f"written: {target}", quiet=options["quiet"])


@click.command(
    epilog=shared.examples(
        "xrdcomp calibrate-amorphous ha20.xy:0.2 ha50.xy:0.5 ha80.xy:0.8 --phases hydroxyapatite -o amorphous.toml",
        "xrdcomp analyze scan.xy --set quantification.amorphous_file=amorphous.toml",
        "xrdcomp analyze scan.xy --set quantification.amorphous_file=amorphous.toml --set quantification.method=ponkcs",
    )
)
@click.argument("mixtures", nargs=-1, required=True, metavar="SCAN:FRACTION…")
@click.option("-o", "--out", default="amorphous.toml", show_default=True, metavar="FILE")
@click.option(
    "--weighing-std", type=click.FloatRange(min=0), default=0.005, show_default=True,
    help="Standard uncertainty of the fractions.",
)  # fmt: skip
@shared.xrd_options
@shared.recipe_options
@shared.overwrite_option
@shared.quiet_option
def calibrate_amorphous(mixtures: tuple[str, ...], **options: Any) -> None:
    """Determine k and the PONKCS factor from scans of mixtures whose crystalline mass fraction is known."""
    from xrdcomp.analysis import analyze
    from xrdcomp.quantification.methods import RANGE_TOLERANCE, KnownMixture, write_amorphous
    from xrdcomp.quantification.methods import calibrate_amorphous as calibrate

    recipe = shared.build_recipe(options).with_settings({"identification.search": False})
    known: list[KnownMixture] = []
    window: tuple[float, float] | None = None
    for item in mixtures:
        name, fraction = shared.parse_fraction(item, "mixture", example="ha20.xy:0.2")
        refuse_inputs(Path(options["out"]), [name])
        shared.progress(f"analysing {name}", quiet=options["quiet"])
        given = {key: options[key] for key in ("blank", "scan", "input_format")}
        fit = analyze(name, recipe=recipe, **given).xrd
        if fit is None or fit.crystallinity is None:
            raise AnalysisError(f"{name}: the fit shows neither reflections nor a halo; it cannot calibrate.")
        mixture = KnownMixture(crystallinity=fit.crystallinity, fraction=fraction, amounts=fit.amounts)
        known.append(dataclasses.replace(mixture, fraction_std=options["weighing_std"]))
        own = (float(fit.two_theta[0]), float(fit.two_theta[-1]))
        if window is not None and max(abs(a - b) for a, b in zip(own, window, strict=True)) > RANGE_TOLERANCE:
            raise AnalysisError(
                f"{name}: covers {own[0]:.1f}-{own[1]:.1f}°, those before it {window[0]:.1f}-{window[1]:.1f}°, and "
                "k holds for one range. Give all the same: --range "
                f"{max(own[0], window[0]):.1f},{min(own[1], window[1]):.1f}."
            )
        window = window or own
    window = window or (0.0, 0.0)
    result = calibrate(known, window)
    target = write_amorphous(result, options["out"], overwrite=options["overwrite"])
    shared.say(f"k = {result.k} from {result.n_mixtures} mixture(s), {window[0]:.1f}-{window[1]:.1f}°")
    if result.factor is not None:
        shared.say(f"PONKCS factor of the amorphous part = {result.factor}")
    shared.progress(f"written: {target}", quiet=options["quiet"])


COMPONENTS = ("apatite", "carbonate", "protein", "lipid", "water", "amorphous_mineral")
EXAMPLE = "apatite=0.3,carbonate=0.02,protein=0.4,lipid=0.1,water=0.15,amorphous_mineral=0.03"


@click.command(
    epilog=shared.examples(
        "xrdcomp simulate --out cohort",
        f"xrdcomp simulate --composition {EXAMPLE} --sample-id T1 --seed 7 --out simulated",
    )
)
@click.option("--out", default="simulated", show_default=True, metavar="DIR", help="Folder to write.")
@click.option("--seed", type=click.IntRange(min=0), help="The same seed writes the same bytes.")
@click.option(
    "--composition",
    metavar="NAME=FRACTION[,…]",
    help=f"One specimen instead of the cohort of ten: {', '.join(COMPONENTS)} or a phase id; fractions sum to 1.",
)
@click.option("--sample-id", default="simulated", show_default=True, metavar="ID")
@click.option("--peak-counts", type=click.FloatRange(min=1), default=5000.0, show_default=True)
@click.option("--atmosphere", type=click.Choice(shared.ATMOSPHERES), default="air", show_default=True)
@shared.overwrite_option
@shared.quiet_option
def simulate(out: str, seed: int | None, composition: str | None, **options: Any) -> None:
    """Write simulated specimens as instrument exports, with the true values beside them.

    Without --composition, the cohort of ten specimens that `xrdcomp demo` analyses.
    """
    from xrdcomp.disk import replaced_folder
    from xrdcomp.present.files import safe_sample_id
    from xrdcomp.simulate.cohort import COHORT_SEED, generate_cohort, simulate_specimen, write_pattern, write_tga
    from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, XrdConditions

    number = COHORT_SEED if seed is None else seed
    if composition is None:
        with replaced_folder(Path(out), marker="cohort.json", overwrite=options["overwrite"]) as work:
            generate_cohort(work, seed=number)
    else:
        parts: dict[str, Any] = {}
        others: dict[str, float] = {}
        for item in composition.split(","):
            part, _, value = (piece.strip() for piece in item.partition("="))
            try:
                (parts if part in COMPONENTS else others)[part] = float(value)
            except ValueError:
                msg = f"--composition {composition}: {item!r} is no NAME=FRACTION. Expected e.g. {EXAMPLE}."
                raise RecipeError(msg) from None
        name = safe_sample_id(options["sample_id"])
        simulated = simulate_specimen(
            SpecimenModel(specimen_id=name, other=others, **parts),
            xrd=XrdConditions(peak_counts=options["peak_counts"]),
            tga=TgaConditions(atmosphere=options["atmosphere"]),
            seed=number,
        )
        with replaced_folder(Path(out) / name, marker="truth.json", overwrite=options["overwrite"]) as work:
            write_pattern(work / f"{name}.xy", simulated.pattern, "xy")
            write_tga(work / f"{name}_tga.csv", simulated.tga, "csv")
            truth = json.dumps({**simulated.truth, "seed": number}, indent=1, ensure_ascii=False)
            (work / "truth.json").write_text(truth + "\n", encoding="utf-8")
    shared.progress(f"written: {out} (simulated, seed {number})", quiet=options["quiet"])


@click.command(
    epilog=shared.examples(
        "xrdcomp integrate frame_00.gfrm frame_01.gfrm -o pattern.xye",
        "xrdcomp integrate frame.tif --poni calibration.poni --mask beamstop.edf --ring 3.44",
    )
)
@click.argument("frames", metavar="FRAME…", nargs=-1, required=True)
@click.option(
    "--poni", "ponis", metavar="FILE", multiple=True,
    help="pyFAI calibration, one for all frames or one for each; replaces the geometry of the headers.",
)  # fmt: skip
@click.option("--mask", metavar="FILE", help="npy, TIFF or EDF; nonzero pixels are not used.")
@click.option(
    "--sector", metavar="START,STOP",
    help="Azimuth in degrees, 0 towards higher columns, 90 towards higher rows [default: the full turn].",
)  # fmt: skip
@click.option("--points", type=click.IntRange(min=2), help="Steps of 2θ [default: of half a pixel].")
@click.option(
    "--polarization", type=click.FloatRange(-1, 1),
    help="Degree of polarisation of the beam, divided out; leave it out for a laboratory tube.",
)  # fmt: skip
@click.option(
    "--orientation", type=click.IntRange(1, 4),
    help="Corner of the first pixel, with --poni: 1 top left, 2 top right, 3 bottom right, 4 bottom left.",
)  # fmt: skip
@shared.input_format_option
@click.option("--ring", metavar="D", type=float, help="Ring for the orientation, ångström [default: 3.44, 002].")
@click.option("-o", "--out", metavar="FILE", help="xye, xy, csv, cif, nxs [default: name of the frame, .xye].")
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw frame, pattern and ring.")
@shared.format_option
@shared.overwrite_option
@shared.quiet_option
def integrate(frames: tuple[str, ...], **options: Any) -> None:
    """Integrate frames of an area detector (GFRM, SFRM, TIFF, CBF, EDF, Eiger) into one powder pattern.

    Several frames are merged. Needs the optional packages fabio and pyFAI.
    """
    quiet, sector, d_spacing = options["quiet"], options["sector"], options["ring"]
    limits = shared.parse_numbers(sector, "--sector", counts=(2,)) if sector else None
    from xrdcomp.frames.integrate import azimuthal_profile, frame_stem, integrate_frames, place_frames
    from xrdcomp.io.export import write_pattern

    target = Path(options["out"] or f"{frame_stem(frames[0])}.xye")
    for place in (target, target.with_suffix(".png")):
        refuse_inputs(place, [*frames, *options["ponis"], options["mask"]])
    shared.progress(f"integrating {len(frames)} frame{'s' * (len(frames) > 1)}", quiet=quiet)
    given: dict[str, Any] = {"poni": options["ponis"] or None, "mask": options["mask"]}
    given |= {"polarization": options["polarization"], "orientation": options["orientation"]}
    given["format"] = options["input_format"]
    sector_of_turn = (limits[0], limits[1]) if limits else None
    with naming(*frames):
        pattern = integrate_frames(frames, **given, sector=sector_of_turn, n_points=options["points"])
    write_pattern(pattern, target, overwrite=options["overwrite"])
    profile, reason = None, ""
    try:
        profile = azimuthal_profile(frames, **given, **({} if d_spacing is None else {"d_spacing": d_spacing}))
    except AnalysisError as problem:
        if d_spacing is not None:  # a missing ring is an error only where it was asked for by name
            raise
        reason = str(problem)
    written = [target]
    if options["figures"]:
        from xrdcomp.present.files import write_figure
        from xrdcomp.present.measured import plot_frames
        from xrdcomp.present.style import figure_of

        shared.progress("drawing figures", quiet=quiet)
        first = given | {"poni": given["poni"][:1] if given["poni"] else None}
        figure = figure_of(plot_frames(place_frames(frames[:1], **first)[0], pattern, profile))
        written.append(write_figure(figure, target.with_suffix(".png"), overwrite=options["overwrite"]))
    low, high = float(pattern.two_theta[0]), float(pattern.two_theta[-1])
    warnings = [note.text for note in pattern.messages if note.severity != "info"]
    notes = [note.text for note in pattern.messages if note.severity == "info"]
    if options["output_format"] == "json":
        names = "d_spacing two_theta amplitude amplitude_esd direction hermans coverage graininess oriented"
        facts: dict[str, Any] = {"n_points": len(pattern), "two_theta_min": low, "two_theta_max": high}
        facts |= {"intensity_max": float(pattern.intensity.max()), "intensity_unit": pattern.intensity_unit}
        facts["wavelengths"] = [line.wavelength for line in pattern.emission_lines]
        facts |= {"frames": pattern.metadata["frames"], "ring_missing": reason, "warnings": warnings, "notes": notes}
        facts["ring"] = profile and {name: getattr(profile, name) for name in names.split()}
        shared.print_json(facts | {"written": [str(path) for path in written]})
        return
    lines = [
        f"{pattern.metadata['frames']}: {len(pattern)} points, 2θ {low:.2f} to {high:.2f}°, maximum "
        f"{pattern.intensity.max():.4g} {pattern.intensity_unit}"
    ]
    if profile is None:
        lines.append(f"orientation: not judged; {reason}")
    else:
        hermans = "" if profile.hermans is None else f", Hermans factor {profile.hermans:.2f}"
        verdict = "oriented" if profile.oriented else "no orientation seen"
        verdict = "too little of the ring is seen to judge" if profile.oriented is None else verdict
        lines.append(
            f"orientation: ring d {profile.d_spacing:g} Å at {profile.two_theta:.2f}°: {verdict}, "
            f"amplitude {profile.amplitude:.3f} ± {profile.amplitude_esd:.3f} along {profile.direction:.0f}°"
            f"{hermans} (seen over {100 * profile.coverage:.0f} % of the turn)"
        )
    for word, texts in (("warning", warnings), ("note", notes), ("written", written)):
        lines += [f"{word}: {text}" for text in texts]
    shared.say("\n".join(lines))


@click.command(epilog=shared.examples("xrdcomp formats"))
@shared.format_option
def formats(output_format: str) -> None:
    """List the file formats that can be read, with the extra packages that some need."""
    from xrdcomp.io.front import list_formats
    from xrdcomp.present.tables import align

    found: list[Any] = list(list_formats())
    if output_format == "json":
        shared.print_json(found)
        return
    rows = [("id", "kind", "suffixes", "needs", "verified on real files", "name")]
    for item in found:
        needs, suffixes = ", ".join(f"xrdcomp[{x}]" for x in item["extras"]), " ".join(item["extensions"])
        verified = "yes" if item["verified"] else "no: from its description"
        rows.append((str(item["id"]), str(item["kind"]), suffixes, needs, verified, str(item["name"])))
    shared.say(align(rows))


@click.command(epilog=shared.examples("xrdcomp inspect scan.raw --format json"))
@click.argument("file")
@click.option("--figure", metavar="FILE", help="Draw the measurement as .png, .svg or .pdf.")
@shared.width_options
@shared.scan_option
@shared.input_format_option
@shared.read_tga_options
@shared.overwrite_option
@shared.format_option
def inspect(file: str, figure: str | None, **options: Any) -> None:
    """Show whether a file is a pattern, a run or a frame, and what it contains, without analysing it."""
    from xrdcomp.io.front import inspect_file, read_tga, read_xrd, why_not_powder
    from xrdcomp.present.tables import align

    told = shared.told_of_tga(options)
    found: dict[str, Any] = inspect_file(file, format=options["input_format"], **told)
    kind, frame = found["kind"], cast("Any", None)
    if kind == "xrd_frame" and found["format"] != "poni":
        from xrdcomp.frames.read import describe_frame

        try:
            frame = describe_frame(file)
        except MissingExtraError as missing:
            shared.say(str(missing), err=True)
    if frame is not None:
        # What is said of a scan; a frame has angles only once it is integrated.
        scan_facts = {"n_points": frame["rows"] * frame["columns"], "two_theta_min": None, "two_theta_max": None}
        scan_facts |= {"intensity_max": frame["counts_max"], "intensity_unit": "counts"}
        found["scans"] = [scan_facts | {"wavelengths": frame["wavelengths"], "axis": "frame"}]
    if figure is not None:
        from xrdcomp.present.files import write_figure
        from xrdcomp.present.measured import plot_frame_image, plot_measurement
        from xrdcomp.present.style import figure_of

        style = shared.figure_options_of(options)
        if kind == "xrd_frame":
            from xrdcomp.frames.read import read_frame

            drawn = plot_frame_image(read_frame(file), width_mm=style.width_mm)
        else:
            known = {"format": found["format"]}
            drawn = plot_measurement(
                read_tga(file, **known, **told) if kind == "tga" else read_xrd(file, scan=options["scan"], **known),
                width_mm=style.width_mm,
            )
        refuse_inputs(Path(figure), [file])
        write_figure(figure_of(drawn), figure, dpi=style.dpi, overwrite=options["overwrite"])
        shared.say(f"written: {figure}", err=True)
    if options["output_format"] == "json":
        shared.print_json(found)
        return
    parts: Any = [] if frame else found.get("scans") or found.get("segments") or []
    noun = ("segment" if kind == "tga" else "scan") + "s" * (len(parts) != 1)
    shared.say(f"{file}: {kind}, format {found['format']}" + (f", {len(parts)} {noun}" if parts else ""))
    if frame is not None:
        shared.say(align([(name, _cell(value)) for name, value in frame.items()]))
    if parts:
        head = ["", *parts[0]]
        rows = [head, *([str(i), *(_cell(value) for value in part.values())] for i, part in enumerate(parts))]
        shared.say(align(rows))
    for number, reason in enumerate(why_not_powder(file, format=found["format"]) if kind == "xrd" else ()):
        if reason:
            shared.say(f"scan {number} is no powder scan: {reason}")


@click.command(epilog=shared.examples("xrdcomp convert scan.brml scan.xye"))
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@shared.scan_option
@shared.input_format_option
@shared.overwrite_option
def convert(source: str, target: str, **options: Any) -> None:
    """Write a pattern in another format, chosen by the suffix of OUT: xy, xye, csv, cif, nxs."""
    from xrdcomp.io.export import convert_file

    given = {name: options[name] for name in ("scan", "overwrite")}
    convert_file(source, target, format=options["input_format"], **given)
    shared.say(f"written: {target}", err=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return " ".join(_cell(item) for item in value)
    return "" if value is None else str(value)


@click.command(
    epilog=shared.examples("xrdcomp phases", "xrdcomp phases hydroxyapatite", "xrdcomp phases --format json")
)
@click.argument("phase", required=False, metavar="[ID|FILE.cif|FOLDER]")
@shared.format_option
def phases(phase: str | None, output_format: str) -> None:
    """List the reference phases, or show what is known of one: of the library, a CIF file or a phase folder."""
    from xrdcomp.phases.library import list_phases, phase_info
    from xrdcomp.present.tables import align

    found = [phase_info(item) for item in ([phase] if phase else list_phases())]
    if output_format == "json":
        entries = [dataclasses.asdict(item) for item in found]
        data = [entry | entry.pop("facts") for entry in entries]
        shared.print_json(data[0] if phase else data)
        return
    if phase:
        info = found[0]
        lines = ", ".join(f"{x.d_spacing:.3f} Å ({x.relative_intensity:.0f})" for x in info.strongest_lines)
        name = f"{info.name} ({info.mineral})" if info.mineral else info.name
        density = "unknown" if info.density is None else f"{info.density} g/cm³"
        use = "fit and search" if info.quantifiable else "positions only, never quantified"
        rows = {"id": info.id, "name": name, "formula": info.formula, "density": density}
        rows |= {"strongest reflections": lines, "use": use, "source": info.source, "notes": info.notes}
        shared.say(align([row for row in rows.items() if row[1]]))
        return
    table = [("id", "formula", "density g/cm³", "use")]
    for info in found:
        density = "" if info.density is None else f"{info.density:.3f}"
        use = "fit and search" if info.quantifiable else "positions only"
        table.append((info.id, info.formula, density, use))
    shared.say(align(table, right=(2,)))
