"""A policy: rules over the fields of a result, each with its reason; verdicts of the rules and of the whole.

A rule passes, fails, could not be judged (the field is not there, or its interval lies on both sides of a limit), or
does not apply. The whole fails where one rule fails, and could not be judged where none fails and one could not.

What a rule asks is judged by a function of a registry (`qc_rule`); other packages add theirs by the entry-point group
``xrdcomp.qc_rules``.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeGuard

import msgspec

from xrdcomp.batch.run import ledger_rows
from xrdcomp.disk import MAX_RESULT_BYTES, parsed_toml, read_bytes, read_toml
from xrdcomp.errors import ArgumentError, ReadError, RecipeError, printable
from xrdcomp.recipe import did_you_mean
from xrdcomp.results import SampleResult

QcVerdict = Literal["pass", "fail", "undecided", "not_applicable"]
RuleFunction = Callable[[Mapping[str, Any], Mapping[str, Any]], "tuple[QcVerdict, str]"]
"""From a result, as the mapping of its result.json, and the rule's `options` to a verdict and what was seen."""

ENTRY_POINTS = "xrdcomp.qc_rules"
"""Entry-point group with which other packages add functions; the name is that of the rule's ``function``."""
VERDICT_WORDS: Mapping[QcVerdict, str] = {
    "pass": "pass", "fail": "FAIL", "undecided": "not judged", "not_applicable": "does not apply",
}  # fmt: skip
_NORMAL_95 = 1.96


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of a policy.

    Attributes
    ----------
    id, reason : str
        Name of the rule, and why it is asked.
    at : str
        Place in result.json: keys joined by dots; in a list the item with this id, name, code or kind, or its number
        from 0, as in ``phases.calcite.detection_limit`` or ``inputs.xrd.format``.
    min, max : float, optional
        Limits of the number there, in the unit of result.json.
    take : {"value", "std", "low", "high", "width", "interval"}
        What of an estimate is held against the limits: its value, standard uncertainty, an end or the width of its 95 %
        interval; ``interval``: all of it must lie inside, and if only part of it does the rule cannot be judged.
    one_of : list, optional
        Allowed values of what stands there.
    allowed_phases, required_phases : list of str, optional
        Phases that alone may be detected; phases that must be.
    forbidden_messages : list of str, optional
        Codes of messages, or severities, that may not occur.
    function : str, optional
        Name of a rule function: ``reaches_spacing`` or one of another package (entry points ``xrdcomp.qc_rules``).
    options : mapping
        What `function` is given beside the result.
    when : str, optional
        The rule applies only where this place exists, or holds a value: ``phases.calcite.decision = not_detected``.
    missing : {"undecided", "pass", "fail", "not_applicable"}
        Verdict where nothing stands at `at`.
    """

    id: str
    reason: str
    at: str = ""
    min: float | None = None
    max: float | None = None
    take: Literal["value", "std", "low", "high", "width", "interval"] = "value"
    one_of: tuple[str | float | bool, ...] | None = None
    allowed_phases: tuple[str, ...] | None = None
    required_phases: tuple[str, ...] | None = None
    forbidden_messages: tuple[str, ...] | None = None
    function: str = ""
    options: dict[str, Any] = {}
    when: str = ""
    missing: Literal["undecided", "pass", "fail", "not_applicable"] = "undecided"

    def __post_init__(self) -> None:
        limits = self.min is not None or self.max is not None
        asked = {
            "min or max": limits, "one_of": self.one_of is not None, "allowed_phases": self.allowed_phases is not None,
            "required_phases": self.required_phases is not None, "function": bool(self.function),
            "forbidden_messages": self.forbidden_messages is not None,
        }  # fmt: skip
        given = [name for name, there in asked.items() if there]
        problem = ""
        if len(given) != 1:
            problem = f"asks for {' and '.join(given) or 'nothing'}; expected one of {', '.join(asked)}"
        elif bool(self.at) != (limits or self.one_of is not None):
            problem = "`at` goes with min, max or one_of, and they with it"
        elif self.take != "value" and not limits:
            problem = f"take = {self.take!r} goes with min or max"
        elif self.options and not self.function:
            problem = "options go with function"
        elif not self.reason.strip():
            problem = "has no reason; whoever reads the verdict will ask for it"
        elif self.min is not None and self.max is not None and self.min > self.max:
            problem = f"min {self.min:g} lies above max {self.max:g}"
        if problem:
            msg = f"rule {self.id}: {problem}"
            raise ValueError(msg)

    @property
    def asks(self) -> str:
        """Name of the function of the registry that judges the rule."""
        for name in ("one_of", "allowed_phases", "required_phases", "forbidden_messages"):
            if getattr(self, name) is not None:
                return name
        return self.function or "limits"

    def in_words(self) -> str:
        """What the rule asks, as a sentence without its reason."""
        if self.function:
            given = ", ".join(f"{key} {value}" for key, value in self.options.items())
            return f"{self.function} holds" + (f" ({given})" if given else "")
        if self.allowed_phases is not None:
            return f"no phase is detected but {', '.join(self.allowed_phases) or 'none'}"
        if self.required_phases is not None:
            return f"detected: {', '.join(self.required_phases)}"
        if self.forbidden_messages is not None:
            return f"no message of these: {', '.join(self.forbidden_messages)}"
        if self.one_of is not None:
            return f"{self.at} is one of {', '.join(map(str, self.one_of))}"
        what = {
            "value": "", "std": "standard uncertainty of ", "low": "lower end of ", "high": "upper end of ",
            "width": "width of the 95 % interval of ", "interval": "95 % interval of ",
        }[self.take]  # fmt: skip
        limits = [f"at least {self.min:g}"] if self.min is not None else []
        limits += [f"at most {self.max:g}"] if self.max is not None else []
        return f"{what}{self.at} is {' and '.join(limits)}"


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules with a name; `read_policy` reads it from TOML.

    Attributes
    ----------
    name : str
    rule : tuple of Rule
    """

    name: str
    rule: tuple[Rule, ...]


