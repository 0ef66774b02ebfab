"""Records that travel in: measurements, reference phases, instruments. Frozen, checked once, arrays read-only.

`Record` is what all public objects share: equality that compares arrays, and a repr of one screen. Figures are drawn by
``xrdcomp.present``, which is loaded when a method needs it: presenting reads data and results, not the other way round.
"""

from __future__ import annotations

import html
import importlib
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from xrdcomp.errors import ArgumentError, PatternError
from xrdcomp.units import KALPHA2_RATIO, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Severity = Literal["info", "warning", "error"]
IntensityUnit = Literal["counts", "cps", "arbitrary"]
MassUnit = Literal["mg", "ug", "g", "percent", "fraction"]
Atmosphere = Literal["air", "oxygen", "nitrogen", "argon", "helium", "carbon_dioxide", "unknown"]
Geometry = Literal["bragg_brentano", "debye_scherrer", "transmission"]
Metadata = Mapping[str, "str | float | int | bool"]
SCREEN_LINES, SCREEN_WIDTH = 24, 110
"""Most that a repr takes."""


def _freeze(record: Any, *names: str) -> None:
    """Turn fields of a record into arrays that cannot be written to."""
    for name in names:
        object.__setattr__(record, name, _numbers(getattr(record, name), name))


def _numbers(values: npt.ArrayLike, argument: str) -> FloatArray:
    try:
        return frozen_array(values)
    except (TypeError, ValueError):
        raise ArgumentError(argument, values, "numbers, one for each point") from None


def _columns(table: pd.DataFrame, argument: str, **names: tuple[str, ...]) -> dict[str, tuple[Any, str]]:
    """Columns of a table with their units, by what they are called; the first two by their place where none is.

    Units stand in brackets behind the name: ``mass (mg)``.
    """
    table = table.reset_index() if table.index.name else table
    known: dict[str, tuple[Any, str]] = {}
    for position, column in enumerate(table.columns):
        name, _, unit = str(column).partition("(")
        key = name.strip().casefold().replace(" ", "_")
        known.setdefault(key, (table.iloc[:, position], unit.rstrip(") ")))
    found = {key: known[name] for key, options in names.items() for name in options[::-1] if name in known}
    first, second = list(names)[:2]
    if first not in found and second not in found and len(table.columns) >= 2:
        found = {first: (table.iloc[:, 0], ""), second: (table.iloc[:, 1], "")}
    for key in (first, second):
        if key not in found:
            expected = f"a table with a column {key!r}, or its first two columns"
            raise ArgumentError(argument, ", ".join(map(str, table.columns)), expected)
    return found


def frozen_array(values: npt.ArrayLike) -> FloatArray:
    """Copy to a contiguous float64 array that cannot be written to."""
    array = np.array(values, dtype=np.float64, copy=True, order="C")
    array.setflags(write=False)
    return array


def presenter(module: str) -> Any:
    """Give a module of ``xrdcomp.present``, loaded when something is drawn or shown."""
    return importlib.import_module(f"xrdcomp.present.{module}")


def drawn(function: str, record: Any, ax: Axes | None) -> Axes:
    """Axes on which a function of ``xrdcomp.present.figures`` drew a record: those of the user, or new ones."""
    axes: Axes = getattr(presenter("figures"), function)(record, ax)
    return axes


