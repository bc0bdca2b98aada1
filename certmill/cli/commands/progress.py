"""Derives the progress of a run from repeated readings of its status: which steps are done, which step waits
and for what, and how long each took. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from certmill.client import Status
from certmill.contract import STEP_NAMES
from certmill.model.status import NO_WORKER

QUEUED_HINT_SECONDS = 5.0
_LAST = STEP_NAMES[-1]
_STORES = STEP_NAMES[-2]


class Mark(StrEnum):
    """The state of a step, as the symbol that is printed."""

    PENDING = "·"
    RUNNING = "▸"
    WAITING = "…"
    DONE = "✓"
    FAILED = "✗"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step. `seconds` is the time that it took, or has taken so far; None if no reading saw it."""

    name: str
    mark: Mark
    seconds: float | None = None
    reason: str = ""


class Progress:
    """The progress of one request, updated by `observe`."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._spans: dict[str, tuple[float, float | None]] = {}
        self._marks: dict[str, Mark] = dict.fromkeys(STEP_NAMES, Mark.PENDING)
        self._current = ""
        self.status = Status(phase="queued")
        self.now = started

    @property
    def seen(self) -> bool:
        """Whether any reading saw a step."""
        return bool(self._current)

    def observe(self, status: Status, now: float) -> None:
        """Add the status that was read at `now` (seconds since the epoch)."""
        if status.step in STEP_NAMES and status.step != self._current:
            self._move(status, now)
        if self._current:
            self._marks[self._current] = Mark.WAITING if status.phase == "waiting" else Mark.RUNNING
        if status.phase == "issued":
            self._end(now, Mark.DONE)
        elif status.ended:
            self._end(now, Mark.FAILED)
        self.status, self.now = status, now

    def steps(self) -> list[StepView]:
        """All steps, in order."""
        return [self._view(step) for step in STEP_NAMES]

    def headline(self) -> str:
        """The state of the request, in one line."""
        status = self.status
        if status.phase == "queued":
            waited = self.now - self._started >= QUEUED_HINT_SECONDS
            return "queued" + (f": {NO_WORKER}; check that one is running" if waited else "")
        if status.phase == "unknown":
            return f"unknown: {status.reason}"
        if status.ended:
            return f"{status.phase}: {status.reason}" if status.reason else status.phase
        return f"{status.step}{': ' if status.reason else ''}{status.reason}{self.again()}"

    def again(self) -> str:
        """For example ` (again in 3 s)`; "" if the time of the next try is not known."""
        at = self.status.next_at
        return (
            f" (again in {max(0.0, at - self.now):.0f} s)" if at is not None and not self.status.ended else ""
        )

    def _move(self, status: Status, now: float) -> None:
        old, new = self._current, status.step
        # The run is in clean_up with a reason, and nothing was stored: it failed at the step that was seen
        # last.
        failing = new == _LAST and bool(status.reason) and old not in ("", _STORES)
        for step in STEP_NAMES[STEP_NAMES.index(new) :]:
            self._marks[step] = Mark.PENDING
            self._spans.pop(step, None)
        if old in self._spans:
            self._spans[old] = (self._spans[old][0], now)
        if failing:
            self._marks[old] = Mark.FAILED
        else:
            self._marks |= dict.fromkeys(STEP_NAMES[: STEP_NAMES.index(new)], Mark.DONE)
        self._spans[new] = (now, None)
        self._current = new

    def _end(self, now: float, mark: Mark) -> None:
        if self._current in self._spans:
            self._spans[self._current] = (self._spans[self._current][0], now)
        if mark is Mark.DONE:
            self._marks = dict.fromkeys(STEP_NAMES, Mark.DONE)
        elif self._current:
            self._marks[self._current] = Mark.DONE if Mark.FAILED in self._marks.values() else Mark.FAILED

    def _view(self, step: str) -> StepView:
        began, ended = self._spans.get(step, (None, None))
        seconds = None if began is None else (ended if ended is not None else self.now) - began
        reason = (
            f"{self.status.reason}{self.again()}" if step == self._current and not self.status.ended else ""
        )
        return StepView(name=step, mark=self._marks[step], seconds=seconds, reason=reason)
