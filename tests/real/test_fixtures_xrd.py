"""Every real diffraction file: read in agreement with its own header, or refused for the right reason."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.errors import ReadError
from xrdcomp.io.export import write_pattern
from xrdcomp.io.front import inspect_file, read_xrd, read_xrd_scans

pytestmark = pytest.mark.fixtures

READ = {
    "brml/23-012-AG_2thomegascan_long.brml": "brml",
    "brml/BAM_SH-104-1_2Theta_0.brml": "brml",
    "brml/BAM_SH-104-1_2Theta_60.brml": "brml",
    "brml/SRM1976b_260105_D8A_20-155_0.008_4s_19hm.brml": "brml",
    "brml/test.brml": "brml",
    "bruker_raw_v1/brk_raw1.raw": "bruker_raw_v1",
    "bruker_raw_v2/brk_raw2.raw": "bruker_raw_v2",
    "bruker_raw_v3/BT86.raw": "bruker_raw_v3",
    "bruker_raw_v3/Cu3Au-2.raw": "bruker_raw_v3",
    "bruker_raw_v3/D5000_1.RAW": "bruker_raw_v3",
    "bruker_raw_v3/D5000_3.RAW": "bruker_raw_v3",
    "bruker_raw_v3/Keokuk_kaolinite.RAW": "bruker_raw_v3",
    "bruker_raw_v3/format1.raw": "bruker_raw_v3",
    "bruker_raw_v4/BAM_SH-104-1_2Theta_0.raw": "bruker_raw_v4",
    "bruker_raw_v4/BAM_SH-104-1_2Theta_60.raw": "bruker_raw_v4",
    "bruker_raw_v4/bruker4_diffrac_eva.raw": "bruker_raw_v4",
    "bruker_raw_v4/bruker4_v5converter.raw": "bruker_raw_v4",
    "chi/ExampleChiPlot.chi": "chi",
    "csv/TiO2+MnO_parsed.csv": "xrd_text",
    "csv/xrd_2024_0303_zenodo.csv": "xrd_text",
    "csv/xrd_2024_0304_zenodo.csv": "xrd_text",
    "dbws_dat/alzrc.dat": "dbws_dat",
    "fullprof_dat/Cr2WO6_T150K.dat": "xrd_text",
    "fullprof_dat/PSI_DMC.dat": "fullprof_dat",
    "fullprof_dat/pbso4_neutron.dat": "fullprof_dat",
    "fullprof_dat/pbso4_xray.dat": "fullprof_dat",
    "fxye/11bmb_8714.fxye": "gsas",
    "gsas/FAP.XRA": "gsas",
    "gsas/PBSO4.CWN": "gsas",
    "gsas/PBSO4.XRA": "gsas",
    "gsas/garnet_gsas.raw": "gsas",
    "other_raw/Steel16CrNi4.RAW": "ascii_raw",
    "pdcif/ALUMINA.cif": "pdcif",
    "pdcif/nist_srm660c_100a.cif": "pdcif",
    "prn/cpd-1a.prn": "xrd_text",
    "prn/fluorite.prn": "xrd_text",
    "ras/Cr-Zn.ras": "ras",
    "ras/HoB21.ras": "ras",
    "ras/La1.75Sr0.25CuO4.ras": "ras",
    "ras/rigaku_nims.ras": "ras",
    "rasx/Omega-2Theta_scan_high_temperature.rasx": "rasx",
    "rasx/ZnO-ALD-training_001_1_0-000_0-000.rasx": "rasx",
    "rasx/geddes_sample.rasx": "rasx",
    "stoe_raw/stoe.raw": "stoe_raw",
    "txt/Sample2.txt": "xrd_text",
    "txt/TrBiI4_PXRDPLOTTERTEST1.txt": "xrd_text",
    "uxd/BT86_.UXD": "uxd",
    "xrdml/220615_0s_GIXRD.xrdml": "xrdml",
    "xrdml/2Fe3O4-3Y2O3_1000C_60min.xrdml": "xrdml",
    "xrdml/2theta-omega.xrdml": "xrdml",
    "xrdml/NH4H2PO4-Na2CO3_200C_60min.xrdml": "xrdml",
    "xrdml/TiO2_0p4009-ZnO_0p6010--8min.xrdml": "xrdml",
    "xrdml/XRD-918-16_10.xrdml": "xrdml",
    "xrdml/geddes_sample.xrdml": "xrdml",
    "xrdml/m54313_om2th_10.xrdml": "xrdml",
    "xrdml/simpack_xrd_AlGaAs.xrdml.gz": "xrdml",
    "xy/220615_0s_GIXRD.xy": "xrd_text",
    "xy/BAM_SH-104-1_2Theta_0.xy": "xrd_text",
    "xy/BAM_SH-104-1_2Theta_60.xy": "xrd_text",
    "xy/CaNi(PO3)4_800_240_Ca(OH)2_(NH4)2HPO4_NiO.xy": "xrd_text",
    "xy/CeO2_Pilatus1M.xy": "xrd_text",
    "xy/D5000_1.xy": "xrd_text",
    "xy/D5000_3.xy": "xrd_text",
    "xy/Mn2O3+LiF.xy": "xrd_text",
    "xy/SiC_Zn.dat": "xrd_text",
    "xy/nacl01.dat": "xrd_text",
    "xy/tirhert_subset.xy": "xrd_text",
    "xye/Ba6Co6.xye": "xrd_text",
    "xye/x3lactos.xye": "xrd_text",
}
REFUSED = {
    "brml/BAM_SH-104-1_2D_1347.brml": ("brml", "two-dimensional frames outside the archive"),
    "gsas/PrSrMnO.gda": ("gsas", "declares 2415 points, the 240 records below it hold between 2391 and 2400"),
    "pdcif/NISI_condensed.cif": ("pdcif", "over time of flight"),
    "ras/Bruker_xrd_10-10.ras": ("ras", "scanned axis is 'Phi'"),
    "rigaku_ascii/Rigaku_xrd_110.asc": ("rigaku_ascii", "pole figure"),
    "seifert_nja/seifert-111.nja": ("seifert_nja", "pole figure"),
    "seifert_nja/seifert-220.nja": ("seifert_nja", "pole figure"),
    "txt/ExampleRigaku.dat": ("rigaku_ascii", "declares 2 group(s), the file holds 1"),
    "uxd/mtex_bruker_polefigure.UXD": ("uxd", "moved drive is PHI"),
    "xrdml/mtex_polefigure.xrdml": ("xrdml", "scanned axis is 'Phi'"),
    "xy/BAM_29,36TT_integrated.xy": ("xrd_text", "'Gamma (Gamma)'"),
    "gfrm/BAM_D20-3_Gi_1374-000.gfrm": ("gfrm", "two-dimensional frame"),
    "sfrm/mo_Ge_1_m11_m5_139f_MP98p9_OmSc_600s_01_0001.sfrm": ("gfrm", "two-dimensional frame"),
    "sfrm/mo_LaB6_2_m8_m3_friedel_129f_MP96p95_03_0001.sfrm": ("gfrm", "two-dimensional frame"),
    "sfrm/powCeO2_00.sfrm": ("gfrm", "two-dimensional frame"),
    "sfrm/powCeO2_02.sfrm": ("gfrm", "two-dimensional frame"),
    "image2d/CeO2_Pilatus1M.poni": ("poni", "two-dimensional frame"),
    "image2d/CeO2_Pilatus1M.tif.bz2": ("tiff", "two-dimensional frame"),
    "image2d/DLS_I03_smargon_0001.cbf.gz": ("cbf", "two-dimensional frame"),
    "image2d/dlsnxs2cbf_therm_0001.cbf.gz": ("cbf", "two-dimensional frame"),
    "image2d/film16.tif": ("tiff", "two-dimensional frame"),
}
WARNED = {
    "fullprof_dat/PSI_DMC.dat": {"XRD_ZERO_RUN"},  # two dead points at 160.7° beside thousands of counts
    "bruker_raw_v4/bruker4_diffrac_eva.raw": {"XRD_NEGATIVE_INTENSITY", "XRD_SPIKE"},
    "chi/ExampleChiPlot.chi": {"XRD_AXIS_NAME", "XRD_NEGATIVE_INTENSITY", "XRD_SIGMA_ASSUMED"},
    "csv/xrd_2024_0303_zenodo.csv": {"XRD_AXIS_NAME"},
    "csv/xrd_2024_0304_zenodo.csv": {"XRD_AXIS_NAME"},
    "fullprof_dat/Cr2WO6_T150K.dat": {"XRD_MAYBE_CUT"},
    "gsas/FAP.XRA": {"XRD_ZERO_ENDS"},
    "gsas/PBSO4.CWN": {"XRD_REPEATED_RECORD"},
    "gsas/PBSO4.XRA": set(),
    "pdcif/ALUMINA.cif": {"XRD_NEUTRONS"},
    "pdcif/nist_srm660c_100a.cif": {"XRD_UNEVEN_STEP"},
    "txt/Sample2.txt": {"XRD_SIGMA_ASSUMED", "XRD_SPIKE"},
    "xy/CeO2_Pilatus1M.xy": {"XRD_MAYBE_CUT", "XRD_SIGMA_ASSUMED"},
    "xy/Mn2O3+LiF.xy": {"XRD_THIRD_COLUMN"},
    "xye/x3lactos.xye": {"XRD_MAYBE_CUT"},
}
PAIRS = [
    ("bruker_raw_v3/D5000_1.RAW", "xy/D5000_1.xy", 1e-9, 0.0),
    ("bruker_raw_v3/D5000_3.RAW", "xy/D5000_3.xy", 1e-9, 0.0),
    ("xrdml/220615_0s_GIXRD.xrdml", "xy/220615_0s_GIXRD.xy", 1e-6, 0.0),
    ("bruker_raw_v3/BT86.raw", "uxd/BT86_.UXD", 2e-4, 0.0),
    ("brml/BAM_SH-104-1_2Theta_0.brml", "xy/BAM_SH-104-1_2Theta_0.xy", 1e-9, 1e-8),
    ("brml/BAM_SH-104-1_2Theta_60.brml", "xy/BAM_SH-104-1_2Theta_60.xy", 1e-9, 1e-8),
    ("brml/BAM_SH-104-1_2Theta_0.brml", "bruker_raw_v4/BAM_SH-104-1_2Theta_0.raw", 1e-9, 1.1e-6),
    ("brml/BAM_SH-104-1_2Theta_60.brml", "bruker_raw_v4/BAM_SH-104-1_2Theta_60.raw", 1e-9, 1.1e-6),
    ("xrdml/XRD-918-16_10.xrdml", "xrdml/geddes_sample.xrdml", 0.0, 0.0),
]


@pytest.fixture(scope="module")
def folder(real_files: Path) -> Path:
    return real_files / "xrd"


@pytest.fixture(scope="module")
def truth(real_files: Path) -> dict[str, list[dict[str, float | None]]]:
    loaded: dict[str, list[dict[str, float | None]]] = json.loads((real_files / "TRUTH_xrd.json").read_text())
    return loaded


def test_every_file_of_the_manifest_is_listed_here(real_files: Path, folder: Path) -> None:
    with (real_files / "MANIFEST.csv").open(encoding="utf-8") as stream:
        stated = {row["path"].removeprefix("xrd/") for row in csv.DictReader(stream) if row["path"].startswith("xrd/")}
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert present == set(READ) | set(REFUSED)
    assert stated <= present


@pytest.mark.parametrize("name", READ)
def test_read_in_agreement_with_the_header(
    name: str, folder: Path, truth: dict[str, list[dict[str, float | None]]]
) -> None:
    patterns = read_xrd_scans(folder / name)
    assert {pattern.source.format for pattern in patterns if pattern.source} == {READ[name]}
    stated = truth.get(name, [])
    assert len(patterns) == len(stated) or not stated
    for number, (pattern, facts) in enumerate(zip(patterns, stated, strict=False)):
        assert len(pattern) == facts["n"]
        for key, angle in (("x0", pattern.two_theta[0]), ("x1", pattern.two_theta[-1])):
            if facts[key] is not None:
                assert_close(angle, facts[key], atol=3e-5, because="single-precision steps over 7000 points")
        if facts["ymax"] is not None:
            corrected = facts.get("ymax2") or facts["ymax"]
            assert_close(
                pattern.intensity.max(), corrected, rtol=1e-6,
                because="attenuation applied; RAW4 stores the same scan at a common counting time, 4e-7 apart",
            )  # fmt: skip
        again = read_xrd(folder / name, scan=number) if len(patterns) > 1 else read_xrd(folder / name)
        np.testing.assert_array_equal(again.intensity, pattern.intensity)


@pytest.mark.parametrize("name", READ)
def test_warnings_are_only_those_that_are_deserved(name: str, folder: Path) -> None:
    warnings = {note.code for note in read_xrd_scans(folder / name)[0].messages if note.severity == "warning"}
    assert warnings == WARNED.get(name, set())


@pytest.mark.parametrize("name", REFUSED)
def test_refused_for_the_right_reason(name: str, folder: Path) -> None:
    format_id, reason = REFUSED[name]
    with pytest.raises(ReadError) as caught:
        read_xrd(folder / name)
    assert caught.value.format_id == format_id
    assert reason in caught.value.reason
    assert caught.value.hint
    if reason == "two-dimensional frame":
        assert "frames" in caught.value.hint
        assert inspect_file(folder / name)["kind"] == "xrd_frame"


@pytest.mark.parametrize(("one", "other", "angle", "relative"), PAIRS)
def test_two_exports_of_one_measurement_agree(
    one: str, other: str, angle: float, relative: float, folder: Path
) -> None:
    first, second = read_xrd(folder / one), read_xrd(folder / other)
    assert len(first) == len(second)
    assert_close(first.two_theta, second.two_theta, atol=max(angle, 1e-12), because="decimals of the coarser export")
    assert_close(first.intensity, second.intensity, rtol=relative, because="figures of the coarser export")


def test_two_published_copies_of_one_round_robin_scan_agree_but_for_two_points(folder: Path) -> None:
    first, second = read_xrd(folder / "gsas/PBSO4.XRA"), read_xrd(folder / "fullprof_dat/pbso4_xray.dat")
    np.testing.assert_array_equal(first.two_theta, second.two_theta)
    assert np.flatnonzero(first.intensity != second.intensity).tolist() == [5335, 5749]
    first, second = read_xrd(folder / "gsas/PBSO4.CWN"), read_xrd(folder / "fullprof_dat/pbso4_neutron.dat")
    np.testing.assert_array_equal(first.intensity, second.intensity[:-1])


def test_wavelengths_and_anodes_come_along(folder: Path) -> None:
    for name, anode, first in (
        ("bruker_raw_v3/D5000_1.RAW", "Co", 1.78897),
        ("bruker_raw_v4/BAM_SH-104-1_2Theta_0.raw", "Cu", 1.5406),
        ("brml/BAM_SH-104-1_2Theta_0.brml", "Cu", 1.5406),
        ("bruker_raw_v2/brk_raw2.raw", "Cu", 1.5406),
        ("uxd/BT86_.UXD", "Cu", 1.5406),
        ("xrdml/XRD-918-16_10.xrdml", "Cu", 1.540598),
        ("ras/Cr-Zn.ras", "Cu", 1.540593),
        ("rasx/geddes_sample.rasx", "Cu", 1.540593),
    ):
        pattern = read_xrd(folder / name)
        assert pattern.anode == anode
        assert pattern.emission_lines[0].wavelength == pytest.approx(first, abs=1e-6)
        (second,) = [line.weight for line in pattern.emission_lines][1:]
        assert second == (0.514 if "raw_v2" in name else 0.5)
    (line,) = read_xrd(folder / "xrdml/simpack_xrd_AlGaAs.xrdml.gz").emission_lines
    assert line.wavelength == pytest.approx(1.540598, abs=1e-7), "the header's ratio of the second line is zero"


def test_attenuated_points_have_the_error_of_the_counted_ones(folder: Path) -> None:
    pattern = read_xrd(folder / "brml/23-012-AG_2thomegascan_long.brml")
    top = int(np.argmax(pattern.intensity))
    factor = 8.3
    assert_close(
        pattern.sigma[top], np.sqrt(factor * pattern.intensity[top]), rtol=1e-9, because="factor times sqrt(N)"
    )


def test_the_measured_block_of_a_certificate_is_the_default(folder: Path) -> None:
    path = folder / "pdcif/nist_srm660c_100a.cif"
    assert str(read_xrd(path).metadata["block"]).endswith("_meas")
    calculated = read_xrd(path, scan=1)
    assert "XRD_CALCULATED" in {note.code for note in calculated.messages}


def test_several_ranges_are_listed_and_asked_for(folder: Path) -> None:
    with pytest.raises(ReadError, match=r"2 powder scans.*scan=0: .*10 to 90.*scan=1: .*80 to 150"):
        read_xrd(folder / "bruker_raw_v3/Keokuk_kaolinite.RAW")


@pytest.mark.parametrize("name", sorted(p for p in READ if p.startswith(("gsas/FAP", "xrdml/Ti", "prn/cpd"))))
def test_round_robin_and_laboratory_scans_count_like_counts(name: str, folder: Path) -> None:
    pattern = read_xrd(folder / name)
    assert pattern.intensity_unit == "counts"
    np.testing.assert_array_equal(pattern.sigma, np.sqrt(np.maximum(pattern.intensity, 1.0)))


@pytest.mark.parametrize("name", READ)
def test_what_was_read_can_be_written_and_read_again(name: str, folder: Path, tmp_path: Path) -> None:
    pattern = read_xrd_scans(folder / name)[0]
    for suffix in (".xye", ".cif"):
        again = read_xrd(write_pattern(pattern, tmp_path / f"again{suffix}"))
        np.testing.assert_array_equal(again.two_theta, pattern.two_theta)
        np.testing.assert_array_equal(again.intensity, pattern.intensity)
        assert_close(again.sigma, pattern.sigma, rtol=1e-12, because="weights are inverse squares")
        assert again.emission_lines == pattern.emission_lines


def test_thermogravimetric_files_are_refused_in_words(real_files: Path) -> None:
    refused = 0
    for path in sorted((real_files / "tga").rglob("*")):
        if path.is_file():
            with pytest.raises(ReadError) as caught:
                read_xrd(path)
            refused += "thermogravimetric" in str(caught.value)
    assert refused >= 25
