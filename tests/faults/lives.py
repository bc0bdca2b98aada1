"""Workers that are killed at chosen lines, with their supervisors, and how each worker process ended."""

from __future__ import annotations

import json
from pathlib import Path

from compose.local import LocalCertmill

POINTS = ("before-act", "in-the-middle", "after-act", "after-commit")
"""The points at which tests.faults.mortal can be killed."""


class Lives:
    """Starts this number of workers; each is started again when it ends."""

    def __init__(self, certmill: LocalCertmill, marks: Path, *, workers: int, **settings: str) -> None:
        self._certmill = certmill
        self._marks = marks
        self._settings = {**settings, "marks": str(marks)}
        self._names = [f"{marks.name}-{number}" for number in range(workers)]

    def __enter__(self):
        for name in self._names:
            self._certmill._start(name, "-m", "tests.faults.mortal", name, settings=self._settings)
        return self

    def __exit__(self, *exception):
        for name in self._names:
            self._certmill.processes.pop(name).stop(timeout_seconds=10.0)

    def marks(self) -> dict[str, dict[str, str]]:
        """The marks of what has happened, with the steps of the worker's certificates at that time."""
        return {file.name: json.loads(file.read_text()) for file in self._marks.iterdir()}

    def ends(self) -> list[dict[str, int]]:
        """How each worker process ended that the test did not end."""
        lines = [
            line
            for name in self._names
            for line in self._certmill.log_of(name).splitlines()
            if line.startswith('{"ended"')
        ]
        return [end for end in map(json.loads, lines) if not end["stopped_by_us"]]
