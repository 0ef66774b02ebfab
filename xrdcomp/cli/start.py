"""Where the command starts: what is imported here must be next to nothing, so that signals are heard from the start."""

from __future__ import annotations

import signal
import sys

from xrdcomp.cli import EXIT_INTERRUPTED, EXIT_TERMINATED, Terminated


def start() -> None:
    """Run the command line; a signal while it loads ends it with 130 or 143, as one during the work does."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break the clearing up
        raise Terminated

    try:
        signal.signal(signal.SIGTERM, stop)
        from xrdcomp.cli.main import main

        main()
    except KeyboardInterrupt as error:
        sys.exit(EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED)
