"""Options that several commands share, how they become a Recipe, and what commands print."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xrdcomp.data import SCREEN_WIDTH
from xrdcomp.errors import OutputError, RecipeError, printable
from xrdcomp.recipe import COMMAND_NAMES, Recipe

if TYPE_CHECKING:
    from xrdcomp.data import TgaRun
    from xrdcomp.laboratory import Laboratory
    from xrdcomp.present.style import FigureOptions
    from xrdcomp.results import SampleResult

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

DEFAULT_OUT = "xrdcomp-results"
_NAMED = ("radiation", "instrument", "atmosphere", "basis", "specimen_kind", "history")
TGA_UNITS = {
    "mass_unit": ("mg", "ug", "g", "percent", "fraction"),
    "temperature_unit": ("C", "K"),
    "time_unit": ("s", "min", "h"),
}
FAIL_ON = ("error", "warning", "never")
ATMOSPHERES = ("air", "oxygen", "nitrogen", "argon", "helium", "carbon_dioxide")


def examples(*commands: str) -> str:
    """Closing part of a command's help: its examples, line by line as written."""
    head = "Example:" if len(commands) == 1 else "Examples:"
    return "\b\n" + "\n".join([head, *(f"  {command}" for command in commands)])


def _stack(*options: Decorator) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        return functools.reduce(lambda inner, option: option(inner), reversed(options), command)

    return decorate


def _option(*names: str, text: str | None = None, **attributes: Any) -> Decorator:
    return click.option(*names, help=text, **attributes)


format_option = _option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")
scan_option = _option("--scan", type=click.IntRange(min=0), text="Which scan of the file, from 0.")
input_format_option = _option(
    "--input-format", metavar="ID", text="Format of the files where the content does not tell; see `xrdcomp formats`."
)
quiet_option = _option("--quiet", is_flag=True, text="No progress on standard error.")
overwrite_option = _option(
    "--overwrite", is_flag=True, text="Replace the result of other files, and files that xrdcomp did not write."
)
set_option = _option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", text="One setting, e.g. --set fit.mode=peaks."
)
atmosphere_option = _option(
    "--atmosphere", metavar="GAS[,GAS@177min|GAS@600C …]", text="Gases of the TGA run; they override the file's."
)

radiation_options = _stack(
    _option("--radiation", metavar="NAME", text="CuKa, CuKa1, CoKa, MoKa …; overrides the file's."),
    _option("--wavelength", metavar="L1[,L2[,RATIO]]", text="Wavelengths in ångström, weight of the second."),
    _option("--range", "two_theta_range", metavar="MIN,MAX", text="Part of the pattern to fit, degrees."),
)
scan_options = _stack(radiation_options, scan_option, input_format_option)

instrument_option = _option("--instrument", metavar="FILE", text="Instrument file of `xrdcomp calibrate`.")
xrd_options = _stack(
    _option("--blank", metavar="FILE", text="Scan of the empty holder."),
    _option(
        "--phases",
        metavar="ID[,ID…]",
        text="Phases to fit: ids of `xrdcomp phases`, CIF files, folders with phase.toml and structure.cif, or folders "
        "of these. Without it hydroxyapatite is fitted; the library is searched for others either way.",
    ),
    scan_options,
    instrument_option,
)
series_options = _stack(
    _option("--phases", metavar="ID[,ID…]", text="Phases to fit, and no others [default: hydroxyapatite]."),
    radiation_options,
    instrument_option,
)

read_tga_options = _stack(
    *(
        _option(f"--{name.replace('_', '-')}", type=click.Choice(units), text="Where the TGA file does not say.")
        for name, units in TGA_UNITS.items()
    ),
    _option("--initial-mass", metavar="MG", type=click.FloatRange(min=0, min_open=True), text="Likewise."),
    _option(
        "--column",
        "columns",
        multiple=True,
        metavar="NAME=COLUMN",
        text="Where temperature, mass or time stands in the TGA file: number from 1, or name.",
    ),
    _option("--run", type=click.IntRange(min=0), text="Which of several runs of the TGA file, from 0."),
)
tga_options = _stack(read_tga_options, atmosphere_option)

width_options = _stack(
    _option("--figure-width", metavar="single|double|MM",
            text="85, 180 or so many mm; text is never below 6 points [default: double]."),
    _option("--dpi", type=click.IntRange(40, 1200), text="Resolution of PNG figures [default: 160]."),
)  # fmt: skip
figure_options = _stack(
    _option("--figure-format", metavar="png,svg,pdf",
            text="Figures for a manuscript, by Matplotlib [default: the drawings of the report as SVG; with "
            "--figure-width or --dpi png,svg]."),
    width_options,
)  # fmt: skip

