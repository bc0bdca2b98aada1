"""Beat's scheduler: Celery's scheduler in memory, with intervals measured by the monotonic clock, which
cannot be set.

A tick is not sent while one of the same kind waits in the queue. Any number of beats, even without a worker
for a day, therefore leave only one tick of each kind in the queue."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import celery.beat
import redis
from kombu.utils.objects import cached_property

from certmill.contract import TICKS_QUEUE
from certmill.observe import log

_log = log.get_logger(__name__)

_Scheduler: Any = celery.beat.Scheduler  # the stubs have neither its properties nor its app


_MOST_READ: Final = 100
"""The number of messages read from the queue of ticks. If there are more, every kind of tick is among
them."""
_NO_WORKER_SECONDS: Final = 120.0


class Scheduler(_Scheduler):  # type: ignore[misc]
    """Intervals need no file, so any number of beats can run anywhere."""

    monotonic = staticmethod(time.monotonic)
    _due: dict[str, float] | None = None  # name of the entry → due time (monotonic clock)
    _waiting_since: float | None = None  # monotonic clock
    _is_logged = False

    def tick(self, *_: Any, **__: Any) -> float:  # Celery's own signature
        """Send the ticks that are due. Returns the seconds until the next one is due.

        Celery's own method computes dates and time zones several times a second. When the clock is set back,
        it waits until the old time is reached again."""
        self.app.liveness.turned()
        now, every = self.monotonic(), {name: entry.schedule.seconds for name, entry in self.schedule.items()}
        if self._due is None:
            self._due = {name: now + seconds for name, seconds in every.items()}
        for name, seconds in every.items():
            if (due := self._due[name]) <= now:
                self.apply_entry(self.schedule[name], producer=self.producer)
                self._due[name] = due + seconds if due + seconds > now else now + seconds
        return float(min(self.max_interval, *(due - now for due in self._due.values())))

    def close(self) -> None:  # Celery calls this when beat stops; it has a signal only for the start of beat
        self.app.exporter.stop()
        super().close()

    @cached_property
    def producer(self) -> Any:
        """Celery's producer. Its first use connects, and counts as live meanwhile: Redis may not answer for
        an hour."""
        with self.app.liveness.connecting():
            return super().producer

    def apply_entry(
        self, entry: Any, producer: Any = None
    ) -> None:  # Celery's own method logs a full traceback for each tick while Redis does not answer
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 - beat continues after any error of one tick
            _log.error("beat.tick_not_sent", tick=entry.task, error=str(error))

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **options: Any
    ) -> Any:  # Celery's own signature
        if entry.task not in self._waiting(producer):
            self._waiting_since, self._is_logged = None, False
            return super().apply_async(entry, producer=producer, advance=advance, **options)
        if advance:
            self.reserve(entry)
        now = time.monotonic()
        self._waiting_since = self._waiting_since if self._waiting_since is not None else now
        if now - self._waiting_since > _NO_WORKER_SECONDS and not self._is_logged:
            self._is_logged = True
            _log.warning(
                "beat.no_worker_takes_ticks",
                tick=entry.task,
                advice="start a worker: celery -A workers worker",
            )
        return None

    def _waiting(self, producer: Any) -> set[str]:
        """Return the names of the tasks in the queue of ticks. An item that cannot be read is not a tick. If
        Redis does not answer, return none: sending the tick then reports the error."""
        try:
            items = producer.channel.client.lrange(TICKS_QUEUE, 0, _MOST_READ)
        except (OSError, redis.RedisError):
            return set()
        found = set()
        for item in items:
            try:
                found.add(str(json.loads(item)["headers"]["task"]))
            except (ValueError, KeyError, TypeError):
                continue
        return found
