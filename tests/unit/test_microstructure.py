"""Column lengths, crystallinity indices and carbonate of apatite; holders recognised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.builders import phase_result
from tests.fit_cases import EMPTY
from tests.helpers import assert_close
from xrdcomp.instrument.build import build_instrument, empty_holder_messages
from xrdcomp.instrument.calibrate import calibrate
from xrdcomp.phases.library import load_phase
from xrdcomp.quantification.microstructure import (
    apatite_indices,
    carbonate_from_cell,
    landi_width_index,
    with_apatite_indices,
)
from xrdcomp.recipe import FitRecipe, InstrumentRecipe
from xrdcomp.results import DetectionEvidence, Estimate
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.specimens import ApatiteModel, Hump, SpecimenModel, XrdConditions
from xrdcomp.stages import fit_pattern


@pytest.fixture(scope="module")
def instrument():
    model = SpecimenModel(specimen_id="lab6", other={"lab6": 1.0}, other_size_nm=500.0, **EMPTY)
    conditions = XrdConditions(peak_counts=20000, two_theta_min=15, two_theta_max=140, step=0.01)
    return calibrate(simulate_pattern(model, conditions, seed=1)[0], "lab6").instrument


def needle_fit(instrument, *, shape: str, organic: float):
    model = SpecimenModel(
        specimen_id="needle",
        apatite_model=ApatiteModel(length_c_nm=25.0, length_a_nm=8.0, shape=shape),
        **{**EMPTY, "apatite": 1.0 - organic, "protein": organic},
    )
    conditions = XrdConditions(peak_counts=10000, two_theta_min=8)
    pattern = simulate_pattern(model, conditions, seed=5)[0]
    used = instrument or build_instrument(pattern, InstrumentRecipe())
    return fit_pattern(pattern, (load_phase("hydroxyapatite"),), used, FitRecipe())


@pytest.mark.parametrize(("shape", "organic"), [("cylinder", 0.0), ("ellipsoid", 0.5)])
def test_both_lengths_of_a_needle(instrument, shape: str, organic: float) -> None:
    fit = needle_fit(instrument, shape=shape, organic=organic)
    lengths = apatite_indices(fit, "hydroxyapatite")["column_length_nm"]
    assert_close(lengths["c_axis"]["value"], 25.0, rtol=0.10, because="volume-weighted column length, 10 %")
    assert_close(lengths["a_axis"]["value"], 8.0, rtol=0.10, because="volume-weighted column length, 10 %")


def test_indices_say_where_they_do_not_hold(instrument) -> None:
    fit = needle_fit(instrument, shape="ellipsoid", organic=0.0)
    found = apatite_indices(fit, "hydroxyapatite")
    assert not found["person"]["in_domain"], "lines of 8 nm crystals have merged"
    assert found["landi_width"]["in_domain"], "002 is wider than 0.24°"
    assert 0.0 < found["landi_width"]["value"] < 1.0
    assert_close(found["width_002_deg"]["value"], 0.31, atol=0.06, because="0.9 λ/(29 nm cosθ) = 0.28 and strain")
    phase = phase_result(
        id="hydroxyapatite",
        name="",
        formula="",
        decision="detected",
        detection_limit=None,
        evidence=DetectionEvidence(z=9.0),
    )
    reported = with_apatite_indices((phase,), fit, {"hydroxyapatite"})[0]
    assert reported.evidence.z == 9.0
    assert "person" in reported.to_dict()["evidence"]
    absent = replace(phase, decision="not_detected")
    assert with_apatite_indices((absent,), fit, {"hydroxyapatite"}) == (absent,)


def test_sharp_apatite_leaves_the_domain_of_the_width_index() -> None:
    wide = landi_width_index(Estimate(value=0.24, std=0.01))
    assert_close(wide["value"], 1.0, atol=1e-12, because="K = 0.24")
    sharp = landi_width_index(Estimate(value=0.168, std=0.01))
    assert not sharp["in_domain"]
    assert_close(sharp["value"], 2.91, atol=0.01, because="the published width of a synthetic powder, (0.24/0.168)³")
    assert landi_width_index(None)["value"] is None


def test_carbonate_from_the_cell_is_no_better_than_tissue_allows() -> None:
    synthetic = carbonate_from_cell(Estimate(value=9.392, std=0.001))
    assert_close(synthetic.value, 0.05, atol=1e-9, because="0.03 Å at −0.6 Å per unit")
    for a, truth in ((9.441, 0.035), (9.421, 0.056), (9.41, 0.074)):
        tissue = carbonate_from_cell(Estimate(value=a, std=0.003))
        assert tissue.ci95[0] <= truth <= tissue.ci95[1]


@pytest.mark.parametrize(
    ("material", "humps"),
    [
        ("glass", ((26.1, 12.0, 0.3),)),
        ("PMMA", ((13.8, 5.0, 0.3), (30.9, 6.0, 0.15), (42.3, 6.0, 0.08))),
        ("Kapton", ((20.5, 10.0, 0.3),)),
        ("", ()),
    ],
)
def test_holders_are_named_from_their_blank(material: str, humps) -> None:
    conditions = XrdConditions(humps=tuple(Hump(two_theta=p, fwhm=w, height=h) for p, w, h in humps))
    model = SpecimenModel(specimen_id="t", **{**EMPTY, "apatite": 1.0})
    blank = simulate_pattern(model, conditions, seed=2)[1]
    found = empty_holder_messages(blank)
    assert [d.facts["holder"] for d in found] == ([material] if material else [])
    assert all(d.code == "HOLDER_HUMP" for d in found)


@pytest.mark.parametrize(
    ("humps", "named"),
    [
        (((13.8, 5.0, 0.4), (30.9, 6.0, 0.16), (42.3, 6.0, 0.08)), ["PMMA"]),
        (((26.1, 12.0, 0.2),), []),  # passes for a halo; only its own scan shows it
        ((), []),
    ],
)
def test_a_holder_below_a_specimen_is_named_where_no_halo_explains_it(humps, named: list[str]) -> None:
    parts = {**EMPTY, "apatite": 0.6, "protein": 0.4}
    conditions = XrdConditions(
        peak_counts=10000, two_theta_min=6, humps=tuple(Hump(two_theta=p, fwhm=w, height=h) for p, w, h in humps)
    )
    for seed in (1, 2):
        scan = simulate_pattern(SpecimenModel(specimen_id="h", **parts), conditions, seed=seed)[0]
        used = build_instrument(scan, InstrumentRecipe())
        fit = fit_pattern(scan, (load_phase("hydroxyapatite"),), used)
        found = [d for d in fit.messages if d.code == "HOLDER_HUMP"]
        assert [d.facts["holder"] for d in found] == named


def test_a_hump_is_recognised_with_another_radiation() -> None:
    x = np.arange(5.0, 60.0, 0.05)
    centre = 2 * np.degrees(np.arcsin(np.sin(np.radians(13.05)) * 1.79026 / 1.541838))
    y = 200.0 + 300.0 * np.exp(-4 * np.log(2) * ((x - centre) / 14.0) ** 2)
    from xrdcomp.data import Pattern

    cobalt = Pattern(two_theta=x, intensity=y, sigma=np.sqrt(y))
    assert [d.facts["holder"] for d in empty_holder_messages(cobalt, wavelength=1.79026)] == ["glass"]