@dataclass(frozen=True, kw_only=True)
class RuleVerdict:
    """What became of one rule: verdict, and what was seen, in words."""

    rule: Rule
    verdict: QcVerdict
    seen: str

    def __str__(self) -> str:
        return f"{VERDICT_WORDS[self.verdict]}: {self.rule.id}: {self.rule.in_words()}; seen: {self.seen}"

    def explained(self) -> str:
        """The rule in words, what it saw and why it is asked."""
        lines = {"asks": self.rule.in_words(), "seen": self.seen, "why": f"{self.rule.reason.rstrip('.')}."}
        told = [f"    {name + ':':5} {text}" for name, text in lines.items()]
        return "\n".join([f"{self.rule.id}: {VERDICT_WORDS[self.verdict]}", *told])


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Verdicts on one result, by a policy.

    `sample_id` names the specimen, `policy` the policy; `rules` are the verdicts on its rules, in its order.
    """

    sample_id: str
    policy: str
    rules: tuple[RuleVerdict, ...]

    @property
    def verdict(self) -> QcVerdict:
        """Verdict on the whole: fail before undecided before pass; undecided where no rule applies."""
        return worst(item.verdict for item in self.rules)

    @property
    def complaints(self) -> list[str]:
        """Rules that fail or could not be judged, in words with what they saw."""
        return [str(item) for item in self.rules if item.verdict in ("fail", "undecided")]

    def __str__(self) -> str:
        return "\n  ".join([f"{self.sample_id}: {VERDICT_WORDS[self.verdict]}", *self.complaints])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        rules = [
            {"id": item.rule.id, "verdict": item.verdict, "asks": item.rule.in_words(), "seen": item.seen,
             "reason": item.rule.reason}
            for item in self.rules
        ]  # fmt: skip
        return {"sample_id": self.sample_id, "policy": self.policy, "verdict": self.verdict, "rules": rules}


def worst(verdicts: Iterable[QcVerdict]) -> QcVerdict:
    """Verdict on a whole from those on its parts; undecided where none applies."""
    found = set(verdicts)
    order: tuple[QcVerdict, ...] = ("fail", "undecided", "pass")
    return next((verdict for verdict in order if verdict in found), "undecided")


# Policies and results from disk


def read_policy(path: str | os.PathLike[str] | None = None) -> Policy:
    """Read a policy from TOML.

    Parameters
    ----------
    path : path, optional
        File with ``name`` and ``[[rule]]`` tables; None: the policy that ships.

    Returns
    -------
    Policy

    Raises
    ------
    RecipeError
        It cannot be read, holds a key that does not exist, or a rule that asks nothing or two things.
    """
    expected = "a policy: name, and [[rule]] tables with id, reason and what is asked"
    if path is None:
        name = "the default policy"
        text = files("xrdcomp.qc").joinpath("default.toml").read_text(encoding="utf-8")
        data = parsed_toml(text, file=name, expected=expected)
    else:
        name, data = printable(os.fspath(path)), read_toml(path, expected)
    rules = data.get("rule", ())
    for rule in rules if isinstance(rules, list) else ():
        for key in rule if isinstance(rule, Mapping) else ():
            if key not in Rule.__struct_fields__:
                msg = f"{name}, rule {rule.get('id', '?')}, {key}: {did_you_mean(key, Rule.__struct_fields__)}"
                raise RecipeError(msg)
    try:
        policy = msgspec.convert(data, Policy)
    except (msgspec.ValidationError, ValueError) as error:
        msg = f"{name}: {str(error).rstrip('.')}. Expected: {expected}."
        raise RecipeError(msg) from error
    ids = [rule.id for rule in policy.rule]
    if not ids:
        msg = f"{name}: holds no rule. Expected: {expected}."
        raise RecipeError(msg)
    if twice := {one for one in ids if ids.count(one) > 1}:
        msg = f"{name}: rule {min(twice)} stands there twice. Give each rule its own id."
        raise RecipeError(msg)
    for rule in policy.rule:
        if rule.function and rule.function not in rule_functions():
            known = ", ".join(sorted(rule_functions()))
            msg = f"{name}, rule {rule.id}: there is no rule function {rule.function!r}. Known: {known}."
            raise RecipeError(msg)
    return policy


def read_plain_result(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read result.json as a mapping; ReadError for what is no result of schema 1."""
    expected = "result.json of an analysis, or the folder that holds it"
    data = read_bytes(path, limit=MAX_RESULT_BYTES, expected=expected)
    try:
        found = msgspec.json.decode(data)
        whole = str(found["schema_version"]).partition(".")[0] == "1" and found["sample_id"] and found["status"]
        whole = whole and isinstance(found["messages"], list) and isinstance(found["phases"], list)
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise ReadError("this is no result of schema 1", file=os.fspath(path), expected=expected)
    return dict(found)


