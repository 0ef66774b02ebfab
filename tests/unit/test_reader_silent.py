"""Numbers that would be wrong in silence, each found by a check."""

from __future__ import annotations

import bz2
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.xrd_writers import example, ras, text_rows, uxd, xrdml
from xrdcomp.data import EmissionLine, Pattern
from xrdcomp.errors import ReadError, RecipeError
from xrdcomp.instrument.build import instrument_messages
from xrdcomp.io.archive import read_members
from xrdcomp.io.front import read_xrd
from xrdcomp.io.scans import RawScan, emission_lines, to_pattern
from xrdcomp.io.source import SourceFile, open_source
from xrdcomp.recipe import InstrumentRecipe

SCAN = example(201)


def wide(seed: int = 0, n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """A scan with a background that falls and reflections of 0.2°, as Poisson counts."""
    x = 10.0 + 0.02 * np.arange(n)
    y = 90.0 + 400.0 * np.exp(-(x - 10.0) / 12.0)
    for centre, height in ((25.9, 800.0), (31.8, 3000.0), (32.9, 1500.0), (46.7, 700.0), (49.5, 900.0)):
        y = y + height / (1.0 + ((x - centre) / 0.1) ** 2)
    return x, np.random.default_rng(seed).poisson(y).astype(float)


def codes(x: np.ndarray, y: np.ndarray, **facts: object) -> dict[str, str]:
    scan = RawScan(two_theta=x, intensity=y, **({"unit": "counts"} | facts))  # type: ignore[arg-type]
    return {
        message.code: message.text for message in to_pattern(scan, SourceFile(path=Path("a"), data=b""), "").messages
    }


def refusal(tmp_path: Path, text: str, name: str = "a.xy") -> ReadError:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ReadError) as caught:
        read_xrd(path)
    return caught.value


def test_a_clean_scan_says_nothing() -> None:
    assert all(not codes(*wide(seed)) for seed in range(20))


def test_zeros_inside_are_told() -> None:
    x, y = wide()
    y[700:704] = 0
    assert "24 to 24.06°" in codes(x, y)["XRD_ZERO_RUN"]


@pytest.mark.parametrize("factor", [0.1, 0.4, 2.5, 10.0])  # the smallest that is told is 1.8
def test_a_scale_that_changes_is_told_with_its_place_and_factor(factor: float) -> None:
    for seed in range(5):
        x, y = wide(seed)
        y[1250:] *= factor
        found = codes(x, y)
        assert "from 35° on" in found["XRD_SCALE_CHANGES"]


@pytest.mark.parametrize("at", [0, 1, -1, -2])
def test_first_and_last_points_are_judged(at: int) -> None:
    x, y = wide()
    y[at] *= 3
    assert "XRD_SPIKE" in codes(x, y)


def test_alpha2_without_a_legal_ratio_is_told() -> None:
    x, y = wide()
    for ratio in (7.0, -0.5, None):
        assert "Kα2" in codes(x, y, emission_lines=emission_lines(1.5406, 1.5444, ratio))["XRD_WAVELENGTH_DOUBTFUL"]
    for lines in (emission_lines(1.5406, 1.5444), emission_lines(1.5406, 1.5444, 0.0), emission_lines(1.5406)):
        assert not codes(x, y, emission_lines=lines)
    scan = RawScan(two_theta=x, intensity=y, emission_lines=emission_lines(1.5406, 1.5444, 7.0))
    pattern = to_pattern(scan, SourceFile(path=Path("a"), data=b""), "")
    assert [line.wavelength for line in pattern.emission_lines] == [1.5406]


@pytest.mark.parametrize("stated", ["wavelength: 154.06", "wavelength = 1,5406", "lambda 15406"])
def test_a_wavelength_that_cannot_be_read_is_told(tmp_path: Path, stated: str) -> None:
    path = tmp_path / "a.xy"
    path.write_text(f"# {stated}\n# two_theta counts\n" + text_rows(SCAN))
    pattern = read_xrd(path)
    assert not pattern.emission_lines
    assert "XRD_WAVELENGTH_DOUBTFUL" in {message.code for message in pattern.messages}


