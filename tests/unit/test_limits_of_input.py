"""What cannot be calculated is refused in words before the work, and short wavelengths are calculated."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import xrdcomp as xc
from benchmarks.hostile import STRUCTURES, cif
from xrdcomp.data import EmissionLine, Instrument
from xrdcomp.errors import AnalysisError, PatternError, PhaseError, RecipeError
from xrdcomp.phases.library import load_phase
from xrdcomp.physics import elements
from xrdcomp.physics.reflections import expected_reflections, generate_reflections
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.reflections import MAX_REFLECTIONS, reflections_of
from xrdcomp.simulate.cohort import load_cohort

SCAN = xc.read_xrd(next(entry.xrd for entry in load_cohort() if entry.specimen_id == "sim01_solid"))
WORK = ("edges of 400", "edges of 60, no symmetry")


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name not in (*WORK, "no atoms")])
def test_a_structure_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "p.cif"
    path.write_bytes(STRUCTURES[name])
    with pytest.raises(PhaseError):
        load_phase(path)


@pytest.mark.parametrize("name", WORK)
def test_work_is_estimated_before_it_is_done(name: str, tmp_path: Path) -> None:
    path = tmp_path / "p.cif"
    path.write_bytes(STRUCTURES[name])
    with pytest.raises(AnalysisError, match="reflections of"):
        xc.fit_pattern(SCAN, path)


@pytest.mark.parametrize("phase", ["hydroxyapatite", "octacalcium_phosphate", "whitlockite", "quartz", "halite"])
def test_the_estimate_is_of_the_right_size(phase: str) -> None:
    """Absences halve the number where the lattice is centred; planes of symmetry add a little."""
    found = load_phase(phase)
    number = expected_reflections(found.cell.parameters, found.rotations, 0.8)
    listed = generate_reflections(found.cell.parameters, found.rotations, found.translations, found.centring, d_min=0.8)
    assert 0.2 < len(listed) / number < 2.0
    assert number < MAX_REFLECTIONS
    with pytest.raises(AnalysisError, match=r"that can be calculated"):
        reflections_of(found, np.array(found.cell.parameters), 0.05, 10.0)


def test_a_cell_that_can_be_used_still_is(tmp_path: Path) -> None:
    path = tmp_path / "p.cif"
    path.write_bytes(cif())
    assert len(load_phase(path).atoms) == 3


@pytest.mark.parametrize("wavelength", [0.05, 0.0953, 3.2])
def test_a_wavelength_beyond_the_tables_is_told(wavelength: float) -> None:
    pattern = replace(SCAN, emission_lines=(EmissionLine(wavelength=wavelength),))
    with pytest.raises(AnalysisError, match=r"0\.0954 to 3\.100"):
        xc.build_instrument(pattern)
    with pytest.raises(AnalysisError, match=r"0\.0954 to 3\.100"):
        xc.analyze(SCAN, instrument=Instrument(emission_lines=(EmissionLine(wavelength=wavelength),)))


@pytest.mark.parametrize(
    "facts",
    [{"radius_mm": math.nan}, {"radius_mm": 0.0}, {"caglioti_w": math.inf}, {"emission_lines": ()},
     {"emission_lines": (EmissionLine(wavelength=-1.0),)},
     {"emission_lines": (EmissionLine(wavelength=1.5, weight=0.0),)},
     {"emission_lines": (EmissionLine(wavelength=math.inf),)}],
)  # fmt: skip
def test_an_instrument_has_finite_numbers(facts: dict[str, object]) -> None:
    with pytest.raises(PatternError):
        Instrument(**{"emission_lines": (EmissionLine(wavelength=1.5406),), **facts})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_settings_are_finite(value: float) -> None:
    for key in ("fit.grain_size_um", "thermal.water_end_c", "quantification.amorphous_std"):
        with pytest.raises(RecipeError, match=key):
            Recipe.of(None, **{key: value})
    with pytest.raises(RecipeError, match="rest_attenuation"):
        Recipe.of(None, **{"quantification.rest_attenuation": [value, 1.0]})


def test_a_tenth_of_an_angstrom_gives_the_cell_that_copper_gives() -> None:
    """The pattern of copper, drawn over the angles of 0.1 Å: same spacings, and widths of a fifteenth."""
    copper = xc.fit_pattern(SCAN, "hydroxyapatite").parameters["hydroxyapatite_a"]
    sine = np.sin(np.radians(SCAN.two_theta / 2.0)) / 1.5405929
    angles = np.degrees(2.0 * np.arcsin(0.1 * sine))
    even = np.linspace(angles[0], angles[-1], len(angles))
    counts = np.round(np.interp(even, angles, SCAN.intensity))
    short = xc.Pattern.from_xy(even, counts, wavelength=0.1, intensity_unit="counts")
    fit = xc.fit_pattern(short, "hydroxyapatite", recipe=Recipe.of({"instrument.geometry": "debye_scherrer"}))
    assert fit.gof < 1.2
    found = fit.parameters["hydroxyapatite_a"]
    # the doublet of copper lies in one line here, hence 0.01 Å beyond both uncertainties
    assert abs(found.value - copper.value) < 0.01 + 3.0 * math.hypot(found.std, copper.std)


def test_the_tables_end_where_they_say() -> None:
    low, high = elements.WAVELENGTHS
    for wavelength in (low * 1.0001, high * 0.9999):
        assert np.isfinite(elements.anomalous("U", wavelength)).all()
        assert elements.mass_attenuation("U", wavelength) > 0.0
