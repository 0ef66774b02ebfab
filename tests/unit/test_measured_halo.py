"""Measured patterns of amorphous matter in place of calculated halos; Bragg area that backgrounds take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fit_cases import EMPTY, INSTRUMENT, VALUES
from tests.helpers import assert_close
from xrdcomp import analyze
from xrdcomp.data import EmissionLine, Instrument, Pattern
from xrdcomp.errors import AnalysisError, XrdcompError
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import load_phase
from xrdcomp.physics import amorphous
from xrdcomp.physics import elements as scattering
from xrdcomp.physics.corrections import polarization
from xrdcomp.present.tables import result_table
from xrdcomp.recipe import FitRecipe, InstrumentRecipe, Recipe
from xrdcomp.refinement.model import Control, measured_amorphous
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.reflections import PhaseReflections
from xrdcomp.refinement.result import rolling_background
from xrdcomp.simulate.cohort import simulate_pattern, write_pattern
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions
from xrdcomp.stages import fit_pattern
from xrdcomp.units import two_theta_to_q

COPPER = Instrument(emission_lines=(EmissionLine(wavelength=1.5405929),))
PHASE = load_phase("hydroxyapatite")
QUARTZ = simulate_pattern(SpecimenModel(specimen_id="quartz", other={"quartz": 1.0}, **EMPTY), XrdConditions(), seed=1)[
    0
]


def odd_halo(*, low: float = 7.0, high: float = 75.0, counts: float = 4000.0, seed: int = 0) -> Pattern:
    """Protein whose ring lies 0.25 Å⁻¹ (four and a half standard deviations) above the usual place."""
    x = np.arange(low, high, 0.02)
    q = two_theta_to_q(x, COPPER.wavelength)
    return counted(x, polarization(x) * odd_per_gram(q), counts, seed)


def odd_per_gram(q: np.ndarray) -> np.ndarray:
    fractions = scattering.mass_fractions_of(amorphous.AMORPHOUS["protein"].atoms)
    grid = np.linspace(0.7, 4.1, 500)

    def coherent(at: np.ndarray) -> np.ndarray:
        s = 0.15 + 0.85 / (1.0 + np.exp(-(at - 1.45) / 0.17)) + 1.0 * np.exp(-0.5 * ((at - 1.75) / 0.2) ** 2)
        return scattering.coherent_per_gram(fractions, at) * s

    area = amorphous.area_over_free_atoms(amorphous.AMORPHOUS["protein"], COPPER.wavelength)
    free = area * np.trapezoid(scattering.coherent_per_gram(fractions, grid), grid)
    return coherent(q) * free / np.trapezoid(coherent(grid), grid) + scattering.incoherent_per_gram(fractions, q)


def counted(x: np.ndarray, y: np.ndarray, counts: float, seed: int) -> Pattern:
    noisy = np.random.default_rng(seed).poisson(y * counts / y.max()).astype(float)
    return Pattern(two_theta=x, intensity=noisy, sigma=np.sqrt(np.maximum(noisy, 1.0)), intensity_unit="counts")


def apatite_and(halo_share: float, *, seed: int = 1) -> Pattern:
    """Nano-apatite and the odd halo per gram, with air."""
    x = np.arange(8.0, 70.0, 0.03)
    lines = PhaseReflections.freeze(PHASE, INSTRUMENT, x, VALUES)
    crystal, _ = lines.pattern(VALUES)
    halo = 1.5 * polarization(x) * odd_per_gram(two_theta_to_q(x, INSTRUMENT.wavelength))
    y = (1.0 - halo_share) * crystal + halo_share * halo
    return counted(x, y + 0.1 * np.median(y) * 8.0 / x, 1e4, seed)


def test_a_measured_halo_is_on_the_scale_per_gram() -> None:
    halo = measured_amorphous("protein", odd_halo(), COPPER)
    inside = (halo.q > 0.6) & (halo.q < 4.5)
    truth = odd_per_gram(halo.q[inside])
    assert_close(halo.per_gram[inside] / truth, 1.0, atol=0.06, because="4 σ of counting in bins of some 15 points")


def test_a_control_puts_a_measured_halo_on_the_scale_whatever_its_area() -> None:
    x = np.arange(7.0, 75.0, 0.02)
    q = two_theta_to_q(x, COPPER.wavelength)
    w = scattering.compound("C6H10O5")  # cellulose, 1.3 times as strong as protein's area would have it
    own = 1.3 * scattering.coherent_per_gram(w, q) + scattering.incoherent_per_gram(w, q)
    water = amorphous.AMORPHOUS["water"]
    known = amorphous.halo_columns(water, q, COPPER.wavelength).per_gram
    # thick specimens: a gram's scattering over twice its attenuation
    attenuation = [scattering.mass_attenuation_of(v, COPPER.wavelength) for v in (w, scattering.compound("H2O"))]
    scans = [
        Pattern(two_theta=x, intensity=1e4 * polarization(x) * y / mu, sigma=np.ones_like(x), intensity_unit="counts")
        for y, mu in zip((own, known), attenuation, strict=True)
    ]
    found = measured_amorphous(
        "protein", scans[0], COPPER, formula="C6H10O5", control=Control(name="water", pattern=scans[1])
    )
    inside = (found.q > 0.8) & (found.q < 4.0)
    truth = np.interp(found.q, q, own)
    assert_close(found.per_gram[inside] / truth[inside], 1.0, atol=0.01, because="bins of 0.03 Å⁻¹, without noise")
    assert_close(found.area_std, np.hypot(0.03, 0.03), rtol=1e-12, because="water's and the filling's")
    assert measured_amorphous("protein", scans[0], COPPER).area_std == 0.16


def test_a_measured_halo_whose_ring_is_the_components_has_its_uncertainty() -> None:
    x = np.arange(7.0, 75.0, 0.02)
    own = amorphous.halo_columns(
        amorphous.AMORPHOUS["protein"], two_theta_to_q(x, COPPER.wavelength), COPPER.wavelength
    )
    scan = counted(x, polarization(x) * own.per_gram, 4000.0, 0)
    assert measured_amorphous("protein", scan, COPPER).area_std == 0.08
    assert measured_amorphous("protein", scan, COPPER, formula="C6H10O5").area_std == 0.16
    assert measured_amorphous("water", scan, COPPER).area_std == 0.16


@pytest.mark.parametrize(
    ("name", "pattern", "words"),
    [
        ("collagen", odd_halo(), "no amorphous component"),
        ("protein", odd_halo(low=20.0), "wider range"),
        (
            "protein",
            simulate_pattern(SpecimenModel(specimen_id="q", other={"quartz": 1.0}, **EMPTY), XrdConditions(), seed=1)[
                0
            ],
            "narrower than a halo",
        ),
    ],
)
def test_what_is_no_halo_is_refused(name: str, pattern: Pattern, words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        measured_amorphous(name, pattern, COPPER)


def test_names_of_components_are_checked() -> None:
    scan = odd_halo()
    with pytest.raises(AnalysisError, match="is no amorphous component"):
        fit_pattern(scan, (), COPPER, FitRecipe(amorphous=("collagen",)))
    given = measured_amorphous("protein", scan, COPPER)
    with pytest.raises(AnalysisError, match="not among the fitted components"):
        Refinement.run(scan, (), COPPER, FitRecipe(amorphous=("lipid",)), measured=[given])
    short = measured_amorphous("protein", odd_halo(high=60.0), COPPER)
    with pytest.raises(AnalysisError, match="whole range"):
        Refinement.run(scan, (), COPPER, FitRecipe(), measured=[short])


def test_a_measured_halo_gives_a_better_amount_than_a_calculated_one(tmp_path: Path) -> None:
    write_pattern(tmp_path / "collagen.xy", odd_halo(), "xy")
    recipe = Recipe(phases=("hydroxyapatite",), instrument=InstrumentRecipe(radiation="CuKa"))
    known = recipe.with_settings({"fit.amorphous_patterns": {"protein": str(tmp_path / "collagen.xy")}})
    for halo in (0.3, 0.6, 0.8):
        errors = []
        for chosen in (recipe, known):
            amount = analyze(apatite_and(halo), recipe=chosen).phases[0].weight_fraction
            assert amount.ci95[0] < 1.0 - halo < amount.ci95[1]
            errors.append(abs(amount.value - 1.0 + halo))
        assert errors[1] < 0.04, "without an empty-holder scan the air's share is open to 3 to 6 wt%, as is stated"
        assert errors[1] < errors[0] < 0.055, (
            "deformed protein, with parts of lipid and water, follows the strange ring"
        )
    with pytest.raises(XrdcompError, match="cannot be opened"):
        analyze(apatite_and(0.6), recipe=recipe.with_settings({"fit.amorphous_patterns": {"protein": "no.xy"}}))


def test_the_bragg_area_that_backgrounds_take_is_reported() -> None:
    result = analyze(apatite_and(0.3), recipe=Recipe(phases=("hydroxyapatite",)))
    lost = result.metadata["bragg_area_lost"]
    assert lost["fit"] == 0.0, "the physical background is the one that is used"
    assert abs(lost["free_polynomial"]) < 0.05, "halos and lines, not the background, explain broad features"
    assert 0.08 < lost["rolling"] < 0.25, "crystallites of 33 × 17 nm: between 0.09 and 0.14, here with merged tails"
    assert "Bragg area lost to the background: 0.0 % in this fit" in result_table(result, verbose=True)
    flexible = build_instrument(None, InstrumentRecipe())
    free = fit_pattern(apatite_and(0.6), (PHASE,), flexible, FitRecipe(background="flexible"))
    assert free.bragg_area_lost["fit"] != 0.0
    assert not fit_pattern(odd_halo(), (), COPPER, FitRecipe()).bragg_area_lost


def test_a_rolling_background_cuts_broad_peaks_and_spares_sharp_ones() -> None:
    x = np.arange(20.0, 60.0, 0.02)
    areas = []
    for fwhm in (0.1, 8.0):
        peak = np.exp(-4.0 * np.log(2.0) * ((x - 40.0) / fwhm) ** 2)
        areas.append(rolling_background(peak, 0.02).sum() / peak.sum())
    assert areas[0] < 0.01
    assert areas[1] > 0.1
