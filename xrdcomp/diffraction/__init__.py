"""What a fit means: instrument, identification, quantification, microstructure."""

from xrdcomp.diffraction.calibrate import STANDARDS, Calibration, calibrate
from xrdcomp.diffraction.choice import quantify, quantify_or_say_why
from xrdcomp.diffraction.identify import Identification, identify, investigate
from xrdcomp.diffraction.instrument import build_instrument, instrument_diagnostics
from xrdcomp.diffraction.instrument_file import read_instrument, write_instrument
from xrdcomp.diffraction.quantify import Quantification

__all__ = [
    "STANDARDS",
    "Calibration",
    "Identification",
    "Quantification",
    "build_instrument",
    "calibrate",
    "identify",
    "instrument_diagnostics",
    "investigate",
    "quantify",
    "quantify_or_say_why",
    "read_instrument",
    "write_instrument",
]
