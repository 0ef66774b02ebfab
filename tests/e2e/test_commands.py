"""The installed command from other folders: repeatable runs, refused files, what is loaded, the wheel."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.e2e.conftest import RUN, xrdcomp
from xrdcomp.disk import LIST
from xrdcomp.simulate.cohort import load_cohort

ENTRY = load_cohort()[0]
HEAVY = {"scipy", "pandas", "matplotlib", "lmfit", "gemmi", "jinja2", "PIL"}
ROWS = b"".join(b"%.1f 5\n" % (10 + i / 10) for i in range(60))
ROOT = Path(__file__).parents[2]


def loaded_by(code: str, *arguments: str, folder: Path) -> set[str]:
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    done = subprocess.run(
        [sys.executable, "-c", report + code, *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = set(done.stderr.splitlines()[-1].split())
    return names | {name.split(".")[0] for name in names}


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded_by("import xrdcomp", folder=tmp_path) & (HEAVY | {"numpy"})


def test_help_and_usage_load_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded_by(RUN, "--help", folder=tmp_path) & HEAVY
    assert not loaded_by(RUN, "analyze", "--help", folder=tmp_path) & HEAVY


def test_an_analysis_without_figures_loads_no_drawing_library(tmp_path: Path) -> None:
    arguments = ("analyze", str(ENTRY.xrd), "--out", "o", "--no-figures", "--quiet")
    slow = {"scipy.stats", "scipy.signal", "scipy.optimize", "sqlite3"}  # half a second of a command of one
    files = (*arguments[:2], "--tga", str(ENTRY.tga), *arguments[2:])
    assert not loaded_by(RUN, *files, folder=tmp_path) & ({"matplotlib", "pandas", "PIL"} | slow)
    assert not loaded_by(RUN, *arguments, "--overwrite", "--no-report", folder=tmp_path) & {"jinja2"}


def test_a_recipe_repeats_its_run_byte_for_byte(tmp_path: Path) -> None:
    files = (str(ENTRY.xrd), "--tga", str(ENTRY.tga))
    first = xrdcomp(
        *("analyze", *files, "--atmosphere", "air", "--sample-id", "S 1", "--set", "fit.strain=false"),
        *("--out", "a", "--no-figures"),
        folder=tmp_path,
    )
    assert first.code == 0, first.stderr
    second = xrdcomp(
        *("analyze", *files, "--recipe", "a/S 1/recipe.toml", "--format", "json", "--quiet"), folder=tmp_path
    )
    assert second.code == 0, second.stderr
    assert second.stderr == ""
    assert second.stdout == (tmp_path / "a" / "S 1" / "result.json").read_text(encoding="utf-8")
    settings = json.loads(second.stdout)["settings"]
    assert settings["fit"]["strain"] is False
    assert settings["thermal"]["atmosphere"] == "air"
    assert settings["used"]["emission_lines"][0]["wavelength"] == pytest.approx(1.5406, abs=1e-4)


def test_one_instrument_alone_says_what_it_cannot_separate(tmp_path: Path) -> None:
    for arguments in ((str(ENTRY.xrd),), ("--tga", str(ENTRY.tga))):
        done = xrdcomp("analyze", *arguments, "--format", "json", "--quiet", folder=tmp_path)
        assert done.code == 0, done.stderr
        result = json.loads(done.stdout)
        missing = [name for name, part in result["composition"]["components"].items() if part is None]
        assert missing
        assert result["messages"]
        assert result["composition"]["identifiable_sums"]


def test_output_is_utf8_whatever_the_system_says(tmp_path: Path) -> None:
    old = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}
    done = xrdcomp("tga", str(ENTRY.tga), "--no-figures", "--out", "o", folder=tmp_path, **old)
    assert done.code == 0, done.stderr
    assert "carbonate (CO₃)" in done.stdout


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", ""),
        (b"\x00\xff\x13" * 400, ""),
        (ROWS.replace(b"11.2 5", b"11.2 x5"), "line 13"),
        (b"11.0 5\n10.0 6\n" + ROWS, ""),
    ],
)
def test_bad_files_are_refused_with_their_name_and_leave_nothing(content: bytes, place: str, tmp_path: Path) -> None:
    (tmp_path / "bad.xy").write_bytes(content)
    done = xrdcomp("analyze", "bad.xy", "--out", "out", folder=tmp_path)
    assert done.code == 2, done.stderr
    assert "bad.xy" in done.stderr
    assert place in done.stderr
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["bad.xy"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not a structure\n", "not a readable CIF file"),
        ("data_x\n_cell_length_a 5.6\n_cell_modulation_dimension 1\n", "modulated structure"),
        ("data_x\n_cell_length_a 5.6\n", "_cell_length_b is missing"),
    ],
)
def test_a_bad_structure_is_refused_with_its_name_and_leaves_nothing(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "scan.xy").write_bytes(ROWS)
    (tmp_path / "mine.cif").write_text(text, encoding="utf-8")
    done = xrdcomp("analyze", "scan.xy", "--phases", "quartz,mine.cif", "--out", "out", folder=tmp_path)
    assert done.code == 2, done.stderr
    assert "mine.cif" in done.stderr
    assert told in done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.cif", "scan.xy"]


def _heed_interrupts() -> None:
    """A suite that a shell runs in the background has SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize("verb", ["analyze", "demo"])
