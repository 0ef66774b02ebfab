"""Columns and header facts of a thermogravimetric file, from names, units and words used by instruments."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xrdcomp.errors import either
from xrdcomp.units import MG_PER_UNIT, FloatArray

Dimension = Literal["time", "temperature", "mass", "rate", "heat", "flow", "none", "other"]
Role = Literal[
    "time", "sample_temperature", "temperature", "furnace_temperature", "program_temperature", "mass", "mass_change",
    "conversion", "heat", "segment", "other",
]  # fmt: skip

_REPAIRS = {"Â°": "°", "ï¿½": "°", "\ufffd": "°", "Âµ": "µ", "Î¼": "µ", "℃": "°C", "癈": "°C", "¡C": "°C", "¡ C": "°C"}
"""Degree and micro signs after one wrong decoding (癈: ``°C`` as GBK, ¡: of Mac OS); the letter leaves no doubt."""
_DEGREE_SIGNS = str.maketrans("º˚ø>ｰС", "°°°°°C")
_SPELLINGS: dict[tuple[Dimension, str], str] = {
    ("time", "s"): "s sec secs second seconds sek sekunden secondes segundos secondi 秒 秒钟 초 сек с sn saniye",
    ("time", "min"): "min mins minute minutes minuten minutos minuti 分 分钟 分鐘 분 мин хв dk dakika",
    ("time", "h"): "h hr hrs hour hours std heures horas ore 时 小时 時間 시간 ч год sa saat",
    (
        "temperature",
        "C",
    ): "°c c с degc deg.c oc celsius cel 摄氏度 攝氏度 섭씨 degreec degreesc degcelsius degreecelsius degreescelsius",
    ("temperature", "K"): "k kelvin °k degk",
    ("temperature", "F"): "°f f fahrenheit degf",
    ("mass", "mg"): "mg milligram milligrams мг 毫克 ミリグラム",
    ("mass", "ug"): "ug mcg microgram micrograms мкг 微克",
    ("mass", "g"): "g gram grams г 克 グラム",
    ("mass", "percent"): (
        "% wt% wt.% wt.-% w% w/w% %w/w mass% mass-% m% m.-% ma% ma.-% pct percent %(w/w) weight% gew% gew.-% %m/m"
    ),
    ("mass", "fraction"): "g/g mg/mg kg/kg fraction frac frac. 1",
}
_UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_OTHER_UNITS: tuple[tuple[Dimension, re.Pattern[str]], ...] = (
    ("rate", re.compile(r"(d?%|mg|ug|g|1|wt\.?%)/\(?(min|s|sec|h|°?c|k)(\^?2|²)?\)?$|(min|s|°?c|k)(\^?-1|⁻¹)$")),
    ("heat", re.compile(r"(m|u)?w(/m?g)?$|(m|u)v(/m?g)?$|j/|uv/m?w$|m?w/m?w$")),
    ("flow", re.compile(r"(m|c)?l/(min|s|h)$|sccm$|cc?m?/min$|cm3/min$|cm³/min$|(°?c|k)/(min|s)$")),
)
"""Units that no run is made of; a rate of temperature counts as a flow."""


def unit_of(text: str) -> tuple[Dimension, str]:
    """Dimension and canonical unit of a unit as written; ("none", "") where there is none.

    Examples
    --------
    >>> unit_of("µg"), unit_of("[°C]"), unit_of("ml/min")
    (('mass', 'ug'), ('temperature', 'C'), ('flow', 'ml/min'))
    """
    unit = _repair(text).strip().strip("[]{}").strip()
    if unit.startswith("(") and unit.endswith(")"):
        unit = unit[1:-1].strip()
    unit = unit.translate(_DEGREE_SIGNS).replace("µ", "u").replace("μ", "u").replace(" ", "").lower()
    unit = unit if unit == "frac." else unit.rstrip(".")
    if unit in ("", "-", "--", "°"):
        return "none", ""
    if unit in _UNITS:
        return _UNITS[unit]
    return next((dimension for dimension, pattern in _OTHER_UNITS if pattern.match(unit)), "other"), unit


def _repair(text: str) -> str:
    for wrong, right in _REPAIRS.items():
        text = text.replace(wrong, right)
    return text


_BRACKETED = re.compile(r"^(?P<name>.*?)\s*[\[({](?P<unit>[^\[\](){}]*)[\])}]\s*$")
_SLASHED = re.compile(r"^(?P<name>.+?)\s*/\s*(?P<unit>\(.*\)|[^/\s()]+)\s*$")
_TRAILING = re.compile(r"^(?P<name>.+?)[\s,_]+(?P<unit>[^\s,_]+)\s*$")


def split_header(text: str) -> tuple[str, str]:
    """Name and unit of a header cell: ``Time (s)``, ``Mass/%``, ``Temp [K]``, ``weight, mg``, ``mass_mg``.

    Examples
    --------
    >>> split_header("Gas Flow(purge2)/(ml/min)"), split_header("temperature_K"), split_header("Rest")
    (('Gas Flow(purge2)', 'ml/min'), ('temperature', 'K'), ('Rest', ''))
    """
    cell = _repair(text[:200]).strip().strip('"').lstrip("#").strip()
    for pattern in (_SLASHED, _BRACKETED):
        match = pattern.match(cell)
        if match and unit_of(match["unit"])[0] != "other":
            unit = match["unit"].strip()
            return match["name"].strip(), unit[1:-1] if unit.startswith("(") else unit
    match = _BRACKETED.match(cell)
    if match and match["name"] and not re.search(r"[-/(]", match["name"]):
        return match["name"].strip(), match["unit"].strip()
    match = _TRAILING.match(cell)
    if match and unit_of(match["unit"])[0] not in ("other", "none") and match["unit"].lower() != "f":
        return match["name"].strip(), match["unit"].strip()
    if cell.endswith("%") and len(cell) > 1:
        return cell[:-1].strip(), "%"
    return cell, ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One column of a table, NaN where a cell is blank.

    `name` and `unit` are as in the file, with degree and micro signs corrected; `canonical` is one of ``s min h``,
    ``C K F``, ``mg ug g percent fraction``, "" where no unit is stated; `number` is the position, from 1.
    """

    name: str
    unit: str
    dimension: Dimension
    canonical: str
    role: Role
    values: FloatArray
    number: int

    @property
    def label(self) -> str:
        """Name and unit for messages."""
        return f"{self.name} ({self.unit})" if self.unit else self.name or f"column {self.number}"


