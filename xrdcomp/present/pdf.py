"""PDF of a page: by a browser where there is one, else by the package weasyprint."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from xrdcomp.errors import AnalysisError, MissingExtraError

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "brave-browser",
)
SECONDS = 120
MARK = b"% written by xrdcomp\n"
"""After the end of the file, where readers pass over it: by it a later run knows what it may replace."""


NUMBERS = re.compile(r'(<(?:td class="number"|text|span data-path|p class="answer")[^>]*>)([^<]+)')
"""Beginnings of what holds a number in a page, as `page.js` looks for it, and the text."""


def find_browser() -> str | None:
    """Path of a browser of the Chromium family; the one that XRDCOMP_BROWSER names goes first."""
    names = (os.environ.get("XRDCOMP_BROWSER", ""), *BROWSERS)
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    places = (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        r"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
        r"C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
    )
    return found or next((place for place in places if Path(place).is_file()), None)


def page_to_pdf(
    html: str, *, paper: str = "A4", landscape: bool = False, decimal_comma: bool = False, appendix: bool = False
) -> bytes:
    """Return the page as PDF, broken into sheets as its style for print says; `appendix` with all that it holds.

    Raises MissingExtraError where there is neither a browser nor weasyprint, AnalysisError where printing fails.
    """
    size = f"{paper} landscape" if landscape else paper
    html = html.replace("</head>", f"<style>@page {{ size: {size}; }}</style>\n</head>", 1)
    if appendix:
        html = html.replace("<html ", '<html data-print="all" ', 1).replace("<details>", "<details open>")
    browser = find_browser()
    if browser is None:
        if importlib.util.find_spec("weasyprint") is None:
            raise MissingExtraError(
                "a PDF is printed by Chromium, Chrome or Edge, and none was found. Install one, name it in "
                "XRDCOMP_BROWSER, or install the package weasyprint: pip install 'xrdcomp[pdf]'. The page itself needs "
                "neither: open report.html and print it."
            )
        import weasyprint

        if decimal_comma:  # what the page's script does in a browser
            html = NUMBERS.sub(lambda found: found[1] + re.sub(r"(\d)\.(\d)", r"\1,\2", found[2]), html)
        return bytes(weasyprint.HTML(string=html).write_pdf()) + MARK
    with tempfile.TemporaryDirectory(prefix="xrdcomp-pdf-") as folder:
        page, target = Path(folder) / "page.html", Path(folder) / "page.pdf"
        page.write_text(html, encoding="utf-8")
        address = page.as_uri() + ("#decimal=comma" if decimal_comma else "")
        # A browser of its own with nothing but the page.
        flags = ["--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--no-pdf-header-footer"]
        flags += [f"--user-data-dir={folder}/user", "--disable-background-networking", f"--print-to-pdf={target}"]
        if sys.platform == "linux" and os.geteuid() == 0:
            # the superuser of a container cannot have the sandbox
            flags += ["--no-sandbox", "--disable-dev-shm-usage"]
        try:
            done = subprocess.run([browser, *flags, address], capture_output=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AnalysisError(
                f"{browser} did not print the page ({error}). Open report.html and print it."
            ) from error
        if not target.is_file() or not target.stat().st_size:
            told = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise AnalysisError(f"{browser} printed nothing ({' '.join(told)}). Open report.html and print it.")
        return target.read_bytes() + MARK
