"""What a fit means: instrument, identification, quantification, microstructure."""

from xrdcomp.diffraction.identify import Identification, identify, investigate
from xrdcomp.diffraction.instrument import build_instrument, instrument_diagnostics

__all__ = ["Identification", "build_instrument", "identify", "instrument_diagnostics", "investigate"]
