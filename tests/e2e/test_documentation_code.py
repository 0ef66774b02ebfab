"""The pages are true: every block of Python, commands and TOML runs, on simulated measurements under their names.

What is not run here stands in `NOT_RUN` with its reason; what no page shows any more may not stand there.
"""

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
from benchmarks.series_map import write_map
from xrdcomp.cli.main import main
from xrdcomp.io.export import convert_file
from xrdcomp.io.export import write_pattern as write_scan
from xrdcomp.io.stacks import open_stack
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate.cohort import load_cohort, simulate_pattern, write_pattern, write_tga
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *sorted(path for path in (ROOT / "docs").rglob("*.md") if not {"_build", "design"} & set(path.parts)),
    )
}
NOT_RUN = {
    "pip install": "changes the environment",
    "git clone": "needs the network; .ci/run does it from this repository",
    "make ": ".ci/run and developers",
    ".venv/bin/python -m": "these tests themselves",
    "python -m ": "studies and pages made by commands, of many minutes",
    "xrdcomp demo": "tests/e2e/test_demo.py runs it",
    "xrdcomp integrate": "needs frames of a detector; tests/unit/test_frames_integrate.py runs the command",
    "pattern.xye": "is what the command before it writes",
    "from xrdcomp.frames": "needs frames of a detector; tests/unit/test_frames_integrate.py calls both",
    "xrdcomp watch": "goes on until it is stopped; tests/unit/test_watch.py runs it",
    "xrdcomp app": "goes on until it is stopped; tests/e2e/test_app.py uses it",
    "--internal-standard": "needs a spiked specimen; tests/unit/test_quantification_in_results.py analyses one",
    "internal_standard=(": "the same",
    "id31.xye": "needs a synchrotron's pattern; tests/unit/test_geometry and real files analyse such",
    "external_scan": "needs a scan of corundum; tests/unit/test_quantification_in_results.py has one",
    "calibrate-amorphous": "needs mixtures with known shares; tests/unit/test_measured_halo.py makes them",
    "amorphous.toml": "is what the command before it writes",
    "xrdcomp kinetics": "needs runs at several rates; tests/unit/test_present_studies.py makes them",
    "read_xrd_scans": "needs instruments' own formats; tests/contract reads each",
    "oxalate.csv": "needs a run of the standard; tests/unit/test_instrument_history.py has such",
    "--exclude 17": "needs seventeen check runs; tests/unit/test_instrument_history.py has them",
    "fit_series(two_theta": "needs a series of patterns; tests/unit/test_series.py fits some",
    "tcp://": "needs a scheduler of Dask; tests/unit/test_series_files.py has one",
    "dask scheduler": "the same",
    "message_kind(": "a part of a module of the package",
}
"""What is shown and not run here: a part of the line, or of the block of Python, and the reason."""


