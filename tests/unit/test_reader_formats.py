"""What is particular to a format: several scans, other axes, absorbers, declared facts that disagree."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import xrd_writers as w
from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.errors import ReadError
from xrdcomp.io.front import inspect_file, read_xrd, read_xrd_scans, why_not_powder

SCAN, HIGH = w.example(201), w.example(151, start=40.0, seed=8)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Pattern]:
    def run(data: bytes, *, scan: int | None = None) -> Pattern:
        path = tmp_path / "a.bin"
        path.write_bytes(data)
        return read_xrd(path, scan=scan)

    return run


@pytest.fixture
def refused(read: Callable[..., Pattern]) -> Callable[..., str]:
    def run(data: bytes, *, scan: int | None = None) -> str:
        with pytest.raises(ReadError) as caught:
            read(data, scan=scan)
        return str(caught.value)

    return run


@pytest.mark.parametrize("write", [w.raw2, w.raw3, w.uxd, w.ras, w.xrdml])
def test_every_scan_of_a_file_is_reachable(
    write: Callable[..., bytes], read: Callable[..., Pattern], refused: Callable[..., str], tmp_path: Path
) -> None:
    data = write(SCAN, HIGH)
    message = refused(data)
    assert "2 powder scans" in message
    assert "scan=1" in message
    assert "--scan" not in message
    np.testing.assert_array_equal(read(data, scan=0).intensity, SCAN.counts)
    np.testing.assert_array_equal(read(data, scan=1).intensity, HIGH.counts)
    assert "no scan 2" in refused(data, scan=2)
    assert "no scan -1" in refused(data, scan=-1)
    assert [len(pattern) for pattern in read_xrd_scans(tmp_path / "a.bin")] == [SCAN.n, HIGH.n]


@pytest.mark.parametrize(
    ("data", "axis"),
    [
        (w.raw3(SCAN, kind=3), "rocking curve"),
        (w.raw3(SCAN, kind=5), "phi scan"),
        (w.raw3(SCAN, kind=9999), "scan type 9999"),
        (w.raw4(SCAN, scan_type=b"Rocking Curve"), "'Rocking Curve'"),
        (w.uxd(SCAN, drive="PHI"), "PHI"),
        (w.uxd(SCAN, drive="THETA"), "THETA"),
        (w.ras(SCAN, axis="Omega"), "'Omega'"),
        (w.xrdml(SCAN, axis="Omega"), "Omega"),
        (w.rigaku_ascii(SCAN, kind="Polefig"), "pole figure"),
        (w.gsas_alt(SCAN), "time of flight"),
    ],
)
def test_other_scans_are_recognised_and_refused(
    data: bytes, axis: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    assert axis in refused(data)
    (scan,) = inspect_file(tmp_path / "a.bin")["scans"]  # type: ignore[misc]  # JSON-like, checked here
    assert scan["n_points"] == SCAN.n
    (reason,) = why_not_powder(tmp_path / "a.bin")
    assert axis.strip("'") in reason


def test_the_powder_scan_is_the_default_when_it_is_the_only_one(read: Callable[..., Pattern]) -> None:
    phi = w.uxd(HIGH, drive="PHI").decode()
    coupled = w.uxd(SCAN).decode()
    data = (phi + coupled[coupled.index("_DRIVE") :]).encode()
    np.testing.assert_array_equal(read(data).intensity, SCAN.counts)
    np.testing.assert_array_equal(read(data, scan=1).intensity, SCAN.counts)


def test_beam_attenuation_of_both_xrdml_generations(read: Callable[..., Pattern]) -> None:
    factors = np.where(np.arange(SCAN.n) > 100, 172.0, 1.0)
    old, new = (read(w.xrdml(SCAN, version=v, factors=factors)) for v in ("1.5", "2.3"))
    np.testing.assert_array_equal(old.intensity, SCAN.counts * factors)
    np.testing.assert_array_equal(new.intensity, old.intensity)
    assert_close(new.sigma, factors * np.sqrt(np.maximum(SCAN.counts, 1)), rtol=1e-12, because="factor times sqrt(N)")
    assert_close(old.sigma, new.sigma, rtol=1e-12, because="the same measurement")


def test_xrdml_in_another_encoding(read: Callable[..., Pattern]) -> None:
    text = w.xrdml(SCAN).decode().replace('version="1.0"', 'version="1.0" encoding="utf-16"', 1)
    np.testing.assert_array_equal(read(text.encode("utf-16")).intensity, SCAN.counts)


def test_xrdml_common_attenuation_and_slits_that_opened(read: Callable[..., Pattern]) -> None:
    plain = w.xrdml(SCAN).decode()
    mark = "<commonCountingTime"
    common = plain.replace(mark, "<commonBeamAttenuationFactor>172</commonBeamAttenuationFactor>" + mark)
    np.testing.assert_array_equal(read(common.encode()).intensity, 172.0 * SCAN.counts)
    listed = " ".join(["1.5"] * SCAN.n)
    opened = plain.replace(mark, f"<divergenceCorrections>{listed}</divergenceCorrections>" + mark)
    pattern = read(opened.encode())
    np.testing.assert_array_equal(pattern.intensity, SCAN.counts)
    assert pattern.metadata["variable_slit"] is True
    assert "XRD_VARIABLE_SLIT" in {note.code for note in pattern.messages}
    corrected = read(opened.replace("counts>", "intensities>").replace("<counts ", "<intensities ").encode())
    assert_close(corrected.sigma, 1.5 * np.sqrt(np.maximum(SCAN.counts / 1.5, 1)), rtol=1e-12, because="1.5 √(I / 1.5)")


@pytest.mark.parametrize("factor", [1.0, 8.3])
@pytest.mark.parametrize("folder", ["", "SRM1976b/"])
@pytest.mark.parametrize("live_time_last", [True, False])
def test_brml_columns_are_found_by_name(
    folder: str, factor: float, live_time_last: bool, read: Callable[..., Pattern]
) -> None:
    pattern = read(w.brml(SCAN, folder=folder, absorber=factor, live_time_last=live_time_last))
    assert_close(pattern.intensity, SCAN.counts * factor, rtol=1e-9, because="ten figures are stored")
    assert_close(
        pattern.sigma, factor * np.sqrt(np.maximum(SCAN.counts, 1)), rtol=1e-9, because="absorber factor times sqrt(N)"
    )


def test_brml_with_an_edited_value_is_refused(refused: Callable[..., str]) -> None:
    import io
    import zipfile

    packed = zipfile.ZipFile(io.BytesIO(w.brml(SCAN)))
    xml = packed.read("Experiment0/RawData0.xml").decode()
    top = str(SCAN.counts.max())
    edited = w._zip({"Experiment0/RawData0.xml": xml.replace(f",{top},", f",{top}0,", 1).encode()})
    assert "the maximum of the points" in refused(edited)


def test_rasx_checksum_of_the_instrument(read: Callable[..., Pattern]) -> None:
    assert not read(w.rasx(SCAN)).messages
    assert "XRD_CHECKSUM" in {note.code for note in read(w.rasx(SCAN, damaged=True)).messages}


def test_ras_attenuator_column(read: Callable[..., Pattern]) -> None:
    pattern = read(w.ras(SCAN, attenuator=10.0))
    np.testing.assert_array_equal(pattern.intensity, 10.0 * SCAN.counts)
    assert_close(pattern.sigma, 10 * np.sqrt(np.maximum(SCAN.counts, 1)), rtol=1e-12, because="ten times sqrt(N)")


def test_stoe_repeats_its_highest_count(refused: Callable[..., str]) -> None:
    data = bytearray(w.stoe(SCAN))
    top = 2560 + 4 * int(np.argmax(SCAN.counts))
    data[top : top + 4] = int(SCAN.counts.max() - 1).to_bytes(4, "little")
    assert f"the header says {SCAN.counts.min()} to {SCAN.counts.max()}" in refused(bytes(data))


@pytest.mark.parametrize("record", [4, 8])
def test_raw4_records_of_both_lengths(record: int, read: Callable[..., Pattern]) -> None:
    np.testing.assert_array_equal(read(w.raw4(SCAN, record=record)).intensity, SCAN.counts)


def test_raw4_header_that_disagrees_with_the_drive(refused: Callable[..., str]) -> None:
    data = bytearray(w.raw4(SCAN))
    at = data.index(b"Locked Coupled") - 32 + 72
    struct.pack_into("<d", data, at, 10.0)
    assert "the drive 2Theta stands at 20" in refused(bytes(data))


def test_raw_files_longer_than_their_ranges(refused: Callable[..., str], read: Callable[..., Pattern]) -> None:
    for write in (w.raw1, w.raw2, w.raw3):
        assert "end at byte" in refused(write(SCAN) + b"\x00\x00\x20\x43")
    for write in (w.raw1, w.raw2, w.raw3, w.raw4, w.stoe):
        padded = read(write(SCAN) + bytes(512))
        np.testing.assert_array_equal(padded.intensity, SCAN.counts)
        assert "XRD_SURPLUS_RECORDS" in {note.code for note in padded.messages}


def test_flipped_bits_of_stored_counts_are_seen_as_fractions_or_wild_points(read: Callable[..., Pattern]) -> None:
    clean = w.raw3(SCAN)
    first = len(clean) - 4 * SCAN.n
    seen = 0
    for bit in range(32):
        data = bytearray(clean)
        data[first + 4 * 60 + bit // 8] ^= 1 << bit % 8
        try:
            notes = read(bytes(data)).messages
        except ReadError:
            seen += 1
            continue
        seen += any(note.severity == "warning" for note in notes)
    assert seen >= 25, "of 32 bits, the seven that change up to 64 counts of 150 stay within eight sigma"


def test_gsas_deviations(read: Callable[..., Pattern]) -> None:
    for data, figures in ((w.gsas_esd(SCAN), 6e-4), (w.gsas_fxye(SCAN), 6e-7)):
        pattern = read(data)
        np.testing.assert_array_equal(pattern.intensity, SCAN.counts)
        assert_close(
            pattern.sigma, np.sqrt(np.maximum(SCAN.counts, 1)), atol=figures, because="decimals of the columns"
        )
    assert read(w.gsas_fxye(SCAN)).emission_lines[0].wavelength == w.ALPHA1


def test_gsas_with_a_damaged_bank_record_is_refused_as_gsas(tmp_path: Path) -> None:
    (tmp_path / "a.gsas").write_bytes(w.gsas_std(SCAN).replace(b"BANK 1 201 21", b"BANK 1 2x1 21"))
    with pytest.raises(ReadError, match="is no BANK record") as refusal:
        read_xrd(tmp_path / "a.gsas")
    assert refusal.value.format_id == "gsas"


def test_gsas_counters(read: Callable[..., Pattern]) -> None:
    data = (
        "mean of four counters\nBANK 1 10 1 CONST 1000 5 0 0\n" + "".join(f" 4{y:6d}" for y in range(100, 110)) + "\n"
    )
    pattern = read(data.encode())
    assert_close(pattern.sigma, np.sqrt(np.arange(100, 110) / 4), rtol=1e-12, because="mean of four counts")
    assert pattern.two_theta[1] == pytest.approx(10.05)


@pytest.mark.parametrize("n", [200, 190])
def test_gsas_with_another_number_of_points_than_declared(n: int, refused: Callable[..., str]) -> None:
    data = w.gsas_std(SCAN).replace(b"BANK 1 201 21", b"BANK 1 %d 21" % n)
    assert f"declares {n} points" in refused(data)


def test_chi_of_another_axis(refused: Callable[..., str]) -> None:
    data = w.chi(SCAN).replace(b"2-Theta Angle (Degrees)", b"Q (Inverse Nanometres)")
    assert "not 2θ" in refused(data)


def test_pdcif_with_brackets_and_a_range(read: Callable[..., Pattern]) -> None:
    rows = "\n".join(f"{y}({max(1, round(y**0.5))})" for y in SCAN.counts)
    head = f"data_a\n_pd_meas_2theta_range_min {SCAN.start}\n_pd_meas_2theta_range_max {SCAN.end}\n"
    data = f"{head}_pd_meas_2theta_range_inc {SCAN.step}\nloop_\n_pd_meas_intensity_total\n_pd_proc_ls_weight\n"
    pattern = read((data + "\n".join(f"{row} 0.1" for row in rows.split("\n")) + "\n").encode())
    np.testing.assert_array_equal(pattern.intensity, SCAN.counts)
    np.testing.assert_array_equal(pattern.sigma, [max(1, round(y**0.5)) for y in SCAN.counts])


def test_a_structure_is_told_from_a_pattern(refused: Callable[..., str]) -> None:
    message = refused(b"data_halite\n_cell_length_a 5.64\nloop_\n_atom_site_label\nNa\nCl\n")
    assert "no data block holds a measured powder profile" in message
    assert "phases=[path]" in message


def test_fullprof_comments_and_psi_layout(read: Callable[..., Pattern]) -> None:
    plain = w.fullprof(SCAN).decode()
    np.testing.assert_array_equal(read(("! a comment\n" + plain).encode()).intensity, SCAN.counts)
    head = f"sample\nlambda= 1.494, T= 300\n {SCAN.start:.3f} {SCAN.step:.3f} {SCAN.end:.3f} 18000.\n"
    rows = [
        "".join(f"{v:8.1f}" for v in values[i : i + 10])
        for values in (SCAN.counts, 3 * np.sqrt(SCAN.counts)) for i in range(0, SCAN.n, 10)
    ]  # fmt: skip
    pattern = read((head + "\n".join(rows) + "\n Filelist='a'\n").encode())
    assert_close(pattern.sigma, 3 * np.sqrt(SCAN.counts), atol=0.051, because="one decimal")
    assert pattern.emission_lines[0].wavelength == 1.494


def test_uxd_without_angles(read: Callable[..., Pattern]) -> None:
    pattern = read(w.uxd(SCAN, pairs=False))
    assert_close(pattern.two_theta, SCAN.two_theta, atol=1e-9, because="start and step")


def test_tga_files_are_named_as_such(refused: Callable[..., str]) -> None:
    rows = "\n".join(f"{25 + i};{i * 0.1:.1f};{10 - 0.001 * i:.4f}" for i in range(400))
    assert "thermogravimetric" in refused(f"##Temp./°C;Time/min;Mass/mg\n{rows}\n".encode())
