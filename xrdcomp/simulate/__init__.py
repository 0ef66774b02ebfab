"""Forward model of specimens and instruments, independent of the analysis.

Compositions go in, a diffraction pattern and a thermogravimetric curve with their truth come out. It shares
no physics with `xrdcomp.physics` or `xrdcomp.refinement`, so that recovering a simulated truth is a test.
"""

from xrdcomp.simulate.cohort import COHORT_SEED as COHORT_SEED
from xrdcomp.simulate.cohort import TGA_FORMATS as TGA_FORMATS
from xrdcomp.simulate.cohort import XRD_FORMATS as XRD_FORMATS
from xrdcomp.simulate.cohort import CohortEntry as CohortEntry
from xrdcomp.simulate.cohort import generate_cohort as generate_cohort
from xrdcomp.simulate.cohort import load_cohort as load_cohort
from xrdcomp.simulate.cohort import simulate_pattern as simulate_pattern
from xrdcomp.simulate.cohort import simulate_specimen as simulate_specimen
from xrdcomp.simulate.cohort import simulate_tga as simulate_tga
from xrdcomp.simulate.cohort import write_pattern as write_pattern
from xrdcomp.simulate.cohort import write_tga as write_tga
from xrdcomp.simulate.scattering import MATERIALS as MATERIALS
from xrdcomp.simulate.scattering import AmorphousMaterial as AmorphousMaterial
from xrdcomp.simulate.scattering import HaloShape as HaloShape
from xrdcomp.simulate.specimens import ApatiteModel as ApatiteModel
from xrdcomp.simulate.specimens import Hump as Hump
from xrdcomp.simulate.specimens import OrganicKinetics as OrganicKinetics
from xrdcomp.simulate.specimens import Reaction as Reaction
from xrdcomp.simulate.specimens import SimulatedSpecimen as SimulatedSpecimen
from xrdcomp.simulate.specimens import SpecimenModel as SpecimenModel
from xrdcomp.simulate.specimens import Step as Step
from xrdcomp.simulate.specimens import TgaConditions as TgaConditions
from xrdcomp.simulate.specimens import XrdConditions as XrdConditions
from xrdcomp.simulate.specimens import draw_specimen as draw_specimen
from xrdcomp.simulate.specimens import peak_reaction as peak_reaction
from xrdcomp.simulate.specimens import tissue as tissue
from xrdcomp.simulate.specimens import vary_character as vary_character
from xrdcomp.simulate.specimens import vary_conditions as vary_conditions
from xrdcomp.simulate.tga import STANDARDS as STANDARDS
from xrdcomp.simulate.tga import simulate_reaction as simulate_reaction
from xrdcomp.simulate.tga import simulate_standard as simulate_standard
from xrdcomp.simulate.tga import simulate_tga_blank as simulate_tga_blank
