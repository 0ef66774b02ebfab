"""Where the command starts: what is imported here must be next to nothing, so that Ctrl-C is heard from the start."""

from __future__ import annotations

import sys


def start() -> None:
    """Run the command line; an interrupt while it loads ends it with 130, as one during the work does."""
    try:
        from xrdcomp.cli.main import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)
