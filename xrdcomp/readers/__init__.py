"""A file on disk becomes a `Pattern` or a `TgaRun`: one file per format, one registry.

>>> from xrdcomp.readers import list_formats
>>> isinstance(list_formats(), list)
True
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "read_xrd": "xrdcomp.readers.api",
    "read_xrd_scans": "xrdcomp.readers.api",
    "inspect_file": "xrdcomp.readers.api",
    "list_formats": "xrdcomp.readers.api",
    "read_empty_pan": "xrdcomp.readers.tga_api",
    "read_tga": "xrdcomp.readers.tga_api",
    "select_segments": "xrdcomp.readers.tga_api",
    "why_not_powder": "xrdcomp.readers.api",
    "convert_file": "xrdcomp.readers.convert",
}

__all__ = [
    "convert_file",
    "inspect_file",
    "list_formats",
    "read_empty_pan",
    "read_tga",
    "read_xrd",
    "read_xrd_scans",
    "select_segments",
    "why_not_powder",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module 'xrdcomp.readers' has no attribute {name!r}"
    raise AttributeError(msg)
