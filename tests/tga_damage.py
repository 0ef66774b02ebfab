"""Ways in which a thermogravimetric file goes wrong, and what a reader made of it."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from xrdcomp.data import TgaRun


class LateError(BaseException):
    """Not an Exception, so that nothing on the way takes it for a damaged file."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise LateError where the block takes longer."""

    def ring(*_: object) -> None:
        msg = f"more than {seconds:g} s"
        raise LateError(msg)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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
