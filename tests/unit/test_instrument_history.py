"""The history of an instrument: recorded once and whole, by many, through kills; backup, migrations, commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import xrdcomp as xc
from tests.helpers import assert_close
from tests.unit.thermal_curves import run_of
from xrdcomp.cli.main import main
from xrdcomp.errors import OutputError, ReadError, RecipeError
from xrdcomp.instrument import history as module
from xrdcomp.instrument.history import MIGRATIONS, CheckRun, InstrumentHistory
from xrdcomp.qc.check_standards import measure_standard
from xrdcomp.results import Estimate
from xrdcomp.simulate.cohort import load_cohort

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


def check_run(number: int = 0, value: float = 4.1568, **fields: object) -> CheckRun:
    given: dict = {
        "kind": "xrd", "instrument": "D8", "standard": "srm660c", "measured_at": BEGIN + timedelta(days=number),
        "values": {"cell_a": Estimate(value=value, std=2e-5, unit="Å")},
    }  # fmt: skip
    return CheckRun(**(given | fields))


@pytest.fixture
def history(tmp_path: Path) -> InstrumentHistory:
    return InstrumentHistory(path=tmp_path / "lab.sqlite")


def filled(history: InstrumentHistory, scores: np.ndarray, **fields: object) -> InstrumentHistory:
    for number, score in enumerate(scores):
        history.record(check_run(number, 4.1568 + 3e-5 * float(score), **fields))
    return history


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["qc", *map(str, arguments)])


# ---- the file


def test_what_is_recorded_comes_back(history: InstrumentHistory) -> None:
    first = history.record(check_run(file="a.xy", sha256="ab", operator="N. N.", note="x", conditions="20-150°"))
    again = history.record(check_run(file="b.xy", sha256="ab"))
    other = history.record(check_run(1, conditions="20-80°"))
    assert (first.id, first.new, again.id, again.new, other.new) == (1, True, 1, False, True)
    assert other.other_conditions == "20-150°"
    rows = history.rows()
    assert [row["value"] for row in rows] == [4.1568, 4.1568]
    told = {"file": "a.xy", "sha256": "ab", "operator": "N. N.", "measured_at": "2025-01-01T00:00:00Z", "unit": "Å"}
    assert told.items() <= rows[0].items()
    assert history.quantities()[0]["runs"] == 2
    with closing(sqlite3.connect(history.path)) as base:
        assert base.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_runs_are_charted_in_the_order_of_measuring(history: InstrumentHistory) -> None:
    for number in (3, 1, 2):
        history.record(check_run(number, float(number)))
    assert history.chart("D8", "srm660c", "cell_a").values.tolist() == [1.0, 2.0, 3.0]
    until = BEGIN + timedelta(days=2)
    assert history.chart("D8", "srm660c", "cell_a", until=until).values.tolist() == [1.0, 2.0]


def test_nothing_is_changed_or_deleted(history: InstrumentHistory) -> None:
    history.record(check_run())
    history.exclude(1, "not packed")
    history.service("D8", "new tube", BEGIN)
    with closing(sqlite3.connect(history.path)) as base:
        for statement in ("UPDATE value SET value = 1", "DELETE FROM run", "DELETE FROM event"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                base.execute(statement)
    assert history.rows()[0]["excluded"] == "not packed"
    assert [event["kind"] for event in history.events()] == ["exclusion", "service"]


@pytest.mark.parametrize(
    "wrong",
    [{"values": {}}, {"values": {"a": Estimate(value=float("nan"))}}, {"instrument": " "}, {"standard": ""},
     {"measured_at": datetime(2025, 1, 1)}],
)  # fmt: skip
def test_a_run_that_says_nothing_is_refused(history: InstrumentHistory, wrong: dict) -> None:
    with pytest.raises(RecipeError):
        history.record(check_run(**wrong))
    with pytest.raises(RecipeError):
        history.service("D8", " ")


def test_files_of_others_and_damaged_ones_are_refused_and_stay(tmp_path: Path) -> None:
    text, other, folder = tmp_path / "a.txt", tmp_path / "b.sqlite", tmp_path / "c"
    text.write_text("two_theta,counts\n" * 100, encoding="utf-8")
    with closing(sqlite3.connect(other)) as base:
        base.execute("CREATE TABLE mine (x)")
        base.commit()
    folder.mkdir()
    before = {path: path.read_bytes() for path in (text, other)}
    for path in (text, other, folder, tmp_path / "nosuch.sqlite"):
        if path != tmp_path / "nosuch.sqlite":
            with pytest.raises(ReadError, match=path.name):
                InstrumentHistory(path=path).record(check_run())
        with pytest.raises(ReadError, match=path.name):
            InstrumentHistory(path=path).rows()
    assert {path: path.read_bytes() for path in (text, other)} == before
    good = InstrumentHistory(path=tmp_path / "d.sqlite")
    filled(good, np.zeros(50))
    data = bytearray(Path(good.path).read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    Path(good.path).write_bytes(data)
    with pytest.raises(ReadError, match="backup"):
        good.rows()


def test_an_earlier_schema_is_brought_to_the_present_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = InstrumentHistory(path=tmp_path / "old.sqlite")
    with monkeypatch.context() as earlier:
        earlier.setattr(module, "MIGRATIONS", MIGRATIONS[:1])
        filled(old, np.zeros(3))
        with closing(sqlite3.connect(old.path)) as base:
            assert base.execute("PRAGMA user_version").fetchone()[0] == 1
    assert len(old.rows()) == 3
    assert old.record(check_run(5)).id == 4
    with closing(sqlite3.connect(old.path)) as base:
        assert base.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        names = {row[0] for row in base.execute("SELECT name FROM sqlite_master")}
    assert {"run_in_time", "run_stays_delete"} <= names
    with monkeypatch.context() as later:
        later.setattr(module, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE broken (;"))
        with pytest.raises(ReadError):
            old.record(check_run(6))
    assert len(old.rows()) == 4, "a step that fails leaves everything as it was"
    with closing(sqlite3.connect(old.path)) as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(ReadError, match="newer xrdcomp"):
        old.rows()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_history_in_a_folder_without_permission_is_read(history: InstrumentHistory) -> None:  # pragma: no cover
    filled(history, np.zeros(3))
    Path(history.path).parent.chmod(0o500)
    try:
        assert len(history.rows()) == 3
    finally:
        Path(history.path).parent.chmod(0o700)


def test_a_backup_is_one_whole_file_and_others_stay(history: InstrumentHistory, tmp_path: Path) -> None:
    filled(history, np.zeros(30))
    with closing(sqlite3.connect(history.path)) as writer:
        writer.execute("BEGIN IMMEDIATE")  # someone is about to write
        path = history.backup(tmp_path / "copies" / "b.sqlite")
        writer.rollback()
    assert sorted(item.name for item in path.parent.iterdir()) == ["b.sqlite"]
    assert InstrumentHistory(path=path).rows() == history.rows()
    history.record(check_run(99))
    history.backup(path)
    assert len(InstrumentHistory(path=path).rows()) == 31
    foreign = tmp_path / "mine.txt"
    foreign.write_text("mine", encoding="utf-8")
    for target in (foreign, history.path):
        with pytest.raises(OutputError):
            history.backup(target)
    assert foreign.read_text(encoding="utf-8") == "mine"


RECORDER = """
import os, sys
from datetime import UTC, datetime
from xrdcomp.instrument.history import CheckRun, InstrumentHistory
from xrdcomp.results import Estimate
path, name = sys.argv[1:]
history, number = InstrumentHistory(path=path), 0
while True:
    values = {"cell_a": Estimate(value=float(number)), "width": Estimate(value=float(-number))}
    run = CheckRun(kind="xrd", instrument=name, standard="srm660c", measured_at=datetime.now(UTC), values=values,
                   sha256=f"{name}-{number}")
    found = history.record(run)
    os.write(1, f"{found.id} {name} {number}\\n".encode())
    number += 1
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is not known there")
def test_eight_recorders_and_twenty_kills_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    path, script = tmp_path / "lab.sqlite", tmp_path / "recorder.py"
    script.write_text(RECORDER, encoding="utf-8")
    rng = np.random.default_rng(20)
    outputs: list[Path] = []

    def started(number: int) -> subprocess.Popen[bytes]:
        outputs.append(tmp_path / f"{number}.txt")
        with outputs[-1].open("wb") as stream:
            return subprocess.Popen([sys.executable, script, path, f"r{number}"], stdout=stream)

    running = [started(number) for number in range(8)]
    try:
        end = time.monotonic() + 60.0
        while not all(output.stat().st_size for output in outputs) and time.monotonic() < end:
            time.sleep(0.05)
        for number in range(20):
            time.sleep(float(rng.uniform(0.05, 0.3)))
            victim = running[int(rng.integers(8))]
            victim.send_signal(signal.SIGKILL)
            assert victim.wait(10.0) == -signal.SIGKILL, "it was working until it was killed"
            running[running.index(victim)] = started(8 + number)
        time.sleep(1.0)
    finally:
        for process in running:
            process.kill()
            process.wait(10.0)
    confirmed = [line.split() for output in outputs for line in output.read_text(encoding="utf-8").splitlines()]
    history = InstrumentHistory(path=path)
    recorded = {(str(row["id"]), row["instrument"], row["quantity"]): row["value"] for row in history.rows()}
    assert len(confirmed) > 100
    for number, name, value in confirmed:
        assert recorded[number, name, "cell_a"] == float(value)
        assert recorded[number, name, "width"] == -float(value), "a run is whole"
    assert len(recorded) % 2 == 0
    assert len(recorded) // 2 - len(confirmed) <= 28, "at most one a process was recorded and not yet told"
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


