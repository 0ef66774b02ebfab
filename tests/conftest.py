"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# One BLAS thread, set before numpy is loaded: several wait for each other on busy cores (five times the CPU time),
# and golden results repeat to the last digits only with a fixed number.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
# Tests that run side by side are told the width of the terminal, which would shorten what commands print.
os.environ.pop("COLUMNS", None)

# A busy machine is not a defect: speed is measured by the benchmarks, not by a wall clock in the tests.
hypothesis.settings.register_profile("xrdcomp", deadline=None)
hypothesis.settings.load_profile("xrdcomp")


def fixture_folder() -> Path | None:
    """Folder of real measurements, or None where XRDCOMP_FIXTURES is not set."""
    value = os.environ.get("XRDCOMP_FIXTURES")
    return Path(value).resolve() if value else None


@pytest.fixture(scope="session")
def real_files() -> Path:
    folder = fixture_folder()
    if folder is None:
        pytest.skip("XRDCOMP_FIXTURES is not set: it names the folder of real measurements, which are not shipped")
    if not (folder / "MANIFEST.csv").is_file():
        pytest.fail(f"XRDCOMP_FIXTURES is set to {folder}, which holds no MANIFEST.csv")
    return folder
