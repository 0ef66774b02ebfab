"""xrdcomp: composition of calcified specimens from X-ray powder patterns and thermogravimetric curves.

>>> import xrdcomp as xc
>>> result = xc.analyze("a.xrdml", tga="a.csv")     # doctest: +SKIP
>>> result.composition                              # doctest: +SKIP

Public names are loaded when first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "analyze": "xrdcomp.analysis",
    "read_xrd": "xrdcomp.io.front",
    "read_tga": "xrdcomp.io.front",
    "read_result": "xrdcomp.present.files",
    "load_phase": "xrdcomp.phases.library",
    "load_phases": "xrdcomp.stages",
    "list_phases": "xrdcomp.phases.library",
    "build_instrument": "xrdcomp.stages",
    "fit_pattern": "xrdcomp.stages",
    "analyze_tga": "xrdcomp.stages",
    "compose": "xrdcomp.stages",
    "evaluate_claims": "xrdcomp.stages",
    "identify": "xrdcomp.stages",
    "simulate_specimen": "xrdcomp.simulate.cohort",
    "Pattern": "xrdcomp.data",
    "TgaRun": "xrdcomp.data",
    "Sample": "xrdcomp.data",
    "Phase": "xrdcomp.data",
    "Instrument": "xrdcomp.data",
    "EmissionLine": "xrdcomp.data",
    "Recipe": "xrdcomp.recipe",
    "Estimate": "xrdcomp.results",
    "FitResult": "xrdcomp.results",
    "TgaResult": "xrdcomp.results",
    "Composition": "xrdcomp.results",
    "SampleResult": "xrdcomp.results",
    "XrdcompError": "xrdcomp.errors",
    "ReadError": "xrdcomp.errors",
}

__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604 - built from the table above


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module 'xrdcomp' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return list(__all__)
