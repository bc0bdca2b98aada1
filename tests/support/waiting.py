"""Waiting for a condition: the one helper of all tests that wait for another process or for a server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    *,
    seconds: float = 60.0,
    what: str | Callable[[], str] = "",
    pause: float = 0.05,
) -> T:
    """Ask `condition` every `pause` seconds until its answer is true, and return that answer.

    Raises AssertionError after `seconds`, with `what` (or the text that it returns then) in the message.
    """
    ends = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < ends, (
            f"not within {seconds:g} s: {(what() if callable(what) else what) or condition}"
        )
        time.sleep(pause)
    return value