def find_results(paths: Iterable[str | os.PathLike[str]]) -> list[tuple[str, Path | None, str]]:
    """Results below some paths: name of the specimen, its result.json, and why there is none (None and a reason).

    A path is a result.json, the folder of a specimen, or a folder that holds such folders, as ``batch`` and ``watch``
    leave it; its specimens that have no result are named in the ledger there. ReadError where there is no result.
    """
    found: dict[str, tuple[str, Path | None, str]] = {}
    for given in map(Path, paths):
        before = len(found)
        if not given.is_dir() or (given / "result.json").is_file():
            file = given / "result.json" if given.is_dir() else given
            found[str(file)] = (file.parent.name, file, "")
            continue
        for file in sorted(given.glob("*/result.json")):
            found[str(file)] = (file.parent.name, file, "")
        for name, row in ledger_rows(given).items():
            if row.get("error"):
                found[str(given / name / "result.json")] = (name, None, str(row["error"]))
        if len(found) == before:
            expected = "result.json, the folder of a specimen, or a folder that batch or watch wrote"
            raise ReadError("holds no result", file=str(given), expected=expected)
    return list(found.values())


# Judging


def judge(
    result: SampleResult | Mapping[str, Any] | str | os.PathLike[str],
    policy: Policy | str | os.PathLike[str] | None = None,
) -> Judgement:
    """Judge a result by a policy.

    Parameters
    ----------
    result : SampleResult, mapping or path
        What `analyze` returned, the mapping of its result.json, that file, or the folder that holds it.
    policy : Policy or path, optional
        The default one ships with the program.

    Returns
    -------
    Judgement

    Raises
    ------
    RecipeError
        A policy that cannot be read.
    ReadError
        A file that is no result.
    ArgumentError
        An argument of another kind.

    Examples
    --------
    >>> import xrdcomp as xc
    >>> xc.judge(xc.analyze("a.xrdml")).verdict     # doctest: +SKIP
    'pass'
    """
    if isinstance(result, SampleResult):
        data: Mapping[str, Any] = result.to_dict()
    elif isinstance(result, Mapping):
        data = result
    elif isinstance(result, str | os.PathLike):
        path = Path(result)
        data = read_plain_result(path / "result.json" if path.is_dir() else path)
    else:
        raise ArgumentError("result", result, "a SampleResult, the mapping of its result.json, or its path")
    chosen = policy if isinstance(policy, Policy) else read_policy(policy)
    rules = tuple(_judged(rule, data) for rule in chosen.rule)
    return Judgement(sample_id=str(data.get("sample_id", "?")), policy=chosen.name, rules=rules)


