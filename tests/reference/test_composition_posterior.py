"""The posterior against independent ways to it: emcee on a plain forward model, linear algebra, calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.builders import amounts_of
from tests.helpers import assert_close, binomial_band
from tests.unit.composition_evidence import BOUND, CHAR, CO2, CONDENSED, LATE, TYPICAL, balance, phase, xrd_amounts
from xrdcomp.composition.compose import compose_evidence, estimates_of
from xrdcomp.composition.evidence import AMORPHOUS, ThermalEvidence, reduce_xrd
from xrdcomp.composition.model import build_model
from xrdcomp.composition.priors import (
    AMORPHOUS_AREA,
    ASSUMED_CARBONATE,
    CARBONATE_INTENSITY,
    HALO_FLATNESS,
    NO_AMORPHOUS_PROBABILITY,
    UNCERTAINTY_SPREAD,
)
from xrdcomp.composition.sampler import (
    _DOF,
    _Coordinates,
    _draw_simplex,
    _lattice,
    _Proposal,
    best_fit,
    sample_posterior,
)
from xrdcomp.recipe import CompositionRecipe
from xrdcomp.results import XrdAmounts
from xrdcomp.units import FloatArray


def plain_log_posterior(point: FloatArray, evidence: Any, thermal: ThermalEvidence | None) -> FloatArray:
    """Sum of squares written out row by row, for many points at once; nothing shared with the package.

    Columns: h, o, w, c, A (z is the rest), then log K, b, κ, α, f, ε, log of the factor on diffraction's stds, a, λ, χ.
    """
    from scipy.stats import norm

    h, o, w, c, a = point[:, :5].T
    z = 1 - point[:, :5].sum(axis=1)
    log_k, bias, kappa, area, flat, lines, spread = point[:, 5:12].T
    total = np.where((point[:, :5] < 0).any(axis=1) | (z < 0) | (kappa < 0) | (kappa > 1), -np.inf, 0.0)
    for value, known in ((area, AMORPHOUS_AREA), (flat, HALO_FLATNESS)):
        outside = (value < known.low) | (value > known.high)
        total += np.where(outside, -np.inf, norm.logpdf(value, known.mean, known.std))
    share = np.clip(h / np.maximum(h + 0.25 * a, 1e-12), 0.0, 1.0)
    sited = np.minimum(0.02 + 2 * share * (1 - share), 0.2)
    total += norm.logpdf(kappa, share, sited) - np.log(norm.cdf(1, share, sited) - norm.cdf(0, share, sited))
    total += np.where(
        (lines < -1) | (lines > 1.2), -np.inf, norm.logpdf(lines, CARBONATE_INTENSITY.mean, CARBONATE_INTENSITY.std)
    )
    total += norm.logpdf(bias, 0, 0.10) - 3 * np.log(np.maximum(h + c + a + z, 0) + 0.02)
    if evidence is not None:
        total += 3 * log_k  # K times mineral, organic and water are flat
        k, halo = np.exp(log_k), area * (a + (1 - kappa) * c)
        seen = {
            "apatite": k * (1 + bias) * (h + lines * kappa * c),
            "organic": k * (o + 0.20 * flat * halo),
            "water": k * (w + 0.07 * flat * halo),
            "amorphous_mineral": k * (1 - 0.43 * flat) * halo,
            "other": k * (1 + bias) * z,
        }
        residual = evidence.values - np.array([seen[row] for row in evidence.rows]).T
        weighted = np.einsum("ni,ij,nj->n", residual, np.linalg.inv(evidence.covariance), residual)
        total -= 0.5 * weighted * np.exp(-2 * spread) + len(evidence.rows) * spread
        total += norm.logpdf(spread, UNCERTAINTY_SPREAD.mean, UNCERTAINTY_SPREAD.std)
    if thermal is not None:
        late, bound, condensed = point[:, 12:15].T
        char = point[:, 15] if thermal.inert else np.zeros(len(point))
        total += np.where((late < 0) | (late > 1) | (bound < 0) | (bound > 0.3), -np.inf, 0.0)
        total += norm.logpdf(late, 0.7, 0.25) + norm.logpdf(bound, 0.11, 0.04)
        total += np.where((condensed < 0) | (condensed > 0.02), -np.inf, norm.logpdf(condensed, 0.001, 0.0015))
        if thermal.inert:
            total += norm.logpdf(char, 0.22, 0.05)
        burnt = (1 - char) * o + late * bound * a + condensed * h
        losses = np.array([w + (1 - late) * bound * a, burnt, CO2 * c + 0.4397 * z])
        residual = thermal.losses - losses.T
        inverse = np.linalg.inv(thermal.loss_covariance)
        total -= 0.5 * np.einsum("ni,ij,nj->n", residual, inverse, residual)
    else:
        assumed = c / np.maximum(h + a + c, 1e-12)
        total -= 0.5 * ((assumed - 0.05) / 0.05) ** 2
    return np.where(np.isfinite(total), total, -np.inf)


@pytest.mark.parametrize("inert", [False, True, None], ids=["air", "nitrogen", "no TGA"])
def test_moments_and_tails_agree_with_emcee(inert: bool | None) -> None:
    import emcee

    evidence = reduce_xrd(xrd_amounts(TYPICAL, rng=np.random.default_rng(11)))
    thermal = None if inert is None else balance(TYPICAL, inert=inert, rng=np.random.default_rng(12))
    # tails of 8000 draws, of which 3300 count, scatter by a tenth of a standard deviation
    mine = sample_posterior(build_model(evidence, thermal, bias_std=0.10), draws=40000, seed=1)
    dimensions = 12 if inert is None else 15 + inert
    rng = np.random.default_rng(5)
    start = np.column_stack([mine.composition[:, [0, 1, 2, 3, 4]], mine.constants])[:96, :dimensions]
    np.random.seed(17)  # noqa: NPY002 - emcee 3 takes its randomness from the global generator
    sampler = emcee.EnsembleSampler(96, dimensions, plain_log_posterior, args=(evidence, thermal), vectorize=True)
    sampler.run_mcmc(start + 1e-6 * rng.standard_normal(start.shape), 3500)
    chain = sampler.get_chain(discard=700, flat=True)[:, :5]
    chain = np.column_stack([chain, 1 - chain.sum(axis=1)])
    std = chain.std(axis=0)
    because = "96 walkers x 2800 steps at an autocorrelation time of about 120 leave 2 % of a standard deviation"
    assert_close((mine.composition.mean(axis=0)[:6] - chain.mean(axis=0)) / std, 0.0, atol=0.12, because=because)
    assert_close(mine.composition.std(axis=0)[:6] / std, 1.0, atol=0.12, because=because)
    for tail in (0.025, 0.975):
        away = (np.quantile(mine.composition[:, :6], tail, axis=0) - np.quantile(chain, tail, axis=0)) / std
        assert_close(
            away, 0.0, atol=0.35, because="0.11 where the density is 0.03 a standard deviation; 36 are compared"
        )


def test_far_from_the_borders_it_is_the_closed_form() -> None:
    """x = x0 - N⁻¹1 (1ᵀx0 - 1) / (1ᵀN⁻¹1) for known constants and scale, where everything is linear."""
    truth = np.array([0.25, 0.30, 0.20, 0.05, 0.12, 0.08])
    # no constant has to give way, which would bend what it multiplies
    expected = {"lines": CARBONATE_INTENSITY.mean, "flat": HALO_FLATNESS.mean}
    evidence = reduce_xrd(xrd_amounts(truth, stds=np.full(6, 0.003), rng=np.random.default_rng(2), **expected))
    thermal = balance(truth, rng=np.random.default_rng(3))
    model = build_model(evidence, thermal, bias_std=1e-4, known_scale=(float(np.log(7.0 / evidence.total)), 1e-4))
    # what bends what it multiplies is nearly known
    held = {"xrd_spread": {"mean": 0.0, "std": 1e-4}, "late_water": {"std": 0.05}}
    held |= {"amorphous_area": {"std": 1e-3}, "halo_flatness": {"std": 1e-3}}
    model = replace(model, priors=tuple(replace(item, **held.get(item.name, {})) for item in model.priors))
    posterior = sample_posterior(model, draws=8000, seed=3)
    constants = posterior.constants.mean(axis=0)
    matrix = model.design(constants[None])[0][0][:, :6]  # no unidentified crystals are asked for
    normal = matrix.T @ np.linalg.inv(model.covariance) @ matrix
    free = np.linalg.solve(normal, matrix.T @ np.linalg.inv(model.covariance) @ model.values)
    spread = np.linalg.inv(normal)
    ones = np.ones(6)
    closed = free - spread @ ones * (ones @ free - 1) / (ones @ spread @ ones)
    covariance = spread - np.outer(spread @ ones, ones @ spread) / (ones @ spread @ ones)
    std = np.sqrt(np.diag(covariance))
    because = "constants fixed at their posterior mean; they and Monte Carlo move it by a tenth of a sigma"
    assert_close((posterior.composition.mean(axis=0)[:6] - closed) / std, 0.0, atol=0.15, because=because)
    assert (posterior.composition.std(axis=0)[:6] > 0.9 * std).all()


def test_a_spread_of_the_uncertainties_keeps_95_percent_and_narrows_68() -> None:
    """Errors normal but for a log-normal factor on their size: where the prior puts it, 1.96 std hold 95 % of them."""
    rng = np.random.default_rng(8)
    errors = np.abs(
        rng.standard_normal(400_000) * np.exp(rng.normal(UNCERTAINTY_SPREAD.mean, UNCERTAINTY_SPREAD.std, 400_000))
    )
    because = "400 000 draws leave 0.2 % of a quantile; the constants are rounded to 0.5 %"
    assert_close(np.quantile(errors, 0.95), 1.96, rtol=0.01, because=because)
    assert 0.9 < np.quantile(errors, 0.6827) < 0.98, "most errors are smaller than normal ones of the same 95 %"


def _without(rng: np.random.Generator) -> FloatArray:
    """Parts of a mineral that has nothing amorphous: crystals, 0, carbonate, other crystals."""
    return np.insert(rng.dirichlet([1, 1, 1]), 1, 0.0)


def draw_case(
    rng: np.random.Generator, kind: str, *, amorphous: bool = True
) -> tuple[FloatArray, XrdAmounts | None, ThermalEvidence | None]:
    """A composition from the prior and evidence from the model's own distribution."""
    from scipy.stats import truncnorm

    def within(mean: float, std: float, low: float, high: float) -> float:
        return float(truncnorm.rvs((low - mean) / std, (high - mean) / std, mean, std, random_state=rng))

    def composition() -> FloatArray:
        while True:
            mineral, organic, water = rng.dirichlet(np.ones(3))
            crystals, halo, co3, rest = rng.dirichlet([1, 1, 1, 1]) if amorphous else _without(rng)
            if rng.random() < (mineral / (mineral + 0.02)) ** (3 if amorphous else 2):
                return np.array([mineral * crystals, organic, water, mineral * co3, mineral * halo, mineral * rest])

    x = composition()
    if kind == "xrd":
        while abs(x[3] / (x[0] + x[3] + x[4]) - 0.05) > 0.05 * np.sqrt(-2 * np.log(rng.random())):
            x = composition()
    h, o, w, c, a, z = x
    share = h / max(h + 0.25 * a, 1e-12)
    kappa = within(share, min(0.02 + 2 * share * (1 - share), 0.2), 0, 1)
    area, flat = (within(known.mean, known.std, known.low, known.high) for known in (AMORPHOUS_AREA, HALO_FLATNESS))
    lines = within(CARBONATE_INTENSITY.mean, CARBONATE_INTENSITY.std, -1.0, 1.2)
    bias, halo = rng.normal(0, 0.10), area * (a + (1 - kappa) * c)
    scale = float(np.exp(rng.normal()))
    masses = [
        (1 + bias) * (h + lines * kappa * c), o + 0.20 * flat * halo, w + 0.07 * flat * halo,
        (1 - 0.43 * flat) * halo, (1 + bias) * z,
    ]  # fmt: skip
    stds = scale * np.array([0.015, 0.04, 0.04, 0.02, 0.01])
    noise = rng.normal(0, stds)
    noise *= np.exp(rng.normal(UNCERTAINTY_SPREAD.mean, UNCERTAINTY_SPREAD.std))
    xrd = amounts_of(
        names=("hydroxyapatite", "protein", "water", "amorphous_calcium_phosphate", "barite"),
        amounts=scale * np.array(masses) + noise,
        covariance=np.diag(stds**2),
        crystalline=(True, False, False, False, True),
    )
    late, bound, char = within(LATE, 0.25, 0, 1), within(BOUND, 0.04, 0, 0.3), within(CHAR, 0.05, 0, 0.9)
    inert, condensed = kind == "nitrogen", within(CONDENSED, 0.0015, 0, 0.02)
    burnt = (1 - char * inert) * o + late * bound * a + condensed * h
    losses = np.array([w + (1 - late) * bound * a, burnt, CO2 * c]) + rng.normal(0, [0.004, 0.006, 0.004])
    to_four = np.vstack([np.eye(3), -np.ones(3)])
    thermal = ThermalEvidence(
        values=np.append(losses, 1 - losses.sum()),
        covariance=to_four @ np.diag([0.004**2, 0.006**2, 0.004**2]) @ to_four.T,
        inert=inert,
    )
    return x, None if kind == "tga" else xrd, None if kind == "xrd" else thermal


