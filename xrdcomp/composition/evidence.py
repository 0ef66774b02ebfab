"""Evidence of diffraction and thermogravimetry, reduced to a few numbers with one covariance.

Diffraction is summed to six masses on one scale (crystalline apatite, organic, water, amorphous mineral,
other crystalline, crystals of no phase; and the internal standard). Thermogravimetry is its mass balance. Priors of
what they depend on are the business of `model`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec
import numpy as np

from xrdcomp.composition import priors
from xrdcomp.data import PhaseFacts, frozen_array
from xrdcomp.errors import AnalysisError
from xrdcomp.results import COMPONENTS, UNIDENTIFIED, Estimate, PhaseResult, TgaResult, XrdAmounts, apatite_limit
from xrdcomp.units import FloatArray

PARTS = (*COMPONENTS, UNIDENTIFIED)
H, ORGANIC, WATER, CARBONATE, AMORPHOUS, OTHER, UNSEEN = range(len(PARTS))
"""Positions in ``PARTS``, of which those in ``COMPONENTS`` are the first six; ``UNSEEN`` are crystals that no phase of
the library explains, and beside a weighed standard anything that neither reflections nor amorphous scattering show."""

XRD_ROWS = ("apatite", "organic", "water", "amorphous_mineral", "other", "unidentified", "standard")
_AMORPHOUS_ROW = {"water": "water", "amorphous_calcium_phosphate": "amorphous_mineral"}


class InternalStandard(msgspec.Struct, frozen=True, kw_only=True):
    """A crystalline powder of known mass mixed into the specimen.

    `id` is its phase id as it stands in the fit, `fraction` its mass over that of the spiked powder, between 0 and 1
    (AnalysisError otherwise). `crystallinity` is its own crystalline share, by default that of corundum NIST SRM 676a.
    `scatter_std` is the relative standard uncertainty of the intensity ratio specimen : standard from microabsorption
    and unlike grains; larger values widen every absolute amount.
    """

    id: str
    fraction: float
    crystallinity: float = priors.STANDARD_CRYSTALLINITY.mean
    crystallinity_std: float = priors.STANDARD_CRYSTALLINITY.std
    scatter_std: float = priors.STANDARD_SCATTER.std

    @property
    def per_specimen(self) -> float:
        """Mass of the standard per mass of the original specimen, s / (1 - s)."""
        return self.fraction / (1.0 - self.fraction)

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise AnalysisError(
                f"the internal standard's fraction must lie between 0 and 1; it is {self.fraction:g}. "
                "Give mass of standard / mass of the spiked powder, e.g. corundum:0.2."
            )


@dataclass(frozen=True, kw_only=True)
class ThermalEvidence:
    """A thermogravimetric mass balance as fractions of the initial mass.

    `values` are the losses in the windows of water, organic and carbonate (as CO2), and the residue, (4,); (3,) for a
    run that ended before the carbonate had gone: water, organic, and the rest. `covariance` is singular where they sum
    to one; only the losses are used, so closure is never counted twice. In an `inert` gas (nitrogen, argon, carbon
    dioxide) the share `char_fraction` of the organic stays as char. The run ended at `final_c` (°C, None where
    unknown); salts evaporate above 800 °C, unless the carbonate was ended before (`salts_apart`: what both may have
    lost is then in `covariance`). `doubted` are those of organic and carbonate that may be water of gels, hydroxides
    or silicates. A share of about `late_water` of the bound water of amorphous mineral left after the water's end.
    Where `water_unknown`, water had left before the run began, and the losses tell the dry mass alone.
    `sources` are the variance shares of the losses by cause, for the uncertainty budget.
    """

    values: FloatArray
    covariance: FloatArray
    inert: bool = False
    char_fraction: float = priors.CHAR.mean
    char_std: float = priors.CHAR.std
    final_c: float | None = None
    salts_apart: bool = False
    doubted: tuple[str, ...] = ()
    late_water: float = priors.LATE_WATER.mean
    water_unknown: bool = False
    sources: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("values", "covariance"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        n = len(self.values)
        if self.values.shape not in ((3,), (4,)) or self.covariance.shape != (n, n):
            shapes = f"{self.values.shape} and {self.covariance.shape}"
            raise AnalysisError(f"a thermal balance has 3 or 4 values and a square covariance; these have {shapes}.")
        if not (np.isfinite(self.values).all() and np.isfinite(self.covariance).all()):
            raise AnalysisError("a thermal balance must be finite; look at the mass column of the run.")

    @property
    def sees_carbonate(self) -> bool:
        """True where the run went on until the carbonate had gone."""
        return len(self.values) == 4

    @property
    def losses(self) -> FloatArray:
        """The losses without the residue, (3,) or (2,)."""
        return self.values[:-1]

    @property
    def loss_covariance(self) -> FloatArray:
        """Covariance of the losses with a floor of (0.005 wt%)²."""
        n = len(self.losses)
        covariance: FloatArray = self.covariance[:n, :n] + priors.LOSS_FLOOR**2 * np.eye(n)
        return covariance


class Room(NamedTuple):
    """A phase that unknown reflections may hide: position in ``COMPONENTS``, most of it, chance that it is there."""

    component: int
    most: float
    chance: float


class XrdEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Diffraction summed to a few masses, divided by their `total` so that the unknown scale is near one.

    `rows` names which of ``XRD_ROWS`` were observed; `values` (n,) and `covariance` (n, n) are theirs, `counting` and
    `misfit` the parts of the covariance from counting and from misfit. `lattice_diffuse` (n,) is what a gram of CO3 in
    the lattice adds to each row, `flatter_halo` (n,) what a gram of amorphous mineral adds if its halo is the flatter
    one. `others` are the masses of the other crystalline phases that were detected, `salts` those of them that are
    chlorides; per mass of them, `losses` (3,) leave in the windows of thermogravimetry and `carbonate_share` is CO3,
    reported under carbonate. `absent` are the positions in ``COMPONENTS`` of what the search did not find, apatite or
    any other crystal, and `hidden` the standard deviations of what may be there all the same, by the detection limits.
    `undecided` are the masses, by position in ``COMPONENTS``, of phases in the fit that the search left undecided and
    that have no row: all but apatite, and an apatite that is little beside unknown crystals. `room` is what phases of
    the library may have beneath unknown reflections. `called_for` are the amorphous components that the fit lacks
    although the pattern asks for them, `holder_share` is the part of the amorphous scattering that may be a holder's.
    `apatite_open` says that the search left open whether apatite is there, and that the fit holds none. Apatite is not
    `apatite_certain` where the search left it undecided: its reflections may be another crystal's.
    """

    rows: tuple[str, ...]
    values: FloatArray
    covariance: FloatArray
    counting: FloatArray
    misfit: FloatArray
    lattice_diffuse: FloatArray
    flatter_halo: FloatArray
    losses: FloatArray
    others: dict[str, float]
    salts: dict[str, float]
    carbonate_share: float = 0.0
    total: float = 1.0
    blank_measured: bool = False
    apatite_certain: bool = True
    absent: frozenset[int] = frozenset()
    apatite_open: bool = False
    hidden: Mapping[int, float] = msgspec.field(default_factory=dict)
    undecided: Mapping[int, float] = msgspec.field(default_factory=dict)
    room: tuple[Room, ...] = ()
    called_for: tuple[str, ...] = ()
    holder_share: float = 0.0

    def row(self, name: str) -> float:
        """Value of one row, 0 where it was not observed."""
        return float(self.values[self.rows.index(name)]) if name in self.rows else 0.0

    def marks(self, *names: str) -> FloatArray:
        """One at the rows of these names and zero at the others, (rows,): the gradient of their sum."""
        return np.array([row in names for row in self.rows], dtype=float)

    def share_of_total(self, *names: str) -> tuple[float, FloatArray]:
        """Share of some rows in all but the standard, and its gradient by the rows."""
        inside, everything = self.marks(*names), 1.0 - self.marks("standard")
        total = float(everything @ self.values)
        share = float(inside @ self.values) / total
        gradient: FloatArray = (inside - share * everything) / total
        return share, gradient

    def taken_by(self, row: str) -> str | None:
        """Row that holds what would scatter into `row`: itself, or where the fit had no place for it the nearest one.

        A component that was not fitted scatters all the same, and the fit puts that into those amorphous components
        that it has. None where it has none, or for crystals that were not fitted.
        """
        instead = {
            "organic": ("water", "amorphous_mineral"),
            "water": ("organic", "amorphous_mineral"),
            "amorphous_mineral": ("water", "organic"),
        }
        return next((name for name in (row, *instead.get(row, ())) if name in self.rows), None)

    @property
    def n_groups(self) -> int:
        """Number of masses measured apart on one scale: of mineral, of organic matter, of water."""
        mineral = {"apatite", "amorphous_mineral", "other", "unidentified"}
        return max(1, bool(mineral & set(self.rows)) + len({"organic", "water"} & set(self.rows)))

    @property
    def seeks_all(self) -> bool:
        """True where the fit had a place for organic matter, water and amorphous mineral.

        What it had no place for went to the others as far as their forms allow, and to the background.
        """
        return {"organic", "water", "amorphous_mineral"} <= set(self.rows)

    @property
    def sees_amorphous(self) -> bool:
        """True where amorphous components were measured on the same scale as the crystalline ones."""
        return bool({"organic", "water", "amorphous_mineral"} & set(self.rows))