# ---- what an analysis says


@pytest.fixture(scope="module")
def measured() -> xc.Pattern:
    """Pattern whose file says when it was measured."""
    pattern = xc.read_xrd(load_cohort()[0].xrd)
    return replace(pattern, metadata={**pattern.metadata, "date": "2025-03-01T12:00:00+00:00"})


SHORT = {"identification.search": False, "fit.two_theta_range": [20.0, 40.0], "composition.draws": 200}


def said(pattern: xc.Pattern, **settings: object) -> tuple[dict[str, xc.SampleResult], xc.SampleResult]:
    result = xc.analyze(pattern, sample_id="S", recipe={**SHORT, **settings})
    return {message.code: message for message in result.messages if message.code.startswith("INSTRUMENT")}, result


def test_an_instrument_out_of_control_is_said(history: InstrumentHistory, measured: xc.Pattern) -> None:
    base = np.tile([1.0, -1.0], 10)
    filled(history, np.r_[base, 0.0, 0.2, 5.0])
    codes, result = said(measured, **{"history.file": str(history.path), "history.interval_days": 60.0})
    message = codes["INSTRUMENT_OUT_OF_CONTROL"]
    assert message.severity == "warning"
    assert "cell_a of srm660c: +4.9 standard deviations" in message.text
    assert message.concerns == ("xrd",)
    assert result.metadata["instrument_control"][0]["state"] == "out_of_control"
    assert result.settings["history"]["file"] == str(history.path)
    plain = xc.analyze(measured, sample_id="S", recipe=SHORT)
    assert plain.composition.to_dict() == result.composition.to_dict(), "it moves no number"
    assert xc.judge(result).verdict == "fail"


