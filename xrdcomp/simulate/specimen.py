"""One simulated specimen: pattern and curve from one composition."""

from __future__ import annotations

import numpy as np

from xrdcomp.phases import load_phase
from xrdcomp.simulate.conditions import TgaConditions, XrdConditions
from xrdcomp.simulate.model import CALCITE_CO3, SimulatedSpecimen, SpecimenModel, mass_fractions, truth_of
from xrdcomp.simulate.tga import simulate_tga_blank, specimen_pools, weigh
from xrdcomp.simulate.xrd import apatite_sizes, expected_pattern, measure
from xrdcomp.types import Pattern, Phase, TgaRun

__all__ = ["simulate_pattern", "simulate_specimen", "simulate_tga"]

_CARBONATE_PHASES = {"calcite": CALCITE_CO3, "aragonite": CALCITE_CO3, "vaterite": CALCITE_CO3}
_NAMED = ("apatite", "protein", "lipid", "water", "amorphous_mineral", "carbonate")


def _phases_of(model: SpecimenModel) -> dict[str, Phase]:
    names = [name for name in mass_fractions(model) if name not in _NAMED]
    return {name: load_phase(name) for name in dict.fromkeys([model.apatite_model.phase, *names])}


def simulate_pattern(
    model: SpecimenModel, conditions: XrdConditions | None = None, *, seed: int
) -> tuple[Pattern, Pattern]:
    """Diffraction pattern of a specimen and the scan of its empty holder.

    Parameters
    ----------
    model : SpecimenModel
    conditions : XrdConditions, optional
    seed : int
        Decides counting noise and grainy intensities.

    Returns
    -------
    pattern, blank : Pattern
        Counts; the blank holds air scatter, flat background and the holder's humps only, unattenuated.
    """
    conditions = conditions or XrdConditions()
    rng = np.random.default_rng(seed)
    expected = expected_pattern(model, conditions, _phases_of(model), rng)
    total = expected.specimen + expected.background
    pattern = measure(expected.two_theta, total, conditions, rng, f"{model.specimen_id} (simulated)")
    blank = measure(expected.two_theta, expected.background, conditions, rng, "empty holder (simulated)")
    return pattern, blank


def simulate_tga(model: SpecimenModel, conditions: TgaConditions | None = None, *, seed: int) -> TgaRun:
    """Thermogravimetric run of a specimen.

    Parameters
    ----------
    model : SpecimenModel
    conditions : TgaConditions, optional
    seed : int
        Decides noise and wander.

    Returns
    -------
    TgaRun
        Temperature in °C, mass in mg, time in s.
    """
    conditions = conditions or TgaConditions()
    pools = specimen_pools(model, inert=conditions.inert)
    return weigh(pools, conditions, seed=seed, name=f"{model.specimen_id} (simulated)")


def simulate_specimen(
    model: SpecimenModel,
    *,
    xrd: XrdConditions | None = None,
    tga: TgaConditions | None = None,
    seed: int,
) -> SimulatedSpecimen:
    """Measure a specimen with both instruments.

    One composition goes through two independent forward models: the pattern on the absolute scale of electron
    units per gram, the curve by the kinetics of each component. Nothing here uses the analysis' own physics,
    so that recovering `truth` means something.

    Parameters
    ----------
    model : SpecimenModel
    xrd, tga : conditions, optional
        A laboratory diffractometer with Cu Kα and a run in air at 10 K/min by default.
    seed : int
        The same model, conditions and seed give the same measurement.

    Returns
    -------
    SimulatedSpecimen

    Examples
    --------
    >>> from xrdcomp.simulate import SpecimenModel, simulate_specimen
    >>> bone = SpecimenModel(apatite=0.60, protein=0.25, water=0.10, carbonate=0.05)
    >>> simulated = simulate_specimen(bone, seed=1)
    >>> round(simulated.truth["components"]["organic"], 2)
    0.25
    """
    tga = tga or TgaConditions()
    pattern, blank = simulate_pattern(model, xrd, seed=seed)
    truth = truth_of(model, _CARBONATE_PHASES)
    run = simulate_tga(model, tga, seed=seed + 1_000_003)
    losses: dict[str, float] = {}
    for pool in specimen_pools(model, inert=tga.inert):
        losses[pool.name] = losses.get(pool.name, 0.0) + pool.mass_fraction
    truth |= apatite_sizes(model.apatite_model) if model.apatite > 0.0 else {}
    truth["tga_losses"] = losses
    truth["tga_atmosphere"] = tga.atmosphere
    return SimulatedSpecimen(
        model=model,
        pattern=pattern,
        tga=run,
        blank=blank,
        tga_blank=simulate_tga_blank(tga, seed=seed + 2_000_003),
        truth=truth,
    )
