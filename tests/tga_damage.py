"""Ways in which a thermogravimetric file goes wrong, and what a reader made of it."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import re
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from xrdcomp.data import TgaRun


class LateError(BaseException):
    """Not an Exception, so that nothing on the way takes it for a damaged file."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise LateError where the block takes more CPU time, or twenty times as long by the clock."""

    def ring(*_: object) -> None:
        msg = f"more than {seconds:g} s"
        raise LateError(msg)

    before = [signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGPROF)]
    signal.setitimer(signal.ITIMER_REAL, 20 * seconds)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), before, strict=True):
            signal.signal(number, handler)


def cut(data: bytes, dice: random.Random) -> tuple[bytes, int]:
    return data[: dice.randrange(1, len(data))], 0


def flip(data: bytes, dice: random.Random) -> tuple[bytes, int]:
    """One to four bytes replaced, half of them by another digit where a digit was."""
    body = bytearray(data)
    count = dice.randint(1, 4)
    for _ in range(count):
        at = dice.randrange(len(body))
        if dice.random() < 0.5:
            digits = [i for i in range(at, min(at + 400, len(body))) if 48 <= body[i] <= 57]
            if digits:
                body[digits[0]] = 48 + dice.randrange(10)
                continue
        body[at] ^= 1 << dice.randrange(8)
    return bytes(body), count


_HOSTILE = (b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"", b"99999999999", b"1e-300", b"1.2.3", b"\x00", b"1,2")


def rewrite(data: bytes, dice: random.Random) -> bytes:
    """Any of the ways a file goes wrong, one to five at a time."""
    for _ in range(dice.randint(1, 5)):
        if not data:
            return data
        a, b = sorted(dice.randrange(len(data) + 1) for _ in range(2))
        b = min(b, a + 5000)
        way = dice.randrange(9)
        if way == 0:
            data = data[:a]
        elif way == 1:
            data = data[:a] + data[b:]
        elif way == 2:
            data = data[:b] + data[a:b] * dice.randint(1, 3) + data[b:]
        elif way == 3:
            data = data[:a] + bytes(dice.randrange(256) for _ in range(dice.randint(1, 40))) + data[a:]
        elif way == 4:
            data = flip(data, dice)[0]
        elif way == 5:
            numbers = list(re.finditer(rb"[-+]?\d+\.?\d*", data[a : a + 3000]))
            if numbers:
                hit = dice.choice(numbers)
                data = data[: a + hit.start()] + dice.choice(_HOSTILE) + data[a + hit.end() :]
        elif way == 6:
            lines = data.split(b"\n")
            i, j = dice.randrange(len(lines)), dice.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            data = b"\n".join(lines)
        elif way == 7:
            old, new = dice.sample([b"\t", b";", b",", b" ", b".", b"\n", b"\r\n", b"#", b":"], 2)
            data = data.replace(old, new, dice.choice([1, 5, -1]))
        else:
            data = data[a:]
    return data


_ROW = re.compile(r"\s*\"?[-+]?[.,]?\d[^A-Za-z]*(?:[eE][-+]?\d+[^A-Za-z]*)*")
_UNITS = {"mg": "g", "min": "s", "°C": "K", "K": "°C", "%": "mg", "ug": "mg", "s]": "min]", "(s)": "(min)"}


def _cells(row: str) -> tuple[list[str], str]:
    """Cells of a row and what stands between them."""
    separator = next((sign for sign in ("\t", ";", ",") if sign in row), "")
    return (row.split(separator), separator) if separator else (re.split(r"(?<=\S)(?=\s+\S)", row), "")


