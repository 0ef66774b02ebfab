"""Take the pictures of the bench app again, into docs/images: a project, a specimen, two runs side by side.

python -m tools.app_pictures    (needs a Chromium and the extra ``test``)
"""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.app_client import App
from xrdcomp.present.pdf import find_browser

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
WAIT_MS = 300_000


def take(page: Page, name: str, height: int) -> None:
    """Write what a window of this height shows, with 256 colours."""
    page.set_viewport_size({"width": 1280, "height": height})
    for number in range(page.locator("iframe").count()):  # plots are drawn where they are seen
        plot = page.frame_locator("iframe").nth(number).locator("[data-plot=pattern]")
        plot.locator("canvas").first.wait_for(state="attached", timeout=WAIT_MS)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1000)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    reduced = shot.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    reduced.save(FOLDER / name, optimize=True)


def main() -> None:
    """Let the app analyse two specimens of the demonstration, one of them twice, and take its pages."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        app = App(Path(folder) / "knees")
        browser = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        try:
            app.ask("POST", "/demo", {})
            app.ask("POST", "/run", {"specimen": ["sim01_solid", "sim07_fluid"]})
            app.settle()
            page = browser.new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(app.address)
            take(page, "app_project.png", 900)
            page.goto(f"{app.origin}/specimens/sim01_solid")
            for name, value in (("range_min", "15"), ("range_max", "60")):
                page.fill(f"input[name={name}]", value)
                page.keyboard.press("Tab")
            page.locator("#saved", has_text=re.compile("^Saved")).wait_for()
            page.click("form#settings button.main")
            page.locator("#state", has_text=re.compile(r"Run 002:\s+finished")).wait_for()
            take(page, "app_specimen.png", 900)
            page.goto(f"{app.origin}/specimens/sim01_solid/compare")
            take(page, "app_compare.png", 1500)
        finally:
            browser.close()
            app.stop()


if __name__ == "__main__":
    main()