# found, whatever the amount: the decision is the search's, not the composition's
FOUND = (phase("hydroxyapatite", "detected"), phase("barite", "detected"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["air", "nitrogen", "xrd", "tga"])
def test_simulation_based_calibration(kind: str) -> None:
    """Talts et al. 2018: with truths from the prior, ranks are uniform and central intervals cover nominally."""
    rng = np.random.default_rng({"air": 1, "nitrogen": 2, "xrd": 3, "tga": 4}[kind])
    n = 200
    ranks = np.empty((n, 6))
    for i in range(n):
        truth, xrd, thermal = draw_case(rng, kind)
        evidence = reduce_xrd(xrd, FOUND) if xrd is not None else None
        posterior = sample_posterior(build_model(evidence, thermal, bias_std=0.10), draws=500, seed=i)
        ranks[i] = (posterior.composition[:, :6] < truth).mean(axis=0)  # none of these asks for unidentified crystals
    for share in (0.68, 0.95):
        # 48 shares are looked at over the four kinds: 4 sigma leaves 0.3 % for any of them
        low, high = binomial_band(n, share, z=4.0)
        covered = (np.abs(ranks - 0.5) < share / 2).mean(axis=0)
        assert (covered > low).all(), (share, covered)
        assert (covered < high).all(), (share, covered)
    half_width = 4.0 * np.sqrt(1 / 12 / n)
    assert_close(ranks.mean(axis=0), 0.5, atol=half_width, because="mean rank of uniform ranks, 4 sigma")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["air", "xrd"])
