"""The bench app in a real browser: from files dropped to a downloaded report, and all that can go another way.

Driven by Playwright in the Chromium of the system, as in `test_pages`; skipped without one, required where
XRDCOMP_REQUIRE_BROWSER is set.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app_client import App
from tests.e2e.test_pages import REQUIRED, WHY_NOT, browser
from tests.unit.test_app_project import pattern
from tests.unit.test_instrument_calibration import standard_scan
from tests.unit.test_instrument_history import check_run
from xrdcomp.instrument.history import InstrumentHistory
from xrdcomp.results import Estimate
from xrdcomp.simulate.cohort import load_cohort, write_pattern

__all__ = ["browser"]
needs_browser = pytest.mark.skipif(bool(WHY_NOT) and not REQUIRED, reason=WHY_NOT or "none")
FIXTURES = os.environ.get("XRDCOMP_FIXTURES")
QUICK = 'composition.draws = 200\nthermal.bootstrap = 10\nidentification.library = ["calcite"]'
EXPECTED = (*(f"status of {code}" for code in (400, 409, 413, 422, 429)), "ERR_CONNECTION")
"""What a browser notes of refusals, and of an app that has ended."""
MOST_MS = 300_000
"""Longest wait for what a busy machine does late."""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    running = App(tmp_path / "project")
    yield running
    running.stop()


@pytest.fixture
def visit(browser: Any, app: App) -> Iterator[Callable[..., Any]]:
    """Open the app; at the end nothing may have been asked of another host, and no script may have failed."""
    contexts, elsewhere, wrong = [], [], []

    def noted(message: Any) -> None:
        if message.type == "error" and not any(text in message.text for text in EXPECTED):
            wrong.append(message.text)

    def asked(request: Any) -> None:
        if not request.url.startswith((app.origin, "data:", "blob:")):
            elsewhere.append(request.url)

    def opened(path: str = "", width: int = 1280, height: int = 720, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(MOST_MS)
        tab.on("request", asked)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", noted)
        tab.goto(app.address)
        if path:
            tab.goto(app.origin + path)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert wrong == []


def drop(tab: Any, *files: Path) -> None:
    """Drop files on the page as a file manager does."""
    data = [{"name": file.name, "data": base64.b64encode(file.read_bytes()).decode()} for file in files]
    tab.evaluate(
        """files => {
            const transfer = new DataTransfer();
            for (const file of files)
                transfer.items.add(new File([Uint8Array.from(atob(file.data), c => c.charCodeAt(0))], file.name));
            const target = document.getElementById("drop");
            for (const kind of ["dragenter", "dragover", "drop"])
                target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        data,
    )


def ended(tab: Any, run: str, how: str = "finished") -> None:
    """Wait until the page of a specimen says how a run ended."""
    tab.locator("#state", has_text=re.compile(rf"Run {run}:\s+{how}")).wait_for(timeout=MOST_MS)


def saved(tab: Any, act: Callable[[], Any]) -> None:
    """Change something in the form of a specimen, leave the field, and wait until it is saved."""
    tab.locator("form#settings[data-ready]").wait_for(state="attached")  # a page that still loads does not hear it
    with tab.expect_response(lambda answer: answer.request.method == "POST" and "/specimens/" in answer.url) as said:
        act()
        tab.keyboard.press("Tab")
    assert said.value.status == 200, said.value.text()


def quick(tab: Any) -> None:
    """Let an analysis cost little, by the settings that a user would type."""
    if not tab.locator("textarea[name=further]").is_visible():
        tab.locator("#further-part summary").click()
    saved(tab, lambda: tab.fill("textarea[name=further]", QUICK))


def violations(tab: Any) -> list[str]:
    from axe_core_python.sync_playwright import Axe

    found = Axe().run(tab)["violations"]
    return [f"{item['id']}: {[node['target'] for node in item['nodes']][:4]}" for item in found]


def seen_plot(tab: Any, number: int = 0) -> None:
    """The interactive plot of the report in a frame of the page is drawn."""
    tab.locator("iframe").nth(number).scroll_into_view_if_needed()  # out of view, frames of a sandbox stand still
    host = tab.frame_locator("iframe").nth(number).locator("[data-plot]").first
    host.scroll_into_view_if_needed()
    host.locator("canvas").first.wait_for(state="attached", timeout=MOST_MS)