def column_of(name: str, unit: str, values: FloatArray, number: int) -> Column:
    """Make a column and recognise what it is."""
    dimension, canonical = unit_of(unit)
    role, low = classify(name, dimension), name.lower()
    if dimension == "none" and role in ("mass", "mass_change"):  # ``Mass fraction``, ``m/m0``, ``Weight percent``
        if re.search(r"fraction|\bm\s*/\s*m_?0\b", low):
            dimension, canonical = "mass", "fraction"
        elif re.search(r"percent|prozent|%", low):
            dimension, canonical = "mass", "percent"
    shown = unit.strip() if dimension == "other" else _repair(unit).strip().strip("[]").translate(_DEGREE_SIGNS)
    return Column(
        name=name, unit=shown, dimension=dimension, canonical=canonical, role=role, values=values, number=number
    )


TIME_WORDS = r"time|zeit|temps|tiempo|tempo|tijd|czas|čas|id[őõ]|tid|timp|zaman|время|час|χρόνος|時間|时间|시간"
TEMPERATURE_WORDS = r"temp|lämpötila|h[őõ]mérséklet|teplota|s[ıýi]cakl[ıýi]k|температур|^темп\b|θερμοκρασία|温度|온도"
MASS_WORDS = (
    r"mass|weight|gewicht|poids|\bpeso\b|\bmasa\b|\bwaga\b|hmotnost|tömeg|\bvikt\b|vægt|\bmas[ăã]\b|k[üu]tle|ağırlık|масса|\bмаса\b|μάζα|βάρος|\bвес\b|重量|質量|质量"
    r"|무게|질량"
)
"""What laboratories call the three quantities, in lower case."""
_ROLES: tuple[tuple[Role, str, str], ...] = (
    ("segment", r"^(seg(ment)?|step)(\s*(no\.?|nr\.?|number|#))?$", ""),
    ("conversion", r"conversion|\balpha\b|^α$|umsatz|m_?0\s*-\s*m\b.*m_?(f|inf|∞)|degree of", ""),
    ("heat", r"", "heat"),
    (
        "heat", r"\bdsc\b|\bdta\b|heat ?flow|wärmestrom|^hf$|enthalp|heat flux|flux de chaleur|^udsc",
        "none other rate",
    ),
    ("other", r"", "rate flow other"),
    ("other", r"d{0,2}dtga?\b|deriv|ableitung|d\(?(m|w|tg|tga|mass|weight)%?\)?\s*/\s*d", ""),
    (
        "other",
        r"crucible|tiegel|baseline|\bflow\b|fluss|purge|pressure|druck|index|\bpoint|ambient|diagnostic"
        r"|cold junction|calib|correction|sensit|power|ramp|rate\b|\bion\b|\bdata\b|difference|\bdelta t", "",
    ),
    ("time", rf"^(elapsed |run |total |test )?({TIME_WORDS})(?![a-z])|^time|^t$", "time none"),
    ("temperature", rf"{TEMPERATURE_WORDS}|(^|[_\s])t\d?$|^t[srf]$|^[ϑθ]$|^t ?sample$|^t_?s$", "temperature none"),
    (
        "mass",
        rf"\bm\s*/\s*m_?0\b|{MASS_WORDS}|^tga?\d?\b|^tg\W|^m$|^w$|^wt\b|residu|^udtg$|thermograv|termograv"
        r"|热重|熱重", "mass none",
    ),
    ("time", r"", "time"),
    ("temperature", r"^$|^(furnace|sample|oven|ofen|probe|four|[ée]chantillon|program(med?)?)$", "temperature"),
    ("mass", r"^$|^(value|wert|valeur|valor|valore|signal)$", "mass"),
    (
        "mass_change",
        r"change|loss|verlust|änderung|aenderung|^δ|^delta|^dm$|gain|perte|variation|decrease|p[ée]rdida|perdita|variaci"
        r"|zmiana|ubytek|изменен|потер|変化|变化|減少|减少|失重", "mass",
    ),
)  # fmt: skip
"""Roles with the names they go by, in lower case, and the dimensions their unit may have; the first that fits holds."""
_TEMPERATURES: tuple[tuple[Role, str], ...] = (
    (
        "program_temperature",
        r"program|set ?point|\bset\b|\bsoll|reference|referenz|^tr$|nominal|target|consigne|consigna|設定|设定",
    ),
    ("furnace_temperature", r"furnace|ofen|oven|\bfour\b|^tf$|heater|cell|\bhorno\b|\bforno\b|\bpieca?\b|печ|炉"),
    (
        "sample_temperature",
        r"sample|probe|échantillon|echantillon|^ts$|^t_s$|specimen|muestra|campione|amostra|prób|vzor|образ|試料|试样|样品",
    ),
)
_CHANGE = _ROLES[-1][1]