def test_reported_intervals_cover_with_and_without_amorphous_mineral(kind: str) -> None:
    """The whole of compose_evidence: as many of the truths have none as its prior says."""
    rng = np.random.default_rng(21)
    n = 200
    covered = np.zeros((n, 6), dtype=bool)
    claimed, there = np.empty(n), np.empty(n)
    recipe = CompositionRecipe(draws=800, xrd_bias_std=0.10)  # as `draw_case` has it
    for i in range(n):
        there[i] = rng.random() > NO_AMORPHOUS_PROBABILITY
        truth, xrd, thermal = draw_case(rng, kind, amorphous=bool(there[i]))
        found = compose_evidence(xrd, thermal, recipe, phases=FOUND)
        claimed[i] = (found.draws[:, 4] > 0).mean()
        for k in range(6):
            interval = estimates_of(found.draws, {"it": (k,)}, told_apart=False)["it"].ci95
            assert interval is not None
            covered[i, k] = interval[0] <= truth[k] <= interval[1]
    low, _ = binomial_band(n, 0.95, z=3.5)
    assert (covered.mean(axis=0) > low).all(), covered.mean(axis=0)
    assert covered.mean() < 0.99, "not by being wide"
    spread = np.sqrt((claimed * (1 - claimed)).sum()) / n
    because = "probabilities of there being any are calibrated: 3.5 sigma of their sum"
    assert_close(claimed.mean(), there.mean(), atol=3.5 * spread, because=because)