def without_result(sample_id: str, problem: str, policy: Policy) -> Judgement:
    """Judgement on a specimen that has no result because of `problem`: nothing could be judged."""
    rule = Rule(
        id="result", at="status", one_of=("ok", "warning"), reason="what has no result cannot be judged and is no pass"
    )
    return Judgement(
        sample_id=sample_id,
        policy=policy.name,
        rules=(RuleVerdict(rule=rule, verdict="undecided", seen=f"no result: {problem}"),),
    )


_NOTHING = object()
_NAMES = ("id", "name", "code", "kind")


def _at(result: Any, place: str) -> Any:
    node = result
    for key in place.split("."):
        if isinstance(node, Mapping):
            node = node.get(key, _NOTHING)
        elif isinstance(node, list):
            named = [item for item in node if isinstance(item, Mapping) and key in map(item.get, _NAMES)]
            if not named and key.isdecimal() and int(key) < len(node):
                named = [node[int(key)]]
            node = named[0] if named else _NOTHING
        else:
            return _NOTHING
    return node


def _not_there(result: Any, place: str) -> str:
    """In words, that nothing stands at a place, with the nearest name where the last known step has one."""
    keys = place.split(".")
    for depth, key in enumerate(keys):
        node = _at(result, ".".join(keys[:depth])) if depth else result
        if _at(node, key) is _NOTHING:
            names = list(node) if isinstance(node, Mapping) else []
            if isinstance(node, list):
                names = [str(item.get("id") or item.get("name")) for item in node if isinstance(item, Mapping)]
            close = difflib.get_close_matches(key, names, n=1)
            return f"nothing stands at {place}" + (f"; {key} may be {close[0]}" if close else "")
    return f"nothing stands at {place}"


