"""certmill's own app and engine, with a CA in the worker that issues at once and forgets (`celery -A
tests.bench.soak_app worker`).

Real: the worker with its guard, transport and events, the chain, Redis, the directory home, keys and CSRs,
the HTTP-01 tokens. Not real: the CA, its validation, and the self check of HTTP-01; DNS is not asked. What
leaks in those is not found here."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from certmill import settings as certmill_settings
from certmill.acme.client import AcmeClient
from certmill.clock import SystemClock
from certmill.http01.selfcheck import Probe
from certmill.model.issuer import Issuer
from certmill.runtime import Runtime
from certmill.settings import Settings
from certmill.testing.memory_ca import MemoryCA
from workers.celery_app import make_app


class ForgetfulClient:
    """A client of the CA in memory: a verb at a time, and what was downloaded is forgotten."""

    def __init__(self, ca: MemoryCA, lock: threading.Lock, client: AcmeClient) -> None:
        self._ca, self._lock, self._client = ca, lock, client

    def __getattr__(self, verb: str) -> Callable[..., object]:
        def call(*args: Any, **options: Any) -> object:
            with self._lock:
                answer = getattr(self._client, verb)(*args, **options)
                if verb == "certificate":
                    self._forget(args[0])
                return answer

        return call

    def _forget(self, certificate: str) -> None:
        for order in [order for order in self._ca.orders.values() if order.certificate == certificate]:
            del self._ca.orders[order.url]
            for url in order.authorizations:
                del self._ca.authorizations[url]
        del self._ca.chains[certificate]
        self._ca.ordered.clear()
        self._ca.downloads.clear()


class SoakCA:
    """Validates whatever it is asked to (runs.ports.Clients)."""

    def __init__(self) -> None:
        self._ca = MemoryCA(clock=SystemClock(), validates=lambda *_: True)
        self._lock = threading.Lock()

    def client(self, issuer: Issuer, key_pem: bytes, account: str | None) -> AcmeClient:
        return cast(
            "AcmeClient", ForgetfulClient(self._ca, self._lock, self._ca.client(issuer, key_pem, account))
        )


class SeenAtOnce:
    """The self check of HTTP-01, which finds every token; nothing else is asked (runs.ports.Checks)."""

    def probe(self, *_: object, **__: object) -> Probe:
        return Probe(ok=True, reason="")


def open_runtime(settings: Settings) -> Runtime:
    """The engine, with that CA."""
    opened = Runtime.open(settings)
    return opened.with_ports(replace(opened.ports, clients=SoakCA(), checks=cast("Any", SeenAtOnce())))


if "CERTMILL_HOME" in os.environ:
    app = make_app(certmill_settings.load(home=Path(os.environ["CERTMILL_HOME"])), open_runtime=open_runtime)