def thermal_evidence(tga: TgaResult) -> ThermalEvidence | None:
    """Take the mass balance out of a thermal result; None where its steps could not be assigned."""
    known = (("water", "organic", "carbonate", "residue"), ("water", "organic", "residue_with_carbonate"))
    wanted = next((names for names in known if set(names) == set(tga.balance_names)), None)
    if wanted is None:
        return None
    order = [tga.balance_names.index(name) for name in wanted]
    # variance shares of the losses by cause; char and bound water are constants of the joint model
    n = len(order) - 1
    tables = [tga.budget.get(name, {}) for name in ("water", "organic", "carbonate_co2")[:n]]
    causes = sorted({cause for table in tables for cause in table} - {"char", "bound_water"})
    shares, sources = np.array([[table.get(cause, 0.0) for table in tables] for cause in causes]).reshape(-1, n), {}
    if causes and ((total := shares.sum(axis=0)) > 0).all():
        sources = {cause: tuple(row.tolist()) for cause, row in zip(causes, shares / total, strict=True)}
    char = tga.char_fraction or Estimate(value=priors.CHAR.mean)  # stated where the gas is inert
    values, covariance = tga.balance[order], tga.covariance[np.ix_(order, order)]
    if tga.water_unknown:
        # more water makes everything else less in one proportion: what stands fast are shares of the dry mass
        along = -values / max(1.0 - values[0], 1e-6)
        along[0] = 1.0
        covariance = covariance + priors.WATER_BEFORE_STD**2 * np.outer(along, along)
    return ThermalEvidence(
        values=values,
        covariance=covariance,
        inert=tga.char_fraction is not None,
        char_fraction=char.value,
        char_std=char.std or priors.CHAR.std,
        final_c=float(tga.temperature_c[-1]) if len(tga.temperature_c) else None,
        salts_apart=tga.salts_apart,
        doubted=tga.doubted,
        late_water=_late_water(tga),
        water_unknown=tga.water_unknown,
        sources=sources,
    )


