"""Forward model of specimens and instruments, independent of the analysis.

Compositions go in, a diffraction pattern and a thermogravimetric curve with their truth come out. It shares
no physics with `xrdcomp.physics` or `xrdcomp.refinement`, so that recovering a simulated truth is a test.
"""

# fmt: off
# ruff: isort: off
from xrdcomp.simulate.cohort import (
    COHORT_SEED as COHORT_SEED, TGA_FORMATS as TGA_FORMATS, XRD_FORMATS as XRD_FORMATS, CohortEntry as CohortEntry,
    generate_cohort as generate_cohort, load_cohort as load_cohort, simulate_pattern as simulate_pattern,
    simulate_specimen as simulate_specimen, simulate_tga as simulate_tga, write_pattern as write_pattern,
    write_tga as write_tga,
)
from xrdcomp.simulate.scattering import (
    MATERIALS as MATERIALS, AmorphousMaterial as AmorphousMaterial, HaloShape as HaloShape,
)
from xrdcomp.simulate.specimens import (
    ApatiteModel as ApatiteModel, Hump as Hump, OrganicKinetics as OrganicKinetics, Reaction as Reaction,
    SimulatedSpecimen as SimulatedSpecimen, SpecimenModel as SpecimenModel, Step as Step,
    TgaConditions as TgaConditions, XrdConditions as XrdConditions, draw_specimen as draw_specimen,
    peak_reaction as peak_reaction, tissue as tissue, vary_character as vary_character,
    vary_conditions as vary_conditions,
)
from xrdcomp.simulate.tga import (
    STANDARDS as STANDARDS, simulate_reaction as simulate_reaction, simulate_standard as simulate_standard,
    simulate_tga_blank as simulate_tga_blank,
)
