"""Char: organic matter that leaves among the carbonate, and what stays of each kind in an inert gas."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from scipy.special import ndtr

from xrdcomp.recipe import ThermalRecipe
from xrdcomp.thermal.curve import SmoothedCurve, reached_as_at_10
from xrdcomp.thermal.losses import Boundaries, half_width_c
from xrdcomp.thermal.programme import INERT_GASES, shift_with_rate
from xrdcomp.thermal.smoothing import smoothed_std
from xrdcomp.units import FloatArray

# late char: °C times the rate in the valley, and share of the organic, both at most; mean and std over that bound, in
# an inert gas those of anything from none to all of it
_ENCLOSED_C, LATE_MOST, _LATE_IN_AIR, _LATE_INERT = 160.0, 0.04, (0.2, 0.3), (0.5, 0.3)
_VALLEY_C, _VALLEY_ENERGY_KJ = 16.0, 200.0
# mean and std of the share of char that is gasified: none (a swept pan, little CO2) and twice the mean are one std away
_GASIFIED, _GASIFIED_FROM_C, _GASIFIED_ALL_C = (0.15, 0.15), 750.0, 950.0
_GASIFIED_PER_BURNT = (0.19, 0.21)  # mean and std of g / (1 - g) for that share g
CHAIN_FROM_C, CHAIN_TO_C, _CHAIN_SHARES, _CHAIN_CHAR, _MIXED_STD = 360.0, 450.0, (0.27, 0.80), 0.02, 0.02
# °C within which half goes: of protein 65 or more, of acrylics, polyolefins and polysaccharide alone 25 to 45; char of
# one reaction before 360 °C, from none (PMMA) to chitin's 28 %, as likely anywhere between; polyolefins go by 500 °C
_WIDE_C, _NARROWEST_C, _LATEST_CHAIN_C, _CHAR_OF_ONE_REACTION = 65.0, 45.0, 500.0, (0.14, 0.08)


class Moved(NamedTuple):
    """What water, organic, carbonate and residue gain by mass that left in another's window; (4,) each.

    `std` is one direction: all of it is unsure together.
    """

    mean: FloatArray
    std: FloatArray


def late_organic(curve: SmoothedCurve, boundaries: Boundaries, recipe: ThermalRecipe) -> Moved:
    """Organic matter in the carbonate's window: what burns or chars late, and char that CO2 takes away.

    Char that mineral encloses burns some 150 °C wide around 650 to 720 °C, and charring goes on to 700 °C: neither
    loses much more than 160 °C times the rate in the valley before the carbonate, nor more than 4 % of the organic.
    In an inert gas CO2, steam and traces of oxygen take char from 750 °C on (C + CO2 = 2 CO): what the carbonate's
    window holds of it is organic that was counted as char. Of char that burnt after a change of gas the same share may
    have been enclosed, and goes then to the organic, from the carbonate and from what is lost after it. No more is
    moved than all that is lost there. Both are unsure together: char that goes on losing hydrogen and oxygen late is
    porous and disordered, which is what gases attack, and char that has finished early resists them.
    """
    burnt = 0.0 if curve.burn is None else curve.burn.mass
    organic = max(float(boundaries.mass[0] - boundaries.mass[1]), 0.0) + burnt
    rate, temperature = curve.raw.heating_rate_k_min, curve.raw.temperature_c
    # the slowest 32 °C around the end of the organic: where noise puts the boundary does not matter
    end_c = shift_with_rate(recipe.organic_end_c, rate, _VALLEY_ENERGY_KJ)
    around = curve.raw.progress[np.abs(temperature - end_c) <= recipe.search_half_width_c]
    at = np.append(around, boundaries.progress[1])[:, None] + _VALLEY_C * np.array([-1.0, 1.0])
    passed = np.interp(at, curve.raw.progress, curve.mass) @ np.array([1.0, -1.0])
    noise = float(np.sqrt(2.0)) * smoothed_std(curve.raw.bin_noise, curve.length) * _ENCLOSED_C / (2.0 * _VALLEY_C)
    lost, most = _ENCLOSED_C * float(passed.min()) / (2.0 * _VALLEY_C), LATE_MOST * organic
    charred = any(gas in INERT_GASES for gas in curve.gases)
    mean, std = _LATE_INERT if charred else _LATE_IN_AIR
    if boundaries.covariance["hold"][1, 1] > 0.0:  # what goes slowly on a hold is CO2 as likely, and then no char
        mean, std = 0.5 * mean, float(np.hypot(0.5 * mean, std))
    # the least of some noisy rates lies about one standard deviation too low
    to_organic = np.array([0.0, 1.0, -1.0, 0.0])
    moved = mean * float(np.clip(lost + noise, 0.0, most)) * to_organic
    unsure = std * float(np.clip(lost + 2.0 * noise, 0.0, most)) * to_organic
    if charred:
        low, high = (shift_with_rate(t, rate, _VALLEY_ENERGY_KJ) for t in (_GASIFIED_FROM_C, _GASIFIED_ALL_C))
        before_end, in_all = np.clip(
            (np.array([boundaries.temperature_c[2], temperature[-1]]) - low) / (high - low), 0, 1
        )
        chi = recipe.char_fraction
        went = float(np.interp(low, temperature, curve.mass))
        if curve.burn is None:  # what stays as char is in the residue
            char, reached, last, to = chi / (1.0 - chi) * organic, before_end, boundaries.mass[2], (0.0, 0.0, -1.0, 1.0)
            shares = _GASIFIED
        else:  # what burnt is in the organic, and what goes after the carbonate's end was left in the residue
            char, reached, last, shares = burnt, in_all, curve.mass[-1], _GASIFIED_PER_BURNT
            share = float(before_end / in_all) if in_all > 0 else 0.0
            to = (0.0, 1.0, -share, share - 1.0)
        mean, std = (float(reached) * share * char for share in shares)
        if curve.burn is None and chi > 0.0:
            std = float(np.hypot(std, mean * recipe.char_std / (chi * (1.0 - chi))))
        mean, std = cut_normal(mean, std, max(went - float(last), 0.0))  # no more than all that goes there
        moved, unsure = moved + mean * np.array(to), unsure + std * np.array(to)
    return Moved(moved, unsure)


def with_char_of_kind(
    recipe: ThermalRecipe, curve: SmoothedCurve, boundaries: Boundaries, *, gas_doubted: bool
) -> ThermalRecipe:
    """Char fraction by the kind of organic matter, unless the recipe states another than the ordinary one.

    Protein and polysaccharide lose most below 360 °C and leave 15 to 30 % of char; fat and vinyl polymers lose most
    between 360 and 450 °C (10 K/min) and leave 0 to 5 %. What goes in one narrow reaction is no protein: later it is a
    polymer, up to 500 °C, and sooner an acrylic, which leaves nothing, or a polysaccharide, and anything between. The
    shares of protein and of fat are of what leaves: fat, which leaves nearly all of itself, is less of the organic than
    of the loss. Where the gas is doubted its char may be there or not, the one as likely as the other.
    """
    ordinary = ThermalRecipe()
    if (recipe.char_fraction, recipe.char_std) != (ordinary.char_fraction, ordinary.char_std):
        return recipe
    raw = curve.raw
    lost = float(boundaries.mass[0] - boundaries.mass[1])
    half_c = half_width_c(curve, *(raw.index_at(p) for p in boundaries.progress[:2]))
    narrow = float(np.clip((_WIDE_C - half_c) / (_WIDE_C - _NARROWEST_C), 0.0, 1.0))
    to_c = CHAIN_TO_C + narrow * (_LATEST_CHAIN_C - CHAIN_TO_C)
    ends = [reached_as_at_10(raw, t, _VALLEY_ENERGY_KJ) for t in (CHAIN_FROM_C, to_c)]
    before, after = np.interp(ends, raw.progress, curve.mass)
    low, high = _CHAIN_SHARES
    chains = float(np.clip((float(before - after) / max(lost, 1e-6) - low) / (high - low), 0.0, 1.0))
    sooner, sooner_std = (
        wide + narrow * (of_one - wide)
        for wide, of_one in zip((recipe.char_fraction, recipe.char_std), _CHAR_OF_ONE_REACTION, strict=True)
    )
    fraction = 1.0 - 1.0 / ((1.0 - chains) / (1.0 - sooner) + chains / (1.0 - _CHAIN_CHAR))
    std = sooner_std * (1.0 - chains) + 0.6 * recipe.char_std * chains + 4.0 * _MIXED_STD * chains * (1.0 - chains)
    if gas_doubted:
        fraction, std = 0.5 * fraction, float(np.hypot(0.5 * fraction, np.sqrt(0.5) * std))
    return msgspec.structs.replace(recipe, char_fraction=fraction, char_std=std)


def cut_normal(mean: float, std: float, most: float) -> tuple[float, float]:
    """Mean and standard deviation of a normal distribution between 0 and `most`."""
    if min(std, most) <= 0:
        return min(max(mean, 0.0), max(most, 0.0)), 0.0
    low, high = -mean / std, (most - mean) / std
    inside = float(ndtr(high) - ndtr(low))
    if inside < 1e-6:
        return most, 0.3 * std
    # moments of the truncated normal; scipy.stats.truncnorm gives the same for a second of import
    density_low, density_high = (float(np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)) for z in (low, high))
    shift = (density_low - density_high) / inside
    variance = 1.0 + (low * density_low - high * density_high) / inside - shift**2
    return mean + std * shift, float(std * np.sqrt(max(variance, 1e-4)))
