"""Rules over the names and dates in the files of one specimen."""

from __future__ import annotations

import re
from datetime import datetime

from xrdcomp.checks.registry import Analysis, check
from xrdcomp.data import Diagnostic, Pattern, TgaRun, message_kind

NAMES = message_kind(
    "SPECIMEN_NAMES_DIFFER", "warning",
    "The files of the pattern and of the thermogravimetric run name different specimens.",
    remedy="Check that both files belong to one specimen; if they do, ignore this message.",
    concerns=("composition", "claims"),
)  # fmt: skip
DATES = message_kind(
    "SPECIMEN_DATES_DIFFER", "info", "A long time passed between the pattern and the thermogravimetric run.",
    remedy="Dry both aliquots in the same way; amorphous phosphate may have crystallised meanwhile.",
    threshold="400 days", origin="beyond a year the order of day and month makes no difference",
)  # fmt: skip
_GENERIC = """simulated sample specimen probe echantillon muestra tga dsc sta dtg dta tg xrd pxrd xrpd powder pattern
scan run measurement measured data test unknown untitled default none new file air nitrogen argon oxygen helium n2 o2 ar
he pan crucible al2o3 pt mg"""
"""Words in the field of the sample name that do not name a sample."""
_NUMBER_WITH_UNIT = re.compile(r"\d+(?:k|c|min|mg|deg|h|kmin|cmin|kv|ma|mm|um)")
_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y",
    "%b %d %Y", "%d.%m.%y", "%m/%d/%y", "%Y.%m.%d", "%Y%m%d",
)  # fmt: skip
_DAYS_APART = 400


def _name(measured: Pattern | TgaRun) -> str:
    stated = measured.source.sample_name if measured.source is not None else None
    return str(stated or measured.metadata.get("sample_name") or "")


def _words(name: str) -> list[str]:
    """Words of a name that distinguish specimens, numbers without leading zeros."""
    words = [re.sub(r"(?<!\d)0+(?=\d)", "", word) for word in re.findall(r"[^\W_]+", name.casefold())]
    return [word for word in words if word not in _GENERIC.split() and not _NUMBER_WITH_UNIT.fullmatch(word)]


def name_different_specimens(first: str, second: str) -> bool:
    """Whether two names cannot belong to one specimen; if it is unclear, they may.

    Names agree if one contains the other, or if they share a number or a code or, where either has none, a word.
    """
    words = _words(first), _words(second)
    joined = ["".join(each) for each in words]
    if not all(joined) or joined[0] in joined[1] or joined[1] in joined[0]:
        return False
    codes = [{word for word in each if re.search(r"\d", word)} for each in words]
    if all(codes):
        return not codes[0] & codes[1]
    return not {w for w in words[0] if len(w) > 2} & {w for w in words[1] if len(w) > 2}


@check(NAMES, "composition")
def names_of_the_files(analysis: Analysis) -> Diagnostic | None:
    """Compare the names of the specimen in the two files."""
    sample = analysis.sample
    if sample is None or sample.pattern is None or sample.tga is None:
        return None
    names = _name(sample.pattern), _name(sample.tga)
    if not name_different_specimens(*names):
        return None
    text = f"The specimen is {names[0]!r} in the file of the pattern and {names[1]!r} in that of the thermogravimetric "
    text += f"run. If these are different specimens, do not use any result that combines the two. {NAMES.remedy}"
    return NAMES(text, xrd=names[0], tga=names[1])


def _date(measured: Pattern | TgaRun) -> datetime | None:
    """Day of the measurement; None if the file does not state it, or not in a known format."""
    stated = str(measured.metadata.get("date") or "").strip().replace(",", " ")
    words = stated.replace("T", " ").split() if re.match(r"\d{4}-", stated) else stated.split()
    for text in filter(None, (" ".join(words[:1]), " ".join(words[:3]), " ".join(words[1:4]))):
        for form in _FORMATS:
            try:
                found = datetime.strptime(text, form)  # only the day matters, not the time zone
            except ValueError:
                continue
            return found if 1980 <= found.year <= 2100 else None
    return None


@check(DATES, "composition")
def dates_of_the_files(analysis: Analysis) -> Diagnostic | None:
    """Compare the dates of both measurements."""
    sample = analysis.sample
    if sample is None or sample.pattern is None or sample.tga is None:
        return None
    first, second = _date(sample.pattern), _date(sample.tga)
    if first is None or second is None or abs((first - second).days) <= _DAYS_APART:
        return None
    days = abs((first - second).days)
    text = f"The pattern was measured on {first:%Y-%m-%d} and the thermogravimetric run on {second:%Y-%m-%d}, {days} "
    text += f"days apart. Water and amorphous mineral may have changed in between. {DATES.remedy}"
    return DATES(text, days=days)
