"""Scans as nobody would measure them end in a result or in an error that says why: short, coarse, far off, empty."""

from __future__ import annotations

import numpy as np
import pytest

from xrdcomp.analysis import analyze
from xrdcomp.data import Pattern
from xrdcomp.errors import XrdcompError
from xrdcomp.units import FloatArray


def scan(seed: int) -> Pattern:
    """Anything of 1.5 to 100°, from nothing at all to eighty peaks of any width on any level."""
    rng = np.random.default_rng(seed)
    first, span = rng.choice([2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0]), rng.choice([1.5, 3.0, 8.0, 20.0, 50.0, 100.0])
    step = max(rng.choice([0.01, 0.02, 0.05, 0.1, 0.2]), span / 3000.0)
    two_theta = first + step * np.arange(int(span / step) + rng.integers(0, 2))
    two_theta = two_theta[two_theta < 160.0]
    level = rng.choice([0.0, 0.5, 20.0, 500.0, 1e5])
    mean = level * (1.0 + rng.choice([0.0, 1.0, 10.0]) * np.exp(-(((two_theta - 22.0) / 5.0) ** 2)))
    for _ in range(rng.choice([0, 1, 2, 5, 20, 80])):
        width, place = rng.choice([0.02, 0.06, 0.2, 1.0]), rng.uniform(two_theta[0], two_theta[-1])
        mean += 10.0 ** rng.uniform(0.0, 5.0) / (1.0 + ((two_theta - place) / width) ** 2)
    return as_exported(rng, two_theta, mean)


def as_exported(rng: np.random.Generator, two_theta: FloatArray, mean: FloatArray) -> Pattern:
    """Counts, rates, intensities that are no counts, with a background subtracted, or with points missing."""
    counts, kind = rng.poisson(mean).astype(np.float64), rng.choice(["counts", "rates", "smooth", "less", "uneven"])
    if kind == "rates":
        counts /= 3.0
    if kind == "less":
        counts -= 0.5 * np.median(counts)
    if kind == "smooth":
        counts = mean * (1.0 + 1e-4 * rng.standard_normal(len(mean)))
    kept = rng.random(len(mean)) > (0.3 if kind == "uneven" else -1.0)
    sigma = np.sqrt(np.maximum(np.abs(counts), 1.0))
    return Pattern(two_theta=two_theta[kept], intensity=counts[kept], sigma=sigma[kept])


SEEDS = (3, 7, 18, 20, 31, 36, 41, 47, 60, 63, 72, 79)
"""A dozen of 120, among them every kind that once met an array without values, a singular factor or a huge number."""


@pytest.mark.parametrize("seed", SEEDS)
def test_any_scan_is_analysed_or_refused(seed: int) -> None:
    radiation = ("CuKa", "CoKa", "MoKa", "CuKa1")[seed % 4]
    refusal = ""
    try:
        result = analyze(scan(seed), radiation=radiation)
    except XrdcompError as error:
        refusal = str(error)
    if refusal:
        assert len(refusal) > 40, "says what was expected and what to do"
        return
    assert result.verdict
    for name, estimate in result.composition.components.items():
        assert estimate is None or 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0, name
