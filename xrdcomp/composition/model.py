"""The joint forward model: from a composition and a few uncertain constants to what both instruments see.

Composition x in the order of ``COMPONENTS``: crystalline hydroxyapatite h (without its carbonate), organic o,
free water w, carbonate c (as CO3), amorphous mineral A (with its bound water), other crystalline z, unseen u; all
are at least 0 and sum to 1. Unseen are crystals outside the library where reflections ask for them; beside an internal
standard, which weighs every phase by itself, they are whatever is left, seen or not.

Thermogravimetry (fractions of the initial mass; l are losses of other crystals per mass)::

    water window      w + (1 - a) λ A + l_w z
    organic window    (1 - χ) o + a λ A + p h + l_o z
    carbonate window  0.7334 c + (l_c + v) z      v: chlorides that evaporated, per mass of z

Diffraction (masses on one unknown scale K; b is the bias of crystalline against amorphous scattering)::

    apatite           K (1 + b) (h + ε κ c)
    organic           K o
    water             K w
    amorphous mineral K α (A + (1 - κ) c)
    other crystalline K (1 + b) z
    unidentified      K (1 + b) f u
    standard          K (1 + b) (1 + d) R s / (1 - s)

and in all rows K (1 − ε) κ c times what the disorder of carbonate scatters there, and K α f (A + (1 − κ) c) times what
the flatter halo of amorphous mineral does.

The constants and their priors are declared in `priors`. Given K, b, α, f, ε, a, λ, p, χ, κ, d, R the evidence is linear
in x; that is what the sampler uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from xrdcomp.composition import priors
from xrdcomp.composition.evidence import (
    AMORPHOUS,
    CARBONATE,
    ORGANIC,
    OTHER,
    PARTS,
    UNSEEN,
    WATER,
    H,
    InternalStandard,
    ThermalEvidence,
    XrdEvidence,
)
from xrdcomp.errors import AnalysisError
from xrdcomp.results import COMPONENTS
from xrdcomp.units import CO2_PER_CARBONATE, FloatArray

MINERAL = (H, CARBONATE, AMORPHOUS, OTHER, UNSEEN)
"""Positions in ``PARTS`` of the parts of the mineral."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a specimen is if its amorphous matter is of one kind, with the probability of that kind.

    `growth` (n,) is how much larger each crystal is in `compositions` (n, 6 or 7) than with the matter of tissue.
    """

    probability: float
    compositions: FloatArray
    growth: FloatArray


def _with_odds(readings: Sequence[Reading], other: Reading) -> tuple[Reading, ...]:
    """Readings with one more, which takes its probability from the others."""
    left = 1.0 - other.probability
    return (*(replace(each, probability=each.probability * left) for each in readings), other)


@dataclass(frozen=True, kw_only=True)
class JointModel:
    """Evidence and constants of one specimen.

    `priors` are those of the constants, in the order in which `design` takes them. `values` (m,) and `covariance`
    (m, m) have the rows of diffraction first, then the two or three losses; `parts` are the terms of the covariance by
    input of the uncertainty budget. `tissue` says whether amorphous scattering may be read as organic matter, water and
    amorphous calcium phosphate; it is `presumed` where nothing but a mineral of tissue says so. `absent` are positions
    in ``PARTS`` of what is taken not to be there. Amorphous scattering may be that of `small_crystals` where the fit
    does not describe it; a `metal_share` of the crystals of no phase may be a holder's.
    """

    xrd: XrdEvidence | None
    thermal: ThermalEvidence | None
    standard: InternalStandard | None
    priors: tuple[priors.Prior, ...]
    values: FloatArray
    covariance: FloatArray
    parts: Mapping[str, FloatArray]
    absent: frozenset[int] = frozenset()
    tissue: bool = True
    presumed: bool = False
    small_crystals: bool = False
    metal_share: float = 0.0

    @property
    def components(self) -> tuple[str, ...]:
        """Names of what is reported: crystals of no phase only where their reflections were measured."""
        unidentified = self.xrd is not None and "unidentified" in self.xrd.rows
        return PARTS if unidentified else COMPONENTS

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constants."""
        return tuple(item.name for item in self.priors)

    @property
    def whitening(self) -> FloatArray:
        """Matrix (m, m) that turns residuals into independent ones of unit variance."""
        matrix: FloatArray = np.linalg.inv(np.linalg.cholesky(self.covariance))
        return matrix

    @property
    def scale_is_known(self) -> bool:
        """True where an external standard gave the scale of diffraction."""
        return self.xrd is not None and bool(np.isfinite(self.priors[0].std))

    @property
    def carbonate_is_assumed(self) -> bool:
        """True where nothing measured the carbonate, so that the literature's share of the mineral is used."""
        return self.thermal is None or not self.thermal.sees_carbonate

    @property
    def weighs_crystals(self) -> bool:
        """True where crystals can be weighed against the whole: by amorphous scattering, a spike or a known scale.

        Not where apatite shows that the fit does not hold.
        """
        if self.xrd is None or self.xrd.apatite_open:
            return False
        return self.xrd.sees_amorphous or self.standard is not None or self.scale_is_known

    @property
    def method(self) -> str:
        """Evidence that counts, as ``composition.method`` names it."""
        counts = [(self.xrd is not None, "xrd"), (self.standard is not None, "internal_standard")]
        counts += [
            (self.standard is None and self.scale_is_known, "external_standard"),
            (self.thermal is not None, "tga"),
        ]
        return "+".join(name for there, name in counts if there)

    @property
    def determined_sums(self) -> tuple[str, ...]:
        """Sums of components that these measurements determine."""
        if not self.weighs_crystals:
            return (
                () if self.thermal is None else ("volatile",) if self.thermal.doubted else ("total_mineral", "volatile")
            )
        both = ("total_mineral", "calcium_phosphate") if self.thermal is not None else ()
        soft = ("organic_and_water",) if self.thermal is not None or self.tissue else ()
        return (*both, "crystalline", "non_crystalline", *soft)

    def undetermined(self, prior_share: Mapping[str, float], draws: FloatArray) -> tuple[str, ...]:
        """Components that these measurements do not determine; `draws` are as received."""
        doubted = () if self.thermal is None else self.thermal.doubted
        if self.thermal is not None and self.thermal.water_unknown:
            doubted = ("water", *doubted)
        if self.xrd is None:
            return (*doubted, "crystalline_hydroxyapatite", "amorphous_mineral", "other_crystalline")
        if self.thermal is not None:
            if not self.weighs_crystals:
                return (*doubted, "crystalline_hydroxyapatite", "amorphous_mineral")
            # amorphous mineral that was not fitted is what crystals leave of the mineral: those of a fit that is wrong
            guessed = self.xrd.called_for and "amorphous_mineral" not in self.xrd.rows
            return (*doubted, *(("amorphous_mineral",) if guessed else ()))
        if not self.weighs_crystals:
            return COMPONENTS
        if not self.tissue:
            return ("organic", "water", "carbonate", "amorphous_mineral")
        wide = draws.std(axis=0) > priors.REPORTABLE_STD
        # the maximum of amorphous mineral lies between those of water and of broad apatite reflections
        return tuple(
            name
            for i, name in enumerate(COMPONENTS)
            if name == "amorphous_mineral"
            or (name in ("organic", "water", "carbonate") and (wide[i] or prior_share[name] > 0.5))
        )

    def with_hidden(self, draws: FloatArray, constants: FloatArray, seed: int) -> FloatArray:
        """Give what was not found a chance to be there below its detection limit, at the expense of other mineral.

        What the mineral cannot give is taken from the organic (crystals that burn), but no more than traces of it where
        thermogravimetry weighs what burns. Phases that are undecided beside unknown reflections are there or not, in
        the amount that the fit gives them on the scale of each draw: of heavy crystals outside the library there may be
        far less than their reflections amount to. So are phases that unknown reflections may hide, each with its chance
        and any part of what these leave room for.
        """
        if self.xrd is None:
            return draws
        rng = np.random.default_rng(seed)
        out = draws.copy()
        for index in sorted(self.xrd.absent & self.xrd.hidden.keys()):
            there = rng.random(len(out)) < priors.HIDDEN_PROBABILITY
            amount = np.abs(rng.normal(0.0, self.xrd.hidden[index], len(out))) * there
            weighed = self.thermal is not None and self.xrd.hidden[index] > priors.TRACES
            for source in (H, AMORPHOUS) if weighed else (H, AMORPHOUS, ORGANIC):
                if source != index and source not in self.absent:
                    taken = np.minimum(amount, out[:, source])
                    out[:, source] -= taken
                    out[:, index] += taken
                    amount = amount - taken
        if "unidentified" in self.xrd.rows:
            # where no known crystal ties the scale, the response is as before measuring: what a composition is taken
            # to be like without soft matter says nothing of it
            response = constants[:, self.names.index("unidentified_response")]
            if self.standard is None and not {"apatite", "other"} & set(self.xrd.rows):
                assumed = priors.UNIDENTIFIED_RESPONSE
                response = rng.normal(assumed.mean, assumed.std, len(out))
            whole = max(self.xrd.row("unidentified"), 1e-9)
            beneath = []
            for index, mass in self.xrd.undecided.items():
                there = rng.random(len(out)) < priors.UNDECIDED_PROBABILITY
                beneath.append((index, mass * there / whole))
            for index, most, chance in self.xrd.room:
                there = rng.random(len(out)) < chance
                hidden = most * rng.random(len(out)) * there
                # its reflections are no part of what the unknown crystals weigh any more
                beneath.append((index, hidden / np.maximum(whole - hidden, priors.LITTLE * whole)))
            for index, ratio in beneath:
                weight = ratio * np.exp(response)
                taken = out[:, UNSEEN] * weight / (1.0 + weight)
                out[:, UNSEEN] -= taken
                out[:, index] += taken
        return out

    def readings(self, compositions: FloatArray, seed: int) -> tuple[Reading, ...]:
        """Ways to read the amorphous matter of reported compositions (n, 6 or 7), as they have it first.

        Unless it is known to be tissue, all of it may as well be a glass; where tissue is presumed, what is not
        amorphous mineral may be a polymer: there is more or less of what scatters as much, and crystals are less or
        more of the whole. Beside a standard and on a known scale, which weigh the crystals by themselves, there is as
        much of it as they leave. Maxima that amorphous scattering does not describe may as well be those of crystals of
        a few nanometres, and where a holder shows part of the amorphous scattering may be its own.
        """
        kinds = self._kinds(compositions, seed)
        if self.metal_share > 0.0 and compositions.shape[1] > UNSEEN:
            kinds = _with_odds(kinds, self._without_metal(compositions))
        if self.xrd is not None and self.xrd.holder_share > 0.0 and self.thermal is None and self.standard is None:
            kinds = _with_odds(kinds, self._without_holder(compositions, self.xrd.holder_share))
        if not self.small_crystals or self.thermal is not None:
            return kinds
        crystals, soft = compositions.copy(), [ORGANIC, WATER, AMORPHOUS]
        crystals[:, UNSEEN if crystals.shape[1] > UNSEEN else OTHER] += crystals[:, soft].sum(axis=1)
        crystals[:, soft] = 0.0
        small = priors.SMALL_CRYSTALS_PROBABILITY
        return _with_odds(kinds, Reading(probability=small, compositions=crystals, growth=np.ones(len(crystals))))

    def _without_metal(self, compositions: FloatArray) -> Reading:
        """The specimen without the metal: mineral has its place where thermogravimetry weighs it, else everything.

        Where hardly anything else is there, the metal is the specimen.
        """
        out, mineral = compositions.copy(), [H, AMORPHOUS, OTHER, UNSEEN]
        metal = self.metal_share * out[:, UNSEEN]
        out[:, UNSEEN] -= metal
        places = mineral if self.thermal is not None else list(range(out.shape[1]))
        rest = out[:, places].sum(axis=1)
        growth = np.where(rest > priors.LITTLE * metal, 1.0 + metal / np.maximum(rest, 1e-12), 1.0)
        out[:, places] *= growth[:, None]
        alone = rest <= priors.LITTLE * metal
        out[alone] = compositions[alone]
        return Reading(probability=priors.HOLDER_PROBABILITY, compositions=out, growth=growth)

    def _without_holder(self, compositions: FloatArray, share: float) -> Reading:
        """The specimen less the amorphous scattering that is a holder's; one of nothing else is left as it is."""
        out, soft = compositions.copy(), [ORGANIC, WATER, CARBONATE, AMORPHOUS]
        out[:, soft] *= 1.0 - share
        rest = out.sum(axis=1)
        growth = np.where(rest > priors.LITTLE, 1.0 / np.maximum(rest, 1e-12), 1.0)
        out = np.where(rest[:, None] > priors.LITTLE, out * growth[:, None], compositions)
        return Reading(probability=priors.HOLDER_PROBABILITY, compositions=out, growth=growth)

    def _kinds(self, compositions: FloatArray, seed: int) -> tuple[Reading, ...]:
        """Readings of amorphous matter by its kind."""
        as_fitted = Reading(probability=1.0, compositions=compositions, growth=np.ones(len(compositions)))
        weighed = self.standard is not None or self.scale_is_known
        told = not self.presumed if self.tissue else weighed  # crystals are all that is told of an unknown kind
        if told or self.thermal is not None or not self.weighs_crystals:
            return (as_fitted,)
        soft = compositions[:, [ORGANIC, WATER]].sum(axis=1)
        glass, rest = priors.MINERAL_KIND_PROBABILITY, 1.0 - priors.MINERAL_KIND_PROBABILITY
        polymer = priors.POLYMER_SHARE if self.tissue else 0.0  # matter of unknown kind is of any polymer already
        found = [replace(as_fitted, probability=rest * (1.0 - polymer))]
        rng = np.random.default_rng(seed)
        for probability, part, response in (
            (rest * polymer, ORGANIC, priors.POLYMER_RESPONSE),
            (glass, AMORPHOUS, priors.GLASS_RESPONSE),
        ):
            if probability == 0.0:
                continue
            drawn = rng.normal(response.mean, response.std, len(soft)).clip(response.low, response.high)
            mass = soft if weighed else soft * np.exp(-drawn)
            growth = 1.0 / np.maximum(1.0 - soft + mass, 1e-12)
            other = compositions.copy()
            other[:, [ORGANIC, WATER]] = 0.0
            other[:, part] += mass
            found.append(Reading(probability=probability, compositions=other * growth[:, None], growth=growth))
        return tuple(found)

    def precision_factor(self, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Factor (n, m) on each whitened row for each set of constants (n, p), and the log of their product (n,).

        exp(-``xrd_spread``) for the rows of diffraction and 1 for the losses; the log product is what the determinant
        of the covariance adds to the log likelihood.
        """
        factor = np.ones((len(constants), len(self.values)))
        if self.xrd is None:
            return factor, np.zeros(len(constants))
        spread, rows = constants[:, self.names.index("xrd_spread")], len(self.xrd.rows)
        factor[:, :rows] = np.exp(-spread)[:, None]
        return factor, -rows * spread

    def design(self, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Matrix D (n, m, 7) and offset e (n, m) of ``prediction = D x + e`` for each set of constants (n, p)."""
        theta = {name: constants[:, i] for i, name in enumerate(self.names)}
        # sets of constants along the last axis in memory, which everything is done for at once
        matrix = np.moveaxis(np.zeros((len(self.values), len(PARTS), len(constants))), -1, 0)
        offset = np.zeros((len(constants), len(self.values)))
        xrd, thermal = self.xrd, self.thermal
        if xrd is not None:
            scale, lattice = np.exp(theta["log_scale"]), theta["carbonate_in_lattice"]
            bragg = scale * (1.0 + theta["xrd_bias"])
            sought = "amorphous_mineral" in xrd.rows
            # where amorphous mineral was not looked for, what the others did not take of it is background
            seen = scale * theta["amorphous_area" if sought else "amorphous_response"]
            # component, row that its scattering belongs to, scattering per mass
            terms = [
                (H, "apatite", bragg),
                (CARBONATE, "apatite", bragg * lattice * theta["carbonate_intensity"]),
                (ORGANIC, "organic", scale),
                (WATER, "water", scale),
                (AMORPHOUS, "amorphous_mineral", seen),
                (CARBONATE, "amorphous_mineral", seen * (1.0 - lattice)),
                (OTHER, "other", bragg),
            ]
            if "unidentified" in xrd.rows:
                terms.append((UNSEEN, "unidentified", bragg * np.exp(theta["unidentified_response"])))
            for component, row, mass in terms:
                if (taken := xrd.taken_by(row)) is not None:
                    matrix[:, xrd.rows.index(taken), component] += mass
            if sought:
                # a halo of another form is read as more of some components and less of others
                otherwise = (seen * theta["halo_flatness"])[:, None] * xrd.flatter_halo
                matrix[:, : len(xrd.rows), AMORPHOUS] += otherwise
                matrix[:, : len(xrd.rows), CARBONATE] += (1.0 - lattice)[:, None] * otherwise
            # what reflections lose to the disorder of carbonate goes between them, and the fit reads it as amorphous
            lost = (1.0 - theta["carbonate_intensity"]) / priors.DIFFUSE_LOSS
            matrix[:, : len(xrd.rows), CARBONATE] += (scale * lattice * lost)[:, None] * xrd.lattice_diffuse
            for i, row in enumerate(xrd.rows):
                if row == "standard" and self.standard is not None:
                    crystals = theta["standard_crystallinity"] * (1.0 + theta["standard_scatter"])
                    offset[:, i] = bragg * crystals * self.standard.per_specimen
        if thermal is not None:
            losses = matrix[:, 0 if xrd is None else len(xrd.rows) :]
            late, bound, n = theta["late_water"], theta["bound_water"], len(thermal.losses)
            losses[:, 0, WATER] = 1.0
            losses[:, 0, AMORPHOUS] = (1.0 - late) * bound
            losses[:, 1, ORGANIC] = 1.0 - theta["char"] if thermal.inert else 1.0
            losses[:, 1, AMORPHOUS] = late * bound
            losses[:, 1, H] = theta["condensed_water"]
            if thermal.sees_carbonate:
                losses[:, 2, CARBONATE] = CO2_PER_CARBONATE
            if xrd is not None:
                losses[:, :, OTHER] = xrd.losses[:n]
                if "salt_evaporated" in theta:
                    losses[:, 2, OTHER] += theta["salt_evaporated"] * _salt_share(xrd, thermal)
        return matrix, offset

    def log_prior(self, constants: FloatArray, composition: FloatArray) -> FloatArray:
        """Log density of the prior of constants (n, p) and compositions (n, 7), minus infinity outside the bounds.

        Flat for (mineral, organic, water) and for the parts of the mineral among themselves, so that their number
        does not favour mineral; an unknown scale so that these three masses are flat; normal for the constants; the
        share of carbonate in the lattice follows the crystalline share of the mineral. Normalised over the
        compositions, so that models with different parts absent can be compared by their evidence.
        """
        from scipy.special import gammaln, ndtr

        there = len(PARTS) - len(self.absent)
        total = np.full(len(constants), gammaln(there))  # density of a flat simplex of so many parts
        for i, item in enumerate(self.priors):
            value = constants[:, i]
            total[(value < item.low) | (value > item.high)] = -np.inf
            if item.name == "carbonate_in_lattice":
                share = lattice_share(composition[:, H], composition[:, AMORPHOUS])
                std = np.minimum(priors.LATTICE_STD_FLOOR + 2.0 * share * (1.0 - share), item.std)
                total -= 0.5 * ((value - share) / std) ** 2
                # mean and width depend on the composition, so the mass between 0 and 1 does not cancel
                total -= np.log(std * (ndtr((1.0 - share) / std) - ndtr(-share / std)))
            elif np.isfinite(item.std):
                total -= 0.5 * ((value - item.mean) / item.std) ** 2
            elif item.name == "log_scale":
                total += (1 if self.xrd is None else self.xrd.n_groups + (self.standard is not None)) * value
        # On a flat simplex more parts mean more mineral; M^-(parts - 1) makes the mineral flat instead.
        mineral = composition[:, MINERAL].sum(axis=1)
        parts = len(set(MINERAL) - self.absent)
        others = there - parts
        total -= (parts - 1) * np.log(mineral + priors.MINERAL_FLOOR)
        # normalised by its mean over the flat simplex: a Beta(parts, others) distribution of the mineral
        if others == 0:
            total += (parts - 1) * float(np.log1p(priors.MINERAL_FLOOR))
        else:
            total -= _mean_log_mineral(parts, others)
        if self.thermal is None:
            # a powder of minerals has mostly nothing soft: its sum is sparse, where two flat parts would exclude zero;
            # the mineral of tissue may be bare as well
            soft = composition[:, [ORGANIC, WATER]].sum(axis=1)
            sparse = (priors.SOFT_EXPONENT - 2.0) * np.log(soft + priors.SOFT_FLOOR)
            if self.tissue:
                bare = priors.BARE_MINERAL_PROBABILITY
                sparse = np.log1p(bare * np.expm1(sparse - _log_mean_sparse()))
            total += sparse
        if UNSEEN not in self.absent:
            total += (priors.UNSEEN_EXPONENT - 1.0) * np.log(composition[:, UNSEEN] + priors.UNSEEN_FLOOR)
        if self.carbonate_is_assumed and CARBONATE not in self.absent:
            assumed = priors.ASSUMED_CARBONATE
            phosphate = composition[:, [H, AMORPHOUS, CARBONATE]].sum(axis=1)
            share = composition[:, CARBONATE] / np.maximum(phosphate, 1e-12)
            total -= 0.5 * ((share - assumed.mean) / assumed.std) ** 2
            # likewise by the mean over a flat simplex of the parts that are there; carbonate alone has the share one
            sharing = len({H, AMORPHOUS, CARBONATE} - self.absent)
            if sharing < 2:
                total += 0.5 * ((1.0 - assumed.mean) / assumed.std) ** 2
            else:
                total -= _mean_log_assumed(sharing)
        return total


@lru_cache
def _mean_log_mineral(parts: int, others: int) -> float:
    grid = (np.arange(4000) + 0.5) / 4000
    density = np.exp((parts - 1) * np.log(grid) + (others - 1) * np.log1p(-grid))
    weighted = density * (grid + priors.MINERAL_FLOOR) ** -(parts - 1.0)
    return float(np.log(weighted.sum() / density.sum()))


@lru_cache
def _log_mean_sparse() -> float:
    """Logarithm of the mean of the sparse prior of what is soft over a flat (mineral, organic, water)."""
    soft = (np.arange(4000) + 0.5) / 4000
    return float(np.log(np.mean(2.0 * soft * (soft + priors.SOFT_FLOOR) ** (priors.SOFT_EXPONENT - 2.0))))


@lru_cache
def _mean_log_assumed(sharing: int) -> float:
    grid, assumed = (np.arange(2000) + 0.5) / 2000, priors.ASSUMED_CARBONATE
    density = (sharing - 1) * (1.0 - grid) ** (sharing - 2)
    return float(np.log(np.mean(density * np.exp(-0.5 * ((grid - assumed.mean) / assumed.std) ** 2))))


def lattice_share(crystals: FloatArray, amorphous: FloatArray) -> FloatArray:
    """Expected share of the carbonate that sits in the crystals, h / (h + 0.25 A)."""
    share: FloatArray = crystals / np.maximum(crystals + priors.AMORPHOUS_UPTAKE * amorphous, 1e-12)
    return share


def _salt_share(xrd: XrdEvidence, thermal: ThermalEvidence) -> float:
    """Chlorides per mass of other crystals, where what evaporates of them is in the carbonate's loss."""
    cool = thermal.final_c is not None and thermal.final_c < priors.SALT_FROM_C
    if not thermal.sees_carbonate or thermal.salts_apart or cool:
        return 0.0
    total = sum(max(mass, 0.0) for mass in xrd.others.values())
    return sum(max(mass, 0.0) for mass in xrd.salts.values()) / total if total > 0 else 0.0


def reported(compositions: FloatArray, model: JointModel) -> FloatArray:
    """Compositions (n, 7) as results report them, in the order of ``model.components``.

    The CO3 of carbonate minerals goes from other crystalline to carbonate. What is left beside an internal standard and
    shows no reflections is no crystal: it counts as amorphous mineral.
    """
    share = model.xrd.carbonate_share if model.xrd is not None else 0.0
    moved = compositions[:, : len(model.components)].copy()
    moved[:, AMORPHOUS] += compositions[:, len(model.components) :].sum(axis=1)
    moved[:, CARBONATE] += share * compositions[:, OTHER]
    moved[:, OTHER] *= 1.0 - share
    return moved


def build_model(  # noqa: PLR0913 - two evidences and what is known of them: all by name
    xrd: XrdEvidence | None,
    thermal: ThermalEvidence | None,
    *,
    standard: InternalStandard | None = None,
    known_scale: tuple[float, float] | None = None,
    bias_std: float,
    aliquot_std: float = 0.0,
    tissue: bool = True,
    presumed: bool = False,
    surface: float = 1.0,
    small_crystals: bool = False,
    metal_share: float = 0.0,
) -> JointModel:
    """Put evidence (one of the two at least) and the priors of the constants together.

    `known_scale` is ln K of the reduced amounts with its standard uncertainty, from an external standard; flat
    otherwise. `bias_std` is the relative standard uncertainty of crystalline against amorphous scattering.
    `aliquot_std` is the standard uncertainty of the difference between the two aliquots, mass fraction; used only where
    both instruments contribute, half of its square for each. `surface` is that of the apatite's crystals over that of
    bone's. Broad maxima may be those of `small_crystals`, and a `metal_share` of the crystals of no phase a
    holder's. AnalysisError where neither evidence is given.
    """
    if xrd is None and thermal is None:
        raise AnalysisError("nothing to compose: neither a diffraction fit nor a thermal balance was given.")
    constants: list[priors.Prior] = []
    if xrd is not None:
        mean, std = known_scale or (priors.LOG_SCALE.mean, priors.LOG_SCALE.std)
        share = lattice_share(*(np.maximum([xrd.row(name)], 0.0) for name in ("apatite", "amorphous_mineral")))
        constants += [
            replace(priors.LOG_SCALE, mean=mean, std=std),
            replace(priors.XRD_BIAS, std=max(bias_std, 1e-4)),
            replace(priors.CARBONATE_IN_LATTICE, mean=float(share[0])),
            *(
                (priors.AMORPHOUS_AREA, priors.HALO_FLATNESS)
                if "amorphous_mineral" in xrd.rows
                else (priors.RESPONSE_NOT_SOUGHT,)
            ),
            priors.CARBONATE_INTENSITY,
            priors.UNCERTAINTY_SPREAD,
        ]
        if "unidentified" in xrd.rows:
            constants.append(priors.UNIDENTIFIED_RESPONSE)
        if standard is not None:
            value, std = standard.crystallinity, standard.crystallinity_std
            constants.append(replace(priors.STANDARD_CRYSTALLINITY, mean=value, std=std))
            constants.append(replace(priors.STANDARD_SCATTER, std=standard.scatter_std))
    if thermal is not None:
        condensed = priors.CONDENSED_WATER
        constants += [
            replace(priors.LATE_WATER, mean=thermal.late_water),
            priors.BOUND_WATER,
            replace(condensed, mean=surface * condensed.mean, std=max(surface * condensed.std, 1e-5)),
        ]
        if thermal.inert:
            constants.append(replace(priors.CHAR, mean=thermal.char_fraction, std=max(thermal.char_std, 1e-3)))
        if xrd is not None and _salt_share(xrd, thermal) > 0:
            constants.append(priors.SALT_EVAPORATED)
    parts = _covariance_parts(xrd, thermal, aliquot_std)
    covariance = np.sum(list(parts.values()), axis=0)
    # symmetric and safely positive definite: balances and amorphous shapes may leave combinations without any variance
    eigenvalues, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    floor = max(eigenvalues[-1] * 1e-10, 1e-14)
    absent = frozenset({UNSEEN}) if xrd is None else xrd.absent
    if standard is not None:
        absent -= {UNSEEN}  # every phase is weighed by itself; what they leave need not be seen
    known = {"amorphous_mineral", "amorphous_calcium_phosphate"} & ({*xrd.rows, *xrd.called_for} if xrd else set[str]())
    if xrd is not None and thermal is None and xrd.sees_amorphous and not known:
        # nobody looked for amorphous mineral; without crystals either, an assumed carbonate has nothing to sit in
        absent |= {AMORPHOUS, CARBONATE} if H in absent else {AMORPHOUS}
    return JointModel(
        absent=absent,
        tissue=tissue,
        presumed=presumed,
        small_crystals=small_crystals,
        metal_share=metal_share,
        xrd=xrd,
        thermal=thermal,
        standard=standard,
        priors=tuple(constants),
        values=np.concatenate([[] if xrd is None else xrd.values, [] if thermal is None else thermal.losses]),
        covariance=(vectors * np.maximum(eigenvalues, floor)) @ vectors.T,
        parts=parts,
    )


def _covariance_parts(
    xrd: XrdEvidence | None, thermal: ThermalEvidence | None, aliquot_std: float
) -> dict[str, FloatArray]:
    """Covariance (m, m) of all rows, by input of the uncertainty budget."""
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
        # thermal analysis tells each loss's variance by cause; correlations are taken to be those of the whole
        whole = thermal.loss_covariance
        roots = {cause: np.sqrt(shares) for cause, shares in thermal.sources.items()}
        blocks = {f"tga_{cause}": whole * np.outer(root, root) for cause, root in roots.items()}
        rest = whole - np.sum(list(blocks.values()), axis=0)
        for name, block in {**blocks, "tga": rest}.items():
            place(name, block, n_xrd)
    if xrd is not None and thermal is not None and aliquot_std > 0:
        spread, n = 0.5 * aliquot_std**2, len(thermal.losses)
        place("aliquot", spread * np.diag([row != "standard" for row in xrd.rows]).astype(float), 0)
        place("aliquot", spread * np.diag([1.0, 1.0, CO2_PER_CARBONATE**2])[:n, :n], n_xrd)
    return parts


def widened(model: JointModel, ratio: float, *, thermal: float) -> JointModel:
    """Copy with standard uncertainties multiplied by `ratio`, those of the losses beside diffraction by `thermal`."""
    factor = np.full(len(model.values), ratio)
    if model.xrd is not None:
        factor[len(model.xrd.rows) :] = thermal
    outer = np.outer(factor, factor)
    return replace(
        model, covariance=model.covariance * outer, parts={name: part * outer for name, part in model.parts.items()}
    )
