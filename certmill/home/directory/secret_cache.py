"""Secrets that were read before. Each step of a run reads its account's Secret, and the files rarely change.

An entry is used as long as the link `..data`, the directory and all files of the Secret are the same: inode,
size and times. A file that was changed a moment ago may be changed again without a new time, so its Secret is
not stored."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from cachetools import LRUCache

from certmill.home.directory import secret_metadata
from certmill.home.directory.secret_entries import DATA
from certmill.home.ownership import Held

_SETTLED_SECONDS: Final = 1.0
"""File systems store times with a resolution of up to 10 ms; one on the network may have another clock."""
_MOST: Final = 64

_State = tuple[str, tuple[tuple[int, int, int, int], ...]]


class SecretCache:
    """Secrets by directory. Safe for many threads. `now`: the clock of the files, seconds since the epoch."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._guard = threading.Lock()
        self._read: LRUCache[str, tuple[_State, Held]] = LRUCache(_MOST)

    def get(self, directory: str) -> Held | None:
        """Return the Secret if it is in the cache, and its files are the same."""
        with self._guard:
            state, held = self._read.get(directory, (None, None))
        return held if held is not None and _state(directory, held) == state else None

    def put(self, directory: str, held: Held, *, began: float) -> None:
        """Store a Secret whose read began at `began` (of `now`), if its files had not changed for a while
        then."""
        state = _state(directory, held)
        if state is None or _changed_at(state) > began - _SETTLED_SECONDS:
            return
        with self._guard:
            self._read[directory] = (state, held)


def _state(directory: str, held: Held) -> _State | None:
    """The version, and what identifies the content of the directory and of each file; None for a Secret
    without versions, and while a file is missing. This costs a few system calls."""
    paths = [
        f"{directory}/{DATA}/{secret_metadata.FILE}",
        *(f"{directory}/{key}" for key in held.secret.data),
    ]
    try:
        version = os.readlink(f"{directory}/{DATA}")  # noqa: PTH115 - a Path for each call costs more than the call
        found = [os.stat(path) for path in (directory, *paths)]  # noqa: PTH116
    except OSError:
        return None
    return version, tuple((one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found)


def _changed_at(state: _State) -> float:
    return max(max(times) for _, _, *times in state[1]) / 1e9
