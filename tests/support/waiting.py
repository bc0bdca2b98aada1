"""Waiting for a condition: the one helper of all tests that wait for another process or for a server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LONGEST_PAUSE_SECONDS = 0.3


def until(
    condition: Callable[[], T],
    *,
    seconds: float = 60.0,
    what: str | Callable[[], str] = "",
    pause: float = 0.05,
) -> T:
    """Ask `condition` every `pause` seconds until its answer is true, and return that answer.

    An answer that takes long is asked for less often: the waiting takes a quarter of the time at most, and
    leaves the processors to what it waits for.

    Raises AssertionError after `seconds`, with `what` (or the text that it returns then) in the message.
    """
    ends = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if value := condition():
            return value
        now = time.monotonic()
        assert now < ends, f"not within {seconds:g} s: {(what() if callable(what) else what) or condition}"
        time.sleep(max(pause, min(3 * (now - began), _LONGEST_PAUSE_SECONDS)))