def _late_water(tga: TgaResult) -> float:
    """Expected share of bound water that leaves after the water's end: the later that lies, the less."""
    from xrdcomp.thermal.programme import shift_with_rate

    usual_c = shift_with_rate(priors.LATE_WATER_AT_C, tga.heating_rate_k_min, priors.LATE_WATER_ENERGY_KJ)
    later = float(tga.boundary_c[0]) - usual_c if len(tga.boundary_c) else 0.0
    low, high = priors.LATE_WATER_RANGE
    return float(np.clip(priors.LATE_WATER.mean - later / priors.LATE_WATER_SPAN_C, low, high))


def shows_something(
    amounts: XrdAmounts, phases: Sequence[PhaseResult] = (), *, standard: InternalStandard | None = None
) -> bool:
    """Tell if diffraction gives a positive amount of anything that counts; `reduce_xrd` needs that.

    Where no phase was detected, crystals and amorphous scattering together must stand two standard uncertainties above
    nothing: an empty holder and its air have no composition.
    """
    row_of = np.array(_rows_of(amounts, phases, standard))
    positive = any(amounts.amounts[row_of == row].sum() > 0.0 for row in XRD_ROWS)
    if not positive or not phases or any(phase.decision == "detected" for phase in phases):
        return positive
    std = float(np.sqrt(max(float(amounts.covariance.sum()), 0.0)))
    return float(amounts.amounts.sum()) > 2.0 * std


