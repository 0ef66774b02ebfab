"""Measured patterns of amorphous matter as components on the per-gram scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.fit.optics import geometry_factor, polarization
from xrdcomp.physics import amorphous, scattering
from xrdcomp.recipe import FitRecipe
from xrdcomp.types import FloatArray, Instrument, Pattern
from xrdcomp.units import two_theta_to_q

__all__ = ["MeasuredHalo", "halo_pieces", "measured_columns", "measured_halo", "with_measured_halos"]

_WINDOW = (0.7, 4.1)  # Å⁻¹, where the scattering of free atoms gives the area: 10 to 60° with Cu Kα
_NEEDED = (0.9, 3.6)
_AREA = 1.02  # coherent scattering over that of free atoms in the window, see `physics.amorphous`
_BIN = 0.03  # Å⁻¹; halos are thirty times as wide
_AIR_STD = 0.1  # share of the curve that may be flat scatter of air or holder nobody took off
_SHARP = 0.25


@dataclass(frozen=True, kw_only=True)
class MeasuredHalo:
    """Scattering per gram of an amorphous component as measured: q (Å⁻¹, increasing), and values unpolarised."""

    name: str
    q: FloatArray
    per_gram: FloatArray


class _WithHalos(FitRecipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipe whose `amorphous_patterns` were read."""

    halos: Any = None


def with_measured_halos(recipe: FitRecipe, halos: Mapping[str, MeasuredHalo]) -> FitRecipe:
    """Return the recipe with measured forms for some of its amorphous components.

    Parameters
    ----------
    recipe : FitRecipe
    halos : mapping of component name to MeasuredHalo

    Returns
    -------
    FitRecipe
    """
    given = {field.name: getattr(recipe, field.name) for field in msgspec.structs.fields(FitRecipe)}
    return _WithHalos(**given, halos=dict(halos)) if halos else recipe


def measured_halo(name: str, pattern: Pattern, instrument: Instrument) -> MeasuredHalo:
    """Put a measured pattern of an amorphous material on the per-gram scale.

    I(q) / (P · geometry) is scaled so that its area from 0.7 to 4.1 Å⁻¹ is 1.02 times the scattering of free atoms of
    the component's composition, Compton scattering added: what interference takes away at low angles it puts into the
    rings, whatever the rings are (``physics.amorphous``). No internal standard is needed.

    Parameters
    ----------
    name : str
        Component that the material stands for; decides its composition.
    pattern : Pattern
        Of the pure material, air and holder taken off, from about 10 to 55° with Cu Kα.
    instrument : Instrument
        On which it was measured.

    Returns
    -------
    MeasuredHalo

    Raises
    ------
    AnalysisError
        An unknown component, a range that is too short, sharp lines, or no positive intensity.
    """
    if name not in amorphous.AMORPHOUS:
        known = ", ".join(amorphous.AMORPHOUS)
        msg = f"fit.amorphous_patterns: {name!r} is no amorphous component. Expected one of {known}."
        raise AnalysisError(msg)
    x = pattern.two_theta
    keep = x > 3.0
    x, y = x[keep], pattern.intensity[keep]
    q = two_theta_to_q(x, instrument.wavelength)
    if len(q) < 2 or q[0] > _NEEDED[0] or q[-1] < _NEEDED[1]:
        ends = (q[0], q[-1]) if len(q) else (0.0, 0.0)
        msg = (
            f"fit.amorphous_patterns.{name}: the pattern covers {ends[0]:.2f}-{ends[1]:.2f} Å⁻¹; its scale needs "
            f"{_NEEDED[0]:g}-{_NEEDED[1]:g} Å⁻¹ (about 13 to 52° with Cu Kα). Measure it over a wider range."
        )
        raise AnalysisError(msg)
    curve = y / (geometry_factor(instrument, x) * polarization(x, instrument))
    grid, smooth, peak = _binned(q, curve)
    if peak > _SHARP:
        msg = (
            f"fit.amorphous_patterns.{name}: the pattern has lines narrower than a halo, {100 * peak:.0f} % above its "
            "running median. Expected: an amorphous material; give crystalline ones as phases."
        )
        raise AnalysisError(msg)
    fractions = amorphous.mass_fractions(amorphous.AMORPHOUS[name].atoms)
    inside = (grid >= _WINDOW[0]) & (grid <= _WINDOW[1])
    expected = _AREA * scattering.coherent_per_gram(fractions, grid) + scattering.incoherent_per_gram(
        fractions, grid
    )
    area = float(np.trapezoid(smooth[inside], grid[inside]))
    if not area > 0.0:
        msg = f"fit.amorphous_patterns.{name}: the pattern has no positive intensity between 0.7 and 4.1 Å⁻¹."
        raise AnalysisError(msg)
    scale = float(np.trapezoid(expected[inside], grid[inside])) / area
    return MeasuredHalo(name=name, q=grid, per_gram=scale * smooth)


