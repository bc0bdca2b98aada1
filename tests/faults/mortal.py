"""A worker like any other, but for the lines on which it is killed, and the messages it sends more than once (`celery -A
tests.faults.mortal`).

Which line is said by a certificate's name, so that a test has many in flight at once: `kill-<step>-<point>` SIGKILLs the worker at that
point of
that step, `lose-<step>` stops it (SIGTERM) when the record has come to that step and its message is not yet sent. Each happens once:
CERTMILL_DEATHS
names a directory that remembers. With CERTMILL_COPIES every message to the queue of steps is sent so often.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
import time
from pathlib import Path

from celery.signals import after_task_publish

from certmill import settings as certmill_settings
from certmill.contract import STEPS_QUEUE
from certmill.pipeline.engine import Engine
from certmill.pipeline.reconcile import Reconciler
from certmill.pipeline.requests import RequestDesk
from certmill.pipeline.ticks import Ticks
from certmill.runtime import Runtime
from certmill.state.records import Due, Records, Unclaimed
from workers.celery_app import make_app

DEATHS = Path(os.environ.get("CERTMILL_DEATHS", "."))
COPIES = int(os.environ.get("CERTMILL_COPIES", "1"))


class MortalRecords(Records):
    """Records whose calls may be this process's last."""

    def __init__(self, client) -> None:
        super().__init__(client)
        self._under_way: dict[str, str] = {}
        self._guard = threading.Lock()

    def claim(self, certificate, step, **options):
        claimed = super().claim(certificate, step, **options)
        if not isinstance(claimed, Unclaimed):
            self._under_way[certificate] = step
            self._kill(certificate, step, "before-act")
        return claimed

    def keep(self, certificate, **options):
        kept = super().keep(certificate, **options)
        self._kill(certificate, self._under_way.get(certificate, ""), "in-the-middle")
        return kept

    def commit(self, certificate, **options):
        step = self._under_way.get(certificate, "")
        self._kill(certificate, step, "after-act")
        committed = super().commit(certificate, **options)
        self._under_way.pop(certificate, None)
        self._kill(certificate, step, "after-commit")
        if options["due"] is Due.IN_FLIGHT:
            self._lose(certificate, options["step"])
        return committed

    def doorbells(self, certificates):
        bells = super().doorbells(certificates)
        for bell in bells:
            self._lose(bell.certificate, bell.step)
        return bells

    def _kill(self, certificate: str, step: str, point: str) -> None:
        """Die here, leaving behind what every thread was at."""
        if self._first_time(certificate, f"kill-{step.replace('_', '-')}-{point}"):
            os.kill(os.getpid(), signal.SIGKILL)

    def _lose(self, certificate: str, step: str) -> None:
        """Have this worker stopped; by the time we go on and publish, it takes no messages any more."""
        if self._first_time(certificate, f"lose-{step.replace('_', '-')}"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)

    def _first_time(self, certificate: str, name: str) -> bool:
        if certificate.partition("/")[2] != name:
            return False
        with self._guard:
            try:
                with (DEATHS / name).open("x") as file:
                    json.dump(self._under_way, file)
            except FileExistsError:
                return False
        return True


def open_mortal(settings) -> Runtime:
    """The engine with mortal records, and all else as it is."""
    runtime = Runtime.open(settings)
    ports = dataclasses.replace(runtime.ports, records=MortalRecords(runtime.redis))
    reconciler = Reconciler(ports)
    return dataclasses.replace(
        runtime,
        ports=ports,
        engine=Engine(ports, reconciler),
        reconciler=reconciler,
        requests=RequestDesk(ports, reconciler),
        ticks=Ticks(ports, reconciler),
    )


app = make_app(certmill_settings.load(), open_runtime=open_mortal)


@after_task_publish.connect
def publish_copies(sender, headers, body, exchange, routing_key, **_):
    """Send what was sent again."""
    if routing_key != STEPS_QUEUE:
        return
    for _copy in range(COPIES - 1):
        with app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                body, headers=headers, exchange=exchange, routing_key=routing_key, serializer="json", correlation_id=headers["id"]
            )
