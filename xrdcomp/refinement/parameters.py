"""Non-linear parameters of a fit: start, limits, prior, meaning; users see them as lmfit Parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from xrdcomp.data import Instrument, Phase
from xrdcomp.errors import RecipeError
from xrdcomp.physics import corrections, reflections
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.reflections import TEXTURE_ORDER, refinable_elements, refined_ratios
from xrdcomp.results import ParameterId
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    import lmfit

# 1/nm; below 4 nm a reflection is as broad as an amorphous maximum and calling it crystalline has no meaning
MAX_INVERSE_SIZE = 0.25
# Standard deviation of the overall B relative to the structure's mean: hard crystals, with small B, vary little between
# preparations and refinements (0.05 Å² for corundum), apatites much (0.2 Å²).
B_RELATIVE_STD = 0.2
_B_STD_MIN = 0.05  # Å²
_ELEMENT_B_STD = 0.3  # Å², of each element: refinements of one compound differ by so much


class FitParameter(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One non-linear parameter of the fit: start, hard limits, Gaussian prior, whose width is a typical change."""

    id: ParameterId
    value: float
    low: float
    high: float
    prior_mean: float
    prior_std: float
    unit: str
    meaning: str
    vary: bool = True

    @cached_property
    def name(self) -> str:
        """Name in tables and in lmfit, as ``sample_displacement_mm`` or ``hydroxyapatite_a``."""
        return self.id.name


@dataclass(frozen=True)
class ParameterTable:
    """All parameters of a fit, with affine ties: values = base + ties @ free."""

    items: tuple[FitParameter, ...]
    base: FloatArray | None = None
    ties: FloatArray | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(item.name for item in self.items)

    @cached_property
    def start(self) -> dict[str, float]:
        """Values where a refinement starts, by name."""
        return {item.name: item.value for item in self.items}

    @cached_property
    def free(self) -> tuple[FitParameter, ...]:
        """The parameters that are varied."""
        return tuple(item for item in self.items if item.vary)

    @cached_property
    def free_names(self) -> tuple[str, ...]:
        """Names of the parameters that are varied."""
        return tuple(item.name for item in self.free)

    def values(self, free_values: FloatArray) -> dict[str, float]:
        """All values, given those of the varied parameters."""
        if self.base is not None and self.ties is not None:
            return dict(zip(self.names, (self.base + self.ties @ free_values).tolist(), strict=True))
        return self.start | dict(zip(self.free_names, free_values.tolist(), strict=True))

    @cached_property
    def needed(self) -> frozenset[str]:
        """Names whose derivatives are needed: the varied ones and those tied to them."""
        moving = np.abs(self.tie_matrix()).sum(axis=1) > 0
        return frozenset(name for name, flag in zip(self.names, moving, strict=True) if flag)

    def tie_matrix(self) -> FloatArray:
        """(all, free) matrix of d values / d free."""
        if self.ties is not None:
            return self.ties
        return np.eye(len(self.items))[:, [item.vary for item in self.items]]

    def with_values(self, values: Mapping[str, float]) -> ParameterTable:
        """Return a copy that starts at other values (clipped to the limits)."""
        limited = [float(min(max(values.get(i.name, i.value), i.low), i.high)) for i in self.items]
        moved = (
            i if i.value == value else msgspec.structs.replace(i, value=value)
            for i, value in zip(self.items, limited, strict=True)
        )
        return replace(self, items=tuple(moved))

    def to_lmfit(self) -> lmfit.Parameters:
        """Return lmfit Parameters, which `from_lmfit` takes back after changes."""
        import lmfit

        params = lmfit.Parameters()
        for item in self.items:
            params.add(item.name, value=item.value, vary=item.vary, min=item.low, max=item.high)
        return params

    def from_lmfit(self, params: lmfit.Parameters) -> ParameterTable:
        """Take values, limits, fixing and affine ties over from lmfit Parameters.

        Raises RecipeError for a name that this fit does not have, or an expression that is not affine in the varied
        parameters.
        """
        unknown = sorted(set(params) - set(self.names))
        if unknown:
            msg = f"these parameters do not belong to this fit: {', '.join(unknown)}; it has {', '.join(self.names)}"
            raise RecipeError(msg)
        items = []
        for item in self.items:
            if (p := params.get(item.name)) is None:
                items.append(msgspec.structs.replace(item, vary=False))
                continue
            vary, low, high = bool(p.vary) and not p.expr, float(p.min), float(p.max)
            items.append(msgspec.structs.replace(item, value=float(p.value), vary=vary, low=low, high=high))
        table = ParameterTable(tuple(items))
        if not any(params[name].expr for name in params):
            return table
        base, ties = _affine(params, table)
        return replace(table, base=base, ties=ties)


