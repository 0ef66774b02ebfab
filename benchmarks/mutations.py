"""Damage a file in the ways that disks, networks and mail do: cut, flip, swap, repeat, fill, splice."""

from __future__ import annotations

import random

__all__ = ["KINDS", "cut", "flip_bytes", "mutate"]

KINDS = ("cut", "flip", "digit", "bits", "remove", "repeat", "fill", "splice", "number", "swap")
NUMBERS = (
    b"nan", b"inf", b"-1", b"1e308", b"-1e400", b"99999999999999999999", b"0", b"1_000", b"0x10", b"1,5",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x80\x7f", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f",
)  # fmt: skip


def cut(data: bytes, rng: random.Random) -> bytes:
    """Keep the beginning."""
    return data[: rng.randrange(1, max(2, len(data)))]


def flip_bytes(data: bytes, rng: random.Random, n: int = 1) -> bytes:
    """Replace `n` bytes by others."""
    out = bytearray(data)
    for _ in range(n):
        at = rng.randrange(len(out))
        out[at] ^= rng.randrange(1, 256)
    return bytes(out)


def mutate(data: bytes, rng: random.Random, other: bytes = b"") -> tuple[str, bytes]:
    """Apply one kind of damage, drawn at random; returns its name and the result."""
    kind = rng.choice(KINDS)
    n = len(data)
    at = rng.randrange(n)
    length = min(n - at, 1 << rng.randrange(0, 12))
    if kind == "cut":
        return kind, cut(data, rng)
    if kind == "flip":
        return kind, flip_bytes(data, rng, rng.choice((1, 1, 2, 8, 64)))
    if kind == "bits":
        out = bytearray(data)
        out[at] ^= 1 << rng.randrange(8)
        return kind, bytes(out)
    if kind == "digit":
        out = bytearray(data)
        for _ in range(rng.choice((1, 3, 10))):
            place = rng.randrange(n)
            out[place] = rng.choice(b"0123456789.-+eE ,;\t\n")
        return kind, bytes(out)
    if kind == "remove":
        return kind, data[:at] + data[at + length :] or b"\x00"
    if kind == "repeat":
        return kind, data[: at + length] + data[at:]
    if kind == "fill":
        return kind, data[:at] + rng.choice((b"\x00", b"\xff", b" ", b"9")) * length + data[at + length :]
    if kind == "splice":
        tail = other or data
        return kind, data[:at] + tail[rng.randrange(len(tail)) :]
    if kind == "number":
        value = rng.choice(NUMBERS)
        return kind, data[:at] + value + data[at + len(value) :]
    there = rng.randrange(n)
    low, high = sorted((at, there))
    return kind, data[:low] + data[high:] + data[low:high]
