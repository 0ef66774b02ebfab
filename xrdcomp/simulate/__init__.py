"""Forward model of specimens and instruments, independent of the analysis.

Compositions go in, a diffraction pattern and a thermogravimetric curve with their truth come out. It shares
no physics with `xrdcomp.physics` or `xrdcomp.fit`, so that recovering a simulated truth is a test.
"""

from xrdcomp.simulate.amorphous import MATERIALS, AmorphousMaterial, HaloShape
from xrdcomp.simulate.cohort import COHORT_SEED, CohortEntry, generate_cohort, load_cohort
from xrdcomp.simulate.conditions import Hump, TgaConditions, XrdConditions
from xrdcomp.simulate.exports import XRD_FORMATS, write_pattern
from xrdcomp.simulate.exports_tga import TGA_FORMATS, write_tga
from xrdcomp.simulate.model import ApatiteModel, SimulatedSpecimen, SpecimenModel
from xrdcomp.simulate.priors import draw_specimen, tissue, vary_character, vary_conditions
from xrdcomp.simulate.reactions import OrganicKinetics, Reaction, Step, peak_reaction
from xrdcomp.simulate.specimen import simulate_pattern, simulate_specimen, simulate_tga
from xrdcomp.simulate.tga import STANDARDS, simulate_reaction, simulate_standard, simulate_tga_blank

__all__ = [
    "COHORT_SEED",
    "MATERIALS",
    "STANDARDS",
    "TGA_FORMATS",
    "XRD_FORMATS",
    "AmorphousMaterial",
    "ApatiteModel",
    "CohortEntry",
    "HaloShape",
    "Hump",
    "OrganicKinetics",
    "Reaction",
    "SimulatedSpecimen",
    "SpecimenModel",
    "Step",
    "TgaConditions",
    "XrdConditions",
    "draw_specimen",
    "generate_cohort",
    "load_cohort",
    "peak_reaction",
    "simulate_pattern",
    "simulate_reaction",
    "simulate_specimen",
    "simulate_standard",
    "simulate_tga",
    "simulate_tga_blank",
    "tissue",
    "vary_character",
    "vary_conditions",
    "write_pattern",
    "write_tga",
]
