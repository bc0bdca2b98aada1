"""Record counts and times of the engine. A process chooses the receiver once by `send_to`
(metrics.ProcessMetrics).

Without a receiver nothing is stored, so the command and the client need no metrics library. Thread-safe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from certmill.errors import CertmillError

P = ParamSpec("P")
R = TypeVar("R")


class Sink(Protocol):
    """Receives records. Methods never raise, and take microseconds."""

    def step(self, step: str, outcome: str, seconds: float) -> None:
        """One step of a run has been tried."""

    def run(self, outcome: str, failure_class: str, seconds: float) -> None:
        """A run has ended; its duration in seconds."""

    def sync(self, controller: str, *, failed: bool) -> None:
        """One object has been reconciled; `controller` as cert-manager calls the controller that does it."""

    def acme_request(self, url: str, *, action: str, method: str, status: int, seconds: float) -> None:
        """One request to a CA; without an answer the status is 999, as in cert-manager."""

    def redis_error(self) -> None:
        """A call of Redis has failed."""

    def rate_limit_wait(self, limit: str) -> None:
        """A run waits because a rate limit of its CA is reached."""

    def fallback(self, used: str, following: str) -> None:
        """The issuer `used` cannot issue now, and the next run uses the issuer `following`."""


class _Nothing:
    def step(self, step: str, outcome: str, seconds: float) -> None: ...

    def run(self, outcome: str, failure_class: str, seconds: float) -> None: ...

    def sync(self, controller: str, *, failed: bool) -> None: ...

    def acme_request(self, url: str, *, action: str, method: str, status: int, seconds: float) -> None: ...

    def redis_error(self) -> None: ...

    def rate_limit_wait(self, limit: str) -> None: ...

    def fallback(self, used: str, following: str) -> None: ...


class _Recording:
    sink: Sink = _Nothing()


_RECORDING = _Recording()


def send_to(sink: Sink | None) -> None:
    """Send all records of this process to `sink`; None discards them."""
    _RECORDING.sink = sink or _Nothing()


def sink() -> Sink:
    """The current receiver."""
    return _RECORDING.sink


def synced(controller: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator for a function that reconciles one object: counts its calls, and those that raise our
    errors."""

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
