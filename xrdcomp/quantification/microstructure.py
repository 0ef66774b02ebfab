"""Microstructure of an apatite from its fit: column lengths, crystallinity indices, carbonate from the cell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from xrdcomp.physics import profiles
from xrdcomp.refinement.reflections import SCHERRER_CONSTANT
from xrdcomp.results import Estimate, FitResult, PhaseResult
from xrdcomp.units import FloatArray

A_WITHOUT_CARBONATE = (9.422, 0.006)
"""a of carbonate-free hydroxyapatite in Å and the scatter between preparations and analyses (9.418 to 9.430)."""

A_PER_CARBONATE = (-0.60, 0.20)
"""Å per unit mass fraction of CO3 for B-type substitution, −0.006 Å per wt % in synthetic apatites [LeGeros 1965
Nature 206, 403; Elliott 1994, Structure and Chemistry of the Apatites]; the spread is that between series."""

TISSUE_SCATTER = 0.055
"""Standard deviation of the estimate in tissue, mass fraction: enamel, dentine and bone (a 9.441, 9.421, 9.41 Å; CO3
3.5, 5.6, 7.4 wt % [Dorozhkin 2011 Biomatter 1, 121]) come out 5 to 7 wt % too low, because water, HPO4 and channel
carbonate raise a."""

LANDI_CONSTANT = 0.24
"""K of β(002) · Xc^(1/3) = K, FWHM in degrees for Cu Kα [Landi et al. 2000 J. Eur. Ceram. Soc. 20, 2377]."""

_LARGEST_NM = 1e4  # no diffractometer tells larger crystallites from infinite ones
_COPPER = 1.540593
_REFLECTIONS = {(7, 1): "211", (3, 2): "112", (9, 0): "300", (4, 2): "202"}  # by h² + hk + k² and |l|
_OUTSIDE = "211, 112, 300 and 202 are not all inside the fitted range"
_BASELINE_D = (3.705, 2.366)  # 24 and 38 degrees of Cu Kα, the ends of the straight baseline of the index


def _index(value: float | None, *, in_domain: bool, why: str = "", std: float | None = None) -> dict[str, Any]:
    stated: dict[str, Any] = {} if std is None else {"std": float(std)}
    stated |= {"why": why} if why else {}
    return {"value": None if value is None else float(value), "in_domain": in_domain, **stated}


def column_lengths(fit: FitResult, phase_id: str) -> dict[str, Estimate]:
    """Volume-weighted mean column lengths along c and across it, nm.

    ⟨L⟩_V = λ / (β cosθ), β the integral breadth of the size profile [Stokes & Wilson 1942 Proc. Phys. Soc. 56, 174].
    The fit's sizes are K λ / (FWHM cosθ) with K = 0.9; β/FWHM = η π/2 + (1 − η) √(π/ln2)/2 at the fitted size mixing η.
    A prism or cylinder has a column length along its axis equal to its height, and across it 8/3π of its diameter;
    an ellipsoid three quarters of its axis.

    The interval is symmetric in 1/⟨L⟩, which is what widths measure; where that reaches zero the length has no upper
    limit, and 10 µm stands for it.

    Returns mapping with ``c_axis`` and ``a_axis``, or ``all`` where one size was refined.
    """
    # β/FWHM of the size profile, and its standard uncertainty from the mixing's.
    mixing = fit.parameter("size_mixing", phase_id)
    eta = 0.5 if mixing is None else float(np.clip(mixing.value, 0.0, 1.0))
    std = 0.15 if mixing is None else (mixing.std or 0.0)
    lorentz, gauss = np.pi / 2.0, 0.5 * np.sqrt(np.pi / np.log(2.0))
    ratio = float(eta * lorentz + (1.0 - eta) * gauss), float(std * (lorentz - gauss))
    along, across = (fit.parameter("inverse_size", phase_id, axis) for axis in "ca")
    out = {}
    named = {"all": across} if along is None else {"c_axis": along, "a_axis": across}
    for name, inverse in ((name, inverse) for name, inverse in named.items() if inverse and inverse.value > 0.0):
        breadth = SCHERRER_CONSTANT * ratio[0] * inverse.value  # 1/nm
        relative = float(np.hypot((inverse.std or 0.0) / inverse.value, ratio[1] / ratio[0]))
        low, high = breadth * (1.0 + 1.96 * relative), breadth * (1.0 - 1.96 * relative)
        interval = (1.0 / low, 1.0 / max(high, min(1.0 / _LARGEST_NM, breadth)))
        out[name] = Estimate(value=1.0 / breadth, std=relative / breadth, ci95=interval, unit="nm")
    return out


def width_002(fit: FitResult, phase_id: str) -> Estimate | None:
    """FWHM of 002 from size and strain, the instrument removed, degrees for Cu Kα; None without size or cell.

    Γ_size = K λ / (D_c cosθ), Γ_strain = 4 ε tanθ, joined as in ``physics.profiles.tch_widths``.
    """
    along, across = (fit.parameter("inverse_size", phase_id, axis) for axis in "ca")
    inverse, c = along or across, fit.parameter("cell", phase_id, "c")
    if inverse is None or c is None or c.value <= _COPPER:
        return None
    theta = float(np.arcsin(_COPPER / c.value))
    size = float(np.degrees(SCHERRER_CONSTANT * _COPPER / 10.0 / np.cos(theta))) * inverse.value
    mixing = fit.parameter("size_mixing", phase_id)
    share_g, share_l, *_ = profiles.size_components(0.5 if mixing is None else mixing.value)
    strain = fit.parameter("microstrain", phase_id)
    epsilon = 0.0 if strain is None else strain.value
    lorentz = size * share_l + float(np.degrees(4.0 * epsilon * np.tan(theta)))
    width = float(profiles.tch_widths(np.array([max(size * share_g, 1e-6)]), np.array([max(lorentz, 1e-6)])).fwhm[0])
    std = size * (inverse.std or 0.0) / max(inverse.value, 1e-9)
    return Estimate.normal(width, std, unit="deg", low=0.0)


def landi_width_index(width: Estimate | None) -> dict[str, Any]:
    """Crystallinity Xc = (K/β)³ with K = 0.24 and β the FWHM of 002 in degrees [Landi et al. 2000].

    Out of its domain where β < 0.24°, since Xc would exceed one.
    """
    if width is None or width.value <= 0.0:
        return _index(None, in_domain=False, why="no width of 002 was refined")
    value = (LANDI_CONSTANT / width.value) ** 3
    std = 3.0 * value * (width.std or 0.0) / width.value
    why = "" if value <= 1.0 else f"002 is {width.value:.3f}° wide; below 0.24° the index exceeds one"
    return _index(value, in_domain=value <= 1.0, why=why, std=std)


def person_index(heights: _Heights | None) -> dict[str, Any]:
    """Crystallinity index CI = [H(202) + H(300) + H(112)] / H(211) [Person et al. 1995 J. Archaeol. Sci. 22, 211].

    H of 112, 300 and 202 is the height above the valley before the line, H of 211 above the straight baseline from 24
    to 38° (Cu Kα), all on the fitted pattern of the phase. Out of its domain where no valley is left: CI is then 0.
    """
    if heights is None:
        return _index(None, in_domain=False, why=_OUTSIDE)
    total, merged = 0.0, []
    for before, name in (("211", "112"), ("112", "300"), ("300", "202")):
        valley = heights.valley(before, name)
        merged += [name] if valley is None else []
        total += 0.0 if valley is None else max(heights.peak(name) - valley, 0.0)
    reference = heights.peak("211")
    if reference <= 0.0:
        return _index(None, in_domain=False, why="211 has no height over the baseline")
    why = f"no valley before {', '.join(merged)}" if merged else ""
    return _index(total / reference, in_domain=not merged, why=why)


def carbonate_from_cell(a: Estimate) -> Estimate:
    """CO3 mass fraction of an apatite from its a axis, B-type substitution assumed.

    x = (a − a0) / (da/dx), da/dx = −0.6 Å per unit mass fraction; standard uncertainty from a, a0, the slope and the
    scatter seen in tissue, 5.5 wt %: more than most specimens contain. A guide for synthetic series, not a
    measurement of tissue: thermogravimetry or infrared spectra are.
    """
    slope, slope_std = A_PER_CARBONATE
    start, start_std = A_WITHOUT_CARBONATE
    value = (a.value - start) / slope
    parts = ((a.std or 0.0) / slope, start_std / slope, value * slope_std / slope, TISSUE_SCATTER)
    std = float(np.sqrt(sum(v**2 for v in parts)))
    return Estimate.normal(value, std)


def apatite_indices(fit: FitResult, phase_id: str) -> Mapping[str, Any]:
    """All indices of one apatite, as plain values for ``PhaseResult.apatite_indices``.

    Keys: ``column_length_nm`` (c_axis, a_axis), ``aspect_ratio``, ``width_002_deg``, ``inverse_width_002``,
    ``landi_width``, ``landi_valley``, ``person`` (each with value, in_domain, why) and ``carbonate_from_cell``.

    `phase_id`: an apatite of the fit. Returns mapping of str to plain values: lengths in nm, angles in
    degrees, fractions 0 to 1.
    """
    out: dict[str, Any] = {}
    lengths = column_lengths(fit, phase_id)
    if lengths:
        out["column_length_nm"] = {name: value.to_dict() for name, value in lengths.items()}
    if {"c_axis", "a_axis"} <= set(lengths):
        long, wide = lengths["c_axis"], lengths["a_axis"]
        ratio = long.value / wide.value
        std = ratio * float(np.hypot((long.std or 0.0) / long.value, (wide.std or 0.0) / wide.value))
        out["aspect_ratio"] = Estimate(value=ratio, std=std).to_dict()
    width = width_002(fit, phase_id)
    if width is not None:
        out["width_002_deg"] = width.to_dict()
        if width.value > 0.0:
            out["inverse_width_002"] = 1.0 / width.value
    out["landi_width"] = landi_width_index(width)
    # Crystallinity Xc = 1 − V(112/300) / I(300), V the valley between 112 and 300 [Landi et al. 2000].
    # Taken on the fitted pattern of the phase over the straight baseline of `person_index`. Out of its
    # domain where the two lines have merged (crystallites below about 20 nm).
    heights = _heights(fit, phase_id)
    peak = heights.peak("300") if heights is not None else 0.0
    valley = heights.valley("112", "300") if heights is not None else None
    if heights is None:
        out["landi_valley"] = _index(None, in_domain=False, why=_OUTSIDE)
    elif valley is None or peak <= 0.0:
        merged = "112 and 300 have merged; there is no valley between them"
        out["landi_valley"] = _index(None, in_domain=False, why=merged)
    else:
        out["landi_valley"] = _index(1.0 - valley / peak, in_domain=0.0 < valley / peak < 1.0)
    out["person"] = person_index(heights)
    a = fit.parameter("cell", phase_id, "a")
    if a is not None:
        carbonate = carbonate_from_cell(a)
        inside = -0.02 <= carbonate.value <= 0.12
        why = "" if inside else "a lies outside what carbonate alone can do"
        out["carbonate_from_cell"] = {**carbonate.to_dict(), "in_domain": inside, "why": why}
    return out


def with_apatite_indices(
    phases: Sequence[PhaseResult], fit: FitResult, apatites: Collection[str]
) -> tuple[PhaseResult, ...]:
    """Add `apatite_indices` to every fitted, detected phase whose id is among the `apatites`."""
    return tuple(
        replace(phase, apatite_indices=apatite_indices(fit, phase.id))
        if phase.id in apatites and phase.id in fit.phases and phase.decision == "detected"
        else phase
        for phase in phases
    )


class _Heights(msgspec.Struct, frozen=True, kw_only=True):
    """Fitted pattern of an apatite over its straight baseline, and the angles of 211, 112, 300 and 202 in degrees."""

    two_theta: FloatArray
    height: FloatArray
    angle: Mapping[str, float]

    def peak(self, name: str) -> float:
        """Highest value within a tenth of a degree of a reflection."""
        near = np.abs(self.two_theta - self.angle[name]) <= 0.1
        return float(self.height[near].max()) if near.any() else 0.0

    def valley(self, first: str, second: str) -> float | None:
        """Lowest value between two reflections, None where the curve has no minimum of its own there."""
        between = (self.two_theta > self.angle[first]) & (self.two_theta < self.angle[second])
        if between.sum() < 3:
            return None
        part = self.height[between]
        i = int(np.argmin(part))
        return None if i in (0, len(part) - 1) else float(part[i])


def _heights(fit: FitResult, phase_id: str) -> _Heights | None:
    """Heights over the baseline; None where the four reflections are not all inside the fitted range."""
    table = fit.reflections.get(phase_id)
    if table is None or not fit.wavelengths:
        return None
    # Of a hexagonal crystal the equivalents, whichever the table lists, have h² + hk + k² and |l| in common.
    found: dict[str, float] = {}
    for (h, k, m), angle in zip(table.hkl, table.two_theta, strict=True):
        if name := _REFLECTIONS.get((round(h * h + h * k + k * k), abs(round(m)))):
            found.setdefault(name, float(angle))
    if len(found) < len(_REFLECTIONS):
        return None
    ends = [2.0 * float(np.degrees(np.arcsin(fit.wavelengths[0] / (2.0 * d)))) for d in _BASELINE_D]
    x, y = fit.two_theta, fit.phases[phase_id]
    if x[0] > ends[0] or x[-1] < ends[1]:
        return None
    low, high = np.interp(ends, x, y)
    baseline = low + (high - low) * (x - ends[0]) / (ends[1] - ends[0])
    return _Heights(two_theta=x, height=y - baseline, angle=found)