def _affine(params: Any, table: ParameterTable) -> tuple[FloatArray, FloatArray]:
    """Values as an affine function of the varied parameters, by evaluating lmfit's expressions."""
    work = params.copy()
    for name in work:
        work[name].set(min=-np.inf, max=np.inf)
    free = [item.name for item in table.free]
    start = np.array([work[name].value for name in free])

    def evaluate(vector: FloatArray) -> FloatArray:
        for name, value in zip(free, vector, strict=True):
            work[name].set(value=float(value))
        work.update_constraints()
        return np.array(
            [work[n].value if n in work else i.value for n, i in zip(table.names, table.items, strict=True)]
        )

    at_start = evaluate(start)
    steps = np.array([item.prior_std for item in table.free])
    ties = np.stack([(evaluate(start + s * np.eye(len(free))[i]) - at_start) / s for i, s in enumerate(steps)], axis=1)
    probe = evaluate(start + 3.0 * steps)
    if not np.allclose(probe, at_start + ties @ (3.0 * steps), rtol=1e-6, atol=1e-12):
        msg = "an expression is not affine in the varied parameters; use sums and constant multiples, or solver='lmfit'"
        raise RecipeError(msg)
    return at_start - ties @ start, ties


def build_parameters(phases: Sequence[Phase], instrument: Instrument, recipe: FitRecipe) -> ParameterTable:
    """Build the default parameter table for some phases on an instrument.

    Priors are weak and physical: a generic instrument's resolution, displacements of a few tenths of a
    millimetre, cells within half a per cent, extra B within a few tenths of Å², March-Dollase near 1.
    """
    i, items = instrument, []
    if recipe.displacement:
        items.append(_item("sample_displacement_mm", 0.0, (-2.0, 2.0), 0.15, "mm", "shift -2 s cosθ/R"))
    if recipe.zero_shift:
        items.append(_item("zero_shift", i.zero_shift, (-1.0, 1.0), 0.03, "deg", "observed - true"))
    if recipe.transparency:
        meaning = "1/μ as packed, shift -sin2θ t/2R"
        items.append(_item("transparency_mm", 0.05, (0.0, 3.0), 0.3, "mm", meaning))
    if not i.calibrated:
        natural = "Lorentzian FWHM, tanθ term: emission lines"
        items += [
            _item("caglioti_u", i.caglioti_u, (-0.05, 0.2), 0.01, "deg²", "Gaussian FWHM², tan²θ term"),
            _item("caglioti_v", i.caglioti_v, (-0.1, 0.05), 0.005, "deg²", "Gaussian FWHM², tanθ term"),
            _item("caglioti_w", i.caglioti_w, (0.0, 0.2), 0.005, "deg²", "Gaussian FWHM², constant"),
            _item("instrument_lorentzian_strain", i.lorentzian_strain, (0.0, 0.5), 0.02, "deg", natural),
        ]
        for name, (_, start) in refined_ratios(i).items():
            # the ratio of a doublet is physics; that of filtered radiation depends on the filter
            doublet = name == "kalpha2_ratio"
            std = 0.02 if doublet else 0.5 * start
            limits = (0.3 * start, 2.0 * start) if doublet else (0.01 * start, 10.0 * start)
            items.append(_item(name, start, limits, std, "", "weight relative to the strongest emission line"))
        if recipe.asymmetry and i.axial_divergence > 0:
            start = i.axial_divergence
            items.append(_item("axial_divergence", start, (0.001, 0.1), 0.015, "", "half height / radius"))
    texture_model = recipe.texture
    if texture_model == "auto":
        # harmonics of several phases would trade intensity among reflections that overlap
        texture_model = "harmonic" if len(phases) == 1 else "march_dollase"
    for phase in phases:
        items += _phase_items(phase, recipe, texture_model)
    return ParameterTable(tuple(items))


