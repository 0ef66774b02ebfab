"""Policies: what rules ask of a result, verdicts and exit codes, JUnit, rules of other packages."""

from __future__ import annotations

import copy
import json
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import xrdcomp as xc
from xrdcomp.cli.main import main
from xrdcomp.errors import ArgumentError, ReadError, RecipeError
from xrdcomp.qc import policy as qc

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "tests" / "data" / "results" / "schema-1.1" / "result.json"


@pytest.fixture
def result() -> dict[str, Any]:
    """A stored result: pattern and curve, apatite detected, messages up to a warning."""
    return dict(json.loads(STORED.read_text(encoding="utf-8")))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["qc", *map(str, arguments)])


def policy_file(folder: Path, *rules: str) -> Path:
    """Policy of some rules, given by their lines without id and reason."""
    text = ['name = "test"']
    for number, rule in enumerate(rules):
        text.append(f'[[rule]]\nid = "r{number}"\nreason = "because"\n{rule}')
    path = folder / "qc.toml"
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def verdict_of(result: dict[str, Any], rule: str, tmp_path: Path) -> tuple[str, str]:
    found = qc.judge(result, policy_file(tmp_path, rule)).rules[0]
    return found.verdict, found.seen


# ---- what a rule asks


@pytest.mark.parametrize(
    ("rule", "verdict", "seen"),
    [
        ('at = "xrd.gof"\nmax = 1.08', "pass", "1.074"),
        ('at = "xrd.gof"\nmax = 1.07', "fail", "1.074"),
        ('at = "composition.components.organic"\nmin = 0.4995', "fail", "0.4995"),
        ('at = "composition.components.organic"\nmin = 0.498\nmax = 0.501\ntake = "interval"', "pass", "0.4982 to"),
        ('at = "composition.components.organic"\nmin = 0.4990\ntake = "interval"', "undecided", "0.4982 to 0.5006"),
        ('at = "composition.components.organic"\nmin = 0.51\ntake = "interval"', "fail", "0.5006"),
        ('at = "composition.components.organic"\nmax = 0.002\ntake = "width"', "fail", "0.002403"),
        ('at = "composition.components.organic"\nmax = 0.001\ntake = "std"', "pass", "0.0007191"),
        ('at = "composition.components.organic"\nmin = 0.4982\ntake = "low"', "pass", "0.4982"),
        ('at = "composition.components.organic"\nmax = 0.5006\ntake = "high"', "fail", "0.5006"),
        ('at = "phases.hydroxyapatite.cell.a"\nmin = 9.40\nmax = 9.41', "pass", "9.405"),
        ('at = "tga.steps.water.mass_loss"\nmax = 0.1', "fail", "0.15"),
        ('at = "xrd.wavelengths.0"\nmin = 1.5405\nmax = 1.5406', "pass", "1.541"),
        ('at = "xrd.gof"\nmax = 2\ntake = "std"', "undecided", "no std"),
        ('at = "verdict"\nmax = 2', "undecided", "no value of a number"),
        ('at = "xrd.converged"\nmax = 2', "undecided", "no value of a number"),
        ('at = "phases.calcit.detection_limit"\nmax = 0.01', "undecided", "nothing stands at phases.calcit"),
        ('at = "xrd.gof_"\nmax = 4', "undecided", "gof_ may be gof"),
        ('at = "xrd.nosuch"\nmax = 4\nmissing = "fail"', "fail", "nothing"),
        ('at = "xrd.nosuch"\nmax = 4\nmissing = "not_applicable"', "not_applicable", "nothing"),
        ('at = "xrd.nosuch"\nmax = 4\nwhen = "xrd.nosuch"', "not_applicable", "there is no xrd.nosuch"),
        ('at = "xrd.gof"\nmax = 1\nwhen = "composition.basis = dry"', "not_applicable", "is as_received"),
        ('at = "xrd.gof"\nmax = 1\nwhen = "composition.basis = as_received"', "fail", "1.074"),
        ('at = "xrd.gof"\nmax = 1\nwhen = "xrd.converged = true"', "fail", "1.074"),
        ('at = "status"\none_of = ["ok", "warning"]', "pass", "warning"),
        ('at = "status"\none_of = ["ok"]', "fail", "warning"),
        ('at = "xrd.converged"\none_of = [true]', "pass", "True"),
        ('at = "xrd.converged"\none_of = [1]', "fail", "True"),
        ('at = "inputs.xrd.format"\none_of = ["xrd_text"]', "pass", "xrd_text"),
        ('at = "xrd.nosuch"\none_of = [1]', "undecided", "nothing"),
        ('allowed_phases = ["hydroxyapatite"]', "pass", "no other"),
        ("allowed_phases = []", "fail", "hydroxyapatite"),
        ('required_phases = ["hydroxyapatite"]', "pass", "all detected"),
        ('required_phases = ["hydroxyapatite", "nosuch"]', "undecided", "nosuch"),
        ('forbidden_messages = ["error"]', "pass", "none"),
        ('forbidden_messages = ["XRD_GENERIC_INSTRUMENT"]', "fail", "XRD_GENERIC_INSTRUMENT"),
        ('forbidden_messages = ["warning"]', "fail", "a warning"),
        ('function = "reaches_spacing"\noptions = { d_angstrom = 4.5 }', "pass", "17.7 Å"),
        ('function = "reaches_spacing"\noptions = { d_angstrom = 18 }', "fail", "17.7 Å"),
        ('function = "reaches_spacing"', "undecided", "KeyError"),
    ],
)
def test_a_rule_judges_what_it_asks(rule: str, verdict: str, seen: str, result: dict[str, Any], tmp_path: Path) -> None:
    if seen == "a warning":  # whatever warns in the stored result
        seen = next(m["code"] for m in result["messages"] if m["severity"] == "warning")
    found, words = verdict_of(result, rule, tmp_path)
    assert found == verdict
    assert seen in words


