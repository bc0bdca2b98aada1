"""Concurrency limits for slow work in a worker: lookups of names that do not answer, and requests to the CAs
and name servers of a namespace's own issuers.

A user can create thousands of these names or issuers. The limits leave the other threads for other users."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from certmill.errors import Busy

SLOW_SECONDS: Final = 2.0


class SlowLookups:
    """Limits the threads in slow lookups. The names of one namespace may use at most half of the slots."""

    def __init__(self, slots: int) -> None:
        self._slots = max(1, slots)
        self._guard = threading.Lock()
        self._held: Counter[str] = Counter()

    @contextmanager
    def slow(self, namespace: str) -> Iterator[None]:
        """Use one slot. Raises Busy at once if none is free."""
        with self._guard:
            if self._held.total() >= self._slots:
                raise Busy("waits for its turn: many other names do not answer")
            if self._held[namespace] >= max(1, self._slots // 2):
                raise Busy(f"waits for its turn: many other names of the namespace {namespace} do not answer")
            self._held[namespace] += 1
        try:
            yield
        finally:
            with self._guard:
                self._held[namespace] -= 1
                self._held += Counter()  # delete namespaces with no slot in use


class NamespaceLimit:
    """Limits the threads in steps that use the issuers of one namespace: three quarters of all threads.

    The limit for slow steps is half, or a quarter while more than half of all threads are in use.
    ClusterIssuers have no limit, because the operator chooses them."""

    def __init__(self, threads: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self._monotonic = monotonic
        self._guard = threading.Lock()
        self._began: dict[str, list[float]] = {}

    @contextmanager
    def of(self, namespace: str) -> Iterator[None]:
        """Use one thread of the namespace ("" for a ClusterIssuer). Raises Busy at once if none is free."""
        now = self._monotonic()
        with self._guard:
            if namespace and self._is_at_limit(namespace, now):
                raise Busy(
                    f"waits for its turn: the CAs or name servers of the issuers in namespace {namespace} "
                    "are slow"
                )
            self._began.setdefault(namespace, []).append(now)
        try:
            yield
        finally:
            with self._guard:
                began = self._began[namespace]
                began.remove(now)
                if not began:
                    del self._began[namespace]

    def _is_at_limit(self, namespace: str, now: float) -> bool:
        began = self._began.get(namespace, [])
        slow = sum(now - instant >= SLOW_SECONDS for instant in began)
        in_use = sum(len(instants) for instants in self._began.values())
        most_slow = self._threads // (4 if in_use > self._threads // 2 else 2)
        return slow >= max(1, most_slow) or len(began) >= max(1, self._threads * 3 // 4)
