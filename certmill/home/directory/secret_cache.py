"""Secrets that were read before. Each step of a run reads its account's Secret, and the files rarely change.

An entry is used as long as the link `..data`, the directory and all files of the Secret are the same: inode,
size and times. They are taken before the Secret is read, and the Secret is stored only if they are the same
after it. A file that was changed a moment ago may be changed again without a new time, so its Secret is not
stored."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from certmill.home.directory import secret_metadata
from certmill.home.directory.secret_entries import DATA
from certmill.home.ownership import Held
from certmill.model.identifiers import is_secret_key

_SETTLED_SECONDS: Final = 1.0
"""File systems store times with a resolution of up to 10 ms; one on the network may have another clock."""
_MOST: Final = 64

_Files = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What identifies the content of a Secret's directory at the time `at` (of the cache's `now`): the
    version, and inode, size, mtime and ctime of the directory, the metadata and each of `keys`."""

    at: float
    keys: tuple[str, ...]
    version: str
    files: _Files

    @property
    def changed_at(self) -> float:
        """The newest time of its files, in seconds since the epoch."""
        return max(max(times) for _, _, *times in self.files) / 1e9


class SecretCache:
    """Secrets by directory. Safe for many threads. `now`: the clock of the files, seconds since the epoch."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._guard = threading.Lock()
        self._read: LRUCache[str, tuple[State, Held]] = LRUCache(_MOST)

    def get(self, directory: str) -> Held | None:
        """Return the Secret if it is in the cache, and its files are the same."""
        with self._guard:
            state, held = self._read.get(directory, (None, None))
        return held if state is not None and _is_now(directory, state) else None

    def state_of(self, directory: str) -> State | None:
        """Return the state before a read, for `put`; None for a Secret without versions, and while a file is
        missing. This costs a few system calls."""
        at = self.now()
        try:
            keys = tuple(name for name in os.listdir(directory) if is_secret_key(name))  # noqa: PTH208 - as below
            version, files = _read_state(directory, keys)
        except OSError:
            return None
        return State(at=at, keys=keys, version=version, files=files)

    def put(self, directory: str, held: Held, *, before: State | None) -> None:
        """Store a Secret that was read after `before`, if its files are the same now, and had not changed for
        a while then."""
        if (
            before is None
            or before.changed_at > before.at - _SETTLED_SECONDS
            or not _is_now(directory, before)
        ):
            return
        with self._guard:
            self._read[directory] = (before, held)


def _is_now(directory: str, state: State) -> bool:
    try:
        return _read_state(directory, state.keys) == (state.version, state.files)
    except OSError:
        return False


def _read_state(directory: str, keys: tuple[str, ...]) -> tuple[str, _Files]:
    """Return the version and the files of a State. Raises OSError."""
    version = os.readlink(f"{directory}/{DATA}")  # noqa: PTH115 - a Path for each call costs more than the call
    paths = (directory, f"{directory}/{DATA}/{secret_metadata.FILE}", *(f"{directory}/{key}" for key in keys))
    found = [os.stat(path) for path in paths]  # noqa: PTH116
    return version, tuple((one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found)
