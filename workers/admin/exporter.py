"""Serves the admin port of a process: its own metrics, the metrics of the fleet from Redis, liveness and
readiness.

Redis is read over a separate connection with short time-outs, at most once in two seconds for all clients
together. A Redis that does not answer must not make a scrape slow."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from certmill.clock import Clock, SystemClock
from certmill.contract import TICK_TASKS
from certmill.errors import StateUnavailable
from certmill.observe import recording
from certmill.observe.certificate_gauges import CertificateGauge, certificates_text, issuers_text
from certmill.observe.fleet_metrics import FleetSample, OldestRequest, clock_text, fleet_text, no_fleet_text
from certmill.observe.metrics import ProcessMetrics
from certmill.renewal.risk import level_at
from certmill.settings import Settings
from certmill.state.metrics.fleet import Fleet
from certmill.state.metrics.gauges import Gauges
from certmill.state.server.connection import connect
from certmill.state.server.fleet_clock import FleetClock
from workers.admin.liveness import Liveness
from workers.admin.server import AdminServer, Page

REDIS_SECONDS: Final = 1.0
_CACHED_SECONDS: Final = 2.0
TICKS: Final = tuple(task.removeprefix("tick.") for task in TICK_TASKS)


class Exporter:
    """The admin port of one process, from `start` to `stop`."""

    def __init__(self, settings: Settings, liveness: Liveness, clock: Clock | None = None) -> None:
        self._settings = settings
        self.liveness = liveness
        self._clock = clock or SystemClock()
        self._metrics = ProcessMetrics()
        self._fleet_guard = threading.Lock()
        self._stores: _Stores | None = None
        self._is_busy = False
        self._name = ""
        self._sampled: tuple[float, FleetSample | None] = (float("-inf"), None)
        self._oldest = OldestRequest()
        self._started = self._clock.monotonic()
        self._server: AdminServer | None = None
        self.working = threading.Event()
        """Set when the process begins to do its work."""

    def start(self, *, is_busy: bool = False) -> None:
        """Record the metrics of this process, and listen. Does nothing if the port is 0. `is_busy`: this
        process does other work, so an idle process should expose the gauges, which takes seconds."""
        if not self._settings.admin_port or self._server is not None:
            return
        recording.send_to(self._metrics)
        pages = {"/metrics": lambda: Page(stream=self.text()), "/livez": self.livez, "/readyz": self.readyz}
        self._server = AdminServer(self._settings.admin_host, self._settings.admin_port, pages)
        self._server.start()
        self._is_busy = is_busy
        self._name = f"{socket.gethostname()} {os.getpid()}"

    def stop(self) -> None:
        """Stop listening, and let another process expose the gauges at once."""
        server, self._server = self._server, None
        if server is None:
            return
        server.stop()
        with self._fleet_guard, suppress(StateUnavailable):
            if self._stores is not None:
                self._stores.gauges.expose_no_more(self._name)

    def text(self) -> Iterator[str]:
        """Yield all metrics, in Prometheus' text format."""
        sample, stores, elapsed = self._sample(), self._stores, self._clock.monotonic()
        yield from self._metrics.text()
        yield from clock_text(self._clock.now())
        if sample is None or stores is None:
            yield from no_fleet_text()
            return
        now, age = stores.clock.now(), self._oldest.age(sample.oldest_request, elapsed)
        yield from fleet_text(
            sample, now=now, started=now - (elapsed - self._started), oldest_request_age=age, ticks=TICKS
        )
        if self._settings.certificate_metrics:
            yield from self._certificates(stores.gauges, now)

    def _certificates(self, gauges: Gauges, now: float) -> Iterator[str]:
        """Yield the gauges of certificates and issuers, if this process exposes them."""
        try:
            if not gauges.may_expose(self._name, is_busy=self._is_busy):
                return
            certificates, issuers = gauges.read()
        except StateUnavailable:
            return
        yield from issuers_text(issuers)
        yield from certificates_text(certificates, now=now, risk_of=partial(risk_at, now))

    def livez(self) -> Page:
        """Return 200 if the process does its work, else 503. Servers that do not answer do not count."""
        return _page(self.liveness.troubles())

    def readyz(self) -> Page:
        """Return 200 if the process does its work and reaches the servers that it needs, else 503."""
        troubles = self.liveness.troubles() + self.liveness.unready()
        if not self.working.is_set():
            troubles.append("it is still starting")
        if self._sample() is None:
            troubles.append("Redis does not answer")
        return _page(troubles)

    def _sample(self) -> FleetSample | None:
        """Return the counts in Redis, at most two seconds old, or None if Redis does not answer."""
        with self._fleet_guard:
            now = self._clock.monotonic()
            if not 0 <= now - self._sampled[0] < _CACHED_SECONDS:
                self._sampled = (now, self._ask())
            return self._sampled[1]

    def _ask(self) -> FleetSample | None:
        if self._stores is None:
            self._stores = _stores(self._settings)
        try:
            return self._stores.fleet.sample(now=self._stores.clock.now())
        except StateUnavailable:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stores:
    """The parts of Redis that the exporter reads. Instants in them are by the clock of the fleet."""

    fleet: Fleet
    gauges: Gauges
    clock: Clock


def _stores(settings: Settings) -> _Stores:
    client = connect(
        settings.redis_url.get_secret_value(),
        ca_file=settings.redis_ca_file,
        timeout_seconds=REDIS_SECONDS,
        max_connections=2,
        retries=0,
        encoding_errors="replace",  # messages in a queue can contain any bytes
        url_file=settings.redis_url_file,
    )
    return _Stores(fleet=Fleet(client), gauges=Gauges(client), clock=FleetClock(client))


def risk_at(now: float, gauge: CertificateGauge) -> str:
    """The level of risk of a certificate."""
    return level_at(
        now, not_before=gauge.not_before, not_after=gauge.not_after, renewal_time=gauge.renewal_time
    )


def _page(troubles: list[str]) -> Page:
    return Page(status=503, text="".join(f"{one}\n" for one in troubles)) if troubles else Page(text="ok\n")
