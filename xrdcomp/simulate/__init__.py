"""Forward model of specimens and instruments, independent of the analysis.

Compositions go in, a diffraction pattern and a thermogravimetric curve with their truth come out. It shares
no physics with `xrdcomp.physics` or `xrdcomp.refinement`, so that recovering a simulated truth is a test.
"""

from xrdcomp.simulate.amorphous import MATERIALS, AmorphousMaterial, HaloShape
from xrdcomp.simulate.cohort import (
    COHORT_SEED,
    CohortEntry,
    generate_cohort,
    load_cohort,
    simulate_pattern,
    simulate_specimen,
    simulate_tga,
)
from xrdcomp.simulate.exports import TGA_FORMATS, XRD_FORMATS, write_pattern, write_tga
from xrdcomp.simulate.specimens import (
    ApatiteModel,
    Hump,
    OrganicKinetics,
    Reaction,
    SimulatedSpecimen,
    SpecimenModel,
    Step,
    TgaConditions,
    XrdConditions,
    draw_specimen,
    peak_reaction,
    tissue,
    vary_character,
    vary_conditions,
)
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