def blocks(page: str, *languages: str) -> list[str]:
    """Return the code of a page in some languages, in order, as it stands in a list or alone."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```", PAGES[page], re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, kind, code in found if kind in languages]


def command_lines(page: str) -> list[str]:
    """Return the commands of a page, continued lines joined; of blocks with what a command prints, those after a $."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    shown = [line for block in blocks(page, "console", "") for line in block.replace("\\\n", " ").splitlines()]
    lines += [line.removeprefix("$ ") for line in shown if re.match(r"\$ |(xrdcomp|python|pip|git|make) ", line)]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def run_here(code: str) -> bool:
    return not any(part in code for part in NOT_RUN)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with every file that the pages speak of, and results of two specimens."""
    folder = tmp_path_factory.mktemp("bench")
    entry, other = load_cohort()[:2]
    for name in ("scan.xrdml", "S1.xrdml", "incoming/S1.xrdml", "measurements/S1.xrdml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(entry.xrd, folder / name)
    for name in ("run.txt", "run.csv", "specimen.csv", "S1_tga.csv", "S2_tga.csv", "measurements/S1_tga.csv"):
        shutil.copy(entry.tga, folder / name)
    model = SpecimenModel(
        specimen_id="b", apatite=0.3, carbonate=0.02, protein=0.4, lipid=0.1, water=0.15, amorphous_mineral=0.03
    )
    simulated = xc.simulate_specimen(model, seed=3)
    assert simulated.blank is not None
    assert simulated.tga_blank is not None
    write_pattern(folder / "scan.xy", simulated.pattern, "xy")
    write_pattern(folder / "collagen.xy", simulated.blank, "xy")
    write_pattern(folder / "empty_holder.xy", simulated.blank, "xy")
    write_pattern(folder / "empty_holder.xrdml", simulated.blank, "xrdml")
    shutil.copy(folder / "empty_holder.xrdml", folder / "empty.xrdml")
    convert_file(folder / "empty_holder.xy", folder / "empty_holder.xye")
    pan = replace(simulated.tga_blank, mass=simulated.tga_blank.mass - simulated.tga_blank.mass.min() + 0.01)
    for name in ("empty_pan.txt", "empty_pan.csv"):
        write_tga(folder / name, pan, "csv")
    nothing = dict.fromkeys(("apatite", "carbonate", "protein", "lipid", "water", "amorphous_mineral"), 0.0)
    standard = SpecimenModel(specimen_id="lab6", other={"lab6": 1.0}, other_size_nm=600.0, **nothing)
    conditions = XrdConditions(peak_counts=20000, two_theta_min=18, two_theta_max=130, step=0.02)
    write_pattern(folder / "lab6.xrdml", simulate_pattern(standard, conditions, seed=4)[0], "xrdml")
    words = ("qc", "record", folder / "lab6.xrdml", "--standard", "srm660c", "--instrument", "D8", "--history")
    assert CliRunner().invoke(main, [*map(str, words), str(folder / "lab.sqlite")]).exit_code in (0, 1)
    write_map(folder / "map.h5", (4, 6), n=501)
    (folder / "frames").mkdir()
    for number in range(3):
        frame = open_stack(folder / "map.h5").pattern(number)
        assert frame is not None
        write_scan(frame, folder / "frames" / f"frame_{number}.xye")
    phase = load_phase("calcite")
    shutil.copy(ROOT / "data" / "reference_patterns" / phase.id / "structure.cif", folder / "my_phase.cif")
    shutil.copytree(ROOT / "data" / "reference_patterns" / phase.id, folder / "my_phases" / phase.id)
    rows = "sample_id,xrd,tga,atmosphere\nS1,S1.xrdml,S1_tga.csv,air\n"
    (folder / "manifest.csv").write_text(rows, encoding="utf-8")
    for number, item in enumerate((entry, other), start=1):
        result = xc.analyze(item.xrd, tga=item.tga, atmosphere="air", sample_id=f"S{number}")
        result.write(folder / "results")
    return folder


@pytest.fixture
def bench(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy of the folder for one page, as the working directory."""
    folder = tmp_path / "bench"
    shutil.copytree(measured, folder)
    (folder / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(run_here, blocks(page, "python")))])
def test_the_python_of_a_page_runs(page: str, bench: Path) -> None:
    if page == "docs/tutorial":
        xc.analyze("scan.xrdml", tga="run.txt", atmosphere="air", sample_id="scan").write("results")
    if page == "docs/howto/many-patterns":
        words = ["series", "map.h5", "--out", "map.parquet", "--phases", "fluorapatite", "--no-figures", "--quiet"]
        assert CliRunner().invoke(main, words).exit_code == 0
    for block in blocks(page, "toml"):
        (bench / "qc.toml").write_text(block, encoding="utf-8") if "[[rule]]" in block else None
    names: dict[str, Any] = {"xc": xc}
    for block in filter(run_here, blocks(page, "python")):
        exec(compile(block, page, "exec"), names)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(run_here, command_lines(page)))])
def test_the_commands_of_a_page_run(page: str, bench: Path) -> None:
    for block in blocks(page, "toml"):
        place = "qc.toml" if "[[rule]]" in block else "xrdcomp.toml" if "blank =" in block else "recipe.toml"
        (bench / place).write_text(block, encoding="utf-8")
    for line in filter(run_here, command_lines(page)):
        words = shlex.split(line, comments=True)
        assert words[0] == "xrdcomp", line
        shutil.rmtree("xrdcomp-results", ignore_errors=True)  # each command stands for itself
        done = CliRunner().invoke(main, words[1:])
        good = (0, 1, 4) if words[1] == "qc" else (0, 1)
        assert done.exit_code in good, f"{line}: {done.output[-600:]}"


def test_what_is_toml_is_toml() -> None:
    for page in PAGES:
        for block in blocks(page, "toml"):
            tomllib.loads(block)


def test_what_is_not_run_is_shown_somewhere() -> None:
    code = "\n".join(text for page in PAGES for text in (*command_lines(page), *blocks(page, "python")))
    assert [part for part in NOT_RUN if part not in code] == []