def _same(value: Any, wanted: Any) -> bool:
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _judged(rule: Rule, result: Mapping[str, Any]) -> RuleVerdict:
    def told(verdict: QcVerdict, seen: str) -> RuleVerdict:
        return RuleVerdict(rule=rule, verdict=verdict, seen=seen)

    if rule.when:
        place, _, wanted = (part.strip() for part in rule.when.partition("="))
        value = _at(result, place)
        if value is None or value is _NOTHING:
            return told("not_applicable", f"there is no {place}")
        if wanted and json.dumps(value).strip('"') != wanted:
            return told("not_applicable", f"{place} is {value}")
    if not rule.function:
        return told(*RULES[rule.asks](result, rule))
    try:
        verdict, seen = rule_functions()[rule.function](result, rule.options)
    except Exception as error:  # noqa: BLE001 - code of others: what it raises means that it could not judge
        return told("undecided", f"{rule.function} raised {type(error).__name__}: {error}")
    if verdict not in VERDICT_WORDS:
        return told("undecided", f"{rule.function} gave {verdict!r}, which is no verdict")
    return told(verdict, str(seen))


# The registry: what a rule can ask

RULES: dict[str, Callable[[Mapping[str, Any], Rule], tuple[QcVerdict, str]]] = {}
"""Functions that judge what the keys of a rule ask for, by key."""
_OWN_FUNCTIONS: dict[str, RuleFunction] = {}


