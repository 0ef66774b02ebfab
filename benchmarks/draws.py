"""Do the draws of a composition carry its figures?

    python -m benchmarks.draws [--seeds 16] [--dry]

A composition is drawn as often as ``composition.draws`` says, from several seeds, and compared with a run of sixteen
times as many: how many independent draws those are worth, and by how many standard deviations means, quantiles between
16 and 84 % and the ends of 95 % intervals lie off (root mean square over seeds and components; of the ends the largest
of nine tenths). Specimens are the embedded ones with both instruments, with either of them alone, and powders of one
crystal that the library lacks, by X-rays alone. Nothing is judged of a composition itself, only of drawing it.

Writes ``benchmarks/results/draws.json`` and the table of ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.left_out import PROTEIN, SEED, family, measured
from benchmarks.report import ROOT, Row, at_most, machine, put_into_page, sentence, shortfalls, table, write_rows
from xrdcomp.analysis import analyze_curve, fit_and_search, prepare, quantify
from xrdcomp.composition.compose import compose
from xrdcomp.data import Sample
from xrdcomp.io.front import read_tga, read_xrd
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.recipe import Recipe
from xrdcomp.results import Composition
from xrdcomp.simulate.cohort import load_cohort
from xrdcomp.units import FloatArray

LONG = 16
"""Draws of the long run over those of an analysis."""
MEANS, ENDS = 0.05, 0.12
"""Largest distances, in standard deviations: means, which are what is printed, and nine tenths of the ends of 95 %."""
POWDERS = ("quartz", "calcite", "gypsum", "whewellite", "corundum", "struvite")
_MIDDLE = (0.16, 0.5, 0.84)


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Independent draws of each seed, and distances from the long run in its standard deviations, of each component."""

    worth: FloatArray
    means: FloatArray
    quantiles: FloatArray
    ends: FloatArray


def composer(sample: Sample, recipe: Recipe) -> Callable[[int, int], Composition]:
    """Composition of one specimen by draws and seed; fit, search and mass balance are done once."""
    setup = prepare(sample, recipe)
    search, thermal = fit_and_search(setup), analyze_curve(setup)
    fit = search.fit if search is not None else None
    quantities = quantify(setup, fit, thermal)

    def composed(draws: int, seed: int) -> Composition:
        return compose(
            fit, search.phases if search is not None else (), thermal,
            recipe.with_settings({"composition.draws": draws, "composition.seed": seed}).composition,
            kind=recipe.specimen.kind,
            known_scale=quantities.scale, unidentified=search.unidentified_mass if search is not None else None,
        )  # fmt: skip

    return composed


def specimens() -> Iterator[tuple[str, Callable[[int, int], Composition]]]:
    """Groups of specimens and what draws their compositions."""
    for entry in load_cohort():
        pattern, run = read_xrd(entry.xrd), read_tga(entry.tga)
        stated = {"instrument.radiation": entry.radiation, "thermal.atmosphere": entry.atmosphere}
        recipe, name = Recipe().with_settings(stated), entry.specimen_id
        yield "both instruments", composer(Sample(sample_id=name, pattern=pattern, tga=run), recipe)
        yield "diffraction alone", composer(Sample(sample_id=name, pattern=pattern), recipe)
        yield "thermogravimetry alone", composer(Sample(sample_id=name, tga=run), recipe)
    for number, phase in enumerate(POWDERS):
        rng = np.random.default_rng([SEED, number])
        powder = measured(load_phase(phase), PROTEIN[number % len(PROTEIN)], number, rng)
        library = tuple(name for name in list_phases() if name not in family(phase))
        nothing = {"identification.library": library, "identification.start": "nothing"}
        yield (
            "crystal that the library lacks, diffraction alone",
            composer(Sample(sample_id=phase, pattern=powder), Recipe().with_settings(nothing)),
        )


def figures(found: Composition) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means (k,), quantiles of the middle (3, k) and ends of 95 % (2, k) of the components that are given."""
    names = found.covariance_names
    parts = [found.components[name] for name in names]
    ends = np.array([part.ci95 if part is not None and part.ci95 is not None else (np.nan, np.nan) for part in parts])
    draws = found.draws[:, [list(found.components).index(name) for name in names]]
    return draws.mean(axis=0), np.quantile(draws, _MIDDLE, axis=0), ends.T


def scatter(composed: Callable[[int, int], Composition], seeds: int) -> Scatter | None:
    """Distances of short runs from a long one; None where no composition is given."""
    draws = Recipe().composition.draws
    long = composed(draws * LONG, 1)
    if not long.covariance_names:
        return None
    std = np.sqrt(np.maximum(np.diag(long.covariance), 1e-12))
    reference, short = figures(long), [composed(draws, seed) for seed in range(2, 2 + seeds)]
    away = [[(ours - its) / std for ours, its in zip(figures(each), reference, strict=True)] for each in short]
    means, quantiles, ends = (np.array([each[k] for each in away]).ravel() for k in range(3))
    worth = np.array([each.consistency.effective_size for each in short if each.consistency is not None])
    return Scatter(worth=worth, means=means, quantiles=quantiles, ends=ends[np.isfinite(ends)])


def rows_of(group: str, found: list[Scatter]) -> Iterator[Row]:
    """Figures of one group of specimens; the bars hold where both instruments measured."""
    means, quantiles, ends = (
        np.concatenate([getattr(each, k) for each in found]) for k in ("means", "quantiles", "ends")
    )
    medians = [float(np.median(each.worth)) for each in found]
    both = group == "both instruments"
    yield Row(name=f"{group}: specimens", value=float(len(found)))
    yield Row(name=f"{group}: independent draws, median of specimens", value=float(np.median(medians)))
    yield Row(name=f"{group}: independent draws, fewest", value=min(medians))
    bounded = at_most if both else (lambda name, value, _, unit: Row(name=name, value=value, unit=unit))
    yield bounded(f"{group}: means off by (rms)", _rms(means), MEANS, "σ")
    yield Row(name=f"{group}: quantiles of 16 to 84 % off by (rms)", value=_rms(quantiles), unit="σ")
    yield bounded(f"{group}: ends of 95 % off by, nine tenths", float(np.quantile(np.abs(ends), 0.9)), ENDS, "σ")


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def main(seeds: int, *, dry: bool) -> list[Row]:
    """Draw every specimen's composition and write the table."""
    groups: dict[str, list[Scatter]] = {}
    for group, composed in specimens():
        if (found := scatter(composed, seeds)) is not None:
            groups.setdefault(group, []).append(found)
    rows = [row for group, found in groups.items() for row in rows_of(group, found)]
    about = machine(draws=Recipe().composition.draws, seeds=seeds)
    text = f"{table(rows)}\n\n{sentence(about)}"
    print(text)
    if not dry:
        write_rows("draws", rows, about)
        put_into_page(ROOT / "docs" / "benchmarks.md", "draws", text)
    return shortfalls(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--dry", action="store_true", help="print only")
    given = parser.parse_args()
    sys.exit(bool(main(given.seeds, dry=given.dry)))
