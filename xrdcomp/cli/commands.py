"""The commands: shells over analysis, io, phases, instrument, simulate and present; they compute nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xrdcomp.cli.options import (
    ATMOSPHERES,
    build_recipe,
    deliver,
    examples,
    output_options,
    parse_fraction,
    parse_numbers,
    print_json,
    progress,
    read_tga_as_told,
    recipe_options,
    tells_of_tga,
    tga_file_options,
    thermal_options,
    xrd_options,
)
from xrdcomp.errors import AnalysisError, MissingExtraError, OutputError, RecipeError, naming

if TYPE_CHECKING:
    from xrdcomp.data import Pattern
    from xrdcomp.frames.integrate import AzimuthalProfile
    from xrdcomp.results import SampleResult
    from xrdcomp.simulate.cohort import CohortEntry


@click.command(
    epilog=examples(
        "xrdcomp analyze scan.xrdml --tga run.csv --atmosphere air --out results",
        "xrdcomp analyze scan.xy --radiation CuKa --blank holder.xy",
        "xrdcomp analyze FAP.XRA --phases fluorapatite --wavelength 1.5405,1.5443",
        "xrdcomp analyze scan.xrdml --recipe results/S1/recipe.toml --format json --quiet",
    )
)
@click.argument("xrd", metavar="[XRD_FILE]", required=False)
@click.option("--tga", metavar="FILE", help="Thermogravimetric run of the same specimen.")
@click.option("--blank", metavar="FILE", help="Scan of the empty holder.")
@click.option("--tga-blank", metavar="FILE", help="Run of the empty pan with the same program.")
@click.option("--sample-id", metavar="ID", help="Name of the specimen [default: the file's name].")
@xrd_options
@tga_file_options
@thermal_options
@click.option(
    "--internal-standard", metavar="ID:FRACTION", help="Spike: phase id and its fraction of the spiked mass."
)
@click.option("--basis", type=click.Choice(["as_received", "dry"]), help="Basis of the composition.")
@recipe_options
@output_options
def analyze(xrd: str | None, **options: Any) -> None:
    """Composition of one specimen from a powder pattern, a TGA curve, or both.

    Writes DIR/<sample id>/ with result.json, curves.npz, recipe.toml and figures.
    """
    if options["tga"] is None and tells_of_tga(options):
        msg = "units, mass and columns were given for a TGA file, but no file. Expected: --tga FILE as well."
        raise RecipeError(msg)
    recipe = build_recipe(options)
    names = ", ".join(name for name in (xrd, options["tga"]) if name)
    progress(f"analysing {names}", quiet=options["quiet"] or not names)
    from xrdcomp.analysis import analyze as analyze_specimen
    from xrdcomp.present.tables import result_table

    tga, tga_blank = options["tga"], options["tga_blank"]
    if tga is not None and tells_of_tga(options):
        tga, tga_blank = read_tga_as_told(tga, tga_blank, options)
    result = analyze_specimen(
        xrd,
        tga=tga,
        blank=options["blank"],
        tga_blank=tga_blank,
        recipe=recipe,
        scan=options["scan"],
    )
    deliver(result, options, as_text=result_table)


# xrdcomp demo: the ten embedded specimens, analysed, tabulated and drawn.

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
    from xrdcomp.present.tables import cohort_table
    from xrdcomp.simulate.cohort import load_cohort

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
    from xrdcomp.analysis import analyze_embedded
    from xrdcomp.present.write import write_result

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
    from xrdcomp.present.figures import plot_cohort
    from xrdcomp.present.html import render_cohort_page
    from xrdcomp.present.write import write_text

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


# xrdcomp identify: every crystalline phase of the library, found or not, with its detection
# limit.


@click.command(
    epilog=examples(
        "xrdcomp identify scan.xrdml --radiation CuKa --format json",
    )
)
@click.argument("file")
@click.option("--blank", metavar="FILE", help="Scan of the empty holder.")
@click.option("--sample-id", metavar="ID", help="Name of the specimen [default: the file's name].")
@xrd_options
@recipe_options
@output_options
def identify(file: str, **options: Any) -> None:
    """Search a pattern for every crystalline phase of the library.

    Each phase is detected, not detected (with the fraction that would have been seen) or inconclusive. Nothing is
    assumed to be there.
    """
    recipe = build_recipe(options).with_settings({"identification.start": "nothing"})
    progress(f"searching {file}", quiet=options["quiet"])
    from xrdcomp.analysis import analyze
    from xrdcomp.present.tables import phase_block

    result = analyze(file, blank=options["blank"], recipe=recipe, scan=options["scan"])
    deliver(result, options, as_text=phase_block)


# xrdcomp tga: the mass balance of a thermogravimetric run.


@click.command(
    epilog=examples(
        "xrdcomp tga run.csv --atmosphere air",
        "xrdcomp tga bare.csv --column temperature=1 --column mass=2 --temperature-unit C --mass-unit mg",
        "xrdcomp tga run.txt --blank empty_pan.txt --windows windows.toml --out results",
    )
)
@click.argument("file")
@click.option("--blank", metavar="FILE", help="Run of the empty pan with the same program.")
@thermal_options
@click.option("--windows", metavar="FILE", help="TOML with water_end_c, organic_end_c, carbonate_end_c …")
@tga_file_options
@click.option("--sample-id", metavar="ID", help="Name of the specimen [default: the file's name].")
@recipe_options
@output_options
def tga(file: str, **options: Any) -> None:
    """Steps and mass balance of a thermogravimetric run: water, organic, carbonate, residue."""
    recipe = build_recipe(options)
    if options["windows"]:
        recipe = recipe.with_settings(_windows(options["windows"]))
    progress(f"analysing {file}", quiet=options["quiet"])
    from xrdcomp.analysis import analyze
    from xrdcomp.present.tables import result_table

    run, blank = read_tga_as_told(file, options["blank"], options)
    result = analyze(tga=run, tga_blank=blank, recipe=recipe)
    deliver(result, options, as_text=result_table)


def _windows(name: str) -> dict[str, Any]:
    """Return the thermal settings of a windows file as dotted recipe keys."""
    try:
        data = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = (
            f"{name}: cannot be read as windows ({error}). Expected: TOML lines such as organic_end_c = 620."
        )
        raise RecipeError(msg) from error
    return {f"thermal.{key}": value for key, value in data.get("thermal", data).items()}


# xrdcomp tga-check: a balance's routine verification against a standard's stoichiometry.

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
    from xrdcomp.thermal.standards import tga_check as check_standard

    recipe = build_recipe(options)
    run, blank = read_tga_as_told(file, options["blank"], options)
    with naming(file):
        check = check_standard(
            run, options["standard"], recipe.thermal, blank=blank, tolerance=options["tolerance"]
        )
    if options["output_format"] == "json":
        print_json(
            {
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
                    for d in check.messages
                ],
            }
        )
    else:
        from xrdcomp.present.tables import align, percent

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
        lines += [f"{d.severity}: {d.code}: {d.text}" for d in check.messages]
        to_text = "\n".join(lines)
        click.echo(to_text)
    if not check.passed:
        raise click.exceptions.Exit(1)


# xrdcomp calibrate: an instrument file from a scan of a line-profile standard.

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
    from xrdcomp.instrument.build import write_instrument
    from xrdcomp.instrument.calibrate import calibrate as calibrate_instrument
    from xrdcomp.io.front import read_xrd

    # Refuse settings that a calibration does not look at.
    settings = options["settings"]
    for item in settings:
        refuse_key = item.partition("=")[0].strip()
        if not refuse_key.startswith("instrument.") and refuse_key != "fit.two_theta_range":
            msg = (
                f"--set {item}: a calibration uses settings of instrument and fit.two_theta_range, no others."
            )
            raise RecipeError(msg)
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
        messages = [{"code": d.code, "severity": d.severity, "text": d.text} for d in result.messages]
        figures = {**result.provenance, "rexp": result.fit.rexp}
        print_json({"instrument": str(target), "cell": cell, "figures": figures, "messages": messages})
    else:
        for name, value in (*result.fit.parameters.items(), *result.cell.items()):
            click.echo(f"{name:32s} {value}")
        click.echo(f"{'Rwp':32s} {result.fit.rwp:.4f} (expected {result.fit.rexp:.4f})")
        for message in result.messages:
            click.echo(f"{message.severity}: {message.text}", err=True)
    progress(f"written: {target}", quiet=options["quiet"])


# xrdcomp calibrate-amorphous: the constant of the degree of crystallinity from mixtures of
# known composition.


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
    from xrdcomp.analysis import analyze
    from xrdcomp.quantification.methods import RANGE_TOLERANCE, KnownMixture, write_amorphous
    from xrdcomp.quantification.methods import calibrate_amorphous as calibrate

    recipe = build_recipe(options).with_settings({"identification.search": False})
    known: list[KnownMixture] = []
    window: tuple[float, float] | None = None
    for item in mixtures:
        name, fraction = parse_fraction(item, "mixture", example="ha20.xy:0.2")
        progress(f"analysing {name}", quiet=options["quiet"])
        fit = analyze(name, blank=options["blank"], recipe=recipe, scan=options["scan"]).xrd
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


# xrdcomp simulate: specimens of known composition as instrument exports.

COMPONENTS = ("apatite", "carbonate", "protein", "lipid", "water", "amorphous_mineral")
EXAMPLE = "apatite=0.3,carbonate=0.02,protein=0.4,lipid=0.1,water=0.15,amorphous_mineral=0.03"


@click.command(
    epilog=examples(
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
@click.option("--atmosphere", type=click.Choice(ATMOSPHERES), default="air", show_default=True)
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def simulate(out: str, seed: int | None, composition: str | None, **options: Any) -> None:
    """Write simulated specimens as instrument exports, with their truth beside them.

    Without --composition, the cohort of ten specimens that `xrdcomp demo` analyses.
    """
    from xrdcomp.simulate.cohort import COHORT_SEED

    number = COHORT_SEED if seed is None else seed
    if composition is None:
        target = Path(out)
        from xrdcomp.present.write import replaced_folder
        from xrdcomp.simulate.cohort import generate_cohort

        with replaced_folder(target, marker="cohort.json") as work:
            generate_cohort(work, seed=number)
    else:
        folder = Path(out)
        fractions = _fractions(composition)
        from xrdcomp.present.write import replaced_folder, safe_sample_id
        from xrdcomp.simulate.cohort import simulate_specimen
        from xrdcomp.simulate.exports import write_pattern, write_tga
        from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, XrdConditions

        name = safe_sample_id(options["sample_id"])
        parts: dict[str, Any] = {part: value for part, value in fractions.items() if part in COMPONENTS}
        model = SpecimenModel(
            specimen_id=name,
            other={phase: value for phase, value in fractions.items() if phase not in COMPONENTS},
            **parts,
        )
        simulated = simulate_specimen(
            model,
            xrd=XrdConditions(peak_counts=options["peak_counts"]),
            tga=TgaConditions(atmosphere=options["atmosphere"]),
            seed=number,
        )
        with replaced_folder(folder / name, marker="truth.json") as work:
            write_pattern(work / f"{name}.xy", simulated.pattern, "xy")
            write_tga(work / f"{name}_tga.csv", simulated.tga, "csv")
            truth = json.dumps({**simulated.truth, "seed": number}, indent=1, ensure_ascii=False)
            (work / "truth.json").write_text(truth + "\n", encoding="utf-8")
    progress(f"written: {out} (simulated, seed {number})", quiet=options["quiet"])


def _fractions(text: str) -> dict[str, float]:
    fractions: dict[str, float] = {}
    for item in text.split(","):
        name, _, number = item.partition("=")
        try:
            fractions[name.strip()] = float(number)
        except ValueError:
            msg = f"--composition {text}: {item!r} is no NAME=FRACTION. Expected e.g. {EXAMPLE}."
            raise RecipeError(msg) from None
    return fractions


# xrdcomp integrate: frames of an area detector to a powder pattern, with the ring that shows
# orientation.


@click.command(
    epilog=examples(
        "xrdcomp integrate frame_00.gfrm frame_01.gfrm -o pattern.xye",
        "xrdcomp integrate frame.tif --poni calibration.poni --mask beamstop.edf --ring 3.44",
    )
)
@click.argument("frames", metavar="FRAME…", nargs=-1, required=True)
@click.option(
    "--poni", "ponis", metavar="FILE", multiple=True,
    help="Calibration by pyFAI, once for all frames or once for each; replaces the geometry of the headers.",
)  # fmt: skip
@click.option("--mask", metavar="FILE", help="npy, TIFF or EDF; pixels that are not zero are not used.")
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
@click.option(
    "--ring", metavar="D", type=float, help="Ring for the orientation, ångström [default: 3.44, 002]."
)
@click.option(
    "-o", "--out", metavar="FILE", help="xye, xy, csv, cif, nxs [default: name of the frame, .xye]."
)
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw frame, pattern and ring.")
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def integrate(frames: tuple[str, ...], **options: Any) -> None:
    """Integrate frames of an area detector (GFRM, SFRM, TIFF, CBF, EDF, Eiger) to one powder pattern.

    Several frames are merged. Needs the optional packages fabio and pyFAI.
    """
    quiet, as_json = options["quiet"], options["output_format"] == "json"
    sector = options["sector"]
    limits = parse_numbers(sector, "--sector", counts=(2,)) if sector else None
    from xrdcomp.frames.integrate import frame_stem, integrate_frames
    from xrdcomp.io.export import write_pattern

    progress(f"integrating {len(frames)} frame{'s' * (len(frames) > 1)}", quiet=quiet)
    given: dict[str, Any] = {"poni": options["ponis"] or None, "mask": options["mask"]}
    given |= {"polarization": options["polarization"], "orientation": options["orientation"]}
    sector_of_turn = (limits[0], limits[1]) if limits else None
    with naming(*frames):
        pattern = integrate_frames(frames, **given, sector=sector_of_turn, n_points=options["points"])
    target = Path(options["out"] or f"{frame_stem(frames[0])}.xye")
    write_pattern(pattern, target)
    profile, reason = _ring(frames, given, options["ring"])
    written = [target]
    if options["figures"]:
        progress("drawing figures", quiet=quiet)
        written.append(_draw(frames, given, pattern, profile, target))
    ring: dict[str, Any] | None = None
    if profile is not None:
        names = ("d_spacing", "two_theta", "amplitude", "amplitude_esd", "direction", "hermans", "coverage")
        ring = {name: getattr(profile, name) for name in (*names, "graininess", "oriented")}
    summary = {
        "n_points": len(pattern),
        "two_theta_min": float(pattern.two_theta[0]),
        "two_theta_max": float(pattern.two_theta[-1]),
        "intensity_max": float(pattern.intensity.max()),
        "intensity_unit": pattern.intensity_unit,
        "wavelengths": [line.wavelength for line in pattern.emission_lines],
        "frames": pattern.metadata["frames"],
        "ring": ring,
        "ring_missing": reason,
        "warnings": [note.text for note in pattern.messages if note.severity != "info"],
        "notes": [note.text for note in pattern.messages if note.severity == "info"],
        "written": [str(path) for path in written],
    }
    if as_json:
        print_json(summary)
    else:
        click.echo(_text(summary))


def _ring(
    frames: tuple[str, ...], given: dict[str, Any], d_spacing: float | None
) -> tuple[AzimuthalProfile | None, str]:
    """Profile of the ring; where none was asked for by name, a missing one is said, not an error."""
    from xrdcomp.frames.integrate import azimuthal_profile

    try:
        ring = {} if d_spacing is None else {"d_spacing": d_spacing}
        return azimuthal_profile(frames, **(given | ring)), ""
    except AnalysisError as problem:
        if d_spacing is not None:
            raise
        return None, str(problem)


def _draw(
    frames: tuple[str, ...],
    given: dict[str, Any],
    pattern: Pattern,
    profile: AzimuthalProfile | None,
    target: Path,
) -> Path:
    from xrdcomp.frames.integrate import place_frames
    from xrdcomp.present.figures import plot_frames
    from xrdcomp.present.write import write_figure

    given = {**given, "poni": given["poni"][:1] if given["poni"] else None}
    figure = plot_frames(place_frames(frames[:1], **given)[0], pattern, profile)
    path: Path = write_figure(figure, target.with_suffix(".png"))
    return path


def _text(summary: dict[str, Any]) -> str:
    lines = [
        f"{summary['frames']}: {summary['n_points']} points, 2θ {summary['two_theta_min']:.2f} to "
        f"{summary['two_theta_max']:.2f}°, maximum {summary['intensity_max']:.4g} {summary['intensity_unit']}"
    ]
    ring = summary["ring"]
    if ring is None:
        lines.append(f"orientation: not judged; {summary['ring_missing']}")
    else:
        hermans = "" if ring["hermans"] is None else f", Hermans factor {ring['hermans']:.2f}"
        verdict = {
            True: "oriented",
            False: "no orientation seen",
            None: "too little of the ring is seen to judge",
        }
        lines.append(
            f"orientation: ring d {ring['d_spacing']:g} Å at {ring['two_theta']:.2f}°: {verdict[ring['oriented']]}, "
            f"amplitude {ring['amplitude']:.3f} ± {ring['amplitude_esd']:.3f} along {ring['direction']:.0f}°"
            f"{hermans} (seen over {100 * ring['coverage']:.0f} % of the turn)"
        )
    lines += [f"warning: {text}" for text in summary["warnings"]]
    lines += [f"note: {text}" for text in summary["notes"]]
    return "\n".join([*lines, *(f"written: {path}" for path in summary["written"])])


# xrdcomp formats, inspect, convert: what can be read, what a file is, the same in another
# format.

_FORMAT = click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")


@click.command(
    epilog=examples(
        "xrdcomp formats",
    )
)
@_FORMAT
def formats(output_format: str) -> None:
    """List the file formats that can be read, with the extra packages that some need."""
    from xrdcomp.io.front import list_formats
    from xrdcomp.present.tables import align

    found = list_formats()
    if output_format == "json":
        print_json(found)
        return
    rows = [("id", "kind", "suffixes", "needs", "verified on real files", "name")]
    for item in found:
        needs = ", ".join(f"xrdcomp[{extra}]" for extra in _list(item["extras"]))
        verified = "yes" if item["verified"] else "no: from its description"
        suffixes = " ".join(_list(item["extensions"]))
        rows.append((str(item["id"]), str(item["kind"]), suffixes, needs, verified, str(item["name"])))
    click.echo(align(rows))


@click.command(
    epilog=examples(
        "xrdcomp inspect scan.raw --format json",
    )
)
@click.argument("file")
@click.option("--figure", metavar="FILE", help="Draw the measurement as .png or .svg.")
@click.option("--scan", type=click.IntRange(min=0), help="Which scan to draw, from 0.")
@_FORMAT
def inspect(file: str, figure: str | None, scan: int | None, output_format: str) -> None:
    """Say what a file is and what it holds, without analysing it."""
    from xrdcomp.io.front import inspect_file, why_not_powder
    from xrdcomp.present.tables import align

    found = inspect_file(file)
    frame = _frame(file) if found["kind"] == "xrd_frame" and found["format"] != "poni" else None
    if frame is not None:
        # Say of a frame what is said of a scan; it has angles only once it is integrated.
        found["scans"] = [
            (
                {
                    "n_points": frame["rows"] * frame["columns"],
                    "two_theta_min": None,
                    "two_theta_max": None,
                    "intensity_max": frame["counts_max"],
                    "intensity_unit": "counts",
                    "wavelengths": frame["wavelengths"],
                    "axis": "frame",
                }
            )
        ]
    if figure is not None:
        _files_draw(file, figure, kind=str(found["kind"]), scan=scan)
    if output_format == "json":
        print_json(found)
        return
    parts: Any = [] if frame else found.get("scans") or found.get("segments") or []
    count = f", {len(parts)} {_noun(found, len(parts))}" if parts else ""
    click.echo(f"{file}: {found['kind']}, format {found['format']}{count}")
    if frame is not None:
        click.echo(align([(name, _cell(value)) for name, value in frame.items()]))
    if parts:
        head = ["", *parts[0]]
        rows = [head, *([str(i), *(_cell(value) for value in part.values())] for i, part in enumerate(parts))]
        click.echo(align(rows))
    reasons = why_not_powder(file) if found["kind"] == "xrd" else ()
    for number, reason in enumerate(reasons):
        if reason:
            click.echo(f"scan {number} is no powder scan: {reason}")


@click.command(
    epilog=examples(
        "xrdcomp convert scan.brml scan.xye",
    )
)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option("--scan", type=click.IntRange(min=0), help="Which scan of the file, from 0.")
def convert(source: str, target: str, scan: int | None) -> None:
    """Write a pattern in another format, chosen by the suffix of OUT: xy, xye, csv, cif, nxs."""
    from xrdcomp.io.export import convert_file

    convert_file(source, target, **({} if scan is None else {"scan": scan}))
    click.echo(f"written: {target}", err=True)


def _frame(file: str) -> dict[str, Any] | None:
    """Facts of a frame; None, with a word on standard error, where the extra is not installed."""
    from xrdcomp.frames.read import describe_frame

    try:
        facts: dict[str, Any] = describe_frame(file)
    except MissingExtraError as missing:
        click.echo(str(missing), err=True)
        return None
    return facts


def _files_draw(file: str, target: str, *, kind: str, scan: int | None) -> None:
    from xrdcomp.io.front import read_tga, read_xrd
    from xrdcomp.present.figures import plot_measurement
    from xrdcomp.present.write import write_figure

    if kind == "xrd_frame":
        from xrdcomp.frames.read import read_frame
        from xrdcomp.present.figures import plot_frame_image

        write_figure(plot_frame_image(read_frame(file)), target)
        click.echo(f"written: {target}", err=True)
        return
    measured = read_tga(file) if kind == "tga" else read_xrd(file, scan=scan)
    write_figure(plot_measurement(measured), target)
    click.echo(f"written: {target}", err=True)


def _list(value: object) -> list[str]:
    return list(value) if isinstance(value, list) else []


def _noun(found: Mapping[str, Any], count: int) -> str:
    noun = "segment" if found["kind"] == "tga" else "scan"
    return noun if count == 1 else noun + "s"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return " ".join(_cell(item) for item in value)
    return "" if value is None else str(value)


# xrdcomp phases: the reference phases.


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
    from xrdcomp.phases.library import list_phases, phase_info
    from xrdcomp.present.tables import align

    found = [phase_info(item) for item in ([phase] if phase else list_phases())]
    if output_format == "json":
        entries = [dataclasses.asdict(item) for item in found]
        data = [entry | entry.pop("facts") for entry in entries]
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
