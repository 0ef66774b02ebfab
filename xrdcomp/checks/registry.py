"""Registration and running of checks: functions from the analysis so far to a message, or to none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from xrdcomp.data import Diagnostic, MessageKind, Sample
from xrdcomp.recipe import Recipe
from xrdcomp.results import Claim, Composition, FitResult, PhaseResult, TgaResult

Stage = Literal["xrd", "search", "tga", "composition", "specimen"]
"""What a check needs: a fit, a search, a thermal balance, a composition, or several of them."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What an analysis has found so far; a stage that was not run is None or empty.

    Parameters
    ----------
    sample : Sample or None
        What was measured.
    recipe : Recipe
        Every setting.
    xrd : FitResult or None
    phases : tuple of PhaseResult
        Every phase that was asked after.
    tga : TgaResult or None
    composition : Composition or None
    claims : tuple of Claim
    """

    sample: Sample | None = None
    recipe: Recipe = field(default_factory=Recipe)
    xrd: FitResult | None = None
    phases: tuple[PhaseResult, ...] = ()
    tga: TgaResult | None = None
    composition: Composition | None = None
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """A registered rule: the kind of its message, the stage after which it runs, and its function.

    Parameters
    ----------
    kind : MessageKind
    stage : {"xrd", "search", "tga", "composition", "specimen"}
    function : callable
        Takes an `Analysis`; gives a `Diagnostic` or None.
    """

    kind: MessageKind
    stage: Stage
    function: Callable[[Analysis], Diagnostic | None]


CHECKS: list[Check] = []
"""Every check, in the order in which messages are shown."""


def check(kind: MessageKind, stage: Stage) -> Callable[[Callable[[Analysis], Diagnostic | None]], Check]:
    """Register a function as the rule behind a kind of message.

    Parameters
    ----------
    kind : MessageKind
    stage : {"xrd", "search", "tga", "composition", "specimen"}
        The check runs as soon as this stage is finished.

    Returns
    -------
    callable
        Decorator that gives the `Check`.
    """

    def register(function: Callable[[Analysis], Diagnostic | None]) -> Check:
        found = Check(kind=kind, stage=stage, function=function)
        CHECKS.append(found)
        return found

    return register


def run_checks(analysis: Analysis, stages: Iterable[Stage]) -> tuple[Diagnostic, ...]:
    """Messages of all checks of some stages, in the order in which the checks are registered.

    Parameters
    ----------
    analysis : Analysis
    stages : iterable of str

    Returns
    -------
    tuple of Diagnostic
    """
    wanted = set(stages)
    found = (item.function(analysis) for item in CHECKS if item.stage in wanted)
    return tuple(message for message in found if message is not None)
