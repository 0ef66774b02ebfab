"""Every prior and every judged constant of the composition, declared once: value, uncertainty, source.

Fractions and factors are dimensionless. Settings (``composition.xrd_bias_std`` …) are not repeated here; a constant
of one run (char, crystallinity of a standard) takes its value from the evidence and its bounds from here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrdcomp.recipe import CompositionRecipe, ThermalRecipe


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Normal prior of an uncertain constant, cut at `low` and `high`; an infinite `std` is flat.

    `input` is the row of the uncertainty budget that the constant's share of a variance is counted to; `meaning` says
    what the constant is, `origin` where the figures come from and on what they were chosen.
    """

    name: str
    mean: float
    std: float
    low: float
    high: float
    input: str
    meaning: str
    origin: str = ""


# Constants of diffraction.

LOG_SCALE = Prior(
    name="log_scale", mean=0.0, std=np.inf, low=-12.0, high=12.0, input="xrd_scale",
    meaning="ln K: masses by diffraction, divided by their total, over mass fractions of the specimen",
    origin="unknown unless an external standard gives it: then K^n d(log K) for the n groups that diffraction measures "
    "(mineral; organic; water), so that the masses K·group are flat. With K⁰ what is known to a few per cent of the "
    "whole would be drawn towards a smaller whole: crystals too high; with more powers than groups, to any size",
)  # fmt: skip
XRD_BIAS = Prior(
    name="xrd_bias", mean=0.0, std=CompositionRecipe().xrd_bias_std, low=-0.9, high=3.0, input="xrd_scale",
    meaning="b: relative error of crystalline against amorphous scattering per gram",
    origin="std is composition.xrd_bias_std, times BLANK_GAIN where the empty holder was measured",
)  # fmt: skip
BLANK_GAIN = 0.5
"""Factor on the standard uncertainty of b when the empty holder was measured (judged)."""
CARBONATE_IN_LATTICE = Prior(
    name="carbonate_in_lattice", mean=1.0, std=0.20, low=0.0, high=1.0, input="carbonate_site",
    meaning="κ: share of the carbonate that sits in the lattice of the crystals",
    origin="mean s = h / (h + AMORPHOUS_UPTAKE · A), std LATTICE_STD_FLOOR + 2 s (1 - s), at most `std`",
)  # fmt: skip
LATTICE_STD_FLOOR = 0.02
AMORPHOUS_UPTAKE = 0.25
"""Carbonate that a gram of amorphous mineral takes up, relative to a gram of crystals. The crystals hold most of it;
where there are none it sits in the amorphous mineral, and where there is none of that in the crystals (judged)."""
AMORPHOUS_AREA = Prior(
    name="amorphous_area", mean=1.0, std=0.13, low=0.3, high=1.7, input="amorphous_halo",
    meaning="α: scattering of a gram of amorphous mineral, over that of `physics.amorphous`",
    origin="one pattern with a spike, 0.79 ± 0.1 of the free atoms",
)  # fmt: skip
HALO_FLATNESS = Prior(
    name="halo_flatness", mean=0.5, std=0.5, low=-1.0, high=1.5, input="amorphous_halo",
    meaning="f: how flat the amorphous mineral's halo is, on the line from that of `physics.amorphous` (0) to that of "
    "molecular dynamics (1, `physics.amorphous.FLATTER_PHOSPHATE`)",
    origin="the mean of the two and half of their distance, as nobody has an absolute curve; at 1.5 there is no first "
    "maximum any more (judged)",
)  # fmt: skip
TYPICAL_FLATTER = {"amorphous_mineral": -0.43, "organic": 0.20, "water": 0.07}
"""What the flatter halo of a gram of amorphous mineral adds to each row where no fit says so: the mean over fits of
three simulators, which scatter by 0.03, 0.2 and 0.15; forms of halos and the background take up the rest."""
RESPONSE_NOT_SOUGHT = Prior(
    name="amorphous_response", mean=0.7, std=0.4, low=0.0, high=1.15, input="amorphous_halo",
    meaning="g where the fit did not look for amorphous mineral: share of its scattering that other components take",
    origin="half to all of it, the rest goes to the background",
)  # fmt: skip
CARBONATE_INTENSITY = Prior(
    name="carbonate_intensity", mean=-0.1, std=0.2, low=-1.0, high=1.2, input="carbonate_site",
    meaning="ε: Bragg intensity that goes with a gram of carbonate in the lattice, relative to hydroxyapatite",
    origin="structure factors of 3 to 6 wt% of CO3 in a lattice that stays neutral: -0.1 with sodium for calcium, -0.2 "
    "with half a calcium missing for each or with a calcium and a hydroxyl, -0.2 to -0.3 in the channel for two "
    "hydroxyls; the standard deviation is their range, as atoms beside a carbonate move. With a charge left it would "
    "be 0.5 with carbon for phosphorus alone and -0.8 with a calcium missing besides",
)  # fmt: skip
DIFFUSE_LOSS = 1.1
"""1 - ε of the substitution whose disorder `XrdAmounts.lattice_diffuse` is of (half a calcium missing). For all of them
the diffuse scattering between 1 and 4 Å⁻¹ is 1.9 to 3.2 times that of protein per gram of CO3 and per 1 - ε."""
UNCERTAINTY_SPREAD = Prior(
    name="xrd_spread", mean=-0.055, std=0.20, low=-2.0, high=2.0, input="xrd_model",
    meaning="log of the factor on the standard uncertainties of diffraction, which are those of typical specimens",
    origin="spread of simulated specimens (design note 008); with the mean at log 0.947 the 95 % range stays 1.96 "
    "standard uncertainties, as for a normal error (Gelman et al. 2013, ch. 17)",
)  # fmt: skip
STANDARD_CRYSTALLINITY = Prior(
    name="standard_crystallinity", mean=0.9902, std=0.0056, low=0.0, high=1.2, input="xrd_scale",
    meaning="R: crystalline share of the internal standard",
    origin="corundum NIST SRM 676a, 99.02 ± 1.11 % (k = 2)",
)  # fmt: skip
STANDARD_SCATTER = Prior(
    name="standard_scatter", mean=0.0, std=0.05, low=-0.5, high=1.0, input="xrd_scale",
    meaning="d: relative error of the intensity ratio of specimen and standard: microabsorption, unlike grains",
    origin="judged, between what weighed powders that were ground together below 10 µm scatter by (the CPD round robin "
    "by 2 %) and the 8 % of measured intensity ratios of quartz, calcite, gypsum and zincite (RockJock) about "
    "calculated ones",
)  # fmt: skip
MEASURED_RATIO_STD = 0.08
"""Relative standard uncertainty of a calculated intensity ratio of two powders: what measured ones of quartz, calcite,
gypsum and zincite to corundum (RockJock) scatter by. A share of the standard that rests on it contradicts the stated
one."""
UNIDENTIFIED_RESPONSE = Prior(
    name="unidentified_response", mean=0.0, std=float(np.log(3.0)), low=-5.0, high=5.0, input="unidentified",
    meaning="ln f: Bragg area per gram of crystals outside the library, over the median of the library",
    origin="over 43 phases of the library (Cu Kα, 4 to 65 degrees) its logarithm scatters by 0.87, with extremes of "
    "0.04 and 3.4 times the median; taken as ln 3, because the library holds no heavy metals and few layered minerals",
)  # fmt: skip
UNSEEN_EXPONENT = 0.05
"""Dirichlet exponent of crystals that no phase explains and, beside a weighed standard, of what nothing shows: below
one, because there mostly is none (judged)."""
UNSEEN_FLOOR = 0.002
"""Mass fraction below which that prior is flat: less of it is none."""
SOFT_EXPONENT = 0.2
"""Dirichlet exponent of what is soft, organic and water together, in a specimen of unknown kind (judged)."""
SOFT_FLOOR = 0.01
"""The same for what is soft in a specimen of unknown kind: what halos are told from a background to at best."""
BARE_MINERAL_PROBABILITY = 0.05
"""Probability before measuring that a specimen with the mineral of tissue is a powder of it with hardly anything soft:
heated bone, synthetic apatite, a standard (judged)."""
UNKNOWN_KIND_STD = 0.16
"""Relative standard uncertainty of b for amorphous matter of unknown kind: what measured organic matter of
the RockJock library scatters by about the calculated ratio of crystals and diffuse scattering."""
MINERAL_KIND_PROBABILITY, POLYMER_SHARE = 0.5, 0.25
"""Probability that amorphous matter which nobody called tissue is glass or silica, and share of the rest that is a
polymer where a mineral of tissue was found: even odds of mineral and organic, since X-rays alone do not tell them
apart; most of what is organic beside such a mineral is tissue (judged)."""
GLASS_RESPONSE = Prior(
    name="glass_response", mean=float(np.log(1.45)), std=0.18, low=-1.0, high=2.0, input="amorphous_kind",
    meaning="log of the scattering that a gram of glass or silica puts where organic matter and water have theirs, "
    "over that of a gram of these; where amorphous mineral has its own it scatters as this does",
    origin="free atoms with an S of known area: 1.61 of silica, 1.66 of soda lime (0.98 of amorphous phosphate "
    "bioactive glass, 1.06 slag); fits, whose forms are not theirs, read 1.25 of both, the rest being background. The "
    "middle, and their distance from it",
)  # fmt: skip
POLYMER_RESPONSE = Prior(
    name="polymer_response", mean=0.0, std=UNKNOWN_KIND_STD, low=-1.0, high=2.0, input="amorphous_kind",
    meaning="the same of a polymer, whose maxima are where organic matter and water have theirs",
    origin="0.97 of polystyrene, 1.03 of epoxy and 1.14 of acrylic; std is that of other organic matter",
)  # fmt: skip