def reduce_xrd(
    amounts: XrdAmounts,
    phases: Sequence[PhaseResult] = (),
    *,
    standard: InternalStandard | None = None,
    unidentified: tuple[float, float] | None = None,
) -> XrdEvidence:
    """Sum signed masses to the rows of the joint model.

    `unidentified` are mass and standard uncertainty of crystals outside the library, on the scale of the amounts.
    `phases` carry the search's decisions; without them a phase counts where it exceeds three standard deviations.
    Phases that the search did not find leave no mass in "other crystalline"; what could hide below their
    detection limits is kept aside. If apatite itself was not found, its fitted amount (a free crystallite size
    can shrink until reflections are as broad as amorphous scattering) counts as amorphous mineral. AnalysisError where
    there is no positive amount at all, shapes are wrong, or a standard is not among the fitted phases.
    """
    row_of = _rows_of(amounts, phases, standard)
    trifling = unidentified is not None and _apatite_trifling(amounts, phases, unidentified[0])
    if trifling:
        row_of = ["" if row == "apatite" else row for row in row_of]
    amounts = _response_apart(amounts)
    if unidentified is not None:
        amounts = _with_unidentified(amounts, *unidentified)
        row_of.append("unidentified")
    rows = tuple(name for name in XRD_ROWS if name in row_of)
    sums = np.array([[float(row == name) for row in row_of] for name in rows]).reshape(-1, len(row_of))
    total = float(np.clip(sums @ amounts.amounts, 0.0, None).sum())
    if total <= 0:
        msg = "diffraction gives no positive amount of anything; look at the fit before composing."
        raise AnalysisError(msg)
    grouped = sums @ amounts.amounts / total
    covariance = sums @ amounts.covariance @ sums.T / total**2
    # what may hide among other phases that were not found, all together, and what the undecided ones may be
    fitted = dict(zip(amounts.names, amounts.amounts, strict=True))
    beside = [phase for phase in phases if not phase.is_apatite]
    missed = [phase.detection_limit for phase in beside if phase.unseen]
    limits = [limit / priors.LIMIT_IN_STDS_OF_ALL for limit in missed if limit]
    unsure = [max(fitted.get(p.id, 0.0) / total, 0.0) for p in beside if p.decision == "inconclusive"]
    typical = float(np.median(limits)) if limits else priors.UNSEEN_STD
    if unidentified is not None:
        # limits are of what would be told from unknown reflections; what hides among these is part of what they weigh
        typical = 0.0
    hidden = float(np.hypot(max(typical, priors.UNSEEN_STD / 2), np.linalg.norm(unsure)))
    if "other" in rows:
        covariance[rows.index("other"), rows.index("other")] += hidden**2
    # bounds of the fit may leave less variance than counting alone would
    counted = amounts.covariance if amounts.counting_covariance is None else amounts.counting_covariance
    counting = sums @ counted @ sums.T / total**2
    own, whole = np.diag(counting), np.diag(covariance)
    with np.errstate(divide="ignore", invalid="ignore"):
        counting = counting * min(1.0, float(np.where(own > 0, whole / own, 1.0).min()))
    misfit = np.zeros_like(covariance)
    if amounts.misfit_covariance is not None:
        misfit = sums @ amounts.misfit_covariance @ sums.T / total**2
    others = {
        name: float(fitted[name]) / total for name, row in zip(amounts.names, row_of, strict=True) if row == "other"
    }
    # what the mixture of other crystals loses on heating; a phase of which nothing is known is taken to stay
    facts = {**amounts.facts, **{phase.id: phase.facts for phase in phases}}
    crystals = sum(max(mass, 0.0) for mass in others.values())
    losses, carbonate = np.zeros(3), 0.0
    for name, mass in others.items():
        if crystals > 0 and name in facts:
            lost = facts[name].heating
            losses += max(mass, 0.0) / crystals * np.array([lost.water, lost.organic, lost.carbonate])
            carbonate += max(mass, 0.0) * facts[name].carbonate_fraction
    unseen = priors.UNSEEN_STD
    if _apatite_absent(phases):
        unseen = priors.HIDDEN_PER_LIMIT * (apatite_limit(phases) or priors.UNSTATED_LIMIT)
    specimen = 1.0 if standard is None else 1.0 - standard.fraction  # limits are those of the spiked powder
    return XrdEvidence(
        rows=rows,
        values=frozen_array(grouped),
        covariance=frozen_array(covariance + misfit),
        counting=frozen_array(counting),
        misfit=frozen_array(misfit),
        lattice_diffuse=frozen_array(
            np.zeros(len(rows)) if amounts.lattice_diffuse is None else sums @ amounts.lattice_diffuse
        ),
        flatter_halo=frozen_array(
            np.array([priors.TYPICAL_FLATTER.get(row, 0.0) for row in rows])
            if amounts.flatter_halo is None
            else sums @ amounts.flatter_halo
        ),
        losses=losses,
        carbonate_share=carbonate / crystals if crystals > 0 else 0.0,
        others=others,
        salts={name: mass for name, mass in others.items() if name in facts and facts[name].salt},
        total=total,
        blank_measured=amounts.blank_measured,
        apatite_certain=_apatite_certain(phases),
        absent=frozenset(
            index for index, row in ((H, "apatite"), (OTHER, "other"), (UNSEEN, "unidentified")) if row not in rows
        ),
        apatite_open="apatite" not in rows
        and not trifling
        and any(p.is_apatite and p.undecided and not _is_little(p) for p in phases),
        hidden={H: unseen / specimen, OTHER: hidden / specimen},
        undecided={
            OTHER: float(sum(unsure)),
            H: sum(max(fitted.get(p.id, 0.0), 0.0) / total for p in phases if trifling and p.is_apatite),
        },
        room=() if unidentified is None else _room(phases),
        called_for=amounts.called_for,
        holder_share=amounts.holder_share,
    )


