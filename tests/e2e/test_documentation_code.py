"""The pages are true: what they show as Python and as commands runs, on simulated measurements under their names."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import xrdcomp as xc
from xrdcomp.cli.main import main
from xrdcomp.io.export import convert_file
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate.cohort import load_cohort, write_pattern, write_tga

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOT_RUN = {
    "pip install": "changes the environment",
    "xrdcomp integrate": "needs frames of a detector; tests/unit/test_frames_integrate.py runs the command",
    "pattern.xye": "is what the command before it writes",
    "xrdcomp calibrate": "needs a scan of a standard; tests/unit/test_instrument_calibration.py runs the command",
    "xrdcomp watch": "goes on until it is stopped",
    "xrdcomp qc history": "needs a history of scans; tests of quality control run it",
    "--internal-standard": "needs a spiked specimen; tests of quantification analyse one",
    "python -m": "studies of many minutes",
}
"""Commands, by a part of them, that are shown and not run here, with the reason."""


def blocks(page: str, language: str) -> list[str]:
    """Return the code of a page in one language, in order, as it stands in a list or alone."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with every file that the pages speak of, and results of two specimens."""
    folder = tmp_path_factory.mktemp("bench")
    entry, other = load_cohort()[:2]
    shutil.copy(entry.xrd, folder / "scan.xrdml")
    for name in ("run.txt", "run.csv", "specimen.csv", "S2_tga.csv"):
        shutil.copy(entry.tga, folder / name)
    shutil.copy(entry.xrd, folder / "S1.xrdml")
    shutil.copy(entry.tga, folder / "S1_tga.csv")
    simulated = xc.simulate_specimen(
        xc_model(), seed=3
    )  # fmt: skip
    assert simulated.blank is not None
    assert simulated.tga_blank is not None
    write_pattern(folder / "empty_holder.xy", simulated.blank, "xy")
    pan = replace(simulated.tga_blank, mass=simulated.tga_blank.mass - simulated.tga_blank.mass.min() + 0.01)
    for name in ("empty_pan.txt", "empty_pan.csv"):
        write_tga(folder / name, pan, "csv")
    convert_file(folder / "empty_holder.xy", folder / "empty_holder.xye")
    phase = load_phase("calcite")
    structure = Path(xc.__file__).parents[1] / "data" / "reference_patterns" / phase.id / "structure.cif"
    shutil.copy(structure, folder / "my_phase.cif")
    for number, item in enumerate((entry, other), start=1):
        result = xc.analyze(item.xrd, tga=item.tga, atmosphere="air", sample_id=f"S{number}")
        result.write(folder / "results")
    return folder


def xc_model() -> Any:
    from xrdcomp.simulate.specimens import SpecimenModel

    return SpecimenModel(
        specimen_id="b", apatite=0.3, carbonate=0.02, protein=0.4, lipid=0.1, water=0.15, amorphous_mineral=0.03
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", ["tutorial", "tables", "figures", "batch", "howto/own-phase", "howto/own-reader",
                                  "thermal", "simulator"])  # fmt: skip
def test_the_python_of_a_page_runs(page: str, bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench)
    if page == "tutorial" and not (bench / "results" / "scan").is_dir():
        xc.analyze("scan.xrdml", tga="run.txt", atmosphere="air", sample_id="scan").write("results")
    found = blocks(page, "python")
    assert found
    names: dict[str, Any] = {"xc": xc}
    for block in found:
        exec(compile(block, page, "exec"), names)


def command_lines(page: str) -> list[list[str]]:
    """Return the commands of a page that are run here."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    kept = [line for line in lines if line.strip() and not any(part in line for part in NOT_RUN)]
    return [shlex.split(line, comments=True) for line in kept]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["tutorial", "tables", "figures", "howto/own-phase", "howto/own-check",
                                  "howto/blank-and-spike"])  # fmt: skip
def test_the_commands_of_a_page_run(page: str, bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench)
    (bench / "empty_holder.xrdml").write_bytes((bench / "empty_holder.xy").read_bytes())
    for block in blocks(page, "toml"):
        tomllib.loads(block)
        (bench / "qc.toml").write_text(block, encoding="utf-8")
    found = command_lines(page)
    assert found
    for words in found:
        assert words[0] == "xrdcomp", words
        shutil.rmtree("xrdcomp-results", ignore_errors=True)  # each command stands for itself
        done = CliRunner().invoke(main, words[1:])
        assert done.exit_code in (0, 1), f"{' '.join(words)}: {done.output[-600:]}"


def test_what_is_toml_is_toml() -> None:
    for path in sorted(DOCS.rglob("*.md")):
        page = path.relative_to(DOCS).with_suffix("").as_posix()
        if "_build" not in page:
            for block in blocks(page, "toml"):
                tomllib.loads(block)
