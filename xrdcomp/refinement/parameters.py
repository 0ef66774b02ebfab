"""The table of non-linear parameters: start, limits, prior, meaning; lmfit's Parameters are its public face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xrdcomp.data import Instrument, Phase
from xrdcomp.errors import RecipeError
from xrdcomp.physics import reflections, texture
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.reflections import TEXTURE_ORDER, element_names, refined_ratios
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    import lmfit

MAX_INVERSE_SIZE = 0.25
"""1/nm; below 4 nm a line is as broad as a halo and calling it crystalline has no meaning."""


B_RELATIVE_STD = 0.2
"""Standard deviation of the overall B relative to the structure's mean: hard crystals, with small B, vary little
between preparations and refinements (0.05 Å² for corundum), apatites much (0.2 Å²)."""

_B_STD_MIN = 0.05  # Å²
_ELEMENT_B_STD = 0.3  # Å², of each element: refinements of one compound differ by so much


@dataclass(frozen=True, kw_only=True)
class FitParameter:
    """One non-linear parameter of the fit.

    Attributes
    ----------
    name : str
        ``sample_displacement_mm``, ``hydroxyapatite_a`` …
    value, low, high : float
        Start and hard limits.
    prior_std : float
        Standard deviation of the Gaussian prior around `prior_mean`; infinity for none.
    step : float
        Typical size of a change, for scaling.
    unit, meaning : str
    """

    name: str
    value: float
    low: float
    high: float
    prior_mean: float
    prior_std: float
    step: float
    unit: str
    meaning: str
    vary: bool = True


@dataclass(frozen=True)
class ParameterTable:
    """All parameters of a fit, with affine ties: values = base + ties @ free."""

    items: tuple[FitParameter, ...]
    base: FloatArray | None = None
    ties: FloatArray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(item.name for item in self.items)

    @property
    def free(self) -> tuple[FitParameter, ...]:
        """The parameters that are varied."""
        return tuple(item for item in self.items if item.vary)

    def values(self, free_values: FloatArray) -> dict[str, float]:
        """All values, given those of the varied parameters."""
        if self.base is not None and self.ties is not None:
            return dict(zip(self.names, (self.base + self.ties @ free_values).tolist(), strict=True))
        out = {item.name: item.value for item in self.items}
        out.update(zip((item.name for item in self.free), free_values.tolist(), strict=True))
        return out

    @property
    def needed(self) -> frozenset[str]:
        """Names whose derivatives are needed: the varied ones and those tied to them."""
        if self.ties is None:
            return frozenset(item.name for item in self.free)
        moving = np.abs(self.ties).sum(axis=1) > 0
        return frozenset(name for name, flag in zip(self.names, moving, strict=True) if flag)

    def tie_matrix(self) -> FloatArray:
        """(all, free) matrix of d values / d free."""
        if self.ties is not None:
            return self.ties
        free = [i for i, item in enumerate(self.items) if item.vary]
        out = np.zeros((len(self.items), len(free)))
        out[free, np.arange(len(free))] = 1.0
        return out

    def with_values(self, values: Mapping[str, float]) -> ParameterTable:
        """Return a copy that starts at other values (clipped to the limits)."""
        items = tuple(
            replace(item, value=float(np.clip(values.get(item.name, item.value), item.low, item.high)))
            for item in self.items
        )
        return replace(self, items=items)

    def to_lmfit(self) -> lmfit.Parameters:
        """Return lmfit Parameters: change value, vary, min, max or expr, and pass them to `fit_pattern`."""
        import lmfit

        params = lmfit.Parameters()
        for item in self.items:
            params.add(item.name, value=item.value, vary=item.vary, min=item.low, max=item.high)
        return params

    def from_lmfit(self, params: lmfit.Parameters) -> ParameterTable:
        """Take values, limits, fixing and affine ties over from lmfit Parameters.

        Raises
        ------
        RecipeError
            A name that this fit does not have, or an expression that is not affine in the varied parameters.
        """
        unknown = sorted(set(params) - set(self.names))
        if unknown:
            msg = f"these parameters do not belong to this fit: {', '.join(unknown)}; it has {', '.join(self.names)}"
            raise RecipeError(msg)
        items = []
        for item in self.items:
            if item.name not in params:
                items.append(replace(item, vary=False))
                continue
            p = params[item.name]
            low, high = (float(v) for v in (p.min, p.max))
            items.append(
                replace(item, value=float(p.value), vary=bool(p.vary) and not p.expr, low=low, high=high)
            )
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
    steps = np.array([item.step for item in table.free])
    ties = np.stack(
        [(evaluate(start + s * np.eye(len(free))[i]) - at_start) / s for i, s in enumerate(steps)], axis=1
    )
    probe = evaluate(start + 3.0 * steps)
    if not np.allclose(probe, at_start + ties @ (3.0 * steps), rtol=1e-6, atol=1e-12):
        msg = "an expression is not affine in the varied parameters; use sums and constant multiples, or solver='lmfit'"
        raise RecipeError(msg)
    return at_start - ties @ start, ties


def phase_of(name: str, phase_ids: Iterable[str]) -> str:
    """Phase that a parameter belongs to, empty for the instrument's; ids may begin alike (beta_tcp, beta_tcp_mg)."""
    return max((i for i in phase_ids if name.startswith(f"{i}_")), key=len, default="")