def _room(phases: Sequence[PhaseResult]) -> tuple[Room, ...]:
    """What phases of the library may have beneath unknown reflections.

    Those of which reflections show have the chance of a phase that was left undecided. Of the others nothing is known
    but that one of the library may be there, and most have hardly any room. Phases of a kind share their chance,
    because they would fill the same intensities.
    """
    able = [phase for phase in phases if phase.evidence.most is not None]
    shown = sum(phase.undecided for phase in able)
    return tuple(
        Room(
            component=H if phase.is_apatite else OTHER,
            most=phase.evidence.most or 0.0,
            chance=priors.UNDECIDED_PROBABILITY / shown if phase.undecided else priors.HIDDEN_PROBABILITY / len(able),
        )
        for phase in able
    )


def _with_unidentified(amounts: XrdAmounts, mass: float, std: float) -> XrdAmounts:
    """Amounts with crystals outside the library as one more, independent of the others."""

    def grown(covariance: FloatArray | None, variance: float) -> FloatArray | None:
        if covariance is None:
            return None
        out = np.pad(covariance, (0, 1))
        out[-1, -1] = variance
        return out

    covariance = grown(amounts.covariance, std**2)
    assert covariance is not None
    return replace(
        amounts,
        names=(*amounts.names, UNIDENTIFIED),
        amounts=np.append(amounts.amounts, mass),
        covariance=covariance,
        crystalline=(*amounts.crystalline, True),
        counting_covariance=grown(amounts.counting_covariance, std**2),
        misfit_covariance=grown(amounts.misfit_covariance, 0.0),
        lattice_diffuse=None if amounts.lattice_diffuse is None else np.append(amounts.lattice_diffuse, 0.0),
        flatter_halo=None if amounts.flatter_halo is None else np.append(amounts.flatter_halo, 0.0),
    )


def _response_apart(amounts: XrdAmounts) -> XrdAmounts:
    """Amounts whose covariance lacks what is unknown of the scattering of a gram of amorphous mineral.

    It multiplies the true amount, of which the fit may find little where a specimen's first ring is weak; in proportion
    to what was found it would vanish there. The joint model has it as a constant, `priors.AMORPHOUS_AREA`.
    """
    if amounts.area_covariance is None:
        return amounts
    others = np.array([_AMORPHOUS_ROW.get(name) != "amorphous_mineral" for name in amounts.names])
    rest = amounts.area_covariance * np.outer(others, others)
    return replace(amounts, covariance=amounts.covariance - amounts.area_covariance + rest, area_covariance=rest)


