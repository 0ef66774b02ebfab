"""Spacings, their derivatives and reflection lists, against gemmi and by brute force."""

from __future__ import annotations

import itertools

import gemmi
import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.physics import reflections as lattice

CELLS = {
    "triclinic": (7.1, 8.3, 6.7, 102.0, 73.0, 95.0),
    "monoclinic": (12.887, 27.28, 15.219, 90.0, 126.2, 90.0),
    "orthorhombic": (4.962, 7.971, 5.739, 90.0, 90.0, 90.0),
    "tetragonal": (3.784, 3.784, 9.515, 90.0, 90.0, 90.0),
    "trigonal": (4.991, 4.991, 17.062, 90.0, 90.0, 120.0),
    "hexagonal": (9.4166, 9.4166, 6.8745, 90.0, 90.0, 120.0),
    "cubic": (5.43118, 5.43118, 5.43118, 90.0, 90.0, 90.0),
}
GROUPS = {
    "P -1": "triclinic",
    "P 1": "triclinic",
    "I 1 a 1": "monoclinic",
    "C 1 2/c 1": "monoclinic",
    "P 1 21/n 1": "monoclinic",
    "P m c n": "orthorhombic",
    "P b c a": "orthorhombic",
    "I 41/a m d:1": "tetragonal",
    "I 4/m": "tetragonal",
    "P 32 2 1": "trigonal",
    "R 3 c:H": "trigonal",
    "R -3 c:H": "trigonal",
    "P 63/m": "hexagonal",
    "P 61 2 2": "hexagonal",
    "P 63 m c": "hexagonal",
    "F d -3 m:2": "cubic",
    "P m -3 m": "cubic",
    "I a -3 d": "cubic",
}


