"""Texture factors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.phases.library import load_phase
from xrdcomp.physics import corrections as texture
from xrdcomp.physics.corrections import harmonic_columns, march_dollase


def test_march_dollase_conserves_total_intensity() -> None:
    cos_alpha = np.linspace(0.0, 1.0, 20001)
    for ratio in (0.5, 0.8, 1.0, 1.5):
        factor, _ = march_dollase(ratio, cos_alpha**2)
        assert_close(np.trapezoid(factor, cos_alpha), 1.0, atol=1e-6, because="∫ over the sphere, trapezoid rule")


def test_march_dollase_derivative() -> None:
    cos_sq = np.linspace(0, 1, 7)
    _, slope = march_dollase(0.8, cos_sq)
    numeric = (march_dollase(0.8 + 1e-6, cos_sq)[0] - march_dollase(0.8 - 1e-6, cos_sq)[0]) / 2e-6
    assert_close(slope, numeric, rtol=1e-7, because="central difference")


def test_independent_harmonics_of_the_laue_classes() -> None:
    """6/m: one each of degree 2 and 4, three of degree 6; m-3m: none, one, one."""
    grid = np.array([(h, k, m) for h in range(-3, 4) for k in range(-3, 4) for m in range(4) if (h, k, m) > (0, 0, 0)])
    apatite, fluorite = load_phase("hydroxyapatite"), load_phase("fluorite")
    for order, hexagonal, cubic in [(2, 1, 0), (4, 2, 1), (6, 5, 2)]:
        assert harmonic_columns(grid, apatite.rotations, apatite.cell.parameters, order).shape[1] == hexagonal
        assert harmonic_columns(grid, fluorite.rotations, fluorite.cell.parameters, order).shape[1] == cubic


def test_equivalent_reflections_have_equal_harmonics() -> None:
    apatite = load_phase("hydroxyapatite")
    hkl = np.array([[2, 1, 1], [-3, 1, 1], [-2, -1, -1], [1, -3, 1]])  # images of 211 under 6/m
    columns = harmonic_columns(hkl, apatite.rotations, apatite.cell.parameters, 4)
    assert_close(columns, np.broadcast_to(columns[0], columns.shape), atol=1e-9, because="one Laue orbit")


def test_a_coefficient_means_the_same_whatever_reflections_are_there() -> None:
    apatite = load_phase("hydroxyapatite")
    many = np.array([(h, k, m) for h in range(5) for k in range(3) for m in range(5) if h + k + m])
    columns = harmonic_columns(many, apatite.rotations, apatite.cell.parameters, 6)
    few = harmonic_columns(many[7:10], apatite.rotations, apatite.cell.parameters, 6)
    assert_close(few, columns[7:10], rtol=1e-12, because="each reflection is evaluated by itself")


@pytest.mark.parametrize("degree", [0, 2, 4, 6])
def test_recurrence_gives_the_harmonics_of_scipy(degree: int) -> None:
    directions = np.random.default_rng(3).normal(size=(50, 4, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    directions[0, 0] = (0.0, 0.0, 1.0)
    found, expected = (make(directions, degree) for make in (texture._real_harmonics, texture._tabulated_harmonics))
    assert_close(found, expected, atol=1e-13, because="rounding of values up to 3")


def test_signs_of_harmonics_do_not_depend_on_the_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Singular vectors are known but for their signs, and libraries of linear algebra differ there."""
    phase = load_phase("hydroxyapatite")
    hkl = np.array([[0, 0, 2], [2, 1, 1], [3, 0, 0], [1, 1, 2]])
    rotations, cell = phase.rotations, phase.cell.parameters
    own = harmonic_columns(hkl, rotations, cell, 6)
    decompose = np.linalg.svd

    def turned(matrix: np.ndarray, **options: object) -> tuple[np.ndarray, ...]:
        left, singular, right = decompose(matrix, **options)
        return -left, singular, -right

    monkeypatch.setattr(np.linalg, "svd", turned)
    texture._independent.cache_clear()
    other = harmonic_columns(hkl, rotations, cell, 6)
    texture._independent.cache_clear()
    assert_close(other, own, rtol=1e-12, because="the same products in the same order")
