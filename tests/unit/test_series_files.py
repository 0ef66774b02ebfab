"""Series on disk: what is read of a file, chunks that are done once, kills, Dask, tables and pages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import xrdcomp as xc
from benchmarks.series_map import LINES, write_map
from xrdcomp.batch.chunks import SeriesRun, chunk_of, start_run, view_of
from xrdcomp.cli.main import main
from xrdcomp.errors import OutputError, ReadError, XrdcompError
from xrdcomp.io.export import write_pattern
from xrdcomp.io.stacks import natural_order, open_stack
from xrdcomp.recipe import Recipe

h5py = pytest.importorskip("h5py", reason="the extra nexus is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra batch is not installed")

N = 501  # points of a pattern
RECIPE = Recipe.of(phases=("fluorapatite",), range=(24, 56))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


@pytest.fixture(scope="module")
def map_file(folder: Path) -> Path:
    return write_map(folder / "map.h5", (4, 6), n=N)


@pytest.fixture(scope="module")
def series_file(folder: Path) -> Path:
    return write_map(folder / "series.h5", (24,), n=N)


@pytest.fixture(scope="module")
def calm(map_file: Path, folder: Path) -> pd.DataFrame:
    """Table of the map as one process makes it that nobody disturbs."""
    run = run_of(map_file, folder / "calm.parquet")
    list(run.work())
    return pd.read_parquet(folder / "calm.parquet")


def run_of(source: Path | str, target: Path, **given: Any) -> SeriesRun:
    return start_run(source, target, RECIPE, free=("cell",), chunk=given.pop("chunk", 5), **given)


# ---- what is read


def test_a_nexus_map_says_its_angles_axes_and_wavelengths(map_file: Path) -> None:
    stack = open_stack(map_file)
    assert (stack.shape, len(stack), len(stack.two_theta)) == ((4, 6), 24, N)
    assert [name for name, _ in stack.axes] == ["y", "x"]
    assert stack.units == {"y": "um", "x": "um"}
    assert stack.emission_lines == LINES
    with h5py.File(map_file) as file:
        whole = file["entry/data/counts"][:].reshape(24, N)
    for start, stop in ((0, 24), (3, 4), (4, 19)):  # within a line, and over several
        assert np.array_equal(stack.read(start, stop).intensities, whole[start:stop])
    assert stack.coordinates(5, 8)["x"].tolist() == [10.0, 0.0, 2.0]
    assert stack.coordinates(5, 8)["y"].tolist() == [0.0, 2.0, 2.0]
    by_path = open_stack(f"{map_file}::entry/data/counts")
    assert np.array_equal(by_path.read(0, 2).intensities, whole[:2])


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("deg", lambda tth: tth),
        ("2th_rad", np.radians),
        ("q_nm^-1", lambda tth: 40.0 * np.pi * np.sin(np.radians(tth / 2)) / 1.5406),
        ("1/angstrom", lambda tth: 4.0 * np.pi * np.sin(np.radians(tth / 2)) / 1.5406),
    ],
)
def test_axes_in_degrees_radians_and_q(unit: str, values: Any, tmp_path: Path) -> None:
    x = np.linspace(20.0, 60.0, 80)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("out")
        group.attrs.update({"signal": "I", "axes": [".", "radial"]})
        group["I"] = np.ones((3, 80))
        group.create_dataset("radial", data=values(x)[::-1]).attrs["units"] = unit
        group.create_dataset("temperature", data=[20.0, 30.0, 40.0]).attrs["units"] = "C"
        group["I_errors"] = np.full((3, 80), 2.0)
    stack = open_stack(tmp_path / "a.h5::out", wavelength=1.5406)
    assert stack.two_theta == pytest.approx(x, abs=1e-9)  # descending angles are turned, with their intensities
    assert stack.coordinates(1, 3)["temperature"].tolist() == [30.0, 40.0]
    assert stack.read(0, 3).sigmas is not None
    if "q" in unit or "1/" in unit:
        with pytest.raises(ReadError, match="wavelength"):
            open_stack(tmp_path / "a.h5::out")


def test_what_is_not_said_is_asked_for_and_not_guessed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"], file["tth"] = np.ones((3, 80)), np.ones((4, 80)), np.linspace(20, 60, 80)
        file["angles/a"] = np.linspace(10, 50, 80)
    with pytest.raises(ReadError, match=r"one \(3, 80\), two \(4, 80\)"):
        open_stack(tmp_path / "a.h5")
    with pytest.raises(ReadError, match=r"there is no three"):
        open_stack(tmp_path / "a.h5::three")
    assert open_stack(tmp_path / "a.h5::two").two_theta[0] == 20.0
    assert open_stack(tmp_path / "a.h5::two", two_theta="angles/a").two_theta[0] == 10.0
    with pytest.raises(ReadError, match="no such file"):
        open_stack(tmp_path / "b.h5")


def test_zarr_is_read_as_hdf5_is(map_file: Path, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="the extra cluster is not installed")
    stack = open_stack(map_file)
    group = zarr.open_group(str(tmp_path / "m.zarr"), mode="w").create_group("scan")
    for name, data, unit in (("counts", stack.read(0, 24).intensities.reshape(4, 6, N), ""),
                             ("two_theta", stack.two_theta, "deg"), ("x", stack.axes[1][1], "um")):  # fmt: skip
        array = group.create_array(name, shape=data.shape, dtype=data.dtype, chunks=data.shape)
        array[...] = data
        array.attrs["units"] = unit
    group.attrs.update({"signal": "counts", "axes": ["row", "x", "two_theta"]})
    found = open_stack(f"{tmp_path / 'm.zarr'}::scan")
    assert (found.shape, found.units) == ((4, 6), {"row": "1", "x": "um"})
    assert np.array_equal(found.read(4, 19).intensities, stack.read(4, 19).intensities)


def test_files_of_a_folder_in_their_natural_order_and_a_bad_one_is_a_row(series_file: Path, tmp_path: Path) -> None:
    stack = open_stack(series_file)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in (0, 1, 2, 9, 10):
        pattern = stack.pattern(number)
        assert pattern is not None
        write_pattern(pattern, frames / f"f_{number}.xye")
    (frames / "f_3.xye").write_text("no pattern\n")
    (frames / "notes.txt").write_text("heating\n")
    assert [natural_order(Path(name)) for name in ("f_2", "f_10")] == sorted(
        map(natural_order, map(Path, ("f_10", "f_2")))
    )
    run = run_of(frames, tmp_path / "f.parquet", chunk=4)
    list(run.work())
    table = pd.read_parquet(tmp_path / "f.parquet")
    assert table["file"].tolist() == [f"f_{k}.xye" for k in (0, 1, 2, 3, 9, 10)]
    assert run.failed() == 1
    assert "f_3.xye" in table["problem"][3]
    assert table["fluorapatite_a"].notna().tolist() == [True, True, True, False, True, True]


# ---- chunks


def test_rows_are_those_of_the_arrays_in_memory(map_file: Path, calm: pd.DataFrame) -> None:
    stack = open_stack(map_file)
    found = xc.fit_series(
        stack.two_theta, stack.read(0, 24).intensities, phases="fluorapatite", range=(24, 56), free=("cell",),
        wavelength=[line.wavelength for line in LINES],
    ).to_dataframe()  # fmt: skip
    for name in ("fluorapatite_a", "fluorapatite_a_std", "amount_fluorapatite", "rwp"):
        assert calm[name].to_numpy() == pytest.approx(found[name].to_numpy(), rel=1e-9)
    assert calm["pattern"].tolist() == list(range(24))
    by_path = xc.fit_series(map_file, phases="fluorapatite", range=(24, 56), free=("cell",)).to_dataframe()
    assert by_path["x"].tolist() == calm["x"].tolist()
    assert by_path["fluorapatite_a"].tolist() == calm["fluorapatite_a"].tolist()
    assert calm["problem"].isna().all()


def test_the_table_has_units_and_a_second_run_does_nothing(map_file: Path, calm: pd.DataFrame, folder: Path) -> None:
    schema = pq.read_schema(folder / "calm.parquet")
    assert schema.field("fluorapatite_a").metadata[b"unit"] == "Å".encode()
    assert schema.field("x").metadata[b"unit"] == b"um"
    assert not (folder / "calm.parquet.parts").exists()
    before = (folder / "calm.parquet").stat().st_mtime_ns
    assert all(part.kept for part in run_of(map_file, folder / "calm.parquet").work())
    assert (folder / "calm.parquet").stat().st_mtime_ns == before


def test_only_what_has_changed_is_fitted_again(map_file: Path, tmp_path: Path) -> None:
    # of 80 patterns 64 are looked at for the common fit; number 1 is none of them
    big = write_map(tmp_path / "big.h5", (160,), n=N)
    from xrdcomp.batch.series import probe_of

    place = next(k for k in range(160) if k not in probe_of(160))
    run = run_of(big, tmp_path / "t.parquet", chunk=20)
    list(run.work())
    first = pd.read_parquet(tmp_path / "t.parquet")
    with h5py.File(big, "r+") as file:
        file["entry/data/counts"][place] += 3
    kept = {part.number: part.kept for part in run_of(big, tmp_path / "t.parquet", chunk=20).work()}
    assert kept == {number: number != place // 20 for number in range(8)}
    second = pd.read_parquet(tmp_path / "t.parquet")
    changed = (first["rwp"] != second["rwp"]).to_numpy()
    assert changed.nonzero()[0].tolist() == [place]
    other = start_run(big, tmp_path / "t.parquet", RECIPE, free=("zero_shift",), chunk=20)
    assert not other.known  # other settings: all is done again


def test_partitions_are_a_table_too_and_worker_counts_change_nothing(
    map_file: Path, calm: pd.DataFrame, tmp_path: Path
) -> None:
    run = run_of(map_file, tmp_path / "p.parquet", partitioned=True, workers=2)
    list(run.work())
    assert len(list((tmp_path / "p.parquet").iterdir())) == 5
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "p.parquet"), calm, check_exact=True)
    assert all(part.kept for part in run_of(map_file, tmp_path / "p.parquet", partitioned=True).work())


def test_foreign_tables_stay(map_file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"something else")
    with pytest.raises(OutputError, match="not written by xrdcomp"):
        run_of(map_file, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == b"something else"


def test_chunks_do_not_depend_on_workers_and_are_not_too_many() -> None:
    assert [chunk_of(n) for n in (1, 100, 10_000, 50_000, 10**8)] == [16, 16, 50, 250, 2000]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9 of a group")
def test_a_series_that_is_killed_goes_on_where_it_was(map_file: Path, calm: pd.DataFrame, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from xrdcomp.cli.start import start; start()", "series", str(map_file)]
    command += ["--out", str(tmp_path / "k.parquet"), "--phases", "fluorapatite", "--range", "24,56", "--free", "cell"]
    command += ["--chunk", "5", "--workers", "2", "--quiet", "--no-figures", "--no-csv"]
    parts = tmp_path / "k.parquet.parts"
    for most in (1, 3):
        running = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        end = time.monotonic() + 120.0
        while time.monotonic() < end and running.poll() is None:
            if parts.exists() and len(list(parts.glob("part-*.parquet"))) >= most:
                break
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "of an earlier run kept" in done.stdout
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "k.parquet"), calm, check_exact=True)
    assert not parts.exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
def test_a_dask_worker_that_is_killed_half_way_changes_nothing(
    map_file: Path, calm: pd.DataFrame, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        run = run_of(map_file, tmp_path / "d.parquet", scheduler=cluster.scheduler_address, chunk=2)
        for number, _ in enumerate(run.work()):
            if number == 5:
                os.kill(victim, signal.SIGKILL)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "d.parquet"), calm, check_exact=True)


def test_a_scheduler_that_is_not_there_is_said_to_be(map_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    from xrdcomp.batch import cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "CONNECT_S", 0.5)
        with pytest.raises(XrdcompError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
            list(run_of(map_file, tmp_path / "x.parquet", scheduler="tcp://127.0.0.1:9").work())


# ---- the command


def test_the_command_writes_table_figure_and_page(map_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "m.parquet"
    arguments = ["series", str(map_file), "--out", str(target), "--phases", "fluorapatite,calcite", "--workers", "1"]
    done = CliRunner().invoke(main, [*arguments, "--free", "cell", "--chunk", "12"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "24 patterns: 0 not fitted" in done.output
    csv, parquet = pd.read_csv(target.with_suffix(".csv")), pd.read_parquet(target)
    share = "crystalline_weight_fraction_calcite"
    assert csv[share].to_numpy() == pytest.approx(parquet[share].to_numpy(), rel=1e-14)  # of the parser of pandas
    described = json.loads((target.parent / "m.csv-metadata.json").read_text(encoding="utf-8"))
    units = {column["name"]: column.get("schema:unitText") for column in described["tableSchema"]["columns"]}
    assert units["calcite_a"] == "Å"
    page = target.with_suffix(".html").read_text(encoding="utf-8")
    assert "24 (4 × 6) of 501 points; 0 could not be fitted" in page
    assert target.with_suffix(".png").stat().st_size > 20_000


def test_the_view_is_the_mean_of_its_bins(map_file: Path, calm: pd.DataFrame, folder: Path) -> None:
    view = view_of(run_of(map_file, folder / "calm.parquet"), bins=3)
    assert [axis[0] for axis in view.axes] == ["y", "x"]
    assert view.quantities["rwp"].shape == (2, 3)
    expected = calm["rwp"].to_numpy().reshape(2, 2, 3, 2).mean(axis=(1, 3))
    assert view.quantities["rwp"] == pytest.approx(expected, rel=1e-12)


def test_wrong_paths_end_with_2(map_file: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["series", f"{map_file}::entry/nothing", "--out", str(tmp_path / "a.parquet")])
    assert done.exit_code == 2
    assert "there is no entry/nothing" in done.output
    shutil.copy(map_file, tmp_path / "b.h5")
    done = CliRunner().invoke(main, ["series", str(tmp_path / "b.h5"), "--out", str(tmp_path / "b.h5")])
    assert done.exit_code == 2
    assert "is the file that is read" in done.output
