"""What a fit means: instrument, identification, quantification, microstructure."""

from xrdcomp.diffraction.calibrate import STANDARDS, Calibration, calibrate
from xrdcomp.diffraction.candidates import searched_phases
from xrdcomp.diffraction.choice import (
    known_grains,
    quantify,
    quantify_or_say_why,
    refuse_unknown_names,
    standard_crystallinity,
)
from xrdcomp.diffraction.coverage import late_start
from xrdcomp.diffraction.external import external_scale, uses_external_scan, with_external_scan
from xrdcomp.diffraction.holder import holder_humps
from xrdcomp.diffraction.identify import (
    APATITES,
    Identification,
    identify,
    investigate,
    investigate_fit,
    start_phases,
)
from xrdcomp.diffraction.instrument import build_instrument, instrument_diagnostics
from xrdcomp.diffraction.instrument_file import read_instrument, write_instrument
from xrdcomp.diffraction.messages import phases_not_fitted
from xrdcomp.diffraction.microstructure import apatite_indices, with_apatite_indices
from xrdcomp.diffraction.other_tubes import other_radiation, other_slit, tube_of_lines
from xrdcomp.diffraction.quantify import Quantification

__all__ = [
    "APATITES",
    "STANDARDS",
    "Calibration",
    "Identification",
    "Quantification",
    "apatite_indices",
    "build_instrument",
    "calibrate",
    "external_scale",
    "holder_humps",
    "identify",
    "instrument_diagnostics",
    "investigate",
    "investigate_fit",
    "known_grains",
    "late_start",
    "other_radiation",
    "other_slit",
    "phases_not_fitted",
    "quantify",
    "quantify_or_say_why",
    "read_instrument",
    "refuse_unknown_names",
    "searched_phases",
    "standard_crystallinity",
    "start_phases",
    "tube_of_lines",
    "uses_external_scan",
    "with_apatite_indices",
    "with_external_scan",
    "write_instrument",
]
