"""What every thermogravimetric reader hands over: columns, segments and the facts of the header."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from xrdcomp.readers.tga_columns import Column
from xrdcomp.types import Atmosphere, Diagnostic, IntArray

__all__ = ["TgaTable", "atmosphere_of", "heating_rate_of", "note", "number_of"]

Facts = Mapping[str, "str | float | int | bool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TgaTable:
    """A table before it is judged.

    Parameters
    ----------
    columns : tuple of Column
        In the order of the file.
    places : (n,) integer array
        Line (or spreadsheet row) of each point, for messages.
    place_word : str
        ``"line"``, ``"sheet 'Ramp', row"``.
    segment : (n,) integer array or None
        Number of the segment from 0; None where the file knows none.
    initial_mass_mg, atmosphere, heating_rate_k_min
        As the header states them.
    units : mapping
        Units that the header states for all columns of a dimension (``{"mass": "mg"}``), for formats whose
        columns carry none.
    metadata : mapping
    diagnostics : tuple of Diagnostic
    """

    columns: tuple[Column, ...]
    places: IntArray
    place_word: str = "line"
    segment: IntArray | None = None
    initial_mass_mg: float | None = None
    atmosphere: Atmosphere = "unknown"
    heating_rate_k_min: float | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    metadata: Facts = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()

    def place(self, row: int) -> str:
        """Where in the file a row stands."""
        return f"{self.place_word} {int(self.places[row])}"


def note(code: str, text: str, *, severity: str = "info", **facts: str | float) -> Diagnostic:
    """Make a `Diagnostic`; severity is ``info`` or ``warning``."""
    if severity == "info":
        return Diagnostic(code=code, severity="info", text=text, facts=facts)
    return Diagnostic(code=code, severity="warning", text=text, facts=facts)


_GASES: tuple[tuple[Atmosphere, str], ...] = (
    ("carbon_dioxide", r"\bco2\b|co₂|carbon[ _-]?dioxide|kohlendioxid|kohlenstoffdioxid"),
    ("air", r"\bair\b|\bluft\b|synth(etic)?\.? ?air|\bsyn\.? ?luft"),
    ("oxygen", r"\bo2\b|o₂|oxygen|sauerstoff|oxygène"),
    ("nitrogen", r"\bn2\b|n₂|nitrogen|stickstoff|azote"),
    ("argon", r"\bar\b|argon"),
)


def atmosphere_of(text: str) -> Atmosphere:
    """Atmosphere named in a text; "unknown" where it names none or several.

    Examples
    --------
    >>> atmosphere_of("Gas to Nitrogen at 20.0 ml/min"), atmosphere_of("N2/O2"), atmosphere_of("He")
    ('nitrogen', 'unknown', 'unknown')
    """
    low = text.lower()
    found = {gas for gas, pattern in _GASES if re.search(pattern, low)}
    if "air" in found and found <= {"air", "oxygen", "nitrogen"} and ("synth" in low or len(found) == 3):
        return "air"
    return (
        found.pop() if len(found) == 1 and not re.search(r"\bhe(lium)?\b|\bh2\b|hydrogen", low) else "unknown"
    )


_RATE = re.compile(r"([-+]?\d+(?:[.,]\d+)?)\s*\(?\s*(?:K|°?C|[^\w\s]{1,3}C)\s*/\s*(min|s)\b")


def heating_rate_of(text: str) -> float | None:
    """Heating rate in K/min of a program line: ``10.0(K/min)``, ``Ramp 2.00 °C/min to 550.00 °C``."""
    match = _RATE.search(text[:4000])
    if not match or len(match[1]) > 20:
        return None
    rate = abs(float(match[1].replace(",", "."))) * (60.0 if match[2] == "s" else 1.0)
    return rate or None


def number_of(text: str) -> float | None:
    """First number of a text, decimal point or comma; None where there is none."""
    match = re.search(r"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?", text)
    value = float(match[0].replace(",", ".")) if match else math.nan
    return value if math.isfinite(value) else None
