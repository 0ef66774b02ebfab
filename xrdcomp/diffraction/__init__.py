"""What a fit means: instrument, identification, quantification, microstructure."""

from xrdcomp.diffraction.calibrate import STANDARDS, Calibration, calibrate
from xrdcomp.diffraction.identify import Identification, identify, investigate
from xrdcomp.diffraction.instrument import build_instrument, instrument_diagnostics
from xrdcomp.diffraction.instrument_file import read_instrument, write_instrument

__all__ = [
    "STANDARDS",
    "Calibration",
    "Identification",
    "build_instrument",
    "calibrate",
    "identify",
    "instrument_diagnostics",
    "investigate",
    "read_instrument",
    "write_instrument",
]