def test_only_check_runs_before_the_measurement_count(history: InstrumentHistory, measured: xc.Pattern) -> None:
    filled(history, np.tile([1.0, -1.0], 25))
    history.record(check_run(70, 4.16))  # ten days after the measurement
    codes, result = said(measured, **{"history.file": str(history.path)})
    assert codes == {}
    assert result.metadata["instrument_control"][0]["runs"] == 50
    codes, _ = said(measured, **{"history.file": str(history.path), "history.interval_days": 5.0})
    assert "its last check run 10 days" in codes["INSTRUMENT_NOT_CHECKED"].text
    codes, _ = said(measured, **{"history.file": str(history.path), "history.baseline_runs": 60})
    assert "50 of 60" in codes["INSTRUMENT_NOT_CHECKED"].text


def test_a_drift_is_said_before_the_limit(history: InstrumentHistory, measured: xc.Pattern) -> None:
    filled(history, np.r_[np.tile([1.0, -1.0], 10), 0.07 * np.arange(30)])
    codes, _ = said(measured, **{"history.file": str(history.path)})
    assert set(codes) == {"INSTRUMENT_DRIFTS"}
    assert "standard deviations a month, the limit of 3 in" in codes["INSTRUMENT_DRIFTS"].text


def test_one_of_several_instruments_is_told_by_name(history: InstrumentHistory, measured: xc.Pattern) -> None:
    for name in ("D8", "X'Pert"):
        filled(history, np.tile([1.0, -1.0], 25), instrument=name)
    with pytest.raises(RecipeError, match=r"history.diffractometer: .* holds several. Expected one of: D8, X'Pert"):
        said(measured, **{"history.file": str(history.path)})
    with pytest.raises(RecipeError, match="'D9' is not in"):
        said(measured, **{"history.file": str(history.path), "history.diffractometer": "D9"})
    assert said(measured, **{"history.file": str(history.path), "history.diffractometer": "D8"})[0] == {}
    with pytest.raises(ReadError, match=r"nosuch\.sqlite"):
        said(measured, **{"history.file": "nosuch.sqlite"})


