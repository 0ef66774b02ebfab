"""Displacement parameters of each element: what an addition to its B does to lines and to diffuse scattering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.fit.optics import polarization
from xrdcomp.physics import scattering
from xrdcomp.types import FloatArray, Instrument, Phase

__all__ = ["ElementB", "element_b", "element_diffuse", "element_factor", "element_names"]


@dataclass(frozen=True, kw_only=True)
class ElementB:
    """Parts of the structure factors by element.

    names : (e,) parameter names; parts : (4, e, r) real and imaginary sums of f0 + f' and of f'' of each element, at
    the structure's B; rest : (4, r) the same of all other elements; s_squared : (r,); diffuse_by_b : (e, n) per gram.
    """

    names: tuple[str, ...]
    parts: FloatArray
    rest: FloatArray
    s_squared: FloatArray
    diffuse_by_b: FloatArray

    def on_points(self, diffuse_by_b: FloatArray) -> ElementB:
        """The same with diffuse scattering on other points."""
        return replace(self, diffuse_by_b=diffuse_by_b)


def element_names(phase: Phase) -> dict[str, str]:
    """Elements whose B can be refined, hydrogen not among them: element → name of its parameter.

    Parameters
    ----------
    phase : Phase

    Returns
    -------
    dict of str to str
    """
    elements = sorted({e for e in phase.site_element if e not in ("H", "D")})
    return {e: f"{phase.id}_b_{e.lower()}" for e in elements}


def element_b(
    phase: Phase,
    instrument: Instrument,
    two_theta: FloatArray,
    reflections: tuple[FloatArray, FloatArray],
    values: Mapping[str, float],
) -> ElementB | None:
    """Freeze the parts of the structure factors whose B is refined; None where none is.

    Parameters
    ----------
    two_theta : (n,) array, degrees
    reflections : (r, 3) indices and (r,) spacings in ångström
    values : mapping
        Parameters of the fit; those of `element_names` among them count.
    """
    named = {e: name for e, name in element_names(phase).items() if name in values}
    if not named:
        return None
    hkl, d_spacing = reflections
    s_squared = 0.25 / d_spacing**2
    angle = 2.0 * np.pi * (hkl @ np.asarray(phase.site_xyz, dtype=float).T)
    damped = np.asarray(phase.site_occupancy) * np.exp(-np.outer(s_squared, phase.site_b_iso))
    cosine, sine = np.cos(angle) * damped, np.sin(angle) * damped
    kinds = np.array([str(e) for e in phase.site_element])
    parts = {}
    for element in dict.fromkeys(kinds.tolist()):
        own = kinds == element
        f0 = scattering.form_factor(element, np.sqrt(s_squared))
        f1, f2 = scattering.anomalous(element, instrument.wavelength)
        a, b = cosine[:, own].sum(axis=1), sine[:, own].sum(axis=1)
        parts[element] = np.stack([(f0 + f1) * a, (f0 + f1) * b, f2 * a, f2 * b])
    others = [part for element, part in parts.items() if element not in named]
    return ElementB(
        names=tuple(named.values()),
        parts=np.stack([parts[element] for element in named], axis=1),
        rest=np.sum(others, axis=0) if others else np.zeros((4, len(s_squared))),
        s_squared=s_squared,
        diffuse_by_b=_diffuse_by_b(phase, instrument, two_theta, tuple(named)),
    )


def element_factor(
    elements: ElementB, values: Mapping[str, float]
) -> tuple[FloatArray, list[tuple[str, FloatArray]]]:
    """Factor on |F|² of every reflection and the logarithmic derivatives by each B.

    |F|² = Σ_k (Σ_e F_ek exp(−ΔB_e s²))², k the real and imaginary sums of f0 + f' and f''

    Returns
    -------
    factor : (r,) array
    slopes : list of (name, (r,) array)
    """
    change = np.array([values[name] for name in elements.names])
    damping = np.exp(-np.outer(change, elements.s_squared))
    moved = elements.parts * damping
    total = moved.sum(axis=1) + elements.rest
    start = elements.parts.sum(axis=1) + elements.rest
    base = np.maximum((start**2).sum(axis=0), 1e-12)
    now = np.maximum((total**2).sum(axis=0), 1e-9 * base)
    slopes = -2.0 * elements.s_squared * np.einsum("kr,ker->er", total, moved) / now
    return now / base, [(name, slopes[i]) for i, name in enumerate(elements.names)]


def element_diffuse(elements: ElementB | None, values: Mapping[str, float]) -> FloatArray | float:
    """Change of the diffuse scattering per gram, to first order in each B."""
    if elements is None:
        return 0.0
    change = np.array([values[name] for name in elements.names])
    total: FloatArray = change @ elements.diffuse_by_b
    return total


def _diffuse_by_b(
    phase: Phase, instrument: Instrument, two_theta: FloatArray, elements: tuple[str, ...]
) -> FloatArray:
    s = np.sin(np.radians(two_theta) / 2.0) / instrument.wavelength
    pairs = list(zip(phase.site_element, phase.site_occupancy, phase.site_b_iso, strict=True))
    mass = sum(scattering.atomic_weight(e) * o for e, o, _ in pairs)
    weight = sum(line.weight for line in instrument.emission_lines)
    factor = weight * polarization(two_theta, instrument) / mass * 2.0 * s**2
    rows = []
    for element in elements:
        own: dict[float, float] = {}
        for e, occupancy, b in pairs:
            if e == element:
                own[round(float(b), 3)] = own.get(round(float(b), 3), 0.0) + float(occupancy)
        share = sum(count * np.exp(-2.0 * b * s**2) for b, count in own.items())
        rows.append(factor * scattering.form_factor(element, s) ** 2 * share)
    return np.stack(rows)