def _rows_of(amounts: XrdAmounts, phases: Sequence[PhaseResult], standard: InternalStandard | None) -> list[str]:
    """Row of the joint model for every amount, "" for a phase that was not found.

    AnalysisError where shapes disagree, a figure is not finite, or the standard is not among the phases.
    """
    n, shape, square = len(amounts.names), np.shape(amounts.amounts), np.shape(amounts.covariance)
    if shape != (n,) or square != (n, n) or len(amounts.crystalline) != n:
        given = f"{n} names, values of shape {shape}, covariance of shape {square}, {len(amounts.crystalline)} flags"
        raise AnalysisError(f"diffraction amounts: {given}; they must agree.")
    if not (np.isfinite(amounts.amounts).all() and np.isfinite(amounts.covariance).all()):
        raise AnalysisError("diffraction amounts must be finite; the fit did not converge to a usable point.")
    decisions = {phase.id: phase for phase in phases}
    facts = {**amounts.facts, **{phase.id: phase.facts for phase in phases}}
    row_of = []
    diffuse = "amorphous_mineral" if "amorphous_calcium_phosphate" in amounts.names else ""
    std = np.sqrt(np.clip(np.diag(amounts.covariance), 0.0, None))
    for name, crystalline, value, sigma in zip(amounts.names, amounts.crystalline, amounts.amounts, std, strict=True):
        if standard is not None and name == standard.id:
            row_of.append("standard")
        elif not crystalline:
            row_of.append(_AMORPHOUS_ROW.get(name, "organic"))
        elif facts.get(name, PhaseFacts()).is_apatite:
            row_of.append(diffuse if _apatite_absent(phases) else "apatite")
        elif name in decisions:
            row_of.append("other" if decisions[name].decision == "detected" else "")
        else:
            row_of.append("other" if value > 3 * sigma else "")
    if standard is not None and "standard" not in row_of:
        msg = (
            f"the internal standard {standard.id!r} is not among the phases of the fit ({', '.join(amounts.names)}): "
            "the pattern does not show it, or it was not asked for. Check its id and fraction, or add it to the phases."
        )
        raise AnalysisError(msg)
    return row_of


def _apatite_certain(phases: Sequence[PhaseResult]) -> bool:
    """Tell whether a member of the apatite family was detected, or nobody judged."""
    asked = [phase for phase in phases if phase.is_apatite]
    return not asked or any(phase.decision == "detected" for phase in asked)


def _apatite_trifling(amounts: XrdAmounts, phases: Sequence[PhaseResult], unidentified: float) -> bool:
    """Tell whether an apatite of the fit is undecided, and little beside the crystals of no phase.

    As a row of its own it would tie the scale on which these are weighed, by reflections that may be theirs.
    """
    own = np.array([phase.id for phase in phases if phase.is_apatite])
    fitted = np.isin(amounts.names, own)
    if _apatite_certain(phases) or not fitted.any():
        return False
    std = float(np.sqrt(max(float(amounts.covariance[np.ix_(fitted, fitted)].sum()), 0.0)))
    most = float(amounts.amounts[fitted].sum()) + 2.0 * std
    return most < priors.LITTLE * unidentified


def _apatite_absent(phases: Sequence[PhaseResult]) -> bool:
    """Tell whether the search asked after apatite and found none of its members, or nothing that counts of them."""
    asked = [phase for phase in phases if phase.is_apatite and phase.detection_limit is not None]
    return bool(asked) and all(phase.decision == "not_detected" or _is_little(phase) for phase in asked)


def _is_little(phase: PhaseResult) -> bool:
    """Tell whether a phase that the fit does not hold is undecided in an amount that its limit bounds as well."""
    share, limit = phase.weight_fraction, phase.detection_limit
    weighed = share is not None and limit is not None and share.high < limit < priors.LITTLE
    return weighed and phase.undecided and phase.evidence.fitted is False