def same(first: Any, second: Any) -> bool:
    """Compare values of records: arrays, mappings and sequences item by item, NaN equal to NaN."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        a, b = np.asarray(first), np.asarray(second)
        return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second or (first != first and second != second))


class Record:
    """Equality of values, arrays included, hash by identity, and a repr of one screen (24 lines of 110 characters).

    The repr leaves out what has its default and says of arrays how many values they hold, and from where to where.
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = (item.name for item in fields(self))  # type: ignore[arg-type] # every record is a dataclass
        return all(same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = object.__hash__

    def _headline(self) -> str:
        """First line of the repr."""
        return type(self).__name__

    def __repr__(self) -> str:
        rows = {}
        for item in fields(self):  # type: ignore[arg-type] # every record is a dataclass
            value = getattr(self, item.name)
            default = item.default if item.default_factory is MISSING else item.default_factory()
            if item.repr and not same(value, default):
                rows[item.name] = brief(value)
        head = self._headline()
        line = f"{head}({', '.join(f'{name}={text}' for name, text in rows.items())})"
        return line if head == type(self).__name__ and len(line) <= SCREEN_WIDTH else screen(head, rows)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def screen(head: str, rows: Mapping[str, str]) -> str:
    """Headline and named rows, cut to one screen."""
    width = max((len(name) for name in rows), default=0)
    lines = textwrap.wrap(head, SCREEN_WIDTH)
    for name, text in rows.items():
        room = SCREEN_WIDTH - width - 4
        wrapped = textwrap.wrap(text, room) or [""]
        if len(wrapped) > 4:
            wrapped = [*wrapped[:3], wrapped[3][: room - 2] + " …"]
        lines += [f"  {(name if i == 0 else ''):<{width}}  {part}" for i, part in enumerate(wrapped)]
    return one_screen("\n".join(lines))


def one_screen(text: str) -> str:
    """Text wrapped to 110 characters and cut to 24 lines; what was cut is said."""
    wrap = textwrap.TextWrapper(SCREEN_WIDTH, subsequent_indent="    ", break_on_hyphens=False).wrap
    lines = [part for line in text.splitlines() for part in wrap(line) or [""]]
    if (left := len(lines) - SCREEN_LINES + 1) > 1:
        lines[SCREEN_LINES - 1 :] = [f"… and {left} more lines; print() shows all"]
    return "\n".join(lines)


def brief(value: Any) -> str:
    """Value of a field in a few words."""
    if isinstance(value, np.ndarray):
        if value.size == 0 or value.dtype.kind not in "fiub" or value.ndim != 1:
            return f"array {' × '.join(map(str, value.shape))}"
        return f"{len(value)} values, {value[0]:g} … {value[-1]:g}"
    if isinstance(value, Mapping):
        numbers = all(isinstance(item, float | int | str) for item in value.values())
        inside = [f"{key}: {item if isinstance(item, str) else brief(item)}" if numbers else str(key)
                  for key, item in value.items()]  # fmt: skip
        return _listed(inside, len(value))
    if isinstance(value, list | tuple):
        inside = [brief(item) for item in value]
        return _listed(inside, len(value)) if value else "()"
    if isinstance(value, float | np.floating):
        return f"{value:.7g}"
    if isinstance(value, EmissionLine):
        return f"{value.label} {value.wavelength:.6g} Å × {value.weight:.3g}".strip()
    if isinstance(value, Record):
        name = next((getattr(value, key) for key in ("id", "code", "label", "name", "file")
                     if isinstance(getattr(value, key, None), str) and getattr(value, key)), "")  # fmt: skip
        text = name or repr(value)
        return text if "\n" not in text else f"{type(value).__name__}"
    return repr(value)


def _listed(items: Sequence[str], total: int) -> str:
    shown: list[str] = []
    for item in items:
        if sum(map(len, shown)) + len(item) > 280:
            return f"{', '.join(shown)}, … ({total})"
        shown.append(item)
    return ", ".join(shown)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Diagnostic(Record):
    """One thing the user should know, with the figure that shows it.

    `code`: stable, upper-case: ``XRD_LOW_COUNTS``, ``TGA_INERT_CHAR``; `severity`: {"info", "warning",
    "error"}; `text`: what is wrong, how it was seen (the figure), what to do; `facts`: the figures of the
    text, for scripts; `concerns`: places of ``result.json`` that it speaks of, as ``composition.components.organic``.
    """

    code: str
    severity: Severity
    text: str
    facts: Metadata = field(default_factory=dict)
    concerns: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of the contract's ``messages``."""
        facts = {name: value.item() if hasattr(value, "item") else value for name, value in self.facts.items()}
        told = {"code": self.code, "severity": self.severity, "text": self.text, "facts": facts}
        return told | {"concerns": list(self.concerns)}

    def __str__(self) -> str:
        return f"{self.severity}: {self.code}: {self.text}"

    def __repr__(self) -> str:
        return screen(str(self), {})


@dataclass(frozen=True, kw_only=True)
class MessageKind:
    """One kind of message, declared once; calling it with text and figures gives the `Diagnostic`.

    `code` is stable, in upper case. `severity`: error, figures of this kind may not be used; warning, usable with care;
    info, the rest. `meaning` says on the page of messages what is wrong, `remedy` what to do about it, `threshold` the
    figure at which it is said, with its unit, and `origin` where it comes from: a source, a study, a judgement;
    each is empty where there is none. `concerns` are the places of ``result.json`` that every such message speaks of.
    """

    code: str
    severity: Severity
    meaning: str
    remedy: str = ""
    threshold: str = ""
    origin: str = ""
    concerns: tuple[str, ...] = ()

    def at(self, *places: str) -> MessageKind:
        """Give the same kind for a message that concerns these `places` of ``result.json`` instead."""
        return replace(self, concerns=places)

    def __call__(self, text: str, **facts: str | float | int | bool) -> Diagnostic:
        """Give the message with its text and the figures of the text."""
        return Diagnostic(code=self.code, severity=self.severity, text=text, facts=facts, concerns=self.concerns)


MESSAGE_KINDS: dict[str, MessageKind] = {}
"""Every kind of message by its code, filled where the kinds are declared; the page of messages is made from it."""


PLACES = {
    **dict.fromkeys(("XRD", "HOLDER", "HUMP", "FRAME", "CALIBRATION"), ("xrd",)),
    "TGA": ("tga",),
    "QUANTIFICATION": ("phases",),
    **dict.fromkeys(("FUSION", "COMPOSITION", "AMORPHOUS", "NOT", "PRIOR"), ("composition",)),
}
"""Part of ``result.json`` that a message concerns where nothing nearer is said, by the first word of its code."""


def message_kind(
    code: str, severity: Severity, meaning: str, *, concerns: tuple[str, ...] | None = None, **page: str
) -> MessageKind:
    """Declare a kind of message, as `MessageKind` describes it; a code that is taken raises ValueError.

    `page` are the `remedy`, `threshold` and `origin` that the page of messages names; `concerns` by default that of
    `PLACES`.
    """
    places = PLACES.get(code.partition("_")[0], ()) if concerns is None else concerns
    if code in MESSAGE_KINDS:
        raise ValueError(f"message code {code!r} is declared twice")
    kind = MESSAGE_KINDS[code] = MessageKind(code=code, severity=severity, meaning=meaning, concerns=places, **page)
    return kind


@dataclass(frozen=True, kw_only=True, repr=False)
class Source(Record):
    """Origin of a measurement: file name without folders, SHA-256 of its bytes (hex), registry format id.

    `sample_name` is what the file calls its specimen, None where it does not.
    """

    file: str
    sha256: str
    format: str
    sample_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class EmissionLine(Record):
    """One line of the X-ray spectrum.

    Attributes
    ----------
    wavelength : float
        Å.
    weight : float
        Relative to the strongest line (1).
    fwhm : float
        Natural width in Å where it is known, 0 where one width serves all lines.
    label : str
        ``kbeta`` or ``w_la`` for a residual line, whose weight the fit may refine; "" otherwise.
    """

    wavelength: float
    weight: float = 1.0
    fwhm: float = 0.0
    label: str = ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pattern(Record):
    """One powder diffraction scan.

    Parameters
    ----------
    two_theta : (n,) array, degrees, strictly increasing, 0 < two_theta < 180 at every point used
    intensity : (n,) array, as measured, in `intensity_unit`
    sigma : (n,) array, one standard deviation of `intensity`, same unit, > 0
    intensity_unit : {"counts", "cps", "arbitrary"}
    counting_time_s : float or None
        Seconds per point, where the file holds it.
    emission_lines : tuple of EmissionLine
        As the file states them; empty where it does not.
    anode : str
        Element symbol of the tube's anode, "" where unknown.
    metadata : mapping
        Other facts of the file (``sample_name``, ``date``, ``instrument``, ``scan_axis`` …).
    source : Source or None
        Which file it came from.
    messages : tuple of Diagnostic
        What the reader found suspicious; reaches ``result.json``.

    Raises
    ------
    PatternError
        Unequal lengths, fewer than two points, angles that do not increase, values that are not finite,
        sigma that is not positive.
    """

    two_theta: FloatArray
    intensity: FloatArray
    sigma: FloatArray
    intensity_unit: IntensityUnit = "arbitrary"
    counting_time_s: float | None = None
    emission_lines: tuple[EmissionLine, ...] = ()
    anode: str = ""
    metadata: Metadata = field(default_factory=dict)
    source: Source | None = None
    messages: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self, "two_theta", "intensity", "sigma")
        axis = self.two_theta
        if axis.ndim != 1 or len(axis) < 2:
            msg = f"two_theta must be one-dimensional with at least two points; it has shape {axis.shape}."
            raise PatternError(msg)
        _check_finite(axis, "two_theta", len(axis))
        if not (np.diff(axis) > 0).all():
            i = int(np.argmax(np.diff(axis) <= 0)) + 1
            raise PatternError(
                f"two_theta must increase; point {i} is {axis[i]:g} after {axis[i - 1]:g} degrees. "
                "The data may hold two scans, or columns may be swapped.",
                index=i,
                value=float(axis[i]),
            )
        for name in ("intensity", "sigma"):
            _check_finite(getattr(self, name), name, len(axis))
        if not (self.sigma > 0).all():
            index = int(np.argmax(self.sigma <= 0))
            msg = f"sigma must be positive; point {index} has {self.sigma[index]:g}."
            raise PatternError(msg, index=index, value=float(self.sigma[index]))

    @classmethod
    def from_xy(
        cls,
        two_theta: npt.ArrayLike,
        intensity: npt.ArrayLike,
        sigma: npt.ArrayLike | None = None,
        *,
        wavelength: float | Sequence[float] | None = None,
        intensity_unit: IntensityUnit = "arbitrary",
        **facts: Any,
    ) -> Pattern:
        """Make a pattern of arrays, judged as the same columns in a file would be.

        Parameters
        ----------
        two_theta : array_like, degrees
        intensity : array_like, in `intensity_unit`
        sigma : array_like, optional
            Standard deviations; without them those of counting, or of the scatter of neighbouring points where the
            intensities are neither counts nor a rate with ``counting_time_s``.
        wavelength : float or several, ångström, optional
            The strongest first; a second one has half its weight (Kα2).
        intensity_unit : {"counts", "cps", "arbitrary"}
            Whole numbers that scatter like counts are taken for counts.
        **facts
            Further fields: ``counting_time_s``, ``anode``, ``emission_lines``, ``metadata`` …

        Returns
        -------
        Pattern

        Raises
        ------
        ReadError, PatternError
            Columns that are no powder scan.
        ArgumentError
            Something that is no array of numbers.
        """
        given = {"two_theta": two_theta, "intensity": intensity} | ({} if sigma is None else {"sigma": sigma})
        arrays: dict[str, Any] = {name: _numbers(values, name) for name, values in given.items()}
        if wavelength is not None:
            lengths = [float(wavelength)] if isinstance(wavelength, int | float) else list(wavelength)
            facts["emission_lines"] = tuple(
                EmissionLine(wavelength=length, weight=KALPHA2_RATIO if number else 1.0)
                for number, length in enumerate(lengths)
            )
        if sigma is not None:
            return cls(**{"intensity_unit": intensity_unit, **arrays, **facts})
        scans = importlib.import_module("xrdcomp.io.scans")  # late, because it rests on this module
        judged: Pattern = scans.pattern_of_arrays(**arrays, unit=intensity_unit, **facts)
        return judged

    @classmethod
    def from_dataframe(cls, table: pd.DataFrame, **facts: Any) -> Pattern:
        """Make a pattern of a table: its columns ``two_theta``, ``intensity``, ``sigma``, else the first two.

        Units in brackets behind the names are allowed, as `to_dataframe` writes them; `facts` are those of `from_xy`.
        """
        found = _columns(
            table, "table",
            two_theta=("two_theta", "2theta", "2θ", "angle"), intensity=("intensity", "counts", "y"),
            sigma=("sigma", "esd", "std", "error"),
        )  # fmt: skip
        unit = found["intensity"][1]
        facts = ({"intensity_unit": unit} if unit in ("counts", "cps", "arbitrary") else {}) | facts
        return cls.from_xy(**{name: column for name, (column, _) in found.items()}, **facts)

    def to_dataframe(self) -> pd.DataFrame:
        """Points as a table: ``two_theta (deg)``, ``intensity (unit)``, ``sigma (unit)``."""
        import pandas as pd

        unit, columns = self.intensity_unit, {"two_theta (deg)": self.two_theta}
        columns |= {f"intensity ({unit})": self.intensity, f"sigma ({unit})": self.sigma}
        return pd.DataFrame(columns)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw intensity over angle on `ax`, or on axes of a new figure, and return the axes."""
        return drawn("draw_measurement", self, ax)

    def _headline(self) -> str:
        x, name = self.two_theta, self.source.file if self.source is not None else "from arrays"
        return (
            f"Pattern {name}: {len(x)} points, {x[0]:.7g} to {x[-1]:.7g}° 2θ in steps of {np.median(np.diff(x)):.4g}°, "
            f"up to {self.intensity.max():.5g} {self.intensity_unit}"
        )

    def __len__(self) -> int:
        return len(self.two_theta)


_GASES: tuple[tuple[Atmosphere, str], ...] = (
    ("carbon_dioxide", r"\bco2\b|co₂|carbon[ _-]?dioxide|kohlendioxid|kohlenstoffdioxid|diox(yd|id)[eo] d[ei] carbon"
        r"|gaz carbonique|anidride carbonica|二酸化炭素|二氧化碳|углекислый"),
    ("air", r"\bair[ea]?\b|\bluft\b|synth(etic)?\.? ?air|\bsyn\.? ?luft|\baria\b|\blucht\b|空気|空气|воздух|powietrze"),
    ("oxygen", r"\bo2\b|o₂|oxygen|sauerstoff|oxyg[eè]ne|ox[ií]geno|ossigeno|zuurstof|酸素|氧气|кислород|\btlen\b"),
    ("nitrogen", r"\bn2\b|n₂|nitrogen|stickstoff|azot|nitr[oó]geno|stikstof|窒素|氮气|азот"),
    ("argon", r"\bar\b|arg[oó]n|アルゴン|氩|аргон"),
    ("helium", r"\bhe\b|h[eé]lium|\bh?elio\b|ヘリウム|氦|гелий"),
)  # fmt: skip
"""Gases with the words and formulae that laboratories and instruments have for them, in lower case."""
_AT = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*(min|h|s|°?c|k)\s*", re.IGNORECASE)


def atmosphere_of(text: str) -> Atmosphere:
    """Atmosphere named in a text; "unknown" where it names none or several.

    Examples
    --------
    >>> atmosphere_of("Gas to Nitrogen at 20.0 ml/min"), atmosphere_of("N2/O2"), atmosphere_of("Stickstoff")
    ('nitrogen', 'unknown', 'nitrogen')
    """
    low = text.lower()
    found = {gas for gas, pattern in _GASES if re.search(pattern, low)}
    if "air" in found and found <= {"air", "oxygen", "nitrogen"} and ("synth" in low or len(found) == 3):
        return "air"
    return found.pop() if len(found) == 1 and not re.search(r"\bh2\b|hydrogen", low) else "unknown"


@dataclass(frozen=True, kw_only=True, repr=False)
class GasChange(Record):
    """A gas that flows from some point of a run on: minutes since the first reading, or °C reached for the first time.

    `source` says where it is known from: the ``file``, the ``user``, or ``inferred`` from the curve.
    """

    gas: Atmosphere
    from_min: float | None = None
    from_c: float | None = None
    source: Literal["file", "user", "inferred"] = "file"

    def __str__(self) -> str:
        at = "" if self.from_min is None else f"@{self.from_min:g}min"
        return f"{self.gas}{at}" if self.from_c is None else f"{self.gas}@{self.from_c:g}C"


def parse_gases(text: str) -> tuple[GasChange, ...]:
    """Gases as a user states them: ``nitrogen``, ``N2,air@177min``, ``Ar, O2@600C``; the first from the start.

    Raises ArgumentError for a gas that is not known or a place that is none.
    """
    found: list[GasChange] = []
    for part in text.split(","):
        name, at_sign, at = part.partition("@")
        gas, place = atmosphere_of(name.replace("_", " ")), _AT.fullmatch(at)
        misplaced = place is None if found else bool(at_sign)
        if misplaced or (gas == "unknown" and name.strip().lower() != "unknown"):
            names = ", ".join(sorted(gas for gas, _ in _GASES))
            expected = f"a gas ({names}, or its formula), and changes as nitrogen,air@177min or nitrogen,air@600C"
            raise ArgumentError("atmosphere", text, expected)
        unit, value = (place[2].lower(), float(place[1])) if place else ("", 0.0)
        minutes = {"min": value, "h": 60.0 * value, "s": value / 60.0}.get(unit)
        celsius = value - 273.15 if unit == "k" else value
        found.append(GasChange(gas=gas, from_min=minutes, from_c=None if minutes is not None or not unit else celsius,
                               source="user"))  # fmt: skip
    return tuple(found)


ATMOSPHERE_OVERRIDDEN = message_kind(
    "TGA_ATMOSPHERE_OVERRIDDEN", "warning", "The gas that the user states is not that of the file; the former holds.",
    remedy="Leave the atmosphere out, or correct the file.", threshold="1 % of the readings between two places",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TgaRun(Record):
    """One thermogravimetric run, every segment the file holds, in the order measured.

    Parameters
    ----------
    temperature_c : (n,) array, °C (of the sample where the file has it)
    mass : (n,) array, in `mass_unit`
    mass_unit : {"mg", "ug", "g", "percent", "fraction"}
        Unit of `mass` as read. ``percent`` and ``fraction`` refer to `initial_mass_mg`.
    time_s : (n,) array or None, seconds from the start, not decreasing
    initial_mass_mg : float or None
        From the header; None where the file does not say.
    segment : (n,) integer array
        Number of the temperature segment each point belongs to, from 0.
    atmosphere : str
        Atmosphere at the start as far as the file states it, "unknown" otherwise.
    gas_changes : tuple of GasChange
        Later gases, in order.
    heating_rate_k_min : float or None
        From the header; the analysis measures it from time and temperature where it can.
    corrected : bool
        False where the masses are raw readings of the balance, from which no correction run was subtracted.
    metadata : mapping
        Other facts of the file.
    source : Source or None
    messages : tuple of Diagnostic
        What the reader found suspicious; reaches ``result.json``.
    """

    temperature_c: FloatArray
    mass: FloatArray
    mass_unit: MassUnit
    time_s: FloatArray | None = None
    initial_mass_mg: float | None = None
    segment: IntArray | None = None
    atmosphere: Atmosphere = "unknown"
    gas_changes: tuple[GasChange, ...] = ()
    heating_rate_k_min: float | None = None
    corrected: bool = True
    metadata: Metadata = field(default_factory=dict)
    source: Source | None = None
    messages: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        curves = ("temperature_c", "mass", *(() if self.time_s is None else ("time_s",)))
        _freeze(self, *curves)
        n = len(self.temperature_c)
        if n < 2:
            raise PatternError(f"a TGA run needs at least two points; this one has {n}.")
        for name in curves:
            _check_finite(getattr(self, name), name, n)
        segment = np.zeros(n, dtype=np.int64) if self.segment is None else np.array(self.segment, np.int64)
        if len(segment) != n:
            raise PatternError(f"segment has {len(segment)} entries for {n} points.")
        segment.setflags(write=False)
        object.__setattr__(self, "segment", segment)

    def gas_starts(self) -> tuple[int, ...]:
        """Find where each of `gas_changes` begins.

        Returns
        -------
        tuple of int
            Index of the first reading under each gas; the number of readings for one that the run does not reach.

        Raises
        ------
        ArgumentError
            A change is given in minutes and the run has no time.
        """
        starts: list[int] = []
        for change in self.gas_changes:
            if change.from_c is not None:
                reached = self.temperature_c >= change.from_c
            elif change.from_min is not None and self.time_s is not None:
                reached = self.time_s - self.time_s[0] >= 60.0 * change.from_min - 1e-6
            else:
                raise ArgumentError("atmosphere", str(change), "a place in °C, since the run has no time: air@600C")
            starts.append(int(np.argmax(reached)) if reached.any() else len(self))
        return tuple(starts)

    def under(self, gases: str) -> TgaRun:
        """Put the gases that the user states in place of those of the file.

        Parameters
        ----------
        gases : str
            ``nitrogen``, or with changes ``nitrogen,air@177min`` (since the first reading), ``nitrogen,air@600C`` (the
            first time that temperature is reached).

        Returns
        -------
        TgaRun
            With a warning among its messages where the file states another gas, or the same elsewhere.

        Raises
        ------
        ArgumentError
            A gas or place is not known, or a change is given in minutes and the run has no time.
        """
        first, *later = parse_gases(gases)
        run = replace(self, atmosphere=first.gas, gas_changes=tuple(later))
        said, stated = ([r.atmosphere, *(c.gas for c in r.gas_changes)] for r in (run, self))
        places = zip(run.gas_starts(), self.gas_starts(), strict=False)
        moved = any(abs(a - b) > 0.01 * len(self) for a, b in places)
        if self.atmosphere in ("unknown", first.gas) and (said == stated or not self.gas_changes) and not moved:
            return run
        file = ", ".join([self.atmosphere, *map(str, self.gas_changes)])
        text = f"the file says {file}, the user {gases}; the latter holds."
        message = ATMOSPHERE_OVERRIDDEN(text, file=file, user=gases)
        return replace(run, messages=(*self.messages, message))

    @classmethod
    def from_arrays(
        cls,
        temperature_c: npt.ArrayLike,
        mass: npt.ArrayLike,
        time_s: npt.ArrayLike | None = None,
        *,
        mass_unit: MassUnit = "mg",
        **facts: Any,
    ) -> TgaRun:
        """Make a run of arrays.

        Parameters
        ----------
        temperature_c : array_like, °C
        mass : array_like, in `mass_unit`
        time_s : array_like, s, optional
            Needed where the temperature does not only rise, and for rates.
        mass_unit : {"mg", "ug", "g", "percent", "fraction"}
        **facts
            Further fields: ``atmosphere``, ``initial_mass_mg``, ``segment``, ``metadata`` …

        Returns
        -------
        TgaRun

        Raises
        ------
        PatternError
            Arrays that are no measurement.
        ArgumentError
            Something that is no array of numbers.
        """
        columns: dict[str, Any] = {"temperature_c": temperature_c, "mass": mass, "time_s": time_s}
        return cls(**columns, mass_unit=mass_unit, **facts)

    @classmethod
    def from_dataframe(cls, table: pd.DataFrame, **facts: Any) -> TgaRun:
        """Make a run of a table: its columns ``temperature (°C)``, ``mass (mg)``, ``time (s)``, else the first two.

        `facts` are those of `from_arrays`; the unit of the mass is that in brackets behind its name, mg without one.
        """
        found = _columns(
            table, "table",
            temperature_c=("temperature", "temperature_c", "temp"), mass=("mass", "weight", "tg", "tga"),
            time_s=("time", "time_s"),
        )  # fmt: skip
        units = {"%": "percent", "wt%": "percent", "µg": "ug"}
        stated = {name: units.get(unit, unit) for name, (_, unit) in found.items() if unit}
        for name, legal in (("temperature_c", ("°C", "C")), ("time_s", ("s",)), ("mass", MassUnit.__args__)):  # type: ignore[attr-defined]
            if stated.get(name, legal[0]) not in legal:
                expected = f"{' or '.join(legal)}; convert the column"
                raise ArgumentError("table", f"{name} in {stated[name]}", expected)
        facts = ({"mass_unit": stated["mass"]} if "mass" in stated else {}) | facts
        return cls.from_arrays(**{name: column for name, (column, _) in found.items()}, **facts)

    def to_dataframe(self) -> pd.DataFrame:
        """Points as a table: ``temperature (°C)``, ``time (s)`` where known, ``mass (unit)``, ``segment``."""
        import pandas as pd

        columns: dict[str, Any] = {"temperature (°C)": self.temperature_c}
        if self.time_s is not None:
            columns["time (s)"] = self.time_s
        return pd.DataFrame(columns | {f"mass ({self.mass_unit})": self.mass, "segment": self.segment})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw mass over temperature on `ax`, or on axes of a new figure, and return the axes."""
        return drawn("draw_measurement", self, ax)

    def _headline(self) -> str:
        name = self.source.file if self.source is not None else "from arrays"
        return (
            f"TgaRun {name}: {len(self)} points, {self.temperature_c.min():.5g} to {self.temperature_c.max():.5g} °C, "
            f"{self.mass[0]:.5g} to {self.mass[-1]:.5g} {self.mass_unit}"
        )

    def __len__(self) -> int:
        return len(self.temperature_c)