def build_parameters(phases: Sequence[Phase], instrument: Instrument, recipe: FitRecipe) -> ParameterTable:
    """Build the default parameter table for some phases on an instrument.

    Priors are weak and physical: a generic instrument's resolution, displacements of a few tenths of a
    millimetre, cells within half a per cent, extra B within a few tenths of Å², March-Dollase near 1.
    """
    items = _instrument_items(instrument, recipe)
    texture_model = recipe.texture
    if texture_model == "auto":
        texture_model = "harmonic" if len(phases) == 1 else "march_dollase"
    for phase in phases:
        items += _phase_items(phase, recipe, texture_model)
    return ParameterTable(tuple(items))


def _item(
    name: str, start: float, limits: tuple[float, float], prior_std: float, unit: str, meaning: str
) -> FitParameter:
    return FitParameter(
        name=name,
        value=start,
        low=limits[0],
        high=limits[1],
        prior_mean=start,
        prior_std=prior_std,
        step=prior_std,
        unit=unit,
        meaning=meaning,
    )


def _instrument_items(instrument: Instrument, recipe: FitRecipe) -> list[FitParameter]:
    items = []
    if recipe.displacement:
        items.append(_item("sample_displacement_mm", 0.0, (-2.0, 2.0), 0.15, "mm", "shift -2 s cosθ/R"))
    if recipe.zero_shift:
        items.append(_item("zero_shift", instrument.zero_shift, (-1.0, 1.0), 0.03, "deg", "observed - true"))
    if recipe.transparency:
        items.append(
            _item("transparency_mm", 0.05, (0.0, 3.0), 0.3, "mm", "1/μ as packed, shift -sin2θ t/2R")
        )
    if not instrument.calibrated:
        items += [
            _item(
                "caglioti_u", instrument.caglioti_u, (-0.05, 0.2), 0.01, "deg²", "Gaussian FWHM², tan²θ term"
            ),
            _item(
                "caglioti_v", instrument.caglioti_v, (-0.1, 0.05), 0.005, "deg²", "Gaussian FWHM², tanθ term"
            ),
            _item("caglioti_w", instrument.caglioti_w, (0.0, 0.2), 0.005, "deg²", "Gaussian FWHM², constant"),
            _item(
                "instrument_lorentzian_strain",
                instrument.lorentzian_strain,
                (0.0, 0.5),
                0.02,
                "deg",
                "Lorentzian FWHM, tanθ term: emission lines",
            ),
        ]
    for name, (_, start) in refined_ratios(instrument).items() if not instrument.calibrated else ():
        spread = 0.02 if name == "kalpha2_ratio" else 0.5 * start
        limits = (0.3 * start, 2.0 * start) if name == "kalpha2_ratio" else (0.01 * start, 10.0 * start)
        items.append(_item(name, start, limits, spread, "", "weight relative to the strongest line"))
    if recipe.asymmetry and not instrument.calibrated and instrument.axial_divergence > 0:
        start = instrument.axial_divergence
        items.append(_item("axial_divergence", start, (0.001, 0.1), 0.015, "", "half height / radius"))
    return items


