"""What the specimens of the other worlds are made of: compositions, kinds of organic matter, foreign crystals.

A specimen is drawn once and then measured by the worlds. Mass fractions are of the specimen as received and sum to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Organic matter by kind, and how it is drawn: what mineralised and ectopically calcified tissue, stones and
# embedded sections hold. Collagen dominates bone and dentine, fat marrow and plaque, keratin skin.
ORGANIC_KINDS = ("collagen", "keratin", "lipid", "polysaccharide", "pmma")
# Crystals of no reference library of calcifications: ceramics, implants, instruments, dressings.
UNLISTED = ("villiaumite", "ceria", "hematite", "spinel", "silver")
SALTS = ("halite", "sylvite")
CONTAMINANTS = ("calcite", "quartz", "whewellite", "brushite", "gypsum", "corundum")
CO3_OF = {"calcite": 60.009 / 100.087}  # mass fraction of CO3
COMPONENTS = ("crystalline_hydroxyapatite", "organic", "water", "carbonate", "amorphous_mineral", "other_crystalline")


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """Mass fractions of one specimen; `carbonate` is the CO3 in the lattice of the apatite, `crystals` are by name."""

    apatite: float
    carbonate: float
    organic: Mapping[str, float]
    water: float
    amorphous_mineral: float
    crystals: Mapping[str, float] = field(default_factory=dict)
    bound_water: float = 0.12  # of the amorphous mineral, counted there
    wet: bool = False  # water as a phase of its own that evaporates like free water

    def components(self) -> dict[str, float]:
        """Truth in the terms of a result: carbonate is all CO3, that of foreign carbonates too."""
        foreign_co3 = sum(mass * CO3_OF.get(name, 0.0) for name, mass in self.crystals.items())
        return {
            "crystalline_hydroxyapatite": self.apatite,
            "organic": sum(self.organic.values()),
            "water": self.water,
            "carbonate": self.carbonate + foreign_co3,
            "amorphous_mineral": self.amorphous_mineral,
            "other_crystalline": sum(self.crystals.values()) - foreign_co3,
        }

    def truth(self) -> dict[str, Any]:
        """Everything a study needs to judge an analysis of this specimen, ready for JSON."""
        return {
            "simulated": True,
            "components": self.components(),
            "organic_kinds": dict(self.organic),
            "crystals": dict(self.crystals),
            "salts": sum(self.crystals.get(name, 0.0) for name in SALTS),
            "unlisted": sum(self.crystals.get(name, 0.0) for name in UNLISTED),
            "amorphous_bound_water": self.bound_water * self.amorphous_mineral,
        }


def draw_organics(rng: np.random.Generator, total: float, *, embedded: bool = True) -> dict[str, float]:
    """Kinds of organic matter: one that dominates, and up to two others.

    Most specimens are tissue (collagen, some with fat and polysaccharide); one in ten is `embedded` in PMMA, or is
    collagen too where there are no such.
    """
    main = str(rng.choice(ORGANIC_KINDS, p=(0.55, 0.15, 0.15, 0.05, 0.10)))
    main = "collagen" if main == "pmma" and not embedded else main
    others = [kind for kind in ("collagen", "lipid", "polysaccharide") if kind != main]
    shares = {main: 1.0}
    for kind in rng.permutation(others)[: int(rng.integers(0, 3))]:
        shares[str(kind)] = float(rng.uniform(0.05, 0.6))
    scale = total / sum(shares.values())
    return {kind: share * scale for kind, share in shares.items()}


def draw(seed: int, *, embedded: bool = True) -> Specimen:
    """Draw a specimen: anything from a wet smear to nearly pure mineral.

    Half hold no amorphous mineral, one in twelve no apatite; a quarter hold salt (0.3–6 %), a sixth a contaminant
    (0.5–6 %), a tenth a crystal of no list (0.5–8 %).
    """
    rng = np.random.default_rng([90210, seed])
    while True:
        water, organic, mineral = (float(x) for x in rng.dirichlet((0.9, 1.6, 1.8)))
        if 0.01 <= water <= 0.6 and 0.03 <= organic <= 0.85 and mineral >= 0.03:
            break
    crystals: dict[str, float] = {}
    if rng.random() < 0.25:
        crystals[str(rng.choice(SALTS, p=(0.8, 0.2)))] = float(np.exp(rng.uniform(np.log(0.003), np.log(0.06))))
    if rng.random() < 1 / 6:
        crystals[str(rng.choice(CONTAMINANTS))] = float(rng.uniform(0.005, 0.06))
    if rng.random() < 0.10:
        crystals[str(rng.choice(UNLISTED))] = float(rng.uniform(0.005, 0.08))
    without_apatite = rng.random() < 1 / 12
    amorphous = mineral * float(rng.uniform(0.03, 0.4)) if rng.random() < 0.5 else 0.0
    if without_apatite and amorphous > 0.0:
        amorphous = mineral
    apatite = 0.0 if without_apatite else mineral - amorphous
    carbonate = apatite * float(rng.uniform(0.005, 0.09))
    parts = {"apatite": apatite - carbonate, "carbonate": carbonate, "water": water, "amorphous_mineral": amorphous}
    scale = (1.0 - sum(crystals.values())) / (sum(parts.values()) + organic)
    return Specimen(
        **{name: value * scale for name, value in parts.items()},
        organic=draw_organics(rng, organic * scale, embedded=embedded),
        crystals=crystals,
        bound_water=float(rng.uniform(0.06, 0.18)),
        wet=water > 0.2,
    )
