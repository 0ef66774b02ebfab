"""Phases weigh what the composition says."""

from __future__ import annotations

from dataclasses import replace

from tests.builders import known_facts, phase_result
from tests.helpers import assert_close
from xrdcomp.analysis import analyze
from xrdcomp.composition.compose import weigh_phases
from xrdcomp.results import Composition, Estimate, PhaseResult
from xrdcomp.simulate import ApatiteModel, SpecimenModel, XrdConditions, simulate_pattern


def phase(decision: str = "detected", share: float = 0.25, std: float = 0.02) -> PhaseResult:
    return phase_result(
        id="calcite",
        name="Calcite",
        formula="CaCO3",
        decision=decision,  # type: ignore[arg-type]  # the tests' own words
        detection_limit=0.01,
        weight_fraction=Estimate(value=0.3, std=0.1, ci95=(0.1, 0.5)),
        crystalline_weight_fraction=Estimate(value=share, std=std, ci95=(0.2, 0.3)),
    )


def composed(**sums: Estimate) -> Composition:
    return Composition(basis="as_received", method="xrd+tga", components={}, identifiable_sums=sums)


def test_share_times_crystalline_part() -> None:
    total = Estimate(value=0.4, std=0.03, ci95=(0.34, 0.46))
    (weighed,) = weigh_phases([phase()], composed(crystalline=total))
    assert weighed.weight_fraction is not None
    assert weighed.weight_fraction.std is not None
    assert_close(weighed.weight_fraction.value, 0.1, rtol=1e-12, because="0.25 of 0.4")
    expected = ((0.4 * 0.02) ** 2 + (0.25 * 0.03) ** 2) ** 0.5
    assert_close(weighed.weight_fraction.std, expected, rtol=1e-12, because="first-order propagation")
    assert weighed.to_dict()["evidence"]["weight_fraction_from_pattern_alone"]["value"] == 0.3


def test_a_single_phase_has_the_interval_of_the_crystalline_part() -> None:
    total = Estimate(value=0.4, std=0.03, ci95=(0.33, 0.45))
    (weighed,) = weigh_phases([phase(share=1.0, std=0.0)], composed(crystalline=total))
    assert weighed.weight_fraction is not None
    assert weighed.weight_fraction.ci95 == (0.33, 0.45)


def test_phases_that_were_not_found_and_sums_that_are_unknown_change_nothing() -> None:
    total = Estimate(value=0.4, std=0.03, ci95=(0.33, 0.45))
    absent, found = phase("not_detected"), phase()
    assert weigh_phases([absent], composed(crystalline=total)) == (absent,)
    assert weigh_phases([found], composed()) == (found,)


def test_where_crystals_are_not_weighed_only_what_was_found_has_a_share() -> None:
    found = replace(phase(share=0.6), id="quartz")
    for name in ("calcite", "hydroxyapatite"):
        doubtful = replace(phase("inconclusive", share=0.4), id=name)
        one, other = weigh_phases([found, doubtful], composed())
        assert other.weight_fraction is None
        assert other.crystalline_weight_fraction is None
        assert one.crystalline_weight_fraction is not None
        assert_close(one.crystalline_weight_fraction.value, 1.0, rtol=1e-12, because="all of what was found")


def test_an_undecided_phase_has_no_weight_beside_a_composition_that_does_not_count_it() -> None:
    total = Estimate(value=0.4, std=0.03, ci95=(0.34, 0.46))
    apatite = replace(phase(share=0.6), id="hydroxyapatite", facts=known_facts("hydroxyapatite"))
    undecided = replace(phase("inconclusive", share=0.4), id="quartz")
    weighed = weigh_phases([apatite, undecided], composed(crystalline=total))
    assert weighed[0].weight_fraction is not None
    assert weighed[0].crystalline_weight_fraction is not None
    assert_close(weighed[0].weight_fraction.value, 0.4, rtol=1e-12, because="all of what is counted")
    assert_close(weighed[0].crystalline_weight_fraction.value, 1.0, rtol=1e-12, because="the only one counted")
    assert weighed[1].weight_fraction is None
    assert weighed[1].crystalline_weight_fraction is None
    assert weighed[1].to_dict()["evidence"]["weight_fraction_from_pattern_alone"]["value"] == 0.3


def test_an_undecided_apatite_is_counted_as_the_composition_counts_it() -> None:
    total = Estimate(value=0.4, std=0.03, ci95=(0.34, 0.46))
    apatite = replace(phase("inconclusive", share=1.0), id="hydroxyapatite", facts=known_facts("hydroxyapatite"))
    (weighed,) = weigh_phases([apatite], composed(crystalline=total))
    assert weighed.weight_fraction is not None
    assert_close(weighed.weight_fraction.value, 0.4, rtol=1e-12, because="the crystalline part is apatite")


def test_beside_unknown_crystals_a_share_is_what_both_masses_make() -> None:
    """Their mass is known to a factor: what was detected is neither nothing nor everything."""
    sums = {"crystalline": Estimate(value=0.9, std=0.05, ci95=(0.6, 1.0))}
    parts = {
        "other_crystalline": Estimate(value=0.3, std=0.15, ci95=(0.05, 0.7)),
        "unidentified_crystalline": Estimate(value=0.6, std=0.2, ci95=(0.1, 0.95)),
    }
    fitted = replace(phase(share=0.5, std=0.28), id="quartz", facts=known_facts("quartz"))
    composition = Composition(basis="as_received", method="xrd", components=parts, identifiable_sums=sums)
    (weighed,) = weigh_phases([fitted], composition)
    share = weighed.crystalline_weight_fraction
    assert share is not None
    assert_close(share.value, 0.3 / 0.9, rtol=1e-12, because="0.3 of 0.9, which the composition says")
    assert 0.03 < share.low < 0.08, "a factor of 9 beneath, of the ratio to the rest"
    assert 0.8 < share.high < 0.85
    certain = replace(fitted, crystalline_weight_fraction=Estimate(value=0.9995, std=0.02, ci95=(0.96, 1.0)))
    (nearly_all,) = weigh_phases([certain], composition)
    assert nearly_all.crystalline_weight_fraction is not None
    assert nearly_all.crystalline_weight_fraction.low > 0.2, "an error of counting is none of a factor"


def test_the_share_of_what_was_found_leaves_room_for_what_is_undecided() -> None:
    found, doubtful = replace(phase(share=0.6), id="gypsum"), replace(phase("inconclusive", share=0.4), id="quartz")
    found = replace(found, crystalline_weight_fraction=Estimate(value=0.6, std=0.03, ci95=(0.54, 0.66)))
    share = weigh_phases([found, doubtful], composed())[0].crystalline_weight_fraction
    assert share is not None
    assert share.ci95 == (0.54, 1.0)
    assert_close(share.std or 0.0, 0.4, rtol=1e-9, because="all that the other may have")


def test_all_kinds_of_crystals_go_with_what_crystals_are_in_all() -> None:
    """Fluorescence leaves open what share of the specimen is crystals: the minor kind is as open as the major one."""
    model = SpecimenModel(
        apatite=0.4, protein=0.3, other={"quartz": 0.3},
        apatite_model=ApatiteModel(length_a_nm=40.0, length_c_nm=60.0),
    )  # fmt: skip
    conditions = XrdConditions(peak_counts=2000.0, background_constant=200.0)
    result = analyze(simulate_pattern(model, conditions, seed=3)[0])
    other, quartz = result.composition.components["other_crystalline"], result.phases["quartz"].weight_fraction
    assert other is not None
    assert quartz is not None
    assert quartz.high > 0.3
    assert other.high > 0.8 * quartz.high
