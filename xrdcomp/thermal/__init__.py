"""Thermogravimetry: from a run to steps, a mass balance with its uncertainty, and kinetics."""

from __future__ import annotations

from xrdcomp.thermal.analyze import analyze_tga
from xrdcomp.thermal.components import Component, Decomposition, separate_peaks
from xrdcomp.thermal.crosscheck import cross_check
from xrdcomp.thermal.kinetics import (
    ConversionCurve,
    IsoconversionalResult,
    KissingerResult,
    conversion_curve,
    flynn_wall_ozawa,
    friedman,
    kissinger,
    kissinger_akahira_sunose,
    vyazovkin,
)
from xrdcomp.thermal.overlap import separate_steps
from xrdcomp.thermal.prediction import Prediction, predict_heating, predict_isothermal
from xrdcomp.thermal.standards import STANDARDS, StandardCheck, StandardStep, tga_check

__all__ = [
    "STANDARDS",
    "Component",
    "ConversionCurve",
    "Decomposition",
    "IsoconversionalResult",
    "KissingerResult",
    "Prediction",
    "StandardCheck",
    "StandardStep",
    "analyze_tga",
    "conversion_curve",
    "cross_check",
    "flynn_wall_ozawa",
    "friedman",
    "kissinger",
    "kissinger_akahira_sunose",
    "predict_heating",
    "predict_isothermal",
    "separate_peaks",
    "separate_steps",
    "tga_check",
    "vyazovkin",
]
