"""Constants chosen on all worlds but one and judged on the one left out."""

from __future__ import annotations

from pathlib import Path

import pytest

import xrdcomp as xc
from benchmarks.worlds import contributions, rotation
from benchmarks.worlds.rotation import Composed
from benchmarks.worlds.study import given_and_truth
from xrdcomp.composition import priors

SEED = 13501


def case(
    world: str, variant: str, half_width: float, *, truth: float = 0.5, component: str = "organic", seed: int = 1
) -> Composed:
    return Composed(
        world=world, seed=seed, variant=variant, component=component, truth=truth, value=0.5, low=0.5 - half_width,
        high=0.5 + half_width,
    )  # fmt: skip


def test_constants_are_changed_only_while_in_use() -> None:
    bound, freedom = priors.BOUND_WATER, priors.DISCREPANCY_DOF
    variant = {"BOUND_WATER.mean": 0.2, "DISCREPANCY_DOF": 9.0, "composition.xrd_bias_std": 0.07}

    def fail() -> None:
        with rotation.changed(variant) as recipe:
            assert (priors.BOUND_WATER.mean, priors.BOUND_WATER.std) == (0.2, bound.std)
            assert priors.DISCREPANCY_DOF == 9.0
            assert recipe.composition.xrd_bias_std == 0.07
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert bound == priors.BOUND_WATER
    assert freedom == priors.DISCREPANCY_DOF


def test_every_constant_exists_and_no_value_is_the_present_one() -> None:
    for variant in rotation.variants()[1:]:
        ((name, value),) = variant.items()
        with rotation.changed({}) as plain, rotation.changed(variant) as recipe:
            first, _, field = name.partition(".")
            if first.islower():
                assert recipe != plain
            else:
                with rotation.changed({}):
                    now = getattr(priors, first)
                assert (getattr(now, field) if field else now) == value
    for name, values in rotation.CONSTANTS.items():
        first, _, field = name.partition(".")
        own = getattr(xc.Recipe(), first) if first.islower() else getattr(priors, first)
        assert (getattr(own, field) if field else own) not in values


CHANGE = {"DISCREPANCY_DOF": 10.0}
NAME = rotation.name_of(CHANGE)


def test_the_left_out_world_has_no_say() -> None:
    """Of two worlds one is covered with half the width, the other misses by far: each chooses for the other."""
    cases = [case(world, "", 0.02, seed=seed) for world in ("a", "b") for seed in (1, 2, 3)]
    cases += [case("a", NAME, 0.01, seed=seed) for seed in (1, 2, 3)]
    cases += [case("b", NAME, 0.01, truth=0.6, seed=seed) for seed in (1, 2, 3)]
    assert rotation.choice(cases, ["a"]) == CHANGE
    assert rotation.choice(cases, ["b"]) == {}
    text, rows = rotation.judged(cases, {"a": {}, "b": CHANGE})
    assert "Worst of all left out: b, organic, 0 %." in text
    assert rows[-1].value == 0.0
    assert rows[-1].holds is False


def test_what_specimens_do_not_agree_on_is_not_taken() -> None:
    """Two specimens gain by half the width, a third loses as much as both: the mean falls by less than its error."""
    cases = [case("a", "", 0.02, seed=seed) for seed in (1, 2, 3)]
    cases += [case("a", NAME, width, seed=seed) for seed, width in ((1, 0.01), (2, 0.01), (3, 0.035))]
    change, std = rotation.score_change(cases, ["a"], NAME)
    assert -2.0 * std < change < 0.0
    assert rotation.choice(cases, ["a"]) == {}
    assert rotation.choice(cases[:1] + cases[3:4], ["a"]) == {}, "one specimen has no scatter"


def test_scores_of_worlds_and_components_weigh_alike() -> None:
    """A component that is known ten times as well counts as much: ratios are meant, not widths."""
    cases = [case("a", "", 0.1), case("a", "", 0.01, component="water")]
    cases += [case("a", NAME, 0.11), case("a", NAME, 0.005, component="water")]
    assert rotation.score_change(cases, ["a"], NAME)[0] == pytest.approx((0.1 - 0.5) / 2)


def test_composed_apart_is_what_the_analysis_gives(tmp_path: Path) -> None:
    """The fit does not know of the variants, so that one fit serves all; the present one is the ordinary analysis."""
    given, truth = given_and_truth("measured", SEED, tmp_path)
    whole = xc.analyze(**given).composition.components
    variant = {"NO_AMORPHOUS_PROBABILITY": 0.5}
    found = rotation.run([("measured", SEED)], [variant, {}], tmp_path / "store.csv")
    for name in rotation.JUDGED:
        own, other = (
            next(c for c in found if (c.component, c.variant) == (name, v)) for v in ("", rotation.name_of(variant))
        )
        assert whole[name] is not None
        assert (own.low, own.high) == whole[name].ci95
        assert own.truth == truth["components"][name]
        assert own.variant == "" or (own.low, own.high) != (other.low, other.high)
    again = rotation.run([("measured", SEED)], [variant, {}], tmp_path / "store.csv")
    assert again == found


def test_contributions_are_of_constants_that_exist_and_of_each_world_by_itself() -> None:
    for variant in contributions.KNOWN.values():
        with rotation.changed(variant):
            pass
    known = rotation.name_of(contributions.KNOWN["λ, bound water"])
    cases = [case("a", "", 0.02), case("a", known, 0.01), case("b", "", 0.04, truth=0.6)]
    rows = contributions.table(cases, ["a", "b"]).splitlines()[2:]
    assert len(rows) == 2 * len(contributions.KNOWN)
    assert [row.split("|")[4].strip() for row in rows if "nothing" in row] == ["2.00 (100, 4.00)", "4.00 (0, 248.00)"]
    assert [row.split("|")[4].strip() for row in rows if "bound water" in row] == ["1.00 (100, 2.00)", ""]
