"""Displacement parameters of single elements."""

from __future__ import annotations

import numpy as np

from tests.fit_cases import INSTRUMENT, VALUES
from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.phases.library import load_phase
from xrdcomp.physics import reflections as structure_factors
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.reflections import PhaseReflections, refinable_elements
from xrdcomp.results import ParameterId
from xrdcomp.stages import fit_pattern

PHASE = load_phase("hydroxyapatite")
NAMES = {e: ParameterId(kind="b", phase=PHASE.id, axis=e.lower()).name for e in refinable_elements(PHASE)}
X = np.arange(15.0, 110.0, 0.04)
CHANGES = {"hydroxyapatite_b_ca": 0.35, "hydroxyapatite_b_o": -0.15, "hydroxyapatite_b_p": 0.2}


def test_hydrogen_has_no_parameter() -> None:
    assert NAMES == {"Ca": "hydroxyapatite_b_ca", "O": "hydroxyapatite_b_o", "P": "hydroxyapatite_b_p"}


def test_structure_factors_follow_as_if_the_structure_had_those_b() -> None:
    lines = PhaseReflections.freeze(PHASE, INSTRUMENT, X, dict.fromkeys(NAMES.values(), 0.0))
    d = 1.0 / np.sqrt(lines.inverse_d_squared)

    def squares(b: np.ndarray) -> np.ndarray:
        atoms = (PHASE.site_xyz, PHASE.site_element, PHASE.site_occupancy, b, INSTRUMENT.wavelength)
        return structure_factors.structure_factor_sq(lines.hkl, d, *atoms)

    b = np.asarray(PHASE.site_b_iso, dtype=float)
    change = np.array([CHANGES.get(NAMES.get(e, ""), 0.0) for e in PHASE.site_element])
    expected = squares(b + change) / squares(b)
    factor, _ = lines.elements.factor(CHANGES)
    strong = squares(b) > 1e-4 * squares(b).max()
    assert_close(factor[strong], expected[strong], rtol=1e-9, because="the same sum in another order")


def test_derivatives() -> None:
    values = {**VALUES, **CHANGES}
    values.pop("hydroxyapatite_b_extra")
    lines = PhaseReflections.freeze(PHASE, INSTRUMENT, X, values)
    _, slopes = lines.pattern(values, frozenset(CHANGES))
    for name in CHANGES:
        up, down = ({**values, name: values[name] + step} for step in (1e-4, -1e-4))
        change = lines.pattern(up)[0]
        change = (change - lines.pattern(down)[0]) / 2e-4
        atol = 1e-5 * float(np.abs(change).max())
        assert_close(slopes[name], change, atol=atol, because="step of 1e-4 in a smooth function")


def test_fits_find_them() -> None:
    values = {**VALUES, **CHANGES, "hydroxyapatite_inverse_size_a": 0.02, "hydroxyapatite_inverse_size_c": 0.02}
    values.pop("hydroxyapatite_b_extra")
    lines = PhaseReflections.freeze(PHASE, INSTRUMENT, X, values)
    mean, _ = lines.pattern(values)
    pulls = []
    for seed in range(10):
        y = np.random.default_rng(seed).poisson(20000.0 * (mean / mean.max() + 0.02)).astype(float)
        pattern = Pattern(two_theta=X, intensity=y, sigma=np.sqrt(np.maximum(y, 1.0)), intensity_unit="counts")
        fit = fit_pattern(pattern, (PHASE,), INSTRUMENT, FitRecipe(b_elements=True, amorphous=(), texture="none"))
        assert "hydroxyapatite_b_extra" not in fit.parameters
        found = [fit.parameters[name] for name in CHANGES]
        assert max(item.std for item in found) < 0.05
        pulls.append([(item.value - truth) / item.std for item, truth in zip(found, CHANGES.values(), strict=True)])
    scatter = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert np.all((scatter > 0.38) & (scatter < 1.72)), "χ² of ten fits is between its 0.01 and 99.9 % points"
