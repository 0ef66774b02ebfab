"""Many specimens: which files belong together, one failed row for one bad file, resuming, workers that die."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
from click.testing import CliRunner

import xrdcomp as xc
from xrdcomp.batch import workers
from xrdcomp.batch.run import FailedSample, analyze_many, ledger_files, ledger_rows, run_batch
from xrdcomp.batch.specimens import Specimen, find_specimens
from xrdcomp.batch.workers import TERMINATED, WorkerDied, _work, work_off
from xrdcomp.cli.main import main
from xrdcomp.errors import RecipeError
from xrdcomp.recipe import Recipe

COHORT = Path(__file__).resolve().parents[2] / "data" / "specimens"


def export(specimen: str, kind: str) -> Path:
    """Embedded export of a specimen."""
    return next(
        p for p in sorted((COHORT / specimen).iterdir()) if p.stem == (specimen if kind == "xrd" else f"{specimen}_tga")
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with three runs, one of them damaged, one pattern, and files that are no measurement."""
    made = tmp_path / "measurements"
    made.mkdir()
    for name in ("sim01_solid", "sim02_solid"):
        shutil.copy(export(name, "tga"), made)
    shutil.copy(export("sim01_solid", "xrd"), made)
    (made / "broken_tga.txt").write_bytes(export("sim05_solid", "tga").read_bytes()[:300])
    (made / "notes.md").write_text("what was done\n", encoding="utf-8")
    (made / "blank_holder.xy").write_text("10 1\n11 1\n", encoding="utf-8")
    return made


# ---- which files belong together


def test_names_pair_patterns_and_runs(folder: Path) -> None:
    found = find_specimens(folder)
    files = {s.sample_id: {k: Path(v).name for k, v in s.files.items()} for s in found.specimens}
    assert files["sim01_solid"] == {"xrd": "sim01_solid.xrdml", "tga": "sim01_solid_tga.txt"}
    assert files["sim02_solid"] == {"tga": "sim02_solid_tga.csv"}
    assert set(found.left_out) >= {"notes.md", "blank_holder.xy"}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("S1_xrd.xy", "S1"), ("S1 TG.csv", "S1"), ("tga-S1.txt", "S1"), ("S1.xy.gz", "S1"), ("xrd.xy", "xrd"),
        ("untga.csv", "untga"), ("A_scan_2.xy", "A_scan_2"),
    ],
)  # fmt: skip
def test_words_for_the_instrument_leave_the_name(file: str, name: str) -> None:
    from xrdcomp.batch.specimens import name_of

    assert name_of(Path(file)) == name


def test_two_patterns_of_one_name_are_asked_about(folder: Path) -> None:
    shutil.copy(export("sim01_solid", "xrd"), folder / "sim01_solid_xrd.xrdml")
    specimen = next(s for s in find_specimens(folder).specimens if s.sample_id == "sim01_solid")
    assert "2 xrd files" in specimen.problem
    assert "manifest" in specimen.problem


def manifest(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_manifest_takes_files_and_settings(folder: Path) -> None:
    file = manifest(
        folder / "m.csv",
        "sample_id;xrd;tga;atmosphere;phases;range;internal_standard;composition.basis\n"
        "A;sim01_solid.xrdml;sim01_solid_tga.txt;air;hydroxyapatite,calcite;15,60;corundum:0.2;dry\n"
        ";;sim02_solid_tga.csv;;;;;\n",
    )
    first, second = find_specimens(file).specimens
    recipe = first.recipe(Recipe())
    assert (recipe.phases, recipe.fit.two_theta_range) == (("hydroxyapatite", "calcite"), (15.0, 60.0))
    assert (recipe.thermal.atmosphere, recipe.composition.basis) == ("air", "dry")
    assert (recipe.internal_standard, recipe.internal_standard_fraction) == ("corundum", 0.2)
    assert second.sample_id == "sim02_solid"
    assert second.xrd is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sample_id,xrd\n", "holds no specimen"),
        ("sample_id,file\nA,a.xy\n", "line 1: the header has neither xrd nor tga"),
        ("xrd,xrd\na.xy,b.xy\n", "names a column twice"),
        ("sample_id,xrd\nA,a.xy,b\n", "line 2: 3 cells under 2 columns"),
        ("sample_id,xrd\nA,\n", "line 2: neither xrd nor tga"),
        ("sample_id,xrd\nA,a.xy\na,b.xy\n", "line 3: sample_id 'a' stands in line 2"),
        ("sample_id,xrd\n../A,a.xy\n", "line 2: sample id '../A' cannot name a folder"),
        ("xrd,atmosfere\na.xy,air\n", "atmosphere"),
        ("xrd,wavelength\na.xy,copper\n", "line 2: wavelength is 'copper'"),
        ("xrd,thermal.char_fraction\na.xy,much\n", "line 2"),
    ],
)
def test_a_manifest_is_refused_with_line_and_remedy(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(RecipeError, match=r"m\.csv") as caught:
        find_specimens(manifest(tmp_path / "m.csv", text))
    assert expected in str(caught.value)


def test_what_is_no_folder_and_no_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "binary.csv", "empty"):
        with pytest.raises(RecipeError, match=name):
            find_specimens(tmp_path / name)


