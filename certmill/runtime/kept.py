"""A cache of objects that are built from an issuer: clients, providers, resolvers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

_Made = TypeVar("_Made")

_MOST = 256
"""Issuers can change without limit, so the cache is bounded."""


class Kept(Generic[_Made]):
    """Objects, cached by the values they were built from. The least recently used one is dropped when the
    cache is full. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._made: LRUCache[Hashable, _Made] = LRUCache(_MOST)

    def get(self, which: Hashable, make: Callable[[], _Made]) -> _Made:
        """The object for `which`; `make` builds it if it is not in the cache."""
        with self._guard:
            if which not in self._made:
                self._made[which] = make()
            return self._made[which]
