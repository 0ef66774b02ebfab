"""Colours of all figures and pages, without Matplotlib: one colour stands for one thing wherever it is drawn."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

# Colours of Okabe & Ito (2008), Color Universal Design, are told apart with every common colour-vision deficiency. One
# colour stands for one substance in every figure; what is no substance is black or grey.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#767676"  # 4.5:1 on white
PALE = "#B8B8B8"
COMPONENT_COLOURS = {
    "crystalline_hydroxyapatite": BLUE,
    "organic": ORANGE,
    "water": SKY,
    "carbonate": PURPLE,
    "amorphous_mineral": GREEN,
    "other_crystalline": VERMILLION,
    "unidentified_crystalline": YELLOW,
}
UNIDENTIFIED_LINE = "#857700"
"""The yellow of unidentified crystals as a line, which needs a contrast that an area does not."""
AMORPHOUS_COLOURS = {"protein": ORANGE, "lipid": "#9C6B00", "water": SKY, "amorphous_calcium_phosphate": GREEN}
AMORPHOUS_DASHES = {  # told apart in grey as well; the background has plain dashes
    "protein": (0, (6, 1.5, 1, 1.5)),
    "lipid": (0, (1, 1)),
    "water": (0, (7, 2)),
    "amorphous_calcium_phosphate": (0, (4, 1, 1, 1, 1, 1)),
}
STEP_COLOURS = {"water": SKY, "organic": ORANGE, "carbonate": PURPLE}
OTHER_PHASES = (VERMILLION, "#332288", "#882255", "#117733", "#999933", "#661100", "#AA4499")
"""Phases other than apatite: the first is that of other crystalline matter, then the muted ones of P. Tol (2021)."""
SERIES = (BLACK, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""Curves that are no substances: runs, segments, patterns of many specimens."""

BUDGET_GROUPS = {
    "counting of diffraction": ("#14213D", ("xrd_counting", "detection_limit", "counting")),
    "model of diffraction": ("#4A6FA5", ("xrd", "amorphous_halo")),
    "thermogravimetry": ("#9A9A9A", ("tga",)),
    "chemistry": ("#E8C25C", ("bound_water", "carbonate_site", "char")),
    "assumptions and the rest": ("#F6EED3", ()),
}
"""Groups of inputs of an uncertainty budget, from dark to light, and the beginnings of the inputs' names."""


def budget_group(name: str) -> str:
    """Group of an input of the budget."""
    found = (group for group, (_, starts) in BUDGET_GROUPS.items() if name.casefold().startswith(starts or ("\0",)))
    return next(found, "assumptions and the rest")


def phase_colours(names: Iterable[str]) -> dict[str, str]:
    """Colours of the phases of one figure: apatites blue, others by their name, two of a figure never the same."""
    out: dict[str, str] = {}
    for name in names:
        if "apatite" in name and BLUE not in out.values():
            out[name] = BLUE
            continue
        first = zlib.crc32(name.encode()) % len(OTHER_PHASES)
        order = OTHER_PHASES[first:] + OTHER_PHASES[:first]
        out[name] = next((colour for colour in order if colour not in out.values()), order[0])
    return out
