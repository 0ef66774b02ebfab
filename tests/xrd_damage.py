"""Ways in which diffraction files are edited, joined or stored wrongly and stay well-formed; what became of them."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable, Sequence

import numpy as np

from xrdcomp.data import Pattern
from xrdcomp.instrument.build import instrument_messages
from xrdcomp.io.scans import counting_scale
from xrdcomp.recipe import InstrumentRecipe

_ROW = re.compile(r"\s*[-+.\d][-+.\d\seE,;]*")
_NUMBER = re.compile(r"(?<![\w.])\d+\.?\d*(?![\w.])")
_COLUMNS = ("columns exchanged", "column dropped", "column doubled")
_ROWS = (
    "rows left out", "rows doubled", "rows exchanged", "zeros in a stretch", "another scale in a stretch",
    "another decimal sign in a stretch", "padding with zeros", "blocks exchanged", "first row malformed",
    "last row malformed", "last rows cut off", "thousands separated",
)  # fmt: skip
_HEADER = ("another count", "another range", "another wavelength", "another unit", "a header line left out")
_LISTS = ("numbers of a list left out", "numbers of a list doubled", "a number of a list cut in two")
_BINARY = ("records left out", "records doubled", "zeros in records", "another scale in records", "zeros behind")
_ARCHIVES = ("gzip of two members", "bzip2 of two streams", "gzip cut", "member left out", "member cut")
STRUCTURES = (*_COLUMNS, *_ROWS, "a second scan behind", *_HEADER, *_LISTS, *_BINARY, *_ARCHIVES)


def _cells(row: str) -> tuple[list[str], str]:
    sign = next((sign for sign in ("\t", ";", ", ", ",") if sign in row.strip()), " ")
    return [cell for cell in row.strip().split(None if sign == " " else sign) if cell.strip()], sign


def restructure(data: bytes, dice: random.Random, kind: str) -> bytes | None:
    """Copy that is wrong as a whole, by `kind`; None where the file has nothing of the kind."""
    if kind in ("gzip of two members", "bzip2 of two streams", "gzip cut"):
        half = dice.randrange(1, len(data))
        pack: Callable[[bytes], bytes] = bz2.compress if kind.startswith("bzip2") else gzip.compress
        packed = pack(data)
        return (
            packed[: dice.randrange(len(packed) // 2, len(packed))]
            if "cut" in kind
            else pack(data[:half]) + pack(data[half:])
        )
    if data[:4] == b"PK\x03\x04":
        return _rezip(data, dice, kind)
    if kind in ("member left out", "member cut"):
        return None
    if kind in _BINARY:
        return _rebin(data, dice, kind) if b"\x00\x00" in data[:4000] else None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    if encoding == "latin-1" and b"\x00" in data:
        return None
    text = data.decode(encoding)
    end = "\r\n" if "\r\n" in text else "\r" if "\r" in text and "\n" not in text else "\n"
    changed = _retext(text.split(end), dice, kind, end)
    return None if changed is None else changed.encode(encoding)


def _retext(lines: list[str], dice: random.Random, kind: str, end: str) -> str | None:  # noqa: C901 - one branch for each kind
    rows = [i for i, line in enumerate(lines) if _ROW.fullmatch(line)]
    if kind in _LISTS:
        return _relist(lines, dice, kind, end)
    if kind == "a second scan behind":
        text = end.join(lines)
        return text + ("" if text.endswith(end) else end) + text
    if kind in _HEADER:
        return _rehead(lines, dice, kind, rows[0] if rows else len(lines), end)
    if len(rows) < 40:
        return None
    a = dice.randrange(5, len(rows) - 20)
    part = rows[a : a + dice.randint(2, min(60, len(rows) - a - 2))]
    width = len(_cells(lines[rows[len(rows) // 2]])[0])
    k = dice.randrange(width)
    if kind in _COLUMNS:
        if width < 2 or width > 5:
            return None
        m = (k + 1) % width
        for i in rows:
            cells, sign = _cells(lines[i])
            if len(cells) != width:
                continue
            if kind == "columns exchanged":
                cells[k], cells[m] = cells[m], cells[k]
            else:
                cells[k : k + 1] = [] if kind == "column dropped" else [cells[k]] * 2
            lines[i] = sign.join(cells)
    elif kind == "rows left out":
        lines = [line for i, line in enumerate(lines) if i not in set(part)]
    elif kind == "rows doubled":
        lines[part[-1] + 1 : part[-1] + 1] = [lines[i] for i in part]
    elif kind == "rows exchanged":
        b = rows[dice.randrange(len(rows))]
        lines[rows[a]], lines[b] = lines[b], lines[rows[a]]
    elif kind == "padding with zeros":
        lines[rows[-1] + 1 : rows[-1] + 1] = [re.sub(r"\d", "0", lines[rows[-1]])] * dice.randint(1, 30)
    elif kind == "blocks exchanged":
        half = rows[len(rows) // 2]
        lines[rows[0] : rows[-1] + 1] = [*lines[half : rows[-1] + 1], *lines[rows[0] : half]]
    elif kind == "last rows cut off":
        del lines[rows[-dice.randint(1, 30)] :]
        return end.join(lines) + end
    elif kind.endswith("malformed"):
        i = rows[0] if kind.startswith("first") else rows[-1]
        lines[i] = dice.choice([lines[i].replace(".", ":", 1), lines[i].split()[0], lines[i] + "x", "x" + lines[i][1:]])
    else:
        for i in rows if kind == "thousands separated" else part:
            cells, sign = _cells(lines[i])
            if width == 1 or len(cells) > 3:
                k = dice.randrange(len(cells))
            if k < len(cells):
                cells[k] = _recell(cells[k], kind, sign)
            lines[i] = sign.join(cells)
    return end.join(lines)


def _recell(cell: str, kind: str, sign: str) -> str:
    if kind == "zeros in a stretch":
        return re.sub(r"[1-9]", "0", cell)
    if kind == "thousands separated":
        return re.sub(r"^(\d{1,3})(\d{3})(\.0*)?$", rf"\1{'.' if sign != ' ' else ','}\2", cell)
    if kind == "another decimal sign in a stretch":
        return cell.replace(".", ",") if sign != "," else cell.replace(".", "")
    return re.sub(r"(\d)\.(\d)", r"\1\2.", cell, count=1) if "." in cell else cell + "0"


def _rehead(lines: list[str], dice: random.Random, kind: str, first: int, end: str) -> str | None:
    head = list(range(min(first, len(lines))))
    if kind == "a header line left out":
        if not head:
            return None
        del lines[dice.choice(head)]
        return end.join(lines)
    change: Callable[[re.Match[str]], str]
    if kind == "another unit":
        found = [i for i in head if re.search(r"counts|cps|deg|2-?theta", lines[i], re.IGNORECASE)]
        swap = {"counts": "cps", "cps": "counts", "deg": "nm", "2theta": "Q", "2-theta": "Q"}
        pattern, change = r"(?i)counts|cps|deg|2-?theta", lambda hit: swap[hit[0].lower()]
    elif kind == "another wavelength":
        found = [i for i in head if re.search(r"\b[012]\.\d{3,}", lines[i])]
        pattern = r"\b[012]\.\d{3,}"
        change = lambda hit: f"{float(hit[0]) * dice.choice([0.1, 10.0, 1.1613, 0.5]):.5f}"  # noqa: E731
    elif kind == "another count":
        found = [i for i in head if re.search(r"(?<![\w.])\d{2,6}(?![\w.])", lines[i])]
        pattern = r"(?<![\w.])\d{2,6}(?![\w.])"
        change = lambda hit: str(int(hit[0]) + dice.choice([-7, -1, 1, 9]))  # noqa: E731
    else:
        found = [i for i in head if _NUMBER.search(lines[i])]
        pattern = _NUMBER.pattern
        change = lambda hit: f"{float(hit[0]) * dice.choice([0.5, 2.0, 1.01, 1.1]):g}"  # noqa: E731
    if not found:
        return None
    i = dice.choice(found)
    hits = list(re.finditer(pattern, lines[i]))
    hit = dice.choice(hits)
    lines[i] = lines[i][: hit.start()] + change(hit) + lines[i][hit.end() :]
    return end.join(lines)


def _relist(lines: list[str], dice: random.Random, kind: str, end: str) -> str | None:
    """Lists of many numbers in one line, or wrapped over lines of several: XRDML, UDF, GSAS, FullProf."""
    long = [i for i, line in enumerate(lines) if len(re.findall(r"\d+\.?\d*[ ,]", line)) >= 6]
    if not long:
        return None
    i = dice.choice(long)
    hits = list(re.finditer(r"(?<=[ ,>])\d+\.?\d*[ ,]+", lines[i]))
    if len(hits) < 6:
        return None
    at = dice.randrange(1, len(hits) - 2)
    hit = hits[at]
    if kind.endswith("left out"):
        lines[i] = lines[i][: hit.start()] + lines[i][hit.end() :]
    elif kind.endswith("doubled"):
        lines[i] = lines[i][: hit.end()] + lines[i][hit.start() :]
    else:
        middle = hit.start() + max(1, len(hit[0].strip(" ,")) // 2)
        lines[i] = lines[i][:middle] + hit[0][-1] + lines[i][middle:]
    return end.join(lines)


def _rebin(data: bytes, dice: random.Random, kind: str) -> bytes | None:
    """Records of four bytes in the second half of the file."""
    n = len(data)
    if kind == "zeros behind":
        return data + bytes(4 * dice.randint(1, 200))
    at = n - 4 * dice.randrange(20, max(21, n // 8))
    length = 4 * dice.randint(1, 20)
    part = data[at : at + length]
    if at < 100 or len(part) < length:
        return None
    if kind == "records left out":
        return data[:at] + data[at + length :]
    if kind == "records doubled":
        return data[: at + length] + data[at:]
    if kind == "zeros in records":
        return data[:at] + bytes(length) + data[at + length :]
    values = np.frombuffer(part, "<f4")
    if not (np.isfinite(values).all() and (values >= 0).all() and (values == np.round(values)).all()):
        return None
    return data[:at] + (values * 10).astype("<f4").tobytes() + data[at + length :]


def _rezip(data: bytes, dice: random.Random, kind: str) -> bytes | None:
    """A change inside the members of an archive, repacked with right sums."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        one = max(names, key=lambda name: old.getinfo(name).file_size)
        if kind == "member left out" and len(names) > 1:
            names.remove(dice.choice(names))
            one = ""
        elif kind not in ("member cut", *_COLUMNS, *_ROWS, *_HEADER, *_LISTS):
            return None
        for name in names:
            body = old.read(name)
            if name == one and kind == "member cut":
                body = body[: dice.randrange(len(body) // 2, len(body))]
            elif name == one:
                text = body.decode("latin-1").replace("</Datum>", "</Datum>\n")
                end = "\r\n" if "\r\n" in text else "\n"
                if "<Datum>" in text:
                    lines = [
                        line.replace("<Datum>", "").replace("</Datum>", "") if line.startswith("<Datum>") else line
                        for line in text.split("\n")
                    ]
                    changed = _retext(lines, dice, kind, "\n")
                    if changed is not None:
                        changed = "\n".join(
                            f"<Datum>{line}</Datum>" if _ROW.fullmatch(line) else line for line in changed.split("\n")
                        )
                else:
                    changed = _retext(text.split(end), dice, kind, end)
                if changed is None:
                    return None
                body = changed.encode("latin-1")
            new.writestr(name, body)
    return out.getvalue()


FACTS = ("intensity_unit", "counting_time_s", "emission_lines", "anode")


def could_be_seen(copy: Pattern, original: Pattern) -> bool:
    """Whether what differs stands out of the copy as nothing does of the original, so that a check could see it.

    Zeros where the neighbours have 50 counts or more; four points or more that leave their neighbours at both ends by
    half as many standard deviations again as any two neighbours of the original do, and by a factor of three; steps of
    angles that the original does not have.
    """
    if len(copy) != len(original) or not np.array_equal(copy.two_theta, original.two_theta):
        steps, usual = np.diff(copy.two_theta), np.diff(original.two_theta)
        return bool((np.abs(steps - np.median(steps)) > 2.0 * np.ptp(usual) + 0.7 * np.median(usual)).any())
    y, changed = copy.intensity, np.flatnonzero(copy.intensity != original.intensity)
    if len(changed) == 0 or changed[0] == 0 or changed[-1] == len(y) - 1:
        return False
    low, high = int(changed[0]), int(changed[-1]) + 1
    scale = max(counting_scale(original.intensity) or 1.0, 1e-9)
    beside = min(float(np.median(y[max(0, low - 10) : low])), float(np.median(y[high : high + 10])))
    if not y[changed].any() and high - low == len(changed) and beside > 50.0 * max(1.0, scale):
        return True

    def sizes(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(np.diff(values)) / np.sqrt(scale * np.maximum(values[1:] + values[:-1], scale)))

    edges = [low - 1, high - 1]
    ratios = np.abs(np.diff(np.log(np.maximum(y, 0.3 * scale))))[edges]
    own = sizes(original.intensity).max()
    whole = high - low >= 4 and len(changed) > 0.7 * (high - low)  # one stretch, not rows far from each other
    return bool(whole and sizes(y)[edges].min() > max(1.5 * own, 12.0) and ratios.min() > np.log(3.0))


def judge(copies: Sequence[Pattern], originals: Sequence[Pattern]) -> str:
    """Whether a copy is the ``same``, is ``told`` by a new warning, or differs in silence and in what.

    ``noted``: by a new message that is no warning; ``a check could see it``: as `could_be_seen` has it.
    """
    outcome = _judge(copies, originals)
    if not outcome.startswith("silent"):
        return outcome
    known = {note.code for one in originals for note in one.messages}
    if any(note.code not in known for one in copies for note in one.messages):
        return "noted"
    seen = any(could_be_seen(one, original) for one, original in zip(copies, originals, strict=False))
    return f"a check could see it: {outcome}" if seen else outcome


def _judge(copies: Sequence[Pattern], originals: Sequence[Pattern]) -> str:
    pairs = list(zip(copies, originals, strict=False))
    before = {(note.code, note.text) for one in originals for note in one.messages}
    if any(
        note.severity == "warning" and (note.code, note.text) not in before for one in copies for note in one.messages
    ):
        return "told"
    told = (note for one in copies for note in instrument_messages(one, InstrumentRecipe()))
    known = {note.code for one in originals for note in instrument_messages(one, InstrumentRecipe())}
    if any(note.severity == "warning" and note.code not in known for note in told):
        return "told in the analysis"
    if len(copies) != len(originals):
        return "asked which scan" if len(copies) > 1 else "silent: number of scans"
    for one, original in pairs:
        if len(one) != len(original):
            return "silent: points"
        step = float(np.median(np.diff(original.two_theta)))
        if float(np.abs(one.two_theta - original.two_theta).max()) > 0.05 * step:
            return "silent: angles"
        if not np.array_equal(one.intensity, original.intensity):
            changed = int((one.intensity != original.intensity).sum())
            return "silent: one intensity" if changed == 1 else "silent: intensities"
        for name in FACTS:
            if getattr(one, name) != getattr(original, name):
                return f"silent: {name}"
        if not np.allclose(one.sigma, original.sigma):
            return "silent: sigma"
    return "same"