def group_arrays(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ops = gemmi.find_spacegroup_by_name(name).operations()
    return (
        np.array([op.rot for op in ops.sym_ops]) // 24,
        np.array([op.tran for op in ops.sym_ops]) / 24.0,
        np.array(list(ops.cen_ops)) / 24.0,
    )


def random_hkl(seed: int, n: int = 40) -> np.ndarray:
    hkl = np.random.default_rng(seed).integers(-9, 10, (n, 3))
    return hkl[np.abs(hkl).sum(axis=1) > 0]


@pytest.mark.parametrize("system", CELLS)
def test_spacing_and_volume_agree_with_gemmi(system: str) -> None:
    cell = CELLS[system]
    unit_cell = gemmi.UnitCell(*cell)
    hkl = random_hkl(1)
    expected = [unit_cell.calculate_1_d2([int(i) for i in h]) for h in hkl]
    assert_close(lattice.inverse_d_squared(hkl, cell), expected, rtol=1e-10, because="float arithmetic")
    assert_close(lattice.cell_volume(cell), unit_cell.volume, rtol=1e-12, because="float arithmetic")


@pytest.mark.parametrize("system", CELLS)
def test_derivatives_agree_with_central_differences(system: str) -> None:
    cell = np.array(CELLS[system])
    hkl = random_hkl(2)
    analytic = lattice.inverse_d_squared_derivatives(hkl, cell)
    for column in range(6):
        step = np.zeros(6)
        step[column] = 1e-4
        difference = (lattice.inverse_d_squared(hkl, cell + step) - lattice.inverse_d_squared(hkl, cell - step)) / 2e-4
        assert_close(
            analytic[:, column],
            difference,
            atol=1e-7 * max(1.0, np.abs(difference).max()),
            because="second-order error of the step 1e-4 and rounding 1e-16/1e-4",
        )


@pytest.mark.parametrize("system", lattice.CRYSTAL_SYSTEMS)
def test_freedom_keeps_the_symmetry_and_chains_derivatives(system: str) -> None:
    cell = np.array(CELLS[system])
    names, matrix = lattice.cell_freedom(system)
    assert matrix.shape == (6, len(names))
    assert np.linalg.matrix_rank(matrix) == len(names)
    moved = cell + matrix @ np.full(len(names), 0.01)
    a, b, c, *angles = moved
    if system in ("tetragonal", "trigonal", "hexagonal", "cubic"):
        assert a == b
    if system == "cubic":
        assert a == c
    if system not in ("triclinic", "monoclinic"):
        assert angles == list(cell[3:])
    hkl = random_hkl(3)
    chained = lattice.inverse_d_squared_derivatives(hkl, cell) @ matrix
    for column in range(len(names)):
        step = 1e-4 * matrix[:, column]
        difference = (lattice.inverse_d_squared(hkl, cell + step) - lattice.inverse_d_squared(hkl, cell - step)) / 2e-4
        assert_close(
            chained[:, column],
            difference,
            atol=1e-7 * max(1.0, np.abs(difference).max()),
            because="second-order error of the step",
        )


def brute_force(name: str, cell: tuple[float, ...], d_min: float) -> dict[float, int]:
    """Number of reflections present (Friedel mates apart) per spacing, looked at one by one."""
    group = gemmi.find_spacegroup_by_name(name).operations()
    unit_cell = gemmi.UnitCell(*cell)
    limits = [int(x / d_min) + 1 for x in cell[:3]]
    found: dict[float, int] = {}
    for hkl in itertools.product(*(range(-n, n + 1) for n in limits)):
        if hkl == (0, 0, 0) or group.is_systematically_absent(list(hkl)):
            continue
        d = unit_cell.calculate_d(list(hkl))
        if d >= d_min:
            key = round(d, 6)
            found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_reflection_list_is_complete(name: str) -> None:
    cell = CELLS[GROUPS[name]]
    d_min = 0.11 * lattice.cell_volume(cell) ** (1 / 3) + 0.4
    r = lattice.generate_reflections(cell, *group_arrays(name), d_min)
    summed: dict[float, int] = {}
    for d, m in zip(r.d_spacing, r.multiplicity, strict=True):
        summed[round(float(d), 6)] = summed.get(round(float(d), 6), 0) + int(m)
    assert summed == brute_force(name, cell, d_min)


@pytest.mark.parametrize("name", GROUPS)
def test_each_set_of_equivalents_appears_once(name: str) -> None:
    cell = CELLS[GROUPS[name]]
    rotations, translations, centring = group_arrays(name)
    r = lattice.generate_reflections(cell, rotations, translations, centring, 1.2)
    seen: set[tuple[int, ...]] = set()
    for hkl, m in zip(r.hkl, r.multiplicity, strict=True):
        orbit = {tuple(int(i) for i in sign * (hkl @ rot)) for rot in rotations for sign in (1, -1)}
        assert len(orbit) == m
        assert not orbit & seen
        seen |= orbit


def test_hydroxyapatite_lines_carry_their_usual_indices() -> None:
    r = lattice.generate_reflections(CELLS["hexagonal"], *group_arrays("P 63/m"), 2.6)
    table = {
        tuple(h): (round(float(d), 3), int(m))
        for h, d, m in zip(r.hkl.tolist(), r.d_spacing, r.multiplicity, strict=True)
    }
    assert table[(0, 0, 2)] == (3.437, 2)
    assert table[(3, 0, 0)] == (2.718, 6)
    assert table[(1, 1, 2)] == (2.776, 12)
    # in Laue class 6/m, 211 and 121 are two sets with one spacing
    assert table[(2, 1, 1)] == table[(1, 2, 1)] == (2.813, 12)
    assert (0, 0, 1) not in table


def test_order_limits_and_empty_lists() -> None:
    arrays = group_arrays("P 63/m")
    r = lattice.generate_reflections(CELLS["hexagonal"], *arrays, 1.0)
    assert (np.diff(r.d_spacing) <= 1e-9).all()
    part = lattice.generate_reflections(CELLS["hexagonal"], *arrays, 1.0, 3.0)
    inside = (r.d_spacing <= 3.0) & (r.d_spacing >= 1.0)
    np.testing.assert_array_equal(part.hkl, r.hkl[inside])
    edge = lattice.generate_reflections(CELLS["cubic"], *group_arrays("P m -3 m"), 5.43118)
    assert edge.hkl.tolist() == [[1, 0, 0]], "a spacing equal to d_min belongs to the list"
    assert len(lattice.generate_reflections(CELLS["cubic"], *group_arrays("P m -3 m"), 6.0)) == 0


def test_cell_scaling_scales_spacings() -> None:
    arrays = group_arrays("P -1")
    cell = np.array(CELLS["triclinic"])
    one = lattice.generate_reflections(cell, *arrays, 1.5)
    two = lattice.generate_reflections(cell * [2, 2, 2, 1, 1, 1], *arrays, 3.0)
    np.testing.assert_array_equal(one.hkl, two.hkl)
    assert_close(two.d_spacing, 2 * one.d_spacing, rtol=1e-12, because="float arithmetic")


@pytest.mark.parametrize(
    "cell",
    [
        (5, 5, 5, 90, 90),
        (5, 5, -5, 90, 90, 90),
        (5, 5, np.nan, 90, 90, 90),
        (5, 5, 5, 60, 60, 150),
        (5, 5, 5, 90, 90, 181),
    ],
)
def test_what_is_not_a_cell_is_refused(cell: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="cell"):
        lattice.cell_volume(cell)


def test_bad_limits_and_groups_are_refused() -> None:
    arrays = group_arrays("P -1")
    cell = CELLS["triclinic"]
    for d_min, d_max in ((0.0, 5.0), (-1.0, 5.0), (3.0, 2.0), (np.nan, 5.0)):
        with pytest.raises(ValueError, match="d_min"):
            lattice.generate_reflections(cell, *arrays, d_min, d_max)
    with pytest.raises(ValueError, match="raise d_min"):
        lattice.generate_reflections(cell, *arrays, 0.02)
    with pytest.raises(ValueError, match="rotations"):
        lattice.generate_reflections(cell, arrays[0], arrays[1][:1], arrays[2], 2.0)
    with pytest.raises(ValueError, match="crystal system"):
        lattice.cell_freedom("rhombic")
