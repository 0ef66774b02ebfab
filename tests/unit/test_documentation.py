"""Pages and program agree: links, messages, settings, commands and their options, Python names."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import click
import msgspec
import pytest

import xrdcomp
from tools.messages import load_declarations
from tools.messages import page as page_of_messages
from tools.settings import api_page, settings_page
from xrdcomp.cli.main import main
from xrdcomp.data import MESSAGE_KINDS
from xrdcomp.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "RELEASING.md")),
        *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
    )
}
ALL_PAGES = "\n".join(PAGES.values())
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "xrdcomp").rglob("*.py")}
FAMILIES = (
    "AMORPHOUS|CALIBRATION|COMPOSITION|FRAME|FUSION|HOLDER|HUMP|INSTRUMENT|LABORATORY|QUANTIFICATION|REPLICATE|TGA|XRD"
)


def test_page_of_messages_is_that_of_the_declarations() -> None:
    assert PAGES["docs/messages.md"] == page_of_messages(), "python -m tools.messages writes it"


def test_pages_of_settings_and_names_are_those_of_the_code() -> None:
    assert PAGES["docs/reference/settings.md"] == settings_page(), "python -m tools.settings writes it"
    assert (ROOT / "docs/reference/api.rst").read_text(encoding="utf-8") == api_page(), "python -m tools.settings"
    described = {key for key in settings() if f"`{key}`" in PAGES["docs/reference/settings.md"]}
    assert described == set(settings())


def test_every_page_stands_in_the_site() -> None:
    index = PAGES["docs/index.md"]
    for page in PAGES:
        name = page.removeprefix("docs/").removesuffix(".md")
        if page.startswith("docs/") and name != "index":
            assert re.search(rf"^{re.escape(name)}$", index, re.MULTILINE) or name.startswith("design/"), page


def test_every_message_has_its_place_on_the_page() -> None:
    load_declarations()
    for code in MESSAGE_KINDS:
        assert f"`{code}`" in PAGES["docs/messages.md"], code


def test_messages_are_made_by_their_declared_kinds_only() -> None:
    for path, text in SOURCES.items():
        made = [line for line in text.splitlines() if re.search(r"\bDiagnostic\(", line)]
        allowed = {"data.py": 2, "read.py": 1, "files.py": 1}  # class and kind; results that are read back
        assert len(made) <= allowed.get(path.name, 0), f"{path.name}: {made}"


def test_messages_that_pages_name_exist() -> None:
    load_declarations()
    written = set(re.findall(rf"`((?:{FAMILIES})_[A-Z0-9_]+|NOT_IDENTIFIABLE|PRIOR_DOMINATED)`", ALL_PAGES))
    assert len(MESSAGE_KINDS) > 100
    assert written - set(MESSAGE_KINDS) == set(), "named on a page, never said"


def test_every_message_says_what_it_means() -> None:
    load_declarations()
    for code, kind in MESSAGE_KINDS.items():
        assert kind.meaning.endswith("."), f"{code}: the meaning is a sentence"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    inline = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", PAGES[page])
    for target in inline + re.findall(r"^\[[^\]]+\]: (\S+)$", PAGES[page], re.MULTILINE):
        own = re.match(r"https://(?:raw\.githubusercontent|github)\.com/xrdcomp/xrdcomp/(?:blob/)?main/(.*)", target)
        if own or not re.match(r"[a-z]+://", target):
            found = ROOT / own[1] if own else (ROOT / page).parent / target
            assert found.exists(), f"{page} links to {target}"


def test_links_of_the_readme_work_on_the_package_index() -> None:
    assert re.findall(r"\]\((?!https://)[^)]*\)", PAGES["README.md"]) == [], "relative links lead nowhere there"


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_that_pages_name_exist(page: str) -> None:
    for path in re.findall(r"`((?:xrdcomp|benchmarks|data|docs|tests|notebooks)/[\w./-]*)`", PAGES[page]):
        assert (ROOT / path).exists(), f"{page} names {path}"
    for dotted in re.findall(r"`(xrdcomp(?:\.\w+)+)`", PAGES[page]):
        parts, module = dotted.split("."), ROOT
        while parts and ((module / parts[0]).is_dir() or (module / f"{parts[0]}.py").is_file()):
            module = module / parts.pop(0)
        assert len(parts) <= 1, f"{page} names {dotted}"
        file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        assert not parts or re.search(rf"\b{parts[0]}\b", SOURCES[file]), f"{page} names {dotted}"


def commands(text: str) -> list[list[str]]:
    """Command lines of the fenced blocks, continued lines joined."""
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        joined = block.replace("\\\n", " ") if language in ("", "sh", "console") else ""
        for row in joined.splitlines():
            words = row.removeprefix("$ ")
            if words.startswith("xrdcomp "):
                found.append(shlex.split(words, comments=True))
    return found


def settings() -> dict[str, object]:
    """Default of every setting, as ``group.key``."""
    found: dict[str, object] = {}
    for group, values in msgspec.to_builtins(Recipe()).items():
        found |= {f"{group}.{key}": value for key, value in values.items()} if isinstance(values, dict) else {}
    return found


def test_commands_on_the_pages_are_accepted() -> None:
    context = click.Context(main)
    shown = [words for text in PAGES.values() for words in commands(text)]
    assert len(shown) > 15, "the search above finds the commands"
    for words in shown:
        if words[1].startswith("-"):
            continue
        verb = main.get_command(context, words[1])
        assert verb is not None, f"no command {words[1]}"
        if isinstance(verb, click.Group):
            verb = verb.commands.get(words[2], verb.commands["judge"])
        known = {name for parameter in verb.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.split("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)}
        assert given <= known | {"--help"}, " ".join(words)
        for key in [words[i + 1].split("=")[0] for i, word in enumerate(words) if word == "--set"]:
            assert key in settings(), " ".join(words)


def test_settings_that_pages_name_exist() -> None:
    groups = {key.split(".")[0] for key in settings()}
    written = {
        f"{group}.{key}"
        for group, key in re.findall(r"[`\s\[](\w+)\.([a-z]\w+)(?:`| = |=)", ALL_PAGES)
        if group in groups
    }
    assert len(written) > 25, "the search above finds the settings"
    assert written - set(settings()) == set()


def test_options_that_pages_name_exist() -> None:
    context = click.Context(main)
    known = {"--help", "--version"}
    for verb in main.list_commands(context):
        command = main.get_command(context, verb)
        assert command is not None
        for one in (command, *getattr(command, "commands", {}).values()):
            known |= {name for parameter in one.params for name in (*parameter.opts, *parameter.secondary_opts)}
    benchmarks = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    known |= set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', benchmarks))
    written = set(re.findall(r"`(--[a-z][a-z-]+)", ALL_PAGES))
    assert written - known == set()


def test_names_used_in_python_examples_exist() -> None:
    for name in set(re.findall(r"\bxc\.(\w+)", ALL_PAGES)):
        assert hasattr(xrdcomp, name), f"xc.{name}"


IMPORT = re.compile(r"^ *from (xrdcomp[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_imports_of_python_examples_resolve(page: str) -> None:
    for module, names in IMPORT.findall(PAGES[page]):
        for name in re.findall(r"\w+", re.sub(r" as \w+|#.*", "", names)):
            found = importlib.import_module(module)
            assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}"), (
                f"{page}: from {module} import {name}"
            )
    for module in re.findall(r"^ *import (xrdcomp[\w.]*)", PAGES[page], re.MULTILINE):
        importlib.import_module(module)
