"""Listed phases among minerals of no list: ``python -m benchmarks.overlaps [--n 24] [--seed 977]``.

A specimen is 2 to 20 wt% of one listed phase among three to five minerals of the library that the search does not get,
each of its own crystallite size, some of them of few nanometres, in a drawn laboratory; every other one with protein.
With 20 wt% corundum as internal standard the share of the listed phase is weighed; with ``--plain`` corundum is another
listed one. One line for each specimen: truth, what is said, and the ratio of listed phase to corundum over the true
one, for those that stay undecided as well. ``--unweighed`` leaves free reflections aside.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import xrdcomp as xc
from benchmarks.left_out import family
from xrdcomp.data import Pattern
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search import overlaps
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions, vary_conditions
from xrdcomp.simulate.xrd import expected_pattern, measure
from xrdcomp.units import FloatArray

SPIKE, FRACTION = "corundum", 0.2
LISTED = ("quartz", "calcite", "hydroxyapatite", "rutile", "halite", "gypsum", "aragonite", "fluorite")


@dataclass(frozen=True)
class Mixture:
    """A specimen without its spike: mass fractions, the listed phase first, and what is looked for."""

    shares: dict[str, float]
    pattern: Pattern
    library: tuple[str, ...]


def pure(
    name: str, size_nm: float, graininess: float, conditions: XrdConditions, rng: np.random.Generator
) -> FloatArray:
    """Counts of the pure phase on an absolute scale, and its mass attenuation, one after the other."""
    soft = name == "protein"
    other = {} if soft else {name: 1.0}
    model = SpecimenModel(protein=float(soft), other=other, other_size_nm=size_nm, other_graininess=graininess)
    phases = {item: load_phase(item) for item in {model.apatite_model.phase, name} - {"protein"}}
    found = expected_pattern(model, replace(conditions, absolute_scale=1.0), phases, rng)
    return np.append(found.specimen, found.mass_attenuation)


def mixture(seed: int, run: int) -> Mixture:
    """Draw and measure one."""
    rng = np.random.default_rng([seed, run])
    conditions, _ = vary_conditions(rng)
    listed = str(rng.choice(LISTED))
    known = [name for name in list_phases() if load_phase(name).quantifiable and name != SPIKE]
    others = [name for name in known if name not in family(listed) and not load_phase(name).is_apatite]
    unlisted = [str(name) for name in rng.choice(others, int(rng.integers(3, 6)), replace=False)]
    share = float(np.exp(rng.uniform(np.log(0.02), np.log(0.2))))
    protein = 0.15 if run % 2 else 0.0
    rest = (1.0 - share - protein) * rng.dirichlet(np.full(len(unlisted), 3.0))
    shares = {listed: share, **dict(zip(unlisted, rest.tolist(), strict=True)), "protein": protein}
    graininess = float(rng.uniform(0.0, 0.2))
    curves = {}
    for name in (*shares, SPIKE):
        small = name in unlisted and rng.random() < 0.4
        size = float(np.exp(rng.uniform(np.log(12.0), np.log(40.0)))) if small else float(rng.uniform(60.0, 150.0))
        curves[name] = pure(name, size, graininess, conditions, rng)
    parts = {name: w * (1.0 - FRACTION) for name, w in shares.items()} | {SPIKE: FRACTION}
    mu = float(sum(w * curves[name][-1] for name, w in parts.items()))
    each = [w * curves[name][-1] / mu * curves[name][:-1] for name, w in parts.items()]
    specimen = np.asarray(np.sum(each, axis=0), dtype=np.float64)
    n = len(specimen)
    read = np.asarray(conditions.two_theta_min + conditions.step * np.arange(n), dtype=np.float64)
    air = conditions.air_scatter * (10.0 / read) ** conditions.air_exponent
    whole = specimen + float(specimen.mean()) * (conditions.background_constant + air)
    counts = np.asarray(whole * (conditions.peak_counts / float(whole.max())), dtype=np.float64)
    pattern = measure(read, counts, conditions, rng, "simulated")
    hidden = set[str]().union(*(family(name) for name in unlisted))
    return Mixture(shares=shares, pattern=pattern, library=tuple(n for n in list_phases() if n not in hidden))


def main(n: int, seed: int, *, spiked: bool, unweighed: bool) -> None:
    """Print a line for each specimen, and errors and coverage."""
    if unweighed:

        def as_it_is(fit: Refinement, heights: Sequence[float]) -> Refinement:  # noqa: ARG001 - what it replaces has it
            return fit

        overlaps.weigh_beside = as_it_is
    ratios, errors, held, false = [], [], [], 0
    for run in range(n):
        item = mixture(seed, run)
        listed, truth = next(iter(item.shares.items()))
        recipe = xc.Recipe().with_settings(
            {"identification.library": item.library, "identification.start": "nothing", "phases": [listed]}
        )
        result = xc.analyze(item.pattern, recipe=recipe, internal_standard=(SPIKE, FRACTION) if spiked else None)
        found = next(p for p in result.phases if p.id == listed)
        wrong = [p.id for p in result.phases if p.decision == "detected" and p.id not in (listed, SPIKE)]
        wrong = [p for p in wrong if p not in family(listed)]
        false += bool(wrong)
        true = truth if spiked else truth * (1.0 - FRACTION)
        estimate, amounts = found.weight_fraction, result.xrd.amounts
        of = dict(zip(amounts.names, amounts.amounts.tolist(), strict=True))
        ratio = of.get(listed, 0.0) / max(of.get(SPIKE, 0.0), 1e-9) * FRACTION / (truth * (1.0 - FRACTION))
        ratios.append(ratio)
        said = "nothing"
        if estimate is not None and found.decision == "detected":
            said = f"{100 * estimate.value:5.1f} ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"
            held.append(estimate.low <= true <= estimate.high)
            if spiked:
                errors.append(100 * (estimate.value - true))
        names = ", ".join(list(item.shares)[1:])
        print(
            f"{run:3} {listed:15} true {100 * true:5.1f} {found.decision:13} said {said:20} ratio {ratio:.2f} "
            f"gof {result.xrd.gof:.2f} {result.status} {', '.join(wrong)} | {names}",
            flush=True,
        )
    log = np.log(np.clip(ratios, 0.01, 100))
    print(f"detected {len(held)} of {n}, interval holds {sum(held)}, with a false phase {false}")
    print(f"ratio over truth: median {np.exp(np.median(log)):.3f}, RMS of logarithm {np.sqrt((log**2).mean()):.3f}")
    if errors:
        print(f"error in wt%: RMS {np.sqrt(np.mean(np.square(errors))):.2f}, mean {np.mean(errors):+.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=24)
    parser.add_argument("--seed", type=int, default=977)
    parser.add_argument("--plain", action="store_true", help="no internal standard")
    parser.add_argument("--unweighed", action="store_true")
    options = parser.parse_args()
    main(options.n, options.seed, spiked=not options.plain, unweighed=options.unweighed)
