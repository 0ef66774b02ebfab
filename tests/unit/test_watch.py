"""Watching a folder: files that are written slowly, in pieces, renamed, damaged; each analysed once; kills."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import xrdcomp as xc
from tests.unit.thermal_curves import run_of
from xrdcomp.cli.main import main
from xrdcomp.errors import OutputError, ReadError, RecipeError
from xrdcomp.qc.policy import read_policy
from xrdcomp.qc.watch import Watched, WatchOptions, watch_folder
from xrdcomp.recipe import Recipe

COHORT = Path(__file__).resolve().parents[2] / "data" / "specimens"
QUICK = Recipe.of({"identification.search": False, "fit.two_theta_range": [20.0, 40.0], "composition.draws": 200})
OPTIONS = {"interval_s": 0.02, "settle_s": 0.1, "pair_wait_s": 0.0, "patience_s": 0.5, "once": True}


def run_text(number: int) -> str:
    """Run of 10 mg that is another one for each number."""
    heated = run_of(((0.10, 90.0, 12.0), (0.2 + 0.004 * number, 330.0, 20.0), (0.02, 770.0, 16.0)), noise_ug=1.0)
    rows = [f"{t:.2f},{m:.5f}" for t, m in zip(heated.temperature_c[::20], heated.mass[::20], strict=True)]
    return "Temperature (°C),Mass (mg)\n" + "\n".join(rows) + "\n"


def pattern_text(seed: int = 0) -> str:
    """Pattern of apatite: two columns of the embedded cohort, with noise of its own."""
    pattern = xc.read_xrd(next((COHORT / "sim01_solid").glob("*.xrdml")))
    rng = np.random.default_rng(seed)
    keep = (pattern.two_theta > 18.0) & (pattern.two_theta < 42.0)
    counts = rng.poisson(np.maximum(pattern.intensity[keep], 0.0))
    return "".join(f"{a:.4f} {c}\n" for a, c in zip(pattern.two_theta[keep], counts, strict=True))


def watched(folder: Path, out: Path, recipe: Recipe = QUICK, **options: object) -> list[Watched]:
    given = WatchOptions(**(OPTIONS | options))  # type: ignore[arg-type]  # chosen by tests
    return list(watch_folder(folder, out, recipe, read_policy(), given))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "incoming"
    made.mkdir()
    (made / "A_tga.csv").write_text(run_text(1), encoding="utf-8")
    (made / "A.xy").write_text(pattern_text(), encoding="utf-8")
    (made / "B_tga.csv").write_text(run_text(2), encoding="utf-8")
    (made / "notes.md").write_text("what was done\n", encoding="utf-8")
    (made / "blank_holder.xy").write_text(pattern_text(9), encoding="utf-8")
    return made


def test_what_is_finished_is_analysed_once_and_judged(folder: Path, tmp_path: Path) -> None:
    out, recipe = tmp_path / "out", Recipe.of(QUICK, radiation="CuKa")
    events = watched(folder, out, recipe)
    assert [event.name for event in events] == ["A", "B"]
    row = events[0].row
    assert row is not None
    assert (row["xrd"], row["tga"]) == ("A.xy", "A_tga.csv")
    assert all(event.judgement is not None and not event.resumed for event in events)
    before = (out / "A" / "result.json").stat().st_mtime_ns
    again = watched(folder, out, recipe)
    assert [(event.name, event.resumed) for event in again] == [("A", True), ("B", True)]
    assert (out / "A" / "result.json").stat().st_mtime_ns == before
    assert (out / "results.csv").is_file()


def test_a_file_that_changes_later_is_analysed_anew(folder: Path, tmp_path: Path) -> None:
    watched(folder, tmp_path / "out")
    (folder / "B_tga.csv").write_text(run_text(7), encoding="utf-8")
    assert {event.name: event.resumed for event in watched(folder, tmp_path / "out")} == {"A": True, "B": False}


def test_a_renamed_file_and_a_copy_are_known(folder: Path, tmp_path: Path) -> None:
    states: list[dict] = []
    watched(folder, tmp_path / "out")
    (folder / "B_tga.csv").rename(folder / "C_tga.csv")
    shutil.copy(folder / "A_tga.csv", folder / "D_tga.csv")
    given = WatchOptions(**OPTIONS)  # type: ignore[arg-type]  # floats and a truth value
    found = list(watch_folder(folder, tmp_path / "out", QUICK, read_policy(), given, shown=states.append))
    assert [(event.name, event.resumed) for event in found] == [("A", True)]
    why = {file["name"]: file["reason"] for file in states[-1]["files"]}
    assert why["C_tga.csv"] == "analysed under its earlier name, B_tga.csv"
    assert why["D_tga.csv"] == "a copy of A_tga.csv"
    assert {row["sample_id"] for row in states[-1]["specimens"]} == {"A", "B"}


def test_a_damaged_file_is_reported_once_and_analysed_when_it_is_whole(folder: Path, tmp_path: Path) -> None:
    whole = next((COHORT / "sim01_solid").glob("*.xrdml")).read_bytes()
    (folder / "E.xrdml").write_bytes(whole[: len(whole) // 2])
    events = watched(folder, tmp_path / "out")
    damaged = {event.name: event.damaged for event in events if event.damaged}
    assert set(damaged) == {"E.xrdml"}
    assert "E.xrdml" in damaged["E.xrdml"]
    (folder / "E.xrdml").write_bytes(whole)
    assert {e.name: e.resumed for e in watched(folder, tmp_path / "out")} == {"A": True, "B": True, "E": False}


def test_an_empty_file_and_two_patterns_of_one_name_are_told(folder: Path, tmp_path: Path) -> None:
    (folder / "F.xy").touch()
    (folder / "A.xye").write_text(pattern_text(3), encoding="utf-8")
    events = {event.name: event for event in watched(folder, tmp_path / "out")}
    assert "empty" in events["F.xy"].damaged
    row = events["A"].row
    assert row is not None
    assert row["status"] == "failed"
    assert "2 xrd files" in str(row["error"])
    judgement = events["A"].judgement
    assert judgement is not None
    assert judgement.verdict == "undecided"


def test_a_manifest_says_what_belongs_together(folder: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "sample_id,xrd,tga,atmosphere\n"
        f"one,{folder / 'A.xy'},{folder / 'B_tga.csv'},air\nlater,,{folder / 'Z_tga.csv'},air\n",
        encoding="utf-8",
    )
    recipe = Recipe.of(QUICK, radiation="CuKa")
    (event,) = watched(folder, tmp_path / "out", recipe, manifest=str(manifest))
    assert event.row is not None
    assert (event.name, event.row["xrd"], event.row["tga"]) == ("one", "A.xy", "B_tga.csv")
    (folder / "Z_tga.csv").write_text(run_text(4), encoding="utf-8")
    events = watched(folder, tmp_path / "out", recipe, manifest=str(manifest))
    assert [(e.name, e.resumed) for e in events] == [("one", True), ("later", False)]


def test_what_cannot_be_watched_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="nosuch"):
        watched(tmp_path / "nosuch", tmp_path / "out")
    with pytest.raises(OutputError, match="among the measurements"):
        watched(folder, folder)
    with pytest.raises(RecipeError, match=r"nosuch\.csv"):
        watched(folder, tmp_path / "out", manifest="nosuch.csv")
    first = watch_folder(folder, tmp_path / "out", QUICK, read_policy(), WatchOptions(**OPTIONS))  # type: ignore[arg-type]  # as above
    next(first)
    with pytest.raises(OutputError, match="another watch"):
        watched(folder, tmp_path / "out")
    first.close()
    assert watched(folder, tmp_path / "out")


def test_a_folder_that_is_away_for_a_while_ends_no_watch(folder: Path, tmp_path: Path) -> None:
    states: list[dict] = []
    away = folder.with_name("away")

    def shown(state: dict) -> None:
        states.append(state)
        if state["problem"]:
            away.rename(folder)
        elif len(states) == 1:
            folder.rename(away)

    given = WatchOptions(**(OPTIONS | {"settle_s": 0.3}))  # type: ignore[arg-type]  # as above
    found = list(watch_folder(folder, tmp_path / "out", QUICK, read_policy(), given, shown=shown))
    assert [event.name for event in found] == ["A", "B"]
    assert any(str(folder) in state["problem"] for state in states)


def test_the_command_tells_page_and_exit_code(folder: Path, tmp_path: Path) -> None:
    out, policy = tmp_path / "out", tmp_path / "qc.toml"
    policy.write_text(
        'name = "strict"\n[[rule]]\nid = "pattern"\nat = "xrd.gof"\nmax = 1e9\nmissing = "fail"\nreason = "both <b>"\n',
        encoding="utf-8",
    )
    command = ["watch", str(folder), "--out", str(out), "--once", "--interval", "0.05", "--settle", "0.1",
               "--patience", "0.4", "--set", "identification.search=false", "--set", "composition.draws=200",
               "--radiation", "CuKa", "--policy", str(policy)]  # fmt: skip
    (folder / "G.brml").write_bytes(b"PK\x03\x04 cut off")
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 1, answer.output
    assert "G.brml: cannot be read" in answer.stdout
    assert "B: warning, FAIL" in answer.stdout or "B: ok, FAIL" in answer.stdout
    assert "nothing stands at xrd.gof" in answer.stdout
    page = (out / "index.html").read_text(encoding="utf-8")
    for text in ("G.brml", "cannot be read", 'href="A/result.json"', "blank_holder.xy", "strict"):
        assert text in page
    (folder / "G.brml").unlink()
    (folder / "B_tga.csv").unlink()
    shutil.rmtree(out)
    assert CliRunner().invoke(main, command).exit_code == 0


# ---- many files, written as instruments write them


def write_slowly(folder: Path, texts: dict[str, str], seed: int) -> None:
    """Write files a few at a time in pieces with pauses; each third under a temporary name that is then changed."""
    rng = random.Random(seed)
    waiting = sorted(texts)
    rng.shuffle(waiting)
    open_ones: list[tuple[str, Path, list[str]]] = []
    while waiting or open_ones:
        while waiting and len(open_ones) < 6:
            name = waiting.pop()
            text = texts[name]
            cuts = sorted(rng.randrange(1, len(text)) for _ in range(3))
            pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            target = folder / (f"{name}.part" if rng.random() < 1 / 3 else name)
            open_ones.append((name, target, pieces))
        name, target, pieces = item = rng.choice(open_ones)
        with target.open("a", encoding="utf-8") as stream:
            stream.write(pieces.pop(0))
        if not pieces:
            open_ones.remove(item)
            if target.name != name:
                target.rename(folder / name)
        time.sleep(rng.uniform(0.01, 0.04))


class Watcher:
    """The command in a process of its own, with what it has printed."""

    def __init__(self, folder: Path, out: Path, log: Path) -> None:
        self.log = log
        command = [
            *(sys.executable, "-c"),
            "from xrdcomp.cli.start import start; start()",
            *("watch", folder, "--out", out, "--interval", "0.1", "--settle", "1", "--pair-wait", "4"),
            *("--patience", "6", "--set", "identification.search=false", "--set", "composition.draws=200"),
            *("--radiation", "CuKa"),
        ]
        with log.open("ab") as stream:
            self.process = subprocess.Popen(list(map(str, command)), stdout=stream, stderr=subprocess.DEVNULL)

    def lines(self) -> list[str]:
        return [line for line in self.log.read_text(encoding="utf-8").splitlines() if not line.startswith(" ")]

    def until(self, told: int, seconds: float = 150.0) -> None:
        """Wait until so many things were told."""
        end = time.monotonic() + seconds
        while len({line.split(":")[0] for line in self.lines()}) < told and time.monotonic() < end:
            assert self.process.poll() is None, "it goes on until it is stopped"
            time.sleep(0.1)

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30.0)


@pytest.fixture
def fifty() -> dict[str, str]:
    """42 runs, four of them with a pattern of the same name, three patterns alone, and one cut in two: 50 files."""
    texts = {f"R{number:02d}_tga.csv": run_text(number) for number in range(42)}
    texts |= {f"R{number:02d}.xy": pattern_text(number) for number in range(4)}
    texts |= {f"P{number}.xy": pattern_text(10 + number) for number in range(3)}
    whole = next((COHORT / "sim01_solid").glob("*.xrdml")).read_text(encoding="utf-8")
    return texts | {"cut.xrdml": whole[: len(whole) // 2]}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is not known there")
@pytest.mark.parametrize("kills", [0, 1])
def test_fifty_files_are_each_analysed_once(kills: int, fifty: dict[str, str], tmp_path: Path) -> None:
    assert len(fifty) == 50
    folder, out, log = tmp_path / "incoming", tmp_path / "out", tmp_path / "log.txt"
    folder.mkdir()
    names = {f"R{number:02d}" for number in range(42)} | {f"P{number}" for number in range(3)}
    writer = threading.Thread(target=write_slowly, args=(folder, fifty, 7))
    watcher = Watcher(folder, out, log)
    writer.start()
    try:
        for _ in range(kills):
            watcher.until(len(names) // 2)
            assert watcher.stop(signal.SIGKILL) == -signal.SIGKILL
            watcher = Watcher(folder, out, log)
        writer.join()
        watcher.until(len(names) + 1)
        time.sleep(2.0)  # nothing more is told
        assert watcher.stop(signal.SIGTERM) == 143
    finally:
        if watcher.process.poll() is None:
            watcher.process.kill()
        writer.join()
    lines = watcher.lines()
    analysed = Counter(line.split(":")[0] for line in lines if "earlier watch" not in line and "cannot be" not in line)
    assert {line.split(":")[0] for line in lines} == names | {"cut.xrdml"}
    assert max(analysed.values()) == 1, "none twice, though some files came later than others of their name"
    again = {line.split(":")[0] for line in lines if "earlier watch" in line}
    assert set(analysed) | again == names
    assert bool(again) == bool(kills)
    assert sum("cut.xrdml: cannot be read" in line for line in lines) in (1, 1 + kills)
    for name in names:
        kept = (out / name / "result.json").read_text(encoding="utf-8")
        both = name in {f"R{number:02d}" for number in range(4)}
        assert all(f'"{kind}"' in kept for kind in (("xrd", "tga") if both else ())), "pattern and run together"
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("/result.json") == len(names)