def test_a_uxd_wavelength_that_is_no_number_is_told(tmp_path: Path) -> None:
    counts = "\n".join(map(str, SCAN.counts.tolist()))
    path = tmp_path / "a.uxd"
    path.write_text(f"_FILEVERSION=1\n_WL1=1.54O6\n_START=20.0\n_STEPSIZE=0.02\n_STEPCOUNT=201\n_COUNTS\n{counts}\n")
    assert "no number" in "".join(m.text for m in read_xrd(path).messages if m.code == "XRD_WAVELENGTH_DOUBTFUL")


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_q_without_a_name_is_asked_for(tmp_path: Path, scale: float) -> None:
    x, y = wide()
    q = scale * 4 * np.pi * np.sin(np.radians(x / 2)) / 1.5406
    error = refusal(tmp_path, "".join(f"{a:.6f} {b:g}\n" for a, b in zip(q, y, strict=True)))
    assert "q = 4π sinθ/λ" in error.reason
    assert "two_theta" in error.hint


def test_d_and_a_short_axis_are_asked_for(tmp_path: Path) -> None:
    x, y = wide()
    d = 1.5406 / (2 * np.sin(np.radians(x / 2)))
    assert "λ/(2 sinθ)" in refusal(tmp_path, "".join(f"{a:.6f} {b:g}\n" for a, b in zip(d, y, strict=True))).reason
    even = np.linspace(0.5, 5.0, 900)
    error = refusal(tmp_path, "".join(f"{a:.5f} {b:g}\n" for a, b in zip(even, y[:900], strict=True)))
    assert "only, as q" in error.reason


def test_an_axis_that_is_named_two_theta_may_have_any_steps(tmp_path: Path) -> None:
    _x, y = wide()
    bent = 10 + 60 * np.sin(np.linspace(0.1, 1.2, 3000))  # a flat detector's steps shrink too
    path = tmp_path / "a.xy"
    path.write_text("# two_theta counts\n" + "".join(f"{a:.5f} {b:g}\n" for a, b in zip(bent, y, strict=True)))
    np.testing.assert_allclose(read_xrd(path).two_theta, bent, atol=1e-5)  # five decimals were written


def test_points_that_separate_thousands_are_refused(tmp_path: Path) -> None:
    values = np.arange(950, 1150)
    text = "".join(f"{20 + 0.02 * i:.2f};{f'{v:,}'.replace(',', '.')}\n" for i, v in enumerate(values))
    assert "thousands" in refusal(tmp_path, text).reason
    rows = "".join(
        f"{20 + 0.02 * i:.2f}".replace(".", ",") + f";{f'{v:,}'.replace(',', '.')}\n" for i, v in enumerate(values)
    )
    assert "1.000" in refusal(tmp_path, rows).reason


def test_a_constant_third_column_is_no_standard_deviation(tmp_path: Path) -> None:
    path = tmp_path / "a.xy"
    path.write_text("".join(f"{20 + 0.02 * i:.2f} {v} 1.5\n" for i, v in enumerate(SCAN.counts)))
    pattern = read_xrd(path)
    assert "XRD_THIRD_COLUMN" in {message.code for message in pattern.messages}
    assert float(np.ptp(pattern.sigma)) > 0


def test_a_chi_with_fewer_rows_is_refused_for_good_and_more_rows_are_told(tmp_path: Path) -> None:
    rows = [f"  {20 + 0.02 * i:.5E}  {v:.5E}" for i, v in enumerate(SCAN.counts)]
    head = ["title", "2-Theta Angle (Degrees)", "Intensity"]
    error = refusal(tmp_path, "\n".join([*head, "      300", *rows, ""]), "a.chi")
    assert error.format_id == "chi"
    path = tmp_path / "b.chi"
    path.write_text("\n".join([*head, "      190", *rows, ""]))
    pattern = read_xrd(path)
    assert len(pattern) == 190
    assert "XRD_SURPLUS_RECORDS" in {message.code for message in pattern.messages}


