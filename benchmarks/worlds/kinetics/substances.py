"""What a specimen loses while it is heated, and by which kinetics.

Losses of crystals follow from their formulae. Temperatures and energies are drawn about published ones: collagen and
keratin in air in three stages to 650 °C [Janković 2009], fat 250–450 °C, PMMA unzips at 300–400 °C [Kashiwagi 1985],
carbonate of bone over 600–950 °C [Mkukuma 2004], calcite as a contracting volume, hydroxyl above 900 °C, growth of
dehydrated nuclei for crystal water [Frost & Weier 2004 for oxalate]; condensation of HPO4 over 250–550 °C. Char of
nitrogenous tissue 15–30 %, of fat 1–5 %, of PMMA none, of polysaccharide 15–28 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.worlds.kinetics.reactions import Model, Reaction
from benchmarks.worlds.population import CO3_OF, Specimen

H2O, CO2, CO, CO3 = 18.0153, 44.0095, 28.0101, 60.0089  # g/mol


@dataclass(frozen=True, kw_only=True)
class Pool:
    """`mass` (fraction of the specimen) that leaves by `reaction` as `kind`; only with oxygen where `burns`."""

    kind: str
    mass: float
    reaction: Reaction
    burns: bool = False


# Formula mass and steps: kind, g/mol that leave, model, °C of half conversion at 10 K/min, kJ/mol.
CRYSTALS: dict[str, tuple[float, tuple[tuple[str, float, Model, float, float], ...]]] = {
    "calcite": (100.087, (("carbonate", CO2, "contracting", 755.0, 190.0),)),
    "whewellite": (
        146.112,
        (
            ("crystal_water", H2O, "growth", 160.0, 105.0),
            ("carbon_monoxide", CO, "growth", 480.0, 240.0),
            ("carbonate", CO2, "contracting", 690.0, 205.0),
        ),
    ),
    "brushite": (
        172.088,
        (("crystal_water", 2 * H2O, "growth", 180.0, 120.0), ("condensation", 0.5 * H2O, "growth", 430.0, 150.0)),
    ),
    "gypsum": (172.171, (("crystal_water", 2 * H2O, "growth", 145.0, 95.0),)),
    "halite": (58.443, (("salt", 58.443, "contracting", 985.0, 175.0),)),
    "sylvite": (74.551, (("salt", 74.551, "contracting", 955.0, 170.0),)),
}
# Stages of organic matter with oxygen: share, °C, kJ/mol and its spread. The last stage burns the char.
IN_AIR = {
    "collagen": ((0.12, 265.0, 130.0, 10.0), (0.50, 330.0, 165.0, 12.0), (0.38, 520.0, 180.0, 11.0)),
    "keratin": ((0.15, 245.0, 120.0, 9.0), (0.45, 320.0, 160.0, 12.0), (0.40, 550.0, 190.0, 12.0)),
    "lipid": ((0.45, 310.0, 115.0, 8.0), (0.40, 390.0, 140.0, 8.0), (0.15, 490.0, 170.0, 9.0)),
    "polysaccharide": ((0.60, 285.0, 150.0, 8.0), (0.40, 470.0, 165.0, 10.0)),
    "pmma": ((0.35, 295.0, 140.0, 6.0), (0.62, 355.0, 190.0, 5.0), (0.03, 450.0, 170.0, 6.0)),
}
# Without oxygen: shares are of what does not stay as char, whose range stands first.
INERT = {
    "collagen": ((0.15, 0.30), ((0.85, 335.0, 175.0, 14.0), (0.15, 480.0, 230.0, 22.0))),
    "keratin": ((0.15, 0.28), ((0.80, 325.0, 170.0, 14.0), (0.20, 470.0, 230.0, 22.0))),
    "lipid": ((0.01, 0.05), ((1.00, 405.0, 190.0, 8.0),)),
    "polysaccharide": ((0.15, 0.28), ((0.90, 305.0, 180.0, 8.0), (0.10, 450.0, 230.0, 20.0))),
    "pmma": ((0.0, 0.01), ((1.00, 370.0, 210.0, 6.0),)),
}


def pools_of(specimen: Specimen, rng: np.random.Generator, *, inert: bool) -> list[Pool]:
    """Everything that leaves, its kinetics drawn; in an inert gas the char too, which burns once there is oxygen."""

    def drawn(model: Model, half_c: float, energy: float, spread: float = 0.0, scatter: float = 10.0) -> Reaction:
        return Reaction(
            model=model,
            half_c=half_c + scatter * float(rng.standard_normal()),
            energy=energy * float(rng.uniform(0.88, 1.15)),
            spread=spread * float(rng.uniform(0.7, 1.3)),
            exponent=float(rng.uniform(1.3, 3.0)),
        )

    pools: list[Pool] = []

    def add(kind: str, mass: float, reaction: Reaction, *, burns: bool = False) -> None:
        if mass > 0.0:
            pools.append(Pool(kind=kind, mass=mass, reaction=reaction, burns=burns))

    # water: free water dries from its surface, what tissue holds leaves with a distribution of energies
    held = float(rng.uniform(0.05, 0.2) if specimen.wet else rng.uniform(0.2, 0.6))
    add("water", (1.0 - held) * specimen.water, drawn("contracting", 72.0, 45.0, scatter=6.0))
    add("water", held * specimen.water, drawn("distributed", 102.0, 62.0, 4.0, scatter=8.0))
    add("bound_water", specimen.bound_water * specimen.amorphous_mineral, drawn("distributed", 210.0, 95.0, 14.0, 25.0))
    late_share = float(rng.uniform(0.002, 0.03)) if rng.random() < 0.3 else 0.0
    for kind, mass in specimen.organic.items():
        if inert:
            (low, high), stages = INERT[kind]
            char = float(rng.uniform(low, high))
            # part of the char is gasified by CO2 and water of the mineral before any oxygen comes
            gasified = char * float(rng.uniform(0.0, 0.3))
            add("char_gasified", gasified * mass, drawn("distributed", 860.0, 260.0, 14.0, 20.0))
            add("char", (char - gasified) * mass, drawn("distributed", 520.0, 165.0, 9.0, 20.0), burns=True)
            gone = 1.0 - char
        else:
            # char that mineral encloses burns late, among the carbonate
            add("char_late", late_share * mass, drawn("distributed", 690.0, 190.0, 10.0, 20.0))
            stages, gone = IN_AIR[kind], 1.0 - late_share
        weights = np.array([stage[0] for stage in stages]) * np.exp(rng.normal(0.0, 0.2, len(stages)))
        for weight, (_, half, energy, spread) in zip(weights / weights.sum(), stages, strict=True):
            add("organic", gone * mass * float(weight), drawn("distributed", half, energy, spread, 12.0))
    carbonate = specimen.carbonate * CO2 / CO3
    centre = float(rng.uniform(690.0, 800.0))
    add("carbonate", carbonate, drawn("distributed", centre, 230.0, float(rng.uniform(8.0, 18.0)), 0.0))
    apatite = specimen.apatite + specimen.carbonate
    hydroxyl = float(rng.uniform(0.1, 1.0)) * 0.5 * H2O / 502.31  # bone has lost most of its hydroxyl to carbonate
    add("hydroxyl", hydroxyl * specimen.apatite, drawn("growth", 1070.0, 270.0, scatter=25.0))
    condensation = float(rng.uniform(0.0, 0.006)) if rng.random() < 0.4 else 0.0  # HPO4 of immature mineral
    add("condensation", condensation * apatite, drawn("distributed", 400.0, 130.0, 15.0, 15.0))
    for name, mass in specimen.crystals.items():
        molar, steps = CRYSTALS.get(name, (1.0, ()))
        for kind, leaves, model, half, energy in steps:
            add(kind, mass * leaves / molar, drawn(model, half, energy))
    return pools


def carbonate_loss(specimen: Specimen) -> float:
    """CO2 of all carbonate of the specimen, as a mass fraction; stoichiometry for tests."""
    foreign = sum(mass * CO3_OF.get(name, 0.0) for name, mass in specimen.crystals.items())
    return (specimen.carbonate + foreign) * CO2 / CO3
