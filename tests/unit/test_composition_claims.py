"""Claims and messages: what is said when instruments agree, contradict each other, or are missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.builders import phase_result
from tests.helpers import assert_close
from tests.unit.composition_evidence import NO_APATITE, RULE, TYPICAL, balance, messages_of, phase, xrd_amounts
from xrdcomp.composition.claims import CLAIM_IDS, evaluate_claims, presence_probability
from xrdcomp.composition.compose import compose_evidence
from xrdcomp.data import Diagnostic, PhaseFacts
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import CompositionRecipe
from xrdcomp.results import Claim, Composition, DetectionEvidence, Estimate, MemberComparison, PhaseResult, XrdAmounts

FOREIGN = tuple(f"phase_{i}" for i in range(30))
PURE = np.array([0.12, 0.66, 0.18, 0.01, 0.03, 0.0])


def found(name: str, amount: float, limit: float = 0.005) -> PhaseResult:
    return phase_result(
        id=name,
        name=name,
        formula="",
        decision="detected",
        detection_limit=limit,
        weight_fraction=Estimate(value=amount, std=0.1 * amount),
        evidence=DetectionEvidence(rule=RULE),
    )


def searched(limit: float = 0.005) -> list[PhaseResult]:
    return [found("hydroxyapatite", 0.12), *(phase(name, limit=limit) for name in FOREIGN)]


def by_id(claims: tuple[Claim, ...]) -> dict[str, Claim]:
    assert tuple(claim.id for claim in claims) == CLAIM_IDS
    return {claim.id: claim for claim in claims}


def message(composition: Composition, code: str) -> Diagnostic | None:
    return next((item for item in messages_of(composition) if item.code == code), None)


def test_the_four_findings_hold_for_a_specimen_that_has_them() -> None:
    claims = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), searched()))
    assert {claim.verdict for claim in claims.values()} == {"supported"}
    assert "30 other crystalline phases" in claims["hydroxyapatite_only_crystalline_phase"].statement
    assert "0.5 wt%" in claims["hydroxyapatite_only_crystalline_phase"].statement
    assert "as received" in claims["organic_more_than_half"].statement


def test_a_search_that_cannot_see_enough_does_not_support_only_one_phase() -> None:
    composition = compose_evidence(xrd_amounts(PURE), balance(PURE))
    sharp = by_id(evaluate_claims(composition, searched(0.005)))["hydroxyapatite_only_crystalline_phase"]
    blunt = by_id(evaluate_claims(composition, searched(0.08)))["hydroxyapatite_only_crystalline_phase"]
    assert sharp.probability is not None
    assert blunt.probability is not None
    assert sharp.verdict == "supported"
    assert blunt.verdict == "inconclusive"
    assert "could have escaped" in blunt.statement


def test_another_phase_refutes_only_one_and_is_named_with_its_amount() -> None:
    phases = [*searched()[:-1], found("whewellite", 0.04)]
    claim = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), phases))[
        "hydroxyapatite_only_crystalline_phase"
    ]
    assert claim.verdict == "refuted"
    assert "whewellite 4 wt%" in claim.statement


def test_an_apatite_without_room_beside_unknown_crystals_is_not_left_open() -> None:
    """Claim and composition tell one story: no apatite was tested, and intensities leave room for hardly any."""

    def present(most: float | None, *, tested: bool = False) -> Claim:
        evidence = DetectionEvidence(rule=RULE, fitted=False, tested=tested, most=most)
        phases = [phase_result(
            id="hydroxyapatite", name="hydroxyapatite", formula="", decision="inconclusive", detection_limit=None,
            facts=PhaseFacts(family="apatite"), evidence=evidence,
        )]  # fmt: skip
        amounts = XrdAmounts(
            names=("protein",), amounts=np.array([0.05]), covariance=np.array([[1e-4]]), crystalline=(False,)
        )
        composition = compose_evidence(amounts, None, phases=phases, unidentified=(1.0, 0.01), tissue=False)
        return by_id(evaluate_claims(composition, phases))["hydroxyapatite_present"]

    without = present(0.001)
    assert without.probability is not None
    assert without.probability < 0.1
    assert "no phase explains allows at most" in without.statement
    assert present(0.2).probability == 0.5
    assert present(0.001, tested=True).probability == 0.5
    assert present(None).probability == 0.5


def test_an_undecided_phase_leaves_it_open() -> None:
    phases = [*searched()[:-1], phase("weddellite", "inconclusive")]
    claim = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), phases))[
        "hydroxyapatite_only_crystalline_phase"
    ]
    assert claim.verdict == "inconclusive"
    assert "weddellite" in claim.statement


def test_a_spike_is_not_a_phase_of_the_specimen() -> None:
    phases = [*searched(), found("corundum", 0.2)]
    composition = compose_evidence(xrd_amounts(PURE), balance(PURE))
    as_spike = by_id(evaluate_claims(composition, phases, internal_standard="corundum"))
    as_phase = by_id(evaluate_claims(composition, phases))
    assert as_spike["hydroxyapatite_only_crystalline_phase"].verdict == "supported"
    assert as_phase["hydroxyapatite_only_crystalline_phase"].verdict == "refuted"


def coincident(name: str, *, excluded: bool = False) -> PhaseResult:
    """Another variety of apatite as the search reports it beside the fitted one."""
    member = MemberComparison(cell_difference=0.0, fits_better=False, excluded_as_main=excluded)
    evidence = DetectionEvidence(rule=RULE, reason="words do not decide", member=member)
    return replace(phase(name, "inconclusive"), detection_limit=None, evidence=evidence)


@pytest.mark.parametrize(("probability", "open_member"), [(None, True), (0.3, True), (1e-3, False)])
def test_a_member_of_small_probability_leaves_nothing_open(probability: float | None, open_member: bool) -> None:
    own = MemberComparison(cell_difference=0.0, fits_better=False, excluded_as_main=False, probability=0.7)
    member = replace(own, probability=probability)
    other = coincident("fluorapatite")
    other = replace(other, evidence=replace(other.evidence, member=member))
    apatite = found("hydroxyapatite", 0.12)
    if probability is not None:
        apatite = replace(apatite, evidence=replace(apatite.evidence, member=own))
    claims = by_id(
        evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), [apatite, other, *searched()[1:]])
    )
    assert ("not determined" in claims["hydroxyapatite_present"].statement) is open_member


@pytest.mark.parametrize(
    ("fitted", "other", "excluded", "verdict", "words"),
    [
        (
            "hydroxyapatite",
            "fluorapatite",
            False,
            "supported",
            "family is not determined, because the reflections of fluorapatite",
        ),
        ("hydroxyapatite", "chlorapatite", True, "supported", "Crystalline hydroxyapatite was found: "),
        ("fluorapatite", "hydroxyapatite", False, "supported", "fitted as fluorapatite"),
        ("chlorapatite", "hydroxyapatite", True, "inconclusive", "its intensities are not those of hydroxyapatite"),
    ],
)
def test_the_member_of_the_apatite_family_is_named_where_it_is_open(
    fitted: str, other: str, excluded: bool, verdict: str, words: str
) -> None:
    phases = [found(fitted, 0.12), coincident(other, excluded=excluded), *searched()[1:]]
    claims = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), phases))
    claim = claims["hydroxyapatite_present"]
    assert claim.verdict == verdict
    assert words in claim.statement
    assert ("not determined" in claim.statement) is not excluded
    only = claims["hydroxyapatite_only_crystalline_phase"]
    assert only.verdict == verdict
    assert ("member of the family other than" in only.statement) is (verdict == "inconclusive")


@pytest.mark.parametrize(("variety", "verdict"), [("hydroxyapatite", "supported"), ("fluorapatite", "inconclusive")])
def test_an_apatite_from_outside_the_library_counts_by_its_atoms(variety: str, verdict: str) -> None:
    own = replace(found("from_a_paper", 0.12), facts=PhaseFacts(family="apatite", end_member=variety))
    claims = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), [own, *searched()[1:]]))
    for name in ("hydroxyapatite_present", "hydroxyapatite_only_crystalline_phase"):
        assert claims[name].verdict == verdict, name
    said = claims["hydroxyapatite_present"].statement
    minor = claims["hydroxyapatite_minor_component"].statement
    assert ("another member of its family" in minor) is (variety == "fluorapatite")
    assert ("it was not compared with hydroxyapatite" in said) is (variety == "fluorapatite")


def test_nothing_is_said_of_apatite_that_nobody_asked_for() -> None:
    claims = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), searched()[1:]))
    for name in ("hydroxyapatite_present", "hydroxyapatite_only_crystalline_phase"):
        assert claims[name].probability is None
        assert "neither fitted nor searched for" in claims[name].statement
    assert "All mineral" in claims["hydroxyapatite_minor_component"].statement, "an upper limit all the same"
    by_lines = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), None), searched()[1:]))
    assert by_lines["hydroxyapatite_minor_component"].probability is None


@pytest.mark.parametrize(("n", "verdict"), [(30, "supported"), (3, "inconclusive")])
def test_a_narrow_search_does_not_make_apatite_the_only_phase(n: int, verdict: str) -> None:
    claims = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), searched()[: n + 1]))
    only = claims["hydroxyapatite_only_crystalline_phase"]
    assert only.verdict == verdict
    assert ("narrow search" in only.statement) is (n == 3)


def test_peaks_that_no_phase_explains_leave_open_whether_apatite_is_alone() -> None:
    composition = compose_evidence(xrd_amounts(PURE), balance(PURE))
    only = by_id(evaluate_claims(composition, searched(), unexplained=3))["hydroxyapatite_only_crystalline_phase"]
    assert only.verdict == "inconclusive"
    assert "3 peak(s) belong to none of them" in only.statement


def test_carbonate_and_vacancies_do_not_make_another_member() -> None:
    phases = [found("hydroxyapatite", 0.12), coincident("carbonate_apatite"), *searched()[1:]]
    claims = by_id(evaluate_claims(compose_evidence(xrd_amounts(PURE), balance(PURE)), phases))
    assert "member" not in claims["hydroxyapatite_present"].statement


def test_absent_apatite_is_refuted_with_its_detection_limit() -> None:
    phases = [phase("hydroxyapatite", limit=0.011), phase("calcite")]
    composition = compose_evidence(xrd_amounts(NO_APATITE), balance(NO_APATITE), phases=phases)
    claims = by_id(evaluate_claims(composition, phases))
    assert claims["hydroxyapatite_present"].verdict == "refuted"
    assert "1.1 wt%" in claims["hydroxyapatite_present"].statement
    assert claims["hydroxyapatite_only_crystalline_phase"].verdict == "refuted"
    minor = claims["hydroxyapatite_minor_component"]
    assert (minor.verdict, minor.probability) == ("inconclusive", None), "it presupposes what is not there"


@pytest.mark.parametrize(("x_only", "t_only"), [(True, False), (False, True)])
def test_one_instrument_claims_only_what_it_can(x_only: bool, t_only: bool) -> None:
    composition = compose_evidence(
        xrd_amounts(TYPICAL) if x_only else None, balance(TYPICAL, calcite=False) if t_only else None
    )
    claims = by_id(evaluate_claims(composition, searched() if x_only else ()))
    if x_only:
        assert claims["hydroxyapatite_present"].verdict == "supported"
        assert claims["organic_more_than_half"].probability is None
        assert "thermogravimetric" in claims["organic_more_than_half"].statement
    else:
        assert claims["hydroxyapatite_present"].probability is None
        assert claims["hydroxyapatite_only_crystalline_phase"].probability is None
        assert claims["organic_more_than_half"].verdict == "refuted"
        # all mineral is below one half, so its crystalline part is too
        assert claims["hydroxyapatite_minor_component"].verdict == "supported"


def test_thresholds_of_the_recipe_decide_the_verdict() -> None:
    composition = compose_evidence(xrd_amounts(TYPICAL), balance(TYPICAL))
    strict = CompositionRecipe(organic_above=0.40, minor_below=0.25)
    claims = by_id(evaluate_claims(composition, (), strict))
    assert claims["organic_more_than_half"].verdict == "supported"
    assert claims["hydroxyapatite_minor_component"].verdict == "refuted"


def test_the_basis_is_named_and_changes_the_answer() -> None:
    truth = np.array([0.15, 0.40, 0.40, 0.01, 0.04, 0.0])
    wet = compose_evidence(xrd_amounts(truth), balance(truth))
    dry = compose_evidence(xrd_amounts(truth), balance(truth), CompositionRecipe(basis="dry"))
    assert by_id(evaluate_claims(wet, ()))["organic_more_than_half"].verdict == "refuted"
    claim = by_id(evaluate_claims(dry, ()))["organic_more_than_half"]
    assert claim.verdict == "supported"
    assert "dry mass" in claim.statement


def test_claims_follow_the_rates_of_the_search() -> None:
    """A search that reports one false phase in five specimens proves little with what it finds and does not find."""
    composition = compose_evidence(xrd_amounts(PURE), balance(PURE))
    only, present = {}, {}
    for rate, threshold in ((0.002, 4.39), (0.2, 3.25)):
        rule = replace(RULE, false_alarm_rate=rate, threshold=threshold)
        phases = [replace(p, evidence=replace(p.evidence, z=threshold, rule=rule)) for p in searched()]
        claims = by_id(evaluate_claims(composition, phases))
        only[rate] = claims["hydroxyapatite_only_crystalline_phase"].probability
        present[rate] = presence_probability([replace(phases[0], decision="not_detected")])
    assert only[0.2] < only[0.002] - 1e-4
    assert_close(present[0.002], 0.05 / (0.05 + 0.998), rtol=1e-12, because="odds of a miss, by definition")
    assert_close(present[0.2], 0.05 / (0.05 + 0.8), rtol=1e-12, because="odds of a miss, by definition")


def test_a_decision_without_its_rule_is_no_evidence() -> None:
    bare = replace(phase("hydroxyapatite"), evidence=DetectionEvidence())
    with pytest.raises(AnalysisError, match="rule is not set"):
        presence_probability([bare])


# ---- disagreement


def test_more_crystals_than_mineral_is_said_with_causes_in_order() -> None:
    dried = np.array([0.50, 0.40, 0.02, 0.03, 0.05, 0.0])
    wet = np.array([0.20, 0.45, 0.31, 0.01, 0.03, 0.0])
    item = message(compose_evidence(xrd_amounts(dried), balance(wet)), "FUSION_INCONSISTENT")
    assert item is not None
    assert float(item.facts["z"]) > 2
    assert item.text.index("dried") < item.text.index("aliquots") < item.text.index("burn")
    assert f"{100 * float(item.facts['mineral_tga']):.1f} wt%" in item.text


def test_mineral_that_diffraction_misses_is_said() -> None:
    seen = np.array([0.10, 0.62, 0.25, 0.01, 0.02, 0.0])
    weighed = np.array([0.45, 0.35, 0.13, 0.02, 0.05, 0.0])
    composition = compose_evidence(xrd_amounts(seen), balance(weighed))
    assert message(composition, "FUSION_MINERAL_UNSEEN") is not None


@pytest.mark.parametrize(
    ("truly_inert", "code", "words"),
    [
        (True, "FUSION_MINERAL_UNSEEN", "in nitrogen instead of air"),
        (False, "FUSION_INCONSISTENT", "in air instead of an inert gas"),
    ],
)
def test_a_gas_that_is_stated_wrongly_is_named(truly_inert: bool, code: str, words: str) -> None:
    """Char of half a specimen of organic makes a seventh of it: mineral that is not there, or not enough of it."""
    truth = np.array([0.05, 0.86, 0.07, 0.01, 0.01, 0.0] if truly_inert else [0.20, 0.70, 0.08, 0.01, 0.01, 0.0])
    stated = replace(balance(truth, inert=truly_inert), inert=not truly_inert)
    item = message(compose_evidence(xrd_amounts(truth), stated), code)
    assert item is not None
    assert words in item.text
    other = np.array([0.10, 0.62, 0.25, 0.01, 0.02, 0.0])
    aliquot = np.array([0.55, 0.25, 0.13, 0.02, 0.05, 0.0])
    elsewhere = message(compose_evidence(xrd_amounts(other), balance(aliquot)), "FUSION_MINERAL_UNSEEN")
    assert elsewhere is not None
    assert "instead of" not in elsewhere.text, "char does not explain it"


def test_a_hump_without_amorphous_mineral_points_to_the_holder() -> None:
    amounts = xrd_amounts(np.array([0.30, 0.25, 0.10, 0.01, 0.34, 0.0]))
    truth = np.array([0.42, 0.42, 0.14, 0.02, 0.0, 0.0])
    item = message(compose_evidence(amounts, balance(truth)), "HUMP_WITHOUT_ACP")
    assert item is not None
    assert "holder" in item.text


def test_evidence_that_cannot_be_reconciled_widens_intervals_and_says_so() -> None:
    water = np.array([0.30, 0.34, 0.26, 0.02, 0.06, 0.02])
    agreeing = compose_evidence(xrd_amounts(TYPICAL), balance(TYPICAL))
    item = message(compose_evidence(xrd_amounts(water), balance(TYPICAL)), "FUSION_BIRGE")
    assert message(agreeing, "FUSION_BIRGE") is None
    assert item is not None
    assert float(item.facts["birge_ratio"]) > 1.3
    assert float(item.facts["probability"]) < 0.01


def test_a_scale_error_beyond_the_prior_is_named() -> None:
    amounts = xrd_amounts(TYPICAL, bias=1.0, stds=0.3 * np.array([0.01, 0.04, 0.04, 0.03, 0.015, 0.004]))
    item = message(compose_evidence(amounts, balance(TYPICAL)), "FUSION_SCALE")
    assert item is not None
    assert float(item.facts["bias"]) > 0.2
    assert "Spike" in item.text


def test_agreement_says_nothing() -> None:
    quiet = 0
    rng = np.random.default_rng(8)
    for _ in range(60):
        composition = compose_evidence(xrd_amounts(TYPICAL, rng=rng), balance(TYPICAL, rng=rng))
        quiet += all(item.severity == "info" for item in messages_of(composition))
    assert quiet >= 54, "each of five two-sigma or 1 % checks may speak; one in ten is the ceiling"


def test_varieties_that_cannot_be_told_apart_do_not_blur_the_limit() -> None:
    phases = [
        phase("hydroxyapatite", limit=0.011),
        phase("carbonate_apatite", limit=1.0),
        phase("fluorapatite", "inconclusive", limit=None),
        phase("calcite"),
    ]
    composition = compose_evidence(xrd_amounts(NO_APATITE), balance(NO_APATITE), phases=phases)
    claim = by_id(evaluate_claims(composition, phases))["hydroxyapatite_present"]
    assert claim.verdict == "refuted"
    assert "1.1 wt%" in claim.statement
    assert composition.draws[:, 0].max() < 0.05
