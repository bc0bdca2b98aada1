"""Flower's memory of tasks and workers: bounded by count and by age, and saved without blocking its pages.

Flower's own state grows with every worker that ever existed, and is pickled in the event loop: a state of one
day took 2.4 s, every ten seconds. Our state removes old workers and tasks, is copied in the loop, and is
written in a thread. It is JSON, so reading it runs no code."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import flower.events
from celery.events.state import Task, Worker

from certmill.observe import log

MAX_TASKS = 5_000
"""About 550 runs. A task takes 5 KB. `make bench` (soak) measures Flower when it is full."""
MAX_AGE_SECONDS = 30 * 86_400.0
_FORGET_WORKERS_AFTER_SECONDS = 3600.0
_FORGET_EVERY_SECONDS = 60.0
_FORMAT = 1
_FIELDS = (
    *(
        "uuid",
        "name",
        "state",
        "received",
        "started",
        "succeeded",
        "failed",
        "retried",
        "revoked",
        "rejected",
        "args",
        "kwargs",
        "retries",
    ),
    *("exception", "timestamp", "runtime", "root_id", "parent_id", "clock", "expires"),
)
_WORKER_FIELDS = (
    "hostname",
    "pid",
    "freq",
    "heartbeats",
    "clock",
    "active",
    "processed",
    "loadavg",
    "sw_ident",
    "sw_ver",
    "sw_sys",
)
_TOLD_FIELDS = (
    "timestamp",
    "certmill",
    "threads",
    "queues",
)  # workers.events adds all but the first to a heartbeat

_log = log.get_logger(__name__)
Saved = list[dict[str, Any]]
"""The head (workers and counts), followed by one entry for each task."""

_EventsState: Any = flower.events.EventsState  # Flower has no type annotations
_Events: Any = flower.events.Events


class BoundedState(_EventsState):  # type: ignore[misc]
    """Flower's state, which removes old entries."""

    heap_multiplier = 1
    _forget_at = 0.0

    def event(self, event: dict[str, Any]) -> None:
        """Process an event. The loop calls this for every event that arrives."""
        super().event(event)
        now = time.time()
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY_SECONDS
            self.forget(now)

    def forget(self, now: float) -> None:
        """Remove tasks without an event for MAX_AGE_SECONDS, and workers that are gone, with their counts and
        metrics."""
        for uuid, task in list(self.tasks.items()):
            if (task.timestamp or 0.0) < now - MAX_AGE_SECONDS:
                del self.tasks[uuid]
                self.search_engine.remove(uuid)
        kept = {
            name
            for name, worker in self.workers.items()
            if _last_heard(worker) > now - _FORGET_WORKERS_AFTER_SECONDS
        }
        gone = (set(self.workers) | set(self.counter) | set(self.tasks_by_worker)) - kept
        self.metrics.remove_workers(gone)
        for name in gone:
            self.workers.pop(name, None)
            self.counter.pop(name, None)
            self.tasks_by_worker.pop(name, None)

    def copy(self) -> Saved:
        """Return the content to save: plain values that are not changed any more."""
        head = {
            "format": _FORMAT,
            "workers": [_plain(worker, _WORKER_FIELDS + _TOLD_FIELDS) for worker in self.workers.values()],
            "counter": {name: dict(counts) for name, counts in self.counter.items()},
        }
        return [
            head,
            *(
                _plain(task, _FIELDS) | {"worker": getattr(task.worker, "hostname", None)}
                for task in self.tasks.values()
            ),
        ]

    def restore(self, saved: Saved) -> None:
        """Restore saved content. Unknown fields are left out."""
        head, *tasks = saved
        for fields in head["workers"]:
            worker = self.workers[fields["hostname"]] = Worker(
                **{name: fields[name] for name in _WORKER_FIELDS if name in fields}
            )
            worker.update({name: fields[name] for name in _TOLD_FIELDS if name in fields})
        self.counter.update({name: Counter(counts) for name, counts in head["counter"].items()})
        for fields in tasks:
            worker = self.workers.data.get(fields.get("worker")) or Worker(fields.get("worker") or "?")
            task = Task(
                cluster_state=self,
                worker=worker,
                **{name: fields[name] for name in _FIELDS if name in fields},
            )
            self.tasks[task.uuid] = task
            self._seen_types.add(task.name)
        for task in list(self.tasks.values()):
            parent = self.tasks.data.get(task.parent_id)
            if parent is not None:
                parent.children.add(task)
        self.search_engine.rebuild(self.tasks.items())
        self.rebuild_taskheap()


class SavedEvents(_Events):  # type: ignore[misc]
    """Flower's events, with the bounded state, saved as lines of JSON."""

    def __init__(self, *args: Any, max_tasks_in_memory: int, **options: Any) -> None:
        self._max_tasks = max_tasks_in_memory
        self._writing = threading.Lock()
        self._saved_at_event = -1
        super().__init__(*args, max_tasks_in_memory=max_tasks_in_memory, **options)

    @property
    def _file(self) -> Path:
        return Path(f"{self.db}.json")

    def load_state(self) -> BoundedState:
        """Return the saved state. A file that cannot be read is moved to `<db>.unreadable`."""
        state = BoundedState(max_tasks_in_memory=self._max_tasks)
        try:
            state.restore([json.loads(line) for line in self._file.read_bytes().splitlines()])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            aside = Path(f"{self.db}.unreadable")
            _log.warning(
                "flower.state_unreadable",
                file=str(self._file),
                error=type(error).__name__,
                moved_to=str(aside),
            )
            with suppress(OSError):
                self._file.replace(aside)
            return BoundedState(max_tasks_in_memory=self._max_tasks)
        return state

    def save_state(self) -> None:
        """Save the state. A timer in the loop calls this. Flower calls it once more when it stops, and the
        loop does not run then."""
        is_last = not self.io_loop.asyncio_loop.is_running()
        if self.state.event_count == self._saved_at_event or not self._writing.acquire(blocking=is_last):
            return
        self._saved_at_event = self.state.event_count
        if is_last:
            self._write(self.state.copy())
        else:
            self.io_loop.run_in_executor(None, self._write, self.state.copy())

    def _write(self, saved: Saved) -> None:
        """Write the content in a thread. It is written line by line, so that the loop can run in between."""
        new = Path(f"{self.db}.new")
        try:
            with os.fdopen(
                os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
            ) as stream:
                for values in saved:
                    stream.write(json.dumps(values) + "\n")
            new.replace(self._file)
        except OSError as error:
            _log.warning("flower.state_not_saved", file=str(self._file), error=error.strerror)
        finally:
            self._writing.release()


def _plain(thing: Task | Worker, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that are set, as values that JSON can represent."""
    values = {name: getattr(thing, name, None) for name in names}
    return {
        name: list(value) if isinstance(value, list | tuple) else value
        for name, value in values.items()
        if value is not None
    }


def _last_heard(worker: Worker) -> float:
    heartbeats: list[float] = worker.heartbeats
    return max([getattr(worker, "timestamp", None) or 0.0, *heartbeats])
