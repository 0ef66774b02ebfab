"""Write docs/constants.md, the constants whose value is a judgement or a study's, from the values in the code.

python -m tools.constants
"""

from __future__ import annotations

import importlib
from pathlib import Path

from xrdcomp.composition import priors
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.physics.amorphous import AMORPHOUS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "constants.md"
INTRO = """# Constants of judgement

Constants that are fixed neither by a law nor by a certificate: their values, what they were chosen on, and what has
judged them since. Published data that are only copied (scattering tables, structures, certificates) are in the code
beside their sources. "Worlds" are the [independent simulators](worlds.md), "home" is the package's own, and "round
robin" stands for the weighed mixtures 1a, 1d, 1g. A constant that has been judged only by its own study may be wrong
elsewhere. This page is made by `python -m tools.constants`.

| constant | value | source or reason | chosen on | judged by |
|---|---|---|---|---|
"""
_WORLDS = "coverage in debye and measured"
# module under xrdcomp | constant | source or reason | chosen on | judged by
ROWS = """
refinement.covariance|PHASE_PER_GRAM_STD|uncertainty of structure, B and form factors of any crystal|judgement; apatite agrees to 0.6 % with an independent calculation|Debye sums over crystallites 0.996–1.004; worlds
refinement.covariance|ORDERED_PER_GRAM_STD|if B is known: form factors of ions against atoms 1–2 %, tables 0.6 %|differences of tables|round robin, error over σ 0.76 rms
refinement.covariance|GRAIN_LOG_STD|ground powders have grains of a few µm, within a factor of two either way|judgement|round robin
refinement.covariance|KNOWN_LOG_STD|one diameter for grains of many sizes and shapes|judgement|nothing yet
refinement.covariance|BLANK_STD|without a blank, air and holder may scatter in the shape of protein|judgement|worlds
refinement.covariance|GOOD_FIT_GOF|the worst of 400 specimens with unusual halo shapes had 1.15|home|worlds
refinement.covariance|GOOD_AREAS_MISFIT|accuracy of the structure factors of single reflections, by judgement|round robin, grainy quartz and calcite|the same, other seeds
refinement.model|INELASTIC_STD|Compton and thermal scattering removed by a crystal or an energy window|International Tables; range of instruments|worlds (instruments not stated)
refinement.model|SHOULDER_STD|lognormal sizes, σ of ln size 0.2 to 0.4|calculated profiles|debye
refinement.model|BLANK_FORM_STD|change of air scatter relative to an empty holder measured in the same way|judgement|home, with blanks
refinement.model|LOW_Q_STD|halos below 0.65 Å⁻¹: packing of chains, small-angle scattering|home and points of collagen|measured, debye
refinement.model|CORRECTION_STD|slowly varying errors of a physical background, relative to the median intensity|judgement|worlds
refinement.model|UNCONTROLLED_STD|scatter of humic and fulvic acid, peat, charcoal and kerogen about free atoms|those patterns|nothing else yet
refinement.model|_CONTROL_STD|differences in filling and surface of two thick specimens|judgement|nothing yet
refinement.model|_RING_ALIKE|three standard deviations of the position of the first maximum|judgement|nothing yet
refinement.parameters|B_RELATIVE_STD|scatter between refinements of one compound: small for hard crystals, large for apatites|published refinements|fluorapatite, standards
refinement.result|_EXTRA_B|carbonated apatites 0 to 0.4 Å², wrong geometries 0.8 to 4 or −1|calculated geometries and published apatites|table of geometries (tests/reference)
refinement.result|_BENT_B|wrong geometries change B by 0.46 Å² and more, apatites differ by 0 to 0.4|seed 1301 of benchmarks.diffuse|measured and debye (seeds from 9001), embedded: no geometry named
refinement.result|_TILT_GAIN|wrong geometries 24 and more, an oblique plate 9|seed 1301 of benchmarks.diffuse|measured and debye (seeds from 9001), embedded: no geometry named
refinement.result|_CLEAR_TILT_GAIN|wrong geometries 300 and more, fluorapatite 35|seed 1301 of benchmarks.diffuse|debye: no geometry named
refinement.covariance|FOREIGN_LIPID|a negative lipid indicates a glass or a polymer|fits of silica, obsidian, polymers|polycarbonate of benchmarks.diffuse, covered; worlds
refinement.unsought|CALLED_FOR|five standard deviations; 9 to 14 where nothing is left out, 100 and more where most is|a measured halo of the specimen's own protein, seeds 5 and 1301 of benchmarks.diffuse|subsets of seeds 2207 and 3307: none missed
refinement.unsought|DECISIVE|odds of 20|convention|round robin and its pure powders: 5 of 6 patterns of one monochromator, none of the sixth
refinement.result|_SIZE_SHAPE_STD|size and shape distributions do not give pseudo-Voigt profiles|home|Debye patterns: lengths along c of plates are off by far more
refinement.result|_GENERIC_WIDTH_STD|uncalibrated diffractometers have widths of 0.05 to 0.12°|judgement|worlds
refinement.result|POOR_FIT_GOF|fits that describe nothing|real patterns outside the library|golden cases
physics.amorphous|_FORM_STD|deviation of a first ring from a Gaussian, as Hermite coefficient|judgement|worlds
physics.amorphous|_SMOOTH_STD|deviations of S that no mode of shape describes, at spacings of 0.6 Å⁻¹|judgement|worlds
search.nuisance|GRAIN_STD|scatter of reflections of coarse powders (14 % measured), with texture|judgement|false phases at home and in real standards
search.doubts|_NEARLY_ALL|the pattern of another crystal is not that of small apatite: much of it remains|0.98 of 12 nm beside 5 to 20 wt% of spinel, debye|field cases: none detected that was not
search.detection|_LIMIT_FACTOR|amount at the limit divided by that for one perfect template|home|share found at the limit, home
quantification.methods|STANDARD_SPREAD|determinations on weighed mixtures|weighed mixtures|round robin
quantification.methods|PRIOR_RELATIVE_STD|calculated constant of the area ratio|judgement|nothing yet
thermal.char|_ENCLOSED_C|char enclosed by mineral burns over some 150 °C: its largest loss divided by the rate in the valley, °C|kinetics 1601–1899: exceeded by 9 of 68|kinetics 2101–2300
thermal.char|LATE_MOST|largest share of the organic matter that is lost so late|kinetics 900–1199|kinetics 2101–2300
thermal.char|_LATE_IN_AIR|mean and standard deviation of that loss over its bound|kinetics 1601–1899, a third of which contain such char|kinetics 2101–2300, home in air
thermal.char|_LATE_INERT|the same if charring continues: anything from none to the bound|judgement|pools with and without late charring, tests/unit; kinetics 91001–91240
thermal.char|_GASIFIED|char lost between 750 and 950 °C: a tenth of the mass of chars made at 700 °C is hydrogen and oxygen, and CO2, steam and traces of oxygen remove some char, in a well-purged pan none|judgement: none and a third are as credible|pools without gasification, tests/unit; kinetics 91001–91240
thermal.char|_GASIFIED_FROM_C|C + CO2 = 2 CO is balanced at 700 °C|thermodynamics|kinetics
thermal.char|_CHAIN_SHARES|shares of the loss between 360 and 450 °C of protein, and of fat and vinyl polymers: 0.22 to 0.29 and 0.76 to 0.82 when alone|courses of both alone, home and kinetics, 2 to 40 K/min|kinetics 94001–94300 and home 95001–95060 in nitrogen; bone with fat, tests/unit
thermal.char|_CHAIN_CHAR|char of fat and vinyl polymers, 0 to 5 %|literature|kinetics 2101–2300
thermal.char|_MIXED_STD|the share of a mixture determines its char less well|kinetics 900–1199|kinetics 2101–2300
thermal.nature|_EARLY_SHARE|organic matter of tissue begins by 250 to 300 °C|simulated specimens, measured plastics, hydroxides, cements|own variants of gels, hydrates, clays, wood
thermal.nature|_HALF_ORGANIC_C|half of what tissue loses goes within 65 to 100 °C, wood 50, hydroxides 25 to 38|simulated and measured runs|the same variants
thermal.nature|_NARROW_C|moisture takes 60 to 100 °C|hydrates of own kinetics|hydrates of other kinetics
thermal.nature|_MOST_LATE_HYDROXYL|hydroxyl of silicates: smectites 4 to 6 %, kaolinite 14, serpentine 13|formulae|clays of tests/unit
thermal.nature|_CLAYS_LOST_IT_C|clays have lost their hydroxyl by then: kaolinite 450–600 °C, illite to 650, smectites 600–750|Földvári 2011|clays of tests/unit
thermal.nature|_LEAST_DIOXIDE|CO2 of mineral of tissue, 2 to 8 % CO3|bone, dentine, enamel|gels of alumina, titania, boehmite, magnesia
thermal.losses|_KNEE_OXIDISING|char burns in minutes on a hold in air|bone of own kinetics|holds of the field cases
thermal.losses|_KNEE_INERT|nothing shows which loss continues|judgement|programmes of other kinetics
thermal.losses|_SHARED_STD|share of the common loss of carbonate and salts|24 specimens with 1.5 to 8 % of salt|kinetics, salts
thermal.losses|_EARLY_HYDROXYL|hydroxyl lost before the end of the carbonate step, relative to all that the residue may contain|home|kinetics
thermal.losses|_ENERGY_FACTOR|published energies of dehydroxylation scatter|literature|220 and 350 kJ/mol (tests/unit)
thermal.losses|_OVERLAP_RATIO|below it, components change no boundary by more than its placement uncertainty|home|kinetics
thermal.artefacts|_JUMP_CONTRAST|reactions over 1.5 to 3 readings come to 9.5 to 21|calculated steps|jumps of the kinetics world, steep flanks (tests/unit)
thermal.artefacts|_JUMP_SIGMAS|one false jump in some thousand runs|white noise|kinetics without jumps
thermal.curve|_STILL_FALLS|share of the height of the burning peak, and its decrease over 15 °C: below, something else is lost|kinetics 1601–1899|kinetics 2101–2300
thermal.curve|_UNBURNT_STD|char that does not burn with the rest|judgement|kinetics with a change of gas
thermal.curve|_ABRUPT_SHARE|a tenfold rate within 12 °C would need more than 600 kJ/mol|calculation|runs with and without a stated change of gas
thermal.curve|_NOT_REPEATED|half of a drift is repeated in a blank|judgement|home with blanks
thermal.curve|_CARRIER_VOLUME_CM3|gains of 0.24 mg by 800 °C in raw files|measured raw files|nothing else yet
composition.priors|BLANK_GAIN|half of the error comes from the background|judgement|nothing yet
composition.priors|UNSEEN_EXPONENT|usually there are none|judgement|worlds, unlisted crystals
composition.priors|SOFT_EXPONENT|specimens of unknown kind usually contain either much soft matter or hardly any|judgement|worlds
composition.priors|BARE_MINERAL_PROBABILITY|heated bone, synthetic apatite and standards are rare|judgement|calibration by X-rays alone
composition.priors|UNKNOWN_KIND_STD|as `UNCONTROLLED_STD`|the same patterns|nothing else yet
composition.priors|LITTLE|limit for a doubtful apatite, a tenth of the specimen|judgement|a gypsum standard
composition.priors|DISCREPANCY_DOF|1 / (2 s²), s the spread of `UNCERTAINTY_SPREAD`|GUM G.4.2|worlds
composition.priors|BONE_SURFACE|hydrogen phosphate is at the surface of nanocrystals|Combes et al. 2016; fits of simulated bone|enamel and bone of other seeds
composition.priors|TYPICAL_FLATTER|mean over 205 fits of three simulators|normal equations of those fits|nothing: fits have their own
composition.priors|WATER_BEFORE_STD|anything tissue may contain; shares of the dry specimen do not depend on it|judgement|nothing yet
composition.priors|HIDDEN_PROBABILITY|a minority of specimens contains a little of what was not found|judgement|crystals left out of the library
composition.priors|UNDECIDED_PROBABILITY|even odds|judgement|crystals left out of the library
composition.priors|NO_AMORPHOUS_PROBABILITY|sintered and synthetic apatite have none|judgement|worlds, A = 0
"""  # noqa: E501 - rows of a table


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def page() -> str:
    """Text of the page."""
    lines = []
    for name, material in AMORPHOUS.items():
        reason = "spread of its sources, see the code and docs/design/013-amorphous-scattering.md"
        heading = f"area of {material.label}, relative std"
        by = "measured and computed curves of other sources (tests/reference); " + _WORLDS
        lines.append((f"`AMORPHOUS[{name!r}]`: {heading}", _shown(material.area_std), reason, "those sources", by))
    for name in list_phases():
        if (b := load_phase(name).facts.b_iso) is not None:
            text = "means of refinements at room temperature"
            lines.append((f"`b_iso` of {name}, Å²", f"{b[0]:g} ± {b[1]:g}", text, "literature", "round robin"))
    for row in ROWS.strip().splitlines():
        module, name, reason, chosen, judged = row.split("|")
        value = getattr(importlib.import_module(f"xrdcomp.{module}"), name)
        lines.append((f"`{module}.{name}`", _shown(value), reason, chosen, judged))
    for name, prior in vars(priors).items():
        if isinstance(prior, priors.Prior):
            value = f"{prior.mean:.3g} ± {prior.std:.3g}, {prior.low:g} to {prior.high:g}"
            chosen = "judgement" if "judged" in prior.origin else "the source"
            text = f"{prior.meaning}. {prior.origin}"
            lines.append((f"`composition.priors.{name}`", value, text, chosen, _WORLDS))
    return INTRO + "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    text = page()
    PAGE.write_text(text, encoding="utf-8")
    print(f"{text.count(chr(10)) - INTRO.count(chr(10))} constants written to {PAGE.name}")