recipe_options = _stack(
    _option("--recipe", metavar="FILE", text="Settings as TOML; options given here go before it."),
    set_option,
    _option(
        "--laboratory/--no-laboratory", default=True,
        text="Settings of xrdcomp.toml beside or above the measurement, where no --recipe is given [default: yes].",
    ),
)  # fmt: skip

history_option = _option(
    "--history", metavar="FILE", text="History of check runs (`xrdcomp qc record`) that the instruments are judged by."
)

output_options = _stack(
    _option("--sample-id", metavar="ID", text="Name of the specimen [default: the file's name]."),
    recipe_options,
    _option("--out", metavar="DIR", text=f"Folder for DIR/<sample id>/ [default: {DEFAULT_OUT}; none with json]."),
    _option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json"]),
        default="text",
        text="What standard output gets; json is result.json and nothing else.",
    ),
    _option("--figures/--no-figures", default=True, show_default=True, text="Write figures."),
    figure_options,
    _option("--report/--no-report", default=True, show_default=True, text="Write report.html, one page of all."),
    _option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        default="error",
        show_default=True,
        text="Worst message with which the command ends with exit code 1.",
    ),
    overwrite_option,
    quiet_option,
    _option("-v", "--verbose", is_flag=True, text="Show notes, mass balance and parameters of the fit as well."),
)


def workers_of(given: int | None, usual: int) -> int:
    """Number of processes: the option, else XRDCOMP_WORKERS, else `usual`; RecipeError for what is no number."""
    if given is not None:
        return given
    text = os.environ.get("XRDCOMP_WORKERS", str(usual))
    if not text.isdecimal() or int(text) < 1:
        msg = f"XRDCOMP_WORKERS is {text!r}; expected the number of processes, 1 or more."
        raise RecipeError(msg)
    return int(text)


def build_recipe(options: Mapping[str, Any]) -> Recipe:
    """Recipe from the options of a command: recipe file first, then named options, then ``--set``.

    Raises RecipeError: A file that cannot be read, a setting that does not exist, a value that is not legal.
    """
    laboratory: Laboratory | None = options.get("found_laboratory")
    recipe = laboratory.recipe if laboratory is not None else Recipe.of(options.get("recipe"))
    named = {**{name: COMMAND_NAMES[name] for name in _NAMED}, "sample_id": "sample_id"}
    settings: dict[str, Any] = {key: options[name] for name, key in named.items() if options.get(name)}
    if (phases := options.get("phases")) is not None:
        settings["phases"] = [item.strip() for item in phases.split(",")]
        if not all(settings["phases"]):
            raise RecipeError(
                f"--phases {phases!r}: expected ids of `xrdcomp phases`, CIF files or phase folders, separated by "
                "commas."
            )
    if text := options.get("wavelength"):
        from xrdcomp.instrument.build import is_tube_in_nanometres

        numbers = parse_numbers(text, "--wavelength", counts=(1, 2, 3))
        if is_tube_in_nanometres(numbers[0]):
            raise RecipeError(
                f"--wavelength {text}: expected ångström; did you mean {10.0 * numbers[0]:g} ({numbers[0]:g} nm)? If "
                f"it really is {numbers[0]:g} Å, pass --set instrument.wavelengths={numbers[0]:g}."
            )
        if not all(0.1 <= value < 5.0 for value in numbers[:2]):
            msg = f"--wavelength {text}: expected wavelengths in ångström between 0.1 and 5, e.g. 1.5406,1.5444."
            raise RecipeError(msg)
        if not all(0.0 <= value <= 1.0 for value in numbers[2:]):
            msg = f"--wavelength {text}: expected the weight of the second line beside the first, 0 to 1, e.g. 0.5."
            raise RecipeError(msg)
        settings["instrument.wavelengths"] = numbers[:2]
        if len(numbers) == 3:
            settings["instrument.intensity_ratio"] = numbers[2]
    if text := options.get("two_theta_range"):
        low, high = parse_numbers(text, "--range", counts=(2,))
        if not low < high:
            raise RecipeError(f"--range {text}: expected MIN,MAX in degrees with MIN below MAX, e.g. 15,70.")
        settings["fit.two_theta_range"] = [low, high]
    if standard := options.get("internal_standard"):
        spike, fraction = parse_fraction(standard, "--internal-standard")
        settings |= {"internal_standard": spike, "internal_standard_fraction": fraction}
    for item in options.get("settings", ()):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise RecipeError(f"--set {item}: expected KEY=VALUE, e.g. --set fit.mode=peaks.")
        settings[key.strip()] = value.strip()
    recipe = recipe.with_settings(settings)
    if recipe.sample_id and (options.get("out") or options.get("output_format") != "json"):
        from xrdcomp.present.files import safe_sample_id

        safe_sample_id(recipe.sample_id)  # before the work, not after it
    if "figure_format" in options:
        figures_as_told(options)  # before the work, not after it
    return recipe


