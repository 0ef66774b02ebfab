"""Every real thermogravimetric file gives the steps a person draws into its figure.

Peaks and losses below were read off the curves with a ruler: the places where the DTG stands out, and the drop of
the mass between its feet.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.errors import ReadError
from xrdcomp.io.front import read_tga
from xrdcomp.results import TgaResult, TgaStep
from xrdcomp.stages import analyze_tga
from xrdcomp.thermal.standards import tga_check

pytestmark = pytest.mark.fixtures

needs_pyngb = pytest.mark.skipif(importlib.util.find_spec("pyngb") is None, reason="pyngb (extra ngb) is not installed")


class Drawn(NamedTuple):
    """Steps of a figure: (peak °C, loss in percent), and the names the balance gives."""

    path: str
    steps: tuple[tuple[float, float], ...]
    balance: tuple[str, ...] = ()
    at_most: int = 9


WITHOUT_CARBONATE = ("water", "organic", "residue_with_carbonate")
FULL = ("water", "organic", "carbonate", "residue")
FILES = (
    Drawn("csv/Aalto_Wood_TGA_N2_10K_R1.csv", ((70, 1), (368, 84)), WITHOUT_CARBONATE, 3),
    Drawn("csv/CERIB_Wood_STA_N2_10K_R1.csv", ((61, 8.6), (368, 76)), FULL, 3),
    Drawn("csv/GIDAZE+_TGA_N2_10K_1.csv", ((210, 2.6), (365, 94)), (), 2),
    Drawn("csv/TUBS_Wood_TGA_N2_10K_R1.csv", ((371, 79),), WITHOUT_CARBONATE, 3),
    Drawn("mettler_stare/Al_0.083_K_per_min.txt", (), (), 0),
    Drawn("mettler_stare/In_0.083_k_per_s.txt", (), (), 0),
    Drawn("mettler_stare/MettlerToledo_example_file.txt", ((453, 96),), (), 1),
    # no balance: the last step takes 46 % of what the organic leaves, more than any calcium carbonate loses
    Drawn("mettler_stare/mettlerToledoWeight.txt", ((398, 64), (657, 15)), WITHOUT_CARBONATE, 3),
    Drawn("netzsch_text/80CASH01_20CH.csv", ((113, 14.8), (413, 4.8), (614, 2.3)), (), 3),
    Drawn("netzsch_text/Ca(OH)2_roh.csv", ((85, 0.9), (451, 22.8), (635, 1.3)), (), 3),
    Drawn("netzsch_text/DIG10_1.txt", ((53, 7.6), (283, 26), (511, 30)), FULL, 5),
    Drawn("netzsch_text/netzsch2_example_file.txt", ((359, 73),), WITHOUT_CARBONATE, 2),
    Drawn("netzsch_text/netzsch_example_file.txt", ((92, 8.2), (555, 66.5)), (), 3),
    Drawn("perkinelmer/PerkinElmer_example_file.txt", ((240, 64.5), (610, 1.0)), (), 3),
    Drawn("perkinelmer/burnoff_example.txt", ((547, 2.9),), (), 2),
    Drawn("perkinelmer/perkinElmer_tga4000.txt", ((147, 7.6), (362, 31.5)), WITHOUT_CARBONATE, 2),
    Drawn("ta_trios/CLSOx10_2.txt", ((343, 78), (501, 13)), FULL, 3),
    Drawn("ta_trios/MIS_1.txt", ((26, 6.5), (353, 73), (909, 16.2)), FULL, 3),
    # its char (10 %, 645 to 750 °C) burns as the ramp sets in after a hold: smoothing puts the top of that step too low
    Drawn("ta_trios/SDa_1.txt", ((52, 6.2), (384, 30.6), (509, 1.9)), FULL, 8),
    Drawn(
        "ta_trios/TA_instrument_excel.xls", ((174, 9.8), (226, 18.4), (284, 18.8), (353, 40.7)), WITHOUT_CARBONATE, 2
    ),
    Drawn("ta_universal/TAInstruments.txt", ((26, 5.0), (52, 12.4)), (), 2),
    Drawn("ta_universal/TAInstruments_example_file.txt", ((26, 5.0), (52, 12.4)), (), 2),
)
BINARY = (
    Drawn("netzsch_ngb/Portlandit_roh.ngb-ds3", ((451, 22.9), (636, 1.6)), (), 3),
    Drawn("netzsch_ngb/BM_80CASH01_20CH.ngb-ds3", ((113, 14.4), (413, 4.8), (611, 2.6)), (), 3),
    # both rise by 1 to 2 % as the heating begins, which is told and counts as the balance's
    Drawn("netzsch_ngb/Douglas_Fir_STA_10K_250730_R13.ngb-ss3", ((365, 71.6),), FULL, 5),
    Drawn("netzsch_ngb/Red_Oak_STA_10K_250731_R7.ngb-ss3", ((362, 75),), WITHOUT_CARBONATE, 4),
    Drawn("netzsch_ngb/01_Messung_Probe_G_300_Grad_Ar.ngb-ds3", ((304, 21.4),), (), 3),
    Drawn("netzsch_ngb/02_Messung_Probe_E_300_Grad_Ar.ngb-ds3", ((304, 33),), (), 5),
)


def analyse(real_files: Path, path: str) -> TgaResult:
    return analyze_tga(read_tga(real_files / "tga" / path))


def single_peaks(result: TgaResult) -> list[TgaStep]:
    return [part for step in result.steps for part in (step.parts or (step,)) if part.peak_c is not None]


def check(result: TgaResult, drawn: Drawn) -> None:
    found = single_peaks(result)
    for peak_c, loss in drawn.steps:
        assert found, f"no steps, {peak_c} °C is drawn"
        nearest = min(found, key=lambda step: abs((step.peak_c or 0.0) - peak_c))
        assert_close(nearest.peak_c or 0.0, peak_c, atol=12.0, because="width of the top of the DTG in the figure")
        share = 100 * nearest.mass_loss.value
        assert_close(share, loss, atol=0.4, rtol=0.06, because="reading of the feet from the figure")
    assert len(result.steps) <= drawn.at_most
    assert result.balance_names == drawn.balance


@pytest.mark.parametrize("drawn", FILES, ids=lambda d: d.path)
def test_steps_are_where_a_person_draws_them(real_files: Path, drawn: Drawn) -> None:
    if drawn.path.endswith(".xls"):
        pytest.importorskip("xlrd", reason="xlrd (extra excel) is not installed")
    check(analyse(real_files, drawn.path), drawn)


@needs_pyngb
@pytest.mark.parametrize("drawn", BINARY, ids=lambda d: d.path)
def test_binary_files_give_the_steps_a_person_draws(real_files: Path, drawn: Drawn) -> None:
    check(analyse(real_files, drawn.path), drawn)


def test_every_file_is_in_the_table_or_refused(real_files: Path) -> None:
    listed = {d.path for d in (*FILES, *BINARY)}
    special = {"perkinelmer/Methane_Pyrolysis.txt", "csv/2.Beechwood-10.xlsx"}
    for file in sorted((real_files / "tga").rglob("*")):
        path = file.relative_to(real_files / "tga").as_posix()
        if file.is_file() and path not in listed | special:
            with pytest.raises(ReadError):
                read_tga(file)


def test_carbon_deposition_is_named_as_a_gain(real_files: Path) -> None:
    result = analyse(real_files, "perkinelmer/Methane_Pyrolysis.txt")
    gain = next(d for d in result.messages if d.code == "TGA_MASS_GAIN")
    assert float(gain.facts["gain"]) > 0.9
    assert result.balance_names == ()


def test_portlandite_loses_what_stoichiometry_says(real_files: Path) -> None:
    check_of_run = tga_check(read_tga(real_files / "tga" / "netzsch_text/Ca(OH)2_roh.csv"), "portlandite")
    (step,) = check_of_run.steps
    carbonate = check_of_run.carbonate
    assert carbonate is not None
    assert 0.005 < carbonate.value < 0.03
    calcite = carbonate.value * 100.087 / 44.009
    expected = 0.243 - 0.243 * calcite
    assert_close(step.measured.value, expected, atol=0.015, because="1.5 wt% allowed for the reagent's purity")


@needs_pyngb
def test_two_exports_of_one_portlandite_run_give_the_same_steps(real_files: Path) -> None:
    text = analyse(real_files, "netzsch_text/Ca(OH)2_roh.csv")
    binary = analyse(real_files, "netzsch_ngb/Portlandit_roh.ngb-ds3")
    for one, other in zip(text.steps[1:], binary.steps[1:], strict=True):
        assert_close(one.peak_c or 0.0, other.peak_c or 0.0, atol=3.0, because="same readings, other baseline")
        spread = np.hypot(one.mass_loss.std or 0.0, other.mass_loss.std or 0.0)
        difference = abs(one.mass_loss.value - other.mass_loss.value)
        assert difference < 3.0 * spread, "the binary file lacks the subtraction of the correction run"


def test_char_of_wood_that_burns_at_the_end_is_organic_and_the_change_of_gas_is_said(real_files: Path) -> None:
    for path, at_c, char in (("MIS_1.txt", 898, 15.5), ("SDa_1.txt", 607, 9.9)):
        result = analyse(real_files, f"ta_trios/{path}")
        told = next(d for d in result.messages if d.code == "TGA_GAS_INFERRED")
        assert f"at {at_c} °C" in told.text
        assert f"{char:.1f}" in told.text
        shares = dict(zip(result.balance_names, result.balance, strict=True))
        # wood leaves next to no ash, and neither mineral nor carbonate
        assert_close(shares["organic"] + shares["water"], 1.0, atol=0.03, because="balance below zero by 1 %")