@needs_browser
@pytest.mark.slow
@pytest.mark.fixtures
@pytest.mark.skipif(not FIXTURES, reason="XRDCOMP_FIXTURES names no folder of real measurements")
def test_from_two_dropped_files_of_different_makers_to_a_report_and_on(app: App, visit: Any, tmp_path: Path) -> None:
    measured = Path(FIXTURES or "")
    tab = visit()
    run = measured / "tga" / "netzsch_text" / "80CASH01_20CH.csv"
    scan = measured / "xrd" / "xrdml" / "XRD-918-16_10.xrdml"
    drop(tab, scan, run)
    files = tab.locator("#files")
    files.locator("text=PANalytical XRDML").wait_for()
    files.locator("text=NETZSCH Proteus").wait_for()
    assert "4.007 to 70° 2θ, 5027 points" in files.inner_text()
    assert "EMPYREAN" in files.inner_text()
    # names do not pair them: the person does
    rows = tab.locator("#start tbody tr")
    rows.nth(1).wait_for()
    rows.nth(0).locator("input[type=checkbox]").uncheck()
    rows.nth(1).locator("input[required]").fill("bone 7")
    rows.nth(1).locator("select").nth(1).select_option(f"files/{run.name}")
    tab.click("text=Make the ticked specimens")
    tab.wait_for_url("**/specimens/bone%207")
    assert tab.locator("#view svg").count() == 2
    quick(tab)
    # a range drawn over the pattern
    box = tab.locator("#view svg").first.bounding_box()
    tab.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.4 * box["height"], steps=5)
    saved(tab, tab.mouse.up)
    low, high = (float(tab.input_value(f"input[name=range_{end}]")) for end in ("min", "max"))
    assert 15 < low < 30
    assert 50 < high < 60
    saved(tab, lambda: tab.fill("input[name=atmosphere]", "nitrogen"))
    tab.click("form#settings button.main")
    ended(tab, "001")
    tab.click("text=Report and downloads")
    seen_plot(tab)
    with tab.expect_download() as kept:
        tab.press("text=Download the report", "Enter")
    report = tmp_path / "report.html"
    kept.value.save_as(report)
    assert kept.value.suggested_filename == "bone 7_report.html"
    assert report.read_bytes() == (app.project / "results" / "bone 7" / "001" / "report.html").read_bytes()
    with tab.expect_download() as kept:
        tab.press("a[href$='tables/composition.csv']", "Enter")
    kept.value.save_as(tmp_path / "composition.csv")
    assert "organic" in (tmp_path / "composition.csv").read_text()
    with tab.expect_download() as kept:
        tab.press("a[href*='/files/figures/'] >> nth=0", "Enter")
    kept.value.save_as(tmp_path / "figure.svg")
    assert "<svg" in (tmp_path / "figure.svg").read_text()
    # another setting, and both runs beside each other
    tab.press("text=Change settings and run again", "Enter")
    saved(tab, lambda: tab.select_option("select[name=basis]", "dry"))
    tab.click("form#settings button.main")
    ended(tab, "002")
    tab.click("text=Side by side")
    assert "composition.basis – → dry" in " ".join(tab.inner_text("main").split())
    for number in (0, 1):
        seen_plot(tab, number)
    assert violations(tab) == []
    assert_repeated(app, "bone 7", "002", tmp_path)


