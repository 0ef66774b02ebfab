"""The Recipe: everything the user chose and nothing measured.

TOML in, unknown keys refused with a proposal, written whole into every result. One recipe and the same files
give the same result.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import html
import itertools
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from xrdcomp.data import parse_gases, screen
from xrdcomp.disk import not_finite, parsed_toml, read_toml
from xrdcomp.errors import ArgumentError, RecipeError

if TYPE_CHECKING:
    import pandas as pd
from xrdcomp.units import KALPHA2_RATIO

COMMAND_NAMES = {
    "radiation": "instrument.radiation",
    "instrument": "instrument.file",
    "wavelength": "instrument.wavelengths",
    "range": "fit.two_theta_range",
    "two_theta_range": "fit.two_theta_range",
    "atmosphere": "thermal.atmosphere",
    "basis": "composition.basis",
    "specimen_kind": "specimen.kind",
    "history": "history.file",
}
"""Settings that the command line and `analyze` call by a short name."""
PROJECT = "project"
"""Table of a recipe file that names the measurements it is for; the settings of a specimen in a project have one."""


_fields = functools.cache(msgspec.structs.fields)
"""Fields of a group of settings, whose annotations take long to resolve."""


def _plain(value: Any) -> Any:
    """Scalars of numpy as those of Python, paths as text; everything else as it is."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def all_keys(struct: type[msgspec.Struct], prefix: str = "") -> list[str]:
    """Dotted keys of a group of settings and of those within it, in the order declared; `prefix` stands before them."""
    keys: list[str] = []
    for item in _fields(struct):
        nested = item.type if isinstance(item.type, type) and issubclass(item.type, msgspec.Struct) else None
        keys += all_keys(nested, f"{prefix}{item.name}.") if nested else [prefix + item.name]
    return keys


def did_you_mean(key: str, legal: Iterable[str]) -> str:
    """Reject a key that is no setting, in words, with the nearest of the legal ones."""
    close = difflib.get_close_matches(key, list(legal), n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]}?" if close else "recipe.toml of any result lists them all."
    return f"there is no such setting. {hint}"


def explain(message: str, struct: type[msgspec.Struct], data: Mapping[str, Any]) -> str:
    """Put msgspec's ValidationError into the user's words: key first, value found, what is legal.

    `struct` is the group of settings that was to be made from `data`.
    """
    if match := re.match(r"Object contains unknown field `([^`]+)`(?: - at `\$\.?([^`]*)`)?", message):
        key = f"{match[2]}.{match[1]}" if match[2] else match[1]
        return f"{key}: {did_you_mean(key, all_keys(struct))}"
    at = re.search(r" - at `\$\.([^`\[]+)", message)
    key = at[1] if at else ""
    kind: Any = struct
    value: Any = data
    for name in key.split("."):
        fields = {item.name: item.type for item in _fields(kind)}
        if name not in fields or not isinstance(value, Mapping):
            return message
        kind, value = fields[name], value.get(name)
    return explain_value(message, key, value, kind)


def explain_value(message: str, key: str, value: Any, kind: Any) -> str:
    """Explain what of a setting is not legal, from msgspec's message, the value found and the declared type."""
    if legal := _choices(msgspec.inspect.type_info(kind)):
        close = difflib.get_close_matches(str(value), legal, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]}?" if close else ""
        named = " or ".join(filter(None, (", ".join(legal[:-1]), legal[-1])))
        return f"{key}: {value!r} is no legal value. Expected: {named}.{hint}"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        expected = f"settings {key}.… such as {key}.{all_keys(kind)[0]}"
        return f"{key}: {value!r} is no section. Expected: {expected}."
    expected = re.sub(r", got .*| - at .*", "", message.replace("Expected ", "")).replace("`", "")
    for sign, words in _WORDS.items():
        expected = expected.replace(sign, words)
    each = " as each item" if re.search(r"\[[^\]]*\]`\Z", message) else ""
    return f"{key}: {value!r} is no legal value. Expected: {expected}{each}."


_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "a text",
    "array": "a list",
    "object": "a table",
    " | ": " or ",
    "null": "nothing",
    ">= ": "of at least ",
    "<= ": "of at most ",
    "> ": "above ",
    "< ": "below ",
}


