"""A controller that watches a real API server for a while, and has ended when the test goes on: what watches
longer would meet the end of that server, in whatever test runs then."""

from __future__ import annotations

import contextlib
import threading

from certmill.clock import SystemClock
from certmill.controller.controller import Controller

_WATCH_SECONDS = 2
_ENDS_WITHIN_SECONDS = 60


class ShortWatches:
    """A client whose watches are short: a thread that waits in one cannot be stopped."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def watch(self, *args, **options):
        return self._client.watch(*args, **{**options, "seconds": _WATCH_SECONDS})


@contextlib.contextmanager
def watching(client, namespaces=()):
    """A controller whose watches run."""
    stop = threading.Event()
    controller = Controller(ShortWatches(client), SystemClock(), stop, namespaces)
    threads = [threading.Thread(target=run, name=name) for name, run in controller.watches()]
    for thread in threads:
        thread.start()
    try:
        yield controller
    finally:
        stop.set()
        for thread in threads:
            thread.join(_ENDS_WITHIN_SECONDS)
        assert not any(thread.is_alive() for thread in threads)
