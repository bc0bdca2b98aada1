"""A DNS-01 provider in memory, for tests: its values are in `values`, and a test can make its calls fail."""

from __future__ import annotations

import threading

from certmill.dns01.base import TxtRecord
from certmill.errors import CertmillError


class MemoryProvider:
    """A Provider without a network. Safe for many threads."""

    def __init__(self) -> None:
        self.values: dict[str, set[str]] = {}
        """Maps a name to its values; a name without values is not in it."""
        self.failure: CertmillError | None = None
        """Each call raises this error until it is None again."""
        self._guard = threading.Lock()

    def present(self, record: TxtRecord) -> None:
        """Add one value."""
        self._fail()
        with self._guard:
            self.values.setdefault(record.name, set()).add(record.value)

    def cleanup(self, record: TxtRecord) -> None:
        """Remove one value."""
        self._fail()
        with self._guard:
            left = self.values.get(record.name, set())
            left.discard(record.value)
            if not left:
                self.values.pop(record.name, None)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
