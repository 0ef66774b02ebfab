"""Each method of quantification against its own equation, its limits and its refusals."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.errors import AnalysisError, RecipeError
from xrdcomp.quantification.methods import (
    KnownMixture,
    calibrate_amorphous,
    crystalline_fraction,
    external_constant,
    external_standard,
    hill_howard,
    internal_standard,
    ponkcs,
    ponkcs_factor,
    read_amorphous,
    rir,
    sum_patterns,
    whole_pattern,
    write_amorphous,
)
from xrdcomp.results import Estimate, XrdAmounts

EXACT = "float arithmetic"
NAMES = ("hydroxyapatite", "corundum", "protein")


def amounts(values: tuple[float, ...], relative: float = 0.01) -> XrdAmounts:
    array = np.array(values)
    return XrdAmounts(
        names=NAMES, amounts=array, covariance=np.diag((relative * array) ** 2), crystalline=(True, True, False)
    )


def test_hill_howard_normalises_the_crystalline_phases_only() -> None:
    found = hill_howard(amounts((3.0, 1.0, 5.0)))
    assert found.names == ("hydroxyapatite", "corundum")
    assert_close(found.fractions, [0.75, 0.25], atol=1e-12, because=EXACT)
    # two fractions that sum to one: σ = w1 w2 √(r1² + r2²)
    expected = 0.75 * 0.25 * 0.01 * np.sqrt(2.0)
    assert_close(np.sqrt(np.diag(found.covariance)), [expected] * 2, rtol=1e-9, because=EXACT)


def test_whole_pattern_uncertainty_grows_with_the_per_gram_scale() -> None:
    narrow = whole_pattern(amounts((3.0, 1.0, 4.0)))
    wide = whole_pattern(amounts((3.0, 1.0, 4.0)), per_gram_std=0.2)
    assert_close(narrow.fractions.sum(), 1.0, atol=1e-12, because=EXACT)
    assert wide.estimate("protein").std > 10 * narrow.estimate("protein").std


def test_internal_standard_gives_the_original_specimen() -> None:
    # spiked powder: 0.2 corundum of which 0.99 diffracts; original: 0.5 apatite, 0.5 protein
    seen = amounts((0.8 * 0.5, 0.2 * 0.99, 0.8 * 0.5))
    found = internal_standard(seen, "corundum", 0.2, crystallinity=(0.99, 0.0), spread=0.0)
    assert_close(found.estimate("hydroxyapatite").value, 0.5, atol=1e-12, because=EXACT)
    assert_close(found.estimate("non_crystalline").value, 0.5, atol=1e-12, because=EXACT)
    expected = 0.5 * 0.01 * np.sqrt(2.0)
    assert_close(found.estimate("non_crystalline").std, expected, rtol=1e-9, because="first-order rule")
    assert set(found.names) == {"hydroxyapatite", "non_crystalline"}


def test_internal_standard_does_not_use_the_amorphous_scale() -> None:
    first = internal_standard(amounts((0.4, 0.2, 0.4)), "corundum", 0.2)
    second = internal_standard(amounts((0.4, 0.2, 0.48)), "corundum", 0.2)
    assert_close(first.fractions, second.fractions, atol=1e-12, because="the halo is not in the equation")


def test_a_wrong_scattering_constant_leaves_the_truth_inside_the_interval() -> None:
    for factor in (0.8, 1.2):
        seen = amounts((0.5, 0.0, 0.5 * factor), relative=0.02)
        estimate = whole_pattern(seen, per_gram_std=0.2).estimate("protein")
        assert estimate.ci95[0] <= 0.5 <= estimate.ci95[1]
        x = Estimate(value=0.6, std=0.01)
        w = crystalline_fraction(x, Estimate(value=1.5 * factor, std=0.3 * factor))
        truth = crystalline_fraction(x, Estimate(value=1.5, std=0.0)).value
        assert w.ci95[0] <= truth <= w.ci95[1]


@pytest.mark.parametrize(("standard", "fraction"), [("corundum", 1.0), ("zincite", 0.2), ("protein", 0.2)])
def test_an_impossible_standard_is_refused(standard: str, fraction: float) -> None:
    with pytest.raises(AnalysisError, match=standard):
        internal_standard(amounts((0.4, 0.2, 0.4)), standard, fraction)


def test_external_standard_recovers_a_known_specimen_both_ways() -> None:
    mu, rest, truth = 86.0, 6.3, 0.4
    whole = rest + truth * (mu - rest)
    g = 5.0
    seen = XrdAmounts(
        names=("hydroxyapatite",),
        amounts=np.array([truth * g / whole]),
        covariance=np.array([[(0.02 * truth * g / whole) ** 2]]),
        crystalline=(True,),
    )
    constant = Estimate(value=g, std=0.0)
    alone = external_standard(seen, constant, {"hydroxyapatite": mu}, (rest, 0.0))
    helped = external_standard(seen, constant, {"hydroxyapatite": mu}, (rest, 0.0), mineral=(truth, 0.0))
    for found in (alone, helped):
        assert_close(found.estimate("hydroxyapatite").value, truth, atol=1e-9, because="closed form")
    ratio = alone.estimate("hydroxyapatite").std / helped.estimate("hydroxyapatite").std
    assert_close(ratio, whole / rest, rtol=1e-3, because="errors are amplified by μ_m/μ_o (central differences)")


def test_the_external_constant_of_a_pure_standard() -> None:
    pure = amounts((0.0, 2.0, 0.0))
    constant = external_constant(pure, "corundum", 31.6, crystallinity=(1.0, 0.0), spread=0.0)
    assert_close(constant.value, 63.2, rtol=1e-12, because=EXACT)
    assert_close(constant.std, 0.632, rtol=1e-9, because="1 % of the amount")


def test_a_missing_attenuation_is_named() -> None:
    with pytest.raises(AnalysisError, match="hydroxyapatite"):
        external_standard(amounts((1, 1, 1)), Estimate(value=1.0), {"corundum": 31.6}, (6.3, 0.1))


def test_ponkcs_factor_and_its_use_cancel() -> None:
    # 1 g protein to 1 g corundum shows as 0.7 to 1: the factor brings it back
    mixture = amounts((0.0, 1.0, 0.7))
    factor = ponkcs_factor(mixture, "protein", "corundum", 1.0)
    assert_close(factor.value, 1.0 / 0.7, rtol=1e-12, because=EXACT)
    found = ponkcs(amounts((0.5, 0.0, 0.35)), {"protein": factor})
    assert_close(found.estimate("protein").value, 0.5, atol=1e-12, because=EXACT)


def test_amorphous_components_count_as_one_where_their_sum_was_calibrated() -> None:
    names = ("hydroxyapatite", "corundum", "protein", "lipid")
    trade = np.diag([0.01, 0.01, 4.0, 4.0])
    trade[2, 3] = trade[3, 2] = -3.999  # protein and lipid trade, their sum is known
    seen = XrdAmounts(
        names=names, amounts=np.array([3.0, 1.0, 4.0, -1.0]), covariance=trade, crystalline=(True, True, False, False)
    )
    found = ponkcs(seen, {"non_crystalline": Estimate(value=2.0, std=0.0)})
    assert found.names == ("hydroxyapatite", "corundum", "non_crystalline")
    assert_close(found.fractions, [0.3, 0.1, 0.6], atol=1e-12, because=EXACT)
    assert found.estimate("non_crystalline").std < 0.02


def test_mixtures_give_the_factor_of_their_amorphous_part(tmp_path) -> None:
    mixtures = []
    for w in (0.25, 0.5, 0.75):
        seen = XrdAmounts(
            names=("hydroxyapatite", "protein", "water"),
            amounts=np.array([w, 0.9 * (1.0 - w), -0.1 * (1.0 - w)]),
            covariance=1e-4 * np.eye(3),
            crystalline=(True, False, False),
        )
        mixtures.append(
            KnownMixture(crystallinity=Estimate(value=w, std=0.01), fraction=w, fraction_std=0.001, amounts=seen)
        )
    found = calibrate_amorphous(mixtures, (10.0, 60.0))
    assert found.factor is not None
    assert_close(found.factor.value, 1.0 / 0.8, rtol=1e-12, because="noise-free")
    path = write_amorphous(found, tmp_path / "amorphous.toml")
    again = read_amorphous(path)
    assert again.factor is not None
    assert (again.factor.value, again.factor.std) == (found.factor.value, found.factor.std)
    path.write_text(path.read_text(encoding="utf-8").replace("factor_std", "factor_sd"), encoding="utf-8")
    with pytest.raises(RecipeError, match="factor_std"):
        read_amorphous(path)


def test_rir_normalised_and_spiked() -> None:
    areas = {n: Estimate(value=v, std=0.0) for n, v in (("calcite", 2.0), ("corundum", 1.0))}
    ratios = {n: Estimate(value=v, std=0.0) for n, v in (("calcite", 2.0), ("corundum", 1.0))}
    assert_close(rir(areas, ratios).fractions, [0.5, 0.5], atol=1e-12, because=EXACT)
    spiked = rir(areas, ratios, standard=("corundum", 0.2))
    assert_close(spiked.estimate("calcite").value, 0.25, atol=1e-12, because=EXACT)
    with pytest.raises(AnalysisError, match="calcite"):
        rir(areas, {"corundum": ratios["corundum"]})


def test_crystalline_fraction_derivatives() -> None:
    x, k, h = 0.6, 1.5, 1e-6

    def value(a: float, b: float) -> float:
        return crystalline_fraction(Estimate(value=a), Estimate(value=b)).value

    by_x = (value(x + h, k) - value(x - h, k)) / (2 * h)
    by_k = (value(x, k + h) - value(x, k - h)) / (2 * h)
    got = crystalline_fraction(Estimate(value=x, std=0.01), Estimate(value=k, std=0.3)).std
    assert_close(got, np.hypot(by_x * 0.01, by_k * 0.3), rtol=1e-6, because="central differences")


def test_known_mixtures_give_their_constant_back(tmp_path) -> None:
    k = 1.7
    mixtures = []
    for w in (0.2, 0.5, 0.8):
        x = k * w / (1.0 - w + k * w)
        mixtures.append(KnownMixture(crystallinity=Estimate(value=x, std=0.01), fraction=w))
    found = calibrate_amorphous(mixtures, (10.0, 60.0))
    assert_close(found.k.value, k, rtol=1e-12, because="noise-free")
    path = write_amorphous(found, tmp_path / "amorphous.toml")
    again = read_amorphous(path)
    assert again.k.value == found.k.value
    assert again.two_theta_range == (10.0, 60.0)
    path.write_text("k = -1\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="k_std"):
        read_amorphous(path)


def test_scattered_mixtures_widen_the_constant() -> None:
    def found(spread: float) -> float:
        items = [
            KnownMixture(crystallinity=Estimate(value=x, std=0.005), fraction=0.5)
            for x in (0.6 - spread, 0.6, 0.6 + spread)
        ]
        return calibrate_amorphous(items, (10.0, 60.0)).k.std

    assert found(0.05) > 5 * found(0.0)


def test_patterns_of_a_sum_are_found_in_it() -> None:
    x = np.arange(10.0, 60.0, 0.05)
    shapes = {
        "sharp": 1e4 * np.exp(-0.5 * ((x - 30.0) / 0.2) ** 2) + 20.0,
        "other": 1e4 * np.exp(-0.5 * ((x - 40.0) / 0.2) ** 2) + 20.0,
        "halo": 1e4 * np.exp(-0.5 * ((x - 22.0) / 5.0) ** 2),
    }
    ratios = {"sharp": 2.0, "other": 1.0, "halo": 0.1}
    truth = np.array([0.3, 0.2, 0.5])
    rng = np.random.default_rng(11)
    expected = sum(w * ratios[n] * y for w, (n, y) in zip(truth, shapes.items(), strict=True))
    counts = rng.poisson(expected).astype(float)

    def pattern(y: np.ndarray) -> Pattern:
        return Pattern(two_theta=x, intensity=y, sigma=np.sqrt(np.maximum(y, 1.0)))

    references = {n: pattern(y) for n, y in shapes.items()}
    errors = {n: Estimate(value=v, std=0.0) for n, v in ratios.items()}
    found = sum_patterns(pattern(counts), references, errors)
    assert_close(found.quantification.fractions, truth, atol=0.01, because="3 σ of counting, about 0.003 each")
    with pytest.raises(AnalysisError, match="covers"):
        sum_patterns(pattern(counts), {**references, "halo": Pattern(
            two_theta=x[:500], intensity=shapes["halo"][:500], sigma=np.ones(500))}, errors)  # fmt: skip
