"""A sign of life for a supervisor that cannot see into a process: its main loop touches a file, whose age `python -m workers.alive` judges.

What stands still is started again: a loop that no longer turns, a pool whose threads are all stuck, a watch whose thread has ended. A Redis
or an API server that is away is no reason: whoever waits for one goes on touching. Only the standard library is in here, as the probe is
started twice a minute.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FILE_VARIABLE = "CERTMILL_HEARTBEAT_FILE"
STALE_SECONDS = 120.0
"""Longer than anything that a main loop does in one turn."""

EVERY_SECONDS = 5.0
_AT_MOST_EVERY_SECONDS = 1.0


class Heartbeat:
    """The file of one process; with None nothing is touched."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._next = 0.0  # of the monotonic clock

    def beat(self) -> None:
        """The main loop has turned. A file that cannot be touched is what the probe is to find."""
        now = time.monotonic()
        if self._file is None or now < self._next:
            return
        self._next = now + _AT_MOST_EVERY_SECONDS
        with suppress(OSError):
            self._file.touch(mode=0o600)

    def beats_while_connecting(self, connection: Any) -> Any:
        """A kombu connection whose waiting for a broker that is away, for as long as it takes, is no standing still."""
        ensure = connection.ensure_connection

        def ensured(*args: Any, callback: Any = None, **options: Any) -> Any:
            def waiting() -> None:
                self.beat()
                if callback is not None:
                    callback()

            return ensure(*args, callback=waiting, **options)

        connection.ensure_connection = ensured
        return connection


def age_of(file: Path) -> float | None:
    """Seconds since it was touched; None if it is not there."""
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return None


def main(arguments: list[str], file: str) -> int:
    """0 if the process with this file turns; the argument is the age in seconds at which it is given up."""
    stale = float(arguments[0]) if arguments else STALE_SECONDS
    age = age_of(Path(file)) if file else None
    if age is None or age > stale:
        told = f"{FILE_VARIABLE} is not set" if not file else "no sign of life yet" if age is None else f"last sign of life {age:.0f} s ago"
        sys.stderr.write(f"{told}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get(FILE_VARIABLE, "")))
