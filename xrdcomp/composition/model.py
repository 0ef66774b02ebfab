"""The joint forward model: from a composition and a few uncertain constants to what both instruments see.

Composition x in the order of ``COMPONENTS``: crystalline hydroxyapatite h (without its carbonate), organic o,
free water w, carbonate c (as CO3), amorphous mineral A (with its bound water), other crystalline z; all are
at least 0 and sum to 1.

Thermogravimetry (fractions of the initial mass; l are losses of other crystals per mass)::

    water window      w + (1 - a) λ A + l_w z
    organic window    (1 - χ) o + a λ A + l_o z
    carbonate window  0.7334 c + (l_c + v) z      v: chlorides that evaporated, per mass of z

Diffraction (masses on one unknown scale K; b is the bias of crystalline against diffuse intensities)::

    apatite           K (1 + b) (h + ε κ c)
    organic           K o
    water             K (w + (1 - g) (A + (1 - κ) c))
    amorphous mineral K g (A + (1 - κ) c)
    other crystalline K (1 + b) z
    standard          K (1 + b) (1 + d) R s / (1 - s)

Given K, b, g, a, λ, χ, κ, d, R the evidence is linear in x; that is what the sampler uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.composition.evidence import (
    InternalStandard,
    ThermalEvidence,
    XrdEvidence,
)
from xrdcomp.errors import AnalysisError
from xrdcomp.results import COMPONENTS
from xrdcomp.units import CO2_PER_CARBONATE, FloatArray

H, ORGANIC, WATER, CARBONATE, AMORPHOUS, OTHER = range(len(COMPONENTS))
"""Positions in ``COMPONENTS``."""

MINERAL = (H, CARBONATE, AMORPHOUS, OTHER)
MINERAL_FLOOR = 0.02
"""Below this mass fraction of mineral its parts are no longer told apart by the prior."""
LATE_WATER = (0.80, 0.20)
"""a: share of the bound water of amorphous calcium phosphate that leaves above the water window."""
BOUND_WATER = (0.10, 0.03)
"""λ: bound water of amorphous calcium phosphate, Ca9(PO4)6·nH2O with n about 3 to 7."""
LATTICE_STD = (0.02, 0.20)
AMORPHOUS_UPTAKE = 0.25
"""κ: share of the carbonate in the lattice, s = h / (h + 0.25 A) within 0.02 + 2 s (1 - s), at most 0.2. The crystals
hold most of it; where there are none it sits in the amorphous mineral, and where there is none of that in the
crystals."""
AMORPHOUS_RESPONSE = (0.75, 0.25)
"""g: share of the amorphous mineral's halo (29 to 31 degrees, its form varies) that the fit tells from water's
(28 degrees)."""
SCALE_POWER = 3
"""Prior of an unknown scale, K^3 d(log K): the masses K·mineral, K·organic, K·water that diffraction measures are then
flat. With K^0 what is known to a few per cent of the whole is drawn towards a smaller whole: crystals too high."""
CARBONATE_LINES = (0.4, 0.5)
"""ε: intensity of the apatite's lines that goes with carbonate in its lattice, per gram and relative to
hydroxyapatite. 1 if the lattice kept its intensity per gram; by structure factors 6 wt% of CO3 take 3 % of it (carbon
for phosphorus alone: ε = 0.5) to 8 % (with the calcium vacancies that balance the charge: ε = -0.3)."""
UNCERTAINTY_SPREAD = (-0.055, 0.20)
"""log of the factor on the standard uncertainties of diffraction: they are those of typical specimens, and how far
the halos and lines of one specimen are from typical differs between specimens. With a spread of 0.20 and its mean at
log 0.947 the 95 % range stays 1.96 standard uncertainties, as for a normal error (Gelman et al. 2013, ch. 17)."""
SALT_EVAPORATED = (0.3, 0.3)
"""Share of chlorides that left before the end of a run above 800 °C, in the carbonate window."""
SALT_FROM_C = 800.0
LATTICE_CARBONATE = (0.05, 0.05)
"""Carbonate over mineral where nothing measures it: 3.5 to 7.4 wt% in enamel, dentine and bone, none in synthetic
apatite."""


def reported(compositions: FloatArray, model: JointModel) -> FloatArray:
    """Move the CO3 of carbonate minerals from other crystalline to carbonate, as results report it.

    Parameters
    ----------
    compositions : (n, 6) array, in the order of ``COMPONENTS``
    model : JointModel
    """
    share = model.xrd.carbonate_share if model.xrd is not None else 0.0
    moved = compositions.copy()
    moved[:, CARBONATE] += share * compositions[:, OTHER]
    moved[:, OTHER] *= 1.0 - share
    return moved


@dataclass(frozen=True, kw_only=True)
class Nuisance:
    """An uncertain constant: normal prior with bounds; ``std`` infinite is flat."""

    name: str
    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class JointModel:
    """Evidence and constants of one specimen.

    Parameters
    ----------
    xrd, thermal : evidence or None
    standard : InternalStandard or None
    nuisances : tuple of Nuisance
        The constants in the order in which `design` takes them.
    values : (m,) array, covariance : (m, m) array
        Diffraction rows first, then the three losses.
    parts : mapping from input to (m, m) array
        How `covariance` adds up: counting, model, aliquot, thermal.
    absent : set of int
        Positions in ``COMPONENTS`` of what is taken not to be there.
    """

    xrd: XrdEvidence | None
    thermal: ThermalEvidence | None
    standard: InternalStandard | None
    nuisances: tuple[Nuisance, ...]
    values: FloatArray
    covariance: FloatArray
    parts: Mapping[str, FloatArray]
    absent: frozenset[int] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constants."""
        return tuple(item.name for item in self.nuisances)

    @property
    def carbonate_is_assumed(self) -> bool:
        """Whether nothing measured the carbonate, so that the literature's share of the mineral is used."""
        return self.thermal is None or not self.thermal.sees_carbonate

    @property
    def weighs_crystals(self) -> bool:
        """Whether crystals can be weighed against the whole: by halos, a spike or a known scale."""
        if self.xrd is None:
            return False
        known = self.standard is not None or np.isfinite(self.nuisances[0].std)
        return bool(self.xrd.sees_amorphous or known)

    def precision_factor(self, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Factor on each whitened row for each set of constants, and the logarithm of their product.

        Parameters
        ----------
        constants : (n, p) array

        Returns
        -------
        factor : (n, m) array
            exp(-``xrd_spread``) for the diffraction rows, 1 for the losses: a larger spread counts the rows less.
        log_product : (n,) array
            What the determinant of the covariance adds to the log likelihood.
        """
        factor = np.ones((len(constants), len(self.values)))
        if self.xrd is None:
            return factor, np.zeros(len(constants))
        spread, rows = constants[:, self.names.index("xrd_spread")], len(self.xrd.rows)
        factor[:, :rows] = np.exp(-spread)[:, None]
        return factor, -rows * spread

    @property
    def salt_share(self) -> float:
        """Chlorides per mass of other crystals, where what evaporates of them is in the carbonate's loss."""
        if self.xrd is None or self.thermal is None:
            return 0.0
        return _salt_share(self.xrd, self.thermal)

    def design(self, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Matrix D and offset e of ``prediction = D x + e`` for each set of constants.

        Parameters
        ----------
        constants : (n, p) array

        Returns
        -------
        matrix : (n, m, 6) array
        offset : (n, m) array
        """
        theta = {name: constants[:, i] for i, name in enumerate(self.names)}
        n = len(constants)
        matrix = np.zeros((n, len(self.values), len(COMPONENTS)))
        offset = np.zeros((n, len(self.values)))
        start = 0
        if self.xrd is not None:
            self._xrd_rows(matrix, offset, theta)
            start = len(self.xrd.rows)
        if self.thermal is not None:
            self._thermal_rows(matrix[:, start:], theta)
        return matrix, offset

    def _xrd_rows(self, matrix: FloatArray, offset: FloatArray, theta: Mapping[str, FloatArray]) -> None:
        assert self.xrd is not None
        scale = np.exp(theta["log_scale"])
        bragg = scale * (1.0 + theta["xrd_bias"])
        lattice = theta["carbonate_in_lattice"]
        seen = theta["amorphous_response"]
        for i, row in enumerate(self.xrd.rows):
            if row == "apatite":
                matrix[:, i, H] = bragg
                matrix[:, i, CARBONATE] = bragg * lattice * theta["carbonate_lines"]
            elif row == "organic":
                matrix[:, i, ORGANIC] = scale
            elif row == "water":
                matrix[:, i, WATER] = scale
                matrix[:, i, AMORPHOUS] = scale * (1.0 - seen)
                matrix[:, i, CARBONATE] = scale * (1.0 - seen) * (1.0 - lattice)
            elif row == "amorphous_mineral":
                matrix[:, i, AMORPHOUS] = scale * seen
                matrix[:, i, CARBONATE] = scale * seen * (1.0 - lattice)
            elif row == "other":
                matrix[:, i, OTHER] = bragg
            elif self.standard is not None:
                share = self.standard.fraction / (1.0 - self.standard.fraction)
                crystals = theta["standard_crystallinity"] * (1.0 + theta["standard_scatter"])
                offset[:, i] = bragg * crystals * share

    def _thermal_rows(self, matrix: FloatArray, theta: Mapping[str, FloatArray]) -> None:
        assert self.thermal is not None
        late, bound = theta["late_water"], theta["bound_water"]
        matrix[:, 0, WATER] = 1.0
        matrix[:, 0, AMORPHOUS] = (1.0 - late) * bound
        matrix[:, 1, ORGANIC] = 1.0 - theta["char"] if self.thermal.inert else 1.0
        matrix[:, 1, AMORPHOUS] = late * bound
        n = len(self.thermal.losses)
        if self.xrd is not None:
            matrix[:, :n, OTHER] = self.xrd.losses[:n]
        if n > 2:
            matrix[:, 2, CARBONATE] = CO2_PER_CARBONATE
            if "salt_evaporated" in theta:
                matrix[:, 2, OTHER] += theta["salt_evaporated"] * self.salt_share

    def log_prior(self, constants: FloatArray, composition: FloatArray) -> FloatArray:
        """Log density of the prior, up to a constant; minus infinity outside the bounds.

        Flat for (mineral, organic, water) and for the parts of the mineral among themselves, so that their number
        does not favour mineral; an unknown scale so that these three masses are flat; normal for the constants; the
        share of carbonate in the lattice follows the crystalline share of the mineral.

        Parameters
        ----------
        constants : (n, p) array
        composition : (n, 6) array
        """
        from scipy.special import gammaln, ndtr

        there = len(COMPONENTS) - len(self.absent)
        total = np.full(len(constants), gammaln(there))
        for i, item in enumerate(self.nuisances):
            value = constants[:, i]
            total[(value < item.low) | (value > item.high)] = -np.inf
            if item.name == "carbonate_in_lattice":
                share = lattice_share(composition[:, H], composition[:, AMORPHOUS])
                std = _lattice_std(share)
                total -= 0.5 * ((value - share) / std) ** 2
                total -= np.log(std * (ndtr((1.0 - share) / std) - ndtr(-share / std)))
            elif np.isfinite(item.std):
                total -= 0.5 * ((value - item.mean) / item.std) ** 2
            elif item.name == "log_scale":
                total += SCALE_POWER * value
        mineral = composition[:, MINERAL].sum(axis=1)
        parts = [index for index in MINERAL if index not in self.absent]
        total -= (len(parts) - 1) * np.log(mineral + MINERAL_FLOOR)
        total -= _log_mean_grouping(len(parts), there - len(parts))
        if self.carbonate_is_assumed and CARBONATE not in self.absent:
            phosphate = composition[:, [H, AMORPHOUS, CARBONATE]].sum(axis=1)
            share = composition[:, CARBONATE] / np.maximum(phosphate, 1e-12)
            total -= 0.5 * ((share - LATTICE_CARBONATE[0]) / LATTICE_CARBONATE[1]) ** 2
            total -= _log_mean_tilt(3 - len(self.absent & {H, AMORPHOUS, CARBONATE}))
        return total


def _log_mean_grouping(parts: int, others: int) -> float:
    """Logarithm of the mean of (M + floor)^-(parts - 1) over a flat simplex of so many mineral and other parts."""
    if others == 0:
        return -(parts - 1) * float(np.log1p(MINERAL_FLOOR))
    mineral = (np.arange(4000) + 0.5) / 4000
    log_density = (parts - 1) * np.log(mineral) + (others - 1) * np.log1p(-mineral)
    density = np.exp(log_density)
    weighted = density * (mineral + MINERAL_FLOOR) ** -(parts - 1.0)
    return float(np.log(weighted.sum() / density.sum()))


def _log_mean_tilt(parts: int) -> float:
    """Logarithm of the mean of the assumed carbonate's factor over a flat simplex with so many mineral parts."""
    mean, std = LATTICE_CARBONATE
    if parts < 2:
        return -0.5 * ((1.0 - mean) / std) ** 2
    share = (np.arange(2000) + 0.5) / 2000
    density = (parts - 1) * (1.0 - share) ** (parts - 2)
    return float(np.log(np.mean(density * np.exp(-0.5 * ((share - mean) / std) ** 2))))


def build_model(
    xrd: XrdEvidence | None,
    thermal: ThermalEvidence | None,
    *,
    standard: InternalStandard | None = None,
    known_scale: tuple[float, float] | None = None,
    bias_std: float = 0.10,
    aliquot_std: float = 0.0,
) -> JointModel:
    """Put evidence and constants together.

    Parameters
    ----------
    xrd, thermal : evidence or None, at least one
    standard : InternalStandard, optional
    known_scale : (log value, std), optional
        Natural logarithm of the scale K of the reduced amounts and its standard uncertainty, from an
        external standard; flat otherwise.
    bias_std : float
        Relative standard uncertainty of crystalline against diffuse intensities.
    aliquot_std : float
        Standard uncertainty of the difference between the two aliquots, mass fraction; used only where both
        instruments contribute. Half of its square goes to each.

    Raises
    ------
    AnalysisError
        Neither evidence is given.
    """
    if xrd is None and thermal is None:
        msg = "nothing to compose: neither a diffraction fit nor a thermal balance was given."
        raise AnalysisError(msg)
    nuisances: list[Nuisance] = []
    if xrd is not None:
        nuisances += _xrd_nuisances(xrd, standard, known_scale, bias_std)
    if thermal is not None:
        nuisances += _thermal_nuisances(xrd, thermal)
    parts = _covariance_parts(xrd, thermal, aliquot_std)
    values = [xrd.values] if xrd is not None else []
    values += [thermal.losses] if thermal is not None else []
    return JointModel(
        absent=frozenset() if xrd is None else xrd.absent,
        xrd=xrd,
        thermal=thermal,
        standard=standard,
        nuisances=tuple(nuisances),
        values=np.concatenate(values),
        covariance=_regular(np.sum(list(parts.values()), axis=0)),
        parts=parts,
    )


def _xrd_nuisances(
    xrd: XrdEvidence,
    standard: InternalStandard | None,
    known_scale: tuple[float, float] | None,
    bias_std: float,
) -> list[Nuisance]:
    mean, std = known_scale if known_scale is not None else (0.0, np.inf)
    crystals, halo = (np.array([max(xrd.row(name), 0.0)]) for name in ("apatite", "amorphous_mineral"))
    share = float(lattice_share(crystals, halo)[0])
    found = [
        Nuisance(name="log_scale", mean=mean, std=std, low=-12.0, high=12.0),
        Nuisance(name="xrd_bias", mean=0.0, std=max(bias_std, 1e-4), low=-0.9, high=3.0),
        Nuisance(name="carbonate_in_lattice", mean=share, std=LATTICE_STD[1], low=0.0, high=1.0),
        Nuisance(
            name="amorphous_response",
            mean=AMORPHOUS_RESPONSE[0],
            std=AMORPHOUS_RESPONSE[1],
            low=0.05,
            high=1.15,
        ),
        Nuisance(name="carbonate_lines", mean=CARBONATE_LINES[0], std=CARBONATE_LINES[1], low=-1.0, high=1.2),
        Nuisance(
            name="xrd_spread",
            mean=UNCERTAINTY_SPREAD[0],
            std=UNCERTAINTY_SPREAD[1],
            low=-2.0,
            high=2.0,
        ),
    ]
    if standard is not None:
        found.append(
            Nuisance(
                name="standard_crystallinity",
                mean=standard.crystallinity,
                std=standard.crystallinity_std,
                low=0.0,
                high=1.2,
            )
        )
        found.append(
            Nuisance(name="standard_scatter", mean=0.0, std=standard.scatter_std, low=-0.5, high=1.0)
        )
    return found


def widened(model: JointModel, ratio: float, *, everything: bool) -> JointModel:
    """Copy with standard uncertainties multiplied: of all evidence, or of the diffraction rows alone.

    Parameters
    ----------
    ratio : float
    everything : bool
    """
    factor = np.full(len(model.values), ratio)
    if not everything and model.xrd is not None:
        factor[len(model.xrd.rows) :] = 1.0
    outer = np.outer(factor, factor)
    return replace(
        model,
        covariance=model.covariance * outer,
        parts={name: part * outer for name, part in model.parts.items()},
    )


def _thermal_nuisances(xrd: XrdEvidence | None, thermal: ThermalEvidence) -> list[Nuisance]:
    found = [
        Nuisance(name="late_water", mean=LATE_WATER[0], std=LATE_WATER[1], low=0.0, high=1.0),
        Nuisance(name="bound_water", mean=BOUND_WATER[0], std=BOUND_WATER[1], low=0.0, high=0.3),
    ]
    if thermal.inert:
        std = max(thermal.char_std, 1e-3)
        found.append(Nuisance(name="char", mean=thermal.char_fraction, std=std, low=0.0, high=0.9))
    if xrd is not None and _salt_share(xrd, thermal) > 0:
        mean, std = SALT_EVAPORATED
        found.append(Nuisance(name="salt_evaporated", mean=mean, std=std, low=0.0, high=1.0))
    return found


def _salt_share(xrd: XrdEvidence, thermal: ThermalEvidence) -> float:
    cool = thermal.final_c is not None and thermal.final_c < SALT_FROM_C
    if not thermal.sees_carbonate or thermal.salts_apart or cool:
        return 0.0
    total = sum(max(mass, 0.0) for mass in xrd.others.values())
    return sum(max(mass, 0.0) for mass in xrd.salts.values()) / total if total > 0 else 0.0


def lattice_share(crystals: FloatArray, amorphous: FloatArray) -> FloatArray:
    """Expected share of the carbonate that sits in the crystals, h / (h + 0.25 A)."""
    share: FloatArray = crystals / np.maximum(crystals + AMORPHOUS_UPTAKE * amorphous, 1e-12)
    return share


def _lattice_std(share: FloatArray) -> FloatArray:
    std: FloatArray = np.minimum(LATTICE_STD[0] + 2.0 * share * (1.0 - share), LATTICE_STD[1])
    return std


def _by_cause(thermal: ThermalEvidence) -> dict[str, FloatArray]:
    """Covariance of the losses by cause; correlations are those of the whole."""
    whole = thermal.loss_covariance
    parts: dict[str, FloatArray] = {}
    for cause, shares in thermal.sources.items():
        root = np.sqrt(shares)
        parts[f"tga_{cause}"] = whole * np.outer(root, root)
    parts["tga"] = whole - np.sum(list(parts.values()), axis=0) if parts else whole
    return parts


def _covariance_parts(
    xrd: XrdEvidence | None, thermal: ThermalEvidence | None, aliquot_std: float
) -> dict[str, FloatArray]:
    n_xrd = len(xrd.rows) if xrd is not None else 0
    m = n_xrd + (len(thermal.losses) if thermal is not None else 0)
    parts: dict[str, FloatArray] = {}

    def place(name: str, block: FloatArray, at: int) -> None:
        full = np.zeros((m, m))
        full[at : at + len(block), at : at + len(block)] = block
        parts[name] = parts.get(name, 0.0) + full

    if xrd is not None:
        place("xrd_counting", xrd.counting, 0)
        place("xrd_model", xrd.covariance - xrd.counting - xrd.misfit, 0)
        if xrd.misfit.any():
            place("xrd_misfit", xrd.misfit, 0)
    if thermal is not None:
        for name, block in _by_cause(thermal).items():
            place(name, block, n_xrd)
    if xrd is not None and thermal is not None and aliquot_std > 0:
        spread, n = 0.5 * aliquot_std**2, len(thermal.losses)
        place("aliquot", spread * np.diag([row != "standard" for row in xrd.rows]).astype(float), 0)
        place("aliquot", spread * np.diag([1.0, 1.0, CO2_PER_CARBONATE**2])[:n, :n], n_xrd)
    return parts


def _regular(covariance: FloatArray) -> FloatArray:
    """Symmetric and safely positive definite: eigenvalues below 1e-10 of the largest are lifted."""
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    floor = max(values[-1] * 1e-10, 1e-14)
    regular: FloatArray = (vectors * np.maximum(values, floor)) @ vectors.T
    return regular
