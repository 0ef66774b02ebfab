"""Conversions are each other's inverse; measurements are checked once and cannot be changed afterwards."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import assert_close
from xrdcomp import units
from xrdcomp.data import Cell, EmissionLine, Instrument, Pattern, TgaRun
from xrdcomp.errors import PatternError, ReadError
from xrdcomp.results import Estimate

ANGLES = np.linspace(1.0, 179.0, 50)


@given(wavelength=st.floats(0.2, 3.0))
def test_angle_spacing_and_q_are_one_thing(wavelength: float) -> None:
    spacing = units.two_theta_to_d(ANGLES, wavelength)
    because = "float arithmetic through sin and arcsin, whose derivative grows towards 180 degrees"
    assert_close(units.d_to_two_theta(spacing, wavelength), ANGLES, rtol=1e-9, because=because)
    q = units.two_theta_to_q(ANGLES, wavelength)
    assert_close(q, 2 * np.pi / spacing, rtol=1e-12, because="q = 2 pi / d")
    assert_close(units.d_to_two_theta(units.d_to_q(q), wavelength), ANGLES, rtol=1e-9, because=because)


def test_bragg_of_silicon_111() -> None:
    spacing = 5.431144 / np.sqrt(3)
    angle = units.d_to_two_theta(spacing, 1.5405929)
    assert_close(angle, 28.441, atol=5e-4, because="certificate of NIST SRM 640f prints three decimals")


def test_no_angle_beyond_the_limiting_sphere() -> None:
    assert np.isnan(units.d_to_two_theta(0.7, 1.5406))


def test_temperature_and_energy() -> None:
    assert units.celsius_to_kelvin(0.0) == 273.15
    assert_close(units.kelvin_to_celsius(units.celsius_to_kelvin(25.0)), 25.0, atol=1e-12, because="float arithmetic")
    energy = units.wavelength_to_energy_kev(1.540598)
    assert_close(energy, 8.0478, atol=1e-4, because="Cu K alpha 1, Bearden 1967, four decimals")


def pattern(**changes: object) -> Pattern:
    fields = {"two_theta": [10.0, 10.1, 10.2], "intensity": [5.0, 6.0, 7.0], "sigma": [1.0, 1.0, 1.0]}
    return Pattern(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "index"),
    [
        ({"two_theta": [10.0, 10.2, 10.1]}, 2),
        ({"two_theta": [10.0, 10.0, 10.1]}, 1),
        ({"intensity": [5.0, np.nan, 7.0]}, 1),
        ({"intensity": [5.0, np.inf, 7.0]}, 1),
        ({"sigma": [1.0, 1.0, 0.0]}, 2),
        ({"sigma": [1.0, -1.0, 1.0]}, 1),
    ],
)
def test_a_pattern_names_the_first_bad_point(changes: dict, index: int) -> None:
    with pytest.raises(PatternError) as caught:
        pattern(**changes)
    assert caught.value.index == index


@pytest.mark.parametrize(
    "changes", [{"intensity": [5.0, 6.0]}, {"two_theta": [10.0], "intensity": [1.0], "sigma": [1.0]}]
)
def test_a_pattern_refuses_wrong_shapes(changes: dict) -> None:
    with pytest.raises(PatternError):
        pattern(**changes)


def test_a_pattern_cannot_be_changed_through_its_source() -> None:
    counts = np.array([5.0, 6.0, 7.0])
    made = pattern(intensity=counts)
    counts[0] = 99.0
    assert made.intensity[0] == 5.0
    with pytest.raises(ValueError, match="read-only"):
        made.intensity[0] = 1.0


def test_measurements_travel_between_processes() -> None:
    made = pattern(metadata={"sample_name": "S"})
    again = pickle.loads(pickle.dumps(made))
    assert np.array_equal(again.intensity, made.intensity)
    assert again.metadata == made.metadata


def test_a_run_has_one_segment_by_default_and_checks_its_lengths() -> None:
    run = TgaRun(temperature_c=[20.0, 30.0], mass=[1.0, 0.9], mass_unit="mg")
    assert run.segment is not None
    assert run.segment.tolist() == [0, 0]
    with pytest.raises(PatternError, match="segment"):
        TgaRun(temperature_c=[20.0, 30.0], mass=[1.0, 0.9], mass_unit="mg", segment=[0])
    with pytest.raises(PatternError, match="two points"):
        TgaRun(temperature_c=[20.0], mass=[1.0], mass_unit="mg")


def test_the_instrument_names_its_strongest_line_and_needs_one() -> None:
    lines = (EmissionLine(wavelength=1.5444, weight=0.5), EmissionLine(wavelength=1.5406))
    assert Instrument(emission_lines=lines).wavelength == 1.5406
    with pytest.raises(PatternError, match="emission line"):
        Instrument(emission_lines=())


def test_cell_parameters_keep_their_order() -> None:
    assert Cell(a=1, b=2, c=3, gamma=120).parameters == (1, 2, 3, 90, 90, 120)


def test_a_read_error_says_file_place_expected_and_what_to_do() -> None:
    error = ReadError(
        "1e36 counts",
        file="a.raw",
        format_id="bruker_raw3",
        place="byte 0x2c",
        expected="counts below 1e9",
        hint="Export it again.",
    )
    text = "a.raw [bruker_raw3], byte 0x2c: 1e36 counts. Expected: counts below 1e9. Export it again."
    assert str(error) == text
    assert (error.file, error.place, error.format_id) == ("a.raw", "byte 0x2c", "bruker_raw3")


def test_normal_interval_is_cut_to_what_is_possible_and_holds_the_value() -> None:
    assert Estimate.normal(2.0, 0.5, unit="deg").ci95 == (2.0 - 1.96 * 0.5, 2.0 + 1.96 * 0.5)
    assert Estimate.normal(0.1, 0.2, low=0.0, high=1.0).ci95 == (0.0, 0.1 + 1.96 * 0.2)
    assert Estimate.normal(-0.1, 0.01, low=0.0, high=1.0).ci95 == (-0.1, -0.1 + 1.96 * 0.01)
    assert Estimate.normal(0.5, 0.1, coverage_factor=2.5).ci95 == (0.25, 0.75)
