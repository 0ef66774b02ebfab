"""Spectrum and aberrations of a tube diffractometer, and when they are put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.instrument.build import (
    AXIAL_CORRELATION,
    EQUATORIAL_DIVERGENCE,
    build_instrument,
    has_sharp_reflections,
    with_tube_optics,
)
from xrdcomp.physics import elements as radiation
from xrdcomp.physics import profiles as profile
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.refinement.reflections import refined_ratios


def peaks(fwhm: float, height: float = 1e4, metadata: dict[str, float] | None = None) -> Pattern:
    x = np.arange(20.0, 80.0, 0.02)
    y = 50.0 + sum(height / (1.0 + 4.0 * ((x - c) / fwhm) ** 2) for c in (28.0, 47.0, 56.0))
    counts = np.random.default_rng(1).poisson(y).astype(float)
    return Pattern(
        two_theta=x, intensity=counts, sigma=np.sqrt(counts + 1.0), intensity_unit="counts", metadata=metadata or {}
    )


def test_sharp_lines_are_seen_beside_broad_ones() -> None:
    sharp, broad = peaks(0.1, 4e3), peaks(0.6)
    assert has_sharp_reflections(sharp)
    assert not has_sharp_reflections(broad)
    both = replace(broad, intensity=broad.intensity + np.roll(sharp.intensity, 300))
    assert has_sharp_reflections(both)
    assert not has_sharp_reflections(peaks(0.1, 30.0)), "a peak of 30 counts above 50 shows no shape"


def test_sharp_copper_lines_get_the_spectrum_and_broad_ones_the_doublet() -> None:
    fine = build_instrument(peaks(0.1), InstrumentRecipe())
    assert len(fine.emission_lines) == 4
    total = sum(line.weight for line in fine.emission_lines)
    assert_close(total, 1.5, rtol=1e-12, because="amounts of sharp and broad patterns are on one scale")
    assert fine.axial_correlation == AXIAL_CORRELATION[0]
    assert fine.equatorial_divergence == EQUATORIAL_DIVERGENCE[0]
    assert refined_ratios(fine)["kalpha2_ratio"][0] == tuple(
        line.wavelength for line in fine.emission_lines if line.wavelength > 1.544
    )
    assert len(build_instrument(peaks(0.6), InstrumentRecipe()).emission_lines) == 2
    given = build_instrument(peaks(0.1), InstrumentRecipe(wavelengths=(1.5405, 1.5443)))
    assert [line.wavelength for line in given.emission_lines] == [1.5405, 1.5443]
    assert given.equatorial_divergence == 0.0


def test_the_top_of_the_spectrum_is_the_tabulated_wavelength() -> None:
    fine = build_instrument(peaks(0.1), InstrumentRecipe())
    rows = np.array([[line.wavelength, line.fwhm, line.weight] for line in fine.emission_lines])
    top = radiation.profile_top(rows)
    assert_close(top, 1.5405929, rtol=1e-8, because="wavelength of the table; grid of 1e-7 of the width")


def test_facts_of_the_file_come_before_typical_ones_and_the_user_before_both() -> None:
    facts = {"source_length_mm": 12.0, "specimen_length_mm": 15.0, "soller_deg": 5.0, "equatorial_divergence_deg": 1.0}
    scan = peaks(0.1, metadata=facts)
    found = with_tube_optics(build_instrument(None, InstrumentRecipe()), None, scan)
    expected = profile.axial_correlation((12.0, 15.0, 15.0), 5.0, found.radius_mm)
    assert_close(found.axial_correlation, expected, rtol=1e-12, because="same function")
    assert found.equatorial_divergence == 1.0
    own = InstrumentRecipe(axial_correlation=0.1, equatorial_divergence=0.0)
    chosen = build_instrument(scan, own)
    assert chosen.axial_correlation == 0.1
    assert chosen.equatorial_divergence == 0.0


def test_only_flat_specimens_have_a_flat_specimens_error() -> None:
    for change in ({"geometry": "debye_scherrer"}, {"variable_slit": True}):
        assert build_instrument(peaks(0.1), InstrumentRecipe(**change)).equatorial_divergence == 0.0
