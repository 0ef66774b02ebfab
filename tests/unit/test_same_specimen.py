"""Do pattern and run belong to one specimen? Names, days, and a balance that nothing satisfies."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import assert_close
from tests.unit.composition_evidence import TYPICAL, balance, messages_of, phase, xrd_amounts
from xrdcomp.checks.registry import Analysis, run_checks
from xrdcomp.checks.specimen import name_different_specimens
from xrdcomp.composition.claims import evaluate_claims
from xrdcomp.composition.compose import compose_evidence
from xrdcomp.data import Pattern, Sample, TgaRun

SAME = (
    ("sim01_solid (simulated)", "sim01_solid"),
    ("P12 thigh", "p-12"),
    ("bone_03 XRD", "Bone 3, 10K/min air"),
    ("calcinosis", "Calcinosis cutis"),
    ("", "P12"),
    ("Sample", "P12"),
    ("simulated", "sim05"),
    ("Probe 007", "7"),
)
DIFFERENT = (
    ("sim01_solid (simulated)", "sim05_solid (simulated)"),
    ("P12", "P13"),
    ("bone", "wood"),
    ("A-17 left", "A-71 left"),
    ("P12 thigh", "oak 4"),
)


@pytest.mark.parametrize("names", SAME, ids=" | ".join)
def test_names_that_may_be_of_one_specimen_are_not_questioned(names: tuple[str, str]) -> None:
    assert not name_different_specimens(*names)
    assert not name_different_specimens(*names[::-1])


@pytest.mark.parametrize("names", DIFFERENT, ids=" | ".join)
def test_names_of_different_specimens_are_told_apart(names: tuple[str, str]) -> None:
    assert name_different_specimens(*names)
    assert name_different_specimens(*names[::-1])


def sample(xrd: dict[str, str], tga: dict[str, str]) -> Sample:
    angles, temperatures = np.linspace(10.0, 60.0, 50), np.linspace(25.0, 900.0, 50)
    return Sample(
        sample_id="one",
        pattern=Pattern(two_theta=angles, intensity=np.full(50, 9.0), sigma=np.full(50, 3.0), metadata=xrd),
        tga=TgaRun(temperature_c=temperatures, mass=np.linspace(10.0, 6.0, 50), mass_unit="mg", metadata=tga),
    )


def said(xrd: dict[str, str], tga: dict[str, str]) -> dict[str, str]:
    found = run_checks(Analysis(sample=sample(xrd, tga)), ["composition"])
    return {item.code: item.text for item in found}


def test_both_names_stand_in_the_warning() -> None:
    told = said({"sample_name": "P12"}, {"sample_name": "P13"})["SPECIMEN_NAMES_DIFFER"]
    assert "'P12'" in told
    assert "'P13'" in told
    assert said({"sample_name": "P12"}, {"sample_name": "P12 TGA"}) == {}


@pytest.mark.parametrize(
    ("first", "second", "days"),
    [
        ("2019-03-02T10:11:12", "05.04.2021 13:00", 765),
        ("3/2/2019 10:11:12 AM", "2019-04-05", None),
        ("02-Mar-2019", "not a day", None),
    ],
)
def test_days_far_apart_are_told(first: str, second: str, days: int | None) -> None:
    told = said({"date": first}, {"date": second})
    assert ("SPECIMEN_DATES_DIFFER" in told) == (days is not None)
    if days is not None:
        assert f"{days} days apart" in told["SPECIMEN_DATES_DIFFER"]


def test_measurements_of_two_specimens_fail_and_open_every_claim() -> None:
    """Half crystals by X-rays beside a run that leaves next to nothing."""
    wood = np.array([0.0, 0.93, 0.05, 0.0, 0.01, 0.01])
    found = compose_evidence(xrd_amounts(TYPICAL), balance(wood))
    assert found.consistency is not None
    assert found.consistency.impossible
    errors = [item for item in messages_of(found) if item.severity == "error"]
    assert [item.code for item in errors] == ["FUSION_TWO_SPECIMENS"]
    assert "composition" in errors[0].concerns
    phases = [phase("hydroxyapatite", "detected"), phase("calcite")]
    assert {claim.probability for claim in evaluate_claims(found, phases)} == {None}
    right = compose_evidence(xrd_amounts(TYPICAL), balance(TYPICAL))
    assert right.consistency is not None
    assert not right.consistency.impossible


def test_differences_beyond_those_of_right_pairs_are_doubted_short_of_impossible() -> None:
    """22 wt% of mineral read as organic matter by X-rays: three standard deviations of right pairs, and no more."""
    beside = np.array([0.22, 0.53, 0.15, 0.02, 0.06, 0.02])
    other = np.array([0.44, 0.31, 0.15, 0.02, 0.06, 0.02])
    balance_of = [compose_evidence(xrd_amounts(x), balance(beside)).consistency for x in (beside, other)]
    right, wrong = (item.mineral_balance for item in balance_of if item is not None)
    assert right is not None
    assert wrong is not None
    assert_close(right.organic_difference, -0.8 * 0.1 * 0.06, atol=0.002, because="late water of amorphous mineral")
    assert right.pair_probability > 0.9
    beside, seen = wrong.mineral - wrong.crystalline, wrong.with_amorphous - wrong.crystalline
    assert beside < 0.0, "more crystals than mineral: the amorphous mineral has no place either"
    z = beside / 0.027, seen / wrong.amorphous_std, wrong.organic_difference / wrong.organic_std
    expected = np.exp(-0.5 * np.square(z).sum())
    assert_close(wrong.pair_probability, expected, rtol=1e-9, because="chi square of two degrees of freedom")
    assert wrong.pair_probability < 0.01


def test_carbonate_that_the_cell_does_not_have_doubts_a_pair() -> None:
    """An apatite whose c axis has room for 6 wt% of CO3 beside a run that loses none, all else alike."""
    found = {
        lattice: compose_evidence(xrd_amounts(TYPICAL), balance(TYPICAL), lattice_carbonate=lattice).consistency
        for lattice in (None, 0.0, 0.0625, 0.25)
    }
    balances = {lattice: item.mineral_balance for lattice, item in found.items() if item is not None}
    probability = {lattice: item.pair_probability for lattice, item in balances.items() if item is not None}
    assert probability[None] > 0.9
    assert probability[0.0625] > 0.9, "0.02 of carbonate in 0.32 of crystals"
    assert 0.05 < probability[0.0] < 0.9, "two standard deviations of the axis at most"
    assert probability[0.25] < 0.01