@dataclass(frozen=True, kw_only=True)
class Cell(Record):
    """Unit cell: a, b, c in ångström; alpha, beta, gamma in degrees."""

    a: float
    b: float
    c: float
    alpha: float = 90.0
    beta: float = 90.0
    gamma: float = 90.0

    @property
    def parameters(self) -> tuple[float, float, float, float, float, float]:
        """The six parameters in the order a, b, c, alpha, beta, gamma."""
        return (self.a, self.b, self.c, self.alpha, self.beta, self.gamma)


@dataclass(frozen=True, kw_only=True, repr=False)
class Atom(Record):
    """One site of the asymmetric unit.

    `xyz` are fractions of the cell, `occupancy` runs from 0 to 1, `b_iso` is in Å².
    """

    label: str
    element: str
    xyz: tuple[float, float, float]
    occupancy: float
    b_iso: float


@dataclass(frozen=True, kw_only=True)
class ReferenceLine(Record):
    """A reflection known by position only: d in ångström, intensity relative to 100."""

    d_spacing: float
    relative_intensity: float


@dataclass(frozen=True, kw_only=True, repr=False)
class HeatingLosses(Record):
    """Losses of a crystalline phase on heating, as mass fractions of the phase.

    `water`, `organic` and `carbonate` go in the three windows of a thermogravimetric balance: below about 220 °C, from
    there to 600 °C, and from there to about 950 °C; they are named after what goes there in tissue. `kind` is
    ``carbonate``, ``oxalate``, ``hydrate``, ``hydroxide``, ``hydrogen_phosphate``, ``organic_crystal``, or empty where
    nothing is lost below 950 °C; `reaction` is the stoichiometry that the figures follow from.
    """

    water: float = 0.0
    organic: float = 0.0
    carbonate: float = 0.0
    kind: str = ""
    reaction: str = ""