# ---- the commands


def test_record_chart_export_and_backup(tmp_path: Path) -> None:
    base = tmp_path / "lab.sqlite"
    here = ("--history", base)
    assert run("chart", *here).exit_code == 2
    for number in range(25):
        value = 100.0 + (0.01 if number % 2 else -0.01)
        answer = run("record", *here, "--standard", "weight", "--instrument", "T1", "--kind", "tga",
                     "--value", f"mass_mg={value}", "--date", f"2025-01-{number + 1:02d}T08:00+01:00")  # fmt: skip
        assert answer.exit_code == 0, answer.output
    assert "run 25 of weight on T1, 2025-01-25 07:00 (user)" in answer.stdout
    answer = run("chart", *here, "--out", tmp_path / "charts", "--format", "json")
    assert answer.exit_code == 0, answer.output
    (told,) = json.loads(answer.stdout)
    assert (told["state"], told["runs"], told["quantity"]) == ("in_control", 25, "mass_mg")
    assert_close(told["centre"], 100.0, atol=1e-9, because="half above, half below")
    drawn = tmp_path / "charts" / "T1_weight_mass_mg.png"
    assert drawn.read_bytes()[:4] == b"\x89PNG"
    run("record", *here, "--standard", "weight", "--instrument", "T1", "--kind", "tga", "--value", "mass_mg=101")
    answer = run("chart", *here)
    assert answer.exit_code == 1
    assert "OUT OF CONTROL" in answer.stdout
    assert run("record", *here, "--exclude", 26, "--reason", "draught").exit_code == 0
    assert run("chart", *here).exit_code == 0
    assert run("record", *here, "--exclude", 99, "--reason", "draught").exit_code == 2
    assert run("record", *here, "--instrument", "T1", "--service", "new furnace").exit_code == 0
    run("record", *here, "--standard", "weight", "--instrument", "T1", "--kind", "tga", "--value", "mass_mg=100")
    assert run("chart", *here).exit_code == 4, "the new baseline has one run"
    lines = run("export", *here).stdout.splitlines()
    assert len(lines) == 28
    assert "draught" in lines[26]
    exported = tmp_path / "runs.json"
    assert run("export", *here, "--format", "json", "--out", exported).exit_code == 0
    assert [event["reason"] for event in json.loads(exported.read_bytes())["events"]] == ["draught", "new furnace"]
    assert run("backup", tmp_path / "b.sqlite", *here).exit_code == 0
    assert run("chart", "--history", tmp_path / "b.sqlite").exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--instrument", "D8"], "--standard"),
        (["--standard", "srm660c", "--value", "a=1"], "--instrument"),
        (["--standard", "x", "--instrument", "D8", "--value", "a"], "NAME=NUMBER"),
        (["--standard", "x", "--instrument", "D8", "--value", "a=nan"], "NAME=NUMBER"),
        (["--standard", "x", "--instrument", "D8", "--value", "a=1", "--date", "soon"], "ISO 8601"),
        (["nosuch.xy", "--standard", "srm660c", "--instrument", "D8"], "nosuch.xy"),
        (["nosuch.xy", "--standard", "srm999", "--instrument", "D8"], "srm660c"),
        (["--exclude", "1"], "no such file"),
    ],
)
def test_what_cannot_be_recorded_makes_no_file(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run("record", *arguments)
    assert answer.exit_code == 2, answer.output
    assert words in answer.stderr
    assert list(tmp_path.iterdir()) == []


# ---- what is measured of a standard


def table_of(path: Path, *, rows: tuple[tuple[float, float, float], ...], drift_ug: float = 0.0) -> Path:
    """Text table of a run of 20 mg with logistic losses, or of nothing but a straight drift."""
    heated = run_of(rows, noise_ug=0.5)
    mass = heated.mass + 1e-3 * drift_ug * np.linspace(0.0, 1.0, len(heated.mass))
    lines = [f"{t:.4f},{m:.6f}" for t, m in zip(heated.temperature_c, mass, strict=True)]
    path.write_text("Temperature (°C),Mass (mg)\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_steps_of_portlandite_and_drift_of_a_pan_are_measured(tmp_path: Path) -> None:
    steps = table_of(tmp_path / "ca.csv", rows=((0.2431, 450.0, 8.0),))
    check, _ = measure_standard(steps, "portlandite", "T1", xc.Recipe.of({"thermal.buoyancy_std": 0.0}))
    assert check.kind == "tga"
    assert_close(check.values["h2o_loss"].value, 0.2431, atol=5e-4, because="0.5 µg of noise in 20 mg, and the ends")
    assert_close(check.values["h2o_peak"].value, 450.0, atol=1.0, because="half of the smoothing length")
    pan = table_of(tmp_path / "pan.csv", rows=(), drift_ug=30.0)
    check, _ = measure_standard(pan, "empty-pan", "T1", measured_at=BEGIN)
    assert_close(check.values["drift"].value, 30.0, atol=0.5, because="means of a hundredth at each end")
    assert (check.values["drift"].unit, check.dated_by, check.measured_at) == ("µg", "user", BEGIN)


def test_the_level_of_an_empty_holder_is_measured(tmp_path: Path) -> None:
    angle = np.arange(5.0, 60.0, 0.02)
    counts = np.random.default_rng(4).poisson(np.where(angle <= 10.0, 400.0, 100.0))
    path = tmp_path / "holder.xy"
    path.write_text("\n".join(f"{a:.2f} {c}" for a, c in zip(angle, counts, strict=True)) + "\n", encoding="utf-8")
    check, _ = measure_standard(path, "blank", "D8")
    assert check.standard == "empty-holder"
    assert_close(check.values["low_angle_level"].value, 400.0, atol=4.0, because="3 √(400 / 251)")
    assert_close(check.values["low_angle_level"].std, np.sqrt(400 / 251), rtol=0.05, because="counting")


def test_the_certified_lab6_scan_is_measured(real_files: Path, tmp_path: Path) -> None:
    scan = shutil.copy(real_files / "xrd/pdcif/nist_srm660c_100a.cif", tmp_path)
    base = tmp_path / "lab.sqlite"
    answer = run("record", scan, "--history", base, "--standard", "srm660c", "--instrument", "D8", "--scan", 0,
                 "--format", "json")  # fmt: skip
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert_close(told["values"]["cell_a"]["value"], 4.156826, atol=3e-5, because="half of 5e-5 Å, as in the real tests")
    assert {"width_at_60", "net_intensity", "displacement"} <= set(told["values"])
    again = run("record", scan, "--history", base, "--standard", "srm660c", "--instrument", "D8", "--scan", 0)
    assert "was recorded before" in again.stdout
