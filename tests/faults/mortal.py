"""A worker like any other, but for the lines on which it is killed, and the messages that it sends more than
once.

A certificate's name says the line, so that a test can have many in flight at once: `kill-<step>-<point>`
SIGKILLs the worker at that point of that step; `lose-<step>` stops it (SIGTERM) when the record is at that
step and its message not yet sent. Each happens once: the directory of CERTMILL_MARKS remembers. With
CERTMILL_COPIES each message to the queue of steps is sent so often.

`python -m tests.faults.mortal NAME` is the worker's supervisor: it forks one, and the next when that has
ended. A worker that was stopped, not killed, leaves its messages in the queue; the supervisor empties it
before it goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from celery.signals import after_task_publish, worker_ready
from celery.worker import state

from certmill import settings as certmill_settings
from certmill.contract import STEPS_QUEUE
from certmill.runs.chain import CLEAN_UP, next_step
from certmill.runtime import Runtime
from certmill.state.records import Due, Records, Unclaimed
from certmill.state.server.connection import connect
from workers.celery_app import make_app

MARKS = Path(os.environ.get("CERTMILL_MARKS", "."))
COPIES = int(os.environ.get("CERTMILL_COPIES", "1"))
CONSUMERS: list[Any] = []
"""The Celery worker of this process, when it consumes messages."""

_STOPPED_WITHIN_SECONDS = 30.0


class MortalRecords(Records):
    """Records whose calls may kill this process."""

    def __init__(self, client) -> None:
        super().__init__(client)
        self._under_way: dict[str, str] = {}
        self._stopped_for: set[str] = set()
        """Certificates whose message must be lost by a worker that is stopping."""
        self._guard = threading.RLock()
        """Held from a write until its mark is written. If the process were killed between the two, this
        point would not occur again."""

    def claim(self, certificate, step, **options):
        claimed = super().claim(certificate, step, **options)
        if not isinstance(claimed, Unclaimed):
            with self._guard:
                self._under_way[certificate] = step
            self._stop_before(certificate, step)
            self._kill(certificate, step, "before-act")
        return claimed

    def keep(self, certificate, **options):
        with self._guard:
            kept = super().keep(certificate, **options)
            self._kill(certificate, self._under_way.get(certificate, ""), "in-the-middle")
        return kept

    def commit(self, certificate, **options):
        step = self._under_way.get(certificate, "")
        self._kill(certificate, step, "after-act")
        with self._guard:
            committed = super().commit(certificate, **options)
            self._under_way.pop(certificate, None)
            self._kill(certificate, step, "after-commit")
        if options["due"] is Due.IN_FLIGHT:
            self._lose(certificate, options["step"])
        return committed

    def advance(self, certificate, record, **options):
        step, following = self._under_way.get(certificate, ""), options["step"]
        self._kill(certificate, step, "after-act")
        with self._guard:
            claimed = super().advance(certificate, record, **options)
            if claimed is not None:
                self._under_way[certificate] = following
            self._kill(certificate, step, "after-commit")
        if claimed is not None:
            self._stop_before(certificate, following)
            self._kill(certificate, following, "before-act")
        return claimed

    def wake_ups(self, certificates):
        bells = super().wake_ups(certificates)
        for bell in bells:
            self._lose(bell.certificate, bell.step)
        return bells

    def _kill(self, certificate: str, step: str, point: str) -> None:
        """Kill this process, and write a trace of all threads before."""
        with self._guard:
            if self._first_time(certificate, f"kill-{step.replace('_', '-')}-{point}"):
                os.kill(os.getpid(), signal.SIGKILL)

    def _stop_before(self, certificate: str, step: str) -> None:
        """Stop this worker during the step before the one whose message must be lost. A worker that is
        stopping does not continue with the next step; it publishes it."""
        if step != CLEAN_UP and self._first_time(certificate, _lost(next_step(step))):
            os.kill(os.getpid(), signal.SIGTERM)
            self._stopped_for.add(certificate)
            while state.should_stop is None:
                time.sleep(0.01)

    def _lose(self, certificate: str, step: str) -> None:
        """Stop this worker, if it is not stopping yet. When this returns, it no longer consumes messages."""
        if self._first_time(certificate, _lost(step)):
            os.kill(os.getpid(), signal.SIGTERM)
            self._stopped_for.add(certificate)
        if certificate in self._stopped_for and certificate.partition("/")[2] == _lost(step):
            CONSUMERS[-1].blueprint.shutdown_complete.wait(_STOPPED_WITHIN_SECONDS)

    def _first_time(self, certificate: str, name: str) -> bool:
        if certificate.partition("/")[2] != name:
            return False
        with self._guard:
            try:
                with (MARKS / name).open("x") as file:
                    json.dump(self._under_way, file)
            except FileExistsError:
                return False
        return True


def _lost(step: str) -> str:
    """Name of a Certificate, and of its mark."""
    return f"lose-{step.replace('_', '-')}"


def open_mortal(settings) -> Runtime:
    """The engine with these records; everything else is unchanged."""
    opened = Runtime.open(settings)
    ports = dataclasses.replace(opened.ports, records=MortalRecords(opened.redis))
    return opened.with_ports(ports)


def note_consumer() -> None:
    """Store this worker's consumer: the code that loses a message waits until it has stopped."""
    worker_ready.connect(lambda sender, **_: CONSUMERS.append(sender), weak=False)


def send_copies(app) -> None:
    """Send each message to the queue of steps COPIES times."""

    def again(sender, headers, body, exchange, routing_key, **_):
        for _copy in range(COPIES - 1 if routing_key == STEPS_QUEUE else 0):
            with app.producer_pool.acquire(block=True) as producer:
                options = {
                    "exchange": exchange,
                    "routing_key": routing_key,
                    "serializer": "json",
                    "correlation_id": headers["id"],
                }
                producer.publish(body, headers=headers, **options)

    after_task_publish.connect(again, weak=False)


def supervise(name: str) -> int:
    """Fork a worker, and another one whenever it has ended, until SIGTERM. A line on standard output says how
    each ended."""
    settings = certmill_settings.load()
    app = make_app(settings, open_runtime=open_mortal)
    send_copies(app)
    note_consumer()
    app.loader.import_default_modules()
    child, stopping = 0, threading.Event()

    def stop(*_) -> None:
        stopping.set()
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    while not stopping.is_set():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if child == 0:
            sys.exit(app.worker_main(["--quiet", "worker", "-n", f"{name}@local"]))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        lost = empty_the_queue(settings) if code == 0 and not stopping.is_set() else 0
        print(json.dumps({"ended": code, "lost": lost, "stopped_by_us": stopping.is_set()}), flush=True)
    return 0


def empty_the_queue(settings) -> int:
    """Delete every waiting message. Returns their number."""
    client = connect(settings.redis_url.get_secret_value())
    lost = client.llen(STEPS_QUEUE)
    client.delete(STEPS_QUEUE)
    client.close()
    return lost


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1]))