def assert_repeated(app: App, name: str, run: str, tmp_path: Path) -> None:
    """What the page computed is, byte for byte, what the command line computes from the project."""
    out = tmp_path / "again"
    again = subprocess.run(
        [sys.executable, "-c", "from xrdcomp.cli.start import start; start()", "analyze", "--recipe",
         str(app.project / "specimens" / f"{name}.toml"), "--out", str(out), "--quiet"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    own = (app.project / "results" / name / run / "result.json").read_bytes()
    assert (out / name / "result.json").read_bytes() == own


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pattern and run of two simulated specimens."""
    entries = [entry for entry in load_cohort() if entry.specimen_id in ("sim01_solid", "sim07_fluid")]
    return [file for entry in entries for file in (entry.xrd, entry.tga)]


def analysed(app: App, files: list[Path]) -> list[str]:
    """Specimens of files, with a cheap analysis each."""
    names = []
    for scan, run in zip(files[::2], files[1::2], strict=True):
        for file in (scan, run):
            app.put(file.name, file.read_bytes())
        names.append(scan.stem)
        app.ask("POST", "/specimens", {"row": "1", "take-1": "on", "name-1": scan.stem, "xrd-1": f"files/{scan.name}",
                                       "tga-1": f"files/{run.name}"})  # fmt: skip
        form = {"revision": "1", "action": "run", "xrd": f"files/{scan.name}", "tga": f"files/{run.name}"}
        answer = app.ask("POST", f"/specimens/{scan.stem}", form | {"radiation": "CuKa", "further": QUICK})
        assert answer.status == 303, answer.text
    assert [job["state"] for job in app.settle()] == ["done"] * len(names)
    return names


@needs_browser
@pytest.mark.slow
def test_a_cohort_is_collected_and_kept(app: App, visit: Any, demo: list[Path]) -> None:
    names = analysed(app, demo)
    tab = visit("/cohort")
    for name in names:
        tab.check(f"input[value={name}]")
    tab.click("text=Look at the ticked ones together")
    frame = tab.frame_locator("iframe")
    frame.locator("text=2 specimens").first.wait_for()
    assert violations(tab) == []
    with tab.expect_download() as kept:
        tab.click("text=Download the table")
    assert kept.value.suggested_filename == "cohort.csv"
    tab.reload()
    assert tab.is_checked(f"input[value={names[0]}]")
    other = visit("/cohort")
    other.uncheck(f"input[value={names[0]}]")
    for page in (other, tab):
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            page.press("text=Look at the ticked ones together", "Enter")  # a click beside a frame may get lost
    tab.locator("main", has_text="changed meanwhile").wait_for()


@needs_browser
@pytest.mark.slow
def test_every_view_is_accessible_in_light_and_dark_wide_and_narrow(app: App, visit: Any, demo: list[Path]) -> None:
    (name, *_), scan = analysed(app, demo[:2]), demo[2]
    app.put("broken.xrdml", b"<?xml version='1.0'?><xrdMeasurements>")
    app.put(scan.name, scan.read_bytes())
    paths = ("/", f"/specimens/{name}", f"/specimens/{name}/runs/001", "/cohort", "/instruments", "/specimens/nobody")
    for scheme in ("light", "dark"):
        for width in (1280, 800):
            tab = visit(width=width, height=720, color_scheme=scheme)
            for path in paths:
                tab.goto(app.origin + path)
                assert violations(tab) == [], (scheme, width, path)
                wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, f"{path} is {wide} px wider than {width}"


@needs_browser
def test_the_first_run_offers_the_demo_and_the_keyboard_is_enough(app: App, visit: Any) -> None:
    tab = visit()

    def go_to(selector: str) -> None:
        for _ in range(120):
            if tab.evaluate("s => document.activeElement.matches(s)", selector):
                return
            tab.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached by the keyboard")

    go_to("form[action='/demo'] button")
    tab.keyboard.press("Enter")
    tab.locator("#specimens table").wait_for()
    assert tab.locator("#specimens tbody tr").count() == 10
    go_to("input[value=sim02_solid]")
    tab.keyboard.press("Space")
    assert tab.is_checked("input[value=sim02_solid]")
    go_to("a[href='/specimens/sim03_solid']")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/specimens/sim03_solid")
    go_to("select[name=basis]")
    saved(tab, lambda: tab.keyboard.press("ArrowDown"))
    assert 'basis = "dry"' in (app.project / "specimens" / "sim03_solid.toml").read_text()
    go_to("button[value=undo]")
    tab.keyboard.press("Enter")
    tab.wait_for_load_state()
    tab.locator("#history table").wait_for(state="attached")
    assert tab.input_value("select[name=basis]") == ""
    assert "basis" not in (app.project / "specimens" / "sim03_solid.toml").read_text()


@needs_browser
def test_errors_stand_beside_what_they_concern_and_a_long_run_is_cancelled(
    app: App, visit: Any, demo: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.brml"
    broken.write_bytes(b"PK\x03\x04 this is no archive")
    tab = visit()
    drop(tab, broken, *demo[:2])
    tab.locator("#taken li.error").wait_for()
    row = tab.locator("#files tr", has_text="broken.brml")
    row.locator(".error").wait_for()
    assert "broken.brml" in row.locator(".error").inner_text()
    tab.locator("#files tr", has_text=demo[1].name).wait_for()
    tab.click("text=Make the ticked specimens")
    tab.wait_for_url("**/specimens/*")
    tab.fill("input[name=atmosphere]", "nitrogn")
    tab.keyboard.press("Tab")
    tab.locator("#error-atmosphere:visible").wait_for()
    assert "nitrogen" in tab.inner_text("#error-atmosphere")
    assert "Not saved" in tab.inner_text("#saved")
    saved(tab, lambda: tab.fill("input[name=atmosphere]", "N2"))
    tab.locator("#error-atmosphere").wait_for(state="hidden")
    busy(app, demo[0].name, 12)
    tab.click("form#settings button.main")
    tab.locator("#state button:has-text('Cancel')").click()
    ended(tab, "001", "cancelled")


@needs_browser
def test_two_tabs_do_not_undo_each_others_work(app: App, visit: Any, demo: list[Path]) -> None:
    scan = demo[0]
    app.put(scan.name, scan.read_bytes())
    app.ask(
        "POST", "/specimens", {"row": "1", "take-1": "on", "name-1": "S", "xrd-1": f"files/{scan.name}", "tga-1": ""}
    )
    first, second = visit("/specimens/S"), visit("/specimens/S")
    saved(first, lambda: first.select_option("select[name=basis]", "dry"))
    second.select_option("select[name=specimen_kind]", "tissue")
    second.locator("#saved.error").wait_for()
    assert "another tab" in second.inner_text("#saved")
    text = (app.project / "specimens" / "S.toml").read_text()
    assert 'basis = "dry"' in text
    assert "tissue" not in text
    second.reload()
    saved(second, lambda: second.select_option("select[name=specimen_kind]", "tissue"))
    text = (app.project / "specimens" / "S.toml").read_text()
    assert 'basis = "dry"' in text
    assert "tissue" in text


def standard_files(folder: Path) -> tuple[Path, Path]:
    """Scans of a line-profile standard on a diffractometer as it was, and after its specimen stage moved."""
    files = folder / "lab6.xy", folder / "lab6_moved.xy"
    for file, displacement in zip(files, (0.06, 0.3), strict=True):
        write_pattern(file, standard_scan(displacement_mm=displacement), "xy")
    return files


def calibrate(tab: Any, name: str, file: str, standard: str) -> None:
    """Fill in the form of a calibration and wait for its end."""
    form = tab.locator("form", has=tab.locator("input[value=calibration]"))
    form.locator("input[name=name]").fill(name)
    form.locator("select[name=file]").select_option(f"files/{file}")
    form.locator("select[name=standard]").select_option(standard)
    form.locator("select[name=radiation]").select_option("CuKa")
    form.locator("button").click()
    tab.locator("#queue li", has_text=f"calibration {name}").wait_for()


def record(tab: Any, instrument: str, file: str) -> None:
    """Record a check run and wait for its end."""
    form = tab.locator("form", has=tab.locator("input[value=check]"))
    done = tab.locator("#queue li", has_text=f"check of {instrument}").count()
    form.locator("input[name=name]").fill(instrument)
    form.locator("select[name=file]").select_option(f"files/{file}")
    form.locator("select[name=standard]").select_option("srm660c")
    form.locator("input[name=operator]").fill("Ada")
    form.locator("button").click()
    tab.locator("#queue li", has_text=f"check of {instrument}").nth(done).wait_for()


@needs_browser
@pytest.mark.slow
def test_an_instrument_is_calibrated_and_its_check_runs_are_charted(app: App, visit: Any, tmp_path: Path) -> None:
    good, moved = standard_files(tmp_path)
    tab = visit()
    drop(tab, good, moved)
    for file in (good, moved):
        tab.locator("#files tr", has_text=file.name).wait_for()
    tab.click("text=Instruments")
    assert "None has been recorded yet" in tab.inner_text("#charts")
    calibrate(tab, "D8-silicon", good.name, "srm640f")
    assert "Check standard and radiation" in tab.inner_text("#queue"), "the scan is of another standard"
    calibrate(tab, "D8-2026", good.name, "srm660c")
    tab.locator("#calibrated tr", has_text="instruments/D8-2026.toml").wait_for()
    assert (app.project / "instruments" / "D8-2026.toml").exists()
    assert not (app.project / "instruments" / "D8-silicon.toml").exists()
    # runs of the past months, as the command line recorded them
    history = InstrumentHistory(path=app.project / "check-runs.sqlite")
    for number in range(25):
        value = Estimate(value=0.0455 + 0.001 * (-1) ** number, std=0.0015, unit="mm")
        history.record(check_run(number, sha256=f"{number:064d}", values={"displacement": value}))
    tab.reload()
    record(tab, "D8", good.name)
    row = tab.locator("#charts tr", has_text="displacement")
    row.get_by_text("in control").wait_for()
    record(tab, "D8", moved.name)
    row.get_by_text("out of control").wait_for()
    assert "Displacement is out of control" in tab.inner_text("#queue")
    assert row.locator("td.number").inner_text() == "27"
    tab.locator("summary", has_text="isplacement of srm660c on D8").click()
    picture = tab.locator("img[alt*='isplacement of srm660c on D8']")
    picture.scroll_into_view_if_needed()
    drawn = picture.element_handle()
    tab.wait_for_function("picture => picture.complete && picture.naturalWidth > 300", arg=drawn)
    assert violations(tab) == []
    service = tab.locator("form", has=tab.locator("input[value=service]"))
    service.locator("input[name=name]").fill("D8")
    service.locator("input[name=note]").fill("stage set anew")
    with tab.expect_response(lambda answer: answer.request.method == "POST"):
        service.locator("button").click()
    assert len(history.events()) == 1
    # what was calibrated and recorded is offered where a specimen is analysed
    app.ask(
        "POST", "/specimens", {"row": "1", "take-1": "on", "name-1": "S", "xrd-1": f"files/{good.name}", "tga-1": ""}
    )
    tab.goto(app.origin + "/specimens/S")
    saved(tab, lambda: tab.select_option("select[name=instrument]", "instruments/D8-2026.toml"))
    assert "instruments/D8-2026.toml" in (app.project / "specimens" / "S.toml").read_text()


def busy(app: App, scan: str, n: int) -> None:
    """Queue runs of n specimens of one scan, so that the last waits however fast the machine is."""
    rows = [str(k) for k in range(1, n + 1)]
    form: dict[str, Any] = {"row": rows, "run": "1"}
    for k in rows:
        form |= {f"take-{k}": "on", f"name-{k}": f"S{k}", f"xrd-{k}": f"files/{scan}", f"tga-{k}": ""}
    app.ask("POST", "/specimens", form)


@needs_browser
def test_a_page_says_when_the_app_has_ended_and_goes_on_when_it_is_back(
    app: App, visit: Any, demo: list[Path], tmp_path: Path
) -> None:
    scan = demo[0]
    app.put(scan.name, scan.read_bytes())
    busy(app, scan.name, 8)
    tab = visit("/specimens/S8")
    tab.locator("#state [data-active]").wait_for()
    while not any(job["state"] == "running" for job in app.jobs()):
        tab.wait_for_timeout(20)
    app.stop(signal.SIGKILL)
    tab.locator("#lost:visible").wait_for()
    again = App(app.project, log=tmp_path / "again.log")
    try:
        tab.close()
        assert again.ask("GET", "/specimens/S8").status == 200
        jobs = again.settle()
        assert [job["state"] for job in jobs] == ["done"] * 8
        assert sum(job["attempts"] == 2 for job in jobs) >= 1, "what ran when it was killed ran again"
        assert "finished" in again.ask("GET", "/specimens/S8").text
    finally:
        again.stop()


# Without a browser


@pytest.mark.slow
def test_ten_analyses_queued_at_once_give_what_each_gives_alone(tmp_path: Path) -> None:
    """The ten specimens of the demonstration, with cheap settings, on two workers."""
    from dataclasses import replace

    from xrdcomp.analysis import analyze
    from xrdcomp.recipe import Recipe

    running = App(tmp_path / "project", "--workers", "2")
    try:
        running.ask("POST", "/demo", {})
        recipes = {}
        for file in sorted((running.project / "specimens").glob("*.toml")):
            recipe = Recipe.of(file)
            form = {
                "xrd": f"files/{next((running.project / 'files').glob(f'{file.stem}.*')).name}",
                "tga": f"files/{next((running.project / 'files').glob(f'{file.stem}_tga.*')).name}",
                "radiation": "CuKa", "atmosphere": recipe.thermal.atmosphere or "", "further": QUICK, "revision": "1",
            }  # fmt: skip
            assert running.ask("POST", f"/specimens/{file.stem}", form).status == 303
            recipes[file.stem] = (Recipe.of(file), form)
        assert running.ask("POST", "/run", {"specimen": list(recipes)}).status == 303
        assert [job["state"] for job in running.settle()] == ["done"] * 10
        for name in ("sim01_solid", "sim06_solid", "sim10_fluid"):
            recipe, form = recipes[name]
            alone = analyze(running.project / form["xrd"], tga=running.project / form["tga"], recipe=recipe)
            stored = json.loads((running.project / "results" / name / "001" / "result.json").read_bytes())
            own = json.loads(replace(alone, sample_id=name).to_json())
            assert stored["composition"] == own["composition"]
        assert_repeated(running, "sim07_fluid", "001", tmp_path)
    finally:
        running.stop()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_twenty_kills_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """Files, settings and runs that were answered are there after each of twenty kills in the midst of the work."""
    project = tmp_path / "project"
    confirmed: dict[str, Any] = {"files": {}, "settings": 0, "runs": 0}
    slow = "".join(f"{x / 50:.2f} {1000 + (x * 7919) % 97}\n" for x in range(500, 4500)).encode()
    for number in range(20):
        running = App(project, log=tmp_path / f"{number}.log")
        try:
            if number == 0:
                running.put("S.xy", slow)
                form = {"row": "1", "take-1": "on", "name-1": "S", "xrd-1": "files/S.xy", "tga-1": ""}
                assert running.ask("POST", "/specimens", form).status == 303
            page = running.ask("GET", "/specimens/S").text
            found = re.search(r'name="revision" value="(\d+)"', page)
            assert found
            if confirmed["settings"]:
                assert f'name="range_max" aria-label="Range to, degrees" value="{confirmed["settings"]}"' in page
            for name, data in confirmed["files"].items():
                assert (project / "files" / name).read_bytes() == data
            data = pattern(number, 300)
            assert running.put(f"F{number}.xy", data).status == 200
            confirmed["files"][f"F{number}.xy"] = data
            form = {"xrd": "files/S.xy", "range_min": "12", "range_max": str(40 + number), "revision": found[1]}
            assert running.ask("POST", "/specimens/S", form | {"action": "run"}).status == 303
            confirmed["settings"], confirmed["runs"] = 40 + number, confirmed["runs"] + 1
            assert len(list((project / "results" / "S").glob("[0-9]*.toml"))) == confirmed["runs"]
            time.sleep(0.13 * (number % 8))
        finally:
            assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    last = App(project, log=tmp_path / "last.log")
    try:
        jobs = last.jobs()
        assert len(jobs) == 20
        assert {job["arguments"]["run"] for job in jobs} == {f"{n + 1:03d}" for n in range(20)}
        for job in jobs[:-2]:
            last.ask("POST", f"/jobs/{job['id']}/cancel", {})
        assert {job["state"] for job in last.settle()} <= {"done", "error", "cancelled", "interrupted"}
        assert all(job["said"] for job in last.jobs() if job["state"] in ("done", "error", "interrupted"))
        left = [path.name for path in project.rglob("*") if path.name.endswith((".partial", ".old"))]
        assert len(left) <= 20
        page = last.ask("GET", "/specimens/S").text
        assert page.count("/specimens/S/runs/0") >= 20
    finally:
        last.stop()
