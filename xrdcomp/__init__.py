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
    "analyze": "xrdcomp.pipeline",
    "read_xrd": "xrdcomp.readers",
    "read_tga": "xrdcomp.readers",
    "load_phase": "xrdcomp.phases",
    "load_phases": "xrdcomp.phases",
    "list_phases": "xrdcomp.phases",
    "build_instrument": "xrdcomp.diffraction",
    "fit_pattern": "xrdcomp.fit",
    "analyze_tga": "xrdcomp.thermal",
    "compose": "xrdcomp.composition",
    "evaluate_claims": "xrdcomp.composition",
    "identify": "xrdcomp.diffraction",
    "simulate_specimen": "xrdcomp.simulate",
    "Pattern": "xrdcomp.types",
    "TgaRun": "xrdcomp.types",
    "Sample": "xrdcomp.types",
    "Phase": "xrdcomp.types",
    "Instrument": "xrdcomp.types",
    "EmissionLine": "xrdcomp.types",
    "Recipe": "xrdcomp.recipe",
    "Estimate": "xrdcomp.results",
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
