"""The examples in the docstrings of the physics and the phases are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ("corrections", "elements", "reflections")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"xrdcomp.physics.{name}"))
    assert result.failed == 0
    assert result.attempted > 0