def told_of_tga(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of `read_tga_options` say of a run, as `read_tga` takes it.

    Raises RecipeError: A column that is no NAME=COLUMN.
    """
    given: dict[str, Any] = {name: options[name] for name in TGA_UNITS if options[name]}
    for text in options["columns"]:
        name, _, column = (part.strip() for part in text.partition("="))
        if name not in ("temperature", "mass", "time") or not column:
            msg = f"--column {text}: expected temperature, mass or time with its column, e.g. --column mass=3."
            raise RecipeError(msg)
        given.setdefault("columns", {})[name] = int(column) if column.isdecimal() else column
    if options["initial_mass"]:
        given["initial_mass_mg"] = options["initial_mass"]
    return given if options["run"] is None else {**given, "run": options["run"]}


def take_laboratory(options: dict[str, Any], measurement: str | None, **blanks: str | None) -> None:
    """Look for a laboratory's file at a measurement and put what it says into `options`; a recipe goes instead of it.

    `blanks` name the options that take its ``blank`` and ``tga_blank``, None where there is nothing to take it off.
    """
    if measurement is None or options.get("recipe") or not options.get("laboratory"):
        return
    from xrdcomp.laboratory import find_laboratory

    found = find_laboratory(measurement)
    if found is None:
        return
    options["found_laboratory"] = found
    for kind, option in blanks.items():
        if option is not None and kind in found.blanks and not options.get(option):
            options[option] = found.blanks[kind]
    progress(f"settings of the laboratory: {found.file}", quiet=bool(options.get("quiet")))


def read_tga_as_told(file: str, blank: str | None, options: Mapping[str, Any]) -> tuple[TgaRun, TgaRun | None]:
    """Run and blank run, read with what the options of `tga_options` say of units and columns.

    Format, units and columns go for both files, the mass weighed in and the number of the run for the run alone.

    Raises RecipeError: A column that is no NAME=COLUMN; ReadError, MissingExtraError: as `read_tga`.
    """
    from xrdcomp.io.front import read_empty_pan, read_tga

    given = told_of_tga(options) | {"format": format_of(options, "tga")}
    own = {name: value for name, value in given.items() if name not in ("initial_mass_mg", "run")}
    pan = None if blank is None else read_empty_pan(blank, **own)
    return read_tga(file, **given), pan


def format_of(options: Mapping[str, Any], kind: str) -> str | None:
    """What ``--input-format`` names, where that is a format of this kind; ReadError for a format that there is not."""
    from xrdcomp.io.registry import find_reader

    named: str | None = options.get("input_format")
    return named if named is not None and find_reader(named).kind == kind else None


def tells_of_tga(options: Mapping[str, Any]) -> bool:
    """Whether any option of `tga_options` was given."""
    return options["run"] is not None or any(options[name] for name in (*TGA_UNITS, "initial_mass", "columns"))


def parse_numbers(text: str, option: str, *, counts: tuple[int, ...]) -> list[float]:
    """Numbers of a comma-separated option; RecipeError names the option, the text and what was expected."""
    expected = " or ".join(str(count) for count in counts)
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        msg = f"{option} {text}: expected {expected} numbers separated by commas, with a decimal point."
        raise RecipeError(msg) from None
    if len(numbers) not in counts:
        raise RecipeError(f"{option} {text}: expected {expected} numbers separated by commas; got {len(numbers)}.")
    return numbers


def parse_fraction(text: str, option: str, *, example: str = "corundum:0.2") -> tuple[str, float]:
    """``ID:FRACTION``, e.g. ``corundum:0.2``, with a fraction between 0 and 1."""
    name, _, number = text.rpartition(":")
    try:
        fraction = float(number)
    except ValueError:
        fraction = -1.0
    if not name or not 0.0 < fraction < 1.0:
        raise RecipeError(f"{option} {text}: expected NAME:FRACTION with a fraction between 0 and 1, e.g. {example}.")
    return name, fraction


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write to standard output, or to standard error, what `printable` leaves of a text; words where that fails."""
    try:
        click.echo(printable(text), err=err, nl=nl)
        (sys.stderr if err else sys.stdout).flush()
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise OutputError(f"standard output cannot be written ({error.strerror}).") from error


def progress(text: str, *, quiet: bool) -> None:
    """Write one line of progress to standard error."""
    if not quiet:
        say(text, err=True)


def print_json(data: Any) -> None:
    """Print strict JSON to standard output."""
    from xrdcomp.results import plain

    say(json.dumps(plain(data), indent=2, allow_nan=False, ensure_ascii=False))


def inputs_of(options: Mapping[str, Any]) -> list[str]:
    """Files that the options of a command name for reading."""
    named = ("xrd", "file", "tga", "blank", "tga_blank", "windows", "instrument", "recipe")
    return [options[name] for name in named if options.get(name)]


STATUS_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "error": "red"}


