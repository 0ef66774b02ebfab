"""Sums of many lines against one line after another with the functions of a single profile."""

from __future__ import annotations

import numpy as np

from tests.helpers import assert_close
from tests.profile_oracle import pseudo_voigt, pseudo_voigt_shoulder
from xrdcomp.physics import profiles as profile
from xrdcomp.physics import profiles as spread
from xrdcomp.units import FloatArray

X = np.arange(20.0, 60.0, 0.0005)
POSITION = np.array([15.0, 21.0, 21.05, 30.0, 45.0, 59.9, 70.0])
HALF = np.array([6.0, 2.0, 9.0, 8.0, 20.0, 1.0, 3.0])
"""The first reaches in from below, the last no point at all, the fifth more than one block holds, all
together more than one piece."""
WIDTHS = profile.tch_widths(np.linspace(0.1, 0.5, 7), np.linspace(0.3, 0.02, 7))
INTENSITY = np.array([3.0, 1.0, 0.5, 2.0, 4.0, 1.0, 9.0])
RNG = np.random.default_rng(5)
NARROW_CELLS = "polynomials in cells of a tenth of the narrowest width and less"


def placed() -> spread.Lines:
    pairs = spread.Pairs.reached(X, POSITION, HALF, WIDTHS.fwhm)
    return spread.Lines(pairs=pairs, position=POSITION, widths=WIDTHS)


def one_by_one(shape: str, weights: FloatArray) -> FloatArray:
    """Σ_l weight_l × function_l over the points within the window, one line after another."""
    out = np.zeros(len(X))
    for k, weight in enumerate(weights):
        first, last = np.searchsorted(X, [POSITION[k] - HALF[k], POSITION[k] + HALF[k]])
        near = slice(int(first), int(last))
        t, fwhm, eta = X[near] - POSITION[k], WIDTHS.fwhm[k], WIDTHS.eta[k]
        if shape == "shoulder":
            out[near] += weight * pseudo_voigt_shoulder(t, np.array(fwhm), np.array(eta))
        else:
            which = ("value", "offset", "fwhm", "eta").index(shape)
            out[near] += weight * pseudo_voigt(t, fwhm, eta)[which]
    return out


def test_sum_of_lines() -> None:
    found = spread.spread_value(placed(), INTENSITY)
    assert_close(found, one_by_one("value", INTENSITY), atol=1e-9, because=NARROW_CELLS)


def test_sum_of_deformations() -> None:
    found = spread.spread_shoulder(placed(), INTENSITY)
    assert_close(found, one_by_one("shoulder", INTENSITY), atol=1e-7, because=NARROW_CELLS)


def test_slopes() -> None:
    terms = {name: RNG.normal(size=(7, 2)) for name in ("value", "offset", "fwhm", "eta")}
    slopes = spread.Slopes(intensity=terms["value"], position=terms["offset"], fwhm=terms["fwhm"], eta=terms["eta"])
    by_intensity, by_position, by_width = spread.spread_slopes(placed(), slopes)
    for k in range(2):
        value, offset, fwhm, eta = (one_by_one(name, terms[name][:, k]) for name in terms)
        assert_close(by_intensity[k], value, atol=1e-8, because=NARROW_CELLS)
        # a line that moves up by d has the offset t - d
        assert_close(by_position[k], -offset, atol=1e-6, because=f"{NARROW_CELLS}, slopes up to 300")
        assert_close(by_width[k], fwhm + eta, atol=1e-6, because=f"{NARROW_CELLS}, slopes up to 300")


def test_no_lines() -> None:
    one = np.array([1.0])
    pairs = spread.Pairs.reached(X, 80.0 * one, one, one)
    lines = spread.Lines(pairs=pairs, position=80.0 * one, widths=profile.tch_widths(one, one))
    assert not spread.spread_value(lines, one).any()


def test_polynomials_in_cells_of_laboratory_scans() -> None:
    """Steps of 0.02°, widths of nano-apatite: under half the places, and nothing that counts would show."""
    x = np.arange(8.0, 83.0, 0.02)
    position, gauss = RNG.uniform(5.0, 85.0, 200), RNG.uniform(0.05, 1.0, 200)
    widths = profile.tch_widths(gauss, RNG.uniform(0.01, 0.8, 200))
    half, intensity = np.minimum(20.0 * widths.fwhm, 20.0), RNG.exponential(size=200)
    lines = spread.Lines(pairs=spread.Pairs.reached(x, position, half, widths.fwhm), position=position, widths=widths)
    one_by_one, reached = np.zeros_like(x), 0
    for at, reach, fwhm, eta, area in zip(position, half, widths.fwhm, widths.eta, intensity, strict=True):
        near = slice(*np.searchsorted(x, [at - reach, at + reach]))
        one_by_one[near] += area * pseudo_voigt(x[near] - at, fwhm, eta)[0]
        reached += near.stop - near.start
    found = spread.spread_value(lines, intensity)
    assert_close(found, one_by_one, atol=6e-5 * float(one_by_one.max()), because="five nodes to a cell")
    assert len(lines.pairs.point) < 0.5 * reached


def test_points_of_uneven_steps_that_fill_no_cell() -> None:
    x = np.sort(np.concatenate([np.linspace(20.0, 20.1, 9), np.linspace(35.0, 36.0, 30), np.linspace(36.5, 50.0, 200)]))
    one = np.array([1.0])
    pairs = spread.Pairs.reached(x, 30.0 * one, 18.0 * one, one)
    found = spread.spread_value(
        spread.Lines(pairs=pairs, position=30.0 * one, widths=profile.tch_widths(one, one)), one
    )
    widths = profile.tch_widths(one, one)
    expected = np.where(x < 48.0, pseudo_voigt(x - 30.0, widths.fwhm, widths.eta)[0], 0.0)
    assert_close(found, expected, atol=2e-5, because="five nodes to a cell")
