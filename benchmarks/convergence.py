"""Does a fit reach the minimum of its own model, and do its standard deviations show where counts are drawn anew?

    python -m benchmarks.convergence [--resamples 200] [--seed 20261129]

A measured pattern is fitted once; Poisson counts are drawn from the fitted curve, and each draw is fitted from the
start, as a user's file is. Two things are judged. *Distance*: how far, in standard deviations, the fit lies from the
minimum found when it goes on with a tolerance a thousand times finer, windows frozen anew, along the direction in which
it is furthest. *Scatter*: the standard deviation of each parameter over the draws relative to the one that counts alone
cause. That is not the stated one: the stated one also holds what counts do not show (priors of the instrument, the
choice between displacement and zero shift), which is the same in every draw; it is listed beside it.

Writes ``benchmarks/results/convergence.json`` and the table of ``docs/evidence/fit.md``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.report import ROOT, Row, at_most, between, machine, put_into_page, sentence, shortfalls, write_rows
from xrdcomp.data import Instrument, Pattern, Phase
from xrdcomp.instrument.build import build_instrument
from xrdcomp.io.front import read_xrd
from xrdcomp.phases.library import load_phase
from xrdcomp.recipe import FitRecipe, InstrumentRecipe
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.solver import minimize
from xrdcomp.units import FloatArray

SEED = 20261129
LARGEST_DISTANCE = 0.05
SCATTER = (0.85, 1.2)
_FINER = 1e-9  # of the sum of squares
_ROUNDS = 6


@dataclass(frozen=True, kw_only=True)
class Case:
    """A pattern and what is fitted to it."""

    name: str
    pattern: Pattern
    phases: tuple[Phase, ...]
    instrument: Instrument


def cases(fixtures: Path | None) -> Iterator[Case]:
    """Two sharp measured patterns on uncalibrated instruments where they are there, and a nano-apatite of ours."""
    if fixtures is not None:
        scan, tube = read_xrd(fixtures / "xrd/gsas/FAP.XRA"), InstrumentRecipe(wavelengths=(1.5405, 1.5443))
        yield _case("FAP.XRA", scan, "fluorapatite", tube)
        scan = read_xrd(fixtures / "xrd/pdcif/nist_srm660c_100a.cif", scan=0)
        yield _case("SRM 660c", scan, "lab6", InstrumentRecipe())
    scan = read_xrd(ROOT / "data/specimens/sim02_solid/sim02_solid.xy")
    yield _case("nano-apatite (simulated)", scan, "hydroxyapatite", InstrumentRecipe())


def _case(name: str, pattern: Pattern, phase: str, recipe: InstrumentRecipe) -> Case:
    return Case(name=name, pattern=pattern, phases=(load_phase(phase),), instrument=build_instrument(pattern, recipe))


def _weighted(fit: Refinement) -> FloatArray:
    """Derivatives of the pattern by free parameters and active coefficients over sigma, (n, p + m)."""
    solution = fit.solution
    joint = np.concatenate([solution.jacobian, solution.columns[:, solution.active]], axis=1)
    return np.asarray(joint / fit.points.sigma[:, None])


def from_counts(fit: Refinement) -> dict[str, float]:
    """Standard deviation of each free parameter that Poisson counts alone cause, priors being what they are.

    A⁻¹ D A⁻¹ with D the data's part of the joint normal matrix A of coefficients and parameters.
    """
    solution, joint = fit.solution, _weighted(fit)
    data = joint.T @ joint
    priors = np.concatenate([solution.parameter_prior, solution.linear_prior[solution.active]])
    scale = np.sqrt(np.diag(data) + priors)
    inverse = np.linalg.inv((data + np.diag(priors)) / np.outer(scale, scale) + 1e-12 * np.eye(len(scale)))
    variance = np.diag(inverse @ (data / np.outer(scale, scale)) @ inverse) / scale**2
    return {item.name: float(np.sqrt(v)) for item, v in zip(fit.table.free, variance, strict=False)}


def distance(fit: Refinement) -> float:
    """Distance of a fit from its minimum: the largest of any parameter, in its standard deviations."""
    model, table, solution = fit.model, fit.table, fit.solution
    for _ in range(_ROUNDS):
        solution = minimize(model, table, fit.points, max_iterations=200, tolerance=_FINER)
        table = table.with_values(solution.values)
        model = fit.setup.build(fit.points, table, like=model)
    joint = _weighted(replace(fit, solution=solution))
    normal = joint.T @ joint
    normal[np.diag_indices_from(normal)] += [*solution.parameter_prior, *solution.linear_prior[solution.active]]
    scale = np.sqrt(np.diag(normal))
    inverse = np.linalg.inv(normal / np.outer(scale, scale) + 1e-12 * np.eye(len(scale)))
    std = np.sqrt(np.diag(inverse)) / scale
    step = solution.free - fit.solution.free
    scatter = max(1.0, solution.cost / len(fit.points))
    return float(np.abs(step / (std[: len(step)] * np.sqrt(scatter))).max())


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """Fits of one case to counts drawn anew: values and standard deviations by parameter, (draws,) each."""

    values: dict[str, FloatArray]
    counts_std: dict[str, FloatArray]
    stated_std: dict[str, FloatArray]
    distances: FloatArray
    cost_excess: FloatArray  # over the fit that starts at the truth, in units of chi-squared


def resample(case: Case, n: int, seed: int) -> Resamples:
    """Fit a case, draw counts from the fitted curve `n` times, fit each."""
    base = Refinement.run(case.pattern, case.phases, case.instrument, FitRecipe())
    expected, rng = np.maximum(base.solution.calculated, 0.0), np.random.default_rng(seed)
    rows: list[tuple[dict[str, float], dict[str, float], dict[str, float]]] = []
    distances, excess = np.empty(n), np.empty(n)
    for k in range(n):
        drawn = rng.poisson(expected).astype(float)
        sigma = np.sqrt(np.maximum(drawn, 1.0))
        pattern = replace(case.pattern, two_theta=base.points.two_theta, intensity=drawn, sigma=sigma)
        fit = Refinement.run(pattern, case.phases, case.instrument, FitRecipe())
        stated = {name: e.std for name, e in fit.result().parameters.items() if e.std}
        rows.append((fit.solution.values, from_counts(fit), stated))
        distances[k] = distance(fit)
        shared = {name: base.solution.values[name] for name in fit.table.names if name in base.solution.values}
        at_truth = fit.starting_from(shared)
        model = fit.setup.build(fit.points, at_truth.table, like=fit.model)
        excess[k] = fit.solution.cost - fit._settled(fit.setup, at_truth.table, model, 40).solution.cost
    names = [item.name for item in base.table.free]
    return Resamples(
        values={name: np.array([row[0][name] for row in rows if name in row[1]]) for name in names},
        counts_std={name: np.array([row[1][name] for row in rows if name in row[1]]) for name in names},
        stated_std={name: np.array([row[2][name] for row in rows if name in row[2]]) for name in names},
        distances=distances,
        cost_excess=excess,
    )


def rows_of(case: Case, found: Resamples) -> Iterator[Row]:
    """Figures of one case with their bars."""
    for share in (0.5, 0.95):
        value = float(np.quantile(found.distances, share))
        name = f"{case.name}: distance from the minimum, {share:.0%} of fits within"
        yield at_most(name, value, LARGEST_DISTANCE, "σ")
    yield at_most(f"{case.name}: fits in a minimum worse by more than 4", float((found.cost_excess > 4.0).sum()), 0.0)
    for name, values in found.values.items():
        if len(values) < len(found.distances) // 2:
            continue  # a shift refined in a minority of the fits, as the other one explains the angles better
        counts, stated = found.counts_std[name], found.stated_std[name]
        ratio = float(values.std(ddof=1) / np.median(counts))
        yield between(f"{case.name}: scatter of {name} over that of counts", ratio, *SCATTER)
        if len(stated):
            ratio = float(values.std(ddof=1) / np.median(stated))
            yield Row(name=f"{case.name}: the same over the stated σ", value=ratio)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    folder = os.environ.get("XRDCOMP_FIXTURES")
    rows: list[Row] = []
    for case in cases(Path(folder) if folder else None):
        if options.only in case.name:
            for row in rows_of(case, resample(case, options.resamples, options.seed)):
                print(f"{row.name}: {row.value:.3g} {row.unit} {'' if row.holds is None else row.holds}", flush=True)
                rows.append(row)
    if not options.dry:
        about = machine(resamples=options.resamples, seed=options.seed)
        write_rows("convergence", rows, about)
        put_into_page(ROOT / "docs" / "evidence" / "fit.md", "convergence", _page(rows) + "\n\n" + sentence(about))
    return 1 if shortfalls(rows) else 0


def _page(rows: Sequence[Row]) -> str:
    lines = ["| figure | value | bar |", "|---|---|---|"]
    for row in rows:
        missed = " (**missed**)" if row.holds is False else ""
        lines.append(f"| {row.name} | {row.value:.3g} {row.unit} | {row.bar or ''}{missed} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
