"""A Celery app for tests: certmill's configuration and guard, and tasks that write down that they ran
(`celery -A probe_app worker`)."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from celery.exceptions import Reject, Retry
from celery.worker import state

from certmill import settings as certmill_settings
from certmill.contract import TASKS_OF_QUEUE
from certmill.state.record import Record
from workers import signals
from workers.admin import liveness
from workers.broker import guard
from workers.configuration import configured_app

settings = certmill_settings.load(home=Path(os.environ["CERTMILL_HOME"]))
records = redis.Redis.from_url(os.environ["PROBE_URL"], socket_timeout=30)


def on_rejected(request_id: str, certificate: str, reason: str) -> None:
    """Stands in for Runtime.reject."""
    records.rpush("rejected", json.dumps([request_id, certificate, reason]))


def register(celery: Celery) -> None:
    """Every task of the contract; `default/slow` takes a second, `default/stuck` ten minutes, `default/held`
    until it is let go; `default/fails` fails, `default/waits` waits, `default/again` goes back to its queue;
    `default/stopped` stops its worker. The last step of the chain of `default/continues-held` is held."""
    for name in (task for tasks in TASKS_OF_QUEUE.values() for task in tasks):
        celery.task(bind=True, name=name, Request="workers.continuation:ContinuedRequest")(probe_named(name))


def continue_chain(task: Any) -> str:
    """Continue with the next task of the chain, if the thread may; the step that was claimed for this one."""
    request, continuation = task.request, task.request.continuation
    if request.chain and continuation.next_task(request, following := request.chain[-1]["task"]):
        continuation.continue_with(request, Record(step=following))
    return continuation.claimed.step if continuation.claimed is not None else ""


def probe_named(name: str) -> Callable[..., None]:
    """A task that records what it was called with."""

    def probe(task: Any, *args: object) -> None:
        if args == ("default/slow",):
            threading.Event().wait(1.0)
        if args == ("default/stuck",):
            threading.Event().wait(600.0)
        if args == ("default/held",) or (args == ("default/continues-held",) and not task.request.chain):
            records.blpop(["let go"], timeout=20)
        if args == ("default/stopped",):
            os.kill(os.getpid(), signal.SIGTERM)
            while state.should_stop is None:
                time.sleep(0.01)
        called = {
            "task": name,
            "args": args,
            "id": task.request.id,
            "thread": threading.current_thread().name,
            "pid": os.getpid(),
        }
        called["at"] = time.time()
        called |= {
            "root_id": task.request.root_id,
            "parent_id": task.request.parent_id,
            "chain": len(task.request.chain or ()),
        }
        records.rpush("ran", json.dumps({**called, "claimed": continue_chain(task)}))
        if args == ("default/fails",):
            raise RuntimeError("refused by the CA")
        if args == ("default/again",):
            raise Reject("the API server is away", requeue=True)
        if args == ("default/waits",):
            raise Retry("not visible yet", when=datetime.now(UTC) + timedelta(seconds=5))

    return probe


app = configured_app(
    settings,
    schedule={"wake": {"task": "tick.wake", "schedule": 1.0, "options": {"expires": 5}}},
    on_rejected=on_rejected,
)
app.conf.worker_enable_remote_control = "PROBE_REMOTE_CONTROL" in os.environ
register(app)
guard.STUCK_SECONDS = float(os.environ.get("PROBE_STUCK_AFTER", guard.STUCK_SECONDS))
liveness.STALE_SECONDS = float(os.environ.get("PROBE_STALE_AFTER", liveness.STALE_SECONDS))
signal.signal(signal.SIGUSR2, lambda *_: threading.Event().wait(600.0))  # the main thread stands still
signals.connect(settings, app.exporter, close=lambda: None)
