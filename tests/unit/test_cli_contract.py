"""The command line keeps its contract: exit codes, pure standard output, words, nothing half-written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result

from tests.builders import make_result
from xrdcomp.cli.main import COMMANDS, main
from xrdcomp.cli.options import build_recipe, say_coloured
from xrdcomp.errors import ReadError, RecipeError
from xrdcomp.recipe import Recipe

SCHEMA = json.loads((Path(__file__).parents[2] / "xrdcomp" / "result.schema.json").read_text(encoding="utf-8"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Let `analyze` return a made-up result and note what it was called with."""
    calls: list[dict] = []

    def analyze(xrd: str | None = None, **options: object) -> object:
        calls.append({"xrd": xrd, **options})
        return make_result(sample_id=options["recipe"].sample_id or "S1")

    monkeypatch.setattr("xrdcomp.analysis.analyze", analyze)
    return calls


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_has_a_help_with_an_example(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert f"  xrdcomp {verb}" in result.output.split("Example")[1]


def test_the_list_of_commands_matches_the_commands() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for verb, line in COMMANDS.items():
        assert verb in result.output
        assert line.endswith(".")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["anlyze"], "Did you mean analyze?"),
        (["analyze", "--fromat", "json"], "--f"),
        (["analyze", "a.xy", "--atmosphere", "argn"], "argon"),
        (["analyze"], "nothing to analyse"),
        (["analyze", "a.xy", "--set", "fit.mod=peaks"], "Did you mean fit.mode?"),
        (["analyze", "a.xy", "--set", "peaks"], "KEY=VALUE"),
        (["analyze", "a.xy", "--range", "70,15"], "--range 70,15"),
        (["analyze", "a.xy", "--range", "15"], "2 numbers"),
        (["analyze", "a.xy", "--wavelength", "1,54"], "--wavelength 1,54"),
        (["analyze", "a.xy", "--wavelength", "CuKa"], "--wavelength CuKa"),
        (["analyze", "a.xy", "--internal-standard", "corundum"], "corundum:0.2"),
        (["analyze", "a.xy", "--internal-standard", "corundum:20"], "between 0 and 1"),
        (["analyze", "a.xy", "--recipe", "nosuch.toml"], "nosuch.toml"),
        (["analyze", "nosuch.xy"], "nosuch.xy"),
        (["analyze", "--tga", "nosuch.csv"], "nosuch.csv"),
        (["tga", "nosuch.csv"], "nosuch.csv"),
        (["tga", "nosuch.csv", "--windows", "nosuch.toml"], "nosuch.toml"),
        (["tga-check", "nosuch.csv", "--standard", "calcite"], "nosuch.csv"),
        (["identify", "nosuch.xy"], "nosuch.xy"),
        (["calibrate", "nosuch.xy", "--standard", "srm660c"], "nosuch.xy"),
        (["inspect", "nosuch.xy"], "nosuch.xy"),
        (["phases", "hydroxyapatit"], "hydroxyapatite"),
        (["simulate", "--composition", "protein=0.5"], "sum to 0.5"),
        (["simulate", "--composition", "protein"], "NAME=FRACTION"),
        (["simulate", "--seed", "-1"], "--seed"),
        (["analyze", "a.xy", "--phases", ""], "separated by commas"),
        (["analyze", "a.xy", "--phases", "quartz,,calcite"], "separated by commas"),
        (["analyze", "a.xy", "--wavelength", "1.5406,1.5444,-3"], "weight of the second line"),
        (["calibrate-amorphous", "ha20.xy"], "ha20.xy:0.2"),
        (["calibrate", "a.xy", "--standard", "srm660c", "--set", "fit.cell=false"], "no others"),
        (["simulate", "--composition", "protein=1", "--sample-id", "../x"], "sample id"),
    ],
)
def test_bad_input_ends_with_2_words_and_no_file(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["inspect", "a.csv", "--format", "json"], {"kind": "ReadError", "file": "a.csv", "place": "line 3"}),
        (["analyze", "a.csv", "--format=json"], {"kind": "ReadError", "file": "a.csv", "format": None}),
        (["analyze", "a.uxd", "--format=json"], {"kind": "ReadError", "file": "a.uxd", "format": "uxd"}),
        (["tga", "a.csv", "--format", "json"], {"kind": "ReadError", "format": "tga_csv", "place": "line 3"}),
        (["analyze", "a.csv", "--format", "json", "--phases", "a,,b"], {"kind": "RecipeError", "file": None}),
        (["analyze", "--format", "json", "--nosuch"], {"kind": "UsageError", "hint": None}),
        (["nosuch", "--format", "json"], {"kind": "UsageError", "place": None}),
    ],
)  # fmt: skip
def test_json_has_what_is_wrong_with_the_input_as_an_object(
    arguments: list[str], facts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("2theta,counts\nten,3OO°\n" + "10.02,3OO°\n" * 20)
    Path("a.uxd").write_text("; cut\n_FILEVERSION=1\n_DRIVE='COUPLED'\n")
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    error = json.loads(result.stdout)["error"]
    assert list(error) == ["kind", "reason", "file", "format", "place", "expected", "hint"]
    assert facts.items() <= error.items()
    assert error["reason"].strip(".") in result.stderr
    assert "format=ID" not in result.stdout


def test_a_defect_ends_with_3_and_says_how_to_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("xrdcomp.analysis.analyze", broken)
    result = run("analyze", "a.xy")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "defect of the program" in result.stderr
    assert "report it" in result.stderr
    assert "ZeroDivisionError" in result.stderr


def test_a_failed_result_ends_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dataclasses import replace

    from xrdcomp.data import Diagnostic

    bad = replace(make_result(), messages=(Diagnostic(code="X", severity="error", text="no."),))
    monkeypatch.setattr("xrdcomp.analysis.analyze", lambda *_, **__: bad)
    result = run("analyze", "a.xy", "--out", str(tmp_path), "--no-figures")
    assert result.exit_code == 1
    assert (tmp_path / "S1" / "result.json").is_file()


@pytest.mark.parametrize(
    ("severity", "fail_on", "code"),
    [("error", "error", 1), ("error", "warning", 1), ("error", "never", 0), ("warning", "error", 0),
     ("warning", "warning", 1), ("info", "warning", 0)],
)  # fmt: skip
def test_the_user_says_what_fails(
    severity: str, fail_on: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dataclasses import replace

    from xrdcomp.data import Diagnostic

    found = replace(make_result(), messages=(Diagnostic(code="X", severity=severity, text="no."),))
    monkeypatch.setattr("xrdcomp.analysis.analyze", lambda *_, **__: found)
    result = run("analyze", "a.xy", "--out", str(tmp_path), "--no-figures", "--fail-on", fail_on)
    assert result.exit_code == code
    assert (tmp_path / "S1" / "result.json").is_file()


def test_the_verdict_comes_first_and_last(analysed: list[dict], tmp_path: Path) -> None:
    result = run("analyze", "a.xy", "--out", str(tmp_path), "--no-figures", "--quiet")
    blocks = result.stdout.rstrip().split("\n\n")
    found = json.loads((tmp_path / "S1" / "result.json").read_text(encoding="utf-8"))
    assert blocks[0] == blocks[-1]
    what, sure, where = blocks[0].splitlines()
    assert what.startswith(found["verdict"].split(" wt%")[0]), "the sentence of the file, made to fit"
    assert sure.startswith(f"sound (status {found['status']}); least sure is ")
    assert where == f"report: {tmp_path / 'S1' / 'report.html'}"
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_json_is_the_result_and_nothing_else(analysed: list[dict], tmp_path: Path) -> None:
    result = run("analyze", "a.xy", "--format", "json", "--out", str(tmp_path), "--no-figures")
    assert result.exit_code == 0
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(result.stdout))
    assert result.stdout == (tmp_path / "S1" / "result.json").read_text(encoding="utf-8")
    assert "written" in result.stderr


def test_json_without_a_folder_writes_nothing(
    analysed: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("analyze", "a.xy", "--format", "json", "--quiet")
    assert json.loads(result.stdout)["sample_id"] == "S1"
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_text_goes_to_a_default_folder(analysed: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("analyze", "a.xy", "--no-figures", "--quiet")
    assert result.exit_code == 0
    assert "crystalline hydroxyapatite" in result.stdout
    assert result.stderr == ""
    assert (tmp_path / "xrdcomp-results" / "S1" / "result.json").is_file()


def test_figures_and_report_unless_refused(analysed: list[dict], tmp_path: Path) -> None:
    told = run("analyze", "a.xy", "--out", str(tmp_path / "a"), "--no-report").stdout
    assert (tmp_path / "a" / "S1" / "figures" / "fit.svg").is_file()
    assert not (tmp_path / "a" / "S1" / "report.html").exists()
    assert f"result: {tmp_path / 'a' / 'S1' / 'result.json'}" in told
    told = run("analyze", "a.xy", "--out", str(tmp_path / "b"), "--no-figures").stdout
    assert not (tmp_path / "b" / "S1" / "figures").exists()
    assert (tmp_path / "b" / "S1" / "report.html").is_file()
    assert f"report: {tmp_path / 'b' / 'S1' / 'report.html'}" in told


def test_colour_only_on_a_terminal_that_has_it(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    text = "S1: half\nsound (status ok)\n\nclaims\n  one\n  error: X: bad \x1b[31m"
    say_coloured(text)
    plain = capsys.readouterr().out
    assert plain.replace("\\x1b", "\x1b") == text + "\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    say_coloured(text)
    coloured = capsys.readouterr().out
    assert click.style("sound (status ok", fg="green", bold=True) in coloured
    assert click.style("claims", bold=True) in coloured
    assert click.unstyle(coloured) == plain, "the words are the same"
    monkeypatch.setenv("NO_COLOR", "1")
    say_coloured(text)
    assert capsys.readouterr().out == plain


def test_a_failed_run_leaves_the_output_folder_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ReadError("no counts", file="a.xy", place="line 3", expected="numbers", hint="Export again.")

    monkeypatch.setattr("xrdcomp.analysis.analyze", refuse)
    result = run("analyze", "a.xy", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "a.xy, line 3: no counts. Expected: numbers. Export again." in result.stderr
    assert not (tmp_path / "out").exists()


def test_options_reach_the_recipe(analysed: list[dict], tmp_path: Path) -> None:
    recipe_file = tmp_path / "mine.toml"
    recipe_file.write_text('[fit]\nmode = "peaks"\n[thermal]\nwater_end_c = 200.0\n')
    result = run(
        *("analyze", "a.xy", "--tga", "b.csv", "--blank", "c.xy", "--tga-blank", "d.csv", "--scan", "2"),
        *("--phases", "calcite, mine.cif", "--radiation", "CoKa", "--wavelength", "1.5405,1.5443,0.48"),
        *("--range", "15,70", "--atmosphere", "nitrogen", "--basis", "dry", "--sample-id", "X 1"),
        *("--internal-standard", "corundum:0.2", "--instrument", "mine.toml", "--recipe", str(recipe_file)),
        *("--set", "thermal.water_end_c=210", "--set", "fit.strain=false", "--out", str(tmp_path), "--no-figures"),
    )
    assert result.exit_code == 0, result.output
    call = analysed[0]
    recipe: Recipe = call.pop("recipe")
    files = {"xrd": "a.xy", "tga": "b.csv", "blank": "c.xy", "tga_blank": "d.csv"}
    assert call == {**files, "scan": 2, "input_format": None}
    assert recipe.phases == ("calcite", "mine.cif")
    assert recipe.instrument.radiation == "CoKa"
    assert recipe.instrument.wavelengths == (1.5405, 1.5443)
    assert recipe.instrument.intensity_ratio == 0.48
    assert recipe.instrument.file == "mine.toml"
    assert recipe.fit.two_theta_range == (15.0, 70.0)
    assert recipe.fit.mode == "peaks"
    assert recipe.fit.strain is False
    assert recipe.thermal.atmosphere == "nitrogen"
    assert recipe.thermal.water_end_c == 210.0
    assert recipe.composition.basis == "dry"
    assert (recipe.internal_standard, recipe.internal_standard_fraction) == ("corundum", 0.2)
    assert (tmp_path / "X 1" / "result.json").is_file()


def test_no_option_means_the_default_recipe() -> None:
    assert build_recipe({}) == Recipe()


def test_a_recipe_file_with_a_misspelt_key_names_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[fit]\nmdoe = 1\n")
    with pytest.raises(RecipeError, match=r"mine\.toml.*fit\.mdoe.*Did you mean fit\.mode"):
        build_recipe({"recipe": str(path)})


def test_phases_lists_the_library_as_text_and_json() -> None:
    listed = json.loads(run("phases", "--format", "json").stdout)
    ids = [item["id"] for item in listed]
    assert {"hydroxyapatite", "calcite", "corundum"} <= set(ids)
    text = run("phases").stdout
    assert all(any(line.startswith(f"{name} ") for line in text.splitlines()) for name in ids)
    one = json.loads(run("phases", "hydroxyapatite", "--format", "json").stdout)
    assert one["formula"] == "Ca5(PO4)3OH"
    assert "Ca5(PO4)3OH" in run("phases", "hydroxyapatite").stdout


def test_formats_lists_kinds_needs_and_verification() -> None:
    listed = json.loads(run("formats", "--format", "json").stdout)
    assert {"xrd", "tga"} <= {item["kind"] for item in listed}
    text = run("formats").stdout
    assert all(item["id"] in text for item in listed)


def test_inspect_and_convert(tmp_path: Path) -> None:
    source = tmp_path / "scan.xy"
    source.write_text("\n".join(f"{10 + 0.02 * i:.2f} {100 + i % 7}" for i in range(200)))
    found = json.loads(run("inspect", str(source), "--format", "json").stdout)
    assert found["kind"] == "xrd"
    assert found["scans"][0]["n_points"] == 200
    assert found["scans"][0]["intensity_max"] == 106
    figure = tmp_path / "scan.png"
    result = run("inspect", str(source), "--figure", str(figure))
    assert "200" in result.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert run("inspect", str(source), "--figure", str(tmp_path / "a.gif")).exit_code == 2
    target = tmp_path / "scan.csv"
    assert run("convert", str(source), str(target)).exit_code == 0
    again = json.loads(run("inspect", str(target), "--format", "json").stdout)
    assert again["scans"][0]["n_points"] == 200


def test_a_recipe_with_windows_reaches_the_thermal_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Recipe] = []

    def analyze(**options: object) -> object:
        seen.append(options["recipe"])
        return make_result(fit=False)

    monkeypatch.setattr("xrdcomp.analysis.analyze", analyze)
    monkeypatch.setattr("xrdcomp.io.front.read_tga", lambda *_, **given: given)
    windows = tmp_path / "windows.toml"
    windows.write_text("organic_end_c = 620.0\n")
    result = run("tga", "b.csv", "--windows", str(windows), "--out", str(tmp_path), "--no-figures")
    assert result.exit_code == 0, result.output
    assert seen[0].thermal.organic_end_c == 620.0
    windows.write_text("organic_ends = 620.0\n")
    assert run("tga", "b.csv", "--windows", str(windows)).exit_code == 2


BARE = "\n".join(f"{25 + 10 * i},{20 - 0.1 * i:.2f}" for i in range(60))


def test_a_table_without_names_is_read_as_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[dict] = []

    def analyze(*_: object, **given: object) -> object:
        seen.append(given)
        return make_result(fit=False)

    monkeypatch.setattr("xrdcomp.analysis.analyze", analyze)
    monkeypatch.chdir(tmp_path)
    Path("bare.csv").write_text(BARE)
    told = ("--column", "temperature=1", "--column", "mass=2", "--temperature-unit", "C", "--mass-unit", "mg")
    for start in (("tga", "bare.csv"), ("analyze", "--tga", "bare.csv")):
        result = run(*start, *told, "--no-figures")
        assert result.exit_code == 0, result.output
        assert seen[-1]["tga"].mass[1] == 19.9
    assert run("analyze", "a.xy", *told).exit_code == 2
    assert "--tga FILE" in run("analyze", "a.xy", *told).stderr
    assert "e.g. --column mass=3" in run("tga", "bare.csv", "--column", "weight=2").stderr


def test_every_option_that_a_tga_error_names_exists(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text(BARE)
    (tmp_path / "odd.csv").write_text(f"oven C,a\n{BARE}")
    (tmp_path / "two.csv").write_text("temp C,mass mg,mass b mg\n" + BARE.replace("\n", ",7\n") + ",9")
    for name in ("bare", "odd", "two"):
        stderr = run("tga", str(tmp_path / f"{name}.csv")).stderr
        named = set(re.findall(r"--[a-z-]+", stderr))
        assert named, stderr
        assert named <= set(re.findall(r"--[a-z-]+", run("tga", "--help").stdout))


def test_an_interrupted_run_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("xrdcomp.analysis.analyze", interrupted)
    result = run("analyze", "a.xy")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert "Traceback" not in result.output


def test_a_name_that_is_no_folder_is_refused_before_the_work(analysed: list[dict], tmp_path: Path) -> None:
    result = run("analyze", "a.xy", "--sample-id", "a/b", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "sample id 'a/b'" in result.stderr
    assert analysed == []


def test_scipy_loads_no_test_tools_for_a_command() -> None:
    code = (
        "import sys; from xrdcomp.cli.start import load_scipy; load_scipy(); import xrdcomp.analysis\n"
        "assert not {'numpy.f2py', 'numpy.testing', 'unittest'} & set(sys.modules)\n"
        "import numpy as np, scipy.linalg\n"
        "np.testing.assert_allclose(np.ma.masked_equal([1.0, 2.0], 2.0).sum(), scipy.linalg.det(np.eye(2)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scipy_takes_no_texts_apart_for_a_command() -> None:
    code = (
        "import inspect; asked = []\n"
        "def getdoc(item): asked.append(item)\n"
        "inspect.getdoc = getdoc; from xrdcomp.cli.start import load_scipy; load_scipy()\n"
        "import scipy.fft, scipy.special\n"
        "assert not asked and inspect.getdoc is getdoc, asked[:3]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_demo_leaves_the_pages_of_others_alone(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text("<h1>my own page</h1>")
    result = run("demo", "--out", str(tmp_path), "--quiet")
    assert result.exit_code == 2
    assert "index.html" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_an_interrupt_while_the_command_loads_ends_with_130_and_no_traceback() -> None:
    """The command is interrupted at its first import of a library; half of a second passes before the work begins."""
    code = (
        "import sys\n"
        "from xrdcomp.cli.start import start\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "assert 'click' not in sys.modules\n"
        "start()\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_waits_until_a_compiled_module_is_loaded(number: str, code: int) -> None:
    """C++ ends the process where an exception leaves a module's first lines."""
    script = (
        "import os, signal, sys, time\n"
        "from importlib.machinery import ExtensionFileLoader, ModuleSpec\n"
        "from xrdcomp.cli.start import start\n"
        "class Slow(ExtensionFileLoader):\n"
        "    def create_module(self, spec):\n"
        f"        os.kill(os.getpid(), signal.{number})\n"
        "        time.sleep(0.05)\n"
        "        print('loaded', flush=True)\n"
        "    def exec_module(self, module):\n"
        "        def lookup(name):\n"
        "            if name.startswith('__'):\n"
        "                raise AttributeError(name)\n"
        "            time.sleep(20)  # what comes after the module goes on until the signal is heard\n"
        "        module.__getattr__ = lookup\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        return ModuleSpec(name, Slow(name, 'a.so')) if name == 'click' else None\n"
        "sys.meta_path.insert(0, Finder())\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background ignores\n"
        "start()\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (code, "loaded\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_that_meets_the_end_of_an_object_is_heard(number: str, code: int) -> None:
    """What is raised in a destructor is dropped by Python, with a traceback."""
    script = (
        "import os, signal, sys, time\n"
        "from xrdcomp.cli.start import start\n"
        "class Ending:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), signal.{number})\n"
        "        time.sleep(0.05)\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click':\n"
        "            Ending()\n"
        "            time.sleep(20)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background ignores\n"
        "start()\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=15)
    assert (found.returncode, found.stdout, found.stderr) == (code, "", "")