def test_an_interrupted_run_leaves_nothing_half_written(verb: str, tmp_path: Path) -> None:
    files = [str(ENTRY.xrd)] if verb == "analyze" else []
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, verb, *files, "--out", "out"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=_heed_interrupts,
    )  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline()
    assert "analysing" in first or "specimens" in first
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    written = list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else []
    assert not [path.name for path in written if path.name.endswith((".partial", ".old"))]


def test_swapped_files_are_told_apart(tmp_path: Path) -> None:
    done = xrdcomp("analyze", str(ENTRY.tga), folder=tmp_path)
    assert done.code == 2
    assert "thermogravimetric" in done.stderr
    assert "--tga" in done.stderr


def test_simulated_specimens_can_be_written_and_analysed(tmp_path: Path) -> None:
    parts = "apatite=0.3,carbonate=0.02,protein=0.4,lipid=0.1,water=0.15,amorphous_mineral=0.03"
    made = xrdcomp("simulate", "--composition", parts, "--sample-id", "T1", "--seed", "3", folder=tmp_path)
    assert made.code == 0, made.stderr
    folder = tmp_path / "simulated" / "T1"
    assert {path.name for path in folder.iterdir()} == {"T1.xy", "T1_tga.csv", "truth.json", LIST}
    assert json.loads((folder / "truth.json").read_text(encoding="utf-8"))["simulated"] is True
    done = xrdcomp(
        *("analyze", str(folder / "T1.xy"), "--tga", str(folder / "T1_tga.csv"), "--format", "json"), folder=tmp_path
    )
    result = json.loads(done.stdout)
    assert result["metadata"]["simulated"] is True
    low, high = result["composition"]["components"]["organic"]["ci95"]
    assert low - 0.02 <= 0.5 <= high + 0.02, "protein and lipid are half of the specimen"


