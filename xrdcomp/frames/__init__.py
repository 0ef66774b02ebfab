"""Frames of area detectors become a `Pattern`: read, masked, integrated over azimuth, merged.

Needs the optional packages fabio and pyFAI: ``pip install "xrdcomp[frames]"``.

>>> from xrdcomp.frames import Sector
>>> Sector(start=80.0, stop=100.0).width
20.0
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "AzimuthalProfile": "xrdcomp.frames.orientation",
    "Frame": "xrdcomp.frames.image",
    "FrameGeometry": "xrdcomp.frames.geometry",
    "PixelMap": "xrdcomp.frames.geometry",
    "Sector": "xrdcomp.frames.geometry",
    "azimuthal_profile": "xrdcomp.frames.orientation",
    "describe_frame": "xrdcomp.frames.image",
    "integrate_frames": "xrdcomp.frames.integrate",
    "load_poni": "xrdcomp.frames.geometry",
    "pixel_map": "xrdcomp.frames.geometry",
    "read_frame": "xrdcomp.frames.image",
}

__all__ = sorted(_PUBLIC)  # noqa: PLE0605 - built from the table above


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module 'xrdcomp.frames' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return list(__all__)
