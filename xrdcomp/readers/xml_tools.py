"""XML without its dangers: no entities, no external parts, errors with line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

import numpy as np

from xrdcomp.readers.source import SourceFile
from xrdcomp.readers.table import has_other
from xrdcomp.types import FloatArray

__all__ = ["local", "number", "number_list", "parse_xml", "text_of"]

_NOT_NUMBERS = re.compile(r"[^-+.\deE\s]")


MAX_ELEMENTS = 1_500_000
MAX_NUMBERS = 3_000_000
"""Bounds on memory: an element costs some hundred bytes, a number seventy-five while it is text."""


def parse_xml(source: SourceFile, data: bytes, member: str = "") -> Element:
    """Parse bytes; `member` names the part of an archive they come from.

    Raises
    ------
    ReadError
        Not well-formed (a cut or damaged file), or with a document type, which no instrument writes.
    """
    elements = data.count(b"<")
    if elements > MAX_ELEMENTS:
        raise source.error(f"{elements} XML tags", place=member, expected=f"up to {MAX_ELEMENTS}")
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except ParseError as problem:
        line, column = problem.position
        place = ", ".join(part for part in (member, f"line {line}, column {column + 1}") if part)
        msg = f"the XML is broken: {str(problem).split(':')[0]}"
        hint = "The file is cut or damaged; copy it again from the instrument."
        raise source.error(msg, place=place, expected="well-formed XML", hint=hint) from problem
    except DefusedXmlException as problem:
        msg = "the XML declares a document type or entities, which no instrument writes"
        raise source.error(msg, place=member, expected="plain XML") from problem
    return root


def local(element: Element) -> str:
    """Tag without its namespace."""
    return str(element.tag).rpartition("}")[2]


def text_of(parent: Element | None, path: str) -> str:
    """Text of the first element at a path, "" where there is none; ``{*}`` is added to every step."""
    if parent is None:
        return ""
    found = parent.find(
        "/".join(f"{{*}}{step}" if step not in {".", ".."} else step for step in path.split("/"))
    )
    return (found.text or "").strip() if found is not None else ""


def children(parent: Element, *names: str) -> Iterator[Element]:
    """Direct children with one of these local names."""
    return (child for child in parent if local(child) in names)


def number(text: str) -> float | None:
    """A number, or None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in text else None


def number_list(text: str, source: SourceFile, place: str, *, separator: str = "") -> FloatArray:
    """Numbers separated by blanks (or `separator`); the first that is none is named.

    Raises
    ------
    ReadError
        Something between the numbers is none.
    """
    body = text.replace(separator, " ") if separator else text
    if body.count(" ") + body.count("\n") + body.count("\t") > MAX_NUMBERS:
        raise source.error("the list of numbers is too long", place=place, expected=f"up to {MAX_NUMBERS}")
    wrong = _NOT_NUMBERS.search(body) if has_other(body) else None
    if wrong is None:
        try:
            return np.array(list(map(float, body.split())), dtype=np.float64)
        except ValueError as problem:
            raise source.error(str(problem), place=place, expected="numbers separated by blanks") from problem
    msg = f"{body[max(0, wrong.start() - 10) : wrong.start() + 10]!r} is not a list of numbers"
    raise source.error(msg, place=place, expected="numbers separated by blanks")
