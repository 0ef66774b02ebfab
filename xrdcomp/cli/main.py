"""The group of commands, loaded one by one when used, and what the exit codes mean.

0 done (warnings are in the result), 1 done but failed a check, 2 bad input or usage, 3 a defect of the program, 4 could
not be judged (`qc`), 130 interrupted, 143 terminated (128 and the number of the signal, as shells have it).
"""

from __future__ import annotations

import difflib
import errno
import importlib
import io
import json
import sys
import traceback
from itertools import pairwise
from typing import Any

import click

from xrdcomp import __version__
from xrdcomp.cli import EXIT_BAD_INPUT, EXIT_DEFECT, EXIT_INTERRUPTED, EXIT_TERMINATED, Terminated
from xrdcomp.cli.options import examples
from xrdcomp.errors import XrdcompError, printable

# verb: one line for the list of commands; each is a function of xrdcomp.cli.commands
COMMANDS = {
    "analyze": "Composition of one specimen from its measurements.",
    "batch": "Analyse many specimens: a manifest or a folder.",
    "series": "Fit many patterns of one grid: maps, in-situ series.",
    "qc": "Judge results by a policy, for scripts.",
    "watch": "Analyse the files in a folder as soon as they are complete.",
    "app": "Open a project in the browser: drop files, choose, run, compare.",
    "demo": "Analyse the ten embedded, simulated specimens.",
    "identify": "Search a pattern for every crystalline phase in the library.",
    "tga": "Mass balance of a thermogravimetric run.",
    "tga-check": "Verify a balance against a standard's stoichiometry.",
    "report": "Write one page for one or several results, to read, print and send.",
    "figure": "Draw a figure of results again, with another width, scale, axis or format.",
    "kinetics": "Activation energies from runs at several heating rates.",
    "export": "Write tables of results: CSV, Excel, Parquet, LaTeX, powder CIF.",
    "phases": "List the reference phases.",
    "integrate": "Integrate frames of an area detector into a pattern.",
    "formats": "List the file formats that can be read.",
    "inspect": "Show the format and contents of a file.",
    "convert": "Write a pattern in another format.",
    "calibrate": "Make an instrument file from a scan of a line-profile standard.",
    "calibrate-amorphous": "Determine the crystallinity constant from known mixtures.",
    "simulate": "Write simulated specimens as instrument exports.",
}

MODULES = {
    "batch": "many", "series": "many", "qc": "quality", "watch": "quality", "export": "show", "report": "show",
    "figure": "show", "kinetics": "show", "app": "bench",
}  # fmt: skip
"""Commands that are functions of another module than `xrdcomp.cli.commands`."""


class LazyGroup(click.Group):
    """Commands are imported when called, so that ``--help`` is quick; errors become exit codes."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run; whatever the system's encoding, standard output and error speak UTF-8."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        return super().main(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the commands; where there is none of that name, propose the nearest."""
        if cmd_name not in COMMANDS:
            if cmd_name.startswith("-") or ctx.resilient_parsing:
                return None
            close = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f" Did you mean {close[0]}?" if close else " `xrdcomp --help` lists them."
            ctx.fail(f"there is no command {cmd_name!r}.{hint}")
        module = importlib.import_module(f"xrdcomp.cli.{MODULES.get(cmd_name, 'commands')}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; the user's mistakes end with 2, the program's with 3; JSON has the former as an object."""
        words = list(ctx.args)
        as_json = "--format=json" in words or ("--format", "json") in pairwise(words)

        def tell(facts: dict[str, str | None]) -> None:
            if as_json:
                click.echo(json.dumps({"error": facts}, indent=2, ensure_ascii=False))

        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            tell(XrdcompError(error.format_message()).to_dict(()) | {"kind": "UsageError"})
            raise
        except click.exceptions.Exit:
            raise
        except (KeyboardInterrupt, click.Abort) as error:
            terminated = isinstance(error, Terminated)
            word = "terminated" if terminated else "interrupted"
            click.echo(f"\nxrdcomp: {word}; nothing was half-written.", err=True)
            ctx.exit(EXIT_TERMINATED if terminated else EXIT_INTERRUPTED)
        except click.ClickException as error:
            tell(XrdcompError(error.format_message()).to_dict(()) | {"kind": "UsageError"})
            error.show()
            ctx.exit(EXIT_BAD_INPUT)
        except XrdcompError as error:
            called = self.get_command(ctx, ctx.invoked_subcommand) if ctx.invoked_subcommand else None
            options = [name for option in (called.params if called else ()) for name in option.opts]
            tell(error.to_dict(options))
            click.echo(printable(f"xrdcomp: {error.for_command(options)}"), err=True)
            ctx.exit(EXIT_BAD_INPUT)
        except Exception as error:  # the last line of defence must catch everything
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            click.echo(printable("".join(traceback.format_exception(error))), err=True, nl=False)
            click.echo(
                "xrdcomp: this is a defect of the program, not of your input "
                f"({type(error).__name__}). Nothing was half-written. Please report it to the maintainers with the "
                f"text above, the command\n  {printable(' '.join(['xrdcomp', *sys.argv[1:]]))}\n"
                f"the version (xrdcomp {__version__}, Python {sys.version.split()[0]}, {sys.platform}) and, if you "
                "may, the file.",
                err=True,
            )
            ctx.exit(EXIT_DEFECT)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("xrdcomp analyze scan.xrdml --tga run.csv --out results"),
)
@click.version_option(__version__, prog_name="xrdcomp")
def main() -> None:
    """Composition of calcified specimens from X-ray powder patterns and thermogravimetric curves.

    For research use only; not a diagnostic device.
    """
