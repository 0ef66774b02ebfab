"""Write docs/messages.md, the page of every message that the program can give, from their declarations.

python -m tools.messages
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import xrdcomp
from xrdcomp.data import MESSAGE_KINDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "messages.md"
AREAS = {
    "XRD": "Patterns, fits and searches",
    "HOLDER": "Specimen holders",
    "HUMP": "Specimen holders",
    "FRAME": "Area detectors",
    "CALIBRATION": "Calibration of an instrument",
    "INSTRUMENT": "Instruments over time",
    "QUANTIFICATION": "Quantification from diffraction",
    "TGA": "Thermogravimetry",
    "FUSION": "Both instruments together",
    "COMPOSITION": "Composition",
    "LABORATORY": "Settings",
    "SPECIMEN": "Both instruments together",
    "AMORPHOUS": "Composition",
    "NOT": "Composition",
    "PRIOR": "Composition",
    "REPLICATE": "Repeated measurements",
    "REPLICATES": "Repeated measurements",
}
INTRO = """# Messages

Every message has a stable code, a severity, and the figures of its text as `facts`. *error*: results of this kind must
not be used; *warning*: usable with care; *info*: everything else. The `status` of a result is that of its most severe
message. This page is made from the declarations in the code by `python -m tools.messages`.
"""


def load_declarations() -> None:
    """Import every module of the package, so that each kind of message is declared."""
    for module in pkgutil.walk_packages(xrdcomp.__path__, "xrdcomp."):
        importlib.import_module(module.name)


def page() -> str:
    """Text of the page: a section for each area, codes in alphabetical order."""
    load_declarations()
    areas: dict[str, list[str]] = {}
    for code in sorted(MESSAGE_KINDS):
        kind = MESSAGE_KINDS[code]
        lines = [f"**`{code}`** ({kind.severity}). {kind.meaning}"]
        if kind.threshold:
            lines.append(f"Threshold: {kind.threshold.rstrip('.')}.")
            lines.append(f"Basis: {(kind.origin or 'judgement').rstrip('.')}.")
        if kind.remedy:
            lines.append(f"What to do: {kind.remedy}")
        areas.setdefault(AREAS[code.split("_")[0]], []).append(" ".join(lines))
    order = dict.fromkeys(AREAS.values())
    sections = (f"## {area}\n\n" + "\n\n".join(areas[area]) for area in order if area in areas)
    return INTRO + "\n" + "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(len(MESSAGE_KINDS), "messages written to", PAGE.name)
