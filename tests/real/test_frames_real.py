"""Real frames: a calibrated Pilatus image, Bruker SFRM and GFRM, Dectris CBF, an image plate without geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.errors import AnalysisError, ReadError

pytest.importorskip("fabio", reason='needs the optional packages of pip install "xrdcomp[frames]"')
pytest.importorskip("pyFAI", reason='needs the optional packages of pip install "xrdcomp[frames]"')

from xrdcomp.frames.integrate import azimuthal_profile, integrate_frames
from xrdcomp.frames.read import read_frame
from xrdcomp.io.front import inspect_file, read_xrd

pytestmark = pytest.mark.fixtures

CERIA_A = 5.4112  # Å, NIST SRM 674b
REFLECTIONS = ((1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (3, 3, 1), (4, 2, 0), (4, 2, 2))
PILATUS, CALIBRATION = "xrd/image2d/CeO2_Pilatus1M.tif.bz2", "xrd/image2d/CeO2_Pilatus1M.poni"
UPSIDE_DOWN = 2  # the calibration was made on the image turned upside down: first pixel top right


def line(pattern: Pattern, centre: float, half: float) -> tuple[float, float]:
    """Centroid and area of the net intensity within ± half."""
    near = np.abs(pattern.two_theta - centre) < half
    x, y = pattern.two_theta[near], pattern.intensity[near]
    net = y - np.interp(x, [x[0], x[-1]], [y[:3].mean(), y[-3:].mean()])
    core = np.abs(x - x[int(net.argmax())]) < half / 2.0
    weight = np.clip(net[core], 0.0, None)
    return float((x[core] * weight).sum() / weight.sum()), float(np.trapezoid(net, x))


def spacing_errors(pattern: Pattern, wavelength: float, half: float) -> np.ndarray:
    """Relative deviations of the spacings of CeO2."""
    errors = []
    for hkl in REFLECTIONS:
        true = CERIA_A / float(np.sqrt(sum(index**2 for index in hkl)))
        expected = 2.0 * float(np.degrees(np.arcsin(wavelength / 2.0 / true)))
        measured, _ = line(pattern, expected, half)
        errors.append(wavelength / 2.0 / float(np.sin(np.radians(measured / 2.0))) / true - 1.0)
    return np.array(errors)


def test_calibrated_image_gives_the_spacings_of_ceria(real_files: Path) -> None:
    pattern = integrate_frames(real_files / PILATUS, poni=real_files / CALIBRATION, orientation=UPSIDE_DOWN)
    errors = spacing_errors(pattern, 0.4066, 0.15)
    because = "0.02 pixel of a ring of 160 pixels; the calibration itself was refined on this image"
    assert_close(errors, 0.0, atol=4e-4, because=because)


def test_calibrated_image_agrees_with_another_program(real_files: Path) -> None:
    """The other program did not mask the gaps: they count as zero there and lower every ring differently."""
    ours = integrate_frames(real_files / PILATUS, poni=real_files / CALIBRATION, orientation=UPSIDE_DOWN)
    other = read_xrd(real_files / "xrd/xy/CeO2_Pilatus1M.xy")
    shifts, ratios = [], []
    for hkl in REFLECTIONS:
        true = CERIA_A / float(np.sqrt(sum(index**2 for index in hkl)))
        centre = 2.0 * float(np.degrees(np.arcsin(0.4066 / 2.0 / true)))
        (here, area), (there, reference) = line(ours, centre, 0.12), line(other, centre, 0.12)
        shifts.append(here - there)
        ratios.append(area / reference)
    assert_close(shifts, 0.0, atol=4e-3, because="a fifth of the steps of 0.02 degrees")
    relative = np.array(ratios) / np.median(ratios)
    assert_close(relative, 1.0, atol=0.13, because="gaps cover up to a tenth of a ring; grains are few")
    inside = (other.two_theta > 2.0) & (other.two_theta < 30.0)
    same = np.interp(other.two_theta[inside], ours.two_theta, ours.intensity)
    assert np.corrcoef(same, other.intensity[inside])[0, 1] > 0.985


def test_wrong_orientation_smears_the_rings(real_files: Path) -> None:
    """The sharpest maximum tells the orientation: others are four times lower."""
    heights = {
        orientation: float(
            integrate_frames(
                real_files / PILATUS, poni=real_files / CALIBRATION, orientation=orientation
            ).intensity.max()
        )
        for orientation in (1, 2, 3, 4)
    }
    for orientation in heights:
        pattern = integrate_frames(real_files / PILATUS, poni=real_files / CALIBRATION, orientation=orientation)
        named = [note.facts["orientation"] for note in pattern.messages if note.code == "FRAME_ORIENTATION"]
        assert named == ([] if orientation == UPSIDE_DOWN else [UPSIDE_DOWN])
    right = heights.pop(UPSIDE_DOWN)
    assert right > 3.0 * max(heights.values())


@pytest.mark.parametrize(("name", "bias"), [("powCeO2_00", -0.003), ("powCeO2_02", -0.005)])
def test_bruker_header_geometry_gives_ceria_within_its_accuracy(name: str, bias: float, real_files: Path) -> None:
    """Distance in the header: 0.3 and 0.5 % too short, the same for all lines; what is left scatters by 0.1 %."""
    pattern = integrate_frames(real_files / f"xrd/sfrm/{name}.sfrm")
    errors = spacing_errors(pattern, 0.71073, 0.6)
    assert_close(errors.mean(), bias, atol=1e-3, because="ceiling: what the header's distance gave")
    assert_close(errors - errors.mean(), 0.0, atol=1.8e-3, because="tilts of 0.3 degrees that are not applied")
    assert [emission.wavelength for emission in pattern.emission_lines] == [0.7093, 0.71359]
    assert "FRAME_HEADER_GEOMETRY" in [note.code for note in pattern.messages]


def test_swung_frame_reaches_beyond_the_centred_one(real_files: Path) -> None:
    paths = [real_files / f"xrd/sfrm/powCeO2_0{number}.sfrm" for number in (0, 2)]
    merged = integrate_frames(paths)
    assert merged.two_theta[0] < 0.5
    assert merged.two_theta[-1] > 64.0
    notes = {note.code: note for note in merged.messages}
    # one second of the second frame counts twice what one second of the first does: not one experiment
    assert_close(float(notes["FRAME_OVERLAP"].facts["ratio"]), 2.0, rtol=0.1, because="ceiling: as measured")


def test_unoriented_ceria_shows_no_orientation(real_files: Path) -> None:
    profile = azimuthal_profile(real_files / "xrd/sfrm/powCeO2_00.sfrm", d_spacing=1.913)
    assert profile.oriented is False
    assert profile.amplitude < 0.05
    half_seen = azimuthal_profile(real_files / "xrd/sfrm/powCeO2_02.sfrm", d_spacing=3.124)
    assert half_seen.oriented is None
    assert half_seen.hermans is None


def test_cylinder_frame_covers_the_range_of_its_scan(real_files: Path) -> None:
    """Scan from 19.99 to 46.81 degrees; 1341 columns of 0.02 degrees. Rings reach 0.3 degrees further at the rim.

    The frame shows no line, but the diffuse maximum of glass, at 20 to 26 degrees with Cu Kα.
    """
    path = next((real_files / "xrd/gfrm").glob("*.gfrm"))
    frame = read_frame(path)
    assert frame.shape == (987, 1341)
    assert frame.counts.sum() == 66237097
    assert frame.geometry is not None
    assert_close(frame.geometry.pixel_row_mm, 0.075, rtol=1e-6, because="pixel pitch of an Eiger2")
    assert_close(frame.geometry.pixel_column_mm, 0.115448, rtol=1e-5, because="stated in the header (PHD)")
    pattern = integrate_frames(path, n_points=300)
    assert_close(pattern.two_theta[[0, -1]], [19.99, 47.1], atol=0.15, because="two of the 300 steps")
    assert 20.0 < pattern.two_theta[int(pattern.intensity.argmax())] < 26.0


@pytest.mark.parametrize(
    ("name", "distance", "wavelength"),
    [("DLS_I03_smargon_0001.cbf.gz", 291.47, 0.97625), ("dlsnxs2cbf_therm_0001.cbf.gz", 213.96, 0.98027)],
)
def test_dectris_frames_carry_their_geometry(name: str, distance: float, wavelength: float, real_files: Path) -> None:
    frame = read_frame(real_files / "xrd/image2d" / name)
    assert frame.geometry is not None
    assert_close(frame.geometry.distance_mm, distance, atol=1e-6, because="decimal number of the header")
    assert [line.wavelength for line in frame.emission_lines] == [wavelength]
    assert frame.masked.mean() > 0.05  # gaps between the modules
    if frame.counts.size < 10_000_000:
        pattern = integrate_frames(real_files / "xrd/image2d" / name)
        assert pattern.two_theta[-1] > 40.0


def test_image_plate_without_geometry_is_refused_in_words(real_files: Path) -> None:
    with pytest.raises(AnalysisError, match="does not say where the detector stood"):
        integrate_frames(real_files / "xrd/image2d/film16.tif")


def test_header_sums_of_all_bruker_frames_hold(real_files: Path) -> None:
    paths = [*(real_files / "xrd/sfrm").glob("*.sfrm"), *(real_files / "xrd/gfrm").glob("*.gfrm")]
    assert len(paths) >= 5
    for path in paths:
        assert "FRAME_COUNT_SUM" not in [note.code for note in read_frame(path).messages]
        assert inspect_file(path)["kind"] == "xrd_frame"


@pytest.mark.parametrize(
    "name", ["xrd/sfrm/powCeO2_02.sfrm", "xrd/image2d/film16.tif", PILATUS, "xrd/image2d/DLS_I03_smargon_0001.cbf.gz"]
)
def test_damaged_copies_of_real_frames(name: str, real_files: Path, tmp_path: Path) -> None:
    """Cut copies are refused; flipped bytes are refused or leave a frame of the declared size."""
    whole = (real_files / name).read_bytes()
    copy = tmp_path / Path(name).name
    size = read_frame(real_files / name).counts.size
    for share in (0.001, 0.2, 0.7, 0.999):
        copy.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ReadError):
            read_frame(copy)
    random = np.random.default_rng(5)
    for _ in range(8):
        damaged = bytearray(whole)
        damaged[int(random.integers(0, len(whole)))] ^= int(random.integers(1, 256))
        copy.write_bytes(bytes(damaged))
        try:
            assert read_frame(copy).counts.size == size
        except ReadError:
            continue
