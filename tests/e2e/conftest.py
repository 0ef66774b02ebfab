"""One run of the demo that several tests look at."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

RUN = "from xrdcomp.cli.start import start; start()"


@dataclass(frozen=True)
class Finished:
    """A finished command: its folder, exit code, standard output and standard error."""

    folder: Path
    code: int
    stdout: str
    stderr: str


def xrdcomp(*arguments: str, folder: Path, **environment: str) -> Finished:
    """Run the command line in a process of its own, from `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    return Finished(folder=folder, code=done.returncode, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """`xrdcomp demo` with two processes, figures and page."""
    folder = tmp_path_factory.mktemp("demo")
    return xrdcomp("demo", folder=folder, XRDCOMP_WORKERS="2")
