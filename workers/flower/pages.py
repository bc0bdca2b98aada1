"""Our own pages of Flower: `/metrics` behind the login, and a worker's page built from its heartbeats,
because remote control is off."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import flower.urls
from celery.events.state import Worker
from flower.views.monitor import Metrics
from flower.views.workers import WorkerView
from tornado import web

_Metrics: Any = Metrics  # Flower has no type annotations
_WorkerView: Any = WorkerView


class GuardedMetrics(_Metrics):  # type: ignore[misc]
    """Flower's metrics, for users who have logged in."""

    @web.authenticated
    async def get(self) -> None:
        await super().get()


class HeardWorker(_WorkerView):  # type: ignore[misc]
    """The page of one worker, built from its events."""

    @web.authenticated
    async def get(self, name: str) -> None:
        state = self.application.events.state
        worker = state.workers.data.get(name)
        if worker is None:
            raise web.HTTPError(404, f"Unknown worker '{name}': nothing was heard of it for an hour")
        shown = {"name": name, **_shown(worker, state.counter.get(name, {}))}
        self.render("worker.html", worker=shown, read_only=self.application.options.read_only)


def _shown(worker: Worker, counts: dict[str, int]) -> dict[str, Any]:
    """Return the values that the template needs. A field that a worker of another release does not send is
    left out."""
    queues = [defaultdict(str, name=name, routing_key=name) for name in getattr(worker, "queues", ())]
    pool = {"max-concurrency": getattr(worker, "threads", None), "active": worker.active}
    other = {
        "certmill": getattr(worker, "certmill", None),
        "celery": worker.sw_ver,
        "online": worker.alive,
        "load average": worker.loadavg,
        "not shown here": "what only remote control could tell; it is off (docs/flower.md)",
    }
    stats = {"pool": pool, "pid": worker.pid, "broker": {}, "total": dict(counts), **other}
    lists: dict[str, list[object]] = {
        name: [] for name in ("registered", "scheduled", "active", "reserved", "revoked")
    }
    return {"stats": stats, "active_queues": queues, "conf": {}, **lists}


def install() -> None:
    """Replace Flower's pages with ours."""
    ours = {Metrics: GuardedMetrics, WorkerView: HeardWorker}
    flower.urls.handlers[:] = [_replaced(handler, ours) for handler in flower.urls.handlers]


def _replaced(handler: Any, ours: dict[Any, Any]) -> Any:
    if isinstance(handler, web.url):
        return web.url(
            handler.regex.pattern,
            ours.get(handler.handler_class, handler.handler_class),
            handler.kwargs,
            handler.name,
        )
    pattern, kind, *more = handler
    return (pattern, ours.get(kind, kind), *more)
