"""Integration against scenes whose angles and rates are known exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests import frame_writers as fw
from tests.helpers import SCAN_KEYS, assert_close
from xrdcomp.data import Pattern
from xrdcomp.errors import AnalysisError, ReadError

pytest.importorskip("fabio", reason='needs the optional packages of pip install "xrdcomp[frames]"')
pytest.importorskip("pyFAI", reason='needs the optional packages of pip install "xrdcomp[frames]"')

from xrdcomp.frames.integrate import azimuthal_profile, integrate_frames
from xrdcomp.frames.read import Sector, describe_frame, load_poni, pixel_map, read_frame

FLAT = fw.Scene()
SWUNG = fw.Scene(swing=14.0, seconds=5.0)
CYLINDER = fw.Scene(radius_step=0.15, column_start=6.0)


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def frame(folder: Path, scene: fw.Scene, name: str = "f.gfrm", *, seed: int = 3, **header: str) -> Path:
    return written(folder, name, fw.bruker(scene, scene.counts(seed), **header))


def pulls(pattern: Pattern, scene: fw.Scene) -> np.ndarray:
    """Deviation from the true rate in standard deviations, where the rate is flat over a step."""
    truth = scene.rate_at(pattern.two_theta)
    flat = np.ones(len(pattern), dtype=bool)
    for centre, _ in fw.RINGS:
        flat &= np.abs(pattern.two_theta - centre) > 5.0 * fw.RING_WIDTH
    found: np.ndarray = ((pattern.intensity - truth) / pattern.sigma)[flat]
    return found


def centroid(pattern: Pattern, centre: float) -> float:
    near = np.abs(pattern.two_theta - centre) < 4.0 * fw.RING_WIDTH
    net = pattern.intensity[near] - fw.BACKGROUND
    return float((pattern.two_theta[near] * net).sum() / net.sum())


@pytest.mark.parametrize("scene", [FLAT, SWUNG, FLAT.but(swing=-9.0), CYLINDER], ids=["flat", "+14", "-9", "cylinder"])
def test_angles_and_solid_angles_equal_plain_trigonometry(scene: fw.Scene, tmp_path: Path) -> None:
    read = read_frame(frame(tmp_path, scene))
    pixels = pixel_map(read.geometry, read.shape)
    two_theta, azimuth, solid = scene.angles()
    because = "pyFAI keeps corners of a cylinder in single precision: 1e-7 of 100 mm is 1e-4 degrees"
    assert_close(pixels.two_theta, two_theta, atol=3e-4, because=because)
    turn = np.mod(pixels.azimuth - azimuth + 180.0, 360.0) - 180.0
    assert_close(turn[two_theta > 5.0], 0.0, atol=3e-3, because=because + ", over the sine of 5 degrees")
    assert_close(pixels.solid_angle / pixels.solid_angle.max(), solid / solid.max(), rtol=2e-3, because=because)


@pytest.mark.parametrize("scene", [FLAT, SWUNG, CYLINDER], ids=["flat", "swung", "cylinder"])
def test_rings_and_rates_are_recovered_within_counting(scene: fw.Scene, tmp_path: Path) -> None:
    pattern = integrate_frames(frame(tmp_path, scene))
    for centre, _ in fw.RINGS:
        because = "centroid of 10^5 counts in a line of sigma 0.25 degrees: 0.002, and steps of 0.1 degrees"
        assert_close(centroid(pattern, centre), centre, atol=0.01, because=because)
    found = pulls(pattern, scene)
    limit = 4.0 / np.sqrt(2.0 * len(found))
    assert_close(found.std(), 1.0, atol=limit, because="four standard errors of a standard deviation")
    assert abs(found.mean()) < 4.0 / np.sqrt(len(found))
    assert pattern.intensity_unit == "cps"


def test_frame_stored_from_the_bottom_is_turned_by_its_strongest_pixel(tmp_path: Path) -> None:
    scene = FLAT.but(center_row=60.0)
    flipped = scene.but(center_row=scene.rows - 60.0)
    top = integrate_frames(frame(tmp_path, scene, "t.gfrm"))
    content = fw.bruker(flipped, scene.counts()[::-1], bottom_first=True)
    # rows from the bottom: the beam is at row rows - 60 of the file, and CENTER says so directly
    bottom = integrate_frames(written(tmp_path, "b.gfrm", content))
    assert_close(top.intensity, bottom.intensity, rtol=1e-6, because="seven decimals of the pixel pitch in the header")


@pytest.mark.parametrize("factor", ["1.0", "0.1"])
def test_older_bruker_frames_hold_the_same_counts(factor: str, tmp_path: Path) -> None:
    counts = FLAT.counts()
    read = read_frame(written(tmp_path, "f.gfrm", fw.bruker86(FLAT, counts, factor=factor)))
    assert_close(read.counts, counts * float(factor), rtol=1e-12, because="whole numbers times the factor")
    assert read.geometry == read_frame(frame(tmp_path, FLAT, "g.gfrm")).geometry


@pytest.mark.parametrize("flip", [1, 2, 3, 4])
def test_flipped_images_with_their_orientation_give_one_pattern(flip: int, tmp_path: Path) -> None:
    scene = FLAT.but(center_row=70.0, center_column=60.0)
    counts = scene.counts().astype(np.int32)
    turned = {1: counts[::-1, ::-1], 2: counts[::-1], 3: counts, 4: counts[:, ::-1]}[flip]
    calibration = written(tmp_path, "c.poni", fw.poni(scene))
    image = written(tmp_path, "f.tif", fw.tiff(np.ascontiguousarray(turned)))
    pattern = integrate_frames(image, poni=calibration, orientation=flip)
    plain = integrate_frames(written(tmp_path, "g.tif", fw.tiff(counts)), poni=calibration)
    for right in (pattern, plain):
        assert "FRAME_ORIENTATION" not in {note.code for note in right.messages}
    wrong = [note for note in integrate_frames(image, poni=calibration).messages if note.code == "FRAME_ORIENTATION"]
    assert len(wrong) == (flip != 3)  # pyFAI's usual corner, which the PONI file means
    assert all(note.facts["orientation"] == flip for note in wrong)
    assert_close(centroid(pattern, 20.0), 20.0, atol=0.02, because="centroid of counts in steps of 0.1 degrees")
    assert_close(pattern.intensity.sum(), plain.intensity.sum(), rtol=1e-3, because="pixels move between bins")


def test_all_formats_of_one_image_give_one_pattern(tmp_path: Path) -> None:
    counts = FLAT.counts()
    calibration = written(tmp_path, "c.poni", fw.poni(FLAT))
    contents = {
        "a.tif": fw.tiff(counts.astype(np.int32)),
        "b.tif": fw.tiff(counts.astype(np.uint16), order=">"),
        "c.cbf": fw.cbf(counts),
        "d.edf": fw.edf(counts),
        "e.gfrm": fw.bruker(FLAT, counts, ELAPSDA="0", ELAPSDR="0"),
    }
    patterns = [
        integrate_frames(written(tmp_path, name, content), poni=calibration) for name, content in contents.items()
    ]
    for pattern in patterns[1:]:
        np.testing.assert_array_equal(pattern.intensity, patterns[0].intensity)
    assert patterns[0].intensity_unit == "counts"
    assert patterns[-1].emission_lines[1].wavelength == 1.54439  # the header's doublet fits the calibration


def test_dectris_header_gives_the_geometry(tmp_path: Path) -> None:
    pattern = integrate_frames(written(tmp_path, "f.cbf", fw.cbf(FLAT.counts(), header=fw.dectris_header(FLAT))))
    assert_close(centroid(pattern, 20.0), 20.0, atol=0.01, because="centroid of counts in steps of 0.1 degrees")
    assert [line.wavelength for line in pattern.emission_lines] == [1.5406]


def test_result_equals_pyfai_without_splitting(tmp_path: Path) -> None:
    calibration = written(tmp_path, "c.poni", fw.poni(FLAT))
    image = written(tmp_path, "f.tif", fw.tiff(FLAT.counts().astype(np.int32)))
    pattern = integrate_frames(image, poni=calibration, n_points=120)
    read = read_frame(image)
    pixels = pixel_map(load_poni(calibration), read.shape)
    oracle = load_poni(calibration).integrate1d(
        read.counts, 120, unit="2th_deg", error_model="poisson", method=("no", "histogram", "cython"),
        radial_range=(pixels.two_theta.min(), pixels.two_theta.max()),
    )  # fmt: skip
    there = np.isin(np.round(oracle.radial, 3), np.round(pattern.two_theta, 3))
    assert there.sum() == len(pattern)
    because = "a few of 48000 pixels lie on the edge of a bin, and pyFAI keeps single precision"
    relative = np.abs(pattern.intensity / oracle.intensity[there] - 1.0)
    assert np.median(relative) < 1e-4, because
    assert_close(pattern.sigma[5:-5], oracle.sigma[there][5:-5], rtol=0.03, because=because)


def test_merged_frames_cover_both_ranges_and_weigh_by_exposure(tmp_path: Path) -> None:
    first = frame(tmp_path, FLAT, "a.gfrm")
    second = frame(tmp_path, SWUNG.but(swing=25.0), "b.gfrm", seed=9)
    merged = integrate_frames([first, second])
    alone = [integrate_frames(path) for path in (first, second)]
    assert merged.two_theta[-1] > alone[0].two_theta[-1] + 5.0
    found = pulls(merged, FLAT)
    assert_close(found.std(), 1.0, atol=4.0 / np.sqrt(2.0 * len(found)), because="four standard errors")
    assert not [note for note in merged.messages if note.code == "FRAME_OVERLAP"]
    twice = integrate_frames([first, first])
    both = np.isin(twice.two_theta, alone[0].two_theta)  # steps with few pixels reach the least number only twice
    assert both.sum() == len(alone[0])
    assert_close(twice.sigma[both], alone[0].sigma / np.sqrt(2.0), rtol=1e-12, because="twice the counts, identity")
    assert_close(twice.intensity[both], alone[0].intensity, rtol=1e-12, because="the same rate, identity")


def test_frames_that_disagree_where_they_overlap_are_reported(tmp_path: Path) -> None:
    paths = [frame(tmp_path, FLAT, "a.gfrm"), frame(tmp_path, SWUNG.but(rate=1.5), "b.gfrm")]
    notes = {note.code: note for note in integrate_frames(paths).messages}
    assert_close(float(notes["FRAME_OVERLAP"].facts["ratio"]), 1.5, rtol=0.01, because="10^6 counts overlap")


def test_exposure_known_for_one_frame_only_is_refused(tmp_path: Path) -> None:
    paths = [frame(tmp_path, FLAT, "a.gfrm"), frame(tmp_path, FLAT, "b.gfrm", ELAPSDA="0")]
    with pytest.raises(AnalysisError, match="exposure"):
        integrate_frames(paths)


def test_sector_sees_only_its_azimuths(tmp_path: Path) -> None:
    path = frame(tmp_path, FLAT.but(amplitude=0.8, direction=90.0))
    heights = {}
    for middle in (0.0, 90.0, 180.0):
        pattern = integrate_frames(path, sector=(middle - 15.0, middle + 15.0))
        heights[middle] = np.interp(20.0, pattern.two_theta, pattern.intensity) - fw.BACKGROUND
    because = "mean of cos(2φ) over ±15 degrees is 0.955: 90 (1 ± 0.76); 5 % is three standard deviations"
    assert_close([heights[90.0], heights[0.0], heights[180.0]], [158.8, 21.2, 21.2], atol=8.0, because=because)
    with pytest.raises(AnalysisError, match="counts are left"):
        integrate_frames(path, sector=Sector(start=0.0, stop=1e-6))


def test_masked_pixels_do_not_count(tmp_path: Path) -> None:
    counts = FLAT.counts()
    shadow = np.zeros(counts.shape, dtype=bool)
    shadow[:, 100:118] = True
    hidden = np.where(shadow, counts // 3, counts)
    calibration = written(tmp_path, "c.poni", fw.poni(FLAT))
    image = written(tmp_path, "f.tif", fw.tiff(hidden.astype(np.int32)))
    np.save(tmp_path / "m.npy", shadow)
    mask_image = written(tmp_path, "m.edf", fw.edf(shadow.astype(np.int64)))
    truth = FLAT.but(seconds=1.0, rate=FLAT.seconds)
    for mask in (tmp_path / "m.npy", mask_image, shadow):
        found = pulls(integrate_frames(image, poni=calibration, mask=mask), truth.but())
        scaled = found.std()
        assert scaled < 20.0
    masked = integrate_frames(image, poni=calibration, mask=shadow)
    ratio = masked.intensity / FLAT.seconds / FLAT.rate_at(masked.two_theta)
    open_ = integrate_frames(image, poni=calibration)
    unmasked = open_.intensity / FLAT.seconds / FLAT.rate_at(open_.two_theta)
    assert_close(np.median(ratio), 1.0, atol=0.01, because="median of 300 points of 5 % each")
    assert np.median(unmasked) < 0.97


def test_negative_saturated_and_gap_pixels_are_masked(tmp_path: Path) -> None:
    counts = FLAT.counts()
    counts[10, 20], counts[:, 60:63], counts[50, 51] = -1, 0, -2
    counts[90, 30] = 200_000
    read = read_frame(written(tmp_path, "f.cbf", fw.cbf(counts, header=fw.dectris_header(FLAT))))
    assert read.masked[10, 20]
    assert read.masked[50, 51]
    assert read.masked[90, 30]
    assert read.masked[:, 60:63].all()
    assert read.masked.sum() == 3 * FLAT.rows + 3


@pytest.mark.parametrize("name", ["f.gfrm", "f.tif", "f.cbf", "f.edf"])
def test_frames_of_zeros_are_refused(name: str, tmp_path: Path) -> None:
    zero = np.zeros((FLAT.rows, FLAT.columns), dtype=np.int64)
    if name == "f.cbf":
        zero[0, 0] = -1  # a dead pixel, as in every frame of such a detector
    content = {
        "f.gfrm": fw.bruker(FLAT, zero),
        "f.tif": fw.tiff(zero.astype(np.int32)),
        "f.cbf": fw.cbf(zero),
        "f.edf": fw.edf(zero),
    }[name]
    with pytest.raises(ReadError, match="all pixels are zero"):
        read_frame(written(tmp_path, name, content))


def test_header_sums_are_checked(tmp_path: Path) -> None:
    counts = FLAT.counts()
    with pytest.raises(ReadError, match="MAXIMUM"):
        read_frame(written(tmp_path, "a.gfrm", fw.bruker(FLAT, counts, MAXIMUM=f"{counts.max() + 7}")))
    with pytest.raises(ReadError, match="NCOUNTS"):
        read_frame(written(tmp_path, "b.gfrm", fw.bruker(FLAT, counts, NCOUNTS=f"{2 * counts.sum()} 0")))
    slightly = fw.bruker(FLAT, counts, NCOUNTS=f"{counts.sum() + 500} 0")
    notes = read_frame(written(tmp_path, "c.gfrm", slightly)).messages
    assert [note.code for note in notes] == ["FRAME_COUNT_SUM"]
    rounded = fw.bruker(FLAT, counts, NCOUNTS=f"{int(np.float32(counts.sum()))} 0")
    assert not read_frame(written(tmp_path, "d.gfrm", rounded)).messages


def test_noise_other_than_counting_is_reported(tmp_path: Path) -> None:
    counts = FLAT.counts()
    gained = read_frame(written(tmp_path, "g.edf", fw.edf(4 * counts)))
    assert gained.dispersion is not None
    assert_close(gained.dispersion, 4.0, rtol=0.25, because="rings add their own curvature, 15 % here")
    assert "FRAME_NOT_POISSON" in [note.code for note in gained.messages]
    plain = read_frame(written(tmp_path, "p.edf", fw.edf(counts)))
    assert "FRAME_NOT_POISSON" not in [note.code for note in plain.messages]


def test_dead_areas_are_reported(tmp_path: Path) -> None:
    counts = FLAT.counts()
    counts[40:90, 20:70] = 0
    notes = integrate_frames(written(tmp_path, "f.gfrm", fw.bruker(FLAT, counts))).messages
    assert "FRAME_DEAD_AREA" in [note.code for note in notes]


def test_polarisation_is_divided_out_only_on_request(tmp_path: Path) -> None:
    path = frame(tmp_path, FLAT)
    plain, tube = integrate_frames(path), integrate_frames(path, polarization=0.0)
    factor = (1.0 + np.cos(np.radians(plain.two_theta)) ** 2) / 2.0
    because = "the factor is taken per pixel here, at the middle of the bin in the formula"
    assert_close(plain.intensity / tube.intensity, factor, rtol=2e-3, because=because)
    with pytest.raises(AnalysisError, match="polarisation"):
        integrate_frames(path, polarization=2.0)


def test_missing_geometry_and_wrong_settings_are_named(tmp_path: Path) -> None:
    image = written(tmp_path, "f.tif", fw.tiff(FLAT.counts().astype(np.int32)))
    with pytest.raises(AnalysisError, match="Pass it as poni="):
        integrate_frames(image)
    calibration = written(tmp_path, "c.poni", fw.poni(FLAT))
    with pytest.raises(AnalysisError, match="orientation"):
        integrate_frames(image, poni=calibration, orientation=7)
    with pytest.raises(AnalysisError, match="only together with poni"):
        integrate_frames(frame(tmp_path, FLAT), orientation=2)
    with pytest.raises(AnalysisError, match="n_points"):
        integrate_frames(image, poni=calibration, n_points=1)
    with pytest.raises(AnalysisError, match="leaves no pixel"):
        integrate_frames(image, poni=calibration, mask=np.ones((FLAT.rows, FLAT.columns), dtype=bool))
    with pytest.raises(AnalysisError, match="calibrations"):
        integrate_frames([image, image, image], poni=[calibration, calibration])


def test_orientation_is_recovered_and_absent_in_a_powder(tmp_path: Path) -> None:
    spacing = 1.5406 / 2.0 / np.sin(np.radians(10.0))
    calibration = written(tmp_path, "c.poni", fw.poni(FLAT))
    amplitudes, directions = [], []
    for seed in range(6):
        scene = FLAT.but(amplitude=0.4, direction=35.0)
        image = written(tmp_path, f"{seed}.tif", fw.tiff(scene.counts(seed).astype(np.int32)))
        profile = azimuthal_profile(image, d_spacing=spacing, half_width=1.0, poni=calibration)
        amplitudes.append((profile.amplitude - 0.4) / profile.amplitude_esd)
        directions.append(profile.direction)
        assert profile.oriented
        assert profile.coverage == pytest.approx(1.0)
    assert np.max(np.abs(amplitudes)) < 3.5  # six draws of a normal variable: one in 350
    assert_close(np.mean(directions), 35.0, atol=1.5, because="three standard errors of the mean of six")
    image = written(tmp_path, "p.tif", fw.tiff(FLAT.counts().astype(np.int32)))
    powder = azimuthal_profile(image, d_spacing=spacing, half_width=1.0, poni=calibration)
    assert not powder.oriented
    assert powder.hermans is not None
    assert_close(powder.hermans, 0.0, atol=0.02, because="a powder; a0 is known to 1 %")
    assert powder.graininess < 1.8  # reduced χ² of 67 degrees of freedom: 1 ± 0.17


def test_hermans_factor_of_a_second_harmonic(tmp_path: Path) -> None:
    amplitude = 0.4
    phi = np.linspace(0.0, np.pi, 20001)
    weight = np.sin(phi) * (1.0 + amplitude * np.cos(2.0 * phi))
    truth = (3.0 * (weight * np.cos(phi) ** 2).sum() / weight.sum() - 1.0) / 2.0
    scene = FLAT.but(amplitude=amplitude, direction=90.0)
    image = written(tmp_path, "f.tif", fw.tiff(scene.counts().astype(np.int32)))
    spacing = 1.5406 / 2.0 / np.sin(np.radians(10.0))
    calibration = written(tmp_path, "c.poni", fw.poni(scene))
    found = azimuthal_profile(image, d_spacing=spacing, half_width=1.0, poni=calibration).hermans
    assert found is not None
    assert_close(found, truth, atol=0.02, because="a0 is known to 1 %, sectors are 5 degrees wide")


def test_absent_rings_and_missing_wavelength_are_named(tmp_path: Path) -> None:
    image = written(tmp_path, "f.tif", fw.tiff(FLAT.counts().astype(np.int32)))
    calibration = written(tmp_path, "c.poni", fw.poni(FLAT))
    for spacing, words in ((3.75, "no ring"), (1.0, "is seen in"), (0.5, "does not diffract"), (-1.0, "spacing")):
        with pytest.raises(AnalysisError, match=words):
            azimuthal_profile(image, d_spacing=spacing, poni=calibration)
    text = "\n".join(line for line in fw.poni(FLAT).splitlines() if not line.startswith("Wavelength"))
    with pytest.raises(AnalysisError, match="wavelength"):
        azimuthal_profile(image, poni=written(tmp_path, "w.poni", text + "\n"))


def test_eiger_images_are_summed_with_mask_and_geometry(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="comes with the extra")
    path = tmp_path / "run_master.h5"
    images = np.stack([FLAT.counts(seed).astype(np.uint32) for seed in (1, 2, 3)])
    images[1, 7, 9] = 2**32 - 1
    bad = np.zeros(images.shape[1:], dtype=np.uint32)
    bad[3, 4] = 1
    facts = {
        "detector_distance": FLAT.distance * 1e-3, "beam_center_x": FLAT.center_column,
        "beam_center_y": FLAT.center_row, "x_pixel_size": FLAT.pixel * 1e-3, "y_pixel_size": FLAT.pixel * 1e-3,
        "count_time": FLAT.seconds,
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        file["entry/data/data_000001"] = images[:2]
        file["entry/data/data_000002"] = images[2:]
        for name, value in facts.items():
            file[f"entry/instrument/detector/{name}"] = value
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = bad
        file["entry/instrument/beam/incident_wavelength"] = 1.5406
    read = read_frame(path)
    assert read.masked[7, 9]
    assert read.masked[3, 4]
    assert read.masked.sum() == 2
    assert read.exposure_s == 3 * FLAT.seconds
    assert read.counts[0, 0] == images[:, 0, 0].sum()
    pattern = integrate_frames(path)
    assert_close(centroid(pattern, 20.0), 20.0, atol=0.01, because="centroid of counts in steps of 0.1 degrees")
    with h5py.File(path, "a") as file:
        file["entry/data/data_000003"] = h5py.ExternalLink("gone.h5", "/entry/data/data")
    with pytest.raises(ReadError, match=r"gone\.h5"):
        read_frame(path)
    cut = written(tmp_path, "cut.h5", path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ReadError):
        read_frame(cut)


@pytest.mark.parametrize("name", ["f.gfrm", "f.tif", "f.cbf", "f.edf"])
def test_flipped_bytes_are_refused_or_stay_a_frame(name: str, tmp_path: Path) -> None:
    """Whatever is read after damage has the declared size, no negative counts in use, and says what changed."""
    scene = fw.Scene(rows=60, columns=50, center_column=24.0, center_row=31.0)
    counts = scene.counts()
    whole = {
        "f.gfrm": fw.bruker(scene, counts),
        "f.tif": fw.tiff(counts.astype(np.int32)),
        "f.cbf": fw.cbf(counts, header=fw.dectris_header(scene)),
        "f.edf": fw.edf(counts),
    }[name]
    random = np.random.default_rng(11)
    for _ in range(120):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), int(random.integers(1, 4))):
            damaged[place] ^= int(random.integers(1, 256))
        try:
            read = read_frame(written(tmp_path, name, bytes(damaged)))
        except ReadError:
            continue
        assert (read.counts[~read.masked] >= 0).all()
        assert read.counts.size <= 2 * counts.size


def test_command_writes_pattern_and_figure(tmp_path: Path) -> None:
    from xrdcomp.cli.main import main
    from xrdcomp.io.front import read_xrd

    path = frame(tmp_path, FLAT.but(amplitude=0.5), "tissue_01.gfrm")
    spacing = 1.5418 / 2.0 / np.sin(np.radians(10.0))
    arguments = ["integrate", str(path), "--ring", f"{spacing:.4f}", "--format", "json", "-o", str(tmp_path / "p.xye")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["ring"]["oriented"] is True
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    back = read_xrd(tmp_path / "p.xye")
    direct = integrate_frames(path)
    np.testing.assert_array_equal(back.intensity, direct.intensity)
    np.testing.assert_array_equal(back.sigma, direct.sigma)
    plain = CliRunner().invoke(main, ["integrate", str(path), "--no-figures", "-o", str(tmp_path / "q.xye")])
    assert "not judged" in plain.stdout
    refused = CliRunner().invoke(main, ["integrate", str(written(tmp_path, "x.xy", "1 2\n3 4\n"))])
    assert refused.exit_code == 2


def test_the_format_of_frames_can_be_named(tmp_path: Path) -> None:
    from xrdcomp.cli.main import main

    path = frame(tmp_path, FLAT, "f.dat")
    ways = [integrate_frames(path, format="gfrm"), integrate_frames(path)]
    np.testing.assert_array_equal(ways[0].intensity, ways[1].intensity)
    out = ["--no-figures", "--quiet", "-o", str(tmp_path / "p.xye"), "--input-format"]
    assert CliRunner().invoke(main, ["integrate", str(path), *out, "gfrm"]).exit_code == 0
    for other, words in (("tiff", "[tiff]"), ("uxd", "two-dimensional"), ("gfrn", "Did you mean gfrm")):
        refused = CliRunner().invoke(main, ["integrate", str(path), *out, other])
        assert (refused.exit_code, words in refused.stderr) == (2, True), refused.output


def test_inspect_describes_a_frame(tmp_path: Path) -> None:
    from xrdcomp.cli.main import main

    path = frame(tmp_path, CYLINDER)
    result = CliRunner().invoke(main, ["inspect", str(path), "--format", "json"])
    found = json.loads(result.stdout)
    assert (found["kind"], found["format"]) == ("xrd_frame", "gfrm")
    facts = describe_frame(path)
    (scan,) = found["scans"]
    assert set(scan) == SCAN_KEYS
    assert scan["n_points"] == facts["rows"] * facts["columns"]
    assert scan["intensity_max"] == facts["counts_max"]
    text = CliRunner().invoke(main, ["inspect", str(path)]).stdout
    assert "cylinder" in text
