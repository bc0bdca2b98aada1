"""Workers that are started again whenever they end: what systemd, or `python -m workers up`, does."""

from __future__ import annotations

import threading
from collections.abc import Callable

from compose.local import LocalCertmill

POINTS = ("before-act", "in-the-middle", "after-act", "after-commit")
"""Where tests.faults.mortal can be killed."""


class Lives:
    """Keeps so many mortal workers alive; after one that was stopped rather than killed, `after_stop` is called before it is started
    again."""

    def __init__(self, certmill: LocalCertmill, *, workers: int, after_stop: Callable[[], object] = lambda: None, **settings: str) -> None:
        self._certmill = certmill
        self._settings = settings
        self._after_stop = after_stop
        self._stop = threading.Event()
        self._processes = {f"mortal{number}": self._start(f"mortal{number}") for number in range(1, workers + 1)}
        self._thread = threading.Thread(target=self._tend, daemon=True)
        self.exit_codes: list[int] = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()
        for process in self._processes.values():
            process.stop(timeout_seconds=10.0)

    def all_running(self) -> bool:
        """Is every worker alive?"""
        return all(process.is_running for process in self._processes.values())

    def _start(self, name: str):
        return self._certmill.start_worker(name, app="tests.faults.mortal", **self._settings)

    def _tend(self) -> None:
        while not self._stop.wait(0.05):
            for name, process in self._processes.items():
                if not process.is_running:
                    self.exit_codes.append(process._child.returncode)
                    if self.exit_codes[-1] == 0:
                        self._after_stop()
                    self._start(name)
