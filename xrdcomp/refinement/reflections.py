"""From a phase and parameter values to its pattern per gram, with derivatives; no loop over reflections or points.

A *profile* is one reflection in one emission line at one node of the axial divergence. Reflections, profiles and the
points they reach are frozen in a `PhaseReflections`; its `pattern` then evaluates them for any parameter values as a
product of one sparse matrix (places × profiles) with small dense ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache

import numpy as np

from xrdcomp.data import Instrument, Phase
from xrdcomp.errors import AnalysisError
from xrdcomp.physics import corrections, elements, profiles
from xrdcomp.physics import reflections as lattice
from xrdcomp.results import parameter_name
from xrdcomp.units import FloatArray, IntArray, two_theta_to_q

_DEG = 180.0 / np.pi
_PER_MM = 10.0  # cm⁻¹, a depth of transparency of 1 mm

SCHERRER_CONSTANT = 0.9  # K of L = K λ / (FWHM cosθ), with widths at half maximum
TEXTURE_ORDER = 6  # highest degree of the spherical harmonics of preferred orientation
WINDOW_FWHM = (5.0, 30.0)  # least and greatest half width of a profile's window, in units of its FWHM
WINDOW_MAX = 20.0  # degrees, greatest half width of a window
_SINE_MAX = 0.99999  # 2θ = 179.5°, outside every scan
_NARROWEST_SQ = 1e-4  # (0.01°)²: no laboratory profile is narrower, and U, V, W may go negative together
_TAIL_CUT = 3e-5  # a Lorentzian tail is followed until it falls below this share of the strongest profile
_MIN_RELATIVE_INTENSITY = 1e-5
_REACH = 3.0  # degrees beyond the points from which reflections are taken in
_NODES_MAX = 10
_WEAK = 0.01  # of the strongest profile: three nodes give mean and variance of the shift, and do below this
_FAINT = 1e-3  # the same of one node, which gives the mean, and widens the profile by its spread
# Square of the full width at half maximum of a Gaussian that has the variance of u², u of `profiles.axial_nodes`.
_SPREAD_SQ = 8.0 * np.log(2.0) * (1.0 / 15.0 - 1.0 / 36.0)
_DEPTH_SPREAD = 6.0 / np.sqrt(1.4)  # see `PhaseReflections._positions`

_Slopes = dict[str, FloatArray]  # derivatives by the name of the parameter
_WithSlopes = tuple[FloatArray, _Slopes]

# What the instrument does to profiles besides resolution: tube spectrum, axial height, fixed aberrations, geometry.


def axial_height(instrument: Instrument, values: Mapping[str, float]) -> float:
    """Refined axial divergence, else the calibrated one, else none."""
    return values.get("axial_divergence", instrument.axial_divergence if instrument.calibrated else 0.0)


@lru_cache(maxsize=64)
def refined_ratios(instrument: Instrument) -> dict[str, tuple[tuple[float, ...], float]]:
    """Emission lines whose weight a fit may refine: name → (wavelengths, weight at the start).

    ``kalpha2_ratio`` for the lines 0.1 to 1 % longer than the strongest, relative to those beside it;
    ``kbeta_ratio`` and ``w_la_ratio`` for lines of these labels, all lines of a label in the ratio they have.
    """
    lines, top = [x for x in instrument.emission_lines if x.weight > 0], instrument.wavelength
    near = [x for x in lines if not x.label and 0.001 < x.wavelength / top - 1.0 < 0.01]
    out: dict[str, tuple[tuple[float, ...], float]] = {}
    if near:
        own = sum(x.weight for x in instrument.emission_lines if abs(x.wavelength / top - 1.0) <= 0.001)
        out["kalpha2_ratio"] = (tuple(x.wavelength for x in near), sum(x.weight for x in near) / own)
    for label in ("kbeta", "w_la"):
        if named := [x for x in lines if x.label == label]:
            out[f"{label}_ratio"] = (tuple(x.wavelength for x in named), named[0].weight)
    return out


def depth_and_flatness(instrument: Instrument, two_theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shifts of a profile's centroid by transparency, per mm of 1/μ, and by the flat specimen, degrees.

    −sin2θ / 2R and −α² cotθ / 6   [Wilson 1963, Mathematical Theory of X-ray Powder Diffractometry]
    """
    depth = corrections.transparency_shift(two_theta, _PER_MM, instrument.radius_mm)
    alpha = np.radians(instrument.equatorial_divergence)
    flat = -_DEG * alpha**2 / 6.0 / np.tan(np.radians(two_theta) / 2.0)
    return depth, np.asarray(flat)


