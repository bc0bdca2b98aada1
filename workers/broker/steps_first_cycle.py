"""Decides from which queue a worker takes the next message. Runs that have begun come first (design §2), and
every queue gets a turn.

A reconcile request or a client's request begins a run of eight steps. If queues took equal turns, two hundred
such messages at once would all begin runs before the first run had ended."""

from __future__ import annotations

import time
from collections.abc import Iterable

from certmill.contract import STEP_NAMES, STEPS_QUEUE
from workers.continuation import RUNS_AT_WORK

STEPS_IN_A_ROW = len(STEP_NAMES)


class StepsFirstCycle:
    """kombu's queue cycle: steps first. Every ninth turn belongs to the other queues, which take turns. A
    queue can be paused."""

    def __init__(self, it: Iterable[str] | None = None) -> None:  # kombu's own signature, here and below
        self._others: list[str] = []
        self._has_steps = False
        self._in_a_row = 0
        self._paused: dict[str, float] = {}  # queue → end of its pause (monotonic clock)
        self.update(it or ())

    def pause(self, queue: str, until: float) -> None:
        """Take nothing from this queue until then (monotonic clock). Any thread can call this."""
        self._paused[queue] = until

    def update(self, it: Iterable[str]) -> None:
        """Set the queues from which messages are taken."""
        queues = list(it)
        self._has_steps = STEPS_QUEUE in queues
        self._others = [queue for queue in queues if queue != STEPS_QUEUE]

    def consume(self, n: int) -> list[str]:
        """Return the queues in the order in which they are read. Returns none while the worker has enough
        runs at work."""
        if RUNS_AT_WORK.are_enough():
            return []
        steps = [STEPS_QUEUE] if self._has_steps else []
        order = [*self._others, *steps] if self._in_a_row >= STEPS_IN_A_ROW else [*steps, *self._others]
        now = time.monotonic()
        return [queue for queue in order if self._paused.get(queue, 0.0) <= now][:n]

    def rotate(self, last_used: str) -> str:
        """Record that a message came from this queue."""
        if last_used == STEPS_QUEUE:
            self._in_a_row += 1
        else:
            self._in_a_row = 0
            if last_used in self._others:  # a message of a removed queue can still arrive
                self._others.remove(last_used)
                self._others.append(last_used)
        return last_used
