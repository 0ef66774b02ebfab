"""The command that opens the bench app."""

from __future__ import annotations

import os
from pathlib import Path

import click

from xrdcomp.cli.options import examples, progress, say
from xrdcomp.errors import MissingExtraError


@click.command(
    epilog=examples("xrdcomp app", "xrdcomp app --project knees --port 8765 --workers 2", "xrdcomp app --browser")
)
@click.option("--project", default="xrdcomp-project", show_default=True, metavar="DIR",
              help="Folder of the project: files, specimens as TOML, results; created if it is missing.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port [default: a free one].")
@click.option("--workers", type=click.IntRange(min=1, max=64), metavar="N",
              help="Analyses at the same time [default: XRDCOMP_WORKERS, else 1].")  # fmt: skip
@click.option("--browser", is_flag=True, help="Open the address in the browser.")
def app(project: str, port: int, workers: int | None, *, browser: bool) -> None:
    """Serve a project as pages on this computer, for one person at the bench.

    Prints the address to open when it is ready; the address contains the token that the app requires. The app listens
    on the loopback interface only: no file leaves the computer, and nothing is written outside the folder of the
    project. The command line can repeat every run: `xrdcomp analyze --recipe DIR/specimens/NAME.toml`. Ctrl-C stops the
    app; queued analyses continue when it is started again.
    """
    try:
        from xrdcomp.app.server import serve
    except ImportError as error:
        msg = f"the app needs the package {error.name}. Install it: pip install 'xrdcomp[app]'"
        raise MissingExtraError(msg) from error

    def ready(address: str) -> None:
        say(address)
        if browser:
            import webbrowser

            webbrowser.open(address)

    told = os.environ.get("XRDCOMP_WORKERS", "")
    number = workers or (int(told) if told.isdecimal() and int(told) > 0 else 1)
    progress("Ctrl-C ends the app; the address below is for you alone.", quiet=False)
    serve(Path(project), port=port, workers=number, ready=ready)
