"""What diffraction and thermogravimetry say, reduced to a few numbers with one covariance.

Diffraction is summed to five masses on one scale (crystalline apatite, organic, water, amorphous mineral,
other crystalline; and the internal standard). Thermogravimetry is its mass balance. Nothing here knows of a
prior: that is `model`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xrdcomp.composition.priors import (
    CHAR,
    LOSS_FLOOR,
    ORGANIC_WATER_EXCHANGE,
    STANDARD_CRYSTALLINITY,
    STANDARD_SCATTER,
    UNSEEN_STD,
    WATER_MINERAL_EXCHANGE,
)
from xrdcomp.data import PhaseFacts, frozen_array
from xrdcomp.errors import AnalysisError
from xrdcomp.results import COMPONENTS, PhaseResult, TgaResult, XrdAmounts, apatite_limit
from xrdcomp.units import FloatArray

# Losses of the other crystals, as their facts state them.


def carbonate_share(masses: Mapping[str, float], facts: Mapping[str, PhaseFacts]) -> float:
    """Mass of CO3 per mass of a mixture of phases, by relative masses; negative ones count as absent."""
    total = sum(max(mass, 0.0) for mass in masses.values())
    held = sum(
        max(mass, 0.0) * facts[name].carbonate_fraction for name, mass in masses.items() if name in facts
    )
    return held / total if total > 0 else 0.0


def mixed_losses(masses: Mapping[str, float], facts: Mapping[str, PhaseFacts]) -> FloatArray:
    """Losses of a mixture of phases in the windows of water, organic and carbonate, (3,) mass fractions of it.

    Negative masses count as absent; a phase of which nothing is known is taken to stay.
    """
    total = sum(max(mass, 0.0) for mass in masses.values())
    mixed = np.zeros(3)
    for name, mass in masses.items():
        if total > 0 and name in facts:
            lost = facts[name].heating
            mixed += max(mass, 0.0) / total * np.array([lost.water, lost.organic, lost.carbonate])
    return mixed


# ------------ What diffraction and thermogravimetry say, reduced to a few numbers with one covariance.
# Diffraction is summed to five masses on one scale (crystalline apatite, organic, water, amorphous mineral,
# other crystalline; and the internal standard). Thermogravimetry is its mass balance. Nothing here knows of a
# prior: that is `model`.

XRD_ROWS = ("apatite", "organic", "water", "amorphous_mineral", "other", "standard")
INERT = frozenset({"nitrogen", "argon", "carbon_dioxide"})
_AMORPHOUS_ROW = {"water": "water", "amorphous_calcium_phosphate": "amorphous_mineral"}
_BALANCE = ("water", "organic", "carbonate", "residue")
_SHORT_BALANCE = ("water", "organic", "residue_with_carbonate")
_COVERED_HERE = frozenset({"char", "bound_water"})
_APATITE_INDEX, _OTHER_INDEX = (
    COMPONENTS.index("crystalline_hydroxyapatite"),
    COMPONENTS.index("other_crystalline"),
)
HIDDEN_PER_LIMIT = 0.5
"""Standard deviation of an amount that hides below a detection limit, over that limit: of a normal distribution that
is cut at zero 5 % lies beyond the limit."""
_LIMIT_IN_STDS_OF_ALL = 3.29
"""Detection limit of the median phase over the standard deviation of what hides of all phases together, few of which
are there at all: 0.1 % would lie beyond the limit."""
_UNSTATED_LIMIT = 0.01


@dataclass(frozen=True, kw_only=True)
class InternalStandard:
    """A crystalline powder of known mass mixed into the specimen.

    Parameters
    ----------
    id : str
        Phase id as it stands in the fit.
    fraction : float
        Mass of the standard over mass of the spiked powder, 0 < fraction < 1.
    crystallinity, crystallinity_std : float
        Its own crystalline share. The default is corundum NIST SRM 676a, 99.02 ± 1.11 % (k = 2).
    scatter_std : float
        Relative standard uncertainty of the intensity ratio specimen : standard from microabsorption and
        unlike grains; larger values widen every absolute amount.

    Raises
    ------
    AnalysisError
        A fraction outside (0, 1).
    """

    id: str
    fraction: float
    crystallinity: float = STANDARD_CRYSTALLINITY.mean
    crystallinity_std: float = STANDARD_CRYSTALLINITY.std
    scatter_std: float = STANDARD_SCATTER.std

    @property
    def per_specimen(self) -> float:
        """Mass of the standard per mass of the original specimen, s / (1 - s)."""
        return self.fraction / (1.0 - self.fraction)

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            msg = (
                f"the internal standard's fraction must lie between 0 and 1; it is {self.fraction:g}. "
                "Give mass of standard / mass of the spiked powder, e.g. corundum:0.2."
            )
            raise AnalysisError(msg)


@dataclass(frozen=True, kw_only=True)
class ThermalEvidence:
    """A thermogravimetric mass balance as fractions of the initial mass.

    Parameters
    ----------
    values : (4,) or (3,) array
        Losses in the water, organic and carbonate windows (carbonate as CO2), and the residue. Three for a run
        that ended before the carbonate had gone: water, organic, and the rest.
    covariance : (4, 4) or (3, 3) array
        Of `values`. Singular where they sum to one; only the losses are used, so closure is never counted
        twice.
    inert : bool
        Nitrogen, argon or carbon dioxide: part of the organic stays as char.
    char_fraction, char_std : float
        Share of the organic that stays in an inert gas.
    final_c : float or None, °C
        Where the run ended; salts evaporate above 800 °C.
    salts_apart : bool
        The carbonate was ended before the salts evaporated, and what both may have lost is in `covariance`.
    sources : mapping from cause to the variance shares of the losses
        From thermal analysis, for the uncertainty budget.
    """

    values: FloatArray
    covariance: FloatArray
    inert: bool = False
    char_fraction: float = CHAR.mean
    char_std: float = CHAR.std
    final_c: float | None = None
    salts_apart: bool = False
    sources: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen_array(self.values))
        object.__setattr__(self, "covariance", frozen_array(self.covariance))
        n = len(self.values)
        if self.values.shape not in ((3,), (4,)) or self.covariance.shape != (n, n):
            msg = (
                f"a thermal balance has 3 or 4 values and a square covariance; these have {self.values.shape} "
                f"and {self.covariance.shape}."
            )
            raise AnalysisError(msg)
        if not (np.isfinite(self.values).all() and np.isfinite(self.covariance).all()):
            msg = "a thermal balance must be finite; look at the mass column of the run."
            raise AnalysisError(msg)

    @property
    def sees_carbonate(self) -> bool:
        """Whether the run went on until the carbonate had gone."""
        return len(self.values) == 4

    @property
    def losses(self) -> FloatArray:
        """The losses without the residue, (3,) or (2,)."""
        return self.values[:-1]

    @property
    def loss_covariance(self) -> FloatArray:
        """Covariance of the losses with a floor of (0.005 wt%)²."""
        n = len(self.losses)
        covariance: FloatArray = self.covariance[:n, :n] + LOSS_FLOOR**2 * np.eye(n)
        return covariance


@dataclass(frozen=True, kw_only=True)
class XrdEvidence:
    """Diffraction summed to a few masses, divided by their total so that the unknown scale is near one.

    Parameters
    ----------
    rows : tuple of str
        Which of ``XRD_ROWS`` were observed.
    values : (n,) array, covariance : (n, n) array
    counting : (n, n) array
        The counting part of `covariance`.
    misfit : (n, n) array
        The part of `covariance` from misfit of the fit.
    losses : (3,) array
        What the other crystalline phases lose in the three windows of thermogravimetry, per mass.
    carbonate_share : float
        CO3 in the other crystalline phases, per mass; it is reported under carbonate.
    total : float
        What the fit's amounts were divided by.
    salts : mapping
        Those of `others` that are chlorides.
    others : mapping
        Masses of the other crystalline phases that were detected, relative to the total.
    blank_measured : bool
    absent : set of int
        Positions in ``COMPONENTS`` of what the search did not find: apatite, or any other crystal.
    hidden : mapping from position to float
        Standard deviation of what may be there all the same, from the detection limits.
    """

    rows: tuple[str, ...]
    values: FloatArray
    covariance: FloatArray
    counting: FloatArray
    misfit: FloatArray
    losses: FloatArray
    others: dict[str, float]
    salts: dict[str, float]
    carbonate_share: float = 0.0
    total: float = 1.0
    blank_measured: bool = False
    absent: frozenset[int] = frozenset()
    hidden: Mapping[int, float] = field(default_factory=dict)

    def row(self, name: str) -> float:
        """Value of one row, 0 where it was not observed."""
        return float(self.values[self.rows.index(name)]) if name in self.rows else 0.0

    @property
    def sees_amorphous(self) -> bool:
        """Whether amorphous components were measured on the same scale as the crystalline ones."""
        return bool({"organic", "water", "amorphous_mineral"} & set(self.rows))


def thermal_evidence(
    tga: TgaResult, *, char_fraction: float = 0.22, char_std: float = 0.05
) -> ThermalEvidence | None:
    """Take the mass balance out of a thermal result; None where its steps could not be assigned.

    Parameters
    ----------
    tga : TgaResult
    char_fraction, char_std : float
        Used in an inert gas when the result carries no estimate of its own.
    """
    wanted = next(
        (names for names in (_BALANCE, _SHORT_BALANCE) if set(names) == set(tga.balance_names)), None
    )
    if wanted is None:
        return None
    order = [tga.balance_names.index(name) for name in wanted]
    char = tga.char_fraction
    return ThermalEvidence(
        values=tga.balance[order],
        covariance=tga.covariance[np.ix_(order, order)],
        inert=tga.atmosphere in INERT,
        char_fraction=char.value if char is not None else char_fraction,
        char_std=char.std if char is not None and char.std else char_std,
        final_c=float(tga.temperature_c[-1]) if len(tga.temperature_c) else None,
        salts_apart=tga.salts_apart,
        sources=_sources(tga, len(order) - 1),
    )


def _sources(tga: TgaResult, n: int) -> dict[str, tuple[float, ...]]:
    """Variance shares of the losses by cause; char and bound water are constants of the joint model."""
    tables = [tga.budget.get(name, {}) for name in ("water", "organic", "carbonate_co2")[:n]]
    causes = sorted({cause for table in tables for cause in table} - _COVERED_HERE)
    shares = np.array([[table.get(cause, 0.0) for table in tables] for cause in causes]).reshape(-1, n)
    total = shares.sum(axis=0)
    if not causes or not (total > 0).all():
        return {}
    return {cause: tuple(float(v) for v in row) for cause, row in zip(causes, shares / total, strict=True)}


def shows_something(
    amounts: XrdAmounts, phases: Sequence[PhaseResult] = (), *, standard: InternalStandard | None = None
) -> bool:
    """Whether diffraction gives a positive amount of anything that counts; `reduce_xrd` needs that.

    Where no phase was detected, lines and halos together must stand two standard uncertainties above nothing: an empty
    holder and its air have no composition.

    Parameters
    ----------
    amounts, phases, standard
        As in `reduce_xrd`.

    Returns
    -------
    bool
    """
    _, sums = _summation(amounts, phases, standard)
    values, covariance = _checked(amounts)[:2]
    positive = bool((sums @ values > 0.0).any())
    if not positive or not phases or any(phase.decision == "detected" for phase in phases):
        return positive
    return float(values.sum()) > 2.0 * float(np.sqrt(max(float(covariance.sum()), 0.0)))


def _summation(
    amounts: XrdAmounts, phases: Sequence[PhaseResult], standard: InternalStandard | None
) -> tuple[tuple[str, ...], FloatArray]:
    """Rows of the joint model that the amounts belong to, and the (rows, amounts) matrix that sums them."""
    decisions = {phase.id: phase for phase in phases}
    row_of = _assign_rows(amounts, decisions, standard)
    rows = tuple(name for name in XRD_ROWS if name in row_of)
    sums = np.array([[1.0 if row == name else 0.0 for row in row_of] for name in rows])
    return rows, sums.reshape(-1, len(row_of))


def _belongs(rows: tuple[str, ...], sums: FloatArray, row: str) -> list[bool]:
    """Which amounts are summed to a row."""
    return [bool(flag) for flag in sums[rows.index(row)]] if row in rows else [False] * sums.shape[1]


def reduce_xrd(
    amounts: XrdAmounts,
    phases: Sequence[PhaseResult] = (),
    *,
    standard: InternalStandard | None = None,
) -> XrdEvidence:
    """Sum signed masses to the rows of the joint model.

    Phases that the search did not find leave no mass in "other crystalline"; what could hide below their
    detection limits is kept aside. If apatite itself was not found, its fitted amount (a free crystallite size
    can shrink until a line is a halo) counts as amorphous mineral.

    Parameters
    ----------
    amounts : XrdAmounts
    phases : sequence of PhaseResult
        The search's decisions. Empty: a phase counts where it exceeds three standard deviations.
    standard : InternalStandard, optional

    Raises
    ------
    AnalysisError
        No positive amount at all, wrong shapes, or a standard that is not among the fitted phases.
    """
    values, covariance, counting, misfit = _checked(amounts)
    rows, sums = _summation(amounts, phases, standard)
    total = float(np.clip(sums @ values, 0.0, None).sum())
    if total <= 0:
        msg = "diffraction gives no positive amount of anything; look at the fit before composing."
        raise AnalysisError(msg)
    grouped = sums @ values / total
    covariance = sums @ covariance @ sums.T / total**2 + _exchange(rows, grouped)
    hidden = _hidden_std(phases, amounts, total)
    if "other" in rows:
        covariance[rows.index("other"), rows.index("other")] += hidden**2
    counting = _part_of(sums @ counting @ sums.T / total**2, covariance)
    misfit = sums @ misfit @ sums.T / total**2
    others = {
        name: float(value) / total
        for name, value, other in zip(amounts.names, values, _belongs(rows, sums, "other"), strict=True)
        if other
    }
    facts = {**amounts.facts, **{phase.id: phase.facts for phase in phases}}
    own = 1.0 if standard is None else 1.0 - standard.fraction  # limits are those of the spiked powder
    hidden_apatite = UNSEEN_STD
    if _apatite_absent(phases):
        hidden_apatite = HIDDEN_PER_LIMIT * (apatite_limit(phases) or _UNSTATED_LIMIT)
    return XrdEvidence(
        rows=rows,
        values=frozen_array(grouped),
        covariance=frozen_array(covariance + misfit),
        counting=frozen_array(counting),
        misfit=frozen_array(misfit),
        losses=mixed_losses(others, facts),
        carbonate_share=carbonate_share(others, facts),
        others=others,
        salts={name: mass for name, mass in others.items() if name in facts and facts[name].salt},
        total=total,
        blank_measured=amounts.blank_measured,
        absent=frozenset(
            index for index, row in ((_APATITE_INDEX, "apatite"), (_OTHER_INDEX, "other")) if row not in rows
        ),
        hidden={
            _APATITE_INDEX: hidden_apatite / own,
            _OTHER_INDEX: hidden / own,
        },
    )


def _part_of(counting: FloatArray, covariance: FloatArray) -> FloatArray:
    """Counting covariance, reduced where bounds of the fit left less than it."""
    own, whole = np.diag(counting), np.diag(covariance)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(own > 0, whole / own, 1.0)
    part: FloatArray = counting * min(1.0, float(ratio.min()))
    return part


def _exchange(rows: tuple[str, ...], values: FloatArray) -> FloatArray:
    """Covariance of mass that halo shapes move between rows: organic and water, and water and amorphous mineral."""
    covariance = np.zeros((len(rows), len(rows)))
    soft = np.array(
        [max(values[i], 0.0) if row in ("organic", "water") else 0.0 for i, row in enumerate(rows)]
    )
    total = float(soft.sum())
    if total <= 0:
        return covariance
    modes = []
    if "organic" in rows and "water" in rows:
        between = np.zeros(len(rows))
        between[[rows.index("organic"), rows.index("water")]] = 1.0, -1.0
        modes.append(ORGANIC_WATER_EXCHANGE * total * between)
    if "amorphous_mineral" in rows:
        partner = "water" if "water" in rows else "organic"
        hump = np.zeros(len(rows))
        hump[[rows.index("amorphous_mineral"), rows.index(partner)]] = 1.0, -1.0
        modes.append(WATER_MINERAL_EXCHANGE * total * hump)
    for mode in modes:
        covariance += np.outer(mode, mode)
    return covariance


def _checked(amounts: XrdAmounts) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Amounts, their covariance, its counting part, and what misfit adds."""
    values = np.asarray(amounts.amounts, dtype=float)
    covariance = np.asarray(amounts.covariance, dtype=float)
    n = len(amounts.names)
    if values.shape != (n,) or covariance.shape != (n, n) or len(amounts.crystalline) != n:
        msg = (
            f"diffraction amounts: {n} names, values of shape {values.shape}, covariance of shape "
            f"{covariance.shape}, {len(amounts.crystalline)} flags; they must agree."
        )
        raise AnalysisError(msg)
    if not (np.isfinite(values).all() and np.isfinite(covariance).all()):
        msg = "diffraction amounts must be finite; the fit did not converge to a usable point."
        raise AnalysisError(msg)
    counting, misfit = amounts.counting_covariance, amounts.misfit_covariance
    counting = covariance if counting is None else np.asarray(counting, dtype=float)
    misfit = np.zeros((n, n)) if misfit is None else np.asarray(misfit, dtype=float)
    return values, covariance, counting, misfit


