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

_MODULES = {
    "analysis": "analyze",
    "batch.run": "FailedSample analyze_many",
    "batch.series": "SeriesResult fit_series",
    "data": "EmissionLine Instrument Pattern Phase Sample TgaRun",
    "errors": "ReadError XrdcompError",
    "io.front": "read_tga read_xrd",
    "instrument.history": "CheckRun InstrumentHistory",
    "phases.library": "list_phases load_phase load_phases",
    "present.exchange": "export",
    "present.files": "read_result",
    "qc.policy": "judge read_policy",
    "recipe": "Recipe",
    "results": "Composition Estimate FitResult SampleResult TgaResult",
    "simulate.cohort": "simulate_specimen",
    "stages": "analyze_tga build_instrument compose evaluate_claims fit_pattern identify",
}
_PUBLIC = {name: f"xrdcomp.{module}" for module, names in _MODULES.items() for name in names.split()}
__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604 - built from the table above


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module 'xrdcomp' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return list(__all__)