def classify(name: str, dimension: Dimension) -> Role:
    """Role of a column from its name; the dimension of the unit decides if the name does not.

    A name and a unit that contradict each other (mass in °C) give ``other``.
    """
    low = _repair(name).strip().strip('"').lower()
    for role, names, dimensions in _ROLES:
        if (dimensions and dimension not in dimensions.split()) or not re.search(names, low):
            continue
        if not (names and role == "time" and name.strip() == "T"):
            if role == "temperature" and low:
                return next((kind for kind, kinds in _TEMPERATURES if re.search(kinds, low)), role)
            return "mass_change" if role == "mass" and re.search(_CHANGE, low) else role
    return "other"


def ask_column(*names: str, tail: str = "") -> str:
    """Sentence on naming columns by hand, in Python and on the command line."""
    mapping = ", ".join(f'"{name}": N' for name in names)
    options = " ".join(f"--column {name}=N" for name in names)
    told = f"with the number or name of the right one{tail}."
    return either(f"Pass columns={{{mapping}}} {told}", f"Pass {options} {told}")


# Facts of the header

_HEATING_RATE = re.compile(r"([-+]?\d+(?:[.,]\d+)?)\s*\(?\s*(?:K|°?C|[^\w\s]{1,3}C)\s*/\s*(min|s)\b")


def heating_rate_of(text: str) -> float | None:
    """Heating rate in K/min of a program line: ``10.0(K/min)``, ``Ramp 2.00 °C/min to 550.00 °C``."""
    match = _HEATING_RATE.search(text[:4000])
    if not match or len(match[1]) > 20:
        return None
    rate = abs(float(match[1].replace(",", "."))) * (60.0 if match[2] == "s" else 1.0)
    return rate or None


def number_of(text: str) -> float | None:
    """First number in a text, with decimal point or comma; None without one."""
    match = re.search(r"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?", text)
    value = float(match[0].replace(",", ".")) if match else math.nan
    return value if math.isfinite(value) else None


_PAIR = re.compile(r"^[\s#%!/\"]*(?P<key>[^:=\t;]{2,60}?)\s*[:=\t;]+\s*(?P<value>.*?)[\s;\"]*$")
_COMMA_PAIR = re.compile(r"^[\s#%!/\"]*(?P<key>[^:=\t;,]{2,60}?)\"?\s*,[\s\"]*(?P<value>[^:=\t;]*?)[\s,\"]*$")


def header_facts(lines: Iterable[str], pattern: re.Pattern[str] = _PAIR, *, fold: bool = False) -> dict[str, str]:
    """First value of each key, separated by `pattern`, else by colon, tab, ``=``, ``;`` or, without these, a comma.

    `fold`: keys in lower case.
    """
    facts: dict[str, str] = {}
    comma = _COMMA_PAIR.match if pattern is _PAIR else lambda _: None
    for match in (pattern.match(line) or comma(line) for line in lines if len(line) < 4000):
        if match and match["value"]:
            key = match["key"].strip()
            facts.setdefault(key.lower() if fold else key, match["value"].strip())
    return facts


def mass_in_mg(key: str, value: str) -> float | None:
    """Mass in mg of a header line whose key or value states its unit; None otherwise."""
    number = number_of(value)
    match = re.search(r"(mg|µg|ug|μg|\bg)\b", value) or re.search(r"(mg|µg|ug|μg|\bg)\b", key)
    return None if number is None or match is None else number * MG_PER_UNIT.get(match[1], 1e-3)


def named_facts(
    facts: Mapping[str, str], names: Mapping[str, str], **lists: Sequence[str]
) -> dict[str, str | float | int | bool]:
    """Facts of a header under the names used in metadata, and lists under theirs, if the file states any."""
    found: dict[str, str | float | int | bool] = {}
    found |= {name: facts[key] for key, name in names.items() if facts.get(key)}
    found |= {name: " | ".join(items) for name, items in lists.items() if items}
    return found


def agreed(values: Iterable[float | None]) -> float | None:
    """The one value that is stated; None if there is none, or if several differ."""
    stated = {value for value in values if value is not None}
    return stated.pop() if len(stated) == 1 else None