def _assign_rows(
    amounts: XrdAmounts, decisions: dict[str, PhaseResult], standard: InternalStandard | None
) -> tuple[str, ...]:
    """Row of each column, "" for a phase that was not found."""
    facts = {**amounts.facts, **{name: phase.facts for name, phase in decisions.items()}}
    rows = []
    diffuse = "amorphous_mineral" if "amorphous_calcium_phosphate" in amounts.names else ""
    std = np.sqrt(np.clip(np.diag(amounts.covariance), 0.0, None))
    for name, crystalline, value, sigma in zip(
        amounts.names, amounts.crystalline, amounts.amounts, std, strict=True
    ):
        if standard is not None and name == standard.id:
            rows.append("standard")
        elif not crystalline:
            rows.append(_AMORPHOUS_ROW.get(name, "organic"))
        elif facts.get(name, PhaseFacts()).is_apatite:
            rows.append(diffuse if _apatite_absent(decisions.values()) else "apatite")
        elif name in decisions:
            rows.append("other" if decisions[name].decision == "detected" else "")
        else:
            rows.append("other" if value > 3 * sigma else "")
    if standard is not None and "standard" not in rows:
        msg = (
            f"the internal standard {standard.id!r} is not among the phases of the fit ({', '.join(amounts.names)}): "
            "the pattern does not show it, or it was not asked for. Check its id and fraction, or add it to --phases."
        )
        raise AnalysisError(msg)
    return tuple(rows)


def _hidden_std(phases: Sequence[PhaseResult], amounts: XrdAmounts, total: float) -> float:
    """What may hide among phases that were not found, as a standard uncertainty of their sum."""
    fitted = dict(zip(amounts.names, np.asarray(amounts.amounts, dtype=float), strict=True))
    limits = [
        phase.detection_limit / _LIMIT_IN_STDS_OF_ALL
        for phase in phases
        if phase.decision == "not_detected" and phase.detection_limit and not phase.is_apatite
    ]
    unsure = sum(
        max(fitted.get(phase.id, 0.0) / total, 0.0) ** 2
        for phase in phases
        if phase.decision == "inconclusive" and not phase.is_apatite
    )
    typical = float(np.median(limits)) if limits else UNSEEN_STD
    return float(np.hypot(max(typical, UNSEEN_STD / 2), np.sqrt(unsure)))


def _apatite_absent(phases: Iterable[PhaseResult]) -> bool:
    """Tell whether the search asked after apatite and found none of its members."""
    asked = [phase for phase in phases if phase.is_apatite and phase.detection_limit is not None]
    return bool(asked) and all(phase.decision == "not_detected" for phase in asked)
