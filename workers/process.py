"""How a process and its supervisor communicate: a name for log lines, and a file that says it is ready.

Imports nothing of Celery or of the engine, because the supervisor needs neither."""

from __future__ import annotations

import os
from pathlib import Path

PROCESS_VARIABLE = "CERTMILL_PROCESS"
"""The name that the supervisor gives to this process; it marks the log lines."""

READY_FILE_VARIABLE = "CERTMILL_PROCESS_READY_FILE"
"""The path of a file that the process creates once it does its work; the supervisor waits for it."""


def process_name(otherwise: str) -> str:
    """The name of this process in the log: the supervisor's, else `otherwise`."""
    return os.environ.get(PROCESS_VARIABLE) or otherwise


def announce_ready() -> None:
    """Create the ready file of the supervisor, if there is one, to report that this process does its work."""
    file = os.environ.get(READY_FILE_VARIABLE)
    if file:
        Path(file).touch(mode=0o600)