@pytest.mark.parametrize("water", [0.05, 0.08, 0.25])
@pytest.mark.parametrize("mineral", [0.05, 0.4, 0.7])
def test_optimum_is_reached_where_the_evidence_leaves_directions_open(water: float, mineral: float) -> None:
    """Three losses do not tell five fractions apart: many compositions have no misfit, one is nearest to all alike."""
    x = np.array([0.9 * mineral, 0.98 - water - mineral, water, 0.02, 0.1 * mineral, 0.0])
    thermal = balance(x)
    best = best_fit(build_model(None, thermal, bias_std=0.1))
    found, chi_square = best.composition, best.chi_square
    assert found.min() >= -1e-12
    assert_close(found.sum(), 1.0, atol=1e-12, because="fractions")
    assert_close(chi_square, 0.0, atol=1e-5, because="a step stops at 1e-8 of one, the weak terms pull by 1e-4 of it")
    other = build_model(None, replace(thermal, values=thermal.values * (1.0 + 1e-9)), bias_std=0.1)
    moved = best_fit(other).composition
    assert_close(moved, found, atol=1e-6, because="a thousand times the change, where nothing holds it but weak terms")


def test_a_model_without_amorphous_mineral_learns_its_constants_from_the_one_with_it() -> None:
    evidence = reduce_xrd(xrd_amounts(TYPICAL, rng=np.random.default_rng(11)))
    model = build_model(evidence, balance(TYPICAL, rng=np.random.default_rng(12)), bias_std=0.10)
    without = replace(model, absent=model.absent | {AMORPHOUS})
    alone = sample_posterior(without, seed=2)
    beside = sample_posterior(without, seed=3, beside=sample_posterior(model, seed=1))
    because = "two samples of about 1000 independent draws"
    assert_close(beside.log_evidence, alone.log_evidence, atol=0.15, because=because)
    away = (beside.composition - alone.composition).mean(axis=0) / np.maximum(alone.composition.std(axis=0), 1e-6)
    assert_close(away, 0.0, atol=0.2, because=because)
    assert beside.composition[:, AMORPHOUS].max() == 0.0


