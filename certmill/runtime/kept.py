"""What is made once and kept for the next use, by what an issuer says: clients, providers, resolvers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Made = TypeVar("_Made")

_MOST = 256
"""Who may change an issuer may do so for ever."""


class Kept(Generic[_Made]):
    """Things by what they were made from; when there are too many, all are let go. Safe from many threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._made: dict[Hashable, _Made] = {}

    def get(self, which: Hashable, make: Callable[[], _Made]) -> _Made:
        """The one for `which`, made now if it is not there."""
        with self._guard:
            if which not in self._made:
                if len(self._made) >= _MOST:
                    self._made.clear()
                self._made[which] = make()
            return self._made[which]