# Constants of thermogravimetry.

LATE_WATER = Prior(
    name="late_water", mean=0.70, std=0.24, low=0.0, high=1.0, input="bound_water",
    meaning="a: share of the bound water of amorphous calcium phosphate that leaves above the water window",
    origin="judged: it leaves steadily between 60 and 400 degrees; mean where the window ends at LATE_WATER_AT_C",
)  # fmt: skip
LATE_WATER_AT_C, LATE_WATER_SPAN_C, LATE_WATER_ENERGY_KJ = 190.0, 340.0, 90.0
"""End of the water (°C at 10 K/min, moved with the rate by that energy, kJ/mol) at which the mean of `LATE_WATER`
holds, and °C over which all of the bound water leaves: where the water ends later, less of it is late."""
LATE_WATER_RANGE = (0.3, 0.9)
WATER_BEFORE_STD = 0.3
"""Standard deviation of the mass fraction of water that had left before a run that began warm: anything tissue holds
(judged); dry shares do not depend on it."""
BOUND_WATER = Prior(
    name="bound_water", mean=0.11, std=0.04, low=0.0, high=0.3, input="bound_water",
    meaning="λ: bound water of amorphous calcium phosphate, mass fraction",
    origin="as precipitated Ca3(PO4)2·nH2O with n 3 to 4.5 (PMC6197615): 0.15 to 0.21; that drying leaves about half "
    "of it (0.055 to 0.12) is remembered of Eanes's reviews and was not looked up",
)  # fmt: skip
CONDENSED_WATER = Prior(
    name="condensed_water", mean=0.001, std=0.0015, low=0.0, high=0.02, input="bound_water",
    meaning="p: water that hydrogen phosphate of bone's apatite loses by condensation, 250 to 550 °C, mass fraction of "
    "it; of larger crystals less, in proportion to their surface (`BONE_SURFACE`)",
    origin="half a molecule for each HPO4: 0.007 of an apatite Ca8.8(HPO4)0.7(PO4)4.5(CO3)0.7(OH)1.3 (table of calcium "
    "phosphates, ijssurgery.com 5451); that mature and synthetic apatite lose none is remembered",
)  # fmt: skip
BONE_SURFACE = 0.22
"""Surface per volume of crystals of bone, 2 / length across c + 1 / length along c, 1/nm, as fits find those of 9 by 25
nm. Hydrogen phosphate sits in the hydrated layer at the surface of nanocrystals, which shrinks as they grow and mature
(Combes, Cazalbou & Rey 2016, Minerals 6, 34; Rey et al. 2009, Osteoporos. Int. 20, 1013): crystals with less surface,
as of enamel, hold less of it in proportion."""
CHAR = Prior(
    name="char", mean=ThermalRecipe().char_fraction, std=ThermalRecipe().char_std, low=0.0, high=0.9, input="char",
    meaning="χ: share of the organic that stays in an inert gas",
    origin="mean and std are thermal.char_fraction and thermal.char_std, or what the run itself shows",
)  # fmt: skip
SALT_EVAPORATED = Prior(
    name="salt_evaporated", mean=0.3, std=0.3, low=0.0, high=1.0, input="salt",
    meaning="v: share of the chlorides that left in the carbonate window",
    origin="judged, for runs that end above SALT_FROM_C",
)  # fmt: skip
SALT_FROM_C = 800.0
"""Temperature (°C) below which chlorides stay."""
LOSS_FLOOR = 5e-5
"""Standard uncertainty of a loss that no balance falls below, mass fraction: 0.005 wt%."""