def test_an_optimum_is_the_same_from_another_ones() -> None:
    evidence = reduce_xrd(xrd_amounts(TYPICAL, rng=np.random.default_rng(11)))
    model = build_model(evidence, balance(TYPICAL, rng=np.random.default_rng(12)), bias_std=0.10)
    wide = replace(
        model, priors=tuple(replace(p, std=3.0 * p.std) if p.name == "xrd_bias" else p for p in model.priors)
    )
    found, fresh = best_fit(wide, best_fit(model)), best_fit(wide)
    assert_close(found.composition, fresh.composition, atol=1e-4, because="a run stops at 1e-8 of the cost")
    assert_close(found.chi_square, fresh.chi_square, atol=1e-5, because="the same")


@pytest.mark.parametrize("sparse", [(), [([0], 0.05)], [([0], 0.05), ([1], 0.02)], [([0, 1], 0.05)]])
@pytest.mark.parametrize("assumed", [None, 2])
def test_what_is_drawn_has_the_density_that_is_stated(
    sparse: list[tuple[list[int], float]], assumed: int | None
) -> None:
    """Weighed by one over its density it fills the simplex evenly, but for the carbonate that is assumed."""
    from scipy.stats import norm

    n = 100_000
    mean = np.repeat([[0.1], [0.2], [0.1]], n, axis=1)
    root = np.repeat(np.linalg.cholesky(16.0 * np.eye(3) + 4.0)[:, :, None], n, axis=2)
    points = np.random.default_rng(3).random((3, n))
    x, log_density = _draw_simplex(mean, root, points, np.random.default_rng(4), sparse, assumed)
    weight, volume, first = 6.0 * np.exp(-log_density), 1.0, 0.25
    if assumed is not None:
        left, share = 1.0 - x[:2].sum(axis=0), ASSUMED_CARBONATE
        weight *= norm.pdf(x[2], share.mean * left, share.std * left)
        volume = 3.0 * float(np.diff(norm.cdf([0.0, 1.0], share.mean, share.std))[0])
        first = 1.0 / 3.0
    assert (x.sum(axis=0) <= 1.0 + 1e-12).all()
    error = 4.0 * float(weight.std()) / n**0.5
    assert_close(weight.mean(), volume, atol=error, because="four standard errors of that many draws")
    assert_close((weight * x[0]).mean(), first * volume, atol=error, because="the same, of what is at most as large")