def test_zero_padding_behind_the_declared_number_is_told(tmp_path: Path) -> None:
    counts = [*SCAN.counts.tolist(), 0, 0, 0, 0]
    path = tmp_path / "a.dat"
    path.write_text("title\n 201 0.02 20.0 1.5406\n" + "\n".join(map(str, counts)) + "\n")
    pattern = read_xrd(path, format="dbws_dat")
    np.testing.assert_array_equal(pattern.intensity, SCAN.counts)
    assert "XRD_SURPLUS_RECORDS" in {message.code for message in pattern.messages}


def test_all_streams_of_a_bzip2_are_read(tmp_path: Path) -> None:
    text = text_rows(SCAN).encode()
    path = tmp_path / "a.xy.bz2"
    path.write_bytes(bz2.compress(text[:1000]) + bz2.compress(text[1000:]))
    assert open_source(path).data == text


def test_an_archive_that_holds_a_member_twice_is_refused(tmp_path: Path) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("RawData0.xml", "<a/>")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("RawData0.xml", "<b/>")
    with pytest.raises(ReadError, match="twice"):
        read_members(SourceFile(path=tmp_path / "a.brml", data=body.getvalue()), lambda _: True)


def test_unknown_weights_of_a_cif_leave_the_counting_errors(tmp_path: Path) -> None:
    rows = "\n".join(f"{20 + 0.02 * i:.2f} {v} {'.' if i == 5 else 0.01}" for i, v in enumerate(SCAN.counts))
    path = tmp_path / "a.cif"
    path.write_text(f"data_a\nloop_\n_pd_meas_2theta_scan\n_pd_meas_counts_total\n_pd_proc_ls_weight\n{rows}\n")
    pattern = read_xrd(path)
    np.testing.assert_allclose(pattern.sigma, np.sqrt(np.maximum(SCAN.counts, 1.0)))


def pattern_of(anode: str = "", wavelength: float | None = None) -> Pattern:
    x, y = wide()
    lines = () if wavelength is None else (EmissionLine(wavelength=wavelength),)
    return Pattern(two_theta=x, intensity=y, sigma=np.sqrt(y), anode=anode, emission_lines=lines)


def contradictions(pattern: Pattern, **settings: object) -> list[str]:
    found = instrument_messages(pattern, InstrumentRecipe(**settings))  # type: ignore[arg-type]
    return [message.text for message in found if message.code == "XRD_RADIATION_CONTRADICTED"]


def test_what_the_user_says_against_what_the_file_says_is_told_with_both() -> None:
    (text,) = contradictions(pattern_of("Cu", 1.540598), radiation="CoKa")
    assert "Co" in text
    assert "1.54060" in text
    assert "1.78" in text
    assert contradictions(pattern_of("Cu"), wavelengths=(0.7093,))
    assert not contradictions(pattern_of("Cu", 1.540598), radiation="CuKa")
    assert not contradictions(pattern_of("Cu", 1.5418))
    assert not contradictions(pattern_of("Cu", 1.39225))  # Kβ is the anode's as well


def test_a_wavelength_that_is_not_the_anodes_is_told() -> None:
    (text,) = contradictions(pattern_of("Co", 1.540598))
    assert "1.54060" in text
    assert "1.78" in text


def test_nanometres_are_asked_about() -> None:
    from xrdcomp.cli.options import build_recipe

    with pytest.raises(RecipeError, match=r"did you mean 1\.54 "):
        build_recipe({"wavelength": "0.154"})
    assert build_recipe({"wavelength": "0.1665"}).instrument.wavelengths == (0.1665,)


@pytest.mark.parametrize(("factor", "points"), [(10.0, 2), (10.0, 3), (10.0, 6), (0.1, 40), (4.0, 60), (10.0, 300)])
def test_a_stretch_of_another_scale_is_told(factor: float, points: int) -> None:
    told = 0
    for seed in range(10):
        x, y = wide(seed)
        y[300 : 300 + points] = np.round(factor * y[300 : 300 + points])
        told += "XRD_SCALE_CHANGES" in codes(x, y)
    assert told >= 9


def test_a_short_stretch_is_told_however_it_scatters() -> None:
    """Thirteen points scatter by chance as if they had not been multiplied in one stretch of twenty."""
    for seed in range(60):
        x, y = wide(seed)
        y[300:313] *= 10.0
        assert "XRD_SCALE_CHANGES" in codes(x, y), seed