def restructure(data: bytes, dice: random.Random, kind: str) -> bytes | None:  # noqa: C901 - one branch for each kind
    """Copy that is wrong as a whole, by `kind`: columns, rows, units, counts, blocks, archives; None where it cannot.

    Each is a way in which exports are edited, joined or stored wrongly, in layouts that stay well-formed.
    """
    if kind in ARCHIVES:
        return _repack(data, dice, kind)
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"
    try:
        lines = data.decode(encoding).split("\n")
    except UnicodeDecodeError:
        return None
    rows = [i for i, line in enumerate(lines) if _ROW.fullmatch(line.rstrip("\r")) and len(_cells(line)[0]) > 1]
    if len(rows) < 20:
        return None
    a = dice.randrange(5, len(rows) - 10)
    part = rows[a : a + dice.randint(2, min(60, len(rows) - a - 2))]
    width = len(_cells(lines[rows[0]])[0])
    k, m = dice.sample(range(width), 2)
    if kind in ("exchange columns", "drop a column", "double a column"):
        for i in rows:
            cells, separator = _cells(lines[i])
            if len(cells) <= max(k, m):
                return None
            if kind == "exchange columns":
                cells[k], cells[m] = cells[m], cells[k]
            else:
                cells[k : k + 1] = [] if kind == "drop a column" else [cells[k]] * 2
            lines[i] = separator.join(cells)
    elif kind == "another unit":
        head = [i for i in range(rows[0]) if any(unit in lines[i] for unit in _UNITS)]
        if not head:
            return None
        i = head[-1 - dice.randrange(min(2, len(head)))]
        old = dice.choice([unit for unit in _UNITS if unit in lines[i]])
        lines[i] = lines[i].replace(old, _UNITS[old], 1)
    elif kind == "another count":
        found = [i for i in range(rows[0]) if re.search(r"(?i)points|nsig|npoints|decimal|separator", lines[i])]
        if not found:
            return None
        i = dice.choice(found)
        lines[i] = re.sub(r"\d+", lambda hit: str(max(int(hit[0]) + dice.choice([-7, -1, 1, 9]), 0)), lines[i], count=1)
        lines[i] = lines[i].replace("POINT", "COMMA") if "DECIMAL" in lines[i] else lines[i]
    elif kind == "rows left out":
        lines = [line for i, line in enumerate(lines) if i not in set(part)]
    elif kind == "rows doubled":
        lines[part[-1] + 1 : part[-1] + 1] = [lines[i] for i in part]
    elif kind == "rows exchanged":
        b = dice.randrange(len(rows))
        lines[rows[a]], lines[rows[b]] = lines[rows[b]], lines[rows[a]]
    elif kind in ("zeros in a stretch", "another scale in a stretch", "another decimal sign in a stretch"):
        for i in part:
            cells, separator = _cells(lines[i])
            if len(cells) <= k:
                return None
            if kind.startswith("zeros"):
                cells[k] = re.sub(r"[1-9]", "0", cells[k])
            elif "decimal" in kind:
                cells = [cell.replace(".", ",") if separator != "," else cell.replace(".", "") for cell in cells]
            else:
                cells[k] = re.sub(r"(\d)([.,])(\d)", r"\1\3\2", cells[k], count=1)
            lines[i] = separator.join(cells)
    elif kind == "padding with zeros":
        lines[rows[-1] + 1 : rows[-1] + 1] = [re.sub(r"\d", "0", lines[rows[-1]])] * dice.randint(1, 30)
    elif kind == "a second run behind":
        text = "\n".join(lines)
        return f"{text}{'' if text.endswith(chr(10)) else chr(10)}{text}x".removesuffix("x").encode(encoding)
    elif kind == "blocks exchanged":
        half = rows[len(rows) // 2]
        lines[rows[0] : rows[-1] + 1] = [*lines[half : rows[-1] + 1], *lines[rows[0] : half]]
    return "\n".join(lines).encode(encoding)


def _repack(data: bytes, dice: random.Random, kind: str) -> bytes | None:
    half = dice.randrange(1, len(data))
    if kind == "gzip of two members":
        return gzip.compress(data[:half]) + gzip.compress(data[half:])
    if kind == "bzip2 of two streams":
        return bz2.compress(data[:half]) + bz2.compress(data[half:])
    if kind == "gzip cut":
        packed = gzip.compress(data)
        return packed[: dice.randrange(len(packed) // 2, len(packed))]
    if data[:4] != b"PK\x03\x04":
        return None
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        members = [name for name in old.namelist() if name.startswith("xl/worksheets/sheet")]
        for name in old.namelist():
            body = old.read(name)
            if name in members and kind == "workbook rows left out":
                found = list(re.finditer(rb"<row .*?</row>", body, re.DOTALL))
                if len(found) > 20:
                    a = dice.randrange(5, len(found) - 6)
                    body = body[: found[a].start()] + body[found[a + 5].start() :]
            new.writestr(name, body)
    return out.getvalue()


ARCHIVES = ("gzip of two members", "bzip2 of two streams", "gzip cut", "workbook rows left out")
STRUCTURES = (
    "exchange columns", "drop a column", "double a column", "another unit", "another count", "rows left out",
    "rows doubled", "rows exchanged", "zeros in a stretch", "another scale in a stretch",
    "another decimal sign in a stretch", "padding with zeros", "a second run behind", "blocks exchanged", *ARCHIVES,
)  # fmt: skip


def could_be_seen(copy: TgaRun, original: TgaRun) -> bool:
    """Whether what differs stands out of the copy as nothing does of the original, so that a check could see it.

    Rows left out: time and temperature jump by five times the largest step of the original. A stretch of another
    temperature or mass: both its ends jump by ten times that.
    """

    def largest(values: np.ndarray | None) -> float:
        return 0.0 if values is None else float(np.abs(np.diff(values)).max())

    if len(copy) != len(original):
        series = [(copy.temperature_c, original.temperature_c), (copy.time_s, original.time_s)]
        return len(copy) < len(original) and all(
            one is not None and largest(one) > 5.0 * largest(before) for one, before in series
        )
    for one, before in ((copy.temperature_c, original.temperature_c), (copy.mass, original.mass)):
        changed = np.flatnonzero(one != before)
        if len(changed) and changed[0] > 0 and changed[-1] < len(one) - 1:
            ends = np.abs(np.diff(one))[[changed[0] - 1, changed[-1]]]
            if ends.min() > 10.0 * largest(before) > 0.0:
                return True
    return False


def judge(copy: TgaRun, original: TgaRun) -> str:
    """Whether a copy is the ``same`` run, is ``told`` by a new warning or info, or differs in silence.

    ``a check could see it``: differs in silence as `could_be_seen` has it.
    """
    arrays = [(copy.temperature_c, original.temperature_c), (copy.mass, original.mass)]
    arrays += [(copy.time_s, original.time_s)] if copy.time_s is not None and original.time_s is not None else []
    facts = ("mass_unit", "initial_mass_mg", "atmosphere", "gas_changes")
    equal = all(np.array_equal(a, b) for a, b in arrays) and (copy.time_s is None) == (original.time_s is None)
    if equal and all(getattr(copy, name) == getattr(original, name) for name in facts):
        return "same"
    before = {(message.code, message.text) for message in original.messages}
    if any((message.code, message.text) not in before for message in copy.messages):
        return "told"
    return "a check could see it" if could_be_seen(copy, original) else "silent"


def verdict(copy: TgaRun, original: TgaRun, hits: int, *, at_row_end: bool) -> str:
    """Say what became of a copy that was read.

    ``told``: a diagnostic that the original has not; ``harmless``: same run; ``header``: a fact of the header
    differs; ``value``: as many values differ as bytes were hit; ``shorter``: cut at the end of a row in a layout
    without end mark, so that the rest is a complete file; ``silent``: anything else.
    """
    before = {d.code for d in original.messages}
    if any(d.code not in before for d in copy.messages):
        return "told"
    n = len(copy)
    if n < len(original) and at_row_end:
        same = np.array_equal(copy.mass, original.mass[:n]) and np.array_equal(
            copy.temperature_c, original.temperature_c[:n]
        )
        return "shorter" if same else "silent"
    if n != len(original):
        return "silent"
    pairs = [(copy.temperature_c, original.temperature_c), (copy.mass, original.mass)]
    if copy.time_s is not None and original.time_s is not None:
        pairs.append((copy.time_s, original.time_s))
    elif copy.time_s is not original.time_s:
        return "silent"
    differ = sum(int((a != b).sum()) for a, b in pairs)
    if differ == 0 and np.array_equal(np.asarray(copy.segment), np.asarray(original.segment)):
        same = (copy.initial_mass_mg, copy.mass_unit, copy.atmosphere, copy.heating_rate_k_min) == (
            original.initial_mass_mg,
            original.mass_unit,
            original.atmosphere,
            original.heating_rate_k_min,
        )
        return "harmless" if same else "header"
    if copy.initial_mass_mg != original.initial_mass_mg and float(np.ptp(copy.mass - original.mass)) < 1e-9:
        return "header"
    return "value" if differ <= hits else "silent"