# Fractions.

MINERAL_FLOOR = 0.02
"""Below this mass fraction of mineral its parts are no longer told apart by the prior."""
ASSUMED_CARBONATE = Prior(
    name="carbonate", mean=0.05, std=0.05, low=0.0, high=1.0, input="carbonate_assumed",
    meaning="carbonate over mineral where nothing measures it",
    origin="3.5 to 7.4 wt% in enamel, dentine and bone, none in synthetic apatite",
)  # fmt: skip
NO_AMORPHOUS_PROBABILITY = 0.2
"""Probability before measuring that there is no amorphous mineral at all: young deposits have some, sintered or
synthetic apatite has none (judged)."""
ALL_CRYSTALS_ODDS = 1.0
"""Odds before measuring that a spiked powder holds crystals only: people weigh a spike in to learn just that."""
WIDTH_IN_STDS = 2.3
"""Integral of a density over its highest value, in standard deviations: 2.51 for a normal one, 2.08 for half of it."""
HIDDEN_PROBABILITY = 0.3
"""Probability that something is there, in a small amount, of what the search did not find (judged); beside unknown
reflections that one phase of the library is, whichever, which they hide."""
UNDECIDED_PROBABILITY = 0.5
"""Probability that a phase is there which the search left undecided beside unknown reflections (judged)."""
UNSEEN_STD = 0.002
"""Standard deviation of the mass fraction of what may hide where no detection limit is stated (judged)."""
UNSTATED_LIMIT = 0.01
"""Detection limit of apatite that was not found, mass fraction, where none of its members states one (judged)."""
LITTLE = 0.1
"""Detection limit, mass fraction, below which apatite that is undecided in an amount under it is bounded by the limit;
above it may be much of the specimen, and what is not apatite cannot be weighed (judged)."""
HIDDEN_PER_LIMIT = 0.5
"""Standard deviation of an amount that hides below a detection limit, over that limit: of a normal distribution that
is cut at zero 5 % lies beyond the limit."""
LIMIT_IN_STDS_OF_ALL = 3.29
"""Detection limit of the median phase over the standard deviation of what hides of all phases together, few of which
are there at all: 0.1 % would lie beyond the limit."""
TRACES = 0.05
"""Standard deviation of a hidden mass fraction up to which it may be of crystals that burn."""
HOLDER_PROBABILITY = 0.5
"""Probability that what looks like a holder, reflections of a metal or broad maxima of glass, is one and no part of the
specimen (judged)."""
SMALL_CRYSTALS_PROBABILITY = 0.5
"""Probability that broad maxima which the calculated amorphous scattering does not describe are reflections of crystals
of a few nanometres: even odds, since X-rays alone do not tell them apart (judged)."""
SMALL_CRYSTALS_MISFIT = 0.04
"""Share of the intensity, √(Rwp² - Rexp²), that a fit of amorphous scattering leaves where that is asked: twelve
simulated glasses, polymers and tissues and two measured ones leave at most 0.03; oxides of 2 nm 0.06 and more."""
LARGEST_LIMIT = 0.9
"""Detection limit of a phase in a fit that does not describe its pattern: one would say that nothing was asked."""