def say_coloured(text: str) -> None:
    """Write to standard output as `say` does, in colour where that is a terminal that has it and NO_COLOR is not set.

    Words of severity and status are coloured, heads of tables are bold; the words themselves are the same.
    """
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain:
        say(text)
        return

    def painted(found: re.Match[str]) -> str:
        return click.style(found[0], fg=STATUS_COLOURS[found[1] or found[2]], bold=True)

    words = re.compile(r"^.*\(status (ok|warning|failed)(?=[,)])|^\s*(error|warning)s?(?=: )")
    lines = printable(text).splitlines()
    heads = [bool(line) and not line.startswith(" ") and following.startswith("  ")
             for line, following in zip(lines, [*lines[1:], ""], strict=True)]  # fmt: skip
    for line, head in zip(lines, heads, strict=True):
        painted_line = words.sub(painted, line)
        click.echo(click.style(line, bold=True) if head and painted_line == line else painted_line, color=True)


def figure_options_of(options: Mapping[str, Any]) -> FigureOptions:
    """Formats, width and resolution of figures by Matplotlib from the options of `figure_options`."""
    from xrdcomp.present.style import FigureOptions

    keys = {"figure_format": "formats", "figure_width": "width", "dpi": "dpi"}
    return FigureOptions.of(**{name: options[key] for key, name in keys.items() if options.get(key) is not None})


def figures_as_told(options: Mapping[str, Any]) -> bool | FigureOptions:
    """Whether to write figures, and how where the options of `figure_options` say so."""
    told = any(options[key] is not None for key in ("figure_format", "figure_width", "dpi"))
    return figure_options_of(options) if options["figures"] and told else bool(options["figures"])


def deliver(result: SampleResult, options: Mapping[str, Any], *, as_text: Callable[..., str]) -> None:
    """Write the result as the output options ask and print it; exit code 1 where its status asks for it.

    `as_text` makes the text for a result and the width of the terminal.
    """
    from xrdcomp.present.files import write_result

    laboratory: Laboratory | None = options.get("found_laboratory")
    result = laboratory.noted(result) if laboratory is not None else result
    as_json, quiet = options["output_format"] == "json", options["quiet"]
    out = options["out"] or (None if as_json else DEFAULT_OUT)
    text, written = None, ""
    if out is not None:
        if options["figures"]:
            progress("drawing figures", quiet=quiet)
        folder = write_result(
            result, out, inputs=inputs_of(options), figures=figures_as_told(options), report=options["report"],
            overwrite=options["overwrite"],
        )  # fmt: skip
        text = (folder / "result.json").read_text(encoding="utf-8")
        written = f"report: {folder / 'report.html'}" if options["report"] else f"result: {folder / 'result.json'}"
    if as_json:
        say(text if text is not None else result.to_json() + "\n", nl=False)
    else:
        from xrdcomp.present.tables import result_table, wrapped

        width = shutil.get_terminal_size((SCREEN_WIDTH, 24)).columns
        whole = {"verbose": options["verbose"], "written": written} if as_text is result_table else {}
        say_coloured(wrapped(as_text(result, width, **whole), width))
    if out is not None:
        progress(f"written: {folder}", quiet=quiet)
    if result.status in {"error": ("failed",), "warning": ("failed", "warning"), "never": ()}[options["fail_on"]]:
        raise click.exceptions.Exit(1)