def _judges(name: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        RULES[name] = function
        return function

    return register


@_judges("limits")
def _limits(result: Mapping[str, Any], rule: Rule) -> tuple[QcVerdict, str]:
    value = _at(result, rule.at)
    if value is None or value is _NOTHING:
        return rule.missing, _not_there(result, rule.at)
    if not isinstance(value, Mapping):
        value = {"value": value}
    number, std, interval = value.get("value"), value.get("std"), value.get("ci95")
    if interval is None and _is_number(number) and _is_number(std):
        interval = number - _NORMAL_95 * std, number + _NORMAL_95 * std
    low, high = interval if interval is not None else (None, None)
    numbers = {"value": number, "std": std}
    if interval is not None:
        numbers |= {"low": interval[0], "high": interval[1], "width": interval[1] - interval[0], "interval": number}
    found = numbers.get(rule.take)
    if not _is_number(found):
        return "undecided", f"no {rule.take} of a number at {rule.at}"
    if rule.take != "interval":
        return ("pass" if _inside(rule, found) else "fail"), f"{found:.4g}"
    low, high = numbers["low"], numbers["high"]
    seen = f"{found:.4g} (95 %: {low:.4g} to {high:.4g})"
    if _inside(rule, low) and _inside(rule, high):
        return "pass", seen
    outside = (rule.min is not None and high < rule.min) or (rule.max is not None and low > rule.max)
    return ("fail" if outside else "undecided"), seen


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _inside(rule: Rule, number: float) -> bool:
    return (rule.min is None or number >= rule.min) and (rule.max is None or number <= rule.max)


@_judges("one_of")
def _one_of(result: Mapping[str, Any], rule: Rule) -> tuple[QcVerdict, str]:
    value = _at(result, rule.at)
    if value is None or value is _NOTHING:
        return rule.missing, _not_there(result, rule.at)
    return ("pass" if any(_same(value, wanted) for wanted in rule.one_of or ()) else "fail"), str(value)


@_judges("forbidden_messages")
def _forbidden_messages(result: Mapping[str, Any], rule: Rule) -> tuple[QcVerdict, str]:
    forbidden = set(rule.forbidden_messages or ())
    hits = [message["code"] for message in result["messages"] if {message["code"], message["severity"]} & forbidden]
    return ("fail" if hits else "pass"), ", ".join(dict.fromkeys(hits)) or "none"


@_judges("allowed_phases")
def _allowed_phases(result: Mapping[str, Any], rule: Rule) -> tuple[QcVerdict, str]:
    others, unsure = (
        [name for name in _phases(result, decision) if name not in (rule.allowed_phases or ())]
        for decision in ("detected", "inconclusive")
    )
    if others:
        return "fail", f"detected as well: {', '.join(others)}"
    if not result["phases"]:
        return "undecided", "no phase was searched for"
    return ("undecided", f"inconclusive: {', '.join(unsure)}") if unsure else ("pass", "no other")


@_judges("required_phases")
def _required_phases(result: Mapping[str, Any], rule: Rule) -> tuple[QcVerdict, str]:
    missing = [name for name in rule.required_phases or () if name not in _phases(result, "detected")]
    excluded = [name for name in missing if name in _phases(result, "not_detected")]
    if not missing:
        return "pass", "all detected"
    # a phase that was not asked after is no more excluded than one that is inconclusive
    return ("fail" if excluded else "undecided"), f"not detected: {', '.join(excluded or missing)}"


def _phases(result: Mapping[str, Any], decision: str) -> list[str]:
    """Ids of the phases so decided; one that the pattern cannot show is in none of them."""
    told = (phase for phase in result["phases"] if phase.get("evidence", {}).get("tested", True))
    return [phase["id"] for phase in told if phase["decision"] == decision]


def reaches_spacing(result: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[QcVerdict, str]:
    """Whether the pattern begins at a lattice spacing of `d_angstrom` or a larger one, whatever the radiation."""
    wanted, pattern = float(options["d_angstrom"]), result.get("xrd")
    if not pattern:
        return "not_applicable", "no pattern"
    first = pattern["wavelengths"][0]
    wavelength = float(first["value"] if isinstance(first, Mapping) else first)
    start = float(pattern["two_theta_min"])
    largest = wavelength / (2.0 * math.sin(math.radians(start) / 2.0))
    return ("pass" if largest >= wanted else "fail"), f"begins at {start:.4g}°, {largest:.3g} Å"


_OWN_FUNCTIONS["reaches_spacing"] = reaches_spacing


@cache
def rule_functions() -> dict[str, RuleFunction]:
    """Rule functions by name, those of other packages too; one that cannot be loaded is a warning, and missing."""
    from importlib.metadata import entry_points

    found = dict(_OWN_FUNCTIONS)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in found:
            warnings.warn(f"qc rule {entry.name!r} of {entry.value} is left out: there is one.", stacklevel=2)
            continue
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # noqa: BLE001 - code of others; whatever it raises is only a warning
            warnings.warn(f"qc rule {entry.name!r} could not be loaded: {error}", stacklevel=2)
    return found


# JUnit


def to_junit(judgements: Sequence[Judgement]) -> str:
    """JUnit report: one suite for each result, one case for each rule; what could not be judged is an error."""
    root = ET.Element("testsuites", {"name": "xrdcomp qc"} | _counts(item for one in judgements for item in one.rules))
    for judged in judgements:
        suite = ET.SubElement(root, "testsuite", {"name": _legal(judged.sample_id)} | _counts(judged.rules))
        for item in judged.rules:
            name = _legal(f"{judged.policy}.{judged.sample_id}")
            case = ET.SubElement(suite, "testcase", classname=name, name=_legal(item.rule.id), time="0")
            tag = {"fail": "failure", "undecided": "error", "not_applicable": "skipped"}.get(item.verdict)
            if tag:
                detail = ET.SubElement(case, tag, message=_legal(f"{item.rule.in_words()}; seen: {item.seen}"))
                detail.text = _legal(item.rule.reason)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _counts(rules: Iterable[RuleVerdict]) -> dict[str, str]:
    verdicts = [item.verdict for item in rules]
    numbers = {"failures": "fail", "errors": "undecided", "skipped": "not_applicable"}
    return {"tests": str(len(verdicts))} | {name: str(verdicts.count(kind)) for name, kind in numbers.items()}  # type: ignore[arg-type]  # values are verdicts


def _legal(text: str) -> str:
    """Text without the characters that XML has no place for."""
    return _NOT_XML.sub("\ufffd", text)


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