def test_phases_that_are_not_decided_leave_a_rule_undecided(result: dict[str, Any], tmp_path: Path) -> None:
    result["phases"][1]["decision"] = "inconclusive"
    other = result["phases"][1]["id"]
    assert verdict_of(result, 'allowed_phases = ["hydroxyapatite"]', tmp_path) == (
        "undecided",
        f"inconclusive: {other}",
    )
    assert verdict_of(result, f'required_phases = ["{other}"]', tmp_path)[0] == "undecided"
    result["phases"][1]["decision"] = "not_detected"
    assert verdict_of(result, f'required_phases = ["{other}"]', tmp_path)[0] == "fail"
    result["phases"] = []
    assert verdict_of(result, 'allowed_phases = ["hydroxyapatite"]', tmp_path)[0] == "undecided"


def test_radiation_does_not_matter_to_a_spacing(result: dict[str, Any], tmp_path: Path) -> None:
    """20° of Cu Kα are 4.4 Å, which Mo Kα has at 9.2°."""
    rule = 'function = "reaches_spacing"\noptions = { d_angstrom = 4.5 }'
    result["xrd"] |= {"two_theta_min": 15.0, "wavelengths": [0.7093]}
    assert verdict_of(result, rule, tmp_path)[0] == "fail"
    result["xrd"] |= {"two_theta_min": 8.0}
    assert verdict_of(result, rule, tmp_path)[0] == "pass"
    del result["xrd"]
    assert verdict_of(result, rule, tmp_path)[0] == "not_applicable"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]]\nid = 'a'\nreason = 'b'\n", "asks for nothing"),
        ("[[rule]]\nid = 'a'\nreason = 'b'\nat = 'x'\nmax = 1\none_of = [1]", "min or max and one_of"),
        ("[[rule]]\nid = 'a'\nreason = 'b'\nmax = 1", "`at` goes with"),
        ("[[rule]]\nid = 'a'\nreason = ' '\nat = 'x'\nmax = 1", "no reason"),
        ("[[rule]]\nid = 'a'\nreason = 'b'\nat = 'x'\nmax = 1\nmin = 2", "above max"),
        ("[[rule]]\nid = 'a'\nreason = 'b'\nat = 'x'\nmax = nan", "not a finite number"),
        ("[[rule]]\nid = 'a'\nreason = 'b'\nat = 'x'\nmaks = 1", "Did you mean max?"),
        ("[[rule]]\nid = 'a'\nreason = 'b'\nat = 'x'\nmax = '1'", "max"),
        ("[[rule]]\nid = 'a'\nreason = 'b'\nfunction = 'nosuch'", "no rule function 'nosuch'. Known: reaches_spacing"),
        ("[[rule]]\nid = 'a'\nreason = 'b'\nat = 'x'\nmax = 1\n" * 2, "stands there twice"),
        ("rule = []", "holds no rule"),
        ("rule = 3", "Expected"),
        ("", "rule"),
        ("[[rule]", "not valid TOML"),
    ],
)
def test_a_policy_that_is_none_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "qc.toml"
    path.write_text(f'name = "test"\n{text}\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"qc\.toml") as caught:
        qc.read_policy(path)
    assert words in str(caught.value)
    answer = run(STORED, "--policy", path)
    assert (answer.exit_code, answer.stdout) == (2, "")


def test_the_policy_that_ships_is_whole_and_in_the_wheel() -> None:
    """Hatch packs every file below `packages`; the whole wheel is built and looked into elsewhere."""
    policy = qc.read_policy()
    assert len(policy.rule) >= 9
    assert all(len(rule.reason) > 30 for rule in policy.rule)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert wheel["wheel"]["packages"] == ["xrdcomp"]
    assert "exclude" not in wheel["wheel"]


def test_a_policy_is_read_bounded_and_from_regular_files_only(tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_text("#" * 2**21, encoding="utf-8")
    for path in (large, Path("/dev/zero"), tmp_path):
        with pytest.raises(RecipeError):
            qc.read_policy(path)


# ---- what is judged


def test_a_result_has_many_forms(result: dict[str, Any], tmp_path: Path) -> None:
    assert xc.judge(STORED) == xc.judge(STORED.parent) == xc.judge(result)
    assert xc.judge(xc.read_result(STORED.parent)).verdict == "pass"
    with pytest.raises(ArgumentError):
        xc.judge(3)  # type: ignore[arg-type]  # that is what is refused
    for text in ("{", "[]", "{}", '{"schema_version": "2.0", "sample_id": "a", "status": "ok"}', "[" * 100_000):
        (tmp_path / "result.json").write_text(text, encoding="utf-8")
        with pytest.raises(ReadError, match="no result"):
            xc.judge(tmp_path)


def a_set(folder: Path, result: dict[str, Any], **changes: dict[str, Any]) -> Path:
    """Folder of results as a batch leaves it, each with changes of some fields of its fit."""
    for name, fit in changes.items():
        own = copy.deepcopy(result) | {"sample_id": name}
        own["xrd"] |= fit
        (folder / name).mkdir(parents=True)
        (folder / name / "result.json").write_text(json.dumps(own), encoding="utf-8")
    return folder


def test_sets_that_pass_fail_and_cannot_be_judged(result: dict[str, Any], tmp_path: Path) -> None:
    policy = policy_file(tmp_path, 'at = "xrd.gof"\nmax = 2', 'at = "xrd.rwp"\nmax = 0.1')
    sets = {
        0: a_set(tmp_path / "good", result, a={}, b={"gof": 1.5}),
        1: a_set(tmp_path / "bad", result, a={}, b={"gof": 2.5}, c={"rwp": None}),
        4: a_set(tmp_path / "open", result, a={}, b={"rwp": None}),
    }
    for code, folder in sets.items():
        junit = tmp_path / f"{code}.xml"
        answer = run(folder, "--policy", policy, "--junit", junit)
        assert answer.exit_code == code, answer.output
        read = ET.parse(junit).getroot()
        suites = {suite.get("name"): suite for suite in read}
        assert set(suites) == {path.name for path in folder.iterdir()}
        assert read.get("tests") == str(2 * len(suites))
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert read.get(kind) == str(len(read.findall(f".//{tag}")))
        answer = run(folder, "--policy", policy, "--format", "json")
        assert answer.exit_code == code
        told = json.loads(answer.stdout)
        assert told["verdict"] == {0: "pass", 1: "fail", 4: "undecided"}[code]
        assert [one["sample_id"] for one in told["results"]] == sorted(suites)
    assert ET.parse(tmp_path / "1.xml").find(".//failure").get("message") == "xrd.gof is at most 2; seen: 2.5"  # type: ignore[union-attr]


def test_explain_says_each_rule_what_it_saw_and_why() -> None:
    answer = run(STORED, "--explain")
    assert answer.exit_code == 0
    for rule in qc.read_policy().rule:
        assert rule.in_words() in answer.stdout
        assert rule.reason.rstrip(".") in answer.stdout
    assert answer.stdout.count("seen:") == len(qc.read_policy().rule)


def test_a_specimen_without_result_is_not_left_out(result: dict[str, Any], tmp_path: Path) -> None:
    folder = a_set(tmp_path / "batch", result, a={})
    ledger = folder / ".xrdcomp-batch"
    ledger.mkdir()
    for name, error in (("a", None), ("b", "b.xy: the file is empty.")):
        row = {"sample_id": name, "error": error}
        (ledger / f"{name}.json").write_text(json.dumps({"key": "k", "row": row}), encoding="utf-8")
    (ledger / "c.json").write_text("{", encoding="utf-8")
    answer = run(folder)
    assert answer.exit_code == 4
    assert "b.xy: the file is empty." in answer.stdout


def test_what_is_no_result_ends_with_2(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nosuch", ROOT / "pyproject.toml"):
        answer = run(path)
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert str(path) in answer.stderr


def test_junit_does_not_replace_what_others_wrote(tmp_path: Path) -> None:
    target = tmp_path / "qc.xml"
    target.write_text("mine", encoding="utf-8")
    assert run(STORED, "--junit", target).exit_code == 2
    assert target.read_text(encoding="utf-8") == "mine"
    for _ in range(2):
        assert run(STORED, "--junit", target, "--overwrite").exit_code == 0


def test_names_that_xml_cannot_hold_are_written_legally(result: dict[str, Any], tmp_path: Path) -> None:
    result["sample_id"] = "a\x00\ud800<b>&\uffff"
    text = qc.to_junit([qc.judge(result, policy_file(tmp_path, 'at = "xrd.gof"\nmax = 1'))])
    assert ET.fromstring(text.encode()).find("testsuite").get("name") == "a\ufffd\ufffd<b>&\ufffd"  # type: ignore[union-attr]


# ---- rules of other packages


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution, as pip lays it out, with a module of rule functions and its entry points."""
    site = tmp_path / "site"
    info = site / "our_rules-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "our_rules_of_test.py").write_text(
        "def few_iterations(result, options):\n"
        "    found = result['xrd']['n_iterations']\n"
        "    return ('pass' if found <= options['most'] else 'fail'), f'{found} iterations'\n"
        "def breaks(result, options):\n"
        "    raise RuntimeError('broken')\n"
        "def babbles(result, options):\n"
        "    return 'perhaps', ''\n",
        encoding="utf-8",
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-rules\nVersion: 1.0\n", encoding="utf-8")
    (info / "RECORD").write_text("our_rules_of_test.py,,\n", encoding="utf-8")
    names = ("few_iterations", "breaks", "babbles")
    lines = [f"{name} = our_rules_of_test:{name}" for name in names]
    lines += ["gone = our_rules_of_test:nosuch", "reaches_spacing = our_rules_of_test:breaks"]
    (info / "entry_points.txt").write_text("[xrdcomp.qc_rules]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "our_rules_of_test", raising=False)
    qc.rule_functions.cache_clear()
    yield
    qc.rule_functions.cache_clear()


@pytest.mark.usefixtures("plugin")
@pytest.mark.filterwarnings("ignore:qc rule")
def test_rules_of_an_installed_distribution_judge_as_well(result: dict[str, Any], tmp_path: Path) -> None:
    assert verdict_of(result, 'function = "few_iterations"\noptions = { most = 1 }', tmp_path) == (
        "pass",
        "1 iterations",
    )
    assert verdict_of(result, 'function = "few_iterations"\noptions = { most = 0 }', tmp_path)[0] == "fail"
    assert verdict_of(result, 'function = "breaks"', tmp_path) == ("undecided", "breaks raised RuntimeError: broken")
    assert verdict_of(result, 'function = "babbles"', tmp_path)[0] == "undecided"
    assert qc.rule_functions()["reaches_spacing"] is qc.reaches_spacing
    with pytest.raises(RecipeError, match="few_iterations"):
        qc.read_policy(policy_file(tmp_path, 'function = "gone"'))


@pytest.mark.usefixtures("plugin")
def test_a_rule_that_cannot_be_loaded_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="qc rule") as caught:
        qc.rule_functions()
    assert sorted(str(item.message).split("'")[1] for item in caught) == ["gone", "reaches_spacing"]
