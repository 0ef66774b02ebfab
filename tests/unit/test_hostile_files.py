"""Every file that a command reads comes through one bounded source: pipes, devices and huge files are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.tga_damage import limit
from tests.xrd_writers import example, xy
from xrdcomp.cli.main import main

ENTRIES = {
    "pattern": "analyze FILE --format json",
    "blank": "analyze scan.xy --blank FILE --format json",
    "run": "tga FILE --format json",
    "run of the empty pan": "tga run.csv --blank FILE --format json",
    "windows": "tga run.csv --windows FILE --format json",
    "recipe": "analyze scan.xy --recipe FILE --format json",
    "instrument": "analyze scan.xy --instrument FILE --format json",
    "structure": "analyze scan.xy --phases FILE.cif --format json",
    "library": "analyze scan.xy --set identification.extra_phases=FILE.cif --format json",
    "history": "analyze scan.xy --history FILE --format json",
    "measured halo": "analyze scan.xy --set fit.amorphous_patterns.protein=FILE --format json",
    "reference pattern": "analyze scan.xy --set quantification.reference_patterns.zincite=FILE --format json",
    "factor": "analyze scan.xy --set quantification.crystallinity=ponkcs --set quantification.amorphous_file=FILE "
    "--format json",
    "policy": "qc result --policy FILE",
    "judged result": "qc FILE",
    "result of a page": "report FILE --out page.html",
    "result of a figure": "figure FILE -o a.png",
    "result of a table": "export FILE -o a.csv",
    "manifest": "batch FILE.csv --out out",
    "frame": "integrate FILE",
    "calibration": "integrate frame.tif --poni FILE",
    "mask": "integrate frame.tif --poni frame.poni --mask FILE",
    "series": "series FILE --out a.parquet",
    "inspected": "inspect FILE --format json",
    "converted": "convert FILE a.xy",
    "standard": "calibrate FILE --standard srm660c -o a.toml",
    "mixture": "calibrate-amorphous FILE:0.3 FILE:0.6",
    "kinetics": "kinetics FILE run.csv run.csv",
    "control": "qc record FILE --standard srm660c --instrument d8 --history h.sqlite",
    "laboratory": "analyze lab/scan.xy --format json",
}
HUGE = 20 * 2**30


def hostile(kind: str, path: Path) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as stream:
            stream.truncate(HUGE)
    elif kind == "not text":
        path.write_bytes(b"a = 1\n\xff\xfe\xfa\n" * 20)
    elif kind == "not finite":
        path.write_text("nan = nan\ninf = inf\n\n[fit]\ndegree = nan\n" + "nan,inf\n" * 50)
    elif kind == "empty":
        path.touch()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes and devices in folders")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge", "not text", "not finite", "empty"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_hostile_files_are_refused_in_words(
    entry: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if (entry, kind) == ("history", "empty"):
        pytest.skip("an empty file is a history without runs")
    arguments = ENTRIES[entry].split()
    name = next((word for word in ("FILE.cif", "FILE.csv") if word in ENTRIES[entry]), "FILE")
    Path("scan.xy").write_bytes(xy(example(201)))
    Path("run.csv").write_text(
        "Time (min),Temperature (°C),Mass (mg)\n"
        + "".join(f"{i / 10},{30 + i},{10 - i / 1000}\n" for i in range(900)), encoding="utf-8",
    )  # fmt: skip
    Path("lab").mkdir()
    Path("lab/scan.xy").write_bytes(xy(example(201)))
    target = Path("lab/xrdcomp.toml") if entry == "laboratory" else Path(name)
    hostile(kind, target)
    with limit(20.0):
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, (result.exit_code, result.output[-2000:], result.exception)
    assert "Traceback" not in result.output
    assert len(result.stderr) > 40
