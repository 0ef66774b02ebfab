"""Exceptions that carry facts: which file, where in it, what was found, what was expected, what to do.

The facts are attributes, so that scripts and tests never parse the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Controls, marks that turn the direction of writing, and what stands for bytes of a name that are not UTF-8."""


def printable(text: str) -> str:
    r"""Text as it may be shown or written anywhere: what a terminal would obey and what has no UTF-8 is escaped.

    A byte of a file name that is not UTF-8 becomes ``\xff``, other characters ``\x1b`` or ``\u202e``; tabs and line
    feeds stay.
    """

    def escaped(match: re.Match[str]) -> str:
        code = ord(match[0])
        code -= 0xDC00 * (0xDC80 <= code <= 0xDCFF)  # how Python holds such a byte
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    return text if text.isprintable() else _UNPRINTABLE.sub(escaped, text)


_EITHER = re.compile("\x02([^\x02-\x04]*)\x03([^\x02-\x04]*)\x04")


def either(python: str, command: str) -> str:
    """One or more sentences of an error in two languages: keywords of Python, and options of the command line."""
    return f"\x02{python}\x03{command}\x04"


def in_python(text: str) -> str:
    """Text of an error for a caller in Python."""
    return _EITHER.sub(r"\1", text)


def in_command(text: str, options: Collection[str]) -> str:
    """Text of an error for the command line; what asks for options that the command does not have is left out."""

    def chosen(match: re.Match[str]) -> str:
        asked = re.findall(r"--[a-z][a-z-]*", match[2])
        return match[2] if all(name in options for name in asked) else ""

    return re.sub(r"  +", " ", _EITHER.sub(chosen, text)).strip()


class XrdcompError(Exception):
    """Anything wrong with what the user gave; the command line exits with 2."""

    def __str__(self) -> str:
        return in_python(super().__str__())

    def for_command(self, options: Collection[str]) -> str:
        """Text for the command line, where the command has these `options`; ``str`` is that for Python."""
        return in_command(super().__str__(), options)

    def to_dict(self, options: Collection[str]) -> dict[str, str | None]:
        """Facts for ``--format json`` of a command with these `options`; None where the error has none of a kind."""
        unknown = dict.fromkeys(("file", "format", "place", "expected", "hint"))
        return {"kind": type(self).__name__, "reason": printable(self.for_command(options)), **unknown}


class ReadError(XrdcompError):
    """A file that cannot be read, or must not be because a number in it would be a guess.

    Parameters
    ----------
    reason : str
        What is wrong: the value found and why it cannot stand.
    place : str, optional
        Where in the file: ``"line 12"``, ``"byte 0x2c"``, ``"scan 3"``, ``"RawData0.xml, line 4"``.
    expected : str, optional
        What a good file has there.
    hint : str, optional
        What the user can do.
    file : str, optional
        Name of the file as the user gave it; put in once it is known.
    format_id : str, optional
        Registry id of the format that was being read.
    unnamed : bool, optional
        The reader knew none of the columns by name: whoever tries several readers believes another refusal first.
    """

    def __init__(
        self, reason: str, place: str = "", expected: str = "", hint: str = "", *, file: str = "", format_id: str = "",
        unnamed: bool = False,
    ) -> None:  # fmt: skip
        self.reason, self.file, self.format_id, self.unnamed = reason, file, format_id, unnamed
        self.place, self.expected, self.hint, self._hint = place, expected, in_python(hint), hint
        super().__init__(reason)

    def __str__(self) -> str:
        return self._sentence(self.hint)

    def for_command(self, options: Collection[str]) -> str:
        """Text for the command line, where the command has these `options`; ``str`` is that for Python."""
        return self._sentence(self._hint_for(options))

    def to_dict(self, options: Collection[str]) -> dict[str, str | None]:
        """Facts for ``--format json`` of a command with these `options`; None where the error has none of a kind."""
        facts = {
            "reason": self.reason, "file": self.file, "format": self.format_id, "place": self.place,
            "expected": self.expected, "hint": self._hint_for(options),
        }  # fmt: skip
        return {"kind": type(self).__name__} | {name: printable(text) or None for name, text in facts.items()}

    def _hint_for(self, options: Collection[str]) -> str:
        return in_command(self._hint, options) if in_python(self._hint) == self.hint else self.hint

    def _sentence(self, hint: str) -> str:
        where = printable(self.file) or "input"
        if self.format_id:
            where += f" [{self.format_id}]"
        if self.place:
            where += f", {self.place}"
        text = f"{where}: {self.reason.rstrip('.')}."
        if self.expected:
            text += f" Expected: {self.expected.rstrip('.')}."
        if hint:
            text += f" {hint}"
        return text


class PatternError(XrdcompError, ValueError):
    """Arrays that are not a measurement: unequal lengths, angles that do not increase, NaN.

    `reason`: what is wrong and what to do; `index`: index of the first offending point; `value`: the
    offending value.
    """

    def __init__(self, reason: str, *, index: int | None = None, value: float | None = None) -> None:
        self.reason, self.index, self.value = reason, index, value
        super().__init__(reason)


class ArgumentError(XrdcompError, TypeError):
    """An argument of another type than the function takes.

    `argument`: its name; `value` (object): what was given; `expected`: what the function takes, in words.
    """

    def __init__(self, argument: str, value: object, expected: str) -> None:
        self.argument, self.value, self.expected = argument, value, expected
        given = repr(value) if isinstance(value, str | int | float | bool | bytes | None) else "an object"
        given = given if len(given) <= 60 else f"{given[:57]}…"
        super().__init__(f"{argument}: got {given} ({type(value).__name__}). Expected: {expected.rstrip('.')}.")


class PhaseError(XrdcompError):
    """An unknown phase id, or a structure that fails its own checks."""


class RecipeError(XrdcompError):
    """A setting that does not exist or has an illegal value; the message proposes the nearest name."""


class AnalysisError(XrdcompError):
    """Data that were read but cannot be analysed as asked."""


class MissingExtraError(XrdcompError):
    """A format or a function that needs an optional package."""


class OutputError(XrdcompError):
    """A result that cannot be written where it was asked for; nothing was changed there."""


@contextmanager
def naming(*files: str) -> Iterator[None]:
    """Put the files that were being analysed before the text of an error that names none of them.

    `files`: names as the user knows them; empty ones are left out. Yields context manager.
    """
    try:
        yield
    except (AnalysisError, PatternError) as error:
        text, names = str(error.args[0] if error.args else ""), [name for name in files if name]
        if names and not any(name in text for name in names):
            error.args = (f"{', '.join(names)}: {text}", *error.args[1:])
        raise