def _choices(kind: msgspec.inspect.Type) -> list[str]:
    """Legal values of an enumerated setting, "" for none of them; empty where it is not enumerated."""
    if isinstance(kind, msgspec.inspect.LiteralType):
        return [str(value) for value in kind.values]
    if isinstance(kind, msgspec.inspect.UnionType):
        return [value for item in kind.types for value in _choices(item)]
    return []


_EXPECTED = "a recipe, such as recipe.toml of a result"
Basis = Literal["as_received", "dry"]
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_Probability = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]
_Positive = Annotated[float, msgspec.Meta(gt=0.0)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]
_Angle = Annotated[float, msgspec.Meta(gt=0.0, lt=180.0)]
_Wavelength = Annotated[float, msgspec.Meta(ge=0.1, lt=5.0)]
# what costs time or memory is bounded where more would tell no one more
_Terms = Annotated[int, msgspec.Meta(ge=1, le=40)]
_Steps = Annotated[int, msgspec.Meta(ge=1, le=1000)]
_Repeats = Annotated[int, msgspec.Meta(ge=2, le=20_000)]
_Draws = Annotated[int, msgspec.Meta(ge=100, le=100_000)]
_Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; a key that is not declared or a value that is not legal is an error."""

    def __post_init__(self) -> None:
        for item in _fields(type(self)):
            value = getattr(self, item.name)
            try:
                checked = msgspec.convert(_plain(value), item.type)
            except msgspec.ValidationError as error:
                section = type(self).__name__.removesuffix("Recipe").lower()
                key = f"{section}.{item.name}".lstrip(".")
                raise RecipeError(explain_value(str(error), key, value, item.type)) from error
            if not_finite(msgspec.to_builtins(checked)):
                section = type(self).__name__.removesuffix("Recipe").lower()
                raise RecipeError(
                    f"{section}.{item.name}".lstrip(".") + f": {value!r} is not finite. Expected: a number."
                )
            msgspec.structs.force_setattr(self, item.name, checked)

    def changed(self) -> dict[str, Any]:
        """Settings that differ from the default ones, by dotted key."""
        found: dict[str, Any] = {}
        for item in _fields(type(self)):
            value = getattr(self, item.name)
            if isinstance(value, _Section):
                found |= {f"{item.name}.{key}": inner for key, inner in value.changed().items()}
            elif value != item.default and not (not value and item.default is msgspec.NODEFAULT):
                found[item.name] = value
        return found

    def __repr__(self) -> str:
        rows, name = {key: repr(value) for key, value in self.changed().items()}, type(self).__name__
        if not rows:
            return f"{name}(), every setting is the default one"
        return screen(f"{name}, changed from the default:", rows)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"

    def to_dataframe(self) -> pd.DataFrame:
        """Every setting as a table: ``setting``, ``value``, ``changed``."""
        import pandas as pd

        changed = self.changed()
        keys = all_keys(type(self))
        values = [functools.reduce(getattr, key.split("."), self) for key in keys]
        return pd.DataFrame({"setting": keys, "value": values, "changed": [key in changed for key in keys]})


class InstrumentRecipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts about the diffractometer; None: from the file, else the generic instrument.

    Attributes
    ----------
    radiation : str or None
        ``CuKa``, ``CuKa1``, ``CoKa``, ``CoKa1``, ``MoKa`` … (anode and line).
    wavelengths : tuple of float
        Wavelengths in ångström, strongest first; overrides `radiation`.
    intensity_ratio : float
        Weight of the second of `wavelengths` relative to the first (Kα2/Kα1); a named radiation has its own.
    wavelength_weights : tuple of float
        Weight of each of `wavelengths`, instead of `intensity_ratio` for all but the first.
    geometry : {"bragg_brentano", "debye_scherrer", "transmission"}
    variable_slit : bool or None
        Automatic slits that keep the illuminated length constant. None: what the file says, else fixed slits.
    radius_mm : float or None
        Goniometer radius; converts a displacement in mm into an angle, and determines the angle above which the beam
        stays on a short specimen. None: from the file, else 200.
    monochromator_two_theta : float or None, degrees
        26.6 for diffracted-beam graphite with Cu Kα; lowers high-angle intensities by its polarisation.
    polarization_fraction : float
        Share of the primary beam polarised in the plane of diffraction: 0.5 for a tube, 0 to 0.05 for a synchrotron
        with a vertical scattering plane. Larger values lower intensities around 90°.
    kbeta_ratio, w_la_ratio : float
        Residual Kβ and tungsten Lα relative to Kα1, starting values of their refinement; 0: no such lines.
    absorption_radius : float
        μR of a capillary, μt of a foil or of a thin layer in reflection; larger values suppress low angles for a
        capillary, high angles for a foil, small ones high angles for a layer. 0: no absorption, a thick specimen.
    incidence_angle : float or None, degrees
        Fixed angle between beam and specimen surface: small in reflection, 90 for a plate normal to the beam in
        transmission (oblique in between). None: what the file says, else 0, symmetric. Ignoring it tilts the pattern:
        6 to 9 wt% of apatite.
    specimen_length_mm : float
        Length of the specimen along the beam, with `equatorial_divergence` and `radius_mm` or the file's: where the
        beam is longer, low angles are too weak. 0: long enough.
    equatorial_divergence : float or None, degrees
        Full divergence angle; shifts and broadens reflections of a flat specimen, by −α² cotθ / 6 on average. None:
        from the file, else 0.7 where reflections are sharp; 0 leaves it to the displacement.
    axial_correlation : float or None
        See ``physics.profiles.axial_correlation``, which computes it from the lengths of source, specimen and slit
        and the Soller acceptance. None: the same from the file, else 0.3 where reflections are sharp.
    file : str
        Name of an instrument file written by ``xrdcomp calibrate``.
    """

    radiation: str | None = None
    wavelengths: tuple[_Wavelength, ...] = ()
    intensity_ratio: _Share = KALPHA2_RATIO
    wavelength_weights: tuple[_NotNegative, ...] = ()
    geometry: Literal["bragg_brentano", "debye_scherrer", "transmission"] = "bragg_brentano"
    radius_mm: _Positive | None = None
    monochromator_two_theta: _Angle | None = None
    polarization_fraction: _Share = 0.5
    variable_slit: bool | None = None
    kbeta_ratio: _Share = 0.0
    w_la_ratio: _Share = 0.0
    absorption_radius: _NotNegative = 0.0
    incidence_angle: Annotated[float, msgspec.Meta(ge=0.0, le=90.0)] | None = None
    specimen_length_mm: _NotNegative = 0.0
    equatorial_divergence: _NotNegative | None = None
    axial_correlation: _Share | None = None
    file: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        n, given = len(self.wavelengths), len(self.wavelength_weights)
        if given and (given != n or self.wavelength_weights[0] <= 0.0):
            raise RecipeError(
                f"instrument.wavelength_weights: {given} weight(s) for {n} wavelength(s). Expected: one for each of "
                "instrument.wavelengths, the first above 0, e.g. [1, 0.5]."
            )
        if n == 0 and self.intensity_ratio != KALPHA2_RATIO:
            msg = "instrument.intensity_ratio: belongs to instrument.wavelengths. Expected: both, or a named radiation."
            raise RecipeError(msg)


class FitRecipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole-pattern fit.

    Attributes
    ----------
    two_theta_range : (float, float) or None, degrees
    mode : {"structure", "peaks"}
        ``structure`` takes relative intensities from the atoms; ``peaks`` refines the intensity of every peak at the
        positions given by the cell (textured or unknown material).
    background : {"auto", "physical", "flexible"}
        ``physical``: non-negative, falling air and instrument terms, so that broad amorphous scattering stays in the
        amorphous components. ``flexible``: a polynomial as well, for crystalline mixtures where only relative
        fractions are wanted; no amorphous component is fitted unless named. ``auto``: physical, or flexible
        where the scatter of the counts shows that a background was subtracted.
    background_terms : int
        Terms of the polynomial of the flexible background; more terms follow finer structure and may absorb amorphous
        scattering.
    amorphous : tuple of str
        Amorphous components on the per-gram scale: ``protein``, ``lipid``, ``water``,
        ``amorphous_calcium_phosphate``, ``polymer`` (first ring at 1.0 Å⁻¹). None: the first four, none with the
        flexible background. A component that is not named is not looked for; its scattering goes to the others.
    amorphous_patterns : mapping of amorphous component to file
        Measured pattern of the pure amorphous material, with air and holder subtracted, which defines the shape of the
        component.
    amorphous_formulas : mapping of amorphous component to chemical formula
        Composition of the material of a measured pattern; else that of the component.
    amorphous_control : mapping of one amorphous component to file
        Scan of a material whose scattering per gram is known (water, polymer), thick and under the conditions of the
        measured patterns, which puts these on the scale to 4 %; without one it is known to 16 %.
    size : {"none", "isotropic", "anisotropic"}
    texture : {"auto", "none", "march_dollase", "harmonic"}
        Preferred orientation: none, one axis along c, or symmetrised spherical harmonics of degree 6 with a
        prior of 5 % on intensities. ``auto``: harmonic where one phase is fitted, March-Dollase where several
        are, because harmonics of minor phases are correlated with their amounts.
    grain_size_um : float, µm
        Grain diameter for microabsorption of phases with crystallites above 60 nm; typical of ground powder,
        its uncertainty of a factor of two carried. 0 turns the correction off.
    grain_sizes_um : mapping of phase id to grain diameter in µm
        Where it is known, instead of the typical one and whatever the size of the crystallites.
    strain, displacement, zero_shift, transparency, cell, b_overall, asymmetry : bool
        Which groups of parameters are refined. Transparency is the depth 1/μ that the beam reaches in a thick
        specimen of low absorption; it is correlated with displacement and cell.
    b_elements : bool
        B of every element but hydrogen instead of one addition to all; needs reflections at high angles.
    per_gram_std : float
        Relative standard uncertainty of the scattering power per gram of each amorphous component, beyond that of its
        material (water 3 %, lipid and protein 8 %, calcium phosphate 20 %); larger values widen the intervals of
        amorphous components.
    solver : {"varpro", "lmfit"}
        ``lmfit`` minimises the same residual with lmfit: slow, for checking.
    max_iterations : int
        Number of steps after which the minimisation stops and says so.
    """

    two_theta_range: tuple[float, float] | None = None
    mode: Literal["structure", "peaks"] = "structure"
    background: Literal["auto", "physical", "flexible"] = "auto"
    background_terms: _Terms = 8
    amorphous: tuple[str, ...] | None = None
    amorphous_patterns: dict[str, str] = {}
    amorphous_formulas: dict[str, str] = {}
    amorphous_control: dict[str, str] = {}
    size: Literal["none", "isotropic", "anisotropic"] = "anisotropic"
    strain: bool = True
    texture: Literal["auto", "none", "march_dollase", "harmonic"] = "auto"
    grain_size_um: _NotNegative = 3.0
    grain_sizes_um: dict[str, _Positive] = {}
    displacement: bool = True
    zero_shift: bool = False
    transparency: bool = False
    cell: bool = True
    b_overall: bool = True
    b_elements: bool = False
    asymmetry: bool = True
    per_gram_std: _NotNegative = 0.0
    solver: Literal["varpro", "lmfit"] = "varpro"
    max_iterations: _Steps = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.two_theta_range or (0.0, 1.0)
        if not low < high:
            expected = "the lower angle first, e.g. [15, 70]"
            raise RecipeError(f"fit.two_theta_range: {low:g} is not below {high:g}. Expected: {expected}.")


class IdentificationRecipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The search for crystalline phases that were not named.

    Attributes
    ----------
    search : bool
        Whether the library is searched at all.
    start : {"hydroxyapatite", "nothing"}
        What is fitted before the search if no phases are named: apatite (tested, and dropped if it is absent), or
        nothing, for material of any kind.
    library : tuple of str
        What is searched, as in `Recipe.phases`; empty means the whole library.
    own_phases : tuple of str
        CIF files, phase folders, or folders of these, to be searched in addition.
    false_alarm_rate : float
        Probability of one or more false phases in a specimen that has none.
    detection_probability : float
        Probability with which a phase at its detection limit is found.
    """

    search: bool = True
    start: Literal["hydroxyapatite", "nothing"] = "hydroxyapatite"
    library: tuple[str, ...] = ()
    own_phases: tuple[str, ...] = ()
    false_alarm_rate: _Probability = 0.002
    detection_probability: _Probability = 0.95


class ThermalRecipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thermogravimetry.

    Attributes
    ----------
    atmosphere : str or None
        Gas at the start and its changes, ``nitrogen,air@177min`` or ``nitrogen,air@600C``, in place of what the file
        says; in nitrogen, argon, helium and carbon dioxide organic matter chars.
    water_end_c, organic_end_c, carbonate_end_c : float, °C
        Literature windows; boundaries are placed at the DTG minimum nearest to each of them.
    search_half_width_c : float, °C
        How far from the literature boundary the minimum may lie.
    char_fraction, char_std : float
        Fraction of protein and polysaccharide that remains as char in an inert gas at the end of the run; matter lost
        at the temperatures of fat leaves less. Values other than the defaults apply to all organic matter as they are.
    sample_density_g_cm3, pan_volume_cm3 : float
        For the buoyancy estimate when no blank run is given.
    buoyancy_std : float
        Relative standard uncertainty of that estimate; larger values widen every interval of light specimens.
    drift_std_ug : float, µg
        Standard uncertainty of the balance's zero over a whole run; half of it where a blank run was subtracted.
    placement_std_c : float, °C
        Standard uncertainty of the position of a boundary relative to the DTG minimum; its effect is proportional to
        the DTG there.
    bound_water_fraction : float
        Largest share of the mineral that may leave as bound water or by HPO4 condensation inside the organic
        window (0 switches it off).
    smoothing_c : float or None, °C
        Length scale of the smoothing; None: chosen from the noise. Larger values smooth more.
    assignment : {"auto", "tissue", "none"}
        Whether steps are read as water, organic and carbonate. ``auto``: only where the loss in the organic
        window begins early, as tissue does; ``none`` numbers the steps.
    decompose : {"auto", "never", "always"}
        Separation of overlapping peaks by fitted components; ``auto`` where peaks overlap.
    bootstrap : int, >= 2
        Number of repetitions for the uncertainty of boundaries.
    seed : int
        Of the repetitions; the same seed gives the same figures.
    """

    atmosphere: str | None = None
    water_end_c: float = 220.0
    organic_end_c: float = 600.0
    carbonate_end_c: float = 950.0
    search_half_width_c: _NotNegative = 60.0
    char_fraction: _Share = 0.22
    char_std: _NotNegative = 0.05
    sample_density_g_cm3: _Positive = 1.5
    pan_volume_cm3: _NotNegative = 0.0225
    buoyancy_std: _NotNegative = 0.6
    drift_std_ug: _NotNegative = 4.0
    placement_std_c: _NotNegative = 20.0
    bound_water_fraction: _Share = 0.02
    smoothing_c: _Positive | None = None
    assignment: Literal["auto", "tissue", "none"] = "auto"
    decompose: Literal["auto", "never", "always"] = "auto"
    bootstrap: _Repeats = 200
    seed: _Seed = 20170118

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.atmosphere is not None:  # in its one spelling
            try:
                gases = ",".join(map(str, parse_gases(self.atmosphere)))
            except ArgumentError as problem:
                raise RecipeError(f"thermal.{problem}") from problem
            msgspec.structs.force_setattr(self, "atmosphere", gases)
        ends = {name: getattr(self, name) for name in ("water_end_c", "organic_end_c", "carbonate_end_c")}
        for (lower, low), (upper, high) in itertools.pairwise(ends.items()):
            if not low < high:
                raise RecipeError(
                    f"thermal.{upper}: {high:g} °C is not above thermal.{lower}, {low:g} °C. Expected: the ends of "
                    "water, organic and carbonate in this order."
                )


class SpecimenRecipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of the specimen before anything is measured.

    Attributes
    ----------
    kind : {"auto", "tissue", "unknown"}
        ``tissue``: mineralised tissue, whose amorphous scattering is read as organic matter, water and amorphous
        calcium phosphate. ``unknown``: amorphous matter may be of any kind, glass and silica included, so that X-rays
        alone state its sum only. ``auto``: tissue where a biomineral is found or thermogravimetry behaves as tissue
        does; by X-rays alone intervals and claims then hold glass, silica and polymers as well.
    """

    kind: Literal["auto", "tissue", "unknown"] = "auto"


class HistoryRecipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """History of check runs against which the instruments are judged; it affects messages only, no numbers.

    Attributes
    ----------
    file : str
        Name of a history made by ``xrdcomp qc record``; with "" nothing is judged.
    diffractometer, thermobalance : str
        Names of the instruments in it; "" where it holds one of the kind.
    interval_days : float, days
        Longest time between a check run and a measurement after it; a shorter time requires more check runs.
    baseline_runs : int
        Check runs from which mean and standard deviation are calculated; fewer make the limits less certain and false
        alarms more frequent.
    """

    file: str = ""
    diffractometer: str = ""
    thermobalance: str = ""
    interval_days: _Positive = 35.0
    baseline_runs: Annotated[int, msgspec.Meta(ge=5, le=1000)] = 20


class CompositionRecipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The joint estimate.

    Attributes
    ----------
    basis : {"as_received", "dry"}
    method : str
        ``auto`` uses everything that was measured; the others use what they name, and refuse if it is missing.
    supported_above, refuted_below : float
        A claim is supported where its probability is at least the first, refuted where it is at most the
        second, inconclusive between.
    minor_below, organic_above : float
        The limits behind "minor component" and "more than half organic".
    foreign_level : float
        Mass fraction of the specimen above which another crystalline phase would refute "only crystalline
        phase"; smaller demands lower detection limits.
    aliquot_std : float
        Standard uncertainty from X-ray and TGA aliquots differing (mass fraction); 0 for one powder.
    xrd_bias_std : float
        Relative standard uncertainty of the diffraction scale when nothing calibrates it.
    draws : int
        Posterior draws; more draws reduce the Monte Carlo error of the interval ends.
    seed : int
        Of the draws; the same seed gives the same figures.
    """

    basis: Basis = "as_received"
    method: Literal["auto", "xrd", "tga", "xrd+tga", "xrd+internal_standard", "xrd+external_standard"] = "auto"
    supported_above: _Share = 0.95
    refuted_below: _Share = 0.05
    minor_below: _Share = 0.5
    organic_above: _Share = 0.5
    foreign_level: _Share = 0.02
    aliquot_std: _NotNegative = 0.0
    xrd_bias_std: _NotNegative = 0.03
    draws: _Draws = 4000
    seed: _Seed = 20170118

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.refuted_below, self.supported_above
        if not low < high:
            raise RecipeError(
                f"composition.refuted_below: {low:g} is not below composition.supported_above, {high:g}. "
                "Expected: a claim cannot be refuted and supported at once."
            )


class QuantificationRecipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mass fractions from diffraction alone.

    Attributes
    ----------
    method : str
        ``auto`` takes the best that the data allow: internal standard, external standard, PONKCS factors,
        calibrated crystallinity, the absolute scale, Hill-Howard; a message says which one, and why.
    standard_crystallinity : (value, standard uncertainty) or None
        Crystalline share of the spike; None: 0.9902 ± 0.0056 for corundum (SRM 676a), 0.99 ± 0.01 otherwise.
    external_constant : (G, standard uncertainty)
        Constant of the diffractometer, from a pure standard; 0: not measured.
    external_scan : str
        Scan of the pure standard instead: it is fitted with `external_phase` to find G. It must be of the same
        geometry, tube load, slits and counting time per step as the specimen's.
    external_phase : str
        Phase of that scan; its crystallinity and grain size are those of an internal standard of this phase.
    rest_attenuation : (value, standard uncertainty), cm²/g
        Mass attenuation of everything that is not crystalline: 6.3 for dry collagen, 10.2 for water.
    ponkcs_factors : mapping of component to (factor, standard uncertainty)
        Mass per fitted amount relative to phases with a structure; ``non_crystalline`` for all amorphous components
        together. Empty with method ``ponkcs``: the factor in `amorphous_file`.
    amorphous_file : str
        Written by ``xrdcomp calibrate-amorphous``.
    k : (value, standard uncertainty) or None
        Bragg area per gram over amorphous area per gram, instead of a file.
    per_gram_std : float
        Relative standard uncertainty of each component's intensity per gram on the absolute scale, beyond the
        fit's: 0.2 for coarse powders, whose strong reflections are weakened by extinction and microabsorption.
    amorphous_std : float
        Relative standard uncertainty of the calculated scattering per gram of amorphous components, which is common to
        all of them: measured patterns of organic matter agree with calculation to 15 %, one composite to 40 %.
    particle_size_um : mapping of component to grain diameter in µm
        Corrects microabsorption instead of ``fit.grain_size_um``; larger grains of a strong absorber raise its
        fraction.
    reference_ratios : mapping of phase or reference to (I/Ic, standard uncertainty)
        For ``rir``, of each fitted phase's strongest line; for ``summation``, of each reference pattern, on one scale.
    reference_patterns : mapping of name to file
        Measured patterns of pure components for ``summation``, on one intensity scale.
    """

    method: Literal[
        "auto", "hill_howard", "internal_standard", "external_standard", "ponkcs", "crystallinity", "absolute", "rir",
        "summation",
    ] = "auto"  # fmt: skip
    standard_crystallinity: tuple[float, float] | None = None
    external_constant: tuple[float, float] = (0.0, 0.0)
    external_scan: str = ""
    external_phase: str = "corundum"
    rest_attenuation: tuple[float, float] = (6.5, 1.0)
    ponkcs_factors: dict[str, tuple[float, float]] = {}
    amorphous_file: str = ""
    k: tuple[float, float] | None = None
    per_gram_std: _NotNegative = 0.0
    amorphous_std: _NotNegative = 0.2
    particle_size_um: dict[str, _Positive] = {}
    reference_ratios: dict[str, tuple[_Positive, _NotNegative]] = {}
    reference_patterns: dict[str, str] = {}


