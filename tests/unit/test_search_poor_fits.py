"""Starts of a search are left near their minimum where they are poor until a phase is added: no result changes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import left_out
from benchmarks.accuracy_identification import run_search
from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import load_phases
from xrdcomp.recipe import Recipe
from xrdcomp.refinement import solver
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search import search
from xrdcomp.search.search import Identification
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions

CONDITIONS = XrdConditions(peak_counts=20000.0, two_theta_min=10.0, two_theta_max=65.0, step=0.03)


def scan(**other: float) -> Pattern:
    rest = 0.7 - sum(other.values())
    model = SpecimenModel(apatite=0.3, protein=0.8 * rest, water=0.2 * rest, other=other)
    return simulate_pattern(model, CONDITIONS, seed=3)[0]


@pytest.fixture(scope="module")
def beside_halite() -> Pattern:
    return scan(halite=0.3)


def decisions(found: Identification) -> list[tuple[str, str]]:
    return sorted((p.id, p.decision) for p in found.phases)


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of times that a model is evaluated, so far."""
    count, own = [0], solver.LeastSquares.state

    def counted(*args: object, **options: object) -> object:
        count[0] += 1
        return own(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(solver.LeastSquares, "state", counted)
    return count


def fitted(pattern: Pattern, passing_gof: float) -> Refinement:
    instrument = build_instrument(pattern, Recipe().instrument)
    return Refinement.run(pattern, load_phases(("hydroxyapatite",)), instrument, passing_gof=passing_gof)


def test_a_poor_fit_settles_where_it_would_have_ended(beside_halite: Pattern) -> None:
    left, plain = fitted(beside_halite, 3.0), fitted(beside_halite, np.inf)
    assert plain.settled
    assert not left.settled
    assert left.goodness > 3.0
    settled = left.settle()
    assert settled.settled
    assert settled.settle() is settled
    assert settled.solution.values == plain.solution.values


def test_a_good_fit_is_not_left() -> None:
    assert fitted(scan(), 3.0).settled


def test_results_do_not_depend_on_where_poor_fits_were_left(
    beside_halite: Pattern, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = run_search(beside_halite)
    monkeypatch.setattr(search, "_PASSING_GOF", np.inf)
    slow = run_search(beside_halite)

    assert decisions(quick) == decisions(slow)
    for name in ("hydroxyapatite", "halite"):
        one, other = (found.phases[name].weight_fraction for found in (quick, slow))
        assert one is not None
        assert other is not None
        assert other.std is not None
        assert_close(one.value, other.value, atol=0.1 * other.std, because="a tenth of a standard deviation")


def test_poor_fits_cost_little(beside_halite: Pattern, evaluations: list[int]) -> None:
    run_search(beside_halite)
    # 408, and 666 where the fit without halite is brought to its minimum although it is given up
    assert evaluations[0] < 500


def test_a_trial_goes_on_to_where_it_would_have_ended(beside_halite: Pattern) -> None:
    fit, gypsum = fitted(beside_halite, np.inf), load_phases(("gypsum",))
    left, plain = fit.add(gypsum, passing_gof=2.0), fit.add(gypsum)
    assert plain.settled
    assert not left.settled
    settled = left.settle()
    assert settled.settled
    assert settled.solution.values == plain.solution.values


@pytest.fixture(scope="module")
def nobodys() -> Pattern:
    """Barite with other axes and elements, which both rounds of a search take for aragonite and for calcite."""
    rng = np.random.default_rng([left_out.SEED, 94])
    return left_out.measured(left_out.made_up(rng), 0.0, 94, rng)


@pytest.mark.parametrize(
    ("name", "without", "least"),
    [
        ("_PASSING_TRIAL_GOF", np.inf, 10),  # 165 evaluations, and 194 where refused trials are brought to a minimum
        ("_go_on_alike", lambda *_: False, 100),  # 303 where trials are made again
    ],
)
def test_refused_trials_cost_little(
    nobodys: Pattern, evaluations: list[int], monkeypatch: pytest.MonkeyPatch, name: str, without: object, least: int
) -> None:
    quick = run_search(nobodys)
    few = evaluations[0]
    monkeypatch.setattr(search, name, without)
    slow = run_search(nobodys)
    assert evaluations[0] - few > few + least
    assert decisions(quick) == decisions(slow)
