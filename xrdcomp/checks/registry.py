"""Registration and running of checks: functions from the analysis so far to a message, or to none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from xrdcomp.data import Diagnostic, MessageKind, Sample
from xrdcomp.recipe import Recipe
from xrdcomp.results import Claim, Composition, FitResult, PhaseResult, TgaResult

# what a check needs: a fit, a search, a thermal balance, a composition, or several of them
Stage = Literal["xrd", "search", "tga", "composition", "specimen"]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What an analysis has found so far; a stage that was not run is None or empty.

    `phases` are all that were asked after, `recipe` every setting.
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
    """A registered rule: the kind of its message, the stage after which it runs, and its function."""

    kind: MessageKind
    stage: Stage
    function: Callable[[Analysis], Diagnostic | None]


CHECKS: list[Check] = []  # every check, in the order in which messages are shown


def check(kind: MessageKind, stage: Stage) -> Callable[[Callable[[Analysis], Diagnostic | None]], Check]:
    """Register a function as the rule behind a kind of message; it runs as soon as its stage is finished."""

    def register(function: Callable[[Analysis], Diagnostic | None]) -> Check:
        CHECKS.append(Check(kind=kind, stage=stage, function=function))
        return CHECKS[-1]

    return register


def run_checks(analysis: Analysis, stages: Iterable[Stage]) -> tuple[Diagnostic, ...]:
    """Messages of all checks of some stages, in the order in which the checks are registered."""
    wanted = set(stages)
    return tuple(m for item in CHECKS if item.stage in wanted and (m := item.function(analysis)) is not None)
