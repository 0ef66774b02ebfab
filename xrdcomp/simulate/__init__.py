"""Forward model of specimens and instruments, independent of the analysis.

Compositions go in, a diffraction pattern and a thermogravimetric curve with their truth come out. It shares
no physics with `xrdcomp.physics` or `xrdcomp.fit`, so that recovering a simulated truth is a test.
"""

from xrdcomp.simulate.amorphous import MATERIALS, AmorphousMaterial, HaloShape
from xrdcomp.simulate.conditions import Hump, TgaConditions, XrdConditions
from xrdcomp.simulate.model import ApatiteModel, SimulatedSpecimen, SpecimenModel
from xrdcomp.simulate.reactions import OrganicKinetics, Reaction, Step, peak_reaction
from xrdcomp.simulate.specimen import simulate_pattern, simulate_specimen, simulate_tga
from xrdcomp.simulate.tga import STANDARDS, simulate_reaction, simulate_standard, simulate_tga_blank

__all__ = [
    "MATERIALS",
    "STANDARDS",
    "AmorphousMaterial",
    "ApatiteModel",
    "HaloShape",
    "Hump",
    "OrganicKinetics",
    "Reaction",
    "SimulatedSpecimen",
    "SpecimenModel",
    "Step",
    "TgaConditions",
    "XrdConditions",
    "peak_reaction",
    "simulate_pattern",
    "simulate_reaction",
    "simulate_specimen",
    "simulate_standard",
    "simulate_tga",
    "simulate_tga_blank",
]