@pytest.mark.parametrize("inert", [False, None], ids=["both", "no TGA"])
def test_draws_by_default_agree_with_a_long_run(inert: bool | None) -> None:
    """Of the Monte Carlo errors of the sample's moments and tails, ten seeds show the standard deviation."""
    evidence = reduce_xrd(xrd_amounts(TYPICAL, rng=np.random.default_rng(11)))
    thermal = None if inert is None else balance(TYPICAL, inert=inert, rng=np.random.default_rng(12))
    model = build_model(evidence, thermal, bias_std=0.10)

    def summary(draws: int, seed: int) -> FloatArray:
        x = sample_posterior(model, draws=draws, seed=seed).composition[:, :6]
        return np.array([x.mean(axis=0), *np.quantile(x, [0.16, 0.5, 0.84, 0.025, 0.975], axis=0)])

    long = sample_posterior(model, draws=1 << 17, seed=99).composition[:, :6].std(axis=0)
    reference = summary(1 << 17, 99)
    away = np.sqrt(np.mean([((summary(4000, seed) - reference) / long) ** 2 for seed in range(10)], axis=(0, 2)))
    assert away[0] < 0.03, "2000 draws that count, evenly placed, leave 0.02 standard deviations of a mean"
    assert away[1:4].max() < 0.05, "and of quantiles in the middle"
    assert away[4:].max() < 0.12, "twice that in the tails, where the density is low, and ten seeds tell it to a tenth"


def test_constants_are_drawn_within_their_limits_with_the_density_that_is_stated() -> None:
    """One over their density sums to the volume between the limits, where the proposal reaches all of it."""
    from scipy.special import gammaln

    model = build_model(None, balance(TYPICAL, rng=np.random.default_rng(12)), bias_std=0.10)
    p = len(model.priors)
    low, high = (np.array([getattr(item, end) for item in model.priors]) for end in ("low", "high"))
    spread = np.diag((0.4 * (high - low)) ** 2)
    spread[0, 1] = spread[1, 0] = 0.5 * float(np.sqrt(spread[0, 0] * spread[1, 1]))
    proposal = _Proposal(
        model=model, coordinates=_Coordinates.of(model), mineral=0.5, centre=0.3 * low + 0.7 * high, spread=spread
    )
    theta, log_density = proposal._constants(_lattice(1 << 15, 1 + p, np.random.default_rng(1)))
    assert (theta >= low[:, None]).all()
    assert (theta <= high[:, None]).all()
    log_density += gammaln(0.5 * (_DOF + p)) - gammaln(0.5 * _DOF) - 0.5 * p * np.log(_DOF * np.pi)
    volume, weight = float(np.prod(high - low)), np.exp(-log_density)
    error = 4.0 * float(weight.std()) / len(weight) ** 0.5
    assert_close(weight.mean(), volume, atol=error, because="four standard errors of random draws")
    middle = float((weight * theta[0]).mean()) / volume
    assert_close(middle, 0.5 * (low[0] + high[0]), atol=error / volume, because="the same")


def test_a_powder_of_minerals_is_drawn_well() -> None:
    """By X-rays alone most priors gather near nothing: twenty draws of 20 000 counted without draws of their own."""
    truth, stds = np.array([0.95, 0.02, 0.0, 0.02, 0.01]), np.array([0.01, 0.04, 0.04, 0.03, 0.015])
    covariance = np.diag((7.0 * stds) ** 2)
    amounts = amounts_of(
        names=("quartz", "protein", "lipid", "water", "amorphous_calcium_phosphate"),
        amounts=7.0 * truth,
        covariance=covariance,
        crystalline=(True, False, False, False, False),
        counting_covariance=0.2 * covariance,
        blank_measured=False,
    )
    model = build_model(reduce_xrd(amounts), None, bias_std=0.16, tissue=False)
    assert sample_posterior(model, draws=4000, seed=1).effective_size > 600.0


def test_unknown_crystals_alone_are_drawn_well() -> None:
    """The pattern fixes K (1 + b) f of them: a dozen draws count where K is drawn beside b."""
    along = np.array([0.15, 0.0, -0.08, 0.045])  # amorphous amounts of which the fit tells hardly more than one sum
    covariance = np.outer(along, along) + np.diag(np.full(4, 4e-6))
    amounts = amounts_of(
        names=("protein", "lipid", "water", "amorphous_calcium_phosphate"),
        amounts=np.zeros(4),
        covariance=65.0**2 * covariance,
        crystalline=(False,) * 4,
        counting_covariance=5.0 * covariance,
        blank_measured=False,
    )
    model = build_model(reduce_xrd(amounts, unidentified=(65.0, 0.1)), None, bias_std=0.16, tissue=False)
    sizes = [sample_posterior(model, draws=4000, seed=seed).effective_size for seed in range(3)]
    assert min(sizes) > 60.0
