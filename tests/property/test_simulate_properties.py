"""Invariances of the simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import assert_close
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate.cohort import simulate_tga
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, XrdConditions, truth_of
from xrdcomp.simulate.tga import specimen_pools
from xrdcomp.simulate.xrd import expected_pattern
from xrdcomp.units import FloatArray

PHASES = {"hydroxyapatite": load_phase("hydroxyapatite"), "calcite": load_phase("calcite")}
CONDITIONS = XrdConditions(
    two_theta_min=15.0, two_theta_max=55.0, step=0.1, absolute_scale=1.0, background_constant=0.0, air_scatter=0.0
)
NAMES = ("apatite", "protein", "lipid", "water", "amorphous_mineral", "calcite")
PARTS = st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6).filter(lambda v: sum(v) > 0.2)


def model_of(parts: list[float]) -> SpecimenModel:
    share = dict(zip(NAMES, (v / sum(parts) for v in parts), strict=True))
    return SpecimenModel(other={"calcite": share.pop("calcite")}, **share)


def cross_section(model: SpecimenModel) -> FloatArray:
    pattern = expected_pattern(model, CONDITIONS, PHASES, np.random.default_rng(0))
    return pattern.specimen * 2.0 * pattern.mass_attenuation


PURE = [cross_section(model_of([float(i == j) for j in range(6)])) for i in range(6)]


@settings(max_examples=15, deadline=None)
@given(PARTS)
def test_scattering_is_the_mass_weighted_sum_of_the_parts(parts: list[float]) -> None:
    mixed = cross_section(model_of(parts))
    weighted = sum(v / sum(parts) * pure for v, pure in zip(parts, PURE, strict=True))
    assert_close(mixed, weighted, rtol=1e-9, because="everything is linear before the counts")
    assert (mixed > 0.0).all()


@settings(max_examples=25, deadline=None)
@given(PARTS, st.floats(2.0, 40.0), st.booleans())
def test_mass_only_falls_and_ends_above_what_can_leave(parts: list[float], rate: float, inert: bool) -> None:
    model = model_of(parts)
    conditions = TgaConditions(
        heating_rate_k_min=rate,
        noise_ug=0.0,
        pan_volume_cm3=0.0,
        sample_density_g_cm3=1e9,
        points=300,
        atmosphere="nitrogen" if inert else "air",
    )
    fraction = simulate_tga(model, conditions, seed=0).mass / conditions.sample_mass_mg
    most = sum(pool.mass_fraction for pool in specimen_pools(model, inert=inert))
    assert (np.diff(fraction) <= 1e-12).all()
    assert 1.0 - most - 1e-9 <= fraction[-1] <= fraction[0] <= 1.0
    assert_close(sum(truth_of(model, {}).get("components", {}).values()), 1.0, atol=1e-9, because="closure")


@settings(max_examples=10, deadline=None)
@given(st.floats(0.5, 50.0))
def test_counts_scale_with_the_peak(factor: float) -> None:
    model = model_of([1.0] * 6)
    base = replace(CONDITIONS, absolute_scale=None, peak_counts=1000.0)
    first = expected_pattern(model, base, PHASES, np.random.default_rng(0))
    second = expected_pattern(model, replace(base, peak_counts=1000.0 * factor), PHASES, np.random.default_rng(0))
    assert_close(second.specimen, factor * first.specimen, rtol=1e-9, because="one factor for all counts")
