"""Every public name says what goes in, what comes out and in which unit."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re

import msgspec
import pytest

import xrdcomp

PACKAGES = ["xrdcomp"] + [
    f"xrdcomp.{module.name}" for module in pkgutil.iter_modules(xrdcomp.__path__) if module.name not in {"cli", "_data"}
]
SECTION_END = re.compile(r"\n\n(?:Returns|Raises|Yields|Notes|Examples)\n-")


def public() -> dict[str, object]:
    """Functions and classes that a package lists in ``__all__``, each once."""
    found: dict[object, str] = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            item = getattr(module, name)
            own = getattr(item, "__module__", "").startswith("xrdcomp")
            if own and (inspect.isfunction(item) or inspect.isclass(item)):
                found.setdefault(item, f"{package}.{name}")
    return {name: item for item, name in found.items()}


PUBLIC = public()
FUNCTIONS = sorted(name for name, item in PUBLIC.items() if inspect.isfunction(item))
CLASSES = sorted(name for name, item in PUBLIC.items() if inspect.isclass(item))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_name_parameters_and_what_they_return(name: str) -> None:
    function = PUBLIC[name]
    text = inspect.getdoc(function) or ""
    assert text, "no docstring"
    signature = inspect.signature(function)  # type: ignore[arg-type]  # only functions are in the list
    _, _, section = text.partition("Parameters\n----------\n")
    section = SECTION_END.split(section)[0]
    for parameter in signature.parameters:
        assert re.search(rf"(?m)(?:^|, |\*){parameter}\b", section), f"{parameter} is not under Parameters"
    if signature.return_annotation not in {None, "None"}:
        assert "Returns\n-------" in text or "Yields\n------" in text


@pytest.mark.parametrize("name", CLASSES)
def test_classes_name_their_fields_and_methods_say_what_they_do(name: str) -> None:
    item = PUBLIC[name]
    text = inspect.getdoc(item) or ""
    assert text, "no docstring"
    assert not text.startswith(f"{name.rsplit('.', 1)[1]}("), "only the signature that dataclass makes"
    if dataclasses.is_dataclass(item):
        _, _, section = re.sub(r"(?m)^(Attributes|Parameters)\n-{10}$", "FIELDS", text).partition("FIELDS")
        for field in dataclasses.fields(item):
            assert re.search(rf"(?m)(?:^|, ){field.name}\b.* :", section), f"{field.name} is not among its attributes"
    elif issubclass(item, msgspec.Struct):  # type: ignore[arg-type]  # only classes are in the list
        for setting in msgspec.structs.fields(item):  # type: ignore[arg-type]  # as above
            assert re.search(rf"\b{setting.name}\b", text), f"{setting.name} is not explained"
    for key, member in vars(item).items():
        if inspect.isfunction(member) and not key.startswith("_"):
            assert inspect.getdoc(member), f"{key} has no docstring"
