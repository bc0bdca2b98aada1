"""Which queue a worker takes from next: what has begun goes first (design §2), and nothing waits for ever.

A look or a request that is taken begins a run of eight steps. Taken turn and turn about, two hundred of them
at once would all begin before the first had ended."""

from __future__ import annotations

import time
from collections.abc import Iterable

from certmill.contract import STEP_NAMES, STEPS_QUEUE
from workers.continuation import RUNS_AT_WORK

STEPS_IN_A_ROW = len(STEP_NAMES)


class StepsFirstCycle:
    """kombu's queue cycle: steps first, but for every ninth turn, which is the other queues' in turn. A queue
    may be paused."""

    def __init__(self, it: Iterable[str] | None = None) -> None:  # kombu's own signature, here and below
        self._others: list[str] = []
        self._has_steps = False
        self._in_a_row = 0
        self._paused: dict[str, float] = {}  # until then, of the monotonic clock
        self.update(it or ())

    def pause(self, queue: str, until: float) -> None:
        """Ask this queue for nothing until then. Called by any thread."""
        self._paused[queue] = until

    def update(self, it: Iterable[str]) -> None:
        """The queues that are taken from."""
        queues = list(it)
        self._has_steps = STEPS_QUEUE in queues
        self._others = [queue for queue in queues if queue != STEPS_QUEUE]

    def consume(self, n: int) -> list[str]:
        """The queues in the order in which they are asked; none while the worker has enough runs at work."""
        if RUNS_AT_WORK.are_enough():
            return []
        steps = [STEPS_QUEUE] if self._has_steps else []
        order = [*self._others, *steps] if self._in_a_row >= STEPS_IN_A_ROW else [*steps, *self._others]
        now = time.monotonic()
        return [queue for queue in order if self._paused.get(queue, 0.0) <= now][:n]

    def rotate(self, last_used: str) -> str:
        """A message came from this queue."""
        if last_used == STEPS_QUEUE:
            self._in_a_row += 1
        else:
            self._in_a_row = 0
            if (
                last_used in self._others
            ):  # one that is not taken from any more may have answered in the last moment
                self._others.remove(last_used)
                self._others.append(last_used)
        return last_used
