"""Thermogravimetry: from a run to steps and a mass balance with its uncertainty."""

from __future__ import annotations

from xrdcomp.thermal.analyze import analyze_tga

__all__ = ["analyze_tga"]
