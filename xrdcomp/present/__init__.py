"""Results made visible: figures, tables, pages and files. Reads results, computes nothing.

The modules that need matplotlib or jinja2 are loaded when one of their functions is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "plot_budget": "xrdcomp.present.composition_figure",
    "plot_cohort": "xrdcomp.present.cohort",
    "plot_composition": "xrdcomp.present.composition_figure",
    "plot_fit": "xrdcomp.present.fit_figure",
    "plot_measurement": "xrdcomp.present.raw_figure",
    "plot_frame_image": "xrdcomp.present.frames_figure",
    "plot_frames": "xrdcomp.present.frames_figure",
    "plot_overview": "xrdcomp.present.overview",
    "plot_tga": "xrdcomp.present.tga_figure",
    "render_cohort_page": "xrdcomp.present.html",
    "render_report": "xrdcomp.present.html",
    "result_html": "xrdcomp.present.html",
    "cohort_table": "xrdcomp.present.tables",
    "result_table": "xrdcomp.present.tables",
    "safe_sample_id": "xrdcomp.present.write",
    "to_toml": "xrdcomp.present.toml",
    "write_figure": "xrdcomp.present.write",
    "write_result": "xrdcomp.present.write",
    "write_text": "xrdcomp.present.write",
}

__all__ = sorted(_PUBLIC)  # noqa: PLE0605 - built from the table above


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module 'xrdcomp.present' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return list(__all__)