def _item(
    kind: str,
    start: float,
    limits: tuple[float, float],
    prior_std: float,
    unit: str,
    meaning: str,
    *,
    phase: str = "",
    axis: str = "",
) -> FitParameter:
    """Parameter whose prior is centred on its start."""
    return FitParameter(
        id=ParameterId(kind=kind, phase=phase, axis=axis),
        value=start,
        low=limits[0],
        high=limits[1],
        prior_mean=start,
        prior_std=prior_std,
        unit=unit,
        meaning=meaning,
    )


def _cell_items(phase: Phase, *, strain: float, half_range: float, relative_std: float) -> list[FitParameter]:
    """Free edges (Å) and angles (deg) of a cell; `strain` changes the edges at the start, all else is relative."""
    names, freedom = reflections.cell_freedom(phase.crystal_system)
    nominal = np.linalg.lstsq(freedom, np.array(phase.cell.parameters), rcond=None)[0]
    items = []
    for axis, value in zip(names, nominal.tolist(), strict=True):
        start, unit = (value * (1.0 + strain), "Å") if axis in "abc" else (value, "deg")
        limits = ((1.0 - half_range) * value, (1.0 + half_range) * value)
        std = relative_std * value
        items.append(_item("cell", start, limits, std, unit, "cell", phase=phase.id, axis=axis))
    return items


def _phase_items(phase: Phase, recipe: FitRecipe, texture_model: str) -> list[FitParameter]:
    own = partial(_item, phase=phase.id)
    uniaxial = phase.crystal_system in {"hexagonal", "trigonal", "tetragonal"}
    items = []
    if recipe.cell:
        items += _cell_items(phase, strain=0.0, half_range=0.03, relative_std=0.005)
    if recipe.size != "none":
        sizes = (0.0, MAX_INVERSE_SIZE)
        items.append(own("inverse_size", 0.01, sizes, 0.3, "1/nm", "1 / crystallite size", axis="a"))
        if recipe.size == "anisotropic" and uniaxial:
            items.append(own("inverse_size", 0.01, sizes, 0.3, "1/nm", "1 / size along c", axis="c"))
        items.append(own("size_mixing", 0.5, (0.0, 1.0), 0.3, "", "0 Gaussian … 1 Lorentzian size profile"))
    if recipe.strain:
        items.append(own("microstrain", 0.0, (0.0, 0.05), 0.003, "", "Δd/d, FWHM 4 ε tanθ"))
    if recipe.b_elements:
        items += [
            own("b", 0.0, (-1.0, 4.0), _ELEMENT_B_STD, "Å²", f"added to B of {element}", axis=element.lower())
            for element in refinable_elements(phase)
        ]
    elif recipe.b_overall:
        mean = float(np.average(phase.site_b_iso, weights=phase.site_occupancy))
        centre, std = 0.0, max(B_RELATIVE_STD * mean, _B_STD_MIN)
        if phase.facts.b_iso is not None:
            centre, std = phase.facts.b_iso[0] - mean, phase.facts.b_iso[1]
        items.append(own("b_extra", centre, (-1.0, 4.0), std, "Å²", "added to every B of the structure"))
    if texture_model == "march_dollase" and uniaxial:
        meaning = "texture along c; < 1 plates, > 1 needles"
        items.append(own("march_dollase", 1.0, (0.3, 3.0), 0.15, "", meaning))
    if texture_model == "harmonic":
        count = _number_of_harmonics(phase)
        items += [
            own("harmonic", 0.0, (-0.5, 0.5), 0.05, "", "texture harmonic, relative", axis=str(k + 1))
            for k in range(count)
        ]
    return items


@lru_cache(maxsize=512)
def _number_of_harmonics(phase: Phase) -> int:
    one = np.array([[1, 0, 0]])
    return int(corrections.harmonic_columns(one, phase.rotations, phase.cell.parameters, TEXTURE_ORDER).shape[1])


def minor_parameters(phase: Phase, *, strain: float, inverse_size: float) -> list[FitParameter]:
    """Parameters of a phase found beside the main ones: cell and one size (1/nm), starting where the search saw it.

    `strain` is the relative change of all spacings at the start.
    """
    cell = _cell_items(phase, strain=strain, half_range=0.01, relative_std=0.002)
    limits = (0.0, 0.5 * MAX_INVERSE_SIZE)
    size = _item("inverse_size", inverse_size, limits, 0.02, "1/nm", "1 / crystallite size", phase=phase.id, axis="a")
    return [*cell, size]
