"""Beat's scheduler: Celery's, in memory, that says each time it turns that it does, and a clock that may be set back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import celery.beat

_Scheduler: Any = celery.beat.Scheduler  # its stubs know neither its properties nor its app


_SET_BACK: Final = timedelta(seconds=2)


class Scheduler(_Scheduler):  # type: ignore[misc]
    """Intervals need no file, so any number of beats run anywhere."""

    _ticked_at: datetime | None = None

    def tick(self, *args: Any, **options: Any) -> Any:  # Celery's own signature
        self.app.liveness.turned()
        now = self.app.now()
        if self._ticked_at is not None and now < self._ticked_at - _SET_BACK:
            self._begin_again(now)
        self._ticked_at = now
        return super().tick(*args, **options)

    def _begin_again(self, now: datetime) -> None:
        """The clock was set back: Celery would wait until it is again where it was, and nothing in the fleet would go on."""
        for entry in self.schedule.values():
            entry.last_run_at = now
        self._heap = None

    def _ensure_connected(self) -> Any:  # Celery's own
        with self.app.liveness.connecting():
            return super()._ensure_connected()
