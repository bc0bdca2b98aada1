"""A cache of objects that are built from an issuer: clients, providers, resolvers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

_Made = TypeVar("_Made")

_MAX_OBJECTS = 256
"""Issuers can change without limit, so the cache is bounded."""


class ObjectCache(Generic[_Made]):
    """Caches objects by the values from which they were built. When it is full, the least recently used one
    is removed. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._made: LRUCache[Hashable, _Made] = LRUCache(_MAX_OBJECTS)

    def get(self, which: Hashable, make: Callable[[], _Made]) -> _Made:
        """The object for `which`; `make` builds it if it is not in the cache."""
        with self._guard:
            if which not in self._made:
                self._made[which] = make()
            return self._made[which]