@dataclass(frozen=True, kw_only=True, repr=False)
class PhaseFacts(Record):
    """Facts about a phase beside its structure, which travel with it through every result.

    `family` is the structure family whose members a pattern hardly tells apart, ``apatite`` or empty, `end_member` the
    member it is: ``hydroxyapatite``, ``fluorapatite``, ``chlorapatite``, ``carbonate_apatite``. A `salt` is a chloride
    that stays below about 800 °C and evaporates above. `carbonate_fraction` is the mass fraction of CO3 in carbonate
    groups, `own` marks a structure from outside the library, a `biomineral` what mineralises in or is deposited by
    tissue. `b_iso` is the mean B (Å²) of the atoms of a well-ordered phase in the literature with its standard
    uncertainty, near which a fit holds it; None where it is free, as it is of apatites.
    """

    family: str = ""
    end_member: str = ""
    heating: HeatingLosses = field(default_factory=HeatingLosses)
    salt: bool = False
    carbonate_fraction: float = 0.0
    own: bool = False
    biomineral: bool = False
    b_iso: tuple[float, float] | None = None

    @property
    def is_apatite(self) -> bool:
        """Membership of the apatite family."""
        return self.family == "apatite"

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, as plain values: nothing of what has its default."""
        usual = _usual_facts()
        return {name: value for name, value in asdict(self).items() if value != usual[name]}


@cache
def _usual_facts() -> dict[str, Any]:
    return asdict(PhaseFacts())


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Phase(Record):
    """A reference crystal structure, expanded so that numerical code needs no symmetry library.

    Parameters
    ----------
    id, name, formula : str
    space_group : str
        Hermann-Mauguin symbol with its setting, e.g. ``"P 63/m"``, ``"R -3 c:H"``.
    crystal_system : str
        ``triclinic, monoclinic, orthorhombic, tetragonal, trigonal, hexagonal, cubic``; trigonal
        structures are held in hexagonal axes.
    cell : Cell
    rotations : (m, 3, 3) integer array
        Rotation parts of the space group's operations (without centring), acting on coordinates.
    translations : (m, 3) array
        Translation parts, in fractions of the cell; centring vectors are in `centring`.
    centring : (k, 3) array
        Lattice centring vectors, the zero vector included.
    atoms : tuple of Atom
        The asymmetric unit.
    site_element : tuple of str, length s
        Element of each site of the full cell (asymmetric unit expanded by symmetry).
    site_xyz, site_occupancy, site_b_iso : (s, 3), (s,), (s,) arrays
        The full cell.
    reference_lines : tuple of ReferenceLine
        For phases without atoms: what is known of the pattern, positions only.
    source : str
        Citation of the structure.
    facts : PhaseFacts
        Family, losses on heating, carbonate: what is known beside the structure.
    cell_tolerance : mapping of axis to (low, high)
        Relative difference from `cell` at room temperature that the compound may have: an element has one cell, a solid
        solution a range. Empty where it is unknown.
    metadata : mapping
        What was assumed, such as displacement parameters that the source does not give; ``apatite`` names the end
        member that the atoms of a structure outside the library show.
    """

    id: str
    name: str
    formula: str
    space_group: str
    crystal_system: str
    cell: Cell
    rotations: IntArray
    translations: FloatArray
    centring: FloatArray
    atoms: tuple[Atom, ...]
    site_element: tuple[str, ...]
    site_xyz: FloatArray
    site_occupancy: FloatArray
    site_b_iso: FloatArray
    reference_lines: tuple[ReferenceLine, ...] = ()
    source: str = ""
    facts: PhaseFacts = field(default_factory=PhaseFacts)
    cell_tolerance: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    metadata: Metadata = field(default_factory=dict)

    @property
    def quantifiable(self) -> bool:
        """True where the phase has atoms, so that its intensities can be calculated."""
        return len(self.atoms) > 0

    @property
    def is_apatite(self) -> bool:
        """Membership of the apatite family, of the library or recognised by its atoms."""
        return self.facts.is_apatite


@dataclass(frozen=True, kw_only=True, repr=False)
class Instrument(Record):
    """A diffractometer: radiation, geometry, resolution. Angles in degrees, lengths in mm.

    Parameters
    ----------
    emission_lines : tuple of EmissionLine
        All emission lines that reach the detector, Kα2, residual Kβ and W Lα included.
    geometry : {"bragg_brentano", "debye_scherrer", "transmission"}
    radius_mm : float
        Goniometer radius; turns displacement in mm into an angle.
    monochromator_two_theta : float or None
        Diffraction angle of a crystal monochromator (26.6 for graphite with Cu Kα, diffracted beam);
        None for a filter or an energy-resolving detector.
    polarization_fraction : float
        As in ``physics.corrections.polarization``; 0.5 for the unpolarised beam of a tube.
    caglioti_u, caglioti_v, caglioti_w : float, deg²
        Gaussian FWHM² = U tan²θ + V tanθ + W.
    lorentzian_strain, lorentzian_size : float, deg
        Instrument's Lorentzian FWHM = lorentzian_size / cosθ + lorentzian_strain tanθ.
    axial_divergence : float
        Half height of slit and sample over radius, S/L = H/L (Finger, Cox & Jephcoat 1994); 0 turns the
        asymmetry off, larger values pull the low-angle tails further down.
    axial_correlation : float
        Share of the axial shift that is the same on both sides of 90°: a ray inclined before the specimen is
        inclined the other way behind it, because both pass one point of it. 0 without (parallel beam), 0.3 with
        Soller slits, 0.5 without any; larger values pull all lines down, by height² / (2 sin2θ).
    zero_shift : float, deg
        Observed = true + zero_shift.
    equatorial_divergence : float, deg
        Full divergence in the plane of diffraction; a flat specimen then lies off the focusing circle, which
        moves lines by −α² cotθ / 6. Larger values pull low angles down; 0 leaves it to the displacement.
    variable_slit : bool
        Automatic slits that keep the illuminated length constant; intensity then carries a factor sinθ.
    absorption_radius : float
        μR of a capillary (`geometry` debye_scherrer), μt of a foil (transmission) or of a layer too thin to
        stop the beam (bragg_brentano); lowers low or high angles as the path demands. 0: no absorption, a thick
        specimen.
    incidence_angle : float, deg
        Fixed angle between the primary beam and the surface of a flat specimen, in reflection or, as of 90 for a plate
        normal to the beam, in transmission; 0: the specimen turns with the detector (symmetric).
    specimen_length_mm : float
        Length of a flat specimen along the beam; with `equatorial_divergence` it tells where the beam of a fixed slit
        is longer than the specimen, whose intensities then fall towards low angles. 0: long enough.
    calibrated : bool
        Whether the resolution comes from a measured line-profile standard.
    polarization_stated : bool
        Whether file or user said what polarises the beam; where not, a fit takes graphite if intensities ask for it.
    name : str
    """

    emission_lines: tuple[EmissionLine, ...]
    geometry: Geometry = "bragg_brentano"
    radius_mm: float = 200.0
    monochromator_two_theta: float | None = None
    polarization_fraction: float = 0.5
    caglioti_u: float = 0.0
    caglioti_v: float = 0.0
    caglioti_w: float = 0.0025
    lorentzian_strain: float = 0.02
    lorentzian_size: float = 0.0
    axial_divergence: float = 0.03
    axial_correlation: float = 0.0
    zero_shift: float = 0.0
    equatorial_divergence: float = 0.0
    variable_slit: bool = False
    absorption_radius: float = 0.0
    incidence_angle: float = 0.0
    specimen_length_mm: float = 0.0
    calibrated: bool = False
    polarization_stated: bool = True
    name: str = "generic laboratory diffractometer"

    def __post_init__(self) -> None:
        if not self.emission_lines:
            raise PatternError("an instrument needs at least one emission line; pass radiation= or wavelength=.")
        numbers = {name: value for name, value in vars(self).items() if isinstance(value, float)}
        for number, line in enumerate(self.emission_lines):
            if not line.wavelength > 0.0 or not line.weight >= 0.0 or not line.fwhm >= 0.0:
                raise PatternError(f"an emission line has a wavelength above 0 and no negative weight; got {line!r}.")
            facts = {name: getattr(line, name) for name in ("wavelength", "weight", "fwhm")}
            numbers |= {f"emission_lines.{number}.{name}": value for name, value in facts.items()}
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise PatternError(f"{name} of an instrument is {value}. Expected: a finite number.")
        if not self.radius_mm > 0.0 or not any(line.weight > 0.0 for line in self.emission_lines):
            raise PatternError("an instrument has a radius above 0 and a line with a weight above 0.")

    @property
    def wavelength(self) -> float:
        """Wavelength of the strongest line, ångström."""
        return max(self.emission_lines, key=lambda line: line.weight).wavelength


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Sample(Record):
    """All that was measured of one specimen.

    Attributes
    ----------
    sample_id : str
    pattern, blank : Pattern or None
        Powder pattern, and the scan of the empty holder.
    tga, tga_blank : TgaRun or None
        Thermogravimetric run, and that of the empty pan with the same programme.
    instrument : Instrument or None
        None: from the recipe, else from the pattern.
    internal_standard : (str, float) or None
        Phase id and its fraction of the spiked mass, 0 to 1.
    metadata : mapping
        Further facts; ``simulated`` where the measurements were computed.
    """

    sample_id: str
    pattern: Pattern | None = None
    tga: TgaRun | None = None
    instrument: Instrument | None = None
    blank: Pattern | None = None
    tga_blank: TgaRun | None = None
    internal_standard: tuple[str, float] | None = None
    metadata: Metadata = field(default_factory=dict)


def _check_finite(values: FloatArray, name: str, n: int) -> None:
    if values.shape != (n,):
        raise PatternError(f"{name} has shape {values.shape}; expected ({n},).")
    if not np.isfinite(values).all():
        i = int(np.argmax(~np.isfinite(values)))
        raise PatternError(f"{name} must be finite; point {i} is {values[i]}.", index=i, value=float(values[i]))