@pytest.mark.slow
def test_the_wheel_holds_its_data_and_works_from_any_folder(tmp_path: Path) -> None:
    built = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation"),
            *("--quiet", "--disable-pip-version-check", "--wheel-dir", str(tmp_path)),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("xrdcomp-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    top = {name.split("/")[0] for name in names}
    assert top == {"xrdcomp", f"xrdcomp-{wheel.name.split('-')[1]}.dist-info"}, "and no other package"
    assert "xrdcomp/_data/reference_patterns/hydroxyapatite/structure.cif" in names
    assert "xrdcomp/_data/specimens/cohort.json" in names
    assert "xrdcomp/result.schema.json" in names
    assert "xrdcomp/qc/default.toml" in names
    assert "xrdcomp/present/templates/report.html.j2" in names
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        "import xrdcomp, pathlib; from xrdcomp.phases.library import reference_folder; "
        "from xrdcomp.simulate import load_cohort; "
        "print(pathlib.Path(xrdcomp.__file__).parent, reference_folder(), load_cohort()[0].xrd)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(path.startswith(str(tmp_path / "site")) for path in done.stdout.split())
    listed = xrdcomp("phases", "--format", "json", folder=elsewhere, PYTHONPATH=str(tmp_path / "site"))
    assert len(json.loads(listed.stdout)) >= 40


@pytest.mark.slow
def test_the_result_has_the_same_bytes_whatever_asks_for_it_and_on_how_many_threads(tmp_path: Path) -> None:
    code = (
        "import sys, xrdcomp as xc\n"
        "sys.stdout.write(xc.analyze(sys.argv[1], tga=sys.argv[2], atmosphere='air').to_json() + '\\n')\n"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code, str(ENTRY.xrd), str(ENTRY.tga)], env=os.environ | {"OPENBLAS_NUM_THREADS": n},
            capture_output=True, text=True, check=True,
        ).stdout
        for n in ("1", "4")
    ]  # fmt: skip
    files = ("analyze", str(ENTRY.xrd), "--tga", str(ENTRY.tga), "--atmosphere", "air")
    shell = xrdcomp(*files, "--format", "json", "--quiet", folder=tmp_path, OPENBLAS_NUM_THREADS="3")
    assert found[0] == found[1] == shell.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("verb", ["analyze", "demo", "batch"])
def test_a_terminated_run_ends_with_143_and_takes_its_processes_along(verb: str, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    for number in range(8):
        shutil.copy(ENTRY.xrd, copies / f"S{number}.xrdml")
    files = {"analyze": [str(ENTRY.xrd)], "demo": [], "batch": [str(copies), "--workers", "2"]}[verb]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, verb, *files, "--out", "out"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(0.7)
    process.terminate()
    _, stderr = process.communicate(timeout=120)  # returns when no process holds the pipes any more
    assert process.returncode == 143, stderr
    assert "terminated; nothing was half-written" in stderr
    written = (tmp_path / "out").glob(".*") if (tmp_path / "out").exists() else ()
    assert {path.name for path in written} <= {".xrdcomp-batch"}


ENDS_WITH_AN_ALARM = """
import signal
import xrdcomp.cli.main as command
from xrdcomp.cli.start import start

class Dropped:
    def __del__(self):
        raise KeyboardInterrupt  # Python drops it, and the command puts it off

def interrupted():
    Dropped()
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0.0
    raise KeyboardInterrupt

command.main = interrupted
try:
    start()
except SystemExit as end:
    print(end.code, signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(signal.SIGALRM) == signal.SIG_IGN)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_no_alarm_outlives_the_command() -> None:
    """One that is heard when the interpreter has given up its handlers ends the process with a code of its own."""
    done = subprocess.run([sys.executable, "-c", ENDS_WITH_AN_ALARM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["130", "0.0", "True"], done.stderr


INTERRUPTED = """
import atexit, os, signal, sys, time
import xrdcomp.cli.main as command
import xrdcomp.cli.start as begin

signal.signal(signal.SIGINT, signal.default_int_handler)
begin.AGAIN_S = 0.1
interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)

def again():
    try:
        interrupt()
    finally:
        interrupt()
        print("cleared up")

def swallowed():
    try:
        interrupt()
    except KeyboardInterrupt:
        pass
    time.sleep(60.0)

atexit.register(interrupt)
command.main = again if sys.argv[1] == "again" else swallowed
begin.start()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("how", "said"), [("again", "cleared up\n"), ("swallowed", "")])
def test_an_interrupt_is_neither_lost_nor_breaks_the_clearing_up_when_it_comes_again(how: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, how], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (130, said, "")
