"""Figures of calibrations and kinetics, and the command that draws the latter."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.builders import make_fit
from xrdcomp.cli.main import main
from xrdcomp.present import studies
from xrdcomp.present.style import figure_of, to_bytes
from xrdcomp.thermal.kinetics import IsoconversionalResult, Prediction, kissinger


@pytest.mark.parametrize("width", [85.0, 180.0])
def test_figures_of_kinetics_show_line_energies_and_prediction(width: float) -> None:
    levels = np.linspace(0.1, 0.9, 9)
    line = kissinger([600.0, 620.0, 641.0], [5.0, 10.0, 20.0])
    axes = studies.plot_kissinger(line, width_mm=width)
    np.testing.assert_allclose(axes.lines[0].get_xdata(), 1e3 / (np.array([600.0, 620.0, 641.0]) + 273.15))
    energy = np.full(9, 180.0)
    limits = np.column_stack([energy - 5.0, energy + 5.0])
    found = IsoconversionalResult(method="vyazovkin", conversion=levels, energy=energy, std=energy / 80, ci95=limits)
    assert studies.plot_energies(found, width_mm=width).lines[0].get_ydata().tolist() == energy.tolist()
    minutes = np.cumsum(levels)
    predicted = Prediction(
        conversion=levels, minutes=minutes, temperature_c=levels,
        minutes_interval=np.column_stack([0.9 * minutes, 1.1 * minutes]),
    )  # fmt: skip
    axes = studies.plot_prediction(predicted, width_mm=width)
    assert to_bytes(figure_of(axes), "pdf").startswith(b"%PDF")
    sizes = [text.get_fontsize() for text in figure_of(axes).findobj(lambda item: hasattr(item, "get_fontsize"))]
    assert min(sizes) >= 6.0


def test_figure_of_a_calibration_has_the_widths_and_their_curve() -> None:
    fit = make_fit()
    grid = np.linspace(10.0, 70.0, 50)
    calibration = SimpleNamespace(fit=fit, standard="srm660c")
    upper = studies.plot_calibration(calibration, grid, 0.05 + 0.001 * grid)
    lower = figure_of(upper).axes[1]
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), 0.05 + 0.001 * grid)


def test_the_command_gives_the_energy_of_a_made_up_step(tmp_path: Path) -> None:
    """First-order loss of 40 % with E = 150 kJ/mol, ln A = 20 (A in 1/min), integrated in fine steps."""
    energy, ln_a, gas = 150.0, 20.0, 8.314462618e-3
    files = []
    for rate in (5.0, 10.0, 20.0):
        temperature = np.arange(200.0, 800.0, 0.25)
        speed = np.exp(ln_a - energy / (gas * (temperature + 273.15))) / rate
        dose = np.concatenate([[0.0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * 0.25)])
        mass = 10.0 * (1.0 - 0.4 * (1.0 - np.exp(-dose)))
        rows = zip((temperature - 200.0) / rate, temperature, mass, strict=True)
        text = "Time (min),Temperature (C),Mass (mg)\n" + "".join(f"{t:.5f},{c:.3f},{m:.6f}\n" for t, c, m in rows)
        files.append(str(tmp_path / f"r{rate:.0f}.csv"))
        Path(files[-1]).write_text(text, encoding="utf-8")
    words = ["kinetics", *files, "--range", "350,780", "--atmosphere", "nitrogen", "--predict", "500", "--out",
             str(tmp_path / "k"), "--figure-format", "svg", "--format", "json"]  # fmt: skip
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["kissinger"]["value"] == pytest.approx(energy, rel=0.03), "peaks of smoothed curves"
    assert found["vyazovkin"]["value"] == pytest.approx(energy, rel=0.03)
    assert {path.name for path in (tmp_path / "k").iterdir()} == {"kissinger.svg", "energies.svg", "prediction.svg"}