# ---- Python


def test_analyze_many_gives_what_single_analyses_give(folder: Path) -> None:
    samples = [{"tga": folder / name, "sample_id": name[:5]} for name in ("sim01_solid_tga.txt", "sim02_solid_tga.csv")]
    samples.insert(1, {"tga": folder / "broken_tga.txt"})
    many = list(analyze_many(samples, {"thermal.atmosphere": "air"}, workers=2, progress=False))
    assert [item.status == "failed" for item in many] == [False, True, False]
    assert isinstance(many[1], FailedSample)
    assert many[1].kind == "ReadError"
    assert "broken_tga.txt" in many[1].message
    for item, sample in zip((many[0], many[2]), (samples[0], samples[2]), strict=True):
        single = xc.analyze(tga=sample["tga"], sample_id=sample["sample_id"], atmosphere="air")
        assert item.to_json() == single.to_json()  # the same bytes: no neighbour and no worker shows


# ---- processes


def _square_or_die(number: int) -> int:
    if number == 3:
        os._exit(9)
    if number == 5:
        raise ValueError(number)
    return number * number


def test_a_process_that_dies_takes_its_own_item_only() -> None:
    found = list(work_off(_square_or_die, range(12), workers=2))
    assert [done.item for done in found] == list(range(12))
    assert {done.item: done.result for done in found if done.error is None} == {
        n: n * n for n in range(12) if n not in (3, 5)
    }
    assert isinstance(found[3].error, WorkerDied)
    assert isinstance(found[5].error, ValueError)