def _binned(q: FloatArray, curve: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Means over bins of `_BIN`, and how far three of them rise over the median of their surroundings."""
    group = ((q - q[0]) / _BIN).astype(int)
    count = np.bincount(group)
    filled = count > 0
    count = np.maximum(count, 1)
    grid = (np.bincount(group, q) / count)[filled]
    values = (np.bincount(group, curve) / count)[filled]
    mean = np.convolve(np.pad(values, 1, mode="edge"), np.full(3, 1.0 / 3.0), mode="valid")
    half = 3  # bins: of the narrowest ring, 0.19 Å⁻¹ wide, the median takes an eighth, of a line all
    padded = np.pad(values, half, mode="reflect", reflect_type="odd")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    level = np.maximum(around, 0.2 * max(float(np.median(values)), 1e-300))
    return grid, mean, float(((mean - around) / level)[half:-half].max(initial=0.0))


def halo_pieces(recipe: FitRecipe, names: tuple[str, ...]) -> tuple[str | MeasuredHalo, ...]:
    """Amorphous components of a fit: their names, measured ones in place of theirs.

    Parameters
    ----------
    recipe : FitRecipe
    names : tuple of str

    Raises
    ------
    AnalysisError
        A name that no component has, or a pattern for a component that is not fitted.
    """
    halos: Mapping[str, MeasuredHalo] = (recipe.halos or {}) if isinstance(recipe, _WithHalos) else {}
    known = ", ".join(amorphous.AMORPHOUS)
    for name in names:
        if name not in amorphous.AMORPHOUS:
            msg = f"fit.amorphous: {name!r} is no amorphous component. Expected some of {known}."
            raise AnalysisError(msg)
    for name in halos:
        if name not in names:
            msg = f"fit.amorphous_patterns: {name} is not among the fitted components ({', '.join(names)})."
            raise AnalysisError(msg)
    return tuple(halos.get(name, name) for name in names)


def measured_columns(halo: MeasuredHalo, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scattering per gram at `q`, and its change by one standard deviation of flat scatter, area kept.

    Raises
    ------
    AnalysisError
        The measured pattern does not cover the fit.
    """
    if q[0] < halo.q[0] - 2.0 * _BIN or q[-1] > halo.q[-1] + 2.0 * _BIN:
        msg = (
            f"the measured pattern of {halo.name} covers {halo.q[0]:.2f}-{halo.q[-1]:.2f} Å⁻¹, the fit "
            f"{q[0]:.2f}-{q[-1]:.2f}. Measure it over the whole range or pass --range."
        )
        raise AnalysisError(msg)
    values = np.interp(q, halo.q, halo.per_gram)
    inside = (halo.q >= _WINDOW[0]) & (halo.q <= _WINDOW[1])
    flat = float(halo.per_gram[inside].mean())
    return values, _AIR_STD * (flat - values)