class Recipe(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one analysis; ``Recipe()`` is the default one.

    Attributes
    ----------
    phases : tuple of str
        Phase ids, CIF files, folders with ``phase.toml`` and ``structure.cif``, or folders of these, to fit; empty
        means hydroxyapatite, with the whole library searched.
    sample_id : str
        Empty: taken from the file name of the pattern.
    internal_standard : str
        Phase id of the spike, "" without one.
    internal_standard_fraction : float
        Mass of the spike divided by that of the spiked powder, 0 to 1.
    specimen, instrument, fit, identification, thermal, quantification, composition, history
        The groups above.
    """

    sample_id: str = ""
    phases: tuple[str, ...] = ()
    internal_standard: str = ""
    internal_standard_fraction: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    specimen: SpecimenRecipe = SpecimenRecipe()
    instrument: InstrumentRecipe = InstrumentRecipe()
    fit: FitRecipe = FitRecipe()
    identification: IdentificationRecipe = IdentificationRecipe()
    thermal: ThermalRecipe = ThermalRecipe()
    quantification: QuantificationRecipe = QuantificationRecipe()
    composition: CompositionRecipe = CompositionRecipe()
    history: HistoryRecipe = HistoryRecipe()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.internal_standard_fraction > 0.0 and not self.internal_standard:
            msg = "internal_standard_fraction: of what? Expected: internal_standard as well, e.g. 'corundum'."
            raise RecipeError(msg)

    @classmethod
    def of(cls, source: Recipe | str | os.PathLike[str] | Mapping[str, Any] | None = None, **settings: Any) -> Recipe:
        """Recipe of whatever stands for one, with settings by the names of the command line.

        Parameters
        ----------
        source : Recipe, path of a TOML file, dict, optional
            A dict has sections, ``{"fit": {"mode": "peaks"}}``, or dotted keys, ``{"fit.mode": "peaks"}``.
        **settings
            ``phases``, ``radiation``, ``wavelength`` (ångström: one, two, or two and the weight of the second),
            ``range`` or ``two_theta_range`` (degrees), ``instrument`` (file), ``atmosphere``, ``internal_standard``
            (``("corundum", 0.2)``), ``basis``, any other key of a recipe (``sample_id``, ``fit={...}``) and, in
            ``**{...}``, dotted ones. None is the default.

        Returns
        -------
        Recipe

        Raises
        ------
        RecipeError
            A setting that does not exist, with the nearest that does; a value that is not legal.
        ArgumentError
            A source of another type.
        """
        if source is None or isinstance(source, cls):
            recipe = source or cls()
        elif isinstance(source, str | os.PathLike):
            data = read_toml(source, _EXPECTED)
            recipe = cls.from_dict({key: data[key] for key in data if key != PROJECT}, file=os.fspath(source))
        elif isinstance(source, Mapping):
            dotted = {key: value for key, value in source.items() if "." in key}
            sections = {key: value for key, value in source.items() if key not in dotted and key != "used"}
            recipe = cls.from_dict(sections).with_settings(dotted)
        else:
            expected = "a Recipe, the path of its TOML file, or a dict of settings"
            raise ArgumentError("recipe", source, expected)
        changes: dict[str, Any] = {}
        for name, value in settings.items():
            if value is None:
                continue
            if name == "internal_standard" and not isinstance(value, str):
                try:
                    changes["internal_standard"], changes["internal_standard_fraction"] = value
                except (TypeError, ValueError):
                    raise ArgumentError(name, value, "phase and fraction, e.g. ('corundum', 0.2)") from None
            elif name == "phases":
                changes[name] = [value] if isinstance(value, str | os.PathLike) else value
            elif name == "wavelength":
                numbers = [value] if isinstance(value, int | float) else list(value)
                changes["instrument.wavelengths"] = numbers[:2]
                if len(numbers) == 3:
                    changes["instrument.intensity_ratio"] = numbers[2]
            elif name in COMMAND_NAMES and not (name in cls.__struct_fields__ and isinstance(value, Mapping)):
                changes[COMMAND_NAMES[name]] = value
            elif isinstance(value, Mapping) and name in recipe.__struct_fields__:
                changes |= {f"{name}.{key}": inner for key, inner in value.items()}
            elif name in all_keys(cls):
                changes[name] = value
            else:
                raise RecipeError(f"{name}: {did_you_mean(name, (*COMMAND_NAMES, *all_keys(cls)))}")
        return recipe._with(changes) if changes else recipe

    @classmethod
    def from_toml(cls, text: str, *, file: str = "recipe") -> Recipe:
        """Read a recipe from TOML text; raises RecipeError naming the key and the nearest legal one."""
        return cls.from_dict(parsed_toml(text, file=file, expected=_EXPECTED), file=file)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, file: str = "recipe") -> Recipe:
        """Build a recipe from nested mappings; raises RecipeError with the key and the nearest legal one."""
        try:
            return msgspec.convert(dict(data), cls, strict=False)
        except (msgspec.ValidationError, RecipeError) as error:
            said = str(error)
            msg = f"{file}: {said if isinstance(error, RecipeError) else explain(said, cls, data)}"
            raise RecipeError(msg) from error

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dictionaries, defaults included."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """Return a copy with dotted keys replaced, e.g. ``{"fit.mode": "peaks"}``.

        Values that are strings are read as TOML where that is possible (``"12"`` → 12, ``"true"`` → True).
        """
        changes = {}
        for key, value in settings.items():
            changes[key] = value
            if isinstance(value, str):
                with contextlib.suppress(ValueError, RecursionError):
                    changes[key] = tomllib.loads(f"value = {value}")["value"]
        return self._with(changes)

    def _with(self, changes: Mapping[str, Any]) -> Recipe:
        """Copy with dotted keys replaced by values that are taken as they are."""
        data = self.to_dict()
        for key, value in changes.items():
            node: Any = data
            *path, last = key.split(".")
            for part in path:
                node = node.get(part) if isinstance(node.get(part), dict) else {}
            if last not in node:
                raise RecipeError(f"setting {key}: {did_you_mean(key, all_keys(type(self)))}")
            node[last] = _plain(value)
        return type(self).from_dict(data, file="settings")