def test_steps_of_few_counts_are_no_other_scale() -> None:
    """Poisson counts step by a factor of two by chance somewhere; their variance per count stays."""
    x = np.arange(10.0, 80.0, 0.02)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        steps = 12.0 + 12.0 * (np.arange(len(x)) // 40 % 2)
        assert "XRD_SCALE_CHANGES" not in codes(x, rng.poisson(steps).astype(float)), seed


def test_two_zeros_among_many_counts_are_told() -> None:
    x, y = wide()
    assert "XRD_ZERO_RUN" not in codes(x, y)
    y[400:402] = 0.0
    assert "XRD_ZERO_RUN" in codes(x, y)


@pytest.mark.parametrize(("ratio", "told"), [(0.5, False), (0.48, False), (0.05, True), (0.9, True)])
def test_a_ratio_that_no_tube_emits_is_told_and_used(ratio: float, told: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.uxd"
    path.write_text(uxd(SCAN).decode().replace("_WLRATIO=0.5", f"_WLRATIO={ratio}"))
    pattern = read_xrd(path)
    assert pattern.emission_lines[1].weight == ratio
    assert ("XRD_KALPHA2_UNUSUAL" in [note.code for note in pattern.messages]) is told


def test_counts_that_are_called_a_rate_are_told() -> None:
    x, y = wide()
    assert "XRD_UNIT_DOUBTFUL" in codes(x, y, unit="cps", counting_time_s=10.0)
    assert "XRD_UNIT_DOUBTFUL" not in codes(x, y / 10.0, unit="cps", counting_time_s=10.0)


def test_a_first_row_without_its_angle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.xy"
    rows = [f"{x:.3f} {y}" for x, y in zip(SCAN.two_theta, SCAN.counts, strict=True)]
    path.write_text("\n".join([f"x {SCAN.counts[0]}", *rows[1:]]) + "\n")
    assert "XRD_HEADER_NUMBERS" in [note.code for note in read_xrd(path).messages]
    path.write_text("\n".join(["two_theta counts", *rows]) + "\n")
    assert "XRD_HEADER_NUMBERS" not in [note.code for note in read_xrd(path).messages]


def test_fractions_among_counts_are_told() -> None:
    x, y = wide()
    high = y > 1000
    y[high] /= 1000.0  # a point before three figures, read as the decimal sign
    assert "XRD_ODD_COUNTS" in codes(x, y)


@pytest.mark.parametrize("change", [-9, -1, 1, 4])
def test_a_count_lost_or_doubled_between_the_ends_of_an_xrdml_is_told(tmp_path: Path, change: int) -> None:
    counts = SCAN.counts.tolist()
    counts = counts[:60] + counts[60 - change :] if change < 0 else counts[: 60 + change] + counts[60:]
    data = xrdml(SCAN).decode()
    listed = " ".join(f"{v:g}" for v in SCAN.counts)
    assert listed in data
    path = tmp_path / "a.xrdml"
    path.write_text(data.replace(listed, " ".join(f"{v:g}" for v in counts)))
    assert "201 would make" in "".join(note.text for note in read_xrd(path).messages)


def test_a_column_that_is_missing_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.ras"
    rows = ras(SCAN).decode("cp932").split("\r\n")

    def written(*columns: int) -> bytes:
        cells = (" ".join(row.split()[i] for i in columns) if row[:2].isdigit() else row for row in rows)
        return "\r\n".join(cells).encode("cp932")

    path.write_bytes(written(0, 2))
    with pytest.raises(ReadError, match="every count is 1"):
        read_xrd(path)
    path.write_bytes(written(0, 2, 1))
    with pytest.raises(ReadError, match="every count is 1"):
        read_xrd(path)
    path = tmp_path / "a.uxd"
    lines = uxd(SCAN).decode().split("\n")
    path.write_text("\n".join(line.split("\t")[0] if line[:1].isdigit() else line for line in lines))
    with pytest.raises(ReadError, match="another number of values than 2"):
        read_xrd(path)
    path = tmp_path / "a.xy"
    path.write_text("".join(f"{x:.3f} {x + 0.02:.3f}\n" for x in SCAN.two_theta))
    with pytest.raises(ReadError, match="as the angles do"):
        read_xrd(path)