def _dies_while_it_sends(number: int) -> bytes:
    def half(pipe: Connection, data: bytes) -> None:
        os.write(pipe.fileno(), bytes(data[: max(len(data) // 2, 4)]))
        if len(data) > 1000:
            os._exit(9)

    if number == 1:
        mock.patch.object(Connection, "_send", half).start()
    return bytes(1 << 16)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_nobody_waits_for_the_rest_of_what_a_dead_process_was_sending() -> None:
    found = list(work_off(_dies_while_it_sends, range(5), workers=2))
    assert [done.item for done in found if done.error is not None] == [1]
    assert isinstance(found[1].error, WorkerDied)


def _comes_to_rest(number: int) -> int:
    if number:
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_hears_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE_S", 0.2)
    found = work_off(_comes_to_rest, range(6), workers=2)
    assert isinstance(found, Generator)
    assert next(found).given() == 0
    assert multiprocessing.active_children()
    found.close()
    assert not multiprocessing.active_children()


INTERRUPTED_FORK = """
import multiprocessing, os, signal
from xrdcomp.batch.workers import work_off

fork, me = os.fork, os.getpid()
signal.signal(signal.SIGINT, signal.default_int_handler)

def interrupted():
    number = fork()
    os.kill(os.getpid(), signal.SIGINT)
    return number

os.fork = interrupted
try:
    print(list(work_off(abs, range(4), workers=2)))
except KeyboardInterrupt:
    print(os.getpid() == me, multiprocessing.active_children(), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_an_interrupt_of_parent_and_child_while_it_forks_ends_both_in_order() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_FORK], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True []\n", "")


# ---- folders and resuming


def entries(specimens: tuple[Specimen, ...], out: Path, **changes: object) -> list[tuple[str, bool]]:
    recipe = Recipe().with_settings({"thermal.atmosphere": "air", **changes})
    return [(str(entry.row["sample_id"]), entry.resumed) for entry in run_batch(specimens, out, recipe)]


def test_only_what_changed_is_done_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    runs = [s for s in find_specimens(folder).specimens if s.xrd is None]
    names = [s.sample_id for s in runs]
    assert entries(tuple(runs), out) == [(name, False) for name in names]
    assert entries(tuple(runs), out) == [(name, True) for name in names]
    with (folder / "sim02_solid_tga.csv").open("ab") as stream:
        stream.write(b"\n")
    assert entries(tuple(runs), out) == [(name, name != "sim02_solid") for name in names]
    (out / "sim02_solid" / "result.json").unlink()
    assert entries(tuple(runs), out) == [(name, name != "sim02_solid") for name in names]
    assert entries(tuple(runs), out, **{"composition.basis": "dry"}) == [(name, False) for name in names]


def test_an_entry_that_a_kill_left_half_written_states_nothing(folder: Path, tmp_path: Path) -> None:
    """It is no specimen in the ledger, neither before nor after the next writer takes it away."""
    out = tmp_path / "out"
    runs = tuple(s for s in find_specimens(folder).specimens if s.xrd is None)
    assert len(entries(runs, out)) == len(runs)
    stored = ledger_files(out)
    left = stored[0].with_name(f".{stored[0].name}.left.partial.json")
    left.write_bytes(stored[0].read_bytes().replace(b'"sample_id": "', b'"sample_id": "half-written '))
    assert ledger_files(out) == stored
    assert set(ledger_rows(out)) == {s.sample_id for s in runs}


def test_command_writes_tables_with_units_and_one_failed_row(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["batch", str(folder), "--out", str(out), "--workers", "1", "--atmosphere", "air"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1, done.output  # one specimen failed
    table = pd.read_csv(out / "results.csv").set_index("sample_id")
    assert list(table.index) == ["broken", "sim01_solid", "sim02_solid"]
    assert table.loc["broken", "status"] == "failed"
    assert "broken_tga.txt" in table.loc["broken", "error"]
    result = json.loads((out / "sim01_solid" / "result.json").read_text(encoding="utf-8"))
    assert table.loc["sim01_solid", "organic"] == result["composition"]["components"]["organic"]["value"]
    assert [table.loc["sim01_solid", f"organic_{end}"] for end in ("low", "high")] == pytest.approx(
        result["composition"]["components"]["organic"]["ci95"], rel=1e-15
    )
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra batch is not installed")
    stored = parquet.read_table(out / "results.parquet")
    assert stored.schema.field("organic").metadata[b"unit"] == b"1"
    assert stored.schema.field("cpu_s").metadata[b"unit"] == b"s"
    assert stored.to_pandas()["organic"].tolist()[1:] == table["organic"].tolist()[1:]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'href="sim01_solid/result.json"' in page
    assert 'href="broken/result.json"' not in page
    never = CliRunner().invoke(main, [*arguments, "--fail-on", "never"])
    assert never.exit_code == 0
    assert "3 of an earlier run kept" in never.output


def test_formulas_of_a_spreadsheet_are_defused(tmp_path: Path) -> None:
    from xrdcomp.batch.tables import failed_row, to_dataframe, write_tables

    table = to_dataframe([failed_row(Specimen(sample_id="A"), "ReadError", '=HYPERLINK("x")')])
    write_tables(table, tmp_path)
    assert "'=HYPERLINK" in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_a_batch_that_is_killed_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    """KILL and TERM at different moments; afterwards the table is that of a run that nobody disturbed."""
    for number in range(6):
        shutil.copy(export("sim02_solid", "tga"), folder / f"copy{number}_tga.csv")
    arguments = [
        sys.executable,
        "-c",
        "from xrdcomp.cli.start import start; start()",
        "batch",
        str(folder),
        "--workers",
        "2",
        "--atmosphere",
        "air",
    ]
    quiet = ["--quiet", "--fail-on", "never"]
    calm, shaken = tmp_path / "calm", tmp_path / "shaken"
    subprocess.run([*arguments, "--out", str(calm), *quiet], check=True, capture_output=True)
    for delay, number in ((0.9, signal.SIGKILL), (1.4, signal.SIGTERM), (1.8, signal.SIGKILL)):
        running = subprocess.Popen(
            [*arguments, "--out", str(shaken), *quiet], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(delay)
        running.send_signal(number)
        running.wait()
    subprocess.run([*arguments, "--out", str(shaken), *quiet], check=True, capture_output=True)
    tables = [pd.read_csv(out / "results.csv").drop(columns="cpu_s") for out in (calm, shaken)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    for name in tables[0].loc[tables[0]["error_kind"].isna(), "sample_id"]:
        first, second = (json.loads((out / name / "result.json").read_text(encoding="utf-8")) for out in (calm, shaken))
        assert first == second


def test_what_was_analysed_before_changes_no_byte() -> None:
    """Phases, halos and instruments that come again are made once; what is made does not depend on who asked first."""
    names = ("sim01_solid", "sim03_solid")
    samples = [
        {"xrd": export(n, "xrd"), "tga": export(n, "tga"), "atmosphere": "air", "radiation": "CuKa"} for n in names
    ]
    first, second, again = analyze_many([samples[0], samples[1], samples[0]], progress=False)
    alone = next(iter(analyze_many([samples[1]], progress=False)))
    for one, other in ((first, again), (second, alone)):
        assert isinstance(one, xc.SampleResult)
        assert isinstance(other, xc.SampleResult)
        assert one.composition.draws.tobytes() == other.composition.draws.tobytes()
        assert one.xrd is not None
        assert other.xrd is not None
        assert one.xrd.calculated.tobytes() == other.xrd.calculated.tobytes()
        assert [(p.id, p.decision) for p in one.phases] == [(p.id, p.decision) for p in other.phases]


def _deaf(path: str) -> bytes:
    """Work that swallows the first interrupt, as callbacks of compiled code do."""
    try:
        Path(path).touch()
        time.sleep(30.0)
    except KeyboardInterrupt:
        return bytes(1 << 20)
    return b""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_worker_that_swallows_its_end_hands_out_nothing(tmp_path: Path) -> None:
    started = tmp_path / "started"
    context = multiprocessing.get_context("fork")
    pipe, theirs = context.Pipe()
    worker = context.Process(target=_work, args=(theirs, _deaf, os.getpid()))
    worker.start()
    theirs.close()
    pipe.send(str(started))
    while not started.exists():
        time.sleep(0.01)
    worker.terminate()
    worker.join(20.0)
    assert worker.exitcode == TERMINATED
    with pytest.raises(EOFError):
        pipe.recv_bytes()
