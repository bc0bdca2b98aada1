"""What the engine counts and times while it works. Where it goes is decided once, by the process: `send_to`
(metrics.ProcessMetrics).

Without it nothing is kept, so that the command and the client need no metrics library. Safe from many
threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from certmill.errors import CertmillError

P = ParamSpec("P")
R = TypeVar("R")


class Sink(Protocol):
    """Keeps what is recorded. Raises nothing, and takes microseconds."""

    def step(self, step: str, outcome: str, seconds: float) -> None:
        """One step of a run has been tried."""

    def run(self, outcome: str, failure_class: str, seconds: float) -> None:
        """A run has ended, so many seconds after it was begun."""

    def sync(self, controller: str, *, failed: bool) -> None:
        """One object has been reconciled; `controller` as cert-manager calls the controller that does it."""

    def acme_request(self, url: str, *, action: str, method: str, status: int, seconds: float) -> None:
        """One request to a CA; without an answer the status is 999, as in cert-manager."""

    def redis_error(self) -> None:
        """A call of Redis has failed."""


class _Nothing:
    def step(self, step: str, outcome: str, seconds: float) -> None: ...

    def run(self, outcome: str, failure_class: str, seconds: float) -> None: ...

    def sync(self, controller: str, *, failed: bool) -> None: ...

    def acme_request(self, url: str, *, action: str, method: str, status: int, seconds: float) -> None: ...

    def redis_error(self) -> None: ...


class _Recording:
    sink: Sink = _Nothing()


_RECORDING = _Recording()


def send_to(sink: Sink | None) -> None:
    """Keep everything that is recorded in this process there from now on; None: nowhere."""
    _RECORDING.sink = sink or _Nothing()


def sink() -> Sink:
    """Where to record."""
    return _RECORDING.sink


def synced(controller: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate what reconciles one object: each call is counted, and each that raises an error of ours."""

    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(call)
        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            failed = False
            try:
                return call(*args, **kwargs)
            except CertmillError:
                failed = True
                raise
            finally:
                sink().sync(controller, failed=failed)

        return counted

    return decorate
