"""The command that writes pages from results that were saved."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.builders import make_result
from xrdcomp.cli.main import main
from xrdcomp.present import pdf
from xrdcomp.present.files import write_result


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two saved results, one with its own page, in a folder; the current folder is another one."""
    results = tmp_path / "results"
    write_result(make_result(sample_id="S 1"), results, figures=False, report=True)
    write_result(make_result(sample_id="S2", tga=False), results, figures=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return results


def test_one_result_gives_the_page_that_analyze_writes(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("report", saved / "S 1").exit_code == 0
    page = Path("report.html").read_text(encoding="utf-8")
    own = (saved / "S 1" / "report.html").read_text(encoding="utf-8")
    time = r"Analysed .* UTC, this page"
    assert page.split("Analysed")[0] == own.split("Analysed")[0]
    assert "this page written" in page, time


def test_several_results_give_one_page_with_links(saved: Path) -> None:
    assert run("report", saved, "--out", "all.html", "--title", "Two").exit_code == 0
    page = Path("all.html").read_text(encoding="utf-8")
    assert 'href="../results/S%201/report.html"' in page
    assert 'href="../results/S2/result.json"' in page
    assert "<h1>Two: 2 specimens" in page


def test_what_is_no_result_and_what_others_wrote_is_refused(saved: Path, tmp_path: Path) -> None:
    assert run("report", tmp_path / "here").exit_code == 2
    Path("report.html").write_text("mine", encoding="utf-8")
    refused = run("report", saved / "S2")
    assert refused.exit_code == 2
    assert "was not written by" in refused.stderr
    assert Path("report.html").read_text(encoding="utf-8") == "mine"
    assert run("report", saved / "S2", "--overwrite").exit_code == 0
    twice = run("report", saved / "S2", saved / "S2" / "result.json", "--out", "b.html")
    assert twice.exit_code == 0, "the same folder once"


def test_without_a_browser_the_pdf_says_what_to_install(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "find_browser", lambda: None)
    monkeypatch.setattr(pdf.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(pdf.MissingExtraError, match=r"pip install 'xrdcomp\[pdf\]'"):
        pdf.page_to_pdf("<p>")


@pytest.mark.skipif(pdf.find_browser() is None, reason="no browser of the Chromium family to print with")
def test_a_pdf_is_printed_and_may_be_printed_again(saved: Path) -> None:
    for _ in range(2):
        done = run("report", saved / "S 1", "--pdf", "--decimal-comma")
        assert done.exit_code == 0, done.stderr
        data = Path("report.pdf").read_bytes()
        assert data.startswith(b"%PDF-")
        assert data.endswith(b"% written by xrdcomp\n")
        assert len(data) > 20_000