def _phase_items(phase: Phase, recipe: FitRecipe, texture_model: str) -> list[FitParameter]:
    p = f"{phase.id}_"
    uniaxial = phase.crystal_system in {"hexagonal", "trigonal", "tetragonal"}
    items = []
    if recipe.cell:
        names, freedom = reflections.cell_freedom(phase.crystal_system)
        start = np.linalg.lstsq(freedom, np.array(phase.cell.parameters), rcond=None)[0]
        for name, value in zip(names, start, strict=True):
            unit = "Å" if name in "abc" else "deg"
            items.append(
                _item(p + name, float(value), (0.97 * value, 1.03 * value), 0.005 * value, unit, "cell")
            )
    if recipe.size != "none":
        items.append(
            _item(p + "inverse_size_a", 0.01, (0.0, MAX_INVERSE_SIZE), 0.3, "1/nm", "1 / crystallite size")
        )
        if recipe.size == "anisotropic" and uniaxial:
            items.append(
                _item(p + "inverse_size_c", 0.01, (0.0, MAX_INVERSE_SIZE), 0.3, "1/nm", "1 / size along c")
            )
        items.append(
            _item(p + "size_mixing", 0.5, (0.0, 1.0), 0.3, "", "0 Gaussian … 1 Lorentzian size profile")
        )
    if recipe.strain:
        items.append(_item(p + "microstrain", 0.0, (0.0, 0.05), 0.003, "", "Δd/d, FWHM 4 ε tanθ"))
    if recipe.b_elements:
        items += [
            _item(name, 0.0, (-1.0, 4.0), _ELEMENT_B_STD, "Å²", f"added to B of {element}")
            for element, name in element_names(phase).items()
        ]
    elif recipe.b_overall:
        items.append(
            _item(p + "b_extra", 0.0, (-1.0, 4.0), _b_std(phase), "Å²", "added to every B of the structure")
        )
    if texture_model == "march_dollase" and uniaxial:
        items.append(
            _item(p + "march_dollase", 1.0, (0.3, 3.0), 0.15, "", "texture along c; < 1 plates, > 1 needles")
        )
    if texture_model == "harmonic":
        items += [
            _item(f"{p}harmonic_{k + 1}", 0.0, (-0.5, 0.5), 0.05, "", "texture harmonic, relative")
            for k in range(_harmonic_count(phase))
        ]
    return items


def _b_std(phase: Phase) -> float:
    """Standard deviation of what is added to all B: a share of the structure's own mean, Å²."""
    mean = float(np.average(phase.site_b_iso, weights=phase.site_occupancy))
    return max(B_RELATIVE_STD * mean, _B_STD_MIN)


def minor_parameters(phase: Phase, *, strain: float, inverse_size: float) -> tuple[FitParameter, ...]:
    """Parameters of a phase found beside the main ones: cell and one size, starting where the search saw it.

    Parameters
    ----------
    strain : float
        Relative change of all spacings at the start.
    inverse_size : float, 1/nm
    """
    p = f"{phase.id}_"
    names, freedom = reflections.cell_freedom(phase.crystal_system)
    start = np.linalg.lstsq(freedom, np.array(phase.cell.parameters), rcond=None)[0]
    items = []
    for name, value in zip(names, start, strict=True):
        length = name in "abc"
        moved = float(value) * (1.0 + strain if length else 1.0)
        limits = (0.99 * float(value), 1.01 * float(value))
        items.append(_item(p + name, moved, limits, 0.002 * float(value), "Å" if length else "deg", "cell"))
    limits = (0.0, 0.5 * MAX_INVERSE_SIZE)
    items.append(_item(p + "inverse_size_a", inverse_size, limits, 0.02, "1/nm", "1 / crystallite size"))
    return tuple(items)


def _harmonic_count(phase: Phase) -> int:
    """Number of independent texture harmonics."""
    columns = texture.harmonic_columns(
        np.array([[1, 0, 0]]), phase.rotations, phase.cell.parameters, TEXTURE_ORDER
    )
    return int(columns.shape[1])
