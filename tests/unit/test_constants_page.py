"""The page of constants whose value is a judgement."""

from __future__ import annotations

from tools.constants import PAGE, page


def test_the_page_holds_the_values_of_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tools.constants writes it"
