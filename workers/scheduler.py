"""Beat's scheduler: Celery's, in memory, with a sign of life each time it turns."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import celery.beat

_Scheduler: Any = celery.beat.Scheduler  # its stubs know neither its properties nor its app


class Scheduler(_Scheduler):  # type: ignore[misc]
    """Intervals need no file, so any number of beats run anywhere."""

    def tick(self, *args: Any, **options: Any) -> Any:  # Celery's own signature
        self.app.heartbeat.beat()
        return super().tick(*args, **options)

    @cached_property
    def connection(self) -> Any:
        return self.app.heartbeat.beats_while_connecting(super().connection)