# What is reported.

DISCREPANCY_DOF = 0.5 / UNCERTAINTY_SPREAD.std**2
"""Degrees of freedom ν of the Student distribution that errors of the evidence have in common: with the weighted
squared residual χ² of r redundant observations the factor on standard uncertainties is √((ν + χ²) / (ν + r)), at least
1. The Birge ratio √(χ² / r) is that of ν = 0. Fewer widen more at a slight contradiction. Standard uncertainties that
are themselves uncertain by a share s have ν = 1 / (2 s²) degrees of freedom (GUM, JCGM 100:2008, G.4.2), here those of
diffraction with the spread of `UNCERTAINTY_SPREAD`."""
PAIR_CRYSTALS_STD, PAIR_AMORPHOUS_STD, PAIR_ORGANIC_STD = 0.027, 0.045, 0.08
"""Standard uncertainties, mass fraction, of crystals, amorphous mineral and organic matter by diffraction against
thermogravimetry in right pairs: 0.027, 0.050 and 0.085 over 120 specimens of the package's simulator, of which nine
tenths are taken, so that one right pair in a hundred of them has a probability below 0.01."""
PAIR_AMORPHOUS_SHARE = 0.2
"""The same of amorphous mineral relative to its amount: what it scatters per gram is known to that."""
PAIR_CARBONATE_STD = 0.004
"""Standard uncertainty of the carbonate by both, beside that of `LATTICE_CARBONATE_STD`."""
LATE_ORGANIC = 0.02
"""Standard deviation of the share of the organic matter that burns in the window of the carbonate: it was 0.03 to 0.08
in three of 65 specimens of other worlds than the package's simulator."""
CARBONATE_C_AXIS = 0.3
"""Length (Å) by which the c axis of apatite grows per mass fraction of CO3 on phosphate sites: about 0.2 to 0.4 in
precipitated series up to 20 wt% (after LeGeros 1981, Prog. Cryst. Growth Charact. 4, 1). Fluorine and hydrogen
phosphate change the a axis instead, which is therefore not used."""
HYDROXYL_C_AXIS = 6.8745
"""c axis (Å) of hydroxyapatite without carbonate (Hughes et al. 1989, Am. Mineral. 74, 870)."""
LATTICE_CARBONATE_STD, LATTICE_CARBONATE_MOST = 0.03, 0.15
"""Standard uncertainty and largest value of the mass fraction of CO3 in an apatite that its c axis tells."""
IMPOSSIBLE = 1e-6
"""Probability of a larger misfit below which two measurements are not of one specimen: one right pair in a million."""
NOTABLE_FRACTION = 0.02
"""Mass fraction above which it is worth a message that a component rests on assumptions."""
REPORTABLE_STD = 0.02
"""Standard deviation, mass fraction, above which diffraction alone does not report a component."""