def geometry_factor(instrument: Instrument, two_theta: FloatArray) -> FloatArray:
    """Factor on everything the specimen scatters: variable slits, and absorption outside reflection.

    sinθ for slits that keep the lit length; what a specimen shorter than the beam catches of it; for a capillary the
    transmission of its section, for a foil exp(−μt / cosθ) / cosθ, for a thin layer in reflection 1 − exp(−2μt / sinθ),
    and the like for a specimen at a fixed angle to the beam (see ``physics.corrections``); absorption relative to the
    middle of the scan's range. Raises AnalysisError where a fixed angle hides part of the range.
    """
    factor = np.ones_like(two_theta)
    if instrument.variable_slit:
        factor = factor * corrections.variable_slit(two_theta)
    if instrument.specimen_length_mm > 0.0 and instrument.geometry == "bragg_brentano":
        divergence, length = instrument.equatorial_divergence, instrument.specimen_length_mm
        if divergence > 0.0 and not instrument.variable_slit and instrument.incidence_angle == 0.0:
            factor = factor * corrections.beam_overflow(two_theta, divergence, instrument.radius_mm, length)
    if instrument.incidence_angle > 0.0 and instrument.geometry != "debye_scherrer":
        through = instrument.geometry == "transmission"
        mu_t = instrument.absorption_radius or (0.0 if through else np.inf)
        try:
            own = corrections.absorption_fixed_incidence(
                two_theta, instrument.incidence_angle, mu_t, transmission=through
            )
        except ValueError as error:
            raise AnalysisError(f"instrument.incidence_angle: {error} Give another range or another angle.") from error
        factor = factor * own / own[len(own) // 2]
    elif instrument.absorption_radius > 0.0:
        absorption = {
            "debye_scherrer": corrections.absorption_cylinder,
            "bragg_brentano": corrections.absorption_flat_reflection,
        }.get(instrument.geometry, corrections.absorption_flat_transmission)
        own = absorption(two_theta, instrument.absorption_radius)
        factor = factor * own / own[len(own) // 2]
    return factor


def polarization(two_theta: FloatArray, instrument: Instrument) -> FloatArray:
    """Polarisation factor of the instrument, a monochromator's included."""
    return corrections.polarization(
        two_theta,
        monochromator_two_theta=instrument.monochromator_two_theta,
        polarization_fraction=instrument.polarization_fraction,
    )


# Intensities per gram, and displacement parameters of each element.


@lru_cache(maxsize=256)
def cell_mass(phase: Phase) -> float:
    """Mass of the atoms of one cell, g/mol."""
    pairs = zip(phase.site_element, phase.site_occupancy, strict=True)
    return float(sum(elements.atomic_weight(e) * o for e, o in pairs))


MAX_REFLECTIONS = 8_000
"""Reflections of one phase: a fit with so many takes some ten seconds and half a gigabyte."""
MAX_REFLECTIONS_SEARCHED = 50_000
"""The same for a phase that is only searched for: the largest cell of the library has 21 000 with Ag Kα to 56°."""
MAX_TERMS = 5e7
"""Reflections times sites of the cell: so many terms of structure factors take some seconds."""


def reflections_of(
    phase: Phase, cell6: FloatArray, d_min: float, d_max: float, *, most: int = MAX_REFLECTIONS
) -> lattice.Reflections:
    """Reflections of a phase between two spacings (Å), estimated before they are listed.

    AnalysisError: more than `most`, or more terms than can be calculated, or a cell that is none.
    """
    try:
        number, sites = lattice.expected_reflections(cell6, phase.rotations, d_min, d_max), len(phase.site_element)
        if number > most or number * sites > MAX_TERMS:
            raise AnalysisError(
                f"{phase.id}: some {number:.2g} reflections of {sites} sites lie above {d_min:.3g} Å, more than the "
                f"{most} (or {MAX_TERMS:.0e} times both) that can be calculated. Take the upper end of "
                "the range lower, check cell and wavelength, or leave it out."
            )
        return lattice.generate_reflections(
            cell6, phase.rotations, phase.translations, phase.centring, d_min=d_min, d_max=d_max
        )
    except ValueError as error:
        raise AnalysisError(f"{phase.id}: {error}") from error


def strength_per_gram(
    phase: Phase,
    hkl: FloatArray | IntArray,
    multiplicity: FloatArray | IntArray,
    d_spacing: FloatArray,
    cell6: FloatArray,
    wavelength: float,
) -> FloatArray:
    """Return m |F|² / (V × cell mass) of reflections, the part of an intensity that is the structure's."""
    f_sq = lattice.structure_factor_sq(
        hkl, d_spacing, phase.site_xyz, phase.site_element, phase.site_occupancy, phase.site_b_iso, wavelength
    )
    strength: FloatArray = multiplicity * f_sq / (lattice.cell_volume(cell6) * cell_mass(phase))
    return strength


def diffuse_scattering(
    phase: Phase, instrument: Instrument, two_theta: FloatArray, b_names: Mapping[str, str]
) -> _WithSlopes:
    """Thermal diffuse, occupational (Laue) and Compton scattering of the crystal, per gram, polarised.

    What reflections lose to disorder stays in the pattern: Σ o |f|² − |Σ o f e^(−Bs²)|² over the atoms of each site,
    f with f' and f", summed over the sites of a cell as if their displacements and occupations were independent. The
    derivatives are by each B of `b_names` (parameter by element), or by the overall B where there is none.
    """
    s = two_theta_to_q(two_theta, instrument.wavelength) / (4.0 * np.pi)
    # atoms that share a site, by its place in the cell; sites of the same atoms are counted together
    places: dict[tuple[float, ...], list[tuple[str, float, float]]] = {}
    atoms = zip(phase.site_element, phase.site_occupancy, phase.site_b_iso, phase.site_xyz, strict=True)
    for element, occupancy, b, xyz in atoms:
        place = tuple(np.round(np.asarray(xyz) % 1.0, 3) % 1.0)
        places.setdefault(place, []).append((str(element), round(float(occupancy), 4), round(float(b), 3)))
    names = sorted(set(map(str, phase.site_element)))
    factors = {}
    for element in names:
        f1, f2 = elements.anomalous(element, instrument.wavelength)
        factors[element] = elements.form_factor(element, s) + f1 + 1j * f2
    compton = {element: elements.incoherent(element, s) for element in names}
    total = np.zeros_like(s)
    by_b = {element: np.zeros_like(s) for element in names}
    for site, count in Counter(tuple(sorted(site)) for site in places.values()).items():
        parts = [o * factors[element] * np.exp(-b * s**2) for element, o, b in site]
        amplitude = np.sum(parts, axis=0)
        free = sum(o * (np.abs(factors[element]) ** 2 + compton[element]) for element, o, _ in site)
        total += count * (free - np.abs(amplitude) ** 2)
        for (element, *_), part in zip(site, parts, strict=True):
            by_b[element] += count * 2.0 * s**2 * np.real(np.conj(amplitude) * part)
    factor = emitted_weight(instrument) * polarization(two_theta, instrument) / cell_mass(phase)
    if not b_names:
        return total * factor, {parameter_name("b_extra", phase.id): np.sum(list(by_b.values()), axis=0) * factor}
    return total * factor, {name: by_b[element] * factor for element, name in b_names.items()}


@lru_cache(maxsize=128)
def _diffuse(
    phase: Phase, instrument: Instrument, two_theta: bytes, b_names: tuple[tuple[str, str], ...]
) -> _WithSlopes:
    """`diffuse_scattering` of phases and instruments that come again, specimen after specimen, on the same points."""
    return diffuse_scattering(phase, instrument, np.frombuffer(two_theta), dict(b_names))


def emitted_weight(instrument: Instrument) -> float:
    """Sum of the weights of all emission lines: what is smooth in the angle scatters them alike."""
    return sum(line.weight for line in instrument.emission_lines)


def refinable_elements(phase: Phase) -> list[str]:
    """Elements whose B can be refined, hydrogen not among them."""
    return sorted({str(e) for e in phase.site_element if e not in ("H", "D")})


@dataclass(frozen=True, kw_only=True)
class ElementB:
    """Parts of the structure factors by element, for those whose B is refined.

    Parts are real and imaginary sums of f0 + f' and of f'', at the structure's B.
    """

    names: tuple[str, ...]  # (e,) parameters
    parts: FloatArray  # (4, e, r)
    rest: FloatArray  # (4, r), of all other elements
    s_squared: FloatArray  # (r,) Å⁻²

    @classmethod
    def freeze(
        cls, phase: Phase, wavelength: float, hkl: FloatArray, d_spacing: FloatArray, names: Mapping[str, str]
    ) -> ElementB:
        """Split the structure factors of reflections; `names` are the parameters by element."""
        s_squared = 0.25 / d_spacing**2
        angle = 2.0 * np.pi * (hkl @ np.asarray(phase.site_xyz, dtype=float).T)
        damped = np.asarray(phase.site_occupancy) * np.exp(-np.outer(s_squared, phase.site_b_iso))
        cosine, sine, parts = np.cos(angle) * damped, np.sin(angle) * damped, {}
        for element in dict.fromkeys(map(str, phase.site_element)):
            own = np.array(phase.site_element) == element
            f0 = elements.form_factor(element, np.sqrt(s_squared))
            f1, f2 = elements.anomalous(element, wavelength)
            a, b = cosine[:, own].sum(axis=1), sine[:, own].sum(axis=1)
            parts[element] = np.stack([(f0 + f1) * a, (f0 + f1) * b, f2 * a, f2 * b])
        others = [part for element, part in parts.items() if element not in names]
        return cls(
            names=tuple(names.values()),
            parts=np.stack([parts[element] for element in names], axis=1),
            rest=np.sum(others, axis=0) if others else np.zeros((4, len(s_squared))),
            s_squared=s_squared,
        )

    def factor(self, values: Mapping[str, float]) -> tuple[FloatArray, _Slopes]:
        """Factor on |F|² of every reflection, (r,), and the logarithmic derivatives by each B.

        |F|² = Σ_k (Σ_e F_ek exp(−ΔB_e s²))², k the real and imaginary sums of f0 + f' and f''
        """
        change = np.array([values[name] for name in self.names])
        moved = self.parts * np.exp(-np.outer(change, self.s_squared))
        total, start = (part.sum(axis=1) + self.rest for part in (moved, self.parts))
        # a reflection that is extinct but for rounding must neither vanish nor blow up
        base = np.maximum((start**2).sum(axis=0), 1e-12)
        now = np.maximum((total**2).sum(axis=0), 1e-9 * base)
        slopes = -2.0 * self.s_squared * np.einsum("kr,ker->er", total, moved) / now
        return now / base, {name: slopes[i] for i, name in enumerate(self.names)}


# Position, widths and intensity of every profile of a phase for given parameter values, with derivatives.


def _theta(wavelength: FloatArray, inverse_d_squared: FloatArray) -> FloatArray:
    """Bragg angle in radians; a reflection that a changing cell drives beyond 90° stays just below it."""
    sine = wavelength * np.sqrt(inverse_d_squared) / 2.0
    return np.asarray(np.arcsin(np.minimum(sine, _SINE_MAX)))


@dataclass(frozen=True, kw_only=True)
class FrozenProfiles:
    """Fixed quantities of each profile during a least-squares run, all (l,) arrays."""

    reflection: IntArray  # index of the reflection
    wavelength: FloatArray  # Å
    weight: FloatArray  # all of a reflection sum to the sum of emission weights
    node: FloatArray  # relative height on the axial divergence, −1 to 1
    alone: FloatArray  # 1 where one node stands for all, whose spread then belongs to the width; else 0
    two_theta: FloatArray  # the frozen angle, degrees; cosine and tangent of half of it
    cosine: FloatArray
    tangent: FloatArray
    # Shift per mm of displacement, −2 cosθ/R, degrees: positive where the surface lies away from tube and detector, out
    # of the focusing circle (set too low), and reflections move to lower angles; proud is negative [Klug & Alexander
    # 1974; the sign of the NIST certificates' analyses].
    lever: FloatArray
    depth: FloatArray  # shift by transparency per mm of 1/μ, degrees
    flat: FloatArray  # shift by a flat specimen, degrees
    natural: FloatArray  # natural Lorentzian width of the emission line, degrees per tanθ: 2 Δλ/λ
    geometry: FloatArray  # factor of an area, λ³ P / (16 π sin²θ cosθ) per radian, in degrees
    s_squared: FloatArray  # sin²θ/λ², Å⁻²

    @classmethod
    def freeze(cls, instrument: Instrument, inverse_d_squared: FloatArray) -> FrozenProfiles:
        """Every reflection (1/d² in Å⁻²) in every emission line, at the mean height."""
        lines, n = instrument.emission_lines, len(inverse_d_squared)
        reflection = np.repeat(np.arange(n), len(lines))
        wavelength = np.tile([line.wavelength for line in lines], n)
        theta = _theta(wavelength, inverse_d_squared[reflection])
        two_theta, cosine = 2.0 * theta * _DEG, np.cos(theta)
        depth, flat = depth_and_flatness(instrument, two_theta)
        polarized = polarization(two_theta, instrument)
        return cls(
            reflection=reflection,
            wavelength=wavelength,
            weight=np.tile([line.weight for line in lines], n),
            node=np.zeros(len(reflection)),
            alone=np.zeros(len(reflection)),
            two_theta=two_theta,
            cosine=cosine,
            tangent=np.tan(theta),
            lever=-2.0 * _DEG / instrument.radius_mm * cosine,
            depth=depth,
            flat=flat,
            natural=np.tile([2.0 * _DEG * max(line.fwhm, 0.0) / line.wavelength for line in lines], n),
            geometry=wavelength**3 * polarized / (16.0 * np.pi * np.sin(theta) ** 2 * cosine) * _DEG,
            s_squared=inverse_d_squared[reflection] / 4.0,
        )

    def take(self, index: IntArray) -> FrozenProfiles:
        """Return some of the profiles, each as often as it is named."""
        return FrozenProfiles(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """Position, widths and area (degrees) of every profile, (l,) arrays, with derivatives by parameter."""

    position: FloatArray
    gauss: FloatArray
    lorentz: FloatArray
    intensity: FloatArray
    d_position: _Slopes
    d_gauss: _Slopes
    d_lorentz: _Slopes
    d_intensity: _Slopes

    @cached_property
    def widths(self) -> profiles.TchWidths:
        """Width and mixing of each pseudo-Voigt, with derivatives."""
        return profiles.tch_widths(self.gauss, self.lorentz, slopes=bool(self.d_position))


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Which points each profile reaches, worked out when the first sum asks for it: some models are only looked at."""

    two_theta: FloatArray  # (n,) points, degrees
    position: FloatArray  # (l,) degrees; so are half the width of a window and the FWHM
    half: FloatArray
    fwhm: FloatArray

    @classmethod
    def none(cls, two_theta: FloatArray) -> Windows:
        """No profiles on points (degrees, increasing)."""
        nothing = np.empty(0)
        return cls(two_theta=two_theta, position=nothing, half=nothing, fwhm=nothing)

    @cached_property
    def pairs(self) -> profiles.Pairs:
        """Points that each profile reaches."""
        return profiles.Pairs.reached(self.two_theta, self.position, self.half, self.fwhm)


@dataclass(frozen=True, kw_only=True)
class PhaseReflections:
    """Everything of a phase that stays fixed during a least-squares run."""

    phase: Phase
    instrument: Instrument
    two_theta: FloatArray  # (n,) points of the fit, degrees
    hkl: FloatArray  # (r, 3)
    multiplicity: FloatArray  # (r,) number of equivalent reflections
    harmonics: FloatArray  # (r, k) of texture; k is 0 where they are no parameters
    cell_names: tuple[str, ...]
    cell_reference: FloatArray  # free cell parameters of the structure
    cell_frozen: FloatArray  # those at which it was frozen
    axis_cos_sq: FloatArray  # (r,) cos² of the angle between scattering vector and c
    strength: FloatArray  # (r,) multiplicity × |F|² / (V × cell mass), absolute, per gram
    multiplier: FloatArray  # (r,) on the intensity of each; other than 1 in peaks mode only
    inverse_d_squared: FloatArray  # (r,) Å⁻² at the frozen cell
    frozen: FrozenProfiles
    windows: Windows
    diffuse: FloatArray  # (n,) thermal diffuse and Compton scattering per gram, polarised
    diffuse_slopes: _Slopes  # its change per Å² of each B
    elements: ElementB | None = None  # where B of each element is refined
    smear_sq: float = 0.0  # of the points, see `model.Points`

    @classmethod
    def freeze(
        cls,
        phase: Phase,
        instrument: Instrument,
        two_theta: FloatArray,
        values: Mapping[str, float],
        smear_sq: float = 0.0,
    ) -> PhaseReflections:
        """Freeze reflections, nodes and windows on some points (degrees) at the given parameter values."""
        return cls.freeze_alike([phase], instrument, two_theta, values, smear_sq)[0]

    @classmethod
    def freeze_alike(
        cls,
        phases: Sequence[Phase],
        instrument: Instrument,
        two_theta: FloatArray,
        values: Mapping[str, float],
        smear_sq: float = 0.0,
    ) -> list[PhaseReflections]:
        """Freeze phases of one symmetry that have the same cell and widths in `values`.

        They share reflections, nodes and windows: those that any of them asks for.
        """
        first, wavelengths = phases[0], [line.wavelength for line in instrument.emission_lines]
        names, freedom = lattice.cell_freedom(first.crystal_system)
        nominal = [np.array(phase.cell.parameters) for phase in phases]
        references = [np.linalg.lstsq(freedom, cell, rcond=None)[0] for cell in nominal]
        pairs = zip(names, references[0], strict=True)
        cell_now = np.array([values.get(parameter_name("cell", first.id, n), v) for n, v in pairs])
        cell6 = nominal[0] + freedom @ (cell_now - references[0])
        ends = np.clip(np.array([two_theta[0] - _REACH, two_theta[-1] + _REACH]), 0.5, 175.0)
        sine = np.sin(np.radians(ends) / 2.0)
        d_min, d_max = min(wavelengths) / (2.0 * sine[1]), max(wavelengths) / (2.0 * sine[0])
        found = reflections_of(first, cell6, d_min, d_max)
        if not len(found):
            between = f"{d_min:.3g} and {min(d_max, 99.0):.3g} Å"
            raise AnalysisError(f"{first.id}: no reflection lies between {between}. Check its cell and the range.")
        listed = (found.hkl, found.multiplicity, found.d_spacing, cell6, instrument.wavelength)
        strengths = np.array([strength_per_gram(phase, *listed) for phase in phases])
        apparent = strengths * found.d_spacing**2
        keep = (apparent > _MIN_RELATIVE_INTENSITY * apparent.max(axis=1, keepdims=True)).any(axis=0)
        hkl, d_spacing, strengths = found.hkl[keep].astype(float), found.d_spacing[keep], strengths[:, keep]
        frozen, every = FrozenProfiles.freeze(instrument, 1.0 / d_spacing**2), []
        for phase, reference, strength in zip(phases, references, strengths, strict=True):
            b_names = {e: parameter_name("b", phase.id, e.lower()) for e in refinable_elements(phase)}
            b_names = {element: name for element, name in b_names.items() if name in values}
            diffuse, diffuse_slopes = _diffuse(phase, instrument, two_theta.tobytes(), tuple(b_names.items()))
            split = ElementB.freeze(phase, instrument.wavelength, hkl, d_spacing, b_names) if b_names else None
            item = cls(
                phase=phase,
                instrument=instrument,
                two_theta=two_theta,
                hkl=hkl,
                multiplicity=found.multiplicity[keep].astype(float),
                harmonics=_harmonics(phase, hkl, values),
                cell_names=tuple(names),
                cell_reference=reference,
                cell_frozen=cell_now,
                axis_cos_sq=np.clip((hkl[:, 2] / cell6[2] * d_spacing) ** 2, 0.0, 1.0),
                strength=strength,
                multiplier=np.ones(len(hkl)),
                inverse_d_squared=1.0 / d_spacing**2,
                frozen=frozen,
                windows=Windows.none(two_theta),
                diffuse=diffuse,
                diffuse_slopes=diffuse_slopes,
                elements=split,
                smear_sq=smear_sq,
            )
            every.append(item)
        if len(phases) == 1:
            return [every[0]._with_windows(values)]
        highest = (strengths / strengths.max(axis=1, keepdims=True)).max(axis=0)
        shared = replace(every[0], strength=highest)._with_windows(values)
        return [replace(item, frozen=shared.frozen, windows=shared.windows) for item in every]

    def refrozen(self, values: Mapping[str, float]) -> PhaseReflections:
        """Freeze the same reflections again for other values: strengths at the new cell, nodes and windows."""
        moved, cell = self, self.free_cell(values)
        if not np.array_equal(cell, self.cell_frozen):
            cell6, g = self.cell6(cell), self._inverse_d_squared(cell)
            d_spacing, wavelength = 1.0 / np.sqrt(g), self.instrument.wavelength
            moved = replace(
                self,
                cell_frozen=cell,
                inverse_d_squared=g,
                strength=strength_per_gram(self.phase, self.hkl, self.multiplicity, d_spacing, cell6, wavelength),
                axis_cos_sq=np.clip((self.hkl[:, 2] / cell6[2] * d_spacing) ** 2, 0.0, 1.0),
            )
        harmonics = self.harmonics if self.harmonics.size else _harmonics(self.phase, self.hkl, values)
        frozen = FrozenProfiles.freeze(self.instrument, moved.inverse_d_squared)
        return replace(moved, harmonics=harmonics, frozen=frozen)._with_windows(values)

    def binned(self, two_theta: FloatArray, smear_sq: float) -> PhaseReflections:
        """Move the smooth scattering to binned points; windows are to be frozen again."""
        n = len(two_theta)
        slopes = {name: bin_means(slope, n) for name, slope in self.diffuse_slopes.items()}
        diffuse = bin_means(self.diffuse, n)
        return replace(self, two_theta=two_theta, diffuse=diffuse, diffuse_slopes=slopes, smear_sq=smear_sq)

    def _with_windows(self, values: Mapping[str, float]) -> PhaseReflections:
        """Keep the profiles near the points, split them into nodes, and freeze which points each reaches."""
        # nodes differ in their place and share of the area alone
        found = self.at({**values, "axial_divergence": 0.0}, slopes=False)
        low, high = self.two_theta[0] - _REACH, self.two_theta[-1] + _REACH
        near = np.flatnonzero((found.position > low) & (found.position < high))
        fwhm, area = found.widths.fwhm[near], found.intensity[near]
        index, node, share = self._nodes(values, found.position[near], fwhm, area)
        frozen = self.frozen.take(near[index])
        alone = ((share == 1.0) & (node > 0.0)).astype(float)
        split = replace(self, frozen=replace(frozen, node=node, weight=frozen.weight * share, alone=alone))
        position, _ = split._positions(values, slopes=False)
        fwhm, height = fwhm[index], area[index] * share / fwhm[index]
        reach = np.sqrt(height / (2.0 * np.pi * _TAIL_CUT * height.max(initial=0.0)))
        half = np.minimum(fwhm * np.clip(reach, *WINDOW_FWHM), WINDOW_MAX)
        windows = Windows(two_theta=self.two_theta, position=position, half=half, fwhm=fwhm)
        return replace(split, windows=windows)

    def _nodes(
        self, values: Mapping[str, float], position: FloatArray, fwhm: FloatArray, area: FloatArray
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Nodes of the axial divergence, as many of each profile as its asymmetry needs.

        Profiles are given by position without it, width and area; returned are the profile, the relative height and
        the share of each node.
        """
        start = axial_height(self.instrument, values)
        if "axial_divergence" in values:
            start = max(start, 0.02)  # it may grow during the run, and has enough nodes for that
        if start == 0.0:
            return np.arange(len(position)), np.zeros(len(position)), np.ones(len(position))
        depth, flat = depth_and_flatness(self.instrument, position)
        flat = flat + values.get("transparency_mm", 0.0) * depth
        shift = np.abs(profiles.axial_shift(position, 2.0 * start) + 6.0 * flat)
        relative = area / max(float(area.max(initial=0.0)), 1e-300)
        most = np.select([relative < _FAINT, relative < _WEAK], [1, 3], _NODES_MAX)
        count = np.clip(np.round(1.0 + 2.5 * shift / fwhm), 1, most).astype(int)
        table = np.zeros((2, _NODES_MAX + 1, _NODES_MAX))
        for k in np.unique(count):
            table[:, k, :k] = profiles.axial_nodes(int(k))
        index = np.repeat(np.arange(len(count)), count)
        place = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        node, share = table[:, count[index], place]
        return index, node, share

    @property
    def pairs(self) -> profiles.Pairs:
        """Points that each profile reaches."""
        return self.windows.pairs

    def name(self, kind: str, axis: str = "") -> str:
        """Name of a parameter of this phase."""
        return parameter_name(kind, self.phase.id, axis)

    def free_cell(self, values: Mapping[str, float]) -> FloatArray:
        """Free cell parameters at the given values."""
        pairs = zip(self.cell_names, self.cell_reference, strict=True)
        return np.array([values.get(self.name("cell", axis), reference) for axis, reference in pairs])

    def cell6(self, cell: FloatArray) -> FloatArray:
        """Edges (Å) and angles (deg) from the free cell parameters."""
        _, freedom = lattice.cell_freedom(self.phase.crystal_system)
        return freedom @ cell + (np.array(self.phase.cell.parameters) - freedom @ self.cell_reference)

    def _inverse_d_squared(self, cell: FloatArray) -> FloatArray:
        if np.array_equal(cell, self.cell_frozen):
            return self.inverse_d_squared
        return lattice.inverse_d_squared(self.hkl, self.cell6(cell))

    def d_spacing(self, values: Mapping[str, float]) -> FloatArray:
        """Spacings of the reflections at a cell, Å, (r,)."""
        return np.asarray(self._inverse_d_squared(self.free_cell(values)) ** -0.5)

    def at(self, values: Mapping[str, float], *, slopes: bool = True) -> Profiles:
        """Position, widths and area of every profile for the given parameter values; derivatives only with `slopes`.

        position = 2 asin(λ/2d) + zero_shift − 2 s cosθ/R − sin2θ t/2R − α² cotθ/6 + axial shift, t = 1/μ the depth of
        transparency, α the equatorial divergence [Wilson 1963, Mathematical Theory of X-ray Powder Diffractometry]
        Γ_G² = U tan²θ + V tanθ + W + (size Gaussian)²; Γ_L = X/cosθ + Y tanθ + size Lorentzian + 4 ε tanθ
        size FWHM = K λ / (D_hkl cosθ), 1/D_hkl² = sin²φ/D_a² + cos²φ/D_c²
        area = 2π² m |F|² / (V Q²) · dQ⁻¹/d2θ · P = m |F|² λ³ P / (16 π V sin²θ cosθ) per radian, on the scale on which
        one free atom scatters f²: ((2π)³/V) Σ |F|² δ³(Q − H) per cell over all orientations [Warren 1969, ch. 4, 10]
        """
        position, d_position = self._positions(values, slopes=slopes)
        (gauss, d_gauss), (lorentz, d_lorentz) = self._widths(values, slopes=slopes)
        intensity, d_intensity = self._areas(values, slopes=slopes)
        return Profiles(
            position=position,
            gauss=gauss,
            lorentz=lorentz,
            intensity=intensity,
            d_position=d_position,
            d_gauss=d_gauss,
            d_lorentz=d_lorentz,
            d_intensity=d_intensity,
        )

    def _positions(self, values: Mapping[str, float], *, slopes: bool) -> _WithSlopes:
        instrument, frozen, cell = self.instrument, self.frozen, self.free_cell(values)
        g = self._inverse_d_squared(cell)[frozen.reflection]
        theta = _theta(frozen.wavelength, g)
        height = axial_height(instrument, values) * 2.0 * frozen.node
        axial = profiles.axial_shift(frozen.two_theta, height, instrument.axial_correlation)
        # The nodes carry every asymmetry: the spread of a flat specimen's shift, proportional to the square of the
        # place, is that of the axial one; the variance of the decay with depth, its mean squared, is 1/1.4 of that.
        spread = np.where(frozen.node > 0.0, 6.0 * frozen.node**2, 1.0)
        depth = frozen.depth * (1.0 + (spread - 1.0) * _DEPTH_SPREAD / 6.0)
        fixed = frozen.flat * spread + values.get("transparency_mm", 0.0) * depth
        displacement = values.get("sample_displacement_mm", 0.0)
        shift = values.get("zero_shift", instrument.zero_shift)
        position = 2.0 * theta * _DEG + shift + displacement * frozen.lever + axial + fixed
        if not slopes:
            return position, {}
        _, freedom = lattice.cell_freedom(self.phase.crystal_system)
        by_cell = lattice.inverse_d_squared_derivatives(self.hkl, self.cell6(cell)) @ freedom
        lever = frozen.wavelength / (2.0 * np.sqrt(g) * np.cos(theta)) * _DEG
        names = [self.name("cell", axis) for axis in self.cell_names]
        out = {name: lever * by_cell[frozen.reflection, i] for i, name in enumerate(names)}
        out["zero_shift"], out["sample_displacement_mm"] = np.ones_like(position), frozen.lever
        out["transparency_mm"] = depth
        if height.any():
            slope = profiles.axial_shift_slope(frozen.two_theta, height, instrument.axial_correlation)
            out["axial_divergence"] = slope * 2.0 * frozen.node
        return position, out

    def _widths(self, values: Mapping[str, float], *, slopes: bool) -> tuple[_WithSlopes, _WithSlopes]:
        """Gaussian and Lorentzian FWHM, degrees."""
        instrument, frozen = self.instrument, self.frozen
        cosine, tangent = frozen.cosine, frozen.tangent
        size_a, size_c = self.name("inverse_size", "a"), self.name("inverse_size", "c")
        size_mixing, microstrain = self.name("size_mixing"), self.name("microstrain")
        u, v, w = (values.get(f"caglioti_{k}", getattr(instrument, f"caglioti_{k}")) for k in "uvw")
        strain_width = values.get("instrument_lorentzian_strain", instrument.lorentzian_strain)
        scherrer = SCHERRER_CONSTANT * frozen.wavelength / 10.0 / cosine * _DEG
        ia = values.get(size_a, 0.0)
        inverse, d_inverse = np.full_like(cosine, max(ia, 1e-5)), {size_a: np.ones_like(cosine)}
        if size_c in values:
            ic, cos_sq = values[size_c], self.axis_cos_sq[frozen.reflection]
            inverse = np.sqrt(ia**2 * (1.0 - cos_sq) + ic**2 * cos_sq + 1e-10)
            d_inverse = {size_a: ia * (1.0 - cos_sq) / inverse, size_c: ic * cos_sq / inverse}
        size = scherrer * inverse
        share_g, share_l, d_share_g, d_share_l = profiles.size_components(values.get(size_mixing, 0.5))
        instrument_sq = u * tangent**2 + v * tangent + w
        # smooth where it meets the floor: a kink would hold a descent on either side of it
        root = np.sqrt(instrument_sq**2 + 4.0 * _NARROWEST_SQ**2)
        spread, d_spread = self._spread(values, slopes=slopes)
        gauss = np.sqrt(0.5 * (instrument_sq + root) + (size * share_g) ** 2 + self.smear_sq + _SPREAD_SQ * spread**2)
        lorentz = instrument.lorentzian_size / cosine + strain_width * tangent + size * share_l
        lorentz = lorentz + 4.0 * values.get(microstrain, 0.0) * tangent * _DEG + frozen.natural * tangent
        lorentz = np.maximum(lorentz, 1e-4)
        if not slopes:
            return (gauss, {}), (lorentz, {})
        half = 0.25 * (1.0 + instrument_sq / root) / gauss
        d_gauss = {"caglioti_u": half * tangent**2, "caglioti_v": half * tangent, "caglioti_w": half}
        d_gauss |= {name: _SPREAD_SQ * spread * slope / gauss for name, slope in d_spread.items()}
        d_lorentz = {"instrument_lorentzian_strain": tangent, microstrain: 4.0 * tangent * _DEG}
        for name, slope in d_inverse.items():
            d_gauss[name] = size * share_g**2 * scherrer * slope / gauss
            d_lorentz[name] = scherrer * share_l * slope
        d_gauss[size_mixing] = size**2 * share_g * d_share_g / gauss
        d_lorentz[size_mixing] = size * d_share_l
        return (gauss, d_gauss), (lorentz, d_lorentz)

    def _spread(self, values: Mapping[str, float], *, slopes: bool) -> _WithSlopes:
        """Whole shift, degrees, that the nodes of each profile would divide where one stands for all, else 0."""
        instrument, frozen = self.instrument, self.frozen
        if not frozen.alone.any():
            return frozen.alone, {}
        height, depth = 2.0 * axial_height(instrument, values), _DEPTH_SPREAD * frozen.alone * frozen.depth
        axial = profiles.axial_shift(frozen.two_theta, height, instrument.axial_correlation)
        spread = frozen.alone * (axial + 6.0 * frozen.flat) + values.get("transparency_mm", 0.0) * depth
        if not slopes:
            return spread, {}
        slope = profiles.axial_shift_slope(frozen.two_theta, height, instrument.axial_correlation)
        return spread, {"axial_divergence": 2.0 * frozen.alone * slope, "transparency_mm": depth}

    def _areas(self, values: Mapping[str, float], *, slopes: bool) -> _WithSlopes:
        """Area of each profile in degrees, electron units per gram; every factor adds a logarithmic derivative."""
        frozen = self.frozen
        b_extra, march_dollase = self.name("b_extra"), self.name("march_dollase")
        factor = np.exp(-2.0 * values.get(b_extra, 0.0) * frozen.s_squared)
        logarithmic = {b_extra: -2.0 * frozen.s_squared}
        if self.elements is not None:
            by_element, by_b = self.elements.factor(values)
            factor = factor * by_element[frozen.reflection]
            logarithmic |= {name: slope[frozen.reflection] for name, slope in by_b.items()}
        for name, (wavelengths, start) in refined_ratios(self.instrument).items():
            if name in values:
                own, ratio = np.isin(frozen.wavelength, wavelengths), max(values[name], 1e-9)
                factor = factor * np.where(own, ratio / start, 1.0)
                logarithmic[name] = np.where(own, 1.0 / ratio, 0.0)
        if march_dollase in values:
            cos_sq = self.axis_cos_sq[frozen.reflection]
            march, slope = corrections.march_dollase(values[march_dollase], cos_sq)
            factor = factor * march
            logarithmic[march_dollase] = slope / march
        if self.harmonics.size and self.name("harmonic", "1") in values:
            names = [self.name("harmonic", str(k + 1)) for k in range(self.harmonics.shape[1])]
            # no orientation is forbidden, nor a density negative
            harmonic = np.maximum(1.0 + self.harmonics @ np.array([values[name] for name in names]), 0.05)
            factor = factor * harmonic[frozen.reflection]
            if slopes:
                relative = (self.harmonics / harmonic[:, None])[frozen.reflection]
                logarithmic |= {name: relative[:, k] for k, name in enumerate(names)}
        strength = (self.strength * self.multiplier)[frozen.reflection]
        area = strength * frozen.weight * frozen.geometry * factor
        return area, {name: area * slope for name, slope in logarithmic.items()} if slopes else {}

    def diffuse_at(self, values: Mapping[str, float]) -> FloatArray:
        """Thermal diffuse and Compton scattering per gram on the points, to first order in each B of the values."""
        change = np.array([values.get(name, 0.0) for name in self.diffuse_slopes])
        out: FloatArray = self.diffuse + change @ np.array(list(self.diffuse_slopes.values()))
        return out

    def spread(self, found: Profiles) -> profiles.Lines:
        """Profiles on the points, for the sums of `physics.profiles`."""
        return profiles.Lines(pairs=self.pairs, position=found.position, widths=found.widths)

    def pattern(
        self, values: Mapping[str, float], vary: frozenset[str] = frozenset()
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Pattern of one gram of the phase on the points, diffuse part included, and its derivatives, (n,) each.

        In electron units; derivatives are made for the parameters in `vary`.
        """
        if vary:
            return patterns_alike([self], values, vary)[0]
        found = self.at(values, slopes=False)
        return profiles.spread_value(self.spread(found), found.intensity) + self.diffuse_at(values), {}


@dataclass(frozen=True, kw_only=True)
class _Changes:
    """Changes of profiles by parameters: of areas (the areas themselves without a name), positions and widths."""

    area: _Slopes
    position: _Slopes
    fwhm: _Slopes
    eta: _Slopes

    @classmethod
    def of(cls, found: Profiles, widths: profiles.TchWidths, vary: frozenset[str]) -> _Changes:
        area = found.intensity
        fwhm = {n: d * widths.d_fwhm_gauss for n, d in found.d_gauss.items() if n in vary}
        eta = {n: d * widths.d_eta_gauss for n, d in found.d_gauss.items() if n in vary}
        for name, d in found.d_lorentz.items():
            if name in vary:
                fwhm[name] = fwhm.get(name, 0.0) + d * widths.d_fwhm_lorentz
                eta[name] = eta.get(name, 0.0) + d * widths.d_eta_lorentz
        return cls(
            area={"": area, **{n: d for n, d in found.d_intensity.items() if n in vary}},
            position={n: area * d for n, d in found.d_position.items() if n in vary},
            fwhm={n: area * d for n, d in fwhm.items()},
            eta={n: area * d for n, d in eta.items()},
        )


def profiles_alike(
    items: Sequence[PhaseReflections], values: Mapping[str, float], *, slopes: bool = True
) -> list[Profiles]:
    """`PhaseReflections.at` of phases frozen alike whose profiles lie at the same places: areas alone are their own."""
    first = items[0].at(values, slopes=slopes)
    out, theirs = [first], f"{items[0].phase.id}_"
    for item in items[1:]:
        area, d_area = item._areas(values, slopes=slopes)
        place, gauss, lorentz = (
            {
                f"{item.phase.id}_{name.removeprefix(theirs)}" if name.startswith(theirs) else name: d
                for name, d in own.items()
            }
            for own in (first.d_position, first.d_gauss, first.d_lorentz)
        )
        found = replace(first, intensity=area, d_intensity=d_area, d_position=place, d_gauss=gauss, d_lorentz=lorentz)
        out.append(found)
    return out


def patterns_alike(
    items: Sequence[PhaseReflections], values: Mapping[str, float], vary: frozenset[str]
) -> list[tuple[FloatArray, dict[str, FloatArray]]]:
    """`PhaseReflections.pattern` of phases frozen alike whose profiles lie at the same places: one sum serves all."""
    every = profiles_alike(items, values)
    parts = [_Changes.of(found, every[0].widths, vary) for found in every]
    n = len(every[0].position)
    # one accumulation serves the patterns themselves and everything that changes areas only
    slopes = profiles.Slopes(
        intensity=_stacked([part.area for part in parts], n),
        position=_stacked([part.position for part in parts], n),
        fwhm=_stacked([part.fwhm for part in parts], n),
        eta=_stacked([part.eta for part in parts], n),
    )
    rows, out = [iter(sums) for sums in profiles.spread_slopes(items[0].spread(every[0]), slopes)], []
    for item, part in zip(items, parts, strict=True):
        columns: dict[str, FloatArray] = {}
        for names, own in zip((part.area, part.position, part.fwhm), rows, strict=True):
            for name in names:
                row = next(own)
                columns[name] = columns[name] + row if name in columns else row
        basis = columns.pop("") + item.diffuse_at(values)
        for name, change in item.diffuse_slopes.items():
            if name in columns:
                columns[name] = columns[name] + change
        out.append((basis, columns))
    return out


def bin_means(values: FloatArray, n: int) -> FloatArray:
    """Means of as many neighbours along the first axis as leave n."""
    k = len(values) // n
    if k == 1:
        return values
    total = values[: n * k : k].copy(order="K")
    for i in range(1, k):
        total += values[i : n * k : k]
    total /= k
    return total


def _harmonics(phase: Phase, hkl: FloatArray, values: Mapping[str, float]) -> FloatArray:
    """Texture harmonics of the reflections, (r, k), where their coefficients are among the parameters."""
    if parameter_name("harmonic", phase.id, "1") not in values:
        return np.empty((len(hkl), 0))
    return _harmonic_columns(phase, hkl.tobytes())


@lru_cache(maxsize=256)
def _harmonic_columns(phase: Phase, hkl: bytes) -> FloatArray:
    indices = np.frombuffer(hkl).reshape(-1, 3)
    return corrections.harmonic_columns(indices, phase.rotations, phase.cell.parameters, TEXTURE_ORDER)


def _stacked(terms: Sequence[Mapping[str, FloatArray]], n: int) -> FloatArray:
    """Arrays (n,) as columns, (n, k), also where there are none."""
    columns = [column for each in terms for column in each.values()]
    return np.stack(columns, axis=1) if columns else np.empty((n, 0))
